"""Which nonce a signature takes: the least one that neither the chain nor a signature of this process has used."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

#: A signature that nobody broadcast in this time is taken for abandoned, and its nonce is given again. Whoever sends
#: the abandoned bytes after all is told "NonceTaken".
ABANDONED_S = 60.0


class Nonces:
    """Reservations of one account in one process; threads may share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._reserved: dict[int, float] = {}
        self._clock = clock
        self._lock = Lock()

    def take(self, chain_nonce: int) -> int:
        """Reserve one; ``chain_nonce`` is the account's next nonce as the chain sees it now."""
        now = self._clock()
        with self._lock:
            self._reserved = {
                nonce: since
                for nonce, since in self._reserved.items()
                if nonce >= chain_nonce and now - since < ABANDONED_S
            }
            nonce = chain_nonce
            while nonce in self._reserved:
                nonce += 1
            self._reserved[nonce] = now
            return nonce

    def release(self, nonce: int) -> None:
        """The signature was mined, or will never be."""
        with self._lock:
            self._reserved.pop(nonce, None)
