"""Commands that are one transaction: who sends it, and what is told of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .settings import F, deployment_option, json_option, keystore_option, load_account, rpc_option

if TYPE_CHECKING:
    from ..ports.chain import Call, Receipt
    from ..ports.web3_chain import Web3Chain


def connect(rpc: str, deployment: Path, keystore: Path | None) -> Web3Chain:
    """Raises SettingsError, ChainUnreachable, WrongChain, HalfDeployed."""
    from ..ports.deployment import Deployment
    from ..ports.web3_chain import Web3Chain

    return Web3Chain(rpc, Deployment.read(deployment), load_account(keystore))


def sender_options(command: F) -> F:
    """--rpc, --deployment, --keystore, --json."""
    for option in (json_option, keystore_option, deployment_option, rpc_option):
        command = option(command)
    return command


def transact(
    chain: Web3Chain,
    call: Call,
    tell: Callable[[Receipt], str],
    as_json: bool = False,
    facts: Callable[[Receipt], dict[str, Any]] = lambda _: {},
) -> None:
    """Send ``call`` and say what came of it: ``tell`` for people, ``facts`` for programs, gas for both.

    Raises Reverted, Unfunded.
    """
    receipt = chain.send(call)
    if as_json:
        head = {"account": f"0x{chain.account.hex()}", "tx_hash": f"0x{receipt.tx_hash.hex()}", "block": receipt.block}
        click.echo(json.dumps({**head, "gas": receipt.gas_used, **facts(receipt)}))
    else:
        click.echo(f"{tell(receipt)}, {receipt.gas_used} gas")
