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
            let at := nodes
            // The tag is the last byte of the word before; what precedes it is not hashed.
            mstore(node, 0x00)
            let tagged := add(node, 0x1f)
            for { let from := add(standings, 0x20) } lt(at, node) { from := add(from, 0x60) at := add(at, 0x40) } {
                let second := mload(add(from, 0x20))
                mstore(add(node, 0x20), mload(from))
                mstore(add(node, 0x40), second)
                mstore(add(node, 0x60), mload(add(from, 0x40)))
                mstore(at, keccak256(tagged, 97))
                mstore(add(at, 0x20), shr(128, second))
            }
            mstore(node, 0x01)
            for {} gt(count, 1) { count := shr(1, add(count, 1)) } {
                let to := nodes
                at := nodes
                for { let end := add(nodes, shl(7, shr(1, count))) } lt(at, end) { at := add(at, 0x80) } {
                    let leftSum := mload(add(at, 0x20))
                    let rightSum := mload(add(at, 0x60))
                    mstore(add(node, 0x20), mload(at))
                    mstore(add(node, 0x40), shl(128, leftSum))
                    mstore(add(node, 0x50), mload(add(at, 0x40)))
                    mstore(add(node, 0x70), shl(128, rightSum))
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
    /// @dev A sum that leaves 128 bits cannot belong to any posted root: the climb stops there.
    function climb(bytes32[3] calldata standing, uint256 rightBits, bytes calldata proof)
        internal
        pure
        returns (bytes32 hash)
    {
        if (proof.length % SIBLING_SIZE != 0) revert IRuns.ProofLength(proof.length);
        uint256 sumWei;
        assembly ("memory-safe") {
            let node := mload(0x40)
            let tagged := add(node, 0x1f)
            mstore(node, 0x00)
            calldatacopy(add(node, 0x20), standing, 0x60)
            hash := keccak256(tagged, 97)
            sumWei := shr(128, mload(add(node, 0x40)))
            mstore(node, 0x01)
            let sibling := proof.offset
            for { let end := add(sibling, proof.length) } lt(sibling, end) { sibling := add(sibling, 48) } {
                // Ours goes left or right, the sibling to the other side.
                let shift := mul(and(rightBits, 1), 0x30)
                let ours := add(add(node, 0x20), shift)
                let siblingSum := shr(128, calldataload(add(sibling, 0x20)))
                // The right half is written last: a left half's sum spills 16 bytes into it.
                switch shift
                case 0 {
                    mstore(ours, hash)
                    mstore(add(ours, 0x20), shl(128, sumWei))
                    calldatacopy(add(ours, 0x30), sibling, 0x30)
                }
                default {
                    calldatacopy(add(node, 0x20), sibling, 0x30)
                    mstore(ours, hash)
                    mstore(add(ours, 0x20), shl(128, sumWei))
                }
                hash := keccak256(tagged, 97)
                sumWei := add(sumWei, siblingSum)
                rightBits := shr(1, rightBits)
                if shr(128, sumWei) {
                    hash := 0
                    break
                }
            }
        }
    }
}
