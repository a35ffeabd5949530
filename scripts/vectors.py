#!/usr/bin/env python3
"""Write tests/vectors/*.json: the specification's answers, replayed by Solidity and by Python.

    python scripts/vectors.py            write
    python scripts/vectors.py --check    exit 1 when a file is not what the specification says now

Integers of more than 53 bits are decimal strings, bytes are 0x-hex. Everything follows from fixed seeds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import witness_vectors

from gradmint.spec import plant, rating, registration, transcript, tree
from gradmint.spec.agreement import agree, distance_bits, weighted_median
from gradmint.spec.committee import draw, weight
from gradmint.spec.docket import Outcome
from gradmint.spec.fixed import WAD, exp_wad, pow_halves_q32_down, sqrt_down
from gradmint.spec.keccak import keccak256
from gradmint.spec.mechanism import pay_multiplier_q32, settle
from gradmint.spec.params import LARGE, LOCAL, MAX_TRAINERS, STANDARD, Params
from gradmint.spec.seeds import assigned_trainers
from gradmint.spec.types import (
    GAIN_MAX_MICRONATS,
    ONE_Q32,
    UNSAMPLED,
    Consensus,
    Phase,
    Report,
    Role,
    Row,
    Settlement,
    Standing,
    Verdict,
)

VECTORS = Path(__file__).resolve().parent.parent / "tests" / "vectors"


@dataclass(frozen=True, slots=True)
class Case:
    """Input of one settlement."""

    params: Params
    round: int
    budget_wei: int
    trainers: tuple[Standing, ...]
    verifiers: tuple[Standing, ...]
    stakes_wei: tuple[int, ...]
    reports: tuple[Report | None, ...]

    @property
    def revealed(self) -> int:
        """Mask of verifiers who gave a report."""
        return sum(1 << v for v, report in enumerate(self.reports) if report is not None)


def random_case(rng: Random, most_trainers: int = 12, most_verifiers: int = 6, least_trainers: int = 1) -> Case:
    """Anything a settlement meets: near and far reports, verdicts, extreme gains, ties, bans, tops smaller than the
    trainers, everybody missing, absent or stakeless verifiers."""
    params = random_params(rng)
    round_ = rng.choice((1, 7, 65_535, rng.randint(1, 65_535)))
    count = rng.randint(least_trainers, most_trainers)
    bans = rng.choice((0.0, 0.0, 0.2, 0.2, 0.2, 1.0))
    trainers = tuple(random_standing(rng, Role.TRAINER, round_, bans) for _ in range(count))
    verifiers = tuple(random_standing(rng, Role.VERIFIER) for _ in range(rng.randint(1, most_verifiers)))
    words = [rng.getrandbits(256) for _ in range(params.words)]
    fine = rng.choice((0.0, 0.5, 0.7, 0.9, 1.0))
    truth = tuple(random_row(rng, fine) for _ in trainers)
    noise = rng.choice((0.0, 0.1, 0.5, 1.0))
    return Case(
        params,
        round_,
        rng.choice((0, 1, rng.randrange(10**6), rng.randrange(10**24), rng.randrange(2**100))),
        trainers,
        verifiers,
        random_stakes(rng, len(verifiers)),
        tuple(
            random_report(rng, params, words, truth, fine, noise) if rng.random() < 0.85 else None for _ in verifiers
        ),
    )


def random_params(rng: Random) -> Params:
    words = rng.choice((1, 1, 2, 4, 4, 16))
    slash_bits = rng.randrange(256 * words)
    return replace(
        rng.choice((LOCAL, STANDARD)),
        manifest=rng.randbytes(32),
        model=rng.randbytes(32),
        immunity_rounds=rng.choice((0, 8, 65_534, 65_535, rng.randrange(65_536))),
        words=words,
        assigned_trainers=rng.choice((0, 1, 16, 65_535)),
        slash_bits=slash_bits,
        accept_bits=rng.randrange(min(slash_bits, 60) + 1),
        verifier_share_bps=rng.choice((0, 2_000, 10_000, rng.randrange(10_001))),
        slash_bps=rng.randrange(10_001),
        liveness_bps=rng.randrange(10_001),
        value_weight_bps=rng.randint(1, 10_000),
        proof_weight_bps=rng.randint(1, 10_000),
        recovery_bps=rng.randint(1, 10_000),
        trust_floor_bps=rng.choice((0, 100, rng.randrange(10_001))),
        ban_trust_bps=rng.choice((0, 2_500, 10_000, rng.randrange(10_001))),
        ban_rounds=rng.choice((1, 20, rng.randint(1, 65_535))),
        bonds_weight_bps=rng.choice((10_000, 1, rng.randint(1, 10_000))),
        value_exponent_halves=rng.randint(2, 6),
        top=rng.choice((1, 2, 3, 5, 8, 64, rng.randint(1, 65_535))),
        reserve=rng.choice((0, 1, 2, 16, rng.randrange(65_536))),
        penalty_bps=(10_000, *(rng.randrange(10_001) for _ in range(8))),
        **random_pay(rng),
    )


def random_pay(rng: Random) -> dict[str, int]:
    """Bounds of the pay multiplier: neutral ones, the widest, any."""
    least_bps = rng.choice((10_000, 1, rng.randint(1, 40_000)))
    most_bps = rng.choice((least_bps, 40_000, rng.randint(least_bps, 40_000)))
    return {"pay_least_bps": least_bps, "pay_most_bps": most_bps}


def random_rating(rng: Random) -> int:
    return rng.choice((0, 1, 2**31, 2**32 - 1, rng.getrandbits(32)))


def random_standing(rng: Random, role: Role, round_: int = 0, bans: float = 0.0) -> Standing:
    """Within what settlements keep: |mu| below 2^57, sigma at most a newcomer's, a trainer's value at most
    1,024, the other means at most 1."""
    ban_round = rng.choice((round_, round_, round_ + 3, 2**32 - 1)) if rng.random() < bans else max(0, round_ - 1)
    if rng.random() < 0.2:
        return Standing(rng.randbytes(20), role, ban_round=ban_round)
    most_q32 = MAX_TRAINERS * ONE_Q32 if role is Role.TRAINER else ONE_Q32
    return Standing(
        account=rng.randbytes(20),
        role=role,
        misses=rng.choice((0, 1, 2, 254, 255)),
        rounds=rng.choice((0, 1, 8, 65_534, 65_535, rng.randrange(65_536))),
        ban_round=ban_round,
        paid_wei=rng.choice((0, rng.randrange(10**24), rng.randrange(2**120))),
        value_q32=rng.choice(
            (0, ONE_Q32, rng.randint(0, ONE_Q32), rng.randrange(2**20), most_q32, rng.randint(0, most_q32))
        ),
        proof_q32=rng.choice((0, ONE_Q32, -ONE_Q32, rng.randint(-ONE_Q32, ONE_Q32), rng.randint(0, ONE_Q32))),
        mu_q32=random_mu(rng),
        sigma_q32=random_sigma(rng),
        trust_q32=rng.choice((0, ONE_Q32, rng.randint(0, ONE_Q32))),
        reputation_q32=rng.choice((0, ONE_Q32, ONE_Q32, ONE_Q32, rng.getrandbits(33))),
    )


def random_mu(rng: Random) -> int:
    return rng.choice((rating.MU_Q32, 0, *(rng.randint(0, 2 * rating.MU_Q32) for _ in range(6)), _wide(rng, 57)))


def random_sigma(rng: Random) -> int:
    return rng.choice(
        (rating.SIGMA_Q32, 0, 1, *(rng.randint(rating.SIGMA_Q32 // 20, rating.SIGMA_Q32) for _ in "four"))
    )


def _wide(rng: Random, bits: int) -> int:
    """Of any length up to ``bits``, and of either sign."""
    return rng.choice((1, -1)) * rng.getrandbits(rng.randint(1, bits))


def random_stakes(rng: Random, count: int) -> tuple[int, ...]:
    """Equal, unlike, or at the edge of a quorum; sometimes none."""
    kind = rng.randrange(4)
    return tuple(
        0 if rng.random() < 0.1 else (10**20, rng.randint(1, 3), rng.randrange(10**21), rng.getrandbits(127))[kind]
        for _ in range(count)
    )


def random_report(
    rng: Random, params: Params, truth: Sequence[int], rows: Sequence[Row], fine: float, noise: float
) -> Report:
    """Signature and rows near the truth or far from it."""
    flips = rng.choice(
        (0, 0, 0, 0, 1, params.accept_bits // 2, params.accept_bits, params.slash_bits, 128 * params.words)
    )
    words = list(truth)
    for bit in rng.sample(range(256 * params.words), min(flips, 256 * params.words)):
        words[bit // 256] ^= 1 << bit % 256
    said = tuple(random_row(rng, fine) if rng.random() < noise else row for row in rows)
    return Report(rng.choice((0, 2**32 - 1, rng.getrandbits(22))), tuple(words), said)


def random_row(rng: Random, fine: float) -> Row:
    return Row(
        Verdict.OK if rng.random() < fine else Verdict(rng.choice((1, rng.randint(1, 8)))),
        random_gain(rng),
        UNSAMPLED if rng.random() < 0.25 else random_gain(rng),
    )


def random_gain(rng: Random) -> int:
    return rng.choice(
        (0, 1, -1, GAIN_MAX_MICRONATS, -GAIN_MAX_MICRONATS, *(rng.randint(-1_000, 9_000) for _ in range(6)))
    )


# JSON


def plain(value: Any) -> Any:
    """What JSON can say without losing bits."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < 2**53 else str(int(value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value]


