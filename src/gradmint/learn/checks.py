"""What is wrong with an update, cheapest question first; none of them needs a forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spec.errors import BlobError, Malformed, NotFinite, OverNorm, Oversize, WrongBase
from ..spec.types import BPS, Verdict
from .codec import Header, Limits, Update, decode
from .codec.update import places_of
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
    update: Update | None
    header: Header | None


def limits_of(manifest: Manifest, layout: Layout) -> Limits:
    """What the decoder accepts in this run."""
    return Limits(
        max_bytes=manifest.codec.max_bytes,
        table=manifest.codec.table(layout.dimension),
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
    checked: Mapping[int, Checked], order: Sequence[int], previous: Mapping[int, Update], manifest: Manifest
) -> dict[int, Checked]:
    """DUPLICATE for every OK update too close to an earlier one; the rest as it was.

    ``order``: trainer indices in chain order of their submissions; the earliest keeps its verdict. ``previous``: last
    round's well-formed updates by trainer index. One's own previous update counts as well: a replay is no work.
    Overlap is the number of places at which both have telling values (:meth:`.Update.telling`) of the same sign, in
    parts of all of the one that has fewer, zeros not counted: integers only.
    """
    threshold = manifest.assessment.duplicate_overlap_bps
    mine = [trainer for trainer in order if (found := checked.get(trainer)) is not None and found.update is not None]
    names = [f"trainer {trainer}'s update of the previous round" for trainer in sorted(previous)]
    updates = [previous[trainer] for trainer in sorted(previous)]
    names += [f"trainer {trainer}'s earlier submission" for trainer in mine]
    updates += [update for trainer in mine if (update := checked[trainer].update) is not None]
    same = overlaps(updates, len(previous))
    marked = dict(checked)
    for at, trainer in enumerate(mine, start=len(previous)):
        for other in range(at):
            values = min(same[at, at], same[other, other])
            both_zero = same[at, at] == same[other, other] == 0
            overlap_bps = BPS if both_zero else int(same[at, other]) * BPS // int(max(1, values))
            if overlap_bps > threshold:
                reason = (
                    f"{same[at, other]} of {values} positions and signs are those of {names[other]}: "
                    f"{overlap_bps} bps, at most {threshold} are allowed"
                )
                header = checked[trainer].header
                marked[trainer] = Checked(verdict=Verdict.DUPLICATE, reason=reason, update=None, header=header)
                break
    return marked


def overlaps(updates: Sequence[Update], known: int = 0) -> NDArray[np.int64]:
    """At how many places update i and an earlier one j have telling values of the same sign: int64 [n, n], below the
    diagonal, which counts those that are not zero.

    Pairs among the first ``known`` are left at 0. All are of one table, and walked through together: a block of each is
    in memory, whatever the model's size.
    """
    same = np.zeros((len(updates), len(updates)), dtype=np.int64)
    if not updates:
        return same
    table = updates[0].table
    walks = [update.telling() for update in updates]
    for first, chunks, length, _ in table.parts():
        dense = np.zeros((len(updates), chunks * length), dtype=np.int8)
        for i, (at, values) in enumerate(map(next, walks)):
            signs = (values > 0).astype(np.int8) + 2 * (values < 0).astype(np.int8)
            same[i, i] += np.count_nonzero(signs)
            places = slice(None) if isinstance(at, slice) else places_of(at - np.int32(first * table.chunk))
            dense[i][places] = signs
            signs[signs == 0] = 3  # like nothing
            for j in range(i if i >= known else 0):
                same[i, j] += np.count_nonzero(dense[j][places] == signs)
    return same


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
