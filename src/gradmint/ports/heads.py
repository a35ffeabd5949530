"""What the node pushes: new heads, and phases of a run, over one websocket beside the HTTP connection.

Most nodes serve both on one address (Anvil, Geth, hosted ones). Where there is no websocket, callers poll.
"""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

log = logging.getLogger(__name__)

_CONNECT_S = 3.0
_MAX_BYTES = 1 << 20
_PENDING = object()
_RETRY_S = 5.0  # a node without websockets is not asked again sooner


@dataclass
class _Channel:
    """One subscription. ``count`` grows with each notification."""

    params: list[object]
    count: int = 0


class Heads:
    """Counts notifications by channel; threads may share it. Connects on first use and again after a loss."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        self._address = (parts.hostname or "", parts.port or (443 if secure else 80))
        self._secure = secure
        self._url = parts._replace(scheme="wss" if secure else "ws").geturl()
        self._changed = threading.Condition()
        self._channels: dict[str, _Channel] = {}
        self._socket: ClientConnection | None = None
        self._next_try = 0.0
        self._ids: dict[str, str] = {}  # subscription id -> channel
        self._answers: dict[int, object] = {}  # of subscriptions that somebody waits for
        self._number = 0

    def follow(self, channel: str, params: list[object]) -> int | None:
        """Be subscribed; returns the channel's count so far, or None when the node has no websocket.

        Look at the chain after this call and before :meth:`wait`: nothing is missed then.
        """
        with self._changed:
            self._channels.setdefault(channel, _Channel(params))
            if not self._connected() or not self._subscribe(channel):
                return None
            return self._channels[channel].count

    def wait(self, channel: str, count: int, timeout_s: float) -> bool:
        """Block until the channel's count exceeds ``count``; False when the time passes or the connection is lost."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._socket is None or self._channels[channel].count > count, max(0.0, timeout_s)
            )
            return self._channels[channel].count > count

    def leave(self, channel: str) -> None:
        """Stop following, so that the node stops sending."""
        with self._changed:
            self._channels.pop(channel, None)
            for identity in [identity for identity, name in self._ids.items() if name == channel]:
                del self._ids[identity]
                self._ask("eth_unsubscribe", [identity])

    def close(self) -> None:
        with self._changed:
            gone, self._socket = self._socket, None
            self._ids.clear()
            self._changed.notify_all()
        if gone is not None:
            gone.close()

    def _connected(self) -> bool:
        if self._socket is not None:
            return True
        if time.monotonic() < self._next_try:
            return False
        try:
            # A socket of our own: the library would look for proxies in the environment.
            plain = socket.create_connection(self._address, _CONNECT_S)
            tls = ssl.create_default_context() if self._secure else None
            self._socket = connect(
                self._url, sock=plain, ssl=tls, open_timeout=_CONNECT_S, max_size=_MAX_BYTES, compression=None
            )
        except (OSError, WebSocketException, ValueError) as error:
            log.info("no websocket at %s:%d (%s): polling instead", *self._address, type(error).__name__)
            self._next_try = time.monotonic() + _RETRY_S
            return False
        self._ids.clear()
        threading.Thread(target=self._pump, args=(self._socket,), name="heads", daemon=True).start()
        return True

    def _subscribe(self, channel: str) -> bool:
        """Lock held; waiting for the answer gives it up meanwhile."""
        if channel in self._ids.values():
            return True
        number = self._ask("eth_subscribe", self._channels[channel].params)
        self._answers[number] = _PENDING
        self._changed.wait_for(lambda: self._answers[number] is not _PENDING or self._socket is None, _CONNECT_S)
        identity = self._answers.pop(number)
        if not isinstance(identity, str):
            self._next_try = time.monotonic() + _RETRY_S
            return False
        self._ids[identity] = channel
        return True

    def _ask(self, method: str, params: list[object]) -> int:
        self._number += 1
        if self._socket is not None:
            try:
                self._socket.send(
                    json.dumps({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
                )
            except (OSError, WebSocketException):
                log.debug("the websocket was lost while sending")  # the pump notices and tells
        return self._number

    def _pump(self, connection: ClientConnection) -> None:
        try:
            for text in connection:
                self._hear(json.loads(text))
        except (OSError, WebSocketException, ValueError, RecursionError) as error:
            log.debug("the websocket was lost: %s", type(error).__name__)
        with self._changed:
            if self._socket is connection:
                self._socket = None
                self._ids.clear()
            self._changed.notify_all()
        connection.close()

    def _hear(self, message: object) -> None:
        if not isinstance(message, dict):
            return
        with self._changed:
            params = message.get("params")
            if isinstance(params, dict):
                channel = self._ids.get(str(params.get("subscription")))
                # One of a subscription whose answer is still on its way belongs to nobody yet: wake everybody.
                for name in [channel] if channel else list(self._channels):
                    if name in self._channels:
                        self._channels[name].count += 1
            elif isinstance(message.get("id"), int) and message["id"] in self._answers:
                self._answers[message["id"]] = message.get("result")
            self._changed.notify_all()
