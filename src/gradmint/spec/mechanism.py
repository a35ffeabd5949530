"""settle: old standings + reports -> new standings.

The same function, name for name, is contracts/libraries/Mechanism.sol.

Rules that keep it sound: never multiply two signed numbers; no positive counter offsets a missed duty; every penalty
has a bound and a way back; divide by the number who should have come, not who came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .agreement import agree
from .fixed import bps_down, mean_toward_old, mul_div_down, mul_q32_down, running_weight_bps, sign
from .params import Params
from .types import ONE_Q32, UNSAMPLED, Report, Row, Settlement, Standing, Verdict


def settle(
    params: Params,
    budget_wei: int,
    trainers: Sequence[Standing],
    verifiers: Sequence[Standing],
    stakes_wei: Sequence[int],
    reports: Sequence[Report | None],
) -> Settlement:
    """One round's transition.

    ``trainers`` and ``verifiers`` are in index order; ``stakes_wei[v]`` is 0 outside the committee; ``reports[v]`` is
    None without a reveal. Dust of the floor divisions and everything unpaid stays in the budget of later rounds.
    """
    consensus = agree(stakes_wei, reports, params.accept_bits)
    if consensus is None:
        # Nobody is judged by what they said; who said nothing is part of why there is no quorum.
        silent = [None if report is None else 0 for report in reports]
        slashed_wei = slash(params, stakes_wei, silent, unanimous=False)
        return Settlement(None, tuple(trainers), tuple(verifiers), paid_wei=0, slashed_wei=tuple(slashed_wei))

    rows = consensus.rows
    pot_wei = bps_down(budget_wei, params.verifier_share_bps)

    settled = prove(params, trainers, rows)
    settled = value(params, settled, rows)
    # The rating (Plackett-Luce over everyone who should have submitted) takes its turn here, before trust.
    settled = trust(params, settled, rows)
    settled = attend(settled, [row.verdict is not Verdict.MISSING for row in rows])
    settled, to_trainers_wei = pay(settled, *weights(settled, rows), budget_wei - pot_wei)

    checked = attend(verifiers, [report is not None for report in reports])
    checked, to_verifiers_wei = pay(checked, *shares(stakes_wei, consensus.cluster), pot_wei)

    return Settlement(
        consensus,
        tuple(settled),
        tuple(checked),
        paid_wei=to_trainers_wei + to_verifiers_wei,
        slashed_wei=tuple(slash(params, stakes_wei, consensus.distances_bits, consensus.unanimous)),
    )


def prove(params: Params, standings: Sequence[Standing], rows: Sequence[Row]) -> list[Standing]:
    """Computation proof: exponential mean of sign(assigned - common), where the beacon sampled the trainer.

    A trainer who computed on its own shard gains more there than elsewhere (Gauntlet, 2505.21684, mu_p). It starts
    at a half and every sample weighs the same: the first rounds' signs are the noisiest, and who is sampled rarely is
    neither proven nor refuted.
    """
    proven = []
    for standing, row in zip(standings, rows, strict=True):
        if row.verdict is Verdict.OK and row.assigned_gain_micronats != UNSAMPLED:
            observed = sign(row.assigned_gain_micronats - row.common_gain_micronats) * ONE_Q32
            proof_q32 = mean_toward_old(standing.proof_q32, observed, params.proof_weight_bps)
            standing = replace(standing, proof_q32=proof_q32)
        proven.append(standing)
    return proven


def value(params: Params, standings: Sequence[Standing], rows: Sequence[Row]) -> list[Standing]:
    """Running mean of the share of the round's positive common gain; a failed check counts as share 0."""
    gains = [max(0, row.common_gain_micronats) if row.verdict is Verdict.OK else 0 for row in rows]
    total = sum(gains)
    valued = []
    for standing, gain in zip(standings, gains, strict=True):
        share_q32 = mul_div_down(gain, ONE_Q32, total) if total else 0
        weight_bps = running_weight_bps(params.value_weight_bps, standing.rounds)
        valued.append(replace(standing, value_q32=mean_toward_old(standing.value_q32, share_q32, weight_bps)))
    return valued


def trust(params: Params, standings: Sequence[Standing], rows: Sequence[Row]) -> list[Standing]:
    """Penalties multiply, down to the floor; an OK round regains a fixed part of what is missing."""
    floor_q32 = bps_down(ONE_Q32, params.trust_floor_bps)
    trusted = []
    for standing, row in zip(standings, rows, strict=True):
        if row.verdict is Verdict.OK:
            after = mean_toward_old(standing.trust_q32, ONE_Q32, params.recovery_bps)
        else:
            after = max(floor_q32, bps_down(standing.trust_q32, params.penalty_bps[row.verdict]))
        trusted.append(replace(standing, trust_q32=after))
    return trusted


def attend(standings: Sequence[Standing], came: Sequence[bool]) -> list[Standing]:
    """Count the round, and the rounds missed in a row."""
    return [
        replace(
            standing,
            rounds=min(standing.rounds + 1, 65_535),
            misses=0 if present else min(standing.misses + 1, 255),
        )
        for standing, present in zip(standings, came, strict=True)
    ]


def weights(standings: Sequence[Standing], rows: Sequence[Row]) -> tuple[list[int], int]:
    """Pay weights: value x max(0, proof) x trust x reputation in Q32, 0 without a valid update this round.

    Also returns the sum over everyone who should have come: the absent's part is not handed to the others.
    """
    due = [
        mul_q32_down(
            mul_q32_down(mul_q32_down(standing.value_q32, max(0, standing.proof_q32)), standing.trust_q32),
            standing.reputation_q32,
        )
        for standing in standings
    ]
    return [weight if row.verdict is Verdict.OK else 0 for weight, row in zip(due, rows, strict=True)], sum(due)


def shares(stakes_wei: Sequence[int], cluster: Sequence[int]) -> tuple[list[int], int]:
    """Verifiers' shares of their pot: the cluster's stakes; and the whole committee's stake."""
    return [stake_wei if v in cluster else 0 for v, stake_wei in enumerate(stakes_wei)], sum(stakes_wei)


def pay(standings: Sequence[Standing], parts: Sequence[int], total: int, pot_wei: int) -> tuple[list[Standing], int]:
    """``pot_wei`` x part / total to each, rounded down. Returns the new standings and what was paid in all."""
    if total == 0:
        return list(standings), 0
    payouts_wei = [mul_div_down(pot_wei, part, total) for part in parts]
    paid = [
        replace(standing, paid_wei=standing.paid_wei + payout_wei)
        for standing, payout_wei in zip(standings, payouts_wei, strict=True)
    ]
    return paid, sum(payouts_wei)


def slash(
    params: Params, stakes_wei: Sequence[int], distances_bits: Sequence[int | None], unanimous: bool
) -> list[int]:
    """Stake each verifier loses: for a far-off report when the rest is unanimous, or for no reveal. Rounded down."""
    slashed = []
    for stake_wei, distance in zip(stakes_wei, distances_bits, strict=True):
        if distance is None:
            bps = params.liveness_bps
        elif distance > params.slash_bits and unanimous:
            bps = params.slash_bps
        else:
            bps = 0
        slashed.append(bps_down(stake_wei, bps))
    return slashed


def round_budget_wei(unpaid_wei: int, round_: int, max_rounds: int) -> int:
    """This round's part of what is deposited and not yet promised: an even split over the rounds left."""
    return unpaid_wei // (max_rounds - round_ + 1)


def is_ejected(stake_wei: int, required_wei: int) -> bool:
    """A verifier that lost more than half of the required stake leaves the committee."""
    return 2 * stake_wei < required_wei
