"""Puts the four contracts, and for local chains a token, on a chain."""

from __future__ import annotations

from typing import Any, cast

from eth_account.signers.local import LocalAccount

from ..spec.errors import ChainError, Unfunded
from . import artifacts
from .deployment import Deployment
from .rpc import Rpc, RpcError, as_int


def deploy(rpc_url: str, account: LocalAccount, *, with_token: bool = False) -> Deployment:
    """Deploy Runs, Stakes, Rounds and Settlement, each given the addresses that the others will have.

    Raises ChainUnreachable, Unfunded naming what is missing, ChainError when the account sent something in between.
    """
    from web3 import Web3  # 0.2 s that only this command pays
    from web3.middleware import SignAndSendRawMiddlewareBuilder
    from web3.providers.base import JSONBaseProvider

    rpc = Rpc(rpc_url)

    class Provider(JSONBaseProvider):
        """web3 over the same wire as everything else: one place for bounds, retries and messages."""

        def make_request(self, method: Any, params: Any) -> Any:
            try:
                return {"jsonrpc": "2.0", "id": 1, "result": rpc.call(method, *params)}
            except RpcError as error:
                return {"jsonrpc": "2.0", "id": 1, "error": {"code": error.code, "message": str(error)}}

    chain_id = as_int(rpc.call("eth_chainId", patience_s=0), "chain id")
    w3 = Web3(Provider())
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
    sender = account.address
    first_block = w3.eth.block_number
    nonce = w3.eth.get_transaction_count(sender, "pending")
    siblings = [_address_at(sender, nonce + i) for i in range(len(artifacts.CONTRACTS))]
    names = list(artifacts.CONTRACTS) + ([artifacts.DEV_TOKEN] if with_token else [])

    deployed: dict[str, bytes] = {}
    for i, name in enumerate(names):
        artifact = artifacts.load(name)
        arguments = [Web3.to_checksum_address(address) for address in siblings] if name in artifacts.CONTRACTS else []
        contract = w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        creation = contract.constructor(*arguments)
        fee_wei = 2 * w3.eth.get_block("latest").get("baseFeePerGas", w3.to_wei(1, "gwei")) + w3.to_wei(1, "gwei")
        gas = creation.estimate_gas({"from": sender}) * 5 // 4
        balance_wei = w3.eth.get_balance(sender)
        if balance_wei < gas * fee_wei:
            raise Unfunded(
                f"account {sender} holds {balance_wei} wei, deploying {name} may cost {gas * fee_wei} wei: send it "
                f"{gas * fee_wei - balance_wei} wei more on chain {chain_id}"
            )
        tx_hash = creation.transact({"from": sender, "gas": gas, "nonce": cast(Any, nonce + i)})
        receipt = w3.eth.wait_for_transaction_receipt(tx_hash, timeout=120, poll_latency=0.02)
        expected = _address_at(sender, nonce + i)
        found = bytes.fromhex(str(receipt["contractAddress"])[2:])
        if receipt["status"] != 1 or found != expected:
            raise ChainError(
                f"{name} should be at 0x{expected.hex()}, it is at 0x{found.hex()} with status {receipt['status']}: "
                f"{sender} sent something else meanwhile; deploy again from an account that nothing else uses"
            )
        deployed[name] = found
    rpc.close()
    return Deployment(
        chain_id=chain_id,
        block=first_block,
        runs=deployed["Runs"],
        stakes=deployed["Stakes"],
        rounds=deployed["Rounds"],
        settlement=deployed["Settlement"],
        token=deployed.get(artifacts.DEV_TOKEN),
    )


def _address_at(sender: str, nonce: int) -> bytes:
    """Address of the contract that ``sender`` makes with ``nonce``."""
    from eth_hash.auto import keccak
    from rlp import encode  # type: ignore[import-untyped]

    return keccak(encode([bytes.fromhex(sender[2:]), nonce]))[12:]
