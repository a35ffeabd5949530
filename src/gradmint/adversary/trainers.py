"""Trainers that want to be paid for less than the work, or to do harm."""

from __future__ import annotations

import numpy as np
import torch

from ..learn.codec import SparseUpdate, quantise
from ..learn.train import compress, local_round
from ..roles.rounds import consensus_of
from ..roles.trainer import Draft, TrainerStrategy
from ..spec.round import Round
from ..spec.seeds import derive

NOISE = 1e-6


class FreeRider(TrainerStrategy):
    """Trains nothing: a zero update with a little noise, and a bold claim. Met by: value zero, proof a coin toss."""

    name = "free-rider"
    CLAIM_MICRONATS = 100_000

    def draft(self, round_: Round) -> Draft:
        return self.seal(round_, self._noise(round_), self.CLAIM_MICRONATS, self._no_words())

    def _noise(self, round_: Round) -> SparseUpdate:
        manifest = self.desk.replica.manifest
        seed = int.from_bytes(derive(round_.training_beacon, "free-rider", self.desk.seat.index)[:8], "big")
        noise = np.random.Generator(np.random.Philox(seed)).standard_normal(self.desk.replica.layout.dimension)
        scaled = torch.from_numpy((NOISE * noise).astype(np.float32))
        return quantise(scaled, manifest.codec.chunk, manifest.codec.keep)

    def _no_words(self) -> tuple[int, ...]:
        return (0,) * self.desk.replica.manifest.assessment.words


class Copycat(FreeRider):
    """Sends the best-paid update of the last round again under its own name. Met by: DUPLICATE."""

    name = "copycat"

    def draft(self, round_: Round) -> Draft:
        update = self._loot() or self._noise(round_)
        return self.seal(round_, update, self.CLAIM_MICRONATS, self._no_words())

    def _loot(self) -> SparseUpdate | None:
        ledger = self.desk.ledger
        agreed = [consensus for round_ in ledger.rounds if (consensus := consensus_of(ledger, round_)) is not None]
        updates = {i: u for i, u in self.desk.replica.previous.items() if i != self.desk.seat.index}
        if not agreed or not updates:
            return None
        gains = {i: agreed[-1].rows[i].common_gain_micronats for i in updates}
        return updates[max(gains, key=lambda i: gains[i])]


class Poisoner(TrainerStrategy):
    """Trains honestly and sends the opposite. Met by: value below zero, so no pay and no place in the mean."""

    name = "poisoner"

    def draft(self, round_: Round) -> Draft:
        replica = self.desk.replica
        trained = local_round(
            replica.task, replica.manifest, replica.state, round_.training_beacon, self.desk.seat.index
        )
        update, _ = compress(-trained.delta, None, replica.manifest)
        return self.seal(round_, update, abs(trained.claimed_gain_micronats), trained.words)


class Plagiarist(TrainerStrategy):
    """Publishes another trainer's blob, header and all. Met by: the header names its author, so MALFORMED."""

    name = "plagiarist"

    def draft(self, round_: Round) -> Draft:
        draft = super().draft(round_)
        own = bytearray(draft.blob)
        others = [seat.account for seat in self.desk.ledger.seats[self.desk.seat.role] if seat is not self.desk.seat]
        author = own.find(self.desk.seat.account)
        if others:
            own[author : author + 20] = others[0]
        return Draft(draft.claimed_gain_micronats, bytes(own))


class Withholder(TrainerStrategy):
    """Commits to an update and never shows it. Met by: MISSING."""

    name = "withholder"

    def publish(self, round_: Round, blob: bytes) -> bytes | None:
        return None


class Exploder(TrainerStrategy):
    """Sends a hundred times its update. Met by: the norm bound, and clipping to the round's median norm."""

    name = "exploder"
    FACTOR = 100.0

    def draft(self, round_: Round) -> Draft:
        replica = self.desk.replica
        trained = local_round(
            replica.task, replica.manifest, replica.state, round_.training_beacon, self.desk.seat.index
        )
        update, _ = compress(self.FACTOR * trained.delta, None, replica.manifest)
        return self.seal(round_, update, trained.claimed_gain_micronats, trained.words)


class Vandal(TrainerStrategy):
    """Sends bytes that were an update once: cut short and bent. Met by: a decoder that trusts nothing, so MALFORMED."""

    name = "vandal"

    def draft(self, round_: Round) -> Draft:
        draft = super().draft(round_)
        bent = bytearray(draft.blob[:-7])
        bent[len(bent) // 2] ^= 0xFF
        return Draft(draft.claimed_gain_micronats, bytes(bent))
