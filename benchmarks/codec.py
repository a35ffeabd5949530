"""What an update costs on the wire and in time, and what compression costs in loss.

    python benchmarks/codec.py [--json] [--large] [--plot docs/img/codec.svg]

Beside a codec of Templar v2.1.28's shape, written from the facts of its ``compress.py``: tiles of at most 64 x 64 of
each tensor, the largest of each tile, positions of 12 bits packed, values in four buckets of 6 sigma / 4 about each
tensor's mean as a byte each, decoded to the buckets' float32 means. It keeps as many values as ours here (Templar's own
64 a tile for whole tiles, in proportion for smaller ones).

Bits: of a body, for each value kept; Gaussian input, and pseudo-gradients with error feedback of the bytes task. The
limit is log2 of the number of ways to choose the places, and 2 bits of value. Speed: CPU seconds of one thread, the
best of three runs, of vector to bytes and of bytes to an update applied to a vector. Loss: held-out loss of the bytes
task after some rounds of three honest trainers, by the bytes of an update. ``--large``: a billion values, encoded from
a file and decoded into one, in a process of its own whose peak memory is read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gradmint.learn.codec import Header, Limits, Table, Update, approximate, decode, encode
from gradmint.learn.codec.update import Floats, Index
from gradmint.learn.manifest import Manifest, load_task, preset, with_codec
from gradmint.learn.outer import advance
from gradmint.learn.state import Layout, Network, initial_state, layout_of
from gradmint.learn.train import local_round

TRAINERS, ROUNDS = 3, 6
SPEED_VALUES = 1 << 24
LARGE_VALUES = 10**9
TILE = 64
HEADER = Header(
    run=1, round=1, author=bytes(20), base=bytes(32), layout=bytes(32), claimed_gain_micronats=0, words=(0,) * 4
)


@dataclass(frozen=True, kw_only=True, eq=False)
class TemplarUpdate(Update):
    """Of the peer's shape; ``size`` in bytes as it would be stored."""

    table: Table
    places: np.ndarray[tuple[int], np.dtype[np.int32]]
    kept: Floats
    size: int

    @property
    def finite(self) -> bool:
        return True

    def blocks(self) -> Iterator[tuple[Index, Floats]]:
        yield self.places, self.kept

    @property
    def positions(self) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        return self.places

    def norm(self) -> float:
        return float(np.linalg.norm(self.kept.astype(np.float64)))

    def pack(self) -> bytes:
        return bytes(self.size)


def tile(length: int) -> int:
    return max(size for size in range(1, TILE + 1) if length % size == 0)


