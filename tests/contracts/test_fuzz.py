"""The same rounds through the specification and through the library: equal to the bit."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from vectors import Case, random_case
from world import Contract, pack, params_tuple

from gradmint.spec import tree
from gradmint.spec.mechanism import settle

BATCH = 50
ROUNDS = 2_000


def as_input(case: Case) -> tuple[Any, ...]:
    reports = [report.pack() for report in case.reports if report is not None]
    standings = pack(case.trainers + case.verifiers)
    stakes = list(case.stakes_wei)
    return (params_tuple(case.params), case.budget_wei, standings, len(case.trainers), stakes, reports, case.revealed)


def in_words(packed: bytes) -> list[str]:
    return [packed[at : at + 96].hex() for at in range(0, len(packed), 96)]


def check(case: Case, settled: Any) -> bool:
    """Compares everything; returns whether there was a quorum."""
    expected = settle(case.params, case.budget_wei, case.trainers, case.verifiers, case.stakes_wei, case.reports)
    (medoid, cluster, distances, unanimous, loss, rows), standings, paid, slashed, root, total = settled
    after = expected.trainers + expected.verifiers
    assert in_words(standings) == in_words(pack(after))
    assert (root, total) == ((top := tree.root(after)).hash, top.sum_wei)
    assert (paid, slashed) == (expected.paid_wei, expected.slashed_wei)
    consensus = expected.consensus
    assert cluster == (sum(1 << v for v in consensus.cluster) if consensus else 0)
    if consensus is None:
        return False
    assert (medoid, unanimous, loss) == (consensus.medoid, consensus.unanimous, consensus.loss_micronats)
    assert distances == tuple(2**256 - 1 if d is None else d for d in consensus.distances_bits)
    assert [row.to_bytes(9, "big") for row in rows] == [row.pack() for row in consensus.rows]
    return True


@pytest.mark.parametrize("seed", range(4))
def test_random_rounds_settle_alike_in_python_and_solidity(harness: Contract, seed: int) -> None:
    rng = Random(seed)
    quorums = 0
    for _ in range(ROUNDS // 4 // BATCH):
        cases = [random_case(rng) for _ in range(BATCH)]
        answers = harness.call("settle", [as_input(case) for case in cases])
        quorums += sum(check(case, settled) for case, settled in zip(cases, answers, strict=True))
    assert 100 < quorums < 450  # both kinds were met


def test_large_committees_settle_alike(harness: Contract) -> None:
    """Up to the 32 verifiers that a mask has bits for."""
    rng = Random("large")
    cases = [random_case(rng, most_trainers=4, most_verifiers=32) for _ in range(60)]
    assert max(len(case.verifiers) for case in cases) > 28
    for at in range(0, len(cases), 10):
        answers = harness.call("settle", [as_input(case) for case in cases[at : at + 10]])
        for case, settled in zip(cases[at : at + 10], answers, strict=True):
            check(case, settled)
