"""Record what ByzFL's aggregators return, as tests/vectors/byzfl.json: an oracle that the test suite need not install.

ByzFL pulls in torchvision, matplotlib and seaborn and would replace torch, so it is installed aside and without its
dependencies; what its aggregators never use is replaced by empty modules:

    pip install --no-deps --target SOME/FOLDER byzfl==0.0.11
    python scripts/byzfl_vectors.py SOME/FOLDER

Parameters are those with which both sides compute the same: tests/learn/test_byzfl.py names each deviation.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import torch
from torch import Tensor

OUT = Path(__file__).parent.parent / "tests" / "vectors" / "byzfl.json"
UNUSED = ("torchvision", "matplotlib", "matplotlib.pyplot", "seaborn")
CASES = ((7, 5, 1), (11, 8, 2), (12, 8, 3))  # rows, coordinates, f


def load(folder: str) -> Any:
    """The byzfl package that lies in ``folder``, with empty modules for what is not installed."""
    sys.path.insert(0, folder)
    for name in UNUSED:
        sys.modules.setdefault(name, MagicMock())
    import byzfl

    return byzfl


def rules(b: Any, f: int, clip: float) -> dict[str, Callable[[Tensor], Tensor]]:
    """ByzFL's classes by our names for them; ``clip`` is a norm."""
    nnm = b.NNM(f)
    made = {
        "mean": b.Average(),
        "median": b.Median(),
        "trimmed-mean": b.TrMean(f),
        "geometric-median": b.GeometricMedian(nu=1e-6, T=3),
        "krum": b.Krum(f),
        "multi-krum": b.MultiKrum(f),
        "monna": b.MoNNA(f, 2),
    }
    whole: dict[str, Callable[[Tensor], Tensor]] = dict(made)
    whole["centered-clip"] = lambda rows: b.CenteredClipping(L=3, tau=clip)(rows)
    whole["norm-bound"] = lambda rows: b.Clipping(clip)(rows.clone()).mean(0)
    whole |= {f"nnm+{name}": lambda rows, rule=rule: rule(nnm(rows)) for name, rule in made.items() if name != "monna"}
    return whole


def main(folder: str) -> None:
    byzfl = load(folder)
    cases = []
    for rows, coordinates, f in CASES:
        generator = torch.Generator().manual_seed(rows)
        matrix = torch.randn(rows, coordinates, generator=generator, dtype=torch.float64).float()
        matrix *= 0.5 + torch.rand(rows, 1, generator=generator)
        clip = float(matrix.norm(dim=1).sort()[0][rows // 2])
        results = {name: rule(matrix.clone()).tolist() for name, rule in rules(byzfl, f, clip).items()}
        cases.append({"rows": matrix.tolist(), "f": f, "clip": clip, "results": results})
    OUT.write_text(json.dumps({"byzfl": "0.0.11", "cases": cases}, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
