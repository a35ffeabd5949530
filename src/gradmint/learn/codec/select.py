"""The largest values of each chunk, the same ones everywhere: of equal magnitudes the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from .update import Floats, Index, Table

SPARE = 4  # groups for each value kept, at least: fewer, and their maxima say little
TELLING = 8  # values for each that a copy is known by


def pick(rows: Floats, keep: int) -> tuple[NDArray[np.int64], Floats, NDArray[np.bool_]]:
    """Positions [n, keep] within each row and what is there; which rows are not finite, whose values count as zero."""
    magnitudes = np.abs(rows)
    broken = ~(magnitudes.max(axis=1) < np.inf)
    if broken.any():
        rows, magnitudes = (np.where(broken[:, None], np.float32(0), part) for part in (rows, magnitudes))
    kept = np.array(largest(magnitudes, keep))
    return kept, np.take_along_axis(rows, kept, axis=1), broken


def boldest(blocks: Iterable[tuple[Index, Floats]], table: Table) -> Iterator[tuple[Index, Floats]]:
    """Of an update that keeps all values, the largest eighth of each chunk, at least one."""
    for (_, values), (first, chunks, length, _) in zip(blocks, table.parts(), strict=True):
        rows = values.reshape(chunks, length)
        kept = largest(np.abs(rows), max(1, length // TELLING))
        starts = first * table.chunk + np.arange(chunks)[:, None] * length
        yield (starts + kept).reshape(-1).astype(np.int32), np.take_along_axis(rows, kept, axis=1).reshape(-1)


def largest(magnitudes: Floats, keep: int) -> NDArray[np.int64]:
    """Positions in each row, ascending, of its ``keep`` largest: [n, keep] for finite magnitudes [n, width].

    The keep-th largest of the maxima of disjoint groups is no larger than the keep-th largest value, and hardly
    smaller: only what reaches it is looked at closely. A group is every (width / groups)-th value, which are
    contiguous runs to the processor.
    """
    rows, width = magnitudes.shape
    if keep == width:
        return np.broadcast_to(np.arange(width), (rows, width))
    size = _group(width, keep)
    maxima = magnitudes.reshape(rows, size, -1).max(axis=1) if size > 1 else magnitudes
    floor = _kth(maxima, keep)
    at = np.flatnonzero(magnitudes >= floor)
    found = magnitudes.reshape(-1)[at]
    row = at // width
    counts = np.bincount(row, minlength=rows)
    starts = np.cumsum(counts) - counts
    if size > 1:  # of the few that are left, the exact threshold
        few: Floats = np.full((rows, int(counts.max())), -1, dtype=np.float32)
        few[row, np.arange(len(at)) - starts[row]] = found
        floor = _kth(few, keep)
    threshold = floor[row, 0]
    above = found > threshold
    equal = found == threshold
    nth = np.cumsum(equal)  # of the equals of its row, counted from 1 once earlier rows' are taken off
    room = keep - np.bincount(row[above], minlength=rows)
    before = np.concatenate(([0], nth))[starts]
    chosen = at[above | (equal & (nth - before[row] <= room[row]))]
    within: NDArray[np.int64] = chosen.reshape(rows, keep) - np.arange(rows)[:, None] * width
    return within


def _group(width: int, keep: int) -> int:
    """Values a group: the largest power of two that divides the row and leaves groups to spare."""
    size = 8
    while size > 1 and (width % size or width // size < SPARE * keep):
        size //= 2
    return size


def _kth(rows: Floats, keep: int) -> Floats:
    """The keep-th largest of each row, [n, 1]."""
    at = rows.shape[1] - keep
    kth: Floats = np.partition(rows, at, axis=1)[:, at, None]
    return kth
