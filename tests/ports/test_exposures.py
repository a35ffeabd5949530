"""Planted updates and who waves them through, on both chains: every refusal, and what an exposure moves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from hashlib import sha256

import pytest

from gradmint.ports.chain import Exit, Expose, Pool, Submit, Unbond
from gradmint.spec import plant
from gradmint.spec.docket import split_bond
from gradmint.spec.errors import Reverted
from gradmint.spec.events import Exposed, Funded, Pooled, Retired, Seized
from gradmint.spec.types import Phase, Role

from .harness import PROPOSING, STAKE_WEI, Stage, refused

SECRET = b"\x5e" * 32
TAKEN_WEI = STAKE_WEI[Role.VERIFIER] // 5
REWARD_WEI, BURN_WEI, POOL_WEI = split_bond(TAKEN_WEI, 4_000, 3_000)


def planted_by(stage: Stage, trainer: int = 0, secret: bytes = SECRET) -> bytes:
    account = stage.trainers[trainer].account
    return plant.plant(bytes(plant.WORDS_AT + 32) + b"levels", account, secret, 1)


def speak(
    stage: Stage, looked: Collection[int] = (0, 1), blob: bytes | None = None, first: Collection[bytes] = ()
) -> bytes:
    """A round up to its record, in which trainer 0 planted its update; ``looked``: verifiers who do not call it OK."""
    blob = planted_by(stage) if blob is None else blob
    for digest in (*first, sha256(blob).digest()):
        stage.trainers[0].send(Submit(run=stage.run, digest=digest, claimed_gain_micronats=-7))
    stage.submit(1, 2)
    stage.close()
    everybody = range(3)
    stage.hold(*everybody)
    reports = {v: stage.report(v, gains=[0 if v in looked else 10, 20, 30]) for v in everybody}
    stage.commit(reports)
    stage.reveal(reports)
    return blob


def exposing(stage: Stage, blob: bytes, number: int = 0, secret: bytes = SECRET) -> Expose:
    """Of everybody who called trainer 0's update OK; of all who revealed, where nobody did."""
    ledger = stage.ledger()
    round_ = ledger.rounds[number - 1] if number else next(r for r in reversed(ledger.rounds) if r.record)
    assert round_.record is not None
    found = plant.exposure(ledger.terms, round_, 0, blob, secret)
    if found is None:
        nobody = (b"",) * len(round_.reveals)
        found = plant.Exposure(
            trainer=0, secret=secret, blob=blob, before=round_.before, rows=plant.rows_of(round_), heads=nobody,
            rows_of=nobody,
        )  # fmt: skip
    return Expose(run=stage.run, params=stage.params, record=round_.record, exposure=found)


def changed(call: Expose, **values: object) -> Expose:
    return replace(call, exposure=replace(call.exposure, **values))  # type: ignore[arg-type]


@pytest.mark.parametrize("terms", [{}, PROPOSING], ids=["direct", "proposing"])
def test_who_did_not_look_pays_and_the_planter_is_paid(stage: Stage, terms: dict[str, object]) -> None:
    stage.open(**terms).enrol()
    planter, guilty = stage.trainers[0], stage.verifiers[2]
    call = exposing(stage, speak(stage))
    receipt = planter.send(call)
    exposed, seized = receipt.events
    assert isinstance(exposed, Exposed) and isinstance(seized, Seized)
    assert (exposed.round, exposed.trainer, exposed.guilty) == (1, 0, 0b100)
    assert (exposed.exposer, exposed.secret) == (planter.account, SECRET)
    assert (seized.account, seized.beneficiary) == (guilty.account, planter.account)
    assert (seized.reward_wei, seized.burn_wei, seized.pool_wei) == (REWARD_WEI, BURN_WEI, POOL_WEI)
    people = [chain.account for chain in stage.verifiers]
    whole_wei = STAKE_WEI[Role.VERIFIER]
    assert stage.sponsor.stakes_wei(stage.run, people) == [whole_wei, whole_wei, whole_wei - TAKEN_WEI]
    assert stage.sponsor.bond_of(stage.run, planter.account) == (REWARD_WEI, 0)

    ledger = stage.ledger()
    assert ledger.exposed == [exposed] and ledger.seized == [seized]
    assert ledger.bonds_wei == {planter.account: REWARD_WEI}
    assert [seat.stake_wei for seat in ledger.seats[Role.VERIFIER]] == [whole_wei, whole_wei, whole_wei - TAKEN_WEI]

    before_wei = planter.token_balance_wei(stage.world.token, planter.account)
    planter.send(Unbond(run=stage.run, amount_wei=REWARD_WEI))
    assert planter.token_balance_wei(stage.world.token, planter.account) == before_wei + REWARD_WEI
    pooled, funded = stage.sponsor.send(Pool(run=stage.run)).events
    assert isinstance(pooled, Pooled) and isinstance(funded, Funded) and funded.amount_wei == POOL_WEI
    refused("AlreadyExposed", lambda: planter.send(call), stage.run, 1, 0)


