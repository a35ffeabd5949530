"""From a node's logs to the specification's events, by the shipped ABI. About 15 microseconds a log."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from eth_hash.auto import keccak

from ..spec import events as ev
from ..spec.docket import Outcome
from ..spec.errors import ChainError, SpecError
from ..spec.params import Params
from ..spec.types import Phase, Role
from . import artifacts
from .codec import signature_of
from .deployment import Deployment
from .rpc import as_bytes, as_dict, as_int

_CLASSES: dict[str, tuple[type[ev.Event], ...]] = {
    "Runs": (ev.Opened, ev.Funded, ev.Claimed, ev.Redirected, ev.Left, ev.Refunded),
    "Stakes": (
        ev.Joined,
        ev.Exiting,
        ev.Withdrawn,
        ev.Slashed,
        ev.Burned,
        ev.Bonded,
        ev.Unbonded,
        ev.Forfeited,
        ev.Exposed,
        ev.Seized,
        ev.Pooled,
    ),
    "Rounds": (
        ev.PhaseOpened,
        ev.Admitted,
        ev.Retired,
        ev.Rated,
        ev.Submitted,
        ev.Held,
        ev.Committed,
        ev.Revealed,
        ev.Voided,
        ev.Expanded,
        ev.Recorded,
    ),
    "Settlement": (ev.Proposed, ev.Challenged, ev.Refuted, ev.Settled),
}
#: Names that differ beyond their case; by event where one name means two things.
_RENAMED = {
    "deadline": "deadline_s",
    "releaseS": "withdrawable_s",
    "from": "funder",
    "baseDigest": "base",
    "Admitted.roster": "transcript",
    "Retired.roster": "transcript",
    "Retired.account": "",  # the seat says it already
    "Rated.roster": "transcript",
    "Rated.account": "",
}
_MEANING: dict[str, Callable[[Any], Any]] = {
    "phase": Phase,
    "role": Role,
    "params": Params.decode,
    "outcome": lambda found: Outcome(**found),
}


def _unstamp(stamp: bytes) -> dict[str, Any]:
    """Submitted packs three values into one word, for gas."""
    if stamp[6:8] != bytes(2):
        raise ValueError(f"stamp 0x{stamp.hex()} has bytes {stamp[6:8].hex()} between gain and transcript")
    return {
        "trainer": int.from_bytes(stamp[:2], "big"),
        "claimed_gain_micronats": int.from_bytes(stamp[2:6], "big", signed=True),
        "transcript": stamp[8:],
    }


_PACKED = {"stamp": ({"trainer", "claimed_gain_micronats", "transcript"}, _unstamp)}
_WORD = re.compile(r"(u?int|bytes)(\d+)|address")


@dataclass(frozen=True, slots=True)
class _Field:
    attribute: str
    topic: int  # its position among the topics, 0 when it is in the data
    offset: int  # of its word in the data
    read: Callable[[bytes, int], Any]
    meaning: Callable[[Any], Any] | None


@dataclass(frozen=True, slots=True)
class _Layout:
    make: type[ev.Event]
    contract: str
    fields: tuple[_Field, ...]
    head_bytes: int  # of the data; all of it unless a field is dynamic
    is_dynamic: bool
    topics: int


def topic_of(run: int) -> str:
    return f"0x{run:064x}"


def topic_for(event: type[ev.Event]) -> str:
    """First topic of an event's logs."""
    return next(f"0x{topic.hex()}" for topic, layout in _layouts().items() if layout.make is event)


def decode_log(log: object, deployment: Deployment) -> ev.Event | None:
    """One event; None for events that the specification does not know. Raises ChainError for malformed ones."""
    entry = as_dict(log, "a log")
    topics = entry.get("topics")
    if not isinstance(topics, list) or not topics:
        raise ChainError(f"the node gives a log's topics as {topics!r:.80}, expected a list")
    layout = _layouts().get(as_bytes(topics[0], "a log's topic", 32))
    if layout is None:
        return None
    address = as_bytes(entry.get("address"), "a log's address", 20)
    if address != getattr(deployment, layout.contract.lower()):
        raise ChainError(f"the node gives a {layout.make.__name__} of 0x{address.hex()}, which was not asked for")
    words = [as_bytes(topic, "a log's topic", 32) for topic in topics]
    data = as_bytes(entry.get("data"), "a log's data")
    try:
        return _decode(layout, words, data, entry)
    except (ValueError, SpecError) as error:
        raise ChainError(f"the node gives a malformed {layout.make.__name__}: {error}: ask another node") from error


