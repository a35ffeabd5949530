"""Reputation beside the packaged MeritRank: walks from one account, exact mass from the seeds, one thread.

    python benchmarks/reputation.py [--quick] [--json]

10,000 accounts and 100,000 edges drawn as Chung and Lu (2002) do, integer weights 1-10, alpha 0.15. In one process, in
turn, for five egos: ``meritrank-python`` 0.2.10 (its ``calculate``, 10,000 walks), best of three, and ours, best of
thirty. Its walks and ours have the same law, so their hits are compared as well. The package is GPL: it is installed
for this comparison alone, with pip into .build/meritrank, or found where PYTHONPATH says. Then the exact pass, c of a
thousand accounts, and, without --quick, a million accounts with eleven million edges; mass is compared with
floating-point power iteration to 1e-12.

Workers: the same walks by one and by two threads and processes, and by Ray where it is installed.

CPU seconds of one pinned thread, medians; workers in wall seconds. Fails when walks are less than 300 times as fast as
the package, or the exact pass takes more than 35 ms, 10 s for the large graph, or misses the stated error.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gradmint.reputation import exact, spread, walks
from gradmint.reputation.rows import Rows
from gradmint.spec.reputation import ONE_MASS
from gradmint.spec.reputation_params import STANDARD_REPUTATION as PARAMS
from gradmint.spec.types import BPS
from gradmint.spec.walks import key_of

PEER = "meritrank-python==0.2.10"
PLACE = Path(__file__).resolve().parent.parent / ".build" / "meritrank"
WALKS = 10_000
LEAST_RATIO, MOST_EXACT_S, MOST_LARGE_S = 300.0, 0.035, 10.0
SEEDS = [0, 1, 2, 3, 4]
KEY = key_of(b"\x01" * 32, 0, PARAMS)


def peer() -> Any:
    """The package's class, installed first if it is not here."""
    if importlib.util.find_spec("meritrank_python") is None:
        sys.path.insert(0, str(PLACE))
        if not PLACE.is_dir():
            options = ["--quiet", "--no-deps", "--target", str(PLACE)]
            subprocess.run([sys.executable, "-m", "pip", "install", *options, PEER], check=True)
    from meritrank_python.rank import IncrementalMeritRank

    return IncrementalMeritRank


def chung_lu(size: int, edges: int, seed: int = 0) -> Rows:
    """Ends drawn independently, in proportion to (rank + 10)^-0.6; parallel edges are added up."""
    drawn = np.random.default_rng(seed)
    weight = (np.arange(size) + 10.0) ** -0.6
    ends = [
        drawn.permutation(size)[np.searchsorted(np.cumsum(weight) / weight.sum(), drawn.random(edges))]
        for _ in range(2)
    ]
    return Rows.from_edges(size, ends[0], ends[1], drawn.integers(1, 11, edges))


def median_s(work: Callable[[], object], runs: int, clock: Callable[[], float] = time.process_time) -> float:
    """After one run that fills caches and compiles."""
    work()
    taken = []
    for _ in range(runs):
        started = clock()
        work()
        taken.append(clock() - started)
    return statistics.median(taken)


def beside_peer(rows: Rows) -> list[dict[str, Any]]:
    sources = np.repeat(np.arange(len(rows)), rows.counts)
    theirs = peer()(_digraph(sources, rows))
    busy = np.flatnonzero(rows.counts >= 5)
    egos = [int(ego) for ego in np.random.default_rng(1).choice(busy, 5, replace=False)]
    random.seed(0)
    taken: dict[str, list[float]] = {"package": [], "walks": [], "kept": []}
    (
        walks.tally(rows, egos[0], egos[0], 0, 1, KEY, PARAMS),
        walks.View(rows, egos[0], egos[0], 1, KEY, PARAMS),
    )  # compiles
    for ego in egos:
        for name, work, runs in (
            ("package", lambda ego=ego: theirs.calculate(ego, WALKS), 3),
            ("walks", lambda ego=ego: walks.tally(rows, ego, ego, 0, WALKS, KEY, PARAMS), 30),
            ("kept", lambda ego=ego: walks.View(rows, ego, ego, WALKS, KEY, PARAMS), 30),
        ):
            times = []
            for _ in range(runs):
                started = time.process_time()
                work()
                times.append(time.process_time() - started)
            taken[name].append(min(times))  # other load only adds
        hits = walks.tally(rows, ego, ego, 0, WALKS, KEY, PARAMS).hits
        shares = np.array([theirs.get_node_score(ego, place) for place in range(len(rows))])
        apart = float(np.abs(shares - hits / hits.sum()).sum())
        assert apart < 0.4, f"hits of {ego} differ from the package's by {apart}: two samples of 10,000 walks do by 0.2"
    s = {name: statistics.median(times) for name, times in taken.items()}
    return [
        {"what": "meritrank-python, 10,000 walks", "s": s["package"], "ratio": 1.0},
        {"what": "10,000 walks", "s": s["walks"], "ratio": s["package"] / s["walks"]},
        {"what": "10,000 walks, kept to follow changes", "s": s["kept"], "ratio": s["package"] / s["kept"]},
    ]


