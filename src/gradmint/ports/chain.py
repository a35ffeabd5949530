"""Chain port: calls in, events out. Adapters: ``web3_chain`` (any EVM node), ``memory_chain`` (the twin, for tests
and simulation) and ``recorded_chain`` (a finished run on disk, read only).

A call is data. :meth:`Chain.sign` turns it into bytes that may be journaled, :meth:`Chain.broadcast` sends those bytes
as often as needed: the same bytes can take effect once only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ..spec.docket import Effects, Outcome, Proposal, Record, RosterRow
from ..spec.events import Event, Position
from ..spec.params import Params
from ..spec.plant import Exposure
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
    max_price_wei: int  # at most this much is burned for the seat; the adapter sees to both allowances


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate(Call):
    """Bring what the deployment's Reputation says of a seated account into the run. Anyone may send it."""

    run: int
    account: bytes


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
    """Re-execute a recorded round on chain; final at once."""

    run: int
    params: Params
    record: Record
    roster: bytes  # roster transcript of the settlement before
    rows: tuple[RosterRow, ...]  # from there to the record's roster
    standings: tuple[Standing, ...]  # after the settlement before: trainers, then verifiers
    reports: tuple[bytes, ...]  # packed, one per revealed verifier, in index order


@dataclass(frozen=True, slots=True, kw_only=True)
class Propose(Call):
    """Vouch for a recorded round's outcome, with the run's proposal bond."""

    run: int
    round: int
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge(Call):
    """Say, with a bond, that a pending outcome is false: it cannot become final before the time to show it is over."""

    run: int
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hear(Call):
    """One slice of a re-execution that is too large for one transaction. One entry per revealed report."""

    run: int
    params: Params
    record: Record
    heads: tuple[bytes, ...]  # loss, words and chunk hashes: what hashes to the record's report hash
    chunk: int  # the slice: rows of trainers chunk * CHUNK_ROWS and on
    rows_of: tuple[bytes, ...]  # each report's packed rows of the slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was said in the round: whole reports; or heads, with what the slices heard before gave.

    ``rows`` and ``sums`` are per slice, in order: its consensus rows, packed; and per verifier index the sum of minima,
    times 2^128, plus the sum of maxima of the gains it names and the agreed ones, 0 outside the cluster.
    """

    reports: tuple[bytes, ...] = ()
    heads: tuple[bytes, ...] = ()
    rows: tuple[bytes, ...] = ()
    sums: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refute(Call):
    """Show by re-execution that a pending outcome is false; it and all later ones are void."""

    run: int
    params: Params
    pending: tuple[Proposal, ...]  # all of them, in round order
    place: int  # of the false one among them
    record: Record
    roster: bytes  # as in Settle: what the outcome before it, pending or final, left behind
    rows: tuple[RosterRow, ...]
    standings: tuple[Standing, ...]
    evidence: Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalise(Call):
    """Apply the first pending outcome once nobody can challenge it any more."""

    run: int
    pending: tuple[Proposal, ...]
    effects: Effects


@dataclass(frozen=True, slots=True, kw_only=True)
class Bond(Call):
    """Deposit for proposals and challenges; the adapter sees to the allowance."""

    run: int
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbond(Call):
    run: int
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool(Call):
    """Move forfeited bonds into the run's budget; burn them when it has ended."""

    run: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Call):
    """Show that an update in a recorded round was planted by the caller, and who called it OK."""

    run: int
    params: Params
    record: Record
    exposure: Exposure


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Call):
    """Pay ``account`` what it was promised and has not got yet. Anyone may send it."""

    run: int
    account: bytes
    paid_wei: int  # cumulative, as its standing says
    proof: Proof


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTo(Call):
    """A claim that goes to ``recipient``, by the account's signature; see :meth:`Chain.sign_redirect`."""

    run: int
    account: bytes
    paid_wei: int
    proof: Proof
    recipient: bytes
    deadline_s: int
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimMany(Call):
    """Claims of any runs in one transaction; those with nothing to claim are skipped."""

    claims: tuple[Claim, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimLeft(Call):
    """A claim of somebody whose seat was given to a newcomer: the amount is on chain, no proof is needed."""

    run: int
    account: bytes


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


class RecordSlot(NamedTuple):
    """What the chain keeps of a recorded round; 30 zero bytes and 0 when there is none."""

    hash: bytes
    previous: int


class DocketSlot(NamedTuple):
    """Where settlements stand. ``tip``: rolling hash of the pending proposals, :func:`spec.docket.tip`."""

    settled: int  # last round that is final
    proposed: int  # last round that is final or pending
    pending: int  # how many are
    transcript: bytes  # of settlements, where they are proposed
    tip: bytes


class LiveChallenge(NamedTuple):
    challenger: bytes
    round: int
    until_s: int


class BondAccount(NamedTuple):
    amount_wei: int  # locked included
    locked_wei: int


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
        """Of the last final settlement, ``Books.standings_hash``; that of empty books before the first."""
        ...

    def record(self, run: int, round_: int) -> RecordSlot:
        """Direct runs keep the latest round's only."""
        ...

    def docket(self, run: int) -> DocketSlot: ...

    def challenge_of(self, run: int) -> LiveChallenge | None:
        """The challenge that is open, also when its time is over; None without one."""
        ...

    def bond_of(self, run: int, account: bytes) -> BondAccount: ...

    def price_wei(self, run: int) -> int:
        """What a seat would cost beside the stake, were it taken now."""
        ...

    def left_wei(self, run: int, account: bytes) -> int:
        """Cumulative promise to an account whose seat a newcomer took; 0 for everybody else."""
        ...

    def is_heard(self, run: int, record: Record, chunk: int, rows: bytes, sums: Sequence[int]) -> bool:
        """Whether this slice of the recorded round was heard and gave these rows and sums."""
        ...

    def caught_up(self, run: int) -> bool:
        """No recorded round waits for its settlement any more."""
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

    def rating_q32(self, account: bytes) -> int:
        """What the deployment's Reputation says of ``account`` now; 0 without a rating that has not lapsed."""
        ...

    def wait(self, run: int, timeout_s: float) -> None:
        """Block until a phase of ``run`` opens or the time passes. Spurious returns happen, missed phases do not."""
        ...

    def sign(self, call: Call) -> bytes:
        """Bytes that broadcast ``call``, bound to the account's next nonce.

        Raises Reverted when the chain would refuse it now, Unfunded, ChainUnreachable.
        """
        ...

    def sign_redirect(self, run: int, recipient: bytes, paid_wei: int, deadline_s: int) -> bytes:
        """The account's signature that lets anybody claim its pay, up to cumulative ``paid_wei``, for ``recipient``."""
        ...

    def broadcast(self, signed: bytes) -> Receipt:
        """Send what :meth:`sign` made and wait until it is mined. Idempotent: known or mined bytes are waited for.

        Raises Reverted (also when another transaction took the nonce; name "NonceTaken"), Unfunded, ChainUnreachable.
        """
        ...

    def send(self, call: Call) -> Receipt:
        """``broadcast(sign(call))``, for calls that need no journal."""
        ...
