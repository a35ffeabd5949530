"""Next-token prediction on one long text, whatever the model and whatever its tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...spec.errors import ManifestError
from . import Batch

BLOCK_CONTEXTS = 16  # the text is cut into blocks of so many contexts ...
HELD_OUT_EVERY = 16  # ... and every 16th is held out, so that validation text is of the same kind as training text
VALIDATION_WINDOWS = 128
POOLED = 16  # last places of a window, whose mean is its hidden state


class Architecture(Protocol):
    """A causal language model. ``text`` is token numbers, int64 [n, t]."""

    def build(self, seed: int) -> nn.Module:
        """As :meth:`Task.build`."""

    def states(self, model: nn.Module, text: Tensor) -> Tensor:
        """Final hidden states [n, t, h]."""

    def logits(self, model: nn.Module, text: Tensor) -> Tensor:
        """Of the tokens that follow, [n, t, vocabulary]."""


class TextTask:
    """Samples are windows at every offset of the training text; loss is the mean over a window's tokens."""

    def __init__(
        self,
        name: str,
        data_sha256: str,
        architecture: Architecture,
        tokens: Tensor,
        context: int,
        held_out_every: int = HELD_OUT_EVERY,
        per_byte: bool = True,
    ) -> None:
        """``tokens`` is the whole text, integers [n]; ``per_byte`` says that each is a byte.

        Raises ManifestError for a text too short to train on or to hold anything out of.
        """
        self.name = name
        self.data_sha256 = data_sha256
        self.architecture = architecture
        self.context = context
        self.per_byte = per_byte
        blocks = torch.split(tokens, BLOCK_CONTEXTS * context)
        held_out = blocks[held_out_every - 1 :: held_out_every]
        training = [block for i, block in enumerate(blocks) if (i + 1) % held_out_every]
        self._text = torch.cat(training) if training else tokens[:0]
        unseen = torch.cat(held_out) if held_out else tokens[:0]
        if len(self._text) < context + 2 or len(unseen) < context + 2:
            raise ManifestError(
                f"task {name!r} has {len(tokens)} tokens, {len(unseen)} of them held out, in blocks of "
                f"{BLOCK_CONTEXTS * context}: both parts take {context + 2} at least; give it more text, a shorter "
                "context or a smaller held_out_every"
            )
        self.samples = len(self._text) - context
        last = len(unseen) - context - 1
        self._validation = self._windows(
            unseen, [i * last // (VALIDATION_WINDOWS - 1) for i in range(VALIDATION_WINDOWS)]
        )

    def build(self, seed: int) -> nn.Module:
        return self.architecture.build(seed)

    def batch(self, indices: Sequence[int]) -> Batch:
        return self._windows(self._text, indices)

    def validation(self) -> Batch:
        return self._validation

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        text, following = batch
        logits = self.architecture.logits(model, text).flatten(0, 1)
        return F.cross_entropy(logits, following.flatten(), reduction="none").view(text.shape).mean(1)

    def hidden(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.architecture.states(model, batch[0])[:, -POOLED:].mean(1)

    def metric(self, loss_nats: float) -> tuple[float, str]:
        return (loss_nats / math.log(2), "bits/byte") if self.per_byte else (loss_nats, "nats/token")

    def describe(self, model: nn.Module) -> str:
        with torch.no_grad():
            value, unit = self.metric(float(self.loss(model, self._validation).double().mean()))
        what = "bytes" if self.per_byte else "tokens"
        return f"{value:.3f} {unit} on {self._validation[0].numel():,} held-out {what}"

    def _windows(self, text: Tensor, starts: Sequence[int]) -> Batch:
        """Windows and the tokens that follow each of theirs, both int64 [n, context]."""
        span = torch.as_tensor(list(starts), dtype=torch.int64)[:, None] + torch.arange(self.context + 1)
        window = text[span].long()
        return window[:, :-1], window[:, 1:]
