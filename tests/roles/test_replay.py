"""The auditor's suspicion: every way in which events and contracts may part is named, with both values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256

import pytest
from ports.harness import BOND_WEI, FAR, PROPOSING, Memory, Stage
from ports.test_exposures import exposing, planted_by, speak

from gradmint.ports.chain import Exit, Join, Pool, Submit, Unbond, Withdraw
from gradmint.roles.balance import Balance, Head, balance, check_head, read_head
from gradmint.roles.replay import Replay
from gradmint.spec.docket import Outcome
from gradmint.spec.errors import Divergence, Reverted
from gradmint.spec.events import (
    Bonded,
    Event,
    Exposed,
    Forfeited,
    Funded,
    Joined,
    Left,
    Proposed,
    Recorded,
    Refuted,
    Seized,
    Settled,
)
from gradmint.spec.plant import assigned
from gradmint.spec.transcript import EMPTY, Kind, fold, settled_row
from gradmint.spec.types import Phase, Role


@dataclass
class Audited:
    """A run replayed from altered events, against the contracts as they are or an altered head."""

    stage: Stage
    alter: Callable[[Event], Event | None] = lambda event: event
    bend: Callable[[Head], Head] = lambda head: head
    replay: Replay = field(init=False)

    def check(self) -> Balance:
        """Raises Divergence."""
        chain = self.stage.sponsor
        self.replay = Replay(self.stage.run, chain.stakes_address)
        for event in chain.events(self.stage.run):
            altered = self.alter(event)
            if altered is not None:
                self.replay.apply(altered)
        head = self.bend(read_head(chain, self.replay.ledger))
        self.replay.close(head.now_s, head.price_wei)
        check_head(head, self.replay.ledger)
        return balance(head, self.replay.ledger)


def divergence(stage: Stage, alter: Callable[[Event], Event | None] | None = None, **bend: object) -> Divergence:
    audited = Audited(stage)
    if alter is not None:
        audited.alter = alter
    if bend:
        audited.bend = lambda head: replace(head, **bend)  # type: ignore[arg-type]
    with pytest.raises(Divergence) as found:
        audited.check()
    return found.value


def altered(kind: type[Event], nth: int = 0, **change: object) -> Callable[[Event], Event]:
    """Changes fields of the nth event of a kind."""
    seen = [0]

    def alter(event: Event) -> Event:
        if type(event) is not kind:
            return event
        seen[0] += 1
        return replace(event, **change) if seen[0] == nth + 1 else event  # type: ignore[arg-type]

    return alter


def without(kind: type[Event]) -> Callable[[Event], Event | None]:
    return lambda event: None if type(event) is kind else event


@pytest.fixture
def stage() -> Stage:
    """A proposing run: round 1 final, a lie about round 2 refuted, round 2 proposed anew, round 3 recorded."""
    terms = {**PROPOSING, "challenge_s": 20, "extension_s": 10}
    stage = Stage(Memory()).open(**terms, max_rounds=9).enrol()
    honest, liar = stage.verifiers[0], stage.verifiers[2]
    stage.bond(honest, 3)
    stage.bond(liar)
    stage.speak()
    stage.propose(honest, 1)
    stage.finalise()
    stage.speak()
    stage.propose(liar, 2, total_wei=stage.execution(2).outcome.total_wei + 5)
    honest.send(stage.refutation(0))
    stage.propose(honest, 2)
    stage.speak()
    return stage


def test_all_is_well(stage: Stage) -> None:
    audited = Audited(stage)
    found = audited.check()
    assert found.bonds_wei == 3 * BOND_WEI + 2 * BOND_WEI // 5
    assert found.poolable_wei == 3 * BOND_WEI // 10
    assert found.prices_wei == 6 * stage.params.join_price_wei
    assert audited.replay.false_pending() is None
    [refutation] = audited.replay.refutations
    expected = stage.execution(2).outcome.total_wei
    assert refutation.event.round == 2
    assert (refutation.what, refutation.proposed, refutation.executed) == (
        "total wei",
        str(expected + 5),
        str(expected),
    )
    kinds = [kind for kind, _ in audited.replay.sent[2]]
    assert kinds == ["propose", "refute", "propose"]
    assert [kind for kind, _ in audited.replay.sent[1]] == ["propose", "finalise"]


def test_pooled_money_joins_the_budget_once(stage: Stage) -> None:
    stage.sponsor.send(Pool(run=stage.run))
    found = Audited(stage).check()
    assert (found.poolable_wei, found.deposited_wei) == (0, 1_000 * 10**18 + 3 * BOND_WEI // 10)
    pooled = 3 * BOND_WEI // 10
    one = divergence(stage, altered(Funded, 0, amount_wei=pooled - 1))
    assert (one.row, one.found) == ("pooled wei that the budget lacks", 1)


def test_a_false_pending_proposal_is_named_with_what_to_do(stage: Stage) -> None:
    liar = stage.verifiers[2]
    stage.bond(liar)
    stage.propose(liar, 3, loss_micronats=77)
    audited = Audited(stage)
    audited.check()
    one = audited.replay.false_pending()
    assert one is not None
    assert (one.round, one.row) == (3, "pending proposal's loss micronats")
    assert (one.expected, one.found) == (str(stage.execution(3).outcome.loss_micronats), "77")
    assert f"gradmint settle --run {stage.run}" in one.why and liar.account.hex() in one.why


@pytest.mark.parametrize(
    ("bend", "what"),
    [
        ({"total_wei": 1}, "total wei"),
        ({"root": b"\1" * 24}, "root"),
        ({"standings_hash": b"\1" * 32}, "standings hash"),
        ({"loss_micronats": 1}, "loss micronats"),
        ({"cluster_mask": 1}, "cluster mask"),
        ({"weakest": 2}, "weakest"),
        ({"effects_hash": b"\1" * 32}, "effects hash"),
    ],
)
def test_a_settlement_that_is_not_the_re_executed_one(stage: Stage, bend: dict[str, object], what: str) -> None:
    """With every transcript made to fit: re-execution alone gives it away."""
    outcome: Outcome = replace(stage.execution(1).outcome, **bend)  # type: ignore[arg-type]

    def alter(event: Event) -> Event:
        if isinstance(event, Proposed) and event.round == 1:
            return replace(event, outcome=outcome)
        if isinstance(event, Settled):
            fitting = fold(EMPTY, Kind.SETTLED, settled_row(1, outcome.pack()))
            return replace(event, outcome=outcome, transcript=fitting)
        return event

    one = divergence(stage, alter)
    assert (one.round, one.row) == (1, f"settlement's {what}")
    assert str(one.expected) != str(one.found)


def test_rows_that_were_altered(stage: Stage) -> None:
    assert divergence(stage, altered(Recorded, 1, record_hash=b"\1" * 30)).round == 2
    assert divergence(stage, altered(Settled, 0, transcript=b"\1" * 24)).row.startswith("Settled at block")
    assert divergence(stage, altered(Proposed, 2, final_s=1)).row == "tip"
    assert divergence(stage, altered(Bonded, 0, amount_wei=1)).row.startswith("bond of")
    assert divergence(stage, without(Bonded)).row.startswith("bond of")


@pytest.mark.parametrize("kind", [Bonded, Joined, Forfeited, Settled])
def test_a_run_is_opened_once_and_before_all_else(stage: Stage, kind: type[Event]) -> None:
    events = stage.sponsor.events(stage.run)
    replay = Replay(stage.run, stage.sponsor.stakes_address)
    with pytest.raises(Divergence, match="before all others"):
        replay.apply(next(event for event in events if isinstance(event, kind)))
    replay.apply(events[0])
    with pytest.raises(Divergence, match="before all others"):
        replay.apply(events[0])


def test_a_refutation_of_what_was_right(stage: Stage) -> None:
    """The chain would not take it; an altered history might show it."""
    honest = stage.execution(2).outcome
    one = divergence(stage, altered(Proposed, 1, outcome=honest))
    assert one.round == 2
    assert one.row.startswith(f"refutation of 0x{stage.verifiers[2].account.hex()}")
    assert honest.hash().hex() in str(one.found)


def test_a_true_proposal_on_a_false_one_may_be_refuted(stage: Stage) -> None:
    """Re-execution from a false state gives another outcome: what stands on a lie goes down with it."""
    liar, honest = stage.verifiers[2], stage.verifiers[0]
    stage.bond(liar)
    stage.propose(liar, 3, root=b"\1" * 24)
    stage.speak()
    stage.propose(honest, 4)
    proposals = [event for event in stage.sponsor.events(stage.run) if isinstance(event, Proposed)]
    replay = Replay(stage.run, stage.sponsor.stakes_address)
    for event in stage.sponsor.events(stage.run):
        replay.apply(event)
    last = proposals[-1]
    replay.apply(Refuted(run=stage.run, round=last.round, proposer=honest.account, challenger=liar.account))
    assert replay.refutations[-1].what == "state before"
    assert "of round 3" in replay.refutations[-1].proposed


def test_a_bond_that_was_split_otherwise(stage: Stage) -> None:
    lost = next(event for event in stage.sponsor.events(stage.run) if isinstance(event, Forfeited))
    one = divergence(stage, altered(Forfeited, 0, reward_wei=lost.reward_wei + 1, pool_wei=lost.pool_wei - 1))
    assert one.row.startswith("bond that 0x")
    assert one.expected == (lost.reward_wei, lost.burn_wei, lost.pool_wei)


@pytest.mark.parametrize(
    ("bend", "row"),
    [
        (lambda head: {"docket": head.docket._replace(tip=b"\1" * 32)}, "tip"),
        (lambda head: {"docket": head.docket._replace(transcript=b"\1" * 24)}, "transcript of settlements"),
        (lambda head: {"docket": head.docket._replace(settled=9)}, "last settled round"),
        (lambda head: {"docket": head.docket._replace(pending=9)}, "pending proposals"),
        (lambda head: {"standings_hash": b"\1" * 32}, "standings hash"),
        (lambda head: {"records": {**head.records, 3: head.records[3]._replace(previous=0)}}, "record of round 3"),
        (lambda head: {"caught_up": True}, "whether all is settled"),
        (lambda head: {"price_wei": head.price_wei + 1}, "price of a seat"),
        (lambda head: {"held_stakes_wei": head.held_stakes_wei - 1}, "stakes"),
        (lambda head: {"held_wei": head.held_wei - 1}, "escrow"),
        (lambda head: {"left_wei": {**head.left_wei, b"\7" * 20: 5}}, f"promise to 0x{'07' * 20}, who left"),
    ],
)
def test_contracts_that_hold_something_else(stage: Stage, bend: Callable[[Head], dict[str, object]], row: str) -> None:
    audited = Audited(stage)
    audited.bend = lambda head: replace(head, **bend(head))  # type: ignore[arg-type]
    with pytest.raises(Divergence) as found:
        audited.check()
    assert found.value.row == row


def test_the_stakes_contract_is_empty_to_the_wei_but_for_what_is_owed(stage: Stage) -> None:
    """Stakes, bonds, prices and lost bonds are all there is."""
    head = read_head(stage.sponsor, stage.ledger())
    found = Audited(stage).check()
    burned_wei = 3 * BOND_WEI // 10
    assert head.held_stakes_wei == (
        found.staked_wei + found.bonds_wei + found.prices_wei + found.poolable_wei + found.slashed_wei + burned_wei
    )


def test_a_locked_bond_that_is_not(stage: Stage) -> None:
    honest = stage.verifiers[0]
    with pytest.raises(Reverted):
        honest.send(Unbond(run=stage.run, amount_wei=3 * BOND_WEI))
    head = read_head(stage.sponsor, stage.ledger())
    bonds = {**head.bonds, honest.account: head.bonds[honest.account]._replace(locked_wei=0)}
    one = divergence(stage, bonds=bonds)
    assert (one.row, one.expected, one.found) == (f"locked bond of 0x{honest.account.hex()}", BOND_WEI, 0)


# Prices and leavers


def test_prices_are_recomputed(stage: Stage) -> None:
    for _ in range(2):
        stage.join(Role.TRAINER)
    ledger = stage.ledger()
    rows = [event for event in stage.sponsor.events(stage.run) if isinstance(event, Joined)]
    assert rows[-1].price_wei == rows[-2].price_wei * 5 // 4 > ledger.terms.join_price_wei
    Audited(stage).check()
    for nth, price_wei in ((0, 1), (6, rows[6].price_wei - 1), (7, rows[7].price_wei + 1), (7, rows[6].price_wei - 1)):
        one = divergence(stage, altered(Joined, nth, price_wei=price_wei))
        assert one.row == f"price of the seat of 0x{rows[nth].account.hex()}"
        assert one.found == price_wei


def test_prices_fall_between_phases(stage: Stage) -> None:
    stage.join(Role.TRAINER)
    stage.world.advance(stage.params.join_half_life_s // 8)
    stage.submit(0)
    stage.poke()
    stage.join(Role.TRAINER)
    Audited(stage).check()


def test_who_leaves_keeps_what_was_promised() -> None:
    stage = Stage(Memory()).open(max_rounds=9, max_trainers=3).enrol()
    stage.play()
    leaver = stage.trainers[1]
    leaver.send(Exit(run=stage.run))
    receipt = stage.join(Role.TRAINER, index=1)
    assert any(isinstance(event, Joined) and event.index == 1 for event in receipt.events)
    stage.submit(0, 2)
    stage.poke()
    while stage.phase is not Phase.SETTLE:
        stage.poke() if stage.phase is not Phase.HOLD else stage.hold(0, 1, 2)
        if stage.phase is Phase.COMMIT:
            reports = {v: stage.report(v, gains=[5, 0, 5]) for v in range(3)}
            stage.commit(reports)
            stage.reveal(reports)
    stage.settle()
    stage.play()
    found = Audited(stage)
    found.check()
    ledger = found.replay.ledger
    assert ledger.left_wei == {leaver.account: stage.sponsor.left_wei(stage.run, leaver.account)}
    assert ledger.left_wei[leaver.account] > 0
    one = divergence(stage, altered(Left, 0, cumulative_wei=1))
    assert one.row == f"promise to 0x{leaver.account.hex()}, who left"


def test_the_price_that_a_seat_may_cost_is_the_joiners(stage: Stage) -> None:
    stage.join(Role.TRAINER)
    call = Join(run=stage.run, role=Role.VERIFIER, stake_wei=10**20, max_price_wei=stage.params.join_price_wei)
    with pytest.raises(Reverted, match="PriceAboveLimit"):
        stage.world.connect(177).send(call)


# Exposures


@pytest.fixture(params=[{}, {**PROPOSING, "exit_s": 30_000}], ids=["direct", "proposing"])
def exposed(request: pytest.FixtureRequest) -> Stage:
    """Two of three waved trainer 0's plant through, and paid."""
    stage = Stage(Memory()).open(**request.param).enrol()
    stage.trainers[0].send(exposing(stage, speak(stage, looked=(0,))))
    return stage


