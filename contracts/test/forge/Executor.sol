// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {Inputs, Params, Record, Role} from "../../interfaces/Types.sol";
import {Agreement, Consensus} from "../../libraries/Agreement.sol";
import {Docket} from "../../libraries/Docket.sol";
import {Mechanism} from "../../libraries/Mechanism.sol";
import {Leaf, Standings} from "../../libraries/Standings.sol";

/// What Transition does not return: the standings after a round. Seats are taken the plain way.
contract Executor {
    function execute(Params calldata params, Inputs calldata inputs, bytes[] calldata reports, uint256 totalWei)
        external
        pure
        returns (bytes memory all)
    {
        Record memory record = inputs.record;
        all = seat(params, inputs.standings, inputs.rosterRows, record.trainers, record.verifiers);
        Consensus memory consensus = Agreement.agree(
            record.stakesWei, reports, record.revealed, params.words, params.acceptBits, record.trainers
        );
        uint256 budgetWei = Mechanism.roundBudgetWei(record.depositedWei - totalWei, record.round, params.maxRounds);
        Mechanism.settle(
            params, record.round, budgetWei, all, record.trainers, record.stakesWei, consensus, record.revealed
        );
    }

    function seat(
        Params calldata params,
        bytes calldata standings,
        bytes calldata rows,
        uint256 trainers,
        uint256 verifiers
    ) public pure returns (bytes memory all) {
        uint256 old;
        while (old * 96 < standings.length && uint8(standings[old * 96 + 20]) == 1) ++old;
        all = bytes.concat(
            standings[:old * 96],
            new bytes((trainers - old) * 96),
            standings[old * 96:],
            new bytes((verifiers - (standings.length / 96 - old)) * 96)
        );
        for (uint256 from; from < rows.length; from += rows[from] == 0x07 ? 40 : rows[from] == 0x09 ? 8 : 4) {
            if (rows[from] == 0x08) continue;
            Role role = Role(uint8(rows[from + 1]));
            uint256 index = uint16(bytes2(rows[from + 2:from + 4])) + (role == Role.VERIFIER ? trainers : 0);
            uint256 ratingQ32 = rows[from] == 0x09 ? uint32(bytes4(rows[from + 4:from + 8])) : 0;
            uint256 spanBps = params.payMostBps - params.payLeastBps;
            uint256 reputation = ((uint256(params.payLeastBps) << 32) + spanBps * ratingQ32) / 10_000;
            if (rows[from] == 0x09) Standings.leaf(all, index).setReputationQ32(reputation);
            else Standings.leaf(all, index).init(address(bytes20(rows[from + 4:from + 24])), role, reputation);
        }
    }

    function hash(Record calldata record) external pure returns (bytes30) {
        return Docket.hash(record);
    }
}
