// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IReputation} from "./IReputation.sol";
import {IRounds} from "./IRounds.sol";
import {IRuns} from "./IRuns.sol";
import {ISettlement} from "./ISettlement.sol";
import {IStakes} from "./IStakes.sol";

/// @title Four contracts that know each other, and the ratings that runs read, by immutable address
/// @notice A client checks the wiring once: all four must name the same five addresses.
interface IWired {
    /// The call is reserved for a sibling.
    error OnlySibling(address caller, address expected);

    /// The constructor was given another address for this very contract: the deployer's nonce was not the expected one.
    error Miswired(address self, address expected);

    function runs() external view returns (IRuns);
    function stakes() external view returns (IStakes);
    function rounds() external view returns (IRounds);
    function settlement() external view returns (ISettlement);
    function reputation() external view returns (IReputation);
}
