"""Updates sent as scalars: how long each chunk is along directions of random signs, which a seed gives to everyone.

Direction j of a vector is a sequence of signs, bits of Philox4x32-10's stream j (:mod:`gradmint.learn.philox`); each
chunk has its own stretch of it. An update's values are integers times a power of two: the same bits everywhere.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..philox import words
from .update import Floats, Index, Table, Update, refuse_not_finite

SEED_SIZE = 8
LEAST_EXPONENT, GREATEST_EXPONENT = -64, 63
NOT_FINITE = 64  # the exponent of what diverged
WORD_BITS = 32


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProjectedUpdate(Update):  # a kind adds pack()
    """``scalars`` int8 [kept] in units of 2^``exponent``; ``seed`` of the directions, 8 bytes."""

    table: Table
    seed: bytes
    exponent: int
    scalars: NDArray[np.int8]

    @property
    def finite(self) -> bool:
        return self.exponent != NOT_FINITE

    def blocks(self) -> Iterator[tuple[Index, Floats]]:
        unit = np.float32(math.ldexp(1, self.exponent)) if self.finite else np.float32(np.nan)
        for at, whole in self._sums():
            yield at, whole.astype(np.float32) * unit  # below 2^23, and a power of two: exact

    def norm(self) -> float:
        if not self.finite:
            refuse_not_finite("no scale")
        square = sum(int((wide := whole.astype(np.int64)) @ wide) for _, whole in self._sums())
        return math.ldexp(math.sqrt(square), self.exponent)

    def _sums(self) -> Iterator[tuple[slice, NDArray[np.int32]]]:
        """Of scalars times signs, a block at a time."""
        at = 0
        for first, chunks, length, keep in self.table.parts():
            start = first * self.table.chunk
            scalars = self.scalars[at : at + chunks * keep].reshape(chunks, keep).astype(np.int32)
            total = np.zeros((chunks, length), dtype=np.int32)
            for j in range(keep):
                signs = directions(self.seed, j, start, chunks * length).reshape(chunks, length)
                total += signs * scalars[:, j, None]
            yield slice(start, start + chunks * length), total.reshape(-1)
            at += chunks * keep


def directions(seed: bytes, number: int, start: int, count: int) -> NDArray[np.int8]:
    """Signs ``start`` to ``start + count`` of a direction: lowest bit first, a set bit is -1."""
    first = start // WORD_BITS
    drawn = words(seed, number, first, (start + count - 1) // WORD_BITS + 1 - first)
    bits = np.unpackbits(drawn.astype("<u4").view(np.uint8), bitorder="little")[start % WORD_BITS :][:count]
    return np.int8(1) - (bits << 1).view(np.int8)


def lengths(vector: Floats, table: Table, seed: bytes) -> NDArray[np.float64]:
    """Each chunk's mean product with its directions, float64 [kept]: the scalar that takes most off the chunk."""
    found = []
    for first, chunks, length, keep in table.parts():
        start = first * table.chunk
        rows = vector[start : start + chunks * length].reshape(chunks, length)
        columns = [
            np.einsum("ij,ij->i", rows, directions(seed, j, start, chunks * length).reshape(rows.shape), dtype=float)
            for j in range(keep)
        ]
        found.append((np.stack(columns, axis=1) / length).reshape(-1))
    return np.concatenate(found)


def seed_of(vector: Floats) -> bytes:
    """Any seed will do, so a vector names its own: whoever compresses needs no further secret or state."""
    whole = hashlib.sha256()
    for at in range(0, len(vector), 1 << 20):
        whole.update(vector[at : at + (1 << 20)].tobytes())
    return whole.digest()[:SEED_SIZE]
