// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Wired} from "./Wired.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {IRuns} from "./interfaces/IRuns.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IStakes} from "./interfaces/IStakes.sol";
import {Clock, Counts, Masks, Outcome, Params, Phase, Role} from "./interfaces/Types.sol";
import {Mechanism, Result} from "./libraries/Mechanism.sol";
import {StandingTree} from "./libraries/StandingTree.sol";
import {Leaf, Standings} from "./libraries/Standings.sol";
import {Transcript} from "./libraries/Transcript.sol";

/// @dev See ISettlement.
contract Settlement is ISettlement, Wired {
    /// What a settlement works on.
    struct Round {
        uint256 run;
        Clock clock;
        Masks masks;
        uint256 trainers;
        uint256 verifiers;
    }

    bytes32 private constant NOTHING = keccak256("");

    /* STORAGE */

    mapping(uint256 run => bytes32) private _standingsHash;

    constructor(IRuns runs_, IStakes stakes_, IRounds rounds_, ISettlement settlement_)
        Wired(runs_, stakes_, rounds_, settlement_)
    {
        _requireSelf(address(settlement_));
    }

    /* ANYONE */

    /// @inheritdoc ISettlement
    function settle(uint256 run, Params calldata params, bytes calldata standings, bytes[] calldata reports) external {
        Round memory round = _round(run);
        _checkParams(run, params);
        _checkStandings(run, standings);
        _checkReports(round, reports);

        bytes memory all = _withJoiners(round, standings);
        (address[] memory accounts, uint256[] memory stakesWei) = _committee(round, all);
        uint256 budgetWei = Mechanism.roundBudgetWei(runs.unpaid(run), round.clock.round, params.maxRounds);
        Result memory result =
            Mechanism.settle(params, budgetWei, all, round.trainers, stakesWei, reports, round.masks.revealed);

        Outcome memory outcome = _outcome(all, result);
        _standingsHash[run] = outcome.standingsHash;

        _emitSettled(round, outcome, result.paidWei);

        runs.post(run, outcome.root, outcome.totalWei);
        uint32 ejected = _slash(round, params, accounts, stakesWei, result.slashedWei);
        rounds.conclude(run, outcome, _awaited(round, all, outcome), ejected, _reached(params, outcome));
    }

    /* VIEWS */

    /// @inheritdoc ISettlement
    function standingsHash(uint256 run) public view returns (bytes32 hash) {
        hash = _standingsHash[run];
        if (hash == 0) hash = NOTHING;
    }

    /* GUARDS */

    function _round(uint256 run) private view returns (Round memory round) {
        Clock memory clock = rounds.clock(run);
        if (clock.phase != Phase.SETTLE) revert IRounds.WrongPhase(run, Phase.SETTLE, clock.phase);
        if (block.timestamp >= clock.deadline) revert IRounds.Overdue(clock.deadline, block.timestamp);
        Counts memory counts = rounds.counts(run);
        return Round(run, clock, rounds.masks(run), counts.trainersInRound, counts.verifiersInRound);
    }

    function _checkParams(uint256 run, Params calldata params) private view {
        bytes32 expected = runs.info(run).paramsHash;
        bytes32 actual = keccak256(abi.encode(params));
        if (actual != expected) revert ParamsMismatch(expected, actual);
    }

    function _checkStandings(uint256 run, bytes calldata standings) private view {
        bytes32 expected = standingsHash(run);
        bytes32 actual = keccak256(standings);
        if (actual != expected) revert StandingsMismatch(expected, actual);
    }

    /// Lengths and rows were checked at the reveal; the hash says that these are the same bytes.
    function _checkReports(Round memory round, bytes[] calldata reports) private view {
        bytes32[] memory expected = rounds.messages(round.run);
        uint256 next;
        for (uint256 v; v < expected.length; ++v) {
            if ((round.masks.revealed >> v) & 1 == 0) continue;
            if (next < reports.length) {
                bytes32 actual = keccak256(reports[next]);
                if (actual != expected[v]) revert ReportMismatch(uint8(v), expected[v], actual);
            }
            ++next;
        }
        if (next != reports.length) revert ReportCount(next, reports.length);
    }

    /* STEPS */

    /// Standings of everybody in the round: the old ones, after each role whoever joined since.
    function _withJoiners(Round memory round, bytes calldata standings) private view returns (bytes memory all) {
        uint256 old = standings.length / Standings.SIZE;
        uint256 oldVerifiers;
        while (
            oldVerifiers < old
                && uint8(standings[(old - oldVerifiers - 1) * Standings.SIZE + 20]) == uint8(Role.VERIFIER)
        ) ++oldVerifiers;
        uint256 oldTrainers = old - oldVerifiers;
        uint256 split = oldTrainers * Standings.SIZE;
        address[] memory trainers = rounds.trainersAt(round.run, oldTrainers, round.trainers);
        address[] memory verifiers = rounds.verifiersAt(round.run, oldVerifiers, round.verifiers);

        all = new bytes((round.trainers + round.verifiers) * Standings.SIZE);
        _copy(all, 0, standings[:split]);
        _init(all, oldTrainers, trainers, Role.TRAINER);
        _copy(all, round.trainers, standings[split:]);
        _init(all, round.trainers + oldVerifiers, verifiers, Role.VERIFIER);
    }

    /// Accounts of all verifiers; stakes of this round's committee, 0 for others.
    function _committee(Round memory round, bytes memory all)
        private
        view
        returns (address[] memory accounts, uint256[] memory stakesWei)
    {
        accounts = new address[](round.verifiers);
        for (uint256 v; v < round.verifiers; ++v) {
            accounts[v] = Standings.leaf(all, round.trainers + v).account();
        }
        stakesWei = stakes.stakesOf(round.run, accounts);
        for (uint256 v; v < round.verifiers; ++v) {
            if ((round.masks.active >> v) & 1 == 0) stakesWei[v] = 0;
        }
    }

    function _outcome(bytes memory all, Result memory result) private pure returns (Outcome memory outcome) {
        (bytes32 root, uint256 totalWei) = StandingTree.root(all);
        outcome.root = root;
        outcome.totalWei = uint128(totalWei); // post() compares it with what was deposited, 128 bits
        outcome.standingsHash = keccak256(all);
        outcome.lossMicronats = uint32(result.consensus.lossMicronats);
        outcome.clusterMask = uint32(result.consensus.clusterMask);
    }

    function _emitSettled(Round memory round, Outcome memory outcome, uint256 paidWei) private {
        emit Settled(
            round.run,
            round.clock.round,
            outcome.root,
            outcome.totalWei,
            uint128(paidWei),
            outcome.standingsHash,
            outcome.lossMicronats,
            outcome.clusterMask,
            Transcript.settled(round.clock.transcript, round.clock.round, outcome)
        );
    }

    /// Takes what was slashed; returns the mask of this round's verifiers who lost too much to stay.
    function _slash(
        Round memory round,
        Params calldata params,
        address[] memory accounts,
        uint256[] memory stakesWei,
        uint256[] memory slashedWei
    ) private returns (uint32 ejected) {
        for (uint256 v; v < accounts.length; ++v) {
            if (slashedWei[v] == 0) continue;
            stakes.slash(round.run, accounts[v], slashedWei[v]);
            if (Mechanism.isEjected(stakesWei[v] - slashedWei[v], params.verifierStakeWei)) {
                ejected |= uint32(1 << v);
            }
        }
    }

    /// Trainers to wait for next time: all but who missed two rounds in a row. Nothing changes without quorum.
    function _awaited(Round memory round, bytes memory all, Outcome memory outcome)
        private
        pure
        returns (uint256[] memory awaited)
    {
        if (outcome.clusterMask == 0) return awaited;
        uint256 trainers = round.trainers;
        awaited = new uint256[]((trainers + 255) / 256);
        uint256 word;
        unchecked {
            for (uint256 i; i < trainers; ++i) {
                if (Standings.leaf(all, i).misses() < 2) word |= 1 << (i & 255);
                if (i & 255 == 255 || i + 1 == trainers) {
                    awaited[i >> 8] = word;
                    word = 0;
                }
            }
        }
    }

    function _reached(Params calldata params, Outcome memory outcome) private pure returns (bool) {
        return outcome.clusterMask != 0 && params.targetLossMicronats != 0
            && outcome.lossMicronats <= params.targetLossMicronats;
    }

    function _copy(bytes memory all, uint256 position, bytes calldata standings) private pure {
        Leaf to = Standings.leaf(all, position);
        assembly ("memory-safe") {
            calldatacopy(to, standings.offset, standings.length)
        }
    }

    function _init(bytes memory all, uint256 position, address[] memory accounts, Role role) private pure {
        for (uint256 i; i < accounts.length; ++i) {
            Standings.leaf(all, position + i).init(accounts[i], role);
        }
    }
}
