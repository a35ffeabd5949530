"""Blob store in a directory that many processes share: one file per blob, named by its CID.

The names are real CIDs, so ``ipfs block put`` of a file publishes it under the name it already has.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from pathlib import Path

from ..spec.errors import BlobCorrupt, BlobMissing, Oversize, StoreUnreachable
from .cid import MAX_BLOB_BYTES, check_digest, check_size, cid_of, digest_of

_TEMPORARY = ".put-"  # never a CID, so readers cannot meet one
_LINK_OR_SOCKET = (errno.ELOOP, errno.ENXIO)  # what opening one says
_FIRST_POLL_S, _LAST_POLL_S = 0.005, 0.05


class LocalStore:
    """``directory`` is made when it is missing. See :class:`~gradmint.ports.store.Store` for what is raised."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnreachable(f"blob directory {self.directory}: {error}: choose one you can write") from error

    def path(self, digest: bytes) -> Path:
        return self.directory / cid_of(digest)

    def put(self, blob: bytes) -> bytes:
        check_size(len(blob), MAX_BLOB_BYTES, "the blob to store")
        digest = digest_of(blob)
        try:
            self.get(digest, len(blob))
        except (BlobMissing, BlobCorrupt, Oversize):
            self._write(digest, blob)
        return digest

    def _write(self, digest: bytes, blob: bytes) -> None:
        """Readers see all of the blob or nothing, also after a crash: the rename comes after the bytes are on disk."""
        try:
            name = self.directory / f"{_TEMPORARY}{secrets.token_hex(8)}"
            # Unlike tempfile's, readable as the umask says: several users may share the directory.
            handle = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(blob)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(name, self.path(digest))
            except BaseException:
                os.unlink(name)
                raise
            directory = os.open(self.directory, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise StoreUnreachable(
                f"blob directory {self.directory}: {error}: {len(blob)} bytes not written; free or replace the disk"
            ) from error

    def get(self, digest: bytes, max_bytes: int) -> bytes:
        path = self.path(digest)
        try:
            # Not following links and not blocking: a link out of the directory or a pipe in it is no blob.
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                os.close(handle)
                raise BlobCorrupt(f"{path} is no regular file, {digest.hex()} was asked for: remove it")
            with os.fdopen(handle, "rb") as file:
                check_size(status.st_size, max_bytes, str(path))
                blob = file.read(max_bytes + 1)  # the file may have grown since
        except FileNotFoundError:
            raise BlobMissing(f"blob {path.name} is not in {self.directory}: its author has not published it") from None
        except OSError as error:
            if error.errno in _LINK_OR_SOCKET:
                raise BlobCorrupt(f"{path} is no regular file, {digest.hex()} was asked for: remove it") from error
            raise StoreUnreachable(f"{path}: {error}: check the directory's owner and its disk") from error
        check_size(len(blob), max_bytes, str(path))
        return check_digest(blob, digest, str(path))

    def wait(self, digest: bytes, timeout_s: float) -> bool:
        """One ``stat`` per poll, 5 ms apart at first and 50 ms later: about 0.1% of a core."""
        path = self.path(digest)
        deadline = time.monotonic() + timeout_s
        pause_s = _FIRST_POLL_S
        while not path.exists():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            time.sleep(min(pause_s, left_s))  # a shared directory has no event that works on every file system
            pause_s = min(2 * pause_s, _LAST_POLL_S)
        return True
