"""Kind "topk": the largest values of each chunk as a sign and one of the chunk's two levels.

Body: levels, signs, which values are at the upper level, positions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...spec.errors import Malformed
from . import rice
from .levels import LEVELS, NOT_A_NUMBER, nearest, squares
from .positions import gaps, unpack_positions
from .select import pick
from .update import Bytes, Floats, Index, Table, Update, refuse_not_finite, root_of

SIGN = 2  # bit of a code: set when the value is negative
HIGH = 1  # bit of a code: set when the magnitude is the chunk's upper level
ROUNDS = 4  # of Lloyd's iteration; the error is within 1 % of the optimum by then


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SparseUpdate(Update):
    """``positions`` int32 [kept], ascending; ``codes`` uint8 [kept] of SIGN and HIGH; ``levels`` uint8 [chunks, 2], low
    and high."""

    table: Table
    positions: NDArray[np.int32]
    codes: Bytes
    levels: Bytes

    @property
    def finite(self) -> bool:
        return not bool((self.levels == NOT_A_NUMBER).any())

    def blocks(self) -> Iterator[tuple[Index, Floats]]:
        at = 0
        for first, chunks, _, keep in self.table.parts():
            end = at + chunks * keep
            level = LEVELS[self.levels[first : first + chunks]]
            palette = np.concatenate((level, -level), axis=1).reshape(-1)  # by code, four for each chunk
            codes = self.codes[at:end].reshape(chunks, keep) + 4 * np.arange(chunks)[:, None]
            yield self.positions[at:end], palette[codes].reshape(-1)
            at = end

    def pack(self) -> bytes:
        """The body. Raises ValueError for levels that descend: a caller's defect."""
        if (self.levels[:, 0] > self.levels[:, 1]).any():
            raise ValueError("levels descend; the lower one comes first")
        is_high = np.flatnonzero((self.codes & HIGH).view(np.bool_))
        return b"".join(
            (
                _pack_levels(self.levels),
                np.packbits(self.codes >> 1).tobytes(),
                len(is_high).to_bytes(8, "big"),
                rice.pack((np.diff(is_high, prepend=-1) - 1).astype(np.int32)),
                rice.pack(gaps(self.positions, self.table)),
            )
        )

    def norm(self) -> float:
        if not self.finite:
            refuse_not_finite(f"{int((self.levels == NOT_A_NUMBER).sum())} levels that are no numbers")
        counts = np.zeros(NOT_A_NUMBER, dtype=np.int64)
        at = 0
        for first, chunks, _, keep in self.table.parts():
            counts += np.bincount(self._level_codes(first, chunks, keep, at), minlength=NOT_A_NUMBER)
            at += chunks * keep
        return root_of(squares(counts))

    def _level_codes(self, first: int, chunks: int, keep: int, at: int) -> Bytes:
        """Level of each value of some chunks, the first of which is number ``at`` of all kept."""
        high = (self.codes[at : at + chunks * keep] & HIGH).astype(np.intp).reshape(chunks, keep)
        flat = self.levels[first : first + chunks].reshape(-1)
        chosen: Bytes = flat[high + 2 * np.arange(chunks)[:, None]].reshape(-1)
        return chosen


def quantise(vector: Tensor, chunk: int, keep: int) -> SparseUpdate:
    """Keeps the ``keep`` largest magnitudes of every ``chunk`` values of a float32 [d] vector, of equals the first.

    Magnitudes become one of two levels fitted to the chunk by Lloyd's iteration (least squares for two levels), levels
    one of 254 steps of an eighth octave. A chunk that is not finite is marked as such instead of guessed at.
    """
    return fit(vector.detach().numpy(), Table(dimension=len(vector), chunk=chunk, keep=keep))


def fit(vector: Floats, table: Table) -> SparseUpdate:
    return fit_each(vector[None], table)[0]


def fit_each(vectors: Floats, table: Table) -> list[SparseUpdate]:
    """:func:`fit` of each row of float32 [n, dimension], to the same bits: a chunk does not ask whose it is. Scratch is
    a block of each row."""
    count = len(vectors)
    positions = np.empty((count, table.kept), dtype=np.int32)
    codes: Bytes = np.empty((count, table.kept), dtype=np.uint8)
    levels: Bytes = np.empty((count, table.chunks, 2), dtype=np.uint8)
    at = 0
    for first, chunks, length, keep in table.parts():
        start, end = first * table.chunk, at + chunks * keep
        kept, *coded = _chunks(vectors[:, start : start + chunks * length].reshape(count * chunks, length), keep)
        kept = kept.reshape(count, chunks, keep) + (start + np.arange(chunks)[:, None] * length)
        positions[:, at:end] = kept.reshape(count, -1)
        codes[:, at:end] = coded[0].reshape(count, -1)
        levels[:, first : first + chunks] = coded[1].reshape(count, chunks, 2)
        at = end
    return [
        SparseUpdate(table=table, positions=places, codes=signs, levels=pairs)
        for places, signs, pairs in zip(positions, codes, levels, strict=True)
    ]


