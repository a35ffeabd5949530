"""Attacks, one small class each: the demo, the tests and the simulation use them, and anyone may bring their own.

An attack is a :class:`gradmint.roles.trainer.TrainerStrategy` or :class:`gradmint.roles.verifier.VerifierStrategy` with
a method overridden. Name it on a command line by its short name here, or as ``package.module:Class``.
"""

from __future__ import annotations

import importlib
from typing import TypeVar

from ..roles.trainer import TrainerStrategy
from ..roles.verifier import VerifierStrategy
from ..spec.errors import SettingsError
from . import trainers, verifiers

S = TypeVar("S", TrainerStrategy, VerifierStrategy)

TRAINERS: dict[str, type[TrainerStrategy]] = {
    strategy.name: strategy
    for strategy in (
        TrainerStrategy,
        trainers.Planter,
        trainers.FreeRider,
        trainers.Copycat,
        trainers.Poisoner,
        trainers.Plagiarist,
        trainers.Withholder,
        trainers.Exploder,
        trainers.Vandal,
        trainers.HalfBatch,
        trainers.Skipper,
        trainers.Elsewhere,
        trainers.Coaster,
        trainers.Stunner,
        trainers.Braggart,
        trainers.Parrot,
        trainers.Mute,
    )
}
VERIFIERS: dict[str, type[VerifierStrategy]] = {
    strategy.name: strategy
    for strategy in (VerifierStrategy, verifiers.Liar, verifiers.Flatterer, verifiers.RubberStamp, verifiers.Embezzler)
}


def trainer_strategy(name: str) -> type[TrainerStrategy]:
    """A built-in trainer strategy, or the class at ``package.module:Class``. Raises SettingsError."""
    return TRAINERS.get(name) or _load(name, TrainerStrategy, sorted(TRAINERS))


def verifier_strategy(name: str) -> type[VerifierStrategy]:
    """A built-in verifier strategy, or the class at ``package.module:Class``. Raises SettingsError."""
    return VERIFIERS.get(name) or _load(name, VerifierStrategy, sorted(VERIFIERS))


def _load(name: str, kind: type[S], known: list[str]) -> type[S]:
    module, _, attribute = name.partition(":")
    if not attribute:
        raise SettingsError(f"strategy {name!r} is none of {', '.join(known)}, nor of the form package.module:Class")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"strategy {name}: {error}; is its folder on PYTHONPATH?") from error
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise SettingsError(f"strategy {name} is {found!r}, expected a subclass of {kind.__module__}.{kind.__name__}")
    return found
