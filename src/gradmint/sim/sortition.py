"""What a part of the stake is in committees that are drawn: exact where all stakes are equal, by drawing where not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb

from ..spec.committee import draw
from ..spec.keccak import keccak256
from ..spec.params import Params
from .study import Figure, Finding, Study

DRAWS = 400  # per seed
WHALES = 3


def is_quorum(part: int | Fraction, whole: int | Fraction) -> bool:
    return 3 * part > 2 * whole


def chance(seats: int, size: int, coalition: int, happens: Callable[[int], bool]) -> Fraction:
    """Of ``happens(k)``, k the coalition's seats in a committee of ``size`` drawn from ``seats`` with equal stakes."""
    ways = sum(comb(coalition, k) * comb(seats - coalition, size - k) for k in range(size + 1) if happens(k))
    return Fraction(ways, comb(seats, size))


def captures(params: Params, part: float) -> Fraction:
    """Chance that a coalition with so large a part of equal stakes is a quorum of the drawn committee by itself."""
    coalition = int(part * params.max_verifiers)
    return chance(params.max_verifiers, params.committee, coalition, lambda k: is_quorum(k, params.committee))


def divides(params: Params, part: float) -> Fraction:
    """Chance that without the coalition the drawn committee has no quorum: everyone is called in."""
    size = params.committee
    coalition = int(part * params.max_verifiers)
    return chance(params.max_verifiers, size, coalition, lambda k: not is_quorum(size - k, size))


def whale_stakes(params: Params, part: float) -> list[int]:
    """Of a run with all seats taken: the first few have ``part`` of all stake, equally, the others the rest."""
    others = params.max_verifiers - WHALES
    whole_wei = others * params.verifier_stake_wei / (1 - part)
    return [int(whole_wei * part / WHALES)] * WHALES + [params.verifier_stake_wei] * others


def captured(stakes_wei: Sequence[int], size: int, coalition: int, seed: int, draws: int = DRAWS) -> float:
    """Part of ``draws`` in which the first ``coalition`` seats are a quorum by themselves."""
    times = 0
    for k in range(draws):
        drawn = draw(keccak256(seed.to_bytes(8, "big") + k.to_bytes(8, "big")), stakes_wei, size)
        members = [stake_wei if drawn >> v & 1 else 0 for v, stake_wei in enumerate(stakes_wei)]
        times += is_quorum(sum(members[:coalition]), sum(members))
    return times / draws


@dataclass(frozen=True, slots=True)
class Sortition:
    """A coalition among as many verifiers as the run has seats for."""

    name: str = "sortition"

    def measure(self, study: Study) -> Finding:
        params = study.params
        exact = f"exact, {params.committee} of {params.max_verifiers} with equal stakes"
        counted = f"{DRAWS} draws a seed; {WHALES} seats have the part, {params.max_verifiers - WHALES} the rest"

        def whales(part: float) -> tuple[float, ...]:
            stakes_wei = whale_stakes(params, part)
            return tuple(captured(stakes_wei, params.committee, WHALES, seed) for seed in study.seeds)

        alone, all_in = "chance that they are a quorum by themselves", "chance that everyone has to be called in"
        captured_33, captured_40, captured_49 = ((float(captures(params, part)),) for part in (0.33, 0.40, 0.49))
        return Finding(
            (
                Figure(name=f"33% of the stake: {alone}", defined=exact, values=captured_33, at_most=0.0),
                Figure(name=f"40% of the stake: {alone}", defined=exact, values=captured_40, below=0.001),
                Figure(name=f"49% of the stake: {alone}", defined=exact, values=captured_49, below=0.02),
                Figure(
                    name=f"33% of the stake in three seats: {alone}", defined=counted, values=whales(0.33), at_most=0
                ),
                Figure(
                    name=f"45% of the stake in three seats: {alone}", defined=counted, values=whales(0.45), at_most=0
                ),
                Figure(name=f"49% of the stake in three seats: {alone}", defined=counted, values=whales(0.49)),
                Figure(
                    name=f"20% of the stake: {all_in}", defined=exact, values=(float(divides(params, 0.2)),), below=0.01
                ),
                Figure(
                    name=f"33% of the stake: {all_in}",
                    defined=exact,
                    values=(float(divides(params, 0.33)),),
                    below=0.36,
                ),
            )
        )
