"""An explanation says what the score says."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from spec.graphs import graph_of, graphs

from gradmint.reputation.explain import LEAST_BPS, MOST_BPS, explain
from gradmint.spec import reputation as rep
from gradmint.spec.feedback import ROUND_UNITS, Graph, from_rows
from gradmint.spec.reputation_params import STANDARD_REPUTATION


@given(graphs(most=8))
def test_everything_said_is_so(drawn: tuple[Graph, tuple[int, ...]]) -> None:
    graph, seeds = drawn
    params = STANDARD_REPUTATION
    scores = rep.scores(graph, seeds, params, range(len(graph)))
    judged = [place for place in range(len(graph)) if graph.sources[place]]
    for account in range(len(graph)):
        found = explain(graph, seeds, params, account)
        assert found.score == scores[account] and found.hits == rep.hits(graph, seeds, params, account)
        assert found.reference == rep.reference(len(judged), params)
        assert found.rating_q32 == rep.rating_q32(found.score, found.reference)
        assert found.multiplier_q32 == rep.multiplier_q32(found.rating_q32, LEAST_BPS, MOST_BPS)
        assert account in found.witness.places and (found.witness.part >= 0.99 or not found.hits)
        better = sum(scores[place] > found.score for place in judged)
        assert found.rank == (1 + better if found.score else None)
        assert found.connectivity == rep.connectivity(graph, seeds, account, params.max_paths)
        assert found.cut is None or rep.is_cut(graph, seeds, account, found.cut)
        assert all(not rep.is_cut(graph, seeds, account, rep.Cut(frozenset(), frozenset([p]))) for p in found.chain)
        begun = rep.ONE_MASS // len(seeds) if account in seeds else 0
        if len(graph.sources[account]) <= 3 and found.hits:
            # Mass per step is rounded down where it is handed on, here once for all steps.
            difference = abs(sum(one.mass for one in found.strongest) + begun - found.hits)
            assert difference <= 200 * sum(graph.totals) + rep.ONE_MASS >> 14
        for one in found.strongest:
            assert one.path[0] in seeds and one.path[-2:] == (one.account, account)
            assert all(graph.weight(a, b) for a, b in pairwise(one.path))
            assert one.weight == graph.weight(one.account, account)
        for advice in found.advice:
            rows = [list(graph.row(place)) for place in range(len(graph))]
            rows[advice.source].append((account, ROUND_UNITS))
            after = rep.scores(from_rows(graph.accounts, rows), seeds, params, [account])[account]
            assert advice.rating_q32 == rep.rating_q32(after, found.reference)
            assert after > found.score


def test_a_chain_names_whom_every_path_passes() -> None:
    graph = graph_of({(0, 1): 1, (1, 2): 1, (2, 3): 1, (0, 4): 1}, 5)
    found = explain(graph, [0], STANDARD_REPUTATION, 3)
    assert found.chain == (1, 2) and found.connectivity == 1
    assert found.cut is not None and len(found.cut.through) == 1
    assert found.strongest[0].path == (0, 1, 2, 3)
    # A seed's own word, or a path beside the chain: both are better than one more of the same.
    assert {advice.source for advice in found.advice} >= {0, 4}


def test_who_is_unknown_is_told_what_would_help() -> None:
    graph = graph_of({(0, 1): 5}, 3)
    found = explain(graph, [0], STANDARD_REPUTATION, 2)
    assert (found.score, found.connectivity, found.strongest) == (0, 0, ())
    assert found.advice[0].source == 0 and found.advice[0].multiplier_q32 > found.multiplier_q32
