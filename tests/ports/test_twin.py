"""In memory: over random lives the ledger that anyone folds is the state, and no token is lost; edges to the second."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from gradmint.ports.chain import (
    Bond,
    Burn,
    Call,
    Chain,
    Challenge,
    ClaimLeft,
    Close,
    Commit,
    Exit,
    Finalise,
    Hold,
    Poke,
    Pool,
    Propose,
    Rate,
    Refund,
    Reveal,
    Submit,
    Unbond,
    Withdraw,
)
from gradmint.ports.memory_state import DEAD, RUNS, STAKES, Run
from gradmint.spec import docket
from gradmint.spec.errors import Reverted
from gradmint.spec.params import RATED
from gradmint.spec.types import Phase, Report, Role, Row, Verdict

from .harness import BOND_WEI, ETHER_WEI, FAR, PROPOSING, SALT, Memory, Stage, refused


class Life:
    """One run and everybody who may act in it; each step is something that somebody tries."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        phases = dict.fromkeys(("train_s", "hold_s", "commit_s", "reveal_s", "settle_s"), 3_000)
        terms = (PROPOSING if seed % 2 else {}) | phases | {"exit_s": 20_000, "committee": 2 + seed % 3}
        terms |= RATED if seed % 3 else {}
        self.stage = Stage(Memory()).open(
            max_rounds=30, max_trainers=4, max_verifiers=5, immunity_rounds=0, join_half_life_s=1_000, **terms
        )
        self.stage.enrol()
        self.drawn = self.called_in = 0
        self.people = [*self.stage.trainers, *self.stage.verifiers]
        self.said: dict[bytes, bytes] = {}
        self.accepted = 0
        self.supply = self._held()

    @property
    def state(self) -> Run:
        world = self.stage.world
        assert isinstance(world, Memory)
        return world.world.rules.runs[self.stage.run - 1]

    def _held(self) -> int:
        world = self.stage.world
        assert isinstance(world, Memory)
        return sum(world.world.rules.balances_wei.values())

    def step(self) -> None:
        try:
            actor = self.random.choice(self.people)
            call = self.call(actor)
            self._sent(actor, call)
        except Reverted:
            pass

    def call(self, actor: Chain) -> Call | None:
        pick, run, state = self.random, self.stage.run, self.state
        kind = pick.choices(
            ["speak", "poke", "join", "exit", "withdraw", "rate", "settle", "propose", "doubt", "finalise", "money"],
            [40, 2, 2, 1, 1, 2, 4, 4, 3, 4, 3],
        )[0]
        if kind == "speak":
            holders = state.trainers if state.phase is Phase.TRAIN else state.verifiers
            chosen = pick.choice(holders)
            speaker = next(person for person in self.people if person.account == chosen)
            return self._sent(speaker, self.speak(speaker))
        if kind == "poke":
            if pick.random() < 0.2:
                self.stage.world.advance(3_000)
            return Poke(run=run)
        if kind == "join":
            newcomer = self.stage.world.connect(1_000 + len(self.people))
            self.people.append(newcomer)
            role = pick.choice([Role.TRAINER, Role.VERIFIER])
            self._sent(newcomer, self.stage.seat(role))
            return None
        if kind in ("exit", "withdraw"):
            return Exit(run=run) if kind == "exit" else Withdraw(run=run)
        if kind == "rate":
            rated = pick.choice(self.people).account
            self.stage.world.rate(rated, pick.choice([0, 2**31, pick.getrandbits(32)]))
            return Rate(run=run, account=rated)
        if kind == "settle":
            unsettled = [round_.number for round_ in self.stage.ledger().unsettled()]
            return self.stage.settlement(unsettled[0]) if unsettled else None
        if kind == "propose":
            actor.send(Bond(run=run, amount_wei=BOND_WEI))
            recorded = [number for number in state.records if number > state.proposed]
            if not recorded:
                return None
            outcome = self.stage.execution(recorded[0]).outcome
            lie = pick.random() < 0.3
            return Propose(run=run, round=recorded[0], outcome=replace(outcome, weakest=9) if lie else outcome)
        if kind == "doubt":
            if not state.pending:
                return None
            place = pick.randrange(len(state.pending))
            if pick.random() < 0.4:
                return Challenge(run=run, round=state.pending[place].round)
            return self.stage.refutation(place)
        if kind == "finalise":
            self.stage.world.advance(pick.choice([0, 200, 1_000]))
            if not state.pending or state.pending[0].outcome != self.stage.execution(state.pending[0].round).outcome:
                return None
            effects = self.stage.execution(state.pending[0].round).effects
            return Finalise(run=run, pending=tuple(state.pending), effects=effects)
        money: list[Call] = [
            Pool(run=run),
            Burn(run=run),
            Unbond(run=run, amount_wei=pick.choice([1, BOND_WEI])),
            ClaimLeft(run=run, account=pick.choice(self.people).account),
            Refund(run=run),
        ]
        leaves = self.stage.ledger().all_standings()
        if leaves:
            money.append(self.stage.claim(pick.randrange(len(leaves))))
        return pick.choice(money)

    def _sent(self, actor: Chain, call: Call | None) -> None:
        if call is not None:
            actor.send(call)
            self.accepted += 1

    def speak(self, actor: Chain) -> Call | None:
        """What the phase is for."""
        pick, run, state = self.random, self.stage.run, self.state
        if state.phase is Phase.TRAIN:
            if pick.random() < 0.2:
                submissions = self.stage.ledger().round.submissions
                said = tuple((s.trainer, s.claimed_gain_micronats, s.digest) for s in submissions)
                return Close(run=run, submissions=said)
            return Submit(run=run, digest=pick.randbytes(32), claimed_gain_micronats=0)
        if state.phase is Phase.HOLD:
            return Hold(run=run, bitmap=bytes((state.trainers_in_round + 7) // 8), base=bytes(32))
        if state.phase is Phase.COMMIT:
            verdicts = [Verdict.OK] * 6 + [Verdict.MISSING, Verdict.DUPLICATE]
            rows = tuple(Row(verdicts[(i * 7 + state.round) % 8], 5 + i, 9) for i in range(state.trainers_in_round))
            word = FAR if pick.random() < 0.1 else 0
            self.said[actor.account] = Report(1_000_000, (word,), rows).pack()
            bound = self.stage.commitment(actor, state.round, self.said[actor.account])
            return Commit(run=run, commitment=bound)
        if state.phase is Phase.REVEAL and actor.account in self.said:
            return Reveal(run=run, report=self.said[actor.account], salt=SALT)
        return None

    def check(self) -> None:
        """The state against what the events say, and every token against what it is there for."""
        state, ledger = self.state, self.stage.ledger()
        self.drawn = sum(r.active != r.eligible for r in ledger.rounds)
        self.called_in = sum(r.attempt > 1 for r in ledger.rounds)
        assert ledger.final.standings_hash == state.standings_hash
        assert ledger.total_wei == state.total_wei
        assert ledger.deposited_wei == state.deposited_wei
        assert ledger.pending == state.pending
        assert docket.tip(ledger.pending) == docket.tip(state.pending)
        assert (ledger.challenge is None) is (state.challenge is None)
        assert ledger.settlements == state.settlements
        assert ledger.left_wei == state.left_wei
        assert ledger.claimed_wei == state.claimed_wei
        for role, holders in ((Role.TRAINER, state.trainers), (Role.VERIFIER, state.verifiers)):
            assert [seat.account for seat in ledger.seats[role]] == holders
            for seat in ledger.seats[role]:
                known = state.seats[seat.account]
                assert (seat.gone, seat.since_round) == (known.retired, known.since_round)
                assert seat.rating_q32 == known.rating_q32
        awaited = [i for i in range(state.trainers_in_round) if state.awaited_trainers >> i & 1]
        assert sorted(ledger.awaited_trainers()) == awaited
        assert (ledger.round.active, ledger.round.eligible) == (state.active, state.eligible)
        assert state.active.bit_count() <= state.params.committee or state.active == state.eligible
        assert max((r.number for r in ledger.rounds if r.record), default=0) == state.last_recorded
        for account, amount_wei in ledger.bonds_wei.items():
            bond = state.bond_of(account)
            assert amount_wei == bond.amount_wei >= bond.locked_wei >= 0
        locked = len(state.pending) + (state.challenge is not None)
        assert sum(bond.locked_wei for bond in state.bonds.values()) == locked * state.params.proposal_bond_wei

        world = self.stage.world
        assert isinstance(world, Memory)
        held = {owner: world.world.rules.balances_wei.get((world.token, owner), 0) for owner in (RUNS, STAKES, DEAD)}
        bonds_wei = sum(bond.amount_wei for bond in state.bonds.values())
        assert held[STAKES] == sum(state.stakes_wei.values()) + bonds_wei + state.burnable_wei + state.poolable_wei
        assert held[RUNS] == state.deposited_wei - sum(state.claimed_wei.values()) - state.refunded_wei
        burned_at_end_wei = held[DEAD] - ledger.burned_wei
        assert 0 <= burned_at_end_wei <= ledger.pooled_wei


@pytest.mark.parametrize("seed", range(12))
def test_a_random_life(seed: int) -> None:
    life = Life(seed)
    for step in range(500):
        life.step()
        if step % 5 == 0:
            life.check()
    life.check()
    assert life.accepted > 80
    assert life.state.settled > 0
    joined_late = len(life.people) - 6
    minted_wei = joined_late * 10**9 * ETHER_WEI
    assert life._held() == life.supply + minted_wei


# Edges, to the second


def proposed() -> Stage:
    stage = Stage(Memory()).open(**PROPOSING).enrol()
    stage.speak()
    stage.bond(stage.sponsor)
    stage.propose(stage.sponsor, 1)
    return stage


def test_a_window_is_over_at_its_second() -> None:
    stage = proposed()
    final_s = stage.ledger().pending[0].final_s
    assert final_s == stage.sponsor.now_s() + stage.params.challenge_s
    stage.until(final_s - 1)
    refused("NotFinal", lambda: stage.sponsor.send(stage.finalisation()), 1, final_s, final_s - 1)
    stage.until(final_s)
    stage.sponsor.send(stage.finalisation())


@pytest.mark.parametrize("after_s", [-1, 0])
def test_a_challenge_is_over_at_its_second(after_s: int) -> None:
    stage = proposed()
    critic = stage.world.connect(71)
    stage.bond(critic)
    final_s = stage.ledger().pending[0].final_s
    stage.until(final_s - 1)
    critic.send(Challenge(run=stage.run, round=1))
    until_s = final_s - 1 + stage.params.extension_s
    assert stage.sponsor.challenge_of(stage.run) == (critic.account, 1, until_s)
    stage.until(until_s + after_s)
    if after_s < 0:
        refused("NotFinal", lambda: stage.sponsor.send(stage.finalisation()), 1, until_s)
    else:
        stage.sponsor.send(stage.finalisation())


def test_a_price_halves_at_its_second() -> None:
    stage = Stage(Memory()).open(join_half_life_s=1_000, join_price_wei=1_000, join_bump_bps=10_000).enrol()
    prices = []
    for _ in range(4):
        stage.world.connect(200 + len(prices)).send(stage.seat(Role.TRAINER if len(prices) < 2 else Role.VERIFIER))
        prices.append(stage.sponsor.price_wei(stage.run))
    assert prices == [2_000, 4_000, 8_000, 16_000]
    seen = []
    for _ in range(6):
        stage.world.advance(500)
        seen.append(stage.sponsor.price_wei(stage.run))
    assert seen == [12_000, 8_000, 6_000, 4_000, 3_000, 2_000]
    stage.world.advance(10**9)
    assert stage.sponsor.price_wei(stage.run) == 1_000
