"""Blob store in memory: the twin of the real ones, shared between threads."""

from __future__ import annotations

from threading import Condition

from ..spec.errors import BlobMissing
from .cid import MAX_BLOB_BYTES, check_digest, check_size, cid_of, digest_of


class MemoryStore:
    """A dictionary behind a condition variable. See :class:`~gradmint.ports.store.Store` for what is raised."""

    def __init__(self) -> None:
        self.blobs: dict[bytes, bytes] = {}
        self._changed = Condition()

    def put(self, blob: bytes) -> bytes:
        check_size(len(blob), MAX_BLOB_BYTES, "the blob to store")
        digest = digest_of(blob)
        with self._changed:
            self.blobs[digest] = bytes(blob)
            self._changed.notify_all()
        return digest

    def get(self, digest: bytes, max_bytes: int) -> bytes:
        cid = cid_of(digest)
        blob = self.blobs.get(digest)
        if blob is None:
            raise BlobMissing(f"blob {cid} is not in this memory store")
        check_size(len(blob), max_bytes, f"blob {cid}")
        return check_digest(blob, digest, "memory store")

    def wait(self, digest: bytes, timeout_s: float) -> bool:
        cid_of(digest)
        with self._changed:
            return self._changed.wait_for(lambda: digest in self.blobs, timeout_s)
