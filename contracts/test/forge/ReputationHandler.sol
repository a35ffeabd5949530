// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IReputation, Witness} from "../../interfaces/IReputation.sol";
import {IRounds} from "../../interfaces/IRounds.sol";
import {ISettlement} from "../../interfaces/ISettlement.sol";
import {Clock, Phase} from "../../interfaces/Types.sol";
import {Endorsed} from "./Endorsed.sol";

/// Five accounts who do anything with their purses, and a run that has banned the last two of them.
contract ReputationHandler is Endorsed {
    uint256 private constant ACTORS = 5;
    bytes24 private constant ROSTER = 0;

    uint256 public stakesWei; // behind vouches, by this model
    uint256 public done; // acts that went through
    bytes private _standings;
    mapping(address voucher => mapping(address account => uint128)) private _stakeWei;

    constructor() {
        launch(IRounds(address(this)), ISettlement(address(this)), list(who(0)));
        for (uint256 a = 3; a < ACTORS; ++a) {
            uint256 seat = uint256(uint160(who(a))) << 96 | uint256(1) << 88 | uint256(9) << 32;
            _standings = abi.encodePacked(_standings, seat, uint256(0), uint256(0));
        }
    }

    /* THE RUN */

    function standingsHash(uint256) external view returns (bytes32) {
        return keccak256(abi.encodePacked(ROSTER, _standings));
    }

    function clock(uint256) external pure returns (Clock memory) {
        return Clock(0, 0, 9, Phase.TRAIN);
    }

    /* ACTS */

    function wait(uint8 blocks) external {
        to(height + blocks % 60);
    }

    function deposit(uint256 a, uint64 amountWei) external {
        pay(_actor(a), amountWei);
    }

    function withdraw(uint256 a, uint64 amountWei) external {
        _try(_actor(a), abi.encodeCall(IReputation.withdraw, (amountWei)));
    }

    function lend(uint256 a, uint256 b, uint64 moreWei) external {
        (address voucher, address account) = (_actor(a), _actor(b));
        uint128 stakeWei = ROUND_WEI + moreWei;
        pay(voucher, stakeWei);
        if (!_try(voucher, abi.encodeCall(IReputation.vouch, (account, stakeWei)))) return;
        _stakeWei[voucher][account] = stakeWei;
        stakesWei += stakeWei;
    }

    function takeBack(uint256 a, uint256 b) external {
        _try(_actor(a), abi.encodeCall(IReputation.unvouch, (_actor(b))));
    }

    function reclaim(uint256 a, uint256 b) external {
        (address voucher, address account) = (_actor(a), _actor(b));
        if (_try(voucher, abi.encodeCall(IReputation.reclaim, (account)))) _unlock(voucher, account);
    }

    function slash(uint256 a, uint256 b, uint256 finder) external {
        (address voucher, uint256 index) = (_actor(a), b % 2);
        address account = who(3 + index);
        bytes memory call = abi.encodeCall(IReputation.slashVouch, (voucher, account, 1, ROSTER, _standings, index));
        if (_try(_actor(finder), call)) _unlock(voucher, account);
    }

    function propose(uint256 a, uint64 hits, uint8 paths) external {
        pay(_actor(a), BOND_WEI);
        _try(_actor(a), abi.encodeCall(IReputation.propose, (hits, paths % 5)));
    }

    function challenge(uint256 a, uint256 b) external {
        pay(_actor(a), BOND_WEI);
        _try(_actor(a), abi.encodeCall(IReputation.challenge, (_actor(b))));
    }

    function finalise(uint256 a) external {
        _try(_actor(a), abi.encodeCall(IReputation.finalise, (_actor(a))));
    }

    function refute(uint256 a) external {
        _try(_actor(a), abi.encodeCall(IReputation.refute, (_actor(a))));
    }

    /// A rating of nothing, which is always true, and its proof, whether or not somebody doubts it.
    function proveNothing(uint256 a, uint256 b) external {
        address account = _actor(a);
        pay(account, BOND_WEI);
        _try(account, abi.encodeCall(IReputation.propose, (uint64(0), uint8(0))));
        if (b % 2 == 0) {
            pay(_actor(b), BOND_WEI);
            _try(_actor(b), abi.encodeCall(IReputation.challenge, (account)));
        }
        if (reputation.heard(account) != 0) return;
        Witness memory witness = witnessOf(list(account), new uint256[](1), new bytes[](0));
        _try(account, abi.encodeCall(IReputation.prove, (account, witness)));
    }

    /* BOOKS */

    /// All purses, what was burned among them.
    function pursesWei() external view returns (uint256 sumWei) {
        sumWei = reputation.purseOf(BURNED);
        for (uint256 a; a < ACTORS; ++a) {
            sumWei += reputation.purseOf(who(a));
        }
    }

    function bondsWei() external view returns (uint256 sumWei) {
        for (uint256 a; a < ACTORS; ++a) {
            (,,,, uint64 finalBlock, address challenger,) = reputation.proposalOf(who(a));
            if (finalBlock != 0) sumWei += BOND_WEI;
            if (challenger != address(0)) sumWei += BOND_WEI;
        }
    }

    function balanceWei() external view returns (uint256) {
        return coin.balanceOf(address(reputation));
    }

    function _actor(uint256 a) private pure returns (address) {
        return who(a % ACTORS);
    }

    function _unlock(address voucher, address account) private {
        stakesWei -= _stakeWei[voucher][account];
        _stakeWei[voucher][account] = 0;
    }

    function _try(address account, bytes memory call) private returns (bool through) {
        vm.prank(account);
        (through,) = address(reputation).call(call);
        if (through) ++done;
    }
}
