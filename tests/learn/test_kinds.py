"""Every kind of compression behind the same two functions: one encoding, typed errors, exact norms, exact reverts."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradmint.learn.checks import overlaps
from gradmint.learn.codec import (
    KINDS,
    Header,
    Limits,
    Table,
    Update,
    approximate,
    approximate_each,
    decode,
    encode,
    private,
)
from gradmint.learn.codec import update as update_module
from gradmint.learn.codec.spec import CodecSpec
from gradmint.spec.errors import BlobError, Malformed, ManifestError, NotFinite

HEADER = Header(
    run=3,
    round=7,
    author=bytes(range(20)),
    base=b"b" * 32,
    layout=b"l" * 32,
    claimed_gain_micronats=-5,
    words=(),
)
NOISE = {"levels": 8, "retain_bps": 5_000, "margin_bps": 10_000, "exponent": -2}
TABLES = {
    "topk": Table(dimension=1_000, chunk=256, keep=16),
    "sign": Table(dimension=1_001, chunk=100, keep=100, kind="sign"),
    "int8": Table(dimension=300, chunk=64, keep=64, kind="int8"),
    "bfloat16": Table(dimension=150, chunk=64, keep=64, kind="bfloat16"),
    "clustered": Table(dimension=1_000, chunk=256, keep=16, kind="clustered"),
    "seeded": Table(dimension=1_000, chunk=64, keep=4, kind="seeded"),
    "private": Table(dimension=1_000, chunk=64, keep=4, kind="private", **NOISE),
}
PARAMETERS = pytest.mark.parametrize("kind", TABLES)


def limits(table: Table, max_bytes: int = 1 << 20) -> Limits:
    return Limits(max_bytes=max_bytes, table=table, words=0)


def entropy() -> Iterator[bytes]:
    number = 0
    while True:
        yield hashlib.sha256(number.to_bytes(8, "big")).digest()
        number += 1


def drawn(size: int) -> bytes:
    """What a trainer's secret entropy stands for here: the same at each call."""
    source, found = entropy(), b""
    while len(found) < size:
        found += next(source)
    return found[:size]


def some(table: Table, seed: int = 0, scale: float = 1.0) -> Update:
    vector = scale * torch.randn(table.dimension, generator=torch.Generator().manual_seed(seed)) ** 3
    if table.kind == "private":
        return private.fit(vector.numpy(), table, drawn)
    return approximate(vector, table)


def test_all_kinds_are_here_and_no_two_have_a_code() -> None:
    assert TABLES.keys() == KINDS.keys()
    assert len({kind.code for kind in KINDS.values()}) == len(KINDS)


@PARAMETERS
@given(
    dimension=st.integers(1, 400),
    chunk=st.integers(1, 150),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
    scale=st.sampled_from([0.0, 1e-30, 1e-9, 1e-4, 1.0, 1e5, 1e30]),
)
@settings(max_examples=40, deadline=None)
def test_round_trip_has_one_encoding(
    kind: str, dimension: int, chunk: int, share: float, seed: int, scale: float
) -> None:
    keep = {"topk": max(1, int(share * chunk)), "clustered": max(1, int(share * chunk))}.get(kind, chunk)
    table = replace(TABLES[kind], dimension=dimension, chunk=chunk, keep=keep)
    if kind in ("seeded", "private"):
        table = replace(table, keep=max(1, int(share * chunk / 8)))
    update = some(table, seed, scale)
    blob = encode(HEADER, update)
    header, again = decode(blob, limits(table))
    assert header == HEADER
    assert np.array_equal(again.values(), update.values()) and np.array_equal(again.positions, update.positions)
    assert encode(header, again) == blob


@PARAMETERS
def test_an_update_is_near_what_it_stands_for(kind: str) -> None:
    """In direction; how near depends on what is kept."""
    table = TABLES[kind]
    vector = torch.randn(table.dimension, generator=torch.Generator().manual_seed(1)) ** 3
    found = approximate(vector, table).dense()
    cosine = float(found @ vector / found.norm() / vector.norm())
    least = {"topk": 0.8, "sign": 0.35, "int8": 0.9999, "bfloat16": 0.9999, "clustered": 0.8, "seeded": 0.15}
    assert cosine > least.get(kind, 0.03)


