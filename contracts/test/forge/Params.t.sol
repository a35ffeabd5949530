// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Params} from "../../interfaces/Types.sol";
import {ParamsRules} from "../../libraries/ParamsRules.sol";
import {World} from "./World.sol";

/// Every rule, broken alone.
contract ParamsTest is World {
    Params private p;

    function setUp() external {
        p = paramsOf(true, 0);
    }

    function check(Params memory params) external pure {
        ParamsRules.check(params);
    }

    function refused(bytes memory error_) private {
        vm.expectRevert(error_);
        this.check(p);
        p = paramsOf(true, 0);
    }

    function test_direct_and_proposing_runs_are_fine() external view {
        this.check(p);
        this.check(paramsOf(false, 0));
    }

    function test_rounds_and_seats() external {
        p.maxRounds = 0;
        refused(abi.encodeWithSelector(ParamsRules.BadRounds.selector, 0));
        p.minTrainers = 0;
        refused(abi.encodeWithSelector(ParamsRules.BadTrainers.selector, 0, 3));
        p.minTrainers = 4;
        refused(abi.encodeWithSelector(ParamsRules.BadTrainers.selector, 4, 3));
        p.maxTrainers = 1_025;
        refused(abi.encodeWithSelector(ParamsRules.BadTrainers.selector, 1, 1_025));
        p.minVerifiers = 0;
        refused(abi.encodeWithSelector(ParamsRules.BadVerifiers.selector, 0, 3));
        p.minVerifiers = 4;
        refused(abi.encodeWithSelector(ParamsRules.BadVerifiers.selector, 4, 3));
        p.maxVerifiers = 33;
        refused(abi.encodeWithSelector(ParamsRules.BadVerifiers.selector, 1, 33));
        p.committee = 0;
        refused(abi.encodeWithSelector(ParamsRules.BadCommittee.selector, 0));
        p.committee = 33;
        refused(abi.encodeWithSelector(ParamsRules.BadCommittee.selector, 33));
    }

    function test_durations() external {
        p.trainS = 0;
        refused(abi.encodeWithSelector(ParamsRules.BadDuration.selector, 1));
        p.holdS = 0;
        refused(abi.encodeWithSelector(ParamsRules.BadDuration.selector, 2));
        p.commitS = 0;
        refused(abi.encodeWithSelector(ParamsRules.BadDuration.selector, 3));
        p.revealS = 0;
        refused(abi.encodeWithSelector(ParamsRules.BadDuration.selector, 4));
        p.settleS = 0;
        refused(abi.encodeWithSelector(ParamsRules.BadDuration.selector, 5));
        p.exitS = 949; // a round, the window and its extension
        refused(abi.encodeWithSelector(ParamsRules.ShortExit.selector, 949, 950));
        p.joinHalfLifeS = 0;
        refused(abi.encodeWithSelector(ParamsRules.NoHalfLife.selector));
    }

    function test_stakes_and_signatures() external {
        p.verifierStakeWei = 0;
        refused(abi.encodeWithSelector(ParamsRules.NoVerifierStake.selector));
        p.words = 0;
        refused(abi.encodeWithSelector(ParamsRules.BadWords.selector, 0));
        p.words = 17;
        refused(abi.encodeWithSelector(ParamsRules.BadWords.selector, 17));
        p.acceptBits = 61;
        refused(abi.encodeWithSelector(ParamsRules.BadBits.selector, 61, 60, 256));
        p.slashBits = 256;
        refused(abi.encodeWithSelector(ParamsRules.BadBits.selector, 20, 256, 256));
    }

    function test_parts_are_at_most_the_whole(uint16 above) external {
        uint16 bps = uint16(within(above, 10_001, type(uint16).max));
        bytes memory error_ = abi.encodeWithSelector(ParamsRules.BadBps.selector, bps);
        p.verifierShareBps = bps;
        refused(error_);
        p.slashBps = bps;
        refused(error_);
        p.livenessBps = bps;
        refused(error_);
        p.trustFloorBps = bps;
        refused(error_);
        p.banTrustBps = bps;
        refused(error_);
        p.joinBumpBps = bps;
        refused(error_);
        p.sortitionBps = bps;
        refused(error_);
        p.penaltyBps[7] = bps;
        refused(error_);
    }

    function test_weights_are_positive_and_at_most_the_whole(uint16 above) external {
        uint16[2] memory bad = [0, uint16(within(above, 10_001, type(uint16).max))];
        for (uint256 i; i < 2; ++i) {
            bytes memory error_ = abi.encodeWithSelector(ParamsRules.BadWeight.selector, bad[i]);
            p.recoveryBps = bad[i];
            refused(error_);
            p.valueWeightBps = bad[i];
            refused(error_);
            p.proofWeightBps = bad[i];
            refused(error_);
            p.bondsWeightBps = bad[i];
            refused(error_);
        }
    }

    function test_pay_and_penalties() external {
        p.banRounds = 0;
        refused(abi.encodeWithSelector(ParamsRules.NoBanRounds.selector));
        p.valueExponentHalves = 1;
        refused(abi.encodeWithSelector(ParamsRules.BadExponent.selector, 1));
        p.valueExponentHalves = 7;
        refused(abi.encodeWithSelector(ParamsRules.BadExponent.selector, 7));
        p.top = 0;
        refused(abi.encodeWithSelector(ParamsRules.NoTop.selector));
        p.penaltyBps[0] = 9_999;
        refused(abi.encodeWithSelector(ParamsRules.BadPenalty.selector, 9_999));
    }

    function test_what_ratings_do() external {
        p.payLeastBps = 0;
        refused(abi.encodeWithSelector(ParamsRules.BadPayRange.selector, 0, 10_000));
        p.payLeastBps = 10_001;
        refused(abi.encodeWithSelector(ParamsRules.BadPayRange.selector, 10_001, 10_000));
        p.payMostBps = 40_001;
        refused(abi.encodeWithSelector(ParamsRules.BadPayRange.selector, 10_000, 40_001));
        p.discountBps = 2_501;
        refused(abi.encodeWithSelector(ParamsRules.BadDiscount.selector, 2_501));
        (p.payLeastBps, p.payMostBps, p.sortitionBps, p.discountBps) = (1, 40_000, 10_000, 2_500);
        this.check(p);
    }

    function test_windows_bonds_and_their_parts() external {
        p.extensionS = 0;
        refused(abi.encodeWithSelector(ParamsRules.BadWindow.selector, 300, 0));
        p.challengeS = 0;
        refused(abi.encodeWithSelector(ParamsRules.BadWindow.selector, 0, 150));
        (p.extensionS, p.exitS) = (301, 10_000);
        refused(abi.encodeWithSelector(ParamsRules.BadWindow.selector, 300, 301));
        p.proposalBondWei = 0;
        refused(abi.encodeWithSelector(ParamsRules.BadBond.selector, 0));
        (p.challengeS, p.extensionS) = (0, 0);
        refused(abi.encodeWithSelector(ParamsRules.BadBond.selector, 1_000_000_007));
        p.challengerBps = 5_001;
        refused(abi.encodeWithSelector(ParamsRules.BadSplit.selector, 5_001, 3_000));
        p.burnBps = 6_001;
        refused(abi.encodeWithSelector(ParamsRules.BadSplit.selector, 4_000, 6_001));
    }
}
