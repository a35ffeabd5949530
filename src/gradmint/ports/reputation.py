"""The contract Reputation: what it has said, and what it holds. Calls to it are in :mod:`reputation_calls`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Protocol

from ..spec.endorsements import Harvested, ReputationEvent
from ..spec.errors import ChainError, HalfDeployed
from ..spec.events import Position
from ..spec.reputation_params import ReputationParams
from . import artifacts
from .contract import Contract, Log
from .rpc import to_hex
from .web3_chain import Web3Chain

CLASSES = {kind.__name__: kind for kind in ReputationEvent.__subclasses__()}
_NO_TOKEN = bytes(20)


class ReputationReader(Protocol):
    """Everything that a :class:`~gradmint.spec.book.Book` and its auditor need. Accounts are 20 bytes."""

    @property
    def address(self) -> bytes: ...

    @property
    def token(self) -> bytes:
        """Of purses, stakes and bonds; 20 zero bytes when there is none."""
        ...

    @property
    def params(self) -> ReputationParams: ...

    @property
    def seeds(self) -> tuple[bytes, ...]: ...

    def block(self) -> int:
        """Number of the newest block."""
        ...

    def events(self, after: Position | None = None) -> Sequence[ReputationEvent]:
        """In chain order, those behind ``after`` only."""
        ...

    def purse_wei(self, account: bytes) -> int: ...

    def rating_q32(self, account: bytes) -> int:
        """What the contract answers now, Q32."""
        ...

    def held_wei(self) -> int:
        """Tokens that the contract holds; 0 without a token."""
        ...


class Reputation:
    """The contract behind ``chain``. Raises HalfDeployed."""

    def __init__(self, chain: Web3Chain) -> None:
        deployment = chain.deployment
        self.chain = chain
        self._contract = contract = Contract(chain, artifacts.REPUTATION, deployment.reputation)
        for name in ("rounds", "settlement"):
            contract.expect(getattr(deployment, name), name)
        self.address = contract.address
        self.token: bytes = contract.require("token")
        self.params = _params(contract.require("terms"))
        self.seeds = self._seeds(deployment.seeds)

    def _seeds(self, named: tuple[bytes, ...]) -> tuple[bytes, ...]:
        count = int(self._contract.require("seeds"))
        strange = [seed for seed in named if not self._contract.require("isSeed", seed)]
        if strange or len({*named}) != count:
            found = f"{to_hex(strange[0])} is none of them" if strange else f"the file names {len({*named})}"
            raise HalfDeployed(
                f"the contract at {to_hex(self.address)} starts from {count} seeds, {found}: use the deployment's own "
                f"file, unedited"
            )
        return tuple(sorted(named))

    def block(self) -> int:
        return self.chain.block()

    def await_block(self, number: int, timeout_s: float) -> int:
        return self.chain.await_block(number, timeout_s)

    def events(self, after: Position | None = None) -> Sequence[ReputationEvent]:
        return [_event(log) for log in self._contract.logs(CLASSES, after=after)]

    def purse_wei(self, account: bytes) -> int:
        return int(self._contract.read("purseOf", account)[0])

    def rating_q32(self, account: bytes) -> int:
        return self.chain.rating_q32(account)

    def held_wei(self) -> int:
        return 0 if self.token == _NO_TOKEN else self.chain.token_balance_wei(self.token, self.address)


def _params(terms: Sequence[int]) -> ReputationParams:
    names = [item.name for item in fields(ReputationParams)]
    return ReputationParams(**dict(zip(names, terms, strict=True))).check()


def _event(log: Log) -> ReputationEvent:
    make = CLASSES[log.name]
    values: dict[str, Any] = {_snake(name): value for name, value in log.values.items()}
    if make is Harvested:
        values["rows"] = tuple((_account(row), row & 0xFFFFFFFF) for row in values["rows"])
    return make(position=log.position, tx_hash=log.tx_hash, **values)


def _account(row: int) -> bytes:
    if row >> 192:
        raise ChainError(f"the node gives a Harvested with row {row:#x}: ask another node")
    return (row >> 32).to_bytes(20, "big")


def _snake(name: str) -> str:
    return re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", name)
