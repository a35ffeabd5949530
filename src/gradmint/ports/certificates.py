"""The fifth contract: registered BLS keys, groups, and what the chain says of a certificate. Keys on disk, to check one
when the chain is gone. Documents of strangers are read here, bounded and in one spelling only."""

from __future__ import annotations

import json
import os
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Protocol

from ..spec.certificate import KEY_BYTES, MAX_DOCUMENT_BYTES, Certificate, Checkpoint, Domain, EcdsaCertificate
from ..spec.errors import MalformedCertificate, NoCertificates
from . import artifacts
from .chain import Receipt
from .contract import Contract
from .deployment import Deployment, write_atomically
from .rpc import to_hex
from .web3_chain import Web3Chain

_KEYS_FORMAT = "gradmint registered keys 1"
_MAX_KEYS_BYTES = 64 << 20


class Registry(Protocol):
    """Whose BLS keys are whose."""

    @property
    def domain(self) -> Domain: ...

    def keys(self) -> dict[bytes, bytes]:
        """Key of each account that registered one."""
        ...


@dataclass(frozen=True, slots=True)
class Group:
    """Contents of an assembled group, see ICertificates."""

    run: int
    stake_wei: int
    expires_s: int
    signers: int
    key: bytes
    bitmap: tuple[int, ...]


NO_GROUP = Group(0, 0, 0, 0, b"", ())


class Certificates:
    """The contract behind ``chain``. Raises NoCertificates, HalfDeployed."""

    def __init__(self, chain: Web3Chain) -> None:
        self._contract = contract = Contract(chain, artifacts.CERTIFICATES, address_in(chain.deployment))
        zero = Checkpoint(self.domain, 0, 0, bytes(32))
        contract.expect(zero.signed, "certificateDigest", zero.run, zero.round, zero.digest)
        for name in ("runs", "stakes", "rounds"):
            contract.expect(getattr(chain.deployment, name), name)

    @property
    def domain(self) -> Domain:
        return Domain(self._contract.chain.chain_id, self._contract.address)

    def keys(self) -> dict[bytes, bytes]:
        return {log.values["account"]: log.values["key"] for log in self._contract.logs(["Registered"])}

    def groups(self, run: int) -> list[Group]:
        """Every group ever assembled for the run, oldest first; stale ones as well."""
        logs = self._contract.logs(["Assembled"], run.to_bytes(32, "big"))
        found = [log.values["contents"] for log in logs]
        return [Group(run, *contents[1:]) for contents in found]

    def register(self, key: bytes, proof: bytes) -> Receipt:
        """Raises Reverted, Unfunded."""
        return self._contract.send("register", key, proof)

    def assemble(self, run: int, smaller: Group, members: dict[bytes, bytes]) -> Receipt:
        """``members``: key of each account to add. Raises Reverted, Unfunded."""
        return self._contract.send("assemble", run, _contents(smaller), list(members), b"".join(members.values()))

    def verify(self, certificate: Certificate, group: Group) -> tuple[int, int]:
        """(stake in wei, signers) as the contract sees them; ``group`` is for BLS. Raises Reverted when it refuses."""
        checkpoint = certificate.checkpoint
        head = (checkpoint.run, checkpoint.round, checkpoint.digest)
        if isinstance(certificate, EcdsaCertificate):
            stake_wei, signers = self._contract.read("verifyEcdsa", *head, b"".join(certificate.signatures))
        else:
            stake_wei, signers = self._contract.read("verifyBls", *head, _contents(group), certificate.signature)
        return stake_wei, signers

    def group_of(self, run: int, bitmap: tuple[int, ...]) -> Group | None:
        """The newest group of exactly these seats that is not stale."""
        now_s = self._contract.chain.now_s()
        for group in reversed(self.groups(run)):
            if group.bitmap == bitmap and now_s < group.expires_s:
                return group
        return None


class RecordedKeys:
    """:class:`Registry` on disk, written by :func:`record_keys`. Raises MalformedCertificate for any other content."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        found = read_document(path, _MAX_KEYS_BYTES)
        if not isinstance(found, dict) or found.keys() != {"format", "chain_id", "contract", "keys"}:
            raise MalformedCertificate(f"{path}: expected what 'gradmint certificate record' writes")
        keys = found["keys"]
        if found["format"] != _KEYS_FORMAT or type(found["chain_id"]) is not int or not isinstance(keys, dict):
            raise MalformedCertificate(f"{path}: format, chain_id or keys is not what {_KEYS_FORMAT!r} says")
        self._keys = {_hex(path, a, 20): _hex(path, key, KEY_BYTES) for a, key in keys.items()}
        self._domain = Domain(found["chain_id"], _hex(path, found["contract"], 20))

    @property
    def domain(self) -> Domain:
        return self._domain

    def keys(self) -> dict[bytes, bytes]:
        return self._keys


def record_keys(registry: Registry, path: str | os.PathLike[str]) -> int:
    """Write every registered key; how many there are. Raises SettingsError."""
    keys = {to_hex(account): to_hex(key) for account, key in sorted(registry.keys().items())}
    domain = registry.domain
    found = {"format": _KEYS_FORMAT, "chain_id": domain.chain_id, "contract": to_hex(domain.contract), "keys": keys}
    write_document(path, found)
    return len(keys)


def address_in(deployment: Deployment) -> bytes:
    """Raises NoCertificates."""
    if deployment.certificates is None:
        raise NoCertificates(
            "the deployment file names no Certificates contract, it was written before there was one: runs under those "
            "contracts cannot be certified; deploy again with 'gradmint deploy'"
        )
    return deployment.certificates


def read_document(path: str | os.PathLike[str], limit_bytes: int = MAX_DOCUMENT_BYTES) -> Any:
    """A stranger's JSON. Raises MalformedCertificate."""
    try:
        with open(path, "rb") as file:
            content = file.read(limit_bytes + 1)
    except OSError as error:
        raise MalformedCertificate(f"{path}: {error.strerror}: name an existing document") from error
    if len(content) > limit_bytes:
        raise MalformedCertificate(f"{path} has over {limit_bytes} bytes: this is no certificate")
    return parse_document(content, str(path))


def parse_document(content: bytes, source: str) -> Any:
    """Raises MalformedCertificate; also when a name comes twice in one object."""
    try:
        return json.loads(content, object_pairs_hook=_object, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedCertificate(f"{source} is no JSON document: {str(error)[:200]}") from error


def write_document(path: str | os.PathLike[str], found: object) -> None:
    """All or nothing. Raises SettingsError."""
    write_atomically(Path(path), (json.dumps(found, indent=1) + "\n").encode())


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice in one object")
    return found


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no number here")


def _hex(path: object, value: object, size: int) -> bytes:
    if isinstance(value, str) and len(value) == 2 + 2 * size and value.startswith("0x"):
        try:
            return bytes.fromhex(value[2:])
        except ValueError:
            pass
    raise MalformedCertificate(f"{path}: {value!r:.60} is not {size} bytes in hex, 0x...")


def _contents(group: Group) -> tuple[Any, ...]:
    return (*astuple(group)[:5], list(group.bitmap))
