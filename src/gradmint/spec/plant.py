"""Planted updates: wrong on purpose, so that who calls them right without looking can be shown to have done so.

A planted update is an ordinary one whose header's own words are drawn from a secret instead of computed:

    seed = keccak256(beneficiary, 20 || secret, 32 || keccak256(bytes before the words) || keccak256(bytes behind them))
    word j = keccak256(seed || j, 1)

Whoever recomputes them finds half of all bits wrong: UNPROVEN. The seed names the update itself, so nobody can fit an
update to words that it was given, nor words to an update: both sides are fixed by the time the hash is known, and of
random words less than one in 2^200 lies within an eighth of the bits (the manifest's most tolerant setting) of any
others. Knowing the secret therefore proves that the words are wrong. It names its beneficiary, so that a transaction
that was seen on its way is of no use to anybody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import transcript as tr
from .events import Committed, Held, Submitted
from .fixed import bps_down
from .keccak import keccak256
from .params import Params
from .round import Round
from .seeds import assigned_trainers
from .types import CHUNK_ROWS, Phase, Report, Verdict

WORDS_AT = 124  # in an update blob: behind the fixed part of its header
SECRET_BYTES = 32


def plant(blob: bytes, beneficiary: bytes, secret: bytes, words: int) -> bytes:
    """The update under planted words instead of its own ``words``; ``beneficiary`` has 20 bytes, ``secret`` 32."""
    end = WORDS_AT + 32 * words
    if len(blob) < end or len(beneficiary) != 20 or len(secret) != SECRET_BYTES:
        raise ValueError(f"{len(blob)} bytes of blob, {len(beneficiary)} of beneficiary, {len(secret)} of secret")
    head, body = blob[:WORDS_AT], blob[end:]
    seed = keccak256(beneficiary + secret + keccak256(head) + keccak256(body))
    return head + b"".join(keccak256(seed + bytes([j])) for j in range(words)) + body


def is_planted(blob: bytes, beneficiary: bytes, secret: bytes, words: int) -> bool:
    return len(blob) >= WORDS_AT + 32 * words and plant(blob, beneficiary, secret, words) == blob


def assigned(round_: Round, count: int) -> list[int]:
    """Trainers whose headers the round's verifiers had to check, of whom the run's parameters name ``count``."""
    return assigned_trainers(round_.assessment_beacon, count, round_.trainers)


def waved_through(trainer: int, reports: Sequence[Report | None], stakes_wei: Sequence[int]) -> int:
    """Mask of the verifiers whose row calls the trainer's update OK; who has nothing at stake is left out."""
    return sum(
        1 << v
        for v, (report, stake_wei) in enumerate(zip(reports, stakes_wei, strict=True))
        if report is not None and stake_wei and report.rows[trainer].verdict is Verdict.OK
    )


def seized_wei(params: Params, recorded_wei: int, left_wei: int) -> int:
    """What an exposure takes of a stake that the round recorded as ``recorded_wei`` and of which so much is left."""
    return min(bps_down(recorded_wei, params.slash_bps), left_wei)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What shows that a trainer's update was planted, and who waved it through. Lists are per report of the record."""

    trainer: int
    secret: bytes
    blob: bytes
    before: bytes  # 24, the run's transcript before the round opened
    rows: bytes  # see :func:`rows_of`
    heads: tuple[bytes, ...]  # see :meth:`Report.cut`; empty: not accused
    rows_of: tuple[bytes, ...]  # the chunks in which the trainer's row lies; empty likewise

    def size(self) -> int:
        """Bytes it brings to the chain, without places and padding."""
        return len(self.blob) + len(self.rows) + sum(map(len, self.heads)) + sum(map(len, self.rows_of))


