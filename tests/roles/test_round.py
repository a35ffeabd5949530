"""Roles on the twins: what each attack meets, and that nobody honest is hurt by it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gradmint.adversary import trainers as attacks
from gradmint.adversary.verifiers import Flatterer, Liar
from gradmint.roles.auditor import audit
from gradmint.roles.claimant import claim
from gradmint.roles.rounds import doubts_before
from gradmint.roles.trainer import TrainerStrategy
from gradmint.roles.verifier import VerifierStrategy
from gradmint.spec.types import Role, Verdict

from .stage import SPONSOR, Stage, play

Honest, HonestVerifier = TrainerStrategy, VerifierStrategy


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def verdicts(stage: Stage, trainer: int) -> list[Verdict]:
    found = []
    for round_ in stage.ledger.rounds:
        assert round_.settlement is not None and round_.settlement.consensus is not None, (
            f"round {round_.number} is void"
        )
        found.append(round_.settlement.consensus.rows[trainer].verdict)
    return found


def paid(stage: Stage) -> list[int]:
    return [standing.paid_wei for standing in stage.ledger.standings[Role.TRAINER]]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Every byte-level attack at once, beside three honest trainers."""
    cast = [
        *(Honest, Honest, Honest),
        *(attacks.Plagiarist, attacks.Vandal, attacks.Exploder, attacks.Withholder, attacks.Copycat),
    ]
    return play(tmp_path_factory.mktemp("mixed"), cast, [HonestVerifier] * 3 + [Liar], rounds=2)


def test_nobody_dies(mixed: Stage) -> None:
    assert mixed.errors == []


@pytest.mark.parametrize(
    ("trainer", "verdict"),
    [(3, Verdict.MALFORMED), (4, Verdict.MALFORMED), (5, Verdict.OVER_NORM), (6, Verdict.MISSING)],
)
def test_each_attack_gets_its_verdict(mixed: Stage, trainer: int, verdict: Verdict) -> None:
    assert verdicts(mixed, trainer) == [verdict, verdict]
    assert paid(mixed)[trainer] == 0


def test_the_copycat_is_a_duplicate_once_there_is_something_to_copy(mixed: Stage) -> None:
    assert verdicts(mixed, 7) == [Verdict.OK, Verdict.DUPLICATE]


def test_honest_trainers_are_untouched(mixed: Stage) -> None:
    for trainer in range(3):
        assert verdicts(mixed, trainer) == [Verdict.OK, Verdict.OK]
    assert min(paid(mixed)[:3]) > max(paid(mixed)[3:])


def test_what_the_liar_named_otherwise_is_doubted_the_next_time(mixed: Stage) -> None:
    """It called everyone's update OK and worth something; the failed ones were none."""
    first, second = mixed.ledger.rounds
    assert doubts_before(mixed.ledger, first) == {}
    found = doubts_before(mixed.ledger, second)
    assert sorted(found) == list(range(8))
    assert max(found[t] for t in range(3)) < 1 / 50 < min(found[t] for t in (3, 4, 5, 6))


def test_the_liar_is_slashed_and_unpaid(mixed: Stage) -> None:
    liar = mixed.ledger.standings[Role.VERIFIER][3]
    assert liar.paid_wei == 0
    assert mixed.ledger.slashed_wei[liar.account] > 0


def test_the_audit_is_clean_before_and_after_claims(mixed: Stage) -> None:
    chain = mixed.world.as_account(SPONSOR)
    before = audit(chain, mixed.store, mixed.ledger.run, reassess=True)
    assert before.ok, before.divergence
    assert all(round_.own_distance_bits == 0 for round_ in before.rounds)
    claimed_wei = sum(item.due_wei for items, _ in claim(chain, [mixed.ledger]) for item in items)
    after = audit(chain, mixed.store, mixed.ledger.run)
    assert after.ok, after.divergence
    assert after.balance is not None and after.balance.claimable_wei == 0
    assert claimed_wei == after.balance.claimed_wei == mixed.ledger.total_wei


def test_a_poisoner_has_no_value_and_no_place_in_the_mean(tmp_path: Path) -> None:
    stage = play(
        tmp_path, [Honest, Honest, Honest, attacks.Poisoner, attacks.FreeRider], [HonestVerifier] * 3, rounds=3
    )
    assert stage.errors == []
    rows = [round_.settlement.consensus.rows for round_ in stage.ledger.rounds]  # type: ignore[union-attr]
    assert all(row[3].common_gain_micronats < 0 for row in rows)
    assert paid(stage)[3] == 0
    assert paid(stage)[4] < min(paid(stage)[:3]) / 100


def test_a_flatterer_moves_no_median(tmp_path: Path) -> None:
    stage = play(tmp_path, [Honest] * 3, [HonestVerifier] * 2 + [Flatterer], rounds=1)
    consensus = stage.ledger.rounds[0].settlement.consensus  # type: ignore[union-attr]
    assert consensus is not None and 2 in consensus.cluster
    reports = stage.ledger.rounds[0].reports(stage.ledger.terms.words)
    honest, flattering = reports[0], reports[2]
    assert honest is not None and flattering is not None
    assert consensus.rows[0] == honest.rows[0] != flattering.rows[0]
