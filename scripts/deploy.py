"""ape run deploy --network ethereum:local:foundry

Deploys Runs, Stakes, Rounds, Settlement, Reputation, Certificates and, on a local network, DevToken; prints the
deployment as JSON and writes it to deployment.json, or to the file that GRADMINT_DEPLOYMENT names. On other networks
GRADMINT_ACCOUNT names the account. GRADMINT_SEEDS are the addresses that ratings start from, separated by commas,
GRADMINT_TOKEN the token behind them, on a local network the DevToken.

The first four know each other and Reputation by addresses that follow from the deployer's nonce: nothing else may be
sent from that account in between. A wrong nonce reverts (Miswired) and can be tried again.
"""

from __future__ import annotations

import json
import os
from dataclasses import astuple
from pathlib import Path
from typing import Any

import rlp
from ape import accounts, chain, networks, project
from eth_utils import keccak, to_canonical_address, to_checksum_address

from gradmint.spec.reputation_params import STANDARD_REPUTATION

NAMES = ("Runs", "Stakes", "Rounds", "Settlement")
NOBODY = "0x" + "00" * 20


def create_address(sender: str, nonce: int) -> str:
    return str(to_checksum_address(keccak(rlp.encode([to_canonical_address(sender), nonce]))[12:]))


def main() -> None:
    local = networks.network.name == "local"
    deployer = accounts.test_accounts[0] if local else accounts.load(os.environ["GRADMINT_ACCOUNT"])
    nonce = deployer.nonce
    wiring = [create_address(deployer.address, nonce + k) for k in range(len(NAMES) + 1)]
    seeds = [seed for seed in os.environ.get("GRADMINT_SEEDS", "").split(",") if seed]
    token = (
        create_address(deployer.address, nonce + len(NAMES) + 2) if local else os.environ.get("GRADMINT_TOKEN", NOBODY)
    )

    deployment: dict[str, Any] = {"chain_id": chain.chain_id}
    terms = [*wiring[2:4], token, astuple(STANDARD_REPUTATION), seeds]
    for name, address in zip((*NAMES, "Reputation"), wiring, strict=True):
        contract = deployer.deploy(getattr(project, name), *(wiring if name in NAMES else terms))
        if contract.address != address:
            raise RuntimeError(
                f"{name} is at {contract.address}, expected {address}: did the deployer send something else?"
            )
        deployment.setdefault("block", chain.blocks.height)
        deployment[name.lower()] = address
    deployment["certificates"] = deployer.deploy(project.Certificates, *wiring[:3]).address
    if local:
        deployment["token"] = deployer.deploy(project.DevToken).address
    deployment["seeds"] = seeds

    path = Path(os.environ.get("GRADMINT_DEPLOYMENT", "deployment.json"))
    path.write_text(json.dumps(deployment, indent=2) + "\n")
    print(json.dumps(deployment, indent=2))
