"""What the contracts store, and the steps that their functions share. The functions are in its neighbours."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from ..spec import committee, docket
from ..spec import transcript as tr
from ..spec.docket import Proposal, Record
from ..spec.errors import Unfunded
from ..spec.events import Event, Expanded, PhaseOpened, Recorded, Retired
from ..spec.params import Params
from ..spec.types import Phase, Role
from .chain import BondAccount, LiveChallenge, RecordSlot
from .reverts import reverted

Effect = Callable[[], None]

RUNS, STAKES, ROUNDS, DEAD = (sha256(name).digest()[:20] for name in (b"Runs", b"Stakes", b"Rounds", b"dead"))
NO_ROOT = bytes(24)


@dataclass(slots=True)
class Seat:
    role: Role
    index: int
    since_round: int
    retired: bool = False
    rating_q32: int = 0


@dataclass(slots=True)
class Run:
    """One run's storage in all contracts. Masks have one bit per verifier, or trainer, index."""

    number: int
    params: Params
    sponsor: bytes
    token: bytes
    deposited_wei: int
    total_wei: int = 0
    root: bytes = NO_ROOT
    refunded: bool = False
    refunded_wei: int = 0
    claimed_wei: dict[bytes, int] = field(default_factory=dict)
    left_wei: dict[bytes, int] = field(default_factory=dict)
    drawn_wei: int = 0  # paid out, where settlements are proposed

    stakes_wei: dict[bytes, int] = field(default_factory=dict)
    release_s: dict[bytes, int] = field(default_factory=dict)
    until_round: dict[bytes, int] = field(default_factory=dict)  # of who leaves: its last round on duty
    burnable_wei: int = 0
    poolable_wei: int = 0
    last_price_wei: int = 0  # right after the last join that raised it
    priced_s: int = 0
    bonds: dict[bytes, BondAccount] = field(default_factory=dict)
    exposed: set[tuple[int, int]] = field(default_factory=set)  # round and trainer

    round: int = 0
    phase: Phase = Phase.ENROL
    deadline_s: int = 0
    transcript: bytes = tr.EMPTY
    opening: bytes = tr.EMPTY  # transcript right after this round's TRAIN phase opened
    roster: bytes = tr.EMPTY
    roster_in_round: bytes = tr.EMPTY  # as this round opened
    seats: dict[bytes, Seat] = field(default_factory=dict)  # also of former holders
    trainers: list[bytes] = field(default_factory=list)  # current holders
    verifiers: list[bytes] = field(default_factory=list)
    trainers_in_round: int = 0
    verifiers_in_round: int = 0
    awaited_trainers: int = 0
    joined_trainers: int = 0  # since this round opened: awaited from the next on
    gone_trainers: int = 0
    eligible: int = 0  # can be called on in this round
    active: int = 0  # this round's committee
    awaited: int = 0
    joined: int = 0
    missed: int = 0
    gone: int = 0
    acted: dict[Phase, int] = field(default_factory=dict)
    messages: dict[int, bytes] = field(default_factory=dict)
    records: dict[int, RecordSlot] = field(default_factory=dict)
    last_recorded: int = 0

    standings_hash: bytes = field(default_factory=lambda: docket.Books().standings_hash)
    settled: int = 0
    pending: list[Proposal] = field(default_factory=list)
    settlements: bytes = tr.EMPTY
    challenge: LiveChallenge | None = None
    weakest: int = docket.NOBODY  # of the last final outcome
    heard: dict[tuple[int, int], tuple[bytes, tuple[bytes, ...]]] = field(default_factory=dict)  # by round and slice

    @property
    def is_direct(self) -> bool:
        return self.params.challenge_s == 0

    @property
    def proposed(self) -> int:
        return self.pending[-1].round if self.pending else self.settled

    @property
    def tip(self) -> bytes:
        return bytes(32) if self.is_direct else docket.tip(self.pending)

    @property
    def is_caught_up(self) -> bool:
        return self.is_direct or self.settled == self.last_recorded

    def bond_of(self, account: bytes) -> BondAccount:
        return self.bonds.get(account, BondAccount(0, 0))

    def holds(self, account: bytes, role: Role) -> Seat | None:
        """The account's seat, unless somebody else was given it since."""
        seat = self.seats.get(account)
        if seat is None or seat.role is not role:
            return None
        holders = self.trainers if role is Role.TRAINER else self.verifiers
        return seat if holders[seat.index] == account else None


def below(count: int) -> int:
    return (1 << count) - 1


