"""Proposing runs: rounds go on, settlements follow behind a bond, and re-execution has the last word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from test_settlement import P as DIRECT
from test_settlement import cluster
from world import (
    ETHER,
    SPONSOR,
    STRANGER,
    Receipt,
    World,
    address,
    effects_tuple,
    outcome_tuple,
    params_tuple,
    proposal_tuple,
    random_bytes,
    report_of,
    reverts,
    siblings,
    sliced,
    trainer,
    verifier,
    whole,
)

from gradmint.spec import docket, tree
from gradmint.spec.docket import Outcome, split_bond
from gradmint.spec.keccak import keccak256
from gradmint.spec.params import Params
from gradmint.spec.types import CHUNK_ROWS, Phase, Report, Role, Row, Standing, Verdict

P = replace(
    DIRECT, max_rounds=6, challenge_s=10_000, extension_s=2_000, proposal_bond_wei=1_003, exit_s=20_000,
    challenger_bps=4_000, burn_bps=3_000,
)  # fmt: skip
BOND = P.proposal_bond_wei
PROPOSER, LATER, CHALLENGER = address(61), address(62), address(63)


def started(world: World, params: Params = P, rounds: int = 0, trainers: int = 2, verifiers: int = 3) -> int:
    """A proposing run with so many recorded rounds, all accounts bonded."""
    params = replace(params, min_trainers=trainers, min_verifiers=verifiers)
    run = world.open(params, 1_000 * ETHER + 7)
    for account in (PROPOSER, LATER, CHALLENGER):
        world.bond(run, account, 70 * BOND)
    world.enrol(run, params, trainers, verifiers)
    for _ in range(rounds):
        play(world, run, trainers, verifiers)
    return run


def play(world: World, run: int, trainers: int = 2, verifiers: int = 3, **other: Report) -> None:
    reports = dict.fromkeys(range(verifiers), report_of(trainers))
    reports |= {int(name[1:]): report for name, report in other.items()}
    world.play(run, reports, range(trainers))


def truth(world: World, run: int, number: int) -> Outcome:
    execution = world.ledger(run).rounds[number - 1].execution
    assert execution is not None
    return execution.outcome


def propose(world: World, run: int, number: int, by: str = PROPOSER, **false: Any) -> Receipt:
    outcome = replace(truth(world, run, number), **false)
    return world.settlement.send("propose", run, number, outcome_tuple(outcome), sender=by)


def pending(world: World, run: int) -> list[tuple[Any, ...]]:
    return [proposal_tuple(proposal) for proposal in world.ledger(run).pending]


def finalise(world: World, run: int) -> Receipt:
    number = world.ledger(run).pending[0].round
    execution = world.ledger(run).rounds[number - 1].execution
    assert execution is not None
    effects = effects_tuple(execution.effects)
    sent = world.settlement.send("finalise", run, pending(world, run), effects, sender=STRANGER)
    world.compare(run, number, sent)
    return sent


def refute(world: World, run: int, number: int, by: str = STRANGER, evidence: tuple[Any, ...] = ()) -> Receipt:
    place = [proposal.round for proposal in world.ledger(run).pending].index(number)
    return world.settlement.send(
        "refute", run, params_tuple(world.ledger(run).terms), world.inputs(run, number),
        evidence or world.evidence(run, number), pending(world, run), place, sender=by,
    )  # fmt: skip


def bonds(world: World, run: int, *accounts: str) -> list[tuple[int, int]]:
    return [world.stakes.call("bondOf", run, account) for account in accounts]


def progress(world: World, run: int) -> tuple[int, ...]:
    """Settled, proposed, pending; and the tip is what the ledger's list folds to."""
    settled, proposed, count, transcript = world.settlement.call("docket", run)
    ledger = world.ledger(run)
    assert world.settlement.call("tip", run) == docket.tip(ledger.pending)
    assert (count, transcript) == (len(ledger.pending), ledger.settlements)
    return settled, proposed, count


def to_final(world: World, run: int) -> None:
    world.chain.warp_to(max(world.chain.now() + 1, world.ledger(run).pending[0].final_s))


# Rounds and settlements


