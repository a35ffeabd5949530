"""One small demo, played once, looked at by many tests."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Played:
    out: Path
    summary: dict[str, Any]
    code: int
    stderr: str


def gradmint(*arguments: str, timeout: float = 180, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command line as a user's shell runs it."""
    return subprocess.run(
        [sys.executable, "-m", "gradmint", *arguments], capture_output=True, text=True, timeout=timeout, cwd=cwd
    )


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """A finished digits run: 5 trainers of whom 2 cheat, 4 verifiers of whom one lies."""
    out = tmp_path_factory.mktemp("demo") / "out"
    done = gradmint(
        *("demo", "--task", "digits", "--rounds", "4", "--trainers", "5", "--adversaries", "copycat,poisoner"),
        *("--out", str(out), "--json"),
    )
    assert done.stdout, done.stderr
    return Played(out, json.loads(done.stdout), done.returncode, done.stderr)
