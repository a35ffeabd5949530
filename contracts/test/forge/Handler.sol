// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRounds} from "../../interfaces/IRounds.sol";
import {IRuns} from "../../interfaces/IRuns.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {IStakes} from "../../interfaces/IStakes.sol";
import {Exposure, Outcome, Params, Phase, Proposal, Role} from "../../interfaces/Types.sol";
import {MoodyToken} from "./MoodyToken.sol";
import {Proposers} from "./Proposers.sol";

/// Plays everybody, honest and not, on direct and proposing runs. Rules about one step are checked where the step is taken and
/// their breaches counted; rules about the state are InvariantTest's.
contract Handler is Proposers {
    MoodyToken[2] public tokens;
    mapping(uint256 run => MoodyToken) public tokenOf;

    uint256 public strangerGotThrough;
    uint256 public refundedEarly;
    uint256 public paidFromOtherRoot;
    uint256 public exposedTwice;

    constructor() {
        open();
        (tokens[0], tokens[1]) = (new MoodyToken(), new MoodyToken());
        vm.recordLogs();
        for (uint256 run = 1; run <= RUNS; ++run) {
            paramsOfRun[run] = paramsOf(run > 2, run == 2 ? 300_000 : 0);
            (paramsOfRun[run].maxVerifiers, paramsOfRun[run].committee) = (4, 2);
            tokenOf[run] = tokens[run % 2];
        }
        paramsOfRun[1].minVerifiers = 4; // more than are drawn, from its first round on
        for (uint256 t; t < 2; ++t) {
            for (uint256 a; a < ACTORS; ++a) {
                _enrich(tokens[t], actor(a));
            }
            tokens[t].mint(address(tokens[t]), 1e30);
        }
        for (uint256 run = 1; run <= RUNS; ++run) {
            vm.prank(actor(0));
            runs.open(paramsOfRun[run], address(tokenOf[run]), 1e24 + run);
            _listen();
        }
    }

    /// Everybody who can own anything here: the actors, the tokens, which may call back, and strangers who forge.
    function everybody() public view returns (address[] memory all) {
        all = new address[](ACTORS + 2);
        for (uint256 a; a < ACTORS; ++a) {
            all[a] = actor(a);
        }
        (all[ACTORS], all[ACTORS + 1]) = (address(tokens[0]), address(tokens[1]));
    }

    function contracts() external view returns (IRuns, IStakes, IRounds, ISettlement) {
        return (runs, stakes, rounds, settlement);
    }

    /// Several moves at once, those that get a game on more often than others: few calls reach far.
    function moves(uint256 seed) external {
        for (uint256 i; i < 15; ++i) {
            uint256 x = draw(seed, i);
            (uint256 a, uint256 b, uint256 c) = (x >> 16, x >> 80, x >> 144);
            uint256 move = x % 32;
            if (move < 4) this.join(a, b, c, c >> 8);
            else if (move < 12) this.play(a, b, true);
            else if (move < 14) this.bond(a, b, c);
            else if (move < 17) this.settle(a, b);
            else if (move < 20) this.propose(a, b, c);
            else if (move == 20) this.challenge(a, b, c);
            else if (move < 23) this.refute(a, b, c);
            else if (move < 25) this.finalise(a, c);
            else if (move < 27) this.claim(a, b);
            else if (move == 27) this.exit(a, b);
            else if (move == 28) this.withdraw(a, b);
            else if (move == 29) this.claimLie(a);
            else if (move == 30) this.claimEarly(a, b, c);
            else this.refund(a);
        }
    }

    /* MONEY */

    function fund(uint256 which, uint256 who, uint256 amount) external {
        vm.prank(actor(who % ACTORS));
        try runs.fund(_run(which), amount % 1e22) {}
        catch {
            _drop();
        }
        _listen();
    }

    function claim(uint256 which, uint256 position) external {
        uint256 run = _run(which);
        uint256 count = finalStandings[run].length / 96;
        if (count == 0) return;
        (address account, uint256 paidWei, uint256 rightBits, bytes memory proof) =
            _proof(finalStandings[run], position % count);
        if (_claim(run, tokens[1 - run % 2], account, paidWei, rightBits, proof)) ++paidFromOtherRoot;
        if (_claim(run, tokenOf[run], account, paidWei, rightBits, proof)) {
            ++times["claim"];
            if (_claim(run, tokenOf[run], account, paidWei, rightBits, proof)) ++paidFromOtherRoot;
        }
        _listen();
    }

    /// With a proof that leads to the root of a proposal that is pending, or was a lie.
    function claimEarly(uint256 which, uint256 position, uint256 place) external {
        uint256 run = 3 + which % 2;
        if (pending[run].length == 0 || lied[run]) return;
        Pending storage chosen = pending[run][place % pending[run].length];
        if (keccak256(chosen.standings) == keccak256(finalStandings[run]) || chosen.standings.length == 0) return;
        (address account, uint256 paidWei, uint256 rightBits, bytes memory proof) =
            _proof(chosen.standings, position % (chosen.standings.length / 96));
        (Node memory now_,,) =
            finalStandings[run].length == 0 ? (leafOf(address(0), 0), 0, proof) : prove(finalStandings[run], 0);
        if (now_.hash == chosen.proposal.outcome.root) return; // nobody was paid anything
        if (_claim(run, tokenOf[run], account, paidWei, rightBits, proof)) ++paidFromOtherRoot;
        _listen();
    }

    /// Everybody tries the greedy leaf of a lie, and what a lie says was left.
    function claimLie(uint256 which) external {
        uint256 run = _run(which);
        for (uint256 a; a < ACTORS; ++a) {
            if (_claim(run, tokenOf[run], actor(a), GREED, 0, "") && !lied[run]) ++paidFromOtherRoot;
            try runs.claimLeft(run, actor(a)) {
                ++times["claim left"];
            } catch {
                _drop();
            }
        }
        _listen();
    }

    function refund(uint256 which) external {
        uint256 run = _run(which);
        bool allowed = rounds.clock(run).phase == Phase.ENDED && settlement.isCaughtUp(run);
        try runs.refund(run) {
            ++times["refund"];
            if (!allowed) ++refundedEarly;
        } catch {
            _drop();
        }
        _listen();
    }

    /// Somebody who may have planted an update shows a recorded round's.
    function expose(uint256 which, uint256 who) external {
        uint256 run = _run(which);
        if (recorded[run].length == 0) return;
        uint16 round = recorded[run][recorded[run].length - 1 - (who >> 8) % (recorded[run].length < 3 ? 1 : 3)];
        uint16 trainer = uint16(who % 3);
        address[] memory seated = rounds.trainersAt(run, 0, 3);
        Exposure memory exposure = _exposure(run, round, trainer, seated[trainer], bytes32(run));
        bool before = stakes.exposed(run, round, trainer);
        vm.prank(seated[trainer]);
        try stakes.expose(run, paramsOfRun[run], recordOf[run][round], exposure) {
            ++times["expose"];
            if (before) ++exposedTwice;
        } catch {
            _drop();
        }
        _listen();
    }

    /* HOSTILITY */

    function upset(uint256 t, uint256 mood, uint256 call, uint256 which) external {
        uint256 run = _run(which);
        bytes memory data = abi.encodeCall(IStakes.bond, (run, 1e6));
        address target = address(stakes);
        if (call % 6 == 1) data = abi.encodeCall(IStakes.join, (run, 1, 1e9, type(uint256).max));
        if (call % 6 == 2) data = abi.encodeCall(IStakes.burn, (run));
        if (call % 6 == 3) (target, data) = (address(runs), abi.encodeCall(IRuns.fund, (run, 1e6)));
        if (call % 6 == 4) (target, data) = (address(runs), abi.encodeCall(IRuns.refund, (run)));
        if (call % 6 == 5) (target, data) = (address(stakes), abi.encodeCall(IStakes.pool, (run)));
        // Kind again half of the time: otherwise nothing else would happen.
        tokens[t % 2].set(MoodyToken.Mood(mood % 10 < 5 ? mood % 5 : 0), target, data);
    }

    /// Everything that is reserved for a sibling, by somebody else.
    function intrude(uint256 which, uint256 who, uint256 what) external {
        uint256 run = _run(which);
        address me = actor(who % ACTORS);
        vm.startPrank(me);
        bool through;
        Outcome memory outcome;
        if (what % 9 == 0) {
            try runs.post(run, bytes24("root"), 1) {
                through = true;
            } catch {
                _drop();
            }
        }
        if (what % 9 == 1) {
            try runs.keep(run, me, 1e18) {
                through = true;
            } catch {
                _drop();
            }
        }
        if (what % 9 == 2) {
            try stakes.slash(run, actor((who + 1) % ACTORS), 1e18) {
                through = true;
            } catch {
                _drop();
            }
        }
        if (what % 9 == 3) {
            try stakes.unlock(run, me, 0) {
                through = true;
            } catch {
                _drop();
            }
        }
        if (what % 9 == 4) {
            try stakes.forfeit(run, actor(1), me, 0, 5_000, 0) {
                through = true;
            } catch {
                _drop();
            }
        }
        if (what % 9 == 5) {
            try rounds.admit(run, Role.TRAINER, me, 0) {
                through = true;
            } catch {
                _drop();
            }
        }
        if (what % 9 == 6) {
            try rounds.retire(run, actor(1)) {
                through = true;
            } catch {
                _drop();
            }
        }
        if (what % 9 == 7) {
            try rounds.conclude(run, 1, 0, outcome.weakest, new uint256[](0), new address[](0), true) {
                through = true;
            } catch {
                _drop();
            }
        }
        if (what % 9 == 8) {
            try rounds.expand(run) {
                through = true;
            } catch {
                _drop();
            }
        }
        vm.stopPrank();
        if (through) ++strangerGotThrough;
    }

    /* VIEWS FOR THE INVARIANTS */

    function standings(uint256 run) external view returns (bytes memory) {
        return finalStandings[run];
    }

    function pendingOf(uint256 run) external view returns (Proposal[] memory) {
        return _proposals(run);
    }

    function paramsAt(uint256 run) external view returns (Params memory) {
        return paramsOfRun[run];
    }
    /* PRIVATE */

    function _enrich(MoodyToken token, address account) private {
        token.mint(account, 1e30);
        vm.prank(account);
        token.approve(address(runs), type(uint256).max);
        vm.prank(account);
        token.approve(address(stakes), type(uint256).max);
    }
}
