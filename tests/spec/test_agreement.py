"""Distances, medoid, cluster, quorum and medians."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gradmint.spec.agreement import (
    accepted,
    agree,
    agreement_q32,
    distance_bits,
    find_medoid,
    held_set,
    weighted_median,
)
from gradmint.spec.types import GAIN_MAX_MICRONATS, ONE_Q32, UNSAMPLED, Consensus, Report, Row, Verdict

from .strategies import reports, rows, words_256
from .synthetic import FAIR, make_report

ACCEPT = 10


def at(*bits: int) -> list[Report]:
    """One report per entry; two of them are as many bits apart as their entries are."""
    return [make_report([FAIR], (1 << k) - 1) for k in bits]


def clusters(stakes: list[int], given: list[Report | None]) -> tuple[int, ...] | None:
    consensus = agree(stakes, given, ACCEPT)
    return None if consensus is None else consensus.cluster


# Distance


@given(st.lists(st.tuples(words_256, words_256), min_size=1, max_size=16))
def test_distance_counts_differing_bits(pairs: list[tuple[int, int]]) -> None:
    a, b = [x for x, _ in pairs], [y for _, y in pairs]
    naive = sum(one != other for x, y in pairs for one, other in zip(f"{x:0256b}", f"{y:0256b}", strict=True))
    assert distance_bits(a, b) == distance_bits(b, a) == naive


@given(st.lists(words_256, min_size=1, max_size=16))
def test_complement_is_as_far_as_it_gets(words: list[int]) -> None:
    assert distance_bits(words, words) == 0
    assert distance_bits(words, [word ^ 2**256 - 1 for word in words]) == 256 * len(words)


def test_signatures_of_unequal_length_do_not_compare() -> None:
    with pytest.raises(ValueError):
        distance_bits([1, 2], [1])


# Medoid


def medoid(stakes: list[int], *bits: int) -> int:
    return find_medoid([[abs(a - b) for b in bits] for a in bits], stakes, ACCEPT)


def test_medoid_has_the_most_neighbouring_stake_not_the_most_neighbours() -> None:
    assert medoid([1, 1, 1, 4, 4], 0, 1, 2, 100, 101) == 3
    assert medoid([1, 1, 1, 1, 1], 0, 1, 2, 100, 101) == 1


def test_medoid_tie_goes_to_the_least_total_distance() -> None:
    assert medoid([1, 1, 1], 0, 6, 7) == 1  # totals 13, 7, 8
    assert medoid([1, 1, 1, 1], 0, 6, 7, 200) == 1  # who is no neighbour does not count


def test_medoid_full_tie_goes_to_the_lowest_index() -> None:
    assert medoid([1, 1], 3, 5) == 0
    assert medoid([5, 5, 5, 5], 0, 0, 90, 90) == 0
    assert medoid([1, 1, 1, 1], 90, 0, 90, 0) == 0


def test_accept_distance_itself_is_near() -> None:
    assert clusters([1, 1], at(0, ACCEPT)) == (0, 1)
    assert clusters([1, 1], at(0, ACCEPT + 1)) is None


# Cluster


def test_neighbours_of_neighbours_do_not_count() -> None:
    """1 ~ 2 ~ 3 but not 1 ~ 3: all three are the middle's neighbours, and without the middle there is no cluster."""
    assert clusters([1, 1, 1], at(0, 10, 20)) == (0, 1, 2)
    assert clusters([1, 1, 1], [at(0)[0], None, at(20)[0]]) is None
    assert clusters([1, 1], at(0, 20)) is None


