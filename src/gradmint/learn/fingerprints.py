"""Outputs that are not floats -> signature words of 256 bits, compared by the same Hamming distance as any others.

What is strange to read is refused with MalformedOutput before anything is computed. All arithmetic is on integers, the
log-probs' as in :mod:`.signature`.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spec.errors import MalformedOutput
from .philox import WORD_MASK, numpy_blocks
from .signature import MAX_WORDS, WORD_BITS, quantised_words

MAX_TOKENS = 1 << 24
MAX_SIDE = 1 << 12  # pixels: 128 MiB of grey levels, whose sums float64 holds exactly
MAX_ITEMS = 1 << 20  # least hashes of so many still have random lowest bits
MAX_ITEM_BYTES = 1 << 16
LUMA = (299, 587, 114)  # thousandths of red, green, blue (ITU-R BT.601)
GRID = 32  # cells a side that an image is averaged to
BAND = 8  # a hash compares BAND x BAND frequencies
COSINE_BITS = 14
ITEMS_AT_ONCE = 1_024


def token_words(
    tokens: Sequence[int], logprobs: Sequence[float], seed: bytes, words: int, width: float
) -> tuple[int, ...]:
    """One word for the tokens themselves, the others for their log-probs.

    ``tokens`` are ids below 2^32, ``logprobs`` the natural logarithm that the model gave each, ``words`` at least 2.
    Under greedy or seeded sampling honest sequences are equal and so is the first word, sha256(seed || count as uint64
    || ids as uint32, little-endian); any other sequence is at half its bits. The rest are quantised words: a bit
    differs with probability ``differing(r / width)``, r the root mean square difference of the log-probs in nats, so
    what an honest width is does not depend on the length. Raises MalformedOutput, and ValueError as
    :func:`quantised_words`.
    """
    ids, values = _numbers("tokens", tokens, "iu"), _numbers("log-probs", logprobs, "f")
    if ids.shape != values.shape:
        raise MalformedOutput(f"{len(ids)} tokens and {len(values)} log-probs, expected one for each")
    if int(ids.min()) < 0 or int(ids.max()) > WORD_MASK:
        raise MalformedOutput(f"tokens from {ids.min()} to {ids.max()}, expected ids in 0..2^32-1")
    if not (np.isfinite(values).all() and values.max() <= 0):
        raise MalformedOutput(
            f"log-probs from {values.min()} to {values.max()}, expected finite ones of at most 0: of tokens that the "
            "model could have sampled"
        )
    count = len(ids)
    digest = hashlib.sha256(seed + count.to_bytes(8, "big") + ids.astype("<u4").tobytes()).digest()
    spread = quantised_words(values.astype(np.float64) / math.sqrt(count), seed, words - 1, width)
    return (int.from_bytes(digest, "big"), *spread)


def image_words(image: NDArray[np.uint8]) -> tuple[int]:
    """The perceptual hash of a picture, uint8 [h, w] grey or [h, w, 3] red, green and blue, of 32 to 4,096 pixels a
    side: one word of four 64-bit hashes.

    Luminance, averaged over 32 x 32 cells, is cosine-transformed (DCT-II); the 16 x 16 lowest frequencies in four
    blocks of 8 x 8, low-low first, then the higher horizontal, the higher vertical and both. A hash has a bit for each
    frequency of its block, set above the block's median; the mean's own bit is 0 and no part of the median. The first
    is the usual DCT hash. Unrelated pictures differ in about half of the bits; no closed form gives what an edit does,
    so thresholds are measured. Hue alone is not seen, and blocks without structure are noise. Raises MalformedOutput.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape[2:] not in ((), (3,)):
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise MalformedOutput(f"image is {found}, expected uint8 [h, w] or [h, w, 3]")
    if image.ndim < 2 or not all(GRID <= side <= MAX_SIDE for side in image.shape[:2]):
        raise MalformedOutput(f"image has shape {image.shape}, expected {GRID}..{MAX_SIDE} pixels a side")
    height, width = image.shape[:2]
    rows, columns = _overlaps(height), _overlaps(width)
    grey = sum(LUMA) * image.astype(np.float64) if image.ndim == 2 else image @ np.array(LUMA, dtype=np.float64)
    cells = (rows @ grey @ columns.T).astype(np.int64) // (height * width)
    waves = _waves()
    spectrum = waves @ cells @ waves.T
    hashes = [_above_median(spectrum[i : i + BAND, j : j + BAND], i + j == 0) for i in (0, BAND) for j in (0, BAND)]
    return (int.from_bytes(np.packbits(np.concatenate(hashes)).tobytes(), "big"),)


