"""Walks over a graph that no machine holds: each shard has the rows of some sources, and walks go to where they are.

Frontier by frontier: a shard takes every walk that is with it on until it ends or leaves, then hands over those that
left. A walk's step is drawn from (step, walk, ego), wherever it is taken, so the counts are those of
:func:`.walks.tally` to the bit, for any number of shards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spec.reputation_params import ReputationParams
from ..spec.walks import REST_BITS, Key, stop_below
from .compiled import compiled
from .rows import Longs, Places, Rows, Weights
from .spread import ranges
from .walks import DOMAIN_WORD, PICK, PICK_MASK, _edge, _pick, block

#: A walk on its way, int64 [4]: the ego's place in the list, the walk's number, the next step, where it is.
Frontier = NDArray[np.int64]


@dataclass(frozen=True)
class Shard:
    """Rows of the accounts ``first`` to ``last``."""

    first: int
    last: int
    rows: Rows  # account u at place u - first; targets are accounts


def shards(rows: Rows, count: int) -> list[Shard]:
    """Cut by source. Real ones are built where their events are read; this is for one machine."""
    found = []
    for first, last in ranges(len(rows), count):
        edges = [np.arange(*rows.heads[u, :2]) for u in range(first, last)]
        chosen = np.concatenate([*edges, np.zeros(0, dtype=np.int64)])
        offsets = np.cumsum([0, *map(len, edges)], dtype=np.int64)
        found.append(Shard(first, last, Rows.packed(offsets, rows.targets[chosen], rows.weights[chosen])))
    return found


@compiled
def _advance(
    heads: Longs, targets: Places, sums: Weights, first: int, last: int,
    frontier: Frontier, words: Longs, k0: int, k1: int, stop: int, most: int, come_by: Frontier,
) -> tuple[int, int]:  # fmt: skip
    """Take every walk on as far as this shard can; those that left come first in ``frontier`` afterwards.

    How many left, and how many (ego, walk, account) were written to ``come_by``; -1 of them when it is too short.
    """
    left = written = 0
    uk0, uk1, ustop = np.uint64(k0), np.uint64(k1), np.uint64(stop)
    for k in range(len(frontier)):
        ego, number, step, here = frontier[k]
        while step < most and first <= here < last:
            begin, end, total = heads[here - first]
            if total == 0:
                step = most
                break
            even, odd = block(np.uint64(step >> 1), np.uint64(number), np.uint64(words[ego]), DOMAIN_WORD, uk0, uk1)
            drawn = odd if step & 1 else even
            if drawn >> PICK < ustop:
                step = most
                break
            here = int(targets[_edge(sums, begin, end, _pick(drawn & PICK_MASK, np.uint64(total)))])
            step += 1
            if written == len(come_by):
                return left, -1
            come_by[written, 0], come_by[written, 1], come_by[written, 2] = ego, number, here
            written += 1
        if step < most:
            frontier[left, 0], frontier[left, 1], frontier[left, 2], frontier[left, 3] = ego, number, step, here
            left += 1
    return left, written


def advance(
    shard: Shard, frontier: Frontier, words: Longs, key: Key, params: ReputationParams
) -> tuple[Frontier, Frontier]:
    """One shard's turn: the walks that left it, and the (ego, walk, account) that were come by, each once."""
    room = 16 * len(frontier) + 64
    while True:
        going, come_by = frontier.copy(), np.empty((room, 3), dtype=np.int64)
        left, written = _advance(
            *(shard.rows.heads, shard.rows.targets, shard.rows.sums, shard.first, shard.last),
            *(going, words, *key, stop_below(params), params.steps(REST_BITS), come_by),
        )
        if written >= 0:
            return going[:left], np.unique(come_by[:written], axis=0)
        room *= 2


def hits(
    parts: list[Shard], size: int, egos: list[tuple[int, int]], count: int, key: Key, params: ReputationParams
) -> NDArray[np.int64]:
    """Hits of walks 0..count of each ego (account, word), int64 [egos, n]."""
    words = np.array([word for _, word in egos], dtype=np.int64)
    numbers = np.arange(count)
    frontier = np.concatenate(
        [np.stack([np.full(count, k), numbers, np.zeros_like(numbers), np.full(count, ego)], axis=1)
         for k, (ego, _) in enumerate(egos)]
    )  # fmt: skip
    seen = [frontier[:, [0, 1, 3]]]
    while len(frontier):
        turns = [
            advance(shard, mine, words, key, params)
            for shard in parts
            if len(mine := frontier[(frontier[:, 3] >= shard.first) & (frontier[:, 3] < shard.last)])
        ]
        seen += [come_by for _, come_by in turns]
        frontier = np.concatenate([going for going, _ in turns])
    found = np.zeros((len(egos), size), dtype=np.int64)
    # Unique over all shards: a walk that comes back after leaving counts once.
    once = np.unique(np.concatenate(seen), axis=0)
    np.add.at(found, (once[:, 0], once[:, 2]), 1)
    return found
