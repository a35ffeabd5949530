"""A feedback graph as arrays: what kernels read, what workers share, and what one new edge changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..spec.feedback import MAX_ROW_BITS, Graph
from .compiled import compiled

Longs = NDArray[np.int64]
Places = NDArray[np.int32]
Weights = NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Rows:
    """Out-edges of account u are ``targets[a:b]``, ascending, for (a, b, sum of their weights) = ``heads[u]``.

    Rows lie behind one another for a graph as it was built, anywhere for one that has grown (:class:`Growing`). The
    three numbers are one line of the processor's cache: a walk asks for all of them at every step.
    """

    heads: Longs  # [n, 3]
    targets: Places  # [m]
    weights: Weights  # [m]
    sums: Weights  # [m], inclusive, from each row's start on
    guide: Places  # [m], or none: see :func:`_guide`

    @classmethod
    def of(cls, graph: Graph) -> Rows:
        """The arrays of a canonical graph."""
        return cls.packed(
            np.array(graph.offsets, dtype=np.int64),
            np.array(graph.targets, dtype=np.int32),
            np.array(graph.weights, dtype=np.uint32),
        )

    @classmethod
    def packed(cls, offsets: Longs, targets: Places, weights: Weights) -> Rows:
        """Of compressed sparse rows that are canonical already."""
        running = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(weights, dtype=np.int64)])
        sums = (running[1:] - np.repeat(running[offsets[:-1]], np.diff(offsets))).astype(np.uint32)
        heads = np.stack([offsets[:-1], offsets[1:], np.diff(running[offsets])], axis=1)
        return cls(heads, targets, weights, sums, _guide(heads, sums))

    @classmethod
    def from_edges(cls, size: int, sources: Longs, targets: Longs, weights: Longs) -> Rows:
        """Of edges in any order; parallel ones are added up, those to oneself left out. Rows below 2^32."""
        kept = sources != targets
        keys = sources[kept].astype(np.int64) * size + targets[kept]
        order = np.argsort(keys, kind="stable")
        keys, heavy = keys[order], weights[kept][order].astype(np.int64)
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        total = np.add.reduceat(heavy, first) if len(first) else heavy
        offsets = np.searchsorted(keys[first], np.arange(size + 1, dtype=np.int64) * size)
        return cls.packed(
            offsets.astype(np.int64), (keys[first] % max(1, size)).astype(np.int32), total.astype(np.uint32)
        )

    def __len__(self) -> int:
        return len(self.heads)

    @property
    def counts(self) -> Longs:
        """Edges of each row, int64 [n]."""
        return self.heads[:, 1] - self.heads[:, 0]

    @property
    def totals(self) -> Longs:
        """Sum of each row, 0 for an empty one; int64 [n]."""
        return self.heads[:, 2]

    @cached_property
    def reverse(self) -> tuple[Longs, Places]:
        """Compressed sparse columns: sources of v are ``[1][[0][v]:[0][v + 1]]``, ascending."""
        counts = self.counts
        edge = np.repeat(self.heads[:, 0] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(
            counts.sum()
        )
        targets, sources = self.targets[edge], np.repeat(np.arange(len(self), dtype=np.int32), counts)
        order = np.argsort(targets, kind="stable")
        offsets = np.searchsorted(targets[order], np.arange(len(self) + 1))
        return offsets.astype(np.int64), sources[order]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """What another process needs to have the same rows."""
        return {name: getattr(self, name) for name in ("heads", "targets", "weights", "sums", "guide")}


@compiled
def _guide(heads: Longs, sums: Weights) -> Places:
    """Where to look for an edge: entry k of a row of c is the first of its edges whose running sum exceeds k / c of the
    whole. Who looks for a part r of it starts at entry floor(r c) and goes on by less than two edges on average,
    whatever the weights (Chen and Asau, 1974)."""
    guide = np.empty(len(sums), dtype=np.int32)
    for source in range(len(heads)):
        first, last, total = heads[source]
        edge = first
        for k in range(last - first):
            while sums[edge] <= k * total // (last - first):
                edge += 1
            guide[first + k] = edge
    return guide


class Growing:
    """Rows that change edge by edge: a changed row is written behind all others, and the arrays double when full."""

    def __init__(self, rows: Rows) -> None:
        self._heads = rows.heads.copy()
        self._pool = {name: rows.arrays()[name].copy() for name in ("targets", "weights", "sums")}
        self._used = len(rows.targets)
        self._rows = rows

    @property
    def rows(self) -> Rows:
        """As of now. Arrays are shared with later states: use it before the next change."""
        return self._rows

    def set(self, source: int, target: int, weight: int) -> None:
        """Give an edge its weight, 0 to take it away. Raises ValueError for edges to oneself and rows from 2^32 on."""
        row = dict(self.row(source))
        row[target] = weight
        self.set_row(source, row)

    def row(self, source: int) -> Iterable[tuple[int, int]]:
        """(target, weight) of every out-edge."""
        part = slice(*self._heads[source, :2])
        return zip(self._pool["targets"][part].tolist(), self._pool["weights"][part].tolist(), strict=True)

    def set_row(self, source: int, row: Mapping[int, int]) -> None:
        """Replace all out-edges of ``source``. Raises what :meth:`set` does."""
        kept = sorted((target, weight) for target, weight in row.items() if weight)
        total = sum(weight for _, weight in kept)
        if source in row or total.bit_length() > MAX_ROW_BITS or any(weight < 0 for _, weight in kept):
            raise ValueError(f"row of {source} has an edge to itself, a negative one, or weighs {total} >= 2^32")
        begin, end = self._used, self._used + len(kept)
        if end > len(self._pool["targets"]):
            for name, array in self._pool.items():
                self._pool[name] = np.concatenate([array, np.zeros(max(end, 16), dtype=array.dtype)])
        weights = np.array([weight for _, weight in kept], dtype=np.int64)
        self._pool["targets"][begin:end] = [target for target, _ in kept]
        self._pool["weights"][begin:end] = weights
        self._pool["sums"][begin:end] = np.cumsum(weights)
        self._heads[source], self._used = (begin, end, total), end
        # A guide of the whole would be made anew with every change.
        self._rows = Rows(self._heads, **self._pool, guide=np.zeros(0, dtype=np.int32))  # type: ignore[arg-type]
