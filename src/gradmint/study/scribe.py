"""Histories of the contract Reputation, written as it would emit them: for drawn worlds, golden vectors and tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..spec.book import Book
from ..spec.endorsements import (
    Deposited,
    Harvested,
    RatingChallenged,
    RatingFinal,
    RatingProposed,
    RatingProven,
    RatingRefuted,
    ReputationEvent,
    Unvouched,
    Vouched,
)
from ..spec.events import Position
from ..spec.feedback import ROUND_UNITS
from ..spec.reputation_params import ReputationParams
from ..spec.types import BPS


class Scribe:
    """Keeps ``book`` and ``events`` in step; rows lie in one block until :meth:`wait` or :meth:`pass_blocks`."""

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

    def pass_blocks(self, blocks: int) -> None:
        self.block += blocks

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

    def propose(self, account: bytes, hits: int, paths: int) -> None:
        """The bond is deposited before."""
        book, params, cut = self.book, self.book.params, self.epoch - 1
        self.write(Deposited(account=account, amount_wei=params.bond_wei, position=self.position))
        self.write(
            RatingProposed(
                account=account, cut=cut, hits=hits, paths=paths, rating_q32=book.rated_q32(hits, paths, cut),
                final_block=self.block + params.challenge_blocks, position=self.position,
            )
        )  # fmt: skip

    def challenge(self, account: bytes, challenger: bytes) -> None:
        """The bond is deposited before."""
        params, cut = self.book.params, self.book.proposals[account].said.cut
        self.write(Deposited(account=challenger, amount_wei=params.bond_wei, position=self.position))
        self.write(
            RatingChallenged(
                account=account, cut=cut, challenger=challenger,
                proof_block=self.block + params.proof_blocks, position=self.position,
            )
        )  # fmt: skip

    def prove(self, account: bytes) -> None:
        pending, params = self.book.proposals[account], self.book.params
        lost_wei = params.bond_wei if pending.challenge else 0
        reward_wei = lost_wei * params.challenger_bps // BPS
        self.write(
            RatingProven(
                account=account, cut=pending.said.cut, reward_wei=reward_wei,
                burn_wei=lost_wei - reward_wei, position=self.position,
            )
        )  # fmt: skip
        self.finalise(account)

    def refute(self, account: bytes) -> None:
        pending, params = self.book.proposals[account], self.book.params
        assert pending.challenge is not None
        reward_wei = params.bond_wei * params.challenger_bps // BPS
        self.write(
            RatingRefuted(
                account=account, cut=pending.said.cut, challenger=pending.challenge.challenger,
                reward_wei=reward_wei, burn_wei=params.bond_wei - reward_wei, position=self.position,
            )
        )  # fmt: skip

    def finalise(self, account: bytes) -> None:
        said = self.book.proposals[account].said
        self.write(RatingFinal(account=account, cut=said.cut, rating_q32=said.rating_q32, position=self.position))
