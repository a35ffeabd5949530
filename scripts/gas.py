#!/usr/bin/env python3
"""Measure what each step costs, whole transactions on Anvil (Prague), and write snapshots/gas.json.

    python scripts/gas.py            write
    python scripts/gas.py --check    exit 1 when a figure is not the snapshot's; everything here is deterministic

Steady state: a later round, all slots written before, nobody new. Every trainer is sampled by the beacon and the
verifiers differ in every gain: the dearest honest round.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "contracts"))

from gas_certificates import measure_certificates  # noqa: E402
from gas_reputation import measure_reputation  # noqa: E402
from world import (  # noqa: E402
    DEPLOYER,
    ETHER,
    SPONSOR,
    STRANGER,
    WIRING,
    Chain,
    World,
    address,
    anvil,
    create_address,
    deploy,
    effects_tuple,
    outcome_tuple,
    params_tuple,
    proposal_tuple,
    random_bytes,
    record_tuple,
    siblings,
    sliced,
    test_artifact,
    trainer,
)

from gradmint.ports import artifacts  # noqa: E402
from gradmint.spec import plant, tree  # noqa: E402
from gradmint.spec.params import LARGE, MAX_TRAINERS, RATED, STANDARD  # noqa: E402
from gradmint.spec.types import UNSAMPLED, Report, Role, Row, Standing, Verdict  # noqa: E402

SNAPSHOT = ROOT / "snapshots" / "gas.json"
VERIFIERS = 4
TREASURER = address(77)


def reports_of(rng: Random, trainers: int) -> dict[int, Report]:
    """Four honest verifiers: 1-4 bits apart, gains a few micro-nats apart."""
    truth = [rng.getrandbits(256) for _ in range(STANDARD.words)]
    gains = [rng.randrange(1_000, 100_000) for _ in range(trainers)]
    found = {}
    for v in range(VERIFIERS):
        words = tuple(word ^ 1 << rng.randrange(256) for word in truth)
        rows = tuple(Row(Verdict.OK, g + rng.randrange(100), g + 500 + rng.randrange(100)) for g in gains)
        found[v] = Report(2_000_000 + rng.randrange(1_000), words, rows)
    return found


def measure_rounds(world: World, trainers: int, top: int) -> dict[str, int]:
    """Two rounds; the second is the steady state. With fewer in the top than trainers they are sorted once more."""
    params = replace(
        STANDARD, min_trainers=trainers, max_trainers=MAX_TRAINERS, min_verifiers=VERIFIERS, top=top, train_s=10**6,
        hold_s=10**6, commit_s=10**6,
        reveal_s=10**6, settle_s=10**6, exit_s=10**7,
    )  # fmt: skip
    run = world.open(params, 1_000_000 * ETHER)
    world.enrol(run, params, trainers, VERIFIERS)
    figures: dict[str, int] = {}
    rng = Random(trainers)
    for round_ in (1, 2):
        reports = reports_of(rng, trainers)
        said = []
        for i in range(trainers):
            said.append((i, -1 - i, random_bytes("digest", round_, i)))
            receipt = world.rounds.send("submit", run, said[-1][2], said[-1][1], sender=trainer(i))
        figures["submit"] = receipt.gas
        figures[f"close_{trainers}"] = world.close(run, said).gas
        held = [world.hold(run, v) for v in reports]
        committed = [world.commit(run, v, report) for v, report in reports.items()]
        revealed = [world.reveal(run, v, report) for v, report in reports.items()]
        # The first of the four; the last also opens the next phase.
        figures[f"hold_{trainers}"], figures[f"reveal_{trainers}"] = held[0].gas, revealed[0].gas
        figures["commit"] = committed[0].gas
        settled = world.settle(run)
    figures[f"settle_{trainers}"] = settled.gas
    figures[f"settle_{trainers}_per_participant"] = -(-settled.gas // trainers)
    return figures


def measure_ratings(world: World, trainers: int) -> dict[str, int]:
    """Everybody's first rating is brought in during the second round: the third settles with one row of each."""
    params = replace(
        STANDARD, **RATED, min_trainers=trainers, min_verifiers=VERIFIERS, train_s=10**6, hold_s=10**6, commit_s=10**6,
        reveal_s=10**6, settle_s=10**6, exit_s=10**7,
    )  # fmt: skip
    run = world.open(params, 1_000_000 * ETHER)
    world.enrol(run, params, trainers, VERIFIERS)
    rng, settled, rated = Random(trainers), [], []
    for round_ in (1, 2, 3):
        if round_ == 2:
            for i in range(trainers):
                world.ratings.send("set", trainer(i), rng.getrandbits(32), sender=STRANGER)
                rated.append(world.rounds.send("rate", run, trainer(i), sender=STRANGER).gas)
        world.play(run, reports_of(rng, trainers), range(trainers))
        settled.append(world.settle(run).gas)
    return {"rate": rated[1], f"settle_{trainers}_with_{trainers}_ratings": settled[2]}


