// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// Packed reports in calldata: loss uint32 | words x 32 bytes | rows x (verdict uint8 | common int32 | assigned int32).
library Reports {
    uint256 internal constant ROW_SIZE = 9;
    uint256 internal constant WORDS_AT = 4;
    uint256 internal constant CHUNK_ROWS = 256; // that one slice of a re-execution brings

    /// Assigned gain of a trainer whom the beacon did not sample; no common gain takes this value.
    uint256 internal constant UNSAMPLED = 0x80000000;

    /// Bytes of a packed report.
    function size(uint256 words, uint256 trainers) internal pure returns (uint256) {
        unchecked {
            return WORDS_AT + 32 * words + ROW_SIZE * trainers; // words < 2^8, trainers < 2^16
        }
    }

    /// What stands for a packed report: keccak256(head || keccak256 of each chunk of rows). The head is loss and words.
    function hash(bytes calldata report, uint256 words) internal pure returns (bytes32 digest) {
        uint256 head = rowsAt(words);
        uint256 step = CHUNK_ROWS * ROW_SIZE;
        assembly ("memory-safe") {
            // The head goes where it stays, each chunk behind it and then its hash over the chunk's beginning.
            let free := mload(0x40)
            let to := add(free, head)
            calldatacopy(free, report.offset, head)
            let from := add(report.offset, head)
            for { let end := add(report.offset, report.length) } lt(from, end) { from := add(from, step) } {
                let length := sub(end, from)
                if gt(length, step) { length := step }
                calldatacopy(to, from, length)
                mstore(to, keccak256(to, length))
                to := add(to, 0x20)
            }
            digest := keccak256(free, sub(to, free))
        }
    }

    /// The same from a head that the hashes of the chunks are appended to.
    function hashHead(bytes calldata head) internal pure returns (bytes32) {
        return keccak256(head);
    }

    /// Offset in calldata.
    function locate(bytes calldata report) internal pure returns (uint256 offset) {
        assembly ("memory-safe") {
            offset := report.offset
        }
    }

    function lossMicronats(uint256 report) internal pure returns (uint256) {
        return _load(report) >> 224;
    }

    /// Where the rows begin.
    function rowsAt(uint256 words) internal pure returns (uint256) {
        unchecked {
            return WORDS_AT + 32 * words;
        }
    }

    /// The 72 bits of the row at this offset in calldata.
    /// @dev Reads the word that the row ends; 4 + 32 * words > 23 bytes come before it, so it begins within the report.
    function row(uint256 offset) internal pure returns (uint256) {
        unchecked {
            return _load(offset + ROW_SIZE - 32) & 0xffffffffffffffffff;
        }
    }

    /// First row with a verdict above 8 or a common gain of -2^31; `trainers` when there is none.
    function findMalformedRow(bytes calldata report, uint256 words, uint256 trainers)
        internal
        pure
        returns (uint256 i)
    {
        unchecked {
            uint256 offset = locate(report) + rowsAt(words);
            for (; i < trainers; ++i) {
                uint256 packed = row(offset);
                if (packed >> 64 > 8 || (packed >> 32) & 0xffffffff == UNSAMPLED) break;
                offset += ROW_SIZE;
            }
        }
    }

    function _load(uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(offset)
        }
    }
}
