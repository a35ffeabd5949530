"""Visits, hits, disjoint paths and scores of :mod:`gradmint.spec.reputation`, compiled: the same bits.

Costs, for n accounts and m edges: visits are T passes over m edges (T = 69 at alpha 0.15); dominators are a few. They
say for every account whether c is 0, 1, or at least 2. Counting beyond takes at most c + 1 searches for an account,
each of which ends at the first seed it meets and the last of which sees all edges before the account: only accounts
whose pay depends on it need that. Hits of an account on a cycle take a pass of their own (T m); others none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..spec.reputation import NOBODY, ONE_MASS, UNREACHED
from ..spec.reputation_params import ReputationParams
from ..spec.types import BPS
from .compiled import compiled
from .rows import Longs, Places, Rows, Weights

Flags = NDArray[np.bool_]

CACHE_BITS = 16  # so many accounts' masses, half a megabyte, stay in one core's cache


@compiled
def push(
    heads: Longs, targets: Places, weights: Weights,
    mass: Longs, after: Longs, first: int, last: int, keep: int, mute: int,
) -> bool:  # fmt: skip
    """Add to ``after`` where the mass at accounts ``first`` to ``last`` goes; whether any went."""
    moved = False
    for source in range(first, last):
        held, total = mass[source], heads[source, 2]
        if held == 0 or total == 0 or source == mute:
            continue
        # floor(floor(a / b) / c) = floor(a / (b c)), and no product leaves 63 bits.
        share = ((held // BPS) * keep + (held % BPS) * keep // BPS) // total
        if share == 0:
            continue
        moved = True
        for edge in range(heads[source, 0], heads[source, 1]):
            after[targets[edge]] += share * np.int64(weights[edge])
    return moved


@compiled
def _visits(
    heads: Longs, targets: Places, weights: Weights,
    mass: Longs, iterations: int, keep: int, mute: int,
) -> Longs:  # fmt: skip
    size = len(heads)
    total, after = mass.copy(), np.zeros(size, dtype=np.int64)
    for _ in range(iterations):
        if not push(heads, targets, weights, mass, after, 0, size, keep, mute):
            break
        for place in range(size):
            total[place] += after[place]
            mass[place] = after[place]
            after[place] = 0
    return total


@compiled
def _share(heads: Longs, mass: Longs, share: Longs, keep: int, mute: int) -> bool:
    """What each account hands on for one unit of weight; whether anybody does."""
    moved = False
    for source in range(len(heads)):
        held, total = mass[source], heads[source, 2]
        share[source] = ((held // BPS) * keep + (held % BPS) * keep // BPS) // total if total and source != mute else 0
        moved = moved or share[source] > 0
    return moved


@compiled
def sort_by_target(heads: Longs, targets: Places, weights: Weights, bits: int) -> tuple[Places, Places, Weights]:
    """All edges (source, target, weight): first those to the first 2^bits accounts, and so on; each by source."""
    at = np.zeros((len(heads) >> bits) + 2, dtype=np.int64)
    for source in range(len(heads)):
        for edge in range(heads[source, 0], heads[source, 1]):
            at[(targets[edge] >> bits) + 1] += 1
    at = np.cumsum(at)
    count = at[-1]
    sources, others, heavy = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.uint32)
    for source in range(len(heads)):
        for edge in range(heads[source, 0], heads[source, 1]):
            place = at[targets[edge] >> bits]
            at[targets[edge] >> bits] += 1
            sources[place], others[place], heavy[place] = source, targets[edge], weights[edge]
    return sources, others, heavy


@compiled
def _visits_by_target(
    heads: Longs, sources: Places, targets: Places, weights: Weights,
    mass: Longs, iterations: int, keep: int, mute: int,
) -> Longs:  # fmt: skip
    """As :func:`_visits`; what is written at any time stays in the processor's cache."""
    total, share = mass.copy(), np.empty(len(mass), dtype=np.int64)
    for _ in range(iterations):
        if not _share(heads, mass, share, keep, mute):
            break
        mass[:] = 0
        for edge in range(len(sources)):
            mass[targets[edge]] += share[sources[edge]] * np.int64(weights[edge])
        for place in range(len(mass)):
            total[place] += mass[place]
    return total


