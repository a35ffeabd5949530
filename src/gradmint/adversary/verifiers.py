"""Verifiers that want to be paid without assessing, or more than they earned."""

from __future__ import annotations

import os
from dataclasses import replace

from ..roles.docket import first_false
from ..roles.verifier import VerifierStrategy
from ..spec import tree
from ..spec.docket import Outcome
from ..spec.round import Round
from ..spec.types import Report, Row, Verdict


class Liar(VerifierStrategy):
    """Makes its whole report up: random words, plausible gains. Met by: half of all bits away, so slashed."""

    name = "liar"
    GAIN_MICRONATS = 1_000

    def report(self, round_: Round) -> Report:
        words = self.desk.follower.params.words
        return Report(
            loss_micronats=1_000_000,
            words=tuple(int.from_bytes(os.urandom(32), "big") for _ in range(words)),
            rows=(Row(Verdict.OK, self.GAIN_MICRONATS, 2 * self.GAIN_MICRONATS),) * round_.trainers,
        )


class Flatterer(VerifierStrategy):
    """Assesses honestly, then triples one friend's gain. Met by: the median; its friend is not the richer."""

    name = "flatterer"
    FRIEND = 0

    def report(self, round_: Round) -> Report:
        honest = super().report(round_)
        rows = list(honest.rows)
        if rows:
            friend = rows[self.FRIEND]
            rows[self.FRIEND] = replace(friend, common_gain_micronats=3 * max(1, abs(friend.common_gain_micronats)))
        return replace(honest, rows=tuple(rows))


class RubberStamp(VerifierStrategy):
    """Assesses honestly and never looks at what headers say or trainers prove. Met by: planted updates, exposed."""

    name = "rubber-stamp"

    def unproven(self, round_: Round) -> list[int]:
        return []


class Embezzler(VerifierStrategy):
    """Assesses honestly and proposes settlements in which half of the best-paid's earnings are its own, until it was
    caught twice. Met by: re-execution; its bond is lost, and the round proposed anew by another."""

    name = "embezzler"
    LIES = 2

    def vouch(self, round_: Round) -> Outcome:
        honest, ledger, account = super().vouch(round_), self.desk.ledger, self.desk.seat.account
        caught = sum(proposal.proposer == account for _, proposal in ledger.refuted)
        assert round_.execution is not None
        books = round_.execution.books
        richest = max((s for s in books.standings if s.account != account), key=lambda s: s.paid_wei)
        booty_wei = richest.paid_wei // 2
        if caught >= self.LIES or first_false(ledger) is not None or not booty_wei:
            return honest
        moved = {account: booty_wei, richest.account: -booty_wei}  # the tree's sum stays what it was
        trainers, verifiers = (
            tuple(
                replace(standing, paid_wei=standing.paid_wei + moved.get(standing.account, 0)) for standing in standings
            )
            for standings in (books.trainers, books.verifiers)
        )
        cooked = replace(books, trainers=trainers, verifiers=verifiers)
        root = tree.root(cooked.standings).hash
        return replace(honest, root=root, standings_hash=cooked.standings_hash)