def test_a_chain_is_cut() -> None:
    """Spaced just within reach of each other, five reports are a chain; only the medoid's own neighbours are in."""
    chain = at(0, 10, 20, 30, 40)
    assert clusters([1, 5, 5, 5, 1], chain) == (1, 2, 3)
    assert clusters([1, 1, 1, 1, 1], chain) is None  # 3 of 5
    assert clusters([1, 1, 1, 1], chain[:4]) == (0, 1, 2)  # a tie of the middle two, which the lower index wins


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9)), min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_order_of_reports_does_not_matter(verifiers: list[tuple[int, int]], random: object) -> None:
    """Index decides between medoids that tie in stake and distance; everything else is the same in any order."""
    bits, stakes = [k for k, _ in verifiers], [stake for _, stake in verifiers]
    given_reports = at(*bits)
    here = agree(stakes, given_reports, ACCEPT)
    near = [[j for j, b in enumerate(bits) if abs(a - b) <= ACCEPT] for a in bits]
    ranks = [(-sum(stakes[j] for j in near[i]), sum(abs(bits[i] - bits[j]) for j in near[i])) for i in range(len(bits))]
    best = [near[i] for i in range(len(bits)) if ranks[i] == min(ranks)]
    assume(all(cluster == best[0] for cluster in best))
    order = list(range(len(bits)))
    random.shuffle(order)  # type: ignore[attr-defined]
    there = agree([stakes[v] for v in order], [given_reports[v] for v in order], ACCEPT)
    if here is None:
        assert there is None
    else:
        assert there is not None
        assert sorted(order[v] for v in there.cluster) == list(here.cluster)
        assert (there.rows, there.loss_micronats, there.unanimous) == (here.rows, here.loss_micronats, here.unanimous)


# Quorum


def test_two_thirds_are_not_enough() -> None:
    same, other = at(0, 200)
    assert clusters([2, 1], [same, other]) is None
    assert clusters([200, 99], [same, other]) == (0,)
    assert clusters([2 * 10**18, 10**18], [same, other]) is None
    assert clusters([2 * 10**18 + 1, 10**18], [same, other]) == (0,)


def test_absent_stake_counts_against_the_quorum() -> None:
    same = at(0)[0]
    assert clusters([1, 1, 1], [same, same, None]) is None
    assert clusters([1, 1, 1, 1], [same, same, same, None]) == (0, 1, 2)
    assert agree([1, 1], [None, None], ACCEPT) is None
    assert agree([], [], ACCEPT) is None


def test_one_verifier_is_a_committee() -> None:
    assert clusters([5], at(7)) == (0,)


def test_three_quarters_are_unanimous() -> None:
    same, other = at(0, 200)

    def unanimous(*stakes: int) -> bool:
        consensus = agree(stakes, [same, other], ACCEPT)
        assert consensus is not None
        return consensus.unanimous

    assert unanimous(3, 1)
    assert not unanimous(299, 100)
    assert unanimous(300, 100)
    assert not unanimous(3 * 10**18 - 1, 10**18)


@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=6),
    st.lists(st.integers(0, 30), min_size=6, max_size=6),
    st.data(),
)
def test_who_has_no_stake_has_no_say(stakes: list[int], bits: list[int], data: st.DataObject) -> None:
    given_reports: list[Report | None] = list(at(*bits[: len(stakes)]))
    mute = data.draw(st.integers(0, len(stakes) - 1))
    stakes[mute] = 0
    spoken = agree(stakes, given_reports, ACCEPT)
    silent = agree(stakes, [None if v == mute else r for v, r in enumerate(given_reports)], ACCEPT)
    assert spoken == silent
    if spoken is not None:
        assert mute not in spoken.cluster
        assert spoken.distances_bits[mute] is None


def test_distances_are_to_the_medoid() -> None:
    far = make_report([FAIR], 2**256 - 1)
    consensus = agree([5, 5, 5, 1, 1], [*at(2, 0, 4), far, None], ACCEPT)
    assert consensus is not None
    assert consensus.medoid == 0
    assert consensus.distances_bits == (0, 2, 2, 254, None)
    assert consensus.cluster == (0, 1, 2)


# Medians

weighed = st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 20)), min_size=1, max_size=12)


