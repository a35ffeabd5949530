"""What a coalition is in drawn committees: the exact chances against counting, and the theorem behind the presets."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import pytest

from gradmint.sim.sortition import captured, captures, chance, divides, is_quorum, whale_stakes
from gradmint.sim.study import Study
from gradmint.spec.committee import draw
from gradmint.spec.params import LARGE, LOCAL, STANDARD


def test_chances_are_those_of_all_committees() -> None:
    for seats, size, coalition in ((6, 3, 2), (7, 4, 5), (5, 5, 2), (8, 2, 0)):
        committees = list(combinations(range(seats), size))
        for wanted in range(size + 1):
            hits = sum(sum(v < coalition for v in members) == wanted for members in committees)
            found = chance(seats, size, coalition, lambda k, wanted=wanted: k == wanted)
            assert found == Fraction(hits, len(committees))


def test_draws_are_as_likely_as_computed() -> None:
    params = replace(STANDARD, max_verifiers=9, committee=3)
    part = 5 / 9
    counted = captured([100] * 9, 3, 5, seed=1, draws=4_000)
    assert abs(counted - float(captures(params, part))) < 0.03


@pytest.mark.parametrize("seats", [8, 16, 20, 31, 32])
def test_less_than_a_third_of_equal_stakes_is_never_a_quorum_of_half_or_more(seats: int) -> None:
    coalition = (seats - 1) // 3
    for size in range((seats + 1) // 2, seats + 1):
        assert not is_quorum(min(coalition, size), size)
        params = replace(STANDARD, max_verifiers=seats, committee=size)
        assert captures(params, coalition / seats) == 0
    smaller = next(size for size in range(seats, 0, -1) if is_quorum(min(coalition, size), size))
    assert 2 * smaller < seats
    assert captures(replace(STANDARD, max_verifiers=seats, committee=smaller), coalition / seats) > 0


def test_the_presets_committees() -> None:
    assert captures(STANDARD, 0.33) == 0
    for preset in (LOCAL, LARGE):
        everyone = (1 << preset.max_verifiers) - 1
        assert draw(bytes(32), [1] * preset.max_verifiers, preset.committee) == everyone
        assert divides(replace(preset, committee=preset.max_verifiers), 0.33) == 0


def test_a_smaller_committee_is_captured_now_and_then() -> None:
    """Why not 12 of 32: a third would have it once in 14,000 rounds."""
    assert 6e-5 < captures(replace(STANDARD, committee=12), 0.33) < 8e-5


def test_whales_count_twice() -> None:
    """By the draw and by the vote: 49% in three seats are mostly a quorum, and would never be one among everyone."""
    stakes_wei = whale_stakes(STANDARD, 0.49)
    assert abs(sum(stakes_wei[:3]) / sum(stakes_wei) - 0.49) < 1e-9
    assert captured(stakes_wei, STANDARD.committee, 3, seed=0, draws=200) > 0.9
    assert captured(stakes_wei, STANDARD.max_verifiers, 3, seed=0, draws=5) == 0
    assert Study(params=STANDARD).is_reported
