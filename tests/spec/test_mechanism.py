"""The settlement, rule by rule: examples by hand, and what must hold whatever is reported."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradmint.spec.fixed import bps_down
from gradmint.spec.mechanism import is_ejected, pay, prove, round_budget_wei, settle, shares, slash, weights
from gradmint.spec.params import Params
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

from .strategies import gains, reports, rows
from .synthetic import FAIR, SMALL, account, make_report

FAILED = [verdict for verdict in Verdict if verdict is not Verdict.OK]
FLOOR_Q32 = bps_down(ONE_Q32, SMALL.trust_floor_bps)


def fresh(trainers: int, role: Role = Role.TRAINER) -> list[Standing]:
    return [Standing(account(role, i), role) for i in range(trainers)]


def veteran(index: int, **change: int) -> Standing:
    """Long in the run, with half of the value and a perfect proof."""
    usual = {"rounds": 100, "value_q32": ONE_Q32 // 2, "proof_q32": ONE_Q32}
    return Standing(account(Role.TRAINER, index), Role.TRAINER, **(usual | change))


def settled(
    said: list[Row],
    trainers: list[Standing] | None = None,
    budget_wei: int = 10**21,
    params: Params = SMALL,
    verifiers: int = 3,
) -> Settlement:
    """A round in which the whole committee, of equal stakes, says ``said``."""
    report = make_report(said)
    return settle(
        params,
        budget_wei,
        fresh(len(said)) if trainers is None else trainers,
        fresh(verifiers, Role.VERIFIER),
        [100] * verifiers,
        [report] * verifiers,
    )


def due(standing: Standing) -> int:
    """A pay weight, were the update valid."""
    weight = standing.value_q32 * max(0, standing.proof_q32) >> 32
    return (weight * standing.trust_q32 >> 32) * standing.reputation_q32 >> 32


def payouts_wei(before: list[Standing], after: tuple[Standing, ...]) -> list[int]:
    return [new.paid_wei - old.paid_wei for old, new in zip(before, after, strict=True)]


# By hand


def test_two_rounds_by_hand() -> None:
    """First 3/4 and 1/4 of the gain; then the first trainer slips, and the budget is paid by what is left of it."""
    first = settled([Row(Verdict.OK, 3_000, 4_000), Row(Verdict.OK, 1_000, 1_001)], budget_wei=1_000)
    assert [s.value_q32 for s in first.trainers] == [3_221_225_472, 1_073_741_824]  # 3/4 and 1/4: what was shown
    assert [s.proof_q32 for s in first.trainers] == [2_340_757_176] * 2  # 0.09 of the way from a half to one
    assert [s.trust_q32 for s in first.trainers] == [ONE_Q32] * 2
    assert [s.paid_wei for s in first.trainers] == [600, 200]  # weights 1,755,567,882 and 585,189,294: 3/4 and 1/4
    assert [s.paid_wei for s in first.verifiers] == [66] * 3  # of 200, dust 2
    assert first.paid_wei == 998
    assert first.slashed_wei == (0, 0, 0)

    rows_ = [Row(Verdict.OK, -500, -600), Row(Verdict.OK, 2_000, 3_000)]
    second = settled(rows_, list(first.trainers), budget_wei=1_000_000_000)
    assert [s.value_q32 for s in second.trainers] == [1_610_612_736, 2_684_354_560]  # 3/8 and 5/8: halfway
    assert [s.proof_q32 for s in second.trainers] == [1_743_541_974, 2_516_636_086]
    # weights 653,828,240 and 1,572,897,553 of 2,226,725,793
    assert payouts_wei(list(first.trainers), second.trainers) == [234_902_112, 565_097_887]
    assert second.paid_wei == 234_902_112 + 565_097_887 + 3 * 66_666_666
    assert [s.rounds for s in second.trainers] == [2, 2]


def test_a_failed_check_by_hand() -> None:
    before = [veteran(0), veteran(1)]
    after = settled([Row(Verdict.DUPLICATE, 5_000, 9_000), FAIR], before, budget_wei=1_000)
    loser, winner = after.trainers
    # weights 456,340,275 and 2,469,606,195 of 2,925,946,470: the loser's part of the 800 stays in the budget
    assert payouts_wei(before, after.trainers) == [0, 675]
    assert loser.value_q32 == 1_825_361_101  # 0.85 of a half, rounded toward the half
    assert winner.value_q32 == 2_469_606_195  # 0.15 of the way from a half to one
    assert loser.trust_q32 == ONE_Q32 // 4
    assert loser.proof_q32 == ONE_Q32  # nothing was observed
    assert (loser.misses, loser.rounds) == (0, 101)


def test_verifiers_share_by_stake() -> None:
    said = make_report([FAIR])
    stakes = [300, 200, 100, 0]
    after = settle(SMALL, 10_000, fresh(1), fresh(4, Role.VERIFIER), stakes, [said] * 4)
    assert [s.paid_wei for s in after.verifiers] == [1_000, 666, 333, 0]
    assert after.paid_wei == 8_000 + 1_999


@pytest.mark.parametrize("report", [None, make_report([FAIR], 2**30 - 1)], ids=["silent", "outside the cluster"])
def test_a_verifiers_share_goes_to_nobody_else(report: Report | None) -> None:
    said = make_report([FAIR])
    stakes = [300, 200, 100, 0]
    after = settle(SMALL, 10_000, fresh(1), fresh(4, Role.VERIFIER), stakes, [said, said, report, said])
    assert [s.paid_wei for s in after.verifiers] == [1_000, 666, 0, 0]  # as when it came
    assert after.paid_wei == 8_000 + 1_666


# Money


@dataclass(frozen=True)
class Situation:
    budget_wei: int
    trainers: list[Standing]
    verifiers: list[Standing]
    stakes_wei: list[int]
    reports: list[Report | None]

    def settle(self) -> Settlement:
        return settle(SMALL, self.budget_wei, self.trainers, self.verifiers, self.stakes_wei, self.reports)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Mostly with a quorum: most verifiers' words lie close together, whatever their rows say."""
    trainers, verifiers = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    told: list[Report | None] = []
    for _ in range(verifiers):
        report = draw(reports(1, trainers))
        near = st.sampled_from([0, 1, 3, 0b1111 << 9])
        word = draw(st.one_of(near, near, near, near, st.sampled_from([2**20 - 1, 2**200 - 1])))
        told.append(draw(st.sampled_from([replace(report, words=(word,))] * 7 + [None])))
    standings = st.builds(
        Standing,
        account=st.just(bytes(20)),
        role=st.just(Role.TRAINER),
        misses=st.integers(0, 255),
        rounds=st.one_of(st.integers(0, 12), st.just(65_535)),
        paid_wei=st.integers(0, 10**24),
        value_q32=st.integers(0, ONE_Q32),
        proof_q32=st.integers(-ONE_Q32, ONE_Q32),
        trust_q32=st.integers(FLOOR_Q32, ONE_Q32),
        reputation_q32=st.sampled_from([0, ONE_Q32 // 2, ONE_Q32]),
    )
    return Situation(
        budget_wei=draw(st.one_of(st.integers(0, 1_000), st.integers(0, 10**24))),
        trainers=[replace(draw(standings), account=account(Role.TRAINER, i)) for i in range(trainers)],
        verifiers=[
            replace(draw(standings), account=account(Role.VERIFIER, i), role=Role.VERIFIER) for i in range(verifiers)
        ],
        stakes_wei=draw(st.lists(st.integers(0, 9).map(lambda n: n * 10**18), min_size=verifiers, max_size=verifiers)),
        reports=told,
    )


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
    rows_, cluster = after.consensus.rows, after.consensus.cluster
    dues = [due(standing) for standing in after.trainers]
    for paid, pot, parts, came in (
        (to_trainers, situation.budget_wei - pot_wei, dues, [row.verdict is Verdict.OK for row in rows_]),
        (to_verifiers, pot_wei, situation.stakes_wei, [v in cluster for v in range(len(to_verifiers))]),
    ):
        whole = max(1, sum(parts))
        assert paid == [pot * part // whole if there else 0 for part, there in zip(parts, came, strict=True)]
        unpaid = pot - sum(paid)
        owed_to_absent = sum(part for part, there in zip(parts, came, strict=True) if not there)
        assert sum(parts) == 0 or 0 <= unpaid * whole - pot * owed_to_absent < len(parts) * whole


@given(situations(), st.lists(rows, min_size=4, max_size=4), st.lists(rows, min_size=4, max_size=4))
def test_nobody_gains_by_anothers_absence(situation: Situation, one: list[Row], other: list[Row]) -> None:
    """At equal standings: whoever else fails the checks or stays away, a valid update's part of the pot is the same."""
    trainers = situation.trainers
    here, whole = weights(trainers, one[: len(trainers)])
    there, same = weights(trainers, other[: len(trainers)])
    assert whole == same == sum(map(due, trainers))
    for part, counterpart, row, twin in zip(here, there, one, other, strict=False):
        if row.verdict is twin.verdict is Verdict.OK:
            assert part == counterpart
    everyone = list(range(len(situation.verifiers)))
    assert shares(situation.stakes_wei, everyone)[1] == shares(situation.stakes_wei, everyone[:1])[1]


def test_when_nobody_comes_nobody_is_paid_and_nothing_is_lost() -> None:
    after = settled([Row(Verdict.MISSING, 0, UNSAMPLED)] * 2, [veteran(0), veteran(1)], budget_wei=1_000)
    assert [s.paid_wei for s in after.trainers] == [0, 0]
    assert after.paid_wei == 3 * 66


@given(situations())
def test_no_pay_without_the_work(situation: Situation) -> None:
    after = situation.settle()
    if after.consensus is None:
        return
    for old, new, row in zip(situation.trainers, after.trainers, after.consensus.rows, strict=True):
        if row.verdict is not Verdict.OK or new.proof_q32 <= 0 or new.value_q32 == 0:
            assert new.paid_wei == old.paid_wei
    for v, (old, new) in enumerate(zip(situation.verifiers, after.verifiers, strict=True)):
        if v not in after.consensus.cluster:
            assert new.paid_wei == old.paid_wei


@given(situations())
def test_every_quantity_keeps_its_range_and_fits_its_leaf(situation: Situation) -> None:
    after = situation.settle()
    for standing in after.trainers + after.verifiers:
        assert 0 <= standing.value_q32 <= ONE_Q32
        assert -ONE_Q32 <= standing.proof_q32 <= ONE_Q32
        assert FLOOR_Q32 <= standing.trust_q32 <= ONE_Q32
        assert Standing.unpack(standing.pack()) == standing
    assert len(after.slashed_wei) == len(situation.stakes_wei)
    assert all(0 <= lost <= stake for lost, stake in zip(after.slashed_wei, situation.stakes_wei, strict=True))


@given(situations())
def test_nobody_is_slashed_from_within_the_cluster(situation: Situation) -> None:
    after = situation.settle()
    for v, lost_wei in enumerate(after.slashed_wei):
        if lost_wei:
            assert after.consensus is None or v not in after.consensus.cluster
            assert after.consensus is not None or situation.reports[v] is None  # without quorum, silence only


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


def test_shares_are_the_clusters_of_the_whole_committees_stake() -> None:
    assert shares([5, 0, 7, 9], [0, 1, 3]) == ([5, 0, 0, 9], 21)
    assert shares([0, 0], [0]) == ([0, 0], 0)


@pytest.mark.parametrize("verdict", FAILED)
def test_no_weight_for_any_failed_check(verdict: Verdict) -> None:
    assert weights([veteran(0)], [Row(verdict, GAIN_MAX_MICRONATS, GAIN_MAX_MICRONATS)]) == ([0], ONE_Q32 // 2)
    assert weights([veteran(0)], [FAIR]) == ([ONE_Q32 // 2], ONE_Q32 // 2)


@pytest.mark.parametrize("proof_q32", [0, -1, -ONE_Q32])
def test_no_weight_without_proof(proof_q32: int) -> None:
    assert weights([veteran(0, proof_q32=proof_q32, value_q32=ONE_Q32)], [FAIR]) == ([0], 0)


def test_weight_is_the_product() -> None:
    quarter = veteran(0, proof_q32=ONE_Q32 // 2, trust_q32=ONE_Q32 // 4, reputation_q32=ONE_Q32 // 8)
    assert weights([quarter], [FAIR]) == ([ONE_Q32 // 128], ONE_Q32 // 128)


@given(gains, st.integers(-ONE_Q32, 0), st.integers(0, ONE_Q32))
def test_two_negatives_never_pay(gain: int, proof_q32: int, value_q32: int) -> None:
    """Harm on the common batch and still more on the assigned one: neither product nor means turn it into pay."""
    harm = Row(Verdict.OK, -abs(gain), max(-abs(gain) - 1, -GAIN_MAX_MICRONATS))
    before = [veteran(0, proof_q32=proof_q32, value_q32=value_q32), veteran(1)]
    after = settled([harm, FAIR], before)
    assert payouts_wei(before, after.trainers)[0] == 0
    assert after.trainers[0].value_q32 <= value_q32


def test_one_updates_gain_split_over_two_seats_pays_no_more() -> None:
    """In one step as over many rounds: shares add up, so a second seat only costs a second stake."""
    whole, split = fresh(3), fresh(4)
    for _ in range(30):
        whole = list(settled([FAIR, FAIR, Row(Verdict.OK, 1_000, 2_000)], whole).trainers)
        split = list(settled([FAIR, FAIR, Row(Verdict.OK, 500, 900), Row(Verdict.OK, 500, 900)], split).trainers)
    one, two = whole[2].paid_wei, split[2].paid_wei + split[3].paid_wei
    assert abs(one - two) < one // 10**6


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


def test_only_positive_valid_gains_share_the_value() -> None:
    before = [veteran(i, value_q32=0) for i in range(4)]
    said = [
        Row(Verdict.OK, 300, 301),
        Row(Verdict.OK, 100, 101),
        Row(Verdict.OK, -10_000, 5),
        Row(Verdict.OVER_NORM, 10_000, 10_001),
    ]
    after = settled(said, before).trainers
    assert [s.value_q32 for s in after] == [bps_down(3 * ONE_Q32 // 4, 1_500), bps_down(ONE_Q32 // 4, 1_500), 0, 0]


def test_nobody_has_a_share_of_no_gain() -> None:
    newest_only = replace(SMALL, value_weight_bps=10_000)
    after = settled([Row(Verdict.OK, 0, 1), Row(Verdict.OK, -5, 1)], [veteran(0), veteran(1)], params=newest_only)
    assert [s.value_q32 for s in after.trainers] == [0, 0]


def test_a_round_without_any_gain_changes_no_veterans_share() -> None:
    before = [veteran(0), veteran(1, value_q32=ONE_Q32 // 4)]
    after = settled([Row(Verdict.OK, 0, 1), Row(Verdict.OK, -5, 1)], before, budget_wei=10**21)
    one, other = payouts_wei(before, after.trainers)
    assert abs(one - 2 * other) <= 10**13  # two to one, as before


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


def test_trust_has_a_floor_and_a_way_back() -> None:
    standing = veteran(0)
    for _ in range(20):
        standing = settled([Row(Verdict.DUPLICATE, 0, UNSAMPLED)], [standing]).trainers[0]
        assert standing.trust_q32 >= FLOOR_Q32
    assert standing.trust_q32 == FLOOR_Q32
    regained = []
    for _ in range(60):
        standing = settled([FAIR], [standing]).trainers[0]
        regained.append(standing.trust_q32)
    assert regained == sorted(regained)
    assert regained[0] == FLOOR_Q32 + (ONE_Q32 - FLOOR_Q32) // 10
    assert 0.998 * ONE_Q32 < regained[-1] <= ONE_Q32


def test_no_merit_offsets_a_missed_duty() -> None:
    """Trust stops at one: a long honest past does not soften the next penalty."""
    standing = veteran(0)
    for _ in range(30):
        standing = settled([FAIR], [standing]).trainers[0]
    assert standing.trust_q32 == ONE_Q32
    assert settled([Row(Verdict.MALFORMED, 0, UNSAMPLED)], [standing]).trainers[0].trust_q32 == ONE_Q32 // 2


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
    after = settle(SMALL, 10**6, fresh(1), before, [1] * 4, [said, None, said, said])
    assert [s.misses for s in after.verifiers] == [0, 2, 0, 0]


# Void rounds


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
    after = settle(SMALL, 10**6, fresh(1), fresh(5, Role.VERIFIER), [10_000] * 4 + [0], told)
    assert after.consensus is None
    assert after.slashed_wei == (0, 0, 0, 100, 0)
    assert after.verifiers == tuple(fresh(5, Role.VERIFIER))  # no miss is counted either


def test_without_any_report_everybody_on_the_committee_pays() -> None:
    after = settle(SMALL, 10**6, fresh(1), fresh(3, Role.VERIFIER), [10_000, 199, 0], [None] * 3)
    assert (after.consensus, after.paid_wei, after.slashed_wei) == (None, 0, (100, 1, 0))


# Slashing


def slashed_at(distance: int, honest: int = 4, liars: int = 1) -> int:
    """What each of ``liars`` loses of 10,000, that far from ``honest`` others."""
    near, far = make_report([FAIR], 0), make_report([FAIR], (1 << distance) - 1)
    count = honest + liars
    told = [near] * honest + [far] * liars
    after = settle(SMALL, 10**6, fresh(1), fresh(count, Role.VERIFIER), [10_000] * count, told)
    assert after.slashed_wei[:honest] == (0,) * honest
    assert len(set(after.slashed_wei[honest:])) == 1
    paid = [s.paid_wei > 0 for s in after.verifiers]
    assert paid == [True] * honest + [distance <= SMALL.accept_bits] * liars
    return after.slashed_wei[-1]


def test_near_is_paid_grey_is_not_far_is_slashed() -> None:
    assert (SMALL.accept_bits, SMALL.slash_bits) == (10, 40)
    assert [slashed_at(distance) for distance in (0, 10, 11, 40, 41, 256)] == [0, 0, 0, 0, 2_000, 2_000]


def test_only_a_unanimous_cluster_slashes() -> None:
    assert slashed_at(256, honest=3, liars=1) == 2_000  # 3/4
    assert slashed_at(256, honest=5, liars=2) == 0  # above 2/3, below 3/4


def test_silence_costs_the_liveness_penalty_unanimous_or_not() -> None:
    assert slash(SMALL, [10_000, 10_000, 0, 99], [0, None, None, None], unanimous=False) == [0, 100, 0, 0]
    assert slash(SMALL, [10_000, 10_000], [41, None], unanimous=True) == [2_000, 100]


def test_outside_the_committee_there_is_nothing_to_lose() -> None:
    near, far = make_report([FAIR], 0), make_report([FAIR], 2**256 - 1)
    after = settle(SMALL, 10**6, fresh(1), fresh(5, Role.VERIFIER), [1, 1, 1, 1, 0], [near] * 4 + [far])
    assert after.slashed_wei == (0,) * 5
    assert after.verifiers[4].paid_wei == 0


def test_ejected_below_half_not_at_half() -> None:
    assert [is_ejected(stake_wei, 100) for stake_wei in (0, 49, 50, 51, 100)] == [True, True, False, False, False]
    assert [is_ejected(stake_wei, 101) for stake_wei in (50, 51)] == [True, False]


def test_four_far_reports_eject() -> None:
    """0.8^3 is above a half, 0.8^4 below."""
    stake_wei, survived = 100 * 10**18, 0
    while not is_ejected(stake_wei, 100 * 10**18):
        stake_wei -= slash(SMALL, [stake_wei], [256], unanimous=True)[0]
        survived += 1
    assert survived == 4


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
        after = settle(SMALL, budget_wei, trainers, verifiers, [1] * 3, [make_report(said)] * 3)
        trainers, verifiers = list(after.trainers), list(after.verifiers)
        total_wei += after.paid_wei
        assert total_wei == sum(s.paid_wei for s in trainers + verifiers) <= deposit_wei
