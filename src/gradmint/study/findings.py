"""What both halves of a calibration are made of: rates with their intervals, histograms, one cheat's findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..learn.numerics import Numerics
from .statistics import clopper_pearson

DIGITS = 6  # significant, of every rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A proportion with its exact 95% interval."""

    hits: int
    trials: int
    low: float
    high: float

    @classmethod
    def of(cls, outcomes: Iterable[bool]) -> Rate:
        seen = list(outcomes)
        low, high = clopper_pearson(sum(seen), len(seen))
        return cls(hits=sum(seen), trials=len(seen), low=short(low), high=short(high))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheatFound:
    """One cheat against every honest configuration."""

    name: str
    auc: float  # area under the ROC curve against the pooled honest pairs
    caught: Rate  # scenes in which every honest configuration finds it beyond what is accepted
    histogram: tuple[tuple[int, int], ...]  # bits of reports, percents of the tolerance of audits; comparisons


def formats(pair: str) -> str:
    """``bfloat16 | float32`` of ``float32/micro=16 | bfloat16``: what the noise between them depends on."""
    sides = (Numerics.parse(side) for side in pair.split(" | "))
    return " | ".join(sorted(str(Numerics(dtype=side.dtype, device=side.device)) for side in sides))


def expanded(histogram: Sequence[tuple[int, int]]) -> list[int]:
    """The distances that a histogram counts."""
    return [bits for bits, count in histogram for _ in range(count)]


def histogram(distances: Iterable[int]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(Counter(distances).items()))


def short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
