"""Proof of training: what is said can be checked, what was not done is found, and nobody honest is ever accused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gradmint.adversary import trainers as attacks
from gradmint.learn import proof
from gradmint.learn.codec import Mark
from gradmint.learn.codec.blob import MARK_SIZE
from gradmint.learn.manifest import Manifest
from gradmint.learn.numerics import Numerics
from gradmint.learn.state import Layout, State
from gradmint.learn.steps import LocalSteps, Progress
from gradmint.learn.tasks import Task
from gradmint.learn.train import Trained, compress, local_round
from gradmint.spec.errors import Malformed

BEACONS = tuple(bytes([i]) * 32 for i in range(1, 9))
BEACON = BEACONS[0]
CHEATED = 2  # the interval in which the attacks cheat


class Accumulating(LocalSteps):
    """The batch in four parts."""

    def slope(self, step: int) -> Tensor:
        chosen = self.samples(step)
        quarter = len(chosen) // 4
        parts = [chosen[at : at + quarter] for at in range(0, len(chosen), quarter)]
        return torch.stack([self.network.gradient(self.task.batch(part)).clone() for part in parts]).mean(0)


class Reordered(LocalSteps):
    """The same samples summed in another order, which is what other kernels and thread counts do to a sum."""

    def samples(self, step: int) -> list[int]:
        return super().samples(step)[::-1]


class HalfPrecision(LocalSteps):
    """Another number format: the network computes as what is applied where it is made."""

    def __init__(self, task: Task, manifest: Manifest, beacon: bytes, trainer: int, start: Progress) -> None:
        with Numerics(dtype="bfloat16").apply():
            super().__init__(task, manifest, beacon, trainer, start)


HONEST = (LocalSteps, Accumulating, Reordered, HalfPrecision)
CHEATS = (attacks.HalfBatch, attacks.Skipper, attacks.Elsewhere, attacks.Coaster, attacks.Stunner)


def opened(opening: proof.Opening, layout: Layout, taken: int) -> Progress:
    digests = proof.read_index(opening.index, layout, taken)
    return proof.join(opening.index, dict(zip(digests, opening.parts, strict=True)), layout, taken)


def train(
    task: Task, manifest: Manifest, state: State, beacon: bytes, trainer: int, steps: type[LocalSteps]
) -> tuple[Trained, dict[int, Progress | None]]:
    """A round, and the state that each interval begins with as its opening gives it."""
    kept: dict[int, proof.Opening] = {}
    trained = local_round(task, manifest, state, beacon, trainer, steps=steps, keep=kept.__setitem__)
    layout = Layout.of(task.build(manifest.task.seed))
    states: dict[int, Progress | None] = {0: None}
    for interval, opening in kept.items():
        assert opening.digest == trained.marks[interval - 1].digest
        states[interval] = opened(opening, layout, proof.boundary(manifest, interval))
    return trained, states


@contextmanager
def re_executed_by(steps: type[LocalSteps], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The verifier's machine."""
    with monkeypatch.context() as patched:
        patched.setattr(proof, "LocalSteps", steps)
        yield


def examine(
    task: Task, manifest: Manifest, state: State, beacon: bytes, trainer: int, steps: type[LocalSteps]
) -> list[proof.Finding]:
    """A finding for each interval."""
    trained, states = train(task, manifest, state, beacon, trainer, steps)
    return [
        proof.check_interval(task, manifest, state, beacon, trainer, trained.marks, interval, states[interval])
        for interval in range(manifest.training.intervals)
    ]


