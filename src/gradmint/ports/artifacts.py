"""The shipped contracts: ABI and creation bytecode of each, as scripts/compile.py wrote them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

#: In deployment order: each knows the others by the address that follows from the deployer's nonce.
CONTRACTS = ("Runs", "Stakes", "Rounds", "Settlement")
#: The fifth, which they read ratings from; it reads Rounds and Settlement.
REPUTATION = "Reputation"
#: The sixth, which knows Runs, Stakes and Rounds and is known by none: no money and no settlement depends on it.
CERTIFICATES = "Certificates"
DEV_TOKEN = "DevToken"


@dataclass(frozen=True, slots=True)
class Artifact:
    """One contract. ``abi`` as web3 takes it, ``bytecode`` the creation code without constructor arguments."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes


@cache
def load(name: str) -> Artifact:
    """Artifact of a contract named above. Raises FileNotFoundError for any other name."""
    shipped = json.loads(files("gradmint").joinpath("abi", f"{name}.json").read_text(encoding="utf-8"))
    return Artifact(name, shipped["abi"], bytes.fromhex(shipped["bytecode"].removeprefix("0x")))


@cache
def error_abis() -> tuple[dict[str, Any], ...]:
    """Every custom error of the six contracts once, for decoding reverts: a call may fail in a sibling."""
    names = (*CONTRACTS, REPUTATION, CERTIFICATES)
    found = {json.dumps(entry): entry for name in names for entry in load(name).abi if entry["type"] == "error"}
    return tuple(found.values())
