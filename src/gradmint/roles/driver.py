"""Carries out duties: waits, sends, journals, resumes. Roles say what; everything about how is here.

A duty is a generator of actions. Each result that must survive a crash is journaled before it has an effect outside, so
a restarted process runs the duty again from its first line and gets the same results back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from ..ports.chain import STALE, Call, Chain, Poke
from ..spec.errors import BlobMissing, ChainUnreachable, Reverted, StoreUnreachable
from ..spec.round import Round
from ..spec.types import Phase
from .follower import Follower
from .journal import Journal
from .outbox import Outbox
from .rounds import is_closed
from .trace import Trace

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE_S = 600.0  # how long a chain or store may stay away before a process gives up
STALE_PAUSE_S = 0.2
NAP_S = 5.0  # longest wait between looks at the chain: a lost subscription costs this, nothing more


class RoundOver(Exception):
    """The round ended before the duty did."""


class StartedOver(Exception):
    """Everyone was called in to assess anew: the duty is another one."""


@dataclass(frozen=True, slots=True)
class Once:
    """Do ``work`` once per round, or once per attempt where one is named; afterwards, also after a crash, its journaled
    result is returned. Yields bytes."""

    name: str
    work: Callable[[], bytes]
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Recall:
    """The journaled result of an earlier Once, or None. Yields bytes or None."""

    name: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Say:
    """Send ``call`` in ``phase``, once per attempt. Yields bool: whether it is on chain.

    ``said`` tells from the chain whether it is there already.
    """

    call: Call
    phase: Phase
    said: Callable[[Round], bool]


@dataclass(frozen=True, slots=True)
class Until:
    """Wait for ``phase`` or a later one; overdue phases are poked on. Yields the phase reached, or raises RoundOver.

    With ``at_most_s``, gives up after that long and yields the phase as it is.
    """

    phase: Phase
    at_most_s: float | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Send ``call``, about round ``about``, now, whatever the phase. Yields bool: whether the chain took it.

    Its bytes are journaled while it is under way, and sent first thing after a crash: so it is sent once. A duty that
    sends looks at the chain again before each step, and so needs to remember nothing else.
    """

    call: Call
    about: int


Action = Once | Recall | Say | Until | Send
Duty = Generator[Action, "bytes | bool | Phase | None", None]


