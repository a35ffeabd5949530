"""Signature words: their collision laws, exactness, and independence of everything but the evidence and the seed."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gradmint.learn import philox
from gradmint.learn.signature import (
    BUCKETS,
    POINTS,
    WORD_BITS,
    Evidence,
    differing,
    distance_bits,
    quantised_words,
    sign_words,
)

SEED = bytes(range(32))
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SIZES = [0, 1, 900, 4_096, 4_097, 32 * BUCKETS, 1_000_003]
Signer = Callable[[Evidence, bytes, int], tuple[int, ...]]


def wide_words(evidence: Evidence, seed: bytes, words: int) -> tuple[int, ...]:
    return quantised_words(evidence, seed, words, 300.0)


SIGNERS = [sign_words, wide_words]


def normal(size: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.Generator(np.random.Philox(seed)).standard_normal(size).astype(np.float32))


def sparse(size: int, seed: int) -> torch.Tensor:
    """Three values that are not zero: projections by signs alone would show no small angle here."""
    vector = torch.zeros(size)
    vector[torch.arange(3) * (size // 3) + seed] = normal(3, seed)
    return vector


def channels(size: int, seed: int) -> torch.Tensor:
    """One channel of 64 carries all, as in hidden states."""
    return normal(size, seed) * (torch.arange(size) % 64 == 5)


def within(found_bits: int, probability: float, bits: int, slack: float = 0.0) -> bool:
    """Five standard deviations of a binomial, and ``slack`` of the mean for the sketch's own."""
    deviation = math.sqrt(bits * probability * (1 - probability))
    return abs(found_bits - bits * probability) <= 5 * deviation + slack * bits * probability + 1


@pytest.mark.parametrize("kind", [normal, sparse, channels])
@pytest.mark.parametrize("size", [900, 200_000])
@pytest.mark.parametrize("angle", [0.02, 0.3, math.pi / 2, 3.0])
def test_a_bit_differs_with_probability_angle_over_pi(
    size: int, angle: float, kind: Callable[[int, int], torch.Tensor]
) -> None:
    found, seeds, words = 0, 8, 16
    for i in range(seeds):
        one, other = kind(size, 2 * i + 1), kind(size, 2 * i + 2)
        other -= one * (one @ other) / (one @ one)
        turned = math.cos(angle) * one / one.norm() + math.sin(angle) * other / other.norm()
        found += distance_bits(sign_words(one, bytes([i]) * 32, words), sign_words(turned, bytes([i]) * 32, words))
    assert within(found, angle / math.pi, seeds * words * WORD_BITS, slack=0.04)


@pytest.mark.parametrize("kind", [normal, sparse, channels])
@pytest.mark.parametrize("size", [900, 200_000])
@pytest.mark.parametrize("widths", [0.01, 0.1, 0.3, 0.6, 2.0, 50.0])
def test_a_strip_differs_as_boufounos_says(size: int, widths: float, kind: Callable[[int, int], torch.Tensor]) -> None:
    """For any width, also none that is a power of two, and for vectors many widths long."""
    found, seeds, words, width = 0, 8, 16, 0.37
    for i in range(seeds):
        seed, one, step = bytes([i]) * 32, 20 * width * kind(size, 2 * i + 1), kind(size, 2 * i + 2)
        other = one.double() + step.double() * (widths * width / step.double().norm())
        found += distance_bits(quantised_words(one, seed, words, width), quantised_words(other, seed, words, width))
    assert within(found, differing(widths), seeds * words * WORD_BITS, slack=0.04)


def test_the_law_of_strips() -> None:
    """Its Fourier series beside the triangle wave itself, averaged over the normal distribution."""
    z = np.linspace(-8, 8, 400_001)
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    for widths in (1e-3, 0.05, 0.4, 1.0, 7.0):
        wave = np.abs((np.abs(z * widths) + 1) % 2 - 1)
        assert differing(widths) == pytest.approx(float(np.sum(wave * density) * (z[1] - z[0])), abs=1e-4)
    assert differing(1e-3) == pytest.approx(math.sqrt(2 / math.pi) * 1e-3, rel=0.01)
    assert differing(0.0) == pytest.approx(0, abs=1e-4) and differing(100.0) == 0.5


