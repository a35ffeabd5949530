// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRounds} from "../../interfaces/IRounds.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {Evidence, Inputs, Outcome, Params, Phase} from "../../interfaces/Types.sol";
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
