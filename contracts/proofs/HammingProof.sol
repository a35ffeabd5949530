// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Hamming} from "../libraries/Hamming.sol";

/// Counting bits is exact, for every input: induction over the bits.
///
/// Nothing set counts as nothing; and whatever the other bits are, a bit that is set counts one more than the same word
/// without it. Every word is made from zero by setting its bits one after the other. For distances, the same over the bits
/// of the first word, and words may trade places.
contract HammingProof {
    function check_popcount_of_nothing_is_zero() external pure {
        assert(Hamming.popcount(0) == 0);
    }

    function check_popcount_counts_every_bit_once(uint256 others, uint8 place) external pure {
        uint256 bit = 1 << _each(place);
        assert(Hamming.popcount(others | bit) == Hamming.popcount(others & ~bit) + 1);
    }

    function check_distance_between_equals_is_zero(uint256[4] calldata a) external view {
        assert(this.distanceBits(a, a) == 0);
    }

    function check_distance_counts_every_differing_bit_of_the_first_word_once(
        uint256[4] calldata a,
        uint256[4] calldata b,
        uint8 place
    ) external view {
        uint256 bit = 1 << _each(place);
        uint256[4] memory differs = b;
        uint256[4] memory equal = b;
        differs[0] = a[0] ^ (b[0] | bit);
        equal[0] = a[0] ^ (b[0] & ~bit);
        assert(this.distanceBits(a, differs) == this.distanceBits(a, equal) + 1);
    }

    function check_distance_does_not_care_about_the_order_of_words(uint256[4] calldata a, uint256[4] calldata b)
        external
        view
    {
        uint256 bits = this.distanceBits(a, b);
        assert(bits == this.distanceBits([a[1], a[0], a[2], a[3]], [b[1], b[0], b[2], b[3]]));
        assert(bits == this.distanceBits([a[2], a[3], a[0], a[1]], [b[2], b[3], b[0], b[1]]));
    }

    /// Four words: the protocol's default, and one turn of the library's unrolled loop.
    function distanceBits(uint256[4] calldata a, uint256[4] calldata b) external pure returns (uint256) {
        uint256 first;
        uint256 second;
        assembly ("memory-safe") {
            first := a
            second := b
        }
        return Hamming.distanceBits(first, second, 4);
    }

    /// The same number, but known to the prover: 256 paths, one a place.
    function _each(uint8 place) private pure returns (uint256 known) {
        for (uint256 bit = 128; bit != 0; bit >>= 1) {
            if (place & bit != 0) known |= bit;
        }
    }
}
