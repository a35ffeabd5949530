"""Handwritten digits: scikit-learn's 1,797 real 8 x 8 scans and a small perceptron; a whole run takes seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from . import Batch, fill, task_factory

HELD_OUT_EVERY = 5
WIDTH = 64


class Perceptron(nn.Module):
    """64 pixels, one hidden layer, 10 classes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(64, width)
        self.last = nn.Linear(width, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels [n, 64] to hidden states [n, width]."""
        return F.gelu(self.first(pixels))


class DigitsTask:
    """Samples are scans; every fifth is held out."""

    name = "digits"

    def __init__(self) -> None:
        pixels, digits = load_digits(return_X_y=True)
        self.data_sha256 = hashlib.sha256(
            pixels.astype("uint8").tobytes() + digits.astype("uint8").tobytes()
        ).hexdigest()
        inputs = torch.from_numpy(pixels).float() / 8 - 1
        targets = torch.from_numpy(digits).long()
        held_out = torch.arange(len(targets)) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
        self._training = (inputs[~held_out], targets[~held_out])
        self._validation = (inputs[held_out], targets[held_out])
        self.samples = len(self._training[1])

    def build(self, seed: int) -> nn.Module:
        return fill(Perceptron(WIDTH), seed)

    def batch(self, indices: Sequence[int]) -> Batch:
        chosen = torch.as_tensor(list(indices), dtype=torch.int64)
        return tuple(part[chosen] for part in self._training)

    def validation(self) -> Batch:
        return self._validation

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return F.cross_entropy(self._logits(model, batch[0]), batch[1], reduction="none")

    def hidden(self, model: nn.Module, batch: Batch) -> Tensor:
        state: Tensor = model(batch[0])
        return state

    def metric(self, loss_nats: float) -> tuple[float, str]:
        return loss_nats, "nats"

    def describe(self, model: nn.Module) -> str:
        pixels, digits = self._validation
        with torch.no_grad():
            right = int((self._logits(model, pixels).argmax(1) == digits).sum())
        return f"{right} of {len(digits)} held-out digits right ({100 * right / len(digits):.1f} %)"

    @staticmethod
    def _logits(model: nn.Module, pixels: Tensor) -> Tensor:
        logits: Tensor = model.last(model(pixels))  # type: ignore[operator]
        return logits


@task_factory
def factory() -> DigitsTask:
    """The task named "digits"."""
    return DigitsTask()
