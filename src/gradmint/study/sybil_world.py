"""Honest feedback of several runs, shapes of made-up accounts behind some entries, and what those are worth.

The bound. Let every path from the seeds to the made-up accounts pass one of j entries. A walk that comes by an entry
goes on for (1 - alpha) / alpha further accounts on average, and at most j disjoint paths lead behind the entries, so

    sum of scores behind the entries  <=  (1 - beta^j) (1 - alpha) / alpha  P(a walk comes by an entry)

A *gain* is the left side over that probability: what the entries hand on, in units of what honest accounts gave them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..reputation import exact
from ..reputation.rows import Rows
from ..spec.book import Book
from ..spec.feedback import ROUND_UNITS, Graph, from_edges
from ..spec.reputation_params import ReputationParams
from ..spec.types import BPS, ONE_Q32
from .scribe import Scribe

Edges = dict[tuple[bytes, bytes], int]


def _name(kind: int, number: int) -> bytes:
    return bytes([kind]) * 16 + number.to_bytes(4, "big")


def sybil(number: int) -> bytes:
    return _name(0xEE, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One attack: ``found`` is at most ``bound``, or this project's claim is wrong; no bound is claimed where it is
    None. ``what`` says what they measure."""

    name: str
    what: str
    found: float
    bound: float | None
    holds: bool
    classic: float | None = None  # the same with beta of one-account cuts alone, as MeritRank has it


@dataclass(frozen=True)
class World:
    """Honest feedback of several runs, and who is who in it."""

    book: Book
    edges: Edges  # at cut 0, in which everything was said
    seeds: tuple[bytes, ...]
    verifiers: tuple[bytes, ...]
    trainers: tuple[bytes, ...]

    @classmethod
    def drawn(
        cls, seed: int, params: ReputationParams, runs: int = 24, trainers: int = 256, verifiers: int = 48
    ) -> World:
        """``runs`` runs of 1 to 5 verifiers and 16 trainers with lognormal gains; 1 to 3 vouch for each verifier."""
        draw = random.Random(seed)
        names = [_name(kind, k) for kind, count in ((1, 4), (2, verifiers), (3, trainers)) for k in range(count)]
        founders, checkers, workers = names[:4], names[4 : 4 + verifiers], names[4 + verifiers :]
        skill = {worker: draw.lognormvariate(0, 1) for worker in workers}
        scribe = Scribe(params, founders)
        for number in range(runs):
            committee = draw.sample([*founders, *checkers], draw.choice((1, 2, 3, 5)))
            team = draw.sample(workers, 16)
            gains = {worker: skill[worker] * draw.lognormvariate(0, 0.3) for worker in team}
            total = sum(gains.values())
            weights = {worker: int(gain / total * ROUND_UNITS) for worker, gain in gains.items()}
            scribe.harvest(number, committee, {worker: weight for worker, weight in weights.items() if weight})
        for checker in checkers:
            backers = [draw.choice(founders if draw.random() < 0.3 else names) for _ in range(draw.randint(1, 3))]
            for backer, count in Counter(backer for backer in backers if backer != checker).items():
                scribe.vouch(backer, checker, count * params.vouch_round_wei)
        graph = scribe.book.graph(0)
        edges = {
            (graph.accounts[source], graph.accounts[target]): weight
            for source in range(len(graph))
            for target, weight in graph.row(source)
        }
        return cls(scribe.book, edges, tuple(founders), tuple(checkers), tuple(workers))

    @property
    def accounts(self) -> tuple[bytes, ...]:
        return self.seeds + self.verifiers + self.trainers

    def state(
        self,
        params: ReputationParams,
        turned: Sequence[bytes] = (),
        made_up: Edges | None = None,
        more: Edges | None = None,
    ) -> State:
        """The graph once ``turned`` say nothing but ``made_up``, and ``more`` comes from whom they fooled."""
        honest = {pair: weight for pair, weight in self.edges.items() if pair[0] not in turned}
        return State.of({**honest, **(made_up or {}), **(more or {})}, self.seeds, params, self.accounts)

    def said(self, name: bytes) -> int:
        """Sum of the account's row."""
        return sum(weight for pair, weight in self.edges.items() if pair[0] == name)

    def ranked(self, params: ReputationParams) -> list[bytes]:
        """Verifiers that any walk comes by, the best first."""
        state = State.of(self.edges, self.seeds, params, self.accounts)
        score = dict(zip(self.verifiers, state.scores(self.verifiers).tolist(), strict=True))
        return sorted((name for name in self.verifiers if score[name]), key=lambda name: (-score[name], name))


