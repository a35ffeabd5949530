"""The rating: OpenSkill's Plackett-Luce to nine digits, in integers that do not depend on the order of anything."""

from __future__ import annotations

import random
import sys
from itertools import pairwise
from types import FrameType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openskill.models import PlackettLuce

from gradmint.spec import fixed, rating
from gradmint.spec.params import MAX_TRAINERS
from gradmint.spec.rating import (
    BETA2_Q64,
    KAPPA_Q64,
    MU_Q32,
    ONE_Q64,
    SIGMA_Q32,
    SPREAD_WAD,
    TAU2_Q64,
    Rating,
    ordinal_q32,
    rate,
)
from gradmint.spec.types import ONE_Q32, Role, Standing

from .word import Word

ORACLE = PlackettLuce()
NEWCOMER = (MU_Q32, SIGMA_Q32)


def q32(x: float) -> int:
    return int(x * ONE_Q32)


def rated(mu: float, sigma: float) -> Rating:
    return q32(mu), q32(sigma)


def oracle(ratings: list[Rating], ranks: list[int]) -> list[tuple[float, float]]:
    """OpenSkill's, each player a team of its own; and nobody less certain than a newcomer."""
    teams = [[ORACLE.rating(mu=mu / ONE_Q32, sigma=sigma / ONE_Q32)] for mu, sigma in ratings]
    after = ORACLE.rate(teams, ranks=[float(rank) for rank in ranks])
    return [(player.mu, min(player.sigma, ORACLE.sigma)) for [player] in after]


@st.composite
def matches(draw: st.DrawFn, most: int = 40) -> tuple[list[Rating], list[int]]:
    """Narrow and wide, certain and not; all tied, many tied, none tied."""
    count = draw(st.integers(2, most))
    spread = draw(st.sampled_from([0.0, 1.0, 15.0, 100.0]))
    players = st.tuples(st.floats(25 - spread, 25 + spread), st.floats(0.5, 25 / 3)).map(lambda r: rated(*r))
    ratings = draw(st.lists(players, min_size=count, max_size=count))
    most_ranks = draw(st.sampled_from([1, 2, count, 10 * count]))
    return ratings, draw(st.lists(st.integers(0, most_ranks - 1), min_size=count, max_size=count))


# Against OpenSkill


def assert_is_openskills(ratings: list[Rating], ranks: list[int]) -> None:
    for (mu, sigma), (expected_mu, expected_sigma) in zip(rate(ratings, ranks), oracle(ratings, ranks), strict=True):
        assert mu / ONE_Q32 == pytest.approx(expected_mu, rel=0, abs=1e-8)
        assert sigma / ONE_Q32 == pytest.approx(expected_sigma, rel=0, abs=1e-8)


def test_constants_are_openskills_defaults() -> None:
    ours = [MU_Q32 / ONE_Q32, SIGMA_Q32 / ONE_Q32, BETA2_Q64 / ONE_Q64, TAU2_Q64 / ONE_Q64, KAPPA_Q64 / ONE_Q64]
    assert ours == pytest.approx([ORACLE.mu, ORACLE.sigma, ORACLE.beta**2, ORACLE.tau**2, ORACLE.kappa], rel=1e-8)
    fresh = Standing(bytes(20), Role.TRAINER)
    assert (fresh.mu_q32, fresh.sigma_q32) == NEWCOMER


@given(matches())
def test_a_match_is_openskills(match: tuple[list[Rating], list[int]]) -> None:
    """To 1e-8; measured over many, 3e-10: the unit is 2.3e-10."""
    assert_is_openskills(*match)


