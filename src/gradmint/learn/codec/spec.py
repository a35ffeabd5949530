"""What a manifest says about compression."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...spec.errors import ManifestError
from ...spec.types import BPS
from .kinds import KINDS
from .private import draws_every_level
from .projection import GREATEST_EXPONENT, LEAST_EXPONENT
from .update import Table

MAX_LEVELS = 64
MOST_KEPT = 1 << 30  # what Rice codes count to
SPARSE = ("topk", "clustered")
PROJECTED = ("seeded", "private")  # kept are scalars, not values
ROOM = 1 << 20  # bytes of a blob at least: what every store takes


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecSpec:
    """How updates are compressed (docs/codec.md), their shape and bounds."""

    chunk: int  # values that share positions, levels or directions
    keep: int  # values kept of each chunk, or scalars that stand for it; the chunk, of a kind that keeps all
    max_bytes: int  # of a whole blob
    max_norm: float  # Euclidean, of the decoded update
    kind: str = "topk"
    levels: int = 0  # of "private": of a scalar, a power of two; as what follows 0 for the other kinds
    retain_bps: int = 0  # chance of each inner level to be one of those that a scalar is rounded to
    margin_bps: int = 0  # of the outermost level beyond what scalars are clipped to
    exponent: int = 0  # levels are odd multiples of 2^exponent

    def table(self, dimension: int) -> Table:
        """The shape of updates to a model of ``dimension`` values. Raises ManifestError where it keeps too many."""
        table = Table(
            dimension=dimension,
            chunk=self.chunk,
            keep=self.keep,
            kind=self.kind,
            levels=self.levels,
            retain_bps=self.retain_bps,
            margin_bps=self.margin_bps,
            exponent=self.exponent,
        )
        if self.kind in SPARSE and table.kept >= MOST_KEPT:
            raise ManifestError(
                f"codec.keep {self.keep} of {self.chunk} keeps {table.kept} of {dimension} values, fewer than "
                f"{MOST_KEPT} can be coded: keep less, or take a kind that keeps all"
            )
        return table

    def of_kind(self, kind: str) -> CodecSpec:
        """Of another kind, with parameters that suit models of up to some million values."""
        plain = replace(self, kind=kind, levels=0, retain_bps=0, margin_bps=0, exponent=0)
        if kind in SPARSE:
            return plain
        roomy = replace(plain, max_bytes=max(ROOM, self.max_bytes))
        if kind not in PROJECTED:
            return replace(roomy, keep=self.chunk)
        scalars = replace(roomy, chunk=256, keep=16)
        if kind == "seeded":
            return scalars
        return replace(scalars, levels=16, retain_bps=4_200, margin_bps=10_000, exponent=-13)

    def rules(self) -> tuple[tuple[bool, str], ...]:
        """What must hold, each as whether it does and what; :meth:`Manifest.check` raises."""
        kind, chunk, keep = self.kind, self.chunk, self.keep
        general = (
            (kind in KINDS, f"codec.kind {kind!r} is one of {', '.join(KINDS)}"),
            (1 <= keep <= chunk <= 1 << 16, f"1 <= codec.keep {keep} <= codec.chunk {chunk} <= 65536"),
            (1 <= self.max_bytes <= 1 << 32, f"codec.max_bytes {self.max_bytes} lies in 1..2^32"),
            (0 < self.max_norm <= 1e6, f"codec.max_norm {self.max_norm} lies in (0, 1e6]"),
            (
                kind in SPARSE + PROJECTED or keep == chunk,
                f"codec.keep {keep} is codec.chunk {chunk}: {kind} keeps all",
            ),
            (
                kind not in PROJECTED or chunk == 1 or 8 * keep <= chunk,
                f"codec.keep {keep} is at most an eighth of codec.chunk {chunk}: more directions would overlap",
            ),
        )
        randomised = (self.levels, self.retain_bps, self.margin_bps, self.exponent)
        if kind != "private":
            names = "levels, retain_bps, margin_bps and exponent"
            return (*general, (randomised == (0, 0, 0, 0), f"codec.{names} {randomised} are 0: {kind} has none"))
        return (
            *general,
            (
                2 <= self.levels <= MAX_LEVELS and self.levels & (self.levels - 1) == 0,
                f"codec.levels {self.levels} is a power of two in 2..{MAX_LEVELS}",
            ),
            (
                0 < self.retain_bps < BPS if self.levels > 2 else self.retain_bps == 0,
                f"codec.retain_bps {self.retain_bps} lies in 1..{BPS - 1}, and is 0 for 2 levels, with no inner ones",
            ),
            (
                not (2 <= self.levels <= MAX_LEVELS and 0 <= self.retain_bps < BPS)  # which the rules above refuse
                or draws_every_level(self.levels, self.retain_bps),
                f"codec.retain_bps {self.retain_bps} can draw every level of codec.levels {self.levels} by 32 bits",
            ),
            (1 <= self.margin_bps <= 100 * BPS, f"codec.margin_bps {self.margin_bps} lies in 1..{100 * BPS}"),
            (
                LEAST_EXPONENT <= self.exponent <= GREATEST_EXPONENT,
                f"codec.exponent {self.exponent} lies in {LEAST_EXPONENT}..{GREATEST_EXPONENT}",
            ),
        )
