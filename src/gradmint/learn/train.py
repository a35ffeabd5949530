"""The trainer's round: local steps on the assigned shard, pseudo-gradient, compression with error feedback."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from . import proof
from .codec import Mark, Update, approximate
from .manifest import Manifest
from .shards import assigned_indices
from .state import State
from .steps import LocalSteps, Progress
from .tasks import Task

__all__ = ["Trained", "assigned_indices", "compress", "local_round"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """``delta`` = start-of-round minus locally trained parameters, float32 [d]: the outer step subtracts it.

    ``marks`` prove the training, one for the end of each interval.
    """

    delta: Tensor
    marks: tuple[Mark, ...]


def local_round(
    task: Task,
    manifest: Manifest,
    state: State,
    beacon: bytes,
    trainer: int,
    *,
    steps: type[LocalSteps] = LocalSteps,
    keep: Callable[[int, proof.Opening], None] = lambda _, __: None,
) -> Trained:
    """``training.steps`` steps of AdamW on the trainer's shard for this round, in the order drawn.

    Depends on nothing but its arguments. ``keep`` is given the state that each interval but the first begins with, to
    open if that is audited. A diverged model gives a delta that is not finite: the codec marks it as such.
    """
    training = steps(task, manifest, beacon, trainer, Progress.begin(state))
    marks = []
    intervals = manifest.training.intervals
    for interval in range(1, intervals + 1):
        progress = training.advance(proof.boundary(manifest, interval))
        opening = proof.cut(progress, training.network.layout)
        marks.append(proof.note(progress, opening.digest, state.theta, beacon, trainer))
        if interval < intervals:
            keep(interval, opening)
    progress = training.advance(manifest.training.steps)
    return Trained(delta=state.theta - progress.theta, marks=tuple(marks))


def compress(delta: Tensor, residual: Tensor | None, manifest: Manifest) -> tuple[Update, Tensor]:
    """Q(TopK(beta e + delta)) and the new residual e <- beta e + delta - decoded (SparseLoCo, 2025).

    ``residual`` is float32 [d], None before the first update. A delta that is not finite leaves a residual of zero, and
    so does an update quantised at random, whose mean is right already: fed back, its noise would outgrow the delta.
    """
    whole = delta if residual is None else residual * manifest.training.error_feedback + delta
    update = approximate(whole, manifest.codec.table(len(whole)))
    if not update.finite or manifest.codec.kind == "private":
        return update, torch.zeros_like(delta)
    left = whole.clone() if whole is delta else whole
    update.add_to(left.numpy(), -1)
    return update, left
