"""Checkpoint certificates: what is signed, who signed, and the documents' one spelling.

Everyone who rebuilt a run's model may sign its digest. Up to 15 signers sign by ECDSA; from 16 on there is one
BLS12-381 signature under the sum of the signers' keys. Both sign the same EIP-712 digest, which binds chain, contract,
run and round. The signatures themselves are made and checked in ports/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import MalformedCertificate
from .keccak import keccak256
from .types import Role

BLS_FROM_SIGNERS = 16  # below it a list of ECDSA signatures is cheaper than a group
MAX_DOCUMENT_BYTES = 1 << 20

ECDSA_BYTES = 65  # r 32 | s 32, in the lower half | v 27 or 28
KEY_BYTES = 256  # a G2 point as EIP-2537 encodes it: x.c0 | x.c1 | y.c0 | y.c1, 64 big-endian bytes each
SIGNATURE_BYTES = 128  # a G1 point: x | y

#: Domain separation tags of RFC 9380: a proof of possession is never a certificate's signature.
CERTIFICATE_TAG = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
POSSESSION_TAG = b"BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"

PART_FORMAT = "gradmint certificate part 1"
CERTIFICATE_FORMAT = "gradmint certificate 1"

_SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_MAX_BITMAP_WORDS = 257  # a verifiers' word, and trainer indices of 16 bits
_DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_CERTIFICATE_TYPE = keccak256(b"Certificate(uint256 run,uint16 round,bytes32 digest)")
_POSSESSION_TYPE = keccak256(b"Possession(address account,bytes key)")
_NAME, _VERSION = keccak256(b"Gradmint"), keccak256(b"1")


def _word(value: int | bytes) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


@dataclass(frozen=True, slots=True)
class Domain:
    """Where a signature is good: one contract on one chain (EIP-712)."""

    chain_id: int
    contract: bytes  # Certificates, 20 bytes

    def hash(self, struct_hash: bytes) -> bytes:
        """EIP-712 digest of a struct in this domain."""
        separator = keccak256(_DOMAIN_TYPE + _NAME + _VERSION + _word(self.chain_id) + _word(self.contract))
        return keccak256(b"\x19\x01" + separator + struct_hash)

    def possession(self, account: bytes, key: bytes) -> bytes:
        """What a BLS key signs, hashed with POSSESSION_TAG, to be registered for ``account``."""
        return self.hash(keccak256(_POSSESSION_TYPE + _word(account) + keccak256(key)))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The model that a run had after a round; round 0 is the initial one."""

    domain: Domain
    run: int
    round: int
    digest: bytes  # of the model, 32 bytes

    @property
    def signed(self) -> bytes:
        """The 32 bytes that every signer signs, by ECDSA as they are, by BLS hashed with CERTIFICATE_TAG."""
        return self.domain.hash(keccak256(_CERTIFICATE_TYPE + _word(self.run) + _word(self.round) + self.digest))

    def fields(self) -> dict[str, Any]:
        return {
            "chain_id": self.domain.chain_id,
            "contract": _hex(self.domain.contract),
            "run": self.run,
            "round": self.round,
            "digest": _hex(self.digest),
        }


_CHECKPOINT_FIELDS = ("chain_id", "contract", "run", "round", "digest")


@dataclass(frozen=True, slots=True)
class Part:
    """One signer's share: its ECDSA signature always, its BLS signature when it has a key."""

    checkpoint: Checkpoint
    account: bytes
    ecdsa: bytes
    bls: bytes | None

    def to_fields(self) -> dict[str, Any]:
        signatures = {"ecdsa": _hex(self.ecdsa), "bls": None if self.bls is None else _hex(self.bls)}
        return {"format": PART_FORMAT, **self.checkpoint.fields(), "account": _hex(self.account), **signatures}

    @classmethod
    def from_fields(cls, found: object) -> Part:
        """Inverse of :meth:`to_fields`. Raises MalformedCertificate naming the field."""
        fields = _object(found, PART_FORMAT, (*_CHECKPOINT_FIELDS, "account", "ecdsa", "bls"))
        return cls(
            _checkpoint(fields),
            _bytes(fields, "account", 20),
            _ecdsa(fields["ecdsa"], "ecdsa"),
            None if fields["bls"] is None else _bytes(fields, "bls", SIGNATURE_BYTES),
        )


@dataclass(frozen=True, slots=True)
class EcdsaCertificate:
    """Up to 15 signers; who they are follows from the signatures, which ascend by the signer's address."""

    checkpoint: Checkpoint
    signatures: tuple[bytes, ...]

    def to_fields(self) -> dict[str, Any]:
        signatures = [_hex(signature) for signature in self.signatures]
        return {"format": CERTIFICATE_FORMAT, "scheme": "ecdsa", **self.checkpoint.fields(), "signatures": signatures}


@dataclass(frozen=True, slots=True)
class BlsCertificate:
    """16 signers or more, by their seats; one signature, the sum of theirs."""

    checkpoint: Checkpoint
    bitmap: tuple[int, ...]  # as the contract keeps it, see bitmap_of
    signature: bytes

    def to_fields(self) -> dict[str, Any]:
        return {
            "format": CERTIFICATE_FORMAT,
            "scheme": "bls",
            **self.checkpoint.fields(),
            "bitmap": [f"0x{word:064x}" for word in self.bitmap],
            "signature": _hex(self.signature),
        }


