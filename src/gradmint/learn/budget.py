"""Which cheap values are checked exactly, and how long: votes go where they most raise the chance of a right verdict.

The cheap value of an update is a gradient's inner product with it; the exact one is a difference of losses, two forward
passes. An exact check is cut into votes, one for each part of the common batch: what the loss difference on the part is
more than the part's own cheap value. That discrepancy has none of the sampling noise that gains on so few samples have,
so where the cheap value is sound one vote says so.

The verdict is the exact gain's sign in micro-nats, 0 below half of one, and the full check's verdict is the right one.
For each update two beliefs are held about the discrepancy over the whole batch: the value is sound, or it is not, which
earlier rounds' disagreement makes more or less likely. The next vote goes to the update whose verdict it makes right by
the most in expectation, as PETS gives samples to questions; nobody votes once that is below ``LEAST_GAIN``.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

from ..spec.seeds import draw_distinct
from ..spec.types import Row

VOTES = 8  # parts of the common batch: votes of a full check
#: In the chance of a right verdict, a vote: nobody is left with more than 0.8% that the rest of a full check would cure.
LEAST_GAIN = 0.001
LEAST_NATS = 0.5e-6  # a gain that rounds to 0 micro-nats has no sign
SOUND_PART = 0.02  # of the cheap value: honest updates of both tasks show 0.0002 in the middle and 0.025 at most
SOUND_NATS = 5e-8  # float32 in a mean loss: updates worth nothing show 2e-8 at most
PRIOR_ROUNDS, PRIOR_DOUBTS = 50, 1  # as if one reported row in 50 had differed before anybody was seen
NODES = tuple(NormalDist().inv_cdf((i + 0.5) / 9) for i in range(9))


@dataclass(frozen=True, slots=True)
class _Belief:
    """The full discrepancy is normal about 0 with this deviation; votes are about it with ``spread``."""

    weight: float
    deviation: float
    spread: float


@dataclass(slots=True)
class _Check:
    """One update's votes and what is to be expected of more."""

    cheap: float  # nats
    beliefs: tuple[_Belief, _Belief]
    parts: int
    votes: list[float] = field(default_factory=list)
    gain: float = 0.0  # of one more vote, in the chance of a right verdict

    @property
    def exact(self) -> float:
        """The exact gain as far as it is known, nats."""
        return self.cheap + (statistics.fmean(self.votes) if self.votes else 0.0)

    def certainty(self, votes: Sequence[float]) -> float:
        """The chance that the verdict is the full check's, after these votes."""
        if len(votes) == self.parts:
            return 1.0
        shares, means, deviations = self._posterior(votes)
        below = above = 0.0
        for share, mean, deviation in zip(shares, means, deviations, strict=True):
            below += share * _phi((-LEAST_NATS - self.cheap - mean) / deviation)
            above += share * _phi((self.cheap + mean - LEAST_NATS) / deviation)
        return max(below, above, 1 - below - above)

    def expected_gain(self) -> float:
        """What the next vote adds to the certainty: itself, or as its part of all that are left.

        Alone, a vote that cannot turn the verdict is worth nothing, however doubtful the verdict is.
        """
        left = self.parts - len(self.votes)
        if not left or not math.isfinite(self.exact):
            return 0.0
        now = self.certainty(self.votes)
        shares, means, deviations = self._posterior(self.votes)
        after = 0.0
        for belief, share, mean, deviation in zip(self.beliefs, shares, means, deviations, strict=True):
            reach = math.hypot(deviation, belief.spread)
            if share > 1e-6:
                after += share * statistics.fmean(self.certainty([*self.votes, mean + reach * x]) for x in NODES)
            else:
                after += share * now
        return max(after - now, (1 - now) / left)

    def _posterior(self, votes: Sequence[float]) -> tuple[list[float], list[float], list[float]]:
        """Each belief's share, and its mean and deviation of the full discrepancy."""
        count = len(votes)
        if not count:
            return [b.weight for b in self.beliefs], [0.0, 0.0], [b.deviation for b in self.beliefs]
        average = statistics.fmean(votes)
        scatter = sum((vote - average) ** 2 for vote in votes)
        logs, means, deviations = [], [], []
        for belief in self.beliefs:
            prior, noise = belief.deviation**2, belief.spread**2
            seen = prior + noise / count
            logs.append(
                math.log(belief.weight)
                - (math.log(seen) + average**2 / seen + (count - 1) * math.log(noise) + scatter / noise) / 2
            )
            noise = (2 * noise + scatter) / (1 + count) / count * (self.parts - count) / (self.parts - 1)
            means.append(average * prior / (prior + noise))
            deviations.append(math.sqrt(prior * noise / (prior + noise)))
        weights = [math.exp(log - max(logs)) for log in logs]
        return [weight / sum(weights) for weight in weights], means, deviations


