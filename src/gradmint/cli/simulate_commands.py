"""``gradmint simulate``: the integer mechanism alone, with many more participants than machines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from .settings import json_option

PRESETS = ("standard", "large", "local")


@click.group("simulate")
def simulate_group() -> None:
    """Play many rounds with thousands of participants in one process: no chain, no training."""


@simulate_group.command()
@click.option("--trainers", type=click.IntRange(32, 1_024), default=1_024, show_default=True, help="Seats of a run.")
@click.option("--rounds", type=click.IntRange(2, 1_000), default=50, show_default=True, help="Rounds of most figures.")
@click.option("--seeds", type=click.IntRange(1, 100), default=5, show_default=True, help="Populations per figure.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The first of them.")
@click.option(
    "--params",
    "preset",
    type=click.Choice(PRESETS),
    default=PRESETS[0],
    show_default=True,
    help="Parameters of the mechanism: a preset of spec/params.py.",
)
@click.option(
    "--only", "only", multiple=True, metavar="NAME", help="A scenario to play instead of all; again for several."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write plots (SVG, PNG) and economics.html there.",
)
@click.option("--quiet", is_flag=True, help="No progress, only the result.")
@json_option
def economics(
    trainers: int,
    rounds: int,
    seeds: int,
    seed: int,
    preset: str,
    only: tuple[str, ...],
    out: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Who earns what under attack, and when: each figure over several populations, with the bound it has to keep.

    Some have none: those are held to the interval in which they were measured before, at the default size only. Exit
    code 1 if a figure is outside either. Everything is settled by the mechanism that the contract re-executes; the
    same arguments give the same figures. docs/economics.md says what they mean. Unit of pay: a share, what an average
    trainer is paid in a round.

    \b
    Examples:
      gradmint simulate economics
      gradmint simulate economics --trainers 128 --seeds 2 --only cabal --only newcomer
      gradmint simulate economics --out economics-out --json
    """
    from ..sim.economics import NAMES, missed
    from ..sim.study import Study, everyone_paid
    from ..spec import params
    from .simulate_render import as_object, examine_live, show_findings

    if strange := [name for name in only if name not in NAMES]:
        raise click.BadParameter(f"{strange[0]}: there are {', '.join(NAMES)}", param_hint="--only")
    study = Study(
        params=everyone_paid(getattr(params, preset.upper()), trainers),
        trainers=trainers,
        rounds=rounds,
        seeds=tuple(range(seed, seed + seeds)),
    )
    findings = examine_live(study, only or NAMES, quiet=quiet or as_json)
    if out is not None:
        from .simulate_plots import write_page

        written = write_page(study, findings, out)
    if as_json:
        click.echo(json.dumps(as_object(study, findings)))
    else:
        show_findings(findings)
        if out is not None:
            click.echo(f"{len(written)} files in {out}: open {out / 'economics.html'}")
    failures = missed(findings)
    for failure in failures:
        click.echo(f"missed: {failure}", err=True)
    sys.exit(1 if failures else 0)
