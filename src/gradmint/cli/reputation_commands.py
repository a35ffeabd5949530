"""``gradmint reputation show``, ``list``, ``audit``: who is believed, and why; ``gradmint redteam reputation``: what
attacks gain. What is sent to the chain is in :mod:`reputation_acts` and :mod:`rating_acts`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from ..spec.errors import SettingsError
from ..spec.reputation_params import STANDARD_REPUTATION
from .settings import F, address_of, deployment_option, json_option, rpc_option
from .sources import open_reputation
from .study_commands import compared, redteam_group

FOUND = "reputation.json"


@click.group("reputation")
def reputation_group() -> None:
    """Who is believed, from the deployment's seeds on, by verified work of all its runs.

    \b
    Have one, and keep it:  gradmint reputation keep --bonds 1 --keystore alice.json
    Look at it:             gradmint reputation list    gradmint reputation show 0x...
    Derive it again:        gradmint reputation audit
    """


def reader_options(command: F) -> F:
    """--rpc, --deployment, --out, --json."""
    out = click.option(
        "--out",
        type=click.Path(path_type=Path),
        help="Of a finished demo's folder instead; nothing needs to be running.",
    )
    for option in (json_option, out, deployment_option, rpc_option):
        command = option(command)
    return command


@reputation_group.command("show")
@click.argument("address")
@reader_options
def show(address: str, rpc: str, deployment: Path, out: Path | None, as_json: bool) -> None:
    """An account's reputation, and why: the strongest paths, the cut that penalises, what would raise it.

    By all that is endorsed up to now; a rating counts when it was proposed and has become final.

    \b
    Examples:
      gradmint reputation show 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
      gradmint reputation show 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 --out demo-out --json
    """
    from ..reputation.explain import explain
    from ..roles.follower import BookFollower
    from ..spec.feedback import build
    from .reputation_render import as_object, on_chain, show_explanation, show_on_chain

    account = address_of(address)
    reader, _, _ = open_reputation(rpc, deployment, out)
    book, block = BookFollower(reader).book, reader.block()
    if not book.entries:
        raise SettingsError("nobody is endorsed yet, so nobody has a reputation; see 'gradmint reputation harvest'")
    endorsements = book.endorsements(block // book.params.epoch_blocks)
    graph = build(endorsements, [account, *book.seeds, *book.entries])
    found = explain(graph, graph.among(book.seeds), book.params, graph.among([account])[0])
    if as_json:
        seeds = sorted(book.seeds)
        click.echo(
            json.dumps(as_object(graph, book.params, found, seeds) | {"on_chain": on_chain(book, account, block)})
        )
    else:
        show_explanation(graph, book.params, found, len(book.seeds))
        show_on_chain(book, account, block)


@reputation_group.command("list")
@reader_options
def list_(rpc: str, deployment: Path, out: Path | None, as_json: bool) -> None:
    """Everyone who was endorsed, and seeds: what they were last rated, and until when that counts.

    \b
    Example:
      gradmint reputation list --out demo-out
    """
    from ..roles.follower import BookFollower
    from .reputation_render import on_chain, show_accounts

    reader, _, _ = open_reputation(rpc, deployment, out)
    book, block = BookFollower(reader).book, reader.block()
    rows = [on_chain(book, account, block) for account in sorted({*book.seeds, *book.entries})]
    rows.sort(key=lambda row: -int(row["rating_q32"]))
    if as_json:
        click.echo(json.dumps({"block": block, "epoch": block // book.params.epoch_blocks, "accounts": rows}))
    else:
        show_accounts(rows, block // book.params.epoch_blocks)


@reputation_group.command("audit")
@reader_options
def audit(rpc: str, deployment: Path, out: Path | None, as_json: bool) -> None:
    """Derive everything again: endorsements from standings, ratings from the graph, money to the wei.

    Stops at the first divergence, naming row and both values (exit code 1). Does not look at updates: that is 'gradmint
    audit', which does this for one run as well.

    \b
    Examples:
      gradmint reputation audit
      gradmint reputation audit --out demo-out --json
    """
    from ..roles.reputation_auditor import audit_reputation, fold_runs
    from .reputation_render import reputation_summary, show_reputation_audit

    reader, chain, runs = open_reputation(rpc, deployment, out)
    found = audit_reputation(reader, chain, fold_runs(chain, runs))
    if as_json:
        click.echo(json.dumps(reputation_summary(found)))
    else:
        show_reputation_audit(found)
    sys.exit(0 if found.ok else 1)


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