def test_rounds_go_on_while_settlements_follow_in_order(world: World) -> None:
    run = started(world, rounds=1)
    assert world.clock(run)[2:] == (2, Phase.TRAIN)  # without SETTLE
    assert progress(world, run) == (0, 0, 0)
    first = propose(world, run, 1)
    assert first["Proposed"].finalS == world.chain.now() + P.challenge_s
    play(world, run)
    propose(world, run, 2, LATER)
    play(world, run, r2=report_of(2, salt="lie"))  # without unanimity: in doubt for the accused
    propose(world, run, 3)
    assert progress(world, run) == (0, 3, 3)
    assert bonds(world, run, PROPOSER, LATER) == [(70 * BOND, 2 * BOND), (70 * BOND, BOND)]
    assert world.runs.call("books", run)[1] == 0
    for number in (1, 2, 3):
        to_final(world, run)
        sent = finalise(world, run)
        assert sent["Settled"].round == number
        assert progress(world, run) == (number, 3, 3 - number)
        leaves = world.ledger(run).final.standings
        args = (run, world.token.address, leaves[1].account, leaves[1].paid_wei, *siblings(leaves, 1))
        ahead = world.ledger(run).books.standings
        if ahead != leaves:
            with reverts("SealMismatch"):  # only what is final can be claimed
                wrong = (run, world.token.address, ahead[1].account, ahead[1].paid_wei, *siblings(ahead, 1))
                world.runs.send("claim", *wrong, sender=STRANGER)
        if number != 3:
            world.runs.send("claim", *args, sender=STRANGER)
    assert bonds(world, run, PROPOSER, LATER) == [(70 * BOND, 0), (70 * BOND, 0)]
    assert world.clock(run)[2:] == (4, Phase.TRAIN)


def test_slashing_ejection_and_attendance_come_with_finality(world: World) -> None:
    run = started(world, replace(P, slash_bps=6_000), verifiers=4)
    lie = report_of(2, salt="lie")
    play(world, run, 2, 4, r3=lie)
    missing = replace(report_of(2), rows=(report_of(2).rows[0], Row(Verdict.MISSING, 0, -(2**31))))
    play(world, run, 2, 4, r0=missing, r1=missing, r2=missing, r3=lie)
    play(world, run, 2, 4, r0=missing, r1=missing, r2=missing, r3=lie)
    assert world.stakes.call("stakesOf", run, [verifier(3)]) == (P.verifier_stake_wei,)
    assert world.masks(run)["active"] == 0b1111
    for number in (1, 2, 3):
        propose(world, run, number)
    world.join(run, trainer(7), Role.TRAINER, P.trainer_stake_wei)
    to_final(world, run)
    sent = finalise(world, run)
    # Slashed what the record says, ejected by what is left.
    assert sent["Slashed"].amountWei == P.verifier_stake_wei * 6_000 // 10_000
    assert sent["Retired"].account == verifier(3).lower()
    assert world.masks(run)["active"] == 0b1111 and world.masks(run)["gone"] == 0b1000
    world.chain.warp(3)
    sent = finalise(world, run)
    assert sent["Slashed"].amountWei == P.verifier_stake_wei * 4_000 // 10_000  # no more than there is
    assert not sent.all("Retired")
    assert world.rounds.call("awaitedTrainers", run) == (0b11,)
    sent = finalise(world, run)
    assert sent["Slashed"].amountWei == 0
    assert world.rounds.call("awaitedTrainers", run) == (0b01,)  # two misses, three rounds later
    assert world.rounds.call("counts", run)[1:3] == (3, 2)


def test_a_newcomers_attendance_is_not_touched_by_rounds_before_it(world: World) -> None:
    run = started(world, replace(P, max_trainers=2))
    missing = replace(report_of(2), rows=(report_of(2).rows[0], Row(Verdict.MISSING, 0, -(2**31))))
    for _ in range(2):
        play(world, run, r0=missing, r1=missing, r2=missing)
    world.stakes.send("exit", run, sender=trainer(1))
    world.join(run, trainer(2), Role.TRAINER, P.trainer_stake_wei)
    for number in (1, 2):
        propose(world, run, number)
        to_final(world, run)
        finalise(world, run)
    assert world.ledger(run).final.trainers[1].misses == 2  # the leaver's
    assert world.rounds.call("awaitedTrainers", run) == (0b01,)  # of this round it cannot be
    world.overdue(run)
    world.rounds.send("poke", run, sender=STRANGER)
    assert world.rounds.call("awaitedTrainers", run) == (0b11,)


def test_a_round_is_settled_by_re_execution_when_nothing_is_pending(world: World) -> None:
    run = started(world, rounds=3)
    with reverts("NotNext", run, 2, 1, 0):
        world.settle(run, 2)
    world.settle(run, 1)
    assert progress(world, run) == (1, 1, 0)
    propose(world, run, 2)
    with reverts("StillPending", run, 1):
        world.settle(run, 3)
    to_final(world, run)
    finalise(world, run)
    world.settle(run, 3)
    assert progress(world, run) == (3, 3, 0)
    with reverts("NotNext", run, 3, 2, 3):
        world.settle(run, 3)
    with reverts("NotNext", run, 4, 0, 3):  # the round that is going on has no record
        wrong = world.inputs(run, 3)
        wrong = ((4, *wrong[0][1:]), *wrong[1:])
        world.settlement.send("settle", run, params_tuple(world.ledger(run).terms), wrong, whole([]), sender=STRANGER)


