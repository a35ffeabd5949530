"""What an update is, whichever way it was compressed: values at places of the flat vector, a block at a time.

Everything here costs what the update keeps, not what the model has, and needs a block of scratch. Values are applied
elementwise in float32, multiplication and addition as separate numpy calls, so no library may fuse or reorder them:
every machine and thread count gets the same bits.
"""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...spec.errors import NotFinite

Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]
Index: TypeAlias = slice | NDArray[np.int32]  # places of a flat vector: a range, or ascending positions
Places: TypeAlias = slice | NDArray[np.intp]

BLOCK = 1 << 18  # values of the flat vector handled at once: they stay in a core's cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The shape of an update, known before any byte of it is read. What a kind does not need is left out."""

    dimension: int  # values of the flat vector
    chunk: int
    keep: int  # of each chunk: values, or scalars that stand for it
    kind: str = "topk"  # a name of gradmint.learn.codec.kinds
    levels: int = 0  # of "private", as is what follows
    retain_bps: int = 0
    margin_bps: int = 0
    exponent: int = 0

    @property
    def chunks(self) -> int:
        """Number of chunks; the last may be short."""
        return -(-self.dimension // self.chunk)

    @property
    def last(self) -> int:
        """Length of the last chunk."""
        return self.dimension - (self.chunks - 1) * self.chunk

    @property
    def keep_last(self) -> int:
        """Kept of the last chunk: in proportion to its length, at least one."""
        return max(1, self.keep * self.last // self.chunk)

    @property
    def kept(self) -> int:
        """Kept in all."""
        return (self.chunks - 1) * self.keep + self.keep_last

    def parts(self) -> Iterator[tuple[int, int, int, int]]:
        """(first chunk, chunks, length of each, kept of each): blocks of whole chunks, and the last one by itself."""
        step = max(1, BLOCK // self.chunk)
        for first in range(0, self.chunks - 1, step):
            yield first, min(step, self.chunks - 1 - first), self.chunk, self.keep
        yield self.chunks - 1, 1, self.last, self.keep_last


class Update(ABC):
    """A decoded update. One update has one form, and one form one encoding.

    A kind says what :attr:`finite`, :meth:`blocks`, :meth:`pack` and :meth:`norm` are; the rest follows.
    """

    __slots__ = ()

    table: Table

    @property
    @abstractmethod
    def finite(self) -> bool:
        """False for what a diverged trainer publishes. Such an update has no norm and is not to be applied."""

    @abstractmethod
    def blocks(self) -> Iterator[tuple[Index, Floats]]:
        """Where and what, float32, ascending and without repetition: at most BLOCK values or a chunk's at once."""

    @abstractmethod
    def pack(self) -> bytes:
        """The body of its blob."""

    @abstractmethod
    def norm(self) -> float:
        """Euclidean norm: an exact sum of squares, rounded once by its conversion and once by the root, so the same
        bits everywhere. Raises NotFinite."""

    @property
    def positions(self) -> NDArray[np.int32]:
        """Where :meth:`values` are, int32, ascending; all places for a kind that keeps all."""
        return np.arange(self.table.dimension, dtype=np.int32)

    def values(self) -> Floats:
        """Value at each position, float32."""
        return np.concatenate([values for _, values in self.blocks()])

    def dense(self) -> Tensor:
        """The flat vector, float32 [dimension]."""
        vector = torch.zeros(self.table.dimension)
        self.add_to(vector.numpy())
        return vector

    def inner(self, vector: Tensor) -> float:
        """Inner product with a float32 [dimension] vector, summed in float64."""
        whole = vector.detach().numpy()
        return sum((float(np.dot(whole[at].astype(np.float64), values)) for at, values in self.blocks()), 0.0)

    def add_to(self, vector: Floats, factor: float = 1.0) -> None:
        """``vector`` += ``factor`` x the update, in place; the factor is rounded to float32, then each product is."""
        for places, values in self._scaled(factor):
            vector[places] = vector[places] + values  # places are distinct

    @contextlib.contextmanager
    def applied(self, vector: Floats, factor: float = 1.0) -> Iterator[None]:
        """``vector`` + ``factor`` x the update while the context lasts.

        What stood at the places kept is put back behind it, so the vector is what it was to the bit.
        """
        saved: list[tuple[Places, Floats]] = []
        try:
            for places, values in self._scaled(factor):
                before = vector[places]
                saved.append((places, before.copy() if isinstance(places, slice) else before))
                vector[places] = before + values
            yield
        finally:
            for places, values in saved:
                vector[places] = values

    def telling(self) -> Iterator[tuple[Index, Floats]]:
        """The values that a copy is known by, a block for each of :meth:`blocks`. A kind that keeps all values, each
        with its magnitude, names the largest: of the others' signs honest trainers share up to four fifths, and a thief
        may turn them for little."""
        return self.blocks()

    def _scaled(self, factor: float) -> Iterator[tuple[Places, Floats]]:
        scale = np.float32(factor)
        for at, values in self.blocks():
            yield places_of(at), values if scale == 1 else values * scale


def places_of(at: Index) -> Places:
    """As numpy indexes fastest, for whoever does so more than once."""
    return at if isinstance(at, slice) else at.astype(np.intp)


def root_of(squares: Iterable[tuple[int, int]]) -> float:
    """Square root of the sum of ``count`` x 2^``exponent``, summed in integers."""
    terms = [(count, exponent) for count, exponent in squares if count]
    if not terms:
        return 0.0
    least = min(exponent for _, exponent in terms) & ~1  # even, so that its root is a power of two
    return math.ldexp(math.sqrt(sum(count << (exponent - least) for count, exponent in terms)), least // 2)


def refuse_not_finite(what: str) -> None:
    raise NotFinite(f"update has {what}, expected numbers only; the training diverged")
