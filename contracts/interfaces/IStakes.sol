// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Exposure, Params, Pricing, Record} from "./Types.sol";

/// @title Stakes: join as trainer or verifier, leave after a delay; bonds behind proposed settlements; what exposures take
/// @notice A stake is in the run's token and stays slashable until it is withdrawn. Exits cannot be stopped by anyone. A
/// seat has a price, which is burned. A bond is locked behind a proposal or a challenge and lost when that was wrong.
/// @dev Slashing, seizing, locking and forfeiting move tokens only in the books, so no token can block a settlement; burn() and
/// pool() move them for real.
/// @dev Not guaranteed: that a stake is still there when a proposing run's settlement is late by more than challenge window
/// and extension. Who left that long ago may have withdrawn; then nothing is slashed.
interface IStakes {
    /// `stakeWei` arrived after the price was taken from it.
    event Joined(
        uint256 indexed run, address indexed account, uint8 role, uint16 index, uint256 stakeWei, uint256 priceWei
    );
    /// Left, or its seat was given to a newcomer.
    event Exiting(uint256 indexed run, address indexed account, uint40 releaseS);
    event Withdrawn(uint256 indexed run, address indexed account, uint256 amountWei);
    event Slashed(uint256 indexed run, address indexed account, uint256 amountWei);
    event Burned(uint256 indexed run, uint256 amountWei);
    event Bonded(uint256 indexed run, address indexed account, uint256 amountWei);
    event Unbonded(uint256 indexed run, address indexed account, uint256 amountWei);
    /// A bond was lost: its parts to the beneficiary's bond, to be burned, to the run's budget.
    event Forfeited(
        uint256 indexed run,
        address indexed account,
        address indexed beneficiary,
        uint256 rewardWei,
        uint256 burnWei,
        uint256 poolWei
    );
    /// `trainer`'s update in `round` was planted; each verifier in the mask `guilty` called it OK and is Seized.
    event Exposed(
        uint256 indexed run, uint16 round, uint16 trainer, address indexed exposer, bytes32 secret, uint32 guilty
    );
    /// A stake lost these parts to an exposure: to the exposer's bond, to be burned, to the run's budget.
    event Seized(
        uint256 indexed run,
        address indexed account,
        address indexed beneficiary,
        uint256 rewardWei,
        uint256 burnWei,
        uint256 poolWei
    );
    /// Into the run's budget, where it is Funded; burned when the run has ended.
    event Pooled(uint256 indexed run, uint256 amountWei);

    error UnknownRole(uint8 role);
    /// What arrived, less the price, is less than the run asks of this role.
    error StakeTooSmall(uint256 arrivedWei, uint256 requiredWei);
    /// Somebody joined meanwhile; the price falls again.
    error PriceAboveLimit(uint256 priceWei, uint256 maxPriceWei);
    /// The account holds no stake in this run.
    error NoStake(uint256 run, address account);
    error AlreadyExiting(uint256 run, address account, uint40 releaseS);
    /// Leave first: exit() starts the delay. (Not needed after the run's end, once everything is settled.)
    error NotExiting(uint256 run, address account);
    error StillLocked(uint40 releaseS, uint256 nowS);
    /// A verifier who can be called on stays slashable until the round is over, however late; poke() moves it on.
    error StillOnDuty(uint256 run, address account);
    /// In a proposing run a stake answers for its rounds until they are final: propose, refute and finalise them first.
    error NotFinalYet(uint256 run, uint16 untilRound, uint16 settledRound);
    error NothingToBurn(uint256 run);
    error NothingToPool(uint256 run);
    /// The rows do not begin with the phase that opened the round, or have at this offset what no round says, or end in it.
    error RoundRows(uint256 offset);
    /// The trainer's first submission is another; 0: it submitted nothing.
    error BlobMismatch(bytes32 expected, bytes32 actual);
    /// The update's words are not those of this beneficiary and secret.
    error NotPlanted(address beneficiary, bytes32 secret);
    /// The beacon did not ask for the trainer's header to be checked.
    error NotAssigned(uint16 round, uint16 trainer);
    error AlreadyExposed(uint256 run, uint16 round, uint16 trainer);
    /// None of the accused called the update OK and still holds the seat in which it did.
    error NobodyGuilty(uint256 run, uint16 round, uint16 trainer);
    /// bond() first; what is behind a proposal or a challenge is not free.
    error BondTooSmall(uint256 run, address account, uint256 freeWei, uint256 requiredWei);

