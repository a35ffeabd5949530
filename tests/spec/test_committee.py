"""Who is drawn: by stake and by the beacon alone; and what a round without a quorum among the drawn becomes."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.spec.agreement import agree
from gradmint.spec.committee import draw
from gradmint.spec.errors import TranscriptBroken
from gradmint.spec.mechanism import settle
from gradmint.spec.params import LARGE, LOCAL, STANDARD
from gradmint.spec.types import Phase, Role, Standing

from .synthetic import FAIR, PROPOSING, SMALL, Script, account, make_report, replay

beacons = st.binary(min_size=32, max_size=32)
stakes = st.lists(st.one_of(st.just(0), st.integers(1, 2**128 - 1)), max_size=32)
DRAWN = replace(SMALL, committee=3).check()


def members(mask: int) -> list[int]:
    return [v for v in range(32) if mask >> v & 1]


# The draw


def test_a_draw_is_frozen() -> None:
    """A change here gives every run another committee; contracts/libraries/Committee.sol draws the same."""
    beacon = bytes(range(32))
    assert members(draw(beacon, [10**20] * 32, 16)) == [1, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 22, 24, 25, 28, 31]
    assert members(draw(beacon, [5, 0, 1, 10**30, 0, 7], 3)) == [0, 3, 5]


@given(beacons, stakes, st.integers(0, 33))
def test_as_many_as_asked_for_and_nobody_without_a_stake(beacon: bytes, stakes_wei: list[int], size: int) -> None:
    found = draw(beacon, stakes_wei, size)
    assert found.bit_count() == min(size, sum(stake_wei > 0 for stake_wei in stakes_wei))
    assert all(stakes_wei[v] for v in members(found))


@given(beacons, st.lists(st.integers(1, 2**128 - 1), min_size=1, max_size=32))
def test_a_larger_committee_is_the_smaller_one_and_more(beacon: bytes, stakes_wei: list[int]) -> None:
    masks = [draw(beacon, stakes_wei, size) for size in range(len(stakes_wei) + 1)]
    assert all(smaller & larger == smaller for smaller, larger in itertools.pairwise(masks))


@given(beacons, stakes, st.integers(0, 32))
def test_seats_without_a_stake_change_nothing(beacon: bytes, stakes_wei: list[int], size: int) -> None:
    """So it does not matter who sits outside."""
    seated = [v for v, stake_wei in enumerate(stakes_wei) if stake_wei]
    inner = draw(beacon, [stakes_wei[v] for v in seated], size)
    assert draw(beacon, stakes_wei, size) == sum(1 << v for k, v in enumerate(seated) if inner >> k & 1)


def chance(stakes_wei: tuple[int, ...], size: int) -> dict[int, float]:
    """Exact chance of each committee: successive draws without replacement."""
    found: dict[int, float] = Counter()
    for order in itertools.permutations(range(len(stakes_wei)), size):
        left, p = sum(stakes_wei), 1.0
        for v in order:
            p *= stakes_wei[v] / left
            left -= stakes_wei[v]
        found[sum(1 << v for v in order)] += p
    return found


@pytest.mark.parametrize(("stakes_wei", "size"), [((100,) * 6, 3), ((1, 2, 3, 4, 5, 6), 1), ((9, 1, 4, 4, 2), 2)])
def test_frequencies_follow_stake(stakes_wei: tuple[int, ...], size: int) -> None:
    """Chi-square over whole committees, 6,000 beacons: below the value that one in 10,000 fair draws exceeds. Beacons
    are fixed, so it holds always or never."""
    drawn = Counter(draw(k.to_bytes(32, "big"), stakes_wei, size) for k in range(6_000))
    expected = chance(stakes_wei, size)
    assert drawn.keys() <= expected.keys()
    square = sum((drawn[mask] - 6_000 * p) ** 2 / (6_000 * p) for mask, p in expected.items())
    freedom = len(expected) - 1
    limit = freedom * (1 - 2 / (9 * freedom) + 3.719 * (2 / (9 * freedom)) ** 0.5) ** 3  # Wilson-Hilferty, p = 1e-4
    assert square < limit


def test_presets() -> None:
    """Half of everyone, or everyone: whoever holds less than a third of equal stakes is never two thirds of half."""
    assert 2 * STANDARD.committee >= STANDARD.max_verifiers
    coalition = (STANDARD.max_verifiers - 1) // 3
    assert 3 * coalition <= 2 * STANDARD.committee
    assert LOCAL.committee >= LOCAL.max_verifiers and LARGE.committee >= LARGE.max_verifiers


# Outside the committee


def test_who_was_not_drawn_keeps_its_standing_bit_for_bit() -> None:
    trainers = [Standing(account(Role.TRAINER, 0), Role.TRAINER)]
    verifiers = [
        Standing(account(Role.VERIFIER, v), Role.VERIFIER, misses=v, rounds=7 + v, value_q32=2**31 + v, paid_wei=5)
        for v in range(4)
    ]
    report = make_report([FAIR])
    after = settle(SMALL, 1, 10**18, trainers, verifiers, [100, 0, 100, 0], [report, None, report, report])
    assert after.consensus is not None and after.consensus.cluster == (0, 2)
    assert (after.verifiers[1], after.verifiers[3]) == (verifiers[1], verifiers[3])
    assert (after.slashed_wei[1], after.slashed_wei[3]) == (0, 0)
    for v in (0, 2):
        assert (after.verifiers[v].rounds, after.verifiers[v].misses) == (8 + v, 0)
        assert after.verifiers[v].paid_wei > 5


# In the ledger


def opened(committee: int = 3, verifiers: int = 6) -> Script:
    script = Script(replace(SMALL, committee=committee))
    script.open_round(2, verifiers)
    return script


def until_commit(script: Script) -> None:
    for trainer in (0, 1):
        script.submit(trainer)
    script.phase(Phase.HOLD)
    for v in members(script.ledger.round.active):
        script.hold(v, {0, 1})
    script.phase(Phase.COMMIT)


def test_the_hold_phases_beacon_draws_with_stakes_as_they_are_then() -> None:
    script = opened()
    round_ = script.ledger.round
    assert (round_.active, round_.eligible) == (0b111111, 0b111111)
    script.slash(account(Role.VERIFIER, 4), SMALL.verifier_stake_wei)
    script.submit(0)
    script.phase(Phase.HOLD)
    full_wei = SMALL.verifier_stake_wei
    stakes_wei = [full_wei, full_wei, full_wei, full_wei, 0, full_wei]
    assert round_.active == draw(round_.opened[Phase.HOLD].beacon, stakes_wei, 3)
    assert round_.active.bit_count() == 3 and round_.eligible == 0b111111
    assert round_.stakes_wei == tuple(full_wei if round_.active >> v & 1 else 0 for v in range(6))


@pytest.mark.parametrize(("committee", "leavers", "drawn"), [(5, 0, 5), (6, 0, 6), (7, 0, 6), (5, 1, 5), (5, 2, 4)])
def test_everyone_serves_where_no_more_are_eligible(committee: int, leavers: int, drawn: int) -> None:
    script = Script(replace(SMALL, committee=committee))
    for _ in range(6):
        script.admit(Role.VERIFIER)
    for v in range(leavers):
        script.retire(Role.VERIFIER, v)
    script.open_round(1, 6)
    script.admit(Role.VERIFIER)  # takes part from the next round on
    script.submit(0)
    script.phase(Phase.HOLD)
    round_ = script.ledger.round
    assert round_.active.bit_count() == drawn and round_.active & ~round_.eligible == 0
    assert round_.eligible == 0b111111 & ~((1 << leavers) - 1)


def test_without_a_quorum_everyone_is_called_in_and_judged() -> None:
    script = opened()
    until_commit(script)
    round_ = script.ledger.round
    drawn, beacon = round_.active, round_.assessment_beacon
    honest = make_report([FAIR, FAIR])
    script.assess(honest, liars=members(drawn)[:2])
    script.phase(Phase.SETTLE)
    assert round_.settlement is not None and round_.settlement.consensus is None
    script.call_everyone_in()
    assert (round_.active, round_.attempt, round_.phase) == (round_.eligible, 2, Phase.COMMIT)
    assert round_.assessment_beacon != beacon
    assert not (round_.commits or round_.reveals or round_.record or round_.execution)
    first = round_.first
    assert first is not None and (first.active, first.assessment_beacon) == (drawn, beacon)
    assert first.reveals.keys() == set(members(drawn)) and first.record is not None
    assert round_.held() == first.held() and round_.held()[0] == {0, 1}  # what the first committee said
    script.assess(honest)
    script.phase(Phase.SETTLE)
    assert round_.record is not None and round_.record.previous == first.record.previous == 0
    script.settle()
    assert round_.settlement.consensus is not None and round_.settlement.consensus.cluster == tuple(range(6))
    assert replay(script.events).transcript == script.ledger.transcript

    script.phase(Phase.TRAIN)
    assert script.ledger.round.first is None and script.ledger.round.active == 0b111111


def test_a_verifier_that_leaves_between_the_attempts_still_serves() -> None:
    script = opened()
    until_commit(script)
    honest = make_report([FAIR, FAIR])
    script.assess(honest, liars=members(script.ledger.round.active)[:2])
    script.phase(Phase.SETTLE)
    leaver = members(script.ledger.round.eligible & ~script.ledger.round.active)[0]
    script.retire(Role.VERIFIER, leaver)
    script.call_everyone_in()
    assert script.ledger.round.active >> leaver & 1
    script.assess(honest)
    script.phase(Phase.SETTLE)
    script.settle()
    assert script.ledger.standings[Role.VERIFIER][leaver].paid_wei > 0
    script.phase(Phase.TRAIN)
    assert not script.ledger.round.eligible >> leaver & 1


@pytest.mark.parametrize("case", ["quorum", "everyone", "twice", "unrecorded"])
def test_nobody_is_called_in_without_a_reason(case: str) -> None:
    script = opened(committee=6 if case == "everyone" else 3)
    until_commit(script)
    honest = make_report([FAIR, FAIR])
    liars = () if case == "quorum" else members(script.ledger.round.active)[:2]
    if case == "unrecorded":
        script.phase(Phase.REVEAL)
    else:
        script.assess(honest, liars)
    script.phase(Phase.SETTLE)
    if case == "twice":
        script.call_everyone_in()
        script.assess(honest, liars=(0, 1, 2))
        script.phase(Phase.SETTLE)
    with pytest.raises(
        TranscriptBroken, match=r"round 1, PhaseOpened .* everyone was called in, and there was no reason"
    ):
        script.phase(Phase.COMMIT)


def test_no_quorum_of_everyone_is_settled_as_such() -> None:
    script = opened()
    until_commit(script)
    honest = make_report([FAIR, FAIR])
    script.assess(honest, liars=members(script.ledger.round.active)[:2])
    script.phase(Phase.SETTLE)
    script.call_everyone_in()
    script.assess(honest, liars=(0, 1), absent=(2,))
    script.phase(Phase.SETTLE)
    script.settle()
    round_ = script.ledger.round
    assert round_.settlement is not None and round_.settlement.consensus is None
    assert script.ledger.slashed_wei == {account(Role.VERIFIER, 2): SMALL.verifier_stake_wei // 100}


def test_where_rounds_are_proposed_the_drawn_committees_word_is_the_last() -> None:
    script = Script(replace(PROPOSING, committee=3))
    script.open_round(2, 6)
    until_commit(script)
    round_ = script.ledger.round
    drawn = members(round_.active)
    script.assess(make_report([FAIR, FAIR]), liars=drawn[:2])
    assert round_.settlement is not None and round_.settlement.consensus is None and round_.record is not None
    assert members(round_.record.active) == drawn


@given(st.integers(1, 6), st.integers(0, 2**6 - 1))
def test_a_committee_agrees_by_its_own_stake(size: int, seed: int) -> None:
    """Two thirds of the drawn stake, whatever sits outside."""
    drawn = draw(seed.to_bytes(32, "big"), [100] * 6, size)
    stakes_wei = [100 if drawn >> v & 1 else 0 for v in range(6)]
    report = make_report([FAIR])
    for present in range(size + 1):
        here = members(drawn)[:present]
        consensus = agree(stakes_wei, [report if v in here else None for v in range(6)], SMALL.accept_bits)
        assert (consensus is not None) is (3 * present > 2 * size)
