"""What a run trains: the model, its data and its loss, behind one small protocol. docs/writing-a-task.md shows how."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

Batch: TypeAlias = tuple[Tensor, ...]  # what the task's ``loss`` and ``hidden`` take; first dimension is samples


@runtime_checkable
class Task(Protocol):
    """A model with data. Everything is deterministic on the CPU; every random draw comes from the protocol's seeds.

    ``name`` is shown to people. ``data_sha256`` is the hex digest of the data's bytes, which the manifest pins.
    ``samples`` is the number of training samples; the protocol draws indices in [0, samples) for shards, common
    batches and probes. Two members are optional: ``preset(manifest)`` and ``reference()``, see :func:`reference_of`.
    """

    name: str
    data_sha256: str
    samples: int

    def build(self, seed: int) -> nn.Module:
        """A fresh float32 model on the CPU, the same bits for a seed on every machine; no buffers but constants."""

    def batch(self, indices: Sequence[int]) -> Batch:
        """Training samples by index, never held-out ones."""

    def validation(self) -> Batch:
        """The fixed held-out batch: nobody trains on it; it serves only the reported loss."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Loss of each sample in nats, shape [n], differentiable in the model's parameters."""

    def hidden(self, model: nn.Module, batch: Batch) -> Tensor:
        """Pooled hidden state of each sample, shape [n, h]: the evidence that a verifier ran the model."""

    def metric(self, loss_nats: float) -> tuple[float, str]:
        """A mean loss as people read it: number and unit."""

    def describe(self, model: nn.Module) -> str:
        """One line about the model on the validation batch."""


def reference_of(task: Task) -> tuple[float, str] | None:
    """A loss in nats that people know, and whose it is, for the tasks that name one: the mark to beat."""
    known = getattr(task, "reference", None)
    return None if known is None else known()


Factory = TypeVar("Factory", bound=Callable[[], Task])


def task_factory(factory: Factory) -> Factory:
    """Marks a callable without arguments as one that a manifest may name; nothing unmarked is ever called."""
    factory.gradmint_task = True  # type: ignore[attr-defined]
    return factory


def fill(model: nn.Module, seed: int) -> nn.Module:
    """Initialises every parameter, in name order, from integers, so that all machines start from the same bits.

    Matrices: uniform with variance 1 / fan_in, that is +-sqrt(3 / fan_in); a parameter named ``*.bias`` becomes 0 and
    any other vector 1 (normalisation gains). Returns the model.
    """
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.dim() < 2:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            key = int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:16], "big")
            raw = np.random.Philox(key=key).random_raw(parameter.numel())
            steps = (raw >> np.uint64(40)).astype(np.int64) - (1 << 23)  # 24 bits: exact in float32
            bound = math.sqrt(3 / (parameter.numel() // parameter.shape[0]))
            values = (steps.astype(np.float64) * (bound / (1 << 23))).astype(np.float32)
            parameter.copy_(torch.from_numpy(values).view_as(parameter))
    return model