def test_the_next_rounds_stakes_are_what_was_left(stage: Stage) -> None:
    stage.open().enrol()
    stage.trainers[0].send(exposing(stage, speak(stage)))
    stage.settle()
    stage.speak()
    record = stage.ledger().round.record
    assert record is not None
    whole_wei = STAKE_WEI[Role.VERIFIER]
    assert record.stakes_wei == (whole_wei, whole_wei, whole_wei - TAKEN_WEI)
    stage.settle()


def test_everybody_who_waved_it_through_pays_and_may_lose_the_seat(stage: Stage) -> None:
    stage.open(slash_bps=6_000).enrol()
    receipt = stage.trainers[0].send(exposing(stage, speak(stage, looked=())))
    assert [type(event) for event in receipt.events] == [Exposed, Seized, Retired, Seized, Retired, Seized, Retired]
    assert all(seat.gone for seat in stage.ledger().seats[Role.VERIFIER])


def test_a_settled_round_is_exposed_until_the_next_is_recorded(stage: Stage) -> None:
    stage.open().enrol()
    blob = speak(stage)
    stage.settle()
    call = exposing(stage, blob, 1)
    planter = stage.trainers[0]
    planter.sign(call)  # taken now
    stage.speak()
    refused("RecordMismatch", lambda: planter.send(call), stage.run, 1, bytes(30), call.record.hash())


def test_what_is_not_the_rounds_is_refused(stage: Stage) -> None:
    stage.open().enrol()
    planter, blob = stage.trainers[0], planted_by(stage)
    speak(stage, blob=blob)
    good = exposing(stage, blob)
    exposure, record = good.exposure, good.record
    refused("ParamsMismatch", lambda: planter.send(replace(good, params=replace(good.params, slash_bps=10_000))))
    other = replace(record, stakes_wei=tuple(2 * stake_wei for stake_wei in record.stakes_wei))
    refused("RecordMismatch", lambda: planter.send(replace(good, record=other)), stage.run, 1, record.hash())

    rows = exposure.rows
    refused("RoundRows", lambda: planter.send(changed(good, rows=rows[65:])), 0)
    refused("RoundRows", lambda: planter.send(changed(good, rows=rows[:-1])), len(rows) - 66)
    refused("RoundRows", lambda: planter.send(changed(good, rows=rows + b"\x06" + bytes(99))), len(rows))
    refused("TranscriptMismatch", lambda: planter.send(changed(good, before=b"\1" * 24)), record.transcript)
    without = rows[:65] + rows[65 + 39 :]
    refused("TranscriptMismatch", lambda: planter.send(changed(good, rows=without)), record.transcript)

    digest = sha256(blob).digest()
    refused("BlobMismatch", lambda: planter.send(changed(good, blob=b"other")), digest, sha256(b"other").digest())
    refused("BlobMismatch", lambda: planter.send(changed(good, trainer=3)), bytes(32), digest)
    refused("NotPlanted", lambda: planter.send(changed(good, secret=bytes(32))), planter.account, bytes(32))
    for thief in (stage.verifiers[0], stage.sponsor):
        refused("NotPlanted", lambda thief=thief: thief.send(good), thief.account, SECRET)  # type: ignore[misc]

    heads, rows_of = exposure.heads, exposure.rows_of
    refused("ReportCount", lambda: planter.send(changed(good, heads=heads[1:])), 3, 2)
    refused("ReportCount", lambda: planter.send(changed(good, rows_of=rows_of[1:])), 3)
    bent = (heads[2], *heads[1:])
    refused("ReportMismatch", lambda: planter.send(changed(good, heads=bent)), 0, record.reports[0])
    bent = (*rows_of[:2], bytes([rows_of[2][0] ^ 8]) + rows_of[2][1:])
    refused("ReportMismatch", lambda: planter.send(changed(good, rows_of=bent)), 2)
    planter.send(good)


