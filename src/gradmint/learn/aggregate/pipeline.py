"""What a run aggregates by: steps that choose, bound or mix rows, then one rule."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from torch import Tensor

from ...spec.types import BPS
from ..codec.update import Floats
from . import coordinates, weightings
from .clipping import bounds
from .rows import Dense, Doubles, Linear, Rows

Weigh: TypeAlias = Callable[[Rows, int], Doubles]
Vector: TypeAlias = Callable[[Rows, int], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule is one of two functions of rows and f: ``weigh`` to weights, float64 [n]; or ``vector`` to the aggregate
    itself, float32 [d].

    ``slack``: it is defined while 2 f + slack <= n; where fewer rows come, f counts as the most that it is defined for.
    """

    weigh: Weigh | None = None
    vector: Vector | None = None
    slack: int = 1

    def most(self, count: int) -> int:
        """Most rows of ``count`` that may be anything."""
        return max(0, (count - self.slack) // 2)


def _gram(weigh: Callable[[Doubles, int], Doubles]) -> Weigh:
    return lambda rows, f: weigh(rows.gram, f)


RULES = {
    "mean": Rule(weigh=lambda rows, _: np.full(rows.count, 1 / rows.count)),
    "krum": Rule(weigh=_gram(weightings.krum), slack=3),
    "multi-krum": Rule(weigh=_gram(weightings.multi_krum), slack=3),
    "geometric-median": Rule(weigh=_gram(weightings.geometric_median)),
    "centered-clip": Rule(weigh=_gram(weightings.centered_clip)),
    "monna": Rule(weigh=_gram(weightings.monna), slack=3),
    "flag": Rule(weigh=_gram(weightings.flag)),
    "gas": Rule(weigh=coordinates.gas),
    "median": Rule(vector=coordinates.median),
    "trimmed-mean": Rule(vector=coordinates.trimmed_mean),
    "sign-majority": Rule(vector=coordinates.sign_majority),
}
#: Steps that may come before a rule, in the order in which a manifest names them.
PRE = ("norm-bound", "score-gate", "nnm")


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregationSpec:
    """How the round's updates become one vector."""

    rule: str  # one of RULES
    pre: tuple[str, ...]  # steps of PRE before it, each once, in any order
    byzantine_bps: int  # of the rows there are that may be anything: f, rounded down

    def byzantine(self, count: int) -> int:
        """f of ``count`` rows, as far as the rule is defined for so many."""
        return min(count * self.byzantine_bps // BPS, RULES[self.rule].most(count))

    def ranges(self) -> Iterator[tuple[bool, str]]:
        """What must hold, each with its words."""
        yield self.rule in RULES, f"aggregation.rule {self.rule!r} is one of {sorted(RULES)}"
        yield (
            set(self.pre) <= set(PRE) and len(set(self.pre)) == len(self.pre),
            f"aggregation.pre {self.pre} names some of {PRE}, each once",
        )
        yield 0 <= 2 * self.byzantine_bps < BPS, f"aggregation.byzantine_bps {self.byzantine_bps} lies in 0..4999"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """``vector`` float32 [d]. ``weights``, one float32 value a row, reproduce it to the bit by ``rows.combine``; None
    where the rule is not a weighting."""

    vector: Floats
    weights: tuple[float, ...] | None


def aggregate(rows: Rows, spec: AggregationSpec, accepted: Collection[int] | None = None) -> Aggregate:
    """One vector of all rows. ``accepted`` are the indices of rows that a score gate lets through; None: all of them.

    A gate that lets nothing through leaves zeros, at weights of zero where the rule is a weighting.
    """
    passed = set(range(rows.count) if accepted is None else accepted)
    made = rows
    places = list(range(rows.count))  # of the row given that each row made comes from, or is the neighbourhood of
    for step in spec.pre:
        if step == "score-gate":
            kept = [i for i, place in enumerate(places) if place in passed]
            if not kept:
                return _nothing(spec, rows.dimension, rows.count)
            made, places = Linear(made, np.eye(made.count)[kept]), [places[i] for i in kept]
        elif step == "norm-bound":
            made = Linear(made, np.diag(bounds(made.norms())))
        elif step == "nnm":
            made = Linear(made, weightings.nearest_neighbours(made.gram, spec.byzantine(made.count)))
    rule = RULES[spec.rule]
    f = spec.byzantine(made.count)
    if rule.weigh is None:
        assert rule.vector is not None
        return Aggregate(vector=rule.vector(made, f), weights=None)
    weights: Sequence[float] = rule.weigh(made, f).tolist()
    if isinstance(made, Linear):
        weights = made.weights(weights)
    published = tuple(np.array(weights, dtype=np.float32).tolist())
    return Aggregate(vector=rows.combine(published), weights=published)


def aggregate_matrix(matrix: Tensor, spec: AggregationSpec, accepted: Collection[int] | None = None) -> Aggregate:
    """As :func:`aggregate`, of a float32 [N, d] matrix. Rows that are not finite are gated out: as if they were not
    there, at weight 0. Zeros where no row is finite."""
    rows, kept = Dense.of(matrix)
    if rows is None:
        return _nothing(spec, matrix.shape[1], len(matrix))
    chosen = None if accepted is None else [place for place, i in enumerate(kept) if i in accepted]
    found = aggregate(rows, spec, chosen)
    if found.weights is None or len(kept) == len(matrix):
        return found
    weights = dict(zip(kept, found.weights, strict=True))
    return Aggregate(vector=found.vector, weights=tuple(weights.get(i, 0.0) for i in range(len(matrix))))


def _nothing(spec: AggregationSpec, dimension: int, count: int) -> Aggregate:
    weights = None if RULES[spec.rule].weigh is None else (0.0,) * count
    return Aggregate(vector=np.zeros(dimension, dtype=np.float32), weights=weights)