def projections(values: NDArray[np.float32], seed: bytes, exponent: int, level: bool) -> NDArray[np.float64]:
    """The definition once more, in numpy, integer by integer."""
    whole = np.rint(values.astype(np.float64) * 2.0**exponent).astype(np.int64)
    folded = np.zeros(POINTS, dtype=np.int64)
    if len(whole) <= POINTS:
        folded[: len(whole)] = whole
    else:
        for row in range(-(-len(whole) // BUCKETS)):
            part = whole[row * BUCKETS : (row + 1) * BUCKETS]
            drawn = philox.words(seed, 0, 384 + POINTS * (row // 32), len(part))
            folded[: len(part)] += part * (1 - 2 * (drawn >> (row % 32) & 1))
    vector = folded.astype(np.float64)
    if level:
        vector = np.rint(vector * 2.0 ** (40 - int(np.abs(folded).max()).bit_length()))
    signs = philox.words(seed, 0, 0, 384)[:, None] >> np.arange(32) & 1
    for turn in range(3):
        vector = np.rint(vector / 64) if turn else vector
        vector = vector * (1 - 2 * signs.reshape(3, -1)[turn])
        for bit in range(12):
            pairs = vector.reshape(-1, 2, 1 << bit)
            vector = np.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], axis=1).reshape(-1)
    return vector


def packed(bits: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int("".join(str(int(bit)) for bit in bits[at : at + 256]), 2) for at in range(0, len(bits), 256))


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("device", DEVICES)
def test_the_bits_are_those_of_the_definition(size: int, device: str) -> None:
    values = normal(size, size)
    exponent = 40 - math.frexp(float(values.abs().max()))[1]
    expected = packed(projections(values.numpy(), SEED, exponent, level=True)[:1_024] > 0)
    assert sign_words(values.to(device), SEED, 4) == sign_words(values.numpy(), SEED, 4) == expected

    exponent, width = 20 - 8, 300 * 2**12
    dither = philox.words(SEED, 1, 0, 1_024) * (2 * width) >> 32
    found = projections(values.numpy(), SEED, exponent, level=False)[:1_024].astype(np.int64)
    expected = packed((found + dither) // width % 2 == 1)
    assert wide_words(values.to(device), SEED, 4) == wide_words(values.numpy(), SEED, 4) == expected


@pytest.mark.parametrize("signer", SIGNERS)
@pytest.mark.parametrize("size", SIZES)
def test_parts_in_order_are_the_whole(size: int, signer: Signer) -> None:
    values = normal(size, 5)
    parts = [values[: size // 3].numpy(), values[size // 3 : size // 2], values[:0], values[size // 2 :].view(-1, 1)]
    assert signer(parts, SEED, 2) == signer(values, SEED, 2)


@pytest.mark.parametrize("signer", SIGNERS)
def test_narrower_floats_count_as_what_they_hold(signer: Signer) -> None:
    values = normal(10_000, 6)
    for dtype in (torch.bfloat16, torch.float16):
        narrow = values.to(dtype)
        assert signer(narrow, SEED, 2) == signer(narrow.float(), SEED, 2)
    assert signer(values.double(), SEED, 2) == signer(values, SEED, 2)
    frozen = values.numpy().astype(">f4")
    frozen.flags.writeable = False
    assert signer(frozen, SEED, 2) == signer(values, SEED, 2)
    assert signer(values.requires_grad_(), SEED, 2) == signer(values.detach(), SEED, 2)


@pytest.mark.parametrize("signer", SIGNERS)
def test_evidence_is_left_as_it_was(signer: Signer) -> None:
    for size in (900, 200_000):
        values = normal(size, 7)
        signer(values, SEED, 1)
        assert torch.equal(values, normal(size, 7))


def test_known_words() -> None:
    """Frozen: a change here splits every committee that runs two releases."""
    evidence = torch.arange(-5_000, 5_000).float() ** 3
    for words, expected in (
        (sign_words(evidence, SEED, 4), "73075467468f5a7c"),
        (quantised_words(evidence, SEED, 4, 1e10), "3ee653098142d60f"),
    ):
        assert hashlib.sha256(b"".join(word.to_bytes(32, "big") for word in words)).hexdigest()[:16] == expected


def test_threads_do_not_matter() -> None:
    script = (
        "import torch, numpy as np; from gradmint.learn.signature import *; torch.set_num_threads({});"
        "e = torch.from_numpy(np.random.Generator(np.random.Philox(1)).standard_normal(300_000).astype(np.float32));"
        "print(sign_words(e, bytes(32), 2), quantised_words(e, bytes(32), 2, 9.0))"
    )
    said = {subprocess.check_output([sys.executable, "-c", script.format(n)]) for n in (1, 2, 3)}
    assert len(said) == 1


@pytest.mark.parametrize("signer", SIGNERS)
def test_torchs_modes_do_not_matter(signer: Signer) -> None:
    """In a thread of its own, so that what is kept for the thread is made in inference mode."""
    evidence = normal(50_000, 10)

    def both() -> tuple[tuple[int, ...], tuple[int, ...]]:
        with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
            first = signer(evidence * 1, SEED, 2)
        return first, signer(evidence, SEED, 2)

    with ThreadPoolExecutor(1) as pool:
        assert set(pool.submit(both).result()) == {signer(evidence, SEED, 2)}


def test_power_of_two_scale_does_not_matter_but_the_seed_does() -> None:
    evidence = normal(10_000, 3)
    words = sign_words(evidence, SEED, 4)
    assert sign_words(evidence * 2.0**-40, SEED, 4) == words
    assert distance_bits(sign_words(-evidence, SEED, 4), words) == 4 * WORD_BITS
    assert abs(distance_bits(sign_words(evidence, SEED[::-1], 4), words) - 512) < 80
    strips = wide_words(evidence, SEED, 4)
    assert abs(distance_bits(wide_words(evidence, SEED[::-1], 4), strips) - 512) < 80


@pytest.mark.parametrize("signer", SIGNERS)
def test_more_words_extend_fewer(signer: Signer) -> None:
    evidence = normal(3 * BUCKETS + 17, 4)
    whole = signer(evidence, SEED, 16)
    assert whole[:2] == signer(evidence, SEED, 2) and len(set(whole)) == 16


BROKEN: list[Any] = [[0.0] * 5, [1.0, math.nan], [1.0, math.inf], [-math.inf] * 5_000, [], [1e-40, -1e-45], [3e38]]


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_evidence_without_direction_is_signed_as_zero(broken: list[float]) -> None:
    assert sign_words(torch.tensor(broken), SEED, 2) == (0, 0)
    assert wide_words(torch.tensor(broken), SEED, 2) == wide_words(torch.zeros(1), SEED, 2)
    assert sign_words([torch.ones(3), torch.tensor([math.nan])], SEED, 1) == (0,)


def test_denormals_and_the_extremes_that_count() -> None:
    ones = torch.ones(5_000)
    assert sign_words(ones * 2.0**-64, SEED, 1) == sign_words(ones * 2.0**126, SEED, 1) == sign_words(ones, SEED, 1)
    tiny = ones.clone()
    tiny[1:] = 1e-42
    alone = ones.clone()
    alone[1:] = 0
    assert sign_words(tiny, SEED, 4) == sign_words(alone, SEED, 4)


def test_too_many_widths_are_signed_as_zero_and_a_million_are_not() -> None:
    empty = quantised_words(torch.zeros(1), SEED, 4, 0.01)
    for size in (100, 5_000):
        vector = normal(size, 8)
        for length, counts in ((5e5, True), (1e9, False), (1e30, False)):
            words = quantised_words(vector * (length * 0.01 / vector.norm()), SEED, 4, 0.01)
            assert (words != empty) is counts


def test_a_little_noise_at_the_greatest_value_moves_no_other_bit() -> None:
    """The scale of quantised words is not the evidence's: rounding is the same on both sides of a power of two."""
    for size in (4_000, 50_000):
        one = normal(size, 9)
        one[17] = 7.9999995
        other = one.clone()
        other[17] = 8.0
        assert distance_bits(quantised_words(one, SEED, 16, 1.0), quantised_words(other, SEED, 16, 1.0)) <= 1


def test_wrong_arguments_are_named() -> None:
    for words in (0, 17, -1):
        for signer in SIGNERS:
            with pytest.raises(ValueError, match=f"{words} words"):
                signer(torch.ones(3), SEED, words)
    for width in (0.0, -1.0, math.nan, math.inf, 1e-30):
        with pytest.raises(ValueError, match="width"):
            quantised_words(torch.ones(3), SEED, 1, width)
    for odd in (torch.ones(3, dtype=torch.int64), np.ones(3, dtype=bool), torch.ones(3, dtype=torch.complex64)):
        with pytest.raises(TypeError, match="expected floats"):
            sign_words(odd, SEED, 1)


def test_signatures_of_different_lengths_do_not_compare() -> None:
    with pytest.raises(ValueError):
        distance_bits((1, 2), (1,))
