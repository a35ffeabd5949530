// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// Distances between signatures of 256-bit words.
library Hamming {
    uint256 private constant PAIRS = 0x5555555555555555555555555555555555555555555555555555555555555555;
    uint256 private constant NIBBLES = 0x3333333333333333333333333333333333333333333333333333333333333333;
    uint256 private constant BYTES = 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f;
    uint256 private constant LANES = 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
    uint256 private constant ONES = 0x0001000100010001000100010001000100010001000100010001000100010001;

    /// Number of differing bits of two signatures in calldata, `words` words each; a and b are their offsets.
    /// @dev Two words are counted together: a nibble holds at most 4 of each, a byte lane at most 16 of both. Byte lanes are
    /// summed over all words and folded once; they hold at most 8 a word, so 31 words are the most, and 16 is the protocol's
    /// limit. The 16-bit lanes then hold at most 2 * 8 * 31, their sum at most 7,936. No lane overflows: the count is exact.
    function distanceBits(uint256 a, uint256 b, uint256 words) internal pure returns (uint256 bits) {
        assembly ("memory-safe") {
            let lanes := 0
            let end := add(a, shl(5, words))
            if and(words, 1) {
                end := sub(end, 0x20)
                let x := xor(calldataload(end), calldataload(add(b, sub(end, a))))
                x := sub(x, and(shr(1, x), PAIRS))
                x := add(and(x, NIBBLES), and(shr(2, x), NIBBLES))
                lanes := and(add(x, shr(4, x)), BYTES)
            }
            for {} lt(a, end) {} {
                let x := xor(calldataload(a), calldataload(b))
                x := sub(x, and(shr(1, x), PAIRS))
                x := add(and(x, NIBBLES), and(shr(2, x), NIBBLES))
                let y := xor(calldataload(add(a, 0x20)), calldataload(add(b, 0x20)))
                y := sub(y, and(shr(1, y), PAIRS))
                x := add(x, add(and(y, NIBBLES), and(shr(2, y), NIBBLES)))
                lanes := add(lanes, add(and(x, BYTES), and(shr(4, x), BYTES)))
                a := add(a, 0x40)
                b := add(b, 0x40)
            }
            lanes := add(and(lanes, LANES), and(shr(8, lanes), LANES))
            bits := shr(240, mul(lanes, ONES))
        }
    }

    /// Number of set bits.
    function popcount(uint256 x) internal pure returns (uint256 bits) {
        assembly ("memory-safe") {
            x := sub(x, and(shr(1, x), PAIRS))
            x := add(and(x, NIBBLES), and(shr(2, x), NIBBLES))
            x := and(add(x, shr(4, x)), BYTES)
            x := add(and(x, LANES), and(shr(8, x), LANES))
            bits := shr(240, mul(x, ONES))
        }
    }
}
