// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// A token in changing moods: it may refuse, lie, take a fee, or call back into whatever it was told to while it transfers.
contract MoodyToken {
    enum Mood {
        KIND,
        REVERTS,
        SAYS_FALSE,
        TAKES_A_FEE,
        CALLS_BACK
    }

    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;
    uint256 public totalSupply;

    Mood public mood;
    address public target;
    bytes public data;
    uint256 public callsBack; // how many calls back went through

    function set(Mood mood_, address target_, bytes calldata data_) external {
        (mood, target, data) = (mood_, target_, data_);
    }

    function mint(address to, uint256 amountWei) external {
        balanceOf[to] += amountWei;
        totalSupply += amountWei;
    }

    function approve(address spender, uint256 amountWei) external returns (bool) {
        allowance[msg.sender][spender] = amountWei;
        return true;
    }

    function transfer(address to, uint256 amountWei) external returns (bool) {
        return _move(msg.sender, to, amountWei);
    }

    function transferFrom(address from, address to, uint256 amountWei) external returns (bool) {
        allowance[from][msg.sender] -= amountWei;
        return _move(from, to, amountWei);
    }

    function _move(address from, address to, uint256 amountWei) private returns (bool) {
        require(mood != Mood.REVERTS, "in no mood");
        if (mood == Mood.SAYS_FALSE) return false;
        if (mood == Mood.CALLS_BACK) {
            mood = Mood.KIND;
            allowance[address(this)][target] = type(uint256).max;
            (bool ok,) = target.call(data);
            if (ok) ++callsBack;
            mood = Mood.CALLS_BACK;
        }
        uint256 feeWei = mood == Mood.TAKES_A_FEE ? amountWei / 100 : 0;
        balanceOf[from] -= amountWei;
        balanceOf[to] += amountWei - feeWei;
        totalSupply -= feeWei;
        return true;
    }
}
