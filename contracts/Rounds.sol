// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Seats} from "./Seats.sol";
import {Wired} from "./Wired.sol";
import {IReputation} from "./interfaces/IReputation.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {IRuns} from "./interfaces/IRuns.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IStakes} from "./interfaces/IStakes.sol";
import {Clock, Counts, Masks, Phase, Record, Role, Schedule, Seat, Submission} from "./interfaces/Types.sol";
import {Bitmap} from "./libraries/Bitmap.sol";
import {Committee} from "./libraries/Committee.sol";
import {Docket} from "./libraries/Docket.sol";
import {Hamming} from "./libraries/Hamming.sol";
import {Reports} from "./libraries/Reports.sol";
import {Transcript} from "./libraries/Transcript.sol";

/// @dev See IRounds.
contract Rounds is Seats {
    struct Filed {
        bytes30 hash;
        uint16 previous;
    }

    /// Where direct runs keep their only record, in place of a round: nobody asks for an older one.
    uint256 private constant DIRECT = type(uint256).max;

    /* STORAGE */

    mapping(uint256 run => mapping(uint256 round => Filed)) private _records;

    /// @inheritdoc IRounds
    mapping(uint256 run => mapping(uint8 verifier => bytes32)) public message;

    constructor(IRuns runs_, IStakes stakes_, IRounds rounds_, ISettlement settlement_, IReputation reputation_)
        Wired(runs_, stakes_, rounds_, settlement_, reputation_)
    {
        _requireSelf(address(rounds_));
    }

    /* TRAINERS */

    /// @inheritdoc IRounds
    function submit(uint256 run, bytes32 digest, int32 claimedGainMicronats) external {
        Clock storage clock_ = _clocks[run];
        uint256 word;
        assembly ("memory-safe") {
            word := sload(clock_.slot) // solc reads the slot once more for the write below
        }
        uint16 round = clock_.round;
        if (clock_.phase != Phase.TRAIN) revert WrongPhase(run, Phase.TRAIN, clock_.phase);
        if (block.timestamp >= clock_.deadline) revert Overdue(clock_.deadline, block.timestamp);
        Seat storage seat_ = _seats[run][msg.sender];
        uint16 trainer = seat_.index;
        if (seat_.role != Role.TRAINER || seat_.retired) revert NotSeated(run, msg.sender, Role.TRAINER);
        if (seat_.sinceRound > round) revert NotYet(seat_.sinceRound, round);

        bytes24 transcript = Transcript.submitted(clock_.transcript, trainer, claimedGainMicronats, digest);
        assembly ("memory-safe") {
            sstore(clock_.slot, or(shl(192, shr(192, word)), shr(64, transcript))) // the transcript is the low 192 bits
        }

        emit Submitted(run, digest, Transcript.stamp(trainer, claimedGainMicronats, transcript));
    }

    /// @inheritdoc IRounds
    function close(uint256 run, Submission[] calldata submissions) external {
        Clock memory clock_ = _during(run, Phase.TRAIN);
        uint256 trainers = _counts[run].trainersInRound;
        uint256[] memory seen = new uint256[](Bitmap.wordsFor(trainers));
        bytes24 transcript = _marks[run].opening;
        for (uint256 i; i < submissions.length; ++i) {
            Submission calldata said = submissions[i];
            transcript = Transcript.submitted(transcript, said.trainer, said.claimedGainMicronats, said.digest);
            if (said.trainer < trainers) seen[said.trainer >> 8] |= 1 << (said.trainer & 255);
        }
        if (transcript != clock_.transcript) revert TranscriptMismatch(clock_.transcript, transcript);
        _requireAllIn(run, clock_.round, trainers, seen);

        _openPhase(run, clock_, Phase.HOLD);
    }

    /* VERIFIERS */

    /// @inheritdoc IRounds
    function hold(uint256 run, bytes calldata bitmap, bytes32 baseDigest) external {
        (Clock memory clock_, Masks memory m, uint8 verifier, uint32 bit) = _committee(run, Phase.HOLD);
        if (m.held & bit != 0) revert AlreadyActed(run, verifier, Phase.HOLD);
        uint256 expectedBytes = (uint256(_counts[run].trainersInRound) + 7) / 8;
        if (bitmap.length != expectedBytes) revert BitmapLength(expectedBytes, bitmap.length);

        m.held |= bit;
        clock_.transcript = Transcript.held(clock_.transcript, verifier, baseDigest, bitmap);

        emit Held(run, verifier, baseDigest, bitmap, clock_.transcript);

        _acted(run, clock_, m);
    }

    /// @inheritdoc IRounds
    function commit(uint256 run, bytes32 commitment) external {
        (Clock memory clock_, Masks memory m, uint8 verifier, uint32 bit) = _committee(run, Phase.COMMIT);
        if (m.committed & bit != 0) revert AlreadyActed(run, verifier, Phase.COMMIT);

        m.committed |= bit;
        message[run][verifier] = commitment;
        clock_.transcript = Transcript.committed(clock_.transcript, verifier, commitment);

        emit Committed(run, verifier, commitment, clock_.transcript);

        _acted(run, clock_, m);
    }

    /// @inheritdoc IRounds
    function reveal(uint256 run, bytes calldata report, bytes32 salt) external {
        (Clock memory clock_, Masks memory m, uint8 verifier, uint32 bit) = _committee(run, Phase.REVEAL);
        if (m.revealed & bit != 0) revert AlreadyActed(run, verifier, Phase.REVEAL);
        if (m.committed & bit == 0) revert NotCommitted(run, verifier);
        _checkReport(run, report);
        bytes32 reportHash = Reports.hash(report, _schedules[run].words);
        bytes32 opened =
            Transcript.commitment(block.chainid, address(this), run, clock_.round, msg.sender, reportHash, salt);
        if (opened != message[run][verifier]) revert RevealMismatch(message[run][verifier], opened);

        m.revealed |= bit;
        message[run][verifier] = reportHash;
        clock_.transcript = Transcript.revealed(clock_.transcript, verifier, salt, reportHash);

        emit Revealed(run, verifier, salt, report, clock_.transcript);

        _acted(run, clock_, m);
    }

    /* ANYONE */

    /// @inheritdoc IRounds
    function poke(uint256 run) external {
        Clock memory clock_ = _clocks[run];
        if (clock_.phase == Phase.ENROL || clock_.phase == Phase.ENDED) {
            revert WrongPhase(run, Phase.TRAIN, clock_.phase);
        }
        if (block.timestamp < clock_.deadline) revert NotOverdue(clock_.deadline, block.timestamp);

        if (clock_.phase == Phase.TRAIN) {
            if (clock_.transcript == _marks[run].opening) _void(run, clock_);
            else _openPhase(run, clock_, Phase.HOLD);
        } else if (clock_.phase == Phase.SETTLE) {
            _void(run, clock_);
        } else {
            _endPhase(run, clock_, _masks[run]);
        }
    }

    /* SIBLINGS */

    /// @inheritdoc IRounds
    function create(uint256 run, Schedule calldata schedule_) external only(address(runs)) {
        _schedules[run] = schedule_;
    }

    /// @inheritdoc IRounds
    function cancel(uint256 run) external only(address(runs)) {
        Clock memory clock_ = _clocks[run];
        if (clock_.phase != Phase.ENROL) revert WrongPhase(run, Phase.ENROL, clock_.phase);

        _openPhase(run, clock_, Phase.ENDED);
    }

    /// @inheritdoc IRounds
    function conclude(
        uint256 run,
        uint16 round,
        bytes24 transcript,
        uint16 weakest_,
        uint256[] calldata awaited,
        address[] calldata ejected,
        bool reached
    ) external only(address(settlement)) {
        (_marks[run].weakest, _marks[run].weakestRound) = (weakest_, round);
        _awaitTrainers(run, round, awaited);
        for (uint256 i; i < ejected.length; ++i) {
            _retire(run, ejected[i]);
        }

        Clock memory clock_ = _clocks[run];
        if (_schedules[run].proposing) {
            if (reached && clock_.phase != Phase.ENDED) _openPhase(run, clock_, Phase.ENDED);
        } else {
            clock_.transcript = transcript;
            if (reached) _openPhase(run, clock_, Phase.ENDED);
            else _openRound(run, clock_);
        }
    }

    /// @inheritdoc IRounds
    function expand(uint256 run) external only(address(settlement)) returns (bool) {
        Masks storage m = _masks[run];
        uint32 eligible = m.eligible;
        if (m.active == eligible) return false;

        (m.active, m.committed, m.revealed) = (eligible, 0, 0);
        _marks[run].lastRecorded = _records[run][DIRECT].previous;
        delete _records[run][DIRECT];
        Clock memory clock_ = _clocks[run];
        _openPhase(run, clock_, Phase.COMMIT);

        emit Expanded(run, clock_.round, eligible);
        return true;
    }

    /* GUARDS */

    function _during(uint256 run, Phase phase) private view returns (Clock memory clock_) {
        clock_ = _clocks[run];
        if (clock_.phase != phase) revert WrongPhase(run, phase, clock_.phase);
        if (block.timestamp >= clock_.deadline) revert Overdue(clock_.deadline, block.timestamp);
    }

    /// The caller is a verifier of this round's committee, in time. Leaving does not end the duty before the round does.
    function _committee(uint256 run, Phase phase)
        private
        view
        returns (Clock memory clock_, Masks memory m, uint8 verifier, uint32 bit)
    {
        clock_ = _during(run, phase);
        Seat storage seat_ = _seats[run][msg.sender];
        if (seat_.role != Role.VERIFIER || (seat_.retired && _verifiers[run][seat_.index] != msg.sender)) {
            revert NotSeated(run, msg.sender, Role.VERIFIER);
        }
        verifier = uint8(seat_.index);
        bit = uint32(1) << verifier;
        m = _masks[run];
        if (m.active & bit == 0) revert NotOnCommittee(run, verifier);
    }

    function _requireAllIn(uint256 run, uint16 round, uint256 trainers, uint256[] memory seen) private view {
        uint256 anybody;
        for (uint256 word; word < seen.length; ++word) {
            uint256 awaited = _awaitedTrainers[run][word] & Bitmap.maskOf(trainers, word);
            uint256 absent = awaited & ~seen[word];
            if (absent != 0) {
                uint256 newcomers = _newcomers(run, round, word, absent); // in a seat given again: they cannot submit yet
                (awaited, absent) = (awaited & ~newcomers, absent & ~newcomers);
            }
            for (uint256 bit; absent != 0; ++bit) {
                if ((absent >> bit) & 1 == 1) revert StillAwaited(uint16(256 * word + bit));
            }
            anybody |= awaited;
        }
        if (anybody == 0) revert NobodyAwaited(run);
    }

    function _checkReport(uint256 run, bytes calldata report) private view {
        uint256 words = _schedules[run].words;
        uint256 trainers = _counts[run].trainersInRound;
        uint256 expectedBytes = Reports.size(words, trainers);
        if (report.length != expectedBytes) revert ReportLength(expectedBytes, report.length);
        uint256 malformed = Reports.findMalformedRow(report, words, trainers);
        if (malformed != trainers) revert MalformedRow(malformed);
    }

    /* PHASES */

    /// A verifier acted: store, and end the phase when nobody awaited is missing.
    function _acted(uint256 run, Clock memory clock_, Masks memory m) private {
        uint32 duty = Committee.duty(m, clock_.phase);
        if (duty != 0 && duty & ~Committee.actors(m, clock_.phase) == 0) return _endPhase(run, clock_, m);

        (_masks[run], _clocks[run]) = (m, clock_);
    }

    /// After HOLD, COMMIT or REVEAL.
    function _endPhase(uint256 run, Clock memory clock_, Masks memory m) private {
        uint32 acted = Committee.actors(m, clock_.phase);
        Committee.takeAttendance(m, clock_.phase);
        _masks[run] = m;
        if (acted == 0) return _void(run, clock_);
        if (clock_.phase != Phase.REVEAL) return _openPhase(run, clock_, Phase(uint8(clock_.phase) + 1));

        bool proposing = _schedules[run].proposing;
        _record(run, clock_, m, proposing ? clock_.round : DIRECT);
        if (proposing) _openRound(run, clock_);
        else _openPhase(run, clock_, Phase.SETTLE);
    }

    /// Fixes everything that the round's settlement depends on, except the standings before it.
    function _record(uint256 run, Clock memory clock_, Masks memory m, uint256 place) private {
        uint16 round = clock_.round;
        Counts storage n = _counts[run];
        Marks storage marks_ = _marks[run];
        address[] memory committee = new address[](n.verifiersInRound); // nobody stakes as address 0
        bytes32[] memory reports = new bytes32[](Hamming.popcount(m.revealed));
        uint256 next;
        for (uint8 v; v < n.verifiersInRound; ++v) {
            if ((m.active >> v) & 1 == 1) committee[v] = _verifiers[run][v];
            if ((m.revealed >> v) & 1 == 1) reports[next++] = message[run][v];
        }
        (uint128 depositedWei,) = runs.books(run);
        bytes30 hash = Docket.hash(
            Record({
                round: round,
                previous: marks_.lastRecorded,
                trainers: n.trainersInRound,
                verifiers: n.verifiersInRound,
                depositedWei: depositedWei,
                active: m.active,
                revealed: m.revealed,
                roster: _opened[run].round == round ? _opened[run].roster : n.roster,
                transcript: clock_.transcript,
                reports: reports,
                stakesWei: stakes.stakesOf(run, committee)
            })
        );
        _records[run][place] = Filed(hash, marks_.lastRecorded);
        marks_.lastRecorded = round;

        emit Recorded(run, round, hash);
    }

    function _void(uint256 run, Clock memory clock_) private {
        emit Voided(run, clock_.round, clock_.phase);
        _openRound(run, clock_);
    }

    function _openRound(uint256 run, Clock memory clock_) internal override {
        if (clock_.round == _schedules[run].maxRounds) return _openPhase(run, clock_, Phase.ENDED);

        Counts memory n = _counts[run];
        Masks memory m = _masks[run];
        m.eligible = uint32(Bitmap.maskOf(n.verifiers, 0)) & ~m.gone;
        m.active = m.eligible;
        m.awaited &= m.eligible;
        (m.held, m.committed, m.revealed) = (0, 0, 0);
        (n.trainersInRound, n.verifiersInRound) = (n.trainers, n.verifiers);
        (_counts[run], _masks[run]) = (n, m);

        ++clock_.round;
        _openPhase(run, clock_, Phase.TRAIN);
        _marks[run].opening = clock_.transcript;
    }

    function _openPhase(uint256 run, Clock memory clock_, Phase phase) private {
        bytes24 roster = _counts[run].roster;
        bytes32 beacon = Transcript.beacon(block.prevrandao, clock_.transcript);
        if (phase == Phase.HOLD) _draw(run, beacon);
        clock_.phase = phase;
        clock_.deadline = phase == Phase.ENDED ? 0 : uint40(block.timestamp + _duration(run, phase));
        clock_.transcript = Transcript.phase(clock_.transcript, clock_.round, phase, clock_.deadline, beacon, roster);
        _clocks[run] = clock_;

        emit PhaseOpened(run, clock_.round, phase, clock_.deadline, beacon, roster, clock_.transcript);
    }

    /// The committee of this round, where more are eligible than it has members.
    function _draw(uint256 run, bytes32 beacon) private {
        uint32 eligible = _masks[run].eligible;
        uint8 size = _schedules[run].committee;
        if (Hamming.popcount(eligible) > size) _masks[run].active = stakes.draw(run, beacon, eligible, size);
    }

    function _duration(uint256 run, Phase phase) private view returns (uint256) {
        Schedule storage plan = _schedules[run];
        if (phase == Phase.TRAIN) return plan.trainS;
        if (phase == Phase.HOLD) return plan.holdS;
        if (phase == Phase.COMMIT) return plan.commitS;
        if (phase == Phase.REVEAL) return plan.revealS;
        return plan.settleS;
    }

    /* VIEWS */

    /// @inheritdoc IRounds
    function clock(uint256 run) external view returns (Clock memory) {
        return _clocks[run];
    }

    /// @inheritdoc IRounds
    function masks(uint256 run) external view returns (Masks memory) {
        return _masks[run];
    }

    /// @inheritdoc IRounds
    function opening(uint256 run) external view returns (bytes24) {
        return _marks[run].opening;
    }

    /// @inheritdoc IRounds
    function due(uint256 run) external view returns (Clock memory, bytes30) {
        return (_clocks[run], _records[run][DIRECT].hash);
    }

    /// @inheritdoc IRounds
    function record(uint256 run, uint16 round) external view returns (bytes30 hash, uint16 previous) {
        Filed memory filed = _records[run][round];
        if (filed.hash == 0 && _marks[run].lastRecorded == round) filed = _records[run][DIRECT];
        return (filed.hash, filed.previous);
    }

    /// @inheritdoc IRounds
    function lastRecorded(uint256 run) external view returns (uint16) {
        return _marks[run].lastRecorded;
    }
}
