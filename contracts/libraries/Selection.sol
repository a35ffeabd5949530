// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Fixed} from "./Fixed.sol";
import {Mem} from "./Mem.sol";
import {Rating} from "./Rating.sol";
import {Sort} from "./Sort.sol";
import {Leaf} from "./Standings.sol";

/// Whom a round pays: select of src/gradmint/spec/mechanism.py. Trainers are players, one word each:
///
///     rank 32 | strength 104 (Rating's) | spare 55 | failed 1 | address of what is due to it 32 | address of its standing 32
///
/// @dev Nothing overflows: 1,024 weights below 2^94, ordinals below 2^60, addresses in memory below 2^32.
library Selection {
    /// Leaves of everybody's due what is paid this round and 0 for whoever is not; returns the sum that these are parts of.
    ///
    /// The best `top` by rating ordinal are paid, of those to whom anything is due (ties: the lower index first). For each of
    /// them whose update is not OK the next best of the `reserve` behind them whose update is OK steps in. Whom nobody replaces
    /// stays in the sum: the absent's part is not handed to the others.
    /// @param judged Players, in any order.
    function select(uint256 top, uint256 reserve, uint256[] memory judged) internal pure returns (uint256 total) {
        unchecked {
            // Where all are members, their order does not matter.
            uint256[] memory ranking = judged.length > top ? _rank(judged) : judged;
            (uint256 first, uint256 end) = (Mem.first(ranking), Mem.end(ranking));
            uint256 split = Fixed.min(first + 32 * top, end);
            uint256 replaced;
            if (split != end) (replaced, total) = _replace(reserve, first, split, end);
            for (uint256 slot = first; slot < split; slot += 32) {
                uint256 one = Mem.read(slot);
                uint256 place = dueOf(one);
                uint256 part = Mem.read(place);
                if (failed(one)) {
                    Mem.write(place, 0);
                    if (replaced > 0) (replaced, part) = (replaced - 1, 0); // somebody came for it
                }
                total += part;
            }
        }
    }

    /// Those to whom anything is due, best ordinal first, then lowest index: one word each that tells what a player tells.
    function _rank(uint256[] memory judged) private pure returns (uint256[] memory ranking) {
        unchecked {
            ranking = new uint256[](judged.length);
            uint256 to = Mem.first(ranking);
            uint256 end = Mem.end(judged);
            for (uint256 slot = Mem.first(judged); slot < end; slot += 32) {
                uint256 one = Mem.read(slot);
                if (Mem.read(dueOf(one)) == 0) continue;
                uint256 key = uint256((1 << 63) - Rating.ordinalQ32(leafOf(one)));
                // A lower index has the lower address; whether it failed must not come before that.
                Mem.write(to, key << 65 | uint256(uint32(one >> 32)) << 32 | (one >> 64) & 1);
                to += 32;
            }
            Mem.truncate(ranking, to);
            Sort.sort(ranking);
        }
    }

    /// Lets reserves, from `split` on, step in for members before it; strikes out what is due to all others there. Returns how
    /// many step in, and what is due to them.
    function _replace(uint256 reserve, uint256 first, uint256 split, uint256 end)
        private
        pure
        returns (uint256 replaced, uint256 total)
    {
        unchecked {
            uint256 missing;
            for (uint256 slot = first; slot < split; slot += 32) {
                if (failed(Mem.read(slot))) ++missing;
            }
            uint256 behind = split + 32 * reserve;
            for (uint256 slot = split; slot < end; slot += 32) {
                uint256 one = Mem.read(slot);
                uint256 place = dueOf(one);
                if (slot < behind && replaced < missing && !failed(one)) {
                    ++replaced;
                    total += Mem.read(place);
                } else {
                    Mem.write(place, 0);
                }
            }
        }
    }

    /// Ranked by common gain, the best possible one 0; failed checks and the missing tie for last.
    function player(Leaf leaf, uint256 row, uint256 toDue) internal pure returns (uint256 made) {
        assembly ("memory-safe") {
            let lost := gt(shr(64, row), 0)
            made := shl(224, or(sub(0x7fffffff, shr(32, row)), sub(0, lost))) // of both terms 32 bits are left
            made := or(or(made, shl(64, lost)), or(shl(32, toDue), leaf))
        }
    }

    function leafOf(uint256 one) internal pure returns (Leaf) {
        return Leaf.wrap(uint32(one));
    }

    function dueOf(uint256 one) internal pure returns (uint256) {
        return uint32(one >> 32);
    }

    function failed(uint256 one) internal pure returns (bool) {
        return one & (1 << 64 | 1) != 0; // bit 0 in a ranking; a player's is its standing's address, a multiple of 32
    }
}