def test_void_rounds_are_passed_over(world: World) -> None:
    run = started(world, rounds=1)
    world.overdue(run)
    world.rounds.send("poke", run, sender=STRANGER)  # round 2: nobody came
    play(world, run)
    assert world.rounds.call("record", run, 2) == (bytes(30), 0)
    assert world.rounds.call("record", run, 3)[1] == 1
    for number in (1, 3):
        propose(world, run, number)
    to_final(world, run)
    finalise(world, run)
    finalise(world, run) if world.chain.now() >= world.ledger(run).pending[0].final_s else to_final(world, run)
    if world.ledger(run).pending:
        finalise(world, run)
    assert progress(world, run) == (3, 3, 0)


def test_the_target_ends_a_run_when_it_is_final(world: World) -> None:
    run = started(world, replace(P, target_loss_micronats=2_000_000), rounds=2)
    propose(world, run, 1)
    to_final(world, run)
    sent = finalise(world, run)
    assert sent["PhaseOpened"].phase == Phase.ENDED
    assert (sent["PhaseOpened"].round, world.phase(run)) == (3, Phase.ENDED)
    propose(world, run, 2)  # what was recorded before is still settled
    to_final(world, run)
    assert not finalise(world, run).all("PhaseOpened")


# Who may propose what


def test_propose_refuses(world: World) -> None:
    run = started(world, rounds=3)
    outcome = outcome_tuple(truth(world, run, 1))
    for number in (0, 4, 5, 65_535):
        with reverts("NotRecorded", run, number):
            world.settlement.send("propose", run, number, outcome, sender=PROPOSER)
    with reverts("NotNext", run, 2, 1, 0):
        propose(world, run, 2)
    with reverts("BondTooSmall", run, STRANGER, 0, BOND):
        propose(world, run, 1, STRANGER)
    world.bond(run, STRANGER, BOND)
    propose(world, run, 1, STRANGER)
    with reverts("NotNext", run, 1, 0, 1):
        propose(world, run, 1)
    with reverts("NotNext", run, 3, 2, 1):
        propose(world, run, 3)
    with reverts("BondTooSmall", run, STRANGER, 0, BOND):  # one bond, one proposal
        propose(world, run, 2, STRANGER)
    with reverts("BondTooSmall", run, STRANGER, 0, 1):
        world.stakes.send("unbond", run, 1, sender=STRANGER)
    with reverts("NotProposing", 999):
        world.settlement.send("propose", 999, 1, outcome, sender=PROPOSER)


def test_at_most_sixty_four_are_pending(world: World) -> None:
    params = replace(P, max_rounds=70, min_trainers=1, min_verifiers=1)
    run = started(world, params, 65, 1, 1)
    for number in range(1, 65):
        propose(world, run, number)
    with reverts("TooManyPending", run):
        propose(world, run, 65)
    assert progress(world, run) == (0, 64, 64)
    to_final(world, run)
    finalise(world, run)
    propose(world, run, 65)
    assert progress(world, run) == (1, 65, 64)


# Refutation


def test_a_refuted_bond_is_split_and_later_proposals_fall(world: World) -> None:
    run = started(world, rounds=3)
    propose(world, run, 1)
    propose(world, run, 2, LATER, total_wei=truth(world, run, 2).total_wei + 1)
    propose(world, run, 3, PROPOSER)
    burnable = world.stakes.call("burnable", run)
    sent = refute(world, run, 2, CHALLENGER)
    refuted, forfeited = sent["Refuted"], sent["Forfeited"]
    assert (refuted.round, refuted.proposer, refuted.challenger) == (2, LATER.lower(), CHALLENGER.lower())
    reward, burned, pooled = split_bond(BOND, P.challenger_bps, P.burn_bps)
    assert (forfeited.rewardWei, forfeited.burnWei, forfeited.poolWei) == (reward, burned, pooled)
    assert reward + burned + pooled == BOND and reward < BOND // 2
    assert (forfeited.account, forfeited.beneficiary) == (LATER.lower(), CHALLENGER.lower())
    assert bonds(world, run, PROPOSER, LATER, CHALLENGER) == [
        (70 * BOND, BOND), (69 * BOND, 0), (70 * BOND + reward, 0)
    ]  # fmt: skip
    assert world.stakes.call("burnable", run) == burnable + burned
    assert world.stakes.call("poolable", run) == pooled
    assert progress(world, run) == (0, 1, 1)
    for number in (2, 3):
        propose(world, run, number)
    for _ in range(3):
        to_final(world, run)
        finalise(world, run)
    assert progress(world, run) == (3, 3, 0)


FALSE: list[dict[str, Any]] = [
    {"root": b"r" * 24},
    {"total_wei": 1},
    {"standings_hash": b"s" * 32},
    {"loss_micronats": 1},
    {"cluster_mask": 0},
    {"weakest": 0},
    {"effects_hash": b"e" * 32},
]


