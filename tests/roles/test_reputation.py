"""A keeper of ratings: what it sends, in whose turn, and that a crash anywhere makes it send nothing twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from gradmint.ports.chain import Call, Receipt
from gradmint.ports.reputation_calls import ChallengeRating, Deposit, FinaliseRating, ProposeRating, ProveRating
from gradmint.ports.reverts import reverted
from gradmint.roles.journal import Journal, identity
from gradmint.roles.outbox import UNDER_WAY
from gradmint.roles.reputation import MARGIN, Keeper, witness_for
from gradmint.spec.endorsements import Deposited, RatingProposed, ReputationEvent
from gradmint.spec.events import Position
from gradmint.spec.reputation_params import ReputationParams
from gradmint.spec.witness import Kept, check
from gradmint.study.scribe import Scribe

from .fakes import Crash

VERA, ALICE, BOB, CAROL = (bytes([number]) * 20 for number in range(1, 5))
RULES = ReputationParams(epoch_blocks=100, challenge_blocks=20, proof_blocks=40).check()
BOND_WEI = RULES.bond_wei


@dataclass
class Town:
    """Chain and contract of one account, by a scribe: the next transaction is mined in a block of its own.

    ``crash_at`` is the step at which the process dies: each signing, and both sides of each broadcast, is one.
    """

    scribe: Scribe
    account: bytes
    wallet_wei: int = 100 * BOND_WEI
    crash_at: int = -1
    steps: count[int] = field(default_factory=count)
    mined: dict[bytes, Receipt] = field(default_factory=dict)
    signed: dict[bytes, Call] = field(default_factory=dict)
    said: list[Call] = field(default_factory=list)

    token: bytes = b"\x70" * 20

    chain_id, rounds_address, address = 1, b"\x52" * 20, b"\xaa" * 20

    # The contract

    @property
    def params(self) -> ReputationParams:
        return self.scribe.book.params

    @property
    def seeds(self) -> tuple[bytes, ...]:
        return tuple(sorted(self.scribe.book.seeds))

    def block(self) -> int:
        return self.scribe.block

    def await_block(self, number: int, _: float) -> int:
        self.scribe.block = max(self.scribe.block, number)
        return self.scribe.block

    def events(self, after: Position | None = None) -> Sequence[ReputationEvent]:
        return [event for event in self.scribe.events if after is None or event.position > after]

    # The chain

    def run_count(self) -> int:
        return 0

    def token_balance_wei(self, _: bytes, __: bytes) -> int:
        return self.wallet_wei

    def sign(self, call: Call) -> bytes:
        self._step()
        signed = len(self.signed).to_bytes(4, "big")
        self.signed[signed] = call
        return signed

    def broadcast(self, signed: bytes) -> Receipt:
        self._step()
        if signed not in self.mined:
            self.scribe.block += 1
            self._take(self.signed[signed])
            self.said.append(self.signed[signed])
            self.mined[signed] = Receipt(signed.rjust(32), self.scribe.block, 50_000, ())
        self._step()
        return self.mined[signed]

    def _step(self) -> None:
        if next(self.steps) == self.crash_at:
            raise Crash

    def _take(self, call: Call) -> None:
        scribe, book = self.scribe, self.scribe.book
        match call:
            case Deposit():
                self.wallet_wei -= call.amount_wei
                scribe.write(Deposited(account=self.account, amount_wei=call.amount_wei, position=scribe.position))
            case ProposeRating():
                if self.account in book.proposals:
                    raise reverted("AlreadyProposed", self.account, book.proposals[self.account].said.cut)
                scribe.write(
                    RatingProposed(
                        account=self.account,
                        cut=scribe.epoch - 1,
                        hits=call.hits,
                        paths=call.paths,
                        rating_q32=book.rated_q32(call.hits, call.paths, scribe.epoch - 1),
                        final_block=scribe.block + RULES.challenge_blocks,
                        position=scribe.position,
                    )
                )
            case ProveRating():
                said = book.proposals[call.account].said
                kept = Kept.of(book, call.witness, said.cut)
                check(call.witness, kept, RULES, call.account, said.cut, said.hits, said.paths)
                scribe.prove(call.account)
            case FinaliseRating():
                scribe.finalise(call.account)
            case ChallengeRating():
                scribe.challenge(call.account, self.account)  # deposits another bond, which changes nothing here
            case _:
                raise AssertionError(call)


@pytest.fixture
def scribe() -> Scribe:
    """A seed has verified Alice and Bob; Carol has Bob's word."""
    found = Scribe(RULES, [VERA])
    found.harvest(1, [VERA], {ALICE: 3_000, BOB: 1_000}, new_rounds=1)
    found.vouch(BOB, CAROL, RULES.vouch_round_wei)
    found.wait()
    return found


def keeper(town: Town, home: Path, **options: object) -> Keeper:
    journal = Journal(home / f"{town.account.hex()}.sqlite", identity(town, None))  # type: ignore[arg-type]
    return Keeper(town, town, journal, **{"bonds": 2, "patient": False, **options})  # type: ignore[arg-type]


