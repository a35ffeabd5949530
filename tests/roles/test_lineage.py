"""Catching up: any round's model from public data, however little of it is left and whoever lies about the rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from gradmint.learn import blocks
from gradmint.learn.manifest import Manifest, preset
from gradmint.learn.state import digest, save
from gradmint.ports.local_store import LocalStore
from gradmint.ports.memory_store import MemoryStore
from gradmint.ports.recorded_chain import record
from gradmint.roles import replica as replica_module
from gradmint.roles.desk import Desk
from gradmint.roles.lineage import Rebuilt, catch_up
from gradmint.roles.replica import Replica, Start
from gradmint.roles.rounds import attested_after, consensus_of
from gradmint.roles.trainer import Draft, TrainerStrategy
from gradmint.roles.verifier import VerifierStrategy
from gradmint.spec.errors import BlobCorrupt, BlobMissing, SettingsError, StoreUnreachable, WrongBase
from gradmint.spec.round import Round
from gradmint.spec.types import Role, Verdict

from .stage import SPONSOR, Stage, account, play

ROUNDS, LATE, EVERY = 52, 50, 10


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@dataclass
class Played:
    stage: Stage
    starts: list[Start]  # the newcomer's

    def catch_up(self, store: MemoryStore | None = None, **options: object) -> tuple[Replica, Rebuilt]:
        return catch_up(self.stage.ledger, store or self.stage.store, **options)  # type: ignore[arg-type]

    def attested(self, number: int) -> bytes:
        found = attested_after(self.stage.ledger, number)
        assert found is not None
        return found

    def store(self, *absent: bytes) -> MemoryStore:
        copy = MemoryStore()
        copy.blobs = {digest: blob for digest, blob in self.stage.store.blobs.items() if digest not in absent}
        return copy

    def checkpoints(self) -> list[int]:
        known = self.stage.store.blobs
        return [n for n in range(1, ROUNDS) if attested_after(self.stage.ledger, n) in known]


def cheap() -> Manifest:
    """Digits in hundredths of a second a round."""
    manifest = preset("digits")
    return replace(
        manifest,
        training=replace(manifest.training, steps=3, warmup_steps=0, intervals=0),
        assessment=replace(manifest.assessment, words=2, common_samples=64, audited_trainers=0, exact_votes=0),
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """A run of cheap rounds; in the 50th a trainer joins who was never there, and which waits for it."""
    seated, starts = threading.Event(), list[Start]()

    class Patient(TrainerStrategy):
        def draft(self, round_: Round) -> Draft:
            assert round_.number != LATE or seated.wait(60)
            return super().draft(round_)

    class Newcomer(TrainerStrategy):
        def __init__(self, desk: Desk) -> None:
            super().__init__(desk)
            starts.append(desk.replica.start)
            seated.set()

    home = tmp_path_factory.mktemp("lineage")
    stage = play(
        *(home, [Patient] * 2, [VerifierStrategy] * 2, ROUNDS),
        manifest=cheap(),
        checkpoint_every=EVERY,
        late=Newcomer,
        late_round=LATE,
    )
    assert stage.errors == []
    return Played(stage, starts)


def test_who_comes_in_round_fifty_trains_in_the_next(played: Played) -> None:
    ledger = played.stage.ledger
    assert len(ledger.rounds) == ROUNDS and all(consensus_of(ledger, round_) for round_ in ledger.rounds)
    assert played.starts == [Start(40, "checkpoint")]
    for number in (51, 52):
        consensus = consensus_of(ledger, ledger.rounds[number - 1])
        assert consensus is not None and consensus.rows[2].verdict is Verdict.OK
    assert ledger.rounds[LATE - 1].trainers == 2 and ledger.rounds[LATE].trainers == 3


def test_checkpoints_are_where_they_are_looked_for(played: Played) -> None:
    assert played.checkpoints() == [10, 20, 30, 40, 50]


def test_from_a_checkpoint_and_from_scratch_it_is_one_model(played: Played) -> None:
    quick, found = played.catch_up()
    proven, whole = played.catch_up(from_scratch=True)
    assert found.start == Start(50, "checkpoint") and whole.start == Start(0, "first model")
    assert save(quick.state, quick.layout) == save(proven.state, proven.layout)
    assert found.model == whole.model
    # Every model but the last is attested by the round that starts from it; that of round 0 by the run.
    assert (found.compared, whole.compared) == (2, ROUNDS)
    assert not found.attested and not whole.attested


@pytest.mark.parametrize("number", [0, 1, 10, 37, 51])
def test_any_rounds_model(played: Played, number: int) -> None:
    _, found = played.catch_up(until=number)
    assert found.model == played.attested(number) and found.attested
    assert found.start.round == number // EVERY * EVERY


def test_a_round_that_is_not_over_is_refused(played: Played) -> None:
    with pytest.raises(SettingsError, match=f"round {ROUNDS + 1} of run 1 is not over, {ROUNDS} are"):
        played.catch_up(until=ROUNDS + 1)


def test_at_a_checkpoint_nothing_else_is_needed(played: Played) -> None:
    """The manifest, and the checkpoint; the round before only where one goes on."""
    base, params = played.attested(30), played.stage.ledger.terms
    bare = MemoryStore()
    bare.blobs = {digest: played.stage.store.blobs[digest] for digest in (params.manifest, base)}
    _, found = played.catch_up(bare, until=30)
    assert found.model == base
    with pytest.raises(BlobMissing, match="round 31: update"):
        played.catch_up(bare, until=31)
    fresh = {s.digest for s in played.stage.ledger.rounds[30].first_submissions.values()}
    bare.blobs |= {digest: played.stage.store.blobs[digest] for digest in fresh}
    with pytest.raises(BlobMissing, match="round 30: update"):
        played.catch_up(bare, until=31)


def test_duplicates_are_judged_as_if_the_round_before_had_been_rebuilt(played: Played) -> None:
    """An update of the round before, sent again, is a DUPLICATE for whoever starts from a checkpoint as well."""
    ledger = played.stage.ledger
    resumed, _ = played.catch_up(until=30)
    rebuilt, _ = played.catch_up(until=30, from_scratch=True)
    assert resumed.start.round == 30 and resumed.previous.keys() == rebuilt.previous.keys() == {0, 1}
    for trainer, update in rebuilt.previous.items():
        assert (resumed.previous[trainer].positions == update.positions).all()
        assert (resumed.previous[trainer].values() == update.values()).all()
    one, other = (replica.check_round(ledger, ledger.rounds[30]) for replica in (resumed, rebuilt))
    assert {t: c.verdict for t, c in one.items()} == {t: c.verdict for t, c in other.items()}


def test_who_is_banned_is_no_original(played: Played) -> None:
    """Whatever the committee says of its update: it sits the round out, for who starts from a checkpoint as well."""
    ledger = copy(played.stage.ledger)
    one = ledger.rounds[29]
    banned = replace(one.standings[1], ban_round=99)
    ledger.rounds = [*ledger.rounds[:29], replace(one, standings=(one.standings[0], banned)), *ledger.rounds[30:]]
    resumed, _ = catch_up(ledger, played.stage.store, until=30)
    assert resumed.start.round == 30 and resumed.previous.keys() == {0}


# Stores


class Lying(MemoryStore):
    """Hands out damaged bytes for some digests, without looking."""

    def __init__(self, blobs: dict[bytes, bytes], lies: dict[bytes, bytes], checks: bool) -> None:
        super().__init__()
        self.blobs, self.lies, self.checks = blobs, lies, checks

    def get(self, digest: bytes, max_bytes: int) -> bytes:
        if digest not in self.lies:
            return super().get(digest, max_bytes)
        if self.checks:
            raise BlobCorrupt(f"bytes do not hash to {digest.hex()}")
        return self.lies[digest]


@pytest.mark.parametrize("checks", [True, False], ids=["found by the adapter", "passed on"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda blob, _: blob[:-1] + bytes([blob[-1] ^ 1]),
        lambda blob, _: blob[:-1],
        lambda blob, _: blob + b"\0",
        lambda blob, _: b"",
        lambda blob, other: other,
    ],
    ids=["flipped", "short", "long", "empty", "another round's"],
)
def test_a_store_that_lies_about_checkpoints_costs_time_only(played: Played, damage: object, checks: bool) -> None:
    known = played.stage.store.blobs
    other = known[played.attested(20)]
    lies = {base: damage(known[base], other) for base in map(played.attested, (50, 40, 30))}  # type: ignore[operator]
    _, found = played.catch_up(Lying(known, lies, checks))  # type: ignore[arg-type]
    assert found.start == Start(20, "checkpoint")
    assert found.model == played.catch_up()[1].model


def test_without_checkpoints_everything_is_rebuilt(played: Played) -> None:
    bare = played.store(*map(played.attested, played.checkpoints()))
    _, found = played.catch_up(bare, until=12)
    assert found.start == Start(0, "first model") and found.model == played.attested(12)


def test_anyone_may_put_a_checkpoint_after_any_round(played: Played) -> None:
    store = played.store(*map(played.attested, played.checkpoints()))
    given, _ = played.catch_up(until=17)
    given.store = store
    given.publish()
    assert played.catch_up(store, until=22)[1].start == Start(17, "checkpoint")


def test_looking_for_checkpoints_comes_to_an_end(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Slow(MemoryStore):
        def get(self, digest: bytes, max_bytes: int) -> bytes:
            if digest not in known:
                asked.append(digest)
            return super().get(digest, max_bytes)

    known = played.store(*map(played.attested, played.checkpoints())).blobs
    slow = Slow()
    slow.blobs = known
    monkeypatch.setattr(replica_module, "SEARCH_S", -1.0)
    assert played.catch_up(slow, until=12)[1].model == played.attested(12)
    assert asked == [played.attested(10)]


def test_missing_and_damaged_updates_are_named_with_what_to_do(played: Played) -> None:
    gone = played.stage.ledger.rounds[4].first_submissions[1].digest
    store = played.store(gone, *map(played.attested, played.checkpoints()))
    with pytest.raises(BlobMissing, match=f"round 5: update {gone.hex()} of 0x.*connect to a store.*--store"):
        played.catch_up(store)
    with pytest.raises(BlobCorrupt, match=f"round 5: update {gone.hex()}"):
        played.catch_up(Lying(store.blobs, {gone: b""}, checks=True), from_scratch=True)
    # A checkpoint behind it goes around the gap.
    assert played.catch_up(played.store(gone))[1].start == Start(50, "checkpoint")


def test_a_store_that_takes_no_checkpoint_stops_nobody(played: Played, tmp_path: Path) -> None:
    class Full(MemoryStore):
        def put(self, blob: bytes) -> bytes:
            raise StoreUnreachable("disk full")

    full = Full()
    full.blobs = played.stage.store.blobs
    chain = played.stage.world.as_account(account(Role.TRAINER, 0))
    desk = Desk.open(chain, full, 1, Role.TRAINER, tmp_path, checkpoint_every=1)
    desk.catch_up()
    assert desk.replica.concluded == desk.published == ROUNDS


def test_models_larger_than_a_block_are_published_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With blocks of 4 KiB instead of 1 MiB: what the committee attests is the list of them."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4_096)
    rounds, every = 6, 2
    stage = play(tmp_path, [TrainerStrategy] * 2, [VerifierStrategy], rounds, manifest=cheap(), checkpoint_every=every)
    assert stage.errors == []
    base = attested_after(stage.ledger, 4)
    assert base is not None and stage.store.blobs[base].startswith(blocks.MAGIC)
    quick, found = catch_up(stage.ledger, stage.store)
    proven, _ = catch_up(stage.ledger, stage.store, from_scratch=True)
    assert found.start == Start(4, "checkpoint")
    file = save(proven.state, proven.layout)
    assert save(quick.state, quick.layout) == file and len(file) > 9 * 4_096
    for name in [stage.store.blobs[base][-32:], base]:  # a block, the list
        damaged = Lying(stage.store.blobs, {name: b"\0" * len(stage.store.blobs[name])}, checks=False)
        _, found = catch_up(stage.ledger, damaged)
        assert found.start == Start(2, "checkpoint") and found.model == proven.base


# Caches


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_module, "KEEP_EVERY_S", 0.0)


def test_an_interrupted_call_goes_on_where_it_was(played: Played, tmp_path: Path) -> None:
    """KeyboardInterrupt at any round; nothing is done twice."""

    def interrupt(replica: Replica, _: int) -> None:
        if replica.concluded == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        played.catch_up(until=9, cache=tmp_path, from_scratch=True, seen=interrupt)
    _, found = played.catch_up(until=9, cache=tmp_path, from_scratch=True)
    assert found.start == Start(7, "cache") and found.model == played.attested(9)


def test_what_a_checkpoint_gave_proves_nothing(played: Played, tmp_path: Path) -> None:
    played.catch_up(until=12, cache=tmp_path)
    _, found = played.catch_up(until=12, cache=tmp_path, from_scratch=True)
    assert found.start == Start(0, "first model")
    _, found = played.catch_up(until=12, cache=tmp_path)
    assert found.start == Start(12, "cache")


def cached(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"), key=lambda path: int(path.name.partition("-")[0]))


@pytest.mark.usefixtures("eager")
def test_a_wrong_cached_file_is_noticed(played: Played, tmp_path: Path) -> None:
    """Damaged, or another round's under this one's name, or whole and of another history: an older one serves."""
    played.catch_up(until=6, cache=tmp_path, from_scratch=True)
    proven = tmp_path / "proven"
    older, newer = cached(proven)
    whole = newer.read_bytes()
    for wrong in (whole[:-1] + b"\1", whole[:100], b"", older.read_bytes(), None):
        if wrong is None:
            os.truncate(newer, 1 << 40)  # of no use, and not to be read
        else:
            newer.write_bytes(wrong)
        _, found = played.catch_up(until=6, cache=tmp_path, from_scratch=True)
        assert found.start == Start(5, "cache") and found.model == played.attested(6)
        assert newer.read_bytes() == whole  # healed

    stranger, _ = played.catch_up(until=6)
    stranger.state = replace(stranger.state, theta=stranger.state.theta + 1)
    name = digest(stranger.state, stranger.layout)
    (proven / f"6-{name.hex()}.safetensors").write_bytes(save(stranger.state, stranger.layout))
    newer.unlink()
    _, found = played.catch_up(until=6, cache=tmp_path, from_scratch=True)
    assert found.start == Start(5, "cache") and found.model == played.attested(6)


def test_a_cache_that_cannot_be_written_stops_nobody(played: Played, tmp_path: Path) -> None:
    (tmp_path / "full").touch()
    assert played.catch_up(until=2, cache=tmp_path / "full")[1].model == played.attested(2)


def test_names_that_no_state_has_are_ignored(played: Played, tmp_path: Path) -> None:
    digits = "0" * 64
    for stem in ("6-zz", f"6-{'z' * 64}", "x", f"-{digits}", f"\u00b2-{digits}"):
        name = f"{stem}.safetensors"
        (tmp_path / name).write_bytes(b"x")
    assert played.catch_up(until=2, cache=tmp_path)[1].model == played.attested(2)


KILLED = """
import os, signal, sys
from pathlib import Path
import torch; torch.set_num_threads(1)
from gradmint.ports.local_store import LocalStore
from gradmint.ports.recorded_chain import RecordedChain
from gradmint.roles import replica
from gradmint.roles.follower import Follower
from gradmint.roles.lineage import catch_up
replica.KEEP_EVERY_S = 0.0
home, die = Path(sys.argv[1]), int(sys.argv[2])
def seen(r, last):
    if r.concluded == die:
        os.kill(os.getpid(), signal.SIGKILL)