def start(size: int, seeds: Collection[int]) -> Longs:
    """The seeds' mass among ``size`` accounts, int64 [n]."""
    mass = np.zeros(size, dtype=np.int64)
    if seeds:
        mass[sorted(seeds)] = ONE_MASS // len(seeds)
    return mass


def visits(rows: Rows, seeds: Collection[int], params: ReputationParams, mute: int | None = None) -> Longs:
    """:func:`spec.reputation.visits`, int64 [n]."""
    start_at = (start(len(rows), seeds), params.iterations, BPS - params.alpha_bps, -1 if mute is None else mute)
    found: Longs
    if len(rows) <= 1 << CACHE_BITS:
        found = _visits(rows.heads, rows.targets, rows.weights, *start_at)
    else:
        found = _visits_by_target(rows.heads, *_by_target(rows, CACHE_BITS), *start_at)
    return found


@lru_cache(maxsize=1)
def _by_target(rows: Rows, bits: int) -> tuple[Places, Places, Weights]:
    """Of the graph that was asked about last: 12 bytes an edge."""
    found: tuple[Places, Places, Weights] = sort_by_target(rows.heads, rows.targets, rows.weights, bits)
    return found


def settled(rows: Rows, seeds: Collection[int], params: ReputationParams, mute: int | None = None) -> Longs:
    """:func:`spec.reputation.settled`, int64 [n]."""
    size, begin, keep = len(rows), start(len(rows), seeds), BPS - params.alpha_bps
    found = np.zeros(size, dtype=np.int64)
    while True:
        after = begin.copy()
        push(rows.heads, rows.targets, rows.weights, found, after, 0, size, keep, -1 if mute is None else mute)
        if np.array_equal(after, found):
            return found
        found = after


def most_hits(rows: Rows, seeds: Collection[int], params: ReputationParams, account: int) -> int:
    """:func:`spec.reputation.most_hits`."""
    found = settled(rows, seeds, params, mute=account)
    return int(found[account]) - (-shortfall(rows, seeds, params, found, mute=account) // params.alpha_bps)


def shortfall(
    rows: Rows, seeds: Collection[int], params: ReputationParams, visits: Longs, mute: int | None = None
) -> int:
    """:func:`spec.reputation.shortfall`: an exact sum, though it needs more than 64 bits."""
    is_end = rows.totals == 0
    if mute is not None:
        is_end[mute] = True
    ends, goes_on = (int(visits[chosen].astype(object).sum()) for chosen in (is_end, ~is_end))
    return (BPS * ONE_MASS if seeds else 0) - params.alpha_bps * goes_on - BPS * ends


# Cycles


@compiled
def _components(heads: Longs, targets: Places) -> tuple[Longs, Longs]:
    """Strongly connected component of each account, and components' sizes (Tarjan, 1972), without recursion."""
    size = len(heads)
    index, low = np.full(size, -1, dtype=np.int64), np.zeros(size, dtype=np.int64)
    found, sizes = np.full(size, -1, dtype=np.int64), np.zeros(size, dtype=np.int64)
    open_, trail, edge = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64), heads[:, 0].copy()
    opened = depth = count = components = 0
    for root in range(size):
        if index[root] != -1:
            continue
        trail[0], depth = root, 1
        while depth:
            here = trail[depth - 1]
            if index[here] == -1:
                index[here] = low[here] = count
                count += 1
                open_[opened] = here
                opened += 1
            if edge[here] < heads[here, 1]:
                target = int(targets[edge[here]])
                edge[here] += 1
                if index[target] == -1:
                    trail[depth] = target
                    depth += 1
                elif found[target] == -1:
                    low[here] = min(low[here], index[target])
                continue
            depth -= 1
            if depth:
                low[trail[depth - 1]] = min(low[trail[depth - 1]], low[here])
            if low[here] == index[here]:
                while True:
                    opened -= 1
                    found[open_[opened]] = components
                    sizes[components] += 1
                    if open_[opened] == here:
                        break
                components += 1
    return found, sizes


