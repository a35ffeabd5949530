"""Packed forms: one encoding per value, the contract's, and one typed error for everything else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.packed import encode_packed
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from gradmint.spec.errors import MalformedReport, MalformedStanding
from gradmint.spec.types import (
    ABSENT_ROW,
    BPS,
    CHUNK_ROWS,
    GAIN_MAX_MICRONATS,
    LOSS_MAX_MICRONATS,
    ONE_Q32,
    UNSAMPLED,
    Phase,
    Report,
    Role,
    Row,
    Standing,
    Verdict,
)

from .strategies import reports, rows, standings

REPORT = Report(1, (2, 3), (Row(Verdict.OK, 4, 5), Row(Verdict.DUPLICATE, -6, UNSAMPLED)))


@given(rows)
def test_row_round_trip(row: Row) -> None:
    packed = row.pack()
    assert len(packed) == Row.SIZE
    assert Row.unpack(packed) == row
    fields = (row.verdict, row.common_gain_micronats, row.assigned_gain_micronats)
    assert packed == encode_packed(["uint8", "int32", "int32"], fields)


@given(reports())
def test_report_round_trip(report: Report) -> None:
    packed = report.pack()
    assert len(packed) == Report.size(len(report.words), len(report.rows))
    assert Report.unpack(packed, len(report.words), len(report.rows)) == report


def test_report_bytes() -> None:
    assert REPORT.pack().hex() == (
        "00000001"
        + "02".zfill(64)
        + "03".zfill(64)
        + "00" + "00000004" + "00000005"
        + "07" + "fffffffa" + "80000000"
    )  # fmt: skip


@pytest.mark.parametrize("change", [-1, 1, 9, 32, -9])
def test_report_of_wrong_length(change: int) -> None:
    packed = REPORT.pack()
    bent = packed[:change] if change < 0 else packed + bytes(change)
    with pytest.raises(MalformedReport, match=f"{len(bent)} bytes, {len(packed)} expected"):
        Report.unpack(bent, 2, 2)


def test_report_of_another_shape_with_the_same_length() -> None:
    """32 rows are 9 words long: the counts come from the chain, never from the bytes."""
    report = Report(0, (0,) * 10, ())
    assert Report.unpack(report.pack(), 1, 32).rows == (Row(Verdict.OK, 0, 0),) * 32
    with pytest.raises(MalformedReport):
        Report.unpack(report.pack(), 9, 3)


def long_report(count: int, words: int = 4) -> bytes:
    """Packed; no two rows alike."""
    said = tuple(Row(Verdict(i % 9), i - 300, i) for i in range(count))
    return Report(5, tuple(range(1, words + 1)), said).pack()


@pytest.mark.parametrize(
    ("count", "chunks"),
    [(0, []), (1, [1]), (255, [255]), (256, [256]), (257, [256, 1]), (512, [256, 256]), (1_024, [256] * 4)],
)
def test_a_reports_hash_is_that_of_its_head_and_of_the_hashes_of_its_chunks(count: int, chunks: list[int]) -> None:
    """256 rows a chunk, and no empty one behind the last full one."""
    packed = long_report(count)
    head, rest, hashes = packed[:132], packed[132:], b""
    for size in chunks:
        chunk, rest = rest[: 9 * size], rest[9 * size :]
        hashes += keccak(chunk)
    assert rest == b""
    assert Report.hash(packed, 4) == keccak(head + hashes)


def test_a_slice_of_a_re_execution_needs_one_chunk_and_the_others_hashes() -> None:
    """Whoever knows the head, one chunk and the other chunks' hashes arrives at the whole report's hash."""
    packed = long_report(600, words=2)
    head, step = 4 + 32 * 2, CHUNK_ROWS * Row.SIZE
    hashes = [keccak(packed[at : at + step]) for at in range(head, len(packed), step)]
    assert len(hashes) == 3
    for i in range(3):
        brought = packed[head + i * step : head + (i + 1) * step]
        known = [*hashes[:i], keccak(brought), *hashes[i + 1 :]]
        assert keccak(packed[:head] + b"".join(known)) == Report.hash(packed, 2)


@given(st.sampled_from([1, 256, 257, 300]), st.data())
def test_no_bit_of_a_report_can_change(count: int, data: st.DataObject) -> None:
    packed = bytearray(long_report(count))
    before = Report.hash(bytes(packed), 4)
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert Report.hash(bytes(packed), 4) != before


def test_chunks_of_a_report_cannot_swap_places() -> None:
    packed = long_report(512)
    swapped = packed[:132] + packed[132 + 256 * 9 :] + packed[132 : 132 + 256 * 9]
    assert Report.hash(swapped, 4) != Report.hash(packed, 4)


@given(rows)
def test_what_counts_of_a_row_is_the_positive_gain_of_a_valid_update(row: Row) -> None:
    assert row.gain_micronats == (row.verdict == 0 and row.common_gain_micronats > 0) * row.common_gain_micronats


@pytest.mark.parametrize("verdict", [9, 10, 127, 128, 255])
def test_unknown_verdict(verdict: int) -> None:
    packed = bytearray(REPORT.pack())
    packed[68] = verdict
    with pytest.raises(MalformedReport, match=f"verdict {verdict}"):
        Report.unpack(bytes(packed), 2, 2)


def test_common_gain_has_no_unsampled_value() -> None:
    packed = bytearray(REPORT.pack())
    packed[69:73] = UNSAMPLED.to_bytes(4, "big", signed=True)
    with pytest.raises(MalformedReport, match="common gain -2147483648"):
        Report.unpack(bytes(packed), 2, 2)


@pytest.mark.parametrize("length", [0, 8, 10])
def test_row_of_wrong_length(length: int) -> None:
    with pytest.raises(MalformedReport, match=f"{length} bytes"):
        Row.unpack(bytes(length))


def test_absent_row_packs() -> None:
    assert Row.unpack(ABSENT_ROW.pack()) == ABSENT_ROW


@given(st.binary(min_size=Report.size(1, 2), max_size=Report.size(1, 2)))
def test_any_bytes_are_refused_or_canonical(packed: bytes) -> None:
    try:
        report = Report.unpack(packed, 1, 2)
    except MalformedReport:
        assert any(row[0] > 8 or row[1:5] == b"\x80\0\0\0" for row in (packed[36:45], packed[45:54]))
    else:
        assert report.pack() == packed


@given(standings)
def test_standing_round_trip(standing: Standing) -> None:
    packed = standing.pack()
    assert len(packed) == Standing.SIZE == 96
    assert Standing.unpack(packed) == standing


@given(standings)
def test_standing_is_three_packed_words(standing: Standing) -> None:
    fields = {
        "address": standing.account,
        "role uint8": standing.role,
        "misses uint8": standing.misses,
        "rounds uint16": standing.rounds,
        "ban uint32": standing.ban_round,
        "spare uint32": 0,
        "paid uint128": standing.paid_wei,
        "value uint64": standing.value_q32,
        "proof int64": standing.proof_q32,
        "mu int64": standing.mu_q32,
        "sigma uint64": standing.sigma_q32,
        "trust uint64": standing.trust_q32,
        "reputation uint64": standing.reputation_q32,
    }
    assert standing.pack() == encode_packed([name.split()[-1] for name in fields], list(fields.values()))


FRESH = Standing(b"\xaa" * 20, Role.VERIFIER)


@pytest.mark.parametrize("length", [0, 95, 97])
def test_standing_of_wrong_length(length: int) -> None:
    with pytest.raises(MalformedStanding, match=f"{length} bytes, expected 96"):
        Standing.unpack(bytes(length))


@pytest.mark.parametrize("role", [0, 3, 255])
def test_standing_of_unknown_role(role: int) -> None:
    packed = bytearray(FRESH.pack())
    packed[20] = role
    with pytest.raises(MalformedStanding, match=f"role {role}"):
        Standing.unpack(bytes(packed))


@pytest.mark.parametrize("spare", range(28, 32))
def test_standing_with_spare_bytes_set(spare: int) -> None:
    packed = bytearray(FRESH.pack())
    packed[spare] = 1
    with pytest.raises(MalformedStanding, match="spare"):
        Standing.unpack(bytes(packed))


@given(st.binary(min_size=96, max_size=96))
def test_any_standing_bytes_are_refused_or_canonical(packed: bytes) -> None:
    packed = packed[:20] + bytes([packed[20] % 4]) + packed[21:28] + bytes([0, 0, 0, packed[31] % 2]) + packed[32:]
    try:
        standing = Standing.unpack(packed)
    except MalformedStanding:
        assert packed[20] not in (1, 2) or packed[31]
    else:
        assert standing.pack() == packed


@pytest.mark.parametrize(
    "field",
    [
        {"misses": 256},
        {"rounds": 65_536},
        {"ban_round": 2**32},
        {"paid_wei": 2**128},
        {"paid_wei": -1},
        {"value_q32": -1},
        {"proof_q32": 2**63},
        {"mu_q32": 2**63},
        {"mu_q32": -(2**63) - 1},
        {"sigma_q32": -1},
        {"trust_q32": 2**64},
    ],
    ids=str,
)
def test_nothing_wraps_around_on_the_way_into_a_leaf(field: dict[str, int]) -> None:
    with pytest.raises((OverflowError, ValueError)):
        replace(FRESH, **field).pack()


def test_enumerations_have_the_contracts_numbers() -> None:
    assert [verdict.name for verdict in sorted(Verdict)] == (
        ["OK", "MISSING", "OVERSIZE", "MALFORMED", "WRONG_BASE", "NOT_FINITE", "OVER_NORM", "DUPLICATE", "UNPROVEN"]
    )
    assert list(Verdict) == list(range(9))
    assert (Role.TRAINER, Role.VERIFIER) == (1, 2)
    assert [phase.name for phase in Phase] == ["ENROL", "TRAIN", "HOLD", "COMMIT", "REVEAL", "SETTLE", "ENDED"]
    assert list(Phase) == list(range(7))


def test_a_fresh_leaf() -> None:
    """What the contract writes for whoever joins: OpenSkill's 25 and 25/3, half a proof, full trust and reputation."""
    words = [
        "aa" * 20 + "02" + "00" * 11,
        "00" * 24 + "0000000080000000",
        "0000001900000000" + "0000000855555555" + "0000000100000000" + "0000000100000000",
    ]
    assert Standing(b"\xaa" * 20, Role.VERIFIER).pack().hex() == "".join(words)


def test_constants() -> None:
    assert (ONE_Q32, BPS) == (4_294_967_296, 10_000)
    assert (GAIN_MAX_MICRONATS, UNSAMPLED, LOSS_MAX_MICRONATS) == (2_147_483_647, -2_147_483_648, 4_294_967_295)
    absent = (ABSENT_ROW.verdict, ABSENT_ROW.common_gain_micronats, ABSENT_ROW.assigned_gain_micronats)
    assert absent == (Verdict.MISSING, 0, UNSAMPLED)
