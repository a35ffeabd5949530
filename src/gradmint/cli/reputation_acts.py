"""``gradmint reputation`` keep, and one command for each thing that the contract Reputation takes."""

from __future__ import annotations

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

__all__ = ["reputation_group"]  # with the commands here and there

_AMOUNT = click.IntRange(min=1)


def _follow(rpc: str, deployment: Path, keystore: Path | None) -> tuple[Web3Chain, BookFollower]:
    from ..ports.reputation import Reputation
    from ..roles.follower import BookFollower

    chain = connect(rpc, deployment, keystore)
    return chain, BookFollower(Reputation(chain))


def _own(chain: Web3Chain, address: str | None) -> bytes:
    return chain.account if address is None else address_of(address)


def _ledger(chain: Web3Chain, run: int) -> Ledger:
    from ..roles.follower import Follower

    return Follower(chain, run).ledger


def _facts(follower: BookFollower, account: bytes) -> Callable[[Receipt], dict[str, Any]]:
    """What the contract has of ``account`` after the transaction."""
    from .reputation_render import on_chain

    def read(receipt: Receipt) -> dict[str, Any]:
        follower.refresh()
        return {"on_chain": on_chain(follower.book, account, receipt.block)}

    return read


def _purse(follower: BookFollower, account: bytes, text: str = "") -> Callable[[Receipt], str]:
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
def keep(rpc: str, deployment: Path, keystore: Path | None, home: Path, bonds: int, for_all: bool, once: bool) -> None:
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
        tell=lambda text: click.echo(text),
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

    chain, follower = _follow(rpc, deployment, keystore)
    book, account = follower.book, chain.account
    amount_wei = amount or max(0, book.params.bond_wei - book.purses_wei.get(account, 0))
    if not amount_wei:
        raise SettingsError(f"the purse holds a bond of {book.params.bond_wei} wei already: give --amount to add more")
    call = Deposit(token=follower.reader.token, amount_wei=amount_wei)
    transact(chain, call, _purse(follower, account), as_json, _facts(follower, account))


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

    chain, follower = _follow(rpc, deployment, keystore)
    account = chain.account
    amount_wei = amount or follower.book.purses_wei.get(account, 0)
    if not amount_wei:
        raise ChainError(f"the purse of 0x{account.hex()} is empty: bonds and stakes come back when they are over")
    call = WithdrawPurse(amount_wei=amount_wei)
    transact(chain, call, _purse(follower, account), as_json, _facts(follower, account))


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

    chain, follower = _follow(rpc, deployment, keystore)

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

    transact(chain, harvest_call(_ledger(chain, run_)), tell, as_json, facts)


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

    chain, follower = _follow(rpc, deployment, keystore)
    account, stake_wei = address_of(address), stake or follower.book.params.vouch_round_wei
    text = f"vouched for 0x{account.hex()} with {stake_wei} wei; "
    call = Vouch(account=account, stake_wei=stake_wei)
    transact(chain, call, _purse(follower, chain.account, text), as_json, _facts(follower, chain.account))


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

    chain, follower = _follow(rpc, deployment, keystore)
    account = address_of(address)

    def tell(receipt: Receipt) -> str:
        free = receipt.block // follower.book.params.epoch_blocks + 2
        return f"the vouch for 0x{account.hex()} is over; reclaim its stake from epoch {free} on"

    transact(chain, Unvouch(account=account), tell, as_json, _facts(follower, chain.account))


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

    chain, follower = _follow(rpc, deployment, keystore)
    call, own = Reclaim(account=address_of(address)), chain.account
    transact(chain, call, _purse(follower, own), as_json, _facts(follower, own))


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

    chain, follower = _follow(rpc, deployment, keystore)
    account = address_of(address)
    call = slash_call(_ledger(chain, run_), address_of(voucher), account)
    transact(chain, call, _purse(follower, chain.account), as_json, _facts(follower, chain.account))


# Ratings


@reputation_group.command("propose")
@sender_options
@click.option("--hits", type=click.IntRange(min=0), help="In units of 2^-56; by default the most that can be shown.")
@click.option("--paths", type=click.IntRange(min=0), help="Disjoint ones; by default the most that can be shown.")
def propose(
    rpc: str, deployment: Path, keystore: Path | None, hits: int | None, paths: int | None, as_json: bool
) -> None:
    """Propose one's own rating, by the graph at the end of the last epoch. Costs a bond until it is final.

    Claiming more than can be shown loses the bond to whoever challenges it.

    \b
    Example:
      gradmint reputation propose --keystore alice.json
    """
    from ..ports.reputation_calls import ProposeRating
    from ..reputation.witness import find

    chain, follower = _follow(rpc, deployment, keystore)
    book, account = follower.book, chain.account
    epoch = (follower.reader.block() + 1) // book.params.epoch_blocks
    if epoch == 0:
        raise ChainError(f"epoch 0 is not over: wait for block {book.params.epoch_blocks}")
    if hits is None or paths is None:
        found = find(book, account, epoch - 1)
        hits, paths = found[0] if hits is None else hits, found[1] if paths is None else paths

    def tell(_: Receipt) -> str:
        follower.refresh()
        said = book.proposals[account].said
        rating = f"rating {said.rating_q32 / 2**32:.3f} by {said.paths} paths at the end of epoch {said.cut}"
        return f"0x{account.hex()} proposed {rating}, final at block {said.final_block}"

    transact(chain, ProposeRating(hits=hits, paths=paths), tell, as_json, _facts(follower, account))


