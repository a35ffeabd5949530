"""Rounds: every guard, every way a phase ends, and the transcript of it all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from world import DEPLOYER, ETHER, STRANGER, World, random_bytes, report_of, reverts, trainer, verifier

from gradmint.spec import transcript
from gradmint.spec.params import LOCAL
from gradmint.spec.transcript import Kind
from gradmint.spec.types import UNSAMPLED, Phase, Report, Role, Row, Verdict

P = replace(LOCAL, min_trainers=2, min_verifiers=3, max_rounds=3, reveal_s=600, exit_s=900)


def started(world: World, trainers: int = 2, verifiers: int = 3) -> int:
    run = world.open(P)
    world.enrol(run, P, trainers, verifiers)
    return run


def in_phase(world: World, phase: Phase) -> int:
    """A run of two trainers and three verifiers whose first round has come to ``phase``."""
    run = started(world)
    if phase > Phase.TRAIN:
        world.close(run, world.submit_all(run, (0, 1)))
    for act, until in ((world.hold, Phase.HOLD), (world.commit, Phase.COMMIT), (world.reveal, Phase.REVEAL)):
        if phase > until:
            for v in range(3):
                act(run, v) if until is Phase.HOLD else act(run, v, report_of(2))
    assert world.phase(run) is phase
    return run


def poke(world: World, run: int):  # type: ignore[no-untyped-def]
    world.overdue(run)
    return world.rounds.send("poke", run, sender=STRANGER)


# Enrolment


def test_round_1_opens_when_both_minima_have_joined(world: World) -> None:
    run = world.open(P)
    world.enrol(run, P, 2, 2)
    assert world.clock(run) == (bytes(24), 0, 0, Phase.ENROL)
    opened = world.join(run, verifier(2), Role.VERIFIER, P.verifier_stake_wei)["PhaseOpened"]
    assert (opened.round, opened.phase, opened.deadline) == (1, Phase.TRAIN, world.chain.now() + P.train_s)
    assert world.clock(run) == (opened.transcript, opened.deadline, 1, Phase.TRAIN)
    assert world.rounds.call("opening", run) == opened.transcript
    assert world.masks(run) == dict(held=0, committed=0, revealed=0, eligible=7, active=7, awaited=7, missed=0, gone=0)
    roster, *counts = world.rounds.call("counts", run)
    assert (roster, counts) == (opened.roster, [2, 2, 0, 3, 3])
    assert world.rounds.call("awaitedTrainers", run) == (3,)
    assert world.rounds.call("trainersAt", run, 0, 2) == (trainer(0).lower(), trainer(1).lower())
    assert world.rounds.call("verifiersAt", run, 1, 3) == (verifier(1).lower(), verifier(2).lower())


def test_who_left_before_round_1_does_not_count(world: World) -> None:
    run = world.open(P)
    world.enrol(run, P, 2, 2)
    world.stakes.send("exit", run, sender=trainer(0))
    world.stakes.send("exit", run, sender=verifier(0))
    world.join(run, verifier(2), Role.VERIFIER, P.verifier_stake_wei)
    assert world.phase(run) is Phase.ENROL
    world.join(run, verifier(3), Role.VERIFIER, P.verifier_stake_wei)
    world.join(run, trainer(2), Role.TRAINER, P.trainer_stake_wei)
    assert world.phase(run) is Phase.TRAIN
    assert world.masks(run)["active"] == 0b1110
    assert world.rounds.call("awaitedTrainers", run) == (0b110,)
    with reverts("NotSeated", run, trainer(0), Role.TRAINER):
        world.rounds.send("submit", run, b"d" * 32, 0, sender=trainer(0))


def test_siblings_calls_are_siblings(world: World) -> None:
    run = started(world)
    seat, schedule = (run, 1, STRANGER, 1), (*(1,) * 12, True)
    for name, args, sibling in (
        ("create", (run, schedule), world.runs),
        ("cancel", (run,), world.runs),
        ("admit", seat, world.stakes),
        ("retire", (run, trainer(0)), world.stakes),
        ("conclude", (run, 1, b"t" * 24, 0, [], [], True), world.settlement),
        ("expand", (run,), world.settlement),
    ):
        with reverts("OnlySibling", DEPLOYER, sibling.address):
            world.rounds.send(name, *args, sender=DEPLOYER)


# TRAIN


def test_a_submission_is_one_row_and_one_event(world: World) -> None:
    run = started(world)
    before = world.clock(run)[0]
    said = world.rounds.send("submit", run, b"d" * 32, -(2**31), sender=trainer(1))["Submitted"]
    after = transcript.fold(before, Kind.SUBMITTED, transcript.submitted_row(1, -(2**31), b"d" * 32))
    assert said.stamp == (1).to_bytes(2, "big") + (-(2**31)).to_bytes(4, "big", signed=True) + bytes(2) + after
    assert (said.run, said.digest) == (run, b"d" * 32)
    assert world.clock(run)[0] == after


def test_submit_refuses(world: World) -> None:
    run = started(world)
    for account in (STRANGER, verifier(0)):
        with reverts("NotSeated", run, account, Role.TRAINER):
            world.rounds.send("submit", run, b"d" * 32, 0, sender=account)
    world.join(run, trainer(2), Role.TRAINER, P.trainer_stake_wei)
    with reverts("NotYet", 2, 1):
        world.rounds.send("submit", run, b"d" * 32, 0, sender=trainer(2))
    world.stakes.send("exit", run, sender=trainer(0))
    with reverts("NotSeated", run, trainer(0), Role.TRAINER):
        world.rounds.send("submit", run, b"d" * 32, 0, sender=trainer(0))
    deadline = world.clock(run)[1]
    world.overdue(run)
    with reverts("Overdue"):
        world.rounds.send("submit", run, b"d" * 32, 0, sender=trainer(1))
    assert world.chain.now() >= deadline
    with reverts("WrongPhase", 999, Phase.TRAIN, Phase.ENROL):
        world.rounds.send("submit", 999, b"d" * 32, 0, sender=trainer(1))
    with reverts("WrongPhase"):
        world.rounds.send("submit", in_phase(world, Phase.HOLD), b"d" * 32, 0, sender=trainer(1))


def test_close_wants_every_submission_in_chain_order(world: World) -> None:
    run = started(world)
    first, second = world.submit_all(run, (0, 1))
    again = (0, 5, random_bytes("again"))
    world.rounds.send("submit", run, again[2], again[1], sender=trainer(0))
    for wrong in ([second, first, again], [first, second], [first, second, (0, 6, again[2])], []):
        with reverts("TranscriptMismatch"):
            world.close(run, wrong)
    with reverts("TranscriptMismatch"):
        world.close(run, [first, second, again, (65_535, 0, bytes(32))])
    assert world.close(run, [first, second, again])["PhaseOpened"].phase == Phase.HOLD


def test_close_waits_for_the_awaited(world: World) -> None:
    run = started(world)
    with reverts("StillAwaited", 1):
        world.close(run, world.submit_all(run, (0,)))


def test_close_does_not_wait_for_who_left(world: World) -> None:
    run = started(world)
    world.stakes.send("exit", run, sender=trainer(1))
    assert world.rounds.call("awaitedTrainers", run) == (1,)
    world.close(run, world.submit_all(run, (0,)))
    assert world.phase(run) is Phase.HOLD


def test_close_with_nobody_awaited_is_refused(world: World) -> None:
    """Else anybody could shut a phase at once that some trainer wants to come back in."""
    run = started(world)
    for i in (0, 1):
        world.stakes.send("exit", run, sender=trainer(i))
    with reverts("NobodyAwaited", run):
        world.close(run, [])


def test_who_joins_later_is_awaited_from_its_first_round_on(world: World) -> None:
    run = started(world)
    world.join(run, trainer(2), Role.TRAINER, P.trainer_stake_wei)
    world.join(run, verifier(3), Role.VERIFIER, P.verifier_stake_wei)
    assert world.masks(run)["active"] == 0b111
    world.close(run, world.submit_all(run, (0, 1)))
    poke(world, run)  # nobody holds: void
    assert world.clock(run)[2] == 2
    assert world.masks(run)["active"] == 0b1111
    assert world.masks(run)["awaited"] == 0b1111
    with reverts("StillAwaited", 2):
        world.close(run, world.submit_all(run, (0, 1)))


# HOLD, COMMIT, REVEAL


def test_guards_of_the_committee(world: World) -> None:
    report = report_of(2)
    for phase in (Phase.HOLD, Phase.COMMIT, Phase.REVEAL):
        run = in_phase(world, phase)
        name, args = {
            Phase.HOLD: ("hold", (run, b"\3", b"b" * 32)),
            Phase.COMMIT: ("commit", (run, b"c" * 32)),
            Phase.REVEAL: ("reveal", (run, report.pack(), random_bytes("salt", 0))),
        }[phase]
        for account in (STRANGER, trainer(0)):
            with reverts("NotSeated", run, account, Role.VERIFIER):
                world.rounds.send(name, *args, sender=account)
        world.join(run, verifier(3), Role.VERIFIER, P.verifier_stake_wei)
        with reverts("NotOnCommittee", run, 3):
            world.rounds.send(name, *args, sender=verifier(3))
        world.rounds.send(name, *args, sender=verifier(0))
        with reverts("AlreadyActed", run, 0, phase):
            world.rounds.send(name, *args, sender=verifier(0))
        world.overdue(run)
        with reverts("Overdue"):
            world.rounds.send(name, *args, sender=verifier(1))
        other = started(world)
        with reverts("WrongPhase", other, phase, Phase.TRAIN):
            world.rounds.send(name, other, *args[1:], sender=verifier(1))


def test_hold_wants_one_bit_per_trainer(world: World) -> None:
    run = in_phase(world, Phase.HOLD)
    for bitmap in (b"", b"\0\0"):
        with reverts("BitmapLength", 1, len(bitmap)):
            world.rounds.send("hold", run, bitmap, b"b" * 32, sender=verifier(0))


def test_reveal_opens_exactly_its_own_commitment(world: World) -> None:
    run, other = in_phase(world, Phase.COMMIT), in_phase(world, Phase.COMMIT)
    report, salt = report_of(2), random_bytes("salt", 0)
    made = world.commitment(run, 0, report.pack(), salt)
    world.rounds.send("commit", run, made, sender=verifier(0))
    world.rounds.send("commit", run, made, sender=verifier(1))  # a copy
    world.rounds.send("commit", other, made, sender=verifier(0))  # another run
    world.commit(run, 2, report)
    for r in (run, other):
        if world.phase(r) is Phase.COMMIT:
            poke(world, r)
    for r, v, salted in ((run, 1, salt), (other, 0, salt), (run, 0, random_bytes("other"))):
        with reverts("RevealMismatch"):
            world.rounds.send("reveal", r, report.pack(), salted, sender=verifier(v))
    with reverts("RevealMismatch"):
        world.rounds.send("reveal", run, replace(report, loss_micronats=1).pack(), salt, sender=verifier(0))
    world.rounds.send("reveal", run, report.pack(), salt, sender=verifier(0))


def test_reveal_without_a_commitment(world: World) -> None:
    run = in_phase(world, Phase.COMMIT)
    world.commit(run, 0, report_of(2))
    world.commit(run, 1, report_of(2))
    poke(world, run)
    with reverts("NotCommitted", run, 2):
        world.reveal(run, 2, report_of(2))
    world.reveal(run, 0, report_of(2))
    assert world.reveal(run, 1, report_of(2))["PhaseOpened"].phase == Phase.SETTLE  # all who committed


@pytest.mark.parametrize(
    ("packed", "error", "operands"),
    [
        (b"", "ReportLength", (4 + 4 * 32 + 18, 0)),
        (report_of(2).pack() + b"\0", "ReportLength", (150, 151)),
        (report_of(1).pack(), "ReportLength", (150, 141)),
        (report_of(2, words=3).pack(), "ReportLength", (150, 118)),
        (report_of(2).pack()[:-9] + b"\x09" + bytes(8), "MalformedRow", (1,)),
        (report_of(2).pack()[:-18] + b"\0\x80" + bytes(16), "MalformedRow", (0,)),
        (b"", "ReportLength", (150, 0)),
    ],
)
def test_reveal_refuses_malformed_reports(world: World, packed: bytes, error: str, operands: tuple[int, ...]) -> None:
    run = in_phase(world, Phase.COMMIT)
    for v in range(3):
        world.rounds.send("commit", run, b"c" * 32, sender=verifier(v))  # a malformed report has no hash
    with reverts(error, *operands):
        world.rounds.send("reveal", run, packed, random_bytes("salt", 0), sender=verifier(0))


def test_reveal_takes_the_extremes(world: World) -> None:
    run = in_phase(world, Phase.COMMIT)
    report = Report(
        2**32 - 1,
        (0, 2**256 - 1, 1, 2),
        (Row(Verdict.DUPLICATE, 1 - 2**31, UNSAMPLED), Row(Verdict.OK, 2**31 - 1, 2**31 - 1)),
    )
    for v in range(3):
        world.commit(run, v, report)
    revealed = world.reveal(run, 0, report)["Revealed"]
    assert (revealed.report, revealed.verifier, revealed.salt) == (report.pack(), 0, random_bytes("salt", 0))


def test_messages_hold_commitments_then_report_hashes(world: World) -> None:
    run = in_phase(world, Phase.REVEAL)
    made = [world.commitment(run, v, report_of(2).pack(), random_bytes("salt", v)) for v in range(3)]
    assert [world.rounds.call("message", run, v) for v in range(3)] == made
    world.reveal(run, 0, report_of(2))
    assert world.rounds.call("message", run, 0) == Report.hash(report_of(2).pack(), P.words)
    assert world.rounds.call("message", run, 1) == made[1]


def test_the_record_is_what_anyone_derives_from_the_events(world: World) -> None:
    run = in_phase(world, Phase.REVEAL)
    world.stakes.send("exit", run, sender=verifier(1))  # serves the round out
    for v in (2, 0):
        sent = world.reveal(run, v, report_of(2))
    assert not sent.all("Recorded")
    world.rich(STRANGER, world.runs)
    world.runs.send("fund", run, 5, sender=STRANGER)
    sent = poke(world, run)
    assert [e.name for e in sent.events] == ["Recorded", "PhaseOpened"]
    record = world.ledger(run).round.record  # whose hash the ledger compared with the chain's
    assert record is not None and sent["Recorded"].recordHash == record.hash()
    assert (record.active, record.revealed, len(record.reports)) == (0b111, 0b101, 2)
    assert record.deposited_wei == 1_000 * ETHER + 5
    assert record.stakes_wei == (P.verifier_stake_wei,) * 3
    assert world.rounds.call("record", run, 1) == (record.hash(), 0)
    assert world.rounds.call("lastRecorded", run) == 1


# Deadlines


def test_poke_wants_an_overdue_phase(world: World) -> None:
    run = world.open(P)
    with reverts("WrongPhase"):
        world.rounds.send("poke", run, sender=STRANGER)
    world.enrol(run, P, 2, 3)
    with reverts("NotOverdue"):
        world.rounds.send("poke", run, sender=STRANGER)
    world.runs.send("cancel", (ended := world.open(P)), sender=world.runs.call("info", ended)[0])
    with reverts("WrongPhase"):
        world.rounds.send("poke", ended, sender=STRANGER)


@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.HOLD, Phase.COMMIT, Phase.REVEAL, Phase.SETTLE])
def test_a_phase_in_which_nobody_acts_makes_the_round_void(world: World, phase: Phase) -> None:
    run = in_phase(world, phase)
    unpaid = world.runs.call("unpaid", run)
    sent = poke(world, run)
    assert (sent["Voided"].round, sent["Voided"].phase) == (1, phase)
    assert (sent["PhaseOpened"].round, sent["PhaseOpened"].phase) == (2, Phase.TRAIN)
    assert world.runs.call("unpaid", run) == unpaid
    assert world.stakes.call("burnable", run) == 5 * P.join_price_wei  # the seats, and nothing slashed
    masks = world.masks(run)
    assert (masks["held"], masks["committed"], masks["revealed"]) == (0, 0, 0)


def test_void_rounds_end_the_run_after_the_last(world: World) -> None:
    run = started(world)
    phases = [poke(world, run)["PhaseOpened"] for _ in range(3)]
    assert [(o.round, o.phase) for o in phases] == [(2, Phase.TRAIN), (3, Phase.TRAIN), (3, Phase.ENDED)]
    assert world.clock(run)[1:] == (0, 3, Phase.ENDED)


@pytest.mark.parametrize("phase", [Phase.TRAIN, Phase.HOLD, Phase.COMMIT, Phase.REVEAL])
def test_a_phase_with_one_actor_moves_on_by_deadline(world: World, phase: Phase) -> None:
    run = in_phase(world, phase)
    {
        Phase.TRAIN: lambda: world.submit_all(run, (1,)),
        Phase.HOLD: lambda: world.hold(run, 1),
        Phase.COMMIT: lambda: world.commit(run, 1, report_of(2)),
        Phase.REVEAL: lambda: world.reveal(run, 1, report_of(2)),
    }[phase]()
    sent = poke(world, run)
    assert not sent.all("Voided")
    assert (sent["PhaseOpened"].round, sent["PhaseOpened"].phase) == (1, phase + 1)


def test_who_misses_twice_in_a_row_is_no_longer_awaited_and_is_again_after_an_act(world: World) -> None:
    run = in_phase(world, Phase.HOLD)
    world.hold(run, 0)
    world.hold(run, 1)
    assert world.phase(run) is Phase.HOLD  # verifier 2 is awaited
    poke(world, run)
    assert (world.masks(run)["awaited"], world.masks(run)["missed"]) == (0b111, 0b100)
    world.commit(run, 0, report_of(2))
    world.commit(run, 1, report_of(2))
    assert world.phase(run) is Phase.COMMIT  # once is forgiven
    poke(world, run)
    assert (world.masks(run)["awaited"], world.masks(run)["missed"]) == (0b011, 0b100)
    poke(world, run)  # nobody reveals: void; the two who committed have one miss each
    assert world.masks(run)["missed"] == 0b111
    world.close(run, world.submit_all(run, (0, 1)))
    world.hold(run, 0)
    assert world.hold(run, 1)["PhaseOpened"].phase == Phase.COMMIT  # without verifier 2
    world.commit(run, 2, report_of(2))  # it comes back
    world.commit(run, 0, report_of(2))
    assert world.commit(run, 1, report_of(2))["PhaseOpened"].phase == Phase.REVEAL
    assert (world.masks(run)["awaited"], world.masks(run)["missed"]) == (0b111, 0)


def test_one_miss_between_acts_is_not_two_in_a_row(world: World) -> None:
    run = in_phase(world, Phase.HOLD)
    world.hold(run, 0)
    poke(world, run)
    for v in range(3):
        world.commit(run, v, report_of(2))
    assert world.masks(run)["missed"] == 0
    world.reveal(run, 0, report_of(2))
    poke(world, run)
    assert (world.masks(run)["awaited"], world.masks(run)["missed"]) == (0b111, 0b110)


def test_a_phase_that_awaits_nobody_lasts_to_its_deadline(world: World) -> None:
    run = in_phase(world, Phase.HOLD)
    poke(world, run)  # void, all missed once
    world.close(run, world.submit_all(run, (0, 1)))
    poke(world, run)  # void, all missed twice
    assert world.masks(run)["awaited"] == 0
    world.close(run, world.submit_all(run, (0, 1)))
    world.hold(run, 0)
    assert world.phase(run) is Phase.HOLD
    world.hold(run, 1)
    assert world.phase(run) is Phase.HOLD
    assert poke(world, run)["PhaseOpened"].phase == Phase.COMMIT
    assert world.masks(run)["awaited"] == 0b011


def test_a_verifier_that_leaves_serves_the_round_out(world: World) -> None:
    run = in_phase(world, Phase.HOLD)
    world.stakes.send("exit", run, sender=verifier(2))
    assert world.rounds.call("onDuty", run, verifier(2))
    for v in range(3):
        world.hold(run, v)
    assert world.phase(run) is Phase.COMMIT
    poke(world, run)
    assert world.masks(run)["active"] == 0b011
    assert not world.rounds.call("onDuty", run, verifier(2))


# The transcript


def test_an_auditor_can_replay_every_row(world: World) -> None:
    """The ledger folds all events of a run, in log order, and checks each row against the chain's transcript."""
    run = in_phase(world, Phase.REVEAL)
    world.join(run, trainer(2), Role.TRAINER, P.trainer_stake_wei)
    world.stakes.send("exit", run, sender=trainer(0))
    for v in range(3):
        world.reveal(run, v, report_of(2))
    world.settle(run)
    poke(world, run)
    ledger = world.ledger(run)
    assert ledger.transcript == world.clock(run)[0]
    assert ledger.roster == world.rounds.call("counts", run)[0]
    assert ledger.rounds[0].settled and ledger.rounds[1].voided


def test_beacons_follow_from_prevrandao_and_the_transcript(world: World) -> None:
    run = started(world)
    said = world.submit_all(run, (0, 1))
    before = world.clock(run)[0]
    opened = world.close(run, said)["PhaseOpened"]
    block = world.chain.rpc("eth_getBlockByNumber", "latest", False)
    assert opened.beacon == transcript.beacon(int(block["mixHash"], 16), before)
