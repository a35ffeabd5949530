"""The driver: said once whatever dies in between, late things not said at all, phases poked, outages waited out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tenacity

from gradmint.ports.chain import Poke, Submit
from gradmint.roles import driver as driving
from gradmint.roles.driver import NAP_S, PATIENCE_S, Action, Driver, Duty, Once, Recall, Say, Send, Until
from gradmint.roles.follower import Follower
from gradmint.roles.journal import Journal
from gradmint.roles.trace import Trace
from gradmint.spec.errors import (
    BlobMissing,
    ChainError,
    ChainUnreachable,
    Reverted,
    StoreUnreachable,
    TranscriptBroken,
    Unfunded,
)
from gradmint.spec.types import Phase

from .fakes import Clock, Crash, FakeChain

SUBMIT = Submit(run=1, digest=b"\xdd" * 32, claimed_gain_micronats=5)
SAY = Say(SUBMIT, Phase.TRAIN, said=lambda r: 0 in r.first_submissions)


class Process:
    """One participant's process after another on one home: each :meth:`start` is a restart."""

    def __init__(self, chain: FakeChain, home: Path) -> None:
        self.chain, self.home = chain, home
        self.driver = self.start()

    def start(self) -> Driver:
        if hasattr(self, "driver"):
            self.driver.journal.close()
        journal = Journal(self.home / "journal.sqlite", "me")
        self.driver = Driver(self.chain, Follower(self.chain, 1), journal, Trace())  # type: ignore[arg-type]
        return self.driver

    def perform(self, *actions: Action) -> list[object]:
        """Perform a duty of these actions in round 1; what each yielded, up to the round's end."""
        results: list[object] = []

        def duty() -> Duty:
            results.clear()
            for action in actions:
                results.append((yield action))

        self.driver.perform(1, duty)
        return results


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Time that passes only where somebody waits."""
    clock = Clock()
    for module in (tenacity, tenacity.nap, driving):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def chain(clock: Clock) -> FakeChain:
    """Round 1 has just opened and takes submissions for 60 s."""
    chain = FakeChain(clock)
    chain.open(Phase.TRAIN)
    return chain


@pytest.fixture
def process(chain: FakeChain, tmp_path: Path) -> Iterator[Process]:
    process = Process(chain, tmp_path)
    yield process
    process.driver.journal.close()


def counting(result: bytes = b"done") -> tuple[Callable[[], bytes], list[int]]:
    calls: list[int] = []

    def work() -> bytes:
        calls.append(1)
        return result

    return work, calls


# Once and Recall


def test_once_is_once_over_restarts(process: Process) -> None:
    work, calls = counting()
    once = Once("train", work)
    assert process.perform(once, once) == [b"done", b"done"]
    process.start()
    assert process.perform(once) == [b"done"]
    assert len(calls) == 1


def test_once_is_per_name_and_round(process: Process) -> None:
    work, calls = counting()
    process.perform(Once("train", work), Once("assess", work))
    process.chain.open(Phase.TRAIN)
    process.driver.follower.refresh()

    def second() -> Duty:
        yield Once("train", work)

    process.driver.perform(2, second)
    assert len(calls) == 3


def test_an_empty_result_is_a_result(process: Process) -> None:
    work, calls = counting(b"")
    assert process.perform(Once("train", work)) == [b""]
    process.start()
    assert process.perform(Once("train", work)) == [b""]
    assert len(calls) == 1


def test_work_that_died_is_done_again(process: Process) -> None:
    def dying() -> bytes:
        raise Crash

    work, calls = counting()
    with pytest.raises(Crash):
        process.perform(Once("train", dying))
    process.start()
    assert process.perform(Recall("train"), Once("train", work), Recall("train")) == [None, b"done", b"done"]
    assert len(calls) == 1


# Say


def test_say_is_journaled_then_sent(process: Process) -> None:
    assert process.perform(SAY) == [True]
    assert process.chain.said == [SUBMIT]
    assert process.driver.journal.get(1, "signed Submit") in process.chain.mined


def test_saying_again_says_nothing(process: Process) -> None:
    assert process.perform(SAY, SAY) == [True, True]
    process.start()
    assert process.perform(SAY) == [True]
    assert (process.chain.said, process.chain.signed) == ([SUBMIT], [SUBMIT])


@pytest.mark.parametrize("taken_effect", [False, True], ids=["before it was sent", "after it was mined"])
def test_killed_between_journal_and_the_end_of_broadcast(process: Process, taken_effect: bool) -> None:
    chain = process.chain
    (chain.after if taken_effect else chain.failures)["broadcast"] = [Crash()]
    with pytest.raises(Crash):
        process.perform(SAY)
    assert len(chain.said) == taken_effect
    process.start()
    assert process.perform(SAY) == [True]
    assert (chain.said, chain.signed) == ([SUBMIT], [SUBMIT])  # the same bytes, not signed again


def test_killed_between_signing_and_journal(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not journaled was not sent, so signing it anew says it once."""

    def dying(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(process.driver.journal, "put", dying)
        with pytest.raises(Crash):
            process.perform(SAY)
    assert process.chain.said == []
    process.start()
    assert process.perform(SAY) == [True]
    assert process.chain.said == [SUBMIT]
    assert len(process.chain.signed) == 2


def test_unreachable_after_it_was_sent_is_not_sent_twice(process: Process) -> None:
    process.chain.after["broadcast"] = [ChainUnreachable("no answer")]
    assert process.perform(SAY) == [True]
    assert (process.chain.said, process.chain.signed) == ([SUBMIT], [SUBMIT])


def test_a_taken_nonce_is_signed_anew_and_journaled_anew(process: Process) -> None:
    chain = process.chain
    chain.failures["broadcast"] = [Crash()]
    with pytest.raises(Crash):
        process.perform(SAY)
    chain.take_nonce()
    process.start()
    assert process.perform(SAY) == [True]
    assert chain.said == [SUBMIT]
    assert len(chain.signed) == 2
    journaled = process.driver.journal.get(1, "signed Submit")
    assert journaled is not None and journaled in chain.mined


def test_said_by_another_hand_is_said(process: Process) -> None:
    process.chain.submit(5, SUBMIT.digest)
    assert process.perform(SAY) == [True]
    assert process.chain.signed == []


@pytest.mark.parametrize("phase", [Phase.HOLD, Phase.SETTLE])
def test_too_late_is_not_said(process: Process, phase: Phase, caplog: pytest.LogCaptureFixture) -> None:
    process.chain.open(phase)
    with caplog.at_level(logging.WARNING):
        assert process.perform(SAY) == [False]
    assert process.chain.signed == []
    assert f"round 1: Submit comes too late, the round is in {phase.name}" in caplog.text


def test_too_late_holds_for_signed_bytes_as_well(process: Process) -> None:
    """A commit broadcast after its phase would cost gas and say nothing."""
    process.chain.failures["broadcast"] = [Crash()]
    with pytest.raises(Crash):
        process.perform(SAY)
    process.chain.open(Phase.HOLD)
    process.start()
    assert process.perform(SAY) == [False]
    assert process.chain.said == []


def test_nothing_is_said_in_a_round_that_is_over(process: Process) -> None:
    process.chain.void()
    assert process.perform(SAY) == [False]
    assert process.chain.signed == []


def test_too_early_is_not_said_either(process: Process) -> None:
    reveal = Say(SUBMIT, Phase.REVEAL, said=lambda r: False)
    assert process.perform(reveal) == [False]
    assert process.chain.signed == []


@pytest.mark.parametrize("where", ["sign", "broadcast"])
def test_a_refusal_is_reported_and_survived(process: Process, where: str, caplog: pytest.LogCaptureFixture) -> None:
    process.chain.failures[where] = [Reverted("NotSeated(1)", "NotSeated")]
    with caplog.at_level(logging.WARNING):
        assert process.perform(SAY, Recall("train")) == [False, None]
    assert "round 1: Submit refused: NotSeated(1)" in caplog.text


def test_refused_because_it_is_said_already_is_said(process: Process) -> None:
    """A second process, or a node that answered late: the chain decides."""
    chain = process.chain

    def refuse(_: object) -> bytes:
        chain.submit(5, SUBMIT.digest)
        raise Reverted("AlreadyActed()", "AlreadyActed")

    chain.sign = refuse  # type: ignore[method-assign]
    assert process.perform(SAY) == [True]


def test_no_money_is_not_waited_for(process: Process) -> None:
    process.chain.failures["sign"] = [Unfunded("no gas")]
    with pytest.raises(Unfunded):
        process.perform(SAY)
    assert process.chain.time.naps_s == []


def test_a_phase_that_ends_while_a_nonce_is_replaced_is_too_late_not_fatal(process: Process) -> None:
    chain = process.chain
    chain.failures["broadcast"] = [Crash()]
    with pytest.raises(Crash):
        process.perform(SAY)
    chain.take_nonce()
    process.start()
    chain.failures["sign"] = [Reverted("WrongPhase(1, TRAIN, HOLD)", "WrongPhase")]
    assert process.perform(SAY) == [False]


@pytest.mark.parametrize("name", ["NonceGap", "FeeTooLow"])
def test_bytes_that_cannot_be_mined_as_they_are_are_signed_anew(process: Process, name: str) -> None:
    process.chain.failures["broadcast"] = [Reverted("sign the call again", name)]
    assert process.perform(SAY) == [True]


# Until


def test_until_a_phase_that_is_here(process: Process) -> None:
    assert process.perform(Until(Phase.TRAIN)) == [Phase.TRAIN]
    assert process.chain.waits_s == []


def test_until_yields_a_later_phase_when_it_has_come(process: Process) -> None:
    process.chain.open(Phase.REVEAL)
    assert process.perform(Until(Phase.HOLD)) == [Phase.REVEAL]


def test_until_waits_for_news_and_never_naps_long(process: Process) -> None:
    chain = process.chain
    chain.on_wait = [lambda: None, lambda: None, lambda: chain.open(Phase.HOLD)]
    assert process.perform(Until(Phase.HOLD)) == [Phase.HOLD]
    assert chain.waits_s == [NAP_S] * 3
    assert chain.said == []


def test_overdue_phases_are_poked_one_after_the_other(process: Process) -> None:
    assert process.perform(Until(Phase.REVEAL)) == [Phase.REVEAL]
    assert process.chain.said == [Poke(run=1)] * 3
    assert process.chain.now_s() >= 1_000 + 3 * 60
    assert max(process.chain.waits_s) <= NAP_S
    assert process.chain.time.naps_s == []


def test_the_last_wait_before_a_deadline_ends_with_it(process: Process) -> None:
    process.chain.time.now_s += 58
    process.perform(Until(Phase.HOLD))
    assert process.chain.waits_s[0] == pytest.approx(2.05)


def test_a_refused_poke_is_no_failure(process: Process) -> None:
    """Someone else was quicker, or the node's clock is behind: look again, without hammering the node."""
    chain = process.chain
    chain.time.now_s += 61
    chain.failures["sign"] = [Reverted("NotOverdue()", "NotOverdue")] * 2
    chain.on_wait = [lambda: None, lambda: chain.open(Phase.HOLD)]
    assert process.perform(Until(Phase.HOLD)) == [Phase.HOLD]
    assert chain.waits_s == [1.0, 1.0]


def test_until_gives_up_in_time(process: Process) -> None:
    assert process.perform(Until(Phase.ENDED, at_most_s=12)) == [Phase.TRAIN]
    assert sum(process.chain.waits_s) == pytest.approx(12)


@pytest.mark.parametrize("end", ["void", "ended"])
def test_a_duty_ends_with_its_round(process: Process, end: str) -> None:
    chain = process.chain
    chain.on_wait = [chain.void if end == "void" else lambda: chain.open(Phase.ENDED)]
    work, calls = counting()
    assert process.perform(Until(Phase.HOLD), Once("gather", work)) == []
    assert calls == []


# Outages


@pytest.mark.parametrize(
    "error", [ChainUnreachable("gone"), StoreUnreachable("gone"), BlobMissing("not yet")], ids=repr
)
def test_what_is_away_for_a_while_is_waited_for(process: Process, error: ChainError) -> None:
    """The duty starts from its first line again; what it has done is not done again."""
    trained, calls = counting()
    failures = [error, error, error]

    def gather() -> bytes:
        if failures:
            raise failures.pop()
        return b"bitmap"

    results = process.perform(Once("train", trained), SAY, Once("gather", gather))
    assert results == [b"done", True, b"bitmap"]
    assert (len(calls), process.chain.said) == (1, [SUBMIT])
    assert len(process.chain.time.naps_s) == 3


def test_a_single_look_waits_too(process: Process) -> None:
    """A trainer's last one, after the run's end, is the last chance to expose."""
    process.chain.failures["sign"] = [ChainUnreachable("gone")]

    def errand() -> Duty:
        yield Send(SUBMIT, 1)

    process.driver.see_to(errand)
    assert process.chain.said == [SUBMIT] and process.chain.time.naps_s == [0.5]


def test_naps_grow_to_ten_seconds(process: Process) -> None:
    process.chain.failures["events"] = [ChainUnreachable("gone")] * 8
    process.perform(Until(Phase.TRAIN))
    assert process.chain.time.naps_s == [0.5, 1, 2, 4, 8, 10, 10, 10]


def test_patience_ends(process: Process) -> None:
    process.chain.failures["events"] = [ChainUnreachable("gone")] * 1_000
    with pytest.raises(ChainUnreachable, match="gone"):
        process.perform(Until(Phase.TRAIN))
    assert PATIENCE_S <= sum(process.chain.time.naps_s) < PATIENCE_S + 10


@pytest.mark.parametrize("error", [Unfunded("poor"), TranscriptBroken("row"), ValueError("bug")], ids=repr)
def test_what_waiting_cannot_mend_is_raised_at_once(process: Process, error: Exception) -> None:
    process.chain.failures["events"] = [error]
    with pytest.raises(type(error)):
        process.perform(Until(Phase.TRAIN))
    assert process.chain.time.naps_s == []


def test_patience_starts_with_the_outage(process: Process) -> None:
    """Half an hour of training, then one lost answer: the STANDARD preset's normal case."""

    def train() -> bytes:
        process.chain.time.now_s += 1_800
        return b"done"

    process.chain.open(Phase.TRAIN, lasts_s=10_000)
    process.chain.failures["sign"] = [ChainUnreachable("one answer lost")]

    def duty() -> Duty:
        yield Once("train", train)
        yield SAY

    process.driver.perform(2, duty)
    assert process.chain.said == [SUBMIT]


# When everyone is called in


def test_another_attempt_begins_the_duty_again_with_entries_of_its_own(process: Process) -> None:
    chain, driver = process.chain, process.driver
    round_ = driver.follower.ledger.rounds[0]
    train, trained = counting()
    assess, assessed = counting()
    attempts: list[int] = []

    def duty() -> Duty:
        attempts.append(round_.attempt)
        yield Once("train", train)
        yield Once("assess", assess, round_.attempt)
        yield Until(Phase.HOLD)
        yield SAY

    chain.on_wait = [lambda: round_.start_over(round_.stakes_wei), lambda: chain.open(Phase.HOLD)]
    driver.perform(1, duty)
    assert attempts == [1, 2]
    assert (len(trained), len(assessed)) == (1, 2)
    assert driver.journal.get(1, "assess") == driver.journal.get(1, "assess, attempt 2") == b"done"


@pytest.mark.parametrize("attempt", [1, 2])
def test_bytes_signed_in_one_attempt_are_not_sent_in_the_other(process: Process, attempt: int) -> None:
    chain = process.chain
    chain.failures["broadcast"] = [Crash()]
    with pytest.raises(Crash):
        process.perform(SAY)
    process.start()
    round_ = process.driver.follower.ledger.rounds[0]
    if attempt == 2:
        round_.start_over(round_.stakes_wei)
    assert process.perform(SAY) == [True]
    assert chain.said == [SUBMIT]
    assert len(chain.signed) == attempt


# Between rounds


def test_await_round(process: Process) -> None:
    chain = process.chain
    assert process.driver.await_round(1)
    chain.on_wait = [lambda: None, lambda: chain.open(Phase.TRAIN)]
    assert process.driver.await_round(2)
    assert chain.waits_s == [NAP_S, NAP_S]


def test_await_round_ends_with_the_run(process: Process) -> None:
    chain = process.chain
    chain.on_wait = [lambda: chain.open(Phase.ENDED)]
    assert not process.driver.await_round(2)
    assert not process.driver.await_round(1)


def test_await_round_pokes(process: Process) -> None:
    """Idle seats help as well: a late joiner moves the round on in which it has no part."""
    process.chain.on_wait = [lambda: None] * 36 + [lambda: process.chain.open(Phase.ENDED)]
    assert not process.driver.await_round(2)
    assert process.chain.said and set(process.chain.said) == {Poke(run=1)}


def test_enrolment_has_no_deadline_to_poke(clock: Clock, tmp_path: Path) -> None:
    chain = FakeChain(clock)
    process = Process(chain, tmp_path)
    chain.on_wait = [lambda: None, lambda: chain.open(Phase.TRAIN)]
    assert process.driver.await_round(1)
    assert (chain.waits_s, chain.signed) == ([NAP_S, NAP_S], [])
    process.driver.journal.close()


@pytest.mark.parametrize("where", ["events", "wait"])
def test_an_outage_between_rounds_is_waited_out(process: Process, where: str) -> None:
    chain = process.chain
    chain.failures[where] = [ChainUnreachable("gone")]
    chain.on_wait = [lambda: chain.open(Phase.TRAIN)]
    assert process.driver.await_round(2)
