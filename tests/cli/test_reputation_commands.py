"""Reputation of a run's accounts as people and programs get it, and what they are told when there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from spec.synthetic import FAIR, Script, account, make_report

from gradmint.cli import main, reputation_commands
from gradmint.spec.ledger import Ledger
from gradmint.spec.types import UNSAMPLED, Role, Row, Verdict

BETTER = Row(Verdict.OK, 3_000, UNSAMPLED)
LOSER = Row(Verdict.OK, -500, UNSAMPLED)


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    script = Script()
    script.open_round(trainers=3)
    script.play({0, 1, 2}, make_report((FAIR, BETTER, LOSER)), {3})
    monkeypatch.setattr(reputation_commands, "read_ledgers", lambda *_: [script.ledger])
    return script.ledger


def show(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["reputation", "show", *arguments])
    return result.exit_code, result.output


def name(role: Role, index: int) -> str:
    return f"0x{account(role, index).hex()}"


def test_better_work_is_better_known(ledger: Ledger) -> None:
    found = [json.loads(show(name(Role.TRAINER, t), "--json")[1]) for t in range(3)]
    assert [one["rank"] for one in found] == [2, 1, None]
    assert found[1]["hits"] == pytest.approx(3 * found[0]["hits"]) and found[2]["score"] == 0
    # Three of four founders were in the cluster; each stands for the good trainer with three quarters of its word.
    assert found[1]["hits"] == pytest.approx(0.75 * 0.85 * 0.75)
    assert found[1]["multiplier"] > found[0]["multiplier"] > found[2]["multiplier"] == 0.5
    assert found[0]["seeds"] == [name(Role.VERIFIER, v) for v in range(4)]
    assert found[0]["cut"] is None and found[0]["graph"] == found[1]["graph"]


def test_who_starts_may_be_said(ledger: Ledger) -> None:
    seed = name(Role.VERIFIER, 0)
    found = json.loads(show(name(Role.TRAINER, 1), "--seed", seed, "--json")[1])
    assert found["seeds"] == [seed] and found["hits"] == pytest.approx(0.85 * 0.75)
    other = json.loads(show(name(Role.TRAINER, 1), "--seed", name(Role.VERIFIER, 3), "--json")[1])
    assert other["score"] == 0  # the liar's word is none


def test_people_read_why(ledger: Ledger) -> None:
    code, text = show(name(Role.TRAINER, 1))
    assert code == 0
    assert "rank 1 of 2" in text and "a seed has verified its work itself" in text and "strongest sources" in text
    assert "rating 0.5" in text and "a witness of 4 accounts shows 100.0% of its hits" in text
    code, text = show("0x" + "ab" * 20)
    assert code == 0 and "no walk comes by" in text and "a verified round, or a vouch, by" in text
    code, text = show(name(Role.VERIFIER, 0))
    assert code == 0 and "it is a seed" in text


@pytest.mark.parametrize("address", ["", "0x12", "nobody", "0x" + "g" * 40, "0x" + "ab" * 21])
def test_what_is_no_address_is_said(address: str) -> None:
    code, text = show(address)
    assert code == 2 and "40 hex digits" in text


def test_nothing_final_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script()
    monkeypatch.setattr(reputation_commands, "read_ledgers", lambda *_: [script.ledger])
    code, text = show(name(Role.TRAINER, 0))
    assert code == 2 and "no round is final yet" in text


def test_a_folder_without_a_run_is_said(tmp_path: Path) -> None:
    code, text = show(name(Role.TRAINER, 0), "--out", str(tmp_path))
    assert code == 2 and "chain.json" in text


def test_the_red_team_fails_when_a_bound_is_gone(tmp_path: Path) -> None:
    expect = tmp_path / "expect.json"
    expect.write_text(json.dumps({"bounds": ["serial", "perpetual motion"]}))
    arguments = ["redteam", "reputation", "--quick", "--out", str(tmp_path / "out"), "--expect", str(expect)]
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 1 and "no longer holds: perpetual motion (bounds)" in result.output
    found = json.loads((tmp_path / "out" / "reputation.json").read_text())
    assert {attack["name"] for attack in found["attacks"]} >= {"serial", "own score", "whitewashing"}
    result = CliRunner().invoke(main, [*arguments, "--update"])
    assert result.exit_code == 0 and "serial" in result.output
    assert json.loads(expect.read_text())["bounds"] == [
        a["name"] for a in sorted(found["attacks"], key=lambda a: a["name"]) if a["bound"] is not None
    ]
