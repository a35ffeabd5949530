"""Tables, drawings and the snapshot of docs/verification.md from the folders that ``gradmint redteam verify`` wrote.

.venv/bin/python scripts/verification.py digits-redteam bytes-redteam ...

``snapshots/calibration.json`` keeps, by task, what the presets' numbers come from; tests/study/test_snapshot.py holds
them together. Tasks whose folders are not given stay as they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib as mpl

from gradmint.study.calibration import Calibration
from gradmint.study.findings import CheatFound, Rate
from gradmint.study.page import STYLE, Drawn, audits_drawn, draw_distances, draw_roc, percent, reach, reports_drawn

ROOT = Path(__file__).parent.parent
SNAPSHOT = ROOT / "snapshots" / "calibration.json"
POLICIES = ("as-admitted", "float32-alone")


def table(unit: str, cheats: Sequence[CheatFound], attacks: list[dict[str, Any]]) -> str:
    """One row a cheat: distances, area, detection by two of three on scenes that the thresholds have not seen."""
    lines = [f"| cheat | {unit} | AUC | caught by 2 of 3 | 95% | scenes, every 2 of 3 |", "|---|---|---|---|---|---|"]
    areas = {cheat.name: cheat for cheat in cheats}
    for attack in attacks:
        three, scenes = (Rate(**attack[name]) for name in ("three", "scenes"))
        found = areas.get(attack["name"])
        measured = f"{reach(found)} | {found.auc:.4f}" if found else " | "
        lines.append(
            f"| {attack['name']} | {measured} | {three.hits:,} of {three.trials:,} "
            f"| {percent(three.low)}-{percent(three.high)} % | {scenes.hits:,} of {scenes.trials:,} |"
        )
    return "\n".join(lines)


def told(name: str, rate: dict[str, Any]) -> str:
    one = Rate(**rate)
    return f"{name} {one.hits} of {one.trials:,} (at most {percent(one.high)} %)"


def alarms(team: dict[str, Any], scenes: str) -> str:
    parts = [told(name, team["alarms"][key]) for name, key in (("one verifier", "one"), ("2 of 3", "three"))]
    return f"False alarms: {', '.join(parts)}, {told(scenes, team['alarm_scenes'])}.\n"


def draw(name: str, drawn: Drawn) -> None:
    with mpl.rc_context(STYLE):
        for kind, drawing in (("roc", draw_roc), ("distances", draw_distances)):
            path = ROOT / "docs" / "img" / f"{kind}-{name}.svg"
            drawing(drawn).savefig(path, metadata={"Date": None, "Creator": None})


def show(folder: Path, policy: str, attacks: dict[str, Any]) -> dict[str, Any]:
    """Prints the tables of one policy, draws, and returns what the snapshot keeps."""
    calibration = Calibration.decode((folder / f"{policy}.json").read_bytes())
    report, training = calibration.report, calibration.training
    teams = {team["policy"]: team for team in attacks["teams"]}
    reports, audits = (teams[f"{kind}, {policy.replace('-', ' ')}"] for kind in ("report", "training"))
    print(f"\n### {calibration.task}: {reports['policy']}\n")
    print(f"Accept {report.accept_bits}, slash {report.slash_bits} of {256 * calibration.words} bits. Honest noise:")
    kinds = [f"{one.pair} mean {one.mean_bits:.1f}, most {one.most_bits}" for one in report.noise]
    print(f"{'; '.join(kinds)}; {report.scenes} scenes.\n{alarms(reports, 'scenes')}")
    print(table("bits", report.cheats, reports["attacks"]))
    draw(f"{calibration.task}-{policy}", reports_drawn(report))
    kept = {
        "report": {
            "accept_bits": report.accept_bits,
            "slash_bits": report.slash_bits,
            "scenes": report.scenes,
            "alarms": reports["alarms"]["one"],
            "alarms_2_of_3": reports["alarms"]["three"],
            "alarm_scenes": reports["alarm_scenes"],
        }
    }
    if training.audits:
        names = [one.name for one in training.tolerances]
        print(f"\n### {calibration.task}: {audits['policy']}\n")
        print(f"| | {' | '.join(f'`{name}`' for name in names)} |\n|{'---|' * (1 + len(names))}")
        print(f"| **tolerance** | {' | '.join(f'**{one.value:,}**' for one in training.tolerances)} |")
        greatest = " | ".join(f"{one.greatest:,.4g}" for one in training.tolerances)
        print(f"| greatest honest of {training.audits} audits | {greatest} |")
        for noise in training.noise:
            most = " | ".join(f"{value:,.4g}" for _, value in noise.greatest)
            print(f"| {noise.pair.replace(' | ', ', ')}: {noise.comparisons:,} comparisons | {most} |")
        print()
        print(alarms(audits, "audits"))
        print(table("% of the tolerance", training.cheats, audits["attacks"]))
        if policy == POLICIES[0]:
            draw(f"{calibration.task}-training", audits_drawn(training))
        kept["training"] = {
            "tolerances": training.by_name,
            "greatest": {one.name: one.greatest for one in training.tolerances},
            "audits": training.audits,
            "alarms": audits["alarms"]["one"],
            "alarm_audits": audits["alarm_scenes"],
        }
    return {"digest": calibration.digest(), "machine": asdict(calibration.machine), **kept}


def main() -> None:
    snapshot = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    for folder in map(Path, sys.argv[1:]):
        attacks = json.loads((folder / "redteam.json").read_text())
        snapshot[attacks["task"]] = {policy: show(folder, policy, attacks) for policy in POLICIES}
    SNAPSHOT.write_text(json.dumps(snapshot, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
