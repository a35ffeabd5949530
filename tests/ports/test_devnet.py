"""A chain that starts, keeps its state, and never outlives its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import astuple, replace
from pathlib import Path

import pytest
from eth_account import Account

from gradmint.ports.codec import function
from gradmint.ports.deploy import deploy
from gradmint.ports.devnet import CHAIN_ID, Devnet, find_anvil
from gradmint.ports.rpc import Rpc, as_int
from gradmint.ports.web3_chain import Web3Chain
from gradmint.spec.errors import ChainUnreachable, MalformedParams, SettingsError, Unfunded
from gradmint.spec.reputation_params import STANDARD_REPUTATION

from .harness import ETHER_WEI


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid: int, within_s: float = 5) -> bool:
    deadline = time.monotonic() + within_s
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def test_start_and_stop() -> None:
    with Devnet() as devnet:
        pid = devnet.pid
        assert as_int(Rpc(devnet.rpc_url).call("eth_chainId"), "id") == CHAIN_ID == devnet.chain_id
        assert "node" not in Path(f"/proc/{pid}/exe").resolve().name  # anvil itself, not its launcher
        before_s = as_int(Rpc(devnet.rpc_url).call("eth_getBlockByNumber", "latest", False)["timestamp"], "time")
        assert devnet.advance(1_000) >= before_s + 1_000
        address = Account.create().address
        devnet.give_ether([address, b"\5" * 20], 7 * ETHER_WEI)
        assert Rpc(devnet.rpc_url).call("eth_getBalance", address, "latest") == hex(7 * ETHER_WEI)
        assert Rpc(devnet.rpc_url).call("eth_getBalance", "0x" + "05" * 20, "latest") == hex(7 * ETHER_WEI)
    assert ends(pid)
    with pytest.raises(ChainUnreachable):
        _ = devnet.pid
    devnet.stop()


def test_state_goes_on(tmp_path: Path) -> None:
    account = Account.create()
    with Devnet(state=tmp_path / "chain") as devnet:
        devnet.give_ether([account.address], ETHER_WEI)
        deployment = deploy(devnet.rpc_url, account, with_token=True)
        assert deployment.token
        receipt = Web3Chain(devnet.rpc_url, deployment, account).mint(deployment.token, b"\5" * 20, 3)
    with Devnet(state=tmp_path / "chain") as devnet:
        chain = Web3Chain(devnet.rpc_url, deployment, account)
        assert chain.token_balance_wei(deployment.token, b"\5" * 20) == 3
        assert chain.gas_used(receipt.tx_hash) == receipt.gas_used
        chain.mint(deployment.token, b"\5" * 20, 4)
        assert chain.token_balance_wei(deployment.token, b"\5" * 20) == 7


PARENT = """
import sys, time
from gradmint.ports.devnet import Devnet
devnet = Devnet()
devnet.start()
print(devnet.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_dies_with_its_parent(how: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert is_running(pid)
    os.kill(parent.pid, how)
    parent.wait(10)
    assert ends(pid)


def test_outlives_the_thread_that_started_it() -> None:
    devnet = Devnet()
    thread = threading.Thread(target=devnet.start)
    thread.start()
    thread.join()
    try:
        time.sleep(0.2)
        assert Rpc(devnet.rpc_url).call("eth_blockNumber") == "0x0"
    finally:
        devnet.stop()


def test_a_taken_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ChainUnreachable, match="did not start"):
            Devnet(port=taken.getsockname()[1]).start()


def test_finding_anvil(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = find_anvil()
    monkeypatch.setenv("ANVIL", str(tmp_path / "nothing"))
    with pytest.raises(SettingsError, match="nothing"):
        Devnet()
    monkeypatch.setenv("ANVIL", found)
    monkeypatch.chdir(tmp_path)
    assert find_anvil() == found
    monkeypatch.delenv("ANVIL")
    assert os.access(find_anvil(), os.X_OK)  # the package's own node_modules, wherever one stands
    monkeypatch.setattr("gradmint.ports.devnet.__file__", str(tmp_path / "x.py"))
    (tmp_path / "anvil").write_text("#!/bin/sh\n")
    (tmp_path / "anvil").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_anvil() == str(tmp_path / "anvil")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SettingsError, match="npm install"):
        find_anvil()


def test_deploying_without_money_spends_nothing(devnet: Devnet) -> None:
    account = Account.create()
    devnet.give_ether([account.address], 1_000)
    with pytest.raises(
        Unfunded, match=r"holds 1000 wei, deploying Runs, Stakes, Rounds, Settlement, Reputation, Certificates may cost"
    ):
        deploy(devnet.rpc_url, account)
    assert Rpc(devnet.rpc_url).call("eth_getTransactionCount", account.address, "latest") == "0x0"


def test_the_bound_on_deployment_gas_holds_and_is_close(devnet: Devnet) -> None:
    """The least balance that is let through is enough, and at most a third is left over of the gas that it buys."""
    account = Account.create()
    rpc = Rpc(devnet.rpc_url)
    devnet.give_ether([account.address], ETHER_WEI)
    before = as_int(rpc.call("eth_getBlockByNumber", "latest", False)["number"], "block")
    deploy(devnet.rpc_url, account, with_token=True)
    after = as_int(rpc.call("eth_blockNumber"), "block")
    used = sum(
        as_int(rpc.call("eth_getBlockByNumber", hex(number), False)["gasUsed"], "gas")
        for number in range(before + 1, after + 1)
    )
    from gradmint.ports import artifacts
    from gradmint.ports.deploy import _GAS_PER_BYTE, _GAS_PER_CONTRACT

    names = (*artifacts.CONTRACTS, artifacts.REPUTATION, artifacts.CERTIFICATES, artifacts.DEV_TOKEN)
    bound = sum(len(artifacts.load(name).bytecode) * _GAS_PER_BYTE + _GAS_PER_CONTRACT for name in names)
    assert used < bound < used * 3 // 2


def test_nobody_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ChainUnreachable, match="gradmint devnet"):
            deploy(f"http://127.0.0.1:{unused.getsockname()[1]}", Account.create())


def test_reputation_is_deployed_with_seeds_terms_and_money(devnet: Devnet) -> None:
    account = Account.create()
    devnet.give_ether([account.address], 10**19)
    seeds, terms = [b"\1" * 20, b"\2" * 20], replace(STANDARD_REPUTATION, epoch_blocks=30_000, bond_wei=7)
    deployment = deploy(devnet.rpc_url, account, with_token=True, seeds=seeds, reputation=terms)
    chain = Web3Chain(devnet.rpc_url, deployment)

    def ask(name: str, *arguments: object) -> object:
        getter = function("Reputation", name)
        return getter.decode(chain.view(deployment.reputation, getter.encode(*arguments)))[0]

    assert [ask("isSeed", seed) for seed in (*seeds, b"\3" * 20)] == [True, True, False]
    assert (ask("seeds"), ask("token"), ask("terms")) == (2, deployment.token, astuple(terms))
    assert (ask("rounds"), ask("settlement")) == (deployment.rounds, deployment.settlement)
    assert chain.rating_q32(seeds[0]) == 0
    with pytest.raises(MalformedParams, match="alpha_bps"):
        deploy(devnet.rpc_url, account, reputation=replace(terms, alpha_bps=0))
