"""Attacks on exposures, each from first move to end: for another's reward, to hurt who is honest, to get away."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from world import (
    ETHER,
    STRANGER,
    World,
    address,
    random_bytes,
    report_of,
    reverts,
    trainer,
    verifier,
)

from gradmint.spec import plant
from gradmint.spec.docket import split_bond
from gradmint.spec.params import LOCAL, Params
from gradmint.spec.plant import Exposure
from gradmint.spec.types import Report, Role, Row, Verdict

MALLORY = address(667)
DIRECT = replace(LOCAL, max_rounds=6, min_trainers=2, min_verifiers=4)
PROPOSING = replace(DIRECT, challenge_s=600, extension_s=120, proposal_bond_wei=10 * ETHER, exit_s=DIRECT.exit_s + 720)
STAKE_WEI = DIRECT.verifier_stake_wei
TAKEN_WEI = STAKE_WEI // 5
WAVED = report_of(2)
LOOKED = replace(WAVED, rows=(Row(Verdict.UNPROVEN, 0, -(2**31)), *WAVED.rows[1:]))
HONEST = {0: LOOKED, 1: LOOKED, 2: LOOKED, 3: WAVED}  # verifier 3 does not look
HEAD = bytes(range(plant.WORDS_AT))


def account(name: str) -> bytes:
    return bytes.fromhex(name[2:])


def blob_of(name: str, secret: bytes, body: bytes = b"levels") -> bytes:
    return plant.plant(HEAD + bytes(128) + body, account(name), secret, 4)


def begin(world: World, params: Params = DIRECT) -> int:
    run = world.open(params)
    world.enrol(run, params, params.min_trainers, params.min_verifiers)
    return run


def play(world: World, run: int, blobs: list[bytes], reports: dict[int, Report]) -> None:
    """A round up to its record; trainer i submits ``blobs[i]``."""
    said = [(i, 7 - i, hashlib.sha256(blob).digest()) for i, blob in enumerate(blobs)]
    for i, gain, digest in said:
        world.rounds.send("submit", run, digest, gain, sender=trainer(i))
    world.close(run, said)
    for v in reports:
        world.hold(run, v)
    for v, report in reports.items():
        world.commit(run, v, report)
    for v, report in reports.items():
        world.reveal(run, v, report)


def exposure_of(world: World, run: int, blob: bytes, secret: bytes, number: int = 1, who: int = 0) -> Exposure:
    """Of everybody who revealed, guilty or not."""
    ledger = world.ledger(run)
    round_ = ledger.rounds[number - 1]
    cut = [Report.cut(round_.reveals[v].report, 4) for v in sorted(round_.reveals)]
    return Exposure(
        trainer=who,
        secret=secret,
        blob=blob,
        before=round_.before,
        rows=plant.rows_of(round_),
        heads=tuple(head for head, _ in cut),
        rows_of=tuple(chunks[0] for _, chunks in cut),
    )


def stakes(world: World, run: int, count: int = 4) -> list[int]:
    return list(world.stakes.call("stakesOf", run, [verifier(v) for v in range(count)]))


SECRET = random_bytes("secret")


@pytest.fixture
def planted(world: World) -> tuple[int, bytes]:
    """A recorded round in which trainer 0 planted its update and verifier 3 called it OK."""
    run, blob = begin(world), blob_of(trainer(0), SECRET)
    play(world, run, [blob, b"honest"], HONEST)
    return run, blob


def test_who_rubber_stamps_pays_the_planter(world: World, planted: tuple[int, bytes]) -> None:
    run, blob = planted
    sent = world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))
    assert stakes(world, run) == [STAKE_WEI] * 3 + [STAKE_WEI - TAKEN_WEI]
    reward_wei, burn_wei, pool_wei = split_bond(TAKEN_WEI, DIRECT.challenger_bps, DIRECT.burn_bps)
    assert world.stakes.call("bondOf", run, trainer(0)) == (reward_wei, 0)
    assert (sent["Exposed"].guilty, sent["Seized"].account) == (0b1000, verifier(3).lower())
    assert (sent["Seized"].burnWei, world.stakes.call("poolable", run)) == (burn_wei, pool_wei)
    assert [row.lost_wei for row in world.ledger(run).seized] == [TAKEN_WEI]
    assert world.stakes.call("exposed", run, 1, 0) and not world.stakes.call("exposed", run, 1, 1)


# For its reward


def test_a_guess_at_the_secret_exposes_nothing(world: World, planted: tuple[int, bytes]) -> None:
    run, blob = planted
    with reverts("NotPlanted", trainer(0), bytes(32)):
        world.expose(run, exposure_of(world, run, blob, bytes(32)), trainer(0))


def test_a_copied_transaction_pays_nobody(world: World, planted: tuple[int, bytes]) -> None:
    """Mallory sees the exposure on its way and sends the same bytes first."""
    run, blob = planted
    copied = exposure_of(world, run, blob, SECRET)
    for thief in (MALLORY, trainer(1), verifier(3)):
        with reverts("NotPlanted", thief, SECRET):
            world.expose(run, copied, thief)
    world.expose(run, copied, trainer(0))


def test_the_beneficiary_need_not_hold_the_seat(world: World) -> None:
    """Whom the words name is paid, whoever trained; nobody else is, the trainer included."""
    run, blob = begin(world), blob_of(STRANGER, SECRET)
    play(world, run, [blob, b"honest"], HONEST)
    with reverts("NotPlanted", trainer(0), SECRET):
        world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))
    world.expose(run, exposure_of(world, run, blob, SECRET), STRANGER)
    assert world.stakes.call("bondOf", run, STRANGER)[0] > 0


def test_one_plant_is_paid_for_once(world: World, planted: tuple[int, bytes]) -> None:
    run, blob = planted
    world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))
    with reverts("AlreadyExposed", run, 1, 0):
        world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))
    world.settle(run)
    with reverts("AlreadyExposed", run, 1, 0):
        world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))


def test_exposing_oneself_costs_more_than_it_brings(world: World, planted: tuple[int, bytes]) -> None:
    """Planter and rubber stamp are one: at least half of what the stake loses is gone."""
    run, blob = planted
    before_wei = stakes(world, run)[3] + world.stakes.call("bondOf", run, trainer(0))[0]
    world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))
    after_wei = stakes(world, run)[3] + world.stakes.call("bondOf", run, trainer(0))[0]
    assert before_wei - after_wei >= TAKEN_WEI // 2


# To hurt who is honest


def test_another_rounds_plant_says_nothing_about_this_one(world: World) -> None:
    """In round 2 trainer 0 is honest; its plant of round 1, and its rows, do not accuse who calls it OK now."""
    run, blob = begin(world, PROPOSING), blob_of(trainer(0), SECRET)
    play(world, run, [blob, b"honest"], dict.fromkeys(range(4), LOOKED))
    honest = HEAD + random_bytes("w") * 4 + b"levels"
    play(world, run, [honest, b"honest"], dict.fromkeys(range(4), WAVED))
    old, new = exposure_of(world, run, blob, SECRET), exposure_of(world, run, blob, SECRET, 2)
    digest, planted = hashlib.sha256(honest).digest(), hashlib.sha256(blob).digest()
    with reverts("BlobMismatch", digest, planted):
        world.expose(run, new, trainer(0), 2)
    with reverts("RoundRows", 0):
        world.expose(run, replace(new, before=old.before, rows=old.rows), trainer(0), 2)
    renumbered = old.rows[:1] + b"\0\2" + old.rows[3:]
    with reverts("TranscriptMismatch"):
        world.expose(run, replace(new, before=old.before, rows=renumbered), trainer(0), 2)
    with reverts("NotPlanted"):
        world.expose(run, replace(new, blob=honest), trainer(0), 2)
    with reverts("NobodyGuilty", run, 1, 0):
        world.expose(run, old, trainer(0))
    assert stakes(world, run) == [STAKE_WEI] * 4


def test_a_second_submission_is_not_the_one_that_was_judged(world: World) -> None:
    """The verifiers looked at the first; a planted one behind it is nobody's fault."""
    run, blob = begin(world), blob_of(trainer(0), SECRET)
    said = [(0, 7, random_bytes("honest")), (1, 6, random_bytes("other")), (0, 5, hashlib.sha256(blob).digest())]
    for i, gain, digest in said:
        world.rounds.send("submit", run, digest, gain, sender=trainer(i))
    world.close(run, said)
    for act in (world.hold, world.commit, world.reveal):
        for v in range(4):
            act(run, v) if act == world.hold else act(run, v, WAVED)  # type: ignore[call-arg,comparison-overlap]
    with reverts("BlobMismatch", random_bytes("honest"), hashlib.sha256(blob).digest()):
        world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))
    rows = exposure_of(world, run, blob, SECRET).rows
    first = bytes([2]) + bytes(2) + (7).to_bytes(4, "big") + random_bytes("honest")
    assert first in rows
    with reverts("TranscriptMismatch"):
        world.expose(run, replace(exposure_of(world, run, blob, SECRET), rows=rows.replace(first, b"")), trainer(0))
    assert stakes(world, run) == [STAKE_WEI] * 4


