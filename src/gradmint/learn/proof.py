"""Proof of training: what a trainer says about its update and about the making of it, and how others check that.

Claims are about the published update alone, so whoever has the blob can work them out again. Marks are notes of the
state of training at the end of each interval, made before anyone knows which interval will be audited. An audited
trainer opens the state in which that interval began; trained on from there, it must end near the next mark.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..spec.errors import Malformed
from ..spec.seeds import derive, draw_below, draw_distinct
from ..spec.types import BPS
from .codec import Header, Mark, Update
from .codec.blob import MARK_PARTS, MARK_WORDS
from .manifest import Manifest
from .shards import assigned_indices
from .signature import distance_bits, sign_words
from .state import Layout, Network, State
from .steps import LocalSteps, Progress
from .tasks import Task
from .units import micronats

MAGIC = b"GRDO"
VERSION = 1
INDEX = struct.Struct(">4sBIQ32s")  # magic, version, steps taken, dimension, layout; the parts' digests follow
PART_VALUES = 1 << 18  # of a state's file: 1 MiB, what every store takes
SAME_NORM = 1e-9  # relative: sums of float64 in unlike order
BLOCK_VALUES = 1 << 20  # squared at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What an examination came to. ``ratio`` is the greatest of what was measured over what is allowed: 1 is the
    verdict's edge, infinite what no noise can explain."""

    ratio: float
    reason: str

    @property
    def unproven(self) -> bool:
        return not self.ratio <= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What an update does when it is applied alone, at full length, on the trainer's own shard."""

    gain_micronats: int  # loss before minus after, on the shard's first ``assigned_samples``
    words: tuple[int, ...]  # signature of the shift in hidden states of the shard's first ``probe_samples``


@dataclass(frozen=True, slots=True)
class Opening:
    """A state of training as blobs: ``index`` names the parts, its digest names the state."""

    index: bytes
    parts: tuple[bytes, ...]

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.index).digest()

    def pack(self) -> bytes:
        return self.index + b"".join(self.parts)

    @classmethod
    def unpack(cls, packed: bytes, layout: Layout) -> Opening:
        """What :meth:`pack` gave; for one's own journal, so nothing is checked."""
        at = index_bytes(layout)
        step = 4 * PART_VALUES
        return cls(packed[:at], tuple(packed[i : i + step] for i in range(at, len(packed), step)))


NOTHING = Opening(b"", ())  # by whoever has nothing to open


def blank_marks(manifest: Manifest) -> tuple[Mark, ...]:
    """The marks of whoever has no states: they name an opening of nothing, so nobody waits for one in vain."""
    blank = Mark(digest=NOTHING.digest, norms=(0.0,) * MARK_PARTS, words=(0,) * MARK_WORDS)
    return (blank,) * manifest.training.intervals


def audits(beacon: bytes, trainers: Collection[int], count: int, intervals: int) -> dict[int, int]:
    """Who of ``trainers`` is audited in a round, and the interval of each, counted from 0.

    ``beacon`` is that of the hold phase: nobody knows it while updates can still be submitted.
    """
    if intervals == 0:
        return {}
    order = sorted(trainers)
    chosen = [order[i] for i in draw_distinct(derive(beacon, "audited trainers"), count, len(order))]
    return {t: draw_below(derive(beacon, "audited interval", t), 1, intervals)[0] for t in sorted(chosen)}


def boundary(manifest: Manifest, interval: int) -> int:
    """Steps taken when interval ``interval`` begins, which is when the one before ends."""
    return manifest.training.steps * interval // manifest.training.intervals


