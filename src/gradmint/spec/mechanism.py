"""settle: old standings + reports -> new standings.

The same function, name for name, is contracts/libraries/Mechanism.sol.

Rules that keep it sound: never multiply two signed numbers; no positive counter offsets a missed duty; every penalty
has a bound and a way back; divide by the number who should have come, not who came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from . import rating
from .agreement import agree
from .fixed import (
    bps_down,
    mean_toward_old,
    mul_div_down,
    mul_q32_down,
    pow_halves_q32_down,
    running_weight_bps,
    sign,
)
from .params import Params
from .types import BPS, ONE_Q32, UNSAMPLED, Report, Row, Settlement, Standing, Verdict

LAST = 2**31  # rank behind every gain


def settle(
    params: Params,
    round_: int,
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

    pot_wei = bps_down(budget_wei, params.verifier_share_bps)

    # The banned sit the round out: to everything below they are not there.
    judged = [i for i, standing in enumerate(trainers) if not is_banned(standing, round_)]
    rows = [consensus.rows[i] for i in judged]
    settled = [trainers[i] for i in judged]
    settled = prove(params, settled, rows)
    settled = value(params, settled, rows)
    settled = rate(settled, rows)
    settled = trust(params, round_, settled, rows)
    settled = attend(settled, [row.verdict is not Verdict.MISSING for row in rows])
    due = weights(params, settled)
    settled, to_trainers_wei = pay(settled, *select(params, settled, rows, due), budget_wei - pot_wei)

    checked = bond(params, verifiers, consensus.agreements_q32)
    checked = attend(checked, [report is not None for report in reports])
    # Who was not called on is neither present nor absent, and has agreed with nobody.
    checked = [
        after if stake_wei else before for before, after, stake_wei in zip(verifiers, checked, stakes_wei, strict=True)
    ]
    checked, to_verifiers_wei = pay(checked, *shares(checked, stakes_wei, consensus.cluster), pot_wei)

    merged = list(trainers)
    for i, standing in zip(judged, settled, strict=True):
        merged[i] = standing
    return Settlement(
        consensus,
        tuple(merged),
        tuple(checked),
        paid_wei=to_trainers_wei + to_verifiers_wei,
        slashed_wei=tuple(slash(params, stakes_wei, consensus.distances_bits, consensus.unanimous)),
        weakest=find_weakest(params, merged, dict(zip(judged, due, strict=True))),
    )


def pay_multiplier_q32(params: Params, rating_q32: int) -> int:
    """What a rating does to pay: from ``pay_least_bps`` without one towards ``pay_most_bps``, Q32, rounded down."""
    return ((params.pay_least_bps << 32) + (params.pay_most_bps - params.pay_least_bps) * rating_q32) // BPS


def is_banned(standing: Standing, round_: int) -> bool:
    return round_ <= standing.ban_round


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
    """Running mean of the gain as a multiple of the round's mean positive gain; a failed check counts as 0.

    A multiple of the mean, not a share of the sum: it stays what it is when others join or leave, so a newcomer is
    not held against means that remember fewer to share with.
    """
    gains = [row.gain_micronats for row in rows]
    total = sum(gains)
    valued = []
    for standing, gain in zip(standings, gains, strict=True):
        multiple_q32 = mul_div_down(gain, len(rows) * ONE_Q32, total) if total else 0
        weight_bps = running_weight_bps(params.value_weight_bps, standing.rounds)
        valued.append(replace(standing, value_q32=mean_toward_old(standing.value_q32, multiple_q32, weight_bps)))
    return valued


def rate(standings: Sequence[Standing], rows: Sequence[Row]) -> list[Standing]:
    """One Plackett-Luce match of all who should have come, ranked by common gain; failed checks and the missing tie for
    last."""
    ranks = [-row.common_gain_micronats if row.verdict is Verdict.OK else LAST for row in rows]
    after = rating.rate([(standing.mu_q32, standing.sigma_q32) for standing in standings], ranks)
    return [
        replace(standing, mu_q32=mu_q32, sigma_q32=sigma_q32)
        for standing, (mu_q32, sigma_q32) in zip(standings, after, strict=True)
    ]


def trust(params: Params, round_: int, standings: Sequence[Standing], rows: Sequence[Row]) -> list[Standing]:
    """The penalty ladder: failed checks multiply trust, down to the floor; one that leaves too little of it bans from
    the next round on; an OK round regains a fixed part of what is missing."""
    floor_q32 = bps_down(ONE_Q32, params.trust_floor_bps)
    banned_q32 = bps_down(ONE_Q32, params.ban_trust_bps)
    trusted = []
    for standing, row in zip(standings, rows, strict=True):
        ban_round = standing.ban_round
        if row.verdict is Verdict.OK:
            after = mean_toward_old(standing.trust_q32, ONE_Q32, params.recovery_bps)
        else:
            after = max(floor_q32, bps_down(standing.trust_q32, params.penalty_bps[row.verdict]))
            if after < banned_q32:
                ban_round = round_ + params.ban_rounds
        trusted.append(replace(standing, trust_q32=after, ban_round=ban_round))
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


def weights(params: Params, standings: Sequence[Standing]) -> list[int]:
    """What each would weigh in the pay: value^exponent x max(0, proof) x trust x reputation in Q32.

    The exponent is on the value alone: that is what splitting one machine into many identities divides. The other
    factors are the same for all of them, and a mean of signs is not raised to anything.
    """
    return [
        mul_q32_down(
            mul_q32_down(
                mul_q32_down(
                    pow_halves_q32_down(standing.value_q32, params.value_exponent_halves), max(0, standing.proof_q32)
                ),
                standing.trust_q32,
            ),
            standing.reputation_q32,
        )
        for standing in standings
    ]


def select(
    params: Params, standings: Sequence[Standing], rows: Sequence[Row], due: Sequence[int]
) -> tuple[list[int], int]:
    """Pay weights of this round, 0 for whoever is not paid; and the sum that they are parts of.

    The best ``top`` by rating ordinal are paid, of those to whom anything is due (ties: the lower index first). For
    each of them whose update is not OK the next best of the ``reserve`` behind them whose update is OK steps in. Whom
    nobody replaces stays in the sum: the absent's part is not handed to the others.
    """
    ranking = sorted(
        (i for i, weight in enumerate(due) if weight),
        key=lambda i: (-rating.ordinal_q32((standings[i].mu_q32, standings[i].sigma_q32)), i),
    )
    members, reserves = ranking[: params.top], ranking[params.top : params.top + params.reserve]
    here = [i for i in members if rows[i].verdict is Verdict.OK]
    missing = [i for i in members if rows[i].verdict is not Verdict.OK]
    here += [i for i in reserves if rows[i].verdict is Verdict.OK][: len(missing)]
    vacant = missing[len(here) + len(missing) - len(members) :]
    parts = [0] * len(due)
    for i in here:
        parts[i] = due[i]
    return parts, sum(parts) + sum(due[i] for i in vacant)


def find_weakest(params: Params, standings: Sequence[Standing], due: Mapping[int, int]) -> int | None:
    """Whose seat is given away when none is free: least pay weight, then lowest index, past its immunity.

    ``due`` is per trainer index; the banned have none.
    """
    candidates = [
        (due.get(i, 0), i) for i, standing in enumerate(standings) if standing.rounds > params.immunity_rounds
    ]
    return min(candidates)[1] if candidates else None


def bond(params: Params, standings: Sequence[Standing], agreements_q32: Sequence[int]) -> list[Standing]:
    """A verifier's bond: the running mean of its agreement, 0 for a round outside the cluster.

    Yuma's bonds (B_ij <- (1 - a) B_ij + a W_ij) summed over the trainers: one number instead of one for each pair.
    """
    return [
        replace(
            standing,
            value_q32=mean_toward_old(
                standing.value_q32, agreement, running_weight_bps(params.bonds_weight_bps, standing.rounds)
            ),
        )
        for standing, agreement in zip(standings, agreements_q32, strict=True)
    ]


def shares(standings: Sequence[Standing], stakes_wei: Sequence[int], cluster: Sequence[int]) -> tuple[list[int], int]:
    """Verifiers' shares of their pot: stake x bond of the cluster, of the whole committee's stake at full agreement."""
    parts = [
        mul_q32_down(stake_wei, standing.value_q32) if v in cluster else 0
        for v, (standing, stake_wei) in enumerate(zip(standings, stakes_wei, strict=True))
    ]
    return parts, sum(stakes_wei)


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
