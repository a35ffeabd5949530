// SPDX-License-Identifier: MIT
pragma solidity ^0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {BLS} from "solady/src/utils/ext/ithaca/BLS.sol";

import {Group, ICertificates} from "../../interfaces/ICertificates.sol";
import {IRounds} from "../../interfaces/IRounds.sol";
import {IStakes} from "../../interfaces/IStakes.sol";
import {Bls} from "../../libraries/Bls.sol";
import {Signers} from "./Signers.sol";

/// Who stands behind a model: three trainers and two verifiers. That Bls.hashToG1() is everybody's is held by a vector of RFC 9380 here, by py-ecc in test_certificates.py.
contract CertificatesTest is Signers {
    /// Of no run and without signers: assemble() begins a new one.
    Group private none;

    function setUp() external {
        beginWith(false, 3, 2);
        certificates = ICertificates(create("Certificates.sol:Certificates", abi.encode(runs, stakes, rounds)));
    }

    /* KEYS */

    function test_a_key_is_registered_with_a_proof_of_possession() external {
        _register(trainer(0));
        bytes32 keyHash = keccak256(_key(trainer(0)));
        same(certificates.keyHashOf(trainer(0)), keyHash, "the account's key");
        so(certificates.ownerOf(keyHash) == trainer(0), "the key's account");
    }

    function test_an_account_has_one_key_and_a_key_one_account() external {
        _register(trainer(0));
        _tryRegister(
            trainer(0),
            _key(trainer(1)),
            "",
            abi.encodeWithSelector(ICertificates.AlreadyRegistered.selector, trainer(0))
        );
        _tryRegister(
            trainer(1), _key(trainer(0)), "", abi.encodeWithSelector(ICertificates.KeyTaken.selector, trainer(0))
        );
    }

    function test_a_proof_is_of_this_key_for_this_account_and_no_certificate() external {
        bytes memory key = _key(trainer(0));
        bytes memory refusal = abi.encodeWithSelector(ICertificates.NoPossession.selector, trainer(0));
        bytes memory anothers = _sign(_secret(trainer(1)), _possession(trainer(0), key), POSSESSION_TAG);
        bytes memory forAnother = _sign(_secret(trainer(0)), _possession(trainer(1), key), POSSESSION_TAG);
        bytes memory certificate = _sign(_secret(trainer(0)), _possession(trainer(0), key), CERTIFICATE_TAG);
        _tryRegister(trainer(0), key, anothers, refusal);
        _tryRegister(trainer(0), key, forAnother, refusal);
        _tryRegister(trainer(0), key, certificate, refusal);
        same(certificates.keyHashOf(trainer(0)), 0, "nothing is registered");
    }

    function test_what_is_no_point_of_its_group_is_neither_key_nor_proof() external {
        bytes memory key = _key(trainer(0));
        bytes memory proof = _proof(trainer(0));
        bytes memory infinity = abi.encodeWithSelector(Bls.AtInfinity.selector);
        bytes memory pairing = abi.encodeWithSelector(ICertificates.PairingFailed.selector);

        _tryRegister(trainer(0), "", proof, abi.encodeWithSelector(Bls.PointLength.selector, 256, 0));
        _tryRegister(
            trainer(0), bytes.concat(key, hex"00"), proof, abi.encodeWithSelector(Bls.PointLength.selector, 256, 257)
        );
        _tryRegister(trainer(0), key, "", abi.encodeWithSelector(Bls.PointLength.selector, 128, 0));
        _tryRegister(
            trainer(0), key, bytes.concat(proof, hex"00"), abi.encodeWithSelector(Bls.PointLength.selector, 128, 129)
        );
        _tryRegister(trainer(0), new bytes(256), proof, infinity);
        _tryRegister(trainer(0), key, new bytes(128), infinity);

        _tryRegister(trainer(0), abi.encode(BLS.G2Point(0, _one(), 0, 0, 0, _one(), 0, 0)), proof, pairing);
        _tryRegister(trainer(0), key, abi.encode(BLS.G1Point(0, _one(), 0, _one())), pairing);
        // On the curve and outside the subgroup: (-1, 2 + u) on y^2 = x^3 + 4 + 4u, and (0, 2) on y^2 = x^3 + 4.
        bytes32 minusOne = bytes32(uint256(Bls.P_LOW) - 1);
        BLS.G2Point memory astray =
            BLS.G2Point(Bls.P_HIGH, minusOne, 0, 0, 0, bytes32(uint256(2)), 0, bytes32(uint256(1)));
        _tryRegister(trainer(0), abi.encode(astray), proof, pairing);
        _tryRegister(trainer(0), key, abi.encode(BLS.G1Point(0, 0, 0, bytes32(uint256(2)))), pairing);
    }

    function test_hashing_to_the_curve_is_the_standards() external view {
        BLS.G1Point memory point = Bls.hashToG1("abc", "QUUX-V01-CS02-with-BLS12381G1_XMD:SHA-256_SSWU_RO_");
        bytes memory expected = bytes.concat(
            bytes16(0),
            hex"03567bc5ef9c690c2ab2ecdf6a96ef1c139cc0b2f284dca0a9a7943388a49a3aee664ba5379a7655d3c68900be2f6903",
            bytes16(0),
            hex"0b9c15f3fe6e5cf4211f346271d7b01c8f3b28be689c8429c85b67af215533311f0b8dfaaa154fa6b88176c229f2885d"
        );
        same(keccak256(abi.encode(point)), keccak256(expected), "RFC 9380, J.9.1");
    }

    /* GROUPS */

    function test_a_group_is_the_sum_of_its_members() external {
        address[] memory members = _three();
        Group memory expected = _groupOf(members);
        same(certificates.assemble(run, none, members, _keys(members)), keccak256(abi.encode(expected)), "its hash");
        so(certificates.isGroup(keccak256(abi.encode(expected))), "is known");
        same(expected.stakeWei, 2 * TRAINER_STAKE_WEI + VERIFIER_STAKE_WEI, "what stands behind it");
    }

    /// From one word of seats to two, and as old as its oldest member.
    function test_a_group_grows() external {
        address[] memory first = _list(verifier(1));
        _registerAll(first);
        Group memory small = _contents(first, 0);
        small.bitmap = new uint256[](1);
        small.bitmap[0] = 2;
        certificates.assemble(run, none, first, _keys(first));
        so(certificates.isGroup(keccak256(abi.encode(small))), "of one");

        pass(10);
        address[] memory more = _list(trainer(0));
        _registerAll(more);
        address[] memory both = new address[](2);
        (both[0], both[1]) = (verifier(1), trainer(0));
        Group memory large = _contents(both, 1);
        large.expiresS = small.expiresS;
        large.bitmap[0] = 2;
        same(certificates.assemble(run, small, more, _keys(more)), keccak256(abi.encode(large)), "of two");
    }

    function test_a_group_has_members_who_bring_their_keys() external {
        address[] memory members = _three();
        bytes memory keys = _keys(members);
        _refuseAssembly(none, new address[](0), "", abi.encodeWithSelector(ICertificates.EmptyGroup.selector));
        _refuseAssembly(
            none,
            members,
            bytes.concat(keys, hex"00"),
            abi.encodeWithSelector(ICertificates.KeysLength.selector, 768, 769)
        );
        address[] memory stranger = _list(verifier(0));
        bytes memory key = _key(verifier(0));
        _refuseAssembly(
            none,
            stranger,
            key,
            abi.encodeWithSelector(ICertificates.WrongKey.selector, verifier(0), bytes32(0), keccak256(key))
        );
    }

    function test_members_are_seated_and_have_not_left() external {
        address[] memory stranger = _list(address(0xdead));
        _registerAll(stranger);
        _refuseAssembly(
            none, stranger, _keys(stranger), abi.encodeWithSelector(ICertificates.NotSeated.selector, run, stranger[0])
        );
        address[] memory gone = _list(trainer(1));
        _registerAll(gone);
        vm.prank(trainer(1));
        stakes.exit(run);
        _refuseAssembly(
            none, gone, _keys(gone), abi.encodeWithSelector(ICertificates.NotSeated.selector, run, trainer(1))
        );
    }

    function test_nobody_counts_twice() external {
        address[] memory members = _three();
        Group memory group = _groupOf(members);
        certificates.assemble(run, none, members, _keys(members));
        address[] memory again = _list(members[1]);
        _refuseAssembly(group, again, _keys(again), abi.encodeWithSelector(ICertificates.Repeated.selector, members[1]));
        members[1] = members[0];
        _refuseAssembly(
            none, members, _keys(members), abi.encodeWithSelector(ICertificates.Repeated.selector, members[0])
        );
    }

    /// Their sum is infinity, which verifies anything.
    function test_keys_that_cancel_out_are_no_group() external {
        _register(trainer(0));
        uint256 opposite = ORDER - _secret(trainer(0));
        bytes memory key = _keyOf(opposite);
        _tryRegister(trainer(1), key, _sign(opposite, _possession(trainer(1), key), POSSESSION_TAG), "");
        address[] memory both = new address[](2);
        (both[0], both[1]) = (trainer(0), trainer(1));
        _refuseAssembly(
            none, both, bytes.concat(_key(trainer(0)), key), abi.encodeWithSelector(Bls.AtInfinity.selector)
        );
    }

    function test_only_a_groups_own_contents_in_its_run_and_time_are_taken() external {
        (Group memory group, bytes memory signature) = _signed();
        group.stakeWei += 1;
        bytes memory unknown = abi.encodeWithSelector(ICertificates.UnknownGroup.selector, keccak256(abi.encode(group)));
        _refuseBls(run, ROUND, group, signature, unknown);
        _refuseAssembly(group, _list(verifier(0)), _key(verifier(0)), unknown);
        group.stakeWei -= 1;
        _refuseBls(
            run + 1, ROUND, group, signature, abi.encodeWithSelector(ICertificates.OtherRun.selector, run + 1, run)
        );
        vm.warp(group.expiresS - 1);
        certificates.verifyBls(run, ROUND, MODEL, group, signature);
        vm.warp(group.expiresS);
        _refuseBls(
            run,
            ROUND,
            group,
            signature,
            abi.encodeWithSelector(ICertificates.StaleGroup.selector, group.expiresS, group.expiresS)
        );
    }

    /* CERTIFICATES */

    function test_a_group_signs_with_one_signature() external {
        (Group memory group, bytes memory signature) = _signed();
        (uint256 stakeWei, uint256 signers) = certificates.verifyBls(run, ROUND, MODEL, group, signature);
        same(stakeWei, group.stakeWei, "what stands behind it");
        same(signers, 3, "how many");
    }

    function test_every_member_signs_what_is_certified() external {
        (Group memory group, bytes memory signature) = _signed();
        bytes memory refusal = abi.encodeWithSelector(ICertificates.NotSignedByAll.selector);
        uint256 secrets = _secretOf(_members());
        bytes32 signed = _certificate(ROUND);
        _refuseBls(run, ROUND + 1, group, signature, refusal);
        _refuseBls(run, ROUND, group, _sign(secrets - _secret(trainer(0)), signed, CERTIFICATE_TAG), refusal);
        _refuseBls(run, ROUND, group, _sign(secrets + _secret(trainer(1)), signed, CERTIFICATE_TAG), refusal);
        _refuseBls(run, ROUND, group, _sign(secrets, signed, POSSESSION_TAG), refusal);
        _refuseBls(run, ROUND, group, new bytes(128), abi.encodeWithSelector(Bls.AtInfinity.selector));
    }

    function test_few_sign_by_ecdsa() external view {
        (bytes memory low, bytes memory high) = _pair();
        (uint256 stakeWei, uint256 signers) = certificates.verifyEcdsa(run, ROUND, MODEL, bytes.concat(low, high));
        same(stakeWei, 2 * TRAINER_STAKE_WEI, "what stands behind it");
        same(signers, 2, "how many");
    }

    function test_ecdsa_signers_ascend_and_are_at_most_fifteen() external {
        (bytes memory low, bytes memory high) = _pair();
        (address lower, address higher) = trainer(0) < trainer(1) ? (trainer(0), trainer(1)) : (trainer(1), trainer(0));
        _refuseEcdsa(bytes.concat(high, low), abi.encodeWithSelector(ICertificates.Unsorted.selector, higher, lower));
        _refuseEcdsa(bytes.concat(low, low), abi.encodeWithSelector(ICertificates.Unsorted.selector, lower, lower));
        _refuseEcdsa("", abi.encodeWithSelector(ICertificates.SignaturesLength.selector, 0));
        _refuseEcdsa(bytes.concat(low, hex"00"), abi.encodeWithSelector(ICertificates.SignaturesLength.selector, 66));
        _refuseEcdsa(new bytes(16 * 65), abi.encodeWithSelector(ICertificates.TooManySignatures.selector, 15, 16));
        _refuseEcdsa(new bytes(65), abi.encodeWithSelector(ECDSA.ECDSAInvalidSignature.selector));
    }

    function test_an_ecdsa_signer_stakes_and_is_not_leaving() external {
        bytes memory strangers = _ecdsa(0xbad);
        _refuseEcdsa(strangers, abi.encodeWithSelector(ICertificates.NoStakeBehind.selector, run, vm.addr(0xbad)));
        bytes memory leaving = _ecdsa(keyOf(1));
        vm.prank(trainer(1));
        stakes.exit(run);
        _refuseEcdsa(leaving, abi.encodeWithSelector(ICertificates.NoStakeBehind.selector, run, trainer(1)));
    }

    /* WHERE SOMETHING IS MISSING */

    /// A call to a precompile that a chain has not succeeds and returns nothing: never a yes.
    function test_a_chain_without_the_precompiles_verifies_nothing() external {
        (Group memory group, bytes memory signature) = _signed();
        bytes memory key = _key(verifier(0));
        bytes memory proof = _proof(verifier(0));
        address[] memory another = _list(verifier(0));

        bytes memory refusal = abi.encodeWithSelector(Bls.NoBlsPrecompile.selector, Bls.G1ADD);
        vm.mockCall(Bls.G1ADD, "", "");
        _tryRegister(verifier(0), key, proof, refusal);
        _refuseAssembly(group, another, key, refusal);
        _refuseBls(run, ROUND, group, signature, refusal);
        vm.clearMockedCalls();

        vm.mockCall(Bls.MODEXP, "", "");
        refusal = abi.encodeWithSelector(Bls.NoBlsPrecompile.selector, Bls.MODEXP);
        _tryRegister(verifier(0), key, proof, refusal);
        vm.clearMockedCalls();

        _tryRegister(verifier(0), key, proof, "");
    }

    function test_siblings_that_do_not_answer_vouch_for_nobody() external {
        address[] memory members = _three();
        bytes memory keys = _keys(members);
        bytes memory signature = _ecdsa(keyOf(0));
        bytes memory asked = abi.encodeWithSelector(IStakes.stakeOf.selector);

        vm.mockCall(address(stakes), asked, abi.encodePacked(uint248(1))); // a byte short of a word
        _refuseAssembly(none, members, keys, "");
        _refuseEcdsa(signature, "");
        vm.mockCallRevert(address(stakes), asked, abi.encode(1, 0));
        _refuseAssembly(none, members, keys, "");
        _refuseEcdsa(signature, "");
        vm.clearMockedCalls();

        asked = abi.encodeWithSelector(IRounds.seat.selector);
        vm.mockCall(address(rounds), asked, abi.encode(1, 0));
        _refuseAssembly(none, members, keys, "");
        vm.mockCallRevert(address(rounds), asked, abi.encode(1, 0, 0));
        _refuseAssembly(none, members, keys, "");
        vm.clearMockedCalls();

        certificates.assemble(run, none, members, keys);
    }

    /* MEMBERS */

    /// Two of one word of the bitmap, one of the other.
    function _members() private pure returns (address[] memory members) {
        members = new address[](3);
        (members[0], members[1], members[2]) = (trainer(2), verifier(1), trainer(0));
    }

    function _three() private returns (address[] memory members) {
        members = _members();
        _registerAll(members);
    }

    function _list(address account) private pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = account;
    }

    /// What assemble() should make of _members() now.
    function _groupOf(address[] memory members) private view returns (Group memory group) {
        group = _contents(members, 5);
        group.bitmap[0] = 2;
    }

    function _contents(address[] memory members, uint256 trainers) private view returns (Group memory group) {
        for (uint256 i; i < members.length; ++i) {
            (uint128 stakeWei,) = stakes.stakeOf(run, members[i]);
            group.stakeWei += stakeWei;
        }
        (group.run, group.signers) = (run, uint16(members.length));
        group.expiresS = uint40(vm.getBlockTimestamp() + paramsOfRun[run].exitS);
        group.key = _keyOf(_secretOf(members));
        group.bitmap = new uint256[](2);
        group.bitmap[1] = trainers;
    }

    /// The group of three, and what it signed.
    function _signed() private returns (Group memory group, bytes memory signature) {
        address[] memory members = _three();
        group = _groupOf(members);
        certificates.assemble(run, none, members, _keys(members));
        signature = _sign(_secretOf(members), _certificate(ROUND), CERTIFICATE_TAG);
    }

    /* CALLS: what they need is made before forge is told to expect a revert of the next call, also of a precompile */

    function _register(address account) private {
        _tryRegister(account, _key(account), _proof(account), "");
    }

    function _registerAll(address[] memory accounts) private {
        for (uint256 i; i < accounts.length; ++i) {
            _register(accounts[i]);
        }
    }

    function _tryRegister(address account, bytes memory key, bytes memory proof, bytes memory refusal) private {
        if (refusal.length != 0) vm.expectRevert(refusal);
        vm.prank(account);
        certificates.register{gas: 1_000_000}(key, proof); // a precompile that refuses burns all it is given
    }

    function _refuseAssembly(Group memory smaller, address[] memory members, bytes memory keys, bytes memory refusal)
        private
    {
        vm.expectRevert(refusal);
        certificates.assemble(run, smaller, members, keys);
    }

    function _refuseBls(uint256 run_, uint16 round, Group memory group, bytes memory signature, bytes memory refusal)
        private
    {
        vm.expectRevert(refusal);
        certificates.verifyBls(run_, round, MODEL, group, signature);
    }

    function _refuseEcdsa(bytes memory signatures, bytes memory refusal) private {
        vm.expectRevert(refusal);
        certificates.verifyEcdsa(run, ROUND, MODEL, signatures);
    }
}
