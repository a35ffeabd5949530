"""What a red team expects, and what it says when that no longer holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gradmint.cli.study_commands import compared, recipe
from gradmint.spec.errors import ManifestError, SettingsError

CAUGHT = {"report, as admitted": ["made up", "zero"], "training, as admitted": ["sign flip"]}


def test_what_is_no_longer_caught_is_named_with_its_policy(tmp_path: Path) -> None:
    expect = tmp_path / "expect.json"
    assert compared(expect, CAUGHT, update=True) == []
    assert compared(expect, CAUGHT, update=False) == []
    better = {**CAUGHT, "report, as admitted": ["int8", "made up", "zero"]}
    assert compared(expect, better, update=False) == []
    worse = {**CAUGHT, "report, as admitted": ["zero"]}
    assert compared(expect, worse, update=False) == ["made up (report, as admitted)"]
    assert compared(expect, {}, update=False) == [
        "made up (report, as admitted)",
        "zero (report, as admitted)",
        "sign flip (training, as admitted)",
    ]
    assert compared(None, CAUGHT, update=False) == []


@pytest.mark.parametrize("content", [None, "", "[]", "{", '{"report, as admitted": 7}'])
def test_a_file_that_expects_nothing_readable_is_refused(tmp_path: Path, content: str | None) -> None:
    expect = tmp_path / "expect.json"
    if content is not None:
        expect.write_text(content)
    with pytest.raises(SettingsError, match="--update"):
        compared(expect, CAUGHT, update=False)
    with pytest.raises(SettingsError, match="--expect"):
        compared(None, CAUGHT, update=True)


def test_the_snapshot_lists_every_attack_that_changes_the_work() -> None:
    snapshot = json.loads((Path(__file__).parents[2] / "snapshots" / "redteam_verify.json").read_text())
    assert {"int8", "bf16", "stale by 1 step", "stale by a round"} <= set(snapshot["report, float32 alone"])
    assert {"one step left out", "half the batch", "other data", "gain told twice"} <= set(
        snapshot["training, as admitted"]
    )


def test_a_recipe_is_the_tasks_with_what_was_asked_for() -> None:
    plain = recipe("digits", (), None, None, None)
    assert plain.assessment.words == 4 and len(plain.numerics.admitted) == 7
    other = recipe("digits", ("float32", "bfloat16", "float32"), 8, 2, 1e-3)
    assert other.numerics.admitted == ("bfloat16", "float32")
    assert (other.assessment.words, other.assessment.precision_words) == (8, 2)
    with pytest.raises(ManifestError, match=r"numerics\.admitted"):
        recipe("digits", ("float16",), None, None, None)
    with pytest.raises(ManifestError, match="precision_words 4"):
        recipe("digits", (), 4, 4, None)
