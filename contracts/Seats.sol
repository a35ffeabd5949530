// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Wired} from "./Wired.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {Clock, Counts, Masks, Phase, Role, Schedule, Seat} from "./interfaces/Types.sol";
import {Bitmap} from "./libraries/Bitmap.sol";
import {Hamming} from "./libraries/Hamming.sol";
import {Transcript} from "./libraries/Transcript.sol";

/// Who is here: seats, the roster, whom the rounds wait for. What is said in them is in Rounds.
abstract contract Seats is IRounds, Wired {
    /// What changes once a round, in one word.
    struct Marks {
        bytes24 opening;
        uint16 lastRecorded; // round
        uint16 lastSince; // first round of the latest trainer
        uint16 weakest; // trainer whose seat is given away next, by the settlement of
        uint16 weakestRound; // this round; 0: none yet
    }

    /// Roster transcript when the latest round opened in which it changed.
    struct Opened {
        bytes24 roster;
        uint16 round;
    }

    /* STORAGE */

    mapping(uint256 run => Clock) internal _clocks;
    mapping(uint256 run => Masks) internal _masks;
    mapping(uint256 run => Counts) internal _counts;
    mapping(uint256 run => Schedule) internal _schedules;
    mapping(uint256 run => Marks) internal _marks;
    mapping(uint256 run => Opened) internal _opened;
    mapping(uint256 run => mapping(address account => Seat)) internal _seats;
    mapping(uint256 run => mapping(uint256 index => address)) internal _trainers;
    mapping(uint256 run => mapping(uint256 index => address)) internal _verifiers;
    mapping(uint256 run => mapping(uint256 word => uint256)) internal _awaitedTrainers;
    mapping(uint256 run => mapping(uint256 word => uint256)) internal _goneTrainers;

    /* RATINGS */

    /// @inheritdoc IRounds
    function rate(uint256 run, address account) external {
        Seat storage seat_ = _seats[run][account];
        (Role role, uint16 index) = (seat_.role, seat_.index);
        if (role == Role.NONE || seat_.retired) revert NotSeated(run, account, role);
        uint32 ratingQ32 = reputation.ratingOf(account);
        if (ratingQ32 == seat_.ratingQ32) revert RatingUnchanged(run, account, ratingQ32);

        seat_.ratingQ32 = ratingQ32;
        bytes24 roster = _counts[run].roster;
        _keepRoster(run, _clocks[run].round, roster);
        roster = Transcript.rated(roster, role, index, ratingQ32);
        _counts[run].roster = roster;

        emit Rated(run, uint8(role), index, account, ratingQ32, roster);
    }

    /* SIBLINGS */

    /// @inheritdoc IRounds
    function admit(uint256 run, Role role, address account, uint128 stakeWei)
        external
        only(address(stakes))
        returns (uint16 index, address pruned)
    {
        Clock memory clock_ = _clocks[run];
        if (clock_.phase == Phase.ENDED) revert WrongPhase(run, Phase.ENROL, clock_.phase);
        if (_seats[run][account].role != Role.NONE) revert AlreadySeated(run, account);

        uint16 sinceRound = clock_.round + 1;
        if (role == Role.TRAINER) {
            (index, pruned) = _findTrainerSeat(run);
            _trainers[run][index] = account;
            _awaitedTrainers[run][index >> 8] |= 1 << (index & 255);
            if (_marks[run].lastSince != sinceRound) _marks[run].lastSince = sinceRound;
        } else {
            index = _findVerifierSeat(run);
            _verifiers[run][index] = account;
        }
        _seats[run][account] = Seat({role: role, retired: false, index: index, sinceRound: sinceRound, ratingQ32: 0});
        bytes24 roster = _counts[run].roster;
        _keepRoster(run, clock_.round, roster);
        roster = Transcript.admitted(roster, role, index, account, stakeWei);
        _counts[run].roster = roster;

        emit Admitted(run, uint8(role), index, account, stakeWei, roster);

        if (clock_.phase == Phase.ENROL && _isReady(run)) _openRound(run, clock_);
    }

    /// @inheritdoc IRounds
    function retire(uint256 run, address account) external only(address(stakes)) {
        _retire(run, account);
    }

    function _openRound(uint256 run, Clock memory clock_) internal virtual;

    /* ROSTER */

    function _isReady(uint256 run) private view returns (bool) {
        (Counts storage n, Schedule storage plan) = (_counts[run], _schedules[run]);
        uint256 verifiers = Hamming.popcount(Bitmap.maskOf(n.verifiers, 0) & ~uint256(_masks[run].gone));
        return n.trainers - n.trainersGone >= plan.minTrainers && verifiers >= plan.minVerifiers;
    }

    /// A fresh seat, else the first whose holder left, else the weakest's.
    function _findTrainerSeat(uint256 run) private returns (uint16 index, address pruned) {
        Counts storage n = _counts[run];
        uint16 seats = _schedules[run].maxTrainers;
        if (n.trainers < seats) return (n.trainers++, address(0));

        if (n.trainersGone == 0) pruned = _pruneWeakest(run, seats);
        uint256 word;
        while (_goneTrainers[run][word] == 0) ++word; // somebody is gone, now at the latest
        uint256 gone = _goneTrainers[run][word];
        _goneTrainers[run][word] = gone & (gone - 1);
        --n.trainersGone;
        return (uint16(256 * word + Hamming.popcount(~gone & (gone - 1))), pruned); // the lowest bit
    }

    /// Only if the settlement that named it judged its present holder.
    function _pruneWeakest(uint256 run, uint16 seats) private returns (address holder) {
        Marks storage marks_ = _marks[run];
        holder = _trainers[run][marks_.weakest];
        if (marks_.weakest >= seats || _seats[run][holder].sinceRound > marks_.weakestRound) {
            revert Full(run, Role.TRAINER, seats);
        }
        _retire(run, holder);
    }

    /// A fresh seat, else the first that somebody left who cannot be called on any more.
    function _findVerifierSeat(uint256 run) private returns (uint16 index) {
        Masks storage m = _masks[run];
        uint8 seats = _schedules[run].maxVerifiers;
        uint32 bit;
        if (_counts[run].verifiers < seats) {
            index = _counts[run].verifiers++;
            bit = uint32(1) << index;
        } else {
            uint32 free = m.gone & ~m.eligible;
            if (free == 0) revert Full(run, Role.VERIFIER, seats);
            bit = free & (~free + 1);
            index = uint16(Hamming.popcount(bit - 1));
            (m.gone, m.missed) = (m.gone & ~bit, m.missed & ~bit);
        }
        m.awaited |= bit;
    }

    /// Also of accounts that a settlement names and that have no seat: nothing happens.
    function _retire(uint256 run, address account) internal {
        Seat storage seat_ = _seats[run][account];
        if (seat_.retired || seat_.role == Role.NONE) return;

        seat_.retired = true;
        if (seat_.role == Role.TRAINER) {
            uint256 bit = 1 << (seat_.index & 255);
            _goneTrainers[run][seat_.index >> 8] |= bit;
            _awaitedTrainers[run][seat_.index >> 8] &= ~bit;
            ++_counts[run].trainersGone;
        } else {
            _masks[run].gone |= uint32(1) << seat_.index;
        }
        bytes24 roster = _counts[run].roster;
        _keepRoster(run, _clocks[run].round, roster);
        roster = Transcript.retired(roster, seat_.role, seat_.index);
        _counts[run].roster = roster;

        emit Retired(run, uint8(seat_.role), seat_.index, account, roster);
    }

    /// The roster is about to change: the first time in a round, what it was when that opened is kept for the record.
    function _keepRoster(uint256 run, uint16 round, bytes24 roster) private {
        if (_opened[run].round != round) _opened[run] = Opened(roster, round);
    }

    /// Who joined since `round` opened stays awaited, who is gone never is.
    function _awaitTrainers(uint256 run, uint16 round, uint256[] calldata awaited) internal {
        Counts storage n = _counts[run];
        bool mixed = _marks[run].lastSince > round;
        for (uint256 word; word < awaited.length; ++word) {
            uint256 before = _awaitedTrainers[run][word];
            uint256 gone = n.trainersGone == 0 ? 0 : _goneTrainers[run][word];
            uint256 change = (awaited[word] ^ before) & Bitmap.maskOf(n.trainersInRound, word) & ~gone;
            if (mixed) change &= ~_newcomers(run, round, word, change);
            if (change != 0) _awaitedTrainers[run][word] = before ^ change;
        }
    }

    /// Those of the trainers in `mask` whose holder joined after `round` had opened.
    function _newcomers(uint256 run, uint16 round, uint256 word, uint256 mask) internal view returns (uint256 found) {
        for (uint256 bit; mask >> bit != 0; ++bit) {
            if ((mask >> bit) & 1 == 0) continue;
            if (_seats[run][_trainers[run][256 * word + bit]].sinceRound > round) found |= 1 << bit;
        }
    }

    /* VIEWS */

    /// @inheritdoc IRounds
    function counts(uint256 run) external view returns (Counts memory) {
        return _counts[run];
    }

    /// @inheritdoc IRounds
    function seat(uint256 run, address account) external view returns (Seat memory) {
        return _seats[run][account];
    }

    /// @inheritdoc IRounds
    function weakest(uint256 run) external view returns (uint16 index, uint16 round) {
        return (_marks[run].weakest, _marks[run].weakestRound);
    }

    /// @inheritdoc IRounds
    function awaitedTrainers(uint256 run) external view returns (uint256[] memory awaited) {
        uint256 trainers = _counts[run].trainersInRound;
        awaited = new uint256[](Bitmap.wordsFor(trainers));
        for (uint256 word; word < awaited.length; ++word) {
            uint256 mask = _awaitedTrainers[run][word] & Bitmap.maskOf(trainers, word);
            awaited[word] = mask & ~_newcomers(run, _clocks[run].round, word, mask);
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
        Seat storage seat_ = _seats[run][account];
        return seat_.role == Role.VERIFIER && (_masks[run].eligible >> seat_.index) & 1 == 1
            && _verifiers[run][seat_.index] == account && _clocks[run].phase != Phase.ENDED;
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