def test_words_elsewhere_in_the_blob_are_no_plant(world: World) -> None:
    """Where words stand is not for the exposer to say: honest ones in front, planted ones behind, is honest."""
    run = begin(world)
    hidden = blob_of(trainer(0), SECRET)[plant.WORDS_AT :]
    blob = HEAD + random_bytes("honest words") * 4 + hidden
    play(world, run, [blob, b"honest"], dict.fromkeys(range(4), WAVED))
    with reverts("NotPlanted"):
        world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))
    assert stakes(world, run) == [STAKE_WEI] * 4


def test_who_said_it_is_wrong_is_not_guilty_whatever_it_called_it(world: World) -> None:
    run, blob = begin(world), blob_of(trainer(0), SECRET)
    verdicts = (Verdict.UNPROVEN, Verdict.MISSING, Verdict.MALFORMED, Verdict.DUPLICATE)
    reports = {v: replace(WAVED, rows=(Row(verdict, 0, -(2**31)), WAVED.rows[1])) for v, verdict in enumerate(verdicts)}
    play(world, run, [blob, b"honest"], reports)
    with reverts("NobodyGuilty", run, 1, 0):
        world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))


def test_reports_that_were_never_revealed_accuse_nobody(world: World, planted: tuple[int, bytes]) -> None:
    run, blob = planted
    good = exposure_of(world, run, blob, SECRET)
    forged = (good.rows_of[3], *good.rows_of[1:])  # verifier 3's rows under verifier 0's head
    with reverts("ReportMismatch"):
        world.expose(run, replace(good, rows_of=forged), trainer(0))
    with reverts("ReportMismatch"):
        world.expose(run, replace(good, heads=(good.heads[3], *good.heads[1:]), rows_of=forged), trainer(0))


