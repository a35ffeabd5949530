"""A byte-level language model on the text of Python's own help topics: real prose that every installation carries.

gzip -9 needs 2.31 bits a byte for the whole text and 2.38 for its distinct paragraphs, which are what is learnt here.
"""

from __future__ import annotations

import ast
import gzip
import hashlib
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...spec.errors import ManifestError
from . import fill, task_factory
from .text import TextTask

CONTEXT = 64
RECENT = 4  # bytes embedded at each place: the newest and three before it, which spares attention the short range


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

    def __init__(self, size: Size, context: int = CONTEXT) -> None:
        super().__init__()
        self.recent = nn.ModuleList(nn.Embedding(256, size.width) for _ in range(RECENT))
        self.place = nn.Embedding(context, size.width)
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


class Bytes:
    """Architecture of :class:`ByteModel`."""

    def __init__(self, size: Size, context: int = CONTEXT) -> None:
        self.size = size
        self.context = context

    def build(self, seed: int) -> nn.Module:
        model = fill(ByteModel(self.size, self.context), seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.dim() == 2 and ("mix" in name or "narrow" in name):
                    parameter.mul_(1 / math.sqrt(2 * self.size.layers))  # residual branches start small
        return model

    def states(self, model: nn.Module, text: Tensor) -> Tensor:
        hidden: Tensor = model(text)
        return hidden

    def logits(self, model: nn.Module, text: Tensor) -> Tensor:
        logits: Tensor = self.states(model, text) @ model.recent[0].weight.T  # type: ignore[index,union-attr]
        return logits


class BytesTask(TextTask):
    """The text's bytes, in windows of 64."""

    def __init__(self, text: bytes, size: Size = SMALL) -> None:
        super().__init__(
            name="bytes" if size == SMALL else "bytes-large",
            data_sha256=hashlib.sha256(text).hexdigest(),
            architecture=Bytes(size),
            tokens=torch.frombuffer(bytearray(text), dtype=torch.uint8),
            context=CONTEXT,
        )

    def reference(self) -> tuple[float, str]:
        """What gzip makes of the whole topics text, in nats a byte: less than of the distinct paragraphs."""
        text = read_text()
        return 8 * len(gzip.compress(text, compresslevel=9)) / len(text) * math.log(2), "gzip -9"


@task_factory
def factory() -> BytesTask:
    """The task named "bytes". Raises ManifestError when the topics file is missing."""
    return BytesTask(distinct_paragraphs(read_text()))


@task_factory
def large() -> BytesTask:
    """The task named "bytes-large": the same text, more than four times the parameters. Raises ManifestError."""
    return BytesTask(distinct_paragraphs(read_text()), LARGE)
