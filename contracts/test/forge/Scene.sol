// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Effects, Evidence, Inputs, Outcome, Params, Phase, Proposal, Submission} from "../../interfaces/Types.sol";
import {Books} from "./Books.sol";
import {MoodyToken} from "./MoodyToken.sol";

/// One run that goes as a test says: everybody who is not told otherwise is present, honest and of one mind.
abstract contract Scene is Books {
    uint256 internal constant BUDGET_WEI = 1e24;
    uint256 internal constant TRAINER_STAKE_WEI = 1_000;
    uint256 internal constant VERIFIER_STAKE_WEI = 1e18;

    MoodyToken internal token;
    uint256 internal run;

    /* WHAT VERIFIERS SAY */

    uint32 internal lossMicronats = 500_000;
    mapping(uint256 trainer => uint8) internal verdict;
    uint256 internal far; // mask of verifiers who observed something else
    uint256 internal absent; // mask of verifiers who do not reveal
    uint256 internal looked; // mask of verifiers to whom trainer 0's update is UNPROVEN
    bytes internal planted; // what trainer 0 submits, if it is not empty

    /// The test is the run's sponsor, and has money.
    function begin(Params memory params) internal {
        if (address(token) == address(0)) {
            open();
            token = new MoodyToken();
            token.mint(address(this), 1e30);
            token.approve(address(runs), type(uint256).max);
            token.approve(address(stakes), type(uint256).max);
        }
        paramsOfRun[runs.lastRun() + 1] = params;
        run = runs.open(params, address(token), BUDGET_WEI);
        _listen();
    }

    /// Round 1 opens with these seated.
    function beginWith(bool proposing, uint16 trainers, uint8 verifiers) internal {
        Params memory params = paramsOf(proposing, 0);
        (params.minTrainers, params.minVerifiers) = (trainers, verifiers);
        begin(params);
        for (uint256 i; i < trainers; ++i) {
            seat(trainer(i), 1);
        }
        for (uint256 v; v < verifiers; ++v) {
            seat(verifier(v), 2);
        }
    }

    function keyOf(uint256 i) internal pure returns (uint256) {
        return 0x7000 + i;
    }

    function trainer(uint256 i) internal pure returns (address) {
        return vm.addr(keyOf(i));
    }

    function verifier(uint256 v) internal pure returns (address) {
        return address(uint160(0x8000 + v));
    }

    function enrich(address account) internal {
        token.mint(account, 1e30);
        vm.prank(account);
        token.approve(address(stakes), type(uint256).max);
    }

    function seat(address account, uint8 role) internal {
        seat(account, role, role == 1 ? TRAINER_STAKE_WEI : VERIFIER_STAKE_WEI);
    }

    function seat(address account, uint8 role, uint256 stakeWei) internal {
        enrich(account);
        vm.prank(account);
        stakes.join(run, role, stakeWei, type(uint256).max);
        _listen();
    }

    function phase() internal view returns (Phase) {
        return rounds.clock(run).phase;
    }

    /// To the second at which the phase takes nothing more.
    function wait() internal {
        vm.warp(rounds.clock(run).deadline);
    }

    function pass(uint256 seconds_) internal {
        vm.warp(vm.getBlockTimestamp() + seconds_);
    }

    /* A ROUND */

    function submissions() internal view returns (Submission[] memory all) {
        all = new Submission[](open_[run].trainers);
        for (uint16 i; i < all.length; ++i) {
            all[i] = Submission(i, 7, keccak256(abi.encode("update", i)));
        }
        if (planted.length != 0) all[0].digest = sha256(planted);
    }

    function submit() internal {
        Submission[] memory all = submissions();
        address[] memory seated = rounds.trainersAt(run, 0, all.length);
        for (uint256 i; i < all.length; ++i) {
            vm.prank(seated[i]);
            rounds.submit(run, all[i].digest, all[i].claimedGainMicronats);
        }
    }

    function train() internal {
        submit();
        rounds.close(run, submissions());
        _listen();
    }

    function onCommittee(uint256 v) internal view returns (bool) {
        return (open_[run].active >> v) & 1 == 1;
    }

    function bitmap() internal view returns (bytes memory) {
        return new bytes((uint256(open_[run].trainers) + 7) / 8);
    }

    function hold() internal {
        address[] memory seated = rounds.verifiersAt(run, 0, open_[run].verifiers);
        for (uint256 v; v < seated.length; ++v) {
            if (!onCommittee(v)) continue;
            vm.prank(seated[v]);
            rounds.hold(run, bitmap(), 0);
        }
        _listen();
    }

    function report(uint256 v) internal view returns (bytes memory packed) {
        packed = abi.encodePacked(lossMicronats, (far >> v) & 1 == 1 ? type(uint256).max : v);
        for (uint256 i; i < open_[run].trainers; ++i) {
            int32 common = int32(int256(1_000 + 100 * i));
            uint8 own = i == 0 && (looked >> v) & 1 == 1 ? 8 : verdict[i];
            packed = abi.encodePacked(packed, own, common, common + 400);
        }
    }

    function commit() internal {
        address[] memory seated = rounds.verifiersAt(run, 0, open_[run].verifiers);
        for (uint256 v; v < seated.length; ++v) {
            if (!onCommittee(v)) continue;
            said[run][open_[run].round][v] = report(v);
            bytes32 made = _commitment(run, open_[run].round, seated[v], report(v));
            vm.prank(seated[v]);
            rounds.commit(run, made);
        }
        _listen();
    }

    function reveal() internal {
        uint16 round = open_[run].round;
        address[] memory seated = rounds.verifiersAt(run, 0, open_[run].verifiers);
        for (uint256 v; v < seated.length; ++v) {
            if (!onCommittee(v) || (absent >> v) & 1 == 1) continue;
            open_[run].revealed |= uint32(1 << v); // the last one makes the record
            vm.prank(seated[v]);
            rounds.reveal(run, said[run][round][v], "salt");
        }
        _listen();
        if (recorded[run].length == 0 || recorded[run][recorded[run].length - 1] != round) {
            wait();
            rounds.poke(run);
            _listen();
        }
    }

    function play() internal {
        train();
        verify();
    }

    function verify() internal {
        hold();
        commit();
        reveal();
        same(recordDiffers, 0, "records are what was said");
    }

    /* ITS SETTLEMENT */

    /// Of the latest recorded round, on what is final.
    function inputs() internal view returns (Inputs memory) {
        uint16 round = recorded[run][recorded[run].length - 1];
        return _inputs(run, round, finalRoster[run], finalStandings[run]);
    }

    function evidence() internal view returns (Evidence memory) {
        return _evidence(run, recorded[run][recorded[run].length - 1]);
    }

    function execute() internal returns (Outcome memory outcome, Effects memory effects, bytes memory all) {
        (, uint256 totalWei) = runs.books(run);
        return _execute(run, inputs(), totalWei);
    }

    function settle() internal {
        (,, bytes memory all) = execute();
        Inputs memory from = inputs();
        settlement.settle(run, paramsOfRun[run], from, evidence());
        (finalRoster[run], finalStandings[run]) = (from.record.roster, all);
        _listen();
    }

    /// By the test, with a bond.
    function propose(uint16 round, Outcome memory outcome) internal {
        uint256 bondWei = paramsOfRun[run].proposalBondWei;
        stakes.bond(run, bondWei);
        settlement.propose(run, round, outcome);
        pending[run].push();
        pending[run][pending[run].length - 1].proposal =
            Proposal(round, address(this), uint40(vm.getBlockTimestamp() + paramsOfRun[run].challengeS), outcome);
    }

    function pendings() internal view returns (Proposal[] memory) {
        return _proposals(run);
    }
}
