"""Calls, answers and custom errors of the four contracts in ABI encoding, from the shipped artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_abi.packed import encode_packed
from eth_hash.auto import keccak

from ..spec.errors import ChainError, Reverted
from . import artifacts
from .reverts import reverted

#: Reverts that no ABI of ours lists: of the language, of tokens (ERC-6093), of the libraries that call tokens.
_FOREIGN = (
    "Error(string)",
    "Panic(uint256)",
    "TransferFailed()",
    "TransferFromFailed()",
    "ApproveFailed()",
    "Overflow()",
    "SafeERC20FailedOperation(address)",
    "ERC20InsufficientBalance(address,uint256,uint256)",
    "ERC20InsufficientAllowance(address,uint256,uint256)",
    "ERC20InvalidSender(address)",
    "ERC20InvalidReceiver(address)",
    "ERC20InvalidApprover(address)",
    "ERC20InvalidSpender(address)",
)

_UNFIT = (EncodingError, TypeError, ValueError, OverflowError)


def pack(kinds: Sequence[str], *values: object) -> bytes:
    """Values side by side, without padding. Raises ChainError when one does not fit its type."""
    try:
        return encode_packed(kinds, values)
    except _UNFIT as error:
        raise ChainError(f"({','.join(kinds)}): {str(error)[:300]}: this cannot be encoded") from error


def type_of(parameter: dict[str, Any]) -> str:
    """Canonical type, structs as tuples."""
    kind: str = parameter["type"]
    if kind.startswith("tuple"):
        return f"({','.join(type_of(part) for part in parameter['components'])}){kind[len('tuple') :]}"
    return kind


def signature_of(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(type_of(item) for item in entry['inputs'])})"


@dataclass(frozen=True, slots=True)
class Function:
    """One contract function."""

    name: str
    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def encode(self, *arguments: object) -> bytes:
        """Calldata. Raises ChainError when an argument does not fit its type."""
        try:
            return self.selector + encode(self.inputs, arguments)
        except _UNFIT as error:
            raise ChainError(f"{self.name}: {str(error)[:300]}: this call cannot be encoded") from error

    def decode(self, data: bytes) -> tuple[Any, ...]:
        """Return values, addresses as 20 bytes. Raises ChainError."""
        try:
            return tuple(
                plain(value, kind) for value, kind in zip(decode(self.outputs, data), self.outputs, strict=True)
            )
        except (DecodingError, ValueError, OverflowError) as error:
            raise ChainError(
                f"{self.name} answers {len(data)} bytes that are no {self.outputs}: is this the right contract?"
            ) from error


@cache
def function(contract: str, name: str) -> Function:
    """Raises LookupError."""
    for entry in artifacts.load(contract).abi:
        if entry["type"] == "function" and entry["name"] == name:
            return Function(
                name=f"{contract}.{name}",
                selector=keccak(signature_of(entry).encode())[:4],
                inputs=tuple(type_of(item) for item in entry["inputs"]),
                outputs=tuple(type_of(item) for item in entry["outputs"]),
            )
    raise LookupError(f"{contract} has no function {name}")


@cache
def _errors() -> dict[bytes, tuple[str, tuple[str, ...]]]:
    known = {}
    for signature in (*_FOREIGN, *(signature_of(entry) for entry in artifacts.error_abis())):
        name, _, rest = signature.partition("(")
        types = tuple(kind for kind in rest[:-1].split(",") if kind)  # no error of ours has a struct
        known[keccak(signature.encode())[:4]] = (name, types)
    return known


def decode_revert(data: bytes) -> Reverted:
    """The typed error in what a contract returned when it refused."""
    if data[:4] not in _errors():
        return reverted("" if not data else f"0x{data[:4].hex()}", *([data[4:]] if len(data) > 4 else []))
    name, types = _errors()[data[:4]]
    try:
        values = decode(types, data[4:])
    except (DecodingError, ValueError, OverflowError):
        return reverted(name)
    operands = (plain(value, kind) for value, kind in zip(values, types, strict=True))
    return reverted(name, *operands, signature=f"{name}({','.join(types)})")


def plain(value: Any, kind: str) -> Any:
    """A value as eth_abi gives it, but addresses as 20 bytes and lists as tuples."""
    if kind == "address":
        return bytes.fromhex(value[2:])
    if kind.endswith("[]"):
        return tuple(plain(part, kind[:-2]) for part in value)
    if kind.startswith("(") and kind.endswith(")"):
        return tuple(plain(part, inner) for part, inner in zip(value, kind[1:-1].split(","), strict=True))
    return value