@PARAMETERS
@pytest.mark.parametrize("scale", [0.0, 1e-4, 1.0, 30.0])
def test_norm_is_the_exactly_rounded_norm(kind: str, scale: float) -> None:
    update = some(TABLES[kind], 3, scale)
    assert update.norm() == math.sqrt(sum(Fraction(float(value)) ** 2 for value in update.values()))


@PARAMETERS
def test_sums_and_products_are_the_dense_ones(kind: str) -> None:
    update = some(TABLES[kind])
    vector = torch.randn(update.table.dimension, generator=torch.Generator().manual_seed(5))
    assert update.inner(vector) == pytest.approx(float(update.dense().double() @ vector.double()), rel=1e-12)
    added = vector.clone()
    update.add_to(added.numpy(), -0.3)
    assert torch.equal(added, vector + update.dense() * np.float32(-0.3))
    assert (np.diff(update.positions) > 0).all() and len(update.positions) == len(update.values())


@PARAMETERS
def test_blocks_hide_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, blob = some(TABLES[kind]), encode(HEADER, some(TABLES[kind]))
    monkeypatch.setattr(update_module, "BLOCK", 2 * TABLES[kind].chunk)
    small = some(TABLES[kind])
    if kind != "private":  # which draws its noise by blocks
        assert encode(HEADER, small) == blob
    again = decode(blob, limits(TABLES[kind]))[1]
    assert np.array_equal(again.values(), whole.values()) and again.norm() == whole.norm()


@PARAMETERS
def test_ten_thousand_reverts_leave_a_model_bit_identical(kind: str) -> None:
    table = replace(TABLES[kind], dimension=100) if kind in ("seeded", "private") else TABLES[kind]
    updates = [some(table, seed, 1e-3) for seed in range(4)]
    model = torch.randn(table.dimension, generator=torch.Generator().manual_seed(9)).numpy()
    model[::7] *= np.float32(1e-6)  # where adding and taking off again would lose bits
    model[3], model[5] = -0.0, np.nan
    before = model.tobytes()
    for number in range(10_000):
        with updates[number % 4].applied(model, 0.37):
            pass
    assert model.tobytes() == before
    with updates[0].applied(model, 0.37):
        assert model.tobytes() != before
    with pytest.raises(KeyboardInterrupt), updates[0].applied(model):
        raise KeyboardInterrupt
    assert model.tobytes() == before


@PARAMETERS
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_marked_and_survives_the_wire(kind: str, bad: float) -> None:
    table = TABLES[kind]
    vector = torch.ones(table.dimension)
    vector[90] = bad
    update = approximate(vector, table)
    blob = encode(HEADER, update)
    header, again = decode(blob, limits(table))
    assert not again.finite and encode(header, again) == blob
    with pytest.raises(NotFinite):
        again.norm()


@PARAMETERS
def test_no_prefix_is_a_blob_and_nothing_may_follow(kind: str) -> None:
    blob = encode(HEADER, some(TABLES[kind]))
    blank = len(encode(HEADER, private._diverged(TABLES[kind]))) if kind == "private" else 0
    for length in range(len(blob)):
        if length != blank or any(blob[blank - 8 : blank]):
            with pytest.raises(Malformed):
                decode(blob[:length], limits(TABLES[kind]))
    for tail in (b"\0", b"\x80", b"\0" * 50):
        with pytest.raises(Malformed):
            decode(blob + tail, limits(TABLES[kind]))


@PARAMETERS
@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_every_flipped_bit_is_refused_or_another_update(kind: str, scale: float) -> None:
    table = TABLES[kind]
    update = some(table, scale=scale)
    blob = encode(HEADER, update)
    head = limits(table).header_bytes
    seen = {form(update)}
    for bit in range(8 * head, 8 * len(blob)):
        flipped = bytearray(blob)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            header, other = decode(bytes(flipped), limits(table))
        except Malformed:
            continue
        assert encode(header, other) == bytes(flipped)
        assert other.positions[0] >= 0 and other.positions[-1] < table.dimension
        assert form(other) not in seen  # two blobs, two updates
        seen.add(form(other))
    assert len(seen) > (100 if scale else 0)


