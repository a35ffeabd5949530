"""What alpha and beta cost: gain of the best attack, who is penalised for nothing, and how much scores still say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..reputation import exact
from ..spec.reputation_params import ReputationParams
from ..spec.types import BPS
from .sybil_world import World, classic_gain, cycle, gain, parallel, serial, woven

SYBILS = 50
ALPHAS_BPS, BETAS_BPS = (500, 1_500, 2_500, 4_000), (0, 2_500, 5_000, 7_500, 9_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One choice of alpha and beta."""

    alpha: float
    beta: float
    gain: float  # of the best of the shapes
    bound: float
    penalised: float  # part of honest accounts with a score that have c = 1
    lost: float  # part of honest accounts' hits that beta takes
    deviation: float  # mean relative deviation of honest scores' shares from those of plain hits
    correlation: float  # Spearman's, of honest scores with the same at alpha = 0.15, beta = 0


def cells(world: World, entries: Sequence[bytes], tick: Callable[[str], None]) -> list[Cell]:
    honest = world.verifiers + world.trainers
    base = ReputationParams(alpha_bps=1_500, beta_bps=0)
    plain_state = world.state(base)
    plain = plain_state.scores(honest).astype(float)
    cells = []
    for alpha_bps in ALPHAS_BPS:
        for beta_bps in BETAS_BPS:
            params = ReputationParams(alpha_bps=alpha_bps, beta_bps=beta_bps)
            best = 0.0
            for shape in (parallel, serial, cycle):
                state = world.state(params, entries, shape(entries, SYBILS))
                reached, bound, _ = gain(state, entries, SYBILS)
                best = max(best, reached)
            state = world.state(params)
            hits = world.state(replace(params, beta_bps=0)).scores(honest)
            scores = state.scores(honest).astype(float)
            paths = exact.connectivity(state.rows, state.seeds, state.places(honest), params.max_paths)
            seen = hits > 0
            shares, plain_shares = scores[seen] / scores[seen].sum(), plain[seen] / plain[seen].sum()
            cells.append(
                Cell(
                    alpha=alpha_bps / BPS,
                    beta=beta_bps / BPS,
                    gain=best,
                    bound=bound,
                    penalised=float((paths[seen] == 1).mean()),
                    lost=max(0.0, float(1 - scores.sum() / hits.sum())),
                    deviation=float(np.abs(shares / plain_shares - 1).mean()),
                    correlation=_spearman(scores[seen], plain[seen]),
                )
            )
            tick(f"alpha {alpha_bps / BPS}, beta {beta_bps / BPS}")
    return cells


def _spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Rank correlation; ties in the order of the accounts."""
    first, second = (np.argsort(np.argsort(values, kind="stable"), kind="stable") for values in (a, b))
    return float(np.corrcoef(first, second)[0, 1])


def curves(
    world: World, params: ReputationParams, entries: Sequence[bytes], tick: Callable[[str], None]
) -> dict[str, list[tuple[float, float]]]:
    """Gain by the number of Sybils, for each beta; and by the number of entries, here and by single cuts alone."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for beta_bps in (0, 5_000, 9_000):
        own = replace(params, beta_bps=beta_bps)
        for k in (1, 2, 5, 10, 20, 35, 50):
            state = world.state(own, entries[:1], serial(entries[:1], k))
            curves.setdefault(f"sybils {beta_bps / BPS:g}", []).append((k, gain(state, entries[:1], k)[0]))
            tick(f"{k} Sybils, beta {beta_bps / BPS:g}")
    own = replace(params, beta_bps=9_000)
    for j in range(1, 6):
        state = world.state(own, entries[:j], woven(entries[:j], SYBILS))
        reached, bound, _ = gain(state, entries[:j], SYBILS)
        for name, value in (("paths", reached), ("bound", bound), ("single", classic_gain(state, entries[:j], SYBILS))):
            curves.setdefault(f"entries {name}", []).append((j, value))
        tick(f"{j} entries, beta 0.9")
    return curves
