"""Checks, duplicates, values and evidence on rounds small enough to compute the truth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gradmint.learn.aggregate import clip_factors
from gradmint.learn.assess import Checked, Expected, assess, check, loss_micronats, mark_duplicates, micronats
from gradmint.learn.codec import Header, SparseUpdate, encode, quantise
from gradmint.learn.manifest import Manifest
from gradmint.learn.outer import outer_rate
from gradmint.learn.signature import distance_bits
from gradmint.learn.state import Layout, Network, State, digest
from gradmint.learn.tasks import Batch, Task
from gradmint.learn.train import compress, local_round
from gradmint.spec.params import LOCAL
from gradmint.spec.seeds import derive, draw_distinct
from gradmint.spec.types import GAIN_MAX_MICRONATS, LOSS_MAX_MICRONATS, UNSAMPLED, Verdict

TRAINING, ASSESSMENT = b"t" * 32, b"a" * 32
ALICE = b"A" * 20
TRAINERS = 5


@pytest.fixture(scope="module")
def honest(task: Task, manifest: Manifest, start: State) -> dict[int, SparseUpdate]:
    rounds = {t: local_round(task, manifest, start, TRAINING, t) for t in range(4)}
    return {t: compress(trained.delta, None, manifest)[0] for t, trained in rounds.items()}


def flipped(update: SparseUpdate) -> SparseUpdate:
    return replace(update, codes=update.codes ^ np.uint8(2))


def accepted(updates: Mapping[int, SparseUpdate]) -> dict[int, Checked]:
    return {t: Checked(verdict=Verdict.OK, reason="", update=u, header=None) for t, u in updates.items()}


def blob_of(update: SparseUpdate, expected: Expected, manifest: Manifest, layout: Layout) -> bytes:
    header = Header(
        run=expected.run,
        round=expected.round,
        author=expected.author,
        base=expected.base,
        layout=layout.digest,
        claimed_gain_micronats=1,
        words=(0,) * manifest.assessment.words,
    )
    return encode(header, update)


def test_each_check_has_its_verdict_and_names_both_operands(
    honest: dict[int, SparseUpdate], manifest: Manifest, layout: Layout, start: State
) -> None:
    expected = Expected(run=2, round=5, author=ALICE, base=digest(start, layout))
    update = honest[0]
    good = blob_of(update, expected, manifest, layout)
    found = check(good, expected, manifest, layout)
    assert (found.verdict, found.reason) == (Verdict.OK, "")
    assert found.update is not None and found.update.norm() == update.norm()

    vector = update.dense()
    vector[0] = math.inf
    broken = quantise(vector, manifest.codec.chunk, manifest.codec.keep)
    huge = quantise(update.dense() * 1e4, manifest.codec.chunk, manifest.codec.keep)
    for blob, verdict, words in (
        (None, Verdict.MISSING, "deadline"),
        (good + bytes(manifest.codec.max_bytes), Verdict.OVERSIZE, str(manifest.codec.max_bytes)),
        (good[:-1], Verdict.MALFORMED, ""),
        (blob_of(update, replace(expected, run=3), manifest, layout), Verdict.MALFORMED, "run 3, expected 2"),
        (blob_of(update, replace(expected, round=4), manifest, layout), Verdict.MALFORMED, "round 4, expected 5"),
        (blob_of(update, replace(expected, author=b"B" * 20), manifest, layout), Verdict.MALFORMED, "42" * 20),
        (blob_of(update, replace(expected, base=b"0" * 32), manifest, layout), Verdict.WRONG_BASE, "30" * 32),
        (blob_of(broken, expected, manifest, layout), Verdict.NOT_FINITE, "no numbers"),
        (blob_of(huge, expected, manifest, layout), Verdict.OVER_NORM, f"{manifest.codec.max_norm:.6g}"),
    ):
        found = check(blob, expected, manifest, layout)
        assert found.verdict == verdict
        assert words in found.reason and found.reason
        assert found.update is None


def test_the_first_failure_is_the_verdict(
    honest: dict[int, SparseUpdate], manifest: Manifest, layout: Layout, start: State
) -> None:
    expected = Expected(run=2, round=5, author=ALICE, base=digest(start, layout))
    huge = quantise(honest[0].dense() * 1e4, manifest.codec.chunk, manifest.codec.keep)
    stale = blob_of(huge, replace(expected, base=b"0" * 32), manifest, layout)
    assert check(stale, expected, manifest, layout).verdict == Verdict.WRONG_BASE
    assert check(stale[:-1], expected, manifest, layout).verdict == Verdict.MALFORMED


def test_duplicates_lose_to_the_earliest_in_chain_order(honest: dict[int, SparseUpdate], manifest: Manifest) -> None:
    copy = replace(honest[0], codes=honest[0].codes ^ np.uint8(1))  # same places and signs, other magnitudes
    checked = accepted({**honest, 4: copy})
    assert mark_duplicates(checked, [0, 1, 2, 3, 4], {}, manifest)[4].verdict == Verdict.DUPLICATE
    late = mark_duplicates(checked, [4, 3, 2, 1, 0], {}, manifest)
    assert [late[t].verdict for t in range(5)] == [Verdict.DUPLICATE, *[Verdict.OK] * 4]
    assert "trainer 4's earlier submission" in late[0].reason and "10000 bps" in late[0].reason


def test_last_rounds_updates_count_as_earlier(honest: dict[int, SparseUpdate], manifest: Manifest) -> None:
    marked = mark_duplicates(accepted({2: honest[0]}), [2], {0: honest[0]}, manifest)
    assert "trainer 0's update of the previous round" in marked[2].reason
    flip = mark_duplicates(accepted({2: flipped(honest[0])}), [2], {0: honest[0]}, manifest)
    assert flip[2].verdict == Verdict.OK  # same places, no sign in common: worthless, but nobody's copy


def test_values_are_shapley_values_and_add_up(
    task: Task, manifest: Manifest, start: State, honest: dict[int, SparseUpdate]
) -> None:
    updates = {**honest, 4: flipped(honest[1])}
    report = assess(task, manifest, start, accepted(updates), TRAINERS, TRAINING, ASSESSMENT).report
    network = Network(task, manifest.task.seed)
    seed = derive(ASSESSMENT, "common batch")
    common = task.batch(draw_distinct(seed, manifest.assessment.common_samples, task.samples))
    scale = outer_rate(manifest, start.round) / len(updates)
    factors = clip_factors(updates)
    moves = {t: update.dense() * (scale * factors[t]) for t, update in updates.items()}

    def utility(members: tuple[int, ...]) -> float:
        network.theta.copy_(start.theta)
        for member in members:
            network.theta -= moves[member]
        return -network.mean_loss(common)

    worth = {s: utility(s) for size in range(TRAINERS + 1) for s in itertools.combinations(range(TRAINERS), size)}
    for trainer, row in enumerate(report.rows):
        exact = sum(
            (worth[tuple(sorted((*s, trainer)))] - worth[s])
            * math.factorial(len(s))
            * math.factorial(TRAINERS - 1 - len(s))
            / math.factorial(TRAINERS)
            for s in worth
            if trainer not in s
        )
        assert row.common_gain_micronats / 1e6 == pytest.approx(exact, rel=0.05, abs=1e-3)
    whole = worth[tuple(range(TRAINERS))] - worth[()]
    assert sum(row.common_gain_micronats for row in report.rows) / 1e6 == pytest.approx(whole, rel=0.05)
    assert report.rows[4].common_gain_micronats < 0 < min(row.common_gain_micronats for row in report.rows[:4])


def test_own_shard_gains_more_than_the_common_batch(
    task: Task, manifest: Manifest, start: State, honest: dict[int, SparseUpdate]
) -> None:
    """Over several assessments: one sign is noisy, the mean of signs is the proof."""
    margins = {"own": 0, "other's": 0}
    strangers = {t: honest[(t + 1) % 4] for t in honest}
    for name, updates in (("own", honest), ("other's", strangers)):
        for i in range(6):
            report = assess(task, manifest, start, accepted(updates), 4, TRAINING, bytes([i]) * 32).report
            margins[name] += sum(r.assigned_gain_micronats > r.common_gain_micronats for r in report.rows)
    assert margins["own"] >= 18 and margins["other's"] < margins["own"], margins


def test_rows_without_update_carry_their_verdict_and_nothing_else(
    task: Task, manifest: Manifest, start: State, honest: dict[int, SparseUpdate]
) -> None:
    bad = Checked(verdict=Verdict.OVER_NORM, reason="long", update=honest[1], header=None)
    report = assess(task, manifest, start, {**accepted({0: honest[0]}), 1: bad}, 3, TRAINING, ASSESSMENT).report
    assert [row.verdict for row in report.rows] == [Verdict.OK, Verdict.OVER_NORM, Verdict.MISSING]
    for row in report.rows[1:]:
        assert (row.common_gain_micronats, row.assigned_gain_micronats) == (0, UNSAMPLED)


def test_the_beacon_samples_trainers_for_the_assigned_gain(
    task: Task, manifest: Manifest, start: State, honest: dict[int, SparseUpdate]
) -> None:
    few = replace(manifest, assessment=replace(manifest.assessment, assigned_trainers=2))
    chosen = set()
    for i in range(6):
        report = assess(task, few, start, accepted(honest), 4, TRAINING, bytes([i]) * 32).report
        sampled = tuple(t for t, row in enumerate(report.rows) if row.assigned_gain_micronats != UNSAMPLED)
        assert len(sampled) == 2
        chosen.add(sampled)
    assert len(chosen) > 1


def test_exact_checks_agree_with_the_cheap_value(
    task: Task, manifest: Manifest, start: State, honest: dict[int, SparseUpdate]
) -> None:
    every = replace(manifest, assessment=replace(manifest.assessment, exact_votes=32))
    result = assess(task, every, start, accepted(honest), 4, TRAINING, ASSESSMENT)
    assert [item.trainer for item in result.exact] == [0, 1, 2, 3]
    for item in result.exact:
        assert item.cheap_micronats == result.report.rows[item.trainer].common_gain_micronats
        assert item.exact_micronats == pytest.approx(item.cheap_micronats, rel=0.02)
        assert not item.contradicts
    assert sum(item.votes for item in result.exact) <= 16


def test_votes_stay_below_the_cap_and_go_where_doubt_is(
    task: Task, manifest: Manifest, start: State, honest: dict[int, SparseUpdate]
) -> None:
    for cap in (0, 1, 3):
        few = replace(manifest, assessment=replace(manifest.assessment, exact_votes=cap))
        result = assess(task, few, start, accepted(honest), 4, TRAINING, ASSESSMENT, {2: 0.5})
        assert sum(item.votes for item in result.exact) == cap
        assert cap == 0 or 2 in {item.trainer for item in result.exact}
        assert result.report == assess(task, manifest, start, accepted(honest), 4, TRAINING, ASSESSMENT).report


def test_a_lost_model_saturates_and_says_so(
    task: Task, manifest: Manifest, start: State, honest: dict[int, SparseUpdate]
) -> None:
    lost = replace(start, theta=torch.full_like(start.theta, math.nan))
    result = assess(task, manifest, lost, accepted(honest), 4, TRAINING, ASSESSMENT)
    assert result.report.loss_micronats == LOSS_MAX_MICRONATS
    assert {row.common_gain_micronats for row in result.report.rows} == {-GAIN_MAX_MICRONATS}
    assert any("validation loss is nan" in remark for remark in result.remarks)
    assert len(result.report.pack()) == result.report.size(2, 4)


def test_nothing_to_assess_is_still_a_report(task: Task, manifest: Manifest, start: State) -> None:
    result = assess(task, manifest, start, {}, 2, TRAINING, ASSESSMENT)
    assert result.report.words[0] == 0 and result.report.words[1] != 0  # no update: outputs do not move, work remains


@pytest.mark.parametrize(
    ("nats", "gain", "loss"),
    [
        (1.5e-6, 2, 2),
        (-1e-6, -1, 0),
        (1e9, GAIN_MAX_MICRONATS, LOSS_MAX_MICRONATS),
        (-math.inf, -GAIN_MAX_MICRONATS, 0),
        (math.nan, -GAIN_MAX_MICRONATS, LOSS_MAX_MICRONATS),
    ],
)
def test_saturation(nats: float, gain: int, loss: int) -> None:
    assert (micronats(nats), loss_micronats(nats)) == (gain, loss)


class Bfloat16:
    """The same task in the lower precision that a verifier with other hardware might use."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def loss(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.task.loss(model, batch).float()

    def hidden(self, model: nn.Module, batch: Batch) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.task.hidden(model, batch).float()


def test_cheating_verifiers_stand_further_from_an_honest_one_than_bfloat16_does(
    task: Task, manifest: Manifest, start: State, honest: dict[int, SparseUpdate]
) -> None:
    four = replace(manifest, assessment=replace(manifest.assessment, words=4))
    half = replace(four, assessment=replace(four.assessment, common_samples=four.assessment.common_samples // 2))
    stale = replace(start, theta=torch.randn(len(start.theta), generator=torch.Generator().manual_seed(0)) / 8)
    checked = accepted(honest)

    def words(
        task: Task = task,
        manifest: Manifest = four,
        state: State = start,
        checked: Mapping[int, Checked] = checked,
        beacon: bytes = ASSESSMENT,
    ) -> tuple[int, ...]:
        return assess(task, manifest, state, checked, 4, TRAINING, beacon).report.words

    mine = words()
    assert words() == mine
    assert distance_bits(mine, words(task=Bfloat16(task))) <= LOCAL.accept_bits
    for cheat in (words(manifest=half), words(state=stale), words(checked={}), words(beacon=b"z" * 32)):
        assert distance_bits(mine, cheat) > LOCAL.slash_bits
