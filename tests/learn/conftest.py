"""Small games that the tests of learn/ share."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gradmint.learn.manifest import Manifest, load_task, preset
from gradmint.learn.state import Layout, State, initial_state, layout_of
from gradmint.learn.tasks import Task

torch.set_num_threads(1)

BEACONS = tuple(bytes([i]) * 32 for i in range(1, 9))


@pytest.fixture(scope="session")
def manifest() -> Manifest:
    """The digits preset with two words."""
    whole = preset("digits")
    return replace(whole, assessment=replace(whole.assessment, words=2, output_words=1))


@pytest.fixture(scope="session")
def task(manifest: Manifest) -> Task:
    return load_task(manifest)


@pytest.fixture(scope="session")
def layout(task: Task, manifest: Manifest) -> Layout:
    return layout_of(task, manifest)


@pytest.fixture(scope="session")
def start(task: Task, manifest: Manifest) -> State:
    return initial_state(task, manifest)
