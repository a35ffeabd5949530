"""From a Call to a transaction's target and data: one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..spec.docket import Effects, Outcome, Proposal, Record, RosterRow
from ..spec.params import Params
from ..spec.plant import Exposure
from ..spec.tree import Proof
from ..spec.types import Standing
from ..spec.witness import Witness
from . import chain
from . import reputation_calls as rep
from .codec import function, pack
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
    """``token_of`` gives a run's token, which claims have to name.

    Raises ChainError when a field does not fit its ABI type, MalformedParams for parameters that no run can have.
    """
    contract, name, arguments, spend = _TABLE[type(call)]
    extra = (token_of,) if isinstance(call, chain.Claim | chain.ClaimTo | chain.ClaimMany) else ()
    data = function(contract, name).encode(*arguments(call, *extra))
    if isinstance(call, chain.Claim):
        data += _siblings(call.proof)  # behind the arguments, without offset, length and padding
    to: bytes = getattr(deployment, contract.lower())
    return Target(f"{contract}.{name}", to, data, spend(call) if spend else None)


def _struct(value: Params | Record | Outcome | Exposure) -> tuple[Any, ...]:
    """Fields in order, which is the Solidity struct's."""
    return tuple(getattr(value, item.name) for item in fields(value))


def _proposals(pending: Sequence[Proposal]) -> list[tuple[Any, ...]]:
    return [(said.round, said.proposer, said.final_s, _struct(said.outcome)) for said in pending]


def _effects(effects: Effects) -> tuple[list[int], list[int], list[int]]:
    return _flat(effects.slashed), list(effects.awaited), _flat(effects.left)


def _flat(pairs: Sequence[tuple[bytes, int]]) -> list[int]:
    return [word for account, wei in pairs for word in (int.from_bytes(account, "big"), wei)]


def _inputs(record: Record, roster: bytes, rows: Sequence[RosterRow], standings: Sequence[Standing]) -> tuple[Any, ...]:
    return _struct(record), roster, b"".join(row.pack() for row in rows), _pack(standings)


def _pack(standings: Sequence[Standing]) -> bytes:
    return b"".join(standing.pack() for standing in standings)


def _witness(found: Witness) -> tuple[Any, ...]:
    nodes = [(node.account, node.visits, node.heard) for node in found.nodes]
    panels = [(panel.id, list(panel.endorsers), panel.places) for panel in found.panels]
    return nodes, panels, list(found.paths)


def _evidence(said: chain.Evidence) -> tuple[Any, ...]:
    return list(said.reports), list(said.heads), list(said.rows), [list(sums) for sums in said.sums]


def _siblings(proof: Proof) -> bytes:
    return b"".join(node.hash + node.sum_wei.to_bytes(16, "big") for node in proof.siblings)


def _claim(call: chain.Claim, token_of: Callable[[int], bytes]) -> tuple[Any, ...]:
    word = ("address", "uint96")
    return pack(word, token_of(call.run), call.run), pack(word, call.account, call.proof.right_bits), call.paid_wei


def _claim_in_full(call: chain.Claim | chain.ClaimTo, token_of: Callable[[int], bytes]) -> tuple[Any, ...]:
    token, proof = token_of(call.run), call.proof
    return call.run, token, call.account, call.paid_wei, proof.right_bits, _siblings(proof)


def _claim_to(call: chain.ClaimTo, token_of: Callable[[int], bytes]) -> tuple[Any, ...]:
    return *_claim_in_full(call, token_of), call.recipient, call.deadline_s, call.signature


def _claim_many(call: chain.ClaimMany, token_of: Callable[[int], bytes]) -> tuple[Any, ...]:
    return ([_claim_in_full(one, token_of) for one in call.claims],)


_Row = tuple[str, str, Callable[..., tuple[Any, ...]], Callable[[Any], Spend] | None]

