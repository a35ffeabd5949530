// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Wired} from "./Wired.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {IRuns} from "./interfaces/IRuns.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IStakes} from "./interfaces/IStakes.sol";
import {Clock, Counts, Masks, Outcome, Phase, Role, Schedule, Seat, Submission} from "./interfaces/Types.sol";
import {Bitmap} from "./libraries/Bitmap.sol";
import {Committee} from "./libraries/Committee.sol";
import {Hamming} from "./libraries/Hamming.sol";
import {Reports} from "./libraries/Reports.sol";
import {Transcript} from "./libraries/Transcript.sol";

/// @dev See IRounds.
contract Rounds is IRounds, Wired {
    /* STORAGE */

    mapping(uint256 run => Clock) private _clocks;
    mapping(uint256 run => Masks) private _masks;
    mapping(uint256 run => Counts) private _counts;
    mapping(uint256 run => Schedule) private _schedules;

    /// @inheritdoc IRounds
    mapping(uint256 run => bytes24) public opening;

    mapping(uint256 run => mapping(address account => Seat)) private _seats;
    mapping(uint256 run => mapping(uint256 index => address)) private _trainers;
    mapping(uint256 run => mapping(uint256 index => address)) private _verifiers;
    mapping(uint256 run => mapping(uint256 word => uint256)) private _awaitedTrainers;
    mapping(uint256 run => mapping(uint256 word => uint256)) private _goneTrainers;

    /// @inheritdoc IRounds
    mapping(uint256 run => mapping(uint8 verifier => bytes32)) public message;

    constructor(IRuns runs_, IStakes stakes_, IRounds rounds_, ISettlement settlement_)
        Wired(runs_, stakes_, rounds_, settlement_)
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
        bytes24 transcript = opening[run];
        for (uint256 i; i < submissions.length; ++i) {
            Submission calldata said = submissions[i];
            transcript = Transcript.submitted(transcript, said.trainer, said.claimedGainMicronats, said.digest);
            if (said.trainer < trainers) seen[said.trainer >> 8] |= 1 << (said.trainer & 255);
        }
        if (transcript != clock_.transcript) revert TranscriptMismatch(clock_.transcript, transcript);
        _requireAllIn(run, trainers, seen);

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
        bytes32 reportHash = keccak256(report);
        bytes32 opened =
            Transcript.commitment(block.chainid, address(this), run, clock_.round, msg.sender, reportHash, salt);
        if (opened != message[run][verifier]) revert RevealMismatch(message[run][verifier], opened);
        _checkReport(run, report);

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
            if (clock_.transcript == opening[run]) _void(run, clock_);
            else _openPhase(run, clock_, Phase.HOLD);
        } else if (clock_.phase == Phase.SETTLE) {
            _void(run, clock_);
        } else {
            Masks memory m = _masks[run];
            uint32 acted = Committee.actors(m, clock_.phase);
            Committee.takeAttendance(m, clock_.phase);
            _masks[run] = m;
            if (acted == 0) _void(run, clock_);
            else _openPhase(run, clock_, _next(clock_.phase));
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
    function admit(uint256 run, Role role, address account, uint128 stakeWei)
        external
        only(address(stakes))
        returns (uint16 index)
    {
        Clock memory clock_ = _clocks[run];
        if (clock_.phase == Phase.ENDED) revert WrongPhase(run, Phase.ENROL, clock_.phase);
        if (_seats[run][account].role != Role.NONE) revert AlreadySeated(run, account);
        Schedule memory plan = _schedules[run];
        Counts memory n = _counts[run];

        if (role == Role.TRAINER) {
            index = n.trainers;
            if (index >= plan.maxTrainers) revert Full(run, role, plan.maxTrainers);
            n.trainers = index + 1;
            _trainers[run][index] = account;
            _awaitedTrainers[run][index >> 8] |= 1 << (index & 255);
        } else {
            index = n.verifiers;
            if (index >= plan.maxVerifiers) revert Full(run, role, plan.maxVerifiers);
            n.verifiers = uint8(index + 1); // at most 32
            _verifiers[run][index] = account;
        }
        _seats[run][account] = Seat({role: role, retired: false, index: index, sinceRound: clock_.round + 1});
        n.roster = Transcript.admitted(n.roster, role, index, account, stakeWei);
        _counts[run] = n;

        emit Admitted(run, uint8(role), index, account, stakeWei, n.roster);

        if (clock_.phase == Phase.ENROL && _isReady(n, plan, _masks[run].gone)) _openRound(run, clock_);
    }

    /// @inheritdoc IRounds
    function retire(uint256 run, address account) external only(address(stakes)) {
        _retire(run, account);
    }

    /// @inheritdoc IRounds
    function conclude(uint256 run, Outcome calldata outcome, uint256[] calldata awaited, uint32 ejected, bool reached)
        external
        only(address(settlement))
    {
        Clock memory clock_ = _clocks[run];
        clock_.transcript = Transcript.settled(clock_.transcript, clock_.round, outcome);
        _awaitTrainers(run, awaited);
        for (uint256 verifier; ejected >> verifier != 0; ++verifier) {
            if ((ejected >> verifier) & 1 == 1) _retire(run, _verifiers[run][verifier]);
        }

        if (reached) _openPhase(run, clock_, Phase.ENDED);
        else _openRound(run, clock_);
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
        Seat memory seat_ = _seats[run][msg.sender];
        if (seat_.role != Role.VERIFIER) revert NotSeated(run, msg.sender, Role.VERIFIER);
        verifier = uint8(seat_.index);
        bit = uint32(1) << verifier;
        m = _masks[run];
        if (m.active & bit == 0) revert NotOnCommittee(run, verifier);
    }

    function _requireAllIn(uint256 run, uint256 trainers, uint256[] memory seen) private view {
        uint256 anybody;
        for (uint256 word; word < seen.length; ++word) {
            uint256 awaited = _awaitedTrainers[run][word] & Bitmap.maskOf(trainers, word);
            uint256 absent = awaited & ~seen[word];
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
        bool over = duty != 0 && duty & ~Committee.actors(m, clock_.phase) == 0;
        if (over) Committee.takeAttendance(m, clock_.phase);
        _masks[run] = m;
        if (over) _openPhase(run, clock_, _next(clock_.phase));
        else _clocks[run] = clock_;
    }

    function _next(Phase phase) private pure returns (Phase) {
        return Phase(uint8(phase) + 1);
    }

    function _void(uint256 run, Clock memory clock_) private {
        emit Voided(run, clock_.round, clock_.phase);
        _openRound(run, clock_);
    }

    function _openRound(uint256 run, Clock memory clock_) private {
        if (clock_.round == _schedules[run].maxRounds) return _openPhase(run, clock_, Phase.ENDED);

        Counts memory n = _counts[run];
        Masks memory m = _masks[run];
        uint32 joined = uint32(Bitmap.maskOf(n.verifiers, 0) & ~Bitmap.maskOf(n.verifiersInRound, 0));
        m.active = uint32(Bitmap.maskOf(n.verifiers, 0)) & ~m.gone;
        m.awaited = (m.awaited | joined) & m.active;
        (m.held, m.committed, m.revealed) = (0, 0, 0);
        (n.trainersInRound, n.verifiersInRound) = (n.trainers, n.verifiers);
        (_counts[run], _masks[run]) = (n, m);

        ++clock_.round;
        _openPhase(run, clock_, Phase.TRAIN);
        opening[run] = clock_.transcript;
    }

    function _openPhase(uint256 run, Clock memory clock_, Phase phase) private {
        bytes24 roster = _counts[run].roster;
        bytes32 beacon = Transcript.beacon(block.prevrandao, clock_.transcript);
        clock_.phase = phase;
        clock_.deadline = phase == Phase.ENDED ? 0 : uint40(block.timestamp + _duration(run, phase));
        clock_.transcript = Transcript.phase(clock_.transcript, clock_.round, phase, clock_.deadline, beacon, roster);
        _clocks[run] = clock_;

        emit PhaseOpened(run, clock_.round, phase, clock_.deadline, beacon, roster, clock_.transcript);
    }

    function _duration(uint256 run, Phase phase) private view returns (uint256) {
        Schedule memory plan = _schedules[run];
        if (phase == Phase.TRAIN) return plan.trainS;
        if (phase == Phase.HOLD) return plan.holdS;
        if (phase == Phase.COMMIT) return plan.commitS;
        if (phase == Phase.REVEAL) return plan.revealS;
        return plan.settleS;
    }

    /* ROSTER */

    function _isReady(Counts memory n, Schedule memory plan, uint32 gone) private pure returns (bool) {
        uint256 verifiers = Hamming.popcount(Bitmap.maskOf(n.verifiers, 0) & ~uint256(gone));
        return n.trainers - n.trainersGone >= plan.minTrainers && verifiers >= plan.minVerifiers;
    }

    function _retire(uint256 run, address account) private {
        Seat memory seat_ = _seats[run][account];
        if (seat_.retired) return;

        _seats[run][account].retired = true;
        if (seat_.role == Role.TRAINER) {
            uint256 bit = 1 << (seat_.index & 255);
            _goneTrainers[run][seat_.index >> 8] |= bit;
            _awaitedTrainers[run][seat_.index >> 8] &= ~bit;
            ++_counts[run].trainersGone;
        } else {
            _masks[run].gone |= uint32(1) << seat_.index;
        }
        bytes24 roster = Transcript.retired(_counts[run].roster, seat_.role, seat_.index);
        _counts[run].roster = roster;

        emit Retired(run, uint8(seat_.role), seat_.index, account, roster);
    }

    /// Joiners of this round stay awaited, the retired never are.
    function _awaitTrainers(uint256 run, uint256[] calldata awaited) private {
        Counts memory n = _counts[run];
        for (uint256 word; word < awaited.length; ++word) {
            uint256 inRound = Bitmap.maskOf(n.trainersInRound, word);
            uint256 before = _awaitedTrainers[run][word];
            uint256 gone = n.trainersGone == 0 ? 0 : _goneTrainers[run][word];
            uint256 next = (before & ~inRound) | (awaited[word] & inRound & ~gone);
            if (next != before) _awaitedTrainers[run][word] = next;
        }
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
    function counts(uint256 run) external view returns (Counts memory) {
        return _counts[run];
    }

    /// @inheritdoc IRounds
    function schedule(uint256 run) external view returns (Schedule memory) {
        return _schedules[run];
    }

    /// @inheritdoc IRounds
    function seat(uint256 run, address account) external view returns (Seat memory) {
        return _seats[run][account];
    }

    /// @inheritdoc IRounds
    function messages(uint256 run) external view returns (bytes32[] memory said) {
        said = new bytes32[](_counts[run].verifiersInRound);
        for (uint8 verifier; verifier < said.length; ++verifier) {
            said[verifier] = message[run][verifier];
        }
    }

    /// @inheritdoc IRounds
    function awaitedTrainers(uint256 run) external view returns (uint256[] memory awaited) {
        uint256 trainers = _counts[run].trainersInRound;
        awaited = new uint256[](Bitmap.wordsFor(trainers));
        for (uint256 word; word < awaited.length; ++word) {
            awaited[word] = _awaitedTrainers[run][word] & Bitmap.maskOf(trainers, word);
        }
    }

    /// @inheritdoc IRounds
    function trainersAt(uint256 run, uint256 from, uint256 to) external view returns (address[] memory) {
        return _slice(_trainers[run], from, to);
    }

    /// @inheritdoc IRounds
    function verifiersAt(uint256 run, uint256 from, uint256 to) external view returns (address[] memory) {
        return _slice(_verifiers[run], from, to);
    }

    /// @inheritdoc IRounds
    function onDuty(uint256 run, address account) external view returns (bool) {
        Seat memory seat_ = _seats[run][account];
        return seat_.role == Role.VERIFIER && (_masks[run].active >> seat_.index) & 1 == 1;
    }

    function _slice(mapping(uint256 index => address) storage accounts, uint256 from, uint256 to)
        private
        view
        returns (address[] memory slice)
    {
        slice = new address[](to - from);
        for (uint256 i; i < slice.length; ++i) {
            slice[i] = accounts[from + i];
        }
    }
}
