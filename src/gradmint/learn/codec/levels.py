"""One byte for a magnitude: zero, 254 steps of an eighth octave, or "not a number"."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .update import Bytes, Floats

#: Level ``code`` is ``EIGHTHS[(code - 1) % 8] * 2**((code - 1) // 8 + LEAST_EXPONENT)``: eight steps an octave from
#: 2^-24 to 2^7.6. 16-bit significands, so that a level times a signed byte is a float32, and any square an integer.
EIGHTHS = (32_768, 35_734, 38_968, 42_495, 46_341, 50_535, 55_109, 60_097)
LEAST_EXPONENT = -39
NOT_A_NUMBER = 255
LEVELS: Floats = np.array(
    [0.0, *(math.ldexp(EIGHTHS[i % 8], i // 8 + LEAST_EXPONENT) for i in range(254)), math.nan], dtype=np.float32
)


def nearest(magnitudes: NDArray[np.float64]) -> Bytes:
    """Codes of the nearest levels, in the logarithm; below the least level zero."""
    codes = np.rint(8 * (np.log2(np.maximum(magnitudes, 2.0**-30)) + 24)) + 1
    return np.where(codes < 1, 0, np.minimum(codes, NOT_A_NUMBER - 1)).astype(np.uint8)


def at_least(magnitudes: NDArray[np.float64]) -> Bytes:
    """Codes of the least levels that are not below, 0 for 0; the greatest level where none is."""
    return np.minimum(np.searchsorted(LEVELS[:NOT_A_NUMBER], magnitudes), NOT_A_NUMBER - 1).astype(np.uint8)


def squares(sums: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """For :func:`.update.root_of`: the levels' squares, each times its sum in int64 [255]."""
    for code in np.flatnonzero(sums).tolist():
        if code:
            yield int(sums[code]) * EIGHTHS[(code - 1) % 8] ** 2, 2 * ((code - 1) // 8 + LEAST_EXPONENT)
