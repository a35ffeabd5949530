"""The verifier's round: value every update at once, and obtain the evidence that one did.

With s = outer rate / N the midpoint is theta - s/2 * (sum of the clipped updates); the value of an update is its inner
product with the midpoint's gradient, times s. For a quadratic loss that is the exact Shapley value, and the values add
up to the round's whole improvement to third order: one backward pass for any number of updates.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..spec.seeds import assigned_trainers, derive, draw_distinct
from ..spec.types import ABSENT_ROW, UNSAMPLED, Report, Row, Verdict
from .aggregate import clip_factors
from .budget import VOTES, Budget
from .checks import Checked, Expected, check, mark_duplicates
from .codec import Update
from .manifest import AssessmentSpec, Manifest
from .outer import outer_rate
from .shards import assigned_indices
from .signature import quantised_words, sign_words
from .state import Network, State
from .tasks import Task
from .units import loss_micronats, micronats

__all__ = ["Assessment", "Checked", "ExactCheck", "Expected", "assess", "check", "mark_duplicates", "micronats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactCheck:
    """One update's cheap value beside the loss difference across the midpoint, as far as ``votes`` forward checks on
    parts of the common batch tell."""

    trainer: int
    cheap_micronats: int
    exact_micronats: int
    votes: int

    @property
    def contradicts(self) -> bool:
        """Whether the two differ in sign, 0 being one."""
        return _sign(self.cheap_micronats) != _sign(self.exact_micronats)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What a verifier publishes, and what it keeps: the exact checks, why a value is not a number, the time spent."""

    report: Report
    exact: tuple[ExactCheck, ...]
    remarks: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What the assessment beacon chooses for everyone: sample indices."""

    probe: Sequence[int]  # whose hidden states are signed
    halves: tuple[Sequence[int], Sequence[int]]  # of the common batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What only running the round's models shows, whatever the number of updates. Float32, on the CPU."""

    moved: Tensor  # [probe_samples, h]: hidden states at the midpoint, centred on the start-of-round model's
    slopes: tuple[Tensor, Tensor]  # [d]: the midpoint's mean gradients on the halves of the common batch

    def words(self, spec: AssessmentSpec, beacon: bytes) -> tuple[int, ...]:
        """``spec.words`` words of 256 bits: signs of the outputs, signs of the work, and strips of both.

        The work is the difference between the slopes. For precision words both are brought to length 1 first, so that
        the width is an angle; what is zero or not finite stays as it is, without a direction.
        """
        one, other = self.slopes
        work = one - other
        signed = sign_words(self.moved, derive(beacon, "outputs"), spec.output_words) + sign_words(
            work, derive(beacon, "work"), spec.words - spec.output_words - spec.precision_words
        )
        if not spec.precision_words:
            return signed
        whole = [_unit(self.moved), _unit(work)]
        return signed + quantised_words(whole, derive(beacon, "precision"), spec.precision_words, spec.precision_width)


def _unit(vector: Tensor) -> Tensor:
    length = float(vector.double().norm())
    return vector / length if 0 < length < math.inf else vector


def draw(task: Task, spec: AssessmentSpec, beacon: bytes) -> Drawn:
    """Probe inputs and common batch of an assessment."""
    common = _drawn(task, beacon, "common batch", spec.common_samples)
    middle = len(common) // 2
    return Drawn(probe=_drawn(task, beacon, "probe", spec.probe_samples), halves=(common[:middle], common[middle:]))


def observe(network: Network, start: Tensor, midpoint: Tensor, drawn: Drawn) -> Evidence:
    """Runs the model at ``start`` and at ``midpoint``, both float32 [d], where it leaves ``network``."""
    task = network.task
    probe = task.batch(drawn.probe)
    network.theta.copy_(start)
    before = network.hidden(probe)
    network.theta.copy_(midpoint)
    moved = network.hidden(probe) - before
    one, other = (network.gradient(task.batch(half)).clone() for half in drawn.halves)
    return Evidence(moved=moved, slopes=(one, other))


def midpoint_of(manifest: Manifest, state: State, updates: Mapping[int, Update]) -> Tensor:
    """Half way to where the mean of all clipped updates would lead at the outer step's rate: float32 [d].

    The updates are taken off one after the other in trainers' order, each by its own float32 factor.
    """
    midpoint = state.theta.clone()
    for trainer, scale in scales_of(manifest, state, updates).items():
        updates[trainer].add_to(midpoint.numpy(), -scale / 2)
    return midpoint


def scales_of(manifest: Manifest, state: State, updates: Mapping[int, Update]) -> dict[int, float]:
    """By what each update moves the model where all are averaged: outer rate / N, clipped. In trainers' order."""
    rate = outer_rate(manifest, state.round)
    return {trainer: rate / len(updates) * factor for trainer, factor in sorted(clip_factors(updates).items())}


