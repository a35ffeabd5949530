// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Clock, Counts, Masks, Phase, Role, Schedule, Seat, Submission} from "./Types.sol";

/// @title Rounds: what was said and when
/// @notice Every act is folded into the run's transcript (src/gradmint/spec/transcript.py); every event carries the
/// transcript after its own row. Joins, exits and ratings have a transcript of their own, the roster, which every phase row folds in.
/// @dev Acts are taken strictly before the deadline; from the deadline on anyone may poke(). A phase ends at once when
/// everybody awaited has acted; a phase in which nobody is awaited lasts to its deadline. A phase in which nobody acts
/// makes the round void: nobody is paid or slashed, the next round opens. Who is awaited and misses two phases
/// (trainers: two settled rounds) in a row is no longer awaited until it acts again, so nobody can block a run.
/// @dev The committee is everyone who was seated when the round opened; where that is more than the run's `committee`, as many
/// are drawn by stake when HOLD opens, with its beacon (Committee.draw). Who is not drawn has nothing to do in the round, and
/// is neither paid nor judged; it stays eligible: in a direct run whose drawn committee has no quorum everyone is called in,
/// once, and assesses anew from COMMIT on, with another beacon. What was submitted and held stays as it is.
/// @dev A round that ends with at least one reveal is recorded: a hash fixes everything that its settlement depends on. In a
/// direct run the next round waits for that settlement (SETTLE, or void); in a proposing run it opens at once.
/// @dev Not guaranteed: that a committee that is silent as a whole is replaced (such a round is void); nor that a run that ends
/// because its target was reached records the round it is in.
interface IRounds {
    event PhaseOpened(
        uint256 indexed run,
        uint16 round,
        Phase phase,
        uint40 deadline,
        bytes32 beacon,
        bytes24 roster,
        bytes24 transcript
    );
    /// The round ended in `phase` without a settlement.
    event Voided(uint256 indexed run, uint16 round, Phase phase);
    /// The drawn committee had no quorum: everyone in the mask `active` assesses anew.
    event Expanded(uint256 indexed run, uint16 round, uint32 active);
    /// The round is over and can be settled. `recordHash`: Docket.hash of its Record.
    event Recorded(uint256 indexed run, uint16 round, bytes30 recordHash);
    /// `roster` is the roster transcript after this row.
    event Admitted(
        uint256 indexed run, uint8 role, uint16 index, address indexed account, uint128 stakeWei, bytes24 roster
    );
    event Retired(uint256 indexed run, uint8 role, uint16 index, address indexed account, bytes24 roster);
    /// From the next round that opens on, the seat goes by this rating.
    event Rated(
        uint256 indexed run, uint8 role, uint16 index, address indexed account, uint32 ratingQ32, bytes24 roster
    );
    /// `stamp`: trainer uint16 | claimed gain int32 | 2 zero bytes | transcript 24 (one word: 512 gas less per submission).
    /// Two submissions of one trainer in a round are both recorded; the first in chain order counts.
    event Submitted(uint256 indexed run, bytes32 digest, bytes32 stamp);
    event Held(uint256 indexed run, uint8 verifier, bytes32 baseDigest, bytes bitmap, bytes24 transcript);
    event Committed(uint256 indexed run, uint8 verifier, bytes32 commitment, bytes24 transcript);
    event Revealed(uint256 indexed run, uint8 verifier, bytes32 salt, bytes report, bytes24 transcript);

    error WrongPhase(uint256 run, Phase expected, Phase actual);
    /// The phase is over; poke() moves the run on.
    error Overdue(uint40 deadline, uint256 nowS);
    error NotOverdue(uint40 deadline, uint256 nowS);
    /// The account has no live seat in this role.
    error NotSeated(uint256 run, address account, Role role);
    /// The seat goes by this rating already.
    error RatingUnchanged(uint256 run, address account, uint32 ratingQ32);
    /// The account takes part from a later round on.
    error NotYet(uint16 sinceRound, uint16 round);
    /// The verifier is not of this round's committee: it joined since, or was not drawn.
    error NotOnCommittee(uint256 run, uint8 verifier);
    error AlreadyActed(uint256 run, uint8 verifier, Phase phase);
    error AlreadySeated(uint256 run, address account);
    /// All seats of this role are taken, and none is to be given away.
    error Full(uint256 run, Role role, uint256 seats);
    /// The submissions brought along are not the round's, all of them, in chain order.
    error TranscriptMismatch(bytes24 expected, bytes24 actual);
    error StillAwaited(uint16 trainer);
    /// No trainer is awaited: the phase lasts to its deadline, so that anyone may come back.
    error NobodyAwaited(uint256 run);
    error BitmapLength(uint256 expectedBytes, uint256 actualBytes);
    error NotCommitted(uint256 run, uint8 verifier);
    /// Report and salt do not open the commitment (chain, contract, run, round and sender are part of it).
    error RevealMismatch(bytes32 committed, bytes32 opened);
    error ReportLength(uint256 expectedBytes, uint256 actualBytes);
    /// A verdict above 8 or a common gain of -2^31.
    error MalformedRow(uint256 row);

    /// @notice Announces a trainer's update by its digest; the blob stays private until submissions close.
    /// @param claimedGainMicronats Gain on the assigned data, as the blob's header repeats it.
    function submit(uint256 run, bytes32 digest, int32 claimedGainMicronats) external;

