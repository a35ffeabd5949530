"""Overhead: worked examples, torn traces, and a brute-force twin."""

from __future__ import annotations

import json
import random
from pathlib import Path

import fabricated
import pytest

from gradmint.cli.timing import PHASES, UNSEEN, Span, Timing, measure, read_spans, round_times, span_times, union


def phases(round_: int, *edges: float) -> list[Span]:
    return [
        Span(round_, f"phase {name}", start, end)
        for name, start, end in zip(PHASES, edges[:-1], edges[1:], strict=True)
    ]


def line(round_: int, what: str, start_s: float, end_s: float) -> str:
    return json.dumps({"round": round_, "what": what, "start_s": start_s, "end_s": end_s})


def test_union_merges_what_touches_or_overlaps_and_keeps_gaps() -> None:
    assert union([(5, 6), (1, 3), (2, 4), (4, 4.5), (7, 7)]) == [(1, 4.5), (5, 6), (7, 7)]


def test_overhead_is_what_nobody_works_in() -> None:
    work = [Span(1, "train", 1, 6), Span(1, "train", 4, 9), Span(1, "assess", 13, 19), Span(1, "gather", 10, 12)]
    [found] = round_times(work, phases(1, 0, 10, 12, 20, 21, 22))
    assert found.wall_s == 22
    assert {name: (phase.wall_s, phase.overhead_s) for name, phase in found.phases.items()} == {
        "TRAIN": (10, 2),
        "HOLD": (2, 2),
        "COMMIT": (8, 2),
        "REVEAL": (1, 1),
        "SETTLE": (1, 1),
    }
    assert found.overhead_s == 8
    assert found.work_s == 14
    assert found.share == pytest.approx(8 / 22)


def test_work_counts_in_whatever_round_it_falls() -> None:
    late = [Span(1, "train", 1, 25)]  # still at it when round 2 has begun
    first, second = round_times(late, phases(1, 0, 10, 12, 20, 21, 22) + phases(2, 22, 30, 31, 32, 33, 34))
    assert first.overhead_s == 1
    assert second.overhead_s == 12 - 3


def test_time_between_observed_phases_is_not_lost() -> None:
    seen = [span for span in phases(1, 0, 10, 12, 20, 21, 22) if "HOLD" not in span.what]
    [found] = round_times([Span(1, "train", 2, 11)], seen)
    assert found.wall_s == 22
    assert found.phases[UNSEEN].wall_s == pytest.approx(2)
    assert found.phases[UNSEEN].overhead_s == pytest.approx(1)
    assert sum(phase.overhead_s for phase in found.phases.values()) == pytest.approx(found.overhead_s)


def test_other_phases_and_participants_own_spans_are_no_rounds() -> None:
    assert round_times([], [Span(1, "phase ENROL", 0, 5), Span(1, "phase ENDED", 5, 9), Span(1, "HOLD", 0, 1)]) == []


def test_a_round_without_duration_has_no_share() -> None:
    [found] = round_times([], [Span(3, "phase TRAIN", 7, 7)])
    assert found.share == 0


@pytest.mark.parametrize("seed", range(20))
def test_overhead_equals_counting_ticks(seed: int) -> None:
    draw = random.Random(seed)
    edges = sorted(draw.sample(range(1_000), 6))
    work = []
    for _ in range(draw.randrange(9)):
        start = draw.randrange(1_000)
        work.append(Span(1, draw.choice(["train", "assess"]), start, start + draw.randrange(200)))
    [found] = round_times(work, phases(1, *edges))
    idle = {t for t in range(edges[0], edges[-1]) if not any(w.start_s <= t < w.end_s for w in work)}
    assert found.overhead_s == len(idle)
    for name, start, end in zip(PHASES, edges[:-1], edges[1:], strict=True):
        assert found.phases[name].overhead_s == len(idle & set(range(start, end)))


