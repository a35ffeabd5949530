"""The task manifest: everything about the learning that must be equal for everyone, as one canonical blob.

The chain stores only its sha2-256. One home per parameter: here, with unit and reason.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from dataclasses import dataclass, fields, replace
from typing import Any

from ..spec.errors import ManifestError, NumericsRefused, SettingsError
from ..spec.params import MAX_WORDS
from ..spec.types import BPS
from .aggregate import AggregationSpec
from .codec.spec import CodecSpec
from .numerics import TORCH_RELEASE, Numerics
from .optimisers import OuterSpec
from .tasks import Task
from .tolerances import MEASURED, TOLERANCES, WIDEST, ranges

MAX_MANIFEST_BYTES = 16_384
MAX_INTERVALS = 64  # marks of a quarter of a KiB each in every update
BUILT_IN = {
    "bytes": "gradmint.learn.tasks.bytes_lm:factory",
    "bytes-large": "gradmint.learn.tasks.bytes_lm:large",
    "digits": "gradmint.learn.tasks.digits:factory",
    "folder": "gradmint.learn.tasks.folder:factory",
}
UNCALIBRATED = "0" * 64  # thresholds by convention
#: Configurations that the built-in tasks' thresholds were measured between: docs/verification.md.
ADMITTED = (
    "bfloat16",
    "bfloat16/kernel=math",
    "bfloat16/micro=16",
    "float32",
    "float32/kernel=math",
    "float32/kernel=plain",
    "float32/micro=16",
)
MAX_ADMITTED = 32
FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """Which task: a built-in name or "package.module:factory"; the model's seed; hex sha2-256 of the data."""

    factory: str
    seed: int
    data_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSpec:
    """Local AdamW from a fresh optimiser state each round (Loshchilov & Hutter, 2019)."""

    steps: int  # local steps a round
    batch: int  # samples a step
    shard: int  # distinct samples assigned to a trainer each round; passed over again when steps * batch is more
    learning_rate: float
    warmup_steps: int  # linear; a fresh second moment makes the first steps the least trustworthy
    beta1: float
    beta2: float
    weight_decay: float
    error_feedback: float  # residual's decay a round, beta of SparseLoCo
    intervals: int  # that a trainer can be audited on, each by itself: so much cheaper is an audit; 0: no proof at all


