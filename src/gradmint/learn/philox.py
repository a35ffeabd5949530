"""Philox4x32-10 (Salmon, Moraes, Dror & Shaw, 2011): random words by position, the same bits in numpy and in torch.

Counter-based, so anyone can generate any part alone, and all arithmetic is integer, so every machine gets the same.
numpy's own generator has 64-bit words, whose 128-bit products no accelerator's integers hold; hence this one.

A stream is a seed and a number. sha256(seed || number as uint64) gives the key (first 8 bytes) and the upper half of
the counter (next 8), little-endian; the lower half counts blocks of four words.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Words: TypeAlias = NDArray[np.int64]  # 32-bit words in 64-bit integers: torch has no arithmetic on unsigned ones

BLOCK_WORDS = 4
WORD_MASK = 0xFFFF_FFFF
MULTIPLIERS = (0xD251_1F53, 0xCD9E_8D57)
WEYL = (0x9E37_79B9, 0xBB67_AE85)
ROUNDS = 10


def words(seed: bytes, stream: int, start: int, count: int) -> Words:
    """Words ``start`` to ``start + count`` of a stream, int64 [count], each in 0..2^32-1."""
    key, upper, first, blocks = _place(seed, stream, start, count)
    counters = np.empty((BLOCK_WORDS, blocks), dtype=np.uint64)
    index = np.arange(first, first + blocks, dtype=np.uint64)
    counters[0], counters[1] = index & np.uint64(WORD_MASK), index >> np.uint64(32)
    counters[2:] = np.array(upper, dtype=np.uint64)[:, None]
    return numpy_blocks(counters, key).T.reshape(-1)[start % BLOCK_WORDS :][:count].view(np.int64)


def words_on(device: torch.device, seed: bytes, stream: int, start: int, count: int) -> Tensor:
    """:func:`words` as a tensor, generated where it is used."""
    if device.type == "cpu":  # numpy has less overhead an operation
        return torch.from_numpy(words(seed, stream, start, count))
    return _torch_words(device, seed, stream, start, count)


def numpy_blocks(counters: NDArray[np.uint64], key: tuple[int, int]) -> NDArray[np.uint64]:
    """Four random words for each counter of four: [4, n] to [4, n].

    Both products of a round are one operation on [2, n], and no round allocates: on short arrays overhead is all.
    """
    low, shift = np.array(WORD_MASK, dtype=np.uint64), np.array(32, dtype=np.uint64)
    multipliers = np.array(MULTIPLIERS, dtype=np.uint64)[:, None]
    even, odd = counters[0::2].copy(), counters[1::2].copy()
    product = np.empty_like(even)
    crossed = product[::-1]
    for round_key in np.array(_round_keys(key), dtype=np.uint64)[:, :, None]:
        np.multiply(even, multipliers, out=product)
        np.right_shift(crossed, shift, out=even)
        np.bitwise_xor(even, odd, out=even)
        np.bitwise_xor(even, round_key, out=even)
        np.bitwise_and(crossed, low, out=odd)
    drawn = np.empty_like(counters)
    drawn[0::2], drawn[1::2] = even, odd
    return drawn


def torch_blocks(counters: Tensor, key: tuple[int, int]) -> Tensor:
    """The same on int64 [4, n], on any device.

    The product of two words needs 64 bits, one more than int64 has above zero: the sign is masked off where it appears.
    """
    c0, c1, c2, c3 = counters
    for k0, k1 in _round_keys(key):
        even, odd = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0 = (odd >> 32 & WORD_MASK) ^ c1 ^ k0
        c2 = (even >> 32 & WORD_MASK) ^ c3 ^ k1
        c1, c3 = odd & WORD_MASK, even & WORD_MASK
    return torch.stack((c0, c1, c2, c3))


def signs(words: Tensor) -> Tensor:
    """The words' bits as signs, float64 [32 n]: bit i of word w, lowest first, is number 32 w + i; a set bit is -1."""
    if words.device.type == "cpu":
        packed = words.numpy().astype("<u4").view(np.uint8)
        return torch.from_numpy(1.0 - 2.0 * np.unpackbits(packed, bitorder="little"))
    bits = (words[:, None] >> torch.arange(32, device=words.device)) & 1
    return (1 - 2 * bits).reshape(-1).double()


def below_on(device: torch.device, seed: bytes, stream: int, count: int, bound: int) -> Tensor:
    """The first ``count`` integers of a stream that are below ``bound``, int64: word x bound / 2^32, rounded down.

    Off uniform by less than ``bound`` / 2^32; raises ValueError for a bound that is not in 1..2^31.
    """
    if not 1 <= bound <= 1 << 31:
        raise ValueError(f"bound {bound} lies outside 1..2^31")
    return words_on(device, seed, stream, 0, count) * bound >> 32


def _torch_words(device: torch.device, seed: bytes, stream: int, start: int, count: int) -> Tensor:
    key, upper, first, blocks = _place(seed, stream, start, count)
    index = torch.arange(first, first + blocks, dtype=torch.int64, device=device)
    upper_words = (torch.full_like(index, upper[0]), torch.full_like(index, upper[1]))
    drawn = torch_blocks(torch.stack((index & WORD_MASK, index >> 32, *upper_words)), key)
    return drawn.t().reshape(-1)[start % BLOCK_WORDS :][:count]


def _round_keys(key: tuple[int, int]) -> list[tuple[int, int]]:
    return [((key[0] + i * WEYL[0]) & WORD_MASK, (key[1] + i * WEYL[1]) & WORD_MASK) for i in range(ROUNDS)]


def _place(seed: bytes, stream: int, start: int, count: int) -> tuple[tuple[int, int], tuple[int, int], int, int]:
    """Key, the counter's upper half, the first block and the number of blocks."""
    digest = hashlib.sha256(seed + stream.to_bytes(8, "big")).digest()
    k0, k1, c2, c3 = (int.from_bytes(digest[at : at + 4], "little") for at in (0, 4, 8, 12))
    first = start // BLOCK_WORDS
    return (k0, k1), (c2, c3), first, -(-(start + count) // BLOCK_WORDS) - first
