// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Effects, Evidence, Inputs, Outcome, Params, Record} from "./Types.sol";

/// @title What a recorded round gives: execute() of src/gradmint/spec/docket.py, equal to the bit
/// @notice Pure functions: no state, no caller, no clock. Settlement makes this contract in its own constructor and asks it;
/// anyone may ask it too, off chain, what a settlement would give.
/// @dev Not checked here but by Settlement: that the parameters are the run's, the record the chain's and the standings those
/// of the settlement before. Errors are ISettlement's.
interface ITransition {
    /// @param totalWei Promised to participants before.
    /// @return outcome What the chain remembers.
    /// @return effects What the settlement does beside promising pay.
    /// @return slices Hashes of the slices that the evidence brings, to be compared with what was heard; empty with whole
    /// reports or without a quorum.
    /// @dev The order of the parameters is that of ISettlement's settle and refute, which pass on their own calldata.
    function execute(uint256 totalWei, Params calldata params, Inputs calldata inputs, Evidence calldata evidence)
        external
        pure
        returns (Outcome memory outcome, Effects memory effects, bytes32[] memory slices);

    /// @notice Agrees on one slice of 256 rows; see ISettlement.hear.
    /// @return slice Its hash, see ISettlement.heard; 0 when there is no such slice, or no quorum.
    function hear(
        Params calldata params,
        Record calldata record,
        bytes[] calldata heads,
        uint256 chunk,
        bytes[] calldata rowsOf
    ) external pure returns (bytes32 slice);
}
