"""Reputations and attacks on them, as tables for people and as plain values for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..reputation.explain import LEAST_BPS, MOST_BPS, Explanation
from ..spec.feedback import ROUND_UNITS, Graph
from ..spec.reputation import ONE_MASS, Path
from ..spec.reputation_params import ReputationParams
from ..spec.types import BPS, ONE_Q32
from ..study.sybils import Findings
from .tables import new_console, new_table


def hexed(account: bytes) -> str:
    return f"0x{account.hex()}"


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
        style = "" if one.holds else "red"
        table.add_row(
            one.name, f"{one.found:.4g}", f"{one.bound:.4g}", classic, "yes" if one.holds else "NO", style=style
        )
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
