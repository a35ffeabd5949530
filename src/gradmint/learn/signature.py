"""Evidence -> signature words: locality-sensitive hashes, exact from the rounding of the input on.

Two families of bits, both compared by Hamming distance:

- :func:`sign_words`: on which side of a random hyperplane the evidence lies (Charikar, 2002). Shows angles, whatever
  the lengths: who did the work of the round, and who did not.
- :func:`quantised_words`: in which of two alternating strips of a given width its projection lies, behind a dither
  (Boufounos & Rane, 2013). Shows Euclidean distances up to that width and nothing beyond: who computed as precisely.

Both project alike. The input is rounded to integers once. A count-sketch under random signs adds up longer evidence to
4,096 places, and three random rotations, each signs and a Hadamard transform, mix these (Andoni et al., 2015): any
coordinate of the result is a projection on a random direction, and all 4,096 cost as much as 400 independent ones.
Everything is integers carried in float64, below 2^53, and therefore independent of summation order, thread count,
library and device; roundings between rotations are of single numbers, so they are equal everywhere as well. Random bits
are Philox's, keyed by the seed.
"""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .philox import below_on, signs, words_on

#: A vector of floats [n] of any length, or its parts in order; shapes are flattened, all parts are on one device.
#: float32 counts: narrower floats fit, wider ones are rounded.
Evidence: TypeAlias = Tensor | NDArray[Any] | Sequence[Tensor | NDArray[Any]]

WORD_BITS = 256
SIDE = 64
POINTS = SIDE * SIDE  # what is rotated
MAX_WORDS = POINTS // WORD_BITS
#: Longer evidence is added up in rows of so many values: an angle survives that to 1 / sqrt(BUCKETS). A prime, because
#: rows of a model's width would add up each of its channels, of which few are large, to a single number.
BUCKETS = 4_093
ROW_BITS = 32  # rows that share one Philox word for each bucket
WORDS_AHEAD = 8 * POINTS  # drawn at once for the sketch
ROTATIONS = 3
EXACT_BITS = 40  # of a rounded value: sums of 4,096, or of 32 rows, stay exact, also after rotations
WIDTH_BITS = 20  # of the greatest power of two in a width: rounding 10^8 values blurs 0.3% of it
LEAST = 2.0**-64  # evidence all below this is none: no machine's flushing of denormals can show
GREATEST = 2.0**127
HEAD = ROTATIONS * POINTS // 32  # words of the rotations' signs
SIGN_STREAM, DITHER_STREAM = range(2)


@torch.inference_mode(False)  # buffers outlive the call: they must be usable in any mode
def sign_words(evidence: Evidence, seed: bytes, words: int) -> tuple[int, ...]:
    """``words`` words of 256 bits; each bit differs between two vectors with probability angle / pi.

    A vector that is zero or not finite has no direction: it is signed as 0, the same words for everyone who finds the
    same. Magnitudes below 2^-64 or from 2^127 count as zero and as not finite. More words extend fewer. Raises
    ValueError for a count of words that is not in 1..16, TypeError for evidence that is not of floats.
    """
    _check(words)
    parts = _parts(evidence)
    greatest = _greatest(parts)
    if not LEAST <= greatest < GREATEST:
        return (0,) * words
    projection = _Projection(parts, seed)
    folded = projection.fold(EXACT_BITS - math.frexp(greatest)[1])
    sums_bits = int(folded.abs().max()).bit_length()
    level = (folded.double() * math.ldexp(1, EXACT_BITS - sums_bits)).round_()
    return _packed(projection.rotate(level)[: words * WORD_BITS] > 0)


