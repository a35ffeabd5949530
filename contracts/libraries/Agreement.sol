// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Fixed} from "./Fixed.sol";
import {Hamming} from "./Hamming.sol";
import {Mem} from "./Mem.sol";
import {Reports} from "./Reports.sol";
import {Poll, Rows} from "./Rows.sol";

/// What the cluster agrees on. Verifiers are indices and bits; without quorum `clusterMask` is 0 and the rest void.
struct Consensus {
    uint256 medoid;
    uint256 clusterMask;
    uint256[] distancesBits; // per verifier index; NONE for whoever gave no report that counts
    bool unanimous; // the cluster holds at least 3/4 of committee stake
    uint256 lossMicronats;
    uint256[] rows; // per trainer, packed as in a report
    uint256[] sums; // per verifier index: minima << 128 | maxima of the gains it names and those agreed on; 0 outside the cluster
}

/// From reports to one opinion: LSH distance about floats, stake-weighted medians about integers.
/// src/gradmint/spec/agreement.py.
///
/// @dev Stakes are below 2^128 and at most 32 of them are added; distances are below 2^12: no sum here overflows.
library Agreement {
    using Mem for uint256[];

    uint256 internal constant NONE = type(uint256).max;

    /// Reports that count, in verifier order.
    struct Present {
        uint256 count;
        uint256[] verifiers;
        uint256[] stakesWei;
        uint256[] reports; // offsets in calldata
        uint256[] distancesBits; // of all pairs, row by row
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
        consensus = gather(stakesWei, reports, revealed, words, acceptBits);
        (consensus.rows, consensus.sums) =
            Rows.hear(consensus.clusterMask, stakesWei, reports, revealed, Reports.rowsAt(words), trainers);
    }

    /// Consensus without rows and sums, from loss and words alone: of each report no more than its head is read.
    function gather(
        uint256[] memory stakesWei,
        bytes[] calldata heads,
        uint256 revealed,
        uint256 words,
        uint256 acceptBits
    ) internal pure returns (Consensus memory consensus) {
        unchecked {
            Present memory present = _present(stakesWei, heads, revealed);
            if (present.count == 0) return consensus;
            _measure(present, words);
            uint256 medoid = findMedoid(present.distancesBits, present.stakesWei, present.count, acceptBits);

            uint256 committeeWei;
            for (uint256 v; v < stakesWei.length; ++v) {
                committeeWei += stakesWei.get(v);
            }
            consensus.medoid = present.verifiers.get(medoid);
            consensus.distancesBits = _distancesFrom(present, medoid, stakesWei.length);
            (uint256 clusterMask, uint256 clusterWei) = _keepNear(present, medoid, acceptBits);
            if (3 * clusterWei <= 2 * committeeWei) return consensus;

            consensus.clusterMask = clusterMask;
            consensus.unanimous = 4 * clusterWei >= 3 * committeeWei;
            consensus.lossMicronats = _loss(present, clusterWei);
        }
    }

    /// One slice of the rows. Slices' rows end to end, and their sums added, are those of the whole.
    /// @param rowsOf `count` packed rows of each verifier in the mask `revealed`, in index order.
    function hear(
        Consensus memory consensus,
        uint256[] memory stakesWei,
        bytes[] calldata rowsOf,
        uint256 revealed,
        uint256 count
    ) internal pure returns (uint256[] memory rows, uint256[] memory sums) {
        return Rows.hear(consensus.clusterMask, stakesWei, rowsOf, revealed, 0, count);
    }

    /// How much of the gains that one verifier names is the consensus's: sum of minima over sum of maxima.
    function agreementQ32(uint256 sums) internal pure returns (uint256) {
        uint256 most = uint128(sums);
        return most == 0 ? Fixed.ONE_Q32 : Fixed.mulDivDown(sums >> 128, Fixed.ONE_Q32, most);
    }

    /// Position of the report with the most neighbouring stake; ties by least total distance to its neighbours, then order.
    function findMedoid(uint256[] memory distancesBits, uint256[] memory stakesWei, uint256 count, uint256 acceptBits)
        internal
        pure
        returns (uint256 medoid)
    {
        unchecked {
            uint256 mostWei;
            uint256 leastBits = type(uint256).max;
            for (uint256 i; i < count; ++i) {
                uint256 nearWei;
                uint256 nearBits;
                for (uint256 j; j < count; ++j) {
                    uint256 d = distancesBits.get(i * count + j);
                    if (d <= acceptBits) {
                        nearWei += stakesWei.get(j);
                        nearBits += d;
                    }
                }
                if (nearWei > mostWei || (nearWei == mostWei && nearBits < leastBits)) {
                    (medoid, mostWei, leastBits) = (i, nearWei, nearBits);
                }
            }
        }
    }

    function _present(uint256[] memory stakesWei, bytes[] calldata reports, uint256 revealed)
        private
        pure
        returns (Present memory present)
    {
        unchecked {
            uint256 most = reports.length;
            present.verifiers = new uint256[](most);
            present.stakesWei = new uint256[](most);
            present.reports = new uint256[](most);
            uint256 n;
            uint256 next;
            for (uint256 v; v < stakesWei.length; ++v) {
                if ((revealed >> v) & 1 == 0) continue;
                bytes calldata report = reports[next++];
                uint256 stakeWei = stakesWei.get(v);
                if (stakeWei == 0) continue;
                present.verifiers.set(n, v);
                present.stakesWei.set(n, stakeWei);
                present.reports.set(n, Reports.locate(report));
                ++n;
            }
            present.count = n;
        }
    }

    function _measure(Present memory present, uint256 words) private pure {
        unchecked {
            uint256 n = present.count;
            uint256[] memory distancesBits = new uint256[](n * n);
            present.distancesBits = distancesBits;
            for (uint256 i; i < n; ++i) {
                uint256 a = present.reports.get(i) + Reports.WORDS_AT;
                for (uint256 j = i + 1; j < n; ++j) {
                    uint256 d = Hamming.distanceBits(a, present.reports.get(j) + Reports.WORDS_AT, words);
                    distancesBits.set(i * n + j, d);
                    distancesBits.set(j * n + i, d);
                }
            }
        }
    }

    function _distancesFrom(Present memory present, uint256 medoid, uint256 verifiers)
        private
        pure
        returns (uint256[] memory distancesBits)
    {
        unchecked {
            distancesBits = new uint256[](verifiers);
            for (uint256 v; v < verifiers; ++v) {
                distancesBits.set(v, NONE);
            }
            uint256 n = present.count;
            for (uint256 i; i < n; ++i) {
                distancesBits.set(present.verifiers.get(i), present.distancesBits.get(medoid * n + i));
            }
        }
    }

    /// Drops whoever is not near the medoid.
    function _keepNear(Present memory present, uint256 medoid, uint256 acceptBits)
        private
        pure
        returns (uint256 clusterMask, uint256 clusterWei)
    {
        unchecked {
            uint256 kept;
            uint256 n = present.count;
            for (uint256 i; i < n; ++i) {
                if (present.distancesBits.get(medoid * n + i) > acceptBits) continue;
                clusterMask |= 1 << present.verifiers.get(i);
                clusterWei += present.stakesWei.get(i);
                present.stakesWei.set(kept, present.stakesWei.get(i));
                present.reports.set(kept, present.reports.get(i));
                ++kept;
            }
            present.count = kept; // distances are of no use from here on
        }
    }

    function _loss(Present memory present, uint256 totalWei) private pure returns (uint256) {
        unchecked {
            Poll memory poll = Rows.poll(present.count, totalWei);
            uint256 member = Mem.first(poll.members);
            for (uint256 k; k < present.count; ++k) {
                Mem.write(member + 0x20, Reports.lossMicronats(present.reports.get(k)) << 224);
                Mem.write(member + 0xa0, present.stakesWei.get(k));
                member += Rows.MEMBER_SIZE;
            }
            return Rows.column(poll, 0) >> 96;
        }
    }
}
