// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Outcome, Params, Phase, Role} from "../interfaces/Types.sol";
import {Agreement, Consensus} from "../libraries/Agreement.sol";
import {Fixed} from "../libraries/Fixed.sol";
import {Hamming} from "../libraries/Hamming.sol";
import {Mechanism, Result} from "../libraries/Mechanism.sol";
import {ParamsRules} from "../libraries/ParamsRules.sol";
import {Reports} from "../libraries/Reports.sol";
import {StandingTree} from "../libraries/StandingTree.sol";
import {Leaf, Standings} from "../libraries/Standings.sol";
import {Transcript} from "../libraries/Transcript.sol";

/// The libraries' pure functions for eth_call: vectors, differential fuzzing, gas. Never deployed for real.
contract Harness {
    struct Case {
        Params params;
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
        uint256 paidWei;
        uint256[] slashedWei;
        bytes32 root;
        uint256 totalWei;
    }

    /* MECHANISM */

    function settle(Case[] calldata cases) external pure returns (Settled[] memory settled) {
        settled = new Settled[](cases.length);
        for (uint256 i; i < cases.length; ++i) {
            Case calldata c = cases[i];
            bytes memory standings = c.standings;
            Result memory result =
                Mechanism.settle(c.params, c.budgetWei, standings, c.trainers, c.stakesWei, c.reports, c.revealed);
            (bytes32 root, uint256 totalWei) = StandingTree.root(standings);
            settled[i] = Settled(result.consensus, standings, result.paidWei, result.slashedWei, root, totalWei);
        }
    }

    function roundBudgetWei(uint256 unpaidWei, uint256 round, uint256 maxRounds) external pure returns (uint256) {
        return Mechanism.roundBudgetWei(unpaidWei, round, maxRounds);
    }

    function isEjected(uint256 stakeWei, uint256 requiredWei) external pure returns (bool) {
        return Mechanism.isEjected(stakeWei, requiredWei);
    }

    function initialStanding(address account, Role role) external pure returns (bytes memory standing) {
        standing = new bytes(96);
        Standings.leaf(standing, 0).init(account, role);
    }

    /* AGREEMENT */

    function agree(
        uint256[] calldata stakesWei,
        bytes[] calldata reports,
        uint256 revealed,
        uint256 words,
        uint256 acceptBits,
        uint256 trainers
    ) external view returns (Consensus memory consensus, uint256 gas) {
        uint256[] memory stakes = stakesWei;
        gas = gasleft();
        consensus = Agreement.agree(stakes, reports, revealed, words, acceptBits, trainers);
        gas -= gasleft();
    }

    /// Keys are sorted by the caller: value << 128 | weight.
    function weightedMedian(uint256[] memory sorted, uint256 total) external pure returns (uint256) {
        return Agreement.weightedMedian(sorted, total);
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

    /* TREE */

    function treeRoot(bytes calldata standings) external pure returns (bytes32 hash, uint256 sumWei) {
        return StandingTree.root(standings);
    }

    function climb(bytes32[3] calldata standing, uint256 rightBits, bytes calldata proof)
        external
        pure
        returns (bytes32)
    {
        return StandingTree.climb(standing, rightBits, proof);
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

    function revealedRow(bytes24 t, uint8 verifier, bytes32 salt, bytes32 reportHash) external pure returns (bytes24) {
        return Transcript.revealed(t, verifier, salt, reportHash);
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

    function beacon(uint256 prevrandao, bytes24 t) external pure returns (bytes32) {
        return Transcript.beacon(prevrandao, t);
    }

    function commitment(
        uint256 chainId,
        address contract_,
        uint256 run,
        uint256 round,
        address account,
        bytes32 reportHash,
        bytes32 salt
    ) external pure returns (bytes32) {
        return Transcript.commitment(chainId, contract_, run, round, account, reportHash, salt);
    }
}
