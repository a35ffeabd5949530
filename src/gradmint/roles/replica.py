"""The model as this process rebuilds it: from the first state and the public updates, nobody trusted.

Trainers, verifiers and auditors share it, so there is one path from blobs to models.
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..learn import blocks, outer, proof
from ..learn.assess import sampled_trainers
from ..learn.checks import Checked, Expected, check, limits_of, mark_duplicates
from ..learn.codec import Update, decode_header
from ..learn.manifest import BUILT_IN, MAX_MANIFEST_BYTES, Manifest, load_task
from ..learn.proof import Finding
from ..learn.state import Network, State, blobs, digest, file_bytes, initial_state, layout_of, load, save
from ..learn.steps import Progress
from ..ports.store import Store
from ..spec.errors import BlobCorrupt, BlobError, BlobMissing, Malformed, ManifestError, Oversize, StoreError, WrongBase
from ..spec.ledger import Ledger
from ..spec.params import Params
from ..spec.round import Round
from ..spec.types import Phase, Verdict
from . import CHECKPOINT_EVERY
from .rounds import attested_after, closed, consensus_of

log = logging.getLogger(__name__)

FEW_ROUNDS = 3  # behind, that are rebuilt sooner than a checkpoint is found
SEARCH_S = 30.0  # that looking for checkpoints may take: nodes search among their peers for each that is not there
KEEP_EVERY_S = 2.0  # while many rounds are rebuilt
NOTHING_WRONG = Finding(ratio=0.0, reason="")
PROVEN = "proven"  # folder of cached models that no checkpoint is behind


@dataclass(frozen=True, slots=True)
class Start:
    """What a replica was rebuilt from: the model after ``round``."""

    round: int
    source: str  # "first model", "cache" or "checkpoint"


def read_manifest(params: Params, store: Store) -> Manifest:
    """The task manifest that the run pinned. Raises ManifestError, BlobMissing."""
    manifest = Manifest.decode(store.get(params.manifest, MAX_MANIFEST_BYTES))
    spec = manifest.assessment
    said, pinned = (spec.words, spec.assigned_trainers), (params.words, params.assigned_trainers)
    if said != pinned:
        raise ManifestError(
            f"the manifest has words and assigned_trainers {said}, the run's parameters {pinned}: the chain would "
            "judge verifiers by something else than they do; take no part in this run"
        )
    return manifest


class Replica:
    """Model, task and manifest of one run.

    ``state`` is the model that the next unconcluded round starts from; ``base`` its digest.
    """

    def __init__(self, params: Params, store: Store, *, own_task: str | None = None, cache: Path | None = None) -> None:
        """``own_task`` is the task this user agreed to run: code named by a stranger's manifest is never imported
        without it, except the built-in tasks. ``cache`` is a folder that keeps the latest states over restarts.

        Raises ManifestError when the manifest is not what the run pinned or this machine cannot honour it, BlobMissing.
        """
        self.manifest = read_manifest(params, store)
        factory = self.manifest.task.factory
        if factory not in BUILT_IN and factory != own_task:
            raise ManifestError(
                f"the run's task is {factory}, code from outside Gradmint; this process was started with "
                f"{own_task or 'no --task'}: read that code, then add --task {factory}"
            )
        self.store = store
        self.task = load_task(self.manifest)
        self.layout = layout_of(self.task, self.manifest)
        self.state = initial_state(self.task, self.manifest)
        self.base = digest(self.state, self.layout)
        if self.base != params.model:
            raise ManifestError(
                f"the initial model built here is {self.base.hex()}, the run pinned {params.model.hex()}; compare the "
                f"torch release with the run's {self.manifest.numerics.torch}, and a task folder's weights with the "
                "sponsor's"
            )
        self.concluded = 0  # rounds that are behind ``state``
        self.start = Start(0, "first model")
        self.compared = 0  # models that were compared with what others say of them
        self.vouched: dict[int, bytes] = {}  # digests by round that certificates name
        self._previous: dict[int, Update] = {}
        self._unread: tuple[Ledger, Round] | None = None
        #: What each update of the round last concluded counts in its aggregate; None where the rule is no weighting.
        self.weights: Mapping[int, float] | None = {}
        self._cache = cache
        self._kept = 0
        self._checked: tuple[int, dict[int, Checked]] = (0, {})

    @property
    def previous(self) -> dict[int, Update]:
        """Updates of the last round with a quorum, which duplicates are judged against. Raises BlobMissing when this
        process did not rebuild that round and its blobs are gone."""
        if self._unread is not None:
            self._previous = self._reread(*self._unread)
            self._unread = None
        return self._previous

    def expected(self, ledger: Ledger, round_: Round, trainer: int) -> Expected:
        """What the header of a trainer's update must say."""
        return _expected(ledger, round_, trainer, self.base)

    def check_round(self, ledger: Ledger, round_: Round) -> dict[int, Checked]:
        """Verdict and update of every trainer of the round; ``state`` must be the round's base. Whoever is banned sits
        it out: what it sends is not looked at.

        Deterministic: everyone who has the round's set gets the same. Raises BlobMissing when this process lacks a blob
        that the committee holds.
        """
        if self._checked[0] == round_.number:
            return self._checked[1]
        held = round_.held()[0] - round_.barred
        checked = {}
        for trainer in range(round_.trainers):
            if trainer in round_.barred:
                reason = f"banned up to round {round_.standings[trainer].ban_round}"
                checked[trainer] = Checked(verdict=Verdict.MISSING, reason=reason, update=None, header=None)
                continue
            digest_ = round_.first_submissions[trainer].digest if trainer in held else None
            checked[trainer] = self._check(digest_, self.expected(ledger, round_, trainer))
        order = [trainer for trainer in round_.first_submissions if trainer in held]
        checked = mark_duplicates(checked, order, self.previous, self.manifest)
        self._checked = (round_.number, checked)
        return checked

    def audits(self, round_: Round) -> dict[int, int]:
        """Interval to prove, by trainer: of those who submitted, the ones that the hold phase's beacon chooses."""
        spec = self.manifest
        submitted = round_.first_submissions.keys() - round_.barred
        beacon = round_.opened[Phase.HOLD].beacon
        return proof.audits(beacon, submitted, spec.assessment.audited_trainers, spec.training.intervals)

    def opening_blobs(self, round_: Round, trainer: int, blob: bytes) -> Iterator[tuple[bytes, int]]:
        """Names and most bytes of what an audited trainer's update calls for beside ``blob``: first the opening's
        index, then, once that is in the store, its parts. Nothing where the bytes settle the matter for everyone."""
        interval = self.audits(round_).get(trainer, 0)
        if not interval:
            return
        try:
            header = decode_header(blob, limits_of(self.manifest, self.layout))
            digest_ = header.marks[interval - 1].digest
            yield digest_, proof.index_bytes(self.layout)
            index = self.store.get(digest_, proof.index_bytes(self.layout))
            yield from proof.read_index(index, self.layout, proof.boundary(self.manifest, interval)).items()
        except (Malformed, Oversize):
            return

    def examined(self, ledger: Ledger, round_: Round) -> list[int]:
        """Trainers whose update is OK as far as its bytes go, and of whom the round's beacons ask for more."""
        checked = self.check_round(ledger, round_)
        asked = {*sampled_trainers(self.manifest, round_.assessment_beacon, round_.trainers), *self.audits(round_)}
        return sorted(trainer for trainer in asked if checked[trainer].verdict is Verdict.OK)

    def examine(self, ledger: Ledger, round_: Round, trainer: int, opening: bool = True) -> Finding:
        """Whether one of :meth:`examined` can prove what it says. Involves floats: where two find ratios on both sides
        of 1, the committee's median decides. Raises BlobMissing when an opening that the committee held is gone;
        without ``opening`` none is looked at, which leaves the claims.
        """
        found = self.check_round(ledger, round_)[trainer]
        assert found.header is not None and found.update is not None
        task, manifest, beacon = self.task, self.manifest, round_.training_beacon
        findings: list[Finding] = []
        if trainer in sampled_trainers(manifest, round_.assessment_beacon, round_.trainers):
            here = proof.claims(task, manifest, self.state, found.update, beacon, trainer)
            findings.append(proof.check_claims(found.header, here, manifest))
        interval = self.audits(round_).get(trainer)
        if interval is not None and (opening or interval == 0):
            try:
                opened = self._opened(found.header.marks[interval - 1].digest, interval) if interval else None
            except (Malformed, Oversize) as error:
                return Finding(ratio=math.inf, reason=f"interval {interval}: {error}")
            findings.append(
                proof.check_interval(task, manifest, self.state, beacon, trainer, found.header.marks, interval, opened)
            )
        return max(findings, key=lambda finding: finding.ratio, default=NOTHING_WRONG)

    def follow(self, ledger: Ledger, until: int | None = None, seen: Callable[[], None] = lambda: None) -> None:
        """Rebuild up to the latest closed round, or to ``until``; ``seen`` is called after each. What was reached is
        kept every few seconds, and however this ends.

        Raises BlobMissing, BlobCorrupt, WrongBase naming round and both digests.
        """
        last = closed(ledger) if until is None else until
        kept_s = time.monotonic()
        try:
            while self.concluded < last:
                self.conclude(ledger, ledger.rounds[self.concluded])
                if time.monotonic() - kept_s >= KEEP_EVERY_S:
                    self._save()
                    kept_s = time.monotonic()
                seen()
        finally:
            self._save()

    def confirm(self, ledger: Ledger) -> bool:
        """Whether anybody says what the model is: the next round's committee, or a certificate. Raises WrongBase when
        that is another one."""
        claims = {
            f"the committee of round {self.concluded + 1} works from": attested_after(ledger, self.concluded),
            f"the certificate of round {self.concluded} names": self.vouched.get(self.concluded),
        }
        for who, claimed in claims.items():
            if claimed not in (None, self.base):
                raise WrongBase(
                    f"{who} model {claimed.hex()}, rebuilt here from the {self.start.source} after round "
                    f"{self.start.round} is {self.base.hex()}; delete the cached models and start again, from scratch"
                )
        return any(claims.values())

    def conclude(self, ledger: Ledger, round_: Round) -> None:
        """Take the outer step of a closed round, if it had a quorum. Raises as :meth:`follow`."""
        self.compared += self.confirm(ledger)
        consensus = consensus_of(ledger, round_)
        self.weights = {}
        if consensus is not None:
            updates = valid_updates(self.check_round(ledger, round_))
            steps = [trainer for trainer in round_.accepted(consensus) if trainer in updates]
            combined = outer.combine(self.manifest, updates, steps)
            self.weights = combined.weights
            log.info(
                "round %d: aggregated by %s, weights %s", round_.number, self.manifest.aggregation.rule, self.weights
            )
            self.state = outer.step(self.manifest, self.state, combined.vector)
            self.base = digest(self.state, self.layout)
            self._previous, self._unread = updates, None
        self.concluded = round_.number

    def validation_loss_nats(self) -> float:
        """Mean loss of the current model on the task's held-out batch."""
        network = Network(self.task, self.manifest.task.seed)
        network.theta.copy_(self.state.theta)
        return network.mean_loss(self.task.validation())

    def resume(self, ledger: Ledger, until: int | None = None, checkpoints: bool = True) -> None:
        """Start from the newest model, at most that after round ``until``, that is kept here or, with ``checkpoints``,
        in the store; otherwise from the beginning. Nothing is taken that is not whole, or not what the next round's
        committee or a certificate says it is: a false copy costs the time to read it.
        """
        last = closed(ledger) if until is None else min(until, closed(ledger))
        for concluded, base, path in self._cached():
            if self.concluded < concluded <= last and base in self._claimed(ledger, concluded, base):
                try:
                    self._adopt(ledger, concluded, base, self._read(path, _steps(ledger, concluded)), "cache")
                    break
                except (ManifestError, OSError) as error:
                    log.warning("cached model %s is of no use, an older one serves: %s", path, error)
        if checkpoints and last - self.concluded > FEW_ROUNDS:
            self._find_checkpoint(ledger, last)

    def _read(self, path: Path, steps: int) -> State:
        """Raises ManifestError, OSError; reads nothing that does not have a state's length."""
        found, expected = path.stat().st_size, file_bytes(self.layout, self.state.buffers, steps)
        if found != expected:
            raise ManifestError(f"it has {found} bytes, expected {expected}")
        return load(path.read_bytes(), self.layout)

    def publish(self) -> None:
        """Put the model into the store as a checkpoint, where its digest names it. Raises StoreUnreachable."""
        for blob in blobs(self.state, self.layout):
            self.store.put(blob)

    def _find_checkpoint(self, ledger: Ledger, last: int) -> None:
        likely = {n for n in range(last + 1) if n % CHECKPOINT_EVERY == 0} | self.vouched.keys()
        places = sorted(range(self.concluded + 1, last + 1), key=lambda number: (number not in likely, -number))
        give_up_s = time.monotonic() + SEARCH_S
        for number in places:
            for base in self._claimed(ledger, number):
                try:
                    size = file_bytes(self.layout, self.state.buffers, _steps(ledger, number))
                    state = load(blocks.join(base, size, self.store.get), self.layout)
                    return self._adopt(ledger, number, base, state, "checkpoint")
                except BlobMissing as error:
                    log.debug("no checkpoint after round %d: %s", number, error)
                except (StoreError, BlobError, ManifestError) as error:
                    log.warning("checkpoint after round %d is of no use: %s", number, error)
            if time.monotonic() > give_up_s:
                return log.info("no checkpoint was found in %.0f s, rounds are rebuilt instead", SEARCH_S)

    def _claimed(self, ledger: Ledger, number: int, otherwise: bytes | None = None) -> set[bytes]:
        """What others say that the model after a round is; ``otherwise`` when nobody says anything."""
        said = {attested_after(ledger, number), self.vouched.get(number)} - {None}
        return {digest_ for digest_ in said or {otherwise} if digest_ is not None}

    def _adopt(self, ledger: Ledger, number: int, base: bytes, state: State, source: str) -> None:
        """Raises ManifestError when ``state`` is not the one that ``base`` names."""
        found = digest(state, self.layout)
        if found != base or state.round != _steps(ledger, number):
            raise ManifestError(
                f"the {source} after round {number} holds model {found.hex()} after {state.round} steps, expected "
                f"{base.hex()} after {_steps(ledger, number)}: delete it"
            )
        self.state, self.base, self.concluded, self.start = state, base, number, Start(number, source)
        self._kept = number
        log.info("the model is taken from the %s after round %d", source, number)
        agreed = [round_ for round_ in ledger.rounds[:number] if consensus_of(ledger, round_) is not None]
        self._previous, self._unread = {}, (ledger, agreed[-1]) if agreed else None

    def _cached(self) -> list[tuple[int, bytes, Path]]:
        """(rounds concluded, digest, file) of every cached state, newest first."""
        found = []
        for path in self._cache.glob("*.safetensors") if self._cache is not None else ():
            if name := re.fullmatch("([0-9]{1,5})-([0-9a-f]{64})", path.stem):
                found.append((int(name[1]), bytes.fromhex(name[2]), path))
        return sorted(found, reverse=True)

    def _reread(self, ledger: Ledger, round_: Round) -> dict[int, Update]:
        """Updates of an earlier round whose bytes were valid, by the committee's verdicts."""
        consensus = consensus_of(ledger, round_)
        held, base = round_.held()
        updates: dict[int, Update] = {}
        if consensus is None or base is None:
            return updates
        held = held - round_.barred  # as check_round does: what is said of the banned counts for nothing
        for trainer, submission in round_.first_submissions.items():
            if trainer in held and consensus.rows[trainer].verdict in (Verdict.OK, Verdict.UNPROVEN):
                checked = self._check(submission.digest, _expected(ledger, round_, trainer, base))
                if checked.update is not None:
                    updates[trainer] = checked.update
        return updates

    def _check(self, blob_digest: bytes | None, expected: Expected) -> Checked:
        if blob_digest is None:
            return check(None, expected, self.manifest, self.layout)
        try:
            blob = self.store.get(blob_digest, self.manifest.codec.max_bytes)
        except Oversize as error:  # the store never reads more than the limit
            return Checked(verdict=Verdict.OVERSIZE, reason=str(error), update=None, header=None)
        except (BlobMissing, BlobCorrupt) as error:
            raise type(error)(
                f"round {expected.round}: update {blob_digest.hex()} of 0x{expected.author.hex()}: {error}; the "
                "committee held it: connect to a store that still has it by --store"
            ) from error
        return check(blob, expected, self.manifest, self.layout)

    def _opened(self, digest_: bytes, interval: int) -> Progress:
        """Raises Malformed, Oversize; BlobMissing when it is gone."""
        taken = proof.boundary(self.manifest, interval)
        try:
            index = self.store.get(digest_, proof.index_bytes(self.layout))
            sizes = proof.read_index(index, self.layout, taken)
            parts = {part: self.store.get(part, size) for part, size in sizes.items()}
        except (BlobMissing, BlobCorrupt) as error:
            raise BlobMissing(f"{error}; the committee held this opening: connect to a store that has it") from error
        return proof.join(index, parts, self.layout, taken)

    def _save(self) -> None:
        """A disk that does not take it costs the next start some time, and nothing now."""
        if self._cache is None or self._kept == self.concluded:
            return
        self._kept = self.concluded
        path = self._cache / f"{self.concluded}-{self.base.hex()}.safetensors"
        temporary = self._cache / "saving.part"
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(save(self.state, self.layout))
            os.replace(temporary, path)
            others = [other for _, _, other in self._cached() if other != path]
            for stale in others[1:]:
                stale.unlink(missing_ok=True)
        except OSError as error:
            log.warning("the model after round %d is not kept: %s", self.concluded, error)


def _expected(ledger: Ledger, round_: Round, trainer: int, base: bytes) -> Expected:
    return Expected(
        run=ledger.run,
        round=round_.number,
        author=round_.standings[trainer].account,
        base=base,
        claimed_gain_micronats=round_.first_submissions[trainer].claimed_gain_micronats
        if trainer in round_.first_submissions
        else None,
    )


def _steps(ledger: Ledger, number: int) -> int:
    """Outer steps that the first ``number`` rounds took."""
    return sum(consensus_of(ledger, round_) is not None for round_ in ledger.rounds[:number])


def valid_updates(checked: Mapping[int, Checked]) -> dict[int, Update]:
    """Updates whose bytes are OK, by trainer index: the same for everyone, proven or not."""
    return {
        trainer: item.update
        for trainer, item in checked.items()
        if item.verdict is Verdict.OK and item.update is not None
    }
