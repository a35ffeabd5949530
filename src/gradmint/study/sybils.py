"""Attacks on reputation: what made-up accounts, slander and new names gain, beside what they can gain at most."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..reputation import exact, walks
from ..reputation.explain import LEAST_BPS, MOST_BPS
from ..reputation.rows import Rows
from ..spec import reputation as rep
from ..spec.feedback import ROUND_UNITS, Endorsement, build, from_edges
from ..spec.reputation_params import ReputationParams
from ..spec.types import BPS, ONE_Q32
from ..spec.walks import ego_word, key_of
from .sybil_grid import SYBILS, Cell, cells, curves
from .sybil_rules import diluted, falsely_rated, timed
from .sybil_world import (
    SHAPES,
    Edges,
    Played,
    State,
    World,
    classic_gain,
    cycle,
    everyone,
    gain,
    parallel,
    sybil,
    woven,
)

INFLATION = 1_000
WALKS = 10_000
BEACONS = 64
GOOD_EPOCHS = 20
STEPS = {True: 30, False: 76}  # ticks of a play, by whether it is quick

Shape = Callable[[Sequence[bytes], int], Edges]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that was played, for tables, plots and snapshots."""

    params: ReputationParams
    attacks: tuple[Played, ...]
    grid: tuple[Cell, ...]
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # name -> points

    def as_object(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def kept(self) -> list[str]:
        """Bounds that hold; there is none for some attacks."""
        return sorted(attack.name for attack in self.attacks if attack.bound is not None and attack.holds)


def play(
    params: ReputationParams, seed: int = 1, quick: bool = False, tick: Callable[[str], None] = lambda _: None
) -> Findings:
    """All attacks at ``params``; the grid and the curves unless ``quick``. ``tick`` is told each name."""
    world = World.drawn(seed, params)
    ranked = world.ranked(params)
    entries = ranked[len(ranked) // 4 :][:5]
    found: list[Played] = []

    def note(*played: Played) -> None:
        for one in played:
            found.append(one)
            tick(one.name)

    for name, shape in SHAPES.items():
        note(_behind(world, params, name, entries[:1], shape))
    for j in range(2, 6):
        note(_behind(world, params, f"{j} entries, woven", entries[:j], woven))
        note(_behind(world, params, f"{j} entries, parallel", entries[:j], parallel))
    well_read = next(name for name in ranked if name != entries[0] and world.said(name) >= ROUND_UNITS)
    note(_fooled(world, params, entries[0], well_read))
    note(_captured(world, params))
    note(_own_score(world, params, entries[0]), _inflated(world, params, entries[0]))
    note(*_slander(world, params, entries), _whitewashed(world, params, entries[0]))
    note(*_traitor(world, params), *_ground(world, params, entries[0]))
    note(*diluted(world, params, ranked[-1]), *falsely_rated(world, params, ranked[-1]), timed())
    if quick:
        return Findings(params=params, attacks=tuple(found), grid=())
    grid = tuple(cells(world, entries[:1], tick))
    return Findings(params=params, attacks=tuple(found), grid=grid, curves=curves(world, params, entries, tick))


def _behind(world: World, params: ReputationParams, name: str, entries: Sequence[bytes], shape: Shape) -> Played:
    state = world.state(params, entries, shape(entries, SYBILS))
    reached, bound, holds = gain(state, entries, SYBILS)
    return Played(
        name=name,
        what="sum of made-up scores over P(a walk comes by an entry)",
        found=reached,
        bound=bound,
        holds=holds,
        classic=classic_gain(state, entries, SYBILS),
    )


def _fooled(world: World, params: ReputationParams, entry: bytes, dupe: bytes) -> Played:
    """An honest account gives the first Sybil its least edge: what lifted beta's penalty from all behind it."""
    made_up = {**parallel([entry], SYBILS), **{(sybil(0), sybil(i)): 1 for i in range(1, SYBILS)}}
    state = world.state(params, [entry], made_up, {(dupe, sybil(0)): 1})
    reached, _, _ = gain(state, [entry], SYBILS)
    least, most = state.coming_by([entry])
    # Mass enters by two ways alone; the second is the edge's part of the dupe's row.
    place = state.places([dupe])[0]
    known = exact.visits(state.rows, state.seeds, params)
    missing = -(-exact.shortfall(state.rows, state.seeds, params, known) // params.alpha_bps)
    enters = most + -(-(int(known[place]) + missing) // state.graph.totals[place])
    bound = params.factor_q32(2) / ONE_Q32 * (BPS - params.alpha_bps) / params.alpha_bps * enters / least
    return Played(
        name="one honest edge of weight 1",
        what="sum of made-up scores over P(a walk comes by the attacker)",
        found=reached,
        bound=bound,
        holds=reached <= bound,
        classic=classic_gain(state, [entry], SYBILS),
    )


def _captured(world: World, params: ReputationParams) -> Played:
    """A seed that turns: no account stands between it and its Sybils, so beta does nothing; there are other seeds."""
    seed = world.seeds[0]
    states = [world.state(params, [seed], shape([seed], SYBILS)) for shape in SHAPES.values()]
    reached, bound, holds = max(gain(state, [seed], SYBILS, params.max_paths) for state in states)
    return Played(
        name="captured seed",
        what="sum of made-up scores over P(a walk comes by the seed), which is at least one over their number",
        found=reached,
        bound=bound,
        holds=holds,
    )


def _own_score(world: World, params: ReputationParams, entry: bytes) -> Played:
    before = int(world.state(params).scores([entry])[0])
    states = [world.state(params, [entry], shape([entry], SYBILS)) for shape in (cycle, everyone, parallel)]
    best = max(int(state.scores([entry])[0]) for state in states)
    return Played(
        name="own score",
        what="the attacker's score after vouching in circles over before",
        found=best / before,
        bound=1.0,
        holds=best <= before,
    )


def _inflated(world: World, params: ReputationParams, entry: bytes) -> Played:
    made_up, names = parallel([entry], SYBILS), [sybil(i) for i in range(SYBILS)]
    heavy = {pair: weight * INFLATION for pair, weight in made_up.items()}
    plain, inflated = (int(world.state(params, [entry], edges).scores(names).sum()) for edges in (made_up, heavy))
    bound = 1 + 1e-9
    return Played(
        name="edge inflation",
        what="sum of made-up scores with edges 1,000 times as heavy over without",
        found=inflated / plain,
        bound=bound,
        holds=inflated <= plain * bound,
    )


def _view(state: State, ego: bytes, params: ReputationParams, bad: Edges, beacon: int = 0) -> walks.Tally:
    """10,000 walks from ``ego``."""
    key, place = key_of(bytes([beacon]) * 32, 0, params), state.places([ego])[0]
    other = Rows.of(from_edges(bad, state.graph.accounts)) if bad else None
    return walks.tally(state.rows, place, ego_word(ego), 0, WALKS, key, params, other)


def _slander(world: World, params: ReputationParams, group: Sequence[bytes]) -> list[Played]:
    """In the view of a seed: what a group takes from the best trainer, over the walks that come by the group."""
    ego = world.seeds[0]
    victim = world.trainers[int(world.state(params).scores(world.trainers).argmax())]
    rows = []
    for name, k in (("slander by 5", 0), ("slander by 5 with 50 Sybils", SYBILS)):
        state = world.state(params, group, {**parallel(group, k), (group[0], sybil(0)): 1})
        bad = {(slanderer, victim): 1 for slanderer in [*group, *(sybil(i) for i in range(k))]}
        place = state.places([victim])[0]
        plain, found = _view(state, ego, params, {}), _view(state, ego, params, bad)
        lost = int(plain.hits[place] - found.net[place])
        # The group's members, once they say nothing, end every walk that comes by: nobody is counted twice.
        silent = world.state(params, group)
        came = int(_view(silent, ego, params, {}).hits[silent.places(group)].sum())
        rows.append(
            Played(
                name=name,
                what="walks the victim loses over walks that come by the group",
                found=lost / max(1, came),
                bound=1.0,
                holds=lost <= came and bool((found.net >= 0).all()),
            )
        )
    return rows


def _whitewashed(world: World, params: ReputationParams, entry: bytes) -> Played:
    """Everybody strikes an account; it comes again under a new name."""
    state = world.state(params, (), {(sybil(0), entry): 1})
    bad = {(name, entry): 10**6 for name in world.accounts if name != entry}
    net = _view(state, world.seeds[0], params, bad).net
    old, new = (_multiplier(int(net[state.places([name])[0]]), WALKS // 100) for name in (entry, sybil(0)))
    return Played(
        name="whitewashing",
        what="multiplier of a new name over that of the most hated account",
        found=new / old,
        bound=1.0,
        holds=new <= old,
    )


def _multiplier(score: int, reference: int) -> int:
    """Of pay, Q32, in a run that goes by ratings."""
    return rep.multiplier_q32(rep.rating_q32(score, reference), LEAST_BPS, MOST_BPS)


def _traitor(world: World, params: ReputationParams) -> list[Played]:
    """Works well for 20 epochs, then no more, while others do: when half of what it had over a newcomer is gone."""
    traitor, other, seed = world.trainers[0], world.trainers[1], world.seeds[0]
    whole, half = ROUND_UNITS, ROUND_UNITS // 2
    honest = [Endorsement(seed, who, half, epoch) for epoch in range(GOOD_EPOCHS) for who in (traitor, other)]
    rows = []
    for name, gamma_bps in (("traitor", 0), ("traitor, a tenth forgotten an epoch", 1_000)):

        def bonus(epochs: int, reference: int, gamma_bps: int = gamma_bps) -> int:
            later = [Endorsement(seed, other, whole, GOOD_EPOCHS + k) for k in range(epochs)]
            score = _score_of(traitor, seed, [*honest, *later], params, GOOD_EPOCHS - 1 + epochs, gamma_bps)
            # Beside one who stays as good as the traitor was.
            return _multiplier(score, reference) - _multiplier(0, reference)

        then = _score_of(traitor, seed, honest, params, GOOD_EPOCHS - 1, gamma_bps)
        limit = 2 * GOOD_EPOCHS
        gone = next((k for k in range(limit + 1) if 2 * bonus(k, then) <= bonus(0, then)), limit + 1)
        rows.append(
            Played(
                name=name,
                what="epochs until half of its bonus is gone, after 20 good ones",
                found=gone,
                bound=limit,
                holds=gone <= limit,
            )
        )
    return rows


def _score_of(
    who: bytes, seed: bytes, rows: Sequence[Endorsement], params: ReputationParams, epoch: int, gamma_bps: int
) -> int:
    graph = build(rows, [seed, who], epoch, gamma_bps)
    place = graph.among([who])[0]
    return rep.scores(graph, graph.among([seed]), params, [place])[place]


def _ground(world: World, params: ReputationParams, entry: bytes) -> list[Played]:
    """Who can choose among beacons: the best of them over the mean, in the view of a seed."""
    state = world.state(params)
    place = state.places([entry])[0]
    hits = [int(_view(state, world.seeds[0], params, {}, beacon).hits[place]) for beacon in range(BEACONS)]
    mean = sum(hits) / len(hits)
    bound = 1 + 6 * math.sqrt((1 - mean / WALKS) / mean)
    once, again = (exact.visits(state.rows, state.seeds, params) for _ in range(2))
    return [
        Played(
            name=f"seed grinding, {BEACONS} beacons, 10,000 walks",
            what="best of the beacons over the mean; bound: six deviations",
            found=max(hits) / mean,
            bound=bound,
            holds=max(hits) <= mean * bound,
        ),
        Played(
            name="seed grinding, exact",
            what="pay goes by exact mass, in which nothing is drawn",
            found=1.0,
            bound=1.0,
            holds=bool(np.array_equal(once, again)),
        ),
    ]
