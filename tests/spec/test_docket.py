"""Records, outcomes and proposals: hashed as the contracts hash them, executed as the mechanism says."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

import pytest
from eth_abi.packed import encode_packed
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from gradmint.spec import transcript as tr
from gradmint.spec import tree
from gradmint.spec.docket import (
    BASE_TIP,
    MAX_PENDING,
    NOBODY,
    Books,
    Effects,
    Execution,
    Outcome,
    Proposal,
    Record,
    RosterRow,
    execute,
    fold,
    seat,
    split_bond,
    tip,
)
from gradmint.spec.mechanism import round_budget_wei, settle
from gradmint.spec.params import MAX_CHALLENGER_BPS
from gradmint.spec.types import UNSAMPLED, Report, Role, Row, Standing, Verdict

from .synthetic import FAIR, SMALL, account, make_report

hash32 = st.binary(min_size=32, max_size=32)
hash24 = st.binary(min_size=24, max_size=24)
accounts = st.binary(min_size=20, max_size=20)


def uint(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


records = st.builds(
    Record,
    round=uint(16),
    previous=uint(16),
    trainers=uint(16),
    verifiers=uint(8),
    deposited_wei=uint(128),
    active=uint(32),
    revealed=uint(32),
    roster=hash24,
    transcript=hash24,
    reports=st.lists(hash32, max_size=4).map(tuple),
    stakes_wei=st.lists(uint(128), max_size=4).map(tuple),
)
pairs = st.lists(st.tuples(accounts, uint(128)), max_size=3).map(tuple)
effects = st.builds(Effects, slashed=pairs, awaited=st.lists(uint(256), max_size=3).map(tuple), left=pairs)
outcomes = st.builds(
    Outcome,
    root=hash24,
    total_wei=uint(128),
    standings_hash=hash32,
    loss_micronats=uint(32),
    cluster_mask=uint(32),
    weakest=uint(16),
    effects_hash=hash32,
)
proposals = st.builds(Proposal, round=uint(16), proposer=accounts, final_s=uint(40), outcome=outcomes)


def words_hash(numbers: list[int]) -> bytes:
    return keccak(encode_packed(["uint256[]"], [numbers]))


# Hashes


@given(records)
def test_a_records_hash_is_the_packed_encodings(record: Record) -> None:
    types = ["uint16", "uint16", "uint16", "uint8", "uint128", "uint32", "uint32", "bytes24", "bytes24"]
    types += ["bytes32", "bytes32"]
    head = [getattr(record, item.name) for item in fields(record)][:9]
    reports = keccak(encode_packed(["bytes32[]"], [list(record.reports)]))
    packed = encode_packed(types, [*head, reports, words_hash(list(record.stakes_wei))])
    assert record.hash() == keccak(packed)[:30]


@given(effects)
def test_effects_hash_is_of_the_three_lists_hashes(said: Effects) -> None:
    flat = [[int.from_bytes(part) if isinstance(part, bytes) else part for pair in lst for part in pair]
            for lst in (said.slashed, said.left)]  # fmt: skip
    expected = keccak(words_hash(flat[0]) + words_hash(list(said.awaited)) + words_hash(flat[1]))
    assert said.hash() == expected


@given(outcomes)
def test_an_outcome_is_packed_in_114_bytes(outcome: Outcome) -> None:
    types = ["bytes24", "uint128", "bytes32", "uint32", "uint32", "uint16", "bytes32"]
    values = [getattr(outcome, item.name) for item in fields(outcome)]
    assert outcome.pack() == encode_packed(types, values)
    assert len(outcome.pack()) == 114
    assert outcome.hash() == keccak(outcome.pack())


@given(outcomes, outcomes)
def test_outcomes_differ_where_they_differ(one: Outcome, other: Outcome) -> None:
    for item in fields(Outcome):
        changed = replace(one, **{item.name: getattr(other, item.name)})
        assert (changed.hash() == one.hash()) is (changed == one)


@given(st.lists(proposals, max_size=5))
def test_the_tip_is_a_chain_of_hashes(pending: list[Proposal]) -> None:
    expected = (1).to_bytes(32)
    for said in pending:
        types = ["bytes32", "uint16", "address", "uint40", "bytes32"]
        expected = keccak(
            encode_packed(types, [expected, said.round, said.proposer, said.final_s, said.outcome.hash()])
        )
    assert tip(pending) == expected
    assert tip([]) == BASE_TIP != bytes(32)
    if pending:
        assert tip(pending) == fold(tip(pending[:-1]), pending[-1])


@given(st.lists(proposals, min_size=2, max_size=5), st.data())
def test_no_proposal_can_be_altered_dropped_or_moved(pending: list[Proposal], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(pending) - 1))
    other = data.draw(proposals)
    for item in fields(Proposal):
        changed = replace(pending[place], **{item.name: getattr(other, item.name)})
        if changed != pending[place]:
            assert tip([*pending[:place], changed, *pending[place + 1 :]]) != tip(pending)
    assert tip([*pending[:place], *pending[place + 1 :]]) != tip(pending)
    if place and pending[place] != pending[place - 1]:
        swapped = [*pending[: place - 1], pending[place], pending[place - 1], *pending[place + 1 :]]
        assert tip(swapped) != tip(pending)


def test_books_of_nothing() -> None:
    assert Books().standings_hash == keccak(bytes(24))
    assert (Books().total_wei, Books().standings) == (0, ())


@given(hash24, hash24)
def test_the_standings_hash_binds_the_roster(one: bytes, other: bytes) -> None:
    standing = Standing(account(Role.TRAINER, 0), Role.TRAINER)
    books = Books(one, 0, (standing,))
    assert books.standings_hash == keccak(one + standing.pack())
    assert (replace(books, roster=other).standings_hash == books.standings_hash) is (one == other)


# Bonds


@given(uint(128), st.integers(0, MAX_CHALLENGER_BPS), st.data())
def test_a_lost_bond_is_split_and_nothing_is_lost(bond_wei: int, challenger_bps: int, data: st.DataObject) -> None:
    burn_bps = data.draw(st.integers(0, 10_000 - challenger_bps))
    reward_wei, burn_wei, pool_wei = parts = split_bond(bond_wei, challenger_bps, burn_bps)
    assert sum(parts) == bond_wei and min(parts) >= 0
    assert 2 * reward_wei <= bond_wei  # who refutes itself loses half at least
    assert reward_wei == bond_wei * challenger_bps // 10_000
    assert abs(burn_wei * 10_000 - bond_wei * burn_bps) < 10_000
    assert pool_wei * 10_000 >= bond_wei * (10_000 - challenger_bps - burn_bps)


# Seats


def joined(role: Role, index: int, holder: int = 0, stake_wei: int = 1) -> RosterRow:
    return RosterRow(tr.Kind.ADMITTED, role, index, account(role, index, holder), stake_wei)


def exited(role: Role, index: int) -> RosterRow:
    return RosterRow(tr.Kind.RETIRED, role, index)


def test_rows_fold_as_the_events_do() -> None:
    join, leave = joined(Role.VERIFIER, 3, stake_wei=7), exited(Role.TRAINER, 500)
    assert join.row() == tr.admitted_row(Role.VERIFIER, 3, join.account, 7)
    assert leave.row() == tr.retired_row(Role.TRAINER, 500)
    assert [row.pack()[:1] for row in (join, leave)] == [b"\7", b"\x08"]
    assert [len(row.pack()) for row in (join, leave)] == [40, 4]


def test_joins_append_replace_and_say_who_left() -> None:
    old = [
        replace(Standing(account(Role.TRAINER, i), Role.TRAINER), paid_wei=paid_wei, rounds=9, ban_round=99)
        for i, paid_wei in enumerate((5, 0, 7))
    ]
    rows = [
        exited(Role.TRAINER, 2),
        joined(Role.TRAINER, 3),
        joined(Role.TRAINER, 2, 1),
        joined(Role.VERIFIER, 0),
        exited(Role.TRAINER, 2),
        joined(Role.TRAINER, 2, 2),  # twice between two settlements: the one in between was promised nothing
        joined(Role.TRAINER, 1, 1),
    ]
    trainers, verifiers, left = seat(SMALL, old, [], rows)
    assert [standing.account for standing in trainers] == [
        account(Role.TRAINER, 0),
        account(Role.TRAINER, 1, 1),
        account(Role.TRAINER, 2, 2),
        account(Role.TRAINER, 3),
    ]
    assert trainers[0] == old[0]
    assert trainers[2] == Standing(account(Role.TRAINER, 2, 2), Role.TRAINER)
    assert verifiers == [Standing(account(Role.VERIFIER, 0), Role.VERIFIER)]
    assert left == [(account(Role.TRAINER, 2), 7)]  # who was promised nothing is not named


# Re-execution


def record_of(number: int, books: Books, rows: list[RosterRow], reports: list[Report | None], **values: int) -> Record:
    """A committee of all verifiers with a stake of 100 each; ``books`` are those before."""
    roster = books.roster
    for row in rows:
        roster = tr.fold(roster, row.kind, row.row())
    trainers, verifiers, _ = seat(SMALL, books.trainers, books.verifiers, rows)
    stated = {"deposited_wei": 10**12, "previous": 0} | values
    return Record(
        round=number,
        trainers=len(trainers),
        verifiers=len(verifiers),
        active=(1 << len(verifiers)) - 1,
        revealed=sum(1 << v for v, report in enumerate(reports) if report),
        roster=roster,
        transcript=tr.EMPTY,
        reports=tuple(Report.hash(report.pack(), 1) for report in reports if report),
        stakes_wei=(100,) * len(verifiers),
        **stated,
    )


def founders(trainers: int = 3, verifiers: int = 3) -> list[RosterRow]:
    return [joined(Role.TRAINER, i) for i in range(trainers)] + [joined(Role.VERIFIER, i) for i in range(verifiers)]


def first_round() -> tuple[Record, list[RosterRow], list[Report | None]]:
    rows = founders()
    reports: list[Report | None] = [make_report([FAIR, FAIR, Row(Verdict.MISSING, 0, UNSAMPLED)])] * 2 + [None]
    reports[2] = make_report([FAIR] * 3, 1)
    return record_of(1, Books(), rows, reports), rows, reports


def test_execution_is_the_mechanisms() -> None:
    record, rows, reports = first_round()
    execution = execute(SMALL, record, Books(), rows, reports)
    trainers = [Standing(account(Role.TRAINER, i), Role.TRAINER) for i in range(3)]
    verifiers = [Standing(account(Role.VERIFIER, i), Role.VERIFIER) for i in range(3)]
    expected = settle(SMALL, 1, 10**12 // 10, trainers, verifiers, [100] * 3, reports)
    assert execution.settlement == expected and expected.consensus is not None and expected.paid_wei > 0
    books, outcome, did = execution.books, execution.outcome, execution.effects
    assert books == Books(record.roster, expected.paid_wei, expected.trainers, expected.verifiers)
    assert outcome == Outcome(
        root=tree.root(books.standings).hash,
        total_wei=expected.paid_wei,
        standings_hash=books.standings_hash,
        loss_micronats=1_000_000,
        cluster_mask=0b111,
        weakest=NOBODY,
        effects_hash=did.hash(),
    )
    assert did == Effects(slashed=(), awaited=(0b111,), left=())
    assert [did.awaits(i) for i in range(4)] == [True, True, True, False]


def test_what_comes_after_starts_from_what_came_before() -> None:
    record, rows, reports = first_round()
    one = execute(SMALL, record, Books(), rows, reports)
    again = record_of(2, one.books, [], reports, deposited_wei=10**12 + 5)
    two = execute(SMALL, again, one.books, [], reports)
    budget_wei = round_budget_wei(10**12 + 5 - one.outcome.total_wei, 2, SMALL.max_rounds)
    assert two.settlement == settle(SMALL, 2, budget_wei, one.books.trainers, one.books.verifiers, [100] * 3, reports)
    assert two.outcome.total_wei == one.outcome.total_wei + two.settlement.paid_wei


def test_who_missed_two_rounds_or_is_banned_is_awaited_no_more() -> None:
    copied = make_report([FAIR, Row(Verdict.DUPLICATE, 0, UNSAMPLED), Row(Verdict.MISSING, 0, UNSAMPLED)])
    books, rows, words = Books(), founders(), []
    for number in (1, 2):
        execution = execute(SMALL, record_of(number, books, rows, [copied] * 3), books, rows, [copied] * 3)
        books, rows = execution.books, []
        words.append(execution.effects.awaited)
    assert words == [(0b111,), (0b001,)]
    # The last round of a ban: it takes part in the next.
    params, number = replace(SMALL, max_rounds=100), books.trainers[1].ban_round
    execution = execute(params, record_of(number, books, [], [copied] * 3), books, [], [copied] * 3)
    assert execution.effects.awaited == (0b011,)


def test_without_quorum_nothing_is_awaited_anew_and_silence_costs() -> None:
    record, rows, reports = first_round()
    reports = [reports[0], None, None]
    record = record_of(1, Books(), rows, reports)
    execution = execute(SMALL, record, Books(), rows, reports)
    assert execution.effects.awaited == ()
    assert execution.effects.slashed == ((account(Role.VERIFIER, 1), 1), (account(Role.VERIFIER, 2), 1))
    outcome = execution.outcome
    assert (outcome.total_wei, outcome.loss_micronats, outcome.cluster_mask, outcome.weakest) == (0, 0, 0, NOBODY)
    assert len(execution.books.standings) == 6  # seated all the same


def test_a_replaced_holder_is_named_with_what_it_was_promised() -> None:
    record, rows, reports = first_round()
    one = execute(SMALL, record, Books(), rows, reports)
    again = [exited(Role.TRAINER, 0), joined(Role.TRAINER, 0, 1), exited(Role.VERIFIER, 1), joined(Role.VERIFIER, 1, 1)]
    two = execute(SMALL, record_of(2, one.books, again, reports), one.books, again, reports)
    promised = [one.books.trainers[0], one.books.verifiers[1]]
    assert min(standing.paid_wei for standing in promised) > 0
    assert two.effects.left == tuple((standing.account, standing.paid_wei) for standing in promised)
    kept_wei = sum(standing.paid_wei for standing in promised)
    assert two.outcome.total_wei == tree.root(two.books.standings).sum_wei + kept_wei
    assert [standing.rounds for standing in two.books.standings] == [1, 2, 2, 2, 1, 2]
    assert two.books.trainers[0].account == account(Role.TRAINER, 0, 1)


def test_the_weakest_seat_is_in_the_outcome() -> None:
    params = replace(SMALL, immunity_rounds=0)
    record, rows, reports = first_round()
    assert execute(params, record, Books(), rows, reports).outcome.weakest == 2
    assert execute(params, record, Books(), rows, [None] * 3).outcome.weakest == NOBODY


# Long lives


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Execution, Record]]:
    """Rounds over seats that come, go and are given again, honest, lying and silent verifiers, and more funds."""
    params = replace(SMALL, immunity_rounds=draw(st.integers(0, 2)), max_rounds=8)
    books, deposited_wei, holders = Books(), draw(st.integers(0, 10**21)), {}
    lived: list[tuple[Execution, Record]] = []
    rows = founders(draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    for number in range(1, draw(st.integers(2, 6)) + 1):
        for role, count in ((Role.TRAINER, len(books.trainers)), (Role.VERIFIER, len(books.verifiers))):
            for index in draw(st.sets(st.integers(0, count - 1), max_size=2)) if count else ():
                holders[role, index] = holders.get((role, index), 0) + 1
                rows += [exited(role, index), joined(role, index, holders[role, index])]
            if draw(st.booleans()) and count:
                rows.append(joined(role, count))
        trainers, verifiers, _ = seat(SMALL, books.trainers, books.verifiers, rows)
        gains = st.builds(Row, st.sampled_from(Verdict), st.integers(-1_000, 1_000), st.integers(-1_000, 1_000))
        honest = make_report(draw(st.lists(gains, min_size=len(trainers), max_size=len(trainers))))
        lie = replace(honest, words=(2**256 - 1,))
        reports = [draw(st.sampled_from([honest, honest, honest, lie, None])) for _ in verifiers]
        previous = lived[-1][1].round if lived else 0
        record = record_of(number, books, rows, reports, deposited_wei=deposited_wei, previous=previous)
        execution = execute(params, record, books, rows, reports)
        lived.append((execution, record))
        books, rows = execution.books, []
        deposited_wei += draw(st.integers(0, 10**9))
    return lived


@settings(max_examples=60)
@given(histories())
def test_totals_never_shrink_and_are_never_above_what_was_deposited(lived: list[tuple[Execution, Record]]) -> None:
    for (before, _), (after, record) in pairwise(lived):
        assert before.outcome.total_wei <= after.outcome.total_wei <= record.deposited_wei


@settings(max_examples=60)
@given(histories())
def test_what_was_promised_is_in_the_tree_or_kept_for_who_left(lived: list[tuple[Execution, Record]]) -> None:
    kept: dict[bytes, int] = {}
    ever: dict[bytes, int] = {}
    for execution, _ in lived:
        for who, cumulative_wei in execution.effects.left:
            assert who not in kept  # one seat per account, for good
            kept[who] = cumulative_wei
        books, outcome = execution.books, execution.outcome
        assert outcome.total_wei == tree.root(books.standings).sum_wei + sum(kept.values())
        assert outcome.standings_hash == books.standings_hash
        for standing in books.standings:
            assert standing.account not in kept
            assert standing.paid_wei >= ever.get(standing.account, 0)
            ever[standing.account] = standing.paid_wei
        assert all(ever[who] == wei for who, wei in kept.items())  # nobody loses what it had by leaving


@settings(max_examples=30)
@given(histories(), st.data())
def test_a_chain_of_proposals_stands_or_falls_with_its_rounds(
    lived: list[tuple[Execution, Record]], data: st.DataObject
) -> None:
    """Cutting a false one and all behind it leaves the tip that those before it had."""
    pending = [
        Proposal(round=record.round, proposer=bytes(20), final_s=number, outcome=execution.outcome)
        for number, (execution, record) in enumerate(lived)
    ]
    assert len(pending) <= MAX_PENDING
    place = data.draw(st.integers(0, len(pending) - 1))
    false = replace(pending[place], outcome=replace(pending[place].outcome, total_wei=2**128 - 1))
    tips = [tip(pending[:k]) for k in range(len(pending) + 1)]
    assert len(set(tips)) == len(tips)
    said = [*pending[:place], false, *pending[place + 1 :]]
    assert tip(said) not in tips
    assert tip(said[:place]) == tips[place]


@pytest.mark.parametrize("words", [0, 1, 2])
def test_awaited_words(words: int) -> None:
    said = Effects(slashed=(), awaited=(1 << 255, 1)[:words], left=())
    expected = [i for i, word in ((255, 1), (256, 2)) if word <= words]
    assert [i for i in range(256 * words) if said.awaits(i)] == expected
