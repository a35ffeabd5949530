// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRounds} from "../../interfaces/IRounds.sol";
import {IRuns} from "../../interfaces/IRuns.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {IStakes} from "../../interfaces/IStakes.sol";
import {
    Clock,
    Effects,
    Evidence,
    Inputs,
    Masks,
    Outcome,
    Params,
    Phase,
    Proposal,
    Record,
    Role,
    Run,
    Seat,
    Submission
} from "../../interfaces/Types.sol";
import {Docket} from "../../libraries/Docket.sol";
import {Leaf, Standings} from "../../libraries/Standings.sol";
import {Executor} from "./Executor.sol";
import {MoodyToken} from "./MoodyToken.sol";
import {Trees} from "./Tree.t.sol";
import {Vm} from "./Vm.sol";

/// Four contracts, made from their artifacts: tests that only call them need not be compiled with them.
abstract contract World is Trees {
    IRuns internal runs;
    IStakes internal stakes;
    IRounds internal rounds;
    ISettlement internal settlement;

    function deploy() internal {
        uint256 nonce = vm.getNonce(address(this));
        bytes memory wiring = abi.encode(
            vm.computeCreateAddress(address(this), nonce),
            vm.computeCreateAddress(address(this), nonce + 1),
            vm.computeCreateAddress(address(this), nonce + 2),
            vm.computeCreateAddress(address(this), nonce + 3)
        );
        runs = IRuns(create("Runs.sol:Runs", wiring));
        stakes = IStakes(create("Stakes.sol:Stakes", wiring));
        rounds = IRounds(create("Rounds.sol:Rounds", wiring));
        settlement = ISettlement(create("Settlement.sol:Settlement", wiring));
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
        (p.maxRounds, p.minTrainers, p.maxTrainers, p.minVerifiers, p.maxVerifiers) = (24, 1, 3, 1, 4);
        p.committee = 2;
        (p.trainS, p.holdS, p.commitS, p.revealS, p.settleS) = (100, 100, 100, 100, 100);
        p.exitS = 1_000;
        (p.trainerStakeWei, p.verifierStakeWei) = (1_000, 1e18);
        (p.joinPriceWei, p.joinBumpBps, p.joinHalfLifeS, p.immunityRounds) = (1_000_003, 2_500, 700, 1);
        (p.verifierShareBps, p.words, p.acceptBits, p.slashBits) = (2_000, 1, 20, 60);
        (p.slashBps, p.livenessBps) = (6_000, 3_000);
        (p.valueWeightBps, p.proofWeightBps, p.recoveryBps, p.trustFloorBps) = (1_200, 900, 1_000, 100);
        (p.banTrustBps, p.banRounds, p.bondsWeightBps, p.valueExponentHalves) = (2_500, 2, 5_000, 3);
        (p.top, p.reserve) = (2, 1);
        p.penaltyBps = [uint16(10_000), 9_000, 5_000, 5_000, 7_500, 5_000, 5_000, 2_500];
        (p.challengerBps, p.burnBps) = (4_000, 3_000);
        if (proposing) (p.challengeS, p.extensionS, p.proposalBondWei) = (300, 150, 1_000_000_007);
    }
}

