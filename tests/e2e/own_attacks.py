"""Attacks that a user brings along: ``--adversaries own_attacks:Noisy --bad-verifiers own_attacks:Mumbler``."""

from __future__ import annotations

import os
from dataclasses import replace

import torch

from gradmint.learn.codec import quantise
from gradmint.roles import docket
from gradmint.roles.desk import Desk
from gradmint.roles.trainer import Draft, TrainerStrategy
from gradmint.roles.verifier import VerifierStrategy
from gradmint.spec.round import Round
from gradmint.spec.types import Report, Role


class Noisy(TrainerStrategy):
    """Sends noise of a believable size."""

    name = "noisy"

    def draft(self, round_: Round) -> Draft:
        replica = self.desk.replica
        generator = torch.Generator().manual_seed(round_.number)
        noise = 0.02 * torch.randn(replica.layout.dimension, generator=generator)
        update = quantise(noise, replica.manifest.codec.chunk, replica.manifest.codec.keep)
        return self.seal(round_, update, 1_000_000, (0,) * replica.manifest.assessment.words)


class Patient(TrainerStrategy):
    """Honest; in round 6 it waits for a second trainer to sit down."""

    name = "patient"

    def draft(self, round_: Round) -> Draft:
        while round_.number == 6 and len(self.desk.ledger.seats[Role.TRAINER]) < 2:
            self.desk.chain.wait(self.desk.follower.run, 1.0)
            self.desk.follower.refresh()
        return super().draft(round_)


class Mumbler(VerifierStrategy):
    """Assesses honestly and signs with other words."""

    name = "mumbler"

    def report(self, round_: Round) -> Report:
        honest = super().report(round_)
        return replace(honest, words=tuple(int.from_bytes(os.urandom(32), "big") for _ in honest.words))


class Wavering(Mumbler):
    """Mumbles as long as not everybody was called in: committees that were drawn have no quorum."""

    name = "wavering"

    def report(self, round_: Round) -> Report:
        return super().report(round_) if round_.attempt == 1 else VerifierStrategy.report(self, round_)


class Thorough(VerifierStrategy):
    """Honest, and refutes in slices whatever the size: so that there is a middle to die in."""

    name = "thorough"

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        docket.MAX_CALLDATA = 0
