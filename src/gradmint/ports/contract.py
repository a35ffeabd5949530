"""A contract beside the four that runs are made of: what it answers, takes and has said, by its shipped ABI."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak

from ..spec.errors import ChainError, ChainUnreachable, HalfDeployed
from ..spec.events import Position
from . import artifacts
from .chain import Receipt
from .codec import function, plain, signature_of, type_of
from .history import is_removed
from .rpc import AnswerTooLarge, RpcError, as_bytes, as_dict, as_int, to_hex
from .web3_chain import Web3Chain


@dataclass(frozen=True, slots=True)
class Log:
    """One event. ``values`` by the ABI's names, addresses as 20 bytes."""

    name: str
    values: dict[str, Any]
    position: Position
    tx_hash: bytes


class Contract:
    """Contract ``name`` at ``address``, through ``chain``."""

    def __init__(self, chain: Web3Chain, name: str, address: bytes) -> None:
        self.chain = chain
        self.name = name
        self.address = address
        entries = [entry for entry in artifacts.load(name).abi if entry["type"] == "event"]
        self._events = {keccak(signature_of(entry).encode()): entry for entry in entries}

    def require(self, name: str, *arguments: object) -> Any:
        """The one value that the contract answers. Raises HalfDeployed when it is another contract, or none."""
        try:
            return self.read(name, *arguments)[0]
        except ChainUnreachable:
            raise
        except ChainError as error:
            raise HalfDeployed(f"there is no {self.name} contract at {to_hex(self.address)}: {error}") from error

    def expect(self, expected: bytes, name: str, *arguments: object) -> None:
        """Raises HalfDeployed unless that is what the contract answers."""
        found = self.require(name, *arguments)
        if found != expected:
            raise HalfDeployed(
                f"{self.name.lower()} at {to_hex(self.address)} answers {name} with {to_hex(found)}, expected "
                f"{to_hex(expected)}: use one deployment's own file, unedited"
            )

    def read(self, name: str, *arguments: object) -> tuple[Any, ...]:
        """Raises Reverted."""
        method = function(self.name, name)
        return method.decode(self.chain.view(self.address, method.encode(*arguments)))

    def send(self, name: str, *arguments: object) -> Receipt:
        """Raises Reverted, Unfunded."""
        data = function(self.name, name).encode(*arguments)
        return self.chain.send_data(self.address, data, f"{self.name}.{name}")

    def logs(self, names: Iterable[str] = (), topic: bytes | None = None, after: Position | None = None) -> list[Log]:
        """Events of these names, of any by default, behind ``after``, in chain order; with ``topic``, those whose first
        indexed value it is. Raises ChainError, ChainUnreachable."""
        wanted = set(names)
        firsts = [to_hex(key) for key, entry in self._events.items() if not wanted or entry["name"] in wanted]
        topics: list[Any] = [firsts, *([to_hex(topic)] if topic is not None else [])]
        first = self.chain.deployment.block if after is None else after[0]
        logs = self._ask(topics, first, self.chain.block())
        found = [self._decode(as_dict(log, "a log")) for log in logs if not is_removed(log)]
        found.sort(key=lambda log: log.position)
        return [log for log in found if after is None or log.position > after]

    def _ask(self, topics: list[Any], first: int, last: int) -> list[Any]:
        """Halves the range until the node is willing."""
        query = {"address": to_hex(self.address), "topics": topics, "fromBlock": hex(first), "toBlock": hex(last)}
        try:
            found = self.chain.rpc.call("eth_getLogs", query)
        except (RpcError, AnswerTooLarge):
            if first >= last:
                raise
            middle = (first + last) // 2
            return self._ask(topics, first, middle) + self._ask(topics, middle + 1, last)
        if not isinstance(found, list):
            raise ChainError(f"the node gives logs as {found!r:.80}, expected a list: ask another node")
        return found

    def _decode(self, log: dict[str, Any]) -> Log:
        topics = log.get("topics")
        words = [as_bytes(topic, "a topic", 32) for topic in topics] if isinstance(topics, list) else []
        entry = self._events.get(words[0]) if words else None
        if entry is None or as_bytes(log.get("address"), "a log's address", 20) != self.address:
            raise ChainError(f"the node gives a log that is none of {self.name}'s: ask another node")
        indexed, rest = ([item for item in entry["inputs"] if item["indexed"] is kind] for kind in (True, False))
        data = as_bytes(log.get("data"), "a log's data")
        try:
            values = {
                item["name"]: plain(decode([type_of(item)], word)[0], type_of(item))
                for item, word in zip(indexed, words[1:], strict=True)
            }
            types = [type_of(item) for item in rest]
            values |= {
                item["name"]: plain(value, kind)
                for item, kind, value in zip(rest, types, decode(types, data), strict=True)
            }
        except (DecodingError, ValueError, OverflowError) as error:
            raise ChainError(f"the node gives a malformed {entry['name']}: {error}: ask another node") from error
        position = (as_int(log.get("blockNumber"), "a log's block"), as_int(log.get("logIndex"), "a log's index"))
        return Log(entry["name"], values, position, as_bytes(log.get("transactionHash"), "a log's transaction", 32))