def set_words(items: Collection[bytes], seed: bytes, words: int) -> tuple[int, ...]:
    """One-bit MinHash (Li & König, 2010): a bit differs with probability (1 - J) / 2, J being the sets' Jaccard
    similarity, shared items over all.

    Each bit is the lowest of the least hash of an item, Philox's under the seed. Repeats and order do not matter; the
    empty set has words of 0. At most 2^20 items of at most 64 KiB. Raises MalformedOutput, and ValueError for a count
    of words that is not in 1..16.
    """
    if not 1 <= words <= MAX_WORDS:
        raise ValueError(f"{words} words lie outside 1..{MAX_WORDS}")
    if not isinstance(items, Collection) or isinstance(items, bytes | str) or len(items) > MAX_ITEMS:
        raise MalformedOutput(f"set is a {type(items).__name__}, expected at most {MAX_ITEMS} byte strings")
    for item in items:
        if not isinstance(item, bytes) or len(item) > MAX_ITEM_BYTES:
            found = f"{len(item)} bytes" if isinstance(item, bytes) else f"a {type(item).__name__}"
            raise MalformedOutput(f"an item is {found}, expected at most {MAX_ITEM_BYTES} bytes")
    if not items:
        return (0,) * words
    names = b"".join(hashlib.sha256(seed + item).digest()[:8] for item in set(items))
    halves = np.frombuffer(names, dtype="<u4").reshape(-1, 2).astype(np.uint64)
    key = hashlib.sha256(seed).digest()
    blocks = words * WORD_BITS // 4  # a block's four words are four hashes of one item
    least = np.full((4, blocks), WORD_MASK, dtype=np.uint64)
    per_step = max(1, ITEMS_AT_ONCE // words)
    for at in range(0, len(halves), per_step):
        some = halves[at : at + per_step]
        counters = np.zeros((4, len(some), blocks), dtype=np.uint64)
        counters[0], counters[2:] = np.arange(blocks), some.T[:, :, None]
        hashes = numpy_blocks(
            counters.reshape(4, -1), (int.from_bytes(key[:4], "big"), int.from_bytes(key[4:8], "big"))
        )
        np.minimum(least, hashes.reshape(counters.shape).min(1), out=least)
    packed = np.packbits((least.T.reshape(-1) & 1).astype(bool)).tobytes()
    return tuple(int.from_bytes(packed[at : at + 32], "big") for at in range(0, len(packed), 32))


def _numbers(what: str, values: Sequence[float], kinds: str) -> NDArray[Any]:
    """An array [n] of 1..MAX_TOKENS numbers of these kinds. Raises MalformedOutput."""
    count = len(values) if isinstance(values, Sequence | np.ndarray) else 0
    if isinstance(values, Sequence) and any(isinstance(value, Sequence) for value in values):
        count = 0  # numpy would look for a shape in it
    array = np.asarray(values if 1 <= count <= MAX_TOKENS else [])
    if array.shape != (count,) or not count or array.dtype.kind not in kinds:
        kind = "integers" if "i" in kinds else "floats"
        raise MalformedOutput(f"{what} are {array.dtype} {array.shape}, expected 1..{MAX_TOKENS} {kind}")
    return array


def _overlaps(side: int) -> NDArray[np.float64]:
    """How much of each of ``side`` pixels lies in each of GRID cells, [GRID, side], in units of 1 / GRID pixels."""
    cell, pixel = np.arange(GRID)[:, None] * side, np.arange(side) * GRID
    shared = np.minimum(cell + side, pixel + GRID) - np.maximum(cell, pixel)
    lengths: NDArray[np.float64] = np.maximum(shared, 0).astype(np.float64)
    return lengths


@functools.cache
def _waves() -> NDArray[np.int64]:
    """DCT-II's lowest 2 BAND frequencies over GRID cells, rounded to integers."""
    angles = [[math.pi * k * (2 * i + 1) / (2 * GRID) for i in range(GRID)] for k in range(2 * BAND)]
    return np.array([[round(math.cos(a) * (1 << COSINE_BITS)) for a in row] for row in angles], dtype=np.int64)


def _above_median(block: NDArray[np.int64], has_mean: bool) -> NDArray[np.bool_]:
    values = block.reshape(-1)
    counted = np.sort(values[1:] if has_mean else values)
    bits: NDArray[np.bool_] = 2 * values > counted[(len(counted) - 1) // 2] + counted[len(counted) // 2]
    bits[0] &= not has_mean
    return bits
