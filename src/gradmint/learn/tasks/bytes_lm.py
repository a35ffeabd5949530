"""A byte-level language model on the text of Python's own help topics: real prose that every installation carries.

gzip -9 needs 2.31 bits a byte for the whole text and 2.38 for its distinct paragraphs, which are what is learnt here.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...spec.errors import ManifestError
from . import Batch, fill, task_factory

BLOCK_BYTES = 1_024  # the text is cut into blocks ...
HELD_OUT_EVERY = 16  # ... and every 16th is held out, so that validation text is of the same kind as training text
CONTEXT = 64
RECENT = 4  # bytes embedded at each place: the newest and three before it, which spares attention the short range
VALIDATION_WINDOWS = 128


def read_text() -> bytes:
    """The values of ``pydoc_data.topics.topics`` in file order; parsed as literals, never executed.

    Raises ManifestError when this Python carries no topics file.
    """
    package = importlib.util.find_spec("pydoc_data")
    places = list(package.submodule_search_locations or ()) if package else []
    for path in (Path(place) / "topics.py" for place in places):
        if path.is_file():
            tree = ast.parse(path.read_bytes())
            literals = [node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value]
            return "\n\n".join(ast.literal_eval(literals[0]).values()).encode()
    raise ManifestError(f"task 'bytes' reads pydoc_data/topics.py, found none in {places}; install a full CPython")


def distinct_paragraphs(text: bytes) -> bytes:
    """The text with every paragraph kept once, whatever its indentation.

    The topics repeat each other: without this, 6 in 10 held-out windows stand word for word in the training text.
    """
    first: dict[bytes, bytes] = {}
    for paragraph in text.split(b"\n\n"):
        first.setdefault(b" ".join(paragraph.split()), paragraph)
    return b"\n\n".join(first.values())


@dataclass(frozen=True, slots=True)
class Size:
    """Of the transformer."""

    width: int
    layers: int
    heads: int


SMALL = Size(width=64, layers=2, heads=4)  # 169,216 parameters
LARGE = Size(width=128, layers=3, heads=4)


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.mix = nn.Linear(width, width, bias=False)
        self.norm_mlp = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        qkv = self.query_key_value(self.norm_attention(x)).view(n, t, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.mix(attended.transpose(1, 2).reshape(n, t, width))
        wide = F.gelu(self.widen(self.norm_mlp(x)), approximate="tanh")
        out: Tensor = x + self.narrow(wide)
        return out


class ByteModel(nn.Module):
    """Decoder-only transformer over bytes; output weights tied to the newest byte's embedding."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.recent = nn.ModuleList(nn.Embedding(256, size.width) for _ in range(RECENT))
        self.place = nn.Embedding(CONTEXT, size.width)
        self.blocks = nn.ModuleList(Block(size.width, size.heads) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width)

    def forward(self, text: Tensor) -> Tensor:
        """Bytes [n, t] to final hidden states [n, t, width]."""
        x: Tensor = self.recent[0](text) + self.place.weight[: text.shape[1]]
        for back in range(1, RECENT):
            x = x + F.pad(self.recent[back](text[:, :-back]), (0, 0, back, 0))
        for block in self.blocks:
            x = block(x)
        hidden: Tensor = self.norm(x)
        return hidden


class BytesTask:
    """Samples are windows of 64 bytes at every offset of the training text; loss is the mean over a window's bytes."""

    def __init__(self, text: bytes, size: Size = SMALL) -> None:
        self.name = "bytes" if size == SMALL else "bytes-large"
        self.size = size
        self.data_sha256 = hashlib.sha256(text).hexdigest()
        blocks = [text[at : at + BLOCK_BYTES] for at in range(0, len(text), BLOCK_BYTES)]
        held_out = blocks[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]
        training = [block for i, block in enumerate(blocks) if (i + 1) % HELD_OUT_EVERY]
        self._text = torch.frombuffer(bytearray(b"".join(training)), dtype=torch.uint8)
        self.samples = len(self._text) - CONTEXT
        unseen = torch.frombuffer(bytearray(b"".join(held_out)), dtype=torch.uint8)
        starts = [i * (len(unseen) - CONTEXT - 1) // (VALIDATION_WINDOWS - 1) for i in range(VALIDATION_WINDOWS)]
        self._validation = _windows(unseen, starts)

    def build(self, seed: int) -> nn.Module:
        model = fill(ByteModel(self.size), seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.dim() == 2 and ("mix" in name or "narrow" in name):
                    parameter.mul_(1 / math.sqrt(2 * self.size.layers))  # residual branches start small
        return model

    def batch(self, indices: Sequence[int]) -> Batch:
        return _windows(self._text, indices)

    def validation(self) -> Batch:
        return self._validation

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        text, following = batch
        hidden = model(text)
        logits = hidden.flatten(0, 1) @ model.recent[0].weight.T  # type: ignore[index,union-attr]
        return F.cross_entropy(logits, following.flatten(), reduction="none").view(text.shape).mean(1)

    def hidden(self, model: nn.Module, batch: Batch) -> Tensor:
        pooled: Tensor = model(batch[0])[:, -16:].mean(1)
        return pooled

    def metric(self, loss_nats: float) -> tuple[float, str]:
        return loss_nats / math.log(2), "bits/byte"

    def reference(self) -> tuple[float, str]:
        """What gzip makes of the whole topics text, in nats a byte: less than of the distinct paragraphs."""
        text = read_text()
        return 8 * len(gzip.compress(text, compresslevel=9)) / len(text) * math.log(2), "gzip -9"

    def describe(self, model: nn.Module) -> str:
        with torch.no_grad():
            bits, unit = self.metric(float(self.loss(model, self._validation).double().mean()))
        return f"{bits:.3f} {unit} on {self._validation[0].numel():,} held-out bytes"


def _windows(text: Tensor, starts: Sequence[int]) -> Batch:
    """Windows and the bytes that follow each of theirs, both int64 [n, CONTEXT]."""
    span = torch.as_tensor(list(starts), dtype=torch.int64)[:, None] + torch.arange(CONTEXT + 1)
    window = text[span].long()
    return window[:, :-1], window[:, 1:]


@task_factory
def factory() -> BytesTask:
    """The task named "bytes". Raises ManifestError when the topics file is missing."""
    return BytesTask(distinct_paragraphs(read_text()))


@task_factory
def large() -> BytesTask:
    """The task named "bytes-large": the same text, more than four times the parameters. Raises ManifestError."""
    return BytesTask(distinct_paragraphs(read_text()), LARGE)
