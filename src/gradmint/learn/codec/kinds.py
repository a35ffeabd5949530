"""Every way to compress, by name: the code in headers, how to make an update and how to read one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ...spec.types import BPS
from . import bfloat16, clustered, int8, private, seeded, sign, topk
from .projection import GREATEST_EXPONENT, LEAST_EXPONENT
from .update import Floats, Table, Update

MAX_LEVELS = 64


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
SPARSE = ("topk", "clustered")
PROJECTED = ("seeded", "private")  # kept are scalars, not values


def approximate(vector: Tensor, table: Table) -> Update:
    """The update of the table's kind for a float32 [dimension] vector.

    A vector that is not finite gives an update that says so. ``private`` draws from the operating system's entropy, the
    other kinds depend on nothing but their arguments.
    """
    return KINDS[table.kind].fit(vector.detach().numpy(), table)


def rules(table: Table) -> tuple[tuple[bool, str], ...]:
    """What a table must keep to, each as whether it does and what; :meth:`Manifest.check` raises."""
    t = table
    private_only = (t.levels, t.retain_bps, t.margin_bps, t.exponent)
    return (
        (t.kind in KINDS, f"codec.kind {t.kind!r} is one of {', '.join(KINDS)}"),
        (1 <= t.keep <= t.chunk <= 1 << 16, f"1 <= codec.keep {t.keep} <= codec.chunk {t.chunk} <= 65536"),
        (
            t.kind in SPARSE + PROJECTED or t.keep == t.chunk,
            f"codec.keep {t.keep} is codec.chunk {t.chunk}: {t.kind} keeps all",
        ),
        (
            t.kind not in PROJECTED or t.chunk == 1 or 8 * t.keep <= t.chunk,
            f"codec.keep {t.keep} is at most an eighth of codec.chunk {t.chunk}: more directions would overlap",
        ),
        (
            t.kind == "private" or private_only == (0, 0, 0, 0),
            f"codec.levels, retain_bps, margin_bps and exponent {private_only} are 0: {t.kind} has none",
        ),
        (
            t.kind != "private" or (2 <= t.levels <= MAX_LEVELS and t.levels & (t.levels - 1) == 0),
            f"codec.levels {t.levels} is a power of two in 2..{MAX_LEVELS}",
        ),
        (
            t.kind != "private" or (t.levels == 2 and t.retain_bps == 0) or (t.levels > 2 and 0 < t.retain_bps < BPS),
            f"codec.retain_bps {t.retain_bps} lies in 1..{BPS - 1}, and is 0 for 2 levels, which have no inner ones",
        ),
        (
            t.kind != "private" or 1 <= t.margin_bps <= 100 * BPS,
            f"codec.margin_bps {t.margin_bps} lies in 1..{100 * BPS}",
        ),
        (
            t.kind != "private" or LEAST_EXPONENT <= t.exponent <= GREATEST_EXPONENT,
            f"codec.exponent {t.exponent} lies in {LEAST_EXPONENT}..{GREATEST_EXPONENT}",
        ),
    )
