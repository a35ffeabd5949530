"""Stakes: joining, leaving after a delay, slashing in the books only."""

from __future__ import annotations

from dataclasses import replace

from world import (
    DEPLOYER,
    SPONSOR,
    STRANGER,
    Chain,
    World,
    deploy,
    report_of,
    reverts,
    test_artifact,
    trainer,
    verifier,
)

from gradmint.spec.params import LOCAL
from gradmint.spec.types import Phase, Role

P = replace(LOCAL, min_trainers=2, min_verifiers=3, max_trainers=3, max_verifiers=4, max_rounds=3)
DEAD = "0x000000000000000000000000000000000000dEaD"


def started(world: World) -> int:
    run = world.open(P)
    world.enrol(run, P, 2, 3)
    return run


def test_join_takes_the_stake_and_a_seat(world: World) -> None:
    run = world.open(P)
    joined = world.join(run, trainer(0), Role.TRAINER, P.trainer_stake_wei + 5)["Joined"]
    assert (joined.index, joined.role, joined.stakeWei) == (0, Role.TRAINER, P.trainer_stake_wei + 5)
    assert world.stakes.call("stakeOf", run, trainer(0)) == (P.trainer_stake_wei + 5, 0)
    assert world.rounds.call("seat", run, trainer(0)) == (Role.TRAINER, False, 0, 1, 0)
    assert world.stakes.call("stakesOf", run, [trainer(0), STRANGER]) == (P.trainer_stake_wei + 5, 0)


def test_join_refuses(world: World) -> None:
    run = world.open(P)
    for role in (0, 3, 255):
        with reverts("UnknownRole", role):
            world.stakes.send("join", run, role, 1, 0, sender=STRANGER)
    with reverts("StakeTooSmall", P.verifier_stake_wei - 1, P.verifier_stake_wei):
        world.join(run, verifier(0), Role.VERIFIER, P.verifier_stake_wei - 1)
    with reverts("UnknownRun", 999):
        world.join(999, verifier(0), Role.VERIFIER, P.verifier_stake_wei)
    world.join(run, verifier(0), Role.VERIFIER, P.verifier_stake_wei)
    for role in (Role.TRAINER, Role.VERIFIER):
        with reverts("AlreadySeated", run, verifier(0)):
            world.join(run, verifier(0), role, P.verifier_stake_wei)


def test_seats_are_limited(world: World) -> None:
    run = world.open(P)
    for i in range(3):
        world.join(run, trainer(i), Role.TRAINER, P.trainer_stake_wei)
    with reverts("Full", run, Role.TRAINER, 3):
        world.join(run, trainer(3), Role.TRAINER, P.trainer_stake_wei)
    for v in range(2):
        world.join(run, verifier(v), Role.VERIFIER, P.verifier_stake_wei)
    assert world.phase(run) is Phase.ENROL
    world.join(run, verifier(2), Role.VERIFIER, P.verifier_stake_wei)
    world.join(run, verifier(3), Role.VERIFIER, P.verifier_stake_wei)
    with reverts("Full", run, Role.VERIFIER, 4):
        world.join(run, verifier(4), Role.VERIFIER, P.verifier_stake_wei)


def test_a_fee_token_stake_is_what_arrives(chain: Chain, world: World) -> None:
    fee = deploy(chain, test_artifact("FeeToken"), (), (), DEPLOYER)
    run = world.open(P, token=fee)
    price = P.join_price_wei
    arrived = (P.trainer_stake_wei + price) * 99 // 100 - price
    with reverts("StakeTooSmall", arrived, P.trainer_stake_wei):
        world.join(run, trainer(0), Role.TRAINER, P.trainer_stake_wei, token=fee)
    world.join(run, trainer(0), Role.TRAINER, 2 * P.trainer_stake_wei, token=fee)
    staked = (2 * P.trainer_stake_wei + price) * 99 // 100 - price
    assert world.stakes.call("stakeOf", run, trainer(0))[0] == staked
    # The stake bears the fee, the price does not: everything owed is there.
    assert world.stakes.call("burnable", run) == price
    assert fee.call("balanceOf", world.stakes.address) == staked + price


