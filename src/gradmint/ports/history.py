"""A run's events from ``eth_getLogs``, in pages that the node is willing to give."""

from __future__ import annotations

import re

from ..spec.errors import ChainError
from ..spec.events import Event, Position
from .deployment import Deployment
from .logs import decode_log, topic_of
from .rpc import AnswerTooLarge, Rpc, RpcError, as_int, to_hex

#: Nodes have no common code for "ask for less"; these are the words of Geth, Erigon, Alchemy, Infura, QuickNode, Ankr.
_ASK_LESS = re.compile(
    r"limit|range|too many|too large|exceed|more than|timeout|timed out|response size", re.IGNORECASE
)


class History:
    """``page_blocks``: most blocks in one request; None tries everything at once first."""

    def __init__(self, rpc: Rpc, deployment: Deployment, page_blocks: int | None = None) -> None:
        self._rpc = rpc
        self._deployment = deployment
        self._page_blocks = page_blocks
        contracts = (deployment.runs, deployment.stakes, deployment.rounds, deployment.settlement)
        self._addresses = [to_hex(address) for address in contracts]

    def read(self, run: int, after: Position | None) -> list[Event]:
        """Events of ``run`` behind ``after``, in chain order. Raises ChainError, ChainUnreachable."""
        first = self._deployment.block if after is None else after[0]
        events = None
        if self._page_blocks is None:
            events = self._ask(run, first, "latest")
        if events is None:
            head = as_int(self._rpc.call("eth_blockNumber"), "block number")
            events = self._read_pages(run, first, head)
        events.sort(key=lambda event: event.position)
        return [event for event in events if after is None or event.position > after]

    def _read_pages(self, run: int, first: int, head: int) -> list[Event]:
        found: list[Event] = []
        size = self._page_blocks or max(1, (head - first + 1) // 2)
        while first <= head:
            last = min(head, first + size - 1)
            page = self._ask(run, first, hex(last))
            if page is not None:
                found += page
                first = last + 1
                size = min(2 * size, self._page_blocks or 2 * size)
            elif size == 1:
                raise ChainError(f"{self._rpc.where} does not give the events of block {first} alone: ask another node")
            else:
                size //= 2
        return found

    def _ask(self, run: int, first: int, last: str) -> list[Event] | None:
        """One request; None when the node wants a smaller one."""
        query = {
            "address": self._addresses,
            "fromBlock": hex(first),
            "toBlock": last,
            "topics": [None, topic_of(run)],
        }
        try:
            logs = self._rpc.call("eth_getLogs", query)
        except AnswerTooLarge:
            return None
        except RpcError as error:
            if _ASK_LESS.search(str(error)):
                return None
            raise
        if not isinstance(logs, list):
            raise ChainError(f"{self._rpc.where} gives events as {type(logs).__name__}, expected a list")
        events = [decode_log(log, self._deployment) for log in logs if not is_removed(log)]
        if any(event is not None and event.run != run for event in events):
            raise ChainError(f"{self._rpc.where} gives events of other runs than {run}: ask another node")
        return [event for event in events if event is not None]


def is_removed(log: object) -> bool:
    """A reorganisation took the log's block back."""
    return isinstance(log, dict) and log.get("removed") is True
