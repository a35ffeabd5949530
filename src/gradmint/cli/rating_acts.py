"""``gradmint reputation`` propose, challenge, prove, refute, finalise, rate: what is done about ratings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..spec.errors import ChainError
from .reputation_acts import facts_about, follow, tell_purse
from .reputation_commands import reputation_group
from .settings import address_of, run_option
from .transact import connect, sender_options, transact

if TYPE_CHECKING:
    from ..ports.chain import Receipt
    from ..ports.web3_chain import Web3Chain
    from ..roles.follower import BookFollower

__all__ = ["reputation_group"]  # with the commands here and in the modules above


def _own(chain: Web3Chain, address: str | None) -> bytes:
    return chain.account if address is None else address_of(address)


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

    chain, follower = follow(rpc, deployment, keystore)
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

    transact(chain, ProposeRating(hits=hits, paths=paths), tell, as_json, facts_about(follower, account))


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

    chain, follower = follow(rpc, deployment, keystore)
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

    transact(chain, ChallengeRating(account=account), tell, as_json, facts_about(follower, account))


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

    chain, follower = follow(rpc, deployment, keystore)
    account, book = _own(chain, address), follower.book
    if account not in book.proposals:
        raise ChainError(f"0x{account.hex()} has proposed no rating: nothing to prove")
    witness = witness_for(book, book.proposals[account].said)
    if witness is None:
        raise ChainError(f"nothing shows what 0x{account.hex()} proposed: no witness of 255 accounts reaches it")
    call = ProveRating(account=account, witness=witness)
    transact(chain, call, _final(follower, account), as_json, facts_about(follower, account))


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

    chain, follower = follow(rpc, deployment, keystore)
    account = address_of(address)
    text = f"the rating that 0x{account.hex()} proposed is void; "
    call, tell = RefuteRating(account=account), tell_purse(follower, chain.account, text)
    transact(chain, call, tell, as_json, facts_about(follower, account))


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

    chain, follower = follow(rpc, deployment, keystore)
    account = _own(chain, address)
    call = FinaliseRating(account=account)
    transact(chain, call, _final(follower, account), as_json, facts_about(follower, account))


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
