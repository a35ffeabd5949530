"""Tables and lines for people, on standard output. The facts are in ``summary.py``; both are imported from here.

Names and reasons come from strangers: they are shown as text without markup, and without control characters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..spec.ledger import Ledger
from ..spec.types import ONE_Q32, Role, Verdict
from .display import DemoDisplay
from .summary import (
    HONEST,
    Metric,
    Outcome,
    audit_summary,
    brief,
    counts_text,
    demo_json,
    exact_tokens,
    exposures,
    hexed,
    loss_text,
    nats,
    outcomes,
    params_summary,
    plain,
    rating_text,
    refutations,
    run_summary,
    standing_words,
    tokens,
    verdict_counts,
)

if TYPE_CHECKING:
    from ..roles.auditor import Audit, RoundAudit
    from ..roles.balance import Balance

__all__ = [
    "DemoDisplay",
    "Outcome",
    "audit_summary",
    "demo_json",
    "final_table",
    "outcomes",
    "run_summary",
    "show_audit_end",
    "show_round",
    "show_run",
    "show_runs",
]

PIPE_WIDTH = 160  # where no terminal says how wide it is


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    return console


def _table(*columns: str) -> Table:
    """A column whose name starts with ">" holds numbers."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in columns:
        right = name.startswith(">")
        table.add_column(name.removeprefix(">"), justify="right" if right else "left", no_wrap=right)
    return table


# Runs


def show_runs(ledgers: Sequence[Ledger]) -> None:
    """One line per run."""
    table = _table(
        ">run", "phase", ">round", ">trainers", ">verifiers", ">deposited", ">promised", ">claimed", "sponsor"
    )
    for ledger in ledgers:
        table.add_row(
            str(ledger.run),
            ledger.phase.name,
            _round_of(ledger),
            *(str(len(ledger.seats[role])) for role in Role),
            tokens(ledger.deposited_wei),
            tokens(ledger.total_wei),
            tokens(sum(ledger.claimed_wei.values())),
            brief(ledger.sponsor),
        )
    _console().print(table if ledgers else "no runs yet; open one with 'gradmint run open'")


def show_run(ledger: Ledger) -> None:
    """Phase, money, participants and parameters of one run."""
    console = _console()
    claimed_wei = sum(ledger.claimed_wei.values())
    head = Table.grid(padding=(0, 2))
    head.add_column(style="dim")
    for name, value in (
        ("run", f"{ledger.run}, in {ledger.phase.name}, round {_round_of(ledger)}"),
        ("sponsor", hexed(ledger.sponsor)),
        ("token", hexed(ledger.token)),
        ("deposited", exact_tokens(ledger.deposited_wei)),
        ("promised", f"{exact_tokens(ledger.total_wei)}, of which claimed {exact_tokens(claimed_wei)}"),
        ("refunded", exact_tokens(ledger.refunded_wei)),
        ("settled", _settled(ledger)),
    ):
        head.add_row(name, value)
    console.print(head)
    console.print(_seats(ledger))
    if ledger.params is not None:
        params = Table.grid(padding=(0, 2))
        params.add_column(style="dim")
        for name, value in params_summary(ledger.params).items():
            shown = f"{exact_tokens(int(value))} tokens" if name.endswith("_wei") else value
            params.add_row(name, " ".join(map(str, shown)) if isinstance(shown, list) else str(shown))
        console.print(Text("parameters", "bold"), params, sep="\n")


def _settled(ledger: Ledger) -> str:
    final = sum(round_.settled is not None for round_ in ledger.rounds)
    if ledger.params is None or ledger.is_direct:
        return f"{_count(final, 'round')}, re-executed on chain"
    parts = [f"{final} of {_count(sum(r.record is not None for r in ledger.rounds), 'recorded round')} final"]
    if ledger.pending:
        parts.append(f"proposed {', '.join(str(proposal.round) for proposal in ledger.pending)}")
    if ledger.bonds_wei:
        parts.append(f"bonds {exact_tokens(sum(ledger.bonds_wei.values()))}")
    return "; ".join(parts)


def _round_of(ledger: Ledger) -> str:
    return f"{len(ledger.rounds)} of {ledger.params.max_rounds}" if ledger.params else str(len(ledger.rounds))


