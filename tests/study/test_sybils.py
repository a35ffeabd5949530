"""Bounds on attacks as properties of any graph; and what the red team says of a drawn world."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradmint.reputation.witness import find
from gradmint.spec import reputation as rep
from gradmint.spec.errors import WitnessRefused
from gradmint.spec.feedback import ROUND_UNITS
from gradmint.spec.reputation_params import STANDARD_REPUTATION, ReputationParams
from gradmint.spec.witness import Kept, check
from gradmint.study.scribe import Scribe
from gradmint.study.sybil_plots import write_plots
from gradmint.study.sybil_rules import part_of_harvest
from gradmint.study.sybil_world import SHAPES, Edges, State, World, classic_gain, gain, parallel, serial, sybil, woven
from gradmint.study.sybils import STEPS, play

NAMES = [bytes([number]) * 20 for number in range(1, 13)]
SNAPSHOT = Path(__file__).parents[2] / "snapshots" / "redteam_reputation.json"

pairs = st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)).filter(lambda pair: pair[0] != pair[1])
honest = st.dictionaries(pairs, st.integers(1, 2**17), min_size=10, max_size=40)
some_params = st.builds(
    ReputationParams,
    alpha_bps=st.sampled_from([500, 1_500, 4_000]),
    beta_bps=st.sampled_from([0, 2_500, 5_000, 9_000, 10_000]),
    max_paths=st.integers(1, 6),
)


@settings(max_examples=60, deadline=None)
@given(honest, some_params, st.sampled_from([*SHAPES, "woven"]), st.sampled_from([1, 5, 20, 50]), st.integers(1, 5))
def test_what_is_behind_j_entries_gains_no_more_than_the_bound(
    edges: Edges, params: ReputationParams, shape: str, k: int, j: int
) -> None:
    """In any graph: whichever accounts turn, and whatever they and their Sybils say."""
    seeds, entries = NAMES[:2], NAMES[2 : 2 + j]
    made_up = {**SHAPES, "woven": woven}[shape](entries, k)
    attacked = {**{pair: weight for pair, weight in edges.items() if pair[0] not in entries}, **made_up}
    state = State.of(attacked, seeds, params, NAMES)
    found, bound, holds = gain(state, entries, k)
    assert holds and (found <= bound * (1 + 1e-4) or found == 0)
    # No Sybil has more disjoint paths than there are entries.
    assert all(rep.connectivity(state.graph, state.seeds, place, 6) <= j for place in state.places([sybil(0)]))


@settings(max_examples=30, deadline=None)
@given(honest, some_params, st.sampled_from([*SHAPES]))
def test_made_up_accounts_do_nothing_for_who_made_them(edges: Edges, params: ReputationParams, shape: str) -> None:
    entry = NAMES[2]
    plain = State.of(edges, NAMES[:2], params, NAMES)
    attacked = {**{pair: weight for pair, weight in edges.items() if pair[0] != entry}, **SHAPES[shape]([entry], 9)}
    after = State.of(attacked, NAMES[:2], params, NAMES)
    assert plain.scores([entry]).tolist() == after.scores([entry]).tolist()


@settings(max_examples=30, deadline=None)
@given(honest, some_params, st.integers(2, 10**6))
def test_heavier_edges_bring_nothing(edges: Edges, params: ReputationParams, factor: int) -> None:
    entry, sybils = NAMES[2], [sybil(i) for i in range(5)]
    light = {pair: weight for pair, weight in edges.items() if pair[0] != entry}
    scores = [
        State.of({**light, **{pair: weight for pair in parallel([entry], 5)}}, NAMES[:2], params, NAMES).scores(sybils)
        for weight in (1, factor)
    ]
    # Rows are normalised; a heavier one rounds down more.
    assert all(int(heavy) <= int(plain) for plain, heavy in zip(*scores, strict=True))


@given(st.integers(1, rep.ONE_MASS), st.integers(1, 10**6), st.integers(0, 10**6))
def test_dilution_gains_no_more_than_the_accounts_it_adds(score: int, known: int, added: int) -> None:
    before, after = (
        rep.rating_q32(score, rep.reference(count, STANDARD_REPUTATION)) for count in (known, known + added)
    )
    assert before <= after  # nobody loses by it
    assert after * known <= (before + 1) * (known + added) + known  # ratings and references are rounded down


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 10**6), min_size=3, max_size=3), min_size=1, max_size=30))
def test_whenever_a_run_is_harvested_nobody_gets_more_than_its_best_round(gains: list[list[int]]) -> None:
    parts = [row[-1] / sum(row) if sum(row) else 0.0 for row in gains]
    assert part_of_harvest(gains) <= max(parts) + 1e-3  # weights are rounded down to 4,096ths


@settings(max_examples=20, deadline=None)
@given(honest, some_params, st.sampled_from([*SHAPES]), st.integers(1, 2**40))
def test_no_witness_shows_more_than_is_true(edges: Edges, params: ReputationParams, shape: str, above: int) -> None:
    """Of an attacker with Sybils that vouch back, in any graph."""
    entry = NAMES[2]
    attacked = {**{pair: weight for pair, weight in edges.items() if pair[0] != entry}, **SHAPES[shape]([entry], 9)}
    scribe = Scribe(params, NAMES[:2])
    for (source, target), weight in attacked.items():
        scribe.vouch(source, target, (1 + weight // ROUND_UNITS) * params.vouch_round_wei)
    graph = scribe.book.graph(0)
    most = rep.most_hits(graph, graph.among(NAMES[:2]), params, graph.accounts.index(entry))
    hits, paths, witness = find(scribe.book, entry, 0, 255)
    assert hits <= most
    kept = Kept.of(scribe.book, witness, 0)
    raised = replace(witness, nodes=(replace(witness.nodes[0], visits=most + above), *witness.nodes[1:]))
    with pytest.raises(WitnessRefused):
        check(raised, kept, params, entry, 0, most + above, paths)


def test_the_bound_is_tight_for_a_chain() -> None:
    world = World.drawn(1, STANDARD_REPUTATION)
    entry = world.ranked(STANDARD_REPUTATION)[3]
    found, bound, holds = gain(world.state(STANDARD_REPUTATION, [entry], serial([entry], 50)), [entry], 50)
    assert holds and 0.999 * bound < found <= bound


def test_colluding_entries_gain_less_than_where_single_cuts_alone_count() -> None:
    params = replace(STANDARD_REPUTATION, beta_bps=9_000)
    world = World.drawn(1, params)
    entries = world.ranked(params)[3:5]
    state = world.state(params, entries, woven(entries, 50))
    found, bound, _ = gain(state, entries, 50)
    assert found <= bound < classic_gain(state, entries, 50) / 4


@pytest.mark.parametrize("seed", [1, 2])
def test_every_bound_of_the_snapshot_holds_in_any_drawn_world(seed: int) -> None:
    ticks: list[str] = []
    findings = play(STANDARD_REPUTATION, seed, quick=True, tick=ticks.append)
    assert json.loads(SNAPSHOT.read_text()) == {"bounds": findings.kept}
    assert findings.kept == sorted(attack.name for attack in findings.attacks if attack.bound is not None)
    assert [attack.name for attack in findings.attacks if attack.bound is None] == ["false rating, unchallenged"]
    assert len(ticks) == STEPS[True] == len({*ticks})


def test_plots_are_the_same_bytes_for_the_same_figures(tmp_path: Path) -> None:
    world_findings = play(STANDARD_REPUTATION, 1)
    assert len(world_findings.grid) == 20
    (tmp_path / "again").mkdir()
    first, again = write_plots(tmp_path, world_findings), write_plots(tmp_path / "again", world_findings)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert all(b"<svg" in path.read_bytes() for path in first)
    for alpha in (0.05, 0.15, 0.25, 0.4):
        gains = [cell.gain for cell in world_findings.grid if cell.alpha == alpha]
        assert gains == sorted(gains, reverse=True)  # beta rises, gain falls
    assert all(cell.gain <= cell.bound * 1.0001 for cell in world_findings.grid)
