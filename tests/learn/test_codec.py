"""The update blob of the kind "topk": round trip, one encoding, and what hostile bytes cost. All kinds: test_kinds."""

from __future__ import annotations

import math
import time
import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradmint.learn.codec import Header, Limits, Mark, SparseUpdate, Table, decode, encode, quantise, rice
from gradmint.learn.codec.blob import FIXED
from gradmint.learn.codec.select import largest
from gradmint.spec import plant
from gradmint.spec.errors import BlobError, Malformed, NotFinite, Oversize

HEADER = Header(
    run=3,
    round=7,
    author=bytes(range(20)),
    base=b"b" * 32,
    layout=b"l" * 32,
    claimed_gain_micronats=-5,
    words=(2**255 + 1, 9),
    marks=(
        Mark(digest=b"d" * 32, norms=(0.0, 1.5, math.inf), words=tuple(range(6))),
        Mark(digest=b"e" * 32, norms=(2.0, 0.25, 5e-324), words=(2**256 - 1,) * 6),
    ),
)
TABLE = Table(dimension=1_000, chunk=256, keep=16)
LIMITS = Limits(max_bytes=4_096, table=TABLE, words=2, marks=2)


def read(blob: bytes, limits: Limits) -> tuple[Header, SparseUpdate]:
    header, update = decode(blob, limits)
    assert isinstance(update, SparseUpdate)
    return header, update


def some(table: Table, seed: int = 0) -> SparseUpdate:
    vector = torch.randn(table.dimension, generator=torch.Generator().manual_seed(seed)) ** 3
    return quantise(vector, table.chunk, table.keep)


def same(one: SparseUpdate, other: SparseUpdate) -> bool:
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in ("positions", "codes", "levels"))


BLOB = encode(HEADER, some(TABLE))


@given(
    dimension=st.integers(1, 700),
    chunk=st.integers(1, 300),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
    scale=st.sampled_from([0.0, 1e-9, 1e-4, 1.0, 1e5]),
)
@settings(max_examples=60, deadline=None)
def test_round_trip_has_one_encoding(dimension: int, chunk: int, share: float, seed: int, scale: float) -> None:
    table = Table(dimension=dimension, chunk=chunk, keep=max(1, int(share * chunk)))
    vector = scale * torch.randn(dimension, generator=torch.Generator().manual_seed(seed))
    update = quantise(vector, table.chunk, table.keep)
    blob = encode(HEADER, update)
    header, again = read(blob, Limits(max_bytes=1 << 20, table=table, words=2, marks=2))
    assert header == HEADER
    assert same(again, update)
    assert encode(header, again) == blob


def test_keeps_the_largest_of_each_chunk_and_its_sign() -> None:
    vector = torch.tensor([0.0, 4.0, -1.0, 0.5, 0.1, 0.2, -8.0, 0.3, 1.0])
    dense = quantise(vector, 4, 2).dense()
    assert dense.nonzero().flatten().tolist() == [1, 2, 6, 7, 8]
    assert torch.allclose(dense[[1, 2, 6, 7, 8]], torch.tensor([4.0, -1.0, -8.0, 0.3, 1.0]), rtol=0.05)


def test_two_levels_lose_at_most_the_optimum_for_gaussian_magnitudes_and_a_tenth() -> None:
    vector = torch.randn(4_096, generator=torch.Generator().manual_seed(1))
    update = quantise(vector, 4_096, 4_096)
    error = float((update.dense() - vector).pow(2).mean())
    assert error < 0.1175 * 1.1  # Max (1960): four levels of a Gaussian leave 0.1175 of its variance


def test_bits_for_each_value_kept_stay_below_the_anchor() -> None:
    table = Table(dimension=1 << 22, chunk=4_096, keep=64)
    bits = 8 * len(encode(replace(HEADER, marks=()), some(table))) / table.kept
    assert bits <= 9.6  # position 7.53, sign 1, magnitude 0.8, levels 0.15, header


def test_ten_million_parameters_at_one_in_a_hundred_fit_0_14_mb() -> None:
    table = Table(dimension=10_000_000, chunk=4_096, keep=41)
    assert len(encode(replace(HEADER, marks=()), some(table))) <= 140_000


