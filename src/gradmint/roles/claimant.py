"""Claims: anyone may bring anyone the difference between what was promised and what was paid out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..ports.chain import Chain, Claim, ClaimLeft, ClaimMany, ClaimTo, Receipt
from ..spec.errors import ChainError
from ..spec.ledger import Ledger
from ..spec.tree import prove, prove_all

AT_ONCE = 50  # claims in one transaction: some 35 KiB of calldata in the largest runs
REDIRECT_S = 3_600  # a signed redirection is good for this long


@dataclass(frozen=True, slots=True)
class Due:
    """What an account can claim of a run now. ``position`` is its standing's in the tree; None when it has left."""

    run: int
    account: bytes
    position: int | None
    paid_wei: int  # promised so far
    due_wei: int


def claimable(ledger: Ledger) -> list[Due]:
    """Of everyone with something due."""
    promised: list[tuple[bytes, int | None, int]] = [
        (standing.account, position, standing.paid_wei) for position, standing in enumerate(ledger.all_standings())
    ]
    promised += [(account, None, cumulative_wei) for account, cumulative_wei in ledger.left_wei.items()]
    return [
        Due(ledger.run, account, position, paid_wei, paid_wei - ledger.claimed_wei.get(account, 0))
        for account, position, paid_wei in promised
        if paid_wei > ledger.claimed_wei.get(account, 0)
    ]


def claim(
    chain: Chain, ledgers: Sequence[Ledger], accounts: frozenset[bytes] | None = None
) -> Iterator[tuple[list[Due], Receipt]]:
    """Claim for ``accounts`` (everyone by default) what these runs owe them, many in one transaction; yields what each
    transaction paid.

    Raises Reverted, Unfunded.
    """
    seated: list[tuple[Due, Claim]] = []
    left: list[Due] = []
    for ledger in ledgers:
        due = [item for item in claimable(ledger) if accounts is None or item.account in accounts]
        left += [item for item in due if item.position is None]
        due = [item for item in due if item.position is not None]
        proofs = prove_all(ledger.all_standings(), [item.position for item in due if item.position is not None])
        seated += [
            (item, Claim(run=item.run, account=item.account, paid_wei=item.paid_wei, proof=proof))
            for item, proof in zip(due, proofs, strict=True)
        ]
    for at in range(0, len(seated), AT_ONCE):
        batch = seated[at : at + AT_ONCE]
        calls = tuple(call for _, call in batch)
        receipt = chain.send(calls[0] if len(calls) == 1 else ClaimMany(claims=calls))
        yield [item for item, _ in batch], receipt
    for item in left:
        yield [item], chain.send(ClaimLeft(run=item.run, account=item.account))


def redirect(owner: Chain, payer: Chain, ledger: Ledger, recipient: bytes) -> tuple[Due, Receipt]:
    """Claim what is due to ``owner`` for ``recipient``: the owner signs, the payer sends.

    Raises ChainError when nothing is due; Reverted, Unfunded.
    """
    for item in claimable(ledger):
        if item.account == owner.account and item.position is not None:
            deadline_s = payer.now_s() + REDIRECT_S
            call = ClaimTo(
                run=ledger.run,
                account=item.account,
                paid_wei=item.paid_wei,
                proof=prove(ledger.all_standings(), item.position),
                recipient=recipient,
                deadline_s=deadline_s,
                signature=owner.sign_redirect(ledger.run, recipient, item.paid_wei, deadline_s),
            )
            return item, payer.send(call)
    raise ChainError(
        f"run {ledger.run} owes 0x{owner.account.hex()} nothing that could go elsewhere; see 'gradmint run show'"
    )
