"""Gain by Sybils, by entries, and what alpha and beta cost, as drawings that stand alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from .page import COLOURS, DASHES, DPI, INK, MUTED, STYLE
from .sybils import Findings

WIDTH, HEIGHT = 760, 380
MARKS = ("o", "s", "^", "D")


def write_plots(folder: Path, findings: Findings) -> list[Path]:
    """reputation-gain.svg, reputation-entries.svg and reputation-grid.svg; the same bytes for the same figures."""
    paths = []
    for name, draw in (("gain", draw_gain), ("entries", draw_entries), ("grid", draw_grid)):
        path = folder / f"reputation-{name}.svg"
        with mpl.rc_context(STYLE):
            draw(findings).savefig(path, metadata={"Date": None, "Creator": None})
        paths.append(path)
    return paths


def draw_gain(findings: Findings) -> Figure:
    """As in the paper: what a chain of Sybils gains, by their number."""
    alpha = findings.params.alpha_bps / 10_000
    figure, axes = _frame(
        f"What a chain of Sybils gains, α {alpha:g}", "sum of their scores over P(a walk comes by the attacker)"
    )
    curves = {name.split()[1]: points for name, points in findings.curves.items() if name.startswith("sybils ")}
    for place, (beta, points) in enumerate(curves.items()):
        colour, bound = COLOURS[place], (1 - float(beta)) * (1 - alpha) / alpha
        axes.plot(*zip(*points, strict=True), color=colour, marker=MARKS[place], markersize=5, clip_on=False)
        axes.axhline(bound, color=colour, linewidth=1, linestyle=DASHES[1])
        last = points[-1]
        axes.annotate(f"β {beta}: bound {bound:.2f}", (last[0], bound), xytext=(8, 0), textcoords="offset points",
                      color=colour, va="center", annotation_clip=False)  # fmt: skip
    axes.set_xlabel("Sybils", loc="left")
    axes.set_xlim(0, 50)
    axes.set_ylim(0, None)
    return figure


def draw_entries(findings: Findings) -> Figure:
    """What colluding entries gain, here and where only single cuts count."""
    figure, axes = _frame(
        f"Colluding entries, β 0.9, at most {findings.params.max_paths} paths count",
        "sum of their scores over P(a walk comes by an entry)",
    )
    labels = {"single": "single cuts alone (MeritRank)", "bound": "bound (1 − βʲ)(1 − α)/α", "paths": "disjoint paths"}
    for place, (name, label) in enumerate(labels.items()):
        points = findings.curves[f"entries {name}"]
        style: dict[str, Any] = {"color": COLOURS[(1, 2, 0)[place]], "linestyle": DASHES[1 if name == "bound" else 0]}
        axes.plot(*zip(*points, strict=True), marker=MARKS[place], markersize=5, **style)
        axes.annotate(label, points[-1], xytext=(8, 0), textcoords="offset points", color=style["color"], va="center",
                      annotation_clip=False)  # fmt: skip
    axes.set_xlabel("entries j", loc="left")
    axes.set_xticks(range(1, 6))
    axes.set_ylim(0, None)
    return figure


def draw_grid(findings: Findings) -> Figure:
    """What the best shape gains, over what the decays take from honest scores."""
    figure, axes = _frame("What α and β cost", "gain of the best of three shapes, 50 Sybils")
    alphas = sorted({cell.alpha for cell in findings.grid})
    for place, alpha in enumerate(alphas):
        cells = sorted((cell for cell in findings.grid if cell.alpha == alpha), key=lambda cell: cell.beta)
        points = [(cell.deviation, cell.gain) for cell in cells]
        style: dict[str, Any] = {"color": COLOURS[place], "linestyle": DASHES[place % len(DASHES)]}
        axes.plot(*zip(*points, strict=True), marker=MARKS[place], markersize=5, clip_on=False, **style)
        axes.annotate(f"α {alpha:g}", points[-1], xytext=(8, 0), textcoords="offset points",
                      color=COLOURS[place], va="center", annotation_clip=False)  # fmt: skip
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.axhline(1, color=INK, linewidth=1)
    axes.annotate("no more than the attacker gave up", (0, 1), xytext=(4, 4), textcoords="offset points", color=MUTED)
    axes.set_xlim(0, None)
    axes.set_xlabel(
        "mean relative deviation of honest scores from α 0.15 without β; along a line β is 0, 0.25, 0.5, 0.75, 0.9",
        loc="left",
    )
    return figure


def _frame(title: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
    axes = figure.add_axes((0.07, 0.14, 0.66, 0.68))
    axes.set_title(title, pad=28, fontsize=14)
    axes.text(0, 1.03, y, transform=axes.transAxes, color=MUTED, va="bottom")
    return figure, axes
