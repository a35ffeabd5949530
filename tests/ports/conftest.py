"""Both chains, and the worlds behind them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gradmint.ports.devnet import Devnet

from .harness import Anvil, Memory, Stage, World


@pytest.fixture(scope="session")
def devnet() -> Iterator[Devnet]:
    with Devnet() as running:
        yield running


@pytest.fixture(scope="session")
def anvil(devnet: Devnet) -> Anvil:
    return Anvil(devnet)


@pytest.fixture(params=["memory", "web3"])
def world(request: pytest.FixtureRequest) -> World:
    """The conformance suite runs on both."""
    return Memory() if request.param == "memory" else request.getfixturevalue("anvil")


@pytest.fixture
def stage(world: World) -> Stage:
    return Stage(world)
