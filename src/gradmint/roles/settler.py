"""The settler: anyone who brings the chain what it already knows in digest, so that it re-executes the round.

Who revealed takes turns: first the one at the round's number modulo their count, the next wait a little longer each.
"""

from __future__ import annotations

from ..ports.chain import Settle
from ..spec.ledger import Ledger, Round
from ..spec.types import Phase
from .desk import Desk
from .driver import Duty, Say, Until


def settlement_call(ledger: Ledger) -> Settle:
    """The current round's settlement transaction: standings as of the last one, reports in verifier order."""
    round_ = ledger.round
    return Settle(
        run=ledger.run,
        params=ledger.terms,
        standings=ledger.all_standings(),
        reports=tuple(round_.reveals[v].report for v in sorted(round_.reveals)),
    )


def settler_duty(desk: Desk, round_: Round) -> Duty:
    """Settle the round unless someone before us in turn does."""
    yield Until(Phase.SETTLE)
    turns = sorted(round_.reveals)  # a moment ago they were all alive
    rank = (turns.index(desk.seat.index) - round_.number) % len(turns) if desk.seat.index in turns else len(turns)
    if rank:
        # The settle window has room for everyone's turn twice.
        yield Until(Phase.ENDED, at_most_s=rank * desk.follower.params.settle_s / (2 * len(turns) + 2))
    yield Say(settlement_call(desk.ledger), Phase.SETTLE, said=lambda r: r.is_over)
