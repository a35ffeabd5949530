// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Role} from "../../interfaces/Types.sol";
import {Rating} from "../../libraries/Rating.sol";
import {Sort} from "../../libraries/Sort.sol";
import {StandingTree} from "../../libraries/StandingTree.sol";
import {Leaf, Standings} from "../../libraries/Standings.sol";
import {Check} from "./Vm.sol";

/// A tree by the book, slow and plain, and its proofs.
abstract contract Trees is Check {
    struct Node {
        bytes24 hash;
        uint256 sumWei;
    }

    function leafOf(address account, uint256 paidWei) internal pure returns (Node memory) {
        return Node(bytes24(keccak256(abi.encodePacked(uint8(0), account, uint128(paidWei)))), paidWei);
    }

    function parentOf(Node memory left, Node memory right) internal pure returns (Node memory) {
        bytes24 hash = bytes24(
            keccak256(abi.encodePacked(uint8(1), left.hash, uint128(left.sumWei), right.hash, uint128(right.sumWei)))
        );
        return Node(hash, left.sumWei + right.sumWei);
    }

    /// Root over packed standings, and the proof of leaf `position`.
    function prove(bytes memory standings, uint256 position)
        internal
        pure
        returns (Node memory top, uint256 rightBits, bytes memory proof)
    {
        uint256 count = standings.length / 96;
        Node[] memory level = new Node[](count);
        for (uint256 i; i < count; ++i) {
            Leaf leaf = Standings.leaf(standings, i);
            level[i] = leafOf(leaf.account(), leaf.paidWei());
        }
        for (uint256 step; count > 1; count = (count + 1) / 2) {
            if (position ^ 1 < count) {
                Node memory sibling = level[position ^ 1];
                proof = bytes.concat(proof, sibling.hash, bytes16(uint128(sibling.sumWei)));
                rightBits |= (position & 1) << step++;
            }
            position /= 2;
            for (uint256 i; i < count; i += 2) {
                level[i / 2] = i + 1 < count ? parentOf(level[i], level[i + 1]) : level[i];
            }
        }
        top = level[0];
    }

    /// `count` standings of different accounts and amounts of at most 2^100.
    function standingsOf(uint256 seed, uint256 count) internal pure returns (bytes memory standings) {
        standings = new bytes(96 * count);
        for (uint256 i; i < count; ++i) {
            Leaf leaf = Standings.leaf(standings, i);
            leaf.init(address(uint160(draw(seed, 2 * i))), Role.TRAINER, Standings.ONE_Q32);
            leaf.addPaidWei(draw(seed, 2 * i + 1) >> 156);
        }
    }
}

