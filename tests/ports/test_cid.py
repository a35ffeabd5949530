"""Names of blobs: one spelling each way."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.ports.cid import cid_of, digest_in, digest_of
from gradmint.spec.errors import StoreError

#: As printed by js-ipfs 0.66.1 (`ipfs add --cid-version=1 --raw-leaves`) for the empty file and for b"hello world".
KNOWN = {
    b"": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
    b"hello world": "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e",
}


@pytest.mark.parametrize("blob", KNOWN)
def test_known_names(blob: bytes) -> None:
    assert cid_of(digest_of(blob)) == KNOWN[blob]
    assert digest_in(KNOWN[blob]) == hashlib.sha256(blob).digest()


@given(st.binary(min_size=32, max_size=32))
def test_inverse(digest: bytes) -> None:
    assert digest_in(cid_of(digest)) == digest


GOOD = KNOWN[b"hello world"]


@pytest.mark.parametrize(
    "bad",
    {
        "empty": "",
        "short": GOOD[:-1],
        "long": GOOD + "a",
        "upper case": GOOD.upper(),
        "upper base": "B" + GOOD[1:].upper(),
        "padded": GOOD + "======",
        "not base32": GOOD[:-1] + "1",
        "not ascii": GOOD[:-1] + "é",
        "padding bits": GOOD[:-1] + chr(ord(GOOD[-1]) + 1),
        "CIDv0": "QmeomffUNfmQy76CQGy9NdmqEnnHU9soCexBnGU3ezPHVH",
        "dag-pb": "bafybeihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
        "space": " " + GOOD[:-1],
    }.values(),
)
def test_other_spellings_are_refused(bad: str) -> None:
    with pytest.raises(StoreError):
        digest_in(bad)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_digests_have_32_bytes(length: int) -> None:
    with pytest.raises(StoreError, match="32 bytes"):
        cid_of(bytes(length))