class State:
    """All runs and all token balances. Not thread-safe: :class:`memory_chain.MemoryWorld` holds the lock."""

    def __init__(self, chain_id: int, now_s: int, seed: int) -> None:
        self.chain_id = chain_id
        self.now_s = now_s
        self.block = 0
        self.runs: list[Run] = []
        self.events: list[list[Event]] = []  # per run
        self.tokens: set[bytes] = set()
        self.balances_wei: dict[tuple[bytes, bytes], int] = {}
        self.rating_of: Callable[[bytes], int] = lambda account: 0  # what Reputation says, Q32
        self._seed = seed
        self._secret = sha256(b"signatures %d" % seed).digest()
        self._logs = 0
        self._tx_hash = b""

    def begin_block(self, tx_hash: bytes) -> None:
        self.block += 1
        self._logs = 0
        self._tx_hash = tx_hash

    def redirect_signature(self, account: bytes, run: int, recipient: bytes, paid_wei: int, deadline_s: int) -> bytes:
        """What stands for a signature where accounts have no keys: nobody outside this world can make it."""
        said = [value.to_bytes(32, "big") for value in (run, paid_wei, deadline_s)]
        return hmac.digest(self._secret, account + recipient + b"".join(said), "sha256")

    def known(self, number: int) -> Run:
        run = self._any(number)
        if run is None:
            raise reverted("UnknownRun", number)
        return run

    def _any(self, number: int) -> Run | None:
        return self.runs[number - 1] if 1 <= number <= len(self.runs) else None

    def _during(self, number: int, phase: Phase) -> Run:
        run = self._any(number)
        if run is None or run.phase is not phase:
            raise reverted("WrongPhase", number, phase, run.phase if run else Phase.ENROL)
        if self.now_s >= run.deadline_s:
            raise reverted("Overdue", run.deadline_s, self.now_s)
        return run

    def _committee(self, number: int, account: bytes, phase: Phase) -> tuple[Run, int]:
        run = self._during(number, phase)
        seat = run.holds(account, Role.VERIFIER)
        if seat is None:
            raise reverted("NotSeated", number, account, Role.VERIFIER)
        if not run.active >> seat.index & 1:
            raise reverted("NotOnCommittee", number, seat.index)
        if run.acted.get(phase, 0) >> seat.index & 1:
            raise reverted("AlreadyActed", number, seat.index, phase)
        return run, seat.index

    def _acted(self, run: Run, verifier: int) -> None:
        """End the phase when nobody awaited is missing."""
        run.acted[run.phase] = run.acted.get(run.phase, 0) | 1 << verifier
        duty = self._duty(run)
        if duty and not duty & ~run.acted[run.phase]:
            self._take_attendance(run)
            self._next_phase(run)

    def _duty(self, run: Run) -> int:
        return run.acted.get(Phase.COMMIT, 0) if run.phase is Phase.REVEAL else run.awaited & run.active

    def _take_attendance(self, run: Run) -> None:
        """Two misses in a row and nobody waits any longer; one act and everybody waits again."""
        actors = run.acted.get(run.phase, 0)
        absent = self._duty(run) & ~actors
        run.awaited = (run.awaited & ~(absent & run.missed)) | actors
        run.missed = (run.missed | absent) & ~actors

    def _next_phase(self, run: Run) -> None:
        if run.phase is not Phase.REVEAL:
            self._open_phase(run, Phase(run.phase + 1))
            return
        self._record(run)
        if run.is_direct:
            self._open_phase(run, Phase.SETTLE)
        else:
            self._open_round(run)

    def _record(self, run: Run) -> None:
        """REVEAL is over: what the settlement will be made of."""
        revealed = run.acted.get(Phase.REVEAL, 0)
        record = Record(
            round=run.round,
            previous=run.last_recorded,
            trainers=run.trainers_in_round,
            verifiers=run.verifiers_in_round,
            deposited_wei=run.deposited_wei,
            active=run.active,
            revealed=revealed,
            roster=run.roster_in_round,
            transcript=run.transcript,
            reports=tuple(run.messages[v] for v in range(run.verifiers_in_round) if revealed >> v & 1),
            stakes_wei=self._stakes_of(run, run.active),
        )
        if run.is_direct:
            run.records.clear()  # one slot for all
        run.records[run.round] = RecordSlot(record.hash(), run.last_recorded)
        run.last_recorded = run.round
        self._emit(run, Recorded, round=run.round, record_hash=record.hash())

    def _stakes_of(self, run: Run, mask: int) -> tuple[int, ...]:
        """Per verifier of the round as of now, 0 outside ``mask``."""
        holders = run.verifiers[: run.verifiers_in_round]
        return tuple(run.stakes_wei[account] if mask >> v & 1 else 0 for v, account in enumerate(holders))

    def _weights_of(self, run: Run, mask: int) -> tuple[int, ...]:
        """What each weighs in the committee's draw."""
        bps, ratings_q32 = run.params.sortition_bps, [run.seats[account].rating_q32 for account in run.verifiers]
        stakes_wei = self._stakes_of(run, mask)
        return tuple(committee.weight(wei, rating, bps) for wei, rating in zip(stakes_wei, ratings_q32, strict=False))

    def _expand(self, run: Run) -> None:
        """The drawn committee had no quorum: everyone eligible assesses anew."""
        run.active = run.eligible
        run.acted = {}
        run.last_recorded = run.records.pop(run.round).previous
        self._open_phase(run, Phase.COMMIT)
        self._emit(run, Expanded, round=run.round, active=run.active)

    def _open_round(self, run: Run) -> None:
        if run.round == run.params.max_rounds:
            self._open_phase(run, Phase.ENDED)
            return
        run.active = run.eligible = below(len(run.verifiers)) & ~run.gone
        run.awaited = (run.awaited | run.joined) & run.eligible
        run.missed &= ~run.joined
        run.awaited_trainers |= run.joined_trainers
        run.joined = run.joined_trainers = 0
        run.acted = {}
        run.trainers_in_round, run.verifiers_in_round = len(run.trainers), len(run.verifiers)
        run.roster_in_round = run.roster
        run.round += 1
        self._open_phase(run, Phase.TRAIN)
        run.opening = run.transcript

    def _open_phase(self, run: Run, phase: Phase) -> None:
        params = run.params
        durations_s = (0, params.train_s, params.hold_s, params.commit_s, params.reveal_s, params.settle_s)
        prevrandao = int.from_bytes(sha256(b"%d %d" % (self._seed, self.block)).digest(), "big")
        beacon = tr.beacon(prevrandao, run.transcript)
        if phase is Phase.HOLD and run.eligible.bit_count() > params.committee:
            run.active = committee.draw(beacon, self._weights_of(run, run.eligible), params.committee)
        run.phase = phase
        run.deadline_s = 0 if phase is Phase.ENDED else self.now_s + durations_s[phase]
        row = tr.phase_row(run.round, phase, run.deadline_s, beacon, run.roster)
        run.transcript = tr.fold(run.transcript, tr.Kind.PHASE, row)
        self._emit(
            run,
            PhaseOpened,
            round=run.round,
            phase=phase,
            deadline_s=run.deadline_s,
            beacon=beacon,
            roster=run.roster,
            transcript=run.transcript,
        )

    def _retire(self, run: Run, account: bytes) -> None:
        seat = run.seats[account]
        if seat.retired:
            return
        seat.retired = True
        bit = 1 << seat.index
        if seat.role is Role.TRAINER:
            run.gone_trainers |= bit
            run.awaited_trainers &= ~bit
            run.joined_trainers &= ~bit
        else:
            run.gone |= bit
            run.joined &= ~bit
        run.roster = tr.fold(run.roster, tr.Kind.RETIRED, tr.retired_row(seat.role, seat.index))
        self._emit(run, Retired, role=seat.role, index=seat.index, transcript=run.roster)

    def _emit(self, run: Run, event: type[Event], **values: Any) -> None:
        position = (self.block, self._logs)
        self._logs += 1
        self.events[run.number - 1].append(event(run=run.number, position=position, tx_hash=self._tx_hash, **values))

    def _require_balance(self, token: bytes, account: bytes, amount_wei: int, what: str) -> None:
        balance_wei = self.balances_wei.get((token, account), 0)
        if balance_wei < amount_wei:
            raise Unfunded(
                f"account 0x{account.hex()} holds {balance_wei} wei of token 0x{token.hex()}, the {what} is "
                f"{amount_wei} wei: send it {amount_wei - balance_wei} wei more"
            )

    def _move(self, token: bytes, source: bytes, target: bytes, amount_wei: int) -> None:
        self.balances_wei[token, source] = self.balances_wei.get((token, source), 0) - amount_wei
        self.balances_wei[token, target] = self.balances_wei.get((token, target), 0) + amount_wei