def live(town: Town, home: Path, until_block: int, doubter: bytes | None = None) -> int:
    """Look at every block; who dies comes again. How often it died."""
    deaths = 0
    while town.scribe.block < until_block:
        one = keeper(town, home)
        try:
            while town.scribe.block < until_block:
                one.look()
                pending = town.scribe.book.proposals.get(town.account)
                if doubter is not None and pending is not None and pending.challenge is None:
                    town.scribe.challenge(town.account, doubter)
                town.scribe.block += 1
        except Crash:
            deaths += 1
            town.crash_at = -1
        finally:
            one.journal.close()
    return deaths


def test_a_seed_shows_itself(scribe: Scribe, tmp_path: Path) -> None:
    """Walks begin there: by the path of itself."""
    town = Town(scribe, VERA)
    live(town, tmp_path, 180, doubter=BOB)
    assert [type(call) for call in town.said] == [Deposit, ProposeRating, ProveRating]
    assert scribe.book.ratings[VERA].paths == RULES.max_paths


def test_without_a_token_nobody_is_rated(scribe: Scribe, tmp_path: Path) -> None:
    told: list[str] = []
    town = Town(scribe, ALICE, token=bytes(20))
    keeper(town, tmp_path, tell=told.append).look()
    assert not town.said and "has no token" in told[0]


def test_a_rating_from_deposit_to_final(scribe: Scribe, tmp_path: Path) -> None:
    town = Town(scribe, ALICE)
    live(town, tmp_path, 150)
    assert [type(call) for call in town.said] == [Deposit, ProposeRating, FinaliseRating]
    assert scribe.book.ratings[ALICE].paths == RULES.max_paths and ALICE not in scribe.book.proposals


@pytest.mark.parametrize("step", range(11))
def test_a_crash_anywhere_repeats_nothing(scribe: Scribe, tmp_path: Path, step: int) -> None:
    town = Town(scribe, ALICE, crash_at=step)
    deaths = live(town, tmp_path, 180, doubter=BOB)
    assert deaths == (step < 9)  # three transactions, three steps each
    assert [type(call) for call in town.said] == [Deposit, ProposeRating, ProveRating]
    assert town.wallet_wei == 99 * BOND_WEI
    assert scribe.book.ratings[ALICE].cut == 0


def test_a_proposal_that_would_be_about_another_epoch_is_not_sent(scribe: Scribe, tmp_path: Path) -> None:
    town = Town(scribe, ALICE, crash_at=4)  # the proposal is signed and journaled, and never sent
    dying = keeper(town, tmp_path)
    with pytest.raises(Crash):
        dying.look()
    dying.journal.close()
    scribe.harvest(2, [VERA], {CAROL: 4_000}, new_rounds=1)
    scribe.wait()
    again = keeper(town, tmp_path)
    again.look()
    [proposal] = [call for call in town.said if isinstance(call, ProposeRating)]
    stale = next(call for call in town.signed.values() if isinstance(call, ProposeRating))
    assert proposal.hits < stale.hits  # Carol's work took from Alice's part
    assert scribe.book.proposals[ALICE].said.cut == 1 and again.journal.get(0, UNDER_WAY) is None


def test_nothing_is_proposed_in_the_last_blocks_of_an_epoch(scribe: Scribe, tmp_path: Path) -> None:
    scribe.block = 2 * RULES.epoch_blocks - 1 - RULES.epoch_blocks // MARGIN
    town = Town(scribe, ALICE)
    keeper(town, tmp_path).look()
    assert not [call for call in town.said if isinstance(call, ProposeRating)]


def test_ratings_are_renewed_before_they_lapse(scribe: Scribe, tmp_path: Path) -> None:
    live(Town(scribe, ALICE), tmp_path, 800)
    cuts = [event.cut for event in scribe.events if isinstance(event, RatingProposed)]
    assert cuts == [0, 2, 4, 6]
    assert scribe.book.rating_of(ALICE, scribe.epoch) > 0


def test_others_lies_are_challenged_and_truths_are_not(scribe: Scribe, tmp_path: Path) -> None:
    town = Town(scribe, ALICE)
    keeper(Town(scribe, BOB), tmp_path).look()  # proposes what is true
    scribe.propose(CAROL, 1 << 55, 1)
    watcher = keeper(town, tmp_path)
    watcher.look()
    challenged = {account for account, pending in scribe.book.proposals.items() if pending.challenge}
    assert challenged == {CAROL}


def test_without_money_nothing_is_said_twice(scribe: Scribe, tmp_path: Path) -> None:
    told: list[str] = []
    poor = keeper(Town(scribe, ALICE, wallet_wei=1), tmp_path, tell=told.append)
    for _ in range(3):
        poor.look()
    assert len(told) == 1 and "a bond takes" in told[0]
    frugal = keeper(Town(scribe, BOB), tmp_path, bonds=0, tell=told.append)
    frugal.look()
    assert "reputation deposit" in told[1]


def test_less_than_can_be_shown_is_shown(scribe: Scribe) -> None:
    """Who proposed less, by hand, still has a witness; who proposed more has none."""
    scribe.propose(ALICE, 12_345, 1)
    said = scribe.book.proposals[ALICE].said
    witness = witness_for(scribe.book, said)
    assert witness is not None and witness.nodes[0].visits == 12_345
    check(witness, Kept.of(scribe.book, witness, said.cut), RULES, ALICE, said.cut, said.hits, said.paths)
    scribe.propose(CAROL, 1 << 55, 1)
    assert witness_for(scribe.book, scribe.book.proposals[CAROL].said) is None
