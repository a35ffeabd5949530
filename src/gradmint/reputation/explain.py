"""Why an account has the score it has, and what would change that: for people, and for programs that ask."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from heapq import heappop, heappush

from ..spec import reputation as rep
from ..spec.feedback import ROUND_UNITS, Graph, from_rows
from ..spec.reputation import ONE_MASS, Cut, Path
from ..spec.reputation_params import ReputationParams
from ..spec.types import BPS
from ..spec.witness import MAX_NODES
from . import exact
from .rows import Rows
from .witness import Chosen, choose

STRONGEST = 3
ADVISED = 3
NEARLY = 0.99  # of its hits, that its least witness shows
LEAST_BPS, MOST_BPS = 5_000, 15_000  # of pay, in runs that go by ratings


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Who has an edge to the account, and what of its hits comes through it."""

    account: int
    weight: int
    mass: int  # units of 2^-56; over all sources the account's hits, its own start left out
    path: Path  # the likeliest way from a seed through this source


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One more edge, and what the account would then have; as computed with that edge."""

    source: int
    weight: int
    rating_q32: int
    multiplier_q32: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Masses in units of 2^-56, ratings and multipliers in Q32."""

    account: int
    is_seed: bool
    hits: int
    paths: tuple[Path, ...]  # vertex-disjoint; a single direct one when a seed has an edge to it
    connectivity: int  # c
    cut: Cut | None  # why there are no more
    chain: tuple[int, ...]  # accounts that every path passes, the nearest to the seeds first
    score: int
    reference: int
    rating_q32: int  # as it can be proposed
    multiplier_q32: int
    witness: Chosen  # the fewest accounts that show nearly all of it
    rank: int | None  # 1 for the highest score of accounts with feedback, ties share it; None without a score
    ranked: int
    strongest: tuple[Source, ...]
    advice: tuple[Advice, ...]


def explain(
    graph: Graph, seeds: Collection[int], params: ReputationParams, account: int, known: int | None = None
) -> Explanation:
    """Everything about one account; scores of all that have feedback are computed for its rank.

    ``known`` accounts have been endorsed, ever; by default as many as are in ``graph``. Multipliers are those of a run
    with the bounds :data:`LEAST_BPS` and :data:`MOST_BPS`.
    """
    rows, judged = Rows.of(graph), [place for place in range(len(graph)) if graph.sources[place]]
    scores = exact.scores(rows, seeds, params, judged).tolist()
    reference = rep.reference(len(judged) if known is None else known, params)
    visits = exact.visits(rows, seeds, params, mute=account).tolist()
    paths, cut = rep.disjoint_paths(graph, seeds, account, params.max_paths)
    connectivity = len(paths) if cut is not None else params.max_paths
    score = rep.score(visits[account], connectivity if visits[account] else 0, params)
    rating_q32 = rep.rating_q32(score, reference)
    return Explanation(
        account=account,
        is_seed=account in seeds,
        hits=visits[account],
        paths=paths,
        connectivity=connectivity,
        cut=cut,
        chain=_chain(rep.dominators(graph, seeds), account),
        score=score,
        reference=reference,
        rating_q32=rating_q32,
        multiplier_q32=rep.multiplier_q32(rating_q32, LEAST_BPS, MOST_BPS),
        witness=choose(graph, seeds, params, account, MAX_NODES, NEARLY),
        rank=1 + sum(other > score for other in scores) if score else None,
        ranked=len(judged),
        strongest=_strongest(graph, seeds, params, account, visits),
        advice=_advice(graph, seeds, params, account, visits, reference, score),
    )


def _chain(dominators: list[int], account: int) -> tuple[int, ...]:
    chain = []
    while (account := dominators[account]) >= 0:
        chain.append(account)
    return tuple(reversed(chain))


def _strongest(
    graph: Graph, seeds: Collection[int], params: ReputationParams, account: int, visits: list[int]
) -> tuple[Source, ...]:
    """Sources by the mass they hand on."""
    found = []
    likeliest = _likeliest(graph, seeds, params, account)
    for source in graph.sources[account]:
        weight = graph.weight(source, account)
        mass = visits[source] * (BPS - params.alpha_bps) // (BPS * graph.totals[source]) * weight
        if mass:
            path = (*likeliest.get(source, (source,)), account)
            found.append(Source(account=source, weight=weight, mass=mass, path=path))
    return tuple(sorted(found, key=lambda one: (-one.mass, one.account))[:STRONGEST])


def _likeliest(graph: Graph, seeds: Collection[int], params: ReputationParams, account: int) -> dict[int, Path]:
    """For each source of ``account``, the path from a seed that a walk most likely takes (Dijkstra, 1959)."""
    wanted, last = {*graph.sources[account]}, dict[int, int]()
    queue = [(-(ONE_MASS // len(seeds)), seed, rep.NOBODY) for seed in sorted(seeds)]
    while queue and wanted - last.keys():
        mass, place, came = heappop(queue)
        if place in last:
            continue
        last[place] = came
        for target, weight in graph.row(place) if place != account else ():
            if target not in last and target != account:
                handed = -mass * (BPS - params.alpha_bps) * weight // (BPS * graph.totals[place])
                heappush(queue, (-handed, target, place))
    paths = {}
    for source in wanted & last.keys():
        path = [source]
        while (before := last[path[-1]]) >= 0:
            path.append(before)
        paths[source] = tuple(reversed(path))
    return paths


def _advice(
    graph: Graph,
    seeds: Collection[int],
    params: ReputationParams,
    account: int,
    visits: list[int],
    reference: int,
    score: int,
) -> tuple[Advice, ...]:
    """What a whole verified round by one more account would bring: of those with most to hand on, who help most."""
    known = {account, *graph.sources[account]}

    def handed(source: int) -> int:
        return visits[source] * ROUND_UNITS // (graph.totals[source] + ROUND_UNITS)

    candidates = sorted((place for place in range(len(graph)) if place not in known), key=lambda p: (-handed(p), p))
    found = []
    for source in candidates[: 2 * ADVISED]:
        if not handed(source):
            break
        edges = [list(graph.row(place)) for place in range(len(graph))]
        edges[source].append((account, ROUND_UNITS))
        changed = Rows.of(from_rows(graph.accounts, edges))
        after = int(exact.scores(changed, seeds, params, [account])[0])
        if after > score:
            rating_q32 = rep.rating_q32(after, reference)
            multiplier_q32 = rep.multiplier_q32(rating_q32, LEAST_BPS, MOST_BPS)
            found.append(
                Advice(source=source, weight=ROUND_UNITS, rating_q32=rating_q32, multiplier_q32=multiplier_q32)
            )
    return tuple(sorted(found, key=lambda one: (-one.rating_q32, one.source))[:ADVISED])
