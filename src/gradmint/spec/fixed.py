"""Integer arithmetic with the rounding in the name. All results fit the widths that Solidity uses."""

from __future__ import annotations

from .types import BPS


def mul_div_down(a: int, b: int, denominator: int) -> int:
    """floor(a * b / denominator) for non-negative operands."""
    return a * b // denominator


def mul_q32_down(a: int, b: int) -> int:
    """Product of two non-negative Q32 numbers, rounded down."""
    return a * b >> 32


def bps_down(amount: int, bps: int) -> int:
    """floor(amount * bps / 10,000) for a non-negative amount."""
    return amount * bps // BPS


def mean_toward_old(old: int, new: int, weight_bps: int) -> int:
    """old + (new - old) * weight, the step truncated toward zero, so that rounding never overshoots ``new``."""
    step = abs(new - old) * weight_bps // BPS
    return old + step if new >= old else old - step


def running_weight_bps(least_bps: int, rounds: int) -> int:
    """Weight of the newest observation after ``rounds`` earlier ones: a plain mean at first, exponential later.

    max(least, 1 / (rounds + 1)): a newcomer's mean is what it has shown so far, from the first round on.
    """
    return max(least_bps, BPS // (rounds + 1))


def sign(x: int) -> int:
    return (x > 0) - (x < 0)
