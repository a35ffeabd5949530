"""One suite for both chains: the twin in memory and the contracts on a real Anvil. What holds here, holds on either."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace

import pytest

from gradmint.ports.chain import (
    Bond,
    Burn,
    Cancel,
    Claim,
    ClaimMany,
    Close,
    Exit,
    Fund,
    Hold,
    Join,
    Open,
    Poke,
    Refund,
    Reveal,
    Settle,
    Submit,
    Withdraw,
)
from gradmint.spec.docket import Books
from gradmint.spec.errors import MalformedParams, NotAToken, Unfunded
from gradmint.spec.events import Exiting, PhaseOpened, Retired, Settled, Slashed, Voided
from gradmint.spec.keccak import keccak256
from gradmint.spec.tree import Proof
from gradmint.spec.types import Phase, Role

from .harness import BUDGET_WEI, ETHER_WEI, FAR, GREY, PRICE_WEI, STAKE_WEI, Stage, World, refused

# Whole lives of runs


def test_a_full_round_pays_everybody_what_the_mechanism_says(stage: Stage) -> None:
    stage.open().enrol()
    receipt = stage.play()
    ledger = stage.ledger()
    settled = next(event for event in receipt.events if isinstance(event, Settled))
    expected = ledger.rounds[0].settlement
    outcome = settled.outcome
    assert expected is not None and expected.paid_wei == outcome.total_wei > 0
    assert ledger.rounds[0].execution is not None and outcome == ledger.rounds[0].execution.outcome
    assert outcome.cluster_mask == 0b111
    assert outcome.loss_micronats == 1_000_001
    assert outcome.standings_hash == stage.sponsor.standings_hash(stage.run) == ledger.final.standings_hash
    assert stage.sponsor.caught_up(stage.run)

    escrow = stage.sponsor.escrow(stage.run)
    assert (escrow.root, escrow.total_wei) == (outcome.root, outcome.total_wei)
    assert (escrow.sponsor, escrow.token, escrow.refunded_wei) == (stage.sponsor.account, stage.world.token, 0)
    assert escrow.params_hash == keccak256(stage.params.encode())
    assert escrow.deposited_wei == BUDGET_WEI
    assert ledger.round.number == 2 and ledger.phase is Phase.TRAIN
    assert stage.phase is Phase.TRAIN


def test_several_rounds_and_the_end(stage: Stage) -> None:
    stage.open(max_rounds=2).enrol()
    stage.play()
    stage.play()
    clock = stage.sponsor.clock(stage.run)
    assert (clock.phase, clock.deadline_s, clock.round) == (Phase.ENDED, 0, 2)

    token, runs = stage.world.token, stage.sponsor.runs_address
    ledger = stage.ledger()
    held_wei = stage.sponsor.token_balance_wei(token, runs)
    for position, standing in enumerate(ledger.all_standings()):
        before_wei = stage.sponsor.token_balance_wei(token, standing.account)
        if standing.paid_wei == 0:
            refused("NothingToClaim", lambda position=position: stage.sponsor.send(stage.claim(position)))  # type: ignore[misc]
            continue
        stage.sponsor.send(stage.claim(position))
        assert stage.sponsor.token_balance_wei(token, standing.account) == before_wei + standing.paid_wei
        assert stage.sponsor.claimed_wei(stage.run, standing.account) == standing.paid_wei
    before_wei = stage.sponsor.token_balance_wei(token, stage.sponsor.account)
    stage.trainers[0].send(Refund(run=stage.run))
    rest_wei = BUDGET_WEI - ledger.total_wei
    assert stage.sponsor.token_balance_wei(token, stage.sponsor.account) == before_wei + rest_wei
    assert stage.sponsor.escrow(stage.run).refunded_wei == rest_wei
    assert stage.sponsor.token_balance_wei(token, runs) == held_wei - BUDGET_WEI
    refused("AlreadyRefunded", lambda: stage.sponsor.send(Refund(run=stage.run)), stage.run)
    for chain in (*stage.trainers, *stage.verifiers):
        chain.send(Withdraw(run=stage.run))  # at once: the run has ended
    assert stage.sponsor.stakes_wei(stage.run, [chain.account for chain in stage.trainers]) == [0, 0, 0]


def test_claims_are_cumulative(stage: Stage) -> None:
    stage.open().enrol()
    stage.play()
    first = stage.claim(0)
    stage.sponsor.send(first)
    refused("NothingToClaim", lambda: stage.sponsor.send(first), stage.run, first.account)
    stage.play()
    second = stage.claim(0)
    stage.sponsor.send(second)
    assert stage.sponsor.claimed_wei(stage.run, first.account) == second.paid_wei > first.paid_wei
    refused("SealMismatch", lambda: stage.sponsor.send(first))


def test_a_target_reached_ends_the_run(stage: Stage) -> None:
    stage.open(target_loss_micronats=1_000_001).enrol()
    stage.play()
    assert stage.phase is Phase.ENDED


def test_a_target_missed_by_one_does_not(stage: Stage) -> None:
    stage.open(target_loss_micronats=1_000_000).enrol()
    stage.play()
    assert stage.phase is Phase.TRAIN


def test_phases_end_early_only_when_everybody_awaited_acted(stage: Stage) -> None:
    stage.open().enrol()
    stage.submit(0, 1)
    refused("StillAwaited", stage.close, 2)
    stage.submit(2)
    stage.close()
    stage.hold(0, 1)
    assert stage.phase is Phase.HOLD
    stage.hold(2)
    assert stage.phase is Phase.COMMIT


def test_deadlines_move_a_run_on_with_whoever_acted(stage: Stage) -> None:
    stage.open().enrol()
    stage.submit(0)
    stage.poke()
    assert stage.phase is Phase.HOLD
    stage.hold(0, 1)
    stage.poke()
    reports = {v: stage.report(v, gains=[10, 0, 0]) for v in (0, 1)}
    stage.commit(reports)
    stage.poke()
    stage.reveal(reports)  # only who committed is awaited
    assert stage.phase is Phase.SETTLE
    # Two of three equal stakes are no more than two thirds.
    settled = next(event for event in stage.settle().events if isinstance(event, Settled))
    assert settled.outcome.cluster_mask == 0 and settled.outcome.total_wei == 0
    assert stage.ledger().round.number == 2


@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.HOLD, Phase.COMMIT, Phase.REVEAL, Phase.SETTLE])
def test_a_phase_without_acts_voids_the_round(stage: Stage, phase: Phase) -> None:
    stage.open().enrol()
    reports = {v: b"" for v in range(3)}
    if phase > Phase.TRAIN:
        stage.submit(0, 1, 2)
        stage.close()
        reports = {v: stage.report(v) for v in range(3)}
    if phase > Phase.HOLD:
        stage.hold(0, 1, 2)
    if phase > Phase.COMMIT:
        stage.commit(reports)
    if phase > Phase.REVEAL:
        stage.reveal(reports)
    assert stage.phase is phase
    receipt = stage.poke()
    assert [type(event) for event in receipt.events] == [Voided, PhaseOpened]
    voided = receipt.events[0]
    assert isinstance(voided, Voided) and (voided.round, voided.phase) == (1, phase)
    clock = stage.sponsor.clock(stage.run)
    assert (clock.round, clock.phase) == (2, Phase.TRAIN)
    stage.ledger()


def test_the_last_round_void_ends_the_run(stage: Stage) -> None:
    stage.open(max_rounds=1).enrol()
    stage.poke()
    assert stage.phase is Phase.ENDED
    assert stage.ledger().phase is Phase.ENDED


def test_who_misses_two_phases_is_no_longer_awaited_until_it_acts(stage: Stage) -> None:
    stage.open(min_verifiers=4).enrol(verifiers=4)
    stage.submit(0, 1, 2)
    stage.close()
    stage.hold(0, 1, 2)
    assert stage.phase is Phase.HOLD  # the fourth is awaited
    stage.poke()
    reports = {v: stage.report(v) for v in range(3)}
    stage.commit(reports)
    assert stage.phase is Phase.COMMIT  # still
    stage.poke()
    stage.reveal(reports)
    stage.settle()
    ledger = stage.ledger()
    assert ledger.rounds[0].settlement is not None and ledger.rounds[0].settlement.slashed_wei[3] > 0
    stage.submit(0, 1, 2)
    stage.close()
    stage.hold(0, 1, 2)
    assert stage.phase is Phase.COMMIT  # no longer
    stage.commit({3: stage.report(3)} | {v: stage.report(v) for v in range(3)})
    reports = {v: stage.report(v) for v in range(4)}
    stage.reveal({v: reports[v] for v in range(3)})
    assert stage.phase is Phase.REVEAL  # it acted, so it is awaited again
    stage.reveal({3: reports[3]})
    assert stage.phase is Phase.SETTLE


def test_trainers_who_miss_two_settled_rounds_are_no_longer_awaited(stage: Stage) -> None:
    stage.open().enrol()
    for _ in range(2):
        stage.submit(0, 1)
        refused("StillAwaited", stage.close, 2)
        stage.poke()
        stage.hold(0, 1, 2)
        reports = {v: stage.report(v, gains=[10, 20, 0]) for v in range(3)}
        stage.commit(reports)
        stage.reveal(reports)
        stage.settle()
    stage.submit(0, 1)
    stage.close()
    assert stage.phase is Phase.HOLD


def test_nobody_awaited_keeps_submissions_open(stage: Stage) -> None:
    stage.open(min_trainers=1).enrol(trainers=1)
    stage.trainers[0].send(Exit(run=stage.run))
    refused("NobodyAwaited", lambda: stage.sponsor.send(Close(run=stage.run, submissions=())), stage.run)


def test_joining_mid_run_counts_from_the_next_round(stage: Stage) -> None:
    stage.open().enrol()
    stage.submit(0)
    stage.join(Role.TRAINER)
    stage.join(Role.VERIFIER, stake_wei=300 * ETHER_WEI)
    refused("NotYet", lambda: stage.submit(3), 2, 1)
    stage.submit(1, 2)
    stage.close()
    refused("NotOnCommittee", lambda: stage.hold(3), stage.run, 3)
    stage.hold(0, 1, 2)
    reports = {v: stage.report(v) for v in range(3)}
    stage.commit(reports)
    stage.reveal(reports)
    stage.settle()
    ledger = stage.ledger()
    assert (ledger.round.trainers, ledger.round.verifiers) == (4, 4)
    stage.play(everybody=(0, 1, 2, 3))
    leaves = stage.ledger().all_standings()
    assert [leaf.role for leaf in leaves] == [Role.TRAINER] * 4 + [Role.VERIFIER] * 4
    assert leaves[3].account == stage.trainers[3].account and leaves[7].paid_wei > leaves[6].paid_wei
    stage.sponsor.send(stage.claim(7))


def test_leaving(stage: Stage) -> None:
    stage.open().enrol()
    trainer, verifier = stage.trainers[2], stage.verifiers[2]
    refused("NotExiting", lambda: trainer.send(Withdraw(run=stage.run)), stage.run, trainer.account)
    receipt = trainer.send(Exit(run=stage.run))
    exiting = receipt.events[0]
    assert isinstance(exiting, Exiting) and isinstance(receipt.events[1], Retired)
    verifier.send(Exit(run=stage.run))
    refused("AlreadyExiting", lambda: trainer.send(Exit(run=stage.run)), stage.run, trainer.account)
    refused("NotSeated", lambda: stage.submit(2), stage.run, trainer.account, Role.TRAINER)
    refused("StillLocked", lambda: trainer.send(Withdraw(run=stage.run)), exiting.withdrawable_s)
    again = stage.seat(Role.TRAINER)
    refused("AlreadySeated", lambda: trainer.send(again), stage.run, trainer.account)

    before_wei = trainer.token_balance_wei(stage.world.token, trainer.account)
    stage.world.advance(stage.params.exit_s + 1)
    trainer.send(Withdraw(run=stage.run))
    assert trainer.token_balance_wei(stage.world.token, trainer.account) == before_wei + STAKE_WEI[Role.TRAINER]
    refused("NoStake", lambda: trainer.send(Withdraw(run=stage.run)), stage.run, trainer.account)
    refused("StillOnDuty", lambda: verifier.send(Withdraw(run=stage.run)), stage.run, verifier.account)
    stage.sponsor.send(Poke(run=stage.run))  # round 1 is void, round 2 has another committee
    verifier.send(Withdraw(run=stage.run))
    assert stage.ledger().round.stakes_wei[2] == 0


def test_a_far_off_report_is_slashed_and_its_verifier_ejected(stage: Stage) -> None:
    stage.open(slash_bps=6_000, min_verifiers=4).enrol(verifiers=4)
    stage.sponsor.send(Burn(run=stage.run))  # what seats cost
    reports = {v: stage.report(v) for v in range(3)} | {3: stage.report(3, word=FAR)}
    receipt = stage.play(reports, everybody=(0, 1, 2, 3))
    assert [type(event) for event in receipt.events] == [Settled, Slashed, Retired, PhaseOpened]
    slashed = receipt.events[1]
    liar = stage.verifiers[3]
    taken_wei = STAKE_WEI[Role.VERIFIER] * 6 // 10
    assert isinstance(slashed, Slashed) and (slashed.account, slashed.amount_wei) == (liar.account, taken_wei)
    assert stage.sponsor.stakes_wei(stage.run, [liar.account]) == [STAKE_WEI[Role.VERIFIER] - taken_wei]
    assert stage.ledger().round.stakes_wei[3] == 0

    held_wei = stage.sponsor.token_balance_wei(stage.world.token, stage.sponsor.stakes_address)
    stage.sponsor.send(Burn(run=stage.run))
    after_wei = stage.sponsor.token_balance_wei(stage.world.token, stage.sponsor.stakes_address)
    assert after_wei == held_wei - taken_wei
    refused("NothingToBurn", lambda: stage.sponsor.send(Burn(run=stage.run)), stage.run)
    stage.ledger()


def test_a_grey_report_is_neither_paid_nor_slashed(stage: Stage) -> None:
    stage.open(min_verifiers=4).enrol(verifiers=4)
    reports = {v: stage.report(v) for v in range(3)} | {3: stage.report(3, word=GREY)}
    stage.play(reports, everybody=(0, 1, 2, 3))
    leaves = stage.ledger().all_standings()
    assert leaves[6].paid_wei == 0 < leaves[5].paid_wei
    assert stage.sponsor.stakes_wei(stage.run, [stage.verifiers[3].account]) == [STAKE_WEI[Role.VERIFIER]]


def test_funding_and_cancelling(stage: Stage) -> None:
    stage.open(budget_wei=0)
    stage.world.connect(1).send(Fund(run=stage.run, amount_wei=5 * ETHER_WEI))
    assert stage.sponsor.escrow(stage.run).deposited_wei == 5 * ETHER_WEI
    stage.join(Role.TRAINER)
    refused("OnlySponsor", lambda: stage.trainers[0].send(Cancel(run=stage.run)))
    refused("RunNotEnded", lambda: stage.sponsor.send(Refund(run=stage.run)), stage.run)
    stage.sponsor.send(Cancel(run=stage.run))
    assert stage.phase is Phase.ENDED
    stage.trainers[0].send(Withdraw(run=stage.run))
    stage.sponsor.send(Refund(run=stage.run))
    refused("RunEnded", lambda: stage.sponsor.send(Fund(run=stage.run, amount_wei=1)), stage.run)
    join = stage.seat(Role.VERIFIER)
    refused("WrongPhase", lambda: stage.world.connect(101).send(join), stage.run, Phase.ENROL, Phase.ENDED)
    ledger = stage.ledger()
    assert ledger.phase is Phase.ENDED and ledger.refunded_wei == 5 * ETHER_WEI


def test_a_started_run_cannot_be_cancelled(stage: Stage) -> None:
    stage.open().enrol()
    refused("WrongPhase", lambda: stage.sponsor.send(Cancel(run=stage.run)), stage.run, Phase.ENROL, Phase.TRAIN)


# Refusals


def test_unknown_runs(world: World) -> None:
    chain = world.connect(0)
    nowhere = chain.run_count() + 1_000
    for call in (
        Fund(run=nowhere, amount_wei=1),
        Join(run=nowhere, role=Role.TRAINER, stake_wei=1, max_price_wei=1),
        Exit(run=nowhere),
        Refund(run=nowhere),
        Cancel(run=nowhere),
    ):
        refused("UnknownRun", lambda call=call: chain.sign(call), nowhere)  # type: ignore[misc]
    refused("NoStake", lambda: chain.sign(Withdraw(run=nowhere)), nowhere)
    refused("NothingToBurn", lambda: chain.sign(Burn(run=nowhere)), nowhere)
    refused("WrongPhase", lambda: chain.sign(Poke(run=nowhere)), nowhere, Phase.TRAIN, Phase.ENROL)
    submit = Submit(run=nowhere, digest=bytes(32), claimed_gain_micronats=0)
    refused("WrongPhase", lambda: chain.sign(submit), nowhere, Phase.TRAIN, Phase.ENROL)
    refused("UnknownRun", lambda: chain.escrow(nowhere), nowhere)
    assert chain.clock(nowhere).phase is Phase.ENROL
    assert chain.events(nowhere) == []


def test_enrolment_refusals(stage: Stage) -> None:
    stage.open(max_trainers=3)
    chain = stage.world.connect(50)
    low = stage.seat(Role.VERIFIER, STAKE_WEI[Role.VERIFIER] - 1)
    refused("StakeTooSmall", lambda: chain.send(low), STAKE_WEI[Role.VERIFIER] - 1, STAKE_WEI[Role.VERIFIER])
    refused("NoStake", lambda: chain.send(Exit(run=stage.run)), stage.run, chain.account)
    refused("WrongPhase", lambda: chain.send(Poke(run=stage.run)), stage.run, Phase.TRAIN, Phase.ENROL)
    stage.enrol(trainers=3, verifiers=0)
    full = stage.seat(Role.TRAINER)
    refused("Full", lambda: chain.send(full), stage.run, Role.TRAINER, 3)
    stage.join(Role.VERIFIER)
    hold = Hold(run=stage.run, bitmap=b"", base=bytes(32))
    refused("WrongPhase", lambda: stage.verifiers[0].send(hold), stage.run, Phase.HOLD, Phase.ENROL)


def test_refusals_on_the_way_through_a_round(stage: Stage) -> None:
    stage.open().enrol()
    run, outsider = stage.run, stage.world.connect(50)
    submit = Submit(run=run, digest=bytes(32), claimed_gain_micronats=0)
    refused("NotSeated", lambda: outsider.send(submit), run, outsider.account, Role.TRAINER)
    refused("NotSeated", lambda: stage.verifiers[0].send(submit), run, stage.verifiers[0].account, Role.TRAINER)
    refused("NotOverdue", lambda: outsider.send(Poke(run=run)), stage.sponsor.clock(run).deadline_s)
    refused("WrongPhase", lambda: stage.hold(0), run, Phase.HOLD, Phase.TRAIN)
    stage.submit(0, 1, 2)
    said = [(s.trainer, s.claimed_gain_micronats, s.digest) for s in stage.ledger().round.submissions]
    swapped = Close(run=run, submissions=(said[1], said[0], said[2]))
    refused("TranscriptMismatch", lambda: outsider.send(swapped), stage.sponsor.clock(run).transcript)
    refused("TranscriptMismatch", lambda: outsider.send(Close(run=run, submissions=tuple(said[:2]))))
    stage.close()

    refused("WrongPhase", lambda: stage.submit(0), run, Phase.TRAIN, Phase.HOLD)
    wide = Hold(run=run, bitmap=b"\7\7", base=bytes(32))
    refused("BitmapLength", lambda: stage.verifiers[0].send(wide), 1, 2)
    seat = (run, stage.trainers[0].account, Role.VERIFIER)
    refused("NotSeated", lambda: stage.trainers[0].send(replace(wide, bitmap=b"\7")), *seat)
    stage.hold(0)
    refused("AlreadyActed", lambda: stage.hold(0), run, 0, Phase.HOLD)
    stage.hold(1, 2)

    reports = {v: stage.report(v) for v in range(3)}
    malformed = bytearray(reports[1])
    malformed[4 + 32 + 9] = 9  # row 1, verdict
    reports[1] = bytes(malformed)
    reports[2] = reports[2] + b"\0"
    stage.commit({0: reports[0]})
    refused("AlreadyActed", lambda: stage.commit({0: reports[0]}), run, 0, Phase.COMMIT)
    stage.commit({1: reports[1], 2: reports[2]})
    refused("RevealMismatch", lambda: stage.reveal({0: stage.report(1)}))
    copied = Reveal(run=run, report=reports[0], salt=b"\4" * 32)
    refused("RevealMismatch", lambda: stage.verifiers[1].send(copied))
    refused("MalformedRow", lambda: stage.reveal({1: reports[1]}), 1)
    refused("ReportLength", lambda: stage.reveal({2: reports[2]}), 4 + 32 + 27, 4 + 32 + 28)
    stage.reveal({0: reports[0]})
    refused("AlreadyActed", lambda: stage.reveal({0: reports[0]}), run, 0, Phase.REVEAL)


def test_overdue_acts_are_refused(stage: Stage) -> None:
    stage.open().enrol()
    deadline_s = stage.sponsor.clock(stage.run).deadline_s
    stage.world.advance(deadline_s - stage.sponsor.now_s())
    refused("Overdue", lambda: stage.submit(0), deadline_s)


def test_reveal_needs_a_commitment(stage: Stage) -> None:
    stage.open().enrol()
    stage.submit(0, 1, 2)
    stage.close()
    stage.hold(0, 1, 2)
    stage.commit({0: stage.report(0)})
    stage.poke()
    refused("NotCommitted", lambda: stage.reveal({1: stage.report(1)}), stage.run, 1)


def test_settlement_refusals(stage: Stage) -> None:
    stage.open().enrol()
    stage.play()
    stage.submit(0, 1, 2)
    stage.close()
    stage.hold(0, 1, 2)
    reports = {v: stage.report(v) for v in range(3)}
    stage.commit(reports)
    stage.reveal(reports)
    good = stage.settlement()

    def settle(**changes: object) -> None:
        stage.sponsor.send(replace(good, **changes))  # type: ignore[arg-type]

    other = replace(stage.params, max_rounds=3)
    expected = keccak256(stage.params.encode())
    refused("ParamsMismatch", lambda: settle(params=other), expected, keccak256(other.encode()))
    lost = keccak256(good.roster)
    refused("StandingsMismatch", lambda: settle(standings=()), stage.sponsor.standings_hash(stage.run), lost)
    richer = (replace(good.standings[0], paid_wei=good.standings[0].paid_wei + 1), *good.standings[1:])
    refused("StandingsMismatch", lambda: settle(standings=richer))
    refused("ReportMismatch", lambda: settle(reports=(good.reports[0], good.reports[2], good.reports[1])), 1)
    refused("ReportCount", lambda: settle(reports=good.reports[:2]), 3, 2)
    settle()
    refused("WrongPhase", settle, stage.run, Phase.SETTLE, Phase.TRAIN)


def test_claims_need_a_proof(stage: Stage) -> None:
    stage.open().enrol()
    early = Claim(run=stage.run, account=stage.trainers[0].account, paid_wei=1, proof=Proof(0, ()))
    refused("SealMismatch", lambda: stage.sponsor.send(early), bytes(32))
    stage.play()
    good = stage.claim(1)
    refused("SealMismatch", lambda: stage.sponsor.send(replace(good, proof=replace(good.proof, right_bits=0))))
    refused("SealMismatch", lambda: stage.sponsor.send(replace(good, paid_wei=good.paid_wei + 1)))
    beyond = replace(good.proof, right_bits=good.proof.right_bits | 1 << len(good.proof.siblings))
    refused("PathTooLong", lambda: stage.sponsor.send(replace(good, proof=beyond)), 1)
    refused("PathTooLong", lambda: stage.sponsor.send(ClaimMany(claims=(replace(good, proof=beyond),))), 1)
    stage.sponsor.send(good)


def test_money_is_missing(stage: Stage) -> None:
    stage.open()
    poor = stage.world.connect(60)
    balance_wei = poor.token_balance_wei(stage.world.token, poor.account)
    for call, what in (
        (Open(params=stage.params, token=stage.world.token, budget_wei=balance_wei + 5), "budget"),
        (Fund(run=stage.run, amount_wei=balance_wei + 5), "budget"),
        (stage.seat(Role.TRAINER, balance_wei + 5 - PRICE_WEI), "stake with its price"),
        (Bond(run=stage.run, amount_wei=balance_wei + 5), "bond"),
    ):
        with pytest.raises(
            Unfunded, match=rf"{balance_wei} wei of token .* {what} is {balance_wei + 5} wei.* 5 wei more"
        ):
            poor.sign(call)


def test_wrong_tokens_and_terms(stage: Stage) -> None:
    with pytest.raises(NotAToken, match="99" * 20):
        stage.sponsor.sign(Open(params=stage.params, token=b"\x99" * 20, budget_wei=1))
    bad = replace(stage.params, exit_s=1)
    with pytest.raises(MalformedParams, match="exit_s 1"):
        stage.sponsor.sign(Open(params=bad, token=stage.world.token, budget_wei=1))


# Signed bytes


def test_the_same_bytes_take_effect_once(stage: Stage) -> None:
    stage.open().enrol()
    chain = stage.trainers[0]
    signed = chain.sign(Submit(run=stage.run, digest=os.urandom(32), claimed_gain_micronats=1))
    assert len(stage.ledger().round.submissions) == 0
    first = chain.broadcast(signed)
    assert chain.broadcast(signed) == first
    assert stage.world.reconnect(1).broadcast(signed) == first
    assert len(stage.ledger().round.submissions) == 1


def test_bytes_survive_a_restart_of_the_client(stage: Stage) -> None:
    stage.open().enrol()
    signed = stage.trainers[0].sign(Submit(run=stage.run, digest=os.urandom(32), claimed_gain_micronats=1))
    receipt = stage.world.reconnect(1).broadcast(signed)
    assert receipt.events == tuple(stage.sponsor.events(stage.run)[-1:])
    assert stage.trainers[0].broadcast(signed) == receipt


def test_another_transaction_took_the_nonce(stage: Stage) -> None:
    stage.open().enrol()
    call = Submit(run=stage.run, digest=os.urandom(32), claimed_gain_micronats=1)
    signed = stage.world.reconnect(1).sign(call)
    stage.world.reconnect(1).send(replace(call, digest=os.urandom(32)))
    error = refused("NonceTaken", lambda: stage.trainers[0].broadcast(signed), stage.trainers[0].account)
    assert "sign the call again" in str(error)
    assert len(stage.ledger().round.submissions) == 1


def test_signatures_may_be_broadcast_in_any_order_by_several_threads(stage: Stage) -> None:
    stage.open().enrol()
    chain = stage.trainers[0]
    calls = [Submit(run=stage.run, digest=os.urandom(32), claimed_gain_micronats=n) for n in range(4)]
    signed = [chain.sign(call) for call in calls]
    assert len(set(signed)) == 4
    threads = [threading.Thread(target=chain.broadcast, args=(raw,)) for raw in reversed(signed)]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join(10)
    said = stage.ledger().round.submissions
    assert [submission.claimed_gain_micronats for submission in said] == [0, 1, 2, 3]


def test_several_threads_send_for_one_account(stage: Stage) -> None:
    stage.open().enrol()
    chain = stage.trainers[0]
    failures: list[Exception] = []

    def send(number: int) -> None:
        try:
            chain.send(Submit(run=stage.run, digest=os.urandom(32), claimed_gain_micronats=number))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not failures
    assert sorted(s.claimed_gain_micronats for s in stage.ledger().round.submissions) == list(range(8))


def test_a_call_that_is_refused_later_is_refused_with_its_reason(stage: Stage) -> None:
    """Signed while it was welcome, mined when it no longer was."""
    stage.open().enrol()
    stage.submit(0, 1, 2)
    stage.close()
    call = Hold(run=stage.run, bitmap=b"\7", base=bytes(32))
    signed = stage.verifiers[0].sign(call)
    stage.world.advance(stage.params.hold_s + 1)
    refused("Overdue", lambda: stage.verifiers[0].broadcast(signed))
    stage.sponsor.send(Poke(run=stage.run))


# Reading


def test_events_after_a_position(stage: Stage) -> None:
    stage.open().enrol()
    events = list(stage.sponsor.events(stage.run))
    assert [event.position for event in events] == sorted({event.position for event in events})
    for i, event in enumerate(events):
        assert list(stage.sponsor.events(stage.run, event.position)) == events[i + 1 :]


def test_runs_do_not_mix(stage: Stage, world: World) -> None:
    stage.open().enrol()
    other = Stage(world).open()
    other.join(Role.TRAINER)
    assert {event.run for event in stage.sponsor.events(stage.run)} == {stage.run}
    assert [type(event).__name__ for event in stage.sponsor.events(other.run)] == ["Opened", "Admitted", "Joined"]
    assert stage.sponsor.run_count() == other.run


def test_nothing_is_settled_at_first(stage: Stage) -> None:
    stage.open()
    assert stage.sponsor.standings_hash(stage.run) == Books().standings_hash
    assert stage.sponsor.escrow(stage.run).root == bytes(24)
    assert stage.sponsor.record(stage.run, 1) == (bytes(30), 0)
    assert stage.sponsor.docket(stage.run) == (0, 0, 0, bytes(24), bytes(32))
    assert stage.sponsor.challenge_of(stage.run) is None
    assert stage.sponsor.bond_of(stage.run, stage.sponsor.account) == (0, 0)
    assert stage.sponsor.price_wei(stage.run) == PRICE_WEI
    assert stage.sponsor.left_wei(stage.run, stage.sponsor.account) == 0
    assert stage.sponsor.caught_up(stage.run)
    assert stage.sponsor.stakes_wei(stage.run, [stage.sponsor.account, b"\7" * 20]) == [0, 0]
    assert stage.sponsor.claimed_wei(stage.run, b"\7" * 20) == 0


def test_gas_is_reported_per_transaction(stage: Stage) -> None:
    stage.open()
    receipt = stage.join(Role.TRAINER)
    assert stage.sponsor.gas_used(receipt.tx_hash) == receipt.gas_used
    assert receipt.events[0].tx_hash == receipt.tx_hash


# Waiting


def test_wait_returns_when_a_phase_opens(stage: Stage) -> None:
    stage.open().enrol(verifiers=2)
    stage.verifiers.append(last := stage.world.connect(103))
    watcher = stage.world.reconnect(1)
    watcher.events(stage.run)
    join = stage.seat(Role.VERIFIER)
    timer = threading.Timer(0.4, last.send, [join])
    timer.start()
    started = time.monotonic()
    while watcher.clock(stage.run).phase is Phase.ENROL and time.monotonic() - started < 10:
        watcher.wait(stage.run, 10)
    waited_s = time.monotonic() - started
    timer.join()
    assert 0.3 < waited_s < 2


def test_wait_does_not_miss_what_opened_before_it(stage: Stage) -> None:
    stage.open().enrol(verifiers=2)
    watcher = stage.world.reconnect(1)
    watcher.events(stage.run)
    stage.join(Role.VERIFIER)
    started = time.monotonic()
    watcher.wait(stage.run, 5)
    assert time.monotonic() - started < 1


def test_wait_gives_up_in_time_at_no_cost(stage: Stage) -> None:
    stage.open().enrol()
    watcher = stage.world.reconnect(1)
    watcher.events(stage.run)
    watcher.wait(stage.run, 0.05)
    started, used = time.monotonic(), time.process_time()
    watcher.wait(stage.run, 1.0)
    assert 0.9 < time.monotonic() - started < 2
    assert time.process_time() - used < 0.1


def test_what_was_seen_does_not_wake(stage: Stage) -> None:
    stage.open().enrol(verifiers=2)
    for look in ("events", "clock", "events again"):
        if look == "events again":  # no longer in enrolment
            stage.join(Role.VERIFIER)
        watcher = stage.world.reconnect(1)
        getattr(watcher, look.split()[0])(stage.run)
        started = time.monotonic()
        watcher.wait(stage.run, 0.4)
        assert time.monotonic() - started > 0.35


def test_every_waiting_thread_wakes(stage: Stage) -> None:
    stage.open().enrol(verifiers=2)
    watcher = stage.world.reconnect(1)
    ready, woken = threading.Barrier(4), []

    def watch() -> None:
        watcher.events(stage.run)
        ready.wait()
        started = time.monotonic()
        while watcher.clock(stage.run).phase is Phase.ENROL and time.monotonic() - started < 8:
            watcher.wait(stage.run, 8)
        woken.append(time.monotonic() - started)

    threads = [threading.Thread(target=watch) for _ in range(3)]
    for thread in threads:
        thread.start()
    ready.wait()
    stage.join(Role.VERIFIER)
    for thread in threads:
        thread.join(10)
    assert len(woken) == 3 and max(woken) < 3


def test_settle_once(stage: Stage) -> None:
    """Two settlers race: one wins, the other is told why."""
    stage.open().enrol()
    stage.submit(0, 1, 2)
    stage.close()
    stage.hold(0, 1, 2)
    reports = {v: stage.report(v) for v in range(3)}
    stage.commit(reports)
    stage.reveal(reports)
    call: Settle = stage.settlement()
    first, second = stage.sponsor.sign(call), stage.trainers[0].sign(call)
    stage.sponsor.broadcast(first)
    refused("WrongPhase", lambda: stage.trainers[0].broadcast(second), stage.run, Phase.SETTLE, Phase.TRAIN)
