"""What only a real node can show: connecting, paging, restarts, websockets, lies. The rest is in test_chain."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

import gradmint.ports.sender as sender_module
from gradmint.ports.chain import Open, Poke, Submit
from gradmint.ports.deploy import deploy
from gradmint.ports.devnet import Devnet
from gradmint.ports.rpc import Rpc
from gradmint.ports.sender import sign_redirect
from gradmint.ports.tokens import Token
from gradmint.ports.web3_chain import Web3Chain
from gradmint.spec.errors import (
    ChainError,
    ChainUnreachable,
    HalfDeployed,
    NotAToken,
    SettingsError,
    Unfunded,
    WrongChain,
)
from gradmint.spec.types import Phase, Role

from .harness import BUDGET_WEI, ETHER_WEI, PRICE_WEI, PROPOSING, STAKE_WEI, Anvil, Stage, refused

Method = Callable[[dict[str, Any]], Any]


class Proxy:
    """Passes requests on to a node; ``rules`` change the answer, or refuse, per method. No websocket."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.rules: dict[str, Method] = {}
        self.asked: list[str] = []
        self.raw: bytes | None = None
        self.status = 200
        self.url = ""

    def answer(self, body: bytes) -> bytes:
        request = json.loads(body)
        self.asked.append(request["method"])
        if self.raw is not None:
            return self.raw
        rule = self.rules.get(request["method"])
        if rule is not None:
            found = rule(request)
            if found is not None:
                return json.dumps({"jsonrpc": "2.0", "id": request["id"], **found}).encode()
        passed = Request(self.target, body, {"Content-Type": "application/json"})
        with urlopen(passed) as response:
            content: bytes = response.read()
            return content


