"""What a seat costs: a stake, less for who has a rating, and a price that rises with each join and decays between them.

The price is burned, not staked and not handed to the run: otherwise whoever joins often would be paid it back.
contracts/libraries/Registration.sol is the same.
"""

from __future__ import annotations

from .fixed import bps_down
from .types import BPS

MAX_PRICE_WEI = 2**128 - 1


def price_wei(last_wei: int, elapsed_s: int, half_life_s: int, floor_wei: int) -> int:
    """Price ``elapsed_s`` after it was ``last_wei``: halved every ``half_life_s``, straight lines between, never below
    the floor."""
    halvings, rest_s = divmod(elapsed_s, half_life_s)
    left_wei = last_wei >> min(halvings, 128)
    return max(floor_wei, left_wei - left_wei * rest_s // (2 * half_life_s))


def discounted_wei(required_wei: int, rating_q32: int, discount_bps: int) -> int:
    """Least stake of an account with this rating: up to ``discount_bps`` less, the discount rounded down."""
    return required_wei - (required_wei * discount_bps * rating_q32 >> 32) // BPS


def next_price_wei(paid_wei: int, bump_bps: int) -> int:
    """What the price is right after a join at ``paid_wei``."""
    return min(MAX_PRICE_WEI, paid_wei + bps_down(paid_wei, bump_bps))
