// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {IRounds} from "./IRounds.sol";
import {IRuns} from "./IRuns.sol";
import {IStakes} from "./IStakes.sol";

/// Members of one run whose keys are added up, so that checking their signature costs the same however many they are.
struct Group {
    uint256 run;
    uint256 stakeWei; // behind it: each member's when it was added
    uint40 expiresS; // the run's exit delay after the first member was added: until then no member's stake can have left
    uint16 signers;
    bytes key; // 256 bytes, sum of the members' keys
    uint256[] bitmap; // word 0: verifier v at bit v; word 1 + i / 256: trainer i at bit i % 256; the last word is not 0
}

/// @title Certificates: who stands behind the model that a run had after a round
/// @notice Everyone seated may sign a model's digest. A certificate of up to 15 signers is a list of ECDSA signatures; from
/// 16 on it is one BLS12-381 signature of a group assembled beforehand. Both sign the same EIP-712 digest of
/// Certificate(uint256 run,uint16 round,bytes32 digest) in the domain ("Gradmint", "1", chain, this contract), so none is
/// valid for another chain, contract, run or round.
/// @dev Signatures in G1, keys in G2, points in EIP-2537's encoding. Not guaranteed: that the digest is right (no contract has
/// seen the model), that a count of signers means anything without the stake (seats can be many hands of one owner), or
/// that a group's stake was not slashed since it was assembled. After a run's end stakes are free at once.
interface ICertificates {
    /// Key and proof in full: anyone can rebuild and check the table of keys.
    event Registered(address indexed account, bytes key, bytes proof);
    /// The group's contents: what verifyBls() wants back. `group` is keccak256(abi.encode(contents)).
    event Assembled(uint256 indexed run, bytes32 indexed group, Group contents);

    /// One key per account, for good.
    error AlreadyRegistered(address account);
    error KeyTaken(address owner);
    /// The proof is not the key's signature of Possession(account, key) in this contract's domain.
    error NoPossession(address account);
    /// The key brought along is not the one that the account registered (32 zero bytes: none).
    error WrongKey(address account, bytes32 registered, bytes32 actual);
    error KeysLength(uint256 expectedBytes, uint256 actualBytes);
    /// Never joined this run, or left it, or was ejected.
    error NotSeated(uint256 run, address account);
    /// Stakes nothing in this run, or is leaving it.
    error NoStakeBehind(uint256 run, address account);
    error Repeated(address account);
    error EmptyGroup();
    /// Not the contents of a group assembled here.
    error UnknownGroup(bytes32 group);
    error OtherRun(uint256 expected, uint256 actual);
    /// Stake behind the group may have left since: assemble it again.
    error StaleGroup(uint40 expiresS, uint256 nowS);
    /// Of the group's members, at least one did not sign this model, run and round.
    error NotSignedByAll();
    /// By Solady's pairing: a point has an element of at least the modulus, is off its curve, or not in the subgroup.
    error PairingFailed();
    /// Not a whole number of signatures of 65 bytes, or none.
    error SignaturesLength(uint256 actualBytes);
    /// From 16 signers on a certificate is one BLS signature.
    error TooManySignatures(uint256 atMost, uint256 actual);
    /// Ascending by address, nobody twice.
    error Unsorted(address previous, address account);

    /// @notice Registers the caller's BLS key for all runs, once.
    /// @param key 256 bytes, not infinity, in the subgroup.
    /// @param proof 128 bytes: the key's signature of the digest of Possession(address account,bytes key), hashed with the
    /// tag POSSESSION_TAG. It keeps anyone from registering a key made out of others' keys.
    function register(bytes calldata key, bytes calldata proof) external;

    /// @notice Adds members to a group, as many as fit a transaction; the larger group is a new one, the smaller one stays.
    /// @param run The run that all members are seated in.
    /// @param smaller Contents of a group assembled before and not stale; `signers` 0 for none (the rest is ignored).
    /// @param accounts New members in any order.
    /// @param keys Their registered keys, 256 bytes each, in the same order.
    function assemble(uint256 run, Group calldata smaller, address[] calldata accounts, bytes calldata keys)
        external
        returns (bytes32 group);

    /// @notice Reverts unless every member of the group signed `digest` as the model of `run` after `round`.
    /// @param signature 128 bytes: the sum of the members' signatures.
    function verifyBls(uint256 run, uint16 round, bytes32 digest, Group calldata group, bytes calldata signature)
        external
        view
        returns (uint256 stakeWei, uint256 signers);

    /// @notice Reverts unless all signatures are good and of accounts with a stake in the run that is not leaving.
    /// @param signatures At most 15 in a row, each r 32 | s 32 | v 1 with a low s, ascending by the signer's address.
    function verifyEcdsa(uint256 run, uint16 round, bytes32 digest, bytes calldata signatures)
        external
        view
        returns (uint256 stakeWei, uint256 signers);

    /// @notice keccak256 of the account's key; 0 without one.
    function keyHashOf(address account) external view returns (bytes32);
    function ownerOf(bytes32 keyHash) external view returns (address);
    function isGroup(bytes32 group) external view returns (bool);
    /// @notice What a certificate's signers sign.
    function certificateDigest(uint256 run, uint16 round, bytes32 digest) external view returns (bytes32);
    /// @notice What a key signs to be registered for `account`.
    function possessionDigest(address account, bytes calldata key) external view returns (bytes32);

    function runs() external view returns (IRuns);
    function stakes() external view returns (IStakes);
    function rounds() external view returns (IRounds);
}
