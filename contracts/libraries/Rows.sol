// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Hamming} from "./Hamming.sol";
import {Mem} from "./Mem.sol";
import {Reports} from "./Reports.sol";

/// The cluster, and room to sort what it says. A member is six words:
///
///     0x00 where its rows begin in calldata    0x20 three rows, biased    0x40 their lanes, to be sorted
///     0x60 lanes: sum of gains    0x80 lanes: sum of what they exceed the agreed ones by    0xa0 stake
struct Poll {
    uint256[] members;
    uint256[] keys; // one each, and a sentinel
    uint256 totalWei;
    bool equal; // all stakes are the same
}

/// What the cluster says of the trainers: medians of its rows, and how near each member's gains are to them. The part of
/// src/gradmint/spec/agreement.py that looks at every row.
///
/// Rows are heard three at a time: 27 bytes of a word above 5 unused ones. Comparing two such words compares the lanes of all
/// three rows at once: subtract with a guard bit set above each lane, and the guard is left where there was nothing to borrow.
///
/// @dev Verdicts are at most 7, which the reveal checks. Stakes are below 2^128 and at most 32 of them are added; gains are below
/// 2^31 and at most 512 are added in a lane of 40 bits: no sum here overflows.
library Rows {
    using Mem for uint256[];

    uint256 internal constant MEMBER_SIZE = 0xc0;

    /// The columns of three rows, 18 digits each.
    uint256 private constant VERDICTS = 0xff0000000000000000ff0000000000000000ff00000000000000000000000000;
    uint256 private constant COMMONS = 0x00ffffffff0000000000ffffffff0000000000ffffffff000000000000000000;
    uint256 private constant ASSIGNEDS = 0x0000000000ffffffff0000000000ffffffff0000000000ffffffff0000000000;
    uint256 private constant ROW = (1 << 72) - 1;

    /// Turns int32 columns into unsigned ones of the same order.
    uint256 private constant BIAS = 0x0080000000800000000080000000800000000080000000800000000000000000;
    /// Above a row's gains when these are a bit apart, and above its verdict when that is at the row's end.
    uint256 private constant GUARDS = 0x0200000001000000000200000001000000000200000001000000000000000000;
    /// Above all verdicts; the common gain's sign; both columns that make a gain count.
    uint256 private constant TOPS = 0x8000000000000000008000000000000000008000000000000000000000000000;
    uint256 private constant SIGNS = 0x0080000000000000000080000000000000000080000000000000000000000000;
    uint256 private constant VERDICTS_AND_SIGNS = 0xff8000000000000000ff8000000000000000ff80000000000000000000000000;

    /// Of so many members, whose stakes and rows are to be filled in.
    function poll(uint256 count, uint256 totalWei) internal pure returns (Poll memory made) {
        made.members = new uint256[](count * MEMBER_SIZE / 32);
        made.keys = new uint256[](count + 1);
        made.keys[count] = type(uint256).max; // no key is above it
        made.totalWei = totalWei;
    }

    /// Rows that lie `skip` bytes into what each of the `revealed` gave.
    function hear(
        uint256 clusterMask,
        uint256[] memory stakesWei,
        bytes[] calldata given,
        uint256 revealed,
        uint256 skip,
        uint256 count
    ) internal pure returns (uint256[] memory rows, uint256[] memory sums) {
        if (clusterMask == 0) return (rows, sums);
        unchecked {
            Poll memory cluster = _members(clusterMask, stakesWei, given, revealed, skip);
            rows = new uint256[](count + 2); // the last three may be fewer
            Mem.truncate(rows, Mem.end(rows) - 64);
            uint256 agreed; // lanes: sum of agreed gains
            uint256 end = Mem.end(rows);
            uint256 offset;
            for (uint256 to = Mem.first(rows); to < end; to += 96) {
                uint256 left = end - to;
                uint256 keep = type(uint256).max << (left > 64 ? 40 : left == 64 ? 112 : 184);
                (uint256 three, uint256 differs) = _listen(cluster.members, offset, keep);
                // Where all say the same, that is the median; else it is what the cluster's stakes say.
                if (differs != 0) {
                    three = cluster.equal ? _lower(cluster.members, three, differs) : _weigh(cluster, three, differs);
                }
                three ^= BIAS;
                Mem.write(to, three >> 184);
                Mem.write(to + 32, (three >> 112) & ROW);
                Mem.write(to + 64, (three >> 40) & ROW);
                agreed += _compare(cluster.members, three);
                offset += 3 * Reports.ROW_SIZE;
            }

            agreed = _fold(agreed);
            sums = new uint256[](stakesWei.length);
            uint256 member = Mem.first(cluster.members);
            for (uint256 v; v < stakesWei.length; ++v) {
                if ((clusterMask >> v) & 1 == 0) continue;
                uint256 above = _fold(Mem.read(member + 0x80));
                sums[v] = (_fold(Mem.read(member + 0x60)) - above) << 128 | agreed + above;
                member += MEMBER_SIZE;
            }
        }
    }

    function _members(
        uint256 clusterMask,
        uint256[] memory stakesWei,
        bytes[] calldata given,
        uint256 revealed,
        uint256 skip
    ) private pure returns (Poll memory cluster) {
        unchecked {
            cluster = poll(Hamming.popcount(clusterMask), 0);
            cluster.equal = true;
            uint256 member = Mem.first(cluster.members);
            uint256 stakeWei; // of the member before
            uint256 next;
            for (uint256 v; v < stakesWei.length; ++v) {
                if ((revealed >> v) & 1 == 0) continue;
                bytes calldata one = given[next++];
                if ((clusterMask >> v) & 1 == 0) continue;
                if (stakeWei != stakesWei.get(v) && stakeWei != 0) cluster.equal = false;
                stakeWei = stakesWei.get(v);
                cluster.totalWei += stakeWei;
                Mem.write(member, Reports.locate(one) + skip);
                Mem.write(member + 0xa0, stakeWei);
                member += MEMBER_SIZE;
            }
        }
    }

    /// Notes everybody's next rows, biased so that signed columns compare like unsigned numbers; as many of the three as there
    /// are bits in `keep`. Returns the last of them and the bits in which any other differs.
    function _listen(uint256[] memory members, uint256 offset, uint256 keep)
        private
        pure
        returns (uint256 three, uint256 differs)
    {
        assembly ("memory-safe") {
            let member := add(members, 0x20)
            let end := add(member, shl(5, mload(members)))
            three := and(xor(calldataload(add(mload(member), offset)), BIAS), keep)
            for {} lt(member, end) { member := add(member, MEMBER_SIZE) } {
                let other := and(xor(calldataload(add(mload(member), offset)), BIAS), keep)
                differs := or(differs, xor(three, other))
                three := other
                mstore(add(member, 0x20), other)
            }
        }
    }

    /// Lower medians of equal stakes, lane by lane: the k-th smallest of 2 k or 2 k - 1.
    function _lower(uint256[] memory members, uint256 three, uint256 differs) private pure returns (uint256 lower) {
        unchecked {
            lower = three;
            if (differs & VERDICTS != 0) {
                lower = lower & ~VERDICTS | _select(members, VERDICTS, 0, 64) << 64;
            }
            if (differs & ~VERDICTS != 0) {
                uint256 gains = _select(members, ~VERDICTS, COMMONS, 0);
                lower = lower & VERDICTS | gains & ASSIGNEDS | (gains >> 1) & COMMONS;
            }
        }
    }

    /// Of what everybody said it takes the bits in `mask`, moved right by `right` bits, and adds those in `twice` once more,
    /// which moves them left by one: there is a guard above each lane then.
    function _select(uint256[] memory members, uint256 mask, uint256 twice, uint256 right)
        private
        pure
        returns (uint256)
    {
        uint256 words = members.length;
        return words == 4 * MEMBER_SIZE / 32 || words == 3 * MEMBER_SIZE / 32
            ? _selectOfFour(members, mask, twice, right)
            : _selectOfMany(members, mask, twice, right);
    }

    /// The second smallest of four. Where three were heard, the fourth is the largest that there is.
    /// @dev On the stack, for less than half of what it costs in memory.
    function _selectOfFour(uint256[] memory members, uint256 mask, uint256 twice, uint256 right)
        private
        pure
        returns (uint256 lower)
    {
        assembly ("memory-safe") {
            let a := and(mload(add(members, 0x40)), mask)
            a := add(shr(right, a), and(a, twice))
            let b := and(mload(add(members, 0x100)), mask)
            b := add(shr(right, b), and(b, twice))
            let c := and(mload(add(members, 0x1c0)), mask)
            c := add(shr(right, c), and(c, twice))
            let d := sub(GUARDS, shr(32, GUARDS)) // every lane full
            if gt(shl(5, mload(members)), mul(3, MEMBER_SIZE)) {
                d := and(mload(add(members, 0x280)), mask)
                d := add(shr(right, d), and(d, twice))
            }
            let guards := and(sub(or(a, GUARDS), b), GUARDS) // left where a >= b
            let swap := and(xor(a, b), sub(guards, shr(32, guards)))
            a := xor(a, swap)
            b := xor(b, swap)
            guards := and(sub(or(c, GUARDS), d), GUARDS)
            swap := and(xor(c, d), sub(guards, shr(32, guards)))
            c := xor(c, swap)
            d := xor(d, swap)
            // The larger of both smaller ones, the smaller of both larger ones, and of these two the smaller.
            guards := and(sub(or(a, GUARDS), c), GUARDS)
            lower := xor(c, and(xor(a, c), sub(guards, shr(32, guards))))
            guards := and(sub(or(b, GUARDS), d), GUARDS)
            b := xor(b, and(xor(b, d), sub(guards, shr(32, guards))))
            guards := and(sub(or(lower, GUARDS), b), GUARDS)
            lower := xor(lower, and(xor(lower, b), sub(guards, shr(32, guards))))
        }
    }

    function _selectOfMany(uint256[] memory members, uint256 mask, uint256 twice, uint256 right)
        private
        pure
        returns (uint256 lower)
    {
        assembly ("memory-safe") {
            let size := shl(5, mload(members))
            let first := add(members, 0x60)
            let end := add(first, size)
            lower := and(mload(sub(first, 0x20)), mask)
            lower := add(shr(right, lower), and(lower, twice))
            // The first pass keeps the smallest and notes the others, every further one takes the smallest of what is left.
            first := add(first, MEMBER_SIZE)
            for { let at := first } lt(at, end) { at := add(at, MEMBER_SIZE) } {
                let other := and(mload(sub(at, 0x20)), mask)
                other := add(shr(right, other), and(other, twice))
                let guards := and(sub(or(lower, GUARDS), other), GUARDS) // left where lower >= other
                let swap := and(xor(lower, other), sub(guards, shr(32, guards)))
                lower := xor(lower, swap)
                mstore(at, xor(other, swap))
            }
            for { let left := sub(div(add(size, MEMBER_SIZE), mul(2, MEMBER_SIZE)), 1) } left { left := sub(left, 1) } {
                lower := mload(first)
                first := add(first, MEMBER_SIZE)
                for { let at := first } lt(at, end) { at := add(at, MEMBER_SIZE) } {
                    let other := mload(at)
                    let guards := and(sub(or(lower, GUARDS), other), GUARDS)
                    let swap := and(xor(lower, other), sub(guards, shr(32, guards)))
                    lower := xor(lower, swap)
                    mstore(at, xor(other, swap))
                }
            }
        }
    }

    /// Weighted medians of unlike stakes, disputed column by disputed column.
    function _weigh(Poll memory cluster, uint256 three, uint256 differs) private pure returns (uint256) {
        unchecked {
            for (uint256 left; left < 216; left += 72) {
                three = _replace(cluster, three, differs, left, 8);
                three = _replace(cluster, three, differs, left + 8, 32);
                three = _replace(cluster, three, differs, left + 40, 32);
            }
            return three;
        }
    }

    /// Puts the weighted median into one column, `left` bits from the top, if that is disputed.
    function _replace(Poll memory cluster, uint256 three, uint256 differs, uint256 left, uint256 bits)
        private
        pure
        returns (uint256)
    {
        unchecked {
            uint256 right = 256 - left - bits;
            uint256 mask = ((1 << bits) - 1) << right;
            if (differs & mask == 0) return three;
            return three & ~mask | (column(cluster, left) >> (128 - bits)) << right;
        }
    }

    /// Weighted median of what everybody said from bit `left` on: the upper half of a word, in which the columns behind the
    /// first break ties at most.
    function column(Poll memory cluster, uint256 left) internal pure returns (uint256) {
        uint256[] memory members = cluster.members;
        uint256[] memory keys = cluster.keys;
        assembly ("memory-safe") {
            // Insertion sort from the back, up to the sentinel behind the last key: at most 32 keys.
            let member := add(add(members, 0x20), shl(5, mload(members)))
            for { let k := shl(5, sub(mload(keys), 1)) } k { k := sub(k, 0x20) } {
                member := sub(member, MEMBER_SIZE)
                let key := or(shl(128, shr(128, shl(left, mload(add(member, 0x20))))), mload(add(member, 0xa0)))
                let place := add(keys, k)
                let next := add(place, 0x20)
                for { let after := mload(next) } gt(key, after) { after := mload(next) } {
                    mstore(place, after)
                    place := next
                    next := add(next, 0x20)
                }
                mstore(place, key)
            }
        }
        return weightedMedian(keys, cluster.totalWei);
    }

    /// Adds up everybody's gains, and what they exceed the agreed ones by. Returns the agreed ones, in their lanes.
    function _compare(uint256[] memory members, uint256 three) private pure returns (uint256 agreed) {
        assembly ("memory-safe") {
            // What counts of three rows: positive common gains of valid updates. The top bit is left where nothing is subtracted
            // from it; it becomes a mask of the 31 bits from 32 on.
            let valid := and(sub(TOPS, and(three, VERDICTS_AND_SIGNS)), TOPS)
            agreed := and(three, sub(shr(8, valid), shr(39, valid)))
            let member := add(members, 0x20)
            for { let end := add(member, shl(5, mload(members))) } lt(member, end) {
                member := add(member, MEMBER_SIZE)
            } {
                let gains := xor(mload(add(member, 0x20)), BIAS)
                valid := and(sub(TOPS, and(gains, VERDICTS_AND_SIGNS)), TOPS)
                gains := and(gains, sub(shr(8, valid), shr(39, valid)))
                mstore(add(member, 0x60), add(mload(add(member, 0x60)), gains))

                let over := sub(or(gains, SIGNS), agreed)
                let guards := and(over, SIGNS) // left where gains >= agreed
                mstore(add(member, 0x80), add(mload(add(member, 0x80)), and(over, sub(guards, shr(31, guards)))))
            }
        }
    }

    /// Sum of the lanes.
    function _fold(uint256 lanes) private pure returns (uint256) {
        unchecked {
            return (lanes >> 216) + ((lanes >> 144) & ROW) + ((lanes >> 72) & ROW);
        }
    }

    /// Lower median of sorted keys (value << 128 | weight): the least value with at least half of all weight at or below it.
    function weightedMedian(uint256[] memory sorted, uint256 totalWeight) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            let left := shr(1, add(totalWeight, 1)) // 2 * below >= total: below reaches half, rounded up
            for { let key := add(sorted, 0x20) } 1 { key := add(key, 0x20) } {
                value := mload(key)
                let weight := and(value, 0xffffffffffffffffffffffffffffffff)
                if iszero(lt(weight, left)) { break }
                left := sub(left, weight)
            }
            value := shr(128, value)
        }
    }
}
