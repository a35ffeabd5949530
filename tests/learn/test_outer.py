"""The outer step: its formula, and the same bits whatever the machine does."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gradmint.learn.aggregate import Sparse, aggregate, clip_factors
from gradmint.learn.codec import Header, SparseUpdate, encode, quantise
from gradmint.learn.manifest import Manifest, load_task, preset
from gradmint.learn.outer import advance, combine, outer_rate
from gradmint.learn.proof import blank_marks
from gradmint.learn.state import State, layout_of

REBUILD = """
import hashlib, sys, torch
torch.set_num_threads(int(sys.argv[1]))
from pathlib import Path
from gradmint.learn.aggregate import RULES, AggregationSpec, Sparse, aggregate, aggregate_matrix
from gradmint.learn.checks import limits_of
from gradmint.learn.codec import decode
from gradmint.learn.manifest import preset, load_task
from gradmint.learn.outer import advance
from gradmint.learn.signature import sign_words
from gradmint.learn.state import digest, initial_state, layout_of
manifest = preset("bytes")
task = load_task(manifest)
state, layout = initial_state(task, manifest), layout_of(task, manifest)
for round_ in range(5):
    blobs = {i: Path(sys.argv[2], f"{round_}-{i}").read_bytes() for i in range(6)}
    updates = {i: decode(blob, limits_of(manifest, layout))[1] for i, blob in blobs.items()}
    state = advance(manifest, state, updates, [4, 0, 1, 5])
    print(digest(state, layout).hex(), updates[3].norm().hex(), *sign_words(state.theta, bytes([round_]) * 32, 2))
matrix = torch.stack([update.dense() for update in updates.values()])
for name in RULES:
    for pre in ((), ("norm-bound", "nnm")):
        spec = AggregationSpec(rule=name, pre=pre, byzantine_bps=2_000)
        for found in (aggregate(Sparse(list(updates.values())), spec), aggregate_matrix(matrix, spec)):
            print(name, hashlib.sha256(found.vector.tobytes()).hexdigest(), found.weights)
"""
MACHINES = (
    {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3"},
    {  # the same processor without its vector units
        "OMP_NUM_THREADS": "2",
        "ATEN_CPU_CAPABILITY": "default",
        "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
        "OPENBLAS_CORETYPE": "Prescott",
    },
)


def some(count: int, dimension: int) -> dict[int, SparseUpdate]:
    draw = torch.Generator().manual_seed(0)
    return {i: quantise((i + 1) * torch.randn(dimension, generator=draw), 64, 16) for i in range(count)}


def test_bits_do_not_depend_on_threads_or_vector_units(tmp_path: Path) -> None:
    manifest = preset("bytes")
    layout = layout_of(load_task(manifest), manifest)
    header = Header(
        run=1,
        round=1,
        author=bytes(20),
        base=bytes(32),
        layout=layout.digest,
        claimed_gain_micronats=0,
        words=(0,) * manifest.assessment.words,
        marks=blank_marks(manifest),
    )
    draw = torch.Generator().manual_seed(0)
    for name in (f"{round_}-{i}" for round_ in range(5) for i in range(6)):
        vector = 0.01 * torch.randn(layout.dimension, generator=draw)
        (tmp_path / name).write_bytes(encode(header, quantise(vector, manifest.codec.chunk, manifest.codec.keep)))
    outputs = []
    for machine in MACHINES:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", REBUILD, machine["OMP_NUM_THREADS"], str(tmp_path)],
            env={**os.environ, **machine},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout.splitlines())
    assert len(outputs[0]) > 5 and len(set(outputs[0][:5])) == 5
    assert outputs[0] == outputs[1] == outputs[2]


def test_nesterov(manifest: Manifest) -> None:
    updates = some(3, 200)
    state = State(theta=torch.zeros(200), buffers={"momentum": torch.ones(200)}, round=2)
    mean = sum(updates[i].dense() * clip_factors(updates)[i] for i in (0, 2)) / 2
    mu, rate = manifest.outer.momentum, outer_rate(manifest, 2)
    after = advance(manifest, state, updates, [0, 2])
    momentum = mu * torch.ones(200) + mean
    assert torch.allclose(after.buffers["momentum"], momentum)
    assert torch.allclose(after.theta, -rate * (mean + mu * momentum))
    assert after.round == 3
    assert not state.theta.any() and bool((state.buffers["momentum"] == 1).all())  # the old state is untouched


def test_a_round_without_accepted_updates_moves_nothing(manifest: Manifest) -> None:
    state = State(theta=torch.arange(9.0), buffers={"momentum": torch.ones(9)}, round=0)
    after = advance(manifest, state, some(2, 9), [])
    assert torch.equal(after.theta, state.theta)
    assert torch.allclose(after.buffers["momentum"], torch.full((9,), manifest.outer.momentum))
    assert after.round == 1


@pytest.mark.parametrize(("rule", "weights"), [("mean", {}), ("median", None)])
def test_nothing_that_takes_part_has_weights_where_the_rule_is_a_weighting(
    manifest: Manifest, rule: str, weights: dict[int, float] | None
) -> None:
    spec = replace(manifest.aggregation, rule=rule)
    combined = combine(replace(manifest, aggregation=spec), some(2, 9), [])
    assert combined.vector is None and combined.weights == weights
    gated = aggregate(Sparse(list(some(2, 9).values())), spec, [])
    assert not gated.vector.any() and gated.weights == (None if weights is None else (0.0, 0.0))


def test_order_of_acceptance_does_not_matter(manifest: Manifest) -> None:
    state = State(theta=torch.zeros(500), buffers={"momentum": torch.zeros(500)}, round=0)
    updates = some(5, 500)
    backwards = dict(reversed(updates.items()))
    assert torch.equal(
        advance(manifest, state, updates, [0, 1, 2, 3]).theta, advance(manifest, state, backwards, [3, 2, 1, 0]).theta
    )


def test_clipping_is_to_the_median_of_all_even_of_those_not_accepted() -> None:
    updates = some(5, 300)
    norms = [updates[i].norm() for i in range(5)]
    factors = clip_factors(updates)
    assert [factors[i] for i in range(3)] == [1.0, 1.0, 1.0]
    assert factors[4] == pytest.approx(norms[2] / norms[4])
    zero = quantise(torch.zeros(300), 64, 16)
    assert clip_factors({0: zero}) == {0: 1.0} and clip_factors({}) == {}
    assert clip_factors({0: zero, 1: zero, 2: updates[0], 3: updates[0]}) == {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0}


def test_the_schedule_falls_to_its_floor(manifest: Manifest) -> None:
    halved = replace(manifest, outer=replace(manifest.outer, decay_rounds=10, floor=0.5))
    assert [halved.outer.factor(r) for r in (0, 5, 10, 99)] == [1.0, 0.75, 0.5, 0.5]
