"""``gradmint demo``: the whole loop on one machine, adversaries included, by the commands that a user runs by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from .settings import codec_option, json_option, task_path_option

ADVERSARIES = "free-rider,copycat,poisoner"
BAD_VERIFIERS = "liar"
NUMERICS = "float32,bfloat16"


def _names(_: click.Context, __: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


@click.command()
@click.option(
    "--task", default="bytes", show_default=True, help="bytes, bytes-large, digits, folder, or package.module:factory."
)
@task_path_option
@click.option("--rounds", type=click.IntRange(1, 65_535), help="Exactly so many; by default until the task's target.")
@click.option("--trainers", type=click.IntRange(1, 64), default=8, show_default=True, help="Adversaries included.")
@click.option("--verifiers", type=click.IntRange(1, 8), default=4, show_default=True, help="Bad ones included.")
@click.option(
    "--adversaries",
    default=ADVERSARIES,
    show_default=True,
    callback=_names,
    help="Trainers that cheat: built-in names or package.module:Class, by commas; '' for none.",
)
@click.option(
    "--bad-verifiers",
    default=BAD_VERIFIERS,
    show_default=True,
    callback=_names,
    help="Verifiers that cheat: built-in names or package.module:Class, by commas; '' for none.",
)
@click.option(
    "--numerics",
    default=NUMERICS,
    show_default=True,
    callback=_names,
    help="How the verifiers' machines compute, in turn; by commas.",
)
@click.option(
    "--propose",
    is_flag=True,
    help="Settle by proposals with bonds instead of re-execution on chain; a verifier proposes two false ones.",
)
@click.option(
    "--with-reputation",
    is_flag=True,
    help="Pay, draw and take stakes by ratings, seeded by the verifiers; a process of each trainer keeps its own.",
)
@codec_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the initial model.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-out"),
    show_default=True,
    help="Keeps chain, blobs, journals, logs and report; an earlier demo's folder is replaced.",
)
@click.option("--quiet", is_flag=True, help="No progress, only the result.")
@json_option
def demo(
    task: str,
    rounds: int | None,
    trainers: int,
    verifiers: int,
    adversaries: tuple[str, ...],
    bad_verifiers: tuple[str, ...],
    numerics: tuple[str, ...],
    propose: bool,
    with_reputation: bool,
    codec: str | None,
    seed: int,
    out: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Start a chain, deploy, open and fund a run, let trainers and verifiers loose on it as processes, claim, audit.

    Exit code 0 only if the audit is clean, every wei is accounted for, the task's target was met, no adversary earned
    as much as the least-paid honest trainer, no lying verifier earned anything, and no honest one lost stake to a
    planter. With --propose also: every false proposal was refuted, its bond lost, its round proposed anew, and nobody
    honest lost a bond. With --with-reputation also: in the end every honest trainer is paid by a rating, and no cheat
    by as high a one.

    \b
    Examples:
      gradmint demo
      gradmint demo --propose --task digits
      gradmint demo --with-reputation --task digits
      gradmint demo --task digits --codec int8
      gradmint demo --task digits --trainers 5 --adversaries poisoner --json
      gradmint demo --adversaries mine.attacks:Sleeper --out sleeper
    """
    from .demo import Demo, Plan
    from .render import final_table, show_audit_end
    from .reputation_render import show_reputation_audit
    from .summary import hexed

    plan = Plan(
        task=task,
        rounds=rounds,
        trainers=trainers,
        verifiers=verifiers,
        adversaries=adversaries,
        bad_verifiers=bad_verifiers,
        seed=seed,
        out=out,
        quiet=quiet or as_json,
        numerics=numerics,
        propose=propose,
        codec=codec,
        reputation=with_reputation,
    ).check()
    result = Demo(plan).play()
    if as_json:
        click.echo(json.dumps(result.summary))
    else:
        final_table(result.outcomes)
        show_audit_end(result.audit, names={hexed(row.account): row.name for row in result.outcomes})
        if with_reputation and result.audit.reputation is not None:
            show_reputation_audit(result.audit.reputation)
        click.echo(f"report: {result.report}    check it again: gradmint audit --out {out}")
    for failure in result.failures:
        click.echo(f"demo failed: {failure}", err=True)
    sys.exit(1 if result.failures else 0)
