"""Time constants matter to people: how the integer mechanism treats a newcomer, a leaver and an unlucky one.

All of it runs the STANDARD preset; the figures are the mechanism's own, measured to the digits shown.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from gradmint.spec.params import MAX_TRAINERS
from gradmint.spec.types import ABSENT_ROW, ONE_Q32, UNSAMPLED, Row, Standing, Verdict

from .economy import UNLUCKY, Crowd, crowd, due, newcomer, play, steady
from .synthetic import FAIR

WRONG_SIGN = Row(Verdict.OK, FAIR.common_gain_micronats, 500)  # a fair share, but better elsewhere than on one's own
ELSEWHERE = Row(Verdict.OK, FAIR.common_gain_micronats, UNSAMPLED)  # a fair share; the beacon sampled others
COASTING = Row(Verdict.OK, 0, 0)  # a zero update: valid, worth nothing
MEASURED = 0.001  # relative


@pytest.mark.parametrize("count", [1, 4])
def test_the_steady_state_is_what_fair_shares_lead_to(count: int) -> None:
    trainers = crowd(count)
    for _ in range(300):
        trainers, paid = play(trainers, [FAIR] * count)
        assert paid == pytest.approx([1.0] * count)
    for one, other in zip(trainers, steady(count), strict=True):
        assert (one.value_q32, one.proof_q32, one.rounds) == (other.value_q32, other.proof_q32, other.rounds)


# A newcomer


def welcome(incumbents: int, rounds: int) -> list[tuple[float, float]]:
    """A newcomer's pay, round by round: as a part of an incumbent's, and of an equal share."""
    trainers = (*steady(incumbents), newcomer(incumbents))
    paid = []
    for _ in range(rounds):
        trainers, shares = play(trainers, [FAIR] * len(trainers))
        paid.append((shares[-1] / shares[0], shares[-1]))
    return paid


def equal_share(incumbents: int, of_incumbent: float) -> float:
    """What a part of an incumbent's pay is of an equal share: the pay of all is what there is."""
    return (incumbents + 1) * of_incumbent / (incumbents + of_incumbent)


@pytest.mark.parametrize(
    ("incumbents", "of_equal"), [(1, 0.8921), (2, 0.8612), (4, 0.8379), (16, 0.8146), (64, 0.8077), (255, 0.8059)]
)
def test_newcomers_tenth_round(incumbents: int, of_equal: float) -> None:
    """All of the value, for its gain is theirs, and 1 - 0.91^10 / 2 = 0.805 of the proof."""
    of_incumbent, share = welcome(incumbents, 10)[-1]
    assert of_incumbent == pytest.approx(1 - 0.91**10 / 2, rel=1e-6)
    assert share == pytest.approx(equal_share(incumbents, of_incumbent), rel=1e-6)
    assert share == pytest.approx(of_equal, rel=MEASURED)
    assert share >= of_incumbent >= 0.8


@pytest.mark.parametrize("incumbents", [1, 3, 8, 33])
def test_a_newcomers_part_of_an_incumbents_pay_does_not_depend_on_their_number(incumbents: int) -> None:
    """1 - 0.91^k / 2 in its k-th round. So four fifths of an equal share are its in the tenth beside any number: what
    the same part is of an equal share falls with their number, and never below the part itself."""
    parts = [part for part, _ in welcome(incumbents, 10)]
    assert parts == pytest.approx([1 - 0.91**k / 2 for k in range(1, 11)], rel=1e-6)
    tenth = [equal_share(count, parts[-1]) for count in range(1, MAX_TRAINERS)]
    assert tenth == sorted(tenth, reverse=True)
    assert min(tenth) >= parts[-1] >= 0.8


@pytest.mark.parametrize(
    ("incumbents", "first", "equal_80"),
    [(1, 0.7055, 5), (2, 0.6424, 7), (4, 0.5996, 8), (16, 0.5600, 10), (64, 0.5488, 10)],
)
def test_newcomer_is_paid_at_once_more_each_round_and_all_of_it_in_the_end(
    incumbents: int, first: float, equal_80: int
) -> None:
    """More than half of an equal share at once (all of the value, 0.545 of the proof), four fifths in 5 to 10 rounds.

    Of an incumbent's pay it is 0.8 in the tenth round and 0.95 in the 25th, however many there are.
    """
    paid = welcome(incumbents, 60)
    assert paid[0] == pytest.approx((0.545, first), rel=MEASURED)
    assert all(earlier < later <= (1.0, 1.0) for earlier, later in pairwise(paid))
    assert next(r for r, (_, equal) in enumerate(paid, start=1) if equal >= 0.8) == equal_80
    assert next(r for r, (part, _) in enumerate(paid, start=1) if part >= 0.8) == 10
    assert next(r for r, (part, _) in enumerate(paid, start=1) if part >= 0.95) == 25
    assert min(paid[-1]) >= 0.998