def on_cycle(rows: Rows) -> Flags:
    """Per account, whether a walk from it can come back: bool [n]."""
    found, sizes = _components(rows.heads, rows.targets)
    cyclic: Flags = sizes[found] > 1
    return cyclic


# Paths


@compiled
def _postorder(heads: Longs, targets: Places, is_seed: Flags) -> Longs:
    """Reverse postorder from all seeds together, without them."""
    size = len(heads)
    seen, edge = is_seed.copy(), heads[:, 0].copy()
    trail, order = np.empty(size + 1, dtype=np.int64), np.empty(size, dtype=np.int64)
    count = 0
    for root in range(size):
        if not is_seed[root]:
            continue
        trail[0], depth = root, 1
        while depth:
            here = trail[depth - 1]
            if edge[here] < heads[here, 1]:
                target = int(targets[edge[here]])
                edge[here] += 1
                if not seen[target]:
                    seen[target] = True
                    trail[depth] = target
                    depth += 1
                continue
            depth -= 1
            if not is_seed[here]:
                order[count] = here
                count += 1
    return order[:count][::-1].copy()


@compiled
def _dominators(order: Longs, offsets: Longs, sources: Places, is_seed: Flags) -> Longs:
    size = len(is_seed)
    found, number = np.full(size, UNREACHED, dtype=np.int64), np.zeros(size, dtype=np.int64)
    for place in range(size):
        if is_seed[place]:
            found[place] = NOBODY
    for k in range(len(order)):
        number[order[k]] = k
    changed = True
    while changed:
        changed = False
        for place in order:
            meeting = UNREACHED
            for edge in range(offsets[place], offsets[place + 1]):
                source = int(sources[edge])
                if is_seed[source]:
                    meeting = NOBODY
                    break
                if found[source] == UNREACHED:
                    continue
                if meeting == UNREACHED:
                    meeting = source
                while meeting != source:
                    if meeting == NOBODY or source == NOBODY:
                        meeting = NOBODY
                        break
                    if number[meeting] > number[source]:
                        meeting = found[meeting]
                    else:
                        source = found[source]
                if meeting == NOBODY:
                    break
            if meeting != found[place]:
                found[place] = meeting
                changed = True
    return found


def seed_flags(rows: Rows, seeds: Collection[int]) -> Flags:
    flags = np.zeros(len(rows), dtype=np.bool_)
    flags[sorted(seeds)] = True
    return flags


def dominators(rows: Rows, seeds: Collection[int]) -> Longs:
    """:func:`spec.reputation.dominators`, int64 [n]."""
    flags = seed_flags(rows, seeds)
    order = _postorder(rows.heads, rows.targets, flags)
    found: Longs = _dominators(order, *rows.reverse, flags)
    return found


