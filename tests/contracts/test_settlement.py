"""Settlement by re-execution: what it refuses, and that the chain's numbers are the specification's.

Every settled round is compared with spec.docket.execute by World.compare, on inputs that
spec.ledger folded from events.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from world import (
    ETHER,
    SPONSOR,
    STRANGER,
    Contract,
    Receipt,
    World,
    effects_tuple,
    inputs_tuple,
    outcome_tuple,
    params_tuple,
    report_of,
    reverts,
    rows_of,
    siblings,
    trainer,
    verifier,
    whole,
)

from gradmint.ports import artifacts
from gradmint.spec.docket import NOBODY, Books
from gradmint.spec.keccak import keccak256
from gradmint.spec.params import LOCAL, Params
from gradmint.spec.types import Phase, Report, Role, Row, Verdict

P = replace(LOCAL, min_trainers=2, min_verifiers=3, max_rounds=4)


def start(world: World, params: Params = P, trainers: int = 2, verifiers: int = 3, stakes: tuple[int, ...] = ()) -> int:
    params = replace(params, min_trainers=trainers, min_verifiers=verifiers)
    run = world.open(params, 1_000 * ETHER + 7)
    world.enrol(run, params, trainers, verifiers, stakes)
    return run


def settle(world: World, run: int, reports: dict[int, Report], submitting: list[int] | None = None) -> Receipt:
    trainers = range(world.rounds.call("counts", run)[2])
    world.play(run, reports, submitting if submitting is not None else trainers)
    return world.settle(run)


def at_settle(world: World) -> tuple[int, list[Report]]:
    run = start(world)
    reports = [
        report_of(2),
        replace(report_of(2), loss_micronats=1_999_999),
        replace(report_of(2), loss_micronats=2_000_001),
    ]
    world.play(run, dict(enumerate(reports)), (0, 1))
    return run, reports


def cluster(sent: Receipt) -> int:
    return int(sent["Settled"].outcome[4])


# Guards


def test_settle_refuses_wrong_inputs(world: World) -> None:
    run, reports = at_settle(world)
    packed = [report.pack() for report in reports]
    good = world.inputs(run, 1)
    terms = world.ledger(run).terms
    hashes = [Report.hash(report, P.words) for report in packed]

    def send(params: Params = terms, inputs: tuple[Any, ...] = good, said: list[bytes] = packed) -> Receipt:
        return world.settlement.send("settle", run, params_tuple(params), inputs, whole(said), sender=STRANGER)

    with reverts("ParamsMismatch"):
        send(replace(terms, slash_bps=1))
    with reverts("StandingsMismatch", keccak256(bytes(24)), keccak256(bytes(24 + 96))):
        send(inputs=(*good[:3], bytes(96)))
    with reverts("StandingsMismatch", keccak256(bytes(24)), keccak256(b"r" * 24)):
        send(inputs=(good[0], b"r" * 24, *good[2:]))
    with reverts("ReportCount", 3, 2):
        send(said=packed[:2])
    with reverts("ReportCount", 3, 4):
        send(said=[*packed, packed[0]])
    with reverts("ReportMismatch", 0, hashes[0], hashes[1]):
        send(said=[packed[1], packed[0], packed[2]])
    with reverts("ReportMismatch", 2, hashes[2], Report.hash(packed[2] + b"\0", P.words)):
        send(said=[packed[0], packed[1], packed[2] + b"\0"])
    sent = send()
    world.compare(run, 1, sent)
    assert sent["PhaseOpened"].round == 2
    with reverts("WrongPhase", run, Phase.SETTLE, Phase.TRAIN):
        send()


def test_settle_refuses_every_altered_word_of_the_record(world: World) -> None:
    run, _ = at_settle(world)
    record, *rest = world.inputs(run, 1)
    evidence, params = world.evidence(run, 1), params_tuple(world.ledger(run).terms)
    for at, value in enumerate(record):
        if at == 0:
            continue  # the round: below
        wrong: Any = (
            bytes(24) if isinstance(value, bytes) else value[::-1] if isinstance(value, tuple) and at == 9 else value
        )
        wrong = (*value[:-1], value[-1] + 1) if isinstance(value, tuple) and at == 10 else wrong
        wrong = value + 1 if isinstance(value, int) else wrong
        altered = (*record[:at], wrong, *record[at + 1 :])
        with reverts("RecordMismatch"):
            world.settlement.send("settle", run, params, (altered, *rest), evidence, sender=STRANGER)
    with reverts("NotRecorded", run, 2):
        world.settlement.send("settle", run, params, ((2, *record[1:]), *rest), evidence, sender=STRANGER)


def test_settle_refuses_a_roster_that_is_not_the_rounds(world: World) -> None:
    run, _ = at_settle(world)
    ledger = world.ledger(run)
    record, rows = ledger.round.record, ledger.roster_rows
    assert record is not None
    evidence, params = world.evidence(run, 1), params_tuple(ledger.terms)
    for wrong in (rows[:-1], [*rows[:-2], rows[-1], rows[-2]], [replace(rows[0], stake_wei=1), *rows[1:]], []):
        with reverts("RosterMismatch"):
            inputs = inputs_tuple(record, Books(), wrong)
            world.settlement.send("settle", run, params, inputs, evidence, sender=STRANGER)
    for cut in (1, 3, 39):
        inputs = inputs_tuple(record, Books(), rows)
        inputs = (*inputs[:2], inputs[2][:-cut], inputs[3])
        with reverts("RosterRows", 40 * 5 - cut):
            world.settlement.send("settle", run, params, inputs, evidence, sender=STRANGER)


def test_settle_is_for_its_phase_and_in_time(world: World) -> None:
    run, _ = at_settle(world)
    inputs, evidence, params = world.inputs(run, 1), world.evidence(run, 1), world.ledger(run).terms
    other = start(world)
    with reverts("WrongPhase", other, Phase.SETTLE, Phase.TRAIN):
        world.settlement.send("settle", other, params_tuple(params), inputs, evidence, sender=STRANGER)
    with reverts("UnknownRun", 999):
        world.settlement.send("settle", 999, params_tuple(params), inputs, evidence, sender=STRANGER)
    world.overdue(run)
    with reverts("Overdue"):
        world.settlement.send("settle", run, params_tuple(params), inputs, evidence, sender=STRANGER)
    world.rounds.send("poke", run, sender=STRANGER)
    assert world.clock(run)[2:] == (2, Phase.TRAIN)


def test_a_record_voided_in_settle_is_the_next_ones_previous(world: World) -> None:
    run, _ = at_settle(world)
    world.overdue(run)
    world.rounds.send("poke", run, sender=STRANGER)
    settle(world, run, dict.fromkeys(range(3), report_of(2)))
    assert world.ledger(run).rounds[1].record.previous == 1  # type: ignore[union-attr]
    assert world.rounds.call("record", run, 1) == (bytes(30), 0)  # a direct run keeps the latest only
    assert world.rounds.call("record", run, 2) == (world.ledger(run).rounds[1].record.hash(), 1)  # type: ignore[union-attr]
    assert world.rounds.call("lastRecorded", run) == 2


def test_the_second_settlement_wants_the_firsts_standings(world: World) -> None:
    run = start(world)
    reports = dict.fromkeys(range(3), report_of(2))
    settle(world, run, reports)
    world.play(run, reports, (0, 1))
    good, params = world.inputs(run, 2), params_tuple(world.ledger(run).terms)
    for standings in (b"", good[3][96:], good[3][:-1] + b"\1"):
        with reverts("StandingsMismatch", keccak256(good[1] + good[3]), keccak256(good[1] + standings)):
            wrong = (*good[:3], standings)
            world.settlement.send("settle", run, params, wrong, world.evidence(run, 2), sender=STRANGER)
    world.settle(run)


def test_a_direct_run_takes_no_proposals(world: World) -> None:
    run, _ = at_settle(world)
    outcome = (bytes(24), 0, bytes(32), 0, 0, NOBODY, bytes(32))
    for name, args in (("propose", (1, outcome)), ("challenge", (1,)), ("finalise", ([], ([], [], [])))):
        with reverts("NotProposing", run):
            world.settlement.send(name, run, *args, sender=STRANGER)
    assert world.settlement.call("docket", run) == (0, 0, 0, bytes(24))
    assert world.settlement.call("tip", run) == bytes(32)
    assert world.settlement.call("isCaughtUp", run)


def test_anyone_may_ask_what_a_settlement_would_give(world: World) -> None:
    run, _ = at_settle(world)
    ledger = world.ledger(run)
    transition = Contract(world.chain, world.settlement.call("transition"), artifacts.load("Transition").abi)
    outcome, effects, slices = transition.call(
        "execute", 0, params_tuple(ledger.terms), world.inputs(run, 1), world.evidence(run, 1)
    )
    execution = ledger.round.execution
    assert execution is not None
    assert outcome == outcome_tuple(execution.outcome)
    assert [list(part) for part in effects] == list(effects_tuple(execution.effects))
    assert slices == ()


# Transitions, each compared with the specification


def test_four_rounds_with_joins_exits_and_misses(world: World) -> None:
    run = start(world)
    settle(world, run, dict.fromkeys(range(3), report_of(2)))
    world.join(run, trainer(2), Role.TRAINER, P.trainer_stake_wei)
    world.join(run, verifier(3), Role.VERIFIER, 2 * P.verifier_stake_wei)
    missing = Report(1_900_000, report_of(2).words, (Row(Verdict.OK, 900, 1_000), Row(Verdict.MISSING, 0, -(2**31))))
    settle(world, run, dict.fromkeys(range(3), missing), [0])
    assert world.ledger(run).final.trainers[1].misses == 1
    world.stakes.send("exit", run, sender=verifier(0))
    missing = Report(1_800_000, report_of(3).words, (*missing.rows, Row(Verdict.OK, 100, 700)))
    settle(world, run, {1: missing, 2: missing, 3: missing, 0: missing}, [0, 2])
    final = world.ledger(run).final
    assert final.trainers[1].misses == 2 and len(final.verifiers) == 4
    assert world.rounds.call("awaitedTrainers", run) == (0b101,)
    assert world.masks(run)["active"] == 0b1110
    # Trainer 1 comes back: it was not waited for, and is again from now on.
    said = world.submit_all(run, (0, 2))
    with reverts("TranscriptMismatch"):
        world.close(run, said[:1])
    honest = report_of(3)
    world.rounds.send("submit", run, b"1" * 32, 0, sender=trainer(1))
    world.close(run, [*said, (1, 0, b"1" * 32)])
    for act in (world.hold, world.commit, world.reveal):
        for v in (1, 2, 3):
            act(run, v) if act == world.hold else act(run, v, honest)  # type: ignore[call-arg]
    sent = world.settle(run)
    assert sent["PhaseOpened"].phase == Phase.ENDED  # the fourth of four
    assert world.rounds.call("awaitedTrainers", run) == (0b111,)


def test_without_quorum_nothing_changes_but_newcomers_are_written_down(world: World) -> None:
    run = start(world)
    sent = settle(world, run, {0: report_of(2), 1: report_of(2, salt="a"), 2: report_of(2, salt="b")})
    assert (cluster(sent), world.ledger(run).total_wei) == (0, 0)
    assert not sent.all("Slashed")
    assert len(world.ledger(run).final.standings) == 5
    assert world.clock(run)[2:] == (2, Phase.TRAIN)
    assert cluster(settle(world, run, dict.fromkeys(range(3), report_of(2)))) == 0b111


def test_a_lying_verifier_is_slashed_and_in_time_ejected(world: World) -> None:
    params = replace(P, slash_bps=3_000, max_rounds=9)
    run = start(world, params, verifiers=4)
    reports = {**dict.fromkeys(range(3), report_of(2)), 3: report_of(2, salt="lie")}
    for expected in (7_000, 4_900):
        settle(world, run, reports)
        left = world.stakes.call("stakesOf", run, [verifier(3)])[0]
        assert left == params.verifier_stake_wei * expected // 10_000
    assert world.masks(run)["active"] == 0b0111  # 49% of the required stake is too little
    assert world.rounds.call("seat", run, verifier(3))[1]
    settle(world, run, dict.fromkeys(range(3), report_of(2)))
    # The ejected leaves like anyone, after the delay; its seat was folded out once.
    sent = world.stakes.send("exit", run, sender=verifier(3))
    assert not sent.all("Retired")
    world.chain.warp_to(sent["Exiting"].releaseS)
    world.stakes.send("withdraw", run, sender=verifier(3))


def test_an_absent_verifier_pays_for_liveness(world: World) -> None:
    run = start(world, verifiers=4)
    slashed = settle(world, run, dict.fromkeys(range(3), report_of(2)))["Slashed"]
    assert slashed.account == verifier(3).lower()
    assert slashed.amountWei == P.verifier_stake_wei * P.liveness_bps // 10_000


def test_silence_costs_also_without_quorum_and_ejects_in_time(world: World) -> None:
    params = replace(P, liveness_bps=3_000, max_rounds=9)
    run = start(world, params)
    for expected in (7_000, 4_900):
        sent = settle(world, run, {0: report_of(2), 1: report_of(2, salt="a")})  # who contradicts loses nothing
        assert cluster(sent) == 0
        assert [e.account for e in sent.all("Slashed")] == [verifier(2).lower()]
        left = [params.verifier_stake_wei] * 2 + [params.verifier_stake_wei * expected // 10_000]
        assert world.stakes.call("stakesOf", run, [verifier(v) for v in range(3)]) == tuple(left)
    assert world.masks(run)["active"] == 0b011  # 49% of the required stake is too little
    assert cluster(settle(world, run, {0: report_of(2), 1: report_of(2)})) == 0b011  # who is left agrees


def test_a_grey_report_is_neither_paid_nor_slashed(world: World) -> None:
    run = start(world, verifiers=4)
    honest = report_of(2)
    grey = replace(honest, words=(honest.words[0] ^ (1 << 100) - 1, *honest.words[1:]))  # 100 bits away
    sent = settle(world, run, {0: honest, 1: honest, 2: honest, 3: grey})
    assert cluster(sent) == 0b0111
    assert not sent.all("Slashed")
    verifiers = world.ledger(run).final.verifiers
    assert verifiers[3].paid_wei == 0 < verifiers[0].paid_wei


def test_unlike_stakes_weigh(world: World) -> None:
    run = start(world, stakes=tuple(P.verifier_stake_wei * k for k in (7, 1, 1)))
    sent = settle(world, run, {0: report_of(2), 1: report_of(2, salt="a"), 2: report_of(2, salt="a")})
    assert cluster(sent) == 0b001
    assert len(sent.all("Slashed")) == 2


@pytest.mark.parametrize(("loss", "ends"), [(1_000_000, True), (1_000_001, False)])
def test_the_run_ends_when_its_target_is_reached(world: World, loss: int, ends: bool) -> None:
    run = start(world, replace(P, target_loss_micronats=1_000_000))
    settle(world, run, dict.fromkeys(range(3), report_of(2, loss=loss)))
    assert (world.phase(run) is Phase.ENDED) is ends


def test_no_target_is_never_reached(world: World) -> None:
    run = start(world)
    settle(world, run, dict.fromkeys(range(3), report_of(2, loss=0)))
    assert world.phase(run) is Phase.TRAIN


def test_a_retired_trainer_is_never_awaited_again(world: World) -> None:
    run = start(world)
    world.stakes.send("exit", run, sender=trainer(1))
    settle(world, run, dict.fromkeys(range(3), report_of(2)), [0])
    assert world.rounds.call("awaitedTrainers", run) == (0b01,)


def test_a_banned_trainer_is_not_awaited_until_it_is_over(world: World) -> None:
    run = start(world, replace(P, ban_trust_bps=9_999, ban_rounds=1))
    copied = replace(report_of(2), rows=(report_of(2).rows[0], Row(Verdict.DUPLICATE, 1_000, 1_500)))
    settle(world, run, dict.fromkeys(range(3), copied))
    assert world.ledger(run).final.trainers[1].ban_round == 2
    assert world.rounds.call("awaitedTrainers", run) == (0b01,)
    settle(world, run, dict.fromkeys(range(3), report_of(2)), [0])
    assert world.rounds.call("awaitedTrainers", run) == (0b11,)


def test_paid_claimable_unpromised_and_refunded_are_what_was_deposited(world: World) -> None:
    run, deposited = start(world, replace(P, max_rounds=2)), 1_000 * ETHER + 7
    for _ in range(2):
        settle(world, run, dict.fromkeys(range(3), report_of(2)))
    leaves = world.ledger(run).final.standings
    before = world.token.call("balanceOf", SPONSOR)
    claimed = 0
    for position, standing in enumerate(leaves):
        args = (run, world.token.address, standing.account, standing.paid_wei, *siblings(leaves, position))
        claimed += world.claim(*args, sender=STRANGER)["Claimed"].amountWei
    world.runs.send("refund", run, sender=STRANGER)
    refunded = world.token.call("balanceOf", SPONSOR) - before
    assert claimed == world.ledger(run).total_wei
    assert claimed + refunded == deposited


def test_rows_are_medians_not_means(world: World) -> None:
    run = start(world)
    said = [replace(report_of(2), rows=rows_of(gains)) for gains in ([100, 7], [200, 9], [2**31 - 501, 8])]
    settle(world, run, dict(enumerate(said)))
    settled = world.ledger(run).rounds[0].settlement
    assert settled and settled.consensus
    assert [row.common_gain_micronats for row in settled.consensus.rows] == [200, 8]
