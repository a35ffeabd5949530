// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Masks, Phase} from "../interfaces/Types.sol";
import {Mem} from "./Mem.sol";

/// Who serves in a round, and whom its phases wait for. HOLD and COMMIT wait for the committee's awaited, REVEAL for whoever
/// committed. Newcomers are awaited from the start and eligible from the next round on.
library Committee {
    using Mem for uint256[];

    /// Mask of `size` verifiers drawn without replacement, each draw weighted by stake; fewer where fewer have one. Draw k falls
    /// on the verifier whose stake covers keccak256(beacon || k as uint64 || "committee") modulo what is left, stakes laid end
    /// to end in index order. src/gradmint/spec/committee.py.
    /// @param stakesWei Per verifier index, each below 2^128; 0 for whoever is not eligible. Whoever is drawn is struck out.
    /// @dev At most 32 stakes are added up, and a ticket is below the sum of those that are left.
    function draw(bytes32 beacon, uint256[] memory stakesWei, uint256 size) internal pure returns (uint256 drawn) {
        unchecked {
            uint256 leftWei;
            for (uint256 v; v < stakesWei.length; ++v) {
                leftWei += stakesWei.get(v);
            }
            for (uint256 k; k < size && leftWei != 0; ++k) {
                uint256 ticket = uint256(keccak256(abi.encodePacked(beacon, uint64(k), "committee"))) % leftWei;
                uint256 chosen;
                uint256 stakeWei = stakesWei.get(0);
                while (ticket >= stakeWei) {
                    ticket -= stakeWei;
                    stakeWei = stakesWei.get(++chosen);
                }
                drawn |= 1 << chosen;
                leftWei -= stakeWei;
                stakesWei.set(chosen, 0);
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
