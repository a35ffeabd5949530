"""A run folded from its events: who takes part, what counts, what is owed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gradmint.spec import docket, tree
from gradmint.spec.docket import BASE_TIP, NOBODY, Books, RosterRow, split_bond
from gradmint.spec.errors import MalformedReport, TranscriptBroken
from gradmint.spec.events import Admitted, Event, Left, Proposed, Recorded, Refuted, Retired, Settled, Voided
from gradmint.spec.keccak import keccak256
from gradmint.spec.ledger import Ledger
from gradmint.spec.mechanism import settle
from gradmint.spec.params import Params
from gradmint.spec.transcript import EMPTY, Kind, fold, settled_row
from gradmint.spec.types import UNSAMPLED, Phase, Report, Role, Row, Standing, Verdict

from .synthetic import (
    BASE,
    CHALLENGER,
    FAIR,
    PROPOSER,
    PROPOSING,
    RUN,
    SMALL,
    Script,
    account,
    make_report,
    replay,
)

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
    settled, settlement = script.ledger.round.settled, script.ledger.round.settlement
    assert settled is not None and settled.outcome.cluster_mask == 0
    assert settlement is not None and settlement.paid_wei == 0
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
    for _ in range(2):  # a third would ban it
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
    script.slash(account(Role.VERIFIER, 31), 5)  # no such verifier
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
    total_wei, deposited_wei, roster = 0, 10**21, script.ledger.roster
    for number, report in enumerate(reports, start=1):
        script.play({0, 1}, report, absent={1})
        stakes = [SMALL.verifier_stake_wei] * 4
        if number == 2:
            stakes[1] -= stakes[1] // 100  # one liveness penalty
        budget_wei = (deposited_wei - total_wei) // (SMALL.max_rounds - number + 1)
        expected = settle(SMALL, number, budget_wei, trainers, verifiers, stakes, [report, None, report, report])
        settled, settlement = script.ledger.round.settled, script.ledger.round.settlement
        assert settlement == expected
        trainers, verifiers = list(expected.trainers), list(expected.verifiers)
        total_wei += expected.paid_wei
        assert settled is not None
        outcome = settled.outcome
        assert (outcome.total_wei, outcome.cluster_mask) == (total_wei, 0b1101)
        assert outcome.root == tree.root(trainers + verifiers).hash
        assert outcome.standings_hash == keccak256(roster + b"".join(s.pack() for s in trainers + verifiers))
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
    round_ = script.ledger.round
    assert round_.settled is not None and round_.execution is not None
    assert round_.settled.outcome == round_.execution.outcome
    other = replace(round_.settled, outcome=replace(round_.settled.outcome, total_wei=1))
    with pytest.raises(TranscriptBroken, match="round 1, Settled"):
        replay([other if event is round_.settled else event for event in script.events])


# Records


def test_a_record_holds_what_the_settlement_depends_on() -> None:
    """Money and stakes as of the record, seats as of the round's opening."""
    script = opened(trainers=2, verifiers=3)
    before = script.ledger.roster
    script.retire(Role.VERIFIER, 2)  # after the opening: on duty until the round is over
    script.admit(Role.TRAINER)
    script.fund(5)
    script.slash(account(Role.VERIFIER, 1), 9)
    script.play({0, 1}, absent={0})
    record = script.ledger.round.record
    assert record is not None
    stake_wei = SMALL.verifier_stake_wei
    assert (record.round, record.previous, record.trainers, record.verifiers) == (1, 0, 2, 3)
    assert (record.deposited_wei, record.active, record.revealed) == (10**21 + 5, 0b111, 0b110)
    assert record.roster == before != script.ledger.roster
    assert record.stakes_wei == (stake_wei, stake_wei - 9, stake_wei)
    assert record.reports == (Report.hash(script.sealed[1][0].pack(), 1),) * 2
    script.phase(Phase.TRAIN)
    script.void()
    script.phase(Phase.TRAIN)
    script.play({0, 1})
    record = script.ledger.round.record
    assert record is not None
    assert (record.round, record.previous, record.active) == (3, 1, 0b011)
    assert record.stakes_wei[2] == 0


