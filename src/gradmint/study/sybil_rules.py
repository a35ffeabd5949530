"""Attacks on how ratings are made: what they are relative to, who may propose them, when runs are harvested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..reputation import exact
from ..reputation.explain import LEAST_BPS, MOST_BPS
from ..reputation.witness import find
from ..spec import reputation as rep
from ..spec.errors import WitnessRefused
from ..spec.feedback import harvest
from ..spec.mechanism import value
from ..spec.params import STANDARD
from ..spec.reputation_params import ReputationParams
from ..spec.types import ONE_Q32, UNSAMPLED, Role, Row, Standing, Verdict
from ..spec.witness import MAX_NODES, Kept, check
from .scribe import Scribe
from .sybil_world import Played, World, sybil

MADE_UP = 50
WITHOUT_END = 10**9
ROUNDS, WORKING = 100, 10  # of an epoch; of these with work, at the end
TEAM = 16


def diluted(world: World, params: ReputationParams, attacker: bytes) -> list[Played]:
    """Made-up accounts are endorsed, which lowers the score that is rated a half: everybody's rating rises."""
    score, known = int(world.state(params).scores([attacker])[0]), world.book.known_until(0)
    before = rep.rating_q32(score, rep.reference(known, params))
    after = rep.rating_q32(score, rep.reference(known + MADE_UP, params))
    last = rep.rating_q32(score, rep.reference(WITHOUT_END, params))
    old, new = (rep.multiplier_q32(rating, LEAST_BPS, MOST_BPS) for rating in (before, last))
    return [
        Played(
            name=f"dilution by {MADE_UP}",
            what="the attacker's rating over that before; bound: known accounts over those before",
            found=after / before,
            bound=1 + MADE_UP / known,
            holds=after * known <= before * (known + MADE_UP) + known + MADE_UP,  # `before` is rounded down
        ),
        Played(
            name="dilution without end",
            what="the attacker's multiplier over that before; bound: the best over a newcomer's",
            found=new / old,
            bound=MOST_BPS / LEAST_BPS,
            holds=new * LEAST_BPS <= old * MOST_BPS,
        ),
    ]


def falsely_rated(world: World, params: ReputationParams, attacker: bytes) -> list[Played]:
    """The attacker proposes what is not true: with a witness, with an accomplice, and where nobody looks."""
    hits, paths, witness = find(world.book, attacker, 0, MAX_NODES)
    state = world.state(params)
    most = exact.most_hits(state.rows, state.seeds, params, state.places([attacker])[0])
    nodes = (replace(witness.nodes[0], visits=most + 1), *witness.nodes[1:])
    try:
        check(replace(witness, nodes=nodes), Kept.of(world.book, witness, 0), params, attacker, 0, most + 1, paths)
        is_refused = False
    except WitnessRefused:
        is_refused = True

    scribe, accomplice = Scribe(params, world.seeds), sybil(0)
    scribe.wait()
    scribe.propose(attacker, rep.ONE_MASS, params.max_paths)
    scribe.challenge(attacker, accomplice)
    scribe.pass_blocks(params.proof_blocks)
    scribe.refute(attacker)
    kept_wei = scribe.book.purses_wei[attacker] + scribe.book.purses_wei[accomplice] - params.bond_wei
    false_q32, true_q32 = (world.book.rated_q32(*said, 0) for said in ((rep.ONE_MASS, params.max_paths), (hits, paths)))
    return [
        Played(
            name="false rating, with a witness",
            what="hits that the best witness shows over the most that can be true",
            found=hits / most,
            bound=1.0,
            holds=hits <= most and is_refused,
        ),
        Played(
            name="false rating, challenged by an accomplice",
            what="what both keep of the bond that is lost",
            found=kept_wei / params.bond_wei,
            bound=0.5,
            holds=2 * kept_wei <= params.bond_wei,
        ),
        Played(
            name="false rating, unchallenged",
            what="the rating that nobody doubts over the true one, for three epochs",
            found=false_q32 / true_q32,
            bound=None,
            holds=True,
        ),
    ]


def timed() -> Played:
    """Works in a tenth of an epoch's rounds and has the run harvested right behind them."""
    gains = [[1_000] * (TEAM - 1) + [1_000 if number >= ROUNDS - WORKING else 0] for number in range(ROUNDS)]
    found = max(part_of_harvest(gains[:count]) for count in range(1, ROUNDS + 1))
    parts = [row[-1] / sum(row) for row in gains]
    return Played(
        name="harvest timing",
        what="its part of the harvest over its part of the rounds' work; bound: its best round over their mean",
        found=found * ROUNDS / sum(parts),
        bound=max(parts) * ROUNDS / sum(parts),
        holds=found <= max(parts) * (1 + 1e-9),
    )


def part_of_harvest(gains: Sequence[Sequence[int]]) -> float:
    """The last trainer's part of what is harvested after these rounds' gains in micronats; 0 of nothing."""
    standings = [Standing(sybil(k), Role.TRAINER) for k in range(len(gains[0]))]
    for row in gains:
        rows = [Row(Verdict.OK, gain, UNSAMPLED) for gain in row]
        valued = value(STANDARD, standings, rows)
        standings = [replace(standing, rounds=standing.rounds + 1) for standing in valued]
    checker = Standing(b"\x0c" * 20, Role.VERIFIER, value_q32=ONE_Q32, rounds=len(gains))
    found = harvest(standings, [checker], {checker.account}, len(gains), 0)
    weights = dict(found.rows) if found else {}
    return weights.get(standings[-1].account, 0) / max(1, sum(weights.values()))