def measure_committees(world: World, trainers: int) -> dict[str, int]:
    """A round that draws 16 of 32, who disagree, so that everyone is called in."""
    params = replace(STANDARD, min_trainers=trainers, min_verifiers=32)
    run = world.open(params, 1_000_000 * ETHER)
    world.enrol(run, params, trainers, params.max_verifiers)
    said = [(i, -1 - i, random_bytes("digest", i)) for i in range(trainers)]
    for i, gain, digest in said:
        world.rounds.send("submit", run, digest, gain, sender=trainer(i))
    closed = world.close(run, said)
    drawn = [v for v in range(params.max_verifiers) if world.masks(run)["active"] >> v & 1]
    report = reports_of(Random(trainers), trainers)[0]
    reports = {v: replace(report, words=tuple(random_word(v, k) for k in range(params.words))) for v in drawn}
    for v in drawn:
        world.hold(run, v)
    for v, own in reports.items():
        world.commit(run, v, own)
    for v, own in reports.items():
        world.reveal(run, v, own)
    return {
        f"close_{trainers}_drawing_{params.committee}_of_{params.max_verifiers}": closed.gas,
        f"settle_{trainers}_calling_everyone_in": world.call_everyone_in(run).gas,
    }


def random_word(*seed: int) -> int:
    return int.from_bytes(random_bytes("word", *seed), "big")


def measure_proposals(world: World, trainers: int) -> dict[str, int]:
    """Two rounds of a proposing run: the first proposal is right and made final, the second false and refuted."""
    params = replace(
        LARGE, min_trainers=trainers, min_verifiers=VERIFIERS, top=64, train_s=10**6, hold_s=10**6, commit_s=10**6,
        reveal_s=10**6, challenge_s=10**6, extension_s=10**6, exit_s=10**8,
    )  # fmt: skip
    run = world.open(params, 1_000_000 * ETHER)
    world.bond(run, SPONSOR, 3 * params.proposal_bond_wei)
    world.enrol(run, params, trainers, VERIFIERS)
    rng = Random(trainers)
    for _ in (1, 2):
        world.play(run, reports_of(rng, trainers), range(trainers))
    first, second = (round_.execution for round_ in world.ledger(run).rounds[:2])
    assert first is not None and second is not None
    false = replace(second.outcome, total_wei=second.outcome.total_wei + 1)
    proposed = [
        world.settlement.send("propose", run, number, outcome_tuple(outcome), sender=SPONSOR).gas
        for number, outcome in ((1, first.outcome), (2, false))
    ]

    record = world.ledger(run).rounds[1].record
    assert record is not None
    packed = [event.report for _, event in sorted(world.ledger(run).rounds[1].reveals.items())]
    heads, chunks = sliced(packed, params.words)
    settlement, terms = world.settlement, params_tuple(params)
    heard = settlement.send("hear", run, terms, record_tuple(record), heads, 0, chunks[0], sender=STRANGER)
    pending = [proposal_tuple(proposal) for proposal in world.ledger(run).pending]
    inputs, evidence = world.inputs(run, 2), world.evidence(run, 2)
    refuted = settlement.send("refute", run, terms, inputs, evidence, pending, 1, sender=STRANGER)
    world.chain.warp(params.challenge_s)
    finalised = settlement.send("finalise", run, pending[:1], effects_tuple(first.effects), sender=STRANGER)
    return {
        f"propose_{trainers}": max(proposed),
        f"hear_{trainers}": heard.gas,  # one slice: 256 rows of each report, or all there are
        f"refute_{trainers}": refuted.gas,
        f"finalise_{trainers}": finalised.gas,
    }


def measure_exposures(world: World, trainers: int, blob_bytes: int) -> dict[str, int]:
    """One of four verifiers called a planted update of so many bytes OK."""
    params = replace(STANDARD, min_trainers=trainers, min_verifiers=VERIFIERS, train_s=10**6, exit_s=10**7)
    run = world.open(params, 1_000_000 * ETHER)
    world.enrol(run, params, trainers, VERIFIERS)
    reports = reports_of(Random(trainers), trainers)
    beneficiary, secret = bytes.fromhex(trainer(0)[2:]), random_bytes("secret")
    noise = Random(trainers).randbytes(blob_bytes)
    planter = 0
    while True:  # the beacon draws 16 of them: until it has drawn the planter
        blob = plant.plant(noise, beneficiary, secret, params.words)
        said = [(i, -1 - i, random_bytes("digest", i)) for i in range(trainers)]
        said[planter] = (planter, 5, hashlib.sha256(blob).digest())
        for i, gain, digest in said:
            world.rounds.send("submit", run, digest, gain, sender=trainer(i))
        world.close(run, said)
        for v in reports:
            world.hold(run, v)
        drawn = plant.assigned(world.ledger(run).round, params.assigned_trainers)
        unproven = Row(Verdict.UNPROVEN, 0, UNSAMPLED)
        for v, report in reports.items():
            rows = list(report.rows)
            rows[planter] = rows[planter] if v == 3 else unproven
            reports[v] = replace(report, rows=tuple(rows))
        for act in (world.commit, world.reveal):
            for v, report in reports.items():
                act(run, v, report)
        round_ = world.ledger(run).round
        if planter in drawn:
            break
        world.settle(run)
    exposure = plant.exposure(params, round_, planter, blob, secret)
    assert exposure is not None
    return {f"expose_{trainers}_{blob_bytes // 1024}k": world.expose(run, exposure, trainer(0), round_.number).gas}


