"""The same bits from any number of workers: tasks are ranges, results are integers, and sums do not mind their order.

A *pool* has the rows (replicated: one read-only copy on each machine) and runs tasks on them. Threads share them as
they are, since kernels leave the interpreter's lock; processes share them as a block of memory; Ray keeps one copy in
the object store of each machine. Which one it is changes no bit, so the choice is about memory alone:

    up to some 10^8 edges      Threads on one machine: 28 bytes an edge, 10^7 edges are 280 MB
    as many on many machines   Ray: every machine holds all rows, tasks are ranges of egos x ranges of walks
    beyond a machine's memory  :mod:`.shards`: every worker holds the rows of some sources
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from itertools import pairwise
from multiprocessing.shared_memory import SharedMemory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..spec.reputation_params import ReputationParams
from ..spec.types import BPS
from ..spec.walks import Key
from . import exact, walks
from .rows import Longs, Rows

Task = Callable[..., Any]  # (rows, *arguments); a function of a module, so that other processes know it


class Pool(AbstractContextManager["Pool"], Protocol):
    """Workers that hold one graph."""

    def map(self, task: Task, parts: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        """``task(rows, *part)`` for each part, in the parts' order."""


class Threads(Pool):
    """Workers of this process, on the rows as they are."""

    def __init__(self, rows: Rows, workers: int) -> None:
        self._rows, self._threads = rows, ThreadPoolExecutor(workers)

    def map(self, task: Task, parts: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        yield from _in_order([self._threads.submit(task, self._rows, *part) for part in parts])

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)


class Processes(Pool):
    """Processes that see the rows in one block of shared memory."""

    def __init__(self, rows: Rows, workers: int) -> None:
        arrays = rows.arrays()
        places, at = {}, 0
        for name, array in arrays.items():
            places[name] = (at, array.shape, array.dtype.str)
            at += -(-array.nbytes // 8) * 8
        self._memory = SharedMemory(create=True, size=max(1, at))
        for array, view in zip(arrays.values(), _views(self._memory, places).values(), strict=True):
            view[:] = array
        self._processes = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), _attach, (self._memory.name, places)
        )

    def map(self, task: Task, parts: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        yield from _in_order([self._processes.submit(_on_attached, task, *part) for part in parts])

    def __exit__(self, *_: object) -> None:
        self._processes.shutdown(cancel_futures=True)
        self._memory.close()
        self._memory.unlink()


class Ray(Pool):
    """Ray's workers, with one copy of the rows on each machine. Needs the extra ``gradmint[ray]`` and a cluster, or
    starts one here with ``workers`` processors."""

    def __init__(self, rows: Rows, workers: int | None = None) -> None:
        import ray

        self._ray, self._cleanup = ray, ExitStack()
        if not ray.is_initialized():
            ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
            self._cleanup.callback(ray.shutdown)
        self._arrays = {name: ray.put(array) for name, array in rows.arrays().items()}

    def map(self, task: Task, parts: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        def on_rows(part: tuple[Any, ...], names: list[str], *arrays: Any) -> Any:
            return task(Rows(**dict(zip(names, arrays, strict=True))), *part)

        remote = self._ray.remote(on_rows)
        handles = [remote.remote(part, list(self._arrays), *self._arrays.values()) for part in parts]
        for handle in handles:
            yield self._ray.get(handle)

    def __exit__(self, *_: object) -> None:
        self._arrays.clear()
        self._cleanup.close()


def _in_order(futures: Sequence[Future[Any]]) -> Iterator[Any]:
    return (future.result() for future in futures)


_attached: tuple[SharedMemory, Rows] | None = None  # of a worker process, as long as it lives


def _attach(name: str, places: dict[str, tuple[int, tuple[int, ...], str]]) -> None:
    global _attached
    memory = SharedMemory(name)
    _attached = memory, Rows(**_views(memory, places))


def _on_attached(task: Task, *part: Any) -> Any:
    assert _attached is not None
    return task(_attached[1], *part)


def _views(memory: SharedMemory, places: dict[str, tuple[int, tuple[int, ...], str]]) -> dict[str, NDArray[Any]]:
    assert memory.buf is not None
    return {
        name: np.ndarray(shape, dtype=kind, buffer=memory.buf, offset=at) for name, (at, shape, kind) in places.items()
    }


def ranges(size: int, parts: int) -> list[tuple[int, int]]:
    """0..size in ``parts`` consecutive pieces that differ by one at most; the last ones may be empty."""
    ends = [size * k // parts for k in range(parts + 1)]
    return list(pairwise(ends))


# Walks: egos x numbers


def tallies(
    pool: Pool,
    egos: Sequence[tuple[int, int]],
    count: int,
    key: Key,
    params: ReputationParams,
    ego_parts: int = 1,
    walk_parts: int = 1,
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """For each ego, (account, its word): the account, who is come by (ascending), and by how many of ``count`` walks.

    Tasks are ``ego_parts`` ranges of egos x ``walk_parts`` ranges of walks; what they count is added up.
    """
    cut = [
        (egos[a:b], first, last) for a, b in ranges(len(egos), ego_parts) for first, last in ranges(count, walk_parts)
    ]
    results = pool.map(sparse_tallies, [(*part, key, params) for part in cut])
    for _ in range(ego_parts):
        pieces = [next(results) for _ in range(walk_parts)]
        for same_ego in zip(*pieces, strict=True):
            places = np.concatenate([places for _, places, _ in same_ego])
            counts = np.concatenate([counts for _, _, counts in same_ego])
            known, which = np.unique(places, return_inverse=True)
            total = np.zeros(len(known), dtype=np.int64)
            np.add.at(total, which, counts)
            yield same_ego[0][0], known, total


def sparse_tallies(
    rows: Rows, egos: Sequence[tuple[int, int]], first: int, last: int, key: Key, params: ReputationParams
) -> list[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """A task: one range of walks for some egos."""
    found = []
    for ego, word in egos:
        hits = walks.tally(rows, ego, word, first, last, key, params).hits
        places = np.flatnonzero(hits)
        found.append((ego, places, hits[places]))
    return found


# Mass: ranges of sources


def visits(pool: Pool, size: int, seeds: Collection[int], params: ReputationParams, parts: int) -> Longs:
    """:func:`.exact.visits` with each step cut into ``parts`` ranges of sources, whose results are added up."""
    mass = exact.start(size, seeds)
    total, cut = mass.copy(), ranges(size, parts)
    for _ in range(params.iterations):
        after = np.zeros(size, dtype=np.int64)
        for part in pool.map(pushed, [(mass[a:b], a, b, BPS - params.alpha_bps) for a, b in cut]):
            after += part
        if not after.any():
            break
        total, mass = total + after, after
    return total


def pushed(rows: Rows, mass: Longs, first: int, last: int, keep: int) -> Longs:
    """A task: where the mass at accounts ``first`` to ``last`` is one step later, int64 [n]."""
    whole, after = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
    whole[first:last] = mass
    exact.push(*(rows.heads, rows.targets, rows.weights), whole, after, first, last, keep, -1)
    return after
