// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

import {Wired} from "./Wired.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {IRuns} from "./interfaces/IRuns.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IStakes} from "./interfaces/IStakes.sol";
import {Phase, Role} from "./interfaces/Types.sol";
import {Deposit} from "./libraries/Deposit.sol";

/// @dev See IStakes.
contract Stakes is IStakes, Wired, ReentrancyGuardTransient {
    struct Stake {
        uint128 amountWei;
        uint40 releaseS; // 0 while seated
    }

    address internal constant DEAD = 0x000000000000000000000000000000000000dEaD;

    /* STORAGE */

    /// @inheritdoc IStakes
    mapping(uint256 run => mapping(address account => Stake)) public stakeOf;

    /// @inheritdoc IStakes
    mapping(uint256 run => uint256 amountWei) public burnable;

    constructor(IRuns runs_, IStakes stakes_, IRounds rounds_, ISettlement settlement_)
        Wired(runs_, stakes_, rounds_, settlement_)
    {
        _requireSelf(address(stakes_));
    }

    /* IN AND OUT */

    /// @inheritdoc IStakes
    function join(uint256 run, uint8 role, uint256 amountWei) external nonReentrant returns (uint16 index) {
        if (role != uint8(Role.TRAINER) && role != uint8(Role.VERIFIER)) revert UnknownRole(role);
        (address token,, uint128 trainerStakeWei, uint128 verifierStakeWei) = runs.terms(run);
        uint128 requiredWei = role == uint8(Role.TRAINER) ? trainerStakeWei : verifierStakeWei;

        uint128 arrivedWei = Deposit.pull(token, amountWei);
        if (arrivedWei < requiredWei) revert StakeTooSmall(arrivedWei, requiredWei);
        // A second seat is refused by admit() below, so nothing is overwritten here.
        stakeOf[run][msg.sender] = Stake(arrivedWei, 0);

        index = rounds.admit(run, Role(role), msg.sender, arrivedWei);

        emit Joined(run, msg.sender, role, index, arrivedWei);
    }

    /// @inheritdoc IStakes
    function exit(uint256 run) external {
        (, uint32 exitS,,) = runs.terms(run);
        Stake storage stake = stakeOf[run][msg.sender];
        if (rounds.seat(run, msg.sender).role == Role.NONE) revert NoStake(run, msg.sender);
        if (stake.releaseS != 0) revert AlreadyExiting(run, msg.sender, stake.releaseS);

        uint40 releaseS = uint40(block.timestamp + exitS); // 40 bits of seconds last 34,000 years
        stake.releaseS = releaseS;

        emit Exiting(run, msg.sender, releaseS);

        rounds.retire(run, msg.sender);
    }

    /// @inheritdoc IStakes
    function withdraw(uint256 run) external nonReentrant {
        Stake memory stake = stakeOf[run][msg.sender];
        if (stake.amountWei == 0) revert NoStake(run, msg.sender);
        if (rounds.clock(run).phase != Phase.ENDED) {
            if (stake.releaseS == 0) revert NotExiting(run, msg.sender);
            if (block.timestamp < stake.releaseS) revert StillLocked(stake.releaseS, block.timestamp);
            if (rounds.onDuty(run, msg.sender)) revert StillOnDuty(run, msg.sender);
        }

        stakeOf[run][msg.sender].amountWei = 0;

        emit Withdrawn(run, msg.sender, stake.amountWei);

        (address token,,,) = runs.terms(run);
        SafeTransferLib.safeTransfer(token, msg.sender, stake.amountWei);
    }

    /* SLASHING */

    /// @inheritdoc IStakes
    function slash(uint256 run, address account, uint256 amountWei) external only(address(settlement)) {
        Stake storage stake = stakeOf[run][account];
        uint128 takenWei = amountWei < stake.amountWei ? uint128(amountWei) : stake.amountWei;
        stake.amountWei -= takenWei;
        burnable[run] += takenWei;

        emit Slashed(run, account, takenWei);
    }

    /// @inheritdoc IStakes
    function burn(uint256 run) external nonReentrant {
        uint256 amountWei = burnable[run];
        if (amountWei == 0) revert NothingToBurn(run);

        burnable[run] = 0;

        emit Burned(run, amountWei);

        (address token,,,) = runs.terms(run);
        SafeTransferLib.safeTransfer(token, DEAD, amountWei);
    }

    /* VIEWS */

    /// @inheritdoc IStakes
    function stakesOf(uint256 run, address[] calldata accounts) external view returns (uint256[] memory stakesWei) {
        stakesWei = new uint256[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) {
            stakesWei[i] = stakeOf[run][accounts[i]].amountWei;
        }
    }
}
