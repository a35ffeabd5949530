"""A run's state as everyone sees it, folded from its events; every row is checked against the transcript on the way.

    ledger = Ledger(run)
    for event in events: ledger.apply(event)      # raises TranscriptBroken at the first row that does not fit

Trainers, verifiers, settlers and auditors all read the chain through this one class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from . import transcript as tr
from .agreement import agree, held_set
from .errors import TranscriptBroken
from .events import (
    Admitted,
    Burned,
    Claimed,
    Committed,
    Event,
    Exiting,
    Funded,
    Held,
    Opened,
    PhaseOpened,
    Refunded,
    Retired,
    Revealed,
    Settled,
    Slashed,
    Submitted,
    Voided,
    Withdrawn,
)
from .mechanism import round_budget_wei, settle
from .params import Params
from .types import Consensus, Phase, Report, Role, Settlement, Standing


@dataclass(slots=True)
class Seat:
    """One participant of the run."""

    role: Role
    index: int
    account: bytes
    stake_wei: int  # what was staked, less what was slashed
    gone: bool = False  # left or ejected; a verifier stays in the committee until the next round opens


@dataclass(slots=True)
class Round:
    """What was said in one round."""

    number: int
    training_beacon: bytes
    trainers: int  # seats that take part; later joiners wait for the next round
    verifiers: int
    stakes_wei: tuple[int, ...]  # committee stake per verifier index, 0 outside the committee
    phase: Phase = Phase.TRAIN
    opened: dict[Phase, PhaseOpened] = field(default_factory=dict)
    submissions: list[Submitted] = field(default_factory=list)  # chain order, repeats included
    holds: dict[int, Held] = field(default_factory=dict)
    assessment_beacon: bytes = b""
    commits: dict[int, Committed] = field(default_factory=dict)
    reveals: dict[int, Revealed] = field(default_factory=dict)
    settled: Settled | None = None  # what the chain recorded
    settlement: Settlement | None = None  # what re-execution gives
    voided: Voided | None = None

    @property
    def is_over(self) -> bool:
        return self.settled is not None or self.voided is not None

    @property
    def first_submissions(self) -> dict[int, Submitted]:
        """The submission that counts: each trainer's first, in chain order."""
        first: dict[int, Submitted] = {}
        for submission in self.submissions:
            first.setdefault(submission.trainer, submission)
        return first

    def held(self) -> tuple[frozenset[int], bytes | None]:
        """The round's set of updates and the attested base model, see :func:`spec.agreement.held_set`."""
        holds = {v: (hold.bitmap, hold.base) for v, hold in self.holds.items()}
        held, base = held_set(holds, self.stakes_wei, self.trainers)
        return held & self.first_submissions.keys(), base

    def reports(self, words: int) -> list[Report | None]:
        """Revealed reports per verifier index. Raises MalformedReport."""
        return [
            Report.unpack(self.reveals[v].report, words, self.trainers) if v in self.reveals else None
            for v in range(self.verifiers)
        ]

    def consensus(self, params: Params) -> Consensus | None:
        """What the committee agreed on; None without quorum."""
        return agree(self.stakes_wei, self.reports(params.words), params.accept_bits)


