// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IReputation, Node, Panel, Witness} from "../../interfaces/IReputation.sol";
import {Endorsements} from "../../libraries/Endorsements.sol";
import {Facts} from "../../libraries/Witnesses.sol";
import {Check} from "./Vm.sol";
import {Witnessed} from "./Witnessed.sol";

/// Subject 0, seed 1, others 2, 3, 4.
contract WitnessTest is Witnessed {
    bytes[] private none;

    function setUp() external {
        seed(1);
    }

    function tooMany(uint256 node, uint256 shown, uint256 claimed) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IReputation.TooManyVisits.selector, node, shown, claimed);
    }

    function noPath(uint256 p) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IReputation.MalformedPath.selector, p);
    }

    /* WHAT IS TRUE */

    function test_a_chain_shows_what_arrives_at_its_end_and_not_one_unit_more() external {
        say(1, 2, 4_096);
        say(2, 0, 1_000);
        say(2, 3, 3_096);
        uint256 arrives = MASS / 4 / 4_096 * 1_000;
        accept(witnessOf(three(arrives, MASS, MASS / 2), path(hex"010200")), 1);
        refuse(witnessOf(three(arrives + 1, MASS, MASS / 2), path(hex"010200")), 1, tooMany(0, arrives, arrives + 1));
        refuse(witnessOf(three(arrives, MASS, MASS / 2 + 1), path(hex"010200")), 1, tooMany(2, MASS / 2, MASS / 2 + 1));
    }

    function test_less_than_the_truth_is_true() external {
        say(1, 0, 5);
        accept(witnessOf(two(1, MASS), none), 0);
        accept(witnessOf(two(0, 0), none), 0);
    }

    function test_hits_are_at_most_the_subjects_visits() external {
        say(1, 0, 5);
        Witness memory witness = witnessOf(two(9, MASS), none);
        Facts memory facts = factsOf(witness);
        vm.expectRevert(tooMany(0, 9, 10));
        this.show(witness, facts, account(0), 10, 0);
    }

    function test_a_seed_and_whom_it_endorses_have_every_path() external {
        say(1, 0, 5);
        accept(witnessOf(two(0, MASS), path(hex"0100")), 4);
        seed(0);
        accept(witnessOf(one(MASS / 2), path(hex"00")), 4);
    }

    function test_two_disjoint_paths_from_one_seed_are_two() external {
        say(1, 2, 1);
        say(1, 3, 1);
        uint256[] memory both = two(2, 3);
        say(both, 0, 7, CUT);
        uint256[] memory visits = fixedPoint(4);
        so(visits[0] != 0, "something arrives");
        accept(witnessOf(visits, pair(hex"010200", hex"010300")), 2);
        refuse(
            witnessOf(visits, pair(hex"010200", hex"010300")),
            3,
            abi.encodeWithSelector(IReputation.TooFewPaths.selector, 2, 3)
        );
    }

    /* WHAT GAINS NOTHING */

    function test_what_the_subject_says_of_others_gains_it_nothing() external {
        say(1, 0, 4_096);
        say(0, 2, 4_096);
        say(2, 0, 4_096);
        accept(witnessOf(three(MASS / 2 / 4_096 * 4_096, MASS, 0), none), 0);
        refuse(witnessOf(three(MASS / 2, MASS, 1), none), 0, tooMany(2, 0, 1));
    }

    function test_nor_under_a_second_index() external {
        say(1, 0, 4_096);
        say(0, 2, 4_096);
        say(2, 0, 4_096);
        Witness memory witness = witnessOf(three(MASS / 2, MASS, 1), none);
        Node[] memory nodes = new Node[](4);
        (nodes[0], nodes[1], nodes[2]) = (witness.nodes[0], witness.nodes[1], witness.nodes[2]);
        nodes[3] = witness.nodes[0];
        witness.nodes = nodes;
        witness.panels[1].places = hex"04"; // the copy says it
        refuse(witness, 0, tooMany(2, 0, 1));
    }

    function test_an_account_listed_twice_hands_on_once() external {
        say(1, 2, 4_096);
        say(2, 0, 4_096);
        Witness memory witness = witnessOf(three(MASS / 4 + 1, MASS, MASS / 2), none);
        Node[] memory nodes = new Node[](4);
        (nodes[0], nodes[1], nodes[2]) = (witness.nodes[0], witness.nodes[1], witness.nodes[2]);
        nodes[3] = witness.nodes[2];
        witness.nodes = nodes;
        refuse(witness, 0, tooMany(0, MASS / 4, MASS / 4 + 1));
        witness.panels = new Panel[](3); // nor can its panel come twice
        Witness memory before = witnessOf(three(0, MASS, MASS / 2), none);
        (witness.panels[0], witness.panels[1], witness.panels[2]) =
        (before.panels[0], before.panels[1], before.panels[1]);
        refuse(witness, 0, abi.encodeWithSelector(IReputation.MalformedPanel.selector, 2));
    }

    function test_an_account_listed_twice_is_on_one_path() external {
        say(1, 2, 1);
        say(2, 0, 1);
        Witness memory witness = witnessOf(three(0, MASS, 0), pair(hex"010200", hex"010300"));
        Node[] memory nodes = new Node[](4);
        (nodes[0], nodes[1], nodes[2]) = (witness.nodes[0], witness.nodes[1], witness.nodes[2]);
        nodes[3] = witness.nodes[2];
        witness.nodes = nodes;
        refuse(witness, 2, noPath(1));
    }

    function test_what_was_said_after_the_cut_counts_for_nothing() external {
        say(one(1), 0, 4_096, CUT + 1);
        refuse(witnessOf(two(1, MASS), none), 0, tooMany(0, 0, 1));
        refuse(witnessOf(two(0, MASS), path(hex"0100")), 1, noPath(0));
    }

    function test_an_ended_vouch_counts_for_nothing_from_its_end_on() external {
        uint256 id = say(one(1), 0, 4_096, CUT - 1);
        end(id, CUT);
        refuse(witnessOf(two(1, MASS), none), 0, tooMany(0, 0, 1));
        refuse(witnessOf(two(0, MASS), path(hex"0100")), 1, noPath(0));
    }

    function test_and_counts_until_then() external {
        uint256 id = say(one(1), 0, 4_096, CUT - 1);
        end(id, CUT + 1);
        accept(witnessOf(two(MASS / 2, MASS), path(hex"0100")), 4);
    }

    function test_what_is_said_again_counts_again() external {
        uint256 id = say(one(1), 0, 4_096, CUT - 1);
        say(two(1, 2), 0, 96, CUT - 1);
        end(id, CUT - 1);
        say(one(1), 0, 4_000, CUT);
        accept(witnessOf(two(MASS / 2 / 4_096 * 4_096, MASS), path(hex"0100")), 4);
    }

    function test_whom_no_place_names_hands_nothing_on() external {
        say(two(1, 2), 0, 1, CUT);
        Witness memory witness = witnessOf(two(1, MASS), none);
        witness.panels[0].places = hex"0000";
        refuse(witness, 0, tooMany(0, 0, 1));
    }

    /* WHAT IS MALFORMED */

    function test_there_are_nodes_not_too_many_and_the_subject_is_first() external {
        bytes memory reason = abi.encodeWithSelector(IReputation.MalformedNodes.selector);
        Witness memory witness;
        refuse(witness, 0, reason);
        witness.nodes = new Node[](2);
        (witness.nodes[0].account, witness.nodes[1].account) = (account(1), account(0));
        refuse(witness, 0, reason);
        witness.nodes = new Node[](256);
        for (uint256 i; i < 256; ++i) {
            witness.nodes[i].account = account(0);
        }
        refuse(witness, 0, reason);
        Node[] memory nodes = witness.nodes;
        assembly ("memory-safe") {
            mstore(nodes, 255)
        }
        accept(witness, 0);
    }

    function test_lists_are_whole() external {
        say(1, 0, 5);
        say(1, 0, 6);
        bytes32 kept = fold(heardOf(0));
        Witness memory witness = witnessOf(two(0, 0), none);
        witness.nodes[0].heard = abi.encodePacked(uint32(CUT), uint32(1), uint32(5));
        bytes32 actual = fold(witness.nodes[0].heard);
        refuse(witness, 0, abi.encodeWithSelector(IReputation.HeardMismatch.selector, 0, kept, actual));
        witness.nodes[0].heard = bytes.concat(heardOf(0), hex"00");
        actual = bytes32(type(uint256).max);
        refuse(witness, 0, abi.encodeWithSelector(IReputation.HeardMismatch.selector, 0, kept, actual));
        witness.nodes[0].heard = heardOf(0);
        witness.nodes[1].heard = heardOf(0);
        refuse(witness, 0, abi.encodeWithSelector(IReputation.HeardMismatch.selector, 1, 0, kept));
    }

    function test_panels_are_whole_in_order_and_point_at_who_they_name() external {
        say(two(1, 2), 0, 1, CUT);
        say(1, 2, 1);
        Witness memory witness = witnessOf(three(0, MASS, 0), none);
        (witness.panels[0], witness.panels[1]) = (witness.panels[1], witness.panels[0]);
        refuse(witness, 0, abi.encodeWithSelector(IReputation.MalformedPanel.selector, 1));

        witness = witnessOf(three(0, MASS, 0), none);
        witness.panels[0].places = hex"0203"; // 1 + index
        accept(witness, 0);
        witness.panels[0].places = hex"0302";
        refuse(witness, 0, abi.encodeWithSelector(IReputation.MalformedPanel.selector, 1));
        witness.panels[0].places = hex"0204";
        refuse(witness, 0, abi.encodeWithSelector(IReputation.MalformedPanel.selector, 1));
        witness.panels[0].places = hex"02";
        refuse(witness, 0, abi.encodeWithSelector(IReputation.MalformedPanel.selector, 1));

        witness = witnessOf(three(0, MASS, 0), none);
        witness.panels[0].endorsers[1] = account(3);
        bytes32 kept = keccak256(abi.encodePacked(accountsOf(two(1, 2))));
        bytes32 actual = keccak256(abi.encodePacked(accountsOf(two(1, 3))));
        refuse(witness, 0, abi.encodeWithSelector(IReputation.PanelMismatch.selector, 1, kept, actual));
        witness.panels[0] = Panel(0, new address[](0), "");
        refuse(witness, 0, abi.encodeWithSelector(IReputation.PanelMismatch.selector, 0, 0, keccak256("")));
    }

    function test_paths_lead_from_a_seed_along_endorsements_to_the_subject() external {
        say(1, 2, 1);
        say(2, 0, 1);
        say(2, 3, 1);
        uint256[] memory visits = new uint256[](4);
        bytes[6] memory broken = [
            bytes(""), // nowhere
            hex"0200", // not from a seed
            hex"0102", // not to the subject
            hex"010300", // along no edge
            hex"010500", // by nobody
            hex"0502" // from nobody
        ];
        for (uint256 k; k < broken.length; ++k) {
            refuse(witnessOf(visits, path(broken[k])), 1, noPath(0));
        }
        accept(witnessOf(visits, path(hex"010200")), 1);
    }

    function test_paths_share_nothing_between() external {
        say(1, 2, 1);
        say(2, 3, 1);
        say(3, 2, 1);
        say(2, 0, 1);
        say(3, 0, 1);
        say(0, 2, 1);
        uint256[] memory visits = new uint256[](4);
        refuse(witnessOf(visits, pair(hex"010200", hex"01020300")), 2, noPath(1));
        refuse(witnessOf(visits, path(hex"0102030200")), 1, noPath(0)); // nor does one meet itself
        refuse(witnessOf(visits, path(hex"0102000200")), 1, noPath(0)); // nor the subject
        seed(2);
        refuse(witnessOf(visits, path(hex"01020300")), 1, noPath(0)); // nor another seed
    }

    /* ANY GRAPH */

    /// What the plain model reaches is shown, cycles included; a unit more at any node is not.
    function test_every_step_towards_the_truth_passes_and_nothing_above_it(uint256 random) external {
        uint256 accounts = 2 + draw(random, 0) % 5;
        uint256 nodes = 1 + draw(random, 1) % accounts;
        _sayAnything(random, accounts);
        uint256[] memory visits = new uint256[](nodes);
        for (uint256 k = draw(random, 2) % 6; k != 0; --k) {
            visits = step(visits);
        }
        accept(witnessOf(visits, none), 0);

        visits = fixedPoint(nodes);
        accept(witnessOf(visits, none), 0);
        uint256 raised = draw(random, 3) % nodes;
        uint256 shown = visits[raised]++;
        // Others are now shown at least as much as before: the first to fail is the one that was raised.
        refuse(witnessOf(visits, none), 0, tooMany(raised, shown, shown + 1));
    }

    function _sayAnything(uint256 random, uint256 accounts) private {
        if (draw(random, 4) % 4 == 0) seed(0);
        for (uint256 k; k < 12; ++k) {
            uint256 one_ = draw(random, 100 + k);
            (uint256 by, uint256 about) = (one_ % accounts, (one_ >> 8) % accounts);
            if (by == about) continue;
            (uint256 weight, uint256 epoch) = (1 + (one_ >> 16) % 5_000, CUT - 2 + k / 3);
            uint256 second = (one_ >> 40) % accounts;
            bool vouched = second == by || second == about;
            uint256 id = say(vouched ? one(by) : two(by, second), about, weight, epoch);
            if (vouched && (one_ >> 48) % 3 == 0) end(id, epoch + (one_ >> 56) % 2);
        }
    }
}

contract EndorsementsTest is Check {
    function fold(bytes calldata entries) external pure returns (bytes32) {
        return Endorsements.hash(entries);
    }

    function test_entries_are_folded_one_after_the_other(uint32[3][] calldata entries) external view {
        bytes memory all;
        bytes32 plain;
        bytes32 folded;
        for (uint256 i; i < entries.length; ++i) {
            (uint32 epoch, uint32 id, uint32 weight) = (entries[i][0], entries[i][1], entries[i][2]);
            all = abi.encodePacked(all, epoch, id, weight);
            plain = keccak256(abi.encodePacked(plain, epoch, id, weight));
            folded = Endorsements.fold(folded, epoch, id, weight);
        }
        same(folded, plain, "one by one");
        same(this.fold(all), plain, "and at once");
    }
}
