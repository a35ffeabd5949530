"""The verifier: hold, assess, commit, reveal, settle; in runs that propose, see to the docket meanwhile."""

from __future__ import annotations

import logging
import os
import time

from ..learn.assess import assess
from ..learn.proof import Finding
from ..ports.chain import Commit, Hold, Reveal
from ..spec.docket import Outcome
from ..spec.errors import BlobCorrupt, BlobMissing, Oversize
from ..spec.round import Round
from ..spec.transcript import commitment
from ..spec.types import Phase, Report
from .desk import Desk
from .docket import Docket, honest
from .driver import Duty, Once, Recall, Say, Until
from .rounds import doubts_before
from .settler import settler_duty

log = logging.getLogger(__name__)

SALT_BYTES = 32
KEPT_ROUNDS = 3
FIRST_TURN_S = 0.1  # that each blob not there at first is waited for; doubled whenever all had their turn


class VerifierStrategy:
    """What a verifier reports. This one is honest; an attack overrides a method and nothing else changes."""

    name = "honest"

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def gather(self, round_: Round) -> bytes:
        """Bitmap of the trainers whose blob this verifier has, and whose opening, where the beacon asks for one.

        Late ones are waited for until half of the hold phase is over, by turns: whoever withholds a blob has nobody
        else overlooked.
        """
        bitmap = bytearray((round_.trainers + 7) // 8)
        late = [trainer for trainer in round_.first_submissions if trainer not in round_.barred]
        give_up_s, patience_s = self._half_of(round_, Phase.HOLD), 0.0
        while late:
            awaited, late = late, []
            for trainer in awaited:
                is_last = time.monotonic() >= give_up_s
                try:
                    self._fetch_all(round_, trainer, min(give_up_s, time.monotonic() + patience_s))
                except Oversize:
                    pass  # it is there, and too large for everyone alike: a verdict, not an absence
                except BlobCorrupt as error:
                    log.warning("round %d: trainer %d: %s", round_.number, trainer, error)
                    continue
                except BlobMissing as error:
                    if is_last:
                        log.warning("round %d: trainer %d: %s", round_.number, trainer, error)
                    else:
                        late.append(trainer)
                    continue
                bitmap[trainer // 8] |= 1 << trainer % 8
            patience_s = 2 * patience_s or FIRST_TURN_S
        return bytes(bitmap)

    def _half_of(self, round_: Round, phase: Phase) -> float:
        """When half of a phase that is open is over, on the monotonic clock."""
        params = self.desk.follower.params
        lasts_s = params.hold_s if phase is Phase.HOLD else params.commit_s
        left_s = round_.opened[phase].deadline_s - lasts_s / 2 - self.desk.chain.now_s()
        return time.monotonic() + max(0.0, left_s)

    def _fetch_all(self, round_: Round, trainer: int, give_up_s: float) -> None:
        """Waits for a trainer's blob and whatever opening the beacon asks for. Raises BlobMissing, BlobCorrupt,
        Oversize."""
        replica = self.desk.replica
        blob = self._fetch(round_.first_submissions[trainer].digest, replica.manifest.codec.max_bytes, give_up_s)
        for digest, most in replica.opening_blobs(round_, trainer, blob):
            self._fetch(digest, most, give_up_s)

    def _fetch(self, digest: bytes, most: int, give_up_s: float) -> bytes:
        """Raises BlobMissing, BlobCorrupt, Oversize."""
        if not self.desk.store.wait(digest, max(0.0, give_up_s - time.monotonic())):
            raise BlobMissing(f"blob {digest.hex()} was not published in time")
        return self.desk.store.get(digest, most)

    def report(self, round_: Round) -> Report:
        """What this verifier says it observed."""
        replica, ledger = self.desk.replica, self.desk.ledger
        assessment = assess(
            replica.task,
            replica.manifest,
            replica.state,
            replica.check_round(ledger, round_),
            round_.trainers,
            round_.training_beacon,
            round_.assessment_beacon,
            self.unproven(round_),
            doubts_before(ledger, round_),
        )
        for check in assessment.exact:
            if check.contradicts:
                log.warning("round %d: %s", round_.number, check)
        return assessment.report

    def unproven(self, round_: Round) -> list[int]:
        """Trainers of whom the round's beacons asked for more than bytes, and who cannot prove what they say.

        An opening that the committee held and this verifier cannot get in the first half of the commit phase is left to
        the others, whose median decides: shown to just enough of the stake, it would cost the rest their reports.
        """
        replica, ledger = self.desk.replica, self.desk.ledger
        findings: dict[int, Finding] = {}
        late = []
        for trainer in replica.examined(ledger, round_):
            try:
                findings[trainer] = replica.examine(ledger, round_, trainer)
            except BlobMissing:
                late.append(trainer)
        give_up_s = self._half_of(round_, Phase.COMMIT)
        for trainer in late:
            try:
                self._fetch_all(round_, trainer, give_up_s)
                findings[trainer] = replica.examine(ledger, round_, trainer)
            except (BlobMissing, BlobCorrupt) as error:
                log.warning("round %d: trainer %d: its interval is not examined: %s", round_.number, trainer, error)
                findings[trainer] = replica.examine(ledger, round_, trainer, opening=False)
        found = sorted(trainer for trainer, finding in findings.items() if finding.unproven)
        for trainer in found:
            log.warning("round %d: trainer %d: %s", round_.number, trainer, findings[trainer].reason)
        return found

    def vouch(self, round_: Round) -> Outcome:
        """What this verifier proposes as a recorded round's outcome."""
        return honest(round_)


def verifier_duty(desk: Desk, strategy: VerifierStrategy, round_: Round) -> Duty:
    """One round of a verifier, or one attempt: it is begun again when everyone is called in, so it lasts as long as the
    round does, also for whoever is not drawn."""
    desk.catch_up()
    yield Until(Phase.HOLD)
    if round_.active >> desk.seat.index & 1:
        yield from _committee_duty(desk, strategy, round_)
    yield Until(Phase.ENDED)


def _committee_duty(desk: Desk, strategy: VerifierStrategy, round_: Round) -> Duty:
    me, run = desk.seat.index, desk.follower.run
    if round_.phase is Phase.HOLD:
        bitmap = yield Once("gather", lambda: strategy.gather(round_))
        assert isinstance(bitmap, bytes)
        yield Say(Hold(run=run, bitmap=bitmap, base=desk.replica.base), Phase.HOLD, said=lambda r: me in r.holds)

    phase = yield Until(Phase.COMMIT)
    if phase is Phase.COMMIT:
        # The salt is on disk together with the report before anything is committed.
        def work() -> bytes:
            return os.urandom(SALT_BYTES) + strategy.report(round_).pack()

        sealed = yield Once("assess", work, round_.attempt)
    else:
        sealed = yield Recall("assess", round_.attempt)
    if not isinstance(sealed, bytes):
        log.warning("round %d: nothing was assessed before commitments closed", round_.number)
        return
    salt, report = sealed[:SALT_BYTES], sealed[SALT_BYTES:]
    seal = commitment(
        desk.chain.chain_id,
        desk.chain.rounds_address,
        run,
        round_.number,
        desk.seat.account,
        Report.hash(report, desk.follower.params.words),
        salt,
    )
    yield Say(Commit(run=run, commitment=seal), Phase.COMMIT, said=lambda r: me in r.commits)

    yield Until(Phase.REVEAL)
    if me not in round_.commits:
        return
    yield Say(Reveal(run=run, report=report, salt=salt), Phase.REVEAL, said=lambda r: me in r.reveals)
    if desk.ledger.is_direct:
        yield from settler_duty(desk.ledger, round_, me)


def verify(desk: Desk, strategy: VerifierStrategy, bonds: int = 0) -> None:
    """Serve as verifier until the seat is gone, or the run has ended and its docket has caught up.

    ``bonds``: as in :class:`Docket`. Raises what :meth:`Driver.perform` does.
    """
    if not desk.ledger.is_direct:
        Docket(desk.driver, vouch=strategy.vouch, bonds=bonds).settle_in()
    with desk.numerics.apply():
        _serve(desk, strategy)
    if not desk.ledger.is_direct:
        desk.driver.attend(lambda: desk.ledger.phase is Phase.ENDED and bool(desk.ledger.unsettled()))


def _serve(desk: Desk, strategy: VerifierStrategy) -> None:
    number = 0
    while desk.driver.await_round(max(number + 1, len(desk.ledger.rounds))):
        number = len(desk.ledger.rounds)
        round_ = desk.ledger.rounds[number - 1]
        if desk.seat.since_round > number:
            continue
        if not desk.is_on_duty(number):
            log.warning("verifier %d is out of the committee since round %d", desk.seat.index, number)
            return
        desk.driver.perform(number, lambda round_=round_: verifier_duty(desk, strategy, round_))  # type: ignore[misc]
        desk.journal.forget(before=number - KEPT_ROUNDS)
