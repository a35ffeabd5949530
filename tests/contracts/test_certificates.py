"""Keys are owned, groups are seated members, a signature is good for one chain, contract, run and round."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from certifying import (
    MODEL,
    NO_GROUP,
    Certifiers,
    account,
    cancun,
    ecdsa,
    in_order,
    joint,
    member,
    public_key,
    secret,
    split,
)
from eth_abi import encode
from eth_utils import keccak
from py_ecc.bls.hash_to_curve import map_to_curve_G1, map_to_curve_G2
from py_ecc.optimized_bls12_381 import FQ, FQ2, G1, G2, multiply, neg, normalize
from world import DEPLOYER, ROOT, STRANGER, Chain, Contract, Reverted, World, deploy, reverts, test_artifact

from gradmint.ports import bls
from gradmint.spec.certificate import CERTIFICATE_TAG, POSSESSION_TAG, Domain, bitmap_of
from gradmint.spec.params import LOCAL
from gradmint.spec.types import Role

pytestmark = pytest.mark.xdist_group("certificates on chain")

P = replace(LOCAL, min_trainers=2, min_verifiers=2, max_trainers=80, max_verifiers=4)
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
CROWD = range(64)


def g1(point: Any) -> bytes:
    return b"".join(int(c).to_bytes(64, "big") for c in normalize(point))


def g2(point: Any) -> bytes:
    return b"".join(int(c).to_bytes(64, "big") for xy in normalize(point) for c in xy.coeffs)


#: On the curve, outside the subgroup: mapped without clearing the cofactor.
ASTRAY_1, ASTRAY_2 = g1(map_to_curve_G1(FQ(5))), g2(map_to_curve_G2(FQ2([5, 7])))
OFF_CURVE_1, OFF_CURVE_2 = g1(G1)[:-1] + b"\1", g2(G2)[:-1] + b"\1"


@pytest.fixture(scope="module")
def certifiers(world: World) -> Certifiers:
    return Certifiers(world)


@pytest.fixture(scope="module")
def bench(chain: Chain) -> Contract:
    return deploy(chain, test_artifact("BlsHarness"), (), (), DEPLOYER)


@pytest.fixture(scope="module")
def run(certifiers: Certifiers) -> int:
    """Trainers 0..61, verifiers 62 and 63."""
    return certifiers.seated(P, CROWD[:62], CROWD[62:])


@pytest.fixture
def group(certifiers: Certifiers, run: int) -> Any:
    return certifiers.assemble(run, CROWD[:16])[0]


# The curve


RFC_9380 = json.loads((ROOT / "tests" / "vectors" / "hash_to_g1.json").read_text())


@pytest.mark.parametrize("case", RFC_9380["cases"], ids=lambda case: case["message"][:8] or "empty")
def test_messages_hash_to_the_rfcs_points(bench: Contract, case: dict[str, str]) -> None:
    expected = b"".join(bytes(16) + bytes.fromhex(case[name]) for name in "xy")
    assert bench.call("hashToG1", case["message"].encode(), RFC_9380["dst"].encode()) == expected


def test_python_and_the_chain_come_to_the_same_verdict(bench: Contract) -> None:
    backend = bls.backend()
    for n in (1, 2, 17):
        key = backend.add_keys([public_key(i) for i in range(n)])
        good = backend.add_signatures([backend.sign(secret(i), MODEL, CERTIFICATE_TAG) for i in range(n)])
        other = backend.sign(5, MODEL, CERTIFICATE_TAG)
        for message, tag, signature in (
            (MODEL, CERTIFICATE_TAG, good),
            (MODEL, CERTIFICATE_TAG, other),
            (MODEL, POSSESSION_TAG, good),
            (bytes(32), CERTIFICATE_TAG, good),
        ):
            verdict = backend.verify(key, message, tag, signature)
            assert verdict is ((message, tag, signature) == (MODEL, CERTIFICATE_TAG, good))
            assert bench.call("verify", key, message, tag, signature) is verdict


def test_the_generators_negative_is_what_it_says(bench: Contract) -> None:
    assert bench.call("negatedGenerator") == g2(neg(G2))


def test_both_sides_sign_the_same_digest(certifiers: Certifiers) -> None:
    checkpoint = certifiers.checkpoint(2**255, 65_535)
    assert certifiers.contract.call("certificateDigest", 2**255, 65_535, MODEL) == checkpoint.signed
    possession = certifiers.domain.possession(account(0), public_key(0))
    assert certifiers.contract.call("possessionDigest", member(0).address, public_key(0)) == possession


# Keys


def test_a_key_is_registered_once_for_one_account(certifiers: Certifiers) -> None:
    receipt = certifiers.register(100)
    assert receipt is not None
    registered = receipt["Registered"]
    assert (registered.account, registered.key) == (member(100).address.lower(), public_key(100))
    assert registered.proof == certifiers.proof(100)
    assert certifiers.contract.call("keyHashOf", member(100).address) == keccak(public_key(100))
    assert certifiers.contract.call("ownerOf", keccak(public_key(100))) == member(100).address.lower()
    with reverts("AlreadyRegistered", member(100).address):
        certifiers.try_register(100, public_key(101), certifiers.proof(100))
    with reverts("KeyTaken", member(100).address):
        certifiers.try_register(101, public_key(100), certifiers.proof(100))


def test_a_rogue_key_cannot_be_registered(certifiers: Certifiers) -> None:
    """Mine minus the victim's: their sum is my key alone, so I could sign for both of us."""
    backend = bls.backend()
    rogue = backend.add_keys([public_key(105), backend.public_key(bls.ORDER - secret(104))])
    assert backend.add_keys([rogue, public_key(104)]) == public_key(105)
    possession = certifiers.domain.possession(account(105), rogue)
    with reverts("NoPossession", member(105).address):
        certifiers.try_register(105, rogue, backend.sign(secret(105), possession, POSSESSION_TAG))


