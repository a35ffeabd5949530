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
    /// @dev Four words at a time, and before them the few that do not fill four. A nibble counts at most 4 of a word, 8 of two;
    /// byte lanes are summed over all words, at most 8 a word, and folded once: 31 words are the most, 16 is the protocol's
    /// limit. The 16-bit lanes then hold at most 2 * 8 * 31, their sum at most 7,936. No lane overflows: the count is exact.
    function distanceBits(uint256 a, uint256 b, uint256 words) internal pure returns (uint256 bits) {
        assembly ("memory-safe") {
            let lanes := 0
            b := sub(b, a)
            for { let end := add(a, shl(5, and(words, 3))) } lt(a, end) { a := add(a, 0x20) } {
                let x := xor(calldataload(a), calldataload(add(a, b)))
                x := sub(x, and(shr(1, x), PAIRS))
                x := add(and(x, NIBBLES), and(shr(2, x), NIBBLES))
                lanes := add(lanes, and(add(x, shr(4, x)), BYTES))
            }
            // Written out: a function of Yul would cost a fifth more.
            for { let end := add(a, shl(7, shr(2, words))) } lt(a, end) {} {
                let x := xor(calldataload(a), calldataload(add(a, b)))
                x := sub(x, and(shr(1, x), PAIRS))
                x := add(and(x, NIBBLES), and(shr(2, x), NIBBLES))
                a := add(a, 0x20)
                let y := xor(calldataload(a), calldataload(add(a, b)))
                y := sub(y, and(shr(1, y), PAIRS))
                y := add(and(y, NIBBLES), and(shr(2, y), NIBBLES))
                a := add(a, 0x20)
                x := add(x, y)
                lanes := add(lanes, add(and(x, BYTES), and(shr(4, x), BYTES)))
                let z := xor(calldataload(a), calldataload(add(a, b)))
                z := sub(z, and(shr(1, z), PAIRS))
                z := add(and(z, NIBBLES), and(shr(2, z), NIBBLES))
                a := add(a, 0x20)
                let w := xor(calldataload(a), calldataload(add(a, b)))
                w := sub(w, and(shr(1, w), PAIRS))
                w := add(and(w, NIBBLES), and(shr(2, w), NIBBLES))
                a := add(a, 0x20)
                z := add(z, w)
                lanes := add(lanes, add(and(z, BYTES), and(shr(4, z), BYTES)))
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
