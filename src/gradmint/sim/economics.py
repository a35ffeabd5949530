"""The scenarios, in the order of the report, and how to go through them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from .cheating import FreeRiding, Splitting, Whitewashing
from .committee import Cabal, WeightCopying
from .fairness import Climb, Newcomer, Rating
from .reported import REPORTED
from .seats import JoinPrice
from .sortition import Sortition
from .study import Finding, Scenario, Study

SCENARIOS: tuple[Scenario, ...] = (
    Splitting(),
    Cabal(),
    Sortition(),
    FreeRiding(),
    Whitewashing(),
    WeightCopying(),
    Newcomer(),
    Climb(),
    Rating(),
    JoinPrice(),
)
NAMES = tuple(scenario.name for scenario in SCENARIOS)


def examine(
    study: Study, names: Iterable[str] = NAMES, begin: Callable[[str], None] = lambda _: None
) -> dict[str, Finding]:
    """What each named scenario finds; ``begin`` is told which one is next, ``study.tick`` of each round."""
    wanted = set(names)
    found = {}
    for scenario in SCENARIOS:
        if scenario.name in wanted:
            begin(scenario.name)
            finding = scenario.measure(study)
            found[scenario.name] = with_reported(scenario.name, finding) if study.is_reported else finding
    return found


def with_reported(scenario: str, finding: Finding) -> Finding:
    """Each figure without a bound is held to the interval in which it was measured before."""
    intervals = REPORTED.get(scenario, {})
    return replace(
        finding,
        figures=tuple(
            replace(figure, reported=intervals.get(figure.name)) if figure.holds is None else figure
            for figure in finding.figures
        ),
    )


def unasserted(findings: Mapping[str, Finding]) -> list[str]:
    """Figures of which nothing is asserted, ``scenario: figure``."""
    return [
        f"{name}: {figure.name}"
        for name, finding in findings.items()
        for figure in finding.figures
        if figure.holds is None
    ]


def missed(findings: Mapping[str, Finding]) -> list[str]:
    """Figures outside of what is asserted, ``scenario: figure``."""
    return [
        f"{name}: {figure.name}"
        for name, finding in findings.items()
        for figure in finding.figures
        if figure.holds is False
    ]
