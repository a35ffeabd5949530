"""One Anvil for the session, the contracts on it, and the harness around the libraries."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]  # world.py; vectors.py, whose random cases the fuzz tests share

from world import Chain, Contract, World, anvil, compile_if_stale, deploy, test_artifact  # noqa: E402


@pytest.fixture(scope="session")
def chain() -> Iterator[Chain]:
    compile_if_stale()
    with anvil() as started:
        yield started


@pytest.fixture(scope="session")
def world(chain: Chain) -> World:
    """Shared: every test opens runs of its own."""
    return World.on(chain)


@pytest.fixture(scope="session")
def harness(chain: Chain) -> Contract:
    return deploy(chain, test_artifact("Harness"), (), (), "0x" + "11" * 20)
