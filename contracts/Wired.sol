// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IReputation} from "./interfaces/IReputation.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {IRuns} from "./interfaces/IRuns.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IStakes} from "./interfaces/IStakes.sol";
import {IWired} from "./interfaces/IWired.sol";

/// The five addresses follow from the deployer's nonce: Runs, Stakes, Rounds, Settlement, Reputation at n .. n + 4.
abstract contract Wired is IWired {
    /// @inheritdoc IWired
    IRuns public immutable override runs;
    /// @inheritdoc IWired
    IStakes public immutable override stakes;
    /// @inheritdoc IWired
    IRounds public immutable override rounds;
    /// @inheritdoc IWired
    ISettlement public immutable override settlement;
    /// @inheritdoc IWired
    IReputation public immutable override reputation;

    constructor(IRuns runs_, IStakes stakes_, IRounds rounds_, ISettlement settlement_, IReputation reputation_) {
        runs = runs_;
        stakes = stakes_;
        rounds = rounds_;
        settlement = settlement_;
        reputation = reputation_;
    }

    modifier only(address sibling) {
        if (msg.sender != sibling) revert OnlySibling(msg.sender, sibling);
        _;
    }

    function _requireSelf(address expected) internal view {
        if (address(this) != expected) revert Miswired(address(this), expected);
    }
}
