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
WRONG_SIGN = Row(Verdict.OK, FAIR.common_gain_micronats, 500)  # a fair share, but better elsewhere than on one's own
ELSEWHERE = Row(Verdict.OK, FAIR.common_gain_micronats, UNSAMPLED)  # a fair share; the beacon sampled others
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


def due(standing: Standing) -> int:
    """A pay weight, were the update valid."""
    weight = standing.value_q32 * max(0, standing.proof_q32) >> 32
    return (weight * standing.trust_q32 >> 32) * standing.reputation_q32 >> 32


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
    [(1, 0.6728, 0.8044), (2, 0.7331, 0.8047), (4, 0.7675, 0.8049), (16, 0.7955, 0.8052), (64, 0.8028, 0.8053)],
)
def test_newcomers_tenth_round(incumbents: int, of_incumbent: float, of_equal: float) -> None:
    """Above 80% of an equal share: all of the value, and 1 - 0.91^10 / 2 = 0.805 of the proof.

    Of an incumbent's pay it is less, 67% beside one: their means still remember when there were fewer to share with.
    """
    tenth = newcomer(incumbents, 10)[-1]
    assert tenth == pytest.approx((of_incumbent, of_equal), rel=MEASURED)
    assert tenth[0] >= 0.67


@pytest.mark.parametrize("incumbents", [*range(1, 17), 24, 32, 64, 128, 255])
def test_a_newcomers_tenth_round_pays_four_fifths_of_an_equal_share_however_many_are_there(incumbents: int) -> None:
    assert newcomer(incumbents, 10)[-1][1] >= 0.8


@pytest.mark.parametrize(
    ("incumbents", "first", "equal_80", "of_incumbent_80", "of_incumbent_95"),
    [
        (1, (0.2946, 0.4551), 10, 15, 28),
        (2, (0.3825, 0.4816), 10, 13, 27),
        (4, (0.4495, 0.5051), 10, 12, 26),
        (16, (0.5175, 0.5326), 10, 11, 25),
        (64, (0.5379, 0.5417), 10, 10, 25),
    ],
)
def test_newcomer_is_paid_at_once_more_each_round_and_all_of_it_in_the_end(
    incumbents: int, first: tuple[float, float], equal_80: int, of_incumbent_80: int, of_incumbent_95: int
) -> None:
    """About half of an equal share at once (all of the value, 0.545 of the proof), four fifths in ten rounds."""
    paid = newcomer(incumbents, 60)
    assert paid[0] == pytest.approx(first, rel=MEASURED)
    assert all(earlier < later <= (1.0, 1.0) for earlier, later in pairwise(paid))
    assert next(r for r, (_, equal) in enumerate(paid, start=1) if equal >= 0.8) == equal_80
    assert next(r for r, (part, _) in enumerate(paid, start=1) if part >= 0.8) == of_incumbent_80
    assert next(r for r, (part, _) in enumerate(paid, start=1) if part >= 0.95) == of_incumbent_95
    assert min(paid[-1]) >= 0.996


def test_many_newcomers_start_together_without_waiting() -> None:
    """Round 1 of a run: all are new, so all are paid equally and in full."""
    _, shares = play(crowd(5), [FAIR] * 5)
    assert shares == pytest.approx([1.0] * 5)


def sampled_newcomer(
    period: int, trainers: int, rounds: int = 10, sample: Row = FAIR
) -> tuple[Standing, list[tuple[float, float]]]:
    """Its standing and pay, round by round as a part of an incumbent's and of an equal share.

    Each is sampled once in ``period`` rounds; the newcomer's samples say ``sample``.
    """
    seated = (*steady(trainers - 1), Standing(account(Role.TRAINER, trainers - 1), Role.TRAINER))
    paid = []
    for round_ in range(rounds):
        said = [FAIR if (round_ - i) % period == 0 else ELSEWHERE for i in range(trainers)]
        said[-1] = sample if said[-1] == FAIR else ELSEWHERE
        seated, shares = play(seated, said)
        paid.append((shares[-1] / shares[0], shares[-1]))
    return seated[-1], paid


def test_sampling_everyone_every_round_is_what_the_other_figures_assume() -> None:
    assert sampled_newcomer(1, 17)[1] == newcomer(16, 10)


@pytest.mark.parametrize(
    ("period", "trainers", "of_incumbent"), [(1, 16, 0.7949), (2, 32, 0.6836), (4, 64, 0.5841), (16, 256, 0.4996)]
)
def test_sampling_a_few_keeps_newcomers_near_half_of_the_pay(period: int, trainers: int, of_incumbent: float) -> None:
    """The manifests' 16 sampled trainers a round: who is sampled rarely, or not at all yet, waits with half a proof."""
    assert sampled_newcomer(period, trainers)[1][-1][0] == pytest.approx(of_incumbent, rel=MEASURED)


