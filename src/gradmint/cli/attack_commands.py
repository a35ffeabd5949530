"""``gradmint redteam train``: what attackers cost the model, and what it pays them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..spec.errors import SettingsError
from .settings import json_option
from .study_commands import compared, progress

if TYPE_CHECKING:
    from ..study.attack_table import Cell, Grid

RUNS, TABLE, PAGE = "runs.jsonl", "attacks.json", "attacks.html"
QUICK_SEED = 1  # whose figures lie well within what is allowed: another machine's rounding fails no check
SHARES = (10, 20, 31, 40)
SKEWS = ("iid", "dirichlet")
QUICK = (
    *("sign flip", "ALIE", "FOE", "label flip", "mimic", "DMPA", "gated flip", "zero", "replay", "copy", "noisy copy"),
    *("Sybil split", "disguised split", "NaN"),
)


@click.command("train")
@click.option("--attack", "attacks", multiple=True, metavar="NAME", help="One attack instead of all; again for more.")
@click.option("--rule", "rules", multiple=True, metavar="NAME", help="One rule instead of all; again for more.")
@click.option(
    "--share",
    "shares",
    multiple=True,
    type=click.IntRange(1, 49),
    help="Per cent of the trainers that attack, to the nearest whole one; again for more.  [default: 10, 20, 31, 40]",
)
@click.option(
    "--skew",
    "skews",
    multiple=True,
    type=click.Choice(SKEWS),
    help="Data alike for everyone, or each trainer's own part by Dirichlet(0.3) over labels.  [default: both]",
)
@click.option("--seeds", type=click.IntRange(1, 100), default=1, show_default=True, help="Runs of each cell.")
@click.option("--seed", type=click.IntRange(min=0), help=f"The first of them.  [default: 0; {QUICK_SEED} with --quick]")
@click.option("--trainers", type=click.IntRange(4, 64), default=16, show_default=True, help="Seats of a run.")
@click.option("--rounds", type=click.IntRange(2, 200), default=16, show_default=True, help="Of a run.")
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes, of one thread each.")
@click.option(
    "--quick",
    is_flag=True,
    help="The default rule alone, skewed data, 31% attackers, one attack of each kind, in this process: ten seconds.",
)
@click.option(
    "--expect",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Exit with 1 when an attack that this file lists as harmless does harm or pays.",
)
@click.option("--update", is_flag=True, help="Write what is harmless to the file of --expect instead.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("attacks-out"),
    show_default=True,
    help=f"Keeps {RUNS}, {TABLE} and {PAGE} with its drawings. Interrupted, or asked for more, it goes on from there.",
)
@click.option("--quiet", is_flag=True, help="No progress, only the result.")
@json_option
def train(
    attacks: tuple[str, ...],
    rules: tuple[str, ...],
    shares: tuple[int, ...],
    skews: tuple[str, ...],
    seeds: int,
    seed: int | None,
    trainers: int,
    rounds: int,
    jobs: int,
    quick: bool,
    expect: Path | None,
    update: bool,
    out: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Every attack on training against every rule of aggregation: what the model loses, what the attackers are paid.

    Each run is a whole one on digits: codec, checks, duplicates, values, audits and settlement are the protocol's. It
    is set beside the same run in which the attackers' seats are honest.

    \b
    Examples:
      gradmint redteam train                                          # the whole table
      gradmint redteam train --rule default --seeds 5                 # the default rule, with its spread
      gradmint redteam train --attack "sign flip" --attack ALIE --share 31 --skew dirichlet --rule mean --rule default
      gradmint redteam train --quick --expect snapshots/redteam_train.json
    """
    from ..study.arena import DEFAULT, RULES
    from ..study.attack_table import Grid, collect, harmless, table
    from ..study.attacks import ATTACKS

    if quick:
        rules, shares, skews, jobs = (rules or (DEFAULT,), shares or (31,), skews or ("dirichlet",), 1)
        attacks = attacks or QUICK
    first = (QUICK_SEED if quick else 0) if seed is None else seed
    grid = Grid(
        attacks=_known("attack", attacks, tuple(ATTACKS)),
        rules=_known("rule", rules, tuple(RULES)),
        shares=shares or SHARES,
        skews=skews or SKEWS,
        seeds=tuple(range(first, first + seeds)),
        peers=trainers,
        rounds=rounds,
    )
    if any(not 1 <= grid.attackers(share) < trainers / 2 for share in grid.shares):
        raise SettingsError(
            f"--share {', '.join(map(str, grid.shares))} of {trainers} trainers: at least one attacks, fewer than half"
        )
    with progress(len(grid.settings()), quiet or as_json) as tick:
        runs = collect(grid, out / RUNS, jobs, tick)
    cells = table(runs, grid)
    (out / TABLE).write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")
    if not quick:
        _draw(out, cells, grid)
    missed = compared(expect, harmless(cells), update)
    if as_json:
        click.echo(json.dumps({"cells": [asdict(cell) for cell in cells], "missed": missed}))
    else:
        from .attack_render import show_cells

        show_cells(cells)
        click.echo(f"attacks: {out / TABLE}" + ("" if quick else f", {out / PAGE}"))
    for line in missed:
        click.echo(f"no longer harmless: {line}", err=True)
    sys.exit(1 if missed else 0)


def _known(what: str, asked: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Raises SettingsError for a name that is none."""
    strangers = [name for name in asked if name not in known]
    if strangers:
        raise SettingsError(f"no {what} is called {', '.join(strangers)}; there are: {', '.join(known)}")
    return tuple(dict.fromkeys(asked)) or tuple(known)


def _draw(out: Path, cells: Sequence[Cell], grid: Grid) -> None:
    """The page, and each of its drawings as a file."""
    from ..study.attack_page import save, write_page

    for name, figure in write_page(out / PAGE, cells, grid.rounds, len(grid.seeds)).items():
        save(figure, out / (re.sub(r"\W+", "-", name).strip("-") + ".svg"))
