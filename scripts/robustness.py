"""Tables and drawings of docs/robustness.md from the journal that ``gradmint redteam train`` keeps.

.venv/bin/python scripts/robustness.py attacks-out/runs.jsonl

Each row over as many of the first three seeds as were played for all of its kind; what was not played is left out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from gradmint.study.arena import DEFAULT, RULES
from gradmint.study.attack_page import SKEWS, figures, ordered, save, spread
from gradmint.study.attack_table import Cell, Grid, mean, read, table
from gradmint.study.attacks import ATTACKS

ROOT = Path(__file__).parent.parent
SHARES = (10, 20, 31, 40)
THIRD = 5  # of 16


def default_table(cells: Sequence[Cell]) -> str:
    """A row an attack, at a third of attackers: points lost and pay beside the twin's, by kind of data."""
    lines = [
        "| attack | " + " | ".join(f"{SKEWS[skew]}: points lost | pay | part of all pay" for skew in SKEWS) + " |",
        "|---|" + "---|" * 3 * len(SKEWS),
    ]
    own = {(c.attack, c.skew): c for c in cells if c.rule == DEFAULT and c.attackers == THIRD}
    for attack in ATTACKS:
        row = [attack]
        for skew in SKEWS:
            if (cell := own.get((attack, skew))) is not None:
                row += [spread(cell.lost), spread(cell.pay, "{:.2f}"), f"{100 * mean(cell.captured):.1f}%"]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def worst_table(cells: Sequence[Cell]) -> str:
    """A row a rule and number of attackers: accuracy without attackers, the attack that costs most."""
    lines = ["| rule | attackers | " + " | ".join(f"{SKEWS[skew]}: clean | worst" for skew in SKEWS) + " |"]
    lines.append("|---|---|" + "---|---|" * len(SKEWS))
    for rule in ordered(cell.rule for cell in cells):
        for attackers in ordered(cell.attackers for cell in cells):
            row = [rule, f"{attackers} of {cells[0].peers}"]
            for skew in SKEWS:
                own = [c for c in cells if (c.rule, c.attackers, c.skew) == (rule, attackers, skew)]
                own = [c for c in own if not ATTACKS[c.attack].helps]
                bad = max(own, key=lambda cell: mean(cell.lost), default=None)
                if bad is None:
                    row += ["", ""]
                else:
                    row += [f"{mean(bad.accuracy) + mean(bad.lost):.0f}%", f"-{mean(bad.lost):.1f}, {bad.attack}"]
            if any(row[2:]):
                lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def played(path: Path) -> list[Cell]:
    """The journal's cells."""
    runs = read(path)
    cells: list[Cell] = []
    for rule in RULES:
        for share in SHARES:
            for skew in SKEWS:
                tables = []
                for seeds in ((0, 1, 2), (0, 1), (0,)):
                    grid = Grid(attacks=tuple(ATTACKS), rules=(rule,), shares=(share,), skews=(skew,), seeds=seeds)
                    tables.append(table(runs, grid))
                cells += max(tables, key=len)  # the first of equals: more seeds
    return cells


def main() -> None:
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit(f"usage: {sys.argv[0]} RUNS.JSONL, the journal that `gradmint redteam train` keeps")
    journal = Path(sys.argv[1])
    cells = played(journal)
    if not cells:
        sys.exit(f"{journal} has no whole cell of the table: play one with `gradmint redteam train`, twins included")
    print(default_table(cells), worst_table(cells), sep="\n\n")
    print("\nmore than is required:")
    for cell in cells:
        if cell.rule == DEFAULT and not cell.harmless:
            print(f"{cell.where}: {cell.attack}: lost {spread(cell.lost)}, pay {spread(cell.pay, '{:.2f}')}")
    for name, figure in figures(cells).items():
        file = "attacks-" + "-".join(name.replace(",", "").replace("'", "").split()) + ".svg"
        save(figure, ROOT / "docs" / "img" / file)
        print(file)


if __name__ == "__main__":
    main()
