"""Run parameters: one home each, with unit and reason. Immutable once a run is open.

A run stores only keccak256 of the ABI encoding; whoever settles brings the parameters along.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from .errors import MalformedParams
from .types import BPS, LOSS_MAX_MICRONATS, Verdict

MAX_VERIFIERS = 32  # one bit each in the chain's 32-bit committee masks
MAX_WORDS = 16  # signature words; all pairs of 32 verifiers x 16 words still fit a block
MAX_TRAINERS = 1_024  # standings and agreed rows of one round fit 128 KiB of calldata, which is what nodes' pools take
MAX_EXPONENT_HALVES = 6  # a cubed weight times an amount still fits 256 bits
MAX_PAY_BPS = 4 * BPS  # of the pay multiplier
MAX_DISCOUNT_BPS = 2_500  # who lost nothing stays well above the half below which verifiers are ejected
MAX_CHALLENGER_BPS = 5_000  # of a refuted bond: who challenges itself loses at least the other half
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
    committee: int  # verifiers drawn for each round, by stake; everyone where no more than these are eligible
    train_s: int  # submissions close after this, or when every awaited trainer is in
    hold_s: int  # time for blobs to travel
    commit_s: int  # time to assess
    reveal_s: int
    settle_s: int  # a round nobody settles in this time is void
    exit_s: int  # stake stays slashable this long after an exit; at least a whole round
    trainer_stake_wei: int
    verifier_stake_wei: int
    join_price_wei: int  # least price of a seat, burned; founders, who join before round 1, pay this
    join_bump_bps: int  # how much a join raises the price of the next
    join_half_life_s: int  # how fast it falls again
    immunity_rounds: int  # settled rounds in which a newcomer's seat is not given away
    verifier_share_bps: int  # of each round's budget
    words: int  # signature words a report carries
    assigned_trainers: int  # drawn each round: their headers and their gain on their own shard are checked
    accept_bits: int  # over all words: at most this far from the medoid is in the cluster
    slash_bits: int  # further than this, and the cluster unanimous: slashed
    slash_bps: int  # of the verifier's stake, for a report beyond slash_bits
    liveness_bps: int  # of the verifier's stake, for a round without its reveal
    value_weight_bps: int  # running mean's least weight for the newest gain
    proof_weight_bps: int  # mean's weight for the newest sign
    recovery_bps: int  # part of the missing trust regained by an OK round
    trust_floor_bps: int  # trust never falls below this: every penalty has a way back
    ban_trust_bps: int  # a failed check that leaves trust below this bans; 0 never
    ban_rounds: int  # for so many rounds
    bonds_weight_bps: int  # a verifier's bond: its agreement's mean's least weight for the newest; 10,000 no memory
    pay_least_bps: int  # pay multiplier of who has no rating; 10,000 is 1, both of them 10,000: ratings change no pay
    pay_most_bps: int  # what it approaches with the rating
    sortition_bps: int  # in the committee's draw a verifier's stake counts up to this much more by its rating; 0 off
    discount_bps: int  # a seat's required stake falls by up to this by the joiner's rating; 0 off
    value_exponent_halves: int  # value is raised to half of this before it is paid: 2 linear, 3 superlinear
    top: int  # trainers paid in a round, the best by rating
    reserve: int  # the next best, who step in for missing ones of the top
    challenge_s: int  # how long a proposed settlement can be refuted; 0: every round is re-executed on chain instead
    extension_s: int  # time that a late challenge adds
    proposal_bond_wei: int  # what proposer and challenger each put up
    challenger_bps: int  # of a lost bond, or of a stake lost by an exposure, to whoever proved it
    burn_bps: int  # of both, burned; the rest goes to the run's budget
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
            (1 <= self.committee <= MAX_VERIFIERS, f"committee {self.committee} lies in 1..{MAX_VERIFIERS}"),
            (
                min(self.train_s, self.hold_s, self.commit_s, self.reveal_s, self.settle_s) >= 1,
                "every phase lasts at least 1 s",
            ),
            (
                round_s + self.challenge_s + self.extension_s <= self.exit_s <= MAX_S,
                f"exit_s {self.exit_s} covers a whole round of {round_s} s, challenge_s {self.challenge_s} and "
                f"extension_s {self.extension_s}, and is at most {MAX_S}",
            ),
            (
                0 <= self.trainer_stake_wei <= MAX_STAKE_WEI,
                f"trainer_stake_wei {self.trainer_stake_wei} lies in 0..{MAX_STAKE_WEI}",
            ),
            (
                1 <= self.verifier_stake_wei <= MAX_STAKE_WEI,
                f"verifiers stake something: verifier_stake_wei {self.verifier_stake_wei} in 1..{MAX_STAKE_WEI}",
            ),
            (
                0 <= self.join_price_wei <= MAX_STAKE_WEI,
                f"join_price_wei {self.join_price_wei} lies in 0..{MAX_STAKE_WEI}",
            ),
            (1 <= self.join_half_life_s <= MAX_S, f"join_half_life_s {self.join_half_life_s} lies in 1..{MAX_S}"),
            (0 <= self.immunity_rounds <= 65_535, f"immunity_rounds {self.immunity_rounds} lies in 0..65535"),
            (1 <= self.words <= MAX_WORDS, f"words {self.words} lies in 1..{MAX_WORDS}"),
            (0 <= self.assigned_trainers <= 65_535, f"assigned_trainers {self.assigned_trainers} lies in 0..65535"),
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
                        self.ban_trust_bps,
                        self.join_bump_bps,
                        self.sortition_bps,
                        *self.penalty_bps,
                    )
                ),
                f"basis points lie in 0..{BPS}",
            ),
            (self.recovery_bps >= 1, "trust recovers, by recovery_bps of at least 1"),
            (
                all(1 <= bps <= BPS for bps in (self.value_weight_bps, self.proof_weight_bps, self.bonds_weight_bps)),
                f"running means weigh the newest round with 1..{BPS} bps",
            ),
            (
                (self.ban_trust_bps == 0 or self.ban_rounds >= 1) and 0 <= self.ban_rounds <= 65_535,
                f"a ban lasts ban_rounds {self.ban_rounds} of 1..65535",
            ),
            (
                1 <= self.pay_least_bps <= self.pay_most_bps <= MAX_PAY_BPS,
                f"1 <= pay_least_bps {self.pay_least_bps} <= pay_most_bps {self.pay_most_bps} <= {MAX_PAY_BPS}",
            ),
            (
                0 <= self.discount_bps <= MAX_DISCOUNT_BPS,
                f"discount_bps {self.discount_bps} lies in 0..{MAX_DISCOUNT_BPS}",
            ),
            (
                2 <= self.value_exponent_halves <= MAX_EXPONENT_HALVES,
                f"value_exponent_halves {self.value_exponent_halves} lies in 2..{MAX_EXPONENT_HALVES}",
            ),
            (
                1 <= self.top <= 65_535 and 0 <= self.reserve <= 65_535,
                f"top {self.top} is at least 1, reserve {self.reserve} at least 0",
            ),
            (
                self.challenge_s == 0 or 0 < self.extension_s <= self.challenge_s <= MAX_S,
                f"0 < extension_s {self.extension_s} <= challenge_s {self.challenge_s}, where rounds are proposed",
            ),
            (
                self.challenge_s != 0 or self.extension_s == self.proposal_bond_wei == 0,
                "extension_s and proposal_bond_wei are 0 where every round is re-executed",
            ),
            (
                self.challenge_s == 0 or 1 <= self.proposal_bond_wei <= MAX_STAKE_WEI,
                f"proposers put up something: proposal_bond_wei {self.proposal_bond_wei} in 1..{MAX_STAKE_WEI}",
            ),
            (
                0 <= self.challenger_bps <= MAX_CHALLENGER_BPS and 0 <= self.burn_bps <= BPS - self.challenger_bps,
                f"challenger_bps {self.challenger_bps} is at most {MAX_CHALLENGER_BPS}, and burn_bps {self.burn_bps} "
                f"at most what it leaves of {BPS}",
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
    max_verifiers=32,
    committee=16,  # half of all: whoever has less than a third of equal stakes is never two thirds of a committee
    train_s=1_800,  # 30 min of local steps
    hold_s=600,
    commit_s=600,
    reveal_s=300,
    settle_s=900,
    exit_s=86_400,  # a day: twenty rounds
    trainer_stake_wei=10 * ETHER_WEI,
    verifier_stake_wei=100 * ETHER_WEI,
    join_price_wei=ETHER_WEI // 10,
    join_bump_bps=2_500,  # a hundred identities at once cost 2e10 times the floor, a hundred in a month the floor each
    join_half_life_s=4_200,  # a round
    immunity_rounds=10,  # by then a fair worker is paid a fair share
    verifier_share_bps=2_000,
    words=4,
    assigned_trainers=16,  # a sixteenth of 256; all of them in small runs
    accept_bits=48,  # of 1,024: 12 times the honest bf16-against-fp32 distance (4 of 512 measured)
    slash_bits=160,  # of 1,024: below what a stale model or another batch shows in either half of the words
    slash_bps=2_000,
    liveness_bps=100,
    # (1 - value weight)^1.5 * (1 - 2 * proof weight) >= 2/3: one unlucky round costs at most a third of one's pay.
    value_weight_bps=1_200,
    proof_weight_bps=900,  # 1 - 0.91^10 / 2 = 0.8: a newcomer who always proves itself has four fifths after 10 rounds
    recovery_bps=1_000,
    trust_floor_bps=100,
    # Below a quarter, so that trust which an old slip left a hair under 1 makes no difference to the counts.
    ban_trust_bps=2_400,  # three malformed updates, two copies, fourteen absences in a row
    ban_rounds=20,
    bonds_weight_bps=10_000,
    pay_least_bps=10_000,
    pay_most_bps=10_000,
    sortition_bps=0,
    discount_bps=0,
    value_exponent_halves=3,  # two halves of one machine are paid 0.71 of what the whole is
    top=256,  # everyone: with fewer, a newcomer is paid nothing until its rating has passed the others'
    reserve=16,
    challenge_s=0,
    extension_s=0,
    proposal_bond_wei=0,
    challenger_bps=4_000,
    burn_bps=3_000,  # so is the rest, to the budget: who refutes itself loses six tenths
    #            OK      MISSING OVERSIZE MALFORMED WRONG_BASE NOT_FINITE OVER_NORM DUPLICATE UNPROVEN
    penalty_bps=(10_000, 9_000, 5_000, 5_000, 7_500, 5_000, 5_000, 2_500, 5_000),
)

#: One machine, Anvil, seconds instead of minutes; the mechanism is the same.
LOCAL = replace(
    STANDARD,
    max_rounds=60,
    min_trainers=1,
    max_trainers=64,
    min_verifiers=1,
    max_verifiers=8,
    committee=8,
    train_s=60,
    hold_s=30,
    commit_s=60,
    reveal_s=30,
    settle_s=60,
    exit_s=240,
    join_half_life_s=240,
)

#: Rounds too large to re-execute each: proposed with a bond, refuted by re-execution within half a day.
LARGE = replace(
    STANDARD,
    max_trainers=MAX_TRAINERS,
    max_verifiers=16,  # all of them: the next round is open before a quorum is missed, so nobody more can be called in
    top=MAX_TRAINERS,
    exit_s=259_200,
    challenge_s=43_200,
    extension_s=14_400,
    proposal_bond_wei=100 * ETHER_WEI,
)

#: What a run sets to go by the deployment's ratings: ``replace(params, **RATED)``.
RATED: dict[str, Any] = {
    "pay_least_bps": 5_000,  # a new name earns at least a third of what the best known one does
    "pay_most_bps": 15_000,  # 1 at a rating of a half
    "sortition_bps": 5_000,  # two thirds of anybody's weight are its stake, at least
    "discount_bps": 2_500,
}
