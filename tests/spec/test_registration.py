"""The price of a seat: it rises with every join, halves in every half-life, and fits the contract's words."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gradmint.spec.params import STANDARD
from gradmint.spec.registration import MAX_PRICE_WEI, next_price_wei, price_wei

from .word import Word

prices = st.one_of(st.integers(0, 1_000), st.integers(0, MAX_PRICE_WEI))
half_lives = st.one_of(st.integers(1, 100), st.integers(1, 2**32 - 1))
HALF_LIFE_S = 4_200


def elapsed(half_life_s: int) -> st.SearchStrategy[int]:
    return st.one_of(st.integers(0, 10 * half_life_s), st.integers(0, 2**40 - 1))


@given(prices, half_lives, prices, st.data())
def test_price_lies_between_the_floor_and_what_it_was(
    last: int, half_life: int, floor: int, data: st.DataObject
) -> None:
    """Below the floor only from below: a floor that is above the last price is the price."""
    price = price_wei(last, data.draw(elapsed(half_life)), half_life, floor)
    assert floor <= price <= max(floor, last)


@given(prices, half_lives, prices, st.data())
def test_price_never_rises_by_waiting(last: int, half_life: int, floor: int, data: st.DataObject) -> None:
    sooner, later = sorted((data.draw(elapsed(half_life)), data.draw(elapsed(half_life))))
    assert price_wei(last, sooner, half_life, floor) >= price_wei(last, later, half_life, floor)


@given(prices, half_lives, st.integers(0, 200), st.integers(0, 10**6))
@example(MAX_PRICE_WEI, 60, 100, 0)
@example(MAX_PRICE_WEI, 60, 127, 0)
@example(MAX_PRICE_WEI, 60, 128, 0)
def test_price_is_half_after_each_half_life(last: int, half_life: int, halvings: int, floor: int) -> None:
    assert price_wei(last, halvings * half_life, half_life, floor) == max(floor, last // 2**halvings)


@given(prices, half_lives, st.data())
def test_between_half_lives_the_price_falls_in_a_straight_line(last: int, half_life: int, data: st.DataObject) -> None:
    """Within one Wei above the line from the last halving to the next: at most 6.15% above the exponential."""
    halvings, rest = data.draw(st.integers(0, 130)), data.draw(st.integers(0, half_life - 1))
    start = last // 2**halvings
    line = start - Fraction(start * rest, 2 * half_life)
    price = price_wei(last, halvings * half_life + rest, half_life, 0)
    assert line <= price < line + 1
    exponential = start * 0.5 ** (rest / half_life)
    assert exponential * (1 - 1e-12) <= price <= 1.0615 * exponential + 1


@pytest.mark.parametrize(
    ("elapsed_s", "expected"),
    [
        (0, 8_000),
        (1, 8_000),  # 7,999.05: the fall is rounded down, so the price up
        (2, 7_999),  # 7,998.1
        (HALF_LIFE_S // 2, 6_000),
        (HALF_LIFE_S - 1, 4_001),
        (HALF_LIFE_S, 4_000),
        (HALF_LIFE_S + HALF_LIFE_S // 2, 3_000),
        (2 * HALF_LIFE_S, 2_000),
        (4 * HALF_LIFE_S, 500),
        (4 * HALF_LIFE_S + HALF_LIFE_S // 2, 400),  # the floor
        (128 * HALF_LIFE_S, 400),
        (2**40, 400),
    ],
)
def test_prices_by_hand(elapsed_s: int, expected: int) -> None:
    assert price_wei(8_000, elapsed_s, HALF_LIFE_S, 400) == expected


@given(prices, st.integers(0, 10_000))
def test_a_join_never_lowers_the_price_and_at_most_doubles_it(paid: int, bump_bps: int) -> None:
    after = next_price_wei(paid, bump_bps)
    assert paid <= after <= min(2 * paid, MAX_PRICE_WEI)
    exact = paid + Fraction(paid * bump_bps, 10_000)
    assert after == MAX_PRICE_WEI if exact >= MAX_PRICE_WEI + 1 else exact - 1 < after <= exact


def test_price_saturates_where_the_contracts_word_ends() -> None:
    assert next_price_wei(MAX_PRICE_WEI, 2_500) == MAX_PRICE_WEI == 2**128 - 1
    assert next_price_wei(MAX_PRICE_WEI - 1, 10_000) == MAX_PRICE_WEI
    assert next_price_wei(2**127, 10_000) == MAX_PRICE_WEI
    assert next_price_wei(2**127 - 1, 10_000) == MAX_PRICE_WEI - 1
    assert price_wei(MAX_PRICE_WEI, 0, 1, 0) == MAX_PRICE_WEI


@given(prices, st.integers(0, 2**40 - 1), half_lives, prices, st.integers(0, 10_000))
@example(MAX_PRICE_WEI, 2**32 - 2, 2**32 - 1, 0, 10_000)
@example(MAX_PRICE_WEI, 2**40 - 1, 1, MAX_PRICE_WEI, 10_000)
def test_nothing_on_the_way_to_a_price_is_wider_than_the_contracts_words(
    last: int, elapsed_s: int, half_life: int, floor: int, bump_bps: int
) -> None:
    """256 bits for every uint128 price, uint32 half-life and uint40 span of time; the result is a uint128 again."""
    price = price_wei(Word(last), Word(elapsed_s), Word(half_life), Word(floor))
    assert price == price_wei(last, elapsed_s, half_life, floor)
    assert next_price_wei(Word(price), Word(bump_bps)) <= MAX_PRICE_WEI


def joined(count: int, gap_s: int) -> tuple[float, float]:
    """Price of the last of ``count`` seats, and of all of them, as multiples of the floor, one every ``gap_s``."""
    floor, half_life = STANDARD.join_price_wei, STANDARD.join_half_life_s
    last = total = price = floor
    for _ in range(count - 1):
        last = next_price_wei(price, STANDARD.join_bump_bps)
        price = price_wei(last, gap_s, half_life, floor)
        total += price
    return price / floor, total / floor


@pytest.mark.parametrize(
    ("count", "last", "whole"), [(2, 1.25, 2.25), (5, 2.441, 8.207), (10, 7.451, 33.25), (20, 69.39, 342.9)]
)
def test_seats_at_once_cost_a_quarter_more_each(count: int, last: float, whole: float) -> None:
    assert joined(count, 0) == pytest.approx((last, whole), rel=0.001)
    assert whole == pytest.approx((1.25**count - 1) / 0.25, rel=0.001)


@pytest.mark.parametrize(
    ("gap_s", "last", "whole"),
    [
        (0, 3.927e9, 1.964e10),  # all at once
        (864, 84_604, 781_333),  # in a day
        (1_400, 56.90, 1_398.6),  # three between two rounds
        (1_679, 1.015, 100.7),
        (1_680, 1.0, 100.0),  # 1.25 * (1 - 0.2): what a join added is gone before the next
        (25_920, 1.0, 100.0),  # in a month
    ],
)
def test_a_hundred_seats_at_once_and_spread_out(gap_s: int, last: float, whole: float) -> None:
    """Whoever waits 28 minutes between two joins pays the floor for each; whoever does not wait cannot pay."""
    assert joined(100, gap_s) == pytest.approx((last, whole), rel=0.001)
