// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRuns} from "../interfaces/IRuns.sol";

/// Merkle-sum tree over standings: the root commits to the total. src/gradmint/spec/tree.py.
///
///     leaf   keccak256(0x00 || standing, 96 bytes), sum = the standing's paid Wei
///     node   keccak256(0x01 || left hash || left sum, 16 bytes || right hash || right sum, 16 bytes)
///
/// A last node without a sibling rises unchanged. Tags keep leaves and nodes apart, so a proof needs no count.
library StandingTree {
    uint256 private constant SIBLING_SIZE = 48;

    /// Root and sum over packed standings; (0, 0) for none.
    /// @dev Sums fit 128 bits: together they are what was deposited at most. Nodes are kept as (hash, sum) pairs.
    function root(bytes memory standings) internal pure returns (bytes32 hash, uint256 sumWei) {
        uint256 count = standings.length / 96;
        if (count == 0) return (0, 0);
        assembly ("memory-safe") {
            let nodes := mload(0x40)
            let node := add(nodes, shl(6, count)) // scratch beyond the nodes: tag and up to 96 bytes
            let tagged := add(node, 0x1f) // the tag is the last byte of the word before
            let at := nodes
            for { let from := add(standings, 0x20) } lt(at, node) {
                from := add(from, 0x60)
                at := add(at, 0x40)
            } {
                // A leaf is hashed where it lies: the byte before it makes way for the tag.
                let tag := sub(from, 1)
                let before := mload(sub(from, 0x20))
                mstore8(tag, 0x00)
                mstore(at, keccak256(tag, 97))
                mstore(sub(from, 0x20), before)
                mstore(add(at, 0x20), shr(128, mload(add(from, 0x20))))
            }
            mstore(node, 0x01)
            for {} gt(count, 1) { count := shr(1, add(count, 1)) } {
                let to := nodes
                at := nodes
                for { let end := add(nodes, shl(7, shr(1, count))) } lt(at, end) { at := add(at, 0x80) } {
                    let leftSum := mload(add(at, 0x20))
                    let rightSum := mload(add(at, 0x60))
                    // A sum is the low half of its word, the high half is overwritten by the hash before it.
                    mstore(add(node, 0x30), leftSum)
                    mstore(add(node, 0x20), mload(at))
                    mstore(add(node, 0x60), rightSum)
                    mstore(add(node, 0x50), mload(add(at, 0x40)))
                    mstore(to, keccak256(tagged, 97))
                    mstore(add(to, 0x20), add(leftSum, rightSum))
                    to := add(to, 0x40)
                }
                if and(count, 1) {
                    mstore(to, mload(at))
                    mstore(add(to, 0x20), mload(add(at, 0x20)))
                }
            }
            hash := mload(nodes)
            sumWei := mload(add(nodes, 0x20))
        }
    }

    /// Root that a proof leads to. Bit k of `rightBits` is set when our node is the right child at step k.
    /// @dev Sums are not checked for overflow: a path that hashes to a posted root is a path of that tree, sums included.
    function climb(bytes32[3] calldata standing, uint256 rightBits, bytes calldata proof)
        internal
        pure
        returns (bytes32 hash)
    {
        if (proof.length % SIBLING_SIZE != 0) revert IRuns.ProofLength(proof.length);
        assembly ("memory-safe") {
            // tag at 0x1f, left hash 0x20 and sum 0x40, right hash 0x50 and sum 0x70: constant addresses save 5%.
            let free := mload(0x40)
            mstore(0x00, 0x00)
            calldatacopy(0x20, standing, 0x60)
            hash := keccak256(0x1f, 97)
            let sumWei := shr(128, mload(0x40))
            mstore(0x00, 0x01)
            let sibling := proof.offset
            for { let end := add(sibling, proof.length) } lt(sibling, end) { sibling := add(sibling, 0x30) } {
                let shift := mul(0x30, and(rightBits, 1))
                mstore(add(0x30, shift), sumWei) // its low half is the sum's place, the hash fills the high half
                mstore(add(0x20, shift), hash)
                calldatacopy(sub(0x50, shift), sibling, 0x30)
                hash := keccak256(0x1f, 97)
                sumWei := add(sumWei, shr(128, calldataload(add(sibling, 0x20))))
                rightBits := shr(1, rightBits)
            }
            mstore(0x40, free)
            mstore(0x60, 0)
        }
    }
}