@pytest.mark.parametrize(
    ("period", "samples", "right", "wrong"),
    [(1, 10, 0.8053, -0.4159), (2, 5, 0.6880, -0.0640), (4, 2, 0.5859, 0.2422), (16, 0, 0.5, 0.5)],
)
def test_who_is_sampled_rarely_stays_near_one_half_of_the_proof(
    period: int, samples: int, right: float, wrong: float
) -> None:
    """After ten rounds. The proof is 1 - 0.91^k / 2 after k right signs and 1.5 * 0.91^k - 1 after k wrong ones."""
    for sample, expected, by_hand in (
        (FAIR, right, 1 - 0.91**samples / 2),
        (WRONG_SIGN, wrong, 1.5 * 0.91**samples - 1),
    ):
        proof = sampled_newcomer(period, 16 * period, sample=sample)[0].proof_q32 / ONE_Q32
        assert proof == pytest.approx(expected, rel=MEASURED, abs=0.00005)
        assert proof == pytest.approx(by_hand, abs=1e-7)


@pytest.mark.parametrize(
    ("period", "trainers", "last_paid", "rounds_pay"), [(1, 17, 4, 0.7648), (4, 64, 19, 4.5803), (16, 256, 79, 19.797)]
)
def test_five_wrong_signs_from_the_start_refute_a_newcomer(
    period: int, trainers: int, last_paid: int, rounds_pay: float
) -> None:
    """Until then it lives off the half it came with: ``rounds_pay`` equal shares in all, more the rarer samples are.

    A copier's update does gain on the common batch, so its value says nothing against it.
    """
    standing, paid = sampled_newcomer(period, trainers, last_paid + 5, WRONG_SIGN)
    shares = [share for _, share in paid]
    assert standing.proof_q32 < 0
    assert min(shares[:last_paid]) > 0 == max(shares[last_paid:])
    assert sum(shares) == pytest.approx(rounds_pay, rel=MEASURED)


# Who stops, and comes back


@pytest.mark.parametrize(("count", "unpaid"), [(4, 0.7816), (16, 0.7691)])
def test_who_stops_is_paid_nothing_from_the_next_round_on(count: int, unpaid: float) -> None:
    """What is due to it stays in the budget, ``unpaid`` of the first round's share; the claim fades with the means.

    So the others' shares of the work, and of the pay, grow to a whole one between them, but not at once.
    """
    trainers, left = steady(count), []
    for _ in range(30):
        trainers, shares = play(trainers, [FAIR] * (count - 1) + [ABSENT_ROW])
        assert shares[-1] == 0
        left.append(count - sum(shares))
        gone, whole = due(trainers[-1]), sum(map(due, trainers))
        assert left[-1] == pytest.approx(count * gone / whole, rel=1e-6)
        assert shares[:-1] == pytest.approx([count * due(trainers[0]) / whole] * (count - 1), rel=1e-6)
    assert left == sorted(left, reverse=True)
    assert left[0] == pytest.approx(unpaid, rel=MEASURED)
    assert left[-1] < 0.001


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
    [
        (Verdict.MISSING, 0.7979, 2),
        (Verdict.WRONG_BASE, 0.6846, 5),
        (Verdict.MALFORMED, 0.4919, 10),
        (Verdict.DUPLICATE, 0.2944, 13),
    ],
)
def test_one_failed_check_costs_its_round_and_some_trust(
    verdict: Verdict, next_round: float, rounds_to_four_fifths: int
) -> None:
    trainers, shares = play(steady(16), [FAIR] * 15 + [Row(verdict, 0, UNSAMPLED)])
    assert shares[-1] == 0
    regained = []
    for _ in range(14):
        trainers, shares = play(trainers, [FAIR] * 16)
        regained.append(shares[-1])
    assert regained[0] == pytest.approx(next_round, rel=MEASURED)
    assert next(r for r, share in enumerate(regained, start=1) if share >= 0.8) == rounds_to_four_fifths


@pytest.mark.parametrize(("count", "tenth", "whole"), [(4, 0.0790, 3.5263), (16, 0.0772, 3.4421)])
def test_who_only_pretends_to_work_is_paid_out_within_ten_rounds(count: int, tenth: float, whole: float) -> None:
    """Valid zero updates live off the means: below a tenth of a share in the tenth round, 3.5 rounds' pay in all."""
    trainers, shares = steady(count), []
    for _ in range(60):
        trainers, paid = play(trainers, [FAIR] * (count - 1) + [COASTING])
        shares.append(paid[-1])
    assert shares == sorted(shares, reverse=True)
    assert shares[9] < 0.1 < shares[7]
    assert shares[9] == pytest.approx(tenth, rel=MEASURED)
    assert sum(shares) == pytest.approx(whole, rel=MEASURED)


