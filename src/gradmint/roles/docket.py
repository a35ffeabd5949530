"""The docket of a proposing run: refute what is false, make final what is due, propose what nobody has proposed.

Anyone may see to it, verifiers do in every round. Each look does what there is to do now and needs to remember nothing:
what was sent, heard or proposed before a crash is found on the chain.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, fields
from typing import Any

from ..ports.chain import Bond, Chain, Challenge, Evidence, Finalise, Hear, Propose, Refute
from ..spec.docket import MAX_PENDING, Outcome, Proposal
from ..spec.ledger import Ledger
from ..spec.round import Round
from ..spec.types import Phase, Role
from .driver import NAP_S, Action, Driver, Duty, Send
from .rounds import books_before, holder
from .settler import rank_in_turn, said_in, turn_s
from .slices import in_slices

log = logging.getLogger(__name__)

MAX_CALLDATA = 100 * 1024  # bytes; nodes' pools take 128 KiB for a whole transaction
LOOKS = 8  # in the time that a proposal can be refuted


def honest(round_: Round) -> Outcome:
    """What a recorded round came to, by re-execution."""
    assert round_.execution is not None
    return round_.execution.outcome


def first_false(ledger: Ledger) -> int | None:
    """Place of the first pending proposal that is not what re-execution gives; all before it are right."""
    for place, proposal in enumerate(ledger.pending):
        if proposal.outcome != honest(ledger.rounds[proposal.round - 1]):
            return place
    return None


def calldata_bytes(call: Refute) -> int:
    """How much calldata a refutation brings, rounded up."""
    evidence = call.evidence
    lists = (*evidence.reports, *evidence.heads, *evidence.rows)
    return (
        4_096  # parameters, record, places of everything
        + sum(64 + len(item) for item in lists)
        + sum(32 * (1 + len(sums)) for sums in evidence.sums)
        + 320 * len(call.pending)
        + 96 * len(call.standings)
        + 41 * len(call.rows)
    )


def next_to_propose(ledger: Ledger) -> Round | None:
    """The first recorded round that is neither final nor proposed."""
    proposed = {proposal.round for proposal in ledger.pending}
    return next((round_ for round_ in ledger.unsettled() if round_.number not in proposed), None)


@dataclass(slots=True)
class Docket:
    """One account's care for the docket; :meth:`errand` is one look.

    ``vouch`` gives what the account says that a round came to. ``bonds``: so many proposal bonds are kept, deposited as
    they are needed; with 0, only what was deposited before is used. Without ``patient`` nobody's turn is waited for.
    """

    driver: Driver
    vouch: Callable[[Round], Outcome] = honest
    bonds: int = 0
    patient: bool = True
    tell: Callable[[str], None] = log.info
    _since: dict[str, tuple[object, float]] = field(default_factory=dict)
    _told: dict[str, str] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        return self.driver.follower.ledger

    @property
    def chain(self) -> Chain:
        return self.driver.chain

    def settle_in(self) -> None:
        """Make this what the driver does while it waits."""
        self.driver.errand = self.errand
        self.driver.nap_s = min(NAP_S, self.ledger.terms.challenge_s / LOOKS)

    def errand(self) -> Duty:
        """Refute, finalise, propose: as much as can be done now."""
        place = self._false_by_others()
        if place is not None:
            yield from self._refute(place)
        yield from self._finalise()
        if self._false_by_others() is None:
            yield from self._propose()
        self._report()

    def _false_by_others(self) -> int | None:
        place = first_false(self.ledger)
        return None if place is None or self.ledger.pending[place].proposer == self.chain.account else place

    # Refuting

    def _refute(self, place: int) -> Duty:
        false = self.ledger.pending[place]
        round_ = self.ledger.rounds[false.round - 1]
        what, found, expected = difference(false.outcome, honest(round_))
        self._say(
            "refute",
            f"round {false.round}: 0x{false.proposer.hex()} proposed {what} {found}, re-execution gives {expected}",
        )
        whole = self._refutation(place, round_, Evidence(reports=said_in(round_)))
        if calldata_bytes(whole) <= MAX_CALLDATA:
            yield Send(whole, false.round)
        # The same list still: it was too much for one transaction, not too late or too early.
        if tuple(self.ledger.pending) == whole.pending:
            yield from self._refute_in_slices(false, round_)

    def _refute_in_slices(self, false: Proposal, round_: Round) -> Duty:
        """One transaction cannot take it: hold the proposal up, have the slices heard, and refute by what they gave."""
        ledger, record = self.ledger, round_.record
        assert record is not None
        if self.chain.challenge_of(ledger.run) is None:
            bonded = yield from self._bond(false.round)
            if bonded:
                yield Send(Challenge(run=ledger.run, round=false.round), false.round)
        heads, slices = in_slices(round_, ledger.terms)
        for chunk, heard in enumerate(slices):
            if not self.chain.is_heard(ledger.run, record, chunk, heard.rows, heard.sums):
                call = Hear(
                    run=ledger.run, params=ledger.terms, record=record, heads=heads, chunk=chunk, rows_of=heard.rows_of
                )
                done = yield Send(call, false.round)
                if not done:
                    return
        if false in ledger.pending:
            evidence = Evidence(
                heads=heads, rows=tuple(heard.rows for heard in slices), sums=tuple(heard.sums for heard in slices)
            )
            yield Send(self._refutation(ledger.pending.index(false), round_, evidence), false.round)

    def _refutation(self, place: int, round_: Round, evidence: Evidence) -> Refute:
        ledger, record = self.ledger, round_.record
        assert record is not None
        before = books_before(ledger, round_)
        return Refute(
            run=ledger.run,
            params=ledger.terms,
            pending=tuple(ledger.pending),
            place=place,
            record=record,
            roster=before.roster,
            rows=ledger.roster_between(before.roster, round_.roster),
            standings=before.standings,
            evidence=evidence,
        )

    # Making final

    def _finalise(self) -> Duty:
        while self.ledger.pending:
            first = self.ledger.pending[0]
            round_ = self.ledger.rounds[first.round - 1]
            execution = round_.execution
            assert execution is not None
            if first.outcome != execution.outcome or not self._is_due(first):
                return
            # The proposer has its bond to gain; when it is not there, the others see to it in turn.
            rank = 0 if first.proposer == self.chain.account else 1 + self._rank(round_)
            if not self._is_my_turn("finalise", first.round, rank, round_):
                return
            pending = tuple(self.ledger.pending)
            call = Finalise(run=self.ledger.run, pending=pending, effects=execution.effects)
            done = yield Send(call, first.round)
            if not done:
                return

    def _is_due(self, proposal: Proposal) -> bool:
        now_s = self.chain.now_s()
        if now_s < proposal.final_s:
            return False
        challenge = self.chain.challenge_of(self.ledger.run)
        return challenge is None or challenge.round != proposal.round or now_s >= challenge.until_s

    # Proposing

    def _propose(self) -> Duty:
        while len(self.ledger.pending) < MAX_PENDING:
            round_ = next_to_propose(self.ledger)
            if round_ is None:
                return
            came_up = (round_.number, len(self.ledger.refuted))
            if not self._is_my_turn("propose", came_up, self._rank(round_), round_):
                return
            bonded = yield from self._bond(round_.number)
            if not bonded:
                return
            call = Propose(run=self.ledger.run, round=round_.number, outcome=self.vouch(round_))
            done = yield Send(call, round_.number)
            if not done:
                return

    def _bond(self, about: int) -> Generator[Action, Any, bool]:
        """Whether a bond is free, deposited just now if need be."""
        ledger, account, bond_wei = self.ledger, self.chain.account, self.ledger.terms.proposal_bond_wei
        bond = self.chain.bond_of(ledger.run, account)
        if bond.amount_wei - bond.locked_wei >= bond_wei:
            return True
        if bond.amount_wei >= self.bonds * bond_wei:
            if self.bonds == 0:
                self._say("bond", f"no bond of {bond_wei} wei is free to propose with; see 'gradmint bond'")
            return False
        held_wei = self.chain.token_balance_wei(ledger.token, account)
        if held_wei < bond_wei:
            poor = f"0x{account.hex()} holds {held_wei} wei of the token, a bond takes {bond_wei}: nothing proposed"
            self._say("bond", poor)
            return False
        done = yield Send(Bond(run=ledger.run, amount_wei=bond_wei), about)
        return bool(done)

    # Turns

    def _turns(self, round_: Round) -> list[int]:
        """Who revealed, but for those whose proposal for this round was refuted."""
        false = {proposal.proposer for _, proposal in self.ledger.refuted if proposal.round == round_.number}
        return [v for v in sorted(round_.reveals) if self._verifier(v, round_) not in false]

    def _rank(self, round_: Round) -> int:
        turns = self._turns(round_)
        mine = next((v for v in turns if self._verifier(v, round_) == self.chain.account), None)
        return rank_in_turn(turns, round_.number, mine)

    def _verifier(self, index: int, round_: Round) -> bytes:
        return holder(self.ledger, Role.VERIFIER, index, round_.number).account

    def _is_my_turn(self, what: str, which: object, rank: int, round_: Round) -> bool:
        """Whether those before us have had their time since ``which`` came up here."""
        if not self.patient:
            return True
        known, since_s = self._since.get(what, (None, 0.0))
        if known != which:
            since_s = time.monotonic()
            self._since[what] = which, since_s
        return time.monotonic() - since_s >= rank * turn_s(self.ledger.terms, self._turns(round_))

    # Progress

    def _report(self) -> None:
        pending, unsettled = self.ledger.pending, self.ledger.unsettled()
        if not unsettled:
            self._say("state", "every recorded round is final")
            return
        waiting = f"recorded and not final: round {unsettled[0].number} to {unsettled[-1].number}; " + (
            f"proposed up to round {pending[-1].round}" if pending else "none is proposed"
        )
        left_s = max(0, pending[0].final_s - self.chain.now_s()) if pending else 0
        self._say("state", waiting, f", round {pending[0].round} is final in {left_s} s" if pending else "")

    def _say(self, topic: str, text: str, detail: str = "") -> None:
        """Only when there is something new to say on a topic."""
        if self._told.get(topic) != text:
            self._told[topic] = text
            self.tell(text + detail)


def settle_recorded(docket: Docket) -> None:
    """See to the docket until the run has ended and every recorded round is final. Raises as :meth:`Driver.perform`."""
    ledger = docket.ledger
    docket.settle_in()
    docket.driver.attend(lambda: ledger.phase is not Phase.ENDED or bool(ledger.unsettled()))


def difference(found: Outcome, expected: Outcome) -> tuple[str, str, str]:
    """The first field in which two outcomes differ, with both values. Raises LookupError when they are equal."""
    for item in sorted(fields(Outcome), key=lambda item: _TELLING.index(item.name)):
        values = getattr(found, item.name), getattr(expected, item.name)
        if values[0] != values[1]:
            proposed, executed = (value.hex() if isinstance(value, bytes) else str(value) for value in values)
            return item.name.replace("_", " "), proposed, executed
    raise LookupError("the outcomes are the same")


#: Fields of an outcome, those first that say most to people.
_TELLING = (
    "total_wei",
    "loss_micronats",
    "cluster_mask",
    "weakest",
    "effects_hash",
    "root",
    "standings_hash",
)
