"""A run on disk says what the chain said; an altered file is refused, or shows in the transcript."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradmint.ports.chain import Challenge, Exit, Pool, Refund, Unbond
from gradmint.ports.recorded_chain import RecordedChain, record
from gradmint.spec.docket import tip
from gradmint.spec.errors import ChainError, GradmintError, SettingsError
from gradmint.spec.ledger import Ledger
from gradmint.spec.types import Role

from .harness import GREY, PROPOSING, Memory, Stage


def play(stage: Stage) -> Stage:
    """A short life with every kind of event but a slash's ejection."""
    stage.open(max_rounds=2, min_verifiers=4).enrol(verifiers=4)
    reports = {v: stage.report(v) for v in range(3)} | {3: stage.report(3, word=GREY)}
    stage.play(reports, everybody=(0, 1, 2, 3))
    stage.trainers[2].send(Exit(run=stage.run))
    stage.poke()
    stage.sponsor.send(stage.claim(0))
    stage.sponsor.send(Refund(run=stage.run))
    return stage


def test_a_recording_answers_as_the_chain_does(stage: Stage, tmp_path: Path) -> None:
    play(stage)
    chain, run = stage.sponsor, stage.run
    path = tmp_path / "chain.json"
    record(chain, run, path, holders=[b"\7" * 20])
    recorded = RecordedChain(path)

    assert recorded.run == run
    assert list(recorded.events(run)) == list(chain.events(run))
    middle = chain.events(run)[7].position
    assert list(recorded.events(run, middle)) == list(chain.events(run, middle))
    for name in ("chain_id", "rounds_address", "runs_address", "stakes_address"):
        assert getattr(recorded, name) == getattr(chain, name)
    assert recorded.run_count() == chain.run_count()
    for read in ("clock", "escrow", "standings_hash", "docket", "challenge_of", "caught_up"):
        assert getattr(recorded, read)(run) == getattr(chain, read)(run)
    assert recorded.price_wei(run) >= chain.price_wei(run)  # it falls
    for number in range(1, 5):
        assert recorded.record(run, number) == chain.record(run, number)
    assert abs(recorded.now_s() - chain.now_s()) < 60
    accounts = [person.account for person in (*stage.trainers, *stage.verifiers)]
    assert recorded.stakes_wei(run, accounts) == chain.stakes_wei(run, accounts)
    for account in accounts:
        assert recorded.claimed_wei(run, account) == chain.claimed_wei(run, account)
        assert recorded.left_wei(run, account) == chain.left_wei(run, account)
        assert recorded.bond_of(run, account) == (0, 0)
    for owner in (*accounts, chain.account, chain.runs_address, chain.stakes_address, b"\7" * 20):
        token = stage.world.token
        assert recorded.token_balance_wei(token, owner) == chain.token_balance_wei(token, owner)
    for event in chain.events(run):
        assert recorded.gas_used(event.tx_hash) == chain.gas_used(event.tx_hash)

    for ask in (
        lambda: recorded.events(run + 1),
        lambda: recorded.stakes_wei(run, [b"\6" * 20]),
        lambda: recorded.token_balance_wei(b"\6" * 20, chain.account),
        lambda: recorded.gas_used(bytes(32)),
    ):
        with pytest.raises(ChainError):
            ask()


def propose(stage: Stage) -> Stage:
    """Proposals: one final, one refuted under challenge, one pending and challenged; and a seat given again."""
    stage.open(max_rounds=5, max_trainers=3, **PROPOSING).enrol()
    stage.speak()
    stage.trainers[1].send(Exit(run=stage.run))
    stage.join(Role.TRAINER, index=1)
    stage.poke()
    for _ in range(2):
        stage.speak()
    one, other = stage.world.connect(70), stage.world.connect(71)
    for chain in (one, other):
        stage.bond(chain, 4)
    stage.propose(one, 1)
    stage.propose(one, 3, weakest=0)
    other.send(Challenge(run=stage.run, round=3))
    other.send(stage.refutation(1))
    stage.propose(one, 3)
    stage.propose(one, 4)
    stage.finalise()
    stage.finalise()
    other.send(Challenge(run=stage.run, round=4))
    one.send(Unbond(run=stage.run, amount_wei=1))
    one.send(Pool(run=stage.run))
    return stage


def test_a_recording_of_proposals_answers_as_the_chain_does(stage: Stage, tmp_path: Path) -> None:
    propose(stage)
    chain, run = stage.sponsor, stage.run
    path = tmp_path / "chain.json"
    record(chain, run, path)
    recorded = RecordedChain(path)
    assert list(recorded.events(run)) == list(chain.events(run))
    for read in ("clock", "escrow", "standings_hash", "docket", "challenge_of", "caught_up"):
        assert getattr(recorded, read)(run) == getattr(chain, read)(run)
    assert recorded.docket(run).pending == 1 and recorded.challenge_of(run) is not None
    for number in (70, 71):
        account = stage.world.connect(number).account
        assert recorded.bond_of(run, account) == chain.bond_of(run, account) != (0, 0)
    seated = [seat.account for seat in (*stage.ledger().seats[Role.TRAINER], *stage.ledger().former)]
    assert any(recorded.left_wei(run, account) for account in seated)
    for account in seated:
        assert recorded.left_wei(run, account) == chain.left_wei(run, account)
    ledger = Ledger(run)
    for event in recorded.events(run):
        ledger.apply(event)
    assert [recorded.record(run, r.number).hash for r in ledger.rounds if r.record] == [
        r.record.hash() for r in ledger.rounds if r.record
    ]
    assert tip(ledger.pending) == recorded.docket(run).tip
    found = ledger.rounds[3].record
    assert found is not None
    with pytest.raises(ChainError, match="nothing can be refuted"):
        recorded.is_heard(run, found, 0, b"", ())


