"""What every rule of aggregation must do, each rule against a plain reference, and the Gram matrix against its bits."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from gradmint.learn.aggregate import (
    PRE,
    RULES,
    AggregationSpec,
    Dense,
    Linear,
    Sparse,
    aggregate,
    aggregate_matrix,
    coordinates,
    weightings,
    worker_momentum,
)
from gradmint.learn.aggregate import rows as row_module
from gradmint.learn.aggregate.clipping import bounds
from gradmint.learn.codec import KINDS, Table, approximate, quantise
from gradmint.learn.codec import update as update_module
from gradmint.spec.errors import NotFinite

N, D, F = 11, 301, 2


def spec(rule: str, *pre: str, bps: int = 2_000) -> AggregationSpec:
    return AggregationSpec(rule=rule, pre=pre, byzantine_bps=bps)


SPECS = [spec(rule) for rule in RULES] + [
    spec("mean", "norm-bound"),
    spec("mean", "norm-bound", "score-gate"),
    spec("geometric-median", "nnm"),
    spec("trimmed-mean", "nnm"),
    spec("centered-clip", "norm-bound", "nnm"),
    spec("krum", "score-gate", "nnm"),
    spec("gas", "nnm"),
]
NAMES = ["+".join((*s.pre, s.rule)) for s in SPECS]
every = pytest.mark.parametrize("how", SPECS, ids=NAMES)


def draw(seed: int = 0, n: int = N, d: int = D) -> Tensor:
    """Rows of lengths that differ, about a direction that they share."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, d, generator=generator) + torch.randn(d, generator=generator)
    return rows * (0.5 + torch.rand(n, 1, generator=generator))


def vector(matrix: Tensor, how: AggregationSpec, accepted: list[int] | None = None) -> Tensor:
    return torch.from_numpy(aggregate_matrix(matrix, how, accepted).vector)


def near(one: Tensor, other: Tensor, tolerance: float = 1e-4) -> bool:
    return float((one.double() - other.double()).norm()) <= tolerance * max(1e-9, float(other.double().norm()))


@every
def test_permutation_equivariance(how: AggregationSpec) -> None:
    matrix, order = draw(), torch.randperm(N, generator=torch.Generator().manual_seed(1))
    accepted = [0, 1, 2, 4, 5, 7, 8, 9]
    moved = [int((order == i).nonzero()) for i in accepted]
    found, other = aggregate_matrix(matrix, how, accepted), aggregate_matrix(matrix[order], how, moved)
    assert near(torch.from_numpy(other.vector), torch.from_numpy(found.vector))
    if found.weights is not None and other.weights is not None:
        assert other.weights == pytest.approx([found.weights[i] for i in order.tolist()], rel=1e-4, abs=1e-6)


@every
def test_scaling_equivariance(how: AggregationSpec) -> None:
    """By powers of two, so that rows which mixing made equal stay equal to the bit: ties go by rounding otherwise."""
    matrix = draw()
    for factor in (-1.0, 2.0**-13, 4.0):
        assert near(vector(matrix * factor, how), vector(matrix, how) * factor)


@pytest.mark.parametrize(
    "how",
    [s for s in SPECS if "norm-bound" not in s.pre and s.rule not in ("flag", "sign-majority")],
    ids=lambda s: "+".join((*s.pre, s.rule)),
)
def test_translation_equivariance(how: AggregationSpec) -> None:
    """But of what measures lengths or signs, which are from zero."""
    matrix, offset = draw(), torch.randn(D, generator=torch.Generator().manual_seed(2))
    assert near(vector(matrix + offset, how), vector(matrix, how) + offset)


@every
def test_equal_rows_are_their_own_aggregate(how: AggregationSpec) -> None:
    row = draw()[0]
    if how.rule == "sign-majority":
        row = row.sign() * 0.7
    assert near(vector(row.repeat(N, 1), how), row)
    assert not vector(torch.zeros(N, D), how).any()


@every
def test_a_single_row_is_enough(how: AggregationSpec) -> None:
    row = draw()[:1].sign() if how.rule == "sign-majority" else draw()[:1]
    assert near(vector(row, how), row[0])


