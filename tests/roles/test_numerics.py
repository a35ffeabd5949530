"""A run's numeric policy: honest machines of different kinds agree, and others are told so before they pay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gradmint.learn.manifest import ADMITTED, Manifest, NumericsSpec, preset
from gradmint.learn.numerics import Numerics
from gradmint.ports.chain import Open
from gradmint.ports.memory_chain import MemoryWorld
from gradmint.ports.memory_store import MemoryStore
from gradmint.roles.desk import Desk
from gradmint.roles.sponsor import terms_for
from gradmint.roles.trainer import TrainerStrategy
from gradmint.roles.verifier import VerifierStrategy
from gradmint.spec.errors import NumericsRefused
from gradmint.spec.params import LOCAL
from gradmint.spec.types import Role

from .stage import BUDGET_WEI, SPONSOR, TOKEN, account, play

MIXED = ("float32", "bfloat16", "float32/micro=16", "bfloat16/micro=16")


def test_unlike_machines_reach_consensus_in_every_round(tmp_path: Path) -> None:
    stage = play(tmp_path, [TrainerStrategy] * 3, [VerifierStrategy] * 4, rounds=4, numerics=MIXED)
    assert stage.errors == []
    distances = set()
    for round_ in stage.ledger.rounds:
        assert round_.settlement is not None and round_.settlement.consensus is not None
        assert round_.settlement.consensus.cluster == (0, 1, 2, 3)
        distances |= set(round_.settlement.consensus.distances_bits)
    assert max(bits for bits in distances if bits is not None) > 0  # they do differ
    assert not any(stage.ledger.slashed_wei.values())


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    ("change", "numerics", "says"),
    [
        ({}, "float32/micro=7", "choose one of them by --numerics"),
        ({"admitted": ("float32",)}, "bfloat16", "computes in bfloat16, the run admits float32;"),
        ({"torch": "1.0.0"}, "float32", r"pip install torch==1\.0\.0"),
    ],
)
def test_who_is_not_admitted_pays_nothing(
    tmp_path: Path, role: Role, change: dict[str, object], numerics: str, says: str
) -> None:
    world, store = MemoryWorld(), MemoryStore()
    manifest = preset("digits")
    policy: NumericsSpec = replace(manifest.numerics, **change)  # type: ignore[arg-type]
    run = opened(world, store, replace(manifest, numerics=policy))
    newcomer = account(role, 0)
    world.mint(TOKEN, newcomer, 10**21)
    chain = world.as_account(newcomer)
    with pytest.raises(NumericsRefused, match=says):
        Desk.open(chain, store, run, role, tmp_path / "home", join=True, numerics=Numerics.parse(numerics))
    assert chain.token_balance_wei(TOKEN, newcomer) == 10**21
    assert numerics not in ADMITTED or change


def opened(world: MemoryWorld, store: MemoryStore, manifest: Manifest) -> int:
    """A run of ``manifest``, also of one that could not be opened from here."""
    terms = replace(terms_for(preset("digits"), LOCAL), manifest=store.put(manifest.encode()))
    world.mint(TOKEN, SPONSOR, BUDGET_WEI)
    world.as_account(SPONSOR).send(Open(params=terms, token=TOKEN, budget_wei=BUDGET_WEI))
    return world.as_account(SPONSOR).run_count()
