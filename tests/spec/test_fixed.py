"""Rounding: where it goes, and that it never overshoots."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.spec.fixed import bps_down, mean_toward_old, mul_div_down, mul_q32_down, running_weight_bps, sign
from gradmint.spec.types import BPS, ONE_Q32

amounts = st.integers(0, 2**128 - 1)
signed_q32 = st.integers(-ONE_Q32, ONE_Q32)
weights = st.integers(0, BPS)


@given(amounts, amounts, st.integers(1, 2**128 - 1))
def test_mul_div_rounds_down(a: int, b: int, denominator: int) -> None:
    assert mul_div_down(a, b, denominator) == floor(Fraction(a * b, denominator))


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_q32_product_rounds_down(a: int, b: int) -> None:
    assert mul_q32_down(a, b) == floor(Fraction(a, ONE_Q32) * b)


@given(amounts, weights)
def test_bps_rounds_down(amount: int, bps: int) -> None:
    assert bps_down(amount, bps) == floor(Fraction(amount * bps, BPS))
    assert bps_down(amount, bps) <= amount


@given(signed_q32, signed_q32, weights)
def test_mean_lies_between_old_and_new_nearer_to_old(old: int, new: int, weight_bps: int) -> None:
    mean = mean_toward_old(old, new, weight_bps)
    exact = old + Fraction((new - old) * weight_bps, BPS)
    assert min(old, new) <= mean <= max(old, new)
    assert abs(mean - exact) < 1
    assert abs(mean - old) <= abs(exact - old)


@given(signed_q32, signed_q32, weights)
def test_mean_treats_signs_alike(old: int, new: int, weight_bps: int) -> None:
    assert mean_toward_old(-old, -new, weight_bps) == -mean_toward_old(old, new, weight_bps)


def test_mean_by_hand() -> None:
    assert mean_toward_old(0, 100, 1_500) == 15
    assert mean_toward_old(100, -100, 1_000) == 80
    assert mean_toward_old(0, 9, 1_000) == 0  # a step below 1 is no step
    assert mean_toward_old(5, 7, BPS) == 7
    assert mean_toward_old(5, 7, 0) == 5


def test_running_weight_is_a_plain_mean_first() -> None:
    assert [running_weight_bps(1_500, rounds) for rounds in range(8)] == [
        10_000,
        5_000,
        3_333,
        2_500,
        2_000,
        1_666,
        1_500,
        1_500,
    ]
    assert running_weight_bps(1, 65_535) == 1
    assert running_weight_bps(BPS, 65_535) == BPS


@given(signed_q32, st.integers(0, ONE_Q32), st.integers(1, BPS), st.integers(1, 40))
def test_newcomers_mean_of_a_constant_share_is_that_share_from_the_first_round(
    before: int, share: int, least_bps: int, count: int
) -> None:
    """To the last bit, and whatever the mean was before there was anything to take the mean of."""
    mean = before
    for rounds in range(count):
        mean = mean_toward_old(mean, share, running_weight_bps(least_bps, rounds))
        assert mean == share


@given(st.lists(st.integers(0, ONE_Q32), min_size=1, max_size=6))
def test_newcomers_mean_is_the_plain_mean_of_what_it_has_shown(shown: list[int]) -> None:
    """For as long as 1 / rounds is above the least weight. Each weight is rounded down by less than a basis point."""
    mean = 0
    for rounds, share in enumerate(shown):
        mean = mean_toward_old(mean, share, running_weight_bps(1_500, rounds))
        seen = shown[: rounds + 1]
        assert abs(mean - Fraction(sum(seen), len(seen))) <= len(seen) * (Fraction(ONE_Q32, BPS) + 1)


def test_after_that_the_mean_is_exponential() -> None:
    """Seven shares of one, then none: six rounds plain, and 0.85 of what was left in every later one."""
    mean = 0
    for rounds, share in enumerate([ONE_Q32] * 7 + [0] * 3):
        mean = mean_toward_old(mean, share, running_weight_bps(1_500, rounds))
    assert mean / ONE_Q32 == pytest.approx(0.85**3)


@given(st.integers())
def test_sign(x: int) -> None:
    assert sign(x) * abs(x) == x
    assert sign(x) in (-1, 0, 1)
