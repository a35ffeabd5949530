// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Params} from "../interfaces/Types.sol";

/// The rules of Params.check in src/gradmint/spec/params.py, in its order. Widths of the struct's types do the rest.
library ParamsRules {
    uint256 internal constant SIZE = 32 * 56; // of the encoding
    uint256 internal constant BPS = 10_000;
    uint256 internal constant MAX_VERIFIERS = 32; // one bit each in a 32-bit mask
    uint256 internal constant MAX_WORDS = 16; // all pairs of 32 verifiers x 16 words still fit a block
    uint256 internal constant MAX_TRAINERS = 1_024; // standings and agreed rows of one round: calldata that pools take
    uint256 internal constant MAX_EXPONENT_HALVES = 6; // a cubed weight times an amount still fits 256 bits
    uint256 internal constant MAX_PAY_BPS = 40_000; // a multiplier of the pay; 10,000 is 1
    uint256 internal constant MAX_DISCOUNT_BPS = 2_500; // who lost nothing stays well above where verifiers are ejected
    uint256 internal constant MAX_CHALLENGER_BPS = 5_000; // who challenges itself loses at least the other half

    error BadRounds(uint256 maxRounds);
    error BadTrainers(uint256 minTrainers, uint256 maxTrainers);
    error BadVerifiers(uint256 minVerifiers, uint256 maxVerifiers);
    /// Somebody is drawn, and at most as many as there are seats at all.
    error BadCommittee(uint256 committee);
    /// Phase 1 TRAIN .. 5 SETTLE would last 0 s.
    error BadDuration(uint256 phase);
    /// A stake could leave before its round is settled: `neededS` is a round, the challenge window and its extension.
    error ShortExit(uint256 exitS, uint256 neededS);
    error NoVerifierStake();
    /// The price of a seat must fall: its half-life is at least 1 s.
    error NoHalfLife();
    error BadWords(uint256 words);
    /// It must hold that acceptBits <= slashBits < 256 * words.
    error BadBits(uint256 acceptBits, uint256 slashBits, uint256 limitBits);
    error BadBps(uint256 bps);
    /// The newest round weighs 1..10,000 bps in a mean; so does the trust that an OK round regains.
    error BadWeight(uint256 bps);
    /// A ban lasts at least a round.
    error NoBanRounds();
    /// It must hold that 1 <= payLeastBps <= payMostBps <= 40,000.
    error BadPayRange(uint256 payLeastBps, uint256 payMostBps);
    /// A rating lowers no stake by more than 2,500 bps.
    error BadDiscount(uint256 discountBps);
    error BadExponent(uint256 halves);
    /// Somebody must be paid.
    error NoTop();
    /// It must hold that 0 < extensionS <= challengeS, or that both are 0 and so is the bond.
    error BadWindow(uint256 challengeS, uint256 extensionS);
    /// Proposers put up something, and nobody does where every round is re-executed.
    error BadBond(uint256 proposalBondWei);
    /// At most half of a lost bond is the challenger's, and the parts are at most the whole.
    error BadSplit(uint256 challengerBps, uint256 burnBps);
    /// An OK verdict costs no trust: its penalty is 10,000 bps.
    error BadPenalty(uint256 okBps);

    /// abi.encode of the struct: all its words are static, so that is what came in.
    /// @dev Words are as the caller wrote them, wider than their types perhaps; whoever keeps their hash checks them first.
    function encode(Params calldata p) internal pure returns (bytes memory encoded) {
        encoded = new bytes(SIZE);
        assembly ("memory-safe") {
            calldatacopy(add(encoded, 0x20), p, mload(encoded))
        }
    }

    function check(Params memory p) internal pure {
        if (p.maxRounds == 0) revert BadRounds(p.maxRounds);
        if (p.minTrainers == 0 || p.minTrainers > p.maxTrainers || p.maxTrainers > MAX_TRAINERS) {
            revert BadTrainers(p.minTrainers, p.maxTrainers);
        }
        if (p.minVerifiers == 0 || p.minVerifiers > p.maxVerifiers || p.maxVerifiers > MAX_VERIFIERS) {
            revert BadVerifiers(p.minVerifiers, p.maxVerifiers);
        }
        if (p.committee == 0 || p.committee > MAX_VERIFIERS) revert BadCommittee(p.committee);
        uint32[5] memory durations = [p.trainS, p.holdS, p.commitS, p.revealS, p.settleS];
        uint256 neededS = uint256(p.challengeS) + p.extensionS;
        for (uint256 i; i < 5; ++i) {
            if (durations[i] == 0) revert BadDuration(i + 1);
            neededS += durations[i];
        }
        if (p.exitS < neededS) revert ShortExit(p.exitS, neededS);
        if (p.verifierStakeWei == 0) revert NoVerifierStake();
        if (p.joinHalfLifeS == 0) revert NoHalfLife();
        if (p.words == 0 || p.words > MAX_WORDS) revert BadWords(p.words);
        uint256 limitBits = 256 * uint256(p.words);
        if (p.acceptBits > p.slashBits || p.slashBits >= limitBits) {
            revert BadBits(p.acceptBits, p.slashBits, limitBits);
        }
        _checkBps(p.verifierShareBps);
        _checkBps(p.slashBps);
        _checkBps(p.livenessBps);
        _checkBps(p.trustFloorBps);
        _checkBps(p.banTrustBps);
        _checkBps(p.joinBumpBps);
        _checkBps(p.sortitionBps);
        for (uint256 i; i < p.penaltyBps.length; ++i) {
            _checkBps(p.penaltyBps[i]);
        }
        _checkWeight(p.recoveryBps); // trust has a way back
        _checkWeight(p.valueWeightBps);
        _checkWeight(p.proofWeightBps);
        _checkWeight(p.bondsWeightBps);
        if (p.banTrustBps != 0 && p.banRounds == 0) revert NoBanRounds();
        if (p.payLeastBps == 0 || p.payLeastBps > p.payMostBps || p.payMostBps > MAX_PAY_BPS) {
            revert BadPayRange(p.payLeastBps, p.payMostBps);
        }
        if (p.discountBps > MAX_DISCOUNT_BPS) revert BadDiscount(p.discountBps);
        if (p.valueExponentHalves < 2 || p.valueExponentHalves > MAX_EXPONENT_HALVES) {
            revert BadExponent(p.valueExponentHalves);
        }
        if (p.top == 0) revert NoTop();
        _checkProposing(p);
        if (p.penaltyBps[0] != BPS) revert BadPenalty(p.penaltyBps[0]);
    }

    function _checkProposing(Params memory p) private pure {
        bool proposing = p.challengeS != 0;
        if (proposing != (p.extensionS != 0) || p.extensionS > p.challengeS) {
            revert BadWindow(p.challengeS, p.extensionS);
        }
        if (proposing != (p.proposalBondWei != 0)) revert BadBond(p.proposalBondWei);
        if (p.challengerBps > MAX_CHALLENGER_BPS || uint256(p.challengerBps) + p.burnBps > BPS) {
            revert BadSplit(p.challengerBps, p.burnBps);
        }
    }

    function _checkBps(uint256 bps) private pure {
        if (bps > BPS) revert BadBps(bps);
    }

    function _checkWeight(uint256 bps) private pure {
        if (bps == 0 || bps > BPS) revert BadWeight(bps);
    }
}
