"""A run by another rule and outer optimiser: everybody agrees on the model, and strangers replay its weights."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gradmint.cli.summary import round_summary
from gradmint.learn import outer
from gradmint.learn.aggregate import AggregationSpec
from gradmint.learn.checks import limits_of
from gradmint.learn.codec import decode
from gradmint.learn.manifest import Manifest, load_task, preset
from gradmint.learn.state import digest, initial_state, layout_of, load, save
from gradmint.roles.auditor import audit
from gradmint.roles.trainer import TrainerStrategy
from gradmint.roles.verifier import VerifierStrategy

from .stage import SPONSOR, Stage, play

ROUNDS, TRAINERS = 3, 5


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def manifest_of(rule: str, *pre: str) -> Manifest:
    manifest = preset("digits")
    return replace(
        manifest,
        aggregation=AggregationSpec(rule=rule, pre=pre, byzantine_bps=2_500),
        outer=replace(manifest.outer, optimiser="fedyogi", learning_rate=0.03, warmup_rounds=2),
    ).check()


def staged(home: Path, manifest: Manifest) -> Stage:
    stage = play(home, [TrainerStrategy] * TRAINERS, [VerifierStrategy] * 2, rounds=ROUNDS, manifest=manifest)
    assert stage.errors == []
    return stage


def test_published_weights_rebuild_the_lineage(tmp_path: Path) -> None:
    """From blobs, the audit's weights as JSON tells them, and the outer step: nothing of the rule is known here."""
    manifest = manifest_of("geometric-median", "norm-bound", "score-gate", "nnm")
    stage = staged(tmp_path, manifest)
    found = audit(stage.world.as_account(SPONSOR), stage.store, stage.ledger.run)
    assert found.ok, found.divergence
    told = json.loads(json.dumps([round_summary(round_) for round_ in found.rounds]))
    task = load_task(manifest)
    layout, state = layout_of(task, manifest), initial_state(task, manifest)
    for round_, summary in zip(stage.ledger.rounds, told, strict=True):
        assert digest(state, layout).hex() == summary["base"].removeprefix("0x")
        assert len(summary["weights"]) == TRAINERS and sum(map(bool, summary["weights"])) > 1
        total = np.zeros(layout.dimension, dtype=np.float32)
        for trainer, weight in enumerate(summary["weights"]):
            if weight:
                blob = stage.store.get(round_.first_submissions[trainer].digest, manifest.codec.max_bytes)
                total += decode(blob, limits_of(manifest, layout))[1].dense().numpy() * np.float32(weight)
        state = outer.step(manifest, state, total)
    assert digest(state, layout) == found.model
    # What the committee attests in hold names a checkpoint in any store.
    stage.store.put(save(state, layout))
    again = load(stage.store.get(found.model, 1 << 20), layout)
    assert digest(again, layout) == found.model == hashlib.sha256(save(again, layout)).digest()


def test_a_rule_without_weights_says_so(tmp_path: Path) -> None:
    stage = staged(tmp_path, manifest_of("trimmed-mean", "norm-bound"))
    found = audit(stage.world.as_account(SPONSOR), stage.store, stage.ledger.run)
    assert found.ok, found.divergence
    assert [round_.weights for round_ in found.rounds] == [None] * ROUNDS
    assert len({round_.base for round_ in found.rounds} | {found.model}) == ROUNDS + 1


def test_by_default_the_accepted_are_averaged_within_the_median_norm(tmp_path: Path) -> None:
    stage = staged(tmp_path, preset("digits"))
    found = audit(stage.world.as_account(SPONSOR), stage.store, stage.ledger.run)
    assert found.ok, found.divergence
    for round_ in found.rounds:
        assert round_.weights is not None
        accepted = [gain > 0 for gain in round_.common_gains_micronats]
        share = np.float32(1 / sum(accepted))
        assert [weight > 0 for weight in round_.weights] == accepted
        assert max(round_.weights) == share and sum(weight == share for weight in round_.weights) > sum(accepted) / 2
