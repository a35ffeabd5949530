"""Re-execution in slices, in memory: what hear() makes of one, and how a refutation puts them together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from ..spec.agreement import agree
from ..spec.docket import Record
from ..spec.params import Params
from ..spec.types import ABSENT_ROW, CHUNK_ROWS, Consensus, Report, Row

T = TypeVar("T")


def spread(record: Record, said: Sequence[T]) -> list[T | None]:
    """What who revealed said, per verifier index."""
    rest = iter(said)
    return [next(rest) if record.revealed >> verifier & 1 else None for verifier in range(record.verifiers)]


def parse_heads(record: Record, heads: Sequence[bytes], words: int) -> list[Report | None]:
    """Reports without rows, per verifier index."""
    return spread(record, [Report.unpack(head[: Report.size(words, 0)], words, 0) for head in heads])


def slices_of(record: Record) -> int:
    return -(-record.trainers // CHUNK_ROWS)


def rows_in(record: Record, chunk: int) -> int:
    return min(CHUNK_ROWS, record.trainers - CHUNK_ROWS * chunk)


def with_rows(
    record: Record, reports: Sequence[Report | None], chunk: int, rows_of: Sequence[bytes]
) -> list[Report | None]:
    """The same with one slice's rows. Who is outside the cluster need not bring its own: nobody looks at them."""
    count = rows_in(record, chunk)
    said = spread(record, rows_of)
    return [
        report and replace(report, rows=report.rows + _rows(packed or b"", count))
        for report, packed in zip(reports, said, strict=True)
    ]


def hear(params: Params, record: Record, reports: Sequence[Report | None]) -> tuple[tuple[Row, ...], tuple[int, ...]]:
    """The slice's agreed rows; and per verifier index the sums of minima, times 2^128, and of maxima of the gains it
    names and the agreed ones, 0 outside the cluster."""
    consensus = gather(params, record, reports)
    assert consensus is not None
    sums = [0] * len(reports)
    for verifier in consensus.cluster:
        report = reports[verifier]
        assert report is not None
        pairs = [(a.gain_micronats, b.gain_micronats) for a, b in zip(report.rows, consensus.rows, strict=True)]
        sums[verifier] = sum(min(pair) for pair in pairs) << 128 | sum(max(pair) for pair in pairs)
    return consensus.rows, tuple(sums)


def gather(params: Params, record: Record, reports: Sequence[Report | None]) -> Consensus | None:
    return agree(record.stakes_wei, reports, params.accept_bits)


def _rows(packed: bytes, count: int) -> tuple[Row, ...]:
    if len(packed) != Row.SIZE * count:
        return (ABSENT_ROW,) * count
    return tuple(Row.unpack(packed[at : at + Row.SIZE]) for at in range(0, len(packed), Row.SIZE))