# One unlucky round


@pytest.mark.parametrize(
    ("count", "victim", "others", "of_value"),
    [
        (2, 0.7547, 1.2453, 1.15),
        (4, 0.7247, 1.0918, 1.05),
        (16, 0.7037, 1.0198, 1.01),
        (64, 0.6987, 1.0048, 1.0024),
    ],
)
def test_one_unlucky_round_changes_nobodys_pay_by_more_than_a_third(
    count: int, victim: float, others: float, of_value: float
) -> None:
    """The victim keeps (1 - 0.15) * (1 - 2 * 0.09) = 0.697 at least, before all weights are divided by their sum.

    The others gain ``of_value`` by their share of the gain, and the rest because the victim's proof, and so that sum,
    is less: together what the victim loses.
    """
    before = steady(count)
    after, shares = play(before, [FAIR] * (count - 1) + [UNLUCKY])
    assert shares[-1] == pytest.approx(victim, rel=MEASURED)
    assert shares[:-1] == pytest.approx([others] * (count - 1), rel=MEASURED)
    assert all(2 / 3 <= share <= 4 / 3 for share in shares)
    assert shares[-1] >= 0.697
    assert sum(shares) == pytest.approx(count)
    shift = after[0].value_q32 / before[0].value_q32
    assert shift == pytest.approx(of_value, rel=MEASURED)
    assert shares[0] == pytest.approx(shift / (sum(map(due, after)) / ONE_Q32), rel=1e-5)


@pytest.mark.parametrize(("count", "others"), [(2, 1.15), (4, 1.05), (16, 1.01), (64, 1.0024)])
def test_a_round_without_gain_gives_the_others_their_share_of_the_value_and_no_more(count: int, others: float) -> None:
    """Proof and trust as before: only the share of the gain moves."""
    before = steady(count)
    after, shares = play(before, [FAIR] * (count - 1) + [Row(Verdict.OK, -500, UNSAMPLED)])
    assert shares[0] == pytest.approx(others, rel=MEASURED)
    assert shares[0] <= after[0].value_q32 / before[0].value_q32 + 1e-6
    assert shares[-1] == pytest.approx(0.85, rel=MEASURED)


@pytest.mark.parametrize(
    ("incumbents", "first", "eleven"),
    [(1, 0.7241, 0.8822), (4, 0.6928, 0.8530), (16, 0.6767, 0.8390), (64, 0.6716, 0.8346)],
)
def test_an_unlucky_first_sign_costs_a_newcomer_less_than_a_third(incumbents: int, first: float, eleven: float) -> None:
    """Against the same newcomer with a lucky one: 0.365 instead of 0.545 of a proof. 17% at most over eleven rounds."""
    joined = (*steady(incumbents), Standing(account(Role.TRAINER, incumbents), Role.TRAINER))
    unlucky, lucky = joined, joined
    paid: list[tuple[float, float]] = []
    for round_ in range(11):
        unlucky, shares = play(unlucky, [FAIR] * incumbents + [FAIR if round_ else WRONG_SIGN])
        lucky, usual = play(lucky, [FAIR] * (incumbents + 1))
        paid.append((shares[-1], usual[-1]))
    ratios = [one / other for one, other in paid]
    assert ratios[0] == pytest.approx(first, rel=MEASURED)
    assert ratios == sorted(ratios)
    assert ratios[0] >= 2 / 3 and ratios[-1] >= 0.91
    assert sum(one for one, _ in paid) / sum(other for _, other in paid) == pytest.approx(eleven, rel=MEASURED)


@pytest.mark.parametrize(
    ("count", "victim", "others"), [(2, 0.8022, 1.1978), (4, 0.73, 1.09), (16, 0.6838, 1.0211), (64, 0.6732, 1.0052)]
)
def test_an_unlucky_first_sign_in_round_one_costs_less_than_a_third(count: int, victim: float, others: float) -> None:
    _, shares = play(crowd(count), [FAIR] * (count - 1) + [WRONG_SIGN])
    assert shares[-1] == pytest.approx(victim, rel=MEASURED)
    assert shares[:-1] == pytest.approx([others] * (count - 1), rel=MEASURED)
    assert all(2 / 3 <= share <= 4 / 3 for share in shares)


