"""Who gets a seat, at what price, and what its next holder does not inherit; on both chains."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gradmint.ports.chain import Burn, Exit, Hold, Submit, Withdraw
from gradmint.spec.errors import Unfunded
from gradmint.spec.events import Admitted, Burned, Exiting, Joined, Left, Retired
from gradmint.spec.registration import next_price_wei, price_wei
from gradmint.spec.types import Phase, Role, Standing

from .harness import BUDGET_WEI, ETHER_WEI, FAR, PRICE_WEI, STAKE_WEI, Stage, refused

SLACK_S = 60  # a real chain's clock goes on while a test acts


def said_price_wei(events: object) -> int:
    [joined] = [event for event in events if isinstance(event, Joined)]  # type: ignore[attr-defined]
    return joined.price_wei


# Prices


def test_founders_pay_the_floor_and_do_not_raise_it(stage: Stage) -> None:
    stage.open()
    for _ in range(3):
        receipt = stage.join(Role.TRAINER)
        joined = receipt.events[-1]
        assert isinstance(joined, Joined)
        assert (joined.account, joined.role) == (stage.trainers[-1].account, Role.TRAINER)
        assert joined.index == len(stage.trainers) - 1
        assert (joined.stake_wei, joined.price_wei) == (STAKE_WEI[Role.TRAINER], PRICE_WEI)
        assert stage.sponsor.price_wei(stage.run) == PRICE_WEI
    receipt = stage.sponsor.send(Burn(run=stage.run))
    burned = receipt.events[0]
    assert isinstance(burned, Burned) and burned.amount_wei == 3 * PRICE_WEI
    assert stage.ledger().prices_wei == 3 * PRICE_WEI


def test_each_join_after_that_raises_the_price_and_time_lowers_it(stage: Stage) -> None:
    half_life_s = 100_000
    stage.open(join_half_life_s=half_life_s, join_bump_bps=5_000).enrol()
    bump = stage.params.join_bump_bps
    assert said_price_wei(stage.join(Role.TRAINER).events) == PRICE_WEI
    last_wei = next_price_wei(PRICE_WEI, bump)
    assert last_wei == PRICE_WEI * 3 // 2
    assert price_wei(last_wei, SLACK_S, half_life_s, PRICE_WEI) <= stage.sponsor.price_wei(stage.run) <= last_wei

    second_wei = said_price_wei(stage.join(Role.VERIFIER).events)  # one price for both roles
    assert price_wei(last_wei, SLACK_S, half_life_s, PRICE_WEI) <= second_wei <= last_wei
    last_wei = next_price_wei(second_wei, bump)
    stage.world.advance(half_life_s // 4)
    stage.sponsor.send(Burn(run=stage.run))  # a block with the new time
    high_wei = price_wei(last_wei, half_life_s // 4, half_life_s, PRICE_WEI)
    low_wei = price_wei(last_wei, half_life_s // 4 + SLACK_S, half_life_s, PRICE_WEI)
    assert low_wei <= stage.sponsor.price_wei(stage.run) <= high_wei < last_wei * 9 // 10
    stage.world.advance(10 * half_life_s)
    assert said_price_wei(stage.join(Role.VERIFIER).events) == PRICE_WEI  # never below


def test_a_limit_on_the_price_holds(stage: Stage) -> None:
    stage.open(join_half_life_s=100_000).enrol()
    stage.join(Role.TRAINER)
    late = stage.world.connect(50)
    call = replace(stage.seat(Role.TRAINER), max_price_wei=PRICE_WEI)
    error = refused("PriceAboveLimit", lambda: late.send(call), None, PRICE_WEI)
    price = error.operands[0]
    assert isinstance(price, int) and PRICE_WEI < price <= PRICE_WEI * 5 // 4
    before_wei = late.token_balance_wei(stage.world.token, late.account)
    receipt = late.send(replace(call, max_price_wei=price))
    paid_wei = said_price_wei(receipt.events)
    assert paid_wei <= price
    assert late.token_balance_wei(stage.world.token, late.account) == before_wei - STAKE_WEI[Role.TRAINER] - paid_wei


def test_the_price_comes_on_top_of_the_stake(stage: Stage) -> None:
    stage.open()
    chain = stage.world.connect(50)
    held_wei = chain.token_balance_wei(stage.world.token, chain.stakes_address)
    low = stage.seat(Role.TRAINER, STAKE_WEI[Role.TRAINER] - 1)
    refused("StakeTooSmall", lambda: chain.send(low), STAKE_WEI[Role.TRAINER] - 1, STAKE_WEI[Role.TRAINER])
    chain.send(stage.seat(Role.TRAINER))
    after_wei = chain.token_balance_wei(stage.world.token, chain.stakes_address)
    assert after_wei == held_wei + STAKE_WEI[Role.TRAINER] + PRICE_WEI
    assert chain.stakes_wei(stage.run, [chain.account]) == [STAKE_WEI[Role.TRAINER]]


def test_free_seats(stage: Stage) -> None:
    stage.open(join_price_wei=0).enrol()
    assert said_price_wei(stage.join(Role.TRAINER).events) == 0
    assert stage.sponsor.price_wei(stage.run) == 0


def test_what_is_needed_is_todays_price_not_the_limit(stage: Stage) -> None:
    """An account with just enough joins, whatever its limit; one with less is told how much is missing."""
    stage.open()
    token, chain = stage.world.token, stage.world.connect(55)  # nobody else is left without money
    balance_wei = chain.token_balance_wei(token, chain.account)
    chain.send(stage.seat(Role.TRAINER, balance_wei - PRICE_WEI))
    assert chain.token_balance_wei(token, chain.account) == 0
    with pytest.raises(Unfunded, match=r"stake with its price"):
        chain.sign(stage.seat(Role.TRAINER))


# Which seat


def test_fresh_seats_first_then_those_of_leavers_lowest_first(stage: Stage) -> None:
    stage.open(max_trainers=4).enrol()
    for i in (2, 0):
        stage.trainers[i].send(Exit(run=stage.run))
    admitted = []
    for index in (None, 0, 2):
        receipt = stage.join(Role.TRAINER, index=index)
        admitted += [event.index for event in receipt.events if isinstance(event, Admitted)]
    assert admitted == [3, 0, 2]
    refused("Full", lambda: stage.join(Role.TRAINER), stage.run, Role.TRAINER, 4)
    ledger = stage.ledger()
    assert [seat.account for seat in ledger.seats[Role.TRAINER]] == [chain.account for chain in stage.trainers]
    assert [seat.since_round for seat in ledger.seats[Role.TRAINER]] == [2, 1, 2, 2]


def test_one_seat_per_account_for_good(stage: Stage) -> None:
    stage.open(max_trainers=3).enrol()
    leaver = stage.trainers[1]
    leaver.send(Exit(run=stage.run))
    refused("AlreadySeated", lambda: leaver.send(stage.seat(Role.TRAINER)), stage.run, leaver.account)
    stage.join(Role.TRAINER, index=1)
    refused("AlreadySeated", lambda: leaver.send(stage.seat(Role.TRAINER)), stage.run, leaver.account)
    refused("AlreadySeated", lambda: leaver.send(stage.seat(Role.VERIFIER)), stage.run, leaver.account)


def test_a_verifiers_seat_is_not_given_again_while_it_is_on_duty(stage: Stage) -> None:
    stage.open(max_verifiers=3).enrol()
    leaver = stage.verifiers[2]
    leaver.send(Exit(run=stage.run))
    refused("Full", lambda: stage.world.connect(150).send(stage.seat(Role.VERIFIER)), stage.run, Role.VERIFIER, 3)
    stage.submit(0, 1, 2)
    stage.close()
    stage.hold(2)  # it finishes its round
    stage.hold(0, 1)
    stage.poke()
    assert stage.ledger().round.number == 2
    receipt = stage.join(Role.VERIFIER, index=2)
    assert [event.index for event in receipt.events if isinstance(event, Admitted)] == [2]
    newcomer = stage.verifiers[2]

    stage.submit(0, 1, 2)
    stage.close()
    hold = Hold(run=stage.run, bitmap=b"\7", base=b"\3" * 32)
    refused("NotOnCommittee", lambda: newcomer.send(hold), stage.run, 2)
    stage.hold(0, 1)  # the committee without it
    stage.poke()
    assert stage.ledger().round.number == 3

    stage.submit(0, 1, 2)
    stage.close()
    refused("NotSeated", lambda: leaver.send(hold), stage.run, leaver.account, Role.VERIFIER)
    stage.hold(0, 1)
    assert stage.phase is Phase.HOLD
    stage.world.advance(0)
    stage.hold(2)
    assert stage.phase is Phase.COMMIT


def test_a_former_verifier_is_free_though_its_seat_is_on_duty(stage: Stage) -> None:
    stage.open(max_verifiers=3).enrol()
    leaver = stage.verifiers[2]
    leaver.send(Exit(run=stage.run))
    stage.poke()
    stage.join(Role.VERIFIER, index=2)
    stage.poke()
    assert stage.ledger().round.stakes_wei[2] == STAKE_WEI[Role.VERIFIER]
    stage.world.advance(stage.params.exit_s)
    leaver.send(Withdraw(run=stage.run))
    assert stage.sponsor.stakes_wei(stage.run, [leaver.account, stage.verifiers[2].account]) == [
        0,
        STAKE_WEI[Role.VERIFIER],
    ]


# The weakest


def weakest_named(stage: Stage, **terms: object) -> int:
    """After one settled round in a run with all its seats taken; the weakest trainer, who was promised something."""
    stage.open(max_trainers=3, immunity_rounds=0, **terms).enrol()
    stage.play()
    settled = stage.ledger().rounds[0].settled
    assert settled is not None
    assert stage.ledger().final.trainers[settled.outcome.weakest].paid_wei > 0
    return settled.outcome.weakest


def test_the_weakest_is_pushed_out_when_no_seat_is_free(stage: Stage) -> None:
    weakest = weakest_named(stage)
    loser = stage.trainers[weakest]
    owed_wei = stage.ledger().final.trainers[weakest].paid_wei
    receipt = stage.join(Role.TRAINER, index=weakest)
    assert [type(event) for event in receipt.events] == [Retired, Admitted, Exiting, Joined]
    admitted, exiting = receipt.events[1:3]
    assert isinstance(admitted, Admitted) and admitted.index == weakest
    assert isinstance(exiting, Exiting) and exiting.account == loser.account
    newcomer = stage.trainers[weakest]

    # Named once, given once.
    refused("Full", lambda: stage.world.connect(51).send(stage.seat(Role.TRAINER)), stage.run, Role.TRAINER, 3)
    submit = Submit(run=stage.run, digest=bytes(32), claimed_gain_micronats=0)
    refused("NotSeated", lambda: loser.send(submit), stage.run, loser.account, Role.TRAINER)
    refused("NotYet", lambda: newcomer.send(submit), 3, 2)
    refused("AlreadyExiting", lambda: loser.send(Exit(run=stage.run)), stage.run, loser.account)
    refused("StillLocked", lambda: loser.send(Withdraw(run=stage.run)), exiting.withdrawable_s)

    # Nobody waits for who cannot come.
    stage.submit(*({0, 1, 2} - {weakest}))
    assert stage.ledger().awaited_trainers() == {0, 1, 2} - {weakest}
    stage.close()
    stage.hold(0, 1, 2)
    reports = {v: stage.report(v, gains=[0 if i == weakest else 10 for i in range(3)]) for v in range(3)}
    stage.commit(reports)
    stage.reveal(reports)
    stage.settle()
    ledger = stage.ledger()
    assert ledger.final.trainers[weakest].account == loser.account  # whoever held the seat as the round opened
    assert ledger.awaited_trainers() == {0, 1, 2}

    receipt = stage.play()
    assert Left(run=stage.run, account=loser.account, cumulative_wei=owed_wei) in [
        replace(event, position=(0, 0), tx_hash=b"") for event in receipt.events
    ]
    ledger = stage.ledger()
    standing = ledger.final.trainers[weakest]
    assert (standing.account, standing.rounds, standing.misses) == (newcomer.account, 1, 0)
    assert stage.sponsor.left_wei(stage.run, loser.account) == owed_wei == ledger.left_wei[loser.account]
    stage.world.advance(stage.params.exit_s)
    loser.send(Withdraw(run=stage.run))


def test_who_is_pushed_out_is_paid_for_what_it_said_before(stage: Stage) -> None:
    weakest = weakest_named(stage)
    loser = stage.trainers[weakest]
    stage.submit(0, 1, 2)
    before_wei = stage.ledger().final.trainers[weakest].paid_wei
    stage.join(Role.TRAINER, index=weakest)
    stage.close()
    stage.hold(0, 1, 2)
    reports = {v: stage.report(v) for v in range(3)}
    stage.commit(reports)
    stage.reveal(reports)
    stage.settle()
    standing = stage.ledger().final.trainers[weakest]
    assert standing.account == loser.account and standing.paid_wei > before_wei


def test_a_leavers_seat_is_given_before_the_weakest(stage: Stage) -> None:
    weakest = weakest_named(stage)
    other = (weakest + 1) % 3
    stage.trainers[other].send(Exit(run=stage.run))
    stage.join(Role.TRAINER, index=other)
    assert stage.ledger().seats[Role.TRAINER][other].account == stage.trainers[other].account
    stage.join(Role.TRAINER, index=weakest)
    assert stage.ledger().seats[Role.TRAINER][weakest].account == stage.trainers[weakest].account


def test_the_weakest_who_left_by_itself_is_not_pushed(stage: Stage) -> None:
    weakest = weakest_named(stage)
    stage.trainers[weakest].send(Exit(run=stage.run))
    stage.join(Role.TRAINER, index=weakest)
    refused("Full", lambda: stage.join(Role.TRAINER), stage.run, Role.TRAINER, 3)


def test_newcomers_are_immune_for_a_while(stage: Stage) -> None:
    stage.open(max_trainers=3, immunity_rounds=1).enrol()
    refused("Full", lambda: stage.join(Role.TRAINER), stage.run, Role.TRAINER, 3)  # nothing settled
    stage.play()
    refused("Full", lambda: stage.join(Role.TRAINER), stage.run, Role.TRAINER, 3)
    stage.play()
    settled = stage.ledger().rounds[1].settled
    assert settled is not None
    stage.join(Role.TRAINER, index=settled.outcome.weakest)


# Nothing is inherited


def test_a_newcomer_is_awaited_whatever_the_seat_missed(stage: Stage) -> None:
    stage.open(max_trainers=3, max_rounds=9).enrol()
    for _ in range(2):
        stage.submit(0, 1)
        stage.poke()
        stage.hold(0, 1, 2)
        reports = {v: stage.report(v, gains=[10, 20, 0]) for v in range(3)}
        stage.commit(reports)
        stage.reveal(reports)
        stage.settle()
    assert stage.ledger().awaited_trainers() == {0, 1}
    stage.trainers[2].send(Exit(run=stage.run))
    stage.join(Role.TRAINER, index=2)
    stage.submit(0, 1)
    stage.close()
    stage.hold(0, 1, 2)
    reports = {v: stage.report(v, gains=[10, 20, 0]) for v in range(3)}
    stage.commit(reports)
    stage.reveal(reports)
    stage.settle()  # the seat's third miss: not the newcomer's
    assert stage.ledger().awaited_trainers() == {0, 1, 2}
    stage.submit(0, 1)
    refused("StillAwaited", stage.close, 2)
    stage.submit(2)
    stage.close()
    ledger = stage.ledger()
    assert ledger.round.standings[2] == Standing(stage.trainers[2].account, Role.TRAINER)


def test_a_new_verifier_has_missed_nothing(stage: Stage) -> None:
    stage.open(min_verifiers=4, max_verifiers=4, max_rounds=9).enrol(verifiers=4)
    stage.submit(0, 1, 2)
    stage.close()
    stage.hold(0, 1, 2)
    stage.poke()  # the fourth missed one phase
    assert stage.phase is Phase.COMMIT
    stage.verifiers[3].send(Exit(run=stage.run))
    stage.poke()
    assert stage.ledger().round.number == 2
    stage.join(Role.VERIFIER, index=3)
    stage.poke()
    assert stage.ledger().round.number == 3
    stage.submit(0, 1, 2)
    stage.close()
    stage.hold(0, 1, 2)
    assert stage.phase is Phase.HOLD  # awaited from its first round on
    stage.poke()
    stage.commit({v: stage.report(v) for v in range(3)})
    assert stage.phase is Phase.COMMIT  # one miss is not two
    stage.poke()
    stage.reveal({v: stage.report(v) for v in range(3)})
    stage.settle()
    stage.play(everybody=(3, 0, 1, 2))
    assert stage.ledger().final.verifiers[3].account == stage.verifiers[3].account


def test_who_holds_no_seat_any_more_keeps_its_pay(stage: Stage) -> None:
    """Totals: what is in the tree and what leavers were promised."""
    stage.open(max_trainers=3, max_verifiers=3).enrol()
    stage.play()
    before = stage.ledger().final
    stage.trainers[2].send(Exit(run=stage.run))
    stage.verifiers[0].send(Exit(run=stage.run))
    stage.join(Role.TRAINER, index=2)
    stage.poke()
    stage.join(Role.VERIFIER, index=0)
    stage.poke()
    stage.play()
    ledger = stage.ledger()
    assert ledger.left_wei == {
        before.trainers[2].account: before.trainers[2].paid_wei,
        before.verifiers[0].account: before.verifiers[0].paid_wei,
    }
    assert ledger.total_wei == sum(s.paid_wei for s in ledger.all_standings()) + sum(ledger.left_wei.values())
    assert stage.sponsor.escrow(stage.run).total_wei == ledger.total_wei <= BUDGET_WEI
    assert stage.sponsor.standings_hash(stage.run) == ledger.final.standings_hash


def test_an_ejected_verifiers_seat_is_free_in_the_next_round(stage: Stage) -> None:
    stage.open(slash_bps=6_000, min_verifiers=4, max_verifiers=4).enrol(verifiers=4)
    stage.play({v: stage.report(v, word=FAR if v == 3 else 0) for v in range(4)}, everybody=(0, 1, 2, 3))
    stage.join(Role.VERIFIER, stake_wei=150 * ETHER_WEI, index=3)
    stage.play()
    assert stage.ledger().round.stakes_wei[3] == 150 * ETHER_WEI