@torch.inference_mode(False)
def quantised_words(evidence: Evidence, seed: bytes, words: int, width: float) -> tuple[int, ...]:
    """``words`` words of 256 bits, floor((p.x + u) / width) mod 2 each: p has random entries of variance 1, u is a
    dither uniform in [0, 2 width).

    For two vectors at Euclidean distance s a bit differs with probability :func:`differing`(s / width). Scales come
    from ``width`` alone, so that two honest vectors are rounded alike. Evidence that is not finite, or longer than a
    million widths, is signed as zero. Raises ValueError for a count of words that is not in 1..16 or a width that is
    not in 2^-60..2^60, TypeError for evidence that is not of floats.
    """
    _check(words)
    if not 2.0**-60 <= width <= 2.0**60:
        raise ValueError(f"width {width} lies outside 2^-60..2^60")
    parts = _parts(evidence)
    exponent = WIDTH_BITS + 1 - math.frexp(width)[1]
    whole_width = round(math.ldexp(width, exponent))
    projection = _Projection(parts, seed)
    folded = torch.zeros(POINTS, dtype=torch.int64, device=projection.device)
    if LEAST <= _greatest(parts) <= math.ldexp(1, EXACT_BITS - exponent):
        folded = projection.fold(exponent)
    if int(folded.abs().max()) > 1 << EXACT_BITS:
        folded = torch.zeros_like(folded)
    projected = projection.rotate(folded.double())[: words * WORD_BITS].long()
    projected += _dither(seed, projection.device, 2 * whole_width)[: words * WORD_BITS]
    return _packed(torch.div(projected, whole_width, rounding_mode="floor") & 1 != 0)


def differing(widths: float) -> float:
    """Probability that a bit of :func:`quantised_words` differs between vectors at a distance of so many widths.

    0.8 x widths for small ones; a half, as for unrelated vectors, from about one width on. The triangle wave of the
    strips as a Fourier series, under the normal distribution of the projected difference.
    """
    odd = range(1, 2 * math.ceil(4 / max(widths, 1e-4)) + 20, 2)
    return 0.5 - sum(4 / (math.pi * k) ** 2 * math.exp(-((math.pi * k * widths) ** 2) / 2) for k in odd)


