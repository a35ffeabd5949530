"""Draws from a beacon: in range, distinct where promised, uniform, and the same for ever."""

from __future__ import annotations

import hashlib
from collections import Counter

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from gradmint.spec.seeds import derive, draw_below, draw_distinct

BEACON = bytes(range(32))
seeds = st.binary(min_size=32, max_size=32)


def test_derive_is_the_documented_hash() -> None:
    assert derive(BEACON, "probe", 5) == keccak(BEACON + (5).to_bytes(8, "big") + b"probe")


def test_derive_separates_beacon_purpose_and_index() -> None:
    made = {derive(beacon, purpose, index) for beacon in (BEACON, bytes(32)) for purpose in "ab" for index in range(50)}
    assert len(made) == 200
    assert derive(BEACON, "probe") == derive(BEACON, "probe", 0)


@given(seeds, st.integers(0, 70), st.integers(1, 2**64))
def test_draws_lie_in_range(seed: bytes, count: int, bound: int) -> None:
    drawn = draw_below(seed, count, bound)
    assert len(drawn) == count
    assert all(0 <= draw < bound for draw in drawn)


@given(seeds, st.integers(0, 70), st.integers(0, 70), st.integers(1, 1_000))
def test_any_draw_stands_alone(seed: bytes, count: int, more: int, bound: int) -> None:
    assert draw_below(seed, count + more, bound)[:count] == draw_below(seed, count, bound)


@given(seeds, st.integers(0, 200))
def test_draw_is_the_documented_slice_of_sha256(seed: bytes, i: int) -> None:
    digest = hashlib.sha256(seed + (i // 4).to_bytes(8, "big")).digest()
    top = int.from_bytes(digest[8 * (i % 4) : 8 * (i % 4) + 8], "big")
    assert draw_below(seed, i + 1, 2**64)[i] == top
    assert draw_below(seed, i + 1, 1_000)[i] == top * 1_000 // 2**64


def test_nothing_to_draw_from() -> None:
    with pytest.raises(ValueError, match="bound 0"):
        draw_below(BEACON, 1, 0)
    assert draw_distinct(BEACON, 5, 0) == []


@given(seeds, st.integers(0, 100), st.integers(1, 100))
def test_distinct_draws_are_distinct_and_in_range(seed: bytes, count: int, bound: int) -> None:
    drawn = draw_distinct(seed, count, bound)
    assert len(drawn) == min(count, bound) == len(set(drawn))
    assert all(0 <= draw < bound for draw in drawn)


@given(seeds, st.integers(1, 100), st.integers(1, 100))
@settings(max_examples=50)
def test_distinct_draws_are_the_head_of_a_shuffle(seed: bytes, count: int, bound: int) -> None:
    count = min(count, bound)
    deck = list(range(bound))
    for i, r in enumerate(draw_below(seed, count, 2**64)):
        j = i + r * (bound - i) // 2**64
        deck[i], deck[j] = deck[j], deck[i]
    assert draw_distinct(seed, count, bound) == deck[:count]


def test_distinct_draws_from_a_huge_range_are_cheap() -> None:
    drawn = draw_distinct(BEACON, 100, 2**60)
    assert len(set(drawn)) == 100 and max(drawn) > 2**59


def test_draws_are_uniform() -> None:
    """Chi-squared with 19 degrees of freedom over 20,000 draws; 43.8 is the 0.1% point."""
    counts = Counter(draw_below(derive(BEACON, "uniform"), 20_000, 20))
    assert sum((counts[i] - 1_000) ** 2 / 1_000 for i in range(20)) < 43.8


def test_distinct_draws_favour_nobody() -> None:
    """Each of 12 is among 4 chosen in a third of 3,000 beacons; 5 standard deviations are 129."""
    counts = Counter(i for k in range(3_000) for i in draw_distinct(derive(BEACON, "fair", k), 4, 12))
    assert all(abs(counts[i] - 1_000) < 129 for i in range(12))


def test_frozen() -> None:
    """Training data, batches and projections of old runs depend on these."""
    assert derive(BEACON, "shard", 3).hex() == "2378b22b5f2a6e5f72029f079316de65b5da4d25fbc58dd305056cf424810b25"
    assert draw_below(BEACON, 6, 1_000) == [663, 221, 549, 741, 376, 727]
    assert draw_distinct(BEACON, 6, 10) == [6, 2, 0, 8, 1, 3]
