"""Trainers that say something else than what they did: what each notes of one interval, or claims of its update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..learn import proof
from ..learn.codec import Mark
from ..learn.steps import LocalSteps, Progress
from ..spec.seeds import derive, draw_below
from .audits import SEAT, Comparison, Local, of_claims, of_interval, others_than
from .evidence import Moment, honest_configurations

INT8_LEVELS = 127
GARBAGE = 1e30
LIMBS = 8  # of 32 bits, in a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Idler:
    """A trainer that cheats in one interval; what it opens is honest, so that the interval alone gives it away."""

    name: str
    what: str
    note: Callable[[Local, int], Mark]
    first: bool = False  # whether it can only be seen in the first interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Boaster:
    """A trainer that did the work and says something else of the update."""

    name: str
    what: str
    say: Callable[[Local], proof.Claims]


def comparisons(local: Local) -> tuple[list[Comparison], dict[str, tuple[Comparison, ...]]]:
    """Of the audited interval and of the claims, by every admitted configuration: honest ones, and by cheat."""
    own, interval = str(local.numerics), local.interval
    verifiers = honest_configurations(local.manifest, local.draw)
    reached = {name: local.retrained(interval, one) for name, one in verifiers.items()} if local.marks else {}
    found = {name: local.found(one) for name, one in verifiers.items()}

    def noted(mark: Mark) -> list[Comparison]:
        return [Comparison(trained=own, checked=name, gaps=of_interval(mark, here)) for name, here in reached.items()]

    def said(claims: proof.Claims) -> list[Comparison]:
        return [Comparison(trained=own, checked=name, gaps=of_claims(claims, here)) for name, here in found.items()]

    cheats = {}
    with local.numerics.apply():
        for idler in INTERVALS if local.marks else ():
            if not idler.first or not interval:
                cheats[idler.name] = tuple(noted(idler.note(local, interval)))
        for boaster in CLAIMS:
            cheats[boaster.name] = tuple(said(boaster.say(local)))
    honest = [*(noted(local.marks[interval]) if local.marks else ()), *said(local.said)]
    others = others_than(local.numerics, verifiers)
    return [one for one in honest if one.checked in others], cheats


# Less or other work in one interval


def _steps(local: Local, interval: int, kind: type[LocalSteps] = LocalSteps, beacon: bytes = b"") -> LocalSteps:
    return kind(local.task, local.manifest, beacon or local.beacon, SEAT, local.start(interval))


def _noted(local: Local, progress: Progress) -> Mark:
    return proof.note(progress, proof.NOTHING.digest, local.moment.state.theta, local.beacon, SEAT)


def _stopping(left_out: Callable[[int], int]) -> Callable[[Local, int], Mark]:
    """The interval's last steps are not taken."""

    def note(local: Local, interval: int) -> Mark:
        begin, end = (proof.boundary(local.manifest, k) for k in (interval, interval + 1))
        return _noted(local, _steps(local, interval).advance(end - min(end - begin, left_out(end - begin))))

    return note


def _stepping(kind: type[LocalSteps]) -> Callable[[Local, int], Mark]:
    def note(local: Local, interval: int) -> Mark:
        return _noted(local, _steps(local, interval, kind).advance(proof.boundary(local.manifest, interval + 1)))

    return note


