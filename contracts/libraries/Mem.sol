// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// Words in memory without bounds checks, for loops that walk an array from its first to its end.
library Mem {
    function first(uint256[] memory array) internal pure returns (uint256 pointer) {
        assembly ("memory-safe") {
            pointer := add(array, 0x20)
        }
    }

    /// Just behind the last word.
    function end(uint256[] memory array) internal pure returns (uint256 pointer) {
        assembly ("memory-safe") {
            pointer := add(add(array, 0x20), shl(5, mload(array)))
        }
    }

    function read(uint256 pointer) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(pointer)
        }
    }

    function write(uint256 pointer, uint256 word) internal pure {
        assembly ("memory-safe") {
            mstore(pointer, word)
        }
    }
}