def measure_claims(chain: Chain) -> dict[str, int]:
    """A thousand leaves: proofs of ten siblings. The account holds tokens already."""
    nonce = int(chain.rpc("eth_getTransactionCount", DEPLOYER, "latest"), 16)
    wired = [*(create_address(DEPLOYER, nonce + k) for k in range(3)), TREASURER, TREASURER]
    three = [deploy(chain, artifacts.load(name), WIRING, wired, DEPLOYER) for name in artifacts.CONTRACTS[:3]]
    token = deploy(chain, artifacts.load(artifacts.DEV_TOKEN), (), (), DEPLOYER)
    world = World(chain, *three, settlement=three[0], ratings=three[0], token=token)
    run = world.open(STANDARD, 1_000_000 * ETHER)
    token.send("mint", trainer(5), ETHER, sender=STRANGER)
    rng, figures = Random("claims"), {}
    for rounds, name in ((20, "claim_depth_10_first"), (40, "claim_depth_10_again")):
        leaves = [
            Standing(
                account=bytes.fromhex(trainer(i)[2:]),
                role=Role.TRAINER,
                rounds=rounds,
                paid_wei=rounds * rng.randrange(10**16, 10**18),
                value_q32=rng.randrange(2**24),
                proof_q32=rng.randrange(2**31, 2**32),
                trust_q32=2**32 - rng.randrange(9),
            )
            for i in range(1_000)
        ]
        top, (right_bits, proof) = tree.root(leaves), siblings(leaves, 5)
        assert len(proof) == 10 * 40
        world.runs.send("post", run, top.hash, top.sum_wei, sender=TREASURER)
        proven = leaves[5].account, leaves[5].paid_wei, right_bits, proof
        figures[name] = world.claim(run, token.address, *proven, sender=SPONSOR).gas
    return figures


def measure_hamming(chain: Chain) -> dict[str, int]:
    harness = deploy(chain, test_artifact("Harness"), (), (), DEPLOYER)
    a, b = (b"".join(random_bytes(side, word) for word in range(16)) for side in "ab")
    (_, sixteen), (_, four) = harness.call("distanceBits", a, b), harness.call("distanceBits", a[:128], b[:128])
    signatures = b"".join(random_bytes("pair", k) for k in range(7 * 4))
    return {
        "hamming_per_word_x100": (sixteen - four) * 100 // 12,
        "hamming_all_pairs_7x4_words": harness.call("allPairs", signatures, 4)[1],
    }


def measure() -> dict[str, int]:
    figures: dict[str, int] = {}
    for trainers, top in ((8, 64), (64, 64), (256, 64), (1_024, 64)):
        with anvil(steady=True) as chain:
            figures |= measure_rounds(World.on(chain), trainers, top)
    for trainers in (8, 256, 1_024):
        with anvil(steady=True) as chain:
            figures |= measure_proposals(World.on(chain), trainers)
    with anvil(steady=True) as chain:
        figures |= measure_committees(World.on(chain), 8) | measure_ratings(World.on(chain), 64)
    for trainers, blob_bytes in ((8, 4_096), (64, 32_768)):
        with anvil(steady=True) as chain:
            figures |= measure_exposures(World.on(chain), trainers, blob_bytes)
    with anvil(steady=True) as chain:
        figures |= measure_claims(chain) | measure_hamming(chain)
    with anvil(steady=True) as chain:
        figures |= measure_certificates(chain)
    with anvil(steady=True) as chain:
        figures |= measure_reputation(chain)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a figure changed")
    check = parser.parse_args().check
    figures = measure()
    recorded = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    for name in sorted(figures.keys() | recorded.keys()):
        was, now = recorded.get(name), figures.get(name)
        print(f"{name:40} {now if now is not None else '-':>10}" + ("" if was in (None, now) else f"   was {was}"))
    if check:
        return int(recorded != figures)
    SNAPSHOT.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
