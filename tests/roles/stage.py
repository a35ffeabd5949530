"""A whole run in one process: real learning, real roles, the chain's and the store's twins."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path

from gradmint.learn.manifest import Manifest, preset
from gradmint.learn.numerics import Numerics
from gradmint.ports.chain import Join
from gradmint.ports.memory_chain import MemoryWorld
from gradmint.ports.memory_store import MemoryStore
from gradmint.roles.desk import Desk
from gradmint.roles.follower import Follower
from gradmint.roles.journal import Journal, identity
from gradmint.roles.sponsor import open_run
from gradmint.roles.trainer import TrainerStrategy, train
from gradmint.roles.verifier import VerifierStrategy, verify
from gradmint.spec.ledger import Ledger
from gradmint.spec.params import LOCAL
from gradmint.spec.types import Role

TOKEN = b"\x0e" * 20
SPONSOR = b"\x5a" * 20
BUDGET_WEI = 10**21
BONDS = 6  # that a verifier has the money for


@dataclass
class Stage:
    """What is left when the curtain has fallen."""

    world: MemoryWorld
    store: MemoryStore
    ledger: Ledger
    errors: list[BaseException]


def account(role: Role, index: int) -> bytes:
    return bytes([role, index]) * 10


def play(
    home: Path,
    trainers: list[type[TrainerStrategy]],
    verifiers: list[type[VerifierStrategy]],
    rounds: int,
    hold_s: int = 6,
    commit_s: int = LOCAL.commit_s,
    propose: bool = False,
    manifest: Manifest | None = None,
    numerics: tuple[str, ...] = ("float32",),
    committee: int = LOCAL.committee,
    checkpoint_every: int = 0,
    late: type[TrainerStrategy] | None = None,
    late_round: int = 0,
) -> Stage:
    """Play ``rounds`` rounds of the digits task (or of ``manifest``'s), a thread each; with ``propose``, by proposals.

    Participants compute in the configurations of ``numerics`` in turn. ``late`` is one more trainer, who joins in round
    ``late_round``; verifiers publish a checkpoint after each ``checkpoint_every`` rounds.

    The world's clock follows real time, so that a withheld blob costs ``hold_s`` / 2 and no more.
    """
    world, store = MemoryWorld(), MemoryStore()
    params = replace(
        LOCAL,
        max_rounds=rounds,
        min_trainers=len(trainers),
        max_trainers=len(trainers) + (late is not None),
        min_verifiers=len(verifiers),
        max_verifiers=len(verifiers),
        committee=committee,
        hold_s=hold_s,
        commit_s=commit_s,
    )
    if propose:
        params = replace(params, challenge_s=3, extension_s=2, proposal_bond_wei=10**18, exit_s=300)
    world.mint(TOKEN, SPONSOR, BUDGET_WEI)
    sponsor = world.as_account(SPONSOR)
    journal = Journal(home / "sponsor.sqlite", identity(sponsor))
    run = open_run(sponsor, store, journal, manifest or preset("digits"), params, TOKEN, BUDGET_WEI)
    for role, count, stake_wei in (
        (Role.TRAINER, len(trainers), params.trainer_stake_wei),
        (Role.VERIFIER, len(verifiers), params.verifier_stake_wei),
    ):
        for index in range(count):
            world.mint(
                TOKEN, account(role, index), stake_wei + params.join_price_wei + BONDS * params.proposal_bond_wei
            )
            join = Join(run=run, role=role, stake_wei=stake_wei, max_price_wei=params.join_price_wei)
            world.as_account(account(role, index)).send(join)

    if late is not None:
        newcomer = account(Role.TRAINER, len(trainers))
        world.mint(TOKEN, newcomer, params.trainer_stake_wei + 2 * params.join_price_wei)

    errors: list[BaseException] = []

    def serve(role: Role, index: int) -> None:
        try:
            chain = world.as_account(account(role, index))
            own = Numerics.parse(numerics[index % len(numerics)])
            desk = Desk.open(
                *(chain, store, run, role, home / f"{role.name}-{index}"),
                numerics=own,
                checkpoint_every=checkpoint_every if role is Role.VERIFIER else 0,
            )
            if role is Role.TRAINER:
                train(desk, trainers[index](desk))
            else:
                verify(desk, verifiers[index](desk), bonds=2)
        except BaseException as error:
            errors.append(error)
            raise

    def come_late() -> None:
        assert late is not None
        try:
            chain = world.as_account(newcomer)
            follower = Follower(chain, run)
            while len(follower.ledger.rounds) < late_round:
                chain.wait(run, 5.0)
                follower.refresh()
            desk = Desk.open(chain, store, run, Role.TRAINER, home / "late", join=True)
            train(desk, late(desk))
        except BaseException as error:
            errors.append(error)
            raise

    cast = [
        threading.Thread(target=serve, args=(role, index), daemon=True)
        for role, strategies in ((Role.TRAINER, trainers), (Role.VERIFIER, verifiers))
        for index in range(len(strategies))
    ]
    cast += [threading.Thread(target=come_late, daemon=True)] if late is not None else []
    curtain = threading.Event()

    def tick() -> None:
        while not curtain.wait(1.0):
            world.advance(1)

    clock = threading.Thread(target=tick, daemon=True)
    clock.start()
    for person in cast:
        person.start()
    for person in cast:
        person.join(timeout=120)
        assert not person.is_alive(), "a participant does not come to an end"
    curtain.set()
    clock.join()
    return Stage(world, store, Follower(sponsor, run).ledger, errors)
