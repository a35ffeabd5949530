"""Rows to aggregate: updates as they are published, or any dense matrix, behind one interface.

Weights come from inner products, and those are the same bits on every machine because a part of the columns at a time
is exact: each row is rounded to integers of so many bits that no sum of products can exceed 2^53, which float64 holds
in any order, by any BLAS, on any number of threads. Parts are added from the first to the last. Everything else is
elementwise, multiplication and addition as separate numpy calls, in the order of rows.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..codec import Update
from ..codec.update import Floats

Doubles: TypeAlias = NDArray[np.float64]

PART = 8_192  # columns whose inner products are exact together
#: Of an integer, so that PART products of two stay within float64's 53. What rounding hides of a row is at most 2^-20
#: of the part's greatest value in each column, 1e-4 of the part's length: a spike hides nothing beside it.
BITS = 20
SLAB = 1 << 17  # values of each sparse row that are written out at once
COLUMNS = 8_192  # values of each row that are worked on at once: 32 rows of them fit a core's cache
SUMS = 1 << 15  # of a product of small matrices that are added to at once: they stay there, too


class Rows(ABC):
    """``count`` rows of ``dimension`` float32 values, all finite."""

    count: int
    dimension: int

    @abstractmethod
    def norms(self) -> list[float]:
        """Euclidean norms, float64."""

    @cached_property
    def gram(self) -> Doubles:
        """All inner products, float64 [count, count], symmetric to the bit; worked out once."""
        whole: Doubles = np.zeros((self.count, self.count))
        for _, _, block in self.blocks(PART):
            integers, scales = as_integers(block)
            exact = integers @ integers.T
            exact /= scales[:, None]
            exact /= scales
            whole += exact
        return whole

    @abstractmethod
    def blocks(self, width: int) -> Iterator[tuple[int, int, Floats]]:
        """(start, stop, values start to stop of each row: float32 [count, stop - start], the taker's to write to), from
        the first value to the last, ``width`` of them at a time."""

    @abstractmethod
    def combine(self, weights: Sequence[float]) -> Floats:
        """Sum of weight x row, float32 [dimension]. Weights are rounded to float32 first; rows of weight 0 are not
        looked at."""


class Dense(Rows):
    """Rows that are whole vectors."""

    def __init__(self, rows: Sequence[Floats]) -> None:
        """``rows`` are float32 [dimension] each, at least one, and finite: :meth:`of` gates others out."""
        self._rows = rows
        self.count = len(rows)
        self.dimension = len(rows[0])

    @classmethod
    def of(cls, matrix: Tensor) -> tuple[Dense | None, list[int]]:
        """Finite rows of a float32 [N, d] matrix, None when there are none, and their indices."""
        values: Floats = matrix.detach().numpy()
        kept = [i for i, row in enumerate(values) if math.isfinite(row.min()) and math.isfinite(row.max())]
        return (cls([values[i] for i in kept]) if kept else None), kept

    def norms(self) -> list[float]:
        squares = self.gram.diagonal() if "gram" in self.__dict__ else self._squares()
        return [math.sqrt(square) for square in squares.tolist()]

    def _squares(self) -> Doubles:
        """The Gram matrix's diagonal, alone."""
        whole: Doubles = np.zeros(self.count)
        for _, _, block in self.blocks(PART):
            integers, scales = as_integers(block)
            whole += np.array([row @ row for row in integers]) / scales / scales
        return whole

    def blocks(self, width: int) -> Iterator[tuple[int, int, Floats]]:
        for start in range(0, self.dimension, width):
            stop = min(start + width, self.dimension)
            yield start, stop, np.stack([row[start:stop] for row in self._rows])

    def combine(self, weights: Sequence[float]) -> Floats:
        total: Floats = np.zeros(self.dimension, dtype=np.float32)
        room = np.empty(COLUMNS, dtype=np.float32)
        used = [(row, np.float32(w)) for row, w in zip(self._rows, weights, strict=True) if np.float32(w)]
        for start in range(0, self.dimension, COLUMNS):
            part = total[start : start + COLUMNS]
            product = room[: len(part)]
            for row, weight in used:
                np.multiply(row[start : start + COLUMNS], weight, out=product)
                part += product
        return total


class Sparse(Rows):
    """Published updates of any kind, decoded a block at a time.

    Their Gram matrix has the bits of :class:`Dense`'s of the same vectors.
    """

    def __init__(self, updates: Sequence[Update]) -> None:
        """At least one, of one table. Raises NotFinite."""
        self._norms = [update.norm() for update in updates]
        self._updates = updates
        self.count = len(updates)
        self.dimension = updates[0].table.dimension

    def norms(self) -> list[float]:
        return self._norms

    def blocks(self, width: int) -> Iterator[tuple[int, int, Floats]]:
        stride = width * max(1, SLAB // width)  # many blocks are filled at once: a call costs more than its values
        sources = [_Source(update) for update in self._updates]
        for base in range(0, self.dimension, stride):
            slab: Floats = np.zeros((self.count, min(stride, self.dimension - base)), dtype=np.float32)
            for row, source in zip(slab, sources, strict=True):
                source.fill(row, base)
            for start in range(0, slab.shape[1], width):
                block = slab[:, start : start + width]
                yield base + start, base + start + block.shape[1], block

    def combine(self, weights: Sequence[float]) -> Floats:
        total: Floats = np.zeros(self.dimension, dtype=np.float32)
        for update, weight in zip(self._updates, weights, strict=True):
            if np.float32(weight):
                update.add_to(total, weight)
        return total


class _Source:
    """One update's values, handed out from the first place to the last."""

    def __init__(self, update: Update) -> None:
        self._blocks = update.blocks()
        self._rest: tuple[NDArray[np.int32], Floats] = (np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32))

    def fill(self, row: Floats, base: int) -> None:
        """Writes the values at places ``base`` and on to ``row``; all before were asked for before."""
        end = base + len(row)
        while True:
            positions, values = self._rest
            cut = int(np.searchsorted(positions, end))
            row[positions[:cut] - np.int32(base)] = values[:cut]
            self._rest = positions[cut:], values[cut:]
            if cut < len(positions):
                return
            found = next(self._blocks, None)
            if found is None:
                return
            at, values = found
            self._rest = (np.arange(at.start, at.stop, dtype=np.int32) if isinstance(at, slice) else at), values


class Linear(Rows):
    """Rows that are weighted sums of others: a choice of them, each scaled, or neighbours' means."""

    def __init__(self, rows: Rows, matrix: Doubles) -> None:
        """``matrix`` is float64 [count, rows.count]: one row of weights for each row made. Of a Linear it is applied
        to what that is made of, so that ``base`` is never one itself."""
        self.base: Rows = rows.base if isinstance(rows, Linear) else rows
        self.matrix: Doubles = times(matrix, rows.matrix) if isinstance(rows, Linear) else matrix
        self.count = len(matrix)
        self.dimension = rows.dimension
        self._parts = [np.flatnonzero(row).tolist() for row in self.matrix]

    @cached_property
    def gram(self) -> Doubles:
        whole = times(times(self.matrix, self.base.gram), self.matrix.T)
        return np.triu(whole) + np.triu(whole, 1).T

    def norms(self) -> list[float]:
        if any(len(part) > 1 for part in self._parts):
            return [math.sqrt(max(0.0, square)) for square in self.gram.diagonal().tolist()]
        norms = self.base.norms()  # nothing is mixed: no inner products are needed
        return [sum(abs(row[i]) * norms[i] for i in part) for row, part in zip(self.matrix, self._parts, strict=True)]

    def blocks(self, width: int) -> Iterator[tuple[int, int, Floats]]:
        weights = self.matrix.astype(np.float32)
        for start, stop, given in self.base.blocks(width):
            block: Floats = np.zeros((self.count, stop - start), dtype=np.float32)
            for made, row, part in zip(block, weights, self._parts, strict=True):
                even = len({float(row[i]) for i in part}) == 1  # then multiply once
                for i in part:
                    made += given[i] if even else given[i] * row[i]
                if even:
                    made *= row[part[0]]
            yield start, stop, block

    def combine(self, weights: Sequence[float]) -> Floats:
        return self.base.combine(self.weights(weights))

    def weights(self, weights: Sequence[float]) -> list[float]:
        """What weights of these rows are as weights of ``base``'s."""
        whole: list[float] = times(np.array([weights], dtype=np.float64), self.matrix)[0].tolist()
        return whole


def as_integers(block: Floats) -> tuple[Doubles, Doubles]:
    """A part's rows as integers of BITS bits, float64 like the block, and the powers of two that they are scaled by."""
    peaks = np.maximum(block.max(axis=1), -block.min(axis=1))
    scales: Doubles = np.ldexp(1.0, BITS - np.frexp(peaks)[1])
    integers = block.astype(np.float64)
    integers *= scales[:, None]
    np.rint(integers, out=integers)
    return integers, scales


def times(left: Doubles, right: Doubles) -> Doubles:
    """Matrix product of finite numbers, added in the order of the inner index whatever the machine's BLAS would do."""
    total = np.zeros((len(left), right.shape[1]))
    right, height = np.ascontiguousarray(right), max(1, SUMS // right.shape[1])
    for start in range(0, len(left), height):
        weights, sums = left[start : start + height], total[start : start + height]
        product = np.empty_like(sums)
        for i in np.flatnonzero(weights.any(axis=0)):  # a choice of rows uses one each
            np.multiply(weights[:, i, None], right[i], out=product)
            sums += product
    return total


def worker_momentum(previous: Tensor | None, matrix: Tensor, beta: float) -> Tensor:
    """m <- beta m + (1 - beta) u for each worker (Karimireddy, He, Jaggi, 2021), float32 [N, d]; u itself at first.

    For studies: a run would have to keep N vectors in its state, so it leaves this to its trainers.
    """
    return matrix.clone() if previous is None else previous * beta + matrix * (1 - beta)
