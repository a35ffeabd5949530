"""What a round makes of a standing, rule by rule: the means, their weight in the pay, trust, rating, bans and seats."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradmint.spec.fixed import bps_down
from gradmint.spec.mechanism import find_weakest, is_banned, prove, settle, value, weights
from gradmint.spec.params import MAX_TRAINERS
from gradmint.spec.rating import ordinal_q32, rate
from gradmint.spec.types import (
    GAIN_MAX_MICRONATS,
    ONE_Q32,
    UNSAMPLED,
    Role,
    Row,
    Standing,
    Verdict,
)

from .situations import FAILED, Situation, due, fresh, payouts_wei, settled, situations, veteran
from .strategies import gains, rows, standings, values_q32
from .synthetic import FAIR, SMALL, make_report

# Weights


@pytest.mark.parametrize("proof_q32", [0, -1, -ONE_Q32])
def test_no_weight_without_proof(proof_q32: int) -> None:
    assert weights(SMALL, [veteran(0, proof_q32=proof_q32, value_q32=ONE_Q32)]) == [0]


def test_weight_is_the_product_of_the_values_power_and_the_rest() -> None:
    quarter = veteran(
        0, value_q32=ONE_Q32 // 4, proof_q32=ONE_Q32 // 2, trust_q32=ONE_Q32 // 4, reputation_q32=ONE_Q32 // 8
    )
    assert weights(SMALL, [quarter]) == [ONE_Q32 // 512]
    assert weights(replace(SMALL, value_exponent_halves=2), [quarter]) == [ONE_Q32 // 256]
    assert weights(replace(SMALL, value_exponent_halves=4), [quarter]) == [ONE_Q32 // 1_024]


@given(st.lists(standings, max_size=5))
def test_weights_are_one_a_standing_whatever_else_there_is(those: list[Standing]) -> None:
    assert weights(SMALL, those) == [due(standing) for standing in those]


@given(gains, st.integers(-ONE_Q32, 0), st.integers(0, ONE_Q32))
def test_two_negatives_never_pay(gain: int, proof_q32: int, value_q32: int) -> None:
    """Harm on the common batch and still more on the assigned one: neither product nor means turn it into pay."""
    harm = Row(Verdict.OK, -abs(gain), max(-abs(gain) - 1, -GAIN_MAX_MICRONATS))
    before = [veteran(0, proof_q32=proof_q32, value_q32=value_q32), veteran(1)]
    after = settled([harm, FAIR], before)
    assert payouts_wei(before, after.trainers)[0] == 0
    assert after.trainers[0].value_q32 <= value_q32


# The means


@pytest.mark.parametrize("rounds", [0, 1, 9, 100])
def test_proof_is_observed_only_where_sampled_and_valid(rounds: int) -> None:
    """And every sample weighs the same, however long its trainer has been there."""
    before = [veteran(i, proof_q32=ONE_Q32 // 4, rounds=rounds) for i in range(5)]
    said = [
        Row(Verdict.OK, 10, UNSAMPLED),
        Row(Verdict.MALFORMED, 10, 20),
        Row(Verdict.OK, 10, 11),
        Row(Verdict.OK, 10, 10),
        Row(Verdict.OK, 10, 9),
    ]
    after = settled(said, before).trainers
    quarter = ONE_Q32 // 4
    assert [s.proof_q32 for s in after] == [
        quarter,
        quarter,
        quarter + bps_down(3 * quarter, 900),
        quarter - bps_down(quarter, 900),
        quarter - bps_down(5 * quarter, 900),
    ]


def test_proof_weighs_by_the_parameter_and_nothing_else() -> None:
    quick = replace(SMALL, proof_weight_bps=2_500)
    said = [Row(Verdict.OK, 10, 11), Row(Verdict.OK, 10, 9)]
    first = prove(quick, fresh(2), said)
    assert [s.proof_q32 for s in first] == [ONE_Q32 * 5 // 8, ONE_Q32 // 8]  # from a half, a quarter of the way
    second = prove(quick, first, said)
    assert [s.proof_q32 for s in second] == [ONE_Q32 * 23 // 32, -ONE_Q32 * 5 // 32]


@given(st.lists(st.sampled_from([11, 10, 9, UNSAMPLED, UNSAMPLED, UNSAMPLED]), max_size=60))
def test_rounds_without_a_sample_leave_the_proof_where_it_is(assigned: list[int]) -> None:
    """Only the signs seen, and their order, count; not how many rounds lie between them."""

    def proof_q32(seen: list[int]) -> int:
        trainers = fresh(1)
        for gain in seen:
            trainers = list(settled([Row(Verdict.OK, 10, gain)], trainers).trainers)
        return trainers[0].proof_q32

    assert proof_q32(assigned) == proof_q32([gain for gain in assigned if gain != UNSAMPLED])


def test_value_is_a_multiple_of_the_mean_of_positive_valid_gains() -> None:
    """300 and 100 of four trainers: three times the mean and once, a failed check and harm being 0 of it."""
    before = [veteran(i, value_q32=0) for i in range(4)]
    said = [
        Row(Verdict.OK, 300, 301),
        Row(Verdict.OK, 100, 101),
        Row(Verdict.OK, -10_000, 5),
        Row(Verdict.OVER_NORM, 10_000, 10_001),
    ]
    after = settled(said, before).trainers
    assert [s.value_q32 for s in after] == [bps_down(3 * ONE_Q32, 1_200), bps_down(ONE_Q32, 1_200), 0, 0]


def values_q32_of(gains_micronats: list[int], start: list[Standing] | None = None) -> list[int]:
    """Values after a round of these gains; of newcomers unless ``start`` says who they are."""
    said = [Row(Verdict.OK, gain, UNSAMPLED) for gain in gains_micronats]
    return [standing.value_q32 for standing in value(SMALL, start or fresh(len(said)), said)]


useful = st.lists(st.integers(-1_000, 10**6), min_size=1, max_size=20).filter(lambda some: max(some) > 0)


@given(useful, st.integers(2, 5), st.integers(0, 30), values_q32)
def test_a_value_does_not_depend_on_how_many_alike_others_there_are(
    some: list[int], times: int, rounds: int, old_q32: int
) -> None:
    """Everyone ``times`` over: whatever was remembered, each value becomes what it becomes among the few."""
    few = [veteran(i, rounds=rounds, value_q32=old_q32) for i in range(len(some))]
    many = [veteran(i, rounds=rounds, value_q32=old_q32) for i in range(len(some) * times)]
    assert values_q32_of(some * times, many) == values_q32_of(some, few) * times


@given(useful, st.integers(1, 20))
def test_who_joins_or_leaves_changes_nobodys_value_by_its_number(some: list[int], joining: int) -> None:
    """Any number of trainers of the mean's gain: the mean, and so each other's multiple of it, stays what it is."""
    stretched = [gain * len(some) for gain in some]  # so that the mean is a whole number
    mean = sum(max(0, gain) for gain in some)
    alone = values_q32_of(some)
    assert values_q32_of(stretched) == alone
    assert values_q32_of(stretched + [mean] * joining) == alone + [ONE_Q32] * joining


@pytest.mark.parametrize("others", [1, 4, 63, 1_023])
def test_a_fair_gain_is_a_value_of_one_beside_any_number(others: int) -> None:
    assert values_q32_of([700] * (others + 1)) == [ONE_Q32] * (others + 1)


def test_who_gains_nothing_raises_what_the_others_multiples_are_of_one() -> None:
    """Of those judged, not of those who came: two of four are twice the mean, until the absent are banned."""
    assert values_q32_of([700, 700, 0, -5]) == [2 * ONE_Q32] * 2 + [0, 0]
    assert values_q32_of([700, 700, 350]) == [ONE_Q32 * 6 // 5] * 2 + [ONE_Q32 * 3 // 5]


def test_the_highest_value_fits_its_64_bits() -> None:
    """All of the gain of as many trainers as there can be: 1,024.0, and no mean exceeds what it is of."""
    most, *rest = values_q32_of([GAIN_MAX_MICRONATS] + [0] * (MAX_TRAINERS - 1))
    assert most == MAX_TRAINERS * ONE_Q32 == 2**42 and set(rest) == {0}
    at_most = [veteran(i, value_q32=most) for i in range(MAX_TRAINERS)]
    assert values_q32_of([1] + [0] * (MAX_TRAINERS - 1), at_most)[0] == most
    assert Standing.unpack(at_most[0].pack()) == at_most[0]
    cubed = replace(SMALL, value_exponent_halves=6)
    assert weights(cubed, at_most[:1]) == [2**62]  # times 2^128 Wei, and summed over 1,024, far below 2^256


def test_no_gain_is_no_value() -> None:
    newest_only = replace(SMALL, value_weight_bps=10_000)
    after = settled([Row(Verdict.OK, 0, 1), Row(Verdict.OK, -5, 1)], [veteran(0), veteran(1)], params=newest_only)
    assert [s.value_q32 for s in after.trainers] == [0, 0]


def test_a_round_without_any_gain_changes_no_veterans_share() -> None:
    before = [veteran(0), veteran(1, value_q32=ONE_Q32 // 4)]
    after = settled([Row(Verdict.OK, 0, 1), Row(Verdict.OK, -5, 1)], before, budget_wei=10**21)
    one, other = payouts_wei(before, after.trainers)
    assert abs(one - 8 * other) <= 10**13  # values four to one, as before


@given(rows, rows, st.integers(1, 10**24))
def test_saturated_gains_settle(first: Row, second: Row, budget_wei: int) -> None:
    edge = [Row(Verdict.OK, GAIN_MAX_MICRONATS, -GAIN_MAX_MICRONATS), Row(Verdict.OK, -GAIN_MAX_MICRONATS, UNSAMPLED)]
    after = settled([first, second, *edge], budget_wei=budget_wei)
    assert after.consensus is not None and after.paid_wei <= budget_wei


# Trust


@pytest.mark.parametrize("verdict", FAILED)
def test_each_verdict_costs_its_penalty(verdict: Verdict) -> None:
    after = settled([Row(verdict, 0, UNSAMPLED)], [veteran(0)]).trainers[0]
    assert after.trust_q32 == ONE_Q32 * SMALL.penalty_bps[verdict] // 10_000


def test_no_merit_offsets_a_missed_duty() -> None:
    """Trust stops at one: a long honest past does not soften the next penalty."""
    standing = veteran(0)
    for round_ in range(1, 31):
        standing = settled([FAIR], [standing], round_=round_).trainers[0]
    assert standing.trust_q32 == ONE_Q32
    assert settled([Row(Verdict.MALFORMED, 0, UNSAMPLED)], [standing], round_=31).trainers[0].trust_q32 == ONE_Q32 // 2


# The match


def test_all_who_should_have_come_play_one_match_ranked_by_gain() -> None:
    """The best gain wins, harm loses to none, and failed checks tie for last, whatever they name as their gain."""
    before = [veteran(i, mu_q32=(20 + 3 * i) << 32, sigma_q32=(3 + i) << 32) for i in range(5)]
    said = [
        Row(Verdict.OK, -400, UNSAMPLED),
        Row(Verdict.MALFORMED, GAIN_MAX_MICRONATS, 5),
        Row(Verdict.OK, 900, 1),
        Row(Verdict.MISSING, -GAIN_MAX_MICRONATS, 0),
        Row(Verdict.OK, 0, 2),
    ]
    after = settled(said, before).trainers
    assert [(s.mu_q32, s.sigma_q32) for s in after] == rate([(s.mu_q32, s.sigma_q32) for s in before], [2, 3, 0, 3, 1])
    assert after[2].mu_q32 > before[2].mu_q32
    assert after[3].mu_q32 < before[3].mu_q32


def test_the_least_gain_there_is_still_beats_a_failed_check() -> None:
    after = settled([Row(Verdict.OK, -GAIN_MAX_MICRONATS, 0), Row(Verdict.DUPLICATE, 5, 5)], fresh(2)).trainers
    assert after[0].mu_q32 > 25 << 32 > after[1].mu_q32


def test_verifiers_are_not_rated() -> None:
    after = settled([FAIR, FAIR])
    assert [(s.mu_q32, s.sigma_q32) for s in after.verifiers] == [(25 << 32, (25 << 32) // 3)] * 3


# Bans


@settings(max_examples=50)
@given(situations())
def test_the_banned_are_not_there(situation: Situation) -> None:
    """Their standing stays, bit by bit, and the others' is what it would be if they had never joined."""
    after = situation.settle()
    judged = situation.judged
    for i, (old, new) in enumerate(zip(situation.trainers, after.trainers, strict=True)):
        assert i in judged or new == old
    without = replace(
        situation,
        trainers=[situation.trainers[i] for i in judged],
        reports=[r and replace(r, rows=tuple(r.rows[i] for i in judged)) for r in situation.reports],
    ).settle()
    if after.consensus is not None:
        assert [after.trainers[i] for i in judged] == list(without.trainers)
        if after.consensus.agreements_q32 == without.consensus.agreements_q32:
            assert after.paid_wei == without.paid_wei


