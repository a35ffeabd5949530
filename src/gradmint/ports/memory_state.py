"""What the four contracts store, and the steps that their functions share. The functions are in :mod:`memory_rules`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from ..spec import transcript as tr
from ..spec.errors import Unfunded
from ..spec.events import Event, PhaseOpened, Retired
from ..spec.keccak import keccak256
from ..spec.params import Params
from ..spec.types import Phase, Role
from .reverts import reverted

Effect = Callable[[], None]

RUNS, STAKES, ROUNDS, DEAD = (sha256(name).digest()[:20] for name in (b"Runs", b"Stakes", b"Rounds", b"dead"))


@dataclass(slots=True)
class Seat:
    role: Role
    index: int
    since_round: int
    retired: bool = False


@dataclass(slots=True)
class Run:
    """One run's storage in all four contracts. Masks have one bit per verifier, or trainer, index."""

    number: int
    params: Params
    sponsor: bytes
    token: bytes
    deposited_wei: int
    total_wei: int = 0
    root: bytes = bytes(32)
    refunded: bool = False
    refunded_wei: int = 0
    standings_hash: bytes = field(default_factory=lambda: keccak256(b""))
    claimed_wei: dict[bytes, int] = field(default_factory=dict)

    stakes_wei: dict[bytes, int] = field(default_factory=dict)
    release_s: dict[bytes, int] = field(default_factory=dict)
    burnable_wei: int = 0

    round: int = 0
    phase: Phase = Phase.ENROL
    deadline_s: int = 0
    transcript: bytes = tr.EMPTY
    opening: bytes = tr.EMPTY  # transcript right after this round's TRAIN phase opened
    roster: bytes = tr.EMPTY
    seats: dict[bytes, Seat] = field(default_factory=dict)
    trainers: list[bytes] = field(default_factory=list)
    verifiers: list[bytes] = field(default_factory=list)
    trainers_in_round: int = 0
    verifiers_in_round: int = 0
    awaited_trainers: int = 0
    gone_trainers: int = 0
    active: int = 0  # this round's committee
    awaited: int = 0
    missed: int = 0
    gone: int = 0
    acted: dict[Phase, int] = field(default_factory=dict)
    messages: dict[int, bytes] = field(default_factory=dict)


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
        self._seed = seed
        self._logs = 0
        self._tx_hash = b""

    def begin_block(self, tx_hash: bytes) -> None:
        self.block += 1
        self._logs = 0
        self._tx_hash = tx_hash

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
        seat = run.seats.get(account)
        if seat is None or seat.role is not Role.VERIFIER:
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
            self._open_phase(run, Phase(run.phase + 1))

    def _duty(self, run: Run) -> int:
        return run.acted.get(Phase.COMMIT, 0) if run.phase is Phase.REVEAL else run.awaited

    def _take_attendance(self, run: Run) -> None:
        """Two misses in a row and nobody waits any longer; one act and everybody waits again."""
        actors = run.acted.get(run.phase, 0)
        absent = self._duty(run) & ~actors
        run.awaited = (run.awaited & ~(absent & run.missed)) | actors
        run.missed = (run.missed | absent) & ~actors

    def _open_round(self, run: Run) -> None:
        if run.round == run.params.max_rounds:
            self._open_phase(run, Phase.ENDED)
            return
        everybody = below(len(run.verifiers))
        joined = everybody & ~below(run.verifiers_in_round)
        run.active = everybody & ~run.gone
        run.awaited = (run.awaited | joined) & run.active
        run.acted = {}
        run.trainers_in_round, run.verifiers_in_round = len(run.trainers), len(run.verifiers)
        run.round += 1
        self._open_phase(run, Phase.TRAIN)
        run.opening = run.transcript

    def _open_phase(self, run: Run, phase: Phase) -> None:
        params = run.params
        durations_s = (0, params.train_s, params.hold_s, params.commit_s, params.reveal_s, params.settle_s)
        prevrandao = int.from_bytes(sha256(b"%d %d" % (self._seed, self.block)).digest(), "big")
        beacon = tr.beacon(prevrandao, run.transcript)
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
        if seat.role is Role.TRAINER:
            run.gone_trainers |= 1 << seat.index
            run.awaited_trainers &= ~(1 << seat.index)
        else:
            run.gone |= 1 << seat.index
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
