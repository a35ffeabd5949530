// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IReputation} from "../../interfaces/IReputation.sol";
import {IRounds} from "../../interfaces/IRounds.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {Clock, Phase, Role, Seat} from "../../interfaces/Types.sol";
import {Endorsed} from "./Endorsed.sol";
import {Vm} from "./Vm.sol";

/// A run whose standings, seats and clock are whatever a test says. What a played run leaves is harvested in
/// tests/contracts/test_reputation.py.
contract RunStub {
    mapping(uint256 run => bytes32) public standingsHash;
    mapping(uint256 run => mapping(address account => Seat)) private _seats;
    uint16 public round = 5;

    function set(uint256 run, bytes32 hash) external {
        standingsHash[run] = hash;
    }

    function setSeat(uint256 run, address account, Role role, bool retired) external {
        (_seats[run][account].role, _seats[run][account].retired) = (role, retired);
    }

    function setRound(uint16 round_) external {
        round = round_;
    }

    function clock(uint256) external view returns (Clock memory) {
        return Clock(0, 0, round, Phase.TRAIN);
    }

    function seat(uint256 run, address account) external view returns (Seat memory) {
        return _seats[run][account];
    }
}

/// Trainers are accounts 20 and up, verifiers 40 and up; account 0 is the seed.
contract HarvestTest is Endorsed {
    bytes24 private constant ROSTER = bytes24(keccak256("roster"));
    uint256 private constant RUN = 3;

    RunStub private stub;
    bytes private standings;
    address[] private endorsers;
    uint256[] private rows;

    function setUp() external {
        stub = new RunStub();
        launch(IRounds(address(stub)), ISettlement(address(stub)), list(who(0)));
    }

    /* STANDINGS */

    function leaf(address account, Role role, uint16 rounds, uint32 banRound, uint64 valueQ32) private {
        uint256 seat = uint256(uint160(account)) << 96 | uint256(role) << 88 | uint256(rounds) << 64;
        standings = abi.encodePacked(standings, seat | uint256(banRound) << 32, uint256(valueQ32) << 64, bytes32(0));
        stub.set(RUN, keccak256(abi.encodePacked(ROSTER, standings)));
        if (role == Role.VERIFIER) stub.setSeat(RUN, account, role, false);
    }

    function clear() private {
        delete standings;
    }

    function team(uint64 value0, uint64 value1, uint16 rounds) private {
        clear();
        leaf(who(20), Role.TRAINER, rounds, 0, value0);
        leaf(who(21), Role.TRAINER, 1, 0, value1);
        leaf(who(40), Role.VERIFIER, rounds, 0, 1);
        leaf(who(41), Role.VERIFIER, 1, 0, 1 << 32);
    }

    function harvest() private returns (uint32 id) {
        vm.recordLogs();
        id = reputation.harvest(RUN, ROSTER, standings);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        same(logs.length, 1, "one event");
        so(logs[0].topics[0] == IReputation.Harvested.selector && uint256(logs[0].topics[1]) == RUN, "of the run");
        uint32 named;
        uint32 epoch;
        (named, epoch,, endorsers, rows) = abi.decode(logs[0].data, (uint32, uint32, uint16, address[], uint256[]));
        so(named == id && epoch == epochNow(), "of this id and epoch");
        same(reputation.panelOf(id), keccak256(abi.encodePacked(endorsers)), "the panel is who is named");
    }

    function nothing() private {
        vm.expectRevert(abi.encodeWithSelector(IReputation.NothingToHarvest.selector, RUN));
        reputation.harvest(RUN, ROSTER, standings);
    }

    function row(address account, uint256 weight) private pure returns (uint256) {
        return uint256(uint160(account)) << 32 | weight;
    }

    /* WHAT IS SAID */

    function test_trainers_are_endorsed_by_value_for_the_rounds_since() external {
        team(1, 2, 3);
        uint32 id = harvest();
        so(endorsers.length == 2 && endorsers[0] == who(40) && endorsers[1] == who(41), "both verifiers");
        same(rows.length, 2, "both trainers");
        same(rows[0], row(who(20), 3 * 4_096 / 3), "a third");
        same(rows[1], row(who(21), 2 * 4_096), "two thirds");
        same(reputation.saidUntil(who(40), epochNow()), 3 * 4_096, "each says all of it");
        same(reputation.saidUntil(who(41), epochNow()), 3 * 4_096, "each says all of it");
        same(reputation.knownUntil(epochNow()), 2, "two are known");
        bytes32 entry = keccak256(abi.encodePacked(bytes32(0), epochNow(), id, uint32(4_096)));
        same(reputation.heard(who(20)), entry, "an entry");

        nextEpoch();
        team(4_095, 8_191 - 4_095, 5);
        same(harvest(), id + 1, "the next");
        same(rows[0], row(who(20), 2 * 4_096 * uint256(4_095) / 8_191), "rounded down");
        same(
            reputation.heard(who(20)),
            keccak256(abi.encodePacked(entry, epochNow(), id + 1, uint32(rows[0]))),
            "behind the first"
        );
        same(reputation.knownUntil(epochNow()), 2, "nobody new");
    }

    function test_parts_are_rounded_down_and_nothing_is_left_out_but_nothing() external {
        clear();
        leaf(who(20), Role.TRAINER, 1, 0, 1);
        leaf(who(21), Role.TRAINER, 1, 0, 4_096);
        leaf(who(22), Role.TRAINER, 1, 0, 0);
        leaf(who(40), Role.VERIFIER, 1, 0, 9);
        harvest();
        same(rows.length, 1, "4,096 / 4,097 is no unit, nor is value 0");
        same(rows[0], row(who(21), 4_095), "rounded down");
    }

    function test_once_an_epoch_and_run_and_only_what_is_new() external {
        team(1, 1, 3);
        harvest();
        vm.expectRevert(abi.encodeWithSelector(IReputation.AlreadyHarvested.selector, RUN, epochNow()));
        reputation.harvest(RUN, ROSTER, standings);
        nextEpoch();
        nothing();
        team(1, 1, 2); // its oldest left
        nothing();
        team(1, 1, 4);
        harvest();
        same(rows[0] & type(uint32).max, 2_048, "one round");
    }

    function test_standings_are_the_final_ones() external {
        team(1, 1, 3);
        bytes32 expected = stub.standingsHash(RUN);
        bytes memory other = bytes.concat(standings, hex"00");
        bytes32 actual = keccak256(abi.encodePacked(ROSTER, other));
        vm.expectRevert(abi.encodeWithSelector(IReputation.StandingsMismatch.selector, expected, actual));
        reputation.harvest(RUN, ROSTER, other);
        actual = keccak256(abi.encodePacked(bytes24(0), standings));
        vm.expectRevert(abi.encodeWithSelector(IReputation.StandingsMismatch.selector, expected, actual));
        reputation.harvest(RUN, bytes24(0), standings);
    }

    function test_the_banned_are_not_endorsed_until_their_ban_is_over() external {
        clear();
        leaf(who(20), Role.TRAINER, 5, 5, 1); // banned up to this round
        leaf(who(21), Role.TRAINER, 5, 4, 1); // was
        leaf(who(40), Role.VERIFIER, 5, 0, 1);
        harvest();
        so(rows.length == 1 && rows[0] >> 32 == uint160(who(21)), "who is not banned");
        nextEpoch();
        clear();
        leaf(who(20), Role.TRAINER, 6, 5, 1);
        leaf(who(40), Role.VERIFIER, 6, 0, 1);
        nothing();
        stub.setRound(6);
        harvest();
        same(rows[0], row(who(20), 4_096), "its ban is over");
    }

    function test_verifiers_speak_who_are_seated_and_agree() external {
        clear();
        leaf(who(20), Role.TRAINER, 1, 0, 1);
        leaf(who(40), Role.VERIFIER, 1, 0, 0); // agrees with nobody
        nothing();
        leaf(who(41), Role.VERIFIER, 1, 0, 1);
        stub.setSeat(RUN, who(41), Role.VERIFIER, true); // retired
        nothing();
        leaf(who(42), Role.VERIFIER, 1, 0, 1);
        stub.setSeat(RUN, who(42), Role.NONE, false);
        nothing();
        leaf(who(43), Role.VERIFIER, 1, 0, 1);
        harvest();
        so(endorsers.length == 1 && endorsers[0] == who(43), "one of four");
        same(reputation.saidUntil(who(40), epochNow()), 0, "who did not speak said nothing");
        same(reputation.saidUntil(who(41), epochNow()), 0, "who did not speak said nothing");
    }

    function test_a_verifier_for_whom_it_would_be_too_much_is_left_out() external {
        team(1, 1, 1);
        // 2^32 - 4,096: one unit more and the round of this harvest would be too much.
        vouch(who(40), who(60), 4_294_963_199);
        harvest();
        same(endorsers.length, 2, "just fits");
        nextEpoch();
        team(1, 1, 2);
        harvest();
        so(endorsers.length == 1 && endorsers[0] == who(41), "no longer");
        same(reputation.saidUntil(who(40), epochNow()), type(uint32).max, "as it was");
    }

    function test_nobody_is_endorsed_without_anybody_of_value() external {
        clear();
        leaf(who(20), Role.TRAINER, 9, 0, 0);
        leaf(who(40), Role.VERIFIER, 9, 0, 1);
        nothing();
        clear();
        leaf(who(20), Role.TRAINER, 9, 0, 1);
        nothing();
        clear();
        stub.set(RUN, keccak256(abi.encodePacked(ROSTER)));
        nothing();
    }

    /// Whatever the values: parts add up to the rounds at most, and lose less than a unit each.
    function test_weights_are_the_parts_of_a_whole(uint64[6] calldata values, uint16 rounds) external {
        vm.assume(rounds != 0);
        clear();
        uint256 sum;
        for (uint256 i; i < 6; ++i) {
            leaf(who(20 + i), Role.TRAINER, rounds, 0, values[i]);
            sum += values[i];
        }
        leaf(who(40), Role.VERIFIER, 0, 0, 1);
        vm.assume(sum != 0);
        harvest();
        uint256 next;
        uint256 given;
        for (uint256 i; i < 6; ++i) {
            uint256 weight = uint256(values[i]) * 4_096 * rounds / sum;
            if (weight == 0) continue;
            same(rows[next++], row(who(20 + i), weight), "its part");
            given += weight;
        }
        same(rows.length, next, "nobody else");
        same(reputation.saidUntil(who(40), epochNow()), given, "the sum");
        so(given <= uint256(rounds) * 4_096 && given + 6 > uint256(rounds) * 4_096, "of the whole");
    }

    /* VOUCHES FOR THE BANNED */

    function test_whom_a_run_bans_costs_its_voucher_the_stake() external {
        uint32 id = vouch(who(2), who(20), 4_096);
        team(1, 1, 3);
        bytes memory refusal = abi.encodeWithSelector(IReputation.NotBanned.selector, RUN, who(20));
        slash(who(20), 0, refusal); // not banned
        clear();
        leaf(who(21), Role.TRAINER, 3, 9, 1);
        leaf(who(20), Role.TRAINER, 3, 5, 1);
        slash(who(20), 0, refusal); // another is
        slash(who(20), 2, refusal); // nobody is
        stub.setRound(6);
        slash(who(20), 1, refusal); // no longer
        stub.setRound(5);
        vm.expectRevert(abi.encodeWithSelector(IReputation.NoVouch.selector, who(2), who(21)));
        reputation.slashVouch(who(2), who(21), RUN, ROSTER, standings, 0);

        nextEpoch();
        slash(who(20), 1, "");
        same(reputation.purseOf(who(7)), 0.4e18, "the finder's part");
        same(reputation.purseOf(BURNED), 0.6e18, "the rest");
        same(reputation.purseOf(who(2)), 0, "the voucher has lost it");
        same(reputation.saidUntil(who(2), epochNow()), 0, "and says it no more");
        ended(who(20), id, 4_096);
        same(reputation.heard(who(20)), _fold(about[who(20)]), "as the list says");
        vm.expectRevert(abi.encodeWithSelector(IReputation.NoVouch.selector, who(2), who(20)));
        reputation.slashVouch(who(2), who(20), RUN, ROSTER, standings, 1);
    }

    function test_an_ended_vouch_can_be_slashed_until_it_is_reclaimed() external {
        uint32 id = vouch(who(2), who(20), 4_096);
        unvouch(who(2), who(20), id, 4_096);
        uint256 endEpoch = epochNow();
        nextEpoch();
        nextEpoch();
        leaf(who(20), Role.TRAINER, 3, 5, 1);
        vm.expectEmit(address(reputation));
        emit IReputation.VouchSlashed(who(2), who(20), RUN, who(7), id, uint32(endEpoch), 0.4e18, 0.6e18);
        slash(who(20), 0, "");
        same(reputation.heard(who(20)), _fold(about[who(20)]), "it does not end twice");
        same(reputation.saidUntil(who(2), epochNow()), 0, "nor is it taken away twice");
    }

    function slash(address account, uint256 index, bytes memory refusal) private {
        if (refusal.length != 0) vm.expectRevert(refusal);
        vm.prank(who(7));
        reputation.slashVouch(who(2), account, RUN, ROSTER, standings, index);
    }

    function _fold(bytes memory entries) private pure returns (bytes32 hash) {
        for (uint256 from; from < entries.length; from += 12) {
            bytes memory entry = new bytes(12);
            for (uint256 b; b < 12; ++b) {
                entry[b] = entries[from + b];
            }
            hash = keccak256(abi.encodePacked(hash, entry));
        }
    }
}