@pytest.mark.parametrize(("ban_round", "banned"), [(0, [False] * 4), (5, [True, True, False, False])])
def test_the_last_round_of_a_ban_is_its_last(ban_round: int, banned: list[bool]) -> None:
    sentenced = veteran(0, ban_round=ban_round)
    assert [is_banned(sentenced, round_) for round_ in (1, 5, 6, 100)] == banned
    for round_, out in zip((1, 5, 6, 100), banned, strict=True):
        after = settled([FAIR, FAIR], [sentenced, veteran(1)], round_=round_)
        assert (after.trainers[0] == sentenced) is out
        paid = payouts_wei([sentenced, veteran(1)], after.trainers)
        assert (paid[0] == 0) is out
        assert paid[0] + paid[1] == 8 * 10**20 if out else paid[0] == paid[1] == 4 * 10**20


def test_when_all_are_banned_the_round_is_settled_without_them() -> None:
    before = [veteran(0, ban_round=3), veteran(1, ban_round=9)]
    after = settled([FAIR, FAIR], before, budget_wei=1_000, round_=3)
    assert after.trainers == tuple(before)
    assert after.paid_wei == 3 * 66
    assert after.weakest == 0


# The seat that is given away


def test_the_weakest_has_the_least_pay_weight_and_no_immunity() -> None:
    params = replace(SMALL, immunity_rounds=10)
    long_here = [veteran(i, rounds=11) for i in range(4)]
    assert find_weakest(params, long_here, {0: 9, 1: 4, 2: 4, 3: 8}) == 1  # ties: the lower index
    assert find_weakest(params, long_here, {0: 9, 1: 4, 3: 8}) == 2  # the banned are due nothing
    assert find_weakest(params, [long_here[0], *fresh(3)], {0: 9, 1: 0, 2: 0, 3: 0}) == 0
    ten = [veteran(i, rounds=10) for i in range(3)]
    assert find_weakest(params, ten, {0: 1, 1: 1, 2: 1}) is None  # not yet: ten rounds are theirs
    assert find_weakest(replace(params, immunity_rounds=9), ten, {0: 2, 1: 1, 2: 1}) == 1
    assert find_weakest(params, [], {}) is None


