"""Rows are the contract's abi.encodePacked, folded in order; a changed, dropped or moved row breaks where it stands."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache

import pytest
from eth_abi import encode
from eth_abi.packed import encode_packed
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from gradmint.spec import events
from gradmint.spec import transcript as tr
from gradmint.spec.docket import Outcome
from gradmint.spec.errors import TranscriptBroken
from gradmint.spec.events import (
    Admitted,
    Bonded,
    Burned,
    Challenged,
    Claimed,
    Committed,
    Event,
    Exiting,
    Expanded,
    Exposed,
    Forfeited,
    Funded,
    Held,
    Joined,
    Left,
    Opened,
    PhaseOpened,
    Pooled,
    Proposed,
    Rated,
    Recorded,
    Redirected,
    Refunded,
    Refuted,
    Retired,
    Revealed,
    Seized,
    Settled,
    Slashed,
    Submitted,
    Unbonded,
    Voided,
    Withdrawn,
)
from gradmint.spec.ledger import Ledger
from gradmint.spec.types import Phase, Role

from .synthetic import CHALLENGER, PROPOSER, PROPOSING, RUN, SMALL, Script, account, replay

words = st.binary(min_size=32, max_size=32)
short = st.binary(min_size=24, max_size=24)
addresses = st.binary(min_size=20, max_size=20)


def uint(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


int32 = st.integers(-(2**31), 2**31 - 1)

ROWS: list[tuple[Callable[..., bytes], list[str], list[st.SearchStrategy]]] = [
    (
        tr.phase_row,
        ["uint16", "uint8", "uint40", "bytes32", "bytes24"],
        [uint(16), st.sampled_from(Phase), uint(40), words, short],
    ),
    (tr.submitted_row, ["uint16", "int32", "bytes32"], [uint(16), int32, words]),
    (tr.held_row, ["uint8", "bytes32", "bytes"], [uint(8), words, st.binary(max_size=40)]),
    (tr.committed_row, ["uint8", "bytes32"], [uint(8), words]),
    (tr.revealed_row, ["uint8", "bytes32", "bytes32"], [uint(8), words, words]),
    (tr.settled_row, ["uint16", "bytes"], [uint(16), st.binary(min_size=114, max_size=114)]),
    (
        tr.admitted_row,
        ["uint8", "uint16", "address", "uint128"],
        [st.sampled_from(Role), uint(16), addresses, uint(128)],
    ),
    (tr.retired_row, ["uint8", "uint16"], [st.sampled_from(Role), uint(16)]),
    (tr.rated_row, ["uint8", "uint16", "uint32"], [st.sampled_from(Role), uint(16), uint(32)]),
]


@pytest.mark.parametrize(("row", "types", "strategies"), ROWS, ids=[row.__name__ for row, _, _ in ROWS])
@given(data=st.data())
@settings(max_examples=30)
def test_rows_are_packed_as_the_contract_packs(
    row: Callable[..., bytes], types: list[str], strategies: list[st.SearchStrategy], data: st.DataObject
) -> None:
    values = [data.draw(strategy) for strategy in strategies]
    assert row(*values) == encode_packed(types, values)


@given(short, st.sampled_from(tr.Kind), st.binary(max_size=60))
def test_fold(before: bytes, kind: tr.Kind, row: bytes) -> None:
    assert tr.fold(before, kind, row) == keccak(encode_packed(["bytes24", "uint8", "bytes"], [before, kind, row]))[:24]


def test_kinds_are_the_contracts() -> None:
    assert [kind.name for kind in tr.Kind] == [
        "PHASE",
        "SUBMITTED",
        "HELD",
        "COMMITTED",
        "REVEALED",
        "SETTLED",
        "ADMITTED",
        "RETIRED",
        "RATED",
    ]
    assert list(tr.Kind) == list(range(1, 10))
    assert tr.EMPTY.hex() == "00" * 24
    assert len({tr.fold(tr.EMPTY, kind, b"row") for kind in tr.Kind}) == 9


@given(uint(256), short)
def test_beacon(prevrandao: int, before: bytes) -> None:
    assert tr.beacon(prevrandao, before) == keccak(encode_packed(["uint256", "bytes24"], [prevrandao, before]))


@given(uint(256), addresses, uint(256), uint(16), addresses, words, words)
def test_commitment_is_the_abi_encodings_hash(
    chain_id: int, contract: bytes, run: int, round_: int, who: bytes, report_hash: bytes, salt: bytes
) -> None:
    types = ["uint256", "address", "uint256", "uint256", "address", "bytes32", "bytes32"]
    values = [chain_id, contract, run, round_, who, report_hash, salt]
    assert tr.commitment(chain_id, contract, run, round_, who, report_hash, salt) == keccak(encode(types, values))


def test_commitment_is_bound_to_everything() -> None:
    said = (1, b"\x01" * 20, 2, 3, b"\x02" * 20, b"\x04" * 32, b"\x03" * 32)
    other = (9, b"\x09" * 20, 9, 9, b"\x09" * 20, b"\x09" * 32, b"\x09" * 32)
    commitments = {tr.commitment(*said[:k], other[k], *said[k + 1 :]) for k in range(7)}
    assert len(commitments | {tr.commitment(*said)}) == 8


# A whole run, bent


@cache
def script() -> Script:
    """Two settled rounds and a void one: joins in between, an exit, a lie, silence, money, a seat given again."""
    play = Script(replace(SMALL, committee=4))
    play.open_round(trainers=3, verifiers=4)
    play.admit(Role.TRAINER)  # mid-run: takes part from round 2 on
    play.play({0, 1, 2}, liars={3})
    play.retire(Role.VERIFIER, 3)
    play.rate(Role.TRAINER, 1, 2**31)
    play.rate(Role.VERIFIER, 0, 2**32 - 10)
    play.phase(Phase.TRAIN)
    play.submit(0, -5)
    play.submit(0, 7)  # repeated: recorded, counts for nothing
    play.fund(10**18)
    play.void()
    play.admit(Role.VERIFIER)
    play.joined(Role.VERIFIER, 4, 55)
    play.admit(Role.TRAINER, index=2)
    play.phase(Phase.TRAIN)
    play.play({0, 3}, absent={1})
    play.admit(Role.VERIFIER)
    play.phase(Phase.TRAIN)
    play.play({0, 1}, absent={0, 1, 2})  # of five, so two of the drawn four at least: everyone is called in
    play.claim(account(Role.TRAINER, 0), 5)
    play.redirect(account(Role.TRAINER, 0), b"\x77" * 20)
    play.exit(account(Role.VERIFIER, 3), 10**6)
    play.withdraw(account(Role.VERIFIER, 3), 7)
    play.phase(Phase.ENDED)
    play.burn(1)
    play.refund(2)
    return play


@cache
def proposing() -> Script:
    """Three recorded rounds, settled by proposals: one of them refuted, one challenged in vain."""
    play = Script(PROPOSING)
    play.bond(PROPOSER, 4_000)
    play.bond(CHALLENGER, 3_000)
    for present in ({0, 1}, {0}, {0, 1, 2}):
        play.open_round(trainers=3, verifiers=4)
        play.play(present, absent={1})
    play.phase(Phase.ENDED)
    honest = play.ledger.rounds[0].execution
    assert honest is not None
    play.propose(1, replace(honest.outcome, total_wei=1))
    play.propose(2)
    play.challenge(1)
    play.refute(1)
    play.propose(1)
    play.challenge(1)
    play.finalise()
    play.settle(2)
    play.expose(3, 0, 0b101)
    play.propose(3)
    play.finalise()
    play.unbond(PROPOSER, 400)
    play.pool(300)
    return play


EVENTS = script().events
PROPOSED = proposing().events

# What each event's row holds; the transcript after it is compared as well.
FOLDED: dict[type[Event], set[str]] = {
    PhaseOpened: {"round", "phase", "deadline_s", "beacon", "roster"},
    Submitted: {"trainer", "claimed_gain_micronats", "digest"},
    Held: {"verifier", "base", "bitmap"},
    Committed: {"verifier", "commitment"},
    Revealed: {"verifier", "salt", "report"},
    Settled: {"round", "outcome"},
    Admitted: {"role", "index", "account", "stake_wei"},
    Retired: {"role", "index"},
    Rated: {"role", "index", "rating_q32"},
}
ROSTER = (Admitted, Retired, Rated)
# Outside the transcript, but hashed: a record fixes what was deposited and staked, the docket's tip what is pending.
HASHED = {Recorded, Proposed, Funded, Slashed}
# The auditor holds these against what the contracts keep, see roles/auditor.py.
UNFOLDED = {
    Opened, Claimed, Redirected, Left, Refunded, Joined, Exiting, Withdrawn, Burned, Bonded, Unbonded, Forfeited,
    Pooled, Voided, Challenged, Refuted, Expanded, Exposed, Seized,
}  # fmt: skip


def test_the_script_shows_every_event_there_is() -> None:
    declared = {kind for _, kind in inspect.getmembers(events, inspect.isclass) if issubclass(kind, Event)} - {Event}
    assert FOLDED.keys() | HASHED | UNFOLDED == declared
    assert {type(event) for event in (*EVENTS, *PROPOSED)} == declared


def test_events_fields_are_folded_or_known_not_to_be() -> None:
    for kind, folded in FOLDED.items():
        own = {item.name for item in fields(kind)} - {item.name for item in fields(Event)}
        assert own == folded | {"transcript"}


MID_RUN_JOIN = next(
    i
    for i, event in enumerate(EVENTS)
    if isinstance(event, Admitted) and (event.role, event.index) == (Role.TRAINER, 3)
)


def prefix(length: int) -> Ledger:
    return copy.deepcopy(_ledgers()[length])


@cache
def _ledgers() -> list[Ledger]:
    """The ledger after each number of events."""
    ledger, steps = Ledger(RUN), []
    for event in EVENTS:
        steps.append(copy.deepcopy(ledger))
        ledger.apply(event)
    return [*steps, ledger]


def alterations_of(outcome: Outcome) -> Iterator[Outcome]:
    for item in fields(Outcome):
        value = getattr(outcome, item.name)
        other = bytes([value[0] ^ 1]) + value[1:] if isinstance(value, bytes) else value ^ 8
        yield replace(outcome, **{item.name: other})


def alterations(event: Event) -> Iterator[Event]:
    """The event with one field of its row, or its transcript, changed."""
    for name in FOLDED[type(event)] | {"transcript"}:
        value = getattr(event, name)
        match value:
            case Outcome():
                values = list(alterations_of(value))
            case Phase():
                values = [Phase((value + 1) % len(Phase))]
            case Role():
                values = [Role(3 - value)]
            case int():
                values = [value + 1, value ^ 8]
            case bytes():
                values = [bytes([value[0] ^ 1]) + value[1:], value[:-1] + bytes([value[-1] ^ 0x80])]
                if name in ("bitmap", "report"):
                    values += [value + b"\0", value[:-1]]
        for other in values:
            assert other != value
            yield replace(event, **{name: other})


FOLDED_AT = [i for i, event in enumerate(EVENTS) if type(event) in FOLDED]


@pytest.mark.parametrize("i", FOLDED_AT, ids=lambda i: f"{i}-{type(EVENTS[i]).__name__}")
def test_an_altered_row_breaks_there(i: int) -> None:
    ledger = prefix(i)
    block, log = EVENTS[i].position
    for altered in alterations(EVENTS[i]):
        with pytest.raises(TranscriptBroken, match=f"{type(altered).__name__} at block {block} log {log}: "):
            ledger.apply(altered)
    ledger.apply(EVENTS[i])  # refusing left no trace


def first_break(ledger: Ledger, rows: list[Event]) -> int:
    """How many of ``rows`` fit before one does not."""
    for fitted, event in enumerate(rows):
        try:
            ledger.apply(event)
        except TranscriptBroken:
            return fitted
    raise AssertionError("everything fits")


def next_reader(i: int) -> int | None:
    """The first event after ``i`` whose check depends on event ``i``'s row.

    The next of its transcript; a phase, of a join or exit; the record, of a reveal.
    """
    mine = isinstance(EVENTS[i], ROSTER)
    for j in range(i + 1, len(EVENTS)):
        if isinstance(EVENTS[i], Revealed) and isinstance(EVENTS[j], Recorded):
            return j
        if j in FOLDED_AT and (isinstance(EVENTS[j], ROSTER) is mine or (mine and isinstance(EVENTS[j], PhaseOpened))):
            return j
    return None


@pytest.mark.parametrize("i", FOLDED_AT, ids=lambda i: f"{i}-{type(EVENTS[i]).__name__}")
def test_a_dropped_row_breaks_at_the_next(i: int) -> None:
    reader = next_reader(i)
    if reader is None:
        assert EVENTS[i] == EVENTS[FOLDED_AT[-1]]  # the last row of all: only the chain's own head tells
        assert replay(EVENTS[:i]).transcript != replay(EVENTS).transcript
        return
    assert first_break(prefix(i), EVENTS[i + 1 :]) == reader - i - 1


@pytest.mark.parametrize("i", FOLDED_AT, ids=lambda i: f"{i}-{type(EVENTS[i]).__name__}")
def test_a_repeated_row_breaks(i: int) -> None:
    with pytest.raises(TranscriptBroken):
        prefix(i + 1).apply(EVENTS[i])


@pytest.mark.parametrize("i", FOLDED_AT[:-1], ids=lambda i: f"{i}-{type(EVENTS[i]).__name__}")
def test_a_row_moved_behind_its_successor_breaks(i: int) -> None:
    reader = next_reader(i)
    assert reader is not None
    moved = [*EVENTS[i + 1 : reader + 1], EVENTS[i]]
    assert first_break(prefix(i), moved) == reader - i - 1


def test_a_join_may_trade_places_with_what_is_said_but_not_with_a_phase() -> None:
    """Two transcripts: joins and acts of one phase commute, and the ledger is the same either way."""
    at = MID_RUN_JOIN
    assert isinstance(EVENTS[at - 1], PhaseOpened)
    assert isinstance(EVENTS[at + 1], Submitted)
    later = [*EVENTS[:at], EVENTS[at + 1], EVENTS[at], *EVENTS[at + 2 :]]
    here, there = replay(EVENTS), replay(later)
    assert (here.transcript, here.roster, here.standings) == (there.transcript, there.roster, there.standings)
    earlier = [*EVENTS[: at - 1], EVENTS[at], EVENTS[at - 1]]
    assert first_break(Ledger(RUN), earlier) == at


@given(st.data())
@settings(max_examples=60)
def test_no_bit_of_a_report_can_change(data: st.DataObject) -> None:
    i = data.draw(st.sampled_from([i for i in FOLDED_AT if isinstance(EVENTS[i], Revealed)]))
    event = EVENTS[i]
    assert isinstance(event, Revealed)
    bit = data.draw(st.integers(0, 8 * len(event.report) - 1))
    bent = bytearray(event.report)
    bent[bit // 8] ^= 1 << bit % 8
    with pytest.raises(TranscriptBroken):
        _ledgers()[i].apply(replace(event, report=bytes(bent)))


def test_a_missing_join_names_the_roster() -> None:
    at = MID_RUN_JOIN
    phase = next(i for i in range(at, len(EVENTS)) if isinstance(EVENTS[i], PhaseOpened))
    ledger = prefix(at)
    for event in EVENTS[at + 1 : phase]:
        ledger.apply(event)
    with pytest.raises(TranscriptBroken, match="a row of the roster is missing or altered"):
        ledger.apply(EVENTS[phase])


def test_a_broken_row_names_both_hashes_and_the_round() -> None:
    i = next(i for i in FOLDED_AT if isinstance(EVENTS[i], Committed))
    event = EVENTS[i]
    assert isinstance(event, Committed)
    altered = replace(event, commitment=bytes(32))
    found = tr.fold(prefix(i).transcript, tr.Kind.COMMITTED, tr.committed_row(altered.verifier, bytes(32)))
    with pytest.raises(TranscriptBroken) as broken:
        prefix(i).apply(altered)
    assert str(broken.value).startswith("round 1, Committed at block")
    assert found.hex() in str(broken.value) and event.transcript.hex() in str(broken.value)
