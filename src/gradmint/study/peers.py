"""Many peers of the digits task trained side by side: one batched product where the trainer takes one each.

The same steps on the same samples as :mod:`gradmint.learn.train`, in another order of additions; a test holds the two
together.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

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
        self.pixels, digits = task.batch(range(task.samples))
        self.labels = F.one_hot(digits, CLASSES).float()  # [samples, 10]
        self.validation = task.validation()

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
        labels = F.embedding(steps, self.labels)
        for peer in flipped:
            labels[:, peer] = labels[:, peer].flip(-1)
        weights = torch.full((len(places), spec.batch, 1), 1 / spec.batch)
        for peer in thin:
            some = max(1, spec.batch // len(thin))
            weights[peer, :, 0] = torch.arange(spec.batch).lt(some) / some
        theta = start.repeat(len(places), 1)
        slope = torch.empty_like(theta)
        model, slopes = self._parts(theta), self._parts(slope)
        progress = Progress(theta=theta, first=torch.zeros_like(theta), second=torch.zeros_like(theta), taken=0)
        with torch.inference_mode():
            for taken, shown in zip(steps, labels, strict=True):
                _differentiate(model, slopes, F.embedding(taken, self.pixels), shown, weights)
                adamw(spec, progress, slope)
        return start - theta

    def slopes(self, theta: Tensor, samples: Sequence[Sequence[int]]) -> Tensor:
        """Gradients [n, d] of the mean losses that one model [d] has on each of n lists of samples."""
        longest = max(map(len, samples))
        places = torch.tensor([[*each, *[0] * (longest - len(each))] for each in samples])
        weights = torch.tensor([[1 / len(each)] * len(each) + [0.0] * (longest - len(each)) for each in samples])
        slope = torch.empty(len(samples), len(theta))
        model = self._parts(theta.expand(len(samples), -1))
        _differentiate(
            model,
            self._parts(slope),
            F.embedding(places, self.pixels),
            F.embedding(places, self.labels),
            weights[..., None],
        )
        return slope

    def validate(self, theta: Tensor) -> tuple[float, float]:
        """Of the held-out digits the mean loss in nats, and the part that the model [d] gets right."""
        pixels, digits = self.validation
        model = self._parts(theta[None])
        hidden = F.gelu(torch.addmm(model["first.bias"][0], pixels, model["first.weight"][0].T))
        logits = torch.addmm(model["last.bias"][0], hidden, model["last.weight"][0].T)
        return float(F.cross_entropy(logits, digits)), float((logits.argmax(1) == digits).double().mean())

    def _parts(self, rows: Tensor) -> dict[str, Tensor]:
        """Each named parameter of every row, as views [n, *shape]."""
        layout = self.layout
        return {
            name: rows[:, at : at + math.prod(shape)].view(-1, *shape)
            for name, shape, at in zip(layout.names, layout.shapes, layout.offsets, strict=True)
        }


def _differentiate(
    model: Mapping[str, Tensor], slope: Mapping[str, Tensor], pixels: Tensor, labels: Tensor, weights: Tensor
) -> None:
    """Writes each peer's gradient of its weighted loss to the parts of ``slope``, which are as ``model``'s, views
    [n, *shape]. ``pixels`` [n, b, 64], ``labels`` [n, b, 10] with 1 at the digit, ``weights`` [n, b, 1], of sum 1 for a
    mean."""
    before = torch.baddbmm(model["first.bias"][:, None], pixels, model["first.weight"].mT)
    hidden = F.gelu(before)
    error = torch.baddbmm(model["last.bias"][:, None], hidden, model["last.weight"].mT).softmax(2)
    error -= labels
    error *= weights
    slope["last.weight"].copy_(torch.bmm(error.mT, hidden))
    slope["last.bias"].copy_(error.sum(1))
    error = torch.ops.aten.gelu_backward(torch.bmm(error, model["last.weight"]), before)
    slope["first.weight"].copy_(torch.bmm(error.mT, pixels))
    slope["first.bias"].copy_(error.sum(1))