def consensus_plain(consensus: Consensus | None) -> Any:
    if consensus is None:
        return None
    return plain(asdict(consensus) | {"rows": [row.pack() for row in consensus.rows]})


def case_plain(case: Case) -> dict[str, Any]:
    return {
        "params": plain(case.params.encode()),
        "round": case.round,
        "budget_wei": plain(case.budget_wei),
        "trainers": plain([standing.pack() for standing in case.trainers]),
        "verifiers": plain([standing.pack() for standing in case.verifiers]),
        "stakes_wei": plain(case.stakes_wei),
        "reports": plain([report and report.pack() for report in case.reports]),
    }


def settled(case: Case) -> Settlement:
    return settle(
        case.params, case.round, case.budget_wei, case.trainers, case.verifiers, case.stakes_wei, case.reports
    )


def mechanism_vectors() -> Any:
    rng = Random("mechanism")
    out = []
    for _ in range(40):
        case = random_case(rng)
        after = settled(case)
        out.append(
            case_plain(case)
            | {
                "consensus": consensus_plain(after.consensus),
                "trainers_after": plain([standing.pack() for standing in after.trainers]),
                "verifiers_after": plain([standing.pack() for standing in after.verifiers]),
                "paid_wei": plain(after.paid_wei),
                "slashed_wei": plain(after.slashed_wei),
                "weakest": after.weakest,
            }
        )
    return out


