"""Local training as a state that can be stopped, kept, and gone on from: trainer and verifier take the same steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .manifest import Manifest, TrainingSpec
from .shards import assigned_indices
from .state import Network, State
from .tasks import Task

EPSILON = 1e-8  # of AdamW


@dataclass(slots=True, kw_only=True, eq=False)
class Progress:
    """Where local training stands: parameters, first and second moment, float32 [d] each, and the steps taken."""

    theta: Tensor
    first: Tensor
    second: Tensor
    taken: int

    @classmethod
    def begin(cls, state: State) -> Progress:
        """A fresh optimiser at the round's model."""
        zeros = torch.zeros_like(state.theta)
        return cls(theta=state.theta, first=zeros, second=zeros, taken=0)


class LocalSteps:
    """AdamW (Loshchilov & Hutter, 2019) with linear warm-up on a trainer's shard of one round, in the order drawn.

    ``progress`` is a copy of ``start`` and advances in place. A cheat overrides :meth:`samples` or :meth:`slope`.
    """

    def __init__(self, task: Task, manifest: Manifest, beacon: bytes, trainer: int, start: Progress) -> None:
        self.task = task
        self.spec: TrainingSpec = manifest.training
        self.shard = assigned_indices(task, manifest, beacon, trainer)
        self.network = Network(task, manifest.task.seed)
        self.network.theta.copy_(start.theta)
        self.progress = Progress(
            theta=self.network.theta, first=start.first.clone(), second=start.second.clone(), taken=start.taken
        )

    def advance(self, until: int) -> Progress:
        """Take steps until ``until`` are taken."""
        while self.progress.taken < until:
            adamw(self.spec, self.progress, self.slope(self.progress.taken))
        return self.progress

    def samples(self, step: int) -> list[int]:
        """Sample indices of the batch that step ``step``, counted from 0, learns from."""
        at = step * self.spec.batch
        return [self.shard[i % len(self.shard)] for i in range(at, at + self.spec.batch)]

    def slope(self, step: int) -> Tensor:
        """Gradient that step ``step`` follows, float32 [d]."""
        return self.network.gradient(self.task.batch(self.samples(step)))


def adamw(spec: TrainingSpec, progress: Progress, slope: Tensor) -> None:
    """One step, in place."""
    progress.taken += 1
    rate = spec.learning_rate * min(1.0, progress.taken / (spec.warmup_steps + 1))
    progress.first.lerp_(slope, 1 - spec.beta1)
    progress.second.mul_(spec.beta2).addcmul_(slope, slope, value=1 - spec.beta2)
    scale = math.sqrt(1 - spec.beta2**progress.taken)
    with torch.no_grad():
        progress.theta.mul_(1 - rate * spec.weight_decay)
        denominator = progress.second.sqrt().div_(scale).add_(EPSILON)
        progress.theta.addcdiv_(progress.first, denominator, value=-rate / (1 - spec.beta1**progress.taken))