@pytest.fixture(scope="module")
def proposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    stage = propose(Stage(Memory()))
    path = tmp_path_factory.mktemp("recorded") / "chain.json"
    record(stage.sponsor, stage.run, path)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    stage = play(Stage(Memory()))
    path = tmp_path_factory.mktemp("recorded") / "chain.json"
    record(stage.sponsor, stage.run, path)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def load(found: object, tmp_path: Path) -> RecordedChain:
    path = tmp_path / "chain.json"
    path.write_text(found if isinstance(found, str) else json.dumps(found))
    return RecordedChain(path)


def first(found: dict[str, Any], kind: str) -> dict[str, Any]:
    row: dict[str, Any] = next(row for row in found["events"] if row["event"] == kind)
    return row


def test_rows_are_readable(good: dict[str, Any]) -> None:
    row = first(good, "PhaseOpened")
    assert row["phase"] == "TRAIN" and row["round"] == 1 and len(row["beacon"]) == 66
    assert first(good, "Opened")["params"]["words"] == 1
    assert first(good, "Admitted")["role"] == Role.TRAINER.name


ALTERED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a submission's digest": lambda d: first(d, "Submitted").update(digest="0x" + "77" * 32),
    "a claimed gain": lambda d: first(d, "Submitted").update(claimed_gain_micronats=5),
    "a report": lambda d: first(d, "Revealed").update(report=first(d, "Revealed")["report"][:-2] + "77"),
    "a beacon": lambda d: first(d, "PhaseOpened").update(beacon="0x" + "77" * 32),
    "a stake": lambda d: first(d, "Admitted").update(stake_wei=1),
    "a root": lambda d: first(d, "Settled")["outcome"].update(root="0x" + "77" * 24),
    "a total": lambda d: first(d, "Settled")["outcome"].update(total_wei=1),
    "a record": lambda d: first(d, "Recorded").update(record_hash="0x" + "77" * 30),
    "a deposit": lambda d: first(d, "Opened").update(budget_wei=1),
    "a row less": lambda d: d["events"].remove(first(d, "Submitted")),
    "a transcript": lambda d: first(d, "Committed").update(transcript="0x" + "77" * 24),
}