class Driver:
    """Performs one participant's duties on one run.

    ``errand`` is what to see to while waiting, beside the round's own duty: performed at each look at the chain, so it
    ends soon and waits for nothing. Looks are at most ``nap_s`` apart.
    """

    def __init__(self, chain: Chain, follower: Follower, journal: Journal, trace: Trace) -> None:
        self.chain = chain
        self.follower = follower
        self.journal = journal
        self.trace = trace
        self.errand: Callable[[], Duty] | None = None
        self.nap_s = NAP_S
        self._outbox = Outbox(chain, journal, self._look_again)

    def perform(self, number: int, duty: Callable[[], Duty]) -> None:
        """Run ``duty`` of round ``number`` to its end, or to the round's. A chain, store or blob that is away for a
        while is waited for, and the duty started again, as it is when everyone is called in to assess anew: journaled
        results make that harmless.

        Raises ChainUnreachable, StoreUnreachable or BlobMissing after PATIENCE_S.
        """

        def attempt() -> None:
            while True:
                try:
                    return self._run(number, duty())
                except RoundOver as over:
                    return log.info("round %d: %s", number, over)
                except StartedOver:
                    log.info("round %d: no quorum among those drawn, everyone assesses", number)

        patiently(attempt)

    def attend(self, busy: Callable[[], bool]) -> None:
        """See to the errand, and nothing else, for as long as ``busy``. Raises as :meth:`perform`."""

        def attempt() -> None:
            while True:
                self.follower.refresh()
                if not busy():
                    return
                self._wait_or_poke()

        patiently(attempt)

    def await_round(self, number: int) -> bool:
        """Wait until round ``number`` opens; False when the run ends first. Overdue phases are poked on.

        Raises as :meth:`perform`.
        """
        return patiently(lambda: self._await_round(number))

    def see_to(self, errand: Callable[[], Duty]) -> None:
        """One look at an errand, after what the last process left under way. Raises as :meth:`perform`."""
        patiently(lambda: self._see_to(errand))

    def _see_to(self, errand: Callable[[], Duty]) -> None:
        if self._outbox.resume():
            self.follower.refresh()
        self._run(len(self.follower.ledger.rounds), errand())

    def _await_round(self, number: int) -> bool:
        while True:
            self.follower.refresh()
            ledger = self.follower.ledger
            if ledger.phase is Phase.ENDED:
                return False
            if len(ledger.rounds) >= number:
                return True
            self._wait_or_poke()

    def _run(self, number: int, duty: Duty) -> None:
        result: bytes | bool | Phase | None = None
        known = self.follower.ledger.rounds[:number]  # performed before it was seen: it has just opened
        attempt = known[-1].attempt if known else 1
        while True:
            try:
                action = duty.send(result)
            except StopIteration:
                return
            match action:
                case Once():
                    result = self._once(number, action)
                case Recall():
                    result = self.journal.get(number, _entry(action.name, action.attempt))
                case Say():
                    result = self._say(number, attempt, action)
                case Until():
                    result = self._until(number, attempt, action)
                case Send():
                    result = self._send(action.about, action.call)

    def _once(self, number: int, action: Once) -> bytes:
        entry = _entry(action.name, action.attempt)
        known = self.journal.get(number, entry)
        if known is not None:
            return known
        with self.trace.span(number, action.name):
            done = action.work()
        self.journal.put(number, entry, done)
        return done

    def _look(self, number: int, attempt: int) -> Round:
        """The round as it is now. Raises StartedOver when it is another attempt."""
        self.follower.refresh()
        round_ = self.follower.ledger.rounds[number - 1]
        if round_.attempt != attempt:
            raise StartedOver
        return round_

    def _say(self, number: int, attempt: int, action: Say) -> bool:
        name = type(action.call).__name__
        entry = _entry(f"signed {name}", attempt)
        while True:
            round_ = self._look(number, attempt)
            if action.said(round_):
                return True
            if is_closed(self.follower.ledger, round_) or round_.phase is not action.phase:
                log.warning("round %d: %s comes too late, the round is in %s", number, name, round_.phase.name)
                return False
            try:
                signed = self.journal.get(number, entry)
                if signed is None:
                    signed = self.chain.sign(action.call)
                    self.journal.put(number, entry, signed)
                with self.trace.span(number, name):
                    receipt = self.chain.broadcast(signed)
                log.info("round %d: %s, %d gas", number, name, receipt.gas_used)
            except Reverted as refusal:
                if refusal.name in STALE:
                    # Those bytes cannot take effect any more, so signing anew cannot say it twice.
                    self.journal.drop(number, entry)
                    log.info("round %d: %s is signed anew: %s", number, name, refusal)
                    self.chain.wait(self.follower.run, STALE_PAUSE_S)
                    continue
                if action.said(self._look(number, attempt)):
                    return True
                log.warning("round %d: %s refused: %s", number, name, refusal)
                return False

    def _until(self, number: int, attempt: int, action: Until) -> Phase:
        give_up_s = None if action.at_most_s is None else time.monotonic() + action.at_most_s
        while True:
            round_ = self._look(number, attempt)
            if is_closed(self.follower.ledger, round_) or self.follower.ledger.phase is Phase.ENDED:
                raise RoundOver("void" if round_.voided else "settled" if round_.settled else "recorded")
            left_s = NAP_S if give_up_s is None else give_up_s - time.monotonic()
            if round_.phase >= action.phase or left_s <= 0:
                return round_.phase
            self._wait_or_poke(left_s)

    def _send(self, number: int, call: Call) -> bool:
        with self.trace.span(number, type(call).__name__):
            receipt = self._outbox.send(call, f"round {number}")
        self.follower.refresh()
        return receipt is not None

    def _look_again(self) -> None:
        self.follower.refresh()
        self.chain.wait(self.follower.run, STALE_PAUSE_S)

    def _wait_or_poke(self, at_most_s: float = NAP_S) -> None:
        ledger = self.follower.ledger
        if self.errand is not None:
            before = ledger.transcript
            self._see_to(self.errand)
            if ledger.transcript != before:
                return  # look again before waiting: what is waited for may have come
        live = ledger.rounds and ledger.phase is not Phase.ENDED
        overdue_s = self.chain.now_s() - ledger.deadline_s if live else -NAP_S
        if overdue_s <= 0:
            self.chain.wait(self.follower.run, max(0.0, min(at_most_s, self.nap_s, -overdue_s + 0.05)))
            return
        try:
            self.chain.send(Poke(run=self.follower.run))
        except Reverted as refusal:
            # Someone else was quicker, or the chain's clock is a block behind ours; either way look again.
            log.debug("poke refused: %s", refusal)
            self.chain.wait(self.follower.run, min(at_most_s, 1.0))


def _entry(name: str, attempt: int) -> str:
    return name if attempt == 1 else f"{name}, attempt {attempt}"


def patiently(work: Callable[[], T]) -> T:
    """Do ``work`` again while chain, store or a blob is away, until PATIENCE_S were spent waiting."""
    return Retrying(
        retry=retry_if_exception_type((ChainUnreachable, StoreUnreachable, BlobMissing)),
        wait=wait_exponential(multiplier=0.5, max=10),
        stop=lambda state: state.idle_for >= PATIENCE_S,
        before_sleep=_announce,
        reraise=True,
    )(work)


def _announce(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait_s = state.next_action.sleep if state.next_action else 0.0
    log.warning("%s; trying again in %.1f s", error, wait_s)
