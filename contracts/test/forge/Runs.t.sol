// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRuns} from "../../interfaces/IRuns.sol";
import {IWired} from "../../interfaces/IWired.sol";
import {Claim, Phase} from "../../interfaces/Types.sol";
import {MoodyToken} from "./MoodyToken.sol";
import {Scene} from "./Scene.sol";

/// A run's money: in, promised, out.
contract RunsTest is Scene {
    function setUp() external {
        beginWith(false, 2, 2);
    }

    /* SPONSOR */

    function test_a_budget_needs_a_token() external {
        vm.expectRevert(abi.encodeWithSelector(IRuns.NotAToken.selector, address(0x5)));
        runs.open(paramsOf(false, 0), address(0x5), 1);
    }

    function test_a_run_may_begin_without_money_and_nothing_is_moved_for_it() external {
        uint256 beforeWei = token.balanceOf(address(this));
        uint256 other = runs.open(paramsOf(false, 0), address(token), 0);
        (uint128 depositedWei,) = runs.books(other);
        same(depositedWei, 0, "nothing arrived");
        same(token.balanceOf(address(this)), beforeWei, "nothing left");
    }

    function test_unknown_runs_are_refused() external {
        vm.expectRevert(abi.encodeWithSelector(IRuns.UnknownRun.selector, 9));
        runs.info(9);
        vm.expectRevert(abi.encodeWithSelector(IRuns.UnknownRun.selector, 9));
        runs.fund(9, 1);
        vm.expectRevert(abi.encodeWithSelector(IRuns.UnknownRun.selector, 9));
        runs.basis(9);
    }

    function test_only_the_sponsor_cancels_and_an_ended_run_takes_no_more_money() external {
        uint256 other = runs.open(paramsOf(false, 0), address(token), 100);
        vm.expectRevert(abi.encodeWithSelector(IRuns.OnlySponsor.selector, trainer(0), address(this)));
        vm.prank(trainer(0));
        runs.cancel(other);
        runs.cancel(other);
        vm.expectRevert(abi.encodeWithSelector(IRuns.RunEnded.selector, other));
        runs.fund(other, 1);
    }

    function test_what_is_left_is_refunded_once_and_after_the_end() external {
        uint256 other = runs.open(paramsOf(false, 0), address(token), 100);
        vm.expectRevert(abi.encodeWithSelector(IRuns.RunNotEnded.selector, other));
        runs.refund(other);
        runs.cancel(other);
        uint256 beforeWei = token.balanceOf(address(this));
        runs.refund(other);
        same(token.balanceOf(address(this)), beforeWei + 100, "all of it");
        vm.expectRevert(abi.encodeWithSelector(IRuns.AlreadyRefunded.selector, other));
        runs.refund(other);
    }

    function test_a_proposing_run_is_refunded_when_all_its_rounds_are_settled() external {
        begin(paramsOf(true, 500_000));
        seat(trainer(0), 1);
        seat(verifier(0), 2);
        play();
        play();
        _settleFirst();
        so(phase() == Phase.ENDED, "the target is reached");
        vm.expectRevert(abi.encodeWithSelector(IRuns.NotSettled.selector, run));
        runs.refund(run);
        settle();
        runs.refund(run);
        same(runs.unpaid(run), 0, "refunded");
    }

    /// The earlier of two recorded rounds.
    function _settleFirst() private {
        uint16 last = recorded[run][1];
        recorded[run].pop();
        settle();
        recorded[run].push(last);
    }

    /* SETTLEMENT'S DOORS */

    function test_only_the_settlement_posts_roots_and_keeps_what_was_left() external {
        vm.expectRevert(abi.encodeWithSelector(IWired.OnlySibling.selector, address(this), address(settlement)));
        runs.post(run, "root", 1);
        vm.expectRevert(abi.encodeWithSelector(IWired.OnlySibling.selector, address(this), address(settlement)));
        runs.keep(run, address(this), 1);
    }

    function test_totals_grow_up_to_what_was_deposited() external {
        vm.startPrank(address(settlement));
        runs.post(run, "root", 10);
        vm.expectRevert(abi.encodeWithSelector(IRuns.TotalShrank.selector, 10, 9));
        runs.post(run, "root", 9);
        vm.expectRevert(abi.encodeWithSelector(IRuns.Insolvent.selector, BUDGET_WEI + 1, BUDGET_WEI));
        runs.post(run, "root", BUDGET_WEI + 1);
        runs.post(run, "root", BUDGET_WEI);
        vm.stopPrank();
    }

    /* CLAIMS */

    function test_of_many_claims_those_without_anything_new_are_passed_over() external {
        _pay();
        Claim[] memory claims = new Claim[](2);
        (claims[0], claims[1]) = (_claimOf(0), _claimOf(1));
        so(claims[0].paidWei > 0 && claims[1].paidWei > 0, "both were promised something");
        uint256[2] memory beforeWei = [token.balanceOf(trainer(0)), token.balanceOf(trainer(1))];
        Claim[] memory one = new Claim[](1);
        one[0] = claims[0];
        runs.claimMany(one);
        runs.claimMany(claims); // the first of them again
        same(token.balanceOf(trainer(0)), beforeWei[0] + claims[0].paidWei, "once");
        same(token.balanceOf(trainer(1)), beforeWei[1] + claims[1].paidWei, "the other");
    }

    function test_a_root_is_its_runs_tokens_alone() external {
        _pay();
        Claim memory one = _claimOf(0);
        MoodyToken other = new MoodyToken();
        other.mint(address(runs), 1e30); // of another run's escrow
        so(!_claim(run, other, one.account, one.paidWei, one.rightBits, one.proof), "in another token");
        so(!_claim(run, token, one.account, one.paidWei + 1, one.rightBits, one.proof), "more");
        so(_claim(run, token, one.account, one.paidWei, one.rightBits, one.proof), "as promised");
    }

    function test_nothing_is_claimed_twice() external {
        _pay();
        Claim memory one = _claimOf(0);
        so(_claim(run, token, one.account, one.paidWei, one.rightBits, one.proof), "once");
        bytes memory signature = _sign(one, address(0xbeef));
        uint256 deadlineS = _deadlineS();
        vm.expectRevert(abi.encodeWithSelector(IRuns.NothingToClaim.selector, run, one.account, one.paidWei));
        _claimTo(one, address(0xbeef), deadlineS, signature);
    }

    function test_a_signature_sends_a_claim_elsewhere_until_its_deadline() external {
        _pay();
        Claim memory one = _claimOf(0);
        (bytes memory signature, uint256 deadlineS) = (_sign(one, address(0xbeef)), _deadlineS());
        bytes32 digest = _digest(one, address(0xdead));
        vm.expectRevert(abi.encodeWithSelector(IRuns.BadSignature.selector, one.account, digest));
        _claimTo(one, address(0xdead), deadlineS, signature);
        uint256 now_ = vm.getBlockTimestamp();
        vm.warp(deadlineS);
        vm.expectRevert(abi.encodeWithSelector(IRuns.Expired.selector, deadlineS, deadlineS));
        _claimTo(one, address(0xbeef), deadlineS, signature);
        vm.warp(now_);
        _claimTo(one, address(0xbeef), deadlineS, signature);
        same(token.balanceOf(address(0xbeef)), one.paidWei, "the recipient's");
    }

    /* PRIVATE */

    function _pay() private {
        play();
        settle();
    }

    function _claimOf(uint256 position) private view returns (Claim memory one) {
        (one.run, one.token) = (run, address(token));
        (one.account, one.paidWei, one.rightBits, one.proof) = _proof(finalStandings[run], position);
    }

    function _deadlineS() private view returns (uint256) {
        return uint256(rounds.clock(run).deadline) + 1_000;
    }

    function _digest(Claim memory one, address recipient) private view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Gradmint"),
                keccak256("1"),
                block.chainid,
                runs
            )
        );
        bytes32 said_ = keccak256(
            abi.encode(
                keccak256("Redirect(uint256 run,address account,address recipient,uint256 paidWei,uint256 deadlineS)"),
                run,
                one.account,
                recipient,
                one.paidWei,
                _deadlineS()
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, said_));
    }

    /// Of the first trainer.
    function _sign(Claim memory one, address recipient) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keyOf(0), _digest(one, recipient));
        return abi.encodePacked(r, s, v);
    }

    function _claimTo(Claim memory one, address recipient, uint256 deadlineS, bytes memory signature) private {
        runs.claimTo(
            one.run, one.token, one.account, one.paidWei, one.rightBits, one.proof, recipient, deadlineS, signature
        );
    }
}
