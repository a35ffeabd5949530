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
        """Raises JournalError when the file belongs to another identity, is in use, damaged, or cannot be opened."""
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
            os.fchmod(handle, 0o600)  # whatever a copy has made of it
            os.close(handle)
        except OSError as error:
            raise JournalError(f"journal {path}: {error}; give --home a directory that can be written") from error
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2.0)
        try:
            # One file, one process: a second process of the same participant would send a second commitment.
            self._execute("PRAGMA locking_mode = EXCLUSIVE")
            self._execute("PRAGMA journal_mode = WAL")
            self._execute("PRAGMA synchronous = FULL")
            self._execute("BEGIN IMMEDIATE")
            self._execute(
                "CREATE TABLE IF NOT EXISTS entries (round INTEGER, name TEXT, value BLOB, PRIMARY KEY (round, name))"
            )
            self._execute("COMMIT")
            known = self.get(0, "identity")
            if known is None:
                self.put(0, "identity", identity.encode())
            elif known != identity.encode():
                raise JournalError(
                    f"journal {path} belongs to {known.decode(errors='replace')}, this process is {identity}; give "
                    "--home another directory"
                )
        except JournalError:
            self._db.close()
            raise

    def get(self, round_: int, name: str) -> bytes | None:
        return self._value("SELECT value FROM entries WHERE round = ? AND name = ?", round_, name)

    def put(self, round_: int, name: str, value: bytes) -> None:
        """On disk when this returns."""
        self._execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", round_, name, value)

    def drop(self, round_: int, name: str) -> None:
        self._execute("DELETE FROM entries WHERE round = ? AND name = ?", round_, name)

    def latest(self, name: str, before: int) -> bytes | None:
        """The value of ``name`` in the last round earlier than ``before``."""
        query = "SELECT value FROM entries WHERE name = ? AND round > 0 AND round < ? ORDER BY round DESC LIMIT 1"
        return self._value(query, name, before)

    def forget(self, before: int) -> None:
        """Drop rounds earlier than ``before``; the identity stays."""
        self._execute("DELETE FROM entries WHERE round > 0 AND round < ?", before)

    def _value(self, query: str, *operands: int | str) -> bytes | None:
        rows = self._execute(query, *operands)
        return bytes(rows[0][0]) if rows else None

    def _execute(self, statement: str, *operands: int | str | bytes) -> list[tuple[bytes]]:
        try:
            return self._db.execute(statement, operands).fetchall()
        except sqlite3.OperationalError as error:
            raise JournalError(
                f"journal {self._path}: {error}; is another process of this participant running? Stop it, or give "
                "--home another directory"
            ) from error
        except sqlite3.Error as error:
            raise JournalError(
                f"journal {self._path} is damaged: {error}; restore a copy, or give --home another "
                "directory and sit out the round under way"
            ) from error

    def close(self) -> None:
        self._db.close()
