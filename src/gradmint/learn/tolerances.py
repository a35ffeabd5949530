"""How far what a trainer says may lie from what is found: parameters of AssessmentSpec, as calibrations found them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..spec.types import BPS, GAIN_MAX_MICRONATS
from .codec.blob import MARK_WORDS

TOLERANCES = ("interval_accept_bits", "norm_tolerance_bps", "own_accept_bits", "overclaim_micronats")
#: By task, from snapshots/calibration.json; they only change with it.
MEASURED: Mapping[str, Mapping[str, int]] = {
    "digits": dict(zip(TOLERANCES, (23, 37, 59, 4_058), strict=True)),
    "bytes": dict(zip(TOLERANCES, (48, 213, 37, 3_889), strict=True)),
}
#: For a task of one's own, until it is calibrated.
WIDEST: Mapping[str, int] = {name: max(found[name] for found in MEASURED.values()) for name in TOLERANCES}


def ceilings(words: int) -> dict[str, int]:
    """What any manifest takes, where headers have so many words: bits of unrelated words differ in half, and who plants
    words must not find any that pass (:mod:`gradmint.spec.plant`)."""
    return dict(zip(TOLERANCES, (128 * MARK_WORDS, BPS, 32 * words, GAIN_MAX_MICRONATS), strict=True))


def ranges(given: Mapping[str, int], words: int) -> Iterator[tuple[bool, str]]:
    """The rules of a manifest's check: whether each holds, and how it reads."""
    for name, most in ceilings(words).items():
        least = 0 if name == "overclaim_micronats" else 1
        yield least <= given[name] <= most, f"assessment.{name} {given[name]} lies in {least}..{most}"
