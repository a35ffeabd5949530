"""Verifiers that want to be paid without assessing."""

from __future__ import annotations

import os
from dataclasses import replace

from ..roles.verifier import VerifierStrategy
from ..spec.ledger import Round
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
