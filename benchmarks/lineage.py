"""Catching up with a run from a checkpoint beside rebuilding every round of it, and beside hashing its updates.

    python benchmarks/lineage.py [--task digits|bytes] [--rounds N] [--json]

A run of real roles on the chain's and the store's twins, with next to no training: what is measured is what a latecomer
does. Rebuilding everything is what there is without checkpoints; hashing the updates' bytes is what nobody who checks
them can go below. The time to make the task is in both, and is shown. Fails when the models differ, or when the
checkpoint saves less than half of the rounds that it spares.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import torch

from gradmint.learn.manifest import Manifest, preset
from gradmint.learn.state import save
from gradmint.ports.chain import Join
from gradmint.ports.memory_chain import MemoryWorld
from gradmint.ports.memory_store import MemoryStore
from gradmint.roles.desk import Desk
from gradmint.roles.follower import Follower
from gradmint.roles.journal import Journal, identity
from gradmint.roles.lineage import catch_up
from gradmint.roles.replica import CHECKPOINT_EVERY, Replica
from gradmint.roles.sponsor import open_run
from gradmint.roles.trainer import TrainerStrategy, train
from gradmint.roles.verifier import VerifierStrategy, verify
from gradmint.spec.ledger import Ledger
from gradmint.spec.params import LOCAL
from gradmint.spec.types import Role

TRAINERS = 4
ROUNDS = {"digits": 102, "bytes": 22}
TOKEN, SPONSOR = b"\x0e" * 20, b"\x5a" * 20
BUDGET_WEI = 10**21
REPEATS = 3  # the best of which counts
LEAST_SAVING = 0.5  # of the rounds that a checkpoint spares


def cheap(name: str) -> Manifest:
    """The task with updates of its own size and hardly any training behind them."""
    manifest = preset(name)
    return replace(
        manifest,
        training=replace(manifest.training, steps=1, warmup_steps=0, intervals=0),
        assessment=replace(manifest.assessment, words=2, common_samples=8, audited_trainers=0, exact_votes=0),
    )


def play(home: Path, manifest: Manifest, rounds: int) -> tuple[Ledger, MemoryStore]:
    world, store = MemoryWorld(), MemoryStore()
    params = replace(LOCAL, max_rounds=rounds, min_trainers=TRAINERS, max_trainers=TRAINERS, max_verifiers=1)
    params = replace(params, min_verifiers=1, committee=1)
    world.mint(TOKEN, SPONSOR, BUDGET_WEI)
    sponsor = world.as_account(SPONSOR)
    journal = Journal(home / "sponsor.sqlite", identity(sponsor))
    run = open_run(sponsor, store, journal, manifest, params, TOKEN, BUDGET_WEI)
    seats = [(Role.TRAINER, index) for index in range(TRAINERS)] + [(Role.VERIFIER, 0)]
    for role, index in seats:
        account = bytes([role, index]) * 10
        stake_wei = params.trainer_stake_wei if role is Role.TRAINER else params.verifier_stake_wei
        world.mint(TOKEN, account, stake_wei + params.join_price_wei)
        join = Join(run=run, role=role, stake_wei=stake_wei, max_price_wei=params.join_price_wei)
        world.as_account(account).send(join)

    def serve(role: Role, index: int) -> None:
        chain = world.as_account(bytes([role, index]) * 10)
        every = CHECKPOINT_EVERY if role is Role.VERIFIER else 0
        desk = Desk.open(chain, store, run, role, home / f"{role.name}-{index}", checkpoint_every=every)
        if role is Role.TRAINER:
            train(desk, TrainerStrategy(desk))
        else:
            verify(desk, VerifierStrategy(desk))

    cast = [threading.Thread(target=serve, args=seat, daemon=True) for seat in seats]
    for person in cast:
        person.start()
    for person in cast:
        person.join()
    return Follower(sponsor, run).ledger, store


def compare(name: str, rounds: int) -> dict[str, float]:
    """Seconds of each way, best of :data:`REPEATS`, in turn."""
    with tempfile.TemporaryDirectory() as home:
        ledger, store = play(Path(home), cheap(name), rounds)
    assert len(ledger.rounds) == rounds
    updates = [store.blobs[event.digest] for round_ in ledger.rounds for event in round_.first_submissions.values()]
    seconds: dict[str, list[float]] = {"task": [], "hashes": [], "checkpoint": [], "scratch": []}
    for _ in range(REPEATS):
        begun_s = time.perf_counter()
        Replica(ledger.terms, store)
        seconds["task"].append(time.perf_counter() - begun_s)
        begun_s = time.perf_counter()
        for blob in updates:
            hashlib.sha256(blob).digest()
        seconds["hashes"].append(time.perf_counter() - begun_s)
        quick, found = catch_up(ledger, store)
        proven, whole = catch_up(ledger, store, from_scratch=True)
        seconds["checkpoint"].append(found.seconds)
        seconds["scratch"].append(whole.seconds)
        assert save(quick.state, quick.layout) == save(proven.state, proven.layout)
        assert whole.start.round == 0 and found.start.source == "checkpoint"
    best = {way: min(taken) for way, taken in seconds.items()}
    rebuilt = rounds - found.start.round
    return {
        "parameters": quick.layout.dimension,
        "update_bytes": sum(map(len, updates)) / len(updates),
        "rounds": rounds,
        "rebuilt": rebuilt,
        **{f"{way}_s": taken for way, taken in best.items()},
        "rounds_per_s": rounds / (best["scratch"] - best["task"]),
        "times_hashing": (best["scratch"] - best["task"]) / best["hashes"],
        "ratio": best["scratch"] / best["checkpoint"],
        "saved": (best["scratch"] - best["checkpoint"])
        / (best["scratch"] - best["task"])
        * rounds
        / (rounds - rebuilt),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=sorted(ROUNDS), action="append", help="default: both")
    parser.add_argument("--rounds", type=int, help=f"of the run; by default {ROUNDS}")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {}
    for name in arguments.task or ROUNDS:
        row = found[name] = compare(name, arguments.rounds or ROUNDS[name])
        if not arguments.json:
            print(
                f"{name:7} {row['parameters']:,} parameters, {TRAINERS} updates of {row['update_bytes']:,.0f} bytes a "
                f"round: all {row['rounds']} rounds {row['scratch_s']:.2f} s ({row['rounds_per_s']:.0f} rounds/s, "
                f"{row['times_hashing']:.0f} times hashing the updates); {row['rebuilt']} rounds from a checkpoint "
                f"{row['checkpoint_s']:.2f} s, of which {row['task_s']:.2f} s make the task: {row['ratio']:.1f} times "
                "as fast",
                flush=True,
            )
    if arguments.json:
        print(json.dumps(found))
    for name, row in found.items():
        assert row["saved"] >= LEAST_SAVING, (name, row)


if __name__ == "__main__":
    main()
