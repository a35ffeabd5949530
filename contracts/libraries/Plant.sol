// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRounds} from "../interfaces/IRounds.sol";
import {ISettlement} from "../interfaces/ISettlement.sol";
import {IStakes} from "../interfaces/IStakes.sol";
import {Exposure, Params, Phase, Record} from "../interfaces/Types.sol";
import {Reports} from "./Reports.sol";
import {Transcript} from "./Transcript.sol";

/// Planted updates, wrong on purpose, and who calls them right; src/gradmint/spec/plant.py.
///
///     seed = keccak256(beneficiary, 20 || secret, 32 || keccak256(bytes before the words) || keccak256(bytes behind them))
///     word j = keccak256(seed || j, 1)
///
/// The seed names the update itself: an update could be fitted to words that are known beforehand, and be honest about them.
library Plant {
    uint8 internal constant OK = 0; // of verdicts
    uint256 internal constant WORDS_AT = 124; // in an update's blob: behind the fixed part of its header

    /// That the update counted in the round, is planted for `beneficiary`, and that its header was to be checked.
    function check(Params calldata params, Record calldata record, Exposure calldata exposure, address beneficiary)
        internal
        pure
    {
        (bytes24 transcript, bytes32 digest, bytes32 beacon) =
            replay(record.round, record.trainers, exposure.before, exposure.rows, exposure.trainer);
        if (transcript != record.transcript) revert IRounds.TranscriptMismatch(record.transcript, transcript);
        bytes32 found = sha256(exposure.blob);
        if (found != digest) revert IStakes.BlobMismatch(digest, found);
        if (!isPlanted(exposure.blob, beneficiary, exposure.secret, params.words)) {
            revert IStakes.NotPlanted(beneficiary, exposure.secret);
        }
        if (!isAssigned(beacon, params.assignedTrainers, record.trainers, exposure.trainer)) {
            revert IStakes.NotAssigned(record.round, exposure.trainer);
        }
    }

    /// Where a round's rows lead, the trainer's first submission (0: none), and the beacon that the assessment began with.
    function replay(uint16 round, uint256 trainers, bytes24 transcript, bytes calldata rows, uint256 trainer)
        internal
        pure
        returns (bytes24, bytes32 digest, bytes32 beacon)
    {
        bool submitted;
        for (uint256 offset; offset < rows.length;) {
            uint256 end = offset + _size(uint8(rows[offset]), trainers);
            if (end == offset || end > rows.length) revert IStakes.RoundRows(offset);
            bytes calldata row = rows[offset:end];
            if (offset == 0 && bytes4(row) != bytes4(abi.encodePacked(Transcript.PHASE, round, Phase.TRAIN))) {
                revert IStakes.RoundRows(0);
            }
            uint8 kind = uint8(row[0]);
            if (kind == Transcript.SUBMITTED && !submitted && uint16(bytes2(row[1:3])) == trainer) {
                (submitted, digest) = (true, bytes32(row[7:39]));
            } else if (kind == Transcript.PHASE && uint8(row[3]) == uint8(Phase.COMMIT)) {
                beacon = bytes32(row[9:41]);
            }
            transcript = bytes24(keccak256(abi.encodePacked(transcript, row)));
            offset = end;
        }
        return (transcript, digest, beacon);
    }

    /// Whether the blob's own words are those of the beneficiary and the secret.
    function isPlanted(bytes calldata blob, address beneficiary, bytes32 secret, uint256 words)
        internal
        pure
        returns (bool)
    {
        uint256 end = WORDS_AT + 32 * words;
        if (blob.length < end) return false;
        bytes32 seed =
            keccak256(abi.encodePacked(beneficiary, secret, keccak256(blob[:WORDS_AT]), keccak256(blob[end:])));
        for (uint256 j; j < words; ++j) {
            uint256 offset = WORDS_AT + 32 * j;
            if (bytes32(blob[offset:offset + 32]) != keccak256(abi.encodePacked(seed, uint8(j)))) return false;
        }
        return true;
    }

    /// Whether the assessment's beacon draws the trainer among `count`: the head of a Fisher-Yates shuffle.
    function isAssigned(bytes32 beacon, uint256 count, uint256 trainers, uint256 trainer) internal pure returns (bool) {
        if (trainer >= trainers) return false;
        if (count >= trainers) return true;
        bytes32 seed = keccak256(abi.encodePacked(beacon, uint64(0), "assigned trainers"));
        uint256[] memory moved = new uint256[](trainers); // who stands at a place, plus 1; 0: who stood there at first
        for (uint256 i; i < count; ++i) {
            uint256 four = uint256(sha256(abi.encodePacked(seed, uint64(i / 4)))); // draws of 64 bits
            uint256 place = i + (uint256(uint64(four >> (192 - 64 * (i % 4)))) * (trainers - i) >> 64);
            uint256 chosen = moved[place] == 0 ? place : moved[place] - 1;
            if (chosen == trainer) return true;
            moved[place] = moved[i] == 0 ? i + 1 : moved[i];
        }
        return false;
    }

    /// Mask of the accused whose row calls the update OK; who has nothing at stake is left out.
    function wavedThrough(uint256 words, Record calldata record, Exposure calldata exposure)
        internal
        pure
        returns (uint32 mask)
    {
        uint256 reports = record.reports.length;
        if (exposure.heads.length != reports || exposure.rowsOf.length != reports) {
            revert ISettlement.ReportCount(reports, exposure.heads.length);
        }
        uint256 place;
        for (uint256 v; v < record.verifiers; ++v) {
            if ((record.revealed >> v) & 1 == 0) continue;
            if (exposure.heads[place].length != 0) {
                uint8 verdict = _verdict(words, record.reports[place], exposure, place);
                if (verdict == OK && record.stakesWei[v] != 0) mask |= uint32(1) << uint32(v);
            }
            ++place;
        }
    }

    /// What report `place` says of the update.
    function _verdict(uint256 words, bytes32 report, Exposure calldata exposure, uint256 place)
        private
        pure
        returns (uint8)
    {
        bytes calldata head = exposure.heads[place];
        _same(place, report, Reports.hashHead(head));
        bytes calldata rows = exposure.rowsOf[place];
        uint256 offset = Reports.rowsAt(words) + 32 * (uint256(exposure.trainer) / Reports.CHUNK_ROWS);
        _same(place, bytes32(head[offset:offset + 32]), keccak256(rows));
        return uint8(rows[Reports.ROW_SIZE * (uint256(exposure.trainer) % Reports.CHUNK_ROWS)]);
    }

    function _same(uint256 place, bytes32 expected, bytes32 actual) private pure {
        if (actual != expected) revert ISettlement.ReportMismatch(place, expected, actual);
    }

    /// Bytes of a row with its kind; 0 for kinds that no round's transcript has.
    function _size(uint8 kind, uint256 trainers) private pure returns (uint256) {
        if (kind == Transcript.PHASE) return 65;
        if (kind == Transcript.SUBMITTED) return 39;
        if (kind == Transcript.HELD) return 34 + (trainers + 7) / 8;
        if (kind == Transcript.COMMITTED) return 34;
        if (kind == Transcript.REVEALED) return 66;
        return 0;
    }
}
