"""Philox4x32-10 (Salmon, Moraes, Dror & Shaw, 2011): random words by position, the same bits in numpy and in torch.

Counter-based, so anyone can generate any part alone, and all arithmetic is integer, so every machine gets the same.
numpy's own generator has 64-bit words, whose 128-bit products no accelerator's integers hold; hence this one.

A stream is a seed and a number. sha256(seed || number as uint64) gives the key (first 8 bytes) and the upper half of
the counter (next 8), little-endian; the lower half counts blocks of four words.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Words: TypeAlias = NDArray[np.int64]  # 32-bit words in 64-bit integers: torch has no arithmetic on unsigned ones
Array = TypeVar("Array", Words, Tensor)

BLOCK_WORDS = 4
WORD_MASK = 0xFFFF_FFFF
MULTIPLIERS = (0xD251_1F53, 0xCD9E_8D57)
WEYL = (0x9E37_79B9, 0xBB67_AE85)
ROUNDS = 10


def philox4x32(block: tuple[Array, Array, Array, Array], key: tuple[int, int]) -> tuple[Array, Array, Array, Array]:
    """Four random words for each counter; ``block`` is the counters' four words, int64 arrays of one shape.

    The product of two words needs 64 bits, one more than int64 has above zero: the sign is masked off where it appears.
    """
    c0, c1, c2, c3 = block
    k0, k1 = key
    for _ in range(ROUNDS):
        even, odd = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0 = (odd >> 32) & WORD_MASK
        c0 ^= c1
        c0 ^= k0
        c2 = (even >> 32) & WORD_MASK
        c2 ^= c3
        c2 ^= k1
        odd &= WORD_MASK
        even &= WORD_MASK
        c1, c3 = odd, even
        k0, k1 = (k0 + WEYL[0]) & WORD_MASK, (k1 + WEYL[1]) & WORD_MASK
    return c0, c1, c2, c3


def words(seed: bytes, stream: int, start: int, count: int) -> Words:
    """Words ``start`` to ``start + count`` of a stream, int64 [count], each in 0..2^32-1."""
    key, upper, first, blocks = _place(seed, stream, start, count)
    index = np.arange(first, first + blocks, dtype=np.int64)
    lower = (index & WORD_MASK, index >> 32)
    drawn = philox4x32((*lower, np.full_like(index, upper[0]), np.full_like(index, upper[1])), key)
    return np.stack(drawn, axis=-1).reshape(-1)[start % BLOCK_WORDS :][:count]


def words_on(device: torch.device, seed: bytes, stream: int, start: int, count: int) -> Tensor:
    """:func:`words` as a tensor, generated where it is used."""
    if device.type == "cpu":  # numpy has less overhead an operation
        return torch.from_numpy(words(seed, stream, start, count))
    return _torch_words(device, seed, stream, start, count)


def signs_on(device: torch.device, seed: bytes, stream: int, count: int) -> Tensor:
    """The first ``count`` signs of a stream, float64: bit i of word w, lowest first, is sign 32 w + i; 1 is minus."""
    drawn = words_on(device, seed, stream, 0, -(-count // 32))
    bits = (drawn[:, None] >> torch.arange(32, device=device)) & 1
    return (1 - 2 * bits).reshape(-1)[:count].double()


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
    lower = (index & WORD_MASK, index >> 32)
    drawn = philox4x32((*lower, torch.full_like(index, upper[0]), torch.full_like(index, upper[1])), key)
    return torch.stack(drawn, dim=-1).reshape(-1)[start % BLOCK_WORDS :][:count]


def _place(seed: bytes, stream: int, start: int, count: int) -> tuple[tuple[int, int], tuple[int, int], int, int]:
    """Key, the counter's upper half, the first block and the number of blocks."""
    digest = hashlib.sha256(seed + stream.to_bytes(8, "big")).digest()
    k0, k1, c2, c3 = (int.from_bytes(digest[at : at + 4], "little") for at in (0, 4, 8, 12))
    first = start // BLOCK_WORDS
    return (k0, k1), (c2, c3), first, -(-(start + count) // BLOCK_WORDS) - first
