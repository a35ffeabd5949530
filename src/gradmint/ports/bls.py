"""BLS12-381 signatures in G1 under keys in G2 (min-sig), hashed by RFC 9380's BLS12381G1_XMD:SHA-256_SSWU_RO_.

Two backends give the same bytes: py-ecc, the reference in readable Python, and py-arkworks-bls12381 (extra
``fast-bls``), 100 times faster, which is taken when it is installed. Points are in EIP-2537's encoding, 128 bytes in
G1, 256 in G2.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache, reduce
from hashlib import sha256
from importlib import import_module
from typing import Any, Protocol

from ..spec.certificate import KEY_BYTES, SIGNATURE_BYTES
from ..spec.errors import MalformedPoint

MODULUS = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
_ELEMENT_BYTES = 64  # 16 of them zero


class Backend(Protocol):
    """Keys and signatures that come in raise MalformedPoint unless they are canonical, on the curve, in the subgroup
    and not infinity."""

    name: str

    def public_key(self, secret: int) -> bytes: ...

    def hash_to_g1(self, message: bytes, tag: bytes) -> bytes: ...

    def sign(self, secret: int, message: bytes, tag: bytes) -> bytes: ...

    def add_keys(self, keys: Sequence[bytes]) -> bytes: ...

    def add_signatures(self, signatures: Sequence[bytes]) -> bytes: ...

    def verify(self, key: bytes, message: bytes, tag: bytes, signature: bytes) -> bool: ...


@cache
def backend() -> Backend:
    """The faster one that is installed."""
    try:
        return Fast()
    except ImportError:
        return Reference()


def new_secret() -> int:
    """KeyGen of draft-irtf-cfrg-bls-signature, section 2.3, from 32 random bytes of the operating system."""
    return int(_py_ecc("bls.ciphersuites").G2ProofOfPossession.KeyGen(os.urandom(32)))


def _py_ecc(name: str) -> Any:
    """A module of py-ecc. Its first import raises the interpreter's recursion limit to 100,000, with which a stranger's
    deeply nested JSON overflows the C stack and kills the process: so the limit is put back."""
    limit = sys.getrecursionlimit()
    try:
        return import_module(f"py_ecc.{name}")
    finally:
        sys.setrecursionlimit(limit)


def secret_of(data: bytes) -> int:
    """A secret key from its 32 bytes. Raises MalformedPoint."""
    secret = int.from_bytes(data, "big")
    if len(data) != 32 or not 0 < secret < ORDER:
        raise MalformedPoint("this is no BLS secret key of 32 bytes: make one with 'gradmint certificate register'")
    return secret


def _elements(point: bytes, size: int, what: str) -> list[int]:
    """Coordinates of a point that is not infinity."""
    if len(point) != size:
        raise MalformedPoint(f"{what} has {len(point)} bytes, expected {size}")
    if not any(point):
        raise MalformedPoint(f"{what} is the point at infinity, which signs everything")
    found = [int.from_bytes(point[at : at + _ELEMENT_BYTES], "big") for at in range(0, size, _ELEMENT_BYTES)]
    for element in found:
        if element >= MODULUS:
            raise MalformedPoint(f"{what} 0x{point.hex():.20}... has an element of at least the modulus")
    return found


def _encode(elements: Sequence[int]) -> bytes:
    return b"".join(int(element).to_bytes(_ELEMENT_BYTES, "big") for element in elements)


def _off(what: str, where: str) -> MalformedPoint:
    return MalformedPoint(f"{what} is not {where}: whoever made it did not use a BLS12-381 key")


class Reference:
    """py-ecc, the Ethereum Foundation's executable specification of the curve."""

    name = "py-ecc"

    def __init__(self) -> None:
        self._curve = _py_ecc("optimized_bls12_381")
        self._in_subgroup = _py_ecc("bls.g2_primitives").subgroup_check
        self._hash = _py_ecc("bls.hash_to_curve").hash_to_G1

    def public_key(self, secret: int) -> bytes:
        return self._pack(self._curve.multiply(self._curve.G2, secret))

    def hash_to_g1(self, message: bytes, tag: bytes) -> bytes:
        return self._pack(self._hash(message, tag, sha256))

    def sign(self, secret: int, message: bytes, tag: bytes) -> bytes:
        return self._pack(self._curve.multiply(self._hash(message, tag, sha256), secret))

    def add_keys(self, keys: Sequence[bytes]) -> bytes:
        return self._pack(reduce(self._curve.add, map(self._key, keys)))

    def add_signatures(self, signatures: Sequence[bytes]) -> bytes:
        return self._pack(reduce(self._curve.add, map(self._signature, signatures)))

    def verify(self, key: bytes, message: bytes, tag: bytes, signature: bytes) -> bool:
        c = self._curve
        left = c.pairing(self._key(key), self._hash(message, tag, sha256), final_exponentiate=False)
        right = c.pairing(c.neg(c.G2), self._signature(signature), final_exponentiate=False)
        return bool(c.final_exponentiate(left * right) == c.FQ12.one())

    def _key(self, data: bytes) -> Any:
        c = self._curve
        x0, x1, y0, y1 = _elements(data, KEY_BYTES, "BLS key")
        return self._checked((c.FQ2([x0, x1]), c.FQ2([y0, y1]), c.FQ2.one()), c.b2, "BLS key")

    def _signature(self, data: bytes) -> Any:
        c = self._curve
        x, y = _elements(data, SIGNATURE_BYTES, "BLS signature")
        return self._checked((c.FQ(x), c.FQ(y), c.FQ.one()), c.b, "BLS signature")

    def _checked(self, point: Any, b: Any, what: str) -> Any:
        if not self._curve.is_on_curve(point, b):
            raise _off(what, "on the curve")
        if not self._in_subgroup(point):
            raise _off(what, "in the subgroup of prime order")
        return point

    def _pack(self, point: Any) -> bytes:
        size = KEY_BYTES if isinstance(point[0], self._curve.FQ2) else SIGNATURE_BYTES
        if self._curve.is_inf(point):
            return bytes(size)
        plain = self._curve.normalize(point)
        return _encode([c for x in plain for c in (x.coeffs if size == KEY_BYTES else (x.n,))])


