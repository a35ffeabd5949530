"""What a round makes of a verifier: its bond, its share of the pot, and what it can lose."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.spec.mechanism import (
    bond,
    is_ejected,
    settle,
    shares,
    slash,
)
from gradmint.spec.params import STANDARD
from gradmint.spec.types import (
    ONE_Q32,
    UNSAMPLED,
    Role,
    Row,
    Verdict,
)

from .situations import fresh, payouts_wei
from .synthetic import FAIR, SMALL, make_report

# Bonds


def bonded(agreements: list[float], weight_bps: int, rounds: int = 0) -> list[float]:
    """A verifier's bond, round by round."""
    params = replace(STANDARD, bonds_weight_bps=weight_bps)
    [standing] = fresh(1, Role.VERIFIER)
    standing, bonds = replace(standing, rounds=rounds), []
    for agreement in agreements:
        [standing] = bond(params, [standing], [int(agreement * ONE_Q32)])
        standing = replace(standing, rounds=standing.rounds + 1)
        bonds.append(standing.value_q32 / ONE_Q32)
    return bonds


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10), st.integers(0, 100))
def test_at_full_weight_a_bond_has_no_memory(agreements: list[float], rounds: int) -> None:
    assert bonded(agreements, 10_000, rounds) == pytest.approx(agreements, abs=1e-9)


def test_otherwise_a_bond_is_the_mean_of_what_was_shown_and_exponential_later() -> None:
    assert bonded([1, 1, 1], 1_000) == [1, 1, 1]  # whole from the first round on
    assert bonded([1, 0, 0.5], 1_000) == pytest.approx([1, 0.5, 0.5])
    assert bonded([0] * 4, 1_000, rounds=100) == [0] * 4
    full = bonded([1] * 40 + [0] * 5 + [1] * 5, 1_000)
    assert full[40:45] == pytest.approx([0.9**k for k in range(1, 6)])
    assert full[45:] == pytest.approx([1 - 0.9**k * (1 - 0.9**5) for k in range(1, 6)])


def test_a_verifiers_bond_fades_while_it_is_silent_and_is_paid_by_what_is_left_of_it() -> None:
    """Four verifiers; the last one is silent for five rounds, and outside the cluster, so unpaid, for as long."""
    params = replace(SMALL, bonds_weight_bps=2_000)
    said = make_report([FAIR])
    trainers, verifiers = fresh(1), [replace(s, rounds=50, value_q32=ONE_Q32) for s in fresh(4, Role.VERIFIER)]
    bonds, paid = [], []
    for round_ in range(1, 11):
        told = [said] * 3 + [None if round_ <= 5 else said]
        after = settle(params, round_, 10_000_000, trainers, verifiers, [10**18] * 4, told)
        paid.append(payouts_wei(verifiers, after.verifiers)[-1])
        assert payouts_wei(verifiers, after.verifiers)[:3] == [500_000] * 3  # as always: nobody's part is handed on
        verifiers = list(after.verifiers)
        bonds.append(verifiers[-1].value_q32 / ONE_Q32)
    fading = [0.8**k for k in range(1, 6)]
    growing = [1 - 0.8**k * (1 - 0.8**5) for k in range(1, 6)]
    assert bonds == pytest.approx(fading + growing)
    assert paid == pytest.approx([0] * 5 + [500_000 * part for part in growing], abs=1)


