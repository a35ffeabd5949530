"""The planter: a trainer that is wrong on purpose now and then, and exposes who calls it right without looking.

It trains as any other; what it plants is its update's own words (:mod:`gradmint.spec.plant`). Everything follows from
one secret that is journaled before it is used, so a restarted planter knows its plants and exposes what is left.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from hashlib import sha256

from ..ports.chain import Expose
from ..spec import plant
from ..spec.errors import BlobCorrupt, BlobMissing, Oversize
from ..spec.plant import Exposure
from ..spec.round import Round
from ..spec.seeds import derive
from .desk import Desk
from .docket import MAX_CALLDATA
from .driver import Duty, Send
from .trainer import DRAFT, Draft, TrainerStrategy

log = logging.getLogger(__name__)

CHANCE = 0.05
SECRET = "plant secret"  # journal entry in round 0: it belongs to the run


class Planter(TrainerStrategy):
    """An honest trainer that plants an update with probability ``chance`` a round, drawn from its own secret."""

    name = "planter"

    def __init__(self, desk: Desk, chance: float = CHANCE) -> None:
        super().__init__(desk)
        self.chance = chance
        secret = desk.journal.get(0, SECRET)
        if secret is None:
            secret = os.urandom(plant.SECRET_BYTES)
            desk.journal.put(0, SECRET, secret)
        self._secret = secret
        self._seen: set[int] = set()  # rounds that leave nothing more to expose

    def plants(self, number: int) -> bool:
        """Whether round ``number``'s update is planted; nobody without the secret can tell."""
        return int.from_bytes(derive(self._secret, "plants", number)[:8], "big") < self.chance * 2**64

    def secret(self, number: int) -> bytes:
        """What round ``number``'s words are drawn from."""
        return derive(self._secret, "words", number)

    def draft(self, round_: Round) -> Draft:
        draft = super().draft(round_)
        if not self.plants(round_.number):
            return draft
        log.info("round %d: planted", round_.number)
        words = self.desk.ledger.terms.words
        blob = plant.plant(draft.blob, self.desk.seat.account, self.secret(round_.number), words)
        return Draft(draft.claimed_gain_micronats, blob)

    def errand(self) -> Duty:
        """Expose every plant that was waved through, as soon as its round is recorded."""
        ledger = self.desk.ledger
        for round_ in self._open():
            exposure = self._exposure(round_)
            if exposure is not None:
                assert round_.record is not None
                call = Expose(run=ledger.run, params=ledger.terms, record=round_.record, exposure=exposure)
                done = yield Send(call, round_.number)
                log.info("round %d: %s", round_.number, "exposed" if done else "the exposure was refused")
            self._seen.add(round_.number)

    def _open(self) -> Iterator[Round]:
        """Rounds whose record the chain has and that were not looked at: a direct run keeps the latest only, others
        all of them, settled ones too. Who has lost its seat since, as the weakest is likely to, exposes still."""
        ledger, me = self.desk.ledger, self.desk.seat.index
        recorded = [round_ for round_ in ledger.rounds if round_.record]
        exposed = {event.round for event in ledger.exposed if event.trainer == me}
        for round_ in recorded[-1:] if ledger.is_direct else recorded:
            if round_.number in self._seen | exposed or round_.number < self.desk.seat.since_round:
                continue
            agreed = round_.settlement is not None and round_.settlement.consensus is not None
            if ledger.is_direct and not (agreed or round_.is_over or round_.active == round_.eligible):
                continue  # everyone will be called in, and nobody is to know by then
            yield round_

    def _exposure(self, round_: Round) -> Exposure | None:
        """None where nothing was planted, nobody had to look, or everybody did."""
        ledger, seat = self.desk.ledger, self.desk.seat
        submission = round_.first_submissions.get(seat.index)
        asked = plant.assigned(round_, ledger.terms.assigned_trainers)
        if submission is None or seat.index not in asked:
            return None
        try:
            blob = self._blob(round_.number, submission.digest)
        except (BlobMissing, BlobCorrupt, Oversize) as error:
            log.warning("round %d: nothing can be exposed: %s", round_.number, error)
            return None
        secret = self.secret(round_.number)
        if not plant.is_planted(blob, seat.account, secret, ledger.terms.words):
            return None
        found = plant.exposure(ledger.terms, round_, seat.index, blob, secret)
        if found is not None and found.size() > MAX_CALLDATA:
            log.warning("round %d: the exposure has %d bytes, too much to send", round_.number, found.size())
            return None
        return found

    def _blob(self, number: int, digest: bytes) -> bytes:
        """What was submitted in round ``number``: from the journal, which forgets, or else from the store, which may
        never have had it. Raises BlobMissing, BlobCorrupt, Oversize."""
        packed = self.desk.journal.get(number, DRAFT)
        if packed is not None and sha256(blob := Draft.unpack(packed).blob).digest() == digest:
            return blob
        return self.desk.store.get(digest, self.desk.replica.manifest.codec.max_bytes)