    /// @notice Closes submissions early: all awaited trainers are in.
    /// @param submissions Every submission of this round in chain order, repeated ones included.
    function close(uint256 run, Submission[] calldata submissions) external;

    /// @notice A verifier says which blobs it has and which base model it rebuilt.
    /// @param bitmap Trainer i is bit i % 8 of byte i / 8; ceil(trainersInRound / 8) bytes.
    function hold(uint256 run, bytes calldata bitmap, bytes32 baseDigest) external;

    /// @param commitment keccak256(abi.encode(chain id, this contract, run, round, verifier, Reports.hash(report), salt)).
    function commit(uint256 run, bytes32 commitment) external;

    /// @param report Packed: loss uint32 | words x 32 bytes | per trainer verdict uint8, common int32, assigned int32.
    function reveal(uint256 run, bytes calldata report, bytes32 salt) external;

    /// @notice Moves an overdue phase on. Anyone.
    function poke(uint256 run) external;

    /// @notice Brings what Reputation says of a seated account into the run, up or down: a row of the roster. Anyone.
    /// @dev A seat is unrated until somebody calls this, and again when it is given to a newcomer.
    function rate(uint256 run, address account) external;

    /// @notice Starts a run's enrolment. Only Runs.
    function create(uint256 run, Schedule calldata schedule_) external;
    /// @notice Ends a run that is still in enrolment. Only Runs.
    function cancel(uint256 run) external;
    /// @notice Seats an account; opens round 1 when both minima are reached. Only Stakes.
    /// @dev In this order: a fresh seat; the first seat whose holder left (a verifier's not while that can be
    /// called on); a trainer's only: the seat of the weakest, whom the last final settlement named, unless it was given away
    /// since. The weakest is retired by that: no more submissions; what it submitted in this round still counts, and what it
    /// was promised stays claimable. A newcomer takes part from the next round on and inherits nothing.
    /// @return index Among its role.
    /// @return pruned Whose seat was given away; 0: nobody's.
    function admit(uint256 run, Role role, address account, uint128 stakeWei)
        external
        returns (uint16 index, address pruned);
    /// @notice Unseats an account; nothing happens when it has no seat, or was unseated before. Only Stakes.
    function retire(uint256 run, address account) external;
    /// @notice Applies a final settlement of `round`: whom to wait for, who leaves, whose seat is given away next. A direct run
    /// then opens its next round, or ends; a proposing run goes on, or ends. Only Settlement.
    /// @param transcript After the settlement's row; a direct run goes on from it.
    /// @param weakest_ As in the outcome.
    /// @param awaited Bitmap words of the trainers to wait for from now on; empty leaves them as they are. Who joined after
    /// `round` had opened is not touched.
    /// @param ejected Accounts of verifiers who leave.
    /// @param reached Whether the run's target is reached.
    function conclude(
        uint256 run,
        uint16 round,
        bytes24 transcript,
        uint16 weakest_,
        uint256[] calldata awaited,
        address[] calldata ejected,
        bool reached
    ) external;

    /// @notice Instead of settling a direct run's round without quorum: throws its record away and calls in everyone eligible.
    /// Only Settlement.
    /// @return expanded False when everyone was of the committee already; nothing happens then.
    function expand(uint256 run) external returns (bool expanded);

    function clock(uint256 run) external view returns (Clock memory);
    /// @notice What a direct run's settlement goes by: the clock, and the hash of its latest record; 0: none.
    function due(uint256 run) external view returns (Clock memory, bytes30 recordHash);
    function masks(uint256 run) external view returns (Masks memory);
    function counts(uint256 run) external view returns (Counts memory);
    function seat(uint256 run, address account) external view returns (Seat memory);
    /// @notice Transcript right after this round's TRAIN phase opened.
    function opening(uint256 run) external view returns (bytes24);
    /// @notice A verifier's commitment; after its reveal Reports.hash(report). Of an earlier round where masks say so.
    function message(uint256 run, uint8 verifier) external view returns (bytes32);
    /// @notice Hash of a round's record, and the recorded round before it; 0 and 0 when there is none. A direct run knows
    /// its latest only.
    function record(uint256 run, uint16 round) external view returns (bytes30 hash, uint16 previous);
    /// @notice The latest recorded round; 0: none.
    function lastRecorded(uint256 run) external view returns (uint16);
    /// @notice Trainer whose seat is given away next, and the round whose settlement said so; 65,535 or round 0: nobody's.
    function weakest(uint256 run) external view returns (uint16 index, uint16 round);
    /// @notice Bitmap of this round's awaited trainers, 256 indices a word.
    function awaitedTrainers(uint256 run) external view returns (uint256[] memory);
    /// @notice Present holders of trainer seats [from, to).
    function trainersAt(uint256 run, uint256 from, uint256 to) external view returns (address[] memory);
    /// @notice Present holders of verifier seats [from, to).
    function verifiersAt(uint256 run, uint256 from, uint256 to) external view returns (address[] memory);
    /// @notice Whether `account` is a verifier who can be called on in the current round, and the run goes on.
    function onDuty(uint256 run, address account) external view returns (bool);
}
