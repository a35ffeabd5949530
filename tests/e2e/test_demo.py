"""The demo keeps its promises, and says so in numbers that add up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from eth_account import Account

from gradmint.cli.display import senders
from gradmint.ports.recorded_chain import RecordedChain
from gradmint.roles.follower import Follower

from .conftest import Played, gradmint

pytestmark = pytest.mark.xdist_group("demo")


def test_it_succeeds(played: Played) -> None:
    assert played.code == 0, played.stderr
    assert played.summary["audit"] == {"ok": True, "divergences": []}
    assert len(played.summary["rounds"]) == 4


def test_every_wei_is_accounted_for(played: Played) -> None:
    totals = {name: int(value) for name, value in played.summary["totals"].items() if name.endswith("_wei")}
    earned = sum(int(person["earned_wei"]) for person in played.summary["participants"])
    assert totals["paid_wei"] == totals["claimed_wei"] == earned
    assert totals["deposited_wei"] == totals["claimed_wei"] + totals["refunded_wei"]
    assert earned > 0


def test_cheats_earn_less_than_honest_work(played: Played) -> None:
    people = played.summary["participants"]
    honest = [int(p["earned_wei"]) for p in people if p["role"] == "trainer" and p["strategy"] == "honest"]
    cheats = [int(p["earned_wei"]) for p in people if p["role"] == "trainer" and p["strategy"] != "honest"]
    assert len(honest) == 3 and len(cheats) == 3
    assert max(cheats) < min(honest)


def test_the_liar_earns_nothing_and_is_slashed(played: Played) -> None:
    liar = next(p for p in played.summary["participants"] if p["strategy"] == "own_attacks:Mumbler")
    assert int(liar["earned_wei"]) == 0
    assert int(liar["slashed_wei"]) > 0
    others = [p for p in played.summary["participants"] if p["role"] == "verifier" and p["strategy"] == "honest"]
    assert all(int(p["slashed_wei"]) == 0 and int(p["earned_wei"]) > 0 for p in others)


def test_two_kinds_of_machines_agree_in_every_round(played: Played) -> None:
    people = json.loads((played.out / "participants.json").read_text())
    kinds = [person["numerics"] for person in people if person["role"] == "verifier" and person["strategy"] == "honest"]
    assert kinds == ["float32", "bfloat16", "float32"]
    chain = RecordedChain(played.out / "chain.json")
    far = []
    for round_ in Follower(chain, chain.run).ledger.rounds:
        assert round_.settlement is not None and round_.settlement.consensus is not None
        assert round_.settlement.consensus.cluster == (0, 1, 2)
        far += [round_.settlement.consensus.distances_bits[i] for i in range(3)]
    assert 0 < max(bits for bits in far if bits is not None) < 48  # unlike, and within what LOCAL accepts


def test_the_copycat_is_found_out(played: Played) -> None:
    copycat = next(p for p in played.summary["participants"] if p["strategy"] == "copycat")
    assert copycat["verdicts"]["DUPLICATE"] >= 2  # from round 2 on there is something to copy


def test_it_learns(played: Played) -> None:
    losses = [row["loss_micronats"] for row in played.summary["rounds"]]
    assert losses[-1] < losses[0]


def test_blobs_are_named_by_their_cids(played: Played) -> None:
    names = [path.name for path in (played.out / "blobs").iterdir()]
    assert len(names) > 4 * 4
    assert all(name.startswith("bafkrei") for name in names)


def test_no_key_leaves_the_keystores(played: Played) -> None:
    password = (played.out / "keys" / "password").read_text()
    keys = [Account.decrypt(path.read_text(), password) for path in (played.out / "keys").glob("*.json")]
    assert len(keys) == 11  # 6 trainers, 4 verifiers, the sponsor
    secrets = [password.encode(), *(form for key in keys for form in (bytes(key), bytes(key).hex().encode()))]
    for path in played.out.rglob("*"):
        if path.is_file() and path.name != "password":
            content = path.read_bytes()
            assert not any(secret in content for secret in secrets), path


def test_the_report_is_one_page_by_itself(played: Played) -> None:
    page = (played.out / "report.html").read_text()
    assert "<svg" in page
    assert 'src="http' not in page and "<script src" not in page and "<link" not in page


def test_the_live_display_counts_the_gas_that_the_audit_counts(played: Played) -> None:
    chain = RecordedChain(played.out / "chain.json")
    ledger = Follower(chain, chain.run).ledger
    sent = {tx_hash for round_ in ledger.rounds for _, tx_hash in senders(ledger, round_)}
    assert sum(chain.gas_used(tx_hash) for tx_hash in sent) == played.summary["totals"]["gas"]


def test_ctrl_c_stops_every_child(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "gradmint",
            "demo",
            "--task",
            "digits",
            "--trainers",
            "4",
            "--rounds",
            "60",  # many more than it gets to
            "--out",
            str(tmp_path / "out"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    homes = tmp_path / "out" / "homes"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and len(list(homes.glob("*/journal.sqlite"))) < 8:
        assert demo.poll() is None, demo.communicate()[0]
        _pause()
    assert _processes_of(demo.pid) > 8
    os.kill(demo.pid, signal.SIGINT)
    demo.communicate(timeout=90)
    assert demo.returncode != 0
    assert _processes_of(demo.pid) == 0


def _pause() -> None:
    # Nothing to await: the files of other processes are the only sign of life from outside.
    time.sleep(0.2)


def _processes_of(session: int) -> int:
    """Live processes in the demo's session, anvil included."""
    alive = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        alive += int(fields[3]) == session and fields[0] != "Z"
    return alive


def test_json_is_all_there_is_on_standard_output(played: Played) -> None:
    assert set(played.summary) >= {"rounds", "participants", "totals", "audit"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--adversaries", "no-such-attack"), "no-such-attack"),
        (("--adversaries", "os:system"), "expected a subclass"),
        (("--trainers", "2"), "leave none honest"),
        (("--bad-verifiers", "liar,liar"), "more than 2/3"),
        (("--numerics", "float32,float16"), "float16"),
        (("--numerics", "float32/micro=3"), "the run admits"),
    ],
)
def test_impossible_plans_are_refused_at_once(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    done = gradmint("demo", "--task", "digits", "--out", str(tmp_path / "out"), *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = gradmint("demo", "--task", "digits", "--out", str(tmp_path))
    assert done.returncode == 2
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_the_finished_run_is_audited_with_nothing_running(played: Played) -> None:
    done = gradmint("audit", "--out", str(played.out), "--json", "--reassess")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ok"]
    assert all(row["own_distance_bits"] is not None for row in found["rounds"])
