"""Calibration and red team as one self-contained page: inline drawings, no scripts, nothing loaded from elsewhere."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from .calibration import Calibration, Findings
from .findings import CheatFound, Rate, expanded
from .statistics import roc
from .tolerances import AuditFindings

if TYPE_CHECKING:
    from .redteam import RedTeam

INK, MUTED, RULE = "#171b21", "#596371", "#e1e5ea"
HONEST, CHEAT, LIMIT = "#0072b2", "#c94f00", "#171b21"
COLOURS = ("#0072b2", "#c94f00", "#00805d", "#a8508b", "#c97a00", "#3b97cb", "#6f7884", "#7a6a00")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.6, 1.4, 1.6)))  # never by colour alone
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gradmint",
    "font.family": "sans-serif",
    "font.size": 11.0,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": RULE,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "figure.facecolor": "white",
}
DPI, WIDTH, ROW = 72, 960, 150
LEAST_ALARMS = 1e-4  # where the ROC's axis begins
COLUMNS = 3


def write_page(path: Path, measured: Sequence[tuple[str, Calibration, Sequence[RedTeam]]]) -> None:
    """One page of policies, each with its name, calibration and attacks; the same bytes for the same figures."""
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        (Path(__file__).parent / "study.html.j2").read_text()
    )
    policies = [
        (
            policy,
            calibration,
            pictures(reports_drawn(calibration.report), f"Reports {policy}"),
            pictures(audits_drawn(calibration.training), f"Training {policy}") if calibration.training.cheats else (),
            attacks,
        )
        for policy, calibration, attacks in measured
    ]
    path.write_text(template.render(policies=policies, rate=rate_text, reach=reach, percent=percent))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What both kinds of findings look like: honest values, those of cheats, and where the lines between them are."""

    honest: Sequence[int]
    cheats: Sequence[CheatFound]
    limits: Sequence[int]
    ticks: Sequence[int]


def reports_drawn(findings: Findings) -> Drawn:
    """Bits."""
    return Drawn(
        honest=[bits for pair in findings.honest for bits in expanded(pair.histogram)],
        cheats=findings.cheats,
        limits=(findings.accept_bits, findings.slash_bits),
        ticks=(0, 4, 16, 64, 256, 1024),
    )


def audits_drawn(findings: AuditFindings) -> Drawn:
    """Percents of the tolerance."""
    return Drawn(
        honest=expanded(findings.honest),
        cheats=findings.cheats,
        limits=(100,),
        ticks=(0, 10, 100, 1000, 10000),
    )


def pictures(drawn: Drawn, name: str) -> tuple[Markup, Markup]:
    """ROC curves, and the distances of each cheat over those of honest pairs."""
    return svg(draw_roc(drawn), f"ROC curves: {name}"), svg(draw_distances(drawn), f"Distances: {name}")


def rate_text(rate: Rate) -> str:
    """``12/12 (77.9-100 %)``."""
    return f"{rate.hits}/{rate.trials} ({percent(rate.low)}-{percent(rate.high)} %)"


def percent(part: float) -> str:
    """Four figures, and never 100 for less than all."""
    text = f"{100 * part:.4g}"
    return text if part == 1 or float(text) < 100 else f"{100 * part:.10g}"


def reach(found: CheatFound) -> str:
    """Least and greatest distance."""
    return f"{found.histogram[0][0]}-{found.histogram[-1][0]}"


def draw_roc(drawn: Drawn) -> Figure:
    """False alarms are on a logarithmic axis, because that is where the question is."""
    honest = drawn.honest
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH / DPI, 380 / DPI), dpi=DPI)
        axes = figure.add_axes((0.07, 0.14, 0.58, 0.76))
        floor = min(LEAST_ALARMS, 0.5 / len(honest))
        for place, cheat in enumerate(sorted(drawn.cheats, key=lambda c: c.auc)):
            points = roc(honest, expanded(cheat.histogram))
            axes.step(
                [max(alarms, floor) for alarms, _ in points],
                [detections for _, detections in points],
                where="post",
                color=COLOURS[place % len(COLOURS)],
                linestyle=DASHES[place // len(COLOURS) % len(DASHES)],
                linewidth=1.6,
                label=f"{cheat.name}: {cheat.auc:.3f}",
            )
        axes.set_xscale("log")
        axes.set_xlim(floor, 1)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda part, _: f"{100 * part:g} %"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda part, _: f"{100 * part:g} %"))
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("false alarms, part of honest pairs", loc="left")
        axes.set_ylabel("detected, part of cheats' pairs")
        axes.set_title("ROC, worst first (area under the curve)")
        figure.legend(loc="upper left", bbox_to_anchor=(0.67, 0.93), frameon=False, fontsize=9)
    return figure


def draw_distances(drawn: Drawn) -> Figure:
    """A small histogram for each cheat, honest pairs behind, the limits marked."""
    rows = -(-len(drawn.cheats) // COLUMNS)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH / DPI, (rows * ROW + 30) / DPI), dpi=DPI, layout="constrained")
        grid = figure.subplots(rows, COLUMNS, squeeze=False)
        for axes in grid.flat[len(drawn.cheats) :]:
            axes.set_axis_off()
        edges = _edges(max(max(expanded(cheat.histogram)) for cheat in drawn.cheats))
        ticks = [tick for tick in drawn.ticks if tick <= edges[-1]]
        for axes, cheat in zip(grid.flat, drawn.cheats, strict=False):
            for values, colour in ((drawn.honest, HONEST), (expanded(cheat.histogram), CHEAT)):
                weights = [1 / len(values)] * len(values)
                axes.hist(values, bins=edges, weights=weights, color=colour, alpha=0.7, histtype="stepfilled")
            for limit in drawn.limits:
                axes.axvline(limit + 0.5, color=LIMIT, linewidth=0.9, linestyle=(0, (2, 2)))
            axes.set_xscale("symlog", linthresh=8)
            axes.set_xlim(-0.6, edges[-1])
            axes.set_xticks(ticks)
            axes.set_xticklabels([str(tick) for tick in ticks])
            axes.minorticks_off()
            axes.set_yticks([])
            axes.grid(False)
            axes.set_title(cheat.name)
    return figure


def _edges(top: int) -> list[float]:
    """Bins of one bit at first, then wider by an eighth each."""
    edges = [-0.5]
    while edges[-1] <= top:
        edges.append(edges[-1] + max(1, round(edges[-1] / 8)))
    return edges


def svg(figure: Figure, title: str) -> Markup:
    """The drawing as an element to put into a page."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    drawn = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    # Several drawings share a page: their clip paths' names must not.
    prefix = re.sub(r"\W+", "-", title.lower())
    drawn = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{prefix}-", drawn)
    label = str(Markup('<svg role="img" aria-label="{}"').format(title))
    return Markup(drawn.replace("<svg", label, 1))