def test_a_torn_last_line_costs_itself_only() -> None:
    spans, torn = read_spans([line(1, "train", 0, 1) + "\n", line(2, "train", 1, 2)[:31]])
    assert [span.round for span in spans] == [1]
    assert torn == 1


def test_a_line_written_after_a_torn_one_is_found() -> None:
    spans, torn = read_spans([line(4, "train", 0, 1)[:20] + line(4, "train", 5, 6) + "\n", line(5, "assess", 7, 8)])
    assert spans == [Span(4, "train", 5, 6), Span(5, "assess", 7, 8)]
    assert torn == 1


@pytest.mark.parametrize(
    "bad",
    [
        "[]",
        "17",
        "nonsense",
        "[" * 5_000,
        '{"round": 1, "what": "train", "start_s": 0}',
        '{"round": true, "what": "train", "start_s": 0, "end_s": 1}',
        '{"round": "1", "what": "train", "start_s": 0, "end_s": 1}',
        '{"round": 0, "what": "train", "start_s": 0, "end_s": 1}',
        '{"round": 1, "what": 5, "start_s": 0, "end_s": 1}',
        '{"round": 1, "what": "train", "start_s": NaN, "end_s": 1}',
        '{"round": 1, "what": "train", "start_s": 0, "end_s": Infinity}',
        '{"round": 1, "what": "train", "start_s": 2, "end_s": 1}',
        '{"round": 1, "what": "train", "start_s": "0", "end_s": 1}',
        "\x00\ufffd",
    ],
)
def test_a_bad_line_is_counted_and_skipped(bad: str) -> None:
    spans, torn = read_spans([bad, line(1, "train", 0, 1)])
    assert spans == [Span(1, "train", 0, 1)]
    assert torn == 1


def test_span_times_are_medians_per_kind_longest_first() -> None:
    rows = span_times(
        [Span(1, "Submit", 0, 0.1), Span(1, "train", 0, 3), Span(2, "train", 0, 5), Span(3, "train", 0, 9)]
    )
    assert [(row.what, row.count, row.median_s, row.longest_s) for row in rows] == [
        ("train", 3, 5, 9),
        ("Submit", 1, 0.1, 0.1),
    ]


def test_measure_reads_a_demos_folder(tmp_path: Path) -> None:
    found = fabricated.audit(3)
    out = fabricated.write_out(tmp_path / "out", found, fabricated.people())
    (out / "homes" / "sponsor.sqlite").touch()
    with (out / "homes" / "trainer-0" / "trace.jsonl").open("a") as trace:
        trace.write('{"round": 3, "wha')
    timing = measure(out)
    assert timing is not None
    assert [item.round for item in timing.rounds] == [1, 2, 3]
    assert timing.skipped == 1
    for item in timing.rounds:
        assert list(item.phases) == list(PHASES)
        assert 0 < item.overhead_s < item.wall_s
        assert sum(phase.overhead_s for phase in item.phases.values()) == pytest.approx(item.overhead_s)
    assert timing.median_overhead_s == sorted(item.overhead_s for item in timing.rounds)[1]


def test_medians_leave_out_rounds_whose_training_nobody_saw() -> None:
    work = [Span(r, "train", 100 * r, 100 * r + 9) for r in (1, 2, 3)]
    seen = [span for r in (1, 2, 3) for span in phases(r, *(100 * r + edge for edge in (0, 10, 11, 12, 13, 14)))]
    rounds = round_times(work, seen[1:])  # the observer came late
    timing = Timing(tuple(rounds), (), 0)
    assert rounds[0].share == 1
    assert timing.median_share == pytest.approx(5 / 14)
    assert timing.median_overhead_s == pytest.approx(5)
    assert Timing(tuple(rounds[:1]), (), 0).median_share == 1


def test_no_observer_no_measurement(tmp_path: Path) -> None:
    assert measure(tmp_path) is None
    out = fabricated.write_out(tmp_path / "out", fabricated.audit(2), fabricated.people())
    (out / "demo.jsonl").unlink()
    assert measure(out) is None
