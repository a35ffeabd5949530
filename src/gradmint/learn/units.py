"""From nats to the protocol's integers."""

from __future__ import annotations

import math

from ..spec.types import GAIN_MAX_MICRONATS, LOSS_MAX_MICRONATS


def micronats(nats: float) -> int:
    """A gain as the protocol's integer: micro-nats, to nearest, saturating; the least gain when it is not a number."""
    if math.isnan(nats):
        return -GAIN_MAX_MICRONATS
    return round(max(-GAIN_MAX_MICRONATS, min(GAIN_MAX_MICRONATS, nats * 1e6)))


def loss_micronats(nats: float) -> int:
    """A loss as the protocol's integer: micro-nats, to nearest, in uint32; the greatest when it is not a number."""
    if math.isnan(nats):
        return LOSS_MAX_MICRONATS
    return round(max(0, min(LOSS_MAX_MICRONATS, nats * 1e6)))
