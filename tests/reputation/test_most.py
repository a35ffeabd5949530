"""What can be shown at most bounds every witness, and nearly is what the whole graph shows."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from spec.histories import histories

from gradmint.reputation.most import Most
from gradmint.reputation.witness import find
from gradmint.spec.feedback import Graph
from gradmint.spec.reputation import ONE_MASS
from gradmint.spec.reputation_params import ReputationParams
from gradmint.spec.types import BPS
from gradmint.spec.witness import MAX_NODES
from gradmint.study.scribe import Scribe


@given(histories())
def test_no_witness_shows_more(scribe: Scribe) -> None:
    book, cut = scribe.book, scribe.epoch - 1
    most = Most(book)
    for account in {*book.seeds, *book.entries}:
        hits, paths, _ = find(book, account, cut, MAX_NODES)
        most_hits, most_paths = most.shown(account, cut)
        assert hits <= most_hits and paths == most_paths
        assert most_hits - hits <= ONE_MASS >> 20  # of small graphs the witness names everyone: floors are the rest
    assert most.shown(b"\xfe" * 20, cut) == (0, 0)


@given(histories(most=5, epochs=1))
def test_the_most_is_not_below_the_exact_visits(scribe: Scribe) -> None:
    book, cut = scribe.book, scribe.epoch - 1
    graph, most = book.graph(cut), Most(book)
    seeds = graph.among(book.seeds)
    for place, account in enumerate(graph.accounts):
        exact = exact_hits(graph, seeds, book.params, place)
        # Below by floors alone: what is lost of each share, times how often a walk passes.
        assert most.shown(account, cut)[0] >= exact - (len(graph) << 36)


def exact_hits(graph: Graph, seeds: tuple[int, ...], params: ReputationParams, account: int) -> Fraction:
    """In units of 2^-56: the linear system of expected visits, solved without rounding."""
    size, go_on = len(graph), Fraction(BPS - params.alpha_bps, BPS)
    rows = [[Fraction(int(i == j)) for j in range(size)] + [Fraction(0)] for i in range(size)]
    for seed in seeds:
        rows[seed][size] = Fraction(ONE_MASS // len(seeds))
    for source in range(size):
        for target, weight in graph.row(source) if source != account else ():
            rows[target][source] -= go_on * weight / graph.totals[source]
    for i in range(size):  # diagonally dominant by columns: no pivot is zero
        for k in range(size):
            if k != i and rows[k][i]:
                factor = rows[k][i] / rows[i][i]
                rows[k] = [a - factor * b for a, b in zip(rows[k], rows[i], strict=True)]
    return rows[account][size] / rows[account][account]
