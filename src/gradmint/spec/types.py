"""What crosses the line between floats and integers, and what the chain remembers.

Units are in names: ``_wei`` smallest unit of the run's token, ``_micronats`` 1e-6 nat, ``_bps`` 1/10,000,
``_bits`` Hamming distance, ``_s`` seconds, ``_q32`` fixed point with 32 fractional bits (1.0 is ``ONE_Q32``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from .errors import MalformedReport, MalformedStanding
from .keccak import keccak256

ONE_Q32 = 1 << 32
BPS = 10_000

GAIN_MAX_MICRONATS = 2**31 - 1  # gains saturate here, symmetric, so that negation is safe
UNSAMPLED = -(2**31)  # assigned gain of a trainer whom the beacon did not sample this round
LOSS_MAX_MICRONATS = 2**32 - 1
CHUNK_ROWS = 256  # rows of a report that one slice of a re-execution brings


class Verdict(IntEnum):
    """Outcome of the checks, cheapest first; the first failure is the verdict. The order is severity for the median."""

    OK = 0
    MISSING = 1
    OVERSIZE = 2
    MALFORMED = 3
    WRONG_BASE = 4
    NOT_FINITE = 5
    OVER_NORM = 6
    DUPLICATE = 7
    UNPROVEN = 8  # says what re-execution does not find; the one verdict that needs floats, see learn.proof


class Phase(IntEnum):
    """What the chain waits for. A round passes TRAIN..SETTLE; ENROL comes before round 1, ENDED after the last."""

    ENROL = 0
    TRAIN = 1  # trainers submit
    HOLD = 2  # trainers publish, verifiers say what they hold
    COMMIT = 3  # verifiers assess, then commit
    REVEAL = 4
    SETTLE = 5
    ENDED = 6


class Role(IntEnum):
    TRAINER = 1
    VERIFIER = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One verifier's opinion of one trainer's update."""

    verdict: Verdict
    common_gain_micronats: int
    assigned_gain_micronats: int  # UNSAMPLED when the beacon did not choose this trainer

    SIZE = 9  # packed: verdict uint8, common int32, assigned int32, big-endian

    @property
    def gain_micronats(self) -> int:
        """What counts of a row: positive common gain of a valid update."""
        return max(0, self.common_gain_micronats) if self.verdict is Verdict.OK else 0

    def pack(self) -> bytes:
        return (
            bytes([self.verdict])
            + self.common_gain_micronats.to_bytes(4, "big", signed=True)
            + self.assigned_gain_micronats.to_bytes(4, "big", signed=True)
        )

    @classmethod
    def unpack(cls, packed: bytes) -> Row:
        """Raises MalformedReport."""
        if len(packed) != cls.SIZE:
            raise MalformedReport(f"row has {len(packed)} bytes, expected {cls.SIZE}")
        if packed[0] > max(Verdict):
            raise MalformedReport(f"row names verdict {packed[0]}, the highest is {int(max(Verdict))}")
        common = int.from_bytes(packed[1:5], "big", signed=True)
        if common == UNSAMPLED:
            raise MalformedReport(f"common gain {common} is below the least gain {-GAIN_MAX_MICRONATS}")
        return cls(Verdict(packed[0]), common, int.from_bytes(packed[5:9], "big", signed=True))


ABSENT_ROW = Row(Verdict.MISSING, 0, UNSAMPLED)


@dataclass(frozen=True, slots=True)
class Report:
    """What one verifier observed in one round.

    ``loss_micronats`` is the start-of-round model's mean validation loss, ``words`` the K signature words of 256 bits,
    ``rows`` one per trainer in index order. Packed: loss uint32, words K x 32 bytes, rows N x 9 bytes.
    """

    loss_micronats: int
    words: tuple[int, ...]
    rows: tuple[Row, ...]

    def pack(self) -> bytes:
        return (
            self.loss_micronats.to_bytes(4, "big")
            + b"".join(word.to_bytes(32, "big") for word in self.words)
            + b"".join(row.pack() for row in self.rows)
        )

    @classmethod
    def unpack(cls, packed: bytes, words: int, trainers: int) -> Report:
        """Raises MalformedReport when the length is not that of ``words`` words and ``trainers`` rows."""
        expected = cls.size(words, trainers)
        if len(packed) != expected:
            raise MalformedReport(
                f"report has {len(packed)} bytes, {expected} expected for {words} words and {trainers} trainers"
            )
        rows_at = 4 + 32 * words
        return cls(
            loss_micronats=int.from_bytes(packed[:4], "big"),
            words=tuple(int.from_bytes(packed[at : at + 32], "big") for at in range(4, rows_at, 32)),
            rows=tuple(Row.unpack(packed[at : at + Row.SIZE]) for at in range(rows_at, expected, Row.SIZE)),
        )

    @staticmethod
    def size(words: int, trainers: int) -> int:
        """Bytes of a packed report."""
        return 4 + 32 * words + Row.SIZE * trainers

    @staticmethod
    def cut(packed: bytes, words: int) -> tuple[bytes, list[bytes]]:
        """Head and chunks of a packed report. The head is loss, words, and keccak256 of each chunk; a chunk is
        :data:`CHUNK_ROWS` rows, the last one fewer. So who is interested in some rows need not bring the others."""
        at, step = Report.size(words, 0), CHUNK_ROWS * Row.SIZE
        chunks = [packed[i : i + step] for i in range(at, len(packed), step)]
        return packed[:at] + b"".join(keccak256(chunk) for chunk in chunks), chunks

    @staticmethod
    def hash(packed: bytes, words: int) -> bytes:
        """What stands for a packed report: keccak256 of its head, see :meth:`cut`."""
        return keccak256(Report.cut(packed, words)[0])


