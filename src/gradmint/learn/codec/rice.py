"""Bit fields and Rice codes, a whole array at a time. Bits run from the most significant of each byte.

A Rice code of parameter k is the value's k lowest bits, then the rest in unary: that many zeros and a one. An array is
one byte for k, all low bits, all unary parts; both streams are filled up to whole bytes with zeros. k follows from the
sum of the values, so an array has one form.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...spec.errors import Malformed

BLOCK = 1 << 17  # values packed or unpacked at once, bytes searched at once: bounds the scratch memory

Integers = NDArray[np.int32]


def parameter(total: int, count: int) -> int:
    """floor(log2(ln 2 * (mean + 1))): for geometric values within 1 % of the best."""
    return max(0, (11 * (total + count) // (16 * count)).bit_length() - 1) if count else 0


def pack(values: Integers) -> bytes:
    """An array of values from zero on, each below 2^30."""
    low = parameter(int(values.sum(dtype=np.int64)), len(values))
    return b"".join((bytes([low]), pack_fields(values & ((1 << low) - 1), low), _pack_unary(values >> low)))


def unpack(stream: bytes, at: int, count: int, most: int) -> tuple[Integers, int]:
    """``count`` values of at most ``most``, which is below 2^30, from byte ``at`` on, and where the next stream begins.

    Raises Malformed.
    """
    if at >= len(stream):
        raise Malformed(f"body has {len(stream)} bytes, an array of {count} values begins at {at}; send all of it")
    low = stream[at]
    fields_end = at + 1 + (low * count + 7) // 8
    if low > most.bit_length() or fields_end > len(stream):
        raise Malformed(f"array at {at} of {len(stream)} bytes has parameter {low}, too much for {count} values")
    values = unpack_fields(stream[at + 1 : fields_end], low, count)
    end = _add_unary(stream, fields_end, low, values, most)
    expected = parameter(int(values.sum(dtype=np.int64)), count)
    if low != expected:
        raise Malformed(f"array at {at} has parameter {low}, its values call for {expected}")
    return values, end


def pack_fields(values: Integers, width: int) -> bytes:
    """Fixed-width fields."""
    shifts = np.arange(width - 1, -1, -1, dtype=values.dtype)
    return b"".join(
        np.packbits(((values[start : start + BLOCK, None] >> shifts) & 1).astype(np.uint8).reshape(-1)).tobytes()
        for start in range(0, len(values) if width else 0, BLOCK)  # a multiple of 8, so that blocks end with a byte
    )


def unpack_fields(stream: bytes, width: int, count: int) -> Integers:
    """Inverse of :func:`pack_fields` for a stream of ``(width * count + 7) // 8`` bytes. Raises Malformed."""
    spare = -(width * count) % 8
    if spare and stream[-1] & ((1 << spare) - 1):
        raise Malformed(f"field stream ends in bits {stream[-1] & ((1 << spare) - 1):b}, expected {spare} zero bits")
    values = np.zeros(count, dtype=np.int32)
    raw = np.frombuffer(stream, dtype=np.uint8)
    for start in range(0, count if width else 0, BLOCK):
        size = min(BLOCK, count - start)
        first = start * width // 8
        bits = np.unpackbits(raw[first : first + (size * width + 7) // 8], count=size * width).reshape(size, width)
        part = values[start : start + size]
        for column in range(width):
            np.left_shift(part, 1, out=part)
            part |= bits[:, column]
    return values


def unpack_bits(stream: bytes, count: int) -> NDArray[np.uint8]:
    """One bit a value from ``(count + 7) // 8`` bytes, the last filled up with zeros. Raises Malformed."""
    spare = -count % 8
    if spare and stream[-1] & ((1 << spare) - 1):
        raise Malformed(f"bits end in {stream[-1] & ((1 << spare) - 1):b}, expected {spare} zero bits")
    return np.unpackbits(np.frombuffer(stream, dtype=np.uint8), count=count)


def ends(body: bytes, at: int) -> None:
    """Raises Malformed unless the body ends at ``at``."""
    if at != len(body):
        raise Malformed(f"body has {len(body)} bytes, its streams end at {at}; send them alone")


def _pack_unary(quotients: Integers) -> bytes:
    packed = []
    carried = np.zeros(0, dtype=np.uint8)  # bits of a byte not yet full
    for start in range(0, len(quotients), BLOCK):
        ends = np.cumsum(quotients[start : start + BLOCK] + 1, dtype=np.int64) + len(carried)
        bits = np.zeros(int(ends[-1]), dtype=np.uint8)
        bits[: len(carried)] = carried
        bits[ends - 1] = 1
        whole = len(bits) & ~7
        packed.append(np.packbits(bits[:whole]).tobytes())
        carried = bits[whole:]
    return b"".join((*packed, np.packbits(carried).tobytes()))


def _add_unary(stream: bytes, at: int, low: int, values: Integers, most: int) -> int:
    """Adds the unary parts that begin at byte ``at`` to the low bits; where they end. Raises Malformed."""
    count, found, last = len(values), 0, -1  # ``last``: the bit at which the value before ended
    raw = np.frombuffer(stream, dtype=np.uint8, offset=at)
    for start in range(0, len(raw) if count else 0, BLOCK):
        ends = np.flatnonzero(np.unpackbits(raw[start : start + BLOCK]).view(np.bool_))[: count - found] + 8 * start
        if not len(ends):
            continue
        quotients = np.diff(ends, prepend=last) - 1
        if int(quotients.max()) > most >> low:
            raise Malformed(f"value of {int(quotients.max()) << low} or more at byte {at}, at most {most} is possible")
        values[found : found + len(ends)] += (quotients << low).astype(np.int32)
        found, last = found + len(ends), int(ends[-1])
        if found == count:
            break
    if found != count:
        raise Malformed(f"unary stream at byte {at} has {found} ends, expected {count}")
    size = last // 8 + 1
    if size and int(raw[size - 1]) & ((1 << (7 - last % 8)) - 1):
        raise Malformed(f"unary stream at byte {at} ends at bit {last}, expected zero bits behind it")
    if count and int(values.max()) > most:
        raise Malformed(f"value of {int(values.max())} at byte {at}, at most {most} is possible")
    return at + size
