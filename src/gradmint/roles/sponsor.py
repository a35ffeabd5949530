"""The sponsor: publish the task, open and fund the run; take back what no round paid, after the end."""

from __future__ import annotations

from dataclasses import replace

from ..learn.manifest import Manifest, load_task
from ..learn.state import digest, initial_state, layout_of
from ..ports.chain import Chain, Open
from ..ports.store import Store
from ..spec.events import Opened
from ..spec.params import Params


def terms_for(manifest: Manifest, params: Params) -> Params:
    """``params`` bound to the manifest and to the model that it builds. Raises ManifestError, MalformedParams."""
    task = load_task(manifest)
    model = digest(initial_state(task, manifest), layout_of(task, manifest))
    return replace(params, manifest=manifest.digest(), model=model, words=manifest.assessment.words).check()


def open_run(chain: Chain, store: Store, manifest: Manifest, params: Params, token: bytes, budget_wei: int) -> int:
    """Publish the manifest, then open a run with a budget in escrow. Returns the run's number.

    Raises ManifestError, MalformedParams, Unfunded, NotAToken, Reverted, StoreUnreachable.
    """
    terms = terms_for(manifest, params)
    store.put(manifest.encode())
    receipt = chain.send(Open(params=terms, token=token, budget_wei=budget_wei))
    return next(event.run for event in receipt.events if isinstance(event, Opened))
