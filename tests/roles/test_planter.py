"""Planters on the twins: who looks keeps its stake, who does not loses it, and the audit finds every wei again."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gradmint.adversary.verifiers import Liar, RubberStamp
from gradmint.ports.chain import Exit
from gradmint.ports.memory_store import MemoryStore
from gradmint.roles.auditor import audit
from gradmint.roles.desk import Desk
from gradmint.roles.planter import SECRET, Planter
from gradmint.roles.replica import read_manifest
from gradmint.roles.trainer import TrainerStrategy
from gradmint.roles.verifier import VerifierStrategy
from gradmint.spec import plant
from gradmint.spec.docket import split_bond
from gradmint.spec.errors import ManifestError, StoreUnreachable
from gradmint.spec.events import Event, Exposed, Position
from gradmint.spec.params import LOCAL
from gradmint.spec.round import Round
from gradmint.spec.types import Role, Verdict

from .stage import SPONSOR, Stage, account, play

Honest, Looks = TrainerStrategy, VerifierStrategy
SLASH_WEI = LOCAL.verifier_stake_wei * LOCAL.slash_bps // 10_000
REWARD_WEI = split_bond(SLASH_WEI, LOCAL.challenger_bps, LOCAL.burn_bps)[0]


class Always(Planter):
    """Plants in every round."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, 1.0)


class Silent(Always):
    """Dies before it exposes anything."""

    def errand(self):  # type: ignore[no-untyped-def]
        yield from ()


