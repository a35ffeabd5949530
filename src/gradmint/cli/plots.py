"""The report's plots as inline SVG: text stays text, and colours are the page's, so that they follow light and dark.

Each function draws for a given width in CSS pixels; the page carries a wide and a narrow version of every plot. Colour
is never the only carrier of meaning: there are letters, line styles or labels as well.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

DPI = 72  # one SVG unit is one CSS pixel
TEXT, LINE_HEIGHT = 12.5, 16.0
WIDE, NARROW = 940, 360

#: Name on the page and the stand-in that matplotlib draws with; the stand-ins only have to differ.
COLOURS = {
    name: f"#{0x30 + 8 * place:02x}{0xA0 - 5 * place:02x}{0x11 + 7 * place:02x}"
    for place, name in enumerate(
        (
            *("ink", "dark", "muted", "rule", "paper", "calm", "void"),
            *("blue", "orange", "green", "vermillion", "purple", "sky", "yellow", "grey"),
        )
    )
}
STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": TEXT,
    "text.parse_math": False,
    "text.color": COLOURS["ink"],
    "axes.edgecolor": COLOURS["rule"],
    "axes.facecolor": "none",
    "axes.labelcolor": COLOURS["muted"],
    "axes.labelsize": TEXT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 1.0,
    "xtick.color": COLOURS["rule"],
    "ytick.color": COLOURS["rule"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "xtick.labelsize": TEXT,
    "ytick.labelsize": TEXT,
    "ytick.major.size": 0,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
}
MARKERS = "os^Dvp*X<>"
MOST_MARKERS = 600  # more would hide each other, and swell the page
LEADER = 22.0  # pixels between axes and labels
End = tuple[float, float, str, str]  # where a line ends, its label and colour


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a plot; ``dashed`` marks an adversary. ``short`` is the label where space is scarce."""

    label: str
    short: str
    colour: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """A horizontal reference line."""

    label: str
    y: float
    dashed: bool = True


@dataclass(frozen=True, slots=True)
class Cell:
    """How one kind of cell of a matrix looks."""

    label: str
    letter: str
    colour: str


Draw = Callable[[int], str]


def lines(
    name: str,
    series: Sequence[Series],
    levels: Sequence[Level],
    voids: Sequence[int],
    *,
    height: int,
    unit: str,
    zero: bool = False,
) -> Draw:
    """Lines over rounds, labelled at their ends. ``voids``: rounds without quorum; ``zero``: the y axis starts at 0."""

    def draw(width: int) -> str:
        with mpl.rc_context(STYLE):
            ends = [(math.inf, level.y, level.label, "ink") for level in levels] + _ends(series, width)
            figure, axes = _frame(width, height, left=52, right=_label_room(ends, width), top=22)
            _shade(axes, voids)
            for level in levels:
                axes.axhline(level.y, color=COLOURS["ink"], linewidth=1.2, linestyle=(0, (1.5, 2.5)))
            for item in series:
                mark = "o" if len(item.x) <= 80 and len(series) == 1 else ""
                style = _dashes(item)
                axes.plot(
                    item.x, item.y, color=COLOURS[item.colour], marker=mark, markersize=4.5, linestyle=style, zorder=3
                )
            _rounds(axes, [x for item in series for x in item.x])
            axes.set_ymargin(0.08)
            axes.autoscale_view(scalex=False)
            if zero:
                axes.set_ylim(bottom=-0.02 * axes.get_ylim()[1])
                axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
            _unit(axes, unit)
            _end_labels(axes, ends)
            return _svg(figure, f"{name}-{width}")

    return draw


