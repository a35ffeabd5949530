"""Reputation of a deployment's accounts as people and programs get it, and what they are told when there is none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from gradmint.cli import main, reputation_commands
from gradmint.spec.endorsements import ReputationEvent
from gradmint.spec.events import Position
from gradmint.spec.reputation_params import STANDARD_REPUTATION, ReputationParams
from gradmint.study.scribe import Scribe

VERA, VIC, ALICE, BOB, CAROL = (bytes([number]) * 20 for number in range(1, 6))
WEI = STANDARD_REPUTATION.vouch_round_wei


class Written:
    """A :class:`~gradmint.ports.reputation.ReputationReader` of what a scribe wrote."""

    address, token = b"\xaa" * 20, b"\x70" * 20

    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe

    @property
    def params(self) -> ReputationParams:
        return self._scribe.book.params

    @property
    def seeds(self) -> tuple[bytes, ...]:
        return tuple(sorted(self._scribe.book.seeds))

    def block(self) -> int:
        return self._scribe.block

    def events(self, after: Position | None = None) -> Sequence[ReputationEvent]:
        return [event for event in self._scribe.events if after is None or event.position > after]

    def purse_wei(self, account: bytes) -> int:
        return self._scribe.book.purses_wei.get(account, 0)

    def rating_q32(self, account: bytes) -> int:
        return self._scribe.book.rating_of(account, self._scribe.epoch)

    def held_wei(self) -> int:
        book, bond_wei = self._scribe.book, self.params.bond_wei
        locked_wei = sum(locked.stake_wei for locked in book.vouches.values())
        bonds = sum(1 + (pending.challenge is not None) for pending in book.proposals.values())
        return sum(book.purses_wei.values()) + locked_wei + bonds * bond_wei


class NoChain:
    """Of no run."""

    def events(self, _: int) -> list[ReputationEvent]:
        return []


@pytest.fixture
def scribe(monkeypatch: pytest.MonkeyPatch) -> Scribe:
    """Two seeds have verified two trainers; Carol has Bob's word for it."""
    found = Scribe(STANDARD_REPUTATION, [VERA, VIC])
    found.harvest(1, [VERA, VIC], {ALICE: 3_000, BOB: 1_000}, new_rounds=1)
    found.vouch(BOB, CAROL, WEI)
    found.wait()
    monkeypatch.setattr(reputation_commands, "open_reputation", lambda *_: (Written(found), NoChain(), range(1, 1)))
    return found


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["reputation", *arguments])
    return result.exit_code, result.output


def name(account: bytes) -> str:
    return f"0x{account.hex()}"


def test_better_work_is_better_known(scribe: Scribe) -> None:
    found = [json.loads(run("show", name(account), "--json")[1]) for account in (ALICE, BOB, CAROL)]
    assert [one["rank"] for one in found] == [1, 2, 3]
    assert found[0]["hits"] == pytest.approx(3 * found[1]["hits"]) == pytest.approx(0.85 * 0.75)
    assert [one["connectivity"] for one in found] == [4, 4, 1]
    assert found[0]["seeds"] == [name(VERA), name(VIC)]
    assert found[2]["cut"] == [name(BOB)] and found[0]["cut"] is None
    stranger = json.loads(run("show", name(b"\xab" * 20), "--json")[1])
    assert stranger["rating"] == 0 and stranger["multiplier"] == 0.5


def test_people_read_why(scribe: Scribe) -> None:
    code, text = run("show", name(ALICE))
    assert code == 0
    assert "rank 1 of 3" in text and "a seed has verified its work itself" in text and "strongest sources" in text
    assert "no rating counts; none is proposed" in text
    code, text = run("show", name(b"\xab" * 20))
    assert code == 0 and "no walk comes by" in text and "a verified round, or a vouch, by" in text
    code, text = run("show", name(VERA))
    assert code == 0 and "it is a seed" in text


def test_what_counts_is_what_was_proposed(scribe: Scribe) -> None:
    scribe.propose(ALICE, 1 << 54, 4)
    told = json.loads(run("show", name(ALICE), "--json")[1])["on_chain"]
    assert told["rating_q32"] == 0 and told["proposed"]["hits"] == str(1 << 54)
    assert "proposed, final at block" in run("show", name(ALICE))[1]
    scribe.pass_blocks(STANDARD_REPUTATION.challenge_blocks)
    scribe.finalise(ALICE)
    listed = json.loads(run("list", "--json")[1])["accounts"]
    assert listed[0]["account"] == name(ALICE) and len(listed) == 5
    assert listed[0]["rating"] > 0.3 and listed[0]["until_epoch"] == 3 and listed[0]["hits"] == 0.25
    assert listed[0]["purse_wei"] == str(STANDARD_REPUTATION.bond_wei)
    assert {row["account"] for row in listed if row["is_seed"]} == {name(VERA), name(VIC)}
    code, text = run("list")
    assert code == 0 and text.count("seed") == 2 and name(CAROL) in text
    scribe.wait(3)
    listed = json.loads(run("list", "--json")[1])["accounts"]
    assert all(row["rating_q32"] == 0 for row in listed)


def test_an_audit_says_what_adds_up(scribe: Scribe) -> None:
    scribe.propose(ALICE, 1 << 54, 4)
    scribe.pass_blocks(STANDARD_REPUTATION.challenge_blocks)
    scribe.finalise(ALICE)
    code, text = run("audit", "--json")
    found = json.loads(text)
    assert code == 0 and found["ok"] and found["unchecked_runs"] == [1]
    assert found["held_wei"] == str(STANDARD_REPUTATION.bond_wei + WEI) and found["stakes_wei"] == str(WEI)
    assert [one["hits"] for one in found["ratings"]] == [str(1 << 54)]
    code, text = run("audit")
    assert code == 0 and "reputation clean" in text and "taken as they are: harvests of runs 1" in text
    assert "purses 10 + behind vouches 1 = 11" in text


def test_an_audit_fails_on_a_rating_that_cannot_be_shown(scribe: Scribe) -> None:
    scribe.propose(CAROL, 1 << 55, 1)
    code, text = run("audit")
    assert code == 1 and "reputation diverged" in text and "at most" in text
    scribe.challenge(CAROL, ALICE)  # who is doubted is being dealt with
    assert run("audit")[0] == 0
    scribe.prove(CAROL)  # the contract would not have taken it
    code, text = run("audit", "--json")
    assert code == 1 and "RatingFinal" in json.loads(text)["divergences"][0]["row"]


@pytest.mark.parametrize("address", ["", "0x12", "nobody", "0x" + "g" * 40, "0x" + "ab" * 21])
def test_what_is_no_address_is_said(address: str) -> None:
    code, text = run("show", address)
    assert code == 2 and "40 hex digits" in text


def test_nobody_endorsed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = Scribe(STANDARD_REPUTATION, [VERA])
    monkeypatch.setattr(reputation_commands, "open_reputation", lambda *_: (Written(empty), NoChain(), range(1, 1)))
    code, text = run("show", name(ALICE))
    assert code == 2 and "nobody is endorsed yet" in text
    assert run("list")[0] == 0


def test_a_folder_without_a_run_is_said(tmp_path: Path) -> None:
    code, text = run("show", name(ALICE), "--out", str(tmp_path))
    assert code == 2 and "chain.json" in text


@pytest.mark.parametrize("command", sorted(reputation_commands.reputation_group.commands))
def test_every_command_shows_how_it_is_typed(command: str) -> None:
    code, text = run(command, "--help")
    assert code == 0 and f"gradmint reputation {command}" in text


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
