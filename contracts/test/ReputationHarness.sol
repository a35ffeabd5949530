// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Witness} from "../interfaces/IReputation.sol";
import {Ratings} from "../libraries/Ratings.sol";
import {Facts, Witnesses} from "../libraries/Witnesses.sol";

/// The libraries of reputation for eth_call: vectors. Never deployed for real.
contract ReputationHarness {
    function check(Witness calldata witness, Facts calldata facts, address account, uint256 hits, uint256 paths)
        external
        pure
    {
        Witnesses.checkNodes(witness.nodes, account);
        Witnesses.check(witness, facts, hits, paths);
    }

    function ratingQ32(uint256 hits, uint256 paths, uint256 known, uint256 alphaBps, uint256 betaBps)
        external
        pure
        returns (uint32)
    {
        return Ratings.ratingQ32(hits, paths, known, alphaBps, betaBps);
    }
}
