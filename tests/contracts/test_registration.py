"""Seats: what they cost, who gets which, and that a newcomer inherits nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_settlement import settle
from world import STRANGER, Receipt, World, report_of, reverts, rows_of, trainer, verifier

from gradmint.spec import registration
from gradmint.spec.params import LOCAL, Params
from gradmint.spec.types import Phase, Report, Role, Standing

P = replace(
    LOCAL, min_trainers=2, min_verifiers=3, max_trainers=2, max_verifiers=3, max_rounds=9, immunity_rounds=0,
    reveal_s=600, exit_s=900,
)  # fmt: skip
OPEN = replace(P, max_trainers=64)
DEAD = "0x000000000000000000000000000000000000dEaD"


def started(world: World, params: Params = P) -> int:
    run = world.open(params)
    world.enrol(run, params, 2, 3)
    return run


def join(world: World, run: int, i: int) -> Receipt:
    return world.join(run, trainer(i), Role.TRAINER, P.trainer_stake_wei)


def opinion(*gains: int) -> dict[int, Report]:
    """All three verifiers say the same of the trainers."""
    return dict.fromkeys(range(3), replace(report_of(1), rows=rows_of(gains)))


# The price


def test_founders_pay_the_floor_and_leave_it_there(world: World) -> None:
    run = started(world)
    assert world.ledger(run).prices_wei == 5 * P.join_price_wei == world.stakes.call("burnable", run)
    assert world.stakes.call("priceOf", run) == P.join_price_wei
    with reverts("UnknownRun", 999):
        world.stakes.call("priceOf", 999)


@pytest.mark.parametrize("params", [OPEN, replace(OPEN, join_bump_bps=0), replace(OPEN, join_price_wei=0)])
def test_the_price_is_the_specifications_at_any_time(world: World, params: Params) -> None:
    run = started(world, params)
    half, floor, last, at = params.join_half_life_s, params.join_price_wei, 0, 0
    for i, wait_s in enumerate((0, 0, 1, half // 3, half - 1, half, half + 7, 5 * half // 2, 0, 0, 40 * half)):
        if wait_s:
            world.chain.warp(wait_s)
        joined = join(world, run, 10 + i)["Joined"]
        now = world.chain.now()
        price = registration.price_wei(last, now - at, half, floor)
        assert (joined.priceWei, joined.stakeWei) == (price, P.trainer_stake_wei)
        last, at = registration.next_price_wei(price, params.join_bump_bps), now
        assert world.stakes.call("priceOf", run) == max(last, floor)
    assert world.ledger(run).prices_wei == world.stakes.call("burnable", run)


def test_a_hundredth_join_at_once_costs_what_keeps_crowds_out(world: World) -> None:
    run = started(world, OPEN)
    first = join(world, run, 10)["Joined"].priceWei
    for i in range(11, 26):
        last = join(world, run, i)["Joined"].priceWei
    assert last > 20 * first  # sixteen in a row


def test_nobody_pays_more_than_it_said(world: World) -> None:
    run = started(world, OPEN)
    join(world, run, 10)
    price = world.stakes.call("priceOf", run)
    world.chain.rpc("evm_setNextBlockTimestamp", hex(world.chain.now()))
    with reverts("PriceAboveLimit"):
        world.join(run, trainer(11), Role.TRAINER, P.trainer_stake_wei, max_price_wei=P.join_price_wei)
    before = world.token.call("balanceOf", world.stakes.address)
    world.join(run, trainer(11), Role.TRAINER, P.trainer_stake_wei, max_price_wei=price)
    paid = world.token.call("balanceOf", world.stakes.address) - before
    assert P.trainer_stake_wei < paid <= P.trainer_stake_wei + price


def test_prices_are_burned(world: World) -> None:
    run = started(world, OPEN)
    price = join(world, run, 10)["Joined"].priceWei
    before = world.token.call("balanceOf", DEAD)
    world.stakes.send("burn", run, sender=STRANGER)
    assert world.token.call("balanceOf", DEAD) - before == 5 * P.join_price_wei + price


# Seats of leavers


def test_fresh_seats_come_first_then_the_first_that_somebody_left(world: World) -> None:
    run = started(world, replace(P, max_trainers=5))
    for i in (2, 3):
        join(world, run, i)
    for i in (3, 1):
        world.stakes.send("exit", run, sender=trainer(i))
    assert [join(world, run, i)["Joined"].index for i in (4, 5, 6)] == [4, 1, 3]
    with reverts("Full", run, Role.TRAINER, 5):  # no settlement has named a weakest
        join(world, run, 7)
    assert world.rounds.call("trainersAt", run, 0, 5) == tuple(trainer(i).lower() for i in (0, 5, 2, 6, 4))
    assert world.rounds.call("counts", run)[3] == 0  # nobody is gone
    assert world.rounds.call("seat", run, trainer(5)) == (Role.TRAINER, False, 1, 2, 0)
    assert world.rounds.call("seat", run, trainer(1)) == (Role.TRAINER, True, 1, 1, 0)
    with reverts("AlreadySeated", run, trainer(1)):
        join(world, run, 1)


def test_a_seat_may_change_hands_more_than_once_between_settlements(world: World) -> None:
    run = started(world)
    settle(world, run, opinion(1_000, 2_000))
    world.stakes.send("exit", run, sender=trainer(0))
    join(world, run, 2)
    world.stakes.send("exit", run, sender=trainer(2))
    join(world, run, 3)
    settle(world, run, opinion(1_000, 2_000), [1])
    sent = settle(world, run, opinion(1_000, 2_000))
    assert [left.account for left in sent.all("Left")] == [trainer(0).lower()]  # who sat between was promised nothing
    final = world.ledger(run).final
    assert final.trainers[0].account == bytes.fromhex(trainer(3)[2:])
    assert world.ledger(run).left_wei.keys() == {bytes.fromhex(trainer(0)[2:])}


def test_a_leavers_round_is_still_its_own(world: World) -> None:
    """Its seat is taken at once, but the newcomer takes part from the next round on."""
    run = started(world)
    said = world.submit_all(run, (0, 1))
    world.stakes.send("exit", run, sender=trainer(0))
    join(world, run, 2)
    with reverts("NotYet", 2, 1):
        world.rounds.send("submit", run, b"d" * 32, 0, sender=trainer(2))
    world.close(run, said)  # nobody waits for the newcomer
    for act in (world.hold, world.commit, world.reveal):
        for v in range(3):
            act(run, v) if act == world.hold else act(run, v, opinion(5_000, 10)[0])  # type: ignore[call-arg]
    world.settle(run)
    final = world.ledger(run).final
    assert final.trainers[0].account == bytes.fromhex(trainer(0)[2:])
    assert final.trainers[0].paid_wei > 0
    settle(world, run, opinion(1_000, 2_000))
    ledger = world.ledger(run)
    assert ledger.final.trainers[0].account == bytes.fromhex(trainer(2)[2:])
    assert ledger.left_wei == {bytes.fromhex(trainer(0)[2:]): final.trainers[0].paid_wei}


def test_a_verifiers_seat_is_given_when_its_committee_is_over(world: World) -> None:
    run = started(world)
    world.stakes.send("exit", run, sender=verifier(1))
    with reverts("Full", run, Role.VERIFIER, 3):
        world.join(run, verifier(3), Role.VERIFIER, P.verifier_stake_wei)
    settle(world, run, opinion(1_000, 2_000))  # the leaver serves it out
    assert world.masks(run)["active"] == 0b101
    joined = world.join(run, verifier(3), Role.VERIFIER, 2 * P.verifier_stake_wei)["Joined"]
    assert joined.index == 1
    assert world.masks(run)["active"] == 0b101
    honest = opinion(1_000, 2_000)[0]
    settle(world, run, {0: honest, 2: honest})
    assert world.masks(run)["active"] == 0b111
    assert world.ledger(run).round.stakes_wei[1] == 2 * P.verifier_stake_wei


# The weakest


def test_the_weakest_makes_way_when_all_seats_are_taken(world: World) -> None:
    run = started(world)
    with reverts("Full", run, Role.TRAINER, 2):
        join(world, run, 2)
    settle(world, run, opinion(3_000, 1_000))
    assert world.rounds.call("weakest", run) == (1, 1)
    world.submit_all(run, (0,))
    sent = join(world, run, 2)
    assert [event.name for event in sent.events if event.name not in ("Transfer", "Approval")] == [
        "Retired", "Admitted", "Exiting", "Joined"
    ]  # fmt: skip
    assert (sent["Retired"].index, sent["Retired"].account) == (1, trainer(1).lower())
    assert sent["Joined"].index == 1
    release_s = sent["Exiting"].releaseS
    assert (sent["Exiting"].account, release_s) == (trainer(1).lower(), world.chain.now() + P.exit_s)
    with reverts("AlreadyExiting", run, trainer(1), release_s):
        world.stakes.send("exit", run, sender=trainer(1))
    with reverts("NotSeated", run, trainer(1), Role.TRAINER):
        world.rounds.send("submit", run, b"d" * 32, 0, sender=trainer(1))
    with reverts("Full", run, Role.TRAINER, 2):  # the newcomer was never judged
        join(world, run, 3)
    world.chain.warp_to(release_s)
    world.stakes.send("withdraw", run, sender=trainer(1))


def test_what_a_pruned_trainer_was_promised_stays_claimable(world: World) -> None:
    run = started(world)
    settle(world, run, opinion(3_000, 1_000))
    promised = world.ledger(run).final.trainers[1].paid_wei
    assert promised > 0
    join(world, run, 2)
    settle(world, run, opinion(3_000, 1_000), [0])  # its last round: its value is still paid, or not, as judged
    promised = world.ledger(run).final.trainers[1].paid_wei
    totals = [world.runs.call("books", run)[1]]
    sent = settle(world, run, opinion(3_000, 1_000))
    assert [(left.account, left.cumulativeWei) for left in sent.all("Left")] == [(trainer(1).lower(), promised)]
    totals.append(world.runs.call("books", run)[1])
    assert totals == sorted(totals)
    before = world.token.call("balanceOf", trainer(1))
    world.runs.send("claimLeft", run, trainer(1), sender=STRANGER)
    assert world.token.call("balanceOf", trainer(1)) == before + promised
    leaves = world.ledger(run).final.standings
    assert sum(leaf.paid_wei for leaf in leaves) + promised == totals[-1]


def test_newcomers_are_immune_for_some_rounds(world: World) -> None:
    run = started(world, replace(P, immunity_rounds=2))
    for _ in range(2):
        settle(world, run, opinion(3_000, 1_000))
        with reverts("Full", run, Role.TRAINER, 2):
            join(world, run, 2)
    settle(world, run, opinion(3_000, 1_000))
    assert join(world, run, 2)["Joined"].index == 1
    settle(world, run, opinion(3_000, 1_000), [0])
    # The other founder is the only one past its immunity now.
    assert world.rounds.call("weakest", run)[0] in (0, 1)
    settle(world, run, opinion(3_000, 1_000))
    assert world.rounds.call("weakest", run) == (0, 5)


# Nothing is inherited


def test_a_newcomer_starts_afresh(world: World) -> None:
    run = started(world)
    for _ in range(2):
        settle(world, run, opinion(3_000, 1_000))
    join(world, run, 2)
    for submitting in ([0], [0]):
        settle(world, run, opinion(3_000, 1_000), submitting)
    standing, fresh = world.ledger(run).final.trainers[1], Standing(bytes.fromhex(trainer(2)[2:]), Role.TRAINER)
    assert (standing.account, standing.rounds) == (fresh.account, 1)


def test_the_predecessors_absence_is_not_the_newcomers(world: World) -> None:
    """Trainer 1 misses twice and is no longer awaited; whoever takes its seat in between is, and stays so when the
    round that it did not take part in is settled."""
    run = started(world)
    missing = {v: replace(r, rows=(r.rows[0], type(r.rows[0])(1, 0, -(2**31)))) for v, r in opinion(3_000, 0).items()}
    settle(world, run, missing, [0])
    world.stakes.send("exit", run, sender=trainer(1))
    join(world, run, 2)
    assert world.rounds.call("awaitedTrainers", run) == (0b01,)  # it cannot submit in this round
    settle(world, run, missing, [0])  # the second miss: the leaver's
    assert world.ledger(run).final.trainers[1].misses == 2
    assert world.rounds.call("awaitedTrainers", run) == (0b11,)
    with reverts("StillAwaited", 1):
        world.close(run, world.submit_all(run, (0,)))


def test_the_predecessors_commitment_opens_nothing(world: World) -> None:
    run = started(world)
    report = opinion(1_000, 2_000)[0]
    world.close(run, world.submit_all(run, (0, 1)))
    for v in range(3):
        world.hold(run, v)
    world.stakes.send("exit", run, sender=verifier(2))
    for v in range(3):
        world.commit(run, v, report)
    world.reveal(run, 0, report)
    world.reveal(run, 1, report)
    world.overdue(run)
    world.rounds.send("poke", run, sender=STRANGER)  # verifier 2 keeps its commitment to itself
    world.overdue(run)
    world.rounds.send("poke", run, sender=STRANGER)  # nobody settles: round 2
    assert world.masks(run)["missed"] == 0b100
    world.join(run, verifier(3), Role.VERIFIER, P.verifier_stake_wei)
    masks = world.masks(run)
    assert (masks["missed"], masks["gone"], masks["awaited"], masks["active"]) == (0, 0, 0b111, 0b011)
    for name, args in (("hold", (b"\3", b"b" * 32)),):
        world.close(run, world.submit_all(run, (0, 1)))
        with reverts("NotOnCommittee", run, 2):
            world.rounds.send(name, run, *args, sender=verifier(3))
        with reverts("NotSeated", run, verifier(2), Role.VERIFIER):
            world.rounds.send(name, run, *args, sender=verifier(2))
    for act in (world.hold, world.commit, world.reveal):
        for v in (0, 1):  # nobody waits for the newcomer before its first round
            act(run, v) if act == world.hold else act(run, v, report)  # type: ignore[call-arg]
    world.settle(run)
    assert world.masks(run)["active"] == 0b111
    assert world.rounds.call("onDuty", run, verifier(3)) and not world.rounds.call("onDuty", run, verifier(2))
    world.close(run, world.submit_all(run, (0, 1)))
    for account in (verifier(0), verifier(1), verifier(3)):
        world.rounds.send("hold", run, b"\3", b"b" * 32, sender=account)
    with reverts("NotSeated", run, verifier(2), Role.VERIFIER):
        world.rounds.send("commit", run, b"c" * 32, sender=verifier(2))
    for account in (verifier(0), verifier(1)):
        world.rounds.send("commit", run, b"c" * 32, sender=account)
    world.overdue(run)
    world.rounds.send("poke", run, sender=STRANGER)
    assert world.phase(run) is Phase.REVEAL
    with reverts("NotCommitted", run, 2):
        world.rounds.send("reveal", run, report.pack(), b"s" * 32, sender=verifier(3))
    # The predecessor's stake is not held by its successor's duty.
    world.chain.warp_to(world.ledger(run).exiting[bytes.fromhex(verifier(2)[2:])])
    world.stakes.send("withdraw", run, sender=verifier(2))
