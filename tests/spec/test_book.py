"""Endorsements, money and ratings, folded from rows; and that rows which contradict each other are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.spec import reputation as rep
from gradmint.spec.book import DEAD, LAPSE_EPOCHS, Book
from gradmint.spec.endorsements import (
    Deposited,
    Entry,
    Harvested,
    RatingChallenged,
    RatingFinal,
    RatingProposed,
    RatingProven,
    RatingRefuted,
    Reclaimed,
    ReputationEvent,
    Unvouched,
    Vouched,
    VouchSlashed,
    Withdrawn,
    heard_hash,
)
from gradmint.spec.errors import EndorsementsBroken
from gradmint.spec.feedback import ROUND_UNITS
from gradmint.spec.keccak import keccak256
from gradmint.spec.reputation_params import STANDARD_REPUTATION as PARAMS
from gradmint.study.scribe import Scribe

from .graphs import account as person
from .histories import histories

SEED, ANN, BOB, EVE = (person(number) for number in range(1, 5))
TOKEN = 10**18


def edges(scribe: Scribe, cut: int) -> dict[tuple[bytes, bytes], int]:
    graph = scribe.book.graph(cut)
    return {
        (graph.accounts[source], graph.accounts[target]): weight
        for source in range(len(graph))
        for target, weight in graph.row(source)
    }


def test_a_graph_is_what_stood_at_the_end_of_its_epoch() -> None:
    scribe = Scribe(PARAMS, [SEED])
    scribe.harvest(1, [SEED, BOB], {ANN: 3_000, EVE: 1})
    scribe.vouch(ANN, BOB, 2 * TOKEN)
    scribe.vouch(SEED, BOB, TOKEN)
    scribe.unvouch(SEED, BOB)
    scribe.wait()
    scribe.harvest(1, [SEED], {ANN: 500})
    scribe.unvouch(ANN, BOB)
    work = {(SEED, ANN): 3_000, (SEED, EVE): 1, (BOB, ANN): 3_000, (BOB, EVE): 1}
    assert edges(scribe, 0) == {**work, (ANN, BOB): 2 * ROUND_UNITS}
    assert edges(scribe, 1) == {**work, (SEED, ANN): 3_500}
    assert scribe.book.said_until(ANN, 0) == 2 * ROUND_UNITS and scribe.book.said_until(ANN, 1) == 0
    assert scribe.book.harvested_rounds == {1: 2} and scribe.book.known_until(0) == 3


@given(histories())
def test_every_cut_is_the_history_told_until_then(scribe: Scribe) -> None:
    for cut in range(scribe.epoch):
        early = Book(scribe.book.params, scribe.book.seeds)
        for event in scribe.events:
            if event.position[0] // early.params.epoch_blocks <= cut:
                early.apply(event)
        graph = early.graph(10**6)
        # What is only heard of later is no account of the earlier graph; it has no edges in the later one's cut.
        assert {pair: w for pair, w in edges(scribe, cut).items()} == {
            (graph.accounts[s], graph.accounts[t]): w for s in range(len(graph)) for t, w in graph.row(s)
        }
        for place, name in enumerate(graph.accounts):
            assert scribe.book.said_until(name, cut) == early.said_until(name, 10**6) == graph.totals[place]
        assert scribe.book.known_until(cut) == len(early.entries)


def test_entries_hash_as_the_contract_does() -> None:
    first, second = Entry(7, 1, 5), Entry(8, 1, 5, is_end=True)
    assert first.pack() == bytes.fromhex("000000070000000100000005")
    assert second.pack() == bytes.fromhex("000000088000000100000005") and Entry.unpack(second.pack()) == second
    once = keccak256(bytes(32) + first.pack())
    assert heard_hash(b"") == bytes(32) and heard_hash(first.pack()) == once
    assert heard_hash(first.pack() + second.pack()) == keccak256(once + second.pack())


def rated(scribe: Scribe) -> int:
    scribe.harvest(1, [SEED], {ANN: ROUND_UNITS})
    scribe.wait()
    hits = rep.ONE_MASS * 85 // 100
    scribe.propose(ANN, hits, PARAMS.max_paths)
    return hits


def test_a_rating_that_nobody_doubts_counts_for_three_epochs() -> None:
    scribe = Scribe(PARAMS, [SEED])
    hits, book = rated(scribe), scribe.book
    expected = rep.rating_q32(rep.score(hits, 4, PARAMS), rep.reference(1, PARAMS))
    assert book.rating_of(ANN, 1) == 0
    scribe.pass_blocks(PARAMS.challenge_blocks)
    scribe.finalise(ANN)
    assert [book.rating_of(ANN, epoch) for epoch in (1, LAPSE_EPOCHS, LAPSE_EPOCHS + 1)] == [expected, expected, 0]
    assert book.purses_wei[ANN] == PARAMS.bond_wei and book.ratings[ANN].hits == hits and not book.proposals


def test_who_challenges_the_truth_loses_a_bond() -> None:
    scribe = Scribe(PARAMS, [SEED])
    rated(scribe)
    scribe.challenge(ANN, EVE)
    scribe.prove(ANN)
    assert scribe.book.purses_wei == {ANN: 14 * TOKEN, EVE: 0, DEAD: 6 * TOKEN}
    assert scribe.book.rating_of(ANN, 1) > 0


def test_a_false_rating_costs_a_bond() -> None:
    scribe = Scribe(PARAMS, [SEED])
    rated(scribe)
    scribe.challenge(ANN, EVE)
    scribe.pass_blocks(PARAMS.proof_blocks)
    scribe.refute(ANN)
    assert scribe.book.purses_wei == {ANN: 0, EVE: 14 * TOKEN, DEAD: 6 * TOKEN}
    assert scribe.book.rating_of(ANN, 1) == 0 and not scribe.book.proposals


def vouched(scribe: Scribe) -> int:
    return scribe.vouch(ANN, BOB, 5 * TOKEN)


def test_a_stake_comes_back_an_epoch_after_its_end() -> None:
    scribe = Scribe(PARAMS, [SEED])
    vouched(scribe)
    scribe.unvouch(ANN, BOB)
    scribe.wait(2)
    scribe.write(Reclaimed(voucher=ANN, account=BOB, stake_wei=5 * TOKEN, position=scribe.position))
    assert scribe.book.purses_wei[ANN] == 5 * TOKEN and not scribe.book.vouches
    scribe.write(Withdrawn(account=ANN, amount_wei=5 * TOKEN, position=scribe.position))
    vouched(scribe)  # again


@pytest.mark.parametrize("ended", [False, True])
def test_a_slashed_stake_is_split_and_its_word_taken_away_once(ended: bool) -> None:
    scribe = Scribe(PARAMS, [SEED])
    number = vouched(scribe)
    if ended:
        scribe.unvouch(ANN, BOB)
    scribe.write(
        VouchSlashed(
            voucher=ANN, account=BOB, run=1, finder=EVE, id=number, epoch=0, reward_wei=2 * TOKEN, burn_wei=3 * TOKEN,
            position=scribe.position,
        )
    )  # fmt: skip
    book = scribe.book
    assert book.purses_wei == {ANN: 0, EVE: 2 * TOKEN, DEAD: 3 * TOKEN} and not book.vouches
    assert book.said_until(ANN, 0) == 0 and len(book.entries[BOB]) == 2


# Rows that cannot be

H, P, C = PARAMS.epoch_blocks, PARAMS.bond_wei, PARAMS.challenge_blocks


def told() -> Scribe:
    """A little of everything: a harvest, a vouch, one that ended; a proposal, in epoch 1."""
    scribe = Scribe(PARAMS, [SEED])
    scribe.vouch(ANN, BOB, TOKEN)
    scribe.vouch(EVE, BOB, TOKEN)
    scribe.unvouch(EVE, BOB)
    scribe.write(Deposited(account=EVE, amount_wei=PARAMS.bond_wei, position=scribe.position))
    rated(scribe)
    return scribe


LARGE = 2**32 - ROUND_UNITS
SLASHED = {"voucher": ANN, "account": BOB, "run": 1, "finder": EVE, "id": 1, "epoch": 1}
WRONG: dict[str, tuple[str, type[ReputationEvent], dict[str, Any]]] = {
    "out of an empty purse": ("the purse of", Withdrawn, {"account": ANN, "amount_wei": 1}),
    "an endorsement left out": (
        "endorsement 5, expected 4",
        Harvested,
        {"run": 2, "id": 5, "epoch": 1, "new_rounds": 1, "endorsers": (SEED,), "rows": ((ANN, 1),)},
    ),
    "another epoch": (
        "epoch 2, expected 1",
        Harvested,
        {"run": 2, "id": 4, "epoch": 2, "new_rounds": 1, "endorsers": (SEED,), "rows": ((ANN, 1),)},
    ),
    "nobody endorses": (
        "nobody endorses",
        Harvested,
        {"run": 2, "id": 4, "epoch": 1, "new_rounds": 1, "endorsers": (), "rows": ((ANN, 1),)},
    ),
    "endorses twice": (
        "one does twice",
        Harvested,
        {"run": 2, "id": 4, "epoch": 1, "new_rounds": 1, "endorsers": (SEED, SEED), "rows": ((ANN, 1),)},
    ),
    "endorses itself": (
        "by itself",
        Harvested,
        {"run": 2, "id": 4, "epoch": 1, "new_rounds": 1, "endorsers": (ANN,), "rows": ((ANN, 1),)},
    ),
    "endorsed twice": (
        "one twice",
        Harvested,
        {"run": 2, "id": 4, "epoch": 1, "new_rounds": 1, "endorsers": (SEED,), "rows": ((ANN, 1), (ANN, 1))},
    ),
    "no rows": (
        "nobody is endorsed",
        Harvested,
        {"run": 2, "id": 4, "epoch": 1, "new_rounds": 1, "endorsers": (SEED,), "rows": ()},
    ),
    "more than the rounds": (
        "they are 4097",
        Harvested,
        {"run": 2, "id": 4, "epoch": 1, "new_rounds": 1, "endorsers": (SEED,), "rows": ((ANN, ROUND_UNITS + 1),)},
    ),
    "too much said": (
        "gives 4294967296",
        Harvested,
        {"run": 2, "id": 4, "epoch": 1, "new_rounds": 2**20, "endorsers": (SEED,), "rows": ((ANN, LARGE),)},
    ),
    "a vouch without money": (
        "the purse of",
        Vouched,
        {"voucher": SEED, "account": BOB, "id": 4, "epoch": 1, "weight": ROUND_UNITS, "stake_wei": TOKEN},
    ),
    "a second vouch": (
        "still locked",
        Vouched,
        {"voucher": ANN, "account": BOB, "id": 4, "epoch": 1, "weight": ROUND_UNITS, "stake_wei": TOKEN},
    ),
    "for oneself": (
        "for oneself",
        Vouched,
        {"voucher": ANN, "account": ANN, "id": 4, "epoch": 1, "weight": ROUND_UNITS, "stake_wei": TOKEN},
    ),
    "an end without a vouch": ("has no stake behind", Unvouched, {"voucher": BOB, "account": ANN, "id": 1, "epoch": 1}),
    "an end of another": (
        "endorsement 2, expected 1",
        Unvouched,
        {"voucher": ANN, "account": BOB, "id": 2, "epoch": 1},
    ),
    "a second end": ("ended in 0, expected None", Unvouched, {"voucher": EVE, "account": BOB, "id": 2, "epoch": 1}),
    "too early": ("ended in epoch 0", Reclaimed, {"voucher": EVE, "account": BOB, "stake_wei": TOKEN}),
    "never ended": ("ended in epoch None", Reclaimed, {"voucher": ANN, "account": BOB, "stake_wei": TOKEN}),
    "another stake": ("stake 2", Reclaimed, {"voucher": EVE, "account": BOB, "stake_wei": 2 * TOKEN}),
    "another split": (
        "of a lost",
        VouchSlashed,
        {**SLASHED, "reward_wei": TOKEN, "burn_wei": 0},
    ),
    "a second proposal": (
        "has a proposal already",
        RatingProposed,
        {"account": ANN, "cut": 0, "hits": 0, "paths": 0, "rating_q32": 0, "final_block": H + C},
    ),
    "another cut": (
        "cut 1, expected 0",
        RatingProposed,
        {"account": EVE, "cut": 1, "hits": 0, "paths": 0, "rating_q32": 0, "final_block": H + C},
    ),
    "another rating": (
        "rating 1, expected",
        RatingProposed,
        {"account": EVE, "cut": 0, "hits": 9, "paths": 1, "rating_q32": 1, "final_block": H + C},
    ),
    "another final block": (
        "final block",
        RatingProposed,
        {"account": EVE, "cut": 0, "hits": 0, "paths": 0, "rating_q32": 0, "final_block": H},
    ),
    "more paths than count": (
        "5 paths",
        RatingProposed,
        {"account": EVE, "cut": 0, "hits": 0, "paths": 5, "rating_q32": 0, "final_block": H + C},
    ),
    "no bond": (
        "the purse of",
        RatingProposed,
        {"account": SEED, "cut": 0, "hits": 0, "paths": 0, "rating_q32": 0, "final_block": H + C},
    ),
    "a challenge without a bond": (
        "the purse of",
        RatingChallenged,
        {"account": ANN, "cut": 0, "challenger": BOB, "proof_block": H + PARAMS.proof_blocks},
    ),
    "a challenge of nothing": (
        "has proposed nothing",
        RatingChallenged,
        {"account": EVE, "cut": 0, "challenger": ANN, "proof_block": 0},
    ),
    "refuted unchallenged": (
        "nobody challenged it",
        RatingRefuted,
        {"account": ANN, "cut": 0, "challenger": EVE, "reward_wei": 0, "burn_wei": 0},
    ),
    "a reward out of nothing": (
        "of a lost 0",
        RatingProven,
        {"account": ANN, "cut": 0, "reward_wei": 1, "burn_wei": 0},
    ),
    "final too early": ("can still be challenged", RatingFinal, {"account": ANN, "cut": 0, "rating_q32": 0}),
    "a rating that nobody proposed": ("has proposed nothing", RatingFinal, {"account": BOB, "cut": 0, "rating_q32": 5}),
}


@pytest.mark.parametrize("name", WRONG)
def test_rows_that_contradict_each_other_are_found(name: str) -> None:
    scribe, (why, kind, values) = told(), WRONG[name]
    with pytest.raises(EndorsementsBroken, match=rf"{kind.__name__} at block {H} log \d+: .*{why}"):
        scribe.book.apply(kind(position=scribe.position, **values))


def test_a_run_is_harvested_once_an_epoch() -> None:
    scribe = told()
    scribe.harvest(1, [SEED], {ANN: 1})
    with pytest.raises(EndorsementsBroken, match="run 1 was harvested in epoch 1"):
        scribe.harvest(1, [SEED], {ANN: 1})


def test_rows_come_in_order() -> None:
    scribe = told()
    with pytest.raises(EndorsementsBroken, match="it comes after"):
        scribe.book.apply(Deposited(account=ANN, amount_wei=1, position=scribe.events[-1].position))


def challenged_late(scribe: Scribe) -> None:
    scribe.pass_blocks(C)
    scribe.challenge(ANN, EVE)


def challenged_twice(scribe: Scribe) -> None:
    scribe.challenge(ANN, EVE)
    scribe.challenge(ANN, EVE)


def proven_late(scribe: Scribe) -> None:
    scribe.challenge(ANN, EVE)
    scribe.pass_blocks(PARAMS.proof_blocks)
    scribe.prove(ANN)


def refuted_early(scribe: Scribe) -> None:
    scribe.challenge(ANN, EVE)
    scribe.pass_blocks(PARAMS.proof_blocks - 1)
    scribe.refute(ANN)


def final_though_challenged(scribe: Scribe) -> None:
    scribe.challenge(ANN, EVE)
    scribe.pass_blocks(C)
    scribe.finalise(ANN)


@pytest.mark.parametrize(
    "play", [challenged_late, challenged_twice, proven_late, refuted_early, final_though_challenged]
)
def test_a_dispute_keeps_its_deadlines(play: Callable[[Scribe], None]) -> None:
    with pytest.raises(EndorsementsBroken):
        play(told())


@given(histories(most=5), st.data())
def test_a_missing_row_of_an_endorsement_is_found(scribe: Scribe, data: st.DataObject) -> None:
    """Where anything is said after it: the next id does not follow."""
    opened = [k for k, event in enumerate(scribe.events) if isinstance(event, Harvested | Vouched)]
    if len(opened) < 2:
        return
    left_out = data.draw(st.sampled_from(opened[:-1]))
    book = Book(scribe.book.params, scribe.book.seeds)
    with pytest.raises(EndorsementsBroken):
        for event in scribe.events[:left_out] + scribe.events[left_out + 1 :]:
            book.apply(event)
