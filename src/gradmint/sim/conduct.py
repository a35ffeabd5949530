"""What trainers and verifiers do, honest or not: one small frozen dataclass each, one method each.

The attacks in ``adversary/`` are the real ones, with tensors and blobs; here is what a committee would say of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..spec.types import Consensus, Report, Row, Verdict

HONEST_BITS = 4  # of 1,024, by which honest words differ (shared/research/lsh.md)


# Trainers


@dataclass(frozen=True, slots=True)
class Turn:
    """One trainer's round."""

    age: int  # rounds since it joined, from 1
    gain_micronats: int  # what honest work would have gained
    chance: float  # uniform in [0, 1), for the sign
    sign_right: float  # an honest trainer's chance of assigned > common


class Conduct(Protocol):
    def act(self, turn: Turn) -> Row:
        """The row on which honest verifiers agree."""


def signed(gain_micronats: int, right: bool) -> Row:
    """A valid row whose assigned gain lies above or below the common one."""
    by = max(1, abs(gain_micronats) // 5)
    return Row(Verdict.OK, gain_micronats, gain_micronats + (by if right else -by))


@dataclass(frozen=True, slots=True)
class Honest:
    def act(self, turn: Turn) -> Row:
        return signed(turn.gain_micronats, turn.chance < turn.sign_right)


@dataclass(frozen=True, slots=True)
class Idle:
    """A zero update with invisible noise: no gain, and a coin for the sign (22 of 40)."""

    sign_right: float = 0.55

    def act(self, turn: Turn) -> Row:
        return signed(0, turn.chance < self.sign_right)


@dataclass(frozen=True, slots=True)
class Replay:
    """Sends its own old update, or another's of the round before, as it is: seen as a duplicate."""

    def act(self, turn: Turn) -> Row:
        return Row(Verdict.DUPLICATE, 0, 0)


@dataclass(frozen=True, slots=True)
class Unproven:
    """Gains without its own shard's work: favourite windows (0.3 of a fair value, 18 of 40), or another's old update,
    changed until it passes the duplicate check, at most as good as the original."""

    worth: float
    sign_right: float = 0.45

    def act(self, turn: Turn) -> Row:
        return signed(int(turn.gain_micronats * self.worth), turn.chance < self.sign_right)


@dataclass(frozen=True, slots=True)
class Coast:
    """Works for so many rounds, then sends zero updates."""

    rounds: int

    def act(self, turn: Turn) -> Row:
        return (Honest() if turn.age <= self.rounds else Idle()).act(turn)


# Verifiers


@dataclass(frozen=True, slots=True)
class Desk:
    """What one verifier has in front of it in one round."""

    round: int
    truth: Report  # what an exact assessment says
    last: Consensus | None  # of the latest round that was settled
    last_words: tuple[int, ...]
    means: tuple[Row, ...]  # of the consensus's gains so far, weight 0.2; empty before the first
    draw: np.random.Generator  # its own


class Verifying(Protocol):
    def report(self, desk: Desk) -> Report | None:
        """What it reveals, None for nothing."""


@dataclass(frozen=True, slots=True)
class Exact:
    """Assesses without any numeric noise, so that a population's figures are the trainers' alone."""

    def report(self, desk: Desk) -> Report:
        return desk.truth


@dataclass(frozen=True, slots=True)
class Assess:
    """Assesses, on its own hardware: gains off by a hundredth, a few bits of the words too."""

    noise: float = 0.01
    silent: float = 0.0  # chance of missing a round

    def report(self, desk: Desk) -> Report | None:
        if desk.draw.random() < self.silent:
            return None
        return replace(self.rows(desk), words=self.words(desk))

    def rows(self, desk: Desk) -> Report:
        factors = 1 + self.noise * desk.draw.standard_normal(len(desk.truth.rows))
        return replace(desk.truth, rows=tuple(map(scaled, desk.truth.rows, factors.tolist())))

    def words(self, desk: Desk) -> tuple[int, ...]:
        words = list(desk.truth.words)
        for bit in desk.draw.integers(0, 256 * len(words), HONEST_BITS).tolist():
            words[bit // 256] ^= 1 << bit % 256
        return tuple(words)


def scaled(row: Row, factor: float) -> Row:
    by = round(row.common_gain_micronats * factor) - row.common_gain_micronats
    return Row(row.verdict, row.common_gain_micronats + by, row.assigned_gain_micronats + by)


@dataclass(frozen=True, slots=True)
class Favour:
    """One of a cabal: computes the words, so it is in the cluster, and lies about the gains.

    Its friends are the trainers before ``friends``: as good as the best there is, every sign right. The others: worth
    nothing, or what they are worth if ``discreet``. ``strange``: with words of the cabal's own instead.
    """

    friends: int
    discreet: bool = False
    strange: bool = False

    def report(self, desk: Desk) -> Report:
        best = 2 * max(row.gain_micronats for row in desk.truth.rows)
        lies = (signed(best, right=True),) * self.friends
        others = desk.truth.rows[self.friends :]
        if not self.discreet:
            others = (signed(0, right=False),) * len(others)
        words = Assess().words(desk)
        if self.strange:
            words = tuple(word ^ (2**256 - 1) for word in words)
        return replace(desk.truth, words=words, rows=(*lies, *others))


@dataclass(frozen=True, slots=True)
class CopyAll:
    """Reveals the last round's consensus and words, having assessed nothing."""

    def report(self, desk: Desk) -> Report:
        if desk.last is None:
            return replace(desk.truth, words=(0,) * len(desk.truth.words))
        return Report(desk.last.loss_micronats, desk.last_words, desk.last.rows)


@dataclass(frozen=True, slots=True)
class CopyGains:
    """Computes the words, which takes the gradients, and copies the last consensus's rows instead of checking blobs."""

    def report(self, desk: Desk) -> Report:
        words = Assess().words(desk)
        rows = desk.truth.rows if desk.last is None else desk.last.rows
        return replace(desk.truth, words=words, rows=rows)


@dataclass(frozen=True, slots=True)
class CopyMean:
    """Computes the words, and names the mean of the consensus so far: the best guess without looking at updates."""

    def report(self, desk: Desk) -> Report:
        return replace(CopyGains().report(desk), rows=desk.means) if desk.means else CopyGains().report(desk)
