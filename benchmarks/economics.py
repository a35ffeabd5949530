"""What cheating pays, and what honest work does: figures of the integer mechanism, each with the bound it has to keep.

    python benchmarks/economics.py [--json | --markdown] [--trainers 1024] [--seeds 5]

The same as ``gradmint simulate economics``: every round is settled by spec.mechanism.settle. docs/economics.md says how
each figure is defined; its table is what --markdown prints. At the default size every row is an assertion: a bound, or
the interval in sim/reported.py in which it was measured before. Exit code 1 if any of them does not hold.
"""

from __future__ import annotations

import argparse
import json
import sys

from gradmint.cli.simulate_render import as_markdown, as_object, examine_live, show_findings
from gradmint.sim.economics import NAMES, missed, unasserted
from gradmint.sim.study import Study, everyone_paid
from gradmint.spec.params import STANDARD


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/economics.md")
    parser.add_argument("--trainers", type=int, default=1_024)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    params = everyone_paid(STANDARD, arguments.trainers)
    study = Study(params=params, trainers=arguments.trainers, seeds=tuple(range(arguments.seeds)))
    findings = examine_live(study, NAMES, quiet=arguments.json or arguments.markdown)
    if arguments.json:
        print(json.dumps(as_object(study, findings)))
    elif arguments.markdown:
        print(as_markdown(findings))
    else:
        show_findings(findings)
    if failures := missed(findings):
        sys.exit("missed:\n  " + "\n  ".join(failures))
    if study.is_reported and (failures := unasserted(findings)):
        sys.exit("nothing asserted of:\n  " + "\n  ".join(failures))


if __name__ == "__main__":
    main()