def agreement_vectors() -> Any:
    rng = Random("agreement")
    out: dict[str, Any] = {"distances": [], "medians": [], "agree": [], "hashes": []}
    for words in (1, 1, 2, 4, 7, 16):
        a = [rng.getrandbits(256) for _ in range(words)]
        for b in (a, [word ^ (2**256 - 1) for word in a], [rng.getrandbits(256) for _ in a]):
            out["distances"].append(
                {"a": plain([w.to_bytes(32, "big") for w in a]), "b": plain([w.to_bytes(32, "big") for w in b]),
                 "bits": distance_bits(a, b)}
            )  # fmt: skip
    for count in (1, 2, 3, 4, 5, 8, 32):
        for _ in range(3):
            values = [rng.randrange(6) for _ in range(count)]
            weights = [rng.choice((1, rng.randint(1, 5), rng.getrandbits(100) + 1)) for _ in range(count)]
            out["medians"].append(
                {"values": values, "weights": plain(weights), "median": weighted_median(values, weights)}
            )
    for _ in range(20):
        case = random_case(rng)
        consensus = agree(case.stakes_wei, case.reports, case.params.accept_bits)
        out["agree"].append(
            {key: value for key, value in case_plain(case).items() if key in ("stakes_wei", "reports")}
            | {"words": case.params.words, "accept_bits": case.params.accept_bits, "trainers": len(case.trainers),
               "consensus": consensus_plain(consensus)}
        )  # fmt: skip
    for words, rows in ((1, 0), (1, 1), (2, 5), (16, 3)):
        packed = rng.randbytes(Report.size(words, rows))
        out["hashes"].append({"report": plain(packed), "words": words, "hash": plain(Report.hash(packed, words))})
    return out


