// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ISettlement} from "./interfaces/ISettlement.sol";
import {ITransition} from "./interfaces/ITransition.sol";
import {Effects, Evidence, Inputs, Outcome, Params, Record, Role} from "./interfaces/Types.sol";
import {Agreement, Consensus} from "./libraries/Agreement.sol";
import {Bitmap} from "./libraries/Bitmap.sol";
import {Docket} from "./libraries/Docket.sol";
import {Mechanism, Result} from "./libraries/Mechanism.sol";
import {Reports} from "./libraries/Reports.sol";
import {StandingTree} from "./libraries/StandingTree.sol";
import {Leaf, Standings} from "./libraries/Standings.sol";
import {Transcript} from "./libraries/Transcript.sol";

/// @dev See ITransition.
contract Transition is ITransition {
    uint256 private constant JOIN_SIZE = 40; // kind uint8 | role uint8 | index uint16 | account 20 | stake uint128
    uint256 private constant EXIT_SIZE = 4; // kind uint8 | role uint8 | index uint16
    uint256 private constant RATING_SIZE = 8; // kind uint8 | role uint8 | index uint16 | rating uint32
    uint256 private constant CHUNK_ROWS = 256;
    uint256 private constant ROW_SIZE = 9;

    /// @inheritdoc ITransition
    function execute(uint256 totalWei, Params calldata params, Inputs calldata inputs, Evidence calldata evidence)
        external
        pure
        returns (Outcome memory outcome, Effects memory effects, bytes32[] memory slices)
    {
        Record memory record = inputs.record;
        _checkRoster(inputs.roster, inputs.rosterRows, record.roster);
        Consensus memory consensus;
        (consensus, slices) = _agree(params, record, evidence);

        bytes memory all;
        (all, effects.left) = _seat(params, inputs.standings, inputs.rosterRows, record.trainers, record.verifiers);
        uint256 budgetWei = Mechanism.roundBudgetWei(record.depositedWei - totalWei, record.round, params.maxRounds);
        Result memory result = Mechanism.settle(
            params, record.round, budgetWei, all, record.trainers, record.stakesWei, consensus, record.revealed
        );

        effects.slashed = _slashed(all, record.trainers, result.slashedWei);
        if (consensus.clusterMask != 0) {
            effects.awaited = _awaited(all, record.trainers, record.round);
            outcome.lossMicronats = uint32(consensus.lossMicronats);
            outcome.clusterMask = uint32(consensus.clusterMask);
        }
        (outcome.root,) = StandingTree.root(all);
        outcome.totalWei = uint128(totalWei + result.paidWei); // at most depositedWei
        outcome.standingsHash = Docket.hashStandings(record.roster, all);
        outcome.weakest = uint16(result.weakest);
        outcome.effectsHash = Docket.hash(effects);
    }

    /// @inheritdoc ITransition
    function hear(
        Params calldata params,
        Record calldata record,
        bytes[] calldata heads,
        uint256 chunk,
        bytes[] calldata rowsOf
    ) external pure returns (bytes32 slice) {
        Record memory about = record;
        Consensus memory consensus = _gather(params, about, heads);
        uint256 before = CHUNK_ROWS * chunk;
        if (before >= about.trainers || consensus.clusterMask == 0) return 0;
        _checkChunks(about, consensus.clusterMask, heads, Reports.rowsAt(params.words) + 32 * chunk, rowsOf);

        (uint256[] memory rows, uint256[] memory sums) = Agreement.hear(
            consensus, about.stakesWei, rowsOf, about.revealed, _least(about.trainers - before, CHUNK_ROWS)
        );
        return _hashSlice(keccak256(abi.encodePacked(rows)), sums);
    }

    /* WHAT THE VERIFIERS SAID */

    function _agree(Params calldata params, Record memory record, Evidence calldata evidence)
        private
        pure
        returns (Consensus memory consensus, bytes32[] memory slices)
    {
        if (evidence.heads.length == 0) {
            _checkReports(record, evidence.reports, params.words);
            consensus = Agreement.agree(
                record.stakesWei, evidence.reports, record.revealed, params.words, params.acceptBits, record.trainers
            );
        } else {
            consensus = _gather(params, record, evidence.heads);
            if (consensus.clusterMask != 0) slices = _join(record.trainers, evidence, consensus);
        }
    }

    /// Lengths and rows were checked at the reveal; the hash says that these are the same bytes.
    function _checkReports(Record memory record, bytes[] calldata reports, uint256 words) private pure {
        if (reports.length != record.reports.length) {
            revert ISettlement.ReportCount(record.reports.length, reports.length);
        }
        for (uint256 i; i < reports.length; ++i) {
            _checkReport(i, record.reports[i], Reports.hash(reports[i], words));
        }
    }

    /// The cluster, from the heads of all reports.
    function _gather(Params calldata params, Record memory record, bytes[] calldata heads)
        private
        pure
        returns (Consensus memory)
    {
        if (heads.length != record.reports.length) {
            revert ISettlement.ReportCount(record.reports.length, heads.length);
        }
        for (uint256 i; i < heads.length; ++i) {
            _checkReport(i, record.reports[i], Reports.hashHead(heads[i]));
        }
        return Agreement.gather(record.stakesWei, heads, record.revealed, params.words, params.acceptBits);
    }

    /// The cluster's chunks are those that their reports' heads name.
    function _checkChunks(
        Record memory record,
        uint256 clusterMask,
        bytes[] calldata heads,
        uint256 hashAt,
        bytes[] calldata rowsOf
    ) private pure {
        if (rowsOf.length != heads.length) revert ISettlement.ReportCount(heads.length, rowsOf.length);
        uint256 next;
        for (uint256 v; v < record.verifiers; ++v) {
            if ((record.revealed >> v) & 1 == 0) continue;
            if ((clusterMask >> v) & 1 == 1) {
                _checkReport(next, bytes32(heads[next][hashAt:hashAt + 32]), keccak256(rowsOf[next]));
            }
            ++next;
        }
    }

    function _checkReport(uint256 place, bytes32 expected, bytes32 actual) private pure {
        if (actual != expected) revert ISettlement.ReportMismatch(place, expected, actual);
    }

    /// Puts together what hear() agreed on, slice by slice.
    function _join(uint256 trainers, Evidence calldata evidence, Consensus memory consensus)
        private
        pure
        returns (bytes32[] memory slices)
    {
        slices = new bytes32[]((trainers + CHUNK_ROWS - 1) / CHUNK_ROWS);
        if (evidence.rows.length != slices.length || evidence.sums.length != slices.length) {
            revert ISettlement.SliceCount(slices.length, evidence.rows.length);
        }
        consensus.rows = new uint256[](trainers);
        consensus.sums = new uint256[](evidence.sums[0].length);
        for (uint256 k; k < slices.length; ++k) {
            uint256[] memory sums = evidence.sums[k];
            slices[k] = _hashSlice(_unpack(consensus.rows, CHUNK_ROWS * k, evidence.rows[k]), sums);
            for (uint256 i; i < sums.length; ++i) {
                consensus.sums[i] += sums[i];
            }
        }
    }

    /// Unpacks a slice's rows behind the first `from`; returns the hash of what was unpacked, 0 when it is not one slice.
    function _unpack(uint256[] memory rows, uint256 from, bytes calldata packed) private pure returns (bytes32 hash) {
        uint256 count = _least(rows.length - from, CHUNK_ROWS);
        if (packed.length != ROW_SIZE * count) return 0;
        assembly ("memory-safe") {
            let to := add(add(rows, 0x20), shl(5, from))
            let end := add(to, shl(5, count))
            let at := packed.offset
            for { let place := to } lt(place, end) { place := add(place, 0x20) } {
                mstore(place, shr(184, calldataload(at)))
                at := add(at, 9)
            }
            hash := keccak256(to, sub(end, to))
        }
    }

    function _hashSlice(bytes32 rowsHash, uint256[] memory sums) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(rowsHash, keccak256(abi.encodePacked(sums))));
    }

    /* WHO IS SEATED */

    /// The rows are the joins, exits and ratings that lead from one roster transcript to another, all of them in order.
    function _checkRoster(bytes24 roster, bytes calldata rows, bytes24 expected) private pure {
        for (uint256 offset; offset < rows.length;) {
            uint256 end = offset + _sizeAt(rows, offset);
            if (end > rows.length) revert ISettlement.RosterRows(rows.length);
            roster = bytes24(keccak256(abi.encodePacked(roster, rows[offset:end])));
            offset = end;
        }
        if (roster != expected) revert ISettlement.RosterMismatch(expected, roster);
    }

    /// Standings after joins, which start afresh and unrated whatever the seat's last holder left, and after ratings; and what
    /// those who left were promised.
    /// @param rows Checked: an index is the next of its role at most, and they lead to these counts.
    function _seat(
        Params calldata params,
        bytes calldata standings,
        bytes calldata rows,
        uint256 trainers,
        uint256 verifiers
    ) private pure returns (bytes memory all, uint256[] memory left) {
        all = new bytes((trainers + verifiers) * Standings.SIZE);
        uint256[2] memory counts = _count(standings); // trainers, verifiers
        uint256 split = counts[0] * Standings.SIZE;
        _copy(all, 0, standings[:split]);
        _copy(all, trainers, standings[split:]);

        left = new uint256[](2 * (rows.length / JOIN_SIZE));
        uint256 leavers;
        for (uint256 offset; offset < rows.length; offset += _sizeAt(rows, offset)) {
            uint256 what = uint8(rows[offset]);
            if (what == Transcript.RETIRED) continue;
            Role role = Role(uint8(rows[offset + 1]));
            uint256 index = uint16(bytes2(rows[offset + 2:offset + 4]));
            uint256 kind = role == Role.TRAINER ? 0 : 1;
            Leaf leaf = Standings.leaf(all, index + kind * trainers);
            if (what == Transcript.RATED) {
                uint256 ratingQ32 = uint32(bytes4(rows[offset + 4:offset + 8]));
                leaf.setReputationQ32(Mechanism.payMultiplierQ32(params, ratingQ32));
                continue;
            }
            if (index == counts[kind]) {
                ++counts[kind];
            } else if (leaf.paidWei() != 0) {
                (left[leavers], left[leavers + 1]) = (uint160(leaf.account()), leaf.paidWei());
                leavers += 2;
            }
            leaf.init(address(bytes20(rows[offset + 4:offset + 24])), role, Mechanism.payMultiplierQ32(params, 0));
        }
        _shorten(left, leavers);
    }

    function _sizeAt(bytes calldata rows, uint256 offset) private pure returns (uint256) {
        uint256 what = uint8(rows[offset]);
        return what == Transcript.ADMITTED ? JOIN_SIZE : what == Transcript.RATED ? RATING_SIZE : EXIT_SIZE;
    }

    /// Trainers and verifiers among packed standings.
    function _count(bytes calldata standings) private pure returns (uint256[2] memory counts) {
        uint256 trainers = standings.length / Standings.SIZE;
        while (trainers != 0 && uint8(standings[trainers * Standings.SIZE - 76]) == uint8(Role.VERIFIER)) {
            --trainers; // byte 20 of 96 is the role
            ++counts[1];
        }
        counts[0] = trainers;
    }

    function _copy(bytes memory all, uint256 position, bytes calldata standings) private pure {
        Leaf to = Standings.leaf(all, position);
        assembly ("memory-safe") {
            calldatacopy(to, standings.offset, standings.length)
        }
    }

    /* EFFECTS */

    /// Pairs of who loses what.
    function _slashed(bytes memory all, uint256 trainers, uint256[] memory slashedWei)
        private
        pure
        returns (uint256[] memory pairs)
    {
        pairs = new uint256[](2 * slashedWei.length);
        uint256 next;
        for (uint256 v; v < slashedWei.length; ++v) {
            if (slashedWei[v] == 0) continue;
            (pairs[next], pairs[next + 1]) = (uint160(Standings.leaf(all, trainers + v).account()), slashedWei[v]);
            next += 2;
        }
        _shorten(pairs, next);
    }

    /// Trainers to wait for: all but who missed two rounds in a row or is banned from the next.
    function _awaited(bytes memory all, uint256 trainers, uint256 round)
        private
        pure
        returns (uint256[] memory awaited)
    {
        awaited = new uint256[](Bitmap.wordsFor(trainers));
        Leaf leaf = Standings.leaf(all, 0);
        unchecked {
            for (uint256 k; k < awaited.length; ++k) {
                uint256 count = _least(trainers - 256 * k, 256);
                uint256 word;
                for (uint256 bit; bit < count; ++bit) {
                    word |= leaf.isAwaited(round) << bit;
                    leaf = leaf.next();
                }
                awaited[k] = word;
            }
        }
    }

    function _shorten(uint256[] memory list, uint256 length) private pure {
        assembly ("memory-safe") {
            mstore(list, length)
        }
    }

    function _least(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
