"""Walks of :mod:`gradmint.spec.walks`, compiled; and views that follow a graph without taking all again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spec.reputation_params import ReputationParams
from ..spec.walks import DOMAIN, MULTIPLIERS, PICK_BITS, REST_BITS, ROUNDS, WEYL, Key, stop_below
from .compiled import compiled, inlined
from .rows import Growing, Longs, Places, Rows, Weights

M0, M1 = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
W0, W1 = np.uint64(WEYL[0]), np.uint64(WEYL[1])
LOW, HALF = np.uint64(0xFFFF_FFFF), np.uint64(32)
DOMAIN_WORD = np.uint64(DOMAIN)
PICK, PICK_HALF = np.uint64(PICK_BITS), np.uint64(PICK_BITS // 2)
PICK_MASK, PICK_LOW = np.uint64((1 << PICK_BITS) - 1), np.uint64((1 << PICK_BITS // 2) - 1)

NONE = -1


@inlined
def block(c0, c1, c2, c3, k0, k1):  # type: ignore[no-untyped-def]  # uint64 scalars, which mypy takes for Python's
    """A Philox block as two words of 64 bits: one for each of two steps."""
    for _ in range(ROUNDS):
        even, odd = c0 * M0, c2 * M1
        c0, c1, c2, c3 = (odd >> HALF) ^ c1 ^ k0, odd & LOW, (even >> HALF) ^ c3 ^ k1, even & LOW
        k0, k1 = (k0 + W0) & LOW, (k1 + W1) & LOW
    return c0 << HALF | c1, c2 << HALF | c3


@inlined
def _pick(drawn, total):  # type: ignore[no-untyped-def]
    """drawn * total >> 40 for a draw of 40 bits and a total below 2^43: halves, so that products fit."""
    upper, lower = (drawn >> PICK_HALF) * total, (drawn & PICK_LOW) * total
    return np.int64((upper + (lower >> PICK_HALF)) >> PICK_HALF)


@inlined
def _edge(sums: Weights, first: int, last: int, pick: int) -> int:
    """The first of a row's edges whose running sum exceeds ``pick``, which is below the last one's.

    Without a branch in the loop: which half it is in is a coin's throw, and half of all guesses would be wrong.
    """
    count = last - first
    while count > 1:
        half = count >> 1
        first += half * (sums[first + half - 1] <= pick)
        count -= half
    return first


@inlined
def take(
    heads: Longs, targets: Places, sums: Weights, guide: Places,
    bad_heads: Longs, bad_targets: Places, bad_sums: Weights,
    ego: int, word: int, number: int, k0: int, k1: int, stop: int, most: int, path: Places,
) -> tuple[int, int]:  # fmt: skip
    """One walk into ``path``: how many accounts it comes by, counting again whom it meets again, and whom it strikes.

    The length is ``len(path)`` + 1 when it does not fit.
    """
    here, length = ego, 1
    path[0] = ego
    uk0, uk1, uword, unumber, ustop = np.uint64(k0), np.uint64(k1), np.uint64(word), np.uint64(number), np.uint64(stop)
    has_bad, has_guide = len(bad_heads) > 0, len(guide) > 0
    drawn = following = np.uint64(0)
    for step in range(most):
        good = heads[here, 2]
        total = good + bad_heads[here, 2] if has_bad else good
        if total == 0:
            break
        if step & 1:
            drawn = following
        else:
            drawn, following = block(np.uint64(step >> 1), unumber, uword, DOMAIN_WORD, uk0, uk1)
        if drawn >> PICK < ustop:
            break
        drawn &= PICK_MASK
        pick = _pick(drawn, np.uint64(total))
        if pick >= good:
            edge = _edge(bad_sums, bad_heads[here, 0], bad_heads[here, 1], pick - good)
            return length, int(bad_targets[edge])
        begin, end = heads[here, 0], heads[here, 1]
        if has_guide and total == good:
            edge = int(guide[begin + _pick(drawn, np.uint64(end - begin))])
            while sums[edge] <= pick:
                edge += 1
        else:
            edge = _edge(sums, begin, end, pick)
        here = int(targets[edge])
        if length == len(path):
            return length + 1, NONE
        path[length] = here
        length += 1
    return length, NONE


@compiled
def _tally(
    heads: Longs, targets: Places, sums: Weights, guide: Places,
    bad_heads: Longs, bad_targets: Places, bad_sums: Weights,
    ego: int, word: int, first: int, last: int, k0: int, k1: int, stop: int, most: int,
    hits: Longs, strikes: Longs,
) -> None:  # fmt: skip
    path, seen = np.empty(most + 1, dtype=np.int32), np.full(len(heads), first - 1)
    for number in range(first, last):
        length, struck = take(
            heads, targets, sums, guide, bad_heads, bad_targets, bad_sums,
            ego, word, number, k0, k1, stop, most, path,
        )  # fmt: skip
        for k in range(length):
            if seen[path[k]] != number:
                seen[path[k]] = number
                hits[path[k]] += 1
        if struck >= 0:
            strikes[struck] += 1


@inlined
def _count(path: Places, length: int, struck: int, hits: Longs, strikes: Longs, sign: int) -> None:
    """Add ``sign`` once for each account of a walk, however often it comes by."""
    for k in range(length):
        fresh = True
        for earlier in range(k):
            if path[earlier] == path[k]:
                fresh = False
                break
        if fresh:
            hits[path[k]] += sign
    if struck >= 0:
        strikes[struck] += sign


def _edges(rows: Rows, bad: Rows | None) -> tuple[NDArray[np.generic], ...]:
    other = _no_rows(0) if bad is None else bad
    return (rows.heads, rows.targets, rows.sums, rows.guide, other.heads, other.targets, other.sums)


def _no_rows(size: int) -> Rows:
    offsets, none = np.zeros(size + 1, dtype=np.int64), np.zeros(0, dtype=np.int64)
    return Rows.packed(offsets, none.astype(np.int32), none.astype(np.uint32))


@dataclass(frozen=True, slots=True)
class Tally:
    """:class:`spec.walks.Tally` as arrays, int64 [n]."""

    hits: Longs
    strikes: Longs

    @property
    def net(self) -> Longs:
        return np.maximum(0, self.hits - self.strikes)


def tally(
    rows: Rows, ego: int, word: int, first: int, last: int, key: Key, params: ReputationParams, bad: Rows | None = None
) -> Tally:
    """What walks ``first`` to ``last`` of account ``ego`` come by and strike; ``word`` is :func:`spec.walks.ego_word`.

    Tallies of ranges add up to the tally of their union, in any order.
    """
    hits, strikes = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
    _tally(*_edges(rows, bad), ego, word, first, last, *key, stop_below(params), params.steps(REST_BITS), hits, strikes)
    return Tally(hits, strikes)


@compiled
def _regrow(
    heads: Longs, targets: Places, sums: Weights, guide: Places,
    bad_heads: Longs, bad_targets: Places, bad_sums: Weights,
    ego: int, word: int, k0: int, k1: int, stop: int, most: int,
    changed: int, paths: NDArray[np.int32], lengths: Longs, struck: Longs, hits: Longs, strikes: Longs,
) -> int:  # fmt: skip
    """Take again every walk that came by ``changed`` (or, below 0, every one that was never taken); how many.

    Below 0, and to be called again, where a path does not fit: so wide it has to be.
    """
    again = 0
    path = np.empty(most + 1, dtype=np.int32)
    for number in range(len(lengths)):
        length = lengths[number]
        concerned = length == 0
        for k in range(length):
            if paths[number, k] == changed:
                concerned = True
                break
        if not concerned:
            continue
        again += 1
        fresh, hit = take(
            heads, targets, sums, guide, bad_heads, bad_targets, bad_sums,
            ego, word, number, k0, k1, stop, most, path,
        )  # fmt: skip
        if fresh > paths.shape[1]:
            return -int(fresh)
        _count(paths[number], length, struck[number], hits, strikes, -1)
        paths[number, :fresh] = path[:fresh]
        lengths[number], struck[number] = fresh, hit
        _count(path, fresh, hit, hits, strikes, 1)
    return again


class View:
    """The walks of one ego, kept: :meth:`set` changes an edge and takes only those again that came by its source.

    ``tally`` is then exactly that of all walks taken from scratch. Memory is some 20 places for each walk.
    """

    def __init__(
        self, rows: Rows, ego: int, word: int, walks: int, key: Key, params: ReputationParams, bad: Rows | None = None
    ) -> None:
        self._good, self._bad = Growing(rows), Growing(_no_rows(len(rows)) if bad is None else bad)
        self._start = (ego, word, *key, stop_below(params), params.steps(REST_BITS))
        self._paths = np.zeros((walks, 16), dtype=np.int32)
        self._lengths = np.zeros(walks, dtype=np.int64)
        self._struck = np.full(walks, NONE, dtype=np.int64)
        self.tally = Tally(np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64))
        self._follow(NONE)

    def set(self, source: int, target: int, weight: int, bad: bool = False) -> int:
        """Give an edge, a bad one if so said, its weight; 0 takes it away. How many walks were taken again.

        Raises ValueError as :meth:`Growing.set`.
        """
        (self._bad if bad else self._good).set(source, target, weight)
        return self._follow(source)

    def _follow(self, changed: int) -> int:
        edges = _edges(self._good.rows, self._bad.rows)
        while True:
            done = _regrow(
                *edges, *self._start, changed,
                *(self._paths, self._lengths, self._struck, self.tally.hits, self.tally.strikes),
            )  # fmt: skip
            if done >= 0:
                return int(done)
            wider = np.zeros((len(self._lengths), max(-done, 2 * self._paths.shape[1])), dtype=np.int32)
            wider[:, : self._paths.shape[1]] = self._paths
            self._paths = wider
