"""Who sees to the docket: false proposals are refuted, due ones made final, missing ones proposed; a crash changes
nothing of that."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ports.harness import BOND_WEI, PROPOSING, Memory, Stage

from gradmint.ports.chain import Bond, Call, Chain, Challenge, Finalise, Hear, Propose, Receipt, Refute
from gradmint.ports.memory_chain import MemoryChain
from gradmint.roles import docket as seeing_to
from gradmint.roles import driver as driving
from gradmint.roles.docket import Docket, difference, settle_recorded
from gradmint.roles.driver import Driver, Duty
from gradmint.roles.follower import Follower
from gradmint.roles.journal import Journal
from gradmint.roles.settler import settle_all
from gradmint.roles.trace import Trace
from gradmint.spec.errors import Reverted
from gradmint.spec.types import Phase, Role

from .fakes import Crash

LIE = {"root": b"\x66" * 24}


class Keeper:
    """One account's look after look at the docket; :meth:`restart` is a new process on the same home."""

    def __init__(self, stage: Stage, chain: Chain, home: Path, **options: object) -> None:
        self.stage, self.chain, self.home, self.options = stage, chain, home, options
        self.said: list[str] = []
        self.start()

    def start(self) -> None:
        self.driver = Driver(self.chain, Follower(self.chain, self.stage.run), Journal(self.home, "me"), Trace())
        options = {"patient": False, "tell": self.said.append, **self.options}
        kind = self.options.get("kind", Docket)
        self.docket = kind(self.driver, **{k: v for k, v in options.items() if k != "kind"})  # type: ignore[operator]

    def restart(self) -> None:
        self.driver.journal.close()
        self.start()

    def look(self) -> list[type[Call]]:
        """Which calls took effect."""
        before = len(SENT)
        self.driver.follower.refresh()
        self.driver.see_to(self.docket.errand)
        return [type(call) for call in SENT[before:]]


class Helpless(Docket):
    """Sees what is false and cannot refute it."""

    def _refute(self, place: int) -> Duty:
        yield from ()


