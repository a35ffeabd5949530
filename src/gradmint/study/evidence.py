"""Rounds of a real training run, and what honest verifiers and trainers sign in them under any numeric configuration.

A *scene* is one round and one beacon. Everything is a function of the manifest and of the scene's numbers, so a study
gives the same words on the same machine and can be gone on with later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from ..learn.assess import Drawn, Evidence, draw, midpoint_of, observe
from ..learn.codec import Update
from ..learn.manifest import Manifest
from ..learn.numerics import Numerics
from ..learn.outer import advance
from ..learn.signature import sign_words
from ..learn.state import Network, State, initial_state
from ..learn.tasks import Task
from ..learn.train import assigned_indices, compress, local_round
from ..spec.seeds import derive

Words = tuple[int, ...]

#: Where every beacon of a study comes from; nothing depends on it but repeatability.
ROOT = b"gradmint study".ljust(32, b"\0")
STALE_STEPS = (1, 10)
HOME = Numerics()


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One round when its submissions are in: what every verifier has in hand."""

    state: State
    midpoint: Tensor  # float32 [d]
    updates: Mapping[int, Update]
    early: Mapping[int, Tensor]  # midpoints of the updates as they were so many local steps before the end
    previous: Moment | None
    training_beacon: bytes

    @property
    def number(self) -> int:
        return self.state.round


def moments(task: Task, manifest: Manifest, rounds: int, trainers: int) -> Iterator[Moment]:
    """Rounds 1 to ``rounds`` of a run by ``trainers`` honest trainers; round 0 is played and not shown."""
    state, previous = initial_state(task, manifest), None
    for round_ in range(rounds + 1):
        beacon = derive(ROOT, "training", round_)
        residual_free = {
            steps: {
                trainer: compress(stopped_early(task, manifest, state, beacon, trainer, steps), None, manifest)[0]
                for trainer in range(trainers)
            }
            for steps in ((0, *STALE_STEPS) if round_ else (0,))
        }
        updates = residual_free.pop(0)
        moment = Moment(
            state=state,
            midpoint=midpoint_of(manifest, state, updates),
            updates=updates,
            early={steps: midpoint_of(manifest, state, early) for steps, early in residual_free.items()},
            previous=previous,
            training_beacon=beacon,
        )
        if round_:
            yield moment
        previous = replace(moment, previous=None)
        state = advance(manifest, state, updates, sorted(updates))


def stopped_early(
    task: Task, manifest: Manifest, state: State, beacon: bytes, trainer: int, steps: int, batch: int | None = None
) -> Tensor:
    """The pseudo-gradient of a trainer that stops ``steps`` before the end, or takes ``batch`` samples a step."""
    training = manifest.training
    short = replace(training, steps=max(1, training.steps - steps), batch=batch or training.batch)
    return local_round(task, replace(manifest, training=short), state, beacon, trainer).delta


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One assessment: a round of a run and a beacon that nobody knew before."""

    task: Task
    manifest: Manifest
    moment: Moment
    draw: int
    beacon: bytes = field(init=False)
    drawn: Drawn = field(init=False)

    def __post_init__(self) -> None:
        beacon = derive(derive(ROOT, "assessment", self.moment.number), "draw", self.draw)
        object.__setattr__(self, "beacon", beacon)
        object.__setattr__(self, "drawn", draw(self.task, self.manifest.assessment, beacon))

    def network(self) -> Network:
        return Network(self.task, self.manifest.task.seed)

    def evidence(self, numerics: Numerics = HOME) -> Evidence:
        """What an honest verifier observes."""
        with numerics.apply():
            network = Network(self.task, self.manifest.task.seed)
            return observe(network, self.moment.state.theta, self.moment.midpoint, self.drawn)

    def sign(self, evidence: Evidence) -> Words:
        return evidence.words(self.manifest.assessment, self.beacon)

    # A trainer's work: what re-executing it shows

    @property
    def trainer(self) -> int:
        return self.draw % len(self.moment.updates)

    def trained(self, numerics: Numerics = HOME) -> Tensor:
        """The pseudo-gradient that re-executing the trainer's round gives: float32 [d]."""
        with numerics.apply():
            return stopped_early(
                self.task, self.manifest, self.moment.state, self.moment.training_beacon, self.trainer, 0
            )

    def sign_training(self, delta: Tensor, numerics: Numerics = HOME) -> Words:
        """Words of what training changed: half for hidden states on the trainer's own shard, half for parameters."""
        spec = self.manifest.assessment
        theta = self.moment.state.theta
        shard = assigned_indices(self.task, self.manifest, self.moment.training_beacon, self.trainer)
        probe = self.task.batch(shard[: spec.probe_samples])
        with numerics.apply():
            network = Network(self.task, self.manifest.task.seed)
            network.theta.copy_(theta)
            before = network.hidden(probe)
            network.theta.copy_(theta - delta)
            moved = network.hidden(probe) - before
        return sign_words(moved, derive(self.beacon, "trained outputs"), spec.output_words) + sign_words(
            delta, derive(self.beacon, "trained parameters"), spec.words - spec.output_words
        )
