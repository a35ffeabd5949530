"""What an audit costs, what it finds, and whom it accuses, on the tasks that Gradmint ships.

    python benchmarks/proof_of_training.py                             digits, a minute on one core
    python benchmarks/proof_of_training.py --task bytes --repeats 4    two

There is no peer to measure against: of the systems that pay for training, none re-executes any of it. What is asserted:
every cheat is found when the interval it cheats in is audited; no honest interval, across micro-batches and float32
against bfloat16, is accused; and on bytes an audit costs a verifier at most half of a whole local round, where it
re-executes a quarter. On digits a whole round is shorter than signing one state, so there costs are only shown.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from gradmint.adversary import trainers as attacks
from gradmint.learn import proof
from gradmint.learn.manifest import Manifest, load_task, preset
from gradmint.learn.numerics import Numerics
from gradmint.learn.outer import advance
from gradmint.learn.state import Layout, State, initial_state
from gradmint.learn.steps import LocalSteps, Progress
from gradmint.learn.tasks import Task
from gradmint.learn.train import compress, local_round

CHEATED = 2
CHEATS = (attacks.HalfBatch, attacks.Skipper, attacks.Elsewhere, attacks.Coaster, attacks.Stunner)
TRAINERS = 4
MOST_OF_A_ROUND = 0.5  # a quarter is re-executed; signing what was opened and what was reached comes on top
Z = 1.959964  # 95 %


class Accumulating(LocalSteps):
    """The batch in two parts."""

    def slope(self, step: int) -> Tensor:
        chosen = self.samples(step)
        half = len(chosen) // 2
        one = self.network.gradient(self.task.batch(chosen[:half])).clone()
        return (one + self.network.gradient(self.task.batch(chosen[half:]))) / 2


class HalfPrecision(LocalSteps):
    """Another number format: the network computes as what is applied where it is made."""

    def __init__(self, task: Task, manifest: Manifest, beacon: bytes, trainer: int, start: Progress) -> None:
        with Numerics(dtype="bfloat16").apply():
            super().__init__(task, manifest, beacon, trainer, start)


HONEST: dict[str, tuple[type[LocalSteps], type[LocalSteps]]] = {
    "float32 checked in float32": (LocalSteps, LocalSteps),
    "float32 checked in two micro-batches": (LocalSteps, Accumulating),
    "float32 checked in bfloat16": (LocalSteps, HalfPrecision),
    "bfloat16 checked in float32": (HalfPrecision, LocalSteps),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=("digits", "bytes"), default="digits")
    parser.add_argument("--repeats", type=int, default=16, help="trainers and rounds, one of each at a time")
    options = parser.parse_args()
    torch.set_num_threads(1)
    manifest = preset(options.task)
    task = load_task(manifest)
    states = rounds(task, manifest, options.repeats)
    print(f"{options.task}: {Path(__file__).name}, {options.repeats} rounds, {manifest.training.intervals} intervals")
    fine = costs(task, manifest, states[0]) & honesty(task, manifest, states) & cheats(task, manifest, states)
    print("holds" if fine else "DOES NOT HOLD")
    return 0 if fine else 1


def beacon(number: int) -> bytes:
    return number.to_bytes(32, "big")


def rounds(task: Task, manifest: Manifest, count: int) -> list[State]:
    """The models that so many rounds start from; one trainer suffices to move on."""
    states = [initial_state(task, manifest)]
    for number in range(1, count):
        update, _ = compress(local_round(task, manifest, states[-1], beacon(number), 99).delta, None, manifest)
        states.append(advance(manifest, states[-1], {0: update}, [0]))
    return states


def prove(
    task: Task, manifest: Manifest, state: State, number: int, made: type[LocalSteps], checked: type[LocalSteps]
) -> list[proof.Finding]:
    """A finding for each interval of trainer ``number``'s round."""
    layout, kept = Layout.of(task.build(manifest.task.seed)), dict[int, proof.Opening]()
    trained = local_round(task, manifest, state, beacon(number), number, steps=made, keep=kept.__setitem__)
    proof.LocalSteps = checked  # type: ignore[misc]  # the verifier's machine
    try:
        return [
            proof.check_interval(
                task,
                manifest,
                state,
                beacon(number),
                number,
                trained.marks,
                interval,
                opened(kept[interval], layout, proof.boundary(manifest, interval)) if interval else None,
            )
            for interval in range(manifest.training.intervals)
        ]
    finally:
        proof.LocalSteps = LocalSteps  # type: ignore[misc]


