"""Planted updates: whose words they are, what a round's rows say, who waved them through and what that costs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.spec import plant
from gradmint.spec.agreement import distance_bits
from gradmint.spec.params import MAX_TRAINERS, STANDARD
from gradmint.spec.seeds import assigned_trainers
from gradmint.spec.transcript import Kind
from gradmint.spec.types import CHUNK_ROWS, Phase, Report, Role, Row, Verdict

from .synthetic import FAIR, PROPOSING, SMALL, Script, make_report

ME, SECRET = b"\x11" * 20, b"\x22" * 32
HEAD, BODY = bytes(range(plant.WORDS_AT)), b"body"
words_counts = st.integers(1, 16)


def blob_of(words: int, body: bytes = BODY) -> bytes:
    return HEAD + bytes(32 * words) + body


def own_words(blob: bytes, words: int) -> list[int]:
    at = plant.WORDS_AT
    return [int.from_bytes(blob[at + 32 * j : at + 32 * j + 32], "big") for j in range(words)]


# Words


@given(st.binary(max_size=99), st.binary(min_size=20, max_size=20), st.binary(min_size=32, max_size=32), words_counts)
def test_what_is_planted_is_known_by_beneficiary_and_secret_alone(
    body: bytes, beneficiary: bytes, secret: bytes, words: int
) -> None:
    blob = plant.plant(blob_of(words, body), beneficiary, secret, words)
    assert plant.is_planted(blob, beneficiary, secret, words)
    assert len(blob) == len(blob_of(words, body))
    assert blob[: plant.WORDS_AT] == HEAD and blob[len(blob) - len(body) :] == body
    other = bytes([secret[0] ^ 1]) + secret[1:]
    assert not plant.is_planted(blob, beneficiary, other, words)
    assert not plant.is_planted(blob, bytes([beneficiary[0] ^ 1]) + beneficiary[1:], secret, words)


@given(st.integers(0, plant.WORDS_AT + 4 * 32 + len(BODY) - 1), st.integers(0, 7))
def test_a_planted_update_is_planted_to_the_last_bit(at: int, bit: int) -> None:
    blob = bytearray(plant.plant(blob_of(4), ME, SECRET, 4))
    blob[at] ^= 1 << bit
    assert not plant.is_planted(bytes(blob), ME, SECRET, 4)


@given(st.integers(0, plant.WORDS_AT - 1), st.integers(0, 7))
def test_words_follow_from_the_whole_update(at: int, bit: int) -> None:
    """Otherwise an update could be fitted to words that its maker knows, and say the truth about itself."""
    head = bytearray(HEAD)
    head[at] ^= 1 << bit
    planted = [
        own_words(plant.plant(blob, ME, SECRET, 4), 4)
        for blob in (blob_of(4), bytes(head) + bytes(128) + BODY, blob_of(4, BODY + b"\0"), blob_of(4, b"Body"))
    ]
    for i, one in enumerate(planted):
        for other in planted[:i]:
            assert 400 < distance_bits(one, other) < 624  # 7 standard deviations around a half


def test_words_that_are_there_do_not_matter() -> None:
    other = HEAD + bytes([255] * 128) + BODY
    assert plant.plant(other, ME, SECRET, 4) == plant.plant(blob_of(4), ME, SECRET, 4)


def test_no_words_pass_for_planted_ones_by_luck() -> None:
    """Two words at least, and an eighth of the bits at most, are what manifests allow."""
    bits = 2 * 256
    lucky = sum(math.comb(bits, k) for k in range(bits // 8 + 1))
    assert lucky << 200 < 1 << bits


@pytest.mark.parametrize("size", [0, plant.WORDS_AT, plant.WORDS_AT + 127])
def test_a_blob_without_room_for_its_words_is_not_planted(size: int) -> None:
    assert not plant.is_planted(bytes(size), ME, SECRET, 4)
    with pytest.raises(ValueError):
        plant.plant(bytes(size), ME, SECRET, 4)


# What a round says


def planted_round(script: Script, planted: int = 1) -> bytes:
    """A recorded round; returns the digest that trainer ``planted`` submitted first. Trainer 2 submits twice."""
    script.open_round()
    for trainer in (2, planted, 0, 2, planted):
        script.submit(trainer)
    script.phase(Phase.HOLD)
    for v in range(4):
        script.hold(v, {0, 1, 2})
    script.phase(Phase.COMMIT)
    script.assess(make_report([FAIR, FAIR, Row(Verdict.UNPROVEN, 0, -(2**31))]))
    first: bytes = script.ledger.round.first_submissions[planted].digest
    return first


@pytest.mark.parametrize("params", [SMALL, PROPOSING])
def test_a_rounds_rows_lead_to_its_record(params: object) -> None:
    script = Script(params)  # type: ignore[arg-type]
    for number in (1, 2):
        digest = planted_round(script)
        round_ = script.ledger.round
        record = round_.record
        assert record is not None and round_.number == number
        if script.ledger.is_direct:
            script.phase(Phase.SETTLE)  # a row that comes after the record
            script.settle()
        said = plant.replay(number, 3, round_.before, plant.rows_of(round_), 1)
        assert said == plant.Said(record.transcript, digest, round_.assessment_beacon)
        assert plant.replay(number, 3, round_.before, plant.rows_of(round_), 7).digest == b""


def test_when_everyone_was_called_in_the_second_assessment_counts() -> None:
    script = Script(replace(SMALL, committee=2))
    script.open_round()
    script.play({0, 1, 2}, liars={0, 2})
    if script.ledger.rounds[0].attempt == 1:  # the draw took two of a mind
        script = Script(replace(SMALL, committee=2))
        script.open_round()
        script.play({0, 1, 2}, liars={0, 1})
    round_ = script.ledger.rounds[0]
    assert round_.attempt == 2 and round_.first is not None and round_.record is not None
    said = plant.replay(1, 3, round_.before, plant.rows_of(round_), 0)
    assert said.transcript == round_.record.transcript
    assert said.beacon == round_.assessment_beacon != round_.first.assessment_beacon


def test_rows_that_no_round_says_are_refused_where_they_are() -> None:
    script = Script()
    planted_round(script)
    round_ = script.ledger.round
    rows, before = plant.rows_of(round_), round_.before

    def broken_at(rows: bytes, number: int = 1) -> int:
        with pytest.raises(ValueError) as caught:
            plant.replay(number, 3, before, rows, 1)
        return int(caught.value.args[0])

    assert broken_at(rows, number=2) == 0
    assert broken_at(rows[65:]) == 0  # without the phase that opened the round
    hold = rows.index(bytes([Kind.PHASE]) + b"\0\1" + bytes([Phase.HOLD]))
    assert broken_at(rows[hold:]) == 0
    assert broken_at(rows[:-1]) == len(rows) - 66
    for kind in (0, Kind.SETTLED, Kind.ADMITTED, Kind.RETIRED, 9, 255):
        assert broken_at(rows + bytes([kind]) + bytes(99)) == len(rows)
        assert broken_at(bytes([kind]) + rows[1:]) == 0
    nothing = plant.replay(1, 3, before, b"", 1)
    assert nothing == plant.Said(before, b"", b"")


# Who waved it through


@given(st.lists(st.tuples(st.sampled_from([None, *Verdict]), st.integers(0, 2)), min_size=1, max_size=6), st.data())
def test_guilty_is_whose_row_says_ok(said: list[tuple[Verdict | None, int]], data: st.DataObject) -> None:
    trainer = data.draw(st.integers(0, 4))
    reports = [
        None if verdict is None else make_report([FAIR if t != trainer else Row(verdict, 1, 1) for t in range(5)])
        for verdict, _ in said
    ]
    mask = plant.waved_through(trainer, reports, [stake_wei for _, stake_wei in said])
    for v, (verdict, stake_wei) in enumerate(said):
        assert mask >> v & 1 == (verdict is Verdict.OK and stake_wei > 0)
    assert mask < 1 << len(said)


def test_an_exposure_accuses_the_guilty_and_nobody_else() -> None:
    script = Script()
    script.open_round()
    script.submit(0)
    script.phase(Phase.HOLD)
    for v in range(4):
        script.hold(v, {0})
    script.phase(Phase.COMMIT)
    looked, waved = make_report([Row(Verdict.UNPROVEN, 0, -(2**31))] * 3), make_report([FAIR] * 3)
    for v in range(4):
        script.commit(v, waved if v in (1, 3) else looked)
    script.phase(Phase.REVEAL)
    for v in (0, 1, 3):
        script.reveal(v)
    script.record()
    round_ = script.ledger.round
    found = plant.exposure(SMALL, round_, 0, b"blob", SECRET)
    assert found is not None and round_.record is not None
    assert [bool(head) for head in found.heads] == [False, True, True] == [bool(rows) for rows in found.rows_of]
    head, chunks = Report.cut(waved.pack(), 1)
    assert found.heads[1:] == (head, head) and found.rows_of[1:] == (chunks[0], chunks[0])
    assert (found.trainer, found.secret, found.blob) == (0, SECRET, b"blob")
    assert found.size() == 4 + len(found.rows) + 2 * (len(head) + len(chunks[0]))
    script.phase(Phase.SETTLE)
    script.settle()
    script.open_round()
    script.play({0}, looked)
    assert plant.exposure(SMALL, script.ledger.round, 0, b"blob", SECRET) is None


def test_only_the_chunk_with_the_trainers_row_is_brought() -> None:
    packed = make_report([replace(FAIR, common_gain_micronats=i) for i in range(600)]).pack()
    head, chunks = Report.cut(packed, 1)
    assert [len(chunk) // Row.SIZE for chunk in chunks] == [CHUNK_ROWS, CHUNK_ROWS, 600 - 2 * CHUNK_ROWS]
    assert len(head) == Report.size(1, 0) + 3 * 32
    assert b"".join([packed[: Report.size(1, 0)], *chunks]) == packed


# What it costs


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1), st.integers(0, 10_000))
def test_no_more_is_taken_than_is_left_nor_than_the_slash(recorded_wei: int, left_wei: int, slash_bps: int) -> None:
    taken_wei = plant.seized_wei(replace(STANDARD, slash_bps=slash_bps), recorded_wei, left_wei)
    assert 0 <= taken_wei <= left_wei
    assert taken_wei * 10_000 <= recorded_wei * slash_bps
    if left_wei >= recorded_wei:
        assert taken_wei == recorded_wei * slash_bps // 10_000


# Whose header is looked at


@given(st.binary(min_size=32, max_size=32), st.integers(0, 70), st.integers(1, 64))
def test_the_beacon_draws_so_many_each_once(beacon: bytes, count: int, trainers: int) -> None:
    drawn = assigned_trainers(beacon, count, trainers)
    assert len(drawn) == len(set(drawn)) == min(count, trainers)
    assert set(drawn) <= set(range(trainers))


def test_everybody_is_drawn_as_often() -> None:
    """q of the inequality: min(1, assigned / trainers)."""
    times = [0] * 64
    for round_ in range(2_000):
        for trainer in assigned_trainers(round_.to_bytes(32, "big"), 16, 64):
            times[trainer] += 1
    assert sum(times) == 16 * 2_000
    assert all(400 < count < 600 for count in times)  # 500 expected, 5 standard deviations are 97


# The ledger


def test_an_exposure_moves_stake_to_a_bond() -> None:
    script = Script()
    planted_round(script)
    seat = script.ledger.seats[Role.VERIFIER][1]
    stake_wei = seat.stake_wei
    script.expose(1, 1, guilty=0b10)
    assert seat.stake_wei == stake_wei - stake_wei // 5
    assert [event.guilty for event in script.ledger.exposed] == [0b10]
    reward_wei = script.ledger.bonds_wei[script.ledger.exposed[0].exposer]
    assert reward_wei == stake_wei // 5 * 4 // 10
    script.phase(Phase.SETTLE)
    script.settle()
    script.open_round()
    assert script.ledger.round.stakes_wei[1] == seat.stake_wei


def test_at_most_as_many_can_be_drawn_as_the_field_holds() -> None:
    assert 1 <= STANDARD.assigned_trainers <= MAX_TRAINERS
