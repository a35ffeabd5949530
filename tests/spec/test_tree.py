"""The Merkle-sum tree: proofs lead to the root, nothing else does, and the root commits to the total."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from gradmint.spec.tree import EMPTY, Node, Proof, climb, leaf, parent, prove, prove_all, root
from gradmint.spec.types import Role, Standing

from .synthetic import account


def leaves(count: int) -> list[Standing]:
    return [Standing(account(Role.TRAINER, i), Role.TRAINER, paid_wei=10**18 * i + 1, rounds=i) for i in range(count)]


def split_root(standings: list[Standing]) -> tuple[bytes, int]:
    """The same tree from the top: the left half is the largest power of two below the count."""
    if len(standings) == 1:
        account_, paid_wei = standings[0].account, standings[0].paid_wei
        return keccak(b"\x00" + account_ + paid_wei.to_bytes(16, "big"))[:24], paid_wei
    left_count = 1 << (len(standings) - 1).bit_length() - 1
    (left, left_wei), (right, right_wei) = split_root(standings[:left_count]), split_root(standings[left_count:])
    packed = left + left_wei.to_bytes(16, "big") + right + right_wei.to_bytes(16, "big")
    return keccak(b"\x01" + packed)[:24], left_wei + right_wei


def reached(standing: Standing, proof: Proof) -> Node:
    return climb(standing.account, standing.paid_wei, proof)


SIZES = range(1, 34)


@pytest.mark.parametrize("size", SIZES)
def test_every_proof_leads_to_the_root(size: int) -> None:
    standings = leaves(size)
    top = root(standings)
    assert top == Node(*split_root(standings))
    assert top.sum_wei == sum(standing.paid_wei for standing in standings)
    for position in {0, size // 3, size // 2, size - 2, size - 1} & set(range(size)):
        assert reached(standings[position], prove(standings, position)) == top


@pytest.mark.parametrize("size", [2, 3, 7, 8, 13])
def test_a_proof_proves_its_own_standing_only(size: int) -> None:
    standings = leaves(size)
    top = root(standings)
    for position in range(size):
        proof = prove(standings, position)
        for other in {position ^ 1, (position + 2) % size, size - 1 - position} - {position}:
            if other < size:
                assert reached(standings[other], proof).hash != top.hash


def test_empty_tree_promises_nothing() -> None:
    assert root([]) == EMPTY == Node(bytes(24), 0)


def test_order_matters() -> None:
    standings = leaves(5)
    assert root(standings).hash != root(standings[::-1]).hash


STANDINGS = leaves(13)
ROOT = root(STANDINGS)


@given(st.integers(0, 12), st.integers(0, 36 * 8 - 1))
def test_no_bit_of_an_account_or_of_its_pay_can_change(position: int, bit: int) -> None:
    packed = bytearray(STANDINGS[position].account + STANDINGS[position].paid_wei.to_bytes(16, "big"))
    packed[bit // 8] ^= 1 << bit % 8
    paid_wei = int.from_bytes(packed[20:], "big")
    if paid_wei < 2**127:  # beyond it the sums do not fit their 16 bytes, which the contract refuses as well
        assert climb(bytes(packed[:20]), paid_wei, prove(STANDINGS, position)).hash != ROOT.hash


def test_the_leaf_holds_the_account_and_its_pay_and_nothing_else() -> None:
    """A claim brings 36 bytes and the path, and need not know what else its standing remembers."""
    paid = Standing(bytes(range(20)), Role.TRAINER, paid_wei=0x0102)
    expected = Node(keccak(b"\x00" + bytes(range(20)) + bytes(14) + b"\x01\x02")[:24], 0x0102)
    assert leaf(paid.account, paid.paid_wei) == expected == root([paid])
    assert len(expected.hash) == 24
    changed = [replace(paid, misses=3), replace(paid, trust_q32=1), replace(paid, role=Role.VERIFIER, ban_round=9)]
    assert {root([other]) for other in changed} == {expected}
    assert root([replace(paid, paid_wei=0x0103)]).hash != expected.hash
    assert root([replace(paid, account=bytes(20))]).hash != expected.hash


@pytest.mark.parametrize("size", [1, 2, 3, 8, 11])
def test_all_proofs_at_once_are_the_proofs_one_by_one(size: int) -> None:
    standings = leaves(size)
    positions = [*range(size), 0, -1]
    assert prove_all(standings, positions) == [prove(standings, position) for position in positions]
    assert prove(standings, -1) == prove(standings, size - 1)
    assert prove_all(standings, []) == []
    with pytest.raises(IndexError):
        prove_all(standings, [0, size])


@pytest.mark.parametrize("position", range(13))
def test_wrong_paths(position: int) -> None:
    standing, proof = STANDINGS[position], prove(STANDINGS, position)
    forgeries = [replace(proof, right_bits=proof.right_bits ^ 1 << k) for k in range(len(proof.siblings))]
    forgeries += [Proof(proof.right_bits, proof.siblings[:-1]), Proof(proof.right_bits >> 1, proof.siblings[1:])]
    forgeries += [Proof(proof.right_bits, (*proof.siblings, EMPTY)), Proof(0, ())]
    forgeries += [Proof(proof.right_bits, proof.siblings[::-1])]
    for forged in forgeries:
        if forged != proof:
            assert reached(standing, forged).hash != ROOT.hash


@pytest.mark.parametrize("position", range(13))
def test_no_sum_on_the_way_can_change(position: int) -> None:
    """Neither inflating a sibling, nor moving weight between siblings and leaf at the same total."""
    standing, proof = STANDINGS[position], prove(STANDINGS, position)
    for k, sibling in enumerate(proof.siblings):
        for sum_wei in (sibling.sum_wei + 1, sibling.sum_wei - 1, standing.paid_wei):
            bent = (*proof.siblings[:k], Node(sibling.hash, sum_wei), *proof.siblings[k + 1 :])
            assert reached(standing, Proof(proof.right_bits, bent)).hash != ROOT.hash
    first = proof.siblings[0]
    swapped = (Node(first.hash, standing.paid_wei), *proof.siblings[1:])
    forged = replace(standing, paid_wei=first.sum_wei)
    assert reached(forged, Proof(proof.right_bits, swapped)).hash != ROOT.hash


def test_swapped_sums_make_another_parent() -> None:
    a, b = (leaf(standing.account, standing.paid_wei) for standing in STANDINGS[1:3])
    swapped = parent(Node(a.hash, b.sum_wei), Node(b.hash, a.sum_wei))
    assert swapped.sum_wei == parent(a, b).sum_wei
    assert swapped.hash != parent(a, b).hash
    assert parent(b, a).hash != parent(a, b).hash


def test_leaves_and_nodes_have_lengths_and_tags_of_their_own() -> None:
    """37 hashed bytes and 81: no account and pay of an attacker's choice hashes like a node, nor a node like a leaf."""
    a, b = (leaf(standing.account, standing.paid_wei) for standing in STANDINGS[:2])
    payload = a.hash + a.sum_wei.to_bytes(16, "big") + b.hash + b.sum_wei.to_bytes(16, "big")
    assert (len(STANDINGS[0].account) + 16, len(payload)) == (36, 80)
    assert keccak(b"\x01" + payload)[:24] == parent(a, b).hash
    inner = prove(STANDINGS, 0)
    shorter = Proof(inner.right_bits >> 1, inner.siblings[1:])
    for at in range(len(payload) - 36 + 1):
        posed = payload[at : at + 36]
        if (paid_wei := int.from_bytes(posed[20:], "big")) < 2**127:
            assert climb(posed[:20], paid_wei, shorter).hash != ROOT.hash


@given(st.lists(st.integers(0, 10**27), min_size=1, max_size=40), st.data())
@settings(max_examples=50)
def test_sum_is_the_total_whatever_the_sums(paid_wei: list[int], data: st.DataObject) -> None:
    standings = [replace(leaves(1)[0], account=account(Role.VERIFIER, i), paid_wei=p) for i, p in enumerate(paid_wei)]
    position = data.draw(st.integers(0, len(standings) - 1))
    assert root(standings).sum_wei == sum(paid_wei)
    assert reached(standings[position], prove(standings, position)) == root(standings)