def test_a_proof_is_of_one_account_chain_contract_and_kind(certifiers: Certifiers) -> None:
    key, here = public_key(106), certifiers.domain
    possession = here.possession(account(106), key)
    for proof in (
        certifiers.proof(106, domain=Domain(here.chain_id + 1, here.contract)),
        certifiers.proof(106, domain=Domain(here.chain_id, account(0))),
        certifiers.proof(106, key=public_key(107)),
        bls.backend().sign(secret(106), here.possession(account(107), key), POSSESSION_TAG),
        bls.backend().sign(secret(106), possession, CERTIFICATE_TAG),
    ):
        with reverts("NoPossession", member(106).address):
            certifiers.try_register(106, key, proof)


HOSTILE_KEYS = {
    "outside the subgroup": (ASTRAY_2, "PairingFailed"),
    "off the curve": (OFF_CURVE_2, "PairingFailed"),
    "not below the modulus": (bls.MODULUS.to_bytes(64, "big") + g2(G2)[64:], "PairingFailed"),
    "the same point, not canonical": (
        (int.from_bytes(g2(G2)[:64], "big") + bls.MODULUS).to_bytes(64, "big") + g2(G2)[64:],
        "PairingFailed",
    ),
    "infinity": (bytes(256), "AtInfinity"),
    "short": (g2(G2)[:-1], "PointLength"),
    "long": (g2(G2) + b"\0", "PointLength"),
    "empty": (b"", "PointLength"),
}


@pytest.mark.parametrize(("key", "error"), HOSTILE_KEYS.values(), ids=HOSTILE_KEYS)
def test_no_such_key(certifiers: Certifiers, key: bytes, error: str) -> None:
    possession = certifiers.domain.possession(account(108), key)
    with reverts(error):
        certifiers.try_register(108, key, bls.backend().sign(secret(108), possession, POSSESSION_TAG))


HOSTILE_SIGNATURES = {
    "outside the subgroup": (ASTRAY_1, "PairingFailed"),
    "off the curve": (OFF_CURVE_1, "PairingFailed"),
    "not below the modulus": (bls.MODULUS.to_bytes(64, "big") + g1(G1)[64:], "PairingFailed"),
    "infinity": (bytes(128), "AtInfinity"),
    "short": (g1(G1)[:-1], "PointLength"),
    "long": (g1(G1) + b"\0", "PointLength"),
}


@pytest.mark.parametrize(("signature", "error"), HOSTILE_SIGNATURES.values(), ids=HOSTILE_SIGNATURES)
def test_no_such_signature(certifiers: Certifiers, run: int, group: Any, signature: bytes, error: str) -> None:
    with reverts(error):
        certifiers.contract.call("verifyBls", run, 1, MODEL, group, signature)
    with reverts(error):
        certifiers.try_register(109, public_key(109), signature)


def test_a_good_signature_plus_a_point_of_small_order_is_refused(certifiers: Certifiers, run: int, group: Any) -> None:
    """Without the subgroup check the pairing would not see the difference."""
    good = certifiers.bls_arguments(run, group, CROWD[:16])[-1]
    cofactor_part = multiply(map_to_curve_G1(FQ(5)), bls.ORDER)
    bent = g1(_sum(good, cofactor_part))
    assert bent != good
    with reverts("PairingFailed"):
        certifiers.contract.call("verifyBls", run, 1, MODEL, group, bent)


