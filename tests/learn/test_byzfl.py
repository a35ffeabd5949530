"""Rules equal ByzFL 0.0.11's where both can be asked the same: ``scripts/byzfl_vectors.py`` recorded its answers.

Where it deviates from the papers, and what is passed here to follow it:

- Krum and MultiKrum look at n - f - 1 neighbours, Blanchard et al. at n - f - 2: ``neighbours``.
- GeometricMedian starts at zero and takes 3 steps, with an absolute least distance (0.1 by default): ``start``,
  ``steps``.
- CenteredClipping starts at zero, with an absolute radius (100 by default): ``start``, ``radius``. Given any tensor
  ``m`` to start from it raises TypeError, and it keeps its last result as the next start.
- Clipping and ARC write to their input, and clip to a constant: the vectors were made with the upper median norm.
- NNM allocates n (n - f) d values.
- A row that is not finite spoils all its rules but TrMean; here it is gated out before.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gradmint.learn.aggregate import AggregationSpec, Dense, Linear, Rows, aggregate, coordinates, weightings
from gradmint.learn.aggregate.clipping import bounds

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "byzfl.json").read_text())
CASES = VECTORS["cases"]
NAMES = sorted(CASES[0]["results"])


def ours(name: str, rows: Rows, f: int, clip: float) -> Any:
    if name.startswith("nnm+"):
        return ours(name[4:], Linear(rows, weightings.nearest_neighbours(rows.gram, f)), f, clip)
    zero = np.zeros(rows.count)
    neighbours = rows.count - f - 1
    rules: dict[str, Any] = {
        "geometric-median": partial(weightings.geometric_median, steps=3, start=zero),
        "krum": partial(weightings.krum, neighbours=neighbours),
        "multi-krum": partial(weightings.multi_krum, neighbours=neighbours),
        "monna": partial(weightings.monna, pivot=2),
        "centered-clip": partial(weightings.centered_clip, steps=3, radius=clip, start=zero),
    }
    if name == "mean":
        return rows.combine([1 / rows.count] * rows.count)
    if name in rules:
        return rows.combine(rules[name](rows.gram, f).tolist())
    if name == "norm-bound":
        assert bounds(rows.norms()) == pytest.approx([min(1.0, clip / norm) for norm in rows.norms()])
        return aggregate(rows, AggregationSpec(rule="mean", pre=("norm-bound",), byzantine_bps=0)).vector
    return {"median": coordinates.median, "trimmed-mean": coordinates.trimmed_mean}[name](rows, f)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['rows'])}-{case['f']}")
def test_equal(name: str, case: dict[str, Any]) -> None:
    rows, _ = Dense.of(torch.tensor(case["rows"]))
    assert rows is not None
    assert ours(name, rows, case["f"], case["clip"]) == pytest.approx(case["results"][name], rel=1e-4, abs=1e-5)


def test_the_oracle_was_asked_about_every_rule_it_has() -> None:
    assert len(CASES) == 3 and len(NAMES) == 15 and VECTORS["byzfl"] == "0.0.11"
    results = CASES[1]["results"]
    assert len({tuple(result) for result in results.values()}) >= 13  # they do not say all the same