@given(
    rows=st.integers(1, 5),
    width=st.sampled_from([1, 7, 64, 96, 512]),
    share=st.floats(0, 1),
    values=st.integers(1, 9),
    seed=st.integers(0, 99),
)
@settings(max_examples=150, deadline=None)
def test_the_largest_are_those_of_a_stable_sort(rows: int, width: int, share: float, values: int, seed: int) -> None:
    """Few distinct values, so that ties are everywhere: of equals the first is kept."""
    keep = max(1, int(share * width))
    magnitudes = np.random.default_rng(seed).integers(0, values, (rows, width)).astype(np.float32)
    expected = np.sort(np.argsort(-magnitudes, axis=1, kind="stable")[:, :keep], axis=1)
    assert np.array_equal(largest(magnitudes, keep), expected)


def test_norm_is_the_exactly_rounded_norm() -> None:
    update = some(TABLE, 3)
    exact = sum(Fraction(float(value)) ** 2 for value in update.values())
    assert update.norm() == math.sqrt(exact)


def test_inner_product_is_the_dense_one() -> None:
    vector = torch.randn(TABLE.dimension, generator=torch.Generator().manual_seed(5))
    update = some(TABLE)
    assert update.inner(vector) == pytest.approx(float(update.dense().double() @ vector.double()), rel=1e-12)


def test_a_chunk_that_is_not_finite_is_marked_and_survives_the_wire() -> None:
    vector = torch.ones(512)
    vector[300] = math.nan
    update = quantise(vector, 256, 4)
    _, again = decode(encode(HEADER, update), Limits(max_bytes=4_096, table=update.table, words=2, marks=2))
    assert not again.finite
    with pytest.raises(NotFinite):
        again.norm()


def test_no_prefix_is_a_blob() -> None:
    for length in range(len(BLOB)):
        with pytest.raises(Malformed):
            decode(BLOB[:length], LIMITS)


def test_nothing_may_follow() -> None:
    for tail in (b"\0", b"\x80", b"\0" * 50):
        with pytest.raises(Malformed):
            decode(BLOB + tail, LIMITS)


def test_oversize_before_anything_else() -> None:
    with pytest.raises(Oversize, match="5000 bytes, at most 4096"):
        decode(bytes(5_000), LIMITS)


def test_every_flipped_bit_is_refused_or_another_update() -> None:
    seen = {BLOB}
    for bit in range(8 * len(BLOB)):
        flipped = bytearray(BLOB)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            header, update = read(bytes(flipped), LIMITS)
        except BlobError:
            continue
        assert encode(header, update) == bytes(flipped)
        assert (np.diff(update.positions) > 0).all() and update.positions[-1] < TABLE.dimension
        seen.add(bytes(flipped))
    assert len(seen) > 100  # signs and levels are free: the loop did meet blobs that decode


