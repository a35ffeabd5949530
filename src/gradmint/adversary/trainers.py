"""Trainers that want to be paid for less than the work, or to do harm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..learn import proof
from ..learn.codec import Update, approximate
from ..learn.steps import LocalSteps, Progress
from ..learn.train import compress
from ..roles import planter
from ..roles.desk import Desk
from ..roles.rounds import consensus_of
from ..roles.trainer import Draft, TrainerStrategy
from ..spec.round import Round
from ..spec.seeds import derive

NOISE = 1e-6


class FreeRider(TrainerStrategy):
    """Trains nothing: zeros and a little noise. Met by: value zero, proof a coin toss; when audited UNPROVEN."""

    name = "free-rider"

    def draft(self, round_: Round) -> Draft:
        update = self._noise(round_)
        said = self.claims(round_, update)
        return self.seal(round_, update, said.gain_micronats, said.words)

    def _noise(self, round_: Round) -> Update:
        manifest = self.desk.replica.manifest
        seed = int.from_bytes(derive(round_.training_beacon, "free-rider", self.desk.seat.index)[:8], "big")
        noise = np.random.Generator(np.random.Philox(seed)).standard_normal(self.desk.replica.layout.dimension)
        scaled = torch.from_numpy((NOISE * noise).astype(np.float32))
        return approximate(scaled, manifest.codec.table(len(scaled)))


class Copycat(TrainerStrategy):
    """Sends the best-paid update of the last round again under its own name, once there is one. Met by: DUPLICATE."""

    name = "copycat"

    def draft(self, round_: Round) -> Draft:
        update = self._loot()
        if update is None:
            return super().draft(round_)
        said = self.claims(round_, update)
        return self.seal(round_, update, said.gain_micronats, said.words)

    def _loot(self) -> Update | None:
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
        trained = self.train(round_)
        update, _ = compress(-trained.delta, None, self.desk.replica.manifest)
        said = self.claims(round_, update)
        return self.seal(round_, update, said.gain_micronats, said.words, trained.marks)


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
        trained = self.train(round_)
        update, _ = compress(self.FACTOR * trained.delta, None, self.desk.replica.manifest)
        said = self.claims(round_, update)
        return self.seal(round_, update, said.gain_micronats, said.words, trained.marks)


class Vandal(TrainerStrategy):
    """Sends bytes that were an update once: cut short and bent. Met by: a decoder that trusts nothing, so MALFORMED."""

    name = "vandal"

    def draft(self, round_: Round) -> Draft:
        draft = super().draft(round_)
        bent = bytearray(draft.blob[:-7])
        bent[len(bent) // 2] ^= 0xFF
        return Draft(draft.claimed_gain_micronats, bytes(bent))


class _Cheap(LocalSteps):
    """Cheats in the third quarter of the steps and is honest in the others."""

    def cheats(self, step: int) -> bool:
        return self.spec.steps // 2 <= step < 3 * self.spec.steps // 4


class _HalfBatch(_Cheap):
    def samples(self, step: int) -> list[int]:
        assigned = super().samples(step)
        return assigned[: len(assigned) // 2] if self.cheats(step) else assigned


class HalfBatch(TrainerStrategy):
    """Learns from half of each batch. Met by: an audit of the interval, UNPROVEN."""

    name = "half-batch"
    steps = _HalfBatch


class _Skipping(_Cheap):
    def advance(self, until: int) -> Progress:
        while self.progress.taken < until:
            if self.cheats(self.progress.taken):
                self.progress.taken += 1
            else:
                super().advance(self.progress.taken + 1)
        return self.progress


class Skipper(TrainerStrategy):
    """Leaves out some of the steps. Met by: an audit of the interval, UNPROVEN."""

    name = "skipper"
    steps = _Skipping


class _OtherData(_Cheap):
    def samples(self, step: int) -> list[int]:
        assigned = super().samples(step)
        return [(i + 1) % self.task.samples for i in assigned] if self.cheats(step) else assigned


class Elsewhere(TrainerStrategy):
    """Learns from other samples than the assigned ones. Met by: an audit of the interval, UNPROVEN."""

    name = "elsewhere"
    steps = _OtherData


class _Coasting(_Cheap):
    def slope(self, step: int) -> Tensor:
        return self.progress.first.clone() if self.cheats(step) else super().slope(step)


class Coaster(TrainerStrategy):
    """Lets the momentum run on instead of computing gradients. Met by: an audit of the interval, UNPROVEN."""

    name = "coaster"
    steps = _Coasting


class _Stunned(_Skipping):
    def advance(self, until: int) -> Progress:
        stunned = self.cheats(until - 1)
        progress = super().advance(until)
        if stunned:
            progress.second.fill_(1e30)  # no step moves anything any more, so every gradient is as good as another
        return progress


class Stunner(TrainerStrategy):
    """Puts garbage into the optimiser's state, from which an honest interval is no work. Met by: that state must be
    reached from the one before, UNPROVEN when that interval is audited."""

    name = "stunner"
    steps = _Stunned


class Braggart(TrainerStrategy):
    """Claims twice its gain and a tenth of a nat. Met by: what the update does alone, UNPROVEN."""

    name = "braggart"
    EXTRA_MICRONATS = 100_000

    def claims(self, round_: Round, update: Update) -> proof.Claims:
        true = super().claims(round_, update)
        return replace(true, gain_micronats=2 * max(0, true.gain_micronats) + self.EXTRA_MICRONATS)


class Parrot(TrainerStrategy):
    """Signs with words that are true of somebody else's shard. Met by: its own words computed again, UNPROVEN."""

    name = "parrot"

    def claims(self, round_: Round, update: Update) -> proof.Claims:
        replica, other = self.desk.replica, self.desk.seat.index + 1
        theirs = proof.claims(replica.task, replica.manifest, replica.state, update, round_.training_beacon, other)
        return replace(super().claims(round_, update), words=theirs.words)


class Planter(planter.Planter):
    """Plants in every round, so that a short run has something to show. Met by: UNPROVEN where its header is checked,
    a ban at the third; what it lives on is who does not check."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk, 1.0)


class Mute(TrainerStrategy):
    """Never opens what is audited. Met by: not held, MISSING."""

    name = "mute"

    def open(self, round_: Round, interval: int) -> proof.Opening | None:
        return None
