"""Rounding: where it goes, and that it never overshoots."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction
from math import floor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gradmint.spec.fixed import (
    WAD,
    bps_down,
    exp_wad,
    mean_toward_old,
    mul_div_down,
    mul_q32_down,
    pow_halves_q32_down,
    running_weight_bps,
    sign,
    sqrt_down,
)
from gradmint.spec.params import MAX_EXPONENT_HALVES, MAX_TRAINERS
from gradmint.spec.types import BPS, ONE_Q32

from .strategies import values_q32
from .word import Word

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


# Roots and powers


@given(st.integers(0, 2**256 - 1))
def test_sqrt_rounds_down(x: int) -> None:
    root = sqrt_down(x)
    assert root * root <= x < (root + 1) * (root + 1)


shares_q32 = st.integers(0, ONE_Q32)


@given(values_q32, st.integers(2, 6))
def test_power_rounds_down_by_less_than_one_unit_a_step(x: int, halves: int) -> None:
    """At most three steps: within three units of 2^-32 below x^(halves / 2), or 2^-30 of it, and never above it."""
    power = pow_halves_q32_down(x, halves)
    # (x / 2^32)^(halves / 2) * 2^32, squared to stay with integers
    exact_squared = Fraction(x, ONE_Q32) ** halves * ONE_Q32**2
    assert power**2 <= exact_squared
    assert (power + 3 + (power >> 30)) ** 2 > exact_squared


def test_powers_by_hand() -> None:
    quarter = ONE_Q32 // 4
    assert [pow_halves_q32_down(quarter, halves) for halves in range(2, 7)] == [
        ONE_Q32 >> halves for halves in range(2, 7)
    ]
    assert [pow_halves_q32_down(ONE_Q32, halves) for halves in range(2, 7)] == [ONE_Q32] * 5
    assert [pow_halves_q32_down(0, halves) for halves in range(2, 7)] == [0] * 5
    assert pow_halves_q32_down(ONE_Q32 // 2, 3) == 1_518_500_249  # 2^-1.5 * 2^32 = 1,518,500,249.99


@given(values_q32, values_q32, st.integers(2, 6))
def test_power_is_monotone(x: int, y: int, halves: int) -> None:
    low, high = sorted((x, y))
    assert pow_halves_q32_down(low, halves) <= pow_halves_q32_down(high, halves)


@given(shares_q32, st.integers(2, 5))
def test_a_higher_power_of_a_share_is_no_more(x: int, halves: int) -> None:
    assert pow_halves_q32_down(x, halves + 1) <= pow_halves_q32_down(x, halves)


@given(st.integers(ONE_Q32, MAX_TRAINERS * ONE_Q32), st.integers(2, 5))
def test_a_higher_power_of_a_multiple_is_no_less(x: int, halves: int) -> None:
    assert pow_halves_q32_down(x, halves + 1) >= pow_halves_q32_down(x, halves)


@pytest.mark.parametrize("halves", range(2, MAX_EXPONENT_HALVES + 1))
def test_the_highest_power_times_any_amount_fits_256_bits(halves: int) -> None:
    """Values are up to 1,024.0, what their mean is of; the cube of that is 2^62 in Q32, and amounts are below 2^128."""
    power = pow_halves_q32_down(Word(MAX_TRAINERS * ONE_Q32), halves)
    assert power == ONE_Q32 << 5 * halves < 2**63
    assert Word(power) * (2**128 - 1) * MAX_TRAINERS > 0


# exp

LOWEST, HIGHEST = -41_446_531_673_892_822_312, 135_305_999_368_893_231_588  # Solady's: below it is 0, above it reverts


def exact_exp(x: int) -> Decimal:
    """e^x with 18 decimals, and 100 digits."""
    with localcontext(prec=120):
        return (Decimal(x) / WAD).exp() * WAD


@given(st.integers(0, 30 * WAD))
def test_exp_is_within_1e_18_where_the_rating_uses_it(x: int) -> None:
    assert abs(exp_wad(x) - exact_exp(x)) <= exact_exp(x) / 10**18


@given(st.integers(LOWEST, HIGHEST))
def test_exp_is_within_one_unit_and_2e_20_everywhere(x: int) -> None:
    assert abs(exp_wad(x) - exact_exp(x)) <= 1 + 2 * exact_exp(x) / 10**20


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (LOWEST - 1, 0),
        (LOWEST, 1),
        (-3 * WAD, 49_787_068_367_863_942),
        (-2 * WAD, 135_335_283_236_612_691),
        (-WAD, 367_879_441_171_442_321),
        (-WAD // 2, 606_530_659_712_633_423),
        (-3 * WAD // 10, 740_818_220_681_717_866),
        (0, WAD),
        (3 * WAD // 10, 1_349_858_807_576_003_103),
        (WAD // 2, 1_648_721_270_700_128_146),
        (WAD, 2_718_281_828_459_045_235),
        (2 * WAD, 7_389_056_098_930_650_227),
        (3 * WAD, 20_085_536_923_187_667_741),
        (10 * WAD, 22_026_465_794_806_716_516_980),
        (50 * WAD, 5_184_705_528_587_072_464_148_529_318_587_763_226_117),
        (100 * WAD, 26_881_171_418_161_354_484_134_666_106_240_937_146_178_367_581_647_816_351_662_017),
        (
            HIGHEST,
            57_896_044_618_658_097_650_144_101_621_524_338_577_433_870_140_581_303_254_786_265_309_376_407_432_913,
        ),
    ],
)
def test_exp_has_the_values_of_soladys_own_tests(x: int, expected: int) -> None:
    assert exp_wad(x) == expected


@pytest.mark.parametrize("x", [HIGHEST + 1, 10**30])
def test_exp_refuses_what_the_library_reverts_on(x: int) -> None:
    with pytest.raises(OverflowError, match="does not fit"):
        exp_wad(x)


@given(st.integers(0, 30 * WAD - 1), st.integers(1, WAD))
def test_exp_never_falls_where_the_rating_uses_it(x: int, step: int) -> None:
    """A better rating never counts as the weaker one."""
    assert exp_wad(x) <= exp_wad(min(x + step, 30 * WAD))


@given(st.integers(LOWEST, HIGHEST))
@example(LOWEST)
@example(HIGHEST)
def test_exp_fits_256_bits_at_every_step(x: int) -> None:
    """Python's integers have no end, Solidity's do."""
    assert exp_wad(Word(x)) == exp_wad(x)


def test_words_notice_what_does_not_fit() -> None:
    """The other tests of what fits rest on this."""
    assert Word(2**128) * 2**127 == 2**255
    assert 2**127 * Word(2**128) - 2**255 == 0
    for too_wide in (
        lambda: Word(2**128) * 2**128,
        lambda: 2**128 * Word(2**128),
        lambda: Word(1) << 256,
        lambda: Word(2**256 - 1) + 1,
        lambda: -Word(2**255) - 1,
        lambda: Word(2**86) ** 3,
        lambda: sum([Word(2**255)] * 2),
    ):
        with pytest.raises(AssertionError, match=r"25[679] bits"):
            too_wide()
