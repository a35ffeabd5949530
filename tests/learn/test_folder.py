"""Task folders: text, tokenizers, models of transformers and our own; equal for everyone or refused."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from learn.folders import GPT2, LLAMA, SMALL, make
from safetensors.torch import save_file

from gradmint.learn.manifest import Manifest, load_task, preset
from gradmint.learn.state import Layout, Network, State, digest, initial_state, layout_of, save
from gradmint.learn.tasks.folder import FolderTask
from gradmint.learn.train import local_round
from gradmint.spec.errors import ManifestError

MODELS = pytest.mark.parametrize("config", [LLAMA, GPT2, SMALL], ids=["llama", "gpt2", "own"])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Manifest]:
    def open_(folder: Path) -> Manifest:
        monkeypatch.setenv("GRADMINT_TASK_PATH", str(folder))
        return preset("folder", seed=3)

    return open_


@MODELS
def test_a_round_lowers_the_loss(tmp_path: Path, opened: Callable[[Path], Manifest], config: dict[str, object]) -> None:
    manifest = opened(make(tmp_path, config))
    assert Manifest.decode(manifest.encode()) == manifest
    task, state = load_task(manifest), initial_state(load_task(manifest), manifest)
    network = Network(task, manifest.task.seed)
    before = network.mean_loss(task.validation())
    assert abs(before - 5.55) < 0.8  # ln 256: nothing is known yet
    longer = replace(manifest, training=replace(manifest.training, steps=30))
    trained = local_round(task, longer, state, b"b" * 32, 0)
    network.theta.copy_(state.theta - trained.delta)
    assert network.mean_loss(task.validation()) < before - 0.5
    hidden = network.hidden(task.batch(range(4)))
    assert hidden.shape[0] == 4 and hidden.dtype == torch.float32 and hidden.std() > 0
    value, unit = task.metric(before)
    assert unit == "bits/byte" and f"{value:.3f}" in task.describe(task.build(3))


@MODELS
def test_the_same_bits_in_another_process(
    tmp_path: Path, opened: Callable[[Path], Manifest], config: dict[str, object]
) -> None:
    """Whatever was drawn there before, and where the folder lies."""
    manifest = opened(make(tmp_path / "here", config))
    task = load_task(manifest)
    here = digest(initial_state(task, manifest), layout_of(task, manifest))
    make(tmp_path / "there", config)
    code = (
        "import torch; torch.manual_seed(5); torch.rand(7)\n"
        "from gradmint.learn.manifest import *; from gradmint.learn.state import *\n"
        "m = preset('folder', seed=3); t = load_task(m)\n"
        "print(m.digest().hex(), digest(initial_state(t, m), layout_of(t, m)).hex())"
    )
    there = subprocess.run(
        [sys.executable, "-c", code],
        env={"GRADMINT_TASK_PATH": str(tmp_path / "there"), "PYTHONPATH": ":".join(sys.path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.split() == [manifest.digest().hex(), here.hex()]


def test_tied_weights_are_one_parameter_and_stay_tied(tmp_path: Path) -> None:
    task = FolderTask(make(tmp_path, LLAMA))
    network = Network(task, 0)
    assert "lm_head.weight" not in network.layout.names
    assert network.layout.dimension == sum(p.numel() for p in network.module.parameters())
    at = network.layout.offsets[network.layout.names.index("model.embed_tokens.weight")]
    network.theta[at] = 7.0
    assert network.module.lm_head.weight[0, 0] == 7.0  # type: ignore[index,union-attr]
    untied = FolderTask(make(tmp_path / "untied", {**LLAMA, "tie_word_embeddings": False}))
    assert Layout.of(untied.build(0)).dimension == network.layout.dimension + 256 * 24


def test_constants_are_part_of_the_layout_and_state_is_not_admitted(tmp_path: Path) -> None:
    layout = Layout.of(FolderTask(make(tmp_path, LLAMA)).build(0))
    assert ("model.rotary_emb.inv_freq", "torch.float32 [6]") in layout.constants
    bare = Layout(names=layout.names, shapes=layout.shapes)
    assert bare.dimension == layout.dimension and bare.digest != layout.digest
    with pytest.raises(ManifestError, match=r"running_mean.*persistent=False"):
        Layout.of(torch.nn.BatchNorm1d(3))


def test_a_buffer_that_changes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gradmint.learn.tasks import folder

    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(()), persistent=False)

    class Architecture:
        def logits(self, model: Counting, text: torch.Tensor) -> torch.Tensor:
            model.count += 1
            return text

    with pytest.raises(ManifestError, match="count"):
        folder._require_constants(Architecture(), Counting())  # type: ignore[arg-type]


def test_dropout_is_off(tmp_path: Path) -> None:
    task = FolderTask(make(tmp_path, GPT2))
    network, batch = Network(task, 0), task.batch(range(4))
    assert torch.equal(network.gradient(batch).clone(), network.gradient(batch))


def test_models_do_not_share_parameters(tmp_path: Path) -> None:
    task = FolderTask(make(tmp_path, LLAMA))
    one, other = Network(task, 0), Network(task, 0)
    one.theta.zero_()
    assert other.theta.abs().sum() > 0 and Network(task, 0).theta.abs().sum() > 0


@MODELS
def test_a_run_starts_from_the_weights_that_are_there(tmp_path: Path, config: dict[str, object]) -> None:
    drawn = FolderTask(make(tmp_path, config))
    theta = Network(drawn, 1).theta
    other = drawn.build(2)
    whole = dict(other.named_parameters())
    save_file({name: parameter.detach() for name, parameter in whole.items()}, tmp_path / "model.safetensors")
    given = FolderTask(tmp_path)
    assert given.data_sha256 == drawn.data_sha256  # the model's digest pins weights
    assert not torch.equal(Network(given, 1).theta, theta)
    assert torch.equal(Network(given, 1).theta, Network(drawn, 2).theta)
    assert torch.equal(Network(given, 1).theta, Network(given, 5).theta)

    last = sorted(whole)[-1]
    save_file({n: p.detach() for n, p in whole.items() if n != last}, tmp_path / "model.safetensors")
    with pytest.raises(ManifestError, match=last):
        FolderTask(tmp_path).build(0)
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ManifestError, match=str(tmp_path)):
        FolderTask(tmp_path).build(0)


@MODELS
def test_a_run_goes_on_from_anothers_checkpoint(tmp_path: Path, config: dict[str, object]) -> None:
    """The file as 'gradmint catch-up --out' writes it, optimiser's buffers included."""
    network = Network(FolderTask(make(tmp_path, config)), 1)
    theta = network.theta + torch.arange(network.layout.dimension) / 7
    state = State(theta=theta, buffers={"momentum": theta * 2}, round=9)
    (tmp_path / "model.safetensors").write_bytes(save(state, network.layout))
    assert torch.equal(Network(FolderTask(tmp_path), 0).theta, theta)


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    other = FolderTask(make(tmp_path, LLAMA)).build(2).bfloat16()
    other.save_pretrained(tmp_path / "saved")  # type: ignore[operator]
    (tmp_path / "saved" / "model.safetensors").rename(tmp_path / "model.safetensors")
    network = Network(FolderTask(tmp_path), 0)
    assert network.theta.dtype == torch.float32
    assert torch.equal(network.theta, network.theta.bfloat16().float())


