"""Who of those to whom something is due is paid this round: the best by rating, and reserves for who is missing."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.spec.mechanism import pay, select, settle, weights
from gradmint.spec.params import STANDARD, Params
from gradmint.spec.types import ONE_Q32, UNSAMPLED, Role, Row, Standing, Verdict

from .economy import UNLUCKY, crowd, newcomer, play, steady
from .strategies import values_q32
from .synthetic import FAIR, SMALL, account, make_report

ABSENT = Row(Verdict.MISSING, 0, UNSAMPLED)
FAILED = [verdict for verdict in Verdict if verdict is not Verdict.OK]


def trainer(index: int, mu: int = 25, sigma: int = 1, **change: int) -> Standing:
    rating = {"mu_q32": mu << 32, "sigma_q32": sigma << 32}
    return Standing(account(Role.TRAINER, index), Role.TRAINER, **(rating | change))


def limits(top: int, reserve: int, params: Params = SMALL) -> Params:
    return replace(params, top=top, reserve=reserve).check()


@dataclass(frozen=True)
class Field:
    """What :func:`select` decides on; the ordinal of trainer i is ``ordinals[i]``."""

    top: int
    reserve: int
    ordinals: list[int]
    here: list[bool]
    due: list[int]

    def select(self) -> tuple[list[int], int]:
        standings = [trainer(i, mu=ordinal + 3) for i, ordinal in enumerate(self.ordinals)]
        rows = [FAIR if here else ABSENT for here in self.here]
        return select(limits(self.top, self.reserve), standings, rows, self.due)

    @property
    def ranking(self) -> list[int]:
        """Best first: by insertion, whoever is not better goes behind."""
        ranked: list[int] = []
        for i, weight in enumerate(self.due):
            if weight:
                ahead = [j for j in ranked if self.ordinals[j] >= self.ordinals[i]]
                ranked = ahead + [i] + [j for j in ranked if j not in ahead]
        return ranked

    @property
    def members(self) -> list[int]:
        return self.ranking[: self.top]

    @property
    def reserves(self) -> list[int]:
        return self.ranking[self.top : self.top + self.reserve]

    def without(self, who: int) -> Field:
        return replace(self, here=[here and i != who for i, here in enumerate(self.here)])


@st.composite
def fields(draw: st.DrawFn) -> Field:
    count = draw(st.integers(1, 12))

    def each(values: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(values, min_size=count, max_size=count))

    return Field(
        top=draw(st.integers(1, 8)),
        reserve=draw(st.integers(0, 5)),
        ordinals=each(st.integers(-3, 3)),
        here=[bool(here) for here in each(st.sampled_from([0, 1, 1]))],
        due=each(st.one_of(st.just(0), st.integers(1, 9), st.integers(1, ONE_Q32))),
    )


# What must hold of any field


@given(fields())
def test_parts_are_of_a_whole_and_paid_in_full_or_not_at_all(field: Field) -> None:
    parts, total = field.select()
    assert sum(parts) <= total
    assert all(part in (0, due) for part, due in zip(parts, field.due, strict=True))


@given(fields())
def test_as_many_are_paid_as_there_are_seats_and_nobody_from_outside(field: Field) -> None:
    parts, _ = field.select()
    paid = {i for i, part in enumerate(parts) if part}
    seats = min(field.top, sum(due > 0 for due in field.due))
    ready = [i for i in field.members + field.reserves if field.here[i]]
    assert paid <= set(ready)
    assert len(paid) == min(seats, len(ready))


@given(fields())
def test_a_member_who_came_is_paid_whoever_else_did(field: Field) -> None:
    """No reserve pushes anybody out; reserves step in best first."""
    parts, _ = field.select()
    paid = [i for i in field.ranking if parts[i]]
    assert paid[: sum(field.here[i] for i in field.members)] == [i for i in field.members if field.here[i]]
    ready = [i for i in field.reserves if field.here[i]]
    stepped_in = [i for i in paid if i in field.reserves]
    assert stepped_in == ready[: len(stepped_in)]
    assert len(stepped_in) == min(len(ready), sum(not field.here[i] for i in field.members))


@given(fields())
def test_the_whole_has_one_term_a_seat(field: Field) -> None:
    """A seat's part is its holder's, or that of the reserve who stepped in, or nobody's and unpaid.

    Reserves fill the best of the empty seats, so the least of them stay vacant.
    """
    parts, total = field.select()
    empty = [i for i in field.members if not field.here[i]]
    stepped_in = sum(1 for i in field.reserves if parts[i])
    vacant = empty[stepped_in:]
    assert total == sum(parts) + sum(field.due[i] for i in vacant)
    assert sum(1 for part in parts if part) + len(vacant) == len(field.members)


@given(fields(), st.data())
def test_what_anothers_absence_changes_for_the_rest_is_one_term_of_the_whole(field: Field, data: st.DataObject) -> None:
    """At equal standings. Instead of the absent's part, the whole has that of who fills its seat or, where no reserve
    is left, of whose seat is vacant now. Nobody else's part changes."""
    came = [i for i in field.members if field.here[i]]
    if not came:
        return
    gone = data.draw(st.sampled_from(came))
    before, whole = field.select()
    after, whole_then = field.without(gone).select()
    filled = [i for i in field.reserves if after[i] and not before[i]]
    spare = [i for i in field.reserves if field.here[i] and not before[i]]
    assert filled == spare[:1]
    if filled:
        [instead] = filled
    else:  # the last that a reserve filled until now, or its own
        empty = [i for i in field.members if not field.here[i] or i == gone]
        vacant = empty[sum(1 for i in field.reserves if before[i]) :]
        instead = gone if gone in vacant else vacant[0]
    assert whole_then == whole - field.due[gone] + field.due[instead]
    assert after[gone] == 0
    for i in range(len(before)):
        if i != gone and i not in filled:
            assert after[i] == before[i]