def distance_bits(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Hamming distance of two signatures of as many words. Raises ValueError when the counts differ."""
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))


def _check(words: int) -> None:
    if not 1 <= words <= MAX_WORDS:
        raise ValueError(f"{words} words lie outside 1..{MAX_WORDS}")


def _parts(evidence: Evidence) -> list[Tensor]:
    """Flat tensors, at least one."""
    whole = [evidence] if isinstance(evidence, Tensor | np.ndarray) else list(evidence)
    tensors = [part.detach() if isinstance(part, Tensor) else _tensor(part) for part in whole] or [torch.zeros(0)]
    odd = sorted({str(part.dtype) for part in tensors if not part.is_floating_point()})
    if odd:
        raise TypeError(f"evidence is of {', '.join(odd)}, expected floats")
    return [part.reshape(-1) for part in tensors]


def _tensor(array: NDArray[Any]) -> Tensor:
    native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return torch.from_numpy(native if native.flags.writeable else native.copy())


def _greatest(parts: list[Tensor]) -> float:
    """The greatest magnitude; not a number where one is not."""
    ends = [abs(float(end)) for part in parts if len(part) for end in torch.aminmax(part)]
    return math.nan if any(map(math.isnan, ends)) else max(ends, default=0.0)


class _Projection:
    """Random directions for the evidence in ``parts``.

    The rotations' signs are the stream's first words, bit i of word w being the sign of number 32 w + i. Then come
    POINTS words for every 32 rows of the sketch, of which row r takes bit r mod 32; a set bit is a minus.
    """

    def __init__(self, parts: list[Tensor], seed: bytes) -> None:
        self.parts = parts
        self.seed = seed
        self.device = parts[0].device
        self.count = sum(map(len, parts))
        groups, rest = divmod(self.count, ROW_BITS * BUCKETS)
        self.words = 0 if self.count <= POINTS else POINTS * groups + min(rest, BUCKETS)
        self.rotations, self.first = _head(seed, self.device, min(WORDS_AHEAD, self.words))

    def fold(self, exponent: int) -> Tensor:
        """The values x 2^exponent to the nearest integers, int64 [POINTS]; where there are more than POINTS of them,
        the sum of rows of BUCKETS under random signs with zeros behind: a count-sketch with fixed buckets.
        """
        total = torch.zeros(POINTS, dtype=torch.int64, device=self.device)
        scale = math.ldexp(1, exponent)
        if not self.words:
            at = 0
            for part in self.parts:
                total[at : at + len(part)] = part.to(torch.float32, copy=True).mul_(scale).round_().long()
                at += len(part)
            return total
        shifts = torch.arange(ROW_BITS - 1, -1, -1, dtype=torch.int32, device=self.device)[:, None]
        flips, wide = _buffer(self.device, torch.int32), _buffer(self.device, torch.float64)
        for drawn, rows in zip(self._words(), _rows(self.parts), strict=True):
            n, columns = len(rows), len(drawn)  # one short row needs fewer words than columns
            rows.mul_(scale).round_()
            torch.bitwise_left_shift(drawn, shifts[:n], out=flips[:n, :columns])
            flipped = rows.view(torch.int32)[:, :columns]
            flipped.bitwise_xor_(flips[:n, :columns].bitwise_and_(-(1 << 31)))  # a float's uppermost bit is its sign
            total[:BUCKETS] += wide[:n].copy_(rows).sum(0).long()
        return total

    def rotate(self, folded: Tensor) -> Tensor:
        """Projections of [POINTS] integers on as many random directions, float64; of the variance of their length."""
        hadamard = _hadamard(self.device)
        square = folded.view(SIDE, SIDE)
        for turn in range(ROTATIONS):
            if turn:
                square = square.mul_(1 / SIDE).round_()  # as long as before the transform
            square = hadamard @ (square * self.rotations[turn]) @ hadamard
        return square.reshape(-1)

    def _words(self) -> Iterator[Tensor]:
        """For each group of rows its words, int32 [BUCKETS]; at the end only as many as there are values."""
        drawn = self.first
        for at in range(0, self.words, POINTS):
            ahead = at % WORDS_AHEAD
            if at and not ahead:
                drawn = _sketch_words(self.seed, self.device, at, min(WORDS_AHEAD, self.words - at))
            yield drawn[ahead:][:BUCKETS]


class _Buffers(threading.local):
    """Kept by each thread: fresh pages cost as much as the arithmetic in them."""

    def __init__(self) -> None:
        self.kept: dict[tuple[torch.device, torch.dtype], Tensor] = {}


_BUFFERS = _Buffers()


def _buffer(device: torch.device, dtype: torch.dtype) -> Tensor:
    """This thread's [ROW_BITS, BUCKETS], with anything in it."""
    key = (device, dtype)
    if key not in _BUFFERS.kept:
        _BUFFERS.kept[key] = torch.empty(ROW_BITS, BUCKETS, dtype=dtype, device=device)
    return _BUFFERS.kept[key]


@functools.lru_cache(maxsize=4)
def _head(seed: bytes, device: torch.device, words: int) -> tuple[Tensor, Tensor]:
    """The rotations' signs and the sketch's first words: kept, because much is signed under one seed."""
    drawn = words_on(device, seed, SIGN_STREAM, 0, HEAD + words)
    return signs(drawn[:HEAD]).view(ROTATIONS, SIDE, SIDE), drawn[HEAD:].to(torch.int32)


@functools.lru_cache(maxsize=4)
def _dither(seed: bytes, device: torch.device, bound: int) -> Tensor:
    return below_on(device, seed, DITHER_STREAM, POINTS, bound)


def _sketch_words(seed: bytes, device: torch.device, start: int, count: int) -> Tensor:
    return words_on(device, seed, SIGN_STREAM, HEAD + start, count).to(torch.int32)


def _rows(parts: list[Tensor]) -> Iterator[Tensor]:
    """The parts' values as rows, float32 [at most ROW_BITS, BUCKETS]: the same storage each time, zeros at the end."""
    buffer = _buffer(parts[0].device, torch.float32).view(-1)
    filled = 0
    for part in parts:
        at = 0
        while at < len(part):
            taken = min(len(part) - at, len(buffer) - filled)
            buffer[filled : filled + taken] = part[at : at + taken]
            at, filled = at + taken, filled + taken
            if filled == len(buffer):
                yield buffer.view(-1, BUCKETS)
                filled = 0
    if filled:
        whole = -(-filled // BUCKETS) * BUCKETS
        buffer[filled:whole] = 0
        yield buffer[:whole].view(-1, BUCKETS)


@functools.cache
def _hadamard(device: torch.device) -> Tensor:
    """Sylvester's [SIDE, SIDE]; times itself on both sides it transforms a vector of POINTS."""
    rows = [[1 - 2 * ((i & j).bit_count() & 1) for j in range(SIDE)] for i in range(SIDE)]
    return torch.tensor(rows, dtype=torch.float64, device=device)


def _packed(bits: Tensor) -> tuple[int, ...]:
    """The first bit is the first word's uppermost."""
    packed = np.packbits(bits.cpu().numpy()).tobytes()
    return tuple(int.from_bytes(packed[at : at + 32], "big") for at in range(0, len(packed), 32))
