// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Hamming} from "../libraries/Hamming.sol";

/// Counting bits is exact, for every input. Sums of 256 bits are beyond the solver in one piece, so they are taken apart from
/// below, the shipped code always being run as a whole:
///
///     nothing               f(0) = 0
///     lanes, 0 <= j < 16    f(x from bit 16j up) = f(the 16 bits from 16j) + f(x from bit 16j + 16 up)
///     bits, 0 <= k < 256    f(x from bit k to its lane's end) = bit k of x + f(x from bit k + 1 to its lane's end)
///
/// Each line is an equation between neighbours of a sum, for any x: added up, f(x) = the sum of f over lanes, and f of a lane
/// the sum of its bits. A popcount is f of one word; a distance is f of the four words a ^ b, whose bit k is a sum of four.
/// Lanes are cut from below because the multiplication that folds them adds the lowest last: both sides then share the rest.
contract HammingProof {
    /* POPCOUNT */

    function check_popcount_of_nothing_is_zero() external pure {
        assert(Hamming.popcount(0) == 0);
    }

    function check_popcount_adds_up_over_lanes(uint256 x, uint8 place) external pure {
        uint256 lane = _each(place, 16) * 16;
        assert(
            Hamming.popcount(x & _from(lane))
                == Hamming.popcount(x & _within(lane, lane + 16)) + Hamming.popcount(x & _from(lane + 16))
        );
    }

    function check_popcount_adds_up_over_bits_of_a_lane(uint256 x, uint8 place) external pure {
        uint256 k = _each(place, 256);
        uint256 end = k / 16 * 16 + 16;
        assert(Hamming.popcount(x & _within(k, end)) == (x >> k & 1) + Hamming.popcount(x & _within(k + 1, end)));
    }

    /* DISTANCE */

    function check_distance_between_equals_is_zero(uint256[4] calldata a) external view {
        assert(this.distanceBits(a, a, 4) == 0);
    }

    function check_distance_adds_up_over_lanes(uint256[4] calldata a, uint256[4] calldata b, uint8 place)
        external
        view
    {
        uint256 lane = _each(place, 16) * 16;
        assert(
            _distanceBits(a, b, _from(lane))
                == _distanceBits(a, b, _within(lane, lane + 16)) + _distanceBits(a, b, _from(lane + 16))
        );
    }

    function check_distance_adds_up_over_bits_of_a_lane(uint256[4] calldata a, uint256[4] calldata b, uint8 place)
        external
        view
    {
        uint256 k = _each(place, 256);
        uint256 end = k / 16 * 16 + 16;
        uint256 differing;
        for (uint256 i; i < 4; ++i) {
            differing += (a[i] ^ b[i]) >> k & 1;
        }
        assert(_distanceBits(a, b, _within(k, end)) == differing + _distanceBits(a, b, _within(k + 1, end)));
    }

    /// The loop for the words that do not fill four.
    function check_distance_of_one_word_is_the_popcount_of_what_differs(uint256[4] calldata a, uint256[4] calldata b)
        external
        view
    {
        assert(this.distanceBits(a, b, 1) == Hamming.popcount(a[0] ^ b[0]));
    }

    function distanceBits(uint256[4] calldata a, uint256[4] calldata b, uint256 words) external pure returns (uint256) {
        uint256 first;
        uint256 second;
        assembly ("memory-safe") {
            first := a
            second := b
        }
        return Hamming.distanceBits(first, second, words);
    }

    /// Of four words: the protocol's default, and one turn of the library's unrolled loop.
    function _distanceBits(uint256[4] calldata a, uint256[4] calldata b, uint256 mask) private view returns (uint256) {
        return this.distanceBits(
            [a[0] & mask, a[1] & mask, a[2] & mask, a[3] & mask],
            [b[0] & mask, b[1] & mask, b[2] & mask, b[3] & mask],
            4
        );
    }

    function _from(uint256 low) private pure returns (uint256 mask) {
        return low < 256 ? type(uint256).max << low : 0;
    }

    function _within(uint256 low, uint256 end) private pure returns (uint256 mask) {
        return _from(low) & ~_from(end);
    }

    /// The same number below a power of two, but known to the prover: one path each.
    function _each(uint8 place, uint256 count) private pure returns (uint256 known) {
        for (uint256 bit = count / 2; bit != 0; bit >>= 1) {
            if (place & bit != 0) known |= bit;
        }
    }
}
