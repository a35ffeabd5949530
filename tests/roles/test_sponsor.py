"""A sponsor that dies between signing and sending opens one run, not two."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradmint.learn.manifest import preset
from gradmint.ports.chain import Receipt
from gradmint.ports.memory_chain import MemoryChain, MemoryWorld
from gradmint.ports.memory_store import MemoryStore
from gradmint.roles.journal import Journal, identity
from gradmint.roles.sponsor import open_run
from gradmint.spec.errors import ChainUnreachable, Reverted
from gradmint.spec.params import LOCAL

from .stage import BUDGET_WEI, SPONSOR, TOKEN


class Crash(BaseException):
    """What SIGKILL leaves no time to handle."""


class Mortal(MemoryChain):
    """A chain whose client dies before or after the transaction took effect."""

    dies = ""

    def broadcast(self, signed: bytes) -> Receipt:
        if self.dies == "before":
            raise Crash
        receipt = super().broadcast(signed)
        if self.dies == "after":
            raise Crash
        return receipt


@pytest.fixture
def world() -> MemoryWorld:
    world = MemoryWorld()
    world.mint(TOKEN, SPONSOR, 5 * BUDGET_WEI)
    return world


def opened(world: MemoryWorld, path: Path, dies: str = "") -> int:
    chain = Mortal(world, SPONSOR)
    chain.dies = dies
    journal = Journal(path / "sponsor.sqlite", identity(chain))
    try:
        return open_run(chain, MemoryStore(), journal, preset("digits"), LOCAL, TOKEN, BUDGET_WEI)
    finally:
        journal.close()


@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_crash_opens_one_run(world: MemoryWorld, tmp_path: Path, dies: str) -> None:
    with pytest.raises(Crash):
        opened(world, tmp_path, dies)
    world.restart()
    assert opened(world, tmp_path) == 1
    chain = world.as_account(SPONSOR)
    assert chain.run_count() == 1
    assert chain.token_balance_wei(TOKEN, SPONSOR) == 4 * BUDGET_WEI


def test_asking_again_on_purpose_opens_another(world: MemoryWorld, tmp_path: Path) -> None:
    assert [opened(world, tmp_path), opened(world, tmp_path)] == [1, 2]


def test_a_refused_opening_is_forgotten(world: MemoryWorld, tmp_path: Path) -> None:
    class Refusing(MemoryChain):
        def broadcast(self, signed: bytes) -> Receipt:
            raise Reverted("the token said no", "TransferFailed")

    chain = Refusing(world, SPONSOR)
    journal = Journal(tmp_path / "sponsor.sqlite", identity(chain))
    with pytest.raises(Reverted):
        open_run(chain, MemoryStore(), journal, preset("digits"), LOCAL, TOKEN, BUDGET_WEI)
    journal.close()
    assert opened(world, tmp_path) == 1


def test_a_node_that_is_away_keeps_what_was_signed(world: MemoryWorld, tmp_path: Path) -> None:
    class Away(MemoryChain):
        def broadcast(self, signed: bytes) -> Receipt:
            raise ChainUnreachable("gone")

    chain = Away(world, SPONSOR)
    journal = Journal(tmp_path / "sponsor.sqlite", identity(chain))
    with pytest.raises(ChainUnreachable):
        open_run(chain, MemoryStore(), journal, preset("digits"), LOCAL, TOKEN, BUDGET_WEI)
    journal.close()
    assert opened(world, tmp_path) == 1
    assert world.as_account(SPONSOR).run_count() == 1