def _chunks(rows: Floats, keep: int) -> tuple[NDArray[np.int64], Bytes, Bytes]:
    """Positions [n, keep] within each row, codes [n, keep], levels [n, 2]."""
    kept, chosen, broken = pick(rows, keep)
    magnitudes = np.abs(chosen)
    levels = _fit(magnitudes)
    low, high = LEVELS[levels[:, :1]], LEVELS[levels[:, 1:]]
    is_high = (magnitudes - low > high - magnitudes) & (high > low)
    level = np.where(is_high, high, low)
    codes = np.where(is_high, HIGH, 0) | np.where((chosen < 0) & (level > 0), SIGN, 0)
    levels[broken] = NOT_A_NUMBER
    codes[broken] = 0
    return kept, codes.astype(np.uint8), levels


def _fit(magnitudes: Floats) -> Bytes:
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
    return nearest(np.concatenate([low, high], axis=1))


def unpack(body: bytes, table: Table) -> SparseUpdate:
    """Inverse of :meth:`SparseUpdate.pack`. Raises Malformed."""
    levels, at = _unpack_levels(body, table.chunks)
    signs_end = at + (table.kept + 7) // 8
    if signs_end + 8 > len(body):
        raise Malformed(f"body has {len(body)} bytes, the signs of {table.kept} values end at {signs_end}; send it all")
    codes = rice.unpack_bits(body[at:signs_end], table.kept)
    codes *= SIGN
    highs = int.from_bytes(body[signs_end : signs_end + 8], "big")
    if highs > table.kept:
        raise Malformed(f"{highs} values are at the upper level, only {table.kept} are kept")
    skipped, at = rice.unpack(body, signs_end + 8, highs, table.kept)
    is_high = np.cumsum(skipped, dtype=np.int64) + np.arange(highs)
    if highs and is_high[-1] >= table.kept:
        raise Malformed(f"value {is_high[-1]} is at the upper level, only {table.kept} are kept")
    codes[is_high] |= HIGH
    positions, at = unpack_positions(body, at, table)
    rice.ends(body, at)
    update = SparseUpdate(table=table, positions=positions, codes=codes, levels=levels)
    _check_codes(update)
    return update


def _pack_levels(levels: Bytes) -> bytes:
    """Upper levels as differences from the chunk before, which often has a like one; lower ones as what is between."""
    high = levels[:, 1].astype(np.int32)
    step = np.diff(high, prepend=np.int32(0))
    return rice.pack(np.where(step < 0, -2 * step - 1, 2 * step)) + rice.pack(high - levels[:, 0])


def _unpack_levels(body: bytes, chunks: int) -> tuple[Bytes, int]:
    folded, at = rice.unpack(body, 0, chunks, 2 * NOT_A_NUMBER)
    below, at = rice.unpack(body, at, chunks, NOT_A_NUMBER)
    high = np.cumsum(np.where(folded & 1, -(folded + 1 >> 1), folded >> 1), dtype=np.int64)
    low = high - below
    wrong = np.flatnonzero((low < 0) | (high > NOT_A_NUMBER))
    if len(wrong):
        raise Malformed(f"chunk {wrong[0]} has levels {low[wrong[0]]} and {high[wrong[0]]}, expected both in 0..255")
    return np.stack((low, high), axis=1).astype(np.uint8), at


def _check_codes(update: SparseUpdate) -> None:
    """One form per update: equal levels leave the magnitude bit unset, level zero the sign, NaN both."""
    half = np.flatnonzero((update.levels[:, 1] == NOT_A_NUMBER) & (update.levels[:, 0] != NOT_A_NUMBER))
    if len(half):
        raise Malformed(
            f"chunk {half[0]} has a lower level of {update.levels[half[0], 0]} beside one that is no number"
        )
    bare = (update.levels[:, 0] == update.levels[:, 1]) | (update.levels[:, 0] == 0)  # some code is not to be used
    at = 0
    for first, chunks, _, keep in update.table.parts() if bare.any() else ():
        rows = np.flatnonzero(bare[first : first + chunks])
        low, high = update.levels[first + rows].T[:, :, None]
        codes = update.codes[at : at + chunks * keep].reshape(chunks, keep)[rows]
        bad = ((codes & HIGH != 0) & (low == high)) | ((codes & SIGN != 0) & ((high == 0) | (high == NOT_A_NUMBER)))
        bad |= (codes == SIGN) & (low == 0)
        if bad.any():
            row, column = (int(each[0]) for each in np.nonzero(bad))
            raise Malformed(
                f"value {at + int(rows[row]) * keep + column} has code {codes[row, column]}, which its chunk's levels "
                "leave no room for"
            )
        at += chunks * keep
