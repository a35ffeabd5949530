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
    assert [running_weight_bps(1_500, rounds) for rounds in range(7)] == [
        5_000,
        3_333,
        2_500,
        2_000,
        1_666,
        1_500,
        1_500,
    ]
    assert running_weight_bps(1, 65_535) == 1
    assert running_weight_bps(BPS, 0) == BPS


@pytest.mark.parametrize("least_bps", [1_000, 1_500])
def test_newcomers_mean_starts_at_half_and_is_within_a_tenth_after_nine(least_bps: int) -> None:
    """Up to rounding, the docstring's claim."""
    mean, means = 0, []
    for rounds in range(9):
        mean = mean_toward_old(mean, ONE_Q32, running_weight_bps(least_bps, rounds))
        means.append(mean / ONE_Q32)
    assert means[0] == 0.5
    assert means[-1] > 0.8999
    assert means[-2] < 0.9


@given(st.integers())
def test_sign(x: int) -> None:
    assert sign(x) * abs(x) == x
    assert sign(x) in (-1, 0, 1)
