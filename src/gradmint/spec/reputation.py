"""How far an account's good name reaches back to the deployment's seeds: MeritRank in integers, exact and disputable.

A walk starts at a seed, ends with probability alpha at each account, and otherwise follows an out-edge with probability
weight / row sum; it ends at once where there is none. An account's **hits** are the chance that a walk comes by at all,
its **score** is hits x (1 - beta^c), c the number of vertex-disjoint paths on which seeds reach it.

Fixed point. Mass is counted in units of 2^-56. With x_0 the seeds' mass and S_u the sum of u's row, one step is

    share_u = floor((1 - alpha) x_u / S_u),        x'_v = sum over edges u -> v of share_u * weight

and :func:`visits` adds up x_0 .. x_T for T = ``params.iterations``. Each product is exact and sums of integers do not
depend on their order, so there is one result, whoever computes it, in whatever pieces.

Error. Let G* be the exact expected visits: G* = e + M G*, with e the uniform start and M the step without rounding.
Every rounding is downward and M is monotone, so G <= G* in every place. Weigh a place with its chance that a walk ends
there: alpha where there are out-edges, 1 where there are none. All walks end somewhere, so stop . G* = 1, and

    shortfall = 1 - stop . G  =  stop . (G* - G)  >=  alpha ||G* - G||_1

is a number that one sum over G gives: the error is measured, not estimated. Beforehand it is known to be at most

    (1 - alpha)^T  +  2^-56 (|seeds| + T sum over u of S_u)

since what is still under way after T steps has mass (1 - alpha)^T at most, and each floor loses less than S_u units,
each of which would have ended as one.

Own edges. What an account says of others changes nothing about itself: its hits are its visits in the graph without
its own row, whose walks come by once at most. Without a cycle through the account that is its visits as they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from .feedback import Graph
from .reputation_params import ReputationParams
from .types import BPS, ONE_Q32

MASS_BITS = 56
ONE_MASS = 1 << MASS_BITS


# Mass


def start(graph: Graph, seeds: Collection[int]) -> list[int]:
    """The seeds' mass, the same for each, rounded down; nothing without seeds."""
    mass = [0] * len(graph)
    for seed in seeds:
        mass[seed] = ONE_MASS // len(seeds)
    return mass


def step(graph: Graph, mass: Sequence[int], params: ReputationParams, mute: int | None = None) -> list[int]:
    """Where walks that are at ``mass`` are one step later."""
    after = [0] * len(graph)
    for source, (held, total) in enumerate(zip(mass, graph.totals, strict=True)):
        if held and total and source != mute:
            share = held * (BPS - params.alpha_bps) // (BPS * total)
            for target, weight in graph.row(source):
                after[target] += share * weight
    return after


def visits(graph: Graph, seeds: Collection[int], params: ReputationParams, mute: int | None = None) -> list[int]:
    """Expected visits per account in units of 2^-56, rounded down; at most 1 / alpha. ``mute``'s row is empty."""
    moving = start(graph, seeds)
    total = list(moving)
    for _ in range(params.iterations):
        moving = step(graph, moving, params, mute)
        if not any(moving):
            break
        total = [a + b for a, b in zip(total, moving, strict=True)]
    return total


def hits(graph: Graph, seeds: Collection[int], params: ReputationParams, account: int) -> int:
    """The chance that a walk comes by ``account``, in units of 2^-56: its visits when it says nothing itself."""
    return visits(graph, seeds, params, mute=account)[account]


def is_on_cycle(graph: Graph, account: int) -> bool:
    """Whether a walk can come back: only then do hits differ from visits, and cost a pass of their own."""
    return account in reached(graph, [account])


def reached(graph: Graph, roots: Iterable[int]) -> set[int]:
    """Accounts that one or more edges lead to from ``roots``."""
    found: set[int] = set()
    queue = list(roots)
    while queue:
        for target, _ in graph.row(queue.pop()):
            if target not in found:
                found.add(target)
                queue.append(target)
    return found


def settled(graph: Graph, seeds: Collection[int], params: ReputationParams, mute: int | None = None) -> list[int]:
    """Visits that their own step gives again: e + M G = G to the bit, reached from 0. Not below :func:`visits`, whose
    shares are rounded down at each step alone, and not above the exact ones: the most that a witness of all can show
    (:mod:`spec.witness`)."""
    begin, found, last = start(graph, seeds), [0] * len(graph), [-1]
    while found != last:
        after = step(graph, found, params, mute)
        found, last = [a + b for a, b in zip(begin, after, strict=True)], found
    return found


