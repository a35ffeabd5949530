"""Kind "private": lengths along random directions, clipped and quantised at random by the trainer itself (RQM, Youn et
al., 2023), so that what is published is differentially private whoever reads it: :mod:`.privacy` says how much.

With levels B(i) = (2 i - (m - 1)) 2^exponent, the outermost stay and each other is kept with probability q; a scalar
becomes one of the two kept levels around it, the nearer one more likely, so that its mean is itself. Chunks of one
value make it the quantisation of each coordinate.

Body: seed, indices of levels; eight zeros alone where training diverged.

All randomness is the trainer's own secret: noise from a public seed could be taken off again, and directions that
depend on the vector would tell something about it.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...spec.errors import Malformed
from ...spec.types import BPS
from . import rice
from .projection import NOT_FINITE, SEED_SIZE, ProjectedUpdate, lengths
from .update import Floats, Table

DRAWS = 3  # words of 32 bits for each scalar
BLOCK = 1 << 18  # scalars randomised at once


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PrivateUpdate(ProjectedUpdate):
    """Scalars are 2 i - (m - 1) for a level's index i."""

    def pack(self) -> bytes:
        if not self.finite:
            return self.seed
        indices = (self.scalars.astype(np.int32) + self.table.levels - 1) >> 1
        return self.seed + rice.pack_fields(indices, width(self.table))


def width(table: Table) -> int:
    """Bits a scalar."""
    return (table.levels - 1).bit_length()


def bound(table: Table) -> float:
    """What scalars are clipped to: the outermost level less its margin."""
    return math.ldexp(table.levels - 1, table.exponent) * BPS / (BPS + table.margin_bps)


def chances(levels: int, retain_bps: int) -> tuple[int, ...]:
    """Of at least 1, 2, ... up to all levels being passed over on the way to a kept one, in parts of 2^32."""
    passed = 1 - retain_bps / BPS
    return tuple(round(passed**t * 2.0**32) for t in range(1, levels))


def draws_every_level(levels: int, retain_bps: int) -> bool:
    """Whether no level that :func:`.privacy.outcomes` gives a chance has none by 32 bits: what one value never leads to
    and another does tells them apart, whatever epsilon says."""
    parts = (1 << 32, *chances(levels, retain_bps)[:-1])  # the last of all is never reached: there is a level above
    return parts[-1] > 0 and all(more > less for more, less in pairwise(parts))


def fit(vector: Floats, table: Table, entropy: Callable[[int], bytes] = secrets.token_bytes) -> PrivateUpdate:
    """``entropy`` gives so many bytes that nobody else knows; anything but the default is for tests."""
    seed = entropy(SEED_SIZE)
    with np.errstate(invalid="ignore"):
        exact = lengths(vector, table, seed)
    if not np.isfinite(exact).all():
        return _diverged(table)
    most = bound(table)
    # Half the distance of two levels is 2^exponent: in these units level i lies at 2 i.
    places = np.ldexp(np.clip(exact, -most, most), -table.exponent) + (table.levels - 1)
    scalars = np.empty(table.kept, dtype=np.int8)
    for at in range(0, table.kept, BLOCK):
        drawn = np.frombuffer(entropy(4 * DRAWS * len(places[at : at + BLOCK])), dtype="<u4").reshape(DRAWS, -1)
        scalars[at : at + BLOCK] = 2 * _randomise(places[at : at + BLOCK] / 2, drawn, table) - (table.levels - 1)
    return PrivateUpdate(table=table, seed=seed, exponent=table.exponent, scalars=scalars)


def _randomise(places: NDArray[np.float64], drawn: NDArray[np.uint32], table: Table) -> NDArray[np.int64]:
    """Index of a level for each place in units of levels, from three random words each."""
    top = table.levels - 1
    below = np.clip(np.floor(places).astype(np.int64), 0, top - 1)
    # Levels passed over until a kept one: at least t of them with probability (1 - q)^t.
    ascending = np.array(chances(table.levels, table.retain_bps)[::-1], dtype=np.int64)
    low = np.maximum(below - (top - np.searchsorted(ascending, drawn[0], side="right")), 0)
    high = np.minimum(below + 1 + (top - np.searchsorted(ascending, drawn[1], side="right")), top)
    up = drawn[2] < np.rint((places - low) / (high - low) * 2.0**32)
    return np.where(up, high, low)


def unpack(body: bytes, table: Table) -> PrivateUpdate:
    """Inverse of :meth:`PrivateUpdate.pack`. Raises Malformed."""
    seed = body[:SEED_SIZE]
    if len(body) == SEED_SIZE:
        if seed != bytes(SEED_SIZE):
            raise Malformed(f"nothing is said under seed {seed.hex()}, expected zeros then")
        return _diverged(table)
    rice.ends(body, SEED_SIZE + (width(table) * table.kept + 7) // 8)
    indices = rice.unpack_fields(body[SEED_SIZE:], width(table), table.kept)
    if int(indices.max()) >= table.levels:
        raise Malformed(f"scalar has level {int(indices.max())} of {table.levels}")
    scalars = (2 * indices - (table.levels - 1)).astype(np.int8)
    return PrivateUpdate(table=table, seed=seed, exponent=table.exponent, scalars=scalars)


def _diverged(table: Table) -> PrivateUpdate:
    blank = np.zeros(table.kept, dtype=np.int8)
    return PrivateUpdate(table=table, seed=bytes(SEED_SIZE), exponent=NOT_FINITE, scalars=blank)