@dataclass(frozen=True, slots=True)
class Standing:
    """The whole on-chain memory of one participant, three 256-bit words.

    A verifier's ``value_q32`` is its bond: the running mean of its agreement. Reputation has its place and stays at 1.
    """

    account: bytes  # 20 bytes
    role: Role
    misses: int = 0  # rounds missed in a row, saturating at 255
    rounds: int = 0  # settled rounds since joining, saturating at 65,535
    ban_round: int = 0  # last round of the latest ban; 0 never banned
    paid_wei: int = 0  # cumulative payout, the leaf's share of the tree's sum
    value_q32: int = 0  # running mean of gain over the round's mean gain; of the agreement, for a verifier
    proof_q32: int = ONE_Q32 // 2  # mean of sign(assigned - common), signed; starts neither proven nor refuted
    mu_q32: int = 25 << 32
    sigma_q32: int = (25 << 32) // 3
    trust_q32: int = ONE_Q32
    reputation_q32: int = ONE_Q32

    SIZE = 96

    def pack(self) -> bytes:
        """account 160 | role 8 | misses 8 | rounds 16 | ban_round 32 | spare 32; paid 128 | value 64 | proof 64;
        mu 64 | sigma 64 | trust 64 | reputation 64. Big-endian."""
        return (
            self.account
            + bytes([self.role, self.misses])
            + self.rounds.to_bytes(2, "big")
            + self.ban_round.to_bytes(4, "big")
            + bytes(4)
            + self.paid_wei.to_bytes(16, "big")
            + self.value_q32.to_bytes(8, "big")
            + self.proof_q32.to_bytes(8, "big", signed=True)
            + self.mu_q32.to_bytes(8, "big", signed=True)
            + self.sigma_q32.to_bytes(8, "big")
            + self.trust_q32.to_bytes(8, "big")
            + self.reputation_q32.to_bytes(8, "big")
        )

    @classmethod
    def unpack(cls, packed: bytes) -> Standing:
        """Raises MalformedStanding."""
        if len(packed) != cls.SIZE:
            raise MalformedStanding(f"standing has {len(packed)} bytes, expected {cls.SIZE}")
        if packed[20] not in (Role.TRAINER, Role.VERIFIER) or packed[28:32] != bytes(4):
            raise MalformedStanding(f"standing of role {packed[20]} with spare bytes {packed[28:32].hex()}")
        return cls(
            account=packed[:20],
            role=Role(packed[20]),
            misses=packed[21],
            rounds=int.from_bytes(packed[22:24], "big"),
            ban_round=int.from_bytes(packed[24:28], "big"),
            paid_wei=int.from_bytes(packed[32:48], "big"),
            value_q32=int.from_bytes(packed[48:56], "big"),
            proof_q32=int.from_bytes(packed[56:64], "big", signed=True),
            mu_q32=int.from_bytes(packed[64:72], "big", signed=True),
            sigma_q32=int.from_bytes(packed[72:80], "big"),
            trust_q32=int.from_bytes(packed[80:88], "big"),
            reputation_q32=int.from_bytes(packed[88:96], "big"),
        )


@dataclass(frozen=True, slots=True)
class Consensus:
    """What the cluster agrees on: by LSH distance about the floats, by stake-weighted lower median about the integers.

    ``medoid`` and ``cluster`` are verifier indices; ``distances_bits[v]`` is verifier v's distance to the medoid, None
    when v did not reveal. ``unanimous``: the cluster holds at least 3/4 of committee stake. ``agreements_q32[v]``: how
    much of the gains v names is the consensus's, 0 outside the cluster.
    """

    medoid: int
    cluster: tuple[int, ...]
    distances_bits: tuple[int | None, ...]
    unanimous: bool
    loss_micronats: int
    rows: tuple[Row, ...]
    agreements_q32: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """The transition's result. ``consensus`` is None without quorum: nobody is paid, only silence is slashed.

    ``weakest`` is the trainer whose seat a newcomer is given when all are taken: the least pay weight among those
    who are past their immunity, None when nobody is.
    """

    consensus: Consensus | None
    trainers: tuple[Standing, ...]
    verifiers: tuple[Standing, ...]
    paid_wei: int  # sum of this round's payouts
    slashed_wei: tuple[int, ...] = field(default=())  # per verifier index
    weakest: int | None = None
