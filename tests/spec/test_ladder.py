"""The penalty ladder as theorems, over any history: fair, it punishes, it forgives, nothing offsets it, it is bounded.

The formal analysis of GossipSub's peer score (Kumar, von Hippel, Manolios, Nita-Rotaru 2023) proves the like of a score
function, and refutes it for parameters with which credit earned elsewhere outweighs misbehaviour for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradmint.spec.fixed import bps_down
from gradmint.spec.mechanism import is_banned, settle, trust, weights
from gradmint.spec.params import STANDARD, Params
from gradmint.spec.rating import rate
from gradmint.spec.types import (
    GAIN_MAX_MICRONATS,
    ONE_Q32,
    UNSAMPLED,
    Report,
    Role,
    Row,
    Settlement,
    Standing,
    Verdict,
)

from .strategies import rows
from .synthetic import FAIR, account

FAILED = [verdict for verdict in Verdict if verdict is not Verdict.OK]
FLOOR_Q32 = bps_down(ONE_Q32, STANDARD.trust_floor_bps)
BANNED_Q32 = bps_down(ONE_Q32, STANDARD.ban_trust_bps)
STALL = 9 / ONE_Q32  # a tenth of nine units is no unit: this near to 1 trust regains no more
BUDGET_WEI = 10**21

failures = st.sampled_from(FAILED).map(lambda verdict: Row(verdict, 0, UNSAMPLED))
valid = rows.map(lambda row: replace(row, verdict=Verdict.OK))
ladders = st.builds(  # any that the rules allow, each failed check costing something
    lambda floor, ban, rounds, recovery, costs: replace(
        STANDARD,
        trust_floor_bps=floor,
        ban_trust_bps=ban,
        ban_rounds=rounds,
        recovery_bps=recovery,
        penalty_bps=(10_000, *costs),
    ).check(),
    floor=st.integers(0, 5_000),
    ban=st.integers(0, 10_000),
    rounds=st.integers(1, 5),
    recovery=st.integers(1, 10_000),
    costs=st.lists(st.integers(0, 9_999), min_size=len(FAILED), max_size=len(FAILED)),
)


def fails(verdict: Verdict) -> Row:
    return Row(verdict, 0, UNSAMPLED)


@dataclass(frozen=True)
class Played:
    round_: int
    before: tuple[Standing, ...]
    said: list[Row]
    after: Settlement

    def pay_wei(self, i: int) -> int:
        return self.after.trainers[i].paid_wei - self.before[i].paid_wei


def seat(index: int, **change: int) -> Standing:
    return Standing(account(Role.TRAINER, index), Role.TRAINER, **change)


def play(history: list[list[Row]], params: Params = STANDARD, start: list[Standing] | None = None) -> Iterator[Played]:
    """Round by round; a round of ``history`` is one row per trainer."""
    trainers = tuple(start or [seat(i) for i in range(len(history[0]))])
    verifier = Standing(account(Role.VERIFIER, 0), Role.VERIFIER)
    for round_, said in enumerate(history, start=1):
        report = Report(1_000_000, (0,) * params.words, tuple(said))
        after = settle(params, round_, BUDGET_WEI, trainers, [verifier], [1], [report])
        yield Played(round_, trainers, said, after)
        trainers = after.trainers


def alone(
    said: list[Row], params: Params = STANDARD, trust_q32: int = ONE_Q32, round_: int = 1, ban_round: int = 0
) -> list[Standing]:
    """One trainer's standings, before the first and after each of the rounds."""
    standing = seat(0, trust_q32=trust_q32, ban_round=ban_round)
    standings = [standing]
    for number, row in enumerate(said, start=round_):
        if not is_banned(standing, number):
            [standing] = trust(params, number, [standing], [row])
        standings.append(standing)
    return standings


def histories(trainers: int, most: int = 25) -> st.SearchStrategy[list[list[Row]]]:
    """Failures and valid updates alternate in any way, among trainers of whom each does as it likes."""
    row = st.one_of(failures, valid, st.just(FAIR))
    return st.lists(st.lists(row, min_size=trainers, max_size=trainers), min_size=1, max_size=most)


# (a) Fairness


@settings(max_examples=50)
@given(histories(3), st.lists(valid, min_size=25, max_size=25), ladders)
def test_who_is_always_correct_is_never_penalised_whatever_others_do(
    others: list[list[Row]], own: list[Row], params: Params
) -> None:
    """Nor for harm, nor for gaining nothing: those cost value and proof, not trust."""
    history = [[mine, *theirs] for mine, theirs in zip(own, others, strict=False)]
    for played in play(history, params):
        standing = played.after.trainers[0]
        assert (standing.trust_q32, standing.ban_round, standing.misses) == (ONE_Q32, 0, 0)