class Ledger:
    """State of one run, updated by :meth:`apply`.

    Attributes are plain data: ``params``, ``sponsor``, ``token``, ``deposited_wei``, ``phase``, ``deadline_s``,
    ``seats`` (per role), ``standings`` (per role, re-executed at every settlement), ``rounds`` (round r at index
    r - 1), ``claimed_wei`` (cumulative, per account), ``slashed_wei`` (per account).
    """

    def __init__(self, run: int) -> None:
        self.run = run
        self.params: Params | None = None
        self.sponsor = b""
        self.token = b""
        self.deposited_wei = 0
        self.refunded_wei = 0
        self.phase = Phase.ENROL
        self.deadline_s = 0
        self.seats: dict[Role, list[Seat]] = {Role.TRAINER: [], Role.VERIFIER: []}
        self.standings: dict[Role, tuple[Standing, ...]] = {Role.TRAINER: (), Role.VERIFIER: ()}
        self.rounds: list[Round] = []
        self.claimed_wei: dict[bytes, int] = {}
        self.slashed_wei: dict[bytes, int] = {}
        self.withdrawn_wei: dict[bytes, int] = {}
        self.exiting: dict[bytes, int] = {}
        self.burned_wei = 0
        self.transcript = tr.EMPTY
        self.roster = tr.EMPTY

    @property
    def terms(self) -> Params:
        """The run's parameters, once it is open."""
        if self.params is None:
            raise LookupError(f"run {self.run} is not open on this chain")
        return self.params

    @property
    def round(self) -> Round:
        """The latest round."""
        return self.rounds[-1]

    @property
    def total_wei(self) -> int:
        """Ever promised to participants."""
        return next((r.settled.total_wei for r in reversed(self.rounds) if r.settled), 0)

    def seated(self, role: Role, count: int) -> tuple[Standing, ...]:
        """Standings of the first ``count`` seats; who joined since the last settlement starts afresh."""
        known = self.standings[role]
        return known + tuple(Standing(seat.account, role) for seat in self.seats[role][len(known) : count])

    def all_standings(self) -> tuple[Standing, ...]:
        """The leaves of the standing tree as of the last settlement: trainers, then verifiers."""
        return self.standings[Role.TRAINER] + self.standings[Role.VERIFIER]

    def awaited_trainers(self) -> frozenset[int]:
        """Trainers for whom the current round's submissions stay open: not gone, and not missing twice in a row."""
        standings = self.seated(Role.TRAINER, self.round.trainers)
        seats = self.seats[Role.TRAINER]
        return frozenset(i for i, standing in enumerate(standings) if standing.misses < 2 and not seats[i].gone)

    def settle_round(self) -> Settlement:
        """The current round's settlement by re-execution. Raises MalformedReport."""
        round_ = self.round
        return settle(
            self.terms,
            round_budget_wei(self.deposited_wei - self.total_wei, round_.number, self.terms.max_rounds),
            self.seated(Role.TRAINER, round_.trainers),
            self.seated(Role.VERIFIER, round_.verifiers),
            round_.stakes_wei,
            round_.reports(self.terms.words),
        )

    def seat(self, account: bytes) -> Seat | None:
        for seats in self.seats.values():
            for seat in seats:
                if seat.account == account:
                    return seat
        return None

    def apply(self, event: Event) -> None:
        """Fold one event in. Raises TranscriptBroken."""
        _HANDLERS[type(event)](self, event)

    def _fold(self, kind: tr.Kind, row: bytes, event: Event, recorded: bytes) -> None:
        name = type(event).__name__
        is_roster = kind in (tr.Kind.ADMITTED, tr.Kind.RETIRED)
        found = tr.fold(self.roster if is_roster else self.transcript, kind, row)
        if found != recorded:
            where = f"round {self.rounds[-1].number}" if self.rounds else "enrolment"
            raise TranscriptBroken(
                f"{where}, {name} at block {event.position[0]} log {event.position[1]}: row hashes to {found.hex()}, "
                f"the chain recorded {recorded.hex()}: this row, or one before it, is not what the chain saw"
            )
        if is_roster:
            self.roster = found
        else:
            self.transcript = found

    def _opened(self, event: Opened) -> None:
        self.params, self.sponsor, self.token = event.params, event.sponsor, event.token
        self.deposited_wei += event.budget_wei

    def _funded(self, event: Funded) -> None:
        self.deposited_wei += event.amount_wei

    def _claimed(self, event: Claimed) -> None:
        self.claimed_wei[event.account] = self.claimed_wei.get(event.account, 0) + event.amount_wei

    def _refunded(self, event: Refunded) -> None:
        self.refunded_wei += event.amount_wei

    def _exiting(self, event: Exiting) -> None:
        self.exiting[event.account] = event.withdrawable_s

    def _withdrawn(self, event: Withdrawn) -> None:
        self.withdrawn_wei[event.account] = self.withdrawn_wei.get(event.account, 0) + event.amount_wei

    def _slashed(self, event: Slashed) -> None:
        self.slashed_wei[event.account] = self.slashed_wei.get(event.account, 0) + event.amount_wei
        seat = self.seat(event.account)
        if seat is not None:
            seat.stake_wei -= event.amount_wei

    def _burned(self, event: Burned) -> None:
        self.burned_wei += event.amount_wei

    def _admitted(self, event: Admitted) -> None:
        row = tr.admitted_row(event.role, event.index, event.account, event.stake_wei)
        self._fold(tr.Kind.ADMITTED, row, event, event.transcript)
        self.seats[event.role].append(Seat(event.role, event.index, event.account, event.stake_wei))

    def _retired(self, event: Retired) -> None:
        self._fold(tr.Kind.RETIRED, tr.retired_row(event.role, event.index), event, event.transcript)
        self.seats[event.role][event.index].gone = True

    def _phase_opened(self, event: PhaseOpened) -> None:
        row = tr.phase_row(event.round, event.phase, event.deadline_s, event.beacon, event.roster)
        self._fold(tr.Kind.PHASE, row, event, event.transcript)
        if event.roster != self.roster:
            raise TranscriptBroken(
                f"round {event.round}: the phase names roster {event.roster.hex()}, joins and exits hash to "
                f"{self.roster.hex()}: a join or exit row is missing or altered"
            )
        self.phase, self.deadline_s = event.phase, event.deadline_s
        if event.phase is Phase.TRAIN:
            verifiers = self.seats[Role.VERIFIER]
            self.rounds.append(
                Round(
                    number=event.round,
                    training_beacon=event.beacon,
                    trainers=len(self.seats[Role.TRAINER]),
                    verifiers=len(verifiers),
                    stakes_wei=tuple(0 if seat.gone else seat.stake_wei for seat in verifiers),
                )
            )
        if self.rounds and event.phase is not Phase.ENDED:
            self.round.phase = event.phase
            self.round.opened[event.phase] = event
            if event.phase is Phase.COMMIT:
                self.round.assessment_beacon = event.beacon

    def _submitted(self, event: Submitted) -> None:
        row = tr.submitted_row(event.trainer, event.claimed_gain_micronats, event.digest)
        self._fold(tr.Kind.SUBMITTED, row, event, event.transcript)
        self.round.submissions.append(event)

    def _held(self, event: Held) -> None:
        self._fold(tr.Kind.HELD, tr.held_row(event.verifier, event.base, event.bitmap), event, event.transcript)
        self.round.holds[event.verifier] = event

    def _committed(self, event: Committed) -> None:
        self._fold(tr.Kind.COMMITTED, tr.committed_row(event.verifier, event.commitment), event, event.transcript)
        self.round.commits[event.verifier] = event

    def _revealed(self, event: Revealed) -> None:
        row = tr.revealed_row(event.verifier, event.salt, event.report)
        self._fold(tr.Kind.REVEALED, row, event, event.transcript)
        self.round.reveals[event.verifier] = event

    def _voided(self, event: Voided) -> None:
        self.rounds[event.round - 1].voided = event

    def _settled(self, event: Settled) -> None:
        row = tr.settled_row(
            event.round, event.root, event.total_wei, event.standings_hash, event.loss_micronats, event.cluster_mask
        )
        self._fold(tr.Kind.SETTLED, row, event, event.transcript)
        settlement = self.settle_round()
        self.standings = {Role.TRAINER: settlement.trainers, Role.VERIFIER: settlement.verifiers}
        self.round.settled, self.round.settlement = event, settlement


