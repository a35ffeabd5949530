"""Who is seated, and what was said in one round: plain data that the ledger fills in."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from .agreement import accepted, agree, held_set
from .docket import Execution, Record
from .events import Committed, Held, PhaseOpened, Recorded, Revealed, Settled, Submitted, Voided
from .mechanism import is_banned
from .params import Params
from .types import Consensus, Phase, Report, Role, Settlement, Standing


@dataclass(slots=True)
class Seat:
    """One participant of the run."""

    role: Role
    index: int
    account: bytes
    stake_wei: int  # what was staked, less what was slashed
    since_round: int = 1  # first round it takes part in
    gone: bool = False  # left or ejected; a verifier can be called on until the next round opens
    awaited: bool = True  # a trainer without whom submissions are not closed early
    rating_q32: int = 0  # as last brought into the run


@dataclass(slots=True)
class Round:
    """What was said in one round."""

    number: int
    training_beacon: bytes
    trainers: int  # seats that take part; later joiners wait for the next round
    verifiers: int
    eligible: int  # mask of the verifiers who can be called on: seated when the round opened
    stakes_wei: tuple[int, ...]  # committee stake per verifier index, 0 outside; of all eligible until HOLD opens
    roster: bytes = b""  # the roster transcript as the round opened
    before: bytes = b""  # the run's transcript before the round opened
    standings: tuple[Standing, ...] = ()  # trainers' as it opened, after all rounds recorded before
    phase: Phase = Phase.TRAIN
    opened: dict[Phase, PhaseOpened] = field(default_factory=dict)
    submissions: list[Submitted] = field(default_factory=list)  # chain order, repeats included
    holds: dict[int, Held] = field(default_factory=dict)
    assessment_beacon: bytes = b""
    commits: dict[int, Committed] = field(default_factory=dict)
    reveals: dict[int, Revealed] = field(default_factory=dict)
    recorded: Recorded | None = None
    record: Record | None = None
    execution: Execution | None = None  # what re-execution gives
    settled: Settled | None = None  # what the chain made final
    voided: Voided | None = None
    first: Round | None = None  # the round as it was when its committee had no quorum and everyone was called in

    @property
    def settlement(self) -> Settlement | None:
        return self.execution.settlement if self.execution else None

    @property
    def active(self) -> int:
        """Mask of the committee."""
        return sum(1 << v for v, stake_wei in enumerate(self.stakes_wei) if stake_wei)

    @property
    def attempts(self) -> tuple[Round, ...]:
        """By the drawn committee first, if there was one without a quorum."""
        return (self.first, self) if self.first else (self,)

    @property
    def attempt(self) -> int:
        """1, or 2 once everyone was called in."""
        return len(self.attempts)

    def start_over(self, stakes_wei: tuple[int, ...]) -> None:
        """Everyone eligible assesses anew; what was submitted and held stays."""
        self.first = replace(self)
        self.stakes_wei = stakes_wei
        self.opened = {phase: event for phase, event in self.opened.items() if phase <= Phase.HOLD}
        self.commits, self.reveals = {}, {}
        self.recorded = self.record = self.execution = None

    @property
    def is_over(self) -> bool:
        return self.settled is not None or self.voided is not None

    @property
    def barred(self) -> frozenset[int]:
        """Trainers who sit this round out."""
        return frozenset(i for i, standing in enumerate(self.standings) if is_banned(standing, self.number))

    def accepted(self, consensus: Consensus | None) -> tuple[int, ...]:
        """Trainers whose update enters the model."""
        return accepted(consensus, self.barred)

    @property
    def first_submissions(self) -> dict[int, Submitted]:
        """The submission that counts: each trainer's first, in chain order."""
        first: dict[int, Submitted] = {}
        for submission in self.submissions:
            first.setdefault(submission.trainer, submission)
        return first

    def held(self) -> tuple[frozenset[int], bytes | None]:
        """The round's set of updates and the attested base model, see :func:`spec.agreement.held_set`: what the
        first committee said, whoever assesses."""
        holds = {v: (hold.bitmap, hold.base) for v, hold in self.holds.items()}
        held, base = held_set(holds, self.attempts[0].stakes_wei, self.trainers)
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