class Fast:
    """arkworks through py-arkworks-bls12381. Raises ImportError when that is not installed."""

    name = "py-arkworks-bls12381"

    def __init__(self) -> None:
        import py_arkworks_bls12381 as ark

        self._ark: Any = ark

    def public_key(self, secret: int) -> bytes:
        return self._pack(self._ark.G2Point() * self._ark.Scalar(secret), KEY_BYTES)

    def hash_to_g1(self, message: bytes, tag: bytes) -> bytes:
        return self._pack(self._ark.G1Point.hash_to_curve(message, tag), SIGNATURE_BYTES)

    def sign(self, secret: int, message: bytes, tag: bytes) -> bytes:
        point = self._ark.G1Point.hash_to_curve(message, tag) * self._ark.Scalar(secret)
        return self._pack(point, SIGNATURE_BYTES)

    def add_keys(self, keys: Sequence[bytes]) -> bytes:
        return self._pack(reduce(lambda left, right: left + right, map(self._key, keys)), KEY_BYTES)

    def add_signatures(self, signatures: Sequence[bytes]) -> bytes:
        points = map(self._signature, signatures)
        return self._pack(reduce(lambda left, right: left + right, points), SIGNATURE_BYTES)

    def verify(self, key: bytes, message: bytes, tag: bytes, signature: bytes) -> bool:
        in_g1 = [self._ark.G1Point.hash_to_curve(message, tag), self._signature(signature)]
        return bool(self._ark.GT.pairing_check(in_g1, [self._key(key), -self._ark.G2Point()]))

    def _key(self, data: bytes) -> Any:
        return self._unpack(self._ark.G2Point, data, KEY_BYTES, "BLS key")

    def _signature(self, data: bytes) -> Any:
        return self._unpack(self._ark.G1Point, data, SIGNATURE_BYTES, "BLS signature")

    def _unpack(self, kind: Any, data: bytes, size: int, what: str) -> Any:
        elements = _elements(data, size, what)
        try:
            point = kind.from_xy_bytes_be(b"".join(element.to_bytes(48, "big") for element in elements))
        except ValueError as error:
            raise _off(what, "on the curve, or not in the subgroup of prime order") from error
        if not point.is_in_subgroup():
            raise _off(what, "in the subgroup of prime order")
        return point

    def _pack(self, point: Any, size: int) -> bytes:
        if point == type(point).identity():
            return bytes(size)
        packed = point.to_xy_bytes_be()
        return _encode([int.from_bytes(packed[at : at + 48], "big") for at in range(0, len(packed), 48)])