Certificate = EcdsaCertificate | BlsCertificate


def certificate_from_fields(found: object) -> Certificate:
    """Inverse of both ``to_fields``. Raises MalformedCertificate naming the field."""
    scheme = found.get("scheme") if isinstance(found, dict) else None
    if scheme == "bls":
        fields = _object(found, CERTIFICATE_FORMAT, ("scheme", *_CHECKPOINT_FIELDS, "bitmap", "signature"))
        signature = _bytes(fields, "signature", SIGNATURE_BYTES)
        return BlsCertificate(_checkpoint(fields), _bitmap(fields["bitmap"]), signature)
    fields = _object(found, CERTIFICATE_FORMAT, ("scheme", *_CHECKPOINT_FIELDS, "signatures"))
    if scheme != "ecdsa":
        raise _bad("scheme", scheme, "'ecdsa' or 'bls'")
    given = fields["signatures"]
    if not isinstance(given, list) or not 1 <= len(given) < BLS_FROM_SIGNERS:
        raise _bad("signatures", given, f"a list of 1 to {BLS_FROM_SIGNERS - 1}")
    signatures = tuple(_ecdsa(item, f"signatures[{i}]") for i, item in enumerate(given))
    return EcdsaCertificate(_checkpoint(fields), signatures)


# Seats as bits


def bitmap_of(seats: Iterable[tuple[Role, int]]) -> tuple[int, ...]:
    """Word 0: verifier v at bit v. Word 1 + i // 256: trainer i at bit i % 256. The last word is not 0.

    Raises MalformedCertificate for a seat that comes twice.
    """
    words: list[int] = []
    for role, index in seats:
        at, bit = (0, index) if role is Role.VERIFIER else (1 + index // 256, index % 256)
        words += [0] * (at + 1 - len(words))
        if words[at] >> bit & 1:
            raise MalformedCertificate(f"{role.name.lower()} {index} signs twice: leave one of its parts out")
        words[at] |= 1 << bit
    return tuple(words)


def seats_of(bitmap: Iterable[int]) -> list[tuple[Role, int]]:
    """Inverse of :func:`bitmap_of`: verifiers, then trainers, each in index order."""
    return [
        (Role.VERIFIER, bit) if at == 0 else (Role.TRAINER, 256 * (at - 1) + bit)
        for at, word in enumerate(bitmap)
        for bit in range(256)
        if word >> bit & 1
    ]


# One spelling


def _hex(value: bytes) -> str:
    return f"0x{value.hex()}"


def _bad(field: str, found: object, expected: str) -> MalformedCertificate:
    return MalformedCertificate(f"{field} is {found!r:.60}, expected {expected}: ask its author for a new one")


def _object(found: object, format_: str, names: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise _bad("the document", found, "an object")
    if found.get("format") != format_:
        raise _bad("format", found.get("format"), repr(format_))
    expected = {"format", *names}
    for name in sorted(expected - found.keys()):
        raise _bad(name, None, "a value, it is missing")
    for name in sorted(map(str, found.keys() - expected)):
        raise MalformedCertificate(f"{name[:60]!r} is no field of a {format_}: expected {sorted(expected)}")
    return found


def _checkpoint(fields: Mapping[str, Any]) -> Checkpoint:
    return Checkpoint(
        Domain(_integer(fields, "chain_id", 64), _bytes(fields, "contract", 20)),
        _integer(fields, "run", 256),
        _integer(fields, "round", 16),
        _bytes(fields, "digest", 32),
    )


def _integer(fields: Mapping[str, Any], name: str, bits: int) -> int:
    value = fields[name]
    if type(value) is int and 0 <= value < 1 << bits:
        return value
    raise _bad(name, value, f"a whole number of at most {bits} bits")


def _bytes(fields: Mapping[str, Any], name: str, size: int) -> bytes:
    return _data(fields[name], name, size)


def _data(value: object, name: str, size: int) -> bytes:
    if isinstance(value, str) and len(value) == 2 + 2 * size and value[:2] == "0x":
        digits = value[2:]
        if all(digit in "0123456789abcdef" for digit in digits):
            return bytes.fromhex(digits)
    raise _bad(name, value, f"{size} bytes in lower-case hex, 0x...")


def _ecdsa(value: object, name: str) -> bytes:
    signature = _data(value, name, ECDSA_BYTES)
    if not 0 < int.from_bytes(signature[32:64], "big") <= _SECP256K1_ORDER // 2 or signature[64] not in (27, 28):
        raise _bad(name, value, "r, s, v with s in the lower half and v 27 or 28")
    return signature


def _bitmap(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MAX_BITMAP_WORDS:
        raise _bad("bitmap", value, f"a list of 1 to {_MAX_BITMAP_WORDS} words")
    words = tuple(int.from_bytes(_data(word, f"bitmap[{i}]", 32), "big") for i, word in enumerate(value))
    signers = sum(word.bit_count() for word in words)
    if signers < BLS_FROM_SIGNERS or words[-1] == 0:
        raise _bad("bitmap", f"{signers} signers", f"at least {BLS_FROM_SIGNERS}, and a last word that is not 0")
    return words
