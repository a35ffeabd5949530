// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRounds} from "../../interfaces/IRounds.sol";
import {IRuns} from "../../interfaces/IRuns.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {Effects, Evidence, Inputs, Outcome, Params, Phase, Proposal, Record} from "../../interfaces/Types.sol";
import {Docket} from "../../libraries/Docket.sol";
import {Leaf, Standings} from "../../libraries/Standings.sol";
import {Scene} from "./Scene.sol";

/// A direct run is settled in its turn, from the very bytes that were recorded.
contract DirectTest is Scene {
    function setUp() external {
        beginWith(false, 2, 3);
    }

    function refused(Inputs memory from, Evidence memory by, bytes memory error_) private {
        vm.expectRevert(error_);
        settlement.settle(run, paramsOfRun[run], from, by);
    }

    function test_a_settlement_needs_the_runs_own_parameters() external {
        play();
        Params memory other = paramsOfRun[run];
        other.top = 1;
        bytes32 expected = runs.info(run).paramsHash;
        bytes32 found = keccak256(abi.encode(other));
        Inputs memory from = inputs();
        Evidence memory by = evidence();
        vm.expectRevert(abi.encodeWithSelector(ISettlement.ParamsMismatch.selector, expected, found));
        settlement.settle(run, other, from, by);
    }

    function test_a_settlement_has_its_turn() external {
        Inputs memory nothing;
        Evidence memory by;
        refused(nothing, by, abi.encodeWithSelector(IRounds.WrongPhase.selector, run, Phase.SETTLE, Phase.TRAIN));
        play();
        nothing.record.round = 2;
        refused(nothing, by, abi.encodeWithSelector(ISettlement.NotRecorded.selector, run, 2));
        Inputs memory from = inputs();
        by = evidence();
        wait();
        uint40 deadline = rounds.clock(run).deadline;
        refused(from, by, abi.encodeWithSelector(IRounds.Overdue.selector, deadline, deadline));
    }

    function test_another_record_is_refused() external {
        play();
        Inputs memory from = inputs();
        from.record.depositedWei += 1;
        (bytes30 expected,) = rounds.record(run, 1);
        bytes30 found = Docket.hash(from.record);
        refused(from, evidence(), abi.encodeWithSelector(ISettlement.RecordMismatch.selector, run, 1, expected, found));
    }

    function test_other_standings_are_refused() external {
        play();
        settle();
        play();
        Inputs memory from = inputs();
        from.standings[20 + 44] ^= 0x01;
        bytes32 found = keccak256(abi.encodePacked(from.roster, from.standings));
        refused(
            from,
            evidence(),
            abi.encodeWithSelector(ISettlement.StandingsMismatch.selector, settlement.standingsHash(run), found)
        );
    }

    function test_other_rows_of_the_roster_are_refused() external {
        play();
        Inputs memory from = inputs();
        bytes memory rows = from.rosterRows;
        from.rosterRows = bytes.concat(rows, hex"08010000");
        bytes24 found = bytes24(keccak256(abi.encodePacked(from.record.roster, hex"08010000")));
        refused(
            from, evidence(), abi.encodeWithSelector(ISettlement.RosterMismatch.selector, from.record.roster, found)
        );
        from.rosterRows = bytes.concat(rows, hex"080100");
        refused(from, evidence(), abi.encodeWithSelector(ISettlement.RosterRows.selector, rows.length + 3));
    }

    function test_other_reports_are_refused() external {
        play();
        Inputs memory from = inputs();
        Evidence memory by = evidence();
        bytes[] memory two = new bytes[](2);
        (two[0], two[1]) = (by.reports[0], by.reports[1]);
        bytes[] memory three = by.reports;
        by.reports = two;
        refused(from, by, abi.encodeWithSelector(ISettlement.ReportCount.selector, 3, 2));
        by.reports = three;
        by.reports[2][40] ^= 0x01;
        refused(
            from,
            by,
            abi.encodeWithSelector(
                ISettlement.ReportMismatch.selector, 2, from.record.reports[2], _hashReport(by.reports[2])
            )
        );
    }

    function test_direct_runs_take_no_proposals() external {
        play();
        Outcome memory outcome;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotProposing.selector, run));
        settlement.propose(run, 1, outcome);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NotProposing.selector, run));
        settlement.challenge(run, 1);
    }

    /* WHAT VERIFIERS LOSE */

    /// 1 of 3 may be far off before the rest is not unanimous: it has a quarter of the stake at most then.
    function test_who_is_far_off_the_unanimous_is_slashed_and_ejected_and_who_is_silent_loses_less() external {
        begin(_params(3));
        seat(trainer(0), 1);
        seat(verifier(0), 2);
        seat(verifier(1), 2, 4 * VERIFIER_STAKE_WEI);
        seat(verifier(2), 2);
        far = 1 << 2;
        play();
        settle();
        (uint128 leftWei,) = stakes.stakeOf(run, verifier(2));
        same(leftWei, VERIFIER_STAKE_WEI * 4 / 10, "60% of it");
        so(rounds.seat(run, verifier(2)).retired, "too little to stay");
        far = 0;
        absent = 1 << 0;
        _listen();
        play();
        settle();
        (leftWei,) = stakes.stakeOf(run, verifier(0));
        same(leftWei, VERIFIER_STAKE_WEI * 7 / 10, "30%");
        so(!rounds.seat(run, verifier(0)).retired, "stays");
    }

    function test_who_is_far_off_a_mere_quorum_keeps_its_stake() external {
        begin(_params(3));
        seat(trainer(0), 1);
        for (uint256 v; v < 2; ++v) {
            seat(verifier(v), 2, VERIFIER_STAKE_WEI * 12 / 10);
        }
        seat(verifier(2), 2);
        far = 1 << 2;
        play();
        settle();
        (uint128 leftWei,) = stakes.stakeOf(run, verifier(2));
        same(leftWei, VERIFIER_STAKE_WEI, "all of it");
    }

    function test_without_quorum_nobody_is_paid_and_only_the_silent_lose() external {
        absent = 6;
        play();
        settle();
        (, uint128 totalWei) = runs.books(run);
        same(totalWei, 0, "nothing is promised");
        (uint128 leftWei,) = stakes.stakeOf(run, verifier(0));
        same(leftWei, VERIFIER_STAKE_WEI, "who spoke");
        (leftWei,) = stakes.stakeOf(run, verifier(1));
        same(leftWei, VERIFIER_STAKE_WEI * 7 / 10, "who did not");
    }

    /// Whose whole stake was lost counts for nothing, whatever it reports.
    function test_a_report_without_stake_does_not_count() external {
        begin(_params(2));
        seat(trainer(0), 1);
        seat(verifier(0), 2);
        seat(verifier(1), 2);
        vm.prank(address(settlement));
        stakes.slash(run, verifier(1), VERIFIER_STAKE_WEI);
        far = 1 << 1;
        play();
        (Outcome memory outcome,,) = execute();
        same(outcome.clusterMask, 1, "one of one");
        vm.prank(address(settlement));
        stakes.slash(run, verifier(0), VERIFIER_STAKE_WEI);
        settle();
        play();
        (outcome,,) = execute();
        same(outcome.clusterMask, 0, "nobody");
    }

    /* WHAT TRAINERS LOSE */

    function test_failed_checks_ban_and_the_banned_are_not_paid() external {
        verdict[1] = 7;
        for (uint256 round = 1; round <= 2; ++round) {
            play();
            settle();
        }
        // 100% -> 25% -> 6.25% of trust: below a quarter
        same(_leaf(1).banRound(), 4, "for two rounds");
        verdict[1] = 0;
        uint256 paidWei = _leaf(1).paidWei();
        for (uint256 round = 3; round <= 4; ++round) {
            play();
            settle();
            same(_leaf(1).paidWei(), paidWei, "nothing meanwhile");
        }
        play();
        settle();
        so(_leaf(1).paidWei() > paidWei, "and back");
    }

    function test_with_everybody_banned_nobody_is_judged() external {
        (verdict[0], verdict[1]) = (7, 7);
        for (uint256 round = 1; round <= 2; ++round) {
            play();
            settle();
        }
        submit();
        wait(); // nobody is awaited
        rounds.poke(run);
        _listen();
        verify();
        settle();
        same(_leaf(0).paidWei() + _leaf(1).paidWei(), 0, "nobody is paid");
        same(_leaf(0).rounds(), 2, "the third does not count");
        (uint16 weakest,) = rounds.weakest(run);
        same(weakest, 0, "but somebody's seat is the first to be given away");
    }

    function _leaf(uint256 i) private view returns (Leaf) {
        return Standings.leaf(finalStandings[run], i);
    }

    function _params(uint8 verifiers) private pure returns (Params memory params) {
        params = paramsOf(false, 0);
        params.minVerifiers = verifiers;
    }
}

