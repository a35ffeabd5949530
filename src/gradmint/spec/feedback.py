"""Who has shown whom to be good: a graph of accounts across runs, rebuilt from chain events by anyone.

An edge needs verified work or a stake behind it. *Work*: a verifier in the cluster of a final round -> a trainer whose
consensus value is positive. *Vouch*: who locks a stake for another account -> that account.

Weights are integers, :data:`ROUND_UNITS` of them for a whole round: a trainer's edge weighs its part of the round's
positive consensus gain, rounded down. A part, because gains in nats shrink while a model learns and differ between
tasks, and no run is to outweigh another by its unit. Rounded down, because then splitting a gain into several
identities never adds weight. The same edge comes from every verifier of the cluster: what counts is who stands behind
the consensus, not what one of them says. A vouch weighs as so many rounds as its stake pays for.

Only ratios within one account's outgoing edges matter afterwards (rows are normalised), so nobody gains influence by
adding edges or weight.

A vouch is slashed when the account it is for is banned while the stake is locked: :func:`slashable`. A slashed or
withdrawn vouch is not handed to :func:`build`, so it weighs nothing.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from .errors import MalformedGraph
from .ledger import Ledger
from .mechanism import is_banned
from .reputation_params import ReputationParams
from .types import Role

ROUND_UNITS = 1 << 16
MAX_ROW_BITS = 32  # a row's sum; so a step of the fixed point loses less than 2^-24 of all mass at any account
ACCOUNT_BYTES = 20


@dataclass(frozen=True, slots=True, order=True)
class Work:
    """One trainer's part of one final round, by one verifier of its cluster."""

    verifier: bytes
    trainer: bytes
    units: int
    block: int  # of the settlement


@dataclass(frozen=True, slots=True, order=True)
class Vouch:
    """A stake that is locked for somebody else's conduct."""

    voucher: bytes
    vouched: bytes
    stake_wei: int


@dataclass(frozen=True)
class Graph:
    """Compressed sparse rows: out-edges of account ``i`` are ``targets[offsets[i]:offsets[i + 1]]``.

    Canonical: accounts ascending, targets ascending within a row, no edge twice, none to itself, weights positive, a
    row's sum below 2^32.
    """

    accounts: tuple[bytes, ...]  # 20 bytes each
    offsets: tuple[int, ...]  # one more than accounts
    targets: tuple[int, ...]
    weights: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.accounts)

    def find(self, account: bytes) -> int | None:
        """The account's index; None when nothing is known of it."""
        place = bisect_left(self.accounts, account)
        return place if place < len(self.accounts) and self.accounts[place] == account else None

    def among(self, accounts: Iterable[bytes]) -> tuple[int, ...]:
        """Indices of those of ``accounts`` that the graph knows, ascending."""
        return tuple(sorted(place for place in map(self.find, set(accounts)) if place is not None))

    def row(self, source: int) -> Iterable[tuple[int, int]]:
        """(target, weight) of every out-edge."""
        part = slice(self.offsets[source], self.offsets[source + 1])
        return zip(self.targets[part], self.weights[part], strict=True)

    def weight(self, source: int, target: int) -> int:
        """0 without that edge."""
        end = self.offsets[source + 1]
        place = bisect_left(self.targets, target, self.offsets[source], end)
        return self.weights[place] if place < end and self.targets[place] == target else 0

    @cached_property
    def totals(self) -> tuple[int, ...]:
        """Sum of out-weights per account; 0 for who says nothing about anybody."""
        return tuple(sum(self.weights[a:b]) for a, b in zip(self.offsets, self.offsets[1:], strict=False))

    @cached_property
    def sources(self) -> tuple[tuple[int, ...], ...]:
        """Per account, who has an edge to it, ascending."""
        found: list[list[int]] = [[] for _ in self.accounts]
        for source in range(len(self)):
            for target, _ in self.row(source):
                found[target].append(source)
        return tuple(map(tuple, found))

    @cached_property
    def digest(self) -> bytes:
        """sha256("gradmint feedback 1" | accounts | edges uint64 each | 20 bytes an account | offsets uint64 |
        targets uint32 | weights uint64), big-endian."""
        state = hashlib.sha256(b"gradmint feedback 1")
        state.update(len(self.accounts).to_bytes(8, "big") + len(self.targets).to_bytes(8, "big"))
        state.update(b"".join(self.accounts))
        for width, numbers in ((8, self.offsets), (4, self.targets), (8, self.weights)):
            state.update(b"".join(number.to_bytes(width, "big") for number in numbers))
        return state.digest()


