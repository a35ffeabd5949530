"""Rules that weigh rows: from inner products to one weight a row, float64, by exactly rounded operations alone.

``f`` rows may be anything. Sums of single numbers are ``math.fsum``'s, which do not depend on order; ties go to the
earlier row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .rows import Doubles, times

RESIDUAL_LEAST = 2.0**-20  # Flag: of a row that lies in the subspace; bounds its pull at 2^5 times another's
SWEEPS = 12  # Jacobi: eight are enough for a thousand rows
CONVERGED = 2.0**-48  # Jacobi: greatest off-diagonal value beside the greatest of all


def distances(gram: Doubles) -> Doubles:
    """Squared distances, float64 [n, n]: 0 on the diagonal and never below."""
    squares = gram.diagonal()
    apart: Doubles = np.maximum(squares[:, None] + squares - 2 * gram, 0.0)
    np.fill_diagonal(apart, 0.0)
    return apart


def krum_scores(gram: Doubles, f: int, neighbours: int | None = None) -> list[float]:
    """Sum of squared distances to the nearest n - f - 2 others (Blanchard et al., 2017), at least one."""
    near = max(1, len(gram) - f - 2 if neighbours is None else neighbours)
    return [math.fsum(sorted(np.delete(row, i).tolist())[:near]) for i, row in enumerate(distances(gram))]


def krum(gram: Doubles, f: int, neighbours: int | None = None) -> Doubles:
    """The row with the best score, alone."""
    return _equal(_least(krum_scores(gram, f, neighbours), 1), len(gram))


def multi_krum(gram: Doubles, f: int, neighbours: int | None = None) -> Doubles:
    """Mean of the n - f rows with the best scores."""
    return _equal(_least(krum_scores(gram, f, neighbours), len(gram) - f), len(gram))


def monna(gram: Doubles, f: int, pivot: int | None = None) -> Doubles:
    """Mean of the n - f rows nearest to ``pivot``'s (Farhadkhani et al., 2023): one's own among peers; where nobody's
    row is trusted, Krum's."""
    chosen = int(np.argmax(krum(gram, f))) if pivot is None else pivot
    return _equal(_least(distances(gram)[chosen].tolist(), len(gram) - f), len(gram))


def nearest_neighbours(gram: Doubles, f: int) -> Doubles:
    """NNM (Allouah et al., 2023) as a matrix: each row becomes the mean of the n - f nearest, itself included."""
    return np.stack([_equal(_least(row.tolist(), len(gram) - f), len(gram)) for row in distances(gram)])


def core(gram: Doubles) -> Doubles:
    """Where iterations start: the mean of the majority nearest to the row whose median distance from all is least.

    That is among honest rows while fewer than half are not, so that nothing has to be known of earlier rounds.
    """
    apart = distances(gram)
    middle = len(gram) // 2
    heart = _least(np.sort(apart, axis=1)[:, middle].tolist(), 1)[0]
    return _equal(_least(apart[heart].tolist(), middle + 1), len(gram))