class _SevenEighths(LocalSteps):
    def samples(self, step: int) -> list[int]:
        assigned = super().samples(step)
        return assigned[: max(1, len(assigned) * 7 // 8)]


class _Half(LocalSteps):
    def samples(self, step: int) -> list[int]:
        assigned = super().samples(step)
        return assigned[: max(1, len(assigned) // 2)]


class _Coasting(LocalSteps):
    def slope(self, step: int) -> Tensor:
        return self.progress.first.clone()


class _EightBits(LocalSteps):
    def slope(self, step: int) -> Tensor:
        slope = super().slope(step)
        level = slope.abs().max().clamp_min(1e-30) / INT8_LEVELS
        return torch.round(slope / level) * level


def _elsewhere(local: Local, interval: int) -> Mark:
    other = derive(local.beacon, "another shard")
    return _noted(local, _steps(local, interval, beacon=other).advance(proof.boundary(local.manifest, interval + 1)))


def _garbage(local: Local, interval: int) -> Mark:
    """A state from which no step moves anything, so that the intervals after it are no work."""
    progress = _steps(local, interval).advance(proof.boundary(local.manifest, interval))
    progress.second.fill_(GARBAGE)
    return _noted(local, progress)


def _previous(local: Local) -> Moment:
    assert local.moment.previous is not None
    return local.moment.previous


def _stale(local: Local, interval: int) -> Mark:
    """From the model of the round before, and noted as if that were the round's."""
    state = _previous(local).state
    steps = LocalSteps(local.task, local.manifest, local.beacon, SEAT, Progress.begin(state))
    progress = steps.advance(proof.boundary(local.manifest, interval + 1))
    return proof.note(progress, proof.NOTHING.digest, state.theta, local.beacon, SEAT)


def _last_marks(local: Local, interval: int) -> Mark:
    before = _previous(local)
    steps = LocalSteps(local.task, local.manifest, before.training_beacon, SEAT, Progress.begin(before.state))
    progress = steps.advance(proof.boundary(local.manifest, interval + 1))
    return proof.note(progress, proof.NOTHING.digest, before.state.theta, before.training_beacon, SEAT)


def _made_up(local: Local, words: int) -> tuple[int, ...]:
    limbs = draw_below(derive(local.beacon, "made up"), LIMBS * words, 1 << 32)
    return tuple(
        sum(limb << 32 * i for i, limb in enumerate(limbs[at : at + LIMBS])) for at in range(0, len(limbs), LIMBS)
    )


def _random_marks(local: Local, interval: int) -> Mark:
    honest = local.marks[interval]
    return replace(honest, words=_made_up(local, len(honest.words)))


INTERVALS = (
    Idler(name="one step left out", what="the interval's last step is not taken", note=_stopping(lambda _: 1)),
    Idler(name="half the steps", what="the second half of the interval is not", note=_stopping(lambda n: n // 2)),
    Idler(name="no steps", what="the interval ends where it began", note=_stopping(lambda n: n)),
    Idler(name="an eighth of the batch left out", what="in every step", note=_stepping(_SevenEighths)),
    Idler(name="half the batch", what="in every step", note=_stepping(_Half)),
    Idler(name="other data", what="another shard's samples", note=_elsewhere),
    Idler(name="momentum replayed", what="the first moment instead of gradients", note=_stepping(_Coasting)),
    Idler(name="gradients in 8 bits", what="rounded to 255 levels of the greatest", note=_stepping(_EightBits)),
    Idler(name="stale start", what="the right shard from the model of the round before", note=_stale, first=True),
    Idler(name="garbage state", what="a second moment under which nothing moves", note=_garbage),
    Idler(name="last round's marks", what="the same interval of the round before", note=_last_marks),
    Idler(name="made-up marks", what="random words, the right norms", note=_random_marks),
)


# Other words about the update


def _more(local: Local, part: float) -> proof.Claims:
    gain = local.said.gain_micronats
    return replace(local.said, gain_micronats=gain + round(abs(gain) * part))


def _claims(local: Local, seat: int = SEAT, moment: Moment | None = None, beacon: bytes = b"") -> proof.Claims:
    """Claims that are true of something else, with the right gain."""
    state = (moment or local.moment).state
    words = proof.claims(local.task, local.manifest, state, local.update, beacon or local.beacon, seat).words
    return replace(local.said, words=words)


def _other_update(local: Local) -> proof.Claims:
    """What the trainer's last update does to this round's model."""
    before = _previous(local).updates[SEAT]
    words = proof.claims(local.task, local.manifest, local.moment.state, before, local.beacon, SEAT).words
    return replace(local.said, words=words)


CLAIMS = (
    Boaster(name="gain told twice", what="twice what it is", say=lambda local: _more(local, 1.0)),
    Boaster(name="gain a tenth too high", what="a tenth of it is invented", say=lambda local: _more(local, 0.1)),
    Boaster(name="words of another update", what="the trainer's last one", say=_other_update),
    Boaster(name="words of another shard", what="the next trainer's", say=lambda local: _claims(local, SEAT + 1)),
    Boaster(
        name="words of a stale model",
        what="the update on the model of the round before",
        say=lambda local: _claims(local, moment=_previous(local)),
    ),
    Boaster(
        name="last round's words",
        what="signed under the beacon of the round before",
        say=lambda local: _claims(local, beacon=_previous(local).training_beacon),
    ),
    Boaster(
        name="made-up words",
        what="random",
        say=lambda local: replace(local.said, words=_made_up(local, len(local.said.words))),
    ),
)
