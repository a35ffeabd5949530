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

    /// Lets an array end at `end_`, somewhere in it.
    function truncate(uint256[] memory array, uint256 end_) internal pure {
        assembly ("memory-safe") {
            mstore(array, shr(5, sub(sub(end_, array), 0x20)))
        }
    }

    /// Where free memory begins.
    function mark() internal pure returns (uint256 free) {
        assembly ("memory-safe") {
            free := mload(0x40)
        }
    }

    /// Frees whatever was allocated since the mark: nobody may use it any more. Memory is paid for by its square.
    function release(uint256 free) internal pure {
        assembly ("memory-safe") {
            mstore(0x40, free)
        }
    }
}
