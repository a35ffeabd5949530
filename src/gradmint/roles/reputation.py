"""What an account does to be believed: harvest, propose its rating, answer doubts, doubt others, bring it to runs.

Each look does what there is to do now and needs to remember nothing: what was endorsed, proposed or challenged before a
crash is found on the chain.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from ..ports.chain import Call, Chain, Rate
from ..ports.reputation import ReputationReader
from ..ports.reputation_calls import (
    ChallengeRating,
    Deposit,
    FinaliseRating,
    Harvest,
    ProposeRating,
    ProveRating,
    RefuteRating,
    SlashVouch,
)
from ..reputation.most import Most
from ..reputation.witness import STANDARD_NODES, find
from ..spec import feedback
from ..spec.book import LAPSE_EPOCHS, Book, Pending
from ..spec.endorsements import RatingProposed
from ..spec.errors import ChainError
from ..spec.ledger import Ledger
from ..spec.params import Params
from ..spec.round import Seat
from ..spec.types import Phase, Role
from ..spec.witness import MAX_NODES, SUBJECT, Witness
from .driver import NAP_S, patiently
from .follower import BookFollower, Follower
from .journal import Journal
from .outbox import Outbox

log = logging.getLogger(__name__)

_UNTIL = "proposal until"  # journal entry while a proposal is under way: the first block that is too late for it
WORTH_Q32 = 1 << 25  # a rise below this, 1 in 128 of the whole scale, is not worth a transaction
MARGIN = (
    50  # of an epoch, the last part, in which nothing is proposed: mined in the next, it would be about another cut
)


class ReputationPort(ReputationReader, Protocol):
    """What a keeper needs beside the chain that it sends to."""

    def await_block(self, number: int, timeout_s: float) -> int:
        """Block until there is block ``number`` or the time passes; the newest one then."""
        ...


def unharvested(ledger: Ledger, book: Book, epoch: int) -> feedback.Harvest | None:
    """What the contract would record of the run in ``epoch``, were it not harvested in it yet; None when nothing."""
    verifiers = ledger.final.verifiers
    return feedback.harvest(
        ledger.final.trainers,
        verifiers,
        {seat.account for seat in ledger.seats[Role.VERIFIER] if not seat.gone},
        len(ledger.rounds),
        book.harvested_rounds.get(ledger.run, 0),
        {standing.account: book.said_until(standing.account, epoch) for standing in verifiers},
    )


def is_over(ledger: Ledger, book: Book, epoch: int) -> bool:
    """Nothing will come of the run any more: it has ended, all is settled and harvested."""
    return ledger.phase is Phase.ENDED and not ledger.unsettled() and unharvested(ledger, book, epoch) is None


def is_seated(ledger: Ledger, account: bytes) -> bool:
    seat = ledger.seat(account)
    return seat is not None and not seat.gone


def harvest_call(ledger: Ledger) -> Harvest:
    return Harvest(run=ledger.run, roster=ledger.final.roster, standings=ledger.final.standings)


def slash_call(ledger: Ledger, voucher: bytes, account: bytes) -> SlashVouch:
    """Raises ChainError when the account is in none of the run's final standings."""
    standings = ledger.final.standings
    places = [place for place, standing in enumerate(standings) if standing.account == account]
    if not places:
        raise ChainError(
            f"0x{account.hex()} is not in the final standings of run {ledger.run}: name the run of its ban"
        )
    return SlashVouch(
        voucher=voucher,
        account=account,
        run=ledger.run,
        roster=ledger.final.roster,
        standings=standings,
        index=places[0],
    )


def witness_for(book: Book, said: RatingProposed) -> Witness | None:
    """Shows what was proposed; None when nothing that is found here does."""
    for most_nodes in (STANDARD_NODES, MAX_NODES):
        hits, paths, witness = find(book, said.account, said.cut, most_nodes)
        if hits >= said.hits and paths >= said.paths:
            # What the subject hands on counts for nothing, so less of it is as good for everyone else.
            subject = replace(witness.nodes[SUBJECT], visits=said.hits)
            return replace(witness, nodes=(subject, *witness.nodes[1:]))
    return None


def excess(most: Most, said: RatingProposed) -> str | None:
    """What a proposal claims that nobody can show, in words; None when it may be true."""
    hits, paths = most.shown(said.account, said.cut)
    if said.hits > hits:
        return f"hits {said.hits}, at most {hits} can be shown"
    if said.paths > paths:
        return f"{said.paths} disjoint paths, there are {paths}"
    return None


def goes_by_ratings(params: Params) -> bool:
    """Whether a rating changes anything in the run once one is seated."""
    return params.pay_least_bps != params.pay_most_bps or params.sortition_bps > 0


def stale_seats(ledger: Ledger, book: Book, epoch: int, accounts: frozenset[bytes] | None) -> list[Seat]:
    """Seats of ``accounts`` (everyone's by default) that go by another rating than their holder's."""
    if ledger.phase is Phase.ENDED or not goes_by_ratings(ledger.terms):
        return []
    return [
        seat
        for seats in ledger.seats.values()
        for seat in seats
        if not seat.gone
        and (accounts is None or seat.account in accounts)
        and seat.rating_q32 != book.rating_of(seat.account, epoch)
    ]


