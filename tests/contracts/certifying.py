"""Certificates on top of a World: accounts with both kinds of keys, and the moves that tests and gas figures share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
import world as world_module
from eth_account import Account
from eth_account.signers.local import LocalAccount
from world import DEPLOYER, STRANGER, Chain, Contract, Receipt, World, deploy

from gradmint.ports import artifacts, bls
from gradmint.spec.certificate import CERTIFICATE_TAG, ECDSA_BYTES, POSSESSION_TAG, Checkpoint, Domain
from gradmint.spec.params import Params
from gradmint.spec.types import Role

MODEL = bytes(range(32))
NO_GROUP = (0, 0, 0, 0, b"", [])  # run, stakeWei, expiresS, signers, key, bitmap


def member(i: int) -> LocalAccount:
    return Account.from_key((10_000 + i).to_bytes(32, "big"))


def account(i: int) -> bytes:
    return bytes.fromhex(member(i).address[2:])


def secret(i: int) -> int:
    return 77_000_077 + i


@cache
def public_key(i: int) -> bytes:
    return bls.backend().public_key(secret(i))


def ecdsa(i: int, signed: bytes) -> bytes:
    return bytes(Account.unsafe_sign_hash(signed, member(i).key).signature)


def in_order(members: Iterable[int], signed: bytes) -> bytes:
    """Signatures as the contract wants them."""
    return b"".join(ecdsa(i, signed) for i in sorted(members, key=account))


def joint(members: Iterable[int], signed: bytes, tag: bytes = CERTIFICATE_TAG) -> bytes:
    """The sum of the members' signatures: the signature under the sum of their keys."""
    return bls.backend().sign(sum(map(secret, members)) % bls.ORDER, signed, tag)


class Certifiers:
    """``contract`` is Certificates beside the world's four."""

    def __init__(self, world: World) -> None:
        self.world = world
        wired = (world.runs.address, world.stakes.address, world.rounds.address)
        self.contract: Contract = deploy(
            world.chain, artifacts.load(artifacts.CERTIFICATES), ("address",) * 3, wired, DEPLOYER
        )
        self.domain = Domain(world.chain.chain_id, bytes.fromhex(self.contract.address[2:]))
        self.registered: set[int] = set()

    def checkpoint(self, run: int, round_: int = 1, digest: bytes = MODEL) -> Checkpoint:
        return Checkpoint(self.domain, run, round_, digest)

    def seated(self, params: Params, trainers: Iterable[int], verifiers: Iterable[int] = ()) -> int:
        """A new run, these members seated and registered."""
        run = self.world.open(params)
        for i in trainers:
            self.world.join(run, member(i).address, Role.TRAINER, params.trainer_stake_wei)
            self.register(i)
        for i in verifiers:
            self.world.join(run, member(i).address, Role.VERIFIER, params.verifier_stake_wei)
            self.register(i)
        return run

    def proof(self, i: int, key: bytes | None = None, domain: Domain | None = None) -> bytes:
        possession = (domain or self.domain).possession(account(i), key or public_key(i))
        return bls.backend().sign(secret(i), possession, POSSESSION_TAG)

    def register(self, i: int) -> Receipt | None:
        if i in self.registered:
            return None
        self.registered.add(i)
        return self.contract.send("register", public_key(i), self.proof(i), sender=member(i).address)

    def try_register(self, i: int, key: bytes, proof: bytes) -> None:
        self.contract.call("register", key, proof, sender=member(i).address)

    def assemble(self, run: int, members: Sequence[int], smaller: Any = NO_GROUP) -> tuple[Any, Receipt]:
        """The group's contents and what making it cost."""
        receipt = self.contract.send("assemble", run, smaller, *self.named(members), sender=STRANGER)
        return receipt["Assembled"].contents, receipt

    def named(self, members: Sequence[int]) -> tuple[list[str], bytes]:
        return [member(i).address for i in members], b"".join(map(public_key, members))

    def bls_arguments(self, run: int, group: Any, members: Iterable[int]) -> tuple[Any, ...]:
        return run, 1, MODEL, group, joint(members, self.checkpoint(run).signed)


def split(signatures: bytes) -> list[bytes]:
    return [signatures[at : at + ECDSA_BYTES] for at in range(0, len(signatures), ECDSA_BYTES)]


@contextmanager
def cancun() -> Iterator[Chain]:
    """Anvil as the chain was before EIP-2537."""
    real = subprocess.Popen

    def before_prague(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        return real(["cancun" if word == "prague" else word for word in command], **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world_module.subprocess, "Popen", before_prague)
        with world_module.anvil() as chain:
            yield chain
