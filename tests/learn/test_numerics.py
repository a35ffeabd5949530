"""Numeric configurations: one spelling, what they change and what they leave alone, who admits them."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradmint.learn.manifest import Manifest, NumericsSpec
from gradmint.learn.numerics import DTYPES, KERNELS, MAX_MICRO, MAX_THREADS, Numerics, current
from gradmint.learn.state import Network, State
from gradmint.learn.tasks import Task
from gradmint.learn.train import local_round
from gradmint.spec.errors import NumericsRefused, SettingsError

configurations = st.builds(
    Numerics,
    dtype=st.sampled_from(DTYPES),
    micro=st.integers(0, MAX_MICRO),
    kernel=st.sampled_from(KERNELS),
    device=st.sampled_from(["cpu", "cuda"]),
    threads=st.integers(0, MAX_THREADS),
)


@given(configurations)
def test_spelling_has_an_inverse(numerics: Numerics) -> None:
    assert Numerics.parse(str(numerics)) == numerics
    assert Numerics.parse(numerics.policy) == replace(numerics, threads=0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "float16",
        "float32/",
        "float32/micro=0",
        "float32/micro=007",
        "float32/kernel=default",
        "float32/kernel=flash",
        "float32/device=tpu",
        "float32/kernel=math/micro=16",
        "float32/micro=9999999",
        "float32/micro=1²",
        " float32",
        "float32\n",
    ],
)
def test_one_spelling_alone_is_read(text: str) -> None:
    with pytest.raises(SettingsError, match="numerics"):
        Numerics.parse(text)


@given(st.text(max_size=40))
def test_noise_is_a_settings_error(text: str) -> None:
    with contextlib.suppress(SettingsError):
        assert str(Numerics.parse(text)) == text


def observed(task: Task, manifest: Manifest, start: State, text: str) -> tuple[torch.Tensor, torch.Tensor, float]:
    with Numerics.parse(text).apply():
        network = Network(task, manifest.task.seed)
    # What a network computes in was decided when it was made.
    network.theta.copy_(start.theta)
    batch = task.batch(range(50))
    return network.gradient(batch).clone(), network.hidden(batch), network.mean_loss(batch)


def test_micro_batches_change_the_order_of_sums_and_nothing_else(task: Task, manifest: Manifest, start: State) -> None:
    whole, parts = (observed(task, manifest, start, text) for text in ("float32", "float32/micro=16"))
    assert not torch.equal(whole[0], parts[0])
    torch.testing.assert_close(whole[0], parts[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(whole[1], parts[1])
    assert whole[2] == pytest.approx(parts[2], rel=1e-6)


def test_bfloat16_is_coarser_and_gives_float32(task: Task, manifest: Manifest, start: State) -> None:
    fine, coarse = (observed(task, manifest, start, text) for text in ("float32", "bfloat16"))
    for one, other in zip(fine[:2], coarse[:2], strict=True):
        assert other.dtype == torch.float32
        error = float((one - other).norm() / one.norm())
        assert 1e-4 < error < 2e-2


def test_cast_weights_are_not_kept_over_a_change_of_the_weights(task: Task, manifest: Manifest, start: State) -> None:
    with Numerics(dtype="bfloat16").apply():
        network = Network(task, manifest.task.seed)
        batch = task.batch(range(8))
        before = network.hidden(batch)
        network.theta.mul_(2)
        assert not torch.equal(network.hidden(batch), before)


def test_training_runs_under_what_is_applied(task: Task, manifest: Manifest, start: State) -> None:
    plain = local_round(task, manifest, start, b"t" * 32, 0).delta
    with Numerics(dtype="bfloat16").apply():
        coarse = local_round(task, manifest, start, b"t" * 32, 0).delta
    assert 0 < float((plain - coarse).norm()) < 0.2 * float(plain.norm())


def test_everything_is_put_back() -> None:
    before = torch.get_num_threads(), torch._C._get_mkldnn_enabled()
    with pytest.raises(ZeroDivisionError), Numerics(kernel="plain", threads=2).apply():
        assert (torch.get_num_threads(), torch._C._get_mkldnn_enabled()) == (2, False)
        assert current().kernel == "plain"
        raise ZeroDivisionError
    assert (torch.get_num_threads(), torch._C._get_mkldnn_enabled()) == before
    assert current() == Numerics()


def test_a_policy_admits_what_it_lists_with_any_number_of_threads() -> None:
    policy = NumericsSpec(admitted=("bfloat16", "float32/micro=16"))
    policy.admit(Numerics.parse("bfloat16/threads=7"))
    policy.admit(Numerics.parse("float32/micro=16"))
    for text in ("float32", "float32/micro=8", "bfloat16/kernel=math"):
        with pytest.raises(NumericsRefused, match=r"bfloat16, float32/micro=16; choose one of them by --numerics"):
            policy.admit(Numerics.parse(text))
    with pytest.raises(NumericsRefused, match=r"pip install torch==1\.0\.0"):
        replace(policy, torch="1.0.0").admit(Numerics.parse("bfloat16"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_named() -> None:
    with pytest.raises(SettingsError, match="no CUDA device"), Numerics(device="cuda").apply():
        pass


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same_numbers_on_the_cpu(task: Task, manifest: Manifest, start: State) -> None:
    home, away = (observed(task, manifest, start, text) for text in ("float32", "float32/device=cuda"))
    assert away[0].device.type == away[1].device.type == "cpu"
    torch.testing.assert_close(home[0], away[0], rtol=1e-3, atol=1e-5)
