"""One account's transactions: simulated, signed, sent, awaited. Signed bytes may be sent any number of times."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak

from ..spec.errors import ChainError, ChainUnreachable, Reverted, Unfunded
from .codec import decode_revert
from .heads import Heads
from .nonces import Nonces
from .reverts import reverted
from .rpc import Rpc, RpcError, as_bytes, as_dict, as_int, to_hex

#: Whoever acts last also opens the next phase: a call that was simulated as the last but one may become the last. The
#: last to reveal also records the round, which reads three words of each of up to 32 verifiers.
_SPARE_GAS = 400_000
_RECEIPT_S = 180.0
_GAP_S = 2.0
_LATE_RECEIPT_S = 1.0
_POLL_S = 1.0
_TIP_WEI = 10**9

_REDIRECT = {
    "Redirect": [
        {"name": "run", "type": "uint256"},
        {"name": "account", "type": "address"},
        {"name": "recipient", "type": "address"},
        {"name": "paidWei", "type": "uint256"},
        {"name": "deadlineS", "type": "uint256"},
    ]
}

_KNOWN = re.compile(r"already known|already imported|known transaction|already in mempool", re.IGNORECASE)
_TAKEN = re.compile(r"nonce too low|nonce is too low|replacement transaction|already used", re.IGNORECASE)
_POOR = re.compile(r"insufficient funds|insufficient balance|out of fund", re.IGNORECASE)
_CHEAP = re.compile(r"fee (cap )?(is )?(too low|less than)|underpriced|max fee per gas", re.IGNORECASE)
_REVERT = re.compile(r"revert", re.IGNORECASE)
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2}){4,}")


@dataclass(frozen=True, slots=True)
class _Signed:
    """What the bytes say about themselves."""

    tx_hash: bytes
    nonce: int
    to: bytes
    data: bytes


class Sender:
    """Signs and sends for ``account``; threads may share it. The key stays in ``account``."""

    def __init__(self, rpc: Rpc, heads: Heads, chain_id: int, account: LocalAccount) -> None:
        self._rpc = rpc
        self._heads = heads
        self._chain_id = chain_id
        self._account = account
        self._nonces = Nonces()
        self._fresh: set[bytes] = set()  # signed here, never sent, next in line
        self.address = bytes.fromhex(account.address[2:])

    def estimate(self, to: bytes, data: bytes) -> int:
        """Gas of the call in the next block. Raises Reverted when the chain would refuse it, Unfunded."""
        # "pending" has the next block's time: by the last block's, no phase would ever be overdue on a quiet chain.
        call = {"from": to_hex(self.address), "to": to_hex(to), "data": to_hex(data)}
        try:
            return as_int(self._rpc.call("eth_estimateGas", call, "pending"), "gas")
        except RpcError as error:
            raise refusal(error) from error

    def sign(self, to: bytes, data: bytes, what: str, value_wei: int = 0, gas: int | None = None) -> bytes:
        """Raises Reverted, Unfunded, ChainUnreachable; nothing is spent."""
        needed = self.estimate(to, data) if gas is None else gas
        head = as_dict(self._rpc.call("eth_getBlockByNumber", "latest", False), "the newest block")
        limit = min(needed * 5 // 4 + _SPARE_GAS, as_int(head.get("gasLimit"), "gas limit"))
        tip_wei = self._tip_wei()
        fee_wei = 2 * as_int(head.get("baseFeePerGas", "0x0"), "base fee") + tip_wei
        self._require_funds(limit * fee_wei + value_wei, what)

        chain_nonce = self._next_nonce()
        nonce = self._nonces.take(chain_nonce)
        signed = self._account.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain_id,
                "nonce": nonce,
                "to": to,
                "value": value_wei,
                "data": data,
                "gas": limit,
                "maxFeePerGas": fee_wei,
                "maxPriorityFeePerGas": tip_wei,
            }
        )
        if nonce == chain_nonce:
            self._fresh.add(bytes(signed.hash))
        return bytes(signed.raw_transaction)

    def sign_redirect(self, runs: bytes, run: int, recipient: bytes, paid_wei: int, deadline_s: int) -> bytes:
        """See :func:`sign_redirect`."""
        return sign_redirect(self._account, self._chain_id, runs, run, recipient, paid_wei, deadline_s)

    def broadcast(self, raw: bytes) -> dict[str, Any]:
        """The receipt. Raises Reverted (NonceTaken, NonceGap, FeeTooLow included), Unfunded, ChainUnreachable."""
        signed = self._parse(raw)
        try:
            receipt = None
            if signed.tx_hash in self._fresh:
                self._fresh.discard(signed.tx_hash)
            else:
                receipt = self._receipt(signed)
                if receipt is None:
                    self._await_turn(signed)
            if receipt is None:
                self._submit(raw, signed)
                receipt = self._await_receipt(signed)
        finally:
            self._nonces.release(signed.nonce)
        if as_int(receipt.get("status"), "status") != 1:
            raise self._why(signed, as_int(receipt.get("blockNumber"), "block"))
        return receipt

    def _submit(self, raw: bytes, signed: _Signed) -> None:
        try:
            self._rpc.call("eth_sendRawTransaction", to_hex(raw))
        except RpcError as error:
            said = str(error)
            if _KNOWN.search(said):
                return
            if _TAKEN.search(said):
                self._late_receipt(signed)
                return
            if _CHEAP.search(said):
                raise reverted("FeeTooLow", signed.nonce) from error
            raise refusal(error) from error

    def _await_turn(self, signed: _Signed) -> None:
        """A transaction behind a missing nonce would lie in the node's pool and strike when nobody expects it."""
        give_up = time.monotonic() + _GAP_S
        pause_s = 0.01
        while (chain_nonce := self._next_nonce()) < signed.nonce:
            if time.monotonic() > give_up:
                self._nonces.abandon_below(signed.nonce)
                raise reverted("NonceGap", signed.nonce, chain_nonce)
            time.sleep(pause_s)  # for another thread of this process, between its sign and its broadcast
            pause_s = min(2 * pause_s, 0.2)

    def _await_receipt(self, signed: _Signed) -> dict[str, Any]:
        for pause_s in (0.0, 0.003):  # a node that mines at once has it by now, or in a moment; subscribing costs more
            time.sleep(pause_s)
            receipt = self._receipt(signed)
            if receipt is not None:
                return receipt
        channel = f"receipt {signed.tx_hash.hex()}"
        give_up = time.monotonic() + _RECEIPT_S
        try:
            while True:
                count = self._heads.follow(channel, ["newHeads"])
                receipt = self._receipt(signed)
                if receipt is not None:
                    return receipt
                mined = as_int(
                    self._rpc.call("eth_getTransactionCount", to_hex(self.address), "latest"), "transaction count"
                )
                if mined > signed.nonce:
                    return self._late_receipt(signed)
                if time.monotonic() > give_up:
                    raise ChainUnreachable(
                        f"{self._rpc.where} took transaction 0x{signed.tx_hash.hex()} and has not mined it in "
                        f"{_RECEIPT_S:g} s: broadcast the same bytes again later, that is safe"
                    )
                if count is None:
                    time.sleep(_POLL_S / 5)  # no websocket: nothing to wait on
                else:
                    self._heads.wait(channel, count, _POLL_S)
        finally:
            self._heads.leave(channel)

    def _late_receipt(self, signed: _Signed) -> dict[str, Any]:
        """The nonce is used: by this transaction, whose receipt a node may show a moment later, or by another one.

        Raises Reverted, name "NonceTaken".
        """
        give_up = time.monotonic() + _LATE_RECEIPT_S
        while (receipt := self._receipt(signed)) is None:
            if time.monotonic() > give_up:
                raise reverted("NonceTaken", self.address, signed.nonce)
            time.sleep(0.01)  # no event tells when a node's own tables agree
        return receipt

    def _receipt(self, signed: _Signed) -> dict[str, Any] | None:
        found = self._rpc.call("eth_getTransactionReceipt", to_hex(signed.tx_hash))
        return None if found is None else as_dict(found, "a receipt")

    def _why(self, signed: _Signed, block: int) -> Reverted:
        """What a mined but refused transaction ran into: the same call on the state before, then after its block."""
        call = {"from": to_hex(self.address), "to": to_hex(signed.to), "data": to_hex(signed.data)}
        for at in (block - 1, block):
            try:
                self._rpc.call("eth_call", call, hex(at))
            except RpcError as error:
                found = refusal(error)
                if isinstance(found, Reverted):
                    return found
        return reverted("Failed", signed.tx_hash)

    def _parse(self, raw: bytes) -> _Signed:
        import rlp  # type: ignore[import-untyped]

        try:
            fields: list[bytes] = rlp.decode(raw[1:]) if raw[:1] == b"\x02" else []
            chain_id, nonce = (int.from_bytes(fields[i], "big") for i in (0, 1))
            signed = _Signed(keccak(raw), nonce, bytes(fields[5]), bytes(fields[7]))
            sender = self.address if signed.tx_hash in self._fresh else self._recover(raw)
        except (rlp.exceptions.RLPException, IndexError, TypeError, ValueError) as error:
            raise ChainError(f"{len(raw)} bytes are no signed transaction: broadcast what sign() returned") from error
        if (chain_id, sender) != (self._chain_id, self.address):
            raise ChainError(
                f"these bytes were signed by 0x{sender.hex()} for chain {chain_id}, this is 0x{self.address.hex()} on "
                f"chain {self._chain_id}: another journal?"
            )
        return signed

    @staticmethod
    def _recover(raw: bytes) -> bytes:
        return bytes.fromhex(Account.recover_transaction(raw)[2:])

    def _next_nonce(self) -> int:
        count = self._rpc.call("eth_getTransactionCount", to_hex(self.address), "pending")
        return as_int(count, "transaction count")

    def _tip_wei(self) -> int:
        try:
            return as_int(self._rpc.call("eth_maxPriorityFeePerGas"), "priority fee")
        except RpcError:
            return _TIP_WEI  # an optional method

    def _require_funds(self, needed_wei: int, what: str) -> None:
        balance = self._rpc.call("eth_getBalance", to_hex(self.address), "pending")
        balance_wei = as_int(balance, "balance")
        if balance_wei < needed_wei:
            raise Unfunded(
                f"account {self._account.address} holds {balance_wei} wei, {what} may cost {needed_wei} wei: send it "
                f"{needed_wei - balance_wei} wei more on chain {self._chain_id}"
            )