def geometric_median(
    gram: Doubles, f: int = 0, *, steps: int = 8, floor: float = 1e-6, start: Doubles | None = None
) -> Doubles:
    """The point with the least sum of distances, by ``steps`` of smoothed Weiszfeld (RFA, Pillutla et al., 2022).

    No distance counts as less than ``floor`` times their upper median. Starts at the :func:`core`, or at the weighted
    sum of rows ``start``: from the mean a far row takes more steps than there are.
    """
    weights = core(gram) if start is None else start
    for _ in range(steps):
        apart = [math.sqrt(square) for square in _from(gram, weights)]
        unit = sorted(apart)[len(apart) // 2]
        if unit == 0:  # most rows are where it is already
            break
        pulls = [1 / max(floor * unit, length) for length in apart]
        whole = math.fsum(pulls)
        weights = np.array([pull / whole for pull in pulls])
    return weights


def centered_clip(
    gram: Doubles, f: int = 0, *, steps: int = 5, radius: float | None = None, start: Doubles | None = None
) -> Doubles:
    """v <- v + mean[(u - v) min(1, radius / |u - v|)], ``steps`` times (Karimireddy, He, Jaggi, 2021).

    The radius is each step's upper median of |u - v|. Starts at the :func:`core`, or at the weighted sum of rows
    ``start``.
    """
    weights = core(gram) if start is None else start
    for _ in range(steps):
        apart = [math.sqrt(square) for square in _from(gram, weights)]
        bound = sorted(apart)[len(apart) // 2] if radius is None else radius
        pulls = [bound / length if length > bound else 1.0 for length in apart]
        weights = weights * (1 - math.fsum(pulls) / len(pulls)) + np.array(pulls) / len(pulls)
    return weights


def flag(gram: Doubles, f: int = 0, *, steps: int = 3) -> Doubles:
    """Rows' sum projected on the subspace that lies nearest to their directions (Flag Aggregator, 2023).

    Its (n + 1) / 2 dimensions come by iteratively reweighted least squares; the result has the rows' upper median norm.

    Weights may be negative and do not add up to 1.
    """
    count = len(gram)
    norms = np.sqrt(gram.diagonal())
    scales = np.array([1 / norm if norm else 0.0 for norm in norms.tolist()])
    unit = gram * scales[:, None] * scales
    rank = (count + 1) // 2
    pulls = np.ones(count)
    for _ in range(steps):
        values, vectors = eigen(unit * pulls[:, None] * pulls)
        kept = [i for i in _least((-values).tolist(), rank) if values[i] > CONVERGED * values.max()]
        # Coordinates of each direction in the orthonormal basis Y = X' D V / sqrt(value): Y' x = V' D G / sqrt(value).
        onto = times(vectors[:, kept].T, unit * pulls[:, None]) / np.sqrt(values[kept])[:, None]
        inside = times(np.ones((1, len(kept))), onto * onto)[0]
        pulls_before, pulls = pulls, 1 / np.sqrt(np.sqrt(np.maximum(1 - inside, RESIDUAL_LEAST)))
    along = times(onto, np.ones((count, 1)))[:, 0] / np.sqrt(values[kept])
    weights = times(vectors[:, kept], along[:, None])[:, 0] * pulls_before * scales
    square = math.fsum((weights * times(gram, weights[:, None])[:, 0]).tolist())
    median = sorted(norms.tolist())[count // 2]
    return weights * (median / math.sqrt(square)) if square > 0 else np.zeros(count)


def eigen(matrix: Doubles) -> tuple[Doubles, Doubles]:
    """Eigenvalues, and eigenvectors as columns, of a symmetric matrix, by Jacobi's rotations: LAPACK's bits differ.

    Each step rotates disjoint pairs, all at once; a round-robin tournament meets every pair in a sweep.
    """
    size = len(matrix) + len(matrix) % 2  # an odd one out meets a zero, and is not rotated
    a, v = np.zeros((size, size)), np.eye(size)
    a[: len(matrix), : len(matrix)] = matrix
    seats = list(range(size))
    for _ in range(SWEEPS):
        off = a - np.diag(a.diagonal())
        if np.abs(off).max() <= CONVERGED * np.abs(a).max():
            break
        for _ in range(size - 1):
            p, q = np.array(seats[: size // 2]), np.array(seats[: size // 2 - 1 : -1])
            cross = a[p, q]
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
                slope = (a[q, q] - a[p, p]) / (2 * cross)
                tangent = np.where(slope < 0, -1.0, 1.0) / (np.abs(slope) + np.sqrt(slope * slope + 1))
            tangent = np.where(cross == 0, 0.0, tangent)
            cosine = 1 / np.sqrt(tangent * tangent + 1)
            sine = tangent * cosine
            for whole in (a, a.T, v.T):  # rows, columns, and the vectors' columns
                one, other = whole[p], whole[q]
                whole[p] = cosine[:, None] * one - sine[:, None] * other
                whole[q] = sine[:, None] * one + cosine[:, None] * other
            seats.insert(1, seats.pop())
    return a.diagonal()[: len(matrix)].copy(), v[: len(matrix), : len(matrix)]


def _from(gram: Doubles, weights: Doubles) -> list[float]:
    """Squared distances of all rows from a weighted sum of them."""
    inner = times(gram, weights[:, None])[:, 0]
    square = math.fsum((weights * inner).tolist())
    apart: list[float] = np.maximum(gram.diagonal() - 2 * inner + square, 0.0).tolist()
    return apart


def _least(scores: Sequence[float], count: int) -> list[int]:
    return sorted(range(len(scores)), key=lambda i: scores[i])[: max(1, count)]


def _equal(chosen: Sequence[int], count: int) -> Doubles:
    weights = np.zeros(count)
    weights[list(chosen)] = 1 / len(chosen)
    return weights