def test_nobody_honest_is_accused(
    task: Task, manifest: Manifest, start: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """224 intervals, each trained on one configuration and re-executed on another, float32 and bfloat16 both ways."""
    pairs = [(LocalSteps, other) for other in HONEST] + [(other, LocalSteps) for other in HONEST[1:]]
    ratios = []
    for trainer, beacon in enumerate(BEACONS):
        for made_by, checked_by in pairs:
            with re_executed_by(checked_by, monkeypatch):
                ratios += [f.ratio for f in examine(task, manifest, start, beacon, trainer, made_by)]
    assert len(ratios) == 224
    assert max(ratios) <= 0.5  # half of what is allowed: the tolerances are not at noise's edge


@pytest.mark.parametrize("cheat", CHEATS)
def test_each_cheat_is_caught_when_its_interval_is_audited(
    task: Task, manifest: Manifest, start: State, cheat: type[attacks.TrainerStrategy]
) -> None:
    """And nowhere else: what is honest in a cheat's round is found honest."""
    for trainer, beacon in enumerate(BEACONS):
        findings = examine(task, manifest, start, beacon, trainer, cheat.steps)
        assert [finding.unproven for finding in findings] == [k == CHEATED for k in range(4)], findings


def test_a_single_step_left_out_is_found(task: Task, manifest: Manifest, start: State) -> None:
    class Hasty(LocalSteps):
        def advance(self, until: int) -> Progress:
            while self.progress.taken < until:
                if self.progress.taken == 14:
                    self.progress.taken += 1
                else:
                    super().advance(self.progress.taken + 1)
            return self.progress

    for trainer, beacon in enumerate(BEACONS):
        assert examine(task, manifest, start, beacon, trainer, Hasty)[CHEATED].unproven


def test_an_opened_state_is_the_marks_or_nothing(task: Task, manifest: Manifest, start: State) -> None:
    trained, states = train(task, manifest, start, BEACON, 0, LocalSteps)
    state = states[1]
    assert state is not None
    for change in (
        {"theta": state.theta + 1e-3 * torch.randn_like(state.theta)},
        {"second": state.second * 4},  # the same words: told by its norm
        {"first": state.first * 0},
    ):
        bent = replace(state, **change)  # type: ignore[arg-type]
        finding = proof.check_interval(task, manifest, start, BEACON, 0, trained.marks, 1, bent)
        assert finding.ratio == math.inf and "opened" in finding.reason


def test_an_infinite_norm_is_no_finite_states(task: Task, manifest: Manifest, start: State) -> None:
    trained, states = train(task, manifest, start, BEACON, 0, LocalSteps)
    first = trained.marks[0]
    bent = (replace(first, norms=(math.inf, *first.norms[1:])), *trained.marks[1:])
    finding = proof.check_interval(task, manifest, start, BEACON, 0, bent, 1, states[1])
    assert finding.ratio == math.inf and "norms" in finding.reason


def test_marks_of_another_trainer_prove_nothing(task: Task, manifest: Manifest, start: State) -> None:
    trained, _ = train(task, manifest, start, BEACON, 0, LocalSteps)
    assert proof.check_interval(task, manifest, start, BEACON, 1, trained.marks, 0, None).unproven


def test_claims_are_true_of_the_update_and_survive_noise(task: Task, manifest: Manifest, start: State) -> None:
    for trainer, beacon in enumerate(BEACONS):
        update, _ = compress(local_round(task, manifest, start, beacon, trainer).delta, None, manifest)
        said = proof.claims(task, manifest, start, update, beacon, trainer)
        own = task.batch(proof.assigned_indices(task, manifest, beacon, trainer)[:48])
        network = proof.Network(task, manifest.task.seed)
        network.theta.copy_(start.theta)
        before = network.mean_loss(own)
        network.theta.copy_(start.theta - update.dense())
        assert said.gain_micronats == round((before - network.mean_loss(own)) * 1e6) > 0
        threads = torch.get_num_threads()
        torch.set_num_threads(2)
        again = proof.claims(task, manifest, start, update, beacon, trainer)
        torch.set_num_threads(threads)
        assert not judge(said, again, manifest).unproven


def judge(said: proof.Claims, found: proof.Claims, manifest: Manifest) -> proof.Finding:
    header = proof.Header(
        run=1,
        round=1,
        author=b"a" * 20,
        base=bytes(32),
        layout=bytes(32),
        claimed_gain_micronats=said.gain_micronats,
        words=said.words,
    )
    return proof.check_claims(header, found, manifest)


@pytest.mark.parametrize(
    ("more", "flipped", "unproven"),
    [
        (0, 0, False),
        (-400_000, 0, False),  # modesty costs nothing
        (5_000, 0, False),
        (5_001, 0, True),
        (0, 48, False),
        (0, 49, True),
        (0, 512, True),  # complemented
    ],
)
def test_claims_are_judged_at_their_tolerances(manifest: Manifest, more: int, flipped: int, unproven: bool) -> None:
    spec = replace(manifest.assessment, overclaim_micronats=5_000, own_accept_bits=48)
    found = proof.Claims(gain_micronats=50_000, words=(0, 0))
    bits = (1 << flipped) - 1
    said = proof.Claims(gain_micronats=50_000 + more, words=(bits & (1 << 256) - 1, bits >> 256))
    assert judge(said, found, replace(manifest, assessment=spec)).unproven is unproven


def test_somebody_elses_words_are_found_out(task: Task, manifest: Manifest, start: State) -> None:
    update, _ = compress(local_round(task, manifest, start, BEACON, 0).delta, None, manifest)
    mine, theirs = (proof.claims(task, manifest, start, update, BEACON, trainer) for trainer in (0, 1))
    assert judge(replace(mine, words=theirs.words), mine, manifest).ratio > 3


# Who is audited


@pytest.mark.parametrize(("trainers", "count", "intervals"), [(8, 2, 4), (5, 1, 3), (3, 7, 2), (20, 4, 1)])
def test_audits_are_as_frequent_as_stated(trainers: int, count: int, intervals: int) -> None:
    """Whoever fakes a part f of the intervals is audited on one of those in a part (audit rate x f) of the rounds."""
    rounds = 4_000
    faked = range(max(1, intervals // 2))
    rate = min(1.0, count / trainers)
    expected = rate * len(faked) / intervals
    caught: Counter[int] = Counter()
    for number in range(rounds):
        plan = proof.audits(number.to_bytes(32, "big"), range(trainers), count, intervals)
        assert len(plan) == min(count, trainers) and all(0 <= k < intervals for k in plan.values())
        caught.update(trainer for trainer, interval in plan.items() if interval in faked)
    margin = 4.5 * math.sqrt(expected * (1 - expected) / rounds)
    for trainer in range(trainers):
        assert abs(caught[trainer] / rounds - expected) <= margin


def test_audits_depend_on_who_submitted_and_on_the_beacon_alone() -> None:
    assert proof.audits(BEACON, [3, 1, 2], 2, 4) == proof.audits(BEACON, {1, 2, 3}, 2, 4)
    assert len({tuple(proof.audits(beacon, range(9), 2, 4).items()) for beacon in BEACONS}) > 4
    assert proof.audits(BEACON, [], 2, 4) == proof.audits(BEACON, [1], 0, 4) == proof.audits(BEACON, [1], 2, 0) == {}
    assert proof.audits(BEACON, [7], 1, 1) == {7: 0}


# Openings


@pytest.fixture(scope="module")
def opening(task: Task, manifest: Manifest, start: State) -> proof.Opening:
    kept: dict[int, proof.Opening] = {}
    local_round(task, manifest, start, BEACON, 0, keep=kept.__setitem__)
    return kept[1]


def test_an_opening_gives_the_state_back(opening: proof.Opening, layout: Layout) -> None:
    state = opened(opening, layout, 6)
    assert proof.cut(state, layout) == opening == proof.Opening.unpack(opening.pack(), layout)
    assert len(opening.index) == proof.index_bytes(layout) and state.taken == 6


def test_large_states_are_cut(layout: Layout) -> None:
    wide = Layout(names=("a",), shapes=((2 * proof.PART_VALUES // 3 + 1,),))
    values = torch.rand(wide.dimension)
    opening = proof.cut(Progress(theta=values, first=-values, second=values * 2, taken=3), wide)
    assert [len(part) for part in opening.parts] == [1 << 20, 1 << 20, 4]
    back = opened(opening, wide, 3)
    assert all(torch.equal(a, b) for a, b in ((back.theta, values), (back.first, -values), (back.second, values * 2)))
    with pytest.raises(Malformed):
        proof.read_index(opening.index, layout, 3)


def test_parts_that_are_alike_are_fetched_once() -> None:
    wide = Layout(names=("a",), shapes=((proof.PART_VALUES,),))
    zeros = torch.zeros(wide.dimension)
    opening = proof.cut(Progress(theta=zeros, first=zeros, second=zeros, taken=1), wide)
    digests = proof.read_index(opening.index, wide, 1)
    assert len(digests) == 1
    back = proof.join(opening.index, {digest: opening.parts[0] for digest in digests}, wide, 1)
    assert torch.equal(back.second, zeros)


BENT: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda index: b"",
    "short": lambda index: index[:-1],
    "long": lambda index: index + bytes(32),
    "magic": lambda index: b"X" + index[1:],
    "version": lambda index: index[:4] + b"\2" + index[5:],
    "steps": lambda index: index[:8] + bytes([index[8] ^ 1]) + index[9:],
    "dimension": lambda index: index[:16] + bytes([index[16] ^ 1]) + index[17:],
    "layout": lambda index: index[:17] + bytes([index[17] ^ 1]) + index[18:],
}


@pytest.mark.parametrize("what", BENT)
def test_a_bent_index_is_refused(what: str, opening: proof.Opening, layout: Layout) -> None:
    with pytest.raises(Malformed, match="opening's index"):
        proof.read_index(BENT[what](opening.index), layout, 6)


@settings(max_examples=300)
@given(data=st.data())
def test_any_bytes_are_an_index_or_malformed(data: st.DataObject, opening: proof.Opening, layout: Layout) -> None:
    size = proof.index_bytes(layout)
    index = data.draw(
        st.one_of(
            st.binary(max_size=2 * size),
            st.binary(min_size=size, max_size=size),
            st.builds(lambda at, bit: flip(opening.index, at, bit), st.integers(0, size - 1), st.integers(0, 7)),
        )
    )
    try:
        parts = proof.read_index(index, layout, 6)
    except Malformed:
        assert index[: proof.INDEX.size] != opening.index[: proof.INDEX.size] or len(index) != size
    else:
        assert list(parts.values()) == [len(part) for part in opening.parts]


@settings(max_examples=200)
@given(data=st.data())
def test_any_bytes_as_a_part_are_a_state_or_malformed(
    data: st.DataObject, opening: proof.Opening, layout: Layout
) -> None:
    """Nothing but a state that training can be in reaches the arithmetic."""
    [digest] = proof.read_index(opening.index, layout, 6)
    whole = opening.parts[0]
    part = data.draw(
        st.one_of(
            st.binary(max_size=64),
            st.builds(lambda at, bit: flip(whole, at, bit), st.integers(0, len(whole) - 1), st.integers(0, 7)),
            st.builds(lambda seed: np.random.Generator(np.random.PCG64(seed)).bytes(len(whole)), st.integers(0, 99)),
        )
    )
    try:
        state = proof.join(opening.index, {digest: part}, layout, 6)
    except Malformed:
        values = np.frombuffer(part[: len(part) // 4 * 4], dtype="<f4")
        second = values[2 * layout.dimension :]
        assert len(part) != len(whole) or not np.isfinite(values).all() or second.min() < 0
    else:
        assert bool(torch.isfinite(state.theta).all()) and float(state.second.min()) >= 0
        assert proof.cut(state, layout).parts == (part,)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), scale=st.sampled_from([1e-42, 1e-6, 1.0, 1e18, 1e38]))
def test_any_state_and_marks_get_a_finding(
    seed: int, scale: float, task: Task, manifest: Manifest, start: State
) -> None:
    """Absurd numbers overflow into findings, never into exceptions; the state's own marks are the most it can bring."""
    random = torch.Generator().manual_seed(seed)
    size = len(start.theta)
    theta, first, second = (torch.randn(size, generator=random) * scale for _ in range(3))
    state = Progress(theta=theta, first=first, second=second.abs(), taken=6)
    own = proof.note(state, bytes(32), start.theta, BEACON, 0)
    finding = proof.check_interval(task, manifest, start, BEACON, 0, (own, own, own, own), 1, state)
    assert finding.unproven and finding.reason


def flip(packed: bytes, at: int, bit: int) -> bytes:
    bent = bytearray(packed)
    bent[at] ^= 1 << bit
    return bytes(bent)


# Marks


def test_a_mark_of_diverged_training_can_be_written(task: Task, manifest: Manifest, start: State) -> None:
    lost = replace(start, theta=start.theta * math.nan)
    trained, _ = local_round(task, manifest, lost, BEACON, 0), None
    assert all(mark.norms[0] == math.inf for mark in trained.marks)
    assert Mark.unpack(trained.marks[0].pack()) == trained.marks[0]


@settings(max_examples=300)
@given(st.binary(min_size=MARK_SIZE, max_size=MARK_SIZE))
def test_any_bytes_are_a_mark_in_its_one_form_or_malformed(packed: bytes) -> None:
    try:
        mark = Mark.unpack(packed)
    except Malformed:
        return
    assert mark.pack() == packed and all(norm >= 0 for norm in mark.norms)


@pytest.mark.parametrize("norm", [math.nan, -1.0, -0.0, -math.inf])
def test_norms_below_zero_are_refused(norm: float) -> None:
    mark = Mark(digest=bytes(32), norms=(1.0, norm, 1.0), words=(0,) * 6)
    with pytest.raises(Malformed, match="norms"):
        Mark.unpack(mark.pack())


def test_without_intervals_nothing_is_noted(task: Task, manifest: Manifest, start: State) -> None:
    off = replace(
        manifest,
        training=replace(manifest.training, intervals=0),
        assessment=replace(manifest.assessment, audited_trainers=0),
    ).check()
    with_marks, without = (local_round(task, m, start, BEACON, 0) for m in (manifest, off))
    assert without.marks == () and len(with_marks.marks) == 4
    assert torch.equal(with_marks.delta, without.delta)  # being watched changes nothing
