"""Rounds to settle: by hand, and any that hypothesis comes up with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt

from hypothesis import strategies as st

from gradmint.spec.fixed import bps_down
from gradmint.spec.mechanism import (
    settle,
)
from gradmint.spec.params import MAX_TRAINERS, Params
from gradmint.spec.rating import SIGMA_Q32
from gradmint.spec.types import (
    ONE_Q32,
    Report,
    Role,
    Row,
    Settlement,
    Standing,
    Verdict,
)

from .strategies import reports
from .synthetic import SMALL, account, make_report

FAILED = [verdict for verdict in Verdict if verdict is not Verdict.OK]
FLOOR_Q32 = bps_down(ONE_Q32, SMALL.trust_floor_bps)


def fresh(trainers: int, role: Role = Role.TRAINER) -> list[Standing]:
    return [Standing(account(role, i), role) for i in range(trainers)]


def veteran(index: int, **change: int) -> Standing:
    """Long in the run, with the mean's value and a perfect proof."""
    usual = {"rounds": 100, "value_q32": ONE_Q32, "proof_q32": ONE_Q32}
    return Standing(account(Role.TRAINER, index), Role.TRAINER, **(usual | change))


def settled(
    said: list[Row],
    trainers: list[Standing] | None = None,
    budget_wei: int = 10**21,
    params: Params = SMALL,
    verifiers: int = 3,
    round_: int = 1,
) -> Settlement:
    """A round in which the whole committee, of equal stakes, says ``said``."""
    report = make_report(said)
    return settle(
        params,
        round_,
        budget_wei,
        fresh(len(said)) if trainers is None else trainers,
        fresh(verifiers, Role.VERIFIER),
        [100] * verifiers,
        [report] * verifiers,
    )


def due(standing: Standing) -> int:
    """A pay weight, were the update valid: value^1.5, and the rest as it is."""
    weight = standing.value_q32 * isqrt(standing.value_q32 << 32) >> 32
    weight = weight * max(0, standing.proof_q32) >> 32
    return (weight * standing.trust_q32 >> 32) * standing.reputation_q32 >> 32


def payouts_wei(before: list[Standing], after: tuple[Standing, ...]) -> list[int]:
    return [new.paid_wei - old.paid_wei for old, new in zip(before, after, strict=True)]


def standings(role: Role, index: int, most_value: int) -> st.SearchStrategy[Standing]:
    return st.builds(
        Standing,
        account=st.just(account(role, index)),
        role=st.just(role),
        misses=st.integers(0, 255),
        rounds=st.one_of(st.integers(0, 12), st.just(65_535)),
        ban_round=st.sampled_from([0, 0, 0, 6, 7, 9]),
        paid_wei=st.integers(0, 10**24),
        value_q32=st.one_of(st.integers(0, ONE_Q32), st.integers(0, most_value * ONE_Q32)),
        proof_q32=st.integers(-ONE_Q32, ONE_Q32),
        mu_q32=st.integers(-200 << 32, 200 << 32),
        sigma_q32=st.integers(1, SIGMA_Q32),
        trust_q32=st.integers(FLOOR_Q32, ONE_Q32),
        reputation_q32=st.sampled_from([0, ONE_Q32 // 2, ONE_Q32]),
    )


@dataclass(frozen=True)
class Situation:
    round_: int
    budget_wei: int
    trainers: list[Standing]
    verifiers: list[Standing]
    stakes_wei: list[int]
    reports: list[Report | None]

    def settle(self) -> Settlement:
        return settle(SMALL, self.round_, self.budget_wei, self.trainers, self.verifiers, self.stakes_wei, self.reports)

    @property
    def judged(self) -> list[int]:
        """Who does not sit this round out."""
        return [i for i, standing in enumerate(self.trainers) if standing.ban_round < self.round_]


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Mostly with a quorum: most verifiers' words lie close together, whatever their rows say."""
    trainers, verifiers = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    told: list[Report | None] = []
    for _ in range(verifiers):
        report = draw(reports(1, trainers))
        near = st.sampled_from([0, 1, 3, 0b1111 << 9])
        word = draw(st.one_of(near, near, near, near, st.sampled_from([2**20 - 1, 2**200 - 1])))
        told.append(draw(st.sampled_from([replace(report, words=(word,))] * 7 + [None])))
    return Situation(
        round_=7,
        budget_wei=draw(st.one_of(st.integers(0, 1_000), st.integers(0, 10**24))),
        trainers=[draw(standings(Role.TRAINER, i, MAX_TRAINERS)) for i in range(trainers)],
        verifiers=[draw(standings(Role.VERIFIER, i, 1)) for i in range(verifiers)],
        stakes_wei=draw(st.lists(st.integers(0, 9).map(lambda n: n * 10**18), min_size=verifiers, max_size=verifiers)),
        reports=told,
    )
