"""Local training and error feedback."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from gradmint.learn.manifest import Manifest, load_task, preset
from gradmint.learn.outer import advance
from gradmint.learn.proof import claims
from gradmint.learn.state import Network, State, initial_state
from gradmint.learn.tasks import Batch, Task
from gradmint.learn.tasks.bytes_lm import BytesTask, distinct_paragraphs
from gradmint.learn.tasks.digits import DigitsTask, read_scans
from gradmint.learn.train import assigned_indices, compress, compress_each, local_round

BEACON = b"b" * 32


def test_shards_come_from_beacon_and_trainer_alone(task: Task, manifest: Manifest) -> None:
    shard = assigned_indices(task, manifest, BEACON, 0)
    assert shard == assigned_indices(task, manifest, BEACON, 0)
    assert len(set(shard)) == manifest.training.shard and max(shard) < task.samples
    assert shard != assigned_indices(task, manifest, BEACON, 1)
    assert shard != assigned_indices(task, manifest, b"c" * 32, 0)


def test_training_touches_the_shard_and_nothing_else(manifest: Manifest, start: State) -> None:
    class Watched(DigitsTask):
        def __init__(self) -> None:
            super().__init__(read_scans())
            self.seen: set[int] = set()

        def batch(self, indices: Sequence[int]) -> Batch:
            self.seen |= set(indices)
            return super().batch(indices)

    task = Watched()
    local_round(task, manifest, start, BEACON, 3)
    used = assigned_indices(task, manifest, BEACON, 3)[: manifest.training.steps * manifest.training.batch]
    assert task.seen == set(used)


def test_steps_are_those_of_torch(task: Task, manifest: Manifest, start: State) -> None:
    exact = replace(manifest, training=replace(manifest.training, warmup_steps=0, weight_decay=0.01, steps=5))
    network = Network(task, manifest.task.seed)
    training = exact.training
    reference = torch.optim.AdamW(
        network.module.parameters(),
        lr=training.learning_rate,
        betas=(training.beta1, training.beta2),
        weight_decay=training.weight_decay,
    )
    shard = assigned_indices(task, exact, BEACON, 0)
    for step in range(training.steps):
        network.gradient(task.batch([shard[i % len(shard)] for i in range(step * 32, step * 32 + 32)]))
        reference.step()
    assert training.batch == 32
    assert torch.allclose(start.theta - local_round(task, exact, start, BEACON, 0).delta, network.theta, atol=1e-6)


def test_a_round_is_deterministic_and_gains_on_its_own_data(task: Task, manifest: Manifest, start: State) -> None:
    one, other = (local_round(task, manifest, start, BEACON, 1) for _ in range(2))
    assert torch.equal(one.delta, other.delta) and one.marks == other.marks
    update, _ = compress(one.delta, None, manifest)
    said = claims(task, manifest, start, update, BEACON, 1)
    assert said.gain_micronats > 0 and len(said.words) == manifest.assessment.words and any(said.words)


def test_error_feedback_loses_nothing(manifest: Manifest) -> None:
    delta = torch.randn(5_000, generator=torch.Generator().manual_seed(0))
    update, residual = compress(delta, None, manifest)
    assert torch.allclose(update.dense() + residual, delta)
    again, left = compress(delta, residual, manifest)
    assert torch.allclose(again.dense() + left, delta + manifest.training.error_feedback * residual, atol=1e-6)


def test_a_diverged_round_is_marked_and_forgotten(task: Task, manifest: Manifest, start: State) -> None:
    lost = replace(start, theta=start.theta * math.nan)
    trained = local_round(task, manifest, lost, BEACON, 0)
    update, residual = compress(trained.delta, torch.ones_like(trained.delta), manifest)
    assert not update.finite and not residual.any()


@pytest.mark.parametrize("name", ["digits", "bytes"])
def test_tasks_hold_out_data_and_learn(name: str) -> None:
    manifest = preset(name)
    task = load_task(manifest)
    small = replace(manifest, training=replace(manifest.training, steps=10, warmup_steps=2))
    state = initial_state(task, small)
    network = Network(task, 0)
    before = network.mean_loss(task.validation())
    update, _ = compress(local_round(task, small, state, BEACON, 0).delta, None, small)
    network.theta.copy_(advance(small, state, {0: update}, [0]).theta)
    assert network.mean_loss(task.validation()) < before - 0.1
    hidden = task.hidden(network.module, task.batch(range(7)))
    assert hidden.shape[0] == 7 and hidden.dim() == 2
    assert isinstance(network.module, nn.Module) and "held-out" in task.describe(network.module)


def test_held_out_windows_do_not_stand_in_the_training_text() -> None:
    task = load_task(preset("bytes"))
    assert isinstance(task, BytesTask)
    last = task.samples - task.samples % 64
    training = bytes(task.batch(range(0, last, 64))[0].flatten().tolist())
    windows = [bytes(row.tolist()) for row in task.validation()[0]]
    assert len(training) == last and len(set(windows)) == len(windows)
    repeated = [window for window in windows if window in training]
    assert len(repeated) <= 0.05 * len(windows), repeated  # rulings of tables, a sentence here and there


def test_paragraphs_are_kept_once_in_order() -> None:
    assert distinct_paragraphs(b"one two\n\nthree\n\n  one\n two\n\nfour") == b"one two\n\nthree\n\nfour"


def test_held_out_digits_are_no_training_digits(task: Task) -> None:
    training = {tuple(row.tolist()) for row in task.batch(range(task.samples))[0]}
    held_out = [tuple(row.tolist()) for row in task.validation()[0]]
    assert sum(row in training for row in held_out) <= 0.01 * len(held_out)


def test_scans_are_those_that_scikit_learn_loads() -> None:
    pixels, digits = load_digits(return_X_y=True)
    scans = read_scans()
    assert np.array_equal(scans[:, :64], pixels) and np.array_equal(scans[:, 64], digits)


def test_many_deltas_are_compressed_like_each() -> None:
    manifest = preset("digits", 0)
    draws = torch.Generator().manual_seed(1)
    deltas, residuals = torch.randn(3, 4_810, generator=draws), torch.randn(3, 4_810, generator=draws)
    deltas[1, 5] = torch.nan
    for carried in (None, residuals):
        updates, left = compress_each(deltas, carried, manifest)
        for i, delta in enumerate(deltas):
            update, rest = compress(delta, None if carried is None else carried[i], manifest)
            assert updates[i].pack() == update.pack() and torch.equal(left[i], rest)
