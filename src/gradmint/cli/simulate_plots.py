"""Plots of a simulation as files that stand alone, and the page that shows them beside the figures."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from ..sim.study import Curve, Finding, Study
from .plots import spread
from .simulate_render import measured, verdict

INK, MUTED, RULE = "#171b21", "#596371", "#e1e5ea"
COLOURS = ("#0072b2", "#c94f00", "#00805d", "#a8508b", "#c97a00", "#3b97cb", "#6f7884", "#7a6a00")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.6, 1.4, 1.6)))  # never by colour alone
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gradmint",
    "font.family": "sans-serif",
    "font.size": 12.0,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlelocation": "left",
    "axes.titlesize": 14,
    "axes.titleweight": "bold",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": RULE,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "figure.facecolor": "white",
    "lines.linewidth": 2.0,
}
WIDTH, HEIGHT, LEFT, DPI = 960, 440, 72, 72
PARTS = (0, 1, 5, 10, 15, 25, 50, 100)  # per cent
LINE = 17.0  # pixels between labels
CHARACTER = 7.2  # pixels, about


@dataclass(frozen=True, slots=True)
class Look:
    """How one plot's axes read."""

    title: str
    x: str
    y: str
    level: tuple[float, str, str] | None = None  # a reference line, what it is, and on which side that is written
    logs: bool = False
    root: bool = False  # square-root scale: small parts read beside large ones


LOOKS = {
    "split": Look(
        "One machine as several identities",
        "identities that share its work",
        "pay over the unsplit twin's, prices aside",
        (1.0, "no gain, no loss", "bottom"),
    ),
    "cabal": Look(
        "A cabal whose trainers do nothing",
        "round",
        "the cabal's part of all pay so far (%)",
        (0.15, "bound: 15%", "bottom"),
        root=True,
    ),
    "pay": Look(
        "Pay by what one does",
        "rounds since joining",
        "pay per round (shares; 1 = an average trainer's)",
    ),
    "rating": Look(
        "Ratings of seven honest trainers",
        "round",
        "rating: mu - 3 sigma (points; a newcomer has 0)",
    ),
    "join price": Look(
        "What many seats cost",
        "seats taken",
        "mean price of a seat (multiples of the floor)",
        logs=True,
    ),
}


def draw(name: str, curves: Sequence[Curve]) -> Figure:
    """One plot, its lines labelled where they end."""
    look = LOOKS[name]
    with mpl.rc_context(STYLE):
        room = max(len(curve.label) for curve in curves) * CHARACTER + 40
        figure = Figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
        axes = figure.add_axes((LEFT / WIDTH, 56 / HEIGHT, (WIDTH - LEFT - room) / WIDTH, (HEIGHT - 56 - 66) / HEIGHT))
        for place, curve in enumerate(curves):
            axes.plot(
                *(curve.x, curve.y),
                color=COLOURS[place % len(COLOURS)],
                linestyle=DASHES[place % len(DASHES)],
                marker="o" if len(curve.x) <= 10 else "",
            )
        axes.set_title(look.title, pad=34)
        axes.text(0, 1.03, look.y, transform=axes.transAxes, color=MUTED, va="bottom")
        axes.set_xlabel(look.x, loc="left")
        _scale(axes, look, name, curves)
        if look.level:
            value, said, side = look.level
            axes.axhline(value, color=INK, linewidth=1.1, linestyle=(0, (1.5, 2.5)))
            axes.annotate(
                said,
                (axes.get_xlim()[1], value),
                xytext=(-4, -8 if side == "top" else 4),
                textcoords="offset points",
                ha="right",
                va=side,
            )
        _labels(axes, curves)
    return figure


def _scale(axes: Axes, look: Look, name: str, curves: Sequence[Curve]) -> None:
    first = min(min(curve.x) for curve in curves)
    last = max(max(curve.x) for curve in curves)
    if look.logs or name == "split":
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(sorted({x for curve in curves for x in curve.x})))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(first * 0.93, last * 1.04)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=(1, 2, 5, 10), integer=True))
        axes.set_xlim(first - 0.01 * (last - first), last + 0.01 * (last - first))
    if look.logs:
        axes.set_yscale("log")
        ticks = {1: "1", 1e3: "1,000", 1e6: "a million", 1e9: "a billion"}
        axes.set_yticks(list(ticks), list(ticks.values()))
        axes.yaxis.set_minor_locator(NullLocator())
    elif look.root:
        axes.set_yscale("function", functions=(_root, _square))
        axes.set_ylim(-0.0002, 1.03)
        axes.set_yticks([part / 100 for part in PARTS], [f"{part}" for part in PARTS])
    else:
        low, high = min(min(curve.y) for curve in curves), max(max(curve.y) for curve in curves)
        axes.set_ylim(min(0, low) - 0.03 * (high - low), high + 0.07 * (high - low))


def _root(values: Any) -> Any:
    return np.sign(values) * np.sqrt(np.abs(values))


def _square(values: Any) -> Any:
    return np.sign(values) * np.square(values)


def _labels(axes: Axes, curves: Sequence[Curve]) -> None:
    """In the right margin, moved apart, each tied to its line's end."""
    ends = [(curve.x[-1], curve.y[-1]) for curve in curves]
    heights = [float(axes.transData.transform((1, y))[1]) - axes.bbox.y0 for _, y in ends]
    order = sorted(range(len(curves)), key=lambda i: heights[i])
    places = spread([heights[i] for i in order], LINE, 0.0, float(axes.bbox.height))
    for i, place in zip(order, places, strict=True):
        colour = COLOURS[i % len(COLOURS)]
        axes.annotate(
            *(curves[i].label, ends[i]),
            xytext=(float(axes.bbox.width) + 22, place),
            textcoords="axes pixels",
            va="center",
            color=colour,
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "alpha": 0.6, "relpos": (0, 0.5)},
        )


def by_plot(findings: Mapping[str, Finding]) -> dict[str, list[Curve]]:
    plots: dict[str, list[Curve]] = {}
    for finding in findings.values():
        for curve in finding.curves:
            if all(map(math.isfinite, curve.y)):
                plots.setdefault(curve.plot, []).append(curve)
    return plots


def write_page(study: Study, findings: Mapping[str, Finding], out: Path) -> list[Path]:
    """``<plot>.svg`` and ``.png``, and economics.html with the drawings inside. Returns what was written."""
    out.mkdir(parents=True, exist_ok=True)
    written, pictures = [], []
    for name, curves in by_plot(findings).items():
        stem = out / name.replace(" ", "-")
        figure = draw(name, curves)
        with mpl.rc_context(STYLE):
            figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None, "Creator": None})
            figure.savefig(stem.with_suffix(".png"), dpi=DPI, metadata={"Software": None})
        written += [stem.with_suffix(".svg"), stem.with_suffix(".png")]
        pictures.append((LOOKS[name].title, base64.b64encode(stem.with_suffix(".svg").read_bytes()).decode()))
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        (Path(__file__).parent / "economics.html.j2").read_text()
    )
    html = out / "economics.html"
    html.write_text(
        page.render(
            study=study,
            pictures=pictures,
            scenarios=[
                (name, [(figure, measured(figure), verdict(figure)) for figure in finding.figures])
                for name, finding in findings.items()
            ],
        )
    )
    return [*written, html]