_TABLE: dict[type[chain.Call], _Row] = {
    chain.Open: (
        "Runs",
        "open",
        lambda c: (_struct(c.params.check()), c.token, c.budget_wei),
        lambda c: Spend(c.token, c.budget_wei, "budget"),
    ),
    chain.Fund: ("Runs", "fund", lambda c: (c.run, c.amount_wei), lambda c: Spend(None, c.amount_wei, "budget")),
    chain.Cancel: ("Runs", "cancel", lambda c: (c.run,), None),
    chain.Claim: ("Runs", "claim", _claim, None),
    chain.ClaimTo: ("Runs", "claimTo", _claim_to, None),
    chain.ClaimMany: ("Runs", "claimMany", _claim_many, None),
    chain.ClaimLeft: ("Runs", "claimLeft", lambda c: (c.run, c.account), None),
    chain.Refund: ("Runs", "refund", lambda c: (c.run,), None),
    chain.Join: (
        "Stakes",
        "join",
        lambda c: (c.run, int(c.role), c.stake_wei, c.max_price_wei),
        lambda c: Spend(None, c.stake_wei + c.max_price_wei, "stake with its price"),
    ),
    chain.Exit: ("Stakes", "exit", lambda c: (c.run,), None),
    chain.Withdraw: ("Stakes", "withdraw", lambda c: (c.run,), None),
    chain.Burn: ("Stakes", "burn", lambda c: (c.run,), None),
    chain.Bond: ("Stakes", "bond", lambda c: (c.run, c.amount_wei), lambda c: Spend(None, c.amount_wei, "bond")),
    chain.Unbond: ("Stakes", "unbond", lambda c: (c.run, c.amount_wei), None),
    chain.Pool: ("Stakes", "pool", lambda c: (c.run,), None),
    chain.Expose: (
        "Stakes",
        "expose",
        lambda c: (c.run, _struct(c.params), _struct(c.record), _struct(c.exposure)),
        None,
    ),
    chain.Rate: ("Rounds", "rate", lambda c: (c.run, c.account), None),
    chain.Submit: ("Rounds", "submit", lambda c: (c.run, c.digest, c.claimed_gain_micronats), None),
    chain.Close: ("Rounds", "close", lambda c: (c.run, list(c.submissions)), None),
    chain.Hold: ("Rounds", "hold", lambda c: (c.run, c.bitmap, c.base), None),
    chain.Commit: ("Rounds", "commit", lambda c: (c.run, c.commitment), None),
    chain.Reveal: ("Rounds", "reveal", lambda c: (c.run, c.report, c.salt), None),
    chain.Poke: ("Rounds", "poke", lambda c: (c.run,), None),
    chain.Settle: (
        "Settlement",
        "settle",
        lambda c: (
            c.run,
            _struct(c.params),
            _inputs(c.record, c.roster, c.rows, c.standings),
            _evidence(chain.Evidence(reports=c.reports)),
        ),
        None,
    ),
    chain.Propose: ("Settlement", "propose", lambda c: (c.run, c.round, _struct(c.outcome)), None),
    chain.Challenge: ("Settlement", "challenge", lambda c: (c.run, c.round), None),
    chain.Hear: (
        "Settlement",
        "hear",
        lambda c: (c.run, _struct(c.params), _struct(c.record), list(c.heads), c.chunk, list(c.rows_of)),
        None,
    ),
    chain.Refute: (
        "Settlement",
        "refute",
        lambda c: (
            c.run,
            _struct(c.params),
            _inputs(c.record, c.roster, c.rows, c.standings),
            _evidence(c.evidence),
            _proposals(c.pending),
            c.place,
        ),
        None,
    ),
    chain.Finalise: (
        "Settlement",
        "finalise",
        lambda c: (c.run, _proposals(c.pending), _effects(c.effects)),
        None,
    ),
    rep.Deposit: (
        "Reputation",
        "deposit",
        lambda c: (c.amount_wei,),
        lambda c: Spend(c.token, c.amount_wei, "deposit"),
    ),
    rep.WithdrawPurse: ("Reputation", "withdraw", lambda c: (c.amount_wei,), None),
    rep.Vouch: ("Reputation", "vouch", lambda c: (c.account, c.stake_wei), None),
    rep.Unvouch: ("Reputation", "unvouch", lambda c: (c.account,), None),
    rep.Reclaim: ("Reputation", "reclaim", lambda c: (c.account,), None),
    rep.SlashVouch: (
        "Reputation",
        "slashVouch",
        lambda c: (c.voucher, c.account, c.run, c.roster, _pack(c.standings), c.index),
        None,
    ),
    rep.Harvest: ("Reputation", "harvest", lambda c: (c.run, c.roster, _pack(c.standings)), None),
    rep.ProposeRating: ("Reputation", "propose", lambda c: (c.hits, c.paths), None),
    rep.ChallengeRating: ("Reputation", "challenge", lambda c: (c.account,), None),
    rep.ProveRating: ("Reputation", "prove", lambda c: (c.account, _witness(c.witness)), None),
    rep.RefuteRating: ("Reputation", "refute", lambda c: (c.account,), None),
    rep.FinaliseRating: ("Reputation", "finalise", lambda c: (c.account,), None),
}
