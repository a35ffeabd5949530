"""What it costs to value P updates, and what the values are worth.

    python benchmarks/valuation.py [--json]

Cost: one whole assessment (validation loss, evidence, signature and the common gain of every update) beside the 3P + 1
forward passes of Templar v2.1.28 (neurons/validator.py: own data before, own data after, random data after each
update, and one shared pass before), in this process, with the same model and 256 windows of 64 bytes a pass, which is
as many tokens as Templar's. Applying and undoing an update is timed on both sides, downloads on neither. CPU seconds
of one thread; ours the middle of three runs, theirs one run, which repeats the same pass 3P + 1 times.

Quality: rank correlation with exact Shapley values of a game of 8 on the digits task, after training: honest updates,
a noisy one, a stale one and a sign flip.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch

from gradmint.learn.aggregate import clip_factors
from gradmint.learn.assess import assess
from gradmint.learn.checks import Checked
from gradmint.learn.codec import SparseUpdate, quantise
from gradmint.learn.manifest import Manifest, load_task, preset
from gradmint.learn.outer import advance, outer_rate
from gradmint.learn.state import Network, State, initial_state
from gradmint.learn.tasks import Task
from gradmint.learn.train import compress, local_round
from gradmint.spec.seeds import derive, draw_distinct
from gradmint.spec.types import Verdict

SAMPLES = 256
PEERS = (4, 16, 64)
PLAYERS = 8
ROUNDS = (8, 9, 10, 11, 12)  # accuracy is at 94 % by then


def seconds(work: Callable[[], object], runs: int = 3) -> float:
    """CPU seconds of the middle one of some runs."""
    taken = []
    for _ in range(runs):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def beacon(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def accepted(updates: Mapping[int, SparseUpdate]) -> dict[int, Checked]:
    return {t: Checked(verdict=Verdict.OK, reason="", update=u, header=None) for t, u in updates.items()}


def templar(task: Task, network: Network, state: State, updates: Mapping[int, SparseUpdate]) -> None:
    """3P + 1 passes: Templar steps by 0.4 * 0.2 of the update clipped to the median norm."""
    factors = clip_factors(updates)
    random_data = task.batch(draw_distinct(beacon("random"), SAMPLES, task.samples))
    network.theta.copy_(state.theta)
    network.mean_loss(random_data)
    for trainer, update in updates.items():
        own_data = task.batch(draw_distinct(derive(beacon("own"), "shard", trainer), SAMPLES, task.samples))
        network.mean_loss(own_data)
        network.theta -= update.dense() * (0.4 * 0.2 * factors[trainer])
        network.mean_loss(own_data)
        network.mean_loss(random_data)
        network.theta.copy_(state.theta)


def costs() -> list[dict[str, float]]:
    manifest = preset("bytes")
    task = load_task(manifest)
    state = initial_state(task, manifest)
    network = Network(task, manifest.task.seed)
    without = replace(manifest.assessment, common_samples=SAMPLES, assigned_trainers=0, exact_votes=0)
    sampling = replace(without, assigned_trainers=16)
    draw = torch.Generator().manual_seed(0)
    rows = []
    for peers in PEERS:
        updates = {
            t: quantise(0.01 * torch.randn(len(state.theta), generator=draw), manifest.codec.chunk, manifest.codec.keep)
            for t in range(peers)
        }

        def ours(spec: object, updates: Mapping[int, SparseUpdate] = updates) -> Callable[[], object]:
            changed = replace(manifest, assessment=spec)  # type: ignore[arg-type]
            checked = accepted(updates)
            return lambda: assess(task, changed, state, checked, len(updates), beacon("t"), beacon("a"))

        cheap, proof = seconds(ours(without)), seconds(ours(sampling))
        theirs = seconds(lambda updates=updates: templar(task, network, state, updates), runs=1)  # type: ignore[misc]
        rows.append(
            {"peers": peers, "ours_s": cheap, "with_proof_s": proof, "templar_s": theirs, "ratio": theirs / cheap}
        )
    return rows


def quality() -> dict[str, float]:
    """Means over late rounds."""
    games = [game(rounds) for rounds in ROUNDS]
    return {name: statistics.mean(found[name] for found in games) for name in games[0]}


def game(rounds: int) -> dict[str, float]:
    """Spearman rank correlations with exact Shapley values after some rounds of honest training."""
    manifest = preset("digits")
    manifest = replace(manifest, assessment=replace(manifest.assessment, assigned_trainers=0, exact_votes=0))
    task = load_task(manifest)
    state = initial_state(task, manifest)
    draw = torch.Generator().manual_seed(rounds)
    residuals: dict[int, torch.Tensor] = {}
    updates: dict[int, SparseUpdate] = {}
    for round_ in range(rounds):
        stale = updates.get(0)
        updates = {}
        for trainer in range(PLAYERS):
            delta = local_round(task, manifest, state, beacon(f"t{round_}"), trainer).delta
            updates[trainer], residuals[trainer] = compress(delta, residuals.get(trainer), manifest)
        honest = dict(updates)
        updates[5] = quantise(
            delta + 0.05 * torch.randn(len(delta), generator=draw), manifest.codec.chunk, manifest.codec.keep
        )
        updates[6] = stale or updates[6]
        updates[7] = replace(updates[7], codes=updates[7].codes ^ np.uint8(2))
        if round_ < rounds - 1:
            state = advance(manifest, state, honest, range(PLAYERS))
            updates = honest
    return compare(task, manifest, state, updates)


def compare(task: Task, manifest: Manifest, state: State, updates: Mapping[int, SparseUpdate]) -> dict[str, float]:
    report = assess(task, manifest, state, accepted(updates), PLAYERS, beacon("t"), beacon("a")).report
    network = Network(task, manifest.task.seed)
    indices = draw_distinct(derive(beacon("a"), "common batch"), manifest.assessment.common_samples, task.samples)
    common = task.batch(indices)
    scale = outer_rate(manifest, state.round) / PLAYERS
    factors = clip_factors(updates)
    moves = {t: update.dense() * (scale * factors[t]) for t, update in updates.items()}

    def utility(members: tuple[int, ...], size: float = 1.0) -> float:
        network.theta.copy_(state.theta)
        for member in members:
            network.theta -= moves[member] * size
        return -network.mean_loss(common)

    worth = {s: utility(s) for size in range(PLAYERS + 1) for s in itertools.combinations(range(PLAYERS), size)}
    shapley = [
        sum(
            (worth[tuple(sorted((*s, t)))] - worth[s]) / (PLAYERS * math.comb(PLAYERS - 1, len(s)))
            for s in worth
            if t not in s
        )
        for t in range(PLAYERS)
    ]
    ours = [row.common_gain_micronats / 1e6 for row in report.rows]
    return {
        "midpoint": spearman(ours, shapley),
        "leave_one_in_full_step": spearman([utility((t,), PLAYERS) for t in range(PLAYERS)], shapley),
        "leave_one_in_at_1_of_n": spearman([utility((t,)) for t in range(PLAYERS)], shapley),
        "sum_of_values_over_improvement": sum(ours) / sum(shapley),
    }


def spearman(one: list[float], other: list[float]) -> float:
    first, second = (np.argsort(np.argsort(values)) for values in (one, other))
    return float(np.corrcoef(first, second)[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    as_json = parser.parse_args().json
    torch.set_num_threads(1)
    rows, ranks = costs(), quality()
    growth = rows[-1]["ours_s"] / rows[0]["ours_s"]
    if as_json:
        print(json.dumps({"cost": rows, "growth_64_over_4": growth, "quality": ranks}))
        return
    print("peers   ours s   with 16 assigned gains s   Templar 3P+1 s   Templar / ours")
    for row in rows:
        print(
            f"{row['peers']:5.0f} {row['ours_s']:8.3f} {row['with_proof_s']:26.3f} {row['templar_s']:16.3f} "
            f"{row['ratio']:16.1f}"
        )
    print(f"P = 64 costs {growth:.2f} times P = 4")
    print("rank correlation with exact Shapley values, 8 players, late in training:")
    for name, value in ranks.items():
        print(f"  {name.replace('_', ' '):32} {value:6.3f}")


if __name__ == "__main__":
    main()
