"""Non-IID data for studies: samples dealt out to parties so that each has its own mixture of kinds.

The mixture of each kind over the parties is drawn from a Dirichlet distribution (Hsu, Qi & Brown, 2019): with a small
concentration nearly all of a kind goes to one party, with a large one every party is a sample of the whole. Kinds are
labels, or clusters of embeddings where there are none. Draws are Philox's, from the seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..spec.errors import SettingsError

Indices = NDArray[np.int64]
ITERATIONS = 100  # of k-means, at most


def dirichlet(labels: ArrayLike, parties: int, concentration: float, seed: int) -> list[Indices]:
    """Sample indices of each party, ascending: together every sample once. A party may get none.

    ``labels`` are integers [n], the kind of each sample. ``concentration`` is Dirichlet's alpha, the same for all
    parties; infinity deals each kind out evenly. Raises SettingsError.
    """
    kinds = np.asarray(labels)
    if kinds.ndim != 1 or not np.issubdtype(kinds.dtype, np.integer):
        raise SettingsError(f"labels are {kinds.dtype} of shape {kinds.shape}, expected integers of (n,)")
    if parties < 1 or not concentration > 0:
        raise SettingsError(f"{parties} parties at concentration {concentration}: both are above 0")
    rng = _generator(seed)
    shares: list[list[Indices]] = [[] for _ in range(parties)]
    for kind in np.unique(kinds):
        members = rng.permutation(np.flatnonzero(kinds == kind))
        if math.isinf(concentration):
            mixture = np.full(parties, 1 / parties)
        else:
            mixture = rng.dirichlet(np.full(parties, concentration))
        # What rounding leaves over goes to a random end of the line, or the first parties would get it of every kind.
        order = rng.permutation(parties)
        ends = np.rint(np.cumsum(mixture[order]) * len(members)).astype(np.int64)
        ends[-1] = len(members)
        for party, part in zip(order, np.split(members, ends[:-1]), strict=True):
            shares[party].append(part)
    return [np.sort(np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64) for parts in shares]


def clusters(embeddings: ArrayLike, count: int, seed: int) -> Indices:
    """The kind of each sample, [n] in 0..count-1, by k-means with k-means++ starts (Arthur & Vassilvitskii, 2007).

    ``embeddings`` are finite numbers [n, h], such as a model's hidden states. Raises SettingsError.
    """
    points = np.asarray(embeddings, dtype=np.float64)
    if points.ndim != 2 or not 1 <= count <= len(points) or not np.isfinite(points).all():
        raise SettingsError(f"embeddings of shape {points.shape} in {count} clusters: expected finite [n, h], 1 to n")
    rng = _generator(seed)
    centres = points[rng.integers(len(points), size=1)]
    for _ in range(1, count):
        nearest = _squared(points, centres).min(1)
        total = nearest.sum()
        chances = nearest / total if total > 0 else None  # fewer distinct points than clusters
        centres = np.vstack([centres, points[rng.choice(len(points), p=chances)]])
    kinds: Indices = _squared(points, centres).argmin(1)
    for _ in range(ITERATIONS):
        for kind in range(count):
            if (kinds == kind).any():
                centres[kind] = points[kinds == kind].mean(0)
        fresh = _squared(points, centres).argmin(1)
        if (fresh == kinds).all():
            break
        kinds = fresh
    return kinds


def skew(labels: ArrayLike, shares: Sequence[Indices]) -> float:
    """How far the parties' mixtures lie from the whole's: total variation distance, mean over samples.

    0 where all mixtures are alike; at most 1 less the chance that two samples are of one kind, where each party has one
    kind alone.
    """
    kinds = np.unique(np.asarray(labels), return_inverse=True)[1]
    dealt = [np.bincount(kinds[share], minlength=kinds.max(initial=0) + 1) for share in shares]
    whole = np.sum(dealt, axis=0)
    distances = [np.abs(part / part.sum() - whole / whole.sum()).sum() / 2 * part.sum() for part in dealt if part.sum()]
    return float(np.sum(distances) / whole.sum())


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


def _squared(points: NDArray[np.float64], centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared distances [n, k], a centre at a time: no array is larger than the points."""
    distances: NDArray[np.float64] = np.stack([np.square(points - centre).sum(1) for centre in centres], axis=1)
    return distances
