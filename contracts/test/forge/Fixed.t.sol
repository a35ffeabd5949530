// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Docket} from "../../libraries/Docket.sol";
import {Fixed} from "../../libraries/Fixed.sol";
import {Hamming} from "../../libraries/Hamming.sol";
import {Registration} from "../../libraries/Registration.sol";
import {Check} from "./Vm.sol";

contract FixedTest is Check {
    uint256 private constant ONE = 1 << 32;

    function test_mean_stays_between_old_and_new(int128 old, int128 new_, uint256 weight) external pure {
        int256 mean = Fixed.meanTowardOld(old, new_, within(weight, 0, 10_000));
        so(old <= new_ ? old <= mean && mean <= new_ : new_ <= mean && mean <= old, "the mean lies between");
    }

    function test_mean_with_the_whole_weight_is_new_and_with_none_is_old(int128 old, int128 new_) external pure {
        so(Fixed.meanTowardOld(old, new_, 10_000) == new_, "the whole weight is new");
        so(Fixed.meanTowardOld(old, new_, 0) == old, "no weight is old");
    }

    function test_mean_is_symmetric_in_sign(int128 old, int128 new_, uint256 weight) external pure {
        vm.assume(old != type(int128).min && new_ != type(int128).min);
        weight = within(weight, 0, 10_000);
        int256 mirrored = Fixed.meanTowardOld(-int256(old), -int256(new_), weight);
        so(mirrored == -Fixed.meanTowardOld(old, new_, weight), "rounding favours no sign");
    }

    function test_bps_of_an_amount_never_exceed_it_and_parts_never_exceed_the_whole(
        uint128 amount,
        uint256 one,
        uint256 two
    ) external pure {
        one = within(one, 0, 10_000);
        two = within(two, 0, 10_000 - one);
        so(Fixed.bpsDown(amount, one) + Fixed.bpsDown(amount, two) <= Fixed.bpsDown(amount, one + two), "parts");
        so(Fixed.bpsDown(amount, one + two) <= amount, "the whole");
    }

    function test_products_of_fractions_stay_fractions(uint64 a, uint256 b) external pure {
        so(Fixed.mulQ32Down(a, within(b, 0, ONE)) <= a, "a part is at most the whole");
    }

    function test_parts_of_a_pot_never_exceed_it(uint128 pot, uint64[8] calldata parts) external pure {
        uint256 total;
        for (uint256 i; i < 8; ++i) {
            total += parts[i];
        }
        vm.assume(total != 0);
        uint256 paid;
        for (uint256 i; i < 8; ++i) {
            paid += Fixed.mulDivDown(pot, parts[i], total);
        }
        so(paid <= pot, "the sum of payouts is at most the pot");
        so(pot - paid < 8, "less than a Wei is lost for each payee");
    }

    function test_running_weight_starts_whole_and_never_falls_below_the_least(uint256 least, uint16 rounds)
        external
        pure
    {
        least = within(least, 1, 10_000);
        so(Fixed.runningWeightBps(least, 0) == 10_000, "the first observation is the mean");
        uint256 now_ = Fixed.runningWeightBps(least, rounds);
        so(now_ >= least && now_ <= 10_000, "in range");
        so(Fixed.runningWeightBps(least, uint256(rounds) + 1) <= now_, "weights fall");
    }

    /* EVERY VALUE OF A SMALL WIDTH: what the prover leaves to enumeration */

    function test_every_mean_of_5_bit_numbers_lies_between_old_and_new() external pure {
        unchecked {
            for (int256 old = -16; old < 16; ++old) {
                for (int256 new_ = -16; new_ < 16; ++new_) {
                    for (uint256 weight; weight <= 10_000; weight += 50) {
                        int256 mean = Fixed.meanTowardOld(old, new_, weight);
                        so(old <= new_ ? old <= mean && mean <= new_ : new_ <= mean && mean <= old, "between");
                    }
                }
            }
        }
    }

    function test_every_three_payouts_of_4_bit_numbers_fit_the_pot() external pure {
        unchecked {
            for (uint256 packed; packed < 1 << 16; ++packed) {
                (uint256 pot, uint256 a, uint256 b, uint256 c) =
                    (packed & 15, (packed >> 4) & 15, (packed >> 8) & 15, packed >> 12);
                uint256 total = a + b + c;
                if (total == 0) continue;
                uint256 paid =
                    Fixed.mulDivDown(pot, a, total) + Fixed.mulDivDown(pot, b, total) + Fixed.mulDivDown(pot, c, total);
                so(paid <= pot && pot - paid < 3, "paid <= pot");
            }
        }
    }

    function test_every_split_of_a_6_bit_bond_adds_up_and_leaves_the_challenger_half_at_most() external pure {
        for (uint128 bond; bond < 64; ++bond) {
            for (uint256 challenger; challenger <= 5_000; challenger += 250) {
                for (uint256 burned; burned <= 10_000 - challenger; burned += 500) {
                    (uint128 reward, uint128 burn, uint128 pool) = Docket.splitBond(bond, challenger, burned);
                    so(reward + burn + pool == bond && 2 * reward <= bond, "split");
                }
            }
        }
    }

    function test_parts_of_a_lost_bond_add_up_and_the_challenger_gets_half_at_most(
        uint128 bond,
        uint256 challenger,
        uint256 burned
    ) external pure {
        challenger = within(challenger, 0, 5_000);
        burned = within(burned, 0, 10_000 - challenger);
        (uint128 reward, uint128 burn, uint128 pool) = Docket.splitBond(bond, challenger, burned);
        same(uint256(reward) + burn + pool, bond, "the parts are the bond");
        so(2 * uint256(reward) <= bond, "who refutes itself loses at least half");
    }

    function test_a_root_is_the_same_from_any_guess(uint256 x, uint256 guess) external pure {
        x = within(x, 0, (1 << 254) - 1);
        guess = within(guess, 1, type(uint128).max);
        uint256 root = Fixed.sqrtNear(x, guess);
        so(root * root <= x && (root + 1) * (root + 1) > x, "the floor of the root");
    }

    function test_sign_is_the_sign(int256 x) external pure {
        so(Fixed.sign(x) == (x > 0 ? int256(1) : x < 0 ? -1 : int256(0)), "sign");
    }
}