def opened(opening: proof.Opening, layout: Layout, taken: int) -> Progress:
    digests = proof.read_index(opening.index, layout, taken)
    return proof.join(opening.index, dict(zip(digests, opening.parts, strict=True)), layout, taken)


def cpu_s(work: Callable[[], object], times: int = 5) -> float:
    """Least processor time of several tries: the machine has other users."""
    spent = []
    for _ in range(times):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)


def costs(task: Task, manifest: Manifest, state: State) -> bool:
    layout, kept = Layout.of(task.build(manifest.task.seed)), dict[int, proof.Opening]()
    bare = replace(
        manifest,
        training=replace(manifest.training, intervals=0),
        assessment=replace(manifest.assessment, audited_trainers=0),
    )
    trained = local_round(task, manifest, state, beacon(1), 1, keep=kept.__setitem__)
    update, _ = compress(trained.delta, None, manifest)
    audited = CHEATED

    def audit() -> proof.Finding:
        start = opened(kept[audited], layout, proof.boundary(manifest, audited))
        return proof.check_interval(task, manifest, state, beacon(1), 1, trained.marks, audited, start)

    round_s = cpu_s(lambda: local_round(task, bare, state, beacon(1), 1))
    marked_s = cpu_s(lambda: local_round(task, manifest, state, beacon(1), 1))
    audit_s = cpu_s(audit)
    claims_s = cpu_s(lambda: proof.claims(task, manifest, state, update, beacon(1), 1))
    size = len(kept[audited].pack())
    print(f"  a local round                {1e3 * round_s:8.1f} ms of one core, {layout.dimension} parameters")
    print(f"  marks and openings on top    {1e3 * (marked_s - round_s):8.1f} ms, {marked_s / round_s - 1:.0%}")
    print(f"  an audit of one interval     {1e3 * audit_s:8.1f} ms, {audit_s / round_s:.2f} of a round")
    print(f"  claims of one trainer        {1e3 * claims_s:8.1f} ms, {claims_s / round_s:.2f} of a round")
    print(f"  an opening                   {size / 1024:8.1f} KiB")
    return manifest.task.factory != "bytes" or audit_s <= MOST_OF_A_ROUND * round_s


def honesty(task: Task, manifest: Manifest, states: list[State]) -> bool:
    fine = True
    for name, (made, checked) in HONEST.items():
        found = [
            finding
            for number, state in enumerate(states, 1)
            for finding in prove(task, manifest, state, number, made, checked)
        ]
        accused = sum(finding.unproven for finding in found)
        worst = max(finding.ratio for finding in found)
        low, high = interval95(accused, len(found))
        print(
            f"  {name:36} accused {accused} of {len(found)} [{low:.3f}, {high:.3f}], worst {worst:.2f} of the tolerance"
        )
        fine &= accused == 0
    return fine


def cheats(task: Task, manifest: Manifest, states: list[State]) -> bool:
    fine = True
    for cheat in CHEATS:
        findings = [
            prove(task, manifest, state, number, cheat.steps, LocalSteps) for number, state in enumerate(states, 1)
        ]
        caught = sum(found[CHEATED].unproven for found in findings)
        elsewhere = sum(finding.unproven for found in findings for k, finding in enumerate(found) if k != CHEATED)
        least = min(found[CHEATED].ratio for found in findings)
        low, high = interval95(caught, len(findings))
        print(
            f"  {cheat.name:12} caught {caught} of {len(findings)} [{low:.3f}, {high:.3f}] when audited there, "
            f"by {min(least, 1_000):.1f} tolerances or more; accused elsewhere {elsewhere}"
        )
        fine &= caught == len(findings) and elsewhere == 0
    return fine


def interval95(hits: int, tries: int) -> tuple[float, float]:
    """Wilson's."""
    centre = (hits + Z * Z / 2) / (tries + Z * Z)
    half = Z / (tries + Z * Z) * math.sqrt(hits * (tries - hits) / tries + Z * Z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


if __name__ == "__main__":
    sys.exit(main())
