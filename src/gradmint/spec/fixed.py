"""Integer arithmetic with the rounding in the name. All results fit the widths that Solidity uses."""

from __future__ import annotations

from math import isqrt

from .types import BPS

WAD = 10**18


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


def sqrt_down(x: int) -> int:
    """floor(sqrt(x)); Solady's FixedPointMathLib.sqrt."""
    return isqrt(x)


def pow_halves_q32_down(x: int, halves: int) -> int:
    """x^(halves / 2) of a non-negative Q32 number, rounded down at every step; ``halves`` is at least 2."""
    power = x
    for _ in range(halves // 2 - 1):
        power = mul_q32_down(power, x)
    return mul_q32_down(power, sqrt_down(x << 32)) if halves % 2 else power


def exp_wad(x: int) -> int:
    """e^x of a number with 18 decimals: Solady's FixedPointMathLib.expWad, operation by operation.

    Raises OverflowError from 135.3 on, as the library reverts. Python's shifts round down, as SAR does; the two
    divisions truncate, as SDIV does.
    """
    if x <= -41_446_531_673_892_822_313:
        return 0
    if x >= 135_305_999_368_893_231_589:
        raise OverflowError(f"exp of {x} wad: the result does not fit 255 bits")
    x = _div_toward_zero(x << 78, 5**18)
    k = (_div_toward_zero(x << 96, 54_916_777_467_707_473_351_141_471_128) + 2**95) >> 96
    x -= k * 54_916_777_467_707_473_351_141_471_128
    y = x + 1_346_386_616_545_796_478_920_950_773_328
    y = (y * x >> 96) + 57_155_421_227_552_351_082_224_309_758_442
    p = y + x - 94_201_549_194_550_492_254_356_042_504_812
    p = (p * y >> 96) + 28_719_021_644_029_726_153_956_944_680_412_240
    p = p * x + (4_385_272_521_454_847_904_659_076_985_693_276 << 96)
    q = x - 2_855_989_394_907_223_263_936_484_059_900
    q = (q * x >> 96) + 50_020_603_652_535_783_019_961_831_881_945
    q = (q * x >> 96) - 533_845_033_583_426_703_283_633_433_725_380
    q = (q * x >> 96) + 3_604_857_256_930_695_427_073_651_918_091_429
    q = (q * x >> 96) - 14_423_608_567_350_463_180_887_372_962_807_573
    q = (q * x >> 96) + 26_449_188_498_355_588_339_934_803_723_976_023
    r = _div_toward_zero(p, q)
    return r * 3_822_833_074_963_236_453_042_738_258_902_158_003_155_416_615_667 >> (195 - k)


def _div_toward_zero(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a >= 0) == (b >= 0) else -quotient
