"""Rounds of a real training run, and what honest verifiers sign in them under any numeric configuration.

A *scene* is one round and one beacon. Everything is a function of the manifest and of the scene's numbers, so a study
gives the same words on the same machine and can be gone on with later.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..learn.assess import Drawn, Evidence, draw, midpoint_of, observe
from ..learn.codec import Update
from ..learn.manifest import Manifest
from ..learn.numerics import Numerics
from ..learn.outer import advance
from ..learn.state import Network, State, initial_state
from ..learn.tasks import Task
from ..learn.train import compress, local_round
from ..spec.errors import SettingsError
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


def stopped_early(task: Task, manifest: Manifest, state: State, beacon: bytes, trainer: int, steps: int) -> Tensor:
    """The pseudo-gradient of a trainer that stops ``steps`` before the end."""
    training = manifest.training
    short = replace(training, steps=max(1, training.steps - steps), intervals=0)
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


def honest_configurations(manifest: Manifest, draw: int = 0) -> dict[str, Numerics]:
    """What the policy admits and this machine has; in a round's first draw also the first of them with two threads,
    which wait for each other for seconds where cores are busy."""
    known = [Numerics.parse(text) for text in manifest.numerics.admitted]
    here = [one for one in known if one.device == "cpu" or torch.cuda.is_available()]
    if not here:
        raise SettingsError(f"this machine has none of the devices of {', '.join(manifest.numerics.admitted)}")
    base = HOME if HOME in here else here[0]
    two = [] if draw else [Numerics.parse(f"{base.policy}/threads=2")]
    return {str(one): one for one in [base, *(one for one in here if one != base), *two]}
