"""What ratings do in a run, and that they do nothing where a run does not say so."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.spec import transcript as tr
from gradmint.spec.committee import draw, weight
from gradmint.spec.docket import Books, Record, RosterRow, execute, seat
from gradmint.spec.errors import TranscriptBroken
from gradmint.spec.events import Rated
from gradmint.spec.mechanism import pay_multiplier_q32
from gradmint.spec.params import LOCAL, RATED, STANDARD, Params
from gradmint.spec.registration import discounted_wei
from gradmint.spec.transcript import Kind
from gradmint.spec.types import ONE_Q32, Phase, Report, Role, Standing

from .synthetic import FAIR, RUN, SMALL, Script, account, make_report

RATED_SMALL = replace(SMALL, **RATED)
MOST_Q32 = 2**32 - 1
ratings = st.integers(0, MOST_Q32) | st.sampled_from([0, 1, 2**31, MOST_Q32])
bounds = st.integers(1, 40_000).flatmap(lambda least: st.tuples(st.just(least), st.integers(least, 40_000)))


def joined(role: Role, index: int, holder: int = 0) -> RosterRow:
    return RosterRow(Kind.ADMITTED, role, index, account(role, index, holder), 100)


def rated(role: Role, index: int, rating_q32: int) -> RosterRow:
    return RosterRow(Kind.RATED, role, index, rating_q32=rating_q32)


def executed(params: Params, rows: list[RosterRow], trainers: int = 2) -> tuple[Standing, ...]:
    """Trainers after a first round in which all did the same, verified by one verifier."""
    reports: list[Report | None] = [make_report([FAIR] * trainers)]
    roster = tr.EMPTY
    for row in rows:
        roster = tr.fold(roster, row.kind, row.row())
    record = Record(
        round=1, previous=0, trainers=trainers, verifiers=1, deposited_wei=10**24, active=1, revealed=1, roster=roster,
        transcript=tr.EMPTY, reports=(bytes(32),), stakes_wei=(100,),
    )  # fmt: skip
    return execute(params, record, Books(), rows, reports).books.trainers


FOUNDERS = [joined(Role.TRAINER, 0), joined(Role.TRAINER, 1), joined(Role.VERIFIER, 0)]


# Pay


@given(bounds, ratings, ratings)
def test_the_multiplier_goes_from_least_towards_most(bps: tuple[int, int], one: int, other: int) -> None:
    params = replace(LOCAL, pay_least_bps=bps[0], pay_most_bps=bps[1])
    low, high = sorted((one, other))
    found = pay_multiplier_q32(params, high)
    exact = Fraction(bps[0], 10_000) + Fraction(bps[1] - bps[0], 10_000) * Fraction(high, 2**32)
    assert 0 <= exact * 2**32 - found < 1
    assert pay_multiplier_q32(params, low) <= found <= pay_multiplier_q32(params, MOST_Q32) < 2**35
    assert pay_multiplier_q32(params, 0) == bps[0] * 2**32 // 10_000


@given(ratings)
def test_neutral_bounds_are_exactly_one(rating_q32: int) -> None:
    for params in (STANDARD, LOCAL):
        assert pay_multiplier_q32(params, rating_q32) == ONE_Q32


@given(ratings)
def test_with_neutral_parameters_nothing_changes(rating_q32: int) -> None:
    plain = executed(SMALL, FOUNDERS)
    assert executed(SMALL, [*FOUNDERS, rated(Role.TRAINER, 1, rating_q32)]) == plain
    assert {standing.reputation_q32 for standing in plain} == {ONE_Q32}
    assert plain[0].paid_wei == plain[1].paid_wei > 0


@pytest.mark.parametrize("rating_q32", [0, 2**30, 2**31, MOST_Q32])
def test_pay_is_in_the_ratio_of_the_multipliers(rating_q32: int) -> None:
    """The same work: what two trainers are paid differs by their multipliers alone, to a wei of rounding."""
    unrated, known = executed(RATED_SMALL, [*FOUNDERS, rated(Role.TRAINER, 1, rating_q32)])
    least, high = (pay_multiplier_q32(RATED_SMALL, rating) for rating in (0, rating_q32))
    assert (unrated.reputation_q32, known.reputation_q32) == (least, high) == (ONE_Q32 // 2, high)
    # Pay weights are the work's times the multiplier, rounded down at 2^-32.
    assert abs(known.paid_wei * least - unrated.paid_wei * high) <= (known.paid_wei + unrated.paid_wei) * 4


def test_the_latest_rating_counts_and_a_newcomer_does_not_inherit_it() -> None:
    rows = [
        *FOUNDERS,
        rated(Role.TRAINER, 0, MOST_Q32),
        rated(Role.TRAINER, 1, MOST_Q32),
        rated(Role.VERIFIER, 0, 2**31),
        rated(Role.TRAINER, 0, 2**31),
        RosterRow(Kind.RETIRED, Role.TRAINER, 1),
        joined(Role.TRAINER, 1, 1),
    ]
    trainers, verifiers, _ = seat(RATED_SMALL, (), (), rows)
    assert [standing.reputation_q32 for standing in trainers] == [ONE_Q32, ONE_Q32 // 2]
    assert [standing.reputation_q32 for standing in verifiers] == [ONE_Q32]
    lapsed, _, _ = seat(RATED_SMALL, trainers, verifiers, [rated(Role.TRAINER, 0, 0)])
    assert lapsed[0] == replace(trainers[0], reputation_q32=ONE_Q32 // 2)


# The ledger


def test_the_ledger_seats_rates_and_starts_newcomers_unrated() -> None:
    play = Script(RATED_SMALL)
    play.open_round(trainers=3, verifiers=4)
    play.rate(Role.TRAINER, 2, MOST_Q32)
    found = play.ledger.seated(Role.TRAINER, 3)
    assert [standing.reputation_q32 for standing in found] == [ONE_Q32 // 2] * 2 + [
        pay_multiplier_q32(RATED_SMALL, MOST_Q32)
    ]
    play.play({0, 1, 2})  # the rating came after the round had opened
    assert {standing.reputation_q32 for standing in play.ledger.final.trainers} == {ONE_Q32 // 2}
    play.phase(Phase.TRAIN)
    play.play({0, 1, 2})
    assert play.ledger.final.trainers[2].reputation_q32 == pay_multiplier_q32(RATED_SMALL, MOST_Q32)
    play.admit(Role.TRAINER, index=2)
    assert play.ledger.seats[Role.TRAINER][2].rating_q32 == 0
    assert play.ledger.seated(Role.TRAINER, 3)[2].reputation_q32 == ONE_Q32 // 2


def test_a_forged_rating_is_not_what_the_chain_saw() -> None:
    play = Script(RATED_SMALL)
    play.open_round(trainers=3, verifiers=4)
    play.rate(Role.TRAINER, 1, 2**31)
    forged = Rated(run=RUN, role=Role.TRAINER, index=2, rating_q32=MOST_Q32, transcript=play.ledger.roster)
    with pytest.raises(TranscriptBroken, match="Rated"):
        play.ledger.apply(forged)
    assert play.ledger.seats[Role.TRAINER][2].rating_q32 == 0


# The committee


@given(st.integers(0, 2**128 - 1), ratings, st.integers(0, 10_000))
def test_a_draw_s_weight_is_the_stake_and_up_to_so_much_more(stake_wei: int, rating_q32: int, bps: int) -> None:
    found = weight(stake_wei, rating_q32, bps)
    assert stake_wei <= found <= 2 * stake_wei < 2**129
    assert 0 <= stake_wei * (1 + Fraction(bps, 10_000) * Fraction(rating_q32, 2**32)) - found < 1
    assert weight(stake_wei, rating_q32, 0) == weight(stake_wei, 0, bps) == stake_wei


def test_two_verifiers_are_drawn_as_their_weights_say() -> None:
    """1 : 1.5 by ratings 0 and almost 1: 1,200 of 2,000 draws, five standard deviations of 21.9 either way."""
    beacons = [number.to_bytes(32, "big") for number in range(2_000)]
    for bps, expected in ((0, 1_000), (RATED["sortition_bps"], 1_200), (10_000, 1_333)):
        weights = [weight(10**20, rating_q32, bps) for rating_q32 in (0, MOST_Q32)]
        drawn = Counter(draw(beacon, weights, 1) for beacon in beacons)
        assert abs(drawn[2] - expected) < 112 and drawn.total() == 2_000


# The stake


@given(st.integers(0, 2**128 - 1), ratings, st.integers(0, 2_500))
def test_the_discount_is_at_most_a_quarter(required_wei: int, rating_q32: int, bps: int) -> None:
    found = discounted_wei(required_wei, rating_q32, bps)
    assert 3 * required_wei <= 4 * found <= 4 * required_wei
    exact = required_wei * (1 - Fraction(bps, 10_000) * Fraction(rating_q32, 2**32))
    assert 0 <= found - exact < 2
    assert discounted_wei(required_wei, rating_q32, 0) == discounted_wei(required_wei, 0, bps) == required_wei