@given(weighed)
def test_lower_median_by_definition(pairs: list[tuple[int, int]]) -> None:
    """The least value with at least half of the weight at or below it."""
    values, weights = [v for v, _ in pairs], [w for _, w in pairs]
    by_definition = min(v for v in values if 2 * sum(w for u, w in pairs if u <= v) >= sum(weights))
    assert weighted_median(values, weights) == by_definition


@given(weighed, st.integers(-50, 50))
def test_more_than_half_of_the_weight_decides(pairs: list[tuple[int, int]], truth: int) -> None:
    heavy = sum(w for _, w in pairs) + 1
    assert weighted_median([*(v for v, _ in pairs), truth], [*(w for _, w in pairs), heavy]) == truth


def test_median_by_hand() -> None:
    assert weighted_median([3], [7]) == 3
    assert weighted_median([1, 2], [1, 1]) == 1  # lower
    assert weighted_median([2, 1], [3, 2]) == 2
    assert weighted_median([1, 5, 9], [1, 1, 1]) == 5
    with pytest.raises(ValueError, match="at least one"):
        weighted_median([], [])


def test_each_column_has_its_own_median() -> None:
    first = make_report([Row(Verdict.OK, 30, UNSAMPLED), Row(Verdict.OK, -1, 1)], 0, loss_micronats=5)
    second = make_report([Row(Verdict.OK, 10, 70), Row(Verdict.DUPLICATE, 0, 3)], 0, loss_micronats=9)
    third = make_report([Row(Verdict.MISSING, 20, 80), Row(Verdict.DUPLICATE, 1, 2)], 0, loss_micronats=7)
    consensus = agree([1, 1, 1], [first, second, third], ACCEPT)
    assert consensus is not None
    assert consensus.rows == (Row(Verdict.OK, 20, 70), Row(Verdict.DUPLICATE, 0, 2))
    assert consensus.loss_micronats == 7


def test_only_the_clusters_rows_count() -> None:
    honest = make_report([Row(Verdict.OK, 10, 20)], 0)
    liar = make_report([Row(Verdict.DUPLICATE, -9, -9)], 2**256 - 1, loss_micronats=1)
    consensus = agree([3, 3, 2], [honest, honest, liar], ACCEPT)
    assert consensus is not None
    assert consensus.rows == honest.rows
    assert consensus.loss_micronats == honest.loss_micronats


@given(st.lists(reports(1, 3), min_size=3, max_size=5), reports(1, 3))
def test_a_minority_of_the_cluster_moves_no_value_out_of_the_honest_range(honest: list[Report], forged: Report) -> None:
    honest = [replace(report, words=(0,)) for report in honest]
    consensus = agree([1] * (len(honest) + 1), [*honest, replace(forged, words=(0,))], ACCEPT)
    assert consensus is not None and len(consensus.cluster) == len(honest) + 1
    for i, row in enumerate(consensus.rows):
        for name in ("verdict", "common_gain_micronats", "assigned_gain_micronats"):
            said = [getattr(report.rows[i], name) for report in honest]
            assert min(said) <= getattr(row, name) <= max(said)


def agreed(said: list[Row]) -> Consensus:
    return Consensus(0, (0,), (0,), True, 0, tuple(said), (ONE_Q32,))


@given(st.lists(rows, max_size=8), st.sets(st.integers(0, 8)))
def test_accepted_are_the_valid_ones_with_a_gain_who_are_not_barred(said: list[Row], barred: set[int]) -> None:
    expected = [i for i, row in enumerate(said) if row.verdict == 0 and row.common_gain_micronats >= 1]
    assert list(accepted(agreed(said))) == expected
    assert list(accepted(agreed(said), barred)) == [i for i in expected if i not in barred]
    assert accepted(None) == accepted(None, barred) == ()


def test_a_gain_of_one_micronat_is_accepted_none_is_not() -> None:
    assert accepted(agreed([Row(Verdict.OK, gain, UNSAMPLED) for gain in (-1, 0, 1, 2)])) == (2, 3)


