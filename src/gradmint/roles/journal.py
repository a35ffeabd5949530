"""What must survive a crash: updates, reports with their salts, signed transactions.

One SQLite file per participant and run, flushed to disk before ``put`` returns. Salts and residuals are secret until
revealed, so the file is readable by its owner only. Keys never enter it.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from ..ports.chain import Chain
from ..spec.errors import JournalError


def identity(chain: Chain, run: int | None = None) -> str:
    """Whom a journal belongs to: chain, contracts, run (unless it is the sponsor's, for all runs) and account."""
    place = f"chain {chain.chain_id}, rounds 0x{chain.rounds_address.hex()}"
    return f"{place}, {'every run' if run is None else f'run {run}'}, account 0x{chain.account.hex()}"


class Journal:
    """Durable map from (round, name) to bytes, bound to one identity."""

    def __init__(self, path: Path, identity: str) -> None:
        """Raises JournalError when the file belongs to another identity or cannot be opened."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            # One file, one process: a second process of the same participant would send a second commitment.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2.0)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS entries (round INTEGER, name TEXT, value BLOB, PRIMARY KEY (round, name))"
            )
            self._db.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            raise JournalError(
                f"journal {path}: {error}; is another process of this participant running? Stop it, or give --home "
                "another directory"
            ) from error
        known = self.get(0, "identity")
        if known is None:
            self.put(0, "identity", identity.encode())
        elif known != identity.encode():
            raise JournalError(
                f"journal {path} belongs to {known.decode()}, this process is {identity}; give --home another directory"
            )

    def get(self, round_: int, name: str) -> bytes | None:
        row = self._db.execute("SELECT value FROM entries WHERE round = ? AND name = ?", (round_, name)).fetchone()
        return bytes(row[0]) if row else None

    def put(self, round_: int, name: str, value: bytes) -> None:
        """On disk when this returns."""
        self._db.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", (round_, name, value))

    def drop(self, round_: int, name: str) -> None:
        self._db.execute("DELETE FROM entries WHERE round = ? AND name = ?", (round_, name))

    def latest(self, name: str, before: int) -> bytes | None:
        """The value of ``name`` in the last round earlier than ``before``."""
        row = self._db.execute(
            "SELECT value FROM entries WHERE name = ? AND round > 0 AND round < ? ORDER BY round DESC LIMIT 1",
            (name, before),
        ).fetchone()
        return bytes(row[0]) if row else None

    def forget(self, before: int) -> None:
        """Drop rounds earlier than ``before``; the identity stays."""
        self._db.execute("DELETE FROM entries WHERE round > 0 AND round < ?", (before,))

    def close(self) -> None:
        self._db.close()
