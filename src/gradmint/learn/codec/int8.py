"""Kind "int8": each value as a signed byte, in units of a level fitted to the chunk's greatest magnitude.

Body: a level for each chunk, then the bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...spec.errors import Malformed
from . import rice
from .levels import LEVELS, NOT_A_NUMBER, at_least, squares
from .select import boldest
from .update import Bytes, Floats, Index, Table, Update, refuse_not_finite, root_of

MOST = 127
FULL = 64  # what some value of a chunk reaches: with less, half the level would do


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Int8Update(Update):
    """``steps`` int8 [dimension] in units of the chunk's level; ``levels`` uint8 [chunks]."""

    table: Table
    steps: NDArray[np.int8]
    levels: Bytes

    @property
    def finite(self) -> bool:
        return not bool((self.levels == NOT_A_NUMBER).any())

    def blocks(self) -> Iterator[tuple[Index, Floats]]:
        for at, first, rows in self._rows():
            level = LEVELS[self.levels[first : first + len(rows)], None]
            yield at, (rows * level).reshape(-1)  # at most 23 significant bits: exact

    def telling(self) -> Iterator[tuple[Index, Floats]]:
        return boldest(self.blocks(), self.table)

    def pack(self) -> bytes:
        return self.levels.tobytes() + self.steps.tobytes()

    def norm(self) -> float:
        if not self.finite:
            refuse_not_finite(f"{int((self.levels == NOT_A_NUMBER).sum())} levels that are no numbers")
        sums = np.zeros(NOT_A_NUMBER, dtype=np.int64)
        for _, first, rows in self._rows():
            wide = rows.astype(np.int64)
            np.add.at(sums, self.levels[first : first + len(rows)], (wide * wide).sum(axis=1))
        return root_of(squares(sums))

    def _rows(self) -> Iterator[tuple[slice, int, NDArray[np.int8]]]:
        for first, chunks, length, _ in self.table.parts():
            at = slice(first * self.table.chunk, first * self.table.chunk + chunks * length)
            yield at, first, self.steps[at].reshape(chunks, length)


def fit(vector: Floats, table: Table) -> Int8Update:
    levels: Bytes = np.empty(table.chunks, dtype=np.uint8)
    steps = np.zeros(table.dimension, dtype=np.int8)
    for first, chunks, length, _ in table.parts():
        at = slice(first * table.chunk, first * table.chunk + chunks * length)
        rows = vector[at].reshape(chunks, length)
        greatest = np.abs(rows).max(axis=1)
        broken = ~(greatest < np.inf)
        codes = at_least(np.where(broken, 0, greatest).astype(np.float64) / MOST)
        codes[codes == 1] = np.where(greatest[codes == 1] * 2 > LEVELS[1], 1, 0)  # the least level may round all to 0
        unit = np.where(broken | (codes == 0), np.inf, LEVELS[codes])[:, None]
        whole = np.where(broken[:, None], 0, rows) / unit
        steps[at] = np.rint(np.clip(whole, -MOST, MOST)).astype(np.int8).reshape(-1)
        codes[broken] = NOT_A_NUMBER
        levels[first : first + chunks] = codes
    return Int8Update(table=table, steps=steps, levels=levels)


def unpack(body: bytes, table: Table) -> Int8Update:
    """Inverse of :meth:`Int8Update.pack`. Raises Malformed."""
    rice.ends(body, table.chunks + table.dimension)
    levels = np.frombuffer(body, dtype=np.uint8, count=table.chunks)
    steps = np.frombuffer(body, dtype=np.int8, offset=table.chunks)
    update = Int8Update(table=table, steps=steps, levels=levels)
    for _, first, rows in update._rows():
        level = levels[first : first + len(rows)]
        low, high = rows.min(axis=1).astype(np.int64), rows.max(axis=1).astype(np.int64)
        reached = np.maximum(high, -low)
        silent = (level == 0) | (level == NOT_A_NUMBER)
        wrong = (reached > MOST) | (silent & (reached > 0)) | (~silent & (reached < np.where(level == 1, 1, FULL)))
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise Malformed(f"chunk {first + at} reaches {reached[at]} of {MOST}, its level {level[at]} is another's")
    return update
