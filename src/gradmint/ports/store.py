"""Blob store port. A blob's name is its CIDv1, its digest the sha2-256 that the chain records."""

from __future__ import annotations

from typing import Protocol


class Store(Protocol):
    """Content-addressed bytes. Blobs fit one raw block (see ``ports.cid``), so digest and CID name the same thing."""

    def put(self, blob: bytes) -> bytes:
        """Keep ``blob``; returns its 32-byte sha2-256 digest. Raises StoreUnreachable."""
        ...

    def get(self, digest: bytes, max_bytes: int) -> bytes:
        """The blob with this digest.

        Raises BlobMissing, BlobCorrupt when the bytes do not hash to ``digest``, Oversize beyond ``max_bytes`` (nothing
        larger is ever read into memory), StoreUnreachable.
        """
        ...

    def wait(self, digest: bytes, timeout_s: float) -> bool:
        """Block until the blob is there; False when ``timeout_s`` passes first. With none left, one look is taken."""
        ...
