// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Node, Panel, Witness} from "../../interfaces/IReputation.sol";
import {Facts, Witnesses} from "../../libraries/Witnesses.sol";
import {Check} from "./Vm.sol";

/// A graph said in the plainest way, witnesses of it, and what the library says to them.
abstract contract Witnessed is Check {
    struct Said {
        uint256 about; // account
        uint256 epoch;
        uint256 id;
        uint256 weight;
        bool ends;
    }

    uint256 internal constant MASS = 1 << 56;
    uint256 internal constant CUT = 7;
    uint256 internal constant ALPHA_BPS = 5_000;

    Said[] internal said;
    mapping(uint256 id => uint256[]) internal endorsers; // accounts, in order
    uint256 internal lastId;
    uint256 internal seeds; // bit per account
    uint256 internal seedCount;

    /// The library in a call of its own, so that it reads calldata and reverts.
    function show(Witness calldata witness, Facts memory facts, address subject, uint256 hits, uint256 paths)
        external
        pure
    {
        Witnesses.checkNodes(witness.nodes, subject);
        Witnesses.check(witness, facts, hits, paths);
    }

    function account(uint256 i) internal pure returns (address) {
        return address(uint160(0xA000 + i));
    }

    /* THE GRAPH */

    function seed(uint256 i) internal {
        if ((seeds >> i) & 1 == 0) ++seedCount;
        seeds |= 1 << i;
    }

    function say(uint256[] memory by, uint256 about, uint256 weight, uint256 epoch) internal returns (uint256 id) {
        id = ++lastId;
        endorsers[id] = by;
        said.push(Said(about, epoch, id, weight, false));
    }

    function say(uint256 by, uint256 about, uint256 weight) internal returns (uint256) {
        return say(one(by), about, weight, CUT);
    }

    function end(uint256 id, uint256 epoch) internal {
        for (uint256 k; k < said.length; ++k) {
            if (said[k].id != id || said[k].ends) continue;
            said.push(Said(said[k].about, epoch, id, said[k].weight, true));
            return;
        }
    }

    function counts(Said memory entry) internal view returns (bool) {
        if (entry.ends || entry.epoch > CUT) return false;
        for (uint256 k; k < said.length; ++k) {
            if (said[k].ends && said[k].id == entry.id && said[k].epoch <= CUT) return false;
        }
        return true;
    }

    function total(uint256 by) internal view returns (uint256 sum) {
        for (uint256 k; k < said.length; ++k) {
            if (!counts(said[k])) continue;
            uint256[] memory all = endorsers[said[k].id];
            for (uint256 e; e < all.length; ++e) {
                if (all[e] == by) sum += said[k].weight;
            }
        }
    }

    function start() internal view returns (uint256) {
        return seedCount == 0 ? 0 : MASS / seedCount;
    }

    /// F(H): account 0 is the subject.
    function step(uint256[] memory visits) internal view returns (uint256[] memory after_) {
        after_ = new uint256[](visits.length);
        uint256[] memory shares = new uint256[](visits.length);
        for (uint256 u = 1; u < visits.length; ++u) {
            uint256 sum = total(u);
            if (sum != 0) shares[u] = visits[u] * (10_000 - ALPHA_BPS) / (10_000 * sum);
        }
        for (uint256 v; v < visits.length; ++v) {
            if ((seeds >> v) & 1 == 1) after_[v] = start();
        }
        for (uint256 k; k < said.length; ++k) {
            if (!counts(said[k]) || said[k].about >= visits.length) continue;
            uint256[] memory all = endorsers[said[k].id];
            for (uint256 e; e < all.length; ++e) {
                if (all[e] < visits.length) after_[said[k].about] += shares[all[e]] * said[k].weight;
            }
        }
    }

    /* WITNESSES OF IT */

    function heardOf(uint256 i) internal view returns (bytes memory heard) {
        for (uint256 k; k < said.length; ++k) {
            if (said[k].about != i) continue;
            uint32 id = uint32(said[k].id) | (said[k].ends ? uint32(1 << 31) : 0);
            heard = abi.encodePacked(heard, uint32(said[k].epoch), id, uint32(said[k].weight));
        }
    }

    /// Of accounts 0 .. n - 1, n nodes, every panel.
    function witnessOf(uint256[] memory visits, bytes[] memory paths) internal view returns (Witness memory witness) {
        witness.nodes = new Node[](visits.length);
        for (uint256 i; i < visits.length; ++i) {
            witness.nodes[i] = Node(account(i), uint64(visits[i]), heardOf(i));
        }
        witness.panels = new Panel[](lastId);
        for (uint256 id = 1; id <= lastId; ++id) {
            uint256[] memory all = endorsers[id];
            Panel memory panel = Panel(uint32(id), new address[](all.length), new bytes(all.length));
            for (uint256 e; e < all.length; ++e) {
                panel.endorsers[e] = account(all[e]);
                if (all[e] < visits.length) panel.places[e] = bytes1(uint8(1 + all[e]));
            }
            witness.panels[id - 1] = panel;
        }
        witness.paths = paths;
    }

    function factsOf(Witness memory witness) internal view returns (Facts memory facts) {
        (facts.cut, facts.alphaBps, facts.maxPaths, facts.startMass) = (CUT, ALPHA_BPS, 4, start());
        facts.heard = new bytes32[](witness.nodes.length);
        facts.said = new uint256[](witness.nodes.length);
        for (uint256 i; i < witness.nodes.length; ++i) {
            uint256 a = uint160(witness.nodes[i].account) - 0xA000;
            facts.seeds |= (seeds >> a & 1) << i;
            (facts.heard[i], facts.said[i]) = (fold(heardOf(a)), total(a));
        }
        facts.panels = new bytes32[](witness.panels.length);
        for (uint256 k; k < witness.panels.length; ++k) {
            uint256[] memory all = endorsers[witness.panels[k].id];
            if (all.length != 0) facts.panels[k] = keccak256(abi.encodePacked(accountsOf(all)));
        }
    }

    function accountsOf(uint256[] memory all) internal pure returns (address[] memory accounts) {
        accounts = new address[](all.length);
        for (uint256 e; e < all.length; ++e) {
            accounts[e] = account(all[e]);
        }
    }

    function fold(bytes memory entries) internal pure returns (bytes32 hash) {
        for (uint256 from; from < entries.length; from += 12) {
            bytes memory entry = new bytes(12);
            for (uint256 b; b < 12; ++b) {
                entry[b] = entries[from + b];
            }
            hash = keccak256(abi.encodePacked(hash, entry));
        }
    }

    function accept(Witness memory witness, uint256 paths) internal view {
        this.show(witness, factsOf(witness), account(0), witness.nodes[0].visits, paths);
    }

    function refuse(Witness memory witness, uint256 paths, bytes memory reason) internal {
        Facts memory facts = factsOf(witness);
        uint256 hits = witness.nodes.length == 0 ? 0 : witness.nodes[0].visits;
        vm.expectRevert(reason);
        this.show(witness, facts, account(0), hits, paths);
    }

    /* LISTS */

    function one(uint256 a) internal pure returns (uint256[] memory some) {
        some = new uint256[](1);
        some[0] = a;
    }

    function two(uint256 a, uint256 b) internal pure returns (uint256[] memory some) {
        some = new uint256[](2);
        (some[0], some[1]) = (a, b);
    }

    function three(uint256 a, uint256 b, uint256 c) internal pure returns (uint256[] memory some) {
        some = new uint256[](3);
        (some[0], some[1], some[2]) = (a, b, c);
    }

    function path(bytes memory a) internal pure returns (bytes[] memory some) {
        some = new bytes[](1);
        some[0] = a;
    }

    function pair(bytes memory a, bytes memory b) internal pure returns (bytes[] memory some) {
        some = new bytes[](2);
        (some[0], some[1]) = (a, b);
    }

    /// The nodes' greatest visits.
    function fixedPoint(uint256 nodes) internal view returns (uint256[] memory visits) {
        visits = new uint256[](nodes);
        for (;;) {
            uint256[] memory next = step(visits);
            if (keccak256(abi.encode(next)) == keccak256(abi.encode(visits))) return visits;
            visits = next;
        }
    }
}
