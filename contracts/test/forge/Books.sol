// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRounds} from "../../interfaces/IRounds.sol";
import {IRuns} from "../../interfaces/IRuns.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {
    Effects,
    Evidence,
    Exposure,
    Inputs,
    Masks,
    Outcome,
    Params,
    Phase,
    Proposal,
    Record
} from "../../interfaces/Types.sol";
import {Docket} from "../../libraries/Docket.sol";
import {Leaf, Standings} from "../../libraries/Standings.sol";
import {Executor} from "./Executor.sol";
import {MoodyToken} from "./MoodyToken.sol";
import {Vm} from "./Vm.sol";
import {World} from "./World.sol";

/// What a run said and what follows from it, kept apart from the contracts: read from their events alone. A rule that is about
/// one step is checked right here and its breach counted.
abstract contract Books is World {
    /// Who took part in the round that is open.
    struct Open {
        uint16 round;
        uint16 trainers;
        uint8 verifiers;
        uint32 active;
        uint32 revealed;
        bytes24 roster;
        uint32 eligible;
    }

    struct Pending {
        Proposal proposal;
        bool isTrue;
        bytes standings; // after it, if true
    }

    Executor internal executor;
    mapping(uint256 run => Params) internal paramsOfRun;

    mapping(uint256 run => Open) internal open_;
    mapping(uint256 run => bytes) internal rosterRows;
    mapping(uint256 run => mapping(bytes24 roster => uint256)) internal rosterLength;
    mapping(uint256 run => mapping(uint16 round => Record)) internal recordOf;
    mapping(uint256 run => mapping(uint16 round => mapping(uint256 v => bytes))) internal said;
    mapping(uint256 run => uint16[]) public recorded;

    mapping(uint256 run => bytes24) private _transcript;
    mapping(uint256 run => bytes24) private _opening; // the round that is open
    mapping(uint256 run => bytes) private _rows; // said in it: kind | row
    mapping(uint256 run => mapping(uint16 round => bytes24)) internal transcriptBefore;
    mapping(uint256 run => mapping(uint16 round => bytes)) internal rowsOfRecord;

    mapping(uint256 run => bytes24) internal finalRoster;
    mapping(uint256 run => bytes) internal finalStandings;
    mapping(uint256 run => Pending[]) internal pending;
    mapping(uint256 run => Phase) internal lastPhase;
    mapping(uint256 run => uint16) internal lastRound;
    mapping(uint256 run => uint256) internal lastTotalWei;
    mapping(uint256 run => mapping(uint16 round => bool)) internal settledRound;

    /// A lie that nobody refuted became final: what the run's standings are is anybody's guess from then on.
    mapping(uint256 run => bool) public lied;
    mapping(uint256 run => uint256) public refundedWei;
    mapping(uint256 run => uint16 round) internal expandedIn;

    /* BREACHES */

    uint256 public phaseWentBack;
    uint256 public totalShrank;
    uint256 public settledTwice;
    uint256 public expandedTwice;
    uint256 public recordDiffers;
    uint256 public outcomeDiffers;

    /* WHAT HAPPENED: a test that nothing happens in shows nothing */

    mapping(bytes32 what => uint256) public times;

    function open() internal {
        deploy();
        executor = Executor(create("Executor.sol:Executor", ""));
        vm.warp(1_800_000_000);
        vm.recordLogs();
    }

    /* WHAT WAS SAID */

    function _commitment(uint256 run, uint16 round, address account, bytes memory report)
        internal
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(block.chainid, rounds, run, round, account, _hashReport(report), bytes32("salt")));
    }

    /// One word, and at most 256 rows: one chunk.
    function _hashReport(bytes memory report) internal pure returns (bytes32) {
        (bytes memory head,) = _cut(report);
        return keccak256(head);
    }

    function _cut(bytes memory report) internal pure returns (bytes memory head, bytes memory rows) {
        head = new bytes(36);
        rows = new bytes(report.length - 36);
        for (uint256 i; i < report.length; ++i) {
            if (i < 36) head[i] = report[i];
            else rows[i - 36] = report[i];
        }
        head = bytes.concat(head, keccak256(rows));
    }

    /// An update of `beneficiary`'s whose only word is planted.
    function _planted(address beneficiary, bytes32 secret) internal pure returns (bytes memory) {
        bytes memory head = new bytes(124);
        head[7] = 0x2a;
        bytes memory body = "positions and levels";
        bytes32 seed = keccak256(abi.encodePacked(beneficiary, secret, keccak256(head), keccak256(body)));
        return bytes.concat(head, keccak256(abi.encodePacked(seed, uint8(0))), body);
    }

    /// Accuses everybody who revealed.
    function _exposure(uint256 run, uint16 round, uint16 trainer, address beneficiary, bytes32 secret)
        internal
        view
        returns (Exposure memory e)
    {
        (e.trainer, e.secret, e.blob) = (trainer, secret, _planted(beneficiary, secret));
        (e.before, e.rows) = (transcriptBefore[run][round], rowsOfRecord[run][round]);
        bytes[] memory reports = _evidence(run, round).reports;
        (e.heads, e.rowsOf) = (new bytes[](reports.length), new bytes[](reports.length));
        for (uint256 i; i < reports.length; ++i) {
            (e.heads[i], e.rowsOf[i]) = _cut(reports[i]);
        }
    }

    /* WHAT FOLLOWS FROM IT */

    /// The recorded round after `round`; 0: none.
    function _next(uint256 run, uint16 round) internal view returns (uint16) {
        for (uint256 i; i < recorded[run].length; ++i) {
            if (recorded[run][i] > round) return recorded[run][i];
        }
        return 0;
    }

    function _inputs(uint256 run, uint16 round, bytes24 roster, bytes memory before)
        internal
        view
        returns (Inputs memory inputs)
    {
        inputs.record = recordOf[run][round];
        (inputs.roster, inputs.standings) = (roster, before);
        uint256 from = rosterLength[run][roster];
        uint256 to = rosterLength[run][inputs.record.roster];
        inputs.rosterRows = new bytes(to - from);
        bytes memory rows = rosterRows[run];
        for (uint256 i = from; i < to; ++i) {
            inputs.rosterRows[i - from] = rows[i];
        }
    }

    /// What pending proposal `place` stands on, if all before it are true.
    function _before(uint256 run, uint16 round, uint256 place)
        internal
        view
        returns (bool truthful, Inputs memory inputs, uint256 totalWei)
    {
        if (lied[run]) return (false, inputs, 0);
        for (uint256 i; i < place; ++i) {
            if (!pending[run][i].isTrue) return (false, inputs, 0);
        }
        truthful = true;
        if (place == 0) {
            (, totalWei) = runs.books(run);
            inputs = _inputs(run, round, finalRoster[run], finalStandings[run]);
        } else {
            Pending storage last = pending[run][place - 1];
            totalWei = last.proposal.outcome.totalWei;
            inputs = _inputs(run, round, recordOf[run][last.proposal.round].roster, last.standings);
        }
    }

    function _execute(uint256 run, Inputs memory inputs, uint256 totalWei)
        internal
        returns (Outcome memory outcome, Effects memory effects, bytes memory all)
    {
        Evidence memory evidence = _evidence(run, inputs.record.round);
        (outcome, effects,) = settlement.transition().execute(totalWei, paramsOfRun[run], inputs, evidence);
        all = executor.execute(paramsOfRun[run], inputs, evidence.reports, totalWei);
        if (Docket.hashStandings(inputs.record.roster, all) != outcome.standingsHash) ++outcomeDiffers;
    }

    function _evidence(uint256 run, uint16 round) internal view returns (Evidence memory evidence) {
        Record memory record = recordOf[run][round];
        evidence.reports = new bytes[](record.reports.length);
        uint256 next;
        for (uint256 v; v < record.verifiers; ++v) {
            if ((record.revealed >> v) & 1 == 1) evidence.reports[next++] = said[run][round][v];
        }
    }

    function _proposals(uint256 run) internal view returns (Proposal[] memory list) {
        list = new Proposal[](pending[run].length);
        for (uint256 i; i < list.length; ++i) {
            list[i] = pending[run][i].proposal;
        }
    }

    function _proof(bytes memory packed, uint256 position)
        internal
        pure
        returns (address account, uint256 paidWei, uint256 rightBits, bytes memory proof)
    {
        Leaf leaf = Standings.leaf(packed, position);
        (account, paidWei) = (leaf.account(), leaf.paidWei());
        (, rightBits, proof) = prove(packed, position);
    }

    function _claim(
        uint256 run,
        MoodyToken token,
        address account,
        uint256 paidWei,
        uint256 rightBits,
        bytes memory proof
    ) internal returns (bool through) {
        bytes32 tokenAndRun = bytes32(abi.encodePacked(token, uint96(run)));
        bytes32 accountAndPath = bytes32(abi.encodePacked(account, uint96(rightBits)));
        (through,) = address(runs)
            .call(bytes.concat(abi.encodeCall(IRuns.claim, (tokenAndRun, accountAndPath, paidWei)), proof));
        if (!through) _drop();
    }

    /* EVENTS */

    /// Forge also records what a call said before it was refused.
    function _drop() internal {
        vm.getRecordedLogs();
    }

    /// Reads what the last call said, in order, and checks the rules about single steps.
    function _listen() internal {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            bytes32 topic = logs[i].topics[0];
            if (logs[i].topics.length < 2) continue;
            uint256 run = uint256(logs[i].topics[1]);
            _keepRow(run, topic, logs[i].data);
            if (topic == IRounds.Admitted.selector) _admitted(run, logs[i]);
            else if (topic == IRounds.Retired.selector) _retired(run, logs[i]);
            else if (topic == IRounds.Rated.selector) _rated(run, logs[i].data);
            else if (topic == IRounds.PhaseOpened.selector) _phaseOpened(run, logs[i].data);
            else if (topic == IRounds.Recorded.selector) _recorded(run, logs[i].data);
            else if (topic == ISettlement.Settled.selector) _settled(run, logs[i].data);
            else if (topic == IRuns.Refunded.selector) refundedWei[run] += abi.decode(logs[i].data, (uint256));
        }
        for (uint256 run = runs.lastRun(); run != 0; --run) {
            (, uint128 totalWei) = runs.books(run);
            if (totalWei < lastTotalWei[run]) ++totalShrank;
            lastTotalWei[run] = totalWei;
        }
    }

    /// What the run's transcript folds in.
    function _keepRow(uint256 run, bytes32 topic, bytes memory data) private {
        bytes memory row;
        bytes24 after_;
        if (topic == IRounds.Submitted.selector) {
            (bytes32 digest, bytes32 stamp) = abi.decode(data, (bytes32, bytes32));
            (row, after_) = (abi.encodePacked(uint8(2), bytes6(stamp), digest), bytes24(stamp << 64));
        } else if (topic == IRounds.Held.selector) {
            uint8 v;
            bytes32 base;
            bytes memory bitmap;
            (v, base, bitmap, after_) = abi.decode(data, (uint8, bytes32, bytes, bytes24));
            row = abi.encodePacked(uint8(3), v, base, bitmap);
        } else if (topic == IRounds.Committed.selector) {
            uint8 v;
            bytes32 commitment;
            (v, commitment, after_) = abi.decode(data, (uint8, bytes32, bytes24));
            row = abi.encodePacked(uint8(4), v, commitment);
        } else if (topic == IRounds.Revealed.selector) {
            uint8 v;
            bytes32 salt;
            bytes memory report;
            (v, salt, report, after_) = abi.decode(data, (uint8, bytes32, bytes, bytes24));
            row = abi.encodePacked(uint8(5), v, salt, _hashReport(report));
        } else if (topic == IRounds.PhaseOpened.selector) {
            (row, after_) = _phaseRow(run, data);
        } else {
            return;
        }
        _rows[run] = bytes.concat(_rows[run], row);
        _transcript[run] = after_;
    }

    function _phaseRow(uint256 run, bytes memory data) private returns (bytes memory, bytes24) {
        (uint16 round, uint8 phase, uint40 deadline, bytes32 beacon, bytes24 roster, bytes24 after_) =
            abi.decode(data, (uint16, uint8, uint40, bytes32, bytes24, bytes24));
        if (phase == uint8(Phase.TRAIN)) (_opening[run], _rows[run]) = (_transcript[run], "");
        return (abi.encodePacked(uint8(1), round, phase, deadline, beacon, roster), after_);
    }

    function _admitted(uint256 run, Vm.Log memory log) internal {
        (uint8 role, uint16 index, uint128 stakeWei, bytes24 roster) =
            abi.decode(log.data, (uint8, uint16, uint128, bytes24));
        address account = address(uint160(uint256(log.topics[2])));
        rosterRows[run] = abi.encodePacked(rosterRows[run], uint8(7), role, index, account, stakeWei);
        rosterLength[run][roster] = rosterRows[run].length;
    }

    function _retired(uint256 run, Vm.Log memory log) internal {
        (uint8 role, uint16 index, bytes24 roster) = abi.decode(log.data, (uint8, uint16, bytes24));
        rosterRows[run] = abi.encodePacked(rosterRows[run], uint8(8), role, index);
        rosterLength[run][roster] = rosterRows[run].length;
        ++times["retire"];
    }

    function _rated(uint256 run, bytes memory data) internal {
        (uint8 role, uint16 index, uint32 ratingQ32, bytes24 roster) =
            abi.decode(data, (uint8, uint16, uint32, bytes24));
        rosterRows[run] = abi.encodePacked(rosterRows[run], uint8(9), role, index, ratingQ32);
        rosterLength[run][roster] = rosterRows[run].length;
        ++times["rate"];
    }

    function _phaseOpened(uint256 run, bytes memory data) internal {
        (uint16 round, Phase phase,,, bytes24 roster,) =
            abi.decode(data, (uint16, Phase, uint40, bytes32, bytes24, bytes24));
        bool again = round == lastRound[run] && phase == Phase.COMMIT && lastPhase[run] == Phase.SETTLE;
        if (again) _expanded(run, round);
        bool forward = again || round > lastRound[run] || (round == lastRound[run] && phase > lastPhase[run]);
        if (!forward || lastPhase[run] == Phase.ENDED) ++phaseWentBack;
        (lastRound[run], lastPhase[run]) = (round, phase);
        if (phase == Phase.ENDED) ++times["ended"];
        Masks memory m = rounds.masks(run);
        if (phase == Phase.HOLD) open_[run].active = m.active;
        if (phase != Phase.TRAIN) return;
        (uint16 trainers, uint8 verifiers) = (rounds.counts(run).trainersInRound, rounds.counts(run).verifiersInRound);
        open_[run] = Open(round, trainers, verifiers, m.active, 0, roster, m.eligible);
    }

    /// The record is thrown away, everyone eligible speaks anew.
    function _expanded(uint256 run, uint16 round) private {
        if (expandedIn[run] == round) ++expandedTwice;
        expandedIn[run] = round;
        (open_[run].active, open_[run].revealed) = (open_[run].eligible, 0);
        recorded[run].pop();
        ++times["expand"];
    }

    function lastRecorded(uint256 run) external view returns (uint16) {
        return recorded[run].length == 0 ? 0 : recorded[run][recorded[run].length - 1];
    }

    function _recorded(uint256 run, bytes memory data) internal {
        (uint16 round, bytes30 hash) = abi.decode(data, (uint16, bytes30));
        Open memory was = open_[run];
        Record memory record;
        (record.round, record.trainers, record.verifiers) = (was.round, was.trainers, was.verifiers);
        record.previous = recorded[run].length == 0 ? 0 : recorded[run][recorded[run].length - 1];
        (record.depositedWei,) = runs.books(run);
        (record.active, record.revealed, record.roster) = (was.active, was.revealed, was.roster);
        record.transcript = _transcript[run];
        (transcriptBefore[run][round], rowsOfRecord[run][round]) = (_opening[run], _rows[run]);
        address[] memory seated = rounds.verifiersAt(run, 0, was.verifiers);
        record.stakesWei = stakes.stakesOf(run, seated);
        bytes32[] memory hashes = new bytes32[](was.verifiers);
        uint256 count;
        for (uint256 v; v < was.verifiers; ++v) {
            if ((was.active >> v) & 1 == 0) record.stakesWei[v] = 0;
            if ((was.revealed >> v) & 1 == 1) hashes[count++] = _hashReport(said[run][round][v]);
        }
        assembly ("memory-safe") {
            mstore(hashes, count)
        }
        record.reports = hashes;
        if (Docket.hash(record) != hash || round != was.round) ++recordDiffers;
        recordOf[run][round] = record;
        recorded[run].push(round);
        ++times["record"];
    }

    function _settled(uint256 run, bytes memory data) internal {
        uint16 round = abi.decode(data, (uint16));
        if (paramsOfRun[run].challengeS == 0) {
            (,, _transcript[run]) = abi.decode(data, (uint16, Outcome, bytes24));
        }
        if (settledRound[run][round]) ++settledTwice;
        settledRound[run][round] = true;
    }
}
