"""Drawn committees on the twins: those outside wait and keep up, and everyone steps in where the drawn disagree."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch

from gradmint.adversary.verifiers import Liar
from gradmint.cli.display import round_line
from gradmint.cli.summary import nats, round_summary
from gradmint.roles.auditor import audit
from gradmint.roles.trainer import TrainerStrategy
from gradmint.roles.verifier import VerifierStrategy
from gradmint.spec.round import Round
from gradmint.spec.types import Phase, Report, Role

from .stage import SPONSOR, Stage, play

COMMITTEE, VERIFIERS, ROUNDS = 3, 5, 3


class Wavering(VerifierStrategy):
    """Signs with words of its own as long as not everybody was called in."""

    name = "wavering"

    def report(self, round_: Round) -> Report:
        honest = super().report(round_)
        if round_.attempt > 1:
            return honest
        return replace(honest, words=tuple(int.from_bytes(os.urandom(32), "big") for _ in honest.words))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def agreed(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    home = tmp_path_factory.mktemp("agreed")
    return play(home, [TrainerStrategy] * 2, [VerifierStrategy] * VERIFIERS, ROUNDS, committee=COMMITTEE)


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Every drawn committee has no quorum; the last verifier lies also when everyone was called in."""
    home = tmp_path_factory.mktemp("divided")
    cast = [Wavering] * (VERIFIERS - 1) + [Liar]
    return play(home, [TrainerStrategy] * 2, cast, ROUNDS, committee=COMMITTEE)


def test_nobody_dies(agreed: Stage, divided: Stage) -> None:
    assert agreed.errors == divided.errors == []


def test_only_the_drawn_speak_and_are_judged(agreed: Stage) -> None:
    served = [0] * VERIFIERS
    for round_ in agreed.ledger.rounds:
        assert round_.settlement is not None and round_.settlement.consensus is not None
        drawn = {v for v in range(VERIFIERS) if round_.active >> v & 1}
        assert len(drawn) == COMMITTEE and round_.attempt == 1
        assert round_.holds.keys() == round_.commits.keys() == round_.reveals.keys() == drawn
        assert set(round_.settlement.consensus.cluster) == drawn
        for v in drawn:
            served[v] += 1
    standings = agreed.ledger.standings[Role.VERIFIER]
    assert [standing.rounds for standing in standings] == served
    assert [standing.misses for standing in standings] == [0] * VERIFIERS
    assert agreed.ledger.slashed_wei == {}


def test_where_the_drawn_disagree_everyone_assesses_and_the_round_settles(divided: Stage) -> None:
    for round_ in divided.ledger.rounds:
        first = round_.first
        assert first is not None and first.settlement is not None and first.settlement.consensus is None
        assert first.reveals.keys() == {v for v in range(VERIFIERS) if first.active >> v & 1}
        assert round_.reveals.keys() == {v for v in range(VERIFIERS) if round_.eligible >> v & 1}
        assert round_.assessment_beacon != first.assessment_beacon
        assert round_.settlement is not None and round_.settlement.consensus is not None
        assert set(round_.settlement.consensus.cluster) == set(range(VERIFIERS - 1))
        assert round_.held() == first.held() and len(round_.held()[0]) == 2
        assert all(row.gain_micronats > 0 for row in round_.settlement.consensus.rows)
    liar = divided.ledger.standings[Role.VERIFIER][VERIFIERS - 1]
    assert divided.ledger.slashed_wei.keys() == {liar.account} and liar.paid_wei == 0


def test_audits_are_clean_and_say_what_happened(agreed: Stage, divided: Stage) -> None:
    for stage, attempts, committee in ((agreed, 1, COMMITTEE), (divided, 2, None)):
        found = audit(stage.world.as_account(SPONSOR), stage.store, stage.ledger.run, reassess=True)
        assert found.ok, found.divergence
        assert [round_.attempts for round_ in found.rounds] == [attempts] * ROUNDS
        for round_, said in zip(found.rounds, stage.ledger.rounds, strict=True):
            members = [v for v in range(VERIFIERS) if said.active >> v & 1]
            assert round_summary(round_)["committee"] == list(round_.committee) == members
            assert committee is None or len(members) == committee
            line = round_line(found.ledger, said, nats)
            assert ("all called in" in line) is (attempts == 2)
            assert (f"of {COMMITTEE} drawn from" in line) is (attempts == 1)


def test_an_auditor_opens_the_first_attempts_commitments_as_well(divided: Stage) -> None:
    """What a thrown-away report said decides whether throwing it away was right."""
    from gradmint.roles import auditor
    from gradmint.spec.errors import Divergence

    ledger = audit(divided.world.as_account(SPONSOR), divided.store, divided.ledger.run).ledger
    round_ = ledger.rounds[0]
    assert round_.first is not None
    verifier, reveal = next(iter(round_.first.reveals.items()))
    round_.first.reveals[verifier] = replace(reveal, salt=bytes(32))
    with pytest.raises(Divergence, match=f"report of verifier {verifier}"):
        auditor._open_commitments(divided.world.as_account(SPONSOR), ledger, round_)


def test_gas_of_both_attempts_is_counted(divided: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = divided.world.as_account(SPONSOR)
    monkeypatch.setattr(chain, "gas_used", lambda tx_hash: 1)
    found = audit(chain, divided.store, divided.ledger.run)
    for audited, said in zip(found.rounds, divided.ledger.rounds, strict=True):
        assert said.first is not None
        drawn, everyone = len(said.first.reveals), len(said.reveals)
        assert (audited.gas["commit"], audited.gas["reveal"]) == (drawn + everyone, drawn + everyone)
        assert audited.gas["settle"] == 2  # the one that called everyone in, and the one that settled
        assert said.opened[Phase.COMMIT].tx_hash != said.first.opened[Phase.COMMIT].tx_hash