@pytest.mark.parametrize("false", FALSE, ids=lambda false: next(iter(false)))
def test_every_false_word_is_refuted(world: World, false: dict[str, Any]) -> None:
    run = started(world, rounds=1)
    propose(world, run, 1, **false)
    refute(world, run, 1)
    assert progress(world, run) == (0, 0, 0)
    world.settle(run, 1)


def test_a_true_proposal_cannot_be_refuted(world: World) -> None:
    run = started(world, rounds=2)
    propose(world, run, 1)
    propose(world, run, 2)
    for number in (1, 2):
        with reverts("NotRefuted", run, number):
            refute(world, run, number)


def test_a_proposal_on_a_false_one_falls_with_it_only(world: World) -> None:
    run = started(world, rounds=2)
    propose(world, run, 1, standings_hash=b"s" * 32)
    propose(world, run, 2)
    with reverts("StandingsMismatch"):  # what it stands on is nothing that anybody could bring
        refute(world, run, 2)
    refute(world, run, 1)
    assert progress(world, run) == (0, 0, 0)
    assert bonds(world, run, PROPOSER) == [(69 * BOND, 0)]


def test_who_refutes_itself_loses_more_than_half(world: World) -> None:
    run = started(world, rounds=1)
    propose(world, run, 1, weakest=0)
    refute(world, run, 1, PROPOSER)
    reward = split_bond(BOND, P.challenger_bps, P.burn_bps)[0]
    assert bonds(world, run, PROPOSER) == [(69 * BOND + reward, 0)]


def test_refute_wants_the_records_inputs_and_what_is_pending(world: World) -> None:
    run = started(world, rounds=2)
    propose(world, run, 1, weakest=0)
    propose(world, run, 2)
    inputs, evidence, terms = world.inputs(run, 1), world.evidence(run, 1), world.ledger(run).terms
    known = pending(world, run)

    def send(
        params: Params = terms,
        said: Sequence[Any] = known,
        place: int = 0,
        brought: Any = inputs,
        heard: Any = evidence,
    ) -> Receipt:
        return world.settlement.send("refute", run, params_tuple(params), brought, heard, said, place, sender=STRANGER)

    with reverts("ParamsMismatch"):
        send(replace(terms, slash_bps=1))
    for wrong in (known[:1], known[1:], [known[1], known[0]], [*known, known[0]], []):
        with reverts("PendingMismatch"):
            send(said=wrong)
    altered = (known[0][0], STRANGER, *known[0][2:])
    with reverts("PendingMismatch"):
        send(said=[altered, known[1]])
    for place in (1, 2, 2**200):
        with reverts("NotPending", run, 1):
            send(place=place)
    with reverts("StandingsMismatch"):
        send(brought=(*inputs[:3], bytes(96)))
    with reverts("RecordMismatch"):
        send(brought=((*inputs[0][:4], 1, *inputs[0][5:]), *inputs[1:]))
    with reverts("ReportCount", 3, 0):
        send(heard=whole([]))
    send()


def test_an_insolvent_outcome_never_becomes_final(world: World) -> None:
    run = started(world, rounds=1)
    propose(world, run, 1, total_wei=2**100)
    to_final(world, run)
    effects = effects_tuple(world.ledger(run).rounds[0].execution.effects)  # type: ignore[union-attr]
    with reverts("Insolvent", 2**100, 1_000 * ETHER + 7):
        world.settlement.send("finalise", run, pending(world, run), effects, sender=STRANGER)
    refute(world, run, 1)  # however late


# Windows


def test_the_window_is_half_open_and_a_refutation_possible_until_the_end(world: World) -> None:
    run = started(world, rounds=1)
    for kind in ("true", "false"):
        number = world.ledger(run).round.number - 1
        propose(world, run, number, **({} if kind == "true" else {"weakest": 0}))
        final_s = world.ledger(run).pending[0].final_s
        world.chain.warp_to(final_s - 1)
        world.chain.rpc("evm_setNextBlockTimestamp", hex(final_s - 1))
        effects = effects_tuple(world.ledger(run).rounds[number - 1].execution.effects)  # type: ignore[union-attr]
        with reverts("NotFinal", number, final_s, final_s - 1):
            world.settlement.send("finalise", run, pending(world, run), effects, sender=STRANGER)
        world.chain.rpc("evm_setNextBlockTimestamp", hex(final_s))
        if kind == "true":
            finalise(world, run)
            assert world.chain.now() == final_s
            world.overdue(run)
            world.rounds.send("poke", run, sender=STRANGER)
            play(world, run)
        else:
            refute(world, run, number)
            assert world.chain.now() == final_s


