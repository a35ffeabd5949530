"""``gradmint privacy``: what updates quantised at random give away."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import click

from .settings import json_option


@click.command()
@click.option("--task", default="digits", show_default=True, help="As in 'run open': its model has so many values.")
@click.option("--rounds", type=click.IntRange(1), default=100, show_default=True, help="Of one trainer.")
@click.option("--delta", type=float, default=1e-5, show_default=True, help="Chance that the bound does not hold.")
@click.option("--chunk", type=click.IntRange(1, 65_536), help="Values that scalars stand for; the default kind's own.")
@click.option("--keep", type=click.IntRange(1), help="Scalars of each chunk.")
@click.option("--levels", type=click.IntRange(2, 64), help="Of a scalar, a power of two.")
@click.option("--retain-bps", type=click.IntRange(0, 9_999), help="Chance of each inner level to be kept.")
@click.option("--margin-bps", type=click.IntRange(1), help="Of the outermost level beyond the bound.")
@json_option
def privacy(
    task: str,
    rounds: int,
    delta: float,
    chunk: int | None,
    keep: int | None,
    levels: int | None,
    retain_bps: int | None,
    margin_bps: int | None,
    as_json: bool,
) -> None:
    """Epsilon of local differential privacy under 'run open --codec private': after one round and after all.

    It is of the update's body against whoever reads it, and of all of a trainer's data at once. What a header claims
    and signs about the trainer's shard comes on top.

    \b
    Examples:
      gradmint privacy --task digits --rounds 16
      gradmint privacy --chunk 65536 --keep 1 --levels 2 --retain-bps 0 --margin-bps 90000 --rounds 100
    """
    from ..learn.codec.privacy import account
    from ..learn.manifest import load_task, preset, with_codec
    from ..learn.state import layout_of
    from ..spec.errors import SettingsError

    manifest = with_codec(preset(task), "private")
    given = (
        ("chunk", chunk),
        ("keep", keep),
        ("levels", levels),
        ("retain_bps", retain_bps),
        ("margin_bps", margin_bps),
    )
    changes: dict[str, Any] = {name: value for name, value in given if value is not None}
    manifest = replace(manifest, codec=replace(manifest.codec, **changes)).check()
    if not 0 < delta < 1:
        raise SettingsError(f"--delta {delta} lies outside (0, 1)")
    table = manifest.codec.table(layout_of(load_task(manifest), manifest).dimension)
    accounts = [account(table, number, delta) for number in sorted({1, rounds})]
    if as_json:
        click.echo(json.dumps([asdict(after) for after in accounts]))
        return
    each = accounts[0].each
    click.echo(f"{table.kept} scalars an update, {table.levels} levels; one scalar alone: epsilon {each:.4g}")
    click.echo(f"{'rounds':>8} {'basic, delta 0':>15} {f'advanced, {delta:g}':>17} {f'Renyi, {delta:g}':>15}")
    for after in accounts:
        click.echo(f"{after.rounds:8} {after.basic:15.4g} {after.advanced:17.4g} {after.renyi:15.4g}")
