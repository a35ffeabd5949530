#!/usr/bin/env python3
"""Settle random rounds in Python and in Solidity on Anvil, and compare everything.

    python scripts/fuzz.py --rounds 10000

Exits 1 at the first difference, with the seed that repeats it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "contracts"), str(ROOT / "scripts")]

from test_fuzz import SHAPES, settle_random, transit_random  # noqa: E402
from world import DEPLOYER, anvil, deploy, test_artifact  # noqa: E402

from gradmint.ports import artifacts  # noqa: E402

PORTION = 200  # rounds between two lines of progress


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    began = time.monotonic()
    seen: Counter[str] = Counter()
    done = 0
    with anvil() as chain:
        harness = deploy(chain, test_artifact("Harness"), (), (), DEPLOYER)
        transition = deploy(chain, artifacts.load("Transition"), (), (), DEPLOYER)
        while done < options.rounds:
            portion = min(PORTION, options.rounds - done)
            for k, (shape, (*_, part, _batch)) in enumerate(SHAPES.items()):
                rounds = portion - sum(int(portion * p) for *_, p, _b in list(SHAPES.values())[1:])
                seed = f"{options.seed} {shape} {done}"
                try:
                    seen += settle_random(harness, Random(seed), shape, rounds if k == 0 else int(portion * part))
                except AssertionError as difference:
                    print(f"fuzz: seed {seed!r} differs: {difference}", file=sys.stderr)
                    return 1
            try:
                seen += transit_random(transition, Random(f"{options.seed} seats {done}"), portion // 10)
            except AssertionError as difference:
                print(f"fuzz: seed '{options.seed} seats {done}' differs: {difference}", file=sys.stderr)
                return 1
            done += portion
            if sys.stderr.isatty() or done % 2_000 == 0:
                print(f"fuzz: {done} of {options.rounds} rounds", file=sys.stderr)
    found = ", ".join(f"{name} {count}" for name, count in sorted(seen.items()))
    print(f"fuzz: {done} rounds equal to the bit in {time.monotonic() - began:.0f} s; met: {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
