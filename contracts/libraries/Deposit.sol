// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {SafeCastLib} from "solady/src/utils/SafeCastLib.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

/// Tokens in, counted by what arrives: fee-on-transfer tokens and tokens without a return value are welcome.
library Deposit {
    /// Callers must be non-reentrant: a token with hooks could otherwise have one arrival counted twice.
    function pull(address token, uint256 amountWei) internal returns (uint128 arrivedWei) {
        if (amountWei == 0) return 0;
        uint256 beforeWei = SafeTransferLib.balanceOf(token, address(this));
        SafeTransferLib.safeTransferFrom(token, msg.sender, address(this), amountWei);
        return SafeCastLib.toUint128(SafeTransferLib.balanceOf(token, address(this)) - beforeWei);
    }
}
