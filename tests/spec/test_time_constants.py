"""Time constants matter to people: how the integer mechanism treats a newcomer, a leaver and an unlucky one.

Everything here runs the STANDARD preset; the figures are the mechanism's own, measured to the digits shown.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest

from gradmint.spec.mechanism import settle
from gradmint.spec.params import STANDARD
from gradmint.spec.types import ABSENT_ROW, ONE_Q32, UNSAMPLED, Report, Role, Row, Standing, Verdict

from .synthetic import FAIR, account

BUDGET_WEI = 10**21
UNLUCKY = Row(Verdict.OK, -500, -1_000)  # harm on the common batch, and less on one's own shard than that
COASTING = Row(Verdict.OK, 0, 0)  # a zero update: valid, worth nothing
MEASURED = 0.001  # relative

Crowd = tuple[Standing, ...]


def play(trainers: Crowd, said: list[Row]) -> tuple[Crowd, list[float]]:
    """One round, and each trainer's pay as a multiple of an equal share of the trainers' budget."""
    report = Report(1_000_000, (0,) * STANDARD.words, tuple(said))
    after = settle(
        STANDARD, BUDGET_WEI, trainers, [Standing(account(Role.VERIFIER, 0), Role.VERIFIER)], [1], [report]
    ).trainers
    equal_wei = BUDGET_WEI * (10_000 - STANDARD.verifier_share_bps) // 10_000 / len(trainers)
    return after, [(new.paid_wei - old.paid_wei) / equal_wei for old, new in zip(trainers, after, strict=True)]


def crowd(count: int, rounds: int = 0) -> Crowd:
    return tuple(Standing(account(Role.TRAINER, i), Role.TRAINER, rounds=rounds) for i in range(count))


@cache
def steady(count: int) -> Crowd:
    """``count`` trainers who did a fair share until nothing changed any more."""
    trainers = crowd(count)
    for _ in range(150):
        trainers, paid = play(trainers, [FAIR] * count)
    assert paid == pytest.approx([1.0] * count)
    return trainers


# A newcomer


def newcomer(incumbents: int, rounds: int) -> list[tuple[float, float]]:
    """Its pay, round by round: as a part of an incumbent's, and of an equal share."""
    trainers = (*steady(incumbents), Standing(account(Role.TRAINER, incumbents), Role.TRAINER))
    paid = []
    for _ in range(rounds):
        trainers, shares = play(trainers, [FAIR] * len(trainers))
        paid.append((shares[-1] / shares[0], shares[-1]))
    return paid


@pytest.mark.parametrize(
    ("incumbents", "of_incumbent", "of_equal"),
    [(1, 0.7041, 0.8263), (2, 0.7672, 0.8317), (4, 0.8031, 0.8361), (16, 0.8324, 0.8407), (64, 0.8401, 0.8422)],
)
def test_newcomers_tenth_round(incumbents: int, of_incumbent: float, of_equal: float) -> None:
    """At least four fifths of an equal share, whoever else is there; of an incumbent's pay from four incumbents on.

    Beside fewer than four, the incumbents' own means still remember the time when there were fewer to share with.
    """
    tenth = newcomer(incumbents, 10)[-1]
    assert tenth == pytest.approx((of_incumbent, of_equal), rel=MEASURED)
    assert tenth[1] >= 0.8
    assert tenth[0] >= 0.8 or incumbents < STANDARD.min_trainers


@pytest.mark.parametrize("incumbents", [1, 4, 16])
def test_newcomer_is_paid_at_once_more_each_round_and_all_of_it_in_the_end(incumbents: int) -> None:
    paid = newcomer(incumbents, 40)
    assert paid[0][0] > 0.13
    assert all(earlier < later <= (1.0, 1.0) for earlier, later in pairwise(paid))
    assert next(r for r, (_, equal) in enumerate(paid, start=1) if equal >= 0.8) == 9
    assert next(r for r, (part, _) in enumerate(paid, start=1) if part >= 0.95) <= 24


