"""The attack table as one self-contained page and as drawings: heat maps, points lost by rule, pay beside a twin's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import jinja2
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from .arena import DEFAULT
from .attack_table import MOST_PAY, MOST_POINTS, Cell, mean
from .attacks import ATTACKS
from .page import COLOURS, DPI, INK, LIMIT, MUTED, RULE, STYLE, svg

T = TypeVar("T")
WIDTH = 1_100
LINE = 17  # pixels of a row
MOST_SHOWN = 60.0  # points lost at which the heat map is darkest
HEAT = LinearSegmentedColormap.from_list("lost", ["#ffffff", "#fbe3c8", "#f0a35a", "#c94f00", "#6d1d00"])
MARKS = ("o", "s", "^", "D")
SKEWS = {"iid": "alike data", "dirichlet": "skewed data"}


def write_page(path: Path, cells: Sequence[Cell], rounds: int, seeds: int) -> dict[str, Figure]:
    """The page; returns its drawings by name."""
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        (Path(__file__).parent / "attacks.html.j2").read_text()
    )
    drawn = figures(cells)
    pictures = [(name, svg(figure, name)) for name, figure in drawn.items()]
    path.write_text(
        template.render(
            pictures=pictures,
            cells=cells,
            peers=cells[0].peers,
            rounds=rounds,
            seeds=seeds,
            attacks=[ATTACKS[name] for name in ordered(cell.attack for cell in cells)],
            spread=spread,
            skews=SKEWS,
        )
    )
    return drawn


def save(figure: Figure, path: Path) -> None:
    """As a file by itself, the same bytes for the same figures."""
    with mpl.rc_context(STYLE):
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def figures(cells: Sequence[Cell]) -> dict[str, Figure]:
    """Every drawing the cells have something for."""
    found: dict[str, Figure] = {}
    for attackers in ordered(cell.attackers for cell in cells):
        some = [cell for cell in cells if cell.attackers == attackers]
        found[f"points lost, {attackers} of {some[0].peers} attack"] = draw_heat(some)
    if len({cell.rule for cell in cells}) > 1:
        found["points lost by rule"] = draw_rules(cells)
    default = [cell for cell in cells if cell.rule == DEFAULT]
    if default:
        found["pay beside an honest twin's"] = draw_pay(default)
    return found


def ordered(items: Iterable[T]) -> list[T]:
    """Distinct, in order of appearance."""
    return list(dict.fromkeys(items))


def spread(values: Sequence[float], form: str = "{:.1f}") -> str:
    """``1.2 [0.8, 1.9]``: mean, least and greatest of the seeds."""
    middle = form.format(mean(values))
    if len(values) == 1:
        return middle
    return f"{middle} [{form.format(min(values))}, {form.format(max(values))}]"


def draw_heat(cells: Sequence[Cell]) -> Figure:
    """Points lost, attacks by rules, one panel for each kind of data; with the rule its accuracy without attackers."""
    skews, attacks = _axes(cells, "skew"), _axes(cells, "attack")
    by_skew = {skew: _axes([cell for cell in cells if cell.skew == skew], "rule") for skew in skews}
    lost = {(cell.skew, cell.attack, cell.rule): mean(cell.lost) for cell in cells}
    height = LINE * len(attacks) + 130
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, layout="constrained")
        widths = [max(2, len(by_skew[skew])) for skew in skews]
        panels = figure.subplots(1, len(skews), squeeze=False, width_ratios=widths)[0]
        for axes, (skew, rules) in zip(panels, by_skew.items(), strict=True):
            values = np.array([[lost.get((skew, a, r), np.nan) for r in rules] for a in attacks])
            axes.imshow(values, cmap=HEAT, vmin=0, vmax=MOST_SHOWN, aspect="auto")
            for (i, j), value in np.ndenumerate(values):
                if np.isfinite(value):
                    colour = "white" if value > 0.6 * MOST_SHOWN else INK
                    weight = "bold" if value > MOST_POINTS else "normal"
                    shown = str(round(value))
                    axes.text(j, i, shown, ha="center", va="center", color=colour, fontsize=9, weight=weight)
            axes.set_title(SKEWS.get(skew, skew))
            clean = [_clean([c for c in cells if (c.skew, c.rule) == (skew, rule)]) for rule in rules]
            labels = [f"{rule} ({honest:.0f}%)" for rule, honest in zip(rules, clean, strict=True)]
            axes.set_xticks(range(len(rules)), labels, rotation=60, ha="right", rotation_mode="anchor")
            axes.set_yticks(range(len(attacks)), attacks if axes is figure.axes[0] else [""] * len(attacks))
            axes.tick_params(length=0)
            axes.grid(False)
            for side in axes.spines.values():
                side.set_visible(False)
    return figure


def _clean(cells: Sequence[Cell]) -> float:
    """Accuracy without attackers, per cent; the same for all cells of one rule, data and strength."""
    return mean(cells[0].accuracy) + mean(cells[0].lost) if cells else float("nan")


def draw_rules(cells: Sequence[Cell]) -> Figure:
    """Each attack a dot, the worst one named; a panel for each kind of data, at the most attackers a third allows."""
    skews, rules = _axes(cells, "skew"), _axes(cells, "rule")
    at = _third(cells)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH / DPI, (LINE * 1.5 * len(rules) + 90) / DPI), dpi=DPI, layout="constrained")
        for axes, skew in zip(figure.subplots(1, len(skews), sharey=True, squeeze=False)[0], skews, strict=True):
            for place, rule in enumerate(rules):
                own = [c for c in cells if (c.skew, c.rule, c.attackers) == (skew, rule, at)]
                own = [c for c in own if not ATTACKS[c.attack].helps]
                if not own:
                    continue
                worst = max(own, key=lambda cell: mean(cell.lost))
                axes.plot(
                    [mean(cell.lost) for cell in own],
                    [place] * len(own),
                    linestyle="",
                    marker="o",
                    markersize=4.5,
                    alpha=0.55,
                    color=COLOURS[0 if rule == DEFAULT else 6],
                )
                axes.annotate(
                    f"{worst.attack} {mean(worst.lost):.0f}",
                    (mean(worst.lost), place),
                    xytext=(6, 0),
                    textcoords="offset points",
                    va="center",
                    color=MUTED,
                    fontsize=9,
                )
            axes.axvline(MOST_POINTS, color=LIMIT, linewidth=0.9, linestyle=(0, (2, 2)))
            axes.set_yticks(range(len(rules)), rules)
            axes.set_ylim(len(rules) - 0.5, -0.5)
            axes.set_xlim(-8, 115)
            axes.set_xlabel("points of accuracy lost", loc="left")
            axes.set_title(f"{SKEWS.get(skew, skew)}, {at} of {cells[0].peers} attack")
    return figure


def draw_pay(cells: Sequence[Cell]) -> Figure:
    """The attackers' pay per head in multiples of their honest twins', with least and greatest of the seeds."""
    skews, attacks = _axes(cells, "skew"), _axes(cells, "attack")
    counts = ordered(cell.attackers for cell in cells)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH / DPI, (LINE * 1.3 * len(attacks) + 100) / DPI), dpi=DPI, layout="constrained")
        for axes, skew in zip(figure.subplots(1, len(skews), sharey=True, squeeze=False)[0], skews, strict=True):
            for index, count in enumerate(counts):
                own = [cell for cell in cells if (cell.skew, cell.attackers) == (skew, count)]
                places = [attacks.index(cell.attack) + 0.16 * (index - (len(counts) - 1) / 2) for cell in own]
                middle = [mean(cell.pay) for cell in own]
                low = [m - min(cell.pay) for m, cell in zip(middle, own, strict=True)]
                high = [max(cell.pay) - m for m, cell in zip(middle, own, strict=True)]
                axes.errorbar(
                    middle,
                    places,
                    xerr=[low, high],
                    linestyle="",
                    marker=MARKS[index % len(MARKS)],
                    markersize=4.5,
                    linewidth=1.0,
                    color=COLOURS[index % len(COLOURS)],
                    label=f"{count} of {cells[0].peers}",
                )
            axes.axvline(MOST_PAY, color=LIMIT, linewidth=0.9, linestyle=(0, (2, 2)))
            axes.set_yticks(range(len(attacks)), attacks)
            axes.set_ylim(len(attacks) - 0.5, -0.5)
            axes.set_xlim(left=-0.03)
            axes.set_xlabel("pay per head; 1 = the honest twin's", loc="left")
            axes.set_title(SKEWS.get(skew, skew))
        _legend(figure.axes[-1])
    return figure


def _axes(cells: Sequence[Cell], field: str) -> list[str]:
    return ordered(str(getattr(cell, field)) for cell in cells)


def _third(cells: Sequence[Cell]) -> int:
    """The most attackers that are less than a third, or the fewest there are."""
    counts = sorted({cell.attackers for cell in cells})
    return max((count for count in counts if 3 * count < cells[0].peers), default=counts[0])


def _legend(axes: Axes) -> None:
    axes.legend(frameon=True, edgecolor=RULE, loc="upper right", title="attackers")
