"""ape run audit_rewards: replay a run on the connected chain and print where every wei went.

    ape run audit_rewards --network ethereum:local:foundry --run 1 --store demo-out/blobs

The replay itself is gradmint.roles.auditor, the same that `gradmint audit` runs; ape brings the node.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from ape.cli import ConnectedProviderCommand

from gradmint.cli.render import show_audit_end, show_round
from gradmint.cli.summary import nats
from gradmint.ports.deployment import Deployment
from gradmint.ports.open_store import open_store
from gradmint.ports.web3_chain import Web3Chain
from gradmint.roles.auditor import audit


@click.command(cls=ConnectedProviderCommand)
@click.option("--deployment", type=click.Path(path_type=Path, exists=True), default=Path("deployment.json"))
@click.option("--store", default="blobs", help="A folder, or the address of a Kubo RPC.")
@click.option("--run", "run_", type=int, default=1)
@click.option("--task", help="For a run on somebody's own task: package.module:factory.")
def cli(provider, deployment: Path, store: str, run_: int, task: str | None) -> None:
    found = audit(
        Web3Chain(provider.http_uri or provider.uri, Deployment.read(deployment)),
        open_store(store),
        run_,
        own_task=task,
        progress=lambda found, row: show_round(row, found.metric or nats),
    )
    show_audit_end(found, None)
    sys.exit(0 if found.ok else 1)
