"""One suite for every blob store: in memory, in a directory, on a real IPFS node (`pytest -m ipfs`)."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gradmint.ports.cid import MAX_BLOB_BYTES, cid_of, digest_of
from gradmint.ports.local_store import LocalStore
from gradmint.ports.memory_store import MemoryStore
from gradmint.ports.open_store import open_store
from gradmint.ports.store import Store
from gradmint.spec.errors import BlobCorrupt, BlobMissing, Oversize, SettingsError, StoreError, StoreUnreachable

from .ipfs_node import ipfs_node

SIZES = [0, 1, 31, 1_000, 262_144, 262_145, MAX_BLOB_BYTES]


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ipfs_node(tmp_path_factory.mktemp("ipfs") / "repository") as address:
        yield address


@pytest.fixture(params=["memory", "local", pytest.param("ipfs", marks=pytest.mark.ipfs)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "ipfs":
        from gradmint.ports.ipfs_store import IpfsStore

        return IpfsStore(request.getfixturevalue("node"), timeout_s=2.0)
    return MemoryStore() if request.param == "memory" else LocalStore(tmp_path / "blobs")


@pytest.mark.parametrize("size", SIZES)
def test_same_bytes_same_name(store: Store, size: int) -> None:
    blob = os.urandom(size)
    digest = store.put(blob)
    assert digest == hashlib.sha256(blob).digest()
    assert store.get(digest, size) == blob
    assert store.put(blob) == digest


def test_oversize_is_refused_before_it_is_kept(store: Store) -> None:
    blob = os.urandom(MAX_BLOB_BYTES + 1)
    with pytest.raises(Oversize):
        store.put(blob)
    with pytest.raises(BlobMissing):
        store.get(digest_of(blob), len(blob))


def test_get_stops_at_its_bound(store: Store) -> None:
    digest = store.put(os.urandom(1_001))
    assert len(store.get(digest, 1_001)) == 1_001
    with pytest.raises(Oversize, match="1000"):
        store.get(digest, 1_000)


def test_missing_names_the_blob(store: Store) -> None:
    digest = os.urandom(32)
    with pytest.raises(BlobMissing):
        store.get(digest, 10)


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(33)])
def test_a_digest_has_32_bytes(store: Store, digest: bytes) -> None:
    with pytest.raises(StoreError, match="32 bytes"):
        store.get(digest, 10)
    with pytest.raises(StoreError, match="32 bytes"):
        store.wait(digest, 0.1)


def test_wait_returns_at_once_for_what_is_there(store: Store) -> None:
    digest = store.put(os.urandom(100))
    started = time.monotonic()
    assert store.wait(digest, 10) and store.wait(digest, 0)
    assert time.monotonic() - started < 1


def test_wait_gives_up_in_time_and_costs_next_to_nothing(store: Store) -> None:
    started, used = time.monotonic(), time.thread_time()
    assert not store.wait(os.urandom(32), 0.5)
    assert 0.45 < time.monotonic() - started < 2
    assert time.thread_time() - used < 0.05


def test_wait_sees_a_blob_arrive(store: Store) -> None:
    blob = os.urandom(100)
    timer = threading.Timer(0.2, store.put, [blob])
    timer.start()
    started = time.monotonic()
    assert store.wait(digest_of(blob), 10)
    assert 0.15 < time.monotonic() - started < 3
    timer.join()


# The directory alone


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "blobs")


def test_files_are_named_by_cid(local: LocalStore) -> None:
    local.put(b"hello world")
    assert [path.name for path in local.directory.iterdir()] == [
        "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
    ]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "flipped": lambda blob: bytes([blob[0] ^ 1]) + blob[1:],
    "truncated": lambda blob: blob[:-1],
    "empty": lambda blob: b"",
    "longer": lambda blob: blob + b"\0",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_and_healed(local: LocalStore, damage: Callable[[bytes], bytes]) -> None:
    blob = os.urandom(500)
    digest = local.put(blob)
    local.path(digest).write_bytes(damage(blob))
    with pytest.raises(BlobCorrupt) as caught:
        local.get(digest, 1_000)
    assert digest.hex() in str(caught.value) and digest_of(damage(blob)).hex() in str(caught.value)
    local.put(blob)
    assert local.get(digest, 1_000) == blob


def test_a_huge_file_is_not_read(local: LocalStore) -> None:
    digest = digest_of(b"x")
    with open(local.path(digest), "wb") as file:
        file.truncate(1 << 40)
    started = time.monotonic()
    with pytest.raises(Oversize):
        local.get(digest, MAX_BLOB_BYTES)
    assert time.monotonic() - started < 1


def test_pipes_links_sockets_and_directories_are_no_blobs(
    local: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One blob's fault, not the store's: who waited for the store would wait in vain."""
    (tmp_path / "secret").write_bytes(b"x")
    digest = digest_of(b"x")
    path = local.path(digest)

    def listen() -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)  # addresses are short

    monkeypatch.chdir(path.parent)
    for make in (lambda: os.mkfifo(path), lambda: path.symlink_to(tmp_path / "secret"), path.mkdir, listen):
        make()
        with pytest.raises(BlobCorrupt):
            local.get(digest, 10)
        path.rmdir() if path.is_dir() else path.unlink()


def test_stray_temporary_files_are_ignored(local: LocalStore) -> None:
    (local.directory / ".put-abandoned").write_bytes(b"half a bl")
    digest = local.put(b"whole")
    assert local.get(digest, 10) == b"whole"
    assert not local.wait(digest_of(b"half a bl"), 0.02)


def test_a_failed_write_leaves_nothing(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnreachable, match="No space left"):
        local.put(b"blob")
    assert list(local.directory.iterdir()) == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_who_may_read_a_blob_is_for_the_umask_to_say(local: LocalStore, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        digest = local.put(b"blob")
    finally:
        os.umask(before)
    assert stat.S_IMODE(local.path(digest).stat().st_mode) == mode


def test_a_file_where_the_directory_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnreachable, match="choose one"):
        LocalStore(tmp_path / "file" / "blobs")


def _hammer(directory: str, blobs: list[bytes]) -> None:
    store = LocalStore(directory)
    for _ in range(5):
        for blob in blobs:
            digest = store.put(blob)
            assert store.get(digest, len(blob)) == blob


def test_many_processes_at_once(local: LocalStore) -> None:
    blobs = [os.urandom(50_000) for _ in range(8)]
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_hammer, args=(str(local.directory), blobs)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert sorted(path.name for path in local.directory.iterdir()) == sorted(cid_of(digest_of(blob)) for blob in blobs)


def test_open_store(tmp_path: Path) -> None:
    assert isinstance(open_store(str(tmp_path / "blobs")), LocalStore)
    for address in ("/ip4/127.0.0.1/tcp/5001", "/dns/node.example/tcp/443/https", "/ip6/::1/tcp/5001/http"):
        assert type(open_store(address)).__name__ == "IpfsStore"
    for address in ("/ip4/127.0.0.1", "/ip4/300.1.1.1/tcp/5001", "/ip4/127.0.0.1/udp/5001", "/dns/x/tcp/1/ftp"):
        with pytest.raises(SettingsError, match="Kubo RPC"):
            open_store(address)
