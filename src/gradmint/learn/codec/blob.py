"""Header and body of an update blob: fixed-width, big-endian, one encoding per update, lengths checked before use."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from ...spec.errors import Malformed, Oversize
from ...spec.types import GAIN_MAX_MICRONATS
from .kinds import KINDS
from .update import Table, Update

MAGIC = b"GRDM"
VERSION = 3
# magic, version, kind, words, marks, run, round, author, base, layout, dimension, chunk, keep, claimed gain
FIXED = struct.Struct(">4sBBBBQI20s32s32sQIIi")
MARK_PARTS = 3  # of a state of training: displacement, first moment, root of the second
MARK_WORDS = 2 * MARK_PARTS  # 512 bits a part
MARK = struct.Struct(f">32s{MARK_PARTS}d")  # digest and norms; the words follow
MARK_SIZE = MARK.size + 32 * MARK_WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a trainer notes of its training at the end of an interval, see :mod:`gradmint.learn.proof`.

    ``digest`` is the 32-byte name of the whole state, ``norms`` are its parts' Euclidean ones, ``words`` their
    signature words, as many for each. Norms are infinite where training diverged.
    """

    digest: bytes
    norms: tuple[float, ...]
    words: tuple[int, ...]

    def pack(self) -> bytes:
        return MARK.pack(self.digest, *self.norms) + _pack_words(self.words)

    @classmethod
    def unpack(cls, packed: bytes) -> Mark:
        """From MARK_SIZE bytes. Raises Malformed."""
        digest, *norms = MARK.unpack_from(packed)
        if any(math.isnan(norm) or math.copysign(1, norm) < 0 for norm in norms):
            raise Malformed(f"mark has norms {norms}, expected none below zero; note them with gradmint.learn.proof")
        return cls(digest=digest, norms=tuple(norms), words=_unpack_words(packed[MARK.size :]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Who made the update, for which round, from which model, and what the trainer says of it.

    Claimed gain and ``words`` are about the update in this blob, applied alone (:func:`gradmint.learn.proof.claims`);
    ``marks`` are about how it was made, one for the end of each interval. The blob's digest, which is on chain before
    anybody knows what will be audited, commits to them: a list is short enough to need no tree.
    """

    run: int
    round: int
    author: bytes  # 20 bytes
    base: bytes  # digest of the start-of-round model
    layout: bytes  # digest of the flat vector's layout
    claimed_gain_micronats: int
    words: tuple[int, ...]
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a reader accepts; everything it allocates follows from these, never from the blob."""

    max_bytes: int
    table: Table
    words: int
    marks: int = 0

    @property
    def header_bytes(self) -> int:
        return FIXED.size + 32 * self.words + MARK_SIZE * self.marks


def encode(header: Header, update: Update) -> bytes:
    """The one encoding of an update. Fields out of range raise struct.error or OverflowError: a caller's defect."""
    table = update.table
    fixed = FIXED.pack(
        MAGIC,
        VERSION,
        KINDS[table.kind].code,
        len(header.words),
        len(header.marks),
        header.run,
        header.round,
        header.author,
        header.base,
        header.layout,
        table.dimension,
        table.chunk,
        table.keep,
        header.claimed_gain_micronats,
    )
    return b"".join((fixed, _pack_words(header.words), *(mark.pack() for mark in header.marks), update.pack()))


def decode(blob: bytes, limits: Limits) -> tuple[Header, Update]:
    """Inverse of :func:`encode`; accepts its exact output only.

    Time is linear in ``limits``, memory below 32 bytes a kept value and some MiB of scratch. The update may say that it
    is not finite: see :attr:`Update.finite`. Raises Oversize or Malformed, nothing else, whatever the bytes.
    """
    if len(blob) > limits.max_bytes:
        raise Oversize(f"blob has {len(blob)} bytes, at most {limits.max_bytes} are read; keep fewer values")
    header = decode_header(blob, limits)
    return header, KINDS[limits.table.kind].unpack(blob[limits.header_bytes :], limits.table)


def decode_header(blob: bytes, limits: Limits) -> Header:
    """The head of a blob alone. Raises Malformed, nothing else, whatever the bytes."""
    words_end = FIXED.size + 32 * limits.words
    if len(blob) < limits.header_bytes:
        raise Malformed(f"blob has {len(blob)} bytes, its header alone has {limits.header_bytes}")
    magic, version, kind, words, marks, run, round_, author, base, layout, dimension, chunk, keep, claimed = (
        FIXED.unpack_from(blob)
    )
    for name, found, expected in (
        ("magic", magic, MAGIC),
        ("version", version, VERSION),
        ("kind", kind, KINDS[limits.table.kind].code),
        ("words", words, limits.words),
        ("marks", marks, limits.marks),
        ("dimension", dimension, limits.table.dimension),
        ("chunk", chunk, limits.table.chunk),
        ("keep", keep, limits.table.keep),
    ):
        if found != expected:
            raise Malformed(f"header says {name} {found!r}, expected {expected!r}; encode for this run's manifest")
    if claimed < -GAIN_MAX_MICRONATS:
        raise Malformed(f"header claims a gain of {claimed}, the least is {-GAIN_MAX_MICRONATS}")
    return Header(
        run=run,
        round=round_,
        author=author,
        base=base,
        layout=layout,
        claimed_gain_micronats=claimed,
        words=_unpack_words(blob[FIXED.size : words_end]),
        marks=tuple(Mark.unpack(blob[at : at + MARK_SIZE]) for at in range(words_end, limits.header_bytes, MARK_SIZE)),
    )


def _pack_words(words: tuple[int, ...]) -> bytes:
    return b"".join(word.to_bytes(32, "big") for word in words)


def _unpack_words(packed: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(packed[at : at + 32], "big") for at in range(0, len(packed), 32))