def test_many_newcomers_start_together_without_waiting() -> None:
    """Round 1 of a run: all are new, so all are paid equally and in full."""
    _, shares = play(crowd(5), [FAIR] * 5)
    assert shares == pytest.approx([1.0] * 5)


def sampled_newcomer(period: int, trainers: int) -> float:
    """Pay of a newcomer's tenth round as a part of an incumbent's, when each is sampled once in ``period`` rounds."""
    seated = (*steady(trainers - 1), Standing(account(Role.TRAINER, trainers - 1), Role.TRAINER))
    for round_ in range(10):
        said = [FAIR if (round_ - i) % period == 0 else Row(Verdict.OK, 1_000, UNSAMPLED) for i in range(trainers)]
        seated, shares = play(seated, said)
    return shares[-1] / shares[0]


def test_sampling_everyone_every_round_is_what_the_other_figures_assume() -> None:
    assert sampled_newcomer(1, 17) == pytest.approx(newcomer(16, 10)[-1][0])


@pytest.mark.parametrize(("period", "trainers", "of_incumbent"), [(2, 32, 0.5836), (4, 64, 0.2667), (16, 256, 0.0)])
def test_sampling_a_few_keeps_newcomers_waiting(period: int, trainers: int, of_incumbent: float) -> None:
    """The manifests' 16 sampled trainers a round: beyond 16 trainers nobody is paid a fair share by the tenth round."""
    assert sampled_newcomer(period, trainers) == pytest.approx(of_incumbent, rel=MEASURED)


@pytest.mark.xfail(strict=True, reason="prove() weighs by rounds since joining, not by rounds sampled")
def test_newcomers_proof_is_a_plain_mean_of_the_rounds_sampled() -> None:
    """Two samples in ten rounds should be worth 2/3, as two in two rounds are; with the value's 0.93 that is 0.6."""
    assert sampled_newcomer(4, 64) >= 0.6


# Who stops, and comes back


@pytest.mark.parametrize("count", [4, 16])
def test_who_stops_is_paid_nothing_from_the_next_round_on(count: int) -> None:
    trainers = steady(count)
    for _ in range(30):
        trainers, shares = play(trainers, [FAIR] * (count - 1) + [ABSENT_ROW])
        assert shares[-1] == 0
        assert sum(shares) == pytest.approx(count)


@pytest.mark.parametrize(
    ("away", "at_once", "rounds_to_four_fifths"),
    [(1, 0.7979, 2), (3, 0.5133, 9), (10, 0.1329, 15), (20, 0.0387, 17), (200, 0.0165, 18)],
)
def test_way_back(away: int, at_once: float, rounds_to_four_fifths: int) -> None:
    """Pay beside 15 others after ``away`` missed rounds; no absence takes more than 18 rounds to make good."""
    count, trainers = 16, steady(16)
    for _ in range(away):
        trainers, _ = play(trainers, [FAIR] * (count - 1) + [ABSENT_ROW])
    regained = []
    for _ in range(20):
        trainers, shares = play(trainers, [FAIR] * count)
        regained.append(shares[-1])
    assert regained == sorted(regained)
    assert regained[0] == pytest.approx(at_once, abs=0.0001)
    assert next(r for r, share in enumerate(regained, start=1) if share >= 0.8) == rounds_to_four_fifths


@pytest.mark.parametrize(
    ("verdict", "next_round", "rounds_to_four_fifths"),
    [(Verdict.MISSING, 0.7979, 2), (Verdict.WRONG_BASE, 0.6846, 5), (Verdict.MALFORMED, 0.4923, 10)],
)
def test_one_failed_check_costs_its_round_and_some_trust(
    verdict: Verdict, next_round: float, rounds_to_four_fifths: int
) -> None:
    trainers, shares = play(steady(16), [FAIR] * 15 + [Row(verdict, 0, UNSAMPLED)])
    assert shares[-1] == 0
    regained = []
    for _ in range(12):
        trainers, shares = play(trainers, [FAIR] * 16)
        regained.append(shares[-1])
    assert regained[0] == pytest.approx(next_round, rel=MEASURED)
    assert next(r for r, share in enumerate(regained, start=1) if share >= 0.8) == rounds_to_four_fifths


