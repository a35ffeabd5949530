"""The trainer: train on the assigned shard, commit to the update by its digest, publish when submissions are closed."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

import numpy as np
import torch

from ..learn import proof
from ..learn.codec import Header, Mark, Update, encode
from ..learn.steps import LocalSteps
from ..learn.train import Trained, compress, local_round
from ..ports.chain import Close, Submit
from ..spec.round import Round
from ..spec.types import Phase
from .desk import Desk
from .driver import Duty, Once, Say, Until

log = logging.getLogger(__name__)

LOOK_S = 2.0  # between looks at who is still awaited
DRAFT = "train"  # journal entry of the round's update
KEPT_ROUNDS = 3  # journal entries older than this are of no use: their round is over


@dataclass(frozen=True, slots=True)
class Draft:
    """An update on its way: the claim that goes on chain and the blob whose digest does."""

    claimed_gain_micronats: int
    blob: bytes

    def pack(self) -> bytes:
        """claim int32, then the blob: the journal's form."""
        return self.claimed_gain_micronats.to_bytes(4, "big", signed=True) + self.blob

    @classmethod
    def unpack(cls, packed: bytes) -> Draft:
        return cls(int.from_bytes(packed[:4], "big", signed=True), packed[4:])


class TrainerStrategy:
    """What a trainer sends. This one is honest; an attack overrides a method and nothing else changes.

    ``name`` shows up in tables; ``desk`` gives the model (``desk.replica``), the ledger and the store.
    """

    name = "honest"
    steps: type[LocalSteps] = LocalSteps

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def draft(self, round_: Round) -> Draft:
        """The round's update."""
        desk, replica = self.desk, self.desk.replica
        trained = self.train(round_)
        update, residual = compress(trained.delta, self._residual(round_), replica.manifest)
        # Journaled with the round's number: drafting again after a crash starts from the earlier residual again.
        desk.journal.put(round_.number, "residual", residual.numpy().tobytes())
        said = self.claims(round_, update)
        return self.seal(round_, update, said.gain_micronats, said.words, trained.marks)

    def train(self, round_: Round) -> Trained:
        """Local training. What may have to be opened is journaled as it comes."""
        desk, replica = self.desk, self.desk.replica
        return local_round(
            replica.task,
            replica.manifest,
            replica.state,
            round_.training_beacon,
            desk.seat.index,
            steps=self.steps,
            keep=lambda interval, opening: desk.journal.put(round_.number, _state(interval), opening.pack()),
        )

    def claims(self, round_: Round, update: Update) -> proof.Claims:
        """What is true of ``update``."""
        replica, index = self.desk.replica, self.desk.seat.index
        return proof.claims(replica.task, replica.manifest, replica.state, update, round_.training_beacon, index)

    def publish(self, round_: Round, blob: bytes) -> bytes | None:
        """What goes to the store once submissions are closed; None withholds."""
        return blob

    def open(self, round_: Round, interval: int) -> proof.Opening | None:
        """The state that ``interval`` begins with, which an audit asks for; None keeps it back."""
        packed = self.desk.journal.get(round_.number, _state(interval))
        return proof.NOTHING if packed is None else proof.Opening.unpack(packed, self.desk.replica.layout)

    def seal(
        self,
        round_: Round,
        update: Update,
        claimed_gain_micronats: int,
        words: tuple[int, ...],
        marks: tuple[Mark, ...] | None = None,
    ) -> Draft:
        """``update`` as a blob under this trainer's own header; without ``marks`` it has nothing to open."""
        desk, replica = self.desk, self.desk.replica
        header = Header(
            run=desk.follower.run,
            round=round_.number,
            author=desk.seat.account,
            base=replica.base,
            claimed_gain_micronats=claimed_gain_micronats,
            words=words,
            marks=proof.blank_marks(replica.manifest) if marks is None else marks,
            layout=replica.layout.digest,
        )
        return Draft(claimed_gain_micronats, encode(header, update))

    def errand(self) -> Duty:
        """What there is to do beside the rounds: one look at a time, while others are waited for, and a last one."""
        yield from ()

    def _residual(self, round_: Round) -> torch.Tensor | None:
        kept = self.desk.journal.latest("residual", before=round_.number)
        if kept is None or len(kept) != 4 * self.desk.replica.layout.dimension:
            return None
        return torch.from_numpy(np.frombuffer(kept, dtype=np.float32).copy())