def distances(
    name: str, series: Sequence[Series], accept_bits: float, slash_bits: float, most_bits: float, voids: Sequence[int]
) -> Draw:
    """Bits between each verifier and the medoid; symmetric-logarithmic, so that 0, 3 and 500 all read."""

    def draw(width: int) -> str:
        with mpl.rc_context(STYLE):
            ends = [(math.inf, accept_bits, "↓ accepted", "ink"), (math.inf, slash_bits, "↑ slashed", "ink")]
            ends += _ends(series, width)
            figure, axes = _frame(width, 300, left=52, right=_label_room(ends, width), top=22)
            axes.set_yscale("symlog", linthresh=4, linscale=0.6, base=2)
            axes.set_ylim(-0.9, most_bits * 1.15)
            _shade(axes, voids)
            axes.axhspan(accept_bits, slash_bits, color=COLOURS["yellow"], alpha=0.16, linewidth=0)
            axes.axhspan(slash_bits, most_bits * 1.15, color=COLOURS["vermillion"], alpha=0.12, linewidth=0)
            for bits in (accept_bits, slash_bits):
                axes.axhline(bits, color=COLOURS["ink"], linewidth=1.2, linestyle=(0, (1.5, 2.5)))
            few = sum(len(item.x) for item in series) <= MOST_MARKERS
            for place, item in enumerate(series):
                axes.plot(
                    *(item.x, item.y),
                    color=COLOURS[item.colour],
                    marker=MARKERS[place % len(MARKERS)] if few or len(item.x) < 10 else "",
                    markersize=6 if width >= WIDE else 4,
                    linestyle=_dashes(item),
                    linewidth=1.0,
                    markeredgewidth=0.8,
                    markeredgecolor=COLOURS["paper"],
                )
            ticks = sorted({0, 4, 16, accept_bits, slash_bits, most_bits})
            axes.set_yticks(ticks, [f"{tick:.0f}" for tick in ticks])
            axes.yaxis.set_minor_locator(NullLocator())
            _rounds(axes, [x for item in series for x in item.x])
            _unit(axes, "bits to the medoid")
            _end_labels(axes, ends)
            return _svg(figure, f"{name}-{width}")

    return draw


def bars(
    name: str, x: Sequence[float], stacks: Sequence[tuple[str, Sequence[float]]], *, height: int, unit: str
) -> Draw:
    """Stacked bars over rounds; ``stacks`` are (colour, values) from the bottom up."""

    def draw(width: int) -> str:
        with mpl.rc_context(STYLE):
            figure, axes = _frame(width, height, left=58, right=8, top=22)
            floor = [0.0] * len(x)
            for colour, values in stacks:
                boxes = [(at - 0.4, low, 0.8, value) for at, low, value in zip(x, floor, values, strict=True) if value]
                _boxes(axes, boxes, colour)
                floor = [low + value for low, value in zip(floor, values, strict=True)]
            axes.set_xlim(min(x, default=1) - 0.7, max(x, default=1) + 0.7)
            axes.set_ylim(0, max(floor, default=0) * 1.06 or 1)
            _rounds(axes, x, fit=False)
            axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
            _unit(axes, unit)
            return _svg(figure, f"{name}-{width}")

    return draw


def matrix(
    name: str, rows: Sequence[tuple[str, str]], x: Sequence[int], cells: Sequence[Sequence[str]], kinds: dict[str, Cell]
) -> Draw:
    """Categories by row and round. ``rows``: (label, short label); ``cells[row][column]``: a key of ``kinds`` or "".

    ``x`` is the first round of each column; all columns stand for equally many.
    """
    step = x[1] - x[0] if len(x) > 1 else 1
    tall = max(10.0, min(26.0, 700 / max(1, len(rows))))

    def draw(width: int) -> str:
        with mpl.rc_context(STYLE):
            names = [long if width >= WIDE else short for long, short in rows]
            left = math.ceil(min(max(map(_text_width, names)) + 14, 0.3 * width))
            height = int(len(rows) * tall + 46)
            figure, axes = _frame(width, height, left=left, right=8, top=4)
            for key, kind in kinds.items():
                _boxes(axes, _runs(cells, x[0] - 0.5, step, key), kind.colour)
            wide = (width - left - 8) / max(1, len(x))
            if wide >= 9 and tall >= 12:
                for row, line in enumerate(cells):
                    for column, key in enumerate(line):
                        if key and kinds[key].letter:
                            axes.text(
                                *(x[column] + (step - 1) / 2, row, kinds[key].letter),
                                color=COLOURS[letter_colour(kinds[key].colour)],
                                fontsize=min(11.0, wide),
                                fontweight="bold",
                                ha="center",
                                va="center_baseline",
                            )
            edges = [at - 0.5 for at in (*x, x[-1] + step)]
            if wide >= 6:
                axes.vlines(edges[1:], -0.5, len(rows) - 0.5, color=COLOURS["paper"], linewidth=1)
            between = [row + 0.5 for row in range(len(rows))]
            axes.hlines(between, edges[0], edges[-1], color=COLOURS["paper"], linewidth=2)
            axes.set_xlim(edges[0], edges[-1])
            axes.set_ylim(len(rows) - 0.5, -0.5)
            axes.set_yticks(range(len(rows)), [_cut(label, left - 12) for label in names])
            axes.tick_params(axis="y", labelcolor=COLOURS["ink"])
            _rounds(axes, x, fit=False)
            axes.grid(visible=False)
            axes.spines["bottom"].set_visible(False)
            return _svg(figure, f"{name}-{width}")

    return draw


