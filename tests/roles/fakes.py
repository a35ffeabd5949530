"""A chain of one run and one account that does what a test tells it: no blocks, no threads, no real time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gradmint.ports.chain import Call, Poke, Receipt, Submit
from gradmint.spec import transcript as tr
from gradmint.spec.errors import ChainError, Reverted
from gradmint.spec.events import Admitted, Event, Opened, PhaseOpened, Position, Submitted, Voided
from gradmint.spec.params import LOCAL
from gradmint.spec.types import Phase, Role

ACCOUNT = b"\xac" * 20
START_S = 1_000


class Crash(BaseException):
    """The process dies here: nothing of Gradmint's catches it."""


class Clock:
    """Stands in for the ``time`` module of whoever waits; sleeping moves it."""

    def __init__(self) -> None:
        self.now_s = float(START_S)
        self.naps_s: list[float] = []

    def monotonic(self) -> float:
        return self.now_s

    time = monotonic

    def sleep(self, seconds: float) -> None:
        self.naps_s.append(seconds)
        self.now_s += seconds


class FakeChain:
    """Implements what driver and follower use of :class:`gradmint.ports.chain.Chain`.

    ``failures[name]`` holds exceptions that the next calls of method ``name`` raise, ``after[name]`` those raised once
    its effect took place, ``on_wait`` what happens during the next waits. ``said`` lists the calls that took effect.
    """

    chain_id, rounds_address, account = 1, b"\x52" * 20, ACCOUNT

    def __init__(self, clock: Clock) -> None:
        self.time = clock
        self.transcript = self.roster = tr.EMPTY
        self.log: list[Event] = []
        self.round, self.phase_now, self.deadline_s = 0, Phase.ENROL, 0
        self.mined: dict[bytes, Receipt] = {}
        self.calls: dict[bytes, Call] = {}
        self.nonce = 0
        self.failures: dict[str, list[BaseException]] = {}
        self.after: dict[str, list[BaseException]] = {}
        self.on_wait: list[Callable[[], None]] = []
        self.waits_s: list[float] = []
        self.said: list[Call] = []
        self.signed: list[Call] = []
        self._emit(Opened(run=1, sponsor=b"\x05" * 20, token=b"\x70" * 20, params=LOCAL, budget_wei=10**18))
        row = tr.admitted_row(Role.TRAINER, 0, ACCOUNT, 1)
        self.roster = tr.fold(self.roster, tr.Kind.ADMITTED, row)
        self._emit(Admitted(run=1, role=Role.TRAINER, index=0, account=ACCOUNT, stake_wei=1, transcript=self.roster))

    # The test's side

    def open(self, phase: Phase, lasts_s: int = 60) -> None:
        """Open ``phase``; TRAIN opens the next round."""
        self.round += phase is Phase.TRAIN
        self.phase_now, self.deadline_s = phase, 0 if phase is Phase.ENDED else self.now_s() + lasts_s
        beacon = bytes([self.round, phase]) * 16
        row = tr.phase_row(self.round, phase, self.deadline_s, beacon, self.roster)
        self.transcript = tr.fold(self.transcript, tr.Kind.PHASE, row)
        self._emit(
            PhaseOpened(
                run=1,
                round=self.round,
                phase=phase,
                deadline_s=self.deadline_s,
                beacon=beacon,
                roster=self.roster,
                transcript=self.transcript,
            )
        )

    def void(self) -> None:
        self._emit(Voided(run=1, round=self.round, phase=self.phase_now))

    def submit(self, gain_micronats: int, digest: bytes) -> None:
        row = tr.submitted_row(0, gain_micronats, digest)
        self.transcript = tr.fold(self.transcript, tr.Kind.SUBMITTED, row)
        self._emit(
            Submitted(
                run=1, trainer=0, claimed_gain_micronats=gain_micronats, digest=digest, transcript=self.transcript
            )
        )

    def take_nonce(self) -> None:
        """Another transaction of the account is mined first."""
        self.nonce += 1

    def _emit(self, event: Event) -> None:
        self.log.append(replace(event, position=(len(self.log) + 1, 0)))

    def _fail(self, name: str, failures: dict[str, list[BaseException]]) -> None:
        if failures.get(name):
            raise failures[name].pop(0)

    # The driver's side

    def run_count(self) -> int:
        return 1

    def now_s(self) -> int:
        return int(self.time.now_s)

    def events(self, run: int, after: Position | None = None) -> Sequence[Event]:
        self._fail("events", self.failures)
        return [event for event in self.log if after is None or event.position > after]

    def wait(self, run: int, timeout_s: float) -> None:
        self._fail("wait", self.failures)
        self.waits_s.append(timeout_s)
        self.time.now_s += timeout_s
        if self.on_wait:
            self.on_wait.pop(0)()

    def sign(self, call: Call) -> bytes:
        self._fail("sign", self.failures)
        signed = f"{self.nonce} {len(self.calls)} {call!r}".encode()
        self.calls[signed] = call
        self.signed.append(call)
        return signed

    def broadcast(self, signed: bytes) -> Receipt:
        self._fail("broadcast", self.failures)
        if signed not in self.calls:
            raise ChainError(f"nobody signed {signed!r}")
        if signed not in self.mined:
            if int(signed.split()[0]) != self.nonce:
                raise Reverted("another transaction took the nonce", "NonceTaken")
            self.nonce += 1
            self._effect(self.calls[signed])
            self.mined[signed] = Receipt(tx_hash=signed, block=len(self.log), gas_used=21_000, events=())
        self._fail("broadcast", self.after)
        return self.mined[signed]

    def send(self, call: Call) -> Receipt:
        return self.broadcast(self.sign(call))

    def _effect(self, call: Call) -> None:
        match call:
            case Submit(digest=digest, claimed_gain_micronats=gain):
                self.submit(gain, digest)
            case Poke():
                if self.now_s() < self.deadline_s:
                    raise Reverted("not overdue", "NotOverdue")
                self.open(Phase(self.phase_now + 1))
        self.said.append(call)
