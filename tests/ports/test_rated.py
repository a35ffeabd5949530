"""Ratings brought into a run, on the chain and on its twin: seats, draw, stake."""

from __future__ import annotations

import pytest

from gradmint.ports.chain import Exit, Rate
from gradmint.roles.desk import least_stake_wei
from gradmint.spec.committee import draw, weight
from gradmint.spec.events import Admitted, Rated
from gradmint.spec.mechanism import pay_multiplier_q32
from gradmint.spec.params import RATED
from gradmint.spec.types import Phase, Role

from .harness import STAKE_WEI, Stage, refused

HALF_Q32, MOST_Q32 = 2**31, 2**32 - 1


def test_anyone_brings_a_rating_in_and_a_lapse_takes_it_out(stage: Stage) -> None:
    stage.open(**RATED).enrol()
    trainer = stage.trainers[1]
    call = Rate(run=stage.run, account=trainer.account)
    stage.world.rate(trainer.account, 0)
    refused("RatingUnchanged", lambda: stage.sponsor.sign(call), stage.run, trainer.account, 0)
    stage.world.rate(trainer.account, HALF_Q32)
    assert trainer.rating_q32(trainer.account) == HALF_Q32
    (event,) = stage.sponsor.send(call).events
    assert isinstance(event, Rated)
    assert (event.role, event.index, event.rating_q32) == (Role.TRAINER, 1, HALF_Q32)
    assert stage.ledger().seats[Role.TRAINER][1].rating_q32 == HALF_Q32
    stage.world.rate(trainer.account, 0)
    stage.sponsor.send(call)
    assert stage.ledger().seats[Role.TRAINER][1].rating_q32 == 0
    stranger = b"\x99" * 20
    refused(
        "NotSeated",
        lambda: stage.sponsor.sign(Rate(run=stage.run, account=stranger)),
        stage.run,
        stranger,
        0,
    )


def test_the_paid_for_work_by_rating_and_newcomers_start_without(stage: Stage) -> None:
    stage.open(**RATED).enrol()
    stage.world.rate(stage.trainers[2].account, MOST_Q32)
    stage.sponsor.send(Rate(run=stage.run, account=stage.trainers[2].account))
    stage.play()
    stage.play()
    params, final = stage.params, stage.ledger().final
    least_q32, most_q32 = (pay_multiplier_q32(params, rating) for rating in (0, MOST_Q32))
    assert [standing.reputation_q32 for standing in final.trainers] == [least_q32, least_q32, most_q32]
    leaver = stage.trainers[2]
    leaver.send(Exit(run=stage.run))
    refused(
        "NotSeated",
        lambda: stage.sponsor.sign(Rate(run=stage.run, account=leaver.account)),
        stage.run,
        leaver.account,
        Role.TRAINER,
    )


def test_the_committee_is_drawn_by_stake_and_rating(stage: Stage) -> None:
    stage.open(**RATED, committee=2)
    stage.enrol(3, 3)
    for verifier, rating_q32 in zip(stage.verifiers, (MOST_Q32, 0, HALF_Q32), strict=True):
        stage.world.rate(verifier.account, rating_q32)
        if rating_q32:
            stage.sponsor.send(Rate(run=stage.run, account=verifier.account))
    stage.submit(0, 1, 2)
    stage.close()
    round_ = stage.ledger().round
    weights = [weight(STAKE_WEI[Role.VERIFIER], rating, 5_000) for rating in (MOST_Q32, 0, HALF_Q32)]
    assert round_.active == draw(round_.opened[Phase.HOLD].beacon, weights, 2)
    assert {stake_wei for stake_wei in round_.stakes_wei if stake_wei} == {STAKE_WEI[Role.VERIFIER]}


def test_the_rated_stake_less_and_not_a_wei_less_than_that(stage: Stage) -> None:
    stage.open(**RATED)
    chain = stage.world.connect(101)
    stage.world.rate(chain.account, HALF_Q32)
    whole_wei = STAKE_WEI[Role.VERIFIER]
    least_wei = least_stake_wei(chain, stage.params, Role.VERIFIER)
    assert least_wei == whole_wei - whole_wei // 8
    refused("StakeTooSmall", lambda: chain.sign(stage.seat(Role.VERIFIER, least_wei - 1)), least_wei - 1, least_wei)
    assert any(isinstance(event, Admitted) for event in stage.join(Role.VERIFIER, least_wei).events)
    stage.world.rate(chain.account, 0)


def test_without_a_discount_nobody_is_asked_for_a_rating(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.open()
    chain = stage.world.connect(101)
    monkeypatch.setattr(type(chain), "rating_q32", None)
    assert least_stake_wei(chain, stage.params, Role.VERIFIER) == STAKE_WEI[Role.VERIFIER]
