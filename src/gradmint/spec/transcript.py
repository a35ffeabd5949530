"""Everything said in a run, folded into one rolling hash on the chain.

Change, drop or reorder a row, and it breaks there:

    transcript' = first 24 bytes of keccak256(transcript || kind, 1 byte || row)

Each event carries the transcript after its own row, so a broken chain names the row. Joins, exits and ratings run in a
transcript of their own (the roster), which every phase row folds in: an early close can then bring the round's
submissions alone.
"""

from __future__ import annotations

from enum import IntEnum

from .keccak import keccak256
from .types import Phase, Role

EMPTY = bytes(24)


class Kind(IntEnum):
    PHASE = 1
    SUBMITTED = 2
    HELD = 3
    COMMITTED = 4
    REVEALED = 5
    SETTLED = 6
    ADMITTED = 7
    RETIRED = 8
    RATED = 9


def fold(transcript: bytes, kind: Kind, row: bytes) -> bytes:
    return keccak256(transcript + bytes([kind]) + row)[:24]


def phase_row(round_: int, phase: Phase, deadline_s: int, beacon: bytes, roster: bytes) -> bytes:
    """round uint16 | phase uint8 | deadline uint40 | beacon 32 | roster transcript 24."""
    return round_.to_bytes(2, "big") + bytes([phase]) + deadline_s.to_bytes(5, "big") + beacon + roster


def submitted_row(trainer: int, claimed_gain_micronats: int, digest: bytes) -> bytes:
    """trainer uint16 | claimed gain int32 | digest 32."""
    return trainer.to_bytes(2, "big") + claimed_gain_micronats.to_bytes(4, "big", signed=True) + digest


def held_row(verifier: int, base: bytes, bitmap: bytes) -> bytes:
    """verifier uint8 | base digest 32 | bitmap."""
    return bytes([verifier]) + base + bitmap


def committed_row(verifier: int, commitment: bytes) -> bytes:
    """verifier uint8 | commitment 32."""
    return bytes([verifier]) + commitment


def revealed_row(verifier: int, salt: bytes, report_hash: bytes) -> bytes:
    """verifier uint8 | salt 32 | report hash 32, see :meth:`spec.types.Report.hash`."""
    return bytes([verifier]) + salt + report_hash


def settled_row(round_: int, outcome: bytes) -> bytes:
    """round uint16 | packed outcome, see :meth:`spec.docket.Outcome.pack`."""
    return round_.to_bytes(2, "big") + outcome


def admitted_row(role: Role, index: int, account: bytes, stake_wei: int) -> bytes:
    """role uint8 | index uint16 | account 20 | stake uint128."""
    return bytes([role]) + index.to_bytes(2, "big") + account + stake_wei.to_bytes(16, "big")


def retired_row(role: Role, index: int) -> bytes:
    """role uint8 | index uint16: left or was ejected."""
    return bytes([role]) + index.to_bytes(2, "big")


def rated_row(role: Role, index: int, rating_q32: int) -> bytes:
    """role uint8 | index uint16 | rating uint32."""
    return bytes([role]) + index.to_bytes(2, "big") + rating_q32.to_bytes(4, "big")


def beacon(prevrandao: int, transcript: bytes) -> bytes:
    """keccak256(prevrandao || transcript before the phase row): a proposer cannot know it before the phase closes."""
    return keccak256(prevrandao.to_bytes(32, "big") + transcript)


def commitment(
    chain_id: int, contract: bytes, run: int, round_: int, account: bytes, report_hash: bytes, salt: bytes
) -> bytes:
    """abi.encode of chain id, Rounds address, run, round, verifier, report hash, salt; then keccak256.

    Bound to all of them: a commitment copied to another chain, run, round or sender opens to nothing.
    """
    return keccak256(
        chain_id.to_bytes(32, "big")
        + contract.rjust(32, b"\0")
        + run.to_bytes(32, "big")
        + round_.to_bytes(32, "big")
        + account.rjust(32, b"\0")
        + report_hash
        + salt
    )