def test_finalise_wants_what_is_pending_and_its_effects(world: World) -> None:
    run = started(world, rounds=2)
    none: tuple[list[int], ...] = ([], [], [])
    with reverts("NotPending", run, 0):
        world.settlement.send("finalise", run, [], none, sender=STRANGER)
    for number in (1, 2):
        propose(world, run, number)
    to_final(world, run)
    known, effects = pending(world, run), effects_tuple(world.ledger(run).rounds[0].execution.effects)  # type: ignore[union-attr]
    for wrong in (known[:1], known[1:], [known[1], known[0]], []):
        with reverts("PendingMismatch"):
            world.settlement.send("finalise", run, wrong, effects, sender=STRANGER)
    for other in (none, ([1, 1], effects[1], []), (effects[0], effects[1], [1, 1]), ([], [1], [])):
        with reverts("EffectsMismatch"):
            world.settlement.send("finalise", run, known, other, sender=STRANGER)
    finalise(world, run)


def test_a_challenge_adds_time_and_lapses_at_its_cost(world: World) -> None:
    run = started(world, rounds=2)
    for number in (1, 2):
        propose(world, run, number)
    final_s = world.ledger(run).pending[0].final_s
    world.chain.warp_to(final_s)
    challenged = world.settlement.send("challenge", run, 1, sender=CHALLENGER)["Challenged"]
    until_s = world.chain.now() + P.extension_s
    assert (challenged.round, challenged.challenger, challenged.untilS) == (1, CHALLENGER.lower(), until_s)
    assert world.settlement.call("challenged", run) == (CHALLENGER.lower(), 1, until_s)
    assert bonds(world, run, CHALLENGER) == [(70 * BOND, BOND)]
    for number in (1, 2):
        with reverts("AlreadyChallenged", run, 1):
            world.settlement.send("challenge", run, number, sender=LATER)
    world.chain.warp_to(until_s - 1)
    world.chain.rpc("evm_setNextBlockTimestamp", hex(until_s - 1))
    with reverts("NotFinal", 1, until_s, until_s - 1):
        finalise(world, run)
    world.chain.rpc("evm_setNextBlockTimestamp", hex(until_s))
    sent = finalise(world, run)
    assert (sent["Forfeited"].account, sent["Forfeited"].beneficiary) == (CHALLENGER.lower(), PROPOSER.lower())
    reward = split_bond(BOND, P.challenger_bps, P.burn_bps)[0]
    assert bonds(world, run, PROPOSER, CHALLENGER) == [(70 * BOND + reward, BOND), (69 * BOND, 0)]
    assert world.settlement.call("challenged", run)[1] == 0
    world.settlement.send("challenge", run, 2, sender=LATER)  # the next may be challenged now


def test_challenge_refuses(world: World) -> None:
    run = started(world, rounds=3)
    propose(world, run, 1)
    to_final(world, run)
    finalise(world, run)
    propose(world, run, 2)
    for number in (0, 1, 3, 4):
        with reverts("NotPending", run, number):
            world.settlement.send("challenge", run, number, sender=CHALLENGER)
    with reverts("BondTooSmall", run, STRANGER, 0, BOND):
        world.settlement.send("challenge", run, 2, sender=STRANGER)


def test_a_live_challenger_is_rewarded_whoever_refutes(world: World) -> None:
    run = started(world, rounds=1)
    propose(world, run, 1, weakest=0)
    world.settlement.send("challenge", run, 1, sender=CHALLENGER)
    sent = refute(world, run, 1, LATER)
    assert sent["Refuted"].challenger == CHALLENGER.lower()
    reward = split_bond(BOND, P.challenger_bps, P.burn_bps)[0]
    assert bonds(world, run, CHALLENGER, LATER) == [(70 * BOND + reward, 0), (70 * BOND, 0)]


def test_after_the_extension_the_reward_is_the_refuters(world: World) -> None:
    run = started(world, rounds=1)
    propose(world, run, 1, weakest=0)
    world.settlement.send("challenge", run, 1, sender=CHALLENGER)
    world.chain.warp_to(world.settlement.call("challenged", run)[2])
    sent = refute(world, run, 1, LATER)
    assert sent["Refuted"].challenger == LATER.lower()
    reward = split_bond(BOND, P.challenger_bps, P.burn_bps)[0]
    assert bonds(world, run, CHALLENGER, LATER) == [(70 * BOND, 0), (70 * BOND + reward, 0)]


@pytest.mark.parametrize(("false", "released"), [(1, True), (2, True), (3, False)])
def test_a_refutation_releases_challenges_from_its_round_on(world: World, false: int, released: bool) -> None:
    run = started(world, rounds=3)
    for number in (1, 2, 3):
        propose(world, run, number, **({"weakest": 0} if number == false else {}))
    world.settlement.send("challenge", run, 2, sender=CHALLENGER)
    refute(world, run, false, LATER)
    assert bonds(world, run, CHALLENGER)[0][1] == (0 if released else BOND)
    assert world.settlement.call("challenged", run)[1] == (0 if released else 2)


# Slices


