"""What the contract Reputation said, as a part of a recording (:mod:`recorded_chain`), and the reader over it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from ..spec.book import DEAD
from ..spec.endorsements import ReputationEvent
from ..spec.errors import ChainError, MalformedParams
from ..spec.events import Position
from ..spec.reputation_params import ReputationParams
from .recorded_values import Recording, keys, show
from .reputation import CLASSES, ReputationReader

_HEAD = ("address", "token", "block", "held_wei")
_PARTIES = ("account", "voucher", "finder", "challenger")  # of events: whoever can have a purse or a rating


def gather(reader: ReputationReader) -> dict[str, Any]:
    """Everything that an audit reads of it: of one state, if there is no other row afterwards."""
    events = list(reader.events())
    accounts = sorted({DEAD, *(getattr(event, name) for event in events for name in _PARTIES if hasattr(event, name))})
    return {
        **{name: show(getattr(reader, name)) for name in ("address", "token")},
        "block": reader.block(),
        "held_wei": reader.held_wei(),
        "params": {item.name: getattr(reader.params, item.name) for item in fields(ReputationParams)},
        "seeds": [show(seed) for seed in reader.seeds],
        "purses_wei": {show(account): reader.purse_wei(account) for account in accounts},
        "ratings_q32": {show(account): reader.rating_q32(account) for account in accounts},
        "events": [_show_event(event) for event in events],
    }


def _show_event(event: ReputationEvent) -> dict[str, Any]:
    own = [item.name for item in fields(event) if item.name not in ("position", "tx_hash")]
    return {
        "event": type(event).__name__,
        "block": event.position[0],
        "log": event.position[1],
        **{name: show(getattr(event, name)) for name in own},
        "tx_hash": show(event.tx_hash),
    }


class RecordedReputation(Recording):
    """:class:`~gradmint.ports.reputation.ReputationReader` of a recording. Raises ChainError for other content."""

    def __init__(self, path: str | os.PathLike[str], found: object) -> None:
        super().__init__(path)
        expected = {*_HEAD, "params", "seeds", "purses_wei", "ratings_q32", "events"}
        if not isinstance(found, dict) or found.keys() != expected:
            raise self._bad("reputation", keys(found), f"exactly {sorted(expected)}")
        head = {name: self._value(name, found[name], "reputation") for name in _HEAD}
        self.address: bytes = head["address"]
        self.token: bytes = head["token"]
        self._block: int = head["block"]
        self._held_wei: int = head["held_wei"]
        try:
            self.params: ReputationParams = self._make(ReputationParams, "params", found["params"]).check()
        except MalformedParams as error:
            raise self._bad("params", str(error), "parameters that fit each other") from error
        seeds = self._list("seeds", found["seeds"], "reputation")
        self.seeds: tuple[bytes, ...] = tuple(self._value("account", seed, "seeds") for seed in seeds)
        self._purses_wei = self._table("purses_wei", found["purses_wei"])
        self._ratings_q32 = self._table("ratings_q32", found["ratings_q32"])
        self._events = self._rows(found["events"])

    def block(self) -> int:
        return self._block

    def events(self, after: Position | None = None) -> Sequence[ReputationEvent]:
        return [event for event in self._events if after is None or event.position > after]

    def purse_wei(self, account: bytes) -> int:
        return self._entry("purse", self._purses_wei, account)

    def rating_q32(self, account: bytes) -> int:
        return self._entry("rating", self._ratings_q32, account)

    def held_wei(self) -> int:
        return self._held_wei

    def _entry(self, what: str, table: dict[bytes, int], account: bytes) -> int:
        if account not in table:
            raise ChainError(f"{self._path} has no {what} of 0x{account.hex()}: record the run again")
        return table[account]

    def _rows(self, rows: object) -> list[ReputationEvent]:
        if not isinstance(rows, list):
            raise self._bad("events of reputation", type(rows).__name__, "a list")
        return [self._row(row, f"event {number} of reputation") for number, row in enumerate(rows)]

    def _row(self, row: object, where: str) -> ReputationEvent:
        kind = CLASSES.get(str(row.get("event"))) if isinstance(row, dict) else None
        if not isinstance(row, dict) or kind is None:
            raise self._bad(where, keys(row), f"one of {sorted(CLASSES)}")
        own = [item for item in fields(kind) if item.name not in ("position", "tx_hash")]
        expected = {"event", "block", "log", "tx_hash", *(item.name for item in own)}
        if row.keys() != expected:
            raise self._bad(where, keys(row), f"a {kind.__name__} with exactly {sorted(expected)}")
        values: dict[str, Any] = {item.name: self._value(item.name, row[item.name], where, item.type) for item in own}
        position = (self._value("block", row["block"], where), self._value("log", row["log"], where))
        return kind(position=position, tx_hash=self._value("tx_hash", row["tx_hash"], where), **values)
