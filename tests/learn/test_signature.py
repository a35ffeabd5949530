"""Signature words: angles, exactness, and independence of everything but the evidence and the seed."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
import torch

from gradmint.learn.signature import BUCKETS, WORD_BITS, _scale, distance_bits, sign_words

SEED = bytes(range(32))


def normal(size: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.Generator(np.random.Philox(seed)).standard_normal(size).astype(np.float32))


@pytest.mark.parametrize("size", [900, 200_000])
@pytest.mark.parametrize("angle", [0.1, math.pi / 2, 3.0])
def test_distance_shows_the_angle(size: int, angle: float) -> None:
    one, other = normal(size, 1), normal(size, 2)
    other -= one * (one @ other) / (one @ one)
    turned = math.cos(angle) * one / one.norm() + math.sin(angle) * other / other.norm()
    expected = 8 * WORD_BITS * angle / math.pi
    found = distance_bits(sign_words(one, SEED, 8), sign_words(turned, SEED, 8))
    assert abs(found - expected) < 5 * math.sqrt(expected) + 0.02 * expected


def test_known_words() -> None:
    """Frozen: a change here splits every committee that runs two releases."""
    words = sign_words(torch.arange(-5_000, 5_000).float() ** 3, SEED, 4)
    assert hashlib.sha256(b"".join(word.to_bytes(32, "big") for word in words)).hexdigest()[:16] == "1b766049f0237260"


def test_length_and_power_of_two_scale_do_not_matter_but_the_seed_does() -> None:
    evidence = normal(10_000, 3)
    words = sign_words(evidence, SEED, 4)
    assert sign_words(evidence * 2.0**-40, SEED, 4) == words
    assert distance_bits(sign_words(-evidence, SEED, 4), words) == 4 * WORD_BITS
    assert abs(distance_bits(sign_words(evidence, SEED[::-1], 4), words) - 512) < 80


def test_more_words_extend_fewer() -> None:
    evidence = normal(3 * BUCKETS + 17, 4)
    assert sign_words(evidence, SEED, 4)[:2] == sign_words(evidence, SEED, 2)


@pytest.mark.parametrize("broken", [[0.0] * 5, [1.0, math.nan], [1.0, math.inf], []])
def test_evidence_without_direction_has_the_empty_signature(broken: list[float]) -> None:
    assert sign_words(torch.tensor(broken), SEED, 2) == (0, 0)


def test_signatures_of_different_lengths_do_not_compare() -> None:
    with pytest.raises(ValueError):
        distance_bits((1, 2), (1,))


@pytest.mark.parametrize("size", [1, 1_000, 1 << 23])
def test_sums_of_scaled_evidence_are_exact_in_float64(size: int) -> None:
    greatest = np.float32(1.999)
    assert _scale(np.full(size, greatest, dtype=np.float32)) * greatest > 2**20
    assert _scale(np.full(size, -greatest, dtype=np.float32)) * greatest * size < 2**52
