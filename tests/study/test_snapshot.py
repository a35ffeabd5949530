"""The presets' tolerances are what a kept calibration says, and what it says of false alarms is what is promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gradmint.learn.manifest import preset
from gradmint.learn.tolerances import TOLERANCES, WIDEST

SNAPSHOT: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "snapshots" / "calibration.json").read_text(encoding="ascii")
)
ADMITTED = {task: policies["as-admitted"] for task, policies in SNAPSHOT.items()}
AUDITED = {task: found["training"]["tolerances"] for task, found in ADMITTED.items() if "training" in found}


def held(task: str) -> dict[str, int]:
    return {name: getattr(preset(task).assessment, name) for name in TOLERANCES}


@pytest.mark.parametrize("task", AUDITED)
def test_a_presets_tolerances_are_those_measured(task: str) -> None:
    assert held(task) == AUDITED[task]


def test_tasks_without_a_calibration_have_the_widest_of_those_with_one() -> None:
    assert {"bytes", "digits"} <= set(AUDITED)
    widest = {name: max(found[name] for found in AUDITED.values()) for name in TOLERANCES}
    assert dict(WIDEST) == widest


def test_false_alarms_are_shown_to_be_rare() -> None:
    """Of honest comparisons, on audits that the tolerances have not seen."""
    for task in AUDITED:
        alarms = ADMITTED[task]["training"]["alarms"]
        assert alarms["hits"] == 0
    assert ADMITTED["digits"]["training"]["alarms"]["trials"] >= 3_000
    assert ADMITTED["digits"]["training"]["alarms"]["high"] <= 1e-3
    for policy in SNAPSHOT["digits"].values():
        assert policy["report"]["alarms_2_of_3"]["hits"] == 0
        assert policy["report"]["alarms_2_of_3"]["high"] < 0.000267
