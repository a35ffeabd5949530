"""The Merkle-sum tree: proofs lead to the root, nothing else does, and the root commits to the total."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from gradmint.spec.tree import EMPTY, Node, Proof, climb, leaf, parent, prove, root
from gradmint.spec.types import Role, Standing

from .synthetic import account


def leaves(count: int) -> list[Standing]:
    return [Standing(account(Role.TRAINER, i), Role.TRAINER, paid_wei=10**18 * i + 1, rounds=i) for i in range(count)]


def split_root(standings: list[Standing]) -> tuple[bytes, int]:
    """The same tree from the top: the left half is the largest power of two below the count."""
    if len(standings) == 1:
        return keccak(b"\x00" + standings[0].pack()), standings[0].paid_wei
    left_count = 1 << (len(standings) - 1).bit_length() - 1
    (left, left_wei), (right, right_wei) = split_root(standings[:left_count]), split_root(standings[left_count:])
    packed = left + left_wei.to_bytes(16, "big") + right + right_wei.to_bytes(16, "big")
    return keccak(b"\x01" + packed), left_wei + right_wei


SIZES = range(1, 34)


@pytest.mark.parametrize("size", SIZES)
def test_every_proof_leads_to_the_root(size: int) -> None:
    standings = leaves(size)
    top = root(standings)
    assert top == Node(*split_root(standings))
    assert top.sum_wei == sum(standing.paid_wei for standing in standings)
    for position in {0, size // 3, size // 2, size - 2, size - 1} & set(range(size)):
        assert climb(standings[position], prove(standings, position)) == top


@pytest.mark.parametrize("size", [2, 3, 7, 8, 13])
def test_a_proof_proves_its_own_standing_only(size: int) -> None:
    standings = leaves(size)
    top = root(standings)
    for position in range(size):
        proof = prove(standings, position)
        for other in {position ^ 1, (position + 2) % size, size - 1 - position} - {position}:
            if other < size:
                assert climb(standings[other], proof).hash != top.hash


def test_empty_tree_promises_nothing() -> None:
    assert root([]) == EMPTY == Node(bytes(32), 0)


def test_order_matters() -> None:
    standings = leaves(5)
    assert root(standings).hash != root(standings[::-1]).hash


STANDINGS = leaves(13)
ROOT = root(STANDINGS)


@given(st.integers(0, 12), st.integers(0, 96 * 8 - 1))
def test_no_bit_of_a_standing_can_change(position: int, bit: int) -> None:
    packed = bytearray(STANDINGS[position].pack())
    packed[bit // 8] ^= 1 << bit % 8
    forged = _Bytes(bytes(packed), int.from_bytes(packed[32:48], "big"))
    assert climb(forged, prove(STANDINGS, position)).hash != ROOT.hash


@pytest.mark.parametrize("position", range(13))
def test_wrong_paths(position: int) -> None:
    standing, proof = STANDINGS[position], prove(STANDINGS, position)
    forgeries = [replace(proof, right_bits=proof.right_bits ^ 1 << k) for k in range(len(proof.siblings))]
    forgeries += [Proof(proof.right_bits, proof.siblings[:-1]), Proof(proof.right_bits >> 1, proof.siblings[1:])]
    forgeries += [Proof(proof.right_bits, (*proof.siblings, EMPTY)), Proof(0, ())]
    forgeries += [Proof(proof.right_bits, proof.siblings[::-1])]
    for forged in forgeries:
        if forged != proof:
            assert climb(standing, forged).hash != ROOT.hash


@pytest.mark.parametrize("position", range(13))
def test_no_sum_on_the_way_can_change(position: int) -> None:
    """Neither inflating a sibling, nor moving weight between siblings and leaf at the same total."""
    standing, proof = STANDINGS[position], prove(STANDINGS, position)
    for k, sibling in enumerate(proof.siblings):
        for sum_wei in (sibling.sum_wei + 1, sibling.sum_wei - 1, standing.paid_wei):
            bent = (*proof.siblings[:k], Node(sibling.hash, sum_wei), *proof.siblings[k + 1 :])
            assert climb(standing, Proof(proof.right_bits, bent)).hash != ROOT.hash
    first = proof.siblings[0]
    swapped = (Node(first.hash, standing.paid_wei), *proof.siblings[1:])
    forged = replace(standing, paid_wei=first.sum_wei)
    assert climb(forged, Proof(proof.right_bits, swapped)).hash != ROOT.hash


def test_swapped_sums_make_another_parent() -> None:
    a, b = leaf(STANDINGS[1]), leaf(STANDINGS[2])
    swapped = parent(Node(a.hash, b.sum_wei), Node(b.hash, a.sum_wei))
    assert swapped.sum_wei == parent(a, b).sum_wei
    assert swapped.hash != parent(a, b).hash
    assert parent(b, a).hash != parent(a, b).hash


class _Bytes:
    """Stands in for a standing: 96 bytes of an attacker's choice."""

    def __init__(self, packed: bytes, paid_wei: int) -> None:
        self.packed, self.paid_wei = packed, paid_wei

    def pack(self) -> bytes:
        return self.packed


def test_a_node_cannot_pass_as_a_leaf() -> None:
    """A node's payload is 96 bytes as well: only the tags stand between it and a standing of an attacker's choice."""
    a, b = leaf(STANDINGS[0]), leaf(STANDINGS[1])
    payload = a.hash + a.sum_wei.to_bytes(16, "big") + b.hash + b.sum_wei.to_bytes(16, "big")
    assert len(payload) == Standing.SIZE
    assert keccak(b"\x01" + payload) == parent(a, b).hash
    inner = prove(STANDINGS, 0)
    shorter = Proof(inner.right_bits >> 1, inner.siblings[1:])
    posed = _Bytes(payload, parent(a, b).sum_wei)
    assert climb(posed, shorter).hash != ROOT.hash


def test_a_leaf_cannot_pass_as_a_node() -> None:
    packed = STANDINGS[0].pack()
    halves = [Node(packed[at : at + 32], int.from_bytes(packed[at + 32 : at + 48], "big")) for at in (0, 48)]
    assert parent(*halves).hash != leaf(STANDINGS[0]).hash


@given(st.lists(st.integers(0, 10**27), min_size=1, max_size=40), st.data())
@settings(max_examples=50)
def test_sum_is_the_total_whatever_the_sums(paid_wei: list[int], data: st.DataObject) -> None:
    standings = [replace(leaves(1)[0], account=account(Role.VERIFIER, i), paid_wei=p) for i, p in enumerate(paid_wei)]
    position = data.draw(st.integers(0, len(standings) - 1))
    assert root(standings).sum_wei == sum(paid_wei)
    assert climb(standings[position], prove(standings, position)) == root(standings)
