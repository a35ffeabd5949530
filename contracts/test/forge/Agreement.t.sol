// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Phase, Role} from "../../interfaces/Types.sol";
import {Agreement, Consensus} from "../../libraries/Agreement.sol";
import {Mechanism} from "../../libraries/Mechanism.sol";
import {Reports} from "../../libraries/Reports.sol";
import {Leaf, Standings} from "../../libraries/Standings.sol";
import {Transcript} from "../../libraries/Transcript.sol";
import {Check} from "./Vm.sol";

contract AgreementTest is Check {
    uint256 private constant TRAINERS = 4;
    uint256 private constant ACCEPT = 20;

    function agree(
        uint256[] calldata stakesWei,
        bytes[] calldata reports,
        uint256 revealed,
        uint256 words,
        uint256 acceptBits,
        uint256 trainers
    ) external pure returns (Consensus memory) {
        return Agreement.agree(stakesWei, reports, revealed, words, acceptBits, trainers);
    }

    function agreed(uint256[] memory stakesWei, bytes[] memory reports) internal view returns (Consensus memory) {
        return this.agree(stakesWei, reports, (1 << reports.length) - 1, 1, ACCEPT, TRAINERS);
    }

    /// Of whoever a seed says: near the truth or far from it, any rows.
    function reportOf(uint256 seed, uint256 v) internal pure returns (bytes memory report) {
        uint256 x = draw(seed, v);
        uint256 word = x % 4 == 0 ? x : draw(seed, 99) ^ (x & 0xff);
        report = abi.encodePacked(uint32(x >> 32), word);
        for (uint256 i; i < TRAINERS; ++i) {
            uint256 y = draw(x, i);
            int32 common = int32(int256(y % 9_000)) - 1_000;
            report = abi.encodePacked(report, y % 3 == 0 ? uint8(y % 9) : 0, common, int32(int256(y % 5_000)));
        }
    }

    function test_without_ties_the_order_of_verifiers_does_not_matter(uint256 seed, uint256 shift) external view {
        uint256 n = 5;
        uint256[] memory stakesWei = new uint256[](n);
        uint256[] memory turnedWei = new uint256[](n);
        bytes[] memory reports = new bytes[](n);
        bytes[] memory turned = new bytes[](n);
        for (uint256 v; v < n; ++v) {
            // Different powers of two: no two sets of verifiers have the same stake.
            (stakesWei[v], reports[v]) = (1 << (10 * v), reportOf(seed, v));
            if (v >= 2) stakesWei[v] += 1 << 45;
            (turnedWei[(v + shift % n) % n], turned[(v + shift % n) % n]) = (stakesWei[v], reports[v]);
        }
        Consensus memory one = agreed(stakesWei, reports);
        Consensus memory other = agreed(turnedWei, turned);
        if (one.clusterMask == 0 || other.clusterMask == 0) {
            so(one.clusterMask == other.clusterMask, "quorum");
            return;
        }
        uint256 mask;
        for (uint256 v; v < n; ++v) {
            if ((one.clusterMask >> v) & 1 == 1) mask |= 1 << ((v + shift % n) % n);
        }
        if (mask != other.clusterMask) return; // two medoids with the same neighbours may see unlike far reports
        so(one.lossMicronats == other.lossMicronats, "loss");
        so(keccak256(abi.encode(one.rows)) == keccak256(abi.encode(other.rows)), "rows");
    }

    function test_quorum_is_more_than_two_thirds_of_the_stake(uint128 near, uint128 far) external view {
        vm.assume(near != 0 && far != 0);
        uint256[] memory stakesWei = new uint256[](2);
        bytes[] memory reports = new bytes[](2);
        (stakesWei[0], stakesWei[1]) = (near, far);
        reports[0] = abi.encodePacked(uint32(1), uint256(0), new bytes(9 * TRAINERS));
        reports[1] = abi.encodePacked(uint32(2), type(uint256).max, new bytes(9 * TRAINERS));
        Consensus memory found = agreed(stakesWei, reports);
        uint256 most = near > far ? near : far;
        uint256 all = uint256(near) + far;
        so((found.clusterMask != 0) == (3 * most > 2 * all), "quorum");
        if (found.clusterMask != 0) so(found.unanimous == (4 * most >= 3 * all), "unanimity");
    }

    function test_exactly_two_thirds_are_no_quorum() external view {
        uint256[] memory stakesWei = new uint256[](3);
        bytes[] memory reports = new bytes[](3);
        for (uint256 v; v < 3; ++v) {
            stakesWei[v] = 1e18;
            reports[v] = abi.encodePacked(uint32(1), v == 2 ? type(uint256).max : 0, new bytes(9 * TRAINERS));
        }
        same(agreed(stakesWei, reports).clusterMask, 0, "two of three");
        stakesWei[0] += 1;
        same(agreed(stakesWei, reports).clusterMask, 3, "and a Wei");
    }

    /// Stake decides, then the least total distance, then the lowest index.
    function test_ties_for_the_medoid_go_to_the_nearest_then_to_the_first() external view {
        uint256[] memory stakesWei = new uint256[](3);
        bytes[] memory reports = new bytes[](3);
        uint256[3] memory words = [uint256(0), 0xff, 0xf];
        for (uint256 v; v < 3; ++v) {
            stakesWei[v] = 1e18;
            reports[v] = abi.encodePacked(uint32(1), words[v], new bytes(9 * TRAINERS));
        }
        same(agreed(stakesWei, reports).medoid, 2, "the one in the middle");
        reports[1] = reports[0];
        reports[2] = reports[0];
        same(agreed(stakesWei, reports).medoid, 0, "the first of equals");
    }

    /// Whether stakes are equal or not: two ways to the same medians.
    function test_agreed_rows_are_the_lower_medians_of_their_columns(uint256 seed, uint8 many, bool equal)
        external
        view
    {
        uint256 n = within(many, 1, 7);
        uint256[] memory stakesWei = new uint256[](n);
        bytes[] memory reports = new bytes[](n);
        for (uint256 v; v < n; ++v) {
            stakesWei[v] = equal ? 1e18 : 1 + draw(seed, v) % 5;
            reports[v] = abi.encodePacked(uint32(1), uint256(7));
            for (uint256 i; i < TRAINERS; ++i) {
                int256[3] memory row = _row(seed, v, i);
                reports[v] = abi.encodePacked(reports[v], uint8(uint256(row[0])), int32(row[1]), int32(row[2]));
            }
        }
        uint256[] memory rows = agreed(stakesWei, reports).rows;
        for (uint256 i; i < TRAINERS; ++i) {
            int256[3] memory found =
                [int256(rows[i] >> 64), int256(int32(uint32(rows[i] >> 32))), int256(int32(uint32(rows[i])))];
            for (uint256 column; column < 3; ++column) {
                so(found[column] == _median(seed, stakesWei, i, column), "the lower median");
            }
        }
    }

    /// Often what others say, or nearly.
    function _row(uint256 seed, uint256 v, uint256 i) private pure returns (int256[3] memory) {
        uint256 x = draw(draw(seed, 100 + v), i);
        if (x % 3 == 0) x = draw(seed, 200 + i);
        return [
            int256((x >> 8) % 8),
            int256(int32(uint32(x >> 16))) % (x % 2 == 0 ? int256(3) : type(int32).max),
            int256(int32(uint32(x >> 64))) % (x % 5 == 0 ? int256(2) : type(int32).max)
        ];
    }

    function _median(uint256 seed, uint256[] memory stakesWei, uint256 i, uint256 column)
        private
        pure
        returns (int256 least)
    {
        uint256 totalWei;
        for (uint256 v; v < stakesWei.length; ++v) {
            totalWei += stakesWei[v];
        }
        least = type(int256).max;
        for (uint256 v; v < stakesWei.length; ++v) {
            int256 value = _row(seed, v, i)[column];
            uint256 atMostWei;
            for (uint256 w; w < stakesWei.length; ++w) {
                if (_row(seed, w, i)[column] <= value) atMostWei += stakesWei[w];
            }
            if (2 * atMostWei >= totalWei && value < least) least = value;
        }
    }

    function test_nobody_with_a_stake_is_no_quorum(uint256 seed) external view {
        uint256[] memory stakesWei = new uint256[](2);
        bytes[] memory reports = new bytes[](2);
        (reports[0], reports[1]) = (reportOf(seed, 0), reportOf(seed, 1));
        same(agreed(stakesWei, reports).clusterMask, 0, "nobody");
        stakesWei[1] = 1;
        same(agreed(stakesWei, reports).clusterMask, 2, "whoever has one");
    }

    function test_the_median_is_what_somebody_said_and_half_is_on_either_side(uint256 seed) external view {
        uint256 n = 5;
        uint256[] memory stakesWei = new uint256[](n);
        bytes[] memory reports = new bytes[](n);
        uint256 total;
        for (uint256 v; v < n; ++v) {
            stakesWei[v] = 1 + draw(seed, v) % 5;
            total += stakesWei[v];
            reports[v] = abi.encodePacked(uint32(draw(seed, 10 + v) % 4), uint256(0), new bytes(9 * TRAINERS));
        }
        uint256 median = agreed(stakesWei, reports).lossMicronats;
        uint256 below;
        uint256 atMost;
        for (uint256 v; v < n; ++v) {
            uint256 loss = draw(seed, 10 + v) % 4;
            if (loss < median) below += stakesWei[v];
            if (loss <= median) atMost += stakesWei[v];
        }
        so(2 * below < total && 2 * atMost >= total, "lower median");
    }
}