def letter_colour(colour: str) -> str:
    """What is legible on ``colour``, in light and dark."""
    return "dark" if colour in ("yellow", "sky", "orange") else "paper"


def _dashes(item: Series) -> Any:
    return (0, (4, 2.2)) if item.dashed else "-"


def _frame(width: int, height: int, *, left: int, right: int, top: int, bottom: int = 42) -> tuple[Figure, Axes]:
    """A figure with one set of axes, margins in pixels."""
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes(
        (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    )
    axes.grid(visible=True, axis="y")
    return figure, axes


def _rounds(axes: Axes, x: Sequence[float], *, fit: bool = True) -> None:
    axes.set_xlabel("round", loc="left")
    axes.xaxis.set_major_locator(
        MaxNLocator(nbins=10 if axes.bbox.width > 500 else 6, steps=(1, 2, 5, 10), integer=True)
    )
    if fit and x:
        room = max(0.5, 0.015 * (max(x) - min(x)))
        axes.set_xlim(min(x) - room, max(x) + room)


def _unit(axes: Axes, unit: str) -> None:
    """The y axis's unit, written above it instead of sideways."""
    axes.annotate(
        unit,
        (0, 1),
        xycoords=("figure pixels", "axes fraction"),
        xytext=(4, 9),
        textcoords="offset points",
        color=COLOURS["muted"],
        annotation_clip=False,
    )


def _shade(axes: Axes, voids: Sequence[int]) -> None:
    for number in voids:
        axes.axvspan(number - 0.5, number + 0.5, color=COLOURS["void"], alpha=0.5, linewidth=0)


def _ends(series: Iterable[Series], width: int) -> list[End]:
    return [
        (item.x[-1], item.y[-1], item.label if width >= WIDE else item.short, item.colour) for item in series if item.x
    ]


def _label_room(ends: Sequence[End], width: int) -> int:
    """Pixels to the right of the axes for the longest label."""
    longest = max((_text_width(text) for _, _, text, _ in ends), default=0.0)
    return math.ceil(min(longest + LEADER + 8, 0.32 * width))


def _end_labels(axes: Axes, ends: Sequence[End]) -> None:
    """Labels in the right margin at the height of the lines' ends, moved apart where they would overlap.

    A line that ends long before the margin has its label right there.
    """
    edge = axes.get_xlim()[1]
    near = [end for end in ends if end[0] > edge - 0.2 * (edge - axes.get_xlim()[0])]
    for x, y, text, colour in ends:
        if (x, y, text, colour) not in near:
            axes.annotate(
                *(text, (x, y)),
                xytext=(9, 0),
                textcoords="offset points",
                va="center_baseline",
                color=COLOURS[colour],
            )
    heights = [float(axes.transData.transform((0, y))[1]) - axes.bbox.y0 for _, y, _, _ in near]
    shown = sorted(range(len(near)), key=lambda i: (heights[i], -i))
    fit = int(axes.bbox.height / LINE_HEIGHT) + 1
    if len(shown) > fit:  # the extremes say most; those between go without
        shown = shown[: fit // 2] + shown[len(shown) - (fit - fit // 2) :]
    places = spread([heights[i] for i in shown], LINE_HEIGHT, 0.0, axes.bbox.height)
    room = float(axes.figure.bbox.width - axes.bbox.x1)
    for i, place in zip(shown, places, strict=True):
        x, y, text, colour = near[i]
        axes.annotate(
            _cut(text, room - LEADER),
            (min(x, edge), y),
            xytext=(axes.bbox.width + LEADER, place),
            textcoords="axes pixels",
            va="center_baseline",
            color=COLOURS[colour],
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": COLOURS[colour],
                "linewidth": 0.8,
                "alpha": 0.6,
                "shrinkA": 2,
                "shrinkB": 3,
                "relpos": (0, 0.5),
            },
        )


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions near the ``wanted`` ones, which are in ascending order, at least ``gap`` apart and within bounds."""
    groups: list[list[float]] = []  # [sum of wanted - offsets, members]
    for place in wanted:
        groups.append([place, 1])
        while len(groups) > 1 and _start(groups[-2], gap, low, high) + groups[-2][1] * gap > _start(
            groups[-1], gap, low, high
        ):
            total, count = groups.pop()
            groups[-1] = [groups[-1][0] + total - count * groups[-1][1] * gap, groups[-1][1] + count]
    return [_start(group, gap, low, high) + k * gap for group in groups for k in range(int(group[1]))]


def _start(group: list[float], gap: float, low: float, high: float) -> float:
    total, count = group
    return max(low, min(total / count, high - (count - 1) * gap))


def _boxes(axes: Axes, boxes: Sequence[tuple[float, float, float, float]], colour: str) -> None:
    """Rectangles (left, bottom, width, height) as one path: a thousand rounds stay a small file."""
    if not boxes:
        return
    corners = [
        point
        for left, low, wide, tall in boxes
        for point in ((left, low), (left + wide, low), (left + wide, low + tall), (left, low + tall), (left, low))
    ]
    codes = [Outline.MOVETO, Outline.LINETO, Outline.LINETO, Outline.LINETO, Outline.CLOSEPOLY] * len(boxes)
    axes.add_patch(PathPatch(Outline(corners, codes), facecolor=COLOURS[colour], linewidth=0))


def _runs(cells: Sequence[Sequence[str]], left: float, step: int, key: str) -> list[tuple[float, float, float, float]]:
    """Boxes around neighbouring cells of one kind."""
    boxes: list[tuple[float, float, float, float]] = []
    for row, line in enumerate(cells):
        start: int | None = None
        for column in range(len(line) + 1):
            inside = column < len(line) and line[column] == key
            if inside and start is None:
                start = column
            elif not inside and start is not None:
                boxes.append((left + start * step, row - 0.5, (column - start) * step, 1))
                start = None
    return boxes


def _text_width(text: str) -> float:
    """About so many pixels; readers' fonts differ."""
    return 0.56 * TEXT * len(text)


def _cut(text: str, pixels: float) -> str:
    """As much of ``text`` as fits in about so many pixels."""
    most = max(4, int(pixels / _text_width("n")))
    return text if len(text) <= most else text[: most - 1] + "…"


def _thousands(value: float, _: object) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


_NAMES = {colour: name for name, colour in COLOURS.items()}
_COLOUR = re.compile(r"(fill|stroke): ?(#[0-9a-f]{6})")
_FONT = re.compile(r" font-family: [^;\"]*;?")  # the page's own instead
_NO_TURN = re.compile(r" transform=\"rotate\(-0 [^\"]*\"")
_DECIMALS = re.compile(r"(\d\.\d\d)\d+")  # hundredths of a pixel are plenty


def _svg(figure: Figure, name: str) -> str:
    """The figure's ``<svg>`` element, fit to stand in a page beside others: no ids but its own, the page's colours."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # it is the reader's browser that needs the glyph
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style type=\"text/css\">.*?</style>", "", text, flags=re.S)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))

    def clean(found: re.Match[str]) -> str:
        tag = re.sub(r' id="([^"]*)"', lambda id_: f' id="{name}-{id_[1]}"' if id_[1] in used else "", found[0])
        tag = re.sub(r"(url\(#|href=\"#)", rf"\g<1>{name}-", tag)
        tag = _COLOUR.sub(lambda pair: f"{pair[1]}: var(--{_NAMES[pair[2]]})" if pair[2] in _NAMES else pair[0], tag)
        return _DECIMALS.sub(r"\1", _NO_TURN.sub("", _FONT.sub("", tag)))

    text = re.sub(r"<[^>]*>", clean, text)  # tags only: labels stay as they are
    text = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', text, count=1)
    return re.sub(r"\s*\n\s*", "\n", text)
