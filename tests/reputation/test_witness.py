"""The witness that is found shows what there is, and with few accounts nearly all of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from spec.graphs import graph_of, graphs
from spec.histories import histories

from gradmint.reputation.witness import choose, find
from gradmint.spec import reputation as rep
from gradmint.spec.book import Book
from gradmint.spec.feedback import Graph
from gradmint.spec.reputation_params import STANDARD_REPUTATION
from gradmint.spec.witness import MAX_NODES, Kept, check
from gradmint.study.scribe import Scribe
from gradmint.study.sybil_world import World


@given(histories(most=10), st.integers(0, 2), st.integers(1, 12))
def test_what_is_found_holds_and_with_enough_accounts_is_all(scribe: Scribe, cut: int, most_nodes: int) -> None:
    book, graph = scribe.book, scribe.book.graph(cut)
    seeds = graph.among(book.seeds)
    for place, account in enumerate(graph.accounts):
        hits, paths, witness = find(book, account, cut, most_nodes)
        check(witness, Kept.of(book, witness, cut), book.params, account, cut, hits, paths)
        assert len(witness.nodes) <= most_nodes and hits == witness.nodes[0].visits
        assert hits <= rep.most_hits(graph, seeds, book.params, place)
        c = rep.connectivity(graph, seeds, place, book.params.max_paths)
        assert paths <= c
        if most_nodes >= len(graph):
            assert paths == c and hits == rep.settled(graph, seeds, book.params, mute=place)[place]
            assert rep.hits(graph, seeds, book.params, place) <= hits


def test_who_was_never_endorsed_shows_nothing() -> None:
    scribe = Scribe(STANDARD_REPUTATION, [b"\x01" * 20])
    assert find(scribe.book, b"\x02" * 20, 0)[:2] == (0, 0)
    hits, paths, witness = find(scribe.book, b"\x01" * 20, 0)
    assert (hits, paths, len(witness.nodes)) == (rep.ONE_MASS, STANDARD_REPUTATION.max_paths, 1)


@given(graphs(most=8), st.integers(1, 8))
def test_nobody_is_named_without_need(drawn: tuple[Graph, tuple[int, ...]], most_nodes: int) -> None:
    graph, seeds = drawn
    for account in range(len(graph)):
        chosen = choose(graph, seeds, STANDARD_REPUTATION, account, most_nodes)
        assert account in chosen.places and len(chosen.places) <= most_nodes
        fewer = choose(graph, seeds, STANDARD_REPUTATION, account, most_nodes, 0.9)
        assert {*fewer.places} <= {*chosen.places} and fewer.part >= 0.9 * chosen.part - 1e-9
        inner = [place for path in chosen.paths for place in path[1:-1]]
        assert len({*inner}) == len(inner) and {*inner} <= {*chosen.places}


def test_paths_that_do_not_fit_are_left_out() -> None:
    """Two ways, of one and of three accounts between: room for the shorter one alone."""
    graph = graph_of({(0, 1): 1, (1, 5): 1, (0, 2): 1, (2, 3): 1, (3, 4): 1, (4, 5): 1}, 6)
    short = choose(graph, [0], STANDARD_REPUTATION, 5, 4)
    assert short.paths == ((0, 1, 5),) and short.connectivity == 1 and short.places == (0, 1, 5)
    assert choose(graph, [0], STANDARD_REPUTATION, 5, 6).connectivity == 2


def worst(book: Book, accounts: tuple[bytes, ...], most_nodes: int) -> float:
    """Least part of its score that any of ``accounts`` with one can show."""
    graph = book.graph(0)
    seeds, parts = graph.among(book.seeds), []
    for account in accounts:
        place = graph.find(account)
        if place is None:
            continue
        hits, paths, _ = find(book, account, 0, most_nodes)
        full = rep.score(
            rep.hits(graph, seeds, book.params, place),
            rep.connectivity(graph, seeds, place, book.params.max_paths),
            book.params,
        )
        if full:
            parts.append(rep.score(hits, paths, book.params) / full)
    return min(parts)


def test_32_accounts_show_nearly_all_in_a_drawn_world() -> None:
    world = World.drawn(1, STANDARD_REPUTATION)
    chosen = world.trainers[:24] + world.verifiers[:8]
    assert worst(world.book, chosen, 32) > 0.95
    assert worst(world.book, chosen, MAX_NODES) > 0.9999
