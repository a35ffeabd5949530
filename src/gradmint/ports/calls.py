"""From a Call to a transaction's target and data: one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from ..spec.params import Params
from . import chain
from .codec import function
from .deployment import Deployment


@dataclass(frozen=True, slots=True)
class Spend:
    """Tokens that the target will pull. ``token`` is None when the run decides which."""

    token: bytes | None
    amount_wei: int
    what: str


@dataclass(frozen=True, slots=True)
class Target:
    """What to send where."""

    name: str
    to: bytes
    data: bytes
    spend: Spend | None


def target_of(call: chain.Call, deployment: Deployment, token_of: Callable[[int], bytes]) -> Target:
    """``token_of`` gives a run's token, which a claim has to name.

    Raises ChainError when a field does not fit its ABI type, MalformedParams for parameters that no run can have.
    """
    contract, name, arguments, spend = _TABLE[type(call)]
    extra = (token_of(call.run),) if isinstance(call, chain.Claim) else ()
    data = function(contract, name).encode(*arguments(call, *extra))
    to: bytes = getattr(deployment, contract.lower())
    return Target(f"{contract}.{name}", to, data, spend(call) if spend else None)


def _params(params: Params) -> tuple[Any, ...]:
    return tuple(getattr(params, item.name) for item in fields(params))


def _proof(call: chain.Claim, token: bytes) -> tuple[Any, ...]:
    packed = call.standing.pack()
    siblings = b"".join(node.hash + node.sum_wei.to_bytes(16, "big") for node in call.proof.siblings)
    return call.run, token, [packed[:32], packed[32:64], packed[64:]], call.proof.right_bits, siblings


_Row = tuple[str, str, Callable[..., tuple[Any, ...]], Callable[[Any], Spend] | None]

_TABLE: dict[type[chain.Call], _Row] = {
    chain.Open: (
        "Runs",
        "open",
        lambda c: (_params(c.params.check()), c.token, c.budget_wei),
        lambda c: Spend(c.token, c.budget_wei, "budget"),
    ),
    chain.Fund: ("Runs", "fund", lambda c: (c.run, c.amount_wei), lambda c: Spend(None, c.amount_wei, "budget")),
    chain.Cancel: ("Runs", "cancel", lambda c: (c.run,), None),
    chain.Claim: ("Runs", "claim", _proof, None),
    chain.Refund: ("Runs", "refund", lambda c: (c.run,), None),
    chain.Join: (
        "Stakes",
        "join",
        lambda c: (c.run, int(c.role), c.stake_wei),
        lambda c: Spend(None, c.stake_wei, "stake"),
    ),
    chain.Exit: ("Stakes", "exit", lambda c: (c.run,), None),
    chain.Withdraw: ("Stakes", "withdraw", lambda c: (c.run,), None),
    chain.Burn: ("Stakes", "burn", lambda c: (c.run,), None),
    chain.Submit: ("Rounds", "submit", lambda c: (c.run, c.digest, c.claimed_gain_micronats), None),
    chain.Close: ("Rounds", "close", lambda c: (c.run, list(c.submissions)), None),
    chain.Hold: ("Rounds", "hold", lambda c: (c.run, c.bitmap, c.base), None),
    chain.Commit: ("Rounds", "commit", lambda c: (c.run, c.commitment), None),
    chain.Reveal: ("Rounds", "reveal", lambda c: (c.run, c.report, c.salt), None),
    chain.Poke: ("Rounds", "poke", lambda c: (c.run,), None),
    chain.Settle: (
        "Settlement",
        "settle",
        lambda c: (c.run, _params(c.params), b"".join(s.pack() for s in c.standings), list(c.reports)),
        None,
    ),
}
