"""The audit as one self-contained page: no scripts, nothing loaded from elsewhere, same bytes for the same audit."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from ..spec.errors import SettingsError
from ..spec.types import UNSAMPLED, Role, Verdict
from .figures import Figures, gas_kinds, loss_points
from .plots import WIDE, letter_colour
from .summary import (
    Metric,
    Outcome,
    agreement,
    brief,
    counts_text,
    hexed,
    in_committee,
    loss_text,
    nats,
    outcomes,
    params_summary,
    percent,
    plain,
    rating_text,
    refutations,
    seat_outcome,
    standing_words,
    tokens,
    verdict_counts,
    verdict_names,
)
from .timing import Timing, measure

if TYPE_CHECKING:
    from ..roles.auditor import Audit, RoundAudit

PEOPLE = "participants.json"
TEMPLATE = "report.html.j2"
SENDERS = {"submit": "each trainer", "hold": "each verifier", "commit": "each verifier", "reveal": "each verifier"}
PARTS = ("reward", "burned", "pooled")  # of a lost bond
MOST_ROWS = 2_000  # participants' rows in the details of rounds; the newest rounds have theirs


def write_report(found: Audit, path: Path, out: Path | None = None) -> None:
    """Write the page to ``path``.

    ``out`` is a demo's folder, for names, strategies and timing. Raises SettingsError when it holds a
    ``participants.json`` that is none.
    """
    people = read_people(out) if out is not None else []
    timing = measure(out) if out is not None else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_report(found, people, timing, command(found, path, out)), encoding="utf-8")


def read_people(out: Path) -> list[dict[str, str]]:
    """Rows of a demo's ``participants.json``; none when there is no such file. Raises SettingsError."""
    path = out / PEOPLE
    if not path.exists():
        return []
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        people = [{key: str(row[key]) for key in ("account", "name", "role", "strategy")} for row in rows]
        for row in people:
            bytes.fromhex(row["account"].removeprefix("0x"))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SettingsError(
            f"{path} is no list of participants: {type(error).__name__} {error}; run the demo again"
        ) from error
    return people


def command(found: Audit, path: Path, out: Path | None) -> str:
    """What to type to get this page again."""
    page = f"--html {shlex.quote(str(path))}"
    if out is not None:
        return f"gradmint audit --out {shlex.quote(str(out))} {page}"
    return f"gradmint audit --rpc URL --deployment deployment.json --store STORE --run {found.run} {page}"


