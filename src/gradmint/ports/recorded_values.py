"""Values of a recording that nobody trusts: bounded, each with one spelling and a range. Amounts are whole numbers,
bytes hex, phases and roles names."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

from ..spec.docket import Outcome
from ..spec.errors import ChainError
from ..spec.params import Params
from ..spec.types import Phase, Role

_MAX_BYTES = 256 << 20

_SIZES = {
    20: (
        *("sponsor", "token", "funder", "account", "recipient", "beneficiary", "proposer", "challenger", "exposer"),
        *("runs_address", "stakes_address", "rounds_address", "voucher", "finder", "address"),
    ),
    24: ("transcript", "roster", "root"),
    30: ("record_hash",),
    32: (
        *("beacon", "digest", "base", "commitment", "salt", "standings_hash", "effects_hash", "params_hash", "tx_hash"),
        *("tip", "manifest", "model", "secret"),
    ),
}
#: Widths of the chain's numbers; 256 bits where nothing is said.
_BITS = {
    8: ("verifier", "paths"),
    16: ("round", "previous", "trainer", "index", "weakest", "settled", "proposed", "new_rounds"),
    32: (
        *("loss_micronats", "cluster_mask", "active", "guilty", "rating_q32"),
        *("id", "epoch", "weight", "cut", "ratings_q32"),
    ),
    40: ("deadline_s", "final_s", "until_s", "withdrawable_s"),
    64: ("hits", "final_block", "proof_block"),
    128: ("total_wei", "stake_wei", "deposited_wei", "budget_wei"),
}
_BITS_OF = {name: bits for bits, names in _BITS.items() for name in names}
_SIZE_OF = {name: size for size, names in _SIZES.items() for name in names}
_MAX_LIST = 64  # values of a parameter
_MAX_ACCOUNTS = 4_096  # more than a run has seats
_NUMBER = re.compile(r"[1-9][0-9]{0,4}")


def show(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, Phase | Role):
        return value.name
    if isinstance(value, Params | Outcome):
        return {item.name: show(getattr(value, item.name)) for item in fields(value)}
    return [show(item) for item in value] if isinstance(value, tuple) else value


class Recording:
    """A part of the file at ``path``; raises ChainError for content that is none of a recording."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path

    def _load(self) -> Any:
        try:
            with open(self._path, "rb") as file:
                content = file.read(_MAX_BYTES + 1)
            if len(content) > _MAX_BYTES:
                raise ChainError(f"{self._path} has over {_MAX_BYTES} bytes: this is no recorded run")
            return json.loads(content, object_pairs_hook=self._object, parse_constant=self._constant)
        except OSError as error:
            raise ChainError(f"recorded run {self._path}: {error}: record one first") from error
        except (ValueError, RecursionError) as error:
            raise ChainError(f"{self._path} is no recorded run: {str(error)[:200]}") from error

    def _make(self, kind: type[Any], where: str, found: object) -> Any:
        names = {item.name for item in fields(kind)}
        if not isinstance(found, dict) or found.keys() != names:
            raise self._bad(where, keys(found), f"exactly {sorted(names)}")
        return kind(**{i.name: self._value(i.name, found[i.name], where, i.type) for i in fields(kind)})

    def _make_tuple(self, kind: type[Any], where: str, found: object) -> Any:
        names = kind._fields
        if not isinstance(found, dict) or found.keys() != set(names):
            raise self._bad(where, keys(found), f"exactly {sorted(names)}")
        return kind(*(self._value("record_hash" if name == "hash" else name, found[name], where) for name in names))

    def _table(self, name: str, found: object) -> dict[bytes, int]:
        items = self._items(name, found)
        return {self._value("account", account, name): self._value(name, amount, name) for account, amount in items}

    def _items(self, name: str, found: object) -> Iterable[tuple[str, object]]:
        if not isinstance(found, dict):
            raise self._bad(name, keys(found), "an object")
        return found.items()

    def _number(self, where: str, found: str) -> int:
        """A round as the name of an entry."""
        if _NUMBER.fullmatch(found):
            return int(found)
        raise self._bad(where, f"{found!r:.40}", "a round's number")

    def _value(self, name: str, value: object, where: str, kind: object = None) -> Any:
        """One value by the name of its field; ``kind`` is its annotation, as text, where the name does not tell."""
        if name in _SIZE_OF or kind == "bytes":
            return self._bytes(name, value, where)
        if kind in ("Phase", "Role"):
            names: dict[str, Any] = {member.name: member for member in (Phase if kind == "Phase" else Role)}
            if isinstance(value, str) and value in names:
                return names[value]
            raise self._bad(where, f"{name} {value!r:.40}", f"one of {sorted(names)}")
        if kind in ("Params", "Outcome"):
            return self._make(Params if kind == "Params" else Outcome, where, value)
        if name == "caught_up":
            if isinstance(value, bool):
                return value
            raise self._bad(where, f"{name} {value!r:.40}", "true or false")
        if kind == "tuple[int, ...]":
            if not isinstance(value, list) or len(value) > _MAX_LIST:
                raise self._bad(where, f"{name} {value!r:.40}", "a list of whole numbers")
            return tuple(self._value(name, item, where) for item in value)
        if kind == "tuple[bytes, ...]":
            return tuple(self._value("account", item, where) for item in self._list(name, value, where))
        if kind == "tuple[tuple[bytes, int], ...]":
            return tuple(self._pair(item, where) for item in self._list(name, value, where))
        bits = _BITS_OF.get(name, 256)
        least, above = (-(1 << 31), 1 << 31) if name == "claimed_gain_micronats" else (0, 1 << bits)
        if type(value) is int and least <= value < above:
            return value
        raise self._bad(where, f"{name} {value!r:.40}", f"a whole number from {least}, below {above}")

    def _list(self, name: str, value: object, where: str) -> list[object]:
        if not isinstance(value, list) or len(value) > _MAX_ACCOUNTS:
            raise self._bad(where, f"{name} {value!r:.40}", "a list of accounts")
        return value

    def _pair(self, value: object, where: str) -> tuple[bytes, int]:
        if not isinstance(value, list) or len(value) != 2:
            raise self._bad(where, f"{value!r:.40}", "an account and a weight")
        return self._value("account", value[0], where), self._value("weight", value[1], where)

    def _bytes(self, name: str, value: object, where: str) -> bytes:
        size = _SIZE_OF.get(name)
        if isinstance(value, str) and value.startswith("0x") and value == value.lower():
            try:
                data = bytes.fromhex(value[2:])
            except ValueError:
                data = None
            if data is not None and 2 + 2 * len(data) == len(value) and size in (None, len(data)):
                return data
        raise self._bad(where, f"{name} {value!r:.40}", f"{size or 'some'} bytes in lower-case hex, 0x...")

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name comes twice in one object")
        return found

    @staticmethod
    def _constant(name: str) -> Callable[[], None]:
        raise ValueError(f"{name} is no number here")

    def _bad(self, where: str, found: str, expected: str) -> ChainError:
        return ChainError(f"{self._path}, {where}: found {found}, expected {expected}: record the run again")


def keys(found: object) -> str:
    return str(sorted(found)[:20])[:300] if isinstance(found, dict) else f"a {type(found).__name__}"
