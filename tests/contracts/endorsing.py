"""The contract Reputation beside a world's runs, and the specification's book of the same rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from world import DEPLOYER, Contract, Receipt, World, deploy, pack

from gradmint.ports import artifacts
from gradmint.spec import endorsements
from gradmint.spec.book import Book
from gradmint.spec.endorsements import ReputationEvent
from gradmint.spec.feedback import Harvest, harvest
from gradmint.spec.reputation_params import ReputationParams
from gradmint.spec.types import Role
from gradmint.spec.witness import Witness

CONSTRUCTOR = (
    "address", "address", "address",
    "(uint16,uint16,uint8,uint32,uint128,uint32,uint32,uint128,uint16)", "address[]",
)  # fmt: skip


def raw(account: str) -> bytes:
    return bytes.fromhex(account[2:])


class Endorsers:
    """Every act is sent, and what the contract says of it folded into ``book``, which contradicts what does not fit."""

    def __init__(self, world: World, params: ReputationParams, seeds: Sequence[str]) -> None:
        self.world, self.params = world, params
        operands = (
            world.rounds.address, world.settlement.address, world.token.address, astuple(params), list(seeds)
        )  # fmt: skip
        artifact = artifacts.load("Reputation")
        self.contract: Contract = deploy(world.chain, artifact, CONSTRUCTOR, operands, DEPLOYER)
        self.book = Book(params, map(raw, seeds))

    @property
    def block(self) -> int:
        return int(self.world.chain.rpc("eth_blockNumber"), 16)

    @property
    def epoch(self) -> int:
        return self.block // self.params.epoch_blocks

    def mine(self, blocks: int) -> None:
        self.world.chain.rpc("anvil_mine", hex(blocks))

    def next_epoch(self) -> None:
        self.mine(self.params.epoch_blocks - self.block % self.params.epoch_blocks)

    def send(self, name: str, *args: Any, sender: str) -> Receipt:
        receipt = self.contract.send(name, *args, sender=sender)
        for place, event in enumerate(receipt.events):
            if event.address.lower() == self.contract.address.lower():
                self.book.apply(typed(event.name, event.args, (self.block, place)))
        return receipt

    def pay(self, account: str, amount_wei: int) -> Receipt:
        self.world.rich(account, self.contract, amount_wei)
        return self.send("deposit", amount_wei, sender=account)

    def standings(self, run: int) -> tuple[bytes, bytes]:
        """Roster and packed standings after the last final settlement."""
        books = self.world.ledger(run).final
        return books.roster, pack([*books.trainers, *books.verifiers])

    def harvest(self, run: int, sender: str) -> Receipt:
        return self.send("harvest", run, *self.standings(run), sender=sender)

    def expected(self, run: int) -> Harvest | None:
        """What the specification harvests."""
        ledger = self.world.ledger(run)
        seated = {seat.account for seat in ledger.seats[Role.VERIFIER]}
        said = {account: self.book.said_until(account, self.epoch) for account in seated}
        done = self.book.harvested_rounds.get(run, 0)
        clock = self.world.clock(run)[2]
        return harvest(ledger.final.trainers, ledger.final.verifiers, seated, clock, done, said)

    def prove(self, account: str, witness: Witness, sender: str) -> Receipt:
        return self.send("prove", account, witness_tuple(witness), sender=sender)


def witness_tuple(witness: Witness) -> tuple[Any, ...]:
    return astuple(witness)


def typed(name: str, args: dict[str, Any], position: tuple[int, int]) -> ReputationEvent:
    """The specification's row of a decoded event."""
    fields: dict[str, Any] = {}
    for key, value in args.items():
        if isinstance(value, str):
            value = raw(value)
        elif key == "endorsers":
            value = tuple(map(raw, value))
        elif key == "rows":
            value = tuple(((row >> 32).to_bytes(20, "big"), row & 0xFFFF_FFFF) for row in value)
        fields[re.sub("(?=[A-Z])", "_", key).lower()] = value
    made = getattr(endorsements, name)(position=position, **fields)
    assert isinstance(made, ReputationEvent)
    return made