@compiled
def _count_paths(accounts: Longs, most: int, offsets: Longs, sources: Places, is_seed: Flags, known: Longs) -> Longs:
    """c of each of ``accounts`` whose ``known`` is negative; what is known of the others.

    As :func:`spec.reputation.disjoint_paths`: place 2 u is behind account u, 2 u + 1 before it. Marks carry the number
    of the search or the account that they are of, so nothing is ever cleared.
    """
    size = len(is_seed)
    came, searched = np.empty(2 * size, dtype=np.int64), np.full(2 * size, -1, dtype=np.int64)
    before, behind = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    has_before, has_behind = np.full(size, -1, dtype=np.int64), np.full(size, -1, dtype=np.int64)
    queue, found = np.empty(2 * size, dtype=np.int64), np.zeros(len(accounts), dtype=np.int64)
    search = 0
    for k in range(len(accounts)):
        account = accounts[k]
        if known[k] >= 0:
            found[k] = known[k]
            continue
        direct = is_seed[account]
        for edge in range(offsets[account], offsets[account + 1]):
            direct = direct or is_seed[sources[edge]]
        if direct:
            found[k] = most
            continue
        paths = 0
        while paths < most:
            search += 1
            origin = 2 * account + 1
            searched[origin] = search
            queue[0], head, tail = origin, 0, 1
            end = -1
            while head < tail and end < 0:
                place = queue[head]
                head += 1
                here = place >> 1
                if place & 1 == 0:
                    then = 2 * (behind[here] if has_behind[here] == k else here) + 1
                    if searched[then] != search:
                        searched[then], came[then] = search, place
                        queue[tail] = then
                        tail += 1
                    continue
                if has_behind[here] == k and searched[place - 1] != search:
                    searched[place - 1], came[place - 1] = search, place
                    queue[tail] = place - 1
                    tail += 1
                for edge in range(offsets[here], offsets[here + 1]):
                    then = 2 * int(sources[edge])
                    if searched[then] == search:
                        continue
                    searched[then], came[then] = search, place
                    if is_seed[then >> 1]:
                        end = then
                        break
                    queue[tail] = then
                    tail += 1
            if end < 0:
                break
            paths += 1
            # Undo first, then add, as an account may lose one neighbour on its path and get another.
            place = end
            while place != origin:
                last = came[place]
                if last & 1 == 0 and place & 1 == 1 and last >> 1 != place >> 1:
                    has_behind[last >> 1] = -1
                    if has_before[place >> 1] == k and before[place >> 1] == last >> 1:
                        has_before[place >> 1] = -1
                place = last
            place = end
            while place != origin:
                last = came[place]
                if last & 1 == 1 and place & 1 == 0 and last >> 1 != place >> 1:
                    source, target = place >> 1, last >> 1
                    if target != account:
                        before[target], has_before[target] = source, k
                    if place != end:
                        behind[source], has_behind[source] = target, k
                place = last
        found[k] = paths
    return found


def connectivity(rows: Rows, seeds: Collection[int], accounts: Sequence[int] | Longs, most: int) -> Longs:
    """c of each of ``accounts``, at most ``most``: :func:`spec.reputation.connectivity`, int64."""
    chosen = np.asarray(accounts, dtype=np.int64)
    if not seeds:
        return np.zeros(len(chosen), dtype=np.int64)
    flags, last = seed_flags(rows, seeds), dominators(rows, seeds)[chosen]
    known = np.where(last == UNREACHED, 0, np.where(last >= 0, 1, -1))
    found: Longs = _count_paths(chosen, most, *rows.reverse, flags, known)
    return found


# Scores


def scores(rows: Rows, seeds: Collection[int], params: ReputationParams, accounts: Sequence[int] | Longs) -> Longs:
    """:func:`spec.reputation.scores` of ``accounts`` in their order, int64."""
    chosen = np.asarray(accounts, dtype=np.int64)
    hits, cyclic = visits(rows, seeds, params)[chosen], on_cycle(rows)[chosen]
    for place in np.flatnonzero(cyclic):
        account = int(chosen[place])
        hits[place] = visits(rows, seeds, params, mute=account)[account]
    factors = np.array([params.factor_q32(paths) for paths in range(params.max_paths + 1)], dtype=np.uint64)
    factor = factors[connectivity(rows, seeds, chosen, params.max_paths)]
    mass, low = hits.astype(np.uint64), np.uint64(0xFFFF_FFFF)
    found: Longs = ((mass >> np.uint64(32)) * factor + ((mass & low) * factor >> np.uint64(32))).astype(np.int64)
    return found
