// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRuns} from "../../interfaces/IRuns.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {Effects, Evidence, Inputs, Outcome, Params, Proposal} from "../../interfaces/Types.sol";
import {Docket} from "../../libraries/Docket.sol";
import {Scene} from "./Scene.sol";

/// A proposing run: what is said about its rounds, and what comes of it.
contract DocketTest is Scene {
    uint256 private constant BOND_WEI = 1_000_000_007; // of paramsOf()

    function setUp() external {
        beginWith(true, 1, 1);
    }

    function _lie() private pure returns (Outcome memory outcome) {
        outcome.standingsHash = "lie";
        Effects memory none;
        outcome.effectsHash = Docket.hash(none);
    }

    function _challengeALie() private returns (uint40 untilS) {
        play();
        propose(1, _lie());
        _challengeBy(trainer(5), 1);
        (,, untilS) = settlement.challenged(run);
    }

    function _challengeBy(address account, uint16 round) private {
        enrich(account);
        vm.prank(account);
        stakes.bond(run, BOND_WEI);
        vm.prank(account);
        settlement.challenge(run, round);
    }

    /// By somebody who has no bond.
    function _refuteFirst(Inputs memory from, Evidence memory by) private {
        Proposal[] memory list = pendings();
        vm.prank(trainer(6));
        settlement.refute(run, paramsOfRun[run], from, by, list, 0);
        (, uint16 round,) = settlement.challenged(run);
        same(round, 0, "no challenge is open");
    }

    /// All of it free.
    function _bondOf(address account) private view returns (uint256) {
        (uint128 amountWei, uint128 lockedWei) = stakes.bondOf(run, account);
        same(lockedWei, 0, "nothing is locked");
        return amountWei;
    }

    /* PROPOSE */

    function test_only_recorded_rounds_are_proposed_one_after_the_other() external {
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotRecorded.selector, run, 1));
        settlement.propose(run, 1, _lie());
        play();
        play();
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotNext.selector, run, 2, 1, 0));
        settlement.propose(run, 2, _lie());
    }

    function test_no_more_than_64_proposals_are_pending() external {
        Params memory params = paramsOf(true, 0);
        params.maxRounds = 100;
        begin(params);
        seat(trainer(0), 1);
        seat(verifier(0), 2);
        for (uint16 round = 1; round <= 64; ++round) {
            play();
            propose(round, _lie());
        }
        play();
        stakes.bond(run, params.proposalBondWei);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.TooManyPending.selector, run));
        settlement.propose(run, 65, _lie());
    }

    /* SETTLE AT ONCE */

    function test_a_round_is_settled_at_once_when_nothing_is_pending() external {
        play();
        settle();
        (uint16 settled, uint16 proposed,,) = settlement.docket(run);
        so(settled == 1 && proposed == 1 && settlement.isCaughtUp(run), "settled");
    }

    function test_a_round_is_not_settled_past_pending_proposals_nor_past_a_round() external {
        play();
        Inputs memory first = inputs();
        play();
        Inputs memory second = inputs();
        Evidence memory by = evidence();
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotNext.selector, run, 2, 1, 0));
        settlement.settle(run, paramsOfRun[run], second, by);
        propose(1, _lie());
        vm.expectRevert(abi.encodeWithSelector(ISettlement.StillPending.selector, run, 1));
        settlement.settle(run, paramsOfRun[run], first, by);
    }

    /* CHALLENGE */

    function test_only_what_is_pending_is_challenged_and_once() external {
        play();
        play();
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotPending.selector, run, 1));
        settlement.challenge(run, 1);
        propose(1, _lie());
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotPending.selector, run, 2));
        settlement.challenge(run, 2);
        stakes.bond(run, paramsOfRun[run].proposalBondWei);
        settlement.challenge(run, 1);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.AlreadyChallenged.selector, run, 1));
        settlement.challenge(run, 1);
    }

    /* REFUTE */

    function test_a_refutation_names_what_is_pending() external {
        play();
        propose(1, _lie());
        (Inputs memory from, Evidence memory by, Proposal[] memory list) = (inputs(), evidence(), pendings());
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotPending.selector, run, 1));
        settlement.refute(run, paramsOfRun[run], from, by, list, 1);
        from.record.round = 2;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotPending.selector, run, 2));
        settlement.refute(run, paramsOfRun[run], from, by, list, 0);
        list[0].finalS += 1;
        bytes32 found = this.tipOf(list);
        bytes32 expected = settlement.tip(run);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.PendingMismatch.selector, expected, found));
        settlement.refute(run, paramsOfRun[run], from, by, list, 0);
    }

    /// Whoever refutes it.
    function test_the_reward_for_a_lie_is_the_challengers_until_the_extension_is_over() external {
        uint40 untilS = _challengeALie();
        vm.warp(untilS - 1);
        _refuteFirst(inputs(), evidence());
        same(_bondOf(trainer(5)), BOND_WEI + BOND_WEI * 4_000 / 10_000, "the challenger's bond and reward");
        same(_bondOf(trainer(6)), 0, "nothing for the refuter");
    }

    function test_the_reward_for_a_lie_is_the_refuters_when_the_extension_is_over() external {
        uint40 untilS = _challengeALie();
        vm.warp(untilS);
        _refuteFirst(inputs(), evidence());
        same(_bondOf(trainer(5)), BOND_WEI, "the challenger's bond");
        same(_bondOf(trainer(6)), BOND_WEI * 4_000 / 10_000, "the refuter's reward");
    }

    /// Nobody loses a bond for what stood on a lie, nor for having challenged it.
    function test_what_stands_on_a_lie_falls_with_it_and_frees_its_bonds() external {
        play();
        (Inputs memory from, Evidence memory by) = (inputs(), evidence());
        play();
        propose(1, _lie());
        propose(2, _lie());
        _challengeBy(trainer(5), 2);
        _refuteFirst(from, by);
        same(_bondOf(trainer(5)), BOND_WEI, "the challenger's bond");
        same(_bondOf(address(this)), BOND_WEI, "the bond behind the second");
        same(_bondOf(trainer(6)), BOND_WEI * 4_000 / 10_000, "the refuter's reward");
        (uint16 settled, uint16 proposed, uint8 pending_,) = settlement.docket(run);
        so(settled == 0 && proposed == 0 && pending_ == 0, "nothing is pending");
    }

    function test_the_truth_is_not_refuted_and_becomes_final() external {
        play();
        (Outcome memory outcome, Effects memory effects,) = execute();
        propose(1, outcome);
        (Inputs memory from, Evidence memory by, Proposal[] memory list) = (inputs(), evidence(), pendings());
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotRefuted.selector, run, 1));
        settlement.refute(run, paramsOfRun[run], from, by, list, 0);
        vm.warp(list[0].finalS);
        settlement.finalise(run, list, effects);
        same(settlement.standingsHash(run), outcome.standingsHash, "final");
        (, uint128 lockedWei) = stakes.bondOf(run, address(this));
        same(lockedWei, 0, "the bond is free");
    }

    function tipOf(Proposal[] calldata list) external pure returns (bytes32) {
        return Docket.tip(list, 0, list.length);
    }

    /* FINALISE */

    function test_nothing_is_final_before_its_time_or_with_other_effects() external {
        Effects memory effects;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotPending.selector, run, 0));
        settlement.finalise(run, new Proposal[](0), effects);
        play();
        propose(1, _lie());
        Proposal[] memory list = pendings();
        vm.warp(list[0].finalS - 1);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotFinal.selector, 1, list[0].finalS, list[0].finalS - 1));
        settlement.finalise(run, list, effects);
        vm.warp(list[0].finalS);
        effects.awaited = new uint256[](1);
        bytes32 found = Docket.hash(effects);
        bytes32 expected = list[0].outcome.effectsHash;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.EffectsMismatch.selector, expected, found));
        settlement.finalise(run, list, effects);
    }

    function test_a_challenge_gains_its_extension_and_is_lost_when_nobody_refutes_in_it() external {
        play();
        (Outcome memory outcome, Effects memory effects,) = execute();
        propose(1, outcome);
        Proposal[] memory list = pendings();
        uint256 bondWei = paramsOfRun[run].proposalBondWei;
        enrich(trainer(5));
        vm.prank(trainer(5));
        stakes.bond(run, bondWei);
        vm.warp(list[0].finalS - 1);
        vm.prank(trainer(5));
        settlement.challenge(run, 1);
        uint40 untilS = list[0].finalS - 1 + 150;
        vm.warp(untilS - 1);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotFinal.selector, 1, untilS, untilS - 1));
        settlement.finalise(run, list, effects);
        vm.warp(untilS);
        settlement.finalise(run, list, effects);
        (uint128 leftWei,) = stakes.bondOf(run, trainer(5));
        same(leftWei, 0, "the challenger's bond");
        (uint128 wonWei,) = stakes.bondOf(run, address(this));
        same(wonWei, bondWei + bondWei * 4_000 / 10_000, "the proposer's reward");
    }

    function test_a_lie_that_nobody_refutes_pays_no_more_than_it_says_in_all() external {
        play();
        Outcome memory lie = _lie();
        (lie.root, lie.totalWei) = (leafOf(address(this), 1e20).hash, 5e19);
        propose(1, lie);
        Proposal[] memory list = pendings();
        Effects memory none;
        vm.warp(list[0].finalS);
        settlement.finalise(run, list, none);
        vm.expectRevert(abi.encodeWithSelector(IRuns.Overdrawn.selector, run, 1e20, 5e19));
        bytes32 tokenAndRun = bytes32(abi.encodePacked(token, uint96(run)));
        runs.claim(tokenAndRun, bytes32(abi.encodePacked(address(this), uint96(0))), 1e20);
    }
}
