"""A proposing run with real learning on the twins: lies, a ban, claims, and an audit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gradmint.adversary.trainers import Copycat
from gradmint.adversary.verifiers import Embezzler
from gradmint.roles.auditor import audit
from gradmint.roles.claimant import claim, claimable, redirect
from gradmint.roles.rounds import books_before, consensus_of, is_closed, settlement_of
from gradmint.roles.trainer import TrainerStrategy
from gradmint.roles.verifier import VerifierStrategy
from gradmint.spec.errors import ChainError
from gradmint.spec.types import Role, Verdict

from .stage import SPONSOR, TOKEN, Stage, account, play

ROUNDS = 6
LIAR = account(Role.VERIFIER, 2)


@pytest.fixture(scope="module")
def proposed(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    torch.set_num_threads(1)
    return play(
        tmp_path_factory.mktemp("proposed"),
        [TrainerStrategy, TrainerStrategy, Copycat],
        [VerifierStrategy, VerifierStrategy, Embezzler],
        rounds=ROUNDS,
        propose=True,
    )


def test_nobody_dies_and_every_round_is_final(proposed: Stage) -> None:
    assert proposed.errors == []
    assert [round_.settled is not None for round_ in proposed.ledger.rounds] == [True] * ROUNDS
    assert proposed.world.as_account(SPONSOR).caught_up(proposed.ledger.run)


def test_every_lie_is_refuted(proposed: Stage) -> None:
    refuted = proposed.ledger.refuted
    assert refuted and {event.proposer for event, _ in refuted} == {LIAR}
    assert LIAR not in {event.challenger for event, _ in refuted}
    assert {lost.account for lost in proposed.ledger.forfeited} == {LIAR}
    for round_ in proposed.ledger.rounds:
        assert round_.settled is not None and round_.execution is not None
        assert round_.settled.outcome == round_.execution.outcome


def test_who_is_banned_does_not_take_part(proposed: Stage) -> None:
    """Two copies, in rounds 2 and 3."""
    rounds = proposed.ledger.rounds
    assert [2 in round_.barred for round_ in rounds] == [False, False, False, True, True, True]
    assert not any(2 in round_.first_submissions for round_ in rounds[3:])
    assert all(round_.settlement.trainers[2].ban_round == 23 for round_ in rounds[3:])  # type: ignore[union-attr]


def test_the_audit_is_clean_and_names_the_lies(proposed: Stage) -> None:
    found = audit(proposed.world.as_account(SPONSOR), proposed.store, proposed.ledger.run, reassess=True)
    assert found.ok, found.divergence
    assert all(round_.own_distance_bits == 0 and round_.final for round_ in found.rounds)
    assert [one.event.round for one in found.refutations] == [event.round for event, _ in proposed.ledger.refuted]
    assert {one.what for one in found.refutations} == {"root"}
    assert [round_.barred for round_ in found.rounds] == [frozenset()] * 3 + [frozenset({2})] * 3
    assert found.rounds[-1].verdicts[2] is Verdict.MISSING and "banned up to round 23" in found.rounds[-1].reasons[2]
    assert found.balance is not None
    assert found.balance.bonds_wei == sum(proposed.ledger.bonds_wei.values()) > 0


def test_rounds_count_before_they_are_final(proposed: Stage) -> None:
    ledger, last = proposed.ledger, proposed.ledger.rounds[-1]
    settled, last.settled = last.settled, None
    try:
        assert is_closed(ledger, last) and not last.is_over
        assert settlement_of(ledger, last) is not None and consensus_of(ledger, last) is not None
        assert books_before(ledger, last) == ledger.rounds[-2].execution.books  # type: ignore[union-attr]
    finally:
        last.settled = settled


def test_claims_go_together_or_elsewhere(proposed: Stage) -> None:
    world, ledger = proposed.world, proposed.ledger
    owner, payer = world.as_account(account(Role.TRAINER, 0)), world.as_account(SPONSOR)
    friend = b"\x0f" * 20
    item, _ = redirect(owner, payer, ledger, friend)
    assert world.as_account(SPONSOR).token_balance_wei(TOKEN, friend) == item.due_wei > 0
    ledger.claimed_wei[owner.account] = item.paid_wei
    with pytest.raises(ChainError, match="owes"):
        redirect(owner, payer, ledger, friend)
    due = {one.account: one.due_wei for one in claimable(ledger)}
    paid = list(claim(payer, [ledger]))
    assert len(paid) == 1  # one transaction for all of them
    assert {one.account: one.due_wei for one in paid[0][0]} == due
    found = audit(payer, proposed.store, ledger.run)
    assert found.ok, found.divergence
    assert found.balance is not None and found.balance.claimable_wei == 0


def test_a_small_home_is_enough(tmp_path: Path) -> None:
    """Direct runs do without a docket: nothing of it is in their ledger."""
    stage = play(tmp_path, [TrainerStrategy], [VerifierStrategy], rounds=1)
    assert stage.errors == [] and stage.ledger.is_direct
    assert stage.ledger.bonds_wei == {} and stage.ledger.pending == []
