// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// A sum that can still be read as it was when each of the last two epochs ended. One word.
struct Tally {
    uint32 epoch; // of the latest change
    uint64 total; // now
    uint64 before; // when the epoch before `epoch` ended
    uint64 before2; // and the one before that
    uint32 note; // no part of the sum: what its owner reads and writes with it
}

/// Moves a tally through the epochs and reads it; src/gradmint/spec/endorsements.py.
library Tallies {
    /// To `epoch`, not earlier than its own: `total` may change then.
    function moveTo(Tally memory self, uint32 epoch) internal pure {
        unchecked {
            uint32 passed = epoch - self.epoch; // callers' epochs never fall
            if (passed == 0) return;
            self.before2 = passed == 1 ? self.before : self.total;
            self.before = self.total;
            self.epoch = epoch;
        }
    }

    /// What it was when epoch `cut` ended; `known` is false when that is no longer kept.
    function read(Tally memory self, uint256 cut) internal pure returns (bool known, uint64 total) {
        if (self.epoch <= cut) return (true, self.total);
        if (self.epoch == cut + 1) return (true, self.before);
        return (self.epoch == cut + 2, self.before2);
    }
}