def slices_of(world: World, run: int, number: int) -> tuple[list[bytes], list[list[bytes]]]:
    reveals = world.ledger(run).rounds[number - 1].reveals
    return sliced([reveals[v].report for v in sorted(reveals)], world.ledger(run).terms.words)


def hear(world: World, run: int, number: int, chunk: int, **other: Any) -> Receipt:
    heads, chunks = slices_of(world, run, number)
    record = other.get("record", world.inputs(run, number)[0])
    rows = other.get("rows", chunks[chunk] if chunk < len(chunks) else chunks[0])
    params = params_tuple(other.get("params", world.ledger(run).terms))
    return world.settlement.send("hear", run, params, record, other.get("heads", heads), chunk, rows, sender=STRANGER)


def in_slices(world: World, run: int, number: int) -> tuple[Any, ...]:
    """Evidence of what was heard, as the specification derives it; and that it is what the chain stored."""
    ledger = world.ledger(run)
    round_ = ledger.rounds[number - 1]
    settlement = round_.settlement
    assert settlement is not None and settlement.consensus is not None
    consensus, reports = settlement.consensus, round_.reports(ledger.terms.words)
    rows, sums = [], []
    for chunk, at in enumerate(range(0, round_.trainers, CHUNK_ROWS)):
        agreed = consensus.rows[at : at + CHUNK_ROWS]
        rows.append(b"".join(row.pack() for row in agreed))
        sums.append([0] * round_.verifiers)
        for v in consensus.cluster:
            report = reports[v]
            assert report is not None
            pairs = [
                (mine.gain_micronats, ours.gain_micronats)
                for mine, ours in zip(report.rows[at : at + CHUNK_ROWS], agreed, strict=True)
            ]
            sums[-1][v] = sum(map(min, pairs)) << 128 | sum(map(max, pairs))
        words = b"".join(row.pack().rjust(32, b"\0") for row in agreed)
        totals = b"".join(total.to_bytes(32, "big") for total in sums[-1])
        assert world.settlement.call("heard", run, number, chunk) == keccak256(keccak256(words) + keccak256(totals))
    return ([], slices_of(world, run, number)[0], rows, sums)


def test_a_refutation_in_slices_is_one_at_once(world: World) -> None:
    run = started(world, rounds=0, verifiers=4)
    other = replace(report_of(2), rows=(Row(Verdict.OK, 1_700, 2_000), Row(Verdict.OK, 1_100, 900)))
    play(world, run, 2, 4, r1=other, r3=report_of(2, salt="lie"))
    propose(world, run, 1)
    with reverts("NotRefuted", run, 1):
        refute(world, run, 1)
    chunks = slices_of(world, run, 1)[1]
    heard = hear(world, run, 1, 0, rows=[*chunks[0][:3], b""])  # outside the cluster: not looked at
    assert (heard["Heard"].round, heard["Heard"].chunk) == (1, 0)
    evidence = in_slices(world, run, 1)
    with reverts("NotRefuted", run, 1):
        refute(world, run, 1, evidence=evidence)
    for wrong, error in (
        ((evidence[0], evidence[1][:-1], *evidence[2:]), "ReportCount"),
        ((evidence[0], evidence[1][::-1], *evidence[2:]), "ReportMismatch"),
        ((*evidence[:2], [], []), "SliceCount"),
        ((*evidence[:2], [evidence[2][0][:-1]], evidence[3]), "SliceMismatch"),
        ((*evidence[:2], [evidence[2][0][:-1] + b"\7"], evidence[3]), "SliceMismatch"),
        ((*evidence[:3], [[0, 0, 0, 0]]), "SliceMismatch"),
    ):
        with reverts(error):
            refute(world, run, 1, evidence=wrong)


def test_hear_refuses_what_is_not_the_rounds(world: World) -> None:
    run = started(world, rounds=1)
    heads, chunks = slices_of(world, run, 1)
    record = world.inputs(run, 1)[0]
    with reverts("ParamsMismatch"):
        hear(world, run, 1, 0, params=replace(world.ledger(run).terms, accept_bits=1))
    with reverts("RecordMismatch"):
        hear(world, run, 1, 0, record=(*record[:4], 1, *record[5:]))
    with reverts("ReportCount", 3, 2):
        hear(world, run, 1, 0, heads=heads[:2])
    with reverts("ReportMismatch"):
        hear(world, run, 1, 0, heads=[heads[0][:-1] + b"\0", *heads[1:]])
    with reverts("ReportCount", 3, 2):
        hear(world, run, 1, 0, rows=chunks[0][:2])
    with reverts("ReportMismatch"):
        hear(world, run, 1, 0, rows=[chunks[0][0], b"", chunks[0][2]])
    for chunk in (1, 2**240):
        with reverts("NoSuchSlice", run, 1, chunk):
            hear(world, run, 1, chunk)
    play(world, run, r1=report_of(2, salt="a"), r2=report_of(2, salt="b"))
    with reverts("NoSuchSlice", run, 2, 0):  # no quorum
        hear(world, run, 2, 0)
    world.settle(run, 1)
    evidence = ([], slices_of(world, run, 2)[0], [], [])  # where there is none, the heads are enough
    sent = world.settlement.send(
        "settle", run, params_tuple(world.ledger(run).terms), world.inputs(run, 2), evidence, sender=STRANGER
    )
    world.compare(run, 2, sent)
    assert cluster(sent) == 0


