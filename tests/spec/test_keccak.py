"""Keccak-256 against the library that web3 uses."""

from __future__ import annotations

import random

import pytest
from eth_hash.auto import keccak

from gradmint.spec.keccak import keccak256

SOURCE = random.Random(1).randbytes(100_000)


def test_known_answers() -> None:
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"").hex() == empty
    assert keccak256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    assert keccak256(b"transfer(address,uint256)")[:4].hex() == "a9059cbb"


def test_every_length_over_two_blocks() -> None:
    for length in range(301):
        data = SOURCE[7 * length : 8 * length]
        assert keccak256(data) == keccak(data), f"{length} bytes"


@pytest.mark.parametrize("length", [136 * 7 - 1, 136 * 7, 136 * 7 + 1, 4 + 128 + 9 * 4_096, 100_000])
def test_long_inputs(length: int) -> None:
    assert keccak256(SOURCE[:length]) == keccak(SOURCE[:length])


@pytest.mark.parametrize("byte", [0x00, 0x01, 0x06, 0x80, 0xFF])
def test_padding_look_alikes_differ_from_each_other(byte: int) -> None:
    for length in (134, 135, 136, 137):
        data = bytes([byte]) * length
        assert keccak256(data) == keccak(data)
        assert keccak256(data) != keccak256(data + b"\x01")