    /// @notice Joins `run`: `stakeWei` and the seat's price are taken from the caller at once, in the run's token. One seat
    /// per account and run, for good. See IRounds.admit for which.
    /// @param role 1 trainer, 2 verifier.
    /// @param stakeWei At least the run's stake for the role must arrive beside the price. A verifier's stake is its weight.
    /// @param maxPriceWei What the seat may cost at most; priceOf() says what it costs now.
    function join(uint256 run, uint8 role, uint256 stakeWei, uint256 maxPriceWei) external returns (uint16 index);

    /// @notice Leaves: no more submissions from now on, no committee from the next round on; the stake is released after
    /// the run's exit delay. Also for whoever was ejected.
    function exit(uint256 run) external;

    /// @notice Pays the caller's stake back: after the exit delay, or at once when the run has ended and is settled.
    function withdraw(uint256 run) external;

    /// @notice Deposits a bond for proposals and challenges in `run`; what arrives counts.
    function bond(uint256 run, uint256 amountWei) external;

    /// @notice Takes out what is not locked.
    function unbond(uint256 run, uint256 amountWei) external;

    /// @notice Moves what lost bonds left to the run into its budget; burns it when the run has ended. Anyone.
    function pool(uint256 run) external;

    /// @notice Sends everything slashed or paid for seats in `run` to 0x...dEaD. Anyone.
    function burn(uint256 run) external;

    /// @notice Shows that a recorded update was planted by the caller, and takes `slashBps` of the recorded stake of every
    /// accused verifier who called it OK though the beacon asked for a look at its header: parts to the caller's bond, to be
    /// burned, to the run's budget, as of a lost bond. Who has too little left to stay leaves. Once per update.
    /// @dev Reports are judged one by one, whatever the others say: the cluster is no excuse. Whose seat was given to somebody
    /// else since is not touched. A direct run keeps its latest record only: expose before the next round is recorded.
    /// @dev Not guaranteed: that an update whose blob exceeds a transaction can be exposed.
    /// @param params As in the run's Opened event.
    /// @param record The round's.
    function expose(uint256 run, Params calldata params, Record calldata record, Exposure calldata exposure) external;

    /// @notice Keeps what a seat costs. Only Runs.
    function create(uint256 run, Pricing calldata pricing) external;

    /// @notice Takes up to `amountWei` of a stake. Only Settlement.
    /// @return leftWei What the account has left.
    function slash(uint256 run, address account, uint256 amountWei) external returns (uint128 leftWei);

    /// @notice Locks a part of a bond. Only Settlement.
    function lock(uint256 run, address account, uint128 amountWei) external;
    /// @notice Only Settlement.
    function unlock(uint256 run, address account, uint128 amountWei) external;
    /// @notice Takes a locked bond: parts to the beneficiary's bond, to be burned, to be pooled. Only Settlement.
    function forfeit(
        uint256 run,
        address account,
        address beneficiary,
        uint128 bondWei,
        uint256 challengerBps,
        uint256 burnBps
    ) external;

    /// @notice What a seat costs now, beside the stake.
    function priceOf(uint256 run) external view returns (uint128);
    /// @notice Stake and release time; `releaseS` is 0 while seated.
    function stakeOf(uint256 run, address account) external view returns (uint128 amountWei, uint40 releaseS);
    function stakesOf(uint256 run, address[] calldata accounts) external view returns (uint256[] memory stakesWei);
    /// @notice Mask of `size` verifiers drawn among those in the mask `eligible`, by what they have staked now; see
    /// Committee.draw.
    function draw(uint256 run, bytes32 beacon, uint32 eligible, uint8 size) external view returns (uint32);
    function bondOf(uint256 run, address account) external view returns (uint128 amountWei, uint128 lockedWei);
    /// @notice Whether the update was exposed.
    function exposed(uint256 run, uint16 round, uint16 trainer) external view returns (bool);
    /// @notice Slashed, seized, forfeited or paid for seats, and not yet sent away.
    function burnable(uint256 run) external view returns (uint256);
    /// @notice Forfeited or seized for the run's budget and not yet moved there.
    function poolable(uint256 run) external view returns (uint256);
}
