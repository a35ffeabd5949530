"""Catching up: any round's model from the first one and the public blobs, compared with all that was attested."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..ports.store import Store
from ..spec.errors import SettingsError
from ..spec.ledger import Ledger
from .replica import PROVEN, Replica, Start
from .rounds import closed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """A model, and what stands behind it."""

    run: int
    round: int
    model: bytes  # its digest
    start: Start
    compared: int  # models of the way, first and last included, that were compared with what others say of them
    attested: bool  # whether this one was; the last round's is by nobody yet
    seconds: float


def catch_up(
    ledger: Ledger,
    store: Store,
    *,
    until: int | None = None,
    own_task: str | None = None,
    cache: Path | None = None,
    from_scratch: bool = False,
    vouched: Mapping[int, bytes] | None = None,
    seen: Callable[[Replica, int], None] = lambda _, __: None,
) -> tuple[Replica, Rebuilt]:
    """The model after round ``until``, by default the last that is closed.

    It starts from what ``cache`` keeps or from a checkpoint in the store, ``from_scratch`` from the first model alone
    (interrupted, from what it reached itself). ``vouched`` are digests by round that certificates name. ``seen`` is
    told the replica and the last round to come, at the start and after each round.

    Raises SettingsError for a round that is not over, ManifestError, BlobMissing, BlobCorrupt, WrongBase.
    """
    begun_s = time.perf_counter()
    over = closed(ledger)
    last = over if until is None else until
    if not 0 <= last <= over:
        raise SettingsError(f"round {last} of run {ledger.run} is not over, {over} are: ask for one of 0..{over}")
    kept = None if cache is None else cache / PROVEN if from_scratch else cache
    replica = Replica(ledger.terms, store, own_task=own_task, cache=kept)
    replica.vouched |= vouched or {}
    replica.resume(ledger, last, checkpoints=not from_scratch)
    seen(replica, last)
    replica.follow(ledger, last, lambda: seen(replica, last))
    attested = replica.confirm(ledger)
    return replica, Rebuilt(
        run=ledger.run,
        round=last,
        model=replica.base,
        start=replica.start,
        compared=replica.compared + attested,
        attested=attested,
        seconds=time.perf_counter() - begun_s,
    )
