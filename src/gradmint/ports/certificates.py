"""The fifth contract: registered BLS keys, groups, and what the chain says of a certificate. Keys on disk, to check one
when the chain is gone. Documents of strangers are read here, bounded and in one spelling only."""

from __future__ import annotations

import json
import os
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Protocol

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_hash.auto import keccak

from ..spec.certificate import KEY_BYTES, MAX_DOCUMENT_BYTES, Certificate, Checkpoint, Domain, EcdsaCertificate
from ..spec.errors import ChainError, ChainUnreachable, HalfDeployed, MalformedCertificate, NoCertificates
from . import artifacts
from .chain import Receipt
from .codec import function, signature_of, type_of
from .deployment import Deployment, write_atomically
from .rpc import AnswerTooLarge, RpcError, as_bytes, as_dict, as_int, to_hex
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
        self._chain = chain
        self.address = address_in(chain.deployment)
        zero = Checkpoint(self.domain, 0, 0, bytes(32))
        self._expect(zero.signed, "certificateDigest", zero.run, zero.round, zero.digest)
        for name in ("runs", "stakes", "rounds"):
            self._expect(getattr(chain.deployment, name), name)

    def _expect(self, expected: bytes, name: str, *arguments: object) -> None:
        try:
            found = self._read(name, *arguments)[0]
        except ChainUnreachable:
            raise
        except ChainError as error:
            raise HalfDeployed(f"there is no Certificates contract at {to_hex(self.address)}: {error}") from error
        if found != expected:
            raise HalfDeployed(
                f"certificates at {to_hex(self.address)} answer {name} with {to_hex(found)}, expected "
                f"{to_hex(expected)}: use one deployment's own file, unedited"
            )

    @property
    def domain(self) -> Domain:
        return Domain(self._chain.chain_id, self.address)

    def keys(self) -> dict[bytes, bytes]:
        return {topics[1][12:]: values[0] for topics, values in self._events("Registered")}

    def groups(self, run: int) -> list[Group]:
        """Every group ever assembled for the run, oldest first; stale ones as well."""
        found = [values[0] for _, values in self._events("Assembled", run.to_bytes(32, "big"))]
        return [Group(run, c[1], c[2], c[3], c[4], tuple(c[5])) for c in found]

    def register(self, key: bytes, proof: bytes) -> Receipt:
        """Raises Reverted, Unfunded."""
        return self._send("register", key, proof)

    def assemble(self, run: int, smaller: Group, members: dict[bytes, bytes]) -> Receipt:
        """``members``: key of each account to add. Raises Reverted, Unfunded."""
        return self._send("assemble", run, _contents(smaller), list(members), b"".join(members.values()))

    def verify(self, certificate: Certificate, group: Group) -> tuple[int, int]:
        """(stake in wei, signers) as the contract sees them; ``group`` is for BLS. Raises Reverted when it refuses."""
        checkpoint = certificate.checkpoint
        head = (checkpoint.run, checkpoint.round, checkpoint.digest)
        if isinstance(certificate, EcdsaCertificate):
            stake_wei, signers = self._read("verifyEcdsa", *head, b"".join(certificate.signatures))
        else:
            stake_wei, signers = self._read("verifyBls", *head, _contents(group), certificate.signature)
        return stake_wei, signers

    def group_of(self, run: int, bitmap: tuple[int, ...]) -> Group | None:
        """The newest group of exactly these seats that is not stale."""
        now_s = self._chain.now_s()
        for group in reversed(self.groups(run)):
            if group.bitmap == bitmap and now_s < group.expires_s:
                return group
        return None

    def _read(self, name: str, *arguments: object) -> tuple[Any, ...]:
        method = function(artifacts.CERTIFICATES, name)
        return method.decode(self._chain.view(self.address, method.encode(*arguments)))

    def _send(self, name: str, *arguments: object) -> Receipt:
        data = function(artifacts.CERTIFICATES, name).encode(*arguments)
        return self._chain.send_data(self.address, data, f"Certificates.{name}")

    def _events(self, name: str, *topics: bytes) -> list[tuple[list[bytes], tuple[Any, ...]]]:
        """(topics, values that are not indexed) of the contract's events in chain order."""
        entry = next(
            e for e in artifacts.load(artifacts.CERTIFICATES).abi if e["type"] == "event" and e["name"] == name
        )
        types = [type_of(item) for item in entry["inputs"] if not item["indexed"]]
        wanted = [to_hex(topic) for topic in (keccak(signature_of(entry).encode()), *topics)]
        head = as_int(self._chain.rpc.call("eth_blockNumber"), "block number")
        found = []
        for log in self._logs(wanted, self._chain.deployment.block, head):
            row = as_dict(log, "a log")
            try:
                values = decode(types, as_bytes(row.get("data"), "a log's data"))
            except (DecodingError, ValueError, OverflowError) as error:
                raise ChainError(f"the node gives a malformed {name}: {error}: ask another node") from error
            found.append(([as_bytes(topic, "a topic", 32) for topic in row.get("topics") or []], tuple(values)))
        return found

    def _logs(self, topics: list[str], first: int, last: int) -> list[Any]:
        """Halves the range until the node is willing."""
        query = {"address": to_hex(self.address), "topics": topics, "fromBlock": hex(first), "toBlock": hex(last)}
        try:
            found = self._chain.rpc.call("eth_getLogs", query)
        except (RpcError, AnswerTooLarge):
            if first >= last:
                raise
            middle = (first + last) // 2
            return self._logs(topics, first, middle) + self._logs(topics, middle + 1, last)
        if not isinstance(found, list):
            raise ChainError(f"the node gives logs as {found!r:.80}, expected a list: ask another node")
        return found


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
