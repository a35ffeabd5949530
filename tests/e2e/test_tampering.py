"""One thing at a time is corrupted in a copy of a finished run; the audit names it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gradmint.ports.cid import cid_of
from gradmint.ports.recorded_chain import RecordedChain
from gradmint.spec.events import Event, Recorded
from gradmint.spec.ledger import Ledger

from .conftest import Played, gradmint

pytestmark = pytest.mark.xdist_group("demo")


@pytest.fixture
def copy(played: Played, tmp_path: Path) -> Path:
    target = tmp_path / "copy"
    shutil.copytree(played.out, target, ignore=shutil.ignore_patterns("homes", "chain", "keys"))
    return target


def audited(out: Path) -> dict[str, Any]:
    """The audit's only divergence."""
    done = gradmint("audit", "--out", str(out), "--json")
    assert done.returncode == 1, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert not found["ok"]
    (divergence,) = found["divergences"]
    return dict(divergence)


def edit(out: Path, kind: str, nth: int, change: dict[str, Any]) -> dict[str, Any]:
    """Alter fields of the nth event of a kind in the recorded chain; returns the event as it was."""
    path = out / "chain.json"
    recorded = json.loads(path.read_text())
    event = [row for row in recorded["events"] if row["event"] == kind][nth]
    before = dict(event)
    event = event.get("outcome", event)
    for name, value in change.items():
        assert event[name] != value
        event[name] = value
    path.write_text(json.dumps(recorded))
    return before


def test_a_blob(copy: Path, played: Played) -> None:
    recorded = json.loads((copy / "chain.json").read_text())
    submission = [row for row in recorded["events"] if row["event"] == "Submitted"][7]
    blob = copy / "blobs" / cid_of(bytes.fromhex(submission["digest"][2:]))
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(bytes(content))
    found = audited(copy)
    assert found["round"] == 2  # six trainers: the eighth submission is round 2's
    assert submission["digest"][2:] in found["why"]


def test_a_missing_blob(copy: Path) -> None:
    recorded = json.loads((copy / "chain.json").read_text())
    submission = next(row for row in recorded["events"] if row["event"] == "Submitted")
    (copy / "blobs" / cid_of(bytes.fromhex(submission["digest"][2:]))).unlink()
    assert audited(copy)["round"] == 1


@pytest.mark.parametrize(
    ("kind", "nth", "change", "round_"),
    [
        ("Submitted", 7, {"claimed_gain_micronats": 123_456_789}, 2),
        ("Held", 5, {"base": "0x" + "11" * 32}, 2),
        ("Committed", 1, {"commitment": "0x" + "22" * 32}, 1),
        ("PhaseOpened", 1, {"beacon": "0x" + "33" * 32}, 1),
        ("Admitted", 2, {"stake_wei": 1}, None),
    ],
)
def test_an_event_row(copy: Path, kind: str, nth: int, change: dict[str, Any], round_: int | None) -> None:
    before = edit(copy, kind, nth, change)
    found = audited(copy)
    assert found["round"] == round_
    assert found["row"] == f"{kind} at block {before['block']} log {before['log']}"
    assert "transcript" in found["expected"] or "transcript" in found["why"]


def test_a_dropped_row(copy: Path) -> None:
    path = copy / "chain.json"
    recorded = json.loads(path.read_text())
    index = [i for i, row in enumerate(recorded["events"]) if row["event"] == "Revealed"][5]
    del recorded["events"][index]
    path.write_text(json.dumps(recorded))
    assert audited(copy)["round"] == 2


@pytest.mark.parametrize(
    "field", ["root", "standings_hash", "total_wei", "loss_micronats", "cluster_mask", "weakest", "effects_hash"]
)
def test_a_settlements_outcome(copy: Path, field: str) -> None:
    recorded = json.loads((copy / "chain.json").read_text())
    value = [row for row in recorded["events"] if row["event"] == "Settled"][1]["outcome"][field]
    other: Any = f"0x{'44' * (len(value) // 2 - 1)}" if str(value).startswith("0x") else abs(int(value) - 1)
    edit(copy, "Settled", 1, {field: other})
    assert audited(copy)["round"] == 2


def test_a_settlements_input(copy: Path) -> None:
    """A report that was settled on, replaced without care: its row no longer hashes to the transcript."""
    recorded = json.loads((copy / "chain.json").read_text())
    report = [row for row in recorded["events"] if row["event"] == "Revealed"][4]["report"]
    edit(copy, "Revealed", 4, {"report": report[:-1] + ("0" if report[-1] != "0" else "1")})
    assert audited(copy)["round"] == 2


