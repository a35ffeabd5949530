// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Params} from "../interfaces/Types.sol";

/// The rules of Params.check in src/gradmint/spec/params.py, in its order. Widths of the struct's types do the rest.
library ParamsRules {
    uint256 internal constant BPS = 10_000;
    uint256 internal constant MAX_VERIFIERS = 32; // one bit each in a 32-bit mask
    uint256 internal constant MAX_WORDS = 16; // all pairs of 32 verifiers x 16 words still fit a block
    uint256 internal constant MAX_TRAINERS = 1024; // one settlement: 8M gas, and calldata that pools take

    error BadRounds(uint256 maxRounds);
    error BadTrainers(uint256 minTrainers, uint256 maxTrainers);
    error BadVerifiers(uint256 minVerifiers, uint256 maxVerifiers);
    /// Phase 1 TRAIN .. 5 SETTLE would last 0 s.
    error BadDuration(uint256 phase);
    /// A stake could leave before its round is settled.
    error ShortExit(uint256 exitS, uint256 roundS);
    error NoVerifierStake();
    error BadWords(uint256 words);
    /// It must hold that acceptBits <= slashBits < 256 * words.
    error BadBits(uint256 acceptBits, uint256 slashBits, uint256 limitBits);
    error BadBps(uint256 bps);
    /// The newest round weighs 1..10,000 bps in a mean; so does the trust that an OK round regains.
    error BadWeight(uint256 bps);
    /// An OK verdict costs no trust: its penalty is 10,000 bps.
    error BadPenalty(uint256 okBps);

    function check(Params calldata p) internal pure {
        if (p.maxRounds == 0) revert BadRounds(p.maxRounds);
        if (p.minTrainers == 0 || p.minTrainers > p.maxTrainers || p.maxTrainers > MAX_TRAINERS) {
            revert BadTrainers(p.minTrainers, p.maxTrainers);
        }
        if (p.minVerifiers == 0 || p.minVerifiers > p.maxVerifiers || p.maxVerifiers > MAX_VERIFIERS) {
            revert BadVerifiers(p.minVerifiers, p.maxVerifiers);
        }
        uint32[5] memory durations = [p.trainS, p.holdS, p.commitS, p.revealS, p.settleS];
        uint256 roundS;
        for (uint256 i; i < 5; ++i) {
            if (durations[i] == 0) revert BadDuration(i + 1);
            roundS += durations[i];
        }
        if (p.exitS < roundS) revert ShortExit(p.exitS, roundS);
        if (p.verifierStakeWei == 0) revert NoVerifierStake();
        if (p.words == 0 || p.words > MAX_WORDS) revert BadWords(p.words);
        uint256 limitBits = 256 * uint256(p.words);
        if (p.acceptBits > p.slashBits || p.slashBits >= limitBits) {
            revert BadBits(p.acceptBits, p.slashBits, limitBits);
        }
        _checkBps(p.verifierShareBps);
        _checkBps(p.slashBps);
        _checkBps(p.livenessBps);
        _checkBps(p.trustFloorBps);
        for (uint256 i; i < 8; ++i) {
            _checkBps(p.penaltyBps[i]);
        }
        _checkWeight(p.valueWeightBps);
        _checkWeight(p.recoveryBps); // trust has a way back
        _checkWeight(p.proofWeightBps);
        if (p.penaltyBps[0] != BPS) revert BadPenalty(p.penaltyBps[0]);
    }

    function _checkBps(uint256 bps) private pure {
        if (bps > BPS) revert BadBps(bps);
    }

    function _checkWeight(uint256 bps) private pure {
        if (bps == 0 || bps > BPS) revert BadWeight(bps);
    }
}