def most_hits(graph: Graph, seeds: Collection[int], params: ReputationParams, account: int) -> int:
    """No witness shows more hits of ``account``: more than that are false."""
    found = settled(graph, seeds, params, mute=account)
    return found[account] - (-shortfall(graph, seeds, params, found, mute=account) // params.alpha_bps)


def shortfall(
    graph: Graph, seeds: Collection[int], params: ReputationParams, visits: Sequence[int], mute: int | None = None
) -> int:
    """stop . (G* - G) in units of 2^-56 / 10,000, exactly: 0 were nothing cut off or rounded. Divided by ``alpha_bps``
    it bounds what is missing of all visits together, in units of 2^-56. Only for :func:`visits` and :func:`settled`
    ones of these seeds, with the same account mute."""
    stopped = sum(
        count * (params.alpha_bps if total and place != mute else BPS)
        for place, (count, total) in enumerate(zip(visits, graph.totals, strict=True))
    )
    return (BPS * ONE_MASS if seeds else 0) - stopped


def shortfall_bound(graph: Graph, seeds: Collection[int], params: ReputationParams) -> int:
    """What :func:`shortfall` is at most, known beforehand; in its unit, rounded up."""
    count = params.iterations
    cut_off: int = -(-ONE_MASS * BPS * (BPS - params.alpha_bps) ** count // BPS**count)
    return cut_off + BPS * (len(seeds) + count * sum(graph.totals))


# Paths


Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """Why no more paths lead to an account: ``side`` are accounts whose every source is in ``side`` or ``through``,
    and no seed is in either. So whatever reaches the account comes through ``through``."""

    through: frozenset[int]
    side: frozenset[int]  # the account itself among them


def disjoint_paths(
    graph: Graph, seeds: Collection[int], account: int, most: int
) -> tuple[tuple[Path, ...], Cut | None]:
    """As many paths from seeds to ``account`` as share no account but their ends, up to ``most``; and, when there are
    fewer, the cut that proves it. A direct edge of a seed is a path that no account can cut: it is returned alone,
    without a cut. A seed has the path of itself.

    Augmenting paths (Ford and Fulkerson, 1956; Menger, 1927), searched backward from the account, where few steps lead
    to a seed: at most ``most`` + 1 passes over the edges that lie before it.
    """
    roots = frozenset(seeds)
    if account in roots:
        return ((account,),), None
    if direct := [source for source in graph.sources[account] if source in roots]:
        return ((direct[0], account),), None
    before: dict[int, int] = {}  # on a found path: the account before this one
    behind: dict[int, int] = {}  # and the one behind it
    heads: set[int] = set()  # the last accounts before the end
    while len(heads) < most:
        cut = _augment(graph, roots, account, before, behind, heads)
        if cut is not None:
            return _read(before, heads, account), cut
    return _read(before, heads, account), None


def _augment(
    graph: Graph, roots: frozenset[int], account: int, before: dict[int, int], behind: dict[int, int], heads: set[int]
) -> Cut | None:
    """One more path, by rerouting the others if need be; or the cut, when there is none.

    Each account is two places, behind itself (False) and before itself (True), with room for one path in between.
    """
    start = (account, True)
    came: dict[tuple[int, bool], tuple[int, bool]] = {start: start}
    queue = deque([start])
    while queue:
        here, is_before = place = queue.popleft()
        if is_before:
            following = [(source, False) for source in graph.sources[here]]
            following += [(here, False)] if here in behind else []
        else:
            # Arrived from behind. A path that is already here gives way only by undoing its own next step.
            following = [(behind.get(here, here), True)]
        for then in following:
            if then in came:
                continue
            came[then] = place
            if then[0] in roots:
                _reroute(came, then, account, before, behind, heads)
                return None
            queue.append(then)
    side = frozenset(place for place, is_before in came if is_before)
    return Cut(frozenset(place for place, is_before in came if not is_before) - side, side)


def _reroute(
    came: dict[tuple[int, bool], tuple[int, bool]],
    end: tuple[int, bool],
    account: int,
    before: dict[int, int],
    behind: dict[int, int],
    heads: set[int],
) -> None:
    """Add the steps of a search to the paths, take away those it undid."""
    added, undone = [], []
    place = end
    while place != (account, True):
        last = came[place]
        if last[1] and not place[1] and last[0] != place[0]:
            added.append((place[0], last[0]))  # an edge from place to last
        elif not last[1] and place[1] and last[0] != place[0]:
            undone.append((last[0], place[0]))
        place = last
    for source, target in undone:
        del behind[source]
        if before.get(target) == source:
            del before[target]
    for source, target in added:
        if target == account:
            heads.add(source)
        else:
            before[target] = source
        if source != end[0]:
            behind[source] = target


def _read(before: dict[int, int], heads: Collection[int], account: int) -> tuple[Path, ...]:
    paths = []
    for head in sorted(heads):
        path = [account, head]
        while path[-1] in before:
            path.append(before[path[-1]])
        paths.append(tuple(reversed(path)))
    return tuple(paths)


def connectivity(graph: Graph, seeds: Collection[int], account: int, most: int) -> int:
    """c: vertex-disjoint paths from the seeds to ``account``, at most ``most``; ``most`` for seeds and whom one of
    them has an edge to."""
    paths, cut = disjoint_paths(graph, seeds, account, most)
    return len(paths) if cut is not None else most


def is_cut(graph: Graph, seeds: Collection[int], account: int, cut: Cut) -> bool:
    """Whether ``cut`` shows that c is at most ``len(cut.through)``: one look at the sources of ``cut.side``."""
    closed = cut.side | cut.through
    return (
        account in cut.side
        and not closed & {*seeds}
        and not cut.side & cut.through
        and all(source in closed for place in cut.side for source in graph.sources[place])
    )


NOBODY = -1  # the seeds together: dominated by nothing
UNREACHED = -2


def dominators(graph: Graph, seeds: Collection[int]) -> list[int]:
    """Per account, the last one that every path from the seeds has to pass before it; NOBODY when paths share none, or
    a seed has an edge to it; UNREACHED without a path. Seeds count as one root: who is behind one of them alone is
    behind all (Cooper, Harvey and Kennedy, 2001)."""
    roots = {*seeds}
    order = _postorder(graph, roots)  # accounts that are reached, seeds left out, last finished first
    number = {place: k for k, place in enumerate(order)}
    found = [UNREACHED] * len(graph)
    for seed in roots:
        found[seed] = NOBODY
    changed = True
    while changed:
        changed = False
        for place in order:
            meeting = UNREACHED
            for source in graph.sources[place]:
                if source in roots:
                    meeting = NOBODY
                elif found[source] != UNREACHED and meeting != NOBODY:
                    meeting = source if meeting == UNREACHED else _meet(found, number, meeting, source)
            if meeting != found[place]:
                found[place] = meeting
                changed = True
    return found


def _meet(found: Sequence[int], number: dict[int, int], a: int, b: int) -> int:
    """The last common account of two chains of dominators."""
    while a != b:
        if a == NOBODY or b == NOBODY:
            return NOBODY
        if number[a] > number[b]:
            a = found[a]
        else:
            b = found[b]
    return a


def _postorder(graph: Graph, roots: Collection[int]) -> list[int]:
    """Reverse postorder of a depth-first search from all roots together, without them."""
    seen, order = set(roots), []
    for root in sorted(roots):
        stack = [(root, iter(sorted(target for target, _ in graph.row(root))))]
        while stack:
            place, targets = stack[-1]
            for target in targets:
                if target not in seen:
                    seen.add(target)
                    stack.append((target, iter([following for following, _ in graph.row(target)])))
                    break
            else:
                stack.pop()
                if place not in roots:
                    order.append(place)
    return order[::-1]


# Score and pay


def score(hits: int, paths: int, params: ReputationParams) -> int:
    """hits x (1 - beta^c), rounded down, in units of 2^-56."""
    return hits * params.factor_q32(paths) >> 32


def scores(graph: Graph, seeds: Collection[int], params: ReputationParams, accounts: Iterable[int]) -> dict[int, int]:
    """Scores of ``accounts``: one pass for all, one more for each that lies on a cycle."""
    common = visits(graph, seeds, params)
    found = {}
    for account in accounts:
        own = hits(graph, seeds, params, account) if is_on_cycle(graph, account) else common[account]
        paths = connectivity(graph, seeds, account, params.max_paths) if own else 0
        found[account] = score(own, paths, params)
    return found


def reference(known: int, params: ReputationParams) -> int:
    """The score that is rated a half, in units of 2^-56: everyone's, if the first step of each walk were shared equally
    among the ``known`` accounts that anybody has endorsed. With none known, as with one."""
    return ONE_MASS * (BPS - params.alpha_bps) // (BPS * max(1, known))


def rating_q32(score: int, reference: int) -> int:
    """score / (score + reference), rounded down, below 1. 0 without a score, which is a newcomer's.

    A score is never below 0, so no past is worse than none: coming again under another name gains nothing.
    """
    return min(ONE_Q32 - 1, (score << 32) // (score + reference)) if score else 0


def multiplier_q32(rating_q32: int, least_bps: int, most_bps: int) -> int:
    """Factor of pay: ``least_bps`` for rating 0, half way up at the reference, never ``most_bps``."""
    return ((least_bps << 32) + (most_bps - least_bps) * rating_q32) // BPS