@dataclass(frozen=True, slots=True, kw_only=True)
class AssessmentSpec:
    """How verifiers value updates."""

    common_samples: int  # one batch for everyone: validation noise, not approximation, limits the values
    assigned_samples: int  # of a trainer's shard, for its assigned gain
    assigned_trainers: int  # trainers the beacon chooses for that each round
    exact_votes: int  # at most so many of a round, to check cheap values by forward passes; 8 check one in full
    probe_samples: int  # inputs whose hidden states enter the signature
    words: int  # signature words of 256 bits
    output_words: int  # of these the first, for outputs, whose noise is the greater part; then come those for work
    precision_words: int  # of these the last: quantised, which show how precisely outputs and work were computed
    precision_width: float  # radians beyond which they show no more: a few times what the policy's own noise is
    #: Positions kept in both with the same sign, of all kept; above it the later update is a DUPLICATE. Honest pairs
    #: of 5 trainers over whole runs: bytes 2,600-5,400 in one round, 2,000-2,700 across rounds, 1,600-1,900 with one's
    #: own last update; digits 1,000-4,600, 800-3,400, 0-30. Twice as dense digits reach 5,700, at half of all values
    #: 7,300. A copy has 10,000; who disguises one must give up a fifth of it.
    duplicate_overlap_bps: int
    audited_trainers: int  # whom the beacon of the hold phase chooses each round, to prove one interval
    #: Tolerances of proofs, as 'gradmint calibrate' finds them (docs/proof-of-training.md).
    overclaim_micronats: int  # claimed gain above the one measured here
    own_accept_bits: int  # between the header's words and those computed here, of ``words`` x 256
    interval_accept_bits: int  # between a mark's words and those of the interval trained again, of 1,536
    norm_tolerance_bps: int  # between norms in a mark and those of the interval trained again


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericsSpec:
    """The run's numeric policy: between which machines honest signatures were found to lie close together."""

    admitted: tuple[str, ...] = ADMITTED  # configurations in the spelling of Numerics, sorted; any number of threads
    torch: str = TORCH_RELEASE
    calibration: str = UNCALIBRATED  # hex sha2-256 of the file that the run's thresholds come from

    def admit(self, numerics: Numerics) -> None:
        """Raises NumericsRefused, saying what to set, unless this machine may take part so, SettingsError when it
        lacks the device."""
        self.admit_release()
        if numerics.policy not in self.admitted:
            raise NumericsRefused(
                f"this machine computes in {numerics}, the run admits {', '.join(self.admitted)}; choose one of "
                "them by --numerics or $GRADMINT_NUMERICS"
            )
        numerics.require_device()

    def admit_release(self) -> None:
        """Raises NumericsRefused for another torch than the run's."""
        if self.torch != TORCH_RELEASE:
            raise NumericsRefused(
                f"torch here is {TORCH_RELEASE}, the run pinned {self.torch}; pip install torch=={self.torch}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The whole recipe. ``encode`` has one output per manifest; ``decode`` accepts nothing else."""

    task: TaskSpec
    training: TrainingSpec
    codec: CodecSpec
    assessment: AssessmentSpec
    aggregation: AggregationSpec
    outer: OuterSpec
    numerics: NumericsSpec

    def encode(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces, ASCII."""
        parts = {part.name: _plain(getattr(self, part.name)) for part in fields(self)}
        return json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()

    def digest(self) -> bytes:
        """sha2-256 of :meth:`encode`, what the run's parameters pin."""
        return hashlib.sha256(self.encode()).digest()

    def recipe(self) -> str:
        """What a calibration is of, in hex: the digest without the initial model's seed, without the calibration itself
        and without the tolerances that it finds."""
        general = replace(
            self,
            task=replace(self.task, seed=0),
            assessment=replace(self.assessment, **dict.fromkeys(TOLERANCES, 0)),
            numerics=replace(self.numerics, calibration=UNCALIBRATED),
        )
        return general.digest().hex()

    @classmethod
    def decode(cls, blob: bytes) -> Manifest:
        """Raises ManifestError: too long, no JSON, unknown or missing keys, wrong types, ranges, not canonical."""
        if len(blob) > MAX_MANIFEST_BYTES:
            raise ManifestError(f"manifest has {len(blob)} bytes, at most {MAX_MANIFEST_BYTES} are read")
        try:
            parsed = json.loads(blob)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"manifest is not JSON: {error}; expected the output of Manifest.encode") from error
        parts = _keys("manifest", parsed, [part.name for part in fields(cls)])
        manifest = cls(
            task=_build(TaskSpec, parts["task"]),
            training=_build(TrainingSpec, parts["training"]),
            codec=_build(CodecSpec, parts["codec"]),
            assessment=_build(AssessmentSpec, parts["assessment"]),
            aggregation=_build(AggregationSpec, parts["aggregation"]),
            outer=_build(OuterSpec, parts["outer"]),
            numerics=_build(NumericsSpec, parts["numerics"]),
        ).check()
        if manifest.encode() != blob:
            raise ManifestError(
                f"manifest of {len(blob)} bytes is not canonical, its canonical form has {len(manifest.encode())}; "
                "write it with Manifest.encode"
            )
        return manifest

    def check(self) -> Manifest:
        """Raises ManifestError naming the first range broken."""
        t, c, a = self.training, self.codec, self.assessment
        rules = (
            (
                self.task.factory in BUILT_IN or FACTORY.fullmatch(self.task.factory) is not None,
                f"task.factory {self.task.factory!r} is one of {sorted(BUILT_IN)} or package.module:factory",
            ),
            (0 <= self.task.seed < 1 << 63, f"task.seed {self.task.seed} lies in 0..2^63-1"),
            (
                re.fullmatch("[0-9a-f]{64}", self.task.data_sha256) is not None,
                f"task.data_sha256 {self.task.data_sha256!r} is 64 lower-case hex digits",
            ),
            (1 <= t.steps <= 1 << 20, f"training.steps {t.steps} lies in 1..2^20"),
            (1 <= t.batch <= 1 << 20, f"training.batch {t.batch} lies in 1..2^20"),
            (t.batch <= t.shard <= 1 << 24, f"training.shard {t.shard} lies in batch {t.batch}..2^24"),
            (0 <= t.warmup_steps <= t.steps, f"training.warmup_steps {t.warmup_steps} lies in 0..steps {t.steps}"),
            (0 < t.learning_rate <= 10, f"training.learning_rate {t.learning_rate} lies in (0, 10]"),
            (0 <= t.beta1 < 1 and 0 <= t.beta2 < 1, f"training.beta1 {t.beta1} and beta2 {t.beta2} lie in [0, 1)"),
            (0 <= t.weight_decay <= 1, f"training.weight_decay {t.weight_decay} lies in [0, 1]"),
            (0 <= t.error_feedback <= 1, f"training.error_feedback {t.error_feedback} lies in [0, 1]"),
            (
                0 <= t.intervals <= min(t.steps, MAX_INTERVALS),
                f"training.intervals {t.intervals} lies in 0..{MAX_INTERVALS}",
            ),
            *c.rules(),
            (
                c.kind != "private" or t.intervals == 0,
                f"training.intervals {t.intervals} is 0 with codec.kind 'private': marks and openings hide nothing",
            ),
            (
                2 <= a.common_samples <= 1 << 20 and a.common_samples % 2 == 0,
                f"assessment.common_samples {a.common_samples} is even and in 2..2^20",
            ),
            (1 <= a.assigned_samples <= t.shard, f"assessment.assigned_samples {a.assigned_samples} lies in 1..shard"),
            (0 <= a.assigned_trainers < 1 << 16, f"assessment.assigned_trainers {a.assigned_trainers} in 0..65535"),
            (0 <= a.exact_votes <= 1 << 16, f"assessment.exact_votes {a.exact_votes} lies in 0..65536"),
            (1 <= a.probe_samples <= 1 << 16, f"assessment.probe_samples {a.probe_samples} lies in 1..65536"),
            (
                2 <= a.words <= MAX_WORDS
                and 1 <= a.output_words < a.words - a.precision_words
                and a.precision_words >= 0,
                f"assessment.words {a.words} lies in 2..{MAX_WORDS} and has output_words {a.output_words}, at least "
                f"one for work and precision_words {a.precision_words}",
            ),
            (
                2.0**-40 <= a.precision_width <= 1,
                f"assessment.precision_width {a.precision_width} lies in 2^-40..1",
            ),
            (
                0 < a.duplicate_overlap_bps <= BPS,
                f"assessment.duplicate_overlap_bps {a.duplicate_overlap_bps} lies in 1..{BPS}",
            ),
            (0 <= a.audited_trainers <= 1 << 16, f"assessment.audited_trainers {a.audited_trainers} in 0..65536"),
            (
                a.audited_trainers == 0 or t.intervals > 0,
                f"training.intervals {t.intervals} is at least 1, where trainers are audited",
            ),
            *ranges({name: getattr(a, name) for name in TOLERANCES}, a.words),
            *self.aggregation.ranges(),
            *self.outer.ranges(),
            (
                _are_configurations(self.numerics.admitted),
                f"numerics.admitted {self.numerics.admitted} are 1..{MAX_ADMITTED} configurations such as "
                "'bfloat16/micro=16', sorted, distinct and without threads",
            ),
            (
                re.fullmatch("[0-9a-f]{64}", self.numerics.calibration) is not None,
                f"numerics.calibration {self.numerics.calibration!r} is 64 lower-case hex digits",
            ),
            (
                re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4}){1,3}", self.numerics.torch) is not None,
                f"numerics.torch {self.numerics.torch!r} is a release such as '2.13.0'",
            ),
        )
        for holds, rule in rules:
            if not holds:
                raise ManifestError(f"task manifest: it must hold that {rule}")
        return self


