// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {BLS} from "solady/src/utils/ext/ithaca/BLS.sol";

import {Bls} from "../libraries/Bls.sol";

/// Each step of the BLS library by itself.
contract BlsHarness {
    // By Solady's wrappers, in assembly.
    error G1AddFailed();
    error G2AddFailed();
    error MapFpToG1Failed();
    error PairingFailed();

    function hashToG1(bytes calldata message, bytes calldata dst) external view returns (bytes memory) {
        return abi.encode(Bls.hashToG1(message, dst));
    }

    function verify(bytes calldata key, bytes32 message, bytes calldata dst, bytes calldata signature)
        external
        view
        returns (bool)
    {
        return Bls.verify(Bls.g2(key), message, dst, Bls.g1(signature));
    }

    function mapToG1() external view returns (bytes memory) {
        return abi.encode(BLS.toG1(BLS.Fp(0, bytes32(uint256(1)))));
    }

    function addG1() external view returns (bytes memory) {
        BLS.G1Point memory infinity;
        return abi.encode(BLS.add(infinity, infinity));
    }

    function addG2() external view returns (bytes memory) {
        BLS.G2Point memory infinity;
        return abi.encode(BLS.add(infinity, infinity));
    }

    function pairing() external view returns (bool) {
        return BLS.pairing(new BLS.G1Point[](1), new BLS.G2Point[](1));
    }

    function negatedGenerator() external pure returns (bytes memory) {
        return abi.encode(Bls.negatedGenerator());
    }
}
