"""Outer optimisers and their schedule: how an aggregate moves the model, elementwise float32 in a fixed order.

Multiplication, addition, division and root are separate numpy calls, each exactly rounded, so that every machine gets
the same bits; the schedule uses nothing else either, which is why it has a cubic where others have a cosine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .codec.update import Floats

SCHEDULES = ("linear", "smooth", "inverse-root")


@dataclass(frozen=True, slots=True, kw_only=True)
class OuterSpec:
    """The outer optimiser and its rate. Fields that an optimiser has no use for lie in their range all the same."""

    optimiser: str  # one of OPTIMISERS
    learning_rate: float
    momentum: float  # mu of Nesterov's, beta1 of the others
    second: float  # beta2 of fedadam and fedyogi; decay of slow-fast's slow momentum
    adaptivity: float  # tau of fedadam and fedyogi: added to the root of the second moment
    slow_share: float  # alpha of slow-fast: what the slow momentum counts beside the fast one
    delay_rounds: int  # of delayed-nesterov, between two looks at the momentum
    warmup_rounds: int  # linear, before the schedule
    schedule: str  # one of SCHEDULES
    decay_rounds: int  # rounds until the floor; of inverse-root, until the rate has fallen to 1 / sqrt(2)
    floor: float  # part of the rate that stays

    def ranges(self) -> Iterator[tuple[bool, str]]:
        """What must hold, each with its words."""
        yield self.optimiser in OPTIMISERS, f"outer.optimiser {self.optimiser!r} is one of {sorted(OPTIMISERS)}"
        yield 0 < self.learning_rate <= 10, f"outer.learning_rate {self.learning_rate} lies in (0, 10]"
        yield 0 <= self.momentum < 1, f"outer.momentum {self.momentum} lies in [0, 1)"
        yield 0 <= self.second < 1, f"outer.second {self.second} lies in [0, 1)"
        yield 1e-9 <= self.adaptivity <= 1, f"outer.adaptivity {self.adaptivity} lies in 1e-9..1"
        yield 0 <= self.slow_share <= 100, f"outer.slow_share {self.slow_share} lies in 0..100"
        yield 1 <= self.delay_rounds <= 1 << 10, f"outer.delay_rounds {self.delay_rounds} lies in 1..1024"
        yield 0 <= self.warmup_rounds <= 1 << 20, f"outer.warmup_rounds {self.warmup_rounds} lies in 0..2^20"
        yield self.schedule in SCHEDULES, f"outer.schedule {self.schedule!r} is one of {SCHEDULES}"
        yield 1 <= self.decay_rounds <= 1 << 20, f"outer.decay_rounds {self.decay_rounds} lies in 1..2^20"
        yield 0 <= self.floor <= 1, f"outer.floor {self.floor} lies in [0, 1]"

    def factor(self, round_: int) -> float:
        """Part of the rate that the outer step after ``round_`` others has."""
        if round_ < self.warmup_rounds:
            return (round_ + 1) / (self.warmup_rounds + 1)
        after = (round_ - self.warmup_rounds) / self.decay_rounds
        if self.schedule == "inverse-root":
            return max(self.floor, 1 / math.sqrt(1 + after))
        done = min(1.0, after)
        fallen = done * done * (3 - 2 * done) if self.schedule == "smooth" else done
        return max(self.floor, 1 - (1 - self.floor) * fallen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimiser:
    """``buffers`` are the names of its float32 [d] vectors, zero at first.

    ``direction(spec, round, aggregate, buffers)`` writes their next values, and returns what is subtracted from the
    parameters, times the rate: float32 [d], the caller's to write to.
    """

    buffers: tuple[str, ...]
    direction: Callable[[OuterSpec, int, Floats, dict[str, Floats]], Floats]


def _sgd(spec: OuterSpec, round_: int, mean: Floats, buffers: dict[str, Floats]) -> Floats:
    return mean.copy()


def _nesterov(spec: OuterSpec, round_: int, mean: Floats, buffers: dict[str, Floats]) -> Floats:
    """m <- mu m + g; g + mu m (DiLoCo, Douillard et al., 2023)."""
    momentum = buffers["momentum"]
    momentum *= np.float32(spec.momentum)
    momentum += mean
    step = momentum * np.float32(spec.momentum)
    step += mean
    return step


def _delayed_nesterov(spec: OuterSpec, round_: int, mean: Floats, buffers: dict[str, Floats]) -> Floats:
    """g / n; every n rounds m <- mu m + (sum of the n g) / n and mu m is added (Liu et al., 2024, with c = 0)."""
    momentum, pending = buffers["momentum"], buffers["pending"]
    share = np.float32(1 / spec.delay_rounds)
    pending += mean
    step = mean * share
    if (round_ + 1) % spec.delay_rounds == 0:
        pending *= share
        momentum *= np.float32(spec.momentum)
        momentum += pending
        pending[:] = 0
        step += momentum * np.float32(spec.momentum)
    return step


def _adaptive(spec: OuterSpec, mean: Floats, buffers: dict[str, Floats]) -> Floats:
    """m <- beta1 m + (1 - beta1) g; m / (sqrt(v) + tau) with the v that is there (Reddi et al., 2021)."""
    momentum = _moved(buffers["momentum"], spec.momentum, mean)
    scale: Floats = np.sqrt(buffers["second"])
    scale += np.float32(spec.adaptivity)
    np.divide(momentum, scale, out=scale)
    return scale


def _fedadam(spec: OuterSpec, round_: int, mean: Floats, buffers: dict[str, Floats]) -> Floats:
    """v <- beta2 v + (1 - beta2) g^2."""
    _moved(buffers["second"], spec.second, mean * mean)
    return _adaptive(spec, mean, buffers)


def _fedyogi(spec: OuterSpec, round_: int, mean: Floats, buffers: dict[str, Floats]) -> Floats:
    """v <- v - (1 - beta2) g^2 sign(v - g^2)."""
    second, square = buffers["second"], mean * mean
    second -= square * np.float32(1 - spec.second) * np.sign(second - square)
    return _adaptive(spec, mean, buffers)


def _slow_fast(spec: OuterSpec, round_: int, mean: Floats, buffers: dict[str, Floats]) -> Floats:
    """Two running means of g, fast + alpha slow (the two momenta of AdEMAMix, Pagliardini et al., 2024)."""
    fast = _moved(buffers["fast"], spec.momentum, mean)
    return fast + _moved(buffers["slow"], spec.second, mean) * np.float32(spec.slow_share)


OPTIMISERS = {
    "sgd": Optimiser(buffers=(), direction=_sgd),
    "nesterov": Optimiser(buffers=("momentum",), direction=_nesterov),
    "delayed-nesterov": Optimiser(buffers=("momentum", "pending"), direction=_delayed_nesterov),
    "fedadam": Optimiser(buffers=("momentum", "second"), direction=_fedadam),
    "fedyogi": Optimiser(buffers=("momentum", "second"), direction=_fedyogi),
    "slow-fast": Optimiser(buffers=("fast", "slow"), direction=_slow_fast),
}


def _moved(mean: Floats, decay: float, value: Floats) -> Floats:
    """The running mean after one more value; written in place."""
    mean *= np.float32(decay)
    mean += value * np.float32(1 - decay)
    return mean
