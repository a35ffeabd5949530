"""What honest trainers are paid: when they come, for what they can do, beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..spec.mechanism import weights
from ..spec.rating import ordinal_q32
from ..spec.types import ONE_Q32, Standing
from .conduct import Honest
from .measures import first_at, gini, spearman
from .population import EQUALS, Floats, Population
from .study import Curve, Figure, Finding, Study, best_paid, everyone_paid
from .world import World

AMONG = (16, 64, 256, 1_023)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Rounds until a newcomer that does an equal share of the work is paid one. Sampled every round, all seats paid."""

    name: str = "newcomer"

    def measure(self, study: Study) -> Finding:
        figures = []
        for incumbents in (count for count in AMONG if count < study.trainers or count == AMONG[0]):
            exact = self.pay(study, incumbents)
            noisy = [self.pay(study, incumbents, seed) for seed in study.seeds] if incumbents <= 256 else []
            for part, bound in ((0.8, 10), (0.95, None)):
                figures.append(
                    Figure(
                        name=f"among {incumbents}: rounds until {part:.0%} of an equal share",
                        defined="all equal, no luck: first round in which the newcomer is paid so much",
                        values=(float(first_at(exact, part)),),
                        unit="rounds",
                        at_most=bound,
                    )
                )
            if noisy:
                figures.append(
                    Figure(
                        name=f"among {incumbents}, with luck: pay in rounds 10-14 over equal share",
                        defined="skill 1 among drawn skills and luck, mean of up to eight newcomers who come together",
                        values=tuple(float(np.mean(run[9:14])) for run in noisy),
                        at_least=0.7,
                    )
                )
        return Finding(tuple(figures))

    def pay(self, study: Study, incumbents: int, seed: int | None = None) -> list[float]:
        population = EQUALS if seed is None else Population(seed=seed)
        new = 1 if seed is None else max(1, min(8, incumbents // 8))
        count = incumbents + new
        skills = population.skills(count) / population.skills(count).mean()
        skills[:new] = 1
        world = study.world(population, [Honest()] * count, skills=skills, params=everyone_paid(study.params, count))
        if seed is None:  # the state that many equal rounds lead to
            world.trainers = [replace(s, rounds=1_000, value_q32=ONE_Q32, proof_q32=ONE_Q32) for s in world.trainers]
        else:
            world.play(30)
        for i in range(new):
            world.rejoin(i)
        paid = world.play(30 if seed is None else 14).income(slice(0, new), -30 if seed is None else -14)
        return [float(value) for value in paid.mean(axis=1)]


@dataclass(frozen=True, slots=True)
class Climb:
    """Where fewer are paid than take part, a newcomer has to overtake incumbents in the rating first."""

    name: str = "climb"
    warm: int = 60
    quantiles: tuple[float, ...] = (0.75, 0.9, 0.97, 0.99)

    def measure(self, study: Study) -> Finding:
        figures = []
        horizon = 3 * study.rounds
        for count in sorted({min(study.trainers, size) for size in (256, 1_024)}):
            found = {q: [] for q in self.quantiles}  # type: dict[float, list[float]]
            top = best_paid(study.params, count).top
            seeds = study.seeds if count <= 256 else study.seeds[:2]
            for seed in seeds:
                for q, value in self.climb(study, count, seed, horizon).items():
                    found[q].append(value)
            figures += [
                Figure(
                    name=f"top {top} of {count}: rounds until the {q:.0%} quantile of skill is paid",
                    defined=f"first of five rounds running with pay, {self.warm} after the start; {horizon + 1}: never",
                    values=tuple(values),
                    unit="rounds",
                )
                for q, values in found.items()
            ]
        return Finding(tuple(figures))

    def climb(self, study: Study, count: int, seed: int, horizon: int) -> dict[float, float]:
        population = Population(seed=seed)
        skills = population.skills(count)
        places = range(len(self.quantiles))
        for i, q in zip(places, self.quantiles, strict=True):
            skills[i] = np.quantile(skills[len(self.quantiles) :], q)
        params = best_paid(study.params, count)
        world = study.world(population, [Honest()] * count, skills=skills, params=params).play(self.warm)
        for i in places:
            world.rejoin(i)
        world.play(horizon)
        paid = world.income(slice(0, len(self.quantiles)), self.warm) > 0
        steady = np.array([paid[r : r + 5].all(axis=0) for r in range(horizon - 4)])
        return {
            q: float(first_at(steady[:, i].tolist(), 1)) if steady[:, i].any() else horizon + 1.0
            for i, q in enumerate(self.quantiles)
        }


@dataclass(frozen=True, slots=True)
class Rating:
    """Do the best come out best, and how much more than they are better are they paid?"""

    name: str = "rating and inequality"
    at: tuple[int, ...] = (1, 5, 10, 25, 50)

    def measure(self, study: Study) -> Finding:
        rounds = max(study.rounds, max(self.at))
        top = best_paid(study.params, study.trainers).top
        ordinal: dict[int, list[float]] = {r: [] for r in self.at}
        valued: dict[int, list[float]] = {r: [] for r in self.at}
        inequality: dict[str, list[float]] = {}
        curves: tuple[Curve, ...] = ()
        for seed in study.seeds:
            population = Population(seed=seed)
            params = everyone_paid(study.params, study.trainers)
            world = study.world(population, [Honest()] * study.trainers, params=params)
            paid = {halves: np.zeros(study.trainers) for halves in (2, 3, 4)}
            chosen = np.zeros(study.trainers)
            track = []
            for r in range(1, rounds + 1):
                world.play()
                track.append(ordinals(world.trainers))
                if r in ordinal:
                    ordinal[r].append(spearman(track[-1], world.skills))
                    valued[r].append(spearman(np.array([float(s.value_q32) for s in world.trainers]), world.skills))
                for halves, sums in paid.items():
                    sums += parts(world, halves)
                best = np.argsort(-track[-1], kind="stable")[:top]
                due = parts(world, study.params.value_exponent_halves)
                chosen[best] += due[best] / due[best].sum()
            for name, values in (
                ("skill", world.skills),
                *((f"pay, value^{halves / 2:g}", sums) for halves, sums in paid.items()),
                (f"pay, top {top} only", chosen),
            ):
                inequality.setdefault(name, []).append(gini(values))
            curves = curves or trajectories(np.stack(track), world)
        least = {10: 0.7, 50: 0.85}
        figures = [
            Figure(
                name=f"rank correlation of rating and skill after {r} rounds",
                defined=f"Spearman of mu - 3 sigma, {study.trainers} honest trainers, one match of all a round",
                values=tuple(values),
                at_least=least.get(r),
            )
            for r, values in ordinal.items()
        ]
        figures += [
            Figure(
                name=f"rank correlation of value and skill after {r} rounds",
                defined="the same for the mean multiple of the round's mean gain, which is what is paid",
                values=tuple(values),
            )
            for r, values in valued.items()
        ]
        figures += [
            Figure(
                name=f"inequality: {name}",
                defined=f"Gini coefficient over {study.trainers} honest trainers, {rounds} rounds",
                values=tuple(values),
                at_most=2.5 * float(np.mean(inequality["skill"])) if name == "pay, value^1.5" else None,
            )
            for name, values in inequality.items()
        ]
        return Finding(tuple(figures), curves)


def ordinals(standings: Sequence[Standing]) -> Floats:
    return np.array([ordinal_q32((s.mu_q32, s.sigma_q32)) / ONE_Q32 for s in standings])


def parts(world: World, halves: int) -> Floats:
    """Of a round's pay, by an exponent of ours: standings do not depend on it where everyone is paid."""
    due = np.array(weights(replace(world.params, value_exponent_halves=halves), world.trainers), dtype=np.float64)
    return np.asarray(due / due.sum())


def trajectories(track: Floats, world: World) -> tuple[Curve, ...]:
    """Ratings of the trainers at some quantiles of skill."""
    order = np.argsort(world.skills)
    curves = []
    for q in (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0):
        i = int(order[round(q * (len(order) - 1))])
        name = {0.0: "worst", 0.5: "median", 1.0: "best"}.get(q, f"{q:.0%} quantile")
        curves.append(
            Curve(
                "rating",
                f"{name}, skill {world.skills[i]:.2f}",
                tuple(map(float, range(1, len(track) + 1))),
                tuple(track[:, i].tolist()),
            )
        )
    return tuple(curves)