def load_task(manifest: Manifest) -> Task:
    """Imports and makes the task, and compares what it needs with what this machine has.

    Importing runs code that is installed here: open runs only whose factory you trust. Raises ManifestError when the
    factory is missing or not marked by ``task_factory``, or when the data or torch differ from the manifest's.
    """
    task = _make(manifest.task.factory)
    if task.data_sha256 != manifest.task.data_sha256:
        raise ManifestError(
            f"task {manifest.task.factory!r}: data here hash to {task.data_sha256}, the run pinned "
            f"{manifest.task.data_sha256}; use the sponsor's version of Python and of the task's package, or its folder"
        )
    manifest.numerics.admit_release()
    return task


def preset(name: str, seed: int = 0) -> Manifest:
    """A manifest for "bytes", "bytes-large", "digits", "folder" or "package.module:factory".

    A task object may carry ``preset(manifest) -> Manifest``, which receives the general defaults. Raises ManifestError.
    """
    task = _make(name)
    spec = TaskSpec(factory=name, seed=seed, data_sha256=task.data_sha256)
    manifest = replace({"bytes": _BYTES, "bytes-large": _BYTES_LARGE, "digits": _DIGITS}.get(name, _GENERAL), task=spec)
    tune = getattr(task, "preset", None)
    return (tune(manifest) if callable(tune) else manifest).check()


