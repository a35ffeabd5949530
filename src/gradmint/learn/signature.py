"""Evidence -> signature words: random-hyperplane LSH (Charikar, 2002), exact from the quantised input on.

The input is rounded to integers once; everything after is integer arithmetic carried in float64, exact below 2^53 and
therefore independent of summation order, thread count and library. Signs come from numpy's Philox in counter mode,
keyed by the seed, so anyone can generate any block alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

WORD_BITS = 256
BUCKETS = 4_096  # an angle survives the fold to 1 / sqrt(BUCKETS)
EXACT_BITS = 52
BLOCK_ROWS = 256  # rows folded or projected at once: 8 MiB of float64


def sign_words(evidence: Tensor, seed: bytes, words: int) -> tuple[int, ...]:
    """``words`` words of 256 bits for a float vector [n] of any length; equal bits show an angle of theta with
    probability 1 - theta / pi each.

    A vector that is zero or not finite has no direction: it is signed as if all its entries were zero, which gives the
    same words to everyone who finds the same.
    """
    folded = _fold(_rounded(evidence), seed)
    bits = np.empty(words * WORD_BITS, dtype=bool)
    for at in range(0, len(bits), BLOCK_ROWS):
        planes = _signs(seed, 1, at * len(folded), BLOCK_ROWS * len(folded)).reshape(BLOCK_ROWS, -1)
        bits[at : at + BLOCK_ROWS] = planes.astype(np.float64) @ folded > 0
    packed = np.packbits(bits).tobytes()
    return tuple(int.from_bytes(packed[at : at + 32], "big") for at in range(0, len(packed), 32))


def distance_bits(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Hamming distance of two signatures of as many words. Raises ValueError when the counts differ."""
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


def _rounded(evidence: Tensor) -> NDArray[np.float64]:
    """Integers in float64, scaled by a power of two so that the sum of all magnitudes stays below 2^52."""
    values = evidence.detach().reshape(-1).numpy()
    greatest = float(np.abs(values).max(initial=0))
    if not 0 < greatest < float("inf"):
        return np.zeros(len(values))
    room = min(30, EXACT_BITS - len(values).bit_length())
    return np.rint(np.ldexp(values.astype(np.float64), room - int(np.frexp(greatest)[1])))


def _fold(values: NDArray[np.float64], seed: bytes) -> NDArray[np.float64]:
    """Sum of blocks of BUCKETS values under random signs: a count-sketch whose buckets are fixed and signs are not."""
    if len(values) <= BUCKETS:
        return values
    total = np.zeros(BUCKETS)
    rows_values = BLOCK_ROWS * BUCKETS
    for at in range(0, len(values), rows_values):
        part = values[at : at + rows_values]
        signed = np.zeros(-(-len(part) // BUCKETS) * BUCKETS)
        np.multiply(part, _signs(seed, 0, at, len(part)), out=signed[: len(part)])
        total += signed.reshape(-1, BUCKETS).sum(0)
    return total


def _signs(seed: bytes, stream: int, start: int, count: int) -> NDArray[np.int8]:
    """Signs ``start`` to ``start + count`` of a stream, one Philox bit each; ``start`` is a multiple of 256, the
    bits of one counter value."""
    generator = np.random.Philox(key=int.from_bytes(seed[:16], "big") ^ stream, counter=start // 256)
    raw = generator.random_raw((count + 63) // 64).astype("<u8").view(np.uint8)
    return 1 - 2 * np.unpackbits(raw, count=count).astype(np.int8)
