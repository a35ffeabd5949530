"""The trainer's round: local steps on the assigned shard, pseudo-gradient, compression with error feedback."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from . import proof
from .codec import Mark, Update, approximate_each
from .manifest import Manifest
from .shards import assigned_indices
from .state import State
from .steps import LocalSteps, Progress
from .tasks import Task

__all__ = ["Trained", "assigned_indices", "compress", "compress_each", "local_round"]


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
    updates, left = compress_each(delta[None], None if residual is None else residual[None], manifest)
    return updates[0], left[0]


def compress_each(deltas: Tensor, residuals: Tensor | None, manifest: Manifest) -> tuple[Sequence[Update], Tensor]:
    """:func:`compress` of each row of float32 [n, d], to the same bits."""
    wholes = deltas if residuals is None else residuals * manifest.training.error_feedback + deltas
    updates = approximate_each(wholes, manifest.codec.table(wholes.shape[1]))
    left = wholes.clone() if wholes is deltas else wholes
    for row, update in zip(left, updates, strict=True):
        if not update.finite or manifest.codec.kind == "private":
            row.zero_()
        else:
            update.add_to(row.numpy(), -1)
    return updates, left
