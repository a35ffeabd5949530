// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {BLS} from "solady/src/utils/ext/ithaca/BLS.sol";

/// BLS12-381 signatures in G1 under keys in G2, on the precompiles of EIP-2537. Points are bytes as those take them: 64 big-
/// endian bytes per field element, G1 x | y (128 bytes), G2 x.c0 | x.c1 | y.c0 | y.c1 (256 bytes), infinity all zero.
/// @dev Solady's wrappers make the calls and check how much each returns; on a chain without the precompiles a call succeeds
/// and returns nothing. requirePrecompiles() says so by name first. A refusal by a precompile burns the gas it was given.
library Bls {
    uint256 internal constant G1_BYTES = 128;
    uint256 internal constant G2_BYTES = 256;

    /// The chain has nothing at this address (EIP-2537, Prague): no BLS signature can be checked here.
    error NoBlsPrecompile(address precompile);
    /// The point at infinity signs everything: it is no key and no signature.
    error AtInfinity();
    error PointLength(uint256 expectedBytes, uint256 actualBytes);

    address internal constant G1ADD = 0x000000000000000000000000000000000000000b;
    address internal constant MODEXP = 0x0000000000000000000000000000000000000005;

    bytes32 internal constant P_HIGH = 0x000000000000000000000000000000001a0111ea397fe69a4b1ba7b6434bacd7;
    bytes32 internal constant P_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;

    /// Reverts on a chain without BLS precompiles: they came all at once, so the cheapest answers for all. 0 + 0 = 0.
    function requirePrecompiles() internal view {
        (bool done, bytes memory sum) = G1ADD.staticcall(new bytes(2 * G1_BYTES));
        if (!done || sum.length != G1_BYTES) revert NoBlsPrecompile(G1ADD);
    }

    /// A G1 point other than infinity; whether it is on the curve and in the subgroup is the pairing's to say.
    function g1(bytes calldata point) internal pure returns (BLS.G1Point memory decoded) {
        if (point.length != G1_BYTES) revert PointLength(G1_BYTES, point.length);
        decoded = abi.decode(point, (BLS.G1Point));
        if (decoded.x_a | decoded.x_b | decoded.y_a | decoded.y_b == 0) revert AtInfinity();
    }

    /// A G2 point other than infinity, likewise unchecked.
    function g2(bytes calldata point) internal pure returns (BLS.G2Point memory decoded) {
        if (point.length != G2_BYTES) revert PointLength(G2_BYTES, point.length);
        decoded = abi.decode(point, (BLS.G2Point));
        if (isInfinity(decoded)) revert AtInfinity();
    }

    /// Copies the i-th of several G2 points into `point` and returns its hash; the caller has checked their length.
    function load(BLS.G2Point memory point, bytes calldata points, uint256 i) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            calldatacopy(point, add(points.offset, mul(G2_BYTES, i)), G2_BYTES)
            hash := keccak256(point, G2_BYTES)
        }
    }

    function isInfinity(BLS.G2Point memory p) internal pure returns (bool) {
        bytes32 x = p.x_c0_a | p.x_c0_b | p.x_c1_a | p.x_c1_b;
        return x | p.y_c0_a | p.y_c0_b | p.y_c1_a | p.y_c1_b == 0;
    }

    /// Whether e(hash of message, key) == e(signature, G2's generator). Reverts with Solady's PairingFailed when a point has an
    /// element >= p, is not on its curve or not in the subgroup: PAIRING checks both of its inputs.
    function verify(BLS.G2Point memory key, bytes32 message, bytes memory dst, BLS.G1Point memory signature)
        internal
        view
        returns (bool)
    {
        BLS.G1Point[] memory inG1 = new BLS.G1Point[](2);
        BLS.G2Point[] memory inG2 = new BLS.G2Point[](2);
        (inG1[0], inG2[0]) = (hashToG1(abi.encodePacked(message), dst), key);
        (inG1[1], inG2[1]) = (signature, negatedGenerator());
        return BLS.pairing(inG1, inG2);
    }

    /// RFC 9380, suite BLS12381G1_XMD:SHA-256_SSWU_RO_; `dst` has at most 255 bytes. MAP clears the cofactor, so the sum of
    /// two mapped elements is in the subgroup.
    function hashToG1(bytes memory message, bytes memory dst) internal view returns (BLS.G1Point memory) {
        // expand_message_xmd (5.3.1) to 128 bytes: two field elements of 64 bytes before reduction.
        bytes memory suffix = abi.encodePacked(dst, uint8(dst.length));
        bytes32 b0 = sha256(abi.encodePacked(bytes32(0), bytes32(0), message, uint16(128), uint8(0), suffix));
        bytes32 b1 = sha256(abi.encodePacked(b0, uint8(1), suffix));
        bytes32 b2 = sha256(abi.encodePacked(b0 ^ b1, uint8(2), suffix));
        bytes32 b3 = sha256(abi.encodePacked(b0 ^ b2, uint8(3), suffix));
        bytes32 b4 = sha256(abi.encodePacked(b0 ^ b3, uint8(4), suffix));
        return BLS.add(BLS.toG1(_modP(b1, b2)), BLS.toG1(_modP(b3, b4)));
    }

    /// 512 bits modulo p, as base ** 1 % p.
    function _modP(bytes32 high, bytes32 low) private view returns (BLS.Fp memory) {
        bytes memory input = abi.encodePacked(uint256(64), uint256(1), uint256(64), high, low, uint8(1), P_HIGH, P_LOW);
        (bool done, bytes memory reduced) = MODEXP.staticcall(input);
        if (!done || reduced.length != 64) revert NoBlsPrecompile(MODEXP);
        return abi.decode(reduced, (BLS.Fp));
    }

    /// -G2, the same x as the generator's.
    function negatedGenerator() internal pure returns (BLS.G2Point memory) {
        return BLS.G2Point({
            x_c0_a: 0x00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051,
            x_c0_b: 0xc6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8,
            x_c1_a: 0x0000000000000000000000000000000013e02b6052719f607dacd3a088274f65,
            x_c1_b: 0x596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e,
            y_c0_a: 0x000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bc,
            y_c0_b: 0xb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa,
            y_c1_a: 0x0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d,
            y_c1_b: 0x993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed
        });
    }
}
