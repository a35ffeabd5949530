"""State, digest and checkpoint file."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from gradmint.learn.manifest import Manifest
from gradmint.learn.state import Layout, Network, State, digest, initial_state, load, save
from gradmint.learn.tasks import Task
from gradmint.spec.errors import ManifestError


def test_the_initial_model_is_frozen(task: Task, manifest: Manifest, layout: Layout) -> None:
    """Frozen: chains store this digest; it may not depend on machine, thread count or release."""
    assert digest(initial_state(task, manifest), layout).hex()[:16] == "dff4534858d7eb81"


def test_digest_covers_parameters_momentum_and_round(start: State, layout: Layout) -> None:
    bumped = start.momentum.clone()
    bumped[-1] = 1e-30
    theta = start.theta.clone()
    theta[0] += 1e-3
    others = (replace(start, round=1), replace(start, momentum=bumped), replace(start, theta=theta))
    digests = {digest(state, layout) for state in (start, *others)}
    assert len(digests) == 4
    with pytest.raises(ManifestError, match="expected float32"):
        digest(replace(start, theta=start.theta.double()), layout)


def test_checkpoints_come_back_and_are_safetensors(start: State, layout: Layout) -> None:
    state = replace(start, momentum=torch.arange(layout.dimension).float(), round=12)
    blob = save(state, layout)
    assert digest(load(blob, layout), layout) == digest(state, layout)
    room = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8 : 8 + room])
    first, last = header["last.weight"]["data_offsets"]
    at = layout.offsets[layout.names.index("last.weight")]
    expected = state.theta[at : at + 640].numpy().tobytes()
    assert header["last.weight"]["shape"] == [10, 64] and blob[8 + room + first : 8 + room + last] == expected


def test_damaged_checkpoints_are_refused(start: State, layout: Layout) -> None:
    blob = save(start, layout)
    for damaged in (
        b"",
        blob[:7],
        blob[:100],
        blob[:-1],
        blob + b"\0",
        b"\xff" * 8 + blob[8:],
        blob.replace(b"F32", b"F16", 1),
        blob.replace(b'"round":"0"', b'"round":"x"'),
        blob.replace(b'"round":"0"', b'"round":"-"'),
        bytes(len(blob)),
    ):
        with pytest.raises(ManifestError):
            load(damaged, layout)


def test_a_checkpoint_of_another_model_is_refused(start: State, layout: Layout) -> None:
    other = Layout(names=layout.names, shapes=tuple(reversed(layout.shapes)))
    with pytest.raises(ManifestError, match="another model"):
        load(save(start, layout), other)


def test_models_whose_state_would_be_incomplete_are_refused() -> None:
    with pytest.raises(ManifestError, match="running_mean"):
        Layout.of(nn.BatchNorm1d(3))
    with pytest.raises(ManifestError, match="float64"):
        Layout.of(nn.Linear(2, 2).double())
    with pytest.raises(ManifestError, match="none"):
        Layout.of(nn.ReLU())


def test_a_network_reads_and_differentiates_the_flat_vector(task: Task, manifest: Manifest, start: State) -> None:
    network = Network(task, manifest.task.seed)
    batch = task.batch(range(32))
    slope = network.gradient(batch).clone()
    direction = torch.randn(len(slope), generator=torch.Generator().manual_seed(0))
    step = 1e-2
    network.theta.copy_(start.theta + step * direction)
    above = network.mean_loss(batch)
    network.theta.copy_(start.theta - step * direction)
    difference = (above - network.mean_loss(batch)) / (2 * step)
    assert difference == pytest.approx(float(slope @ direction), rel=2e-2)
