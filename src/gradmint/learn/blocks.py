"""A file of any length as blobs that every store takes, under one name.

A file of at most one block is its own blob. A longer one is cut into blocks, and named by an index that lists them:

    "GRFX" || version uint8 || length uint64 || sha2-256 of each block, big-endian

Both names are sha2-256 of a blob. Who fetches knows the file's length, so it knows which of the two to expect, and
nothing is ever read that is longer than it should be.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator

from ..spec.errors import Malformed

BLOCK_BYTES = 1 << 20  # what every store takes
MAGIC = b"GRFX"
VERSION = 1
HEAD = struct.Struct(">4sBQ")  # magic, version, length

Piece = bytes | memoryview


def name(pieces: Iterable[Piece]) -> bytes:
    """The 32-byte name of the file that ``pieces`` are in order, without a copy of it."""
    digests, size, block = [], 0, hashlib.sha256()
    for part in _aligned(pieces):
        if size and not size % BLOCK_BYTES:
            digests.append(block.digest())
            block = hashlib.sha256()
        block.update(part)
        size += len(part)
    return block.digest() if not digests else hashlib.sha256(_index(size, [*digests, block.digest()])).digest()


def cut(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """The blobs to put into a store, that which has the name last: whoever finds it finds all."""
    digests, size, block = [], 0, bytearray()
    for part in _aligned(pieces):
        if len(block) == BLOCK_BYTES:
            digests.append(hashlib.sha256(block).digest())
            yield bytes(block)
            block.clear()
        block += part
        size += len(part)
    yield bytes(block)
    if digests:
        yield _index(size, [*digests, hashlib.sha256(block).digest()])


def join(name: bytes, size: int, get: Callable[[bytes, int], bytes]) -> bytearray:
    """The file of ``size`` bytes with this name. ``get`` takes a blob's digest and its most bytes, and checks both.

    Raises Malformed when the blobs are not those of such a file, and what ``get`` raises.
    """
    if size <= BLOCK_BYTES:
        return bytearray(_exactly(get(name, size), size, "file"))
    count = -(-size // BLOCK_BYTES)
    index = _exactly(get(name, HEAD.size + 32 * count), HEAD.size + 32 * count, "index")
    if index[: HEAD.size] != HEAD.pack(MAGIC, VERSION, size):
        raise Malformed(f"index begins with {index[: HEAD.size].hex()}, not as that of {size} bytes: fetch it again")
    whole = bytearray(size)
    for i in range(count):
        at = i * BLOCK_BYTES
        end = min(size, at + BLOCK_BYTES)
        digest = index[HEAD.size + 32 * i : HEAD.size + 32 * (i + 1)]
        whole[at:end] = _exactly(get(digest, end - at), end - at, f"block {i}")
    return whole


def _exactly(blob: bytes, size: int, what: str) -> bytes:
    if len(blob) != size:
        raise Malformed(f"{what} has {len(blob)} bytes, expected {size}: it is of another file")
    return blob


def _index(size: int, digests: list[bytes]) -> bytes:
    return HEAD.pack(MAGIC, VERSION, size) + b"".join(digests)


def _aligned(pieces: Iterable[Piece]) -> Iterator[memoryview]:
    """The same bytes in pieces that end where blocks do."""
    at = 0
    for piece in pieces:
        view = memoryview(piece).cast("B")
        while view:
            room = BLOCK_BYTES - at % BLOCK_BYTES
            yield view[:room]
            at += len(view[:room])
            view = view[room:]