def test_join_cannot_be_re_entered(chain: Chain, world: World) -> None:
    hostile = deploy(chain, test_artifact("HostileToken"), (), (), DEPLOYER)
    run = world.open(P, token=hostile)
    hostile.send("set", 4, world.stakes.address, run, sender=DEPLOYER)
    world.join(run, trainer(0), Role.TRAINER, P.trainer_stake_wei, token=hostile)  # the token tries in between
    assert world.rounds.call("counts", run)[1] == 1


def test_a_run_without_trainer_stake_takes_trainers_for_nothing(world: World) -> None:
    run = world.open(replace(P, trainer_stake_wei=0, join_price_wei=0))
    world.stakes.send("join", run, 1, 0, 0, sender=trainer(0))
    world.stakes.send("exit", run, sender=trainer(0))
    with reverts("NoStake", run, trainer(0)):
        world.stakes.send("withdraw", run, sender=trainer(0))


def test_leaving_takes_the_delay(world: World) -> None:
    run = started(world)
    account = trainer(0)
    with reverts("NotExiting", run, account):
        world.stakes.send("withdraw", run, sender=account)
    release_s = world.stakes.send("exit", run, sender=account)["Exiting"].releaseS
    assert abs(release_s - world.chain.now() - P.exit_s) <= 1
    with reverts("AlreadyExiting", run, account, release_s):
        world.stakes.send("exit", run, sender=account)
    with reverts("StillLocked"):
        world.stakes.send("withdraw", run, sender=account)
    world.chain.warp_to(release_s)
    before = world.token.call("balanceOf", account)
    world.stakes.send("withdraw", run, sender=account)
    assert world.token.call("balanceOf", account) == before + P.trainer_stake_wei
    with reverts("NoStake", run, account):
        world.stakes.send("withdraw", run, sender=account)
    with reverts("AlreadySeated", run, account):  # one seat per account and run, for good
        world.join(run, account, Role.TRAINER, P.trainer_stake_wei)


def test_strangers_have_nothing_to_leave(world: World) -> None:
    run = started(world)
    with reverts("NoStake", run, STRANGER):
        world.stakes.send("exit", run, sender=STRANGER)
    with reverts("NoStake", run, STRANGER):
        world.stakes.send("withdraw", run, sender=STRANGER)


def test_a_verifier_on_duty_stays_slashable_however_late_the_round(world: World) -> None:
    """A round that nobody pokes can outlast the exit delay; the stake waits for the round all the same."""
    run = started(world)
    release_s = world.stakes.send("exit", run, sender=verifier(0))["Exiting"].releaseS
    world.chain.warp_to(release_s)
    with reverts("StillOnDuty", run, verifier(0)):
        world.stakes.send("withdraw", run, sender=verifier(0))
    world.rounds.send("poke", run, sender=verifier(0))  # overdue and empty: void; it can free itself
    world.stakes.send("withdraw", run, sender=verifier(0))


def test_stakes_are_free_at_once_when_the_run_has_ended(world: World) -> None:
    run = world.open(P)
    world.join(run, verifier(0), Role.VERIFIER, P.verifier_stake_wei)
    world.runs.send("cancel", run, sender=SPONSOR)
    world.stakes.send("withdraw", run, sender=verifier(0))
    assert world.stakes.call("stakeOf", run, verifier(0))[0] == 0
    with reverts("WrongPhase", run, Phase.ENROL, Phase.ENDED):
        world.join(run, verifier(1), Role.VERIFIER, P.verifier_stake_wei)


def test_only_settlement_slashes(world: World) -> None:
    run = started(world)
    with reverts("OnlySibling", STRANGER, world.settlement.address):
        world.stakes.send("slash", run, verifier(0), 1, sender=STRANGER)


def test_without_quorum_no_report_is_slashed(world: World) -> None:
    run = started(world)
    world.stakes.send("burn", run, sender=STRANGER)
    with reverts("NothingToBurn", run):
        world.stakes.send("burn", run, sender=STRANGER)
    honest = report_of(2)
    world.play(run, {0: honest, 1: honest, 2: report_of(2, salt="lie")}, [0, 1])
    world.settle(run)
    # Two of three are a quorum only when they hold more than 2/3: equal stakes do not.
    assert world.stakes.call("burnable", run) == 0


