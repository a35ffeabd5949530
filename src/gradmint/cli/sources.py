"""Where a command that only reads gets its facts from: a chain and a store, or a finished demo's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..spec.errors import ChainError

if TYPE_CHECKING:
    from ..ports.chain import ChainReader
    from ..ports.reputation import ReputationReader


def open_source(rpc: str, deployment: Path, store: str, run: int, folder: Path | None) -> tuple[ChainReader, str, int]:
    """Chain, store's address and run. A folder of a demo brings its own, and nothing needs to be running.

    Raises ChainError for a folder without a record, and what a deployment that cannot be read raises.
    """
    from ..ports.deployment import Deployment
    from ..ports.recorded_chain import RecordedChain
    from ..ports.web3_chain import Web3Chain

    if folder is None:
        return Web3Chain(rpc, Deployment.read(deployment)), store, run
    recorded = RecordedChain(folder / "chain.json")
    return recorded, str(folder / "blobs"), recorded.run


def reputation_of(chain: ChainReader) -> ReputationReader | None:
    """What the deployment of ``chain`` says of reputation; None where a recording has nothing about it.

    Raises HalfDeployed.
    """
    from ..ports.recorded_chain import RecordedChain
    from ..ports.reputation import Reputation
    from ..ports.web3_chain import Web3Chain

    if isinstance(chain, RecordedChain):
        return chain.reputation
    return Reputation(chain) if isinstance(chain, Web3Chain) else None


def open_reputation(rpc: str, deployment: Path, folder: Path | None) -> tuple[ReputationReader, ChainReader, range]:
    """Reputation, the chain it is on, and the numbers of the runs that can be read there. Raises ChainError."""
    chain, _, run = open_source(rpc, deployment, "", 0, folder)
    reader = reputation_of(chain)
    if reader is None:
        raise ChainError(f"{folder} holds nothing about reputation: record it anew, or name a chain with --rpc")
    return reader, chain, range(1, chain.run_count() + 1) if folder is None else range(run, run + 1)
