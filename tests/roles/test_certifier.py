"""What a certifier signs is what it rebuilt, and who stands behind it is read off the run's history."""

from __future__ import annotations

import pytest

from gradmint.ports.chain import Exit
from gradmint.roles import certifier
from gradmint.roles.trainer import TrainerStrategy
from gradmint.roles.verifier import VerifierStrategy
from gradmint.spec.certificate import Checkpoint, Domain
from gradmint.spec.errors import CertificateRefused, ChainError
from gradmint.spec.types import Role

from .stage import Stage, account, play

DOMAIN = Domain(1, b"\1" * 20)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    stage = play(tmp_path_factory.mktemp("played"), [TrainerStrategy] * 2, [VerifierStrategy] * 3, rounds=2)
    assert not stage.errors
    return stage


def test_the_rebuilt_model_is_the_attested_one(played: Stage) -> None:
    ledger = certifier.history(played.world.as_account(account(Role.TRAINER, 0)), played.ledger.run)
    digests = [certifier.rebuild(ledger, played.store, round_) for round_ in range(3)]
    assert len(set(digests)) == 3
    assert digests[0] == ledger.terms.model
    assert digests[1] == certifier.attested(ledger, 1) == ledger.rounds[1].held()[1]
    assert certifier.attested(ledger, 2) is None  # no committee works from the last model
    for round_ in (0, 1):
        assert certifier.require_attested(ledger, Checkpoint(DOMAIN, ledger.run, round_, digests[round_])) is not None
        with pytest.raises(CertificateRefused, match=digests[round_].hex()):
            certifier.require_attested(ledger, Checkpoint(DOMAIN, ledger.run, round_, digests[2]))
    assert certifier.require_attested(ledger, Checkpoint(DOMAIN, ledger.run, 2, digests[2])) is None
    with pytest.raises(CertificateRefused, match="round 3 of run 1 is not over, 2 are"):
        certifier.rebuild(ledger, played.store, 3)


def test_who_leaves_after_the_end_had_stood_behind_it(played: Stage) -> None:
    chain = played.world.as_account(account(Role.VERIFIER, 2))
    chain.send(Exit(run=played.ledger.run))
    seat = certifier.history(chain, played.ledger.run).seat(account(Role.VERIFIER, 2))
    assert seat is not None and not seat.gone


def test_a_run_that_is_not_there(played: Stage) -> None:
    with pytest.raises(ChainError, match="run 9 is not on this chain"):
        certifier.history(played.world.as_account(account(Role.TRAINER, 0)), 9)
