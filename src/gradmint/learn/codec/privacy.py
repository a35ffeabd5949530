"""What the kind "private" gives away, as epsilon of local differential privacy: each update alone, to whoever reads it.

One scalar: its distribution is piecewise affine in the value, so the greatest ratio and the greatest Renyi divergence
between two values lie at ends of pieces, where they are computed exactly (sampling is off by at most 2^-32 a draw).
Many: n scalars an update, over T rounds, are k = n T mechanisms, each of which may depend on what was published before.

- basic: k epsilon_1, delta 0;
- advanced: epsilon_1 sqrt(2 k ln(1/delta)) + k epsilon_1 (e^epsilon_1 - 1) (Dwork, Rothblum & Vadhan, 2010);
- Renyi: the least over orders a of k epsilon_1(a) + ln(1/delta) / (a - 1) (Mironov, 2017, propositions 1 and 3).

Any two updates are neighbours: what is protected is all of a trainer's data at once. Error feedback would not break
this (a residual is a function of data and of what was published); headers would, see docs/codec.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...spec.types import BPS
from .update import Table

ORDERS = (1.01, 1.02, 1.05, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 16.0, 32.0, 64.0, 256.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Epsilons after some rounds, at ``delta`` for all but the basic one, which holds at delta 0."""

    rounds: int
    scalars: int  # published an update
    delta: float
    each: float  # of one scalar alone
    basic: float
    advanced: float
    renyi: float

    @property
    def best(self) -> float:
        return min(self.basic, self.advanced, self.renyi)


def account(table: Table, rounds: int, delta: float) -> Account:
    """Of ``rounds`` updates of one trainer. Raises ValueError for a delta outside (0, 1)."""
    if not 0 < delta < 1:
        raise ValueError(f"delta {delta} lies outside (0, 1)")
    each, count = scalar_epsilon(table), table.kept * rounds
    return Account(
        rounds=rounds,
        scalars=table.kept,
        delta=delta,
        each=each,
        basic=count * each,
        advanced=each * math.sqrt(2 * count * math.log(1 / delta)) + count * each * math.expm1(each),
        renyi=min(count * renyi(table, order) + math.log(1 / delta) / (order - 1) for order in ORDERS),
    )


def scalar_epsilon(table: Table) -> float:
    """The greatest logarithm of a ratio between the chances of one outcome under two values."""
    logs = np.log(_extremes(table))
    return float((logs.max(axis=0) - logs.min(axis=0)).max())


def renyi(table: Table, order: float) -> float:
    """The greatest Renyi divergence of an order above 1 between the outcomes of two values."""
    logs = np.log(_extremes(table))
    terms = order * logs[:, None] + (1 - order) * logs[None]
    greatest = terms.max(axis=2)
    sums = greatest + np.log(np.exp(terms - greatest[:, :, None]).sum(axis=2))
    return float(sums.max() / (order - 1))


def outcomes(table: Table, place: float) -> NDArray[np.float64]:
    """Chance of each level for a value at ``place``, in units of levels from the lowest: float64 [levels]."""
    top, kept = table.levels - 1, table.retain_bps / BPS
    below = min(top - 1, max(0, math.floor(place)))
    lows = np.array([(kept if i else 1.0) * (1 - kept) ** (below - i) for i in range(below + 1)])
    highs = np.array([(kept if i < top else 1.0) * (1 - kept) ** (i - below - 1) for i in range(below + 1, top + 1)])
    at = np.arange(top + 1)
    both = np.outer(lows, highs)
    up = (place - at[: below + 1, None]) / (at[None, below + 1 :] - at[: below + 1, None])
    return np.concatenate([(both * (1 - up)).sum(axis=1), (both * up).sum(axis=0)])


def _extremes(table: Table) -> NDArray[np.float64]:
    """Chances at the ends of all pieces: the bounds and the levels between them, [n, levels]."""
    top = table.levels - 1
    reach = top / 2 * BPS / (BPS + table.margin_bps)  # the bound, in units of levels from the middle
    ends = [top / 2 - reach, *(i for i in range(top + 1) if abs(i - top / 2) < reach), top / 2 + reach]
    return np.stack([outcomes(table, place) for place in ends])
