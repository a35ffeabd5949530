"""Where the time goes: one JSON line per finished span, for the report's breakdown of protocol overhead."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Trace:
    """Appends {"round", "what", "start_s", "end_s"} lines (wall clock, seconds since the epoch) to ``path``, if any."""

    def __init__(self, path: Path | None = None) -> None:
        self._file = path.open("a", buffering=1) if path else None

    @contextmanager
    def span(self, round_: int, what: str) -> Iterator[None]:
        start_s = time.time()
        try:
            yield
        finally:
            self.note(round_, what, start_s, time.time())

    def note(self, round_: int, what: str, start_s: float, end_s: float) -> None:
        if self._file:
            row = {"round": round_, "what": what, "start_s": round(start_s, 4), "end_s": round(end_s, 4)}
            self._file.write(json.dumps(row) + "\n")
