"""What the demo promises, checked against the audit of what it played."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..roles.auditor import Audit
from ..spec.ledger import Ledger
from ..spec.mechanism import pay_multiplier_q32
from ..spec.types import ONE_Q32, Role
from .summary import Outcome

if TYPE_CHECKING:
    from .demo import Participant, Plan

CULPRIT = "embezzler"  # the verifier that proposes false settlements
LYING_ROUNDS = 12  # rounds in which it has two turns at least, with up to four verifiers


def broken_promises(plan: Plan, cast: Sequence[Participant], found: Audit, rows: Sequence[Outcome]) -> list[str]:
    """What does not hold of a finished demo, for people."""
    if found.divergence is not None:
        return [f"audit: {found.divergence}"]
    broken = broken_exposures(plan, cast, found.ledger)
    balance = found.balance
    assert balance is not None
    # All was claimed or refunded by now, so the audited contract is empty to the last wei.
    if balance.claimable_wei or balance.unpaid_wei or balance.other_wei:
        broken.append(f"of {balance.deposited_wei} wei deposited some are left: {balance}")
    target = found.ledger.terms.target_loss_micronats
    if target and (found.loss_nats is None or not found.loss_nats * 1e6 <= target):
        broken.append(f"the model ends at {found.loss_nats} nats, the target is {target / 1e6}")
    if plan.propose:
        broken += _broken_proposals(plan, cast, found)
    if plan.reputation:
        broken += _broken_ratings(cast, found)
    honest = [row.earned_wei for row in rows if row.role == "trainer" and row.strategy == "honest"]
    numerics = {person.name: person.numerics for person in cast}
    for row in rows:
        if row.role == "trainer" and row.strategy != "honest" and row.earned_wei >= min(honest):
            earned = f"{row.name} ({row.strategy}) earned {row.earned_wei} wei"
            broken.append(f"{earned}, the least-paid honest trainer {min(honest)}")
        if row.role == "verifier" and row.strategy == "liar" and row.earned_wei:
            broken.append(f"{row.name} lied and earned {row.earned_wei} wei")
        if row.role == "verifier" and row.strategy != "honest":
            # Who computes alike is paid alike, to the Wei; number formats differ in the last micro-nats of a gain.
            alike = [
                other.earned_wei
                for other in rows
                if other.role == "verifier"
                and other.strategy == "honest"
                and numerics[other.name] == numerics[row.name]
            ]
            if row.earned_wei > min(alike, default=row.earned_wei):
                broken.append(f"{row.name} ({row.strategy}) earned {row.earned_wei} wei, an honest one {min(alike)}")
    return broken


def broken_exposures(plan: Plan, cast: Sequence[Participant], ledger: Ledger) -> list[str]:
    """Who looks keeps its stake; who never does loses some, where every header is asked for."""
    strategies = {bytes.fromhex(person.account.address[2:]): person.strategy for person in cast}
    losers = {strategies.get(row.account, "") for row in ledger.seized}
    broken = [f"a verifier that looks lost stake: {ledger.seized}"] if losers & {"honest", CULPRIT} else []
    all_asked = plan.trainers <= ledger.terms.assigned_trainers
    if all_asked and {"planter", "rubber-stamp"} <= set(strategies.values()) and "rubber-stamp" not in losers:
        broken.append("a verifier that does not look kept its stake beside a planter")
    return broken


def _broken_proposals(plan: Plan, cast: Sequence[Participant], found: Audit) -> list[str]:
    ledger, broken = found.ledger, []
    culprits = {bytes.fromhex(person.account.address[2:]) for person in cast if person.strategy == CULPRIT}
    if waiting := [round_.number for round_ in found.rounds if not round_.final]:
        broken.append(f"rounds {waiting} are not final")
    lies = [one for one in found.refutations if one.event.proposer in culprits]
    if len(lies) != (2 if len(found.rounds) >= LYING_ROUNDS and plan.verifiers <= 4 else len(lies)):
        broken.append(f"{len(lies)} false proposals were refuted, 2 were expected")
    if {lost.account for lost in ledger.forfeited} - culprits:
        broken.append(f"somebody honest lost a bond: {ledger.forfeited}")
    if len(ledger.forfeited) != len(found.refutations):
        broken.append(f"{len(found.refutations)} refutations took {len(ledger.forfeited)} bonds")
    return broken


def _broken_ratings(cast: Sequence[Participant], found: Audit) -> list[str]:
    """Whoever works is paid by a rating in the end, whoever cheats by less of one."""
    reached = {standing.account: standing.reputation_q32 for standing in found.ledger.final.trainers}
    honest, others = (
        [
            reached[bytes.fromhex(person.account.address[2:])]
            for person in cast
            if person.role is Role.TRAINER and (person.strategy == "honest") is kind
        ]
        for kind in (True, False)
    )
    least_q32 = min(honest)
    if least_q32 <= pay_multiplier_q32(found.ledger.terms, 0):
        return ["an honest trainer is paid as a newcomer is: its rating came too late"]
    if max(others, default=0) >= least_q32:
        return [f"a cheat is paid x {max(others) / ONE_Q32:.3f}, an honest trainer x {least_q32 / ONE_Q32:.3f}"]
    return []