@dataclass(frozen=True)
class State:
    """A graph and everything that is asked of it."""

    graph: Graph
    rows: Rows
    seeds: tuple[int, ...]
    params: ReputationParams

    @classmethod
    def of(cls, edges: Edges, seeds: Sequence[bytes], params: ReputationParams, accounts: Sequence[bytes]) -> State:
        graph = from_edges(edges, accounts)
        return cls(graph, Rows.of(graph), graph.among(seeds), params)

    def places(self, names: Sequence[bytes]) -> list[int]:
        return [place for name in names if (place := self.graph.find(name)) is not None]

    def scores(self, names: Sequence[bytes]) -> NDArray[np.int64]:
        """Units of 2^-56."""
        return exact.scores(self.rows, self.seeds, self.params, self.places(names))

    def coming_by(self, names: Sequence[bytes]) -> tuple[int, int]:
        """P(a walk comes by any of ``names``): at least, and at most; units of 2^-56."""
        inner = {*names}
        accounts = self.graph.accounts
        edges = {
            (accounts[source], accounts[target]): weight
            for source in range(len(self.graph))
            for target, weight in self.graph.row(source)
            if accounts[source] not in inner
        }
        muted = State.of(edges, [accounts[seed] for seed in self.seeds], self.params, accounts)
        found = exact.visits(muted.rows, muted.seeds, self.params)
        least = int(found[muted.places(names)].sum())
        missing = exact.shortfall(muted.rows, muted.seeds, self.params, found)
        return least, least - (-missing // self.params.alpha_bps)


# Shapes: edges from entries among k made-up accounts


def parallel(entries: Sequence[bytes], k: int) -> Edges:
    return {(entry, sybil(i)): 1 for entry in entries for i in range(k)}


def serial(entries: Sequence[bytes], k: int) -> Edges:
    return {**{(entry, sybil(0)): 1 for entry in entries}, **{(sybil(i), sybil(i + 1)): 1 for i in range(k - 1)}}


def cycle(entries: Sequence[bytes], k: int) -> Edges:
    return {**parallel(entries, k), **{(sybil(i), entry): 1 for entry in entries for i in range(k)}}


def ring(entries: Sequence[bytes], k: int) -> Edges:
    closing = {(sybil(k - 1), sybil(0)): 1} if k > 1 else {}
    return {**serial(entries, k), **closing}


def woven(entries: Sequence[bytes], k: int) -> Edges:
    """Levels as wide as there are entries, each account of one vouching for all of the next: every one has c paths."""
    width = len(entries)
    levels = [list(entries)] + [[sybil(i) for i in range(at, min(k, at + width))] for at in range(0, k, width)]
    return {(a, b): 1 for level, after in pairwise(levels) for a in level for b in after}


def everyone(entries: Sequence[bytes], k: int) -> Edges:
    return {**parallel(entries, k), **{(sybil(i), sybil(j)): 1 for i in range(k) for j in range(k) if i != j}}


SHAPES: dict[str, Callable[[Sequence[bytes], int], Edges]] = {
    "parallel": parallel,
    "serial": serial,
    "cycle": cycle,
    "ring": ring,
    "everyone": everyone,
}


def gain(state: State, entries: Sequence[bytes], k: int, paths: int | None = None) -> tuple[float, float, bool]:
    """Gain of k made-up accounts behind ``entries``, its bound, and whether it keeps it, which integers decide.

    ``paths`` are how many disjoint ones can lead behind them, where that is not the number of entries.
    """
    params = state.params
    found = int(state.scores([sybil(i) for i in range(k)]).sum())
    least, most = state.coming_by(entries)
    factor_q32 = params.factor_q32(len(entries) if paths is None else paths)
    on = BPS - params.alpha_bps
    holds = found * params.alpha_bps << 32 <= factor_q32 * on * most
    bound = factor_q32 / ONE_Q32 * on / params.alpha_bps
    return (found / least if least else 0.0), bound, holds


def classic_gain(state: State, entries: Sequence[bytes], k: int) -> float:
    """The gain if only who is behind one single account were penalised."""
    chosen = state.places([sybil(i) for i in range(k)])
    single = replace(state.params, beta_bps=0)
    plain = exact.scores(state.rows, state.seeds, single, chosen)
    behind_one = exact.dominators(state.rows, state.seeds)[chosen] >= 0
    weight = np.where(behind_one, 1 - state.params.beta_bps / BPS, 1.0)
    least, _ = state.coming_by(entries)
    return float((plain * weight).sum() / least) if least else 0.0
