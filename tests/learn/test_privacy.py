"""Quantisation at random: what it draws, and that the accountant says no less than what it gives away."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gradmint.learn.codec import Table, private
from gradmint.learn.codec.privacy import account, outcomes, renyi, scalar_epsilon
from gradmint.learn.philox import words

TABLE = Table(dimension=1, chunk=1, keep=1, kind="private", levels=16, retain_bps=4_200, margin_bps=10_000, exponent=0)


def stream(size: int) -> bytes:
    return words(b"test", 0, 0, -(-size // 4)).astype("<u4").tobytes()[:size]


@pytest.mark.parametrize(
    ("levels", "retain_bps", "epsilon"),
    [(16, 4_200, 5.5), (4, 5_000, 2.0), (2, 0, math.log(3))],
)
def test_epsilon_of_one_scalar(levels: int, retain_bps: int, epsilon: float) -> None:
    """One bit is randomised response: with a margin as wide as the bound its chances are 3/4 and 1/4."""
    table = replace(TABLE, levels=levels, retain_bps=retain_bps)
    assert scalar_epsilon(table) == pytest.approx(epsilon, abs=0.06)


@pytest.mark.parametrize("place", [0.0, 3.75, 7.5, 8.0, 11.2])
def test_draws_have_the_chances_that_the_accountant_reckons_with(place: float) -> None:
    count = 400_000
    drawn = np.frombuffer(stream(4 * private.DRAWS * count), dtype="<u4").reshape(private.DRAWS, -1)
    found = private._randomise(np.full(count, place), drawn, TABLE)
    chances = outcomes(TABLE, place)
    assert chances.sum() == pytest.approx(1) and chances @ np.arange(16) == pytest.approx(place)
    seen = np.bincount(found, minlength=16)
    possible = chances > 0
    assert not seen[~possible].any()
    square = ((seen - count * chances)[possible] ** 2 / (count * chances[possible])).sum()
    assert square < 45  # chi-square of 15 degrees: exceeded once in 10,000


@pytest.mark.parametrize(("levels", "retain_bps"), [(2, 0), (3, 9_999), (16, 4_200), (64, 2_500)])
def test_every_level_with_a_chance_can_be_drawn(levels: int, retain_bps: int) -> None:
    """From the top, by the least word that passes as many levels as lie between."""
    assert private.draws_every_level(levels, retain_bps)
    table = replace(TABLE, levels=levels, retain_bps=retain_bps)
    parts = private.chances(levels, retain_bps)
    starts = np.array([0, *parts[-2::-1]], dtype="<u4")
    drawn = np.stack([starts, starts, np.full(len(starts), 0xFFFF_FFFF, dtype="<u4")])
    found = private._randomise(np.full(len(starts), levels - 1.5), drawn, table)
    assert set(found.tolist()) == set(range(levels - 1))


@pytest.mark.parametrize(("levels", "retain_bps"), [(8, 9_780), (8, 9_999), (64, 3_000), (64, 4_200)])
def test_levels_that_rounding_leaves_no_chance_are_noticed(levels: int, retain_bps: int) -> None:
    assert not private.draws_every_level(levels, retain_bps)


def test_no_two_values_tell_more_than_epsilon() -> None:
    """Over a fine grid of values, where the accountant looks at the ends of pieces alone."""
    reach = 7.5 * 10_000 / 20_000
    chances = np.stack([outcomes(TABLE, 7.5 + at) for at in np.linspace(-reach, reach, 101)])
    ratios = np.log(chances[:, None] / chances[None])
    assert ratios.max() <= scalar_epsilon(TABLE) + 1e-9
    order = 3.0
    divergence = np.log(np.einsum("az,bz->ab", chances**order, chances ** (1 - order))).max() / (order - 1)
    assert divergence <= renyi(TABLE, order) + 1e-9
    assert renyi(TABLE, 2.0) < renyi(TABLE, 64.0) < scalar_epsilon(TABLE)


def test_composition() -> None:
    table = replace(TABLE, dimension=40, levels=2, retain_bps=0, margin_bps=500_000)  # a weak signal: 1/51
    one, many = account(table, 1, 1e-5), account(table, 100, 1e-5)
    assert one.scalars == 40 and many.basic == pytest.approx(100 * one.basic) == pytest.approx(4_000 * one.each)
    assert many.renyi < many.advanced < many.basic and many.best == many.renyi
    few = account(replace(TABLE, dimension=1), 1, 1e-5)
    assert few.best == few.basic == few.each
    for wrong in (0.0, 1.0):
        with pytest.raises(ValueError, match="delta"):
            account(table, 1, wrong)


def test_advanced_composition_is_the_published_formula() -> None:
    table = replace(TABLE, levels=2, retain_bps=0, margin_bps=100_000)
    found = account(table, 50, 1e-6)
    each = math.log((1 + 1 / 11) / (1 - 1 / 11))
    assert found.each == pytest.approx(each)
    expected = each * math.sqrt(2 * 50 * math.log(1e6)) + 50 * each * (math.exp(each) - 1)
    assert found.advanced == pytest.approx(expected)


def test_noise_is_secret_and_directions_say_nothing_about_the_vector() -> None:
    table = replace(TABLE, dimension=4_096, chunk=64, keep=4, exponent=-6)
    vector = np.linspace(-1, 1, 4_096, dtype=np.float32)
    one, other = private.fit(vector, table), private.fit(vector, table)
    assert one.seed != other.seed and one.pack() != other.pack()
    first, second = private.fit(vector, table, stream), private.fit(-vector, table, stream)
    assert first.seed == second.seed  # the entropy's, whatever the vector


def test_values_are_right_on_average() -> None:
    table = replace(TABLE, dimension=20_000, exponent=-3)
    vector = np.full(20_000, 0.3, dtype=np.float32)
    assert private.fit(vector, table, stream).values().mean() == pytest.approx(0.3, abs=0.02)
    beyond = private.fit(vector * 100, table, stream).values()
    assert beyond.mean() == pytest.approx(private.bound(table), abs=0.02)