def _sum(signature: bytes, point: Any) -> Any:
    from py_ecc.optimized_bls12_381 import add

    x, y = (int.from_bytes(signature[at : at + 64], "big") for at in (0, 64))
    return add((FQ(x), FQ(y), FQ.one()), point)


# Groups


def test_a_group_adds_up_keys_stakes_and_seats(certifiers: Certifiers, run: int, world: World) -> None:
    members = (3, 63, 0, 62, 17)
    contents, receipt = certifiers.assemble(run, members)
    run_, stake_wei, expires_s, signers, key, bitmap = contents
    assert (run_, signers) == (run, 5)
    assert stake_wei == 3 * P.trainer_stake_wei + 2 * P.verifier_stake_wei
    assert expires_s == world.chain.now() + P.exit_s
    assert key == bls.backend().public_key(sum(map(secret, members)))
    seats = [(Role.TRAINER, 3), (Role.VERIFIER, 1), (Role.TRAINER, 0), (Role.VERIFIER, 0), (Role.TRAINER, 17)]
    assert tuple(bitmap) == bitmap_of(seats)
    packed = encode(["(uint256,uint256,uint40,uint16,bytes,uint256[])"], [contents])
    assert receipt["Assembled"].group == keccak(packed)
    assert certifiers.contract.call("isGroup", keccak(packed))


def test_a_group_grows_over_several_transactions(certifiers: Certifiers, run: int, world: World) -> None:
    first, _ = certifiers.assemble(run, (5, 2))
    world.chain.warp(10)
    grown, _ = certifiers.assemble(run, (1, 62), first)
    at_once, _ = certifiers.assemble(run, (1, 2, 5, 62))
    assert grown[2] == first[2] < at_once[2]  # as old as its oldest member
    assert grown[:2] + grown[3:] == at_once[:2] + at_once[3:]
    for group, members in ((first, (2, 5)), (grown, (1, 2, 5, 62))):
        assert certifiers.contract.call("verifyBls", *certifiers.bls_arguments(run, group, members))[1] == len(members)


def test_nobody_counts_twice(certifiers: Certifiers, run: int, group: Any) -> None:
    with reverts("Repeated", member(1).address):
        certifiers.assemble(run, (1, 2, 1))
    with reverts("Repeated", member(15).address):
        certifiers.assemble(run, (20, 15), group)


def test_members_are_seated_in_this_run_and_have_not_left(certifiers: Certifiers, run: int, world: World) -> None:
    other = certifiers.seated(P, (70, 71))
    for stranger in (70, 0):
        with reverts("NotSeated", other if stranger == 0 else run, member(stranger).address):
            certifiers.assemble(other if stranger == 0 else run, (stranger,))
    world.stakes.send("exit", other, sender=member(71).address)
    with reverts("NotSeated", other, member(71).address):
        certifiers.assemble(other, (70, 71))
    signed = certifiers.checkpoint(other).signed
    with reverts("NoStakeBehind", other, member(71).address):
        certifiers.contract.call("verifyEcdsa", other, 1, MODEL, in_order((70, 71), signed))
    assert certifiers.contract.call("verifyEcdsa", other, 1, MODEL, in_order((70,), signed)) == (
        P.trainer_stake_wei,
        1,
    )


def test_members_bring_their_own_registered_keys(certifiers: Certifiers, run: int) -> None:
    send = certifiers.contract.call
    accounts, keys = certifiers.named((0, 1))
    with reverts("WrongKey", member(0).address, keccak(public_key(0)), keccak(public_key(1))):
        send("assemble", run, NO_GROUP, accounts, keys[256:] + keys[:256])
    unregistered = [member(99).address]
    with reverts("WrongKey", member(99).address, bytes(32), keccak(public_key(99))):
        send("assemble", run, NO_GROUP, unregistered, public_key(99))
    for wrong in (keys[:-1], keys + b"\0", keys[:256], b""):
        with reverts("KeysLength", 512, len(wrong)):
            send("assemble", run, NO_GROUP, accounts, wrong)
    with reverts("EmptyGroup"):
        send("assemble", run, NO_GROUP, [], b"")


