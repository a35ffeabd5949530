"""What signing costs beside TOPLOC's commit: the same values in, each side's whole commitment out, one core.

    python benchmarks/signing.py [--quick] [--json]

Activations: 256 tokens x 4,096 bfloat16 normals, committed every 32 tokens. TOPLOC 0.1.6 makes its 258-byte proofs
(``build_proofs_bytes``, top 128); we sign each 32 tokens with words of 256 bits, random hyperplanes and quantised, all
under one seed, as one beacon gives. Both join the tokens themselves. The row "own seeds" draws projections anew for
each 32 tokens, of which TOPLOC has none.

Gradients: 10^6 and 10^8 float32 normals, signed as one vector with 4 words. TOPLOC gives null proofs for float32, so it
gets the same values as bfloat16, 32 x 4,096 to a proof.

CPU seconds of one pinned thread, the sides in turn in one process; the best of the runs, since other load only adds.
Fails when ours is slower, own seeds apart. TOPLOC is built from its source distribution into .build/toploc, once, in
about two minutes: its wheel was built for another torch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gradmint.learn.signature import quantised_words, sign_words

TOPLOC = "toploc==0.1.6"
PLACE = Path(__file__).resolve().parent.parent / ".build" / "toploc"
TOKENS, WIDTH, TOKENS_A_PROOF, TOP = 256, 4_096, 32, 128
WORDS = (1, 4, 16)
STRIP = 40.0  # width of a strip; the activations' projections are normal with deviation 362
LEAST_RATIO = 1.0
OWN_SEEDS = "hyperplanes, 4 words, own seeds"


def toploc() -> Callable[[torch.Tensor], list[bytes]]:
    """TOPLOC's commit for rows of activations, built first if it is not here."""
    if not (PLACE / "toploc").is_dir():
        options = ["--no-build-isolation", "--no-binary", "toploc", "--no-deps", "--quiet", "--target", str(PLACE)]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, TOPLOC], check=True)
    sys.path.insert(0, str(PLACE))
    from toploc import build_proofs_bytes

    def commit(rows: torch.Tensor) -> list[bytes]:
        proofs: list[bytes] = build_proofs_bytes(rows, decode_batching_size=TOKENS_A_PROOF, topk=TOP, skip_prefill=True)
        assert len(proofs) == len(rows) // TOKENS_A_PROOF and all(proof[:2] != b"\0\0" for proof in proofs)
        return proofs

    return commit


def best(runs: int, **works: Callable[[], object]) -> dict[str, float]:
    """Least CPU seconds of each work, taken in turn."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for run in range(runs + 1):
        for name, work in works.items():
            started = time.process_time()
            work()
            if run:  # the first one fills caches
                taken[name].append(time.process_time() - started)
    return {name: min(seconds) for name, seconds in taken.items()}


def activations(commit: Callable[[torch.Tensor], list[bytes]], runs: int) -> list[dict[str, Any]]:
    rows = torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(0)).bfloat16()
    starts = range(0, TOKENS, TOKENS_A_PROOF)

    def sign(own: bool, signer: Callable[[torch.Tensor, bytes], object]) -> None:
        for start in starts:
            signer(torch.cat(list(rows[start : start + TOKENS_A_PROOF])), bytes([start if own else 0]) * 32)

    works: dict[str, Callable[[], object]] = {"toploc": lambda: commit(rows)}
    for words in WORDS:
        works[f"hyperplanes, {words} words"] = lambda n=words: sign(False, lambda e, s: sign_words(e, s, n))
        works[f"strips, {words} words"] = lambda n=words: sign(False, lambda e, s: quantised_words(e, s, n, STRIP))
    works[OWN_SEEDS] = lambda: sign(True, lambda e, s: sign_words(e, s, 4))
    return table(rows.numel(), best(runs, **works))


def gradients(commit: Callable[[torch.Tensor], list[bytes]], size: int, runs: int) -> list[dict[str, Any]]:
    gradient = torch.randn(size, generator=torch.Generator().manual_seed(1))
    whole = torch.zeros(-(-size // (TOKENS_A_PROOF * WIDTH)) * TOKENS_A_PROOF * WIDTH)
    whole[:size] = gradient
    rows = whole.bfloat16().view(-1, WIDTH)
    del whole
    return table(
        size,
        best(
            runs,
            toploc=lambda: commit(rows),
            hyperplanes=lambda: sign_words(gradient, bytes(32), 4),
            strips=lambda: quantised_words(gradient, bytes(32), 4, STRIP),
        ),
    )


def table(values: int, seconds: dict[str, float]) -> list[dict[str, Any]]:
    theirs = seconds["toploc"]
    return [
        {"values": values, "what": what, "ms": 1e3 * taken, "mvalues_s": values / taken / 1e6, "ratio": theirs / taken}
        for what, taken in seconds.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without the 10^8 values")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    commit = toploc()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    rows = activations(commit, runs=30) + gradients(commit, 1_000_000, runs=10)
    if not arguments.quick:
        rows += gradients(commit, 100_000_000, runs=2)
    if arguments.json:
        print(json.dumps(rows))
    else:
        print("     values  what                                   ms   Mvalues/s   TOPLOC's time / ours")
        for row in rows:
            print(
                f"{row['values']:11,d}  {row['what']:32} {row['ms']:8.2f} {row['mvalues_s']:11.0f} {row['ratio']:14.2f}"
            )
    slow = [row for row in rows if row["ratio"] < LEAST_RATIO and row["what"] != OWN_SEEDS]
    assert not slow, f"slower than TOPLOC: {slow}"


if __name__ == "__main__":
    main()