def _seats(ledger: Ledger) -> Table:
    table = _table(
        *("seat", "account", ">stake", ">rounds", ">earned", ">claimed", ">value", ">proof", ">trust", ">rating"),
        *(">misses", ""),
    )
    words = standing_words(ledger)
    for role in Role:
        seats = ledger.seats[role]
        for seat, standing in zip(seats, ledger.seated(role, len(seats)), strict=True):
            shares = (
                [f"{number / ONE_Q32:.3f}" for number in (standing.value_q32, standing.proof_q32, standing.trust_q32)]
                if role is Role.TRAINER
                else ["", "", ""]
            )
            table.add_row(
                f"{role.name.lower()} {seat.index}",
                hexed(seat.account),
                tokens(seat.stake_wei),
                str(standing.rounds),
                tokens(standing.paid_wei),
                tokens(ledger.claimed_wei.get(seat.account, 0)),
                *shares,
                rating_text(standing),
                str(standing.misses),
                words.get(seat.account, ""),
            )
    return table


# Audits


def show_round(round_: RoundAudit, metric: Metric = nats) -> None:
    """One audited round in one line."""
    line = Text.assemble(("round ", "dim"), f"{round_.number:>4}  ")
    if round_.loss_micronats is None:
        line.append("void: no quorum, nobody paid", "yellow")
    else:
        line.append("loss ", "dim").append(f"{loss_text(round_.loss_micronats, metric):<11}")
        line.append("  cluster ", "dim").append(" ".join(map(str, round_.cluster)), "green")
        if round_.attempts > 1:
            line.append(" all called in", "yellow")
        line.append("  bits", "dim")
        for verifier, distance in enumerate(round_.distances_bits):
            style = "green" if verifier in round_.cluster else "dim" if distance is None else "red"
            line.append(f" {'-' if distance is None else distance:>3}", style)
    line.append("  paid ", "dim").append(f"{tokens(sum(round_.paid_wei.values())):>7}")
    if round_.slashed_wei:
        line.append("  slashed ", "dim").append(tokens(sum(round_.slashed_wei.values())), "red")
    line.append("  gas ", "dim").append(f"{sum(round_.gas.values()):>9,}")
    line.append("  model ", "dim").append(f"{brief(round_.base)} ok")
    if round_.own_distance_bits is not None:
        line.append("  own ", "dim").append(f"{round_.own_distance_bits} bits")
    if round_.verdicts:
        bad = any(verdict is not Verdict.OK for verdict in round_.verdicts)
        line.append("  ").append(verdict_counts(round_.verdicts, round_.barred), "yellow" if bad else "green")
    if not round_.final:
        line.append("  not final yet", "yellow")
    _console().print(line, soft_wrap=True)


def show_audit_end(found: Audit, html: Path | None = None, names: Mapping[str, str] | None = None) -> None:
    """The verdict: clean with the balance, or where the data part with both values. ``names`` by account in hex."""
    console = _console()
    one = found.divergence
    show_refutations(found, names or {})
    show_exposures(found, names or {})
    if one is None:
        settled = sum(round_.loss_micronats is not None and round_.final for round_ in found.rounds)
        void = sum(round_.loss_micronats is None for round_ in found.rounds)
        waiting = len(found.rounds) - settled - void
        console.print(
            Text("audit clean: ", "bold green"),
            Text(f"{_count(settled, 'round')} settled{f', {void} void' if void else ''}"),
            Text(f", {waiting} not final yet" if waiting else "", "yellow"),
            Text("; "),
            Text("every commitment opened, settlement re-executed and model rebuilt"),
            sep="",
            soft_wrap=True,
        )
        if found.balance is not None:
            console.print(balance_line(found.balance), soft_wrap=True)
            if found.balance.bonds_wei or found.balance.poolable_wei:
                console.print(bonds_line(found.balance), soft_wrap=True)
        if found.loss_nats is not None:
            metric = found.metric or nats
            number, unit = metric(found.loss_nats)
            known = f"; {found.reference[1]} reaches {metric(found.reference[0])[0]:.3f}" if found.reference else ""
            console.print(f"model {brief(found.model)}: loss {number:.3f} {unit}, measured here{known}", soft_wrap=True)
    else:
        where = "run" if one.round is None else f"round {one.round}"
        console.print(Text(f"audit diverged in {where}: {plain(one.row)}", "bold red"), soft_wrap=True)
        for name, value in (("expected", one.expected), ("found", one.found), ("why", one.why)):
            console.print(Text.assemble((f"  {name:<9}", "dim"), (plain(value, 2_000), "red")), soft_wrap=True)
        console.print(f"{_count(len(found.rounds), 'round')} before it held; nothing after it was looked at")
    if html is not None:
        console.print(Text(f"page: {html}"), soft_wrap=True)


