"""A run folded from its events: who takes part, what counts, what is owed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gradmint.spec import tree
from gradmint.spec.errors import MalformedReport
from gradmint.spec.keccak import keccak256
from gradmint.spec.ledger import Ledger
from gradmint.spec.mechanism import settle
from gradmint.spec.types import UNSAMPLED, Phase, Report, Role, Row, Standing, Verdict

from .synthetic import BASE, FAIR, RUN, SMALL, Script, account, make_report, replay

MISSING = Row(Verdict.MISSING, 0, UNSAMPLED)
OTHER_BASE = b"\xcc" * 32


def opened(trainers: int = 3, verifiers: int = 4) -> Script:
    script = Script()
    script.open_round(trainers, verifiers)
    return script


# What is there


def test_nothing_is_known_before_the_run_opens() -> None:
    ledger = Ledger(RUN)
    with pytest.raises(LookupError, match=f"run {RUN} is not open"):
        _ = ledger.terms
    assert (ledger.phase, ledger.deadline_s, ledger.total_wei) == (Phase.ENROL, 0, 0)
    assert ledger.seat(bytes(20)) is None


def test_opening_and_funding() -> None:
    script = Script(budget_wei=100)
    script.fund(11)
    ledger = script.ledger
    assert (ledger.terms, ledger.sponsor, ledger.token) == (SMALL, b"\x05" * 20, b"\x70" * 20)
    assert ledger.deposited_wei == 111


def test_money_rows_add_up_per_account() -> None:
    script = opened()
    one, other = account(Role.TRAINER, 0), account(Role.VERIFIER, 1)
    for amount_wei in (5, 6):
        script.claim(one, amount_wei)
        script.withdraw(other, amount_wei)
    script.refund(7)
    script.burn(8)
    script.exit(other, 99)
    ledger = script.ledger
    assert ledger.claimed_wei == {one: 11}
    assert ledger.withdrawn_wei == {other: 11}
    assert ledger.exiting == {other: 99}
    assert (ledger.refunded_wei, ledger.burned_wei) == (7, 8)


def test_seats_are_found_by_account() -> None:
    ledger = opened().ledger
    for role, index in ((Role.TRAINER, 2), (Role.VERIFIER, 3)):
        seat = ledger.seat(account(role, index))
        assert seat is ledger.seats[role][index]
        assert (seat.role, seat.index, seat.gone) == (role, index, False)
    assert ledger.seat(b"\x99" * 20) is None


def test_phases_carry_deadlines_and_beacons() -> None:
    script = opened()
    round_ = script.ledger.round
    training = round_.training_beacon
    script.phase(Phase.HOLD)
    assert (round_.phase, round_.assessment_beacon) == (Phase.HOLD, b"")
    script.phase(Phase.COMMIT)
    assert round_.assessment_beacon != training
    assert round_.training_beacon == training == round_.opened[Phase.TRAIN].beacon
    assert script.ledger.deadline_s == round_.opened[Phase.COMMIT].deadline_s > 0
    script.phase(Phase.ENDED)
    assert (script.ledger.phase, round_.phase, script.ledger.deadline_s) == (Phase.ENDED, Phase.COMMIT, 0)


def test_a_run_may_end_without_a_round() -> None:
    script = Script()
    script.phase(Phase.ENDED, round_=0)
    assert (script.ledger.phase, script.ledger.rounds) == (Phase.ENDED, [])


def test_every_reader_arrives_at_the_same() -> None:
    script = opened()
    script.play({0, 1})
    again = replay(script.events)
    assert again.transcript == script.ledger.transcript
    assert again.all_standings() == script.ledger.all_standings()


# Submissions and holds


def test_the_first_submission_counts() -> None:
    script = opened()
    script.submit(1, gain_micronats=5)
    script.submit(0)
    script.submit(1, gain_micronats=9, digest=b"\x01" * 32)
    round_ = script.ledger.round
    assert len(round_.submissions) == 3
    assert list(round_.first_submissions) == [1, 0]  # chain order
    assert round_.first_submissions[1].claimed_gain_micronats == 5


def test_held_is_what_was_submitted_and_two_thirds_have() -> None:
    script = opened(trainers=3, verifiers=4)
    script.submit(0)
    script.submit(1)
    script.phase(Phase.HOLD)
    script.hold(0, {0, 1, 2})  # nobody submitted as trainer 2, whatever verifiers say
    script.hold(1, {0, 2})
    assert script.ledger.round.held() == (frozenset(), None)
    script.hold(2, {0, 1, 2})
    assert script.ledger.round.held() == (frozenset({0}), BASE)
    script.hold(3, {1}, base=OTHER_BASE)
    assert script.ledger.round.held() == (frozenset({0, 1}), BASE)


def test_split_bases_attest_nothing() -> None:
    script = opened(trainers=1, verifiers=3)
    script.submit(0)
    script.phase(Phase.HOLD)
    script.hold(0, {0})
    script.hold(1, {0})
    script.hold(2, {0}, base=OTHER_BASE)
    assert script.ledger.round.held() == (frozenset({0}), None)


# Who takes part


def test_who_joins_during_a_round_takes_part_from_the_next() -> None:
    script = opened(trainers=2, verifiers=3)
    trainer, verifier = script.admit(Role.TRAINER), script.admit(Role.VERIFIER)
    round_ = script.ledger.round
    assert (round_.trainers, round_.verifiers, len(round_.stakes_wei)) == (2, 3, 3)
    assert script.ledger.awaited_trainers() == {0, 1}
    script.play({0, 1})
    assert len(script.ledger.all_standings()) == 2 + 3

    script.phase(Phase.TRAIN)
    round_ = script.ledger.round
    assert (round_.trainers, round_.verifiers) == (3, 4)
    assert script.ledger.awaited_trainers() == {0, 1, trainer}
    assert script.ledger.seated(Role.TRAINER, 3)[trainer] == Standing(account(Role.TRAINER, trainer), Role.TRAINER)
    script.play({0, 1, trainer})
    leaves = script.ledger.all_standings()
    assert [leaf.role for leaf in leaves] == [Role.TRAINER] * 3 + [Role.VERIFIER] * 4
    assert [leaf.rounds for leaf in leaves] == [2, 2, 1, 2, 2, 2, 1]
    assert leaves[trainer].paid_wei > 0 and leaves[3 + verifier].paid_wei > 0


def test_who_joins_is_not_in_the_tree_before_a_settlement() -> None:
    script = opened()
    script.play({0})
    before = script.ledger.all_standings()
    script.admit(Role.TRAINER)
    script.phase(Phase.TRAIN)
    assert script.ledger.all_standings() == before
    script.void()
    assert script.ledger.all_standings() == before


def test_a_settled_round_without_quorum_seats_the_newcomers_and_costs_the_silent_and_nothing_else() -> None:
    script = opened(trainers=2, verifiers=3)
    script.play({0, 1})
    before = script.ledger.standings
    script.admit(Role.TRAINER)
    script.phase(Phase.TRAIN)
    script.play({0}, absent={0})  # 2 of 3 verifiers are no quorum
    settled = script.ledger.round.settled
    assert settled is not None and (settled.cluster_mask, settled.paid_wei) == (0, 0)
    assert script.ledger.standings[Role.TRAINER][:2] == before[Role.TRAINER]
    assert script.ledger.standings[Role.TRAINER][2].rounds == 0
    assert script.ledger.standings[Role.VERIFIER] == before[Role.VERIFIER]
    stake_wei = SMALL.verifier_stake_wei
    left_wei = stake_wei - stake_wei * SMALL.liveness_bps // 10_000
    assert [seat.stake_wei for seat in script.ledger.seats[Role.VERIFIER]] == [left_wei, stake_wei, stake_wei]


def test_awaited_are_the_ones_present_of_late() -> None:
    script = opened(trainers=3)
    seen = [script.ledger.awaited_trainers()]
    for present in ({0, 1}, {0}, {0, 2}, {0}):  # 1 misses three times, 2 twice and comes back
        script.play(present)
        script.phase(Phase.TRAIN)
        seen.append(script.ledger.awaited_trainers())
    everyone = {0, 1, 2}
    assert seen == [everyone, everyone, {0, 1}, {0, 2}, {0, 2}]


def test_a_round_that_failed_a_check_is_no_miss() -> None:
    script = opened(trainers=2)
    for _ in range(3):
        script.play({0, 1}, make_report([FAIR, Row(Verdict.MALFORMED, 0, UNSAMPLED)]))
        script.phase(Phase.TRAIN)
    assert script.ledger.awaited_trainers() == {0, 1}


def test_a_void_round_is_no_miss() -> None:
    script = opened(trainers=2)
    for _ in range(3):
        script.void()
        script.phase(Phase.TRAIN)
    assert script.ledger.awaited_trainers() == {0, 1}


def test_who_left_is_not_awaited_from_that_moment() -> None:
    script = opened(trainers=3)
    script.retire(Role.TRAINER, 1)
    assert script.ledger.awaited_trainers() == {0, 2}
    assert script.ledger.seats[Role.TRAINER][1].gone
    assert script.ledger.round.trainers == 3  # its index stays


def test_a_retired_verifier_stays_for_the_round() -> None:
    script = opened(verifiers=4)
    stake_wei = SMALL.verifier_stake_wei
    script.retire(Role.VERIFIER, 2)
    assert script.ledger.round.stakes_wei == (stake_wei,) * 4
    script.play({0, 1, 2})
    settlement = script.ledger.round.settlement
    assert settlement is not None and settlement.consensus is not None
    assert 2 in settlement.consensus.cluster
    assert script.ledger.all_standings()[3 + 2].paid_wei > 0

    script.phase(Phase.TRAIN)
    assert script.ledger.round.stakes_wei == (stake_wei, stake_wei, 0, stake_wei)
    earned_wei = script.ledger.all_standings()[3 + 2].paid_wei
    script.play({0, 1, 2})
    assert script.ledger.all_standings()[3 + 2].paid_wei == earned_wei


def test_a_slashed_stake_weighs_less_from_the_next_round_on() -> None:
    script = opened(trainers=1, verifiers=4)
    stake_wei = SMALL.verifier_stake_wei
    script.play({0}, liars={3})
    lost_wei = stake_wei * SMALL.slash_bps // 10_000
    assert script.ledger.slashed_wei == {account(Role.VERIFIER, 3): lost_wei}
    assert script.ledger.seats[Role.VERIFIER][3].stake_wei == stake_wei - lost_wei
    assert script.ledger.rounds[0].stakes_wei[3] == stake_wei
    script.phase(Phase.TRAIN)
    assert script.ledger.round.stakes_wei == (stake_wei, stake_wei, stake_wei, stake_wei - lost_wei)


def test_a_slashed_stranger_changes_no_seat() -> None:
    script = opened()
    script.slash(31, 5)  # no such verifier
    assert script.ledger.slashed_wei == {account(Role.VERIFIER, 31): 5}
    assert {seat.stake_wei for seat in script.ledger.seats[Role.VERIFIER]} == {SMALL.verifier_stake_wei}


# Settlements


def test_settlements_are_re_executed_from_what_was_revealed() -> None:
    """By hand beside the ledger: standings carried over, stakes of the round, budgets of what is left."""
    script = opened(trainers=2, verifiers=4)
    reports = [
        make_report([FAIR, Row(Verdict.OK, 3_000, 3_500)], 0b111),
        make_report([Row(Verdict.OK, 700, 2_000), FAIR], 0b1),
    ]
    trainers = [Standing(account(Role.TRAINER, i), Role.TRAINER) for i in range(2)]
    verifiers = [Standing(account(Role.VERIFIER, i), Role.VERIFIER) for i in range(4)]
    total_wei, deposited_wei = 0, 10**21
    for number, report in enumerate(reports, start=1):
        script.play({0, 1}, report, absent={1})
        stakes = [SMALL.verifier_stake_wei] * 4
        if number == 2:
            stakes[1] -= stakes[1] // 100  # one liveness penalty
        budget_wei = (deposited_wei - total_wei) // (SMALL.max_rounds - number + 1)
        expected = settle(SMALL, budget_wei, trainers, verifiers, stakes, [report, None, report, report])
        settled, settlement = script.ledger.round.settled, script.ledger.round.settlement
        assert settlement == expected
        trainers, verifiers = list(expected.trainers), list(expected.verifiers)
        total_wei += expected.paid_wei
        assert settled is not None
        assert (settled.total_wei, settled.paid_wei, settled.cluster_mask) == (total_wei, expected.paid_wei, 0b1101)
        assert settled.root == tree.root(trainers + verifiers).hash
        assert settled.standings_hash == keccak256(b"".join(s.pack() for s in trainers + verifiers))
        assert script.ledger.total_wei == total_wei == tree.root(script.ledger.all_standings()).sum_wei
        script.phase(Phase.TRAIN)


def test_funds_count_from_the_settlement_after_them() -> None:
    script = Script(budget_wei=0)
    script.open_round(trainers=1, verifiers=1)
    script.fund(SMALL.max_rounds * 1_000)
    script.play({0})
    assert script.ledger.total_wei == 1_000


def test_the_budget_of_a_void_round_rolls_over() -> None:
    script = Script(budget_wei=SMALL.max_rounds * 900)
    script.open_round(trainers=1, verifiers=1)
    script.void()
    script.phase(Phase.TRAIN)
    script.play({0})
    assert script.ledger.total_wei == 1_000  # 9,000 over the nine rounds left
    assert [r.is_over for r in script.ledger.rounds] == [True, True]
    assert script.ledger.rounds[0].voided is not None and script.ledger.rounds[0].settled is None
    script.phase(Phase.TRAIN)
    script.void()
    assert [r.voided is not None for r in script.ledger.rounds] == [True, False, True]


def test_consensus_of_the_round_needs_its_reveals() -> None:
    script = opened(trainers=1, verifiers=3)
    script.submit(0)
    script.phase(Phase.HOLD)
    script.phase(Phase.COMMIT)
    report = make_report([FAIR], 9)
    for verifier in range(3):
        script.commit(verifier, report)
    script.phase(Phase.REVEAL)
    assert script.ledger.round.consensus(SMALL) is None
    for verifier in range(3):
        script.reveal(verifier)
    consensus = script.ledger.round.consensus(SMALL)
    assert consensus is not None and (consensus.cluster, consensus.rows) == ((0, 1, 2), (FAIR,))
    assert script.ledger.round.reports(SMALL.words) == [report] * 3


def test_a_report_of_another_shape_is_an_error_not_an_absence() -> None:
    script = opened(trainers=2, verifiers=1)
    script.phase(Phase.REVEAL)
    script.sealed[0] = Report(0, (0,), (FAIR,)), bytes(32)  # one row, two trainers
    script.reveal(0)
    with pytest.raises(MalformedReport):
        script.ledger.round.reports(SMALL.words)


def test_a_settlement_the_chain_did_not_execute_shows() -> None:
    """The ledger keeps both: what the chain recorded and what re-execution gives; the auditor compares them."""
    script = opened(trainers=2)
    script.play({0, 1})
    altered = [replace(event, paid_wei=1) if event is script.ledger.round.settled else event for event in script.events]
    again = replay(altered)
    assert again.round.settled is not None and again.round.settlement is not None
    assert again.round.settled.paid_wei == 1 != again.round.settlement.paid_wei