SENT: list[Call] = []
DIES: dict[type[Call], str] = {}


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes what took effect; dies "before" or "after" the calls named in DIES, once."""
    SENT.clear()
    DIES.clear()
    broadcast = MemoryChain.broadcast

    def noting(self: MemoryChain, signed: bytes) -> Receipt:
        call, known = self.world.signed[signed][2], signed in self.world.receipts
        dies = DIES.pop(type(call), "")
        if dies == "before":
            raise Crash
        receipt = broadcast(self, signed)
        if not known:
            SENT.append(call)
        if dies == "after":
            raise Crash
        return receipt

    monkeypatch.setattr(MemoryChain, "broadcast", noting)


@pytest.fixture
def stage() -> Stage:
    return Stage(Memory()).open(**PROPOSING).enrol()


@pytest.fixture
def hire(stage: Stage, tmp_path: Path) -> Iterator[Callable[..., Keeper]]:
    keepers: list[Keeper] = []

    def hire(number: int = 101, **options: object) -> Keeper:
        keepers.append(Keeper(stage, stage.world.connect(number), tmp_path / f"{number}.sqlite", **options))
        return keepers[-1]

    yield hire
    for keeper in keepers:
        keeper.driver.journal.close()


def lie(stage: Stage, number: int, bonds: int = 2) -> Chain:
    """Verifier 2 proposes something false."""
    liar = stage.verifiers[2]
    if stage.sponsor.bond_of(stage.run, liar.account).amount_wei == 0:
        stage.bond(liar, bonds)
    stage.propose(liar, number, **LIE)
    return liar


# Proposing


def test_recorded_rounds_are_proposed_in_order_as_bonds_allow(stage: Stage, hire: Callable[..., Keeper]) -> None:
    keeper = hire(bonds=2)
    assert keeper.look() == []
    for _ in range(3):
        stage.speak()
    assert keeper.look() == [Bond, Propose, Bond, Propose]
    assert [proposal.round for proposal in stage.ledger().pending] == [1, 2]
    assert keeper.look() == []
    assert stage.sponsor.bond_of(stage.run, keeper.chain.account) == (2 * BOND_WEI, 2 * BOND_WEI)


def test_nothing_is_deposited_unasked(stage: Stage, hire: Callable[..., Keeper]) -> None:
    keeper = hire(bonds=0)
    stage.speak()
    assert keeper.look() == keeper.look() == []
    assert [text for text in keeper.said if "gradmint bond" in text] == keeper.said[:1]
    stage.bond(keeper.chain)
    assert keeper.look() == [Propose]


def test_a_bond_that_cannot_be_paid_is_no_end(stage: Stage, hire: Callable[..., Keeper]) -> None:
    keeper = hire(bonds=1)
    stage.speak()
    world = stage.world.world  # type: ignore[attr-defined]
    world.rules.balances_wei[stage.world.token, keeper.chain.account] = BOND_WEI - 1
    assert keeper.look() == []
    assert str(BOND_WEI - 1) in keeper.said[0] and str(BOND_WEI) in keeper.said[0]


def test_verifiers_take_turns_and_the_next_steps_in(
    stage: Stage, hire: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(seeing_to.time, "monotonic", lambda: now[0])
    keepers = [hire(101 + v, bonds=1, patient=True) for v in range(3)]
    stage.speak()
    in_turn = keepers[1]  # round 1, three who revealed
    assert [keeper.look() for keeper in keepers if keeper is not in_turn] == [[], []]
    now[0] += stage.params.settle_s / 8 + 0.1
    assert keepers[0].look() == []
    assert keepers[2].look() == [Bond, Propose]
    assert in_turn.look() == []


def test_who_was_refuted_comes_last(stage: Stage, hire: Callable[..., Keeper]) -> None:
    stage.speak()
    stage.speak()
    lie(stage, 1)
    keepers = [hire(101 + v, bonds=1, patient=True) for v in range(3)]
    assert keepers[0].look()[0] is Refute
    ranks = [keeper.docket._rank(keeper.docket.ledger.rounds[1]) for keeper in keepers]
    assert ranks == [1, 2, 0]  # round 2 is another matter
    keepers[2].driver.follower.refresh()
    assert keepers[2].docket._rank(keepers[2].docket.ledger.rounds[0]) == 2


# Refuting


def test_a_false_proposal_is_refuted_and_the_round_proposed_anew(stage: Stage, hire: Callable[..., Keeper]) -> None:
    stage.speak()
    liar, keeper = lie(stage, 1), hire(bonds=1)
    assert keeper.look() == [Refute, Bond, Propose]
    ledger = stage.ledger()
    [(event, proposal)] = ledger.refuted
    assert (event.proposer, event.challenger) == (liar.account, keeper.chain.account)
    assert proposal.outcome.root == LIE["root"]
    assert [p.proposer for p in ledger.pending] == [keeper.chain.account]
    assert "root 6666" in keeper.said[0] and ledger.pending[0].outcome.root.hex() in keeper.said[0]
    bond = stage.sponsor.bond_of(stage.run, liar.account)
    assert bond.amount_wei == BOND_WEI and bond.locked_wei == 0
    assert keeper.look() == []


def test_the_first_false_one_takes_the_later_ones_down(stage: Stage, hire: Callable[..., Keeper]) -> None:
    for _ in range(3):
        stage.speak()
    honest = stage.verifiers[1]
    stage.bond(honest, 2)
    stage.propose(honest, 1)
    lie(stage, 2)
    stage.propose(honest, 3)
    keeper = hire(bonds=3)
    assert Refute in keeper.look()
    pending = stage.ledger().pending
    assert [(p.round, p.proposer) for p in pending] == [
        (1, honest.account),
        (2, keeper.chain.account),
        (3, keeper.chain.account),
    ]
    assert [p.outcome for p in pending] == [stage.execution(p.round).outcome for p in pending]


def test_nobody_refutes_itself_or_builds_on_what_it_cannot_refute(stage: Stage, hire: Callable[..., Keeper]) -> None:
    stage.speak()
    stage.speak()
    lie(stage, 1)
    assert hire(103).look() == [Propose]  # the liar itself goes on
    assert hire(bonds=2, kind=Helpless).look() == []


def test_what_is_too_large_is_refuted_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeing_to, "MAX_CALLDATA", 0)
    stage = Stage(Memory(), joined={Role.VERIFIER: 1_000}).open(**PROPOSING, min_trainers=300, max_trainers=300)
    stage.enrol(trainers=300)
    gains = [i % 7 + 1 for i in range(300)]
    bent = [gain + (i % 3 == 0) for i, gain in enumerate(gains)]
    stage.speak({v: stage.report(v, gains=bent if v == 1 else gains) for v in range(3)})
    lie(stage, 1)
    keeper = Keeper(stage, stage.verifiers[0], tmp_path / "keeper.sqlite", bonds=1)
    DIES[Hear] = "after"
    with pytest.raises(Crash):
        keeper.look()
    assert SENT[-3:-1] == [Bond(run=stage.run, amount_wei=BOND_WEI), Challenge(run=stage.run, round=1)]
    keeper.restart()
    assert keeper.look()[:2] == [Hear, Refute]  # the first slice was heard before
    ledger = stage.ledger()
    assert ledger.refuted[0][0].challenger == keeper.chain.account
    assert [p.outcome for p in ledger.pending] == [stage.execution(1).outcome]
    keeper.driver.journal.close()


def test_without_quorum_there_are_no_slices(
    stage: Stage, hire: Callable[..., Keeper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeing_to, "MAX_CALLDATA", 0)
    stage.speak({v: stage.report(v, word=2 ** (80 * v) - 1) for v in range(3)})
    assert stage.execution(1).settlement.consensus is None
    lie(stage, 1)
    assert hire(bonds=1).look()[:3] == [Bond, Challenge, Refute]


# Making final


def test_final_when_the_window_is_over_and_not_before(stage: Stage, hire: Callable[..., Keeper]) -> None:
    keeper = hire(bonds=2)
    stage.speak()
    stage.speak()
    keeper.look()
    stage.until(stage.ledger().pending[0].final_s - 1)
    assert keeper.look() == []
    stage.until(stage.ledger().pending[0].final_s)
    assert keeper.look() == [Finalise, Finalise]
    assert not stage.ledger().unsettled() and stage.sponsor.caught_up(stage.run)
    assert keeper.said[-1] == "every recorded round is final"


def test_a_challenge_is_waited_out(stage: Stage, hire: Callable[..., Keeper]) -> None:
    keeper = hire(bonds=1)
    stage.speak()
    keeper.look()
    grumbler = stage.verifiers[2]
    stage.bond(grumbler)
    final_s = stage.ledger().pending[0].final_s
    stage.until(final_s - 1)
    grumbler.send(Challenge(run=stage.run, round=1))
    stage.until(final_s + 1)
    assert keeper.look() == []
    stage.until(stage.ledger().challenge.until_s)  # type: ignore[union-attr]
    assert keeper.look() == [Finalise]
    assert stage.sponsor.bond_of(stage.run, grumbler.account).amount_wei == 0


def test_the_proposer_goes_first(stage: Stage, hire: Callable[..., Keeper]) -> None:
    proposer, other = hire(101, bonds=1, patient=True), hire(102, patient=True)
    stage.bond(proposer.chain)
    stage.speak()
    stage.propose(proposer.chain, 1)
    stage.until(stage.ledger().pending[0].final_s)
    assert other.look() == []
    assert proposer.look() == [Finalise]


def test_what_is_false_is_never_made_final_by_us(stage: Stage, hire: Callable[..., Keeper]) -> None:
    stage.speak()
    lie(stage, 1)
    stage.until(stage.ledger().pending[0].final_s + 1)
    assert hire(kind=Helpless).look() == []


def test_after_the_end_it_goes_on_until_all_is_final(stage: Stage, hire: Callable[..., Keeper]) -> None:
    for _ in range(stage.params.max_rounds):
        stage.speak()
    assert stage.phase is Phase.ENDED
    keeper = hire(bonds=1)
    world = stage.world
    wait = keeper.chain.wait
    keeper.chain.wait = lambda run, timeout_s: world.advance(100) or wait(run, 0)  # type: ignore[method-assign]
    settle_recorded(keeper.docket)
    assert [round_.settled is not None for round_ in stage.ledger().rounds] == [True] * 4
    assert stage.sponsor.caught_up(stage.run)


# Crashes


@pytest.mark.parametrize("dies", ["before", "after"])
@pytest.mark.parametrize("kind", [Bond, Propose, Refute, Finalise])
def test_killed_while_sending(stage: Stage, hire: Callable[..., Keeper], kind: type[Call], dies: str) -> None:
    stage.speak()
    lie(stage, 1)
    keeper = hire(bonds=1)
    DIES[kind] = dies
    with pytest.raises(Crash):
        keeper.look()
        stage.until(stage.ledger().pending[0].final_s)
        keeper.look()
    keeper.restart()
    keeper.look()
    if kind is not Finalise:
        stage.until(stage.ledger().pending[0].final_s)
        keeper.look()
    assert [type(call) for call in SENT if type(call) in (Refute, Finalise)] == [Refute, Finalise]
    assert [call.amount_wei for call in SENT if isinstance(call, Bond)][1:] == [BOND_WEI]  # the first is the liar's
    assert not stage.ledger().unsettled()
    assert keeper.driver.journal.get(0, "errand") is None


def test_a_refusal_of_what_was_under_way_is_survived(stage: Stage, hire: Callable[..., Keeper]) -> None:
    """Somebody else refuted while we were dead."""
    stage.speak()
    lie(stage, 1)
    keeper, other = hire(bonds=1), hire(102, bonds=1)
    DIES[Refute] = "before"
    with pytest.raises(Crash):
        keeper.look()
    assert other.look() == [Refute, Bond, Propose]
    keeper.restart()
    assert keeper.look() == []


# Beside


def test_a_difference_names_what_says_most(stage: Stage) -> None:
    stage.speak()
    honest = stage.execution(1).outcome
    bent = replace(honest, total_wei=honest.total_wei + 1, root=b"\1" * 24)
    assert difference(bent, honest) == ("total wei", str(bent.total_wei), str(honest.total_wei))
    with pytest.raises(LookupError):
        difference(honest, honest)


def test_direct_runs_are_settled_by_anyone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(Memory()).open(max_rounds=2).enrol()
    anyone = stage.world.connect(55)
    follower = Follower(anyone, stage.run)
    driver = Driver(anyone, follower, Journal(tmp_path / "anyone.sqlite", "me"), Trace())
    wait = anyone.wait

    def act(run: int, timeout_s: float) -> None:
        if stage.phase is Phase.TRAIN:
            stage.speak()
        stage.world.advance(1)
        wait(run, 0)

    anyone.wait = act  # type: ignore[method-assign]
    monkeypatch.setattr(driving.time, "monotonic", lambda: float(anyone.now_s()))
    settle_all(driver)
    assert [round_.settled is not None for round_ in stage.ledger().rounds] == [True, True]
    driver.journal.close()


def test_a_proposal_needs_its_predecessor(stage: Stage) -> None:
    """What the docket relies on: the chain takes proposals in order only."""
    stage.speak()
    stage.speak()
    stage.bond(stage.verifiers[0], 2)
    with pytest.raises(Reverted, match="NotNext"):
        stage.propose(stage.verifiers[0], 2)
    assert stage.seat(Role.TRAINER).max_price_wei > 0
