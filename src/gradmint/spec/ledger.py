"""A run's state as everyone sees it, folded from its events; every row is checked against the transcript on the way.

    ledger = Ledger(run)
    for event in events: ledger.apply(event)      # raises TranscriptBroken at the first row that does not fit

Trainers, verifiers, settlers and auditors all read the chain through this one class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from . import committee
from . import transcript as tr
from .docket import Books, Execution, Proposal, Record, RosterRow, execute
from .errors import TranscriptBroken
from .events import (
    Admitted,
    Bonded,
    Burned,
    Challenged,
    Claimed,
    Committed,
    Event,
    Exiting,
    Exposed,
    Forfeited,
    Funded,
    Held,
    Joined,
    Left,
    Opened,
    PhaseOpened,
    Pooled,
    Proposed,
    Rated,
    Recorded,
    Refunded,
    Refuted,
    Retired,
    Revealed,
    Seized,
    Settled,
    Slashed,
    Submitted,
    Unbonded,
    Voided,
    Withdrawn,
)
from .mechanism import pay_multiplier_q32
from .params import Params
from .roster import Roster
from .round import Round, Seat
from .types import Phase, Report, Role, Standing


class Ledger:
    """State of one run, updated by :meth:`apply`.

    Attributes are plain data: ``params``, ``sponsor``, ``token``, ``deposited_wei``, ``phase``, ``deadline_s``,
    ``seats`` (per role, current holders), ``books`` (after the last recorded round, by re-execution: what trainers and
    verifiers go by), ``final`` (after the last settled one: what can be claimed; the same where rounds are settled
    directly), ``pending`` (proposals in round order), ``challenge``, ``rounds`` (round r at index r - 1),
    ``claimed_wei`` (cumulative, per account), ``slashed_wei``, ``bonds_wei``, ``left_wei`` (per account).
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
        self._roster = Roster()
        self.seats, self.former, self.roster_rows = self._roster.seats, self._roster.former, self._roster.rows
        self.books = Books()
        self.final = Books()
        self.pending: list[Proposal] = []
        self.challenge: Challenged | None = None
        self.refuted: list[tuple[Refuted, Proposal]] = []
        self.rounds: list[Round] = []
        self.claimed_wei: dict[bytes, int] = {}
        self.left_wei: dict[bytes, int] = {}
        self.slashed_wei: dict[bytes, int] = {}
        self.withdrawn_wei: dict[bytes, int] = {}
        self.exiting: dict[bytes, int] = {}
        self.prices_wei = 0  # paid for seats, burned
        self.bonds_wei: dict[bytes, int] = {}
        self.forfeited: list[Forfeited] = []
        self.exposed: list[Exposed] = []
        self.seized: list[Seized] = []
        self.burned_wei = 0
        self.pooled_wei = 0
        self.transcript = tr.EMPTY
        self.settlements = tr.EMPTY  # transcript of settlements, where they are proposed

    @property
    def terms(self) -> Params:
        """The run's parameters, once it is open."""
        if self.params is None:
            raise LookupError(f"run {self.run} is not open on this chain")
        return self.params

    @property
    def is_direct(self) -> bool:
        """Every round is re-executed on chain, none is proposed."""
        return self.terms.challenge_s == 0

    @property
    def roster(self) -> bytes:
        """Transcript of joins, exits and ratings."""
        return self._roster.transcript

    @property
    def round(self) -> Round:
        """The latest round."""
        return self.rounds[-1]

    @property
    def total_wei(self) -> int:
        """Ever promised to participants, finally."""
        return self.final.total_wei

    @property
    def poolable_wei(self) -> int:
        """Lost to the run's budget, by bonds and stakes, and not moved there yet."""
        bonds_wei, stakes_wei = (sum(lost.pool_wei for lost in rows) for rows in (self.forfeited, self.seized))
        return bonds_wei + stakes_wei - self.pooled_wei

    @property
    def standings(self) -> dict[Role, tuple[Standing, ...]]:
        """After the last recorded round."""
        return {Role.TRAINER: self.books.trainers, Role.VERIFIER: self.books.verifiers}

    def seated(self, role: Role, count: int) -> tuple[Standing, ...]:
        """Standings of the first ``count`` seats as they are rated now; who joined since the last recorded round starts
        afresh."""
        found = []
        for seat in self.seats[role][:count]:
            known = self.standings[role][seat.index : seat.index + 1]
            standing = known[0] if known and known[0].account == seat.account else Standing(seat.account, role)
            found.append(replace(standing, reputation_q32=pay_multiplier_q32(self.terms, seat.rating_q32)))
        return tuple(found)

    def all_standings(self) -> tuple[Standing, ...]:
        """The leaves of the standing tree as of the last settlement: trainers, then verifiers."""
        return self.final.standings

    def awaited_trainers(self) -> frozenset[int]:
        """Trainers for whom the current round's submissions stay open."""
        seats = self.seats[Role.TRAINER][: self.round.trainers]
        here = [seat for seat in seats if seat.since_round <= self.round.number and not seat.gone]
        return frozenset(seat.index for seat in here if seat.awaited)

    def unsettled(self) -> list[Round]:
        """Recorded rounds that are not final yet, in order."""
        return [round_ for round_ in self.rounds if round_.record and not round_.is_over]

    def roster_between(self, before: bytes, after: bytes) -> tuple[RosterRow, ...]:
        """Joins, exits and ratings that lead from one roster transcript to another."""
        return self._roster.between(before, after)

    def seat(self, account: bytes) -> Seat | None:
        """The account's seat; also a former holder's."""
        return self._roster.seat(account)

    def apply(self, event: Event) -> None:
        """Fold one event in. Raises TranscriptBroken."""
        _HANDLERS[type(event)](self, event)

    def _record(self) -> Record:
        """What the current round leaves behind."""
        round_ = self.round
        return Record(
            round=round_.number,
            previous=max((r.number for r in self.rounds if r.record), default=0),
            trainers=round_.trainers,
            verifiers=round_.verifiers,
            deposited_wei=self.deposited_wei,
            active=round_.active,
            revealed=sum(1 << v for v in round_.reveals),
            roster=round_.roster,
            transcript=self.transcript,
            reports=tuple(Report.hash(round_.reveals[v].report, self.terms.words) for v in sorted(round_.reveals)),
            stakes_wei=self._stakes_wei(round_.active),
        )

    def _stakes_wei(self, mask: int) -> tuple[int, ...]:
        """Per verifier of the current round as of now, 0 outside ``mask``."""
        seats = self.seats[Role.VERIFIER][: self.round.verifiers]
        return tuple(seat.stake_wei if mask >> seat.index & 1 else 0 for seat in seats)

    def _weights(self, mask: int) -> tuple[int, ...]:
        """What each of them weighs in the committee's draw."""
        bps, seats, stakes_wei = self.terms.sortition_bps, self.seats[Role.VERIFIER], self._stakes_wei(mask)
        return tuple(committee.weight(wei, seat.rating_q32, bps) for seat, wei in zip(seats, stakes_wei, strict=False))

    def _execute(self, round_: Round, before: Books) -> Execution:
        """Raises MalformedReport."""
        assert round_.record is not None
        rows = self.roster_between(before.roster, round_.roster)
        return execute(self.terms, round_.record, before, rows, round_.reports(self.terms.words))

    def _fold(self, kind: tr.Kind, row: bytes, event: Event, recorded: bytes) -> None:
        self.transcript = self._same(tr.fold(self.transcript, kind, row), event, recorded)

    def _enrol(self, row: RosterRow, event: Event, recorded: bytes) -> None:
        self._same(self._roster.after(row), event, recorded)
        self._roster.add(row, since_round=len(self.rounds) + 1)

    def _same(self, found: bytes, event: Event, recorded: bytes) -> bytes:
        name = type(event).__name__
        if found != recorded:
            where = f"round {self.rounds[-1].number}" if self.rounds else "enrolment"
            raise TranscriptBroken(
                f"{where}, {name} at block {event.position[0]} log {event.position[1]}: row hashes to {found.hex()}, "
                f"the chain recorded {recorded.hex()}: this row, or one before it, is not what the chain saw"
            )
        return found

    def _round_of(self, event: Event, number: int) -> Round:
        if not 1 <= number <= len(self.rounds):
            raise TranscriptBroken(f"{_where(event, number)}: the latest round is {len(self.rounds)}: a row is missing")
        return self.rounds[number - 1]

    def _opened(self, event: Opened) -> None:
        self.params, self.sponsor, self.token = event.params, event.sponsor, event.token
        self.deposited_wei += event.budget_wei

    def _funded(self, event: Funded) -> None:
        self.deposited_wei += event.amount_wei

    def _claimed(self, event: Claimed) -> None:
        self.claimed_wei[event.account] = self.claimed_wei.get(event.account, 0) + event.amount_wei

    def _left(self, event: Left) -> None:
        self.left_wei[event.account] = event.cumulative_wei

    def _noted(self, event: Event) -> None:
        """Says nothing that another row does not."""

    _redirected = _expanded = _noted

    def _joined(self, event: Joined) -> None:
        self.prices_wei += event.price_wei

    def _bonded(self, event: Bonded) -> None:
        self.bonds_wei[event.account] = self.bonds_wei.get(event.account, 0) + event.amount_wei

    def _unbonded(self, event: Unbonded) -> None:
        self.bonds_wei[event.account] = self.bonds_wei.get(event.account, 0) - event.amount_wei

    def _forfeited(self, event: Forfeited) -> None:
        lost_wei = event.reward_wei + event.burn_wei + event.pool_wei
        self.bonds_wei[event.account] = self.bonds_wei.get(event.account, 0) - lost_wei
        self.bonds_wei[event.beneficiary] = self.bonds_wei.get(event.beneficiary, 0) + event.reward_wei
        self.forfeited.append(event)

    def _exposed(self, event: Exposed) -> None:
        self._round_of(event, event.round)
        self.exposed.append(event)

    def _seized(self, event: Seized) -> None:
        self.bonds_wei[event.beneficiary] = self.bonds_wei.get(event.beneficiary, 0) + event.reward_wei
        seat = self.seat(event.account)
        if seat is not None:
            seat.stake_wei -= event.lost_wei
        self.seized.append(event)

    def _pooled(self, event: Pooled) -> None:
        self.pooled_wei += event.amount_wei

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
        row = RosterRow(tr.Kind.ADMITTED, event.role, event.index, event.account, event.stake_wei)
        self._enrol(row, event, event.transcript)

    def _retired(self, event: Retired) -> None:
        self._enrol(RosterRow(tr.Kind.RETIRED, event.role, event.index), event, event.transcript)

    def _rated(self, event: Rated) -> None:
        row = RosterRow(tr.Kind.RATED, event.role, event.index, rating_q32=event.rating_q32)
        self._enrol(row, event, event.transcript)

    def _phase_opened(self, event: PhaseOpened) -> None:
        row = tr.phase_row(event.round, event.phase, event.deadline_s, event.beacon, event.roster)
        before = self.transcript
        self._fold(tr.Kind.PHASE, row, event, event.transcript)
        if event.roster != self.roster:
            raise TranscriptBroken(
                f"round {event.round}: the phase names roster {event.roster.hex()}, joins, exits and ratings hash to "
                f"{self.roster.hex()}: a row of the roster is missing or altered"
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
                    eligible=sum(1 << seat.index for seat in verifiers if not seat.gone),
                    stakes_wei=tuple(0 if seat.gone else seat.stake_wei for seat in verifiers),
                    roster=self.roster,
                    before=before,
                    standings=self.seated(Role.TRAINER, len(self.seats[Role.TRAINER])),
                )
            )
        if self.rounds and event.phase is not Phase.ENDED:
            round_ = self.round
            if event.phase is Phase.HOLD and round_.eligible.bit_count() > self.terms.committee:
                drawn = committee.draw(event.beacon, self._weights(round_.eligible), self.terms.committee)
                round_.stakes_wei = self._stakes_wei(drawn)
            elif event.phase is Phase.COMMIT:
                if round_.phase is Phase.SETTLE:
                    self._start_over(event)
                round_.assessment_beacon = event.beacon
            round_.phase = event.phase
            round_.opened[event.phase] = event

    def _start_over(self, event: PhaseOpened) -> None:
        """A drawn committee had no quorum: everyone assesses anew."""
        round_ = self.round
        if round_.settlement is None or round_.settlement.consensus or round_.active == round_.eligible:
            raise TranscriptBroken(f"{_where(event, event.round)}: everyone was called in, and there was no reason to")
        round_.start_over(self._stakes_wei(round_.eligible))

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
        row = tr.revealed_row(event.verifier, event.salt, Report.hash(event.report, self.terms.words))
        self._fold(tr.Kind.REVEALED, row, event, event.transcript)
        self.round.reveals[event.verifier] = event

    def _voided(self, event: Voided) -> None:
        self._round_of(event, event.round).voided = event

    def _recorded(self, event: Recorded) -> None:
        round_ = self._round_of(event, event.round)
        record = self._record()
        if round_ is not self.round or record.hash() != event.record_hash:
            raise TranscriptBroken(
                f"{_where(event, event.round)}: the chain recorded {event.record_hash.hex()}, what was said and staked "
                f"in round {self.round.number} hashes to {record.hash().hex()}"
            )
        round_.recorded, round_.record = event, record
        # A direct round that nobody settles in time is void: what it would give must not be built on before.
        round_.execution = self._execute(round_, self.books)
        if not self.is_direct:
            self.books = round_.execution.books

    def _proposed(self, event: Proposed) -> None:
        self.pending.append(
            Proposal(round=event.round, proposer=event.proposer, final_s=event.final_s, outcome=event.outcome)
        )

    def _challenged(self, event: Challenged) -> None:
        self.challenge = event

    def _refuted(self, event: Refuted) -> None:
        places = [k for k, proposal in enumerate(self.pending) if proposal.round == event.round]
        if not places:
            raise TranscriptBroken(
                f"{_where(event, event.round)}: nothing is proposed for that round: a row is missing"
            )
        self.refuted.append((event, self.pending[places[0]]))
        del self.pending[places[0] :]
        if self.challenge and self.challenge.round >= event.round:
            self.challenge = None

    def _settled(self, event: Settled) -> None:
        row = tr.settled_row(event.round, event.outcome.pack())
        round_ = self._round_of(event, event.round)
        if self.is_direct:
            self._fold(tr.Kind.SETTLED, row, event, event.transcript)
        else:
            found = tr.fold(self.settlements, tr.Kind.SETTLED, row)
            if found != event.transcript:
                raise TranscriptBroken(
                    f"{_where(event, event.round)}: settlements hash to {found.hex()}, the chain recorded "
                    f"{event.transcript.hex()}"
                )
            # Where nothing is pending, the round was settled by re-execution at once.
            proposal = self.pending[0] if self.pending else None
            if proposal and (proposal.round, proposal.outcome) != (event.round, event.outcome):
                raise TranscriptBroken(
                    f"{_where(event, event.round)}: outcome {event.outcome.hash().hex()} became final, round "
                    f"{proposal.round} was proposed with {proposal.outcome.hash().hex()}"
                )
            self.settlements = found
            del self.pending[:1]
            if self.challenge and self.challenge.round == event.round:
                self.challenge = None
        if round_.execution is None:
            raise TranscriptBroken(f"{_where(event, event.round)}: it was settled before it was recorded")
        round_.settled = event
        self.final = round_.execution.books
        if self.is_direct:
            self.books = self.final
        for i, seat in enumerate(self.seats[Role.TRAINER][: round_.trainers]):
            if seat.since_round <= event.round and round_.execution.effects.awaited:
                seat.awaited = round_.execution.effects.awaits(i)


def _where(event: Event, round_: int) -> str:
    return f"round {round_}, {type(event).__name__} at block {event.position[0]} log {event.position[1]}"


def _handler(kind: type[Event]) -> Callable[[Ledger, Event], None]:
    """The method of the event's name."""
    name = "".join("_" + letter.lower() if letter.isupper() else letter for letter in kind.__name__)
    handler: Callable[[Ledger, Event], None] = getattr(Ledger, name)
    return handler


_HANDLERS = {kind: _handler(kind) for kind in Event.__subclasses__()}