contract MechanismTest is Check {
    function test_payouts_never_exceed_the_pot_and_are_written_down(uint120 pot, uint64[6] calldata parts, uint64 more)
        external
        pure
    {
        bytes memory standings = new bytes(6 * 96);
        uint256[] memory list = new uint256[](6);
        uint256 total = more;
        for (uint256 i; i < 6; ++i) {
            list[i] = parts[i];
            total += parts[i];
        }
        vm.assume(total != 0);
        uint256 paidWei = Mechanism.pay(standings, 0, list, total, pot);
        uint256 written;
        for (uint256 i; i < 6; ++i) {
            written += Standings.leaf(standings, i).paidWei();
        }
        so(paidWei <= pot, "the sum of payouts is at most the pot");
        same(written, paidWei, "every Wei is somebody's");
    }

    function test_where_no_share_was_earned_nothing_is_paid(uint128 pot) external pure {
        bytes memory standings = new bytes(96);
        same(Mechanism.pay(standings, 0, new uint256[](1), 0, pot), 0, "nothing");
        same(Standings.leaf(standings, 0).paidWei(), 0, "to nobody");
    }

    function test_round_budgets_never_exceed_what_is_unpaid_and_spend_it_by_the_last(uint128 unpaid, uint8 rounds_)
        external
        pure
    {
        uint256 rounds = within(rounds_, 1, 255);
        uint256 leftWei = unpaid;
        for (uint256 round = 1; round <= rounds; ++round) {
            uint256 budgetWei = Mechanism.roundBudgetWei(leftWei, round, rounds);
            so(budgetWei <= leftWei, "the budget is there");
            leftWei -= budgetWei;
        }
        same(leftWei, 0, "the last round's budget is the rest");
    }

    function test_only_who_lost_more_than_half_is_ejected(uint128 required, uint128 stake) external pure {
        so(Mechanism.isEjected(stake, required) == (uint256(stake) < (uint256(required) + 1) / 2), "half");
    }
}