_HANDLERS: dict[type[Event], Callable[[Ledger, Event], None]] = {
    Opened: Ledger._opened,  # type: ignore[dict-item]  # each handler takes its own event class
    Funded: Ledger._funded,  # type: ignore[dict-item]
    Claimed: Ledger._claimed,  # type: ignore[dict-item]
    Refunded: Ledger._refunded,  # type: ignore[dict-item]
    Exiting: Ledger._exiting,  # type: ignore[dict-item]
    Withdrawn: Ledger._withdrawn,  # type: ignore[dict-item]
    Slashed: Ledger._slashed,  # type: ignore[dict-item]
    Burned: Ledger._burned,  # type: ignore[dict-item]
    Admitted: Ledger._admitted,  # type: ignore[dict-item]
    Retired: Ledger._retired,  # type: ignore[dict-item]
    PhaseOpened: Ledger._phase_opened,  # type: ignore[dict-item]
    Submitted: Ledger._submitted,  # type: ignore[dict-item]
    Held: Ledger._held,  # type: ignore[dict-item]
    Committed: Ledger._committed,  # type: ignore[dict-item]
    Revealed: Ledger._revealed,  # type: ignore[dict-item]
    Voided: Ledger._voided,  # type: ignore[dict-item]
    Settled: Ledger._settled,  # type: ignore[dict-item]
}
