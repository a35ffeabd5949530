"""Commands about bonds, on the chain's twin."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result
from ports.harness import PROPOSING, Memory, Stage
from ports.test_exposures import REWARD_WEI, exposing, speak

from gradmint.cli import docket_commands
from gradmint.ports.chain import Chain


def run(monkeypatch: pytest.MonkeyPatch, chain: Chain, *words: str) -> Result:
    monkeypatch.setattr(docket_commands, "connect", lambda *_: chain)
    name, *rest = words
    return CliRunner().invoke(getattr(docket_commands, name), rest, catch_exceptions=False)


@pytest.mark.parametrize("terms", [{}, PROPOSING], ids=["direct", "proposing"])
def test_what_an_exposure_earned_can_be_taken(monkeypatch: pytest.MonkeyPatch, terms: dict[str, object]) -> None:
    """Also where nothing is proposed, and so nobody deposits a bond."""
    stage = Stage(Memory()).open(**terms).enrol()  # type: ignore[arg-type]
    planter = stage.trainers[0]
    planter.send(exposing(stage, speak(stage)))
    assert planter.bond_of(stage.run, planter.account) == (REWARD_WEI, 0)
    said = run(monkeypatch, planter, "unbond", "--run", str(stage.run))
    assert said.exit_code == 0 and "has 0 wei of bonds" in said.output
    assert planter.bond_of(stage.run, planter.account) == (0, 0)
    assert "has no free bond" in run(monkeypatch, planter, "unbond", "--run", str(stage.run)).output
    assert "wei of lost bonds and stakes moved" in run(monkeypatch, planter, "pool", "--run", str(stage.run)).output
