"""The settler: anyone who brings the chain what it already knows in digest, so that it re-executes a round.

Runs that settle directly only; ``docket`` is for those that propose. Who revealed takes turns: first the one at the
round's number modulo their count, the next wait a little longer each.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ports.chain import Settle
from ..spec.ledger import Ledger
from ..spec.params import Params
from ..spec.round import Round
from ..spec.types import Phase
from .driver import Driver, Duty, Say, Until
from .rounds import books_before


def said_in(round_: Round) -> tuple[bytes, ...]:
    """Packed reports of a recorded round, in verifier order."""
    return tuple(round_.reveals[v].report for v in sorted(round_.reveals))


def settlement_call(ledger: Ledger, round_: Round) -> Settle:
    """A recorded round's settlement transaction: standings as of the settlement before, reports in verifier order."""
    assert round_.record is not None
    before = books_before(ledger, round_)
    return Settle(
        run=ledger.run,
        params=ledger.terms,
        record=round_.record,
        roster=before.roster,
        rows=ledger.roster_between(before.roster, round_.roster),
        standings=before.standings,
        reports=said_in(round_),
    )


def rank_in_turn(turns: Sequence[int], number: int, index: int | None) -> int:
    """How many come before the verifier ``index`` in round ``number``; everybody does, for whoever is not in turn."""
    return (turns.index(index) - number) % len(turns) if index in turns else len(turns)


def turn_s(params: Params, turns: Sequence[int]) -> float:
    """How long the next in turn waits for the one before: the settle window has room for everyone's turn twice."""
    return params.settle_s / (2 * len(turns) + 2)


def settler_duty(ledger: Ledger, round_: Round, index: int | None) -> Duty:
    """Settle the round unless someone before us in turn does. ``index``: of our own verifier seat, if any."""
    yield Until(Phase.SETTLE)
    turns = sorted(round_.reveals)  # a moment ago they were all alive
    rank = rank_in_turn(turns, round_.number, index)
    if rank:
        yield Until(Phase.ENDED, at_most_s=rank * turn_s(ledger.terms, turns))
    yield Say(settlement_call(ledger, round_), Phase.SETTLE, said=lambda r: r.is_over)


def settle_now(ledger: Ledger, round_: Round) -> Duty:
    """Settle the round if that is what it waits for."""
    yield Say(settlement_call(ledger, round_), Phase.SETTLE, said=lambda r: r.is_over)


def settle_all(driver: Driver) -> None:
    """Settle what nobody else does, round after round, to the run's end. Raises as :meth:`Driver.perform`."""
    ledger, number = driver.follower.ledger, 0
    while driver.await_round(max(number + 1, len(ledger.rounds))):
        number = len(ledger.rounds)
        round_ = ledger.rounds[number - 1]
        driver.perform(number, lambda round_=round_: settler_duty(ledger, round_, None))  # type: ignore[misc]
