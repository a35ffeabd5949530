"""Merkle-sum tree over standings: the root commits to the total, so no root can promise more than was funded.

leaf   keccak256(0x00 || account, 20 bytes || paid_wei, 16 bytes), sum = paid_wei
node   keccak256(0x01 || left hash || left sum, 16 bytes || right hash || right sum, 16 bytes)
Hashes are the first 24 bytes: 96 bits against collisions, as in the transcript, and a fifth off a claim's calldata. A
last node without a sibling rises unchanged. Tags keep leaves and nodes apart, so a proof needs no count. What else a
standing holds is committed to by the standings' own hash, so a claim need not bring it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .keccak import keccak256
from .types import Standing


@dataclass(frozen=True, slots=True)
class Node:
    hash: bytes  # 24
    sum_wei: int


@dataclass(frozen=True, slots=True)
class Proof:
    """Siblings from leaf to root; bit k of ``right_bits`` is set when our node is the right child at step k."""

    right_bits: int
    siblings: tuple[Node, ...]


EMPTY = Node(bytes(24), 0)


def leaf(account: bytes, paid_wei: int) -> Node:
    return Node(keccak256(b"\x00" + account + paid_wei.to_bytes(16, "big"))[:24], paid_wei)


def parent(left: Node, right: Node) -> Node:
    return Node(
        keccak256(
            b"\x01" + left.hash + left.sum_wei.to_bytes(16, "big") + right.hash + right.sum_wei.to_bytes(16, "big")
        )[:24],
        left.sum_wei + right.sum_wei,
    )


def _next_level(level: Sequence[Node]) -> list[Node]:
    pairs = [parent(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return pairs + list(level[-1:]) if len(level) % 2 else pairs


def root(standings: Sequence[Standing]) -> Node:
    """Root over all standings, trainers before verifiers, each in index order. EMPTY for none."""
    level = [leaf(standing.account, standing.paid_wei) for standing in standings]
    while len(level) > 1:
        level = _next_level(level)
    return level[0] if level else EMPTY


def prove(standings: Sequence[Standing], position: int) -> Proof:
    """Proof that ``standings[position]`` is in the tree. Raises IndexError."""
    return prove_all(standings, [position])[0]


def prove_all(standings: Sequence[Standing], positions: Sequence[int]) -> list[Proof]:
    """Proofs that each of ``positions`` is in the tree; the tree is built once. Raises IndexError beyond it."""
    level = [leaf(standing.account, standing.paid_wei) for standing in standings]
    places = [range(len(level))[position] for position in positions]
    paths: list[tuple[int, tuple[Node, ...]]] = [(0, ()) for _ in places]
    while len(level) > 1:
        for i, place in enumerate(places):
            if place ^ 1 < len(level):
                right_bits, siblings = paths[i]
                paths[i] = (right_bits | (place & 1) << len(siblings), (*siblings, level[place ^ 1]))
        places = [place // 2 for place in places]
        level = _next_level(level)
    return [Proof(right_bits, siblings) for right_bits, siblings in paths]


def climb(account: bytes, paid_wei: int, proof: Proof) -> Node:
    """Root that the proof leads to."""
    node = leaf(account, paid_wei)
    for k, sibling in enumerate(proof.siblings):
        node = parent(sibling, node) if proof.right_bits >> k & 1 else parent(node, sibling)
    return node
