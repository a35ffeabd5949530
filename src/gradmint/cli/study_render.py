"""Findings and attacks as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ..study.calibration import Calibration, Findings
from ..study.page import rate_text, reach
from ..study.redteam import RedTeam

NARROW = 120


def show_findings(calibration: Calibration) -> None:
    console = new_console()
    for name, findings in (("reports", calibration.report), ("training", calibration.training)):
        console.print(
            f"[bold]{name}[/bold]: accept {findings.accept_bits}, slash {findings.slash_bits} of "
            f"{256 * calibration.words} bits; false alarms {rate_text(findings.comparisons)} of honest pairs, fitted "
            f"{findings.fitted_alarm_rate:.2g}"
        )
        console.print(_cheats(findings))


def _cheats(findings: Findings) -> Table:
    table = new_table("cheat", "bits", "AUC", "caught in scenes (95%)", "beyond slash")
    for cheat in findings.cheats:
        table.add_row(
            *(cheat.name, reach(cheat), f"{cheat.auc:.4f}", rate_text(cheat.caught), rate_text(cheat.slashed)),
            style="" if cheat.caught.hits == cheat.caught.trials else "yellow",
        )
    return table


def show_attacks(teams: Sequence[RedTeam]) -> None:
    console = new_console()
    for team in teams:
        console.print(
            f"[bold]{team.policy}[/bold]: accept {team.accept_bits}, slash {team.slash_bits} bits; honest called wrong "
            f"by one {rate_text(team.alarms.one)}, by two of three {rate_text(team.alarms.three)}, left out of the "
            f"cluster {rate_text(team.alarms.quorum)}"
        )
        table = new_table("attack", "one verifier", "two of three", "out of the cluster")
        for row in team.attacks:
            table.add_row(
                *(row.name, rate_text(row.one), rate_text(row.three), rate_text(row.quorum)),
                style="" if row.three.hits == row.three.trials else "yellow",
            )
        for rule in team.rules:
            table.add_row(rule.name, rule.outcome, "", "", style="" if rule.caught else "yellow")
        console.print(table)


def new_table(first: str, *rest: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in rest:
        table.add_column(name, justify="right")
    return table


def new_console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, NARROW)
    return console
