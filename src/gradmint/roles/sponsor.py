"""The sponsor: publish the task, open and fund the run; take back what no round paid, after the end."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from ..learn.manifest import Manifest, load_task
from ..learn.state import digest, initial_state, layout_of
from ..ports.chain import STALE, Chain, Open
from ..ports.store import Store
from ..spec.errors import Reverted
from ..spec.events import Opened
from ..spec.params import Params
from .journal import Journal


def terms_for(manifest: Manifest, params: Params) -> Params:
    """``params`` bound to the manifest and to the model that it builds. Raises ManifestError, MalformedParams."""
    task = load_task(manifest)
    model = digest(initial_state(task, manifest), layout_of(task, manifest))
    spec = manifest.assessment
    return replace(
        params,
        manifest=manifest.digest(),
        model=model,
        words=spec.words,
        assigned_trainers=spec.assigned_trainers,
    ).check()


def open_run(
    chain: Chain, store: Store, journal: Journal, manifest: Manifest, params: Params, token: bytes, budget_wei: int
) -> int:
    """Publish the manifest, then open a run with a budget in escrow. Returns the run's number.

    The signed transaction is journaled first: called again with the same arguments after a crash, it finishes what was
    begun instead of escrowing a second budget. Raises ManifestError, MalformedParams, Unfunded, NotAToken, Reverted,
    StoreUnreachable.
    """
    call = Open(params=terms_for(manifest, params), token=token, budget_wei=budget_wei)
    store.put(manifest.encode())
    entry = "open " + hashlib.sha256(call.params.encode() + token + budget_wei.to_bytes(32, "big")).hexdigest()
    while True:
        signed = journal.get(0, entry)
        if signed is None:
            signed = chain.sign(call)
            journal.put(0, entry, signed)
        try:
            receipt = chain.broadcast(signed)
        except Reverted as refusal:
            journal.drop(0, entry)  # those bytes will never open a run
            if refusal.name in STALE:
                continue
            raise
        journal.drop(0, entry)
        return next(event.run for event in receipt.events if isinstance(event, Opened))
