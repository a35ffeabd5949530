"""A finished run as one readable file, and the chain reader over it: audits go on when the chain is gone.

The file is not trusted: it is bounded, every value has one spelling and a range (:mod:`recorded_values`), and whether
rows fit together is what the auditor finds out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..spec import events as ev
from ..spec.docket import Record
from ..spec.errors import ChainError
from ..spec.events import Event, Position
from .chain import BondAccount, ChainReader, Clock, DocketSlot, Escrow, LiveChallenge, RecordSlot
from .deployment import write_atomically
from .recorded_reputation import RecordedReputation, gather
from .recorded_values import Recording, keys, show
from .reputation import ReputationReader

_FORMAT = "gradmint recorded run 3"
_MAX_TRIES = 5

_EVENTS: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__subclasses__()}
_HEAD = (
    *("chain_id", "run", "run_count", "now_s", "runs_address", "stakes_address", "rounds_address"),
    *("standings_hash", "price_wei", "caught_up"),
)
_TABLES = ("stakes_wei", "claimed_wei", "left_wei", "token_balances_wei")


def record(
    chain: ChainReader,
    run: int,
    path: str | os.PathLike[str],
    holders: Iterable[bytes] = (),
    reputation: ReputationReader | None = None,
) -> None:
    """Write everything that an audit of ``run`` reads, balances of ``holders`` and what ``reputation`` says as well;
    all of it or nothing.

    Raises ChainError when the run keeps moving meanwhile, SettingsError when the file cannot be written.
    """
    for _ in range(_MAX_TRIES):
        events = list(chain.events(run))
        found = _gather(chain, run, events, holders)
        found["reputation"] = said = None if reputation is None else gather(reputation)
        is_still = reputation is None or said is None or len(reputation.events()) == len(said["events"])
        if is_still and not chain.events(run, events[-1].position if events else None):
            break
    else:
        raise ChainError(f"run {run} moved on {_MAX_TRIES} times while it was recorded: record it after its end")
    write_atomically(Path(path), (json.dumps(found, indent=1) + "\n").encode())


def _gather(chain: ChainReader, run: int, events: list[Event], holders: Iterable[bytes]) -> dict[str, Any]:
    clock, escrow = chain.clock(run), chain.escrow(run)
    seated = [event.account for event in events if isinstance(event, ev.Admitted)]
    payees = sorted({*seated, *(event.account for event in events if isinstance(event, ev.Claimed))})
    bonded = sorted(
        {event.account for event in events if isinstance(event, ev.Bonded)}
        | {event.beneficiary for event in events if isinstance(event, ev.Forfeited | ev.Seized)}
    )
    recorded = [event.round for event in events if isinstance(event, ev.Recorded)]
    challenge = chain.challenge_of(run)
    owners = sorted({chain.runs_address, chain.stakes_address, escrow.sponsor, *payees, *holders})
    gas = {tx_hash: chain.gas_used(tx_hash) for tx_hash in {event.tx_hash for event in events}}
    return {
        "format": _FORMAT,
        "chain_id": chain.chain_id,
        "run": run,
        "run_count": chain.run_count(),
        "now_s": chain.now_s(),
        "runs_address": show(chain.runs_address),
        "stakes_address": show(chain.stakes_address),
        "rounds_address": show(chain.rounds_address),
        "standings_hash": show(chain.standings_hash(run)),
        "price_wei": chain.price_wei(run),
        "caught_up": chain.caught_up(run),
        "clock": {item.name: show(getattr(clock, item.name)) for item in fields(clock)},
        "escrow": {item.name: show(getattr(escrow, item.name)) for item in fields(escrow)},
        "docket": _show_tuple(chain.docket(run)),
        "challenge": None if challenge is None else _show_tuple(challenge),
        "bonds": {show(account): _show_tuple(chain.bond_of(run, account)) for account in bonded},
        "records": {str(round_): _show_tuple(chain.record(run, round_)) for round_ in recorded},
        "stakes_wei": dict(zip(map(show, seated), chain.stakes_wei(run, seated), strict=True)),
        "claimed_wei": {show(account): chain.claimed_wei(run, account) for account in payees},
        "left_wei": {show(account): chain.left_wei(run, account) for account in seated},
        "token_balances_wei": {show(owner): chain.token_balance_wei(escrow.token, owner) for owner in owners},
        "events": [_show_event(event, gas[event.tx_hash]) for event in events],
    }


def _show_event(event: Event, gas: int) -> dict[str, Any]:
    own = [item.name for item in fields(event) if item.name not in ("run", "position", "tx_hash")]
    return {
        "event": type(event).__name__,
        "block": event.position[0],
        "log": event.position[1],
        **{name: show(getattr(event, name)) for name in own},
        "tx_hash": show(event.tx_hash),
        "gas": gas,
    }


def _show_tuple(value: RecordSlot | DocketSlot | LiveChallenge | BondAccount) -> dict[str, Any]:
    return {name: show(item) for name, item in value._asdict().items()}


class RecordedChain(Recording):
    """:class:`~gradmint.ports.chain.ChainReader` of the file's one run. Raises ChainError for any other content."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path)
        found = self._load()
        parts = ("clock", "escrow", "docket", "challenge", "bonds", "records", "events", "reputation")
        expected = {"format", *_HEAD, *_TABLES, *parts}
        if not isinstance(found, dict) or found.get("format") != _FORMAT or found.keys() != expected:
            raise self._bad("the file", keys(found), f"{_FORMAT!r} with exactly {sorted(expected)}")
        head = {name: self._value(name, found[name], name) for name in _HEAD}
        self.run: int = head["run"]
        self._head = head
        self._clock: Clock = self._make(Clock, "clock", found["clock"])
        self._escrow: Escrow = self._make(Escrow, "escrow", found["escrow"])
        self._docket: DocketSlot = self._make_tuple(DocketSlot, "docket", found["docket"])
        said = found["challenge"]
        self._challenge = None if said is None else self._make_tuple(LiveChallenge, "challenge", said)
        self._bonds: dict[bytes, BondAccount] = {
            self._value("account", account, "bonds"): self._make_tuple(BondAccount, "bonds", bond)
            for account, bond in self._items("bonds", found["bonds"])
        }
        self._records: dict[int, RecordSlot] = {
            self._number("records", number): self._make_tuple(RecordSlot, "records", slot)
            for number, slot in self._items("records", found["records"])
        }
        self._tables = {name: self._table(name, found[name]) for name in _TABLES}
        self._gas: dict[bytes, int] = {}
        self._events = self._rows(found["events"])
        said = found["reputation"]
        #: What the deployment's Reputation said; None when that was not recorded.
        self.reputation = None if said is None else RecordedReputation(path, said)

    @property
    def chain_id(self) -> int:
        return int(self._head["chain_id"])

    @property
    def rounds_address(self) -> bytes:
        return bytes(self._head["rounds_address"])

    @property
    def runs_address(self) -> bytes:
        return bytes(self._head["runs_address"])

    @property
    def stakes_address(self) -> bytes:
        return bytes(self._head["stakes_address"])

    def now_s(self) -> int:
        return int(self._head["now_s"])

    def run_count(self) -> int:
        return int(self._head["run_count"])

    def events(self, run: int, after: Position | None = None) -> Sequence[Event]:
        self._same(run)
        return [event for event in self._events if after is None or event.position > after]

    def clock(self, run: int) -> Clock:
        self._same(run)
        return self._clock

    def escrow(self, run: int) -> Escrow:
        self._same(run)
        return self._escrow

    def standings_hash(self, run: int) -> bytes:
        self._same(run)
        return bytes(self._head["standings_hash"])

    def record(self, run: int, round_: int) -> RecordSlot:
        self._same(run)
        return self._records.get(round_, RecordSlot(bytes(30), 0))

    def docket(self, run: int) -> DocketSlot:
        self._same(run)
        return self._docket

    def challenge_of(self, run: int) -> LiveChallenge | None:
        self._same(run)
        return self._challenge

    def bond_of(self, run: int, account: bytes) -> BondAccount:
        self._same(run)
        return self._bonds.get(account, BondAccount(0, 0))

    def price_wei(self, run: int) -> int:
        self._same(run)
        return int(self._head["price_wei"])

    def left_wei(self, run: int, account: bytes) -> int:
        self._same(run)
        return self._entry("left_wei", account)

    def is_heard(self, run: int, record: Record, chunk: int, rows: bytes, sums: Sequence[int]) -> bool:
        raise ChainError(f"{self._path} does not say which slices were heard: nothing can be refuted with a recording")

    def caught_up(self, run: int) -> bool:
        self._same(run)
        return bool(self._head["caught_up"])

    def stakes_wei(self, run: int, accounts: Sequence[bytes]) -> list[int]:
        self._same(run)
        return [self._entry("stakes_wei", account) for account in accounts]

    def claimed_wei(self, run: int, account: bytes) -> int:
        self._same(run)
        return self._entry("claimed_wei", account)

    def token_balance_wei(self, token: bytes, account: bytes) -> int:
        if token != self._escrow.token:
            raise ChainError(f"{self._path} records token 0x{self._escrow.token.hex()}, not 0x{token.hex()}")
        return self._entry("token_balances_wei", account)

    def gas_used(self, tx_hash: bytes) -> int:
        if tx_hash not in self._gas:
            raise ChainError(f"{self._path} has no transaction 0x{tx_hash.hex()}: record the run again")
        return self._gas[tx_hash]

    def _same(self, run: int) -> None:
        if run != self.run:
            raise ChainError(f"{self._path} records run {self.run}, run {run} was asked for: name the recorded one")

    def _entry(self, table: str, account: bytes) -> int:
        if account not in self._tables[table]:
            raise ChainError(f"{self._path} has no {table} of 0x{account.hex()}: record the run again")
        return self._tables[table][account]

    def _rows(self, rows: object) -> list[Event]:
        if not isinstance(rows, list):
            raise self._bad("events", type(rows).__name__, "a list")
        events: list[Event] = []
        for number, row in enumerate(rows):
            event = self._row(row, f"event {number}")
            if events and event.position <= events[-1].position:
                raise self._bad(f"event {number}", f"position {event.position}", f"one behind {events[-1].position}")
            events.append(event)
        return events

    def _row(self, row: object, where: str) -> Event:
        kind = _EVENTS.get(str(row.get("event"))) if isinstance(row, dict) else None
        if not isinstance(row, dict) or kind is None:
            raise self._bad(where, keys(row), f"one of {sorted(_EVENTS)}")
        own = [item for item in fields(kind) if item.name not in ("run", "position", "tx_hash")]
        expected = {"event", "block", "log", "tx_hash", "gas", *(item.name for item in own)}
        if row.keys() != expected:
            raise self._bad(where, keys(row), f"a {kind.__name__} with exactly {sorted(expected)}")
        values: dict[str, Any] = {item.name: self._value(item.name, row[item.name], where, item.type) for item in own}
        tx_hash = self._value("tx_hash", row["tx_hash"], where)
        gas = self._value("gas", row["gas"], where)
        if self._gas.setdefault(tx_hash, gas) != gas:
            raise self._bad(where, f"gas {gas}", f"{self._gas[tx_hash]}, as another row of the same transaction says")
        position = (self._value("block", row["block"], where), self._value("log", row["log"], where))
        return kind(run=self.run, position=position, tx_hash=tx_hash, **values)