@settings(max_examples=50)
@given(histories(3), st.data())
def test_the_same_verdicts_make_the_same_trust_and_the_same_ban(history: list[list[Row]], data: st.DataObject) -> None:
    """Whatever else differs between two trainers: gains, samples, pay, rating, age."""
    gains = data.draw(st.lists(valid, min_size=len(history), max_size=len(history)))
    twins = [[*said, replace(gain, verdict=said[0].verdict)] for said, gain in zip(history, gains, strict=True)]
    start = [seat(0), seat(1), seat(2), seat(3, rounds=500, value_q32=ONE_Q32, proof_q32=ONE_Q32, mu_q32=9 << 32)]
    for played in play(twins, start=start):
        one, *_, other = played.after.trainers
        assert (one.trust_q32, one.ban_round, one.misses) == (other.trust_q32, other.ban_round, other.misses)


# (b) It punishes


@settings(max_examples=50)
@given(histories(3))
def test_each_failed_check_lowers_trust_down_to_the_floor_and_pays_nothing(history: list[list[Row]]) -> None:
    for played in play(history):
        for i, (old, new, row) in enumerate(zip(played.before, played.after.trainers, played.said, strict=True)):
            if row.verdict is Verdict.OK or is_banned(old, played.round_):
                continue
            assert played.pay_wei(i) == 0
            assert new.trust_q32 < old.trust_q32 or new.trust_q32 == old.trust_q32 == FLOOR_Q32
            assert new.trust_q32 == max(FLOOR_Q32, old.trust_q32 * STANDARD.penalty_bps[row.verdict] // 10_000)
            assert (new.ban_round == played.round_ + STANDARD.ban_rounds) is (new.trust_q32 < BANNED_Q32)


@dataclass(frozen=True)
class Step:
    """What a verdict does, from full trust on."""

    penalty_bps: int
    until_ban: int  # failures in a row
    trust_then: float  # in the ban
    back: int  # OK rounds behind the ban until trust is 0.8 again
    slip_back: int  # OK rounds behind a single failure until it is 0.8 again
    every: int  # rounds: so often, and no more often, it can go on for good without a ban


TABLE = {
    Verdict.MISSING: Step(9_000, 14, 0.2288, 13, 0, 2),
    Verdict.OVERSIZE: Step(5_000, 3, 0.1250, 15, 9, 5),
    Verdict.MALFORMED: Step(5_000, 3, 0.1250, 15, 9, 5),
    Verdict.WRONG_BASE: Step(7_500, 5, 0.2373, 13, 3, 3),
    Verdict.NOT_FINITE: Step(5_000, 3, 0.1250, 15, 9, 5),
    Verdict.OVER_NORM: Step(5_000, 3, 0.1250, 15, 9, 5),
    Verdict.DUPLICATE: Step(2_500, 2, 0.0625, 15, 13, 29),
    Verdict.UNPROVEN: Step(5_000, 3, 0.1250, 15, 9, 5),
}


def failures_until_ban(verdict: Verdict, trust_q32: int = ONE_Q32) -> int:
    standings = alone([fails(verdict)] * 30, trust_q32=trust_q32)
    return next(count for count, standing in enumerate(standings) if standing.ban_round)


def rounds_until(level: float, trust_q32: int) -> int:
    standings = alone([FAIR] * 100, trust_q32=trust_q32)
    return next(count for count, standing in enumerate(standings) if standing.trust_q32 >= level * ONE_Q32)


@pytest.mark.parametrize("verdict", FAILED)
def test_the_ladder_of_each_verdict(verdict: Verdict) -> None:
    step = TABLE[verdict]
    assert STANDARD.penalty_bps[verdict] == step.penalty_bps
    assert failures_until_ban(verdict) == step.until_ban
    slipped = alone([fails(verdict)])[-1].trust_q32
    assert rounds_until(0.8, slipped) == step.slip_back
    banned = alone([fails(verdict)] * step.until_ban)[-1]
    assert banned.trust_q32 / ONE_Q32 == pytest.approx(step.trust_then, abs=0.00005)
    assert rounds_until(0.8, banned.trust_q32) == step.back


@pytest.mark.parametrize("verdict", FAILED)
@pytest.mark.parametrize("slip", FAILED)
def test_a_slip_of_long_ago_makes_no_difference_to_the_counts(slip: Verdict, verdict: Verdict) -> None:
    """Trust comes back to nine units short of one, so two halvings or one copy leave a hair less than a quarter of it:
    more than the ban's 0.24. A slip of any kind and the 45 OK rounds that make good for the worst are enough."""
    recovered = alone([fails(slip)] + [FAIR] * 500)[-1]
    assert recovered.trust_q32 == ONE_Q32 - 9
    assert failures_until_ban(verdict, recovered.trust_q32) == TABLE[verdict].until_ban
    lately = alone([fails(slip)] + [FAIR] * 45)[-1]
    assert failures_until_ban(verdict, lately.trust_q32) == TABLE[verdict].until_ban


@given(st.integers(FLOOR_Q32, ONE_Q32), st.lists(st.sampled_from(FAILED), min_size=14, max_size=14))
def test_fourteen_failures_in_a_row_of_any_kind_ban_from_anywhere(trust_q32: int, verdicts: list[Verdict]) -> None:
    standings = alone([fails(verdict) for verdict in verdicts], trust_q32=trust_q32)
    assert standings[-1].ban_round > 0


@pytest.mark.parametrize("verdict", FAILED)
def test_how_often_a_check_can_fail_for_good_without_a_ban(verdict: Verdict) -> None:
    """A copy in every 29th round, an absence in every other: unpaid there, and less trusted in between."""

    def goes_on(period: int) -> bool:
        said = ([FAIR] * (period - 1) + [fails(verdict)]) * (600 // period)
        return alone(said)[-1].ban_round == 0

    assert [period for period in range(1, 41) if goes_on(period)] == list(range(TABLE[verdict].every, 41))


# (c) It forgives


@given(st.integers(0, ONE_Q32), st.integers(1, 10_000))
def test_an_ok_round_always_regains_trust_until_almost_all_of_it_is_back(trust_q32: int, recovery_bps: int) -> None:
    """Strictly, until the missing part is so small that recovery_bps of it is less than one unit."""
    before, after = alone([FAIR], replace(STANDARD, recovery_bps=recovery_bps), trust_q32)
    least_missing = -(-10_000 // recovery_bps)
    assert (after.trust_q32 > before.trust_q32) is (ONE_Q32 - trust_q32 >= least_missing)
    assert after.trust_q32 <= ONE_Q32


@pytest.mark.parametrize(("level", "expected"), [(0.25, 3), (0.5, 7), (0.8, 16), (0.9, 22), (0.99, 44)])
def test_the_way_back_from_the_floor(level: float, expected: int) -> None:
    assert rounds_until(level, FLOOR_Q32) == expected
    standings = alone([FAIR] * 250, trust_q32=FLOOR_Q32)
    gained = [new.trust_q32 - old.trust_q32 for old, new in pairwise(standings)]
    assert gained == sorted(gained, reverse=True)
    assert standings[-1].trust_q32 / ONE_Q32 == pytest.approx(1 - STALL, abs=1e-12)


@settings(max_examples=50)
@given(histories(3))
def test_after_any_history_forty_four_ok_rounds_and_a_ban_lead_back_to_all_but_a_hundredth(
    history: list[list[Row]],
) -> None:
    """Whatever happened: what is left of a ban, at most 20 rounds, then 16 rounds to 0.8 and 44 to 0.99."""
    *_, last = play(history)
    for standing in last.after.trainers:
        banned = max(0, standing.ban_round - last.round_)
        assert banned <= STANDARD.ban_rounds
        later = alone([FAIR] * (banned + 44), STANDARD, standing.trust_q32, last.round_ + 1, standing.ban_round)
        assert {each.trust_q32 for each in later[: banned + 1]} == {standing.trust_q32}
        assert later[banned + 16].trust_q32 >= 0.8 * ONE_Q32
        assert later[-1].trust_q32 >= 0.99 * ONE_Q32
        assert later[-1].ban_round == standing.ban_round


def test_who_comes_back_from_a_ban_is_judged_and_paid_again_at_once() -> None:
    """Three malformed updates of one in four, its ban, and its first round behind it."""
    history = [[FAIR] * 4] * 20 + [[FAIR] * 3 + [fails(Verdict.MALFORMED)]] * 3 + [[FAIR] * 4] * 35
    rounds = list(play(history))
    out = [played.round_ for played in rounds if is_banned(played.before[3], played.round_)]
    assert out == list(range(24, 24 + STANDARD.ban_rounds))
    paid = [played.pay_wei(3) for played in rounds]
    assert [i + 1 for i, wei in enumerate(paid) if wei == 0] == [21, 22, 23, *out]
    back = [wei / rounds[-1].pay_wei(0) for wei in paid[43:]]
    assert back == sorted(back)
    assert back[0] == pytest.approx(0.1447, rel=0.001)
    assert back[-1] == pytest.approx(0.7491, rel=0.001)


# (d) Nothing offsets it


@given(
    st.sampled_from(FAILED),
    st.integers(0, ONE_Q32),
    st.integers(-ONE_Q32, ONE_Q32),
    st.integers(FLOOR_Q32, ONE_Q32),
    st.integers(-(2**40), 2**40),
    st.integers(0, 10**24),
)
def test_no_merit_offsets_a_failed_check(
    verdict: Verdict, value: int, proof: int, trust_q32: int, mu: int, paid_wei: int
) -> None:
    """Pay is nothing, and trust at most its penalty's part or the floor, whatever else a standing or a row says."""
    merits = {"rounds": 60_000, "value_q32": value, "proof_q32": proof, "mu_q32": mu, "paid_wei": paid_wei}
    for row in (fails(verdict), Row(verdict, GAIN_MAX_MICRONATS, GAIN_MAX_MICRONATS)):
        [played] = play([[row, FAIR]], start=[seat(0, trust_q32=trust_q32, **merits), seat(1)])
        after = played.after.trainers[0]
        assert played.pay_wei(0) == 0
        assert after.trust_q32 <= max(FLOOR_Q32, trust_q32 * STANDARD.penalty_bps[verdict] / 10_000)
        [bare] = play([[row, FAIR]], start=[seat(0, trust_q32=trust_q32), seat(1)])
        assert (after.trust_q32, after.ban_round) == (
            bare.after.trainers[0].trust_q32,
            bare.after.trainers[0].ban_round,
        )


@given(st.lists(st.booleans(), max_size=40), st.sampled_from(FAILED))
def test_an_honest_past_is_no_credit(past: list[bool], verdict: Verdict) -> None:
    """Trust after a failed check is never more than a newcomer's after the same one."""
    history = [FAIR if honest else fails(verdict) for honest in past]
    standings = alone([*history, fails(verdict)])
    newcomer = alone([fails(verdict)])[-1]
    assert standings[-1].trust_q32 <= newcomer.trust_q32


# (e) It is bounded


@settings(max_examples=50)
@given(histories(4, most=12), ladders)
def test_trust_and_bans_keep_their_bounds_under_any_parameters(history: list[list[Row]], params: Params) -> None:
    floor_q32 = bps_down(ONE_Q32, params.trust_floor_bps)
    offences = [0] * 4
    for played in play(history, params):
        for i, (old, new, row) in enumerate(zip(played.before, played.after.trainers, played.said, strict=True)):
            assert floor_q32 <= new.trust_q32 <= ONE_Q32
            if is_banned(old, played.round_):
                assert new == old
            elif row.verdict is not Verdict.OK:
                offences[i] = played.round_
            assert new.ban_round in (0, old.ban_round, played.round_ + params.ban_rounds)
            assert new.ban_round == 0 or new.ban_round <= offences[i] + params.ban_rounds


@settings(max_examples=50)
@given(histories(4, most=20))
def test_the_banned_are_neither_in_the_match_nor_in_the_whole(history: list[list[Row]]) -> None:
    pot_wei = BUDGET_WEI - bps_down(BUDGET_WEI, STANDARD.verifier_share_bps)
    for played in play(history):
        here = [i for i, standing in enumerate(played.before) if not is_banned(standing, played.round_)]
        after = [played.after.trainers[i] for i in here]
        ranks = [-row.common_gain_micronats if row.verdict is Verdict.OK else 2**31 for row in played.said]
        assert [(standing.mu_q32, standing.sigma_q32) for standing in after] == rate(
            [(played.before[i].mu_q32, played.before[i].sigma_q32) for i in here], [ranks[i] for i in here]
        )
        due = weights(STANDARD, after)
        for i, part in zip(here, due, strict=True):
            earns = part if played.said[i].verdict is Verdict.OK else 0
            assert played.pay_wei(i) == pot_wei * earns // max(1, sum(due))
        assert sum(played.pay_wei(i) for i in range(4)) == sum(played.pay_wei(i) for i in here)


def test_never_to_ban_is_a_parameter() -> None:
    lenient = replace(STANDARD, ban_trust_bps=0, ban_rounds=0).check()
    assert {standing.ban_round for standing in alone([fails(Verdict.DUPLICATE)] * 50, lenient)} == {0}
    assert alone([fails(Verdict.DUPLICATE)] * 50, lenient)[-1].trust_q32 == FLOOR_Q32