# How much of what a verifier says is the consensus's


def told(*gains: int) -> list[Row]:
    return [Row(Verdict.OK, gain, UNSAMPLED) for gain in gains]


pairs_of_rows = st.lists(st.tuples(rows, rows), max_size=6)


@given(pairs_of_rows)
def test_agreement_is_ruzickas_similarity_of_the_gains(pairs: list[tuple[Row, Row]]) -> None:
    """Sum of minima over sum of maxima, both ways round, in 0..1; and one where neither names any gain."""
    mine, ours = [a for a, _ in pairs], [b for _, b in pairs]
    gains = [(max(0, a.common_gain_micronats) * (a.verdict == 0), b.gain_micronats) for a, b in pairs]
    most = sum(max(pair) for pair in gains)
    expected = sum(min(pair) for pair in gains) * ONE_Q32 // most if most else ONE_Q32
    assert agreement_q32(mine, ours) == agreement_q32(ours, mine) == expected
    assert 0 <= expected <= ONE_Q32


@given(pairs_of_rows)
def test_agreement_is_whole_for_equal_gains_only(pairs: list[tuple[Row, Row]]) -> None:
    mine, ours = [a for a, _ in pairs], [b for _, b in pairs]
    assert agreement_q32(mine, mine) == ONE_Q32
    same = [a.gain_micronats for a in mine] == [b.gain_micronats for b in ours]
    assert (agreement_q32(mine, ours) == ONE_Q32) is same


@given(st.lists(st.integers(1, 1_000), min_size=1, max_size=6), st.integers(1, 1_000))
def test_only_proportions_and_not_units_matter(gains: list[int], times: int) -> None:
    """But a verifier that scales everything it says agrees less: by its factor."""
    other = [gain // 2 + 1 for gain in gains]
    scaled = agreement_q32(told(*[times * g for g in gains]), told(*[times * g for g in other]))
    assert scaled == agreement_q32(told(*gains), told(*other))
    assert agreement_q32(told(*[times * g for g in gains]), told(*gains)) == ONE_Q32 // times


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=6), st.data())
def test_agreement_falls_with_every_step_away_from_the_consensus(gains: list[int], data: st.DataObject) -> None:
    i = data.draw(st.integers(0, len(gains) - 1))
    near, far = sorted(data.draw(st.tuples(st.integers(0, 500), st.integers(0, 500))))
    for way in (1, -1):
        off = [[*gains[:i], max(0, gains[i] + way * step), *gains[i + 1 :]] for step in (near, far)]
        assert agreement_q32(told(*off[0]), told(*gains)) >= agreement_q32(told(*off[1]), told(*gains))


def test_agreement_by_hand() -> None:
    assert agreement_q32(told(30, 10), told(20, 20)) == 30 * ONE_Q32 // 50
    assert agreement_q32(told(5, 0), told(0, 5)) == 0
    assert agreement_q32(told(0, -7), told(-3, 0)) == ONE_Q32  # harm is no gain, however much
    assert agreement_q32([Row(Verdict.DUPLICATE, 9, 9)], told(9)) == 0
    assert agreement_q32([Row(Verdict.DUPLICATE, 9, 9)], [Row(Verdict.MISSING, 5, 5)]) == ONE_Q32
    assert agreement_q32([], []) == ONE_Q32
    most = [GAIN_MAX_MICRONATS] * 1_024
    assert agreement_q32(told(*most), told(*most)) == ONE_Q32
    assert sum(most) * ONE_Q32 < 2**256


