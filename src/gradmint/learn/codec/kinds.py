"""Every way to compress, by name: the code in headers, how to make an update and how to read one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from . import bfloat16, clustered, int8, private, seeded, sign, topk
from .update import Floats, Table, Update


@dataclass(frozen=True, slots=True)
class Kind:
    code: int
    fit: Callable[[Floats, Table], Update]
    unpack: Callable[[bytes, Table], Update]


KINDS = {
    "topk": Kind(1, topk.fit, topk.unpack),
    "sign": Kind(2, sign.fit, sign.unpack),
    "int8": Kind(3, int8.fit, int8.unpack),
    "bfloat16": Kind(4, bfloat16.fit, bfloat16.unpack),
    "clustered": Kind(5, clustered.fit, clustered.unpack),
    "seeded": Kind(6, seeded.fit, seeded.unpack),
    "private": Kind(7, private.fit, private.unpack),
}


def approximate(vector: Tensor, table: Table) -> Update:
    """The update of the table's kind for a float32 [dimension] vector.

    A vector that is not finite gives an update that says so. ``private`` draws from the operating system's entropy, the
    other kinds depend on nothing but their arguments.
    """
    return KINDS[table.kind].fit(vector.detach().numpy(), table)


def approximate_each(vectors: Tensor, table: Table) -> Sequence[Update]:
    """:func:`approximate` of each row of float32 [n, dimension]; "topk" takes them all at once."""
    rows = vectors.detach().numpy()
    return topk.fit_each(rows, table) if table.kind == "topk" else [KINDS[table.kind].fit(row, table) for row in rows]
