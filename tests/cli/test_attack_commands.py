"""What ``gradmint redteam train`` plays, writes, expects and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gradmint.cli import main
from gradmint.cli.attack_commands import QUICK
from gradmint.spec.errors import SettingsError
from gradmint.study import attack_table
from gradmint.study.attack_table import Grid
from gradmint.study.attacks import ATTACKS

SNAPSHOT = Path(__file__).parents[2] / "snapshots" / "redteam_train.json"
SMALL = ("--trainers", "6", "--rounds", "4", "--share", "31", "--skew", "iid", "--jobs", "1")


def redteam(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["redteam", "train", *arguments])


def test_a_small_table_is_written_shown_and_drawn(tmp_path: Path) -> None:
    asked = (
        *SMALL,
        "--attack",
        "zero",
        "--attack",
        "NaN",
        "--rule",
        "default",
        "--rule",
        "mean",
        "--out",
        str(tmp_path),
    )
    result = redteam(*asked, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert found["missed"] == []
    assert [(cell["attack"], cell["rule"]) for cell in found["cells"]] == [
        *(("zero", "default"), ("NaN", "default"), ("zero", "mean"), ("NaN", "mean")),
    ]
    assert json.loads((tmp_path / "attacks.json").read_text()) == found["cells"]
    assert (tmp_path / "attacks.html").read_text().count("<svg") == len(list(tmp_path.glob("*.svg"))) == 3
    again = redteam(*asked)
    assert again.exit_code == 0 and "points of accuracy lost" in again.output


@pytest.mark.parametrize(
    ("asked", "seeds"), [((), (0,)), (("--quick",), (1,)), (("--quick", "--seed", "0"), (0,)), (("--seed", "3"), (3,))]
)
def test_the_seed_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: tuple[str, ...], seeds: tuple[int, ...]
) -> None:
    played: list[Grid] = []

    def collect(grid: Grid, *_: object) -> dict[object, object]:
        played.append(grid)
        raise SettingsError("enough")

    monkeypatch.setattr(attack_table, "collect", collect)
    redteam(*asked, "--out", str(tmp_path))
    assert [grid.seeds for grid in played] == [seeds]


def test_what_is_no_longer_harmless_is_named(tmp_path: Path) -> None:
    expect = tmp_path / "expect.json"
    asked = (*SMALL, "--attack", "FOE", "--rule", "mean", "--out", str(tmp_path), "--expect", str(expect))
    assert redteam(*asked, "--update").exit_code == 0
    where = "2 of 6, iid, mean"
    assert json.loads(expect.read_text()) == {where: []}
    expect.write_text(json.dumps({where: ["FOE"]}))
    result = redteam(*asked)
    assert result.exit_code == 1 and f"no longer harmless: FOE ({where})" in result.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--attack", "flattery"), "no attack is called flattery; there are: sign flip, ALIE"),
        (("--rule", "coin toss"), "no rule is called coin toss; there are: default"),
        (("--share", "1"), "at least one attacks, fewer than half"),
        (("--trainers", "4", "--share", "49"), "at least one attacks, fewer than half"),
    ],
)
def test_what_is_no_setting_is_refused(tmp_path: Path, arguments: tuple[str, ...], complaint: str) -> None:
    result = redteam(*arguments, "--out", str(tmp_path))
    assert result.exit_code != 0
    assert complaint in f"{result.output} {result.exception}"


def test_the_snapshot_lists_one_attack_of_each_kind() -> None:
    snapshot = json.loads(SNAPSHOT.read_text())
    assert set(snapshot) == {"5 of 16, dirichlet, default"}
    assert set(snapshot["5 of 16, dirichlet, default"]) == set(QUICK) <= set(ATTACKS)
