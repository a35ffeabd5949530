"""Small feedback graphs, and what they are worth by definition: rational numbers and every subset tried."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from itertools import combinations

from hypothesis import strategies as st

from gradmint.spec.feedback import Graph, from_rows
from gradmint.spec.reputation_params import ReputationParams
from gradmint.spec.types import BPS


def account(number: int) -> bytes:
    return number.to_bytes(20, "big")


def graph_of(edges: dict[tuple[int, int], int], size: int) -> Graph:
    rows: list[list[tuple[int, int]]] = [[] for _ in range(size)]
    for (source, target), weight in edges.items():
        rows[source].append((target, weight))
    return from_rows([account(number) for number in range(size)], rows)


@st.composite
def graphs(draw: st.DrawFn, most: int = 8, heaviest: int = 2**20) -> tuple[Graph, tuple[int, ...]]:
    """A graph and its seeds, one or two."""
    size = draw(st.integers(2, most))
    pairs = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda pair: pair[0] != pair[1])
    edges = draw(st.dictionaries(pairs, st.integers(1, heaviest), max_size=3 * size))
    seeds = draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=2))
    return graph_of(edges, size), tuple(sorted(seeds))


params = st.builds(
    ReputationParams,
    alpha_bps=st.sampled_from([100, 1_500, 2_000, 4_000, 9_000]),
    beta_bps=st.integers(0, BPS),
    max_paths=st.integers(1, 8),
)


def exact_visits(graph: Graph, seeds: Collection[int], params: ReputationParams, mute: int = -1) -> list[Fraction]:
    """(I - M)^-1 e by elimination."""
    size = len(graph)
    go_on = 1 - Fraction(params.alpha_bps, BPS)
    table = [[Fraction(int(row == column)) for column in range(size)] for row in range(size)]
    for source in range(size):
        for target, weight in graph.row(source):
            if source != mute:
                table[target][source] -= go_on * Fraction(weight, graph.totals[source])
    right = [Fraction(int(place in seeds), len(seeds)) for place in range(size)]
    for pivot in range(size):
        row = next(k for k in range(pivot, size) if table[k][pivot])
        table[pivot], table[row], right[pivot], right[row] = table[row], table[pivot], right[row], right[pivot]
        for other in range(size):
            factor = table[other][pivot] / table[pivot][pivot] if other != pivot else Fraction(0)
            if factor:
                table[other] = [a - factor * b for a, b in zip(table[other], table[pivot], strict=True)]
                right[other] -= factor * right[pivot]
    return [value / table[k][k] for k, value in enumerate(right)]


def is_reached(graph: Graph, seeds: Collection[int], account: int, without: Collection[int] = ()) -> bool:
    """By a walk whose inner accounts are neither ``without`` nor, to begin with, anything but seeds."""
    seen, queue = {*seeds}, [*seeds]
    while queue:
        for target, _ in graph.row(queue.pop()):
            if target not in seen and target not in without:
                seen.add(target)
                queue.append(target)
    return account in seen


def least_cut(graph: Graph, seeds: Collection[int], account: int, most: int) -> int:
    """c by definition: the fewest accounts whose removal leaves no path; ``most`` where none does, or more."""
    others = [place for place in range(len(graph)) if place not in seeds and place != account]
    for size in range(most):
        if any(not is_reached(graph, seeds, account, removed) for removed in combinations(others, size)):
            return size
    return most
