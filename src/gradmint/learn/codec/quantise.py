"""Dense vector -> sparse update: chunked top-k, then two magnitude levels per chunk."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .update import HIGH, LEVELS, NOT_A_NUMBER, SIGN, Bytes, SparseUpdate, Table

ROUNDS = 4  # of Lloyd's iteration; the error is within 1 % of the optimum by then


def quantise(vector: Tensor, chunk: int, keep: int) -> SparseUpdate:
    """Keeps the ``keep`` largest magnitudes of every ``chunk`` values of a float32 [d] vector.

    Magnitudes become one of two levels fitted to the chunk by Lloyd's iteration (least squares for two levels), levels
    one of 254 steps of an eighth octave. A chunk that is not finite is marked as such instead of guessed at.
    """
    table = Table(dimension=len(vector), chunk=chunk, keep=keep)
    whole = (table.chunks - 1) * chunk
    parts = []
    if whole:
        parts.append(_chunks(vector[:whole].view(-1, chunk), keep))
    parts.append(_chunks(vector[whole:].view(1, -1), table.keep_last))
    starts = [np.arange(len(part[0]), dtype=np.int32) for part in parts]
    starts[-1] = np.array([table.chunks - 1], dtype=np.int32)
    positions = [part[0] + chunk * start[:, None] for part, start in zip(parts, starts, strict=True)]
    return SparseUpdate(
        table=table,
        positions=np.concatenate([part.reshape(-1) for part in positions]).astype(np.int32),
        codes=np.concatenate([part[1].reshape(-1) for part in parts]),
        levels=np.concatenate([part[2] for part in parts]),
    )


def _chunks(rows: Tensor, keep: int) -> tuple[NDArray[np.int64], Bytes, Bytes]:
    """Positions [n, keep] within each row, codes [n, keep], levels [n, 2]."""
    broken = ~rows.isfinite().all(1)
    rows = torch.where(broken[:, None], 0.0, rows)
    kept = rows.abs().topk(keep, dim=1, sorted=False).indices.sort(dim=1).values
    chosen = rows.gather(1, kept).numpy()
    magnitudes = np.abs(chosen)
    levels = _fit(magnitudes)
    low, high = LEVELS[levels[:, :1]], LEVELS[levels[:, 1:]]
    is_high = (magnitudes - low > high - magnitudes) & (high > low)
    level = np.where(is_high, high, low)
    codes = np.where(is_high, HIGH, 0) | np.where((chosen < 0) & (level > 0), SIGN, 0)
    levels[broken.numpy()] = NOT_A_NUMBER
    codes[broken.numpy()] = 0
    return kept.numpy(), codes.astype(np.uint8), levels


def _fit(magnitudes: NDArray[np.float32]) -> Bytes:
    """Least-squares pair of levels for each row, as codes [n, 2], low <= high."""
    values = magnitudes.astype(np.float64)
    split = values.mean(1, keepdims=True)
    total = values.sum(1, keepdims=True)
    size = values.shape[1]
    low = high = split
    for _ in range(ROUNDS):
        upper = values > split
        count = upper.sum(1, keepdims=True)
        above = np.where(upper, values, 0).sum(1, keepdims=True)
        high = above / np.maximum(count, 1)
        low = np.where(count < size, (total - above) / np.maximum(size - count, 1), high)
        high = np.where(count > 0, high, low)
        split = (low + high) / 2
    steps = np.log2(np.maximum(np.concatenate([low, high], axis=1), 2.0**-30)) + 24
    codes = np.rint(8 * steps) + 1
    return np.where(codes < 1, 0, np.minimum(codes, NOT_A_NUMBER - 1)).astype(np.uint8)
