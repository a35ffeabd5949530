"""From a beacon to everything random: shards, batches, probes, projections. Counter-based, so any draw stands alone.

A beacon is 32 bytes that the chain fixes when a phase opens. Nobody knows it earlier; nobody can choose it afterwards.
"""

from __future__ import annotations

import hashlib

from .keccak import keccak256


def derive(beacon: bytes, purpose: str, index: int = 0) -> bytes:
    """32-byte seed for one purpose: keccak256(beacon || index as uint64 || purpose in UTF-8)."""
    return keccak256(beacon + index.to_bytes(8, "big") + purpose.encode())


def draw_below(seed: bytes, count: int, bound: int) -> list[int]:
    """``count`` integers in [0, bound), with repetition.

    Draw i is the top of ``bound`` x 64 bits of sha256(seed || i // 4): bias below bound / 2^64.
    """
    if bound < 1:
        raise ValueError(f"bound {bound} leaves nothing to draw from")
    draws: list[int] = []
    for block in range((count + 3) // 4):
        digest = hashlib.sha256(seed + block.to_bytes(8, "big")).digest()
        draws += [int.from_bytes(digest[at : at + 8], "big") * bound >> 64 for at in (0, 8, 16, 24)]
    return draws[:count]


def draw_distinct(seed: bytes, count: int, bound: int) -> list[int]:
    """``count`` distinct integers in [0, bound) in draw order: the head of a Fisher-Yates shuffle.

    All of them when ``count`` >= ``bound``. Memory is O(count), not O(bound).
    """
    count = min(count, bound)
    moved: dict[int, int] = {}
    chosen = []
    for i, r in enumerate(draw_below(seed, count, 2**64)):
        j = i + (r * (bound - i) >> 64)
        chosen.append(moved.get(j, j))
        moved[j] = moved.get(i, i)
    return chosen


def assigned_trainers(beacon: bytes, count: int, trainers: int) -> list[int]:
    """``count`` of ``trainers`` trainers, in draw order: whom the assessment that ``beacon`` opens looks at closely."""
    return draw_distinct(derive(beacon, "assigned trainers"), count, trainers)
