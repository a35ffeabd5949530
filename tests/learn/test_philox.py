"""Philox: Random123's known answers, the same bits from numpy and torch, and any part alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradmint.learn.philox import _torch_words, below_on, numpy_blocks, signs, torch_blocks, words, words_on

SEED = bytes(range(32))
CPU = torch.device("cpu")
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
#: kat_vectors of Random123: counter, key, answer of philox4x32 with 10 rounds.
KNOWN = (
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(counter: tuple[int, ...], key: tuple[int, int], answer: tuple[int, ...]) -> None:
    column = np.array(counter)[:, None]
    assert numpy_blocks(column.repeat(3, axis=1).astype(np.uint64), key)[:, 2].tolist() == list(answer)
    assert torch_blocks(torch.from_numpy(column).expand(4, 3), key)[:, 2].tolist() == list(answer)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("start", "count"), [(0, 4), (5, 10_000), (4 * (2**32 - 1) + 2, 9), (3, 0)])
def test_torch_has_numpys_bits(device: str, start: int, count: int) -> None:
    mine = words(SEED, 3, start, count)
    assert np.array_equal(_torch_words(torch.device(device), SEED, 3, start, count).cpu().numpy(), mine)
    assert np.array_equal(words_on(torch.device(device), SEED, 3, start, count).cpu().numpy(), mine)


@pytest.mark.parametrize("start", [0, 1, 4, 17, 4 * (2**32 - 1) + 2])
def test_any_part_stands_alone(start: int) -> None:
    """Also across the carry into the counter's second word."""
    whole = words(SEED, 0, start, 100)
    assert np.array_equal(words(SEED, 0, start + 7, 50), whole[7:57])
    assert whole.min() >= 0 and whole.max() < 1 << 32 and len(set(whole.tolist())) == 100


def test_streams_and_seeds_differ() -> None:
    drawn = {words(seed, stream, 0, 4).tobytes() for seed in (SEED, SEED[::-1], SEED[:31]) for stream in range(4)}
    assert len(drawn) == 12
    assert words(SEED, 0, 0, 0).shape == (0,)


def test_signs_and_integers_are_uniform() -> None:
    """Within 5 standard deviations, also position by position of the word."""
    count = 320_000
    drawn_signs = signs(words_on(CPU, SEED, 1, 0, count // 32))
    assert set(drawn_signs.tolist()) == {-1.0, 1.0}
    assert abs(float(drawn_signs.sum())) < 5 * count**0.5
    assert float(drawn_signs.reshape(-1, 32).sum(0).abs().max()) < 5 * (count / 32) ** 0.5
    known = [-1.0, 1.0, -1.0] + [1.0] * 28 + [-1.0]
    assert [signs(torch.tensor([0, 0x80000005], device=device))[32:].tolist() for device in DEVICES] == [known] * len(
        DEVICES
    )
    drawn = below_on(CPU, SEED, 2, 70_000, 7)
    counts = torch.bincount(drawn, minlength=7)
    assert len(counts) == 7 and float((counts - 10_000).abs().max()) < 5 * 10_000**0.5
    for bound in (0, (1 << 31) + 1):
        with pytest.raises(ValueError, match=str(bound)):
            below_on(CPU, SEED, 2, 1, bound)
