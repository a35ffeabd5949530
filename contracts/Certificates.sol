// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {BLS} from "solady/src/utils/ext/ithaca/BLS.sol";

import {Group, ICertificates} from "./interfaces/ICertificates.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {IRuns} from "./interfaces/IRuns.sol";
import {IStakes} from "./interfaces/IStakes.sol";
import {Role} from "./interfaces/Types.sol";
import {Bls} from "./libraries/Bls.sol";

/// @dev See ICertificates. Holds no money and no privilege: nothing else depends on it.
contract Certificates is ICertificates, EIP712 {
    uint256 internal constant MAX_ECDSA = 15;
    uint256 internal constant ECDSA_BYTES = 65;
    bytes internal constant CERTIFICATE_TAG = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
    bytes internal constant POSSESSION_TAG = "BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
    bytes32 internal constant CERTIFICATE = keccak256("Certificate(uint256 run,uint16 round,bytes32 digest)");
    bytes32 internal constant POSSESSION = keccak256("Possession(address account,bytes key)");

    /// @inheritdoc ICertificates
    IRuns public immutable runs;
    /// @inheritdoc ICertificates
    IStakes public immutable stakes;
    /// @inheritdoc ICertificates
    IRounds public immutable rounds;

    /* STORAGE */

    /// @inheritdoc ICertificates
    mapping(address account => bytes32 keyHash) public keyHashOf;
    /// @inheritdoc ICertificates
    mapping(bytes32 keyHash => address account) public ownerOf;
    /// @inheritdoc ICertificates
    mapping(bytes32 group => bool) public isGroup;

    constructor(IRuns runs_, IStakes stakes_, IRounds rounds_) EIP712("Gradmint", "1") {
        (runs, stakes, rounds) = (runs_, stakes_, rounds_);
    }

    /* KEYS AND GROUPS */

    /// @inheritdoc ICertificates
    function register(bytes calldata key, bytes calldata proof) external {
        if (keyHashOf[msg.sender] != 0) revert AlreadyRegistered(msg.sender);
        bytes32 keyHash = keccak256(key);
        if (ownerOf[keyHash] != address(0)) revert KeyTaken(ownerOf[keyHash]);
        Bls.requirePrecompiles();
        // The pairing also shows that the key is in the subgroup, and so is every sum of registered keys.
        if (!Bls.verify(Bls.g2(key), possessionDigest(msg.sender, key), POSSESSION_TAG, Bls.g1(proof))) {
            revert NoPossession(msg.sender);
        }

        keyHashOf[msg.sender] = keyHash;
        ownerOf[keyHash] = msg.sender;

        emit Registered(msg.sender, key, proof);
    }

    /// @inheritdoc ICertificates
    function assemble(uint256 run, Group calldata smaller, address[] calldata accounts, bytes calldata keys)
        external
        returns (bytes32 group)
    {
        if (accounts.length == 0) revert EmptyGroup();
        if (keys.length != Bls.G2_BYTES * accounts.length) {
            revert KeysLength(Bls.G2_BYTES * accounts.length, keys.length);
        }
        Bls.requirePrecompiles();

        Group memory larger = smaller.signers == 0 ? _empty(run) : _known(run, smaller);
        BLS.G2Point memory sum = abi.decode(larger.key, (BLS.G2Point));
        BLS.G2Point memory key;
        for (uint256 i; i < accounts.length; ++i) {
            address account = accounts[i];
            bytes32 keyHash = Bls.load(key, keys, i);
            if (keyHashOf[account] != keyHash) revert WrongKey(account, keyHashOf[account], keyHash);
            (uint256 stakeWei, uint256 role, uint256 index) = _member(run, account);
            larger.bitmap = _mark(larger.bitmap, role, index, account);
            larger.stakeWei += stakeWei;
            sum = BLS.add(sum, key);
        }
        if (Bls.isInfinity(sum)) revert Bls.AtInfinity();
        larger.key = abi.encode(sum);
        larger.signers += uint16(accounts.length); // at most one per seat

        group = keccak256(abi.encode(larger));
        isGroup[group] = true;

        emit Assembled(run, group, larger);
    }

    /* VERIFICATION */

    /// @inheritdoc ICertificates
    function verifyBls(uint256 run, uint16 round, bytes32 digest, Group calldata group, bytes calldata signature)
        external
        view
        returns (uint256 stakeWei, uint256 signers)
    {
        Group memory signing = _known(run, group);
        Bls.requirePrecompiles();
        BLS.G2Point memory key = abi.decode(signing.key, (BLS.G2Point));
        if (!Bls.verify(key, certificateDigest(run, round, digest), CERTIFICATE_TAG, Bls.g1(signature))) {
            revert NotSignedByAll();
        }
        return (signing.stakeWei, signing.signers);
    }

    /// @inheritdoc ICertificates
    function verifyEcdsa(uint256 run, uint16 round, bytes32 digest, bytes calldata signatures)
        external
        view
        returns (uint256 stakeWei, uint256 signers)
    {
        signers = signatures.length / ECDSA_BYTES;
        if (signers == 0 || signatures.length != ECDSA_BYTES * signers) revert SignaturesLength(signatures.length);
        if (signers > MAX_ECDSA) revert TooManySignatures(MAX_ECDSA, signers);

        bytes32 signed = certificateDigest(run, round, digest);
        address previous;
        for (uint256 i; i < signers; ++i) {
            address account = _signer(signed, signatures, i);
            if (account <= previous) revert Unsorted(previous, account);
            stakeWei += _stake(run, account);
            previous = account;
        }
    }

    /* VIEWS */

    /// @inheritdoc ICertificates
    function certificateDigest(uint256 run, uint16 round, bytes32 digest) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(CERTIFICATE, run, round, digest)));
    }

    /// @inheritdoc ICertificates
    function possessionDigest(address account, bytes calldata key) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(POSSESSION, account, keccak256(key))));
    }

    /* INTERNAL */

    function _empty(uint256 run) private view returns (Group memory none) {
        (, uint32 exitS,,) = runs.terms(run);
        (none.run, none.expiresS, none.key) = (run, uint40(block.timestamp + exitS), new bytes(Bls.G2_BYTES));
    }

    /// Contents of a group that was assembled here for this run and is not stale.
    function _known(uint256 run, Group calldata contents) private view returns (Group memory known) {
        if (contents.run != run) revert OtherRun(run, contents.run);
        if (block.timestamp >= contents.expiresS) revert StaleGroup(contents.expiresS, block.timestamp);
        known = contents;
        bytes32 group = keccak256(abi.encode(known));
        if (!isGroup[group]) revert UnknownGroup(group);
    }

    function _signer(bytes32 signed, bytes calldata signatures, uint256 i) private pure returns (address) {
        (bytes32 r, bytes32 s, uint8 v) = (0, 0, 0);
        assembly ("memory-safe") {
            let at := add(signatures.offset, mul(ECDSA_BYTES, i))
            r := calldataload(at)
            s := calldataload(add(at, 32))
            v := byte(0, calldataload(add(at, 64)))
        }
        return ECDSA.recover(signed, v, r, s);
    }

    /// What an account stakes that is not leaving: stakes.stakeOf(). The seat would cost each signer 3,000 gas more and say no
    /// more of the money behind a signature. By hand, as _member().
    function _stake(uint256 run, address account) private view returns (uint256 stakeWei) {
        bytes4 stakeOf = IStakes.stakeOf.selector;
        (address stakes_, uint256 releaseS) = (address(stakes), 0);
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(m, stakeOf)
            mstore(add(m, 0x04), run)
            mstore(add(m, 0x24), account)
            let answered := staticcall(gas(), stakes_, m, 0x44, 0x00, 0x40)
            if iszero(and(answered, gt(returndatasize(), 0x3f))) { revert(0, 0) }
            stakeWei := mload(0x00)
            releaseS := mload(0x20)
        }
        if (stakeWei == 0 || releaseS != 0) revert NoStakeBehind(run, account);
    }

    /// Stake and seat of an account that has not left: stakes.stakeOf() and rounds.seat(). By hand, because the compiler's
    /// encoding and decoding of the two calls would cost 1,500 gas a signer.
    function _member(uint256 run, address account)
        private
        view
        returns (uint256 stakeWei, uint256 role, uint256 index)
    {
        (bytes4 stakeOf, bytes4 seat) = (IStakes.stakeOf.selector, IRounds.seat.selector);
        (address stakes_, address rounds_, uint256 retired) = (address(stakes), address(rounds), 0);
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore(add(m, 0x04), run)
            mstore(add(m, 0x24), account)
            mstore(m, or(stakeOf, shr(32, mload(add(m, 0x04)))))
            // Amount and release time; role, whether retired, index, first round.
            let answered := staticcall(gas(), stakes_, m, 0x44, 0x00, 0x20)
            answered := and(answered, gt(returndatasize(), 0x1f))
            stakeWei := mload(0x00)
            mstore(m, or(seat, shr(32, mload(add(m, 0x04)))))
            answered := and(answered, staticcall(gas(), rounds_, m, 0x44, m, 0x60))
            if iszero(and(answered, gt(returndatasize(), 0x5f))) { revert(0, 0) }
            role := mload(m)
            retired := mload(add(m, 0x20))
            index := mload(add(m, 0x40))
        }
        if (role == uint256(Role.NONE) || retired != 0) revert NotSeated(run, account);
    }

    /// The bitmap with one seat's bit more. Verifier indices have 8 bits, so theirs fit one word.
    function _mark(uint256[] memory bitmap, uint256 role, uint256 index, address account)
        private
        pure
        returns (uint256[] memory)
    {
        uint256 word = role == uint256(Role.VERIFIER) ? 0 : 1 + index / 256;
        if (word >= bitmap.length) bitmap = _grown(bitmap, word + 1);
        uint256 bit = 1 << index % 256;
        if (bitmap[word] & bit != 0) revert Repeated(account);
        bitmap[word] |= bit;
        return bitmap;
    }

    function _grown(uint256[] memory words, uint256 length) private pure returns (uint256[] memory grown) {
        grown = new uint256[](length);
        for (uint256 i; i < words.length; ++i) {
            grown[i] = words[i];
        }
    }
}
