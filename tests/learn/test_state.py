"""State, digest and checkpoint file."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from torch import nn

from gradmint.learn.manifest import Manifest
from gradmint.learn.state import Layout, Network, State, digest, initial_state, load, save
from gradmint.learn.tasks import Task
from gradmint.spec.errors import ManifestError


def test_the_initial_model_is_frozen(task: Task, manifest: Manifest, layout: Layout) -> None:
    """Frozen: chains store this digest; it may not depend on machine, thread count or release."""
    assert digest(initial_state(task, manifest), layout).hex()[:16] == "ed199dcac41c5b52"


def some(start: State, *names: str) -> State:
    """A state whose buffers are all different."""
    numbers = torch.arange(len(start.theta)).float()
    return replace(start, buffers={name: numbers + i for i, name in enumerate(names)}, round=12)


def test_the_digest_is_the_files(start: State, layout: Layout) -> None:
    for state in (start, some(start), some(start, "second", "first", "third")):
        assert digest(state, layout) == hashlib.sha256(save(state, layout)).digest()


def test_digest_covers_parameters_buffers_and_round(start: State, layout: Layout) -> None:
    bumped = start.buffers["momentum"].clone()
    bumped[-1] = 1e-30
    theta = start.theta.clone()
    theta[0] += 1e-3
    others = (
        replace(start, round=1),
        replace(start, buffers={"momentum": bumped}),
        replace(start, buffers={"moment": start.buffers["momentum"]}),
        replace(start, buffers={}),
        replace(start, theta=theta),
    )
    digests = {digest(state, layout) for state in (start, *others)}
    assert len(digests) == 6
    for wrong in (start.theta.double(), start.theta[1:], start.theta.view(1, -1)):
        for state in (replace(start, theta=wrong), replace(start, buffers={"momentum": wrong})):
            with pytest.raises(ManifestError, match="expected float32"):
                digest(state, layout)


def test_hashing_makes_no_copy() -> None:
    """Peak memory of a digest, as Python counts it, beside a model of 40 MB."""
    layout = Layout(names=("a", "b"), shapes=((1_000, 5_000), (5_000_000,)))
    state = State(theta=torch.zeros(layout.dimension), buffers={"m": torch.zeros(layout.dimension)}, round=0)
    tracemalloc.start()
    try:
        digest(state, layout)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_checkpoints_come_back(start: State, layout: Layout) -> None:
    for state in (start, some(start), some(start, "second", "first")):
        back = load(save(state, layout), layout)
        assert back.round == state.round and torch.equal(back.theta, state.theta)
        assert back.buffers.keys() == state.buffers.keys()
        assert all(torch.equal(back.buffers[name], state.buffers[name]) for name in state.buffers)


def test_checkpoints_are_what_the_safetensors_library_writes(start: State, layout: Layout) -> None:
    """To the byte, but for the order of the two metadata entries, which it leaves to its hash map."""
    state = some(start, "second", "first")
    blob = save(state, layout)
    opened = safetensors.torch.load(blob)
    at = layout.offsets[layout.names.index("last.weight")]
    assert torch.equal(opened["last.weight"], state.theta[at : at + 640].view(10, 64))
    assert torch.equal(opened["outer.first"], state.buffers["first"])
    theirs = safetensors.torch.save(opened, metadata={"layout": layout.digest.hex(), "round": "12"})
    assert len(theirs) == len(blob)
    room = int.from_bytes(blob[:8], "little")
    ours_table, their_table = json.loads(blob[8 : 8 + room]), json.loads(theirs[8 : 8 + room])
    assert list(ours_table.items())[1:] == list(their_table.items())[1:]
    assert ours_table["__metadata__"] == their_table["__metadata__"]
    assert blob[:8] == theirs[:8] and blob[8 + room :] == theirs[8 + room :]


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
        blob.replace(b'"round":"0"', b'"round":1e9'),
        blob.replace(b'"round":"0"', b'"round": 00'),
        blob.replace(b"outer.momentum", rb"outer.mo\ud800"),
        blob.replace(b"outer.momentum", b"inner.momentum"),
        blob.replace(b'"layout"', b'"layouts'),
        bytes(len(blob)),
    ):
        assert damaged != blob
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
    with pytest.raises(ManifestError, match=r"outer\.bias.*rename"):
        Layout.of(nn.ModuleDict({"outer": nn.Linear(2, 2)}))


def test_a_model_whose_positions_do_not_fit_is_refused() -> None:
    """Nothing is allocated: the module has shapes alone."""
    assert Layout.of(nn.Linear(1 << 16, (1 << 15) - 1, device="meta")).dimension == (1 << 31) - (1 << 15) - 1
    with pytest.raises(ManifestError, match="2,147,483,648 values"):
        Layout.of(nn.Linear(1 << 16, 1 << 15, bias=False, device="meta"))


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
