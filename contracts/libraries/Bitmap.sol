// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// Sets of indices, 256 to a word.
library Bitmap {
    function wordsFor(uint256 count) internal pure returns (uint256) {
        return (count + 255) / 256;
    }

    /// Bits of indices below `count` that fall into word `word`.
    function maskOf(uint256 count, uint256 word) internal pure returns (uint256) {
        if (count <= 256 * word) return 0;
        uint256 bits = count - 256 * word;
        return bits >= 256 ? type(uint256).max : (1 << bits) - 1;
    }
}
