"""Rounds that are settled by proposals: bonds, challenges, refutations, and what becomes final; on both chains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gradmint.ports.chain import (
    Burn,
    Chain,
    Challenge,
    Close,
    Commit,
    Evidence,
    Exit,
    Finalise,
    Hear,
    Hold,
    Pool,
    Propose,
    Refund,
    Reveal,
    Settle,
    Submit,
    Unbond,
    Withdraw,
)
from gradmint.spec import docket
from gradmint.spec.docket import BASE_TIP, NOBODY, Effects, slice_hash, split_bond
from gradmint.spec.events import (
    Bonded,
    Challenged,
    Forfeited,
    Funded,
    PhaseOpened,
    Pooled,
    Proposed,
    Recorded,
    Refuted,
    Retired,
    Settled,
    Slashed,
    Unbonded,
)
from gradmint.spec.keccak import keccak256
from gradmint.spec.types import Phase, Report, Role, Row

from .harness import BOND_WEI, BUDGET_WEI, FAR, PROPOSING, SALT, STAKE_WEI, Stage, World, refused

REWARD_WEI, BURN_WEI, POOL_WEI = split_bond(BOND_WEI, 4_000, 3_000)
NOTHING = Effects(slashed=(), awaited=(), left=())


def proposing(stage: Stage, rounds: int = 1, **terms: object) -> Stage:
    """A proposing run with so many recorded rounds and bonds of account 70, who proposes, and 71."""
    stage.open(**(PROPOSING | terms)).enrol()
    for _ in range(rounds):
        stage.speak()
    for number in (70, 71):
        stage.bond(stage.world.connect(number), 4)
    return stage


def proposer(stage: Stage) -> Chain:
    return stage.world.connect(70)


def critic(stage: Stage) -> Chain:
    return stage.world.connect(71)


def free_wei(stage: Stage, chain: Chain) -> tuple[int, int]:
    return tuple(stage.sponsor.bond_of(stage.run, chain.account))  # type: ignore[return-value]


# Records


def test_rounds_follow_each_other_and_leave_a_record(stage: Stage) -> None:
    stage.open(**PROPOSING).enrol()
    stage.speak()
    clock = stage.sponsor.clock(stage.run)
    assert (clock.round, clock.phase) == (2, Phase.TRAIN)
    last = stage.sponsor.events(stage.run)[-2:]
    assert [type(event) for event in last] == [Recorded, PhaseOpened]
    stage.poke()  # nobody submits: void
    stage.speak()
    ledger = stage.ledger()
    assert [round_.record is not None for round_ in ledger.rounds] == [True, False, True, False]
    for number, previous in ((1, 0), (3, 1)):
        record = ledger.rounds[number - 1].record
        assert record is not None and record.previous == previous
        assert stage.sponsor.record(stage.run, number) == (record.hash(), previous)
    assert stage.sponsor.record(stage.run, 2) == stage.sponsor.record(stage.run, 4) == (bytes(30), 0)
    assert not stage.sponsor.caught_up(stage.run)
    assert stage.sponsor.docket(stage.run) == (0, 0, 0, bytes(24), BASE_TIP)


def test_a_late_reveal_phase_records_those_who_spoke(stage: Stage) -> None:
    stage.open(**PROPOSING).enrol()
    stage.submit(0, 1, 2)
    stage.close()
    stage.hold(0, 1, 2)
    reports = {v: stage.report(v) for v in range(3)}
    stage.commit(reports)
    stage.reveal({0: reports[0], 2: reports[2]})
    receipt = stage.poke()
    assert [type(event) for event in receipt.events] == [Recorded, PhaseOpened]
    record = stage.ledger().rounds[0].record
    assert record is not None and record.revealed == 0b101 and len(record.reports) == 2


def test_direct_runs_keep_their_latest_record(stage: Stage) -> None:
    stage.open().enrol()
    stage.play()
    stage.speak()
    record = stage.ledger().round.record
    assert record is not None and record.previous == 1
    assert stage.sponsor.record(stage.run, 2) == (record.hash(), 1)
    assert stage.sponsor.record(stage.run, 1) == (bytes(30), 0)


# From a proposal to what is final


def test_an_honest_round(stage: Stage) -> None:
    proposing(stage, rounds=2)
    execution = stage.execution(1)
    receipt = stage.propose(proposer(stage), 1)
    [proposed] = receipt.events
    assert isinstance(proposed, Proposed)
    assert (proposed.round, proposed.proposer) == (1, proposer(stage).account)
    assert proposed.outcome == execution.outcome
    assert 0 <= stage.sponsor.now_s() + stage.params.challenge_s - proposed.final_s < 60
    assert free_wei(stage, proposer(stage)) == (4 * BOND_WEI, BOND_WEI)
    pending = stage.ledger().pending
    assert stage.sponsor.docket(stage.run) == (0, 1, 1, bytes(24), docket.tip(pending))

    early = refused("NotFinal", lambda: stage.sponsor.send(stage.finalisation()), 1, proposed.final_s)
    assert early.operands[2] < proposed.final_s  # type: ignore[operator]
    receipt = stage.finalise()
    [settled] = receipt.events
    assert isinstance(settled, Settled) and settled.outcome == execution.outcome
    ledger = stage.ledger()
    assert ledger.final == execution.books
    assert stage.sponsor.standings_hash(stage.run) == execution.books.standings_hash
    escrow = stage.sponsor.escrow(stage.run)
    assert (escrow.root, escrow.total_wei) == (execution.outcome.root, execution.outcome.total_wei)
    assert stage.sponsor.docket(stage.run) == (1, 1, 0, ledger.settlements, BASE_TIP)
    assert free_wei(stage, proposer(stage)) == (4 * BOND_WEI, 0)
    assert not stage.sponsor.caught_up(stage.run)
    stage.sponsor.send(stage.claim(0))

    stage.propose(proposer(stage), 2)
    stage.finalise()
    assert stage.sponsor.caught_up(stage.run)
    assert stage.ledger().final == stage.ledger().books


def test_several_pending_become_final_in_order(stage: Stage) -> None:
    proposing(stage, rounds=3)
    for number in (1, 2, 3):
        stage.propose(proposer(stage), number)
    ledger = stage.ledger()
    assert stage.sponsor.docket(stage.run) == (0, 3, 3, bytes(24), docket.tip(ledger.pending))
    call = stage.finalisation()
    other = Finalise(run=stage.run, pending=call.pending[1:], effects=stage.execution(2).effects)
    stage.until(ledger.pending[2].final_s)
    refused("PendingMismatch", lambda: stage.sponsor.send(other), docket.tip(call.pending), docket.tip(other.pending))
    late = replace(call.pending[0], final_s=call.pending[0].final_s + 1)
    refused("PendingMismatch", lambda: stage.sponsor.send(replace(call, pending=(late, *call.pending[1:]))))
    wrong = replace(call, effects=replace(call.effects, awaited=(1,)))
    expected = (call.effects.hash(), wrong.effects.hash())
    refused("EffectsMismatch", lambda: stage.sponsor.send(wrong), *expected)
    for number in (1, 2, 3):
        stage.finalise()
        assert stage.sponsor.docket(stage.run).settled == number
        assert stage.ledger().final == stage.execution(number).books
    empty = Finalise(run=stage.run, pending=(), effects=NOTHING)
    refused("NotPending", lambda: stage.sponsor.send(empty), stage.run, 0)


def test_what_may_be_proposed(stage: Stage) -> None:
    proposing(stage, rounds=2)
    chain = proposer(stage)
    outcome = stage.execution(1).outcome
    for number in (0, 3, 60_000):
        call = Propose(run=stage.run, round=number, outcome=outcome)
        refused("NotRecorded", lambda call=call: chain.send(call), stage.run, number)  # type: ignore[misc]
    refused("NotNext", lambda: stage.propose(chain, 2), stage.run, 2, 1, 0)
    stage.propose(chain, 1)
    refused("NotNext", lambda: stage.propose(chain, 1), stage.run, 1, 0, 1)
    poor = stage.world.connect(72)
    refused("BondTooSmall", lambda: stage.propose(poor, 2), stage.run, poor.account, 0, BOND_WEI)
    stage.propose(chain, 2)


def test_direct_runs_have_no_docket(stage: Stage) -> None:
    stage.open().enrol()
    stage.play()
    outcome = stage.execution(1).outcome
    chain, run = stage.sponsor, stage.run
    refused("NotProposing", lambda: chain.send(Propose(run=run, round=1, outcome=outcome)), run)
    refused("NotProposing", lambda: chain.send(Challenge(run=run, round=1)), run)
    refused("NotProposing", lambda: chain.send(Finalise(run=run, pending=(), effects=NOTHING)), run)
    nowhere = run + 1_000
    refused("NotProposing", lambda: chain.send(Challenge(run=nowhere, round=1)), nowhere)
    assert chain.docket(run) == (0, 0, 0, bytes(24), bytes(32))
    assert chain.caught_up(run)


def test_no_more_than_so_many_are_pending(stage: Stage) -> None:
    rounds = docket.MAX_PENDING + 1
    stage.open(**(PROPOSING | {"min_trainers": 1, "min_verifiers": 1, "max_rounds": rounds})).enrol(1, 1)
    trainer, verifier, report = stage.trainers[0], stage.verifiers[0], stage.report(0, gains=[1])
    for number in range(1, rounds + 1):
        submit = Submit(run=stage.run, digest=bytes(32), claimed_gain_micronats=0)
        trainer.send(submit)
        trainer.send(Close(run=stage.run, submissions=((0, submit.claimed_gain_micronats, submit.digest),)))
        verifier.send(Hold(run=stage.run, bitmap=b"\1", base=bytes(32)))
        verifier.send(Commit(run=stage.run, commitment=stage.commitment(verifier, number, report)))
        verifier.send(Reveal(run=stage.run, report=report, salt=SALT))
    outcome = stage.execution(1).outcome
    chain = proposer(stage)
    stage.bond(chain, rounds)
    for number in range(1, rounds):
        chain.send(Propose(run=stage.run, round=number, outcome=outcome))
    assert stage.sponsor.docket(stage.run).pending == docket.MAX_PENDING
    refused("TooManyPending", lambda: chain.send(Propose(run=stage.run, round=rounds, outcome=outcome)), stage.run)


# At once, by re-execution


def test_a_proposing_run_may_be_settled_at_once_while_nothing_is_pending(stage: Stage) -> None:
    proposing(stage, rounds=3)
    refused("NotNext", lambda: stage.sponsor.send(stage.settlement(2)), stage.run, 2, 1, 0)
    stage.sponsor.send(stage.settlement(1))
    assert stage.sponsor.docket(stage.run)[:3] == (1, 1, 0)
    refused("NotNext", lambda: stage.sponsor.send(stage.settlement(1)), stage.run, 1, 0, 1)
    stage.propose(proposer(stage), 2)
    refused("StillPending", lambda: stage.sponsor.send(stage.settlement(3)), stage.run, 1)
    stage.finalise()
    [settled] = stage.sponsor.send(stage.settlement(3)).events
    assert isinstance(settled, Settled)
    ledger = stage.ledger()
    assert ledger.final == ledger.books and settled.transcript == ledger.settlements
    assert stage.sponsor.caught_up(stage.run)


def test_what_a_settlement_has_to_bring(stage: Stage) -> None:
    proposing(stage, rounds=2)
    stage.sponsor.send(stage.settlement(1))
    good = stage.settlement(2)
    chain, run = stage.sponsor, stage.run

    def settle(**changes: Any) -> Settle:
        return replace(good, **changes)

    other = replace(stage.params, max_rounds=3)
    refused("ParamsMismatch", lambda: chain.send(settle(params=other)), keccak256(stage.params.encode()))
    richer = replace(good.record, deposited_wei=good.record.deposited_wei + 1)
    mismatch = (run, 2, good.record.hash(), richer.hash())
    refused("RecordMismatch", lambda: chain.send(settle(record=richer)), *mismatch)
    refused("StandingsMismatch", lambda: chain.send(settle(roster=bytes(24))), stage.ledger().final.standings_hash)
    paid = (replace(good.standings[0], paid_wei=good.standings[0].paid_wei + 1), *good.standings[1:])
    refused("StandingsMismatch", lambda: chain.send(settle(standings=paid)))
    refused("ReportCount", lambda: chain.send(settle(reports=good.reports[1:])), 3, 2)
    swapped = (good.reports[0], good.reports[2], good.reports[1])
    refused("ReportMismatch", lambda: chain.send(settle(reports=swapped)), 1, good.record.reports[1])
    extra = stage.ledger().roster_rows[:1]
    refused("RosterMismatch", lambda: chain.send(settle(rows=tuple(extra))), good.record.roster)
    chain.send(good)


# Refutations


def test_a_false_proposal_takes_those_behind_it_down(stage: Stage) -> None:
    proposing(stage, rounds=3)
    other = stage.world.connect(72)
    stage.bond(other, 2)
    stage.propose(proposer(stage), 1)
    honest = stage.refutation(0)
    refused("NotRefuted", lambda: critic(stage).send(honest), stage.run, 1)
    stage.propose(proposer(stage), 2, total_wei=stage.execution(2).outcome.total_wei + 1)
    stage.propose(other, 3)
    kept = stage.ledger().pending[0]
    receipt = critic(stage).send(stage.refutation(1))
    assert [type(event) for event in receipt.events] == [Refuted, Forfeited]
    refuted, forfeited = receipt.events
    assert isinstance(refuted, Refuted) and isinstance(forfeited, Forfeited)
    assert (refuted.round, refuted.proposer) == (2, proposer(stage).account)
    assert refuted.challenger == forfeited.beneficiary == critic(stage).account
    assert forfeited.account == proposer(stage).account
    assert (forfeited.reward_wei, forfeited.burn_wei, forfeited.pool_wei) == (REWARD_WEI, BURN_WEI, POOL_WEI)

    ledger = stage.ledger()
    assert ledger.pending == [kept]
    assert stage.sponsor.docket(stage.run) == (0, 1, 1, bytes(24), docket.tip([kept]))
    assert free_wei(stage, proposer(stage)) == (3 * BOND_WEI, BOND_WEI)
    assert free_wei(stage, other) == (2 * BOND_WEI, 0)  # stood on a false one: void, not lost
    assert free_wei(stage, critic(stage)) == (4 * BOND_WEI + REWARD_WEI, 0)
    for chain in (proposer(stage), other, critic(stage)):
        assert ledger.bonds_wei[chain.account] == stage.sponsor.bond_of(stage.run, chain.account).amount_wei

    stage.propose(other, 2)
    stage.propose(other, 3)
    for _ in range(3):
        stage.finalise()
    assert stage.ledger().final == stage.ledger().books


@pytest.mark.parametrize(
    "lie",
    [
        {"root": bytes(24)},
        {"standings_hash": bytes(32)},
        {"loss_micronats": 1},
        {"cluster_mask": 0b11},
        {"weakest": 1},
        {"effects_hash": bytes(32)},
    ],
    ids=lambda lie: next(iter(lie)),
)
def test_every_field_can_be_refuted(stage: Stage, lie: dict[str, object]) -> None:
    proposing(stage)
    assert stage.execution(1).outcome.weakest == NOBODY
    stage.propose(proposer(stage), 1, **lie)
    critic(stage).send(stage.refutation(0))
    assert stage.sponsor.docket(stage.run) == (0, 0, 0, bytes(24), BASE_TIP)


def test_what_a_refutation_has_to_bring(stage: Stage) -> None:
    proposing(stage, rounds=2)
    stage.propose(proposer(stage), 1)
    stage.propose(proposer(stage), 2, loss_micronats=5)
    good = stage.refutation(1)
    chain, run = critic(stage), stage.run
    tip = docket.tip(good.pending)
    refused("PendingMismatch", lambda: chain.send(replace(good, pending=good.pending[:1])), tip)
    refused("NotPending", lambda: chain.send(replace(good, place=0)), run, 2)
    refused("NotPending", lambda: chain.send(replace(good, place=2)), run, 2)
    stated = good.pending[0].outcome.standings_hash  # not what is final
    refused("StandingsMismatch", lambda: chain.send(replace(good, roster=bytes(24), standings=())), stated)
    bare = replace(good.record, revealed=0b11)
    refused("RecordMismatch", lambda: chain.send(replace(good, record=bare)), run, 2, good.record.hash())
    few = Evidence(reports=good.evidence.reports[:2])
    refused("ReportCount", lambda: chain.send(replace(good, evidence=few)), 3, 2)
    params = replace(stage.params, max_rounds=3)
    refused("ParamsMismatch", lambda: chain.send(replace(good, params=params)))
    chain.send(good)


def test_a_refutation_is_possible_until_it_is_final_however_late(stage: Stage) -> None:
    proposing(stage)
    stage.propose(proposer(stage), 1, weakest=0)
    stage.until(stage.ledger().pending[0].final_s + 10_000)
    critic(stage).send(stage.refutation(0))
    assert stage.ledger().pending == []


def test_whoever_refutes_its_own_loses_all_the_same(stage: Stage) -> None:
    proposing(stage)
    stage.propose(proposer(stage), 1, weakest=0)
    proposer(stage).send(stage.refutation(0))
    assert free_wei(stage, proposer(stage)) == (3 * BOND_WEI + REWARD_WEI, 0)


def test_an_outcome_beyond_the_deposit_cannot_become_final(stage: Stage) -> None:
    proposing(stage)
    stage.propose(proposer(stage), 1, total_wei=BUDGET_WEI + 1)
    stage.until(stage.ledger().pending[0].final_s)
    refused("Insolvent", lambda: stage.sponsor.send(stage.finalisation()), BUDGET_WEI + 1, BUDGET_WEI)
    critic(stage).send(stage.refutation(0))


def test_an_outcome_that_takes_back_cannot_become_final(stage: Stage) -> None:
    proposing(stage, rounds=2)
    stage.propose(proposer(stage), 1)
    stage.finalise()
    total_wei = stage.ledger().total_wei
    stage.propose(proposer(stage), 2, total_wei=total_wei - 1)
    stage.until(stage.ledger().pending[0].final_s)
    refused("TotalShrank", lambda: stage.sponsor.send(stage.finalisation()), total_wei, total_wei - 1)


# Challenges


def test_a_challenge_gains_time_and_is_lost_when_it_was_wrong(stage: Stage) -> None:
    proposing(stage)
    stage.propose(proposer(stage), 1)
    final_s = stage.ledger().pending[0].final_s
    stage.until(final_s - 100)
    receipt = critic(stage).send(Challenge(run=stage.run, round=1))
    [challenged] = receipt.events
    assert isinstance(challenged, Challenged)
    assert (challenged.round, challenged.challenger) == (1, critic(stage).account)
    assert final_s < challenged.until_s <= stage.sponsor.now_s() + stage.params.extension_s
    assert stage.sponsor.challenge_of(stage.run) == (critic(stage).account, 1, challenged.until_s)
    assert free_wei(stage, critic(stage)) == (4 * BOND_WEI, BOND_WEI)
    again = stage.world.connect(72)
    stage.bond(again)
    refused("AlreadyChallenged", lambda: again.send(Challenge(run=stage.run, round=1)), stage.run, 1)

    stage.until(final_s)
    refused("NotFinal", lambda: stage.sponsor.send(stage.finalisation()), 1, challenged.until_s)
    stage.until(challenged.until_s)
    receipt = stage.sponsor.send(stage.finalisation())
    assert [type(event) for event in receipt.events] == [Settled, Forfeited]
    forfeited = receipt.events[1]
    assert isinstance(forfeited, Forfeited)
    assert (forfeited.account, forfeited.beneficiary) == (critic(stage).account, proposer(stage).account)
    assert free_wei(stage, critic(stage)) == (3 * BOND_WEI, 0)
    assert free_wei(stage, proposer(stage)) == (4 * BOND_WEI + REWARD_WEI, 0)
    assert stage.sponsor.challenge_of(stage.run) is None
    assert stage.ledger().challenge is None


def test_an_early_challenge_does_not_shorten_the_window(stage: Stage) -> None:
    proposing(stage)
    stage.propose(proposer(stage), 1)
    critic(stage).send(Challenge(run=stage.run, round=1))
    challenge = stage.sponsor.challenge_of(stage.run)
    assert challenge is not None
    final_s = stage.ledger().pending[0].final_s
    assert challenge.until_s < final_s
    stage.until(challenge.until_s + 1)
    refused("NotFinal", lambda: stage.sponsor.send(stage.finalisation()), 1, final_s)


def test_the_reward_is_the_challengers_whoever_refutes(stage: Stage) -> None:
    proposing(stage)
    stage.propose(proposer(stage), 1, weakest=0)
    critic(stage).send(Challenge(run=stage.run, round=1))
    copier = stage.world.connect(72)
    receipt = copier.send(stage.refutation(0))
    refuted = receipt.events[0]
    assert isinstance(refuted, Refuted) and refuted.challenger == critic(stage).account
    assert free_wei(stage, critic(stage)) == (4 * BOND_WEI + REWARD_WEI, 0)
    assert free_wei(stage, copier) == (0, 0)
    assert stage.sponsor.challenge_of(stage.run) is None


def test_a_lapsed_challenge_earns_nothing(stage: Stage) -> None:
    proposing(stage)
    stage.propose(proposer(stage), 1, weakest=0)
    critic(stage).send(Challenge(run=stage.run, round=1))
    challenge = stage.sponsor.challenge_of(stage.run)
    assert challenge is not None
    stage.until(challenge.until_s)
    other = stage.world.connect(72)
    receipt = other.send(stage.refutation(0))
    refuted = receipt.events[0]
    assert isinstance(refuted, Refuted) and refuted.challenger == other.account
    assert free_wei(stage, critic(stage)) == (4 * BOND_WEI, 0)  # it was right: not lost either


def test_a_challenge_of_a_later_round_is_released(stage: Stage) -> None:
    proposing(stage, rounds=2)
    stage.propose(proposer(stage), 1, weakest=0)
    stage.propose(proposer(stage), 2)
    critic(stage).send(Challenge(run=stage.run, round=2))
    other = stage.world.connect(72)
    receipt = other.send(stage.refutation(0))
    refuted = receipt.events[0]
    assert isinstance(refuted, Refuted) and refuted.challenger == other.account
    assert free_wei(stage, critic(stage)) == (4 * BOND_WEI, 0)
    assert stage.sponsor.challenge_of(stage.run) is None
    assert stage.ledger().challenge is None


def test_a_challenge_of_an_earlier_round_stays(stage: Stage) -> None:
    proposing(stage, rounds=2)
    stage.propose(proposer(stage), 1)
    stage.propose(proposer(stage), 2, weakest=0)
    critic(stage).send(Challenge(run=stage.run, round=1))
    stage.world.connect(72).send(stage.refutation(1))
    challenge = stage.sponsor.challenge_of(stage.run)
    assert challenge is not None and challenge.round == 1
    assert stage.ledger().challenge is not None


def test_a_challenge_of_a_later_round_outlives_a_settlement(stage: Stage) -> None:
    proposing(stage, rounds=2)
    stage.propose(proposer(stage), 1)
    stage.propose(proposer(stage), 2)
    critic(stage).send(Challenge(run=stage.run, round=2))
    stage.finalise()
    challenge = stage.sponsor.challenge_of(stage.run)
    assert challenge is not None and challenge.round == 2
    stage.until(challenge.until_s)
    stage.finalise()
    assert stage.sponsor.challenge_of(stage.run) is None


def test_what_may_be_challenged(stage: Stage) -> None:
    proposing(stage, rounds=2)
    chain, run = critic(stage), stage.run
    refused("NotPending", lambda: chain.send(Challenge(run=run, round=1)), run, 1)
    stage.propose(proposer(stage), 1)
    refused("NotPending", lambda: chain.send(Challenge(run=run, round=2)), run, 2)
    refused("NotPending", lambda: chain.send(Challenge(run=run, round=0)), run, 0)
    poor = stage.world.connect(72)
    refused("BondTooSmall", lambda: poor.send(Challenge(run=run, round=1)), run, poor.account, 0, BOND_WEI)
    stage.finalise()
    refused("NotPending", lambda: chain.send(Challenge(run=run, round=1)), run, 1)


# Bonds


def test_bonds_go_in_and_out(stage: Stage) -> None:
    proposing(stage, rounds=1)
    chain = stage.world.connect(73)
    token = stage.world.token
    before_wei = chain.token_balance_wei(token, chain.account)
    [bonded] = stage.bond(chain, 3).events
    assert isinstance(bonded, Bonded) and (bonded.account, bonded.amount_wei) == (chain.account, 3 * BOND_WEI)
    stage.propose(chain, 1)
    refused(
        "BondTooSmall",
        lambda: chain.send(Unbond(run=stage.run, amount_wei=2 * BOND_WEI + 1)),
        stage.run,
        chain.account,
        2 * BOND_WEI,
        2 * BOND_WEI + 1,
    )
    [unbonded] = chain.send(Unbond(run=stage.run, amount_wei=2 * BOND_WEI)).events
    assert isinstance(unbonded, Unbonded) and unbonded.amount_wei == 2 * BOND_WEI
    stage.finalise()
    chain.send(Unbond(run=stage.run, amount_wei=BOND_WEI))
    assert chain.token_balance_wei(token, chain.account) == before_wei
    assert stage.ledger().bonds_wei[chain.account] == 0


def test_lost_bonds_are_burned_and_pooled(stage: Stage) -> None:
    proposing(stage)
    stage.sponsor.send(Burn(run=stage.run))  # what seats cost
    refused("NothingToPool", lambda: stage.sponsor.send(Pool(run=stage.run)), stage.run)
    stage.propose(proposer(stage), 1, weakest=0)
    critic(stage).send(stage.refutation(0))
    token, stakes, runs = stage.world.token, stage.sponsor.stakes_address, stage.sponsor.runs_address
    before = [stage.sponsor.token_balance_wei(token, owner) for owner in (stakes, runs)]
    receipt = stage.sponsor.send(Pool(run=stage.run))
    pooled, funded = receipt.events
    assert isinstance(pooled, Pooled) and isinstance(funded, Funded)
    assert (pooled.amount_wei, funded.amount_wei, funded.funder) == (POOL_WEI, POOL_WEI, stakes)
    assert stage.sponsor.escrow(stage.run).deposited_wei == BUDGET_WEI + POOL_WEI == stage.ledger().deposited_wei
    refused("NothingToPool", lambda: stage.sponsor.send(Pool(run=stage.run)), stage.run)
    stage.sponsor.send(Burn(run=stage.run))
    after = [stage.sponsor.token_balance_wei(token, owner) for owner in (stakes, runs)]
    assert after == [before[0] - POOL_WEI - BURN_WEI, before[1] + POOL_WEI]
    stage.propose(proposer(stage), 1)  # the round's record says what was deposited then
    stage.finalise()


def test_after_the_end_the_pool_burns(stage: Stage) -> None:
    proposing(stage, max_rounds=1)
    assert stage.phase is Phase.ENDED
    stage.propose(proposer(stage), 1, weakest=0)
    critic(stage).send(stage.refutation(0))
    [pooled] = stage.sponsor.send(Pool(run=stage.run)).events
    assert isinstance(pooled, Pooled) and pooled.amount_wei == POOL_WEI
    assert stage.sponsor.escrow(stage.run).deposited_wei == BUDGET_WEI


# Effects


def test_slashes_and_ejections_come_with_the_settlement(stage: Stage) -> None:
    stage.open(slash_bps=6_000, min_verifiers=4, **PROPOSING).enrol(verifiers=4)
    reports = {v: stage.report(v, word=FAR if v == 3 else 0) for v in range(4)}
    stage.speak(reports, everybody=(0, 1, 2, 3))
    liar = stage.verifiers[3]
    assert stage.ledger().round.stakes_wei[3] == STAKE_WEI[Role.VERIFIER]
    stage.bond(proposer(stage))
    stage.propose(proposer(stage), 1)
    receipt = stage.finalise()
    assert [type(event) for event in receipt.events] == [Settled, Slashed, Retired]
    assert stage.sponsor.stakes_wei(stage.run, [liar.account]) == [STAKE_WEI[Role.VERIFIER] * 4 // 10]
    stage.poke()
    assert stage.ledger().round.stakes_wei[3] == 0


def test_a_target_reached_ends_the_run_when_it_is_final(stage: Stage) -> None:
    proposing(stage, rounds=2, target_loss_micronats=1_000_001)
    stage.propose(proposer(stage), 1)
    stage.propose(proposer(stage), 2)
    assert stage.phase is Phase.TRAIN
    receipt = stage.finalise()
    assert [type(event) for event in receipt.events] == [Settled, PhaseOpened]
    assert stage.phase is Phase.ENDED
    receipt = stage.finalise()
    assert [type(event) for event in receipt.events] == [Settled]
    assert stage.sponsor.caught_up(stage.run)
    stage.sponsor.send(Refund(run=stage.run))


def test_seats_given_again_between_rounds(stage: Stage) -> None:
    proposing(stage, max_trainers=3)
    old = stage.trainers[1]
    old.send(Exit(run=stage.run))
    stage.poke()
    stage.join(Role.TRAINER, index=1)
    stage.poke()
    stage.speak()
    for number in (1, 4):
        stage.propose(proposer(stage), number) if number == 1 else None
    ledger = stage.ledger()
    recorded = [round_.number for round_ in ledger.unsettled()]
    assert recorded == [1, 4]
    stage.propose(proposer(stage), 4)
    stage.finalise()
    owed_wei = stage.ledger().final.trainers[1].paid_wei
    assert stage.sponsor.left_wei(stage.run, old.account) == 0 < owed_wei
    stage.finalise()
    assert stage.sponsor.left_wei(stage.run, old.account) == owed_wei
    assert stage.ledger().final == stage.ledger().books
    assert stage.sponsor.standings_hash(stage.run) == stage.ledger().books.standings_hash


def test_money_waits_until_everything_is_settled(stage: Stage) -> None:
    proposing(stage, max_rounds=1)
    assert stage.phase is Phase.ENDED
    trainer, verifier = stage.trainers[0], stage.verifiers[0]
    refused("NotSettled", lambda: stage.sponsor.send(Refund(run=stage.run)), stage.run)
    refused("NotExiting", lambda: trainer.send(Withdraw(run=stage.run)), stage.run, trainer.account)
    verifier.send(Exit(run=stage.run))
    refused("StillLocked", lambda: verifier.send(Withdraw(run=stage.run)))
    stage.propose(proposer(stage), 1)
    stage.world.advance(stage.params.exit_s)
    # Its round could still be settled, and its stake slashed: whoever wants out sees to it that it is final.
    refused("NotFinalYet", lambda: verifier.send(Withdraw(run=stage.run)), stage.run, 1, 0)
    refused("NotExiting", lambda: trainer.send(Withdraw(run=stage.run)), stage.run, trainer.account)
    stage.finalise()
    verifier.send(Withdraw(run=stage.run))
    trainer.send(Withdraw(run=stage.run))
    stage.sponsor.send(Refund(run=stage.run))
    assert stage.sponsor.escrow(stage.run).refunded_wei == BUDGET_WEI - stage.ledger().total_wei


# Slices


def sliced(stage: Stage, round_: int = 1) -> tuple[Hear, Evidence]:
    """The round's first slice, and the evidence that it becomes; by hand, for rounds of one slice."""
    found = stage.ledger().rounds[round_ - 1]
    record, execution = found.record, found.execution
    assert record is not None and execution is not None
    consensus = execution.settlement.consensus
    at = Report.size(stage.params.words, 0)
    said = [found.reveals[v].report for v in sorted(found.reveals)]
    call = Hear(
        run=stage.run,
        params=stage.params,
        record=record,
        heads=tuple(report[:at] + keccak256(report[at:]) for report in said),
        chunk=0,
        rows_of=tuple(report[at:] for report in said),
    )
    if consensus is None:
        return call, Evidence(heads=call.heads)
    sums = []
    for v in range(record.verifiers):
        report = found.reports(stage.params.words)[v]
        gains = [(a.gain_micronats, b.gain_micronats) for a, b in zip(report.rows, consensus.rows)] if report else []  # noqa: B905
        inside = v in consensus.cluster
        sums.append((sum(map(min, gains)) << 128 | sum(map(max, gains))) if inside else 0)
    rows = b"".join(row.pack() for row in consensus.rows)
    return call, Evidence(heads=call.heads, rows=(rows,), sums=(tuple(sums),))


