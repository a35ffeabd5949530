"""The same rounds through the specification and through the library: equal to the bit.

A quick pass; GRADMINT_FUZZ_ROUNDS=10000, or ``scripts/fuzz.py``, makes it a long one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from vectors import Case, random_case, random_draw, random_rating, settled
from world import (
    DEPLOYER,
    Chain,
    Contract,
    deploy,
    effects_tuple,
    inputs_tuple,
    outcome_tuple,
    pack,
    params_tuple,
    test_artifact,
    whole,
)

from gradmint.ports import artifacts
from gradmint.spec import tree
from gradmint.spec.committee import draw
from gradmint.spec.docket import Books, Record, RosterRow, execute
from gradmint.spec.fixed import mul_div_down
from gradmint.spec.mechanism import is_banned, weights
from gradmint.spec.transcript import Kind, fold
from gradmint.spec.types import CHUNK_ROWS, ONE_Q32, Consensus, Report, Role, Verdict

BATCH = 50
ROUNDS = int(os.environ.get("GRADMINT_FUZZ_ROUNDS", "1200"))
NOBODY = 65_535

#: most trainers, most verifiers, least trainers; part of the rounds; rounds in one call.
SHAPES = {
    "small": (12, 6, 1, 0.75, BATCH),
    "large committee": (4, 32, 1, 0.08, 10),
    "middle": (40, 6, 13, 0.16, 20),
    "large": (300, 5, 250, 0.01, 2),
}


def as_input(case: Case) -> tuple[Any, ...]:
    reports = [report.pack() for report in case.reports if report is not None]
    standings = pack(case.trainers + case.verifiers)
    stakes = list(case.stakes_wei)
    params = params_tuple(case.params)
    return (params, case.round, case.budget_wei, standings, len(case.trainers), stakes, reports, case.revealed)


def in_words(packed: bytes) -> list[str]:
    return [packed[at : at + 96].hex() for at in range(0, len(packed), 96)]


def check(case: Case, found: Any) -> Counter[str]:
    """Compares everything; returns what was met."""
    expected = settled(case)
    consensus, standings, (paid, slashed, weakest), root, total = found
    after = expected.trainers + expected.verifiers
    assert in_words(standings) == in_words(pack(after))
    assert (root, total) == ((top := tree.root(after)).hash, top.sum_wei)
    assert (paid, slashed) == (expected.paid_wei, expected.slashed_wei)
    assert weakest == (NOBODY if expected.weakest is None else expected.weakest)
    check_consensus(expected.consensus, consensus)
    return met(case, expected)


def check_consensus(expected: Consensus | None, found: Sequence[Any]) -> None:
    medoid, cluster, distances, unanimous, loss, rows, sums = found
    assert cluster == (sum(1 << v for v in expected.cluster) if expected else 0)
    if expected is None:
        return
    assert (medoid, unanimous, loss) == (expected.medoid, expected.unanimous, expected.loss_micronats)
    assert distances == tuple(2**256 - 1 if d is None else d for d in expected.distances_bits)
    assert [row.to_bytes(9, "big") for row in rows] == [row.pack() for row in expected.rows]
    agreements = [agreement_of(word) if v in expected.cluster else word for v, word in enumerate(sums)]
    assert tuple(agreements) == expected.agreements_q32


def agreement_of(word: int) -> int:
    least, most = word >> 128, word % 2**128
    return mul_div_down(least, ONE_Q32, most) if most else ONE_Q32


def met(case: Case, after: Any) -> Counter[str]:
    """What this case exercises."""
    if after.consensus is None:
        return Counter(("no quorum",))
    here = [i for i, standing in enumerate(case.trainers) if not is_banned(standing, case.round)]
    rows = [after.consensus.rows[i] for i in here]
    due = weights(case.params, [after.trainers[i] for i in here])
    ranked = sum(weight > 0 for weight in due)
    stakes = {case.stakes_wei[v] for v in after.consensus.cluster}
    fine = [row.common_gain_micronats for row in rows if row.verdict is Verdict.OK]
    seen = {
        "quorum": True,
        "banned": len(here) < len(case.trainers),
        "all banned": not here,
        "newly banned": any(after.trainers[i].ban_round != case.trainers[i].ban_round for i in here),
        "all missing": bool(here) and not fine,
        "ties": len(set(fine)) < len(fine),
        "top < N": ranked > case.params.top,
        "reserve used": ranked > case.params.top and case.params.reserve > 0 and len(fine) < len(rows),
        "no weight": not ranked,
        "nobody weakest": after.weakest is None,
        "equal stakes": len(after.consensus.cluster) > 1 and len(stakes) == 1,
        "unlike stakes": len(stakes) > 1,
        "sliced": len(case.trainers) > CHUNK_ROWS,
    }
    return Counter(name for name, true in seen.items() if true)


def settle_random(harness: Contract, rng: Random, shape: str, rounds: int) -> Counter[str]:
    most_trainers, most_verifiers, least_trainers, _, batch = SHAPES[shape]
    seen: Counter[str] = Counter()
    for start in range(0, rounds, batch):
        cases = [
            random_case(rng, most_trainers, most_verifiers, least_trainers) for _ in range(min(batch, rounds - start))
        ]
        answers = harness.call("settle", [as_input(case) for case in cases])
        for case, found in zip(cases, answers, strict=True):
            seen += check(case, found)
    return seen


@pytest.mark.parametrize("shape", SHAPES)
def test_random_rounds_settle_alike_in_python_and_solidity(harness: Contract, shape: str) -> None:
    rounds = int(ROUNDS * SHAPES[shape][3])
    seen = settle_random(harness, Random(shape), shape, rounds)
    wanted = {"quorum", "banned", "newly banned"}
    if shape == "small":
        wanted |= {"no quorum", "all banned", "all missing", "ties", "top < N", "reserve used", "no weight",
                   "nobody weakest", "equal stakes", "unlike stakes"}  # fmt: skip
    assert rounds < 100 or wanted <= seen.keys(), f"never met: {wanted - seen.keys()}"


def random_rows(rng: Random, case: Case) -> tuple[Books, list[RosterRow]]:
    """Somebody was settled before; joins, exits and ratings lead to as many as the case has."""
    final = {Role.TRAINER: case.trainers, Role.VERIFIER: case.verifiers}
    known = {role: list(seats[: rng.randint(0, len(seats))]) for role, seats in final.items()}
    before = Books(rng.randbytes(24), rng.randrange(2**100), *(tuple(seats) for seats in known.values()))
    count, rows = {role: len(seats) for role, seats in known.items()}, []
    while any(count[role] < len(final[role]) for role in final) or rng.random() < 0.8:
        role = rng.choice(list(final))
        kind = rng.choice((Kind.ADMITTED, Kind.RETIRED, Kind.RATED, Kind.RATED))
        fresh = kind is Kind.ADMITTED and count[role] < len(final[role])
        if not fresh and not count[role]:
            continue
        index = count[role] if fresh else rng.randrange(count[role])
        count[role] += fresh
        if kind is Kind.ADMITTED:
            rows.append(RosterRow(kind, role, index, rng.randbytes(20), rng.getrandbits(128)))
        else:
            rows.append(RosterRow(kind, role, index, rating_q32=random_rating(rng) if kind is Kind.RATED else 0))
    return before, rows


def transit_random(transition: Contract, rng: Random, rounds: int) -> Counter[str]:
    """Whole re-executions, who is seated and rated included. Compares everything; returns what was met."""
    seen: Counter[str] = Counter()
    for _ in range(rounds):
        case = random_case(rng)
        before, rows = random_rows(rng, case)
        roster = before.roster
        for row in rows:
            roster = fold(roster, row.kind, row.row())
        record = Record(
            round=rng.randint(1, case.params.max_rounds),
            previous=0,
            trainers=len(case.trainers),
            verifiers=len(case.verifiers),
            deposited_wei=before.total_wei + case.budget_wei,
            active=0,
            revealed=case.revealed,
            roster=roster,
            transcript=bytes(24),
            reports=tuple(Report.hash(report.pack(), case.params.words) for report in case.reports if report),
            stakes_wei=case.stakes_wei,
        )
        expected = execute(case.params, record, before, rows, case.reports)
        evidence = whole([report.pack() for report in case.reports if report])
        operands = params_tuple(case.params), inputs_tuple(record, before, rows), evidence
        outcome, effects, _slices = transition.call("execute", before.total_wei, *operands)
        assert outcome == outcome_tuple(expected.outcome)
        assert effects == tuple(map(tuple, effects_tuple(expected.effects)))
        multipliers = {standing.reputation_q32 for standing in expected.books.standings}
        seen += Counter([row.kind.name for row in rows] + ["unlike multipliers"] * (len(multipliers) > 1))
    return seen


def test_random_joins_exits_and_ratings_lead_to_the_same_in_python_and_solidity(chain: Chain) -> None:
    transition = deploy(chain, artifacts.load("Transition"), (), (), DEPLOYER)
    seen = transit_random(transition, Random("seats"), max(100, ROUNDS // 5))
    assert {"ADMITTED", "RETIRED", "RATED", "unlike multipliers"} <= seen.keys()


def test_random_committees_are_drawn_alike_in_python_and_solidity(chain: Chain) -> None:
    protocol = deploy(chain, test_artifact("ProtocolHarness"), (), (), DEPLOYER)
    rng = Random("draws")
    for _ in range(max(100, ROUNDS // 5)):
        beacon, stakes_wei, size = random_draw(rng)
        assert protocol.call("draw", beacon, stakes_wei, size) == draw(beacon, stakes_wei, size)


def slices_of(reports: Sequence[Report]) -> list[list[bytes]]:
    rows = [b"".join(row.pack() for row in report.rows) for report in reports]
    step = CHUNK_ROWS * 9
    return [[packed[at : at + step] for packed in rows] for at in range(0, len(rows[0]), step)] if rows else []


def test_a_report_heard_in_slices_says_what_it_says_as_a_whole(harness: Contract) -> None:
    rng = Random("slices")
    sliced = 0
    for least, most in ((250, 256), (257, 300), (511, 513), (700, 700), (1_024, 1_024)) * 3:
        case = random_case(rng, most, 6, least)
        given = [report for report in case.reports if report is not None]
        heads = [report.pack()[: 4 + 32 * case.params.words] for report in given]
        answer, _ = harness.call(
            "agreeInSlices", case.stakes_wei, heads, slices_of(given), case.revealed, case.params.words,
            case.params.accept_bits, len(case.trainers),
        )  # fmt: skip
        expected = settled(case).consensus
        check_consensus(expected, answer)
        sliced += expected is not None
    assert sliced > 3


def test_reports_hash_alike_whole_and_from_their_heads(harness: Contract) -> None:
    from gradmint.spec.keccak import keccak256

    rng = Random("hashes")
    for trainers in (1, 2, 255, 256, 257, 512, 513, 1_024):
        words = rng.choice((1, 4, 16))
        packed = rng.randbytes(Report.size(words, trainers))
        head, rows = packed[: 4 + 32 * words], packed[4 + 32 * words :]
        chunks = b"".join(keccak256(rows[at : at + CHUNK_ROWS * 9]) for at in range(0, len(rows), CHUNK_ROWS * 9))
        assert harness.call("reportHash", packed, words) == Report.hash(packed, words)
        assert harness.call("headHash", head + chunks) == Report.hash(packed, words)


def test_sorting(harness: Contract) -> None:
    rng = Random("sort")
    for count in (0, 1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 300, 1_024):
        for bits in (1, 8, 256):
            words = [rng.getrandbits(bits) for _ in range(count)]
            for order in (words, sorted(words), sorted(words, reverse=True)):
                assert list(harness.call("sort", order)[0]) == sorted(words)
