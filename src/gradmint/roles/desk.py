"""Everything one participant works with, in one place."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

from ..learn.numerics import Numerics
from ..ports.chain import Chain, Join, Receipt
from ..ports.store import Store
from ..spec.errors import ChainError, StoreError
from ..spec.fixed import bps_down
from ..spec.ledger import Ledger
from ..spec.params import Params
from ..spec.registration import discounted_wei
from ..spec.round import Seat
from ..spec.types import Role
from .driver import Driver
from .follower import Follower
from .journal import Journal, identity
from .replica import PROVEN, Replica, read_manifest
from .rounds import holder
from .trace import Trace

log = logging.getLogger(__name__)

DEFAULT = Numerics()
MARGIN_BPS = 2_500  # of the price of a seat, that others may raise it by before our turn comes


def least_stake_wei(chain: Chain, params: Params, role: Role) -> int:
    """What a seat takes of this account now."""
    required_wei = params.trainer_stake_wei if role is Role.TRAINER else params.verifier_stake_wei
    if not params.discount_bps:
        return required_wei
    return discounted_wei(required_wei, chain.rating_q32(chain.account), params.discount_bps)


def take_seat(
    chain: Chain, follower: Follower, role: Role, stake_wei: int | None = None, max_price_wei: int | None = None
) -> Receipt:
    """Join the run, with the least stake that it takes of this account unless another is given, for at most
    ``max_price_wei`` (by default a little more than the price now). Raises Unfunded, Reverted.
    """
    if max_price_wei is None:
        price_wei = chain.price_wei(follower.run)
        max_price_wei = price_wei + bps_down(price_wei, MARGIN_BPS)
    call = Join(
        run=follower.run,
        role=role,
        stake_wei=least_stake_wei(chain, follower.params, role) if stake_wei is None else stake_wei,
        max_price_wei=max_price_wei,
    )
    receipt = chain.send(call)
    follower.refresh()
    return receipt


@dataclass(slots=True)
class Desk:
    """A seated participant: its chain, store, journal, and its own view of run and model."""

    chain: Chain
    store: Store
    follower: Follower
    replica: Replica
    journal: Journal
    trace: Trace
    seat: Seat
    numerics: Numerics = DEFAULT
    checkpoint_every: int = 0  # rounds, after which the model is put into the store; 0: never
    driver: Driver = field(init=False)
    published: int = field(init=False, default=0)  # round of the latest checkpoint

    def __post_init__(self) -> None:
        self.driver = Driver(self.chain, self.follower, self.journal, self.trace)

    @property
    def ledger(self) -> Ledger:
        return self.follower.ledger

    @classmethod
    def open(
        cls,
        chain: Chain,
        store: Store,
        run: int,
        role: Role,
        home: Path,
        *,
        own_task: str | None = None,
        join: bool = False,
        max_price_wei: int | None = None,
        numerics: Numerics = DEFAULT,
        checkpoint_every: int = 0,
        from_scratch: bool = False,
    ) -> Desk:
        """Sit down at the seat of the chain's account; ``home`` keeps journal, cached model and trace.

        With ``join`` a seat is taken first if there is none, but not before this machine has shown that it can do the
        run's task in the way that the run admits. Raises ChainError without a seat in this role, JournalError,
        NumericsRefused, ManifestError, BlobMissing, Unfunded.
        """
        home.mkdir(parents=True, exist_ok=True)
        follower = Follower(chain, run)
        read_manifest(follower.params, store).numerics.admit(numerics)
        models = home / (PROVEN if from_scratch else "models")
        replica = Replica(follower.params, store, own_task=own_task, cache=models)
        journal = Journal(home / "journal.sqlite", identity(chain, run))
        if join and follower.ledger.seat(chain.account) is None:
            take_seat(chain, follower, role, max_price_wei=max_price_wei)
        seat = follower.ledger.seat(chain.account)
        if seat is None or seat.role is not role:
            found = "no seat" if seat is None else f"a seat as {seat.role.name.lower()}"
            raise ChainError(
                f"0x{chain.account.hex()} has {found} in run {run}, expected one as {role.name.lower()}; take it with "
                f"'gradmint join --run {run} --role {role.name.lower()}'"
            )
        replica.resume(follower.ledger, checkpoints=not from_scratch)
        return cls(
            chain=chain,
            store=store,
            follower=follower,
            replica=replica,
            journal=journal,
            trace=Trace(home / "trace.jsonl"),
            seat=seat,
            numerics=numerics,
            checkpoint_every=checkpoint_every,
        )

    def catch_up(self) -> None:
        """Rebuild the model that the current round starts from, and publish it when its turn has come."""
        start_s = time.time()
        before = self.replica.concluded
        self.replica.follow(self.ledger)
        if self.replica.concluded > before:
            self.trace.note(self.replica.concluded + 1, "rebuild", start_s, time.time())
        if self.checkpoint_every and not self.replica.concluded % self.checkpoint_every:
            self._publish()

    def _publish(self) -> None:
        """A store that does not take it costs whoever comes late some time, and nobody a round."""
        if self.replica.concluded == self.published:
            return
        self.published = self.replica.concluded
        try:
            self.replica.publish()
        except StoreError as error:
            log.warning("the model after round %d is not published: %s", self.published, error)

    def take_part(self, number: int) -> bool:
        """Whether the seat takes part in round ``number``: joined before it opened, and not gone."""
        return self.seat.since_round <= number and not self.seat.gone

    def is_on_duty(self, number: int) -> bool:
        """Whether the verifier can be called on in round ``number``: who leaves can be to its round's end."""
        mine = holder(self.ledger, Role.VERIFIER, self.seat.index, number) is self.seat
        return mine and bool(self.ledger.rounds[number - 1].eligible >> self.seat.index & 1)
