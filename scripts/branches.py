#!/usr/bin/env python3
"""Which branches of the contracts do forge's tests take?

    python scripts/branches.py           a table, and every branch that no test takes; exit 1 below 95%

Forge compiles without the optimiser for this (--ir-minimum): with it, branches merge and source maps lie. Branches are
forge's: an if with an else has two, one without has one, which is taken when its body is. The Python tests on Anvil are
not counted.

Branches in assembly are left out, and how many is said: forge finds no statement of any assembly block executed, not
even of those that every test runs (Rounds.submit), so it cannot tell. scripts/mutate.py breaks each of them instead.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEAST_PERCENT = 95


def assembly(source: str) -> set[int]:
    """Numbers of the lines of its assembly blocks."""
    lines: set[int] = set()
    for block in re.finditer(r"\bassembly\b[^{;]*\{", source):
        end, depth = block.end(), 1
        while depth:
            depth += {"{": 1, "}": -1}.get(source[end], 0)
            end += 1
        lines |= set(range(source.count("\n", 0, block.start()) + 1, source.count("\n", 0, end) + 2))
    return lines


def main() -> int:
    report = ROOT / ".build" / "coverage.lcov"
    report.parent.mkdir(exist_ok=True)
    # Not .bin/forge: that wrapper exits 0 whatever forge does.
    forge = next((ROOT / "node_modules" / "@foundry-rs").glob("forge-*/bin/forge"))
    command = [
        forge, "coverage", "--ir-minimum", "--report", "lcov",
        "--report-file", report,
        "--no-match-coverage", "(contracts/test|contracts/dev|contracts/proofs|node_modules)",
    ]  # fmt: skip
    settings = {"FOUNDRY_FUZZ_RUNS": "100", "FOUNDRY_INVARIANT_RUNS": "1", "FOUNDRY_INVARIANT_DEPTH": "12"}
    answer = subprocess.run(command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False)
    if answer.returncode:
        print(answer.stdout[-3_000:], answer.stderr[-3_000:], file=sys.stderr)
        return 1

    taken: dict[str, list[bool]] = defaultdict(list)
    missed: list[str] = []
    left_out: list[str] = []
    file = ""
    unseen: set[int] = set()
    for line in report.read_text().splitlines():
        kind, _, rest = line.partition(":")
        if kind == "SF":
            file = rest
            unseen = assembly((ROOT / file).read_text())
        elif kind == "BRDA":
            number, _, _, count = rest.split(",")
            if int(number) in unseen:
                left_out.append(f"{file}:{number}")
                continue
            taken[file].append(count not in ("-", "0"))
            if not taken[file][-1]:
                missed.append(f"{file}:{number}")
    for name, branches in sorted(taken.items()):
        print(f"{name:45} {sum(branches):4} of {len(branches):4}  {100 * sum(branches) / len(branches):6.1f}%")
    for place in missed:
        source, _, number = place.partition(":")
        print(f"not taken  {place}  {(ROOT / source).read_text().splitlines()[int(number) - 1].strip()}")
    print(f"in assembly, left out: {len(left_out)} ({', '.join(left_out)})")
    every = [branch for branches in taken.values() for branch in branches]
    percent = 100 * sum(every) / len(every) if every else 0.0
    whole = len(every) + len(left_out)
    print(f"of all {whole} branches, those left out taken for not taken: {100 * sum(every) / whole:.1f}%")
    print(f"{'all counted':45} {sum(every):4} of {len(every):4}  {percent:6.1f}%")
    return 0 if percent >= LEAST_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
