"""The witness that shows most with few accounts: :mod:`gradmint.spec.witness` says what one is.

Which accounts matter is decided in floats: of those on some way from a seed to the subject, whoever hands on least to
it is left out, a few at a time, and the others are looked at again. What the witness says of the chosen ones is exact.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spec import reputation as rep
from ..spec.book import Book
from ..spec.feedback import Graph
from ..spec.reputation import Path
from ..spec.reputation_params import ReputationParams
from ..spec.types import BPS
from ..spec.witness import MAX_NODES, Witness, compose

STEPS = 48  # of a walk, to compare accounts by: at alpha 0.15 one in 2,400 goes on
STANDARD_NODES = 32


@dataclass(frozen=True, slots=True)
class Chosen:
    """Accounts to name in a witness, as places in a graph."""

    places: tuple[int, ...]  # ascending, the subject among them
    paths: tuple[Path, ...]  # disjoint, along them
    connectivity: int  # what the paths show
    part: float  # of the subject's hits, about, that these accounts show


def find(book: Book, account: bytes, cut: int, most_nodes: int = STANDARD_NODES) -> tuple[int, int, Witness]:
    """Hits and paths that ``account`` can show at the end of epoch ``cut``, and the witness, of ``most_nodes`` accounts
    at most (255 are the contract's limit)."""
    graph = book.graph(cut)
    place = graph.find(account)
    if place is None:
        return 0, 0, compose(book, account, cut, ())
    chosen = choose(graph, graph.among(book.seeds), book.params, place, most_nodes)
    names = graph.accounts
    paths = [[names[one] for one in path] for path in chosen.paths]
    witness = compose(book, account, cut, [names[one] for one in chosen.places], paths)
    return witness.nodes[0].visits, chosen.connectivity, witness


def choose(
    graph: Graph, seeds: Collection[int], params: ReputationParams, account: int, most_nodes: int,
    least_part: float = 1.0,
) -> Chosen:  # fmt: skip
    """At most ``most_nodes`` accounts: those on as many disjoint paths as fit, then whoever hands on most to
    ``account``; fewer, where ``least_part`` of its hits is enough. Nobody through whom no walk comes to it."""
    most_nodes = min(most_nodes, MAX_NODES)
    paths, connectivity = _paths(graph, seeds, params, account, most_nodes)
    kept = {account, *(place for path in paths for place in path)}
    field = _Field.of(graph, seeds, params, account, kept)
    whole = field.hits
    while True:
        loose, excess = field.loose, len(field.places) - most_nodes
        idle = int((field.handed[loose] == 0).sum())
        if not idle and excess <= 0:
            break
        field = field.without(loose[: idle or max(1, min(excess, len(loose) // 8))])
    while least_part < 1 and len(field.loose):
        fewer = field.without(field.loose[:1])
        if fewer.hits < least_part * whole:
            break
        field = fewer
    part = field.hits / whole if whole else 1.0
    return Chosen(tuple(field.places.tolist()), paths, connectivity, part)


def _paths(
    graph: Graph, seeds: Collection[int], params: ReputationParams, account: int, most_nodes: int
) -> tuple[tuple[Path, ...], int]:
    """The shortest of as many disjoint paths as there are, as far as their accounts fit; and what they show."""
    found, _ = rep.disjoint_paths(graph, seeds, account, params.max_paths)
    fitting: list[Path] = []
    for path in sorted(found, key=lambda path: (len(path), path)):
        if len({account, *(place for one in (*fitting, path) for place in one)}) <= most_nodes:
            fitting.append(path)
    is_direct = bool(fitting) and len(fitting[0]) <= 2
    return tuple(fitting), params.max_paths if is_direct else len(fitting)


@dataclass(frozen=True, eq=False)
class _Field:
    """Walks among some accounts, and what they hand on to the subject, in floats."""

    places: NDArray[np.int64]  # [n], ascending
    is_kept: NDArray[np.bool_]  # [n]
    begins: NDArray[np.float64]  # [n], a walk's start
    sources: NDArray[np.int64]  # [m], indices of places
    targets: NDArray[np.int64]  # [m]
    chances: NDArray[np.float64]  # [m], of a step
    subject: int
    visits: NDArray[np.float64]  # [n]
    handed: NDArray[np.float64]  # [n], hits of the subject by walks through there

    @classmethod
    def of(
        cls, graph: Graph, seeds: Collection[int], params: ReputationParams, account: int, kept: Collection[int]
    ) -> _Field:
        """Of all accounts from which a walk comes to ``account``, whose own row is empty."""
        before, queue = {account}, [account]
        while queue:
            for source in graph.sources[queue.pop()]:
                if source not in before:
                    before.add(source)
                    queue.append(source)
        places = sorted(before)
        index = {place: k for k, place in enumerate(places)}
        go_on = 1 - params.alpha_bps / BPS
        edges = [
            (index[source], index[target], go_on * weight / graph.totals[source])
            for source in places
            if source != account
            for target, weight in graph.row(source)
            if target in before
        ]
        ends = np.array([edge[:2] for edge in edges], dtype=np.int64).reshape(-1, 2)
        return cls._walked(
            np.array(places, dtype=np.int64),
            np.array([place in kept for place in places], dtype=np.bool_),
            np.array([1 / len(seeds) if place in seeds else 0.0 for place in places]),
            ends[:, 0],
            ends[:, 1],
            np.array([edge[2] for edge in edges], dtype=np.float64),
            index[account],
        )

    @classmethod
    def _walked(
        cls, places: NDArray[np.int64], is_kept: NDArray[np.bool_], begins: NDArray[np.float64],
        sources: NDArray[np.int64], targets: NDArray[np.int64], chances: NDArray[np.float64], subject: int,
    ) -> _Field:  # fmt: skip
        size = len(places)
        end = np.zeros(size)
        end[subject] = 1
        visits, arrives = begins, end
        for _ in range(STEPS):
            visits = begins + np.bincount(targets, chances * visits[sources], size)
            arrives = end + np.bincount(sources, chances * arrives[targets], size)
        return cls(places, is_kept, begins, sources, targets, chances, subject, visits, visits * arrives)

    @property
    def hits(self) -> float:
        return float(self.visits[self.subject])

    @property
    def loose(self) -> NDArray[np.int64]:
        """Indices of accounts that may be left out, whoever hands on least first."""
        found = np.flatnonzero(~self.is_kept)
        return found[np.argsort(self.handed[found], kind="stable")]

    def without(self, left_out: NDArray[np.int64]) -> _Field:
        stays = np.ones(len(self.places), dtype=np.bool_)
        stays[left_out] = False
        index = np.cumsum(stays) - 1
        edge = stays[self.sources] & stays[self.targets]
        return self._walked(
            self.places[stays],
            self.is_kept[stays],
            self.begins[stays],
            index[self.sources[edge]],
            index[self.targets[edge]],
            self.chances[edge],
            int(index[self.subject]),
        )
