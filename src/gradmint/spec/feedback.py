"""Who has shown whom to be good: a graph of accounts across runs, of endorsements that the chain has recorded.

An endorsement needs verified work or a stake behind it. *Harvest*: once an epoch and run, its seated verifiers who
agree with the consensus endorse its trainers for their verified work: :func:`harvest`. *Vouch*: who locks a stake for
another account endorses it.

Weights are integers, :data:`ROUND_UNITS` of them for a whole round: a trainer's weight is its part of the rounds since
the last harvest, by running value, rounded down. A part, because gains in nats shrink while a model learns and differ
between tasks, and no run is to outweigh another by its unit. Rounded down, because then splitting a value into several
identities never adds weight. The same comes from every verifier: what counts is who stands behind the consensus, not
what one of them says. A vouch weighs as so many rounds as its stake pays for.

Only ratios within one account's outgoing edges matter afterwards (rows are normalised), so nobody gains influence by
adding edges or weight.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from .errors import MalformedGraph
from .ledger import Ledger
from .mechanism import is_banned
from .types import BPS, ONE_Q32, Role, Standing

ROUND_UNITS = 1 << 12  # so a row stays below 2^32 for a million rounds, and no weight is ever scaled on chain
MAX_ROW_BITS = 32  # a row's sum; so a step of the fixed point loses less than 2^-24 of all mass at any account
ACCOUNT_BYTES = 20


@dataclass(frozen=True, slots=True, order=True)
class Endorsement:
    """One edge, as it was recorded in one epoch."""

    endorser: bytes
    account: bytes
    weight: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Harvest:
    """What a run's final standings say that was not said before."""

    new_rounds: int
    endorsers: tuple[bytes, ...]  # each of whom says all of the rows
    rows: tuple[tuple[bytes, int], ...]  # (account, weight), in index order


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


def harvest(
    trainers: Sequence[Standing],
    verifiers: Sequence[Standing],
    seated: Container[bytes],
    clock_round: int,
    harvested_rounds: int,
    said: Mapping[bytes, int] | None = None,
) -> Harvest | None:
    """What the contract records of final standings, in index order; None where it records nothing.

    ``seated`` are the run's verifiers who hold their seat now, ``clock_round`` its latest round, ``harvested_rounds``
    how many of its rounds were counted before, ``said`` the sum of weights that an account has given until now.
    """
    new_rounds = max((leaf.rounds for leaf in (*trainers, *verifiers)), default=0) - harvested_rounds
    valued = [(t.account, t.value_q32) for t in trainers if t.value_q32 > 0 and not is_banned(t, clock_round)]
    if new_rounds <= 0 or not valued:
        return None
    total = sum(value for _, value in valued)
    weighed = [(account, value * ROUND_UNITS * new_rounds // total) for account, value in valued]
    rows = tuple((account, weight) for account, weight in weighed if weight)
    given = sum(weight for _, weight in rows)
    endorsers = tuple(
        leaf.account
        for leaf in verifiers
        if leaf.value_q32 > 0
        and leaf.account in seated
        and ((said or {}).get(leaf.account, 0) + given) >> MAX_ROW_BITS == 0
    )
    return Harvest(new_rounds, endorsers, rows) if endorsers and rows else None


def founders(ledger: Ledger) -> tuple[bytes, ...]:
    """Verifiers who were seated before the run's first round, whether or not they still are: the seeds of a deployment
    are those of its first run, unless it names others. Nobody can become one later."""
    seats = [*ledger.seats[Role.VERIFIER], *(seat for seat in ledger.former if seat.role is Role.VERIFIER)]
    return tuple(sorted(seat.account for seat in seats if seat.since_round == 1))


def build(
    endorsements: Iterable[Endorsement], accounts: Iterable[bytes] = (), epoch: int = 0, gamma_bps: int = 0
) -> Graph:
    """The graph of ``endorsements``; the same one whatever the order of the rows.

    ``accounts`` are in it also without any edge: seeds, for example. Each epoch until ``epoch`` takes ``gamma_bps`` of
    a weight (the chain takes none): weights of one pair and epoch are added up before, so that how they are cut into
    rows changes nothing. Raises MalformedGraph.
    """
    by_epoch: dict[tuple[bytes, bytes, int], int] = {}
    for one in endorsements:
        key = (one.endorser, one.account, min(epoch, one.epoch) if gamma_bps else epoch)
        by_epoch[key] = by_epoch.get(key, 0) + one.weight
    edges: dict[tuple[bytes, bytes], int] = {}
    for (source, target, since), weight in by_epoch.items():
        kept = weight * decay_q32(gamma_bps, epoch - since) >> 32
        edges[source, target] = edges.get((source, target), 0) + kept
    return from_edges(edges, accounts)


def decay_q32(gamma_bps: int, epochs: int) -> int:
    """(1 - gamma)^epochs, rounded down at every step."""
    kept, one = ONE_Q32, ONE_Q32 * (BPS - gamma_bps) // BPS
    for _ in range(epochs if gamma_bps else 0):
        kept = kept * one >> 32
        if not kept:
            break
    return kept


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