def rating_vectors() -> Any:
    rng = Random("rating")
    out: dict[str, Any] = {"rate": [], "exp": [], "sqrt": [], "pow": []}
    for count in (0, 1, 1, 2, 2, 3, 4, 5, 8, 13, 40):
        for ranks in (1, 3, 2**32):
            before = [(random_mu(rng), random_sigma(rng)) for _ in range(count)]
            said = [rng.randrange(ranks) for _ in range(count)]
            after = rating.rate(before, said)
            out["rate"].append({"before": plain(before), "ranks": said, "after": plain(after)})
    for x in (-50 * WAD, -1, 0, 1, WAD, 30 * WAD, 135 * WAD, *(rng.randrange(30 * WAD) for _ in range(12))):
        out["exp"].append([plain(x), plain(exp_wad(x))])
    roots = [rng.getrandbits(rng.randint(1, 70)) + 1 for _ in range(10)]
    for x in (0, 1, 2, 3, 4, 255, 256, 2**140, *(root**2 + d for root in roots for d in (-1, 0, 1))):
        out["sqrt"].append([plain(x), plain(sqrt_down(x))])
    for halves in range(2, 7):
        for x in (0, 1, ONE_Q32, ONE_Q32 - 1, MAX_TRAINERS * ONE_Q32, rng.randrange(ONE_Q32), rng.randrange(2**42)):
            out["pow"].append([x, halves, pow_halves_q32_down(x, halves)])
    return out


