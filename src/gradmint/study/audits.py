"""What trainers say of their work, compared as :mod:`gradmint.learn.proof` compares it, and by how much it is off.

An *audit* is one trainer's round under a beacon of its own: shard, projections and audited interval are new each time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..learn import proof
from ..learn.codec import Mark, Update
from ..learn.manifest import Manifest
from ..learn.numerics import Numerics
from ..learn.state import Layout
from ..learn.steps import Progress
from ..learn.tasks import Task
from ..learn.tolerances import TOLERANCES
from ..learn.train import compress, local_round
from ..spec.seeds import derive
from .evidence import ROOT, Moment, honest_configurations

SEAT = 0  # of the trainer: shards are drawn from its number and the beacon, and each audit has a beacon of its own
CHECKERS = 2  # verifiers of an audit without cheats: more rounds tell more than more verifiers of one
MOST = 1e9  # what a gap that is not finite is kept as
BITS, NORMS, OWN_BITS, OVERCLAIM = TOLERANCES


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One interval trained again, or claims worked out again, against what the trainer said."""

    trained: str  # configurations, of the trainer
    checked: str  # and of the verifier
    gaps: Mapping[str, float]  # by the tolerance that each is held against

    def ratio(self, tolerances: Mapping[str, int]) -> float:
        """The greatest gap in tolerances: above 1 the verifier says UNPROVEN."""
        return max(gap / tolerances[name] for name, gap in self.gaps.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Comparisons of an honest trainer's round, and of what each cheat says instead."""

    kind: str
    round: int
    draw: int
    honest: tuple[Comparison, ...]
    cheats: Mapping[str, tuple[Comparison, ...]]


@dataclass(frozen=True, kw_only=True)
class Local:
    """One trainer's round, done honestly in its own numeric configuration."""

    task: Task
    manifest: Manifest
    moment: Moment
    draw: int
    numerics: Numerics
    interval: int  # the one that cheats are audited on
    beacon: bytes  # of the training phase
    marks: tuple[Mark, ...]
    opened: Mapping[int, Progress | None]  # the states that the intervals begin with, None for the round's model
    update: Update
    said: proof.Claims

    def start(self, interval: int) -> Progress:
        """The state that an interval begins with."""
        return self.opened[interval] or Progress.begin(self.moment.state)

    def retrained(self, interval: int, numerics: Numerics) -> Mark:
        """What a verifier finds."""
        with numerics.apply():
            return proof.retrain(
                *(self.task, self.manifest, self.moment.state, self.beacon, SEAT, interval), self.opened[interval]
            )

    def found(self, numerics: Numerics) -> proof.Claims:
        """The claims as a verifier works them out."""
        with numerics.apply():
            return proof.claims(self.task, self.manifest, self.moment.state, self.update, self.beacon, SEAT)


def of_interval(noted: Mark, found: Mark) -> dict[str, float]:
    gap = proof.IntervalGap.of(noted, found)
    return {BITS: gap.bits, NORMS: _finite(gap.norms_bps)}


def of_claims(said: proof.Claims, found: proof.Claims) -> dict[str, float]:
    gap = proof.ClaimsGap.of(said, found)
    return {OWN_BITS: gap.bits, OVERCLAIM: max(0, gap.over_micronats)}


def _finite(gap: float) -> float:
    return min(gap, MOST) if not math.isnan(gap) else MOST


def turns(place: int, configurations: int, intervals: int) -> tuple[int, int]:
    """Whose turn it is, and of which interval: in as many places as there are pairs each pair has come once."""
    if not intervals:
        return place % configurations, 0
    return place % configurations, (place + place // math.lcm(configurations, intervals)) % intervals


def others_than(own: Numerics, verifiers: Mapping[str, Numerics]) -> dict[str, Numerics]:
    """Who computes otherwise; where the policy admits one configuration alone, that one."""
    return {name: one for name, one in verifiers.items() if one != own} or dict(verifiers)


def local_of(task: Task, manifest: Manifest, moment: Moment, draw: int) -> Local:
    """The trainer whose turn it is. Rounds of few audits do not begin where the last one did."""
    known = list(honest_configurations(manifest, 1).values())
    which, interval = turns(moment.number + draw, len(known), manifest.training.intervals)
    beacon = derive(derive(ROOT, "audit", moment.number), "draw", draw)
    layout, kept = Layout.of(task.build(manifest.task.seed)), dict[int, proof.Opening]()
    with known[which].apply():
        trained = local_round(task, manifest, moment.state, beacon, SEAT, keep=kept.__setitem__)
        update = compress(trained.delta, None, manifest)[0]
        said = proof.claims(task, manifest, moment.state, update, beacon, SEAT)
    return Local(
        task=task,
        manifest=manifest,
        moment=moment,
        draw=draw,
        numerics=known[which],
        interval=interval,
        beacon=beacon,
        marks=trained.marks,
        opened={0: None, **{k: _opened(manifest, layout, k, opening) for k, opening in kept.items()}},
        update=update,
        said=said,
    )


def _opened(manifest: Manifest, layout: Layout, interval: int, opening: proof.Opening) -> Progress:
    taken = proof.boundary(manifest, interval)
    digests = proof.read_index(opening.index, layout, taken)
    return proof.join(opening.index, dict(zip(digests, opening.parts, strict=True)), layout, taken)


def honest_comparisons(local: Local) -> Iterator[Comparison]:
    """Every interval by each of CHECKERS others, and the claims by all others: after as many draws as there are pairs
    of configurations each has had its turn."""
    verifiers = others_than(local.numerics, honest_configurations(local.manifest, 1))
    names = list(verifiers)
    shift = (local.moment.number + local.draw) // (len(names) + 1)
    chosen = {names[(shift + i * len(names) // CHECKERS) % len(names)] for i in range(CHECKERS)}
    for name in sorted(chosen):
        for interval, mark in enumerate(local.marks):
            gaps = of_interval(mark, local.retrained(interval, verifiers[name]))
            yield Comparison(trained=str(local.numerics), checked=name, gaps=gaps)
    for name, numerics in verifiers.items():
        gaps = of_claims(local.said, local.found(numerics))
        yield Comparison(trained=str(local.numerics), checked=name, gaps=gaps)