@contextmanager
def proxy(target: str) -> Iterator[Proxy]:
    node = Proxy(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = node.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(node.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self.send_error(405)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    node.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield node
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def node(anvil: Anvil) -> Iterator[Proxy]:
    with proxy(anvil.devnet.rpc_url) as running:
        yield running


@pytest.fixture
def stage(anvil: Anvil) -> Stage:
    return Stage(anvil)


@pytest.fixture(scope="module")
def enrolled(anvil: Anvil) -> Stage:
    """For tests that only read. The last logs are Admitted, PhaseOpened and Joined."""
    return Stage(anvil).open().enrol()


# Connecting


def test_no_chain_says_how_to_start_one(anvil: Anvil) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(ChainUnreachable, match="gradmint devnet"):
            Web3Chain(url, anvil.deployment)
        assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "url", ["", "ws://127.0.0.1:1", "127.0.0.1:8545", "http://", "http://127.0.0.1:99999", "ftp://x"]
)
def test_urls(anvil: Anvil, url: str) -> None:
    with pytest.raises(SettingsError, match="expected http"):
        Web3Chain(url, anvil.deployment)


def test_wrong_chain_names_both(anvil: Anvil) -> None:
    with pytest.raises(WrongChain, match=r"31337.*chain 5"):
        Web3Chain(anvil.devnet.rpc_url, replace(anvil.deployment, chain_id=5))


@pytest.mark.parametrize("name", ["runs", "stakes", "rounds", "settlement"])
def test_an_address_without_code(anvil: Anvil, name: str) -> None:
    with pytest.raises(HalfDeployed, match="99" * 20):
        Web3Chain(anvil.devnet.rpc_url, replace(anvil.deployment, **{name: b"\x99" * 20}))


def test_contracts_of_another_deployment(anvil: Anvil) -> None:
    other = deploy(anvil.devnet.rpc_url, anvil.account(1_001))
    mixed = replace(anvil.deployment, settlement=other.settlement)
    with pytest.raises(HalfDeployed, match=f"{other.settlement.hex()}|{anvil.deployment.settlement.hex()}"):
        Web3Chain(anvil.devnet.rpc_url, mixed)


def test_a_token_is_not_a_contract_of_ours(anvil: Anvil) -> None:
    with pytest.raises(HalfDeployed, match="use one deployment's own file"):
        Web3Chain(anvil.devnet.rpc_url, replace(anvil.deployment, rounds=anvil.token))


def test_secrets_of_the_url_stay_out_of_messages(anvil: Anvil) -> None:
    with pytest.raises(ChainUnreachable) as caught:
        Web3Chain("http://user:hunter2@127.0.0.1:9/v3/0123456789key", anvil.deployment)
    assert "hunter2" not in str(caught.value) and "0123456789key" not in str(caught.value)


def test_connecting_without_an_account_only_reads(anvil: Anvil) -> None:
    reader = Web3Chain(anvil.devnet.rpc_url, anvil.deployment)
    assert reader.run_count() >= 0
    with pytest.raises(ChainError, match="connect with an account"):
        reader.sign(Submit(run=1, digest=bytes(32), claimed_gain_micronats=0))
    assert anvil.account(0).key.hex() not in repr(anvil.connect(0))


# Money


def test_no_ether(stage: Stage, anvil: Anvil) -> None:
    stage.open()
    poor = Account.create()
    chain = Web3Chain(anvil.devnet.rpc_url, anvil.deployment, poor)
    anvil.connect(0).send_token(anvil.token, chain.account, 10 * ETHER_WEI + PRICE_WEI)  # type: ignore[attr-defined]
    with pytest.raises(Unfunded, match=rf"{poor.address} holds 0 wei"):
        chain.send(stage.seat(Role.TRAINER))
    anvil.connect(0).send_ether(chain.account, ETHER_WEI)  # type: ignore[attr-defined]
    assert chain.ether_balance_wei(chain.account) == ETHER_WEI
    chain.send(stage.seat(Role.TRAINER))


def test_allowances_are_exact_and_used_up(stage: Stage, anvil: Anvil) -> None:
    stage.open()
    anvil.connect(1_050)  # nobody else's
    chain = anvil.reconnect(1_050)  # nobody else's
    assert isinstance(chain, Web3Chain)
    token = Token(chain._view, anvil.token)
    assert token.allowance_wei(anvil.connect(0).account, anvil.deployment.runs) == 0
    join = replace(stage.seat(Role.TRAINER), max_price_wei=PRICE_WEI + 7)
    allowed_wei = STAKE_WEI[Role.TRAINER] + PRICE_WEI + 7
    # A refusal that has nothing to do with money must not leave an allowance behind.
    with pytest.raises(ChainError):
        chain.sign(replace(join, run=stage.run + 50))
    assert token.allowance_wei(chain.account, anvil.deployment.stakes) == 0
    chain.sign(join)
    assert token.allowance_wei(chain.account, anvil.deployment.stakes) == allowed_wei
    other = chain.sign(replace(join, stake_wei=join.stake_wei + 8))
    assert token.allowance_wei(chain.account, anvil.deployment.stakes) == allowed_wei + 8
    assert other
    # What a limit leaves over is not used later: the next call sets its own.
    chain.send(replace(join, stake_wei=join.stake_wei + 8))
    assert token.allowance_wei(chain.account, anvil.deployment.stakes) == 7
    stage.bond(chain, 1)
    assert token.allowance_wei(chain.account, anvil.deployment.stakes) == 0


@pytest.mark.parametrize("what", ["nothing", "contract"])
def test_no_token(stage: Stage, anvil: Anvil, what: str) -> None:
    stage.open()
    address = b"\x98" * 20 if what == "nothing" else anvil.deployment.stakes
    with pytest.raises(NotAToken, match=address.hex()):
        stage.sponsor.sign(Open(params=stage.params, token=address, budget_wei=1))
    with pytest.raises(NotAToken, match=address.hex()):
        stage.sponsor.token_balance_wei(address, address)


def test_faucet_refusals(anvil: Anvil) -> None:
    chain = Web3Chain(anvil.devnet.rpc_url, anvil.deployment, anvil.account(1_070))
    with pytest.raises(Unfunded, match="holds 0 wei of token"):
        chain.send_token(anvil.token, b"\1" * 20, 1)
    with pytest.raises(Unfunded, match="wei more"):
        chain.send_ether(b"\1" * 20, 10**30)


# Events


def test_pages_of_any_size_give_the_same_events(stage: Stage, anvil: Anvil) -> None:
    stage.open().enrol()
    stage.play()
    whole = list(stage.sponsor.events(stage.run))
    assert len(whole) > 20
    for page_blocks in (1, 2, 7, 100_000):
        paged = Web3Chain(anvil.devnet.rpc_url, replace(anvil.deployment), page_blocks=page_blocks)
        assert list(paged.events(stage.run, whole[0].position)) == whole[1:]


@pytest.mark.parametrize(
    "words",
    ["query returned more than 10000 results", "block range is too large", "exceeds max results", "request timed out"],
)
def test_a_node_that_wants_smaller_pages(enrolled: Stage, node: Proxy, words: str, anvil: Anvil) -> None:
    whole = list(enrolled.sponsor.events(enrolled.run))

    def limited(request: dict[str, Any]) -> Any:
        query = request["params"][0]
        if query["toBlock"] == "latest" or int(query["toBlock"], 16) - int(query["fromBlock"], 16) >= 3:
            return {"error": {"code": -32005, "message": words}}
        return None

    node.rules["eth_getLogs"] = limited
    chain = Web3Chain(node.url, anvil.deployment)
    assert list(chain.events(enrolled.run, whole[0].position)) == whole[1:]


def test_a_node_that_gives_nothing(stage: Stage, node: Proxy, anvil: Anvil) -> None:
    stage.open()
    node.rules["eth_getLogs"] = lambda _: {"error": {"code": -32005, "message": "limit exceeded"}}
    with pytest.raises(ChainError, match="ask another node"):
        Web3Chain(node.url, anvil.deployment).events(stage.run)


def _spoil(change: Callable[[dict[str, Any]], Any]) -> Callable[[list[dict[str, Any]]], Any]:
    def spoil(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        change(logs[-2])  # PhaseOpened
        return logs

    return spoil


LIES: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "no list": lambda logs: {"logs": logs},
    "null": lambda logs: None,
    "number": lambda logs: [7],
    "no topics": _spoil(lambda log: log.pop("topics")),
    "topics of numbers": _spoil(lambda log: log.update(topics=[1, 2])),
    "short topic": _spoil(lambda log: log.update(topics=[log["topics"][0], "0x01"])),
    "a topic missing": _spoil(lambda log: log.update(topics=log["topics"][:1])),
    "another run": _spoil(lambda log: log.update(topics=[log["topics"][0], "0x" + "0" * 60 + "ffff"])),
    "another contract": _spoil(lambda log: log.update(address="0x" + "99" * 20)),
    "no data": _spoil(lambda log: log.update(data=None)),
    "odd hex": _spoil(lambda log: log.update(data="0x123")),
    "not hex": _spoil(lambda log: log.update(data="0xzz")),
    "short data": _spoil(lambda log: log.update(data=log["data"][:-64])),
    "long data": _spoil(lambda log: log.update(data=log["data"] + "00" * 32)),
    "phase 9": _spoil(lambda log: log.update(data=log["data"][:66] + f"{9:064x}" + log["data"][130:])),
    "round too wide": _spoil(lambda log: log.update(data="0x" + "ff" * 32 + log["data"][66:])),
    "block a number": _spoil(lambda log: log.update(blockNumber=7)),
    "block null": _spoil(lambda log: log.update(blockNumber=None)),
    "block huge": _spoil(lambda log: log.update(blockNumber="0x" + "f" * 100)),
    "no hash": _spoil(lambda log: log.pop("transactionHash")),
}


@pytest.mark.parametrize("lie", LIES)
def test_forged_logs_are_refused(enrolled: Stage, node: Proxy, anvil: Anvil, lie: str) -> None:
    def forge(request: dict[str, Any]) -> Any:
        passed = Request(node.target, json.dumps(request).encode(), {"Content-Type": "application/json"})
        with urlopen(passed) as response:
            return {"result": LIES[lie](json.loads(response.read())["result"])}

    chain = Web3Chain(node.url, anvil.deployment)
    assert len(chain.events(enrolled.run)) == 14
    node.rules["eth_getLogs"] = forge
    with pytest.raises(ChainError):
        chain.events(enrolled.run)


def test_logs_that_a_reorganisation_took_back_and_unknown_ones_are_skipped(
    stage: Stage, node: Proxy, anvil: Anvil
) -> None:
    stage.open()
    whole = list(stage.sponsor.events(stage.run))

    def odd(request: dict[str, Any]) -> Any:
        passed = Request(node.target, json.dumps(request).encode(), {"Content-Type": "application/json"})
        with urlopen(passed) as response:
            logs = json.loads(response.read())["result"]
        unknown = logs[0] | {"topics": ["0x" + "12" * 32, logs[0]["topics"][1]]}
        return {"result": [*logs, unknown, logs[0] | {"removed": True, "logIndex": "0x9"}]}

    node.rules["eth_getLogs"] = odd
    assert list(Web3Chain(node.url, anvil.deployment).events(stage.run)) == whole


# Hostile answers


NONSENSE = [
    b"",
    b"<html>",
    b"[]",
    b"{}",
    b"null",
    b'{"id":1}',
    b"[" * 100_000,
    b"\xff\xfe",
    b'{"id":-1,"result":"0x1"}',
]


@pytest.mark.parametrize("raw", NONSENSE, ids=lambda raw: repr(raw[:12]))
def test_nonsense(node: Proxy, anvil: Anvil, raw: bytes) -> None:
    chain = Web3Chain(node.url, anvil.deployment)
    node.raw = raw
    with pytest.raises(ChainError, match="is this a chain's RPC"):
        chain.run_count()


@pytest.mark.parametrize("result", [None, 5, "0x", "0x01", "zz", [], {}, "0x" + "f" * 64 + "00"])
def test_nonsense_in_results(node: Proxy, anvil: Anvil, result: object) -> None:
    chain = Web3Chain(node.url, anvil.deployment, anvil.account(1))
    for method in ("eth_call", "eth_getBlockByNumber", "eth_estimateGas", "eth_getTransactionCount", "eth_blockNumber"):
        node.rules[method] = lambda _: {"result": result}
    node.rules["eth_getTransactionReceipt"] = lambda _: {"result": result if result is not None else {}}
    for act in (
        lambda: chain.clock(1),
        chain.now_s,
        lambda: chain.gas_used(bytes(32)),
        lambda: chain.send_ether(b"\1" * 20, 1),
        lambda: chain.escrow(1),
    ):
        with pytest.raises(ChainError):
            act()


def test_an_endless_answer_is_cut(anvil: Anvil, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradmint.ports.rpc._MAX_BYTES", 100_000)
    with proxy(anvil.devnet.rpc_url) as node:
        rpc = Rpc(node.url)
        node.raw = b"x" * 1_000_000
        with pytest.raises(ChainError, match="over 100000 bytes"):
            rpc.call("eth_blockNumber")


def test_a_busy_node_is_asked_again(anvil: Anvil) -> None:
    with proxy(anvil.devnet.rpc_url) as node:
        rpc = Rpc(node.url)
        node.status = 429
        threading.Timer(0.3, lambda: setattr(node, "status", 200)).start()
        assert rpc.call("eth_chainId") == "0x7a69"
        assert len(node.asked) >= 3


# Sending


def test_words_of_other_nodes(node: Proxy, stage: Stage, anvil: Anvil, monkeypatch: pytest.MonkeyPatch) -> None:
    """Geth says "already known" and gives no receipt at first; some put revert data one level deeper."""
    monkeypatch.setattr(sender_module, "_LATE_RECEIPT_S", 0.2)
    stage.open().enrol()
    chain = Web3Chain(node.url, anvil.deployment, anvil.account(1))
    signed = chain.sign(Submit(run=stage.run, digest=bytes(32), claimed_gain_micronats=0))
    stage.trainers[0].broadcast(signed)
    hidden = [3]

    def hide(_: object) -> Any:
        hidden[0] -= 1
        return {"result": None} if hidden[0] >= 0 else None

    node.rules["eth_getTransactionReceipt"] = hide
    node.rules["eth_sendRawTransaction"] = lambda _: {"error": {"code": -32000, "message": "already known"}}
    assert chain.broadcast(signed).events[0].run == stage.run

    submit = Submit(run=stage.run, digest=b"\5" * 32, claimed_gain_micronats=0)
    poke = "0xe035e5a0" + f"{stage.run:064x}" + f"{1:064x}" + f"{0:064x}"
    for error in (
        {"code": 3, "message": "execution reverted", "data": poke},
        {"code": -32603, "message": "Internal error", "data": {"code": 3, "data": poke}},
        {"code": -32015, "message": f"VM execution error: Reverted {poke}"},
    ):
        node.rules["eth_estimateGas"] = lambda _, error=error: {"error": error}  # type: ignore[misc]
        refused("WrongPhase", lambda: chain.sign(submit), stage.run, Phase.TRAIN, Phase.ENROL)
    node.rules["eth_estimateGas"] = lambda _: {"error": {"code": 3, "message": "execution reverted"}}
    refused("", lambda: chain.sign(submit))
    node.rules["eth_estimateGas"] = lambda _: {
        "error": {"code": 3, "message": "execution reverted", "data": "0x12345678"}
    }
    refused("0x12345678", lambda: chain.sign(submit))
    node.rules["eth_estimateGas"] = lambda _: {"error": {"code": -32000, "message": "insufficient funds for transfer"}}
    with pytest.raises(Unfunded):
        chain.sign(submit)
    node.rules["eth_estimateGas"] = lambda _: {"error": {"code": -32601, "message": "method not found"}}
    with pytest.raises(ChainError, match="method not found"):
        chain.sign(submit)
    del node.rules["eth_estimateGas"]

    for message, name in (("transaction underpriced", "FeeTooLow"), ("nonce too low", "NonceTaken")):
        node.rules["eth_getTransactionReceipt"] = lambda _: {"result": None}
        node.rules["eth_sendRawTransaction"] = lambda _, m=message: {"error": {"code": -32000, "message": m}}  # type: ignore[misc]
        signed = chain.sign(submit)
        refused(name, lambda signed=signed: chain.broadcast(signed))  # type: ignore[misc]


def test_bytes_that_are_not_ours(anvil: Anvil) -> None:
    one, two = (Web3Chain(anvil.devnet.rpc_url, anvil.deployment, anvil.account(n)) for n in (1, 2))
    signed = one._writer.sign(b"\1" * 20, b"", "a transfer", 1, gas=21_000)
    with pytest.raises(ChainError, match="another journal"):
        two.broadcast(signed)
    for junk in (b"", b"\2", b"\2\xc0", b"junk" * 30, signed[:-1], signed + b"\0", b"\1" + signed[1:]):
        with pytest.raises(ChainError):
            two.broadcast(junk)
    one.broadcast(signed)


def test_a_gap_is_refused_instead_of_lying_in_wait(anvil: Anvil, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "_GAP_S", 0.2)
    chain = Web3Chain(anvil.devnet.rpc_url, anvil.deployment, anvil.account(3))
    first = chain._writer.sign(b"\1" * 20, b"", "a transfer", 1, gas=21_000)
    second = chain._writer.sign(b"\1" * 20, b"", "a transfer", 2, gas=21_000)
    refused("NonceGap", lambda: chain.broadcast(second))
    pool = Rpc(anvil.devnet.rpc_url).call("txpool_content")
    assert pool["queued"] == {} and pool["pending"] == {}
    chain.broadcast(first)
    chain.broadcast(second)


def test_a_chain_that_mines_every_second(tmp_path: Path) -> None:
    """Receipts come with the next head, not by asking all the time."""
    account = Account.create()
    with Devnet() as devnet, proxy(devnet.rpc_url) as node:
        devnet.give_ether([account.address], ETHER_WEI)
        deployment = deploy(devnet.rpc_url, account)
        Rpc(devnet.rpc_url).call("evm_setAutomine", False)
        Rpc(devnet.rpc_url).call("evm_setIntervalMining", 1)
        chain = Web3Chain(devnet.rpc_url, deployment, account)
        started, used = time.monotonic(), time.process_time()
        for _ in range(2):
            chain.send_ether(b"\1" * 20, 1)
        assert time.monotonic() - started < 4
        assert time.process_time() - used < 0.15
        without_websocket = Web3Chain(node.url, deployment, account)
        without_websocket.send_ether(b"\1" * 20, 1)
        assert without_websocket.ether_balance_wei(b"\1" * 20) == 3


# Waiting


def test_waiting_asks_nothing_and_wakes_at_once(stage: Stage, anvil: Anvil) -> None:
    stage.open(min_trainers=1, min_verifiers=1).enrol(1, 0)
    watcher = Web3Chain(anvil.devnet.rpc_url, anvil.deployment)
    watcher.events(stage.run)
    asked: list[str] = []
    call = watcher.rpc.call

    def counted(method: str, *params: object, **options: Any) -> Any:
        asked.append(method)
        return call(method, *params, **options)

    watcher.rpc.call = counted  # type: ignore[method-assign]
    watcher.wait(stage.run, 1.2)
    assert len(asked) <= 3
    woken: list[float] = []

    def wait() -> None:
        watcher.events(stage.run)
        watcher.wait(stage.run, 10)
        woken.append(time.monotonic())

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(0.3)
    started = time.monotonic()
    stage.join(Role.VERIFIER)
    joined = time.monotonic()
    waiter.join(10)
    assert started < woken[0] < joined + 0.25


def test_an_overdue_phase_on_a_quiet_chain_is_poked(stage: Stage) -> None:
    """No block has been mined since the deadline: by the last block's time the phase is not over."""
    stage.open(train_s=1, exit_s=1_000).enrol()
    deadline_s = stage.sponsor.clock(stage.run).deadline_s
    refused("NotOverdue", lambda: stage.sponsor.sign(Poke(run=stage.run)), deadline_s)
    while stage.sponsor.now_s() < deadline_s:
        time.sleep(0.1)
    stage.sponsor.send(Poke(run=stage.run))


def test_a_hidden_or_forged_settlement_shows_in_the_seal(stage: Stage, node: Proxy, anvil: Anvil) -> None:
    stage.open().enrol()
    stage.play()
    chain = Web3Chain(node.url, anvil.deployment)
    root = chain.escrow(stage.run).root
    assert root == stage.sponsor.escrow(stage.run).root != bytes(24)

    def forged(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Method:
        def forge(request: dict[str, Any]) -> Any:
            passed = Request(node.target, json.dumps(request).encode(), {"Content-Type": "application/json"})
            with urlopen(passed) as response:
                return {"result": change(json.loads(response.read())["result"])}

        return forge

    def another_root(logs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [log | {"data": log["data"].replace(root.hex(), "77" * 24)} for log in logs]

    for change in (lambda logs: [log for log in logs if root.hex() not in log["data"]], another_root):
        node.rules["eth_getLogs"] = forged(change)
        with pytest.raises(ChainError, match="ask another node"):
            chain.escrow(stage.run)


OUTCOME_LIES: dict[str, Callable[[str], str]] = {
    "root too wide": lambda data: data[: 2 + 64 * 2 + 48] + "01" + data[2 + 64 * 2 + 50 :],
    "total too wide": lambda data: data[: 2 + 64 * 3] + "ff" + data[2 + 64 * 3 + 2 :],
    "weakest too wide": lambda data: data[: 2 + 64 * 7] + "ff" + data[2 + 64 * 7 + 2 :],
    "a word less": lambda data: data[:-64],
    "a word more": lambda data: data + "00" * 32,
}


@pytest.mark.parametrize("lie", OUTCOME_LIES)
def test_forged_outcomes_are_refused(stage: Stage, node: Proxy, anvil: Anvil, lie: str) -> None:
    """Proposed: round and final time, then the seven words of an outcome."""
    stage.open(**PROPOSING).enrol()
    stage.speak()
    stage.bond(stage.sponsor)
    stage.propose(stage.sponsor, 1)

    def forge(request: dict[str, Any]) -> Any:
        passed = Request(node.target, json.dumps(request).encode(), {"Content-Type": "application/json"})
        with urlopen(passed) as response:
            logs = json.loads(response.read())["result"]
        logs[-1]["data"] = OUTCOME_LIES[lie](logs[-1]["data"])
        return {"result": logs}

    chain = Web3Chain(node.url, anvil.deployment)
    assert list(chain.events(stage.run)) == list(stage.sponsor.events(stage.run))
    node.rules["eth_getLogs"] = forge
    with pytest.raises(ChainError, match="malformed Proposed"):
        chain.events(stage.run)


def test_a_redirection_is_signed_without_a_node(stage: Stage, anvil: Anvil) -> None:
    """What wallets show and contracts check, EIP-712; and nothing of the key."""
    account = anvil.account(1)
    signed = sign_redirect(account, 31_337, anvil.deployment.runs, 5, b"\7" * 20, 10**18, 2**40)
    chain = anvil.connect(1)
    assert chain.sign_redirect(5, b"\7" * 20, 10**18, 2**40) == signed and len(signed) == 65
    said = {"run": 5, "account": account.address, "recipient": "0x" + "07" * 20, "paidWei": 10**18, "deadlineS": 2**40}
    names = ("run", "account", "recipient", "paidWei", "deadlineS")
    kinds = ("uint256", "address", "address", "uint256", "uint256")
    domain = {
        "name": "Gradmint",
        "version": "1",
        "chainId": 31_337,
        "verifyingContract": f"0x{anvil.deployment.runs.hex()}",
    }
    types = {"Redirect": [{"name": name, "type": kind} for name, kind in zip(names, kinds, strict=True)]}
    message = encode_typed_data(domain_data=domain, message_types=types, message_data=said)
    assert Account.recover_message(message, signature=signed) == account.address
    assert account.key not in signed


def test_waiting_without_a_websocket(stage: Stage, node: Proxy, anvil: Anvil) -> None:
    stage.open(min_trainers=1, min_verifiers=1).enrol(1, 0)
    watcher = Web3Chain(node.url, anvil.deployment)
    watcher.events(stage.run)
    timer = threading.Timer(0.3, stage.join, [Role.VERIFIER])
    timer.start()
    started = time.monotonic()
    watcher.wait(stage.run, 10)
    timer.join()
    assert 0.2 < time.monotonic() - started < 3
    assert watcher.clock(stage.run).phase is Phase.TRAIN
    node.asked.clear()
    watcher.wait(stage.run, 1.5)
    assert len(node.asked) < 10


def test_a_node_restart_is_survived(tmp_path: Path) -> None:
    account = Account.create()
    devnet = Devnet(state=tmp_path / "chain")
    devnet.start()
    try:
        port = int(devnet.rpc_url.rpartition(":")[2])
        devnet.give_ether([account.address], ETHER_WEI)
        deployment = deploy(devnet.rpc_url, account, with_token=True)
        chain = Web3Chain(devnet.rpc_url, deployment, account)
        assert deployment.token
        chain.mint(deployment.token, chain.account, BUDGET_WEI)
        stage = Stage(None)  # type: ignore[arg-type]
        run = chain.send(Open(params=stage.params, token=deployment.token, budget_wei=5)).events[0].run
        before = list(chain.events(run))
        chain.wait(run, 0.1)  # a websocket is open
        waiter = threading.Thread(target=chain.wait, args=(run, 3.0))
        waiter.start()

        devnet.stop()
        again = Devnet(port=port, state=tmp_path / "chain")
        threading.Timer(1.0, again.start).start()
        try:
            started = time.monotonic()
            assert list(chain.events(run)) == before
            assert 0.5 < time.monotonic() - started < 8
            receipt = chain.send(Open(params=stage.params, token=deployment.token, budget_wei=5))
            assert receipt.events[0].run == run + 1
            waiter.join(10)
            assert not waiter.is_alive()
        finally:
            again.stop()
    finally:
        devnet.stop()


def test_costs(stage: Stage, anvil: Anvil, capsys: pytest.CaptureFixture[str]) -> None:
    """Processor time of this process; the limits are several times what was measured: load does not fail them."""
    from gradmint.ports.logs import decode_log

    stage.open().enrol()
    stage.play()
    events = stage.sponsor.events(stage.run)
    chain = stage.trainers[0]
    assert isinstance(chain, Web3Chain)

    def cost_ms(act: Callable[[], object], times: int) -> float:
        act()
        started = time.process_time()
        for _ in range(times):
            act()
        return (time.process_time() - started) / times * 1e3

    query = {"fromBlock": "0x0", "toBlock": "latest", "topics": [None, f"0x{stage.run:064x}"]}
    ours = (chain.runs_address, chain.stakes_address, chain.rounds_address, anvil.deployment.settlement)
    query["address"] = [f"0x{address.hex()}" for address in ours]
    logs = chain.rpc.call("eth_getLogs", query)
    submit = Submit(run=stage.run, digest=os.urandom(32), claimed_gain_micronats=1)
    costs = {
        "connect": (cost_ms(lambda: Web3Chain(anvil.devnet.rpc_url, anvil.deployment), 5), 60),
        "submit: simulate, sign, send, receipt": (cost_ms(lambda: chain.send(submit), 20), 40),
        f"events(), {len(events)} of them": (cost_ms(lambda: chain.events(stage.run), 20), 10),
        "decode 30 events": (
            cost_ms(lambda: [decode_log(log, anvil.deployment) for log in logs], 20) * 30 / len(logs),
            10,
        ),
        "clock()": (cost_ms(lambda: chain.clock(stage.run), 20), 5),
    }
    with capsys.disabled():
        print("\nprocessor time, ms: " + "; ".join(f"{what} {cost:.2f}" for what, (cost, _) in costs.items()))
    for what, (cost, limit) in costs.items():
        assert cost < limit, f"{what} took {cost:.1f} ms, at most {limit} ms"