contract TreeTest is Trees {
    function test_every_leaf_climbs_to_the_root_and_sums_add_up(uint256 seed, uint8 many) external view {
        uint256 count = within(many, 1, 40);
        bytes memory standings = standingsOf(seed, count);
        (bytes24 root, uint256 sumWei) = StandingTree.root(standings);
        uint256 total;
        for (uint256 i; i < count; ++i) {
            Leaf leaf = Standings.leaf(standings, i);
            (Node memory top, uint256 rightBits, bytes memory proof) = prove(standings, i);
            same(bytes32(top.hash), bytes32(root), "the root is the book's");
            same(bytes32(this.climb(leaf.account(), leaf.paidWei(), rightBits, proof)), bytes32(root), "leaf climbs");
            total += leaf.paidWei();
        }
        same(sumWei, total, "the root's sum is the total");
    }

    function test_a_changed_byte_of_a_proof_leads_elsewhere(uint256 seed, uint8 many, uint256 place, uint8 change)
        external
        view
    {
        uint256 count = within(many, 2, 40);
        bytes memory standings = standingsOf(seed, count);
        (bytes24 root,) = StandingTree.root(standings);
        uint256 i = place % count;
        Leaf leaf = Standings.leaf(standings, i);
        (, uint256 rightBits, bytes memory proof) = prove(standings, i);
        uint256 at = (place >> 128) % proof.length;
        proof[at] = bytes1(uint8(proof[at]) ^ uint8(within(change, 1, 255)));
        so(this.climb(leaf.account(), leaf.paidWei(), rightBits, proof) != root, "forged");
    }

    function test_another_account_or_amount_or_side_leads_elsewhere(
        uint256 seed,
        uint8 many,
        address account,
        uint128 paidWei,
        uint256 bits
    ) external view {
        uint256 count = within(many, 2, 40);
        bytes memory standings = standingsOf(seed, count);
        (bytes24 root,) = StandingTree.root(standings);
        Leaf leaf = Standings.leaf(standings, seed % count);
        (, uint256 rightBits, bytes memory proof) = prove(standings, seed % count);
        vm.assume(account != leaf.account() && paidWei != leaf.paidWei());
        so(this.climb(account, leaf.paidWei(), rightBits, proof) != root, "another account");
        so(this.climb(leaf.account(), paidWei, rightBits, proof) != root, "another amount");
        uint256 steps = proof.length / 40;
        bits &= (1 << steps) - 1;
        if (bits != rightBits) so(this.climb(leaf.account(), leaf.paidWei(), bits, proof) != root, "another side");
    }

    function test_bits_above_the_proof_are_refused(uint256 seed, uint8 many, uint256 above) external {
        uint256 count = within(many, 1, 40);
        bytes memory standings = standingsOf(seed, count);
        Leaf leaf = Standings.leaf(standings, seed % count);
        (, uint256 rightBits, bytes memory proof) = prove(standings, seed % count);
        uint256 steps = proof.length / 40;
        above = within(above, 1, type(uint256).max >> steps);
        vm.expectRevert(abi.encodeWithSelector(StandingTree.PathTooLong.selector, above));
        this.climb(leaf.account(), leaf.paidWei(), rightBits | above << steps, proof);
    }

    function test_a_shorter_or_longer_proof_leads_elsewhere(uint256 seed, uint8 many, bytes24 more) external view {
        uint256 count = within(many, 2, 40);
        bytes memory standings = standingsOf(seed, count);
        Leaf leaf = Standings.leaf(standings, seed % count);
        (Node memory top, uint256 rightBits, bytes memory proof) = prove(standings, seed % count);
        bytes memory longer = bytes.concat(proof, more, bytes16(0));
        so(this.climb(leaf.account(), leaf.paidWei(), rightBits, longer) != top.hash, "longer");
        assembly ("memory-safe") {
            mstore(proof, sub(mload(proof), 40))
        }
        rightBits &= (1 << proof.length / 40) - 1;
        so(this.climb(leaf.account(), leaf.paidWei(), rightBits, proof) != top.hash, "shorter");
    }

    function test_a_proof_that_is_cut_off_is_refused(uint256 seed, uint8 length) external {
        vm.assume(length % 40 != 0);
        bytes memory proof = new bytes(length);
        vm.expectRevert(abi.encodeWithSelector(StandingTree.ProofLength.selector, uint256(length)));
        this.climb(address(uint160(seed)), 1, 0, proof);
    }

    function test_no_amount_of_129_bits_is_hashed_as_another(address account, uint256 paidWei) external {
        vm.assume(paidWei >> 128 != 0);
        vm.expectRevert(abi.encodeWithSelector(StandingTree.PaidTooLarge.selector, paidWei));
        this.climb(account, paidWei, 0, "");
    }

    function test_hashing_leaves_everything_else_in_memory_alone(uint256 seed, uint8 many) external view {
        bytes memory standings = standingsOf(seed, within(many, 0, 20));
        bytes32 before = keccak256(standings);
        uint256[] memory zero;
        StandingTree.root(standings);
        same(keccak256(standings), before, "standings");
        same(zero.length, 0, "the zero slot");
        bytes memory fresh = new bytes(96);
        same(keccak256(fresh), keccak256(new bytes(96)), "fresh memory is empty");
        this.climb(address(this), 1, 3, new bytes(80));
        same(zero.length, 0, "the zero slot after a climb");
    }

    function climb(address account, uint256 paidWei, uint256 rightBits, bytes calldata proof)
        external
        pure
        returns (bytes24)
    {
        return StandingTree.climb(account, paidWei, rightBits, proof);
    }
}

contract StandingsTest is Check {
    /// A field that is written changes nothing else: two fields at random, all the others read back.
    function test_fields_do_not_touch_each_other(uint256[3] calldata words, uint8 which, uint256 value) external pure {
        bytes memory packed = abi.encodePacked(words[0], words[1], words[2]);
        Leaf leaf = Standings.leaf(packed, 0);
        uint256[9] memory before = _fields(leaf);
        which = which % 6;
        if (which == 0) leaf.setAttendance(uint8(value), uint16(value >> 8));
        if (which == 1) leaf.setBanRound(uint32(value));
        if (which == 2) leaf.setValueQ32(uint64(value));
        if (which == 3) leaf.setProofQ32(int64(uint64(value)));
        if (which == 4) leaf.setRating(int64(uint64(value)), uint64(value >> 64));
        if (which == 5) leaf.setTrustQ32(uint64(value));
        uint256[9] memory expected = before;
        if (which == 0) (expected[1], expected[2]) = (uint8(value), uint16(value >> 8));
        if (which == 1) expected[3] = uint32(value);
        if (which == 2) expected[4] = uint64(value);
        if (which == 3) expected[5] = uint256(int256(int64(uint64(value))));
        if (which == 4) (expected[6], expected[7]) = (uint256(int256(int64(uint64(value)))), uint64(value >> 64));
        if (which == 5) expected[8] = uint64(value);
        uint256[9] memory found = _fields(leaf);
        for (uint256 i; i < 9; ++i) {
            same(found[i], expected[i], "field");
        }
        same(
            keccak256(abi.encode(leaf.account(), leaf.paidWei(), leaf.reputationQ32())),
            keccak256(abi.encode(address(uint160(words[0] >> 96)), words[1] >> 128, uint64(words[2]))),
            "fixed fields"
        );
    }

    function _fields(Leaf leaf) private pure returns (uint256[9] memory) {
        return [
            0,
            leaf.misses(),
            leaf.rounds(),
            leaf.banRound(),
            leaf.valueQ32(),
            uint256(leaf.proofQ32()),
            uint256(leaf.muQ32()),
            leaf.sigmaQ32(),
            leaf.trustQ32()
        ];
    }
}

