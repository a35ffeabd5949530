"""Who serves in a round: the beacon draws among the eligible, by stake, so that everyone can work out every duty.

The same function, name for name, is in contracts/libraries/Committee.sol.
"""

from __future__ import annotations

from collections.abc import Sequence

from .seeds import derive


def draw(beacon: bytes, stakes_wei: Sequence[int], size: int) -> int:
    """Mask of ``size`` verifiers drawn without replacement, each draw weighted by what is staked.

    ``stakes_wei`` is per verifier index, 0 for whoever is not eligible; fewer than ``size`` are drawn when fewer have a
    stake. Draw k falls on the verifier whose stake covers keccak256(beacon || k as uint64 || "committee") modulo what
    is left, stakes laid end to end in index order. Stakes add up to less than 2^133: the modulo's bias is below 2^-123.
    """
    left_wei = list(stakes_wei)
    drawn = 0
    for k in range(min(size, sum(stake_wei > 0 for stake_wei in stakes_wei))):
        ticket = int.from_bytes(derive(beacon, "committee", k), "big") % sum(left_wei)
        chosen = 0
        while ticket >= left_wei[chosen]:
            ticket -= left_wei[chosen]
            chosen += 1
        drawn |= 1 << chosen
        left_wei[chosen] = 0
    return drawn
