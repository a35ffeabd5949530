"""Measured scenes on disk: one JSON line each, so that an interrupted study goes on where it stopped.

Those of reports hold words, those of audits the gaps that verifiers found.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..learn.manifest import Manifest, load_task
from ..learn.numerics import TORCH_RELEASE
from ..learn.signature import distance_bits
from ..learn.tasks import Task
from ..spec.errors import SettingsError
from . import trainers
from .audits import Audit, Comparison, honest_comparisons, local_of
from .cheats import REPORTS
from .evidence import Moment, Scene, Words, honest_configurations, moments

REPORT, TRAINED, HONEST, RETRAINED = "report", "training", "honest report", "honest training"
CHEATS: Mapping[str, tuple[str, ...]] = {
    REPORT: tuple(cheat.name for cheat in REPORTS),
    TRAINED: tuple(cheat.name for cheat in (*trainers.INTERVALS, *trainers.CLAIMS)),
    HONEST: (),
    RETRAINED: (),
}
Key = tuple[str, int, int]  # kind, round, draw


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much to measure."""

    rounds: int  # of one training run
    draws: int  # beacons a round, for reports
    trained: int  # beacons a round, for audits
    honest: int = 0  # more beacons a round, for honest reports alone: false alarms are rarer than cheats
    retrained: int = 0  # and for honest audits alone
    first: int = 0  # number of the first beacon: scenes with other numbers are other scenes
    trainers: int = 3

    @property
    def scenes(self) -> int:
        return self.rounds * (self.draws + self.trained + self.honest + self.retrained)

    def listed(self) -> list[Key]:
        """Every scene."""
        return [
            (kind, round_, draw)
            for round_ in range(1, self.rounds + 1)
            for kind, start, draws in (
                (REPORT, self.first, self.draws),
                (TRAINED, self.first, self.trained),
                (HONEST, self.first + self.draws, self.honest),
                (RETRAINED, self.first + self.trained, self.retrained),
            )
            for draw in range(start, start + draws)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What verifiers sign in one scene: in every honest configuration, and under every cheat."""

    kind: str
    round: int
    draw: int
    honest: Mapping[str, Words]
    cheats: Mapping[str, Words]

    def honest_pairs(self) -> Iterator[tuple[str, int]]:
        """("a | b", bits) of every two honest configurations."""
        for (a, one), (b, other) in itertools.combinations(self.honest.items(), 2):
            yield f"{a} | {b}", distance_bits(one, other)

    def cheat_distances(self, name: str) -> list[int]:
        """Bits to each honest configuration."""
        return [distance_bits(self.cheats[name], words) for words in self.honest.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What one plan asked for; those without cheats are in the second lists."""

    reports: tuple[Sample, ...]
    audits: tuple[Audit, ...]
    honest_reports: tuple[Sample, ...] = ()
    honest_audits: tuple[Audit, ...] = ()


def collect(
    manifest: Manifest, plans: Sequence[Plan], path: Path, tick: Callable[[str], None] = lambda _: None
) -> list[Collected]:
    """All samples of each plan, those in ``path`` read and the others measured in one training run and appended.

    ``tick`` is called with each scene's name when it is there. Raises SettingsError when the file is of another study,
    ManifestError.
    """
    trainers = plans[0].trainers
    head = {
        "recipe": manifest.recipe(),
        "torch": TORCH_RELEASE,
        "trainers": trainers,
        "cheats": [name for names in CHEATS.values() for name in names],
    }
    samples = _read(path, head)
    wanted = [key for plan in plans for key in plan.listed()]
    missing = [key for key in wanted if key not in samples]
    for kind, round_, _ in (key for key in wanted if key in samples):
        tick(f"{kind}, round {round_}")
    if missing:
        task = load_task(manifest)
        with path.open("a") as file:
            for moment in moments(task, manifest, max(round_ for _, round_, _ in missing), trainers):
                for kind, round_, draw in missing:
                    if round_ == moment.number:
                        sample = measure(task, manifest, moment, kind, draw)
                        samples[kind, round_, draw] = sample
                        file.write(_line(sample))
                        file.flush()
                        tick(f"{kind}, round {round_}")
    return [_sorted([samples[key] for key in plan.listed()]) for plan in plans]


def _sorted(measured: Sequence[Sample | Audit]) -> Collected:
    signed = [one for one in measured if isinstance(one, Sample)]
    audits = [one for one in measured if isinstance(one, Audit)]
    return Collected(
        reports=tuple(one for one in signed if one.kind == REPORT),
        audits=tuple(one for one in audits if one.kind == TRAINED),
        honest_reports=tuple(one for one in signed if one.kind == HONEST),
        honest_audits=tuple(one for one in audits if one.kind == RETRAINED),
    )


def measure(task: Task, manifest: Manifest, moment: Moment, kind: str, draw: int) -> Sample | Audit:
    """Every honest configuration and every cheat of one scene."""
    if kind in (TRAINED, RETRAINED):
        local = local_of(task, manifest, moment, draw)
        honest, cheats = trainers.comparisons(local) if kind == TRAINED else (list(honest_comparisons(local)), {})
        return Audit(kind=kind, round=moment.number, draw=draw, honest=tuple(honest), cheats=cheats)
    scene = Scene(task=task, manifest=manifest, moment=moment, draw=draw)
    signed = {
        name: scene.sign(scene.evidence(numerics)) for name, numerics in honest_configurations(manifest, draw).items()
    }
    reference = next(iter(signed.values()))
    attacks = {
        cheat.name: cheat.sign(scene, reference)
        for cheat in (REPORTS if kind == REPORT else ())
        if cheat.numerics not in manifest.numerics.admitted
    }
    return Sample(kind=kind, round=moment.number, draw=draw, honest=signed, cheats=attacks)


def _line(sample: Sample | Audit) -> str:
    def spelt(signed: Mapping[str, Words]) -> dict[str, str]:
        return {name: "".join(f"{word:064x}" for word in words) for name, words in signed.items()}

    def told(comparisons: Sequence[Comparison]) -> list[object]:
        return [[one.trained, one.checked, one.gaps] for one in comparisons]

    row: dict[str, object] = {"kind": sample.kind, "round": sample.round, "draw": sample.draw}
    if isinstance(sample, Sample):
        row |= {"honest": spelt(sample.honest), "cheats": spelt(sample.cheats)}
    else:
        row |= {"honest": told(sample.honest), "cheats": {name: told(them) for name, them in sample.cheats.items()}}
    return json.dumps(row) + "\n"


def _read(path: Path, head: Mapping[str, object]) -> dict[Key, Sample | Audit]:
    """What the file holds; a line cut off by a crash is dropped. Raises SettingsError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or not path.read_text().strip():
        path.write_text(json.dumps(head) + "\n")
        return {}
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    os.truncate(path, len(whole.encode()))  # in place: writing it anew could lose all of it
    try:
        first, *rest = [json.loads(line) for line in whole.splitlines()]
        samples = [_sample(row) for row in rest]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path} is no file of samples ({error!r}); delete it, or give another --out") from error
    if first != head:
        raise SettingsError(f"{path} is of another study, {first}; this one is {dict(head)}: give another --out")
    return {(sample.kind, sample.round, sample.draw): sample for sample in samples}


def _sample(row: Mapping[str, Any]) -> Sample | Audit:
    def read(signed: Mapping[str, str]) -> dict[str, Words]:
        return {
            name: tuple(int(text[at : at + 64], 16) for at in range(0, len(text), 64)) for name, text in signed.items()
        }

    def heard(rows: Sequence[Any]) -> tuple[Comparison, ...]:
        return tuple(Comparison(trained=trained, checked=checked, gaps=gaps) for trained, checked, gaps in rows)

    kind, round_, draw = row["kind"], row["round"], row["draw"]
    if kind in (TRAINED, RETRAINED):
        cheats = {name: heard(rows) for name, rows in row["cheats"].items()}
        return Audit(kind=kind, round=round_, draw=draw, honest=heard(row["honest"]), cheats=cheats)
    return Sample(kind=kind, round=round_, draw=draw, honest=read(row["honest"]), cheats=read(row["cheats"]))
