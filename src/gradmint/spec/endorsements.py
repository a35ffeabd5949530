"""What the contract Reputation says, typed: one dataclass per event, and what it hashes.

Endorsements are counted in *epochs* of ``ReputationParams.epoch_blocks`` blocks, and looked at by *cuts*: the graph at
cut e is that at the end of epoch e.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .events import Position
from .keccak import keccak256

ENDED = 1 << 31  # flag of an endorsement's id: from this entry on its weight is taken away


@dataclass(frozen=True, slots=True, kw_only=True)
class ReputationEvent:
    position: Position = (0, 0)
    tx_hash: bytes = field(default=b"", repr=False)


# Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposited(ReputationEvent):
    account: bytes
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(ReputationEvent):
    account: bytes
    amount_wei: int


# Endorsements


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvested(ReputationEvent):
    """Each of the endorsers says all of the rows."""

    run: int
    id: int
    epoch: int
    new_rounds: int
    endorsers: tuple[bytes, ...]
    rows: tuple[tuple[bytes, int], ...]  # (account, weight), in index order


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched(ReputationEvent):
    voucher: bytes
    account: bytes
    id: int
    epoch: int
    weight: int
    stake_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unvouched(ReputationEvent):
    """From this epoch on it weighs nothing; the stake stays where it is."""

    voucher: bytes
    account: bytes
    id: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reclaimed(ReputationEvent):
    voucher: bytes
    account: bytes
    stake_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VouchSlashed(ReputationEvent):
    """The account was banned in ``run`` while it was vouched for."""

    voucher: bytes
    account: bytes
    run: int
    finder: bytes
    id: int
    epoch: int
    reward_wei: int
    burn_wei: int


# Ratings


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingProposed(ReputationEvent):
    account: bytes
    cut: int
    hits: int  # units of 2^-56
    paths: int
    rating_q32: int
    final_block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingChallenged(ReputationEvent):
    account: bytes
    cut: int
    challenger: bytes
    proof_block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingRefuted(ReputationEvent):
    """No witness came in time."""

    account: bytes
    cut: int
    challenger: bytes
    reward_wei: int
    burn_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingProven(ReputationEvent):
    """A witness came; the challenger's bond, if there was one, is split."""

    account: bytes
    cut: int
    reward_wei: int
    burn_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingFinal(ReputationEvent):
    account: bytes
    cut: int
    rating_q32: int


# What is hashed


@dataclass(frozen=True, slots=True)
class Entry:
    """What was said about one account: that the panel of endorsement ``id`` gives it ``weight``, or no longer does."""

    epoch: int
    id: int
    weight: int
    is_end: bool = False

    SIZE = 12  # packed: epoch uint32, id uint32 with the flag ENDED, weight uint32, big-endian

    def pack(self) -> bytes:
        flagged = self.id | ENDED if self.is_end else self.id
        return b"".join(number.to_bytes(4, "big") for number in (self.epoch, flagged, self.weight))

    @classmethod
    def unpack(cls, packed: bytes) -> Entry:
        epoch, flagged, weight = (int.from_bytes(packed[at : at + 4], "big") for at in (0, 4, 8))
        return cls(epoch, flagged & ~ENDED, weight, bool(flagged & ENDED))


def heard_hash(packed: bytes) -> bytes:
    """Rolling hash of packed entries: keccak256(hash || entry) from 0 on."""
    found = bytes(32)
    for at in range(0, len(packed), Entry.SIZE):
        found = keccak256(found + packed[at : at + Entry.SIZE])
    return found


def panel_hash(endorsers: Iterable[bytes]) -> bytes:
    """keccak256 of the endorsers, 32 bytes each."""
    return keccak256(b"".join(bytes(12) + endorser for endorser in endorsers))