/// The same agreement from heads and slices of rows, which hear() looks at one by one.
contract SlicesTest is Scene {
    uint256 private constant HEAD_SIZE = 36;

    function setUp() external {
        Params memory params = paramsOf(false, 0);
        (params.minTrainers, params.minVerifiers) = (2, 3);
        begin(params);
        seat(trainer(0), 1);
        seat(trainer(1), 1);
        seat(verifier(0), 2, 4 * VERIFIER_STAKE_WEI); // exactly two thirds
        seat(verifier(1), 2);
        seat(verifier(2), 2);
    }

    function test_a_settlement_in_slices_is_the_same_when_somebody_is_far_off() external {
        far = 1 << 1;
        _playAndSettleInSlices();
    }

    function test_a_settlement_in_slices_is_the_same_when_somebody_is_silent() external {
        absent = 1 << 1;
        _playAndSettleInSlices();
    }

    function _playAndSettleInSlices() private {
        play();
        (Outcome memory whole,,) = execute();
        Evidence memory sliced = _slices();
        (bytes[] memory rowsOf, Params memory params, Record memory record) =
            (_rowsOf(), paramsOfRun[run], recordOf[run][1]);
        settlement.hear(run, params, record, sliced.heads, 0, rowsOf);
        settlement.settle(run, params, inputs(), sliced);
        same(settlement.standingsHash(run), whole.standingsHash, "standings");
    }

    function test_what_was_not_heard_or_differs_is_refused() external {
        play();
        Evidence memory sliced = _slices();
        (bytes[] memory rowsOf, Params memory params, Inputs memory from) = (_rowsOf(), paramsOfRun[run], inputs());
        bytes32 slice = keccak256(abi.encodePacked(_hashRows(), keccak256(abi.encodePacked(sliced.sums[0]))));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SliceMismatch.selector, 0, 0, slice));
        settlement.settle(run, params, from, sliced);
        settlement.hear(run, params, from.record, sliced.heads, 0, rowsOf);
        same(settlement.heard(run, 1, 0), slice, "heard");

        // Rows that are no slice have no hash.
        sliced.rows[0] = bytes.concat(sliced.rows[0], hex"00");
        bytes32 none = keccak256(abi.encodePacked(bytes32(0), keccak256(abi.encodePacked(sliced.sums[0]))));
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SliceMismatch.selector, 0, slice, none));
        settlement.settle(run, params, from, sliced);

        sliced.rows = new bytes[](2);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.SliceCount.selector, 1, 2));
        settlement.settle(run, params, from, sliced);
    }

    function test_only_what_the_reports_say_is_heard() external {
        play();
        Evidence memory sliced = _slices();
        (bytes[] memory rowsOf, Params memory params, Record memory record) =
            (_rowsOf(), paramsOfRun[run], recordOf[run][1]);
        bytes[] memory two = new bytes[](2);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.ReportCount.selector, 3, 2));
        settlement.hear(run, params, record, two, 0, rowsOf);
        vm.expectRevert(abi.encodeWithSelector(ISettlement.ReportCount.selector, 3, 2));
        settlement.hear(run, params, record, sliced.heads, 0, two);

        bytes32 expected = keccak256(rowsOf[1]);
        rowsOf[1][3] ^= 0x01;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.ReportMismatch.selector, 1, expected, keccak256(rowsOf[1])));
        settlement.hear(run, params, record, sliced.heads, 0, rowsOf);

        sliced.heads[2][0] ^= 0x01;
        vm.expectRevert(
            abi.encodeWithSelector(
                ISettlement.ReportMismatch.selector, 2, record.reports[2], keccak256(sliced.heads[2])
            )
        );
        settlement.hear(run, params, record, sliced.heads, 0, rowsOf);
    }

    function test_there_is_no_slice_behind_the_last_trainer() external {
        play();
        (bytes[] memory rowsOf, Params memory params, Record memory record) =
            (_rowsOf(), paramsOfRun[run], recordOf[run][1]);
        bytes[] memory heads = _slices().heads;
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NoSuchSlice.selector, run, 1, 1));
        settlement.hear(run, params, record, heads, 1, rowsOf);
    }

    function test_without_quorum_there_is_no_slice_and_heads_are_enough() external {
        absent = 6;
        play();
        (bytes[] memory rowsOf, Params memory params, Record memory record) =
            (_rowsOf(), paramsOfRun[run], recordOf[run][1]);
        Evidence memory sliced = _slices();
        vm.expectRevert(abi.encodeWithSelector(ISettlement.NoSuchSlice.selector, run, 1, 0));
        settlement.hear(run, params, record, sliced.heads, 0, rowsOf);
        (Outcome memory whole,,) = execute();
        settlement.settle(run, params, inputs(), sliced);
        same(settlement.standingsHash(run), whole.standingsHash, "standings");
    }

    /// All rows are the same: they are what was agreed on, and everybody's gains are.
    function _slices() private view returns (Evidence memory sliced) {
        bytes[] memory reports = evidence().reports;
        sliced.heads = new bytes[](reports.length);
        for (uint256 i; i < reports.length; ++i) {
            sliced.heads[i] = bytes.concat(_cut(reports[i], 0, HEAD_SIZE), keccak256(_rows(reports[i])));
        }
        sliced.rows = new bytes[](1);
        sliced.rows[0] = _rows(reports[0]);
        sliced.sums = new uint256[][](1);
        sliced.sums[0] = new uint256[](3);
        for (uint256 v; v < 3; ++v) {
            if (((far | absent) >> v) & 1 == 0) sliced.sums[0][v] = 2_100 << 128 | 2_100;
        }
    }

    function _rowsOf() private view returns (bytes[] memory rowsOf) {
        rowsOf = evidence().reports;
        for (uint256 i; i < rowsOf.length; ++i) {
            rowsOf[i] = _rows(rowsOf[i]);
        }
    }

    function _hashRows() private view returns (bytes32) {
        bytes memory rows = _rowsOf()[0];
        uint256[2] memory unpacked;
        for (uint256 i; i < 18; ++i) {
            unpacked[i / 9] = unpacked[i / 9] << 8 | uint8(rows[i]);
        }
        return keccak256(abi.encodePacked(unpacked));
    }

    function _rows(bytes memory report_) private pure returns (bytes memory) {
        return _cut(report_, HEAD_SIZE, report_.length);
    }

    function _cut(bytes memory from, uint256 start, uint256 end) private pure returns (bytes memory part) {
        part = new bytes(end - start);
        for (uint256 i = start; i < end; ++i) {
            part[i - start] = from[i];
        }
    }
}

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
