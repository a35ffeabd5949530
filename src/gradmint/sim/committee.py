"""Verifiers who want more than assessing is worth: a cabal that pays its own, and copiers of others' reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..spec.params import ETHER_WEI
from ..spec.types import BPS, Report
from .conduct import Assess, Conduct, CopyAll, CopyGains, CopyMean, Favour, Honest, Idle, Verifying
from .population import Floats, Population
from .study import Curve, Figure, Finding, Study, everyone_paid
from .world import World
from .yuma import Yuma

STAKE_WEI = 100 * ETHER_WEI
HONEST, CABAL = 4, 3  # verifiers
MEMORY_BPS = 1_000  # Yuma's alpha: bonds that remember ten rounds
NO_MEMORY_BPS = BPS


@dataclass(frozen=True, slots=True)
class Plot:
    """One way to be a cabal."""

    label: str
    stake: float  # of the committee's
    bonds_weight_bps: int = NO_MEMORY_BPS
    discreet: bool = False
    truthful: bool = False
    strange: bool = False
    silent: float = 0.0  # chance that an honest verifier misses a round
    away: int = 0  # honest verifiers that miss all
    below: float | None = 0.15

    @property
    def said(self) -> str:
        if self.truthful:
            return "it says what is so, and its trainers do nothing: its verifiers' honest wages"
        if self.discreet:
            return "its own are twice as good as the best, the others what they are"
        return "its own are twice as good as the best, the others worth nothing"


PLOTS = (
    Plot("33%, brazen", 0.33),
    Plot("40%, brazen", 0.40),
    Plot("49%, brazen", 0.49),
    Plot("49%, brazen, bonds remember", 0.49, bonds_weight_bps=MEMORY_BPS),
    Plot("49%, discreet", 0.49, discreet=True),
    Plot("49%, truthful", 0.49, truthful=True),
    Plot("33%, one of four honest verifiers away", 0.33, away=1),
    Plot("49%, each honest one silent in each fortieth round", 0.49, silent=0.025),
    Plot("49%, one of four honest verifiers away", 0.49, away=1, below=None),
)

SHOWN = ("40%, brazen", "49%, brazen", "49%, discreet", "49%, truthful", PLOTS[-2].label, PLOTS[-1].label)
YUMA = ("49%, brazen", "49%, discreet")


@dataclass(frozen=True, slots=True)
class Cabal:
    """Part of the stake, and as large a part of the trainers, who do nothing and are called the best there are."""

    name: str = "cabal"
    rounds: int = 25

    def measure(self, study: Study) -> Finding:
        study = replace(study, trainers=min(study.trainers, 256))  # parts of all pay do not depend on how many they are
        shares: dict[str, list[Floats]] = {plot.label: [] for plot in PLOTS}
        yuma: dict[str, list[Floats]] = {label: [] for label in YUMA}
        void = []
        for seed in study.seeds:
            for plot in PLOTS:
                world = self.world(study, plot, seed)
                shares[plot.label].append(self.share(world.play(self.rounds), plot))
            for label, runs in yuma.items():
                runs.append(self.yuma(study, next(plot for plot in PLOTS if plot.label == label), seed))
            world = self.world(study, Plot("own words", 0.34, strange=True), seed)
            void.append(float(world.play(self.rounds).void))
        figures = [
            Figure(
                name=f"{plot.label}: part of all pay",
                defined=f"trainers' and verifiers' pay of the cabal over everyone's, rounds 1-{self.rounds}; "
                + plot.said,
                values=tuple(float(run[-1]) for run in shares[plot.label]),
                below=plot.below,
            )
            for plot in PLOTS
        ]
        figures += [
            Figure(
                name=f"{label}, in Yuma: part of all pay",
                defined="the same reports as weights of Yuma v2 (kappa 1/2, beta 1, alpha 0.1), 41:41 to both sides",
                values=tuple(float(run[-1]) for run in runs),
            )
            for label, runs in yuma.items()
        ]
        figures += [
            Figure(
                name="34% with words of their own: void rounds",
                defined=f"of {self.rounds}: no quorum, nobody is paid, nobody is slashed; an attack on liveness",
                values=tuple(void),
                unit="rounds",
                at_least=self.rounds,
            ),
        ]
        curves = [self.curve(label, runs) for label, runs in shares.items() if label in SHOWN]
        curves += [self.curve(f"{label}, in Yuma", runs) for label, runs in yuma.items()]
        return Finding(tuple(figures), tuple(curves))

    def world(self, study: Study, plot: Plot, seed: int) -> World:
        friends = int(study.trainers * plot.stake)
        conducts: list[Conduct] = [Idle()] * friends + [Honest()] * (study.trainers - friends)
        params = replace(everyone_paid(study.params, study.trainers), bonds_weight_bps=plot.bonds_weight_bps)
        cabal: Verifying = Assess() if plot.truthful else Favour(friends, discreet=plot.discreet, strange=plot.strange)
        whole = (HONEST + CABAL) * STAKE_WEI
        stakes = [int(whole * (1 - plot.stake)) // HONEST] * HONEST + [int(whole * plot.stake) // CABAL] * CABAL
        who: list[Verifying] = [Assess(silent=1.0 if v < plot.away else plot.silent) for v in range(HONEST)]
        who += [cabal] * CABAL
        return study.world(
            Population(seed=seed), conducts, params=params, committee=tuple(zip(who, stakes, strict=True))
        )

    def share(self, world: World, plot: Plot) -> Floats:
        """The cabal's part of everything paid so far, by round."""
        friends = int(len(world.trainers) * plot.stake)
        trainers, verifiers = np.stack(world.pay), np.stack(world.dividends)
        own = trainers[:, :friends].sum(axis=1) + verifiers[:, HONEST:].sum(axis=1)
        all_ = trainers.sum(axis=1) + verifiers.sum(axis=1)
        return np.asarray(np.cumsum(own) / np.maximum(np.cumsum(all_), 1e-12))

    def yuma(self, study: Study, plot: Plot, seed: int) -> Floats:
        """The same, were Yuma to settle."""
        world = self.world(study, plot, seed)
        friends = int(study.trainers * plot.stake)
        stakes = np.array(world.stakes_wei, dtype=np.float64)
        peer = Yuma(stakes / stakes.sum())
        parts = []
        for _ in range(self.rounds):
            world.round += 1
            given = np.array([gains(report) for report in world.reveal(world.truth()) if report is not None])
            incentives, dividends = peer.epoch(given)
            parts.append((incentives[:friends].sum() + dividends[HONEST:].sum()) / 2)
        return np.asarray(np.cumsum(parts) / np.arange(1, self.rounds + 1))

    def curve(self, label: str, runs: Sequence[Floats]) -> Curve:
        return Curve(
            "cabal", label, tuple(map(float, range(1, self.rounds + 1))), tuple(np.mean(runs, axis=0).tolist())
        )


