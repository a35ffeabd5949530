// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token for local chains: anyone mints as much as they like
contract DevToken is ERC20 {
    constructor() ERC20("Gradmint development token", "DEV") {}

    function mint(address to, uint256 amountWei) external {
        _mint(to, amountWei);
    }
}
