// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IReputation, Node, Panel, ReputationTerms, Witness} from "../../interfaces/IReputation.sol";
import {IRounds} from "../../interfaces/IRounds.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {MoodyToken} from "./MoodyToken.sol";
import {Check} from "./Vm.sol";

/// Accounts with purses who vouch for each other, and what a witness needs to know of that, kept apart from the contract.
abstract contract Endorsed is Check {
    uint32 internal constant EPOCH_BLOCKS = 100;
    uint32 internal constant CHALLENGE_BLOCKS = 30;
    uint32 internal constant PROOF_BLOCKS = 40;
    uint128 internal constant ROUND_WEI = 1e18;
    uint128 internal constant BOND_WEI = 10e18 + 7; // splits with a rest
    uint256 internal constant MASS = 1 << 56;
    address internal constant BURNED = 0x000000000000000000000000000000000000dEaD;

    IReputation internal reputation;
    MoodyToken internal coin;
    uint256 internal height; // via-IR reads block.number once a function

    mapping(address account => bytes) internal about;
    mapping(uint32 id => address[]) internal panel;
    uint32 internal lastId;

    function standard() internal pure returns (ReputationTerms memory) {
        return
            ReputationTerms(1_500, 5_000, 4, EPOCH_BLOCKS, ROUND_WEI, CHALLENGE_BLOCKS, PROOF_BLOCKS, BOND_WEI, 4_000);
    }

    function launch(IRounds rounds_, ISettlement settlement_, address[] memory seeds) internal {
        coin = new MoodyToken();
        reputation = make(rounds_, settlement_, address(coin), standard(), seeds);
        to(10 * EPOCH_BLOCKS);
    }

    function make(
        IRounds rounds_,
        ISettlement settlement_,
        address token_,
        ReputationTerms memory terms,
        address[] memory seeds
    ) internal returns (IReputation made) {
        bytes memory code = bytes.concat(
            vm.getCode("Reputation.sol:Reputation"), abi.encode(rounds_, settlement_, token_, terms, seeds)
        );
        assembly ("memory-safe") {
            made := create(0, add(code, 0x20), mload(code))
            if iszero(made) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }

    function who(uint256 i) internal pure returns (address) {
        return address(uint160(0xA000 + i));
    }

    function list(address one) internal pure returns (address[] memory accounts) {
        accounts = new address[](1);
        accounts[0] = one;
    }

    function list(address one, address two) internal pure returns (address[] memory accounts) {
        accounts = new address[](2);
        (accounts[0], accounts[1]) = (one, two);
    }

    /* TIME */

    function to(uint256 block_) internal {
        height = block_;
        vm.roll(block_);
    }

    function nextEpoch() internal {
        to((height / EPOCH_BLOCKS + 1) * EPOCH_BLOCKS);
    }

    function epochNow() internal view returns (uint32) {
        return uint32(height / EPOCH_BLOCKS);
    }

    /* ACTS */

    function pay(address account, uint128 amountWei) internal {
        coin.mint(account, amountWei);
        vm.startPrank(account);
        coin.approve(address(reputation), type(uint256).max);
        reputation.deposit(amountWei);
        vm.stopPrank();
    }

    function vouch(address voucher, address account, uint256 units) internal returns (uint32 id) {
        uint128 stakeWei = uint128((ROUND_WEI * units + 4_095) / 4_096);
        pay(voucher, stakeWei);
        vm.prank(voucher);
        id = reputation.vouch(account, stakeWei);
        lastId = id;
        panel[id] = list(voucher);
        about[account] = abi.encodePacked(about[account], epochNow(), id, uint32(units));
    }

    function unvouch(address voucher, address account, uint32 id, uint256 units) internal {
        vm.prank(voucher);
        reputation.unvouch(account);
        ended(account, id, units);
    }

    function ended(address account, uint32 id, uint256 units) internal {
        about[account] = abi.encodePacked(about[account], epochNow(), id | 1 << 31, uint32(units));
    }

    function proposeAs(address account, uint256 hits, uint8 paths) internal {
        pay(account, BOND_WEI);
        vm.prank(account);
        reputation.propose(uint64(hits), paths);
    }

    function challengeAs(address challenger, address account) internal {
        pay(challenger, BOND_WEI);
        vm.prank(challenger);
        reputation.challenge(account);
    }

    /* WITNESSES */

    /// What is handed on along one edge.
    function onward(uint256 visits, uint256 said, uint256 weight) internal pure returns (uint256) {
        return visits * 8_500 / (10_000 * said) * weight;
    }

    /// With all panels in which one of the accounts speaks.
    function witnessOf(address[] memory accounts, uint256[] memory visits, bytes[] memory paths)
        internal
        view
        returns (Witness memory witness)
    {
        witness.nodes = new Node[](accounts.length);
        for (uint256 i; i < accounts.length; ++i) {
            witness.nodes[i] = Node(accounts[i], uint64(visits[i]), about[accounts[i]]);
        }
        Panel[] memory panels = new Panel[](lastId);
        uint256 used;
        for (uint32 id = 1; id <= lastId; ++id) {
            address[] memory endorsers = panel[id];
            bytes memory places = new bytes(endorsers.length);
            bool named;
            for (uint256 e; e < endorsers.length; ++e) {
                for (uint256 i; i < accounts.length; ++i) {
                    if (accounts[i] == endorsers[e]) (places[e], named) = (bytes1(uint8(1 + i)), true);
                }
            }
            if (named) panels[used++] = Panel(id, endorsers, places);
        }
        assembly ("memory-safe") {
            mstore(panels, used)
        }
        (witness.panels, witness.paths) = (panels, paths);
    }
}
