"""The manifest blob: one encoding, strict reading, and what a machine must have to honour it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradmint.learn.codec import KINDS
from gradmint.learn.manifest import MAX_MANIFEST_BYTES, Manifest, load_task, preset, with_codec
from gradmint.learn.tolerances import TOLERANCES
from gradmint.spec.errors import ManifestError, NumericsRefused


@pytest.mark.parametrize("name", ["bytes", "bytes-large", "digits"])
def test_presets_survive_the_wire(name: str) -> None:
    manifest = preset(name, seed=5)
    assert Manifest.decode(manifest.encode()) == manifest
    assert manifest.task.seed == 5
    assert load_task(manifest).data_sha256 == manifest.task.data_sha256


def altered(change: Callable[[dict[str, Any]], object]) -> bytes:
    parsed = json.loads(preset("digits").encode())
    change(parsed)
    return json.dumps(parsed, sort_keys=True, separators=(",", ":")).encode()


def noisy(parsed: dict[str, Any], **changes: int) -> None:
    fine = {"kind": "private", "levels": 8, "retain_bps": 5_000, "margin_bps": 10_000, "exponent": -9}
    parsed["codec"].update(fine | changes)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_compression_survives_the_wire(kind: str) -> None:
    manifest = with_codec(preset("digits"), kind)
    assert manifest.codec.kind == kind and Manifest.decode(manifest.encode()) == manifest
    assert with_codec(manifest, "int8").codec.levels == 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda m: m.pop("outer"), "expected .*'outer'"),
        (lambda m: m.update(more=1), "'more'"),
        (lambda m: m["outer"].update(more=1), "outer has keys .*'more'"),
        (lambda m: m["training"].update(steps=True), "training.steps is True, expected a value of type int"),
        (lambda m: m["training"].update(steps=0), "training.steps 0 lies in"),
        (lambda m: m["training"].update(learning_rate=1), "learning_rate is 1, expected a value of type float"),
        (lambda m: m["training"].update(learning_rate=float("nan")), "learning_rate nan"),
        (lambda m: m["codec"].update(keep=5_000), "codec.keep 5000"),
        (lambda m: m["codec"].update(max_norm=float("inf")), "max_norm inf"),
        (lambda m: m["codec"].update(kind="zip"), "codec.kind 'zip' is one of topk, sign, int8"),
        (lambda m: m["codec"].update(kind="sign"), "codec.keep 512 is codec.chunk 4096: sign keeps all"),
        (lambda m: m["codec"].update(kind="seeded", keep=513), "at most an eighth of codec.chunk 4096"),
        (lambda m: m["codec"].update(exponent=-3), "are 0: topk has none"),
        (lambda m: noisy(m, levels=5), "codec.levels 5 is a power of two"),
        (lambda m: noisy(m, levels=128), "codec.levels 128 is a power of two in 2..64"),
        (lambda m: noisy(m, retain_bps=10_000), "codec.retain_bps 10000"),
        (lambda m: noisy(m, levels=2), "codec.retain_bps 5000 .* is 0 for 2 levels"),
        (lambda m: noisy(m, levels=1 << 40), "codec.levels 1099511627776 is a power of two"),
        (lambda m: noisy(m, levels=64, retain_bps=4_200), "can draw every level"),
        (lambda m: noisy(m, retain_bps=9_900), "can draw every level"),
        (lambda m: noisy(m, margin_bps=0), "codec.margin_bps 0"),
        (lambda m: noisy(m, exponent=64), "codec.exponent 64 lies in -64..63"),
        (lambda m: noisy(m), "training.intervals 4 is 0 with codec.kind 'private'"),
        (lambda m: m["training"].update(intervals=-1), "training.intervals -1 lies in"),
        (lambda m: m["training"].update(intervals=65), "training.intervals 65 lies in"),
        (lambda m: m["training"].update(steps=3, warmup_steps=1), "training.intervals 4 lies in"),
        (lambda m: m["training"].update(intervals=0), "is at least 1, where trainers are audited"),
        (lambda m: m["assessment"].update(assigned_trainers=1 << 16), "assigned_trainers 65536 in 0..65535"),
        (lambda m: m["numerics"].update(torch="\u0662.1"), "numerics.torch .* is a release"),
        (lambda m: m["assessment"].update(audited_trainers=-1), "audited_trainers -1"),
        (lambda m: m["assessment"].update(overclaim_micronats=2**31), "overclaim_micronats 2147483648"),
        (lambda m: m["assessment"].update(own_accept_bits=129), "own_accept_bits 129 lies in 1..128"),
        (lambda m: m["assessment"].update(interval_accept_bits=0), "interval_accept_bits 0 lies in 1..768"),
        (lambda m: m["assessment"].update(interval_accept_bits=769), "interval_accept_bits 769"),
        (lambda m: m["assessment"].update(norm_tolerance_bps=0), "norm_tolerance_bps 0"),
        (lambda m: m["assessment"].update(words=17), "words 17 lies in 2..16"),
        (lambda m: m["assessment"].update(output_words=0), "output_words 0"),
        (lambda m: m["assessment"].update(precision_words=3), "at least one for work and precision_words 3"),
        (lambda m: m["assessment"].update(precision_width=0.0), "precision_width 0.0"),
        (lambda m: m["task"].update(factory="os.system('x')"), "package.module:factory"),
        (lambda m: m["task"].update(data_sha256="AB" * 32), "lower-case"),
        (
            lambda m: m["numerics"].update(admitted="float32"),
            "numerics.admitted is 'float32', expected a value of type",
        ),
        (lambda m: m["numerics"].update(admitted=["float32", 1]), "numerics.admitted is .*expected a value of type"),
        (lambda m: m["numerics"].update(admitted=[]), "numerics.admitted .* sorted"),
        (lambda m: m["numerics"].update(admitted=["float16"]), "numerics.admitted .*'float16'"),
        (lambda m: m["numerics"].update(admitted=["float32", "bfloat16"]), "numerics.admitted .* sorted"),
        (lambda m: m["numerics"].update(admitted=["float32", "float32"]), "numerics.admitted .* distinct"),
        (lambda m: m["numerics"].update(admitted=["float32/threads=2"]), "numerics.admitted .* without threads"),
        (lambda m: m["numerics"].update(calibration="0" * 63), "numerics.calibration '0+' is 64"),
        (lambda m: m.update(task=[]), "task has keys list"),
    ],
)
def test_altered_manifests_are_refused_by_name(change: Callable[[dict[str, Any]], object], complaint: str) -> None:
    with pytest.raises(ManifestError, match=complaint):
        Manifest.decode(altered(change))


def test_only_the_canonical_form_is_read() -> None:
    blob = preset("digits").encode()
    for other in (b" " + blob, blob.replace(b":", b": ", 1), blob.replace(b"0.95", b"0.950", 1)):
        with pytest.raises(ManifestError, match="not canonical"):
            Manifest.decode(other)


@given(st.binary(max_size=200) | st.just(b"[" * 10_000) | st.just(b"9" * 5_000))
def test_noise_is_a_manifest_error(noise: bytes) -> None:
    with pytest.raises(ManifestError):
        Manifest.decode(noise)


def test_length_is_checked_before_anything_is_parsed() -> None:
    with pytest.raises(ManifestError, match=f"{MAX_MANIFEST_BYTES + 1} bytes, at most {MAX_MANIFEST_BYTES}"):
        Manifest.decode(b" " * (MAX_MANIFEST_BYTES + 1))


def test_other_data_and_another_torch_are_named_with_both_operands() -> None:
    manifest = preset("digits")
    other = replace(manifest, task=replace(manifest.task, data_sha256="0" * 64))
    with pytest.raises(ManifestError, match=f"{manifest.task.data_sha256}.*{'0' * 64}"):
        load_task(other)
    older = replace(manifest, numerics=replace(manifest.numerics, torch="1.0.0"))
    with pytest.raises(NumericsRefused, match=rf"{manifest.numerics.torch}.*1\.0\.0"):
        load_task(older)


@pytest.mark.parametrize("name", ["os:getcwd", "nothing.such:factory", "gradmint.learn.tasks.digits:nothing", "digit"])
def test_only_marked_factories_are_called(name: str) -> None:
    with pytest.raises(ManifestError, match=r"decorate|installed|neither"):
        preset(name)


def test_the_policy_is_in_the_digest_and_a_calibration_in_the_recipe_is_not() -> None:
    manifest = preset("digits")
    narrow = replace(manifest, numerics=replace(manifest.numerics, admitted=("float32",)))
    assert narrow.digest() != manifest.digest() and narrow.recipe() != manifest.recipe()
    calibrated = replace(manifest, numerics=replace(manifest.numerics, calibration="ab" * 32))
    assert calibrated.digest() != manifest.digest() and calibrated.recipe() == manifest.recipe()
    assert preset("digits", seed=5).recipe() == manifest.recipe()
    for name in TOLERANCES:  # what a calibration finds is no part of what it is of
        wider = replace(manifest, assessment=replace(manifest.assessment, **{name: 77}))
        assert wider.digest() != manifest.digest() and wider.recipe() == manifest.recipe()
