// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ReputationHandler} from "./ReputationHandler.sol";
import {Check} from "./Vm.sol";

/// After any sequence of acts.
contract ReputationInvariantTest is Check {
    ReputationHandler private handler;

    function setUp() external {
        handler = new ReputationHandler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function invariant_purses_stakes_and_bonds_are_the_balance_to_the_wei() external view {
        _check();
    }

    /// More acts than the invariant's, from one fuzzed seed.
    function test_a_long_story_adds_up(uint256 random) external {
        for (uint256 k; k < 60; ++k) {
            uint256 x = draw(random, k);
            (uint256 act, uint256 a, uint256 b) = (x % 16, x >> 8, x >> 16);
            if (act < 2) handler.wait(uint8(x >> 32));
            else if (act < 5) handler.lend(a, b, uint64(x >> 64));
            else if (act == 5) handler.takeBack(a, b);
            else if (act == 6) handler.reclaim(a, b);
            else if (act == 7) handler.slash(a, b, x >> 24);
            else if (act < 10) handler.propose(a, uint64(x >> 64), uint8(x >> 128));
            else if (act == 10) handler.challenge(a, b);
            else if (act == 11) handler.finalise(a);
            else if (act == 12) handler.refute(a);
            else if (act == 13) handler.proveNothing(a, b);
            else if (act == 14) handler.withdraw(a, uint64(x >> 64));
            else handler.deposit(a, uint64(x >> 64));
            _check();
        }
        so(handler.done() > 5, "something happened");
    }

    function _check() private view {
        same(handler.balanceWei(), handler.pursesWei() + handler.stakesWei() + handler.bondsWei(), "the balance");
    }
}
