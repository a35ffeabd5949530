"""What a ledger or a finished audit says, as plain values for programs, and numbers as people read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from ..roles.rounds import holder, seized_by
from ..spec import mechanism, rating
from ..spec.ledger import Ledger
from ..spec.params import ETHER_WEI, Params
from ..spec.round import Seat
from ..spec.types import ONE_Q32, UNSAMPLED, Role, Standing, Verdict

if TYPE_CHECKING:
    from ..roles.auditor import Audit, RoundAudit
    from ..roles.replay import Refutation
    from ..spec.errors import Divergence
    from .timing import Timing

HONEST = "honest"
BANNED = "BANNED"
Metric: TypeAlias = Callable[[float], tuple[float, str]]  # a mean loss in nats as people read it: number and unit


def nats(loss_nats: float) -> tuple[float, str]:
    """The reading of a loss whose task is not known."""
    return loss_nats, "nats"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one participant fared. ``strategy`` is empty when nobody declared it, as on any real chain."""

    name: str
    account: bytes
    role: str  # "trainer" or "verifier"
    strategy: str
    verdicts: dict[str, int]  # trainers: rounds per verdict; verifiers: rounds in, grey, out, absent
    earned_wei: int
    slashed_wei: int

    @property
    def is_adversary(self) -> bool:
        return self.strategy not in ("", HONEST)


# Numbers and names for people


def tokens(wei: int) -> str:
    """Token amount, shortened: 2 decimals, or 3 significant digits below 1; the tiniest amounts stay in wei."""
    amount = wei / ETHER_WEI
    if wei == 0:
        return "0"
    if abs(wei) < 10**6:
        return f"{wei:,} wei"
    return f"{amount:,.2f}" if abs(amount) >= 1 else f"{amount:.3g}"


def exact_tokens(wei: int) -> str:
    """Token amount to the last wei, without trailing zeros."""
    whole, part = divmod(abs(wei), ETHER_WEI)
    decimals = f".{part:018d}".rstrip("0").rstrip(".")
    return f"{'-' if wei < 0 else ''}{whole:,}{decimals}"


def percent(share: float) -> str:
    return "< 0.1 %" if 0 < share < 0.001 else f"{100 * share:.3g} %"


def reading(micronats: int, metric: Metric) -> float:
    """A loss in the task's unit."""
    return metric(micronats / 1e6)[0]


def loss_text(micronats: int | None, metric: Metric = nats) -> str:
    if micronats is None:
        return "void"
    number, unit = metric(micronats / 1e6)
    return f"{number:.4g} {unit}" if abs(number) >= 1000 else f"{number:.3f} {unit}"


def hexed(data: bytes) -> str:
    return f"0x{data.hex()}"


def brief(data: bytes) -> str:
    """The first four bytes, for recognising."""
    return f"0x{data[:4].hex()}.." if data else "none"


def plain(text: object, limit: int = 400) -> str:
    """One line of printable text: names and reasons come from strangers."""
    shown = "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(text)[: limit + 1]
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def verdict_text(verdicts: Iterable[Verdict]) -> str:
    """For example "5 OK 2 DUPLICATE 1 MISSING"."""
    return counts_text(Counter(verdict.name for verdict in sorted(verdicts)))


def verdict_names(verdicts: Iterable[Verdict], barred: Collection[int]) -> list[str]:
    """Per trainer index; BANNED for who sat the round out."""
    return [BANNED if trainer in barred else verdict.name for trainer, verdict in enumerate(verdicts)]


def verdict_counts(verdicts: Iterable[Verdict], barred: Collection[int]) -> str:
    """For example "5 OK 2 DUPLICATE 1 BANNED"."""
    return counts_text(Counter(sorted(verdict_names(verdicts, barred), key=_gravity)))


def _gravity(name: str) -> int:
    return len(Verdict) if name == BANNED else Verdict[name]


def counts_text(counts: Mapping[str, int]) -> str:
    """OK first, then the most frequent."""
    ordered = sorted(counts.items(), key=lambda item: (item[0] != Verdict.OK.name, -item[1]))
    return " ".join(f"{count} {name}" for name, count in ordered if count)


def agreement(distance_bits: int | None, params: Params) -> str:
    """What a verifier's distance to the medoid makes of its round."""
    if distance_bits is None:
        return "absent"
    if distance_bits <= params.accept_bits:
        return "in"
    return "grey" if distance_bits <= params.slash_bits else "out"


