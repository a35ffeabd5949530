"""Puts the six contracts, and for local chains a token, on a chain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, cast

from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak

from ..spec.errors import ChainError, Unfunded
from ..spec.reputation_params import STANDARD_REPUTATION, ReputationParams
from . import artifacts
from .deployment import Deployment
from .rpc import Rpc, RpcError, as_int

#: Upper bound of a creation: 200 gas a byte of code, 16 of calldata, 2 a word of initcode; then storage and the rest.
_GAS_PER_BYTE, _GAS_PER_CONTRACT = 220, 150_000
_RECEIPT_S = 180
_NOBODY = bytes(20)


def deploy(
    rpc_url: str,
    account: LocalAccount,
    *,
    with_token: bool = False,
    seeds: Sequence[bytes] = (),
    reputation: ReputationParams = STANDARD_REPUTATION,
    reputation_token: bytes | None = None,
) -> Deployment:
    """Deploy Runs, Stakes, Rounds and Settlement, each given the addresses that the others and Reputation will have;
    Reputation, whose walks start at ``seeds`` and whose money is ``reputation_token``, by default the token that is
    deployed along, or none; Certificates.

    A deployment that broke off half-way left nothing that can be used, and a new one can start at once. Raises
    ChainUnreachable, Unfunded before anything is spent, ChainError when the account sent something in between.
    """
    from web3 import Web3  # 0.2 s that only this command pays
    from web3.exceptions import Web3Exception
    from web3.middleware import SignAndSendRawMiddlewareBuilder
    from web3.providers.base import JSONBaseProvider

    reputation.check()
    rpc = Rpc(rpc_url)

    class Provider(JSONBaseProvider):
        """web3 over the same wire as everything else: one place for bounds, retries and messages."""

        def make_request(self, method: Any, params: Any) -> Any:
            try:
                return {"jsonrpc": "2.0", "id": 1, "result": rpc.call(method, *params)}
            except RpcError as error:
                return {"jsonrpc": "2.0", "id": 1, "error": {"code": error.code, "message": str(error)}}

    chain_id = as_int(rpc.call("eth_chainId", patience_s=0), "chain id")
    sender = account.address
    names = (
        *artifacts.CONTRACTS,
        artifacts.REPUTATION,
        artifacts.CERTIFICATES,
        *((artifacts.DEV_TOKEN,) if with_token else ()),
    )
    w3 = Web3(Provider())
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
    deployed: dict[str, bytes] = {}
    try:
        head = w3.eth.get_block("latest")
        fee_wei = 2 * head.get("baseFeePerGas", 0) + w3.eth.max_priority_fee
        _require_funds(names, fee_wei, w3.eth.get_balance(w3.to_checksum_address(sender)), sender, chain_id)
        nonce = w3.eth.get_transaction_count(w3.to_checksum_address(sender), "pending")
        addresses = [_address_at(sender, nonce + i) for i in range(len(names))]
        at = dict(zip(names, map(w3.to_checksum_address, addresses), strict=True))
        siblings = [at[name] for name in (*artifacts.CONTRACTS, artifacts.REPUTATION)]
        money = at.get(artifacts.DEV_TOKEN, _NOBODY) if reputation_token is None else reputation_token
        wiring: dict[str, list[Any]] = {
            **dict.fromkeys(artifacts.CONTRACTS, siblings),
            artifacts.REPUTATION: [
                at["Rounds"],
                at["Settlement"],
                w3.to_checksum_address(money),
                tuple(getattr(reputation, item.name) for item in fields(reputation)),
                [w3.to_checksum_address(seed) for seed in seeds],
            ],
            artifacts.CERTIFICATES: siblings[:3],
            artifacts.DEV_TOKEN: [],
        }
        for i, name in enumerate(names):
            artifact = artifacts.load(name)
            contract = w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
            creation = contract.constructor(*wiring[name])
            # One after the other: a contract checks its own address, so only the next nonce can be simulated.
            tx_hash = creation.transact({"from": w3.to_checksum_address(sender), "nonce": cast(Any, nonce + i)})
            receipt = w3.eth.wait_for_transaction_receipt(tx_hash, timeout=_RECEIPT_S, poll_latency=0.02)
            found = bytes.fromhex(str(receipt["contractAddress"])[2:])
            if receipt["status"] != 1 or found != addresses[i]:
                raise ChainError(
                    f"{name} is at 0x{found.hex()} with status {receipt['status']}, not at 0x{addresses[i].hex()}: "
                    f"{sender} sent something else meanwhile; deploy again from an account that nothing else uses"
                )
            deployed[name] = found
    except Web3Exception as error:
        done = ", ".join(deployed) or "nothing"
        raise ChainError(f"deployment broke off after {done}: {str(error)[:300]}: deploy again") from error
    finally:
        rpc.close()
    return Deployment(
        chain_id=chain_id,
        block=int(head["number"]),
        runs=deployed["Runs"],
        stakes=deployed["Stakes"],
        rounds=deployed["Rounds"],
        settlement=deployed["Settlement"],
        reputation=deployed[artifacts.REPUTATION],
        token=deployed.get(artifacts.DEV_TOKEN),
        certificates=deployed[artifacts.CERTIFICATES],
        seeds=tuple(seeds),
    )


def _require_funds(names: tuple[str, ...], fee_wei: int, balance_wei: int, sender: str, chain_id: int) -> None:
    code_bytes = sum(len(artifacts.load(name).bytecode) for name in names)
    needed_wei = (code_bytes * _GAS_PER_BYTE + len(names) * _GAS_PER_CONTRACT) * fee_wei
    if balance_wei < needed_wei:
        raise Unfunded(
            f"account {sender} holds {balance_wei} wei, deploying {', '.join(names)} may cost {needed_wei} wei: send "
            f"it {needed_wei - balance_wei} wei more on chain {chain_id}"
        )


def _address_at(sender: str, nonce: int) -> bytes:
    """Address of the contract that ``sender`` makes with ``nonce``."""
    from rlp import encode  # type: ignore[import-untyped]

    return keccak(encode([bytes.fromhex(sender[2:]), nonce]))[12:]
