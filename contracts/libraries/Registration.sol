// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// What a seat costs: a stake, less for who has a rating, and a price that rises with each join and decays between them.
/// src/gradmint/spec/registration.py.
/// @dev Prices are below 2^128, seconds below 2^40, half-lives below 2^32, bumps at most 10,000, ratings below 2^32: no product overflows.
library Registration {
    uint256 private constant BPS = 10_000;

    /// Price `elapsedS` after it was `lastWei`: halved every `halfLifeS` (not 0), straight lines between, never below the
    /// floor.
    function priceWei(uint128 lastWei, uint256 elapsedS, uint256 halfLifeS, uint128 floorWei)
        internal
        pure
        returns (uint128)
    {
        uint256 leftWei = uint256(lastWei) >> (elapsedS / halfLifeS); // a shift by 256 or more gives 0
        leftWei -= leftWei * (elapsedS % halfLifeS) / (2 * halfLifeS);
        return leftWei > floorWei ? uint128(leftWei) : floorWei; // it only fell
    }

    /// Least stake of an account with this rating: up to `discountBps` less, the discount rounded down.
    function discountedWei(uint128 requiredWei, uint256 ratingQ32, uint256 discountBps)
        internal
        pure
        returns (uint128)
    {
        return requiredWei - uint128((uint256(requiredWei) * discountBps * ratingQ32 >> 32) / BPS);
    }

    /// What the price is right after a join at `paidWei`.
    function nextPriceWei(uint128 paidWei, uint256 bumpBps) internal pure returns (uint128) {
        uint256 raisedWei = uint256(paidWei) + uint256(paidWei) * bumpBps / BPS;
        return raisedWei < type(uint128).max ? uint128(raisedWei) : type(uint128).max;
    }
}
