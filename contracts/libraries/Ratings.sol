// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Fixed} from "./Fixed.sol";

/// From hits and paths to a rating; src/gradmint/spec/reputation.py.
library Ratings {
    uint256 internal constant ONE_MASS = 1 << 56;

    /// score / (score + half), Q32, below 1; the score is hits x (1 - beta^paths). Rated a half is what everyone would have if
    /// the first step of each walk were shared equally among all who are known. Rounded down at every step.
    /// @dev Hits have 64 bits, paths are at most 8, 10,000^8 has 107 bits.
    function ratingQ32(uint256 hits, uint256 paths, uint256 known, uint256 alphaBps, uint256 betaBps)
        internal
        pure
        returns (uint32)
    {
        uint256 whole = Fixed.BPS ** paths;
        uint256 score = Fixed.mulQ32Down(hits, Fixed.ONE_Q32 * (whole - betaBps ** paths) / whole);
        if (score == 0) return 0;
        uint256 half = Fixed.bpsDown(ONE_MASS, Fixed.BPS - alphaBps) / Fixed.max(known, 1);
        return uint32(Fixed.min((score << 32) / (score + half), type(uint32).max));
    }
}