contract SortTest is Check {
    function test_sorting_sorts_and_loses_nothing(uint256 seed, uint16 many, uint8 values) external pure {
        uint256 count = within(many, 0, 300);
        uint256[] memory array = new uint256[](count);
        uint256 sum;
        uint256 mix;
        for (uint256 i; i < count; ++i) {
            array[i] = values == 0 ? draw(seed, i) : draw(seed, i) % (uint256(values) + 1);
            unchecked {
                sum += array[i];
                mix += uint256(keccak256(abi.encode(array[i])));
            }
        }
        Sort.sort(array);
        same(array.length, count, "length");
        for (uint256 i; i < count; ++i) {
            if (i > 0) so(array[i - 1] <= array[i], "ascending");
            unchecked {
                sum -= array[i];
                mix -= uint256(keccak256(abi.encode(array[i])));
            }
        }
        so(sum == 0 && mix == 0, "the same words");
    }
}

contract RatingTest is Check {
    uint256 private constant NEWCOMER = 35_791_394_133; // 25 / 3 in Q32, rounded down

    /// Any ratings that a run can reach, any ranks: what comes out fits its fields and the ranks of the winners rise.
    function test_ratings_stay_within_their_fields(uint256 seed, uint16 many, uint8 tiers) external pure {
        uint256 count = within(many, 1, 64);
        bytes memory standings = new bytes(96 * count);
        uint256[] memory players = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            Leaf leaf = Standings.leaf(standings, i);
            leaf.init(address(uint160(i + 1)), Role.TRAINER, Standings.ONE_Q32);
            int256 mu = int256(draw(seed, 3 * i) >> (199 + draw(seed, 3 * i) % 30)) - int256(1 << 55);
            leaf.setRating(seed % 4 == 0 ? leaf.muQ32() : mu, within(draw(seed, 3 * i + 1), 0, NEWCOMER));
            uint256 rank = tiers == 0 ? uint32(draw(seed, 3 * i + 2)) : draw(seed, 3 * i + 2) % (uint256(tiers) + 1);
            players[i] = rank << Rating.RANK_AT | uint32(Leaf.unwrap(leaf));
        }
        int256[] memory before = new int256[](count);
        for (uint256 i; i < count; ++i) {
            before[i] = Standings.leaf(standings, i).muQ32();
        }
        Rating.rate(players);
        for (uint256 i; i < count; ++i) {
            Leaf leaf = Standings.leaf(standings, i);
            so(leaf.sigmaQ32() <= NEWCOMER, "nobody is less certain than a newcomer");
            so(leaf.sigmaQ32() > 0, "nobody is certain");
            so(abs(leaf.muQ32() - before[i]) <= 1 << 41, "one match moves mu by less than 512");
            so(leaf.account() == address(uint160(i + 1)), "accounts stay");
        }
    }

    function test_equal_players_with_equal_ranks_stay_equal(uint8 many) external pure {
        uint256 count = within(many, 1, 64);
        bytes memory standings = new bytes(96 * count);
        uint256[] memory players = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            Standings.leaf(standings, i).init(address(uint160(i + 1)), Role.TRAINER, Standings.ONE_Q32);
            players[i] = 7 << Rating.RANK_AT | uint32(Leaf.unwrap(Standings.leaf(standings, i)));
        }
        Rating.rate(players);
        for (uint256 i = 1; i < count; ++i) {
            so(Standings.leaf(standings, i).muQ32() == Standings.leaf(standings, 0).muQ32(), "mu");
            so(Standings.leaf(standings, i).sigmaQ32() == Standings.leaf(standings, 0).sigmaQ32(), "sigma");
        }
    }

    function test_a_match_without_players_is_no_match() external pure {
        uint256[] memory nobody = new uint256[](0);
        Rating.rate(nobody);
        same(nobody.length, 0, "nobody");
    }

    function test_of_two_equals_the_winner_rises_and_the_loser_falls() external pure {
        bytes memory standings = new bytes(192);
        uint256[] memory players = new uint256[](2);
        for (uint256 i; i < 2; ++i) {
            Standings.leaf(standings, i).init(address(uint160(i + 1)), Role.TRAINER, Standings.ONE_Q32);
            players[i] = i << Rating.RANK_AT | uint32(Leaf.unwrap(Standings.leaf(standings, i)));
        }
        int256 before = Standings.leaf(standings, 0).muQ32();
        Rating.rate(players);
        so(Standings.leaf(standings, 0).muQ32() > before, "the winner");
        so(Standings.leaf(standings, 1).muQ32() < before, "the loser");
    }
}
