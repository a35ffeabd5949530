"""Drawn committees: the contract's draw, its views, and what happens to the record that is thrown away."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from world import (
    DEPLOYER,
    STRANGER,
    Chain,
    Contract,
    World,
    deploy,
    random_bytes,
    reverts,
    rows_of,
    test_artifact,
    trainer,
    verifier,
)

from gradmint.spec.committee import draw
from gradmint.spec.params import LOCAL
from gradmint.spec.types import Phase, Report, Role

P = replace(LOCAL, min_trainers=1, min_verifiers=6, max_verifiers=6, committee=3, words=1, accept_bits=8, slash_bits=32)
STAKES_WEI = [P.verifier_stake_wei * weight for weight in (2, 3, 4, 2, 5, 2)]  # nobody is two thirds of any three


@pytest.fixture(scope="module")
def protocol(chain: Chain) -> Contract:
    return deploy(chain, test_artifact("ProtocolHarness"), (), (), DEPLOYER)


def held(world: World) -> tuple[int, list[int]]:
    """A run in COMMIT of round 1; its verifiers have unlike stakes."""
    run = world.open(P)
    world.enrol(run, P, 1, 6, STAKES_WEI)
    world.rounds.send("submit", run, random_bytes("digest"), 5, sender=trainer(0))
    world.close(run, [(0, 5, random_bytes("digest"))])
    drawn = members(world.masks(run)["active"])
    for v in drawn:
        world.hold(run, v)
    return run, drawn


def said(word: int) -> Report:
    return Report(2_000_000, (word,), rows_of([9]))


def members(mask: int) -> list[int]:
    return [v for v in range(6) if mask >> v & 1]


def speak(world: World, run: int, words: dict[int, int]) -> None:
    for v, word in words.items():
        world.commit(run, v, said(word))
    for v, word in words.items():
        world.reveal(run, v, said(word))


def test_the_contract_draws_by_what_is_staked_now(world: World) -> None:
    run, drawn = held(world)
    beacon = world.ledger(run).round.opened[Phase.HOLD].beacon
    assert draw(beacon, STAKES_WEI, P.committee) == sum(1 << v for v in drawn)
    rng = Random(1)
    for _ in range(20):
        eligible, size, beacon = rng.randrange(64), rng.randrange(7), rng.randbytes(32)
        stakes_wei = [wei if eligible >> v & 1 else 0 for v, wei in enumerate(STAKES_WEI)]
        assert world.stakes.call("draw", run, beacon, eligible, size) == draw(beacon, stakes_wei, size)


def test_a_draw_of_sixteen_of_thirty_two_costs_little(protocol: Contract) -> None:
    rng = Random(2)
    gas = [protocol.call("drawGas", rng.randbytes(32), [10**20] * 32, 16) for _ in range(20)]
    assert max(gas) < 60_000


def test_outsiders_are_refused_and_stay_on_duty(world: World) -> None:
    run, drawn = held(world)
    for v in range(6):
        if v not in drawn:
            with reverts("NotOnCommittee", run, v):
                world.rounds.send("commit", run, b"c" * 32, sender=verifier(v))
        assert world.rounds.call("onDuty", run, verifier(v))
    with reverts("Full", run, Role.VERIFIER, 6):
        world.join(run, verifier(9), Role.VERIFIER, P.verifier_stake_wei)


def test_a_record_without_quorum_is_thrown_away_and_the_next_follows_the_one_before(world: World) -> None:
    run, drawn = held(world)
    speak(world, run, {v: ((1 << 60) - 1) << 60 * k for k, v in enumerate(drawn)})
    assert world.rounds.call("lastRecorded", run) == 1
    record = world.rounds.call("record", run, 1)
    assert record[0] != bytes(30) and record[1] == 0
    world.call_everyone_in(run)
    assert world.rounds.call("lastRecorded", run) == 0
    assert world.rounds.call("record", run, 1) == (bytes(30), 0)
    assert world.rounds.call("record", run, 0)[0] == bytes(30)
    masks = world.masks(run)
    assert masks["active"] == masks["eligible"] == 0b111111
    assert (masks["committed"], masks["revealed"], masks["held"]) == (0, 0, sum(1 << v for v in drawn))
    assert world.phase(run) is Phase.COMMIT
    for v in range(6):
        if v != drawn[0]:
            world.commit(run, v, said(0))
    world.overdue(run)
    world.rounds.send("poke", run, sender=STRANGER)
    with reverts("NotCommitted", run, drawn[0]):  # what it committed to before counts for nothing
        world.reveal(run, drawn[0], said(0))


def test_all_six_settle_what_three_could_not(world: World) -> None:
    run, drawn = held(world)
    speak(world, run, {v: ((1 << 60) - 1) << 60 * k for k, v in enumerate(drawn)})
    world.call_everyone_in(run)
    speak(world, run, dict.fromkeys(range(6), 7))
    world.settle(run)
    standings = world.ledger(run).standings[Role.VERIFIER]
    assert [standing.rounds for standing in standings] == [1] * 6
    assert all(standing.paid_wei for standing in standings)
    assert world.masks(run)["active"] == 0b111111 and world.phase(run) is Phase.TRAIN
