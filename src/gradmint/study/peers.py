"""Many peers of the digits task trained side by side: one batched product where the trainer takes one each.

The same steps on the same samples as :mod:`gradmint.learn.train`, in another order of additions; a test holds the two
together.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..learn.manifest import Manifest
from ..learn.state import Layout, layout_of
from ..learn.steps import Progress, adamw
from ..learn.tasks.digits import DigitsTask

CLASSES = 10


class Peers:
    """Perceptrons as the rows of one float32 [n, d] matrix, in the layout of the task's model."""

    def __init__(self, task: DigitsTask, manifest: Manifest) -> None:
        self.manifest = manifest
        self.layout: Layout = layout_of(task, manifest)
        self.pixels, self.digits = task.batch(range(task.samples))
        self.validation = task.validation()

    def gradients(self, theta: Tensor, pixels: Tensor, digits: Tensor, weights: Tensor) -> Tensor:
        """Gradient of each peer's weighted loss, [n, d]: ``pixels`` [n, b, 64], ``digits`` [n, b], ``weights`` [n, b]
        that add up to 1 for a mean."""
        model = self._parts(theta)
        before = torch.baddbmm(model["first.bias"][:, None], pixels, model["first.weight"].mT)
        hidden = F.gelu(before)
        error = torch.baddbmm(model["last.bias"][:, None], hidden, model["last.weight"].mT).softmax(2)
        error.scatter_add_(2, digits[..., None], error.new_full((*digits.shape, 1), -1.0))
        error *= weights[..., None]
        slope = torch.empty_like(theta)
        parts = self._parts(slope)
        parts["last.weight"].copy_(torch.bmm(error.mT, hidden))
        parts["last.bias"].copy_(error.sum(1))
        error = torch.ops.aten.gelu_backward(torch.bmm(error, model["last.weight"]), before)
        parts["first.weight"].copy_(torch.bmm(error.mT, pixels))
        parts["first.bias"].copy_(error.sum(1))
        return slope

    def walks(self, shards: Sequence[Sequence[int]]) -> Tensor:
        """Sample indices in the order in which a round's local steps take them, [n, steps x batch], by shard."""
        count = self.manifest.training.steps * self.manifest.training.batch
        return torch.tensor([(list(shard) * math.ceil(count / len(shard)))[:count] for shard in shards])

    def train(self, start: Tensor, places: Tensor, flipped: Collection[int] = (), thin: Collection[int] = ()) -> Tensor:
        """Pseudo-gradients [n, d] of a round's local steps from ``start`` [d]: start minus trained, of a peer for each
        row of ``places``, which :meth:`walks` makes. ``flipped`` are the peers who see each digit c as 9 - c; ``thin``
        share the work of one among them: each learns from the first so many samples of every batch."""
        spec = self.manifest.training
        steps = places.view(len(places), spec.steps, spec.batch).transpose(0, 1)
        pixels, digits = self.pixels[steps], self.digits[steps]
        for peer in flipped:
            digits[:, peer] = CLASSES - 1 - digits[:, peer]
        weights = torch.full((len(places), spec.batch), 1 / spec.batch)
        for peer in thin:
            some = max(1, spec.batch // len(thin))
            weights[peer] = torch.arange(spec.batch).lt(some) / some
        theta = start.repeat(len(places), 1)
        progress = Progress(theta=theta, first=torch.zeros_like(theta), second=torch.zeros_like(theta), taken=0)
        for seen, shown in zip(pixels, digits, strict=True):
            adamw(spec, progress, self.gradients(theta, seen, shown, weights))
        return start - theta

    def slopes(self, theta: Tensor, samples: Sequence[Sequence[int]]) -> Tensor:
        """Gradients [n, d] of the mean losses that one model [d] has on each of n lists of samples."""
        longest = max(map(len, samples))
        places = torch.tensor([[*each, *[0] * (longest - len(each))] for each in samples])
        weights = torch.tensor([[1 / len(each)] * len(each) + [0.0] * (longest - len(each)) for each in samples])
        return self.gradients(theta.expand(len(samples), -1), self.pixels[places], self.digits[places], weights)

    def accuracy(self, theta: Tensor) -> float:
        """Part of the held-out digits that the model [d] gets right."""
        return float((self._logits(theta).argmax(1) == self.validation[1]).double().mean())

    def mean_loss(self, theta: Tensor) -> float:
        """Of the held-out digits, in nats."""
        return float(F.cross_entropy(self._logits(theta), self.validation[1]))

    def _logits(self, theta: Tensor) -> Tensor:
        model = self._parts(theta[None])
        hidden = F.gelu(torch.addmm(model["first.bias"][0], self.validation[0], model["first.weight"][0].T))
        return torch.addmm(model["last.bias"][0], hidden, model["last.weight"][0].T)

    def _parts(self, rows: Tensor) -> dict[str, Tensor]:
        """Each named parameter of every row, as views [n, *shape]."""
        layout = self.layout
        return {
            name: rows[:, at : at + math.prod(shape)].view(-1, *shape)
            for name, shape, at in zip(layout.names, layout.shapes, layout.offsets, strict=True)
        }
