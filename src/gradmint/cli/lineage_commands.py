"""``gradmint catch-up``: any round's model, from public data alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..spec.errors import CertificateRefused
from .settings import deployment_option, home_option, json_option, rpc_option, run_option, store_option, task_option
from .sources import open_source

if TYPE_CHECKING:
    from ..roles.replica import Replica

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("catch-up")
@rpc_option
@deployment_option
@store_option
@run_option
@task_option
@home_option
@click.option(
    "--round", "round_", type=click.IntRange(min=0), help="The model after this round; the latest by default."
)
@click.option("--out", type=_FILE, help="Write the model there, as a safetensors file.")
@click.option(
    "--from-scratch", is_flag=True, help="Take no checkpoint: rebuild from the first model and compare every digest."
)
@click.option(
    "--certificate", type=_FILE, help="A checkpoint certificate: its model must be the one rebuilt, or is started from."
)
@click.option(
    "--recorded",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A finished demo's folder instead of a chain and a store; nothing needs to be running.",
)
@json_option
def catch_up(
    rpc: str,
    deployment: Path,
    store: str,
    run_: int,
    task: str | None,
    home: Path,
    round_: int | None,
    out: Path | None,
    from_scratch: bool,
    certificate: Path | None,
    recorded: Path | None,
    as_json: bool,
) -> None:
    """Rebuild the model that a run had after a round, and compare it with what the committees attested on the way.

    Starts from the newest checkpoint in the store, or from what an earlier call reached: --home keeps that, so it can
    be interrupted at will. Nothing is taken on trust but what more than 2/3 of a committee's stake attested, and with
    --from-scratch not even that.

    \b
    Examples:
      gradmint catch-up --run 1 --out model.safetensors
      gradmint catch-up --run 1 --round 20 --from-scratch --json
      gradmint catch-up --recorded demo-out
    """
    import torch

    from ..learn.state import save
    from ..ports.deployment import write_atomically
    from ..ports.open_store import open_store
    from ..roles.follower import Follower
    from ..roles.lineage import catch_up as rebuild

    torch.set_num_threads(1)
    chain, store, run_ = open_source(rpc, deployment, store, run_, recorded)
    ledger = Follower(chain, run_).ledger
    vouched = {} if certificate is None else _vouched(certificate, run_, rpc, deployment, recorded)
    rounds: list[dict[str, object]] = []

    def note(replica: Replica, last: int) -> None:
        show(replica, last)
        if replica.concluded > replica.start.round:
            weights = None if replica.weights is None else {str(t): w for t, w in sorted(replica.weights.items())}
            rounds.append({"round": replica.concluded, "model": f"0x{replica.base.hex()}", "weights": weights})

    with _progress(as_json) as show:
        replica, found = rebuild(
            ledger,
            open_store(store),
            until=round_,
            own_task=task,
            cache=home / "lineage" / f"{chain.chain_id}-{chain.rounds_address.hex()}-{run_}",
            from_scratch=from_scratch,
            vouched=vouched,
            seen=note,
        )
    if out is not None:
        write_atomically(out, save(replica.state, replica.layout))
    value, unit = replica.task.metric(replica.validation_loss_nats())
    row = {
        "run": found.run,
        "round": found.round,
        "model": f"0x{found.model.hex()}",
        "start": {"round": found.start.round, "source": found.start.source},
        "rebuilt": found.round - found.start.round,
        "compared": found.compared,
        "attested": found.attested,
        "certified": found.round in vouched,
        "validation": {"value": value, "unit": unit},
        "seconds": round(found.seconds, 3),
        "out": None if out is None else str(out),
        "rounds": rounds,  # those rebuilt: what each update counted, by trainer; null where the rule is no weighting
    }
    if as_json:
        click.echo(json.dumps(row))
        return
    start = "the first model" if not found.start.round else f"the {found.start.source} after round {found.start.round}"
    click.echo(f"model {row['model']} after round {found.round} of run {found.run}: {value:.3f} {unit}")
    click.echo(f"{row['rebuilt']} rounds rebuilt from {start} in {found.seconds:.1f} s")
    said = "the committee attests it" if found.attested else "no committee has attested it yet"
    click.echo(f"{found.compared} digests compared; {said}")
    if out is not None:
        click.echo(f"written to {out}")


def _vouched(path: Path, run: int, rpc: str, deployment: Path, recorded: Path | None) -> dict[int, bytes]:
    """Digest by round of a certificate that holds, by more than 2/3 of the stake. Raises CertificateRefused."""
    from .certificate_commands import verdict_on

    verdict = verdict_on(path, rpc, deployment, recorded)
    if verdict.checkpoint.run != run or not verdict.has_quorum:
        raise CertificateRefused(
            f"{path} certifies run {verdict.checkpoint.run} by {verdict.stake_wei} of {verdict.total_wei} wei, "
            f"expected run {run} and more than 2/3: collect more signatures"
        )
    return {verdict.checkpoint.round: verdict.checkpoint.digest}


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[Replica, int], None]]:
    """A bar on standard error while rounds are rebuilt."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("round"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("rounds", total=None)
        yield lambda replica, last: bar.update(task, completed=replica.concluded, total=last)
