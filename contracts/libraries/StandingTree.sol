// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// Merkle-sum tree over standings: the root commits to the total. src/gradmint/spec/tree.py.
///
///     leaf   keccak256(0x00 || account, 20 bytes || paid Wei, 16 bytes), sum = paid Wei
///     node   keccak256(0x01 || left hash || left sum, 16 bytes || right hash || right sum, 16 bytes)
///
/// Hashes are the first 24 bytes. A last node without a sibling rises unchanged. Tags keep leaves and nodes apart, so a proof
/// needs no count.
library StandingTree {
    error ProofLength(uint256 lengthBytes);
    error PaidTooLarge(uint256 paidWei);
    /// What is left of `rightBits` after the last sibling.
    error PathTooLong(uint256 rightBits);

    uint256 private constant SIBLING_SIZE = 40; // hash 24 | sum 16

    /// Root and sum over packed standings; (0, 0) for none.
    /// @dev Sums fit 128 bits: together they are what was deposited at most. Works in the free memory behind the pointer, 40
    /// bytes a leaf, and leaves the pointer where it is. Nodes are packed like siblings, so that the two that are hashed lie
    /// side by side: the byte before them belongs to a pair already hashed and takes the tag.
    function root(bytes memory standings) internal pure returns (bytes24 hash, uint256 sumWei) {
        uint256 count = standings.length / 96;
        if (count == 0) return (0, 0);
        assembly ("memory-safe") {
            let nodes := add(mload(0x40), 0x20) // room for the first tag
            let to := nodes
            mstore8(0x00, 0x00)
            let from := add(standings, 0x20)
            for { let end := add(from, mul(count, 0x60)) } lt(from, end) { from := add(from, 0x60) } {
                // tag at 0x00, account 0x01, paid 0x15; what else the two words hold is overwritten or behind the 37 bytes.
                let paid := mload(add(from, 0x20))
                mstore(0x01, mload(from))
                mstore(0x15, paid)
                paid := shr(128, paid)
                mstore(add(to, 0x08), paid)
                mstore(to, or(and(keccak256(0x00, 37), not(0xffffffffffffffff)), shr(64, paid)))
                to := add(to, 0x28)
            }
            for {} gt(count, 1) { count := shr(1, add(count, 1)) } {
                to := nodes
                from := nodes
                for { let end := add(nodes, mul(0x50, shr(1, count))) } lt(from, end) { from := add(from, 0x50) } {
                    mstore8(sub(from, 1), 0x01)
                    hash := keccak256(sub(from, 1), 81)
                    let sum := and(add(mload(add(from, 0x08)), mload(add(from, 0x30))), sub(shl(128, 1), 1))
                    mstore(add(to, 0x08), sum)
                    mstore(to, or(and(hash, not(0xffffffffffffffff)), shr(64, sum)))
                    to := add(to, 0x28)
                }
                if and(count, 1) { mcopy(to, from, 0x28) }
            }
            hash := and(mload(nodes), not(0xffffffffffffffff))
            sumWei := and(mload(add(nodes, 0x08)), sub(shl(128, 1), 1))
        }
    }

    /// Root that a proof leads to. Bit k of `rightBits` is set when our node is the right child at step k.
    /// @dev Sums are not checked for overflow: a path that hashes to a posted root is a path of that tree, sums included.
    function climb(address account, uint256 paidWei, uint256 rightBits, bytes calldata proof)
        internal
        pure
        returns (bytes24 hash)
    {
        if (proof.length % SIBLING_SIZE != 0) revert ProofLength(proof.length);
        if (paidWei >> 128 != 0) revert PaidTooLarge(paidWei); // the leaf has 128 bits for it
        assembly ("memory-safe") {
            // tag at 0x1f, left hash 0x20 and sum 0x38, right hash 0x48 and sum 0x60: constant addresses save 5%. Hashes and
            // sums are left-aligned: what a store spills behind its place is written afterwards or behind the 81 bytes.
            let free := mload(0x40)
            let sibling := proof.offset
            let end := add(sibling, proof.length)
            mstore(0x14, account) // ends at 0x34; 0x1f becomes 0, a leaf's tag
            mstore(0x34, shl(128, paidWei))
            hash := keccak256(0x1f, 37)
            mstore8(0x1f, 0x01)
            for {} lt(sibling, end) { sibling := add(sibling, 0x28) } {
                let shift := mul(0x28, and(rightBits, 1))
                mstore(add(0x20, shift), hash)
                mstore(add(0x38, shift), shl(128, paidWei))
                calldatacopy(sub(0x48, shift), sibling, 0x28)
                hash := keccak256(0x1f, 81)
                // Above its 128 bits the sum gathers bits of hashes, which nothing carries down and the shift drops.
                paidWei := add(paidWei, calldataload(add(sibling, 0x08)))
                rightBits := shr(1, rightBits)
            }
            hash := and(hash, not(0xffffffffffffffff))
            mstore(0x40, free)
            mstore(0x60, 0)
        }
        if (rightBits != 0) revert PathTooLong(rightBits);
    }
}