@dataclass(slots=True)
class Keeper:
    """One account's care for its rating; :meth:`look` is one look.

    ``bonds``: so many are kept in the purse or locked, deposited as they are needed; with 0, only what was deposited
    before is used. It sees to the runs in which the account has a seat; with ``for_all`` to every run, and to what
    others leave undone. Without ``patient`` nobody's turn is waited for.
    """

    chain: Chain
    port: ReputationPort
    journal: Journal
    bonds: int = 0
    for_all: bool = False
    patient: bool = True
    tell: Callable[[str], None] = log.info
    _follower: BookFollower = field(init=False)
    _outbox: Outbox = field(init=False)
    _most: Most = field(init=False)
    _newest: int = field(init=False, default=0)
    _runs: dict[int, Follower] = field(default_factory=dict)  # those that are not over
    _last_run: int = 0
    _due: dict[int, tuple[int, int]] = field(default_factory=dict)  # per run: epoch and block of noticing a harvest
    _best: tuple[int, int, int] | None = None  # cut, hits and paths that could be proposed
    _judged: dict[tuple[int, int], str | None] = field(default_factory=dict)  # per proposal: what is false about it
    _told: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._follower = BookFollower(self.port)
        self._most = Most(self.book)
        self._outbox = Outbox(self.chain, self.journal, lambda: self.port.await_block(self._newest + 1, 1.0))

    @property
    def book(self) -> Book:
        return self._follower.book

    @property
    def _epoch(self) -> int:
        """In which a transaction that is sent now will be."""
        return (self._newest + 1) // self.book.params.epoch_blocks

    def keep(self) -> None:
        """Look whenever there is a new block. Raises ChainUnreachable after a while without the chain, Unfunded."""
        while True:
            patiently(self._look_and_wait)

    def _look_and_wait(self) -> None:
        self.look()
        self.port.await_block(self._newest + 1, NAP_S)

    def look(self) -> None:
        """Do what there is to do now."""
        self._resume()
        self._refresh()
        self._answer()
        self._doubt()
        self._conclude()
        self._harvest()
        self._propose()
        self._rate()

    def _refresh(self) -> None:
        self._newest = self.port.block()
        self._follower.refresh()
        for run in self._runs.values():
            run.refresh()
        count = self.chain.run_count()
        for number in range(self._last_run + 1, count + 1):
            self._runs[number] = Follower(self.chain, number)
        self._last_run = count
        over = [number for number, run in self._runs.items() if is_over(run.ledger, self.book, self._epoch)]
        for number in over:
            del self._runs[number]

    def _ledgers(self) -> list[Ledger]:
        """Of the runs to see to."""
        ledgers = [run.ledger for run in self._runs.values()]
        return [ledger for ledger in ledgers if self.for_all or is_seated(ledger, self.chain.account)]

    def _send(self, call: Call, about: str) -> bool:
        done = self._outbox.send(call, about) is not None
        self._refresh()
        return done

    def _resume(self) -> None:
        """A proposal is about the epoch before the one in which it is mined: one that came too late is not sent."""
        until = self.journal.get(0, _UNTIL)
        if until is not None and self.port.block() + 1 >= int.from_bytes(until, "big"):
            self._outbox.forget()
        self._outbox.resume()
        self.journal.drop(0, _UNTIL)

    # Endorsements

    def _harvest(self) -> None:
        for ledger in self._ledgers():
            last = self.book.harvests.get(ledger.run)
            found = unharvested(ledger, self.book, self._epoch)
            is_due = found is not None and (last is None or last.epoch < self._epoch)
            if found is not None and is_due and self._is_my_turn(ledger):
                about = f"run {ledger.run}, {found.new_rounds} rounds"
                if self._send(harvest_call(ledger), about):
                    self.tell(f"{about}: {len(found.endorsers)} verifiers endorse {len(found.rows)} trainers")

    def _is_my_turn(self, ledger: Ledger) -> bool:
        """One more block for each who comes before us."""
        known = self._due.get(ledger.run)
        if known is None or known[0] != self._epoch:
            known = self._due[ledger.run] = (self._epoch, self._newest)
        seated = [seat.account for seats in ledger.seats.values() for seat in seats if not seat.gone]
        place = seated.index(self.chain.account) if self.chain.account in seated else len(seated)
        turn = (place - self._epoch) % len(seated) if place < len(seated) else place
        return not self.patient or self._newest >= known[1] + turn

    # Our own rating

    def _propose(self) -> None:
        book, account, epoch = self.book, self.chain.account, self._epoch
        last = (epoch + 1) * book.params.epoch_blocks - 1 - book.params.epoch_blocks // MARGIN
        if epoch == 0 or account in book.proposals or self._newest + 1 > last:
            return
        cut, rating = epoch - 1, book.ratings.get(account)
        if rating is not None and rating.cut >= cut:
            return
        if self._best is None or self._best[0] != cut:
            hits, paths, _ = find(book, account, cut)
            self._best = cut, hits, paths
        _, hits, paths = self._best
        proposed_q32, counts_q32 = book.rated_q32(hits, paths, cut), book.rating_of(account, epoch)
        is_due = rating is None or epoch >= rating.cut + LAPSE_EPOCHS  # the last that it counts in
        if proposed_q32 < WORTH_Q32 or not (is_due or proposed_q32 >= counts_q32 + WORTH_Q32):
            return self._say("rating", f"epoch {epoch}: nothing to propose, rating {show(counts_q32)}")
        if self._bond():
            self.journal.put(0, _UNTIL, (last + 1).to_bytes(8, "big"))
            if self._send(ProposeRating(hits=hits, paths=paths), f"epoch {epoch}"):
                self._say("rating", f"epoch {epoch}: proposed rating {show(proposed_q32)}, by {paths} disjoint paths")
            self.journal.drop(0, _UNTIL)

    def _answer(self) -> None:
        """Show a witness to whoever challenges our rating."""
        pending = self.book.proposals.get(self.chain.account)
        if pending is None or pending.challenge is None or self._newest + 1 >= pending.challenge.proof_block:
            return
        witness, about = witness_for(self.book, pending.said), f"rating of epoch {pending.said.cut}"
        if witness is None:
            return self._say("proof", f"{about}: nothing shows it, the bond is lost")
        if self._send(ProveRating(account=self.chain.account, witness=witness), about):
            self._say("proof", f"{about}: challenged by 0x{pending.challenge.challenger.hex()}, proven")

    # Ratings of others

    def _doubt(self) -> None:
        for account, pending in list(self.book.proposals.items()):
            open_ = pending.challenge is None and self._newest + 1 < pending.said.final_block
            if not open_ or account == self.chain.account:
                continue
            why = self._judge(pending.said)
            if why is not None and self._bond() and self._send(ChallengeRating(account=account), why):
                self.tell(f"0x{account.hex()} proposed {why}: challenged")

    def _judge(self, said: RatingProposed) -> str | None:
        if said.position not in self._judged:
            self._judged[said.position] = excess(self._most, said)
        return self._judged[said.position]

    def _conclude(self) -> None:
        """Make final what nobody challenged in time, void what nobody proved."""
        for account, pending in list(self.book.proposals.items()):
            call = self._conclusion(account, pending)
            if call is not None and self._send(call, f"rating of epoch {pending.said.cut} of 0x{account.hex()}"):
                is_final = isinstance(call, FinaliseRating)
                about = f"rating {show(pending.said.rating_q32)} of epoch {pending.said.cut}"
                self.tell(f"0x{account.hex()}: {about} is {'final' if is_final else 'void: nobody showed it'}")

    def _conclusion(self, account: bytes, pending: Pending) -> Call | None:
        challenge, next_block, me = pending.challenge, self._newest + 1, self.chain.account
        if challenge is None:
            is_due = next_block >= pending.said.final_block and (self.for_all or account == me)
            return FinaliseRating(account=account) if is_due else None
        is_due = next_block >= challenge.proof_block and (self.for_all or challenge.challenger == me)
        return RefuteRating(account=account) if is_due else None

    # Runs

    def _rate(self) -> None:
        accounts = None if self.for_all else frozenset({self.chain.account})
        for ledger in self._ledgers():
            for seat in stale_seats(ledger, self.book, self._epoch, accounts):
                name = f"run {ledger.run}, {seat.role.name.lower()} {seat.index}"
                if self._send(Rate(run=ledger.run, account=seat.account), name):
                    self.tell(f"{name}: goes by rating {show(self.book.rating_of(seat.account, self._epoch))} now")

    # Money

    def _bond(self) -> bool:
        """Whether a bond is free, deposited just now if need be."""
        book, account, bond_wei = self.book, self.chain.account, self.book.params.bond_wei
        if not any(self.port.token):
            self._say("bond", "this deployment's reputation has no token: nobody can be rated")
            return False
        free_wei = book.purses_wei.get(account, 0)
        if free_wei >= bond_wei:
            return True
        locked = (account in book.proposals) + sum(
            pending.challenge is not None and pending.challenge.challenger == account
            for pending in book.proposals.values()
        )
        if locked >= self.bonds:
            self._say("bond", f"no bond of {bond_wei} wei is free; see 'gradmint reputation deposit'")
            return False
        held_wei, needed_wei = self.chain.token_balance_wei(self.port.token, account), bond_wei - free_wei
        if held_wei < needed_wei:
            self._say("bond", f"0x{account.hex()} holds {held_wei} wei of the token, a bond takes {needed_wei} more")
            return False
        return self._send(Deposit(token=self.port.token, amount_wei=needed_wei), "bond")

    def _say(self, topic: str, text: str) -> None:
        """Only when there is something new to say on a topic."""
        if self._told.get(topic) != text:
            self._told[topic] = text
            self.tell(text)


def show(rating_q32: int) -> str:
    return f"{rating_q32 / 2**32:.3f}"