@pytest.mark.parametrize(
    ("count", "first", "tenth", "four_fifths"),
    [(2, 0.2389, 0.5889, 18), (4, 0.3926, 0.7202, 14), (16, 0.5074, 0.7870, 11)],
)
def test_who_comes_right_after_one_of_few_has_stopped_waits_longer(
    count: int, first: float, tenth: float, four_fifths: int
) -> None:
    """Of an incumbent's pay, from the first round on in which the absent one is banned and no longer counted.

    In the 14 rounds before, the others' gain was count / (count - 1) of the mean: their values remember that.
    """
    trainers = steady(count)
    for _ in range(14):
        trainers, _ = play(trainers, [FAIR] * (count - 1) + [ABSENT_ROW])
    assert trainers[-1].ban_round > 0
    trainers, parts = (*trainers, newcomer(count)), []
    for _ in range(20):
        trainers, shares = play(trainers, [FAIR] * (count - 1) + [ABSENT_ROW, FAIR])
        parts.append(shares[-1] / shares[0])
    assert (parts[0], parts[9]) == pytest.approx((first, tenth), rel=MEASURED)
    assert next(r for r, part in enumerate(parts, start=1) if part >= 0.8) == four_fifths


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
    seated, paid = (*steady(trainers - 1), newcomer(trainers - 1)), []
    for round_ in range(rounds):
        said = [FAIR if (round_ - i) % period == 0 else ELSEWHERE for i in range(trainers)]
        said[-1] = sample if said[-1] == FAIR else ELSEWHERE
        seated, shares = play(seated, said)
        paid.append((shares[-1] / shares[0], shares[-1]))
    return seated[-1], paid


def test_sampling_everyone_every_round_is_what_the_other_figures_assume() -> None:
    assert sampled_newcomer(1, 17)[1] == welcome(16, 10)


