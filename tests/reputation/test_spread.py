"""The same bits for any number of parts, workers and shards, in threads, processes and Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gradmint.reputation import exact, shards, spread, walks
from gradmint.reputation.rows import Rows
from gradmint.spec.reputation_params import STANDARD_REPUTATION
from gradmint.spec.walks import key_of

PARTS = (1, 2, 7, 64)
KEY = key_of(b"\x01" * 32, 1, STANDARD_REPUTATION)
EGOS = [(3, 30), (0, 7), (299, 2**32 - 1)]
COUNT = 700
SEEDS = [0, 5, 17]


@pytest.fixture(scope="module")
def rows() -> Rows:
    random = np.random.default_rng(11)
    sources, targets = (random.integers(0, 300, 2_000) ** 2 // 300 for _ in range(2))
    return Rows.from_edges(300, sources, targets, random.integers(1, 2**20, 2_000))


@pytest.fixture(scope="module", params=["threads", "processes", "ray"])
def pool(request: pytest.FixtureRequest, rows: Rows) -> Iterator[spread.Pool]:
    if request.param == "ray":
        pytest.importorskip("ray")
    kinds: dict[str, Callable[..., Any]] = {"threads": spread.Threads, "processes": spread.Processes, "ray": spread.Ray}
    with kinds[request.param](rows, workers=2) as workers:
        yield workers


@pytest.mark.parametrize("parts", PARTS)
def test_tallies_do_not_depend_on_who_takes_which_walks(pool: spread.Pool, rows: Rows, parts: int) -> None:
    wanted = {ego: walks.tally(rows, ego, word, 0, COUNT, KEY, STANDARD_REPUTATION).hits for ego, word in EGOS}
    for ego_parts in (1, 2):
        found = {}
        for ego, places, counts in spread.tallies(pool, EGOS, COUNT, KEY, STANDARD_REPUTATION, ego_parts, parts):
            found[ego] = np.zeros(len(rows), dtype=np.int64)
            found[ego][places] = counts
        assert {ego: hits.tolist() for ego, hits in found.items()} == {
            ego: hits.tolist() for ego, hits in wanted.items()
        }


@pytest.mark.parametrize("parts", PARTS)
def test_mass_does_not_depend_on_how_sources_are_cut(pool: spread.Pool, rows: Rows, parts: int) -> None:
    wanted = exact.visits(rows, SEEDS, STANDARD_REPUTATION)
    assert spread.visits(pool, len(rows), SEEDS, STANDARD_REPUTATION, parts).tolist() == wanted.tolist()


@pytest.mark.parametrize("count", PARTS)
def test_walks_through_shards_are_the_same_walks(rows: Rows, count: int) -> None:
    found = shards.hits(shards.shards(rows, count), len(rows), EGOS, COUNT, KEY, STANDARD_REPUTATION)
    wanted = [walks.tally(rows, ego, word, 0, COUNT, KEY, STANDARD_REPUTATION).hits.tolist() for ego, word in EGOS]
    assert found.tolist() == wanted


def test_more_ranges_than_places() -> None:
    assert spread.ranges(3, 5) == [(0, 0), (0, 1), (1, 1), (1, 2), (2, 3)]
