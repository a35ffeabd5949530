"""A witness shows the truth, and nothing above it: against rational numbers and every subset tried."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.spec import reputation as rep
from gradmint.spec.errors import WitnessRefused
from gradmint.spec.reputation_params import STANDARD_REPUTATION
from gradmint.spec.witness import MAX_NODES, Kept, Node, Panel, Witness, check, compose
from gradmint.study.scribe import Scribe

from .graphs import account as person
from .graphs import exact_visits, least_cut
from .histories import histories

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "witness.json").read_text())

cuts = st.integers(0, 2)


def held(scribe: Scribe, witness: Witness, cut: int, account: bytes, hits: int, paths: int) -> None:
    check(witness, Kept.of(scribe.book, witness, cut), scribe.book.params, account, cut, hits, paths)


def shown_paths(scribe: Scribe, cut: int, subject: int) -> tuple[list[list[bytes]], int]:
    """Disjoint paths of the graph, by name; and c."""
    graph, most = scribe.book.graph(cut), scribe.book.params.max_paths
    seeds = graph.among(scribe.book.seeds)
    paths, _ = rep.disjoint_paths(graph, seeds, subject, most)
    return [[graph.accounts[place] for place in path] for path in paths], rep.connectivity(graph, seeds, subject, most)


@given(histories(), cuts, st.data())
def test_the_truth_passes_on_any_accounts_that_are_named(scribe: Scribe, cut: int, data: st.DataObject) -> None:
    """F^k(0) for any k, by a plain model of F; cycles included."""
    book, graph = scribe.book, scribe.book.graph(cut)
    subject = data.draw(st.integers(0, len(graph) - 1))
    others = data.draw(st.sets(st.sampled_from(range(len(graph)))), label="named") - {subject}
    account, named = graph.accounts[subject], [graph.accounts[place] for place in sorted({subject, *others})]
    final = compose(book, account, cut, named)
    held(scribe, final, cut, account, final.nodes[0].visits, 0)
    places = [graph.find(node.account) for node in final.nodes]
    seeds, visits = graph.among(book.seeds), [0] * len(graph)
    for _ in range(data.draw(st.integers(1, 12), label="k")):
        after = [
            a + b for a, b in zip(rep.start(graph, seeds), rep.step(graph, visits, book.params, subject), strict=True)
        ]
        visits = [count if place in places else 0 for place, count in enumerate(after)]
    nodes = tuple(replace(node, visits=visits[place or 0]) for node, place in zip(final.nodes, places, strict=True))
    assert all(a.visits <= b.visits for a, b in zip(nodes, final.nodes, strict=True))
    held(scribe, replace(final, nodes=nodes), cut, account, nodes[0].visits, 0)


@given(histories(most=6), cuts, st.data())
def test_what_passes_is_not_above_the_truth(scribe: Scribe, cut: int, data: st.DataObject) -> None:
    """Whatever visits and paths are claimed, near the truth or far from it."""
    book, graph = scribe.book, scribe.book.graph(cut)
    subject = data.draw(st.integers(0, len(graph) - 1))
    account, seeds = graph.accounts[subject], graph.among(book.seeds)
    honest = compose(book, account, cut, graph.accounts)
    moved = data.draw(st.lists(st.integers(-3, 3), min_size=len(graph), max_size=len(graph)))
    scale = data.draw(st.sampled_from([1, 1, 2**20, 2**50]))
    nodes = tuple(
        replace(node, visits=max(0, node.visits + scale * by)) for node, by in zip(honest.nodes, moved, strict=True)
    )
    indices = st.binary(min_size=1, max_size=4).map(lambda path: bytes(one % len(graph) for one in path))
    paths = tuple(data.draw(st.lists(indices, max_size=3)))
    hits, claimed = nodes[0].visits, data.draw(st.integers(0, book.params.max_paths))
    try:
        held(scribe, Witness(nodes, honest.panels, paths), cut, account, hits, claimed)
    except WitnessRefused:
        pass
    else:
        exact = exact_visits(graph, seeds, book.params, mute=subject)
        for node in nodes:
            assert node.visits <= exact[graph.accounts.index(node.account)] * rep.ONE_MASS
        assert hits <= rep.most_hits(graph, seeds, book.params, subject)
        most = book.params.max_paths
        assert claimed <= (most if subject in seeds else least_cut(graph, seeds, subject, most))


@given(histories(), cuts, st.data())
def test_with_all_named_it_shows_all_there_is(scribe: Scribe, cut: int, data: st.DataObject) -> None:
    """To the bit what stands still on the graph; one visit more anywhere is refused."""
    book, graph = scribe.book, scribe.book.graph(cut)
    subject, seeds = data.draw(st.integers(0, len(graph) - 1)), graph.among(book.seeds)
    account = graph.accounts[subject]
    paths, c = shown_paths(scribe, cut, subject)
    witness = compose(book, account, cut, graph.accounts, paths)
    hits, settled = witness.nodes[0].visits, rep.settled(graph, seeds, book.params, mute=subject)
    assert [node.visits for node in witness.nodes] == [
        settled[graph.accounts.index(node.account)] for node in witness.nodes
    ]
    held(scribe, witness, cut, account, hits, c)
    assert rep.hits(graph, seeds, book.params, subject) <= hits <= rep.most_hits(graph, seeds, book.params, subject)
    with pytest.raises(WitnessRefused, match="TooManyVisits"):
        held(scribe, witness, cut, account, hits + 1, 0)
    if c < book.params.max_paths:
        with pytest.raises(WitnessRefused, match="TooFewPaths"):
            held(scribe, witness, cut, account, hits, c + 1)


@given(histories(), st.data())
def test_what_the_subject_says_changes_nothing(scribe: Scribe, data: st.DataObject) -> None:
    """Its own row: vouching for whoever leads back to it, with however much."""
    book = scribe.book
    account = data.draw(st.sampled_from(sorted(book.entries) or [person(0)]))
    cut = scribe.epoch
    before = compose(book, account, cut, book.graph(cut).accounts)
    for other in data.draw(st.sets(st.sampled_from([person(number) for number in range(12)]))):
        if other != account and (account, other) not in book.vouches:
            scribe.vouch(account, other, data.draw(st.integers(10**18, 10**22)))
    after = compose(book, account, cut, book.graph(cut).accounts)
    assert after.nodes[0].visits == before.nodes[0].visits
    held(scribe, after, cut, account, before.nodes[0].visits, 0)


@given(histories(), cuts, st.data())
def test_later_words_change_nothing(scribe: Scribe, cut: int, data: st.DataObject) -> None:
    """Of epochs after the cut: a witness needs the longer lists, and shows the same."""
    account = data.draw(st.sampled_from(scribe.book.graph(cut).accounts))
    names = scribe.book.graph(cut).accounts
    before = compose(scribe.book, account, cut, names)
    old = [node.heard for node in before.nodes]
    scribe.vouch(person(50), account, 10**21)
    after = compose(scribe.book, account, cut, names)
    assert [node.visits for node in after.nodes] == [node.visits for node in before.nodes]
    held(scribe, after, cut, account, after.nodes[0].visits, 0)
    assert after.nodes[0].heard[: len(old[0])] == old[0] and len(after.nodes[0].heard) == len(old[0]) + 12
    with pytest.raises(WitnessRefused, match="HeardMismatch"):
        held(scribe, before, cut, account, before.nodes[0].visits, 0)


def test_the_limit_of_nodes_holds() -> None:
    scribe = Scribe(STANDARD_REPUTATION, [person(0)])
    scribe.vouch(person(0), person(1), 10**18)
    witness = compose(scribe.book, person(1), 0, [person(0), *(person(k) for k in range(2, MAX_NODES))])
    assert len(witness.nodes) == MAX_NODES
    held(scribe, witness, 0, person(1), rep.ONE_MASS * 85 // 100 - 4096, 0)
    longer = replace(witness, nodes=(*witness.nodes, Node(person(999), 0, b"")))
    with pytest.raises(WitnessRefused, match="MalformedNodes"):
        held(scribe, longer, 0, person(1), 0, 0)


def test_one_step_of_a_walk_by_hand() -> None:
    """A seed with two words of 3 and 1: three quarters of 0.85 go to the first, rounded down once."""
    scribe = Scribe(STANDARD_REPUTATION, [person(0)])
    scribe.vouch(person(0), person(1), 3 * 10**18)
    scribe.vouch(person(0), person(2), 10**18)
    witness = compose(scribe.book, person(1), 0, [person(0)], [[person(0), person(1)]])
    share = rep.ONE_MASS * 8_500 // (10_000 * 4 * 4_096)
    assert witness.nodes[0].visits == share * 3 * 4_096
    assert abs(Fraction(witness.nodes[0].visits, rep.ONE_MASS) - Fraction(85 * 3, 400)) < Fraction(1, 2**40)
    assert witness.panels == (Panel(1, (person(0),), b"\x02"),) and witness.paths == (b"\x01\x00",)
    held(scribe, witness, 0, person(1), witness.nodes[0].visits, STANDARD_REPUTATION.max_paths)


# The contract's answers are the same: tests/contracts replays these


def decode(encoded: bytes) -> Witness:
    """abi.decode, to see that :meth:`Witness.encode` says everything."""

    def number(at: int) -> int:
        return int.from_bytes(encoded[at : at + 32], "big")

    def members(at: int) -> Sequence[int]:
        """Where the elements of an array of dynamic ones begin."""
        return [at + 32 + number(at + 32 + 32 * k) for k in range(number(at))]

    def octets(at: int) -> bytes:
        return encoded[at + 32 : at + 32 + number(at)]

    def addresses(at: int) -> tuple[bytes, ...]:
        return tuple(encoded[at + 44 + 32 * k : at + 64 + 32 * k] for k in range(number(at)))

    at = number(0)
    nodes, panels, paths = (members(at + number(at + 32 * k)) for k in range(3))
    return Witness(
        tuple(Node(encoded[n + 12 : n + 32], number(n + 32), octets(n + number(n + 64))) for n in nodes),
        tuple(Panel(number(p), addresses(p + number(p + 32)), octets(p + number(p + 64))) for p in panels),
        tuple(octets(path) for path in paths),
    )


@given(histories(most=5), cuts)
def test_encoding_says_everything(scribe: Scribe, cut: int) -> None:
    graph = scribe.book.graph(cut)
    paths, _ = shown_paths(scribe, cut, len(graph) - 1)
    witness = compose(scribe.book, graph.accounts[-1], cut, graph.accounts, paths)
    assert decode(witness.encode()) == witness and len(witness.encode()) % 32 == 0


def plain(value: Any) -> Any:
    return int(value) if not str(value).startswith("0x") else bytes.fromhex(value[2:])


@pytest.mark.parametrize("vector", VECTORS["checks"], ids=lambda vector: vector["name"])
def test_vectors_hold(vector: dict[str, Any]) -> None:
    witness = decode(bytes.fromhex(vector["witness"][2:]))
    names = [node.account for node in witness.nodes]
    fillers = {b"\xff" * 18 + k.to_bytes(2, "big") for k in range(vector["seeds"])}  # seeds that the witness leaves out
    seeds = {name for name, is_seed in zip(names, vector["is_seed"], strict=True) if is_seed}
    kept = Kept(
        dict(zip(names, map(plain, vector["heard"]), strict=True)),
        dict(zip(names, vector["said"], strict=True)),
        dict(zip([panel.id for panel in witness.panels], map(plain, vector["panels"]), strict=True)),
        frozenset([*seeds, *sorted(fillers - seeds)][: vector["seeds"]] if len(seeds) <= vector["seeds"] else seeds),
    )
    params = replace(STANDARD_REPUTATION, alpha_bps=vector["alpha_bps"], max_paths=vector["max_paths"])
    operands = params, plain(vector["account"]), vector["cut"], int(vector["hits"]), vector["paths"]
    if vector["error"] is None:
        check(witness, kept, *operands)
        return
    with pytest.raises(WitnessRefused) as caught:
        check(witness, kept, *operands)
    assert caught.value.name == vector["error"]
    assert list(caught.value.operands) == [plain(operand) for operand in vector["operands"]]


def test_vectors_meet_every_error() -> None:
    met = {vector["error"] for vector in VECTORS["checks"]}
    assert met == {
        *(None, "MalformedNodes", "HeardMismatch", "PanelMismatch", "MalformedPanel"),
        *("TooManyVisits", "MalformedPath", "TooFewPaths"),
    }
