"""What a finished round leaves behind, and what is said about its settlement: records, outcomes, proposals.

A round's *record* fixes everything that its settlement depends on, except the standings before it. Whoever re-executes
it brings record, standings and reports and arrives at one *outcome* and its *effects*. Small runs do that on chain for
every round. Large runs *propose* outcomes instead: proposals are kept in order as one rolling hash, each stands on the
one before, and the first false one, once refuted by re-execution, takes those after it down with it.

    tip' = keccak256(tip || round, 2 || proposer, 20 || final_s, 5 || outcome hash, 32)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from . import tree
from .keccak import keccak256
from .mechanism import pay_multiplier_q32, round_budget_wei, settle
from .params import Params
from .transcript import EMPTY, Kind, admitted_row, rated_row, retired_row
from .types import Report, Role, Row, Settlement, Standing

NOBODY = 65_535  # an outcome's weakest, when no seat is given away
BASE_TIP = (1).to_bytes(32, "big")  # nothing is pending
MAX_PENDING = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Masks and lists are per verifier index; ``reports`` are hashes of who revealed, in index order."""

    round: int
    previous: int  # the recorded round before it; 0 for the first
    trainers: int
    verifiers: int
    deposited_wei: int
    active: int
    revealed: int
    roster: bytes  # 24, the roster transcript when the round opened
    transcript: bytes  # 24, the run's after the last reveal: everything said in the round leads there
    reports: tuple[bytes, ...]
    stakes_wei: tuple[int, ...]  # 0 outside the committee

    def hash(self) -> bytes:
        """What the chain keeps: the first 30 bytes. Lists are hashed for themselves, 32 bytes an entry."""
        return keccak256(
            self.round.to_bytes(2, "big")
            + self.previous.to_bytes(2, "big")
            + self.trainers.to_bytes(2, "big")
            + bytes([self.verifiers])
            + self.deposited_wei.to_bytes(16, "big")
            + self.active.to_bytes(4, "big")
            + self.revealed.to_bytes(4, "big")
            + self.roster
            + self.transcript
            + keccak256(b"".join(self.reports))
            + _hash_words(self.stakes_wei)
        )[:30]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What a settlement does beside promising pay."""

    slashed: tuple[tuple[bytes, int], ...]  # (account, wei) of verifiers who lose some of their stake
    awaited: tuple[int, ...]  # bitmap words of the trainers to wait for from now on; empty leaves them as they are
    left: tuple[tuple[bytes, int], ...]  # (account, cumulative wei) of those whose seat a newcomer took

    def hash(self) -> bytes:
        return keccak256(_hash_pairs(self.slashed) + _hash_words(self.awaited) + _hash_pairs(self.left))

    def awaits(self, trainer: int) -> bool:
        return bool(self.awaited[trainer >> 8] >> (trainer & 255) & 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A settlement's result as the chain remembers it."""

    root: bytes  # 24
    total_wei: int  # ever promised to participants: the tree's sum and what leavers were promised
    standings_hash: bytes
    loss_micronats: int
    cluster_mask: int  # 0 without quorum
    weakest: int  # trainer index, NOBODY for none
    effects_hash: bytes

    def pack(self) -> bytes:
        """root 24 | total uint128 | standings hash 32 | loss uint32 | mask uint32 | weakest uint16 | effects 32."""
        return (
            self.root
            + self.total_wei.to_bytes(16, "big")
            + self.standings_hash
            + self.loss_micronats.to_bytes(4, "big")
            + self.cluster_mask.to_bytes(4, "big")
            + self.weakest.to_bytes(2, "big")
            + self.effects_hash
        )

    def hash(self) -> bytes:
        return keccak256(self.pack())


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A settlement that somebody vouches for with a bond."""

    round: int
    proposer: bytes
    final_s: int  # the chain's clock; cannot become final before
    outcome: Outcome


def fold(tip: bytes, proposal: Proposal) -> bytes:
    return keccak256(
        tip
        + proposal.round.to_bytes(2, "big")
        + proposal.proposer
        + proposal.final_s.to_bytes(5, "big")
        + proposal.outcome.hash()
    )


def tip(pending: Sequence[Proposal]) -> bytes:
    """The rolling hash of all pending proposals, in round order."""
    found = BASE_TIP
    for proposal in pending:
        found = fold(found, proposal)
    return found


@dataclass(frozen=True, slots=True)
class RosterRow:
    """A join, an exit or a rating, as a settlement wants it back; ``account`` and ``stake_wei`` of a join only."""

    kind: Kind
    role: Role
    index: int
    account: bytes = b""
    stake_wei: int = 0
    rating_q32: int = 0  # of a rating only

    def row(self) -> bytes:
        """The row that the roster transcript folds in."""
        if self.kind is Kind.ADMITTED:
            return admitted_row(self.role, self.index, self.account, self.stake_wei)
        if self.kind is Kind.RATED:
            return rated_row(self.role, self.index, self.rating_q32)
        return retired_row(self.role, self.index)

    def pack(self) -> bytes:
        """kind uint8 | row: 40 bytes of a join, 4 of an exit, 8 of a rating."""
        return bytes([self.kind]) + self.row()


@dataclass(frozen=True, slots=True)
class Books:
    """Everything settled so far: what the next settlement starts from."""

    roster: bytes = EMPTY
    total_wei: int = 0
    trainers: tuple[Standing, ...] = ()
    verifiers: tuple[Standing, ...] = ()

    @property
    def standings(self) -> tuple[Standing, ...]:
        """Leaves of the standing tree, in order."""
        return self.trainers + self.verifiers

    @property
    def standings_hash(self) -> bytes:
        return keccak256(self.roster + b"".join(standing.pack() for standing in self.standings))


@dataclass(frozen=True, slots=True)
class Execution:
    """What re-executing a round gives."""

    books: Books
    outcome: Outcome
    effects: Effects
    settlement: Settlement


def seat(
    params: Params, trainers: Sequence[Standing], verifiers: Sequence[Standing], rows: Sequence[RosterRow]
) -> tuple[list[Standing], list[Standing], list[tuple[bytes, int]]]:
    """Standings after joins, which start afresh and unrated whatever the seat's last holder left, and after ratings;
    and what those who left were promised."""
    seated = {Role.TRAINER: list(trainers), Role.VERIFIER: list(verifiers)}
    unrated_q32 = pay_multiplier_q32(params, 0)
    left = []
    for row in rows:
        standings = seated[row.role]
        if row.kind is Kind.RETIRED:
            continue
        if row.kind is Kind.RATED:
            rated = pay_multiplier_q32(params, row.rating_q32)
            standings[row.index] = replace(standings[row.index], reputation_q32=rated)
            continue
        newcomer = Standing(row.account, row.role, reputation_q32=unrated_q32)
        if row.index == len(standings):
            standings.append(newcomer)
            continue
        leaver = standings[row.index]
        if leaver.paid_wei:
            left.append((leaver.account, leaver.paid_wei))
        standings[row.index] = newcomer
    return seated[Role.TRAINER], seated[Role.VERIFIER], left


def execute(
    params: Params, record: Record, before: Books, rows: Sequence[RosterRow], reports: Sequence[Report | None]
) -> Execution:
    """Settle a recorded round.

    ``rows`` lead from the roster of ``before`` to the record's; ``reports`` are per verifier index, None without a
    reveal.
    """
    trainers, verifiers, left = seat(params, before.trainers, before.verifiers, rows)
    budget_wei = round_budget_wei(record.deposited_wei - before.total_wei, record.round, params.max_rounds)
    settled = settle(params, record.round, budget_wei, trainers, verifiers, record.stakes_wei, reports)
    books = Books(record.roster, before.total_wei + settled.paid_wei, settled.trainers, settled.verifiers)

    consensus = settled.consensus
    effects = Effects(
        slashed=tuple(
            (standing.account, wei) for standing, wei in zip(verifiers, settled.slashed_wei, strict=True) if wei
        ),
        awaited=_awaited(settled.trainers, record.round) if consensus else (),
        left=tuple(left),
    )
    outcome = Outcome(
        root=tree.root(books.standings).hash,
        total_wei=books.total_wei,
        standings_hash=books.standings_hash,
        loss_micronats=consensus.loss_micronats if consensus else 0,
        cluster_mask=sum(1 << v for v in consensus.cluster) if consensus else 0,
        weakest=NOBODY if settled.weakest is None else settled.weakest,
        effects_hash=effects.hash(),
    )
    return Execution(books, outcome, effects, settled)


def split_bond(bond_wei: int, challenger_bps: int, burn_bps: int) -> tuple[int, int, int]:
    """A lost bond's parts: to whoever proved it, burned, to the run's budget. They add up to the bond."""
    reward_wei = bond_wei * challenger_bps // 10_000
    burn_wei = bond_wei * burn_bps // 10_000
    return reward_wei, burn_wei, bond_wei - reward_wei - burn_wei


def slice_hash(rows: bytes, sums: Sequence[int]) -> bytes:
    """What the chain keeps of a slice that was heard: its agreed rows, here packed, and sums."""
    split = [rows[at : at + Row.SIZE] for at in range(0, len(rows), Row.SIZE)]
    rows_hash = keccak256(b"".join(row.rjust(32, b"\0") for row in split))
    return keccak256(rows_hash + _hash_words(sums))


def _awaited(trainers: Sequence[Standing], round_: int) -> tuple[int, ...]:
    """Bitmap words of the trainers to wait for: all but who missed two rounds in a row or is banned from the next."""
    words = [0] * -(-len(trainers) // 256)
    for i, standing in enumerate(trainers):
        if standing.misses < 2 and standing.ban_round <= round_:
            words[i >> 8] |= 1 << (i & 255)
    return tuple(words)


def _hash_words(numbers: Sequence[int]) -> bytes:
    return keccak256(b"".join(number.to_bytes(32, "big") for number in numbers))


def _hash_pairs(pairs: Sequence[tuple[bytes, int]]) -> bytes:
    return _hash_words([word for account, wei in pairs for word in (int.from_bytes(account, "big"), wei)])