@every
@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_rows_that_are_not_finite_are_as_if_not_there(how: AggregationSpec, broken: float) -> None:
    matrix = draw(n=N + 2)
    matrix[3, 17] = broken
    matrix[8] = broken
    rest = [i for i in range(N + 2) if i not in (3, 8)]
    found, alone = aggregate_matrix(matrix, how), aggregate_matrix(matrix[rest], how)
    assert (found.vector == alone.vector).all()
    if found.weights is not None and alone.weights is not None:
        assert found.weights[3] == found.weights[8] == 0
        assert [found.weights[i] for i in rest] == list(alone.weights)


@pytest.mark.parametrize("how", SPECS, ids=NAMES)
def test_nothing_finite_is_zero(how: AggregationSpec) -> None:
    assert not vector(torch.full((3, D), float("nan")), how).any()


@pytest.mark.parametrize(
    "how", [s for s in SPECS if (*s.pre, s.rule) != ("mean",)], ids=lambda s: "+".join((*s.pre, s.rule))
)
@pytest.mark.parametrize("far", [1e3, 1e12, 1e30])
@pytest.mark.parametrize("together", [True, False])
def test_f_rows_at_any_distance_move_it_little(how: AggregationSpec, far: float, together: bool) -> None:
    """Breakdown: honest rows' lengths bound the result, whatever f rows are, in one place or on opposite sides."""
    matrix = draw()
    honest = float(matrix[F:].norm(dim=1).max())
    matrix[0] = far * draw(7)[0]
    matrix[1] = matrix[0] if together else -matrix[0]
    accepted = [1, *range(F, N)] if "score-gate" in how.pre else None
    assert float(vector(matrix, how, accepted).norm()) <= 2 * honest


def test_the_mean_has_no_breakdown_point() -> None:
    matrix = draw()
    matrix[0] *= 1e6
    assert float(vector(matrix, spec("mean")).norm()) > 1e4 * float(matrix[1:].norm(dim=1).max())


@every
def test_published_weights_replay_to_the_bit(how: AggregationSpec) -> None:
    matrix = draw()
    found = aggregate_matrix(matrix, how, accepted=[0, 2, 3, 4, 5, 6])
    if found.weights is None:
        assert RULES[how.rule].vector is not None
        return
    told = json.loads(json.dumps(found.weights))
    again = np.zeros(D, dtype=np.float32)
    for row, weight in zip(matrix.numpy(), told, strict=True):
        if weight:
            again += row * np.float32(weight)
    assert (again == found.vector).all()


CONVEX = [s for s in SPECS if RULES[s.rule].weigh and s.rule != "flag" and "norm-bound" not in s.pre]


@pytest.mark.parametrize("how", CONVEX, ids=lambda s: "+".join((*s.pre, s.rule)))
def test_convex_weights_add_up_to_one(how: AggregationSpec) -> None:
    weights = aggregate_matrix(draw(), how).weights
    assert weights is not None and sum(weights) == pytest.approx(1, abs=1e-6) and min(weights) >= 0


