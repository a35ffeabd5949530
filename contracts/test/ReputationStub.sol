// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// In the place of Reputation: whatever a test says of an account.
contract ReputationStub {
    mapping(address account => uint32 ratingQ32) public ratingOf;

    function set(address account, uint32 ratingQ32) external {
        ratingOf[account] = ratingQ32;
    }
}
