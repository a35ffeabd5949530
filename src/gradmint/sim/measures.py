"""Rank correlation, inequality, and when something has been reached."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .population import Floats


def spearman(one: Floats, other: Floats) -> float:
    """Rank correlation; ties have their mean rank. 0 where one side does not vary."""
    first, second = ranks(one), ranks(other)
    if not first.std() or not second.std():
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def ranks(values: Floats) -> Floats:
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean: Floats = np.cumsum(counts) - (counts - 1) / 2
    return mean[where]


def gini(values: Floats) -> float:
    """0 when all have the same, nearly 1 when one has everything."""
    total, count = float(values.sum()), len(values)
    if not total:
        return 0.0
    return float((2 * np.arange(1, count + 1) - count - 1) @ np.sort(values) / (count * total))


def first_at(values: Sequence[float], least: float) -> int:
    """The first round, from 1, with at least so much; one more than there are when none has."""
    return next((r for r, value in enumerate(values, start=1) if value >= least), len(values) + 1)
