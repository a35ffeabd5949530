"""A run without chain and tensors: standings, stakes and seats, moved by the real ``settle``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..spec.mechanism import is_ejected, settle
from ..spec.params import ETHER_WEI, Params
from ..spec.types import BPS, UNSAMPLED, Consensus, Report, Role, Row, Settlement, Standing
from .conduct import Conduct, Desk, Exact, Turn, Verifying
from .population import Floats, Population

#: What one trainer of average worth is paid in a round, and the unit of every figure: a share. STANDARD's join price.
SHARE_WEI = ETHER_WEI // 10

COMMITTEE: tuple[tuple[Verifying, int], ...] = ((Exact(), 100 * ETHER_WEI),) * 4
ROUND_ONE_LOSS_MICRONATS = 2_000_000


def account(role: Role, serial: int) -> bytes:
    return bytes([role]) * 12 + serial.to_bytes(8, "big")


@dataclass(slots=True)
class World:
    """Plays rounds. The budget is the same in each: a share for every seat that can be paid, and the verifiers' part.

    ``fortunes[i]``: whose luck trainer i shares. ``sampled``: how many trainers' signs the beacon asks for in a round,
    None for everyone's.
    """

    params: Params
    population: Population
    conducts: list[Conduct]
    skills: Floats
    committee: Sequence[tuple[Verifying, int]] = COMMITTEE
    sampled: int | None = None
    fortunes: NDArray[np.int64] | None = None
    tick: Callable[[], None] = lambda: None

    round: int = 0
    trainers: list[Standing] = field(init=False)
    verifiers: list[Standing] = field(init=False)
    stakes_wei: list[int] = field(init=False)  # 0 once out of the committee
    staked_wei: list[int] = field(init=False)  # what slashing has left
    joined: list[int] = field(init=False)  # round before each trainer's first
    pay: list[Floats] = field(default_factory=list)  # in shares, per round and trainer
    dividends: list[Floats] = field(default_factory=list)
    reports: list[Report | None] = field(default_factory=list)  # of the latest round
    void: int = 0
    last: Consensus | None = None
    last_words: tuple[int, ...] = ()
    means: tuple[Row, ...] = ()
    serial: int = 0

    def __post_init__(self) -> None:
        self.trainers = [self._newcomer() for _ in self.conducts]
        self.joined = [0] * len(self.conducts)
        self.verifiers = [Standing(account(Role.VERIFIER, v), Role.VERIFIER) for v in range(len(self.committee))]
        self.stakes_wei = [stake_wei for _, stake_wei in self.committee]
        self.staked_wei = list(self.stakes_wei)

    @property
    def budget_wei(self) -> int:
        seats = min(len(self.trainers), self.params.top)
        return SHARE_WEI * seats * BPS // (BPS - self.params.verifier_share_bps)

    def rejoin(self, i: int) -> None:
        """Trainer i's machine comes back as somebody new. The seat is the same, its standing is not."""
        self.trainers[i] = self._newcomer()
        self.joined[i] = self.round

    def play(self, rounds: int = 1) -> World:
        for _ in range(rounds):
            self._play()
        return self

    def income(self, who: Sequence[int] | slice, since: int = 0) -> Floats:
        """Shares of some trainers in all rounds after ``since``: one row a round."""
        return np.stack(self.pay[since:])[:, who]

    def _play(self) -> Settlement:
        self.round += 1
        truth = self.truth()
        self.reports = self.reveal(truth)
        before = self.trainers, self.verifiers
        settled = settle(
            self.params, self.round, self.budget_wei, self.trainers, self.verifiers, self.stakes_wei, self.reports
        )
        self.trainers, self.verifiers = list(settled.trainers), list(settled.verifiers)
        for v, slashed_wei in enumerate(settled.slashed_wei):
            self.stakes_wei[v] -= slashed_wei
            self.staked_wei[v] -= slashed_wei
            if slashed_wei and is_ejected(self.stakes_wei[v], self.committee[v][1]):
                self.stakes_wei[v] = 0
        for kept, old, new in zip((self.pay, self.dividends), before, (self.trainers, self.verifiers), strict=True):
            kept.append(np.array([(b.paid_wei - a.paid_wei) / SHARE_WEI for a, b in zip(old, new, strict=True)]))
        if settled.consensus is None:
            self.void += 1
        else:
            self.last, self.last_words = settled.consensus, truth.words
            self.means = means(self.means, settled.consensus.rows)
        self.tick()
        return settled

    def truth(self) -> Report:
        """What this round's updates are worth, by an exact assessment."""
        fortunes = np.arange(len(self.skills)) if self.fortunes is None else self.fortunes
        gains = np.rint(self.population.gains(self.round, self.skills, fortunes)).astype(int).tolist()
        draw = self.population.draw("round", self.round)
        chances = draw.random(len(gains)).tolist()
        rows = [
            conduct.act(Turn(self.round - since, gain, chance, self.population.sign_right))
            for conduct, since, gain, chance in zip(self.conducts, self.joined, gains, chances, strict=True)
        ]
        if self.sampled is not None:
            asked = set(draw.permutation(len(rows))[: self.sampled].tolist())
            rows = [row if i in asked else unsampled(row) for i, row in enumerate(rows)]
        words = tuple(int.from_bytes(draw.bytes(32), "big") for _ in range(self.params.words))
        return Report(ROUND_ONE_LOSS_MICRONATS, words, tuple(rows))

    def reveal(self, truth: Report) -> list[Report | None]:
        """What the committee says of it; what those say who have left counts for nothing."""
        return [
            verifier.report(
                Desk(
                    round=self.round,
                    truth=truth,
                    last=self.last,
                    last_words=self.last_words,
                    means=self.means,
                    draw=self.population.draw(f"verifier {v}", self.round),
                )
            )
            for v, (verifier, _) in enumerate(self.committee)
        ]

    def _newcomer(self) -> Standing:
        self.serial += 1
        return Standing(account(Role.TRAINER, self.serial), Role.TRAINER)


def unsampled(row: Row) -> Row:
    return replace(row, assigned_gain_micronats=UNSAMPLED)


def means(old: tuple[Row, ...], new: tuple[Row, ...]) -> tuple[Row, ...]:
    """Moving averages of the gains, the newest with a fifth of the weight."""
    return tuple(
        replace(b, common_gain_micronats=(4 * a.common_gain_micronats + b.common_gain_micronats) // 5)
        for a, b in zip(old or new, new, strict=True)
    )
