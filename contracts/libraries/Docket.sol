// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Effects, Outcome, Proposal, Record} from "../interfaces/Types.sol";

/// What the chain keeps of records, outcomes, effects and proposals: hashes. src/gradmint/spec/docket.py.
///
///     tip' = keccak256(tip || round, 2 || proposer, 20 || finalS, 5 || outcome hash, 32)
library Docket {
    uint16 internal constant NOBODY = 65_535; // an outcome's weakest, when no seat is given away
    bytes32 internal constant BASE_TIP = bytes32(uint256(1)); // nothing is pending
    uint256 internal constant MAX_PENDING = 64;

    /// First 30 bytes. Lists are hashed for themselves, 32 bytes an entry.
    function hash(Record memory record) internal pure returns (bytes30) {
        return bytes30(
            keccak256(
                abi.encodePacked(
                    record.round,
                    record.previous,
                    record.trainers,
                    record.verifiers,
                    record.depositedWei,
                    record.active,
                    record.revealed,
                    record.roster,
                    record.transcript,
                    keccak256(abi.encodePacked(record.reports)),
                    keccak256(abi.encodePacked(record.stakesWei))
                )
            )
        );
    }

    /// The same of a record in calldata.
    function hashRecord(Record calldata record) internal pure returns (bytes30) {
        return bytes30(
            keccak256(
                abi.encodePacked(
                    record.round,
                    record.previous,
                    record.trainers,
                    record.verifiers,
                    record.depositedWei,
                    record.active,
                    record.revealed,
                    record.roster,
                    record.transcript,
                    keccak256(abi.encodePacked(record.reports)),
                    keccak256(abi.encodePacked(record.stakesWei))
                )
            )
        );
    }

    function hash(Effects memory effects) internal pure returns (bytes32) {
        return keccak256(
            abi.encodePacked(
                keccak256(abi.encodePacked(effects.slashed)),
                keccak256(abi.encodePacked(effects.awaited)),
                keccak256(abi.encodePacked(effects.left))
            )
        );
    }

    /// Of a settlement's roster transcript and packed standings.
    /// @dev keccak256(abi.encodePacked(roster, standings)) without a copy: the roster lies in the word before the standings,
    /// where their length is, for as long as that takes.
    function hashStandings(bytes24 roster, bytes memory standings) internal pure returns (bytes32 hash_) {
        assembly ("memory-safe") {
            let size := mload(standings)
            mstore(standings, shr(64, roster))
            hash_ := keccak256(add(standings, 8), add(size, 24))
            mstore(standings, size)
        }
    }

    /// root 24 | total uint128 | standings hash 32 | loss uint32 | mask uint32 | weakest uint16 | effects 32.
    function pack(Outcome memory outcome) internal pure returns (bytes memory) {
        return abi.encodePacked(
            outcome.root,
            outcome.totalWei,
            outcome.standingsHash,
            outcome.lossMicronats,
            outcome.clusterMask,
            outcome.weakest,
            outcome.effectsHash
        );
    }

    function hash(Outcome memory outcome) internal pure returns (bytes32) {
        return keccak256(pack(outcome));
    }

    /// The tip after one more proposal.
    function fold(bytes32 before, uint16 round, address proposer, uint40 finalS, bytes32 outcomeHash)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encodePacked(before, round, proposer, finalS, outcomeHash));
    }

    /// The rolling hash of pending proposals [from, to), in round order.
    function tip(Proposal[] calldata pending, uint256 from, uint256 to) internal pure returns (bytes32 found) {
        found = BASE_TIP;
        for (uint256 i = from; i < to; ++i) {
            Proposal calldata said = pending[i];
            found = fold(found, said.round, said.proposer, said.finalS, hash(said.outcome));
        }
    }

    /// A lost bond's parts: to whoever proved it, burned, to the run's budget. They add up to the bond.
    function splitBond(uint128 bondWei, uint256 challengerBps, uint256 burnBps)
        internal
        pure
        returns (uint128 rewardWei, uint128 burnWei, uint128 poolWei)
    {
        rewardWei = uint128(uint256(bondWei) * challengerBps / 10_000); // both parts together are at most the bond
        burnWei = uint128(uint256(bondWei) * burnBps / 10_000);
        poolWei = bondWei - rewardWei - burnWei;
    }
}
