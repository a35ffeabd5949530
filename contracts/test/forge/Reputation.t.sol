// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IReputation, ReputationTerms, Witness} from "../../interfaces/IReputation.sol";
import {IRounds} from "../../interfaces/IRounds.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {Tallies, Tally} from "../../libraries/Tallies.sol";
import {Endorsed} from "./Endorsed.sol";
import {MoodyToken} from "./MoodyToken.sol";
import {Check} from "./Vm.sol";

/// Money, vouches and ratings; seeds are accounts 0 and 1, the subject is account 9.
contract ReputationTest is Endorsed {
    address private immutable subject = who(9);
    bytes[] private none;

    function setUp() external {
        launch(IRounds(address(0)), ISettlement(address(0)), list(who(0), who(1)));
    }

    function refused(bytes memory reason) private {
        vm.expectRevert(reason);
    }

    /* TERMS */

    function test_terms_are_the_specifications() external {
        ReputationTerms memory t = standard();
        so(keccak256(abi.encode(reputation.terms())) == keccak256(abi.encode(t)), "as they were given");
        (t.alphaBps, t.betaBps, t.maxPaths, t.challengerBps) = (9_000, 10_000, 8, 5_000);
        (t.epochBlocks, t.challengeBlocks, t.proofBlocks) = (2, 1, 1);
        make(IRounds(address(0)), ISettlement(address(0)), address(0), t, new address[](0));
        for (uint256 rule; rule < 13; ++rule) {
            ReputationTerms memory bad = standard();
            if (rule == 0) bad.alphaBps = 99;
            if (rule == 1) bad.alphaBps = 9_001;
            if (rule == 2) bad.betaBps = 10_001;
            if (rule == 3) bad.maxPaths = 0;
            if (rule == 4) bad.maxPaths = 9;
            if (rule == 5) bad.epochBlocks = 0;
            if (rule == 6) bad.vouchRoundWei = 0;
            if (rule == 7) bad.challengeBlocks = 0;
            if (rule == 8) bad.proofBlocks = 0;
            if (rule == 9) bad.proofBlocks = EPOCH_BLOCKS - CHALLENGE_BLOCKS + 1;
            if (rule == 10) bad.proofBlocks = type(uint32).max;
            if (rule == 11) bad.bondWei = 0;
            if (rule == 12) bad.challengerBps = 5_001;
            refused(abi.encodeWithSelector(IReputation.MalformedTerms.selector));
            this.remake(address(coin), bad, new address[](0));
        }
        refused(abi.encodeWithSelector(IReputation.MalformedTerms.selector));
        this.remake(address(coin), standard(), list(who(3), who(3)));
    }

    function remake(address token_, ReputationTerms memory t, address[] memory seeds) external returns (IReputation) {
        return make(IRounds(address(0)), ISettlement(address(0)), token_, t, seeds);
    }

    function test_seeds_are_named_at_deployment() external view {
        same(reputation.seeds(), 2, "two");
        so(reputation.isSeed(who(0)) && reputation.isSeed(who(1)) && !reputation.isSeed(subject), "these");
    }

    /* MONEY */

    function test_a_purse_takes_what_arrives_and_gives_it_back() external {
        pay(who(2), 100);
        same(reputation.purseOf(who(2)), 100, "in");
        coin.mint(who(2), 100);
        coin.set(MoodyToken.Mood.TAKES_A_FEE, address(0), "");
        vm.prank(who(2));
        reputation.deposit(100);
        same(reputation.purseOf(who(2)), 199, "what arrived");
        coin.set(MoodyToken.Mood.KIND, address(0), "");
        refused(abi.encodeWithSelector(IReputation.PurseTooSmall.selector, who(2), 199, 200));
        vm.prank(who(2));
        reputation.withdraw(200);
        vm.prank(who(2));
        reputation.withdraw(199);
        same(coin.balanceOf(who(2)), 199, "out");
        same(reputation.purseOf(who(2)), 0, "empty");
    }

    function test_a_token_that_calls_back_gets_nothing_twice() external {
        pay(address(coin), 50);
        pay(who(2), 100);
        coin.set(MoodyToken.Mood.CALLS_BACK, address(reputation), abi.encodeCall(IReputation.withdraw, (uint128(50))));
        vm.prank(who(2));
        reputation.withdraw(100);
        same(coin.callsBack(), 0, "refused");
        same(reputation.purseOf(address(coin)), 50, "nothing moved");
    }

    function test_without_a_token_nothing_that_needs_money_works() external {
        reputation = make(IRounds(address(0)), ISettlement(address(0)), address(0), standard(), list(who(0)));
        bytes memory reason = abi.encodeWithSelector(IReputation.NoToken.selector);
        refused(reason);
        reputation.deposit(1);
        refused(reason);
        reputation.withdraw(0);
        refused(reason);
        reputation.vouch(subject, ROUND_WEI);
        refused(reason);
        reputation.propose(1, 1);
    }

    /* VOUCHES */

    function test_a_vouch_locks_its_stake_and_weighs_what_it_pays_for() external {
        pay(who(2), 3 * ROUND_WEI);
        uint128 stakeWei = 2 * ROUND_WEI + ROUND_WEI / 4_096 - 1;
        vm.prank(who(2));
        uint32 id = reputation.vouch(subject, stakeWei);
        same(id, 1, "the first");
        same(reputation.lastEndorsement(), 1, "is the last");
        same(reputation.purseOf(who(2)), 3 * ROUND_WEI - stakeWei, "locked");
        same(reputation.saidUntil(who(2), epochNow()), 8_192, "rounded down");
        same(reputation.saidUntil(who(2), epochNow() - 1), 0, "from this epoch on");
        same(reputation.knownUntil(epochNow()), 1, "the account is known");
        same(reputation.knownUntil(epochNow() - 1), 0, "from this epoch on");
        same(reputation.panelOf(id), keccak256(abi.encode(who(2))), "a panel of one");
        same(
            reputation.heard(subject),
            keccak256(abi.encodePacked(bytes32(0), epochNow(), id, uint32(8_192))),
            "one entry"
        );
    }

    function test_vouches_are_for_others_large_enough_paid_and_one_at_a_time() external {
        vm.startPrank(who(2));
        refused(abi.encodeWithSelector(IReputation.NotForOneself.selector, who(2)));
        reputation.vouch(who(2), ROUND_WEI);
        refused(abi.encodeWithSelector(IReputation.VouchTooSmall.selector, ROUND_WEI - 1, ROUND_WEI));
        reputation.vouch(subject, ROUND_WEI - 1);
        refused(abi.encodeWithSelector(IReputation.PurseTooSmall.selector, who(2), 0, ROUND_WEI));
        reputation.vouch(subject, ROUND_WEI);
        vm.stopPrank();
        vouch(who(2), subject, 4_096);
        refused(abi.encodeWithSelector(IReputation.AlreadyVouched.selector, who(2), subject));
        vm.prank(who(2));
        reputation.vouch(subject, ROUND_WEI);
    }

    function test_nobody_says_more_than_a_row_can_hold() external {
        uint128 mostWei = uint128(uint256(ROUND_WEI) * type(uint32).max / 4_096 + 1); // 2^32 - 1 units and a little
        pay(who(2), 3 * mostWei);
        vm.startPrank(who(2));
        refused(abi.encodeWithSelector(IReputation.TooMuchSaid.selector, who(2)));
        reputation.vouch(subject, mostWei + ROUND_WEI / 4_096 + 1);
        reputation.vouch(subject, mostWei);
        refused(abi.encodeWithSelector(IReputation.TooMuchSaid.selector, who(2)));
        reputation.vouch(who(3), ROUND_WEI);
        vm.stopPrank();
    }

    function test_an_ended_vouch_is_said_no_more_and_its_stake_waits_for_an_epoch_to_pass() external {
        uint32 id = vouch(who(2), subject, 4_096);
        refused(abi.encodeWithSelector(IReputation.StillLocked.selector, type(uint32).max, epochNow()));
        vm.prank(who(2));
        reputation.reclaim(subject);
        nextEpoch();
        unvouch(who(2), subject, id, 4_096);
        uint32 endEpoch = epochNow();
        same(reputation.saidUntil(who(2), endEpoch), 0, "said no more");
        same(reputation.saidUntil(who(2), endEpoch - 1), 4_096, "as it was");
        refused(abi.encodeWithSelector(IReputation.AlreadyUnvouched.selector, who(2), subject, endEpoch));
        vm.prank(who(2));
        reputation.unvouch(subject);
        for (uint256 k; k < 2; ++k) {
            refused(abi.encodeWithSelector(IReputation.StillLocked.selector, endEpoch + 2, epochNow()));
            vm.prank(who(2));
            reputation.reclaim(subject);
            nextEpoch();
        }
        vm.prank(who(2));
        reputation.reclaim(subject);
        same(reputation.purseOf(who(2)), ROUND_WEI, "back");
        refused(abi.encodeWithSelector(IReputation.NoVouch.selector, who(2), subject));
        vm.prank(who(2));
        reputation.reclaim(subject);
        refused(abi.encodeWithSelector(IReputation.NoVouch.selector, who(2), subject));
        vm.prank(who(2));
        reputation.unvouch(subject);
        same(vouch(who(2), subject, 4_096), id + 1, "and may be given again");
        same(reputation.knownUntil(epochNow()), 1, "of an account that was known");
    }

    /* RATINGS */

    /// Seed 0 vouches for 2 and 3, both for the subject.
    function _world() private {
        vouch(who(0), who(2), 4_096);
        vouch(who(0), who(3), 4_096);
        vouch(who(2), subject, 4_096);
        vouch(who(3), subject, 4_096);
        nextEpoch();
    }

    function _truth() private view returns (uint256 hits, Witness memory witness) {
        uint256 each = onward(MASS / 2, 8_192, 4_096);
        hits = 2 * onward(each, 4_096, 4_096);
        address[] memory accounts = new address[](4);
        (accounts[0], accounts[1], accounts[2], accounts[3]) = (subject, who(0), who(2), who(3));
        uint256[] memory visits = new uint256[](4);
        (visits[0], visits[1], visits[2], visits[3]) = (hits, MASS / 2, each, each);
        bytes[] memory paths = new bytes[](2);
        (paths[0], paths[1]) = (hex"010200", hex"010300");
        witness = witnessOf(accounts, visits, paths);
    }

    function _expected(uint256 hits) private pure returns (uint256) {
        uint256 score = hits * (0xC0000000) >> 32; // 1 - 1/4
        uint256 half = MASS * 8_500 / 10_000 / 3; // three are known
        return (score << 32) / (score + half);
    }

    function _purses(address one, uint256 wei1, address two, uint256 wei2, uint256 burned) private view {
        same(reputation.purseOf(one), wei1, "the proposer's purse");
        same(reputation.purseOf(two), wei2, "the challenger's purse");
        same(reputation.purseOf(BURNED), burned, "burned");
    }

    function test_a_rating_that_nobody_doubts_is_final_after_the_window() external {
        _world();
        (uint256 hits,) = _truth();
        proposeAs(subject, hits, 2);
        same(reputation.purseOf(subject), 0, "the bond is locked");
        uint64 finalBlock = uint64(height + CHALLENGE_BLOCKS);
        (uint64 h, uint8 c, uint32 cut, uint32 rating, uint64 f, address doubt, uint64 proof) =
            reputation.proposalOf(subject);
        so(h == hits && c == 2 && cut == epochNow() - 1 && f == finalBlock && doubt == address(0) && proof == 0, "kept");
        same(rating, _expected(hits), "the rating that follows");
        refused(abi.encodeWithSelector(IReputation.AlreadyProposed.selector, subject, cut));
        vm.prank(subject);
        reputation.propose(1, 1);
        to(finalBlock - 1);
        refused(abi.encodeWithSelector(IReputation.TooEarly.selector, finalBlock, height));
        reputation.finalise(subject);
        refused(abi.encodeWithSelector(IReputation.NotChallenged.selector, subject));
        reputation.refute(subject);
        to(finalBlock);
        refused(abi.encodeWithSelector(IReputation.TooLate.selector, finalBlock, height));
        vm.prank(who(5));
        reputation.challenge(subject);
        same(reputation.ratingOf(subject), 0, "not yet");
        reputation.finalise(subject);
        same(reputation.ratingOf(subject), rating, "final");
        same(reputation.purseOf(subject), BOND_WEI, "the bond is back");
        refused(abi.encodeWithSelector(IReputation.NotProposed.selector, subject));
        reputation.finalise(subject);
    }

    function test_a_true_rating_is_proven_and_whoever_doubted_it_pays() external {
        _world();
        (uint256 hits, Witness memory witness) = _truth();
        proposeAs(subject, hits, 2);
        to(height + CHALLENGE_BLOCKS - 1);
        challengeAs(who(5), subject);
        _purses(subject, 0, who(5), 0, 0);
        refused(abi.encodeWithSelector(IReputation.AlreadyChallenged.selector, subject, who(5)));
        reputation.challenge(subject);
        uint64 proofBlock = uint64(height + PROOF_BLOCKS);
        refused(abi.encodeWithSelector(IReputation.AlreadyChallenged.selector, subject, who(5)));
        reputation.finalise(subject);
        to(proofBlock - 1); // the next epoch has begun
        refused(abi.encodeWithSelector(IReputation.TooEarly.selector, proofBlock, height));
        reputation.refute(subject);
        reputation.prove(subject, witness);
        uint256 rewardWei = uint256(BOND_WEI) * 4_000 / 10_000;
        _purses(subject, BOND_WEI + rewardWei, who(5), 0, BOND_WEI - rewardWei);
        same(reputation.ratingOf(subject), _expected(hits), "final at once");
        refused(abi.encodeWithSelector(IReputation.NotProposed.selector, subject));
        reputation.prove(subject, witness);
        proposeAs(subject, 0, 0); // a challenge of the last one is none of this
        (,,,,, address doubt,) = reputation.proposalOf(subject);
        same(uint160(doubt), 0, "nobody doubts it yet");
    }

    function test_without_a_challenge_a_proof_takes_nobodys_bond() external {
        _world();
        (uint256 hits, Witness memory witness) = _truth();
        proposeAs(subject, hits, 2);
        reputation.prove(subject, witness);
        same(reputation.ratingOf(subject), _expected(hits), "final at once");
        _purses(subject, BOND_WEI, who(5), 0, 0);
        proposeAs(subject, hits, 2);
        to(height + CHALLENGE_BLOCKS);
        refused(abi.encodeWithSelector(IReputation.TooLate.selector, height, height));
        reputation.prove(subject, witness);
    }

    function test_a_false_rating_cannot_be_proven_and_is_refuted() external {
        _world();
        (uint256 hits, Witness memory witness) = _truth();
        proposeAs(subject, hits + 1, 2);
        challengeAs(who(5), subject);
        refused(abi.encodeWithSelector(IReputation.TooManyVisits.selector, 0, hits, hits + 1));
        reputation.prove(subject, witness);
        witness.nodes[0].visits = uint64(hits + 1);
        refused(abi.encodeWithSelector(IReputation.TooManyVisits.selector, 0, hits, hits + 1));
        reputation.prove(subject, witness);
        (witness.nodes[0].visits, witness.nodes[0].account) = (uint64(hits), who(8));
        refused(abi.encodeWithSelector(IReputation.MalformedNodes.selector));
        reputation.prove(subject, witness);
        uint64 proofBlock = uint64(height + PROOF_BLOCKS);
        to(proofBlock);
        refused(abi.encodeWithSelector(IReputation.TooLate.selector, proofBlock, height));
        reputation.prove(subject, witness);
        reputation.refute(subject);
        uint256 rewardWei = uint256(BOND_WEI) * 4_000 / 10_000;
        _purses(subject, 0, who(5), BOND_WEI + rewardWei, BOND_WEI - rewardWei);
        same(reputation.ratingOf(subject), 0, "no rating");
        refused(abi.encodeWithSelector(IReputation.NotProposed.selector, subject));
        reputation.refute(subject);
        refused(abi.encodeWithSelector(IReputation.NotProposed.selector, subject));
        reputation.challenge(subject);
    }

    function test_what_happened_after_the_cut_is_not_seen_by_a_witness() external {
        _world();
        (uint256 hits,) = _truth();
        to((epochNow() + 1) * EPOCH_BLOCKS - 1);
        proposeAs(subject, hits, 2);
        vouch(who(0), who(7), 4_096); // seed 0 says more
        unvouch(who(2), subject, 3, 4_096); // and 2 no more
        challengeAs(who(5), subject);
        nextEpoch();
        vouch(who(3), who(7), 4_096);
        (, Witness memory witness) = _truth();
        reputation.prove(subject, witness);
        same(reputation.ratingOf(subject), _expected(hits), "as it was at the cut");
    }

    function test_a_rating_lapses_after_three_epochs() external {
        _world();
        (uint256 hits, Witness memory witness) = _truth();
        proposeAs(subject, hits, 2);
        reputation.prove(subject, witness);
        uint256 cut = epochNow() - 1;
        to((cut + 4) * EPOCH_BLOCKS - 1);
        same(reputation.ratingOf(subject), _expected(hits), "in the third epoch after the cut");
        to((cut + 4) * EPOCH_BLOCKS);
        same(reputation.ratingOf(subject), 0, "lapsed");
    }

    function test_proposals_have_a_bond_paths_within_bounds_and_an_epoch_behind_them() external {
        refused(abi.encodeWithSelector(IReputation.PurseTooSmall.selector, subject, 0, BOND_WEI));
        vm.prank(subject);
        reputation.propose(1, 4);
        refused(abi.encodeWithSelector(IReputation.TooManyPaths.selector, 5, 4));
        vm.prank(subject);
        reputation.propose(1, 5);
        to(EPOCH_BLOCKS - 1);
        refused(abi.encodeWithSelector(IReputation.TooEarly.selector, EPOCH_BLOCKS, height));
        vm.prank(subject);
        reputation.propose(1, 4);
        to(EPOCH_BLOCKS);
        proposeAs(subject, 1, 4);
        refused(abi.encodeWithSelector(IReputation.PurseTooSmall.selector, who(5), 0, BOND_WEI));
        vm.prank(who(5));
        reputation.challenge(subject);
    }

    function test_what_was_said_is_known_for_two_epochs_back() external {
        vouch(who(2), subject, 4_096);
        uint32 first = epochNow();
        nextEpoch();
        nextEpoch();
        vouch(who(2), who(3), 5_000);
        same(reputation.saidUntil(who(2), first), 4_096, "two epochs ago");
        same(reputation.saidUntil(who(2), first + 1), 4_096, "an epoch ago");
        same(reputation.saidUntil(who(2), first + 9), 9_096, "now");
        refused(abi.encodeWithSelector(IReputation.TooOld.selector, first - 1, epochNow()));
        reputation.saidUntil(who(2), first - 1);
        nextEpoch();
        vouch(who(4), who(6), 4_096);
        refused(abi.encodeWithSelector(IReputation.TooOld.selector, first, epochNow()));
        reputation.knownUntil(first);
        same(reputation.knownUntil(first + 1), 1, "known then");
        same(reputation.knownUntil(first + 3), 3, "known now");
    }
}

contract TalliesTest is Check {
    /// Against the plainest model: what the total was at the end of every epoch.
    function test_a_tally_remembers_the_ends_of_two_epochs(uint256 random) external pure {
        uint64[24] memory ends;
        Tally memory tally;
        tally.note = 7;
        uint32 epoch;
        for (uint256 k; k < 12; ++k) {
            uint32 passed = uint32(draw(random, k) % 3);
            for (uint256 p; p < passed && epoch < 23; ++p) {
                ++epoch;
                ends[epoch] = ends[epoch - 1];
            }
            tally.moveTo(epoch);
            tally.total = uint64(draw(random, 100 + k));
            ends[epoch] = tally.total;
            for (uint32 cut = epoch < 5 ? 0 : epoch - 5; cut <= epoch + 2 && cut < 24; ++cut) {
                (bool known, uint64 total) = tally.read(cut);
                if (known != (cut + 2 >= epoch)) revert NotSo("known for two epochs");
                if (known) same(total, ends[cut < epoch ? cut : epoch], "the total then");
            }
        }
        same(tally.note, 7, "the note stays");
    }

    using Tallies for Tally;
}