class Budget:
    """Says whose vote is next; is told each; knows the verdicts. Depends on nothing but its arguments and the votes.

    ``cheap``: gains in nats by trainer; those that are no numbers are left alone. ``doubts``: by trainer, in (0, 1), as
    of :func:`doubts`; the prior for whoever is not in it. ``parts``: votes of a full check, at least 2. ``cap``: votes
    in all. ``seed`` decides between equals.
    """

    def __init__(self, cheap: Mapping[int, float], doubts: Mapping[int, float], parts: int, cap: int, seed: bytes):
        finite = sorted(trainer for trainer, gain in cheap.items() if math.isfinite(gain))
        usual = statistics.median(abs(cheap[trainer]) for trainer in finite) if finite else 0.0
        self.left = cap
        self._checks: dict[int, _Check] = {}
        for place in draw_distinct(seed, len(finite), max(1, len(finite))):
            trainer = finite[place]
            sound = SOUND_PART * abs(cheap[trainer]) + SOUND_NATS
            astray = 2 * abs(cheap[trainer]) + usual + SOUND_NATS
            doubt = doubts.get(trainer, PRIOR_DOUBTS / PRIOR_ROUNDS)
            beliefs = (_Belief(1 - doubt, sound, sound), _Belief(doubt, astray, astray))
            check = _Check(cheap[trainer], beliefs, parts)
            check.gain = check.expected_gain()
            self._checks[trainer] = check

    def next(self) -> tuple[int, int] | None:
        """Trainer and part of the vote worth most; None when it is worth less than LEAST_GAIN or the cap is reached."""
        if not self.left or not self._checks:
            return None
        trainer = max(self._checks, key=lambda each: self._checks[each].gain)
        check = self._checks[trainer]
        return None if check.gain < LEAST_GAIN else (trainer, len(check.votes))

    def record(self, trainer: int, discrepancy: float) -> None:
        """One vote: the exact gain on its part less the cheap one on the same part, nats. No number ends the check."""
        check = self._checks[trainer]
        check.votes.append(discrepancy)
        check.gain = check.expected_gain()
        self.left -= 1

    def exact(self, trainer: int) -> float:
        """The exact gain in nats, as far as it is known: the cheap one and the mean of the votes."""
        return self._checks[trainer].exact

    def votes(self) -> dict[int, int]:
        """Number of votes of everyone who had one, in trainers' order."""
        return {trainer: len(check.votes) for trainer, check in sorted(self._checks.items()) if check.votes}


def sign(nats: float) -> int:
    """-1, 0 or 1: of the gain in whole micro-nats. 0 when it is no number."""
    return (nats >= LEAST_NATS) - (nats <= -LEAST_NATS)


def doubts(rounds: Iterable[tuple[Sequence[Row], Iterable[Sequence[Row]]]]) -> dict[int, float]:
    """How likely each trainer's cheap value is wrong: the rows in which a verifier named another verdict, or a gain of
    another sign, than the consensus, as a part of all, beside a prior of one in 50.

    ``rounds``: the consensus's rows of each earlier round and those of the reports in it.
    """
    same: dict[int, int] = {}
    other: dict[int, int] = {}
    for agreed, reports in rounds:
        for rows in reports:
            for trainer, (mine, theirs) in enumerate(zip(rows, agreed, strict=True)):
                counted = same if _opinion(mine) == _opinion(theirs) else other
                counted[trainer] = counted.get(trainer, 0) + 1
    return {
        trainer: (PRIOR_DOUBTS + other.get(trainer, 0)) / (PRIOR_ROUNDS + same.get(trainer, 0) + other.get(trainer, 0))
        for trainer in same | other
    }


def _opinion(row: Row) -> tuple[int, bool]:
    return row.verdict, row.common_gain_micronats > 0


def _phi(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))
