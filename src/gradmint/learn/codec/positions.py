"""Positions of the values kept, as Rice-coded gaps from each to the next of its chunk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...spec.errors import Malformed
from . import rice
from .update import Table


def gaps(positions: NDArray[np.int32], table: Table) -> NDArray[np.int32]:
    """Values skipped before each position, counted from the start of its chunk."""
    skipped = np.diff(positions, prepend=np.int32(-1))
    skipped -= 1
    firsts = np.arange(table.chunks) * table.keep
    skipped[firsts] = positions[firsts] - np.arange(table.chunks) * table.chunk
    return skipped


def unpack_positions(body: bytes, at: int, table: Table) -> tuple[NDArray[np.int32], int]:
    """Positions from Rice-coded :func:`gaps`, and where the stream ends. Raises Malformed."""
    positions, end_at = rice.unpack(body, at, table.kept, table.chunk - 1)
    first_value = 0
    for first, chunks, length, keep in table.parts():
        rows = positions[first_value : first_value + chunks * keep].reshape(chunks, keep)
        rows += 1
        reached = int(rows.sum(axis=1, dtype=np.int64).max())
        if reached > length:
            raise Malformed(f"positions reach {reached} of a chunk of {length}")
        np.cumsum(rows, axis=1, out=rows)
        rows += (first * table.chunk - 1 + np.arange(chunks, dtype=np.int32) * length)[:, None]
        first_value += chunks * keep
    return positions, end_at
