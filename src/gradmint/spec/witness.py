"""Why an account's hits and paths are at least what it says, by a few accounts' endorsements alone.

A witness names accounts with visits H. With e a seed's start and S_u the sum of u's row, it is checked that everywhere

    H_v <= F(H)_v = e_v + sum over endorsements u -> v of floor((1 - alpha) H_u / S_u) * weight

where the subject's own share is 0: what it says of others counts for nothing, as in :func:`spec.reputation.hits`.

Nothing false passes. F is monotone and at most its own version without floors, F*; so H <= F(H) gives H <= F*^k(H) for
every k, and F* contracts by 1 - alpha, so F*^k(H) tends to the exact visits, which H is therefore not above.
The truth passes, on any accounts that are named: F is monotone and 0 <= F(0), so F^k(0) <= F(F^k(0)) for every k.
Who is named twice gains nothing: an endorser of a panel is one of the two there, and neither is above the truth.

Paths are shown along the same endorsements. Indices are into the witness's nodes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .book import Book
from .endorsements import Entry, heard_hash, panel_hash
from .errors import WitnessRefused
from .reputation import ONE_MASS
from .reputation_params import ReputationParams
from .types import BPS

MAX_NODES = 255
SUBJECT = 0
NOBODY = 0  # a panel's place of who is no node
NO_HASH = b"\xff" * 32  # of a list that ends within an entry


@dataclass(frozen=True, slots=True)
class Node:
    """An account through which walks come, and how often at least."""

    account: bytes
    visits: int  # units of 2^-56
    heard: bytes  # every entry about it, packed, in order


@dataclass(frozen=True, slots=True)
class Panel:
    """Who spoke in one endorsement."""

    id: int
    endorsers: tuple[bytes, ...]  # all of them, in order
    places: bytes  # one each: 1 + index of the node that it is; 0: not counted


@dataclass(frozen=True, slots=True)
class Witness:
    nodes: tuple[Node, ...]  # at most 255, the subject first
    panels: tuple[Panel, ...]  # ids ascending; entries of other endorsements count for nothing
    paths: tuple[bytes, ...] = ()  # indices of nodes: from a seed to the subject; they share nothing between

    def encode(self) -> bytes:
        """abi.encode of the contract's struct of the same name."""
        nodes = _array(_tuple(_word(node.account), _word(node.visits), (_bytes(node.heard),)) for node in self.nodes)
        panels = _array(
            _tuple(
                _word(panel.id),
                (_word(len(panel.endorsers)) + b"".join(map(_word, panel.endorsers)),),
                (_bytes(panel.places),),
            )
            for panel in self.panels
        )
        paths = _array(_bytes(path) for path in self.paths)
        return _tuple((_tuple((nodes,), (panels,), (paths,)),))


@dataclass(frozen=True, slots=True)
class Kept:
    """What the contract keeps about the accounts and endorsements of a witness."""

    heard: Mapping[bytes, bytes]  # rolling hash per account
    said: Mapping[bytes, int]  # sum of the account's weights until the cut
    panels: Mapping[int, bytes]  # hash per endorsement
    seeds: frozenset[bytes]

    @classmethod
    def of(cls, book: Book, witness: Witness, cut: int) -> Kept:
        accounts = {node.account for node in witness.nodes}
        return cls(
            {account: heard_hash(book.heard(account)) for account in accounts},
            {account: book.said_until(account, cut) for account in accounts},
            {panel.id: panel_hash(book.panels[panel.id]) for panel in witness.panels if panel.id in book.panels},
            book.seeds,
        )


