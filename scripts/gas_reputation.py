"""What endorsements and ratings cost, whole transactions on Anvil (Prague): scripts/gas.py writes these figures with
its own.

python scripts/gas_reputation.py      print them
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "contracts"))

from endorsing import Endorsers, raw  # noqa: E402
from world import ETHER, STRANGER, Chain, World, address, anvil, report_of, verifier  # noqa: E402

from gradmint.reputation.witness import find  # noqa: E402
from gradmint.spec.params import STANDARD  # noqa: E402
from gradmint.spec.reputation_params import STANDARD_REPUTATION  # noqa: E402

PARAMS = replace(STANDARD_REPUTATION, epoch_blocks=2_000, challenge_blocks=100, proof_blocks=200)
TRAINERS, VERIFIERS = 64, 8
SEED, SUBJECT, NEIGHBOUR, DOUBTER = (address(50 + k) for k in range(4))
FIRST, SECOND = ([address(60 + 10 * hop + k) for k in range(4)] for hop in range(2))


def measure_reputation(chain: Chain) -> dict[str, int]:
    """Gas by name. Steady state: accounts that were endorsed before, purses that are not empty, a second rating."""
    world = World.on(chain)
    endorsers = Endorsers(world, PARAMS, [SEED])
    return measure_harvest(world, endorsers) | measure_ratings(endorsers)


def measure_harvest(world: World, endorsers: Endorsers) -> dict[str, int]:
    params = replace(
        STANDARD, min_trainers=TRAINERS, min_verifiers=VERIFIERS, train_s=10**6, hold_s=10**6, commit_s=10**6,
        reveal_s=10**6, settle_s=10**6, exit_s=10**7,
    )  # fmt: skip
    run = world.open(params, 1_000_000 * ETHER)
    world.enrol(run, params, TRAINERS, VERIFIERS)
    report = report_of(TRAINERS)
    gas = []
    for _ in range(2):
        world.play(run, dict.fromkeys(range(VERIFIERS), report), range(TRAINERS))
        world.settle(run)
        endorsers.next_epoch()
        gas.append(endorsers.harvest(run, STRANGER).gas)
    assert len(endorsers.book.panels[1]) == VERIFIERS and raw(verifier(0)) in endorsers.book.panels[1]
    return {
        f"reputation_harvest_{TRAINERS}_first": gas[0],
        f"reputation_harvest_{TRAINERS}": gas[1],
        f"reputation_harvest_{TRAINERS}_per_trainer": -(-gas[1] // TRAINERS),
    }


def measure_ratings(endorsers: Endorsers) -> dict[str, int]:
    """Four paths from the seed to the subject, of two accounts each; the seed endorses the neighbour itself."""
    figures = {}
    edges = [*((SEED, one) for one in FIRST), *zip(FIRST, SECOND, strict=True), *((one, SUBJECT) for one in SECOND)]
    for voucher, account in [*edges, (SEED, NEIGHBOUR), (FIRST[0], NEIGHBOUR)]:
        endorsers.pay(voucher, 2 * ETHER)
        figures["reputation_vouch"] = endorsers.send("vouch", account, ETHER, sender=voucher).gas
    for account in (SUBJECT, NEIGHBOUR, DOUBTER):
        endorsers.pay(account, 9 * PARAMS.bond_wei)

    for account, nodes, name in ((SUBJECT, 10, "10_nodes_4_paths"), (NEIGHBOUR, 2, "by_a_seeds_edge")):
        for _ in range(2):
            endorsers.next_epoch()
            hits, paths, witness = find(endorsers.book, raw(account), endorsers.epoch - 1, nodes)
            assert len(witness.nodes) == nodes and paths == PARAMS.max_paths
            figures["reputation_propose"] = endorsers.send("propose", hits, paths, sender=account).gas
            figures["reputation_challenge"] = endorsers.send("challenge", account, sender=DOUBTER).gas
            figures[f"reputation_prove_{name}"] = endorsers.prove(account, witness, STRANGER).gas
    endorsers.send("propose", hits, paths, sender=account)
    endorsers.mine(PARAMS.challenge_blocks)
    figures["reputation_finalise"] = endorsers.send("finalise", account, sender=STRANGER).gas
    return figures


if __name__ == "__main__":
    with anvil(steady=True) as started:
        print(json.dumps(measure_reputation(started), indent=2))