def test_a_verifier_is_paid_for_as_much_as_it_agreed() -> None:
    """Inside the cluster by its signature, yet naming three gains of which only half are the others'."""
    said = make_report([Row(Verdict.OK, 100, UNSAMPLED), Row(Verdict.OK, 100, UNSAMPLED)])
    odd = make_report([Row(Verdict.OK, 100, UNSAMPLED), Row(Verdict.OK, -100, UNSAMPLED)])
    after = settle(SMALL, 1, 20_000, fresh(2), fresh(4, Role.VERIFIER), [10**18] * 4, [said, said, odd, said])
    assert [s.paid_wei for s in after.verifiers] == [1_000, 1_000, 500, 1_000]
    assert [s.value_q32 for s in after.verifiers] == [ONE_Q32, ONE_Q32, ONE_Q32 // 2, ONE_Q32]
    assert after.slashed_wei == (0,) * 4


def test_outside_the_cluster_a_bond_earns_nothing_and_falls() -> None:
    params = replace(SMALL, bonds_weight_bps=5_000)
    near, far = make_report([FAIR], 0), make_report([FAIR], 2**30 - 1)
    before = [replace(s, rounds=9, value_q32=ONE_Q32) for s in fresh(4, Role.VERIFIER)]
    after = settle(params, 1, 20_000, fresh(1), before, [1] * 4, [near, near, near, far])
    assert [s.paid_wei for s in after.verifiers] == [1_000, 1_000, 1_000, 0]
    assert after.verifiers[3].value_q32 == ONE_Q32 // 2


def test_shares_are_the_clusters_bonds_of_the_whole_committees_stake() -> None:
    full = [replace(standing, value_q32=ONE_Q32) for standing in fresh(4, Role.VERIFIER)]
    assert shares(full, [5, 0, 7, 9], [0, 1, 3]) == ([5, 0, 0, 9], 21)
    assert shares(full[:2], [0, 0], [0]) == ([0, 0], 0)
    half = [replace(full[0], value_q32=ONE_Q32 // 2), *full[1:]]
    assert shares(half, [5, 0, 7, 9], [0, 1, 3]) == ([2, 0, 0, 9], 21)


# Slashing


def slashed_at(distance: int, honest: int = 4, liars: int = 1) -> int:
    """What each of ``liars`` loses of 10,000, that far from ``honest`` others."""
    near, far = make_report([FAIR], 0), make_report([FAIR], (1 << distance) - 1)
    count = honest + liars
    told = [near] * honest + [far] * liars
    after = settle(SMALL, 1, 10**6, fresh(1), fresh(count, Role.VERIFIER), [10_000] * count, told)
    assert after.slashed_wei[:honest] == (0,) * honest
    assert len(set(after.slashed_wei[honest:])) == 1
    paid = [s.paid_wei > 0 for s in after.verifiers]
    assert paid == [True] * honest + [distance <= SMALL.accept_bits] * liars
    return after.slashed_wei[-1]


def test_near_is_paid_grey_is_not_far_is_slashed() -> None:
    assert (SMALL.accept_bits, SMALL.slash_bits) == (10, 40)
    assert [slashed_at(distance) for distance in (0, 10, 11, 40, 41, 256)] == [0, 0, 0, 0, 2_000, 2_000]


def test_only_a_unanimous_cluster_slashes() -> None:
    assert slashed_at(256, honest=3, liars=1) == 2_000  # 3/4
    assert slashed_at(256, honest=5, liars=2) == 0  # above 2/3, below 3/4


def test_silence_costs_the_liveness_penalty_unanimous_or_not() -> None:
    assert slash(SMALL, [10_000, 10_000, 0, 99], [0, None, None, None], unanimous=False) == [0, 100, 0, 0]
    assert slash(SMALL, [10_000, 10_000], [41, None], unanimous=True) == [2_000, 100]


def test_outside_the_committee_there_is_nothing_to_lose() -> None:
    near, far = make_report([FAIR], 0), make_report([FAIR], 2**256 - 1)
    after = settle(SMALL, 1, 10**6, fresh(1), fresh(5, Role.VERIFIER), [1, 1, 1, 1, 0], [near] * 4 + [far])
    assert after.slashed_wei == (0,) * 5
    assert after.verifiers[4].paid_wei == 0


def test_ejected_below_half_not_at_half() -> None:
    assert [is_ejected(stake_wei, 100) for stake_wei in (0, 49, 50, 51, 100)] == [True, True, False, False, False]
    assert [is_ejected(stake_wei, 101) for stake_wei in (50, 51)] == [True, False]


def test_four_far_reports_eject() -> None:
    """0.8^3 is above a half, 0.8^4 below."""
    stake_wei, survived = 100 * 10**18, 0
    while not is_ejected(stake_wei, 100 * 10**18):
        stake_wei -= slash(SMALL, [stake_wei], [256], unanimous=True)[0]
        survived += 1
    assert survived == 4
