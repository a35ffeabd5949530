"""From which chance of a plant on a verifier that does not look at headers loses money.

    python benchmarks/planting.py                   digits and bytes, half a minute on one core

What not looking saves is measured: the CPU time of recomputing the headers that a round's beacon asks for, beside that
of the whole rest of an honest verifier's round, which it cannot do without. It is priced at ``PRICE`` a core-hour and a
token at one dollar; whoever prices them otherwise multiplies. What is asserted: with ``CHANCE`` of a plant a round, in
every preset, not looking loses more than it saves, also at a hundred times that price.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from gradmint.learn import proof
from gradmint.learn.assess import assess
from gradmint.learn.checks import Checked
from gradmint.learn.manifest import load_task, preset
from gradmint.learn.state import initial_state
from gradmint.learn.train import compress, local_round
from gradmint.sim.planting import Planting
from gradmint.spec.params import ETHER_WEI, LARGE, LOCAL, STANDARD
from gradmint.spec.types import Verdict

PRICE = 0.05  # dollars a core-hour: a rented virtual core
CHANCE = 0.05  # what `trainer --plant` is by default in the examples
MARGIN = 100
RUNS = (("LOCAL, the demo", LOCAL, 8), ("STANDARD", STANDARD, 64), ("STANDARD", STANDARD, 256), ("LARGE", LARGE, 1_024))
REPEATS = 5


def cpu_s(work: Callable[[], object]) -> float:
    """Least of several."""
    spent = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)


def measure(name: str, trainers: int = 8) -> tuple[float, float]:
    """CPU seconds of one header's claims, and of an assessment of ``trainers`` updates without any."""
    manifest = preset(name)
    task = load_task(manifest)
    state = initial_state(task, manifest)
    beacon = bytes(32)
    bare = replace(manifest, training=replace(manifest.training, intervals=0),
                   assessment=replace(manifest.assessment, audited_trainers=0))  # fmt: skip
    updates = {}
    for trainer in range(trainers):
        updates[trainer], _ = compress(local_round(task, bare, state, beacon, trainer).delta, None, manifest)
    checked = {t: Checked(verdict=Verdict.OK, reason="", update=u, header=None) for t, u in updates.items()}
    claims_s = cpu_s(lambda: proof.claims(task, manifest, state, updates[0], beacon, 0))
    return claims_s, cpu_s(lambda: assess(task, manifest, state, checked, trainers, beacon, beacon))


def main() -> int:
    torch.set_num_threads(1)
    fine = True
    for name in ("digits", "bytes"):
        claims_s, assess_s = measure(name)
        part = 8 * claims_s / assess_s
        print(f"{name}: {1e3 * claims_s:.1f} ms a header; those of 8 trainers are {part:.2f} of the rest of the round")
        print("  preset             trainers   q        c, tokens   least p    at p = 5% c may be up to, tokens")
        for title, params, trainers in RUNS:
            run = Planting(params=params, trainers=trainers, stake_wei=params.verifier_stake_wei)
            cost_wei = min(params.assigned_trainers, trainers) * claims_s / 3_600 * PRICE * ETHER_WEI
            most = run.most_cost_wei(CHANCE) / ETHER_WEI
            least, cost = run.least_chance(cost_wei), cost_wei / ETHER_WEI
            print(f"  {title:18} {trainers:8}   {run.asked:<7.4g}  {cost:<9.1e}   {least:<8.1e}   {most:.4g}")
            fine = fine and run.idle_gain_wei(MARGIN * cost_wei, CHANCE) < 0
    run = Planting(params=STANDARD, trainers=64, stake_wei=STANDARD.verifier_stake_wei)
    reward, own, slash = (
        wei / ETHER_WEI for wei in (run.planters_gain_wei(1, 0), run.own_exposure_costs_wei(), run.slash_wei)
    )
    print(f"a plant that is found costs its trainer {run.plant_costs_pays:.1f} rounds' pays")
    print(f"whoever waved it through loses {slash:.0f} tokens: {reward:.0f} to the planter, {own:.0f} burned or pooled")
    print("holds" if fine else "DOES NOT HOLD")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