def test_a_pickled_model_is_not_read(tmp_path: Path) -> None:
    folder = make(tmp_path, LLAMA)
    drawn = Network(FolderTask(folder), 0).theta

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (Path(tmp_path / "boom"),))  # type: ignore[return-value]

    torch.save({"model.embed_tokens.weight": Bomb()}, folder / "pytorch_model.bin")
    assert torch.equal(Network(FolderTask(folder), 0).theta, drawn)
    assert not (tmp_path / "boom").exists()


def test_code_in_the_folder_is_not_run(tmp_path: Path) -> None:
    config = {"model_type": "trap", "auto_map": {"AutoConfig": "trap.Config", "AutoModelForCausalLM": "trap.Model"}}
    folder = make(tmp_path, config)
    (folder / "trap.py").write_text(f"open({str(tmp_path / 'boom')!r}, 'w')")
    with pytest.raises(ManifestError, match="no model of transformers"):
        FolderTask(folder)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda f: (f / "data" / "a.txt").write_bytes(b"x" + (f / "data" / "a.txt").read_bytes()[1:]),
        lambda f: (f / "data" / "a.txt").rename(f / "data" / "c.txt"),
        lambda f: (f / "data" / "new.txt").write_text(""),
        lambda f: (f / "config.json").write_text(json.dumps({**SMALL, "heads": 4})),
        lambda f: (f / "task.json").write_text(json.dumps({"context": 17, "held_out_every": 8})),
    ],
    ids=["bytes", "name", "file", "model", "option"],
)
def test_whatever_differs_is_another_task(
    tmp_path: Path, opened: Callable[[Path], Manifest], change: Callable[[Path], object]
) -> None:
    manifest = opened(make(tmp_path, SMALL))
    change(tmp_path)
    with pytest.raises(ManifestError, match=f"pinned {manifest.task.data_sha256}.*folder"):
        load_task(manifest)