@dataclass(frozen=True, slots=True)
class _Edges:
    """What a witness's accounts have said of each other until a cut."""

    into: tuple[Mapping[int, int], ...]  # per node, weights by the endorser's index; 0 of what has ended

    @classmethod
    def of(cls, witness: Witness, cut: int) -> _Edges:
        panels = {panel.id: [place - 1 for place in panel.places if place != NOBODY] for panel in witness.panels}
        into = []
        for node in witness.nodes:
            weights: dict[int, int] = {}
            for at in range(0, len(node.heard), Entry.SIZE):
                entry = Entry.unpack(node.heard[at : at + Entry.SIZE])
                weight = 0 if entry.epoch > cut else -entry.weight if entry.is_end else entry.weight
                for source in panels.get(entry.id, ()):
                    weights[source] = weights.get(source, 0) + weight
            into.append(weights)
        return cls(tuple(into))

    def step(
        self, accounts: Sequence[bytes], visits: Sequence[int], said: Mapping[bytes, int], seeds: Collection[bytes],
        params: ReputationParams,
    ) -> list[int]:  # fmt: skip
        """F(visits)."""
        go_on, share = BPS - params.alpha_bps, []
        for account, count in zip(accounts, visits, strict=True):
            total = said.get(account, 0)
            share.append(count * go_on // (BPS * total) if total and account != accounts[SUBJECT] else 0)
        return [
            (ONE_MASS // len(seeds) if account in seeds else 0)
            + sum(share[source] * weight for source, weight in self.into[index].items())
            for index, account in enumerate(accounts)
        ]


def check(
    witness: Witness, kept: Kept, params: ReputationParams, account: bytes, cut: int, hits: int, paths: int
) -> None:
    """Raises WitnessRefused, with the contract's error, unless ``witness`` shows that ``account`` has so many hits and
    paths at the end of epoch ``cut``."""
    _check_nodes(witness.nodes, kept, account)
    _check_panels(witness, kept)
    edges = _Edges.of(witness, cut)
    accounts, visits = zip(*((node.account, node.visits) for node in witness.nodes), strict=True)
    shown = edges.step(accounts, visits, kept.said, kept.seeds, params)
    for index, (most, claimed) in enumerate(zip(shown, visits, strict=True)):
        if claimed > most:
            raise WitnessRefused("TooManyVisits", index, most, claimed)
        if index == SUBJECT and hits > claimed:
            raise WitnessRefused("TooManyVisits", index, claimed, hits)
    found = _count_paths(witness, edges, kept.seeds, params.max_paths)
    if found < paths:
        raise WitnessRefused("TooFewPaths", found, paths)


def _check_nodes(nodes: Sequence[Node], kept: Kept, account: bytes) -> None:
    if not 1 <= len(nodes) <= MAX_NODES or nodes[SUBJECT].account != account:
        raise WitnessRefused("MalformedNodes")
    for index, node in enumerate(nodes):
        expected = kept.heard.get(node.account, bytes(32))
        found = NO_HASH if len(node.heard) % Entry.SIZE else heard_hash(node.heard)
        if found != expected:
            raise WitnessRefused("HeardMismatch", index, expected, found)


def _check_panels(witness: Witness, kept: Kept) -> None:
    last = -1
    for panel in witness.panels:
        if panel.id <= last:
            raise WitnessRefused("MalformedPanel", panel.id)
        expected, found = kept.panels.get(panel.id, bytes(32)), panel_hash(panel.endorsers)
        if found != expected:
            raise WitnessRefused("PanelMismatch", panel.id, expected, found)
        if len(panel.places) != len(panel.endorsers):
            raise WitnessRefused("MalformedPanel", panel.id)
        for endorser, place in zip(panel.endorsers, panel.places, strict=True):
            if place != NOBODY and (place > len(witness.nodes) or witness.nodes[place - 1].account != endorser):
                raise WitnessRefused("MalformedPanel", panel.id)
        last = panel.id


def _count_paths(witness: Witness, edges: _Edges, seeds: Collection[bytes], most: int) -> int:
    """``most`` for an edge from a seed, and for a seed by the path of itself; else the paths' number."""
    accounts, is_direct = [node.account for node in witness.nodes], False
    met = {accounts[SUBJECT], *seeds}  # what no path may pass, seeds because a path begins at its last one
    for number, path in enumerate(witness.paths):
        if (
            not path
            or max(path) >= len(accounts)
            or accounts[path[0]] not in seeds
            or path[-1] != SUBJECT
            or any(edges.into[b].get(a, 0) <= 0 for a, b in pairwise(path))
        ):
            raise WitnessRefused("MalformedPath", number)
        for inner in path[1:-1]:
            if accounts[inner] in met:
                raise WitnessRefused("MalformedPath", number)
            met.add(accounts[inner])
        is_direct = is_direct or len(path) <= 2
    return most if is_direct else len(witness.paths)


def compose(
    book: Book, account: bytes, cut: int, others: Iterable[bytes], paths: Iterable[Sequence[bytes]] = ()
) -> Witness:
    """The best witness for ``account`` that names these ``others`` (fewer than 255, in any order) and shows ``paths``
    along them: F^k(0) with k so large that nothing moves any more."""
    members = [account, *sorted({*others} - {account})]
    index = {member: place for place, member in enumerate(members)}
    spoke = {entry.id for member in members for entry in book.entries.get(member, ()) if entry.epoch <= cut}
    panels = tuple(
        Panel(id, book.panels[id], bytes(1 + index[one] if one in index else NOBODY for one in book.panels[id]))
        for id in sorted(spoke)
        if any(one in index for one in book.panels[id])
    )
    silent = tuple(Node(member, 0, book.heard(member)) for member in members)
    edges = _Edges.of(Witness(silent, panels), cut)
    said = {member: book.said_until(member, cut) for member in members}
    visits, last = [0] * len(members), [-1]
    while visits != last:
        visits, last = edges.step(members, visits, said, book.seeds, book.params), visits
    nodes = tuple(Node(node.account, count, node.heard) for node, count in zip(silent, visits, strict=True))
    return Witness(nodes, panels, tuple(bytes(index[one] for one in path) for path in paths))


# ABI: a member is 32 bytes, or (content,) behind the others, with its offset in its place


def _word(value: int | bytes) -> bytes:
    return value.rjust(32, b"\0") if isinstance(value, bytes) else value.to_bytes(32, "big")


def _bytes(value: bytes) -> bytes:
    return _word(len(value)) + value + bytes(-len(value) % 32)


def _tuple(*members: bytes | tuple[bytes]) -> bytes:
    head, tail = b"", b""
    for member in members:
        if isinstance(member, bytes):
            head += member
        else:
            head += _word(32 * len(members) + len(tail))
            tail += member[0]
    return head + tail


def _array(items: Iterable[bytes]) -> bytes:
    """Of a type without a fixed length."""
    found = list(items)
    return _word(len(found)) + _tuple(*((item,) for item in found))