@pytest.mark.parametrize(
    ("incumbents", "second", "fifth", "tenth", "holds_from"),
    [
        (1, 0.3853, 0.6296, 0.7035, 7),
        (4, 0.3623, 0.6062, 0.6768, 9),
        (16, 0.3511, 0.5953, 0.6648, 11),
        (64, 0.3476, 0.5919, 0.6613, 12),
    ],
)
def test_a_newcomers_round_without_gain_costs_more_than_a_third_until_its_mean_has_grown_slow(
    incumbents: int, second: float, fifth: float, tenth: float, holds_from: int
) -> None:
    """The promise is one for the steady state: a plain mean of few rounds feels each of them.

    Against the same newcomer without the slip. Whoever has shown nothing yet is paid nothing in round 1.
    """
    joined: Crowd = (*steady(incumbents), Standing(account(Role.TRAINER, incumbents), Role.TRAINER))
    kept = []
    for _ in range(20):
        _, slip = play(joined, [FAIR] * incumbents + [UNLUCKY])
        joined, usual = play(joined, [FAIR] * (incumbents + 1))
        kept.append(slip[-1] / usual[-1])
    assert kept == sorted(kept)
    assert kept[0] == 0
    assert [kept[1], kept[4], kept[9]] == pytest.approx([second, fifth, tenth], rel=MEASURED)
    assert next(r for r, part in enumerate(kept, start=1) if part >= 2 / 3) == holds_from


def test_the_next_round_after_is_not_worse() -> None:
    trainers, unlucky = play(steady(16), [FAIR] * 15 + [UNLUCKY])
    _, after = play(trainers, [FAIR] * 16)
    assert 2 / 3 < unlucky[-1] < after[-1] == pytest.approx(0.7362, rel=MEASURED)


@pytest.mark.parametrize(
    ("proof", "holds"), [(1.0, True), (0.8, True), (0.72, True), (0.71, True), (0.7, False), (0.6, False), (0.5, False)]
)
def test_the_bound_on_a_slip_needs_a_good_proof(proof: float, holds: bool) -> None:
    """(1 - 0.15) * (0.91 - 0.09 / proof) >= 2/3, or a little less beside 63 others who lose nothing.

    A trainer of 5/7 of a proof, six signs of seven right, keeps two thirds; one of 0.6, four of five right, does not.
    """
    many = tuple(
        Standing(s.account, s.role, rounds=100, value_q32=s.value_q32, proof_q32=int(proof * ONE_Q32))
        for s in steady(64)
    )
    _, before = play(many, [Row(Verdict.OK, 1_000, UNSAMPLED)] * 64)
    _, after = play(many, [Row(Verdict.OK, 1_000, UNSAMPLED)] * 63 + [UNLUCKY])
    assert (after[-1] / before[-1] >= 2 / 3) is holds


@pytest.mark.parametrize("verdict", [Verdict.MISSING, Verdict.MALFORMED, Verdict.DUPLICATE])
@pytest.mark.parametrize("count", [2, 4, 16])
def test_nobody_gains_by_anothers_absence(count: int, verdict: Verdict) -> None:
    """Its part of the round stays unpaid: to the others it is as if it had come with the standing it has now.

    What they do gain is by what the round made of that standing: a share of the gain less, and some trust less.
    """
    before = steady(count)
    after, shares = play(before, [FAIR] * (count - 1) + [Row(verdict, 0, UNSAMPLED)])
    whole = sum(map(due, after))
    as_if_all_came = [count * due(standing) / whole for standing in after]
    assert sum(as_if_all_came) == pytest.approx(count)
    assert shares == pytest.approx([*as_if_all_came[:-1], 0.0], rel=1e-6)
    assert count - sum(shares) == pytest.approx(as_if_all_came[-1], rel=1e-6)


@pytest.mark.parametrize(
    ("verdict", "others"),
    [
        (Verdict.MISSING, (1.2010, 1.0728, 1.0154)),
        (Verdict.WRONG_BASE, (1.2867, 1.1089, 1.0236)),
        (Verdict.MALFORMED, (1.4603, 1.1748, 1.0376)),
        (Verdict.DUPLICATE, (1.6881, 1.2491, 1.0519)),
    ],
)
def test_what_anothers_failed_check_is_worth_to_the_others(
    verdict: Verdict, others: tuple[float, float, float]
) -> None:
    """Beside 1, 3 and 15 others. It was a third for any failed check of one in four, when all was paid to who came."""
    for count, expected in zip((2, 4, 16), others, strict=True):
        _, shares = play(steady(count), [FAIR] * (count - 1) + [Row(verdict, 0, UNSAMPLED)])
        assert shares[0] == pytest.approx(expected, rel=MEASURED)
        assert shares[0] < count / (count - 1)


@pytest.mark.parametrize(("count", "lucky", "others"), [(4, 1.6380, 0.7873), (16, 3.7942, 0.8137)])
def test_a_round_with_one_gain_only_is_a_windfall_but_costs_the_others_a_third_at_most(
    count: int, lucky: float, others: float
) -> None:
    _, shares = play(steady(count), [FAIR] + [UNLUCKY] * (count - 1))
    assert shares[0] == pytest.approx(lucky, rel=MEASURED)
    assert shares[-1] == pytest.approx(others, rel=MEASURED)
    assert shares[-1] >= 2 / 3
