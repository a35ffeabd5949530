"""One Anvil for the session, the contracts on it, and the harness around the libraries."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT / "scripts")]  # world.py; vectors.py, whose random cases the fuzz tests share

from world import Chain, Contract, World, anvil, deploy, test_artifact  # noqa: E402


def _compile_if_stale() -> None:
    built = ROOT / ".build" / "test" / "Harness.json"
    sources = [ROOT / "scripts" / "compile.py"]
    sources += [path for path in (ROOT / "contracts").rglob("*.sol") if not {"forge", "proofs"} & set(path.parts)]
    if not built.exists() or built.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        subprocess.run([sys.executable, ROOT / "scripts" / "compile.py", "--test", "--check"], check=True, timeout=300)


@pytest.fixture(scope="session")
def chain() -> Iterator[Chain]:
    _compile_if_stale()
    with anvil() as started:
        yield started


@pytest.fixture(scope="session")
def world(chain: Chain) -> World:
    """Shared: every test opens runs of its own."""
    return World.on(chain)


@pytest.fixture(scope="session")
def harness(chain: Chain) -> Contract:
    return deploy(chain, test_artifact("Harness"), (), (), "0x" + "11" * 20)