contract HammingTest is Check {
    function test_popcount_equals_counting(uint256 x) external pure {
        same(Hamming.popcount(x), naive(x), "popcount");
        same(Hamming.popcount(~x), 256 - naive(x), "of the complement");
    }

    function test_distance_equals_counting_for_any_number_of_words(uint256 seed, uint8 count) external view {
        uint256 words = within(count, 0, 31);
        uint256[] memory a = new uint256[](words);
        uint256[] memory b = new uint256[](words);
        uint256 expected;
        for (uint256 i; i < words; ++i) {
            (a[i], b[i]) = (draw(seed, i), seed % 5 == 0 ? ~draw(seed, i) : draw(seed, 100 + i));
            expected += naive(a[i] ^ b[i]);
        }
        same(this.distanceBits(a, b), expected, "distance");
        same(this.distanceBits(b, a), expected, "is symmetric");
        same(this.distanceBits(a, a), 0, "to itself is zero");
    }

    function test_distance_obeys_the_triangle_inequality(uint256[4] memory a, uint256[4] memory b, uint256[4] memory c)
        external
        view
    {
        uint256 direct = this.distanceBits(_list(a), _list(c));
        so(direct <= this.distanceBits(_list(a), _list(b)) + this.distanceBits(_list(b), _list(c)), "triangle");
    }

    function distanceBits(uint256[] calldata a, uint256[] calldata b) external pure returns (uint256) {
        uint256 first;
        uint256 second;
        assembly ("memory-safe") {
            first := a.offset
            second := b.offset
        }
        return Hamming.distanceBits(first, second, a.length);
    }

    function naive(uint256 x) internal pure returns (uint256 bits) {
        for (; x != 0; x &= x - 1) {
            ++bits;
        }
    }

    function _list(uint256[4] memory words) private pure returns (uint256[] memory list) {
        list = new uint256[](4);
        (list[0], list[1], list[2], list[3]) = (words[0], words[1], words[2], words[3]);
    }
}

contract RegistrationTest is Check {
    function test_price_is_never_below_the_floor_nor_above_both(
        uint128 last,
        uint40 elapsed,
        uint32 halfLife,
        uint128 floor
    ) external pure {
        halfLife = uint32(within(halfLife, 1, type(uint32).max));
        uint128 price = Registration.priceWei(last, elapsed, halfLife, floor);
        so(price >= floor, "the floor");
        so(price <= (last > floor ? last : floor), "time never raises a price");
    }

    function test_price_only_falls_with_time(uint128 last, uint40 early, uint40 late, uint32 halfLife, uint128 floor)
        external
        pure
    {
        halfLife = uint32(within(halfLife, 1, type(uint32).max));
        if (early > late) (early, late) = (late, early);
        so(
            Registration.priceWei(last, late, halfLife, floor) <= Registration.priceWei(last, early, halfLife, floor),
            "later is cheaper"
        );
    }

    function test_price_halves_in_a_half_life(uint128 last, uint32 halfLife, uint8 times) external pure {
        halfLife = uint32(within(halfLife, 1, type(uint32).max));
        same(
            Registration.priceWei(last, uint256(halfLife) * times, halfLife, 0),
            times < 128 ? last >> times : 0,
            "halves"
        );
    }

    function test_each_join_raises_the_price_by_the_bump_at_most(uint128 paid, uint256 bump) external pure {
        bump = within(bump, 0, 10_000);
        uint128 next = Registration.nextPriceWei(paid, bump);
        so(next >= paid, "a join never lowers the price");
        so(next - paid <= uint256(paid) * bump / 10_000, "the bump");
    }
}
