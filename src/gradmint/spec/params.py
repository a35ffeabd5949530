"""Run parameters: one home each, with unit and reason. Immutable once a run is open.

A run stores only keccak256 of the ABI encoding; whoever settles brings the parameters along.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from .errors import MalformedParams
from .types import BPS, LOSS_MAX_MICRONATS, Verdict

MAX_VERIFIERS = 32  # one bit each in the chain's 32-bit committee masks
MAX_WORDS = 16  # signature words; all pairs of 32 verifiers x 16 words still fit a block
MAX_TRAINERS = 1_024  # one settlement: 8M gas, and 128 KiB of calldata, which is what nodes' pools take
MAX_S = 2**32 - 1  # uint32 in the contract
MAX_STAKE_WEI = 2**128 - 1  # uint128 in the contract


@dataclass(frozen=True, slots=True, kw_only=True)
class Params:
    """Field order is the Solidity struct's. Every field is a static ABI word, so the encoding is 32 bytes a value."""

    manifest: bytes  # sha2-256 of the task manifest blob: model, data, training, codec, assessment, outer step
    model: bytes  # digest of the initial model state
    target_loss_micronats: int  # the run ends when consensus validation loss is at most this; 0 never
    max_rounds: int
    min_trainers: int  # round 1 opens when both minima have joined
    max_trainers: int
    min_verifiers: int
    max_verifiers: int
    train_s: int  # submissions close after this, or when every awaited trainer is in
    hold_s: int  # time for blobs to travel
    commit_s: int  # time to assess
    reveal_s: int
    settle_s: int  # a round nobody settles in this time is void
    exit_s: int  # stake stays slashable this long after an exit; at least a whole round
    trainer_stake_wei: int
    verifier_stake_wei: int
    verifier_share_bps: int  # of each round's budget
    words: int  # signature words a report carries
    accept_bits: int  # over all words: at most this far from the medoid is in the cluster
    slash_bits: int  # further than this, and the cluster unanimous: slashed
    slash_bps: int  # of the verifier's stake, for a report beyond slash_bits
    liveness_bps: int  # of the verifier's stake, for a round without its reveal
    value_weight_bps: int  # running mean's least weight for the newest share of gain
    proof_weight_bps: int  # mean's weight for the newest sign
    recovery_bps: int  # part of the missing trust regained by an OK round
    trust_floor_bps: int  # trust never falls below this: every penalty has a way back
    penalty_bps: tuple[int, ...]  # trust is multiplied by this, one entry per Verdict; OK is 10,000

    def encode(self) -> bytes:
        """abi.encode of the Solidity struct: every value left-padded to 32 bytes, ``penalty_bps`` inline."""
        out = bytearray()
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, bytes):
                out += value
            else:
                for number in value if isinstance(value, tuple) else (value,):
                    out += number.to_bytes(32, "big")
        return bytes(out)

    @classmethod
    def decode(cls, encoded: bytes) -> Params:
        """Inverse of :meth:`encode`. Raises MalformedParams."""
        names = [item.name for item in fields(cls)]
        expected = 32 * (len(names) - 1 + len(Verdict))
        if len(encoded) != expected:
            raise MalformedParams(f"parameters have {len(encoded)} bytes, expected {expected}")
        numbers = [int.from_bytes(encoded[at : at + 32], "big") for at in range(64, expected, 32)]
        split = len(names) - 3
        values: dict[str, object] = dict(zip(names[2:-1], numbers[:split], strict=True))
        return cls(
            manifest=encoded[:32],
            model=encoded[32:64],
            penalty_bps=tuple(numbers[split:]),
            **values,  # type: ignore[arg-type]  # names come from the dataclass itself
        )

    def check(self) -> Params:
        """Raises MalformedParams naming the first rule broken.

        The contract enforces the same rules when a run opens; what its types' widths do there is spelled out here.
        """
        round_s = self.train_s + self.hold_s + self.commit_s + self.reveal_s + self.settle_s
        rules = (
            (len(self.manifest) == 32 and len(self.model) == 32, "manifest and model digests have 32 bytes"),
            (
                0 <= self.target_loss_micronats <= LOSS_MAX_MICRONATS,
                f"target_loss_micronats {self.target_loss_micronats} lies in 0..{LOSS_MAX_MICRONATS}",
            ),
            (1 <= self.max_rounds <= 65_535, f"max_rounds {self.max_rounds} lies in 1..65535"),
            (
                1 <= self.min_trainers <= self.max_trainers <= MAX_TRAINERS,
                f"1 <= min_trainers {self.min_trainers} <= max_trainers {self.max_trainers} <= {MAX_TRAINERS}",
            ),
            (
                1 <= self.min_verifiers <= self.max_verifiers <= MAX_VERIFIERS,
                f"1 <= min_verifiers {self.min_verifiers} <= max_verifiers {self.max_verifiers} <= {MAX_VERIFIERS}",
            ),
            (
                min(self.train_s, self.hold_s, self.commit_s, self.reveal_s, self.settle_s) >= 1,
                "every phase lasts at least 1 s",
            ),
            (
                round_s <= self.exit_s <= MAX_S,
                f"exit_s {self.exit_s} covers a whole round of {round_s} s and is at most {MAX_S}",
            ),
            (
                0 <= self.trainer_stake_wei <= MAX_STAKE_WEI,
                f"trainer_stake_wei {self.trainer_stake_wei} lies in 0..{MAX_STAKE_WEI}",
            ),
            (
                1 <= self.verifier_stake_wei <= MAX_STAKE_WEI,
                f"verifiers stake something: verifier_stake_wei {self.verifier_stake_wei} in 1..{MAX_STAKE_WEI}",
            ),
            (1 <= self.words <= MAX_WORDS, f"words {self.words} lies in 1..{MAX_WORDS}"),
            (
                0 <= self.accept_bits <= self.slash_bits < 256 * self.words,
                f"0 <= accept_bits {self.accept_bits} <= slash_bits {self.slash_bits} < {256 * self.words}",
            ),
            (
                all(
                    0 <= bps <= BPS
                    for bps in (
                        self.verifier_share_bps,
                        self.slash_bps,
                        self.liveness_bps,
                        self.recovery_bps,
                        self.trust_floor_bps,
                        *self.penalty_bps,
                    )
                ),
                f"basis points lie in 0..{BPS}",
            ),
            (self.recovery_bps >= 1, "trust recovers, by recovery_bps of at least 1"),
            (
                1 <= self.value_weight_bps <= BPS and 1 <= self.proof_weight_bps <= BPS,
                f"running means weigh the newest round with 1..{BPS} bps",
            ),
            (
                len(self.penalty_bps) == len(Verdict) and self.penalty_bps[Verdict.OK] == BPS,
                f"one penalty per verdict ({len(Verdict)}), none for OK",
            ),
        )
        for holds, rule in rules:
            if not holds:
                raise MalformedParams(f"run parameters: it must hold that {rule}")
        return self