def form(update: Update) -> tuple[bytes, bytes]:
    return update.positions.tobytes(), update.values().tobytes()


@PARAMETERS
@given(noise=st.binary(max_size=600), share=st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_noise_raises_only_blob_errors(kind: str, noise: bytes, share: float) -> None:
    good = encode(HEADER, some(TABLES[kind]))
    blob = good[: int(share * len(good))] + noise
    try:
        header, update = decode(blob, limits(TABLES[kind]))
    except BlobError:
        return
    assert encode(header, update) == blob


@PARAMETERS
@pytest.mark.parametrize("fill", [b"\x00", b"\xff", b"\x01", b"\x80"])
def test_a_large_hostile_body_costs_no_more_than_an_honest_one(kind: str, fill: bytes) -> None:
    table = replace(TABLES[kind], dimension=1 << 20)
    good = encode(HEADER, some(table))
    head = limits(table).header_bytes
    bodies = (good[: head + 8], good[:-1000], good[: len(good) // 2])
    tracemalloc.start()
    for body in bodies:
        blob = body + fill * (len(good) - len(body))
        started = time.process_time()
        try:
            header, update = decode(blob, limits(table, 1 << 22))
        except BlobError:
            continue
        finally:
            assert time.process_time() - started < 1
        assert encode(header, update) == blob
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


@pytest.mark.filterwarnings("error")
def test_centroids_at_the_ends_of_float32_are_centroids() -> None:
    """Their difference is not a float32; they are compared, not subtracted."""
    table = TABLES["clustered"]
    most = float(np.finfo(np.float32).max)
    update = approximate(torch.tensor([-most, most] * (table.dimension // 2)), table)
    assert np.array_equal(decode(encode(HEADER, update), limits(table))[1].values(), update.values())


def test_more_values_than_can_be_coded_are_refused() -> None:
    spec = CodecSpec(chunk=4_096, keep=4_096, max_bytes=1 << 20, max_norm=1.0)
    assert spec.table((1 << 30) - 1).kept == (1 << 30) - 1
    for kind in ("topk", "clustered"):
        with pytest.raises(ManifestError, match=r"codec\.keep 4096 of 4096 keeps 1073741824"):
            replace(spec, kind=kind).table(1 << 30)
    assert replace(spec, kind="int8").table(1 << 30).kept == 1 << 30


def test_a_blob_of_another_kind_is_malformed() -> None:
    blob = encode(HEADER, some(TABLES["sign"]))
    with pytest.raises(Malformed, match="kind 2, expected 3"):
        decode(blob, limits(replace(TABLES["sign"], kind="int8")))


def sign_keys(update: Update) -> set[tuple[int, bool]]:
    """Place and sign of each telling value but zeros."""
    found = set()
    for at, values in update.telling():
        places = range(at.start, at.stop) if isinstance(at, slice) else at.tolist()
        found |= {(place, value < 0) for place, value in zip(places, values.tolist(), strict=True) if value}
    return found


@PARAMETERS
def test_copies_overlap_and_strangers_do_not(kind: str) -> None:
    table = TABLES[kind]
    mine, copy, other = some(table, 1), some(table, 1), some(table, 2)
    nothing = some(replace(table), 3, 0.0)
    same = overlaps([mine, copy, other, nothing])
    assert same[1, 0] == same[0, 0] == same[1, 1] > 0
    if kind != "private":  # its noise is here the same for all, and outweighs what they are about
        assert same[2, 0] < 0.65 * min(same[0, 0], same[2, 2])
    if kind not in ("private",):
        assert same[3, 3] == 0 == same[3, 0]
    keys = sign_keys(mine) & sign_keys(other)
    assert same[2, 0] == len(keys)


MACHINES = (
    {},
    {  # the same processor without its vector units
        "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
        "OPENBLAS_CORETYPE": "Prescott",
    },
)
READ = f"""
import hashlib, sys
from pathlib import Path
import numpy as np
from gradmint.learn.codec import Limits, Table, decode
for kind, table in {TABLES}.items():
    update = decode(Path(sys.argv[1], kind).read_bytes(), Limits(max_bytes=1 << 20, table=table, words=0))[1]
    model = np.linspace(-1, 1, table.dimension, dtype=np.float32)
    update.add_to(model, 0.3)
    print(kind, update.norm().hex(), hashlib.sha256(model).hexdigest(), hashlib.sha256(update.values()).hexdigest())
"""


def test_decoded_bits_do_not_depend_on_vector_units(tmp_path: Path) -> None:
    for kind, table in TABLES.items():
        (tmp_path / kind).write_bytes(encode(HEADER, some(table)))
    outputs = []
    for machine in MACHINES:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", READ, str(tmp_path)],
            env={**os.environ, **machine},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1] and len(outputs[0].splitlines()) == len(TABLES)


#: sha2-256 of a body, and the norm: the wire format, so any change of these is another version.
GOLDEN = {
    "topk": ("75f985a0e4b1c1af", "0x1.f01df1b5b3c59p+3"),
    "sign": ("0f8549f646a5d351", "0x1.fa43e365e14f8p+4"),
    "int8": ("5e013e9bc8000fad", "0x1.41674140c2b4dp+4"),
    "bfloat16": ("46b3a71d48f3fde6", "0x1.c6668286204d3p+3"),
    "clustered": ("4f46750a28cc1aa3", "0x1.ea48ba11fa74ap+3"),
    "seeded": ("baf7d6e978a88282", "0x1.211a91d2d9125p+3"),
    "private": ("1cf429261772ec57", "0x1.571d79e1d5033p+5"),
}


@PARAMETERS
def test_the_wire_format_is_the_documented_one(kind: str) -> None:
    """On a vector of integers, so that no machine's sums can differ."""
    table = TABLES[kind]
    places = torch.arange(table.dimension)
    vector = ((places * 7919 % 257) - 128).float() / 64
    update = private.fit(vector.numpy(), table, drawn) if kind == "private" else approximate(vector, table)
    assert (hashlib.sha256(update.pack()).hexdigest()[:16], update.norm().hex()) == GOLDEN[kind]


@pytest.mark.parametrize("kind", ["int8", "bfloat16"])
def test_strangers_who_agree_about_signs_are_no_copies(kind: str) -> None:
    """As honest trainers do in a first round; a copy whose small values have other signs is one all the same."""
    table = replace(TABLES[kind], dimension=5_000, chunk=256, keep=256)
    draw = np.random.default_rng(0)
    shared = draw.standard_normal(5_000)
    one, other = (torch.from_numpy((shared + 0.7 * draw.standard_normal(5_000)).astype(np.float32)) for _ in range(2))
    assert float(((one > 0) == (other > 0)).float().mean()) > 0.7
    disguised = torch.where(one.abs() < one.abs().median(), -one, one)
    updates = [approximate(vector, table) for vector in (one, other, disguised)]
    same = overlaps(updates)
    assert same[1, 0] < 0.6 * same[0, 0] and same[2, 0] == same[0, 0] == 19 * 32 + 17
    assert same[1, 0] == len(sign_keys(updates[0]) & sign_keys(updates[1]))


@pytest.mark.parametrize("kind", ["topk", "clustered"])
def test_many_vectors_are_approximated_like_each(kind: str) -> None:
    """One of them not finite, one of them zero, and a last chunk that is short."""
    table = replace(TABLES[kind], dimension=5_000)
    vectors = torch.randn(6, 5_000, generator=torch.Generator().manual_seed(5))
    vectors[2, 17], vectors[4] = torch.inf, 0
    for together, vector in zip(approximate_each(vectors, table), vectors, strict=True):
        alone = approximate(vector, table)
        assert together.pack() == alone.pack() and together.finite == alone.finite
