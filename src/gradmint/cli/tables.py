"""The look of tables, wherever one is printed beside no live display."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

NARROW = 120


def new_table(first: str, *rest: str) -> Table:
    """A column of names, then columns of numbers."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for name in rest:
        table.add_column(name, justify="right")
    return table


def new_console() -> Console:
    """As wide as the terminal; where there is none, wide enough for every table here."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, NARROW)
    return console
