"""Reputations and attacks on them, as tables for people and as plain values for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.markup import escape

from ..reputation.explain import LEAST_BPS, MOST_BPS, Explanation
from ..roles.reputation_auditor import ReputationAudit
from ..spec.book import LAPSE_EPOCHS, Book
from ..spec.feedback import ROUND_UNITS, Graph
from ..spec.reputation import ONE_MASS, Path
from ..spec.reputation_params import ReputationParams
from ..spec.types import BPS, ONE_Q32
from ..study.sybils import Findings
from .summary import divergences, exact_tokens, hexed, plain
from .tables import new_console, new_table


def short(account: bytes) -> str:
    return f"0x{account.hex()[:8]}..{account.hex()[-4:]}"


def as_object(graph: Graph, params: ReputationParams, found: Explanation, seeds: Sequence[bytes]) -> dict[str, Any]:
    """Masses as parts of 1 and, exactly, as decimal strings in units of 2^-56."""

    def names(path: Path) -> list[str]:
        return [hexed(graph.accounts[place]) for place in path]

    return {
        "account": hexed(graph.accounts[found.account]),
        "graph": found_digest(graph),
        "seeds": [hexed(seed) for seed in seeds],
        "is_seed": found.is_seed,
        "hits": found.hits / ONE_MASS,
        "score": found.score / ONE_MASS,
        "exact": {"hits": str(found.hits), "score": str(found.score), "reference": str(found.reference)},
        "rank": found.rank,
        "ranked": found.ranked,
        "rating": found.rating_q32 / ONE_Q32,
        "rating_q32": found.rating_q32,
        "multiplier": found.multiplier_q32 / ONE_Q32,
        "multiplier_q32": found.multiplier_q32,
        "connectivity": found.connectivity,
        "credibility": params.factor_q32(found.connectivity) / ONE_Q32,
        "paths": [names(path) for path in found.paths],
        "cut": None if found.cut is None else names(tuple(sorted(found.cut.through))),
        "witness": {"accounts": names(found.witness.places), "part_of_hits": found.witness.part},
        "passed_by_every_path": names(found.chain),
        "strongest": [
            {
                "account": hexed(graph.accounts[one.account]),
                "weight": one.weight,
                "hits": one.mass / ONE_MASS,
                "path": names(one.path),
            }
            for one in found.strongest
        ],
        "would_raise_it": [
            {
                "account": hexed(graph.accounts[one.source]),
                "weight": one.weight,
                "rating": one.rating_q32 / ONE_Q32,
                "multiplier": one.multiplier_q32 / ONE_Q32,
            }
            for one in found.advice
        ],
    }


def on_chain(book: Book, account: bytes, block: int) -> dict[str, Any]:
    """What counts of an account at ``block``, and what it has in the contract. Amounts in wei as decimal strings."""
    epoch = block // book.params.epoch_blocks
    rating, pending = book.ratings.get(account), book.proposals.get(account)
    return {
        "account": hexed(account),
        "is_seed": account in book.seeds,
        "hits": rating.hits / ONE_MASS if rating else 0.0,
        "paths": rating.paths if rating else 0,
        "rating": book.rating_of(account, epoch) / ONE_Q32,
        "rating_q32": book.rating_of(account, epoch),
        "until_epoch": rating.cut + LAPSE_EPOCHS if rating else None,
        "proposed": None
        if pending is None
        else {
            "cut": pending.said.cut,
            "hits": str(pending.said.hits),
            "paths": pending.said.paths,
            "rating": pending.said.rating_q32 / ONE_Q32,
            "final_block": pending.said.final_block,
            "challenger": hexed(pending.challenge.challenger) if pending.challenge else None,
            "proof_block": pending.challenge.proof_block if pending.challenge else None,
        },
        "purse_wei": str(book.purses_wei.get(account, 0)),
        "vouches": {
            hexed(other): {"stake_wei": str(locked.stake_wei), "ended_epoch": locked.ended_epoch}
            for (voucher, other), locked in book.vouches.items()
            if voucher == account
        },
    }


def show_on_chain(book: Book, account: bytes, block: int) -> None:
    row, epoch = on_chain(book, account, block), block // book.params.epoch_blocks
    counts = f"rating {row['rating']:.3f} counts until the end of epoch {row['until_epoch']}"
    new_console().print(
        f"on chain, epoch {epoch}: {counts if row['rating_q32'] else 'no rating counts'}; {_proposed(row)}; purse "
        f"{row['purse_wei']} wei; stands up for {len(row['vouches'])}"
    )


def _proposed(row: dict[str, Any]) -> str:
    said = row["proposed"]
    if said is None:
        return "none is proposed"
    doubt = f"challenged, to be shown before block {said['proof_block']}" if said["challenger"] else ""
    return f"{said['rating']:.3f} proposed, {doubt or 'final at block ' + str(said['final_block'])}"


def show_accounts(rows: Sequence[dict[str, Any]], epoch: int) -> None:
    """Whoever is rated highest comes first."""
    table = new_table(f"epoch {epoch}", "hits", "paths", "rating", "until epoch", "proposed")
    for row in rows:
        name = row["account"] + (" seed" if row["is_seed"] else "")
        rated = [f"{row['hits']:.4g}", str(row["paths"])] if row["until_epoch"] is not None else ["-", "-"]
        until = "-" if row["until_epoch"] is None else str(row["until_epoch"])
        proposed = "-" if row["proposed"] is None else f"{row['proposed']['rating']:.3f}"
        table.add_row(name, *rated, f"{row['rating']:.3f}", until, proposed)
    new_console().print(table)


def reputation_summary(found: ReputationAudit) -> dict[str, Any]:
    """An audit of reputation for programs. Amounts in wei and hits, in units of 2^-56, as decimal strings."""
    return {
        "ok": found.ok,
        "contract": hexed(found.address),
        "harvests": found.harvests,
        "unchecked_runs": found.unchecked,
        "rated": found.rated,
        "ratings": [
            {
                "account": hexed(one.account),
                "cut": one.cut,
                "hits": str(one.hits),
                "most_hits": str(one.most_hits),
                "paths": one.paths,
                "most_paths": one.most_paths,
                "rating": one.rating_q32 / ONE_Q32,
            }
            for one in found.ratings
        ],
        "held_wei": str(found.held_wei),
        "purses_wei": str(found.purses_wei),
        "stakes_wei": str(found.stakes_wei),
        "bonds_wei": str(found.bonds_wei),
        "burned_wei": str(found.burned_wei),
        "divergences": divergences(found.divergence),
    }


def show_reputation_audit(found: ReputationAudit) -> None:
    console = new_console()
    if found.divergence is not None:
        console.print(
            f"[bold red]reputation diverged:[/bold red] {escape(plain(found.divergence, 2_000))}", soft_wrap=True
        )
        return
    console.print(
        f"[bold green]reputation clean:[/bold green] {found.harvests} harvests as standings were, {len(found.ratings)} "
        f"final ratings that can be shown, {found.rated} brought to seats as they counted",
        soft_wrap=True,
    )
    if found.unchecked:
        console.print(f"taken as they are: harvests of runs {', '.join(map(str, sorted({*found.unchecked})))}")
    parts = (
        ("purses", found.purses_wei),
        ("behind vouches", found.stakes_wei),
        ("behind bonds", found.bonds_wei),
        ("burned", found.burned_wei),
        ("sent there by somebody", found.held_wei - found.owed_wei),
    )
    told = " + ".join(f"{name} {exact_tokens(wei)}" for name, wei in parts if wei)
    console.print(f"reputation's tokens: {told or 0} = {exact_tokens(found.held_wei)}", soft_wrap=True)


def found_digest(graph: Graph) -> str:
    return f"0x{graph.digest.hex()}"


def show_explanation(graph: Graph, params: ReputationParams, found: Explanation, seeds: int) -> None:
    console = new_console()
    place = f"{found.rank} of {found.ranked}" if found.score else f"none; {found.ranked} accounts have feedback"
    console.print(
        f"[bold]{hexed(graph.accounts[found.account])}[/bold]: rating {found.rating_q32 / ONE_Q32:.3f}, rank {place}; "
        f"pay x {found.multiplier_q32 / ONE_Q32:.3f} where a newcomer's is x {LEAST_BPS / BPS:.2f} and nobody's "
        f"x {MOST_BPS / BPS:.2f}"
    )
    console.print(
        f"score {found.score / ONE_MASS:.3g} = hits {found.hits / ONE_MASS:.3g} x credibility "
        f"{params.factor_q32(found.connectivity) / ONE_Q32:.4g}; rated a half: {found.reference / ONE_MASS:.3g}; "
        f"seeds: {seeds}; graph {found_digest(graph)[:18]}"
    )
    console.print(_why(graph, params, found))
    if found.hits:
        count = len(found.witness.places)
        console.print(f"a witness of {count} account{'s' * (count > 1)} shows {found.witness.part:.1%} of its hits")
    if found.strongest:
        table = new_table("strongest sources", "of its hits", "weight in rounds", "likeliest path")
        for one in found.strongest:
            path = " > ".join(short(graph.accounts[place]) for place in one.path)
            part = one.mass / max(1, found.hits)
            table.add_row(short(graph.accounts[one.account]), f"{part:.1%}", f"{one.weight / ROUND_UNITS:.2f}", path)
        console.print(table)
    if found.advice:
        table = new_table("a verified round, or a vouch, by", "would make its rating", "and its pay")
        for advice in found.advice:
            rating, multiplier = advice.rating_q32 / ONE_Q32, advice.multiplier_q32 / ONE_Q32
            table.add_row(hexed(graph.accounts[advice.source]), f"{rating:.3f}", f"x {multiplier:.3f}")
        console.print(table)
    elif not found.is_seed:
        console.print("no other account that walks come by could raise it with one more round")


def _why(graph: Graph, params: ReputationParams, found: Explanation) -> str:
    """What penalises, in a sentence."""
    if found.is_seed:
        return "it is a seed: walks begin there"
    if not found.hits:
        return "no walk comes by: nobody whom the seeds reach has verified its work"
    if found.cut is None:
        direct = len(found.paths) == 1 and len(found.paths[0]) == 2
        why = "a seed has verified its work itself" if direct else f"{found.connectivity} disjoint paths lead to it"
        return f"nothing penalises it: {why}"
    through = ", ".join(short(graph.accounts[place]) for place in sorted(found.cut.through))
    count = "one account" if len(found.cut.through) == 1 else f"{len(found.cut.through)} accounts"
    more = params.factor_q32(found.connectivity + 1) / ONE_Q32
    return (
        f"penalised: whatever reaches it comes through {count}, {through}; one path beside them: credibility {more:.4g}"
    )


def show_attacks(findings: Findings) -> None:
    console, params = new_console(), findings.params
    console.print(
        f"alpha {params.alpha_bps / BPS:g}, beta {params.beta_bps / BPS:g}, at most {params.max_paths} paths count"
    )
    table = new_table("attack", "found", "at most", "by single cuts", "holds")
    for one in findings.attacks:
        classic = "" if one.classic is None else f"{one.classic:.3g}"
        bound = "no bound" if one.bound is None else f"{one.bound:.4g}"
        holds = "" if one.bound is None else "yes" if one.holds else "NO"
        table.add_row(one.name, f"{one.found:.4g}", bound, classic, holds, style="" if one.holds else "red")
    console.print(table)
    if findings.grid:
        table = new_table(
            "alpha", "beta", "gain", "at most", "honest with c = 1", "hits lost", "deviation", "correlation"
        )
        for cell in findings.grid:
            table.add_row(
                *(f"{cell.alpha:g}", f"{cell.beta:g}", f"{cell.gain:.3g}", f"{cell.bound:.3g}"),
                *(f"{cell.penalised:.1%}", f"{cell.lost:.1%}", f"{cell.deviation:.3f}", f"{cell.correlation:.3f}"),
            )
        console.print(table)
