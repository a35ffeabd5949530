"""Models of transformers in whole runs on the twins: trained, assessed, agreed on and audited like any other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from learn.folders import GPT2, LLAMA, make

from gradmint.learn.manifest import preset
from gradmint.roles.auditor import audit
from gradmint.roles.trainer import TrainerStrategy
from gradmint.roles.verifier import VerifierStrategy
from gradmint.spec.types import Verdict

from .stage import SPONSOR, play


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("config", [LLAMA, GPT2], ids=["llama", "gpt2"])
def test_a_run_of_three_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict[str, object]) -> None:
    monkeypatch.setenv("GRADMINT_TASK_PATH", str(make(tmp_path / "task", config)))
    numerics = ("float32", "bfloat16", "float32/micro=16")
    manifest = preset("folder")
    stage = play(tmp_path, [TrainerStrategy] * 3, [VerifierStrategy] * 3, 3, manifest=manifest, numerics=numerics)
    assert stage.errors == []
    for round_ in stage.ledger.rounds:
        assert round_.settlement is not None and round_.settlement.consensus is not None, f"round {round_.number}"
        assert [row.verdict for row in round_.settlement.consensus.rows] == [Verdict.OK] * 3
        assert round_.settlement.consensus.cluster == (0, 1, 2)
    found = audit(stage.world.as_account(SPONSOR), stage.store, stage.ledger.run, reassess=True)
    assert found.ok, found.divergence
    losses = [round_.loss_micronats for round_ in found.rounds]
    assert losses == sorted(losses, reverse=True) and losses[0] - losses[-1] > 100_000  # type: ignore[operator]