@given(fields(), st.data())
def test_without_reserves_or_among_equals_nobody_gains_by_anothers_absence(field: Field, data: st.DataObject) -> None:
    gone = data.draw(st.integers(0, len(field.due) - 1))
    level = replace(field, due=[min(due, 1) * 7 for due in field.due])
    for fair in (replace(field, reserve=0), level):
        before, whole = fair.select()
        after, whole_then = fair.without(gone).select()
        assert whole_then == whole
        for i, part in enumerate(before):
            assert after[i] == (0 if i == gone else part) or (i in fair.reserves and not part)


@given(fields())
def test_with_room_for_all_the_rule_is_that_without_selection(field: Field) -> None:
    """Whoever came is paid what is due, of what is due to everybody."""
    wide = replace(field, top=len(field.due))
    parts, total = wide.select()
    assert parts == [due if here else 0 for due, here in zip(field.due, field.here, strict=True)]
    assert total == sum(field.due)


@given(fields(), st.randoms(use_true_random=False))
def test_index_decides_between_equals_only(field: Field, random: object) -> None:
    apart = replace(field, ordinals=[13 * ordinal + i for i, ordinal in enumerate(field.ordinals)])
    order = list(range(len(field.due)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = Field(
        field.top,
        field.reserve,
        [apart.ordinals[i] for i in order],
        [apart.here[i] for i in order],
        [apart.due[i] for i in order],
    )
    here, whole = apart.select()
    assert shuffled.select() == ([here[i] for i in order], whole)


@given(fields(), st.integers(0, 10**24))
def test_no_more_than_the_pot_is_paid(field: Field, pot_wei: int) -> None:
    standings = [trainer(i) for i in range(len(field.due))]
    after, paid_wei = pay(standings, *field.select(), pot_wei)
    assert paid_wei == sum(standing.paid_wei for standing in after) <= pot_wei


# By hand


def test_the_best_by_rating_are_paid_not_those_to_whom_most_is_due() -> None:
    assert Field(2, 0, [1, 3, 2, 0], [True] * 4, [90, 5, 7, 80]).select() == ([0, 5, 7, 0], 12)


def test_rating_is_mu_less_three_sigma() -> None:
    """A sure 20 is ahead of an unsure 25."""
    standings = [trainer(0, mu=25, sigma=5), trainer(1, mu=20, sigma=2), trainer(2, mu=16, sigma=1)]
    assert select(limits(1, 0), standings, [FAIR] * 3, [1, 1, 1]) == ([0, 1, 0], 1)
    assert select(limits(2, 0), standings, [FAIR] * 3, [1, 1, 1]) == ([0, 1, 1], 2)


def test_ties_go_to_the_lower_index() -> None:
    assert Field(2, 1, [5, 5, 5, 5], [True] * 4, [1, 2, 3, 4]).select() == ([1, 2, 0, 0], 3)
    assert Field(2, 1, [5, 5, 5, 5], [False, True, True, True], [1, 2, 3, 4]).select() == ([0, 2, 3, 0], 5)
    assert Field(2, 1, [5, 5, 5, 6], [True] * 4, [1, 2, 3, 4]).select() == ([1, 0, 0, 4], 5)


def test_who_is_due_nothing_takes_nobodys_place() -> None:
    assert Field(2, 1, [9, 8, 7, 6], [True] * 4, [0, 2, 0, 4]).select() == ([0, 2, 0, 4], 6)
    assert Field(1, 1, [9, 8, 7], [False] * 3, [0, 0, 0]).select() == ([0, 0, 0], 0)


def test_reserves_step_in_best_first_and_the_rest_stays_unpaid() -> None:
    """Members 0, 1, 2 of 10, 20, 30; reserves 3 and 4 of 4 and 5; 5 is behind them."""
    ordinals, due = [9, 8, 7, 6, 5, 4], [10, 20, 30, 4, 5, 6]

    def absent(*gone: int) -> tuple[list[int], int]:
        return Field(3, 2, ordinals, [i not in gone for i in range(6)], due).select()

    assert absent() == ([10, 20, 30, 0, 0, 0], 60)
    assert absent(0) == ([0, 20, 30, 4, 0, 0], 54)
    assert absent(1) == ([10, 0, 30, 4, 0, 0], 44)
    assert absent(0, 1) == ([0, 0, 30, 4, 5, 0], 39)
    assert absent(0, 1, 2) == ([0, 0, 0, 4, 5, 0], 39)  # 2's thirty stay in the budget
    assert absent(1, 3) == ([10, 0, 30, 0, 5, 0], 45)  # the next reserve
    assert absent(1, 3, 4) == ([10, 0, 30, 0, 0, 0], 60)  # nobody left: the twenty stay in the budget
    assert absent(0, 1, 4) == ([0, 0, 30, 4, 0, 0], 54)  # one left, for 0: the twenty stay in the budget
    assert absent(*range(6)) == ([0] * 6, 60)


@pytest.mark.parametrize("verdict", FAILED)
def test_a_failed_check_is_as_good_as_absence(verdict: Verdict) -> None:
    standings = [trainer(0, mu=30), trainer(1, mu=20)]
    rows = [Row(verdict, 10**6, 10**6), FAIR]
    assert select(limits(1, 1), standings, rows, [5, 3]) == ([0, 3], 3)
    assert select(limits(1, 0), standings, rows, [5, 3]) == ([0, 0], 5)
    assert select(limits(1, 1), standings, [rows[0]] * 2, [5, 3]) == ([0, 0], 5)


def played(standings: list[Standing], rows: list[Row], params: Params) -> list[int]:
    """What a round of 1,000 for the trainers pays each."""
    free = replace(params, verifier_share_bps=0)
    verifier = Standing(account(Role.VERIFIER, 0), Role.VERIFIER)
    after = settle(free, 1, 1_000, standings, [verifier], [1], [make_report(rows)]).trainers
    return [new.paid_wei - old.paid_wei for old, new in zip(standings, after, strict=True)]


def test_a_round_pays_the_top_and_their_reserve() -> None:
    """Through the whole settlement, all of the same value: a quarter each of the four, a half of the two."""
    proven = {"rounds": 100, "value_q32": ONE_Q32, "proof_q32": ONE_Q32}
    standings = [trainer(i, mu=40 - i, **proven) for i in range(4)]
    assert played(standings, [FAIR] * 4, limits(4, 0)) == [250] * 4
    assert played(standings, [FAIR] * 4, limits(2, 1)) == [500, 500, 0, 0]
    paid = played(standings, [FAIR, ABSENT, FAIR, FAIR], limits(2, 1))
    assert (paid[1], paid[3]) == (0, 0) and paid[0] == paid[2] == 500
    unfilled = played(standings, [FAIR, ABSENT, ABSENT, FAIR], limits(2, 1))
    assert unfilled[1:] == [0, 0, 0] and unfilled[0] == 614  # the absent's part is less by now, and unpaid


def test_the_match_of_the_round_counts_for_its_pay() -> None:
    """Whoever overtakes somebody in this round is paid in this round."""
    proven = {"rounds": 100, "value_q32": ONE_Q32, "proof_q32": ONE_Q32}
    standings = [trainer(0, mu=25, sigma=8, **proven), trainer(1, mu=24, sigma=8, **proven)]
    assert played(standings, [Row(Verdict.OK, 2_000, 3_000), FAIR], limits(1, 0)) == [1_000, 0]
    assert played(standings, [FAIR, Row(Verdict.OK, 2_000, 3_000)], limits(1, 0)) == [0, 1_000]


# A run that pays fewer than there are

FIRST_64 = replace(STANDARD, top=64)


def test_up_to_the_top_all_are_paid_and_selection_changes_nothing() -> None:
    before, said = steady(64), [FAIR] * 40 + [UNLUCKY] * 12 + [ABSENT] * 12
    assert play(before, said, FIRST_64) == play(before, said)


def test_beyond_the_top_exact_equals_are_paid_by_index() -> None:
    """Twice an equal share for the first 64 of 128, and no promise of any for the others; the presets pay them all."""
    _, shares = play(crowd(128), [FAIR] * 128, FIRST_64)
    assert shares == pytest.approx([2.0] * 64 + [0.0] * 64)
    assert play(crowd(128), [FAIR] * 128)[1] == pytest.approx([1.0] * 128)


@pytest.mark.parametrize(
    ("trainers", "place", "first_paid"), [(65, 60, 1), (128, 1, 8), (128, 33, 13), (128, 61, None)]
)
def test_beyond_the_top_a_newcomer_waits_until_its_rating_has_caught_up(
    trainers: int, place: int, first_paid: int | None
) -> None:
    """From its first round on its gain is the ``place``th best; the others' order is the same in all 20 rounds before.

    A match of 128 raises nobody's mu by more than 0.66, and those who are paid have a head start: who is as able as
    the last few who are paid is not paid within 30. That is why no preset pays fewer than may join.
    """
    gains, seated, paid = [4 * (trainers - i) for i in range(trainers - 1)], crowd(trainers - 1), []
    for round_ in range(50 if first_paid is None else 20 + first_paid):
        if round_ == 20:
            seated = (*seated, newcomer(trainers - 1))
            gains.append(4 * (trainers - place) + 6)
        seated, shares = play(seated, [Row(Verdict.OK, gain, 2**30) for gain in gains], FIRST_64)
        if round_ >= 20:
            paid.append(shares[-1] > 0)
    assert next((r for r, is_paid in enumerate(paid, start=1) if is_paid), None) == first_paid


# The exponent


def seated(value_q32: int, index: int = 0) -> Standing:
    return trainer(index, value_q32=value_q32, proof_q32=ONE_Q32)


def worth(value_q32: int, halves: int) -> int:
    [weight] = weights(replace(SMALL, value_exponent_halves=halves), [seated(value_q32)])
    return weight


@given(values_q32, st.integers(2, 6))
def test_weight_is_a_power_of_the_value(value_q32: int, halves: int) -> None:
    exact = (value_q32 / ONE_Q32) ** (halves / 2)
    assert worth(value_q32, halves) / ONE_Q32 == pytest.approx(exact, rel=1e-9, abs=2e-9)


@pytest.mark.parametrize("halves", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("identities", [2, 3, 10, 50])
def test_identities_are_paid_less_together_the_more_they_are(halves: int, identities: int) -> None:
    """One value split k ways weighs k^(1 - halves / 2) of the whole: all where linear, a seventh for 50 at 1.5."""
    whole = worth(ONE_Q32 // 2, halves)
    parts = identities * worth(ONE_Q32 // 2 // identities, halves)
    assert parts / whole == pytest.approx(identities ** (1 - halves / 2), rel=0.001)


@given(st.lists(values_q32.map(lambda value: value // 8), min_size=2, max_size=8), st.integers(2, 6))
def test_no_split_of_a_value_weighs_more_than_the_whole(parts_q32: list[int], halves: int) -> None:
    """Even or not. Each factor rounds the whole down once: by two units of 2^-32 at most, or by 2^-30 of it."""
    whole = worth(sum(parts_q32), halves)
    assert sum(worth(part, halves) for part in parts_q32) <= whole + 2 + (whole >> 30)


@given(
    values_q32, st.integers(0, ONE_Q32), st.integers(0, ONE_Q32), st.integers(0, ONE_Q32), st.sampled_from([2, 3, 6]),
)  # fmt: skip
def test_the_exponent_is_on_the_value_alone(value: int, proof: int, trust: int, reputation: int, halves: int) -> None:
    one = trainer(0, value_q32=value, proof_q32=proof, trust_q32=trust, reputation_q32=reputation)
    [weight] = weights(replace(SMALL, value_exponent_halves=halves), [one])
    linear = proof / ONE_Q32 * (trust / ONE_Q32) * (reputation / ONE_Q32)
    assert weight / ONE_Q32 == pytest.approx((value / ONE_Q32) ** (halves / 2) * linear, rel=1e-8, abs=2e-9)


@pytest.mark.parametrize(("others", "of_the_whole"), [(1, 0.8284), (3, 0.7630), (15, 0.7203)])
def test_two_seats_for_one_machine_earn_less_than_one(others: int, of_the_whole: float) -> None:
    """Beside ``others`` of the same gain, after thirty rounds. 0.71 of its weight; of the pay a little more, because
    the weights that pay is divided by are then fewer too. At exponent 1 it is neither gain nor loss."""

    def earned(halves: int, seats: int) -> int:
        params = replace(SMALL, value_exponent_halves=halves)
        standings = [Standing(account(Role.TRAINER, i), Role.TRAINER) for i in range(others + seats)]
        rows = [FAIR] * others + [Row(Verdict.OK, 1_000 // seats, 2_000)] * seats
        verifier, said = Standing(account(Role.VERIFIER, 0), Role.VERIFIER), make_report(rows)
        for round_ in range(1, 31):
            standings = list(settle(params, round_, 10**21, standings, [verifier], [1], [said]).trainers)
        return sum(standing.paid_wei for standing in standings[others:])

    assert earned(2, 2) / earned(2, 1) == pytest.approx(1, abs=1e-6)
    assert earned(STANDARD.value_exponent_halves, 2) / earned(3, 1) == pytest.approx(of_the_whole, rel=0.001)
