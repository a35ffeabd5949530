// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Fixed} from "./Fixed.sol";
import {Mem} from "./Mem.sol";
import {Sort} from "./Sort.sol";
import {Leaf, Standings} from "./Standings.sol";

/// Plackett-Luce rating (Weng and Lin 2011, algorithm 4) in fixed point; src/gradmint/spec/rating.py says what is computed.
///
/// Units: mu, sigma, c in Q32; variances, omega, delta in Q64; e with 18 decimals, times exp(30); 1 / S_g times 2^184.
///
/// @dev Bounds behind every unchecked block, for 1,024 players: sigma is at most 25/3, a variance below 2^71, c in 2^34..2^41;
/// |mu| below 2^57, for no match moves it by more than 2^41 and there are 65,535 of them. e is in 10^18..2^104 and its sum
/// below 2^114, so 1 / S_g is below 2^125. No e is above an S_g that it is part of: e / S_g is at most 2^184 and its sum over
/// the groups 2^194; e times the sum of 1 / S_g^2 at most 2^(184 + 125 - 64 + 10).
library Rating {
    /// A player is one word: rank 32 | strength 104 | what the caller likes 88 | address of its standing 32.
    uint256 internal constant RANK_AT = 224;
    uint256 private constant STRENGTH_AT = 120;
    uint256 private constant STRENGTH = 0xffffffffffffffffffffffffff;

    uint256 private constant WAD = 1e18;
    uint256 private constant SPREAD_WAD = 30e18;
    uint256 private constant INVERSE_BITS = 184;
    uint256 private constant ONE_Q64 = 0x10000000000000000;
    uint256 private constant KAPPA_Q64 = 1844674407370955; // 1e-4
    uint256 private constant SIGMA_Q32 = 35791394133; // 25 / 3
    uint256 private constant BETA2_Q64 = 320255973478041008356; // (sigma / 2)^2
    uint256 private constant TAU_Q32 = 357913941; // 25 / 300
    uint256 private constant TAU2_Q64 = 128102389162151481;

    /// Rates the players' standings after one match, and sorts the players: a lower rank is better, equal ranks are ties.
    function rate(uint256[] memory players) internal pure {
        (uint256 cQ32, uint256 behind) = _strengthen(players);
        Sort.sort(players);
        _advance(players, cQ32, behind);
    }

    /// mu - 3 sigma: what the rating is at least, with 99.7%.
    function ordinalQ32(Leaf leaf) internal pure returns (int256) {
        unchecked {
            return leaf.muQ32() - 3 * int256(leaf.sigmaQ32());
        }
    }

    /// c, what all players' performances vary by; and the sum of every player's e = exp(mu / c + 30 - the best's mu / c), at
    /// least 1, which is noted with the player.
    function _strengthen(uint256[] memory players) private pure returns (uint256 cQ32, uint256 sum) {
        unchecked {
            uint256 end = Mem.end(players);
            uint256 varianceQ64 = players.length * (TAU2_Q64 + BETA2_Q64);
            if (varianceQ64 == 0) return (0, 0); // nobody
            int256 bestQ32 = type(int256).min;
            for (uint256 slot = Mem.first(players); slot < end; slot += 32) {
                Leaf leaf = _leaf(Mem.read(slot));
                uint256 sigma = leaf.sigmaQ32();
                varianceQ64 += sigma * sigma;
                int256 muQ32 = leaf.muQ32();
                if (muQ32 > bestQ32) bestQ32 = muQ32;
            }
            cQ32 = Fixed.sqrtDown(varianceQ64);
            for (uint256 slot = Mem.first(players); slot < end; slot += 32) {
                uint256 player = Mem.read(slot);
                uint256 behindWad = Fixed.mulDivDown(uint256(bestQ32 - _leaf(player).muQ32()), WAD, cQ32);
                uint256 strength = Fixed.expWad(int256(SPREAD_WAD - Fixed.min(behindWad, SPREAD_WAD)));
                sum += strength;
                Mem.write(slot, player | strength << STRENGTH_AT);
            }
        }
    }

    /// Moves everybody, group by group from the best on. `behind` is S_g of the first.
    /// @dev In assembly, for a quarter less: the compiler spends as much on moving a dozen variables about.
    function _advance(uint256[] memory players, uint256 cQ32, uint256 behind) private pure {
        assembly ("memory-safe") {
            /// floor(sqrt(x)) by Newton's steps from near by, as Fixed.sqrtNear: a step never leads below it, so it is what
            /// does not exceed x when squared. x and guess are below 2^71, and so is every step.
            function root(x, guess) -> z {
                for { z := shr(1, add(guess, div(x, guess))) } gt(mul(z, z), x) {} { z := shr(1, add(z, div(x, z))) }
            }
            let slot := add(players, 0x20)
            let end := add(slot, shl(5, mload(players)))
            let first := 0 // sum of 1 / S_g
            let second := 0 // and of its square
            for {} lt(slot, end) {} {
                let inverse := div(shl(INVERSE_BITS, 1), behind)
                first := add(first, inverse)
                second := add(second, shr(64, mul(inverse, inverse)))
                let until := slot
                for { let ties := 1 } ties {} {
                    behind := sub(behind, and(shr(STRENGTH_AT, mload(until)), STRENGTH))
                    until := add(until, 0x20)
                    ties := gt(lt(until, end), shr(RANK_AT, xor(mload(until), mload(slot))))
                }
                let win := div(shl(69, 1), sub(until, slot)) // 1 / number of members, Q64
                for {} lt(slot, until) { slot := add(slot, 0x20) } {
                    let strength := mload(slot)
                    let at := add(and(strength, 0xffffffff), 0x40) // mu, sigma, trust, reputation
                    strength := and(shr(STRENGTH_AT, strength), STRENGTH)
                    let chances := shr(120, mul(strength, first)) // sum of e / S_g, Q64
                    let skill := mload(at)
                    let sigma := and(shr(128, skill), 0xffffffffffffffff)
                    let variance := add(mul(sigma, sigma), TAU2_Q64)
                    sigma := root(variance, xor(sigma, mul(xor(sigma, TAU_Q32), lt(sigma, TAU_Q32))))

                    // mu += variance / c * omega, the step truncated toward zero.
                    let omega := sub(win, chances)
                    let negative := sar(255, omega) // all ones, or 0
                    let step := shr(64, div(mul(variance, sub(xor(omega, negative), negative)), cQ32))
                    let mu := add(sar(192, skill), sub(xor(step, negative), negative))

                    // keep = max(kappa, 1 - variance^(3/2) / c^3 * max(0, chances - squares)), Q64
                    let delta := sub(chances, shr(106, mul(shr(134, mul(strength, second)), strength)))
                    delta := mul(delta, sgt(delta, 0))
                    let keep := sub(ONE_Q64, div(mul(mul(delta, variance), sigma), mul(mul(cQ32, cQ32), cQ32)))
                    keep := xor(keep, mul(xor(keep, KAPPA_Q64), slt(keep, KAPPA_Q64)))

                    // sqrt(variance * keep) >> 32 of the specification has the same floor. It is a little less than
                    // sqrt(variance) * (1 + keep) / 2. Nobody is less certain than a newcomer.
                    sigma := root(shr(64, mul(variance, keep)), shr(65, mul(sigma, add(ONE_Q64, keep))))
                    sigma := xor(sigma, mul(xor(sigma, SIGMA_Q32), gt(sigma, SIGMA_Q32)))
                    mstore(at, or(or(shl(192, mu), shl(128, sigma)), and(skill, 0xffffffffffffffffffffffffffffffff)))
                }
            }
        }
    }

    function _leaf(uint256 player) private pure returns (Leaf) {
        return Leaf.wrap(uint32(player));
    }
}
