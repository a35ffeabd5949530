"""Plackett-Luce rating (Weng and Lin 2011, algorithm 4) in fixed point: who does better than whom, and how surely.

One match a round, everybody against everybody, ranks by gain, ties allowed. With v_i = sigma_i^2 + tau^2 and

    c = sqrt(sum_i (v_i + beta^2))        e_i = exp(mu_i / c)        S_g = sum of e over group g and all behind it

(a group is everyone of one rank, A_g of them; groups run from best to worst), trainer i of group h moves by

    omega_i = 1 / A_h - e_i sum_{g <= h} 1 / S_g         mu_i    += v_i / c omega_i
    delta_i = sum_{g <= h} e_i / S_g (1 - e_i / S_g)     sigma_i  = sqrt(v_i max(kappa, 1 - v_i^(3/2) / c^3 delta_i))

which is what OpenSkill's PlackettLuce computes with its defaults, to 1e-8 (``tests/spec/test_rating.py``). Both sums
are prefix sums, so sorting is the dearest part: O(N log N). contracts/libraries/Rating.sol does the same to the bit.

Units: mu, sigma, c in Q32; variances, omega, delta in Q64; e with 18 decimals, times exp(30) so that nobody's is below
one; 1 / S_g times 2^184.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from .fixed import WAD, exp_wad, sqrt_down

ONE_Q64 = 1 << 64
MU_Q32 = 25 << 32  # OpenSkill's defaults: mu 25, sigma mu / 3, beta sigma / 2, tau mu / 300, kappa 1e-4
SIGMA_Q32 = MU_Q32 // 3
BETA2_Q64 = (SIGMA_Q32 // 2) ** 2
TAU2_Q64 = (MU_Q32 // 300) ** 2
KAPPA_Q64 = ONE_Q64 // 10_000
SPREAD_WAD = 30 * WAD  # who is more than 30 c below the best counts as 30 c below: its chance is 1e-13 either way
INVERSE_BITS = 184

Rating = tuple[int, int]  # mu, sigma in Q32


def rate(ratings: Sequence[Rating], ranks: Sequence[int]) -> list[Rating]:
    """Ratings after one match; a lower rank is better, equal ranks are ties. Bounds: at most 1,024 ratings."""
    if not ratings:
        return []
    variances_q64 = [sigma * sigma + TAU2_Q64 for _, sigma in ratings]
    c_q32 = sqrt_down(sum(variances_q64) + len(ratings) * BETA2_Q64)
    best_q32 = max(mu for mu, _ in ratings)
    strengths = [exp_wad(max(0, SPREAD_WAD - (best_q32 - mu) * WAD // c_q32)) for mu, _ in ratings]

    order = sorted(range(len(ratings)), key=lambda i: ranks[i])
    groups = [tuple(members) for _, members in groupby(order, key=lambda i: ranks[i])]
    behind = sum(strengths)  # S_g
    first = second = 0  # sum of 1 / S_g, and of its square
    after: list[Rating] = list(ratings)
    for group in groups:
        inverse = (1 << INVERSE_BITS) // behind
        first += inverse
        second += inverse * inverse >> 64
        behind -= sum(strengths[i] for i in group)
        for i in group:
            after[i] = _move(ratings[i][0], variances_q64[i], strengths[i], len(group), first, second, c_q32)
    return after


def _move(mu_q32: int, variance_q64: int, strength: int, ties: int, first: int, second: int, c_q32: int) -> Rating:
    chances_q64 = strength * first >> (INVERSE_BITS - 64)  # sum of e_i / S_g
    squares_q64 = (strength * second >> 134) * strength >> (2 * INVERSE_BITS - 64 - 134 - 64)  # sum of its square
    omega_q64 = ONE_Q64 // ties - chances_q64
    delta_q64 = max(0, chances_q64 - squares_q64)

    step_q32 = variance_q64 * abs(omega_q64) // c_q32 >> 64
    shrink_q64 = delta_q64 * variance_q64 * sqrt_down(variance_q64) // c_q32**3
    keep_q64 = max(KAPPA_Q64, ONE_Q64 - shrink_q64)
    sigma_q32 = sqrt_down(variance_q64 * keep_q64) >> 32
    # Nobody is less certain than a newcomer.
    return (mu_q32 + step_q32 if omega_q64 >= 0 else mu_q32 - step_q32), min(sigma_q32, SIGMA_Q32)


def ordinal_q32(rating: Rating) -> int:
    """mu - 3 sigma: what the rating is at least, with 99.7%."""
    return rating[0] - 3 * rating[1]
