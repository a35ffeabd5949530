"""The journal keeps its word over crashes, for its owner only, one process at a time."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradmint.roles.journal import Journal
from gradmint.spec.errors import JournalError

ME = "chain 1, rounds 0xaa, run 1, account 0xbb"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path, ME)
    yield journal
    journal.close()


def in_another_process(code: str, path: Path) -> subprocess.Popen[str]:
    preamble = (
        f"import os, signal, sys\nfrom pathlib import Path\nfrom gradmint.roles.journal import Journal\nME = {ME!r}\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", preamble + code, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_get_what_was_put(journal: Journal) -> None:
    assert journal.get(1, "train") is None
    journal.put(1, "train", b"one")
    journal.put(2, "train", b"two")
    journal.put(1, "assess", b"")
    assert (journal.get(1, "train"), journal.get(2, "train"), journal.get(1, "assess")) == (b"one", b"two", b"")
    journal.put(1, "train", b"again")
    assert (journal.get(1, "train"), journal.get(2, "train")) == (b"again", b"two")


@given(st.integers(1, 2**40), st.text(max_size=30), st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
def test_any_bytes_under_any_name(journal: Journal, round_: int, name: str, value: bytes) -> None:
    journal.put(round_, name, value)
    assert journal.get(round_, name) == value


def test_drop(journal: Journal) -> None:
    journal.put(1, "a", b"x")
    journal.put(1, "b", b"y")
    journal.drop(1, "a")
    journal.drop(9, "never there")
    assert (journal.get(1, "a"), journal.get(1, "b")) == (None, b"y")


def test_latest_looks_back_only(journal: Journal) -> None:
    assert journal.latest("residual", before=100) is None
    for round_ in (2, 3, 7):
        journal.put(round_, "residual", bytes([round_]))
    journal.put(6, "other", b"x")
    assert [journal.latest("residual", before=before) for before in (2, 3, 4, 7, 8, 99)] == [
        None,
        b"\x02",
        b"\x03",
        b"\x03",
        b"\x07",
        b"\x07",
    ]
    assert journal.latest("identity", before=99) is None


def test_forget_keeps_the_recent_rounds_and_the_identity(path: Path, journal: Journal) -> None:
    for round_ in range(1, 6):
        journal.put(round_, "train", b"x")
    journal.forget(before=4)
    assert [journal.get(round_, "train") for round_ in range(1, 6)] == [None, None, None, b"x", b"x"]
    journal.forget(before=-2)
    assert journal.get(4, "train") == b"x"
    journal.close()
    with pytest.raises(JournalError, match="belongs to"):
        Journal(path, "somebody else")


def test_restart_finds_everything(path: Path) -> None:
    first = Journal(path, ME)
    first.put(3, "assess", b"salt and report")
    first.close()
    second = Journal(path, ME)
    assert second.get(3, "assess") == b"salt and report"
    second.close()


# Crashes


def test_killed_right_after_put(path: Path) -> None:
    process = in_another_process(
        "Journal(Path(sys.argv[1]), ME).put(1, 'assess', b'salt' * 1000); os.kill(os.getpid(), signal.SIGKILL)", path
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors
    journal = Journal(path, ME)
    assert journal.get(1, "assess") == b"salt" * 1000
    journal.close()


def test_killed_in_the_middle_of_many(path: Path) -> None:
    """Whatever put() returned for is there, and every value is whole."""
    code = """
journal = Journal(Path(sys.argv[1]), ME)
for i in range(1, 1_000_000):
    journal.put(i, 'train', bytes([i % 256]) * 3_000)
    print(i, flush=True)
"""
    process = in_another_process(code, path)
    assert process.stdout is not None
    acknowledged = 0
    for line in process.stdout:
        acknowledged = int(line)
        if acknowledged == 40:
            process.kill()
            break
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors
    acknowledged = max([acknowledged, *(int(line) for line in rest.split("\n") if line)])
    journal = Journal(path, ME)
    kept = [journal.get(i, "train") for i in range(1, acknowledged + 1)]
    assert kept == [bytes([i % 256]) * 3_000 for i in range(1, acknowledged + 1)]
    journal.close()


def test_flushed_to_disk_not_only_to_the_system(journal: Journal) -> None:
    """A kill cannot show this, a power cut would: FULL is 2."""
    assert journal._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert not journal._db.in_transaction


# One owner


def test_another_identity_is_refused_by_both_names(path: Path) -> None:
    Journal(path, ME).close()
    with pytest.raises(JournalError) as refused:
        Journal(path, "chain 2, run 9")
    for part in (str(path), ME, "chain 2, run 9", "--home"):
        assert part in str(refused.value)


def test_a_second_process_is_refused_and_told_why(path: Path, journal: Journal) -> None:
    journal.put(1, "train", b"mine")
    code = """
from gradmint.spec.errors import JournalError
try:
    Journal(Path(sys.argv[1]), ME)
except JournalError as error:
    print(error)
"""
    said, errors = in_another_process(code, path).communicate(timeout=60)
    assert errors == ""
    for part in (str(path), "locked", "another process of this participant", "--home"):
        assert part in said
    assert journal.get(1, "train") == b"mine"


def test_the_lock_goes_with_the_process(path: Path) -> None:
    process = in_another_process("Journal(Path(sys.argv[1]), ME); os.kill(os.getpid(), signal.SIGKILL)", path)
    process.communicate(timeout=60)
    Journal(path, ME).close()


def test_owner_only_whatever_the_umask(path: Path) -> None:
    path.parent.mkdir(parents=True)
    before = os.umask(0)
    try:
        journal = Journal(path, ME)
        journal.put(1, "assess", b"salt")
        files = sorted(path.parent.iterdir())
        assert path in files and len(files) >= 2  # the write-ahead log holds the same secrets
        assert {file.name: stat.filemode(file.stat().st_mode) for file in files} == {
            file.name: "-rw-------" for file in files
        }
        journal.close()
    finally:
        os.umask(before)


def test_owner_only_also_when_the_file_was_there(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()
    path.chmod(0o644)
    Journal(path, ME).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_no_journal_is_refused(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is no database, and long enough to be looked at" * 100)
    with pytest.raises(JournalError, match="not a database"):
        Journal(path, ME)
    with pytest.raises(JournalError, match="--home"):
        Journal(path.parent, ME)  # a directory
