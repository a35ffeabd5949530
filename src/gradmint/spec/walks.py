"""Reputation as one account sees it: random walks from there, the same ones for whoever takes them.

Every walk is drawn by position from Philox4x32-10 (Salmon, Moraes, Dror & Shaw, 2011): key = first 8 bytes of
sha256(beacon | epoch uint64 | parameters), counter = (step // 2, walk, ego, domain), all words little-endian as in
:mod:`gradmint.learn.philox`. Walk w of an ego is a function of the graph and these numbers alone, so any worker can
take any walk, and a changed account concerns only walks that came by it. ``ego`` is the account's last four bytes:
unlike its index it stays when others join. The beacon has to be later than the graph, or weights can be ground.

Step s of a walk that is at account u takes the half of the block (b0, b1, b2, b3) that is its own, b0 2^32 + b1 where s
is even and b2 2^32 + b3 where it is odd, and of that 24 bits and 40:

    the first < floor(alpha 2^24)       the walk ends
    the others * total >> 40            falls on one of u's edges, weights laid end to end: good ones first, then bad

so an edge's chance is right to 2^-40. ``total`` is the sum of both rows; the walk ends where that is 0. On a **good**
edge it goes on to the target. On a **bad** one it *strikes* the target and ends: no friend of an enemy, no enemy of an
enemy is anybody.

    net(v) = max(0, hits(v) - strikes(v)),   hits(v) = walks that come by v at least once

So slander is bounded: a walk strikes at most once, and strikes by a group are at most the walks that come by the group,
however many accounts it has. And net(v) is never below a newcomer's, 0, so a bad past is not worth leaving behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from itertools import accumulate

from .feedback import Graph
from .reputation_params import ReputationParams
from .types import BPS

DOMAIN = 0x7265_7075  # "repu": no other use of the same beacon counts here
REST_BITS = 64  # a walk that is still going when one in 2^64 is, ends
MASK = 0xFFFF_FFFF
MULTIPLIERS = (0xD251_1F53, 0xCD9E_8D57)
WEYL = (0x9E37_79B9, 0xBB67_AE85)
ROUNDS = 10
STOP_BITS = 24
PICK_BITS = 40

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tally:
    """Walks that came by, and that struck, each account; in the graph's order."""

    hits: tuple[int, ...]
    strikes: tuple[int, ...]

    def net(self, account: int) -> int:
        return max(0, self.hits[account] - self.strikes[account])


def key_of(beacon: bytes, epoch: int, params: ReputationParams) -> Key:
    digest = hashlib.sha256(beacon + epoch.to_bytes(8, "big") + params.encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def ego_word(account: bytes) -> int:
    return int.from_bytes(account[-4:], "big")


def stop_below(params: ReputationParams) -> int:
    """A draw of ``STOP_BITS`` below this ends a walk."""
    return (params.alpha_bps << STOP_BITS) // BPS


def philox(counter: tuple[int, int, int, int], key: Key) -> tuple[int, int, int, int]:
    """One block of four random words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        even, odd = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = odd >> 32 ^ c1 ^ k0, odd & MASK, even >> 32 ^ c3 ^ k1, even & MASK
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return c0, c1, c2, c3


def walk(
    graph: Graph, bad: Graph | None, ego: int, number: int, key: Key, params: ReputationParams
) -> tuple[list[int], int | None]:
    """Accounts that walk ``number`` comes by, from ``ego`` on, and whom it strikes. ``bad`` has the same accounts."""
    stop, word, path = stop_below(params), ego_word(graph.accounts[ego]), [ego]
    for step in range(params.steps(REST_BITS)):
        here = path[-1]
        high, low = philox((step // 2, number, word, DOMAIN), key)[2 * (step % 2) :][:2]
        drawn = high << 32 | low
        total = graph.totals[here] + (bad.totals[here] if bad else 0)
        if drawn >> PICK_BITS < stop or not total:
            break
        pick = (drawn & (1 << PICK_BITS) - 1) * total >> PICK_BITS
        if bad and pick >= graph.totals[here]:
            return path, _at(bad, here, pick - graph.totals[here])
        path.append(_at(graph, here, pick))
    return path, None


def _at(graph: Graph, source: int, pick: int) -> int:
    """The target whose part of the row covers ``pick``."""
    row = list(graph.row(source))
    ends = accumulate(weight for _, weight in row)
    return next(target for (target, _), end in zip(row, ends, strict=True) if pick < end)


def tally(
    graph: Graph, bad: Graph | None, ego: int, walks: Collection[int], key: Key, params: ReputationParams
) -> Tally:
    """What ``walks`` of ``ego``, by their numbers, come by and strike."""
    hits, strikes = [0] * len(graph), [0] * len(graph)
    for number in walks:
        path, struck = walk(graph, bad, ego, number, key, params)
        for place in {*path}:
            hits[place] += 1
        if struck is not None:
            strikes[struck] += 1
    return Tally(tuple(hits), tuple(strikes))