def templar(vector: Tensor, layout: Layout, share: float) -> TemplarUpdate:
    """Compressed and decompressed again, tensor by tensor."""
    places, values, size = [], [], 0
    for shape, offset in zip(layout.shapes, layout.offsets, strict=True):
        count = math.prod(shape)
        index = torch.arange(offset, offset + count)
        rows, columns = (count // shape[-1], shape[-1]) if len(shape) > 1 else (1, count)
        high, wide = tile(rows), tile(columns)
        if len(shape) == 1:
            wide = next(size for size in range(min(count, TILE * TILE), 0, -1) if count % size == 0)
        tiles = index.view(rows // high, high, columns // wide, wide).transpose(1, 2).reshape(-1, high * wide)
        keep = max(1, round(share * high * wide))
        found = vector[tiles]
        chosen = found.abs().topk(keep, dim=1).indices.sort(dim=1).values
        packed, buckets, decoded = squeeze(found.gather(1, chosen), chosen)
        places.append(tiles.gather(1, chosen).flatten())
        values.append(decoded.flatten())
        size += len(packed) + len(buckets) + 4 * 4 + 4 + 4 + 1 + 1  # lookup, shift, scale, offset, type
    order = torch.cat(places).argsort()
    return TemplarUpdate(
        table=Table(dimension=len(vector), chunk=1, keep=1),
        places=torch.cat(places)[order].numpy().astype(np.int32),
        kept=torch.cat(values)[order].numpy(),
        size=size,
    )


def squeeze(values: Tensor, chosen: Tensor) -> tuple[bytes, bytes, Tensor]:
    """12-bit positions, a byte a value, and what these bytes decode to."""
    shift = values.mean()
    centred = values - shift
    scale = (6 * centred.std(correction=1) / 4).clamp(min=1e-12) if values.numel() > 1 else torch.tensor(1.0)
    buckets = (centred / scale + 2).round().clamp(0, 3).to(torch.uint8)
    lookup = torch.stack([centred[buckets == b].mean() if (buckets == b).any() else shift * 0 for b in range(4)])
    pairs = torch.nn.functional.pad(chosen.flatten(), (0, chosen.numel() % 2)).view(-1, 2).to(torch.int32)
    words = torch.stack((pairs[:, 0] & 255, pairs[:, 0] >> 8 | (pairs[:, 1] & 15) << 4, pairs[:, 1] >> 4), dim=1)
    return words.to(torch.uint8).numpy().tobytes(), buckets.numpy().tobytes(), lookup[buckets.long()] + shift


def expand(packed: bytes, buckets: bytes, lookup: Tensor, keep: int, out: Tensor) -> None:
    """The peer's way back, for its time."""
    raw = torch.frombuffer(bytearray(packed), dtype=torch.uint8).view(-1, 3).to(torch.int64)
    pairs = torch.stack((raw[:, 0] | (raw[:, 1] & 15) << 8, raw[:, 1] >> 4 | raw[:, 2] << 4), dim=1)
    places = pairs.view(-1, keep) + TILE * TILE * torch.arange(pairs.numel() // keep)[:, None]
    out[places.flatten()] += lookup[torch.frombuffer(bytearray(buckets), dtype=torch.uint8).long()]


def error(update: Update, vector: Tensor) -> float:
    """Squared error on the values kept, as a part of what they are."""
    exact = vector[torch.from_numpy(update.positions.astype(np.int64))]
    return float((torch.from_numpy(update.values()) - exact).pow(2).sum() / exact.pow(2).sum())


def limit(chunk: int, keep: int) -> float:
    """Bits a kept value: of choosing ``keep`` of ``chunk`` places, and two of value."""
    ways = math.lgamma(chunk + 1) - math.lgamma(keep + 1) - math.lgamma(chunk - keep + 1)
    return ways / math.log(2) / keep + 2


def sizes(real: Tensor, layout: Layout) -> list[dict[str, float | str]]:
    rows: list[dict[str, float | str]] = []
    gaussian = torch.randn(1 << 22, generator=torch.Generator().manual_seed(0))
    flat = Layout(names=("w",), shapes=((1 << 10, 1 << 12),))
    for name, vector, shape in (("Gaussian", gaussian, flat), ("pseudo-gradient", real, layout)):
        for keep in (64, 256, 1_024):
            update = approximate(vector, Table(dimension=len(vector), chunk=4_096, keep=keep))
            theirs = templar(vector, shape, keep / 4_096)
            rows.append(
                {
                    "input": name,
                    "keep": keep,
                    "limit": limit(4_096, keep),
                    "bits": 8 * len(update.pack()) / update.table.kept,
                    "blob_bits": 8 * len(encode(HEADER, update)) / update.table.kept,
                    "error": error(update, vector),
                    "templar_bits": 8 * theirs.size / len(theirs.kept),
                    "templar_error": error(theirs, vector),
                }
            )
    return rows


def megabytes() -> dict[str, float]:
    """Ten million values, one in a hundred kept."""
    vector = torch.randn(10_000_000, generator=torch.Generator().manual_seed(1))
    table = Table(dimension=len(vector), chunk=4_096, keep=41)
    blob = encode(HEADER, approximate(vector, table))
    theirs = table.kept * (1.5 + 1)
    return {
        "kept": table.kept,
        "MB": len(blob) / 1e6,
        "templar_MB": theirs / 1e6,
        "ratio": theirs / len(blob),
        "dense_MB": 4 * len(vector) / 1e6,
    }


def best(work: Callable[[], object], runs: int = 3) -> float:
    taken = []
    for _ in range(runs):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return min(taken)


def speed() -> list[dict[str, float | str]]:
    vector = torch.randn(SPEED_VALUES, generator=torch.Generator().manual_seed(2))
    out = torch.zeros(SPEED_VALUES)
    rows: list[dict[str, float | str]] = []
    spec = preset("bytes").codec
    cases = [("topk 64 of 4,096", replace(spec, keep=64)), ("topk 1,024 of 4,096", spec)]
    cases += [(kind, replace(spec, keep=64).of_kind(kind)) for kind in ("clustered", "sign", "int8", "bfloat16")]
    cases += [
        (f"{kind} 1 of 4,096", replace(spec.of_kind(kind), chunk=4_096, keep=1)) for kind in ("seeded", "private")
    ]
    for name, case in cases:
        table = case.table(SPEED_VALUES)
        limits = Limits(max_bytes=1 << 30, table=table, words=4)
        blob = encode(HEADER, approximate(vector, table))
        to_bytes = best(lambda table=table: encode(HEADER, approximate(vector, table)))  # type: ignore[misc]
        back = best(lambda blob=blob, limits=limits: decode(blob, limits)[1].add_to(out.numpy(), 0.1))  # type: ignore[misc]
        rows.append({"kind": name, "encode": SPEED_VALUES / to_bytes / 1e6, "decode": SPEED_VALUES / back / 1e6})
    keep, tiles = 64, vector.view(-1, TILE * TILE)

    def peer() -> tuple[bytes, bytes, Tensor]:
        chosen = tiles.abs().topk(keep, dim=1).indices.sort(dim=1).values
        return squeeze(tiles.gather(1, chosen), chosen)

    packed, buckets, _ = peer()
    to_bytes, back = best(peer), best(lambda: expand(packed, buckets, torch.ones(4), keep, out))
    rows.append(
        {"kind": "Templar's shape, 64", "encode": SPEED_VALUES / to_bytes / 1e6, "decode": SPEED_VALUES / back / 1e6}
    )
    return rows


def play(manifest: Manifest, compressor: Callable[[Tensor], Update]) -> tuple[float, float, Tensor]:
    """Held-out loss in nats, mean bytes of a body, and the last vector that was compressed."""
    task = load_task(manifest)
    state = initial_state(task, manifest)
    residuals: dict[int, Tensor] = {}
    taken = []
    whole = state.theta
    for round_ in range(ROUNDS):
        beacon = hashlib.sha256(b"codec %d" % round_).digest()
        updates: dict[int, Update] = {}
        for trainer in range(TRAINERS):
            delta = local_round(task, manifest, state, beacon, trainer).delta
            whole = delta + manifest.training.error_feedback * residuals.get(trainer, torch.zeros_like(delta))
            updates[trainer] = compressor(whole)
            private = updates[trainer].table.kind == "private"
            residuals[trainer] = torch.zeros_like(delta) if private else whole - updates[trainer].dense()
            taken.append(len(updates[trainer].pack()))
        state = advance(manifest, state, updates, range(TRAINERS))
    network = Network(task, manifest.task.seed)
    network.theta.copy_(state.theta)
    return network.mean_loss(task.validation()), sum(taken) / len(taken), whole


def losses() -> tuple[list[dict[str, float | str]], Tensor, Layout]:
    base = preset("bytes")
    base = replace(base, training=replace(base.training, intervals=0))
    base = replace(base, assessment=replace(base.assessment, audited_trainers=0))
    layout = layout_of(load_task(base), base)
    rows: list[dict[str, float | str]] = []
    real = torch.zeros(layout.dimension)
    cases = [(f"topk {keep:,}", replace(base.codec, keep=keep)) for keep in (1_024, 256, 64)]
    cases += [(f"clustered {keep:,}", replace(base.codec, keep=keep, kind="clustered")) for keep in (1_024, 256)]
    cases += [(kind, with_codec(base, kind).codec) for kind in ("sign", "int8", "bfloat16", "seeded", "private")]
    for name, spec in cases:
        table = spec.table(layout.dimension)
        loss, size, whole = play(base, lambda vector, table=table: approximate(vector, table))  # type: ignore[misc]
        rows.append({"codec": name, "bytes": size, "loss": loss})
        real = whole if name == "topk 256" else real
    for keep in (1_024, 256, 64):
        loss, size, _ = play(base, lambda vector, keep=keep: templar(vector, layout, keep / 4_096))  # type: ignore[misc]
        rows.append({"codec": f"Templar's shape {keep:,}", "bytes": size, "loss": loss})
    return rows, real, layout


def large(folder: Path) -> dict[str, float]:
    """In a process of its own: a billion values from a file to a blob, and from the blob into another file."""
    source = np.memmap(folder / "vector", dtype=np.float32, mode="r", shape=(LARGE_VALUES,))
    table = Table(dimension=LARGE_VALUES, chunk=4_096, keep=64)
    watch = Watch()
    started = time.process_time()
    update = approximate(torch.from_numpy(source), table)
    blob = encode(HEADER, update)
    encoded_s, encoded_mib = time.process_time() - started, watch.stop()
    del update, source
    model = np.memmap(folder / "model", dtype=np.float32, mode="r+", shape=(LARGE_VALUES,))
    before = model[:4_096].copy()
    watch = Watch()
    started = time.process_time()
    decoded = decode(blob, Limits(max_bytes=1 << 30, table=table, words=4))[1]
    decoded_s = time.process_time() - started
    norm = decoded.norm()
    started = time.process_time()
    decoded.add_to(model, 0.5)
    applied_s, decoded_mib = time.process_time() - started, watch.stop()
    assert np.count_nonzero(model[:4_096] != before) == 64 and norm > 0
    return {
        "values": LARGE_VALUES,
        "blob_MB": len(blob) / 1e6,
        "encode_s": encoded_s,
        "encode_peak_MiB": encoded_mib,
        "decode_s": decoded_s,
        "apply_s": applied_s,
        "decode_peak_MiB": decoded_mib,
        "model_MiB": 4 * LARGE_VALUES / (1 << 20),
    }


class Watch:
    """The greatest anonymous memory (not pages of mapped files) of this process above what it was, in MiB."""

    def __init__(self) -> None:
        self._least = self._most = self._now()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _now(self) -> float:
        status = Path("/proc/self/status").read_text()
        return int(status.split("RssAnon:")[1].split()[0]) / 1024

    def _look(self) -> None:
        while not self._done.wait(0.005):
            self._most = max(self._most, self._now())

    def stop(self) -> float:
        self._done.set()
        self._thread.join()
        return self._most - self._least


def run_large() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        draw = np.random.default_rng(0)
        with (Path(folder) / "vector").open("wb") as vector, (Path(folder) / "model").open("wb") as model:
            for at in range(0, LARGE_VALUES, 1 << 24):
                part = draw.standard_normal(min(1 << 24, LARGE_VALUES - at), dtype=np.float32)
                part.tofile(vector)
                part.tofile(model)
        done = subprocess.run(
            [sys.executable, __file__, "--large-in", folder], capture_output=True, text=True, check=True
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def plot(rows: list[dict[str, float | str]], path: Path) -> None:
    """Loss by bytes; "private", whose noise needs many more trainers, is above the picture."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "codec"
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    families = {
        "topk": ("C0", (-6, -12), "right"),
        "Templar": ("C3", (6, 4), "left"),
        "clustered": ("C2", (6, 5), "left"),
    }
    for family, (colour, offset, side) in {**families, "": ("C7", (6, -10), "left")}.items():
        known = (*families, "private")
        mine = [
            (str(row["codec"]), float(row["bytes"]), float(row["loss"]))
            for row in rows
            if (str(row["codec"]).startswith(family) if family else not str(row["codec"]).startswith(known))
        ]
        style = "o-" if family else "s"
        axes.plot([size for _, size, _ in mine], [loss for _, _, loss in mine], style, color=colour)
        for name, size, loss in mine:
            axes.annotate(
                name,
                (size, loss),
                offset,
                textcoords="offset points",
                fontsize=8,
                ha=side,
                color=colour if family else "0.3",
            )
    axes.set_xscale("log")
    axes.set_xlim(1.8e3, 7e5)
    axes.set_xlabel("bytes an update, header left out")
    axes.set_ylabel(f"held-out loss after {ROUNDS} rounds, nats a byte")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--large", action="store_true", help="also a billion values: 8 GB of temporary files, a minute")
    parser.add_argument("--large-in", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--plot", type=Path, help="write a picture of bytes and loss")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.large_in:
        print(json.dumps(large(arguments.large_in)))
        return
    by_loss, real, layout = losses()
    found = {"sizes": sizes(real, layout), "ten_million": megabytes(), "speed": speed(), "loss": by_loss}
    if arguments.large:
        found["large"] = run_large()
    if arguments.plot:
        plot(by_loss, arguments.plot)
    if arguments.json:
        print(json.dumps(found))
    else:
        show(found)
    check(found)


def show(found: dict[str, object]) -> None:
    for title, rows in found.items():
        print(title)
        table = rows if isinstance(rows, list) else [rows]
        for row in table:
            print("  " + "  ".join(f"{k} {v:,.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))


def check(found: dict[str, object]) -> None:
    """What is claimed."""
    for row in found["sizes"]:  # type: ignore[attr-defined]
        assert row["keep"] != 64 or row["bits"] <= 9.8
        assert row["bits"] <= 0.55 * row["templar_bits"] and row["error"] < row["templar_error"]
    assert found["ten_million"]["MB"] <= 0.14  # type: ignore[index]
    by_codec = {row["codec"]: row for row in found["loss"]}  # type: ignore[attr-defined]
    ours, theirs = by_codec["topk 1,024"], by_codec["Templar's shape 256"]
    assert ours["bytes"] < 1.05 * theirs["bytes"] and ours["loss"] < theirs["loss"] - 0.1


if __name__ == "__main__":
    main()
