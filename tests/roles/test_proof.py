"""Proof of training among roles: who is audited, what that brings to light, what an unreadable opening does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from gradmint.adversary import trainers as attacks
from gradmint.learn import proof
from gradmint.learn.checks import limits_of
from gradmint.learn.codec import decode_header
from gradmint.learn.manifest import Manifest, load_task, preset
from gradmint.learn.state import digest, initial_state, layout_of
from gradmint.learn.train import Trained
from gradmint.roles.auditor import audit
from gradmint.roles.desk import Desk
from gradmint.roles.journal import Journal
from gradmint.roles.trainer import TrainerStrategy
from gradmint.roles.verifier import VerifierStrategy
from gradmint.spec.round import Round
from gradmint.spec.types import UNSAMPLED, Phase, Report, Role, Row, Verdict

from .stage import SPONSOR, Stage, play

Honest, HonestVerifier = TrainerStrategy, VerifierStrategy
CHEATED = 2


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def watchful(trainers: int) -> Manifest:
    """The digits task with everyone audited in every round."""
    manifest = preset("digits")
    return replace(manifest, assessment=replace(manifest.assessment, audited_trainers=trainers))


def plan(stage: Stage, number: int, trainers: Iterable[int]) -> dict[int, int]:
    beacon = stage.ledger.rounds[number].opened[Phase.HOLD].beacon
    chosen = set(trainers)
    return proof.audits(beacon, chosen, len(chosen), 4)


def verdicts(stage: Stage, trainer: int) -> list[Verdict]:
    return [round_.settlement.consensus.rows[trainer].verdict for round_ in stage.ledger.rounds]  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def cheating(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    cast_ = [Honest, Honest, attacks.HalfBatch, attacks.Skipper, attacks.Coaster, attacks.Braggart, attacks.Parrot]
    for _ in range(8):  # one run in five shows too little: beacons depend on who acts first
        home = tmp_path_factory.mktemp("cheating")
        stage = play(home, cast_, [HonestVerifier] * 3, rounds=4, hold_s=30, manifest=watchful(len(cast_)))
        drawn = [plan(stage, number, range(7)) for number in range(4)]
        cheats_drawn = {chosen[trainer] == CHEATED for chosen in drawn[:2] for trainer in (2, 3, 4)}
        if cheats_drawn == {True, False} and any(chosen[0] > 0 for chosen in drawn):
            return stage
    pytest.fail("eight runs audited too little, which chance does once in 400,000")


def test_work_not_done_is_unproven_when_its_interval_is_audited(cheating: Stage) -> None:
    assert cheating.errors == []
    met = set()
    for trainer in (2, 3, 4):
        for number, verdict in enumerate(verdicts(cheating, trainer)):
            if trainer in cheating.ledger.rounds[number].barred:
                continue
            caught = plan(cheating, number, range(7))[trainer] == CHEATED
            assert verdict is (Verdict.UNPROVEN if caught else Verdict.OK)
            met.add(caught)
    assert met == {True, False}


def test_false_claims_are_unproven_at_once(cheating: Stage) -> None:
    for trainer in (5, 6):
        assert verdicts(cheating, trainer)[:3] == [Verdict.UNPROVEN] * 3
        assert trainer in cheating.ledger.rounds[3].barred  # the third bans
        assert cheating.ledger.standings[Role.TRAINER][trainer].paid_wei == 0


def test_honest_trainers_are_never_accused(cheating: Stage) -> None:
    assert verdicts(cheating, 0) == verdicts(cheating, 1) == [Verdict.OK] * 4


def test_every_verifier_signs_the_same_beside_unproven_updates(cheating: Stage) -> None:
    for round_ in cheating.ledger.rounds:
        assert round_.settlement is not None and round_.settlement.consensus is not None
        assert round_.settlement.consensus.distances_bits == (0, 0, 0)


def test_an_audit_reproduces_the_verdicts(cheating: Stage) -> None:
    found = audit(cheating.world.as_account(SPONSOR), cheating.store, cheating.ledger.run, reassess=True)
    assert found.ok, found.divergence
    first = found.rounds[0]
    assert "claims a gain of" in first.reasons[5] and "own words" in first.reasons[6]
    assert first.reasons[0] == ""


def test_an_opening_that_is_gone_later_stops_no_audit(cheating: Stage) -> None:
    chain = cheating.world.as_account(SPONSOR)
    blobs = dict(cheating.store.blobs)
    number, trainer = next((n, 0) for n in range(4) if plan(cheating, n, range(7))[0] > 0)
    manifest = watchful(7)
    layout = layout_of(load_task(manifest), manifest)
    submission = cheating.ledger.rounds[number].first_submissions[trainer]
    header = decode_header(blobs[submission.digest], limits_of(manifest, layout))
    mark = header.marks[plan(cheating, number, range(7))[trainer] - 1]
    try:
        del cheating.store.blobs[mark.digest]
        assert audit(chain, cheating.store, cheating.ledger.run).ok
        found = audit(chain, cheating.store, cheating.ledger.run, reassess=True)
        assert found.ok, found.divergence
        assert "not looked at again" in found.rounds[number].reasons[trainer]
    finally:
        cheating.store.blobs.update(blobs)


class Slanderer(VerifierStrategy):
    """Says of the first trainer that it cannot prove its work."""

    def report(self, round_: Round) -> Report:
        honest = super().report(round_)
        return replace(honest, rows=(Row(Verdict.UNPROVEN, 0, UNSAMPLED), *honest.rows[1:]))


def test_a_committee_that_slanders_is_found_out_by_whoever_looks_again(tmp_path: Path) -> None:
    stage = play(tmp_path, [Honest, Honest], [Slanderer, Slanderer], rounds=1, hold_s=30)
    assert verdicts(stage, 0) == [Verdict.UNPROVEN]
    chain = stage.world.as_account(SPONSOR)
    assert audit(chain, stage.store, stage.ledger.run).ok  # floats are not looked at
    found = audit(chain, stage.store, stage.ledger.run, reassess=True)
    assert found.divergence is not None and found.divergence.row == "proof of trainer 0"


class Forger(TrainerStrategy):
    """Marks name something else than states."""

    def forge(self, opening: proof.Opening) -> proof.Opening:
        raise NotImplementedError

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self.forged: dict[int, proof.Opening] = {}

    def train(self, round_: Round) -> Trained:
        trained = super().train(round_)
        marks = list(trained.marks)
        for interval in range(1, len(marks)):
            true = super().open(round_, interval)
            assert true is not None
            self.forged[interval] = self.forge(true)
            marks[interval - 1] = replace(marks[interval - 1], digest=self.forged[interval].digest)
        return replace(trained, marks=tuple(marks))

    def open(self, round_: Round, interval: int) -> proof.Opening | None:
        return self.forged[interval]


class Gibberish(Forger):
    def forge(self, opening: proof.Opening) -> proof.Opening:
        return proof.Opening(b"\xff" * len(opening.index), ())


class Flood(Forger):
    """An index of a mebibyte."""

    def forge(self, opening: proof.Opening) -> proof.Opening:
        return proof.Opening(opening.index + bytes((1 << 20) - len(opening.index)), ())


class Stub(Forger):
    """A part that is too short."""

    def forge(self, opening: proof.Opening) -> proof.Opening:
        part = opening.parts[0][:-4]
        return proof.Opening(opening.index[:-32] + hashlib.sha256(part).digest(), (part,))


class Swollen(Forger):
    """A part that is too long."""

    def forge(self, opening: proof.Opening) -> proof.Opening:
        part = opening.parts[0] + bytes(4)
        return proof.Opening(opening.index[:-32] + hashlib.sha256(part).digest(), (part,))


class Nameless(Forger):
    """Numbers that are none."""

    def forge(self, opening: proof.Opening) -> proof.Opening:
        part = np.full(len(opening.parts[0]) // 4, np.nan, dtype="<f4").tobytes()
        return proof.Opening(opening.index[:-32] + hashlib.sha256(part).digest(), (part,))


def test_no_hostile_opening_stops_a_round(tmp_path: Path) -> None:
    """What can be read and is wrong is UNPROVEN; what is not shown is MISSING; and the honest are paid beside it."""
    hostile = [Gibberish, Flood, Stub, Swollen, Nameless, attacks.Mute]
    stage = play(tmp_path, [Honest, *hostile], [HonestVerifier] * 2, rounds=2, hold_s=20, manifest=watchful(7))
    assert stage.errors == []
    met = set()
    for number in range(2):
        intervals = plan(stage, number, range(7))
        for trainer in range(7):
            wrong = Verdict.OK if trainer == 0 else Verdict.MISSING if trainer == 6 else Verdict.UNPROVEN
            assert verdicts(stage, trainer)[number] is (wrong if intervals[trainer] else Verdict.OK), (number, trainer)
            met.add((trainer, intervals[trainer] > 0))
    assert len({trainer for trainer, asked in met if asked}) >= 5
    assert stage.ledger.standings[Role.TRAINER][0].paid_wei > 0


def test_what_is_opened_after_a_crash_is_what_was_noted_before(tmp_path: Path) -> None:
    """States are on disk before the update is journaled, so another process opens the very same."""
    manifest = preset("digits")
    task = load_task(manifest)
    state, layout = initial_state(task, manifest), layout_of(task, manifest)
    replica = SimpleNamespace(task=task, manifest=manifest, state=state, layout=layout, base=digest(state, layout))

    def desk() -> Desk:
        journal = Journal(tmp_path / "journal.sqlite", "a trainer")
        seat = SimpleNamespace(index=3, account=b"t" * 20)
        made = SimpleNamespace(replica=replica, journal=journal, seat=seat, follower=SimpleNamespace(run=1))
        return cast(Desk, made)

    round_ = cast(Any, SimpleNamespace(number=5, training_beacon=b"b" * 32))
    before = desk()
    draft = TrainerStrategy(before).draft(round_)
    before.journal.close()
    header = decode_header(draft.blob, limits_of(manifest, layout))
    after = TrainerStrategy(desk())
    for interval in range(1, manifest.training.intervals):
        opening = after.open(round_, interval)
        assert opening is not None and opening.digest == header.marks[interval - 1].digest
        assert hashlib.sha256(opening.parts[0]).digest() in opening.index
    assert after.open(round_, 9) == proof.NOTHING
