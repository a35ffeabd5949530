"""Drawn committees on both chains: who may act, who is called in without a quorum, who may leave when."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from gradmint.ports.chain import Commit, Exit, Hold, Poke, Reveal, Settle, Withdraw
from gradmint.spec.committee import draw
from gradmint.spec.events import Expanded, PhaseOpened, Settled
from gradmint.spec.round import Round
from gradmint.spec.types import Phase, Role

from .harness import FAR, PROPOSING, SALT, STAKE_WEI, Stage, refused

COMMITTEE, EVERYONE = 3, 5


def enrolled(stage: Stage, **terms: object) -> Stage:
    """Five verifiers, of whom three are drawn, from round 1 on."""
    terms = {"committee": COMMITTEE, "min_verifiers": EVERYONE, "min_trainers": 1, "exit_s": 300} | terms
    return stage.open(**terms).enrol(trainers=1, verifiers=EVERYONE)


def members(mask: int) -> list[int]:
    return [v for v in range(EVERYONE) if mask >> v & 1]


def drawn(stage: Stage) -> tuple[list[int], list[int]]:
    """Who is on the committee, and who is eligible and is not, once HOLD is open."""
    round_ = stage.ledger().round
    return members(round_.active), members(round_.eligible & ~round_.active)


def until_hold(stage: Stage) -> tuple[list[int], list[int]]:
    stage.submit(0)
    stage.close()
    return drawn(stage)


def attest(stage: Stage, liars: Collection[int] = (), silent: Collection[int] = ()) -> None:
    """From commitments to the record, by the whole committee; no two ``liars`` say the same."""
    reports = {v: stage.report(v, word=FAR << 50 * v if v in liars else 0) for v in drawn(stage)[0] if v not in silent}
    stage.commit(reports)
    if silent:
        stage.poke()
    stage.reveal(reports)


def disputed(stage: Stage, **terms: object) -> tuple[list[int], list[int]]:
    """Round 1 waits for a settlement that will find no quorum; who was drawn, and who was not."""
    inside, outside = until_hold(enrolled(stage, **terms))
    stage.hold(*inside)
    attest(stage, liars=inside[:2])
    return inside, outside


def test_the_chain_draws_what_everybody_can_work_out(stage: Stage) -> None:
    enrolled(stage, max_rounds=9)
    seen = set()
    for _ in range(6):
        inside, outside = until_hold(stage)
        round_ = stage.ledger().round
        beacon = round_.opened[Phase.HOLD].beacon
        assert round_.active == draw(beacon, [STAKE_WEI[Role.VERIFIER]] * EVERYONE, COMMITTEE)
        assert len(inside) == COMMITTEE
        for v in outside:
            refused("NotOnCommittee", lambda v=v: stage.hold(v), stage.run, v)
        seen.add(tuple(inside))
        stage.hold(*inside)
        attest(stage)
        stage.settle()  # the record's hash, over the committee's stakes, is checked on the way
    assert len(seen) > 1


def test_who_was_not_drawn_has_nothing_to_say_and_keeps_its_standing(stage: Stage) -> None:
    inside, outside = until_hold(enrolled(stage))
    stage.hold(*inside)
    for v in outside:
        chain, report = stage.verifiers[v], stage.report(v)
        commitment = stage.commitment(chain, 1, report)
        refused("NotOnCommittee", lambda c=chain, d=commitment: c.send(Commit(run=stage.run, commitment=d)), None, v)
    reports = {v: stage.report(v) for v in inside}
    stage.commit(reports)
    for v in outside:
        reveal = Reveal(run=stage.run, report=stage.report(v), salt=SALT)
        refused("NotOnCommittee", lambda v=v, r=reveal: stage.verifiers[v].send(r), None, v)
    stage.reveal(reports)
    stage.settle()
    for v, standing in enumerate(stage.ledger().standings[Role.VERIFIER]):
        assert standing.rounds == (v in inside)
        assert bool(standing.paid_wei) is (v in inside) and standing.misses == 0


def test_without_a_quorum_everyone_is_called_in(stage: Stage) -> None:
    inside, outside = disputed(stage)
    before = stage.ledger().round
    receipt = stage.settle()
    opened, expanded = receipt.events
    assert isinstance(opened, PhaseOpened) and (opened.round, opened.phase) == (1, Phase.COMMIT)
    assert isinstance(expanded, Expanded) and (expanded.round, expanded.active) == (1, 0b11111)
    round_ = stage.ledger().round
    assert (round_.active, round_.attempt) == (0b11111, 2)
    assert opened.beacon == round_.assessment_beacon != before.assessment_beacon
    assert stage.sponsor.record(stage.run, 1).hash == bytes(30)  # nothing is recorded any more
    assert stage.sponsor.escrow(stage.run).total_wei == 0

    stale = {v: stage.report(v) for v in inside}
    refused("WrongPhase", lambda: stage.reveal(stale), stage.run, Phase.REVEAL, Phase.COMMIT)
    attest(stage, liars=inside[:1])
    assert stage.phase is Phase.SETTLE
    assert isinstance(stage.settle().events[0], Settled)
    ledger = stage.ledger()
    consensus = ledger.rounds[0].settlement.consensus  # type: ignore[union-attr]
    assert consensus is not None and set(consensus.cluster) == {*inside[1:], *outside}
    assert ledger.rounds[0].held()[0] == {0}  # the first committee's word
    assert ledger.slashed_wei.keys() == {stage.verifiers[inside[0]].account}
    assert all(ledger.standings[Role.VERIFIER][v].paid_wei for v in outside)
    assert (ledger.round.number, ledger.round.attempt) == (2, 1)
    refused("WrongPhase", lambda: stage.sponsor.send(settlement_of(stage, before)), stage.run)


def settlement_of(stage: Stage, round_: Round) -> Settle:
    """By a record that was thrown away."""
    ledger = stage.ledger()
    assert round_.record is not None
    return Settle(
        run=stage.run,
        params=stage.params,
        record=round_.record,
        roster=bytes(24),
        rows=ledger.roster_between(bytes(24), round_.record.roster),
        standings=(),
        reports=tuple(round_.reveals[v].report for v in sorted(round_.reveals)),
    )


def test_a_record_without_quorum_settles_nothing_later(stage: Stage) -> None:
    inside, _ = disputed(stage)
    thrown_away = settlement_of(stage, stage.ledger().round)
    stage.settle()
    refused("WrongPhase", lambda: stage.sponsor.send(thrown_away), stage.run, Phase.SETTLE, Phase.COMMIT)
    attest(stage, liars=inside[:1])
    refused("RecordMismatch", lambda: stage.sponsor.send(thrown_away), stage.run, 1)
    stage.settle()


def test_everyone_is_called_in_once(stage: Stage) -> None:
    """A second time without quorum: nobody is judged by what they said, silence pays, the next round opens."""
    inside, outside = disputed(stage)
    stage.settle()
    attest(stage, liars=inside[:2], silent=outside[:1])
    settled = stage.settle().events[0]
    assert isinstance(settled, Settled) and settled.outcome.cluster_mask == 0
    ledger = stage.ledger()
    assert ledger.slashed_wei == {stage.verifiers[outside[0]].account: STAKE_WEI[Role.VERIFIER] // 100}
    assert ledger.round.number == 2 and ledger.round.active == 0b11111
    inside, _ = until_hold(stage)  # and goes on as ever: with a drawn committee and the records' order
    stage.hold(*inside)
    attest(stage)
    assert stage.ledger().round.record.previous == 1  # type: ignore[union-attr]
    stage.settle()


def test_the_records_order_skips_what_was_thrown_away(stage: Stage) -> None:
    disputed(stage)
    assert stage.ledger().round.record.previous == 0  # type: ignore[union-attr]
    stage.settle()
    attest(stage)
    assert stage.ledger().round.record.previous == 0  # type: ignore[union-attr]
    stage.settle()


def test_nobody_settles_in_time_after_all_were_called_in(stage: Stage) -> None:
    disputed(stage)
    stage.settle()
    attest(stage)
    stage.poke()
    ledger = stage.ledger()
    assert ledger.rounds[0].voided is not None and ledger.round.number == 2
    assert ledger.slashed_wei == {}


def test_nobody_of_those_called_in_commits(stage: Stage) -> None:
    disputed(stage)
    stage.settle()
    stage.poke()
    assert (stage.phase, stage.ledger().round.number) == (Phase.TRAIN, 2)


def test_leaving_between_the_attempts(stage: Stage) -> None:
    """Who was eligible when the round opened serves, and stays slashable, to its end; the seat is not given before."""
    inside, outside = disputed(stage, max_verifiers=EVERYONE)
    leavers = [inside[0], outside[0]]
    for v in leavers:
        stage.verifiers[v].send(Exit(run=stage.run))
    stage.world.advance(0)
    stage.settle()
    refused("Full", lambda: stage.join(Role.VERIFIER), stage.run, Role.VERIFIER, EVERYONE)
    assert drawn(stage)[0] == list(range(EVERYONE))
    reports = {v: stage.report(v) for v in range(EVERYONE)}
    stage.commit({v: reports[v] for v in range(EVERYONE - 1)})
    stage.poke()  # a verifier was too late
    stage.reveal({v: reports[v] for v in range(EVERYONE - 1)})
    stage.world.advance(250)
    for v in leavers:
        refused("StillOnDuty", lambda v=v: stage.verifiers[v].send(Withdraw(run=stage.run)), stage.run)
    stage.sponsor.send(Poke(run=stage.run))
    for v in leavers:
        stage.verifiers[v].send(Withdraw(run=stage.run))
    round_ = stage.ledger().round
    assert members(round_.eligible) == [v for v in range(EVERYONE) if v not in leavers]


def test_an_undrawn_leaver_stays_until_the_round_is_over(stage: Stage) -> None:
    inside, outside = until_hold(enrolled(stage, max_verifiers=EVERYONE))
    leaver = stage.verifiers[outside[0]]
    leaver.send(Exit(run=stage.run))
    refused("Full", lambda: stage.join(Role.VERIFIER), stage.run, Role.VERIFIER, EVERYONE)
    stage.hold(*inside)
    attest(stage)
    stage.world.advance(stage.params.exit_s)
    refused("StillOnDuty", lambda: leaver.send(Withdraw(run=stage.run)), stage.run, leaver.account)
    stage.sponsor.send(Poke(run=stage.run))
    leaver.send(Withdraw(run=stage.run))
    stage.join(Role.VERIFIER, index=outside[0])
    assert stage.ledger().seats[Role.VERIFIER][outside[0]].since_round == 3


def test_an_absent_verifier_is_no_longer_awaited_only_for_what_it_was_called_to(stage: Stage) -> None:
    """Two phases missed in a row by whoever is drawn; those who were not drawn missed nothing."""
    inside, outside = until_hold(enrolled(stage, max_rounds=9))
    absent = inside[0]
    stage.hold(*inside[1:])
    stage.poke()
    attest(stage, silent=[absent])
    assert stage.phase is Phase.SETTLE  # reveals wait for those who committed
    stage.settle()  # two of three are no quorum
    reports = {v: stage.report(v) for v in (*inside[1:], *outside)}
    stage.commit(reports)
    assert stage.phase is Phase.REVEAL  # nobody waited for the absent, all waited for those who were called in
    stage.reveal(reports)
    stage.settle()
    assert stage.ledger().slashed_wei.keys() == {stage.verifiers[absent].account}


def test_a_proposing_run_goes_on_without_quorum(stage: Stage) -> None:
    inside, outside = disputed(stage, **PROPOSING)
    assert (stage.phase, stage.ledger().round.number) == (Phase.TRAIN, 2)
    stage.bond(stage.sponsor)
    stage.propose(stage.sponsor, 1)
    stage.finalise()
    ledger = stage.ledger()
    assert ledger.rounds[0].settlement.consensus is None and ledger.rounds[0].attempt == 1  # type: ignore[union-attr]
    assert ledger.slashed_wei == {}
    assert not any(ledger.standings[Role.VERIFIER][v].rounds for v in (*inside, *outside))


def test_a_whale_is_drawn_more_often(stage: Stage) -> None:
    stage.open(committee=1, min_verifiers=1, min_trainers=1, max_rounds=10)
    stage.join(Role.TRAINER)
    stage.join(Role.VERIFIER, stake_wei=10**9 * STAKE_WEI[Role.VERIFIER] // 10**3)
    for v in (0, 1):
        stage.join(Role.VERIFIER)
        assert v < 2
    stage.submit(0)
    stage.close()  # round 1 opened with one verifier
    stage.hold(0)
    attest(stage)
    stage.settle()
    for _ in range(3):
        inside, outside = until_hold(stage)
        assert (inside, outside) == ([0], [1, 2])
        held = Hold(run=stage.run, bitmap=b"\1", base=bytes(32))
        refused("NotOnCommittee", lambda h=held: stage.verifiers[1].send(h), stage.run, 1)
        stage.hold(0)
        attest(stage)
        stage.settle()


@pytest.mark.parametrize("committee", [EVERYONE, 32])
def test_a_committee_as_large_as_everyone_is_not_drawn(stage: Stage, committee: int) -> None:
    inside, outside = until_hold(enrolled(stage, committee=committee))
    assert (inside, outside) == (list(range(EVERYONE)), [])
    stage.hold(*inside)
    attest(stage, liars=inside[:2])
    settled = stage.settle().events[0]
    assert isinstance(settled, Settled) and settled.outcome.cluster_mask == 0
