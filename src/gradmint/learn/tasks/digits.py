"""Handwritten digits: scikit-learn's 1,797 real 8 x 8 scans and a small perceptron; a whole run takes seconds."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ...spec.errors import ManifestError
from . import Batch, fill, task_factory

HELD_OUT_EVERY = 5
WIDTH = 64


def read_scans() -> NDArray[np.uint8]:
    """Rows of 64 pixels in 0..16 and the digit, [1797, 65], from scikit-learn's own file.

    The file is read without importing scikit-learn, which would cost every process a second. Raises ManifestError.
    """
    package = importlib.util.find_spec("sklearn")
    places = list(package.submodule_search_locations or ()) if package else []
    for path in (Path(place, "datasets", "data", "digits.csv.gz") for place in places):
        if path.is_file():
            rows = [line.split(b",") for line in gzip.decompress(path.read_bytes()).split()]
            return np.array(rows, dtype=np.uint8)
    raise ManifestError(f"task 'digits' reads scikit-learn's digits.csv.gz, found none in {places}; pip install it")


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

    def __init__(self, scans: NDArray[np.uint8]) -> None:
        self.data_sha256 = hashlib.sha256(scans.tobytes()).hexdigest()
        inputs = torch.from_numpy(scans[:, :64]).float() / 8 - 1
        targets = torch.from_numpy(scans[:, 64]).long()
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
    """The task named "digits". Raises ManifestError when scikit-learn is missing."""
    return DigitsTask(read_scans())
