"""``gradmint audit``: replay a run from chain and store alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from .settings import deployment_option, json_option, rpc_option, run_option, store_option, task_option
from .sources import open_source, reputation_of


@click.command()
@rpc_option
@deployment_option
@store_option
@run_option
@task_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Audit a finished demo's folder instead; nothing needs to be running.",
)
@click.option("--reassess", is_flag=True, help="Also value every update again and compare signatures. Slower.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a self-contained page with plots.")
@json_option
def audit(
    rpc: str,
    deployment: Path,
    store: str,
    run_: int,
    task: str | None,
    out: Path | None,
    reassess: bool,
    html: Path | None,
    as_json: bool,
) -> None:
    """Replay a run and stop at the first divergence, naming round, row and both values (exit code 1).

    Every transcript row is folded, every commitment opened, every settlement re-executed, every model rebuilt, and
    claims and escrow are balanced to the wei. So is what the deployment's Reputation says of this run's standings and
    of everyone's rating.

    \b
    Examples:
      gradmint audit --run 1 --html report.html
      gradmint audit --out demo-out --reassess
    """
    import torch

    from ..ports.open_store import open_store
    from ..roles.auditor import audit as replay
    from .render import audit_summary, show_audit_end, show_round
    from .reputation_render import reputation_summary, show_reputation_audit
    from .summary import nats

    torch.set_num_threads(1)
    chain, store, run_ = open_source(rpc, deployment, store, run_, out)
    found = replay(
        chain,
        open_store(store),
        run_,
        own_task=task,
        reassess=reassess,
        reputation=reputation_of(chain),
        progress=(lambda _, __: None) if as_json else (lambda found, row: show_round(row, found.metric or nats)),
    )
    if html is not None:
        from .report import write_report

        write_report(found, html, out)
    if as_json:
        reputation = reputation_summary(found.reputation) if found.reputation else None
        click.echo(json.dumps({**audit_summary(found), "reputation": reputation}))
    else:
        show_audit_end(found, html)
        if found.reputation is not None and found.reputation.book.panels:
            show_reputation_audit(found.reputation)
    sys.exit(0 if found.ok else 1)
