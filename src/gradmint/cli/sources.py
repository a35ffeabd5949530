"""Where a command that only reads gets a run from: a chain and a store, or a finished demo's folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..ports.chain import ChainReader


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
