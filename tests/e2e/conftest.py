"""One small demo, played once, looked at by many tests."""

from __future__ import annotations

import json
import os
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
        [sys.executable, "-m", "gradmint", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        },  # users' own attacks
    )


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """A finished digits run: 6 trainers of whom 3 cheat, 4 verifiers of whom one does; two are brought along."""
    out = tmp_path_factory.mktemp("demo") / "out"
    done = gradmint(
        *("demo", "--task", "digits", "--rounds", "4", "--trainers", "6", "--out", str(out), "--json"),
        *("--adversaries", "copycat,poisoner,own_attacks:Noisy", "--bad-verifiers", "own_attacks:Mumbler"),
    )
    assert done.stdout, done.stderr
    return Played(out, json.loads(done.stdout), done.returncode, done.stderr)
