"""Reputation replayed: what verifiers endorse, by their runs' standings; ratings, by the graph; money, to the wei.

The book checks rows against each other as they come. Here they are checked against what they are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from ..ports.chain import ChainReader
from ..ports.reputation import ReputationReader
from ..reputation.most import Most
from ..spec import feedback
from ..spec.book import DEAD, Book
from ..spec.docket import Books
from ..spec.endorsements import Harvested, RatingFinal, ReputationEvent
from ..spec.errors import Divergence, SpecError
from ..spec.events import Admitted, Event, PhaseOpened, Rated, Retired, Settled
from ..spec.ledger import Ledger
from ..spec.types import Role
from .follower import Follower
from .reputation import excess


@dataclass(frozen=True, slots=True, kw_only=True)
class RatingAudit:
    """A rating that became final, beside what could be shown at most."""

    account: bytes
    cut: int
    hits: int  # units of 2^-56
    most_hits: int
    paths: int
    most_paths: int
    rating_q32: int


@dataclass(slots=True, kw_only=True)
class ReputationAudit:
    """A finished audit. ``divergence`` is the first one found, and nothing after it was looked at."""

    address: bytes
    book: Book
    harvests: int = 0  # derived again from standings
    unchecked: list[int] = field(default_factory=list)  # runs that were harvested and are not in this audit
    rated: int = 0  # roster rows derived again
    ratings: list[RatingAudit] = field(default_factory=list)
    held_wei: int = 0
    divergence: Divergence | None = None

    @property
    def ok(self) -> bool:
        return self.divergence is None

    @property
    def burned_wei(self) -> int:
        return self.book.purses_wei.get(DEAD, 0)

    @property
    def purses_wei(self) -> int:
        return sum(self.book.purses_wei.values()) - self.burned_wei

    @property
    def stakes_wei(self) -> int:
        """Locked behind vouches."""
        return sum(locked.stake_wei for locked in self.book.vouches.values())

    @property
    def bonds_wei(self) -> int:
        """Locked behind proposals and challenges."""
        doubted = sum(pending.challenge is not None for pending in self.book.proposals.values())
        return (len(self.book.proposals) + doubted) * self.book.params.bond_wei

    @property
    def owed_wei(self) -> int:
        return self.purses_wei + self.stakes_wei + self.bonds_wei + self.burned_wei


def audit_reputation(reader: ReputationReader, chain: ChainReader, ledgers: Sequence[Ledger]) -> ReputationAudit:
    """Derive again what the contract Reputation and the rosters of these runs say. Divergences are returned.

    A harvest of a run that is not among ``ledgers`` is taken as it is. Raises ChainUnreachable.
    """
    found = ReputationAudit(address=reader.address, book=Book(reader.params, reader.seeds))
    try:
        _replay(found, reader, chain, ledgers)
        _check_head(found, reader)
    except Divergence as divergence:
        found.divergence = divergence
    return found


def fold_runs(chain: ChainReader, runs: Iterable[int]) -> list[Ledger]:
    """Ledgers of these runs. Raises Divergence where rows do not hash to what the chain recorded, ChainUnreachable."""
    ledgers = []
    for run in runs:
        try:
            ledgers.append(Follower(chain, run).ledger)
        except SpecError as error:
            raise Divergence(None, f"rows of run {run}", "what the chain recorded", "others", str(error)) from error
    return ledgers


def _replay(found: ReputationAudit, reader: ReputationReader, chain: ChainReader, ledgers: Sequence[Ledger]) -> None:
    pasts = {ledger.run: _Past(ledger) for ledger in ledgers}
    said: list[ReputationEvent | Event] = [*reader.events()]
    said += (event for ledger in ledgers for event in chain.events(ledger.run))
    most = Most(found.book)
    for event in sorted(said, key=attrgetter("position")):
        if isinstance(event, Event):
            if isinstance(event, Rated):
                _check_rated(found, pasts[event.run], event)
            pasts[event.run].apply(event)
            continue
        if isinstance(event, Harvested):
            _check_harvest(found, pasts.get(event.run), event)
        if isinstance(event, RatingFinal):
            _check_rating(found, most, event)
        try:
            found.book.apply(event)
        except SpecError as error:
            why = str(error)
            raise Divergence(None, _row(event), "a row that can follow", "another", why) from error
    for pending in found.book.proposals.values():
        false = excess(most, pending.said) if pending.challenge is None else None
        if false is not None:
            why = f"proposed {false}: nobody has challenged it yet"
            raise Divergence(None, _row(pending.said), "a rating that can be shown", "a false one", why)


def _check_harvest(found: ReputationAudit, past: _Past | None, event: Harvested) -> None:
    if past is None:
        found.unchecked.append(event.run)
        return
    expected = past.harvest(found.book, event.epoch)
    said = feedback.Harvest(event.new_rounds, event.endorsers, event.rows)
    if expected != said:
        raise Divergence(None, _row(event), expected, said, f"not what the standings of run {event.run} were")
    found.harvests += 1


def _check_rating(found: ReputationAudit, most: Most, event: RatingFinal) -> None:
    pending = found.book.proposals.get(event.account)
    if pending is None:
        return  # the book says so
    said = pending.said
    false = excess(most, said)
    if false is not None:
        why = f"the chain took {false}: nobody challenged it"
        raise Divergence(None, _row(event), "a rating that can be shown", "a false one", why)
    most_hits, most_paths = most.shown(said.account, said.cut)
    found.ratings.append(
        RatingAudit(
            account=said.account,
            cut=said.cut,
            hits=said.hits,
            most_hits=most_hits,
            paths=said.paths,
            most_paths=most_paths,
            rating_q32=said.rating_q32,
        )
    )


def _check_rated(found: ReputationAudit, past: _Past, event: Rated) -> None:
    account = past.seats.get((event.role, event.index))
    epoch = event.position[0] // found.book.params.epoch_blocks
    expected = found.book.rating_of(account, epoch) if account is not None else None
    if expected != event.rating_q32:
        raise Divergence(None, _row(event), expected, event.rating_q32, "not the holder's rating at that block")
    found.rated += 1


def _check_head(found: ReputationAudit, reader: ReputationReader) -> None:
    """Raises Divergence where the contract holds something else than its rows lead to."""
    book, block = found.book, reader.block()
    for account, expected_wei in book.purses_wei.items():
        purse_wei = reader.purse_wei(account)
        if purse_wei != expected_wei:
            raise Divergence(
                None, f"purse of 0x{account.hex()}", expected_wei, purse_wei, "a row is missing or altered"
            )
    for account in book.ratings:
        rating_q32 = reader.rating_q32(account)
        # A node answers as of the newest block or of the one that comes next, which may be of another epoch.
        expected = [book.rating_of(account, at // book.params.epoch_blocks) for at in (block, block + 1)]
        if rating_q32 not in expected:
            raise Divergence(
                None, f"rating of 0x{account.hex()}", expected[0], rating_q32, "a row is missing or altered"
            )
    found.held_wei = reader.held_wei()
    if found.held_wei < found.owed_wei:
        why = "the contract holds less than purses, stakes behind vouches, bonds and what was burned"
        raise Divergence(None, "reputation's tokens", found.owed_wei, found.held_wei, why)


@dataclass(slots=True)
class _Past:
    """A run as it was at any row, of which ``ledger`` is the end."""

    ledger: Ledger
    final: Books = field(default_factory=Books)
    round: int = 0
    seats: dict[tuple[Role, int], bytes] = field(default_factory=dict)  # who is seated

    def apply(self, event: Event) -> None:
        match event:
            case Admitted():
                self.seats[event.role, event.index] = event.account
            case Retired():
                self.seats.pop((event.role, event.index), None)
            case PhaseOpened():
                self.round = max(self.round, event.round)
            case Settled():
                execution = self.ledger.rounds[event.round - 1].execution
                assert execution is not None
                self.final = execution.books

    def harvest(self, book: Book, epoch: int) -> feedback.Harvest | None:
        return feedback.harvest(
            self.final.trainers,
            self.final.verifiers,
            set(self._seated(Role.VERIFIER)),
            self.round,
            book.harvested_rounds.get(self.ledger.run, 0),
            {leaf.account: book.said_until(leaf.account, epoch) for leaf in self.final.verifiers},
        )

    def _seated(self, role: Role) -> Iterator[bytes]:
        return (account for (one, _), account in self.seats.items() if one is role)


def _row(event: ReputationEvent | Event) -> str:
    return f"{type(event).__name__} at block {event.position[0]} log {event.position[1]}"
