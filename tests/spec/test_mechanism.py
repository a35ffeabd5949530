"""The settlement as a whole: examples by hand, and what must hold whatever is reported."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradmint.spec.mechanism import (
    pay,
    round_budget_wei,
    settle,
)
from gradmint.spec.params import MAX_TRAINERS
from gradmint.spec.rating import SIGMA_Q32
from gradmint.spec.types import (
    ONE_Q32,
    UNSAMPLED,
    Report,
    Role,
    Row,
    Standing,
    Verdict,
)

from .situations import FLOOR_Q32, Situation, due, fresh, payouts_wei, settled, situations, veteran
from .strategies import rows
from .synthetic import FAIR, SMALL, make_report

# By hand


def test_two_rounds_by_hand() -> None:
    """First 3/2 and 1/2 of the mean gain; then the first slips, and the budget is paid by what is left of its mean."""
    first = settled([Row(Verdict.OK, 3_000, 4_000), Row(Verdict.OK, 1_000, 1_001)], budget_wei=1_000)
    assert [s.value_q32 for s in first.trainers] == [6_442_450_944, 2_147_483_648]  # 3/2 and 1/2: what was shown
    assert [s.proof_q32 for s in first.trainers] == [2_340_757_176] * 2  # 0.09 of the way from a half to one
    assert [s.trust_q32 for s in first.trainers] == [ONE_Q32] * 2
    assert [s.paid_wei for s in first.trainers] == [670, 129]  # weights 4,300,245,519 and 827,582,635: 3^1.5 to 1
    assert [s.paid_wei for s in first.verifiers] == [66] * 3  # of 200, dust 2
    assert first.paid_wei == 997
    assert first.slashed_wei == (0, 0, 0)

    rows_ = [Row(Verdict.OK, -500, -600), Row(Verdict.OK, 2_000, 3_000)]
    second = settled(rows_, list(first.trainers), budget_wei=1_000_000_000, round_=2)
    assert [s.value_q32 for s in second.trainers] == [3_221_225_472, 5_368_709_120]  # 3/4 and 5/4: halfway to 0 and 2
    assert [s.proof_q32 for s in second.trainers] == [1_743_541_974, 2_516_636_086]
    # weights 1,132,463,731 and 3,517,105,851 of 4,649,569,582
    assert payouts_wei(list(first.trainers), second.trainers) == [194_850_505, 605_149_494]
    assert second.paid_wei == 194_850_505 + 605_149_494 + 3 * 66_666_666
    assert [s.rounds for s in second.trainers] == [2, 2]


def test_a_failed_check_by_hand() -> None:
    before = [veteran(0), veteran(1)]
    after = settled([Row(Verdict.DUPLICATE, 5_000, 9_000), FAIR], before, budget_wei=1_000)
    loser, winner = after.trainers
    # weights 886,388,020 and 5,090,810,077 of 5,977,198,097: the loser's part of the 800 stays in the budget
    assert payouts_wei(before, after.trainers) == [0, 681]
    assert loser.value_q32 == 3_779_571_221  # 0.88, rounded toward one
    assert winner.value_q32 == 4_810_363_371  # 0.12 of the way from one to two
    assert loser.trust_q32 == ONE_Q32 // 4
    assert loser.proof_q32 == ONE_Q32  # nothing was observed
    assert (loser.misses, loser.rounds, loser.ban_round) == (0, 101, 0)  # a quarter of the trust is not too little
    assert loser.mu_q32 < before[0].mu_q32 < winner.mu_q32


def test_verifiers_share_by_stake() -> None:
    said = make_report([FAIR])
    stakes = [300, 200, 100, 0]
    after = settle(SMALL, 1, 10_000, fresh(1), fresh(4, Role.VERIFIER), stakes, [said] * 4)
    assert [s.paid_wei for s in after.verifiers] == [1_000, 666, 333, 0]
    assert after.paid_wei == 8_000 + 1_999


@pytest.mark.parametrize("report", [None, make_report([FAIR], 2**30 - 1)], ids=["silent", "outside the cluster"])
def test_a_verifiers_share_goes_to_nobody_else(report: Report | None) -> None:
    said = make_report([FAIR])
    stakes = [300, 200, 100, 0]
    after = settle(SMALL, 1, 10_000, fresh(1), fresh(4, Role.VERIFIER), stakes, [said, said, report, said])
    assert [s.paid_wei for s in after.verifiers] == [1_000, 666, 0, 0]  # as when it came
    assert after.paid_wei == 8_000 + 1_666


# Money


@settings(max_examples=50)
@given(situations())
def test_no_wei_is_made(situation: Situation) -> None:
    after = situation.settle()
    to_trainers = payouts_wei(situation.trainers, after.trainers)
    to_verifiers = payouts_wei(situation.verifiers, after.verifiers)
    pot_wei = situation.budget_wei * SMALL.verifier_share_bps // 10_000
    assert after.paid_wei == sum(to_trainers) + sum(to_verifiers) <= situation.budget_wei
    assert min(to_trainers + to_verifiers) >= 0  # cumulative pay only grows
    if after.consensus is None:
        assert after.paid_wei == 0
        return
    # Each is paid its part of what all are due, rounded down; the parts of who did not come stay in the budget.
    judged, rows_, cluster = situation.judged, after.consensus.rows, after.consensus.cluster
    dues = [due(standing) if i in judged else 0 for i, standing in enumerate(after.trainers)]
    owing = [stake if v in cluster else 0 for v, stake in enumerate(situation.stakes_wei)]
    bonded = [stake * s.value_q32 >> 32 for stake, s in zip(owing, after.verifiers, strict=True)]
    for paid, pot, parts, whole in (
        (
            to_trainers,
            situation.budget_wei - pot_wei,
            [part if row.verdict is Verdict.OK else 0 for part, row in zip(dues, rows_, strict=True)],
            sum(dues),
        ),
        (to_verifiers, pot_wei, bonded, sum(situation.stakes_wei)),
    ):
        assert paid == [pot * part // max(1, whole) for part in parts]
        unpaid = pot - sum(paid)
        assert whole == 0 or 0 <= unpaid * whole - pot * (whole - sum(parts)) < len(parts) * whole


def test_when_nobody_comes_nobody_is_paid_and_nothing_is_lost() -> None:
    after = settled([Row(Verdict.MISSING, 0, UNSAMPLED)] * 2, [veteran(0), veteran(1)], budget_wei=1_000)
    assert [s.paid_wei for s in after.trainers] == [0, 0]
    assert after.paid_wei == 3 * 66


@settings(max_examples=50)
@given(situations())
def test_no_pay_without_the_work(situation: Situation) -> None:
    after = situation.settle()
    if after.consensus is None:
        return
    for i, (old, new, row) in enumerate(zip(situation.trainers, after.trainers, after.consensus.rows, strict=True)):
        if row.verdict is not Verdict.OK or new.proof_q32 <= 0 or new.value_q32 == 0 or i not in situation.judged:
            assert new.paid_wei == old.paid_wei
    for v, (old, new) in enumerate(zip(situation.verifiers, after.verifiers, strict=True)):
        if v not in after.consensus.cluster:
            assert new.paid_wei == old.paid_wei


@settings(max_examples=50)
@given(situations())
def test_every_quantity_keeps_its_range_and_fits_its_leaf(situation: Situation) -> None:
    after = situation.settle()
    before = situation.trainers + situation.verifiers
    most = [len(situation.judged)] * len(situation.trainers) + [1] * len(situation.verifiers)
    for standing, old, multiple in zip(after.trainers + after.verifiers, before, most, strict=True):
        assert 0 <= standing.value_q32 <= max(old.value_q32, multiple * ONE_Q32) <= MAX_TRAINERS * ONE_Q32 < 2**64
        assert -ONE_Q32 <= standing.proof_q32 <= ONE_Q32
        assert FLOOR_Q32 <= standing.trust_q32 <= ONE_Q32
        assert 0 < standing.sigma_q32 <= SIGMA_Q32
        assert standing.ban_round in (0, 6, 7, 9, situation.round_ + SMALL.ban_rounds)
        assert Standing.unpack(standing.pack()) == standing
    assert len(after.slashed_wei) == len(situation.stakes_wei)
    assert all(0 <= lost <= stake for lost, stake in zip(after.slashed_wei, situation.stakes_wei, strict=True))


@settings(max_examples=50)
@given(situations())
def test_nobody_is_slashed_from_within_the_cluster(situation: Situation) -> None:
    after = situation.settle()
    for v, lost_wei in enumerate(after.slashed_wei):
        if lost_wei:
            assert after.consensus is None or v not in after.consensus.cluster
            assert after.consensus is not None or situation.reports[v] is None  # without quorum, silence only


@settings(max_examples=50)
@given(situations(), st.randoms(use_true_random=False))
def test_index_buys_nothing(situation: Situation, random: object) -> None:
    order = list(range(len(situation.trainers)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = replace(
        situation,
        trainers=[situation.trainers[i] for i in order],
        reports=[r and replace(r, rows=tuple(r.rows[i] for i in order)) for r in situation.reports],
    )
    here, there = situation.settle(), shuffled.settle()
    assert [here.trainers[i] for i in order] == list(there.trainers)
    assert here.verifiers == there.verifiers
    if here.consensus is not None:
        claims = [due(s) if i in situation.judged else 0 for i, s in enumerate(here.trainers)]
        vulnerable = [claims[i] for i, s in enumerate(here.trainers) if s.rounds > SMALL.immunity_rounds]
        assert (here.weakest is None) is (there.weakest is None) is (not vulnerable)
        if here.weakest is not None and there.weakest is not None:  # of equals, the lower index
            assert claims[here.weakest] == claims[order[there.weakest]] == min(vulnerable)


def test_zero_total_weight_pays_no_trainer() -> None:
    before = [veteran(0, proof_q32=-ONE_Q32), veteran(1, value_q32=0)]
    after = settled([Row(Verdict.OK, -1, -2), Row(Verdict.OK, 0, 0)], before)
    assert payouts_wei(before, after.trainers) == [0, 0]
    assert after.paid_wei == sum(s.paid_wei for s in after.verifiers) > 0


def test_pay_splits_downward() -> None:
    split, paid_wei = pay(fresh(3), [1, 1, 1], 3, 100)
    assert ([s.paid_wei for s in split], paid_wei) == ([33, 33, 33], 99)
    assert pay(fresh(2), [0, 0], 0, 100) == (fresh(2), 0)
    assert pay(fresh(2), [0, 5], 5, 100)[0][1].paid_wei == 100


def test_pay_leaves_the_absents_part() -> None:
    split, paid_wei = pay(fresh(3), [3, 0, 4], 10, 101)
    assert ([s.paid_wei for s in split], paid_wei) == ([30, 0, 40], 70)
    assert pay(fresh(2), [0, 0], 5, 100) == (fresh(2), 0)


# Void rounds


@settings(max_examples=50)
@given(situations())
def test_a_round_without_quorum_costs_the_silent_and_leaves_everything_else_as_it_was(situation: Situation) -> None:
    reports_ = [*situation.reports, None]
    stakes = [*situation.stakes_wei, 2 * sum(situation.stakes_wei) + 10_099]
    verifiers = [*situation.verifiers, *fresh(1, Role.VERIFIER)]
    after = replace(situation, reports=reports_, stakes_wei=stakes, verifiers=verifiers).settle()
    assert after.consensus is None
    assert after.trainers == tuple(situation.trainers)
    assert after.verifiers == tuple(verifiers)
    assert after.paid_wei == 0
    assert after.slashed_wei == tuple(
        stake_wei * SMALL.liveness_bps // 10_000 if report is None else 0
        for stake_wei, report in zip(stakes, reports_, strict=True)
    )
    assert after.slashed_wei[-1] >= 100


def test_without_quorum_only_silence_costs() -> None:
    """Three contradict each other, one is silent, one is not on the committee: there is no truth to be far from."""
    told = [make_report([FAIR], 0), make_report([FAIR], 2**200 - 1), make_report([FAIR], 2**256 - 2**200), None, None]
    after = settle(SMALL, 1, 10**6, fresh(1), fresh(5, Role.VERIFIER), [10_000] * 4 + [0], told)
    assert after.consensus is None
    assert after.slashed_wei == (0, 0, 0, 100, 0)
    assert after.verifiers == tuple(fresh(5, Role.VERIFIER))  # no miss is counted either


def test_without_any_report_everybody_on_the_committee_pays() -> None:
    after = settle(SMALL, 1, 10**6, fresh(1), fresh(3, Role.VERIFIER), [10_000, 199, 0], [None] * 3)
    assert (after.consensus, after.paid_wei, after.slashed_wei) == (None, 0, (100, 1, 0))


# The budget


@given(st.integers(0, 10**24), st.lists(st.booleans(), min_size=1, max_size=40))
def test_budgets_never_exceed_the_deposit_and_the_last_round_may_pay_the_rest(
    deposit_wei: int, paid_rounds: list[bool]
) -> None:
    unpaid_wei, last = deposit_wei, len(paid_rounds)
    for round_, pays in enumerate(paid_rounds, start=1):
        budget_wei = round_budget_wei(unpaid_wei, round_, last)
        assert 0 <= budget_wei <= unpaid_wei
        if round_ == last:
            assert budget_wei == unpaid_wei
        if pays:
            unpaid_wei -= budget_wei


def test_unpaid_rounds_roll_over_evenly() -> None:
    assert round_budget_wei(1_000, 1, 10) == 100
    assert round_budget_wei(1_000, 6, 10) == 200
    assert round_budget_wei(999, 10, 10) == 999
    assert round_budget_wei(9, 1, 10) == 0


@settings(max_examples=30)
@given(st.lists(st.lists(rows, min_size=3, max_size=3), min_size=1, max_size=12), st.integers(0, 10**20))
def test_whole_runs_stay_within_the_deposit(run: list[list[Row]], deposit_wei: int) -> None:
    trainers, verifiers, total_wei = fresh(3), fresh(3, Role.VERIFIER), 0
    for round_, said in enumerate(run, start=1):
        budget_wei = round_budget_wei(deposit_wei - total_wei, round_, len(run))
        after = settle(SMALL, round_, budget_wei, trainers, verifiers, [1] * 3, [make_report(said)] * 3)
        trainers, verifiers = list(after.trainers), list(after.verifiers)
        total_wei += after.paid_wei
        assert total_wei == sum(s.paid_wei for s in trainers + verifiers) <= deposit_wei
