"""The task in docs/writing-a-task.md works as printed."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gradmint.learn.assess import Expected, assess, check
from gradmint.learn.codec import Header, encode
from gradmint.learn.manifest import Manifest, load_task, preset
from gradmint.learn.outer import advance
from gradmint.learn.proof import claims
from gradmint.learn.state import digest, initial_state, layout_of
from gradmint.learn.train import compress, local_round
from gradmint.spec.errors import ManifestError
from gradmint.spec.types import Verdict

PAGE = Path(__file__).parents[2] / "docs" / "writing-a-task.md"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    (tmp_path / "tumours.py").write_text(found[1])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tumours", raising=False)
    return "tumours:factory"


def test_the_documented_task_trains_and_is_assessed(module: str) -> None:
    manifest = preset(module, seed=3)
    assert Manifest.decode(manifest.encode()) == manifest
    task = load_task(manifest)
    layout, state = layout_of(task, manifest), initial_state(task, manifest)
    losses = []
    for round_ in range(3):
        checked = {}
        for trainer in range(2):
            expected = Expected(run=1, round=round_, author=bytes([trainer]) * 20, base=digest(state, layout))
            trained = local_round(task, manifest, state, bytes([round_]) * 32, trainer)
            update, _ = compress(trained.delta, None, manifest)
            said = claims(task, manifest, state, update, bytes([round_]) * 32, trainer)
            header = Header(
                run=1,
                round=round_,
                author=expected.author,
                base=expected.base,
                layout=layout.digest,
                claimed_gain_micronats=said.gain_micronats,
                words=said.words,
                marks=trained.marks,
            )
            blob = encode(header, update)
            checked[trainer] = check(blob, expected, manifest, layout)
            assert checked[trainer].verdict == Verdict.OK, checked[trainer].reason
        report = assess(task, manifest, state, checked, 2, bytes([round_]) * 32, b"a" * 32).report
        losses.append(report.loss_micronats)
        updates = {t: c.update for t, c in checked.items() if c.update is not None}
        state = advance(manifest, state, updates, [t for t in updates if report.rows[t].common_gain_micronats > 0])
    assert losses[-1] < 0.7 * losses[0]


def test_a_task_without_one_member_is_refused(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tumours = __import__("tumours").Tumours
    monkeypatch.delattr(tumours, "hidden")
    with pytest.raises(ManifestError, match="lacks part of"):
        preset(module)


def test_another_package_version_with_other_data_is_refused(module: str) -> None:
    manifest = preset(module)
    other = replace(manifest, task=replace(manifest.task, data_sha256="1" * 64))
    with pytest.raises(ManifestError, match="the run pinned 1111"):
        load_task(other)