@pytest.mark.parametrize("params", [SMALL, PROPOSING], ids=["direct", "proposing"])
def test_a_forged_record_is_found(params: Params) -> None:
    script = Script(params)
    script.open_round()
    script.play({0})
    i = next(i for i, event in enumerate(script.events) if isinstance(event, Recorded))
    recorded = script.events[i]
    assert isinstance(recorded, Recorded)
    for forged in (
        replace(recorded, record_hash=bytes(30)),
        replace(recorded, round=2),
        replace(recorded, round=0),
        replace(recorded, round=7),
    ):
        with pytest.raises(TranscriptBroken, match="Recorded at block"):
            replay([*script.events[:i], forged])


def test_what_was_recorded_shows_a_hidden_slash_or_deposit() -> None:
    """Money rows are outside the transcript; a record is not."""
    script = opened()
    script.fund(5)
    script.slash(account(Role.VERIFIER, 1), 9)
    script.play({0})
    for hidden in script.events:
        if type(hidden).__name__ in ("Funded", "Slashed"):
            with pytest.raises(TranscriptBroken, match="Recorded"):
                replay([event for event in script.events if event is not hidden])


def test_a_recorded_round_that_nobody_settles_changes_nothing() -> None:
    script = opened()
    script.play({0})
    script.phase(Phase.TRAIN)
    before = script.ledger.books
    script.submit(0)
    script.phase(Phase.REVEAL)
    for verifier in range(4):
        script.commit(verifier, make_report([FAIR] * 3))
        script.reveal(verifier)
    script.record()
    script.phase(Phase.SETTLE)
    assert [round_.number for round_ in script.ledger.unsettled()] == [2]
    script.void()
    ledger = script.ledger
    assert (ledger.books, ledger.final, ledger.unsettled()) == (before, before, [])
    script.phase(Phase.TRAIN)
    script.play({0})
    assert ledger.round.record is not None and ledger.round.record.previous == 2
    assert ledger.round.settled is not None
    assert ledger.books.trainers[0].rounds == 2


# Proposed settlements


def proposing(rounds: int = 2) -> Script:
    """So many recorded rounds, none settled."""
    script = Script(PROPOSING)
    for _ in range(rounds):
        script.open_round()
        script.play({0, 1})
    script.phase(Phase.TRAIN)
    return script


def test_readers_go_on_from_what_is_recorded_and_claims_from_what_is_final() -> None:
    script = proposing()
    ledger = script.ledger
    assert not ledger.is_direct
    assert [round_.number for round_ in ledger.unsettled()] == [1, 2]
    assert (ledger.final, ledger.total_wei) == (Books(), 0)
    executions = [round_.execution for round_ in ledger.rounds[:2]]
    assert executions[0] is not None and executions[1] is not None
    assert ledger.books == executions[1].books != executions[0].books
    assert [standing.rounds for standing in ledger.round.standings] == [2, 2, 2]

    script.propose(1)
    script.propose(2)
    assert ledger.final == Books()
    assert [proposal.round for proposal in ledger.pending] == [1, 2]
    assert docket.tip(ledger.pending) != BASE_TIP
    script.finalise()
    assert ledger.final == executions[0].books
    assert ledger.all_standings() == executions[0].books.standings
    assert [proposal.round for proposal in ledger.pending] == [2]
    script.finalise()
    assert (ledger.final, ledger.unsettled(), ledger.pending) == (ledger.books, [], [])
    assert ledger.total_wei == executions[1].outcome.total_wei == tree.root(ledger.all_standings()).sum_wei


def test_proposed_and_direct_runs_arrive_at_the_same() -> None:
    scripts = Script(SMALL), Script(PROPOSING)
    for script in scripts:
        for present in ({0, 1}, {0}, {0, 1, 2}):
            script.open_round()
            script.play(present)
    direct, proposed = (script.ledger for script in scripts)
    for number in (1, 2, 3):
        scripts[1].propose(number)
        scripts[1].finalise()
    # Stakes are slashed later where rounds are proposed; nothing else differs here: everybody spoke the truth.
    assert direct.final == proposed.final


def test_a_settlement_may_come_at_once_when_nothing_is_pending() -> None:
    script = proposing()
    script.settle(1)
    script.propose(2)
    script.finalise()
    assert script.ledger.final == script.ledger.books