@reputation_group.command("challenge")
@click.argument("address")
@sender_options
@click.option("--anyway", is_flag=True, help="Also a rating that can be shown: the bond will be lost.")
def challenge(address: str, rpc: str, deployment: Path, keystore: Path | None, anyway: bool, as_json: bool) -> None:
    """Doubt the rating that ADDRESS has proposed, with a bond as large as its own. Computes it first.

    \b
    Example:
      gradmint reputation challenge 0x1234... --keystore anyone.json
    """
    from ..ports.reputation_calls import ChallengeRating
    from ..reputation.most import Most
    from ..roles.reputation import excess

    chain, follower = _follow(rpc, deployment, keystore)
    account, book = address_of(address), follower.book
    if account not in book.proposals:
        raise ChainError(f"0x{account.hex()} has proposed no rating: nothing to challenge")
    if not anyway and excess(Most(book), book.proposals[account].said) is None:
        raise ChainError(f"what 0x{account.hex()} proposed can be shown: a challenge would lose its bond")

    def tell(_: Receipt) -> str:
        follower.refresh()
        doubt = book.proposals[account].challenge
        until = f", to be shown before block {doubt.proof_block}" if doubt else ""
        return f"the rating of 0x{account.hex()} is challenged{until}"

    transact(chain, ChallengeRating(account=account), tell, as_json, _facts(follower, account))


@reputation_group.command("prove")
@click.argument("address", required=False)
@sender_options
def prove(address: str | None, rpc: str, deployment: Path, keystore: Path | None, as_json: bool) -> None:
    """Show a witness for a proposed rating, one's own or that of ADDRESS: it is final at once, challenged or not.

    \b
    Example:
      gradmint reputation prove --keystore alice.json
    """
    from ..ports.reputation_calls import ProveRating
    from ..roles.reputation import witness_for

    chain, follower = _follow(rpc, deployment, keystore)
    account, book = _own(chain, address), follower.book
    if account not in book.proposals:
        raise ChainError(f"0x{account.hex()} has proposed no rating: nothing to prove")
    witness = witness_for(book, book.proposals[account].said)
    if witness is None:
        raise ChainError(f"nothing shows what 0x{account.hex()} proposed: no witness of 255 accounts reaches it")
    call = ProveRating(account=account, witness=witness)
    transact(chain, call, _final(follower, account), as_json, _facts(follower, account))


@reputation_group.command("refute")
@click.argument("address")
@sender_options
def refute(address: str, rpc: str, deployment: Path, keystore: Path | None, as_json: bool) -> None:
    """Void the challenged rating of ADDRESS that nobody has shown in time; its bond is split.

    \b
    Example:
      gradmint reputation refute 0x1234... --keystore anyone.json
    """
    from ..ports.reputation_calls import RefuteRating

    chain, follower = _follow(rpc, deployment, keystore)
    account = address_of(address)
    text = f"the rating that 0x{account.hex()} proposed is void; "
    call, tell = RefuteRating(account=account), _purse(follower, chain.account, text)
    transact(chain, call, tell, as_json, _facts(follower, account))


@reputation_group.command("finalise")
@click.argument("address", required=False)
@sender_options
def finalise(address: str | None, rpc: str, deployment: Path, keystore: Path | None, as_json: bool) -> None:
    """Make a rating count that nobody challenged in time, one's own or that of ADDRESS.

    \b
    Example:
      gradmint reputation finalise --keystore alice.json
    """
    from ..ports.reputation_calls import FinaliseRating

    chain, follower = _follow(rpc, deployment, keystore)
    account = _own(chain, address)
    call = FinaliseRating(account=account)
    transact(chain, call, _final(follower, account), as_json, _facts(follower, account))


def _final(follower: BookFollower, account: bytes) -> Callable[[Receipt], str]:
    def tell(_: Receipt) -> str:
        from ..spec.book import LAPSE_EPOCHS

        follower.refresh()
        said = follower.book.ratings[account]
        until = f"until the end of epoch {said.cut + LAPSE_EPOCHS}"
        return f"rating {said.rating_q32 / 2**32:.3f} of 0x{account.hex()} counts {until}"

    return tell


@reputation_group.command("rate")
@click.argument("address", required=False)
@run_option
@sender_options
def rate(address: str | None, rpc: str, deployment: Path, keystore: Path | None, run_: int, as_json: bool) -> None:
    """Bring the rating that counts now into a run: one's own seat, or that of ADDRESS. From the next round on.

    \b
    Examples:
      gradmint reputation rate --run 1 --keystore alice.json
      gradmint reputation rate 0x1234... --run 1 --keystore anyone.json
    """
    from ..ports.chain import Rate
    from ..spec.events import Rated

    chain = connect(rpc, deployment, keystore)
    account = _own(chain, address)

    def rating_q32(receipt: Receipt) -> int:
        return next(event.rating_q32 for event in receipt.events if isinstance(event, Rated))

    def tell(receipt: Receipt) -> str:
        return f"0x{account.hex()} goes by rating {rating_q32(receipt) / 2**32:.3f} in run {run_}"

    call = Rate(run=run_, account=account)
    transact(chain, call, tell, as_json, lambda receipt: {"run": run_, "rating_q32": rating_q32(receipt)})
