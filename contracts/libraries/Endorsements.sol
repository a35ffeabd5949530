// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Role} from "../interfaces/Types.sol";
import {Leaf} from "./Standings.sol";

/// What is said of an account, as a rolling hash of its entries, and what a run's standings say.
/// src/gradmint/spec/feedback.py, endorsements.py.
///
///     entry    epoch uint32 | endorsement uint32 | weight uint32; with the top bit of the second set it ends an earlier one
///     heard'   keccak256(heard || entry); 0 before the first
library Endorsements {
    uint256 internal constant ENTRY = 12;
    uint256 internal constant ENDS = 1 << 31; // in an entry's endorsement: from its epoch on, that one is taken away
    uint256 internal constant ROUND_UNITS = 1 << 12; // what an endorser says of a whole verified round
    uint256 internal constant MAX_SAID = type(uint32).max; // in sum

    /// After one more entry. All three are below 2^32.
    function fold(bytes32 heard, uint256 epoch, uint256 endorsement, uint256 weight) internal pure returns (bytes32) {
        return _fold(heard, (epoch << 64 | endorsement << 32 | weight) << 160);
    }

    /// The hash of a whole list.
    /// @dev The caller has seen that its length is a multiple of ENTRY.
    function hash(bytes calldata list) internal pure returns (bytes32 heard) {
        uint256 from;
        uint256 end;
        assembly ("memory-safe") {
            from := list.offset
            end := add(from, list.length)
        }
        for (; from < end; from += ENTRY) {
            uint256 entry;
            assembly ("memory-safe") {
                entry := calldataload(from)
            }
            heard = _fold(heard, entry);
        }
    }

    /// Entry `i` of a list, no bounds checked.
    function entryOf(bytes calldata list, uint256 i)
        internal
        pure
        returns (uint256 epoch, uint256 endorsement, uint256 weight)
    {
        assembly ("memory-safe") {
            let entry := shr(160, calldataload(add(list.offset, mul(i, ENTRY))))
            epoch := shr(64, entry)
            endorsement := and(shr(32, entry), 0xffffffff)
            weight := and(entry, 0xffffffff)
        }
    }

    /* A RUN'S */

    /// The most rounds anyone was there for, and the value of those whom a harvest endorses.
    /// @dev Values have 64 bits, leaves are fewer than 2^17.
    function survey(Leaf leaf, uint256 count, uint256 round) internal pure returns (uint256 settled, uint256 valueQ32) {
        unchecked {
            for (uint256 i; i < count; ++i) {
                if (leaf.rounds() > settled) settled = leaf.rounds();
                if (_isEndorsed(leaf, round)) valueQ32 += leaf.valueQ32();
                leaf = leaf.next();
            }
        }
    }

    /// Who is endorsed: account << 32 | weight in index order, the weights together at most `units`; and their sum.
    /// @param valueQ32 That survey() found.
    /// @dev `units` are below 2^28: 2^12 for each of fewer than 2^16 rounds.
    function rowsOf(Leaf leaf, uint256 count, uint256 round, uint256 units, uint256 valueQ32)
        internal
        pure
        returns (uint256[] memory rows, uint256 said)
    {
        unchecked {
            rows = new uint256[](count);
            uint256 found;
            for (uint256 i; i < count; ++i) {
                uint256 weight = _isEndorsed(leaf, round) ? leaf.valueQ32() * units / valueQ32 : 0;
                if (weight != 0) {
                    rows[found++] = uint256(uint160(leaf.account())) << 32 | weight;
                    said += weight;
                }
                leaf = leaf.next();
            }
            assembly ("memory-safe") {
                mstore(rows, found)
            }
        }
    }

    function isOf(Leaf leaf, Role role) internal pure returns (bool) {
        (uint256 seat,,) = leaf.words();
        return (seat >> 88) & 0xff == uint256(role);
    }

    /// Whether `round` does not find a trainer banned, and its work has come to anything.
    function _isEndorsed(Leaf leaf, uint256 round) private pure returns (bool) {
        return isOf(leaf, Role.TRAINER) && leaf.valueQ32() != 0 && leaf.banRound() < round;
    }

    /// The entry is the first 12 bytes of the word; what follows them is not hashed.
    function _fold(bytes32 heard, uint256 entry) private pure returns (bytes32 next) {
        assembly ("memory-safe") {
            mstore(0x00, heard)
            mstore(0x20, entry)
            next := keccak256(0x00, 44)
        }
    }
}