@every
def test_sparse_and_dense_rows_agree(how: AggregationSpec) -> None:
    updates = [quantise(row, 64, 16) for row in draw(d=1_000)]
    found = aggregate(Sparse(updates), how, [0, 1, 2, 3, 9])
    other = aggregate_matrix(torch.stack([update.dense() for update in updates]), how, [0, 1, 2, 3, 9])
    assert near(torch.from_numpy(found.vector), torch.from_numpy(other.vector), 1e-6)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_updates_of_any_kind_are_their_dense_vectors(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slabs end where an update's own blocks do not."""
    monkeypatch.setattr(row_module, "SLAB", 300)
    monkeypatch.setattr(row_module, "COLUMNS", 100)
    monkeypatch.setattr(update_module, "BLOCK", 128)
    keep = {"topk": 16, "clustered": 16, "seeded": 4, "private": 4}.get(kind, 64)
    noise = {"levels": 4, "retain_bps": 8_000, "margin_bps": 5_000, "exponent": 2} if kind == "private" else {}
    table = Table(dimension=1_003, chunk=64, keep=keep, kind=kind, **noise)
    updates = [approximate(row, table) for row in draw(d=1_003)]
    whole = torch.stack([update.dense() for update in updates])
    sparse, dense = Sparse(updates), Dense.of(whole)[0]
    assert dense is not None and (sparse.gram == dense.gram).all()
    weights = [0.5, 0.0, -2.0, *(0.1 for _ in range(N - 3))]
    assert (sparse.combine(weights) == dense.combine(weights)).all()
    assert (np.concatenate([block for _, _, block in sparse.blocks(100)], axis=1) == whole.numpy()).all()
    assert sparse.norms() == pytest.approx(dense.norms(), rel=1e-6)


@every
def test_more_columns_than_a_block(how: AggregationSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many columns are worked on at once changes no bit."""
    matrix = draw(d=1_003)
    updates = [quantise(row, 64, 16) for row in matrix]
    whole, sparse = aggregate_matrix(matrix, how), aggregate(Sparse(updates), how)
    for module in (coordinates, row_module):
        monkeypatch.setattr(module, "COLUMNS", 64)
    monkeypatch.setattr(row_module, "SLAB", 256)
    parts = aggregate_matrix(matrix, how)
    assert (whole.vector == parts.vector).all() and whole.weights == parts.weights
    assert (sparse.vector == aggregate(Sparse(updates), how).vector).all()


# The gate and f


def test_a_gate_leaves_the_accepted_and_the_median_of_all() -> None:
    matrix = draw()
    norms = matrix.double().norm(dim=1)
    gated = spec("mean", "norm-bound", "score-gate")
    clipped = matrix * (norms.median() / norms).clamp(max=1).float()[:, None]
    assert near(vector(matrix, gated, [1, 4, 6]), clipped[[1, 4, 6]].mean(0))
    found = aggregate_matrix(matrix, gated, [])
    assert not found.vector.any() and found.weights == (0.0,) * N
    assert near(vector(matrix, gated), clipped.mean(0))
    late = spec("mean", "score-gate", "norm-bound")  # the median of those accepted
    chosen = matrix[[1, 4, 6]]
    lengths = chosen.double().norm(dim=1)
    assert near(
        vector(matrix, late, [1, 4, 6]), (chosen * (lengths.median() / lengths).clamp(max=1).float()[:, None]).mean(0)
    )


def test_f_is_a_share_of_the_rows_there_are() -> None:
    assert [spec("median", bps=2_000).byzantine(n) for n in (1, 4, 5, 9, 10, 32)] == [0, 0, 1, 1, 2, 6]
    assert [spec("krum", bps=4_900).byzantine(n) for n in (1, 2, 3, 4, 5, 7, 32)] == [0, 0, 0, 0, 1, 2, 14]
    assert [spec("median", bps=4_900).byzantine(n) for n in (1, 2, 3, 5, 32)] == [0, 0, 1, 2, 15]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"rule": "average"}, "aggregation.rule 'average'"),
        ({"pre": ("nnm", "nnm")}, "each once"),
        ({"pre": ("clip",)}, "names some of"),
        ({"byzantine_bps": 5_000}, "0..4999"),
        ({"byzantine_bps": -1}, "0..4999"),
    ],
)
def test_ranges(change: dict[str, object], complaint: str) -> None:
    broken = [words for holds, words in replace(spec("mean"), **change).ranges() if not holds]  # type: ignore[arg-type]
    assert len(broken) == 1 and complaint in broken[0]
    assert all(holds for s in SPECS for holds, _ in s.ranges()) and set(PRE) == {"norm-bound", "score-gate", "nnm"}


# The Gram matrix


def test_gram_is_close_symmetric_and_the_same_for_sparse_rows() -> None:
    matrix = draw(d=20_011)
    matrix[4] *= 1e-20
    matrix[5] *= 1e20
    matrix[6] = 0
    rows, _ = Dense.of(matrix)
    assert rows is not None
    exact = matrix.double() @ matrix.double().T
    lengths = matrix.double().norm(dim=1)
    assert ((torch.from_numpy(rows.gram) - exact).abs() <= 1e-6 * lengths[:, None] * lengths).all()
    assert (rows.gram == rows.gram.T).all()
    updates = [quantise(row, 64, 16) for row in draw(d=20_011)]
    dense, _ = Dense.of(torch.stack([update.dense() for update in updates]))
    assert dense is not None and (Sparse(updates).gram == dense.gram).all()
    assert dense.norms() == pytest.approx([update.norm() for update in updates], rel=1e-6)


def test_norms_do_not_depend_on_whether_there_is_a_gram() -> None:
    one, other = (Dense.of(draw())[0] for _ in range(2))
    assert one is not None and other is not None
    _ = one.gram
    assert one.norms() == other.norms() == pytest.approx(draw().double().norm(dim=1).tolist(), rel=1e-6)


@pytest.mark.parametrize("pattern", ["random", "extreme"])
def test_gram_is_exact_in_any_order(pattern: str) -> None:
    """Permuting a part's columns changes no bit: the sums are of integers that float64 holds."""
    d = row_module.PART
    matrix = draw(d=d) if pattern == "random" else torch.full((3, d), 1.9999999)
    moved = matrix[:, torch.randperm(d, generator=torch.Generator().manual_seed(3))]
    one, other = Dense.of(matrix)[0], Dense.of(moved)[0]
    assert one is not None and other is not None and (one.gram == other.gram).all()
    integers, scales = row_module.as_integers(matrix.numpy())
    whole = [[int(value) for value in row] for row in integers.tolist()]
    sums = [[sum(a * b for a, b in zip(left, right, strict=True)) for right in whole[:2]] for left in whole[:2]]
    assert max(map(max, sums)) <= 1 << 53
    assert (one.gram[:2, :2] == np.array(sums, dtype=np.float64) / scales[:2, None] / scales[:2]).all()


def test_a_spike_hides_nothing_beside_it() -> None:
    """A long vector of small values under one great one, which rounding over all columns alike would not see."""
    d = 1 << 20
    matrix = torch.full((2, d), 2.0**-21)
    matrix[0, 0] = 1.0
    rows, _ = Dense.of(matrix)
    assert rows is not None
    lengths = matrix.double().norm(dim=1)
    assert rows.norms() == pytest.approx(lengths.tolist(), rel=1e-4)
    assert rows.gram[0, 1] == pytest.approx(float(matrix[0].double() @ matrix[1].double()), rel=1e-2)


def test_updates_that_are_not_finite_are_refused() -> None:
    broken = quantise(torch.full((64,), float("nan")), 64, 16)
    with pytest.raises(NotFinite):
        Sparse([broken])


@pytest.mark.parametrize("kind", ["dense", "sparse", "choice"])
@pytest.mark.parametrize("columns", [1, 40])
def test_products_are_added_in_the_order_of_the_inner_index(
    kind: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows are worked on at once."""
    generator = np.random.default_rng(0)
    left, right = generator.standard_normal((9, 40)), generator.standard_normal((40, columns))
    left = {"dense": left, "sparse": left * (generator.random((9, 40)) < 0.2), "choice": np.eye(40)[3:12]}[kind]
    plain = np.zeros((9, columns))
    for row, weights in zip(plain, left, strict=True):
        for weight, values in zip(weights, right, strict=True):
            row += weight * values
    for sums in (1, 2 * columns, 1 << 15):
        monkeypatch.setattr(row_module, "SUMS", sums)
        assert row_module.times(left, right).tobytes() == plain.tobytes()


def test_linear_rows_are_matrix_products() -> None:
    matrix = draw()
    base, _ = Dense.of(matrix)
    assert base is not None
    mixing = np.random.default_rng(0).random((4, N))
    mixed = Linear(base, mixing)
    twice = Linear(mixed, np.array([[1.0, 0, 0, -1], [0, 0.5, 0, 0]]))
    assert twice.base is base
    expected = torch.from_numpy(np.array([[1.0, 0, 0, -1], [0, 0.5, 0, 0]]) @ mixing) @ matrix.double()
    assert near(torch.from_numpy(next(twice.blocks(D))[2]), expected.float())
    assert near(torch.from_numpy(twice.gram), expected @ expected.T)
    assert twice.norms() == pytest.approx(expected.norm(dim=1).tolist(), rel=1e-5)
    assert near(torch.from_numpy(twice.combine([2.0, 3.0])), (2 * expected[0] + 3 * expected[1]).float())


# Rules against plain references


def test_network_puts_values_in_their_places() -> None:
    """All inputs of zeros and ones, which is enough for a network of comparators."""
    for count in range(1, 10):
        for low, high in itertools.combinations_with_replacement(range(count), 2):
            for bits in itertools.product((0, 1), repeat=count):
                values = list(bits)
                for one, other in coordinates.network(count, low, high):
                    values[one], values[other] = sorted((values[one], values[other]))
                assert values[low : high + 1] == sorted(bits)[low : high + 1]


def test_eigen() -> None:
    generator = np.random.default_rng(0)
    for size in (1, 2, 3, 8, 15, 33):
        a = generator.standard_normal((size, size))
        a = a + a.T
        values, vectors = weightings.eigen(a)
        assert np.sort(values) == pytest.approx(np.linalg.eigvalsh(a), abs=1e-10)
        assert np.allclose(vectors @ np.diag(values) @ vectors.T, a, atol=1e-10)
        assert np.allclose(vectors.T @ vectors, np.eye(size), atol=1e-12)


def test_flag_is_its_definition() -> None:
    matrix = draw().double().numpy()
    unit = matrix / np.linalg.norm(matrix, axis=1)[:, None]
    rank, pulls = (N + 1) // 2, np.ones(N)
    for _ in range(3):
        basis = np.linalg.svd(unit * pulls[:, None], full_matrices=False)[2][:rank]
        pulls = (1 - (unit @ basis.T) ** 2 @ np.ones(rank)) ** -0.25
    total = basis.T @ (basis @ unit.sum(0))
    expected = total * np.sort(np.linalg.norm(matrix, axis=1))[N // 2] / np.linalg.norm(total)
    assert near(vector(draw(), spec("flag")), torch.from_numpy(expected))


@pytest.mark.parametrize("columns", [64, 8_192])
def test_gas_is_its_definition(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinates, "COLUMNS", columns)
    matrix = draw()
    for groups in (1, 4, 7, 100, 301, 1_000):
        width = -(-D // groups)
        scores = sum((part - part.quantile(0.5, dim=0)).double().norm(dim=1) for part in matrix.split(width, dim=1))
        assert isinstance(scores, Tensor)
        rows, _ = Dense.of(matrix)
        assert rows is not None
        weights = coordinates.gas(rows, F, groups)
        assert set(np.flatnonzero(weights)) == set(scores.argsort()[: N - F].tolist())


def test_sign_majority_is_its_definition() -> None:
    matrix = draw(n=10)
    matrix[:, :9] = torch.tensor([1.0, -1]).repeat(5)[:, None]
    signs = matrix.sign().sum(0).sign()
    length = matrix.double().norm(dim=1).sort()[0][5]
    assert not signs[:9].any()
    assert near(vector(matrix, spec("sign-majority")), signs * (length / signs.norm()).float())


@pytest.mark.parametrize("n", [1, 2, 5, 8, 32, 33])
def test_median_and_trimmed_mean(n: int) -> None:
    matrix = draw(n=n)
    assert torch.allclose(vector(matrix, spec("median")), matrix.quantile(0.5, dim=0), atol=1e-6)
    f = spec("trimmed-mean").byzantine(n)
    assert torch.allclose(vector(matrix, spec("trimmed-mean")), matrix.sort(0)[0][f : n - f].mean(0), atol=1e-6)


def test_geometric_median_and_centered_clip_find_their_points() -> None:
    """The gradient of the sum of distances is nearly zero there; the clip's own displacement is."""
    gram = (matrix := draw().double()) @ matrix.T
    weights = torch.from_numpy(weightings.geometric_median(gram.numpy(), steps=200))
    away = matrix - weights @ matrix
    assert float((away / away.norm(dim=1)[:, None]).sum(0).norm()) < 1e-6 * N
    weights = torch.from_numpy(weightings.centered_clip(gram.numpy(), steps=200))
    away = matrix - weights @ matrix
    lengths = away.norm(dim=1)
    assert float((away * (lengths.sort()[0][N // 2] / lengths).clamp(max=1)[:, None]).sum(0).norm()) < 1e-6 * N


def test_bounds() -> None:
    assert bounds([1.0, 2.0, 4.0]) == [1.0, 1.0, 0.5] and bounds([]) == [] and bounds([0.0, 3.0]) == [1.0, 1.0]


def test_worker_momentum() -> None:
    one, other = draw(0), draw(1)
    first = worker_momentum(None, one, 0.9)
    assert torch.equal(first, one) and first is not one
    assert torch.allclose(worker_momentum(first, other, 0.9), 0.9 * one + 0.1 * other)