contract ReportsTest is Check {
    function test_a_report_is_hashed_by_its_head_and_chunks_of_256_rows(uint256 seed, uint8 words_, uint16 many)
        external
        view
    {
        (uint256 words, uint256 rows) = (within(words_, 1, 3), within(many, 1, 800));
        bytes memory report = new bytes(Reports.size(words, rows));
        for (uint256 i; i < report.length; ++i) {
            report[i] = bytes1(uint8(seed >> (i * 7 % 249)) ^ uint8(i));
        }
        bytes memory head = this.cut(report, 0, 4 + 32 * words);
        for (uint256 from = 4 + 32 * words; from < report.length; from += 2_304) {
            uint256 end = from + 2_304 < report.length ? from + 2_304 : report.length;
            head = bytes.concat(head, keccak256(this.cut(report, from, end)));
        }
        same(this.hash(report, words), keccak256(head), "head and chunks");
    }

    function cut(bytes calldata report, uint256 from, uint256 end) external pure returns (bytes memory) {
        return report[from:end];
    }

    function hash(bytes calldata report, uint256 words) external pure returns (bytes32) {
        return Reports.hash(report, words);
    }
}

contract TranscriptTest is Check {
    function test_a_commitment_is_bound_to_everything(uint256[7] calldata a, uint8 which, uint256 other) external view {
        bytes32 one = _commitment(a);
        uint256[7] memory b = a;
        b[which % 7] = other;
        bool isSame =
            address(uint160(a[1])) == address(uint160(b[1])) && address(uint160(a[4])) == address(uint160(b[4]));
        for (uint256 i; i < 7; ++i) {
            if (i != 1 && i != 4 && a[i] != b[i]) isSame = false;
        }
        so((this.commitmentOf(b) == one) == isSame, "any change is another commitment");
    }

    function commitmentOf(uint256[7] calldata a) external pure returns (bytes32) {
        return _commitment(a);
    }

    function _commitment(uint256[7] calldata a) private pure returns (bytes32) {
        return Transcript.commitment(
            a[0], address(uint160(a[1])), a[2], a[3], address(uint160(a[4])), bytes32(a[5]), bytes32(a[6])
        );
    }

    function test_rows_of_the_transcript_and_of_the_roster_are_the_books(
        bytes24 before,
        uint16 index,
        int32 gain,
        bytes32 digest,
        address account,
        uint128 stakeWei
    ) external pure {
        same(
            bytes32(Transcript.submitted(before, index, gain, digest)),
            bytes32(bytes24(keccak256(abi.encodePacked(before, uint8(2), index, gain, digest)))),
            "submitted"
        );
        same(
            bytes32(Transcript.admitted(before, Role.TRAINER, index, account, stakeWei)),
            bytes32(bytes24(keccak256(abi.encodePacked(before, uint8(7), uint8(1), index, account, stakeWei)))),
            "admitted"
        );
        same(
            bytes32(Transcript.retired(before, Role.VERIFIER, index)),
            bytes32(bytes24(keccak256(abi.encodePacked(before, uint8(8), uint8(2), index)))),
            "retired"
        );
        same(
            bytes32(Transcript.phase(before, index, Phase.HOLD, 7, digest, before)),
            bytes32(bytes24(keccak256(abi.encodePacked(before, uint8(1), index, uint8(2), uint40(7), digest, before)))),
            "phase"
        );
    }
}
