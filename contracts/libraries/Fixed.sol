// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";

/// Integer arithmetic with the rounding in the name; src/gradmint/spec/fixed.py.
/// Callers keep the operands of every product within 256 bits together; Mechanism says why at each call.
library Fixed {
    uint256 internal constant ONE_Q32 = 1 << 32;
    uint256 internal constant BPS = 10_000;

    /// floor(a * b / denominator); the denominator is not 0.
    function mulDivDown(uint256 a, uint256 b, uint256 denominator) internal pure returns (uint256 quotient) {
        assembly ("memory-safe") {
            quotient := div(mul(a, b), denominator)
        }
    }

    /// Product of two non-negative Q32 numbers, rounded down.
    function mulQ32Down(uint256 a, uint256 b) internal pure returns (uint256) {
        unchecked {
            return (a * b) >> 32;
        }
    }

    /// floor(amount * bps / 10,000).
    function bpsDown(uint256 amount, uint256 bps) internal pure returns (uint256) {
        unchecked {
            return amount * bps / BPS;
        }
    }

    /// old + (new - old) * weight, the step truncated toward zero, so that rounding never overshoots `new_`.
    function meanTowardOld(int256 old, int256 new_, uint256 weightBps) internal pure returns (int256) {
        unchecked {
            return old + (new_ - old) * int256(weightBps) / int256(BPS); // SDIV truncates toward zero
        }
    }

    /// max(least, 1 / (rounds + 1)): a plain mean at first, exponential later.
    function runningWeightBps(uint256 leastBps, uint256 rounds) internal pure returns (uint256 weightBps) {
        assembly ("memory-safe") {
            weightBps := div(BPS, add(rounds, 1))
        }
        return max(weightBps, leastBps);
    }

    function min(uint256 a, uint256 b) internal pure returns (uint256 least) {
        assembly ("memory-safe") {
            least := xor(a, mul(xor(a, b), lt(b, a)))
        }
    }

    function max(uint256 a, uint256 b) internal pure returns (uint256 most) {
        assembly ("memory-safe") {
            most := xor(a, mul(xor(a, b), gt(b, a)))
        }
    }

    /// -1, 0 or 1.
    function sign(int256 x) internal pure returns (int256 s) {
        assembly ("memory-safe") {
            s := sub(sgt(x, 0), slt(x, 0))
        }
    }

    /// floor(sqrt(x)).
    function sqrtDown(uint256 x) internal pure returns (uint256) {
        return FixedPointMathLib.sqrt(x);
    }

    /// floor(sqrt(x)) for who knows roughly what it is: `guess` is not 0, and x is below 2^254.
    /// @dev Newton's steps from any guess lead above the root and then fall until they have it.
    function sqrtNear(uint256 x, uint256 guess) internal pure returns (uint256 root) {
        assembly ("memory-safe") {
            root := shr(1, add(guess, div(x, guess)))
            for {} 1 {} {
                let lower := shr(1, add(root, div(x, root)))
                if iszero(lt(lower, root)) { break }
                root := lower
            }
        }
    }

    /// x^(halves / 2) of a non-negative Q32 number, rounded down at every step; `halves` is at least 2.
    function powHalvesQ32Down(uint256 x, uint256 halves) internal pure returns (uint256 power) {
        unchecked {
            power = x;
            for (uint256 k = halves; k > 3; k -= 2) {
                power = mulQ32Down(power, x);
            }
            if (halves & 1 == 1) power = mulQ32Down(power, sqrtDown(x << 32));
        }
    }

    /// e^x of a number with 18 decimals. Reverts from 135.3 on.
    function expWad(int256 x) internal pure returns (uint256) {
        return uint256(FixedPointMathLib.expWad(x));
    }
}
