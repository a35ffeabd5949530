"""Which nonce a signature takes: the least one that neither the chain nor a signature of this process has used."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import TypeVar

from ..spec.errors import Reverted

_T = TypeVar("_T")

#: A signature that nobody broadcast in this time is taken for abandoned, and its nonce is given again. Whoever sends
#: the abandoned bytes after all is told "NonceTaken".
ABANDONED_S = 60.0
_ATTEMPTS = 3


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

    def abandon_below(self, nonce: int) -> None:
        """Whoever holds a lesser nonce has not sent it in good time: give those again at once."""
        with self._lock:
            self._reserved = {held: since for held, since in self._reserved.items() if held >= nonce}


def send_surely(sign: Callable[[], bytes], broadcast: Callable[[bytes], _T]) -> _T:
    """Sign and broadcast; sign anew when the nonce was lost to someone else.

    Nothing but these bytes carries the call here, and a lost nonce means that they never take effect: it cannot be said
    twice.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return broadcast(sign())
        except Reverted as refusal:
            if refusal.name not in ("NonceTaken", "NonceGap"):
                raise
    return broadcast(sign())
