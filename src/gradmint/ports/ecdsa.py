"""ECDSA over secp256k1 in the form that contracts take: r 32 | s 32, in the lower half | v 27 or 28."""

from __future__ import annotations

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.exceptions import ValidationError

from ..spec.errors import CertificateRefused


def sign(account: LocalAccount, signed: bytes) -> bytes:
    """The account's signature of 32 bytes that are an EIP-712 digest, never something a stranger chose."""
    return bytes(Account.unsafe_sign_hash(signed, account.key).signature)


def recover(signed: bytes, signature: bytes) -> bytes:
    """Address of the signer. Raises CertificateRefused when there is none."""
    r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
    try:
        key = Signature(vrs=(signature[64] - 27, r, s)).recover_public_key_from_msg_hash(signed)
    except (BadSignature, ValidationError) as error:
        raise CertificateRefused(f"signature 0x{signature.hex():.20}... is of no key: leave its part out") from error
    return key.to_canonical_address()
