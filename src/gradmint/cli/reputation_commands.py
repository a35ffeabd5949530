"""``gradmint reputation show`` and ``gradmint redteam reputation``: who is believed, why, what attacks gain."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..spec.errors import SettingsError
from ..spec.reputation_params import STANDARD_REPUTATION
from ..spec.types import Role
from .settings import deployment_option, json_option, rpc_option
from .study_commands import compared, redteam_group

if TYPE_CHECKING:
    from ..spec.ledger import Ledger

FOUND = "reputation.json"


@click.group("reputation")
def reputation_group() -> None:
    """Who is believed, from the deployment's seeds on, by verified work of all its runs."""


@reputation_group.command("show")
@click.argument("address")
@rpc_option
@deployment_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Of a finished demo's folder instead; nothing needs to be running.",
)
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    metavar="ADDRESS",
    help="Start from this account; again for several. By default from the verifiers who founded run 1.",
)
@json_option
def show(address: str, rpc: str, deployment: Path, out: Path | None, seeds: tuple[str, ...], as_json: bool) -> None:
    """An account's reputation, and why: the strongest paths, the cut that penalises, what would raise it.

    Counted from final standings of every run, as if it were harvested now: its verifiers endorse its trainers.

    \b
    Examples:
      gradmint reputation show 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
      gradmint reputation show 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 --out demo-out --json
    """
    from ..reputation.explain import explain
    from ..spec.feedback import Endorsement, build, founders, harvest
    from .reputation_render import as_object, show_explanation

    account = parsed(address)
    given = [parsed(seed) for seed in seeds]
    ledgers = read_ledgers(rpc, deployment, out)
    if not any(round_.settled for ledger in ledgers for round_ in ledger.rounds):
        raise SettingsError("no round is final yet, so nobody has a reputation; see 'gradmint run list'")
    starts = given or founders(ledgers[0])
    endorsements = []
    for ledger in ledgers:
        books, clock_round = ledger.final, len(ledger.rounds)
        seated = {seat.account for seat in ledger.seats[Role.VERIFIER] if not seat.gone}
        said = harvest(books.trainers, books.verifiers, seated, clock_round, 0)
        if said is not None:
            endorsements += [Endorsement(endorser, *row, 0) for endorser in said.endorsers for row in said.rows]
    graph = build(endorsements, [account, *starts])
    place = graph.among([account])[0]
    found = explain(graph, graph.among(starts), STANDARD_REPUTATION, place)
    if as_json:
        click.echo(json.dumps(as_object(graph, STANDARD_REPUTATION, found, starts)))
    else:
        show_explanation(graph, STANDARD_REPUTATION, found, len(starts))


def parsed(address: str) -> bytes:
    """20 bytes. Raises SettingsError."""
    try:
        account = bytes.fromhex(address.removeprefix("0x"))
    except ValueError:
        account = b""
    if len(account) != 20:
        raise SettingsError(f"{address} is no address: expected 0x and 40 hex digits")
    return account


def read_ledgers(rpc: str, deployment: Path, out: Path | None) -> list[Ledger]:
    """Every run of the deployment, in order; the one of a demo's folder. Raises ChainError, TranscriptBroken."""
    from ..ports.chain import ChainReader
    from ..ports.deployment import Deployment
    from ..ports.recorded_chain import RecordedChain
    from ..ports.web3_chain import Web3Chain
    from ..roles.follower import Follower

    chain: ChainReader
    if out is not None:
        recorded = RecordedChain(out / "chain.json")
        chain, numbers = recorded, range(recorded.run, recorded.run + 1)
    else:
        chain = Web3Chain(rpc, Deployment.read(deployment))
        numbers = range(1, chain.run_count() + 1)
    return [Follower(chain, number).ledger for number in numbers]


@redteam_group.command("reputation")
@click.option("--world", type=click.IntRange(min=0), default=1, show_default=True, help="Number of the drawn world.")
@click.option("--quick", is_flag=True, help="Without the grid of alpha and beta, and without plots.")
@click.option(
    "--expect",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Exit with 1 when a bound that this file lists no longer holds.",
)
@click.option("--update", is_flag=True, help="Write the bounds that hold to the file of --expect instead.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("redteam-out"),
    show_default=True,
    help=f"Keeps {FOUND} and the plots.",
)
@click.option("--quiet", is_flag=True, help="No progress, only the result.")
@json_option
def redteam(world: int, quick: bool, expect: Path | None, update: bool, out: Path, quiet: bool, as_json: bool) -> None:
    """Every attack on reputation in a drawn world, beside what it can gain at most.

    Made-up accounts in several shapes behind one entry and behind colluding ones, slander, new names, traitors, heavy
    edges, chosen beacons; and what alpha and beta cost honest accounts.

    \b
    Examples:
      gradmint redteam reputation
      gradmint redteam reputation --quick --expect snapshots/redteam_reputation.json
    """
    from ..study.sybils import STEPS, play
    from .reputation_render import show_attacks
    from .study_commands import progress

    out.mkdir(parents=True, exist_ok=True)
    with progress(STEPS[quick], quiet or as_json) as tick:
        findings = play(STANDARD_REPUTATION, world, quick, tick)
    (out / FOUND).write_text(json.dumps(findings.as_object(), indent=1) + "\n")
    if not quick:
        from ..study.sybil_plots import write_plots

        write_plots(out, findings)
    missed = compared(expect, {"bounds": findings.kept}, update)
    if as_json:
        click.echo(json.dumps({**findings.as_object(), "missed": missed}))
    else:
        show_attacks(findings)
        click.echo(f"red team: {out / FOUND}")
    for line in missed:
        click.echo(f"no longer holds: {line}", err=True)
    sys.exit(1 if missed else 0)
