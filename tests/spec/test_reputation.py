"""The fixed point against rational numbers, paths and cuts against every subset, and what nobody can do for itself."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.spec import reputation as rep
from gradmint.spec.errors import MalformedParams
from gradmint.spec.feedback import ROUND_UNITS, Endorsement, Graph, build
from gradmint.spec.reputation_params import STANDARD_REPUTATION, ReputationParams
from gradmint.spec.types import BPS, ONE_Q32

from .graphs import account as person
from .graphs import exact_visits, graph_of, graphs, is_reached, least_cut
from .graphs import params as some_params

DRAWN = graphs()


@given(DRAWN, some_params)
def test_visits_fall_short_of_exact_ones_by_what_is_said(
    drawn: tuple[Graph, tuple[int, ...]], params: ReputationParams
) -> None:
    graph, seeds = drawn
    exact = exact_visits(graph, seeds, params)
    found = [Fraction(count, rep.ONE_MASS) for count in rep.visits(graph, seeds, params)]
    assert all(0 <= ours <= theirs for ours, theirs in zip(found, exact, strict=True))
    alpha = Fraction(params.alpha_bps, BPS)
    missing = [theirs - ours for ours, theirs in zip(found, exact, strict=True)]
    stopped = sum(gap * (alpha if total else 1) for gap, total in zip(missing, graph.totals, strict=True))
    shortfall = rep.shortfall(graph, seeds, params, rep.visits(graph, seeds, params))
    assert Fraction(shortfall, BPS * rep.ONE_MASS) == stopped
    assert 0 <= shortfall <= rep.shortfall_bound(graph, seeds, params)
    assert alpha * sum(missing) <= stopped


@given(DRAWN, some_params)
def test_hits_are_the_chance_that_a_walk_comes_by(
    drawn: tuple[Graph, tuple[int, ...]], params: ReputationParams
) -> None:
    graph, seeds = drawn
    exact = exact_visits(graph, seeds, params)
    for account in range(len(graph)):
        found = rep.hits(graph, seeds, params, account)
        # Visits to oneself, begun at oneself: G[v, v].
        own = exact_visits(graph, [account], params)[account]
        chance = exact[account] / own
        assert found <= chance * rep.ONE_MASS <= found + rep.shortfall_bound(graph, seeds, params)
        if not rep.is_on_cycle(graph, account):
            assert found == rep.visits(graph, seeds, params)[account]


@given(DRAWN, some_params, st.data())
def test_nobody_changes_its_own_score_by_what_it_says(
    drawn: tuple[Graph, tuple[int, ...]], params: ReputationParams, data: st.DataObject
) -> None:
    graph, seeds = drawn
    account = data.draw(st.integers(0, len(graph) - 1))
    edges = {(s, t): w for s in range(len(graph)) for t, w in graph.row(s) if s != account}
    others = [place for place in range(len(graph)) if place != account]
    said = data.draw(st.dictionaries(st.sampled_from(others), st.integers(1, 2**20)))
    changed = graph_of({**edges, **{(account, target): weight for target, weight in said.items()}}, len(graph))
    assert rep.scores(graph, seeds, params, [account]) == rep.scores(changed, seeds, params, [account])


@given(graphs(most=7), st.integers(1, 4))
def test_paths_and_cuts_are_what_trying_every_subset_gives(drawn: tuple[Graph, tuple[int, ...]], most: int) -> None:
    graph, seeds = drawn
    for account in range(len(graph)):
        wanted = most if account in seeds else least_cut(graph, seeds, account, most)
        assert rep.connectivity(graph, seeds, account, most) == wanted
        paths, cut = rep.disjoint_paths(graph, seeds, account, most)
        inner = [place for path in paths for place in path[1:-1]]
        assert len({*inner}) == len(inner) and not {*inner} & {*seeds, account}
        assert all(graph.weight(a, b) for path in paths for a, b in pairwise(path))
        if cut is None:
            continue
        assert rep.is_cut(graph, seeds, account, cut) and len(cut.through) == wanted == len(paths)
        assert not is_reached(graph, seeds, account, cut.through)


@given(graphs(most=7), st.data())
def test_false_cuts_are_refused(drawn: tuple[Graph, tuple[int, ...]], data: st.DataObject) -> None:
    """Whatever is claimed: nothing shows a c below the true one."""
    graph, seeds = drawn
    places = st.integers(0, len(graph) - 1)
    account = data.draw(places, label="account")
    cut = rep.Cut(data.draw(st.frozensets(places)), data.draw(st.frozensets(places)) | {account})
    if rep.is_cut(graph, seeds, account, cut):
        assert account not in seeds and len(cut.through) >= least_cut(graph, seeds, account, 4)


@given(graphs(most=7))
def test_dominators_are_what_every_path_passes(drawn: tuple[Graph, tuple[int, ...]]) -> None:
    graph, seeds = drawn
    found = rep.dominators(graph, seeds)
    for account, last in enumerate(found):
        others = [place for place in range(len(graph)) if place not in seeds and place != account]
        passed = {place for place in others if not is_reached(graph, seeds, account, {place})}
        chain = []
        while last >= 0:
            chain.append(last)
            last = found[last]
        if account in seeds:
            assert not chain
        elif not is_reached(graph, seeds, account):
            assert last == rep.UNREACHED
        else:
            assert last == rep.NOBODY and {*chain} == passed
            assert (rep.connectivity(graph, seeds, account, 2) == 1) == bool(chain)


def test_one_more_edge_no_longer_frees_from_beta() -> None:
    """meritrank.md, section 5: an honest edge into a Sybil lifted beta's penalty; now it halves the doubt once."""
    params = ReputationParams(beta_bps=9_000, max_paths=4)
    edges = {(0, 1): 8, (0, 2): 8, (1, 3): 4, (2, 3): 4, (1, 4): 4}
    single = graph_of(edges, 6)
    assert rep.connectivity(single, [0], 4, 4) == 1
    evaded = graph_of({**edges, (2, 4): 1}, 6)
    assert rep.connectivity(evaded, [0], 4, 4) == 2
    assert params.factor_q32(1) == ONE_Q32 // 10
    assert params.factor_q32(2) == ONE_Q32 * 19 // 100


