"""One call at a time, sent once: what is under way outlives the process."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from ..ports.chain import STALE, Call, Chain, Receipt
from ..spec.errors import Reverted
from .journal import Journal

log = logging.getLogger(__name__)

UNDER_WAY = "errand"  # journal entry of a call, in round 0: it belongs to no round


@dataclass(frozen=True, slots=True)
class Outbox:
    """Signed bytes are journaled before they are sent, and dropped when the chain has taken or refused them.

    ``pause``: what to do between finding bytes stale and signing anew. Raises Unfunded, ChainUnreachable.
    """

    chain: Chain
    journal: Journal
    pause: Callable[[], object]

    def resume(self) -> bool:
        """Send what the last process left under way; whether there was anything."""
        begun = self.journal.get(0, UNDER_WAY)
        if begun is None:
            return False
        try:
            self.chain.broadcast(begun)
        except Reverted as refusal:
            log.info("what was under way at the last stop is refused: %s", refusal)
        self.journal.drop(0, UNDER_WAY)
        return True

    def forget(self) -> None:
        """Whatever the last process left under way is not wanted any more."""
        self.journal.drop(0, UNDER_WAY)

    def send(self, call: Call, about: str) -> Receipt | None:
        """Send ``call`` now; None when the chain refuses it. ``about`` is for the log."""
        name = type(call).__name__
        while True:
            try:
                signed = self.chain.sign(call)
                self.journal.put(0, UNDER_WAY, signed)
                receipt = self.chain.broadcast(signed)
            except Reverted as refusal:
                self.journal.drop(0, UNDER_WAY)
                if refusal.name not in STALE:
                    log.info("%s: %s refused: %s", about, name, refusal)
                    return None
                self.pause()
            else:
                self.journal.drop(0, UNDER_WAY)
                log.info("%s: %s, %d gas", about, name, receipt.gas_used)
                return receipt
