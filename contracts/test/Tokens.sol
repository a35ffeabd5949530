// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {IRuns} from "../interfaces/IRuns.sol";
import {IStakes} from "../interfaces/IStakes.sol";

/// Takes 1% of every transfer.
contract FeeToken is ERC20 {
    constructor() ERC20("Fee", "FEE") {}

    function mint(address to, uint256 amountWei) external {
        _mint(to, amountWei);
    }

    function _update(address from, address to, uint256 amountWei) internal override {
        uint256 feeWei = from == address(0) || to == address(0) ? 0 : amountWei / 100;
        super._update(from, to, amountWei - feeWei);
        if (feeWei > 0) super._update(from, address(0), feeWei);
    }
}

/// Like the oldest tokens: transfers return nothing.
contract NoReturnToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    function mint(address to, uint256 amountWei) external {
        balanceOf[to] += amountWei;
    }

    function approve(address spender, uint256 amountWei) external {
        allowance[msg.sender][spender] = amountWei;
    }

    function transfer(address to, uint256 amountWei) external {
        balanceOf[msg.sender] -= amountWei;
        balanceOf[to] += amountWei;
    }

    function transferFrom(address from, address to, uint256 amountWei) external {
        allowance[from][msg.sender] -= amountWei;
        balanceOf[from] -= amountWei;
        balanceOf[to] += amountWei;
    }
}

/// Does what it was told to: refuses transfers, says false, or tries to deposit
/// once more in the middle of a deposit, and insists on being stopped by the guard.
contract HostileToken is ERC20 {
    enum Mood {
        KIND,
        REVERTS,
        SAYS_FALSE,
        FUNDS_AGAIN,
        JOINS_AGAIN
    }

    Mood public mood;
    address public target;
    uint256 public run;

    constructor() ERC20("Hostile", "HOST") {}

    function mint(address to, uint256 amountWei) external {
        _mint(to, amountWei);
    }

    function set(Mood mood_, address target_, uint256 run_) external {
        (mood, target, run) = (mood_, target_, run_);
    }

    function transfer(address to, uint256 amountWei) public override returns (bool) {
        if (mood == Mood.REVERTS) revert("hostile");
        if (mood == Mood.SAYS_FALSE) return false;
        return super.transfer(to, amountWei);
    }

    function transferFrom(address from, address to, uint256 amountWei) public override returns (bool) {
        if (mood == Mood.REVERTS) revert("hostile");
        if (mood == Mood.SAYS_FALSE) return false;
        if (mood == Mood.FUNDS_AGAIN || mood == Mood.JOINS_AGAIN) {
            bool funds = mood == Mood.FUNDS_AGAIN;
            mood = Mood.KIND; // the second time it is a deposit like any other
            _mint(address(this), amountWei);
            _approve(address(this), target, amountWei);
            bytes memory call = funds
                ? abi.encodeCall(IRuns.fund, (run, amountWei))
                : abi.encodeCall(IStakes.join, (run, 1, amountWei, amountWei));
            (bool ok, bytes memory data) = target.call(call);
            require(!ok && bytes4(data) == ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector, "re-entered");
        }
        return super.transferFrom(from, to, amountWei);
    }
}
