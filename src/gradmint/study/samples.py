"""Signed scenes on disk: one JSON line each, so that an interrupted study goes on where it stopped."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..learn.manifest import Manifest, load_task
from ..learn.numerics import TORCH_RELEASE, Numerics
from ..learn.signature import distance_bits
from ..spec.errors import SettingsError
from .cheats import REPORTS, TRAINING, Cheat
from .evidence import HOME, Scene, Words, moments

REPORT, TRAINED, HONEST = "report", "training", "honest report"
CHEATS: Mapping[str, tuple[Cheat, ...]] = {REPORT: REPORTS, TRAINED: TRAINING, HONEST: ()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much to measure."""

    rounds: int  # of one training run
    draws: int  # beacons a round, for reports
    trained: int  # beacons a round, for trainers' work
    honest: int = 0  # more beacons a round, for honest reports alone: false alarms are rarer than cheats
    first: int = 0  # number of the first beacon: scenes with other numbers are other scenes
    trainers: int = 3

    @property
    def scenes(self) -> int:
        return self.rounds * (self.draws + self.trained + self.honest)

    def listed(self) -> list[tuple[str, int, int]]:
        """Kind, round and number of every scene."""
        return [
            (kind, round_, draw)
            for round_ in range(1, self.rounds + 1)
            for kind, start, draws in (
                (REPORT, self.first, self.draws),
                (TRAINED, self.first, self.trained),
                (HONEST, self.first + self.draws, self.honest),
            )
            for draw in range(start, start + draws)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One scene's signatures: of every honest configuration, and of every cheat."""

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


def honest_configurations(manifest: Manifest, draw: int = 0) -> dict[str, Numerics]:
    """What the policy admits and this machine has; in a round's first draw also the first of them with two threads,
    which wait for each other for seconds where cores are busy."""
    known = [Numerics.parse(text) for text in manifest.numerics.admitted]
    here = [one for one in known if one.device == "cpu" or torch.cuda.is_available()]
    if not here:
        raise SettingsError(f"this machine has none of the devices of {', '.join(manifest.numerics.admitted)}")
    base = HOME if HOME in here else here[0]
    two = [] if draw else [Numerics.parse(f"{base.policy}/threads=2")]
    return {str(one): one for one in [base, *(one for one in here if one != base), *two]}


def collect(
    manifest: Manifest, plans: Sequence[Plan], path: Path, tick: Callable[[str], None] = lambda _: None
) -> list[list[Sample]]:
    """All samples of each plan, those in ``path`` read and the others measured in one training run and appended.

    ``tick`` is called with each scene's name when it is there. Raises SettingsError when the file is of another study,
    ManifestError.
    """
    trainers = plans[0].trainers
    head = {
        "recipe": manifest.recipe(),
        "torch": TORCH_RELEASE,
        "trainers": trainers,
        "cheats": [cheat.name for kind in CHEATS for cheat in CHEATS[kind]],
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
                        scene = Scene(task=task, manifest=manifest, moment=moment, draw=draw)
                        sample = measure(scene, kind)
                        samples[kind, round_, draw] = sample
                        file.write(_line(sample))
                        file.flush()
                        tick(f"{kind}, round {round_}")
    return [[samples[key] for key in plan.listed()] for plan in plans]


def measure(scene: Scene, kind: str) -> Sample:
    """Every honest configuration and every cheat of one scene."""
    honest: dict[str, Words] = {}
    for name, numerics in honest_configurations(scene.manifest, scene.draw).items():
        if kind == TRAINED:
            honest[name] = scene.sign_training(scene.trained(numerics), numerics)
        else:
            honest[name] = scene.sign(scene.evidence(numerics))
    reference = next(iter(honest.values()))
    cheats = {
        cheat.name: cheat.sign(scene, reference)
        for cheat in CHEATS[kind]
        if cheat.numerics not in scene.manifest.numerics.admitted
    }
    return Sample(kind=kind, round=scene.moment.number, draw=scene.draw, honest=honest, cheats=cheats)


def _line(sample: Sample) -> str:
    def spelt(signed: Mapping[str, Words]) -> dict[str, str]:
        return {name: "".join(f"{word:064x}" for word in words) for name, words in signed.items()}

    row = {
        "kind": sample.kind,
        "round": sample.round,
        "draw": sample.draw,
        "honest": spelt(sample.honest),
        "cheats": spelt(sample.cheats),
    }
    return json.dumps(row) + "\n"


def _read(path: Path, head: Mapping[str, object]) -> dict[tuple[str, int, int], Sample]:
    """What the file holds; a line cut off by a crash is dropped. Raises SettingsError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or not path.read_text().strip():
        path.write_text(json.dumps(head) + "\n")
        return {}
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    try:
        first, *rest = [json.loads(line) for line in whole.splitlines()]
        samples = [_sample(row) for row in rest]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SettingsError(f"{path} is no file of samples ({error!r}); delete it, or give another --out") from error
    if first != head:
        raise SettingsError(f"{path} is of another study, {first}; this one is {dict(head)}: give another --out")
    return {(sample.kind, sample.round, sample.draw): sample for sample in samples}


def _sample(row: Mapping[str, Any]) -> Sample:
    def read(signed: Mapping[str, str]) -> dict[str, Words]:
        return {
            name: tuple(int(text[at : at + 64], 16) for at in range(0, len(text), 64)) for name, text in signed.items()
        }

    return Sample(
        kind=row["kind"],
        round=row["round"],
        draw=row["draw"],
        honest=read(row["honest"]),
        cheats=read(row["cheats"]),
    )
