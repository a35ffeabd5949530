"""Trainers who want more than their work is worth: many identities, no work, new names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .conduct import Coast, Conduct, Honest, Idle, Replay, Unproven
from .population import Floats, Population
from .seats import cost_wei, round_s
from .study import Curve, Figure, Finding, Study, best_paid, everyone_paid
from .world import SHARE_WEI, World

CROWDED, CROWD_QUANTILE = 256, 0.95  # trainers, and good enough to be among the top by rating
SAMPLED = 16  # the manifests' assigned_trainers
# The power of the work put in with which an update's gain grows, and what that is. Training with an eighth of the batch
# keeps 48-83% of the gain (benchmarks/splitting.py).
POWERS = {1.0: "additive", 2 / 3: "break-even", 0.35: "an eighth keeps 48%", 0.1: "an eighth keeps 81%"}
IDENTITIES = 8  # of a machine whose gain grows so
KINDS = (*((k, 1.0) for k in (2, 4, 8, 16)), *((IDENTITIES, power) for power in POWERS if power != 1))

Ratios = tuple[dict[tuple[int, float], tuple[float, ...]], ...]  # prices aside, and net: per kind and seed


@dataclass(frozen=True, slots=True)
class Splitting:
    """One machine as k identities: pay net of join prices, over that of a twin that stays whole.

    Twins have the same skill and the same luck. An identity has 1/k of the gain; where gain does not add up but grows
    as a power p of the work that is put in, k^-p of it.
    """

    name: str = "Sybil split"

    def measure(self, study: Study) -> Finding:
        own = study.params.value_exponent_halves
        plain = {halves: self.ratios(study, halves, study.seeds[:1]) for halves in (2, 3, 4) if halves != own}
        founders, newcomers = self.ratios(study, own, study.seeds, again=True)
        plain[own] = founders, newcomers
        crowd = self.crowding(study)
        top = best_paid(study.params, min(study.trainers, CROWDED)).top
        figures = [
            Figure(
                name=f"{who}: pay of {k} identities over one's{', net' if net else ''}",
                defined=f"{said}, all seats paid, {which}",
                values=found[net][(k, 1.0)],
                at_most=1,
            )
            for who, said, found in (
                ("founders", f"rounds 1-{study.rounds} of the run", founders),
                ("newcomers", f"first {study.rounds} rounds of fresh identities beside incumbents", newcomers),
            )
            for net, which in ((0, "prices aside"), (1, "net of each one's join price"))
            for k, power in KINDS
            if power == 1
        ]
        figures += [
            Figure(
                name=f"crowding the top {top}: pay of {k} identities over one's, net",
                defined=f"{k} identities of the {CROWD_QUANTILE:.0%} quantile's skill, or one {k} times as good",
                values=values,
                at_most=1,
            )
            for k, values in crowd.items()
        ]
        figures += [
            Figure(
                name=f"split in {IDENTITIES}, gain ~ work^{power:.2g} ({said}): pay over one's",
                defined=f"founders, prices aside; 1/{IDENTITIES} of the work has {IDENTITIES}^-{power:.2g} of the gain",
                values=founders[0][(IDENTITIES, power)],
                at_most=1 if power == 1 else None,
            )
            for power, said in POWERS.items()
        ]
        splits = [k for k, power in KINDS if power == 1]
        curves = [
            Curve(
                "split",
                f"value^{halves / 2:g}" + (", ours" if halves == own else ""),
                (1.0, *map(float, splits)),
                (1.0, *(float(np.mean(plain[halves][0][0][(k, 1.0)])) for k in splits)),
            )
            for halves in sorted(plain)
        ]
        return Finding(tuple(figures), tuple(curves))

    def ratios(self, study: Study, halves: int, seeds: Sequence[int], again: bool = False) -> tuple[Ratios, Ratios]:
        """As founders of the run, and when all of them come again as newcomers."""
        machines = max(1, study.trainers // 128)
        params = replace(everyone_paid(study.params, study.trainers), value_exponent_halves=halves)
        found: list[list[tuple[Floats, Floats]]] = [[], []]
        for seed in seeds:
            population = Population(seed=seed)
            skills, fortunes, where = twins(population.skills(len(KINDS) * machines), machines, study.trainers)
            world = study.world(population, [Honest()] * len(skills), params=params, skills=skills, fortunes=fortunes)
            world.play(study.rounds)
            found[0].append(pay_ratios(world, where, 0, founders=True))
            if again:
                for whole, parts in where:
                    for i in (*whole, *parts):
                        world.rejoin(i)
                world.play(study.rounds)
                found[1].append(pay_ratios(world, where, study.rounds, founders=False))
        first, second = (
            tuple({kind: tuple(float(run[net][j]) for run in runs) for j, kind in enumerate(KINDS)} for net in (0, 1))
            for runs in found
        )
        return first, second

    def crowding(self, study: Study) -> dict[int, tuple[float, ...]]:
        count = min(study.trainers, CROWDED)
        params = best_paid(study.params, count)
        splits = [k for k, power in KINDS if power == 1 and 2 * k < count]
        found: dict[int, list[float]] = {k: [] for k in splits}
        for seed in study.seeds:
            for k in splits:
                population = Population(seed=seed)
                skills = population.skills(count)
                # A twentieth apart: equal gains would tie, and a tie is worth less in the rating than any order.
                skills[1 : k + 1] = np.quantile(skills, CROWD_QUANTILE) * np.linspace(0.975, 1.025, k)
                skills[0] = skills[1 : k + 1].sum()
                fortunes = np.arange(count)
                fortunes[: k + 1] = 0
                world = study.world(population, [Honest()] * count, params=params, skills=skills, fortunes=fortunes)
                world.play(study.rounds)
                _, net = pay_ratios(world, [([0], list(range(1, k + 1)))], 0, founders=True)
                found[k].append(float(net[0]))
        return {k: tuple(values) for k, values in found.items()}


def twins(
    base: Floats, machines: int, count: int
) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.int64]], list[tuple[list[int], list[int]]]]:
    """Skills and fortunes of all seats, and per kind (seats of the whole machines, seats of the parts)."""
    skills: list[float] = []
    fortunes: list[int] = []
    where: list[tuple[list[int], list[int]]] = []
    for j, (k, power) in enumerate(KINDS):
        whole: list[int] = []
        parts: list[int] = []
        for machine in range(machines):
            skill = float(base[j * machines + machine])
            group = j * machines + machine
            whole.append(len(skills))
            parts += range(len(skills) + 1, len(skills) + 1 + k)
            skills += [skill, *[skill * k**-power] * k]
            fortunes += [group] * (1 + k)
        where.append((whole, parts))
    single = max(0, count - len(skills))
    fortunes += range(len(KINDS) * machines, len(KINDS) * machines + single)
    return np.array(skills + [1.0] * single), np.array(fortunes, dtype=np.int64), where


def pay_ratios(
    world: World, where: Sequence[tuple[list[int], list[int]]], since: int, *, founders: bool
) -> tuple[Floats, Floats]:
    """Income of the parts over that of the whole: prices aside, and net of each seat's. Founders pay the floor."""
    gross, net = [], []
    for whole, parts in where:
        each = len(parts) // len(whole)
        floor = world.params.join_price_wei
        dear = floor * each if founders else cost_wei(world.params, each)
        paid, twins_paid = world.income(parts, since).sum(), world.income(whole, since).sum()
        gross.append(paid / twins_paid)
        net.append((paid - len(whole) * dear / SHARE_WEI) / (twins_paid - len(whole) * floor / SHARE_WEI))
    return np.array(gross), np.array(net)


