"""Files as blobs: one name per file, and nothing else under it."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.learn import blocks
from gradmint.spec.errors import Malformed

BLOCK = 8


@pytest.fixture(autouse=True, scope="module")
def small_blocks() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK_BYTES", BLOCK)
        yield


def stored(pieces: list[bytes]) -> dict[bytes, bytes]:
    return {hashlib.sha256(blob).digest(): blob for blob in blocks.cut(pieces)}


@given(st.lists(st.binary(max_size=3 * BLOCK), max_size=6))
def test_files_come_back_however_they_came_in_pieces(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    store = stored(pieces)
    name = blocks.name(pieces)
    assert name == blocks.name([whole]) == blocks.name([memoryview(whole)])
    asked: list[tuple[bytes, int]] = []

    def get(digest: bytes, most: int) -> bytes:
        asked.append((digest, most))
        assert len(store[digest]) == most  # what is allowed is what there is
        return store[digest]

    assert blocks.join(name, len(whole), get) == whole
    assert asked[0][0] == name


def test_a_file_of_one_block_is_its_own_blob() -> None:
    for size in (0, 1, BLOCK):
        assert list(blocks.cut([b"x" * size])) == [b"x" * size]
        assert blocks.name([b"x" * size]) == hashlib.sha256(b"x" * size).digest()


def test_the_index_is_frozen_and_comes_last() -> None:
    """Chains store its digest."""
    *parts, index = blocks.cut([b"abcdefgh" * 2 + b"i"])
    assert parts == [b"abcdefgh", b"abcdefgh", b"i"]
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    assert index == b"GRFX\x01" + (17).to_bytes(8, "big") + digests
    assert blocks.name([b"abcdefgh" * 2, b"i"]) == hashlib.sha256(index).digest()


def test_another_length_is_another_file() -> None:
    store = stored([b"x" * 20])
    name = blocks.name([b"x" * 20])
    for size in (5, 19, 21, 33):
        with pytest.raises(Malformed, match=r"expected|not as that"):
            blocks.join(name, size, lambda digest, _: store[digest])


def test_views_of_numbers_are_bytes() -> None:
    import numpy as np

    values = np.arange(7, dtype="<f4")
    assert blocks.name([values.data]) == blocks.name([values.tobytes()])
    assert b"".join(list(blocks.cut([values.data]))[:-1]) == values.tobytes()
