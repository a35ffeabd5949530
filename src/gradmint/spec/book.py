"""Everyone's state of the contract Reputation, folded from its rows.

    book = Book(params, seeds)
    for event in events: book.apply(event)      # raises EndorsementsBroken at the first row that does not fit

The graph at cut e is that at the end of epoch e: what began until then and has not ended until then.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from .endorsements import (
    Deposited,
    Entry,
    Harvested,
    RatingChallenged,
    RatingFinal,
    RatingProposed,
    RatingProven,
    RatingRefuted,
    Reclaimed,
    ReputationEvent,
    Unvouched,
    Vouched,
    VouchSlashed,
    Withdrawn,
)
from .errors import EndorsementsBroken
from .events import Position
from .feedback import MAX_ROW_BITS, ROUND_UNITS, Endorsement, Graph, build
from .reputation import rating_q32, reference, score
from .reputation_params import ReputationParams
from .types import BPS

DEAD = bytes(18) + b"\xde\xad"  # nobody can sign for it
LAPSE_EPOCHS = 3  # a rating counts so many epochs after its cut


@dataclass(frozen=True, slots=True)
class Locked:
    """A vouch whose stake has not been reclaimed or slashed."""

    id: int
    weight: int
    stake_wei: int
    ended_epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """A proposed rating that is not final."""

    said: RatingProposed
    challenge: RatingChallenged | None = None
    is_proven: bool = False


class Book:
    """State of the contract Reputation, updated by :meth:`apply`.

    Attributes are plain data: ``entries`` (what was said about each account, in order), ``panels`` (endorsers by
    endorsement), ``vouches`` (by voucher and account), ``proposals``, ``ratings`` (the last final one of each account,
    as it was proposed), ``purses_wei`` (what is burned lies in DEAD's), ``harvests`` (the last one of each run),
    ``harvested_rounds``.
    """

    def __init__(self, params: ReputationParams, seeds: Iterable[bytes]) -> None:
        self.params = params
        self.seeds = frozenset(seeds)
        self.entries: dict[bytes, list[Entry]] = {}
        self.panels: dict[int, tuple[bytes, ...]] = {}
        self.vouches: dict[tuple[bytes, bytes], Locked] = {}
        self.proposals: dict[bytes, Pending] = {}
        self.ratings: dict[bytes, RatingProposed] = {}
        self.purses_wei: dict[bytes, int] = {}
        self.harvests: dict[int, Harvested] = {}
        self.harvested_rounds: dict[int, int] = {}
        self._said: dict[bytes, list[tuple[int, int]]] = {}  # (epoch, sum of weights from there on), ascending
        self._known: list[int] = []  # epoch of each account's first entry, ascending
        self._position: Position = (-1, 0)

    # By cuts

    def heard(self, account: bytes) -> bytes:
        """All entries about the account, packed."""
        return b"".join(entry.pack() for entry in self.entries.get(account, ()))

    def said_until(self, account: bytes, cut: int) -> int:
        """Sum of the weights that the account gives at the end of epoch ``cut``: its row's sum in the graph."""
        said = self._said.get(account, [])
        place = bisect_right(said, cut, key=lambda one: one[0])
        return said[place - 1][1] if place else 0

    def known_until(self, cut: int) -> int:
        """Accounts that anyone has endorsed until the end of epoch ``cut``."""
        return bisect_right(self._known, cut)

    def endorsements(self, cut: int) -> list[Endorsement]:
        """Those that stand at the end of epoch ``cut``."""
        found = []
        for account, entries in self.entries.items():
            until = [entry for entry in entries if entry.epoch <= cut]
            over = {entry.id for entry in until if entry.is_end}
            found += [
                Endorsement(endorser, account, entry.weight, entry.epoch)
                for entry in until
                if entry.id not in over
                for endorser in self.panels[entry.id]
            ]
        return found

    def graph(self, cut: int) -> Graph:
        """The graph at the end of epoch ``cut``: every account of which anything was said, and the seeds."""
        return build(self.endorsements(cut), [*self.seeds, *self.entries])

    def rating_of(self, account: bytes, epoch: int) -> int:
        """Q32; 0 without a rating, and from the fourth epoch after its cut on."""
        rating = self.ratings.get(account)
        return rating.rating_q32 if rating is not None and epoch <= rating.cut + LAPSE_EPOCHS else 0

    def rated_q32(self, hits: int, paths: int, cut: int) -> int:
        """The rating that follows from hits and paths at the end of epoch ``cut``."""
        return rating_q32(score(hits, paths, self.params), reference(self.known_until(cut), self.params))

    # Rows

    def apply(self, event: ReputationEvent) -> None:
        """Fold one event in. Raises EndorsementsBroken, and is of no use afterwards."""
        if event.position <= self._position:
            raise _broken(event, f"it comes after block {self._position[0]} log {self._position[1]}")
        self._position = event.position
        _HANDLERS[type(event)](self, event)

    def _epoch(self, event: ReputationEvent) -> int:
        return event.position[0] // self.params.epoch_blocks

    def _put(self, event: ReputationEvent, account: bytes, amount_wei: int) -> None:
        """Into the purse; out of it where ``amount_wei`` is negative."""
        free_wei = self.purses_wei.get(account, 0)
        if free_wei + amount_wei < 0:
            raise _broken(event, f"the purse of 0x{account.hex()} holds {free_wei} wei, {-amount_wei} are taken")
        self.purses_wei[account] = free_wei + amount_wei

    def _split(self, event: ReputationEvent, lost_wei: int, reward_wei: int, burn_wei: int) -> None:
        """Check the parts of what somebody lost, and burn."""
        expected_wei = lost_wei * self.params.challenger_bps // BPS
        if (reward_wei, burn_wei) != (expected_wei, lost_wei - expected_wei):
            raise _broken(event, f"{reward_wei} + {burn_wei} wei of a lost {lost_wei}; the finder's are {expected_wei}")
        self._put(event, DEAD, burn_wei)

    def _is(self, event: ReputationEvent, what: str, found: object, expected: object) -> None:
        if found != expected:
            raise _broken(event, f"{what} {found}, expected {expected}")

    def _fold(self, event: ReputationEvent, account: bytes, entry: Entry) -> None:
        self._is(event, "epoch", entry.epoch, self._epoch(event))
        if account not in self.entries:
            self.entries[account] = []
            self._known.append(entry.epoch)
        self.entries[account].append(entry)

    def _say(self, event: ReputationEvent, endorser: bytes, weight: int) -> None:
        """Add to what the endorser gives; a negative weight takes away."""
        rows, epoch = self._said.setdefault(endorser, []), self._epoch(event)
        total = (rows[-1][1] if rows else 0) + weight
        if total < 0 or total >> MAX_ROW_BITS:
            raise _broken(event, f"0x{endorser.hex()} gives {total} in all, which is not in 0..2^{MAX_ROW_BITS}-1")
        if rows and rows[-1][0] == epoch:
            rows.pop()
        rows.append((epoch, total))

    def _open(self, event: ReputationEvent, id: int, endorsers: tuple[bytes, ...]) -> None:
        self._is(event, "endorsement", id, len(self.panels) + 1)
        if not endorsers or len({*endorsers}) < len(endorsers):
            raise _broken(event, "nobody endorses, or one does twice")
        self.panels[id] = endorsers

    def _deposited(self, event: Deposited) -> None:
        self._put(event, event.account, event.amount_wei)

    def _withdrawn(self, event: Withdrawn) -> None:
        self._put(event, event.account, -event.amount_wei)

    def _harvested(self, event: Harvested) -> None:
        self._open(event, event.id, event.endorsers)
        last = self.harvests.get(event.run)
        if last is not None and last.epoch >= event.epoch:
            raise _broken(event, f"run {event.run} was harvested in epoch {last.epoch}")
        accounts = {account for account, _ in event.rows}
        if not 0 < len(accounts) == len(event.rows) or accounts & {*event.endorsers}:
            raise _broken(event, "nobody is endorsed, or one twice, or by itself")
        given, most = sum(weight for _, weight in event.rows), ROUND_UNITS * event.new_rounds
        if min(weight for _, weight in event.rows) < 1 or given > most:
            raise _broken(event, f"weights are positive, {most} together at most; they are {given}")
        for account, weight in event.rows:
            self._fold(event, account, Entry(event.epoch, event.id, weight))
        for endorser in event.endorsers:
            self._say(event, endorser, given)
        self.harvests[event.run] = event
        self.harvested_rounds[event.run] = self.harvested_rounds.get(event.run, 0) + event.new_rounds

    def _vouched(self, event: Vouched) -> None:
        pair = event.voucher, event.account
        if pair in self.vouches or event.voucher == event.account:
            raise _broken(event, "it is for oneself, or the one before is still locked")
        self._open(event, event.id, (event.voucher,))
        least_wei = self.params.vouch_round_wei
        if event.stake_wei < least_wei:
            raise _broken(event, f"stake {event.stake_wei} wei is below {least_wei}")
        self._is(event, "weight", event.weight, event.stake_wei * ROUND_UNITS // least_wei)
        self._put(event, event.voucher, -event.stake_wei)
        self._fold(event, event.account, Entry(event.epoch, event.id, event.weight))
        self._say(event, event.voucher, event.weight)
        self.vouches[pair] = Locked(event.id, event.weight, event.stake_wei)

    def _locked(self, event: Unvouched | Reclaimed | VouchSlashed) -> Locked:
        locked = self.vouches.get((event.voucher, event.account))
        if locked is None:
            raise _broken(event, f"0x{event.voucher.hex()} has no stake behind 0x{event.account.hex()}")
        return locked

    def _end(self, event: Unvouched | VouchSlashed, locked: Locked) -> None:
        self._fold(event, event.account, Entry(event.epoch, locked.id, locked.weight, is_end=True))
        self._say(event, event.voucher, -locked.weight)

    def _unvouched(self, event: Unvouched) -> None:
        locked = self._locked(event)
        self._is(event, "endorsement", event.id, locked.id)
        self._is(event, "ended in", locked.ended_epoch, None)
        self._end(event, locked)
        self.vouches[event.voucher, event.account] = replace(locked, ended_epoch=event.epoch)

    def _reclaimed(self, event: Reclaimed) -> None:
        locked = self._locked(event)
        self._is(event, "stake", event.stake_wei, locked.stake_wei)
        if locked.ended_epoch is None or self._epoch(event) <= locked.ended_epoch + 1:
            raise _broken(event, f"it ended in epoch {locked.ended_epoch}, this is epoch {self._epoch(event)}")
        self._put(event, event.voucher, event.stake_wei)
        del self.vouches[event.voucher, event.account]

    def _vouch_slashed(self, event: VouchSlashed) -> None:
        locked = self._locked(event)
        self._is(event, "endorsement", event.id, locked.id)
        self._split(event, locked.stake_wei, event.reward_wei, event.burn_wei)
        self._put(event, event.finder, event.reward_wei)
        if locked.ended_epoch is None:
            self._end(event, locked)
        else:
            self._is(event, "epoch", event.epoch, locked.ended_epoch)
        del self.vouches[event.voucher, event.account]

    def _rating_proposed(self, event: RatingProposed) -> None:
        if event.account in self.proposals:
            raise _broken(event, f"0x{event.account.hex()} has a proposal already")
        self._is(event, "cut", event.cut, self._epoch(event) - 1)
        self._is(event, "final block", event.final_block, event.position[0] + self.params.challenge_blocks)
        if event.paths > self.params.max_paths:
            raise _broken(event, f"{event.paths} paths, at most {self.params.max_paths} count")
        self._is(event, "rating", event.rating_q32, self.rated_q32(event.hits, event.paths, event.cut))
        self._put(event, event.account, -self.params.bond_wei)
        self.proposals[event.account] = Pending(event)

    def _pending(self, event: RatingChallenged | RatingRefuted | RatingProven | RatingFinal) -> Pending:
        pending = self.proposals.get(event.account)
        if pending is None:
            raise _broken(event, f"0x{event.account.hex()} has proposed nothing")
        self._is(event, "cut", event.cut, pending.said.cut)
        return pending

    def _rating_challenged(self, event: RatingChallenged) -> None:
        pending, block = self._pending(event), event.position[0]
        if pending.challenge is not None or block >= pending.said.final_block:
            raise _broken(event, f"it is challenged already, or {block} >= block {pending.said.final_block}")
        self._is(event, "proof block", event.proof_block, block + self.params.proof_blocks)
        self._put(event, event.challenger, -self.params.bond_wei)
        self.proposals[event.account] = replace(pending, challenge=event)

    def _rating_refuted(self, event: RatingRefuted) -> None:
        pending, bond_wei = self._pending(event), self.params.bond_wei
        challenge = pending.challenge
        if challenge is None or pending.is_proven or event.position[0] < challenge.proof_block:
            raise _broken(event, "nobody challenged it, or there is time left for a witness")
        self._is(event, "challenger", event.challenger, challenge.challenger)
        self._split(event, bond_wei, event.reward_wei, event.burn_wei)
        self._put(event, event.challenger, bond_wei + event.reward_wei)
        del self.proposals[event.account]

    def _rating_proven(self, event: RatingProven) -> None:
        pending, block = self._pending(event), event.position[0]
        challenge = pending.challenge
        until_block = pending.said.final_block if challenge is None else challenge.proof_block
        if pending.is_proven or block >= until_block:
            raise _broken(event, f"it is proven already, or {block} >= block {until_block}")
        self._split(event, self.params.bond_wei if challenge else 0, event.reward_wei, event.burn_wei)
        self._put(event, event.account, event.reward_wei)
        self.proposals[event.account] = replace(pending, is_proven=True)

    def _rating_final(self, event: RatingFinal) -> None:
        pending = self._pending(event)
        is_over = pending.challenge is None and event.position[0] >= pending.said.final_block
        if not (is_over or pending.is_proven):
            raise _broken(event, "it can still be challenged, or was and nothing is proven")
        self._is(event, "rating", event.rating_q32, pending.said.rating_q32)
        self._put(event, event.account, self.params.bond_wei)
        self.ratings[event.account] = pending.said
        del self.proposals[event.account]


def _broken(event: ReputationEvent, why: str) -> EndorsementsBroken:
    block, log = event.position
    return EndorsementsBroken(f"{type(event).__name__} at block {block} log {log}: {why}: a row is missing or altered")


_E = TypeVar("_E", bound=ReputationEvent)


def _handler(kind: type[_E]) -> Callable[[Book, _E], None]:
    """The method of the event's name."""
    name = "".join("_" + letter.lower() if letter.isupper() else letter for letter in kind.__name__)
    handler: Callable[[Book, _E], None] = getattr(Book, name)
    return handler


_HANDLERS = {kind: _handler(kind) for kind in ReputationEvent.__subclasses__()}