class Forger(Ledger):
    """Folds whatever it is given and notes the transcript that would fit."""

    def __init__(self, run: int) -> None:
        super().__init__(run)
        self.fitting: list[bytes] = []
        self.records: list[bytes] = []

    def apply(self, event: Event) -> None:
        if isinstance(event, Recorded):
            self.records.append(self._record().hash())
            event = replace(event, record_hash=self.records[-1])
        super().apply(event)

    def _same(self, found: bytes, event: Event, recorded: bytes) -> bytes:
        self.fitting.append(found)
        return found


def make_fit(out: Path) -> None:
    """Replace every hash that the chain would have recorded of these rows."""
    chain = RecordedChain(out / "chain.json")
    forger = Forger(chain.run)
    for event in chain.events(chain.run):
        forger.apply(event)
    recorded = json.loads((out / "chain.json").read_text())
    fitting, records = iter(forger.fitting), iter(forger.records)
    for row in recorded["events"]:
        if "transcript" in row:
            row["transcript"] = "0x" + next(fitting).hex()
        if "record_hash" in row:
            row["record_hash"] = "0x" + next(records).hex()
    recorded["clock"]["transcript"] = "0x" + forger.transcript.hex()
    for number, slot in recorded["records"].items():
        record = forger.rounds[int(number) - 1].record
        assert record is not None
        slot["hash"] = "0x" + record.hash().hex()
    (out / "chain.json").write_text(json.dumps(recorded))


def test_a_settlements_input_with_every_hash_made_to_fit(copy: Path) -> None:
    """The liar's report, which no median depends on, is replaced, and all transcripts after it as well: only the
    commitment gives it away."""
    recorded = json.loads((copy / "chain.json").read_text())
    reveals = [row for row in recorded["events"] if row["event"] == "Revealed"]
    nth = next(i for i, row in enumerate(reveals) if row["verifier"] == 3 and i >= 4)
    report = reveals[nth]["report"]
    edit(copy, "Revealed", nth, {"report": report[:-1] + ("0" if report[-1] != "0" else "1")})

    make_fit(copy)
    found = audited(copy)
    assert found["round"] == 2
    assert found["row"] == "report of verifier 3"
    assert "not what was committed" in found["why"]


@pytest.mark.parametrize("field", ["total_wei", "weakest", "effects_hash"])
def test_a_settlements_outcome_with_every_hash_made_to_fit(copy: Path, field: str) -> None:
    """Only re-execution can tell."""
    recorded = json.loads((copy / "chain.json").read_text())
    value = [row for row in recorded["events"] if row["event"] == "Settled"][2]["outcome"][field]
    other: Any = "0x" + "55" * 32 if str(value).startswith("0x") else abs(int(value) - 1)
    edit(copy, "Settled", 2, {field: other})
    make_fit(copy)
    found = audited(copy)
    assert (found["round"], found["row"]) == (3, f"settlement's {field.replace('_', ' ')}")
    both = [str(text).removeprefix("0x") for text in (value, other)]
    assert [str(found["expected"]), str(found["found"])] == both


def test_a_claim(copy: Path) -> None:
    before = edit(copy, "Claimed", 0, {"amount_wei": 1})
    assert before["account"].removeprefix("0x") in audited(copy)["row"]


def test_the_escrow(copy: Path) -> None:
    path = copy / "chain.json"
    recorded = json.loads(path.read_text())
    recorded["escrow"]["deposited_wei"] -= 1
    path.write_text(json.dumps(recorded))
    found = audited(copy)
    assert found["round"] is None and found["row"] == "deposited wei"


def test_the_stakes(copy: Path) -> None:
    """The contract must hold every stake, and what was slashed and not yet burnt."""
    path = copy / "chain.json"
    recorded = json.loads(path.read_text())
    recorded["token_balances_wei"][recorded["stakes_address"]] -= 1
    path.write_text(json.dumps(recorded))
    assert audited(copy)["row"] == "stakes"


def test_a_price(copy: Path, played: Played) -> None:
    before = edit(copy, "Joined", 2, {"price_wei": 5})
    found = audited(copy)
    assert before["account"].removeprefix("0x") in found["row"]
    assert str(found["found"]) == "5"


def test_a_record(copy: Path) -> None:
    edit(copy, "Recorded", 1, {"record_hash": "0x" + "11" * 30})
    assert audited(copy)["round"] == 2
