"""Could a report's words show the work on trainers' shards? Four ways to sign it, against today's.

    python benchmarks/shard_words.py                  digits, a minute on one core
    python benchmarks/shard_words.py --trainers 16    two

The work is signed in three words. Parts of it are the difference of the common batch's halves, as today, and each
sampled trainer's gradient on its shard, less the common one; all scaled to length 1. Shown are bits between float32
and bfloat16, and for what is left out. Asserted is what docs/verification.md concludes: honest noise stays where it
is; what is left out of the shards shows; and the common batch shows less, the more shards share its bits.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from gradmint.learn.assess import Drawn, _assigned_slope, observe
from gradmint.learn.manifest import load_task, preset
from gradmint.learn.numerics import Numerics
from gradmint.learn.signature import distance_bits, sign_words
from gradmint.learn.state import Network
from gradmint.spec.seeds import derive
from gradmint.study.evidence import Scene, moments

Parts = tuple[Tensor, list[Tensor]]  # the halves', the shards'
WORDS = 3
KEPT = 0.9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainers", type=int, default=4, help="all of them sampled")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--draws", type=int, default=6, help="beacons a round")
    options = parser.parse_args()
    torch.set_num_threads(1)
    manifest = preset("digits")
    task = load_task(manifest)
    seen: dict[tuple[str, str], list[int]] = defaultdict(list)
    for moment in moments(task, manifest, options.rounds, options.trainers):
        for number in range(options.draws):
            scene = Scene(task=task, manifest=manifest, moment=moment, draw=number)
            halves = tuple(half[: int(KEPT * len(half))] for half in scene.drawn.halves)
            whole = observed(scene, "float32", options.trainers, scene.drawn)
            coarse = observed(scene, "bfloat16", options.trainers, scene.drawn)
            part = observed(scene, "float32", options.trainers, replace(scene.drawn, halves=halves))
            for way, sign in ways(scene.beacon).items():
                honest = sign(whole)
                seen[way, "honest"].append(distance_bits(honest, sign(coarse)))
                seen[way, "9/10 of the batch"].append(distance_bits(honest, sign((part[0], whole[1]))))
                seen[way, "one shard less"].append(distance_bits(honest, sign((whole[0], whole[1][1:]))))
                seen[way, "no shards"].append(distance_bits(honest, sign((whole[0], [torch.zeros_like(whole[0])]))))
    for (way, what), bits in seen.items():
        print(f"  {way:28} {what:18} {min(bits)}-{max(bits)} of {256 * WORDS} bits, {len(bits)} scenes")
    fine = all(
        max(seen[way, "honest"]) < 16
        and min(seen[way, "no shards"]) > 3 * max(seen[way, "honest"])
        and max(seen[way, "9/10 of the batch"]) < max(seen["today", "9/10 of the batch"])
        for way in ways(bytes(32))
        if way != "today"
    )
    print("holds" if fine else "DOES NOT HOLD")
    return 0 if fine else 1


def observed(scene: Scene, numerics: str, trainers: int, drawn: Drawn) -> Parts:
    moment = scene.moment
    with Numerics.parse(numerics).apply():
        network = Network(scene.task, scene.manifest.task.seed)
        one, other = observe(network, moment.state.theta, moment.midpoint, drawn).slopes
        shards = [
            _assigned_slope(network, scene.manifest, moment.training_beacon, scene.beacon, trainer).clone()
            for trainer in range(trainers)
        ]
    return unit(one - other), [unit(shard - (one + other) / 2) for shard in shards]


def unit(vector: Tensor) -> Tensor:
    return vector / vector.norm()


def ways(beacon: bytes) -> dict[str, Callable[[Parts], tuple[int, ...]]]:
    work, shards = derive(beacon, "work"), derive(beacon, "shards")
    return {
        "today": lambda parts: sign_words(parts[0], work, WORDS),
        "sum": lambda parts: sign_words(parts[0] + sum(parts[1]), work, WORDS),
        "halves weigh as all shards": lambda parts: sign_words(
            len(parts[1]) ** 0.5 * parts[0] + sum(parts[1]), work, WORDS
        ),
        "a word of its own": lambda parts: (
            sign_words(parts[0], work, WORDS - 1) + sign_words(torch.stack(parts[1]).sum(0), shards, 1)
        ),
    }


if __name__ == "__main__":
    sys.exit(main())