def random_draw(rng: Random) -> tuple[bytes, list[int], int]:
    """Beacon, stakes and size: whales, equals, seats without a stake, committees of everybody."""
    count = rng.choice((1, 2, 5, 31, 32, rng.randint(1, 32)))
    most = rng.choice((1, 3, 10**20, 2**128 - 1))
    stakes_wei = [rng.choice((0, most, most, rng.randint(0, most))) for _ in range(count)]
    return rng.randbytes(32), stakes_wei, rng.choice((0, 1, count // 2, count, rng.randint(0, 32)))


def committee_vectors() -> Any:
    rng = Random("committee")
    out = []
    for beacon, stakes_wei, size in [random_draw(rng) for _ in range(60)]:
        ratings_q32, bps = [random_rating(rng) for _ in stakes_wei], rng.choice((0, 5_000, 10_000))
        weights = [weight(*seat, bps) for seat in zip(stakes_wei, ratings_q32, strict=True)]
        out.append([*plain([beacon, stakes_wei]), ratings_q32, bps, size, plain(draw(beacon, weights, size))])
    return out


def multiplier_vectors() -> Any:
    """Least and most of the multiplier, rating, multiplier."""
    rng = Random("pay")
    cases = [(*random_pay(rng).values(), random_rating(rng)) for _ in range(60)]
    cases += [(10_000, 10_000, 2**32 - 1), (5_000, 15_000, 0), (5_000, 15_000, 2**31), (5_000, 15_000, 2**32 - 1)]
    return [
        [*case, pay_multiplier_q32(replace(LOCAL, pay_least_bps=case[0], pay_most_bps=case[1]), case[2])]
        for case in cases
    ]


def registration_vectors() -> Any:
    rng = Random("registration")
    out: dict[str, Any] = {"prices": [], "next": [], "discounts": []}
    most = registration.MAX_PRICE_WEI
    for _ in range(40):
        half_life_s = rng.choice((1, 4_200, rng.randint(1, 2**32 - 1)))
        elapsed_s = rng.choice((0, half_life_s, 127 * half_life_s, rng.randrange(4 * half_life_s), rng.getrandbits(40)))
        last_wei, floor_wei = rng.choice((most, rng.randrange(10**20))), rng.choice((0, most, rng.randrange(10**18)))
        operands = last_wei, elapsed_s, half_life_s, floor_wei
        out["prices"].append(plain([*operands, registration.price_wei(*operands)]))
        paid_wei, bump_bps = (
            rng.choice((0, most, rng.randrange(10**20))),
            rng.choice((0, 10_000, rng.randrange(10_001))),
        )
        out["next"].append(plain([paid_wei, bump_bps, registration.next_price_wei(paid_wei, bump_bps)]))
        required_wei, rating_q32 = (
            rng.choice((0, 1, 100 * 10**18, 2**128 - 1, rng.getrandbits(128))),
            random_rating(rng),
        )
        bps = rng.choice((0, 1, 2_500))
        least_wei = registration.discounted_wei(required_wei, rating_q32, bps)
        out["discounts"].append([plain(required_wei), rating_q32, bps, plain(least_wei)])
    return out


def random_round(rng: Random, number: int, trainers: int) -> bytes:
    """Rows as a round has them, more or less: repeats, several assessments, none."""
    kinds = [rng.choice(("SUBMITTED", "SUBMITTED", "HELD", "COMMITTED", "REVEALED", "PHASE")) for _ in range(12)]
    operands: dict[str, Callable[[], tuple[Any, ...]]] = {
        "SUBMITTED": lambda: (rng.randrange(trainers), rng.randint(-(2**31), 2**31 - 1), rng.randbytes(32)),
        "HELD": lambda: (rng.randrange(32), rng.randbytes(32), rng.randbytes((trainers + 7) // 8)),
        "COMMITTED": lambda: (rng.randrange(32), rng.randbytes(32)),
        "REVEALED": lambda: (rng.randrange(32), rng.randbytes(32), rng.randbytes(32)),
        "PHASE": lambda: (
            number,
            Phase(rng.randint(2, 5)),
            rng.getrandbits(40),
            rng.randbytes(32),
            rng.randbytes(24),
        ),
    }
    opening = transcript.phase_row(number, Phase.TRAIN, rng.getrandbits(40), rng.randbytes(32), rng.randbytes(24))
    rows = [bytes([transcript.Kind.PHASE]) + opening]
    for kind in kinds:
        row = getattr(transcript, f"{kind.lower()}_row")(*operands[kind]())
        rows.append(bytes([transcript.Kind[kind]]) + row)
    return b"".join(rows)


def random_replay(rng: Random) -> list[Any]:
    """Round, trainers, transcript before, rows, a trainer, and what they come to: three values, or where they break."""
    number, trainers = rng.randint(1, 65_535), rng.choice((1, 8, 9, 256, 1_024))
    rows, trainer, before = random_round(rng, number, trainers), rng.randrange(min(trainers, 3)), rng.randbytes(24)
    damage = rng.randrange(8)
    if damage == 0:
        rows = rows[: -rng.randint(1, 33)]
    elif damage == 1:
        rows = rows[65:]
    elif damage == 2:
        rows = bytes([rng.choice((0, 6, 7, 8, 9, 255))]) + rows[1:]
    elif damage == 3:
        rows += bytes([rng.choice((0, 6, 7, 8, 9, 255))]) + rng.randbytes(70)
    elif damage == 4:
        rows = b""
    try:
        said = plant.replay(number, trainers, before, rows, trainer)
        found: Any = [said.transcript, said.digest or bytes(32), said.beacon or bytes(32)]
    except ValueError as error:
        found = error.args[0]
    return [number, trainers, before, rows, trainer, found]


def random_accusation(rng: Random) -> dict[str, Any]:
    """Reports of a round, of which some are brought, and the mask of those that call a trainer's update OK."""
    trainers, words = rng.choice((1, 3, 257)), rng.choice((1, 4, 16))
    stakes_wei = random_stakes(rng, rng.randint(1, 4))
    reports = [
        random_report(rng, replace(LOCAL, words=words), [0] * words, [random_row(rng, 0.5)] * trainers, 0.5, 1.0)
        if rng.random() < 0.8
        else None
        for _ in stakes_wei
    ]
    accused = [report is not None and rng.random() < 0.8 for report in reports]
    trainer = rng.randrange(trainers)
    cut = [Report.cut(report.pack(), words) for report in reports if report is not None]
    brought = [named for named, report in zip(accused, reports, strict=True) if report is not None]
    judged = [report if named else None for named, report in zip(accused, reports, strict=True)]
    return {
        "trainers": trainers,
        "words": words,
        "trainer": trainer,
        "stakes_wei": plain(stakes_wei),
        "revealed": sum(1 << v for v, report in enumerate(reports) if report is not None),
        "hashes": plain([Report.hash(report.pack(), words) for report in reports if report is not None]),
        "heads": plain([head if named else b"" for named, (head, _) in zip(brought, cut, strict=True)]),
        "rows_of": plain([own[trainer // 256] if named else b"" for named, (_, own) in zip(brought, cut, strict=True)]),
        "guilty": plant.waved_through(trainer, judged, stakes_wei),
    }


def plant_vectors() -> Any:
    rng = Random("plant")
    out: dict[str, Any] = {"planted": [], "assigned": [], "replays": [], "accusations": []}
    for words in (1, 2, 4, 16):
        for body in (0, 1, 31, 500):
            blob = rng.randbytes(plant.WORDS_AT + 32 * words + body)
            operands = rng.randbytes(20), rng.randbytes(32), words
            out["planted"].append(plain([blob, *operands, plant.plant(blob, *operands)]))
    for trainers in (1, 2, 7, 64, 256, 1_024):
        for count in (0, 1, 4, 16, 64, trainers):
            beacon = rng.randbytes(32)
            out["assigned"].append(plain([beacon, count, trainers, assigned_trainers(beacon, count, trainers)]))
    out["replays"] = [plain(random_replay(rng)) for _ in range(60)]
    out["accusations"] = [random_accusation(rng) for _ in range(10)]
    return out


def tree_vectors() -> Any:
    rng = Random("tree")
    out = []
    for count in (0, 1, 2, 3, 4, 5, 7, 8, 9, 13):
        standings = [random_standing(rng, Role.TRAINER) for _ in range(count)]
        top = tree.root(standings)
        out.append(
            {
                "standings": plain([standing.pack() for standing in standings]),
                "root": plain(top.hash),
                "sum_wei": plain(top.sum_wei),
                "proofs": [
                    {
                        "right_bits": proof.right_bits,
                        "siblings": plain([node.hash + node.sum_wei.to_bytes(16, "big") for node in proof.siblings]),
                    }
                    for proof in (tree.prove(standings, position) for position in range(count))
                ],
            }
        )
    return out


def outcome_of(values: Sequence[Any]) -> Outcome:
    names = ("root", "total_wei", "standings_hash", "loss_micronats", "cluster_mask", "weakest", "effects_hash")
    return Outcome(**dict(zip(names, values, strict=True)))


def transcript_vectors() -> Any:
    rng = Random("transcript")
    out: dict[str, Any] = {"rows": [], "beacons": [], "commitments": []}
    for _ in range(4):
        bitmap = rng.randbytes(rng.randrange(1, 40))
        operands: dict[str, tuple[Any, ...]] = {
            "phase": (rng.getrandbits(16), Phase(rng.randrange(7)), rng.getrandbits(40),
                      rng.randbytes(32), rng.randbytes(24)),
            "submitted": (rng.getrandbits(16), rng.randint(-(2**31), 2**31 - 1), rng.randbytes(32)),
            "held": (rng.randrange(32), rng.randbytes(32), bitmap),
            "committed": (rng.randrange(32), rng.randbytes(32)),
            "revealed": (rng.randrange(32), rng.randbytes(32), rng.randbytes(32)),
            "settled": (rng.getrandbits(16), rng.randbytes(24), rng.getrandbits(128), rng.randbytes(32),
                        rng.getrandbits(32), rng.getrandbits(32), rng.getrandbits(16), rng.randbytes(32)),
            "admitted": (Role(rng.randint(1, 2)), rng.getrandbits(16), rng.randbytes(20), rng.getrandbits(128)),
            "retired": (Role(rng.randint(1, 2)), rng.getrandbits(16)),
            "rated": (Role(rng.randint(1, 2)), rng.getrandbits(16), rng.getrandbits(32)),
        }  # fmt: skip
        for name, values in operands.items():
            before = rng.randbytes(24)
            given = (values[0], outcome_of(values[1:]).pack()) if name == "settled" else values
            row = getattr(transcript, f"{name}_row")(*given)
            after = transcript.fold(before, transcript.Kind[name.upper()], row)
            out["rows"].append(
                {
                    "kind": name,
                    "before": plain(before),
                    "operands": plain(values),
                    "row": plain(row),
                    "after": plain(after),
                }
            )
        prevrandao, said = rng.getrandbits(256), rng.randbytes(24)
        out["beacons"].append(
            {
                "prevrandao": plain(prevrandao),
                "transcript": plain(said),
                "beacon": plain(transcript.beacon(prevrandao, said)),
            }
        )
        bound = (rng.getrandbits(32), rng.randbytes(20), rng.getrandbits(40), rng.getrandbits(16), rng.randbytes(20))
        report_hash, salt = rng.randbytes(32), rng.randbytes(32)
        out["commitments"].append(
            {"bound_to": plain(bound), "report_hash": plain(report_hash), "salt": plain(salt),
             "commitment": plain(transcript.commitment(*bound, report_hash, salt))}
        )  # fmt: skip
    return out


def params_vectors() -> Any:
    rng = Random("params")
    found = [
        ("LOCAL", LOCAL),
        ("STANDARD", STANDARD),
        ("LARGE", LARGE),
        *((f"random {i}", random_params(rng)) for i in range(6)),
    ]
    return [
        {"name": name, "encoded": plain(params.encode()), "hash": plain(keccak256(params.encode()))}
        for name, params in found
    ]


def generate() -> dict[str, str]:
    """File name -> content."""
    made = {
        "agreement.json": agreement_vectors(),
        "mechanism.json": mechanism_vectors(),
        "params.json": params_vectors(),
        "plant.json": plant_vectors(),
        "rating.json": rating_vectors(),
        "committee.json": committee_vectors(),
        "multiplier.json": multiplier_vectors(),
        "registration.json": registration_vectors(),
        "transcript.json": transcript_vectors(),
        "tree.json": tree_vectors(),
        "witness.json": witness_vectors.generate(plain),
    }
    return {name: json.dumps(vectors, indent=1, sort_keys=True) + "\n" for name, vectors in made.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    check = parser.parse_args().check
    stale = 0
    for name, text in generate().items():
        path = VECTORS / name
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            print(f"vectors: {path.name} is stale; run 'python scripts/vectors.py'", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