def render_report(
    found: Audit,
    people: Sequence[Mapping[str, str]],
    timing: Timing | None,
    again: str,
) -> str:
    """The page's text. ``again`` is the command that makes it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(plain=plain, tokens=tokens, digits=digits, hexed=hexed, brief=brief)
    environment.filters["letter_colour"] = letter_colour
    page = Page(found, people, timing)
    return environment.get_template(TEMPLATE).render(page=page, audit=found, timing=timing, again=again)


def digits(number: int) -> Markup:
    """A long integer that may break after its commas."""
    return Markup(f"{number:,}".replace(",", ",<wbr>"))


class Page:
    """What the template shows, as strings, rows and figures."""

    wide = WIDE

    def __init__(
        self,
        found: Audit,
        people: Sequence[Mapping[str, str]],
        timing: Timing | None,
    ) -> None:
        self.found, self.ledger, self.rounds, self.timing = found, found.ledger, found.rounds, timing
        self.metric: Metric = found.metric or nats
        reference = None
        if found.reference is not None:
            loss_nats, whose = found.reference
            reference = (self.metric(loss_nats)[0], whose)
        self.outcomes = outcomes(found, people)
        self.figures = Figures(found, self.outcomes, timing, reference)
        self.losses = loss_points(found)
        self.settled = sum(round_.loss_micronats is not None for round_ in self.rounds)
        self.params = params_summary(self.ledger.params) if self.ledger.params else {}
        self.refutations = refutations(found)
        self.waiting = sum(not round_.final for round_ in self.rounds)
        self._words = standing_words(self.ledger)
        self._standings = {
            standing.account: standing
            for role in Role
            for standing in self.ledger.seated(role, len(self.ledger.seats[role]))
        }
        self.knows_strategies = any(row.strategy for row in self.outcomes)

    def sections(self) -> list[tuple[str, str]]:
        """(anchor, title) of the sections that this audit has."""
        listed = (
            ("learning", "Loss", self.losses),
            ("participants", "Pay", self.outcomes),
            ("verdicts", "Verdicts", self.settled),
            ("agreement", "Agreement", self.settled),
            ("cost", "Gas", self.rounds),
            ("time", "Time", self.timing),
            ("refuted", "Refuted", self.refutations),
            ("balance", "Balance", self.found.balance),
            ("rounds", "Rounds", self.rounds),
            ("again", "Check it yourself", True),
        )
        return [(anchor, title) for anchor, title, there in listed if there]

    def key_figures(self) -> list[tuple[str, str, str]]:
        """(what, value, explanation)."""
        rows = []
        if self.losses:
            first, last = self.losses[0][1], self.losses[-1][1]
            (start, unit), (end, _) = self.metric(first / 1e6), self.metric(last / 1e6)
            rows.append(("Loss", f"{end:.3f}", f"{unit}, from {start:.3f}"))
        void = len(self.rounds) - self.settled
        waiting = f", {self.waiting} not final yet" if self.waiting else ""
        rows.append(("Rounds settled", str(self.settled - self.waiting), f"{void or 'none'} void{waiting}"))
        paid_wei = sum(row.earned_wei for row in self.outcomes)
        rows.append(("Tokens paid", tokens(paid_wei), f"of {tokens(self.ledger.deposited_wei)} deposited"))
        if self.knows_strategies:
            cheats = [row for row in self.outcomes if row.is_adversary]
            taken_wei = sum(row.earned_wei for row in cheats)
            share = percent(taken_wei / paid_wei if paid_wei else 0.0)
            rows.append(("Paid to cheats", share, f"{len(cheats)} of {len(self.outcomes)} participants"))
        slashed_wei = sum(row.slashed_wei for row in self.outcomes)
        if self.refutations:
            lost_wei = sum(int(row.get(f"{key}_wei", 0)) for row in self.refutations for key in PARTS)
            rows.append(("Proposals refuted", str(len(self.refutations)), f"bonds of {tokens(lost_wei)} tokens lost"))
        if self.ledger.exposed:
            lost_wei = sum(row.lost_wei for row in self.ledger.seized)
            rows.append(("Plants exposed", str(len(self.ledger.exposed)), f"stakes of {tokens(lost_wei)} tokens lost"))
        rows.append(("Tokens slashed", tokens(slashed_wei), "from verifiers’ stakes"))
        if self.rounds:
            gas = sum(sum(round_.gas.values()) for round_ in self.rounds)
            rows.append(("Gas a round", f"{gas // len(self.rounds):,}", f"{gas:,} in all"))
        if self.timing is not None:
            share, seconds = percent(self.timing.median_share), self.timing.median_overhead_s
            rows.append(("Overhead", share, f"of a round’s time, {seconds:.2f} s"))
        return rows

    def role_rows(self, role: str) -> list[Outcome]:
        return [row for row in self.outcomes if row.role == role]

    def verdicts_of(self, row: Outcome) -> str:
        return counts_text(row.verdicts)

    def rating_of(self, row: Outcome) -> str:
        """Ordinal of a trainer who holds a seat, and what else is to be said of it."""
        standing = self._standings.get(row.account)
        shown = rating_text(standing) if standing else ""
        return ", ".join(filter(None, (shown, self._words.get(row.account, ""))))

    def refuted_rows(self) -> list[tuple[int, str, str, str, str, str, list[str]]]:
        """(round, proposer, field, proposed, re-executed, who proved it, parts of the bond in tokens)."""
        names = {hexed(row.account): row.name for row in self.outcomes}
        return [
            (
                row["round"],
                names.get(row["proposer"], row["proposer"]),
                row["what"],
                row["proposed"],
                row["executed"],
                names.get(row["beneficiary"], row["beneficiary"]),
                [tokens(int(row[f"{key}_wei"])) if f"{key}_wei" in row else "–" for key in PARTS],
            )
            for row in self.refutations
        ]

    # Money

    def balance_rows(self) -> list[tuple[str, str, int]]:
        """(sign, what, wei): the budget and what became of it."""
        balance = self.found.balance
        if balance is None:
            return []
        return [
            ("", "deposited", balance.deposited_wei),
            ("−", "claimed by participants", balance.claimed_wei),
            ("−", "earned, not claimed yet", balance.claimable_wei),
            ("−", "not paid to anyone", balance.unpaid_wei),
            ("−", "refunded to the sponsor", balance.refunded_wei),
        ]

    def remainder_wei(self) -> int:
        first, *rest = (amount_wei for _, _, amount_wei in self.balance_rows())
        return first - sum(rest)

    def stake_rows(self) -> list[tuple[str, int]]:
        balance = self.found.balance
        if balance is None:
            return []
        return [
            ("staked now", balance.staked_wei),
            ("slashed, burned", balance.slashed_wei),
            ("prices of seats, burned", balance.prices_wei),
            ("bonds for proposals and challenges", balance.bonds_wei),
            ("of lost bonds, waiting to join the budget", balance.poolable_wei),
            ("in the escrow, but not of this run", balance.other_wei),
        ]

    def gas_rows(self) -> list[tuple[str, str, int, int, int]]:
        """(kind, who sends it, how many, gas of one, gas a round) over all audited rounds."""
        counts = dict.fromkeys(("submit", "hold", "commit", "reveal"), 0)
        for round_ in self.ledger.rounds[: len(self.rounds)]:
            counts["submit"] += len(round_.submissions)
            counts["hold"] += len(round_.holds)
            counts["commit"] += len(round_.commits)
            counts["reveal"] += len(round_.reveals)
        rows = []
        for kind in gas_kinds(self.rounds):
            used = sum(round_.gas.get(kind, 0) for round_ in self.rounds)
            count = counts.get(kind) or sum(kind in round_.gas for round_ in self.rounds)
            who = SENDERS.get(kind, "anyone")
            rows.append((kind, who, count, used // count, used // len(self.rounds)))
        return rows

    # Rounds

    def details(self) -> list[tuple[RoundAudit, str, list[list[str]], list[list[str]], bool]]:
        """(round, its line, rows of trainers, rows of verifiers, whether those fit), newest round first."""
        left = MOST_ROWS
        listed = []
        for round_ in reversed(self.rounds):
            left -= len(round_.verdicts) + len(round_.distances_bits)
            fits = left >= 0
            trainers, verifiers = (self._trainers(round_), self._verifiers(round_)) if fits else ([], [])
            listed.append((round_, self._line(round_), trainers, verifiers, fits))
        return listed

    def _line(self, round_: RoundAudit) -> str:
        gas = f"gas {sum(round_.gas.values()):,}{'' if round_.final else ' · not final yet'}"
        if round_.loss_micronats is None:
            return f"void: no quorum, nobody paid · {gas}"
        paid = tokens(sum(round_.paid_wei.values()))
        loss = loss_text(round_.loss_micronats, self.metric)
        again = "no quorum among those drawn, everyone called in · " if round_.attempts > 1 else ""
        return f"{again}loss {loss} · {verdict_counts(round_.verdicts, round_.barred)} · paid {paid} · {gas}"

    def _trainers(self, round_: RoundAudit) -> list[list[str]]:
        rows = []
        names = verdict_names(round_.verdicts, round_.barred)
        for index, verdict in enumerate(round_.verdicts):
            row = seat_outcome(self.ledger, self.outcomes, Role.TRAINER, index, round_.number)
            ok, assigned = verdict is Verdict.OK, round_.assigned_gains_micronats[index]
            weight = dict(enumerate(round_.weights or ())).get(index)
            rows.append(
                [
                    plain(row.name, 60),
                    names[index],
                    f"{round_.common_gains_micronats[index]:,}" if ok else "–",
                    f"{assigned:,}" if ok and assigned != UNSAMPLED else "–",
                    f"{weight:.4f}" if weight else "–",
                    tokens(round_.paid_wei.get(row.account, 0)),
                    plain(round_.reasons[index]) if index < len(round_.reasons) else "",
                ]
            )
        return rows

    def _verifiers(self, round_: RoundAudit) -> list[list[str]]:
        rows = []
        for index, distance in enumerate(round_.distances_bits):
            row = seat_outcome(self.ledger, self.outcomes, Role.VERIFIER, index, round_.number)
            word = "not in committee"
            if in_committee(self.ledger, round_.number, index):
                word = agreement(distance, self.ledger.terms)
            elif self.ledger.rounds[round_.number - 1].eligible >> index & 1:
                word = "not drawn"
            slashed_wei = round_.slashed_wei.get(row.account, 0)
            rows.append(
                [
                    plain(row.name, 60),
                    word,
                    "–" if distance is None else str(distance),
                    tokens(round_.paid_wei.get(row.account, 0)),
                    tokens(slashed_wei) if slashed_wei else "–",
                ]
            )
        return rows

    def pins(self) -> list[tuple[str, str]]:
        """What the run is nailed down by."""
        params = self.ledger.params
        if params is None:
            return []
        rows = (
            ("sponsor", self.ledger.sponsor),
            ("token", self.ledger.token),
            ("task manifest", params.manifest),
            ("first model", params.model),
            ("last model", self.found.model),
            ("transcript", self.ledger.transcript),
            ("transcript of settlements", b"" if self.ledger.is_direct else self.ledger.settlements),
        )
        return [(name, hexed(value)) for name, value in rows if value]
