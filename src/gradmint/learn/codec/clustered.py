"""Kind "clustered": the largest values of each chunk as one of three centroids of the whole update, after FedZip
(Malekijoo et al., 2021): sparsify, cluster, Huffman code. All bits are counted, so it can be decoded.

Body: number of centroids, centroids, the most frequent one, two streams of labels, positions. With three symbols a
Huffman code is a bit that says "the most frequent one" and, where it is not, a bit that says which of the others.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ...spec.errors import Malformed
from . import rice
from .positions import gaps, unpack_positions
from .select import pick
from .update import Bytes, Floats, Index, Table, Update, refuse_not_finite

CLUSTERS = 3
ROUNDS = 8  # of Lloyd's iteration
SAMPLE = 1 << 20  # values at most that the centroids are fitted to


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClusteredUpdate(Update):
    """``positions`` int32 [kept], ascending; ``labels`` uint8 [kept]; ``centroids`` float32 [1..3], ascending, each in
    use. No centroid, and labels of zero, where training diverged."""

    table: Table
    positions: NDArray[np.int32]
    labels: Bytes
    centroids: Floats

    @property
    def finite(self) -> bool:
        return len(self.centroids) > 0

    def blocks(self) -> Iterator[tuple[Index, Floats]]:
        palette = self.centroids if self.finite else np.full(1, np.nan, dtype=np.float32)
        at = 0
        for _, chunks, _, keep in self.table.parts():
            stop = at + chunks * keep
            yield self.positions[at:stop], palette[self.labels[at:stop]]
            at = stop

    def pack(self) -> bytes:
        count = len(self.centroids)
        head = bytes([count]) + b"".join(struct.pack(">f", c) for c in self.centroids)
        if count < 2:
            return head + rice.pack(gaps(self.positions, self.table))
        often = _most_frequent(self.labels)
        rare = self.labels[self.labels != often]
        return b"".join(
            (
                head,
                bytes([often]),
                np.packbits(self.labels != often).tobytes(),
                np.packbits(rare == _others(often)[1]).tobytes() if count == CLUSTERS else b"",
                rice.pack(gaps(self.positions, self.table)),
            )
        )

    def norm(self) -> float:
        if not self.finite:
            refuse_not_finite("no centroids")
        counts = np.bincount(self.labels, minlength=CLUSTERS).tolist()
        square = sum(count * Fraction(float(c)) ** 2 for count, c in zip(counts, self.centroids, strict=False))
        return math.sqrt(square)


def fit(vector: Floats, table: Table) -> ClusteredUpdate:
    positions = np.empty(table.kept, dtype=np.int32)
    values: Floats = np.empty(table.kept, dtype=np.float32)
    finite, at = True, 0
    for first, chunks, length, keep in table.parts():
        start, stop = first * table.chunk, at + chunks * keep
        kept, chosen, broken = pick(vector[start : start + chunks * length].reshape(chunks, length), keep)
        positions[at:stop] = (kept + (start + np.arange(chunks)[:, None] * length)).reshape(-1)
        values[at:stop] = chosen.reshape(-1)
        finite, at = finite and not broken.any(), stop
    if not finite:
        return ClusteredUpdate(
            table=table,
            positions=positions,
            labels=np.zeros(table.kept, dtype=np.uint8),
            centroids=np.zeros(0, dtype=np.float32),
        )
    centroids = _cluster(values[:: -(-table.kept // SAMPLE)].astype(np.float64))
    edges = (centroids[1:].astype(np.float64) + centroids[:-1]) / 2
    labels = np.searchsorted(edges, values).astype(np.uint8)
    used = np.flatnonzero(np.bincount(labels, minlength=len(centroids)))
    labels = np.searchsorted(used, labels).astype(np.uint8)
    return ClusteredUpdate(table=table, positions=positions, labels=labels, centroids=centroids[used])


def _cluster(values: NDArray[np.float64]) -> Floats:
    """At most three centroids by Lloyd's iteration from the extremes and the mean: float32, ascending, distinct."""
    centroids = np.array([values.min(), values.mean(), values.max()])
    for _ in range(ROUNDS):
        labels = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, values)
        counts = np.bincount(labels, minlength=CLUSTERS)
        sums = np.bincount(labels, weights=values, minlength=CLUSTERS)
        centroids = np.where(counts > 0, sums / np.maximum(counts, 1), centroids)
    found: Floats = np.unique(centroids.astype(np.float32) + np.float32(0))  # + 0: there is one zero
    return found


def unpack(body: bytes, table: Table) -> ClusteredUpdate:
    """Inverse of :meth:`ClusteredUpdate.pack`. Raises Malformed."""
    count = body[0] if body else CLUSTERS + 1
    at = 1 + 4 * count
    if count > CLUSTERS or at >= len(body):
        raise Malformed(f"body has {len(body)} bytes and {count} centroids, expected at most {CLUSTERS} and labels")
    centroids = np.frombuffer(body, dtype=">f4", count=count, offset=1).astype(np.float32)
    negative_zero = bool((np.signbit(centroids) & (centroids == 0)).any())
    if negative_zero or not np.isfinite(centroids).all() or not (centroids[1:] > centroids[:-1]).all():
        raise Malformed(f"centroids are {centroids.tolist()}, expected them finite and ascending, and one zero only")
    labels: Bytes = np.zeros(table.kept, dtype=np.uint8)
    if count >= 2:
        labels, at = _unpack_labels(body, at, count, table.kept)
    positions, at = unpack_positions(body, at, table)
    rice.ends(body, at)
    return ClusteredUpdate(table=table, positions=positions, labels=labels, centroids=centroids)


def _unpack_labels(body: bytes, at: int, count: int, kept: int) -> tuple[Bytes, int]:
    often, first_end = body[at], at + 1 + (kept + 7) // 8
    if often >= count or first_end > len(body):
        raise Malformed(f"labels end at {first_end} of {len(body)} bytes, the most frequent is {often} of {count}")
    is_rare = np.flatnonzero(rice.unpack_bits(body[at + 1 : first_end], kept).view(np.bool_))
    second_end = first_end + ((len(is_rare) + 7) // 8 if count == CLUSTERS else 0)
    if second_end > len(body):
        raise Malformed(f"labels end at {second_end} of {len(body)} bytes; send all of it")
    labels: Bytes = np.full(kept, often, dtype=np.uint8)
    if count == CLUSTERS:
        which = rice.unpack_bits(body[first_end:second_end], len(is_rare)) if len(is_rare) else 0
        labels[is_rare] = np.array(_others(often), dtype=np.uint8)[which]
    else:
        labels[is_rare] = 1 - often
    counts = np.bincount(labels, minlength=count)
    if counts.min() == 0 or _most_frequent(labels) != often:
        raise Malformed(f"labels occur {counts.tolist()} times, {often} is to be the most frequent and none unused")
    return labels, second_end


def _most_frequent(labels: Bytes) -> int:
    return int(np.bincount(labels).argmax())  # of equally frequent ones the first


def _others(often: int) -> tuple[int, int]:
    first, second = (label for label in range(CLUSTERS) if label != often)
    return first, second
