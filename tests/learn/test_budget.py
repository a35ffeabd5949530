"""Where votes go: to doubt and to near-ties, until little is to be gained; and the verdicts they lead to."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradmint.learn.budget import LEAST_GAIN, PRIOR_DOUBTS, PRIOR_ROUNDS, VOTES, Budget, doubts, sign
from gradmint.spec.types import ABSENT_ROW, UNSAMPLED, Row, Verdict

SEED = bytes(range(32))


def run(budget: Budget, discrepancy: Callable[[int, int], float]) -> list[int]:
    """Trainers in the order of their votes."""
    order = []
    while (wanted := budget.next()) is not None:
        order.append(wanted[0])
        budget.record(wanted[0], discrepancy(*wanted))
    return order


def test_sound_values_take_one_vote_each() -> None:
    cheap = {0: 2e-3, 1: -1e-3, 5: 4e-4, 6: 1e-9}
    budget = Budget(cheap, {}, VOTES, 100, SEED)
    order = run(budget, lambda trainer, part: 1e-4 * cheap[trainer])
    assert sorted(order) == [0, 1, 5, 6] and budget.votes() == dict.fromkeys(cheap, 1)
    assert [sign(budget.exact(trainer)) for trainer in cheap] == [1, -1, 1, 0]


def test_a_lying_value_is_found_out_and_takes_more() -> None:
    """Trainer 1's exact gain is minus what its cheap value says, part by part with noise."""
    draw = np.random.Generator(np.random.Philox(1))
    cheap = {0: 2e-3, 1: 1.5e-3, 2: 1e-3}
    budget = Budget(cheap, {}, VOTES, 100, SEED)
    run(budget, lambda t, part: -2 * cheap[t] * (1 + 0.5 * draw.standard_normal()) if t == 1 else 1e-6)
    assert budget.votes()[1] > max(budget.votes()[0], budget.votes()[2])
    assert [sign(budget.exact(trainer)) for trainer in cheap] == [1, -1, 1]


def test_doubted_trainers_come_first() -> None:
    cheap = dict.fromkeys(range(6), 1e-3)
    assert run(Budget(cheap, {4: 0.3, 2: 0.1}, VOTES, 2, SEED), lambda *_: 0.0) == [4, 2]
    assert run(Budget(cheap, dict.fromkeys(cheap, 1e-4), VOTES, 99, SEED), lambda *_: 0.0) == []


def test_the_seed_decides_between_equals_and_nothing_else_does() -> None:
    cheap = dict.fromkeys(range(8), 1e-3)
    orders = {seed: run(Budget(cheap, {}, VOTES, 3, bytes([seed]) * 32), lambda *_: 0.0) for seed in range(6)}
    assert len({tuple(order) for order in orders.values()}) > 1
    backwards = dict(reversed(cheap.items()))
    assert run(Budget(backwards, {}, VOTES, 3, bytes(32)), lambda *_: 0.0) == orders[0]


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(st.integers(0, 20), st.floats(-1, 1), max_size=6),
    st.integers(0, 30),
    st.integers(2, VOTES),
    st.floats(0, 3),
    st.integers(0, 99),
)
def test_never_over_the_cap_nor_twice_on_a_part(
    cheap: dict[int, float], cap: int, parts: int, noise: float, seed: int
) -> None:
    draw = np.random.Generator(np.random.Philox(seed))
    budget, asked = Budget(cheap, {}, parts, cap, SEED), set()
    while (wanted := budget.next()) is not None:
        assert wanted not in asked and wanted[1] < parts
        asked.add(wanted)
        budget.record(wanted[0], noise * draw.standard_normal())
    assert len(asked) <= cap and sum(budget.votes().values()) == len(asked)


def test_certainty_is_what_happens() -> None:
    """Cheap values of either kind, drawn as the two beliefs say: no more wrong verdicts than the threshold leaves, and
    far fewer votes than a full check's."""
    draw = np.random.Generator(np.random.Philox(2))
    wrong = votes = count = 0
    doubt = 0.2
    for _ in range(60):
        cheap = {t: float(1e-3 * draw.standard_normal()) for t in range(10)}
        usual = float(np.median(np.abs(list(cheap.values()))))
        values = {}
        for t, gain in cheap.items():
            deviation = 0.02 * abs(gain) if draw.random() > doubt else 2 * abs(gain) + usual
            values[t] = deviation * (draw.standard_normal() + draw.standard_normal(VOTES))
        budget = Budget(cheap, dict.fromkeys(cheap, doubt), VOTES, 1_000, SEED)
        run(budget, lambda t, part, values=values: float(values[t][part]))  # type: ignore[misc]
        wrong += sum(sign(budget.exact(t)) != sign(cheap[t] + float(values[t].mean())) for t in cheap)
        votes, count = votes + sum(budget.votes().values()), count + len(cheap)
    assert votes <= 0.5 * VOTES * count
    allowed = VOTES * LEAST_GAIN * count
    assert wrong <= allowed + 5 * math.sqrt(allowed)


def test_what_is_no_number_is_left_alone() -> None:
    budget = Budget({0: math.nan, 1: 1e-3, 2: -math.inf}, {}, VOTES, 50, SEED)
    assert run(budget, lambda *_: math.nan) == [1]
    assert math.isnan(budget.exact(1)) and sign(budget.exact(1)) == 0
    assert Budget({}, {}, VOTES, 5, SEED).next() is None


@pytest.mark.parametrize(("nats", "expected"), [(5.1e-7, 1), (4.9e-7, 0), (-5.1e-7, -1), (-4.9e-7, 0), (0.0, 0)])
def test_signs_are_of_whole_micronats(nats: float, expected: int) -> None:
    assert sign(nats) == expected


def test_doubts_grow_with_disagreement() -> None:
    good, bad = Row(Verdict.OK, 5, UNSAMPLED), Row(Verdict.OK, -5, UNSAMPLED)
    rounds = [((good, good, ABSENT_ROW), [(good, bad, ABSENT_ROW), (good, good, good)])] * 10
    found = doubts(rounds)
    assert found == {
        0: PRIOR_DOUBTS / (PRIOR_ROUNDS + 20),
        1: (PRIOR_DOUBTS + 10) / (PRIOR_ROUNDS + 20),
        2: (PRIOR_DOUBTS + 10) / (PRIOR_ROUNDS + 20),
    }
    assert doubts([]) == {}
