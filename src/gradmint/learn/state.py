"""The global model as one flat float32 vector, its layout, its file, and its digest, which is the file's."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..spec.errors import ManifestError
from . import blocks
from .manifest import Manifest
from .numerics import current
from .optimisers import OPTIMISERS
from .tasks import Batch, Task

MAX_HEADER_BYTES = 1 << 20
MOST_VALUES = (1 << 31) - 1  # what positions in updates reach
OUTER = "outer."  # what names of the outer optimiser's buffers begin with in a file, and no parameter's name does


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where each named parameter lies in the flat vector. Canonical order: by name, row-major inside.

    Weights that are tied are one parameter, under the first of their names. ``constants`` are the model's buffers, name
    and kind: what a configuration makes them is left to the machine, like the kernels that use them.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    constants: tuple[tuple[str, str], ...] = ()  # name and dtype with shape, by name
    offsets: tuple[int, ...] = field(init=False)  # in values
    dimension: int = field(init=False)
    digest: bytes = field(init=False)  # sha2-256 of names, shapes and constants

    def __post_init__(self) -> None:
        offsets, at = [], 0
        for shape in self.shapes:
            offsets.append(at)
            at += int(np.prod(shape, dtype=np.int64))
        parts = [self.names, self.shapes, *([self.constants] if self.constants else [])]
        table = json.dumps(parts, separators=(",", ":")).encode()
        object.__setattr__(self, "offsets", tuple(offsets))
        object.__setattr__(self, "dimension", at)
        object.__setattr__(self, "digest", hashlib.sha256(table).digest())

    @classmethod
    def of(cls, model: nn.Module) -> Layout:
        """Raises ManifestError for a model with buffers in its state, parameters that are not float32, or too many, or
        names that the outer optimiser's buffers have in a checkpoint."""
        buffers = dict(sorted(model.named_buffers()))
        if kept := sorted(buffers.keys() & model.state_dict().keys()):
            raise ManifestError(
                f"model keeps buffers {kept} in its state, expected none; turn them into parameters, or register "
                "constants with persistent=False"
            )
        named = sorted(model.named_parameters())
        odd = [f"{name}: {parameter.dtype}" for name, parameter in named if parameter.dtype != torch.float32]
        if odd or not named:
            raise ManifestError(f"model has parameters {odd or 'none'}, expected float32; call .float() in build()")
        taken = [name for name, _ in named if name.startswith(OUTER)]
        if taken:
            raise ManifestError(f"model has parameters {taken}, names of the outer optimiser's; rename that module")
        layout = cls(
            names=tuple(n for n, _ in named),
            shapes=tuple(tuple(p.shape) for _, p in named),
            constants=tuple((n, f"{b.dtype} {list(b.shape)}") for n, b in buffers.items()),
        )
        if layout.dimension > MOST_VALUES:
            raise ManifestError(
                f"model has {layout.dimension:,} values, at most {MOST_VALUES:,} have places in updates"
            )
        return layout


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The global model between rounds: parameters and the outer optimiser's buffers by name, all float32 [d];
    ``round`` outer steps taken."""

    theta: Tensor
    buffers: Mapping[str, Tensor]
    round: int


class Network:
    """A task's module whose parameters are views of one flat vector, and whose gradients are views of another.

    It computes in the numeric configuration that is applied where it is made; what goes in and comes out is float32 on
    the CPU whatever that is.
    """

    def __init__(self, task: Task, seed: int) -> None:
        self.task = task
        self.numerics = current()
        self.module = task.build(seed)
        self.layout = Layout.of(self.module)
        self.theta = torch.empty(self.layout.dimension)
        self.slope = torch.zeros(self.layout.dimension)
        at_home = self.numerics.device == "cpu"
        self._theta = self.theta if at_home else torch.empty_like(self.theta, device=self.numerics.device)
        self._slope = self.slope if at_home else torch.zeros_like(self.slope, device=self.numerics.device)
        parameters = dict(self.module.named_parameters())
        with torch.no_grad():
            for name, shape, at in zip(self.layout.names, self.layout.shapes, self.layout.offsets, strict=True):
                parameter = parameters[name]
                size = parameter.numel()
                self.theta[at : at + size] = parameter.flatten()
                parameter.data = self._theta[at : at + size].view(shape)
                parameter.grad = self._slope[at : at + size].view(shape)
        if not at_home:
            self.module.to(self.numerics.device)  # the constants: parameters are there

    def gradient(self, batch: Batch) -> Tensor:
        """Gradient of the batch's mean loss, float32 [d]: the same storage at every call."""
        self._slope.zero_()
        for part in self._parts(batch):
            with self.numerics.precision():
                losses = self.task.loss(self.module, part)
            (losses.float().sum() / len(batch[0])).backward()  # type: ignore[no-untyped-call]
        if self.slope is not self._slope:
            self.slope.copy_(self._slope)
        return self.slope

    def hidden(self, batch: Batch) -> Tensor:
        """Hidden states, float32 [n, h], of each sample."""
        with torch.no_grad(), self.numerics.precision():
            return torch.cat([self.task.hidden(self.module, part).float().cpu() for part in self._parts(batch)])

    def mean_loss(self, batch: Batch) -> float:
        """Mean loss in nats, summed in float64; NaN or infinite when the model is broken."""
        with torch.no_grad(), self.numerics.precision():
            losses = [self.task.loss(self.module, part).double().cpu() for part in self._parts(batch)]
        return float(torch.cat(losses).mean())

    def _parts(self, batch: Batch) -> Iterator[Batch]:
        """The batch's micro-batches where the model lies, and the model's newest parameters there as well."""
        if self._theta is not self.theta:
            self._theta.copy_(self.theta)
        size = self.numerics.micro or len(batch[0])
        for at in range(0, len(batch[0]), size):
            yield tuple(tensor[at : at + size].to(self.numerics.device) for tensor in batch)


