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
    assert world.rounds.call("seat", run, trainer(0)) == (Role.TRAINER, False, 0, 1)
    assert world.stakes.call("stakesOf", run, [trainer(0), STRANGER]) == (P.trainer_stake_wei + 5, 0)


def test_join_refuses(world: World) -> None:
    run = world.open(P)
    for role in (0, 3, 255):
        with reverts("UnknownRole", role):
            world.stakes.send("join", run, role, 1, sender=STRANGER)
    with reverts("StakeTooSmall", P.verifier_stake_wei - 1, P.verifier_stake_wei):
        world.join(run, verifier(0), Role.VERIFIER, P.verifier_stake_wei - 1)
    with reverts("UnknownRun", 999):
        world.join(999, verifier(0), Role.VERIFIER, P.verifier_stake_wei)
    world.join(run, verifier(0), Role.VERIFIER, P.verifier_stake_wei)
    for role in (Role.TRAINER, Role.VERIFIER):
        with reverts("AlreadySeated", run, verifier(0)):
            world.join(run, verifier(0), role, P.verifier_stake_wei)


def test_seats_are_limited_and_never_given_twice(world: World) -> None:
    run = world.open(P)
    for i in range(3):
        world.join(run, trainer(i), Role.TRAINER, P.trainer_stake_wei)
    world.stakes.send("exit", run, sender=trainer(0))
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
    with reverts("StakeTooSmall", P.trainer_stake_wei * 99 // 100, P.trainer_stake_wei):
        world.join(run, trainer(0), Role.TRAINER, P.trainer_stake_wei, token=fee)
    world.join(run, trainer(0), Role.TRAINER, 2 * P.trainer_stake_wei, token=fee)
    assert world.stakes.call("stakeOf", run, trainer(0))[0] == 2 * P.trainer_stake_wei * 99 // 100


def test_join_cannot_be_re_entered(chain: Chain, world: World) -> None:
    hostile = deploy(chain, test_artifact("HostileToken"), (), (), DEPLOYER)
    run = world.open(P, token=hostile)
    hostile.send("set", 4, world.stakes.address, run, sender=DEPLOYER)
    world.join(run, trainer(0), Role.TRAINER, P.trainer_stake_wei, token=hostile)  # the token tries in between
    assert world.rounds.call("counts", run)[1] == 1


def test_a_run_without_trainer_stake_takes_trainers_for_nothing(world: World) -> None:
    run = world.open(replace(P, trainer_stake_wei=0))
    world.stakes.send("join", run, 1, 0, sender=trainer(0))
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
    with reverts("AlreadySeated", run, account):
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


def test_what_was_slashed_burns_once(world: World) -> None:
    run = started(world)
    with reverts("NothingToBurn", run):
        world.stakes.send("burn", run, sender=STRANGER)
    honest = report_of(2)
    world.to_settle(run, {0: honest, 1: honest, 2: report_of(2, salt="lie")}, [0, 1])
    world.settle(run, P, [honest, honest, report_of(2, salt="lie")])
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
    world.to_settle(run, {0: honest, 1: honest, 2: lie}, [0, 1])
    hostile.send("set", 1, STRANGER, 0, sender=DEPLOYER)  # from now on the token refuses everything
    slashed = world.settle(run, P, [honest, honest, lie])["Slashed"]
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
