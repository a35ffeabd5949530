"""The contract Reputation on a chain, with runs that were played: one whole story, and golden vectors of witnesses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import vectors
from endorsing import Endorsers, raw
from eth_abi import decode
from world import (
    DEPLOYER,
    ETHER,
    STRANGER,
    Chain,
    Contract,
    Reverted,
    World,
    address,
    deploy,
    report_of,
    reverts,
    test_artifact,
    trainer,
    verifier,
)

from gradmint.reputation.witness import find
from gradmint.spec.params import STANDARD
from gradmint.spec.reputation import ONE_MASS
from gradmint.spec.reputation_params import STANDARD_REPUTATION

PARAMS = replace(STANDARD_REPUTATION, epoch_blocks=200, challenge_blocks=20, proof_blocks=40)
DOUBTER, FRIEND = address(31), address(32)


@pytest.fixture
def endorsers(world: World) -> Endorsers:
    made = Endorsers(world, PARAMS, [verifier(0), verifier(1)])
    made.mine(2 * PARAMS.epoch_blocks)  # every cut that is asked for has been
    made.next_epoch()
    return made


def play(world: World, run: int, trainers: int, verifiers: int) -> None:
    report = report_of(trainers, world.ledger(run).terms.words)
    world.play(run, dict.fromkeys(range(verifiers), report), range(trainers))
    world.settle(run)


def begin(world: World, trainers: int = 3, verifiers: int = 3) -> int:
    params = replace(
        STANDARD, min_trainers=trainers, min_verifiers=verifiers, train_s=10**6, hold_s=10**6, commit_s=10**6,
        reveal_s=10**6, settle_s=10**6, exit_s=10**7,
    )  # fmt: skip
    run = world.open(params)
    world.enrol(run, params, trainers, verifiers)
    return run


def same_state(endorsers: Endorsers) -> None:
    """The contract keeps what the book of its rows says."""
    contract, book, epoch = endorsers.contract, endorsers.book, endorsers.epoch
    accounts = {*book.entries, *book.purses_wei, *(one for panel in book.panels.values() for one in panel)}
    for account in accounts:
        for cut in (epoch - 2, epoch - 1, epoch):
            assert contract.call("saidUntil", account, cut) == book.said_until(account, cut)
        assert contract.call("ratingOf", account) == book.rating_of(account, epoch)
        assert contract.call("purseOf", account) == book.purses_wei.get(account, 0)
    for cut in (epoch - 2, epoch - 1, epoch):
        assert contract.call("knownUntil", cut) == book.known_until(cut)
    assert contract.call("lastEndorsement") == len(book.panels)


def test_work_that_was_verified_becomes_a_rating(world: World, endorsers: Endorsers) -> None:
    run = begin(world)
    play(world, run, 3, 3)
    play(world, run, 3, 3)
    expected = endorsers.expected(run)
    assert expected is not None and expected.new_rounds == 2 and len(expected.rows) == 3
    assert expected.endorsers == tuple(raw(verifier(v)) for v in range(3))
    said = endorsers.harvest(run, STRANGER)["Harvested"]
    assert said.newRounds == 2
    assert tuple(map(raw, said.endorsers)) == expected.endorsers
    assert said.rows == tuple(int.from_bytes(account, "big") << 32 | weight for account, weight in expected.rows)
    with reverts("AlreadyHarvested", run, endorsers.epoch):
        endorsers.harvest(run, STRANGER)
    same_state(endorsers)

    # A trainer vouches for a friend, and takes another vouch back.
    endorsers.pay(trainer(2), 9 * ETHER)
    endorsers.send("vouch", FRIEND, 3 * ETHER, sender=trainer(2))
    endorsers.send("vouch", DOUBTER, 2 * ETHER, sender=trainer(2))
    endorsers.send("unvouch", DOUBTER, sender=trainer(2))
    endorsers.next_epoch()
    with reverts("NothingToHarvest", run):
        endorsers.harvest(run, STRANGER)
    same_state(endorsers)

    cut = endorsers.epoch - 1
    hits, paths, witness = find(endorsers.book, raw(FRIEND), cut)
    assert (hits > 0, paths) == (True, 1)
    for account in (FRIEND, DOUBTER):
        endorsers.pay(account, 2 * PARAMS.bond_wei)
    proposed = endorsers.send("propose", hits, paths, sender=FRIEND)["RatingProposed"]
    assert proposed.ratingQ32 == endorsers.book.rated_q32(hits, paths, cut)
    endorsers.send("challenge", FRIEND, sender=DOUBTER)
    proven = endorsers.prove(FRIEND, witness, STRANGER)["RatingProven"]
    assert (proven.rewardWei, proven.burnWei) == (4 * ETHER, 6 * ETHER)
    assert endorsers.contract.call("ratingOf", FRIEND) == proposed.ratingQ32 > 0
    same_state(endorsers)

    # A seed's edge proves every path.
    hits, paths, witness = find(endorsers.book, raw(trainer(0)), cut)
    assert paths == PARAMS.max_paths
    endorsers.pay(trainer(0), PARAMS.bond_wei)
    endorsers.send("propose", hits, paths, sender=trainer(0))
    endorsers.prove(trainer(0), witness, STRANGER)
    assert endorsers.contract.call("ratingOf", trainer(0)) == endorsers.book.rated_q32(hits, paths, cut) > 0

    endorsers.mine(3 * PARAMS.epoch_blocks)
    assert endorsers.contract.call("ratingOf", FRIEND) == 0
    same_state(endorsers)


def test_a_false_rating_is_refuted(world: World, endorsers: Endorsers) -> None:
    run = begin(world)
    play(world, run, 3, 3)
    endorsers.harvest(run, STRANGER)
    endorsers.next_epoch()
    cheat = trainer(1)
    hits, paths, witness = find(endorsers.book, raw(cheat), endorsers.epoch - 1)
    for account in (cheat, DOUBTER):
        endorsers.pay(account, PARAMS.bond_wei)
    # Its hits to the unit: no more can be shown by these accounts.
    endorsers.send("propose", hits + 1, paths, sender=cheat)
    endorsers.send("challenge", cheat, sender=DOUBTER)
    with reverts("TooManyVisits", 0, hits, hits + 1):
        endorsers.prove(cheat, witness, cheat)
    raised = replace(witness, nodes=(replace(witness.nodes[0], visits=hits + 1), *witness.nodes[1:]))
    with reverts("TooManyVisits", 0, hits, hits + 1):
        endorsers.prove(cheat, raised, cheat)
    with reverts("TooEarly"):
        endorsers.send("refute", cheat, sender=DOUBTER)
    endorsers.mine(PARAMS.proof_blocks)
    endorsers.send("refute", cheat, sender=DOUBTER)
    assert endorsers.contract.call("ratingOf", cheat) == 0
    same_state(endorsers)
    assert endorsers.book.purses_wei[raw(DOUBTER)] == 14 * ETHER


# Golden vectors


def load() -> Any:
    return json.loads((vectors.VECTORS / "witness.json").read_text())


@pytest.fixture(scope="module")
def library(chain: Chain) -> Contract:
    return deploy(chain, test_artifact("ReputationHarness"), (), (), DEPLOYER)


def test_witnesses_are_checked_as_the_specification_does(library: Contract) -> None:
    errors = set()
    for case in load()["checks"]:
        if int(case["cut"]) < 0:
            continue  # before the first epoch nothing is proposed
        seeds, heard = int(case["seeds"]), [bytes.fromhex(one[2:]) for one in case["heard"]]
        facts = (
            int(case["cut"]),
            int(case["alpha_bps"]),
            int(case["max_paths"]),
            ONE_MASS // seeds if seeds else 0,
            sum(1 << i for i, is_seed in enumerate(case["is_seed"]) if is_seed) % 2**256,
            heard,
            [int(one) for one in case["said"]],
            [bytes.fromhex(one[2:]) for one in case["panels"]],
        )
        encoded = bytes.fromhex(case["witness"][2:])
        (witness,) = decode(["((address,uint64,bytes)[],(uint32,address[],bytes)[],bytes[])"], encoded)
        operands = (witness, facts, case["account"], int(case["hits"]), int(case["paths"]))
        if case["error"] is None:
            library.call("check", *operands)
            continue
        errors.add(case["error"])
        with pytest.raises(Reverted) as caught:
            library.call("check", *operands)
        found = tuple("0x" + one.hex() if isinstance(one, bytes) else one for one in caught.value.operands)
        wanted = tuple(one if str(one).startswith("0x") else int(one) for one in case["operands"])
        assert (caught.value.name, found) == (case["error"], wanted), case["name"]
    assert errors == {
        "MalformedNodes", "HeardMismatch", "MalformedPanel", "PanelMismatch", "TooManyVisits", "MalformedPath",
        "TooFewPaths",
    }  # fmt: skip


def test_ratings_follow_from_hits_and_paths_as_the_specification_says(library: Contract) -> None:
    for case in load()["ratings"]:
        names = ("hits", "paths", "known", "alpha_bps", "beta_bps")
        paths = min(int(case["paths"]), int(case["max_paths"]))  # more are not proposed
        operands = {name: int(case[name]) for name in names} | {"paths": paths}
        assert library.call("ratingQ32", *operands.values()) == int(case["rating_q32"])
