// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRounds} from "../../interfaces/IRounds.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {IStakes} from "../../interfaces/IStakes.sol";
import {Evidence, Inputs, Params, Role} from "../../interfaces/Types.sol";
import {Committee} from "../../libraries/Committee.sol";
import {Leaf, Standings} from "../../libraries/Standings.sol";
import {ReputationStub} from "../ReputationStub.sol";
import {Scene} from "./Scene.sol";

/// What ratings do in a run; and that they do nothing where it does not say so.
contract RatedTest is Scene {
    uint32 private constant HALF = 1 << 31;
    uint32 private constant MOST = type(uint32).max;

    function rated(uint16 leastBps, uint16 mostBps, uint16 sortitionBps, uint16 discountBps) private {
        Params memory params = paramsOf(false, 0);
        (params.payLeastBps, params.payMostBps) = (leastBps, mostBps);
        (params.sortitionBps, params.discountBps) = (sortitionBps, discountBps);
        (params.minTrainers, params.minVerifiers, params.top) = (3, 3, 3);
        begin(params);
    }

    function enrol() private {
        for (uint256 i; i < 3; ++i) {
            seat(trainer(i), 1);
            seat(verifier(i), 2);
        }
    }

    function say(address account, uint32 ratingQ32) private {
        ReputationStub(address(reputation)).set(account, ratingQ32);
    }

    function rate(address account, uint32 ratingQ32) private {
        say(account, ratingQ32);
        rounds.rate(run, account);
        _listen();
    }

    function reputationOf(uint256 place) private view returns (uint256) {
        return Standings.leaf(finalStandings[run], place).reputationQ32();
    }

    /* ROWS */

    function test_anyone_brings_a_rating_into_the_run_once() external {
        rated(5_000, 15_000, 0, 0);
        enrol();
        vm.expectRevert(abi.encodeWithSelector(IRounds.RatingUnchanged.selector, run, trainer(1), 0));
        rounds.rate(run, trainer(1));
        rate(trainer(1), HALF);
        same(rounds.seat(run, trainer(1)).ratingQ32, HALF, "kept");
        vm.expectRevert(abi.encodeWithSelector(IRounds.RatingUnchanged.selector, run, trainer(1), HALF));
        rounds.rate(run, trainer(1));
        rate(trainer(1), 0); // it lapsed
        same(rounds.seat(run, trainer(1)).ratingQ32, 0, "and lowered");
    }

    function test_only_the_seated_are_rated() external {
        rated(5_000, 15_000, 0, 0);
        enrol();
        say(address(0xabc), HALF);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotSeated.selector, run, address(0xabc), Role.NONE));
        rounds.rate(run, address(0xabc));
        say(trainer(0), HALF);
        vm.prank(trainer(0));
        stakes.exit(run);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotSeated.selector, run, trainer(0), Role.TRAINER));
        rounds.rate(run, trainer(0));
    }

    /* PAY */

    function test_a_rating_counts_from_the_next_round_on_and_falls_when_it_lapses() external {
        rated(5_000, 15_000, 0, 0);
        enrol();
        rate(trainer(1), HALF); // round 1 is open
        play();
        settle();
        same(reputationOf(1), 1 << 31, "not yet");
        play();
        settle();
        same(reputationOf(0), 1 << 31, "newcomers have the least");
        same(reputationOf(1), 1 << 32, "half the way");
        same(reputationOf(3), 1 << 31, "verifiers as well");
        rate(trainer(1), 0);
        play();
        settle();
        same(reputationOf(1), 1 << 32, "until the round is over");
        play();
        settle();
        same(reputationOf(1), 1 << 31, "then no more");
    }

    function test_a_newcomer_in_a_seat_given_again_starts_unrated() external {
        rated(5_000, 15_000, 0, 0);
        enrol();
        rate(trainer(2), MOST);
        play();
        settle();
        vm.prank(trainer(2));
        stakes.exit(run);
        _listen();
        seat(trainer(5), 1);
        same(rounds.seat(run, trainer(5)).index, 2, "its seat");
        same(rounds.seat(run, trainer(5)).ratingQ32, 0, "not its rating");
        wait();
        rounds.poke(run); // this round knows nothing of the newcomer
        _listen();
        play();
        settle();
        so(Standings.leaf(finalStandings[run], 2).account() == trainer(5), "who sits there");
        same(reputationOf(2), 1 << 31, "is unrated");
    }

    /// Whatever was rated: standings, pay and root are those of an unrated run.
    function test_neutral_bounds_change_nothing(uint32 one, uint32 other) external {
        rated(10_000, 10_000, 0, 0);
        enrol();
        say(trainer(0), one | 1);
        say(verifier(1), other | 1);
        rounds.rate(run, trainer(0));
        rounds.rate(run, verifier(1));
        _listen();
        play();
        settle();
        play();
        (,, bytes memory all) = execute();
        uint256 ratedRun = run;
        rated(10_000, 10_000, 0, 0);
        enrol();
        play();
        settle();
        play();
        (,, bytes memory plain) = execute();
        same(keccak256(all), keccak256(plain), "the same standings");
        so(ratedRun != run && Standings.leaf(all, 0).paidWei() > 0, "of two runs that paid");
        same(Standings.leaf(all, 0).reputationQ32(), 1 << 32, "one");
    }

    function test_a_rating_that_nobody_was_given_is_refused() external {
        rated(5_000, 15_000, 0, 0);
        enrol();
        play();
        settle();
        rate(trainer(0), HALF);
        wait();
        rounds.poke(run);
        _listen();
        play();
        Inputs memory from = inputs();
        Params memory params = paramsOfRun[run];
        Evidence memory reports = evidence();
        bytes memory rows = from.rosterRows;
        same(rows.length, 8, "one row");
        same(bytes32(rows), bytes32(bytes8(0x0901000080000000)), "kind, role, index, rating");
        for (uint256 i; i < 8; ++i) {
            from.rosterRows = bytes.concat(rows);
            from.rosterRows[i] ^= 0x01;
            vm.expectRevert();
            settlement.settle(run, params, from, reports);
        }
        from.rosterRows = bytes.concat(rows, hex"09010000");
        vm.expectRevert(abi.encodeWithSelector(ISettlement.RosterRows.selector, 12));
        settlement.settle(run, params, from, reports);
        from.rosterRows = rows;
        settle();
        same(reputationOf(0), 1 << 32, "the true one counts");
    }

    /* THE COMMITTEE */

    function test_ratings_weigh_in_the_draw_where_the_run_says_so(uint16 bps, uint32[3] memory q32, bytes32 beacon)
        external
    {
        bps = uint16(within(bps, 0, 10_000));
        rated(10_000, 10_000, bps, 0);
        enrol();
        uint256[] memory weights = new uint256[](32);
        for (uint256 v; v < 3; ++v) {
            if (q32[v] != 0) rate(verifier(v), q32[v]);
            uint256 stakeWei = VERIFIER_STAKE_WEI;
            weights[v] = stakeWei + stakeWei * bps * q32[v] / (10_000 << 32);
            so(weights[v] >= stakeWei && weights[v] <= 2 * stakeWei, "at most double");
        }
        same(stakes.draw(run, beacon, 7, 2), uint32(Committee.draw(beacon, weights, 2)), "drawn");
    }

    /// Weights 1 and 1.5: 1,200 of 2,000, five standard deviations of 22 either way.
    function test_the_rated_are_drawn_more_often() external {
        rated(10_000, 10_000, 5_000, 0);
        enrol();
        rate(verifier(1), MOST);
        uint256 drawn;
        for (uint256 k; k < 2_000; ++k) {
            if (stakes.draw(run, keccak256(abi.encode(k)), 3, 1) == 2) ++drawn;
        }
        so(drawn > 1_088 && drawn < 1_312, "three in five");
    }

    /* THE STAKE */

    function test_a_rating_lowers_the_stake_and_not_a_wei_more() external {
        rated(10_000, 10_000, 0, 2_500);
        enrich(verifier(0));
        say(verifier(0), HALF);
        uint256 leastWei = VERIFIER_STAKE_WEI - VERIFIER_STAKE_WEI / 8;
        vm.expectRevert(
            abi.encodeWithSelector(IStakes.StakeTooSmall.selector, uint128(leastWei - 1), uint128(leastWei))
        );
        vm.prank(verifier(0));
        stakes.join(run, 2, leastWei - 1, type(uint256).max);
        seat(verifier(0), 2, leastWei);
        (uint128 stakeWei,) = stakes.stakeOf(run, verifier(0));
        same(stakeWei, leastWei, "staked");
        enrich(verifier(1));
        vm.expectRevert(
            abi.encodeWithSelector(
                IStakes.StakeTooSmall.selector, uint128(VERIFIER_STAKE_WEI - 1), uint128(VERIFIER_STAKE_WEI)
            )
        );
        vm.prank(verifier(1));
        stakes.join(run, 2, VERIFIER_STAKE_WEI - 1, type(uint256).max);
    }

    function test_without_a_discount_everybody_stakes_alike() external {
        rated(10_000, 10_000, 0, 0);
        enrich(trainer(0));
        say(trainer(0), MOST);
        vm.expectRevert(
            abi.encodeWithSelector(
                IStakes.StakeTooSmall.selector, uint128(TRAINER_STAKE_WEI - 1), uint128(TRAINER_STAKE_WEI)
            )
        );
        vm.prank(trainer(0));
        stakes.join(run, 1, TRAINER_STAKE_WEI - 1, type(uint256).max);
    }
}
