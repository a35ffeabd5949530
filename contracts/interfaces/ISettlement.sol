// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ITransition} from "./ITransition.sol";
import {Effects, Evidence, Inputs, Outcome, Params, Proposal, Record, Terms} from "./Types.sol";

/// @title Settlement by re-execution, on chain or behind a bond
/// @notice Anyone brings a round's record, the standings before it and what the verifiers said; the contract checks them
/// against hashes and executes the mechanism (the same function as src/gradmint/spec/docket.py, equal to the bit). Direct
/// runs do so every round. Proposing runs state outcomes with a bond instead; a false one is refuted by re-execution.
/// @dev Nobody can block a settlement: all inputs are public calldata and events, no token is called, absent verifiers are
/// weighed as absent. Whoever settles chooses nothing but the moment.
/// @dev Proposals stand on each other, in the order of the recorded rounds: the first false one takes those after it down.
/// Until finalise() is called, a refutation is possible, however late. An insolvent outcome cannot become final.
/// @dev Not guaranteed: that a false outcome which nobody refutes stays out. One honest re-executor is needed who gets a
/// transaction in within the challenge window.
interface ISettlement {
    /// Final. `clusterMask` 0: no quorum, standings unchanged, nobody paid, and slashed only for silence. `transcript`: the
    /// run's in a direct run, settlements' own in a proposing one.
    event Settled(uint256 indexed run, uint16 round, Outcome outcome, bytes24 transcript);
    event Proposed(uint256 indexed run, uint16 round, address indexed proposer, uint40 finalS, Outcome outcome);
    event Challenged(uint256 indexed run, uint16 round, address indexed challenger, uint40 untilS);
    /// The proposal for `round` was false; it and all later ones are void.
    event Refuted(uint256 indexed run, uint16 round, address indexed proposer, address indexed challenger);
    /// One slice of a re-execution was heard.
    event Heard(uint256 indexed run, uint16 round, uint256 chunk);

    error ParamsMismatch(bytes32 expected, bytes32 actual);
    /// keccak256(roster 24 || standings) of the round settled, or proposed, before.
    error StandingsMismatch(bytes32 expected, bytes32 actual);
    /// The rows do not lead from the roster before to the record's.
    error RosterMismatch(bytes24 expected, bytes24 actual);
    /// A row is cut off.
    error RosterRows(uint256 lengthBytes);
    error RecordMismatch(uint256 run, uint16 round, bytes30 expected, bytes30 actual);
    error ReportCount(uint256 expected, uint256 actual);
    /// Of report `place` among who revealed.
    error ReportMismatch(uint256 place, bytes32 expected, bytes32 actual);
    error SliceCount(uint256 expected, uint256 actual);
    /// Of slice `chunk`, as hear() stored it; 0: not heard.
    error SliceMismatch(uint256 chunk, bytes32 expected, bytes32 actual);
    /// There is no such slice, or no quorum: nothing to hear.
    error NoSuchSlice(uint256 run, uint16 round, uint256 chunk);
    /// A direct run: its rounds are settled at once.
    error NotProposing(uint256 run);
    /// The round before must be settled, or proposed, first.
    error NotNext(uint256 run, uint16 round, uint16 previous, uint16 expected);
    error NotRecorded(uint256 run, uint16 round);
    error TooManyPending(uint256 run);
    /// Proposals are pending: finalise or refute those.
    error StillPending(uint256 run, uint256 pending);
    /// The list is not what is pending now, all of it, in order.
    error PendingMismatch(bytes32 expected, bytes32 actual);
    error NotPending(uint256 run, uint16 round);
    /// Another challenge is open; it is over when its round is final or refuted.
    error AlreadyChallenged(uint256 run, uint16 round);
    error NotFinal(uint16 round, uint40 finalS, uint256 nowS);
    error EffectsMismatch(bytes32 expected, bytes32 actual);
    /// The proposal is what re-execution gives.
    error NotRefuted(uint256 run, uint16 round);

    /// @notice Settles a round by re-execution, final at once. A direct run: the current round, in SETTLE. A proposing run:
    /// the next recorded round, when nothing is pending.
    /// @dev A direct run's round without quorum whose committee was drawn is not settled: everyone is called in instead.
    /// @param params As in the run's Opened event.
    /// @param inputs The round's record, and what was settled before it.
    /// @param evidence What the verifiers said.
    function settle(uint256 run, Params calldata params, Inputs calldata inputs, Evidence calldata evidence) external;

    /// @notice States the outcome of the next recorded round; locks the caller's bond (IStakes.bond).
    function propose(uint256 run, uint16 round, Outcome calldata outcome) external;

    /// @notice Objects to a pending proposal and gains time to refute it: locks a bond of the same size until the round is
    /// refuted; lost to the proposer when it becomes final. One challenge at a time.
    function challenge(uint256 run, uint16 round) external;

    /// @notice Hears one slice of 256 rows of a recorded round, for a re-execution too large for one transaction.
    /// @param heads Of who revealed, in index order: loss uint32 | words x 32 bytes | keccak256 of each chunk of rows.
    /// @param rowsOf Chunk `chunk` of each of these reports; of one outside the cluster it may be empty.
    function hear(
        uint256 run,
        Params calldata params,
        Record calldata record,
        bytes[] calldata heads,
        uint256 chunk,
        bytes[] calldata rowsOf
    ) external;

    /// @notice Voids pending proposal `place` and all after it: re-execution gives another outcome. The bond behind it is
    /// split between whoever refutes (the challenger, while a challenge of that round is open), the fire and the budget.
    /// @param inputs The round's record, and what proposal `place - 1` states (`place` 0: what is final) was before it.
    /// @param pending All pending proposals, in order, as in the Proposed events.
    function refute(
        uint256 run,
        Params calldata params,
        Inputs calldata inputs,
        Evidence calldata evidence,
        Proposal[] calldata pending,
        uint256 place
    ) external;

    /// @notice Makes the first pending proposal final when its window and any challenge of it are over. Anyone.
    function finalise(uint256 run, Proposal[] calldata pending, Effects calldata effects) external;

    /// @notice Starts the docket of a proposing run. Only Runs.
    function create(uint256 run, Terms calldata terms) external;

    /// @notice keccak256(roster transcript, 24 bytes || packed standings) after the last final settlement.
    function standingsHash(uint256 run) external view returns (bytes32);
    /// @notice Last round final and last round proposed, how many are pending, and the transcript of settlements. All 0 for
    /// a direct run.
    function docket(uint256 run)
        external
        view
        returns (uint16 settled, uint16 proposed, uint8 pending, bytes24 transcript);
    /// @notice Rolling hash of the pending proposals; 1: none; 0: a direct run.
    function tip(uint256 run) external view returns (bytes32);
    /// @notice The open challenge; round 0: none.
    function challenged(uint256 run) external view returns (address challenger, uint16 round, uint40 untilS);
    /// @notice What hear() stored: keccak256(keccak256 of the agreed rows, a word each || keccak256 of the sums); 0: not heard.
    function heard(uint256 run, uint16 round, uint256 chunk) external view returns (bytes32);
    /// @notice Re-executes; made by Settlement's constructor.
    function transition() external view returns (ITransition);
    /// @notice Whether all recorded rounds are settled; always so in a direct run.
    function isCaughtUp(uint256 run) external view returns (bool);
}
