"""Header and body of an update blob: fixed-width, big-endian, one encoding per update, lengths checked before use."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...spec.errors import Malformed, Oversize
from ...spec.types import GAIN_MAX_MICRONATS
from . import rice
from .update import HIGH, NOT_A_NUMBER, SIGN, Bytes, SparseUpdate, Table

MAGIC = b"GRDM"
VERSION = 2
CODEC = 1  # chunked top-k, Rice-coded gaps, sign and magnitude bit, two logarithmic levels per chunk
# magic, version, codec, words, marks, run, round, author, base, layout, dimension, chunk, keep, claimed gain
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


def encode(header: Header, update: SparseUpdate) -> bytes:
    """The one encoding of an update. Fields out of range raise struct.error or OverflowError: a caller's defect."""
    table = update.table
    fixed = FIXED.pack(
        MAGIC,
        VERSION,
        CODEC,
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
    bits = rice.parameter(table.chunk, table.keep)
    gaps = _gaps(update)
    return b"".join(
        (
            fixed,
            _pack_words(header.words),
            *(mark.pack() for mark in header.marks),
            update.levels.tobytes(),
            rice.pack_fields(update.codes.astype(np.int64), 2),
            rice.pack_fields(gaps & ((1 << bits) - 1), bits) if bits else b"",
            rice.pack_unary(gaps >> bits),
        )
    )


def decode(blob: bytes, limits: Limits) -> tuple[Header, SparseUpdate]:
    """Inverse of :func:`encode`; accepts its exact output only.

    Time is linear in ``limits``, memory below 40 bytes a kept value and 2 MiB of scratch. Levels may be "not a number":
    see :attr:`SparseUpdate.finite`. Raises Oversize or Malformed, nothing else, whatever the bytes.
    """
    table = limits.table
    if len(blob) > limits.max_bytes:
        raise Oversize(f"blob has {len(blob)} bytes, at most {limits.max_bytes} are read; keep fewer values")
    header = decode_header(blob, limits)
    bits = rice.parameter(table.chunk, table.keep)
    levels_at = limits.header_bytes
    codes_at = levels_at + 2 * table.chunks
    remainders_at = codes_at + (2 * table.kept + 7) // 8
    unary_at = remainders_at + (bits * table.kept + 7) // 8
    most = unary_at + (table.kept + table.chunks * (table.chunk >> bits) + 7) // 8
    if not unary_at + (table.kept + 7) // 8 <= len(blob) <= most:
        raise Malformed(f"blob has {len(blob)} bytes, a body of {table.kept} values needs {unary_at + 1} to {most}")
    update = SparseUpdate(
        table=table,
        positions=_positions(
            rice.unpack_unary(blob[unary_at:], table.kept),
            rice.unpack_fields(blob[remainders_at:unary_at], bits, table.kept),
            table,
            bits,
        ),
        codes=rice.unpack_fields(blob[codes_at:remainders_at], 2, table.kept).astype(np.uint8),
        levels=np.frombuffer(blob, dtype=np.uint8, count=2 * table.chunks, offset=levels_at).reshape(-1, 2),
    )
    _check_codes(update)
    return header, update


def decode_header(blob: bytes, limits: Limits) -> Header:
    """The head of a blob alone. Raises Malformed, nothing else, whatever the bytes."""
    words_end = FIXED.size + 32 * limits.words
    if len(blob) < limits.header_bytes:
        raise Malformed(f"blob has {len(blob)} bytes, its header alone has {limits.header_bytes}")
    magic, version, codec, words, marks, run, round_, author, base, layout, dimension, chunk, keep, claimed = (
        FIXED.unpack_from(blob)
    )
    for name, found, expected in (
        ("magic", magic, MAGIC),
        ("version", version, VERSION),
        ("codec", codec, CODEC),
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


def _gaps(update: SparseUpdate) -> NDArray[np.int64]:
    """Values skipped before each position, counted from the start of its chunk."""
    table = update.table
    positions = update.positions.astype(np.int64)
    gaps = np.diff(positions, prepend=-1) - 1
    firsts = np.arange(table.chunks) * table.keep
    gaps[firsts] = positions[firsts] - np.arange(table.chunks) * table.chunk
    return gaps


def _positions(
    quotients: NDArray[np.int64], remainders: NDArray[np.int64], table: Table, bits: int
) -> NDArray[np.int32]:
    np.left_shift(quotients, bits, out=quotients)
    quotients += remainders
    quotients += 1
    last = table.kept - table.keep_last
    whole = quotients[:last].reshape(-1, table.keep)
    np.cumsum(whole, axis=1, out=whole)
    rest = quotients[last:]
    np.cumsum(rest, out=rest)
    short = table.dimension - (table.chunks - 1) * table.chunk
    highest = int(whole[:, -1].max(initial=0))
    if highest > table.chunk or rest[-1] > short:
        raise Malformed(
            f"positions reach {highest} of a chunk of {table.chunk} and {rest[-1]} of a last chunk of {short}"
        )
    whole += np.arange(len(whole))[:, None] * table.chunk - 1
    rest += (table.chunks - 1) * table.chunk - 1
    return quotients.astype(np.int32)


def _check_codes(update: SparseUpdate) -> None:
    """One form per update: levels ascend; equal levels leave the magnitude bit unset, level zero the sign, NaN both."""
    low, high = update.levels[:, 0], update.levels[:, 1]
    wrong = np.flatnonzero((low > high) | ((high == NOT_A_NUMBER) & (low != NOT_A_NUMBER)))
    if len(wrong):
        at = wrong[0]
        raise Malformed(f"chunk {at} has levels {low[at]} and {high[at]}, expected them ascending and both numbers")
    table = update.table
    free = np.where(low == high, SIGN, SIGN | HIGH).astype(np.uint8)  # bits a value of the chunk may set
    free[high == 0] = 0
    free[high == NOT_A_NUMBER] = 0
    last = table.kept - table.keep_last
    owner_free: Bytes = np.empty(table.kept, dtype=np.uint8)
    owner_free[:last] = np.repeat(free[:-1], table.keep)
    owner_free[last:] = free[-1]
    zero_low = np.empty(table.kept, dtype=bool)
    zero_low[:last] = np.repeat(low[:-1] == 0, table.keep)
    zero_low[last:] = low[-1] == 0
    bad = np.flatnonzero((update.codes & ~owner_free != 0) | (zero_low & (update.codes == SIGN)))
    if len(bad):
        raise Malformed(f"value {bad[0]} has code {update.codes[bad[0]]}, which its chunk's levels leave no room for")
