"""The chain port over any EVM node: HTTP for questions and transactions, a websocket beside it for waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak

from ..spec.docket import Record, slice_hash
from ..spec.errors import ChainError, ChainUnreachable, HalfDeployed, NotAToken, Reverted, Unfunded, WrongChain
from ..spec.events import Event, PhaseOpened, Position, Settled
from ..spec.types import Phase
from .calls import Spend, Target, target_of
from .chain import (
    Bond,
    BondAccount,
    Call,
    Clock,
    DocketSlot,
    Escrow,
    Fund,
    Join,
    LiveChallenge,
    Receipt,
    RecordSlot,
)
from .codec import function
from .deployment import Deployment
from .heads import Heads
from .history import History, is_removed
from .logs import decode_log, topic_for, topic_of
from .nonces import send_surely
from .rpc import Rpc, RpcError, as_bytes, as_dict, as_int, to_hex
from .sender import Sender, refusal
from .tokens import Token

_CONNECT_PATIENCE_S = 1.0
_FIRST_POLL_S, _LAST_POLL_S = 0.1, 1.0
_HEADS = "heads"  # channel of new blocks
#: How a token's refusal looks from outside, when the allowance is too small.
_TOKEN_REFUSALS = frozenset(
    {"TransferFromFailed", "ERC20InsufficientAllowance", "ERC20InsufficientBalance", "Error", ""}
)


class Web3Chain:
    """See :class:`~gradmint.ports.chain.Chain`. Threads may share one; without ``account`` it only reads.

    Connecting checks chain id, code and wiring. Raises ChainUnreachable, WrongChain, HalfDeployed, SettingsError.
    """

    def __init__(
        self,
        rpc_url: str,
        deployment: Deployment,
        account: LocalAccount | None = None,
        *,
        patience_s: float = 10.0,
        page_blocks: int | None = None,
    ) -> None:
        self.deployment = deployment
        self.rpc = Rpc(rpc_url, patience_s)
        self._check(deployment)
        self._heads = Heads(rpc_url)
        self._history = History(self.rpc, deployment, page_blocks)
        self._sender = None if account is None else Sender(self.rpc, self._heads, deployment.chain_id, account)
        self._seen = threading.local()

    def __repr__(self) -> str:
        return f"Web3Chain({self.rpc.where}, chain {self.chain_id})"

    def close(self) -> None:
        self._heads.close()
        self.rpc.close()

    # Reading

    @property
    def chain_id(self) -> int:
        return self.deployment.chain_id

    @property
    def rounds_address(self) -> bytes:
        return self.deployment.rounds

    @property
    def runs_address(self) -> bytes:
        return self.deployment.runs

    @property
    def stakes_address(self) -> bytes:
        return self.deployment.stakes

    def now_s(self) -> int:
        pending = self.rpc.call("eth_getBlockByNumber", "pending", False)
        if isinstance(pending, dict) and pending.get("timestamp"):
            return as_int(pending["timestamp"], "time")
        latest = as_dict(self.rpc.call("eth_getBlockByNumber", "latest", False), "the newest block")
        return max(as_int(latest.get("timestamp"), "time") + 1, int(time.time()))

    def run_count(self) -> int:
        return int(self._read("Runs", "lastRun")[0])

    def events(self, run: int, after: Position | None = None) -> Sequence[Event]:
        events = self._history.read(run, after)
        phases = [event for event in events if isinstance(event, PhaseOpened)]
        if phases:
            self._remember(run, (phases[-1].round, phases[-1].phase))
        elif after is None:
            self._remember(run, (0, Phase.ENROL))
        return events

    def clock(self, run: int) -> Clock:
        transcript, deadline_s, round_, phase = self._read("Rounds", "clock", run)[0]
        try:
            clock = Clock(round_, Phase(phase), deadline_s, transcript)
        except ValueError as error:
            raise ChainError(f"run {run} is in phase {phase}: {error}: the deployment is of another version") from error
        self._remember(run, (clock.round, clock.phase))
        return clock

    def escrow(self, run: int) -> Escrow:
        sponsor, refunded, token, _, params_hash, seal, deposited_wei, total_wei, *_ = self._read("Runs", "info", run)[
            0
        ]
        return Escrow(
            sponsor=sponsor,
            token=token,
            deposited_wei=deposited_wei,
            total_wei=total_wei,
            root=self._sealed_root(run, seal, token),
            refunded_wei=deposited_wei - total_wei if refunded else 0,
            params_hash=params_hash,
        )

    def standings_hash(self, run: int) -> bytes:
        found: bytes = self._read("Settlement", "standingsHash", run)[0]
        return found

    def record(self, run: int, round_: int) -> RecordSlot:
        return RecordSlot(*self._read("Rounds", "record", run, round_))

    def docket(self, run: int) -> DocketSlot:
        return DocketSlot(*self._read("Settlement", "docket", run), *self._read("Settlement", "tip", run))

    def challenge_of(self, run: int) -> LiveChallenge | None:
        found = LiveChallenge(*self._read("Settlement", "challenged", run))
        return found if found.round else None

    def bond_of(self, run: int, account: bytes) -> BondAccount:
        return BondAccount(*self._read("Stakes", "bondOf", run, account))

    def price_wei(self, run: int) -> int:
        return int(self._read("Stakes", "priceOf", run)[0])

    def left_wei(self, run: int, account: bytes) -> int:
        return int(self._read("Runs", "left", run, account)[0])

    def is_heard(self, run: int, record: Record, chunk: int, rows: bytes, sums: Sequence[int]) -> bool:
        found: bytes = self._read("Settlement", "heard", run, record.round, chunk)[0]
        return found == slice_hash(rows, sums)

    def caught_up(self, run: int) -> bool:
        return bool(self._read("Settlement", "isCaughtUp", run)[0])

    def stakes_wei(self, run: int, accounts: Sequence[bytes]) -> list[int]:
        return list(self._read("Stakes", "stakesOf", run, list(accounts))[0])

    def claimed_wei(self, run: int, account: bytes) -> int:
        return int(self._read("Runs", "claimed", run, account)[0])

    def token_balance_wei(self, token: bytes, account: bytes) -> int:
        return Token(self._view, token).balance_wei(account)

    def ether_balance_wei(self, account: bytes) -> int:
        return as_int(self.rpc.call("eth_getBalance", to_hex(account), "latest"), "balance")

    def gas_used(self, tx_hash: bytes) -> int:
        receipt = self.rpc.call("eth_getTransactionReceipt", to_hex(tx_hash))
        if receipt is None:
            raise ChainError(f"no transaction 0x{tx_hash.hex()} on chain {self.chain_id}: is it of another chain?")
        return as_int(as_dict(receipt, "a receipt").get("gasUsed"), "gas")

    def rating_q32(self, account: bytes) -> int:
        return int(self._read("Reputation", "ratingOf", account)[0])

    def wait(self, run: int, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        channel = f"run {run}"
        phases = {"address": to_hex(self.deployment.rounds), "topics": [topic_for(PhaseOpened), topic_of(run)]}
        seen = self._remembered(run)
        pause_s = _FIRST_POLL_S
        while True:
            # Subscribe first, look second: whatever opens after the look is counted.
            count = self._heads.follow(channel, ["logs", phases])
            _, _, round_, phase = self._read("Rounds", "clock", run)[0]
            if (round_, phase) != seen:
                if seen is None:
                    self._remember(run, (round_, phase))
                return
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return
            if count is None:
                time.sleep(min(pause_s, left_s))  # no websocket: nothing to wait on
                pause_s = min(2 * pause_s, _LAST_POLL_S)
            elif self._heads.wait(channel, count, left_s):
                return

    def block(self) -> int:
        """Number of the newest block."""
        return as_int(self.rpc.call("eth_blockNumber"), "block number")

    def await_block(self, number: int, timeout_s: float) -> int:
        """Block until there is block ``number`` or the time passes; the newest one then."""
        deadline, pause_s = time.monotonic() + timeout_s, _FIRST_POLL_S
        while True:
            count = self._heads.follow(_HEADS, ["newHeads"])  # first, so that no block is missed after the look
            newest, left_s = self.block(), deadline - time.monotonic()
            if newest >= number or left_s <= 0:
                return newest
            if count is None:
                time.sleep(min(pause_s, left_s))  # no websocket: nothing to wait on
                pause_s = min(2 * pause_s, _LAST_POLL_S)
            else:
                self._heads.wait(_HEADS, count, left_s)

    # Writing

    @property
    def account(self) -> bytes:
        return self._writer.address

    def sign(self, call: Call) -> bytes:
        target = target_of(call, self.deployment, self._run_token)
        token = self._token_of(call, target.spend)
        gas = self._estimate(call, target, token)
        return self._writer.sign(target.to, target.data, target.name, gas=gas)

    def sign_redirect(self, run: int, recipient: bytes, paid_wei: int, deadline_s: int) -> bytes:
        return self._writer.sign_redirect(self.runs_address, run, recipient, paid_wei, deadline_s)

    def broadcast(self, signed: bytes) -> Receipt:
        return self._receipt(self._writer.broadcast(signed))

    def send(self, call: Call) -> Receipt:
        return send_surely(lambda: self.sign(call), self.broadcast)

    # Money outside runs, for faucets and local chains

    def send_ether(self, to: bytes, amount_wei: int) -> Receipt:
        """Raises Unfunded."""
        what = f"a transfer of {amount_wei} wei"
        return send_surely(lambda: self._writer.sign(to, b"", what, amount_wei, gas=21_000), self.broadcast)

    def send_token(self, token: bytes, to: bytes, amount_wei: int) -> Receipt:
        """Raises NotAToken, Unfunded, Reverted."""
        self._require_tokens(Token(self._view, token), amount_wei, "transfer")
        return self._send_data(token, function("DevToken", "transfer").encode(to, amount_wei), "transfer")

    def mint(self, token: bytes, account: bytes, amount_wei: int) -> Receipt:
        """For the development token only, which mints for anybody. Raises Reverted."""
        return self._send_data(token, function("DevToken", "mint").encode(account, amount_wei), "mint")

    # For contracts that no Call is for: ports/contract.py

    def view(self, address: bytes, data: bytes) -> bytes:
        """What a contract answers. Raises Reverted."""
        return self._view(address, data)

    def send_data(self, to: bytes, data: bytes, what: str) -> Receipt:
        """Raises Reverted, Unfunded."""
        return self._send_data(to, data, what)

    # Below

    @property
    def _writer(self) -> Sender:
        if self._sender is None:
            raise ChainError("this connection only reads: connect with an account")
        return self._sender

    def _estimate(self, call: Call, target: Target, token: Token | None) -> int:
        """Gas; on the way the contract gets the allowance that the call needs, and no more."""
        try:
            return self._writer.estimate(target.to, target.data)
        except Reverted as refused:
            if refused.name == "NotAToken":
                raise NotAToken(str(refused)) from refused
            # The contracts look at everything else first: a refusal by the token is about money.
            if token is None or target.spend is None or refused.name not in _TOKEN_REFUSALS:
                raise
            amount_wei = needed_wei = target.spend.amount_wei
            if isinstance(call, Join):  # the allowance is for the highest price, what is needed is today's
                needed_wei = call.stake_wei + min(call.max_price_wei, self.price_wei(call.run))
            self._require_tokens(token, needed_wei, target.spend.what)
            allowed_wei = token.allowance_wei(self.account, target.to)
            if allowed_wei >= amount_wei:
                raise
        approve = function("DevToken", "approve")
        if allowed_wei > 0:  # some tokens change no allowance but to and from zero
            self._send_data(token.address, approve.encode(target.to, 0), "approve")
        self._send_data(token.address, approve.encode(target.to, amount_wei), "approve")
        return self._writer.estimate(target.to, target.data)

    def _token_of(self, call: Call, spend: Spend | None) -> Token | None:
        if spend is None:
            return None
        if spend.token is not None:
            token = Token(self._view, spend.token)
            token.check()
            return token
        assert isinstance(call, Join | Fund | Bond)
        try:
            return Token(self._view, self._run_token(call.run))
        except Reverted:
            return None  # no such run: the call itself says so, after what else is wrong with it

    def _run_token(self, run: int) -> bytes:
        token: bytes = self._read("Runs", "terms", run)[0]
        return token

    def _sealed_root(self, run: int, seal: bytes, token: bytes) -> bytes:
        """The contract keeps keccak256(root || token), but for the last bit; the root is in the event, and checked."""
        sealed, mode = seal[:31], seal[31]
        if sealed == bytes(31) and mode <= 1:
            return bytes(24)
        settlements = [event for event in self._history.read(run, None) if isinstance(event, Settled)]
        root = settlements[-1].outcome.root if settlements else b""
        found = keccak(root + token)
        if found[:31] != sealed or found[31] | 1 != mode | 1:
            raise ChainError(
                f"run {run} is sealed with 0x{seal.hex()}, the last settlement's root 0x{root.hex()} gives "
                f"0x{found.hex()}: {self.rpc.where} hides or forges events, ask another node"
            )
        return root

    def _require_tokens(self, token: Token, amount_wei: int, what: str) -> None:
        balance_wei = token.balance_wei(self.account)
        if balance_wei < amount_wei:
            raise Unfunded(
                f"account 0x{self.account.hex()} holds {balance_wei} wei of token 0x{token.address.hex()}, the {what} "
                f"is {amount_wei} wei: send it {amount_wei - balance_wei} wei more"
            )

    def _send_data(self, to: bytes, data: bytes, what: str) -> Receipt:
        return send_surely(lambda: self._writer.sign(to, data, what), self.broadcast)

    def _receipt(self, found: dict[str, Any]) -> Receipt:
        logs = found.get("logs")
        if not isinstance(logs, list):
            raise ChainError(f"the node gives a receipt's logs as {logs!r:.80}, expected a list")
        ours = {to_hex(a) for a in (self.deployment.runs, self.stakes_address, self.rounds_address)}
        ours.add(to_hex(self.deployment.settlement))
        logs = [
            log for log in logs if str(as_dict(log, "a log").get("address")).lower() in ours and not is_removed(log)
        ]
        events = [decode_log(log, self.deployment) for log in logs]
        return Receipt(
            tx_hash=as_bytes(found.get("transactionHash"), "a receipt's hash", 32),
            block=as_int(found.get("blockNumber"), "a receipt's block"),
            gas_used=as_int(found.get("gasUsed"), "gas"),
            events=tuple(event for event in events if event is not None),
        )

    def _read(self, contract: str, name: str, *arguments: object) -> tuple[Any, ...]:
        method = function(contract, name)
        address: bytes = getattr(self.deployment, contract.lower())
        return method.decode(self._view(address, method.encode(*arguments)))

    def _view(self, address: bytes, data: bytes) -> bytes:
        try:
            answer = self.rpc.call("eth_call", {"to": to_hex(address), "data": to_hex(data)}, "latest")
        except RpcError as error:
            raise refusal(error) from error
        return as_bytes(answer, "a call's result")

    def _remember(self, run: int, phase: tuple[int, int]) -> None:
        """What this thread has seen of the run: another thread's look must not take its next wake-up away."""
        if not hasattr(self._seen, "phases"):
            self._seen.phases = {}
        self._seen.phases[run] = phase

    def _remembered(self, run: int) -> tuple[int, int] | None:
        phases: dict[int, tuple[int, int]] = getattr(self._seen, "phases", {})
        return phases.get(run)

    def _check(self, deployment: Deployment) -> None:
        chain_id = as_int(self.rpc.call("eth_chainId", patience_s=_CONNECT_PATIENCE_S), "chain id")
        if chain_id != deployment.chain_id:
            raise WrongChain(
                f"{self.rpc.where} serves chain {chain_id}, the deployment is on chain {deployment.chain_id}: "
                f"name that chain's RPC, or this chain's deployment file"
            )
        names = ("runs", "stakes", "rounds", "settlement")
        for owner in names:
            address = getattr(deployment, owner)
            for sibling in (*names, "reputation"):
                expected = getattr(deployment, sibling)
                getter = function(owner.capitalize(), sibling)
                try:
                    found = getter.decode(self._view(address, getter.encode()))[0]
                except ChainUnreachable:
                    raise
                except ChainError as error:
                    raise HalfDeployed(
                        f"0x{address.hex()} is not the {owner} contract of chain {chain_id} (no code, or another "
                        f"contract): has the chain been started anew? Deploy again with 'gradmint deploy'"
                    ) from error
                if found != expected:
                    raise HalfDeployed(
                        f"{owner} at 0x{address.hex()} works with {sibling} at 0x{found.hex()}, the deployment names "
                        f"0x{expected.hex()}: use one deployment's own file, unedited"
                    )
