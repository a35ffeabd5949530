"""Kind "sign": one bit a value and the mean magnitude of each chunk (signSGD with error feedback, Karimireddy 2019).

Body: a level for each chunk, then the signs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...spec.errors import Malformed
from . import rice
from .levels import LEVELS, NOT_A_NUMBER, nearest, squares
from .update import Bytes, Floats, Index, Table, Update, refuse_not_finite, root_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SignUpdate(Update):
    """``negative`` uint8, bit by bit as on the wire; ``levels`` uint8 [chunks]."""

    table: Table
    negative: Bytes
    levels: Bytes

    @property
    def finite(self) -> bool:
        return not bool((self.levels == NOT_A_NUMBER).any())

    def blocks(self) -> Iterator[tuple[Index, Floats]]:
        for first, chunks, length, _ in self.table.parts():
            start = first * self.table.chunk
            bits, level = self._bits(first, chunks, length), LEVELS[self.levels[first : first + chunks], None]
            yield slice(start, start + chunks * length), np.where(bits, -level, level).reshape(-1)

    def pack(self) -> bytes:
        return self.levels.tobytes() + self.negative.tobytes()

    def norm(self) -> float:
        if not self.finite:
            refuse_not_finite(f"{int((self.levels == NOT_A_NUMBER).sum())} levels that are no numbers")
        counts = np.bincount(self.levels, minlength=NOT_A_NUMBER).astype(np.int64) * self.table.chunk
        counts[self.levels[-1]] -= self.table.chunk - self.table.last
        return root_of(squares(counts))

    def _bits(self, first: int, chunks: int, length: int) -> Bytes:
        start, stop = first * self.table.chunk, first * self.table.chunk + chunks * length
        bits = np.unpackbits(self.negative[start // 8 : -(-stop // 8)])[start % 8 :][: stop - start]
        return bits.reshape(chunks, length)


def fit(vector: Floats, table: Table) -> SignUpdate:
    levels: Bytes = np.empty(table.chunks, dtype=np.uint8)
    negative: Bytes = np.zeros(table.dimension, dtype=np.uint8)
    for first, chunks, length, _ in table.parts():
        start, stop = first * table.chunk, first * table.chunk + chunks * length
        rows = vector[start:stop].reshape(chunks, length)
        means = np.abs(rows).mean(axis=1, dtype=np.float64)
        broken = ~np.isfinite(means)
        codes = nearest(np.where(broken, 0, means))
        codes[broken] = NOT_A_NUMBER
        levels[first : first + chunks] = codes
        signed = (codes > 0) & ~broken
        negative[start:stop] = ((rows < 0) & signed[:, None]).reshape(-1)
    return SignUpdate(table=table, negative=np.packbits(negative), levels=levels)


def unpack(body: bytes, table: Table) -> SignUpdate:
    """Inverse of :meth:`SignUpdate.pack`. Raises Malformed."""
    rice.ends(body, table.chunks + (table.dimension + 7) // 8)
    levels = np.frombuffer(body, dtype=np.uint8, count=table.chunks)
    rice.unpack_bits(body[-1:], table.dimension % 8 or 8)
    update = SignUpdate(table=table, negative=np.frombuffer(body, dtype=np.uint8, offset=table.chunks), levels=levels)
    unsigned = (levels == 0) | (levels == NOT_A_NUMBER)
    for first, chunks, length, _ in table.parts() if unsigned.any() else ():
        bits = update._bits(first, chunks, length)
        wrong = np.flatnonzero(unsigned[first : first + chunks] & bits.any(axis=1))
        if len(wrong):
            at = first + int(wrong[0])
            raise Malformed(f"chunk {at} has signs, its level {levels[at]} leaves no room for any")
    return update
