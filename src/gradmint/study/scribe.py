"""Histories of the contract Reputation, written as it would emit them: for drawn worlds, golden vectors and tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..spec.book import Book
from ..spec.endorsements import Deposited, Harvested, ReputationEvent, Unvouched, Vouched
from ..spec.events import Position
from ..spec.feedback import ROUND_UNITS
from ..spec.reputation_params import ReputationParams


class Scribe:
    """Keeps ``book`` and ``events`` in step; all rows of an epoch lie in its first block."""

    def __init__(self, params: ReputationParams, seeds: Iterable[bytes]) -> None:
        self.book = Book(params, seeds)
        self.events: list[ReputationEvent] = []
        self.block = 0

    @property
    def epoch(self) -> int:
        return self.block // self.book.params.epoch_blocks

    @property
    def position(self) -> Position:
        """Of the next row."""
        return self.block, len(self.events)

    def write(self, event: ReputationEvent) -> None:
        self.book.apply(event)
        self.events.append(event)

    def wait(self, epochs: int = 1) -> None:
        self.block = (self.epoch + epochs) * self.book.params.epoch_blocks

    def harvest(self, run: int, endorsers: Iterable[bytes], weights: Mapping[bytes, int], new_rounds: int = 0) -> int:
        """Its endorsement. Without ``new_rounds`` as few as the weights need."""
        number, needed = len(self.book.panels) + 1, -(-sum(weights.values()) // ROUND_UNITS)
        self.write(
            Harvested(
                run=run, id=number, epoch=self.epoch, new_rounds=new_rounds or needed,
                endorsers=tuple(endorsers), rows=tuple(weights.items()), position=self.position,
            )
        )  # fmt: skip
        return number

    def vouch(self, voucher: bytes, account: bytes, stake_wei: int) -> int:
        """Its endorsement; the stake is deposited before."""
        number, weight = len(self.book.panels) + 1, stake_wei * ROUND_UNITS // self.book.params.vouch_round_wei
        self.write(Deposited(account=voucher, amount_wei=stake_wei, position=self.position))
        self.write(
            Vouched(
                voucher=voucher, account=account, id=number, epoch=self.epoch,
                weight=weight, stake_wei=stake_wei, position=self.position,
            )
        )  # fmt: skip
        return number

    def unvouch(self, voucher: bytes, account: bytes) -> None:
        number = self.book.vouches[voucher, account].id
        self.write(Unvouched(voucher=voucher, account=account, id=number, epoch=self.epoch, position=self.position))
