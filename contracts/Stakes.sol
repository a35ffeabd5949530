// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

import {Wired} from "./Wired.sol";
import {IReputation} from "./interfaces/IReputation.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {IRuns} from "./interfaces/IRuns.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IStakes} from "./interfaces/IStakes.sol";
import {Exposure, Params, Phase, Pricing, Record, Role} from "./interfaces/Types.sol";
import {Committee} from "./libraries/Committee.sol";
import {Deposit} from "./libraries/Deposit.sol";
import {Docket} from "./libraries/Docket.sol";
import {Fixed} from "./libraries/Fixed.sol";
import {Mechanism} from "./libraries/Mechanism.sol";
import {ParamsRules} from "./libraries/ParamsRules.sol";
import {Plant} from "./libraries/Plant.sol";
import {Registration} from "./libraries/Registration.sol";

/// @dev See IStakes.
contract Stakes is IStakes, Wired, ReentrancyGuardTransient {
    struct Stake {
        uint128 amountWei;
        uint40 releaseS; // 0 while seated
        uint16 untilRound; // the last round it can have been on duty in
    }

    struct Bond {
        uint128 amountWei; // all of it
        uint128 lockedWei; // behind proposals and challenges
    }

    struct Price {
        uint128 lastWei; // right after the latest join
        uint40 sinceS;
    }

    address internal constant DEAD = 0x000000000000000000000000000000000000dEaD;

    /* STORAGE */

    mapping(uint256 run => mapping(address account => Stake)) private _stakes;

    /// @inheritdoc IStakes
    mapping(uint256 run => mapping(address account => Bond)) public bondOf;

    /// @inheritdoc IStakes
    mapping(uint256 run => uint256 amountWei) public burnable;

    /// @inheritdoc IStakes
    mapping(uint256 run => uint256 amountWei) public poolable;

    /// @inheritdoc IStakes
    mapping(uint256 run => mapping(uint16 round => mapping(uint16 trainer => bool))) public exposed;

    mapping(uint256 run => Pricing) private _pricings;
    mapping(uint256 run => Price) private _prices;

    constructor(IRuns runs_, IStakes stakes_, IRounds rounds_, ISettlement settlement_, IReputation reputation_)
        Wired(runs_, stakes_, rounds_, settlement_, reputation_)
    {
        _requireSelf(address(stakes_));
    }

    /* IN AND OUT */

    /// @inheritdoc IStakes
    function join(uint256 run, uint8 role, uint256 stakeWei, uint256 maxPriceWei)
        external
        nonReentrant
        returns (uint16 index)
    {
        if (role != uint8(Role.TRAINER) && role != uint8(Role.VERIFIER)) revert UnknownRole(role);
        (address token, uint32 exitS, uint128 trainerStakeWei, uint128 verifierStakeWei) = runs.terms(run);
        uint128 requiredWei = _discounted(run, role == uint8(Role.TRAINER) ? trainerStakeWei : verifierStakeWei);
        uint128 priceWei = _payPrice(run, maxPriceWei);

        uint128 arrivedWei = Deposit.pull(token, stakeWei + priceWei);
        uint128 stakedWei = arrivedWei > priceWei ? arrivedWei - priceWei : 0;
        if (stakedWei < requiredWei || arrivedWei < priceWei) revert StakeTooSmall(stakedWei, requiredWei);
        // A second seat is refused by admit() below, so nothing is overwritten here.
        _stakes[run][msg.sender] = Stake(stakedWei, 0, 0);

        address pruned;
        (index, pruned) = rounds.admit(run, Role(role), msg.sender, stakedWei);
        if (pruned != address(0)) _release(run, pruned, exitS);

        emit Joined(run, msg.sender, role, index, stakedWei, priceWei);
    }

    /// @inheritdoc IStakes
    function exit(uint256 run) external {
        (, uint32 exitS,,) = runs.terms(run);
        uint40 releaseS = _stakes[run][msg.sender].releaseS;
        if (rounds.seat(run, msg.sender).role == Role.NONE) revert NoStake(run, msg.sender);
        if (releaseS != 0) revert AlreadyExiting(run, msg.sender, releaseS);

        _release(run, msg.sender, exitS);

        rounds.retire(run, msg.sender);
    }

    /// @inheritdoc IStakes
    function withdraw(uint256 run) external nonReentrant {
        Stake memory stake = _stakes[run][msg.sender];
        if (stake.amountWei == 0) revert NoStake(run, msg.sender);
        if (!_hasEnded(run) || !settlement.isCaughtUp(run)) {
            if (stake.releaseS == 0) revert NotExiting(run, msg.sender);
            if (block.timestamp < stake.releaseS) revert StillLocked(stake.releaseS, block.timestamp);
            if (rounds.onDuty(run, msg.sender)) revert StillOnDuty(run, msg.sender);
            (uint16 settled,,,) = settlement.docket(run);
            if (settled < stake.untilRound && !settlement.isCaughtUp(run)) {
                revert NotFinalYet(run, stake.untilRound, settled);
            }
        }

        _stakes[run][msg.sender].amountWei = 0;

        emit Withdrawn(run, msg.sender, stake.amountWei);

        _send(run, msg.sender, stake.amountWei);
    }

    /* BONDS */

    /// @inheritdoc IStakes
    function bond(uint256 run, uint256 amountWei) external nonReentrant {
        (address token,,,) = runs.terms(run);

        uint128 arrivedWei = Deposit.pull(token, amountWei);
        bondOf[run][msg.sender].amountWei += arrivedWei;

        emit Bonded(run, msg.sender, arrivedWei);
    }

    /// @inheritdoc IStakes
    function unbond(uint256 run, uint256 amountWei) external nonReentrant {
        Bond storage found = _requireFree(run, msg.sender, amountWei);

        found.amountWei -= uint128(amountWei); // at most what is free

        emit Unbonded(run, msg.sender, amountWei);

        _send(run, msg.sender, amountWei);
    }

    /// @inheritdoc IStakes
    function pool(uint256 run) external nonReentrant {
        uint256 amountWei = poolable[run];
        if (amountWei == 0) revert NothingToPool(run);

        poolable[run] = 0;

        emit Pooled(run, amountWei);

        if (_hasEnded(run)) {
            _send(run, DEAD, amountWei);
        } else {
            (address token,,,) = runs.terms(run);
            SafeTransferLib.safeApproveWithRetry(token, address(runs), amountWei);
            runs.fund(run, amountWei);
        }
    }

    /// @inheritdoc IStakes
    function burn(uint256 run) external nonReentrant {
        uint256 amountWei = burnable[run];
        if (amountWei == 0) revert NothingToBurn(run);

        burnable[run] = 0;

        emit Burned(run, amountWei);

        _send(run, DEAD, amountWei);
    }

    /* EXPOSURES */

    /// @inheritdoc IStakes
    function expose(uint256 run, Params calldata params, Record calldata record, Exposure calldata exposure) external {
        _checkRecorded(run, params, record);
        (uint16 round, uint16 trainer) = (record.round, exposure.trainer);
        if (exposed[run][round][trainer]) revert AlreadyExposed(run, round, trainer);
        Plant.check(params, record, exposure, msg.sender);

        address[] memory holders = rounds.verifiersAt(run, 0, record.verifiers);
        uint32 guilty = Plant.wavedThrough(params.words, record, exposure);
        for (uint256 v; v < holders.length; ++v) {
            bool newcomer = (guilty >> v) & 1 == 1 && rounds.seat(run, holders[v]).sinceRound > round;
            if (newcomer) guilty &= ~(uint32(1) << uint32(v));
        }
        if (guilty == 0) revert NobodyGuilty(run, round, trainer);
        exposed[run][round][trainer] = true;

        emit Exposed(run, round, trainer, msg.sender, exposure.secret, guilty);

        for (uint256 v; v < holders.length; ++v) {
            if ((guilty >> v) & 1 == 1) _seize(run, params, holders[v], record.stakesWei[v]);
        }
    }

    /* SIBLINGS */

    /// @inheritdoc IStakes
    function create(uint256 run, Pricing calldata pricing) external only(address(runs)) {
        _pricings[run] = pricing;
    }

    /// @inheritdoc IStakes
    function slash(uint256 run, address account, uint256 amountWei)
        external
        only(address(settlement))
        returns (uint128 leftWei)
    {
        Stake storage stake = _stakes[run][account];
        uint128 takenWei = amountWei < stake.amountWei ? uint128(amountWei) : stake.amountWei;
        leftWei = stake.amountWei - takenWei;
        stake.amountWei = leftWei;
        burnable[run] += takenWei;

        emit Slashed(run, account, takenWei);
    }

    /// @inheritdoc IStakes
    function lock(uint256 run, address account, uint128 amountWei) external only(address(settlement)) {
        _requireFree(run, account, amountWei).lockedWei += amountWei;
    }

    /// @inheritdoc IStakes
    function unlock(uint256 run, address account, uint128 amountWei) external only(address(settlement)) {
        bondOf[run][account].lockedWei -= amountWei;
    }

    /// @inheritdoc IStakes
    function forfeit(
        uint256 run,
        address account,
        address beneficiary,
        uint128 bondWei,
        uint256 challengerBps,
        uint256 burnBps
    ) external only(address(settlement)) {
        (uint128 rewardWei, uint128 burnWei, uint128 poolWei) = Docket.splitBond(bondWei, challengerBps, burnBps);
        Bond storage lost = bondOf[run][account];
        (lost.amountWei, lost.lockedWei) = (lost.amountWei - bondWei, lost.lockedWei - bondWei);
        bondOf[run][beneficiary].amountWei += rewardWei; // may be the same account
        burnable[run] += burnWei;
        poolable[run] += poolWei;

        emit Forfeited(run, account, beneficiary, rewardWei, burnWei, poolWei);
    }

    /* VIEWS */

    /// @inheritdoc IStakes
    function priceOf(uint256 run) public view returns (uint128) {
        Pricing memory pricing = _pricings[run];
        Price memory price = _prices[run];
        if (pricing.joinHalfLifeS == 0) revert IRuns.UnknownRun(run);
        return Registration.priceWei(
            price.lastWei, block.timestamp - price.sinceS, pricing.joinHalfLifeS, pricing.joinPriceWei
        );
    }

    /// @inheritdoc IStakes
    function stakeOf(uint256 run, address account) external view returns (uint128 amountWei, uint40 releaseS) {
        Stake memory stake = _stakes[run][account];
        return (stake.amountWei, stake.releaseS);
    }

    /// @inheritdoc IStakes
    function draw(uint256 run, bytes32 beacon, uint32 eligible, uint8 size) external view returns (uint32) {
        uint256 sortitionBps = _pricings[run].sortitionBps;
        address[] memory verifiers = rounds.verifiersAt(run, 0, 32);
        uint256[] memory weights = new uint256[](verifiers.length);
        for (uint256 v; v < verifiers.length; ++v) {
            if ((eligible >> v) & 1 == 0) continue;
            weights[v] = _stakes[run][verifiers[v]].amountWei;
            if (sortitionBps == 0) continue;
            weights[v] = Committee.weight(weights[v], rounds.seat(run, verifiers[v]).ratingQ32, sortitionBps);
        }
        return uint32(Committee.draw(beacon, weights, size)); // a bit for each of 32
    }

    /// @inheritdoc IStakes
    function stakesOf(uint256 run, address[] calldata accounts) external view returns (uint256[] memory stakesWei) {
        stakesWei = new uint256[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) {
            stakesWei[i] = _stakes[run][accounts[i]].amountWei;
        }
    }

    /* PRIVATE */

    function _checkRecorded(uint256 run, Params calldata params, Record calldata record) private view {
        (bytes32 expected,) = runs.basis(run);
        bytes32 actual = keccak256(ParamsRules.encode(params));
        if (actual != expected) revert ISettlement.ParamsMismatch(expected, actual);
        (bytes30 recorded,) = rounds.record(run, record.round);
        bytes30 brought = Docket.hashRecord(record);
        if (brought != recorded) revert ISettlement.RecordMismatch(run, record.round, recorded, brought);
    }

    /// Takes what an exposure costs, as far as it is there, for the caller, the fire and the budget.
    function _seize(uint256 run, Params calldata params, address account, uint256 recordedWei) private {
        Stake storage stake = _stakes[run][account];
        uint256 dueWei = Fixed.bpsDown(recordedWei, params.slashBps);
        uint128 takenWei = dueWei < stake.amountWei ? uint128(dueWei) : stake.amountWei;
        uint128 leftWei = stake.amountWei - takenWei;
        stake.amountWei = leftWei;
        (uint128 rewardWei, uint128 burnWei, uint128 poolWei) =
            Docket.splitBond(takenWei, params.challengerBps, params.burnBps);
        bondOf[run][msg.sender].amountWei += rewardWei;
        burnable[run] += burnWei;
        poolable[run] += poolWei;

        emit Seized(run, account, msg.sender, rewardWei, burnWei, poolWei);

        if (Mechanism.isEjected(leftWei, params.verifierStakeWei)) rounds.retire(run, account);
    }

    /// What the caller must stake at least, by its rating.
    function _discounted(uint256 run, uint128 requiredWei) private view returns (uint128) {
        uint256 discountBps = _pricings[run].discountBps;
        if (discountBps == 0) return requiredWei;
        return Registration.discountedWei(requiredWei, reputation.ratingOf(msg.sender), discountBps);
    }

    /// Founders find the floor and leave it there.
    function _payPrice(uint256 run, uint256 maxPriceWei) private returns (uint128 priceWei) {
        priceWei = priceOf(run);
        if (priceWei > maxPriceWei) revert PriceAboveLimit(priceWei, maxPriceWei);

        burnable[run] += priceWei;
        if (rounds.clock(run).phase == Phase.ENROL) return priceWei;
        _prices[run] = Price(Registration.nextPriceWei(priceWei, _pricings[run].joinBumpBps), uint40(block.timestamp));
    }

    function _release(uint256 run, address account, uint32 exitS) private {
        uint40 releaseS = uint40(block.timestamp + exitS); // 40 bits of seconds last 34,000 years
        (_stakes[run][account].releaseS, _stakes[run][account].untilRound) = (releaseS, rounds.clock(run).round);

        emit Exiting(run, account, releaseS);
    }

    function _requireFree(uint256 run, address account, uint256 amountWei) private view returns (Bond storage found) {
        found = bondOf[run][account];
        uint256 freeWei = found.amountWei - found.lockedWei;
        if (freeWei < amountWei) revert BondTooSmall(run, account, freeWei, amountWei);
    }

    function _hasEnded(uint256 run) private view returns (bool) {
        return rounds.clock(run).phase == Phase.ENDED;
    }

    function _send(uint256 run, address to, uint256 amountWei) private {
        (address token,,,) = runs.terms(run);
        SafeTransferLib.safeTransfer(token, to, amountWei);
    }
}
