"""Dealing samples out: every one once, from the seed alone, as skewed as was asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradmint.learn.tasks.digits import factory, read_scans
from gradmint.spec.errors import SettingsError
from gradmint.study.partition import clusters, dirichlet, skew

DIGITS = read_scans()[:, 64].astype(np.int64)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-3, 3), max_size=60),
    st.integers(1, 9),
    st.sampled_from([1e-3, 0.1, 1.0, 1e6, math.inf]),
    st.integers(0, 2**64),
)
def test_every_sample_goes_to_one_party(labels: list[int], parties: int, concentration: float, seed: int) -> None:
    shares = dirichlet(np.array(labels, dtype=np.int64), parties, concentration, seed)
    assert len(shares) == parties
    assert sorted(np.concatenate(shares).tolist()) == list(range(len(labels)))
    assert all((np.diff(share) > 0).all() for share in shares)


def test_the_seed_decides_and_nothing_else() -> None:
    one, same, other = (dirichlet(DIGITS, 5, 0.5, seed) for seed in (3, 3, 4))
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert any(len(a) != len(b) for a, b in zip(one, other, strict=True))
    # Frozen: studies are compared over releases.
    assert [len(share) for share in one] == [422, 307, 460, 377, 231]


def test_a_great_concentration_is_iid() -> None:
    for concentration in (1e6, math.inf):
        shares = dirichlet(DIGITS, 8, concentration, 0)
        assert skew(DIGITS, shares) < 0.01
        assert max(map(len, shares)) - min(map(len, shares)) <= 10


def test_a_small_one_gives_each_kind_to_one_party() -> None:
    shares = dirichlet(DIGITS, 8, 1e-3, 0)
    owners = [sum((DIGITS[share] == kind).any() for share in shares) for kind in range(10)]
    assert sum(owners) <= 12


def test_skew_falls_with_concentration_and_agrees_with_its_bounds() -> None:
    skews = [
        float(np.mean([skew(DIGITS, dirichlet(DIGITS, 10, alpha, seed)) for seed in range(20)]))
        for alpha in (0.01, 0.1, 1.0, 10.0, 100.0)
    ]
    assert skews == sorted(skews, reverse=True)
    assert skews[0] > 0.6 and skews[-1] < 0.1
    apart = [np.flatnonzero(kind == DIGITS) for kind in range(10)]
    alike = np.bincount(DIGITS) / len(DIGITS)
    assert skew(DIGITS, apart) == pytest.approx(1 - np.square(alike).sum())
    assert skew(DIGITS, [np.arange(len(DIGITS))]) == 0


def test_mean_share_is_even() -> None:
    """Whoever comes first in the order of parties has no advantage."""
    sizes = np.mean([[len(share) for share in dirichlet(DIGITS, 4, 1.0, seed)] for seed in range(300)], axis=0)
    assert np.abs(sizes / len(DIGITS) - 0.25).max() < 0.02


def test_clusters_find_what_is_apart() -> None:
    rng = np.random.Generator(np.random.Philox(key=1))
    kinds = np.repeat(np.arange(3), 50)
    points = rng.normal(size=(150, 4)) * 0.1 + np.eye(4)[kinds] * 5
    found = clusters(points, 3, seed=0)
    assert len({(int(a), int(b)) for a, b in zip(kinds, found, strict=True)}) == 3
    assert (found == clusters(points, 3, seed=0)).all()
    assert skew(kinds, dirichlet(found, 3, 1e-3, 0)) > 0.3


def test_clusters_of_equal_points() -> None:
    assert set(clusters(np.ones((5, 2)), 3, seed=0).tolist()) == {0}


def test_digits_by_their_hidden_states() -> None:
    """Without labels: parties differ in the digits they have although nobody said which they are."""
    task = factory()
    model = task.build(0)
    hidden = task.hidden(model, task.batch(range(1_000))).detach().numpy()
    labels = task.batch(range(1_000))[1].numpy()
    shares = dirichlet(clusters(hidden, 10, seed=0), 10, 0.05, seed=0)
    assert skew(labels, shares) > 3 * skew(labels, dirichlet(labels, 10, math.inf, 0)) + 0.2


@pytest.mark.parametrize(
    ("labels", "parties", "concentration"), [([1.5], 2, 1.0), ([[1]], 2, 1.0), ([1], 0, 1.0), ([1], 2, 0.0)]
)
def test_what_cannot_be_dealt_is_refused(labels: list[object], parties: int, concentration: float) -> None:
    with pytest.raises(SettingsError, match=r"expected integers|both are above 0"):
        dirichlet(labels, parties, concentration, 0)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="both are above 0"):
        dirichlet([1], 2, float("nan"), 0)


def test_what_has_no_clusters_is_refused() -> None:
    for points, count in (([1.0], 1), ([[1.0]], 2), ([[math.nan]], 1), ([[1.0]], 0)):
        with pytest.raises(SettingsError, match="expected finite"):
            clusters(points, count, seed=0)
