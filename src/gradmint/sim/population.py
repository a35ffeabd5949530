"""What honest trainers' updates turn out to be worth, round by round.

The figures are of a run of our own: a byte model of 254k parameters, five honest trainers of eight, 40 rounds.
Draws are counter-based: any of them depends on seed, purpose and number alone, never on what was drawn before.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """Honest trainers. An update's gain is its part of the round's improvement x skill x luck."""

    seed: int = 0
    skill_spread: float = 0.25  # standard deviation of the skills' logarithms: hardware differs more than craft
    noise: float = 0.15  # standard deviation of one gain, relative, at first
    late_noise: float = 0.4  # and from round `late` on: five equals' mean shares, weight 0.3, range over 0.17-0.23
    late: int = 40
    sign_right: float = 0.975  # chance of assigned > common: 38-40 of 40
    improvement_micronats: int = 100_000  # of the first round, all updates together: the byte model's 0.1 nat
    late_improvement_micronats: int = 10_000
    fade: float = 0.95  # a round's improvement of the one before

    def draw(self, purpose: str, number: int = 0) -> np.random.Generator:
        """The generator of one purpose and number, Philox keyed by their hash."""
        digest = hashlib.sha256(f"{self.seed}/{purpose}/{number}".encode()).digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))

    def skills(self, count: int) -> Floats:
        """Log-normal around 1."""
        drawn: Floats = np.exp(self.skill_spread * self.draw("skill").standard_normal(count))
        return drawn

    def gains(self, round_: int, skills: Floats, fortunes: NDArray[np.int64]) -> Floats:
        """Common gains in micro-nats, before rounding. ``fortunes[i]``: whose luck is trainer i's; usually its own."""
        noise = self.noise + (self.late_noise - self.noise) * min(1.0, round_ / self.late)
        luck = 1 + noise * self.draw("luck", round_).standard_normal(int(fortunes.max()) + 1)
        improvement = max(self.late_improvement_micronats, self.improvement_micronats * self.fade ** (round_ - 1))
        return improvement / len(skills) * skills * luck[fortunes]


#: Everybody alike, no luck, every sign right: what the mechanism does by itself.
EQUALS = Population(skill_spread=0, noise=0, late_noise=0, sign_right=1)
