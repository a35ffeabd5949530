"""Where a round's time goes, from the traces that its processes leave behind.

Overhead is the part of a round in which no process at all trains or assesses: what the protocol costs on top of work.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..spec.types import Phase

WORK = frozenset({"train", "assess"})
PHASES = tuple(phase.name for phase in Phase if Phase.TRAIN <= phase <= Phase.SETTLE)
UNSEEN = "UNSEEN"  # between a round's first and last phase, and in none that the observer noted
PREFIX = "phase "  # of the observer's own lines

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Span:
    """One line of a trace; times are seconds since the epoch."""

    round: int
    what: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """``overhead_s`` is the part of ``wall_s`` in which nobody trained or assessed."""

    wall_s: float
    overhead_s: float


@dataclass(frozen=True, slots=True)
class RoundTime:
    """One round. ``phases`` are in the round's order; their times add up to the round's."""

    round: int
    wall_s: float
    overhead_s: float
    phases: dict[str, PhaseTime]

    @property
    def work_s(self) -> float:
        return self.wall_s - self.overhead_s

    @property
    def share(self) -> float:
        """Overhead as a part of the whole; 0 for a round that took no time."""
        return self.overhead_s / self.wall_s if self.wall_s else 0.0


@dataclass(frozen=True, slots=True)
class SpanTime:
    """How long one kind of span takes, over all processes and rounds."""

    what: str
    count: int
    median_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class Timing:
    """All rounds of a run, one at least. ``skipped`` counts lines that were torn by a killed process.

    Medians are over the rounds whose training was observed: without it a round looks like nothing but overhead.
    """

    rounds: tuple[RoundTime, ...]
    spans: tuple[SpanTime, ...]
    skipped: int

    @property
    def median_share(self) -> float:
        return median(item.share for item in self._whole)

    @property
    def median_overhead_s(self) -> float:
        return median(item.overhead_s for item in self._whole)

    @property
    def _whole(self) -> Sequence[RoundTime]:
        return [item for item in self.rounds if Phase.TRAIN.name in item.phases] or self.rounds


def measure(out: Path) -> Timing | None:
    """From a demo's folder: ``demo.jsonl`` and ``homes/*/trace.jsonl``. None when no phase was observed."""
    observed, skipped = _read(out / "demo.jsonl")
    spans: list[Span] = []
    for path in sorted(out.glob("homes/*/trace.jsonl")):
        found, torn = _read(path)
        spans += found
        skipped += torn
    rounds = round_times(spans, observed)
    return Timing(tuple(rounds), tuple(span_times(spans)), skipped) if rounds else None


def read_spans(lines: Iterable[str]) -> tuple[list[Span], int]:
    """Spans, and how many lines were torn.

    A process killed while writing leaves half a line, and its successor goes on after it: what follows the last ``{``
    is then a line of its own.
    """
    spans: list[Span] = []
    skipped = 0
    for line in filter(None, map(str.strip, lines)):
        span = _parse(line)
        if span is None:
            skipped += 1
            span = _parse(line[line.rfind("{") :]) if line.rfind("{") > 0 else None
        if span is not None:
            spans.append(span)
    return spans, skipped


def round_times(spans: Iterable[Span], observed: Iterable[Span]) -> list[RoundTime]:
    """Overhead per round and phase, in round order; ``observed`` are the spans named "phase TRAIN" to "phase SETTLE".

    A span of work counts wherever it lies, whatever round it belongs to: then somebody was at work.
    """
    work = union((span.start_s, span.end_s) for span in spans if span.what in WORK)
    seen: dict[int, dict[str, list[Interval]]] = {}
    for span in observed:
        name = span.what.removeprefix(PREFIX)
        if span.what.startswith(PREFIX) and name in PHASES:
            seen.setdefault(span.round, {}).setdefault(name, []).append((span.start_s, span.end_s))
    return [_round_time(number, seen[number], work) for number in sorted(seen)]


def span_times(spans: Iterable[Span]) -> list[SpanTime]:
    """Count, median and longest per kind of span, the longest kind first."""
    kinds: dict[str, list[float]] = {}
    for span in spans:
        kinds.setdefault(span.what, []).append(span.end_s - span.start_s)
    rows = [SpanTime(what, len(took), median(took), max(took)) for what, took in kinds.items()]
    return sorted(rows, key=lambda row: (-row.median_s, row.what))


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """Disjoint intervals that cover the same time, in order."""
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _round_time(number: int, phases: dict[str, list[Interval]], work: Sequence[Interval]) -> RoundTime:
    everything = [interval for intervals in phases.values() for interval in intervals]
    whole = [(min(start for start, _ in everything), max(end for _, end in everything))]
    times = {name: _phase_time(union(phases[name]), work) for name in PHASES if name in phases}
    wall_s, idle_s = _length(whole), _outside(whole, work)
    covered = union(everything)
    gap_s = wall_s - _length(covered)
    if gap_s > 1e-3:
        times[UNSEEN] = PhaseTime(gap_s, idle_s - _outside(covered, work))
    return RoundTime(number, wall_s, idle_s, times)


def _phase_time(intervals: Sequence[Interval], work: Sequence[Interval]) -> PhaseTime:
    return PhaseTime(_length(intervals), _outside(intervals, work))


def _length(intervals: Sequence[Interval]) -> float:
    return math.fsum(end - start for start, end in intervals)


def _outside(intervals: Sequence[Interval], work: Sequence[Interval]) -> float:
    """Length of ``intervals`` less what ``work`` covers of them; both are disjoint."""
    both = 0.0
    for start, end in intervals:
        for at, to in work[bisect_right(work, start, key=lambda piece: piece[1]) :]:
            if at >= end:
                break
            both += min(end, to) - max(start, at)
    return max(0.0, _length(intervals) - both)


def _read(path: Path) -> tuple[list[Span], int]:
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return read_spans(lines)
    except FileNotFoundError:
        return [], 0


def _parse(line: str) -> Span | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    number, what, start_s, end_s = row.get("round"), row.get("what"), _time(row, "start_s"), _time(row, "end_s")
    if type(number) is not int or number < 1 or not isinstance(what, str):
        return None
    if start_s is None or end_s is None or end_s < start_s:
        return None
    return Span(number, what, start_s, end_s)


def _time(row: dict[str, Any], name: str) -> float | None:
    """Seconds since the epoch; None for anything else, NaN and infinity included."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e11 else None
