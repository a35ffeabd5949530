"""Whole runs under every kind of compression: honest work is found good, copies are found, everyone agrees."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradmint.adversary.trainers import Copycat, Poisoner
from gradmint.learn.codec import KINDS
from gradmint.learn.manifest import preset, with_codec
from gradmint.roles.auditor import audit
from gradmint.roles.trainer import TrainerStrategy
from gradmint.roles.verifier import VerifierStrategy
from gradmint.spec.types import Verdict

from .stage import SPONSOR, play


@pytest.mark.parametrize("kind", KINDS)
def test_a_run(kind: str, tmp_path: Path) -> None:
    manifest = with_codec(preset("digits"), kind)
    stage = play(tmp_path, [TrainerStrategy, Copycat, Poisoner], [VerifierStrategy] * 2, rounds=3, manifest=manifest)
    assert stage.errors == []
    verdicts, gains = [], []
    for round_ in stage.ledger.rounds:
        assert round_.settlement is not None and round_.settlement.consensus is not None
        assert round_.settlement.consensus.cluster == (0, 1)
        verdicts.append([row.verdict for row in round_.settlement.consensus.rows])
        gains.append([row.common_gain_micronats for row in round_.settlement.consensus.rows])
    assert verdicts[0] == [Verdict.OK] * 3
    assert verdicts[1][1] == Verdict.DUPLICATE or Verdict.DUPLICATE in verdicts[2]  # once there is something to copy
    assert {row[0] for row in verdicts} == {Verdict.OK}
    if kind != "private":  # whose noise outweighs what three rounds of three trainers are about
        assert gains[0][0] > 0 > gains[0][2]
    found = audit(stage.world.as_account(SPONSOR), stage.store, stage.ledger.run, reassess=True)
    assert found.ok, found.divergence
