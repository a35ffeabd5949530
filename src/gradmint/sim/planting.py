"""Planted updates in expectation: from which chance on calling headers right without looking loses money.

With p the plants that a round is expected to have, by any of its trainers as likely, q the chance that the beacon asks
for one trainer's header, s the part of the stake S that an exposure takes, and c what recomputing the headers that are
asked for costs a verifier in a round:

    not looking saves c and loses p q s S a round, so it loses money if and only if p > c / (q s S)
"""

from __future__ import annotations

from dataclasses import dataclass

from ..spec.docket import split_bond
from ..spec.params import Params
from ..spec.types import BPS, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Planting:
    """A run of so many trainers in which a verifier stakes ``stake_wei``."""

    params: Params
    trainers: int
    stake_wei: int

    @property
    def asked(self) -> float:
        """q: the chance that a trainer's header is to be checked."""
        return min(1.0, self.params.assigned_trainers / self.trainers)

    @property
    def slash_wei(self) -> float:
        """s S: what being exposed costs."""
        return self.stake_wei * self.params.slash_bps / BPS

    def least_chance(self, cost_wei: float) -> float:
        """The p above which not looking loses money; infinite where no plant is ever asked for or slashed."""
        at_stake = self.asked * self.slash_wei
        return cost_wei / at_stake if at_stake else float("inf")

    def most_cost_wei(self, chance: float) -> float:
        """The c below which plants of this chance keep a verifier looking."""
        return chance * self.asked * self.slash_wei

    def idle_gain_wei(self, cost_wei: float, chance: float) -> float:
        """What a verifier that does not look has of it in a round, in expectation."""
        return cost_wei - self.most_cost_wei(chance)

    @property
    def plant_costs_pays(self) -> float:
        """What a plant that the committee finds costs its trainer, in rounds' pays: that round's, and the trust that it
        takes to come back."""
        kept = self.params.penalty_bps[Verdict.UNPROVEN] / BPS
        regained = self.params.recovery_bps / BPS
        return 1 + (1 - kept) * (1 - regained) / regained

    def planters_gain_wei(self, guilty: float, pay_wei: float, found: bool = True) -> float:
        """What a planter has of one plant whose header is asked for, when so many verifiers do not look; ``found``: the
        others are more than they, so that its update is UNPROVEN."""
        reward_wei, _, _ = split_bond(int(self.slash_wei), self.params.challenger_bps, self.params.burn_bps)
        return guilty * reward_wei - (self.plant_costs_pays * pay_wei if found else 0)

    def guilty_that_pay(self, pay_wei: float) -> float:
        """So many verifiers who do not look pay for a plant that the others find."""
        reward_wei, _, _ = split_bond(int(self.slash_wei), self.params.challenger_bps, self.params.burn_bps)
        return self.plant_costs_pays * pay_wei / reward_wei if reward_wei else float("inf")

    def own_exposure_costs_wei(self) -> float:
        """What planter and verifier together lose when they are one: nothing is shielded by exposing oneself."""
        reward_wei, _, _ = split_bond(int(self.slash_wei), self.params.challenger_bps, self.params.burn_bps)
        return self.slash_wei - reward_wei