def test_settlements_have_a_transcript_of_their_own() -> None:
    script = proposing()
    before = script.ledger.transcript
    for number in (1, 2):
        script.propose(number)
        script.finalise()
    assert script.ledger.transcript == before
    assert script.ledger.settlements != EMPTY
    settled = [event for event in script.events if isinstance(event, Settled)]
    for forged in (
        replace(settled[0], outcome=replace(settled[0].outcome, total_wei=1)),
        replace(settled[0], transcript=bytes(24)),
        replace(settled[0], round=2),
        replace(settled[0], round=9),
    ):
        with pytest.raises(TranscriptBroken, match="Settled at block"):
            replay([forged if event is settled[0] else event for event in script.events])
    with pytest.raises(TranscriptBroken, match="round 2, Settled at block"):
        replay([event for event in script.events if event is not settled[0]])


def test_a_forged_proposal_is_found() -> None:
    script = proposing()
    script.propose(1)
    script.propose(2)
    proposed = next(event for event in script.events if isinstance(event, Proposed))
    outcome = replace(proposed.outcome, root=bytes(24))
    tip = docket.tip(script.ledger.pending)
    for forged in (
        replace(proposed, outcome=outcome),
        replace(proposed, proposer=CHALLENGER),
        replace(proposed, final_s=1),
        replace(proposed, round=3),
    ):
        again = replay([forged if event is proposed else event for event in script.events])
        assert docket.tip(again.pending) != tip  # what the chain keeps says so
    script.finalise()
    with pytest.raises(TranscriptBroken, match="was proposed with"):
        replay([replace(e, outcome=outcome) if e is proposed else e for e in script.events])


def test_a_refutation_cuts_what_stands_on_the_false_one() -> None:
    script = proposing(rounds=3)
    ledger = script.ledger
    assert ledger.rounds[1].execution is not None
    false = replace(ledger.rounds[1].execution.outcome, total_wei=7)
    script.bond(PROPOSER, 3_000)
    script.bond(CHALLENGER, 1_000)
    script.propose(1)
    script.propose(2, false)
    script.propose(3)
    tip = docket.tip(ledger.pending[:1])
    script.challenge(3)
    assert ledger.challenge is not None and ledger.challenge.round == 3
    script.refute(2)
    assert [proposal.round for proposal in ledger.pending] == [1]
    assert docket.tip(ledger.pending) == tip
    assert ledger.challenge is None  # with what it was about
    [(refuted, proposal)] = ledger.refuted
    assert (refuted.round, proposal.outcome) == (2, false)
    reward_wei, burn_wei, pool_wei = split_bond(1_000, 4_000, 3_000)
    assert (reward_wei, burn_wei, pool_wei) == (400, 300, 300)
    assert ledger.bonds_wei == {PROPOSER: 2_000, CHALLENGER: 1_400}
    for number in (2, 3):
        script.propose(number)
    for _ in range(3):
        script.finalise()
    assert ledger.final == ledger.books
    assert replay(script.events).bonds_wei == ledger.bonds_wei

    refutation = next(event for event in script.events if isinstance(event, Refuted))
    hidden = [e for e in script.events if not (isinstance(e, Proposed) and e.outcome == false)]
    with pytest.raises(TranscriptBroken, match=r"Refuted at block .* nothing is proposed"):
        replay(hidden)
    assert refutation.challenger == CHALLENGER


def test_a_challenge_that_comes_to_nothing() -> None:
    script = proposing(rounds=1)
    script.bond(PROPOSER, 1_000)
    script.bond(CHALLENGER, 1_000)
    script.propose(1)
    script.challenge(1)
    script.finalise()
    assert script.ledger.challenge is None
    assert script.ledger.bonds_wei == {PROPOSER: 1_400, CHALLENGER: 0}
    script.unbond(PROPOSER, 1_400)
    script.pool(300)
    assert script.ledger.bonds_wei[PROPOSER] == 0
    assert (script.ledger.pooled_wei, script.ledger.deposited_wei) == (300, 10**21 + 300)


def test_a_challenge_of_a_later_round_outlives_a_settlement() -> None:
    script = proposing()
    script.propose(1)
    script.propose(2)
    script.challenge(2)
    script.finalise()
    assert script.ledger.challenge is not None


