"""Rules that look at each coordinate, or group of coordinates, by itself: float32, elementwise, in a fixed order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from ..codec.update import Floats
from .rows import COLUMNS, Doubles, Rows

GROUPS = 1_000  # of coordinates, that GAS judges rows by


def median(rows: Rows, f: int = 0) -> Floats:
    """Each coordinate's median; of an even number the mean of the two in the middle."""
    low, high = (rows.count - 1) // 2, rows.count // 2
    return _each(rows, lambda block: _middle(block, low, high))


def trimmed_mean(rows: Rows, f: int) -> Floats:
    """Each coordinate's mean without the f least and the f greatest values (Yin et al., 2018)."""
    return _each(rows, lambda block: _middle(block, f, rows.count - f - 1))


def sign_majority(rows: Rows, f: int = 0) -> Floats:
    """The sign that most rows have at each coordinate (Bernstein et al., 2019), 0 at a draw, brought to the rows'
    upper median norm."""
    votes = _each(rows, lambda block: np.sign(np.sign(block).sum(axis=0, dtype=np.float32)))
    decided = int(np.count_nonzero(votes))
    length = sorted(rows.norms())[rows.count // 2]
    return votes * np.float32(length / math.sqrt(decided)) if decided else votes


def gas(rows: Rows, f: int, groups: int = GROUPS) -> Doubles:
    """Weights of GAS (Liu et al., 2023) over the coordinate-wise median: coordinates are split into groups, each row is
    scored by its distances from each group's median, the mean of the n - f best is taken.

    Groups are runs of neighbouring coordinates, not random ones: no draw has to be agreed on.
    """
    width = -(-rows.dimension // groups)
    scores: list[list[float]] = [[] for _ in range(rows.count)]
    low, high = (rows.count - 1) // 2, rows.count // 2
    for start, stop, block in rows.blocks(width * max(1, COLUMNS // width)):
        apart = block.astype(np.float64)
        apart -= _middle(block, low, high)
        apart *= apart
        whole = (stop - start) // width * width
        parts = [apart[:, :whole].reshape(rows.count, whole // width, width), apart[:, None, whole:]]
        for part in parts:
            for score, squares in zip(scores, np.sqrt(_added(part)), strict=True):
                score.extend(squares.tolist())
    order = sorted(range(rows.count), key=lambda i: math.fsum(scores[i]))
    weights = np.zeros(rows.count)
    weights[order[: rows.count - f]] = 1 / (rows.count - f)
    return weights


@lru_cache
def network(count: int, low: int, high: int) -> tuple[tuple[int, int], ...]:
    """Comparators, smaller to the first and greater to the second, that put the low-th to the high-th of ``count``
    values in their places: Batcher's odd-even merge sort without what these places do not depend on."""
    needed, kept = set(range(low, high + 1)), []
    for one, other in reversed(list(_batcher(count))):
        if one in needed or other in needed:
            kept.append((one, other))
            needed |= {one, other}
    return tuple(reversed(kept))


def _batcher(count: int) -> Iterator[tuple[int, int]]:
    p = 1
    while p < count:
        k = p
        while k:
            for j in range(k % p, count - k, 2 * k):
                for i in range(min(k, count - j - k)):
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p):
                        yield i + j, i + j + k
            k //= 2
        p *= 2


def _middle(block: Floats, low: int, high: int) -> Floats:
    """Mean of the low-th to the high-th value of each column, added from below. Writes to ``block``."""
    block += np.float32(0)  # -0 becomes 0: which of the two is the lesser is nobody's rule
    rows = list(block)
    spare = np.empty_like(rows[0])
    for one, other in network(len(rows), low, high):
        np.minimum(rows[one], rows[other], out=spare)
        np.maximum(rows[one], rows[other], out=rows[other])
        rows[one], spare = spare, rows[one]
    total: Floats = rows[low]
    for row in rows[low + 1 : high + 1]:
        total += row
    total *= np.float32(1 / (high - low + 1))
    return total


def _each(rows: Rows, rule: Callable[[Floats], Floats]) -> Floats:
    whole: Floats = np.empty(rows.dimension, dtype=np.float32)
    for start, stop, block in rows.blocks(COLUMNS):
        whole[start:stop] = rule(block)
    return whole


def _added(values: Doubles) -> Doubles:
    """Sums over the last axis by halving it: elementwise, so in one order everywhere."""
    while values.shape[-1] > 1:
        half = values.shape[-1] // 2
        folded = values[..., :half] + values[..., half : 2 * half]
        if values.shape[-1] % 2:
            folded[..., 0] += values[..., -1]
        values = folded
    return values[..., 0] if values.shape[-1] else np.zeros(values.shape[:-1])