class Never(Planter):
    """An honest trainer with a secret."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, 0.0)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def verdicts(stage: Stage, trainer: int) -> list[Verdict]:
    found = []
    for round_ in stage.ledger.rounds:
        assert round_.settlement is not None and round_.settlement.consensus is not None
        found.append(round_.settlement.consensus.rows[trainer].verdict)
    return found


def lost(stage: Stage) -> dict[bytes, int]:
    """Times that each account lost the slash."""
    found: dict[bytes, int] = {}
    for row in stage.ledger.seized:
        found[row.account] = found.get(row.account, 0) + 1
    return found


def audited(stage: Stage) -> None:
    found = audit(stage.world.as_account(SPONSOR), stage.store, stage.ledger.run)
    assert found.ok, found.divergence
    assert [event for round_ in found.rounds for event in round_.exposed] == stage.ledger.exposed


@pytest.fixture(scope="module", params=[False, True], ids=["direct", "proposing"])
def few(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """One of four does not look; the planter is trainer 2."""
    home = tmp_path_factory.mktemp("few")
    return play(home, [Honest, Honest, Always], [Looks] * 3 + [RubberStamp], rounds=2, propose=request.param)


def test_who_waves_a_plant_through_pays_for_it_and_nobody_else(few: Stage) -> None:
    assert few.errors == []
    assert verdicts(few, 2) == [Verdict.UNPROVEN] * 2 and verdicts(few, 0) == [Verdict.OK] * 2
    assert [event.round for event in few.ledger.exposed] == [1, 2]
    assert lost(few) == {account(Role.VERIFIER, 3): 2}
    assert few.ledger.seized[0].lost_wei == SLASH_WEI
    assert few.ledger.bonds_wei[account(Role.TRAINER, 2)] == sum(row.reward_wei for row in few.ledger.seized)
    assert few.ledger.seized[0].reward_wei == REWARD_WEI


def test_the_audit_replays_who_lost_and_who_won(few: Stage) -> None:
    audited(few)


def test_a_plant_costs_its_trainer_pay_and_trust(few: Stage) -> None:
    standings = few.ledger.standings[Role.TRAINER]
    assert standings[2].paid_wei == 0 < min(standings[0].paid_wei, standings[1].paid_wei)
    assert standings[2].trust_q32 < standings[0].trust_q32


def test_a_committee_that_agrees_not_to_look_pays_as_a_whole(tmp_path: Path) -> None:
    """The consensus calls the plant OK; the one who looked keeps its stake, the others do not."""
    stage = play(tmp_path, [Honest, Always], [RubberStamp] * 3 + [Looks], rounds=1)
    assert stage.errors == []
    assert verdicts(stage, 1) == [Verdict.OK]
    assert lost(stage) == {account(Role.VERIFIER, v): 1 for v in range(3)}
    assert stage.ledger.bonds_wei[account(Role.TRAINER, 1)] == 3 * REWARD_WEI
    audited(stage)
    found = audit(stage.world.as_account(SPONSOR), stage.store, stage.ledger.run, reassess=True)
    assert found.divergence is not None and found.divergence.row == "proof of trainer 1"


def test_a_store_that_is_away_is_no_divergence(few: Stage) -> None:
    """From the manifest on, whichever blob it is that it does not answer for."""
    first = few.ledger.rounds[0].first_submissions

    class Away(MemoryStore):
        gone = b""

        def get(self, digest: bytes, max_bytes: int) -> bytes:
            if digest == self.gone:
                raise StoreUnreachable("gone")
            return super().get(digest, max_bytes)

    away = Away()
    away.blobs = few.store.blobs
    for away.gone in (few.ledger.terms.manifest, first[0].digest, first[2].digest):
        with pytest.raises(StoreUnreachable, match="gone"):
            audit(few.world.as_account(SPONSOR), away, few.ledger.run)


def test_an_exposure_under_another_secret_is_found(few: Stage) -> None:
    chain = few.world.as_account(SPONSOR)
    events = chain.events

    def altered(run: int, after: Position | None = None) -> list[Event]:
        return [replace(e, secret=b"\1" * 32) if isinstance(e, Exposed) else e for e in events(run, after)]

    chain.events = altered  # type: ignore[method-assign]
    found = audit(chain, few.store, few.ledger.run).divergence
    assert found is not None and (found.round, found.expected) == (1, "a planted update")


class Withholder(Always):
    """Shows its update to nobody before it exposes."""

    def publish(self, round_: Round, blob: bytes) -> bytes | None:
        return None


def test_an_exposure_of_what_was_never_published_fails_no_audit(tmp_path: Path) -> None:
    """Its bytes are in the exposure's transaction, and were judged there; otherwise one trainer and one bought verifier
    could fail every audit."""
    stage = play(tmp_path, [Honest, Withholder], [Looks] * 3 + [Liar], rounds=1)
    assert stage.errors == [] and verdicts(stage, 1) == [Verdict.MISSING]
    assert lost(stage) == {account(Role.VERIFIER, 3): 1}
    assert stage.ledger.rounds[0].first_submissions[1].digest not in stage.store.blobs
    audited(stage)


def test_where_everybody_looks_nobody_loses_anything(tmp_path: Path) -> None:
    stage = play(tmp_path, [Honest, Always, Never], [Looks] * 3, rounds=2, numerics=("float32", "bfloat16"))
    assert stage.errors == [] and stage.ledger.exposed == stage.ledger.seized == []
    assert verdicts(stage, 1) == [Verdict.UNPROVEN] * 2
    assert verdicts(stage, 0) == verdicts(stage, 2) == [Verdict.OK] * 2
    assert stage.ledger.slashed_wei == {}


@pytest.mark.parametrize(
    ("leaves", "propose"), [(False, False), (True, False), (False, True)], ids=["seated", "gone", "proposing"]
)
def test_a_planter_that_died_exposes_when_it_is_back(tmp_path: Path, leaves: bool, propose: bool) -> None:
    """Its secret is on disk before its update is on chain; a new process needs nothing else, not even its seat. A round
    of a proposing run is settled by then, and its record still there."""
    stage = play(tmp_path, [Honest, Silent], [Looks] * 3 + [RubberStamp], rounds=1, propose=propose)
    assert stage.errors == [] and stage.ledger.exposed == []
    assert stage.ledger.rounds[0].is_over
    chain = stage.world.as_account(account(Role.TRAINER, 1))
    if leaves:
        chain.send(Exit(run=stage.ledger.run))
    gc.collect()  # its journal is closed with it
    desk = Desk.open(chain, stage.store, stage.ledger.run, Role.TRAINER, tmp_path / "TRAINER-1")
    assert desk.seat.gone == leaves
    reborn = Always(desk)
    desk.driver.see_to(reborn.errand)
    assert [event.guilty for event in desk.ledger.exposed] == [0b1000]
    before = chain.clock(stage.ledger.run), len(chain.events(stage.ledger.run))
    desk.driver.see_to(reborn.errand)
    desk.driver.see_to(Always(desk).errand)
    assert (chain.clock(stage.ledger.run), len(chain.events(stage.ledger.run))) == before


def test_plants_are_drawn_from_the_journaled_secret(tmp_path: Path) -> None:
    stage = play(tmp_path, [Honest], [Looks], rounds=1)
    chain = stage.world.as_account(account(Role.TRAINER, 0))
    desk = Desk.open(chain, stage.store, stage.ledger.run, Role.TRAINER, tmp_path / "TRAINER-0")
    one, again = Planter(desk, 0.25), Planter(desk, 0.25)
    secret = desk.journal.get(0, SECRET)
    assert secret is not None and len(secret) == plant.SECRET_BYTES
    planted = [number for number in range(1, 2_001) if one.plants(number)]
    assert planted == [number for number in range(1, 2_001) if again.plants(number)]
    assert 400 < len(planted) < 600  # 500 expected, 5 standard deviations are 97
    assert one.secret(1) == again.secret(1) != one.secret(2)
    desk.journal.drop(0, SECRET)
    assert Planter(desk, 0.25).secret(1) != one.secret(1)
    assert not any(Never(desk).plants(number) for number in range(1, 200))
    assert all(Always(desk).plants(number) for number in range(1, 200))


def test_a_run_whose_chain_would_draw_others_is_nobodys(tmp_path: Path) -> None:
    stage = play(tmp_path, [Honest], [Looks], rounds=1)
    terms = stage.ledger.terms
    read_manifest(terms, stage.store)
    for other in (replace(terms, assigned_trainers=15), replace(terms, words=3)):
        with pytest.raises(ManifestError, match="assigned_trainers"):
            read_manifest(other, stage.store)
