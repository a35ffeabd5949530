"""Rounds as participants see them, in runs that settle directly and in those that propose: when a round is closed, what
it came to, who sat where."""

from __future__ import annotations

from ..learn.budget import doubts
from ..spec.docket import Books
from ..spec.events import Exposed, Seized
from ..spec.ledger import Ledger
from ..spec.round import Round, Seat
from ..spec.types import Consensus, Role, Settlement


def is_closed(ledger: Ledger, round_: Round) -> bool:
    """Nothing that is said from now on changes what the round comes to."""
    return round_.is_over or (round_.record is not None and not ledger.is_direct)


def settlement_of(ledger: Ledger, round_: Round) -> Settlement | None:
    """What the round came to by re-execution; None when it is void or not closed yet.

    A recorded round of a proposing run counts before it is final: what is proposed for it can only be this.
    """
    return round_.settlement if is_closed(ledger, round_) and round_.voided is None else None


def consensus_of(ledger: Ledger, round_: Round) -> Consensus | None:
    """What the committee agreed on in a closed round; None without quorum."""
    settlement = settlement_of(ledger, round_)
    return settlement.consensus if settlement else None


def closed(ledger: Ledger) -> int:
    """Rounds behind which there is a model: all but the one that goes on, if one does."""
    count = len(ledger.rounds)
    return count if not count or is_closed(ledger, ledger.rounds[-1]) else count - 1


def attested_after(ledger: Ledger, number: int) -> bytes | None:
    """Digest of the model after round ``number`` as more than 2/3 of the next round's committee attest it; the run's
    own for 0. None while they have not: after the last round, or where too few were there."""
    if number == 0:
        return ledger.terms.model
    return ledger.rounds[number].held()[1] if number < len(ledger.rounds) else None


def doubts_before(ledger: Ledger, round_: Round) -> dict[int, float]:
    """How likely each trainer's cheap value is wrong, by what verifiers said about it in the rounds before."""
    agreed = ((earlier, consensus_of(ledger, earlier)) for earlier in ledger.rounds[: round_.number - 1])
    return doubts(
        (consensus.rows, [report.rows for report in earlier.reports(ledger.terms.words) if report is not None])
        for earlier, consensus in agreed
        if consensus is not None
    )


def books_before(ledger: Ledger, round_: Round) -> Books:
    """What the settlement of ``round_`` starts from."""
    for earlier in reversed(ledger.rounds[: round_.number - 1]):
        if earlier.execution is not None and settlement_of(ledger, earlier) is not None:
            return earlier.execution.books
    return Books()


def holder(ledger: Ledger, role: Role, index: int, number: int) -> Seat:
    """Whose seat it was in round ``number``: seats of leavers are given again. Raises LookupError."""
    for seat in (ledger.seats[role][index], *reversed(ledger.former)):
        if (seat.role, seat.index) == (role, index) and seat.since_round <= number:
            return seat
    raise LookupError(f"nobody held {role.name.lower()} seat {index} in round {number}")


def seized_by(ledger: Ledger, event: Exposed) -> list[Seized]:
    """What one exposure took; a contract may send several in one transaction."""
    later = [other.position for other in ledger.exposed if other.position > event.position]
    return [row for row in ledger.seized if row.position > event.position and all(row.position < p for p in later)]