def assess(
    task: Task,
    manifest: Manifest,
    state: State,
    checked: Mapping[int, Checked],
    trainers: int,
    training_beacon: bytes,
    assessment_beacon: bytes,
    unproven: Collection[int] = (),
    doubts: Mapping[int, float] | None = None,
) -> Assessment:
    """One verifier's report on a round that starts from ``state``, with a row for each of ``trainers`` trainers.

    Trainers absent from ``checked`` count as MISSING. Everything random comes from the assessment beacon, except the
    shards, which come from the training beacon. A loss that is not finite gives saturated values and a remark.
    ``unproven`` updates are worth nothing in their rows, and stay in the midpoint: where two honest verifiers differ
    about one, what they sign must not. ``doubts`` (:func:`.budget.doubts`) say whose cheap values deserve exact checks
    more than others' do; they do not touch the report.
    """
    started = time.perf_counter()
    spec = manifest.assessment
    updates = {t: c.update for t, c in checked.items() if c.verdict == Verdict.OK and c.update is not None}
    scales = scales_of(manifest, state, updates)
    network = Network(task, manifest.task.seed)
    network.theta.copy_(state.theta)
    loss_nats = network.mean_loss(task.validation())

    drawn = draw(task, spec, assessment_beacon)
    evidence = observe(network, state.theta, midpoint_of(manifest, state, updates), drawn)
    common = [*drawn.halves[0], *drawn.halves[1]]
    one, other = evidence.slopes
    slope = (one * len(drawn.halves[0]) + other * len(drawn.halves[1])) / len(common)
    gains = {trainer: update.inner(slope) * scales[trainer] for trainer, update in updates.items()}
    assigned_gains = {
        trainer: updates[trainer].inner(_assigned_slope(network, manifest, training_beacon, assessment_beacon, trainer))
        * scales[trainer]
        for trainer in sampled_trainers(manifest, assessment_beacon, trainers)
        if trainer in updates
    }
    budget = Budget(
        gains, doubts or {}, len(parts_of(common)), spec.exact_votes, derive(assessment_beacon, "exact checks")
    )
    _vote(budget, network, updates, scales, common)
    exact = tuple(
        ExactCheck(
            trainer=trainer,
            cheap_micronats=micronats(gains[trainer]),
            exact_micronats=micronats(budget.exact(trainer)),
            votes=votes,
        )
        for trainer, votes in budget.votes().items()
    )
    return Assessment(
        report=Report(
            loss_micronats=loss_micronats(loss_nats),
            words=evidence.words(spec, assessment_beacon),
            rows=tuple(_row(t, checked.get(t), gains, assigned_gains, unproven) for t in range(trainers)),
        ),
        exact=exact,
        remarks=_remarks(loss_nats, gains, assigned_gains),
        seconds=time.perf_counter() - started,
    )


def sampled_trainers(manifest: Manifest, assessment_beacon: bytes, trainers: int) -> list[int]:
    """Whose shards the round looks at, in the order drawn: for the assigned gain, and for what headers claim."""
    return assigned_trainers(assessment_beacon, manifest.assessment.assigned_trainers, trainers)


def _remarks(loss_nats: float, gains: Mapping[int, float], assigned_gains: Mapping[int, float]) -> tuple[str, ...]:
    values = {
        "validation loss": loss_nats,
        **{f"common gain of trainer {trainer}": gain for trainer, gain in sorted(gains.items())},
        **{f"assigned gain of trainer {trainer}": gain for trainer, gain in sorted(assigned_gains.items())},
    }
    return tuple(
        f"{what} is {value}, reported as saturated" for what, value in values.items() if not math.isfinite(value)
    )


def _row(
    trainer: int,
    checked: Checked | None,
    gains: Mapping[int, float],
    assigned_gains: Mapping[int, float],
    unproven: Collection[int],
) -> Row:
    if checked is None:
        return ABSENT_ROW
    if trainer not in gains:
        return Row(checked.verdict, 0, UNSAMPLED)
    if trainer in unproven:
        return Row(Verdict.UNPROVEN, 0, UNSAMPLED)
    assigned = assigned_gains.get(trainer)
    return Row(Verdict.OK, micronats(gains[trainer]), UNSAMPLED if assigned is None else micronats(assigned))


def _assigned_slope(
    network: Network, manifest: Manifest, training_beacon: bytes, assessment_beacon: bytes, trainer: int
) -> Tensor:
    """Midpoint gradient on a sample of the trainer's shard that the trainer could not foresee."""
    shard = assigned_indices(network.task, manifest, training_beacon, trainer)
    seed = derive(assessment_beacon, "assigned sample", trainer)
    places = draw_distinct(seed, manifest.assessment.assigned_samples, len(shard))
    return network.gradient(network.task.batch([shard[place] for place in places]))


def _vote(
    budget: Budget,
    network: Network,
    updates: Mapping[int, Update],
    scales: Mapping[int, float],
    common: list[int],
) -> None:
    """Gives the budget the votes it asks for, by a network that is left as it was, at the midpoint.

    Each part's own cheap values take one gradient, whoever votes on it.
    """
    parts = parts_of(common)
    cheap: dict[int, dict[int, float]] = {}
    while (wanted := budget.next()) is not None:
        trainer, part = wanted
        if part not in cheap:
            slope = network.gradient(network.task.batch(parts[part]))
            cheap[part] = {t: update.inner(slope) * scales[t] for t, update in updates.items()}
        gain = exact_gain(network, updates[trainer], scales[trainer], parts[part])
        budget.record(trainer, gain - cheap[part][trainer])


def parts_of(common: list[int]) -> list[list[int]]:
    """The common batch in as many parts as a full exact check has votes; fewer when it has fewer samples."""
    votes = min(VOTES, len(common))
    ends = [len(common) * part // votes for part in range(votes + 1)]
    return [common[start:end] for start, end in itertools.pairwise(ends)]


def exact_gain(network: Network, update: Update, scale: float, samples: list[int]) -> float:
    """Loss half the update before the midpoint minus half after: leave-one-in where the cheap value is taken.

    ``network`` is at the midpoint, and there again to the bit when this returns.
    """
    batch, theta = network.task.batch(samples), network.theta.numpy()
    with update.applied(theta, scale / 2):
        before = network.mean_loss(batch)
    with update.applied(theta, -scale / 2):
        after = network.mean_loss(batch)
    return before - after


def _drawn(task: Task, beacon: bytes, purpose: str, count: int) -> list[int]:
    return draw_distinct(derive(beacon, purpose), count, task.samples)


def _sign(micronats: int) -> int:
    return (micronats > 0) - (micronats < 0)