def balance_line(balance: Balance) -> str:
    """Exact to the wei, so that anyone can add it up."""
    parts = [
        f"{name} {exact_tokens(amount_wei)}"
        for name, amount_wei in (
            ("claimed", balance.claimed_wei),
            ("claimable", balance.claimable_wei),
            ("unpaid", balance.unpaid_wei),
            ("refunded", balance.refunded_wei),
        )
    ]
    return f"deposited {exact_tokens(balance.deposited_wei)} = {' + '.join(parts)}"


def bonds_line(balance: Balance) -> str:
    line = f"bonds for proposals and challenges {exact_tokens(balance.bonds_wei)}"
    if balance.poolable_wei:
        line += f"; of lost ones {exact_tokens(balance.poolable_wei)} waits to join the budget ('gradmint pool')"
    return line


def show_refutations(found: Audit, names: Mapping[str, str]) -> None:
    """Who proposed what falsely, and where the bond went."""
    console = _console()
    for row in refutations(found):
        proposer, winner = (plain(names.get(row[key], row[key]), 60) for key in ("proposer", "beneficiary"))
        line = Text.assemble(
            ("refuted ", "bold red"),
            f"round {row['round']}: {proposer} proposed {row['what']} {_brief(row['proposed'])}, re-execution gives "
            f"{_brief(row['executed'])}",
        )
        if "reward_wei" in row:
            reward, burned, pooled = (tokens(int(row[f"{key}_wei"])) for key in ("reward", "burned", "pooled"))
            bond = tokens(sum(int(row[f"{key}_wei"]) for key in ("reward", "burned", "pooled")))
            line.append(f"; bond of {bond}: {reward} to {winner}, {burned} burned, {pooled} to the budget")
        console.print(line, soft_wrap=True)


def show_exposures(found: Audit, names: Mapping[str, str]) -> None:
    """Whose update was planted, and what calling it OK cost whom."""
    for row in exposures(found.ledger):
        lost = ", ".join(f"{plain(names.get(who, who), 60)} {tokens(int(wei))}" for who, wei in row["lost_wei"].items())
        winner = plain(names.get(row["exposer"], row["exposer"]), 60)
        line = Text.assemble(
            ("exposed ", "bold red"),
            f"round {row['round']}: the update of trainer {row['trainer']} was planted; for calling it OK lost: {lost}"
            f"; {tokens(int(row['reward_wei']))} of that to {winner}",
        )
        _console().print(line, soft_wrap=True)


def _brief(value: str) -> str:
    return f"{value[:8]}.." if len(value) > 40 and " " not in value else plain(value, 120)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# The demo's result


def final_table(rows: Sequence[Outcome]) -> None:
    """Who did what and what it earned them."""
    table = _table("participant", "strategy", "verdicts", ">earned", ">slashed")
    for before, row in zip([None, *rows], rows, strict=False):
        if before is not None and before.role != row.role:
            table.add_section()
        table.add_row(
            Text(plain(row.name)),
            strategy_text(row.strategy),
            verdicts_text(row.verdicts),
            tokens(row.earned_wei),
            Text(tokens(row.slashed_wei) if row.slashed_wei else "-", "red" if row.slashed_wei else "dim"),
            style="red" if row.is_adversary else "",
        )
    _console().print(table)


def strategy_text(strategy: str) -> Text:
    if strategy in ("", HONEST):
        return Text(strategy or "not known", "dim")
    return Text(f"cheats: {plain(strategy)}", "bold red")


def verdicts_text(counts: Mapping[str, int]) -> Text:
    good = {Verdict.OK.name, "in"}
    return Text(counts_text(counts) or "-", "" if any(counts.get(name) for name in counts.keys() - good) else "green")
