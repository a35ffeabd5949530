"""Evidence -> signature words: random-hyperplane LSH (Charikar, 2002), exact from the quantised input on.

The input is rounded to integers once; everything after is integer arithmetic carried in float64, exact below 2^53 and
therefore independent of summation order, thread count and library. Signs come from numpy's Philox in counter mode,
keyed by the seed, so anyone can generate any block alone.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

WORD_BITS = 256
BUCKETS = 4_096  # an angle survives the fold to 1 / sqrt(BUCKETS)
EXACT_BITS = 52
FOLD_ROWS = 8  # blocks folded at once: 256 KiB of float64 stay in the cache
PLANE_ROWS = 64  # hyperplanes projected on at once


def sign_words(evidence: Tensor, seed: bytes, words: int) -> tuple[int, ...]:
    """``words`` words of 256 bits for a float vector [n] of any length; equal bits show an angle of theta with
    probability 1 - theta / pi each.

    A vector that is zero or not finite has no direction: it is signed as if all its entries were zero, which gives the
    same words to everyone who finds the same.
    """
    folded = _fold(evidence.detach().reshape(-1).numpy(), seed)
    bits = np.empty(words * WORD_BITS, dtype=bool)
    for at in range(0, len(bits), PLANE_ROWS):
        planes = _signs(seed, 1, at * len(folded), PLANE_ROWS * len(folded)).reshape(PLANE_ROWS, -1)
        bits[at : at + PLANE_ROWS] = planes.astype(np.float64) @ folded > 0
    packed = np.packbits(bits).tobytes()
    return tuple(int.from_bytes(packed[at : at + 32], "big") for at in range(0, len(packed), 32))


def distance_bits(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Hamming distance of two signatures of as many words. Raises ValueError when the counts differ."""
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


def _scale(values: NDArray[np.float32]) -> float:
    """The power of two that makes integers of the values, magnitudes summing to less than 2^52; 0 for no direction."""
    greatest = max(float(values.max(initial=0)), -float(values.min(initial=0)))
    if not 0 < greatest < math.inf:
        return 0.0
    return math.ldexp(1, min(30, EXACT_BITS - len(values).bit_length()) - math.frexp(greatest)[1])


def _fold(values: NDArray[np.float32], seed: bytes) -> NDArray[np.float64]:
    """Integers: the scaled values, beyond BUCKETS of them the sum of blocks of BUCKETS under random signs.

    That is a count-sketch whose buckets are fixed and whose signs are not.
    """
    scale = _scale(values)
    if not scale:
        return np.zeros(min(len(values), BUCKETS))
    if len(values) <= BUCKETS:
        scaled: NDArray[np.float64] = np.rint(values.astype(np.float64) * scale)
        return scaled
    total = np.zeros(BUCKETS)
    scratch = np.empty(FOLD_ROWS * BUCKETS)
    for at in range(0, len(values), len(scratch)):
        part = values[at : at + len(scratch)]
        whole = scratch[: -(-len(part) // BUCKETS) * BUCKETS]
        whole[len(part) :] = 0
        mine = whole[: len(part)]
        np.multiply(part, scale, out=mine, dtype=np.float64)
        np.rint(mine, out=mine)
        mine *= _signs(seed, 0, at, len(part))
        total += whole.reshape(-1, BUCKETS).sum(0)
    return total


def _signs(seed: bytes, stream: int, start: int, count: int) -> NDArray[np.int8]:
    """Signs ``start`` to ``start + count`` of a stream, one Philox bit each; ``start`` is a multiple of 256, the
    bits of one counter value."""
    generator = np.random.Philox(key=int.from_bytes(seed[:16], "big") ^ stream, counter=start // 256)
    raw = generator.random_raw((count + 63) // 64).astype("<u8").view(np.uint8)
    return 1 - 2 * np.unpackbits(raw, count=count).astype(np.int8)
