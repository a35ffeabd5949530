"""``gradmint trainer`` and ``gradmint verifier``: long-running participants."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..roles import CHECKPOINT_EVERY
from ..spec.errors import SettingsError
from ..spec.types import Role
from .settings import (
    F,
    bonds_option,
    deployment_option,
    home_option,
    keystore_option,
    load_account,
    max_price_option,
    numerics_option,
    rpc_option,
    run_option,
    store_option,
    task_option,
)

if TYPE_CHECKING:
    from ..roles.desk import Desk


def seat_options(command: F) -> F:
    """What every long-running participant is told; :func:`open_desk` takes it."""
    for option in (
        click.option(
            "--strategy", default="honest", show_default=True, help="An attack's name, or package.module:Class."
        ),
        click.option(
            "--join", is_flag=True, help="Take a seat with the run's required stake first, unless one is held."
        ),
        click.option(
            "--from-scratch",
            is_flag=True,
            help="Who comes late rebuilds every round instead of starting from a checkpoint that a committee attested.",
        ),
        max_price_option,
        numerics_option,
        task_option,
        home_option,
        keystore_option,
        run_option,
        store_option,
        deployment_option,
        rpc_option,
    ):
        command = option(command)
    return command


def checkpoint_option(default: int) -> Callable[[F], F]:
    return click.option(
        "--checkpoint-every",
        type=click.IntRange(min=0),
        default=default,
        show_default=True,
        help="Rounds after which the model is put into the store, so that latecomers start from there; 0: never.",
    )


def open_desk(
    role: Role,
    *,
    rpc: str,
    deployment: Path,
    store: str,
    run_: int,
    keystore: Path | None,
    home: Path,
    task: str | None,
    join: bool,
    max_price: int | None,
    numerics: str,
    checkpoint_every: int,
    from_scratch: bool,
) -> Desk:
    import torch

    from ..learn.numerics import Numerics
    from ..ports.deployment import Deployment
    from ..ports.open_store import open_store
    from ..ports.web3_chain import Web3Chain
    from ..roles.desk import Desk

    chosen = Numerics.parse(numerics)
    torch.set_num_threads(1)
    chain = Web3Chain(rpc, Deployment.read(deployment), load_account(keystore))
    desk = Desk.open(
        *(chain, open_store(store), run_, role, home),
        own_task=task,
        join=join,
        max_price_wei=max_price,
        numerics=chosen,
        checkpoint_every=checkpoint_every,
        from_scratch=from_scratch,
    )
    # Half a million objects of imported code never become garbage; looking through them again takes a second at exit.
    gc.freeze()
    return desk


@click.command()
@seat_options
@checkpoint_option(0)
@click.option(
    "--plant",
    type=click.FloatRange(0, 1),
    metavar="PROBABILITY",
    help="Plant a wrong update in a round with this probability, and expose the verifiers who call it OK.",
)
def trainer(strategy: str, plant: float | None, **seat: Any) -> None:
    """Train until the run ends: load the model, train on the assigned shard, submit, publish.

    Stop and start it at will: it resumes from --home, and never submits twice in a round.

    With --plant some updates carry words drawn from a secret instead of their own. Verifiers who look call them
    UNPROVEN, which costs this trainer trust; those who do not lose stake, a part of it to this trainer's bond account
    (gradmint unbond). The secret is in --home.

    \b
    Examples:
      gradmint trainer --join --keystore alice.json --home alice
      gradmint trainer --run 3 --store /ip4/127.0.0.1/tcp/5001 --keystore alice.json --home alice
      gradmint trainer --join --plant 0.05 --keystore sponsor.json --home planter
    """
    from ..adversary import trainer_strategy
    from ..roles.planter import Planter
    from ..roles.trainer import train

    chosen = trainer_strategy(strategy)
    if plant is not None and not issubclass(Planter, chosen):
        raise SettingsError(f"--plant is for honest trainers, not for --strategy {strategy}: leave one of them out")
    desk = open_desk(Role.TRAINER, **seat)
    train(desk, chosen(desk) if plant is None else Planter(desk, plant))


@click.command()
@seat_options
@checkpoint_option(CHECKPOINT_EVERY)
@bonds_option
def verifier(strategy: str, bonds: int, **seat: Any) -> None:
    """Verify until the run ends: hold, assess, commit, reveal, settle.

    Where rounds are proposed: also compare every proposal with a re-execution, refute the false ones, and propose in
    turn, until the last round is final.

    Stop and start it at will: report and salt are on disk before anything is committed.

    \b
    Examples:
      gradmint verifier --join --keystore vera.json --home vera
      gradmint verifier --join --bonds 2 --keystore vera.json --home vera
    """
    from ..adversary import verifier_strategy
    from ..roles.verifier import verify

    chosen = verifier_strategy(strategy)
    desk = open_desk(Role.VERIFIER, **seat)
    verify(desk, chosen(desk), bonds)
