"""BLS signatures: both backends give the RFC's points, each other's bytes, and refuse the same strangers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from py_ecc.bls.hash_to_curve import map_to_curve_G1, map_to_curve_G2
from py_ecc.optimized_bls12_381 import FQ, FQ2, G1, G2, normalize

from gradmint.ports import bls
from gradmint.ports.bls import MODULUS, ORDER, Backend, Fast, Reference
from gradmint.spec.certificate import CERTIFICATE_TAG, POSSESSION_TAG
from gradmint.spec.errors import MalformedPoint

MESSAGE = bytes(range(32))
RFC_9380 = json.loads((Path(__file__).parents[1] / "vectors" / "hash_to_g1.json").read_text())


def packed(point: Any) -> bytes:
    elements = [c for x in normalize(point) for c in (x.coeffs if isinstance(x, FQ2) else (x.n,))]
    return b"".join(int(element).to_bytes(64, "big") for element in elements)


@pytest.fixture(scope="module", params=["py-ecc", "py-arkworks-bls12381"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "py-ecc":
        return Reference()
    pytest.importorskip("py_arkworks_bls12381")
    return Fast()


def test_messages_hash_to_the_rfcs_points(backend: Backend) -> None:
    for case in RFC_9380["cases"]:
        expected = b"".join(bytes(16) + bytes.fromhex(case[name]) for name in "xy")
        assert backend.hash_to_g1(case["message"].encode(), RFC_9380["dst"].encode()) == expected


def test_both_backends_give_the_same_bytes() -> None:
    pytest.importorskip("py_arkworks_bls12381")
    slow, fast = Reference(), Fast()
    secrets = (1, 2**200 + 7, ORDER - 1)
    keys = [slow.public_key(secret) for secret in secrets]
    signatures = [slow.sign(secret, MESSAGE, CERTIFICATE_TAG) for secret in secrets]
    assert keys == [fast.public_key(secret) for secret in secrets]
    assert signatures == [fast.sign(secret, MESSAGE, CERTIFICATE_TAG) for secret in secrets]
    assert slow.add_keys(keys) == fast.add_keys(keys) == slow.public_key(sum(secrets) % ORDER)
    assert slow.add_signatures(signatures) == fast.add_signatures(signatures)
    assert slow.add_keys([keys[0], keys[2]]) == fast.add_keys([keys[0], keys[2]]) == bytes(256)  # 1 + (r - 1)
    assert slow.add_signatures(signatures[::2]) == fast.add_signatures(signatures[::2]) == bytes(128)


def test_a_sum_of_signatures_is_the_sum_of_keys_signature(backend: Backend) -> None:
    secrets = [11, 12, 13]
    key = backend.add_keys([backend.public_key(secret) for secret in secrets])
    signature = backend.add_signatures([backend.sign(secret, MESSAGE, CERTIFICATE_TAG) for secret in secrets])
    assert backend.verify(key, MESSAGE, CERTIFICATE_TAG, signature)
    assert not backend.verify(key, MESSAGE, POSSESSION_TAG, signature)
    assert not backend.verify(key, MESSAGE[::-1], CERTIFICATE_TAG, signature)
    assert not backend.verify(backend.public_key(11), MESSAGE, CERTIFICATE_TAG, signature)


HOSTILE: dict[str, tuple[bytes, bytes]] = {
    "outside the subgroup": (packed(map_to_curve_G1(FQ(5))), packed(map_to_curve_G2(FQ2([5, 7])))),
    "off the curve": (packed(G1)[:-1] + b"\1", packed(G2)[:-1] + b"\1"),
    "not below the modulus": (
        (int.from_bytes(packed(G1)[:64], "big") + MODULUS).to_bytes(64, "big") + packed(G1)[64:],
        (int.from_bytes(packed(G2)[:64], "big") + MODULUS).to_bytes(64, "big") + packed(G2)[64:],
    ),
    "infinity": (bytes(128), bytes(256)),
    "short": (packed(G1)[:-1], packed(G2)[:-1]),
    "long": (packed(G1) + b"\0", packed(G2) + b"\0"),
    "empty": (b"", b""),
    "the other group": (packed(G2), packed(G1)),
}


@pytest.mark.parametrize(("signature", "key"), HOSTILE.values(), ids=HOSTILE)
def test_no_such_point(backend: Backend, signature: bytes, key: bytes) -> None:
    with pytest.raises(MalformedPoint):
        backend.verify(key, MESSAGE, CERTIFICATE_TAG, packed(G1))
    with pytest.raises(MalformedPoint):
        backend.verify(packed(G2), MESSAGE, CERTIFICATE_TAG, signature)
    with pytest.raises(MalformedPoint):
        backend.add_keys([packed(G2), key])
    with pytest.raises(MalformedPoint):
        backend.add_signatures([packed(G1), signature])


def test_the_faster_backend_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Fast) -> None:
        raise ImportError("no wheel for this machine")

    bls.backend.cache_clear()
    monkeypatch.setattr(Fast, "__init__", missing)
    assert bls.backend().name == "py-ecc"
    monkeypatch.undo()
    bls.backend.cache_clear()
    pytest.importorskip("py_arkworks_bls12381")
    assert bls.backend().name == "py-arkworks-bls12381"


def test_secrets_are_new_and_in_range() -> None:
    first, second = bls.new_secret(), bls.new_secret()
    assert first != second
    assert bls.secret_of(first.to_bytes(32, "big")) == first
    for wrong in (bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32, b"", bytes(31) + b"\1\1"):
        with pytest.raises(MalformedPoint, match="secret"):
            bls.secret_of(wrong)


def test_the_reference_leaves_the_recursion_limit_alone() -> None:
    """py-ecc raises it to 100,000: a stranger's deeply nested JSON would then overflow the stack instead of raising."""
    asked = (
        "import sys, json; before = sys.getrecursionlimit(); from gradmint.ports.bls import Reference, new_secret; "
        "Reference().public_key(new_secret()); assert sys.getrecursionlimit() == before\n"
        "try: json.loads('[' * 100_000)\nexcept RecursionError: print('refused')"
    )
    answer = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert answer.stdout == "refused\n"
