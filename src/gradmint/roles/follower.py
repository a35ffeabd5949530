"""Runs and reputation as one process sees them: the chain's events folded, as far as they have come."""

from __future__ import annotations

from ..ports.chain import ChainReader
from ..ports.reputation import ReputationReader
from ..spec.book import Book
from ..spec.endorsements import ReputationEvent
from ..spec.errors import ChainError
from ..spec.events import Event, Position
from ..spec.ledger import Ledger
from ..spec.params import Params


class Follower:
    """Keeps ``ledger`` up to date with the chain."""

    def __init__(self, chain: ChainReader, run: int) -> None:
        """Raises ChainError when the run does not exist."""
        count = chain.run_count()
        if not 1 <= run <= count:
            raise ChainError(f"run {run} is not on this chain, the deployment has {count}; see 'gradmint run list'")
        self.chain = chain
        self.run = run
        self.ledger = Ledger(run)
        self._position: Position | None = None
        self.refresh()

    @property
    def params(self) -> Params:
        return self.ledger.terms

    def refresh(self) -> list[Event]:
        """Fold in what is new and return it. Raises TranscriptBroken, ChainUnreachable."""
        fresh = list(self.chain.events(self.run, self._position))
        for event in fresh:
            self.ledger.apply(event)
            self._position = event.position
        return fresh


class BookFollower:
    """Keeps ``book`` up to date with the contract Reputation."""

    def __init__(self, reader: ReputationReader) -> None:
        self.reader = reader
        self.book = Book(reader.params, reader.seeds)
        self._position: Position | None = None
        self.refresh()

    def refresh(self) -> list[ReputationEvent]:
        """Fold in what is new and return it. Raises EndorsementsBroken, ChainUnreachable."""
        fresh = list(self.reader.events(self._position))
        for event in fresh:
            self.book.apply(event)
            self._position = event.position
        return fresh
