"""Hypothesis strategies for what the protocol passes around."""

from __future__ import annotations

from hypothesis import strategies as st

from gradmint.spec.params import MAX_TRAINERS
from gradmint.spec.types import GAIN_MAX_MICRONATS, ONE_Q32, UNSAMPLED, Report, Role, Row, Standing, Verdict

gains = st.integers(-GAIN_MAX_MICRONATS, GAIN_MAX_MICRONATS)
words_256 = st.integers(0, 2**256 - 1)

# A value is a multiple of the mean of at most so many trainers; of a verifier, and mostly, it is at most one.
values_q32 = st.one_of(st.integers(0, ONE_Q32), st.integers(0, MAX_TRAINERS * ONE_Q32))

rows = st.builds(
    Row,
    verdict=st.sampled_from([Verdict.OK, *Verdict]),
    common_gain_micronats=gains,
    assigned_gain_micronats=st.one_of(st.just(UNSAMPLED), gains),
)

standings = st.builds(
    Standing,
    account=st.binary(min_size=20, max_size=20),
    role=st.sampled_from(Role),
    misses=st.integers(0, 255),
    rounds=st.one_of(st.integers(0, 20), st.integers(0, 65_535)),
    ban_round=st.integers(0, 2**32 - 1),
    paid_wei=st.integers(0, 10**30),
    value_q32=values_q32,
    proof_q32=st.integers(-ONE_Q32, ONE_Q32),
    mu_q32=st.integers(-(2**63), 2**63 - 1),
    sigma_q32=st.integers(0, 2**64 - 1),
    trust_q32=st.integers(0, ONE_Q32),
    reputation_q32=st.integers(0, ONE_Q32),
)


@st.composite
def reports(draw: st.DrawFn, words: int | None = None, trainers: int | None = None) -> Report:
    words = draw(st.integers(1, 16)) if words is None else words
    trainers = draw(st.integers(0, 9)) if trainers is None else trainers
    return Report(
        loss_micronats=draw(st.integers(0, 2**32 - 1)),
        words=tuple(draw(st.lists(words_256, min_size=words, max_size=words))),
        rows=tuple(draw(st.lists(rows, min_size=trainers, max_size=trainers))),
    )