def test_nobody_had_to_look_at_whom_the_beacon_did_not_draw(world: World) -> None:
    run, blob = begin(world, replace(DIRECT, assigned_trainers=0)), blob_of(trainer(0), SECRET)
    play(world, run, [blob, b"honest"], dict.fromkeys(range(4), WAVED))
    with reverts("NotAssigned", 1, 0):
        world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))


def test_a_seats_next_holder_does_not_pay_for_the_one_before(world: World) -> None:
    params = replace(PROPOSING, max_verifiers=4)
    run, blob = begin(world, params), blob_of(trainer(0), SECRET)
    play(world, run, [blob, b"honest"], HONEST)
    world.stakes.send("exit", run, sender=verifier(3))
    world.overdue(run)
    world.rounds.send("poke", run, sender=STRANGER)
    world.join(run, verifier(9), Role.VERIFIER, STAKE_WEI)
    assert world.rounds.call("verifiersAt", run, 3, 4) == (verifier(9).lower(),)
    with reverts("NobodyGuilty", run, 1, 0):
        world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))
    assert world.stakes.call("stakesOf", run, [verifier(9)]) == (STAKE_WEI,)


# To get away


def test_saying_that_it_was_not_asked_for_does_not_help(world: World) -> None:
    """A row without an assigned gain says that the beacon did not draw the trainer; the chain draws again."""
    run, blob = begin(world), blob_of(trainer(0), SECRET)
    denial = replace(WAVED, rows=(Row(Verdict.OK, 1_000, -(2**31)), WAVED.rows[1]))
    play(world, run, [blob, b"honest"], HONEST | {3: denial})
    world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))
    assert stakes(world, run)[3] == STAKE_WEI - TAKEN_WEI


def test_a_majority_does_not_help(world: World) -> None:
    run, blob = begin(world), blob_of(trainer(0), SECRET)
    play(world, run, [blob, b"honest"], {0: LOOKED, 1: WAVED, 2: WAVED, 3: WAVED})
    world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))
    assert stakes(world, run) == [STAKE_WEI] + [STAKE_WEI - TAKEN_WEI] * 3
    world.settle(run)


def test_leaving_does_not_help(world: World, planted: tuple[int, bytes]) -> None:
    run, blob = planted
    world.stakes.send("exit", run, sender=verifier(3))
    world.settle(run)
    with reverts("StillLocked"):
        world.stakes.send("withdraw", run, sender=verifier(3))
    world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))
    assert stakes(world, run)[3] == STAKE_WEI - TAKEN_WEI


def test_lying_about_the_signature_as_well_is_judged_by_both(world: World) -> None:
    """Slashed by the settlement for its words, seized by the exposure for its row; never more than there is."""
    params = replace(DIRECT, slash_bps=6_000)
    run, blob = begin(world, params), blob_of(trainer(0), SECRET)
    far = replace(report_of(2, salt="another batch"), rows=WAVED.rows)
    play(world, run, [blob, b"honest"], HONEST | {3: far})
    world.settle(run)
    assert stakes(world, run)[3] == STAKE_WEI * 4 // 10
    world.expose(run, exposure_of(world, run, blob, SECRET), trainer(0))
    assert stakes(world, run)[3] == 0
