"""What is wrong with an update, cheapest question first; none of them needs a forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..spec.errors import BlobError, Malformed, NotFinite, OverNorm, Oversize, WrongBase
from ..spec.types import BPS, Verdict
from .codec import Header, Limits, SparseUpdate, Table, decode
from .manifest import Manifest
from .state import Layout

VERDICTS: dict[type[BlobError], Verdict] = {
    Oversize: Verdict.OVERSIZE,
    Malformed: Verdict.MALFORMED,
    WrongBase: Verdict.WRONG_BASE,
    NotFinite: Verdict.NOT_FINITE,
    OverNorm: Verdict.OVER_NORM,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the header of one trainer's update must say: ``author`` 20 bytes, ``base`` 32 bytes."""

    run: int
    round: int
    author: bytes
    base: bytes
    claimed_gain_micronats: int | None = None  # as submitted on chain; None where nothing was


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A verdict and its reason, empty when OK; the update only when the checks on its bytes passed."""

    verdict: Verdict
    reason: str
    update: SparseUpdate | None
    header: Header | None


def limits_of(manifest: Manifest, layout: Layout) -> Limits:
    """What the decoder accepts in this run."""
    codec = manifest.codec
    table = Table(dimension=layout.dimension, chunk=codec.chunk, keep=codec.keep)
    return Limits(
        max_bytes=codec.max_bytes,
        table=table,
        words=manifest.assessment.words,
        marks=manifest.training.intervals,
    )


def check(blob: bytes | None, expected: Expected, manifest: Manifest, layout: Layout) -> Checked:
    """The verdict on one blob's bytes; the same for everyone who holds them. Raises nothing, whatever the bytes.

    Order: MISSING (``blob`` is None), OVERSIZE, MALFORMED (bytes, or made for another run, round, author or layout),
    WRONG_BASE, NOT_FINITE, OVER_NORM. DUPLICATE needs the whole round: :func:`mark_duplicates`.
    """
    if blob is None:
        return Checked(verdict=Verdict.MISSING, reason="no blob by the deadline", update=None, header=None)
    header = None
    try:
        header, update = decode(blob, limits_of(manifest, layout))
        _check_header(header, expected, layout)
        norm = update.norm()
        if norm > manifest.codec.max_norm:
            raise OverNorm(f"update's norm is {norm:.6g}, at most {manifest.codec.max_norm:.6g} is allowed")
    except BlobError as error:
        return Checked(verdict=VERDICTS[type(error)], reason=str(error), update=None, header=header)
    return Checked(verdict=Verdict.OK, reason="", update=update, header=header)


def mark_duplicates(
    checked: Mapping[int, Checked], order: Sequence[int], previous: Mapping[int, SparseUpdate], manifest: Manifest
) -> dict[int, Checked]:
    """DUPLICATE for every OK update too close to an earlier one; the rest as it was.

    ``order``: trainer indices in chain order of their submissions; the earliest keeps its verdict. ``previous``: last
    round's well-formed updates by trainer index. One's own previous update counts as well: a replay is no work.
    Overlap is the number of positions kept in both with the same sign, in parts of all kept: integers only.
    """
    threshold = manifest.assessment.duplicate_overlap_bps
    earlier = [(f"trainer {trainer}'s update of the previous round", u) for trainer, u in sorted(previous.items())]
    dense = [_signs(update) for _, update in earlier]
    marked = dict(checked)
    for trainer in order:
        found = checked.get(trainer)
        if found is None or found.update is None:
            continue
        mine = found.update
        positions, signs = mine.positions, _value_signs(mine)
        for (whose, other), theirs in zip(earlier, dense, strict=True):
            same = int(np.count_nonzero(theirs[positions] == signs))
            overlap_bps = same * BPS // min(mine.table.kept, other.table.kept)
            if overlap_bps > threshold:
                reason = (
                    f"{same} of {mine.table.kept} positions and signs are those of {whose}: "
                    f"{overlap_bps} bps, at most {threshold} are allowed"
                )
                marked[trainer] = Checked(verdict=Verdict.DUPLICATE, reason=reason, update=None, header=found.header)
                break
        earlier.append((f"trainer {trainer}'s earlier submission", mine))
        dense.append(_signs(mine))
    return marked


def _check_header(header: Header, expected: Expected, layout: Layout) -> None:
    """Raises Malformed or WrongBase."""
    for name, found, wanted in (
        ("run", header.run, expected.run),
        ("round", header.round, expected.round),
        ("author", header.author.hex(), expected.author.hex()),
        ("layout", header.layout.hex(), layout.digest.hex()),
        ("claimed gain", header.claimed_gain_micronats, expected.claimed_gain_micronats),
    ):
        if wanted is not None and found != wanted:
            raise Malformed(f"update is for {name} {found}, expected {wanted}; publish one's own update of this round")
    if header.base != expected.base:
        raise WrongBase(
            f"round {expected.round}: update is based on model {header.base.hex()}, this round starts from "
            f"{expected.base.hex()}; rebuild the model from the public updates"
        )


def _value_signs(update: SparseUpdate) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    return 1 + (update.codes >> 1).astype(np.int8)  # 1 positive, 2 negative, so that 0 is "not kept"


def _signs(update: SparseUpdate) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    dense = np.zeros(update.table.dimension, dtype=np.int8)
    dense[update.positions] = _value_signs(update)
    return dense
