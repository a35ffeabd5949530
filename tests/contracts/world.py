"""A chain with the four contracts on it, driven at the level of JSON-RPC: what tests and gas.py share.

Everything is executed by a real Anvil. Any account may be used: Anvil signs for all of them.
"""

from __future__ import annotations

import itertools
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import requests
import rlp
from eth_abi import decode, encode
from eth_abi.packed import encode_packed
from eth_utils import keccak, to_checksum_address

from gradmint.ports import artifacts, logs
from gradmint.ports.deployment import Deployment
from gradmint.spec import transcript as spec_transcript
from gradmint.spec import tree
from gradmint.spec.docket import Books, Effects, Outcome, Proposal, Record, RosterRow
from gradmint.spec.ledger import Ledger
from gradmint.spec.params import Params
from gradmint.spec.plant import Exposure
from gradmint.spec.types import CHUNK_ROWS, Phase, Report, Role, Row, Standing, Verdict

ROOT = Path(__file__).resolve().parents[2]
NATIVE_ANVIL = ROOT / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
ETHER = 10**18
GAS = 29_000_000


class Reverted(Exception):
    """A contract refused. ``name`` and ``operands`` of the custom error; name "" when there is none."""

    def __init__(self, name: str, operands: tuple[Any, ...]) -> None:
        super().__init__(f"{name}{operands}")
        self.name, self.operands = name, operands


def _type(entry: dict[str, Any]) -> str:
    if not entry["type"].startswith("tuple"):
        return entry["type"]
    return "(" + ",".join(_type(part) for part in entry["components"]) + ")" + entry["type"][5:]


@dataclass(frozen=True)
class Callable_:
    """One entry of an ABI: selector or topic, argument and result types."""

    name: str
    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    names: tuple[str, ...]
    indexed: tuple[bool, ...]


def _entries(abi: Sequence[dict[str, Any]], kind: str) -> dict[str, Callable_]:
    found = {}
    for entry in abi:
        if entry["type"] == kind:
            inputs = tuple(_type(part) for part in entry["inputs"])
            digest = keccak(text=f"{entry['name']}({','.join(inputs)})")
            found[entry["name"]] = Callable_(
                entry["name"],
                digest if kind == "event" else digest[:4],
                inputs,
                tuple(_type(part) for part in entry.get("outputs", ())),
                tuple(part["name"] for part in entry["inputs"]),
                tuple(part.get("indexed", False) for part in entry["inputs"]),
            )
    return found


@dataclass(frozen=True)
class Event:
    name: str
    address: str
    args: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.args[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True)
class Receipt:
    gas: int
    events: tuple[Event, ...]

    def __getitem__(self, name: str) -> Event:
        """The last event of that name."""
        return [event for event in self.events if event.name == name][-1]

    def all(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]