# Participants


def seats_by_account(ledger: Ledger) -> dict[bytes, Seat]:
    """Of everybody who ever held one."""
    seats = [*ledger.former, *(seat for role in Role for seat in ledger.seats[role])]
    order = {(role, index): at for at, (role, index) in enumerate((s.role, s.index) for s in seats)}
    return {seat.account: seat for seat in sorted(seats, key=lambda s: (s.role, order[s.role, s.index]))}


def rating_text(standing: Standing) -> str:
    """What a trainer's rating is at least: its ordinal, 0 for a newcomer."""
    if standing.role is not Role.TRAINER:
        return ""
    return f"{rating.ordinal_q32((standing.mu_q32, standing.sigma_q32)) / ONE_Q32:.2f}"


def standing_words(ledger: Ledger) -> dict[bytes, str]:
    """What there is to say of a seat now: gone, banned, drawn or not, not among the paid; accounts with nothing to say
    are left out."""
    if ledger.params is None:
        return {}
    params, number = ledger.params, len(ledger.rounds)
    seats = ledger.seats[Role.TRAINER]
    standings = ledger.seated(Role.TRAINER, len(seats))
    due = mechanism.weights(params, standings)
    ranked = sorted(
        (i for i, weight in enumerate(due) if weight),
        key=lambda i: (-rating.ordinal_q32((standings[i].mu_q32, standings[i].sigma_q32)), i),
    )
    words = {}
    for place, i in enumerate(ranked[params.top :]):
        words[standings[i].account] = "in reserve" if place < params.reserve else "not among the best"
    for standing in standings:
        if number and mechanism.is_banned(standing, number):
            words[standing.account] = f"banned to round {standing.ban_round}"
    if ledger.rounds and ledger.round.active != ledger.round.eligible:
        for seat in ledger.seats[Role.VERIFIER]:
            if ledger.round.eligible >> seat.index & 1:
                words[seat.account] = "drawn" if ledger.round.active >> seat.index & 1 else "not drawn"
    for role in Role:
        words |= {seat.account: "gone" for seat in ledger.seats[role] if seat.gone}
    return words


def in_committee(ledger: Ledger, number: int, verifier: int) -> bool:
    """Whether a verifier's report counted in that round."""
    return number <= len(ledger.rounds) and bool(ledger.rounds[number - 1].active >> verifier & 1)


def outcomes(found: Audit, people: Sequence[Mapping[str, str]]) -> list[Outcome]:
    """One row per participant, over the rounds that were audited.

    ``people`` are rows of ``participants.json``; whoever holds a seat and is not among them is named after the seat.
    """
    ledger = found.ledger
    seats = seats_by_account(ledger)
    rows = [
        (bytes.fromhex(row["account"].removeprefix("0x")), row["name"], row["role"], row["strategy"]) for row in people
    ]
    known = {account for account, *_ in rows}
    for account, seat in seats.items():
        if account not in known:
            kind = seat.role.name.lower()
            left = "" if ledger.seats[seat.role][seat.index] is seat else ", left"
            rows.append((account, f"{kind} {seat.index}{left}", kind, ""))
    return [
        Outcome(
            name=name,
            account=account,
            role=role,
            strategy=strategy,
            verdicts=_verdicts(found, seats.get(account)),
            earned_wei=sum(round_.paid_wei.get(account, 0) for round_ in found.rounds),
            slashed_wei=sum(round_.slashed_wei.get(account, 0) for round_ in found.rounds)
            + sum(row.lost_wei for row in ledger.seized if row.account == account),
        )
        for account, name, role, strategy in rows
    ]


def seat_outcome(ledger: Ledger, rows: Sequence[Outcome], role: Role, index: int, number: int) -> Outcome:
    """The row of whoever held a seat in round ``number``."""
    account = holder(ledger, role, index, number).account
    return next(row for row in rows if row.account == account)


def _verdicts(found: Audit, seat: Seat | None) -> dict[str, int]:
    if seat is None:
        return {}
    index, ledger = seat.index, found.ledger
    rounds = [
        round_
        for round_ in found.rounds
        if seat.since_round <= round_.number and holder(ledger, seat.role, index, round_.number) is seat
    ]
    if seat.role is Role.TRAINER:
        given = [verdict_names(round_.verdicts, round_.barred)[index] for round_ in rounds if round_.verdicts[index:]]
        return dict(Counter(sorted(given, key=_gravity)))
    counts = dict.fromkeys(("in", "grey", "out", "absent"), 0)
    for round_ in rounds:
        if index < len(round_.distances_bits) and in_committee(ledger, round_.number, index):
            counts[agreement(round_.distances_bits[index], ledger.terms)] += 1
    return counts


