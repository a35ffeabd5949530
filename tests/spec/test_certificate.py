"""Certificates as documents: one spelling, typed refusals, and digests as EIP-712 says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from gradmint.spec.certificate import (
    BlsCertificate,
    Checkpoint,
    Domain,
    EcdsaCertificate,
    Part,
    bitmap_of,
    certificate_from_fields,
    seats_of,
)
from gradmint.spec.errors import MalformedCertificate
from gradmint.spec.types import Role

CHECKPOINTS = st.builds(
    Checkpoint,
    st.builds(Domain, st.integers(0, 2**64 - 1), st.binary(min_size=20, max_size=20)),
    st.integers(0, 2**256 - 1),
    st.integers(0, 2**16 - 1),
    st.binary(min_size=32, max_size=32),
)
ECDSA = st.builds(
    lambda r, s, v: r + s.to_bytes(32, "big") + bytes([v]),
    st.binary(min_size=32, max_size=32),
    st.integers(1, 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0),
    st.sampled_from([27, 28]),
)
SEATS = st.sets(st.tuples(st.just(Role.TRAINER), st.integers(0, 65_535)), min_size=16, max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)

HERE = Checkpoint(Domain(31_337, b"\x11" * 20), 7, 3, b"\x22" * 32)
SIGNATURE = b"\x33" * 32 + b"\x44" * 32 + b"\x1b"
PART = Part(HERE, b"\x55" * 20, SIGNATURE, b"\x66" * 128)
SMALL = EcdsaCertificate(HERE, (SIGNATURE,))
LARGE = BlsCertificate(HERE, ((1 << 4) - 1, (1 << 12) - 1), b"\x66" * 128)


# What is signed


@given(CHECKPOINTS)
def test_digests_are_what_wallets_show(checkpoint: Checkpoint) -> None:
    domain = {
        "name": "Gradmint",
        "version": "1",
        "chainId": checkpoint.domain.chain_id,
        "verifyingContract": checkpoint.domain.contract,
    }
    kinds = {
        "Certificate": [
            {"name": "run", "type": "uint256"},
            {"name": "round", "type": "uint16"},
            {"name": "digest", "type": "bytes32"},
        ]
    }
    message = {"run": checkpoint.run, "round": checkpoint.round, "digest": checkpoint.digest}
    encoded = encode_typed_data(domain, kinds, message)
    assert keccak(b"\x19" + encoded.version + encoded.header + encoded.body) == checkpoint.signed


def test_every_part_of_the_checkpoint_is_signed() -> None:
    others = [
        replace(HERE, domain=Domain(1, b"\x11" * 20)),
        replace(HERE, domain=Domain(31_337, b"\x12" * 20)),
        replace(HERE, run=8),
        replace(HERE, round=4),
        replace(HERE, digest=b"\x23" * 32),
    ]
    assert len({checkpoint.signed for checkpoint in (HERE, *others)}) == 6


# Seats as bits


@given(
    st.sets(
        st.tuples(st.sampled_from(Role), st.integers(0, 255)) | st.tuples(st.just(Role.TRAINER), st.integers(0, 3_000))
    )
)
def test_seats_are_bits_and_back(seats: set[tuple[Role, int]]) -> None:
    bitmap = bitmap_of(seats)
    assert set(seats_of(bitmap)) == seats
    assert seats_of(bitmap) == sorted(seats, key=lambda seat: (seat[0] is Role.TRAINER, seat[1]))
    assert not bitmap or bitmap[-1] != 0


def test_nobody_signs_twice() -> None:
    with pytest.raises(MalformedCertificate, match="verifier 3 signs twice"):
        bitmap_of([(Role.VERIFIER, 3), (Role.TRAINER, 3), (Role.VERIFIER, 3)])


# Documents


@given(CHECKPOINTS, st.binary(min_size=20, max_size=20), ECDSA, st.none() | st.binary(min_size=128, max_size=128))
def test_parts_come_back(checkpoint: Checkpoint, account: bytes, ecdsa: bytes, bls: bytes | None) -> None:
    part = Part(checkpoint, account, ecdsa, bls)
    assert Part.from_fields(json.loads(json.dumps(part.to_fields()))) == part


@given(CHECKPOINTS, st.lists(ECDSA, min_size=1, max_size=15))
def test_small_certificates_come_back(checkpoint: Checkpoint, signatures: list[bytes]) -> None:
    certificate = EcdsaCertificate(checkpoint, tuple(signatures))
    assert certificate_from_fields(json.loads(json.dumps(certificate.to_fields()))) == certificate


@given(CHECKPOINTS, SEATS, st.binary(min_size=128, max_size=128))
def test_large_certificates_come_back(checkpoint: Checkpoint, seats: set[tuple[Role, int]], signature: bytes) -> None:
    certificate = BlsCertificate(checkpoint, bitmap_of(seats), signature)
    assert certificate_from_fields(json.loads(json.dumps(certificate.to_fields()))) == certificate


@given(JSON)
def test_nothing_else_is_a_document(found: Any) -> None:
    for parse in (certificate_from_fields, Part.from_fields):
        with pytest.raises(MalformedCertificate):
            parse(found)


@given(st.sampled_from([PART, SMALL, LARGE]), st.data())
def test_a_changed_field_is_refused_by_name_or_is_another_document(document: Any, data: st.DataObject) -> None:
    fields = document.to_fields()
    name = data.draw(st.sampled_from(sorted(fields)))
    fields[name] = data.draw(JSON)
    parse = Part.from_fields if isinstance(document, Part) else certificate_from_fields
    try:
        assert parse(fields).to_fields() == fields
    except MalformedCertificate as refusal:
        assert name in str(refusal) or name == "scheme"


Fields = dict[str, Any]
CHANGES: dict[str, tuple[Any, str, Callable[[Fields], Any]]] = {
    "unknown field": (SMALL, "'why'", lambda d: d.update(why="because")),
    "missing field": (SMALL, "round", lambda d: d.pop("round")),
    "another format": (SMALL, "format", lambda d: d.update(format="gradmint certificate 2")),
    "a part": (SMALL, "format", lambda d: d.update(PART.to_fields())),
    "another scheme": (SMALL, "scheme", lambda d: d.update(scheme="rsa")),
    "scheme's other fields": (SMALL, "bitmap", lambda d: d.update(scheme="bls")),
    "negative run": (SMALL, "run", lambda d: d.update(run=-1)),
    "boolean run": (SMALL, "run", lambda d: d.update(run=True)),
    "run as text": (SMALL, "run", lambda d: d.update(run="7")),
    "wide round": (SMALL, "round", lambda d: d.update(round=65_536)),
    "wide chain": (SMALL, "chain_id", lambda d: d.update(chain_id=2**64)),
    "upper case": (SMALL, "digest", lambda d: d.update(digest="0x" + "AA" * 32)),
    "short digest": (SMALL, "digest", lambda d: d.update(digest="0x" + "aa" * 31)),
    "blanks": (SMALL, "digest", lambda d: d.update(digest="0x" + "aa " * 21 + "a")),
    "other digits": (SMALL, "contract", lambda d: d.update(contract="0x" + "１" * 40)),
    "no signature": (SMALL, "signatures", lambda d: d.update(signatures=[])),
    "16 signatures": (SMALL, "signatures", lambda d: d.update(signatures=d["signatures"] * 16)),
    "short signature": (SMALL, r"signatures\[0\]", lambda d: d.update(signatures=["0x" + "11" * 64])),
    "high s": (SMALL, r"signatures\[0\]", lambda d: d.update(signatures=["0x" + "33" * 32 + "ff" * 32 + "1b"])),
    "zero s": (SMALL, r"signatures\[0\]", lambda d: d.update(signatures=["0x" + "33" * 32 + "00" * 32 + "1b"])),
    "v of 0": (SMALL, r"signatures\[0\]", lambda d: d.update(signatures=["0x" + "33" * 64 + "00"])),
    "15 in the bitmap": (LARGE, "bitmap", lambda d: d.update(bitmap=[f"0x{2**15 - 1:064x}"])),
    "zero word at the end": (LARGE, "bitmap", lambda d: d.update(bitmap=[*d["bitmap"], "0x" + "00" * 32])),
    "endless bitmap": (LARGE, "bitmap", lambda d: d.update(bitmap=d["bitmap"] * 129)),
    "bitmap of numbers": (LARGE, r"bitmap\[0\]", lambda d: d.update(bitmap=[2**20])),
    "long BLS signature": (LARGE, "signature", lambda d: d.update(signature="0x" + "66" * 129)),
    "null BLS signature": (LARGE, "signature", lambda d: d.update(signature=None)),
    "part without account": (PART, "account", lambda d: d.update(account=None)),
    "part with short BLS": (PART, "bls", lambda d: d.update(bls="0x")),
}


@pytest.mark.parametrize(("document", "field", "change"), CHANGES.values(), ids=CHANGES)
def test_refusals_name_the_field(document: Any, field: str, change: Callable[[Fields], Any]) -> None:
    fields = document.to_fields()
    change(fields)
    with pytest.raises(MalformedCertificate, match=field):
        (Part.from_fields if document is PART else certificate_from_fields)(fields)
