// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Masks, Phase} from "../interfaces/Types.sol";

/// Whom a phase waits for. HOLD and COMMIT wait for the committee's awaited, REVEAL for whoever committed. Newcomers are
/// awaited from the start and of the committee from the next round on.
library Committee {
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
