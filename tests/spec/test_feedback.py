"""From standings to endorsements to the graph: in any order, cut into rows in any way."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.spec.errors import MalformedGraph
from gradmint.spec.feedback import ROUND_UNITS, Endorsement, build, decay_q32, founders, from_edges, harvest
from gradmint.spec.types import ONE_Q32, UNSAMPLED, Role, Row, Standing, Verdict

from .graphs import account as person
from .synthetic import FAIR, Script, account, make_report

people = st.integers(0, 5).map(person)
drawn = st.lists(st.builds(Endorsement, people, people, st.integers(1, 2**20), st.integers(0, 1_000)), max_size=40)


@given(drawn, st.randoms(use_true_random=False), st.sampled_from([0, 1_000]))
def test_order_changes_nothing(rows: list[Endorsement], random: Any, gamma_bps: int) -> None:
    graph = build(rows, epoch=1_000, gamma_bps=gamma_bps)
    random.shuffle(rows)
    again = build(rows, epoch=1_000, gamma_bps=gamma_bps)
    assert again == graph and again.digest == graph.digest
    # One row in two changes nothing either.
    halves = [
        part
        for one in rows
        for part in (replace(one, weight=one.weight // 2), replace(one, weight=-(-one.weight // 2)))
    ]
    assert build(halves, epoch=1_000, gamma_bps=gamma_bps) == graph


@given(drawn)
def test_the_graph_is_canonical(rows: list[Endorsement]) -> None:
    graph = build(rows, accounts=[person(9)])
    assert list(graph.accounts) == sorted({*graph.accounts}) and person(9) in graph.accounts
    for source in range(len(graph)):
        targets = [target for target, _ in graph.row(source)]
        assert targets == sorted({*targets}) and source not in targets
        assert all(weight > 0 for _, weight in graph.row(source)) and graph.totals[source] < 2**32
        for target, weight in graph.row(source):
            assert graph.weight(source, target) == weight and source in graph.sources[target]


def test_anything_changes_the_digest() -> None:
    rows = [Endorsement(person(1), person(2), 5, 0), Endorsement(person(1), person(3), 6, 0)]
    graphs = [
        build(rows),
        build(rows[:1]),
        build([rows[0], replace(rows[1], weight=7)]),
        build([*rows, Endorsement(person(2), person(3), 1, 0)]),
        build(rows, accounts=[person(4)]),
    ]
    assert len({graph.digest for graph in graphs}) == len(graphs)


def test_old_words_fade_where_that_is_asked_for() -> None:
    rows = [Endorsement(person(1), person(2), 1_000, 0), Endorsement(person(1), person(3), 1_000, 2)]
    faded = build(rows, epoch=2, gamma_bps=1_000)
    assert (faded.weight(0, 1), faded.weight(0, 2)) == (809, 1_000)  # 0.9 twice in Q32, rounded down, then 1,000 of it
    plain = build(rows, epoch=2)
    assert plain.weight(0, 1) == plain.weight(0, 2) == 1_000


def test_decay_is_rounded_down_at_every_step() -> None:
    decays = [decay_q32(1_000, epochs) for epochs in range(400)]
    assert decays[0] == ONE_Q32 and decays[1] == ONE_Q32 * 9 // 10 and decays[-1] == 0
    assert all(b <= a * 9 // 10 for a, b in pairwise(decays))
    assert decay_q32(0, 10**9) == ONE_Q32


def test_heavy_rows_are_scaled_and_light_edges_of_theirs_go_first() -> None:
    graph = from_edges({(person(0), person(1)): 1, (person(0), person(2)): 2**40, (person(1), person(2)): 1})
    assert list(graph.row(0)) == [(2, 2**31)]
    assert list(graph.row(1)) == [(2, 1)]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(MalformedGraph, match="20"):
        from_edges({(b"short", person(1)): 1})
    with pytest.raises(MalformedGraph, match="-1"):
        from_edges({(person(0), person(1)): -1})


# Harvests


def trainer(number: int, value_q32: int, rounds: int = 5, ban_round: int = 0) -> Standing:
    return Standing(person(number), Role.TRAINER, rounds=rounds, value_q32=value_q32, ban_round=ban_round)


def verifier(number: int, value_q32: int = ONE_Q32, rounds: int = 5) -> Standing:
    return Standing(person(number), Role.VERIFIER, rounds=rounds, value_q32=value_q32)


TEAM = [trainer(1, ONE_Q32), trainer(2, 3 * ONE_Q32)]
PANEL = [verifier(8), verifier(9)]
SEATED = {person(8), person(9)}


def test_rounds_are_shared_by_running_value() -> None:
    found = harvest(TEAM, PANEL, SEATED, 5, 2)
    assert found is not None and found.new_rounds == 3 and found.endorsers == (person(8), person(9))
    assert found.rows == ((person(1), 3 * ROUND_UNITS // 4), (person(2), 9 * ROUND_UNITS // 4))


@pytest.mark.parametrize(
    ("trainers", "verifiers", "seated", "harvested"),
    [
        (TEAM, PANEL, SEATED, 5),  # nothing new
        (TEAM, PANEL, SEATED, 6),
        (TEAM, PANEL, set(), 0),  # nobody is seated who agrees
        (TEAM, [verifier(8, 0)], SEATED, 0),
        (TEAM, [], SEATED, 0),
        ([trainer(1, 0)], PANEL, SEATED, 0),  # nobody gained
        ([trainer(1, ONE_Q32, ban_round=7)], PANEL, SEATED, 0),
        ([], PANEL, SEATED, 0),
    ],
)
def test_nothing_is_harvested_where_nothing_is_new_or_nobody_counts(
    trainers: list[Standing], verifiers: list[Standing], seated: set[bytes], harvested: int
) -> None:
    assert harvest(trainers, verifiers, seated, 7, harvested) is None


def test_a_ban_counts_until_it_is_over() -> None:
    team = [*TEAM, trainer(3, 4 * ONE_Q32, ban_round=7)]
    assert harvest(team, PANEL, SEATED, 7, 0) == harvest(TEAM, PANEL, SEATED, 7, 0)
    after = harvest(team, PANEL, SEATED, 8, 0)
    assert after is not None and dict(after.rows)[person(3)] == 5 * ROUND_UNITS // 2


def test_who_has_said_too_much_is_left_out_and_dust_is_no_row() -> None:
    given_units = 5 * ROUND_UNITS
    just, over = 2**32 - 1 - given_units, 2**32 - given_units
    found = harvest(TEAM, PANEL, SEATED, 5, 0, {person(8): just, person(9): over})
    assert found is not None and found.endorsers == (person(8),)
    assert harvest(TEAM, PANEL, SEATED, 5, 0, {person(8): over, person(9): over}) is None
    dusty = harvest([*TEAM, trainer(3, 1)], PANEL, SEATED, 5, 0)
    assert dusty is not None and [account for account, _ in dusty.rows] == [person(1), person(2)]


@given(st.lists(st.integers(0, 2**42), min_size=1, max_size=20), st.integers(1, 65_535), st.integers(0, 65_535))
def test_splitting_a_value_adds_no_weight(values: list[int], rounds: int, harvested: int) -> None:
    team = [trainer(k, value_q32, rounds) for k, value_q32 in enumerate(values)]
    found = harvest(team, [verifier(99, rounds=1)], {person(99)}, 1, harvested)
    total, units = sum(values), ROUND_UNITS * (rounds - harvested)
    assert (found is None) == (units <= 0 or not any(value_q32 * units // total for value_q32 in values if value_q32))
    if found is None:
        return
    assert found.new_rounds == rounds - harvested and sum(weight for _, weight in found.rows) <= units
    halves = [
        part
        for k, v in enumerate(values)
        for part in (trainer(2 * k, v // 2, rounds), trainer(2 * k + 1, v - v // 2, rounds))
    ]
    split = harvest(halves, [verifier(99, rounds=1)], {person(99)}, 1, harvested)
    weights, parts = dict(found.rows), dict(split.rows) if split else {}
    for k in range(len(values)):
        both = parts.get(person(2 * k), 0) + parts.get(person(2 * k + 1), 0)
        assert both <= weights.get(person(k), 0)


LOSER = Row(Verdict.OK, -500, UNSAMPLED)
BETTER = Row(Verdict.OK, 3_000, UNSAMPLED)


def test_a_played_run_is_harvested_by_its_cluster() -> None:
    script = Script()
    script.open_round(trainers=3)
    script.play({0, 1, 2, 3}, make_report((FAIR, BETTER, LOSER)), {3})
    books, seated = script.ledger.final, {account(Role.VERIFIER, v) for v in range(4)}
    found = harvest(books.trainers, books.verifiers, seated, 1, 0)
    assert found is not None
    assert found.endorsers == tuple(account(Role.VERIFIER, v) for v in range(3))  # the fourth lies
    weights = dict(found.rows)
    assert weights.keys() == {account(Role.TRAINER, 0), account(Role.TRAINER, 1)}
    assert weights[account(Role.TRAINER, 1)] == 3 * ROUND_UNITS // 4


def test_nobody_becomes_a_founder_later() -> None:
    script = Script()
    script.open_round(trainers=2)
    script.play({0, 1, 2, 3}, make_report((FAIR, BETTER)))
    first = founders(script.ledger)
    assert first == tuple(account(Role.VERIFIER, v) for v in range(4))
    script.admit(Role.VERIFIER)
    script.open_round(trainers=2, verifiers=5)
    script.play({0}, make_report((FAIR, LOSER)))
    assert founders(script.ledger) == first
    script.admit(Role.VERIFIER, index=2)  # somebody else has the seat; the founder stays one
    assert founders(script.ledger) == first