_, found = catch_up(Follower(RecordedChain(home / "chain.json"), 1).ledger, LocalStore(home / "blobs"), until=12,
    cache=home / "cache", from_scratch=True, seen=seen)
print(found.start.round, found.start.source, found.model.hex())
"""


def test_killed_in_the_middle_it_goes_on(played: Played, tmp_path: Path) -> None:
    """SIGKILL, which nothing can catch, twice; and half a file that a kill inside of a write leaves."""
    record(played.stage.world.as_account(SPONSOR), 1, tmp_path / "chain.json")
    store = LocalStore(tmp_path / "blobs")
    for blob in played.stage.store.blobs.values():
        store.put(blob)

    def run(die: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path), str(die)],
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
        )

    assert run(5).returncode == run(8).returncode == -signal.SIGKILL
    newest = cached(tmp_path / "cache" / "proven")[-1]
    assert newest.name.startswith("8-")
    newest.with_name("saving.part").write_bytes(newest.read_bytes()[:1_000])
    done = run(-1)
    assert done.stdout.split() == ["8", "cache", played.attested(12).hex()], done.stderr


# Certificates


def test_a_certificate_names_the_last_model_too(played: Played) -> None:
    last, found = played.catch_up()
    store = played.store()
    last.store = store
    last.publish()
    _, again = played.catch_up(store, vouched={ROUNDS: found.model})
    assert again.start == Start(ROUNDS, "checkpoint") and again.attested


def test_a_certificate_of_another_model_is_an_error(played: Played) -> None:
    with pytest.raises(WrongBase, match=f"the certificate of round 11 names model {'77' * 32}"):
        played.catch_up(until=12, vouched={11: b"\x77" * 32})


def test_a_committee_that_attests_another_model_is_found(played: Played) -> None:
    """Both digests are named, and where this machine started from."""
    replica, _ = played.catch_up(until=5)
    replica.base = b"\x11" * 32
    with pytest.raises(
        WrongBase, match=f"committee of round 6 works from model {played.attested(5).hex()}.*{'11' * 32}"
    ):
        replica.conclude(played.stage.ledger, played.stage.ledger.rounds[5])


def test_a_desk_from_scratch_takes_no_checkpoint_and_keeps_what_it_proved(played: Played, tmp_path: Path) -> None:
    chain = played.stage.world.as_account(account(Role.VERIFIER, 0))
    for source in ("first model", "cache"):
        desk = Desk.open(chain, played.stage.store, 1, Role.VERIFIER, tmp_path, from_scratch=True)
        assert desk.replica.start == Start(0 if source == "first model" else ROUNDS, source)
        desk.catch_up()
        assert desk.replica.concluded == ROUNDS
        desk.journal.close()
    desk = Desk.open(chain, played.stage.store, 1, Role.VERIFIER, tmp_path)
    assert desk.replica.start == Start(50, "checkpoint")
