// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Params} from "../interfaces/Types.sol";
import {Agreement, Consensus} from "./Agreement.sol";
import {Fixed} from "./Fixed.sol";
import {Mem} from "./Mem.sol";
import {Leaf, Standings} from "./Standings.sol";

/// The transition's result besides the standings, which change in place.
struct Result {
    Consensus consensus; // clusterMask 0: no quorum, nothing changed
    uint256 paidWei; // sum of this round's payouts
    uint256[] slashedWei; // per verifier index
}

/// settle: old standings + reports -> new standings. The same function, name for name, as src/gradmint/spec/mechanism.py.
///
/// Rules that keep it sound: never multiply two signed numbers; no positive counter offsets a missed duty; every penalty has
/// a bound and a way back; divide by the number who should have come, not who came.
///
/// @dev Bounds behind every unchecked block: value, |proof| and trust never exceed 1.0 = 2^32 (they are means of numbers that
/// do not, and steps are truncated), reputation is below 2^64, so a pay weight is below 2^65; amounts of Wei are below 2^128
/// and gains below 2^31; at most 1,024 trainers and 32 verifiers are added up. No product or sum reaches 2^256.
library Mechanism {
    uint256 private constant OK = 0;
    uint256 private constant MISSING = 1;
    int256 private constant UNSAMPLED = type(int32).min; // assigned gain of a trainer whom the beacon did not choose

    /// One round's transition.
    /// @param standings Packed, `trainers` trainers before the verifiers, each in index order.
    /// @param stakesWei Per verifier; 0 outside the committee.
    /// @param reports Of the verifiers in the mask `revealed`, in index order, each of the length that the run asks for.
    /// @dev Dust of the floor divisions and everything unpaid stays in the budget of later rounds.
    function settle(
        Params calldata params,
        uint256 budgetWei,
        bytes memory standings,
        uint256 trainers,
        uint256[] memory stakesWei,
        bytes[] calldata reports,
        uint256 revealed
    ) internal pure returns (Result memory result) {
        Consensus memory consensus =
            Agreement.agree(stakesWei, reports, revealed, params.words, params.acceptBits, trainers);
        result.consensus = consensus;
        if (consensus.clusterMask == 0) {
            // Nobody is judged by what they said; who said nothing is part of why there is no quorum.
            result.slashedWei = slash(params, stakesWei, silent(stakesWei.length, revealed), false);
            return result;
        }

        uint256[] memory rows = consensus.rows;
        uint256 potWei = Fixed.bpsDown(budgetWei, params.verifierShareBps);

        prove(params, standings, rows);
        value(params, standings, rows);
        // The rating (Plackett-Luce over everyone who should have submitted) takes its turn here, before trust.
        trust(params, standings, rows);
        attendTrainers(standings, rows);
        (uint256[] memory parts, uint256 total) = weights(standings, rows);
        uint256 toTrainersWei = pay(standings, 0, parts, total, budgetWei - potWei);

        attendVerifiers(standings, trainers, stakesWei.length, revealed);
        (parts, total) = shares(stakesWei, consensus.clusterMask);
        uint256 toVerifiersWei = pay(standings, trainers, parts, total, potWei);

        result.paidWei = toTrainersWei + toVerifiersWei;
        result.slashedWei = slash(params, stakesWei, consensus.distancesBits, consensus.unanimous);
    }

    /// Computation proof: exponential mean of sign(assigned - common), where the beacon sampled the trainer. It starts at a
    /// half and every sample weighs the same.
    function prove(Params calldata params, bytes memory standings, uint256[] memory rows) internal pure {
        unchecked {
            uint256 weightBps = params.proofWeightBps;
            (Leaf leaf, uint256 place, uint256 end) = _walk(standings, rows);
            for (; place < end; (leaf, place) = (leaf.next(), place + 32)) {
                uint256 row = Mem.read(place);
                int256 assigned = _assigned(row);
                if (_verdict(row) != OK || assigned == UNSAMPLED) continue;
                int256 observed = Fixed.sign(assigned - _common(row)) * int256(Fixed.ONE_Q32);
                leaf.setProofQ32(Fixed.meanTowardOld(leaf.proofQ32(), observed, weightBps));
            }
        }
    }

    /// Running mean of the share of the round's positive common gain; a failed check counts as share 0.
    function value(Params calldata params, bytes memory standings, uint256[] memory rows) internal pure {
        unchecked {
            uint256 leastBps = params.valueWeightBps;
            (Leaf leaf, uint256 place, uint256 end) = _walk(standings, rows);
            uint256 total = _totalGain(place, end);
            for (; place < end; (leaf, place) = (leaf.next(), place + 32)) {
                uint256 shareQ32 = total == 0 ? 0 : Fixed.mulDivDown(_gain(Mem.read(place)), Fixed.ONE_Q32, total);
                uint256 weightBps = Fixed.runningWeightBps(leastBps, leaf.rounds());
                leaf.setValueQ32(uint256(Fixed.meanTowardOld(int256(leaf.valueQ32()), int256(shareQ32), weightBps)));
            }
        }
    }

    /// Penalties multiply, down to the floor; an OK round regains a fixed part of what is missing.
    function trust(Params calldata params, bytes memory standings, uint256[] memory rows) internal pure {
        unchecked {
            uint256 floorQ32 = Fixed.bpsDown(Fixed.ONE_Q32, params.trustFloorBps);
            uint256 recoveryBps = params.recoveryBps;
            (Leaf leaf, uint256 place, uint256 end) = _walk(standings, rows);
            for (; place < end; (leaf, place) = (leaf.next(), place + 32)) {
                uint256 verdict = _verdict(Mem.read(place));
                uint256 trustQ32 = leaf.trustQ32();
                if (verdict == OK) {
                    trustQ32 = uint256(Fixed.meanTowardOld(int256(trustQ32), int256(Fixed.ONE_Q32), recoveryBps));
                } else {
                    trustQ32 = Fixed.bpsDown(trustQ32, params.penaltyBps[verdict]);
                    if (trustQ32 < floorQ32) trustQ32 = floorQ32;
                }
                leaf.setTrustQ32(trustQ32);
            }
        }
    }

    function attendTrainers(bytes memory standings, uint256[] memory rows) internal pure {
        unchecked {
            (Leaf leaf, uint256 place, uint256 end) = _walk(standings, rows);
            for (; place < end; (leaf, place) = (leaf.next(), place + 32)) {
                attend(leaf, _verdict(Mem.read(place)) != MISSING);
            }
        }
    }

    function attendVerifiers(bytes memory standings, uint256 first, uint256 verifiers, uint256 revealed) internal pure {
        unchecked {
            for (uint256 v; v < verifiers; ++v) {
                attend(Standings.leaf(standings, first + v), (revealed >> v) & 1 == 1);
            }
        }
    }

    /// Count the round, and the rounds missed in a row; both saturate.
    function attend(Leaf leaf, bool came) internal pure {
        unchecked {
            uint256 rounds = leaf.rounds();
            uint256 misses = leaf.misses();
            if (rounds < 65_535) ++rounds;
            if (came) misses = 0;
            else if (misses < 255) ++misses;
            leaf.setAttendance(misses, rounds);
        }
    }

    /// Pay weights: value x max(0, proof) x trust x reputation in Q32, 0 without a valid update this round; and the sum over
    /// everyone who should have come: the absent's part is not handed to the others.
    function weights(bytes memory standings, uint256[] memory rows)
        internal
        pure
        returns (uint256[] memory weightsQ32, uint256 total)
    {
        unchecked {
            weightsQ32 = new uint256[](rows.length);
            uint256 to = Mem.first(weightsQ32);
            (Leaf leaf, uint256 place, uint256 end) = _walk(standings, rows);
            for (; place < end; (leaf, place, to) = (leaf.next(), place + 32, to + 32)) {
                int256 proof = leaf.proofQ32();
                if (proof <= 0) continue;
                uint256 weight = Fixed.mulQ32Down(leaf.valueQ32(), uint256(proof));
                weight = Fixed.mulQ32Down(weight, leaf.trustQ32());
                weight = Fixed.mulQ32Down(weight, leaf.reputationQ32());
                total += weight;
                if (_verdict(Mem.read(place)) == OK) Mem.write(to, weight);
            }
        }
    }

    /// The verifiers' shares of their pot: the cluster's stakes; and the whole committee's stake.
    function shares(uint256[] memory stakesWei, uint256 clusterMask)
        internal
        pure
        returns (uint256[] memory sharesWei, uint256 total)
    {
        unchecked {
            sharesWei = new uint256[](stakesWei.length);
            for (uint256 v; v < stakesWei.length; ++v) {
                total += stakesWei[v];
                if ((clusterMask >> v) & 1 == 1) sharesWei[v] = stakesWei[v];
            }
        }
    }

    /// `potWei` x part / total to each leaf from `first` on, rounded down. Returns what was paid in all.
    function pay(bytes memory standings, uint256 first, uint256[] memory parts, uint256 total, uint256 potWei)
        internal
        pure
        returns (uint256 paidWei)
    {
        unchecked {
            if (total == 0) return 0;
            (uint256 place, uint256 end) = (Mem.first(parts), Mem.end(parts));
            for (Leaf leaf = Standings.leaf(standings, first); place < end; (leaf, place) = (leaf.next(), place + 32)) {
                uint256 payoutWei = Fixed.mulDivDown(potWei, Mem.read(place), total);
                leaf.addPaidWei(payoutWei);
                paidWei += payoutWei;
            }
        }
    }

    /// Distances in a round without quorum: none for who did not reveal, nothing to object to for the others.
    function silent(uint256 verifiers, uint256 revealed) internal pure returns (uint256[] memory distancesBits) {
        unchecked {
            distancesBits = new uint256[](verifiers);
            for (uint256 v; v < verifiers; ++v) {
                if ((revealed >> v) & 1 == 0) distancesBits[v] = Agreement.NONE;
            }
        }
    }

    /// Stake each verifier loses: for a far-off report when the rest is unanimous, or for no reveal. Rounded down.
    function slash(Params calldata params, uint256[] memory stakesWei, uint256[] memory distancesBits, bool unanimous)
        internal
        pure
        returns (uint256[] memory slashedWei)
    {
        unchecked {
            slashedWei = new uint256[](stakesWei.length);
            for (uint256 v; v < stakesWei.length; ++v) {
                uint256 bps;
                if (distancesBits[v] == Agreement.NONE) bps = params.livenessBps;
                else if (distancesBits[v] > params.slashBits && unanimous) bps = params.slashBps;
                slashedWei[v] = Fixed.bpsDown(stakesWei[v], bps);
            }
        }
    }

    /// This round's part of what is deposited and not yet promised: an even split over the rounds left.
    function roundBudgetWei(uint256 unpaidWei, uint256 round, uint256 maxRounds) internal pure returns (uint256) {
        return unpaidWei / (maxRounds - round + 1);
    }

    /// A verifier that lost more than half of the required stake leaves the committee.
    function isEjected(uint256 stakeWei, uint256 requiredWei) internal pure returns (bool) {
        return 2 * stakeWei < requiredWei;
    }

    /* WALKING: a leaf, and the row that goes with it */

    function _walk(bytes memory standings, uint256[] memory rows)
        private
        pure
        returns (Leaf leaf, uint256 place, uint256 end)
    {
        return (Standings.leaf(standings, 0), Mem.first(rows), Mem.end(rows));
    }

    function _totalGain(uint256 place, uint256 end) private pure returns (uint256 total) {
        unchecked {
            for (; place < end; place += 32) {
                total += _gain(Mem.read(place));
            }
        }
    }

    /* ROWS: verdict 8 | common 32 | assigned 32, as in a report */

    function _verdict(uint256 row) private pure returns (uint256) {
        return row >> 64;
    }

    function _common(uint256 row) private pure returns (int256) {
        return int32(uint32(row >> 32));
    }

    function _assigned(uint256 row) private pure returns (int256) {
        return int32(uint32(row));
    }

    /// What counts of a row: positive common gain of a valid update. Verdict and sign are all that is above bit 62.
    function _gain(uint256 row) private pure returns (uint256) {
        return row >> 63 == 0 ? row >> 32 : 0;
    }
}
