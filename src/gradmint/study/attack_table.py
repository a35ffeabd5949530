"""Every attack against every rule, at every strength: what the model loses and what the attackers are paid.

A cell is one attack, rule, number of attackers and kind of data, over seeds. It is set beside the same run in which
the same seats are honest: same seed, same data, same beacons. Each run is one line of a journal, so a table goes on
where it was interrupted, and grows by asking for more of it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..learn.numerics import TORCH_RELEASE
from ..spec.errors import SettingsError
from . import attacks
from .arena import BUDGET_WEI, Setting, declares, plain, play, seats_of
from .attacks import ATTACKS

MOST_POINTS = 3.0  # that the default may lose
MOST_PAY = 1.0  # of the honest twins'
PPB = 10**9
Spread = tuple[float, ...]  # one value for each seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What to play. ``shares`` are per cent of the seats, rounded to whole ones."""

    attacks: tuple[str, ...]
    rules: tuple[str, ...]
    shares: tuple[int, ...]
    skews: tuple[str, ...]
    seeds: tuple[int, ...]
    peers: int = 16
    rounds: int = 16

    def attackers(self, share: int) -> int:
        return round(self.peers * share / 100)

    def setting(self, attack: str, rule: str, share: int, skew: str, seed: int) -> Setting:
        return Setting(
            attack=attack,
            rule=rule,
            attackers=self.attackers(share),
            skew=skew,
            seed=seed,
            peers=self.peers,
            rounds=self.rounds,
        )

    def settings(self) -> list[Setting]:
        """Every run of the grid once, by seed, and before others the ones that all are compared with."""
        wanted: dict[Setting, None] = {}
        for seed in self.seeds:
            for skew in self.skews:
                for rule in self.rules:
                    for share in self.shares:
                        own = [self.setting(name, rule, share, skew, seed) for name in self.attacks]
                        wanted |= dict.fromkeys([*map(twin, own), *own])
        return list(wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one line of the journal says of a setting."""

    setting: Setting
    accuracy: float
    paid_ppb: tuple[int, ...]  # of the whole budget, by seat
    passed: float  # part of the attackers' updates of positive value, which a gate lets into the model


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One attack against one rule. Spreads have a value for each seed."""

    attack: str
    rule: str
    attackers: int
    peers: int
    skew: str
    accuracy: Spread  # in per cent
    lost: Spread  # points of accuracy, against the honest twin of the run
    captured: Spread  # part of all pay that the attackers got
    pay: Spread  # the attackers', in multiples of the honest twins', per head
    passed: Spread

    @property
    def where(self) -> str:
        return f"{self.attackers} of {self.peers}, {self.skew}, {self.rule}"

    @property
    def harmless(self) -> bool:
        """Whether the mean over the seeds meets what is required of the default."""
        return mean(self.lost) <= MOST_POINTS and mean(self.pay) <= MOST_PAY


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def twin(setting: Setting) -> Setting:
    """The same run with everyone honest. Attackers are counted only where the rule is told how many to expect."""
    attackers = setting.attackers if declares(setting.rule) else 0
    return Setting(
        attack="",
        rule=setting.rule,
        attackers=attackers,
        skew=setting.skew,
        seed=setting.seed,
        peers=setting.peers,
        rounds=setting.rounds,
    )


def measure(setting: Setting) -> Run:
    """Plays one setting."""
    outcome = play(setting)
    members = seats_of(setting) if setting.attack else ()
    chances = len(members) * setting.rounds
    inside = sum(seat in members for step in outcome.passed for seat in step)
    return Run(
        setting=setting,
        accuracy=outcome.accuracy,
        paid_ppb=tuple(paid_wei * PPB // BUDGET_WEI for paid_wei in outcome.paid_wei),
        passed=inside / chances if chances else 0.0,
    )


def table(runs: Mapping[Setting, Run], grid: Grid) -> list[Cell]:
    """The grid's cells, as far as they were played for every seed."""
    cells = []
    for skew in grid.skews:
        for share in grid.shares:
            for rule in grid.rules:
                for attack in grid.attacks:
                    own = [grid.setting(attack, rule, share, skew, seed) for seed in grid.seeds]
                    if all(setting in runs and twin(setting) in runs for setting in own):
                        cells.append(cell([(runs[setting], runs[twin(setting)]) for setting in own]))
    return cells


def cell(pairs: Sequence[tuple[Run, Run]]) -> Cell:
    """Of runs that differ in their seed, each with its twin."""
    setting = pairs[0][0].setting
    found: dict[str, list[float]] = {"accuracy": [], "lost": [], "captured": [], "pay": [], "passed": []}
    for run, honest in pairs:
        seats = seats_of(run.setting)
        got, due = (sum(one.paid_ppb[seat] for seat in seats) for one in (run, honest))
        found["accuracy"].append(100 * run.accuracy)
        found["lost"].append(100 * (honest.accuracy - run.accuracy))
        found["captured"].append(got / max(1, sum(run.paid_ppb)))
        found["pay"].append(got / max(1, due))
        found["passed"].append(run.passed)
    return Cell(
        attack=setting.attack,
        rule=setting.rule,
        attackers=setting.attackers,
        peers=setting.peers,
        skew=setting.skew,
        **{name: tuple(values) for name, values in found.items()},
    )


def harmless(cells: Iterable[Cell]) -> dict[str, list[str]]:
    """Attacks that neither cost the model more than MOST_POINTS nor pay more than honesty, by rule and strength."""
    found: dict[str, list[str]] = {}
    for one in cells:
        if not ATTACKS[one.attack].helps:
            found.setdefault(one.where, [])
            if one.harmless:
                found[one.where].append(one.attack)
    return {where: sorted(names) for where, names in found.items()}


def collect(grid: Grid, path: Path, jobs: int = 1, tick: Callable[[str], None] = lambda _: None) -> dict[Setting, Run]:
    """The grid's runs, those in ``path`` read and the others played by ``jobs`` processes and appended.

    ``tick`` is called with each run's attack when it is there. Raises SettingsError when the file is of another study.
    """
    runs = read(path)
    wanted = grid.settings()
    for setting in wanted:
        if setting in runs:
            tick(setting.attack)
    with path.open("a") as file:
        for run in _played([setting for setting in wanted if setting not in runs], jobs):
            runs[run.setting] = run
            file.write(json.dumps(asdict(run)) + "\n")
            file.flush()
            tick(run.setting.attack)
    return {setting: runs[setting] for setting in wanted}


def _played(settings: Sequence[Setting], jobs: int) -> Iterator[Run]:
    if jobs == 1 or len(settings) < 2:
        torch.set_num_threads(1)
        yield from map(measure, settings)
        return
    # Leaving it, for Ctrl-C as well, ends the processes at once: a run that was cut short is played again.
    with multiprocessing.get_context("spawn").Pool(jobs, _start) as pool:
        yield from pool.imap_unordered(measure, settings)


def _start() -> None:
    """Of a process: Ctrl-C is for the one that waits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def head() -> dict[str, str]:
    """What the runs of one journal have in common: recipe, attacks and release."""
    return {
        "recipe": plain(0).recipe(),
        "attacks": hashlib.sha256(inspect.getsource(attacks).encode()).hexdigest(),
        "torch": TORCH_RELEASE,
    }


def read(path: Path) -> dict[Setting, Run]:
    """What the journal holds; a line cut off by a crash is dropped. Raises SettingsError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = path.read_text() if path.exists() else ""
    whole = text[: text.rfind("\n") + 1]
    if not whole:
        path.write_text(json.dumps(head()) + "\n")
        return {}
    if whole != text:
        path.write_text(whole)
    try:
        first, *rest = [json.loads(line) for line in whole.splitlines()]
        runs = [_run(row) for row in rest]
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} is no journal of runs ({error!r}); delete it, or give another --out") from error
    if first != head():
        raise SettingsError(f"{path} is of other attacks or another recipe than this release's: give another --out")
    return {run.setting: run for run in runs}


def _run(row: Mapping[str, Any]) -> Run:
    return Run(
        setting=Setting(**row["setting"]),
        accuracy=float(row["accuracy"]),
        paid_ppb=tuple(int(paid) for paid in row["paid_ppb"]),
        passed=float(row["passed"]),
    )
