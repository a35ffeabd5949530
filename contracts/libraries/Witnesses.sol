// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IReputation, Node, Panel, Witness} from "../interfaces/IReputation.sol";
import {Endorsements} from "./Endorsements.sol";
import {Mem} from "./Mem.sol";

/// What a witness is held against: the chain's side of it, in the witness's order.
struct Facts {
    uint256 cut; // the epoch at whose end the graph is looked at
    uint256 alphaBps;
    uint256 maxPaths;
    uint256 startMass; // visits that each seed has of itself, units of 2^-56
    uint256 seeds; // bit i: node i is a seed
    bytes32[] heard; // per node: hash of what was said of it
    uint256[] said; // per node: sum of the weights that it gives at the cut
    bytes32[] panels; // per panel: hash of its endorsers
}

/// Whether an account's hits and paths are at least what it says; src/gradmint/spec/witness.py.
///
/// Let F(H) be what arrives at each node when walks come by as often as H says, the subject hands nothing on and other nodes
/// stay away. Nodes claim H <= F(H). F is monotone, so H <= F(H) <= F(F(H)) <= ..., and it contracts (a walk ends with
/// probability alpha), so these climb to its one fixed point, which is at most the truth: other nodes only add to it. A node
/// listed twice gains nothing: an endorser of a panel is one of its copies there, and none of them is above the truth.
library Witnesses {
    using Mem for uint256[];

    uint256 internal constant MAX_NODES = 255; // places and paths name them by a byte, 0 is nobody

    /// What the checks find out, per node and per panel.
    struct Sheet {
        uint256[] accounts;
        uint256[] shares; // what a node hands on for each unit of weight
        uint256[] sources; // bit j: node j endorses this one at the cut
        uint256[] ids;
        uint256[] sums; // shares of those of the panel who are nodes
        uint256[] members; // bit j: node j is of the panel
    }

    /// Refuses a list of nodes that is too long, or whose first is not the subject.
    function checkNodes(Node[] calldata nodes, address subject) internal pure {
        if (nodes.length == 0 || nodes.length > MAX_NODES || nodes[0].account != subject) {
            revert IReputation.MalformedNodes();
        }
    }

    /// Refuses a witness that does not show `hits` and `paths` of its first node. Its nodes have passed checkNodes().
    function check(Witness calldata witness, Facts memory facts, uint256 hits, uint256 paths) internal pure {
        _checkHeard(witness.nodes, facts);
        Sheet memory sheet = _readNodes(witness.nodes, facts);
        _readPanels(witness.panels, facts, sheet);
        _checkVisits(witness.nodes, facts, sheet, hits);
        _checkPaths(witness.paths, facts, sheet, paths);
    }

    /// A list that ends within an entry hashes to nothing that the chain keeps: 2^256 - 1 stands for that.
    function _checkHeard(Node[] calldata nodes, Facts memory facts) private pure {
        for (uint256 i; i < nodes.length; ++i) {
            bytes calldata heard = nodes[i].heard;
            bytes32 actual = bytes32(type(uint256).max);
            if (heard.length % Endorsements.ENTRY == 0) actual = Endorsements.hash(heard);
            if (actual != facts.heard[i]) revert IReputation.HeardMismatch(i, facts.heard[i], actual);
        }
    }

    /// Shares: floor((1 - alpha) visits / said). The subject has none, nor any copy of it.
    /// @dev Visits have 64 bits.
    function _readNodes(Node[] calldata nodes, Facts memory facts) private pure returns (Sheet memory sheet) {
        uint256 count = nodes.length;
        sheet.accounts = new uint256[](count);
        sheet.shares = new uint256[](count);
        sheet.sources = new uint256[](count);
        address subject = nodes[0].account;
        uint256 onBps = 10_000 - facts.alphaBps;
        for (uint256 i; i < count; ++i) {
            Node calldata node = nodes[i];
            address account = node.account;
            sheet.accounts.set(i, uint160(account));
            uint256 said = facts.said[i];
            if (account != subject && said != 0) sheet.shares.set(i, node.visits * onBps / (10_000 * said));
        }
    }

    function _readPanels(Panel[] calldata panels, Facts memory facts, Sheet memory sheet) private pure {
        uint256 count = panels.length;
        sheet.ids = new uint256[](count);
        sheet.sums = new uint256[](count);
        sheet.members = new uint256[](count);
        for (uint256 k; k < count; ++k) {
            Panel calldata panel = panels[k];
            uint32 id = panel.id;
            if (k != 0 && id <= sheet.ids.get(k - 1)) revert IReputation.MalformedPanel(id);
            address[] calldata endorsers = panel.endorsers;
            bytes32 actual = _hash(endorsers);
            if (actual != facts.panels[k]) revert IReputation.PanelMismatch(id, facts.panels[k], actual);
            bytes calldata places = panel.places;
            if (places.length != endorsers.length) revert IReputation.MalformedPanel(id);
            (uint256 sum, uint256 members) = (0, 0);
            for (uint256 p; p < places.length; ++p) {
                uint256 place = uint8(places[p]);
                if (place == 0) continue;
                if (place > sheet.accounts.length || sheet.accounts.get(place - 1) != uint160(endorsers[p])) {
                    revert IReputation.MalformedPanel(id);
                }
                sum += sheet.shares.get(place - 1);
                members |= 1 << (place - 1);
            }
            sheet.ids.set(k, id);
            sheet.sums.set(k, sum);
            sheet.members.set(k, members);
        }
    }

    function _checkVisits(Node[] calldata nodes, Facts memory facts, Sheet memory sheet, uint256 hits) private pure {
        for (uint256 i; i < nodes.length; ++i) {
            uint256 visits = nodes[i].visits;
            (uint256 shown, uint256 sources) = _arrives(nodes[i].heard, facts.cut, sheet);
            if ((facts.seeds >> i) & 1 == 1) shown += facts.startMass;
            if (visits > shown) revert IReputation.TooManyVisits(i, shown, visits);
            if (i == 0 && hits > visits) revert IReputation.TooManyVisits(0, visits, hits);
            sheet.sources.set(i, sources);
        }
    }

    /// What is handed on to the account of which `heard` was said, and by which nodes.
    /// @dev From the last entry to the first: an end comes before what it ends, and the ids of what does not end fall, so they
    /// and the panels are walked down together. An ended endorsement is a vouch, of which only this list speaks: its panel is
    /// struck out.
    /// @dev Shares are below 2^64, panels have at most 2^32 endorsers and weights 32 bits: 2^128 entries would overflow.
    function _arrives(bytes calldata heard, uint256 cut, Sheet memory sheet)
        private
        pure
        returns (uint256 shown, uint256 sources)
    {
        uint256 k = sheet.ids.length; // panels below it are left
        unchecked {
            for (uint256 i = heard.length / Endorsements.ENTRY; i != 0;) {
                (uint256 epoch, uint256 id, uint256 weight) = Endorsements.entryOf(heard, --i);
                if (epoch > cut) continue;
                if (id & Endorsements.ENDS != 0) {
                    _strikeOut(sheet, id ^ Endorsements.ENDS);
                    continue;
                }
                while (k != 0 && sheet.ids.get(k - 1) > id) --k;
                if (k == 0 || sheet.ids.get(k - 1) != id) continue;
                shown += sheet.sums.get(k - 1) * weight;
                sources |= sheet.members.get(k - 1);
            }
        }
    }

    /// The panel of endorsement `id`, if there is one: it counts no more.
    function _strikeOut(Sheet memory sheet, uint256 id) private pure {
        (uint256 low, uint256 high) = (0, sheet.ids.length);
        unchecked {
            while (low < high) {
                uint256 middle = (low + high) >> 1;
                if (sheet.ids.get(middle) < id) low = middle + 1;
                else high = middle;
            }
        }
        if (low == sheet.ids.length || sheet.ids.get(low) != id) return;
        sheet.sums.set(low, 0);
        sheet.members.set(low, 0);
    }

    /// A seed, and whom a seed endorses, have all the paths there can be.
    function _checkPaths(bytes[] calldata paths, Facts memory facts, Sheet memory sheet, uint256 claimed) private pure {
        uint256 shown = paths.length;
        uint256[] memory met = new uint256[](sheet.accounts.length);
        uint256 count; // accounts met between seeds and subject
        for (uint256 p; p < paths.length; ++p) {
            bytes calldata path = paths[p];
            if (path.length == 0) revert IReputation.MalformedPath(p);
            uint256 here = uint8(path[0]);
            if ((facts.seeds >> here) & 1 == 0) revert IReputation.MalformedPath(p);
            for (uint256 i = 1; i < path.length; ++i) {
                uint256 next = uint8(path[i]);
                if (next >= sheet.accounts.length || (sheet.sources.get(next) >> here) & 1 == 0) {
                    revert IReputation.MalformedPath(p);
                }
                if (i + 1 < path.length) {
                    if ((facts.seeds >> next) & 1 == 1 || !_isNew(sheet.accounts, met, count, next)) {
                        revert IReputation.MalformedPath(p);
                    }
                    met.set(count++, sheet.accounts.get(next)); // new ones only: at most one for each node
                }
                here = next;
            }
            if (here != 0) revert IReputation.MalformedPath(p);
            if (path.length <= 2) shown = facts.maxPaths;
        }
        if (shown < claimed) revert IReputation.TooFewPaths(shown, claimed);
    }

    /// Whether the account of node `next` is neither the subject nor one of those met, under whatever index.
    function _isNew(uint256[] memory accounts, uint256[] memory met, uint256 count, uint256 next)
        private
        pure
        returns (bool)
    {
        uint256 account = accounts.get(next);
        if (account == accounts.get(0)) return false;
        for (uint256 i; i < count; ++i) {
            if (met.get(i) == account) return false;
        }
        return true;
    }

    /// keccak256 of the accounts, 32 bytes each.
    function _hash(address[] calldata accounts) private pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, accounts.offset, shl(5, accounts.length))
            digest := keccak256(free, shl(5, accounts.length))
        }
    }
}