def layout_of(task: Task, manifest: Manifest) -> Layout:
    """Layout of the task's model. Raises ManifestError as :meth:`Layout.of`, and where the manifest's updates cannot
    be coded for a model of that size."""
    layout = Layout.of(task.build(manifest.task.seed))
    manifest.codec.table(layout.dimension)
    return layout


def initial_state(task: Task, manifest: Manifest) -> State:
    """The model that a run starts from, at round 0 with buffers of zeros. Raises ManifestError as :meth:`Layout.of`."""
    theta = Network(task, manifest.task.seed).theta
    buffers = {name: torch.zeros_like(theta) for name in OPTIMISERS[manifest.outer.optimiser].buffers}
    return State(theta=theta, buffers=buffers, round=0)


def digest(state: State, layout: Layout) -> bytes:
    """The 32-byte name of :func:`save`'s file as blobs, see :mod:`.blocks`, without a copy of the model: sha2-256 of
    the file where that fits one blob. So what a committee attests is found in any store.

    Raises ManifestError as :func:`save`.
    """
    return blocks.name(_pieces(state, layout))


def blobs(state: State, layout: Layout) -> Iterator[bytes]:
    """What to put into a store, the blob that :func:`digest` names last. Raises ManifestError as :func:`save`."""
    return blocks.cut(_pieces(state, layout))


def file_bytes(layout: Layout, buffers: Iterable[str], round_: int) -> int:
    """Length of the file of a state with these buffers after ``round_`` outer steps."""
    names = list(buffers)
    return len(_header(layout, names, round_)) + 4 * layout.dimension * (1 + len(names))


def save(state: State, layout: Layout) -> bytes:
    """The one safetensors file of a state: parameters under their own names, buffers as ``outer.<name>``, in the order
    of all names.

    Any safetensors reader opens it. Raises ManifestError when a vector does not have the layout's dimension.
    """
    return b"".join(_pieces(state, layout))


def load(blob: bytes | bytearray, layout: Layout) -> State:
    """Inverse of :func:`save`; only its exact output is accepted. Raises ManifestError."""
    room = int.from_bytes(blob[:8], "little")
    if len(blob) < 8 or room > min(MAX_HEADER_BYTES, len(blob) - 8):
        raise ManifestError(f"checkpoint of {len(blob)} bytes announces a header of {room}; fetch it again")
    try:
        table = json.loads(blob[8 : 8 + room])
        round_ = int(table["__metadata__"]["round"])
        buffers = [name.removeprefix(OUTER) for name in table if name.startswith(OUTER)]
        header = _header(layout, buffers, round_) if 0 <= round_ < 1 << 64 else b""
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ManifestError(f"checkpoint header of {room} bytes is none ({error!r}); fetch it again") from error
    if blob[: 8 + room] != header:
        raise ManifestError(
            f"checkpoint header of {room} bytes is not that of layout {layout.digest.hex()[:16]} at round {round_}; "
            "it belongs to another model: delete it and rebuild"
        )
    expected = 8 + room + 4 * layout.dimension * (1 + len(buffers))
    if len(blob) != expected:
        raise ManifestError(f"checkpoint has {len(blob)} bytes, expected {expected}; delete it and rebuild")
    theta = torch.empty(layout.dimension)
    vectors = {name: torch.empty(layout.dimension) for name in buffers}
    at = 8 + room
    for _, part in _parts(layout, theta, vectors):
        part.numpy()[:] = np.frombuffer(blob, dtype="<f4", count=len(part), offset=at)
        at += 4 * len(part)
    return State(theta=theta, buffers=vectors, round=round_)


def _parts(layout: Layout, theta: Tensor, buffers: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    """Name in the file and values of each tensor, flat, in the file's order."""
    ends = (*layout.offsets[1:], layout.dimension)
    parts = [(name, theta[at:end]) for name, at, end in zip(layout.names, layout.offsets, ends, strict=True)]
    return sorted([*parts, *((OUTER + name, vector) for name, vector in buffers.items())], key=lambda part: part[0])


def _pieces(state: State, layout: Layout) -> Iterator[bytes | memoryview]:
    """The file, in pieces that are views of the state where the machine is little-endian."""
    for vector in (state.theta, *state.buffers.values()):
        if vector.shape != (layout.dimension,) or vector.dtype != torch.float32:
            raise ManifestError(
                f"state holds {vector.dtype} of shape {tuple(vector.shape)}, expected float32 of ({layout.dimension},)"
            )
    yield _header(layout, state.buffers, state.round)
    for _, part in _parts(layout, state.theta, state.buffers):
        values: NDArray[np.float32] = part.detach().numpy()
        yield np.ascontiguousarray(values, dtype="<f4").data


def _header(layout: Layout, buffers: Iterable[str], round_: int) -> bytes:
    """As the safetensors library writes it, but that the metadata's order, which it leaves to chance, is by key."""
    shapes = dict(zip(layout.names, layout.shapes, strict=True)) | {
        OUTER + name: (layout.dimension,) for name in buffers
    }
    table: dict[str, object] = {"__metadata__": {"layout": layout.digest.hex(), "round": str(round_)}}
    at = 0
    for name in sorted(shapes):
        end = at + 4 * math.prod(shapes[name])
        table[name] = {"dtype": "F32", "shape": shapes[name], "data_offsets": [at, end]}
        at = end
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format aligns tensors to 8 bytes
    return len(text).to_bytes(8, "little") + text
