"""Keys, seats and money: ``key new``, ``price``, ``join``, ``claim``, ``exit``, ``withdraw``, ``refund``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
from eth_account import Account

from ..spec.errors import SettingsError
from ..spec.types import Role
from .run_commands import token_address
from .settings import (
    PASSWORD,
    deployment_option,
    json_option,
    keystore_option,
    max_price_option,
    numerics_option,
    rpc_option,
    run_option,
    seal_key,
    store_option,
)
from .transact import connect, transact


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
@max_price_option
@store_option
@numerics_option
@click.option("--unchecked", is_flag=True, help="Another machine will do the work: do not ask whether this one could.")
def join(
    rpc: str,
    deployment: Path,
    run_: int,
    keystore: Path | None,
    role: str,
    stake: int | None,
    max_price: int | None,
    store: str,
    numerics: str,
    unchecked: bool,
) -> None:
    """Stake, pay the price and take a seat. Before round 1 at once, later from the next round on.

    The price is burned. It rises with every seat taken and falls again; founders, who join before round 1, pay the
    floor. 'gradmint price' shows it. Nothing is paid unless the run admits this machine's torch release and --numerics.

    \b
    Example:
      gradmint join --run 1 --role trainer --keystore alice.json
    """
    from ..roles.desk import take_seat
    from ..roles.follower import Follower
    from ..spec.events import Joined

    chain = connect(rpc, deployment, keystore)
    follower = Follower(chain, run_)
    if not unchecked:
        from ..learn.numerics import Numerics
        from ..ports.open_store import open_store
        from ..roles.replica import read_manifest

        read_manifest(follower.params, open_store(store)).numerics.admit(Numerics.parse(numerics))
    receipt = take_seat(chain, follower, Role[role.upper()], stake, max_price)
    price_wei = sum(event.price_wei for event in receipt.events if isinstance(event, Joined))
    paid = f"{price_wei} wei for the seat, {receipt.gas_used} gas"
    click.echo(f"0x{chain.account.hex()} joined run {run_} as {role}, {paid}")


@click.command()
@rpc_option
@deployment_option
@run_option
@json_option
def price(rpc: str, deployment: Path, run_: int, as_json: bool) -> None:
    """What a seat costs now: its price, which is burned, and the stake, which is not.

    \b
    Example:
      gradmint price --run 1
    """
    from ..ports.deployment import Deployment
    from ..ports.web3_chain import Web3Chain
    from ..roles.follower import Follower

    chain = Web3Chain(rpc, Deployment.read(deployment))
    terms, price_wei = Follower(chain, run_).params, chain.price_wei(run_)
    stakes_wei = {"trainer": terms.trainer_stake_wei, "verifier": terms.verifier_stake_wei}
    if as_json:
        stakes = {f"{role}_stake_wei": str(wei) for role, wei in stakes_wei.items()}
        click.echo(json.dumps({"run": run_, "price_wei": str(price_wei), **stakes}))
        return
    click.echo(f"a seat in run {run_} costs {price_wei} wei now, at least {terms.join_price_wei}")
    for role, stake_wei in stakes_wei.items():
        click.echo(f"stake of a {role}: {stake_wei} wei")


@click.command()
@rpc_option
@deployment_option
@run_option
@keystore_option
@click.option("--all", "everyone", is_flag=True, help="For everyone with something due; the money goes to them.")
@click.option("--every-run", is_flag=True, help="Of all runs of the deployment, many claims in one transaction.")
@click.option("--to", help="Pay out to this address instead, by the key's signature.")
@click.option(
    "--payer", type=click.Path(path_type=Path), help="With --to: keystore of an account that sends it and pays the gas."
)
@json_option
def claim(
    rpc: str,
    deployment: Path,
    run_: int,
    keystore: Path | None,
    everyone: bool,
    every_run: bool,
    to: str | None,
    payer: Path | None,
    as_json: bool,
) -> None:
    """Pay out what was earned and not claimed yet; also to those whose seat a newcomer has taken.

    \b
    Examples:
      gradmint claim --keystore alice.json
      gradmint claim --all --every-run --keystore anyone.json
      gradmint claim --keystore alice.json --to 0x1234... --payer anyone.json
    """
    from ..roles.claimant import claim as claim_due
    from ..roles.claimant import redirect
    from ..roles.follower import Follower

    if (payer is not None and to is None) or (to is not None and (everyone or every_run)):
        raise SettingsError("--to is for one's own pay of one run, --payer for --to: leave the others out")
    chain = connect(rpc, deployment, keystore)
    numbers = range(1, chain.run_count() + 1) if every_run else [run_]
    ledgers = [Follower(chain, number).ledger for number in numbers]
    if to is not None:
        sender = chain if payer is None else connect(rpc, deployment, payer)
        item, receipt = redirect(chain, sender, ledgers[0], token_address(to, None))
        paid = iter([([item], receipt)])
    else:
        paid = claim_due(chain, ledgers, None if everyone else frozenset({chain.account}))
    rows = []
    for items, receipt in paid:
        for item in items:
            row = {"run": item.run, "account": f"0x{item.account.hex()}", "claimed_wei": str(item.due_wei)}
            rows.append({**row, "gas": receipt.gas_used // len(items)})
            if not as_json:
                click.echo("run {run}  {account}  {claimed_wei} wei  {gas} gas".format(**rows[-1]))
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

    chain = connect(rpc, deployment, keystore)
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

    chain = connect(rpc, deployment, keystore)
    transact(chain, Withdraw(run=run_), lambda _: f"0x{chain.account.hex()} withdrew from run {run_}")


@click.command()
@rpc_option
@deployment_option
@run_option
@keystore_option
def refund(rpc: str, deployment: Path, run_: int, keystore: Path | None) -> None:
    """Return to the sponsor what no round paid. Only after the run's end."""
    from ..ports.chain import Refund

    chain = connect(rpc, deployment, keystore)
    transact(chain, Refund(run=run_), lambda _: f"run {run_} refunded")
