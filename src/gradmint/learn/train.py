"""The trainer's round: local steps on the assigned shard, pseudo-gradient, compression with error feedback."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..spec.seeds import derive
from .assess import micronats
from .codec import SparseUpdate, quantise
from .manifest import Manifest, TrainingSpec
from .shards import assigned_indices
from .signature import sign_words
from .state import Network, State
from .tasks import Task

__all__ = ["Trained", "assigned_indices", "compress", "local_round"]

EPSILON = 1e-8  # of AdamW


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """``delta`` = start-of-round minus locally trained parameters, float32 [d]: the outer step subtracts it."""

    delta: Tensor
    claimed_gain_micronats: int  # loss before minus after, on a sample of the trainer's own shard
    words: tuple[int, ...]  # signature of the trained model's hidden states on its own shard, centred on the start's


def local_round(task: Task, manifest: Manifest, state: State, beacon: bytes, trainer: int) -> Trained:
    """``training.steps`` steps of AdamW on the trainer's shard for this round, in the order drawn.

    Depends on nothing but its arguments. A diverged model gives a delta that is not finite: the codec marks it as such.
    """
    network = Network(task, manifest.task.seed)
    network.theta.copy_(state.theta)
    training, assessment = manifest.training, manifest.assessment
    shard = assigned_indices(task, manifest, beacon, trainer)
    own = task.batch(shard[: assessment.assigned_samples])
    probe = task.batch(shard[: assessment.probe_samples])
    loss_before = network.mean_loss(own)
    hidden_before = network.hidden(probe)
    optimiser = _AdamW(training, len(state.theta))
    for step in range(training.steps):
        at = step * training.batch
        batch = task.batch([shard[i % len(shard)] for i in range(at, at + training.batch)])
        optimiser.step(network.theta, network.gradient(batch))
    moved = network.hidden(probe) - hidden_before
    return Trained(
        delta=state.theta - network.theta,
        claimed_gain_micronats=micronats(loss_before - network.mean_loss(own)),
        words=sign_words(moved, derive(beacon, "own probe", trainer), assessment.words),
    )


def compress(delta: Tensor, residual: Tensor | None, manifest: Manifest) -> tuple[SparseUpdate, Tensor]:
    """Q(TopK(beta e + delta)) and the new residual e <- beta e + delta - decoded (SparseLoCo, 2025).

    ``residual`` is float32 [d], None before the first update. A delta that is not finite leaves a residual of zero.
    """
    whole = delta if residual is None else residual * manifest.training.error_feedback + delta
    update = quantise(whole, manifest.codec.chunk, manifest.codec.keep)
    if not update.finite:
        return update, torch.zeros_like(delta)
    return update, whole - update.dense()


class _AdamW:
    """AdamW (Loshchilov & Hutter, 2019) on one flat vector, with linear warm-up."""

    def __init__(self, spec: TrainingSpec, dimension: int) -> None:
        self.spec = spec
        self.first = torch.zeros(dimension)
        self.second = torch.zeros(dimension)
        self.taken = 0

    def step(self, theta: Tensor, slope: Tensor) -> None:
        spec = self.spec
        self.taken += 1
        rate = spec.learning_rate * min(1.0, self.taken / (spec.warmup_steps + 1))
        self.first.lerp_(slope, 1 - spec.beta1)
        self.second.mul_(spec.beta2).addcmul_(slope, slope, value=1 - spec.beta2)
        scale = math.sqrt(1 - spec.beta2**self.taken)
        with torch.no_grad():
            theta.mul_(1 - rate * spec.weight_decay)
            denominator = self.second.sqrt().div_(scale).add_(EPSILON)
            theta.addcdiv_(self.first, denominator, value=-rate / (1 - spec.beta1**self.taken))