def with_codec(manifest: Manifest, kind: str) -> Manifest:
    """The manifest with updates compressed another way. Raises ManifestError.

    "private" takes the proof of training with it, which would open what it hides. "sign" has nothing but signs, of
    which honest trainers share up to 8,070 bps in a first round of digits: copies are told by more.
    """
    changed = replace(manifest, codec=manifest.codec.of_kind(kind))
    if kind == "sign":
        least = max(9_000, changed.assessment.duplicate_overlap_bps)
        changed = replace(changed, assessment=replace(changed.assessment, duplicate_overlap_bps=least))
    if kind == "private":
        training, assessment = replace(changed.training, intervals=0), replace(changed.assessment, audited_trainers=0)
        changed = replace(changed, training=training, assessment=assessment)
    return changed.check()


def _make(name: str) -> Task:
    target = BUILT_IN.get(name, name)
    if FACTORY.fullmatch(target) is None:
        raise ManifestError(f"task {name!r} is neither one of {sorted(BUILT_IN)} nor package.module:factory")
    module, _, attribute = target.partition(":")
    try:
        factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ManifestError(f"task {name!r} is not installed here: {error}; install its package") from error
    if getattr(factory, "gradmint_task", False) is not True:
        raise ManifestError(f"task {name!r} is not marked as one; decorate it with gradmint.learn.tasks.task_factory")
    task = factory()
    if not isinstance(task, Task):
        raise ManifestError(f"task {name!r} made a {type(task).__name__}, which lacks part of gradmint's Task protocol")
    if task.samples < 2:
        raise ManifestError(f"task {name!r} has {task.samples} training samples, at least 2 are needed to draw from")
    return task


def _are_configurations(admitted: tuple[str, ...]) -> bool:
    try:
        spelt = [Numerics.parse(text).policy for text in admitted]
    except SettingsError:
        return False
    return 1 <= len(spelt) <= MAX_ADMITTED and list(admitted) == sorted(set(spelt))


def _plain(spec: Any) -> dict[str, object]:
    return {item.name: getattr(spec, item.name) for item in fields(spec)}