def _decode(layout: _Layout, topics: list[bytes], data: bytes, entry: dict[str, Any]) -> ev.Event:
    if len(topics) != layout.topics or len(data) < layout.head_bytes:
        raise ValueError(f"{len(topics)} topics and {len(data)} bytes")
    if not layout.is_dynamic and len(data) != layout.head_bytes:
        raise ValueError(f"{len(data)} bytes instead of {layout.head_bytes}")
    values: dict[str, Any] = {}
    for field in layout.fields:
        value = field.read(topics[field.topic], 0) if field.topic else field.read(data, field.offset)
        if field.attribute in _PACKED:
            values |= _PACKED[field.attribute][1](value)
        else:
            values[field.attribute] = field.meaning(value) if field.meaning else value
    return layout.make(
        position=(as_int(entry.get("blockNumber"), "a log's block"), as_int(entry.get("logIndex"), "a log's index")),
        tx_hash=as_bytes(entry.get("transactionHash"), "a log's transaction", 32),
        **values,
    )


@cache
def _layouts() -> dict[bytes, _Layout]:
    layouts = {}
    for contract, classes in _CLASSES.items():
        entries = {entry["name"]: entry for entry in artifacts.load(contract).abi if entry["type"] == "event"}
        for make in classes:
            entry = entries[make.__name__]
            layouts[keccak(signature_of(entry).encode())] = _layout(make, contract, entry)
    return layouts


def _layout(make: type[ev.Event], contract: str, entry: dict[str, Any]) -> _Layout:
    found, topic, offset, is_dynamic = [], 0, 0, False
    for item in entry["inputs"]:
        name = item["name"]
        attribute = _RENAMED.get(f"{make.__name__}.{name}", _RENAMED.get(name, _snake(name)))
        is_dynamic |= item["type"] == "bytes"
        topic += item["indexed"]
        if attribute:
            at, word = (topic, 0) if item["indexed"] else (0, offset)
            found.append(_Field(attribute, at, word, _reader_of(item), _MEANING.get(attribute)))
        offset += 0 if item["indexed"] else 32 * len(item.get("components", [item]))
    expected = {field.name for field in fields(make)} - {"position", "tx_hash"}
    names = {field.attribute for field in found} - _PACKED.keys()
    names = names.union(*(_PACKED[field.attribute][0] for field in found if field.attribute in _PACKED))
    if names != expected:
        raise LookupError(f"{make.__name__}: the contract says {sorted(names)}, the specification {sorted(expected)}")
    return _Layout(make, contract, tuple(found), offset, is_dynamic, topic + 1)


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", name)


def _reader_of(item: dict[str, Any]) -> Callable[[bytes, int], Any]:
    """Structs are of values that take a word each."""
    if item["type"] != "tuple":
        return _reader(item["type"])
    parts = {_snake(part["name"]): _reader(part["type"]) for part in item["components"]}
    return lambda data, at: {name: read(data, at + 32 * i) for i, (name, read) in enumerate(parts.items())}


def _reader(kind: str) -> Callable[[bytes, int], Any]:
    """Reads one value at an offset; raises ValueError when the word is not a canonical one of its type."""
    if kind == "bytes":
        return _read_bytes
    if kind == "address":
        return lambda data, at: _right_aligned(data[at : at + 32], 20)
    match = _WORD.fullmatch(kind)
    if match is None:
        raise LookupError(f"no reader for {kind}")
    size = int(match[2])
    if match[1] == "bytes":
        return lambda data, at: _left_aligned(data[at : at + 32], size)
    if match[1] == "int":
        return lambda data, at: _signed(data[at : at + 32], size)
    return lambda data, at: int.from_bytes(_right_aligned(data[at : at + 32], size // 8), "big")


def _right_aligned(word: bytes, size: int) -> bytes:
    if any(word[: 32 - size]):
        raise ValueError(f"0x{word.hex()} does not fit {size} bytes")
    return word[32 - size :]


def _left_aligned(word: bytes, size: int) -> bytes:
    if any(word[size:]):
        raise ValueError(f"0x{word.hex()} has more than {size} bytes")
    return word[:size]


def _signed(word: bytes, bits: int) -> int:
    value = int.from_bytes(word, "big", signed=True)
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise ValueError(f"{value} does not fit {bits} bits")
    return value


def _read_bytes(data: bytes, at: int) -> bytes:
    start = int.from_bytes(data[at : at + 32], "big") + 32
    if start > len(data):
        raise ValueError(f"bytes start at {start} of {len(data)}")
    size = int.from_bytes(data[start - 32 : start], "big")
    if size > len(data) - start:
        raise ValueError(f"{size} bytes at {start} of {len(data)}")
    return data[start : start + size]
