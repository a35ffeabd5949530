"""The outer step: how the round's updates move the global model, bit for bit the same for everyone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..spec.errors import ManifestError
from .aggregate import RULES, Sparse, aggregate
from .codec import Update
from .codec.update import Floats
from .manifest import Manifest
from .optimisers import OPTIMISERS
from .state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """The round's aggregate, float32 [d], None where no update takes part; and what each update counts in it.

    ``weights`` are float32 values by trainer index; None where the run's rule is not a weighting. Everybody works them
    out from public blobs, and whoever has them rebuilds the aggregate as their sum of weight x update.
    """

    vector: Floats | None
    weights: Mapping[int, float] | None


def outer_rate(manifest: Manifest, round_: int) -> float:
    """Learning rate of the outer step that follows ``round_`` outer steps."""
    return manifest.outer.learning_rate * manifest.outer.factor(round_)


def combine(manifest: Manifest, updates: Mapping[int, Update], accepted: Sequence[int]) -> Combined:
    """Aggregates the updates with verdict OK by the run's rule.

    ``accepted`` are those whose consensus common gain is positive: a run with a score gate aggregates them alone, the
    others only set the median norm. Raises NotFinite, and KeyError when an accepted index has no update.
    """
    spec = manifest.aggregation
    order = sorted(updates)
    missing = set(accepted) - updates.keys()
    if missing:
        raise KeyError(f"accepted trainers {sorted(missing)} have no update, only {order} do")
    if not (accepted if "score-gate" in spec.pre else order):
        return Combined(vector=None, weights=None if RULES[spec.rule].weigh is None else {})
    chosen = set(accepted)
    rows = Sparse([updates[trainer] for trainer in order])
    found = aggregate(rows, spec, [place for place, trainer in enumerate(order) if trainer in chosen])
    weights = None if found.weights is None else dict(zip(order, found.weights, strict=True))
    return Combined(vector=found.vector, weights=weights)


def step(manifest: Manifest, state: State, vector: Floats | None) -> State:
    """One step of the run's outer optimiser along an aggregate, float32 [d].

    Without one the parameters stay, and the buffers see an aggregate of zero. Raises ManifestError when the state's
    buffers are another optimiser's.
    """
    spec = manifest.outer
    optimiser = OPTIMISERS[spec.optimiser]
    if set(state.buffers) != set(optimiser.buffers):
        raise ManifestError(
            f"state has buffers {sorted(state.buffers)}, outer.optimiser {spec.optimiser} keeps "
            f"{sorted(optimiser.buffers)}; it belongs to another run: delete it and rebuild"
        )
    buffers = {name: buffer.numpy().copy() for name, buffer in state.buffers.items()}
    theta = state.theta.numpy().copy()
    seen = np.zeros_like(theta) if vector is None else vector
    direction = optimiser.direction(spec, state.round, seen, buffers)
    if vector is not None:
        direction *= np.float32(outer_rate(manifest, state.round))
        theta -= direction
    return State(
        theta=torch.from_numpy(theta),
        buffers={name: torch.from_numpy(buffer) for name, buffer in buffers.items()},
        round=state.round + 1,
    )


def advance(manifest: Manifest, state: State, updates: Mapping[int, Update], accepted: Sequence[int]) -> State:
    """:func:`combine`, then :func:`step`."""
    return step(manifest, state, combine(manifest, updates, accepted).vector)
