"""Who serves in a round: the beacon draws among the eligible, by stake and, where a run says so, by rating, so that
everyone can work out every duty.

The same function, name for name, is in contracts/libraries/Committee.sol.
"""

from __future__ import annotations

from collections.abc import Sequence

from .seeds import derive
from .types import BPS


def weight(stake_wei: int, rating_q32: int, sortition_bps: int) -> int:
    """What a verifier weighs in the draw: its stake, and up to ``sortition_bps`` of it more by its rating."""
    return stake_wei * ((BPS << 32) + sortition_bps * rating_q32) // (BPS << 32)


def draw(beacon: bytes, weights: Sequence[int], size: int) -> int:
    """Mask of ``size`` verifiers drawn without replacement, each draw by weight.

    ``weights`` are per verifier index, :func:`weight`, 0 for whoever is not eligible; fewer than ``size`` are drawn
    when fewer have one. Draw k falls on the verifier whose weight covers keccak256(beacon || k as uint64 ||
    "committee") modulo what is left, weights laid end to end in index order. They add up to less than 2^134: the
    modulo's bias is below 2^-122.
    """
    left = list(weights)
    drawn = 0
    for k in range(min(size, sum(each > 0 for each in weights))):
        ticket = int.from_bytes(derive(beacon, "committee", k), "big") % sum(left)
        chosen = 0
        while ticket >= left[chosen]:
            ticket -= left[chosen]
            chosen += 1
        drawn |= 1 << chosen
        left[chosen] = 0
    return drawn