def test_a_round_of_two_slices(world: World) -> None:
    """257 trainers: the second slice has one row. Every verifier differs in every gain."""
    count = CHUNK_ROWS + 1
    params = replace(P, max_trainers=300, train_s=10**6, exit_s=2 * 10**6, trainer_stake_wei=0, join_price_wei=0)
    params = replace(params, min_trainers=count, min_verifiers=4)
    run = world.open(params, 1_000 * ETHER + 7)
    for i in range(count):
        world.stakes.send("join", run, 1, 0, 0, sender=trainer(i))
    world.enrol(run, params, 0, 4)
    world.bond(run, PROPOSER, 10 * BOND)
    reports = {}
    for v in range(4):
        gains = [int.from_bytes(random_bytes("gain", i)[:2], "big") + 7 * v for i in range(count)]
        rows = [Row(Verdict.OK, gain, gain + 900 - 500 * (i % 2)) for i, gain in enumerate(gains)]
        reports[v] = replace(report_of(0), rows=tuple(rows))
    world.play(run, reports, range(count))
    propose(world, run, 1, root=b"r" * 24)
    whole_evidence = world.evidence(run, 1)
    for chunk in (1, 0):
        hear(world, run, 1, chunk)
    evidence = in_slices(world, run, 1)
    for pieces, wrong in ((evidence[2], evidence[3][::-1]), (evidence[2][::-1], evidence[3])):
        with reverts("SliceMismatch"):
            refute(world, run, 1, evidence=(*evidence[:2], pieces, wrong))
    refute(world, run, 1, evidence=evidence)
    propose(world, run, 1)
    for brought in (evidence, whole_evidence):
        with reverts("NotRefuted", run, 1):
            refute(world, run, 1, evidence=brought)
    to_final(world, run)
    finalise(world, run)


# Money at the end


def test_nothing_is_refunded_or_freed_before_the_docket_has_caught_up(world: World) -> None:
    params = replace(P, max_rounds=2)
    run = started(world, params, rounds=2)
    assert world.phase(run) is Phase.ENDED
    assert not world.settlement.call("isCaughtUp", run)
    with reverts("NotSettled", run):
        world.runs.send("refund", run, sender=SPONSOR)
    with reverts("NotExiting", run, verifier(0)):
        world.stakes.send("withdraw", run, sender=verifier(0))
    release_s = world.stakes.send("exit", run, sender=verifier(0))["Exiting"].releaseS
    with reverts("StillLocked"):
        world.stakes.send("withdraw", run, sender=verifier(0))
    propose(world, run, 1)
    propose(world, run, 2)
    to_final(world, run)
    finalise(world, run)
    with reverts("NotSettled", run):
        world.runs.send("refund", run, sender=SPONSOR)
    world.chain.warp_to(max(release_s, world.chain.now() + 1))
    with reverts("NotFinalYet", run, 2, 1):
        world.stakes.send("withdraw", run, sender=verifier(0))
    with reverts("NotExiting", run, verifier(1)):
        world.stakes.send("withdraw", run, sender=verifier(1))
    finalise(world, run)
    assert world.settlement.call("isCaughtUp", run)
    for v in (0, 1):
        world.stakes.send("withdraw", run, sender=verifier(v))
    refunded = world.runs.send("refund", run, sender=SPONSOR)["Refunded"].amountWei
    assert refunded + world.ledger(run).total_wei == world.ledger(run).deposited_wei


def test_a_stake_stays_until_its_last_round_is_final_however_late(world: World) -> None:
    """Else who expects to be slashed would only have to keep settlements back for the length of the delay."""
    run = started(world, verifiers=4)
    play(world, run, 2, 4, r3=report_of(2, salt="lie"))
    release_s = world.stakes.send("exit", run, sender=verifier(3))["Exiting"].releaseS  # in round 2
    honest = dict.fromkeys(range(3), report_of(2))
    for _ in range(2):
        world.play(run, honest, (0, 1))
    world.chain.warp_to(max(release_s, world.chain.now() + 1))
    for number in (1, 2):
        with reverts("NotFinalYet", run, 2, number - 1):
            world.stakes.send("withdraw", run, sender=verifier(3))
        world.settle(run, number)
    assert not world.settlement.call("isCaughtUp", run)
    slashed = world.ledger(run).slashed_wei[bytes.fromhex(verifier(3)[2:])]
    assert slashed >= P.verifier_stake_wei * P.slash_bps // 10_000
    sent = world.stakes.send("withdraw", run, sender=verifier(3))
    assert sent["Withdrawn"].amountWei == P.verifier_stake_wei - slashed


