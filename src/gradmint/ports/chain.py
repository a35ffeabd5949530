"""Chain port: calls in, events out. Adapters: ``web3_chain`` (any EVM node), ``memory_chain`` (the twin, for tests
and simulation) and ``recorded_chain`` (a finished run on disk, read only).

A call is data. :meth:`Chain.sign` turns it into bytes that may be journaled, :meth:`Chain.broadcast` sends those bytes
as often as needed: the same bytes can take effect once only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..spec.events import Event, Position
from ..spec.params import Params
from ..spec.tree import Proof
from ..spec.types import Phase, Role, Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One transaction. Subclass names and fields are the contracts' functions and arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Open(Call):
    params: Params
    token: bytes
    budget_wei: int  # the adapter sees to the token's allowance first


@dataclass(frozen=True, slots=True, kw_only=True)
class Fund(Call):
    run: int
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(Call):
    run: int
    role: Role
    stake_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit(Call):
    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw(Call):
    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit(Call):
    run: int
    digest: bytes
    claimed_gain_micronats: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(Call):
    """Close submissions early: all rows of this round, (trainer, claimed gain, digest) in chain order."""

    run: int
    submissions: tuple[tuple[int, int, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(Call):
    run: int
    bitmap: bytes
    base: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit(Call):
    run: int
    commitment: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reveal(Call):
    run: int
    report: bytes
    salt: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Poke(Call):
    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle(Call):
    run: int
    params: Params
    standings: tuple[Standing, ...]  # as of the last settlement: trainers, then verifiers
    reports: tuple[bytes, ...]  # packed, one per revealed verifier, in index order


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Call):
    run: int
    standing: Standing
    proof: Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Call):
    """End a run that is still in enrolment; only its sponsor may. Refund and Withdraw then give everything back."""

    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund(Call):
    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn(Call):
    run: int


#: Names of Reverted that refuse the signed bytes, not what they say: those bytes will never take effect, sign anew.
STALE = frozenset({"NonceTaken", "NonceGap", "FeeTooLow"})


@dataclass(frozen=True, slots=True)
class Receipt:
    """A transaction that took effect."""

    tx_hash: bytes
    block: int
    gas_used: int
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Clock:
    """Where a run stands now."""

    round: int
    phase: Phase
    deadline_s: int
    transcript: bytes


@dataclass(frozen=True, slots=True)
class Escrow:
    """A run's money as the contracts hold it."""

    sponsor: bytes
    token: bytes
    deposited_wei: int
    total_wei: int
    root: bytes
    refunded_wei: int
    params_hash: bytes


class ChainReader(Protocol):
    """Everything an auditor needs. Addresses and accounts are 20 bytes."""

    @property
    def chain_id(self) -> int: ...

    @property
    def rounds_address(self) -> bytes: ...

    @property
    def runs_address(self) -> bytes:
        """The contract that holds every run's reward tokens."""
        ...

    @property
    def stakes_address(self) -> bytes:
        """The contract that holds every run's stakes."""
        ...

    def now_s(self) -> int:
        """The chain's clock: the timestamp the next block would have."""
        ...

    def run_count(self) -> int: ...

    def events(self, run: int, after: Position | None = None) -> Sequence[Event]:
        """The run's events in chain order, those after ``after`` only. Pages by itself."""
        ...

    def clock(self, run: int) -> Clock: ...

    def escrow(self, run: int) -> Escrow: ...

    def standings_hash(self, run: int) -> bytes:
        """Of the last settlement; 32 zero bytes before the first."""
        ...

    def stakes_wei(self, run: int, accounts: Sequence[bytes]) -> list[int]: ...

    def claimed_wei(self, run: int, account: bytes) -> int: ...

    def token_balance_wei(self, token: bytes, account: bytes) -> int: ...

    def gas_used(self, tx_hash: bytes) -> int:
        """Gas of a mined transaction, for reports."""
        ...


class Chain(ChainReader, Protocol):
    """A chain that one account writes to."""

    @property
    def account(self) -> bytes: ...

    def wait(self, run: int, timeout_s: float) -> None:
        """Block until a phase of ``run`` opens or the time passes. Spurious returns happen, missed phases do not."""
        ...

    def sign(self, call: Call) -> bytes:
        """Bytes that broadcast ``call``, bound to the account's next nonce.

        Raises Reverted when the chain would refuse it now, Unfunded, ChainUnreachable.
        """
        ...

    def broadcast(self, signed: bytes) -> Receipt:
        """Send what :meth:`sign` made and wait until it is mined. Idempotent: known or mined bytes are waited for.

        Raises Reverted (also when another transaction took the nonce; name "NonceTaken"), Unfunded, ChainUnreachable.
        """
        ...

    def send(self, call: Call) -> Receipt:
        """``broadcast(sign(call))``, for calls that need no journal."""
        ...
