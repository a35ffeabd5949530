// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Masks, Phase} from "../interfaces/Types.sol";
import {Mem} from "./Mem.sol";

/// Who serves in a round, and whom its phases wait for. HOLD and COMMIT wait for the committee's awaited, REVEAL for whoever
/// committed. Newcomers are awaited from the start and eligible from the next round on.
library Committee {
    using Mem for uint256[];

    /// What a verifier weighs in the draw: its stake, and up to `sortitionBps` of it more by its rating.
    /// @dev Below 2^129, whatever the rating.
    function weight(uint256 stakeWei, uint256 ratingQ32, uint256 sortitionBps) internal pure returns (uint256) {
        return stakeWei * ((10_000 << 32) + sortitionBps * ratingQ32) / (10_000 << 32);
    }

    /// Mask of `size` verifiers drawn without replacement, each draw by weight; fewer where fewer have one. Draw k falls
    /// on the verifier whose weight covers keccak256(beacon || k as uint64 || "committee") modulo what is left, weights laid end
    /// to end in index order. src/gradmint/spec/committee.py.
    /// @param weights Per verifier index, each below 2^129; 0 for whoever is not eligible. Whoever is drawn is struck out.
    /// @dev At most 32 weights are added up, and a ticket is below the sum of those that are left.
    function draw(bytes32 beacon, uint256[] memory weights, uint256 size) internal pure returns (uint256 drawn) {
        unchecked {
            uint256 left;
            for (uint256 v; v < weights.length; ++v) {
                left += weights.get(v);
            }
            for (uint256 k; k < size && left != 0; ++k) {
                uint256 ticket = uint256(keccak256(abi.encodePacked(beacon, uint64(k), "committee"))) % left;
                uint256 chosen;
                uint256 weight_ = weights.get(0);
                while (ticket >= weight_) {
                    ticket -= weight_;
                    weight_ = weights.get(++chosen);
                }
                drawn |= 1 << chosen;
                left -= weight_;
                weights.set(chosen, 0);
            }
        }
    }

    /// Who acted in this round's `phase`, one of HOLD, COMMIT, REVEAL.
    function actors(Masks memory m, Phase phase) internal pure returns (uint32) {
        return phase == Phase.HOLD ? m.held : phase == Phase.COMMIT ? m.committed : m.revealed;
    }

    function duty(Masks memory m, Phase phase) internal pure returns (uint32) {
        return phase == Phase.REVEAL ? m.committed : m.awaited & m.active;
    }

    /// At the end of a phase: two misses in a row and nobody waits any longer; one act and everybody waits again.
    function takeAttendance(Masks memory m, Phase phase) internal pure {
        uint32 present = actors(m, phase);
        uint32 absent = duty(m, phase) & ~present;
        m.awaited = (m.awaited & ~(absent & m.missed)) | present;
        m.missed = (m.missed | absent) & ~present;
    }
}
