"""docs/operating.md's walk through a run, typed into a shell exactly as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ports.ipfs_node import ipfs_node

from gradmint.ports.devnet import Devnet, find_anvil

pytestmark = pytest.mark.xdist_group("demo")

DOCUMENT = Path(__file__).parents[2] / "docs" / "operating.md"
TASKS = DOCUMENT.with_name("writing-a-task.md")


def walk(folder: Path, **environment: str) -> str:
    """Type the commands of the documentation; what they said."""
    sections = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[:3]
    lines = [line for section in sections for line in section.splitlines()]
    devnet = [line for line in lines if line.startswith("gradmint devnet")]
    assert len(devnet) == 1
    # The chain runs on a free port here; whoever types starts it and sees that it is ready.
    script = "\n".join(["set -e", *(line for line in lines if line not in devnet)])
    with Devnet() as chain:
        return type_in(folder, script, GRADMINT_RPC=chain.rpc_url, **environment)


def type_in(folder: Path, script: str, **environment: str) -> str:
    """What a shell says to ``script``."""
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ANVIL": find_anvil(),
            **environment,
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_commands_in_the_documentation_work(tmp_path: Path) -> None:
    """Of a run that settles directly, then of one that proposes."""
    said = walk(tmp_path)
    assert said.count("audit clean: 4 rounds settled;") == 2
    assert "a seat in run 2 costs 100000000000000000 wei now" in said
    assert "every recorded round is final" in said
    assert (tmp_path / "report.html").exists()
    [proven] = [json.loads(line) for line in said.splitlines() if line.startswith('{"run": 1, "round"')]
    assert proven["round"] == proven["compared"] == 4 and proven["start"]["source"] == "first model"
    assert said.count(f"model {proven['model']} after round 4 of run 1") == 3  # caught up, certified, caught up
    assert "rating 0.484, rank 1 of 1; pay x 0.984" in said and "a seed has verified its work itself" in said
    assert (tmp_path / "model.safetensors").stat().st_size > 8 * 4_810


@pytest.mark.ipfs
def test_they_work_with_blobs_on_ipfs(tmp_path: Path) -> None:
    """Trainer, verifier and auditor meet through an IPFS node's RPC and nothing else."""
    (tmp_path / "folder").mkdir()
    with ipfs_node(tmp_path / "node") as address:
        said = walk(tmp_path / "folder", GRADMINT_STORE=address)
    assert said.count("audit clean: 4 rounds settled;") == 2
    assert not (tmp_path / "folder" / "blobs").exists()


def test_the_demo_folder_can_be_gone_on_with(tmp_path: Path) -> None:
    """A chain's state folder survives the chain."""
    with Devnet(state=tmp_path / "chain") as chain:
        chain.give_ether(["0x" + "77" * 20], 12_345)
    with Devnet(state=tmp_path / "chain") as chain:
        from gradmint.ports.rpc import Rpc

        rpc = Rpc(chain.rpc_url)
        assert int(rpc.call("eth_getBalance", "0x" + "77" * 20, "latest"), 16) == 12_345
        rpc.close()


def test_a_task_folder_as_documented(tmp_path: Path) -> None:
    """A transformer of Hugging Face's, a few thousand parameters, in a whole run on a real chain."""
    [script] = re.findall(r"```sh\n(.*?)```", TASKS.read_text(), re.DOTALL)
    said = type_in(tmp_path, f"set -e\n{script}")
    assert "audit clean" in said
