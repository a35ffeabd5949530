"""Which samples a trainer has to train on: a function of the round's training beacon alone."""

from __future__ import annotations

from ..spec.seeds import derive, draw_distinct
from .manifest import Manifest
from .tasks import Task


def assigned_indices(task: Task, manifest: Manifest, beacon: bytes, trainer: int) -> list[int]:
    """The trainer's shard: ``training.shard`` distinct sample indices in training order.

    All samples when there are fewer. Shards of two trainers may overlap by chance; nobody knows one before the beacon.
    """
    return draw_distinct(derive(beacon, "shard", trainer), manifest.training.shard, task.samples)