def test_a_false_root_that_nobody_refutes_costs_its_own_run_at_most(world: World) -> None:
    """One final lie after another, each within the deposit: together they draw no more than was promised."""
    run = started(world, rounds=2)
    totals = [5 * ETHER, 6 * ETHER]
    drawn = 0
    for number, account in ((1, LATER), (2, CHALLENGER)):
        leaf = Standing(bytes.fromhex(account[2:]), Role.TRAINER, paid_wei=5 * ETHER)
        effects = docket.Effects(slashed=(), awaited=(), left=())
        propose(
            world, run, number, root=tree.root([leaf]).hash, total_wei=totals[number - 1], effects_hash=effects.hash()
        )
        to_final(world, run)
        world.settlement.send("finalise", run, pending(world, run), effects_tuple(effects), sender=STRANGER)
        claim = (run, world.token.address, account, 5 * ETHER, 0, b"")
        if number == 1:
            world.runs.send("claim", *claim, sender=STRANGER)
            drawn += 5 * ETHER
            assert world.runs.call("drawn", run) == drawn
        else:
            with reverts("Overdrawn", run, 10 * ETHER, 6 * ETHER):
                world.runs.send("claim", *claim, sender=STRANGER)
    assert world.runs.call("claimed", run, CHALLENGER) == 0


def test_what_lost_bonds_leave_the_run_goes_into_its_budget_and_after_the_end_into_the_fire(world: World) -> None:
    dead = "0x000000000000000000000000000000000000dEaD"
    run = started(world, replace(P, max_rounds=2), rounds=1)
    pooled = split_bond(BOND, P.challenger_bps, P.burn_bps)[2]
    propose(world, run, 1, weakest=0)
    refute(world, run, 1)
    sent = world.stakes.send("pool", run, sender=STRANGER)
    assert sent["Pooled"].amountWei == sent["Funded"].amountWei == pooled
    assert sent["Funded"].args["from"] == world.stakes.address.lower()
    assert world.runs.call("books", run)[0] == 1_000 * ETHER + 7 + pooled
    assert world.stakes.call("poolable", run) == 0
    propose(world, run, 1, weakest=0)
    refute(world, run, 1)
    play(world, run)
    assert world.phase(run) is Phase.ENDED
    before = world.token.call("balanceOf", dead)
    sent = world.stakes.send("pool", run, sender=STRANGER)
    assert not sent.all("Funded")
    assert world.token.call("balanceOf", dead) == before + pooled
    ledger = world.ledger(run)
    assert (ledger.deposited_wei, ledger.pooled_wei) == (1_000 * ETHER + 7 + pooled, 2 * pooled)
    # Everything that the contract holds for this run is somebody's.
    for account in (PROPOSER, LATER, CHALLENGER, STRANGER):
        amount, locked = world.stakes.call("bondOf", run, account)
        assert (amount, locked) == (ledger.bonds_wei.get(bytes.fromhex(account[2:]), 0), 0)


def test_the_budget_of_a_round_is_what_was_there_when_it_was_recorded(world: World) -> None:
    run = started(world, rounds=1)
    world.rich(STRANGER, world.runs)
    world.runs.send("fund", run, 600 * ETHER, sender=STRANGER)
    play(world, run)
    world.settle(run, 1)
    first = world.ledger(run).final.total_wei
    assert first <= (1_000 * ETHER + 7) // 6
    world.settle(run, 2)
    assert world.ledger(run).final.total_wei - first <= (1_600 * ETHER + 7 - first) // 5


def test_leavers_of_a_proposing_run_keep_what_they_were_promised(world: World) -> None:
    run = started(world, replace(P, max_trainers=2), rounds=1)
    world.stakes.send("exit", run, sender=trainer(1))
    world.join(run, trainer(2), Role.TRAINER, P.trainer_stake_wei)
    world.overdue(run)
    world.rounds.send("poke", run, sender=STRANGER)
    play(world, run)
    for number in (1, 3):
        propose(world, run, number)
    to_final(world, run)
    finalise(world, run)
    with reverts("NothingToClaim", run, trainer(1), 0):
        world.runs.send("claimLeft", run, trainer(1), sender=STRANGER)
    to_final(world, run)
    left = finalise(world, run)["Left"]
    assert left.account == trainer(1).lower()
    before = world.token.call("balanceOf", trainer(1))
    world.runs.send("claimLeft", run, trainer(1), sender=STRANGER)
    assert world.token.call("balanceOf", trainer(1)) - before == left.cumulativeWei > 0
