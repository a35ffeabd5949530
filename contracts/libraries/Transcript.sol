// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Outcome, Phase, Role} from "../interfaces/Types.sol";
import {Docket} from "./Docket.sol";

/// Everything said in a run, folded into one rolling hash; src/gradmint/spec/transcript.py.
///
///     transcript' = first 24 bytes of keccak256(transcript || kind, 1 byte || row)
///
/// One function per kind: the transcript after its row.
library Transcript {
    uint8 internal constant PHASE = 1;
    uint8 internal constant SUBMITTED = 2;
    uint8 internal constant HELD = 3;
    uint8 internal constant COMMITTED = 4;
    uint8 internal constant REVEALED = 5;
    uint8 internal constant SETTLED = 6;
    uint8 internal constant ADMITTED = 7;
    uint8 internal constant RETIRED = 8;
    uint8 internal constant RATED = 9;

    /// round uint16 | phase uint8 | deadline uint40 | beacon 32 | roster transcript 24.
    function phase(bytes24 transcript, uint16 round, Phase phase_, uint40 deadline, bytes32 beacon_, bytes24 roster)
        internal
        pure
        returns (bytes24)
    {
        return bytes24(keccak256(abi.encodePacked(transcript, PHASE, round, phase_, deadline, beacon_, roster)));
    }

    /// trainer uint16 | claimed gain int32 | digest 32.
    /// @dev keccak256(abi.encodePacked(transcript, SUBMITTED, trainer, claimedGainMicronats, digest)) without a copy: the
    /// 63 bytes just fit the scratch space.
    function submitted(bytes24 transcript, uint16 trainer, int32 claimedGainMicronats, bytes32 digest)
        internal
        pure
        returns (bytes24)
    {
        uint256 head = uint256(bytes32(transcript)) | uint256(SUBMITTED) << 56 | uint256(trainer) << 40
            | uint256(uint32(claimedGainMicronats)) << 8;
        bytes32 hash;
        assembly ("memory-safe") {
            mstore(0x00, head)
            mstore(0x1f, digest)
            hash := keccak256(0x00, 63)
        }
        return bytes24(hash);
    }

    /// What Submitted logs beside the digest: trainer uint16 | claimed gain int32 | 2 zero bytes | transcript 24.
    function stamp(uint16 trainer, int32 claimedGainMicronats, bytes24 transcript) internal pure returns (bytes32) {
        return
            bytes32(
                uint256(trainer) << 240 | uint256(uint32(claimedGainMicronats)) << 208 | uint256(uint192(transcript))
            );
    }

    /// verifier uint8 | base digest 32 | bitmap.
    function held(bytes24 transcript, uint8 verifier, bytes32 baseDigest, bytes calldata bitmap)
        internal
        pure
        returns (bytes24)
    {
        return bytes24(keccak256(abi.encodePacked(transcript, HELD, verifier, baseDigest, bitmap)));
    }

    /// verifier uint8 | commitment 32.
    function committed(bytes24 transcript, uint8 verifier, bytes32 commitment_) internal pure returns (bytes24) {
        return bytes24(keccak256(abi.encodePacked(transcript, COMMITTED, verifier, commitment_)));
    }

    /// verifier uint8 | salt 32 | report hash 32, see Reports.hash.
    function revealed(bytes24 transcript, uint8 verifier, bytes32 salt, bytes32 reportHash)
        internal
        pure
        returns (bytes24)
    {
        return bytes24(keccak256(abi.encodePacked(transcript, REVEALED, verifier, salt, reportHash)));
    }

    /// round uint16 | packed outcome.
    function settled(bytes24 transcript, uint16 round, Outcome memory outcome) internal pure returns (bytes24) {
        return bytes24(keccak256(abi.encodePacked(transcript, SETTLED, round, Docket.pack(outcome))));
    }

    /// role uint8 | index uint16 | account 20 | stake uint128.
    function admitted(bytes24 roster, Role role, uint16 index, address account, uint128 stakeWei)
        internal
        pure
        returns (bytes24)
    {
        return bytes24(keccak256(abi.encodePacked(roster, ADMITTED, role, index, account, stakeWei)));
    }

    /// role uint8 | index uint16: left or was ejected.
    function retired(bytes24 roster, Role role, uint16 index) internal pure returns (bytes24) {
        return bytes24(keccak256(abi.encodePacked(roster, RETIRED, role, index)));
    }

    /// role uint8 | index uint16 | rating uint32.
    function rated(bytes24 roster, Role role, uint16 index, uint32 ratingQ32) internal pure returns (bytes24) {
        return bytes24(keccak256(abi.encodePacked(roster, RATED, role, index, ratingQ32)));
    }

    /// A proposer cannot know it before the phase closes.
    function beacon(uint256 prevrandao, bytes24 transcript) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(prevrandao, transcript));
    }

    /// Bound to chain, contract, run, round and sender: copied anywhere else it opens to nothing.
    function commitment(
        uint256 chainId,
        address contract_,
        uint256 run,
        uint256 round,
        address account,
        bytes32 reportHash,
        bytes32 salt
    ) internal pure returns (bytes32) {
        return keccak256(abi.encode(chainId, contract_, run, round, account, reportHash, salt));
    }
}
