"""Kind "seeded": one byte a sample, the length along a direction that everyone regenerates (Just One Byte, 2023).

``keep`` directions for each chunk. Body: seed, exponent, the bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ...spec.errors import Malformed
from . import rice
from .projection import (
    GREATEST_EXPONENT,
    LEAST_EXPONENT,
    NOT_FINITE,
    SEED_SIZE,
    ProjectedUpdate,
    lengths,
    seed_of,
)
from .update import Floats, Table

MOST = 127
HEAD_SIZE = SEED_SIZE + 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeededUpdate(ProjectedUpdate):
    """Scalars in -127..127, of which some reach half of that."""

    def pack(self) -> bytes:
        return self.seed + self.exponent.to_bytes(1, "big", signed=True) + self.scalars.tobytes()


def fit(vector: Floats, table: Table) -> SeededUpdate:
    seed = seed_of(vector)
    with np.errstate(invalid="ignore"):
        exact = lengths(vector, table, seed)
    greatest = float(np.abs(exact).max())
    if not math.isfinite(greatest):
        blank = np.zeros(table.kept, dtype=np.int8)
        return SeededUpdate(table=table, seed=bytes(SEED_SIZE), exponent=NOT_FINITE, scalars=blank)
    _, exponent = math.frexp(greatest / (MOST + 0.5))  # the least power of two that all scalars fit
    exponent = min(GREATEST_EXPONENT, max(LEAST_EXPONENT, exponent))
    scalars = np.rint(np.clip(np.ldexp(exact, -exponent), -MOST, MOST)).astype(np.int8)
    if not scalars.any():
        seed, exponent = bytes(SEED_SIZE), LEAST_EXPONENT
    return SeededUpdate(table=table, seed=seed, exponent=exponent, scalars=scalars)


def unpack(body: bytes, table: Table) -> SeededUpdate:
    """Inverse of :meth:`SeededUpdate.pack`. Raises Malformed."""
    rice.ends(body, HEAD_SIZE + table.kept)
    seed, exponent = body[:SEED_SIZE], int.from_bytes(body[SEED_SIZE:HEAD_SIZE], "big", signed=True)
    scalars = np.frombuffer(body, dtype=np.int8, offset=HEAD_SIZE)
    reached = int(np.abs(scalars.astype(np.int16)).max())
    if reached == 0:
        blank = seed == bytes(SEED_SIZE) and exponent in (LEAST_EXPONENT, NOT_FINITE)
        if not blank:
            raise Malformed(f"nothing is said in seed {seed.hex()} and exponent {exponent}, which have one form then")
    elif not LEAST_EXPONENT <= exponent <= GREATEST_EXPONENT or reached > MOST:
        raise Malformed(f"scalars reach {reached} of {MOST} in units of 2^{exponent}")
    elif reached < (MOST + 1) // 2 and exponent > LEAST_EXPONENT:
        raise Malformed(f"scalars reach {reached} of {MOST}: half the unit 2^{exponent} would do")
    return SeededUpdate(table=table, seed=seed, exponent=exponent, scalars=scalars)