def _digraph(sources: np.ndarray, rows: Rows) -> Any:
    import networkx

    graph = networkx.DiGraph()
    graph.add_nodes_from(range(len(rows)))
    graph.add_weighted_edges_from(zip(sources.tolist(), rows.targets.tolist(), rows.weights.tolist(), strict=True))
    return graph


def exactly(rows: Rows, name: str, runs: int) -> list[dict[str, Any]]:
    """The exact pass and c of 1,024 accounts; and how far the pass is from floating-point power iteration."""
    found = exact.visits(rows, SEEDS, PARAMS)
    error = float(np.abs(found / ONE_MASS - _power(rows)).sum())
    stated = exact.shortfall(rows, SEEDS, PARAMS, found) / ONE_MASS / PARAMS.alpha_bps
    assert error <= stated + 1e-9, f"{name}: off by {error}, stated is {stated}"
    _ = rows.reverse  # built once for a graph
    chosen = np.arange(0, len(rows), max(1, len(rows) // 1_024))
    return [
        {
            "what": f"{name}: exact mass",
            "s": median_s(lambda: exact.visits(rows, SEEDS, PARAMS), runs),
            "error": error,
            "stated": stated,
        },
        {"what": f"{name}: dominators", "s": median_s(lambda: exact.dominators(rows, SEEDS), runs)},
        {
            "what": f"{name}: c of {len(chosen):,} accounts",
            "s": median_s(lambda: exact.connectivity(rows, SEEDS, chosen, PARAMS.max_paths), 1),
        },
    ]


def _power(rows: Rows) -> np.ndarray:
    """Expected visits in floating point."""
    from scipy.sparse import csr_matrix

    offsets = np.concatenate([rows.heads[:, 0], rows.heads[-1:, 1]])
    share = rows.weights / np.repeat(np.maximum(rows.totals, 1), rows.counts)
    moves = csr_matrix((share * (1 - PARAMS.alpha_bps / BPS), rows.targets, offsets), shape=(len(rows),) * 2).T.tocsr()
    mass = np.zeros(len(rows))
    mass[SEEDS] = 1 / len(SEEDS)
    total = mass.copy()
    while mass.sum() > 1e-12:
        mass = moves @ mass
        total += mass
    return total


def by_workers(rows: Rows) -> list[dict[str, Any]]:
    """64 egos x 10,000 walks, wall seconds; every pool finds the same."""
    egos = [(ego, ego) for ego in range(64)]
    pools: dict[str, Callable[..., Any]] = {"threads": spread.Threads, "processes": spread.Processes}
    if importlib.util.find_spec("ray"):
        pools["Ray"] = spread.Ray
    found, results = [], set()
    for name, kind in pools.items():
        for workers in (1, 2):
            with kind(rows, workers) as pool:

                def work(pool: Any = pool) -> None:
                    tallies = spread.tallies(pool, egos, WALKS, KEY, PARAMS, ego_parts=8, walk_parts=2)
                    results.add(
                        hash(tuple((ego, places.tobytes(), counts.tobytes()) for ego, places, counts in tallies))
                    )

                s = median_s(work, 3, time.perf_counter)
            found.append({"what": f"64 egos x 10,000 walks, {workers} of {name}", "s": s, "walks_s": 64 * WALKS / s})
    assert len(results) == 1, "workers disagree"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without the large graph")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set()
    if cores:
        os.sched_setaffinity(0, {min(cores)})
    rows = chung_lu(10_000, 100_000)
    found = beside_peer(rows) + exactly(rows, "10k/100k", runs=15)
    if not arguments.quick:
        found += exactly(chung_lu(1_000_000, 11_000_000), "1M/11M", runs=3)
    if cores:
        os.sched_setaffinity(0, cores)
    found += by_workers(rows)
    if arguments.json:
        print(json.dumps(found))
    else:
        for row in found:
            rest = "  ".join(f"{name} {row[name]:.3g}" for name in row if name not in ("what", "s"))
            print(f"{row['what']:45} {1e3 * row['s']:10.2f} ms  {rest}")
    s = {row["what"]: row["s"] for row in found}
    assert found[1]["ratio"] >= LEAST_RATIO, f"walks are {found[1]['ratio']:.0f} times as fast as the package"
    assert s["10k/100k: exact mass"] <= MOST_EXACT_S, s
    assert s.get("1M/11M: exact mass", 0) <= MOST_LARGE_S, s


if __name__ == "__main__":
    main()
