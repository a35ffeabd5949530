"""Late, on a real chain and with real processes: a trainer who starts from a checkpoint, and anyone after the model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from safetensors.torch import load_file

from gradmint.cli.settings import seal_key
from gradmint.ports.deploy import deploy
from gradmint.ports.devnet import Devnet
from gradmint.ports.web3_chain import Web3Chain
from gradmint.roles.follower import Follower
from gradmint.roles.rounds import consensus_of
from gradmint.spec.ledger import Ledger
from gradmint.spec.params import ETHER_WEI
from gradmint.spec.types import Phase, Verdict

from .conftest import Played, gradmint

pytestmark = pytest.mark.xdist_group("demo")

ROUNDS, LATE, EVERY = 8, 6, 2
PASSWORD = "correct horse"


@dataclass
class Town:
    folder: Path
    environment: dict[str, str]
    ledger: Ledger

    def says(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "gradmint", *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def catch_up(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.says("catch-up", "--json", *words))
        return found


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A finished run of one trainer and one verifier, and of one more trainer who came in round 6."""
    folder = tmp_path_factory.mktemp("late")
    people = {name: Account.create() for name in ("sponsor", "alice", "vera", "bob")}
    for name, account in people.items():
        seal_key(account, folder / f"{name}.json", PASSWORD, rounds=2)
    with Devnet() as devnet:
        devnet.give_ether([account.address for account in people.values()], 10 * ETHER_WEI)
        deployed = deploy(devnet.rpc_url, people["sponsor"], with_token=True)
        deployed.write(folder / "deployment.json")
        chain = Web3Chain(devnet.rpc_url, deployed, people["sponsor"])
        for account in people.values():
            assert deployed.token is not None
            chain.mint(deployed.token, bytes.fromhex(account.address[2:]), 1_000 * ETHER_WEI)
        environment = {
            **os.environ,
            "PYTHONPATH": ":".join([str(Path(__file__).parent), *sys.path]),
            "GRADMINT_RPC": devnet.rpc_url,
            "GRADMINT_PASSWORD": PASSWORD,
        }
        town = Town(folder, environment, Ledger(1))
        terms = [
            f"--set={name}={value}" for name, value in {"max_rounds": ROUNDS, "train_s": 300, "exit_s": 600}.items()
        ]
        town.says("run", "open", "--task", "digits", "--budget", str(ETHER_WEI), "--keystore", "sponsor.json", *terms)
        follower = Follower(chain, 1)
        started = []

        def start(name: str, *words: str) -> None:
            with (folder / f"{name}.log").open("wb") as log:
                own = ["--join", "--keystore", f"{name}.json", "--home", name]
                command = [sys.executable, "-m", "gradmint", "-v", *words, *own]
                started.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log))

        try:
            start("alice", "trainer", "--strategy", "own_attacks:Patient")
            start("vera", "verifier", "--checkpoint-every", str(EVERY))
            while len(follower.ledger.rounds) < LATE:
                assert all(process.poll() is None for process in started)
                chain.wait(1, 1.0)
                follower.refresh()
            start("bob", "trainer")
            codes = [process.wait(timeout=240) for process in started]
        finally:
            for process in started:
                process.kill()
                process.wait()
        assert codes == [0, 0, 0], "".join(path.read_text() for path in folder.glob("*.log"))
        follower.refresh()
        town.ledger = follower.ledger
        yield town


def test_the_latecomer_trains_in_the_next_round(town: Town) -> None:
    assert town.ledger.phase is Phase.ENDED and len(town.ledger.rounds) == ROUNDS
    assert "the model is taken from the checkpoint after round 4" in (town.folder / "bob.log").read_text()
    for number in (LATE + 1, ROUNDS):
        consensus = consensus_of(town.ledger, town.ledger.rounds[number - 1])
        assert consensus is not None and consensus.rows[1].verdict is Verdict.OK


def test_catch_up_from_a_checkpoint_and_from_scratch(town: Town) -> None:
    found = town.catch_up("--home", "anyone", "--out", "model.safetensors")
    assert (found["round"], found["start"], found["rebuilt"]) == (ROUNDS, {"round": 6, "source": "checkpoint"}, 2)
    tensors = load_file(town.folder / "model.safetensors")
    assert tensors["first.weight"].shape == (64, 64) and "outer.momentum" in tensors
    proven = town.catch_up("--home", "anyone", "--from-scratch")
    assert proven["model"] == found["model"] and proven["start"] == {"round": 0, "source": "first model"}
    assert proven["compared"] == ROUNDS and not proven["attested"]
    assert [row["round"] for row in proven["rounds"]] == list(range(1, ROUNDS + 1))
    assert proven["rounds"][-1]["model"] == proven["model"] and proven["rounds"][-2:] == found["rounds"]
    assert sum(proven["rounds"][-1]["weights"].values()) > 0
    again = town.catch_up("--home", "anyone", "--from-scratch", "--round", str(ROUNDS))
    assert again["start"] == {"round": ROUNDS, "source": "cache"} and again["model"] == proven["model"]
    earlier = town.catch_up("--home", "other", "--round", "3")
    assert earlier["attested"] and earlier["model"] == f"0x{town.ledger.rounds[3].held()[1].hex()}"  # type: ignore[union-attr]
    assert "is not over, 8 are" in town.says("catch-up", "--round", "9", code=2)


def test_a_certificate_stands_for_the_last_model(town: Town) -> None:
    for name in ("alice", "vera"):
        sign = ["certificate", "sign", "--round", str(ROUNDS), "--keystore", f"{name}.json"]
        town.says(*sign, "--out", f"{name}.part.json")
    town.says("certificate", "make", "alice.part.json", "vera.part.json", "--out", "last.json")
    found = town.catch_up("--home", "third", "--certificate", "last.json")
    assert found["attested"] and found["certified"]
    signatures = json.loads((town.folder / "alice.part.json").read_text())
    town.says("certificate", "make", "alice.part.json", "--out", "minority.json")
    assert "expected run 1 and more than 2/3" in town.says("catch-up", "--certificate", "minority.json", code=1)
    assert signatures["digest"] == found["model"]


def test_what_is_gone_is_named(town: Town) -> None:
    (town.folder / "empty").mkdir()
    said = town.says("catch-up", "--store", "empty", "--home", "fourth", code=2)
    assert "BlobMissing" in said


def test_a_finished_demo_needs_nothing_running(played: Played, tmp_path: Path) -> None:
    done = gradmint("catch-up", "--recorded", str(played.out), "--home", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["round"] == 4 and found["compared"] == 4
    assert found["validation"]["value"] == pytest.approx(played.summary["loss_nats"])