@pytest.mark.parametrize("count", [4, 16])
def test_who_only_pretends_to_work_is_paid_out_within_ten_rounds(count: int) -> None:
    """Valid zero updates live off the means: below a tenth of a share after nine rounds, 3.4 rounds' pay in all."""
    trainers, shares = steady(count), []
    for _ in range(60):
        trainers, paid = play(trainers, [FAIR] * (count - 1) + [COASTING])
        shares.append(paid[-1])
    assert shares == sorted(shares, reverse=True)
    assert shares[8] < 0.1 < shares[7]
    assert sum(shares) == pytest.approx({4: 3.3717, 16: 3.2836}[count], rel=MEASURED)


# One unlucky round


@pytest.mark.parametrize(
    ("count", "victim", "others"), [(2, 0.7432, 1.2568), (4, 0.7102, 1.0966), (64, 0.6818, 1.0051)]
)
def test_one_unlucky_round_changes_nobodys_pay_by_more_than_a_third(count: int, victim: float, others: float) -> None:
    _, shares = play(steady(count), [FAIR] * (count - 1) + [UNLUCKY])
    assert shares[-1] == pytest.approx(victim, rel=MEASURED)
    assert shares[0] == pytest.approx(others, rel=MEASURED)
    assert all(2 / 3 <= share <= 4 / 3 for share in shares)


def test_the_next_round_after_is_not_worse() -> None:
    trainers, unlucky = play(steady(16), [FAIR] * 15 + [UNLUCKY])
    _, after = play(trainers, [FAIR] * 16)
    assert 2 / 3 < unlucky[-1] < after[-1] == pytest.approx(0.7225, rel=MEASURED)


@pytest.mark.parametrize(("proof", "holds"), [(1.0, True), (0.9, True), (0.87, True), (0.84, False), (0.5, False)])
def test_the_bound_on_a_slip_needs_a_good_proof(proof: float, holds: bool) -> None:
    """(1 - 0.15) * (0.9 - 0.1 / proof) >= 2/3, or a little less beside 63 others who lose nothing.

    A trainer whose sign is often wrong already loses more at a slip.
    """
    many = tuple(
        Standing(s.account, s.role, rounds=100, value_q32=s.value_q32, proof_q32=int(proof * ONE_Q32))
        for s in steady(64)
    )
    _, before = play(many, [Row(Verdict.OK, 1_000, UNSAMPLED)] * 64)
    _, after = play(many, [Row(Verdict.OK, 1_000, UNSAMPLED)] * 63 + [UNLUCKY])
    assert (after[-1] / before[-1] >= 2 / 3) is holds


@pytest.mark.parametrize(("count", "others"), [(2, 2.0), (4, 4 / 3), (16, 16 / 15)])
def test_an_absent_trainers_share_goes_to_who_came(count: int, others: float) -> None:
    """From four trainers on, one absence raises nobody's pay by more than a third."""
    _, shares = play(steady(count), [FAIR] * (count - 1) + [ABSENT_ROW])
    assert shares[0] == pytest.approx(others)
    assert others <= 4 / 3 + 1e-9 or count < STANDARD.min_trainers


@pytest.mark.parametrize(("count", "lucky", "others"), [(4, 1.6619, 0.7794), (16, 3.8659, 0.8089)])
def test_a_round_with_one_gain_only_is_a_windfall_but_costs_the_others_a_third_at_most(
    count: int, lucky: float, others: float
) -> None:
    _, shares = play(steady(count), [FAIR] + [UNLUCKY] * (count - 1))
    assert shares[0] == pytest.approx(lucky, rel=MEASURED)
    assert shares[-1] == pytest.approx(others, rel=MEASURED)
    assert shares[-1] >= 2 / 3
