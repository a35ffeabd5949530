// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Effects, Inputs, Outcome, Phase, Proposal} from "../../interfaces/Types.sol";
import {Docket} from "../../libraries/Docket.sol";
import {Players} from "./Players.sol";

/// Everybody who settles: by re-execution, by proposals true and false, by challenges and refutations.
abstract contract Proposers is Players {
    uint256 internal constant GREED = 15e23; // more than a run's budget, less than the escrow of two

    uint256 public truthRefuted;
    uint256 public lieStood;
    uint256 public becameFinalEarly;
    uint256 public rewardAstray;

    /* SETTLING */

    /// A proposing run's rounds are mostly left to proposals.
    function settle(uint256 which, uint256 eager) external override {
        uint256 run = _run(which);
        if (run > 2 && eager % 4 != 0) return;
        uint16 round = _next(run, finalised(run));
        if (lied[run] || round == 0) return;
        Inputs memory inputs = _inputs(run, round, finalRoster[run], finalStandings[run]);
        (, uint128 totalWei) = runs.books(run);
        (Outcome memory outcome,, bytes memory all) = _execute(run, inputs, totalWei);
        try settlement.settle(run, paramsOfRun[run], inputs, _evidence(run, round)) {
            _listen();
            if (run <= 2 && rounds.clock(run).phase == Phase.COMMIT) {
                if (outcome.clusterMask != 0) ++outcomeDiffers;
                return; // everyone was called in instead
            }
            ++times["settle"];
            (finalRoster[run], finalStandings[run]) = (inputs.record.roster, all);
            if (settlement.standingsHash(run) != outcome.standingsHash) ++outcomeDiffers;
        } catch {
            _drop();
        }
    }

    /// What the round gives, or one of many lies about it.
    function propose(uint256 which, uint256 who, uint256 lie) external {
        uint256 run = 3 + which % 2;
        (, uint16 proposed,,) = settlement.docket(run);
        uint16 round = _next(run, proposed);
        if (round == 0) return;
        Outcome memory outcome;
        bytes memory all;
        (bool truthful, Inputs memory inputs, uint256 totalWei) = _before(run, round, pending[run].length);
        if (truthful) (outcome,, all) = _execute(run, inputs, totalWei);
        bool isTrue = truthful && lie % 3 != 0;
        if (!isTrue) _falsify(run, outcome, lie / 3);
        _bond(run, actor(who % ACTORS));
        vm.prank(actor(who % ACTORS));
        try settlement.propose(run, round, outcome) {
            ++times[isTrue ? bytes32("propose true") : bytes32("propose false")];
            pending[run].push();
            Pending storage last = pending[run][pending[run].length - 1];
            uint40 finalS = uint40(vm.getBlockTimestamp() + paramsOfRun[run].challengeS);
            last.proposal = Proposal(round, actor(who % ACTORS), finalS, outcome);
            last.isTrue = isTrue;
            if (isTrue) last.standings = all;
        } catch {
            _drop();
        }
        _listen();
    }

    /// Tokens in a mood may refuse; then the move that wants the bond fails.
    function _bond(uint256 run, address account) private {
        (uint128 amountWei, uint128 lockedWei) = stakes.bondOf(run, account);
        if (amountWei - lockedWei >= paramsOfRun[run].proposalBondWei) return;
        vm.prank(account);
        try stakes.bond(run, 11e8) {}
        catch {
            _drop();
        }
        _listen();
    }

    /// Everything to one account, more than there is, less than before, or something that leads nowhere.
    function _falsify(uint256 run, Outcome memory outcome, uint256 lie) private view {
        (uint128 depositedWei, uint128 totalWei) = runs.books(run);
        Node memory greedy = leafOf(actor(lie % ACTORS), GREED);
        outcome.totalWei = totalWei;
        if (lie % 8 < 3) outcome.root = greedy.hash;
        if (lie % 8 == 1) outcome.totalWei = depositedWei;
        if (lie % 8 == 3 && !lied[run]) outcome.totalWei = depositedWei + 1; // would block the rest of the game
        if (lie % 8 == 4) outcome.totalWei = totalWei / 2;
        outcome.effectsHash = Docket.hash(_greedyEffects(lie % ACTORS));
        outcome.standingsHash = keccak256(abi.encode("lie", lie));
    }

    function _greedyEffects(uint256 who) private pure returns (Effects memory effects) {
        effects.left = new uint256[](2);
        (effects.left[0], effects.left[1]) = (uint160(actor(who)), GREED);
    }

    function challenge(uint256 which, uint256 who, uint256 place) external {
        uint256 run = 3 + which % 2;
        if (pending[run].length == 0) return;
        _bond(run, actor(who % ACTORS));
        vm.prank(actor(who % ACTORS));
        try settlement.challenge(run, pending[run][place % pending[run].length].proposal.round) {
            ++times["challenge"];
        } catch {
            _drop();
        }
        _listen();
    }

    /// Refutes the first false proposal, which must succeed, or tries to refute a true one, which must not.
    function refute(uint256 which, uint256 who, uint256 any) external {
        uint256 run = 3 + which % 2;
        Proposal[] memory list = _proposals(run);
        if (list.length == 0 || lied[run]) return;
        uint256 place;
        while (place < list.length && pending[run][place].isTrue) ++place;
        bool isFalse = place < list.length;
        if (!isFalse) place = any % list.length;
        uint16 round = list[place].round;
        (, Inputs memory inputs,) = _before(run, round, place);
        address beneficiary = _beneficiary(run, round, actor(who % ACTORS));
        (uint128 beforeWei,) = stakes.bondOf(run, beneficiary);
        vm.prank(actor(who % ACTORS));
        try settlement.refute(run, paramsOfRun[run], inputs, _evidence(run, round), list, place) {
            ++times["refute"];
            if (!isFalse) ++truthRefuted;
            (uint128 rewardWei,,) = Docket.splitBond(paramsOfRun[run].proposalBondWei, 4_000, 3_000);
            uint128 lostWei = list[place].proposer == beneficiary ? paramsOfRun[run].proposalBondWei : 0;
            (uint128 afterWei,) = stakes.bondOf(run, beneficiary);
            if (afterWei != beforeWei + rewardWei - lostWei) ++rewardAstray;
            while (pending[run].length > place) pending[run].pop();
        } catch {
            _drop();
            if (isFalse) ++lieStood;
        }
        _listen();
    }

    /// The challenger while the challenge is open, else whoever refutes.
    function _beneficiary(uint256 run, uint16 round, address refuter) private view returns (address) {
        (address challenger, uint16 challenged, uint40 untilS) = settlement.challenged(run);
        return challenged == round && vm.getBlockTimestamp() < untilS ? challenger : refuter;
    }

    /// One run waits for a lie to become final; in the others lies are refuted.
    function finalise(uint256 which, uint256 patience) external {
        uint256 run = 3 + which % 2;
        Proposal[] memory list = _proposals(run);
        if (list.length == 0) return;
        (, uint16 round, uint40 untilS) = settlement.challenged(run);
        uint40 finalS = round == list[0].round && untilS > list[0].finalS ? untilS : list[0].finalS;
        bool waits = pending[run][0].isTrue ? patience % 4 != 0 : run == 4 && patience % 3 != 0;
        if (waits && vm.getBlockTimestamp() < finalS) vm.warp(finalS);
        Effects memory effects;
        bytes memory all;
        Inputs memory inputs;
        if (pending[run][0].isTrue) {
            (, inputs,) = _before(run, list[0].round, 0);
            (, uint128 totalWei) = runs.books(run);
            (, effects, all) = _execute(run, inputs, totalWei);
        } else {
            for (uint256 who; who < ACTORS; ++who) {
                effects = _greedyEffects(who);
                if (Docket.hash(effects) == list[0].outcome.effectsHash) break;
            }
        }
        try settlement.finalise(run, list, effects) {
            ++times["finalise"];
            if (vm.getBlockTimestamp() < finalS) ++becameFinalEarly;
            if (pending[run][0].isTrue) {
                (finalRoster[run], finalStandings[run]) = (inputs.record.roster, all);
            } else {
                ++times["a lie became final"];
                lied[run] = true;
            }
            for (uint256 i = 1; i < pending[run].length; ++i) {
                pending[run][i - 1] = pending[run][i];
            }
            pending[run].pop();
        } catch {
            _drop();
        }
        _listen();
    }

    function finalised(uint256 run) public view returns (uint16 round) {
        if (run > 2) {
            (round,,,) = settlement.docket(run);
        } else if (rounds.clock(run).phase == Phase.SETTLE) {
            // A direct run's earlier rounds are settled or void: only the current one can be.
            uint256 count = recorded[run].length;
            return count < 2 ? 0 : recorded[run][count - 2];
        } else {
            return type(uint16).max;
        }
    }
}
