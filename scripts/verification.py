"""Tables and drawings of docs/verification.md from the folders that ``gradmint redteam verify`` wrote.

.venv/bin/python scripts/verification.py digits-redteam bytes-redteam ...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

from gradmint.study.calibration import Calibration, Findings, Rate
from gradmint.study.page import STYLE, draw_distances, draw_roc, percent, reach

ROOT = Path(__file__).parent.parent
POLICIES = ("as-admitted", "float32-alone")


def table(findings: Findings, attacks: list[dict[str, Any]]) -> str:
    """One row a cheat: distances, area, detection by two of three on scenes that the thresholds have not seen."""
    lines = ["| cheat | bits | AUC | caught by 2 of 3 | 95% | out of the cluster |", "|---|---|---|---|---|---|"]
    found = {attack["name"]: attack for attack in attacks}
    for cheat in findings.cheats:
        three, quorum = (Rate(**found[cheat.name][name]) for name in ("three", "quorum"))
        interval = f"{percent(three.low)}-{percent(three.high)} %"
        lines.append(
            f"| {cheat.name} | {reach(cheat)} | {cheat.auc:.4f} | {three.hits} of {three.trials} | {interval} "
            f"| {quorum.hits} of {quorum.trials} |"
        )
    return "\n".join(lines)


def told(name: str, rate: dict[str, Any]) -> str:
    one = Rate(**rate)
    return f"{name} {one.hits} of {one.trials} (at most {percent(one.high)} %)"


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        attacks = json.loads((folder / "redteam.json").read_text())
        for policy in POLICIES:
            calibration = Calibration.decode((folder / f"{policy}.json").read_bytes())
            for kind, findings in (("report", calibration.report), ("training", calibration.training)):
                team = next(t for t in attacks["teams"] if t["policy"] == f"{kind}, {policy.replace('-', ' ')}")
                print(f"\n### {calibration.task}: {team['policy']}\n")
                print(
                    f"Accept {findings.accept_bits}, slash {findings.slash_bits} of {256 * calibration.words} bits. "
                    "Honest noise:"
                )
                for noise in findings.noise:
                    print(f"{noise.pair} mean {noise.mean_bits:.1f}, most {noise.most_bits} ({noise.scenes} scenes);")
                alarms = [
                    told(name, team["alarms"][key]) for name, key in (("one verifier", "one"), ("2 of 3", "three"))
                ]
                print(f"False alarms: {', '.join(alarms)}, {told('scenes', team['alarm_scenes'])}.\n")
                print(table(findings, team["attacks"]))
            with mpl.rc_context(STYLE):
                for name, draw in (("roc", draw_roc), ("distances", draw_distances)):
                    path = ROOT / "docs" / "img" / f"{name}-{calibration.task}-{policy}.svg"
                    draw(calibration.report).savefig(path, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
