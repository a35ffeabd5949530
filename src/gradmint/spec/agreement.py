"""From reports to one opinion: LSH distance about floats, stake-weighted medians about integers.

Distance is the popcount of the exclusive or over all words. The cluster is the medoid's neighbourhood; neighbours of
neighbours do not count, so the order of reports matters in an exact tie only, which the lowest index wins.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from .fixed import mul_div_down
from .types import ONE_Q32, Consensus, Report, Row, Verdict


def distance_bits(a: Sequence[int], b: Sequence[int]) -> int:
    """Hamming distance of two signatures of equal length."""
    return sum((x ^ y).bit_count() for x, y in zip(a, b, strict=True))


def weighted_median(values: Sequence[int], weights: Sequence[int]) -> int:
    """Lower median: the least value with at least half of all weight at or below it. Weights are positive."""
    total = sum(weights)
    below = 0
    for value, weight in sorted(zip(values, weights, strict=True)):
        below += weight
        if 2 * below >= total:
            return value
    raise ValueError("a median needs at least one value")


def find_medoid(distances: Sequence[Sequence[int]], stakes_wei: Sequence[int], accept_bits: int) -> int:
    """Position of the report with the most neighbouring stake.

    Ties by least total distance to its neighbours, then order. A report is its own neighbour.
    """

    def rank(i: int) -> tuple[int, int, int]:
        near = [j for j, d in enumerate(distances[i]) if d <= accept_bits]
        return (-sum(stakes_wei[j] for j in near), sum(distances[i][j] for j in near), i)

    return min(range(len(distances)), key=rank)


def agree(stakes_wei: Sequence[int], reports: Sequence[Report | None], accept_bits: int) -> Consensus | None:
    """Consensus of the committee, or None without quorum (cluster stake > 2/3 of committee stake).

    ``stakes_wei`` and ``reports`` are per verifier index; stake 0 marks a verifier outside this round's committee,
    whose report counts for nothing; None one that did not reveal.
    """
    present = [v for v, report in enumerate(reports) if report is not None and stakes_wei[v] > 0]
    if not present:
        return None
    given = [report for v in present if (report := reports[v]) is not None]
    stakes = [stakes_wei[v] for v in present]
    distances = [[distance_bits(a.words, b.words) for b in given] for a in given]
    medoid = find_medoid(distances, stakes, accept_bits)
    near = [j for j, d in enumerate(distances[medoid]) if d <= accept_bits]

    committee_wei = sum(stakes_wei)
    cluster_wei = sum(stakes[j] for j in near)
    if 3 * cluster_wei <= 2 * committee_wei:
        return None

    weights = [stakes[j] for j in near]
    members = [given[j] for j in near]
    far = dict(zip(present, distances[medoid], strict=True))
    rows = tuple(
        Row(
            Verdict(weighted_median([member.rows[i].verdict for member in members], weights)),
            weighted_median([member.rows[i].common_gain_micronats for member in members], weights),
            weighted_median([member.rows[i].assigned_gain_micronats for member in members], weights),
        )
        for i in range(len(members[0].rows))
    )
    agreed = {present[j]: agreement_q32(given[j].rows, rows) for j in near}
    return Consensus(
        medoid=present[medoid],
        cluster=tuple(present[j] for j in near),
        distances_bits=tuple(far.get(v) for v in range(len(reports))),
        unanimous=4 * cluster_wei >= 3 * committee_wei,
        loss_micronats=weighted_median([member.loss_micronats for member in members], weights),
        rows=rows,
        agreements_q32=tuple(agreed.get(v, 0) for v in range(len(reports))),
    )


def agreement_q32(said: Sequence[Row], agreed: Sequence[Row]) -> int:
    """How much of the gains that one verifier names is the consensus's: sum of minima over sum of maxima.

    Ruzicka's similarity of the two vectors of gains; 1 for equal ones. Yuma's validator trust, sum_j min(W_ij, W_j), is
    the same idea on weights that add up to one.
    """
    least = most = 0
    for mine, ours in zip(said, agreed, strict=True):
        least += min(mine.gain_micronats, ours.gain_micronats)
        most += max(mine.gain_micronats, ours.gain_micronats)
    return mul_div_down(least, ONE_Q32, most) if most else ONE_Q32


def accepted(consensus: Consensus | None, barred: Collection[int] = ()) -> tuple[int, ...]:
    """Trainer indices whose update enters the model: verdict OK, positive common gain, and not banned."""
    if consensus is None:
        return ()
    return tuple(i for i, row in enumerate(consensus.rows) if row.gain_micronats > 0 and i not in barred)


def held_set(
    holds: Mapping[int, tuple[bytes, bytes]], stakes_wei: Sequence[int], trainers: int
) -> tuple[frozenset[int], bytes | None]:
    """The round's set of updates and the base model, each as far as more than 2/3 of committee stake says so.

    ``holds[v]`` is verifier v's (bitmap, base digest); trainer i is bit i % 8 of byte i // 8. Returns the trainers
    whose blobs count and the attested digest (None without a majority).
    """
    committee_wei = sum(stakes_wei)

    def carries(voters: list[int]) -> bool:
        return 3 * sum(stakes_wei[v] for v in voters) > 2 * committee_wei

    held = frozenset(
        i for i in range(trainers) if carries([v for v, (bitmap, _) in holds.items() if bitmap[i // 8] >> i % 8 & 1])
    )
    bases = sorted({base for _, base in holds.values()})
    attested = [base for base in bases if carries([v for v, (_, other) in holds.items() if other == base])]
    return held, attested[0] if attested else None
