"""A run of the STANDARD preset, round by round: what the tests of time constants and of selection count in."""

from __future__ import annotations

from gradmint.spec.mechanism import settle
from gradmint.spec.params import STANDARD, Params
from gradmint.spec.types import ONE_Q32, Report, Role, Row, Standing, Verdict

from .synthetic import account

BUDGET_WEI = 10**21
UNLUCKY = Row(Verdict.OK, -500, -1_000)  # harm on the common batch, and less on one's own shard than that
STALL_Q32 = 11  # 9% of eleven units is no unit: this near to 1 the proof grows no more

Crowd = tuple[Standing, ...]


def play(trainers: Crowd, said: list[Row], params: Params = STANDARD) -> tuple[Crowd, list[float]]:
    """The next round, and each trainer's pay as a multiple of an equal share of the trainers' budget."""
    report = Report(1_000_000, (0,) * params.words, tuple(said))
    verifier = Standing(account(Role.VERIFIER, 0), Role.VERIFIER)
    round_ = 1 + max(standing.rounds for standing in trainers)
    after = settle(params, round_, BUDGET_WEI, trainers, [verifier], [1], [report]).trainers
    equal_wei = BUDGET_WEI * (10_000 - params.verifier_share_bps) // 10_000 / len(trainers)
    return after, [(new.paid_wei - old.paid_wei) / equal_wei for old, new in zip(trainers, after, strict=True)]


def newcomer(index: int) -> Standing:
    return Standing(account(Role.TRAINER, index), Role.TRAINER)


def crowd(count: int) -> Crowd:
    return tuple(newcomer(i) for i in range(count))


def steady(count: int) -> Crowd:
    """``count`` trainers who did a fair share until neither value nor proof changed any more."""
    means = {"value_q32": ONE_Q32, "proof_q32": ONE_Q32 - STALL_Q32}
    return tuple(Standing(account(Role.TRAINER, i), Role.TRAINER, rounds=300, **means) for i in range(count))


def due(standing: Standing) -> float:
    """A pay weight, were the update valid: the value's power, and the rest as it is."""
    power: float = (standing.value_q32 / ONE_Q32) ** 1.5
    return power * max(0, standing.proof_q32) / ONE_Q32 * standing.trust_q32 / ONE_Q32
