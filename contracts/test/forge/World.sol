// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IReputation} from "../../interfaces/IReputation.sol";
import {IRounds} from "../../interfaces/IRounds.sol";
import {IRuns} from "../../interfaces/IRuns.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {IStakes} from "../../interfaces/IStakes.sol";
import {Params} from "../../interfaces/Types.sol";
import {Trees} from "./Tree.t.sol";

/// Five contracts, made from their artifacts: tests that only call them need not be compiled with them.
abstract contract World is Trees {
    IRuns internal runs;
    IStakes internal stakes;
    IRounds internal rounds;
    ISettlement internal settlement;
    IReputation internal reputation;

    function deploy() internal {
        uint256 nonce = vm.getNonce(address(this));
        bytes memory wiring = abi.encode(
            vm.computeCreateAddress(address(this), nonce),
            vm.computeCreateAddress(address(this), nonce + 1),
            vm.computeCreateAddress(address(this), nonce + 2),
            vm.computeCreateAddress(address(this), nonce + 3),
            vm.computeCreateAddress(address(this), nonce + 4)
        );
        runs = IRuns(create("Runs.sol:Runs", wiring));
        stakes = IStakes(create("Stakes.sol:Stakes", wiring));
        rounds = IRounds(create("Rounds.sol:Rounds", wiring));
        settlement = ISettlement(create("Settlement.sol:Settlement", wiring));
        reputation = IReputation(create("ReputationStub.sol:ReputationStub", ""));
    }

    function create(string memory artifact, bytes memory args) internal returns (address made) {
        bytes memory code = bytes.concat(vm.getCode(artifact), args);
        assembly ("memory-safe") {
            made := create(0, add(code, 0x20), mload(code))
        }
        so(made != address(0), artifact);
    }

    /// Short phases, few seats, hard penalties: everything that can happen happens within a few rounds.
    function paramsOf(bool proposing, uint32 targetLossMicronats) internal pure returns (Params memory p) {
        (p.manifest, p.model) = (keccak256("manifest"), keccak256("model"));
        p.targetLossMicronats = targetLossMicronats;
        (p.maxRounds, p.minTrainers, p.maxTrainers, p.minVerifiers, p.maxVerifiers) = (24, 1, 3, 1, 3);
        p.committee = 3; // everybody
        (p.trainS, p.holdS, p.commitS, p.revealS, p.settleS) = (100, 100, 100, 100, 100);
        p.exitS = 1_000;
        (p.trainerStakeWei, p.verifierStakeWei) = (1_000, 1e18);
        (p.joinPriceWei, p.joinBumpBps, p.joinHalfLifeS, p.immunityRounds) = (1_000_003, 2_500, 700, 1);
        (p.verifierShareBps, p.words, p.acceptBits, p.slashBits) = (2_000, 1, 20, 60);
        p.assignedTrainers = 2;
        (p.slashBps, p.livenessBps) = (6_000, 3_000);
        (p.valueWeightBps, p.proofWeightBps, p.recoveryBps, p.trustFloorBps) = (1_200, 900, 1_000, 100);
        (p.banTrustBps, p.banRounds, p.bondsWeightBps, p.valueExponentHalves) = (2_500, 2, 5_000, 3);
        (p.payLeastBps, p.payMostBps) = (10_000, 10_000);
        (p.top, p.reserve) = (2, 1);
        p.penaltyBps = [uint16(10_000), 9_000, 5_000, 5_000, 7_500, 5_000, 5_000, 2_500, 5_000];
        (p.challengerBps, p.burnBps) = (4_000, 3_000);
        if (proposing) (p.challengeS, p.extensionS, p.proposalBondWei) = (300, 150, 1_000_000_007);
    }
}
