"""From audits to the tolerances of proofs of training.

An honest trainer's worst comparison of an audit exceeds a tolerance with probability 1e-6 at most, since UNPROVEN costs
more than a round. An audit is counted once: as an alarm if any honest comparison of it lies beyond, as a miss if any
honest verifier would let the cheat in.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..learn.codec.blob import MARK_WORDS
from ..learn.numerics import Numerics
from ..learn.tolerances import TOLERANCES, ceilings
from ..spec.types import BPS
from .audits import BITS, NORMS, OVERCLAIM, OWN_BITS, Audit, Comparison
from .findings import CheatFound, Rate, formats, histogram, short
from .statistics import area_under_roc, beyond_all

ACCUSE_RATE = 1e-6
LEAST_PART = 8  # of all bits and of a norm: random words differ in half
MOST_SCORE = 10_000  # a hundred tolerances: what is further off is as far
COARSE = (("bf16 training", True), ("bf16 claims", False))  # where the policy admits float32 alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """One parameter of AssessmentSpec."""

    name: str
    value: int
    greatest: float  # of all honest comparisons
    audits: int  # in which it was compared


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditNoise:
    """Honest trainers and verifiers of two number formats and devices, "a | b"."""

    pair: str
    audits: int
    comparisons: int
    greatest: tuple[tuple[str, float], ...]  # by tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFindings:
    """Tolerances of proofs of training, and what they let through."""

    tolerances: tuple[Tolerance, ...]
    audits: int
    alarms: Rate  # honest audits with some comparison beyond a tolerance
    comparisons: Rate  # of honest ones, those beyond; those of one audit are not independent
    noise: tuple[AuditNoise, ...]
    honest: tuple[tuple[int, int], ...]  # percents of the tolerance, comparisons
    cheats: tuple[CheatFound, ...]

    @property
    def by_name(self) -> dict[str, int]:
        """What :class:`AssessmentSpec` takes."""
        return {tolerance.name: tolerance.value for tolerance in self.tolerances}

    def unsafe(self, own_bits: int, intervals: int) -> list[Tolerance]:
        """Those of a run with so many ``intervals`` that were never measured, or that come too near to what random
        words show, of which its headers have ``own_bits``."""
        most = {BITS: 256 * MARK_WORDS // LEAST_PART, NORMS: BPS // LEAST_PART, OWN_BITS: own_bits // LEAST_PART}
        needed = TOLERANCES if intervals else (OWN_BITS, OVERCLAIM)
        return [
            one
            for one in self.tolerances
            if (not one.audits and one.name in needed) or (one.name in most and one.value >= most[one.name])
        ]


def audit_findings_of(audits: Sequence[Audit], more: Sequence[Audit], words: int) -> AuditFindings:
    """Of audits with cheats, and of ``more`` without, in a run whose headers have so many ``words``."""
    everyone = [*audits, *more]
    tolerances = tuple(_tolerance(name, everyone, words) for name in TOLERANCES)
    held = {tolerance.name: tolerance.value for tolerance in tolerances}
    honest = [[score(one, held) for one in audit.honest] for audit in everyone]
    pooled = [percent for scores in honest for percent in scores] or [0]  # nothing compared: nothing differed
    kinds: dict[str, list[tuple[int, Comparison]]] = defaultdict(list)
    for place, audit in enumerate(everyone):
        for one in audit.honest:
            kinds[formats(f"{one.trained} | {one.checked}")].append((place, one))
    return AuditFindings(
        tolerances=tolerances,
        audits=len(everyone),
        alarms=Rate.of(max(scores, default=0) > 100 for scores in honest),
        comparisons=Rate.of(percent > 100 for scores in honest for percent in scores),
        noise=tuple(
            AuditNoise(
                pair=kind,
                audits=len({place for place, _ in found}),
                comparisons=len(found),
                greatest=tuple((name, _greatest(name, (one for _, one in found))) for name in TOLERANCES),
            )
            for kind, found in sorted(kinds.items())
        ),
        honest=histogram(pooled),
        cheats=tuple(_cheat_in_audits(name, audits, held, pooled) for name in cheats_of(audits)),
    )


def cheats_of(audits: Iterable[Audit]) -> list[str]:
    """Names in the order of first appearance: some show in some intervals alone."""
    return list(dict.fromkeys(name for audit in audits for name in audit.cheats))


def score(comparison: Comparison, tolerances: Mapping[str, int]) -> int:
    """Percents of the tolerance, rounded up, so that more than 100 is UNPROVEN."""
    return min(MOST_SCORE, math.ceil(100 * comparison.ratio(tolerances)))


def _tolerance(name: str, audits: Sequence[Audit], words: int) -> Tolerance:
    """At least one unit is taken for seen, because what never differed may differ on another machine; and one is what
    is never compared, in a run without audits."""
    compared = sum(any(name in one.gaps for one in audit.honest) for audit in audits)
    greatest = _greatest(name, (one for audit in audits for one in audit.honest))
    value = math.ceil(beyond_all(max(1.0, greatest), compared, ACCUSE_RATE)) if compared else 1
    return Tolerance(name=name, value=min(value, ceilings(words)[name]), greatest=greatest, audits=compared)


def _greatest(name: str, comparisons: Iterable[Comparison]) -> float:
    return short(max((one.gaps.get(name, 0) for one in comparisons), default=0))


def _cheat_in_audits(name: str, audits: Sequence[Audit], held: Mapping[str, int], honest: Sequence[int]) -> CheatFound:
    per_audit = [[score(one, held) for one in audit.cheats[name]] for audit in audits if name in audit.cheats]
    pooled = [percent for scores in per_audit for percent in scores]
    return CheatFound(
        name=name,
        auc=short(area_under_roc(honest, pooled)),
        caught=Rate.of(min(scores) > 100 for scores in per_audit),
        histogram=histogram(pooled),
    )


def narrowed_audits(audits: Sequence[Audit], admitted: Sequence[str]) -> list[Audit]:
    """The same of audits; those that nobody admitted took part in are left out."""

    def within(configuration: str) -> bool:
        return Numerics.parse(configuration).policy in admitted

    def kept(comparisons: Sequence[Comparison]) -> tuple[Comparison, ...]:
        return tuple(one for one in comparisons if within(one.trained) and within(one.checked))

    narrow = []
    for audit in audits:
        cheats = {name: found for name, them in audit.cheats.items() if (found := kept(them))}
        coarse = [one for one in audit.honest if not within(one.trained) and within(one.checked)]
        if audit.cheats and coarse:
            of_both = {name: tuple(one for one in coarse if (BITS in one.gaps) is marks) for name, marks in COARSE}
            cheats = {name: found for name, found in of_both.items() if found}
        honest = kept(audit.honest)
        if honest or cheats:
            narrow.append(replace(audit, honest=honest, cheats=cheats))
    return narrow
