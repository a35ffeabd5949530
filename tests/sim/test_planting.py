"""The inequality of planted updates: closed form against the protocol's own draws, and what follows from it."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.sim.planting import Planting
from gradmint.spec.docket import split_bond
from gradmint.spec.params import LARGE, LOCAL, MAX_TRAINERS, STANDARD, Params
from gradmint.spec.plant import seized_wei
from gradmint.spec.seeds import assigned_trainers, derive

ETHER = 10**18
runs = st.builds(
    Planting,
    params=st.builds(
        lambda preset, slash_bps, assigned: replace(preset, slash_bps=slash_bps, assigned_trainers=assigned),
        st.sampled_from([STANDARD, LOCAL, LARGE]),
        st.integers(1, 10_000),
        st.integers(1, 1_024),
    ),
    trainers=st.integers(1, MAX_TRAINERS),
    stake_wei=st.integers(10**9, 10**24),
)


@given(runs, st.floats(1, 1e24), st.floats(0, 1))
def test_not_looking_loses_money_exactly_above_the_least_chance(run: Planting, cost_wei: float, chance: float) -> None:
    least = run.least_chance(cost_wei)
    if not math.isclose(chance, least, rel_tol=1e-9):
        assert (run.idle_gain_wei(cost_wei, chance) < 0) is (chance > least)


@given(runs, st.floats(1, 1e24))
def test_the_two_forms_of_the_inequality_are_one(run: Planting, cost_wei: float) -> None:
    assert math.isclose(run.most_cost_wei(run.least_chance(cost_wei)), cost_wei, rel_tol=1e-9)


@given(runs, st.floats(1, 1e24), st.integers(2, 9))
def test_a_greater_stake_or_more_checks_need_fewer_plants(run: Planting, cost_wei: float, factor: int) -> None:
    least = run.least_chance(cost_wei)
    assert math.isclose(replace(run, stake_wei=factor * run.stake_wei).least_chance(cost_wei), least / factor)
    more = replace(run, params=replace(run.params, assigned_trainers=factor * run.params.assigned_trainers))
    assert more.least_chance(cost_wei) <= least


@given(runs)
def test_who_exposes_itself_loses_half_at_least(run: Planting) -> None:
    assert run.own_exposure_costs_wei() >= run.slash_wei / 2 - 1


@pytest.mark.parametrize(("preset", "trainers"), [(STANDARD, 64), (STANDARD, 256), (LOCAL, 8), (LARGE, 1_024)])
def test_expectations_are_what_the_protocols_draws_come_to(preset: Params, trainers: int) -> None:
    """Rounds played with its sampling and split: a lazy verifier's gain and a planter's, within 5 standard errors."""
    run = Planting(params=preset, trainers=trainers, stake_wei=preset.verifier_stake_wei)
    rng, chance, rounds = random.Random(7), 0.25, 4_000
    cost_wei, pay_wei = run.most_cost_wei(chance) / 3, ETHER / 10
    taken_wei = seized_wei(preset, run.stake_wei, run.stake_wei)
    reward_wei = split_bond(taken_wei, preset.challenger_bps, preset.burn_bps)[0]
    idle, plants = [], []
    for number in range(rounds):
        caught = False
        if rng.random() < chance:
            drawn = assigned_trainers(derive(b"\0" * 32, "round", number), preset.assigned_trainers, trainers)
            caught = rng.randrange(trainers) in drawn
            plants.append(reward_wei - run.plant_costs_pays * pay_wei if caught else 0.0)
        idle.append(cost_wei - (taken_wei if caught else 0))
    for found, expected in (
        (idle, run.idle_gain_wei(cost_wei, chance)),
        (plants, run.asked * run.planters_gain_wei(1, pay_wei)),
    ):
        mean = sum(found) / len(found)
        error = math.sqrt(sum((x - mean) ** 2 for x in found) / len(found) / len(found))
        assert abs(mean - expected) <= 5 * error + 1e-9 * abs(expected)


def test_a_plant_costs_five_and_a_half_pays() -> None:
    """As docs/proof-of-training.md has it: a round, then half of the trust, a tenth of which comes back each round."""
    run = Planting(params=STANDARD, trainers=64, stake_wei=STANDARD.verifier_stake_wei)
    lost, trust = 1.0, STANDARD.penalty_bps[8] / 10_000
    for _ in range(500):
        trust += (1 - trust) * STANDARD.recovery_bps / 10_000
        lost += 1 - trust
    assert math.isclose(run.plant_costs_pays, lost, rel_tol=1e-9) and math.isclose(lost, 5.5)


def test_the_presets_numbers() -> None:
    """Of docs/threat-model.md: one lazy verifier pays for a plant that costs less than 1.45 tokens a round's pay."""
    run = Planting(params=STANDARD, trainers=256, stake_wei=STANDARD.verifier_stake_wei)
    assert run.asked == 1 / 16 and run.slash_wei == 20 * ETHER
    assert math.isclose(run.most_cost_wei(0.05), 0.0625 * ETHER)
    assert math.isclose(run.planters_gain_wei(1, 0), 8 * ETHER)
    assert math.isclose(run.guilty_that_pay(8 * ETHER / 5.5), 1)
    assert math.isclose(replace(run, trainers=8).most_cost_wei(0.05), ETHER)
    large = Planting(params=LARGE, trainers=1_024, stake_wei=LARGE.verifier_stake_wei)
    assert large.asked == 1 / 64 and math.isclose(large.most_cost_wei(0.05), 0.015625 * ETHER)


def test_a_run_that_checks_no_headers_is_never_kept_honest_by_plants() -> None:
    none = replace(STANDARD, assigned_trainers=0)
    run = Planting(params=none, trainers=8, stake_wei=STANDARD.verifier_stake_wei)
    assert run.least_chance(1) == math.inf and run.idle_gain_wei(1, 1) == 1
