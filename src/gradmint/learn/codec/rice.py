"""Rice codes and bit fields, a whole array at a time. Bits run from the most significant of each byte."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...spec.errors import Malformed

BLOCK = 1 << 17  # values unpacked at once: bounds the scratch memory


def parameter(chunk: int, keep: int) -> int:
    """Remainder bits for gaps of mean chunk / keep: floor(log2(ln 2 * mean)), the best for a geometric gap to 1 %."""
    return max(0, (11 * chunk // (16 * keep)).bit_length() - 1)


def pack_fields(values: NDArray[np.int64], width: int) -> bytes:
    """Fixed-width fields, the last byte filled with zero bits."""
    shifts = np.arange(width - 1, -1, -1)
    return np.packbits(((values[:, None] >> shifts) & 1).astype(np.uint8).reshape(-1)).tobytes()


def unpack_fields(stream: bytes, width: int, count: int) -> NDArray[np.int64]:
    """Inverse of :func:`pack_fields` for a stream of ``(width * count + 7) // 8`` bytes. Raises Malformed."""
    spare = -(width * count) % 8
    if spare and stream[-1] & ((1 << spare) - 1):
        raise Malformed(f"field stream ends in bits {stream[-1] & ((1 << spare) - 1):b}, expected {spare} zero bits")
    values = np.zeros(count, dtype=np.int64)
    raw = np.frombuffer(stream, dtype=np.uint8)
    for start in range(0, count if width else 0, BLOCK):
        size = min(BLOCK, count - start)
        first = start * width // 8  # BLOCK is a multiple of 8, so every block starts at a byte
        bits = np.unpackbits(raw[first : first + (size * width + 7) // 8], count=size * width).reshape(size, width)
        part = values[start : start + size]
        for column in range(width):
            np.left_shift(part, 1, out=part)
            part |= bits[:, column]
    return values


def pack_unary(quotients: NDArray[np.int64]) -> bytes:
    """Each quotient as that many zero bits and a one."""
    ends = np.cumsum(quotients + 1)
    bits = np.zeros(int(ends[-1]), dtype=np.uint8)
    bits[ends - 1] = 1
    return np.packbits(bits).tobytes()


def unpack_unary(stream: bytes, count: int) -> NDArray[np.int64]:
    """Inverse of :func:`pack_unary`; the caller has bounded the stream's length. Raises Malformed."""
    raw = np.frombuffer(stream, dtype=np.uint8)
    ends = np.empty(count + 1, dtype=np.int64)
    ends[0] = -1
    found = 0
    for start in range(0, len(raw), BLOCK):
        ones = np.flatnonzero(np.unpackbits(raw[start : start + BLOCK]))
        if found + len(ones) > count:
            raise Malformed(f"position stream has more than {count} ends, expected exactly {count}")
        ends[1 + found : 1 + found + len(ones)] = ones + 8 * start
        found += len(ones)
    if found != count:
        raise Malformed(f"position stream has {found} ends, expected exactly {count}")
    if not len(raw) or raw[-1] == 0:
        raise Malformed(f"position stream of {len(raw)} bytes ends in an empty byte, expected its last end there")
    return np.diff(ends) - 1
