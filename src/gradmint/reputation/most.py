"""The most that any witness can show (:mod:`spec.witness`): who claims more cannot prove it.

Whatever passes is a sub-solution H <= F(H) and not above the exact visits G*. F is monotone, so H <= U gives
H <= F^k(H) <= F^k(U) for every k. U is the visits as computed, plus at every account all that can be missing of them
(the bound beforehand of :mod:`spec.reputation`); F contracts by 1 - alpha, so k steps bring U down to G*.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ..spec.book import Book
from ..spec.feedback import Graph
from ..spec.reputation import MASS_BITS, ONE_MASS, connectivity
from ..spec.reputation_params import REST_BITS, ReputationParams
from ..spec.types import BPS
from . import exact
from .rows import Rows

KEPT = 4  # cuts that anything can still be proposed or shown about


def most_hits(rows: Rows, seeds: Collection[int], params: ReputationParams, account: int) -> int:
    """Units of 2^-56. No witness shows more hits of ``account``, whatever accounts it names."""
    size, keep = len(rows), BPS - params.alpha_bps
    start = exact.start(size, seeds)
    lost = len(seeds) + params.iterations * int(rows.totals.sum(dtype=np.int64))  # units, by floors
    missing = ((ONE_MASS >> REST_BITS) + lost) * BPS // params.alpha_bps + 1
    above = exact.visits(rows, seeds, params, mute=account) + missing
    for _ in range(params.steps(MASS_BITS)):
        after = start.copy()
        exact.push(rows.heads, rows.targets, rows.weights, above, after, 0, size, keep, account)
        above = np.minimum(above, after)
    return int(above[account])


class Most:
    """What can be shown of accounts at most, by past cuts of ``book``; the last few cuts' graphs are kept."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._graphs: dict[int, tuple[Graph, Rows]] = {}

    def shown(self, account: bytes, cut: int) -> tuple[int, int]:
        """(hits in units of 2^-56, paths) at the end of epoch ``cut``, which must be over."""
        if cut not in self._graphs:
            graph = self._book.graph(cut)
            self._graphs[cut] = graph, Rows.of(graph)
            for old in sorted(self._graphs)[:-KEPT]:
                del self._graphs[old]
        graph, rows = self._graphs[cut]
        place, seeds, params = graph.find(account), graph.among(self._book.seeds), self._book.params
        if place is None:
            return 0, 0
        return most_hits(rows, seeds, params, place), connectivity(graph, seeds, place, params.max_paths)
