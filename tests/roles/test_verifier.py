"""What a verifier does about blobs that come late or never."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from gradmint.learn import proof
from gradmint.learn.manifest import preset
from gradmint.ports.memory_store import MemoryStore
from gradmint.roles import verifier
from gradmint.roles.desk import Desk
from gradmint.roles.trainer import TrainerStrategy
from gradmint.roles.verifier import VerifierStrategy
from gradmint.spec.errors import BlobCorrupt, BlobMissing
from gradmint.spec.round import Round
from gradmint.spec.types import Phase, Role, Verdict

from .fakes import Clock
from .stage import Stage, play


class Scripted(MemoryStore):
    """Blobs that come at a time of ``clock``; every blob that is waited for in vain takes that time, or a look's."""

    LOOK_S = 0.5

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.come_s: dict[bytes, float] = {}
        self.corrupt: set[bytes] = set()

    def wait(self, digest: bytes, timeout_s: float) -> bool:
        until_s = self.clock.now_s + max(timeout_s, self.LOOK_S)
        come_s = self.come_s[digest]
        self.clock.now_s = max(self.clock.now_s, min(come_s, until_s))
        return come_s <= until_s

    def get(self, digest: bytes, max_bytes: int) -> bytes:
        if digest in self.corrupt:
            raise BlobCorrupt("it hashes to something else")
        return digest


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(verifier, "time", made)
    return made


Gather = Callable[[dict[int, float]], set[int]]


@pytest.fixture
def store(clock: Clock) -> Scripted:
    return Scripted(clock)


@pytest.fixture
def gather(clock: Clock, store: Scripted) -> Gather:
    """Trainers held, by when each one's blob comes, in seconds after the hold phase of a minute opened."""
    start_s = clock.now_s

    def opening_blobs(round_: Round, trainer: int, blob: bytes) -> Iterator[tuple[bytes, int]]:
        yield from ()

    def held(after_s: dict[int, float]) -> set[int]:
        names = {trainer: bytes([trainer]) * 32 for trainer in after_s}
        store.come_s = {names[trainer]: start_s + late_s for trainer, late_s in after_s.items()}
        desk = SimpleNamespace(
            store=store,
            chain=SimpleNamespace(now_s=lambda: int(clock.now_s)),
            follower=SimpleNamespace(params=SimpleNamespace(hold_s=60)),
            replica=SimpleNamespace(manifest=preset("digits"), opening_blobs=opening_blobs),
        )
        round_ = SimpleNamespace(
            number=1,
            trainers=16,
            barred=frozenset(),
            first_submissions={trainer: SimpleNamespace(digest=name) for trainer, name in names.items()},
            opened={Phase.HOLD: SimpleNamespace(deadline_s=start_s + 60)},
        )
        bitmap = VerifierStrategy(cast(Desk, desk)).gather(cast(Any, round_))
        return {trainer for trainer in range(16) if bitmap[trainer // 8] >> trainer % 8 & 1}

    return held


NEVER = float("inf")


def test_everything_that_is_there_is_held_before_anybody_is_waited_for(clock: Clock, gather: Gather) -> None:
    assert gather({0: 0.0, 9: 0.0, 15: 0.0}) == {0, 9, 15}
    assert clock.now_s == 1_000


def test_withheld_blobs_take_no_time_from_late_ones(clock: Clock, gather: Gather) -> None:
    """Waited for one behind the other, whoever withholds uses up the time, and 13 looks behind the deadline take 6.5 s
    more."""
    after_s = {0: NEVER, 1: NEVER} | {trainer: 1.0 + trainer / 4 for trainer in range(2, 15)}
    assert gather(after_s) == set(range(2, 15))
    assert clock.now_s <= 1_030 + 3  # the last turn was under way, and a last look is taken at two


def test_what_comes_just_before_the_time_is_over_is_held(gather: Gather) -> None:
    assert gather({0: NEVER, 1: 29.0, 2: 33.0}) == {1}


def test_a_corrupt_blob_is_not_waited_for(clock: Clock, store: Scripted, gather: Gather) -> None:
    store.corrupt = {b"\3" * 32}
    assert gather({2: 0.0, 3: 0.0}) == {2}
    assert clock.now_s == 1_000


class HiddenOpenings(MemoryStore):
    """Another's store, less the openings."""

    def __init__(self, store: MemoryStore) -> None:
        self.__dict__ = vars(store)

    def _shows(self, digest: bytes) -> bool:
        return digest in self.blobs and not self.blobs[digest].startswith(proof.MAGIC)

    def get(self, digest: bytes, max_bytes: int) -> bytes:
        if not self._shows(digest):
            raise BlobMissing("it is shown to the others alone")
        return super().get(digest, max_bytes)

    def wait(self, digest: bytes, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._shows(digest), timeout_s)


class Blind(VerifierStrategy):
    """Honest; no opening reaches it."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        desk.store = desk.replica.store = HiddenOpenings(cast(MemoryStore, desk.store))


@pytest.fixture(scope="module")
def half_shown(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    torch.set_num_threads(1)
    manifest = preset("digits")
    manifest = replace(manifest, assessment=replace(manifest.assessment, audited_trainers=4))
    cast_ = [VerifierStrategy] * 3 + [Blind]
    home = tmp_path_factory.mktemp("half shown")
    return play(home, [TrainerStrategy] * 4, cast_, rounds=2, hold_s=6, commit_s=6, manifest=manifest)


def test_who_was_not_shown_an_opening_reports_all_the_same(half_shown: Stage) -> None:
    assert half_shown.errors == []
    for round_ in half_shown.ledger.rounds:
        assert round_.settlement is not None and round_.settlement.consensus is not None
        assert [row.verdict for row in round_.settlement.consensus.rows] == [Verdict.OK] * 4
        assert round_.reveals.keys() == {0, 1, 2, 3} == set(round_.settlement.consensus.cluster)
    asked = [proof.audits(r.opened[Phase.HOLD].beacon, range(4), 4, 4).values() for r in half_shown.ledger.rounds]
    assert any(interval > 0 for intervals in asked for interval in intervals)  # once in 65,000 nothing was hidden
    assert half_shown.ledger.standings[Role.VERIFIER][3].paid_wei > 0
