"""The command line: parse, call a role, render. A command imports what it needs when it runs, so --help is instant."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

import click

from ..spec.errors import CertificateRefused, Divergence, GradmintError
from . import (
    attack_commands,
    audit_commands,
    certificate_commands,
    codec_commands,
    demo_command,
    docket_commands,
    lineage_commands,
    money_commands,
    rating_acts,
    role_commands,
    run_commands,
    simulate_commands,
    study_commands,
)
from .settings import SETTINGS_FILE, read_settings


class _Group(click.Group):
    """Errors in one line that says what to do; tracebacks only for defects."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except Divergence as found:
            click.echo(f"divergence: {found}", err=True)
            sys.exit(1)
        except CertificateRefused as found:
            click.echo(f"refused: {found}", err=True)
            sys.exit(1)
        except GradmintError as error:
            click.echo(f"gradmint: {type(error).__name__}: {error}", err=True)
            sys.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="gradmint")
@click.option(
    "--settings",
    envvar="GRADMINT_SETTINGS",
    type=click.Path(path_type=Path),
    default=Path(SETTINGS_FILE),
    show_default=True,
    help="Defaults for every option, below flags and environment.",
)
@click.option("-v", "--verbose", count=True, help="Say more; twice for everything.")
@click.pass_context
def main(context: click.Context, settings: Path, verbose: int) -> None:
    """Pay for machine-learning updates by what they are measurably worth, and re-check every payout.

    \b
    Try it:          gradmint demo --task digits
    By hand:         gradmint devnet &  gradmint deploy  gradmint run open  gradmint join  gradmint trainer
    Check a run:     gradmint audit --out demo-out
    """
    # Before torch loads. Results do not depend on it; several multi-threaded processes on few cores crawl.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context.default_map = read_settings(main, settings)
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("gradmint").setLevel(level)
    # A terminated process unwinds like an interrupted one, so that children and files are looked after.
    signal.signal(signal.SIGTERM, lambda *_: _interrupt())


def _interrupt() -> None:
    raise KeyboardInterrupt


for command in (
    run_commands.devnet,
    run_commands.faucet,
    run_commands.deploy,
    run_commands.run_group,
    money_commands.key_group,
    money_commands.price,
    money_commands.join,
    role_commands.trainer,
    role_commands.verifier,
    docket_commands.settle,
    docket_commands.bond,
    docket_commands.unbond,
    docket_commands.pool,
    money_commands.claim,
    audit_commands.audit,
    lineage_commands.catch_up,
    certificate_commands.certificate_group,
    money_commands.exit_,
    money_commands.withdraw,
    money_commands.refund,
    demo_command.demo,
    simulate_commands.simulate_group,
    study_commands.calibrate_,
    study_commands.redteam_group,
    codec_commands.privacy,
    rating_acts.reputation_group,
):
    main.add_command(command)
study_commands.redteam_group.add_command(attack_commands.train)
