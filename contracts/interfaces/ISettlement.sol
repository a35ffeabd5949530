// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Params} from "./Types.sol";

/// @title Settlement by re-execution
/// @notice Anyone brings the old standings and the revealed reports; the contract checks them against hashes, executes the
/// mechanism (the same function as src/gradmint/spec/mechanism.py, equal to the bit) and the result is final at once.
/// @dev Nobody can block a settlement: all inputs are public calldata and events, no token is called, absent verifiers are
/// weighed as absent, and a round that nobody settles in time is void. A settler chooses nothing but the moment.
interface ISettlement {
    /// `clusterMask` 0: no quorum, standings unchanged, nobody paid, and slashed only for silence.
    event Settled(
        uint256 indexed run,
        uint16 round,
        bytes32 root,
        uint128 totalWei,
        uint128 paidWei,
        bytes32 standingsHash,
        uint32 lossMicronats,
        uint32 clusterMask,
        bytes24 transcript
    );

    error ParamsMismatch(bytes32 expected, bytes32 actual);
    error StandingsMismatch(bytes32 expected, bytes32 actual);
    error ReportCount(uint256 expected, uint256 actual);
    error ReportMismatch(uint8 verifier, bytes32 expected, bytes32 actual);

    /// @notice Settles the current round: posts the new root, slashes, ejects, opens the next round or ends the run.
    /// @param params As in the run's Opened event.
    /// @param standings Packed standings after the last settlement, 96 bytes each, trainers before verifiers, each in index
    /// order; empty before the first one. Whoever joined since is appended here.
    /// @param reports One per verifier that revealed, in index order, as in the Revealed events.
    function settle(uint256 run, Params calldata params, bytes calldata standings, bytes[] calldata reports) external;

    /// @notice keccak256 of the packed standings after the last settlement; of nothing before the first.
    function standingsHash(uint256 run) external view returns (bytes32);
}
