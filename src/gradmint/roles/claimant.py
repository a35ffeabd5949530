"""Claims: anyone may bring anyone the difference between what was promised and what was paid out."""

from __future__ import annotations

from collections.abc import Iterator

from ..ports.chain import Chain, Claim, Receipt
from ..spec.ledger import Ledger
from ..spec.tree import prove_all
from ..spec.types import Standing


def claimable(ledger: Ledger) -> list[tuple[int, Standing, int]]:
    """(position in the standing tree, standing, amount due in wei) of everyone with something due."""
    return [
        (position, standing, standing.paid_wei - ledger.claimed_wei.get(standing.account, 0))
        for position, standing in enumerate(ledger.all_standings())
        if standing.paid_wei > ledger.claimed_wei.get(standing.account, 0)
    ]


def claim(
    chain: Chain, ledger: Ledger, accounts: frozenset[bytes] | None = None
) -> Iterator[tuple[Standing, int, Receipt]]:
    """Claim for ``accounts`` (everyone by default); yields standing, amount in wei and receipt as each is paid.

    Raises Reverted, Unfunded.
    """
    due = [item for item in claimable(ledger) if accounts is None or item[1].account in accounts]
    proofs = prove_all(ledger.all_standings(), [position for position, _, _ in due])
    for (_, standing, due_wei), proof in zip(due, proofs, strict=True):
        yield standing, due_wei, chain.send(Claim(run=ledger.run, standing=standing, proof=proof))
