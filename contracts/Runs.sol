// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

import {Wired} from "./Wired.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {IRuns} from "./interfaces/IRuns.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IStakes} from "./interfaces/IStakes.sol";
import {Params, Phase, Run, Schedule} from "./interfaces/Types.sol";
import {Deposit} from "./libraries/Deposit.sol";
import {ParamsRules} from "./libraries/ParamsRules.sol";
import {StandingTree} from "./libraries/StandingTree.sol";

/// @dev See IRuns.
contract Runs is IRuns, Wired, ReentrancyGuardTransient {
    /* STORAGE */

    /// @inheritdoc IRuns
    uint256 public lastRun;

    mapping(uint256 run => Run) private _runs;

    /// @inheritdoc IRuns
    mapping(uint256 run => mapping(address account => uint256 cumulativeWei)) public claimed;

    constructor(IRuns runs_, IStakes stakes_, IRounds rounds_, ISettlement settlement_)
        Wired(runs_, stakes_, rounds_, settlement_)
    {
        _requireSelf(address(runs_));
    }

    /* SPONSOR */

    /// @inheritdoc IRuns
    function open(Params calldata params, address token, uint256 budgetWei)
        external
        nonReentrant
        returns (uint256 run)
    {
        ParamsRules.check(params);
        if (token.code.length == 0) revert NotAToken(token);

        run = ++lastRun;
        Run storage opened = _runs[run];
        bytes memory encoded = abi.encode(params);
        (opened.sponsor, opened.token, opened.exitS) = (msg.sender, token, params.exitS);
        opened.paramsHash = keccak256(encoded);
        (opened.trainerStakeWei, opened.verifierStakeWei) = (params.trainerStakeWei, params.verifierStakeWei);
        uint128 arrivedWei = Deposit.pull(token, budgetWei);
        opened.depositedWei = arrivedWei;

        emit Opened(run, msg.sender, token, encoded, arrivedWei);

        rounds.create(run, _schedule(params));
    }

    /// @inheritdoc IRuns
    function fund(uint256 run, uint256 amountWei) external nonReentrant {
        Run storage funded = _known(run);
        if (rounds.clock(run).phase == Phase.ENDED) revert RunEnded(run);

        uint128 arrivedWei = Deposit.pull(funded.token, amountWei);
        funded.depositedWei += arrivedWei;

        emit Funded(run, msg.sender, arrivedWei);
    }

    /// @inheritdoc IRuns
    function cancel(uint256 run) external {
        address sponsor = _known(run).sponsor;
        if (msg.sender != sponsor) revert OnlySponsor(msg.sender, sponsor);

        rounds.cancel(run);
    }

    /// @inheritdoc IRuns
    function refund(uint256 run) external nonReentrant {
        Run storage ended = _known(run);
        if (rounds.clock(run).phase != Phase.ENDED) revert RunNotEnded(run);
        if (ended.refunded) revert AlreadyRefunded(run);

        uint256 amountWei = ended.depositedWei - ended.totalWei;
        ended.refunded = true;

        emit Refunded(run, ended.sponsor, amountWei);

        if (amountWei > 0) SafeTransferLib.safeTransfer(ended.token, ended.sponsor, amountWei);
    }

    /* PARTICIPANTS */

    /// @inheritdoc IRuns
    function post(uint256 run, bytes32 root, uint256 totalWei) external only(address(settlement)) {
        Run storage settled = _runs[run];
        if (totalWei < settled.totalWei) revert TotalShrank(settled.totalWei, totalWei);
        if (totalWei > settled.depositedWei) revert Insolvent(totalWei, settled.depositedWei);

        settled.seal = _seal(root, settled.token);
        settled.totalWei = uint128(totalWei); // at most depositedWei
    }

    /// @inheritdoc IRuns
    /// @dev Not guarded against re-entry: `claimed` is written before the token is called, and a claim inside a deposit
    /// can only lower what that deposit is credited with.
    function claim(uint256 run, address token, bytes32[3] calldata standing, uint256 rightBits, bytes calldata proof)
        external
    {
        bytes32 root = StandingTree.climb(standing, rightBits, proof);
        bytes32 seal = _runs[run].seal;
        if (_seal(root, token) != seal) revert SealMismatch(seal, _seal(root, token), root);
        address account = address(bytes20(standing[0]));
        uint256 cumulativeWei = uint128(bytes16(standing[1]));
        uint256 paidWei = claimed[run][account];
        if (cumulativeWei <= paidWei) revert NothingToClaim(run, account, paidWei);

        claimed[run][account] = cumulativeWei;
        uint256 amountWei;
        unchecked {
            amountWei = cumulativeWei - paidWei; // positive: guarded above
        }

        emit Claimed(run, account, amountWei, cumulativeWei);

        SafeTransferLib.safeTransfer(token, account, amountWei);
    }

    /* VIEWS */

    /// @inheritdoc IRuns
    function info(uint256 run) external view returns (Run memory) {
        return _known(run);
    }

    /// @inheritdoc IRuns
    function terms(uint256 run) external view returns (address, uint32, uint128, uint128) {
        Run storage known = _known(run);
        return (known.token, known.exitS, known.trainerStakeWei, known.verifierStakeWei);
    }

    /// @inheritdoc IRuns
    function unpaid(uint256 run) external view returns (uint256) {
        Run storage known = _known(run);
        return known.refunded ? 0 : known.depositedWei - known.totalWei;
    }

    /* PRIVATE */

    function _seal(bytes32 root, address token) private pure returns (bytes32 seal) {
        assembly ("memory-safe") {
            mstore(0x14, token)
            mstore(0x00, root)
            seal := keccak256(0x00, 0x34) // root 32 | token 20
        }
    }

    function _known(uint256 run) private view returns (Run storage known) {
        known = _runs[run];
        if (known.sponsor == address(0)) revert UnknownRun(run);
    }

    function _schedule(Params calldata params) private pure returns (Schedule memory) {
        return Schedule({
            trainS: params.trainS,
            holdS: params.holdS,
            commitS: params.commitS,
            revealS: params.revealS,
            settleS: params.settleS,
            maxRounds: params.maxRounds,
            minTrainers: params.minTrainers,
            maxTrainers: params.maxTrainers,
            minVerifiers: params.minVerifiers,
            maxVerifiers: params.maxVerifiers,
            words: params.words
        });
    }
}
