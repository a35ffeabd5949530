"""What a scenario is asked and what it answers: figures with what is asserted of them, and curves to look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ..spec.params import STANDARD, Params
from .conduct import Conduct
from .population import Population
from .world import World

TOP = 64  # of the scenarios in which not everyone is paid


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """How much of everything. The one whose figures sim/reported.py holds is STANDARD and what is the default here."""

    params: Params
    trainers: int = 1_024
    rounds: int = 50
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    tick: Callable[[], None] = field(default=lambda: None)

    @property
    def is_reported(self) -> bool:
        own = everyone_paid(self.params, self.trainers) == everyone_paid(STANDARD, 1_024)
        return own and self.rounds == 50 and set(self.seeds) <= set(range(5))

    def world(self, population: Population, conducts: Sequence[Conduct], **more: Any) -> World:
        """Everybody's skill drawn from the population unless given; the study's parameters unless given."""
        more.setdefault("params", self.params)
        more.setdefault("skills", population.skills(len(conducts)))
        return World(population=population, conducts=list(conducts), tick=self.tick, **more)


def everyone_paid(params: Params, trainers: int) -> Params:
    """A run of so many seats in which nobody is selected."""
    return replace(params, max_trainers=trainers, top=trainers)


def best_paid(params: Params, trainers: int) -> Params:
    """A run of so many seats in which only the best by rating are paid: at most a quarter."""
    return replace(params, max_trainers=trainers, top=min(TOP, trainers // 4))


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number, measured once per seed, and what is asserted of it: it holds if it does for every seed.

    A bound is a claim about the mechanism. ``reported`` is no claim but what was measured: an interval that a later
    release should not leave unnoticed, given to figures without a bound where the study is the reported one.
    """

    name: str
    defined: str
    values: tuple[float, ...]
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    below: float | None = None
    reported: tuple[float, float] | None = None

    @property
    def mean(self) -> float:
        return math.fsum(self.values) / len(self.values)

    @property
    def holds(self) -> bool | None:
        """None for a figure of which nothing is asserted."""
        if self.asserted == "":
            return None
        low, high = self.reported or (-math.inf, math.inf)
        return all(
            low <= value <= high
            and (self.at_most is None or value <= self.at_most)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            for value in self.values
        )

    @property
    def asserted(self) -> str:
        if self.reported is not None:
            low, high = self.reported
            return f"{low:g} to {high:g}" if low < high else f"= {low:g}"
        bounds = (("<=", self.at_most), (">=", self.at_least), ("<", self.below))
        return " ".join(f"{sign} {value:.3g}" for sign, value in bounds if value is not None)


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of the plot called ``plot``."""

    plot: str
    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    figures: tuple[Figure, ...]
    curves: tuple[Curve, ...] = ()


class Scenario(Protocol):
    @property
    def name(self) -> str: ...

    def measure(self, study: Study) -> Finding: ...