def gains(report: Report) -> list[float]:
    return [float(row.gain_micronats) for row in report.rows]


@dataclass(frozen=True, slots=True)
class WeightCopying:
    """Reports that others' work went into: dividends over those of an honest verifier of equal stake."""

    name: str = "weight copying"

    def measure(self, study: Study) -> Finding:
        kinds: dict[str, Verifying] = {
            "last round's report and words": CopyAll(),
            "last round's gains, own words": CopyGains(),
            "earlier rounds' mean gains, own words": CopyMean(),
        }
        honest = 6
        count = min(study.trainers, 256)
        figures = []
        for name, bps in (("no memory", NO_MEMORY_BPS), ("bonds remember", MEMORY_BPS)):
            found: dict[str, list[float]] = {kind: [] for kind in kinds}
            slashed = []
            agreed = []
            in_yuma = []
            for seed in study.seeds:
                committee = [(who, STAKE_WEI) for who in (*[Assess()] * honest, *kinds.values())]
                params = replace(everyone_paid(study.params, count), bonds_weight_bps=bps)
                world = study.world(
                    Population(seed=seed), [Honest()] * count, params=params, committee=tuple(committee)
                )
                peer, theirs = Yuma(np.full(len(committee), 1 / len(committee))), np.zeros(len(committee))
                for _ in range(study.rounds):
                    world.play()
                    _, dividends = peer.epoch(np.array([gains(r) for r in world.reports if r is not None]))
                    theirs += dividends
                paid = np.stack(world.dividends).sum(axis=0)
                in_yuma.append(float(theirs[honest + 1] / theirs[:honest].mean()))
                for j, kind in enumerate(kinds):
                    found[kind].append(float(paid[honest + j] / paid[:honest].mean()))
                slashed.append(1 - world.staked_wei[honest] / STAKE_WEI)
                agreed.append(float(np.mean([v.value_q32 for v in world.verifiers[:honest]])) / 2**32)
            figures += [
                Figure(
                    name=f"{kind}, {name}: dividends over honest",
                    defined=f"of {study.rounds} rounds, equal stake, one of each beside {honest} honest verifiers, "
                    f"bonds_weight_bps {bps}",
                    values=tuple(values),
                    below=1,
                )
                for kind, values in found.items()
            ]
            figures += [
                Figure(
                    name=f"honest verifiers' bond, {name}",
                    defined="agreement with the consensus at 1% noise per gain, at the end",
                    values=tuple(agreed),
                    at_least=0.95,
                )
            ]
        figures.append(
            Figure(
                name="last round's gains, in Yuma: dividends over honest",
                defined="the same reports as weights of Yuma v2",
                values=tuple(in_yuma),
            )
        )
        figures.append(
            Figure(
                name="last round's report and words: stake slashed",
                defined="part of the stake, until less than half is left and the seat is lost",
                values=tuple(slashed),
                at_least=0.5,
            )
        )
        return Finding(tuple(figures))
