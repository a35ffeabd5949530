// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Params} from "../interfaces/Types.sol";
import {Agreement, Consensus} from "./Agreement.sol";
import {Fixed} from "./Fixed.sol";
import {Mem} from "./Mem.sol";
import {Rating} from "./Rating.sol";
import {Selection} from "./Selection.sol";
import {Leaf, Standings} from "./Standings.sol";

/// The transition's result besides the standings, which change in place.
struct Result {
    uint256 paidWei; // sum of this round's payouts
    uint256[] slashedWei; // per verifier index
    uint256 weakest; // trainer whose seat a newcomer is given when all are taken; NOBODY when nobody is past its immunity
}

/// What the steps ask of parameters and round, read once.
struct Terms {
    uint256 proofWeightBps;
    uint256 valueWeightBps;
    uint256 exponentHalves;
    uint256 recoveryBps;
    uint256 floorQ32; // trust never falls below this
    uint256 bannedQ32; // a failed check that leaves less bans
    uint256 banRound; // until then
    uint256 countQ32; // of the judged
    uint256 totalGain;
    uint256 fromDueToRow;
    uint256 immunityRounds;
    uint256 weakest; // so far, as findWeakest says
}

/// settle: old standings + reports -> new standings. The same function, name for name, as src/gradmint/spec/mechanism.py;
/// what is a list there is here done leaf by leaf. rating.rate is in Rating, select in Selection.
///
/// Rules that keep it sound: never multiply two signed numbers; no positive counter offsets a missed duty; every penalty has
/// a bound and a way back; divide by the number who should have come, not who came.
///
/// @dev Bounds behind every unchecked block: |proof|, trust and a verifier's value never exceed 1.0 = 2^32, a trainer's value
/// 1,024 times that (they are means of numbers that do not, and steps are truncated), its cube 2^62, reputation 2^64, so a pay
/// weight is below 2^94; amounts of Wei are below 2^128 and gains below 2^31; at most 1,024 trainers and 32 verifiers are added
/// up; |mu| and sigma are below 2^57, as Rating says; a ban's last round fits 17 bits, an address in memory 32. No product or
/// sum reaches 2^256.
library Mechanism {
    uint256 internal constant NOBODY = 65_535;
    uint256 private constant OK = 0;
    uint256 private constant MISSING = 1;
    uint256 private constant U32 = type(uint32).max;
    uint256 private constant U64 = type(uint64).max;

    /// What a rating does to pay: from `payLeastBps` without one towards `payMostBps`, rounded down.
    function payMultiplierQ32(Params calldata params, uint256 ratingQ32) internal pure returns (uint256) {
        unchecked {
            uint256 leastBps = params.payLeastBps;
            return ((leastBps << 32) + (params.payMostBps - leastBps) * ratingQ32) / 10_000;
        }
    }

    /// One round's transition.
    /// @param standings Packed, `trainers` trainers before the verifiers, each in index order.
    /// @param stakesWei Per verifier; 0 outside the committee.
    /// @param revealed Mask of the verifiers who gave a report.
    /// @dev Dust of the floor divisions and everything unpaid stays in the budget of later rounds.
    function settle(
        Params calldata params,
        uint256 round,
        uint256 budgetWei,
        bytes memory standings,
        uint256 trainers,
        uint256[] memory stakesWei,
        Consensus memory consensus,
        uint256 revealed
    ) internal pure returns (Result memory result) {
        if (consensus.clusterMask == 0) {
            // Nobody is judged by what they said; who said nothing is part of why there is no quorum.
            result.slashedWei = slash(params, stakesWei, silent(stakesWei.length, revealed), false);
            result.weakest = NOBODY;
            return result;
        }
        uint256 potWei = Fixed.bpsDown(budgetWei, params.verifierShareBps);
        uint256 mark = Mem.mark();
        uint256[] memory due = new uint256[](trainers); // pay weight of each trainer, then what is paid of it
        uint256[] memory judged;
        (judged, result.weakest) = _judge(params, round, standings, consensus.rows, due);
        uint256 total = Selection.select(params.top, params.reserve, judged);
        result.paidWei = pay(standings, 0, due, total, budgetWei - potWei);
        Mem.release(mark);

        _judgeVerifiers(params, standings, trainers, stakesWei, consensus, revealed);
        uint256[] memory parts;
        (parts, total) = shares(standings, trainers, stakesWei, consensus.clusterMask);
        result.paidWei += pay(standings, trainers, parts, total, potWei);
        result.slashedWei = slash(params, stakesWei, consensus.distancesBits, consensus.unanimous);
    }

    /// The banned sit the round out: to everything below they are not there.
    function isBanned(Leaf leaf, uint256 round) internal pure returns (bool) {
        return round <= leaf.banRound();
    }

    /// Computation proof: exponential mean of sign(assigned - common), where the beacon sampled the trainer. It starts at a
    /// half and every sample weighs the same.
    function prove(uint256 worth, uint256 row, uint256 weightBps) internal pure returns (int256 proofQ32) {
        int256 observed;
        assembly ("memory-safe") {
            proofQ32 := signextend(7, worth)
            observed := sub(signextend(3, row), signextend(3, shr(32, row)))
            observed := shl(32, sub(sgt(observed, 0), slt(observed, 0)))
            // Without weight it stays as it is: where the verdict is not OK, or the assigned gain UNSAMPLED.
            weightBps := mul(weightBps, gt(iszero(shr(64, row)), eq(and(row, 0xffffffff), 0x80000000)))
        }
        return Fixed.meanTowardOld(proofQ32, observed, weightBps);
    }

    /// Running mean of the gain as a multiple of the round's mean positive gain; a failed check counts as 0. A multiple of the
    /// mean, not a share of the sum: it stays what it is when others join or leave.
    function value(uint256 valueQ32, uint256 row, uint256 countQ32, uint256 totalGain, uint256 weightBps)
        internal
        pure
        returns (uint256)
    {
        // Without a total there are no gains: whatever is divided by 0 is 0.
        uint256 multipleQ32 = Fixed.mulDivDown(_gain(row), countQ32, totalGain);
        return uint256(Fixed.meanTowardOld(int256(valueQ32), int256(multipleQ32), weightBps));
    }

    /// The penalty ladder: failed checks multiply trust, down to the floor; one that leaves too little of it bans from the next
    /// round on; an OK round regains a fixed part of what is missing.
    function trust(Terms memory terms, Params calldata params, uint256 trustQ32, uint256 verdict)
        internal
        pure
        returns (uint256)
    {
        if (verdict == OK) {
            trustQ32 = uint256(Fixed.meanTowardOld(int256(trustQ32), int256(Fixed.ONE_Q32), terms.recoveryBps));
        } else {
            trustQ32 = Fixed.max(Fixed.bpsDown(trustQ32, params.penaltyBps[verdict]), terms.floorQ32);
        }
        return trustQ32;
    }

    /// Count the round, and the rounds missed in a row; both saturate. `seat` is a standing's first word.
    function attend(uint256 seat, bool came) internal pure returns (uint256 after_) {
        assembly ("memory-safe") {
            after_ := add(seat, shl(64, lt(and(shr(64, seat), 0xffff), 0xffff)))
            let misses := and(shr(80, seat), 0xff)
            misses := sub(mul(iszero(came), add(misses, lt(misses, 0xff))), misses) // what they change by
            after_ := add(after_, shl(80, misses))
        }
    }

    /// Pay weight: value^exponent x max(0, proof) x trust x reputation in Q32. The exponent is on the value alone: that is what
    /// splitting one machine into many identities divides. The proof is signed.
    function weight(uint256 valueQ32, uint256 exponentHalves, uint256 proofQ32, uint256 trustQ32, uint256 reputationQ32)
        internal
        pure
        returns (uint256 weightQ32)
    {
        weightQ32 = Fixed.powHalvesQ32Down(valueQ32, exponentHalves);
        assembly ("memory-safe") {
            weightQ32 := mul(sgt(proofQ32, 0), shr(32, mul(weightQ32, proofQ32)))
            weightQ32 := shr(32, mul(shr(32, mul(weightQ32, trustQ32)), reputationQ32))
        }
    }

    /// Whose seat is given away when none is free: least pay weight, then lowest index, past its immunity. One step of it: the
    /// lesser of what was found so far and this trainer's weight << 32 | address of its due.
    function findWeakest(uint256 weakest, uint256 weightQ32, uint256 toDue, uint256 rounds, uint256 immunityRounds)
        internal
        pure
        returns (uint256)
    {
        assembly ("memory-safe") {
            toDue := or(or(shl(32, weightQ32), toDue), sub(gt(rounds, immunityRounds), 1)) // all ones in immunity
        }
        return Fixed.min(weakest, toDue);
    }

    /// A verifier's bond: the running mean of its agreement, 0 for a round outside the cluster.
    function bond(uint256 valueQ32, uint256 agreementQ32, uint256 weightBps) internal pure returns (uint256) {
        return uint256(Fixed.meanTowardOld(int256(valueQ32), int256(agreementQ32), weightBps));
    }

    /// The verifiers' shares of their pot: stake x bond of the cluster, of the whole committee's stake at full agreement.
    function shares(bytes memory standings, uint256 first, uint256[] memory stakesWei, uint256 clusterMask)
        internal
        pure
        returns (uint256[] memory sharesWei, uint256 total)
    {
        unchecked {
            sharesWei = new uint256[](stakesWei.length);
            for (uint256 v; v < stakesWei.length; ++v) {
                total += stakesWei[v];
                if ((clusterMask >> v) & 1 == 0) continue;
                sharesWei[v] = Fixed.mulQ32Down(stakesWei[v], Standings.leaf(standings, first + v).valueQ32());
            }
        }
    }

    /// `potWei` x part / total to each leaf from `first` on, rounded down. Returns what was paid in all.
    function pay(bytes memory standings, uint256 first, uint256[] memory parts, uint256 total, uint256 potWei)
        internal
        pure
        returns (uint256 paidWei)
    {
        if (total == 0) return 0;
        Leaf leaf = Standings.leaf(standings, first);
        assembly ("memory-safe") {
            let place := add(parts, 0x20)
            for { let end := add(place, shl(5, mload(parts))) } lt(place, end) { place := add(place, 0x20) } {
                let payoutWei := div(mul(potWei, mload(place)), total)
                paidWei := add(paidWei, payoutWei)
                let worth := add(leaf, 0x20)
                mstore(worth, add(mload(worth), shl(128, payoutWei))) // all payouts together are below 2^128: no carry
                leaf := add(leaf, 96)
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

    /* STEPS OVER EVERYBODY */

    /// Proves, values, rates, trusts, attends and weighs whoever is not banned, and writes their weights into `due`.
    /// @return judged One player each, as Selection.player makes them, in order of rank.
    function _judge(
        Params calldata params,
        uint256 round,
        bytes memory standings,
        uint256[] memory rows,
        uint256[] memory due
    ) private pure returns (uint256[] memory judged, uint256 weakest) {
        unchecked {
            Terms memory terms = _terms(params, round);
            judged = _enlist(terms, round, standings, rows, due);
            terms.fromDueToRow = Mem.first(rows) - Mem.first(due); // wraps, and wraps back
            uint256 end = Mem.end(judged);
            for (uint256 slot = Mem.first(judged); slot < end; slot += 32) {
                uint256 player = Mem.read(slot);
                _judgeOne(terms, params, Selection.leafOf(player), Selection.dueOf(player));
            }
            weakest = terms.weakest == type(uint256).max ? NOBODY : (uint32(terms.weakest) - Mem.first(due)) / 32;
            Rating.rate(judged);
        }
    }

    function _judgeOne(Terms memory terms, Params calldata params, Leaf leaf, uint256 toDue) private pure {
        unchecked {
            uint256 row = Mem.read(toDue + terms.fromDueToRow);
            uint256 verdict = _verdict(row);
            (uint256 seat, uint256 worth, uint256 skill) = leaf.words();
            uint256 proofQ32 = uint256(prove(worth, row, terms.proofWeightBps));
            uint256 weightBps = Fixed.runningWeightBps(terms.valueWeightBps, (seat >> 64) & 0xffff);
            uint256 valueQ32 = value((worth >> 64) & U64, row, terms.countQ32, terms.totalGain, weightBps);
            uint256 trustQ32 = trust(terms, params, (skill >> 64) & U64, verdict);
            seat = attend(seat, verdict != MISSING);
            if (verdict != OK && trustQ32 < terms.bannedQ32) seat = seat & ~(U32 << 32) | terms.banRound << 32;
            worth = worth >> 128 << 128 | valueQ32 << 64 | proofQ32 & U64;
            leaf.setWords(seat, worth, skill & ~(U64 << 64) | trustQ32 << 64);
            uint256 due = weight(valueQ32, terms.exponentHalves, proofQ32, trustQ32, skill & U64);
            Mem.write(toDue, due);
            terms.weakest = findWeakest(terms.weakest, due, toDue, (seat >> 64) & 0xffff, terms.immunityRounds);
        }
    }

    /// Players of all who are not banned, in index order.
    function _enlist(
        Terms memory terms,
        uint256 round,
        bytes memory standings,
        uint256[] memory rows,
        uint256[] memory due
    ) private pure returns (uint256[] memory judged) {
        unchecked {
            judged = new uint256[](rows.length);
            uint256 to = Mem.first(judged);
            Leaf leaf = Standings.leaf(standings, 0);
            uint256 toDue = Mem.first(due);
            uint256 end = Mem.end(rows);
            uint256 totalGain;
            for (uint256 slot = Mem.first(rows); slot < end; slot += 32) {
                uint256 row = Mem.read(slot);
                if (!isBanned(leaf, round)) {
                    totalGain += _gain(row);
                    Mem.write(to, Selection.player(leaf, row, toDue));
                    to += 32;
                } else {
                    terms.weakest = findWeakest(terms.weakest, 0, toDue, leaf.rounds(), terms.immunityRounds);
                }
                leaf = leaf.next();
                toDue += 32;
            }
            Mem.truncate(judged, to);
            terms.countQ32 = judged.length << 32;
            terms.totalGain = totalGain;
        }
    }

    function _judgeVerifiers(
        Params calldata params,
        bytes memory standings,
        uint256 first,
        uint256[] memory stakesWei,
        Consensus memory consensus,
        uint256 revealed
    ) private pure {
        unchecked {
            uint256 verifiers = consensus.sums.length;
            Leaf leaf = Standings.leaf(standings, first);
            for (uint256 v; v < verifiers; (leaf, v) = (leaf.next(), v + 1)) {
                // Who was not called on is neither present nor absent, and has agreed with nobody.
                if (Mem.get(stakesWei, v) == 0) continue;
                (uint256 seat, uint256 worth, uint256 skill) = leaf.words();
                bool near = (consensus.clusterMask >> v) & 1 == 1;
                uint256 agreementQ32 = near ? Agreement.agreementQ32(consensus.sums[v]) : 0;
                uint256 weightBps = Fixed.runningWeightBps(params.bondsWeightBps, (seat >> 64) & 0xffff);
                uint256 bondQ32 = bond((worth >> 64) & U64, agreementQ32, weightBps);
                worth = worth & ~(U64 << 64) | bondQ32 << 64;
                leaf.setWords(attend(seat, (revealed >> v) & 1 == 1), worth, skill);
            }
        }
    }

    function _terms(Params calldata params, uint256 round) private pure returns (Terms memory terms) {
        unchecked {
            terms.proofWeightBps = params.proofWeightBps;
            terms.valueWeightBps = params.valueWeightBps;
            terms.exponentHalves = params.valueExponentHalves;
            terms.recoveryBps = params.recoveryBps;
            terms.floorQ32 = Fixed.bpsDown(Fixed.ONE_Q32, params.trustFloorBps);
            terms.bannedQ32 = Fixed.bpsDown(Fixed.ONE_Q32, params.banTrustBps);
            terms.banRound = round + params.banRounds;
            terms.immunityRounds = params.immunityRounds;
            terms.weakest = type(uint256).max;
        }
    }

    /* ROWS: verdict 8 | common 32 | assigned 32, as in a report */

    function _verdict(uint256 row) private pure returns (uint256) {
        return row >> 64;
    }

    /// What counts of a row: positive common gain of a valid update. Verdict and sign are all that is above bit 62.
    function _gain(uint256 row) private pure returns (uint256 gain) {
        assembly ("memory-safe") {
            gain := mul(shr(32, row), iszero(shr(63, row)))
        }
    }
}
