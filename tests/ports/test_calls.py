"""What goes over the wire where it is not plain ABI: a claim's packed words and its tail."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_hash.auto import keccak

from gradmint.ports.calls import target_of
from gradmint.ports.chain import Claim
from gradmint.ports.deployment import Deployment
from gradmint.spec.errors import ChainError
from gradmint.spec.tree import Node, Proof

TOKEN, ACCOUNT = b"\x11" * 20, b"\x22" * 20
PROOF = Proof(0b01, (Node(b"\x33" * 24, 5), Node(b"\x44" * 24, 2**128 - 1)))
CLAIM = Claim(run=7, account=ACCOUNT, paid_wei=9, proof=PROOF)
DEPLOYMENT = Deployment(
    chain_id=1, block=0, runs=b"\x0a" * 20, **dict.fromkeys(("stakes", "rounds", "settlement", "reputation"), bytes(20))
)


def data_of(call: Claim) -> bytes:
    return target_of(call, DEPLOYMENT, lambda run: TOKEN).data


def test_a_claim_is_three_words_and_its_siblings() -> None:
    assert data_of(CLAIM) == b"".join((
        keccak(b"claim(bytes32,bytes32,uint256)")[:4],
        TOKEN, (7).to_bytes(12, "big"),
        ACCOUNT, (1).to_bytes(12, "big"),
        (9).to_bytes(32, "big"),
        b"\x33" * 24, (5).to_bytes(16, "big"),
        b"\x44" * 24, b"\xff" * 16,
    ))  # fmt: skip


@pytest.mark.parametrize(
    "bent",
    [
        replace(CLAIM, run=2**96),
        replace(CLAIM, run=-1),
        replace(CLAIM, account=ACCOUNT[1:]),
        replace(CLAIM, account=ACCOUNT + b"\0"),
        replace(CLAIM, proof=replace(PROOF, right_bits=2**96)),
        replace(CLAIM, paid_wei=2**256),
    ],
)
def test_what_does_not_fit_its_place_does_not_spill_into_the_next(bent: Claim) -> None:
    with pytest.raises(ChainError, match="cannot be encoded"):
        data_of(bent)