@dataclass(frozen=True, slots=True)
class FreeRiding:
    """Who never works, beside who does: income of a run's first rounds, net of the join price."""

    name: str = "free-riding"

    def measure(self, study: Study) -> Finding:
        coast = study.rounds // 2
        kinds: dict[str, Conduct] = {
            "zero updates": Idle(),
            "replayed or copied updates": Replay(),
            "favourite windows": Unproven(0.3),
            "changed old copies": Unproven(1.0),
            "works half the time, then coasts": Coast(coast),
            "works": Honest(),
        }
        each = max(1, study.trainers // 32)
        rows, after, rarely = [], [], []
        for seed in study.seeds:
            world = self.world(study, list(kinds.values()), each, seed)
            rows.append(self.incomes(world, len(kinds), each))
            coasting = list(kinds).index("works half the time, then coasts")
            left = world.income(slice(coasting * each, (coasting + 1) * each), coast).mean(axis=1)
            after.append(float(left.sum() / world.income(slice(len(kinds) * each, None)).mean()))
            few = self.incomes(self.world(study, list(kinds.values()), each, seed, SAMPLED), len(kinds), each)
            names = list(kinds)
            rarely.append(few[names.index("changed old copies")] / few[names.index("works")])
        price = study.params.join_price_wei / SHARE_WEI
        nets = {name: tuple(row[j] - price for row in rows) for j, name in enumerate(kinds)}
        figures = tuple(
            Figure(
                name=f"{name}: net income of {study.rounds} rounds",
                defined=f"mean of {each} founders, minus one join price",
                values=values,
                unit="shares",
                below=0 if name in ("zero updates", "replayed or copied updates") else None,
                at_least=1 if name == "works" else None,
            )
            for name, values in nets.items()
        )
        half = Figure(
            name="what coasting brings, in rounds of honest pay",
            defined=f"income of rounds {coast + 1}-{study.rounds} over an honest trainer's mean round",
            values=tuple(after),
            unit="rounds",
            at_most=5,
        )
        unproven = Figure(
            name="changed old copies: net income over honest",
            defined="gains like an honest one's, signs a coin's: its proof is positive for half of the time",
            values=tuple(a / b for a, b in zip(nets["changed old copies"], nets["works"], strict=True)),
            at_most=1,
        )
        rare = Figure(
            name=f"changed old copies, {SAMPLED} sampled a round: income over honest",
            defined=f"of {study.trainers}: the half-proof that everyone starts with lasts",
            values=tuple(rarely),
        )
        return Finding((*figures, half, unproven, rare))

    def world(self, study: Study, kinds: Sequence[Conduct], each: int, seed: int, sampled: int | None = None) -> World:
        conducts = [conduct for conduct in kinds for _ in range(each)]
        conducts += [Honest()] * (study.trainers - len(conducts))
        params = everyone_paid(study.params, study.trainers)
        return study.world(Population(seed=seed), conducts, params=params, sampled=sampled).play(study.rounds)

    def incomes(self, world: World, kinds: int, each: int) -> list[float]:
        whole = world.income(slice(None)).sum(axis=0)
        return [float(whole[j * each : (j + 1) * each].mean()) for j in range(kinds)]


@dataclass(frozen=True, slots=True)
class Whitewashing:
    """A name that is worth nothing is left for a new one: half a proof, full trust, and a plain mean.

    The worst case is a trainer without work of its own whose updates are as good as honest ones and whose signs are a
    coin. It comes again every so many rounds, or when its proof is refuted.
    """

    name: str = "whitewashing"
    warm: int = 30

    def measure(self, study: Study) -> Finding:
        count = min(study.trainers, 256)
        rounds = max(study.rounds, 48)
        # Conduct, and after how many rounds under a new name: -1 once refuted, 0 never.
        groups: dict[str, tuple[Conduct, int]] = {
            "honest newcomer": (Honest(), 0),
            "zero updates": (Idle(), 0),
            "never leaves": (Unproven(1.0), 0),
            "every 2 rounds": (Unproven(1.0), 2),
            "every 4 rounds": (Unproven(1.0), 4),
            "every 8 rounds": (Unproven(1.0), 8),
            "every 16 rounds": (Unproven(1.0), 16),
            "when refuted": (Unproven(1.0), -1),
            "favourite windows, every 8": (Unproven(0.3), 8),
            "one round's work, three's rest": (Coast(1), 4),
            "banned, serves": (Honest(), 0),
            "banned, comes again": (Honest(), 0),
        }
        size = max(1, count // 32)
        curves: dict[str, list[Floats]] = {name: [] for name in (*groups, "honest")}
        joins: dict[str, list[float]] = {name: [] for name in groups}
        for seed in study.seeds:
            population = Population(seed=seed)
            world = study.world(population, [Honest()] * count, params=everyone_paid(study.params, count))
            world.skills[: size * len(groups)] = 1
            world.play(self.warm)
            seats = {name: range(j * size, (j + 1) * size) for j, name in enumerate(groups)}
            for name, (conduct, _) in groups.items():
                for i in seats[name]:
                    if not name.startswith("banned"):
                        world.rejoin(i)
                        world.conducts[i] = conduct
                    else:
                        world.conducts[i] = Replay()
            world.play(2)
            moves = dict.fromkeys(groups, size)
            for i in (*seats["banned, serves"], *seats["banned, comes again"]):
                world.conducts[i] = Honest()
            for i in seats["banned, comes again"]:
                world.rejoin(i)
            for _ in range(rounds - 2):
                for name, (_, period) in groups.items():
                    for i in seats[name] if period else ():
                        age = world.round - world.joined[i]
                        if age == period or (period < 0 and world.trainers[i].proof_q32 <= 0):
                            world.rejoin(i)
                            moves[name] += 1
                world.play()
            for name in groups:
                curves[name].append(world.income(list(seats[name]), self.warm).mean(axis=1))
                joins[name].append(moves[name] / size)
            curves["honest"].append(world.income(slice(size * len(groups), None), self.warm).mean(axis=1))
        return self.finding(study, rounds, curves, joins)

    def finding(
        self, study: Study, rounds: int, curves: dict[str, list[Floats]], joins: dict[str, list[float]]
    ) -> Finding:
        price = study.params.join_price_wei / SHARE_WEI
        honest = [float(run.sum()) for run in curves["honest"]]
        gross = {name: [float(run.sum()) for run in runs] for name, runs in curves.items()}
        who = {name: name if "," in name or name == "zero updates" else f"copier, {name}" for name in gross}
        cheats = [name for name in gross if name not in ("honest", "honest newcomer") and "banned" not in name]
        seeds = range(len(honest))
        net = {name: [gross[name][s] - joins[name][s] * price for s in seeds] for name in cheats}
        best = [max(net[name][s] for name in cheats) for s in seeds]
        newcomer = [gross["honest newcomer"][s] - price for s in seeds]
        # Leaving again is worth it as long as the price is below what a further name adds.
        never = [gross["never leaves"][s] for s in seeds]
        worth_again = [
            max(
                (gross[name][s] - never[s]) / (joins[name][s] - 1)
                for name in cheats
                if joins[name][s] > 1 and name != "one round's work, three's rest"
            )
            for s in seeds
        ]
        removes = [max(gross[name][s] / joins[name][s] for name in cheats if joins[name][s] > 1) for s in seeds]
        serve = [gross["banned, serves"][s] for s in seeds]
        again = [gross["banned, comes again"][s] for s in seeds]
        figures = [
            Figure(
                name=f"{who[name]}: net income over an honest incumbent's",
                defined=f"{rounds} rounds from joining, minus every join price, over an incumbent's",
                values=tuple(net[name][s] / honest[s] for s in seeds),
                at_most=1,
            )
            for name in cheats
        ]
        figures += [
            Figure(
                name="best of these over an honest newcomer's",
                defined="the best of all these policies, net, over an honest newcomer's net income of the same rounds",
                values=tuple(b / n for b, n in zip(best, newcomer, strict=True)),
                at_most=1,
            ),
            Figure(
                name="least join price at which no such cheat gains by coming again",
                defined="most that a further name adds to what the same cheat earns by staying, per further name",
                values=tuple(worth_again),
                unit="shares",
            ),
            Figure(
                name="least join price at which no such cheat earns anything",
                defined="most that any policy earns per name, honest work excluded",
                values=tuple(removes),
                unit="shares",
            ),
            Figure(
                name="banned, comes again: net income over serving the ban, at the floor price",
                defined=f"two replays, then honest work for {rounds - 2} rounds: net income under a new name over that "
                "after the ban",
                values=tuple((a - price) / s for a, s in zip(again, serve, strict=True)),
            ),
            Figure(
                name="banned, comes again: net income over never banned",
                defined="the same, over an incumbent that kept working",
                values=tuple((a - price) / h for a, h in zip(again, honest, strict=True)),
                at_most=1,
            ),
            Figure(
                name="banned: least join price at which serving pays as much as coming again",
                defined="income under a new name minus that after the ban",
                values=tuple(a - s for a, s in zip(again, serve, strict=True)),
                unit="shares",
                at_most=40,
            ),
            Figure(
                name="stakes locked by coming again every 8 rounds",
                defined="trainer stakes that wait out the exit delay at any time, beside the one in use",
                values=(study.params.exit_s / (8 * round_s(study.params)),),
                unit="stakes",
            ),
        ]
        shown = {
            "honest": "honest",
            "honest newcomer": "honest newcomer",
            "never leaves": "copier",
            "every 8 rounds": "copier, new name every 8",
            "zero updates": "free-rider",
            "banned, serves": "banned, serves",
            "banned, comes again": "banned, new name",
        }
        lines = tuple(
            Curve(
                "pay",
                label,
                tuple(map(float, range(1, rounds + 1))),
                tuple(np.mean(curves[name], axis=0).tolist()),
            )
            for name, label in shown.items()
        )
        return Finding(tuple(figures), lines)
