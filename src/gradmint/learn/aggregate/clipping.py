"""Clipping to the median norm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..codec import Update


def bounds(norms: Sequence[float]) -> list[float]:
    """min(1, median norm / norm) for each norm; 1 for a norm of zero.

    Of an even number the median is the upper one: half the rows being zero must not silence the other half.
    """
    median = sorted(norms)[len(norms) // 2] if norms else 0.0
    return [median / norm if norm > median else 1.0 for norm in norms]


def clip_factors(updates: Mapping[int, Update]) -> dict[int, float]:
    """min(1, median norm / norm) for each update, float64; 1 for a zero update. Raises NotFinite.

    Clipping to the median makes a value independent of its update's length.
    """
    return dict(zip(updates, bounds([update.norm() for update in updates.values()]), strict=True))
