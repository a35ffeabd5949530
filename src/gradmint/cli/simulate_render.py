"""Progress and tables of a simulation, and the same as an object for machines."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..sim.economics import examine
from ..sim.study import Figure, Finding, Study

NARROW = 120


def examine_live(study: Study, names: Iterable[str], *, quiet: bool) -> dict[str, Finding]:
    """Plays the scenarios; says on standard error which one it is at, and how many rounds were settled."""
    names = tuple(names)
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rounds]:,} rounds"),
    )
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=quiet or not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=len(names), rounds=0)
        played = -1

        def begin(name: str) -> None:
            nonlocal played
            played += 1
            progress.update(task, description=f"{name:22}", completed=played)
            if not quiet and not console.is_terminal:
                console.print(f"{name} ...")

        def tick() -> None:
            progress.update(task, rounds=progress.tasks[task].fields["rounds"] + 1)

        return examine(replace(study, tick=tick), names, begin)


def number(value: float) -> str:
    """Three figures, never in powers of ten."""
    if value == int(value) and abs(value) < 1e6:
        return f"{value:.0f}"
    if abs(value) >= 1e6:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 1_000 else f"{value:.3g}" if abs(value) >= 0.01 else f"{value:.3f}"


def measured(figure: Figure) -> str:
    """The mean, and the least and greatest where seeds differ."""
    low, high = number(min(figure.values)), number(max(figure.values))
    text = number(figure.mean) if low == high else f"{number(figure.mean)}  [{low}, {high}]"
    return f"{text} {figure.unit}".rstrip()


def verdict(figure: Figure) -> str:
    """Whether what is asserted holds; a figure in its interval is reported, which is no more than it says."""
    if figure.holds is None:
        return ""
    return "NO" if not figure.holds else "yes" if figure.reported is None else "reported"


def show_findings(findings: Mapping[str, Finding]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, NARROW)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("figure", overflow="fold")
    table.add_column("measured: mean [least, greatest seed]", justify="right")
    table.add_column("asserted", justify="right", no_wrap=True)
    table.add_column("holds", no_wrap=True)
    for name, finding in findings.items():
        table.add_row(f"[bold]{name}[/bold]")
        for figure in finding.figures:
            style = "bold red" if figure.holds is False else ""
            table.add_row(f"  {figure.name}", measured(figure), figure.asserted, verdict(figure), style=style)
        table.add_section()
    console.print(table)


def as_markdown(findings: Mapping[str, Finding]) -> str:
    """The table of docs/economics.md."""
    lines = ["| figure | measured | asserted | holds |", "|---|---|---|---|"]
    for name, finding in findings.items():
        lines.append(f"| **{name[0].upper()}{name[1:]}** | | | |")
        for figure in finding.figures:
            told = verdict(figure) if figure.holds is not False else "**no**"
            lines.append(f"| {figure.name} | {measured(figure).replace('  ', ' ')} | {figure.asserted} | {told} |")
    return "\n".join(lines)


def as_object(study: Study, findings: Mapping[str, Finding]) -> dict[str, Any]:
    return {
        "trainers": study.trainers,
        "rounds": study.rounds,
        "seeds": list(study.seeds),
        "scenarios": {
            name: {
                "figures": [
                    {
                        "name": figure.name,
                        "defined": figure.defined,
                        "unit": figure.unit,
                        "mean": figure.mean,
                        "stdev": statistics.pstdev(figure.values),
                        "values": list(figure.values),
                        "asserted": figure.asserted,
                        "reported": figure.reported is not None,
                        "holds": figure.holds,
                    }
                    for figure in finding.figures
                ],
                "curves": [
                    {"plot": curve.plot, "label": curve.label, "x": list(curve.x), "y": list(curve.y)}
                    for curve in finding.curves
                ],
            }
            for name, finding in findings.items()
        },
    }
