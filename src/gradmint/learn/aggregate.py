"""Clipping to the median norm and the bit-exact mean.

Everything here is elementwise float32 in a fixed order, multiplication and addition as separate numpy calls, so no
library may fuse or reorder them: every machine and thread count gets the same bits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import Tensor

from .codec import Update
from .codec.update import Floats


def clip_factors(updates: Mapping[int, Update]) -> dict[int, float]:
    """min(1, median norm / norm) for each update, float64; 1 for a zero update. Raises NotFinite.

    Clipping to the median makes a value independent of its update's length. Of an even number it is the upper median:
    half the trainers sending nothing must not silence the other half.
    """
    norms = {trainer: update.norm() for trainer, update in updates.items()}
    median = sorted(norms.values())[len(norms) // 2] if norms else 0.0
    return {trainer: median / norm if norm > median else 1.0 for trainer, norm in norms.items()}


def clipped_mean(updates: Mapping[int, Update], chosen: Collection[int], dimension: int) -> Tensor:
    """Mean of the chosen updates, each clipped to the median norm of **all** updates, added in index order.

    Float32 [dimension]; zeros when nothing is chosen. Raises NotFinite, and KeyError for a chosen index without update.
    """
    factors = clip_factors(updates)
    total: Floats = np.zeros(dimension, dtype=np.float32)
    for trainer in sorted(chosen):
        updates[trainer].add_to(total, factors[trainer])
    if chosen:
        total *= np.float32(1 / len(chosen))
    return torch.from_numpy(total)
