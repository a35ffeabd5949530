"""Calls of the contract Reputation, as data; :mod:`chain` has those of runs."""

from __future__ import annotations

from dataclasses import dataclass

from ..spec.types import Standing
from ..spec.witness import Witness
from .chain import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit(Call):
    """Into the sender's purse; the adapter sees to the allowance."""

    token: bytes
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawPurse(Call):
    amount_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouch(Call):
    """Lock a part of the purse for the conduct of ``account``."""

    account: bytes
    stake_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unvouch(Call):
    account: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Reclaim(Call):
    """The stake of an ended vouch, back into the purse."""

    account: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SlashVouch(Call):
    """``account`` is banned, as place ``index`` of the run's final standings says: ``voucher`` loses the stake."""

    voucher: bytes
    account: bytes
    run: int
    roster: bytes
    standings: tuple[Standing, ...]
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvest(Call):
    """Let a run's verifiers endorse its trainers, by its final standings."""

    run: int
    roster: bytes
    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposeRating(Call):
    """The sender's own, at the end of the epoch before the one in which it is mined."""

    hits: int  # units of 2^-56
    paths: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeRating(Call):
    account: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveRating(Call):
    account: bytes
    witness: Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class RefuteRating(Call):
    account: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FinaliseRating(Call):
    account: bytes