def claims(task: Task, manifest: Manifest, state: State, update: Update, beacon: bytes, trainer: int) -> Claims:
    """Two forward passes over the head of the trainer's shard. ``beacon`` is the training phase's."""
    shard = assigned_indices(task, manifest, beacon, trainer)
    own = task.batch(shard[: manifest.assessment.assigned_samples])
    probe = task.batch(shard[: manifest.assessment.probe_samples])
    network = Network(task, manifest.task.seed)
    network.theta.copy_(state.theta)
    loss_before, hidden_before = network.mean_loss(own), network.hidden(probe)
    update.add_to(network.theta.numpy(), -1)
    moved = network.hidden(probe) - hidden_before
    return Claims(
        gain_micronats=micronats(loss_before - network.mean_loss(own)),
        words=sign_words(moved, derive(beacon, "own probe", trainer), manifest.assessment.words),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsGap:
    """How far claims lie from those computed again."""

    bits: int
    over_micronats: int  # claimed above what is found; below zero for the modest

    @classmethod
    def of(cls, said: Claims, found: Claims) -> ClaimsGap:
        return cls(
            bits=distance_bits(said.words, found.words), over_micronats=said.gain_micronats - found.gain_micronats
        )


def check_claims(header: Header, found: Claims, manifest: Manifest) -> Finding:
    """The header's claims against those computed here. A gain below what is found costs its trainer nothing."""
    spec = manifest.assessment
    said = Claims(gain_micronats=header.claimed_gain_micronats, words=header.words)
    gap = ClaimsGap.of(said, found)
    return max(
        (
            Finding(
                ratio=_over(gap.over_micronats, spec.overclaim_micronats),
                reason=f"claims a gain of {said.gain_micronats} micro-nats, found here {found.gain_micronats}: "
                f"{gap.over_micronats} more, {spec.overclaim_micronats} are allowed",
            ),
            Finding(
                ratio=gap.bits / spec.own_accept_bits,
                reason=f"its own words lie {gap.bits} bits from those found here, {spec.own_accept_bits} are allowed",
            ),
        ),
        key=lambda finding: finding.ratio,
    )


def note(progress: Progress, opening: bytes, start: Tensor, beacon: bytes, trainer: int) -> Mark:
    """The mark of a state: ``opening`` is its 32-byte name, ``start`` the round's model, float32 [d]."""
    words, norms = _sign(progress, start, beacon, trainer)
    return Mark(digest=opening, norms=norms, words=words)


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalGap:
    """How far a mark lies from that of the interval trained again."""

    bits: int
    norms_bps: float  # the greatest of the three norms' relative differences

    @classmethod
    def of(cls, noted: Mark, found: Mark) -> IntervalGap:
        off = max(_off(claimed, here) for claimed, here in zip(noted.norms, found.norms, strict=True))
        return cls(bits=distance_bits(noted.words, found.words), norms_bps=off * BPS)


def retrain(
    task: Task, manifest: Manifest, state: State, beacon: bytes, trainer: int, interval: int, opened: Progress | None
) -> Mark:
    """The mark of interval ``interval`` trained again, which names no opening; arguments as :func:`check_interval`."""
    start = Progress.begin(state) if opened is None else opened
    reached = LocalSteps(task, manifest, beacon, trainer, start).advance(boundary(manifest, interval + 1))
    return note(reached, NOTHING.digest, state.theta, beacon, trainer)


def check_interval(
    task: Task,
    manifest: Manifest,
    state: State,
    beacon: bytes,
    trainer: int,
    marks: tuple[Mark, ...],
    interval: int,
    opened: Progress | None,
) -> Finding:
    """Train interval ``interval`` again and compare with the mark of its end.

    ``state`` is the round's model, ``beacon`` the training phase's. ``opened`` is the state in which the interval
    begins, by its digest the one that the mark before names; None for the first, which begins at the round's model.
    """
    what = f"interval {interval}"
    if opened is not None:
        words, norms = _sign(opened, state.theta, beacon, trainer)
        before = marks[interval - 1]
        if words != before.words:
            bits = distance_bits(words, before.words)
            return Finding(ratio=math.inf, reason=f"{what}: the state opened lies {bits} bits from its own mark")
        if not all(math.isclose(a, b, rel_tol=SAME_NORM) for a, b in zip(norms, before.norms, strict=True)):
            return Finding(
                ratio=math.inf, reason=f"{what}: the state opened has norms {norms}, its mark {before.norms}"
            )
    found = retrain(task, manifest, state, beacon, trainer, interval, opened)
    if not all(math.isfinite(norm) for norm in found.norms):
        # Whatever is not finite signs alike, so nothing could be told from it.
        return Finding(ratio=math.inf, reason=f"{what}: trained again it diverges")
    spec, gap = manifest.assessment, IntervalGap.of(marks[interval], found)
    return max(
        (
            Finding(
                ratio=gap.bits / spec.interval_accept_bits,
                reason=f"{what}: trained again it ends {gap.bits} bits from the mark, {spec.interval_accept_bits} are "
                "allowed",
            ),
            Finding(
                ratio=gap.norms_bps / spec.norm_tolerance_bps,
                reason=f"{what}: trained again its norms are {gap.norms_bps:.4g} bps off the mark's, "
                f"{spec.norm_tolerance_bps} are allowed",
            ),
        ),
        key=lambda finding: finding.ratio,
    )


def cut(progress: Progress, layout: Layout) -> Opening:
    """The one form of a state: parameters, first and second moment as float32, little-endian, cut into parts."""
    whole = np.concatenate([part.detach().numpy() for part in (progress.theta, progress.first, progress.second)])
    packed = whole.astype("<f4", copy=False)
    parts = tuple(packed[at : at + PART_VALUES].tobytes() for at in range(0, len(packed), PART_VALUES))
    head = INDEX.pack(MAGIC, VERSION, progress.taken, layout.dimension, layout.digest)
    return Opening(head + b"".join(hashlib.sha256(part).digest() for part in parts), parts)


def index_bytes(layout: Layout) -> int:
    """Length of every index of this layout."""
    return INDEX.size + 32 * -(-MARK_PARTS * layout.dimension // PART_VALUES)


def read_index(index: bytes, layout: Layout, taken: int) -> dict[bytes, int]:
    """Digests of a state's parts and their lengths in bytes, in order; equal parts once. Raises Malformed."""
    expected = INDEX.pack(MAGIC, VERSION, taken, layout.dimension, layout.digest)
    if len(index) != index_bytes(layout) or index[: INDEX.size] != expected:
        raise Malformed(
            f"opening's index has {len(index)} bytes and begins with {index[: INDEX.size].hex()}, expected "
            f"{index_bytes(layout)} and {expected.hex()}; write it with gradmint.learn.proof.cut"
        )
    return {digest: size for digest, size in _parts(index, layout)}


def join(index: bytes, parts: dict[bytes, bytes], layout: Layout, taken: int) -> Progress:
    """Inverse of :func:`cut`, from parts by digest; ``index`` is one that :func:`read_index` took.

    Raises Malformed for a part of another length, values that are not finite, a second moment below zero.
    """
    whole: NDArray[np.float32] = np.empty(MARK_PARTS * layout.dimension, dtype=np.float32)
    for i, (digest, size) in enumerate(_parts(index, layout)):
        part = parts[digest]
        if len(part) != size:
            raise Malformed(f"part {i} of the opening has {len(part)} bytes, expected {size}; cut it anew")
        whole[i * PART_VALUES : (i + 1) * PART_VALUES] = np.frombuffer(part, dtype="<f4")
    theta, first, second = whole.reshape(MARK_PARTS, -1)
    if not np.isfinite(whole).all() or second.min(initial=0) < 0:
        raise Malformed("opening holds values that are not finite, or a second moment below zero: no training does")
    return Progress(
        theta=torch.from_numpy(theta), first=torch.from_numpy(first), second=torch.from_numpy(second), taken=taken
    )


def _parts(index: bytes, layout: Layout) -> Iterable[tuple[bytes, int]]:
    left = 4 * MARK_PARTS * layout.dimension
    for at in range(INDEX.size, len(index), 32):
        yield index[at : at + 32], min(left, 4 * PART_VALUES)
        left -= 4 * PART_VALUES


def _sign(
    progress: Progress, start: Tensor, beacon: bytes, trainer: int
) -> tuple[tuple[int, ...], tuple[float, float, float]]:
    """Words and norms of the three parts. Elementwise float32 and exact words: equal states give equal words."""
    parts = (progress.theta.detach() - start, progress.first, torch.from_numpy(np.sqrt(progress.second.numpy())))
    words: tuple[int, ...] = ()
    for name, part in zip(("displacement", "first moment", "second moment"), parts, strict=True):
        words += sign_words(part, derive(beacon, f"mark of {name}", trainer), MARK_WORDS // MARK_PARTS)
    displacement, first, second = (_norm(part.numpy()) for part in parts)
    return words, (displacement, first, second)


def _norm(values: NDArray[np.float32]) -> float:
    """Euclidean norm in float64; infinite when any value is not a number."""
    blocks = (values[at : at + BLOCK_VALUES].astype(np.float64) for at in range(0, len(values), BLOCK_VALUES))
    square = sum(float(np.dot(block, block)) for block in blocks)
    return math.inf if math.isnan(square) else math.sqrt(square)


def _off(claimed: float, found: float) -> float:
    """Relative difference."""
    if claimed == found:
        return 0.0
    return abs(claimed - found) / found if found > 0 and math.isfinite(claimed) else math.inf


def _over(measured: int, allowed: int) -> float:
    if measured <= 0:
        return 0.0
    return measured / allowed if allowed else math.inf