class Chain:
    """Anvil over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.ids = itertools.count(1)
        self.errors: dict[bytes, Callable_] = {}
        self.events: dict[bytes, Callable_] = {}
        self.funded: set[str] = set()
        self.chain_id = int(self.rpc("eth_chainId"), 16)

    def rpc(self, method: str, *params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": params}
        answer = self.session.post(self.url, json=body, timeout=120).json()
        if "error" in answer:
            raise self._reverted(answer["error"])
        return answer["result"]

    def know(self, abi: Sequence[dict[str, Any]]) -> None:
        self.errors |= {entry.selector: entry for entry in _entries(abi, "error").values()}
        self.events |= {entry.selector: entry for entry in _entries(abi, "event").values()}

    def _reverted(self, error: dict[str, Any]) -> Exception:
        data = bytes.fromhex(str(error.get("data", "")).removeprefix("0x") or "")
        if data[:4] in self.errors:
            known = self.errors[data[:4]]
            return Reverted(known.name, decode(known.inputs, data[4:]))
        if data or "revert" in error.get("message", ""):
            return Reverted("", (data.hex(), error.get("message")))
        return RuntimeError(error)

    def now(self) -> int:
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def warp_to(self, second: int) -> None:
        """The latest block is at ``second``; the next one is not earlier."""
        self.rpc("evm_setNextBlockTimestamp", hex(second))
        self.rpc("evm_mine")

    def warp(self, seconds: int) -> None:
        self.warp_to(self.now() + seconds)

    def send(self, to: str | None, data: bytes, sender: str) -> dict[str, Any]:
        if sender not in self.funded:
            self.rpc("anvil_setBalance", sender, hex(10**24))
            self.funded.add(sender)
        call = {"from": sender, "data": "0x" + data.hex(), "gas": hex(GAS)} | ({"to": to} if to else {})
        sent = self.rpc("eth_sendTransaction", call)
        while (receipt := self.rpc("eth_getTransactionReceipt", sent)) is None:
            time.sleep(0.002)  # mined, not yet stored
        if receipt["status"] != "0x1":
            self.rpc("eth_call", call, "latest")
            raise RuntimeError(f"transaction failed and cannot be repeated: {receipt}")
        return receipt

    def receipt(self, raw: dict[str, Any]) -> Receipt:
        events = []
        for log in raw["logs"]:
            topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
            known = self.events.get(topics[0])
            if known is None:
                continue
            data = iter(decode(
                [kind for kind, indexed in zip(known.inputs, known.indexed, strict=True) if not indexed],
                bytes.fromhex(log["data"][2:]),
            ))  # fmt: skip
            rest = iter(topics[1:])
            args = {
                name: decode([kind], next(rest))[0] if indexed else next(data)
                for name, kind, indexed in zip(known.names, known.inputs, known.indexed, strict=True)
            }
            events.append(Event(known.name, log["address"], args))
        return Receipt(int(raw["gasUsed"], 16), tuple(events))


class Contract:
    """``contract.call("name", ...)`` reads, ``contract.send("name", ..., sender=...)`` writes."""

    def __init__(self, chain: Chain, address: str, abi: Sequence[dict[str, Any]]) -> None:
        self.chain, self.address = chain, to_checksum_address(address)
        self.functions = _entries(abi, "function")
        chain.know(abi)

    def data(self, name: str, *args: Any) -> bytes:
        function = self.functions[name]
        return function.selector + encode(function.inputs, args)

    def call(self, name: str, *args: Any, sender: str | None = None) -> Any:
        call = {"to": self.address, "data": "0x" + self.data(name, *args).hex(), "gas": hex(10**9)}
        raw = self.chain.rpc("eth_call", call | ({"from": sender} if sender else {}), "latest")
        results = decode(self.functions[name].outputs, bytes.fromhex(raw[2:]))
        return results[0] if len(results) == 1 else results

    def send(self, name: str, *args: Any, sender: str) -> Receipt:
        return self.chain.receipt(self.chain.send(self.address, self.data(name, *args), sender))


def deploy(
    chain: Chain, artifact: artifacts.Artifact, types: Sequence[str], args: Sequence[Any], sender: str
) -> Contract:
    receipt = chain.send(None, artifact.bytecode + encode(types, args), sender)
    return Contract(chain, receipt["contractAddress"], artifact.abi)


@cache
def compile_if_stale() -> None:
    """A compiler that shares its cores takes minutes."""
    built = ROOT / ".build" / "test" / "Harness.json"
    sources = [ROOT / "scripts" / "compile.py"]
    sources += [path for path in (ROOT / "contracts").rglob("*.sol") if not {"forge", "proofs"} & set(path.parts)]
    if not built.exists() or built.stat().st_mtime < max(source.stat().st_mtime for source in sources):
        subprocess.run([sys.executable, ROOT / "scripts" / "compile.py", "--test", "--check"], check=True, timeout=900)


def test_artifact(name: str) -> artifacts.Artifact:
    """A contract of contracts/test, which is compiled but not shipped."""
    compile_if_stale()
    built = json.loads((ROOT / ".build/test" / f"{name}.json").read_text())
    return artifacts.Artifact(name, built["abi"], bytes.fromhex(built["bytecode"][2:]))


test_artifact.__test__ = False  # type: ignore[attr-defined]  # a name, not a test


def address(number: int) -> str:
    """An account without a key; small numbers make cheap calldata, so these look like real ones."""
    return to_checksum_address(keccak(number.to_bytes(32, "big"))[12:])


def create_address(sender: str, nonce: int) -> str:
    return to_checksum_address(keccak(rlp.encode([bytes.fromhex(sender[2:]), nonce]))[12:])


@contextmanager
def anvil(*, steady: bool = False) -> Iterator[Chain]:
    """Starts Anvil on a free port; gone when the context ends. Where it is ``steady`` a block is a second after the one
    before, however long it took: beacons hang on the time, and gas on beacons."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = NATIVE_ANVIL if NATIVE_ANVIL.exists() else ROOT / "node_modules/.bin/anvil"
    command = str(found) if found.exists() else shutil.which("anvil")
    if command is None:
        raise FileNotFoundError("anvil is missing; run 'npm install --no-audit --no-fund'")
    process = subprocess.Popen(
        [command, "--port", str(port), "--hardfork", "prague", "--max-persisted-states", "0", "--auto-impersonate",
         "--accounts", "1",
         "--gas-limit", "60000000", "--no-request-size-limit", "--order", "fifo", "--timestamp", "1800000000"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        chain = _connect(f"http://127.0.0.1:{port}", process)
        if steady:
            chain.rpc("anvil_setBlockTimestampInterval", 1)
        yield chain
    finally:
        process.terminate()
        process.wait(10)


def _connect(url: str, process: subprocess.Popen[bytes]) -> Chain:
    for _ in range(200):
        try:
            return Chain(url)
        except requests.ConnectionError:
            if process.poll() is not None:
                raise RuntimeError(f"anvil ended with status {process.returncode}") from None
            time.sleep(0.05)
    raise TimeoutError(f"anvil does not answer at {url}")


DEPLOYER = address(0)
SPONSOR = address(1)
STRANGER = address(2)
WIRING = ("address",) * 5


def trainer(i: int) -> str:
    return address(1_000 + i)


def verifier(v: int) -> str:
    return address(9_000 + v)


def params_tuple(params: Params) -> tuple[Any, ...]:
    return astuple(params)


# The specification's values as the ABI wants them


def record_tuple(record: Record) -> tuple[Any, ...]:
    return astuple(record)


def outcome_tuple(outcome: Outcome) -> tuple[Any, ...]:
    return astuple(outcome)


def proposal_tuple(proposal: Proposal) -> tuple[Any, ...]:
    return (proposal.round, proposal.proposer, proposal.final_s, outcome_tuple(proposal.outcome))


def effects_tuple(effects: Effects) -> tuple[Any, ...]:
    def pairs(found: Sequence[tuple[bytes, int]]) -> list[int]:
        return [word for account, wei in found for word in (int.from_bytes(account, "big"), wei)]

    return (pairs(effects.slashed), list(effects.awaited), pairs(effects.left))


def inputs_tuple(record: Record, before: Books, rows: Sequence[RosterRow]) -> tuple[Any, ...]:
    return (record_tuple(record), before.roster, b"".join(row.pack() for row in rows), pack(before.standings))


def whole(reports: Sequence[bytes]) -> tuple[Any, ...]:
    """Evidence of whole reports."""
    return (list(reports), [], [], [])


def siblings(leaves: Sequence[Standing], position: int) -> tuple[int, bytes]:
    """A proof as the contract wants it."""
    proof = tree.prove(leaves, position)
    return proof.right_bits, b"".join(node.hash + node.sum_wei.to_bytes(16, "big") for node in proof.siblings)


def sliced(packed: Sequence[bytes], words: int) -> tuple[list[bytes], list[list[bytes]]]:
    """Heads of packed reports, and per chunk what each of them says."""
    from gradmint.spec.keccak import keccak256

    head, step = 4 + 32 * words, CHUNK_ROWS * Row.SIZE
    chunks = [[report[at : at + step] for at in range(head, len(report), step)] for report in packed]
    heads = [r[:head] + b"".join(keccak256(chunk) for chunk in own) for r, own in zip(packed, chunks, strict=True)]
    return heads, [list(rows) for rows in zip(*chunks, strict=True)]


def random_bytes(*seed: object) -> bytes:
    return keccak(text=repr(seed))


@dataclass
class World:
    """Four contracts, ratings as a test says, a token, and moves that any test needs."""

    chain: Chain
    runs: Contract
    stakes: Contract
    rounds: Contract
    settlement: Contract
    ratings: Contract  # in the place of Reputation
    token: Contract
    folded: dict[int, tuple[Ledger, int]] = field(default_factory=dict)  # per run: and the next block to read

    @classmethod
    def on(cls, chain: Chain) -> World:
        nonce = int(chain.rpc("eth_getTransactionCount", DEPLOYER, "latest"), 16)
        wired = [create_address(DEPLOYER, nonce + k) for k in range(5)]
        five = [deploy(chain, artifacts.load(name), WIRING, wired, DEPLOYER) for name in artifacts.CONTRACTS]
        five.append(deploy(chain, test_artifact("ReputationStub"), (), (), DEPLOYER))
        assert [contract.address for contract in five] == wired
        return cls(chain, *five, token=deploy(chain, artifacts.load(artifacts.DEV_TOKEN), (), (), DEPLOYER))

    # Money

    def rich(self, account: str, spender: Contract, amount_wei: int = 10**30, token: Contract | None = None) -> None:
        token = token or self.token
        token.send("mint", account, amount_wei, sender=account)
        token.send("approve", spender.address, 2**255, sender=account)

    def open(self, params: Params, budget_wei: int = 1_000 * ETHER, token: Contract | None = None) -> int:
        self.rich(SPONSOR, self.runs, token=token)
        opened = self.runs.send("open", params_tuple(params), (token or self.token).address, budget_wei, sender=SPONSOR)
        return opened["Opened"].run

    def claim(
        self, run: int, token: str, account: str | bytes, paid_wei: int, right_bits: int, proof: bytes, *, sender: str
    ) -> Receipt:
        words = (encode_packed(("address", "uint96"), pair) for pair in ((token, run), (account, right_bits)))
        data = self.runs.data("claim", *words, paid_wei) + proof
        return self.chain.receipt(self.chain.send(self.runs.address, data, sender))

    def join(
        self,
        run: int,
        account: str,
        role: Role,
        amount_wei: int,
        token: Contract | None = None,
        max_price_wei: int = 2**255,
    ) -> Receipt:
        self.rich(account, self.stakes, token=token)
        return self.stakes.send("join", run, int(role), amount_wei, max_price_wei, sender=account)

    def bond(self, run: int, account: str, amount_wei: int, token: Contract | None = None) -> Receipt:
        self.rich(account, self.stakes, token=token)
        return self.stakes.send("bond", run, amount_wei, sender=account)

    def enrol(self, run: int, params: Params, trainers: int, verifiers: int, stakes_wei: Sequence[int] = ()) -> None:
        for i in range(trainers):
            self.join(run, trainer(i), Role.TRAINER, params.trainer_stake_wei)
        for v in range(verifiers):
            self.join(run, verifier(v), Role.VERIFIER, stakes_wei[v] if stakes_wei else params.verifier_stake_wei)

    # Views

    def clock(self, run: int) -> tuple[bytes, int, int, Phase]:
        transcript, deadline, round_, phase = self.rounds.call("clock", run)
        return transcript, deadline, round_, Phase(phase)

    def phase(self, run: int) -> Phase:
        return self.clock(run)[3]

    def masks(self, run: int) -> dict[str, int]:
        names = ("held", "committed", "revealed", "eligible", "active", "awaited", "missed", "gone")
        return dict(zip(names, self.rounds.call("masks", run), strict=True))

    def overdue(self, run: int) -> None:
        self.chain.warp_to(max(self.clock(run)[1], self.chain.now() + 1))

    def ledger(self, run: int) -> Ledger:
        """The run as anyone folds it from its events: checks the transcript, records and re-executes on the way."""
        ledger, start = self.folded.get(run, (Ledger(run), 0))
        latest = int(self.chain.rpc("eth_blockNumber"), 16)
        if start > latest:
            return ledger
        wired = (self.runs, self.stakes, self.rounds, self.settlement)
        names = ("runs", "stakes", "rounds", "settlement", "reputation")
        addresses = (bytes.fromhex(contract.address[2:]) for contract in (*wired, self.ratings))
        deployment = Deployment(chain_id=self.chain.chain_id, block=0, **dict(zip(names, addresses, strict=True)))
        found = self.chain.rpc(
            "eth_getLogs",
            {
                "fromBlock": hex(start),
                "toBlock": hex(latest),
                "address": [contract.address for contract in wired],
                "topics": [None, logs.topic_of(run)],
            },
        )
        for log in found:
            event = logs.decode_log(log, deployment)
            if event is not None:
                ledger.apply(event)
        self.folded[run] = (ledger, latest + 1)
        return ledger

    def before(self, run: int, number: int) -> Books:
        """What the settlement of a recorded round starts from."""
        ledger = self.ledger(run)
        if ledger.is_direct:
            return ledger.final
        record = ledger.rounds[number - 1].record
        assert record is not None
        if not record.previous:
            return Books()
        execution = ledger.rounds[record.previous - 1].execution
        assert execution is not None
        return execution.books

    def inputs(self, run: int, number: int) -> tuple[Any, ...]:
        """What the settlement of a recorded round wants to be brought."""
        ledger, before = self.ledger(run), self.before(run, number)
        record = ledger.rounds[number - 1].record
        assert record is not None
        return inputs_tuple(record, before, ledger.roster_between(before.roster, record.roster))

    def evidence(self, run: int, number: int) -> tuple[Any, ...]:
        reveals = self.ledger(run).rounds[number - 1].reveals
        return whole([reveals[v].report for v in sorted(reveals)])

    # A round

    def submit_all(self, run: int, trainers: Sequence[int]) -> list[tuple[int, int, bytes]]:
        said = [(i, 1_000 * i - 500, random_bytes("digest", run, i)) for i in trainers]
        holders = self.rounds.call("trainersAt", run, 0, max(trainers, default=-1) + 1)
        for i, gain, digest in said:
            self.rounds.send("submit", run, digest, gain, sender=to_checksum_address(holders[i]))
        return said

    def close(self, run: int, submissions: Sequence[tuple[int, int, bytes]]) -> Receipt:
        return self.rounds.send("close", run, submissions, sender=STRANGER)

    def hold(self, run: int, v: int, bitmap: bytes | None = None, base: bytes = b"b" * 32) -> Receipt:
        trainers = self.rounds.call("counts", run)[2]
        return self.rounds.send("hold", run, bitmap or b"\xff" * ((trainers + 7) // 8), base, sender=verifier(v))

    def commitment(self, run: int, v: int, report: bytes, salt: bytes) -> bytes:
        contract = bytes.fromhex(self.rounds.address[2:])
        account = bytes.fromhex(verifier(v)[2:])
        round_, words = self.clock(run)[2], self.ledger(run).terms.words
        digest = Report.hash(report, words)
        return spec_transcript.commitment(self.chain.chain_id, contract, run, round_, account, digest, salt)

    def commit(self, run: int, v: int, report: Report) -> Receipt:
        made = self.commitment(run, v, report.pack(), random_bytes("salt", v))
        return self.rounds.send("commit", run, made, sender=verifier(v))

    def reveal(self, run: int, v: int, report: Report) -> Receipt:
        return self.rounds.send("reveal", run, report.pack(), random_bytes("salt", v), sender=verifier(v))

    def play(self, run: int, reports: dict[int, Report], trainers: Sequence[int]) -> None:
        """From TRAIN to the end of REVEAL with these reports; phases end early where everyone awaited acts, else by
        deadline."""
        said = self.submit_all(run, trainers)
        words = self.rounds.call("awaitedTrainers", run)
        if not any(word & ~sum(1 << i % 256 for i in trainers if i // 256 == k) for k, word in enumerate(words)):
            self.close(run, said)
        else:
            self.overdue(run)
            self.rounds.send("poke", run, sender=STRANGER)
        steps = ((self.hold, Phase.HOLD), (self.commit, Phase.COMMIT), (self.reveal, Phase.REVEAL))
        for act, phase in steps:
            for v, report in reports.items():
                act(run, v) if phase is Phase.HOLD else act(run, v, report)  # type: ignore[call-arg]
            if self.phase(run) is phase:
                self.overdue(run)
                self.rounds.send("poke", run, sender=STRANGER)

    def settle(self, run: int, number: int | None = None) -> Receipt:
        """By re-execution, with what anyone reads from the chain; compared with the specification's."""
        number = number or self.ledger(run).round.number
        inputs, evidence = self.inputs(run, number), self.evidence(run, number)
        params = params_tuple(self.ledger(run).terms)
        sent = self.settlement.send("settle", run, params, inputs, evidence, sender=STRANGER)
        self.compare(run, number, sent)
        return sent

    def expose(self, run: int, exposure: Exposure, sender: str, number: int = 1) -> Receipt:
        """Shows that an update of a recorded round was planted by ``sender``."""
        ledger = self.ledger(run)
        record = ledger.rounds[number - 1].record
        assert record is not None
        return self.stakes.send(
            "expose", run, params_tuple(ledger.terms), record_tuple(record), astuple(exposure), sender=sender
        )

    def call_everyone_in(self, run: int) -> Receipt:
        """Try to settle a round in which the drawn committee had no quorum."""
        number = self.ledger(run).round.number
        inputs, evidence = self.inputs(run, number), self.evidence(run, number)
        params = params_tuple(self.ledger(run).terms)
        sent = self.settlement.send("settle", run, params, inputs, evidence, sender=STRANGER)
        assert sent["Expanded"].round == number and self.ledger(run).round.attempt == 2
        return sent

    def compare(self, run: int, number: int, sent: Receipt) -> None:
        """A settlement's events against what the specification executes."""
        ledger = self.ledger(run)
        execution = ledger.rounds[number - 1].execution
        assert execution is not None
        settled = sent["Settled"]
        assert (settled.round, settled.outcome) == (number, outcome_tuple(execution.outcome))
        assert self.settlement.call("standingsHash", run) == execution.books.standings_hash
        assert self.runs.call("books", run) == (ledger.deposited_wei, ledger.total_wei)
        effects = execution.effects
        assert [(e.account, e.cumulativeWei) for e in sent.all("Left")] == [(_hex(a), wei) for a, wei in effects.left]
        for slashed, (account, wei) in zip(sent.all("Slashed"), effects.slashed, strict=True):
            assert slashed.account == _hex(account) and slashed.amountWei <= wei
        awaited = self.rounds.call("awaitedTrainers", run)
        expected = [0] * len(awaited)
        for i in ledger.awaited_trainers():
            expected[i >> 8] |= 1 << (i & 255)
        assert list(awaited) == expected


def _hex(account: bytes) -> str:
    return "0x" + account.hex()


def pack(standings: Sequence[Standing]) -> bytes:
    return b"".join(standing.pack() for standing in standings)


@contextmanager
def reverts(name: str, *operands: Any) -> Iterator[None]:
    """The block must be refused with this custom error; operands are compared where given."""
    try:
        yield
    except Reverted as refusal:
        found = tuple(o.lower() if isinstance(o, str) else o for o in refusal.operands)
        wanted = tuple(o.lower() if isinstance(o, str) else o for o in operands)
        assert refusal.name == name, f"expected {name}, refused with {refusal}"
        assert not wanted or found == wanted, f"expected {name}{wanted}, refused with {refusal}"
    else:
        raise AssertionError(f"expected {name}, but it went through")


def rows_of(gains: Sequence[int], assigned: int = 500) -> tuple[Row, ...]:
    """OK rows with these common gains, each assigned gain ``assigned`` higher."""
    return tuple(Row(Verdict.OK, gain, gain + assigned) for gain in gains)


def report_of(trainers: int, words: int = 4, salt: object = "truth", loss: int = 2_000_000) -> Report:
    """What an honest verifier says: the same for everyone who uses the same salt."""
    signature = tuple(int.from_bytes(random_bytes(salt, word), "big") for word in range(words))
    return Report(loss, signature, rows_of([1_000 * (i + 1) for i in range(trainers)]))