def test_only_the_first_submission_counts(stage: Stage) -> None:
    stage.open().enrol()
    blob = speak(stage, first=[bytes(32)])
    refused("BlobMismatch", lambda: stage.trainers[0].send(exposing(stage, blob)), bytes(32), sha256(blob).digest())


def test_nobody_had_to_look_at_whom_the_beacon_did_not_draw(stage: Stage) -> None:
    stage.open(assigned_trainers=0).enrol()
    call = exposing(stage, speak(stage))
    refused("NotAssigned", lambda: stage.trainers[0].send(call), 1, 0)


def test_some_are_drawn_and_some_are_not(stage: Stage) -> None:
    """Chain and specification draw alike, round after round."""
    stage.open(assigned_trainers=1, max_rounds=60, **PROPOSING).enrol()
    drawn: list[bool] = []
    while len(set(drawn)) < 2:  # one in three is drawn; after 60 rounds without, once in 10^10 runs, it fails
        number = len(drawn) + 1
        blob = speak(stage, blob=planted_by(stage, secret=number.to_bytes(32, "big")))
        call = exposing(stage, blob, number, number.to_bytes(32, "big"))
        try:
            stage.trainers[0].sign(call)
            drawn.append(True)
        except Reverted as refusal:
            assert refusal.name == "NotAssigned"
            drawn.append(False)
        round_ = stage.ledger().rounds[number - 1]
        assert drawn[-1] is (plant.assigned(round_, 1) == [0])


def test_where_everybody_looked_there_is_no_case(stage: Stage) -> None:
    stage.open().enrol()
    call = exposing(stage, speak(stage, looked=(0, 1, 2)))
    refused("NobodyGuilty", lambda: stage.trainers[0].send(call), stage.run, 1, 0)


def test_who_is_not_accused_pays_nothing_and_cannot_be_accused_later(stage: Stage) -> None:
    stage.open().enrol()
    call = exposing(stage, speak(stage, looked=()))
    heads, rows_of = call.exposure.heads, call.exposure.rows_of
    some = changed(call, heads=(heads[0], b"", heads[2]), rows_of=(rows_of[0], b"", rows_of[2]))
    receipt = stage.trainers[0].send(some)
    assert [event.account for event in receipt.events if isinstance(event, Seized)] == [
        stage.verifiers[0].account,
        stage.verifiers[2].account,
    ]
    refused("AlreadyExposed", lambda: stage.trainers[0].send(call))


def test_a_seats_next_holder_is_not_touched(stage: Stage) -> None:
    stage.open(max_verifiers=3, **PROPOSING).enrol()
    blob = speak(stage)
    stage.verifiers[2].send(Exit(run=stage.run))
    stage.poke()
    stage.join(Role.VERIFIER, index=2)
    call = exposing(stage, blob, 1)
    refused("NobodyGuilty", lambda: stage.trainers[0].send(call), stage.run, 1, 0)


def test_whoever_is_on_the_way_out_still_pays(stage: Stage) -> None:
    stage.open().enrol()
    blob = speak(stage)
    stage.verifiers[2].send(Exit(run=stage.run))
    stage.trainers[0].send(exposing(stage, blob))
    left_wei = STAKE_WEI[Role.VERIFIER] - TAKEN_WEI
    assert stage.sponsor.stakes_wei(stage.run, [stage.verifiers[2].account]) == [left_wei]


def test_a_round_without_a_record_has_nothing_to_expose(stage: Stage) -> None:
    stage.open().enrol()
    call = exposing(stage, speak(stage))
    stage.settle()
    assert stage.phase is Phase.TRAIN
    future = replace(call, record=replace(call.record, round=2))
    refused("RecordMismatch", lambda: stage.trainers[0].send(future), stage.run, 2, bytes(30))
