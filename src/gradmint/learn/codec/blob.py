"""Header and body of an update blob: fixed-width, big-endian, one encoding per update, lengths checked before use."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...spec.errors import Malformed, Oversize
from ...spec.types import GAIN_MAX_MICRONATS
from . import rice
from .update import HIGH, NOT_A_NUMBER, SIGN, Bytes, SparseUpdate, Table

MAGIC = b"GRDM"
VERSION = 1
CODEC = 1  # chunked top-k, Rice-coded gaps, sign and magnitude bit, two logarithmic levels per chunk
# magic, version, codec, words, run, round, author, base, layout, dimension, chunk, keep, claimed gain
FIXED = struct.Struct(">4sBBBQI20s32s32sQIIi")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Who made the update, for which round, from which model; ``words`` are the trainer's own signature words."""

    run: int
    round: int
    author: bytes  # 20 bytes
    base: bytes  # digest of the start-of-round model
    layout: bytes  # digest of the flat vector's layout
    claimed_gain_micronats: int
    words: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a reader accepts; everything it allocates follows from these, never from the blob."""

    max_bytes: int
    table: Table
    words: int


def encode(header: Header, update: SparseUpdate) -> bytes:
    """The one encoding of an update. Fields out of range raise struct.error or OverflowError: a caller's defect."""
    table = update.table
    fixed = FIXED.pack(
        MAGIC,
        VERSION,
        CODEC,
        len(header.words),
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
            *(word.to_bytes(32, "big") for word in header.words),
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
    header = _header(blob, limits)
    bits = rice.parameter(table.chunk, table.keep)
    levels_at = FIXED.size + 32 * limits.words
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


def _header(blob: bytes, limits: Limits) -> Header:
    words_end = FIXED.size + 32 * limits.words
    if len(blob) < words_end:
        raise Malformed(f"blob has {len(blob)} bytes, its header alone has {words_end}")
    (magic, version, codec, words, run, round_, author, base, layout, dimension, chunk, keep, claimed) = (
        FIXED.unpack_from(blob)
    )
    for name, found, expected in (
        ("magic", magic, MAGIC),
        ("version", version, VERSION),
        ("codec", codec, CODEC),
        ("words", words, limits.words),
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
        words=tuple(int.from_bytes(blob[at : at + 32], "big") for at in range(FIXED.size, words_end, 32)),
    )


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