def test_a_false_outcome_that_became_final_shows() -> None:
    """Nobody refuted it. What readers go by stays what was said; the auditor compares."""
    script = proposing(rounds=1)
    execution = script.ledger.rounds[0].execution
    assert execution is not None
    script.propose(1, replace(execution.outcome, total_wei=7))
    script.finalise()
    settled = script.ledger.rounds[0].settled
    assert settled is not None and settled.outcome != execution.outcome
    assert script.ledger.final == execution.books


def test_slashes_reach_the_stakes_when_they_are_final() -> None:
    script = Script(PROPOSING)
    script.open_round(trainers=1, verifiers=4)
    script.play({0}, liars={3})
    script.phase(Phase.TRAIN)
    stake_wei = SMALL.verifier_stake_wei
    assert script.ledger.round.stakes_wei == (stake_wei,) * 4
    script.propose(1)
    script.finalise()
    assert script.ledger.seats[Role.VERIFIER][3].stake_wei == stake_wei * 8 // 10
    script.play({0})
    record = script.ledger.round.record
    assert record is not None and record.stakes_wei == (*(stake_wei,) * 3, stake_wei * 8 // 10)


# Seats that are given again


def test_a_newcomer_in_an_old_seat_inherits_nothing() -> None:
    script = opened(trainers=2, verifiers=4)
    for _ in range(2):
        script.play({0})
        script.phase(Phase.TRAIN)
    ledger = script.ledger
    old = ledger.seats[Role.TRAINER][0]
    owed_wei = ledger.books.trainers[0].paid_wei
    assert owed_wei > 0 and ledger.awaited_trainers() == {0}
    script.admit(Role.TRAINER, index=0)  # pushed out
    script.retire(Role.VERIFIER, 3)
    newcomer = ledger.seats[Role.TRAINER][0]
    assert ledger.former == [old] and old.gone
    assert ledger.seat(old.account) is old and ledger.seat(newcomer.account) is newcomer
    assert (newcomer.account, newcomer.since_round) == (account(Role.TRAINER, 0, 1), 4)
    script.play({0})  # whoever was seated as the round opened
    assert ledger.books.trainers[0].account == old.account
    assert ledger.books.trainers[0].rounds == 3
    owed_wei = ledger.books.trainers[0].paid_wei

    script.admit(Role.VERIFIER, index=3)
    script.phase(Phase.TRAIN)
    assert 0 in ledger.awaited_trainers()  # the settlement of the round before says nothing of it
    assert ledger.round.standings[0] == Standing(newcomer.account, Role.TRAINER)
    assert ledger.round.stakes_wei[3] == SMALL.verifier_stake_wei
    script.play({0})
    assert next(event.account for event in script.events if isinstance(event, Left)) == old.account
    assert ledger.left_wei == {
        old.account: owed_wei,
        account(Role.VERIFIER, 3): ledger.left_wei[account(Role.VERIFIER, 3)],
    }
    leaves = ledger.all_standings()
    assert [leaf.rounds for leaf in leaves] == [1, 4, 4, 4, 4, 1]
    assert (leaves[0].account, leaves[5].account) == (newcomer.account, account(Role.VERIFIER, 3, 1))
    assert ledger.total_wei == tree.root(leaves).sum_wei + sum(ledger.left_wei.values())
    assert replay(script.events).final == ledger.final


def test_a_newcomer_waits_for_its_round() -> None:
    """It is not awaited in the round in which it took the seat, and not dropped by what its forerunner missed."""
    script = opened(trainers=2)
    script.play({0})
    script.phase(Phase.TRAIN)
    script.retire(Role.TRAINER, 1)
    script.admit(Role.TRAINER, index=1)
    assert script.ledger.seats[Role.TRAINER][1].since_round == 3
    assert script.ledger.awaited_trainers() == {0}  # it cannot submit yet
    script.play({0})  # the second miss of the seat
    script.phase(Phase.TRAIN)
    assert script.ledger.awaited_trainers() == {0, 1}


def test_the_weakest_is_named_when_it_is_past_its_immunity() -> None:
    params = replace(SMALL, immunity_rounds=2)
    script = Script(params)
    named = []
    for _ in range(3):
        script.open_round()
        script.play({0, 1})
        settled = script.ledger.round.settled
        assert settled is not None
        named.append(settled.outcome.weakest)
    assert named == [NOBODY, NOBODY, 2]  # who never came


def test_rows_between_rosters() -> None:
    script = opened(trainers=1, verifiers=1)
    first = script.ledger.roster
    script.admit(Role.TRAINER)
    script.retire(Role.TRAINER, 0)
    middle = script.ledger.roster
    script.admit(Role.TRAINER, index=0, stake_wei=77)
    ledger = script.ledger
    joined = RosterRow(Kind.ADMITTED, Role.TRAINER, 1, account(Role.TRAINER, 1), SMALL.trainer_stake_wei)
    exited = RosterRow(Kind.RETIRED, Role.TRAINER, 0)
    again = RosterRow(Kind.ADMITTED, Role.TRAINER, 0, account(Role.TRAINER, 0, 1), 77)
    assert ledger.roster_between(first, middle) == (joined, exited)
    assert ledger.roster_between(middle, ledger.roster) == (again,)
    assert ledger.roster_between(first, ledger.roster) == (joined, exited, again)
    assert ledger.roster_between(first, first) == ()
    assert len(ledger.roster_between(EMPTY, first)) == 2
    assert (
        joined.pack() == bytes([Kind.ADMITTED]) + joined.row() and len(joined.pack()) == 40 and len(again.row()) == 39
    )


def test_prices_add_up() -> None:
    script = opened()
    for price_wei in (5, 7):
        index = script.admit(Role.TRAINER)
        script.joined(Role.TRAINER, index, price_wei)
    assert script.ledger.prices_wei == 12


# Bans


def test_the_banned_sit_the_next_rounds_out() -> None:
    """What is good then is not accepted, and nobody waits for them."""
    params = replace(SMALL, ban_rounds=2)
    script = Script(params)
    script.open_round(trainers=2, verifiers=3)
    duplicate = make_report([FAIR, Row(Verdict.DUPLICATE, 0, UNSAMPLED)])
    accepted, awaited = [], []
    for report in (duplicate, duplicate, None, None, None):
        script.play({0, 1}, report)
        round_ = script.ledger.round
        accepted.append(round_.accepted(round_.consensus(params)))
        script.phase(Phase.TRAIN)
        awaited.append(script.ledger.awaited_trainers())
    # A quarter of trust is left after one copy, a sixteenth after two: banned from round 3 to 4.
    assert script.ledger.books.trainers[1].ban_round == 4
    assert accepted == [(0,), (0,), (0,), (0,), (0, 1)]
    assert awaited == [{0, 1}, {0}, {0}, {0, 1}, {0, 1}]
    assert [sorted(round_.barred) for round_ in script.ledger.rounds] == [[], [], [1], [1], [], []]


# Rows that make no sense


def test_rows_of_rounds_that_never_were() -> None:
    script = proposing(rounds=1)
    execution = script.ledger.rounds[0].execution
    assert execution is not None
    events: list[Event] = [
        Recorded(run=RUN, round=4, record_hash=bytes(30)),
        Voided(run=RUN, round=4, phase=Phase.TRAIN),
        Voided(run=RUN, round=0, phase=Phase.TRAIN),
        Refuted(run=RUN, round=1, proposer=PROPOSER, challenger=CHALLENGER),
    ]
    for event in events:
        with pytest.raises(TranscriptBroken):
            replay([*script.events, event])
    unrecorded = Script(PROPOSING)
    unrecorded.open_round()
    with pytest.raises(TranscriptBroken, match="settled before it was recorded"):
        row = Settled(run=RUN, round=1, outcome=execution.outcome, transcript=b"")
        unrecorded.ledger.apply(
            replace(row, transcript=fold(EMPTY, Kind.SETTLED, settled_row(1, execution.outcome.pack())))
        )


def test_joins_and_exits_are_rows_of_the_roster() -> None:
    script = opened(trainers=1, verifiers=1)
    script.admit(Role.TRAINER, index=0)
    kinds = [type(event) for event in script.events[-2:]]
    assert kinds == [Retired, Admitted]
