"""The compiled engine and the readable one, bit for bit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spec.graphs import graph_of, graphs
from spec.graphs import params as some_params

from gradmint.reputation import exact
from gradmint.reputation.rows import Growing, Rows
from gradmint.spec import reputation as rep
from gradmint.spec.feedback import Graph
from gradmint.spec.reputation_params import STANDARD_REPUTATION, ReputationParams

DRAWN = graphs(most=12, heaviest=2**34)


@given(DRAWN, some_params, st.data())
def test_visits_are_the_specs(
    drawn: tuple[Graph, tuple[int, ...]], params: ReputationParams, data: st.DataObject
) -> None:
    graph, seeds = drawn
    mute = data.draw(st.none() | st.integers(0, len(graph) - 1))
    found = exact.visits(Rows.of(graph), seeds, params, mute)
    wanted = rep.visits(graph, seeds, params, mute)
    assert found.tolist() == wanted
    short = rep.shortfall(graph, seeds, params, wanted, mute)
    assert exact.shortfall(Rows.of(graph), seeds, params, found, mute) == short
    assert exact.settled(Rows.of(graph), seeds, params, mute).tolist() == rep.settled(graph, seeds, params, mute)
    account = mute or 0
    assert exact.most_hits(Rows.of(graph), seeds, params, account) == rep.most_hits(graph, seeds, params, account)


@given(DRAWN, some_params)
def test_paths_dominators_cycles_and_scores_are_the_specs(
    drawn: tuple[Graph, tuple[int, ...]], params: ReputationParams
) -> None:
    graph, seeds = drawn
    rows, everyone = Rows.of(graph), range(len(graph))
    assert exact.dominators(rows, seeds).tolist() == rep.dominators(graph, seeds)
    assert exact.on_cycle(rows).tolist() == [rep.is_on_cycle(graph, account) for account in everyone]
    for most in (1, 2, 5):
        wanted = [rep.connectivity(graph, seeds, account, most) for account in everyone]
        assert exact.connectivity(rows, seeds, everyone, most).tolist() == wanted
    assert exact.scores(rows, seeds, params, everyone).tolist() == [
        *rep.scores(graph, seeds, params, everyone).values()
    ]


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_larger_graphs_too(seed: int) -> None:
    """Flows that have to be rerouted are rare in small graphs."""
    random = np.random.default_rng(seed)
    size, count = 60, int(random.integers(100, 260))
    pairs = {(int(a), int(b)): int(w) for a, b, w in random.integers(1, size, (count, 3)) if a != b}
    graph = graph_of({**pairs, **{(0, int(t)): 1 for t in random.integers(1, size, 8)}}, size)
    rows = Rows.of(graph)
    chosen = random.permutation(size)
    wanted = [rep.connectivity(graph, [0], int(account), 8) for account in chosen]
    assert exact.connectivity(rows, [0], chosen, 8).tolist() == wanted
    assert exact.dominators(rows, [0]).tolist() == rep.dominators(graph, [0])
    assert exact.scores(rows, [0], STANDARD_REPUTATION, chosen).tolist() == [
        *rep.scores(graph, [0], STANDARD_REPUTATION, chosen.tolist()).values()
    ]


def test_the_greatest_numbers_do_not_overflow() -> None:
    """Everything on two accounts that pass it to each other, at the least alpha and the heaviest row."""
    graph = graph_of({(0, 1): 2**32 - 1, (1, 0): 1}, 2)
    params = ReputationParams(alpha_bps=100, beta_bps=0)
    found = exact.visits(Rows.of(graph), [0], params)
    assert found.tolist() == rep.visits(graph, [0], params)
    assert found.sum() > 99 * rep.ONE_MASS
    assert exact.scores(Rows.of(graph), [0], params, [0, 1]).tolist() == [
        *rep.scores(graph, [0], params, [0, 1]).values()
    ]


@pytest.mark.parametrize("seeds", [(), (0,)])
def test_graphs_with_nothing_in_them(seeds: tuple[int, ...]) -> None:
    rows = Rows.of(graph_of({}, 1))
    assert exact.visits(rows, seeds, STANDARD_REPUTATION).tolist() == [rep.ONE_MASS * len(seeds)]
    assert exact.scores(rows, (), STANDARD_REPUTATION, [0]).tolist() == [0]


@given(DRAWN, st.data())
def test_rows_are_those_of_the_graph_however_they_came_about(
    drawn: tuple[Graph, tuple[int, ...]], data: st.DataObject
) -> None:
    graph, _ = drawn
    edges = [(source, target, weight) for source in range(len(graph)) for target, weight in graph.row(source)]
    wanted = Rows.of(graph)
    assert wanted.totals.tolist() == list(graph.totals) and wanted.counts.sum() == len(edges)
    offsets, sources = wanted.reverse
    assert [tuple(sources[a:b].tolist()) for a, b in pairwise(offsets)] == list(graph.sources)
    shuffled = data.draw(st.permutations(edges))
    columns = np.array(shuffled, dtype=np.int64).reshape(-1, 3).T
    found = Rows.from_edges(len(graph), *columns)
    for name, array in wanted.arrays().items():
        assert array.tolist() == found.arrays()[name].tolist(), name
    growing = Growing(Rows.of(graph_of({}, len(graph))))
    for source, target, weight in shuffled:
        growing.set(source, target, weight)
    assert [list(growing.row(u)) for u in range(len(graph))] == [list(graph.row(u)) for u in range(len(graph))]
    assert growing.rows.totals.tolist() == list(graph.totals)
    grown = growing.rows.reverse
    assert grown[0].tolist() == offsets.tolist() and grown[1].tolist() == sources.tolist()


def test_growing_rows_refuse_what_no_graph_has() -> None:
    growing = Growing(Rows.of(graph_of({(0, 1): 2**31}, 3)))
    for source, target, weight in ((0, 0, 1), (0, 2, 2**31), (0, 2, -1)):
        with pytest.raises(ValueError, match="row of 0"):
            growing.set(source, target, weight)
    assert list(growing.row(0)) == [(1, 2**31)]


@given(DRAWN, some_params, st.integers(0, 4), st.data())
def test_visits_of_large_graphs_are_the_same_visits(
    drawn: tuple[Graph, tuple[int, ...]], params: ReputationParams, bits: int, data: st.DataObject
) -> None:
    graph, seeds = drawn
    mute = data.draw(st.none() | st.integers(0, len(graph) - 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "CACHE_BITS", bits)
        assert exact.visits(Rows.of(graph), seeds, params, mute).tolist() == rep.visits(graph, seeds, params, mute)