def test_only_the_clusters_agreement_counts_and_only_against_its_own_rows() -> None:
    near = [make_report(told(30, 10), 0), make_report(told(20, 20), 0), make_report(told(20, 10), 1)]
    far = make_report(told(20, 10), 2**256 - 1)
    consensus = agree([3, 3, 3, 1, 1, 0], [*near, far, None, near[2]], ACCEPT)
    assert consensus is not None
    assert [row.common_gain_micronats for row in consensus.rows] == [20, 10]
    assert consensus.agreements_q32 == (30 * ONE_Q32 // 40, 30 * ONE_Q32 // 40, ONE_Q32, 0, 0, 0)


@given(st.lists(reports(1, 3), min_size=1, max_size=5), st.lists(st.integers(0, 3), min_size=5, max_size=5))
def test_agreements_are_one_a_verifier_and_none_outside_the_cluster(said: list[Report], bits: list[int]) -> None:
    near = [replace(report, words=((1 << 6 * bit) - 1,)) for report, bit in zip(said, bits, strict=False)]
    consensus = agree([1] * len(near), near, ACCEPT)
    if consensus is not None:
        assert len(consensus.agreements_q32) == len(near)
        for v, agreement in enumerate(consensus.agreements_q32):
            expected = agreement_q32(near[v].rows, consensus.rows) if v in consensus.cluster else 0
            assert agreement == expected


# What the committee holds

A, B = b"\xaa" * 32, b"\xbb" * 32


def test_bit_i_of_byte_i_over_8() -> None:
    assert held_set({0: (bytes([0b0000_0101, 0b1000_0010]), A)}, [1], 16) == (frozenset({0, 2, 9, 15}), A)
    assert held_set({0: (bytes([0b1000_0000, 0b0000_0001]), A)}, [1], 16)[0] == frozenset({7, 8})
    assert held_set({0: (b"\xff\xff", A)}, [1], 11)[0] == frozenset(range(11))


def test_held_needs_more_than_two_thirds_of_the_stake() -> None:
    holds = {0: (b"\x01", A), 1: (b"\x03", A), 2: (b"\x02", A)}
    assert held_set(holds, [1, 1, 1], 2) == (frozenset(), A)
    assert held_set(holds, [2, 3, 2], 2)[0] == frozenset({0, 1})  # 5 of 7 each
    assert held_set({0: (b"\x01", A), 1: (b"\x01", A)}, [1, 1, 1], 1) == (frozenset(), None)


def test_a_base_needs_more_than_two_thirds_too() -> None:
    assert held_set({0: (b"\0", A), 1: (b"\0", A), 2: (b"\0", B)}, [1, 1, 1], 1)[1] is None
    assert held_set({0: (b"\0", A), 1: (b"\0", B), 2: (b"\0", B)}, [1, 3, 3], 1)[1] == B
    assert held_set({}, [1, 1], 4) == (frozenset(), None)


def test_holds_without_stake_count_for_nothing() -> None:
    assert held_set({0: (b"\x01", A), 1: (b"\x02", B)}, [5, 0], 2) == (frozenset({0}), A)


@given(
    st.dictionaries(
        st.integers(0, 4), st.tuples(st.binary(min_size=1, max_size=1), st.sampled_from([A, B])), max_size=5
    ),
    st.lists(st.integers(1, 5), min_size=5, max_size=5),
)
def test_held_set_by_definition(holds: dict[int, tuple[bytes, bytes]], stakes: list[int]) -> None:
    held, base = held_set(holds, stakes, 8)
    for trainer in range(8):
        for_it = sum(stakes[v] for v, (bitmap, _) in holds.items() if bitmap[0] & 1 << trainer)
        assert (trainer in held) == (3 * for_it > 2 * sum(stakes))
    for each in (A, B):
        for_it = sum(stakes[v] for v, (_, other) in holds.items() if other == each)
        assert (base == each) == (3 * for_it > 2 * sum(stakes))


def test_order_of_holds_does_not_matter() -> None:
    said = [(0, (b"\x03", A)), (1, (b"\x01", A)), (2, (b"\x01", B))]
    assert len({held_set(dict(order), [2, 3, 1], 2) for order in permutations(said)}) == 1