# Dictionaries for --json; amounts in wei are strings, because they do not fit a double


def run_summary(ledger: Ledger) -> dict[str, Any]:
    """A run as ``gradmint run show --json`` prints it."""
    words = standing_words(ledger)
    return {
        "run": ledger.run,
        "phase": ledger.phase.name,
        "round": len(ledger.rounds),
        "deadline_s": ledger.deadline_s,
        "sponsor": hexed(ledger.sponsor),
        "token": hexed(ledger.token),
        "deposited_wei": str(ledger.deposited_wei),
        "total_wei": str(ledger.total_wei),
        "claimed_wei": str(sum(ledger.claimed_wei.values())),
        "refunded_wei": str(ledger.refunded_wei),
        "slashed_wei": str(sum(ledger.slashed_wei.values())),
        "prices_wei": str(ledger.prices_wei),
        "bonds_wei": {hexed(account): str(wei) for account, wei in ledger.bonds_wei.items()},
        "left_wei": {hexed(account): str(wei) for account, wei in ledger.left_wei.items()},
        "final_rounds": [round_.number for round_ in ledger.rounds if round_.settled],
        "pending": [
            {"round": proposal.round, "proposer": hexed(proposal.proposer), "final_s": proposal.final_s}
            for proposal in ledger.pending
        ],
        "params": params_summary(ledger.params) if ledger.params else None,
        "participants": [
            {
                "role": role.name.lower(),
                "index": seat.index,
                "account": hexed(seat.account),
                "stake_wei": str(seat.stake_wei),
                "gone": seat.gone,
                "word": words.get(seat.account, ""),
                "claimed_wei": str(ledger.claimed_wei.get(seat.account, 0)),
                **_standing_summary(standing),
            }
            for role in Role
            for seat, standing in zip(ledger.seats[role], ledger.seated(role, len(ledger.seats[role])), strict=True)
        ],
    }


def params_summary(params: Params) -> dict[str, Any]:
    return {item.name: _plain_value(item.name, getattr(params, item.name)) for item in fields(params)}


def _standing_summary(standing: Standing) -> dict[str, Any]:
    skipped = ("account", "role")
    named = {item.name: getattr(standing, item.name) for item in fields(standing) if item.name not in skipped}
    return {name: _plain_value(name, value) for name, value in named.items()}


