"""A stage for either chain: accounts with money, a run, and shorthand for what its participants do."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from gradmint.ports.chain import (
    Bond,
    Chain,
    Claim,
    Close,
    Commit,
    Evidence,
    Finalise,
    Hold,
    Join,
    Open,
    Poke,
    Propose,
    Receipt,
    Refute,
    Reveal,
    Settle,
    Submit,
)
from gradmint.ports.deploy import deploy
from gradmint.ports.deployment import Deployment
from gradmint.ports.devnet import Devnet
from gradmint.ports.memory_chain import MemoryWorld
from gradmint.ports.rpc import Rpc
from gradmint.ports.web3_chain import Web3Chain
from gradmint.spec import transcript, tree
from gradmint.spec.docket import Books, Effects, Execution
from gradmint.spec.errors import Reverted
from gradmint.spec.events import Position
from gradmint.spec.ledger import Ledger
from gradmint.spec.params import LOCAL, Params
from gradmint.spec.reputation_params import STANDARD_REPUTATION, ReputationParams
from gradmint.spec.types import Phase, Report, Role, Row, Verdict

ETHER_WEI = 10**18
STAKE_WEI = {Role.TRAINER: 10 * ETHER_WEI, Role.VERIFIER: 100 * ETHER_WEI}
FAR = (1 << 40) - 1  # a word 40 bits away from 0: beyond slash_bits
GREY = (1 << 20) - 1  # 20 bits away: out of the cluster, not slashed
BUDGET_WEI = 1_000 * ETHER_WEI
MINTED_WEI = 10**9 * ETHER_WEI

TERMS = replace(
    LOCAL, manifest=b"\1" * 32, model=b"\2" * 32, max_rounds=4, min_trainers=3, min_verifiers=3, words=1,
    accept_bits=8, slash_bits=32, max_trainers=5, max_verifiers=5,
)  # fmt: skip
SALT = b"\4" * 32
PRICE_WEI = TERMS.join_price_wei
MOST_WEI = 10**6 * ETHER_WEI  # what nobody pays for a seat
BOND_WEI = ETHER_WEI
#: What makes a run a proposing one.
PROPOSING = {
    "challenge_s": 1_000,
    "extension_s": 400,
    "proposal_bond_wei": BOND_WEI,
    "exit_s": 2_000,
}


class World(Protocol):
    """Where chains come from."""

    token: bytes

    def connect(self, number: int) -> Chain:
        """Chain of account ``number``, which has tokens and gas money."""
        ...

    def reconnect(self, number: int) -> Chain:
        """The same as a new process would have it."""
        ...

    def advance(self, seconds: int) -> None: ...

    def rate(self, account: bytes, rating_q32: int) -> None:
        """Reputation says this of the account from now on."""
        ...


class Memory:
    token = b"\x70" * 20

    def __init__(self) -> None:
        self.world = MemoryWorld()
        self.ratings_q32: dict[bytes, int] = {}

    def connect(self, number: int) -> Chain:
        account = number.to_bytes(20, "big")
        if not self.world.rules.balances_wei.get((self.token, account)):
            self.world.mint(self.token, account, MINTED_WEI)
        return self.world.as_account(account)

    def reconnect(self, number: int) -> Chain:
        self.world.restart()
        return self.connect(number)

    def advance(self, seconds: int) -> None:
        self.world.advance(seconds)

    def rate(self, account: bytes, rating_q32: int) -> None:
        self.ratings_q32[account] = rating_q32
        self.world.rate_by(lambda asked: self.ratings_q32.get(asked, 0))


class Anvil:
    """One devnet and deployment for all tests of a session; each test opens runs of its own.

    Reputation follows ``rules`` and starts from the accounts ``seeds``.
    """

    def __init__(
        self, devnet: Devnet, seeds: Sequence[int] = (), rules: ReputationParams = STANDARD_REPUTATION
    ) -> None:
        self.devnet = devnet
        self.accounts: dict[int, LocalAccount] = {}
        self.chains: dict[int, Chain] = {}
        deployer = self.account(1_000)
        starts = [bytes.fromhex(self.account(number).address[2:]) for number in seeds]
        self.deployment: Deployment = deploy(devnet.rpc_url, deployer, with_token=True, seeds=starts, reputation=rules)
        assert self.deployment.token is not None
        self.token = self.deployment.token
        self._reputation: Any = None  # its code, while something else stands in its place

    def account(self, number: int) -> LocalAccount:
        if number not in self.accounts:
            self.accounts[number] = Account.from_key((10_000 + number).to_bytes(32, "big"))
            self.devnet.give_ether([self.accounts[number].address], 1_000 * ETHER_WEI)
        return self.accounts[number]

    def connect(self, number: int) -> Chain:
        if number not in self.chains:
            chain = Web3Chain(self.devnet.rpc_url, self.deployment, self.account(number))
            chain.mint(self.token, chain.account, MINTED_WEI)
            self.chains[number] = chain
        return self.chains[number]

    def reconnect(self, number: int) -> Chain:
        return Web3Chain(self.devnet.rpc_url, self.deployment, self.account(number))

    def advance(self, seconds: int) -> None:
        self.devnet.advance(seconds)

    def rate(self, account: bytes, rating_q32: int) -> None:
        """In the place of Reputation: whatever is asked about an account is answered from the slot of its address."""
        node, at = Rpc(self.devnet.rpc_url), f"0x{self.deployment.reputation.hex()}"
        if self._reputation is None:
            self._reputation = node.call("eth_getCode", at, "latest")
            node.call("anvil_setCode", at, "0x600435545f5260205ff3")
        node.call("anvil_setStorageAt", at, f"0x{account.hex():0>64}", f"0x{rating_q32:064x}")
        node.close()

    def forget_ratings(self) -> None:
        """Reputation is itself again, if :meth:`rate` took its place: other tests have the same chain."""
        if self._reputation is not None:
            node = Rpc(self.devnet.rpc_url)
            node.call("anvil_setCode", f"0x{self.deployment.reputation.hex()}", self._reputation)
            node.close()
            self._reputation = None


def rows(gains: Sequence[int]) -> tuple[Row, ...]:
    return tuple(Row(Verdict.OK if gain else Verdict.MISSING, gain, gain + 1 if gain else -(2**31)) for gain in gains)


@dataclass
class Stage:
    """A run with its people: account 0 sponsors, 1.. train, 101.. verify."""

    world: World
    run: int = 0
    params: Params = TERMS
    trainers: list[Chain] = field(default_factory=list)
    verifiers: list[Chain] = field(default_factory=list)
    joined: dict[Role, int] = field(default_factory=dict)
    _folded: Ledger = field(default_factory=lambda: Ledger(0))
    _last: Position | None = None

    @property
    def sponsor(self) -> Chain:
        return self.world.connect(0)

    def open(self, budget_wei: int = BUDGET_WEI, **terms: object) -> Stage:
        self.params = replace(TERMS, **terms)  # type: ignore[arg-type]
        call = Open(params=self.params, token=self.world.token, budget_wei=budget_wei)
        self.run = self.sponsor.send(call).events[0].run
        self._folded, self._last = Ledger(self.run), None
        return self

    def seat(self, role: Role, stake_wei: int | None = None) -> Join:
        """A join at any price."""
        stake_wei = STAKE_WEI[role] if stake_wei is None else stake_wei
        return Join(run=self.run, role=role, stake_wei=stake_wei, max_price_wei=MOST_WEI)

    def join(self, role: Role, stake_wei: int | None = None, index: int | None = None) -> Receipt:
        """The next account; it takes the place of ``index``'s holder in the lists here when it gets that one's seat."""
        people, base = (self.trainers, 1) if role is Role.TRAINER else (self.verifiers, 101)
        self.joined[role] = self.joined.get(role, 0) + 1
        newcomer = self.world.connect(base + self.joined[role] - 1)
        receipt = newcomer.send(self.seat(role, stake_wei))
        at = len(people) if index is None else index
        people[at : at + 1] = [newcomer]
        return receipt

    def enrol(self, trainers: int = 3, verifiers: int = 3) -> Stage:
        for _ in range(trainers):
            self.join(Role.TRAINER)
        for _ in range(verifiers):
            self.join(Role.VERIFIER)
        return self

    def ledger(self) -> Ledger:
        """Every event folded and checked against its transcript: a copy that stays as it is."""
        for event in self.sponsor.events(self.run, self._last):
            self._folded.apply(event)
            self._last = event.position
        assert self._folded.transcript == self.sponsor.clock(self.run).transcript
        return copy.deepcopy(self._folded)

    @property
    def phase(self) -> Phase:
        return self.sponsor.clock(self.run).phase

    # What people do; each takes the indices of those who do it, in this order.

    def submit(self, *trainers: int) -> None:
        for i in trainers:
            self.trainers[i].send(Submit(run=self.run, digest=os.urandom(32), claimed_gain_micronats=-7 + i))

    def close(self) -> Receipt:
        submissions = self.ledger().round.submissions
        said = tuple((s.trainer, s.claimed_gain_micronats, s.digest) for s in submissions)
        return self.trainers[0].send(Close(run=self.run, submissions=said))

    def hold(self, *verifiers: int) -> None:
        bitmap = bytes([255] * ((self.ledger().round.trainers + 7) // 8))
        for v in verifiers:
            self.verifiers[v].send(Hold(run=self.run, bitmap=bitmap, base=b"\3" * 32))

    def report(self, verifier: int, word: int = 0, gains: Sequence[int] | None = None) -> bytes:
        gains = gains or [10 * (i + 1) for i in range(self.ledger().round.trainers)]
        return Report(1_000_000 + verifier, (word,), rows(gains)).pack()

    def commitment(self, chain: Chain, round_: int, report: bytes) -> bytes:
        said = Report.hash(report, self.params.words)
        return transcript.commitment(chain.chain_id, chain.rounds_address, self.run, round_, chain.account, said, SALT)

    def commit(self, reports: dict[int, bytes]) -> None:
        number = self.ledger().round.number
        for v, report in reports.items():
            chain = self.verifiers[v]
            bound = self.commitment(chain, number, report)
            chain.send(Commit(run=self.run, commitment=bound))

    def reveal(self, reports: dict[int, bytes]) -> None:
        for v, report in reports.items():
            self.verifiers[v].send(Reveal(run=self.run, report=report, salt=SALT))

    def settlement(self, round_: int | None = None) -> Settle:
        """Of the latest round, or another recorded one, on what is final."""
        ledger = self.ledger()
        found = ledger.rounds[(round_ or ledger.round.number) - 1]
        before, record = ledger.final, found.record
        assert record is not None
        return Settle(
            run=self.run,
            params=self.params,
            record=record,
            roster=before.roster,
            rows=ledger.roster_between(before.roster, record.roster),
            standings=before.standings,
            reports=tuple(found.reveals[v].report for v in sorted(found.reveals)),
        )

    def settle(self) -> Receipt:
        return self.sponsor.send(self.settlement())

    def speak(self, reports: dict[int, bytes] | None = None, everybody: Sequence[int] = (0, 1, 2)) -> None:
        """One whole round up to its record; ``reports`` per verifier, honest ones by default."""
        self.submit(*range(self.ledger().round.trainers))
        self.close()
        self.hold(*everybody)
        reports = {v: self.report(v) for v in everybody} if reports is None else reports
        self.commit(reports)
        self.reveal(reports)

    def play(self, reports: dict[int, bytes] | None = None, everybody: Sequence[int] = (0, 1, 2)) -> Receipt:
        """One whole round in which everybody acts, settled."""
        self.speak(reports, everybody)
        return self.settle()

    # Where rounds are proposed

    def execution(self, round_: int) -> Execution:
        found = self.ledger().rounds[round_ - 1].execution
        assert found is not None
        return found

    def bond(self, chain: Chain, bonds: int = 1) -> Receipt:
        return chain.send(Bond(run=self.run, amount_wei=bonds * BOND_WEI))

    def propose(self, chain: Chain, round_: int, **lies: object) -> Receipt:
        """What re-execution gives, or something else."""
        outcome = replace(self.execution(round_).outcome, **lies)  # type: ignore[arg-type]
        return chain.send(Propose(run=self.run, round=round_, outcome=outcome))

    def refutation(self, place: int) -> Refute:
        """Of the pending proposal there, by whole reports."""
        ledger = self.ledger()
        round_ = ledger.rounds[ledger.pending[place].round - 1]
        record = round_.record
        assert record is not None
        execution = ledger.rounds[record.previous - 1].execution if record.previous else None
        before = execution.books if execution else Books()
        return Refute(
            run=self.run,
            params=self.params,
            pending=tuple(ledger.pending),
            place=place,
            record=record,
            roster=before.roster,
            rows=ledger.roster_between(before.roster, record.roster),
            standings=before.standings,
            evidence=Evidence(reports=tuple(round_.reveals[v].report for v in sorted(round_.reveals))),
        )

    def finalisation(self) -> Finalise:
        pending = tuple(self.ledger().pending)
        effects = self.execution(pending[0].round).effects if pending else Effects(slashed=(), awaited=(), left=())
        return Finalise(run=self.run, pending=pending, effects=effects)

    def finalise(self) -> Receipt:
        """When it is time."""
        final_s = self.ledger().pending[0].final_s
        self.until(final_s)
        return self.sponsor.send(self.finalisation())

    def until(self, time_s: int) -> None:
        self.world.advance(max(0, time_s - self.sponsor.now_s()))

    def poke(self) -> Receipt:
        """After the deadline."""
        clock = self.sponsor.clock(self.run)
        self.world.advance(max(1, clock.deadline_s - self.sponsor.now_s()))
        return self.sponsor.send(Poke(run=self.run))

    def claim(self, position: int) -> Claim:
        leaves = self.ledger().all_standings()
        leaf = leaves[position]
        return Claim(run=self.run, account=leaf.account, paid_wei=leaf.paid_wei, proof=tree.prove(leaves, position))


def refused(name: str, act: Callable[[], object], *operands: object) -> Reverted:
    """``act`` is refused with this error; the operands are compared as far as they are given, None stands for any."""
    with pytest.raises(Reverted) as caught:
        act()
    assert caught.value.name == name, caught.value
    for expected, found in zip(operands, caught.value.operands, strict=False):
        assert expected is None or expected == found, caught.value
    assert ": " in str(caught.value)
    return caught.value
