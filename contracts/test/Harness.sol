// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Exposure, Outcome, Params, Phase, Record, Role} from "../interfaces/Types.sol";
import {Agreement, Consensus} from "../libraries/Agreement.sol";
import {Committee} from "../libraries/Committee.sol";
import {Fixed} from "../libraries/Fixed.sol";
import {Hamming} from "../libraries/Hamming.sol";
import {Mechanism, Result} from "../libraries/Mechanism.sol";
import {ParamsRules} from "../libraries/ParamsRules.sol";
import {Plant} from "../libraries/Plant.sol";
import {Rating} from "../libraries/Rating.sol";
import {Registration} from "../libraries/Registration.sol";
import {Reports} from "../libraries/Reports.sol";
import {Rows} from "../libraries/Rows.sol";
import {Sort} from "../libraries/Sort.sol";
import {StandingTree} from "../libraries/StandingTree.sol";
import {Leaf, Standings} from "../libraries/Standings.sol";
import {Transcript} from "../libraries/Transcript.sol";

/// The mechanism's libraries for eth_call: vectors, differential fuzzing, gas. Never deployed for real.
contract Harness {
    struct Case {
        Params params;
        uint256 round;
        uint256 budgetWei;
        bytes standings;
        uint256 trainers;
        uint256[] stakesWei;
        bytes[] reports;
        uint256 revealed;
    }

    struct Settled {
        Consensus consensus;
        bytes standings;
        Result result;
        bytes24 root;
        uint256 totalWei;
    }

    /* MECHANISM */

    function settle(Case[] calldata cases) external pure returns (Settled[] memory settled) {
        settled = new Settled[](cases.length);
        for (uint256 i; i < cases.length; ++i) {
            Case calldata c = cases[i];
            bytes memory standings = c.standings;
            Consensus memory consensus =
                Agreement.agree(c.stakesWei, c.reports, c.revealed, c.params.words, c.params.acceptBits, c.trainers);
            Result memory result = Mechanism.settle(
                c.params, c.round, c.budgetWei, standings, c.trainers, c.stakesWei, consensus, c.revealed
            );
            (bytes24 root, uint256 totalWei) = StandingTree.root(standings);
            settled[i] = Settled(consensus, standings, result, root, totalWei);
        }
    }

    /// Gas of a settlement's three parts.
    function settleGas(Case calldata c) external view returns (uint256 agree_, uint256 settle_, uint256 root_) {
        bytes memory standings = c.standings;
        uint256[] memory stakesWei = c.stakesWei;
        agree_ = gasleft();
        Consensus memory consensus =
            Agreement.agree(stakesWei, c.reports, c.revealed, c.params.words, c.params.acceptBits, c.trainers);
        agree_ -= gasleft();
        settle_ = gasleft();
        Mechanism.settle(c.params, c.round, c.budgetWei, standings, c.trainers, stakesWei, consensus, c.revealed);
        settle_ -= gasleft();
        root_ = gasleft();
        StandingTree.root(standings);
        root_ -= gasleft();
    }

    function roundBudgetWei(uint256 unpaidWei, uint256 round, uint256 maxRounds) external pure returns (uint256) {
        return Mechanism.roundBudgetWei(unpaidWei, round, maxRounds);
    }

    function isEjected(uint256 stakeWei, uint256 requiredWei) external pure returns (bool) {
        return Mechanism.isEjected(stakeWei, requiredWei);
    }

    function payMultiplierQ32(Params calldata params, uint256 ratingQ32) external pure returns (uint256) {
        return Mechanism.payMultiplierQ32(params, ratingQ32);
    }

    function initialStanding(address account, Role role) external pure returns (bytes memory standing) {
        standing = new bytes(96);
        Standings.leaf(standing, 0).init(account, role, Standings.ONE_Q32);
    }

    /// Ranks are below 2^32.
    function rate(int64[] calldata musQ32, uint64[] calldata sigmasQ32, uint256[] calldata ranks)
        external
        pure
        returns (int256[] memory musAfter, uint256[] memory sigmasAfter)
    {
        uint256 count = musQ32.length;
        bytes memory standings = new bytes(96 * count);
        uint256[] memory players = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            Leaf leaf = Standings.leaf(standings, i);
            leaf.setRating(musQ32[i], sigmasQ32[i]);
            players[i] = ranks[i] << Rating.RANK_AT | Leaf.unwrap(leaf);
        }
        Rating.rate(players);
        (musAfter, sigmasAfter) = (new int256[](count), new uint256[](count));
        for (uint256 i; i < count; ++i) {
            Leaf leaf = Standings.leaf(standings, i);
            (musAfter[i], sigmasAfter[i]) = (leaf.muQ32(), leaf.sigmaQ32());
        }
    }

    function sort(uint256[] memory words) external view returns (uint256[] memory, uint256 gas) {
        gas = gasleft();
        Sort.sort(words);
        gas -= gasleft();
        return (words, gas);
    }

    /* AGREEMENT */

    function agree(
        uint256[] calldata stakesWei,
        bytes[] calldata reports,
        uint256 revealed,
        uint256 words,
        uint256 acceptBits,
        uint256 trainers
    ) external pure returns (Consensus memory) {
        return Agreement.agree(stakesWei, reports, revealed, words, acceptBits, trainers);
    }

    /// The same from heads, then rows of each report slice by slice. Gas is of the last slice.
    function agreeInSlices(
        uint256[] calldata stakesWei,
        bytes[] calldata heads,
        bytes[][] calldata slices,
        uint256 revealed,
        uint256 words,
        uint256 acceptBits,
        uint256 trainers
    ) external view returns (Consensus memory consensus, uint256 gas) {
        consensus = Agreement.gather(stakesWei, heads, revealed, words, acceptBits);
        if (consensus.clusterMask == 0) return (consensus, 0);
        (consensus.rows, consensus.sums) = (new uint256[](trainers), new uint256[](stakesWei.length));
        uint256 done;
        for (uint256 s; s < slices.length; ++s) {
            uint256 count = trainers - done < Reports.CHUNK_ROWS ? trainers - done : Reports.CHUNK_ROWS;
            uint256[] memory stakes = stakesWei;
            gas = gasleft();
            (uint256[] memory rows, uint256[] memory sums) =
                Agreement.hear(consensus, stakes, slices[s], revealed, count);
            gas -= gasleft();
            for (uint256 i; i < count; ++i) {
                consensus.rows[done++] = rows[i];
            }
            for (uint256 v; v < stakesWei.length; ++v) {
                consensus.sums[v] += sums[v];
            }
        }
    }

    function agreementQ32(uint256 sums) external pure returns (uint256) {
        return Agreement.agreementQ32(sums);
    }

    function reportHash(bytes calldata report, uint256 words) external pure returns (bytes32) {
        return Reports.hash(report, words);
    }

    function headHash(bytes calldata head) external pure returns (bytes32) {
        return Reports.hashHead(head);
    }

    /// Keys are sorted by the caller: value << 128 | weight.
    function weightedMedian(uint256[] memory sorted, uint256 total) external pure returns (uint256) {
        return Rows.weightedMedian(sorted, total);
    }

    function popcount(uint256 x) external pure returns (uint256) {
        return Hamming.popcount(x);
    }

    function distanceBits(bytes calldata a, bytes calldata b) external view returns (uint256 bits, uint256 gas) {
        (uint256 atA, uint256 atB) = (Reports.locate(a), Reports.locate(b));
        gas = gasleft();
        bits = Hamming.distanceBits(atA, atB, a.length / 32);
        gas -= gasleft();
    }

    /// Gas of all distances among signatures, `words` words each, end to end in one string.
    function allPairs(bytes calldata signatures, uint256 words) external view returns (uint256 totalBits, uint256 gas) {
        uint256 size = 32 * words;
        uint256 first = Reports.locate(signatures);
        uint256 end = first + signatures.length;
        gas = gasleft();
        unchecked {
            for (uint256 a = first; a < end; a += size) {
                for (uint256 b = a + size; b < end; b += size) {
                    totalBits += Hamming.distanceBits(a, b, words);
                }
            }
        }
        gas -= gasleft();
    }

    /* FIXED */

    function mulDivDown(uint256 a, uint256 b, uint256 denominator) external pure returns (uint256) {
        return Fixed.mulDivDown(a, b, denominator);
    }

    function mulQ32Down(uint256 a, uint256 b) external pure returns (uint256) {
        return Fixed.mulQ32Down(a, b);
    }

    function bpsDown(uint256 amount, uint256 bps) external pure returns (uint256) {
        return Fixed.bpsDown(amount, bps);
    }

    function meanTowardOld(int256 old, int256 new_, uint256 weightBps) external pure returns (int256) {
        return Fixed.meanTowardOld(old, new_, weightBps);
    }

    function runningWeightBps(uint256 leastBps, uint256 rounds) external pure returns (uint256) {
        return Fixed.runningWeightBps(leastBps, rounds);
    }

    function sqrtDown(uint256 x) external pure returns (uint256) {
        return Fixed.sqrtDown(x);
    }

    function sqrtNear(uint256 x, uint256 guess) external pure returns (uint256) {
        return Fixed.sqrtNear(x, guess);
    }

    function powHalvesQ32Down(uint256 x, uint256 halves) external pure returns (uint256) {
        return Fixed.powHalvesQ32Down(x, halves);
    }

    function expWad(int256 x) external pure returns (uint256) {
        return Fixed.expWad(x);
    }

    /* TREE */

    function treeRoot(bytes calldata standings) external pure returns (bytes24 hash, uint256 sumWei) {
        return StandingTree.root(standings);
    }

    function climb(address account, uint256 paidWei, uint256 rightBits, bytes calldata proof)
        external
        view
        returns (bytes24 hash, uint256 gas)
    {
        gas = gasleft();
        hash = StandingTree.climb(account, paidWei, rightBits, proof);
        gas -= gasleft();
    }
}