def _plain_value(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return hexed(value)
    if isinstance(value, tuple):
        return list(value)
    return str(value) if name.endswith("_wei") else value


def audit_summary(found: Audit) -> dict[str, Any]:
    """An audit as ``gradmint audit --json`` prints it."""
    balance = found.balance
    return {
        "ok": found.ok,
        "run": found.run,
        "chain_id": found.chain_id,
        "rounds": [round_summary(round_) for round_ in found.rounds],
        "balance": {item.name: str(getattr(balance, item.name)) for item in fields(balance)} if balance else None,
        "refutations": refutations(found),
        "exposures": exposures(found.ledger),
        "pending": [proposal.round for proposal in found.ledger.pending],
        "model": hexed(found.model),
        "loss_nats": found.loss_nats,
        "divergences": divergences(found.divergence),
    }


def divergences(one: Divergence | None) -> list[dict[str, Any]]:
    """None or one: an audit stops at the first."""
    if one is None:
        return []
    return [
        {"round": one.round, "row": one.row, "expected": str(one.expected), "found": str(one.found), "why": one.why}
    ]


def refutations(found: Audit) -> list[dict[str, Any]]:
    """Proposals that were struck out, what was wrong with them, and where the bond went."""
    return [refutation_summary(found.ledger, one) for one in found.refutations]


def refutation_summary(ledger: Ledger, one: Refutation) -> dict[str, Any]:
    lost = next((lost for lost in ledger.forfeited if lost.tx_hash == one.event.tx_hash), None)
    parts = {"reward_wei": lost.reward_wei, "burned_wei": lost.burn_wei, "pooled_wei": lost.pool_wei} if lost else {}
    return {
        "round": one.event.round,
        "proposer": hexed(one.event.proposer),
        "beneficiary": hexed(one.event.challenger),
        "what": one.what,
        "proposed": one.proposed,
        "executed": one.executed,
        **{name: str(wei) for name, wei in parts.items()},
    }


def exposures(ledger: Ledger) -> list[dict[str, Any]]:
    """Planted updates that verifiers called OK, and who lost what to whom."""
    found = []
    for event in ledger.exposed:
        rows = seized_by(ledger, event)
        lost = {hexed(row.account): str(row.lost_wei) for row in rows}
        money = {"lost_wei": lost, "reward_wei": str(sum(row.reward_wei for row in rows))}
        found.append({"round": event.round, "trainer": event.trainer, "exposer": hexed(event.exposer)} | money)
    return found


def round_summary(round_: RoundAudit) -> dict[str, Any]:
    assigned = round_.assigned_gains_micronats
    return {
        "number": round_.number,
        "void": round_.loss_micronats is None,
        "final": round_.final,
        "loss_micronats": round_.loss_micronats,
        "committee": list(round_.committee),
        "attempts": round_.attempts,
        "cluster": list(round_.cluster),
        "distances_bits": list(round_.distances_bits),
        "own_distance_bits": round_.own_distance_bits,
        "verdicts": verdict_names(round_.verdicts, round_.barred),
        "reasons": list(round_.reasons),
        "common_gains_micronats": list(round_.common_gains_micronats),
        "assigned_gains_micronats": [None if gain == UNSAMPLED else gain for gain in assigned],
        "weights": None if round_.weights is None else list(round_.weights),
        "paid_wei": {hexed(account): str(amount_wei) for account, amount_wei in round_.paid_wei.items()},
        "slashed_wei": {hexed(account): str(amount_wei) for account, amount_wei in round_.slashed_wei.items()},
        "base": hexed(round_.base),
        "gas": round_.gas,
    }


def demo_json(found: Audit, people: Sequence[Mapping[str, str]], timing: Timing | None = None) -> dict[str, Any]:
    """A demo as ``gradmint demo --json`` prints it. ``loss`` is in the task's unit, None where that is not known."""
    ledger = found.ledger
    rows = outcomes(found, people)
    summary: dict[str, Any] = {
        "rounds": [
            {
                "number": round_.number,
                "loss_micronats": round_.loss_micronats,
                "loss": loss_text(round_.loss_micronats, found.metric) if found.metric else None,
                "gas": sum(round_.gas.values()),
                "paid_wei": str(sum(round_.paid_wei.values())),
                "final": round_.final,
            }
            for round_ in found.rounds
        ],
        "participants": [
            {
                "name": row.name,
                "account": hexed(row.account),
                "role": row.role,
                "strategy": row.strategy,
                "verdicts": row.verdicts,
                "earned_wei": str(row.earned_wei),
                "slashed_wei": str(row.slashed_wei),
            }
            for row in rows
        ],
        "totals": {
            "deposited_wei": str(ledger.deposited_wei),
            "paid_wei": str(ledger.total_wei),
            "claimed_wei": str(sum(ledger.claimed_wei.values())),
            "unpaid_wei": str(ledger.deposited_wei - ledger.total_wei - ledger.refunded_wei),
            "refunded_wei": str(ledger.refunded_wei),
            "slashed_wei": str(sum(ledger.slashed_wei.values())),
            "prices_wei": str(ledger.prices_wei),
            "gas": sum(sum(round_.gas.values()) for round_ in found.rounds),
            "rounds": len(found.rounds),
        },
        "refutations": refutations(found),
        "exposures": exposures(ledger),
        "loss_nats": found.loss_nats,
        "audit": {"ok": found.ok, "divergences": divergences(found.divergence)},
    }
    if timing is not None:
        summary["overhead"] = overhead_summary(timing)
    return summary


def overhead_summary(timing: Timing) -> dict[str, Any]:
    """Seconds, rounded to the trace's resolution."""
    return {
        "median_share": round(timing.median_share, 4),
        "median_s": round(timing.median_overhead_s, 4),
        "rounds": [
            {
                "round": item.round,
                "wall_s": round(item.wall_s, 4),
                "overhead_s": round(item.overhead_s, 4),
                "phases": {name: round(phase.overhead_s, 4) for name, phase in item.phases.items()},
            }
            for item in timing.rounds
        ],
    }
