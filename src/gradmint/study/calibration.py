"""From samples to thresholds, and the calibration file whose digest a run's manifest pins.

Accept: exceeded by the worst honest pair with probability 1e-3 at most, by the fitted tail. Slash: 1e-6. A scene is
counted once: as an alarm if any honest pair of it lies beyond, as a miss if any honest verifier would let the cheat in.
Tolerances of proofs of training: :mod:`.tolerances`.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from typing import Any, get_args, get_origin, get_type_hints

import torch

from ..learn.manifest import Manifest
from ..learn.numerics import TORCH_RELEASE, Numerics
from ..learn.tolerances import TOLERANCES, ceilings
from ..spec.errors import ManifestError
from .evidence import Words
from .findings import CheatFound, Rate, formats, histogram, short
from .samples import Collected, Sample
from .statistics import Tail, area_under_roc
from .tolerances import AuditFindings, audit_findings_of

VERSION = 2
MAX_CALIBRATION_BYTES = 1 << 20
ACCEPT_RATE, SLASH_RATE = 1e-3, 1e-6
LEAST_PART = 8  # of all bits: skipping a tenth of the batch changes as many, random words half


@dataclass(frozen=True, slots=True, kw_only=True)
class HonestPair:
    """Two honest configurations, "a | b"."""

    pair: str
    mean_bits: float
    histogram: tuple[tuple[int, int], ...]  # bits, comparisons


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """All honest pairs of two number formats and devices, "a | b": one tail is fitted to them. Pairs of one scene are
    alike, so that it counts as one observation."""

    pair: str
    scenes: int
    mean_bits: float
    most_bits: int
    accept_bits: int  # of these pairs alone
    slash_bits: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCheat(CheatFound):
    slashed: Rate  # scenes in which every honest configuration finds it beyond slash_bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Thresholds of reports, and what they let through."""

    accept_bits: int
    slash_bits: int
    scenes: int
    alarms: Rate  # scenes in which some honest pair lies beyond accept_bits
    comparisons: Rate  # honest pairs beyond accept_bits; those of one scene are not independent
    fitted_alarm_rate: float  # of the worst honest pair, by its fitted tail
    fitted_slash_rate: float
    noise: tuple[Noise, ...]
    honest: tuple[HonestPair, ...]
    cheats: tuple[ReportCheat, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where it was measured."""

    processor: str
    system: str
    python: str
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """``encode`` has one output per calibration; ``decode`` accepts nothing else."""

    version: int
    task: str  # as the manifest names it
    recipe: str  # Manifest.recipe of what was measured: everything but the model's seed
    torch: str
    admitted: tuple[str, ...]  # the numeric policy
    words: int
    output_words: int
    precision_words: int
    precision_width: float
    report: Findings
    training: AuditFindings
    machine: Machine

    def encode(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, ASCII."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    def digest(self) -> str:
        """sha2-256 of :meth:`encode` in hex, what the manifest pins."""
        return hashlib.sha256(self.encode()).hexdigest()

    @classmethod
    def decode(cls, blob: bytes) -> Calibration:
        """Raises ManifestError: too long, no JSON, another shape, thresholds out of range, not canonical."""
        if len(blob) > MAX_CALIBRATION_BYTES:
            raise ManifestError(f"calibration has {len(blob)} bytes, at most {MAX_CALIBRATION_BYTES} are read")
        try:
            parsed = json.loads(blob)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"calibration is not JSON: {error}; make one with 'gradmint calibrate'") from error
        found: Calibration = _read("calibration", cls, parsed)
        if found.version != VERSION:
            raise ManifestError(f"calibration has version {found.version}, this release reads {VERSION}")
        if not 0 <= found.report.accept_bits <= found.report.slash_bits < 256 * found.words:
            raise ManifestError(
                f"calibration: it must hold that 0 <= report.accept_bits {found.report.accept_bits} <= slash_bits "
                f"{found.report.slash_bits} < {256 * found.words}"
            )
        if tuple(tolerance.name for tolerance in found.training.tolerances) != TOLERANCES:
            raise ManifestError(
                f"calibration has tolerances {[tolerance.name for tolerance in found.training.tolerances]}, expected "
                f"{list(TOLERANCES)}"
            )
        most = ceilings(found.words)
        for tolerance in found.training.tolerances:
            if not 1 <= tolerance.value <= most[tolerance.name]:
                raise ManifestError(
                    f"calibration: {tolerance.name} is {tolerance.value}, it lies in 1..{most[tolerance.name]}"
                )
        if found.encode() != blob:
            raise ManifestError(f"calibration of {len(blob)} bytes is not canonical; write it with Calibration.encode")
        return found

    def require(self, manifest: Manifest) -> None:
        """Raises ManifestError unless it was measured for this recipe (task, policy, training, assessment), and in
        enough scenes for a threshold that means something."""
        if manifest.recipe() != self.recipe:
            raise ManifestError(
                f"the calibration is of recipe {self.recipe} ({self.task}, {self.words} words, torch {self.torch}), "
                f"the run's is {manifest.recipe()} ({manifest.task.factory}, {manifest.assessment.words} words, torch "
                f"{manifest.numerics.torch}); run 'gradmint calibrate --task {manifest.task.factory}' again"
            )
        if self.report.accept_bits > 256 * self.words // LEAST_PART:
            raise ManifestError(
                f"the calibration accepts {self.report.accept_bits} of {256 * self.words} bits, at most one in "
                f"{LEAST_PART} is safe: {self.report.scenes} scenes are too few; give 'gradmint calibrate' more "
                "--beacons"
            )
        for tolerance in self.training.unsafe(256 * self.words, manifest.training.intervals):
            raise ManifestError(
                f"the calibration has {tolerance.name} {tolerance.value} from {tolerance.audits} audits, which are too "
                "few; give 'gradmint calibrate' more --retrained"
            )


def calibrate(manifest: Manifest, measured: Collected) -> Calibration:
    """Thresholds and error rates: reports' from scenes with cheats, tolerances of audits from all."""
    return Calibration(
        version=VERSION,
        task=manifest.task.factory,
        recipe=manifest.recipe(),
        torch=TORCH_RELEASE,
        admitted=manifest.numerics.admitted,
        words=manifest.assessment.words,
        output_words=manifest.assessment.output_words,
        precision_words=manifest.assessment.precision_words,
        precision_width=manifest.assessment.precision_width,
        report=findings_of(measured.reports, 256 * manifest.assessment.words),
        training=audit_findings_of(measured.audits, measured.honest_audits, manifest.assessment.words),
        machine=machine(),
    )


def findings_of(samples: Sequence[Sample], bits: int) -> Findings:
    """Of reports whose signatures have ``bits`` bits."""
    pairs: dict[str, list[int]] = {}
    kinds: dict[str, list[int]] = {}
    for sample in samples:
        for pair, distance in sample.honest_pairs():
            pairs.setdefault(pair, []).append(distance)
            kinds.setdefault(formats(pair), []).append(distance)
    scenes = {kind: sum(kind in {formats(pair) for pair, _ in s.honest_pairs()} for s in samples) for kind in kinds}
    tails = {kind: Tail.fit(distances, bits, scenes[kind]) for kind, distances in kinds.items()}
    accepts = {kind: tail.quantile(ACCEPT_RATE) for kind, tail in tails.items()}
    slashes = {kind: tail.quantile(SLASH_RATE) for kind, tail in tails.items()}
    # Half of all bits is what random words show: a threshold there would accept anything.
    accept = min(max(accepts.values()), bits - 1)
    slash = min(max(accept, *slashes.values()), bits - 1)
    pooled = [distance for distances in pairs.values() for distance in distances]
    return Findings(
        accept_bits=accept,
        slash_bits=slash,
        scenes=len(samples),
        alarms=Rate.of(any(d > accept for _, d in sample.honest_pairs()) for sample in samples),
        comparisons=Rate.of(d > accept for d in pooled),
        fitted_alarm_rate=short(max(tail.beyond(accept) for tail in tails.values())),
        fitted_slash_rate=short(max(tail.beyond(slash) for tail in tails.values())),
        noise=tuple(
            Noise(
                pair=kind,
                scenes=scenes[kind],
                mean_bits=short(sum(distances) / len(distances)),
                most_bits=max(distances),
                accept_bits=accepts[kind],
                slash_bits=slashes[kind],
            )
            for kind, distances in kinds.items()
        ),
        honest=tuple(
            HonestPair(pair=pair, mean_bits=short(sum(distances) / len(distances)), histogram=histogram(distances))
            for pair, distances in pairs.items()
        ),
        cheats=tuple(_found(name, samples, pooled, accept, slash) for name in samples[0].cheats),
    )


def _found(name: str, samples: Sequence[Sample], honest: Sequence[int], accept: int, slash: int) -> ReportCheat:
    per_scene = [sample.cheat_distances(name) for sample in samples]
    pooled = [distance for distances in per_scene for distance in distances]
    return ReportCheat(
        name=name,
        auc=short(area_under_roc(honest, pooled)),
        caught=Rate.of(min(distances) > accept for distances in per_scene),
        slashed=Rate.of(min(distances) > slash for distances in per_scene),
        histogram=histogram(pooled),
    )


def narrowed(samples: Sequence[Sample], admitted: Sequence[str], places: Sequence[int]) -> list[Sample]:
    """The same samples as a policy that admits less and signs only the words at ``places`` would have them: what it
    does not admit is a cheat there."""
    narrow = []

    def picked(signed: Mapping[str, Words]) -> dict[str, Words]:
        return {name: tuple(words[place] for place in places) for name, words in signed.items()}

    for sample in samples:
        honest: dict[str, Words] = {}
        rest: dict[str, Words] = {}
        for name, words in sample.honest.items():
            (honest if Numerics.parse(name).policy in admitted else rest)[name] = words
        cheats = {**({"bf16": rest["bfloat16"]} if "bfloat16" in rest else {}), **sample.cheats}
        narrow.append(replace(sample, honest=picked(honest), cheats=picked(cheats)))
    return narrow


def machine() -> Machine:
    """This one."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Machine(
        processor=_processor(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        devices=(f"cpu {torch.backends.cpu.get_cpu_capability()}", *gpus),
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _read(where: str, kind: Any, value: object) -> Any:
    """``value`` as ``kind``: a dataclass, a tuple, str, int or a finite float. Raises ManifestError."""
    if is_dataclass(kind):
        names = sorted(item.name for item in fields(kind))
        found = sorted(value) if isinstance(value, dict) else type(value).__name__
        if not isinstance(value, Mapping) or found != names:
            raise ManifestError(f"{where} has keys {found}, expected {names}; this release reads no other version")
        hints = get_type_hints(kind)
        return kind(**{name: _read(f"{where}.{name}", hints[name], value[name]) for name in names})  # type: ignore[operator]
    if get_origin(kind) is tuple and isinstance(value, list):
        parts = get_args(kind)
        if parts[-1] is Ellipsis:
            return tuple(_read(f"{where}[{i}]", parts[0], part) for i, part in enumerate(value))
        if len(parts) == len(value):
            return tuple(_read(f"{where}[{i}]", part, v) for i, (part, v) in enumerate(zip(parts, value, strict=True)))
    if type(value) is kind and not (kind is float and not math.isfinite(value)):  # type: ignore[arg-type]
        return value
    raise ManifestError(f"{where} is {str(value)[:80]!r}, expected a value of type {getattr(kind, '__name__', kind)}")
