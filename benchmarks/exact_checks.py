"""Which verdicts exact checks reach, and with how many votes: the adaptive budget beside the fixed full rate.

    python benchmarks/exact_checks.py [--task digits|bytes] [--json]

Real rounds of five honest trainers, one that adds noise of its update's own size, one that sends the opposite and one
that trains nothing. Every update's exact gain is measured on all eight parts of the common batch, as a fixed rate
would; the budget then gets the parts that it asks for. Fails when a verdict differs from the full one or more than half
of the votes were asked for.

Three more games are played on the same measurements. In "lies" every third cheap value has the wrong sign: a budget
stops where a wrong verdict is unlikely, not impossible, and one verdict in fifty may differ. In "few votes" there are
only four of them a round of eight updates; in "few, warned" earlier rounds' disagreement points at the liars as well,
and must find no fewer of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from gradmint.learn.assess import exact_gain, midpoint_of, parts_of, scales_of
from gradmint.learn.budget import VOTES, Budget, sign
from gradmint.learn.codec import Update, quantise
from gradmint.learn.manifest import Manifest, load_task, preset
from gradmint.learn.outer import advance
from gradmint.learn.state import Network, State, initial_state
from gradmint.learn.tasks import Task
from gradmint.learn.train import compress, local_round
from gradmint.spec.seeds import derive, draw_distinct

HONEST, NOISY, FLIPPED, FREE = 5, 5, 6, 7
ROUNDS = {"digits": 16, "bytes": 6}
GREATEST_PART = 0.5  # of the fixed rate's votes
LIES_DIFFERING = 0.02  # of verdicts
FEW = 4  # votes a round


@dataclass(frozen=True)
class Measured:
    """One update's gains in nats: cheap on the whole common batch; cheap and exact on each of its parts."""

    cheap: float
    parts: list[tuple[float, float]]

    def full(self) -> float:
        return sum(exact for _, exact in self.parts) / len(self.parts)


def beacon(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def measure(
    task: Task, manifest: Manifest, state: State, updates: Mapping[int, Update], seed: bytes
) -> dict[int, Measured]:
    """Cheap and exact gains of a round's updates, as ``assess`` computes them."""
    network = Network(task, manifest.task.seed)
    network.theta.copy_(midpoint_of(manifest, state, updates))
    common = draw_distinct(derive(seed, "common batch"), manifest.assessment.common_samples, task.samples)
    scales = scales_of(manifest, state, updates)

    def cheap(samples: list[int]) -> dict[int, float]:
        slope = network.gradient(task.batch(samples))
        return {trainer: update.inner(slope) * scales[trainer] for trainer, update in updates.items()}

    whole, parts = cheap(common), parts_of(common)
    of_parts = [cheap(part) for part in parts]
    return {
        t: Measured(
            whole[t],
            [
                (of_part[t], exact_gain(network, update, scales[t], part))
                for of_part, part in zip(of_parts, parts, strict=True)
            ],
        )
        for t, update in updates.items()
    }


def record(name: str) -> list[dict[int, Measured]]:
    """Rounds of honest and other trainers; the model follows all whose update is worth something."""
    manifest = preset(name)
    task = load_task(manifest)
    state = initial_state(task, manifest)
    residuals: dict[int, torch.Tensor] = {}
    rounds = []
    for number in range(ROUNDS[name]):
        draw = torch.Generator().manual_seed(number)
        noise = [torch.randn(len(state.theta), generator=draw) for _ in range(2)]
        updates = {}
        for trainer in range(FLIPPED + 1):
            delta = local_round(task, manifest, state, beacon(f"t{number}"), trainer).delta
            if trainer == NOISY:
                delta = delta + noise[0] * delta.norm() / noise[0].norm()
            updates[trainer], residuals[trainer] = compress(delta, residuals.get(trainer), manifest)
        updates[FLIPPED] = replace(updates[FLIPPED], codes=updates[FLIPPED].codes ^ np.uint8(2))
        updates[FREE] = quantise(1e-6 * noise[1], manifest.codec.chunk, manifest.codec.keep)
        rounds.append(measure(task, manifest, state, updates, beacon(f"a{number}")))
        state = advance(manifest, state, updates, range(NOISY + 1))
    return rounds


def games(rounds: list[dict[int, Measured]]) -> dict[str, dict[str, Any]]:
    """Votes and verdicts on the recorded rounds, with the cheap values as they are and with every third one lying."""
    return {
        "as recorded": play(rounds),
        "lies": play(rounds, lies=True),
        "few votes": play(rounds, lies=True, cap=FEW),
        "few, warned": play(rounds, lies=True, cap=FEW, warned=True),
    }


def play(rounds: list[dict[int, Measured]], lies: bool = False, cap: int | None = None, warned: bool = False) -> Any:
    """``false``: cheap values whose sign is not the full check's, ``found``: those of them that the budget contradicts,
    ``differing``: round and trainer of verdicts that are not the full check's. A lie turns an update's cheap values.
    """
    votes = full = false = found = 0
    differing = []
    for number, measured in enumerate(rounds):
        turn = {t: -1 if lies and (t + number) % 3 == 0 else 1 for t in measured}
        cheap = {t: turn[t] * update.cheap for t, update in measured.items()}
        doubts = {t: 0.2 if turn[t] < 0 else 0.01 for t in measured} if warned else {}
        fixed = VOTES * len(measured)
        budget = Budget(cheap, doubts, VOTES, cap or fixed, derive(beacon(f"a{number}"), "exact checks"))
        while (wanted := budget.next()) is not None:
            trainer, part = wanted
            part_cheap, part_exact = measured[trainer].parts[part]
            budget.record(trainer, part_exact - turn[trainer] * part_cheap)
        for t, update in measured.items():
            said, right, claimed = sign(budget.exact(t)), sign(update.full()), sign(cheap[t])
            differing += [(number, t)] * (said != right)
            false += right != claimed
            found += said == right != claimed
        votes, full = votes + sum(budget.votes().values()), full + fixed
    return {"votes": votes, "fixed": full, "part": votes / full, "false": false, "found": found, "differing": differing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=sorted(ROUNDS), action="append", help="default: both")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name in arguments.task or sorted(ROUNDS):
        found[name] = games(record(name))
        for game, result in found[name].items():
            if not arguments.json:
                print(
                    f"{name:7} {game:12} {result['votes']:5d} of {result['fixed']} votes ({result['part']:.3f}), "
                    f"{result['found']} of {result['false']} false cheap values found, "
                    f"{len(result['differing'])} of {result['fixed'] // VOTES} verdicts differ from the full check's",
                    flush=True,
                )
    if arguments.json:
        print(json.dumps(found))
    for name, results in found.items():
        honest, lies = results["as recorded"], results["lies"]
        assert not honest["differing"] and honest["part"] <= GREATEST_PART, (name, honest)
        wrong = len(lies["differing"]) * VOTES / lies["fixed"]
        assert wrong <= LIES_DIFFERING and lies["part"] <= GREATEST_PART, (name, lies)
        assert results["few, warned"]["found"] >= results["few votes"]["found"], (name, results)


if __name__ == "__main__":
    main()
