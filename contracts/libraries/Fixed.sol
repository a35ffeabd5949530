// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// Integer arithmetic with the rounding in the name; src/gradmint/spec/fixed.py.
/// Callers keep the operands of every product within 256 bits together; Mechanism says why at each call.
library Fixed {
    uint256 internal constant ONE_Q32 = 1 << 32;
    uint256 internal constant BPS = 10_000;

    /// floor(a * b / denominator); the denominator is not 0.
    function mulDivDown(uint256 a, uint256 b, uint256 denominator) internal pure returns (uint256) {
        unchecked {
            return a * b / denominator;
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
    function runningWeightBps(uint256 leastBps, uint256 rounds) internal pure returns (uint256) {
        unchecked {
            uint256 plainBps = BPS / (rounds + 1);
            return plainBps > leastBps ? plainBps : leastBps;
        }
    }

    /// -1, 0 or 1.
    function sign(int256 x) internal pure returns (int256 s) {
        assembly ("memory-safe") {
            s := sub(sgt(x, 0), slt(x, 0))
        }
    }
}
