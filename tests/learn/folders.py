"""Task folders that tests learn from, a few thousand parameters each."""

from __future__ import annotations

import json
from pathlib import Path

from gradmint.learn.tasks.bytes_lm import distinct_paragraphs, read_text

LLAMA = {
    "model_type": "llama",
    "vocab_size": 256,
    "hidden_size": 24,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 32,
    "tie_word_embeddings": True,
    "attention_dropout": 0.5,
}
GPT2 = {
    "model_type": "gpt2",
    "vocab_size": 256,
    "n_embd": 16,
    "n_layer": 2,
    "n_head": 2,
    "n_positions": 32,
    "resid_pdrop": 0.5,
    "embd_pdrop": 0.5,
}
SMALL = {"model_type": "gradmint-bytes", "width": 16, "layers": 1, "heads": 2}
QUICK = {
    "training": {"steps": 8, "batch": 8, "shard": 32, "learning_rate": 0.01},
    "assessment": {"common_samples": 32, "assigned_samples": 8, "probe_samples": 16},
}


def make(folder: Path, config: dict[str, object] | None = None, text_bytes: int = 40_000, **options: object) -> Path:
    """A folder with real prose in two files, a model's configuration and options; ``folder`` itself."""
    text = distinct_paragraphs(read_text())[:text_bytes]
    (folder / "data" / "more").mkdir(parents=True)
    (folder / "data" / "a.txt").write_bytes(text[: text_bytes // 3])
    (folder / "data" / "more" / "b.md").write_bytes(text[text_bytes // 3 :])
    (folder / "task.json").write_text(json.dumps({"context": 16, "held_out_every": 8, "preset": QUICK, **options}))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder
