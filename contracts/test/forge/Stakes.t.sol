// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRuns} from "../../interfaces/IRuns.sol";
import {IStakes} from "../../interfaces/IStakes.sol";
import {IWired} from "../../interfaces/IWired.sol";
import {Outcome, Phase, Pricing, Role, Schedule, Terms} from "../../interfaces/Types.sol";
import {MoodyToken} from "./MoodyToken.sol";
import {Scene} from "./Scene.sol";

/// Stakes, seats' prices and bonds: in, locked, lost, out.
contract StakesTest is Scene {
    address private constant DEAD = 0x000000000000000000000000000000000000dEaD;
    uint256 private constant FLOOR_WEI = 1_000_003;

    function setUp() external {
        beginWith(true, 2, 2);
    }

    /* IN */

    function test_seats_are_trainers_or_verifiers() external {
        for (uint8 role = 0; role < 4; role += 3) {
            vm.expectRevert(abi.encodeWithSelector(IStakes.UnknownRole.selector, role));
            stakes.join(run, role, 1e18, type(uint256).max);
        }
    }

    function test_a_stake_arrives_whole() external {
        enrich(trainer(2));
        vm.expectRevert(
            abi.encodeWithSelector(IStakes.StakeTooSmall.selector, TRAINER_STAKE_WEI - 1, TRAINER_STAKE_WEI)
        );
        vm.prank(trainer(2));
        stakes.join(run, 1, TRAINER_STAKE_WEI - 1, type(uint256).max);

        // A token that keeps a hundredth: not even the price arrives.
        token.set(MoodyToken.Mood.TAKES_A_FEE, address(0), "");
        vm.expectRevert(abi.encodeWithSelector(IStakes.StakeTooSmall.selector, 0, TRAINER_STAKE_WEI));
        vm.prank(trainer(2));
        stakes.join(run, 1, TRAINER_STAKE_WEI, type(uint256).max);
    }

    function test_the_price_is_burned_rises_with_every_join_and_has_a_limit_of_the_buyers() external {
        same(stakes.priceOf(run), FLOOR_WEI, "founders left it at the floor");
        uint256 burnableWei = stakes.burnable(run);
        same(burnableWei, 4 * FLOOR_WEI, "and paid it");
        seat(trainer(2), 1);
        same(stakes.burnable(run), burnableWei + FLOOR_WEI, "is burned");
        uint256 nextWei = stakes.priceOf(run);
        same(nextWei, FLOOR_WEI + FLOOR_WEI / 4, "a quarter more");
        enrich(verifier(2));
        vm.expectRevert(abi.encodeWithSelector(IStakes.PriceAboveLimit.selector, nextWei, nextWei - 1));
        vm.prank(verifier(2));
        stakes.join(run, 2, VERIFIER_STAKE_WEI, nextWei - 1);
        pass(700);
        same(stakes.priceOf(run), FLOOR_WEI, "never below the floor");
    }

    function test_unknown_runs_have_no_price() external {
        vm.expectRevert(abi.encodeWithSelector(IRuns.UnknownRun.selector, 9));
        stakes.priceOf(9);
    }

    /* OUT */

    function test_who_has_no_seat_has_nothing_to_leave_or_withdraw() external {
        vm.expectRevert(abi.encodeWithSelector(IStakes.NoStake.selector, run, address(this)));
        stakes.exit(run);
        vm.expectRevert(abi.encodeWithSelector(IStakes.NoStake.selector, run, address(this)));
        stakes.withdraw(run);
    }

    function test_a_stake_leaves_after_the_exit_the_delay_the_duty_and_the_settlement() external {
        address who = verifier(1);
        vm.expectRevert(abi.encodeWithSelector(IStakes.NotExiting.selector, run, who));
        vm.prank(who);
        stakes.withdraw(run);

        vm.prank(who);
        stakes.exit(run);
        _listen();
        uint40 releaseS = uint40(vm.getBlockTimestamp() + 1_000);
        vm.expectRevert(abi.encodeWithSelector(IStakes.AlreadyExiting.selector, run, who, releaseS));
        vm.prank(who);
        stakes.exit(run);
        vm.expectRevert(abi.encodeWithSelector(IStakes.StillLocked.selector, releaseS, releaseS - 1_000));
        vm.prank(who);
        stakes.withdraw(run);

        vm.warp(releaseS);
        vm.expectRevert(abi.encodeWithSelector(IStakes.StillOnDuty.selector, run, who));
        vm.prank(who);
        stakes.withdraw(run);

        rounds.poke(run); // nobody trained: the round is void
        _listen();
        play(); // without who left
        vm.warp(releaseS + 1_000);
        vm.prank(who);
        vm.expectRevert(abi.encodeWithSelector(IStakes.NotFinalYet.selector, run, 1, 0));
        stakes.withdraw(run);

        settle();
        uint256 beforeWei = token.balanceOf(who);
        vm.prank(who);
        stakes.withdraw(run);
        same(token.balanceOf(who), beforeWei + VERIFIER_STAKE_WEI, "all of it");
        vm.expectRevert(abi.encodeWithSelector(IStakes.NoStake.selector, run, who));
        vm.prank(who);
        stakes.withdraw(run);
    }

    /* BONDS */

    function test_bonds_come_and_go_as_far_as_they_are_free() external {
        stakes.bond(run, 100);
        vm.expectRevert(abi.encodeWithSelector(IStakes.BondTooSmall.selector, run, address(this), 100, 101));
        stakes.unbond(run, 101);
        uint256 beforeWei = token.balanceOf(address(this));
        stakes.unbond(run, 100);
        same(token.balanceOf(address(this)), beforeWei + 100, "back");
    }

    function test_burning_sends_the_prices_where_nobody_gets_them() external {
        uint256 amountWei = stakes.burnable(run);
        stakes.burn(run);
        same(token.balanceOf(DEAD), amountWei, "burned");
        vm.expectRevert(abi.encodeWithSelector(IStakes.NothingToBurn.selector, run));
        stakes.burn(run);
    }

    function test_the_pools_part_of_a_lost_bond_joins_the_budget() external {
        vm.expectRevert(abi.encodeWithSelector(IStakes.NothingToPool.selector, run));
        stakes.pool(run);
        uint256 poolWei = _lose();
        (uint128 beforeWei,) = runs.books(run);
        stakes.pool(run);
        (uint128 afterWei,) = runs.books(run);
        same(afterWei, beforeWei + poolWei, "the budget");
    }

    function test_the_pools_part_is_burned_when_there_is_no_budget_to_join_any_more() external {
        begin(paramsOf(true, 500_000));
        seat(trainer(0), 1);
        seat(verifier(0), 2);
        play();
        uint256 poolWei = _lose();
        settle();
        so(phase() == Phase.ENDED, "the target is reached");
        stakes.pool(run);
        same(token.balanceOf(DEAD), poolWei, "burned");
    }

    /// A lie, and its refutation by who told it: the pool's part.
    function _lose() private returns (uint256 poolWei) {
        if (recorded[run].length == 0) play();
        Outcome memory lie;
        propose(recorded[run][recorded[run].length - 1], lie);
        settlement.refute(run, paramsOfRun[run], inputs(), evidence(), pendings(), 0);
        pending[run].pop();
        uint256 bondWei = paramsOfRun[run].proposalBondWei;
        poolWei = bondWei - bondWei * 4_000 / 10_000 - bondWei * 3_000 / 10_000;
        same(stakes.poolable(run), poolWei, "waits to be pooled");
    }

    /* SIBLINGS' DOORS */

    function test_only_siblings_get_through() external {
        bytes memory settlements =
            abi.encodeWithSelector(IWired.OnlySibling.selector, address(this), address(settlement));
        vm.expectRevert(settlements);
        stakes.slash(run, trainer(0), 1);
        vm.expectRevert(settlements);
        stakes.lock(run, trainer(0), 1);
        vm.expectRevert(settlements);
        stakes.unlock(run, trainer(0), 1);
        vm.expectRevert(settlements);
        stakes.forfeit(run, trainer(0), address(this), 1, 0, 0);
        Pricing memory free;
        vm.expectRevert(abi.encodeWithSelector(IWired.OnlySibling.selector, address(this), address(runs)));
        stakes.create(run, free);
        vm.expectRevert(abi.encodeWithSelector(IWired.OnlySibling.selector, address(this), address(stakes)));
        rounds.admit(run, Role.TRAINER, address(this), 0);
        vm.expectRevert(abi.encodeWithSelector(IWired.OnlySibling.selector, address(this), address(stakes)));
        rounds.retire(run, trainer(0));
        vm.expectRevert(abi.encodeWithSelector(IWired.OnlySibling.selector, address(this), address(runs)));
        rounds.cancel(run);
        vm.expectRevert(settlements);
        rounds.conclude(run, 1, 0, 0, new uint256[](0), new address[](0), true);
        vm.expectRevert(settlements);
        rounds.expand(run);
        Schedule memory schedule;
        vm.expectRevert(abi.encodeWithSelector(IWired.OnlySibling.selector, address(this), address(runs)));
        rounds.create(run, schedule);
        Terms memory terms;
        vm.expectRevert(abi.encodeWithSelector(IWired.OnlySibling.selector, address(this), address(runs)));
        settlement.create(run, terms);
    }

    function test_each_contract_stands_where_its_siblings_look_for_it() external {
        bytes memory wiring = abi.encode(runs, stakes, rounds, settlement, reputation);
        address[4] memory at = [address(runs), address(stakes), address(rounds), address(settlement)];
        string[4] memory artifacts =
            ["Runs.sol:Runs", "Stakes.sol:Stakes", "Rounds.sol:Rounds", "Settlement.sol:Settlement"];
        for (uint256 i; i < 4; ++i) {
            address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
            vm.expectRevert(abi.encodeWithSelector(IWired.Miswired.selector, next, at[i]));
            this.make(artifacts[i], wiring);
        }
    }

    function make(string calldata artifact, bytes calldata args) external {
        bytes memory code = bytes.concat(vm.getCode(artifact), args);
        assembly ("memory-safe") {
            if iszero(create(0, add(code, 0x20), mload(code))) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }
}
