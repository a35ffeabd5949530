"""Blob store behind any Kubo RPC: a node of one's own on IPFS.

The node is not trusted: answers are bounded in size and time while they arrive, and every blob is hashed.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator

import requests
import urllib3
from ipfshttpclient import exceptions as ipfs
from ipfshttpclient.client import Client  # connect() would refuse every Kubo of the last years by its version
from ipfshttpclient.multipart import stream_bytes

from ..spec.errors import BlobMissing, Oversize, SettingsError, StoreError, StoreUnreachable
from .cid import MAX_BLOB_BYTES, check_digest, check_size, cid_of, digest_of

_ANSWER_BYTES = 64 * 1024  # of any answer that is no blob
_READ_BYTES = 64 * 1024
_CONNECT_S = 5.0
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.05, 1.0
_LEAST_ASK_S = 0.5  # for what the node has itself
# The client passes urllib3 an argument of Python 2's days; its users can do nothing about the warning.
warnings.filterwarnings("ignore", message="The 'strict' parameter", category=FutureWarning)

_NOT_KUBO = "this is no Kubo RPC"
_START_A_NODE = "start one with 'ipfs daemon', or name a directory as the store"
#: What requests, urllib3 and the client raise about a node that is absent or talks nonsense.
_FAILURES = (ipfs.Error, requests.RequestException, urllib3.exceptions.HTTPError, OSError, RecursionError)


class _TooMuch(Exception):
    """The node sent more than was asked for."""


class _TooSlow(Exception):
    """The node was still sending at the deadline."""


def _bounded(limit_bytes: int, deadline: float) -> Callable[..., requests.Response]:
    """A response hook: whatever is read of the body, error texts included, stays within size and time."""

    def hook(response: requests.Response, *_: object, **__: object) -> requests.Response:
        def iter_content(*_: object, **__: object) -> Iterator[bytes]:
            total = 0
            most = limit_bytes if response.ok else _ANSWER_BYTES
            # read1 returns what has arrived: a node that sends one byte at a time meets the deadline too.
            while chunk := response.raw.read1(_READ_BYTES, decode_content=False):
                total += len(chunk)
                if total > most and response.ok:
                    raise _TooMuch
                if total > most:
                    return  # an error text this long says nothing; what came so far will do
                if time.monotonic() > deadline:
                    raise _TooSlow
                yield chunk

        response.iter_content = iter_content  # type: ignore[method-assign]  # the one place that all readers go through
        return response

    return hook


class IpfsStore:
    """``multiaddr`` names the RPC, as in /ip4/127.0.0.1/tcp/5001; ``timeout_s`` bounds each request.

    A node with peers looks for a blob among them for as long as the request lasts: BlobMissing says that none of them
    had it within ``timeout_s``. See :class:`~gradmint.ports.store.Store` for what else is raised.
    """

    def __init__(self, multiaddr: str, timeout_s: float = 10.0) -> None:
        self.multiaddr = multiaddr
        self.timeout_s = timeout_s
        try:
            Client(multiaddr)
        except ipfs.AddressError as error:
            raise SettingsError(
                f"{multiaddr!r} is no address of a Kubo RPC: expected /ip4/HOST/tcp/PORT, /ip6/... or /dns/..., "
                f"with /http or /https behind it if need be"
            ) from error

    def put(self, blob: bytes) -> bytes:
        """Adds and pins. Raises StoreError when the node stored it under another name."""
        check_size(len(blob), MAX_BLOB_BYTES, "the blob to store")
        digest = digest_of(blob)
        opts = {
            "pin": "true",
            "raw-leaves": "true",
            "cid-version": "1",
            "chunker": f"size-{MAX_BLOB_BYTES}",
            "cid-base": "base32",
        }
        try:
            name = _name_in(self._ask("/add", (), opts, _ANSWER_BYTES, self.timeout_s, blob))
        except (BlobMissing, _TooMuch) as error:
            raise StoreUnreachable(f"{self._node} did not store {cid_of(digest)}: {error}; {_START_A_NODE}") from error
        if name != cid_of(digest):
            raise StoreError(f"{self._node} stored {cid_of(digest)} as {name[:80]!r}: is {self.multiaddr} a Kubo RPC?")
        return digest

    def get(self, digest: bytes, max_bytes: int) -> bytes:
        cid = cid_of(digest)
        opts = {"timeout": f"{self.timeout_s:g}s"}
        try:
            blob = self._ask("/block/get", (cid,), opts, max_bytes, self.timeout_s)
        except _TooMuch as error:
            raise Oversize(f"{self._node}: blob {cid} has more than the {max_bytes} bytes that are allowed") from error
        return check_digest(blob, digest, self._node)

    def wait(self, digest: bytes, timeout_s: float) -> bool:
        """The node itself waits for the blob, from peers or from another ``put``; this side only asks again.

        It is asked once even when there is no time: whoever waited in vain for one blob still learns of the others.
        """
        cid = cid_of(digest)
        deadline = time.monotonic() + timeout_s
        pause_s = _FIRST_PAUSE_S
        while True:
            request_s = min(max(_LEAST_ASK_S, deadline - time.monotonic()), self.timeout_s)
            try:
                self._ask("/block/stat", (cid,), {"timeout": f"{request_s:.3f}s"}, _ANSWER_BYTES, request_s)
                return True
            except _TooMuch as error:
                raise StoreUnreachable(f"{self._node} answers with over {_ANSWER_BYTES} bytes: {_NOT_KUBO}") from error
            except BlobMissing:
                # A node without peers answers at once; one that waited has used up the time already.
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    return False
                time.sleep(min(pause_s, left_s))
                pause_s = min(2 * pause_s, _LAST_PAUSE_S)

    @property
    def _node(self) -> str:
        return f"IPFS node {self.multiaddr}"

    def _ask(
        self,
        path: str,
        args: tuple[str, ...],
        opts: dict[str, str],
        limit_bytes: int,
        timeout_s: float,
        upload: bytes | None = None,
    ) -> bytes:
        """The answer's body. Raises _TooMuch, BlobMissing, StoreUnreachable."""
        limit_s = timeout_s + 1.0  # the node's own timeout answers first
        data, headers = (None, {}) if upload is None else stream_bytes(upload, chunk_size=_READ_BYTES)
        # A session per request: requests' sessions are not for several threads, and a set-up is small beside a blob.
        with Client(self.multiaddr, timeout=(min(_CONNECT_S, limit_s), limit_s)) as client:
            session = client._client._session
            session.trust_env = False  # the node is one's own: no proxy, no stored passwords
            session.max_redirects = 0
            session.hooks["response"].append(_bounded(limit_bytes, time.monotonic() + limit_s))
            try:
                # Undecoded: the library's JSON reader is not made for hostile answers.
                return bytes(client._client.request(path, args, opts=opts, data=data, headers=headers))
            except (ipfs.TimeoutError, urllib3.exceptions.TimeoutError, _TooSlow) as error:
                raise BlobMissing(f"{self._node} did not answer in {timeout_s:g} s: no peer has the blob") from error
            except ipfs.ErrorResponse as error:
                raise BlobMissing(f"{self._node} says: {str(error)[:200]}") from error
            except _FAILURES as error:
                raise StoreUnreachable(
                    f"{self._node} does not answer: {type(error).__name__}: {str(error)[:200]}; {_START_A_NODE}"
                ) from error


def _name_in(answer: bytes) -> str:
    """The CID in an answer to /add; empty when there is none."""
    try:
        fields = json.loads(answer)
    except (ValueError, RecursionError):
        return ""
    name = fields.get("Hash") if isinstance(fields, dict) else None
    return name if isinstance(name, str) else ""
