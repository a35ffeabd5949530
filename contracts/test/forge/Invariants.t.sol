// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRounds} from "../../interfaces/IRounds.sol";
import {IRuns} from "../../interfaces/IRuns.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {IStakes} from "../../interfaces/IStakes.sol";
import {Counts, Masks, Phase, Proposal, Role, Seat} from "../../interfaces/Types.sol";
import {Docket} from "../../libraries/Docket.sol";
import {Leaf, Standings} from "../../libraries/Standings.sol";
import {Handler} from "./Handler.sol";
import {MoodyToken} from "./MoodyToken.sol";
import {Check} from "./Vm.sol";

/// What holds after any sequence of moves: a sentence each, of docs/protocol.md and of the contracts' own documentation.
contract InvariantTest is Check {
    uint256 private constant RUNS = 4;

    Handler private handler;
    IRuns private runs;
    IStakes private stakes;
    IRounds private rounds;
    ISettlement private settlement;

    function setUp() external {
        handler = new Handler();
        (runs, stakes, rounds, settlement) = handler.contracts();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /* MONEY */

    function invariant_escrow_holds_what_was_deposited_and_neither_paid_nor_refunded() external view {
        for (uint256 t; t < 2; ++t) {
            MoodyToken token = handler.tokens(t);
            uint256 expectedWei;
            for (uint256 run = 1; run <= RUNS; ++run) {
                if (handler.tokenOf(run) != token) continue;
                (uint128 depositedWei,) = runs.books(run);
                expectedWei += depositedWei;
                expectedWei -= _claimed(run) + handler.refundedWei(run);
            }
            same(token.balanceOf(address(runs)), expectedWei, "the escrow's balance");
        }
    }

    function invariant_deposited_is_paid_claimable_unspent_and_refunded_to_the_wei() external view {
        for (uint256 run = 1; run <= RUNS; ++run) {
            if (handler.lied(run)) continue;
            (uint128 depositedWei,) = runs.books(run);
            uint256 unspentWei = runs.unpaid(run);
            same(depositedWei, _promised(run) + unspentWei + handler.refundedWei(run), "the books");
        }
    }

    function invariant_every_account_was_paid_what_it_was_promised_at_most() external view {
        address[] memory all = handler.everybody();
        for (uint256 run = 1; run <= RUNS; ++run) {
            if (handler.lied(run)) continue;
            for (uint256 a; a < all.length; ++a) {
                so(runs.claimed(run, all[a]) <= _promisedTo(run, all[a]), "claimed <= promised");
            }
        }
    }

    function invariant_no_run_pays_out_more_than_it_promised_even_after_a_lie() external view {
        for (uint256 run = 1; run <= RUNS; ++run) {
            (uint128 depositedWei, uint128 totalWei) = runs.books(run);
            so(_claimed(run) <= totalWei, "paid out <= promised");
            same(runs.drawn(run), run > 2 ? _claimed(run) : 0, "counted where roots are proposed");
            so(totalWei <= depositedWei, "promised <= deposited");
        }
    }

    function invariant_the_total_promised_never_shrinks() external view {
        same(handler.totalShrank(), 0, "times the total shrank");
    }

    function invariant_stakes_hold_all_stakes_bonds_and_what_waits_to_be_burned_or_pooled() external view {
        address[] memory all = handler.everybody();
        for (uint256 t; t < 2; ++t) {
            MoodyToken token = handler.tokens(t);
            uint256 expectedWei;
            for (uint256 run = 1; run <= RUNS; ++run) {
                if (handler.tokenOf(run) != token) continue;
                expectedWei += stakes.burnable(run) + stakes.poolable(run);
                for (uint256 a; a < all.length; ++a) {
                    (uint128 stakeWei,) = stakes.stakeOf(run, all[a]);
                    (uint128 bondWei,) = stakes.bondOf(run, all[a]);
                    expectedWei += uint256(stakeWei) + bondWei;
                }
            }
            same(token.balanceOf(address(stakes)), expectedWei, "the stakes' balance");
        }
    }

    function invariant_locked_bonds_are_exactly_those_behind_proposals_and_challenges() external view {
        address[] memory all = handler.everybody();
        for (uint256 run = 1; run <= RUNS; ++run) {
            Proposal[] memory pending = handler.pendingOf(run);
            uint256 bondWei = handler.paramsAt(run).proposalBondWei;
            (address challenger, uint16 challenged,) = settlement.challenged(run);
            for (uint256 a; a < all.length; ++a) {
                uint256 expectedWei = challenged != 0 && challenger == all[a] ? bondWei : 0;
                for (uint256 i; i < pending.length; ++i) {
                    if (pending[i].proposer == all[a]) expectedWei += bondWei;
                }
                (uint128 amountWei, uint128 lockedWei) = stakes.bondOf(run, all[a]);
                same(lockedWei, expectedWei, "locked");
                so(lockedWei <= amountWei, "locked <= bonded");
            }
        }
    }

    function invariant_an_update_is_exposed_once() external view {
        same(handler.exposedTwice(), 0, "times one was exposed again");
    }

    function invariant_nothing_is_paid_from_a_root_that_is_not_final() external view {
        same(handler.paidFromOtherRoot(), 0, "claims from another root");
    }

    function invariant_refunds_come_after_the_end_and_when_all_is_settled() external view {
        same(handler.refundedEarly(), 0, "early refunds");
    }

    function invariant_stakes_leave_after_the_delay_and_duty_or_the_end() external view {
        same(handler.withdrewEarly(), 0, "early withdrawals");
    }

    /* SEATS */

    function invariant_every_seat_has_one_live_holder_at_most_and_every_account_one_seat() external view {
        address[] memory all = handler.everybody();
        for (uint256 run = 1; run <= RUNS; ++run) {
            Counts memory n = rounds.counts(run);
            uint256 trainers;
            uint256 verifiers;
            for (uint256 a; a < all.length; ++a) {
                Seat memory seat = rounds.seat(run, all[a]);
                if (seat.role == Role.NONE || seat.retired) continue;
                uint256 bit = 1 << seat.index;
                bool isTrainer = seat.role == Role.TRAINER;
                so((isTrainer ? trainers : verifiers) & bit == 0, "two live holders");
                if (isTrainer) trainers |= bit;
                else verifiers |= bit;
                address[] memory holder = isTrainer
                    ? rounds.trainersAt(run, seat.index, seat.index + 1)
                    : rounds.verifiersAt(run, seat.index, seat.index + 1);
                so(holder[0] == all[a], "the seat names its holder");
            }
            same(_bits(trainers), n.trainers - n.trainersGone, "live trainers");
            same(_bits(verifiers), n.verifiers - _bits(rounds.masks(run).gone), "live verifiers");
        }
    }

    function invariant_masks_stay_within_the_committee() external view {
        for (uint256 run = 1; run <= RUNS; ++run) {
            Masks memory m = rounds.masks(run);
            uint256 outside = ~uint256(m.active);
            uint256 size = handler.paramsAt(run).committee;
            so(m.active & ~m.eligible == 0, "the committee is of the eligible");
            so(m.active == m.eligible || _bits(m.active) == size, "drawn are as many as there are to be");
            so((m.held | m.committed | m.revealed) & outside == 0, "who acted was of the committee");
            so(m.revealed & ~m.committed == 0, "who revealed had committed");
        }
    }

    function invariant_everyone_is_called_in_once_a_round_at_most_and_records_follow_each_other() external view {
        same(handler.expandedTwice(), 0, "rounds in which everyone was called in twice");
        for (uint256 run = 1; run <= RUNS; ++run) {
            same(rounds.lastRecorded(run), handler.lastRecorded(run), "the latest record");
        }
    }

    function invariant_nobody_outside_the_committee_acts() external view {
        same(handler.outsiderActed(), 0, "outsiders");
    }

    function invariant_nobody_acts_before_their_first_round_or_at_a_deadline() external view {
        same(handler.actedTooSoon(), 0, "newcomers who acted in a round that is not theirs");
        same(handler.actedTooLate(), 0, "acts at the deadline");
    }

    function invariant_a_refutations_reward_is_the_challengers_or_else_the_refuters() external view {
        same(handler.rewardAstray(), 0, "rewards astray");
    }

    function invariant_nobody_but_a_sibling_gets_through_a_siblings_door() external view {
        same(handler.strangerGotThrough(), 0, "strangers");
    }

    /* ROUNDS AND SETTLEMENTS */

    function invariant_phases_only_move_forward() external view {
        same(handler.phaseWentBack(), 0, "steps back");
    }

    function invariant_records_are_what_was_said_and_staked() external view {
        same(handler.recordDiffers(), 0, "records that differ");
    }

    function invariant_settlements_are_what_execution_gives() external view {
        same(handler.outcomeDiffers(), 0, "outcomes that differ");
    }

    function invariant_a_round_is_settled_once() external view {
        same(handler.settledTwice(), 0, "settled twice");
    }

    function invariant_the_tip_is_the_fold_of_what_is_pending() external view {
        for (uint256 run = 3; run <= RUNS; ++run) {
            Proposal[] memory pending = handler.pendingOf(run);
            bytes32 tip = bytes32(uint256(1));
            uint16 last;
            for (uint256 i; i < pending.length; ++i) {
                tip = keccak256(
                    abi.encodePacked(
                        tip, pending[i].round, pending[i].proposer, pending[i].finalS, Docket.hash(pending[i].outcome)
                    )
                );
                last = pending[i].round;
            }
            (uint16 settled, uint16 proposed, uint8 count,) = settlement.docket(run);
            same(settlement.tip(run), tip, "tip");
            same(count, pending.length, "pending");
            same(proposed, pending.length == 0 ? settled : last, "proposed");
        }
    }

    function invariant_a_true_proposal_is_never_refuted() external view {
        same(handler.truthRefuted(), 0, "truths refuted");
    }

    function invariant_the_first_false_proposal_can_be_refuted_while_it_is_pending() external view {
        same(handler.lieStood(), 0, "lies that stood");
    }

    function invariant_nothing_is_final_before_its_window_and_its_challenge_are_over() external view {
        same(handler.becameFinalEarly(), 0, "early finals");
    }

    function invariant_direct_runs_have_no_docket_and_are_always_caught_up() external view {
        for (uint256 run = 1; run <= 2; ++run) {
            (uint16 settled, uint16 proposed, uint8 count,) = settlement.docket(run);
            so(settled == 0 && proposed == 0 && count == 0 && settlement.tip(run) == 0, "no docket");
            so(settlement.isCaughtUp(run), "caught up");
        }
    }

    /* PRIVATE */

    function _claimed(uint256 run) private view returns (uint256 sumWei) {
        address[] memory all = handler.everybody();
        for (uint256 a; a < all.length; ++a) {
            sumWei += runs.claimed(run, all[a]);
        }
    }

    /// By the final standings, or kept since.
    function _promisedTo(uint256 run, address account) private view returns (uint256 sumWei) {
        sumWei = runs.left(run, account);
        bytes memory standings = handler.standings(run);
        for (uint256 i; i < standings.length / 96; ++i) {
            Leaf leaf = Standings.leaf(standings, i);
            if (leaf.account() == account) sumWei += leaf.paidWei();
        }
    }

    function _promised(uint256 run) private view returns (uint256 sumWei) {
        address[] memory all = handler.everybody();
        for (uint256 a; a < all.length; ++a) {
            sumWei += _promisedTo(run, all[a]);
        }
    }

    function _bits(uint256 x) private pure returns (uint256 bits) {
        for (; x != 0; x &= x - 1) {
            ++bits;
        }
    }

    /* ONE LONG GAME */

    /// The same every time, with every rule checked after every few moves, and the handler is worth what it reaches: all of
    /// this must have happened in it.
    function test_a_long_game_reaches_everything_and_keeps_every_rule() external {
        for (uint256 i; i < 150; ++i) {
            handler.moves(draw(7, i));
            // Late: who is caught is ejected, and the rest needs verifiers.
            for (uint256 k; i >= 110 && k < 4; ++k) {
                handler.expose(k, draw(9, 4 * i + k));
            }
            _checkAll();
        }
        string[18] memory moves = [
            "join",
            "exit",
            "withdraw",
            "close",
            "record",
            "expand",
            "retire",
            "settle",
            "propose true",
            "propose false",
            "challenge",
            "refute",
            "finalise",
            "claim",
            "ended",
            "refund",
            "expose",
            "a lie became final"
        ];
        for (uint256 i; i < moves.length; ++i) {
            so(handler.times(bytes32(bytes(moves[i]))) > 0, moves[i]);
        }
    }

    function _checkAll() private view {
        this.invariant_escrow_holds_what_was_deposited_and_neither_paid_nor_refunded();
        this.invariant_deposited_is_paid_claimable_unspent_and_refunded_to_the_wei();
        this.invariant_every_account_was_paid_what_it_was_promised_at_most();
        this.invariant_no_run_pays_out_more_than_it_promised_even_after_a_lie();
        this.invariant_the_total_promised_never_shrinks();
        this.invariant_stakes_hold_all_stakes_bonds_and_what_waits_to_be_burned_or_pooled();
        this.invariant_locked_bonds_are_exactly_those_behind_proposals_and_challenges();
        this.invariant_an_update_is_exposed_once();
        this.invariant_nothing_is_paid_from_a_root_that_is_not_final();
        this.invariant_refunds_come_after_the_end_and_when_all_is_settled();
        this.invariant_stakes_leave_after_the_delay_and_duty_or_the_end();
        this.invariant_every_seat_has_one_live_holder_at_most_and_every_account_one_seat();
        this.invariant_masks_stay_within_the_committee();
        this.invariant_everyone_is_called_in_once_a_round_at_most_and_records_follow_each_other();
        this.invariant_nobody_outside_the_committee_acts();
        this.invariant_nobody_acts_before_their_first_round_or_at_a_deadline();
        this.invariant_a_refutations_reward_is_the_challengers_or_else_the_refuters();
        this.invariant_nobody_but_a_sibling_gets_through_a_siblings_door();
        this.invariant_phases_only_move_forward();
        this.invariant_records_are_what_was_said_and_staked();
        this.invariant_settlements_are_what_execution_gives();
        this.invariant_a_round_is_settled_once();
        this.invariant_the_tip_is_the_fold_of_what_is_pending();
        this.invariant_a_true_proposal_is_never_refuted();
        this.invariant_the_first_false_proposal_can_be_refuted_while_it_is_pending();
        this.invariant_nothing_is_final_before_its_window_and_its_challenge_are_over();
        this.invariant_direct_runs_have_no_docket_and_are_always_caught_up();
    }
}