def test_slashed_stake_leaves_in_the_books_and_then_to_the_dead(chain: Chain, world: World) -> None:
    hostile = deploy(chain, test_artifact("HostileToken"), (), (), DEPLOYER)
    run = world.open(P, token=hostile)
    for i in range(2):
        world.join(run, trainer(i), Role.TRAINER, P.trainer_stake_wei, token=hostile)
    for v in range(3):
        world.join(run, verifier(v), Role.VERIFIER, P.verifier_stake_wei * (1 if v == 2 else 3), token=hostile)
    honest, lie = report_of(2), report_of(2, salt="lie")
    world.play(run, {0: honest, 1: honest, 2: lie}, [0, 1])
    world.stakes.send("burn", run, sender=STRANGER)  # seats' prices
    hostile.send("set", 1, STRANGER, 0, sender=DEPLOYER)  # from now on the token refuses everything
    slashed = world.settle(run)["Slashed"]
    taken = P.verifier_stake_wei * P.slash_bps // 10_000
    assert (slashed.account, slashed.amountWei) == (verifier(2).lower(), taken)
    assert world.stakes.call("stakeOf", run, verifier(2))[0] == P.verifier_stake_wei - taken
    assert world.stakes.call("burnable", run) == taken
    with reverts(""):
        world.stakes.send("burn", run, sender=STRANGER)
    hostile.send("set", 0, STRANGER, 0, sender=DEPLOYER)
    before = hostile.call("balanceOf", DEAD)
    world.stakes.send("burn", run, sender=STRANGER)
    assert hostile.call("balanceOf", DEAD) == before + taken
    with reverts("NothingToBurn", run):
        world.stakes.send("burn", run, sender=STRANGER)


# Bonds


def test_bonds_go_in_and_out(world: World) -> None:
    run = world.open(P)
    bonded = world.bond(run, STRANGER, 7)["Bonded"]
    assert (bonded.run, bonded.account, bonded.amountWei) == (run, STRANGER.lower(), 7)
    world.bond(run, STRANGER, 3)
    assert world.stakes.call("bondOf", run, STRANGER) == (10, 0)
    with reverts("BondTooSmall", run, STRANGER, 10, 11):
        world.stakes.send("unbond", run, 11, sender=STRANGER)
    before = world.token.call("balanceOf", STRANGER)
    assert world.stakes.send("unbond", run, 10, sender=STRANGER)["Unbonded"].amountWei == 10
    assert world.token.call("balanceOf", STRANGER) == before + 10
    with reverts("UnknownRun", 999):
        world.bond(999, STRANGER, 1)


def test_a_fee_token_bond_is_what_arrives(chain: Chain, world: World) -> None:
    fee = deploy(chain, test_artifact("FeeToken"), (), (), DEPLOYER)
    run = world.open(P, token=fee)
    assert world.bond(run, STRANGER, 1_000, token=fee)["Bonded"].amountWei == 990
    assert world.stakes.call("bondOf", run, STRANGER) == (990, 0)


def test_only_siblings_touch_the_books(world: World) -> None:
    run = started(world)
    by_settlement = (
        ("lock", (run, STRANGER, 1)),
        ("unlock", (run, STRANGER, 1)),
        ("forfeit", (run, STRANGER, STRANGER, 1, 1, 1)),
    )
    for name, args in by_settlement:
        with reverts("OnlySibling", STRANGER, world.settlement.address):
            world.stakes.send(name, *args, sender=STRANGER)
    with reverts("OnlySibling", STRANGER, world.runs.address):
        world.stakes.send("create", run, (1, 1, 1, 1, 1), sender=STRANGER)
    with reverts("OnlySibling", STRANGER, world.runs.address):
        world.settlement.send("create", run, (1,) * 6, sender=STRANGER)


def test_there_is_nothing_to_pool_before_a_bond_is_lost(world: World) -> None:
    run = started(world)
    with reverts("NothingToPool", run):
        world.stakes.send("pool", run, sender=STRANGER)
