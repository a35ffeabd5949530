"""What a node may say where a number or bytes belong."""

from __future__ import annotations

import pytest

from gradmint.ports.rpc import as_bytes, as_int
from gradmint.spec.errors import ChainError


def test_numbers() -> None:
    assert [as_int(text, "it") for text in ("0x0", "0x0a", "0xFf", "0x" + "f" * 64)] == [0, 10, 255, 2**256 - 1]


@pytest.mark.parametrize("value", ["0x", "0x-5", "0x+5", "0x 5", "0x1_0", "0x\u0665", "5", 5, None, "0x" + "0" * 65])
def test_what_is_no_number(value: object) -> None:
    with pytest.raises(ChainError, match="expected a number in hex"):
        as_int(value, "it")


@pytest.mark.parametrize("value", ["0x1", "0xzz", "ab", None, "0xab"])
def test_what_are_no_two_bytes(value: object) -> None:
    with pytest.raises(ChainError, match="expected 2 bytes in hex"):
        as_bytes(value, "it", 2)
