"""How an update's gain grows with the work that went into it: what decides whether one machine pays better as several.

    python benchmarks/splitting.py [--task digits|bytes] [--rounds N] [--json]

Four trainers with the manifest's batch and three each with a half, a quarter and an eighth of it train on their own
shards from the same model; the model follows the four. Gains are the settlement's: midpoint values on a common batch.
Kept is the three's mean gain over the four's; its power p is where kept = k^-p; k identities with 1/k of the work each
are paid k * kept^exponent of what one is paid with all of it. Digits: ten seconds. Bytes: two minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from dataclasses import replace

import torch

from gradmint.learn.assess import assess
from gradmint.learn.checks import Checked
from gradmint.learn.manifest import load_task, preset
from gradmint.learn.outer import advance
from gradmint.learn.state import initial_state
from gradmint.learn.train import compress, local_round
from gradmint.spec.params import STANDARD
from gradmint.spec.types import Verdict

WHOLE, EACH = 4, 3
PARTS = (2, 4, 8)
ROUNDS = {"digits": 12, "bytes": 6}


def beacon(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def gains(task_name: str, rounds: int) -> list[list[int]]:
    """Common gains in micro-nats, per round: four with the whole batch, then the small ones."""
    manifest = preset(task_name)
    manifest = replace(manifest, assessment=replace(manifest.assessment, assigned_trainers=0, exact_votes=0))
    task, state = load_task(manifest), initial_state(load_task(manifest), manifest)
    batches = [manifest.training.batch] * WHOLE + [
        max(1, manifest.training.batch // k) for k in PARTS for _ in range(EACH)
    ]
    residuals: dict[int, torch.Tensor] = {}
    found = []
    for round_ in range(rounds):
        updates = {}
        for trainer, batch in enumerate(batches):
            own = replace(manifest, training=replace(manifest.training, batch=batch))
            delta = local_round(task, own, state, beacon(f"t{round_}"), trainer).delta
            updates[trainer], residuals[trainer] = compress(delta, residuals.get(trainer), manifest)
        checked = {t: Checked(verdict=Verdict.OK, reason="", update=u, header=None) for t, u in updates.items()}
        report = assess(task, manifest, state, checked, len(batches), beacon(f"t{round_}"), beacon(f"a{round_}")).report
        found.append([row.common_gain_micronats for row in report.rows])
        state = advance(manifest, state, updates, range(WHOLE))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=tuple(ROUNDS), default="digits")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rounds = arguments.rounds or ROUNDS[arguments.task]
    found = gains(arguments.task, rounds)
    exponent = STANDARD.value_exponent_halves / 2
    rows = []
    for first, last in ((1, rounds // 2), (rounds // 2, rounds)):  # the first round's learning is unlike any other
        whole = sum(sum(row[:WHOLE]) for row in found[first:last]) / WHOLE
        for j, k in enumerate(PARTS):
            small = slice(WHOLE + j * EACH, WHOLE + (j + 1) * EACH)
            kept = sum(sum(row[small]) for row in found[first:last]) / EACH / whole
            power = -math.log(max(kept, 1e-9)) / math.log(k)
            split = k * max(0.0, kept) ** exponent
            rows.append({"rounds": f"{first + 1}-{last}", "k": k, "kept": kept, "power": power, "split_pays": split})
    if arguments.json:
        print(json.dumps({"task": arguments.task, "rows": rows}))
        return
    print("rounds   work   gain kept   power   k identities over one")
    for row in rows:
        print(f"{row['rounds']:8} 1/{row['k']} {row['kept']:11.2f} {row['power']:7.2f} {row['split_pays']:23.2f}")


if __name__ == "__main__":
    main()