@pytest.mark.parametrize("count", [2, 3, 64, 200])
@pytest.mark.parametrize("ranks", ["none tied", "pairs tied", "the last half tied", "all tied"])
@pytest.mark.parametrize("spread", [0.0, 5.0, 60.0])
def test_large_matches_are_openskills(count: int, ranks: str, spread: float) -> None:
    draw = random.Random(f"{count} {ranks} {spread}")
    ratings = [rated(draw.uniform(25 - spread, 25 + spread), draw.uniform(0.5, 25 / 3)) for _ in range(count)]
    order = draw.sample(range(count), count)
    shape = {
        "none tied": lambda place: place,
        "pairs tied": lambda place: place // 2,
        "the last half tied": lambda place: min(place, count // 2),
        "all tied": lambda place: 7,
    }[ranks]
    assert_is_openskills(ratings, [shape(place) for place in order])


def test_a_whole_career_is_openskills() -> None:
    """Rounding does not add up: a hundred matches of twelve, each fed with the last one's result."""
    draw = random.Random(1)
    ours = [NEWCOMER] * 12
    theirs = [[ORACLE.rating()] for _ in ours]
    for _ in range(100):
        ranks = [int(4 * draw.gauss(i, 4)) for i in range(12)]
        ours = rate(ours, ranks)
        theirs = ORACLE.rate(theirs, ranks=[float(rank) for rank in ranks])
    for (mu, sigma), [player] in zip(ours, theirs, strict=True):
        assert (mu / ONE_Q32, sigma / ONE_Q32) == pytest.approx((player.mu, player.sigma), rel=0, abs=1e-7)
    assert max(mu for mu, _ in ours) - min(mu for mu, _ in ours) > q32(50)  # they did part


# What must hold of any match


@given(matches(), st.randoms(use_true_random=False))
def test_order_of_participants_does_not_matter(match: tuple[list[Rating], list[int]], random: random.Random) -> None:
    """To the last bit: no sum is one of floats."""
    ratings, ranks = match
    order = list(range(len(ratings)))
    random.shuffle(order)
    after = rate(ratings, ranks)
    assert rate([ratings[i] for i in order], [ranks[i] for i in order]) == [after[i] for i in order]


@given(matches())
def test_only_the_order_of_ranks_matters(match: tuple[list[Rating], list[int]]) -> None:
    ratings, ranks = match
    places = sorted(set(ranks))
    assert rate(ratings, [places.index(rank) for rank in ranks]) == rate(ratings, ranks)
    assert rate(ratings, [10**9 * rank - 2**31 for rank in ranks]) == rate(ratings, ranks)


@given(matches(), st.integers(-q32(1_000), q32(1_000)))
def test_only_differences_of_mu_matter(match: tuple[list[Rating], list[int]], shift: int) -> None:
    ratings, ranks = match
    shifted = rate([(mu + shift, sigma) for mu, sigma in ratings], ranks)
    assert shifted == [(mu + shift, sigma) for mu, sigma in rate(ratings, ranks)]


@given(matches())
def test_equals_stay_equal(match: tuple[list[Rating], list[int]]) -> None:
    ratings, ranks = match
    after = rate([*ratings, ratings[0]], [*ranks, ranks[0]])
    assert after[-1] == after[0]


@given(matches(most=2))
def test_of_two_the_winner_never_falls_and_the_loser_never_rises(match: tuple[list[Rating], list[int]]) -> None:
    ratings, _ = match
    (won, _), (lost, _) = rate(ratings, [0, 1])
    assert won >= ratings[0][0]
    assert lost <= ratings[1][0]


@given(matches())
def test_the_first_never_falls_and_the_last_never_rises(match: tuple[list[Rating], list[int]]) -> None:
    """Of any number; where several tie for last, the weakest of them may rise toward the others."""
    ratings, ranks = match
    after = rate(ratings, ranks)
    first, last = ranks.index(min(ranks)), ranks.index(max(ranks))
    if ranks.count(ranks[first]) == 1:
        assert after[first][0] >= ratings[first][0]
    if ranks.count(ranks[last]) == 1:
        assert after[last][0] <= ratings[last][0]


@given(matches(), st.integers(0, 39), st.floats(0.5, 25 / 3))
def test_a_better_rank_never_rates_lower(match: tuple[list[Rating], list[int]], who: int, sigma: float) -> None:
    """Everything else the same: one place up, past whoever was there, and mu is no less."""
    ratings, ranks = match
    who %= len(ratings)
    better = [2 * rank for rank in ranks]
    better[who] -= 3
    assert rate(ratings, better)[who][0] >= rate(ratings, [2 * rank for rank in ranks])[who][0]


@given(matches())
def test_mu_is_handed_on_not_made(match: tuple[list[Rating], list[int]]) -> None:
    """Equally certain players win together what others lose: the sum of omega is 0. One unit of 2^-32 each, at most."""
    ratings, ranks = match
    level = [(mu, ratings[0][1]) for mu, _ in ratings]
    moved = sum(after - before for (after, _), (before, _) in zip(rate(level, ranks), level, strict=True))
    assert abs(moved) <= len(level)


@given(matches())
def test_nobody_is_less_certain_than_a_newcomer_nor_certain_at_once(match: tuple[list[Rating], list[int]]) -> None:
    """No match takes more than a fifth of a sigma; time adds to it, up to a newcomer's."""
    ratings, ranks = match
    for (_, sigma), (_, before) in zip(rate(ratings, ranks), ratings, strict=True):
        assert 0.8 * before <= sigma <= SIGMA_Q32
        assert sigma <= (before**2 + TAU2_Q64) ** 0.5 + 1


def test_kappa_is_the_least_that_one_match_leaves_of_the_variance() -> None:
    """A hundredth of a sigma. Only somebody sixty times less certain than a newcomer gets there, whom there is not."""
    ratings = [rated(25, 0.01)] * 30 + [rated(1_500, 500)]
    assert rate(ratings, list(range(31)))[-1][1] / ONE_Q32 == pytest.approx(5, abs=1e-6)
    assert oracle(ratings, list(range(31)))[-1][1] == pytest.approx(5, abs=1e-6)
    assert rate([rated(25, 0.01)] * 30 + [rated(1_500, 2_000)], list(range(31)))[-1][1] == SIGMA_Q32


# Extremes


def assert_fits(after: list[Rating]) -> None:
    for mu, sigma in after:
        Standing(bytes(20), Role.TRAINER, mu_q32=mu, sigma_q32=sigma).pack()


def test_nobody_and_one_alone() -> None:
    assert rate([], []) == []
    assert rate([NEWCOMER], [5]) == [NEWCOMER]
    [(mu, sigma)] = rate([rated(31, 2)], [0])  # nobody to compare with: only time passes
    assert mu == q32(31)
    assert sigma / ONE_Q32 == pytest.approx((2**2 + (25 / 300) ** 2) ** 0.5)


@pytest.mark.parametrize(
    ("count", "expected", "upside_down"), [(2, 0.0, 5.271), (64, 3.283, 51.73), (MAX_TRAINERS, 1.109, 8.378)]
)
def test_a_spread_of_ten_thousand_moves_nobody_out_of_the_leaf(count: int, expected: float, upside_down: float) -> None:
    """The farthest that anybody moves when the match ends as expected, and upside down."""
    ratings = [rated(-5_000 + 10_000 * i / (count - 1), 25 / 3) for i in range(count)]
    for ranks, farthest in ((range(count)[::-1], expected), (range(count), upside_down)):
        after = rate(ratings, ranks)
        assert_fits(after)
        moves = [abs(new - old) / ONE_Q32 for (new, _), (old, _) in zip(after, ratings, strict=True)]
        assert max(moves) == pytest.approx(farthest, rel=0.001, abs=1e-6)


def test_beyond_thirty_c_the_weaker_counts_as_thirty_c_below() -> None:
    """Its chance is e^-30 either way: what it wins of whoever lost to it differs by less than a unit."""
    c = (2 * (SIGMA_Q32**2 + TAU2_Q64 + BETA2_Q64)) ** 0.5 / ONE_Q32
    at = [rate([rated(25 + c * apart, 25 / 3), NEWCOMER], [1, 0]) for apart in (SPREAD_WAD / 1e18, 40, 1_000)]
    won = [b[0] - MU_Q32 for _, b in at]
    assert max(won) - min(won) <= 1
    assert won[0] / ONE_Q32 == pytest.approx((25 / 3) ** 2 / c, rel=1e-3)


@pytest.mark.parametrize("count", [1, 2, 64, MAX_TRAINERS])
def test_when_all_are_missing_equals_stay_where_they_are(count: int) -> None:
    after = rate([NEWCOMER] * count, [2**31] * count)
    assert all(abs(mu - MU_Q32) <= 1 for mu, _ in after)
    assert len(set(after)) == 1
    assert_fits(after)


def test_when_all_are_missing_the_strong_lose_to_the_weak() -> None:
    """A tie is a tie, and says that they are alike."""
    (strong, _), (weak, _) = rate([rated(30, 5), rated(20, 5)], [2**31] * 2)
    assert strong / ONE_Q32 == pytest.approx(30 - 0.6729, abs=0.001)
    assert weak / ONE_Q32 == pytest.approx(20 + 0.6729, abs=0.001)


@pytest.mark.parametrize("spread", [0, 1, 100, 10_000])
@pytest.mark.parametrize("sigma", [0.01, 1, 25 / 3])
@pytest.mark.parametrize("shape", ["as expected", "upside down", "shuffled", "all tied", "one ahead"])
def test_a_full_match_fits_256_bits_at_every_step(
    spread: int, sigma: float, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,024 trainers, checked in every sum, product and shift: what Python computes, Solidity can."""
    count = MAX_TRAINERS
    monkeypatch.setattr(rating, "sqrt_down", lambda x: Word(fixed.sqrt_down(x)))
    ratings = [(Word(q32(spread * i / count)), Word(q32(sigma))) for i in range(count)]
    ranks = {
        "as expected": [-i for i in range(count)],
        "upside down": list(range(count)),
        "shuffled": random.Random(3).sample(range(count), count),
        "all tied": [0] * count,
        "one ahead": [int(i != 0) for i in range(count)],
    }[shape]
    assert_fits(rate(ratings, ranks))


@given(matches())
@example(([rated(25, 0), rated(25, 0)], [0, 1]))
def test_any_match_fits_256_bits_at_every_step(match: tuple[list[Rating], list[int]]) -> None:
    ratings, ranks = match
    assert_fits(rate([(Word(mu), Word(sigma)) for mu, sigma in ratings], ranks))


def test_a_career_of_upsets_stays_in_the_leaf() -> None:
    """The most a match moves anybody, for the 65,535 rounds that a run can have."""
    ratings = [rated(0, 25 / 3)] * (MAX_TRAINERS - 1) + [rated(5_000, 25 / 3)]
    after = rate(ratings, list(range(MAX_TRAINERS)))
    most = max(abs(new - old) for (new, _), (old, _) in zip(after, ratings, strict=True))
    assert most / ONE_Q32 == pytest.approx(237.9, rel=0.02)
    assert 65_535 * most < 2**63


# Cost


def lines_run(count: int) -> int:
    """Lines of the rating's own code that a match of ``count`` runs: no clock, so nothing else counts."""
    draw = random.Random(count)
    ratings = [rated(draw.uniform(10, 40), draw.uniform(1, 8)) for _ in range(count)]
    ranks = draw.sample(range(count), count)
    ran = 0

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal ran
        if frame.f_code.co_filename not in (rating.__file__, fixed.__file__):
            return None
        ran += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        rate(ratings, ranks)
    finally:
        sys.settrace(before)
    return ran


def test_cost_grows_like_sorting_does() -> None:
    """Everybody against everybody, without a step for each pair: 16 times the trainers, not 256 times the work."""
    counts = [lines_run(count) for count in (64, 256, 1_024)]
    assert counts[0] > 64
    assert counts[2] < 40 * counts[0]
    assert all(later < 5 * earlier for earlier, later in pairwise(counts))


def test_sorting_compares_n_log_n_times() -> None:
    compared = 0

    class Rank(int):
        def __lt__(self, other: int) -> bool:
            nonlocal compared
            compared += 1
            return int(self) < int(other)

    seen = []
    for count in (64, 1_024):
        compared = 0
        rate([NEWCOMER] * count, [Rank(rank) for rank in random.Random(0).sample(range(count), count)])
        seen.append(compared)
    assert seen[0] >= 63
    assert seen[1] < 40 * seen[0]


# What it is for


def test_ordinal_is_what_the_rating_is_at_least() -> None:
    assert ordinal_q32(NEWCOMER) == 1  # 25 - 3 * 25 / 3, a unit of rounding above
    assert ordinal_q32(rated(30, 2)) == q32(24)
    assert ordinal_q32(rated(-4, 1)) == q32(-7)


@pytest.mark.parametrize(
    ("count", "rounds", "least_sigma", "most_sigma"), [(4, 40, 4.87, 5.80), (16, 40, 6.71, 7.95), (16, 200, 4.54, 5.28)]
)
def test_it_finds_the_order_of_the_able_and_says_how_surely(
    count: int, rounds: int, least_sigma: float, most_sigma: float
) -> None:
    """Neighbours' gains differ by much less than their noise. The more there are, the less one match says of each."""
    draw = random.Random(1)
    ratings = [NEWCOMER] * count
    for _ in range(rounds):
        gains = [draw.gauss(-i, count / 8) for i in range(count)]
        ratings = rate(ratings, [sorted(gains, reverse=True).index(gain) for gain in gains])
    ordinals = [ordinal_q32(each) for each in ratings]
    assert min(ordinals[: count // 2]) > max(ordinals[count // 2 :])
    sigmas = [sigma / ONE_Q32 for _, sigma in ratings]
    assert (min(sigmas), max(sigmas)) == pytest.approx((least_sigma, most_sigma), abs=0.25)