ETHER_WEI = 10**18

#: Real chains: blocks of seconds, blobs that cross continents.
STANDARD = Params(
    manifest=bytes(32),
    model=bytes(32),
    target_loss_micronats=0,
    max_rounds=1_000,
    min_trainers=4,
    max_trainers=256,
    min_verifiers=4,
    max_verifiers=16,
    train_s=1_800,  # 30 min of local steps
    hold_s=600,
    commit_s=600,
    reveal_s=300,
    settle_s=900,
    exit_s=86_400,  # a day: twenty rounds
    trainer_stake_wei=10 * ETHER_WEI,
    verifier_stake_wei=100 * ETHER_WEI,
    verifier_share_bps=2_000,
    words=4,
    accept_bits=48,  # of 1,024: 12 times the honest bf16-against-fp32 distance (4 of 512 measured)
    slash_bits=160,  # of 1,024: below what a stale model or another batch shows in either half of the words
    slash_bps=2_000,
    liveness_bps=100,
    # (1 - value weight) * (1 - 2 * proof weight) >= 2/3: one unlucky round costs at most a third of one's pay.
    value_weight_bps=1_500,
    proof_weight_bps=900,  # 1 - 0.91^10 / 2 = 0.8: a newcomer who always proves itself has four fifths after 10 rounds
    recovery_bps=1_000,
    trust_floor_bps=100,
    #            OK      MISSING OVERSIZE MALFORMED WRONG_BASE NOT_FINITE OVER_NORM DUPLICATE
    penalty_bps=(10_000, 9_000, 5_000, 5_000, 7_500, 5_000, 5_000, 2_500),
)

#: One machine, Anvil, seconds instead of minutes; the mechanism is the same.
LOCAL = replace(
    STANDARD,
    max_rounds=60,
    min_trainers=1,
    max_trainers=64,
    min_verifiers=1,
    max_verifiers=8,
    train_s=60,
    hold_s=30,
    commit_s=60,
    reveal_s=30,
    settle_s=60,
    exit_s=240,
)