def exposure(params: Params, round_: Round, trainer: int, blob: bytes, secret: bytes) -> Exposure | None:
    """Of everybody who waved the trainer's update in a recorded round through; None where nobody did."""
    assert round_.record is not None
    accused = waved_through(trainer, round_.reports(params.words), round_.record.stakes_wei)
    if not accused:
        return None
    cut = {v: Report.cut(round_.reveals[v].report, params.words) for v in round_.reveals if accused >> v & 1}
    nothing: tuple[bytes, list[bytes]] = (b"", [b""] * (1 + trainer // CHUNK_ROWS))
    said = [cut.get(v, nothing) for v in sorted(round_.reveals)]
    return Exposure(
        trainer=trainer,
        secret=secret,
        blob=blob,
        before=round_.before,
        rows=rows_of(round_),
        heads=tuple(head for head, _ in said),
        rows_of=tuple(chunks[trainer // CHUNK_ROWS] for _, chunks in said),
    )


@dataclass(frozen=True, slots=True)
class Said:
    """What a round's rows come to: their transcript, the digest of a trainer's first submission, the beacon that the
    assessment began with; both empty where there was none."""

    transcript: bytes
    digest: bytes
    beacon: bytes


def rows_of(round_: Round) -> bytes:
    """Everything said in a recorded round, from the phase that opened it to the last reveal: kind uint8 | row, each.

    From ``round_.before`` they lead to the record's transcript.
    """
    assert round_.recorded is not None
    rows: dict[tuple[int, int], bytes] = {}
    for attempt in round_.attempts:
        for opened in attempt.opened.values():
            row = tr.phase_row(opened.round, opened.phase, opened.deadline_s, opened.beacon, opened.roster)
            rows[opened.position] = bytes([tr.Kind.PHASE]) + row
        said: tuple[Submitted | Held | Committed, ...] = (
            *attempt.submissions,
            *attempt.holds.values(),
            *attempt.commits.values(),
        )
        rows |= {event.position: _row(event) for event in said}
        for reveal in attempt.reveals.values():
            words = (len(reveal.report) - Report.size(0, round_.trainers)) // 32
            row = tr.revealed_row(reveal.verifier, reveal.salt, Report.hash(reveal.report, words))
            rows[reveal.position] = bytes([tr.Kind.REVEALED]) + row
    return b"".join(rows[position] for position in sorted(rows) if position < round_.recorded.position)


def replay(number: int, trainers: int, before: bytes, rows: bytes, trainer: int) -> Said:
    """Fold round ``number``'s rows, which begin with the phase that opened it. Raises ValueError(offset) at the first
    that is none of the kinds said in a round, is cut off, or does not begin the round."""
    transcript, digest, beacon, at = before, b"", b"", 0
    while at < len(rows):
        size = _size(rows[at], trainers)
        row = rows[at + 1 : at + size]
        if size == 0 or at + size > len(rows) or (at == 0 and not _opens(rows[0], row, number)):
            raise ValueError(at)
        if rows[at] == tr.Kind.SUBMITTED and not digest and int.from_bytes(row[:2], "big") == trainer:
            digest = row[6:]
        elif rows[at] == tr.Kind.PHASE and row[2] == Phase.COMMIT:
            beacon = row[8:40]
        transcript = keccak256(transcript + rows[at : at + size])[:24]
        at += size
    return Said(transcript, digest, beacon)


def _opens(kind: int, row: bytes, number: int) -> bool:
    return kind == tr.Kind.PHASE and row[:3] == number.to_bytes(2, "big") + bytes([Phase.TRAIN])


def _size(kind: int, trainers: int) -> int:
    """Bytes of a row with its kind; 0 for kinds that no round's transcript has."""
    sizes: dict[int, int] = {
        tr.Kind.PHASE: 65,
        tr.Kind.SUBMITTED: 39,
        tr.Kind.HELD: 34 + (trainers + 7) // 8,
        tr.Kind.COMMITTED: 34,
        tr.Kind.REVEALED: 66,
    }
    return sizes.get(kind, 0)


def _row(event: Submitted | Held | Committed) -> bytes:
    if isinstance(event, Submitted):
        row = tr.submitted_row(event.trainer, event.claimed_gain_micronats, event.digest)
        return bytes([tr.Kind.SUBMITTED]) + row
    if isinstance(event, Held):
        return bytes([tr.Kind.HELD]) + tr.held_row(event.verifier, event.base, event.bitmap)
    return bytes([tr.Kind.COMMITTED]) + tr.committed_row(event.verifier, event.commitment)