def sign_redirect(
    account: LocalAccount, chain_id: int, runs: bytes, run: int, recipient: bytes, paid_wei: int, deadline_s: int
) -> bytes:
    """The account's consent that its pay, up to cumulative ``paid_wei``, is claimed for ``recipient`` before the
    deadline. EIP-712: wallets show what is signed. No node is asked, so the key can be on another machine."""
    said = {
        "run": run,
        "account": account.address,
        "recipient": recipient,
        "paidWei": paid_wei,
        "deadlineS": deadline_s,
    }
    domain = {"name": "Gradmint", "version": "1", "chainId": chain_id, "verifyingContract": to_hex(runs)}
    signed = account.sign_typed_data(domain_data=domain, message_types=_REDIRECT, message_data=said)
    return bytes(signed.signature)


def refusal(error: RpcError) -> ChainError:
    """The typed error behind a node's refusal; the refusal itself when no contract spoke."""
    data = _revert_data(error.data)
    if data is None and _REVERT.search(str(error)):
        found = _HEX.search(str(error))
        data = as_bytes(found[0], "revert data") if found else b""
    if data is not None:
        return decode_revert(data)
    if _POOR.search(str(error)):
        return Unfunded(f"{error}: send the account some of the chain's own currency")
    return error


def _revert_data(data: object) -> bytes | None:
    """Nodes put it into ``data`` itself or one level deeper."""
    if isinstance(data, dict):
        data = next((data[key] for key in ("data", "output", "result") if key in data), None)
    if isinstance(data, str) and _HEX.fullmatch(data):
        return as_bytes(data, "revert data")
    return None