@pytest.mark.parametrize("change", ALTERED.values(), ids=ALTERED)
def test_one_altered_row_shows_in_the_transcript(
    good: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    found = copy.deepcopy(good)
    change(found)
    chain = load(found, tmp_path)
    ledger = Ledger(chain.run)
    with pytest.raises(GradmintError):
        for event in chain.events(chain.run):
            ledger.apply(event)


MALFORMED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "format": lambda d: d.update(format="gradmint recorded run 1"),
    "field missing": lambda d: d.pop("clock"),
    "field unknown": lambda d: d.update(extra=1),
    "events no list": lambda d: d.update(events={}),
    "row no object": lambda d: d["events"].append(7),
    "unknown event": lambda d: d["events"][0].update(event="Minted"),
    "event a list": lambda d: d["events"][0].update(event=["Opened"]),
    "row field missing": lambda d: first(d, "Submitted").pop("digest"),
    "row field unknown": lambda d: first(d, "Submitted").update(salt="0x"),
    "short digest": lambda d: first(d, "Submitted").update(digest="0x77"),
    "upper-case digest": lambda d: first(d, "Submitted").update(digest="0x" + "AB" * 32),
    "spaced digest": lambda d: first(d, "Submitted").update(digest="0x" + "ab " * 32),
    "digest a number": lambda d: first(d, "Submitted").update(digest=7),
    "gain a float": lambda d: first(d, "Submitted").update(claimed_gain_micronats=1.5),
    "gain below int32": lambda d: first(d, "Submitted").update(claimed_gain_micronats=-(2**31) - 1),
    "negative trainer": lambda d: first(d, "Submitted").update(trainer=-1),
    "boolean trainer": lambda d: first(d, "Submitted").update(trainer=True),
    "wide number": lambda d: first(d, "Submitted").update(trainer=2**256),
    "phase a number": lambda d: first(d, "PhaseOpened").update(phase=1),
    "unknown phase": lambda d: first(d, "PhaseOpened").update(phase="NAP"),
    "params a list": lambda d: first(d, "Opened").update(params=[]),
    "params short": lambda d: first(d, "Opened")["params"].pop("words"),
    "penalties long": lambda d: first(d, "Opened")["params"].update(penalty_bps=[1] * 65),
    "penalties text": lambda d: first(d, "Opened")["params"].update(penalty_bps=["1"] * 8),
    "swapped rows": lambda d: d["events"].insert(0, d["events"].pop()),
    "repeated row": lambda d: d["events"].insert(1, d["events"][0]),
    "gas differs": lambda d: d["events"][-1].update(tx_hash=d["events"][0]["tx_hash"], gas=5),
    "clock short": lambda d: d["clock"].pop("phase"),
    "escrow text": lambda d: d["escrow"].update(total_wei="1"),
    "stakes a list": lambda d: d.update(stakes_wei=[]),
    "stake of nobody": lambda d: d["stakes_wei"].update({"0x01": 5}),
    "chain id null": lambda d: d.update(chain_id=None),
    "caught up a number": lambda d: d.update(caught_up=1),
    "price negative": lambda d: d.update(price_wei=-1),
    "docket short": lambda d: d["docket"].pop("tip"),
    "docket a list": lambda d: d.update(docket=[]),
    "docket's tip short": lambda d: d["docket"].update(tip="0x01"),
    "challenge a list": lambda d: d.update(challenge=[]),
    "challenge short": lambda d: d.update(challenge={"round": 1}),
    "bonds a list": lambda d: d.update(bonds=[]),
    "bond of nobody": lambda d: d["bonds"].update({"0x01": {"amount_wei": 1, "locked_wei": 0}}),
    "bond a number": lambda d: d["bonds"].update({"0x" + "01" * 20: 5}),
    "records a list": lambda d: d.update(records=[]),
    "record of no round": lambda d: d["records"].update({"one": d["records"]["1"]}),
    "record of round 0": lambda d: d["records"].update({"0": d["records"]["1"]}),
    "record of a huge round": lambda d: d["records"].update({"9" * 5_000: d["records"]["1"]}),
    "record's hash long": lambda d: d["records"]["1"].update(hash="0x" + "77" * 32),
    "left a list": lambda d: d.update(left_wei=[]),
    "outcome a list": lambda d: first(d, "Settled").update(outcome=[]),
    "outcome short": lambda d: first(d, "Settled")["outcome"].pop("weakest"),
    "outcome long": lambda d: first(d, "Settled")["outcome"].update(paid_wei=1),
    "root of 32 bytes": lambda d: first(d, "Settled")["outcome"].update(root="0x" + "77" * 32),
    "total too wide": lambda d: first(d, "Settled")["outcome"].update(total_wei=2**128),
    "weakest too wide": lambda d: first(d, "Settled")["outcome"].update(weakest=2**16),
    "trainer too wide": lambda d: first(d, "Submitted").update(trainer=2**16),
    "gain above int32": lambda d: first(d, "Submitted").update(claimed_gain_micronats=2**31),
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED)
def test_malformed_files_are_refused(
    good: dict[str, Any], tmp_path: Path, change: Callable[[dict[str, Any]], Any]
) -> None:
    load(good, tmp_path)
    found = copy.deepcopy(good)
    change(found)
    with pytest.raises(ChainError, match="record the run again"):
        load(found, tmp_path)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", "7", "{" * 9, "[" * 100_000, '{"run": NaN}', '{"run":1,"run":2}', "1" * 5_000]
)
def test_no_recording_at_all(tmp_path: Path, text: str) -> None:
    with pytest.raises(ChainError):
        load(text, tmp_path)


def test_missing_unreadable_and_huge_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ChainError, match="record one first"):
        RecordedChain(tmp_path / "missing.json")
    with pytest.raises(ChainError):
        RecordedChain(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ChainError):
        RecordedChain(tmp_path / "binary")
    monkeypatch.setattr("gradmint.ports.recorded_values._MAX_BYTES", 100)
    with pytest.raises(ChainError, match="over 100 bytes"):
        load(" " * 200, tmp_path)


ATOMS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([]) | st.just({})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_value_replaced_by_anything(
    good: dict[str, Any], proposed: dict[str, Any], tmp_path: Path, data: st.DataObject
) -> None:
    """Loads, or is refused with the one error; nothing else ever comes out."""
    found = copy.deepcopy(data.draw(st.sampled_from([good, proposed])))
    node: Any = found
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        if not (isinstance(node[key], dict | list) and node[key] and data.draw(st.booleans())):
            break
        node = node[key]
    node[key] = data.draw(ATOMS)
    try:
        load(found, tmp_path)
    except ChainError:
        return


def test_a_run_that_keeps_moving_is_not_recorded(tmp_path: Path) -> None:
    stage = Stage(Memory()).open().enrol()
    chain = stage.sponsor

    class Restless:
        def __getattr__(self, name: str) -> Any:
            if name == "clock":
                stage.submit(0)
            return getattr(chain, name)

    with pytest.raises(ChainError, match="after its end"):
        record(Restless(), stage.run, tmp_path / "chain.json")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_no_room(tmp_path: Path) -> None:
    stage = Stage(Memory()).open()
    with pytest.raises(SettingsError):
        record(stage.sponsor, stage.run, tmp_path / "no" / "folder.json")
