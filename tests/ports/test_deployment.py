"""The deployment file: one spelling, nothing else is taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.ports.deployment import Deployment
from gradmint.spec.errors import SettingsError

ADDRESS = st.binary(min_size=20, max_size=20)
DEPLOYMENTS = st.builds(
    Deployment,
    chain_id=st.integers(0, 2**64 - 1),
    block=st.integers(0, 2**64 - 1),
    runs=ADDRESS,
    stakes=ADDRESS,
    rounds=ADDRESS,
    settlement=ADDRESS,
    reputation=ADDRESS,
    token=st.none() | ADDRESS,
    certificates=st.none() | ADDRESS,
)
GOOD = Deployment(
    chain_id=1,
    block=2,
    runs=b"\1" * 20,
    stakes=b"\2" * 20,
    rounds=b"\3" * 20,
    settlement=b"\4" * 20,
    reputation=b"\5" * 20,
)


@given(DEPLOYMENTS)
def test_inverse(deployment: Deployment) -> None:
    assert Deployment.from_json(deployment.to_json()) == deployment


def test_files(tmp_path: Path) -> None:
    GOOD.write(tmp_path / "deployment.json")
    assert Deployment.read(tmp_path / "deployment.json") == GOOD
    assert [path.name for path in tmp_path.iterdir()] == ["deployment.json"]
    with pytest.raises(SettingsError, match="gradmint deploy"):
        Deployment.read(tmp_path / "missing.json")
    with pytest.raises(SettingsError, match="another place"):
        GOOD.write(tmp_path / "no" / "such" / "folder.json")
    (tmp_path / "huge.json").write_text(" " * 20_000)
    with pytest.raises(SettingsError, match="another file"):
        Deployment.read(tmp_path / "huge.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError):
        Deployment.read(tmp_path / "binary.json")


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "missing field": lambda d: d.pop("rounds"),
    "unknown field": lambda d: d.update(owner="0x" + "01" * 20),
    "short address": lambda d: d.update(rounds="0x01"),
    "no prefix": lambda d: d.update(rounds="01" * 20),
    "not hex": lambda d: d.update(rounds="0x" + "zz" * 20),
    "trailing line": lambda d: d.update(rounds="0x" + "01" * 20 + "\n"),
    "null": lambda d: d.update(rounds=None),
    "number": lambda d: d.update(rounds=7),
    "negative": lambda d: d.update(chain_id=-1),
    "boolean": lambda d: d.update(chain_id=True),
    "float": lambda d: d.update(chain_id=1.0),
    "text": lambda d: d.update(block="2"),
    "wide": lambda d: d.update(block=2**64),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_anything_else_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    found = json.loads(GOOD.to_json())
    change(found)
    with pytest.raises(SettingsError, match=r"gradmint deploy|expected"):
        Deployment.from_json(json.dumps(found))


@pytest.mark.parametrize("text", ["", "[]", "null", "7", "{", "[" * 10_000, '{"chain_id": NaN}'])
def test_no_deployment_at_all(text: str) -> None:
    with pytest.raises(SettingsError):
        Deployment.from_json(text)