def test_an_exposure_adds_up(exposed: Stage) -> None:
    found = Audited(exposed).check()
    assert found.bonds_wei > 0 < found.poolable_wei


@pytest.mark.parametrize(
    ("change", "row", "why"),
    [
        ({"guilty": 0b111}, "exposure of trainer 0", "mask of who called it OK"),
        ({"guilty": 1 << 31}, "exposure of trainer 0", "mask of who called it OK"),
        ({"guilty": 0b010}, "who lost stake to whom", "not who was exposed"),
        ({"trainer": 7}, "exposure of trainer 7", "rows are missing"),
        ({"exposer": b"\7" * 20}, "who lost stake to whom", "not who was exposed"),
    ],
)
def test_an_exposure_of_somebody_else(exposed: Stage, change: dict[str, object], row: str, why: str) -> None:
    one = divergence(exposed, altered(Exposed, 0, **change))
    assert one.row == row and why in one.why


@pytest.mark.parametrize("change", ["reward_wei", "burn_wei", "pool_wei", "account", "beneficiary"])
def test_a_stake_that_was_taken_otherwise(exposed: Stage, change: str) -> None:
    row = next(event for event in exposed.sponsor.events(exposed.run) if isinstance(event, Seized))
    other = getattr(row, change) + 1 if change.endswith("_wei") else b"\7" * 20
    one = divergence(exposed, altered(Seized, 0, **{change: other}))
    assert "lost" in one.row and one.expected != one.found


