"""Words for tokens, pictures and sets: exact where they should be, near where they may be, and strict readers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradmint.learn.fingerprints import GRID, MAX_ITEM_BYTES, image_words, set_words, token_words
from gradmint.learn.signature import WORD_BITS, differing, distance_bits
from gradmint.spec.errors import GradmintError, MalformedOutput

SEED = bytes(range(32))


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def within(found_bits: int, probability: float, bits: int) -> bool:
    """Five standard deviations of a binomial."""
    return abs(found_bits - bits * probability) <= 5 * math.sqrt(bits * probability * (1 - probability)) + 1


# Tokens


@pytest.mark.parametrize("count", [1, 40, 5_000])
@pytest.mark.parametrize("noise", [0.001, 0.01, 0.3])
def test_equal_tokens_have_an_equal_first_word_and_log_probs_show_their_distance(count: int, noise: float) -> None:
    draw, width = generator(count), 0.05
    bits = found = 0
    for i in range(8):
        tokens, logprobs = draw.integers(0, 50_000, count).tolist(), -1 - draw.exponential(1, count)
        step = draw.standard_normal(count)
        step *= noise / math.sqrt(float(np.mean(step**2)))
        mine = token_words(tokens, logprobs, bytes([i]) * 32, 9, width)
        theirs = token_words(tokens, logprobs + np.clip(step, None, -logprobs), bytes([i]) * 32, 9, width)
        assert mine[0] == theirs[0]
        found, bits = found + distance_bits(mine[1:], theirs[1:]), bits + 8 * WORD_BITS
    assert abs(found - bits * differing(noise / width)) < 0.05 * bits * differing(noise / width) + 5 * math.sqrt(
        bits * differing(noise / width)
    )


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=50), st.data())
def test_any_other_tokens_are_at_half_the_first_words_bits(tokens: list[int], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(tokens) - 1))
    others = [
        [*tokens[:place], tokens[place] ^ 1, *tokens[place + 1 :]],
        [*tokens, 0],
        [0, *tokens],
    ]
    first = [token_words(ids, [-1.0] * len(ids), SEED, 2, 1.0)[0] for ids in (tokens, *others)]
    for other in first[1:]:
        assert 70 < (first[0] ^ other).bit_count() < 186  # seven standard deviations
    assert token_words(tokens, [-1.0] * len(tokens), SEED[::-1], 2, 1.0)[0] != first[0]


HOSTILE_TOKENS: dict[str, tuple[Any, Any]] = {
    "none": ([], []),
    "more tokens": ([1, 2], [-1.0]),
    "negative": ([-1], [-1.0]),
    "too great": ([2**32], [-1.0]),
    "far too great": ([2**70], [-1.0]),
    "floats": ([1.0], [-1.0]),
    "flags": ([True], [-1.0]),
    "nested": ([[1]], [[-1.0]]),
    "impossible": ([1], [-math.inf]),
    "no number": ([1], [math.nan]),
    "above one": ([1], [0.5]),
    "words": (["a"], [-1.0]),
    "ragged": ([[1], [1, 2]], [-1.0, -1.0]),
    "worded log-probs": ([1], ["x"]),
    "no sequence": (None, None),
}


@pytest.mark.parametrize(("tokens", "logprobs"), HOSTILE_TOKENS.values(), ids=HOSTILE_TOKENS)
def test_no_such_tokens(tokens: Any, logprobs: Any) -> None:
    with pytest.raises(MalformedOutput):
        token_words(tokens, logprobs, SEED, 2, 1.0)


# Pictures


def landscape(seed: int, side: int = 256) -> NDArray[np.float64]:
    """Noise whose spectrum falls as in photographs, in 0..255."""
    draw = generator(seed)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    spectrum = np.fft.fft2(draw.standard_normal((side, side))) / np.maximum(frequency, 1 / side)
    picture = np.real(np.fft.ifft2(spectrum))
    return np.asarray(127 + 40 * (picture - picture.mean()) / picture.std())


def grey(picture: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def test_edits_that_nobody_sees_stay_near_and_other_pictures_far() -> None:
    edits, strangers = [], []
    for i in range(12):
        picture = landscape(i)
        mine = image_words(grey(picture))
        half = picture.reshape(128, 2, 128, 2).mean((1, 3))
        for edited in (picture + 10, picture * 0.9, picture + 3 * generator(99 + i).standard_normal((256, 256)), half):
            edits.append(distance_bits(mine, image_words(grey(edited))))
        strangers.append(distance_bits(mine, image_words(grey(landscape(100 + i)))))
        strangers.append(distance_bits(mine, image_words(grey(255 - picture))) - 127)  # a negative: all but the mean's
    assert max(edits) <= 24 and np.mean(edits) < 8
    assert within(sum(strangers[0::2]), 0.5, 12 * (WORD_BITS - 1))
    assert all(abs(extra) >= 120 for extra in strangers[1::2])


def test_the_first_hash_is_the_dct_hash() -> None:
    """By the textbook in floats: a few near-ties may fall the other way."""
    picture = grey(landscape(3))
    cells = picture.astype(float).reshape(GRID, 8, GRID, 8).mean((1, 3))
    waves = np.cos(np.pi / GRID * np.outer(np.arange(8), np.arange(GRID) + 0.5))
    block = (waves @ cells @ waves.T).reshape(-1)
    textbook = block > np.median(block[1:])
    textbook[0] = False
    word = image_words(picture)[0]
    assert sum(textbook[i] != bool(word >> (255 - i) & 1) for i in range(64)) <= 2


def test_colours_count_by_their_luminance() -> None:
    picture = grey(landscape(4))
    assert image_words(np.stack([picture] * 3, axis=-1)) == image_words(picture)
    red = np.stack([picture, picture * 0, picture * 0], axis=-1)
    assert distance_bits(image_words(red), image_words(picture)) <= 2
    assert image_words(np.full((40, 50), 7, dtype=np.uint8)) == (0,)
    assert image_words(np.zeros((32, 4_096), dtype=np.uint8)) == (0,)


def test_views_and_odd_sizes() -> None:
    picture = grey(landscape(5))
    assert image_words(np.asfortranarray(picture)) == image_words(picture)
    assert distance_bits(image_words(picture[1:, 1:]), image_words(picture)) <= 40


HOSTILE_PICTURES: dict[str, Any] = {
    "floats": np.zeros((64, 64)),
    "one side": np.zeros(64, dtype=np.uint8),
    "no side": np.zeros((), dtype=np.uint8),
    "four channels": np.zeros((64, 64, 4), dtype=np.uint8),
    "two pictures": np.zeros((2, 64, 64, 3), dtype=np.uint8),
    "too small": np.zeros((31, 64), dtype=np.uint8),
    "empty": np.zeros((0, 0), dtype=np.uint8),
    "too large": np.broadcast_to(np.uint8(0), (1 << 40, 64)),
    "a list": [[0] * 64] * 64,
    "objects": np.full((64, 64), None),
}


@pytest.mark.parametrize("picture", HOSTILE_PICTURES.values(), ids=HOSTILE_PICTURES)
def test_no_such_picture(picture: Any) -> None:
    with pytest.raises(MalformedOutput):
        image_words(picture)


# Sets


def items(start: int, end: int) -> list[bytes]:
    return [i.to_bytes(4, "big") for i in range(start, end)]


@pytest.mark.parametrize(("shared", "own"), [(0, 50), (1, 1), (90, 5), (30, 30), (3_000, 100)])
def test_distance_shows_one_minus_jaccard(shared: int, own: int) -> None:
    found = sum(
        distance_bits(
            set_words(items(0, shared + own), bytes([i]) * 32, 4),
            set_words(items(0, shared) + items(10_000, 10_000 + own), bytes([i]) * 32, 4),
        )
        for i in range(4)
    )
    assert within(found, own / (shared + 2 * own), 4 * 4 * WORD_BITS)  # (1 - J) / 2 and J = shared / (shared + 2 own)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.binary(max_size=20), max_size=30), st.randoms(use_true_random=False))
def test_only_the_set_counts(members: list[bytes], random: Any) -> None:
    shuffled = members + members[:3]
    random.shuffle(shuffled)
    words = set_words(members, SEED, 2)
    assert set_words(shuffled, SEED, 2) == words == set_words(frozenset(members), SEED, 16)[:2]
    assert (words == (0, 0)) is (not members)


@pytest.mark.parametrize(
    "odd", [["text"], [b"x", 5], [bytes(MAX_ITEM_BYTES + 1)], b"bytes", "text", range((1 << 20) + 1)], ids=range(6)
)
def test_no_such_set(odd: Any) -> None:
    with pytest.raises(MalformedOutput):
        set_words(odd, SEED, 1)
    with pytest.raises(ValueError, match="17 words"):
        set_words([], SEED, 17)


@settings(deadline=None, max_examples=60)
@given(st.recursive(st.none() | st.integers() | st.floats() | st.binary() | st.text(), st.lists, max_leaves=8))
def test_noise_is_read_or_refused(noise: Any) -> None:
    for read in (
        lambda: token_words(noise, noise, SEED, 2, 1.0),
        lambda: image_words(noise),
        lambda: set_words(noise, SEED, 1),
    ):
        try:
            read()
        except GradmintError:
            continue
