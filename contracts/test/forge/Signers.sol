// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {BLS} from "solady/src/utils/ext/ithaca/BLS.sol";

import {ICertificates} from "../../interfaces/ICertificates.sol";
import {Bls} from "../../libraries/Bls.sol";
import {Scene} from "./Scene.sol";

/// Keys and signatures of accounts. Each has a BLS key whose secret is its address, made by the precompiles themselves
/// (secret times point), so nothing depends on where the contract lies.
abstract contract Signers is Scene {
    uint256 internal constant ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;
    bytes32 internal constant MODEL = keccak256("model after round 1");
    uint16 internal constant ROUND = 1;
    bytes internal constant CERTIFICATE_TAG = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
    bytes internal constant POSSESSION_TAG = "BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";

    ICertificates internal certificates;

    function _secret(address account) internal pure returns (uint256) {
        return uint160(account);
    }

    /// A sum of addresses is below the curve's order.
    function _secretOf(address[] memory accounts) internal pure returns (uint256 sum) {
        for (uint256 i; i < accounts.length; ++i) {
            sum += _secret(accounts[i]);
        }
    }

    function _key(address account) internal view returns (bytes memory) {
        return _keyOf(_secret(account));
    }

    function _keys(address[] memory accounts) internal view returns (bytes memory keys) {
        for (uint256 i; i < accounts.length; ++i) {
            keys = bytes.concat(keys, _key(accounts[i]));
        }
    }

    function _keyOf(uint256 secret) internal view returns (bytes memory) {
        BLS.G2Point[] memory points = new BLS.G2Point[](1);
        points[0] = Bls.negatedGenerator();
        return abi.encode(BLS.msm(points, _scalar(ORDER - secret)));
    }

    function _sign(uint256 secret, bytes32 signed, bytes memory tag) internal view returns (bytes memory) {
        BLS.G1Point[] memory points = new BLS.G1Point[](1);
        points[0] = Bls.hashToG1(abi.encodePacked(signed), tag);
        return abi.encode(BLS.msm(points, _scalar(secret)));
    }

    function _scalar(uint256 factor) internal pure returns (bytes32[] memory scalars) {
        scalars = new bytes32[](1);
        scalars[0] = bytes32(factor);
    }

    function _one() internal pure returns (bytes32) {
        return bytes32(uint256(1));
    }

    function _proof(address account) internal view returns (bytes memory) {
        return _sign(_secret(account), _possession(account, _key(account)), POSSESSION_TAG);
    }

    function _ecdsa(uint256 key) internal view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, _certificate(ROUND));
        return abi.encodePacked(r, s, v);
    }

    /// Two trainers' signatures in the order of their addresses.
    function _pair() internal view returns (bytes memory low, bytes memory high) {
        (low, high) = (_ecdsa(keyOf(0)), _ecdsa(keyOf(1)));
        if (trainer(0) > trainer(1)) (low, high) = (high, low);
    }

    function _certificate(uint16 round) internal view returns (bytes32) {
        bytes32 kind = keccak256("Certificate(uint256 run,uint16 round,bytes32 digest)");
        return _digest(keccak256(abi.encode(kind, run, round, MODEL)));
    }

    function _possession(address account, bytes memory key) internal view returns (bytes32) {
        bytes32 kind = keccak256("Possession(address account,bytes key)");
        return _digest(keccak256(abi.encode(kind, account, keccak256(key))));
    }

    function _digest(bytes32 said_) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Gradmint"),
                keccak256("1"),
                block.chainid,
                certificates
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, said_));
    }
}
