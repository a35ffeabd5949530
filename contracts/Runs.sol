// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "solady/src/utils/EIP712.sol";
import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";
import {SignatureCheckerLib} from "solady/src/utils/SignatureCheckerLib.sol";

import {Wired} from "./Wired.sol";
import {IReputation} from "./interfaces/IReputation.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {IRuns} from "./interfaces/IRuns.sol";
import {ISettlement} from "./interfaces/ISettlement.sol";
import {IStakes} from "./interfaces/IStakes.sol";
import {Claim, Params, Phase, Pricing, Run, Schedule, Terms} from "./interfaces/Types.sol";
import {Deposit} from "./libraries/Deposit.sol";
import {ParamsRules} from "./libraries/ParamsRules.sol";
import {StandingTree} from "./libraries/StandingTree.sol";

/// @dev See IRuns.
contract Runs is IRuns, Wired, EIP712, ReentrancyGuardTransient {
    /// A struct, so that a claim finds its slot once.
    struct Paid {
        uint256 cumulativeWei;
    }

    uint256 private constant PROPOSING = 1; // last bit of a seal

    bytes32 private constant REDIRECT_TYPEHASH =
        keccak256("Redirect(uint256 run,address account,address recipient,uint256 paidWei,uint256 deadlineS)");

    /* STORAGE */

    /// @inheritdoc IRuns
    uint256 public lastRun;

    mapping(uint256 run => Run) private _runs;

    /// @inheritdoc IRuns
    mapping(uint256 run => mapping(address account => Paid)) public claimed;

    /// @inheritdoc IRuns
    mapping(uint256 run => uint256 amountWei) public drawn;

    /// @inheritdoc IRuns
    mapping(uint256 run => mapping(address account => uint256 cumulativeWei)) public left;

    constructor(IRuns runs_, IStakes stakes_, IRounds rounds_, ISettlement settlement_, IReputation reputation_)
        Wired(runs_, stakes_, rounds_, settlement_, reputation_)
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
        Params memory checked = params; // words wider than their types revert here
        ParamsRules.check(checked);
        if (token.code.length == 0) revert NotAToken(token);

        run = ++lastRun;
        Run storage opened = _runs[run];
        bytes memory encoded = ParamsRules.encode(params);
        (opened.sponsor, opened.token, opened.exitS) = (msg.sender, token, checked.exitS);
        opened.paramsHash = keccak256(encoded);
        if (checked.challengeS != 0) opened.seal = bytes32(PROPOSING);
        (opened.trainerStakeWei, opened.verifierStakeWei) = (checked.trainerStakeWei, checked.verifierStakeWei);
        uint128 arrivedWei = Deposit.pull(token, budgetWei);
        opened.depositedWei = arrivedWei;

        emit Opened(run, msg.sender, token, encoded, arrivedWei);

        rounds.create(run, _schedule(checked));
        stakes.create(run, _pricing(checked));
        if (checked.challengeS != 0) settlement.create(run, _terms(checked));
    }

    /// @inheritdoc IRuns
    function fund(uint256 run, uint256 amountWei) external nonReentrant {
        Run storage funded = _known(run);
        if (_phase(run) == Phase.ENDED) revert RunEnded(run);

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
        if (_phase(run) != Phase.ENDED) revert RunNotEnded(run);
        if (!settlement.isCaughtUp(run)) revert NotSettled(run);
        if (ended.refunded) revert AlreadyRefunded(run);

        uint256 amountWei = ended.depositedWei - ended.totalWei;
        ended.refunded = true;

        emit Refunded(run, ended.sponsor, amountWei);

        if (amountWei > 0) SafeTransferLib.safeTransfer(ended.token, ended.sponsor, amountWei);
    }

    /* SETTLEMENT */

    /// @inheritdoc IRuns
    function post(uint256 run, bytes24 root, uint256 totalWei) external only(address(settlement)) {
        Run storage settled = _runs[run];
        if (totalWei < settled.totalWei) revert TotalShrank(settled.totalWei, totalWei);
        if (totalWei > settled.depositedWei) revert Insolvent(totalWei, settled.depositedWei);

        settled.seal = _seal(root, settled.token) | (settled.seal & bytes32(PROPOSING));
        settled.totalWei = uint128(totalWei); // at most depositedWei
    }

    /// @inheritdoc IRuns
    function keep(uint256 run, address account, uint256 cumulativeWei) external only(address(settlement)) {
        left[run][account] = cumulativeWei;

        emit Left(run, account, cumulativeWei);
    }

    /* PARTICIPANTS: not guarded against re-entry. `claimed` is written before the token is called, and a claim inside a
    deposit can only lower what that deposit is credited with. */

    /// @inheritdoc IRuns
    function claim(bytes32 tokenAndRun, bytes32 accountAndPath, uint256 paidWei) external {
        (address token, uint256 run) = _split(tokenAndRun);
        (address account, uint256 rightBits) = _split(accountAndPath);
        bool counted = _requireProof(run, token, account, paidWei, rightBits, msg.data[0x64:]);
        uint256 amountWei = _draw(run, account, paidWei, counted);

        SafeTransferLib.safeTransfer(token, account, amountWei);
    }

    /// @inheritdoc IRuns
    function claimTo(
        uint256 run,
        address token,
        address account,
        uint256 paidWei,
        uint256 rightBits,
        bytes calldata proof,
        address recipient,
        uint256 deadlineS,
        bytes calldata signature
    ) external {
        if (block.timestamp >= deadlineS) revert Expired(deadlineS, block.timestamp);
        bytes32 signed =
            _hashTypedData(keccak256(abi.encode(REDIRECT_TYPEHASH, run, account, recipient, paidWei, deadlineS)));
        if (!SignatureCheckerLib.isValidSignatureNowCalldata(account, signed, signature)) {
            revert BadSignature(account, signed);
        }
        bool counted = _requireProof(run, token, account, paidWei, rightBits, proof);
        uint256 amountWei = _draw(run, account, paidWei, counted);

        emit Redirected(run, account, recipient);

        SafeTransferLib.safeTransfer(token, recipient, amountWei);
    }

    /// @inheritdoc IRuns
    function claimMany(Claim[] calldata claims) external {
        for (uint256 i; i < claims.length; ++i) {
            Claim calldata one = claims[i];
            if (one.paidWei <= claimed[one.run][one.account].cumulativeWei) continue;
            bool counted = _requireProof(one.run, one.token, one.account, one.paidWei, one.rightBits, one.proof);
            uint256 amountWei = _draw(one.run, one.account, one.paidWei, counted);

            SafeTransferLib.safeTransfer(one.token, one.account, amountWei);
        }
    }

    /// @inheritdoc IRuns
    function claimLeft(uint256 run, address account) external {
        bool counted = uint256(_runs[run].seal) & PROPOSING != 0;
        uint256 amountWei = _draw(run, account, left[run][account], counted);

        SafeTransferLib.safeTransfer(_runs[run].token, account, amountWei);
    }

    /* VIEWS */

    /// @inheritdoc IRuns
    function info(uint256 run) external view returns (Run memory) {
        return _known(run);
    }

    /// @inheritdoc IRuns
    function basis(uint256 run) external view returns (bytes32 paramsHash, uint128 totalWei) {
        (paramsHash, totalWei) = (_runs[run].paramsHash, _runs[run].totalWei);
        if (paramsHash == 0) revert UnknownRun(run);
    }

    /// @inheritdoc IRuns
    function terms(uint256 run) external view returns (address, uint32, uint128, uint128) {
        Run storage known = _known(run);
        return (known.token, known.exitS, known.trainerStakeWei, known.verifierStakeWei);
    }

    /// @inheritdoc IRuns
    function books(uint256 run) external view returns (uint128 depositedWei, uint128 totalWei) {
        return (_runs[run].depositedWei, _runs[run].totalWei);
    }

    /// @inheritdoc IRuns
    function unpaid(uint256 run) external view returns (uint256) {
        Run storage known = _known(run);
        return known.refunded ? 0 : known.depositedWei - known.totalWei;
    }

    /* PRIVATE */

    /// address 20 | number 12
    function _split(bytes32 word) private pure returns (address, uint256) {
        return (address(bytes20(word)), uint96(uint256(word)));
    }

    function _requireProof(
        uint256 run,
        address token,
        address account,
        uint256 paidWei,
        uint256 rightBits,
        bytes calldata proof
    ) private view returns (bool counted) {
        bytes24 root = StandingTree.climb(account, paidWei, rightBits, proof);
        bytes32 seal = _runs[run].seal;
        bytes32 found = _seal(root, token);
        if (uint256(found ^ seal) > PROPOSING) revert SealMismatch(seal, found, root);
        counted = found != seal;
    }

    /// Notes that `account` is paid up to `cumulativeWei`; the caller sends what that is more than before. A direct run's
    /// roots were computed here, so their leaves add up to what was promised; where they were proposed, what leaves is
    /// counted: a lie that nobody refuted can cost its own run's deposit and no other's.
    function _draw(uint256 run, address account, uint256 cumulativeWei, bool counted)
        private
        returns (uint256 amountWei)
    {
        Paid storage paid = claimed[run][account];
        uint256 beforeWei = paid.cumulativeWei;
        if (cumulativeWei <= beforeWei) revert NothingToClaim(run, account, beforeWei);

        paid.cumulativeWei = cumulativeWei;
        unchecked {
            amountWei = cumulativeWei - beforeWei; // positive: guarded above
        }
        if (counted) {
            uint256 drawnWei = drawn[run] + amountWei;
            if (drawnWei > _runs[run].totalWei) revert Overdrawn(run, drawnWei, _runs[run].totalWei);
            drawn[run] = drawnWei;
        }

        emit Claimed(run, account, amountWei);
    }

    function _seal(bytes24 root, address token) private pure returns (bytes32 seal) {
        assembly ("memory-safe") {
            mstore(0x00, root)
            mstore(0x18, shl(96, token))
            seal := and(keccak256(0x00, 0x2c), not(1)) // root 24 | token 20; PROPOSING's place stays free
        }
    }

    function _phase(uint256 run) private view returns (Phase) {
        return rounds.clock(run).phase;
    }

    function _known(uint256 run) private view returns (Run storage known) {
        known = _runs[run];
        if (known.sponsor == address(0)) revert UnknownRun(run);
    }

    function _schedule(Params memory params) private pure returns (Schedule memory) {
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
            committee: params.committee,
            words: params.words,
            proposing: params.challengeS != 0
        });
    }

    function _pricing(Params memory params) private pure returns (Pricing memory) {
        return Pricing({
            joinPriceWei: params.joinPriceWei,
            joinHalfLifeS: params.joinHalfLifeS,
            joinBumpBps: params.joinBumpBps,
            sortitionBps: params.sortitionBps,
            discountBps: params.discountBps
        });
    }

    function _terms(Params memory params) private pure returns (Terms memory) {
        return Terms({
            challengeS: params.challengeS,
            extensionS: params.extensionS,
            proposalBondWei: params.proposalBondWei,
            targetLossMicronats: params.targetLossMicronats,
            challengerBps: params.challengerBps,
            burnBps: params.burnBps
        });
    }

    /// @inheritdoc EIP712
    function _domainNameAndVersion() internal pure override returns (string memory, string memory) {
        return ("Gradmint", "1");
    }
}
