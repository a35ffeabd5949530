"""JSON-RPC over HTTP with keep-alive: the wire under :mod:`web3_chain`.

The node is not trusted: answers are bounded in size and time and checked before use. A node that is away for a moment
is asked again. web3's provider does the same job at three times the processor time a call and 0.2 s more at start-up,
which a dozen participants on one machine feel; :mod:`deploy` uses web3, where that does not matter.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from typing import Any
from urllib.parse import urlsplit

import urllib3
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential

from ..spec.errors import ChainError, ChainUnreachable, SettingsError

_MAX_BYTES = 64 << 20
_READ_BYTES = 1 << 16
_CONNECT_S = 3.0
_QUANTITY = re.compile("0x[0-9a-fA-F]{1,64}")
_BUSY = frozenset({429, 502, 503, 504})


class RpcError(ChainError):
    """The node understood the request and refused it."""

    def __init__(self, message: str, code: int, data: object) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class AnswerTooLarge(ChainError):
    """More bytes than any sensible answer has; ask for less."""


class Rpc:
    """One node; threads may share it. ``patience_s``: how long a node that is away is asked again."""

    def __init__(self, url: str, patience_s: float = 10.0, timeout_s: float = 30.0) -> None:
        """Raises SettingsError for anything but an http(s) URL. Nothing is sent yet."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise SettingsError(f"RPC URL: {error}: expected http://HOST:PORT or https://HOST/...") from error
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"RPC URL has scheme {parts.scheme!r}: expected http://HOST:PORT or https://HOST/...")
        #: Shown in messages: without path and password, which hold the keys of hosted nodes.
        self.where = f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "")
        self.url = url
        self.patience_s = patience_s
        self._timeout_s = timeout_s
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if parts.username:
            basic = f"{parts.username}:{parts.password or ''}"
            self._headers |= urllib3.make_headers(basic_auth=basic)
        pool = urllib3.HTTPSConnectionPool if parts.scheme == "https" else urllib3.HTTPConnectionPool
        timeout = urllib3.Timeout(connect=_CONNECT_S, read=timeout_s)
        self._pool = pool(parts.hostname, port, timeout=timeout, maxsize=8, retries=False)
        self._ids = itertools.count(1)

    def call(self, method: str, *params: object, patience_s: float | None = None) -> Any:
        """The answer's ``result``. Raises RpcError, AnswerTooLarge, ChainUnreachable, ChainError for nonsense."""
        patient_s = self.patience_s if patience_s is None else patience_s
        try:
            return self._once(method, params)
        except ChainUnreachable:
            if patient_s <= 0:
                raise
        retrying = Retrying(
            retry=retry_if_exception_type(ChainUnreachable),
            wait=wait_exponential(multiplier=0.05, max=1.0),
            stop=stop_after_delay(patient_s),
            reraise=True,
        )
        return retrying(self._once, method, params)

    def close(self) -> None:
        self._pool.close()

    def _once(self, method: str, params: tuple[object, ...]) -> Any:
        number = next(self._ids)
        request = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        try:
            response = self._pool.request(
                "POST", self._path, body=request.encode(), headers=self._headers, preload_content=False, redirect=False
            )
            try:
                body = self._read(response, method)
            except BaseException:
                response.close()  # unread bytes would be taken for the next answer
                raise
            response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ChainUnreachable(
                f"no chain answers at {self.where} ({type(error).__name__}): start one with 'gradmint devnet', "
                f"or name the right one with --rpc"
            ) from error
        if response.status in _BUSY:
            raise ChainUnreachable(f"{self.where} is busy (HTTP {response.status}): try again later")
        return self._result(body, number, method, response.status)

    def _read(self, response: urllib3.BaseHTTPResponse, method: str) -> bytes:
        deadline = time.monotonic() + self._timeout_s
        body = bytearray()
        while chunk := response.read1(_READ_BYTES):
            body += chunk
            if len(body) > _MAX_BYTES:
                raise AnswerTooLarge(f"{self.where} answers {method} with over {_MAX_BYTES} bytes")
            if time.monotonic() > deadline:
                raise ChainUnreachable(f"{self.where} was still answering {method} after {self._timeout_s:g} s")
        return bytes(body)

    def _result(self, body: bytes, number: int, method: str, status: int) -> Any:
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ChainError(
                f"{self.where} answers {method} with HTTP {status} and no JSON: is this a chain's RPC?"
            ) from error
        if isinstance(answer, dict) and isinstance(problem := answer.get("error"), dict):
            code = problem.get("code")
            message = f"{self.where} refuses {method}: {str(problem.get('message'))[:500]}"
            raise RpcError(message, code if isinstance(code, int) else 0, problem.get("data"))
        if not isinstance(answer, dict) or "result" not in answer or answer.get("id") != number:
            raise ChainError(f"{self.where} answers {method} with no result: is this a chain's RPC?")
        return answer["result"]


def as_int(value: object, what: str) -> int:
    """A quantity in hex of at most 256 bits. Raises ChainError."""
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        return int(value[2:], 16)
    raise ChainError(f"the node gives {what} as {value!r:.80}, expected a number in hex")


def as_bytes(value: object, what: str, size: int | None = None) -> bytes:
    """Data in hex, of ``size`` bytes if given. Raises ChainError."""
    if isinstance(value, str) and value.startswith("0x"):
        try:
            data = bytes.fromhex(value[2:])
        except ValueError:
            data = None
        if data is not None and (size is None or len(data) == size):
            return data
    expected = "data" if size is None else f"{size} bytes"
    raise ChainError(f"the node gives {what} as {value!r:.80}, expected {expected} in hex")


def as_dict(value: object, what: str) -> dict[str, Any]:
    """Raises ChainError."""
    if not isinstance(value, dict):
        raise ChainError(f"the node gives {what} as {value!r:.80}, expected an object")
    return value


def to_hex(data: bytes) -> str:
    return f"0x{data.hex()}"
