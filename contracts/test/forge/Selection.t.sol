// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Role} from "../../interfaces/Types.sol";
import {Mem} from "../../libraries/Mem.sol";
import {Selection} from "../../libraries/Selection.sol";
import {Leaf, Standings} from "../../libraries/Standings.sol";
import {Check} from "./Vm.sol";

contract SelectionTest is Check {
    struct Player {
        uint256 due;
        uint256 skill;
        bool failed;
    }

    /// Few skills and many ties; some are due nothing, some failed.
    function test_whom_a_round_pays_is_what_the_specification_says(uint256 seed, uint8 many, uint8 top_, uint8 reserve_)
        external
        pure
    {
        (uint256 count, uint256 top, uint256 reserve) = (within(many, 1, 9), within(top_, 1, 6), within(reserve_, 0, 4));
        bytes memory standings = new bytes(96 * count);
        uint256[] memory due = new uint256[](count);
        uint256[] memory judged = new uint256[](count);
        Player[] memory players = new Player[](count);
        for (uint256 i; i < count; ++i) {
            uint256 x = draw(seed, i);
            players[i] = Player(x % 4 == 0 ? 0 : 1 + (x >> 8) % 1_000, (x >> 32) % 3, (x >> 64) % 3 == 0);
            due[i] = players[i].due;
            Leaf leaf = Standings.leaf(standings, i);
            leaf.init(address(uint160(i + 1)), Role.TRAINER, Standings.ONE_Q32);
            leaf.setRating(int256(players[i].skill << 32), 1 << 30);
            judged[i] = Selection.player(leaf, players[i].failed ? 1 << 64 : 0, Mem.first(due) + 32 * i);
        }
        (uint256[] memory expected, uint256 expectedTotal) = _select(top, reserve, players);
        same(Selection.select(top, reserve, judged), expectedTotal, "the sum that they are parts of");
        for (uint256 i; i < count; ++i) {
            same(due[i], expected[i], "what is paid");
        }
    }

    /// The same by the book: select of src/gradmint/spec/mechanism.py.
    function _select(uint256 top, uint256 reserve, Player[] memory players)
        private
        pure
        returns (uint256[] memory parts, uint256 total)
    {
        parts = new uint256[](players.length);
        uint256[] memory ranking = _rank(players);
        uint256 split = ranking.length < top ? ranking.length : top;
        uint256 missing;
        for (uint256 k; k < split; ++k) {
            Player memory one = players[ranking[k]];
            if (one.failed) ++missing;
            else parts[ranking[k]] = one.due;
        }
        uint256 come;
        for (uint256 k = split; k < ranking.length && k < split + reserve; ++k) {
            if (players[ranking[k]].failed || come == missing) continue;
            parts[ranking[k]] = players[ranking[k]].due;
            ++come;
        }
        for (uint256 i; i < players.length; ++i) {
            total += parts[i];
        }
        for (uint256 k; k < split; ++k) {
            if (!players[ranking[k]].failed) continue;
            if (come == 0) total += players[ranking[k]].due; // vacant
            else --come;
        }
    }

    /// To whom anything is due: best first, then lowest index.
    function _rank(Player[] memory players) private pure returns (uint256[] memory ranking) {
        ranking = new uint256[](players.length);
        uint256 count;
        for (uint256 skill = 3; skill > 0; --skill) {
            for (uint256 i; i < players.length; ++i) {
                if (players[i].due != 0 && players[i].skill == skill - 1) ranking[count++] = i;
            }
        }
        assembly ("memory-safe") {
            mstore(ranking, count)
        }
    }
}
