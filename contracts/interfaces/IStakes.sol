// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// @title Stakes: join as trainer or verifier, leave after a delay
/// @notice A stake is in the run's token and stays slashable until it is withdrawn. Exits cannot be stopped by anyone.
/// @dev A slash moves tokens only in the books, so no token can block a settlement; burn() moves them for real.
interface IStakes {
    event Joined(uint256 indexed run, address indexed account, uint8 role, uint16 index, uint256 stakeWei);
    event Exiting(uint256 indexed run, address indexed account, uint40 releaseS);
    event Withdrawn(uint256 indexed run, address indexed account, uint256 amountWei);
    event Slashed(uint256 indexed run, address indexed account, uint256 amountWei);
    event Burned(uint256 indexed run, uint256 amountWei);

    error UnknownRole(uint8 role);
    /// What arrived is less than the run asks of this role.
    error StakeTooSmall(uint256 arrivedWei, uint256 requiredWei);
    /// The account holds no stake in this run.
    error NoStake(uint256 run, address account);
    error AlreadyExiting(uint256 run, address account, uint40 releaseS);
    /// Leave first: exit() starts the delay. (Not needed after the run's end.)
    error NotExiting(uint256 run, address account);
    error StillLocked(uint40 releaseS, uint256 nowS);
    /// A verifier of this round's committee stays slashable until the round is over, however late; poke() moves it on.
    error StillOnDuty(uint256 run, address account);
    error NothingToBurn(uint256 run);

    /// @notice Joins `run`, staking `amountWei` of its token from the caller. One seat per account and run, for good.
    /// @param role 1 trainer, 2 verifier.
    /// @param amountWei At least the run's stake for the role must arrive. A verifier's stake is its weight.
    function join(uint256 run, uint8 role, uint256 amountWei) external returns (uint16 index);

    /// @notice Leaves: no more submissions from now on, no committee from the next round on; the stake is released after
    /// the run's exit delay. Also for whoever was ejected.
    function exit(uint256 run) external;

    /// @notice Pays the caller's stake back: after the exit delay, or at once when the run has ended.
    function withdraw(uint256 run) external;

    /// @notice Takes up to `amountWei` of a stake. Only Settlement.
    function slash(uint256 run, address account, uint256 amountWei) external;

    /// @notice Sends everything slashed in `run` to 0x...dEaD. Anyone.
    function burn(uint256 run) external;

    /// @notice Stake and release time; `releaseS` is 0 while seated.
    function stakeOf(uint256 run, address account) external view returns (uint128 amountWei, uint40 releaseS);
    function stakesOf(uint256 run, address[] calldata accounts) external view returns (uint256[] memory stakesWei);
    /// @notice Slashed and not yet sent away.
    function burnable(uint256 run) external view returns (uint256);
}
