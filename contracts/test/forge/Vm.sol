// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// The few cheat codes of forge that these tests use.
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function warp(uint256 second) external;
    function roll(uint256 number) external;
    function prevrandao(bytes32 mix) external;
    function chainId(uint256 id) external;
    /// @dev With via-IR, block.timestamp is read once per function and stale after a warp.
    function getBlockTimestamp() external view returns (uint256);
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function assume(bool condition) external pure;
    function expectRevert() external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    /// @dev Any call to `callee` whose data begins like this is answered with `answer`, also one to a precompile.
    function mockCall(address callee, bytes calldata data, bytes calldata answer) external;
    function mockCallRevert(address callee, bytes calldata data, bytes calldata error) external;
    function clearMockedCalls() external;
    function expectEmit(address emitter) external;
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function getCode(string calldata artifact) external view returns (bytes memory);
    function computeCreateAddress(address deployer, uint256 nonce) external pure returns (address);
    function getNonce(address account) external view returns (uint64);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function addr(uint256 key) external pure returns (address);
}

/// What every test shares: forge finds tests by their names alone.
abstract contract Check {
    Vm internal constant vm = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);

    error NotSo(string rule);
    error NotEqual(string rule, uint256 found, uint256 expected);

    function so(bool holds, string memory rule) internal pure {
        if (!holds) revert NotSo(rule);
    }

    function same(uint256 found, uint256 expected, string memory rule) internal pure {
        if (found != expected) revert NotEqual(rule, found, expected);
    }

    function same(bytes32 found, bytes32 expected, string memory rule) internal pure {
        if (found != expected) revert NotEqual(rule, uint256(found), uint256(expected));
    }

    /// `x` squeezed into [low, high]; both ends come up often.
    function within(uint256 x, uint256 low, uint256 high) internal pure returns (uint256) {
        uint256 span = high - low;
        if (span == type(uint256).max) return x;
        if (x % 16 == 0) return (x >> 8) % 2 == 0 ? low : high;
        return low + x % (span + 1);
    }

    /// A stream of numbers from one fuzzed seed.
    function draw(uint256 seed, uint256 place) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, place)));
    }

    function abs(int256 x) internal pure returns (uint256) {
        return x < 0 ? uint256(-x) : uint256(x);
    }
}