@pytest.mark.parametrize(
    ("period", "trainers", "of_incumbent"), [(1, 16, 0.8053), (2, 32, 0.6880), (4, 64, 0.5859), (16, 256, 0.5)]
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
    ("period", "trainers", "last_paid", "rounds_pay"), [(1, 17, 4, 0.8004), (4, 64, 19, 4.6115), (16, 64, 79, 19.9579)]
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


@pytest.mark.parametrize(("count", "unpaid"), [(4, 0.7572), (16, 0.7465)])
def test_who_stops_is_paid_nothing_from_the_next_round_on(count: int, unpaid: float) -> None:
    """What is due to it stays in the budget, ``unpaid`` of the first round's share; the claim fades with the means.

    So the others' shares of the work, and of the pay, grow to a whole one between them, but not at once: within the 14
    rounds after which it is banned, and no longer counted.
    """
    trainers, left = steady(count), []
    for _ in range(30):
        counted = trainers[-1].ban_round == 0
        trainers, shares = play(trainers, [FAIR] * (count - 1) + [ABSENT_ROW])
        assert shares[-1] == 0
        left.append(count - sum(shares))
        gone, whole = due(trainers[-1]) if counted else 0, sum(map(due, trainers[:-1]))
        assert left[-1] == pytest.approx(count * gone / (whole + gone), rel=1e-5, abs=1e-9)
        assert shares[:-1] == pytest.approx([count * due(trainers[0]) / (whole + gone)] * (count - 1), rel=1e-5)
    assert left[:15] == sorted(left[:15], reverse=True)
    assert left[0] == pytest.approx(unpaid, rel=MEASURED)
    assert 0.014 < left[13] < 0.016
    assert max(left[14:]) < 1e-9


@pytest.mark.parametrize(
    ("away", "banned", "at_once", "rounds_to_four_fifths"),
    [
        (1, 0, 0.7732, 3),
        (3, 0, 0.4650, 11),
        (10, 0, 0.0910, 18),
        (13, 0, 0.0501, 19),
        (14, 20, 0.0446, 19),
        (20, 14, 0.0446, 19),
        (34, 0, 0.0446, 19),
        (35, 20, 0.0378, 19),
        (200, 2, 0.0144, 20),
    ],
)
def test_way_back(away: int, banned: int, at_once: float, rounds_to_four_fifths: int) -> None:
    """Pay beside 15 others after ``away`` missed rounds, the last ``banned`` of the ban behind it.

    No absence takes more than 20 rounds and a ban's 20 to make good; the ban runs while one is away.
    """
    count, trainers = 16, steady(16)
    for _ in range(away):
        trainers, _ = play(trainers, [FAIR] * (count - 1) + [ABSENT_ROW])
    assert max(0, trainers[-1].ban_round - trainers[0].rounds) == banned
    regained = []
    for _ in range(banned + 22):
        trainers, shares = play(trainers, [FAIR] * count)
        regained.append(shares[-1])
    assert set(regained[:banned]) <= {0.0}
    assert regained == sorted(regained)
    assert regained[banned] == pytest.approx(at_once, abs=0.0001)
    assert next(r for r, share in enumerate(regained[banned:], start=1) if share >= 0.8) == rounds_to_four_fifths


@pytest.mark.parametrize(
    ("verdict", "next_round", "rounds_to_four_fifths"),
    [
        (Verdict.MISSING, 0.7732, 3),
        (Verdict.WRONG_BASE, 0.6632, 6),
        (Verdict.MALFORMED, 0.4764, 11),
        (Verdict.DUPLICATE, 0.2850, 14),
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


@pytest.mark.parametrize(("count", "tenth", "whole"), [(4, 0.0545, 3.0366), (16, 0.0567, 3.0264)])
def test_who_only_pretends_to_work_is_paid_out_within_ten_rounds(count: int, tenth: float, whole: float) -> None:
    """Valid zero updates live off the means: near a tenth of a share in the eighth round, 3.0 rounds' pay in all."""
    trainers, shares = steady(count), []
    for _ in range(60):
        trainers, paid = play(trainers, [FAIR] * (count - 1) + [COASTING])
        shares.append(paid[-1])
    assert shares == sorted(shares, reverse=True)
    assert shares[8] < 0.1 < shares[6]
    assert shares[9] == pytest.approx(tenth, rel=MEASURED)
    assert sum(shares) == pytest.approx(whole, rel=MEASURED)


# One unlucky round


@pytest.mark.parametrize(
    ("count", "victim", "others"),
    [(2, 0.7270, 1.2730), (4, 0.7017, 1.0994), (16, 0.6830, 1.0211), (64, 0.6784, 1.0051)],
)
def test_one_unlucky_round_changes_nobodys_pay_by_more_than_a_third(count: int, victim: float, others: float) -> None:
    """The victim keeps (1 - 0.12)^1.5 * (1 - 2 * 0.09) = 0.677 at least, before all weights are divided by their sum.

    The others gain (1 + 0.12 / (count - 1))^1.5 by their value, and the rest because the victim's proof, and so that
    sum, is less: together what the victim loses.
    """
    before = steady(count)
    after, shares = play(before, [FAIR] * (count - 1) + [UNLUCKY])
    assert shares[-1] == pytest.approx(victim, rel=MEASURED)
    assert shares[:-1] == pytest.approx([others] * (count - 1), rel=MEASURED)
    assert all(2 / 3 <= share <= 4 / 3 for share in shares)
    assert shares[-1] >= 0.88**1.5 * 0.82 > 2 / 3
    assert sum(shares) == pytest.approx(count)
    shift = after[0].value_q32 / before[0].value_q32
    assert shift == pytest.approx(1 + 0.12 / (count - 1), rel=1e-6)
    assert shares[0] == pytest.approx(shift**1.5 * count * due(before[0]) / sum(map(due, after)), rel=1e-5)


@pytest.mark.parametrize(
    ("count", "victim", "others"),
    [(2, 0.8211, 1.1789), (4, 0.8240, 1.0587), (16, 0.8252, 1.0117), (64, 0.8254, 1.0028)],
)
def test_a_round_without_gain_gives_the_others_what_their_value_gains_and_no_more(
    count: int, victim: float, others: float
) -> None:
    """Proof and trust as before: only values move, the victim's to (1 - 0.12)^1.5 = 0.826 of its weight."""
    before = steady(count)
    after, shares = play(before, [FAIR] * (count - 1) + [Row(Verdict.OK, -500, UNSAMPLED)])
    assert shares[0] == pytest.approx(others, rel=MEASURED)
    assert shares[0] <= (after[0].value_q32 / before[0].value_q32) ** 1.5
    assert shares[-1] == pytest.approx(victim, rel=MEASURED)


@pytest.mark.parametrize(
    ("incumbents", "first", "eleven"),
    [(1, 0.7580, 0.8887), (4, 0.6973, 0.8519), (16, 0.6771, 0.8383), (64, 0.6716, 0.8344)],
)
def test_an_unlucky_first_sign_costs_a_newcomer_less_than_a_third(incumbents: int, first: float, eleven: float) -> None:
    """Against the same newcomer with a lucky one: 0.365 instead of 0.545 of a proof. 17% at most over eleven rounds."""
    joined = (*steady(incumbents), newcomer(incumbents))
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
        (1, 0.2923, 0.5758, 0.6801, 9),
        (4, 0.2597, 0.5450, 0.6557, 13),
        (16, 0.2489, 0.5329, 0.6452, 18),
        (64, 0.2459, 0.5295, 0.6421, 21),
    ],
)
def test_a_newcomers_round_without_gain_costs_more_than_a_third_until_its_mean_has_grown_slow(
    incumbents: int, second: float, fifth: float, tenth: float, holds_from: int
) -> None:
    """The promise is one for the steady state: a plain mean of few rounds feels each of them.

    Against the same newcomer without the slip. Whoever has shown nothing yet is paid nothing in round 1.
    """
    joined: Crowd = (*steady(incumbents), newcomer(incumbents))
    kept = []
    for _ in range(25):
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
    assert 2 / 3 < unlucky[-1] < after[-1] == pytest.approx(0.7133, rel=MEASURED)


@pytest.mark.parametrize(
    ("proof", "holds"),
    [(1.0, True), (0.9, True), (0.87, True), (0.86, False), (0.8, False), (0.5, False)],
)
def test_the_bound_on_a_slip_needs_a_good_proof(proof: float, holds: bool) -> None:
    """(1 - 0.12)^1.5 * (0.91 - 0.09 / proof) >= 2/3: from 0.879 on whoever else is there, from 0.863 beside 63 alike.

    A trainer of 7/8 of a proof, fifteen signs of sixteen right, keeps two thirds there; one of 0.8, nine of ten, 0.660.
    """
    assert (0.88**1.5 * (0.91 - 0.09 / proof) >= 2 / 3) is (proof >= 0.879)
    many = tuple(replace(standing, proof_q32=int(proof * ONE_Q32)) for standing in steady(64))
    _, before = play(many, [Row(Verdict.OK, 1_000, UNSAMPLED)] * 64)
    _, after = play(many, [Row(Verdict.OK, 1_000, UNSAMPLED)] * 63 + [UNLUCKY])
    assert (after[-1] / before[-1] >= 2 / 3) is holds


@pytest.mark.parametrize("verdict", [Verdict.MISSING, Verdict.MALFORMED, Verdict.DUPLICATE])
@pytest.mark.parametrize("count", [2, 4, 16])
def test_nobody_gains_by_anothers_absence(count: int, verdict: Verdict) -> None:
    """Its part of the round stays unpaid: to the others it is as if it had come with the standing it has now.

    What they do gain is by what the round made of that standing: their multiple of the mean more, and some trust less.
    """
    before = steady(count)
    after, shares = play(before, [FAIR] * (count - 1) + [Row(verdict, 0, UNSAMPLED)])
    whole = sum(map(due, after))  # one failed check is no ban yet
    as_if_all_came = [count * due(standing) / whole for standing in after]
    assert sum(as_if_all_came) == pytest.approx(count)
    assert shares == pytest.approx([*as_if_all_came[:-1], 0.0], rel=1e-6)
    assert count - sum(shares) == pytest.approx(as_if_all_came[-1], rel=1e-6)


@pytest.mark.parametrize(
    ("verdict", "others"),
    [
        (Verdict.MISSING, (1.2294, 1.0809, 1.0169)),
        (Verdict.WRONG_BASE, (1.3138, 1.1161, 1.0249)),
        (Verdict.MALFORMED, (1.4834, 1.1802, 1.0384)),
        (Verdict.DUPLICATE, (1.7034, 1.2521, 1.0524)),
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


@pytest.mark.parametrize(("count", "lucky", "others"), [(4, 1.7541, 0.7486), (16, 5.0518, 0.7299)])
def test_a_round_with_one_gain_only_is_a_windfall_but_costs_the_others_a_third_at_most(
    count: int, lucky: float, others: float
) -> None:
    _, shares = play(steady(count), [FAIR] + [UNLUCKY] * (count - 1))
    assert shares[0] == pytest.approx(lucky, rel=MEASURED)
    assert shares[-1] == pytest.approx(others, rel=MEASURED)
    assert shares[-1] >= 2 / 3
