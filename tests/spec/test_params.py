"""Run parameters: the contract's struct, word for word, and the contract's rules, one by one."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from eth_abi import encode
from hypothesis import given
from hypothesis import strategies as st

from gradmint.spec.errors import MalformedParams
from gradmint.spec.params import (
    LARGE,
    LOCAL,
    MAX_CHALLENGER_BPS,
    MAX_EXPONENT_HALVES,
    MAX_TRAINERS,
    MAX_VERIFIERS,
    MAX_WORDS,
    RATED,
    STANDARD,
    Params,
)
from gradmint.spec.types import Verdict

# The struct Params of contracts/interfaces/Types.sol, in order.
TYPES = {
    "manifest": "bytes32",
    "model": "bytes32",
    "target_loss_micronats": "uint32",
    "max_rounds": "uint16",
    "min_trainers": "uint16",
    "max_trainers": "uint16",
    "min_verifiers": "uint8",
    "max_verifiers": "uint8",
    "committee": "uint8",
    "train_s": "uint32",
    "hold_s": "uint32",
    "commit_s": "uint32",
    "reveal_s": "uint32",
    "settle_s": "uint32",
    "exit_s": "uint32",
    "trainer_stake_wei": "uint128",
    "verifier_stake_wei": "uint128",
    "join_price_wei": "uint128",
    "join_bump_bps": "uint16",
    "join_half_life_s": "uint32",
    "immunity_rounds": "uint16",
    "verifier_share_bps": "uint16",
    "words": "uint8",
    "assigned_trainers": "uint16",
    "accept_bits": "uint16",
    "slash_bits": "uint16",
    "slash_bps": "uint16",
    "liveness_bps": "uint16",
    "value_weight_bps": "uint16",
    "proof_weight_bps": "uint16",
    "recovery_bps": "uint16",
    "trust_floor_bps": "uint16",
    "ban_trust_bps": "uint16",
    "ban_rounds": "uint16",
    "bonds_weight_bps": "uint16",
    "pay_least_bps": "uint16",
    "pay_most_bps": "uint16",
    "sortition_bps": "uint16",
    "discount_bps": "uint16",
    "value_exponent_halves": "uint8",
    "top": "uint16",
    "reserve": "uint16",
    "challenge_s": "uint32",
    "extension_s": "uint32",
    "proposal_bond_wei": "uint128",
    "challenger_bps": "uint16",
    "burn_bps": "uint16",
    "penalty_bps": "uint16[9]",
}


def _values(kind: str) -> st.SearchStrategy[object]:
    if kind == "bytes32":
        return st.binary(min_size=32, max_size=32)
    if kind == "uint16[9]":
        return st.tuples(*[st.integers(0, 2**16 - 1)] * 9)
    return st.integers(0, 2 ** int(kind.removeprefix("uint")) - 1)


any_params = st.builds(Params, **{name: _values(kind) for name, kind in TYPES.items()})


def test_fields_are_the_structs() -> None:
    assert [item.name for item in fields(Params)] == list(TYPES)


@given(any_params)
def test_encoding_is_the_abi_encoding_of_the_struct(params: Params) -> None:
    values = tuple(getattr(params, name) for name in TYPES)
    assert params.encode() == encode([f"({','.join(TYPES.values())})"], [values])


@given(any_params)
def test_round_trip(params: Params) -> None:
    assert Params.decode(params.encode()) == params


def test_limits_are_the_contracts() -> None:
    assert (MAX_TRAINERS, MAX_VERIFIERS, MAX_WORDS) == (1_024, 32, 16)
    assert (MAX_EXPONENT_HALVES, MAX_CHALLENGER_BPS) == (6, 5_000)


@pytest.mark.parametrize("change", [-32, -1, 1, 32])
def test_encoding_of_wrong_length(change: int) -> None:
    encoded = STANDARD.encode()
    bent = encoded[:change] if change < 0 else encoded + bytes(change)
    with pytest.raises(MalformedParams, match=f"{len(bent)} bytes, expected {len(encoded)}"):
        Params.decode(bent)


@pytest.mark.parametrize("preset", [STANDARD, LOCAL, LARGE], ids=["STANDARD", "LOCAL", "LARGE"])
def test_presets_pass(preset: Params) -> None:
    assert preset.check() is preset
    assert Params.decode(preset.encode()).check() == preset


@pytest.mark.parametrize("preset", [STANDARD, LOCAL, LARGE], ids=["STANDARD", "LOCAL", "LARGE"])
def test_presets_pay_everyone_who_may_join(preset: Params) -> None:
    """So nobody waits until its rating has caught up, and index decides nothing."""
    assert preset.top >= preset.max_trainers


def _penalty(verdict: Verdict, bps: int) -> tuple[int, ...]:
    return tuple(bps if i == verdict else own for i, own in enumerate(STANDARD.penalty_bps))


PROPOSED: dict[str, object] = {
    "challenge_s": 7_200,
    "extension_s": 3_600,
    "proposal_bond_wei": 1,
    "exit_s": 4_200 + 7_200 + 3_600,
}

BROKEN: list[tuple[dict[str, object], str]] = [
    ({"manifest": bytes(31)}, "digests have 32 bytes"),
    ({"model": bytes(33)}, "digests have 32 bytes"),
    ({"target_loss_micronats": -1}, "target_loss_micronats -1"),
    ({"target_loss_micronats": 2**32}, "target_loss_micronats 4294967296"),
    ({"max_rounds": 0}, "max_rounds 0"),
    ({"max_rounds": 65_536}, "max_rounds 65536"),
    ({"min_trainers": 0}, "min_trainers 0"),
    ({"min_trainers": STANDARD.max_trainers + 1}, "min_trainers 257"),
    ({"max_trainers": MAX_TRAINERS + 1}, "max_trainers 1025"),
    ({"min_verifiers": 0}, "min_verifiers 0"),
    ({"min_verifiers": STANDARD.max_verifiers + 1}, "min_verifiers 33"),
    ({"max_verifiers": MAX_VERIFIERS + 1}, "max_verifiers 33"),
    ({"committee": 0}, "committee 0"),
    ({"committee": MAX_VERIFIERS + 1}, "committee 33"),
    ({"train_s": 0}, "every phase"),
    ({"hold_s": 0}, "every phase"),
    ({"commit_s": 0}, "every phase"),
    ({"reveal_s": 0}, "every phase"),
    ({"settle_s": -1}, "every phase"),
    ({"exit_s": 4_199}, "exit_s 4199 covers a whole round of 4200 s"),
    ({**PROPOSED, "exit_s": 4_200 + 7_200 + 3_600 - 1}, "exit_s 14999 covers .* challenge_s 7200 and extension_s 3600"),
    ({"exit_s": 2**32}, "exit_s 4294967296"),
    ({"train_s": 2**32}, "exit_s"),
    ({"trainer_stake_wei": -1}, "trainer_stake_wei -1"),
    ({"trainer_stake_wei": 2**128}, "trainer_stake_wei 34028"),
    ({"verifier_stake_wei": 0}, "verifiers stake something"),
    ({"verifier_stake_wei": 2**128}, "verifiers stake something"),
    ({"join_price_wei": -1}, "join_price_wei -1"),
    ({"join_price_wei": 2**128}, "join_price_wei 34028"),
    ({"join_half_life_s": 0}, "join_half_life_s 0"),
    ({"join_half_life_s": 2**32}, "join_half_life_s 4294967296"),
    ({"immunity_rounds": -1}, "immunity_rounds -1"),
    ({"immunity_rounds": 65_536}, "immunity_rounds 65536"),
    ({"words": 0}, "words 0"),
    ({"words": MAX_WORDS + 1}, "words 17"),
    ({"accept_bits": -1}, "accept_bits -1"),
    ({"accept_bits": STANDARD.slash_bits + 1}, "accept_bits 161 <= slash_bits 160"),
    ({"assigned_trainers": 65_536}, "assigned_trainers 65536"),
    ({"slash_bits": 256 * STANDARD.words}, "slash_bits 1024 < 1024"),
    *(
        ({name: bps}, "basis points")
        for name in (
            "verifier_share_bps",
            "slash_bps",
            "liveness_bps",
            "recovery_bps",
            "trust_floor_bps",
            "ban_trust_bps",
            "join_bump_bps",
            "sortition_bps",
        )
        for bps in (-1, 10_001)
    ),
    ({"penalty_bps": _penalty(Verdict.MISSING, 10_001)}, "basis points"),
    ({"penalty_bps": _penalty(Verdict.DUPLICATE, -1)}, "basis points"),
    ({"recovery_bps": 0}, "trust recovers"),
    ({"value_weight_bps": 0}, "running means"),
    ({"value_weight_bps": 10_001}, "running means"),
    ({"proof_weight_bps": 0}, "running means"),
    ({"proof_weight_bps": 10_001}, "running means"),
    ({"bonds_weight_bps": 0}, "running means"),
    ({"bonds_weight_bps": 10_001}, "running means"),
    ({"ban_rounds": 0}, "a ban lasts ban_rounds 0"),
    ({"ban_rounds": 65_536}, "a ban lasts ban_rounds 65536"),
    ({"ban_trust_bps": 0, "ban_rounds": -1}, "a ban lasts ban_rounds -1"),
    ({"ban_trust_bps": 0, "ban_rounds": 65_536}, "a ban lasts ban_rounds 65536"),
    ({"pay_least_bps": 0}, "pay_least_bps 0 <= pay_most_bps 10000"),
    ({"pay_least_bps": 10_001}, "pay_least_bps 10001 <= pay_most_bps 10000"),
    ({"pay_most_bps": 40_001}, "pay_most_bps 40001 <= 40000"),
    ({"discount_bps": -1}, "discount_bps -1"),
    ({"discount_bps": 2_501}, "discount_bps 2501"),
    ({"value_exponent_halves": 1}, "value_exponent_halves 1"),
    ({"value_exponent_halves": 7}, "value_exponent_halves 7"),
    ({"top": 0}, "top 0"),
    ({"top": 65_536}, "top 65536"),
    ({"reserve": -1}, "reserve -1"),
    ({"reserve": 65_536}, "reserve 65536"),
    ({**PROPOSED, "extension_s": 0}, "extension_s 0 <= challenge_s 7200"),
    ({**PROPOSED, "extension_s": 7_201, "exit_s": 20_000}, "extension_s 7201 <= challenge_s 7200"),
    ({**PROPOSED, "extension_s": -1}, "extension_s -1"),
    ({**PROPOSED, "challenge_s": -1}, "challenge_s -1"),
    ({**PROPOSED, "challenge_s": 2**32, "exit_s": 2**32 - 1}, "exit_s"),
    ({**PROPOSED, "proposal_bond_wei": 0}, "proposal_bond_wei 0 in 1"),
    ({**PROPOSED, "proposal_bond_wei": 2**128}, "proposal_bond_wei 34028"),
    ({"extension_s": 1}, "are 0 where every round is re-executed"),
    ({"proposal_bond_wei": 1}, "are 0 where every round is re-executed"),
    ({"challenger_bps": -1}, "challenger_bps -1"),
    ({"challenger_bps": 5_001}, "challenger_bps 5001 is at most 5000"),
    ({"burn_bps": -1}, "burn_bps -1"),
    ({"challenger_bps": 4_000, "burn_bps": 6_001}, "burn_bps 6001 at most what it leaves"),
    ({"penalty_bps": _penalty(Verdict.OK, 9_999)}, "one penalty per verdict"),
    ({"penalty_bps": STANDARD.penalty_bps[:8]}, "one penalty per verdict"),
    ({"penalty_bps": (*STANDARD.penalty_bps, 0)}, "one penalty per verdict"),
]


@pytest.mark.parametrize(("change", "rule"), BROKEN, ids=[str(change)[:50] for change, _ in BROKEN])
def test_each_broken_rule_is_named(change: dict[str, object], rule: str) -> None:
    with pytest.raises(MalformedParams, match=rule):
        replace(STANDARD, **change).check()


ALLOWED: list[dict[str, object]] = [
    {"target_loss_micronats": 2**32 - 1},
    {"max_rounds": 1},
    {"max_rounds": 65_535},
    {"min_trainers": 1, "max_trainers": 1},
    {"max_trainers": MAX_TRAINERS},
    {"max_verifiers": MAX_VERIFIERS},
    {"committee": 1},
    {"max_verifiers": 5, "committee": MAX_VERIFIERS},  # everyone
    {"train_s": 1, "hold_s": 1, "commit_s": 1, "reveal_s": 1, "settle_s": 1, "exit_s": 5},
    {"exit_s": 2**32 - 1},
    {"trainer_stake_wei": 0, "verifier_stake_wei": 1},
    {"trainer_stake_wei": 2**128 - 1, "verifier_stake_wei": 2**128 - 1},
    {"words": 1},
    {"assigned_trainers": 0},
    {"assigned_trainers": 65_535},
    {"words": MAX_WORDS, "slash_bits": 256 * MAX_WORDS - 1},
    {"accept_bits": 0, "slash_bits": 0},
    {"verifier_share_bps": 0},
    {"verifier_share_bps": 10_000},
    {"recovery_bps": 1},
    {"recovery_bps": 10_000},
    {"trust_floor_bps": 0},
    {"value_weight_bps": 10_000, "proof_weight_bps": 1},
    {"value_weight_bps": 1, "proof_weight_bps": 10_000},
    {"penalty_bps": (10_000, 0, 0, 0, 0, 0, 0, 0, 10_000)},
    {"join_price_wei": 0, "join_bump_bps": 0, "join_half_life_s": 1, "immunity_rounds": 0},
    {"join_price_wei": 2**128 - 1, "join_bump_bps": 10_000, "join_half_life_s": 2**32 - 1, "immunity_rounds": 65_535},
    {"ban_trust_bps": 0, "ban_rounds": 0},
    {"ban_trust_bps": 10_000, "ban_rounds": 1},
    {"ban_rounds": 65_535},
    {"bonds_weight_bps": 1},
    {"pay_least_bps": 1, "pay_most_bps": 40_000},
    {"sortition_bps": 10_000, "discount_bps": 2_500},
    RATED,
    {"value_exponent_halves": 2},
    {"value_exponent_halves": 6},
    {"top": 1, "reserve": 0},
    {"top": 65_535, "reserve": 65_535},
    PROPOSED,
    {**PROPOSED, "extension_s": 1},
    {**PROPOSED, "extension_s": 7_200, "exit_s": 18_600, "proposal_bond_wei": 2**128 - 1},
    {"challenger_bps": 0, "burn_bps": 0},
    {"challenger_bps": 0, "burn_bps": 10_000},
    {"challenger_bps": 5_000, "burn_bps": 5_000},
]


@pytest.mark.parametrize("change", ALLOWED, ids=str)
def test_the_last_value_inside_each_rule_passes(change: dict[str, object]) -> None:
    allowed = replace(STANDARD, **change).check()
    encode([f"({','.join(TYPES.values())})"], [tuple(getattr(allowed, name) for name in TYPES)])


WIDE = st.one_of(st.integers(-2, 2**17), st.integers(2**32 - 1, 2**32), st.integers(2**128 - 1, 2**128))


@given(st.sampled_from([STANDARD, LOCAL, LARGE]), st.data())
def test_what_passes_fits_the_contracts_types(preset: Params, data: st.DataObject) -> None:
    """Two numbers of a preset replaced by any others: refused, or the encoder takes every word for its type."""
    names = [name for name, kind in TYPES.items() if kind.startswith("uint") and name != "penalty_bps"]
    change = data.draw(st.dictionaries(st.sampled_from(names), WIDE, min_size=1, max_size=2))
    try:
        allowed = replace(preset, **change).check()
    except MalformedParams as error:
        assert str(error).startswith("run parameters: it must hold that ")
    else:
        assert allowed.encode() == encode(
            [f"({','.join(TYPES.values())})"], [tuple(getattr(allowed, name) for name in TYPES)]
        )


@given(any_params)
def test_any_parameters_pass_or_break_a_rule(params: Params) -> None:
    """Of random values nearly all break a rule; none raises anything else."""
    try:
        params.check()
    except MalformedParams as error:
        assert str(error).startswith("run parameters: it must hold that ")


def test_a_large_runs_exit_outlasts_a_proposal_and_its_challenge() -> None:
    """Stake is there for as long as what it was put up for can be refuted."""
    round_s = LARGE.train_s + LARGE.hold_s + LARGE.commit_s + LARGE.reveal_s + LARGE.settle_s
    assert LARGE.exit_s >= round_s + LARGE.challenge_s + LARGE.extension_s == 61_800
    assert (LARGE.max_trainers, LARGE.challenge_s) == (MAX_TRAINERS, 12 * 3_600)
    assert STANDARD.challenge_s == LOCAL.challenge_s == 0