/// Plays everybody, honest and not, on direct and proposing runs, and keeps books of its own. A rule that is about one step is
/// checked right here and its breach counted; rules about the state are InvariantTest's.
contract Handler is World {
    uint256 internal constant RUNS = 4;
    uint256 internal constant ACTORS = 10;
    uint256 internal constant GREED = 15e23; // more than a run's budget, less than the escrow of two

    /// Who took part in the round that is open.
    struct Open {
        uint16 round;
        uint16 trainers;
        uint8 verifiers;
        uint32 active;
        uint32 revealed;
        bytes24 roster;
        uint32 eligible;
    }

    struct Pending {
        Proposal proposal;
        bool isTrue;
        bytes standings; // after it, if true
    }

    MoodyToken[2] public tokens;
    Executor internal executor;
    mapping(uint256 run => Params) internal paramsOfRun;
    mapping(uint256 run => MoodyToken) public tokenOf;

    mapping(uint256 run => Open) internal open_;
    mapping(uint256 run => bytes) internal rosterRows;
    mapping(uint256 run => mapping(bytes24 roster => uint256)) internal rosterLength;
    mapping(uint256 run => mapping(uint16 round => Record)) internal recordOf;
    mapping(uint256 run => mapping(uint16 round => mapping(uint256 v => bytes))) internal said;
    mapping(uint256 run => uint16[]) public recorded;

    mapping(uint256 run => bytes24) internal finalRoster;
    mapping(uint256 run => bytes) internal finalStandings;
    mapping(uint256 run => Pending[]) internal pending;
    mapping(uint256 run => Phase) internal lastPhase;
    mapping(uint256 run => uint16) internal lastRound;
    mapping(uint256 run => uint256) internal lastTotalWei;
    mapping(uint256 run => mapping(uint16 round => bool)) internal settledRound;

    /// A lie that nobody refuted became final: what the run's standings are is anybody's guess from then on.
    mapping(uint256 run => bool) public lied;
    mapping(uint256 run => uint256) public refundedWei;
    mapping(uint256 run => uint16 round) internal expandedIn;

    /* BREACHES: how often a rule about one step was broken */

    uint256 public phaseWentBack;
    uint256 public totalShrank;
    uint256 public settledTwice;
    uint256 public recordDiffers;
    uint256 public outcomeDiffers;
    uint256 public outsiderActed;
    uint256 public strangerGotThrough;
    uint256 public truthRefuted;
    uint256 public lieStood;
    uint256 public becameFinalEarly;
    uint256 public refundedEarly;
    uint256 public paidFromOtherRoot;
    uint256 public withdrewEarly;
    uint256 public actedTooSoon;
    uint256 public actedTooLate;
    uint256 public rewardAstray;
    uint256 public expandedTwice;

    /* WHAT HAPPENED: a test that nothing happens in shows nothing */

    mapping(bytes32 what => uint256) public times;

    constructor() {
        deploy();
        executor = Executor(create("Executor.sol:Executor", ""));
        (tokens[0], tokens[1]) = (new MoodyToken(), new MoodyToken());
        vm.warp(1_800_000_000);
        vm.recordLogs();
        for (uint256 run = 1; run <= RUNS; ++run) {
            paramsOfRun[run] = paramsOf(run > 2, run == 2 ? 300_000 : 0);
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

    function actor(uint256 a) public pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("actor", a)))));
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

    /* SEATS AND STAKES */

    function join(uint256 who, uint256 which, uint256 role, uint256 more) external {
        uint256 run = _run(which);
        uint256 stakeWei = role % 2 == 0 ? 1_000 : 1e18 + (more % 3) * 1e17;
        vm.prank(actor(who % ACTORS));
        try stakes.join(run, uint8(1 + role % 2), stakeWei * 102 / 100 + 1e7, type(uint256).max) {
            ++times["join"];
        } catch {
            _drop();
        }
        _listen();
    }

    function exit(uint256 who, uint256 which) external {
        vm.prank(actor(who % ACTORS));
        try stakes.exit(_run(which)) {
            ++times["exit"];
        } catch {
            _drop();
        }
        _listen();
    }

    function withdraw(uint256 who, uint256 which) external {
        uint256 run = _run(which);
        (uint128 amountWei, uint40 releaseS) = stakes.stakeOf(run, actor(who % ACTORS));
        bool ended = rounds.clock(run).phase == Phase.ENDED && settlement.isCaughtUp(run);
        bool onDuty = rounds.onDuty(run, actor(who % ACTORS));
        vm.prank(actor(who % ACTORS));
        try stakes.withdraw(run) {
            ++times["withdraw"];
            bool released = releaseS != 0 && vm.getBlockTimestamp() >= releaseS && !onDuty;
            if (amountWei == 0 || !(ended || released)) ++withdrewEarly;
        } catch {
            _drop();
        }
        _listen();
    }

    function bond(uint256 who, uint256 which, uint256 amount) external {
        vm.prank(actor(who % ACTORS));
        try stakes.bond(_run(which), amount % 5e9) {}
        catch {
            _drop();
        }
        _listen();
    }

    function unbond(uint256 who, uint256 which, uint256 amount) external {
        vm.prank(actor(who % ACTORS));
        try stakes.unbond(_run(which), amount % 5e9) {}
        catch {
            _drop();
        }
        _listen();
    }

    function sweep(uint256 which, bool burn) external {
        uint256 run = _run(which);
        if (burn) {
            try stakes.burn(run) {}
            catch {
                _drop();
            }
        } else {
            try stakes.pool(run) {}
            catch {
                _drop();
            }
        }
        _listen();
    }

    /* ROUNDS */

    /// Plays a run on to the end of a phase, or of a round: everybody who may act does, more often than not.
    function play(uint256 which, uint256 seed, bool wholeRound) external {
        uint256 run = _run(which);
        for (uint256 step; step < 5; ++step) {
            Phase phase = rounds.clock(run).phase;
            uint16 round = rounds.clock(run).round;
            if (phase == Phase.SETTLE && draw(seed, step) % 2 == 0) this.settle(which, 0);
            if (phase == Phase.ENROL || phase == Phase.ENDED || phase == Phase.SETTLE) return;
            if (phase == Phase.TRAIN) _train(run, draw(seed, step));
            else _verify(run, phase, draw(seed, step));
            if (rounds.clock(run).phase == phase && rounds.clock(run).round == round) {
                if (vm.getBlockTimestamp() < rounds.clock(run).deadline) vm.warp(rounds.clock(run).deadline);
                _tryLate(run, phase);
                try rounds.poke(run) {}
                catch {
                    _drop();
                }
                _listen();
            }
            if (!wholeRound || rounds.clock(run).round != round) return;
        }
    }

    /// At the very second of the deadline it is too late.
    function _tryLate(uint256 run, Phase phase) private {
        if (phase == Phase.TRAIN) {
            vm.prank(rounds.trainersAt(run, 0, 1)[0]);
            try rounds.submit(run, bytes32("late"), 0) {
                ++actedTooLate;
            } catch {
                _drop();
            }
        } else if (phase == Phase.HOLD || phase == Phase.COMMIT) {
            address[] memory seated = rounds.verifiersAt(run, 0, open_[run].verifiers);
            for (uint256 v; v < seated.length; ++v) {
                vm.prank(seated[v]);
                if (phase == Phase.HOLD) {
                    try rounds.hold(run, new bytes((open_[run].trainers + 7) / 8), 0) {
                        ++actedTooLate;
                    } catch {
                        _drop();
                    }
                } else {
                    try rounds.commit(run, 0) {
                        ++actedTooLate;
                    } catch {
                        _drop();
                    }
                }
            }
        }
    }

    /// Who joined since the round opened waits for the next.
    function _tryEarly(uint256 run) private {
        for (uint256 a; a < ACTORS; ++a) {
            Seat memory seat = rounds.seat(run, actor(a));
            if (seat.role != Role.TRAINER || seat.retired || seat.sinceRound <= open_[run].round) continue;
            vm.prank(actor(a));
            try rounds.submit(run, bytes32("early"), 0) {
                ++actedTooSoon;
            } catch {
                _drop();
            }
        }
    }

    function _train(uint256 run, uint256 seed) private {
        _tryEarly(run);
        Submission[] memory all = new Submission[](open_[run].trainers);
        uint256 count;
        address[] memory seated = rounds.trainersAt(run, 0, open_[run].trainers);
        for (uint16 i; i < seated.length; ++i) {
            if (draw(seed, i) % 4 == 0) continue;
            vm.prank(seated[i]);
            try rounds.submit(run, bytes32(draw(seed, 10 + i)), int32(uint32(draw(seed, 20 + i)))) {
                all[count++] = Submission(i, int32(uint32(draw(seed, 20 + i))), bytes32(draw(seed, 10 + i)));
            } catch {
                _drop();
            }
        }
        assembly ("memory-safe") {
            mstore(all, count)
        }
        try rounds.close(run, all) {
            ++times["close"];
        } catch {
            _drop();
        }
        _listen();
    }

    function _verify(uint256 run, Phase phase, uint256 seed) private {
        Open memory now_ = open_[run];
        address[] memory seated = rounds.verifiersAt(run, 0, now_.verifiers);
        for (uint256 v; v < seated.length; ++v) {
            if (draw(seed, v) % 8 == 0 || rounds.clock(run).phase != phase) continue;
            if (rounds.clock(run).round != now_.round) return;
            bool went;
            if (phase == Phase.HOLD) {
                vm.prank(seated[v]);
                try rounds.hold(run, new bytes((now_.trainers + 7) / 8), bytes32(seed)) {
                    went = true;
                } catch {
                    _drop();
                }
            } else if (phase == Phase.COMMIT) {
                bytes memory report = _report(run, now_, draw(seed, 100 + v));
                bytes32 made = _commitment(run, now_.round, seated[v], report);
                vm.prank(seated[v]);
                try rounds.commit(run, made) {
                    (went, said[run][now_.round][v]) = (true, report);
                } catch {
                    _drop();
                }
            } else {
                bytes memory report = said[run][now_.round][v];
                open_[run].revealed |= uint32(1 << v); // the record may be made by this very call
                vm.prank(seated[v]);
                try rounds.reveal(run, report, bytes32("salt")) {
                    went = true;
                } catch {
                    _drop();
                    if (rounds.clock(run).round == now_.round) open_[run].revealed &= ~uint32(1 << v);
                }
            }
            if (went && (now_.active >> v) & 1 == 0) ++outsiderActed;
            _listen();
        }
    }

    /// Mostly the round's truth with a few bits off, sometimes something else; any verdicts and gains.
    function _report(uint256 run, Open memory now_, uint256 seed) private pure returns (bytes memory report) {
        uint256 word = seed % 7 == 0 ? seed : draw(run, now_.round) ^ (seed & 0x1f);
        report = abi.encodePacked(uint32(200_000 + draw(run, now_.round) % 800_000), word);
        for (uint256 i; i < now_.trainers; ++i) {
            uint256 gain = draw(draw(run, now_.round), i) % 5_000;
            uint8 verdict = draw(seed, i) % 5 == 0 ? uint8(draw(seed, i + 50) % 8) : 0;
            report = abi.encodePacked(
                report, verdict, int32(uint32(gain + seed % 3)), int32(uint32(gain + 400 * (seed % 2)))
            );
        }
    }

    function _commitment(uint256 run, uint16 round, address account, bytes memory report)
        private
        view
        returns (bytes32)
    {
        return keccak256(abi.encode(block.chainid, rounds, run, round, account, _hashReport(report), bytes32("salt")));
    }

    /// One word, and at most 256 rows: one chunk.
    function _hashReport(bytes memory report) private pure returns (bytes32) {
        bytes memory head = new bytes(36);
        bytes memory rows = new bytes(report.length - 36);
        for (uint256 i; i < report.length; ++i) {
            if (i < 36) head[i] = report[i];
            else rows[i - 36] = report[i];
        }
        return keccak256(bytes.concat(head, keccak256(rows)));
    }

    function poke(uint256 which) external {
        try rounds.poke(_run(which)) {}
        catch {
            _drop();
        }
        _listen();
    }

    function pass(uint256 seconds_) external {
        vm.warp(vm.getBlockTimestamp() + seconds_ % 400);
    }

    /* SETTLING */

    /// A proposing run's rounds are mostly left to proposals.
    function settle(uint256 which, uint256 eager) external {
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

    function _run(uint256 which) private pure returns (uint256) {
        return 1 + which % RUNS;
    }

    function _enrich(MoodyToken token, address account) private {
        token.mint(account, 1e30);
        vm.prank(account);
        token.approve(address(runs), type(uint256).max);
        vm.prank(account);
        token.approve(address(stakes), type(uint256).max);
    }

    function _claim(
        uint256 run,
        MoodyToken token,
        address account,
        uint256 paidWei,
        uint256 rightBits,
        bytes memory proof
    ) private returns (bool through) {
        try runs.claim(run, address(token), account, paidWei, rightBits, proof) {
            through = true;
        } catch {
            _drop();
        }
    }

    /// The recorded round after `round`; 0: none.
    function _next(uint256 run, uint16 round) private view returns (uint16) {
        for (uint256 i; i < recorded[run].length; ++i) {
            if (recorded[run][i] > round) return recorded[run][i];
        }
        return 0;
    }

    function _inputs(uint256 run, uint16 round, bytes24 roster, bytes memory before)
        private
        view
        returns (Inputs memory inputs)
    {
        inputs.record = recordOf[run][round];
        (inputs.roster, inputs.standings) = (roster, before);
        uint256 from = rosterLength[run][roster];
        uint256 to = rosterLength[run][inputs.record.roster];
        inputs.rosterRows = new bytes(to - from);
        bytes memory rows = rosterRows[run];
        for (uint256 i = from; i < to; ++i) {
            inputs.rosterRows[i - from] = rows[i];
        }
    }

    /// What pending proposal `place` stands on, if all before it are true.
    function _before(uint256 run, uint16 round, uint256 place)
        private
        view
        returns (bool truthful, Inputs memory inputs, uint256 totalWei)
    {
        if (lied[run]) return (false, inputs, 0);
        for (uint256 i; i < place; ++i) {
            if (!pending[run][i].isTrue) return (false, inputs, 0);
        }
        truthful = true;
        if (place == 0) {
            (, totalWei) = runs.books(run);
            inputs = _inputs(run, round, finalRoster[run], finalStandings[run]);
        } else {
            Pending storage last = pending[run][place - 1];
            totalWei = last.proposal.outcome.totalWei;
            inputs = _inputs(run, round, recordOf[run][last.proposal.round].roster, last.standings);
        }
    }

    function _execute(uint256 run, Inputs memory inputs, uint256 totalWei)
        private
        returns (Outcome memory outcome, Effects memory effects, bytes memory all)
    {
        Evidence memory evidence = _evidence(run, inputs.record.round);
        (outcome, effects,) = settlement.transition().execute(totalWei, paramsOfRun[run], inputs, evidence);
        all = executor.execute(paramsOfRun[run], inputs, evidence.reports, totalWei);
        if (Docket.hashStandings(inputs.record.roster, all) != outcome.standingsHash) ++outcomeDiffers;
    }

    function _evidence(uint256 run, uint16 round) private view returns (Evidence memory evidence) {
        Record memory record = recordOf[run][round];
        evidence.reports = new bytes[](record.reports.length);
        uint256 next;
        for (uint256 v; v < record.verifiers; ++v) {
            if ((record.revealed >> v) & 1 == 1) evidence.reports[next++] = said[run][round][v];
        }
    }

    function _proposals(uint256 run) private view returns (Proposal[] memory list) {
        list = new Proposal[](pending[run].length);
        for (uint256 i; i < list.length; ++i) {
            list[i] = pending[run][i].proposal;
        }
    }

    function _proof(bytes memory packed, uint256 position)
        private
        pure
        returns (address account, uint256 paidWei, uint256 rightBits, bytes memory proof)
    {
        Leaf leaf = Standings.leaf(packed, position);
        (account, paidWei) = (leaf.account(), leaf.paidWei());
        (, rightBits, proof) = prove(packed, position);
    }

    /// Forge also records what a call said before it was refused.
    function _drop() private {
        vm.getRecordedLogs();
    }

    /// Reads what the last call said, in order, and checks the rules about single steps.
    function _listen() private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            bytes32 topic = logs[i].topics[0];
            if (logs[i].topics.length < 2) continue;
            uint256 run = uint256(logs[i].topics[1]);
            if (topic == IRounds.Admitted.selector) _admitted(run, logs[i]);
            else if (topic == IRounds.Retired.selector) _retired(run, logs[i]);
            else if (topic == IRounds.PhaseOpened.selector) _phaseOpened(run, logs[i].data);
            else if (topic == IRounds.Recorded.selector) _recorded(run, logs[i].data);
            else if (topic == ISettlement.Settled.selector) _settled(run, logs[i].data);
            else if (topic == IRuns.Refunded.selector) refundedWei[run] += abi.decode(logs[i].data, (uint256));
        }
        for (uint256 run = 1; run <= RUNS; ++run) {
            if (runs.lastRun() < run) return;
            (, uint128 totalWei) = runs.books(run);
            if (totalWei < lastTotalWei[run]) ++totalShrank;
            lastTotalWei[run] = totalWei;
        }
    }

    function _admitted(uint256 run, Vm.Log memory log) private {
        (uint8 role, uint16 index, uint128 stakeWei, bytes24 roster) =
            abi.decode(log.data, (uint8, uint16, uint128, bytes24));
        address account = address(uint160(uint256(log.topics[2])));
        rosterRows[run] = abi.encodePacked(rosterRows[run], uint8(7), role, index, account, stakeWei);
        rosterLength[run][roster] = rosterRows[run].length;
    }

    function _retired(uint256 run, Vm.Log memory log) private {
        (uint8 role, uint16 index, bytes24 roster) = abi.decode(log.data, (uint8, uint16, bytes24));
        rosterRows[run] = abi.encodePacked(rosterRows[run], uint8(8), role, index);
        rosterLength[run][roster] = rosterRows[run].length;
        ++times["retire"];
    }

    function _phaseOpened(uint256 run, bytes memory data) private {
        (uint16 round, Phase phase,,, bytes24 roster,) =
            abi.decode(data, (uint16, Phase, uint40, bytes32, bytes24, bytes24));
        bool again = round == lastRound[run] && phase == Phase.COMMIT && lastPhase[run] == Phase.SETTLE;
        if (again) _expanded(run, round);
        bool forward = again || round > lastRound[run] || (round == lastRound[run] && phase > lastPhase[run]);
        if (!forward || lastPhase[run] == Phase.ENDED) ++phaseWentBack;
        (lastRound[run], lastPhase[run]) = (round, phase);
        if (phase == Phase.ENDED) ++times["ended"];
        Masks memory m = rounds.masks(run);
        if (phase == Phase.HOLD) open_[run].active = m.active;
        if (phase != Phase.TRAIN) return;
        (uint16 trainers, uint8 verifiers) = (rounds.counts(run).trainersInRound, rounds.counts(run).verifiersInRound);
        open_[run] = Open(round, trainers, verifiers, m.active, 0, roster, m.eligible);
    }

    /// The record is thrown away, everyone eligible speaks anew.
    function _expanded(uint256 run, uint16 round) private {
        if (expandedIn[run] == round) ++expandedTwice;
        expandedIn[run] = round;
        (open_[run].active, open_[run].revealed) = (open_[run].eligible, 0);
        recorded[run].pop();
        ++times["expand"];
    }

    function lastRecorded(uint256 run) external view returns (uint16) {
        return recorded[run].length == 0 ? 0 : recorded[run][recorded[run].length - 1];
    }

    function _recorded(uint256 run, bytes memory data) private {
        (uint16 round, bytes30 hash) = abi.decode(data, (uint16, bytes30));
        Open memory was = open_[run];
        Record memory record;
        (record.round, record.trainers, record.verifiers) = (was.round, was.trainers, was.verifiers);
        record.previous = recorded[run].length == 0 ? 0 : recorded[run][recorded[run].length - 1];
        (record.depositedWei,) = runs.books(run);
        (record.active, record.revealed, record.roster) = (was.active, was.revealed, was.roster);
        address[] memory seated = rounds.verifiersAt(run, 0, was.verifiers);
        record.stakesWei = stakes.stakesOf(run, seated);
        bytes32[] memory hashes = new bytes32[](was.verifiers);
        uint256 count;
        for (uint256 v; v < was.verifiers; ++v) {
            if ((was.active >> v) & 1 == 0) record.stakesWei[v] = 0;
            if ((was.revealed >> v) & 1 == 1) hashes[count++] = _hashReport(said[run][round][v]);
        }
        assembly ("memory-safe") {
            mstore(hashes, count)
        }
        record.reports = hashes;
        if (Docket.hash(record) != hash || round != was.round) ++recordDiffers;
        recordOf[run][round] = record;
        recorded[run].push(round);
        ++times["record"];
    }

    function _settled(uint256 run, bytes memory data) private {
        uint16 round = abi.decode(data, (uint16));
        if (settledRound[run][round]) ++settledTwice;
        settledRound[run][round] = true;
    }
}
