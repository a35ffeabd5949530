"""Intervals against published values, tails against counting, ROC against its definition."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradmint.study.statistics import Tail, area_under_roc, beyond_all, binomial_cdf, clopper_pearson, roc

distances = st.lists(st.integers(0, 40), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        (5, 10, 0.187086, 0.812914),
        (1, 20, 0.001265, 0.248733),
        (81, 263, 0.252737, 0.367622),
    ],
)
def test_intervals_as_tabulated(hits: int, trials: int, low: float, high: float) -> None:
    assert clopper_pearson(hits, trials) == pytest.approx((low, high), abs=2e-6)


def test_nothing_seen_is_the_rule_of_three() -> None:
    low, high = clopper_pearson(0, 12_000)
    assert low == 0 and high == pytest.approx(3 / 12_000, rel=0.01)
    assert clopper_pearson(12_000, 12_000) == pytest.approx((1 - high, 1))
    assert clopper_pearson(0, 0) == (0, 1)


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_limits_are_where_the_tails_say(case: tuple[int, int]) -> None:
    hits, trials = case
    low, high = clopper_pearson(hits, trials)
    assert 0 <= low <= hits / trials <= high <= 1
    if 0 < hits < trials:
        assert binomial_cdf(hits, trials, high) == pytest.approx(0.025, abs=1e-6)
        assert 1 - binomial_cdf(hits - 1, trials, low) == pytest.approx(0.025, abs=1e-6)


@given(st.floats(1e-5, 0.5), st.floats(0, 0.4))
def test_tails_are_distributions(p: float, rho: float) -> None:
    tail = Tail(bits=256, p=p, rho=rho)
    assert tail.beyond(-1) == pytest.approx(1, abs=1e-6)
    k = tail.quantile(1e-3)
    assert tail.beyond(k) <= 1e-3 * (1 + 1e-9)
    assert k == 0 or tail.beyond(k - 1) > 1e-3


def test_few_observations_give_wide_tails() -> None:
    generator = np.random.default_rng(7)
    truth = 1024 * generator.beta(2, 200, size=20_000)
    drawn = [int(d) for d in generator.binomial(1024, truth / 1024)]
    exact = sorted(drawn)[int(len(drawn) * 0.999)]
    many, few = (Tail.fit(drawn, 1024, count).quantile(1e-3) for count in (20_000, 8))
    assert exact * 0.9 < many < exact * 1.15
    assert few > 1.2 * many


def test_the_promised_rate_is_kept_out_of_sample() -> None:
    """Thresholds from 24 scenes each, over many repetitions: beyond them lies a thousandth at most, on average."""
    generator = np.random.default_rng(11)
    beyond = []
    for _ in range(40):
        drawn = generator.binomial(1024, generator.beta(3, 300, size=24))
        threshold = Tail.fit([int(d) for d in drawn], 1024, 24).quantile(1e-3)
        fresh = generator.binomial(1024, generator.beta(3, 300, size=4_000))
        beyond.append(float((fresh > threshold).mean()))
    assert sum(beyond) / len(beyond) < 1e-3


def test_the_greatest_of_2995_is_the_limit_of_a_thousandth() -> None:
    """Wilks (1941), as tabulated: 2,995 observations for 0.999 of the population with 95% confidence."""
    assert beyond_all(7.0, 2_995, 1e-3) == 7.0
    assert beyond_all(7.0, 2_994, 1e-3) > 7.0
    assert beyond_all(0.0, 5, 1e-6) == 0.0


@pytest.mark.parametrize("count", [8, 60, 1_000])
@pytest.mark.parametrize(
    ("tail", "exceeded"),
    [
        ("half-normal", lambda limit: np.vectorize(math.erfc)(limit / math.sqrt(2))),
        ("exponential", lambda limit: np.exp(-limit)),
    ],
)
def test_limits_hold_in_nineteen_cases_of_twenty(
    tail: str, exceeded: Callable[[NDArray[np.float64]], NDArray[np.float64]], count: int
) -> None:
    generator = np.random.default_rng(count)
    drawn = (
        generator.standard_normal((2_000, count)) if tail == "half-normal" else generator.exponential(1, (2_000, count))
    )
    limits = np.array([beyond_all(float(greatest), count, 1e-6) for greatest in np.abs(drawn).max(1)])
    assert (exceeded(limits) <= 1e-6).mean() > 0.94


def test_no_difference_at_all_leaves_a_little_room() -> None:
    tail = Tail.fit([0] * 12, 1024, 12)
    assert 0 < tail.p < 1e-3
    assert 0 < tail.quantile(1e-6) < 10


@given(distances, distances)
def test_area_is_the_chance_to_be_further(honest: list[int], cheating: list[int]) -> None:
    pairs = list(itertools.product(honest, cheating))
    wanted = sum((c > h) + (c == h) / 2 for h, c in pairs) / len(pairs)
    assert area_under_roc(honest, cheating) == pytest.approx(wanted)


@given(distances, distances)
def test_the_curve_goes_from_nothing_to_everything(honest: list[int], cheating: list[int]) -> None:
    points = roc(honest, cheating)
    assert points[0] == (0, 0) and points[-1] == (1, 1)
    assert points == sorted(points)
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(points))
    assert area == pytest.approx(area_under_roc(honest, cheating))
