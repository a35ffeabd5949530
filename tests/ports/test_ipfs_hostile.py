"""An RPC endpoint that lies, babbles, stalls or is not there. No IPFS node needed."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gradmint.ports.cid import cid_of, digest_of
from gradmint.ports.ipfs_store import IpfsStore
from gradmint.spec.errors import BlobCorrupt, BlobMissing, Oversize, StoreError, StoreUnreachable

pytestmark = pytest.mark.filterwarnings("ignore:The 'strict' parameter")

Answer = Callable[[BaseHTTPRequestHandler], None]
BLOB = b"the blob"
DIGEST = digest_of(BLOB)


@contextmanager
def endpoint(answer: Answer) -> Iterator[IpfsStore]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                answer(self)
            except OSError:
                self.close_connection = True  # the client hung up, as it should

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield IpfsStore(f"/ip4/127.0.0.1/tcp/{server.server_address[1]}", timeout_s=0.4)
    finally:
        server.shutdown()
        server.server_close()


def say(status: int, body: bytes, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def babble(status: int = 200, chunk: bytes = b"x" * 65_536, pause_s: float = 0.0) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.end_headers()
        while True:
            handler.wfile.write(chunk)
            time.sleep(pause_s)

    return answer


def hang(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(5)


def cut(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"part")
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)


def no_http(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\x01\x02 SSH-2.0-whatever\r\n\r\n")


GETS: dict[str, tuple[Answer, type[Exception]]] = {
    "wrong bytes": (say(200, b"not the blob"), BlobCorrupt),
    "nothing": (say(200, b""), BlobCorrupt),
    "endless": (babble(), Oversize),
    "one byte at a time": (babble(chunk=b"x", pause_s=0.05), BlobMissing),
    "silence": (hang, BlobMissing),
    "not found": (say(500, b'{"Message":"block was not found locally","Code":0,"Type":"error"}'), BlobMissing),
    "500 garbage": (say(500, b"<html>oops</html>"), StoreUnreachable),
    "500 endless": (babble(500), StoreUnreachable),
    "500 nested": (say(500, b"[" * 900), StoreUnreachable),
    "404": (say(404, b"404 page not found"), StoreUnreachable),
    "redirect": (say(302, b"", Location="http://127.0.0.1:1/elsewhere"), StoreUnreachable),
    "cut off": (cut, StoreUnreachable),
    "no http": (no_http, StoreUnreachable),
    "gzip bomb header": (say(200, b"\x1f\x8b" + bytes(50), **{"Content-Encoding": "gzip"}), BlobCorrupt),
}


@pytest.mark.parametrize("name", GETS)
def test_get_is_bounded_and_typed(name: str) -> None:
    answer, error = GETS[name]
    with endpoint(answer) as store:
        started = time.monotonic()
        tracemalloc.start()
        try:
            with pytest.raises(error):
                store.get(DIGEST, 1_000)
            assert tracemalloc.get_traced_memory()[1] < 4_000_000
        finally:
            tracemalloc.stop()
        assert time.monotonic() - started < 3


PUTS: dict[str, tuple[Answer, type[Exception]]] = {
    "another name": (say(200, b'{"Hash":"%s"}' % cid_of(bytes(32)).encode()), StoreError),
    "no name": (say(200, b"{}"), StoreError),
    "a list": (say(200, b"[1]"), StoreError),
    "a number for a name": (say(200, b'{"Hash":7}'), StoreError),
    "not json": (say(200, b"\xff\xfe"), StoreError),
    "nested": (say(200, b"[" * 60_000), StoreError),
    "endless": (babble(), StoreUnreachable),
    "silence": (hang, StoreUnreachable),
    "error": (say(500, b'{"Message":"repo is full"}'), StoreUnreachable),
}


@pytest.mark.parametrize("name", PUTS)
def test_put_is_bounded_and_typed(name: str) -> None:
    answer, error = PUTS[name]
    with endpoint(answer) as store:
        started = time.monotonic()
        with pytest.raises(error):
            store.put(BLOB)
        assert time.monotonic() - started < 3


def test_a_long_error_is_no_oversize() -> None:
    with endpoint(say(500, b'{"Message":"%s"}' % (b"x" * 2_000))) as store, pytest.raises(BlobMissing):
        store.get(DIGEST, 10)


def test_put_accepts_the_right_name() -> None:
    with endpoint(say(200, b'{"Name":"x","Hash":"%s","Size":"8"}\n' % cid_of(DIGEST).encode())) as store:
        assert store.put(BLOB) == DIGEST


def test_wait_is_bounded() -> None:
    with endpoint(say(500, b'{"Message":"not found"}')) as store:
        started = time.monotonic()
        assert not store.wait(DIGEST, 0.3)
        assert time.monotonic() - started < 1
    with endpoint(babble()) as store, pytest.raises(StoreUnreachable, match="no Kubo RPC"):
        store.wait(DIGEST, 0.3)


def test_without_time_the_node_is_still_asked_once() -> None:
    """A verifier that waited for a withheld blob until its time was up counted all behind it as withheld."""
    with endpoint(say(200, b'{"Key":"%s","Size":8}' % cid_of(DIGEST).encode())) as store:
        assert store.wait(DIGEST, 0.0)
    with endpoint(hang) as store:
        started = time.monotonic()
        assert not store.wait(DIGEST, 0.0)
        assert time.monotonic() - started < 3


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        store = IpfsStore(f"/ip4/127.0.0.1/tcp/{unused.getsockname()[1]}")
        for act in (lambda: store.put(BLOB), lambda: store.get(DIGEST, 10), lambda: store.wait(DIGEST, 1)):
            with pytest.raises(StoreUnreachable, match="ipfs daemon"):
                act()
