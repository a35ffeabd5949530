"""Yuma consensus, for comparison: one epoch's incentives and dividends from stakes and weights.

As in subtensor's ``epoch`` pallet with its defaults (shared/research/gauntlet.md, section 3): consensus clipping at
kappa = 1/2, bonds penalty beta = 1, bonds' moving average alpha = 0.1 (version 2), no liquid alpha.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .population import Floats

KAPPA = 0.5
ALPHA = 0.1


@dataclass(slots=True)
class Yuma:
    stakes: Floats  # [validators], sum 1
    bonds: Floats | None = field(default=None)  # [validators, miners]

    def epoch(self, given: Floats) -> tuple[Floats, Floats]:
        """Incentives [miners] and dividends [validators], each with sum 1 or 0, of weights [validators, miners]."""
        weights = _normal(given, axis=1)
        order = np.argsort(-weights, axis=0)
        ranked = np.take_along_axis(weights, order, axis=0)
        # The greatest weight that at least kappa of the stake gives.
        enough = np.argmax(np.cumsum(self.stakes[order], axis=0) >= KAPPA, axis=0)
        consensus = np.take_along_axis(ranked, enough[None, :], axis=0)[0]
        clipped = np.minimum(weights, consensus)
        incentives = _normal(self.stakes @ clipped, axis=0)
        fresh = _normal(self.stakes[:, None] * clipped, axis=0)
        self.bonds = fresh if self.bonds is None else _normal(ALPHA * fresh + (1 - ALPHA) * self.bonds, axis=0)
        return incentives, _normal(self.bonds @ incentives, axis=0)


def _normal(values: Floats, axis: int) -> Floats:
    total = values.sum(axis=axis, keepdims=True)
    return np.divide(values, total, out=np.zeros_like(values), where=total > 0)
