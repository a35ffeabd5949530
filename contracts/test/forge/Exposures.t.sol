// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRounds} from "../../interfaces/IRounds.sol";
import {IRuns} from "../../interfaces/IRuns.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {IStakes} from "../../interfaces/IStakes.sol";
import {Exposure, Outcome, Params, Phase, Record, Role} from "../../interfaces/Types.sol";
import {Docket} from "../../libraries/Docket.sol";
import {Plant} from "../../libraries/Plant.sol";
import {Scene} from "./Scene.sol";

/// Who calls a planted update OK loses stake, and nobody else does. The test itself is the planter's beneficiary.
contract ExposuresTest is Scene {
    bytes32 private constant SECRET = "what nobody else knows";

    function setUp() external {
        beginWith(false, 2, 3);
        planted = _planted(address(this), SECRET);
    }

    function exposure() private view returns (Exposure memory) {
        return _exposure(run, recorded[run][recorded[run].length - 1], 0, address(this), SECRET);
    }

    function record() private view returns (Record memory) {
        return recordOf[run][recorded[run][recorded[run].length - 1]];
    }

    function expose(Exposure memory e) private {
        stakes.expose(run, paramsOfRun[run], record(), e);
        _listen();
    }

    function refused(Exposure memory e, bytes memory error_) private {
        Record memory noted = record();
        vm.expectRevert(error_);
        stakes.expose(run, paramsOfRun[run], noted, e);
    }

    function stakeOf(uint256 v) private view returns (uint256) {
        (uint128 amountWei,) = stakes.stakeOf(run, verifier(v));
        return amountWei;
    }

    function bonded() private view returns (uint256) {
        (uint128 amountWei,) = stakes.bondOf(run, address(this));
        return amountWei;
    }

    /* WHAT IT COSTS */

    function test_who_did_not_look_loses_the_slash_and_the_planter_gets_its_part() external {
        looked = 3;
        play();
        uint256 burnableWei = stakes.burnable(run);
        expose(exposure());
        uint256 takenWei = VERIFIER_STAKE_WEI * 6 / 10;
        same(stakeOf(2), VERIFIER_STAKE_WEI - takenWei, "the slash");
        same(bonded(), takenWei * 4 / 10, "the reward");
        same(stakes.burnable(run) - burnableWei, takenWei * 3 / 10, "burned");
        same(stakes.poolable(run), takenWei * 3 / 10, "for the budget");
        so(stakes.exposed(run, 1, 0), "it is known");
        so(rounds.seat(run, verifier(2)).retired, "too little is left to stay");
        for (uint256 v; v < 2; ++v) {
            same(stakeOf(v), VERIFIER_STAKE_WEI, "who looked");
            so(!rounds.seat(run, verifier(v)).retired, "stays");
        }
        stakes.unbond(run, bonded()); // it is money
    }

    function test_the_cluster_is_no_excuse() external {
        play();
        expose(exposure());
        for (uint256 v; v < 3; ++v) {
            same(stakeOf(v), VERIFIER_STAKE_WEI * 4 / 10, "each");
        }
        same(bonded(), 3 * (VERIFIER_STAKE_WEI * 6 / 10) * 4 / 10, "for all");
    }

    function test_a_settlement_is_the_same_with_an_exposure_before_it() external {
        looked = 6;
        play();
        (Outcome memory before,,) = execute();
        expose(exposure());
        (Outcome memory outcome,,) = execute();
        same(Docket.hash(outcome), Docket.hash(before), "the outcome");
        settle();
        (, uint128 totalWei) = runs.books(run);
        same(totalWei, outcome.totalWei, "is final");
    }

    function test_whoever_is_not_accused_keeps_its_stake() external {
        play();
        Exposure memory e = exposure();
        (e.heads[1], e.rowsOf[1]) = ("", "");
        expose(e);
        same(stakeOf(0), VERIFIER_STAKE_WEI * 4 / 10, "accused");
        same(stakeOf(1), VERIFIER_STAKE_WEI, "not accused");
    }

    function test_no_more_is_taken_than_is_there() external {
        play();
        settle();
        vm.prank(address(settlement));
        stakes.slash(run, verifier(0), VERIFIER_STAKE_WEI * 7 / 10);
        vm.prank(address(settlement));
        stakes.slash(run, verifier(1), VERIFIER_STAKE_WEI);
        expose(exposure());
        same(stakeOf(0), 0, "three tenths were left");
        same(stakeOf(1), 0, "nothing was left");
        same(bonded(), VERIFIER_STAKE_WEI * 3 / 10 * 4 / 10 + VERIFIER_STAKE_WEI * 6 / 10 * 4 / 10, "of what there was");
    }

    function test_who_had_nothing_at_stake_is_not_guilty() external {
        vm.prank(address(settlement));
        stakes.slash(run, verifier(0), VERIFIER_STAKE_WEI);
        looked = 6;
        play();
        refused(exposure(), abi.encodeWithSelector(IStakes.NobodyGuilty.selector, run, 1, 0));
    }

    function test_a_proposing_run_exposes_what_was_settled_rounds_ago() external {
        beginWith(true, 2, 3);
        looked = 3;
        play();
        settle();
        planted = "";
        play();
        Exposure memory e = _exposure(run, 1, 0, address(this), SECRET);
        stakes.expose(run, paramsOfRun[run], recordOf[run][1], e);
        _listen();
        same(stakeOf(2), VERIFIER_STAKE_WEI * 4 / 10, "the slash");
        vm.expectRevert(abi.encodeWithSelector(IStakes.AlreadyExposed.selector, run, 1, 0));
        stakes.expose(run, paramsOfRun[run], recordOf[run][1], e);
    }

    /* THAT THE ROUND IS RECORDED */

    function test_an_exposure_needs_the_runs_own_parameters() external {
        play();
        Params memory other = paramsOfRun[run];
        other.slashBps = 10_000;
        bytes32 expected = runs.info(run).paramsHash;
        Record memory noted = record();
        Exposure memory e = exposure();
        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.ParamsMismatch.selector, expected, keccak256(abi.encode(other)))
        );
        stakes.expose(run, other, noted, e);
        vm.expectRevert(abi.encodeWithSelector(IRuns.UnknownRun.selector, 9));
        stakes.expose(9, other, noted, e);
    }

    function test_another_record_is_refused() external {
        play();
        Record memory other = record();
        other.stakesWei[2] *= 2;
        (bytes30 expected,) = rounds.record(run, 1);
        Exposure memory e = exposure();
        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.RecordMismatch.selector, run, 1, expected, Docket.hash(other))
        );
        stakes.expose(run, paramsOfRun[run], other, e);
    }

    function test_a_direct_run_exposes_before_its_next_record() external {
        play();
        Record memory first = record();
        Exposure memory e = exposure();
        settle();
        train();
        hold();
        commit();
        stakes.expose(run, paramsOfRun[run], first, e); // up to here
        _listen();
        reveal();
        vm.expectRevert(
            abi.encodeWithSelector(ISettlement.RecordMismatch.selector, run, 1, bytes30(0), Docket.hash(first))
        );
        stakes.expose(run, paramsOfRun[run], first, e);
    }

    function test_an_update_is_exposed_once() external {
        play();
        Exposure memory e = exposure();
        (e.heads[1], e.rowsOf[1]) = ("", "");
        expose(e);
        refused(exposure(), abi.encodeWithSelector(IStakes.AlreadyExposed.selector, run, 1, 0));
    }

    /* THAT THE UPDATE COUNTED IN IT */

    function test_the_rows_are_the_rounds_from_the_phase_that_opened_it_on() external {
        play();
        Exposure memory e = exposure();
        bytes memory rows = e.rows;
        e.rows = cut(rows, 65, rows.length);
        refused(e, abi.encodeWithSelector(IStakes.RoundRows.selector, 0));
        e.rows = cut(rows, 0, rows.length - 1);
        refused(e, abi.encodeWithSelector(IStakes.RoundRows.selector, rows.length - 66));
        bytes1[4] memory kinds = [bytes1(0x00), 0x06, 0x09, 0xff];
        for (uint256 i; i < kinds.length; ++i) {
            e.rows = bytes.concat(rows, kinds[i], new bytes(99));
            refused(e, abi.encodeWithSelector(IStakes.RoundRows.selector, rows.length));
        }
        e.rows = rows;
        e.rows[2] ^= 0x01; // another round's
        refused(e, abi.encodeWithSelector(IStakes.RoundRows.selector, 0));
        e.rows = rows;
        e.rows[3] = bytes1(uint8(Phase.HOLD));
        refused(e, abi.encodeWithSelector(IStakes.RoundRows.selector, 0));
    }

    function test_the_rows_lead_to_the_record() external {
        play();
        Exposure memory e = exposure();
        bytes24 expected = record().transcript;
        bytes memory rows = e.rows;
        (bytes24 before, bytes24 found) = (e.before, 0);
        e.rows = "";
        refused(e, abi.encodeWithSelector(IRounds.TranscriptMismatch.selector, expected, before));
        e.rows = bytes.concat(rows);
        e.rows[8] ^= 0x01;
        found = fold(before, e.rows);
        refused(e, abi.encodeWithSelector(IRounds.TranscriptMismatch.selector, expected, found));
        // Whose first row is the record's last has nothing to show.
        (e.before, e.rows) = (expected, "");
        refused(e, abi.encodeWithSelector(IStakes.BlobMismatch.selector, 0, sha256(e.blob)));
    }

    function test_the_blob_is_the_trainers_first_submission() external {
        submit();
        bytes32 second = sha256("second thoughts");
        vm.prank(trainer(0));
        rounds.submit(run, second, 7);
        wait();
        rounds.poke(run);
        _listen();
        verify();
        bytes32 digest = sha256(planted);
        Exposure memory e = exposure();
        e.blob = "second thoughts";
        refused(e, abi.encodeWithSelector(IStakes.BlobMismatch.selector, digest, second));
        e = exposure();
        e.trainer = 1;
        refused(
            e, abi.encodeWithSelector(IStakes.BlobMismatch.selector, keccak256(abi.encode("update", 1)), sha256(e.blob))
        );
        e.trainer = 2;
        refused(e, abi.encodeWithSelector(IStakes.BlobMismatch.selector, 0, sha256(e.blob)));
        expose(exposure());
    }

    /* THAT IT WAS PLANTED */

    function test_only_the_beneficiary_exposes() external {
        play();
        Exposure memory e = exposure();
        Record memory noted = record();
        vm.expectRevert(abi.encodeWithSelector(IStakes.NotPlanted.selector, verifier(2), SECRET));
        vm.prank(verifier(2));
        stakes.expose(run, paramsOfRun[run], noted, e);
    }

    function test_another_secret_is_of_no_use() external {
        play();
        Exposure memory e = exposure();
        e.secret = "a guess";
        refused(e, abi.encodeWithSelector(IStakes.NotPlanted.selector, address(this), bytes32("a guess")));
    }

    function test_an_honest_update_is_not_planted() external {
        bytes memory head = new bytes(124);
        planted = bytes.concat(head, keccak256("its own words"), "positions and levels");
        play();
        Exposure memory e = exposure();
        e.blob = planted;
        refused(e, abi.encodeWithSelector(IStakes.NotPlanted.selector, address(this), SECRET));
    }

    function test_a_blob_without_room_for_words_is_not_planted() external {
        planted = new bytes(155);
        play();
        Exposure memory e = exposure();
        e.blob = planted;
        refused(e, abi.encodeWithSelector(IStakes.NotPlanted.selector, address(this), SECRET));
    }

    /// Any bit of the update changes the words: nobody fits an update to words that it knows.
    function test_words_follow_from_the_whole_update(uint256 place) external view {
        place = place % planted.length;
        bytes memory other = bytes.concat(planted);
        other[place] ^= 0x10;
        so(this.isPlanted(planted), "as it is");
        so(!this.isPlanted(other), "with another bit");
    }

    function isPlanted(bytes calldata blob) external view returns (bool) {
        return Plant.isPlanted(blob, address(this), SECRET, 1);
    }

    /* THAT SOMEBODY HAD TO LOOK, AND DID NOT */

    function test_nobody_has_to_look_at_whom_the_beacon_did_not_draw() external {
        Params memory params = paramsOf(false, 0);
        (params.minTrainers, params.minVerifiers, params.assignedTrainers) = (2, 1, 0);
        begin(params);
        for (uint256 i; i < 2; ++i) {
            seat(trainer(i), 1);
        }
        seat(verifier(0), 2);
        play();
        refused(exposure(), abi.encodeWithSelector(IStakes.NotAssigned.selector, 1, 0));
    }

    /// The head of a shuffle, by the shuffle itself.
    function test_who_is_drawn_is_the_head_of_a_shuffle(bytes32 beacon, uint8 count, uint8 trainers) external pure {
        uint256[] memory order = new uint256[](trainers);
        for (uint256 i; i < trainers; ++i) {
            order[i] = i;
        }
        bytes32 seed = keccak256(abi.encodePacked(beacon, uint64(0), "assigned trainers"));
        for (uint256 i; i < count && i < trainers; ++i) {
            bytes memory four = abi.encodePacked(sha256(abi.encodePacked(seed, uint64(i / 4))));
            uint256 random;
            for (uint256 k; k < 8; ++k) {
                random = random << 8 | uint8(four[8 * (i % 4) + k]);
            }
            uint256 other = i + random * (trainers - i) / 2 ** 64;
            (order[i], order[other]) = (order[other], order[i]);
        }
        for (uint256 i; i < trainers; ++i) {
            so(Plant.isAssigned(beacon, count, trainers, order[i]) == (i < count), "the first are drawn");
        }
        so(!Plant.isAssigned(beacon, count, trainers, trainers), "nobody else is");
    }

    function test_reports_are_those_that_were_revealed() external {
        play();
        Exposure memory e = exposure();
        bytes[] memory two = new bytes[](2);
        bytes[] memory heads = e.heads;
        bytes[] memory rowsOf = e.rowsOf;
        e.heads = two;
        refused(e, abi.encodeWithSelector(ISettlement.ReportCount.selector, 3, 2));
        (e.heads, e.rowsOf) = (heads, two);
        refused(e, abi.encodeWithSelector(ISettlement.ReportCount.selector, 3, 3));
        e.rowsOf = rowsOf;
        e.heads[1] = bytes.concat(heads[0], "");
        refused(
            e,
            abi.encodeWithSelector(ISettlement.ReportMismatch.selector, 1, record().reports[1], keccak256(e.heads[1]))
        );
        e = exposure();
        bytes32 expected = keccak256(e.rowsOf[2]);
        e.rowsOf[2][0] ^= 0x08;
        refused(e, abi.encodeWithSelector(ISettlement.ReportMismatch.selector, 2, expected, keccak256(e.rowsOf[2])));
    }

    function test_where_everybody_looked_there_is_no_case() external {
        looked = 7;
        play();
        Exposure memory e = exposure();
        refused(e, abi.encodeWithSelector(IStakes.NobodyGuilty.selector, run, 1, 0));
        (e.heads, e.rowsOf) = (new bytes[](3), new bytes[](3));
        refused(e, abi.encodeWithSelector(IStakes.NobodyGuilty.selector, run, 1, 0));
        so(!stakes.exposed(run, 1, 0), "nothing happened");
    }

    /// A seat's new holder does not pay for the one before.
    function test_a_seat_that_was_given_again_is_not_touched() external {
        beginWith(true, 2, 3);
        looked = 3;
        play();
        vm.prank(verifier(2));
        stakes.exit(run);
        _listen();
        looked = 0;
        play();
        seat(verifier(7), 2);
        so(rounds.verifiersAt(run, 2, 3)[0] == verifier(7), "the same seat");
        Exposure memory e = _exposure(run, 1, 0, address(this), SECRET);
        vm.expectRevert(abi.encodeWithSelector(IStakes.NobodyGuilty.selector, run, 1, 0));
        stakes.expose(run, paramsOfRun[run], recordOf[run][1], e);
        same(stakeOf(7), VERIFIER_STAKE_WEI, "the newcomer's");
        same(stakeOf(2), VERIFIER_STAKE_WEI, "whoever has left was let go");
    }

    /// Against the plain rule, whatever was said and whoever was accused.
    function test_an_exposure_is_the_plain_rule(uint256 seed) external {
        Params memory params = paramsOf(false, 0);
        (params.minTrainers, params.minVerifiers) = (1, 3);
        params.slashBps = uint16(draw(seed, 0) % 10_001);
        params.challengerBps = uint16(draw(seed, 1) % 5_001);
        params.burnBps = uint16(draw(seed, 2) % (10_001 - params.challengerBps));
        begin(params);
        seat(trainer(0), 1);
        for (uint256 v; v < 3; ++v) {
            seat(verifier(v), 2, VERIFIER_STAKE_WEI + draw(seed, 3 + v) % VERIFIER_STAKE_WEI);
        }
        looked = draw(seed, 6) % 8;
        play();
        Exposure memory e = exposure();
        uint256 named = draw(seed, 7) % 8;
        uint256[3] memory takenWei;
        uint256 rewardWei;
        uint256 poolWei;
        for (uint256 v; v < 3; ++v) {
            if ((named >> v) & 1 == 0) (e.heads[v], e.rowsOf[v]) = ("", "");
            if ((named & ~looked) >> v & 1 == 0) continue;
            takenWei[v] = stakeOf(v) * params.slashBps / 10_000;
            rewardWei += takenWei[v] * params.challengerBps / 10_000;
            poolWei += takenWei[v] - takenWei[v] * params.challengerBps / 10_000 - takenWei[v] * params.burnBps / 10_000;
        }
        if (named & ~looked & 7 == 0) {
            refused(e, abi.encodeWithSelector(IStakes.NobodyGuilty.selector, run, 1, 0));
            return;
        }
        uint256[3] memory beforeWei = [stakeOf(0), stakeOf(1), stakeOf(2)];
        expose(e);
        for (uint256 v; v < 3; ++v) {
            same(stakeOf(v), beforeWei[v] - takenWei[v], "stake");
            so(rounds.seat(run, verifier(v)).retired == (2 * stakeOf(v) < VERIFIER_STAKE_WEI), "seat");
        }
        same(bonded(), rewardWei, "reward");
        same(stakes.poolable(run), poolWei, "pool");
    }

    /* PRIVATE */

    function cut(bytes memory whole, uint256 from, uint256 to) private pure returns (bytes memory part) {
        part = new bytes(to - from);
        for (uint256 i = from; i < to; ++i) {
            part[i - from] = whole[i];
        }
    }

    /// Rows of this round: two trainers, so a bitmap is one byte.
    function fold(bytes24 transcript, bytes memory rows) private pure returns (bytes24) {
        uint8[6] memory sizes = [0, 65, 39, 35, 34, 66];
        for (uint256 from; from < rows.length;) {
            uint256 to = from + sizes[uint8(rows[from])];
            transcript = bytes24(keccak256(abi.encodePacked(transcript, cut(rows, from, to))));
            from = to;
        }
        return transcript;
    }
}
