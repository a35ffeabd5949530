"""The outer step: how the round's updates move the global model, bit for bit the same for everyone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from .aggregate import clipped_mean
from .codec import SparseUpdate
from .manifest import Manifest
from .state import State


def decayed(manifest: Manifest, round_: int) -> float:
    """The schedule's factor after ``round_`` outer steps: falls linearly from 1 to the floor in ``decay_rounds``."""
    outer = manifest.outer
    return max(outer.floor, 1 - (1 - outer.floor) * round_ / outer.decay_rounds)


def outer_rate(manifest: Manifest, round_: int) -> float:
    """Learning rate of the outer step that follows ``round_`` outer steps."""
    return manifest.outer.learning_rate * decayed(manifest, round_)


def advance(manifest: Manifest, state: State, updates: Mapping[int, SparseUpdate], accepted: Sequence[int]) -> State:
    """One outer step with Nesterov's momentum (DiLoCo, Douillard et al., 2023), elementwise in float32.

    ``updates`` are all updates with verdict OK: they set the median norm. ``accepted`` are those whose consensus common
    gain is positive: they are averaged. m <- mu m + mean, theta <- theta - rate (mean + mu m). With nothing accepted
    theta stays and m <- mu m. Raises NotFinite, and KeyError when an accepted index has no update.
    """
    mean = clipped_mean(updates, accepted, len(state.theta)).numpy()
    momentum = state.buffers["momentum"].numpy() * np.float32(manifest.outer.momentum)
    theta = state.theta.numpy()
    if accepted:
        momentum += mean
        step = momentum * np.float32(manifest.outer.momentum)
        step += mean
        step *= np.float32(outer_rate(manifest, state.round))
        theta = theta - step
    return State(
        theta=torch.from_numpy(theta.copy()), buffers={"momentum": torch.from_numpy(momentum)}, round=state.round + 1
    )