def test_an_exposure_that_takes_nothing_of_one(exposed: Stage) -> None:
    """Its row, or all of them, or what they follow from, is missing."""
    seen = []

    def drop(event: Event) -> Event | None:
        seen.extend([event] if isinstance(event, Seized) else [])
        return None if isinstance(event, Seized) and len(seen) == 2 else event

    for alter in (drop, without(Seized)):
        assert divergence(exposed, alter).why == "it was exposed and keeps its stake"
    assert divergence(exposed, without(Exposed)).expected == "nobody"


def test_nobody_had_to_look() -> None:
    """The chain would not take it; an altered history might show it."""
    stage = Stage(Memory()).open(assigned_trainers=1).enrol()
    speak(stage)
    [drawn] = assigned(stage.ledger().round, 1)
    event = Exposed(run=1, round=1, trainer=(drawn + 1) % 3, exposer=b"\1" * 20, secret=bytes(32), guilty=0b100)
    replay = Replay(stage.run, stage.sponsor.stakes_address)
    for known in stage.sponsor.events(stage.run):
        replay.apply(known)
    with pytest.raises(Divergence, match="nobody had to look"):
        replay.apply(event)


def test_who_took_its_stake_home_before_loses_nothing_more() -> None:
    """After the end everybody may, at once; the round can still be exposed."""
    stage = Stage(Memory()).open(max_rounds=1).enrol()
    call = exposing(stage, speak(stage, looked=(0,)))
    stage.settle()
    assert stage.phase is Phase.ENDED
    stage.verifiers[1].send(Withdraw(run=stage.run))
    receipt = stage.trainers[0].send(call)
    taken = [event.lost_wei for event in receipt.events if isinstance(event, Seized)]
    assert taken[0] == 0 < taken[1]
    Audited(stage).check()


def test_the_first_committees_plants_are_judged_by_its_own_record() -> None:
    """Exposed before everyone was called in, which gives the round another record, beacon and committee."""
    stage = Stage(Memory()).open(committee=3, min_verifiers=5).enrol(trainers=3, verifiers=5)
    blob = planted_by(stage)
    stage.trainers[0].send(Submit(run=stage.run, digest=sha256(blob).digest(), claimed_gain_micronats=0))
    stage.submit(1, 2)
    stage.close()
    inside = [v for v in range(5) if stage.ledger().round.active >> v & 1]
    stage.hold(*inside)
    reports = {v: stage.report(v, word=FAR << 50 * v if v in inside[:2] else 0) for v in inside}
    stage.commit(reports)
    stage.reveal(reports)
    stage.trainers[0].send(exposing(stage, blob, 1))
    stage.settle()
    assert stage.ledger().round.attempt == 2
    everyone = {v: stage.report(v, gains=[0, 20, 30]) for v in range(5)}
    stage.commit(everyone)
    stage.reveal(everyone)
    stage.settle()
    Audited(stage).check()
