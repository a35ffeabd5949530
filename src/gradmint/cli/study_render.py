"""Findings and attacks as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from ..study.calibration import Calibration
from ..study.findings import CheatFound, Rate
from ..study.page import rate_text, reach
from ..study.redteam import RedTeam
from .tables import new_console, new_table


def show_findings(calibration: Calibration) -> None:
    console, report, training = new_console(), calibration.report, calibration.training
    console.print(
        f"[bold]reports[/bold]: accept {report.accept_bits}, slash {report.slash_bits} of {256 * calibration.words} "
        f"bits; false alarms {rate_text(report.comparisons)} of honest pairs, fitted {report.fitted_alarm_rate:.2g}"
    )
    table = new_table("cheat", "bits", "AUC", "caught in scenes (95%)", "beyond slash")
    for cheat in report.cheats:
        table.add_row(*_row(cheat), rate_text(cheat.slashed), style=_style(cheat.caught))
    console.print(table)
    limits = ", ".join(f"{one.name} {one.value} (honest {one.greatest:.4g})" for one in training.tolerances)
    console.print(
        f"[bold]training[/bold]: {limits}; false alarms {rate_text(training.comparisons)} of honest comparisons, "
        f"{rate_text(training.alarms)} of audits"
    )
    table = new_table("cheat", "% of the tolerance", "AUC", "caught in audits (95%)")
    for audited in training.cheats:
        table.add_row(*_row(audited), style=_style(audited.caught))
    console.print(table)


def _row(cheat: CheatFound) -> tuple[str, str, str, str]:
    return cheat.name, reach(cheat), f"{cheat.auc:.4f}", rate_text(cheat.caught)


def _style(rate: Rate) -> str:
    return "" if rate.hits == rate.trials else "yellow"


def show_attacks(teams: Sequence[RedTeam]) -> None:
    console = new_console()
    for team in teams:
        limits = ", ".join(f"{name} {limit}" for name, limit in team.limits.items())
        console.print(
            f"[bold]{team.policy}[/bold]: {limits}; honest called wrong by one {rate_text(team.alarms.one)}, by two of "
            f"three {rate_text(team.alarms.three)}, by the protocol's agreement {rate_text(team.alarms.quorum)}, in "
            f"{rate_text(team.alarm_scenes)} of scenes"
        )
        table = new_table("attack", "one verifier", "two of three", "agreement")
        for row in team.attacks:
            table.add_row(
                *(row.name, rate_text(row.one), rate_text(row.three), rate_text(row.quorum)),
                style="" if row.caught else "yellow",
            )
        for rule in team.rules:
            table.add_row(rule.name, rule.outcome, "", "", style="" if rule.caught else "yellow")
        console.print(table)
