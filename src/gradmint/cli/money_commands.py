"""Keys, seats and money: ``key new``, ``join``, ``claim``, ``exit``, ``withdraw``, ``refund``."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from eth_account import Account

from ..spec.types import Role
from .settings import (
    PASSWORD,
    deployment_option,
    json_option,
    keystore_option,
    load_account,
    rpc_option,
    run_option,
    seal_key,
)

if TYPE_CHECKING:
    from ..ports.web3_chain import Web3Chain


def _connect(rpc: str, deployment: Path, keystore: Path | None) -> Web3Chain:
    from ..ports.deployment import Deployment
    from ..ports.web3_chain import Web3Chain

    return Web3Chain(rpc, Deployment.read(deployment), load_account(keystore))


@click.group("key")
def key_group() -> None:
    """Encrypted key files."""


@key_group.command("new")
@click.argument("path", type=click.Path(path_type=Path))
def key_new(path: Path) -> None:
    """Make a key and write it to PATH, encrypted.

    \b
    Example:
      gradmint key new alice.json
    """
    password = os.environ.get(PASSWORD)
    if password is None:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    account = Account.create()
    seal_key(account, path, password)
    click.echo(account.address)


@click.command()
@rpc_option
@deployment_option
@run_option
@keystore_option
@click.option(
    "--role", type=click.Choice([role.name.lower() for role in Role]), required=True, help="The seat to take."
)
@click.option("--stake", type=click.IntRange(min=0), help="In wei; the run's required stake by default.")
def join(rpc: str, deployment: Path, run_: int, keystore: Path | None, role: str, stake: int | None) -> None:
    """Stake and take a seat. Before round 1 at once, later from the next round on.

    \b
    Example:
      gradmint join --run 1 --role trainer --keystore alice.json
    """
    from ..roles.desk import take_seat
    from ..roles.follower import Follower

    chain = _connect(rpc, deployment, keystore)
    receipt = take_seat(chain, Follower(chain, run_), Role[role.upper()], stake)
    click.echo(f"0x{chain.account.hex()} joined run {run_} as {role}, {receipt.gas_used} gas")


@click.command()
@rpc_option
@deployment_option
@run_option
@keystore_option
@click.option("--all", "everyone", is_flag=True, help="For everyone with something due; the money goes to them.")
@json_option
def claim(rpc: str, deployment: Path, run_: int, keystore: Path | None, everyone: bool, as_json: bool) -> None:
    """Pay out what was earned and not claimed yet.

    \b
    Examples:
      gradmint claim --keystore alice.json
      gradmint claim --all --keystore anyone.json
    """
    from ..roles.claimant import claim as claim_due
    from ..roles.follower import Follower

    chain = _connect(rpc, deployment, keystore)
    ledger = Follower(chain, run_).ledger
    rows = []
    for standing, due_wei, receipt in claim_due(chain, ledger, None if everyone else frozenset({chain.account})):
        row = {"account": f"0x{standing.account.hex()}", "claimed_wei": str(due_wei), "gas": receipt.gas_used}
        rows.append(row)
        if not as_json:
            click.echo("{account}  {claimed_wei} wei  {gas} gas".format(**row))
    if as_json:
        click.echo(json.dumps(rows))
    elif not rows:
        click.echo("nothing is due")


@click.command("exit")
@rpc_option
@deployment_option
@run_option
@keystore_option
def exit_(rpc: str, deployment: Path, run_: int, keystore: Path | None) -> None:
    """Leave the run. The stake stays slashable until the delay is over; then 'gradmint withdraw'.

    \b
    Example:
      gradmint exit --run 1 --keystore alice.json
    """
    from ..ports.chain import Exit
    from ..spec.events import Exiting

    chain = _connect(rpc, deployment, keystore)
    receipt = chain.send(Exit(run=run_))
    for event in receipt.events:
        if isinstance(event, Exiting):
            wait_s = max(0, event.withdrawable_s - chain.now_s())
            click.echo(f"0x{chain.account.hex()} leaves run {run_}; withdraw in {wait_s} s")


@click.command()
@rpc_option
@deployment_option
@run_option
@keystore_option
def withdraw(rpc: str, deployment: Path, run_: int, keystore: Path | None) -> None:
    """Take back the stake: after 'gradmint exit' and its delay, or once the run has ended."""
    from ..ports.chain import Withdraw

    chain = _connect(rpc, deployment, keystore)
    receipt = chain.send(Withdraw(run=run_))
    click.echo(f"0x{chain.account.hex()} withdrew from run {run_}, {receipt.gas_used} gas")


@click.command()
@rpc_option
@deployment_option
@run_option
@keystore_option
def refund(rpc: str, deployment: Path, run_: int, keystore: Path | None) -> None:
    """Return to the sponsor what no round paid. Only after the run's end."""
    from ..ports.chain import Refund

    chain = _connect(rpc, deployment, keystore)
    receipt = chain.send(Refund(run=run_))
    click.echo(f"run {run_} refunded, {receipt.gas_used} gas")