def test_what_does_not_count(tmp_path: Path, opened: Callable[[Path], Manifest]) -> None:
    manifest = opened(make(tmp_path, SMALL))
    (tmp_path / "README.md").write_text("about the folder")
    (tmp_path / "data" / ".hidden").write_text("of an editor")
    (tmp_path / "data" / ".git").mkdir()
    (tmp_path / "data" / ".git" / "HEAD").write_text("x")
    assert load_task(manifest).data_sha256 == manifest.task.data_sha256


def test_links_to_folders_are_refused_and_to_files_followed(tmp_path: Path) -> None:
    folder = make(tmp_path / "task", SMALL)
    plain = FolderTask(folder).data_sha256
    (folder / "data" / "a.txt").rename(tmp_path / "elsewhere.txt")
    (folder / "data" / "a.txt").symlink_to(tmp_path / "elsewhere.txt")
    assert FolderTask(folder).data_sha256 == plain
    (folder / "data" / "circle").symlink_to(folder / "data")
    with pytest.raises(ManifestError, match=r"circle is a link"):
        FolderTask(folder)


def test_the_order_of_files_is_that_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "data" / "b").mkdir(parents=True)
    for name in ("b/2", "c", "a"):
        (tmp_path / "data" / name).write_text(name * 4_000)
    task = FolderTask(tmp_path)
    assert bytes(task._text[:4].tolist()) == b"aaaa"
    assert bytes(task._text[4_000:4_005].tolist()) == b"\n\nb/2"