/// What is hashed and checked around a round, likewise.
contract ProtocolHarness {
    /* COMMITTEE */

    function draw(bytes32 beacon_, uint256[] calldata stakesWei, uint256 size) external pure returns (uint256) {
        return Committee.draw(beacon_, stakesWei, size);
    }

    function drawGas(bytes32 beacon_, uint256[] memory stakesWei, uint256 size) external view returns (uint256 gas_) {
        gas_ = gasleft();
        Committee.draw(beacon_, stakesWei, size);
        gas_ -= gasleft();
    }

    /* PLANTED UPDATES */

    function isPlanted(bytes calldata blob, address beneficiary, bytes32 secret, uint256 words)
        external
        pure
        returns (bool)
    {
        return Plant.isPlanted(blob, beneficiary, secret, words);
    }

    function isAssigned(bytes32 beacon_, uint256 count, uint256 trainers, uint256 trainer)
        external
        pure
        returns (bool)
    {
        return Plant.isAssigned(beacon_, count, trainers, trainer);
    }

    function replay(uint16 round, uint256 trainers, bytes24 before, bytes calldata rows, uint256 trainer)
        external
        pure
        returns (bytes24 transcript, bytes32 digest, bytes32 beacon_)
    {
        return Plant.replay(round, trainers, before, rows, trainer);
    }

    function wavedThrough(uint256 words, Record calldata record, Exposure calldata exposure)
        external
        pure
        returns (uint32)
    {
        return Plant.wavedThrough(words, record, exposure);
    }

    /* REGISTRATION */

    function priceWei(uint128 lastWei, uint256 elapsedS, uint256 halfLifeS, uint128 floorWei)
        external
        pure
        returns (uint256)
    {
        return Registration.priceWei(lastWei, elapsedS, halfLifeS, floorWei);
    }

    function nextPriceWei(uint128 paidWei, uint256 bumpBps) external pure returns (uint256) {
        return Registration.nextPriceWei(paidWei, bumpBps);
    }

    function discountedWei(uint128 requiredWei, uint256 ratingQ32, uint256 discountBps)
        external
        pure
        returns (uint128)
    {
        return Registration.discountedWei(requiredWei, ratingQ32, discountBps);
    }

    function drawWeight(uint256 stakeWei, uint256 ratingQ32, uint256 sortitionBps) external pure returns (uint256) {
        return Committee.weight(stakeWei, ratingQ32, sortitionBps);
    }

    /* PARAMS */

    function check(Params calldata params) external pure returns (bytes32) {
        ParamsRules.check(params);
        return keccak256(abi.encode(params));
    }

    function paramsHash(Params calldata params) external pure returns (bytes32) {
        return keccak256(abi.encode(params));
    }

    /* TRANSCRIPT */

    function phase(bytes24 t, uint16 round, Phase phase_, uint40 deadline, bytes32 beacon_, bytes24 roster)
        external
        pure
        returns (bytes24)
    {
        return Transcript.phase(t, round, phase_, deadline, beacon_, roster);
    }

    function submitted(bytes24 t, uint16 trainer, int32 gain, bytes32 digest) external pure returns (bytes24) {
        return Transcript.submitted(t, trainer, gain, digest);
    }

    function held(bytes24 t, uint8 verifier, bytes32 base, bytes calldata bitmap) external pure returns (bytes24) {
        return Transcript.held(t, verifier, base, bitmap);
    }

    function committed(bytes24 t, uint8 verifier, bytes32 commitment_) external pure returns (bytes24) {
        return Transcript.committed(t, verifier, commitment_);
    }

    function revealedRow(bytes24 t, uint8 verifier, bytes32 salt, bytes32 hash) external pure returns (bytes24) {
        return Transcript.revealed(t, verifier, salt, hash);
    }

    function settledRow(bytes24 t, uint16 round, Outcome calldata outcome) external pure returns (bytes24) {
        return Transcript.settled(t, round, outcome);
    }

    function admitted(bytes24 t, Role role, uint16 index, address account, uint128 stakeWei)
        external
        pure
        returns (bytes24)
    {
        return Transcript.admitted(t, role, index, account, stakeWei);
    }

    function retired(bytes24 t, Role role, uint16 index) external pure returns (bytes24) {
        return Transcript.retired(t, role, index);
    }

    function rated(bytes24 t, Role role, uint16 index, uint32 ratingQ32) external pure returns (bytes24) {
        return Transcript.rated(t, role, index, ratingQ32);
    }

    function beacon(uint256 prevrandao, bytes24 t) external pure returns (bytes32) {
        return Transcript.beacon(prevrandao, t);
    }

    function commitment(
        uint256 chainId,
        address contract_,
        uint256 run,
        uint256 round,
        address account,
        bytes32 hash,
        bytes32 salt
    ) external pure returns (bytes32) {
        return Transcript.commitment(chainId, contract_, run, round, account, hash, salt);
    }
}
