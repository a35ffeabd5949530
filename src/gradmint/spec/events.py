"""What the chain says, typed. One dataclass per contract event; the run's history is their sequence and nothing else.

``position`` orders events of one chain: (block number, log index). ``transcript`` is the rolling hash after the row.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .docket import Outcome
from .params import Params
from .types import Phase, Role

Position = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    run: int
    position: Position = (0, 0)
    tx_hash: bytes = field(default=b"", repr=False)


# Runs: the money


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened(Event):
    sponsor: bytes
    token: bytes
    params: Params
    budget_wei: int  # what arrived, not what was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Funded(Event):
    funder: bytes
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed(Event):
    account: bytes
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirected(Event):
    """The claim before this row went to ``recipient``, by the account's signature."""

    account: bytes
    recipient: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Left(Event):
    """A newcomer took this account's seat; what it was promised stays claimable without a proof."""

    account: bytes
    cumulative_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refunded(Event):
    sponsor: bytes
    amount_wei: int


# Stakes


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined(Event):
    account: bytes
    role: Role
    index: int
    stake_wei: int
    price_wei: int  # burned


@dataclass(frozen=True, slots=True, kw_only=True)
class Exiting(Event):
    account: bytes
    withdrawable_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(Event):
    account: bytes
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slashed(Event):
    account: bytes
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Burned(Event):
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bonded(Event):
    """Deposited for proposals and challenges."""

    account: bytes
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbonded(Event):
    account: bytes
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Forfeited(Event):
    """A bond was lost: its parts to the beneficiary's bond account, to be burned, to the run's budget."""

    account: bytes
    beneficiary: bytes
    reward_wei: int
    burn_wei: int
    pool_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed(Event):
    """A trainer's update was planted (:mod:`spec.plant`); ``guilty``: mask of the verifiers who called it OK."""

    round: int
    trainer: int
    exposer: bytes
    secret: bytes
    guilty: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seized(Event):
    """A guilty verifier's stake lost these parts: to the exposer's bond account, to be burned, to the run's budget."""

    account: bytes
    beneficiary: bytes
    reward_wei: int
    burn_wei: int
    pool_wei: int

    @property
    def lost_wei(self) -> int:
        return self.reward_wei + self.burn_wei + self.pool_wei


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled(Event):
    """Money lost to the run's budget moved there, where it is Funded; burned instead when the run has ended."""

    amount_wei: int


# Rounds: what was said and when


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted(Event):
    role: Role
    index: int  # among its role, in order of joining
    account: bytes
    stake_wei: int
    transcript: bytes  # of the roster


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired(Event):
    role: Role
    index: int
    transcript: bytes  # of the roster


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated(Event):
    """The seat goes by this rating of its holder from the next round that opens on."""

    role: Role
    index: int
    rating_q32: int
    transcript: bytes  # of the roster


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseOpened(Event):
    round: int
    phase: Phase
    deadline_s: int  # the chain's clock; 0 in ENDED
    beacon: bytes  # training beacon in TRAIN, assessment beacon in COMMIT
    roster: bytes
    transcript: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted(Event):
    trainer: int
    claimed_gain_micronats: int
    digest: bytes  # sha2-256 of the blob, still private
    transcript: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Held(Event):
    verifier: int
    base: bytes
    bitmap: bytes  # trainer i is bit i % 8 of byte i // 8
    transcript: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed(Event):
    verifier: int
    commitment: bytes
    transcript: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Revealed(Event):
    verifier: int
    salt: bytes
    report: bytes  # packed
    transcript: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Voided(Event):
    round: int
    phase: Phase  # in which nobody acted in time


@dataclass(frozen=True, slots=True, kw_only=True)
class Expanded(Event):
    """The drawn committee had no quorum: everyone eligible assesses anew."""

    round: int
    active: int  # mask of the verifiers called in


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded(Event):
    """The round is over and can be settled."""

    round: int
    record_hash: bytes  # 30, see spec.docket.Record


# Settlement


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed(Event):
    round: int
    proposer: bytes
    final_s: int
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenged(Event):
    round: int
    challenger: bytes
    until_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuted(Event):
    """The proposal for ``round`` was false; it and all later ones are void."""

    round: int
    proposer: bytes
    challenger: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled(Event):
    """Final. ``transcript``: the run's where rounds are settled directly, settlements' own where they are proposed."""

    round: int
    outcome: Outcome
    transcript: bytes
