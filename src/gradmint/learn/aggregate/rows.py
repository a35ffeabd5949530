"""Rows to aggregate: updates as they are published, or any dense matrix, behind one interface.

Weights come from inner products, and those are the same bits on every machine because they are exact: each row is
rounded to integers of so many bits that no sum of products can exceed 2^53, which float64 holds exactly in any order,
by any BLAS, on any number of threads. Everything else is elementwise, multiplication and addition as separate numpy
calls, in the order of rows.
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

SIGNIFICAND = 53  # bits of float64: integers up to 2^53 are exact
MOST_BITS = 24  # a float32 has no more
COLUMNS = 8_192  # values of each row that are worked on at once: 32 rows of them fit a core's cache


class Rows(ABC):
    """``count`` rows of ``dimension`` float32 values, all finite."""

    count: int
    dimension: int

    @abstractmethod
    def norms(self) -> list[float]:
        """Euclidean norms, float64."""

    @cached_property
    @abstractmethod
    def gram(self) -> Doubles:
        """All inner products, float64 [count, count], symmetric to the bit; worked out once."""

    @abstractmethod
    def columns(self, start: int, stop: int) -> Floats:
        """Values ``start`` to ``stop`` of each row, float32 [count, stop - start]; the caller's to write to."""

    @abstractmethod
    def combine(self, weights: Sequence[float]) -> Floats:
        """Sum of weight x row, float32 [dimension]. Weights are rounded to float32 first; rows of weight 0 are not
        looked at."""

    def blocks(self, width: int = 0) -> Iterator[tuple[int, int, Floats]]:
        """(start, stop, columns) from the first value to the last, ``width`` at a time; 0: as suits the cache."""
        width = width or COLUMNS
        for start in range(0, self.dimension, width):
            stop = min(start + width, self.dimension)
            yield start, stop, self.columns(start, stop)


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
        kept = [
            i for i, row in enumerate(values) if math.isfinite(float(row.max())) and math.isfinite(float(row.min()))
        ]
        return (cls([values[i] for i in kept]) if kept else None), kept

    @cached_property
    def gram(self) -> Doubles:
        scales = np.array([scale(_peak(row), self.dimension) for row in self._rows])
        whole: Doubles = np.zeros((self.count, self.count))
        for _, _, block in self.blocks():
            integers = block.astype(np.float64)
            integers *= scales[:, None]
            np.rint(integers, out=integers)
            whole += integers @ integers.T
        whole /= scales[:, None]
        whole /= scales
        return whole

    def norms(self) -> list[float]:
        if "gram" in self.__dict__:
            return [math.sqrt(square) for square in self.gram.diagonal().tolist()]
        norms = []
        for row in self._rows:
            factor, total = scale(_peak(row), self.dimension), 0.0
            for start in range(0, self.dimension, COLUMNS):
                integers = row[start : start + COLUMNS].astype(np.float64)
                integers *= factor
                np.rint(integers, out=integers)
                total += float(integers @ integers)
            norms.append(math.sqrt(total / factor / factor))
        return norms

    def columns(self, start: int, stop: int) -> Floats:
        return np.stack([row[start:stop] for row in self._rows])

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
    """Published updates of any kind. Their Gram matrix has the bits of :class:`Dense`'s of the same vectors."""

    def __init__(self, updates: Sequence[Update]) -> None:
        """At least one, of one table. Raises NotFinite."""
        self._norms = [update.norm() for update in updates]
        self._updates = updates
        self._values = [update.values() for update in updates]
        self._positions = [update.positions for update in updates]
        self.count = len(updates)
        self.dimension = updates[0].table.dimension

    @cached_property
    def gram(self) -> Doubles:
        scales = np.array([scale(_peak(values), self.dimension) for values in self._values])
        whole: Doubles = np.zeros((self.count, self.count))
        for start in range(0, self.dimension, COLUMNS):
            integers = np.zeros((self.count, min(COLUMNS, self.dimension - start)))
            for place, (values, positions) in enumerate(self._within(start, start + COLUMNS)):
                integers[place][positions] = np.rint(values * scales[place])
            whole += integers @ integers.T
        whole /= scales[:, None]
        whole /= scales
        return whole

    def norms(self) -> list[float]:
        return self._norms

    def columns(self, start: int, stop: int) -> Floats:
        block: Floats = np.zeros((self.count, stop - start), dtype=np.float32)
        for place, (values, positions) in enumerate(self._within(start, stop)):
            block[place][positions] = values
        return block

    def combine(self, weights: Sequence[float]) -> Floats:
        total: Floats = np.zeros(self.dimension, dtype=np.float32)
        for update, weight in zip(self._updates, weights, strict=True):
            if np.float32(weight):
                update.add_to(total, weight)
        return total

    def _within(self, start: int, stop: int) -> Iterator[tuple[Floats, NDArray[np.int32]]]:
        for values, positions in zip(self._values, self._positions, strict=True):
            first, last = np.searchsorted(positions, (start, stop))
            yield values[first:last], positions[first:last] - np.int32(start)


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

    def columns(self, start: int, stop: int) -> Floats:
        given = self.base.columns(start, stop)
        block: Floats = np.zeros((self.count, stop - start), dtype=np.float32)
        for made, row, part in zip(block, self.matrix.astype(np.float32), self._parts, strict=True):
            even = len({float(row[i]) for i in part}) == 1  # then multiply once
            for i in part:
                made += given[i] if even else given[i] * row[i]
            if even:
                made *= row[part[0]]
        return block

    def combine(self, weights: Sequence[float]) -> Floats:
        return self.base.combine(self.weights(weights))

    def weights(self, weights: Sequence[float]) -> list[float]:
        """What weights of these rows are as weights of ``base``'s."""
        whole: list[float] = times(np.array([weights], dtype=np.float64), self.matrix)[0].tolist()
        return whole


def scale(peak: float, dimension: int) -> float:
    """Power of two that brings a row whose greatest value is ``peak`` to integers whose inner products are exact."""
    bits = min(MOST_BITS, (SIGNIFICAND - (dimension - 1).bit_length()) // 2)
    return math.ldexp(1.0, bits - math.frexp(peak)[1])


def times(left: Doubles, right: Doubles) -> Doubles:
    """Matrix product, added in the order of the inner index whatever the machine's BLAS would do."""
    total = np.zeros((len(left), right.shape[1]))
    for i, row in enumerate(right):
        used = np.flatnonzero(left[:, i])
        total[used] += left[used, i, None] * row
    return total


def worker_momentum(previous: Tensor | None, matrix: Tensor, beta: float) -> Tensor:
    """m <- beta m + (1 - beta) u for each worker (Karimireddy, He, Jaggi, 2021), float32 [N, d]; u itself at first.

    For studies: a run would have to keep N vectors in its state, so it leaves this to its trainers.
    """
    return matrix.clone() if previous is None else previous * beta + matrix * (1 - beta)


def _peak(values: Floats) -> float:
    return max(float(values.max()), -float(values.min())) if len(values) else 0.0
