"""CIDv1 of a raw block under sha2-256, in base32: the only name a blob has here.

    "b" || base32(0x01 version || 0x55 raw || 0x12 sha2-256 || 0x20 length || digest): 59 characters, "bafkrei..."

A file of one chunk *is* its raw block, so IPFS finds it under the digest that the chain records, and nothing but the
digest is needed to find and to check it. Larger files are trees, named by their root node: the chain would then have to
know chunk size and width as well (IPIP-499).
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from ..spec.errors import BlobCorrupt, Oversize, StoreError

#: One raw block. Bitswap peers drop larger blocks (1 MiB is the limit that every Kubo honours), so a larger blob could
#: be stored but never fetched from anybody else.
MAX_BLOB_BYTES = 1 << 20

_PREFIX = b"\x01\x55\x12\x20"
_LENGTH = 59


def digest_of(blob: bytes) -> bytes:
    """The 32-byte sha2-256 that the chain records."""
    return hashlib.sha256(blob).digest()


def cid_of(digest: bytes) -> str:
    """The blob's name on IPFS and on disk. Raises StoreError unless ``digest`` has 32 bytes."""
    if len(digest) != 32:
        raise StoreError(f"a blob's digest has 32 bytes, this one {len(digest)}: pass the sha2-256 on the chain")
    return "b" + base64.b32encode(_PREFIX + digest).decode().rstrip("=").lower()


def digest_in(cid: str) -> bytes:
    """Inverse of :func:`cid_of`. Raises StoreError for anything but the one spelling that :func:`cid_of` gives."""
    try:
        packed = base64.b32decode(cid[1:].upper() + "=" * 6) if len(cid) == _LENGTH else b""
    except (binascii.Error, ValueError):
        packed = b""
    # Comparing with the canonical spelling also refuses upper case, other bases and set padding bits.
    if not packed.startswith(_PREFIX) or cid_of(packed[4:]) != cid:
        shown = cid if len(cid) <= 80 else cid[:77] + "..."
        raise StoreError(f"{shown!r} is no CIDv1 of a raw sha2-256 block in base32: bafkrei..., {_LENGTH} characters")
    return packed[4:]


def check_size(size_bytes: int, max_bytes: int, what: str) -> None:
    """Raises Oversize when ``size_bytes`` exceeds ``max_bytes``."""
    if size_bytes > max_bytes:
        raise Oversize(f"{what} has {size_bytes} bytes or more, at most {max_bytes} are allowed")


def check_digest(blob: bytes, digest: bytes, where: str) -> bytes:
    """``blob`` itself when it hashes to ``digest``; raises BlobCorrupt naming both digests otherwise."""
    found = digest_of(blob)
    if found != digest:
        raise BlobCorrupt(
            f"{where}: bytes hash to {found.hex()}, asked for {digest.hex()} ({cid_of(digest)}): "
            f"fetch the blob from another store, this copy is damaged or forged"
        )
    return blob
