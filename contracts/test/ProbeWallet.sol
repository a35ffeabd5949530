// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

/// An ERC-1271 account: signs whatever digest it was told to.
contract ProbeWallet {
    bytes32 public approved;

    function approve(bytes32 digest) external {
        approved = digest;
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return digest == approved ? this.isValidSignature.selector : bytes4(0xffffffff);
    }
}
