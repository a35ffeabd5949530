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
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The conformance suite runs on both."""
    if request.param == "memory":
        yield Memory()
    else:
        anvil: Anvil = request.getfixturevalue("anvil")
        yield anvil
        anvil.forget_ratings()


@pytest.fixture
def stage(world: World) -> Stage:
    return Stage(world)
