// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Phase, Role, Seat, Submission} from "../../interfaces/Types.sol";
import {Books} from "./Books.sol";

/// Everybody who trains and verifies: seats, stakes, and rounds played more or less well.
abstract contract Players is Books {
    uint256 internal constant RUNS = 4;
    uint256 internal constant ACTORS = 10;

    uint256 public outsiderActed;
    uint256 public withdrewEarly;
    uint256 public actedTooSoon;
    uint256 public actedTooLate;

    function actor(uint256 a) public pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("actor", a)))));
    }

    function _run(uint256 which) internal pure returns (uint256) {
        return 1 + which % RUNS;
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

    function settle(uint256 which, uint256 eager) external virtual;

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
            bytes32 digest = bytes32(draw(seed, 10 + i));
            if (uint256(digest) % 2 == 0) digest = sha256(_planted(seated[i], bytes32(run)));
            vm.prank(seated[i]);
            try rounds.submit(run, digest, int32(uint32(draw(seed, 20 + i)))) {
                all[count++] = Submission(i, int32(uint32(draw(seed, 20 + i))), digest);
            } catch {
                _drop();
            }
            _listen();
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
            uint8 verdict = draw(seed, i) % 5 == 0 ? uint8(draw(seed, i + 50) % 9) : 0;
            report = abi.encodePacked(
                report, verdict, int32(uint32(gain + seed % 3)), int32(uint32(gain + 400 * (seed % 2)))
            );
        }
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
}
