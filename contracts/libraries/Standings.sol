// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Role} from "../interfaces/Types.sol";

/// One packed standing in memory: the address of its first of three words.
///
///     account 160 | role 8 | misses 8 | rounds 16 | ban round 32 | spare 32
///     paid 128 | value 64 | proof 64 (signed)
///     mu 64 (signed) | sigma 64 | trust 64 | reputation 64
type Leaf is uint256;

using Standings for Leaf global;

/// Standings in place: read a field, write a field. src/gradmint/spec/types.py, Standing.
library Standings {
    uint256 internal constant SIZE = 96;
    uint256 internal constant ONE_Q32 = 1 << 32;
    uint256 internal constant MU_Q32 = 25 << 32; // OpenSkill's defaults
    uint256 internal constant SIGMA_Q32 = MU_Q32 / 3;
    uint256 private constant U64 = type(uint64).max;

    /// Leaf `i` of packed standings. No bounds check: callers count.
    function leaf(bytes memory standings, uint256 i) internal pure returns (Leaf found) {
        assembly ("memory-safe") {
            found := add(add(standings, 0x20), mul(i, 96))
        }
    }

    /// The leaf after this one.
    function next(Leaf self) internal pure returns (Leaf found) {
        assembly ("memory-safe") {
            found := add(self, 96)
        }
    }

    function count(bytes memory standings) internal pure returns (uint256) {
        return standings.length / SIZE;
    }

    /// Writes a newcomer's standing.
    function init(Leaf self, address owner, Role role, uint256 reputation) internal pure {
        _store(self, 0x00, uint256(uint160(owner)) << 96 | uint256(role) << 88);
        _store(self, 0x20, ONE_Q32 / 2); // proof: neither proven nor refuted
        _store(self, 0x40, MU_Q32 << 192 | SIGMA_Q32 << 128 | ONE_Q32 << 64 | reputation);
    }

    function account(Leaf self) internal pure returns (address) {
        return address(uint160(_load(self, 0x00) >> 96));
    }

    /// All of it: account to ban round, paid to proof, mu to reputation.
    function words(Leaf self) internal pure returns (uint256 seat, uint256 worth, uint256 skill) {
        return (_load(self, 0x00), _load(self, 0x20), _load(self, 0x40));
    }

    function setWords(Leaf self, uint256 seat, uint256 worth, uint256 skill) internal pure {
        _store(self, 0x00, seat);
        _store(self, 0x20, worth);
        _store(self, 0x40, skill);
    }

    function misses(Leaf self) internal pure returns (uint256) {
        return (_load(self, 0x00) >> 80) & 0xff;
    }

    /// Settled rounds since joining.
    function rounds(Leaf self) internal pure returns (uint256) {
        return (_load(self, 0x00) >> 64) & 0xffff;
    }

    /// Last round of the latest ban; 0 never banned.
    function banRound(Leaf self) internal pure returns (uint256) {
        return (_load(self, 0x00) >> 32) & 0xffffffff;
    }

    /// 1 where the next round waits for this trainer: it did not miss two in a row, nor is it banned beyond `round`; else 0.
    function isAwaited(Leaf self, uint256 round) internal pure returns (uint256 bit) {
        uint256 seat = _load(self, 0x00);
        assembly ("memory-safe") {
            bit := and(lt(and(shr(80, seat), 0xff), 2), iszero(gt(and(shr(32, seat), 0xffffffff), round)))
        }
    }

    function paidWei(Leaf self) internal pure returns (uint256) {
        return _load(self, 0x20) >> 128;
    }

    /// @dev The sum of all payouts never exceeds the deposited uint128: no carry out of the word.
    function addPaidWei(Leaf self, uint256 amountWei) internal pure {
        unchecked {
            _store(self, 0x20, _load(self, 0x20) + (amountWei << 128));
        }
    }

    function valueQ32(Leaf self) internal pure returns (uint256) {
        return (_load(self, 0x20) >> 64) & U64;
    }

    function muQ32(Leaf self) internal pure returns (int256) {
        return int256(_load(self, 0x40)) >> 192;
    }

    function sigmaQ32(Leaf self) internal pure returns (uint256) {
        return (_load(self, 0x40) >> 128) & U64;
    }

    function setRating(Leaf self, int256 mu, uint256 sigma) internal pure {
        _store(self, 0x40, _load(self, 0x40) & type(uint128).max | uint256(mu) << 192 | sigma << 128);
    }

    function setAttendance(Leaf self, uint256 misses_, uint256 rounds_) internal pure {
        uint256 rest = _load(self, 0x00) & ~(uint256(0xffffff) << 64);
        _store(self, 0x00, rest | misses_ << 80 | rounds_ << 64);
    }

    function setBanRound(Leaf self, uint256 round) internal pure {
        _store(self, 0x00, _load(self, 0x00) & ~(uint256(0xffffffff) << 32) | round << 32);
    }

    function setValueQ32(Leaf self, uint256 value) internal pure {
        _store(self, 0x20, _load(self, 0x20) & ~(U64 << 64) | value << 64);
    }

    function proofQ32(Leaf self) internal pure returns (int256) {
        return int64(uint64(_load(self, 0x20)));
    }

    function setProofQ32(Leaf self, int256 proof) internal pure {
        _store(self, 0x20, _load(self, 0x20) & ~U64 | uint256(proof) & U64);
    }

    function trustQ32(Leaf self) internal pure returns (uint256) {
        return (_load(self, 0x40) >> 64) & U64;
    }

    function setTrustQ32(Leaf self, uint256 trust) internal pure {
        _store(self, 0x40, _load(self, 0x40) & ~(U64 << 64) | trust << 64);
    }

    function reputationQ32(Leaf self) internal pure returns (uint256) {
        return _load(self, 0x40) & U64;
    }

    function setReputationQ32(Leaf self, uint256 reputation) internal pure {
        _store(self, 0x40, _load(self, 0x40) & ~U64 | reputation);
    }

    function _load(Leaf self, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(self, offset))
        }
    }

    function _store(Leaf self, uint256 offset, uint256 word) private pure {
        assembly ("memory-safe") {
            mstore(add(self, offset), word)
        }
    }
}
