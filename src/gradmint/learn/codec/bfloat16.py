"""Kind "bfloat16": each value rounded to the upper half of its float32, to nearest, ties to even.

Body: the halves, big-endian. Zero has no sign; whatever is not finite is one NaN.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...spec.errors import Malformed
from . import rice
from .select import boldest
from .update import Floats, Index, Table, Update, refuse_not_finite, root_of

NAN = 0x7FC0
INFINITE = 0x7F80  # as magnitude, and what is above
NEGATIVE = 0x8000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bfloat16Update(Update):
    """``halves`` uint16 [dimension], in the machine's byte order."""

    table: Table
    halves: NDArray[np.uint16]

    @property
    def finite(self) -> bool:
        return not bool((self.halves == NAN).any())

    def blocks(self) -> Iterator[tuple[Index, Floats]]:
        for at in _ranges(self.table):
            yield at, (self.halves[at].astype(np.uint32) << 16).view(np.float32)

    def telling(self) -> Iterator[tuple[Index, Floats]]:
        return boldest(self.blocks(), self.table)

    def pack(self) -> bytes:
        return self.halves.astype(">u2").tobytes()

    def norm(self) -> float:
        if not self.finite:
            refuse_not_finite(f"{int((self.halves == NAN).sum())} values that are no numbers")
        counts = np.zeros(NEGATIVE, dtype=np.int64)
        for at in _ranges(self.table):
            counts += np.bincount(self.halves[at] & (NEGATIVE - 1), minlength=NEGATIVE)
        of_exponent = counts.reshape(256, 128)
        fractions = np.arange(128, dtype=np.int64)
        sums = [of_exponent[0] @ fractions**2, *(of_exponent[1:255] @ (fractions + 128) ** 2)]
        return root_of((int(total), 2 * (max(1, e) - 127 - 7)) for e, total in enumerate(sums))


def fit(vector: Floats, table: Table) -> Bfloat16Update:
    halves = np.empty(table.dimension, dtype=np.uint16)
    for at in _ranges(table):
        words = vector[at].view(np.uint32)
        rounded = ((words + (0x7FFF + ((words >> 16) & 1)).astype(np.uint32)) >> 16).astype(np.uint16)
        rounded[rounded == NEGATIVE] = 0
        rounded[~(np.abs(vector[at]) < np.inf) | (rounded & (NEGATIVE - 1) >= INFINITE)] = NAN
        halves[at] = rounded
    return Bfloat16Update(table=table, halves=halves)


def unpack(body: bytes, table: Table) -> Bfloat16Update:
    """Inverse of :meth:`Bfloat16Update.pack`. Raises Malformed."""
    rice.ends(body, 2 * table.dimension)
    halves = np.frombuffer(body, dtype=">u2").astype(np.uint16)
    for at in _ranges(table):
        part = halves[at]
        wrong = np.flatnonzero((part == NEGATIVE) | ((part & (NEGATIVE - 1) >= INFINITE) & (part != NAN)))
        if len(wrong):
            where = int(wrong[0])
            raise Malformed(f"value {at.start + where} is {part[where]:#06x}, which has another form: 0 or {NAN:#06x}")
    return Bfloat16Update(table=table, halves=halves)


def _ranges(table: Table) -> Iterator[slice]:
    for first, chunks, length, _ in table.parts():
        yield slice(first * table.chunk, first * table.chunk + chunks * length)
