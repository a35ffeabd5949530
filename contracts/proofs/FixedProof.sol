// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Docket} from "../libraries/Docket.sol";
import {Fixed} from "../libraries/Fixed.sol";
import {Registration} from "../libraries/Registration.sol";

/// Rounding and bounds, for all values. Quotients of products of two unknowns are beyond the solver: what depends on those is
/// tried for every value of a small width instead, in contracts/test/forge/Fixed.t.sol (test_every_...).
contract FixedProof {
    function check_mean_without_weight_is_old(int128 old, int128 new_) external pure {
        assert(Fixed.meanTowardOld(old, new_, 0) == old);
    }

    function check_running_weight_lies_between_the_least_and_the_whole(uint16 least, uint16 rounds) external pure {
        if (least > 10_000) return;
        uint256 weight = Fixed.runningWeightBps(least, rounds);
        assert(weight >= least && weight <= 10_000);
    }

    function check_sign_is_one_of_three(int256 x) external pure {
        int256 s = Fixed.sign(x);
        assert(x > 0 ? s == 1 : x < 0 ? s == -1 : s == 0);
    }

    /* REGISTRATION */

    function check_price_is_never_below_the_floor(uint128 last, uint40 elapsed, uint32 halfLife, uint128 floor)
        external
        pure
    {
        if (halfLife == 0) return;
        assert(Registration.priceWei(last, elapsed, halfLife, floor) >= floor);
    }

    function check_time_never_raises_the_price(uint128 last, uint40 elapsed, uint32 halfLife, uint128 floor)
        external
        pure
    {
        if (halfLife == 0) return;
        uint128 price = Registration.priceWei(last, elapsed, halfLife, floor);
        assert(price <= last || price == floor);
    }

    function check_a_join_never_lowers_the_price(uint128 paid, uint16 bump) external pure {
        if (bump > 10_000) return;
        assert(Registration.nextPriceWei(paid, bump) >= paid);
    }

    /* BONDS */

    function check_parts_of_a_lost_bond_add_up_to_it(uint128 bond, uint16 challenger, uint16 burned) external pure {
        if (challenger > 5_000 || burned > 10_000 - challenger) return;
        (uint128 reward, uint128 burn, uint128 pool) = Docket.splitBond(bond, challenger, burned);
        assert(uint256(reward) + burn + pool == bond);
    }
}