def test_keys_that_cancel_out_are_no_group(certifiers: Certifiers) -> None:
    """The sum is infinity, which verifies anything. With a third member it is only that one's key: the two who own up
    to opposite keys have agreed to whatever others sign."""
    backend, (a, b) = bls.backend(), (80, 81)
    run = certifiers.seated(P, (a,))
    key = backend.public_key(bls.ORDER - secret(a))
    certifiers.world.join(run, member(b).address, Role.TRAINER, P.trainer_stake_wei)
    possession = certifiers.domain.possession(account(b), key)
    proof = backend.sign(bls.ORDER - secret(a), possession, POSSESSION_TAG)
    certifiers.contract.send("register", key, proof, sender=member(b).address)
    with reverts("AtInfinity"):
        accounts = [member(a).address, member(b).address]
        certifiers.contract.call("assemble", run, NO_GROUP, accounts, public_key(a) + key)


def test_only_a_groups_true_contents_are_taken(certifiers: Certifiers, run: int, group: Any) -> None:
    arguments = certifiers.bls_arguments(run, group, CROWD[:16])
    for at, forged in ((1, group[1] + 1), (2, group[2] + 1), (3, 17), (4, public_key(3)), (5, [1])):
        lie = (*group[:at], forged, *group[at + 1 :])
        with reverts("UnknownGroup"):
            certifiers.contract.call("verifyBls", run, 1, MODEL, lie, arguments[-1])
        with reverts("UnknownGroup"):
            certifiers.assemble(run, (20,), lie)
    with reverts("OtherRun", run + 1, run):
        certifiers.contract.call("verifyBls", run + 1, 1, MODEL, group, arguments[-1])
    with reverts("OtherRun", run + 1, run):
        certifiers.assemble(run + 1, (20,), group)


def test_a_group_is_stale_before_any_of_its_stake_can_have_left(certifiers: Certifiers, world: World) -> None:
    run = certifiers.seated(P, (82, 83))
    group, _ = certifiers.assemble(run, (82, 83))
    arguments = certifiers.bls_arguments(run, group, (82, 83))
    release_s = world.stakes.send("exit", run, sender=member(82).address)["Exiting"].releaseS
    assert group[2] <= release_s
    world.chain.warp_to(group[2] - 1)
    assert certifiers.contract.call("verifyBls", *arguments) == (2 * P.trainer_stake_wei, 2)
    world.chain.warp_to(group[2])
    with reverts("StaleGroup", group[2], group[2]):
        certifiers.contract.call("verifyBls", *arguments)
    with reverts("StaleGroup"):
        certifiers.assemble(run, (83,), group)


# Certificates


Change = Callable[[Certifiers, int], tuple[bytes, tuple[Any, ...]]]

#: What is signed, and what it is then presented as: (run, round, digest).
REPLAYS: dict[str, Change] = {
    "another chain": lambda c, run: (
        replace(c.checkpoint(run), domain=Domain(c.domain.chain_id + 1, c.domain.contract)).signed,
        (run, 1, MODEL),
    ),
    "another contract": lambda c, run: (
        replace(c.checkpoint(run), domain=Domain(c.domain.chain_id, bytes(20))).signed,
        (run, 1, MODEL),
    ),
    "another run": lambda c, run: (c.checkpoint(run + 1).signed, (run, 1, MODEL)),
    "another round": lambda c, run: (c.checkpoint(run).signed, (run, 2, MODEL)),
    "another model": lambda c, run: (c.checkpoint(run).signed, (run, 1, MODEL[::-1])),
}


@pytest.mark.parametrize("change", REPLAYS.values(), ids=REPLAYS)
def test_a_signature_is_good_for_nothing_else(certifiers: Certifiers, run: int, group: Any, change: Change) -> None:
    signed, presented = change(certifiers, run)
    with reverts("NotSignedByAll"):
        certifiers.contract.call("verifyBls", *presented, group, joint(CROWD[:16], signed))
    with pytest.raises(Reverted) as refused:  # some other address is recovered, which stakes nothing
        certifiers.contract.call("verifyEcdsa", *presented, ecdsa(0, signed))
    assert refused.value.name == "NoStakeBehind"


def test_every_member_must_have_signed(certifiers: Certifiers, run: int, group: Any) -> None:
    signed = certifiers.checkpoint(run).signed
    check = certifiers.contract.call
    assert check("verifyBls", run, 1, MODEL, group, joint(CROWD[:16], signed)) == (16 * P.trainer_stake_wei, 16)
    for signers in (CROWD[:15], CROWD[:17], CROWD[1:17]):
        with reverts("NotSignedByAll"):
            check("verifyBls", run, 1, MODEL, group, joint(signers, signed))
    with reverts("NotSignedByAll"):
        check("verifyBls", run, 1, MODEL, group, joint(CROWD[:16], signed, POSSESSION_TAG))


