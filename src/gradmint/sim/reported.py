"""Figures without a bound, as they were measured: 1,024 trainers, 50 rounds, seeds 0-4, STANDARD.

Least and greatest over the seeds, rounded outward to two figures, three after a leading 1, counts not at all. They are
no claim that the mechanism is good; a change that moves one of them is to be looked at, and the new figure reported
here and in docs/economics.md.
"""

from __future__ import annotations

from collections.abc import Mapping

REPORTED: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "Sybil split": {
        "split in 8, gain ~ work^0.67 (break-even): pay over one's": (0.97, 1.04),
        "split in 8, gain ~ work^0.35 (an eighth keeps 48%): pay over one's": (2.6, 2.8),
        "split in 8, gain ~ work^0.1 (an eighth keeps 81%): pay over one's": (5.7, 6.1),
    },
    "cabal": {
        "49%, one of four honest verifiers away: part of all pay": (1, 1),
        "49%, brazen, in Yuma: part of all pay": (0, 0),
        "49%, discreet, in Yuma: part of all pay": (0.08, 0.087),
    },
    "sortition": {
        "49% of the stake in three seats: chance that they are a quorum by themselves": (0.98, 0.99),
    },
    "free-riding": {
        "favourite windows: net income of 50 rounds": (0.158, 0.54),
        "changed old copies: net income of 50 rounds": (6.9, 8.4),
        "works half the time, then coasts: net income of 50 rounds": (29, 35),
        "changed old copies, 16 sampled a round: income over honest": (0.85, 1),
    },
    "whitewashing": {
        "least join price at which no such cheat gains by coming again": (1.26, 4.3),
        "least join price at which no such cheat earns anything": (3.8, 5),
        "banned, comes again: net income over serving the ban, at the floor price": (2.1, 2.7),
        "stakes locked by coming again every 8 rounds": (2.5, 2.6),
    },
    "weight copying": {
        "last round's gains, in Yuma: dividends over honest": (0.88, 0.89),
    },
    "newcomer": {
        "among 16: rounds until 95% of an equal share": (24, 24),
        "among 64: rounds until 95% of an equal share": (25, 25),
        "among 256: rounds until 95% of an equal share": (25, 25),
        "among 1023: rounds until 95% of an equal share": (25, 25),
    },
    "climb": {
        "top 64 of 256: rounds until the 75% quantile of skill is paid": (151, 151),
        "top 64 of 256: rounds until the 90% quantile of skill is paid": (53, 151),
        "top 64 of 256: rounds until the 97% quantile of skill is paid": (22, 65),
        "top 64 of 256: rounds until the 99% quantile of skill is paid": (22, 34),
        "top 64 of 1024: rounds until the 75% quantile of skill is paid": (151, 151),
        "top 64 of 1024: rounds until the 90% quantile of skill is paid": (151, 151),
        "top 64 of 1024: rounds until the 97% quantile of skill is paid": (111, 151),
        "top 64 of 1024: rounds until the 99% quantile of skill is paid": (77, 105),
    },
    "rating and inequality": {
        "rank correlation of rating and skill after 1 rounds": (0.77, 0.8),
        "rank correlation of rating and skill after 5 rounds": (0.91, 0.94),
        "rank correlation of rating and skill after 25 rounds": (0.96, 0.97),
        "rank correlation of value and skill after 1 rounds": (0.81, 0.85),
        "rank correlation of value and skill after 5 rounds": (0.94, 0.96),
        "rank correlation of value and skill after 10 rounds": (0.96, 0.98),
        "rank correlation of value and skill after 25 rounds": (0.95, 0.96),
        "rank correlation of value and skill after 50 rounds": (0.9, 0.93),
        "inequality: skill": (0.137, 0.144),
        "inequality: pay, value^1": (0.141, 0.147),
        "inequality: pay, value^2": (0.27, 0.29),
        "inequality: pay, top 64 only": (0.93, 0.95),
    },
    "join price": {
        "all 1020 free seats at once": (23, 24),
        "all 1020 free seats, evenly over a month": (1, 1),
        "joins per round at the floor price, for good": (2.5, 2.5),
        "seats of a full run that idle newcomers can hold": (25, 25),
    },
}
