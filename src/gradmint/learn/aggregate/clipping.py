"""Clipping to the median norm, and the mean of clipped updates that values are measured in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..codec import Update
from .rows import Sparse


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


def clipped_mean(updates: Mapping[int, Update], chosen: Collection[int], dimension: int) -> Tensor:
    """Mean of the chosen updates, each clipped to the median norm of **all** updates, added in index order.

    The game that updates are valued in, whatever rule the run aggregates by. Float32 [dimension]; zeros when nothing
    is chosen. Raises NotFinite, and KeyError for a chosen index without update.
    """
    factors = clip_factors(updates)
    order = sorted(chosen)
    if not order:
        return torch.from_numpy(np.zeros(dimension, dtype=np.float32))
    return torch.from_numpy(Sparse([updates[i] for i in order]).combine([factors[i] / len(order) for i in order]))
