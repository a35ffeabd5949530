"""Parameters of reputation: one home each, with unit and reason. Fixed per deployment, as seeds are."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

from .errors import MalformedParams
from .types import BPS, ONE_Q32

MAX_PATHS = 8
REST_BITS = 16  # an iteration stops when at most 2^-16 of the walks are still on their way


@dataclass(frozen=True, slots=True, kw_only=True)
class ReputationParams:
    """Field order is that of the contract's ReputationTerms."""

    alpha_bps: int = 1_500  # a walk ends with this probability at each step: distance d counts (1 - alpha)^d
    beta_bps: int = 5_000  # how likely a path of accounts is false; independent for vertex-disjoint paths
    max_paths: int = 4  # more disjoint paths than these make nobody more credible
    epoch_blocks: int = 50_400  # a week of 12 s
    vouch_round_wei: int = 10**18  # stake behind a vouch that weighs as much as a whole verified round
    challenge_blocks: int = 7_200  # a day of 12 s to doubt a proposed rating
    proof_blocks: int = 14_400  # two days to show a witness; with the challenge, within the epoch after the cut's
    bond_wei: int = 10 * 10**18  # behind a proposed rating, and behind a challenge of it
    challenger_bps: int = 4_000  # part of a lost bond or slashed stake that the finder gets; the rest is burned

    def check(self) -> ReputationParams:
        """Raises MalformedParams naming the first rule broken."""
        rules = (
            (100 <= self.alpha_bps <= 9_000, f"alpha_bps {self.alpha_bps} lies in 100..9000"),
            (0 <= self.beta_bps <= BPS, f"beta_bps {self.beta_bps} lies in 0..{BPS}"),
            (1 <= self.max_paths <= MAX_PATHS, f"max_paths {self.max_paths} lies in 1..{MAX_PATHS}"),
            (1 <= self.epoch_blocks < 2**32, f"epoch_blocks {self.epoch_blocks} lies in 1..{2**32 - 1}"),
            (1 <= self.vouch_round_wei < 2**128, f"vouch_round_wei {self.vouch_round_wei} lies in 1..2^128-1"),
            (self.challenge_blocks >= 1, f"challenge_blocks {self.challenge_blocks} is at least 1"),
            (self.proof_blocks >= 1, f"proof_blocks {self.proof_blocks} is at least 1"),
            (
                self.challenge_blocks + self.proof_blocks <= self.epoch_blocks,
                f"challenge_blocks {self.challenge_blocks} + proof_blocks {self.proof_blocks} <= epoch_blocks "
                f"{self.epoch_blocks}",
            ),
            (1 <= self.bond_wei < 2**128, f"bond_wei {self.bond_wei} lies in 1..2^128-1"),
            (0 <= self.challenger_bps <= BPS // 2, f"challenger_bps {self.challenger_bps} lies in 0..{BPS // 2}"),
        )
        for holds, rule in rules:
            if not holds:
                raise MalformedParams(f"reputation: {rule} does not hold")
        return self

    def encode(self) -> bytes:
        """abi.encode of the same fields as uint256: 32 bytes each."""
        return b"".join(getattr(self, item.name).to_bytes(32, "big") for item in fields(self))

    @property
    def iterations(self) -> int:
        """Least T with (1 - alpha)^T <= 2^-16: 69 at alpha 0.15."""
        return self.steps(REST_BITS)

    def steps(self, bits: int) -> int:
        """Least T with (1 - alpha)^T <= 2^-bits."""
        return _steps(BPS - self.alpha_bps, bits)

    def factor_q32(self, paths: int) -> int:
        """1 - beta^paths, rounded down: the chance that not all of the disjoint paths are false. 0 without a path."""
        paths = min(paths, self.max_paths)
        return ONE_Q32 * (BPS**paths - self.beta_bps**paths) // BPS**paths if paths else 0


@lru_cache
def _steps(go_on_bps: int, bits: int) -> int:
    rest, whole, count = 1, 1, 0
    while rest << bits > whole:
        rest, whole, count = rest * go_on_bps, whole * BPS, count + 1
    return count


STANDARD_REPUTATION = ReputationParams().check()