def test_weights_count_by_their_ratio_alone() -> None:
    edges = {(0, 1): 3, (0, 2): 5, (1, 3): 7, (2, 3): 1, (2, 1): 1}
    inflated = {pair: weight * (1_000 if pair[0] == 2 else 1) for pair, weight in edges.items()}
    plain, other = (rep.visits(graph_of(e, 4), [0], STANDARD_REPUTATION) for e in (edges, inflated))
    assert all(abs(a - b) < 2**20 for a, b in zip(plain, other, strict=True))


def test_iterations_leave_what_they_are_allowed_to() -> None:
    assert STANDARD_REPUTATION.iterations == 69
    for alpha_bps in (100, 1_500, 9_000):
        params = replace(STANDARD_REPUTATION, alpha_bps=alpha_bps)
        rest = 1 - Fraction(alpha_bps, BPS)
        assert rest**params.iterations <= Fraction(1, 2**16) < rest ** (params.iterations - 1)


def test_factors_rise_with_disjoint_paths_up_to_the_most() -> None:
    params = ReputationParams(beta_bps=5_000, max_paths=3)
    factors = [params.factor_q32(paths) for paths in range(5)]
    assert factors == [0, ONE_Q32 // 2, ONE_Q32 * 3 // 4, ONE_Q32 * 7 // 8, ONE_Q32 * 7 // 8]


@given(st.integers(0, 2**64 - 1), st.integers(1, rep.ONE_MASS))
def test_ratings_keep_their_bounds_and_follow_the_score(score: int, reference: int) -> None:
    found = rep.rating_q32(score, reference)
    assert 0 <= found < ONE_Q32 and (found == 0 or score > 0)
    assert found <= rep.rating_q32(score + 1, reference)
    assert found <= ONE_Q32 * Fraction(score, score + reference) if score else found == 0
    assert rep.rating_q32(reference, reference) == ONE_Q32 // 2
    multiplier = rep.multiplier_q32(found, 5_000, 15_000)
    assert ONE_Q32 // 2 <= multiplier < ONE_Q32 * 3 // 2
    assert rep.multiplier_q32(ONE_Q32 // 2, 5_000, 15_000) == ONE_Q32
    assert rep.multiplier_q32(found, 10_000, 10_000) == ONE_Q32


@given(st.integers(0, 2**64 - 1), st.integers(0, 8))
def test_a_score_of_nothing_is_rated_nothing(hits: int, paths: int) -> None:
    assert rep.score(0, paths, STANDARD_REPUTATION) == rep.score(hits, 0, STANDARD_REPUTATION) == 0
    assert rep.rating_q32(0, 1) == 0 and rep.rating_q32(1, 1) > 0


def test_the_reference_is_an_equal_share_of_each_walks_first_step() -> None:
    assert rep.reference(1, STANDARD_REPUTATION) == rep.ONE_MASS * 85 // 100
    assert rep.reference(0, STANDARD_REPUTATION) == rep.reference(1, STANDARD_REPUTATION)
    assert rep.reference(1_000, STANDARD_REPUTATION) == rep.ONE_MASS * 85 // 100_000
    # Whom seeds endorse alike, and nobody else does, is rated a half.
    graph = graph_of({(0, 1): 1, (0, 2): 1, (0, 3): 1}, 4)
    hits = rep.hits(graph, [0], STANDARD_REPUTATION, 1)
    assert 0 <= rep.reference(3, STANDARD_REPUTATION) - hits <= 3


@given(DRAWN, some_params)
def test_what_stands_still_is_the_most_that_can_be_shown(
    drawn: tuple[Graph, tuple[int, ...]], params: ReputationParams
) -> None:
    graph, seeds = drawn
    for account in range(len(graph)):
        found = rep.settled(graph, seeds, params, mute=account)
        again = rep.step(graph, found, params, mute=account)
        assert found == [a + b for a, b in zip(rep.start(graph, seeds), again, strict=True)]
        below = rep.visits(graph, seeds, params, mute=account)
        exact = exact_visits(graph, seeds, params, mute=account)
        assert all(a <= b <= c * rep.ONE_MASS for a, b, c in zip(below, found, exact, strict=True))
        most = rep.most_hits(graph, seeds, params, account)
        assert exact[account] * rep.ONE_MASS <= most
        rounding = len(seeds) + sum(graph.totals)
        assert most - found[account] <= -(-BPS * rounding // params.alpha_bps)


def test_over_epochs_a_newcomers_multiplier_rises_and_a_rings_falls() -> None:
    """A verifier's one vouch carries a ring of three; a newcomer works. Each epoch adds a round that both the seeds'
    and the newcomer's verifiers share; the ring has no work to add."""
    seeds, patron, newcomer, peers = [person(1), person(2)], person(3), person(4), [person(5), person(6)]
    members = [person(10 + k) for k in range(3)]
    vouches = [(seeds[0], patron), (patron, members[0]), *((members[k], members[(k + 1) % 3]) for k in range(3))]
    multipliers = []
    for epochs in range(1, 6):
        said = [Endorsement(*pair, ROUND_UNITS, 0) for pair in vouches]
        said += [Endorsement(seed, who, ROUND_UNITS // 2, k) for k in range(3) for seed in seeds for who in peers]
        team = [*peers, newcomer]
        said += [
            Endorsement(seed, who, ROUND_UNITS // 3, 3 + k) for k in range(epochs - 1) for seed in seeds for who in team
        ]
        graph = build(said, [*seeds, newcomer])
        known = rep.scores(graph, graph.among(seeds), STANDARD_REPUTATION, range(len(graph)))
        half = rep.reference(len({one.account for one in said}), STANDARD_REPUTATION)

        def best(accounts: list[bytes], graph: Graph = graph, known: dict[int, int] = known, half: int = half) -> int:
            ratings = [rep.rating_q32(known[place], half) for place in graph.among(accounts)]
            return rep.multiplier_q32(max(ratings), 5_000, 15_000)

        multipliers.append((best([newcomer]), best(members)))
    newcomers, rings = zip(*multipliers, strict=True)
    assert newcomers[0] == ONE_Q32 // 2 and all(a < b for a, b in pairwise(newcomers))
    assert all(a > b for a, b in pairwise(rings[1:])) and rings[-1] < newcomers[-1]


def test_nobody_has_anything_without_seeds() -> None:
    graph = graph_of({(0, 1): 1}, 2)
    assert rep.visits(graph, [], STANDARD_REPUTATION) == [0, 0]
    assert rep.scores(graph, [], STANDARD_REPUTATION, [1]) == {1: 0}


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("alpha_bps", (99, 9_001)),
        ("beta_bps", (-1, 10_001)),
        ("max_paths", (0, 9)),
        ("epoch_blocks", (0, 2**32)),
        ("vouch_round_wei", (0, 2**128)),
        ("challenge_blocks", (0, 36_001)),
        ("proof_blocks", (0, 43_201)),
        ("bond_wei", (0, 2**128)),
        ("challenger_bps", (-1, 5_001)),
    ],
)
def test_parameters_out_of_range_are_refused(field: str, values: tuple[int, int]) -> None:
    for value in values:
        with pytest.raises(MalformedParams, match=field):
            replace(STANDARD_REPUTATION, **{field: value}).check()  # type: ignore[arg-type]