def test_a_refutation_in_slices(stage: Stage) -> None:
    stage.open(min_verifiers=4, **PROPOSING).enrol(verifiers=4)
    reports = {v: stage.report(v, gains=[10 + v, 20, 30 - v], word=FAR if v == 2 else 0) for v in range(4)}
    stage.speak(reports, everybody=(0, 1, 2, 3))
    stage.bond(proposer(stage))
    stage.propose(proposer(stage), 1, weakest=0)
    call, evidence = sliced(stage)
    refutation = replace(stage.refutation(0), evidence=evidence)
    rows, sums = evidence.rows[0], evidence.sums[0]
    assert sums[2] == 0 < sums[0] and len(sums) == 4
    chain, run = critic(stage), stage.run
    heard = slice_hash(rows, sums)
    refused("SliceMismatch", lambda: chain.send(refutation), 0, bytes(32), heard)
    assert not chain.is_heard(run, call.record, 0, rows, sums)

    refused("NoSuchSlice", lambda: chain.send(replace(call, chunk=1)), run, 1, 1)
    refused("ReportCount", lambda: chain.send(replace(call, rows_of=call.rows_of[:2])), 4, 2)
    refused("ReportCount", lambda: chain.send(replace(call, heads=call.heads[:2])), 4, 2)
    bent = (call.rows_of[0], call.rows_of[1][:-1] + b"\0", *call.rows_of[2:])
    refused("ReportMismatch", lambda: chain.send(replace(call, rows_of=bent)), 1, call.heads[1][-32:])
    other = (call.heads[1], call.heads[0], *call.heads[2:])
    refused("ReportMismatch", lambda: chain.send(replace(call, heads=other)), 0, call.record.reports[0])
    far = (*call.rows_of[:2], b"", call.rows_of[3])  # outside the cluster: need not be brought
    chain.send(replace(call, rows_of=far))
    assert chain.is_heard(run, call.record, 0, rows, sums)
    assert not chain.is_heard(run, call.record, 0, rows, (sums[0] + 1, *sums[1:]))
    assert not chain.is_heard(run, call.record, 1, rows, sums)

    none = replace(evidence, rows=(), sums=())
    refused("SliceCount", lambda: chain.send(replace(refutation, evidence=none)), 1, 0)
    lies = replace(evidence, sums=((sums[0] + 1, *sums[1:]),))
    refused("SliceMismatch", lambda: chain.send(replace(refutation, evidence=lies)), 0, heard)
    better = Row.unpack(rows[:9])
    lies = replace(evidence, rows=(replace(better, common_gain_micronats=99).pack() + rows[9:],))
    refused("SliceMismatch", lambda: chain.send(replace(refutation, evidence=lies)), 0, heard)
    chain.send(refutation)
    assert stage.ledger().pending == []

    stage.bond(proposer(stage))
    stage.propose(proposer(stage), 1)
    honest = replace(stage.refutation(0), evidence=evidence)
    refused("NotRefuted", lambda: chain.send(honest), run, 1)


def test_a_round_without_quorum_needs_no_slices(stage: Stage) -> None:
    stage.open(**PROPOSING).enrol()
    reports = {v: stage.report(v, word=FAR << 64 * v) for v in range(3)}
    stage.speak(reports)
    stage.bond(proposer(stage), 2)
    stage.propose(proposer(stage), 1, cluster_mask=0b111)
    call, evidence = sliced(stage)
    refused("NoSuchSlice", lambda: critic(stage).send(call), stage.run, 1, 0)
    critic(stage).send(replace(stage.refutation(0), evidence=evidence))
    stage.propose(proposer(stage), 1)
    refused("NotRefuted", lambda: critic(stage).send(replace(stage.refutation(0), evidence=evidence)), stage.run, 1)


def test_unknown_runs(world: World) -> None:
    chain = world.connect(0)
    nowhere = chain.run_count() + 1_000
    refused("NothingToPool", lambda: chain.sign(Pool(run=nowhere)), nowhere)
    refused("UnknownRun", lambda: chain.price_wei(nowhere), nowhere)