def trainer_duty(desk: Desk, strategy: TrainerStrategy, round_: Round) -> Duty:
    """One round of a trainer."""
    desk.catch_up()
    me = desk.seat.index
    packed = yield Once(DRAFT, lambda: strategy.draft(round_).pack())
    assert isinstance(packed, bytes)
    draft = Draft.unpack(packed)
    submit = Submit(
        run=desk.follower.run,
        digest=hashlib.sha256(draft.blob).digest(),
        claimed_gain_micronats=draft.claimed_gain_micronats,
    )
    submitted = yield Say(submit, Phase.TRAIN, said=lambda r: me in r.first_submissions)
    if not submitted:
        return
    yield from _close(desk, round_)
    yield Until(Phase.HOLD)
    published = strategy.publish(round_, draft.blob)
    if published is not None:
        desk.store.put(published)
        interval = desk.replica.audits(round_).get(me, 0)
        opening = strategy.open(round_, interval) if interval else None
        for blob in (*opening.parts, opening.index) if opening is not None else ():
            desk.store.put(blob)
    for interval in range(1, desk.replica.manifest.training.intervals):
        desk.journal.drop(round_.number, _state(interval))


def _state(interval: int) -> str:
    """Journal entry of the state that an interval begins with."""
    return f"state {interval}"


def _close(desk: Desk, round_: Round) -> Duty:
    """Spare the round its deadline when everyone awaited is in: whoever submits last sees to it; when those awaited
    become fewer later, whoever is first in the order of seats."""
    desk.follower.refresh()
    last = True
    while round_.phase is Phase.TRAIN:
        submitted = round_.first_submissions
        if desk.ledger.awaited_trainers() <= submitted.keys() and (last or min(submitted) == desk.seat.index):
            rows = tuple((s.trainer, s.claimed_gain_micronats, s.digest) for s in round_.submissions)
            closed = yield Say(
                Close(run=desk.follower.run, submissions=rows), Phase.TRAIN, said=lambda r: r.phase > Phase.TRAIN
            )
            if closed:
                return
        last = False
        yield Until(Phase.HOLD, at_most_s=LOOK_S)


def train(desk: Desk, strategy: TrainerStrategy) -> None:
    """Serve as trainer until the run ends or the seat is gone. Raises what :meth:`Driver.perform` does."""
    desk.driver.errand = strategy.errand
    try:
        with desk.numerics.apply():
            _serve(desk, strategy)
        desk.driver.see_to(strategy.errand)
    finally:
        desk.driver.errand = None


def _serve(desk: Desk, strategy: TrainerStrategy) -> None:
    number = 0
    while desk.driver.await_round(max(number + 1, len(desk.ledger.rounds))):
        number = len(desk.ledger.rounds)
        if desk.seat.gone:
            log.warning("trainer %d left the run in round %d", desk.seat.index, number)
            return
        if not desk.take_part(number):
            continue
        round_ = desk.ledger.rounds[number - 1]
        if desk.seat.index in round_.barred:
            last = round_.standings[desk.seat.index].ban_round
            log.warning("trainer %d is banned up to round %d: it sits round %d out", desk.seat.index, last, number)
            continue
        desk.driver.perform(number, lambda round_=round_: trainer_duty(desk, strategy, round_))  # type: ignore[misc]
        desk.journal.forget(before=number - KEPT_ROUNDS)