def _keys(where: str, parsed: object, names: list[str]) -> dict[str, object]:
    found = sorted(parsed) if isinstance(parsed, dict) else type(parsed).__name__
    if not isinstance(parsed, dict) or found != sorted(names):
        raise ManifestError(f"{where} has keys {found}, expected {sorted(names)}; this release reads no other version")
    return parsed


def _build(kind: Any, parsed: object) -> Any:
    where = kind.__name__.removesuffix("Spec").lower()
    values = _keys(where, parsed, [item.name for item in fields(kind)])
    for item in fields(kind):
        value = values[item.name]
        if item.type == "tuple[str, ...]" and isinstance(value, list) and all(type(part) is str for part in value):
            values[item.name] = tuple(value)
            continue
        if type(value).__name__ != item.type:
            raise ManifestError(f"{where}.{item.name} is {value!r}, expected a value of type {item.type}")
    return kind(**values)


_GENERAL = Manifest(
    task=TaskSpec(factory="bytes", seed=0, data_sha256="0" * 64),
    training=TrainingSpec(
        steps=30,
        batch=16,
        shard=480,
        learning_rate=1e-3,
        warmup_steps=3,
        beta1=0.9,
        beta2=0.95,
        weight_decay=0.0,
        error_feedback=0.95,
        intervals=4,
    ),
    codec=CodecSpec(chunk=4_096, keep=256, max_bytes=64 << 20, max_norm=1_000.0),
    assessment=AssessmentSpec(
        common_samples=256,
        assigned_samples=32,
        assigned_trainers=16,
        exact_votes=8,
        probe_samples=64,
        words=4,
        output_words=1,
        precision_words=0,
        precision_width=0.01,
        duplicate_overlap_bps=8_000,
        audited_trainers=2,
        **WIDEST,
    ),
    aggregation=AggregationSpec(rule="mean", pre=("norm-bound", "score-gate"), byzantine_bps=2_000),
    outer=OuterSpec(
        optimiser="nesterov",
        learning_rate=0.8,
        momentum=0.5,
        second=0.99,
        adaptivity=0.01,
        slow_share=1.0,
        delay_rounds=4,
        warmup_rounds=0,
        schedule="linear",
        decay_rounds=200,
        floor=0.1,
    ),
    numerics=NumericsSpec(),
)
#: 16 rounds take the held-out text to 2.12 bits a byte (2.31 by round 9) with 5 honest trainers of 8, for 0.64 CPU
#: seconds a trainer and round and 0.5 a verifier and round on one 2.6 GHz core; seeds 0-2 lie within 0.02.
_BYTES = replace(
    _GENERAL,
    training=replace(_GENERAL.training, steps=60, batch=8, shard=480, learning_rate=5e-3, beta2=0.98),
    codec=replace(_GENERAL.codec, keep=1_024, max_bytes=65_536, max_norm=100.0),
    assessment=replace(_GENERAL.assessment, common_samples=128, assigned_samples=16, **MEASURED["bytes"]),
    outer=replace(_GENERAL.outer, learning_rate=1.0, decay_rounds=16),
)
_BYTES_LARGE = replace(
    _BYTES,
    training=replace(_BYTES.training, learning_rate=3e-3),
    codec=replace(_BYTES.codec, max_bytes=262_144),
)
#: 8 rounds reach 93.6-94.7 % of held-out digits (seeds 0-3), in hundredths of a second each.
_DIGITS = replace(
    _GENERAL,
    training=replace(_GENERAL.training, steps=24, batch=32, shard=64, learning_rate=2e-3),
    codec=replace(_GENERAL.codec, keep=512, max_bytes=16_384, max_norm=20.0),
    assessment=replace(_GENERAL.assessment, common_samples=1_024, assigned_samples=48, **MEASURED["digits"]),
    outer=replace(_GENERAL.outer, learning_rate=1.0, momentum=0.3, decay_rounds=16),
)
