// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRounds} from "../../interfaces/IRounds.sol";
import {Params, Phase, Role, Submission} from "../../interfaces/Types.sol";
import {Transcript} from "../../libraries/Transcript.sol";
import {Scene} from "./Scene.sol";

/// What a round refuses, and how it ends when somebody does not come.
contract RoundsTest is Scene {
    function setUp() external {
        beginWith(false, 2, 2);
    }

    /* WHO AND WHEN */

    function test_nothing_is_submitted_outside_of_its_phase() external {
        train();
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, run, Phase.TRAIN, Phase.HOLD));
        vm.prank(trainer(0));
        rounds.submit(run, "digest", 0);
    }

    function test_nobody_but_the_seated_submits_and_verifies() external {
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotSeated.selector, run, verifier(0), Role.TRAINER));
        vm.prank(verifier(0));
        rounds.submit(run, "digest", 0);
        train();
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotSeated.selector, run, trainer(0), Role.VERIFIER));
        vm.prank(trainer(0));
        rounds.hold(run, hex"00", 0);
    }

    function test_who_left_verifies_to_the_end_of_the_round_and_not_once_the_seat_is_given_again() external {
        vm.prank(verifier(1));
        stakes.exit(run);
        train();
        hold(); // also the one who left
        commit();
        reveal();
        settle();
        seat(verifier(2), 2);
        seat(verifier(3), 2); // that seat
        train();
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotSeated.selector, run, verifier(1), Role.VERIFIER));
        vm.prank(verifier(1));
        rounds.hold(run, hex"00", 0);
    }

    function test_a_phase_takes_no_acts_of_another() external {
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, run, Phase.HOLD, Phase.TRAIN));
        vm.prank(verifier(0));
        rounds.hold(run, hex"00", 0);
    }

    function test_a_newcomer_of_the_committee_waits_for_the_next_round() external {
        seat(verifier(2), 2);
        train();
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotOnCommittee.selector, run, 2));
        vm.prank(verifier(2));
        rounds.hold(run, hex"00", 0);
    }

    function test_at_the_deadline_it_is_too_late() external {
        uint40 deadline = rounds.clock(run).deadline;
        vm.warp(deadline - 1);
        submit();
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IRounds.Overdue.selector, deadline, deadline));
        vm.prank(trainer(0));
        rounds.submit(run, "digest", 0);
        rounds.poke(run);
        deadline = rounds.clock(run).deadline;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(IRounds.Overdue.selector, deadline, deadline));
        vm.prank(verifier(0));
        rounds.hold(run, hex"00", 0);
    }

    function test_a_newcomer_trains_from_the_next_round_on() external {
        seat(trainer(2), 1);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotYet.selector, 2, 1));
        vm.prank(trainer(2));
        rounds.submit(run, "digest", 0);
    }

    /* TRAIN */

    function test_submissions_are_closed_with_what_was_submitted() external {
        submit();
        Submission[] memory other = submissions();
        other[1].digest = "another";
        bytes24 found = rounds.opening(run);
        for (uint256 i; i < 2; ++i) {
            found = Transcript.submitted(found, other[i].trainer, other[i].claimedGainMicronats, other[i].digest);
        }
        bytes24 expected = rounds.clock(run).transcript;
        vm.expectRevert(abi.encodeWithSelector(IRounds.TranscriptMismatch.selector, expected, found));
        rounds.close(run, other);
    }

    function test_submissions_are_not_closed_before_everybody_awaited_is_in() external {
        Submission[] memory one = new Submission[](1);
        one[0] = submissions()[0];
        vm.prank(trainer(0));
        rounds.submit(run, one[0].digest, one[0].claimedGainMicronats);
        vm.expectRevert(abi.encodeWithSelector(IRounds.StillAwaited.selector, 1));
        rounds.close(run, one);
    }

    function test_who_awaits_nobody_waits_for_the_deadline() external {
        for (uint256 i; i < 2; ++i) {
            vm.prank(trainer(i));
            stakes.exit(run);
        }
        vm.expectRevert(abi.encodeWithSelector(IRounds.NobodyAwaited.selector, run));
        rounds.close(run, new Submission[](0));
        wait();
        rounds.poke(run); // nobody submitted anything
        so(phase() == Phase.TRAIN && rounds.clock(run).round == 2, "the round is void");
    }

    function test_whoever_missed_two_rounds_in_a_row_is_not_awaited() external {
        verdict[1] = 1; // missing
        same(rounds.awaitedTrainers(run)[0], 3, "both");
        play();
        settle();
        same(rounds.awaitedTrainers(run)[0], 3, "after one");
        play();
        settle();
        same(rounds.awaitedTrainers(run)[0], 1, "after two");
        verdict[1] = 0;
        play();
        settle();
        same(rounds.awaitedTrainers(run)[0], 3, "and back");
    }

    /* VERIFIERS' ACTS */

    function test_each_act_is_done_once() external {
        train();
        vm.prank(verifier(0));
        rounds.hold(run, hex"00", 0);
        vm.expectRevert(abi.encodeWithSelector(IRounds.AlreadyActed.selector, run, 0, Phase.HOLD));
        vm.prank(verifier(0));
        rounds.hold(run, hex"00", 0);
        vm.prank(verifier(1));
        rounds.hold(run, hex"00", 0);

        vm.prank(verifier(0));
        rounds.commit(run, _commitment(run, 1, verifier(0), report(0)));
        vm.expectRevert(abi.encodeWithSelector(IRounds.AlreadyActed.selector, run, 0, Phase.COMMIT));
        vm.prank(verifier(0));
        rounds.commit(run, "another");
        bytes32 made = _commitment(run, 1, verifier(1), report(1));
        vm.prank(verifier(1));
        rounds.commit(run, made);

        bytes memory said_ = report(0);
        vm.prank(verifier(0));
        rounds.reveal(run, said_, "salt");
        vm.expectRevert(abi.encodeWithSelector(IRounds.AlreadyActed.selector, run, 0, Phase.REVEAL));
        vm.prank(verifier(0));
        rounds.reveal(run, said_, "salt");
    }

    function test_a_bitmap_has_a_bit_for_every_trainer() external {
        train();
        vm.expectRevert(abi.encodeWithSelector(IRounds.BitmapLength.selector, 1, 2));
        vm.prank(verifier(0));
        rounds.hold(run, hex"0000", 0);
    }

    function test_nothing_is_revealed_but_what_was_committed() external {
        train();
        hold();
        bytes memory said_ = report(0);
        bytes32 made = _commitment(run, 1, verifier(0), said_);
        vm.prank(verifier(0));
        rounds.commit(run, made);
        wait();
        rounds.poke(run);
        bytes32 opened = keccak256(
            abi.encode(block.chainid, rounds, run, 1, verifier(0), _hashReport(said_), bytes32("another salt"))
        );
        vm.expectRevert(abi.encodeWithSelector(IRounds.RevealMismatch.selector, made, opened));
        vm.prank(verifier(0));
        rounds.reveal(run, said_, "another salt");
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotCommitted.selector, run, 1));
        vm.prank(verifier(1));
        rounds.reveal(run, said_, "salt");
    }

    function test_reports_have_their_length_and_sound_rows() external {
        verdict[1] = 9;
        train();
        hold();
        commit();
        bytes memory bad = report(0);
        vm.expectRevert(abi.encodeWithSelector(IRounds.MalformedRow.selector, 1));
        vm.prank(verifier(0));
        rounds.reveal(run, bad, "salt");
        vm.expectRevert(abi.encodeWithSelector(IRounds.ReportLength.selector, 36 + 18, 36 + 19));
        vm.prank(verifier(0));
        rounds.reveal(run, bytes.concat(bad, hex"00"), "salt");
    }

    /* COMMITTEE */

    /// Of three two are drawn, and disagree.
    function test_without_quorum_everyone_is_called_in() external {
        Params memory params = paramsOf(false, 0);
        (params.committee, params.minVerifiers) = (2, 3);
        begin(params);
        seat(trainer(0), 1);
        for (uint256 v; v < 3; ++v) {
            seat(verifier(v), 2);
        }
        train();
        uint32 drawn = rounds.masks(run).active;
        so(drawn == 3 || drawn == 5 || drawn == 6, "two are drawn");
        far = drawn & (~drawn + 1);
        verify();
        settlement.settle(run, paramsOfRun[run], inputs(), evidence());
        _listen();
        so(phase() == Phase.COMMIT && rounds.clock(run).round == 1, "the same round, from COMMIT on");
        same(rounds.masks(run).active, 7, "everyone");
        (bytes30 hash,) = rounds.record(run, 1);
        same(hash, 0, "the record is void");
        commit();
        reveal();
        settle();
        so(phase() == Phase.TRAIN && rounds.clock(run).round == 2, "the next round");
    }

    function test_who_is_not_drawn_does_not_act() external {
        Params memory params = paramsOf(false, 0);
        (params.committee, params.minVerifiers) = (1, 2);
        begin(params);
        seat(trainer(0), 1);
        seat(verifier(0), 2);
        seat(verifier(1), 2);
        train();
        uint256 other = onCommittee(0) ? 1 : 0;
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotOnCommittee.selector, run, other));
        vm.prank(verifier(other));
        rounds.hold(run, hex"00", 0);
    }

    /* DEADLINES */

    function test_nobody_ends_a_phase_before_its_deadline() external {
        uint40 deadline = rounds.clock(run).deadline;
        vm.warp(deadline - 1);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotOverdue.selector, deadline, deadline - 1));
        rounds.poke(run);
    }

    function test_a_round_that_nobody_settles_in_time_is_void() external {
        play();
        so(phase() == Phase.SETTLE, "waits for its settlement");
        wait();
        rounds.poke(run);
        so(phase() == Phase.TRAIN && rounds.clock(run).round == 2, "the next round");
    }

    function test_before_the_first_and_after_the_last_round_there_is_no_deadline() external {
        Params memory params = paramsOf(false, 0);
        uint256 other = runs.open(params, address(token), 0);
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, other, Phase.TRAIN, Phase.ENROL));
        rounds.poke(other);
        runs.cancel(other);
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, other, Phase.TRAIN, Phase.ENDED));
        rounds.poke(other);
    }

    /* ENDS */

    function test_a_run_that_began_is_not_cancelled() external {
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, run, Phase.ENROL, Phase.TRAIN));
        runs.cancel(run);
    }

    function test_nobody_joins_a_run_that_ended() external {
        uint256 other = runs.open(paramsOf(false, 0), address(token), 0);
        runs.cancel(other);
        vm.expectRevert(abi.encodeWithSelector(IRounds.WrongPhase.selector, other, Phase.ENROL, Phase.ENDED));
        vm.prank(trainer(0));
        stakes.join(other, 1, TRAINER_STAKE_WEI, type(uint256).max);
    }

    function test_a_direct_run_ends_when_its_target_is_reached() external {
        Params memory params = paramsOf(false, 500_000);
        begin(params);
        seat(trainer(0), 1);
        seat(verifier(0), 2);
        lossMicronats = 500_001;
        play();
        settle();
        so(phase() == Phase.TRAIN, "not quite");
        lossMicronats = 500_000;
        play();
        settle();
        so(phase() == Phase.ENDED, "reached");
    }

    function test_a_proposing_run_ends_when_its_target_is_reached_by_what_is_final() external {
        begin(paramsOf(true, 500_000));
        seat(trainer(0), 1);
        seat(verifier(0), 2);
        play();
        so(phase() == Phase.TRAIN, "goes on meanwhile");
        settle();
        so(phase() == Phase.ENDED, "reached");
    }

    /* SEATS */

    function test_an_account_has_one_seat() external {
        vm.expectRevert(abi.encodeWithSelector(IRounds.AlreadySeated.selector, run, trainer(0)));
        vm.prank(trainer(0));
        stakes.join(run, 1, TRAINER_STAKE_WEI, type(uint256).max);
    }

    function test_seats_are_limited() external {
        seat(trainer(2), 1);
        enrich(trainer(3));
        vm.expectRevert(abi.encodeWithSelector(IRounds.Full.selector, run, Role.TRAINER, 3));
        vm.prank(trainer(3));
        stakes.join(run, 1, TRAINER_STAKE_WEI, type(uint256).max);
        seat(verifier(2), 2);
        enrich(verifier(3));
        vm.expectRevert(abi.encodeWithSelector(IRounds.Full.selector, run, Role.VERIFIER, 3));
        vm.prank(verifier(3));
        stakes.join(run, 2, VERIFIER_STAKE_WEI, type(uint256).max);
    }

    /// Past its immunity of one round.
    function test_a_newcomer_takes_the_weakest_seat_of_a_full_run_and_what_was_earned_in_it_is_kept() external {
        seat(trainer(2), 1);
        play();
        settle();
        play();
        settle();
        play();
        settle();
        (uint16 weakest,) = rounds.weakest(run);
        address pruned = rounds.trainersAt(run, weakest, weakest + 1)[0];
        seat(trainer(3), 1);
        so(rounds.trainersAt(run, weakest, weakest + 1)[0] == trainer(3), "its seat");
        so(rounds.seat(run, pruned).retired, "has left");
        (, uint40 releaseS) = stakes.stakeOf(run, pruned);
        same(releaseS, vm.getBlockTimestamp() + 1_000, "and has its stake back after the delay");
        wait();
        rounds.poke(run); // this round knows nothing of the newcomer
        play();
        settle();
        so(runs.left(run, pruned) > 0, "what was promised");
        uint256 beforeWei = token.balanceOf(pruned);
        runs.claimLeft(run, pruned);
        same(token.balanceOf(pruned), beforeWei + runs.left(run, pruned), "is paid");
    }
}
