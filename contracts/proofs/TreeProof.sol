// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Role} from "../interfaces/Types.sol";
import {StandingTree} from "../libraries/StandingTree.sol";
import {Standings} from "../libraries/Standings.sol";
import {Check} from "../test/forge/Vm.sol";

/// The Merkle-sum tree, for all accounts and amounts, of one to four leaves: enough for both shapes of a level (pairs, and a
/// last node that rises). The usual axiom: different inputs have different hashes. The solver takes it for whole hashes;
/// apart() says it of their first 24 bytes, for the very inputs that a proof is about.
contract TreeProof is Check {
    function check_a_single_leaf_is_the_root(address[4] calldata a, uint120[4] calldata w) external view {
        (bytes24 root, uint256 sum) = this.root(a, w, 1);
        assert(this.climb(a[0], w[0], 0, "") == root && sum == w[0]);
    }

    function check_each_of_two_leaves_climbs_to_the_root(address[4] calldata a, uint120[4] calldata w) external view {
        (bytes24 root,) = this.root(a, w, 2);
        assert(this.climb(a[0], w[0], 0, _sibling(a[1], w[1])) == root);
        assert(this.climb(a[1], w[1], 1, _sibling(a[0], w[0])) == root);
    }

    function check_each_of_three_leaves_climbs_to_the_root(address[4] calldata a, uint120[4] calldata w) external view {
        (bytes24 root,) = this.root(a, w, 3);
        bytes memory third = _sibling(a[2], w[2]);
        assert(this.climb(a[0], w[0], 0, bytes.concat(_sibling(a[1], w[1]), third)) == root);
        assert(this.climb(a[1], w[1], 1, bytes.concat(_sibling(a[0], w[0]), third)) == root);
        assert(this.climb(a[2], w[2], 1, _parent(a[0], w[0], a[1], w[1])) == root);
    }

    function check_each_of_four_leaves_climbs_to_the_root(address[4] calldata a, uint120[4] calldata w) external view {
        (bytes24 root,) = this.root(a, w, 4);
        bytes memory left = _parent(a[0], w[0], a[1], w[1]);
        bytes memory right = _parent(a[2], w[2], a[3], w[3]);
        assert(this.climb(a[0], w[0], 0, bytes.concat(_sibling(a[1], w[1]), right)) == root);
        assert(this.climb(a[1], w[1], 1, bytes.concat(_sibling(a[0], w[0]), right)) == root);
        assert(this.climb(a[2], w[2], 2, bytes.concat(_sibling(a[3], w[3]), left)) == root);
        assert(this.climb(a[3], w[3], 3, bytes.concat(_sibling(a[2], w[2]), left)) == root);
    }

    function check_the_sum_is_the_total_of_all_leaves(address[4] calldata a, uint120[4] calldata w) external view {
        uint256 total;
        for (uint256 count = 1; count <= 4; ++count) {
            total += w[count - 1];
            (, uint256 sum) = this.root(a, w, count);
            assert(sum == total);
        }
    }

    function check_another_leaf_does_not_climb_to_the_root(
        address[4] calldata a,
        uint120[4] calldata w,
        address account,
        uint128 paidWei
    ) external view {
        if (account == a[0] && paidWei == w[0]) return;
        (bytes24 root,) = this.root(a, w, 2);
        bytes memory sibling = _sibling(a[1], w[1]);
        _apart(_leaf(account, paidWei), _leaf(a[0], w[0]));
        _apart(_node(_sibling(account, paidWei), sibling), _node(_sibling(a[0], w[0]), sibling));
        assert(this.climb(account, paidWei, 0, sibling) != root);
    }

    function check_another_sibling_or_sum_does_not_lead_to_the_root(
        address[4] calldata a,
        uint120[4] calldata w,
        bytes24 hash,
        uint128 sum
    ) external view {
        (bytes24 root,) = this.root(a, w, 2);
        if (hash == bytes24(keccak256(_leaf(a[1], w[1]))) && sum == w[1]) return;
        bytes memory forged = abi.encodePacked(hash, sum);
        _apart(_node(_sibling(a[0], w[0]), forged), _node(_sibling(a[0], w[0]), _sibling(a[1], w[1])));
        assert(this.climb(a[0], w[0], 0, forged) != root);
    }

    function check_the_other_side_does_not_lead_to_the_root(address[4] calldata a, uint120[4] calldata w)
        external
        view
    {
        if (a[0] == a[1]) return;
        (bytes24 root,) = this.root(a, w, 2);
        _apart(_leaf(a[0], w[0]), _leaf(a[1], w[1]));
        _apart(_node(_sibling(a[1], w[1]), _sibling(a[0], w[0])), _node(_sibling(a[0], w[0]), _sibling(a[1], w[1])));
        assert(this.climb(a[0], w[0], 1, _sibling(a[1], w[1])) != root);
    }

    function check_an_inner_node_is_no_leaf(address[4] calldata a, uint120[4] calldata w, address x, uint128 v)
        external
        view
    {
        (bytes24 root,) = this.root(a, w, 2);
        _apart(_leaf(x, v), _node(_sibling(a[0], w[0]), _sibling(a[1], w[1])));
        assert(this.climb(x, v, 0, "") != root);
    }

    /* WHAT IS PROVED ABOUT */

    function root(address[4] calldata a, uint120[4] calldata w, uint256 count)
        external
        pure
        returns (bytes24 hash, uint256 sumWei)
    {
        bytes memory standings = new bytes(96 * count);
        for (uint256 i; i < count; ++i) {
            Standings.leaf(standings, i).init(a[i], Role.TRAINER, Standings.ONE_Q32);
            Standings.leaf(standings, i).addPaidWei(w[i]);
        }
        return StandingTree.root(standings);
    }

    function climb(address account, uint256 paidWei, uint256 rightBits, bytes calldata proof)
        external
        pure
        returns (bytes24)
    {
        return StandingTree.climb(account, paidWei, rightBits, proof);
    }

    /* THE SAME BY THE BOOK: src/gradmint/spec/tree.py */

    function _leaf(address account, uint128 paidWei) private pure returns (bytes memory) {
        return abi.encodePacked(uint8(0), account, paidWei);
    }

    function _node(bytes memory left, bytes memory right) private pure returns (bytes memory) {
        return abi.encodePacked(uint8(1), left, right);
    }

    function _sibling(address account, uint128 paidWei) private pure returns (bytes memory) {
        return abi.encodePacked(bytes24(keccak256(_leaf(account, paidWei))), paidWei);
    }

    function _parent(address a, uint128 v, address b, uint128 w) private pure returns (bytes memory) {
        return abi.encodePacked(bytes24(keccak256(_node(_sibling(a, v), _sibling(b, w)))), v + w);
    }

    /// Whose hashes differ, their first 24 bytes do.
    function _apart(bytes memory one, bytes memory other) private pure {
        vm.assume(keccak256(one) == keccak256(other) || bytes24(keccak256(one)) != bytes24(keccak256(other)));
    }
}