def works(ledger: Ledger) -> list[Work]:
    """Every edge that the run's final rounds give: nothing of rounds that are void, pending or without quorum."""
    found = []
    for round_ in ledger.rounds:
        execution = round_.execution
        if round_.settled is None or execution is None or execution.settlement.consensus is None:
            continue
        consensus, books = execution.settlement.consensus, execution.books
        # Whom a ban keeps out of the round is unpaid for it; who is banned by it has gained nothing in it.
        gains = [
            (standing.account, 0 if is_banned(standing, round_.number) else row.gain_micronats)
            for standing, row in zip(books.trainers, consensus.rows, strict=True)
        ]
        total = sum(gain for _, gain in gains)
        parts = [(trainer, gain * ROUND_UNITS // total) for trainer, gain in gains if gain]
        found += [
            Work(books.verifiers[v].account, trainer, units, round_.settled.position[0])
            for v in consensus.cluster
            for trainer, units in parts
            if units
        ]
    return found


def founders(ledger: Ledger) -> tuple[bytes, ...]:
    """Verifiers who were seated before the run's first round, whether or not they still are: the seeds of a deployment
    are those of its first run, unless it names others. Nobody can become one later."""
    seats = [*ledger.seats[Role.VERIFIER], *(seat for seat in ledger.former if seat.role is Role.VERIFIER)]
    return tuple(sorted(seat.account for seat in seats if seat.since_round == 1))


def banned(ledger: Ledger) -> frozenset[bytes]:
    """Accounts that a final round of the run has banned, whether or not the ban is over."""
    return frozenset(
        standing.account
        for round_ in ledger.rounds
        if round_.settled is not None and round_.execution is not None
        for standing in round_.execution.settlement.trainers
        if standing.ban_round
    )


def slashable(vouches: Iterable[Vouch], banned: frozenset[bytes]) -> list[Vouch]:
    """Vouches whose stake is lost: the account they are for was banned. ``vouches`` are those locked at that time."""
    return sorted(vouch for vouch in vouches if vouch.vouched in banned)


def build(
    works: Iterable[Work], vouches: Iterable[Vouch], params: ReputationParams, accounts: Iterable[bytes] = (),
    block: int = 0,
) -> Graph:  # fmt: skip
    """The graph as of ``block``; the same one whatever the order of the rows.

    ``accounts`` are in it also without any edge: seeds, for example. Work of one pair and epoch is added up before it
    decays, so that how it is cut into rows changes nothing. Raises MalformedGraph.
    """
    now = block // params.epoch_blocks
    by_epoch: dict[tuple[bytes, bytes, int], int] = {}
    for work in works:
        key = (work.verifier, work.trainer, min(now, work.block // params.epoch_blocks) if params.gamma_bps else now)
        by_epoch[key] = by_epoch.get(key, 0) + work.units
    edges: dict[tuple[bytes, bytes], int] = {}
    for (source, target, epoch), units in by_epoch.items():
        weight = units * params.decay_q32(now - epoch) >> 32
        edges[source, target] = edges.get((source, target), 0) + weight
    stakes_wei: dict[tuple[bytes, bytes], int] = {}
    for vouch in vouches:
        pair = (vouch.voucher, vouch.vouched)
        stakes_wei[pair] = stakes_wei.get(pair, 0) + vouch.stake_wei
    for pair, stake_wei in stakes_wei.items():
        edges[pair] = edges.get(pair, 0) + stake_wei * ROUND_UNITS // params.vouch_round_wei
    return from_edges(edges, accounts)


def from_edges(edges: Mapping[tuple[bytes, bytes], int], accounts: Iterable[bytes] = ()) -> Graph:
    """The canonical graph of ``edges``; edges to oneself and of weight 0 are left out, their ends are not.

    Raises MalformedGraph for negative weights and for accounts that have not 20 bytes.
    """
    known = sorted({*accounts, *(account for pair in edges for account in pair)})
    if strange := [account for account in known if len(account) != ACCOUNT_BYTES]:
        raise MalformedGraph(f"account {strange[0].hex()} has {len(strange[0])} bytes, expected {ACCOUNT_BYTES}")
    index = {account: place for place, account in enumerate(known)}
    rows: list[list[tuple[int, int]]] = [[] for _ in known]
    for (source, target), weight in edges.items():
        if weight < 0:
            raise MalformedGraph(f"edge {source.hex()} -> {target.hex()} weighs {weight}, expected at least 0")
        if source != target:
            rows[index[source]].append((index[target], weight))
    return from_rows(known, rows)


def from_rows(accounts: Sequence[bytes], rows: Sequence[Sequence[tuple[int, int]]]) -> Graph:
    """The graph of (target, weight) rows per account, each in any order.

    A row whose sum needs more than 32 bits is shifted right until it does not: its least edges go first.
    """
    offsets, targets, weights = [0], [], []
    for row in rows:
        shift = max(0, sum(weight for _, weight in row).bit_length() - MAX_ROW_BITS)
        for target, weight in sorted(row):
            if weight >> shift:
                targets.append(target)
                weights.append(weight >> shift)
        offsets.append(len(targets))
    return Graph(tuple(accounts), tuple(offsets), tuple(targets), tuple(weights))
