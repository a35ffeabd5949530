"""``gradmint reputation`` keep, deposit, withdraw, harvest, vouch, unvouch, reclaim, slash; then :mod:`rating_acts`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..spec.errors import ChainError, SettingsError
from .reputation_commands import reputation_group
from .settings import (
    address_of,
    deployment_option,
    home_option,
    keystore_option,
    rpc_option,
    run_option,
)
from .transact import connect, sender_options, transact

if TYPE_CHECKING:
    from ..ports.chain import Receipt
    from ..ports.web3_chain import Web3Chain
    from ..roles.follower import BookFollower
    from ..spec.ledger import Ledger

_AMOUNT = click.IntRange(min=1)


def follow(rpc: str, deployment: Path, keystore: Path | None) -> tuple[Web3Chain, BookFollower]:
    from ..ports.reputation import Reputation
    from ..roles.follower import BookFollower

    chain = connect(rpc, deployment, keystore)
    return chain, BookFollower(Reputation(chain))


def ledger_of(chain: Web3Chain, run: int) -> Ledger:
    from ..roles.follower import Follower

    return Follower(chain, run).ledger


def facts_about(follower: BookFollower, account: bytes) -> Callable[[Receipt], dict[str, Any]]:
    """What the contract has of ``account`` after the transaction."""
    from .reputation_render import on_chain

    def read(receipt: Receipt) -> dict[str, Any]:
        follower.refresh()
        return {"on_chain": on_chain(follower.book, account, receipt.block)}

    return read


def tell_purse(follower: BookFollower, account: bytes, text: str = "") -> Callable[[Receipt], str]:
    def tell(_: Receipt) -> str:
        follower.refresh()
        return f"{text}0x{account.hex()} has {follower.book.purses_wei.get(account, 0)} wei free in its purse"

    return tell


@reputation_group.command("keep")
@rpc_option
@deployment_option
@keystore_option
@home_option
@click.option(
    "--bonds",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Deposit up to so many bonds as they are needed: one for a rating of one's own, one for each challenge. 0 "
    "uses what 'gradmint reputation deposit' put there.",
)
@click.option("--for-all", is_flag=True, help="Also do what others leave undone: finalise, refute, rate their seats.")
@click.option("--once", is_flag=True, help="One look instead of one at each block; waits for nobody's turn.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for each thing done.")
def keep(
    rpc: str,
    deployment: Path,
    keystore: Path | None,
    home: Path,
    bonds: int,
    for_all: bool,
    once: bool,
    as_json: bool,
) -> None:
    """See to one's rating, block by block: harvest the runs one sits in, propose, answer challenges, finalise, bring it
    into those runs. Also challenges what nobody can show, and refutes what nobody has shown in time.

    Stop and start it at will: what it has sent is on the chain, what it was about to send is in --home.

    \b
    Examples:
      gradmint reputation keep --bonds 1 --keystore alice.json --home alice
      gradmint reputation keep --bonds 3 --for-all --keystore watch.json --home watch
    """
    from ..ports.reputation import Reputation
    from ..roles.journal import Journal, identity
    from ..roles.reputation import Keeper

    chain = connect(rpc, deployment, keystore)
    journal = Journal(home / "reputation.sqlite", identity(chain))
    keeper = Keeper(
        *(chain, Reputation(chain), journal),
        bonds=bonds,
        for_all=for_all,
        patient=not once,
        tell=lambda text: click.echo(json.dumps({"block": chain.block(), "did": text}) if as_json else text),
    )
    if once:
        keeper.look()
    else:
        keeper.keep()


# Money


@reputation_group.command("deposit")
@sender_options
@click.option("--amount", type=_AMOUNT, help="In wei; by default what the purse lacks of one bond.")
def deposit(rpc: str, deployment: Path, keystore: Path | None, amount: int | None, as_json: bool) -> None:
    """Move tokens into the account's purse, which vouches, bonds and challenges are paid from.

    \b
    Example:
      gradmint reputation deposit --keystore alice.json
    """
    from ..ports.reputation_calls import Deposit

    chain, follower = follow(rpc, deployment, keystore)
    book, account = follower.book, chain.account
    amount_wei = amount or max(0, book.params.bond_wei - book.purses_wei.get(account, 0))
    if not amount_wei:
        raise SettingsError(f"the purse holds a bond of {book.params.bond_wei} wei already: give --amount to add more")
    call = Deposit(token=follower.reader.token, amount_wei=amount_wei)
    transact(chain, call, tell_purse(follower, account), as_json, facts_about(follower, account))


@reputation_group.command("withdraw")
@sender_options
@click.option("--amount", type=_AMOUNT, help="In wei; by default all that is free.")
def withdraw(rpc: str, deployment: Path, keystore: Path | None, amount: int | None, as_json: bool) -> None:
    """Take free tokens out of the account's purse.

    \b
    Example:
      gradmint reputation withdraw --keystore alice.json
    """
    from ..ports.reputation_calls import WithdrawPurse

    chain, follower = follow(rpc, deployment, keystore)
    account = chain.account
    amount_wei = amount or follower.book.purses_wei.get(account, 0)
    if not amount_wei:
        raise ChainError(f"the purse of 0x{account.hex()} is empty: bonds and stakes come back when they are over")
    call = WithdrawPurse(amount_wei=amount_wei)
    transact(chain, call, tell_purse(follower, account), as_json, facts_about(follower, account))


# Endorsements


@reputation_group.command("harvest")
@run_option
@sender_options
def harvest(rpc: str, deployment: Path, keystore: Path | None, run_: int, as_json: bool) -> None:
    """Let a run's verifiers endorse its trainers, by its final standings: once an epoch, by anyone.

    \b
    Example:
      gradmint reputation harvest --run 1 --keystore anyone.json
    """
    from ..roles.reputation import harvest_call

    chain, follower = follow(rpc, deployment, keystore)

    def tell(_: Receipt) -> str:
        follower.refresh()
        said = follower.book.harvests[run_]
        return (
            f"run {run_}: {len(said.endorsers)} verifiers endorse {len(said.rows)} trainers by {said.new_rounds} rounds"
        )

    def facts(_: Receipt) -> dict[str, Any]:
        follower.refresh()
        said = follower.book.harvests[run_]
        return {
            "run": run_,
            "id": said.id,
            "epoch": said.epoch,
            "new_rounds": said.new_rounds,
            "endorsers": [f"0x{endorser.hex()}" for endorser in said.endorsers],
            "weights": {f"0x{account.hex()}": weight for account, weight in said.rows},
        }

    transact(chain, harvest_call(ledger_of(chain, run_)), tell, as_json, facts)


@reputation_group.command("vouch")
@click.argument("address")
@sender_options
@click.option("--stake", type=_AMOUNT, help="In wei; by default what weighs as much as one verified round.")
def vouch(address: str, rpc: str, deployment: Path, keystore: Path | None, stake: int | None, as_json: bool) -> None:
    """Stand up for ADDRESS with a stake from the purse, which is lost when that account is banned.

    \b
    Example:
      gradmint reputation vouch 0x1234... --stake 5000000000000000000 --keystore alice.json
    """
    from ..ports.reputation_calls import Vouch

    chain, follower = follow(rpc, deployment, keystore)
    account, stake_wei = address_of(address), stake or follower.book.params.vouch_round_wei
    text = f"vouched for 0x{account.hex()} with {stake_wei} wei; "
    call = Vouch(account=account, stake_wei=stake_wei)
    transact(chain, call, tell_purse(follower, chain.account, text), as_json, facts_about(follower, chain.account))


@reputation_group.command("unvouch")
@click.argument("address")
@sender_options
def unvouch(address: str, rpc: str, deployment: Path, keystore: Path | None, as_json: bool) -> None:
    """End one's vouch for ADDRESS. The stake can be lost until it is reclaimed, after the next epoch.

    \b
    Example:
      gradmint reputation unvouch 0x1234... --keystore alice.json
    """
    from ..ports.reputation_calls import Unvouch

    chain, follower = follow(rpc, deployment, keystore)
    account = address_of(address)

    def tell(receipt: Receipt) -> str:
        free = receipt.block // follower.book.params.epoch_blocks + 2
        return f"the vouch for 0x{account.hex()} is over; reclaim its stake from epoch {free} on"

    transact(chain, Unvouch(account=account), tell, as_json, facts_about(follower, chain.account))


@reputation_group.command("reclaim")
@click.argument("address")
@sender_options
def reclaim(address: str, rpc: str, deployment: Path, keystore: Path | None, as_json: bool) -> None:
    """Take back the stake of an ended vouch for ADDRESS, into the purse.

    \b
    Example:
      gradmint reputation reclaim 0x1234... --keystore alice.json
    """
    from ..ports.reputation_calls import Reclaim

    chain, follower = follow(rpc, deployment, keystore)
    call, own = Reclaim(account=address_of(address)), chain.account
    transact(chain, call, tell_purse(follower, own), as_json, facts_about(follower, own))


@reputation_group.command("slash")
@click.argument("voucher")
@click.argument("address")
@run_option
@sender_options
def slash(
    voucher: str, address: str, rpc: str, deployment: Path, keystore: Path | None, run_: int, as_json: bool
) -> None:
    """Show that ADDRESS is banned in a run now: VOUCHER loses its stake, a part of it to whoever shows it.

    \b
    Example:
      gradmint reputation slash 0x1234... 0xabcd... --run 3 --keystore anyone.json
    """
    from ..roles.reputation import slash_call

    chain, follower = follow(rpc, deployment, keystore)
    account = address_of(address)
    call = slash_call(ledger_of(chain, run_), address_of(voucher), account)
    transact(chain, call, tell_purse(follower, chain.account), as_json, facts_about(follower, chain.account))