def test_fifteen_sign_by_ecdsa(certifiers: Certifiers, run: int) -> None:
    signed = certifiers.checkpoint(run).signed
    members = (*CROWD[:13], 62, 63)
    stake_wei = 13 * P.trainer_stake_wei + 2 * P.verifier_stake_wei
    assert certifiers.contract.call("verifyEcdsa", run, 1, MODEL, in_order(members, signed)) == (stake_wei, 15)
    assert certifiers.contract.call("verifyEcdsa", run, 1, MODEL, ecdsa(62, signed)) == (P.verifier_stake_wei, 1)


def test_what_ecdsa_refuses(certifiers: Certifiers, run: int) -> None:
    signed = certifiers.checkpoint(run).signed
    first, second = split(in_order((0, 1), signed))
    low, high = sorted((account(0), account(1)))

    def refused(name: str, *operands: Any, signatures: bytes) -> None:
        with reverts(name, *operands):
            certifiers.contract.call("verifyEcdsa", run, 1, MODEL, signatures)

    refused("Unsorted", f"0x{high.hex()}", f"0x{low.hex()}", signatures=second + first)
    refused("Unsorted", f"0x{low.hex()}", f"0x{low.hex()}", signatures=first + first)
    refused("TooManySignatures", 15, 16, signatures=in_order(CROWD[:16], signed))
    refused("SignaturesLength", 0, signatures=b"")
    for wrong in (first[:-1], first + b"\0", first + second[:64]):
        refused("SignaturesLength", len(wrong), signatures=wrong)
    s = SECP256K1_ORDER - int.from_bytes(first[32:64], "big")
    mirrored = first[:32] + s.to_bytes(32, "big") + bytes([55 - first[64]])
    refused("ECDSAInvalidSignatureS", s.to_bytes(32, "big"), signatures=mirrored)
    refused("ECDSAInvalidSignature", signatures=first[:64] + b"\0")  # v must be 27 or 28
    refused("ECDSAInvalidSignature", signatures=bytes(64) + b"\x1b")


# What it costs


def test_checking_costs_the_same_however_many_signed(certifiers: Certifiers, run: int, group: Any) -> None:
    crowd, _ = certifiers.assemble(run, CROWD)
    costs = [
        certifiers.contract.send("verifyBls", *certifiers.bls_arguments(run, contents, members), sender=STRANGER).gas
        for contents, members in ((group, CROWD[:16]), (crowd, CROWD))
    ]
    assert max(costs) <= 180_000
    assert max(costs) - min(costs) < 1_000


# A chain without the precompiles


def test_a_chain_without_the_precompiles_verifies_nothing() -> None:
    """There a call to a precompile succeeds and returns nothing: that must never pass for a yes."""
    with cancun() as chain:
        certifiers = Certifiers(World.on(chain))
        bench = deploy(chain, test_artifact("BlsHarness"), (), (), DEPLOYER)
        add = "0x000000000000000000000000000000000000000b"
        assert chain.rpc("eth_call", {"to": add, "data": "0x" + "00" * 256}, "latest") == "0x"
        with reverts("NoBlsPrecompile", add):
            certifiers.try_register(0, public_key(0), certifiers.proof(0))
        run = certifiers.world.open(P)
        with reverts("NoBlsPrecompile", add):
            certifiers.assemble(run, (0,))
        contents = (run, 5, chain.now() + 1_000, 1, public_key(0), [2])
        packed = keccak(encode(["(uint256,uint256,uint40,uint16,bytes,uint256[])"], [contents]))
        slot = keccak(packed + (4).to_bytes(32, "big"))  # behind two of EIP712's and two of keys
        chain.rpc("anvil_setStorageAt", certifiers.contract.address, "0x" + slot.hex(), "0x" + "00" * 31 + "01")
        assert certifiers.contract.call("isGroup", packed)
        with reverts("NoBlsPrecompile", add):
            certifiers.contract.call("verifyBls", *certifiers.bls_arguments(run, contents, (0,)))
        # Each step would refuse by itself, too.
        for step, error in (("mapToG1", "MapFpToG1"), ("addG1", "G1Add"), ("addG2", "G2Add"), ("pairing", "Pairing")):
            with reverts(f"{error}Failed"):
                bench.call(step)
        # Certificates of few signers need no precompile that is new.
        certifiers.world.join(run, member(0).address, Role.TRAINER, P.trainer_stake_wei)
        signature = ecdsa(0, certifiers.checkpoint(run).signed)
        assert certifiers.contract.call("verifyEcdsa", run, 1, MODEL, signature) == (P.trainer_stake_wei, 1)