def test_a_tokenizer_makes_the_samples(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = make(tmp_path, {**GPT2, "vocab_size": 300})
    words = sorted({word for word in (folder / "data" / "a.txt").read_text().split() if word.isalpha()})[:299]
    splitter = Tokenizer(models.WordLevel({"?": 0, **{word: i + 1 for i, word in enumerate(words)}}, unk_token="?"))
    splitter.pre_tokenizer = pre_tokenizers.Whitespace()
    before = FolderTask(folder).data_sha256
    splitter.save(str(folder / "tokenizer.json"))
    task = FolderTask(folder)
    assert task.data_sha256 != before
    assert 0 < int(task._text.max()) <= len(words)
    assert task.metric(1.0) == (1.0, "nats/token") and "held-out tokens" in task.describe(task.build(0))
    splitter.enable_truncation(100)
    splitter.enable_padding(length=20_000)
    splitter.save(str(folder / "tokenizer.json"))
    assert torch.equal(FolderTask(folder)._text, task._text)  # as if it had never been used for anything else
    (folder / "config.json").write_text(json.dumps({**GPT2, "vocab_size": 10}))
    with pytest.raises(ManifestError, match="vocabulary of 10"):
        FolderTask(folder)
    (folder / "data" / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match=r"a\.txt is not UTF-8"):
        FolderTask(folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ManifestError, match="is no tokenizer"):
        FolderTask(folder)


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (write("task.json", "["), "expected one JSON object"),
        (write("task.json", "[]"), "holds a list"),
        (write("task.json", '{"contxt": 5}'), r"contxt is 5; expected context \(int\)"),
        (write("task.json", '{"context": 0}'), "context 0 lies in"),
        (write("task.json", '{"context": true}'), "context is True"),
        (write("task.json", '{"held_out_every": 1}'), "held_out_every 1"),
        (write("task.json", '{"context": 4000}'), "4000 is more than the model's 32 places|more text"),
        (write("task.json", '{"transformers": "1.0"}'), "asks for 1.0: pip install transformers==1.0"),
        (write("config.json", '{"model_type": "none-such"}'), "describes no model of transformers"),
        (write("config.json", "{}"), "describes no model of transformers"),
        (write("config.json", '{"model_type": "clip"}'), "describes no model of transformers.*vocab_size"),
        (write("config.json", json.dumps({**LLAMA, "hidden_size": "24"})), "describes no model of transformers"),
        (write("config.json", json.dumps({**LLAMA, "num_attention_heads": 0})), "describes no .*ZeroDivisionError"),
        (write("config.json", json.dumps({**LLAMA, "attn_implementation": "somebodys/kernel"})), "attn_implementation"),
        (write("config.json", json.dumps({**LLAMA, "parts": [{"quantization_config": {}}]})), "quantization_config"),
        (write("adapter_config.json", "{}"), "adapter_config.json: .* merge them"),
        (lambda folder: (folder / "data" / "gone").symlink_to(folder / "nowhere"), "gone is no file"),
        (lambda folder: os.mkfifo(folder / "data" / "pipe"), "pipe is no file"),
        (write("config.json", '{"model_type": "gradmint-bytes", "depth": 3}'), "depth"),
        (write("config.json", '{"model_type": "gradmint-bytes", "heads": 0}'), "expected positive"),
        (write("config.json", '{"model_type": "gradmint-bytes", "width": 15, "heads": 2}'), "multiple of heads"),
    ],
)
def test_folders_that_are_wrong_are_refused_by_name(
    tmp_path: Path, change: Callable[[Path], object], complaint: str
) -> None:
    change(make(tmp_path, LLAMA))
    with pytest.raises(ManifestError, match=complaint):
        FolderTask(tmp_path)


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({**LLAMA, "hidden_act": "none-such"}, "cannot make this model: KeyError"),
        ({**LLAMA, "model_type": "bert"}, "model looks ahead"),
    ],
)
def test_models_that_cannot_be_made_or_look_ahead_are_refused(
    tmp_path: Path, config: dict[str, object], complaint: str
) -> None:
    task = FolderTask(make(tmp_path, config))
    with pytest.raises(ManifestError, match=complaint):
        task.build(0)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"training": {"learning_rate": float("nan")}}, r"preset\.training: Out of range"),
        ({"training": {"steps": 0}}, "training.steps 0 lies in"),
        ({"training": {"learning_rate": 1}}, "learning_rate is 1, expected a value of type float"),
        ({"training": {"speed": 1}}, r"preset\.training.*speed"),
        ({"nothing": {}}, r"preset\.nothing"),
        ({"training": 5}, r"preset\.training"),
        ({"task": {"factory": "antigravity:factory"}}, r"preset\.task: the sponsor names"),
    ],
)
def test_a_wrong_preset_is_named(
    tmp_path: Path, opened: Callable[[Path], Manifest], given: object, complaint: str
) -> None:
    with pytest.raises(ManifestError, match=complaint):
        opened(make(tmp_path, SMALL, preset=given))


def test_no_folder_no_text_and_too_little_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADMINT_TASK_PATH", raising=False)
    with pytest.raises(ManifestError, match="--task-path DIR"):
        preset("folder")
    monkeypatch.setenv("GRADMINT_TASK_PATH", str(tmp_path / "none"))
    with pytest.raises(ManifestError, match="--task-path DIR"):
        preset("folder")
    with pytest.raises(ManifestError, match="put files below"):
        FolderTask(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").touch()
    with pytest.raises(ManifestError, match="empty"):
        FolderTask(tmp_path)
    (tmp_path / "data" / "a").write_text("short")
    with pytest.raises(ManifestError, match="give it more text"):
        FolderTask(tmp_path)


def test_without_transformers_a_run_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ManifestError, match=r"pip install 'gradmint\[transformers\]'"):
        FolderTask(make(tmp_path, LLAMA))
    assert FolderTask(make(tmp_path / "own", SMALL)).samples > 0


def test_other_tasks_do_not_import_transformers() -> None:
    code = "import sys, gradmint.learn.manifest as m; m.preset('digits'); print('transformers' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]


def test_shards_and_held_out_text_do_not_overlap(tmp_path: Path) -> None:
    task = FolderTask(make(tmp_path, SMALL))
    text = b"".join(path.read_bytes() for path in [tmp_path / "data" / "a.txt", tmp_path / "data" / "more" / "b.md"])
    assert len(task._text) + 16 * 16 * (len(text) // (16 * 16 * 8)) <= len(text) + 2
    windows = {hashlib.sha256(bytes(row)).digest() for row in task.validation()[0].tolist()}
    own = bytes(task._text.tolist())
    seen = {hashlib.sha256(own[i : i + 16]).digest() for i in range(len(own) - 16)}
    assert len(windows & seen) < len(windows) / 2  # paragraphs are distinct, phrases are not
