"""The attack table for people: points lost, and pay beside the honest twin's."""

from __future__ import annotations

from collections.abc import Sequence

from ..study.attack_page import SKEWS, ordered, spread
from ..study.attack_table import MOST_PAY, MOST_POINTS, Cell, mean
from .tables import new_console, new_table


def show_cells(cells: Sequence[Cell]) -> None:
    """One table for each kind of data and strength: points lost by attack and rule; of one rule, pay as well."""
    out = new_console()
    rules = ordered(cell.rule for cell in cells)
    for skew, attackers in ordered((cell.skew, cell.attackers) for cell in cells):
        own = {(c.attack, c.rule): c for c in cells if (c.skew, c.attackers) == (skew, attackers)}
        out.print(f"[bold]{SKEWS[skew]}[/bold], {attackers} of {cells[0].peers} attack: points of accuracy lost")
        if len(rules) == 1:
            drawn = new_table(rules[0], "points lost", "pay beside a twin's", "part of all pay", "value above 0")
            for (attack, _), cell in own.items():
                drawn.add_row(
                    *(attack, spread(cell.lost), spread(cell.pay, "{:.2f}"), spread(cell.captured, "{:.3f}")),
                    spread(cell.passed, "{:.2f}"),
                    style="" if cell.harmless else "yellow",
                )
        else:
            drawn = new_table("attack", *rules)
            for attack in ordered(name for name, _ in own):
                drawn.add_row(attack, *(_short(own[attack, rule]) for rule in rules if (attack, rule) in own))
        out.print(drawn)


def _short(cell: Cell) -> str:
    """Points lost, yellow beyond what is allowed; a star where it pays more than honesty."""
    star = "*" if mean(cell.pay) > MOST_PAY else ""
    lost = f"{mean(cell.lost):.0f}{star}"
    return f"[yellow]{lost}[/yellow]" if mean(cell.lost) > MOST_POINTS else lost
