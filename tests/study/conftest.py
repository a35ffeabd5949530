"""One small study of digits, measured once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gradmint.learn.manifest import Manifest, preset
from gradmint.study.redteam import Played, play
from gradmint.study.samples import Plan

CALIBRATING = Plan(rounds=2, draws=4, trained=2, retrained=28)
ATTACKING = Plan(rounds=2, draws=2, trained=4, retrained=4, first=1_000)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    """Digits, for four configurations: eight honest ones take a minute where cores are few."""
    whole = preset("digits")
    admitted = ("bfloat16", "float32", "float32/kernel=plain", "float32/micro=512")
    return replace(whole, numerics=replace(whole.numerics, admitted=admitted))


@pytest.fixture(scope="session")
def samples_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study") / "samples.jsonl"


@pytest.fixture(scope="session")
def played(manifest: Manifest, samples_file: Path) -> list[Played]:
    return play(manifest, CALIBRATING, ATTACKING, samples_file)
