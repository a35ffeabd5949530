"""``gradmint calibrate`` and ``gradmint redteam verify``: how well signatures tell honest work from anything else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..spec.errors import SettingsError
from .settings import F, json_option, task_path_option

if TYPE_CHECKING:
    from ..learn.manifest import Manifest
    from ..study.calibration import Calibration

SAMPLES, FILE, PAGE, ATTACKS = "samples.jsonl", "calibration.json", "calibration.html", "redteam.json"
ATTACK_DRAWS = 1 << 20  # number of the first beacon that attacks are tested on: never one that thresholds come from
CALIBRATING_AUDITS = 96  # honest ones a round, at most: the others are attacked
MAX_EXPECTED_BYTES = 1 << 20


def recipe_options(command: F) -> F:
    for option in (
        click.option(
            "--admit",
            multiple=True,
            metavar="CONFIGURATION",
            help="A numeric configuration of the policy instead of the task's own, such as bfloat16/micro=16; again "
            "for several.",
        ),
        click.option("--words", type=click.IntRange(2, 16), help="Signature words; the task's own by default."),
        click.option(
            "--precision-words", type=click.IntRange(0, 14), help="Of these quantised ones; the task's own by default."
        ),
        click.option(
            "--precision-width", type=float, help="Their width in radians: some times the policy's own noise."
        ),
        click.option("--quiet", is_flag=True, help="No progress, only the result."),
        json_option,
    ):
        command = option(command)
    return command


def recipe(
    task: str, admit: Sequence[str], words: int | None, precision_words: int | None, precision_width: float | None
) -> Manifest:
    """The task's manifest with another policy or other words. Raises ManifestError."""
    from ..learn.manifest import preset

    manifest = preset(task)
    numerics = replace(manifest.numerics, admitted=tuple(sorted(set(admit))) or manifest.numerics.admitted)
    given = {"words": words, "precision_words": precision_words, "precision_width": precision_width}
    assessment = replace(manifest.assessment, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    return replace(manifest, numerics=numerics, assessment=assessment).check()


@contextmanager
def progress(scenes: int, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A bar on standard error while scenes are measured."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("training", total=scenes)
        yield lambda name: bar.update(task, advance=1, description=name)


@click.command("calibrate")
@click.option(
    "--task", default="bytes", show_default=True, help="bytes, bytes-large, digits, folder, or package.module:factory."
)
@task_path_option
@click.option("--rounds", type=click.IntRange(1, 1_000), default=3, show_default=True, help="Of one training run.")
@click.option("--beacons", type=click.IntRange(2, 100_000), default=4, show_default=True, help="Assessments a round.")
@click.option(
    "--trained", type=click.IntRange(1, 100_000), default=4, show_default=True, help="Audits of trainers a round."
)
@click.option(
    "--retrained",
    type=click.IntRange(0, 100_000),
    default=24,
    show_default=True,
    help="More of them a round, of honest trainers alone: tolerances fall with their number.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("calibration"),
    show_default=True,
    help=f"Keeps {SAMPLES}, {FILE} and {PAGE}. Interrupted, or asked for more, it goes on from there.",
)
@recipe_options
def calibrate_(
    task: str,
    rounds: int,
    beacons: int,
    trained: int,
    retrained: int,
    out: Path,
    admit: tuple[str, ...],
    words: int | None,
    precision_words: int | None,
    precision_width: float | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Measure honest noise and cheats on this machine; write the thresholds that 'gradmint run open' takes.

    Honest verifiers in every admitted configuration (number formats, micro-batches, kernels, threads; GPUs where the
    policy admits them) and every known cheat sign the same rounds of a real training run. The accept threshold is what
    the worst honest pair exceeds once in a thousand times, the slash threshold once in a million, by a fitted tail.
    Honest trainers in one configuration are audited in the others, and cheats beside them: a tolerance of proofs of
    training is what an honest audit exceeds once in a million times.

    \b
    Examples:
      gradmint calibrate --task digits --out digits-calibration
      gradmint calibrate --task digits --admit float32 --admit float32/micro=16 --admit float32/kernel=math --json
      gradmint run open --calibration digits-calibration/calibration.json --task digits --budget 1000
    """
    from ..study.calibration import calibrate
    from ..study.page import write_page
    from ..study.samples import Plan, collect

    manifest = recipe(task, admit, words, precision_words, precision_width)
    one_thread()
    plan = Plan(rounds=rounds, draws=beacons, trained=trained, retrained=retrained)
    with progress(plan.scenes, quiet or as_json) as tick:
        samples = collect(manifest, [plan], out / SAMPLES, tick)[0]
    calibration = calibrate(manifest, samples)
    (out / FILE).write_bytes(calibration.encode())
    write_page(out / PAGE, [("", calibration, ())])
    if as_json:
        click.echo(calibration.encode().decode())
        return
    from .study_render import show_findings

    show_findings(calibration)
    click.echo(f"calibration {calibration.digest()}: {out / FILE}, {out / PAGE}")


@click.group("redteam")
def redteam_group() -> None:
    """Attack what the protocol relies on, and see what is caught."""


@redteam_group.command("verify")
@click.option(
    "--task", default="digits", show_default=True, help="bytes, bytes-large, digits, folder, or package.module:factory."
)
@task_path_option
@click.option("--rounds", type=click.IntRange(1, 1_000), default=4, show_default=True, help="Of one training run.")
@click.option("--beacons", type=click.IntRange(2, 100_000), default=8, show_default=True, help="Attacked a round.")
@click.option(
    "--trained",
    type=click.IntRange(0, 100_000),
    default=4,
    show_default=True,
    help="Audits a round, attacked.",
)
@click.option(
    "--honest", type=click.IntRange(0, 100_000), default=0, help="More beacons a round, for false alarms alone."
)
@click.option(
    "--retrained",
    type=click.IntRange(0, 100_000),
    default=48,
    show_default=True,
    help="More audits a round, for false alarms alone; as many for the tolerances.",
)
@click.option("--quick", is_flag=True, help="Two rounds of four beacons and 36 audits: under a minute for digits.")
@click.option(
    "--expect",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Exit with 1 when an attack that this file lists is no longer caught.",
)
@click.option("--update", is_flag=True, help="Write what is caught to the file of --expect instead.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("redteam-out"),
    show_default=True,
    help=f"Keeps {SAMPLES}, {ATTACKS} and {PAGE}.",
)
@recipe_options
def verify(
    task: str,
    rounds: int,
    beacons: int,
    trained: int,
    honest: int,
    retrained: int,
    quick: bool,
    expect: Path | None,
    update: bool,
    out: Path,
    admit: tuple[str, ...],
    words: int | None,
    precision_words: int | None,
    precision_width: float | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Every attack on signatures and on proofs of training, against thresholds measured here on other beacons.

    Detection and false alarms for a single verifier, for two of three independent ones, and for the protocol's own
    agreement; under the task's numeric policy, and under the part of it that computes in float32. With exact 95%
    intervals.

    \b
    Examples:
      gradmint redteam verify
      gradmint redteam verify --task bytes --rounds 3 --beacons 4 --out bytes-redteam
      gradmint redteam verify --quick --expect snapshots/redteam_verify.json
    """
    from ..study.page import write_page
    from ..study.redteam import play
    from ..study.samples import Plan

    manifest = recipe(task, admit, words, precision_words, precision_width)
    one_thread()
    rounds, beacons, trained, retrained = (2, 4, 4, 32) if quick else (rounds, beacons, trained, retrained)
    calibrating = Plan(
        rounds=rounds, draws=min(beacons, 8), trained=min(trained, 8), retrained=min(retrained, CALIBRATING_AUDITS)
    )
    attacking = Plan(
        rounds=rounds, draws=beacons, trained=trained, honest=honest, retrained=retrained, first=ATTACK_DRAWS
    )
    with progress(calibrating.scenes + attacking.scenes, quiet or as_json) as tick:
        played = play(manifest, calibrating, attacking, out / SAMPLES, tick)
    teams = [team for one in played for team in one.teams]
    caught = {team.policy: team.caught for team in teams}
    found = {
        "task": task,
        "calibrations": {one.policy: one.calibration.digest() for one in played},
        "teams": [team.as_object() for team in teams],
    }
    (out / ATTACKS).write_text(json.dumps(found, indent=1) + "\n")
    for one in played:
        (out / f"{one.policy.replace(' ', '-')}.json").write_bytes(one.calibration.encode())
    if not quick:
        write_page(out / PAGE, [(one.policy, one.calibration, one.teams) for one in played])
    missed = compared(expect, caught, update)
    if as_json:
        click.echo(json.dumps({**found, "missed": missed}))
    else:
        from .study_render import show_attacks

        show_attacks(teams)
        click.echo(f"red team: {out / ATTACKS}, {out / PAGE}")
    for line in missed:
        click.echo(f"no longer caught: {line}", err=True)
    sys.exit(1 if missed else 0)


def compared(expect: Path | None, caught: dict[str, list[str]], update: bool) -> list[str]:
    """Attacks of the file that were not caught. Raises SettingsError."""
    if expect is None:
        if update:
            raise SettingsError("--update writes the file of --expect: give that as well")
        return []
    if update:
        expect.write_text(json.dumps(caught, indent=1, sort_keys=True) + "\n")
        return []
    try:
        if not expect.is_file():
            raise SettingsError(f"{expect} does not exist; write it with --update")
        if expect.stat().st_size > MAX_EXPECTED_BYTES:
            raise SettingsError(f"{expect} has {expect.stat().st_size} bytes, at most {MAX_EXPECTED_BYTES} are read")
        wanted: dict[str, list[str]] = json.loads(expect.read_text())
        return [
            f"{name} ({policy})"
            for policy, names in wanted.items()
            for name in names
            if name not in caught.get(policy, [])
        ]
    except (ValueError, AttributeError, TypeError) as error:
        raise SettingsError(f"{expect} lists no attacks by policy ({error}); write it with --update") from error


def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def read_calibration(path: Path) -> Calibration:
    """Raises SettingsError, ManifestError."""
    from ..study.calibration import MAX_CALIBRATION_BYTES, Calibration

    try:
        with path.open("rb") as file:
            return Calibration.decode(file.read(MAX_CALIBRATION_BYTES + 1))
    except OSError as error:
        raise SettingsError(f"calibration {path}: {error}") from error


def calibrated(manifest: Manifest, calibration: Calibration) -> Manifest:
    """The manifest with what the calibration measured, tolerances of proofs included, and its digest. Raises
    ManifestError when it is of another."""
    whole = replace(
        manifest,
        assessment=replace(
            manifest.assessment,
            words=calibration.words,
            output_words=calibration.output_words,
            precision_words=calibration.precision_words,
            precision_width=calibration.precision_width,
            **calibration.training.by_name,
        ),
        numerics=replace(manifest.numerics, admitted=calibration.admitted, calibration=calibration.digest()),
    ).check()
    calibration.require(whole)
    return whole
