// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ISettlement} from "../../interfaces/ISettlement.sol";
import {Evidence, Inputs, Outcome, Params, Record} from "../../interfaces/Types.sol";
import {Scene} from "./Scene.sol";

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
