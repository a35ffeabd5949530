// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Hamming} from "./Hamming.sol";
import {Mem} from "./Mem.sol";
import {Reports} from "./Reports.sol";

/// What the cluster agrees on. Verifiers are indices and bits; without quorum `clusterMask` is 0 and the rest void.
struct Consensus {
    uint256 medoid;
    uint256 clusterMask;
    uint256[] distancesBits; // per verifier index; NONE for whoever gave no report that counts
    bool unanimous; // the cluster holds at least 3/4 of committee stake
    uint256 lossMicronats;
    uint256[] rows; // per trainer, packed as in a report
}

/// From reports to one opinion: LSH distance about floats, stake-weighted medians about integers.
/// src/gradmint/spec/agreement.py.
/// @dev Stakes are below 2^128 and at most 32 of them are added; distances are below 2^12: no sum here overflows.
library Agreement {
    uint256 internal constant NONE = type(uint256).max;

    /// Columns of a row, and what turns its int32 into unsigned numbers of the same order.
    uint256 private constant VERDICT = 0xff << 64;
    uint256 private constant COMMON = 0xffffffff << 32;
    uint256 private constant ASSIGNED = 0xffffffff;
    uint256 private constant BIAS = 0x8000000080000000;

    /// Reports that count, in verifier order.
    struct Present {
        uint256 count;
        uint256[] verifiers;
        uint256[] stakesWei;
        uint256[] reports; // offsets in calldata
        uint256[] distancesBits; // of all pairs, row by row
    }

    /// What each member of the cluster said of one thing, and room to sort it.
    struct Poll {
        uint256 count;
        uint256[] said;
        uint256[] stakesWei;
        uint256[] keys; // and a sentinel
        uint256 totalWei;
    }

    /// Consensus of the committee. Quorum: cluster stake > 2/3 of committee stake.
    /// @param stakesWei Per verifier index; 0 outside this round's committee, whose report counts for nothing.
    /// @param reports Of the verifiers in the mask `revealed`, in index order.
    function agree(
        uint256[] memory stakesWei,
        bytes[] calldata reports,
        uint256 revealed,
        uint256 words,
        uint256 acceptBits,
        uint256 trainers
    ) internal pure returns (Consensus memory consensus) {
        Present memory present = _present(stakesWei, reports, revealed);
        if (present.count == 0) return consensus;
        _measure(present, words);
        uint256 medoid = findMedoid(present.distancesBits, present.stakesWei, present.count, acceptBits);

        uint256 committeeWei;
        for (uint256 v; v < stakesWei.length; ++v) {
            committeeWei += stakesWei[v];
        }
        consensus.medoid = present.verifiers[medoid];
        consensus.distancesBits = _distancesFrom(present, medoid, stakesWei.length);
        (uint256 clusterMask, uint256 clusterWei) = _keepNear(present, medoid, acceptBits);
        if (3 * clusterWei <= 2 * committeeWei) return consensus;

        consensus.clusterMask = clusterMask;
        consensus.unanimous = 4 * clusterWei >= 3 * committeeWei;
        _medians(consensus, present, clusterWei, words, trainers);
    }

    /// Position of the report with the most neighbouring stake; ties by least total distance to its neighbours, then order.
    function findMedoid(uint256[] memory distancesBits, uint256[] memory stakesWei, uint256 count, uint256 acceptBits)
        internal
        pure
        returns (uint256 medoid)
    {
        uint256 mostWei;
        uint256 leastBits = type(uint256).max;
        for (uint256 i; i < count; ++i) {
            uint256 nearWei;
            uint256 nearBits;
            for (uint256 j; j < count; ++j) {
                uint256 d = distancesBits[i * count + j];
                if (d <= acceptBits) {
                    nearWei += stakesWei[j];
                    nearBits += d;
                }
            }
            if (nearWei > mostWei || (nearWei == mostWei && nearBits < leastBits)) {
                (medoid, mostWei, leastBits) = (i, nearWei, nearBits);
            }
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

    function _present(uint256[] memory stakesWei, bytes[] calldata reports, uint256 revealed)
        private
        pure
        returns (Present memory present)
    {
        uint256 most = reports.length;
        present.verifiers = new uint256[](most);
        present.stakesWei = new uint256[](most);
        present.reports = new uint256[](most);
        uint256 n;
        uint256 next;
        for (uint256 v; v < stakesWei.length; ++v) {
            if ((revealed >> v) & 1 == 0) continue;
            bytes calldata report = reports[next++];
            if (stakesWei[v] == 0) continue;
            (present.verifiers[n], present.stakesWei[n], present.reports[n]) = (v, stakesWei[v], Reports.locate(report));
            ++n;
        }
        present.count = n;
    }

    function _measure(Present memory present, uint256 words) private pure {
        uint256 n = present.count;
        present.distancesBits = new uint256[](n * n);
        for (uint256 i; i < n; ++i) {
            for (uint256 j = i + 1; j < n; ++j) {
                uint256 d = Hamming.distanceBits(
                    present.reports[i] + Reports.WORDS_AT, present.reports[j] + Reports.WORDS_AT, words
                );
                present.distancesBits[i * n + j] = d;
                present.distancesBits[j * n + i] = d;
            }
        }
    }

    function _distancesFrom(Present memory present, uint256 medoid, uint256 verifiers)
        private
        pure
        returns (uint256[] memory distancesBits)
    {
        distancesBits = new uint256[](verifiers);
        for (uint256 v; v < verifiers; ++v) {
            distancesBits[v] = NONE;
        }
        for (uint256 i; i < present.count; ++i) {
            distancesBits[present.verifiers[i]] = present.distancesBits[medoid * present.count + i];
        }
    }

    /// Drops whoever is not near the medoid.
    function _keepNear(Present memory present, uint256 medoid, uint256 acceptBits)
        private
        pure
        returns (uint256 clusterMask, uint256 clusterWei)
    {
        uint256 kept;
        for (uint256 i; i < present.count; ++i) {
            if (present.distancesBits[medoid * present.count + i] > acceptBits) continue;
            clusterMask |= 1 << present.verifiers[i];
            clusterWei += present.stakesWei[i];
            (present.stakesWei[kept], present.reports[kept]) = (present.stakesWei[i], present.reports[i]);
            ++kept;
        }
        present.count = kept; // distances are of no use from here on
    }

    /// Loss and rows of the cluster: the kept reports, weighed by their stakes, `totalWei` together.
    function _medians(
        Consensus memory consensus,
        Present memory present,
        uint256 totalWei,
        uint256 words,
        uint256 trainers
    ) private pure {
        unchecked {
            uint256 n = present.count;
            Poll memory poll = Poll(n, new uint256[](n), present.stakesWei, new uint256[](n + 1), totalWei);
            poll.keys[n] = type(uint256).max; // no key is above it

            for (uint256 k; k < n; ++k) {
                poll.said[k] = Reports.lossMicronats(present.reports[k]) << 224;
            }
            consensus.lossMicronats = _column(poll, 0, 96);

            uint256[] memory rows = new uint256[](trainers);
            uint256 rowAt = Reports.rowsAt(words);
            uint256 end = Mem.end(rows);
            for (uint256 to = Mem.first(rows); to < end; to += 32) {
                (uint256 row, uint256 differs) = _hear(poll.said, present.reports, n, rowAt);
                // Where all say the same, that is the median; else it is what the cluster's stakes say.
                if (differs & VERDICT != 0) row = row & ~VERDICT | _column(poll, 0, 120) << 64;
                if (differs & COMMON != 0) row = row & ~COMMON | _column(poll, 8, 96) << 32;
                if (differs & ASSIGNED != 0) row = row & ~ASSIGNED | _column(poll, 40, 96);
                Mem.write(to, row ^ BIAS);
                rowAt += Reports.ROW_SIZE;
            }
            consensus.rows = rows;
        }
    }

    /// Notes everybody's row at the top of a word, biased so that its signed columns compare like unsigned numbers. Returns
    /// the last of them and the bits in which any other differs.
    function _hear(uint256[] memory said, uint256[] memory reports, uint256 count, uint256 rowAt)
        private
        pure
        returns (uint256 row, uint256 differs)
    {
        assembly ("memory-safe") {
            rowAt := sub(rowAt, 23) // of the word that the row ends, as in Reports.row
            let k := shl(5, count)
            row := xor(calldataload(add(mload(add(reports, k)), rowAt)), BIAS)
            for {} k { k := sub(k, 0x20) } {
                let other := xor(calldataload(add(mload(add(reports, k)), rowAt)), BIAS)
                differs := or(differs, xor(row, other))
                mstore(add(said, k), shl(184, other))
            }
            row := and(row, 0xffffffffffffffffff)
        }
    }

    /// Weighted median of one column of what everybody said: `left` shifts it to the top of a word, where the columns behind
    /// it break ties at most; `right` shifts the median's upper half down to the column alone.
    function _column(Poll memory poll, uint256 left, uint256 right) private pure returns (uint256) {
        uint256[] memory said = poll.said;
        uint256[] memory stakesWei = poll.stakesWei;
        uint256[] memory keys = poll.keys;
        uint256 size = 32 * poll.count;
        assembly ("memory-safe") {
            // Insertion sort from the back, up to the sentinel behind the last key: at most 32 keys.
            for { let k := size } k { k := sub(k, 0x20) } {
                let key := or(shl(left, mload(add(said, k))), mload(add(stakesWei, k)))
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
        return weightedMedian(keys, poll.totalWei) >> right;
    }
}
