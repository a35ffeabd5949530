"""From events to the graph: final rounds and locked stakes alone, in any order, cut into rows in any way."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.spec.errors import MalformedGraph
from gradmint.spec.feedback import ROUND_UNITS, Vouch, Work, banned, build, founders, from_edges, slashable, works
from gradmint.spec.params import Params
from gradmint.spec.reputation_params import STANDARD_REPUTATION
from gradmint.spec.types import UNSAMPLED, Role, Row, Verdict

from .graphs import account as person
from .synthetic import FAIR, PROPOSING, SMALL, Script, account, make_report, replay

people = st.integers(0, 5).map(person)
rows_of_work = st.lists(
    st.builds(Work, people, people, st.integers(1, ROUND_UNITS), st.integers(0, 10**6)), max_size=30
)
rows_of_vouches = st.lists(st.builds(Vouch, people, people, st.integers(1, 10**19)), max_size=10)
DECAYING = replace(STANDARD_REPUTATION, gamma_bps=1_000, epoch_blocks=1_000)


@given(
    rows_of_work, rows_of_vouches, st.randoms(use_true_random=False), st.sampled_from([STANDARD_REPUTATION, DECAYING])
)
def test_order_changes_nothing(work: list[Work], vouches: list[Vouch], random, params) -> None:  # type: ignore[no-untyped-def]
    graph = build(work, vouches, params, block=10**6)
    random.shuffle(work)
    random.shuffle(vouches)
    again = build(work, vouches, params, block=10**6)
    assert again == graph and again.digest == graph.digest
    # One row of work in two changes nothing either.
    halves = [
        part for one in work for part in (replace(one, units=one.units // 2), replace(one, units=-(-one.units // 2)))
    ]
    assert build(halves, vouches, params, block=10**6) == graph


@given(rows_of_work, rows_of_vouches)
def test_the_graph_is_canonical(work: list[Work], vouches: list[Vouch]) -> None:
    graph = build(work, vouches, STANDARD_REPUTATION, accounts=[person(9)])
    assert list(graph.accounts) == sorted({*graph.accounts}) and person(9) in graph.accounts
    for source in range(len(graph)):
        targets = [target for target, _ in graph.row(source)]
        assert targets == sorted({*targets}) and source not in targets
        assert all(weight > 0 for _, weight in graph.row(source)) and graph.totals[source] < 2**32
        for target, weight in graph.row(source):
            assert graph.weight(source, target) == weight and source in graph.sources[target]


def test_anything_changes_the_digest() -> None:
    work = [Work(person(1), person(2), 5, 10), Work(person(1), person(3), 6, 11)]
    graphs = [
        build(work, [], STANDARD_REPUTATION),
        build(work[:1], [], STANDARD_REPUTATION),
        build([work[0], replace(work[1], units=7)], [], STANDARD_REPUTATION),
        build([work[0], replace(work[1], trainer=person(4))], [], STANDARD_REPUTATION),
        build(work, [], STANDARD_REPUTATION, accounts=[person(4)]),
        build(work, [Vouch(person(2), person(3), 10**18)], STANDARD_REPUTATION),
    ]
    assert len({graph.digest for graph in graphs}) == len(graphs)
    assert graphs[0].digest.hex() == build(work[::-1], [], STANDARD_REPUTATION).digest.hex()


def test_a_vouch_weighs_what_its_stake_pays_for() -> None:
    graph = build([], [Vouch(person(1), person(2), 3 * 10**18), Vouch(person(1), person(3), 1)], STANDARD_REPUTATION)
    assert graph.weight(0, 1) == 3 * ROUND_UNITS
    assert graph.weight(0, 2) == 0  # too little to weigh anything; the account is known


def test_old_work_fades_where_that_is_asked_for() -> None:
    work = [Work(person(1), person(2), 1_000, 0), Work(person(1), person(3), 1_000, 2_000)]
    faded = build(work, [], DECAYING, block=2_999)
    assert (faded.weight(0, 1), faded.weight(0, 2)) == (809, 1_000)  # 0.9 twice in Q32, rounded down, then 1,000 of it
    plain = build(work, [], STANDARD_REPUTATION, block=2_999)
    assert plain.weight(0, 1) == plain.weight(0, 2) == 1_000


def test_heavy_rows_are_scaled_and_light_edges_of_theirs_go_first() -> None:
    graph = from_edges({(person(0), person(1)): 1, (person(0), person(2)): 2**40, (person(1), person(2)): 1})
    assert list(graph.row(0)) == [(2, 2**31)]
    assert list(graph.row(1)) == [(2, 1)]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(MalformedGraph, match="20"):
        from_edges({(b"short", person(1)): 1})
    with pytest.raises(MalformedGraph, match="-1"):
        from_edges({(person(0), person(1)): -1})


def test_a_slashable_vouch_is_one_for_the_banned() -> None:
    vouches = [Vouch(person(3), person(2), 7), Vouch(person(1), person(2), 5), Vouch(person(1), person(4), 5)]
    assert slashable(vouches, frozenset({person(2)})) == [vouches[1], vouches[0]]


LOSER = Row(Verdict.OK, -500, UNSAMPLED)
CHEAT = Row(Verdict.DUPLICATE, 900, UNSAMPLED)
BETTER = Row(Verdict.OK, 3_000, UNSAMPLED)
ROWS = (FAIR, BETTER, LOSER, CHEAT)


def played(params: Params = SMALL, rounds: int = 1, liars: frozenset[int] = frozenset({3})) -> Script:
    script = Script(params)
    for _ in range(rounds):
        script.open_round(trainers=len(ROWS))
        script.play({0, 1, 2, 3}, make_report(ROWS), set(liars))
    return script


def test_work_is_of_the_cluster_and_of_who_gained() -> None:
    found = works(played().ledger)
    assert {work.verifier for work in found} == {account(Role.VERIFIER, v) for v in range(3)}  # the fourth lies
    units = {work.trainer: work.units for work in found}
    assert units == {account(Role.TRAINER, 0): ROUND_UNITS // 4, account(Role.TRAINER, 1): 3 * ROUND_UNITS // 4}
    assert len(found) == 6


def test_a_round_without_quorum_is_no_work() -> None:
    assert works(played(liars=frozenset({2, 3})).ledger) == []


def test_what_is_pending_is_no_work_until_it_is_final() -> None:
    script = played(PROPOSING)
    assert works(script.ledger) == []
    script.propose(1)
    assert works(script.ledger) == []
    script.finalise()
    assert len(works(script.ledger)) == 6


def test_rounds_add_up_and_strangers_rebuild_the_same_graph() -> None:
    script = played(rounds=3)
    graph = build(works(script.ledger), [], STANDARD_REPUTATION)
    assert build(works(replay(script.events)), [], STANDARD_REPUTATION).digest == graph.digest
    verifier = graph.find(account(Role.VERIFIER, 0))
    assert verifier is not None and graph.totals[verifier] == 3 * ROUND_UNITS


def test_who_is_banned_by_a_round_is_known_from_it() -> None:
    script = played()
    assert banned(script.ledger) == frozenset()
    script.open_round(trainers=len(ROWS))
    script.play({0, 1, 2, 3}, make_report(ROWS))
    assert banned(script.ledger) == {account(Role.TRAINER, 3)}  # DUPLICATE twice
    script.open_round(trainers=len(ROWS))
    script.play({0, 1, 2, 3}, make_report((FAIR, BETTER, LOSER, BETTER)))
    assert account(Role.TRAINER, 3) not in {work.trainer for work in works(script.ledger)}


def test_nobody_becomes_a_founder_later() -> None:
    script = played()
    first = founders(script.ledger)
    assert first == tuple(account(Role.VERIFIER, v) for v in range(4))
    script.admit(Role.VERIFIER)
    script.open_round(trainers=len(ROWS), verifiers=5)
    script.play({0}, make_report((FAIR, LOSER, LOSER, LOSER)))
    assert founders(script.ledger) == first
    script.admit(Role.VERIFIER, index=2)  # somebody else has the seat; the founder stays one
    assert founders(script.ledger) == first