@given(noise=st.binary(max_size=3_000), prefix=st.integers(0, len(BLOB)))
@example(noise=b"\xff" * 2_000, prefix=len(BLOB) // 2)
@settings(max_examples=150, deadline=None)
def test_noise_raises_only_blob_errors(noise: bytes, prefix: int) -> None:
    try:
        header, update = decode(BLOB[:prefix] + noise, LIMITS)
    except BlobError:
        return
    assert encode(header, update) == BLOB[:prefix] + noise


@pytest.mark.parametrize("field", ["dimension", "chunk", "keep"])
def test_a_lying_table_allocates_nothing(field: str) -> None:
    lying = bytearray(BLOB)
    at = {"dimension": 104, "chunk": 112, "keep": 116}[field]
    width = 8 if field == "dimension" else 4
    lying[at : at + width] = b"\xff" * width
    tracemalloc.start()
    with pytest.raises(Malformed, match=f"{field} {(1 << 8 * width) - 1}"):
        decode(bytes(lying), LIMITS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize("fill", [b"\x00", b"\xff", b"\x01", b"\x80"])
@pytest.mark.parametrize("keep", [64, 512])
def test_a_large_hostile_blob_costs_less_than_a_second_and_64_mib(fill: bytes, keep: int) -> None:
    table = Table(dimension=8 << 20 if keep == 64 else 1 << 20, chunk=4_096, keep=keep)
    update = some(table)
    blob = encode(HEADER, update)
    limits = Limits(max_bytes=1 << 21, table=table, words=2, marks=2)
    header = blob[: limits.header_bytes]
    tracemalloc.start()
    for hostile in (header + fill * (len(blob) - len(header)), blob[: -len(blob) // 4] + fill * (len(blob) // 4)):
        started = time.process_time()
        with pytest.raises(Malformed):
            decode(hostile, limits)
        assert time.process_time() - started < 1
    decode(blob, limits)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


@pytest.mark.parametrize("value", [15, 31, 47, -1])
def test_positions_stay_inside_their_chunk(value: int) -> None:
    positions = some(TABLE).positions.copy()
    positions[value] = 256 * (value // 16 + 1) if value > 0 else TABLE.dimension  # one past the end of its chunk
    with pytest.raises(Malformed, match="positions reach"):
        decode(encode(HEADER, replace(some(TABLE), positions=positions)), LIMITS)


def test_only_one_form_of_equal_levels_and_of_zero() -> None:
    update = quantise(torch.tensor([1.0, 1.0, -1.0, 1.0]), 4, 4)
    assert update.codes.tolist() == [0, 0, 2, 0]
    limits = Limits(max_bytes=4_096, table=update.table, words=2, marks=2)
    assert same(read(encode(HEADER, update), limits)[1], update)
    for codes, levels in (
        ([1, 0, 2, 0], update.levels),  # a high bit between equal levels
        ([2, 0, 0, 0], np.array([[0, 9]], dtype=np.uint8)),  # a negative zero
        ([1, 0, 0, 0], np.array([[9, 255]], dtype=np.uint8)),  # half a number
        ([2, 0, 0, 0], np.array([[255, 255]], dtype=np.uint8)),  # a sign without number
    ):
        forged = replace(update, codes=np.array(codes, dtype=np.uint8), levels=levels)
        with pytest.raises(Malformed):
            decode(encode(HEADER, forged), limits)
    with pytest.raises(ValueError, match="descend"):
        encode(HEADER, replace(update, levels=np.array([[9, 8]], dtype=np.uint8)))


def test_a_parameter_that_is_not_the_values_own_is_refused() -> None:
    update = some(TABLE)
    body = update.pack()
    at = 0
    for count in (TABLE.chunks, TABLE.chunks):  # two arrays of levels come first
        values, end = rice.unpack(body, at, count, 510)
        low = body[at] + 1
        other = bytes([low]) + rice.pack_fields(values & ((1 << low) - 1), low) + rice._pack_unary(values >> low)
        assert rice.unpack(rice.pack(values), 0, count, 510)[0].tolist() == values.tolist()
        with pytest.raises(Malformed, match="its values call for"):
            rice.unpack(other, 0, count, 510)
        at = end


@given(values=st.lists(st.integers(0, 3_000), max_size=300), tail=st.binary(max_size=5))
def test_arrays_of_any_values_come_back_and_know_their_end(values: list[int], tail: bytes) -> None:
    packed = rice.pack(np.array(values, dtype=np.int32))
    again, end = rice.unpack(packed + tail, 0, len(values), 3_000)
    assert again.tolist() == values and end == len(packed)
    if values and max(values) > 0:
        with pytest.raises(Malformed):
            rice.unpack(packed + tail, 0, len(values), max(values) - 1)


def test_arrays_longer_than_a_block_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).geometric(0.02, 1_000).astype(np.int32)
    whole = rice.pack(values)
    monkeypatch.setattr(rice, "BLOCK", 16)
    assert rice.pack(values) == whole
    assert rice.unpack(whole, 0, len(values), 5_000)[0].tolist() == values.tolist()


def test_a_single_value_at_the_upper_level_is_found_again() -> None:
    vector = torch.ones(200_000)
    vector[199_998] = -9.0
    update = quantise(vector, 1 << 16, 1 << 16)
    limits = Limits(max_bytes=1 << 20, table=update.table, words=2, marks=2)
    assert same(read(encode(HEADER, update), limits)[1], update)
    assert np.flatnonzero(update.codes).tolist() == [199_998]


def test_planted_words_stand_where_the_chain_looks_for_them() -> None:
    """The contract knows one number about this encoding."""
    assert FIXED.size == plant.WORDS_AT
    planted = plant.plant(BLOB, HEADER.author, b"s" * 32, len(HEADER.words))
    header, update = decode(planted, LIMITS)
    assert header.words != HEADER.words and same(update, decode(BLOB, LIMITS)[1])
    assert replace(header, words=HEADER.words) == HEADER
