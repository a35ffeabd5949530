"""A sparse update: per chunk of the flat vector, the positions kept, a sign and a magnitude bit each, two levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...spec.errors import NotFinite

Bytes: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]

#: Level ``code`` is ``EIGHTHS[(code - 1) % 8] * 2**((code - 1) // 8 - 47)``: eight steps an octave from 2^-24 to 2^7.6.
#: 24-bit significands, so that every level is a float32 and its square an exact integer. Code 0 is zero, 255 is NaN.
EIGHTHS = (8_388_608, 9_147_842, 9_975_792, 10_878_679, 11_863_283, 12_937_002, 14_107_901, 15_384_775)
LEAST_EXPONENT = -47
NOT_A_NUMBER = 255
LEVELS: Floats = np.array(
    [0.0, *(math.ldexp(EIGHTHS[i % 8], i // 8 + LEAST_EXPONENT) for i in range(254)), math.nan], dtype=np.float32
)
SQUARES = (0, *((EIGHTHS[i % 8] << i // 8) ** 2 for i in range(254)))  # in units of 2^(2 * LEAST_EXPONENT)

SIGN = 2  # bit of a code: set when the value is negative
HIGH = 1  # bit of a code: set when the magnitude is the chunk's upper level


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The shape of an update, known before any byte of it is read."""

    dimension: int  # values of the flat vector
    chunk: int
    keep: int

    @property
    def chunks(self) -> int:
        """Number of chunks; the last may be short."""
        return -(-self.dimension // self.chunk)

    @property
    def keep_last(self) -> int:
        """Values kept of the last chunk: in proportion to its length, at least one."""
        return max(1, self.keep * (self.dimension - (self.chunks - 1) * self.chunk) // self.chunk)

    @property
    def kept(self) -> int:
        """Values kept in all."""
        return (self.chunks - 1) * self.keep + self.keep_last


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SparseUpdate:
    """``positions`` int32 [kept], ascending; ``codes`` uint8 [kept] of SIGN and HIGH; ``levels`` uint8 [chunks, 2], low
    and high. One update has one such form, and one form one encoding."""

    table: Table
    positions: NDArray[np.int32]
    codes: Bytes
    levels: Bytes

    @property
    def finite(self) -> bool:
        """False when a level is the code for "not a number", which a diverged trainer publishes."""
        return not bool((self.levels == NOT_A_NUMBER).any())

    def values(self) -> Floats:
        """Value at each position, float32 [kept]; exact products of a sign and a level."""
        magnitudes = LEVELS[self._level_codes()]
        return np.where(self.codes & SIGN, -magnitudes, magnitudes)

    def dense(self) -> Tensor:
        """The flat vector, float32 [dimension]."""
        vector = torch.zeros(self.table.dimension)
        vector.numpy()[self.positions] = self.values()
        return vector

    def inner(self, vector: Tensor) -> float:
        """Inner product with a float32 [dimension] vector, summed in float64; touches only the positions kept."""
        return float(np.dot(vector.detach().numpy()[self.positions].astype(np.float64), self.values()))

    def norm(self) -> float:
        """Euclidean norm: an exact integer sum of squares, rounded once by its conversion and once by the root, so the
        same bits everywhere. Raises NotFinite."""
        if not self.finite:
            broken = int((self.levels == NOT_A_NUMBER).sum())
            raise NotFinite(f"update has {broken} levels that are no numbers, expected 0; the training diverged")
        counts = np.bincount(self._level_codes(), minlength=256).tolist()
        total = sum(count * square for count, square in zip(counts, SQUARES, strict=False))
        return math.ldexp(math.sqrt(total), LEAST_EXPONENT)

    def sign_keys(self) -> NDArray[np.int32]:
        """Position and sign of each value in one number, 2 * position + negative, ascending."""
        return 2 * self.positions + (self.codes >> 1)

    def _level_codes(self) -> Bytes:
        last = self.table.kept - self.table.keep_last
        high = (self.codes & HIGH).astype(np.intp)
        flat = self.levels.reshape(-1)
        chosen = np.empty(self.table.kept, dtype=np.uint8)
        whole = high[:last].reshape(-1, self.table.keep)
        chosen[:last] = flat[whole + 2 * np.arange(len(whole))[:, None]].reshape(-1)
        chosen[last:] = self.levels[-1][high[last:]]
        return chosen
