"""A task that is a folder: text to learn from, and optionally a model's configuration, its weights and a tokenizer.

    data/             text, in files and folders of any name; those that begin with a dot are left out
    config.json       of a causal language model: one of Hugging Face's, or {"model_type": "gradmint-bytes", ...}
    *.safetensors     the weights that the run starts from; without any they are drawn from the run's seed
    tokenizer.json    as the tokenizers library writes it; without one every byte is a token
    task.json         numbers that must be equal for everyone, see :class:`Options`

A manifest names no path: each machine says by $GRADMINT_TASK_PATH where its copy lies, ``data_sha256`` pins what is in
it, and the run's model digest the weights. Nothing in the folder is ever executed.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...spec.errors import ManifestError
from . import fill, task_factory
from .bytes_lm import SMALL, Bytes, Size
from .text import HELD_OUT_EVERY, Architecture, TextTask

if TYPE_CHECKING:
    from ..manifest import Manifest

PATH = "GRADMINT_TASK_PATH"
OWN_MODEL = "gradmint-bytes"
MAX_CONTEXT = 1 << 20
MAX_JSON_BYTES = 1 << 20
HASHED_BYTES = 1 << 20  # at once
BETWEEN = "\n\n"  # files
DENSE_BELOW = 10_000_000  # parameters: larger models need fewer values of each chunk
MOST_BYTES = 1 << 20  # of an update: what every store takes
#: Parts of a configuration that say how a model is computed: some of their values make transformers fetch and run code.
ELSEWHERE = {
    "_attn_implementation",
    "_experts_implementation",
    "attn_implementation",
    "experts_implementation",
    "quantization_config",
}
NEGLIGIBLE = 1e-3  # of the greatest logit: what the order of additions changes, and no token


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """task.json. ``preset`` is the sponsor's choice of the manifest's own numbers, by part and name."""

    context: int = 64  # tokens of a sample
    held_out_every: int = HELD_OUT_EVERY  # one block of so many is kept for validation
    transformers: str = ""  # release that everyone must have; any when left out
    preset: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Options:
        """The defaults when there is no such file. Raises ManifestError."""
        found = _read_json(path) if path.exists() else {}
        types = {"context": int, "held_out_every": int, "transformers": str, "preset": dict}
        for name, value in found.items():
            if name not in types or type(value) is not types[name]:
                raise ManifestError(f"{path}: {name} is {value!r}; expected {', '.join(map(_spelt, types.items()))}")
        options = cls(**found)
        if not (1 <= options.context <= MAX_CONTEXT and options.held_out_every >= 2):
            raise ManifestError(
                f"{path}: context {options.context} lies in 1..{MAX_CONTEXT}, held_out_every {options.held_out_every} "
                "is at least 2"
            )
        return options


class FolderTask(TextTask):
    """The task in ``folder``. Raises ManifestError for anything that it cannot be made of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options = Options.read(folder / "task.json")
        files = listing(folder)
        tokenizer = folder / "tokenizer.json"
        texts = [path for name, path in files.items() if name.startswith("data/")]
        tokens = _bytes_of(texts) if not tokenizer.exists() else _tokens_of(texts, tokenizer)
        pinned = {
            "files": [[name, path.stat().st_size, _sha256(path)] for name, path in files.items()],
            # Equal files are not yet equal tokens: releases of the tokenizer may differ.
            "tokens": hashlib.sha256(tokens.numpy().tobytes()).hexdigest(),
        }
        super().__init__(
            name=folder.resolve().name,
            data_sha256=hashlib.sha256(json.dumps(pinned, separators=(",", ":")).encode()).hexdigest(),
            architecture=_architecture(folder, self.options, int(tokens.max())),
            tokens=tokens,
            context=self.options.context,
            held_out_every=self.options.held_out_every,
            per_byte=not tokenizer.exists(),
        )

    def preset(self, manifest: Manifest) -> Manifest:
        """Numbers for small language models, then the folder's own. Raises ManifestError naming a wrong one."""
        d = sum(parameter.numel() for parameter in self.build(0).parameters())
        keep = 1_024 if d < DENSE_BELOW else 64
        most = min(MOST_BYTES, 65_536 + 2 * keep * -(-d // manifest.codec.chunk))
        tuned = replace(
            manifest,
            training=replace(manifest.training, steps=40, batch=8, shard=160, learning_rate=3e-3, beta2=0.98),
            codec=replace(manifest.codec, keep=keep, max_bytes=most, max_norm=100.0),
            assessment=replace(manifest.assessment, common_samples=128, assigned_samples=16),
        )
        for part, values in self.options.preset.items():
            if part == "task":  # it could name code
                raise ManifestError(
                    f"{self.folder / 'task.json'}: preset.task: the sponsor names task and seed; leave it out"
                )
            try:
                tuned = replace(tuned, **{part: replace(getattr(tuned, part), **values)})
                tuned.encode()
            except (TypeError, AttributeError, ValueError) as error:  # the last of a number that JSON cannot say
                raise ManifestError(f"{self.folder / 'task.json'}: preset.{part}: {error}") from error
        return type(manifest).decode(tuned.encode())


class Transformers:
    """Architecture of the causal language model that ``config.json`` describes, by Hugging Face's transformers.

    No code of the folder's is run and no network asked; dropout is off, since nothing is ever put in training mode.
    """

    def __init__(self, folder: Path, options: Options, most: int) -> None:
        """``most`` is the greatest token there is. Raises ManifestError."""
        self.folder = folder
        self.library = _transformers(options.transformers)
        try:
            self.config = self.library.AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            vocabulary, longest = self.config.vocab_size, getattr(self.config, "max_position_embeddings", None)
        except Exception as error:  # whatever the model's own configuration raises
            raise ManifestError(f"{folder / 'config.json'} describes no model of transformers: {error!r}") from error
        if most >= vocabulary:
            raise ManifestError(
                f"{folder / 'config.json'} has a vocabulary of {vocabulary}, the text holds token {most}: without "
                "tokenizer.json each byte is a token, 256 in all"
            )
        if longest is not None and options.context > longest:
            raise ManifestError(f"{folder}: context {options.context} is more than the model's {longest} places")
        self._models: dict[int, nn.Module] = {}

    def build(self, seed: int) -> nn.Module:
        if seed not in self._models:
            self._models[seed] = self._make(seed)
        return copy.deepcopy(self._models[seed])

    def states(self, model: nn.Module, text: Tensor) -> Tensor:
        states: Tensor = model.base_model(input_ids=text, use_cache=False).last_hidden_state  # type: ignore[operator]
        return states

    def logits(self, model: nn.Module, text: Tensor) -> Tensor:
        logits: Tensor = model(input_ids=text, use_cache=False).logits
        return logits

    def _make(self, seed: int) -> nn.Module:
        automatic = self.library.AutoModelForCausalLM
        absent: list[str] = []
        try:
            with torch.random.fork_rng(devices=[]):  # what the library draws is overwritten
                if not any(self.folder.glob("*.safetensors")):
                    model = automatic.from_config(self.config, trust_remote_code=False, dtype=torch.float32)
                    fill(model, seed)
                else:
                    model, found = automatic.from_pretrained(
                        self.folder,
                        config=self.config,
                        use_safetensors=True,
                        local_files_only=True,
                        trust_remote_code=False,
                        dtype=torch.float32,
                        output_loading_info=True,
                    )
                    absent = sorted(found["missing_keys"])
        except Exception as error:  # whatever the model's own code raises
            raise ManifestError(f"{self.folder}: transformers cannot make this model: {error!r}") from error
        if absent:
            raise ManifestError(f"weights in {self.folder} lack {', '.join(absent[:5])}: bring all, or none")
        model.eval()
        _require_constants(self, model)
        _require_causal(self, model, self.config.vocab_size)
        made: nn.Module = model
        return made


class OwnModel(Bytes):
    """Gradmint's own byte model in the size that ``config.json`` says, from the folder's weights if there are any."""

    def __init__(self, folder: Path, size: Size, context: int) -> None:
        super().__init__(size, context)
        self.folder = folder

    def build(self, seed: int) -> nn.Module:
        model = super().build(seed)
        files = sorted(self.folder.glob("*.safetensors"))
        if not files:
            return model
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        found: dict[str, Tensor] = {}
        for path in files:
            try:
                found |= load_file(path)
            except (SafetensorError, OSError) as error:
                raise ManifestError(f"{path} is no safetensors file: {error}; fetch it again") from error
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name not in found or found[name].shape != parameter.shape:
                    here = "nothing" if name not in found else f"shape {tuple(found[name].shape)}"
                    raise ManifestError(
                        f"weights in {self.folder}: {name} has {here}, the model of config.json "
                        f"{tuple(parameter.shape)}: they belong to another size or context"
                    )
                parameter.copy_(found[name])
        return model


def listing(folder: Path) -> dict[str, Path]:
    """What ``data_sha256`` covers, in the order of relative names: all but the weights. Raises ManifestError when there
    is no text, or a folder of it is a link, or a name no file's."""
    files = {name: folder / name for name in ("config.json", "task.json", "tokenizer.json") if (folder / name).exists()}
    data = folder / "data"
    for place, folders, names in os.walk(data):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if linked := [name for name in folders if Path(place, name).is_symlink()]:
            raise ManifestError(f"{Path(place, linked[0])} is a link to a folder, which could lead in circles: copy it")
        for path in (Path(place, name) for name in names if not name.startswith(".")):
            files[path.relative_to(folder).as_posix()] = path
    for path in files.values():
        if not path.is_file():
            raise ManifestError(f"{path} is no file that can be read: put one there, or take the name away")
    if not any(name.startswith("data/") for name in files):
        raise ManifestError(f"task folder {folder} has no text: put files below {data}")
    return dict(sorted(files.items()))


def _architecture(folder: Path, options: Options, most: int) -> Architecture:
    path = folder / "config.json"
    config = _read_json(path) if path.exists() else {"model_type": OWN_MODEL}
    if config.get("model_type") != OWN_MODEL:
        if named := sorted(ELSEWHERE & _names(config)):
            raise ManifestError(
                f"{path} has {', '.join(named)}: how a model is computed is for the run's numeric policy to say; "
                "leave it out"
            )
        if (adapter := folder / "adapter_config.json").exists():
            raise ManifestError(f"{adapter}: transformers would add its weights, which no digest covers; merge them")
        return Transformers(folder, options, most)
    sizes = {item.name: config.get(item.name, getattr(SMALL, item.name)) for item in fields(Size)}
    strange = sorted(config.keys() - sizes.keys() - {"model_type"})
    if strange or not all(type(value) is int and value > 0 for value in sizes.values()):
        raise ManifestError(f"{path}: {strange or sizes}; expected positive {', '.join(sizes)} beside model_type")
    size = Size(**sizes)
    if size.width % size.heads or most > 255:
        raise ManifestError(
            f"{path}: width {size.width} is a multiple of heads {size.heads}, and {OWN_MODEL} reads bytes, no "
            "tokenizer.json's tokens"
        )
    return OwnModel(folder, size, options.context)


def _require_constants(architecture: Architecture, model: nn.Module) -> None:
    """Raises ManifestError when a pass changes a buffer: the model remembers something that no digest covers."""
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.no_grad():
        architecture.logits(model, torch.zeros(1, 2, dtype=torch.int64))
    changed = [name for name, buffer in model.named_buffers() if not torch.equal(buffer, before[name])]
    if changed:
        raise ManifestError(
            f"model changes its buffers {changed} as it runs: only constants can be left out of the model"
        )


def _require_causal(architecture: Architecture, model: nn.Module, vocabulary: int) -> None:
    """Raises ManifestError when a token moves what is said before it: such a model sees what it is to predict."""
    texts = torch.zeros(2, 4, dtype=torch.int64)
    texts[1, -1] = vocabulary - 1
    with torch.no_grad():
        one, other = architecture.logits(model, texts)[:, :-1]
    if (one - other).abs().max() > NEGLIGIBLE * one.abs().max():
        raise ManifestError("model looks ahead: later tokens move earlier logits; a causal language model is needed")


def _names(config: object) -> set[str]:
    """Of all entries, at any depth."""
    if isinstance(config, dict):
        return set(config).union(*map(_names, config.values()))
    return set().union(*map(_names, config)) if isinstance(config, list) else set()


def _transformers(release: str) -> Any:
    """The library. Raises ManifestError when it is missing, or not of ``release``; any will do when that is empty."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read as it is imported
    try:
        import transformers
    except ImportError as error:
        raise ManifestError(
            "a task with a model of transformers needs it: pip install 'gradmint[transformers]'"
        ) from error
    if release not in ("", transformers.__version__):
        raise ManifestError(
            f"transformers here is {transformers.__version__}, the task folder asks for {release}: pip install "
            f"transformers=={release}"
        )
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    return transformers


def _bytes_of(texts: list[Path]) -> Tensor:
    whole = bytearray(BETWEEN.encode().join(path.read_bytes() for path in texts))
    if not whole:
        raise ManifestError(f"{texts[0].parent} holds empty files only: put text there")
    return torch.frombuffer(whole, dtype=torch.uint8)


def _tokens_of(texts: list[Path], tokenizer: Path) -> Tensor:
    """Token numbers of all texts, int32 [n]. Raises ManifestError."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ManifestError(
            "tokenizer.json needs the tokenizers library: pip install 'gradmint[transformers]'"
        ) from error
    try:
        splitter = Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # the library raises nothing narrower
        raise ManifestError(f"{tokenizer} is no tokenizer: {error}") from error
    splitter.no_truncation()  # tokenizers are saved with what they were last used for: a part of each text, or more
    splitter.no_padding()
    numbers: list[int] = []
    for path in texts:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ManifestError(f"{path} is not UTF-8: {error}; without tokenizer.json any bytes will do") from error
        numbers += splitter.encode(text + BETWEEN, add_special_tokens=False).ids
    if not numbers:
        raise ManifestError(f"{texts[0].parent} holds no token: put text there")
    return torch.tensor(numbers, dtype=torch.int32)


def _sha256(path: Path) -> str:
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(HASHED_BYTES):
            whole.update(part)
    return whole.hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(MAX_JSON_BYTES + 1)[:MAX_JSON_BYTES])
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestError(f"{path}: {error}; expected one JSON object") from error
    if not isinstance(found, dict):
        raise ManifestError(f"{path} holds a {type(found).__name__}, expected one JSON object")
    return found


def _spelt(item: tuple[str, type]) -> str:
    return f"{item[0]} ({item[1].__name__})"


@task_factory
def factory() -> FolderTask:
    """The task named "folder". Raises ManifestError when no folder is named, or it is none."""
    named = os.environ.get(PATH)
    if not named or not Path(named).is_dir():
        raise ManifestError(
            f"task 'folder' lies in a folder, here {named or 'none'}: give --task-path DIR, or set ${PATH}, to the "
            "sponsor's data"
        )
    return FolderTask(Path(named))
