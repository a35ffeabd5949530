"""Settlements and their bonds: ``settle``, ``bond``, ``unbond``, ``pool``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..spec.errors import ChainError
from .settings import bonds_option, deployment_option, home_option, keystore_option, rpc_option, run_option
from .transact import connect, transact

if TYPE_CHECKING:
    from ..ports.chain import Bond, Receipt, Unbond
    from ..ports.web3_chain import Web3Chain
    from ..spec.params import Params


@click.command()
@rpc_option
@deployment_option
@run_option
@keystore_option
@home_option
@bonds_option
@click.option("--follow", is_flag=True, help="Go on to the run's end, and until its last round is final.")
def settle(rpc: str, deployment: Path, run_: int, keystore: Path | None, home: Path, bonds: int, follow: bool) -> None:
    """Settle what waits for it; anyone may, with a seat or without.

    Where rounds are settled directly: re-execute the current one on chain. Where they are proposed: refute what is
    false, make final what is due, and propose, with a bond, what nobody has proposed. A look without --follow waits for
    nothing.

    \b
    Examples:
      gradmint settle --run 1 --keystore anyone.json
      gradmint settle --run 1 --follow --bonds 1 --keystore anyone.json --home settler
    """
    from ..roles.docket import Docket, settle_recorded
    from ..roles.driver import Driver
    from ..roles.follower import Follower
    from ..roles.journal import Journal, identity
    from ..roles.settler import settle_all, settle_now
    from ..roles.trace import Trace
    from ..spec.types import Phase

    chain: Web3Chain = connect(rpc, deployment, keystore)
    follower = Follower(chain, run_)
    ledger = follower.ledger
    driver = Driver(chain, follower, Journal(home / "settler.sqlite", identity(chain, run_)), Trace())
    if not ledger.is_direct:
        docket = Docket(driver, bonds=bonds, patient=follow, tell=click.echo)
        if follow:
            settle_recorded(docket)
        else:
            driver.see_to(docket.errand)
    elif follow:
        settle_all(driver)
        click.echo(f"run {run_} has ended")
    elif ledger.phase is not Phase.SETTLE:
        click.echo(f"run {run_} is in {ledger.phase.name}: nothing waits to be settled")
    else:
        round_ = ledger.round
        driver.perform(round_.number, lambda: settle_now(ledger, round_))
        click.echo(f"round {round_.number} is {'settled' if round_.settled else 'not settled; see the log with -v'}")


def _terms(chain: Web3Chain, run: int) -> Params:
    """Raises ChainError for a run that knows no bonds."""
    from ..roles.follower import Follower

    terms = Follower(chain, run).params
    if terms.challenge_s == 0:
        raise ChainError(f"run {run} re-executes every round on chain: there is nothing to vouch for with a bond")
    return terms


def _send(chain: Web3Chain, call: Bond | Unbond) -> None:
    def tell(_: Receipt) -> str:
        bond = chain.bond_of(call.run, chain.account)
        held = f"{bond.amount_wei} wei of bonds in run {call.run}, {bond.locked_wei} of it locked"
        return f"0x{chain.account.hex()} has {held}"

    transact(chain, call, tell)


@click.command()
@rpc_option
@deployment_option
@run_option
@keystore_option
@click.option("--amount", type=click.IntRange(min=1), help="In wei; one proposal bond by default.")
def bond(rpc: str, deployment: Path, run_: int, keystore: Path | None, amount: int | None) -> None:
    """Deposit for proposals and challenges. Each locks one proposal bond, until it is final or proven false.

    \b
    Example:
      gradmint bond --run 1 --keystore vera.json
    """
    from ..ports.chain import Bond

    chain = connect(rpc, deployment, keystore)
    _send(chain, Bond(run=run_, amount_wei=amount or _terms(chain, run_).proposal_bond_wei))


@click.command()
@rpc_option
@deployment_option
@run_option
@keystore_option
@click.option("--amount", type=click.IntRange(min=1), help="In wei; all that is not locked by default.")
def unbond(rpc: str, deployment: Path, run_: int, keystore: Path | None, amount: int | None) -> None:
    """Take back bonds that are not locked, rewards for refutations and exposures included."""
    from ..ports.chain import Unbond

    chain = connect(rpc, deployment, keystore)
    held = chain.bond_of(run_, chain.account)
    free_wei = held.amount_wei - held.locked_wei
    if amount is None and free_wei == 0:
        click.echo(f"0x{chain.account.hex()} has no free bond in run {run_}, {held.locked_wei} wei are locked")
        return
    _send(chain, Unbond(run=run_, amount_wei=amount or free_wei))


@click.command()
@rpc_option
@deployment_option
@run_option
@keystore_option
def pool(rpc: str, deployment: Path, run_: int, keystore: Path | None) -> None:
    """Move the budget's part of lost bonds and stakes into the budget; after the run's end it is burned."""
    from ..ports.chain import Pool
    from ..spec.events import Pooled

    chain = connect(rpc, deployment, keystore)

    def tell(receipt: Receipt) -> str:
        amount_wei = sum(event.amount_wei for event in receipt.events if isinstance(event, Pooled))
        return f"run {run_}: {amount_wei} wei of lost bonds and stakes moved"

    transact(chain, Pool(run=run_), tell)
