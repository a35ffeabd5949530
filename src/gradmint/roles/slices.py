"""A re-execution in slices: what each of them brings to the chain, and what it leaves there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..spec.params import Params
from ..spec.round import Round
from ..spec.types import CHUNK_ROWS, Report, Row
from .settler import said_in


@dataclass(frozen=True, slots=True)
class Slice:
    """``CHUNK_ROWS`` trainers of a round: each revealed report's rows, packed, and what hearing them gives.

    A report outside the cluster counts for nothing, so its rows are left out.
    """

    rows_of: tuple[bytes, ...]
    rows: bytes  # agreed on, packed
    sums: tuple[int, ...]  # per verifier index, what agreement is made of; 0 outside the cluster


def in_slices(round_: Round, params: Params) -> tuple[tuple[bytes, ...], list[Slice]]:
    """Heads of the revealed reports (loss, words, chunk hashes), and the round's slices."""
    cut = [Report.cut(packed, params.words) for packed in said_in(round_)]
    heads, chunks = tuple(head for head, _ in cut), [own for _, own in cut]
    consensus = round_.execution.settlement.consensus if round_.execution else None
    if consensus is None:
        return heads, []  # nobody looks at rows without quorum
    revealed = sorted(round_.reveals)
    slices = []
    for at, rows_of in enumerate(zip(*chunks, strict=True)):
        agreed = consensus.rows[at * CHUNK_ROWS : (at + 1) * CHUNK_ROWS]
        said_of = {v: rows for v, rows in zip(revealed, rows_of, strict=True) if v in consensus.cluster}
        sums = tuple(_sum(said_of[v], agreed) if v in said_of else 0 for v in range(round_.verifiers))
        heard = tuple(said_of.get(v, b"") for v in revealed)
        slices.append(Slice(heard, b"".join(row.pack() for row in agreed), sums))
    return heads, slices


def _sum(packed: bytes, agreed: Sequence[Row]) -> int:
    """Sum of minima of the gains named and agreed on, times 2^128, plus the sum of maxima."""
    said = [Row.unpack(packed[at : at + Row.SIZE]) for at in range(0, len(packed), Row.SIZE)]
    pairs = [(mine.gain_micronats, ours.gain_micronats) for mine, ours in zip(said, agreed, strict=True)]
    return sum(min(pair) for pair in pairs) << 128 | sum(max(pair) for pair in pairs)