def test_the_weakest_is_named_by_what_the_round_made_of_everyone() -> None:
    params = replace(SMALL, immunity_rounds=10)
    before = [veteran(0, rounds=10), veteran(1, rounds=10), veteran(2, rounds=9, value_q32=0)]
    said = [Row(Verdict.OK, 500, 900), Row(Verdict.DUPLICATE, 0, 0), FAIR]
    assert settled(said, before, params=params).weakest == 1
    assert settled([FAIR] * 3, before, params=params).weakest == 0
    banned = [*before[:2], veteran(2, rounds=11, ban_round=5)]
    assert settled(said, banned, params=params, round_=5).weakest == 2
    assert settled(said, fresh(3), params=params).weakest is None


def test_selection_does_not_decide_whose_seat_is_given_away() -> None:
    """Who is not paid because others are rated higher keeps what is due to it."""
    params = replace(SMALL, top=1, reserve=0, immunity_rounds=0)
    before = [veteran(0, mu_q32=50 << 32, value_q32=ONE_Q32 // 8), veteran(1, mu_q32=1 << 32)]
    after = settled([FAIR, FAIR], before, params=params)
    assert [paid > 0 for paid in payouts_wei(before, after.trainers)] == [True, False]
    assert ordinal_q32((after.trainers[0].mu_q32, after.trainers[0].sigma_q32)) > 0
    assert after.weakest == 0


# Attendance


def test_misses_count_in_a_row() -> None:
    before = [veteran(0, misses=4), veteran(1, misses=4), veteran(2, misses=255)]
    missing = Row(Verdict.MISSING, 0, UNSAMPLED)
    after = settled([missing, Row(Verdict.MALFORMED, 0, UNSAMPLED), missing], before).trainers
    assert [s.misses for s in after] == [5, 0, 255]
    assert settled([FAIR], [veteran(0, rounds=65_535)]).trainers[0].rounds == 65_535


def test_verifiers_misses_are_rounds_without_reveal() -> None:
    said = make_report([FAIR])
    before = [replace(standing, misses=1) for standing in fresh(4, Role.VERIFIER)]
    after = settle(SMALL, 1, 10**6, fresh(1), before, [1] * 4, [said, None, said, said])
    assert [s.misses for s in after.verifiers] == [0, 2, 0, 0]
