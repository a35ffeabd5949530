// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// Memory arrays without bounds checks, for loops that count to the array's own length.
library Mem {
    function get(uint256[] memory array, uint256 i) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(array, 0x20), shl(5, i)))
        }
    }

    function set(uint256[] memory array, uint256 i, uint256 word) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(array, 0x20), shl(5, i)), word)
        }
    }
}
