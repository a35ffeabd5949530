"""What each rule of aggregation costs beside ByzFL's class for it: N = 32 rows, d = 1,000,000, f = 6, one thread.

    python benchmarks/aggregators.py [--quick] [--json] [--byzfl FOLDER]

Dense rows are float32 normals; sparse ones the same, quantised to 256 of 4,096 values as updates are. Ours includes the
gate against rows that are not finite, the choice of weights and the sum. ByzFL 0.0.11 gets the dense rows; it brings no
gate. Its column is empty unless it is importable: it needs torchvision, matplotlib and seaborn, and would replace
torch, so install it aside, without dependencies, and name the folder; what its rules do not use is left out:

    pip install --no-deps --target FOLDER byzfl==0.0.11

Its parameters are its own defaults but f, the steps and the clip radius, which are ours. Its NNM allocates 3.3 GB.

CPU milliseconds of one thread, the sides in turn in one process; the best of the runs, since other load only adds.
Fails when a rule of ours is slower than ByzFL's, both means apart: those are one library call there, without a gate and
in an order of the library's own.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import torch
from threadpoolctl import threadpool_limits

from gradmint.learn.aggregate import RULES, AggregationSpec, Sparse, aggregate, aggregate_matrix
from gradmint.learn.codec import quantise

ROWS, DIMENSION, BYZANTINE = 32, 1_000_000, 6
CHUNK, KEEP = 4_096, 256
TARGET_MS = 40.0
SPECS = {
    **{rule: AggregationSpec(rule=rule, pre=(), byzantine_bps=1_900) for rule in RULES},
    "norm-bound+mean": AggregationSpec(rule="mean", pre=("norm-bound",), byzantine_bps=1_900),
    "nnm+geometric-median": AggregationSpec(rule="geometric-median", pre=("nnm",), byzantine_bps=1_900),
    "nnm+trimmed-mean": AggregationSpec(rule="trimmed-mean", pre=("nnm",), byzantine_bps=1_900),
}
EXEMPT = {"mean", "norm-bound+mean"}


def byzfl(folder: str | None) -> dict[str, Callable[[torch.Tensor], object]]:
    """ByzFL's classes by our names for them; none when it is not importable."""
    if folder is not None:
        sys.path.insert(0, folder)
    for name in ("torchvision", "matplotlib", "matplotlib.pyplot", "seaborn"):
        sys.modules.setdefault(name, MagicMock())
    try:
        import byzfl as b
    except ImportError:
        return {}
    f, radius = BYZANTINE, float(DIMENSION) ** 0.5
    nnm = b.NNM(f)
    return {
        "mean": b.Average(),
        "krum": b.Krum(f),
        "multi-krum": b.MultiKrum(f),
        "geometric-median": b.GeometricMedian(T=8),
        "centered-clip": lambda rows: b.CenteredClipping(L=5, tau=radius)(rows),
        "monna": b.MoNNA(f, 0),
        "median": b.Median(),
        "trimmed-mean": b.TrMean(f),
        "norm-bound+mean": lambda rows: b.Average()(b.Clipping(radius)(rows)),  # every run clips what is clipped
        "nnm+geometric-median": lambda rows: b.GeometricMedian(T=8)(nnm(rows)),
        "nnm+trimmed-mean": lambda rows: b.TrMean(f)(nnm(rows)),
    }


def best(runs: int, **works: Callable[[], object]) -> dict[str, float]:
    """Least CPU milliseconds of each work, taken in turn."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            started = time.process_time()
            work()
            taken[name].append(1e3 * (time.process_time() - started))
    return {name: min(times) for name, times in taken.items()}


def measure(runs: int, folder: str | None) -> list[dict[str, Any]]:
    theirs = byzfl(folder)
    matrix = torch.randn(ROWS, DIMENSION, generator=torch.Generator().manual_seed(0))
    updates = [quantise(row, CHUNK, KEEP) for row in matrix]
    table = []
    for name, how in SPECS.items():
        assert how.byzantine(ROWS) == BYZANTINE
        works: dict[str, Callable[[], object]] = {
            "dense": lambda how=how: aggregate_matrix(matrix, how),
            "sparse": lambda how=how: aggregate(Sparse(updates), how),
        }
        if name in theirs:
            works["byzfl"] = lambda rule=theirs[name]: rule(matrix)
        found = best(runs, **works)
        table.append({"rule": name, **{f"{side}_ms": round(ms, 1) for side, ms in found.items()}})
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one run of each")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--byzfl", metavar="FOLDER", help="where ByzFL was installed by --target")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        table = measure(1 if chosen.quick else 5, chosen.byzfl)
    if chosen.json:
        print(json.dumps(table))
    else:
        print(f"{'rule':22}{'dense ms':>10}{'sparse ms':>11}{'ByzFL ms':>10}{'ratio':>8}")
        for row in table:
            theirs = row.get("byzfl_ms")
            beside = f"{theirs:10.0f}{theirs / row['dense_ms']:8.1f}" if theirs else f"{'-':>10}{'-':>8}"
            late = "" if row["dense_ms"] <= TARGET_MS else f"  above {TARGET_MS:.0f} ms"
            print(f"{row['rule']:22}{row['dense_ms']:10.0f}{row['sparse_ms']:11.0f}{beside}{late}")
        if not any("byzfl_ms" in row for row in table):
            print("ByzFL is not importable here: see --help for how to install it aside")
    slower = [r["rule"] for r in table if r["rule"] not in EXEMPT and r.get("byzfl_ms", r["dense_ms"]) < r["dense_ms"]]
    if slower:
        sys.exit(f"slower than ByzFL: {', '.join(slower)}")


if __name__ == "__main__":
    main()
