"""Walks: the spec's bit for bit, the same in any pieces, and what slander and new names cannot do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from spec.graphs import graph_of, graphs

from gradmint.learn import philox as learned
from gradmint.reputation import exact, walks
from gradmint.reputation.rows import Rows
from gradmint.spec import reputation as rep
from gradmint.spec import walks as spec
from gradmint.spec.feedback import Graph
from gradmint.spec.reputation_params import STANDARD_REPUTATION, ReputationParams

some_params = st.builds(ReputationParams, alpha_bps=st.sampled_from([1_000, 1_500, 4_000, 9_000]))
KEY = spec.key_of(b"\x07" * 32, 3, STANDARD_REPUTATION)
PAIRS = st.tuples(st.integers(0, 7), st.integers(0, 7)).filter(lambda pair: pair[0] != pair[1])
BAD = st.dictionaries(PAIRS, st.integers(1, 9), max_size=6)


def beside(graph: Graph, edges: dict[tuple[int, int], int]) -> Graph:
    return graph_of({pair: w for pair, w in edges.items() if max(pair) < len(graph)}, len(graph))


@given(st.tuples(*[st.integers(0, 2**32 - 1)] * 4), st.tuples(*[st.integers(0, 2**32 - 1)] * 2))
def test_random_words_are_those_of_learn(counter: tuple[int, int, int, int], key: tuple[int, int]) -> None:
    wanted = learned.numpy_blocks(np.array([counter], dtype=np.uint64).T, key)[:, 0].tolist()
    assert list(spec.philox(counter, key)) == wanted
    even, odd = map(int, walks.block(*map(np.uint64, (*counter, *key))))
    assert [even >> 32, even & 0xFFFF_FFFF, odd >> 32, odd & 0xFFFF_FFFF] == wanted


def test_random_words_are_those_of_the_paper() -> None:
    """Known answers of Random123 for philox4x32-10."""
    assert spec.philox((0,) * 4, (0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)
    full = 0xFFFF_FFFF
    assert spec.philox((full,) * 4, (full, full)) == (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)


@given(graphs(most=8, heaviest=2**33), BAD, some_params, st.integers(0, 2**32 - 1))
def test_walks_are_the_specs(
    drawn: tuple[Graph, tuple[int, ...]], said: dict[tuple[int, int], int], params: ReputationParams, first: int
) -> None:
    graph, seeds = drawn
    bad, ego = beside(graph, said), seeds[0]
    word, numbers = spec.ego_word(graph.accounts[ego]), range(first, min(2**32, first + 10))
    wanted = spec.tally(graph, bad, ego, numbers, KEY, params)
    found = walks.tally(Rows.of(graph), ego, word, numbers.start, numbers.stop, KEY, params, Rows.of(bad))
    assert (tuple(found.hits.tolist()), tuple(found.strikes.tolist())) == (wanted.hits, wanted.strikes)
    assert found.net.tolist() == [wanted.net(account) for account in range(len(graph))]
    plain = walks.tally(Rows.of(graph), ego, word, numbers.start, numbers.stop, KEY, params)
    assert tuple(plain.hits.tolist()) == spec.tally(graph, None, ego, numbers, KEY, params).hits


def test_keys_are_bound_to_beacon_epoch_and_parameters() -> None:
    other = replace(STANDARD_REPUTATION, beta_bps=1)
    keys = {
        KEY,
        spec.key_of(b"\x08" * 32, 3, STANDARD_REPUTATION),
        spec.key_of(b"\x07" * 32, 4, STANDARD_REPUTATION),
        spec.key_of(b"\x07" * 32, 3, other),
    }
    assert len(keys) == 4


def test_walks_come_by_as_often_as_hits_say() -> None:
    """50,000 walks against the exact chance: five standard deviations at each of 30 accounts."""
    random = np.random.default_rng(5)
    edges = {(int(a), int(b)): int(w) for a, b, w in random.integers(0, 30, (150, 3)) if a != b and w}
    graph = graph_of(edges, 30)
    count = 50_000
    hits = walks.tally(Rows.of(graph), 0, 17, 0, count, KEY, STANDARD_REPUTATION).hits
    for account in range(30):
        chance = rep.hits(graph, [0], STANDARD_REPUTATION, account) / rep.ONE_MASS
        assert abs(hits[account] - count * chance) <= 5 * (count * chance * (1 - chance)) ** 0.5 + 2


@given(graphs(most=8), BAD, st.lists(st.tuples(PAIRS, st.integers(0, 5), st.booleans()), max_size=6), some_params)
def test_a_view_that_follows_changes_is_one_taken_from_scratch(
    drawn: tuple[Graph, tuple[int, ...]],
    said: dict[tuple[int, int], int],
    changes: list[tuple[tuple[int, int], int, bool]],
    params: ReputationParams,
) -> None:
    graph, seeds = drawn
    ego, count, size = seeds[0], 30, len(graph)
    edges = {(u, v): w for u in range(size) for v, w in graph.row(u)}
    bad = {pair: w for pair, w in said.items() if max(pair) < size}
    view = walks.View(Rows.of(graph), ego, 5, count, KEY, params, Rows.of(graph_of(bad, size)))
    for pair, weight, is_bad in changes:
        if max(pair) >= size:
            continue
        before = walks.tally(
            Rows.of(graph_of(edges, size)), ego, 5, 0, count, KEY, params, Rows.of(graph_of(bad, size))
        )
        again = view.set(*pair, weight, bad=is_bad)
        assert again == before.hits[pair[0]]  # exactly the walks that came by the changed account
        (bad if is_bad else edges)[pair] = weight
        fresh = walks.tally(Rows.of(graph_of(edges, size)), ego, 5, 0, count, KEY, params, Rows.of(graph_of(bad, size)))
        assert view.tally.hits.tolist() == fresh.hits.tolist()
        assert view.tally.strikes.tolist() == fresh.strikes.tolist()


def test_a_view_of_very_long_walks() -> None:
    graph = graph_of({(0, 1): 1, (1, 0): 1}, 2)
    params = ReputationParams(alpha_bps=100)
    view = walks.View(Rows.of(graph), 0, 5, 500, KEY, params)
    assert view.tally.hits.tolist() == walks.tally(Rows.of(graph), 0, 5, 0, 500, KEY, params).hits.tolist()
    assert view.set(1, 0, 0) == view.tally.hits[1] > 400


@given(graphs(most=8), BAD, st.sets(st.integers(0, 7), min_size=1, max_size=3), some_params)
def test_slander_is_bounded_and_nobody_falls_below_a_newcomer(
    drawn: tuple[Graph, tuple[int, ...]], said: dict[tuple[int, int], int], group: set[int], params: ReputationParams
) -> None:
    """A group strikes at most as often as walks come by it, whatever it says and however many accounts it has; and
    net is never below 0, which is what a new account has."""
    graph, seeds = drawn
    group = {one for one in group if one < len(graph)} - {*seeds}
    slander = {pair: weight for pair, weight in said.items() if pair[0] in group}
    ego, numbers = seeds[0], range(30)
    bad = beside(graph, slander)
    came, struck = 0, 0
    for number in numbers:
        path, hit = spec.walk(graph, bad, ego, number, KEY, params)
        came += bool({*path} & group)
        struck += hit is not None
    found = spec.tally(graph, bad, ego, numbers, KEY, params)
    assert sum(found.strikes) == struck <= came
    plain = spec.tally(graph, None, ego, numbers, KEY, params)
    for victim in range(len(graph)):
        assert found.net(victim) >= 0
        if victim not in group:
            # What is lost: walks that came by the group, and no others.
            assert plain.hits[victim] - found.net(victim) <= came


def test_whitewashing_never_pays() -> None:
    """However much is said against an account, a new one stands no better: net 0, and 0 for who is on no path."""
    edges = {(0, 1): 1, (1, 2): 1, (0, 3): 1}
    graph = graph_of(edges, 5)
    for weight in (1, 100, 10**6):
        found = spec.tally(
            graph, graph_of({(0, 2): weight, (3, 2): weight}, 5), 0, range(200), KEY, STANDARD_REPUTATION
        )
        assert found.net(2) >= found.net(4) == 0


def test_the_seed_vector_is_where_walks_begin() -> None:
    """Exact mass and walks are of one process: an account a step from its only seed."""
    graph = graph_of({(0, 1): 1}, 2)
    hits = walks.tally(Rows.of(graph), 0, 1, 0, 20_000, KEY, STANDARD_REPUTATION).hits
    chance = exact.visits(Rows.of(graph), [0], STANDARD_REPUTATION)[1] / rep.ONE_MASS
    assert abs(chance - 0.85) < 1e-9 and abs(hits[1] / 20_000 - chance) < 0.02
