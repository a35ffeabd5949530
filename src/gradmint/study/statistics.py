"""Error rates with their uncertainty: exact intervals, the tail of honest distances, ROC."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
Z_ONE_SIDED = 1.6448536269514722  # normal quantile at CONFIDENCE
NO_SPREAD = 1e-7  # below this lgamma of 1 / rho loses what the spread adds


def clopper_pearson(hits: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact two-sided interval of a proportion (Clopper and Pearson, 1934); (0, 1) without trials."""
    if not trials:
        return 0.0, 1.0
    miss = (1 - confidence) / 2
    # Where nothing or everything was hit one side is certain, and the whole error is the other's.
    one_sided = 1 - confidence if hits in (0, trials) else miss
    low = 0.0 if hits == 0 else 1 - _upper(trials - hits, trials, one_sided)
    high = 1.0 if hits == trials else _upper(hits, trials, one_sided)
    return low, high


def _upper(hits: int, trials: int, miss: float) -> float:
    """The p at which as few as ``hits`` of ``trials`` have probability ``miss``."""
    low, high = 0.0, 1.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        if binomial_cdf(hits, trials, middle) > miss:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def binomial_cdf(hits: int, trials: int, p: float) -> float:
    """P(X <= hits) of a binomial, 0 < p < 1."""
    return math.fsum(math.exp(_log_binomial(k, trials, p)) for k in range(hits + 1))


def _log_binomial(k: int, n: int, p: float) -> float:
    return _log_choose(n, k) + k * math.log(p) + (n - k) * math.log1p(-p)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def beyond_all(greatest: float, count: int, rate: float) -> float:
    """What a further observation exceeds with probability ``rate`` at most, of which the ``count`` independent ones so
    far have ``greatest`` as their greatest: an upper 95% limit that asks no distribution's name.

    The greatest itself is exceeded with probability q = 1 - 0.05^(1/count) at most (Wilks, 1941: 2,995 of them for a
    thousandth). Where the hazard does not fall with the distance, as a normal's does not, P(X > k x) <= P(X > x)^k
    (Barlow and Proschan, 1975, IFRA), so that log(rate) / log(q) times the greatest does for rarer ones.
    """
    q = 1 - (1 - CONFIDENCE) ** (1 / count)
    return greatest * max(1.0, math.log(rate) / math.log(q))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Beta-binomial distribution of a distance in bits: each bit differs with probability ``p``, and ``rho`` is how
    alike the bits of one comparison are; 0 is the binomial."""

    bits: int
    p: float
    rho: float

    @classmethod
    def fit(cls, distances: Sequence[int], bits: int, count: int) -> Tail:
        """By moments, each at its one-sided 95% upper limit for ``count`` independent observations (which may be fewer
        than the distances), so that few of them give wide tails.

        No differing bit at all is taken as three of all the bits observed (the rule of three).
        """
        mean = sum(distances) / len(distances)
        variance = sum((d - mean) ** 2 for d in distances) / max(1, len(distances) - 1)
        upper = mean + Z_ONE_SIDED * math.sqrt(variance / count)
        p = min(0.5, max(upper, 3 / count) / bits)
        if count < 2:
            return cls(bits=bits, p=p, rho=0.0)
        spread = variance * (count - 1) / _chi_square_low(count - 1)
        excess = spread / (bits * p * (1 - p)) - 1
        return cls(bits=bits, p=p, rho=min(0.5, max(0.0, excess / (bits - 1))))

    def beyond(self, distance: int) -> float:
        """P(X > distance)."""
        return math.fsum(math.exp(self._log(k)) for k in range(self.bits, distance, -1))

    def quantile(self, rate: float) -> int:
        """The least distance that is exceeded with probability ``rate`` at most."""
        total = 0.0
        for k in range(self.bits, 0, -1):
            total += math.exp(self._log(k))
            if total > rate:
                return k
        return 0

    def _log(self, k: int) -> float:
        if self.rho < NO_SPREAD:
            return _log_binomial(k, self.bits, self.p)
        size = 1 / self.rho - 1
        a, b = self.p * size, (1 - self.p) * size
        return _log_choose(self.bits, k) + _log_beta(k + a, self.bits - k + b) - _log_beta(a, b)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _chi_square_low(freedom: int) -> float:
    """Lower 5% quantile of chi-square (Wilson and Hilferty, 1931)."""
    part = 2 / (9 * freedom)
    return float(freedom * (1 - part - Z_ONE_SIDED * math.sqrt(part)) ** 3)


def area_under_roc(honest: Sequence[int], cheating: Sequence[int]) -> float:
    """Probability that a cheat's distance exceeds an honest one, ties half (Mann and Whitney, 1947)."""
    ordered = sorted(honest)
    wins = sum(bisect_left(ordered, d) + bisect_right(ordered, d) for d in cheating)
    return wins / (2 * len(ordered) * len(cheating))


def roc(honest: Sequence[int], cheating: Sequence[int]) -> list[tuple[float, float]]:
    """(false alarms, detections) as parts, at every threshold from the greatest distance down to below zero."""
    honest_sorted, cheating_sorted = sorted(honest), sorted(cheating)

    def above(ordered: list[int], threshold: int) -> float:
        return 1 - bisect_right(ordered, threshold) / len(ordered)

    thresholds = sorted({*honest, *cheating, -1}, reverse=True)
    return [(above(honest_sorted, t), above(cheating_sorted, t)) for t in thresholds]
