"""Witnesses, valid ones and every kind of invalid, with what the contract keeps: a part of vectors.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from random import Random
from typing import Any

from gradmint.spec import reputation as rep
from gradmint.spec.endorsements import Entry
from gradmint.spec.errors import WitnessRefused
from gradmint.spec.reputation_params import STANDARD_REPUTATION, ReputationParams
from gradmint.spec.witness import Kept, Node, Witness, check, compose
from gradmint.study.scribe import Scribe

Case = tuple[str, Witness, Kept, ReputationParams, bytes, int, int, int]  # name, operands of check()


def story(rng: Random, accounts: int, epochs: int = 3) -> Scribe:
    """A random history: harvests of several runs, vouches, some of which end; cycles, and rows about nobody."""
    names = [rng.randbytes(20) for _ in range(accounts)]
    params = replace(
        STANDARD_REPUTATION, alpha_bps=rng.choice((100, 1_500, 4_000)), max_paths=rng.randint(1, 8), epoch_blocks=50_400
    )
    scribe = Scribe(params, names[: rng.randint(1, 3)])
    for _ in range(epochs):
        for run in range(rng.randint(1, 2)):
            chosen = rng.sample(names, rng.randint(2, min(8, accounts)))
            cut = rng.randint(1, max(1, len(chosen) // 2))
            scribe.harvest(run, chosen[:cut], {one: rng.choice((1, rng.randint(1, 9_000))) for one in chosen[cut:]})
        for _ in range(rng.randint(0, accounts // 2)):
            voucher, account = rng.sample(names, 2)
            if (voucher, account) not in scribe.book.vouches:
                scribe.vouch(voucher, account, 10**18 + rng.choice((0, rng.randrange(10**20))))
        for (voucher, account), locked in list(scribe.book.vouches.items()):
            if locked.ended_epoch is None and rng.random() < 0.25:
                scribe.unvouch(voucher, account)
        scribe.wait()
    return scribe


def honest(rng: Random, scribe: Scribe, name: str, all_of_them: bool) -> Case | None:
    """A witness of what is true of somebody; None where nothing is."""
    book, params = scribe.book, scribe.book.params
    cut = scribe.epoch - rng.choice((1, 2))
    graph = book.graph(cut)
    seeds = graph.among(book.seeds)
    subject = rng.randrange(len(graph))
    paths, known = rep.disjoint_paths(graph, seeds, subject, params.max_paths)
    named = {place for path in paths for place in path}
    named |= {place for place in range(len(graph)) if all_of_them or rng.random() < 0.5}
    account = graph.accounts[subject]
    others = [graph.accounts[place] for place in named]
    witness = compose(book, account, cut, others, [[graph.accounts[place] for place in path] for path in paths])
    hits, shown = witness.nodes[0].visits, params.max_paths if known is None else len(paths)
    if not hits:
        return None
    return name, witness, Kept.of(book, witness, cut), params, account, cut, hits, shown


def node(case: Case, index: int, **changes: Any) -> Case:
    nodes = list(case[1].nodes)
    nodes[index] = replace(nodes[index], **changes)
    return with_witness(case, nodes=tuple(nodes))


def panel(case: Case, index: int, **changes: Any) -> Case:
    panels = list(case[1].panels)
    panels[index] = replace(panels[index], **changes)
    return with_witness(case, panels=tuple(panels))


def with_witness(case: Case, **changes: Any) -> Case:
    name, witness, *rest = case
    return name, replace(witness, **changes), *rest  # type: ignore[return-value]


def wrong(case: Case) -> Iterator[tuple[str, Case]]:
    """What each error is for; (why, case)."""
    _, witness, kept, params, _, cut, hits, paths = case
    nodes, panels = witness.nodes, witness.panels
    for index, one in enumerate(nodes):
        yield f"node {index} one visit more", node(case, index, visits=one.visits + 1)
        yield f"node {index} as many visits as there can be", node(case, index, visits=2**64 - 1)
    yield "no nodes", with_witness(case, nodes=())
    yield "256 nodes", with_witness(case, nodes=nodes + tuple(_fillers(256 - len(nodes))), panels=(), paths=())
    yield "another subject first", with_witness(case, nodes=(nodes[1], nodes[0], *nodes[2:]))
    yield "a node twice", with_witness(case, nodes=(*nodes, nodes[-1]))
    yield "the subject twice", with_witness(case, nodes=(*nodes, nodes[0]))
    yield "more visits than proposed hits", (*case[:6], hits - 1, paths)
    yield "fewer visits than proposed hits", (*case[:6], hits + 1, paths)
    yield from twice(case)
    yield "half an entry", node(case, 1, heard=nodes[1].heard[:-5])
    yield "an entry left out", node(case, 0, heard=nodes[0].heard[Entry.SIZE :])
    heavier = Entry.unpack(nodes[0].heard[: Entry.SIZE])
    yield (
        "another weight",
        node(case, 0, heard=replace(heavier, weight=heavier.weight + 1).pack() + nodes[0].heard[Entry.SIZE :]),
    )
    yield "a list of who has none", node(case, len(nodes) - 1, heard=bytes(12))
    for index, own in enumerate(panels[:2]):
        yield f"panel {own.id} twice", with_witness(case, panels=(*panels[: index + 1], *panels[index:]))
        first = next(k for k, place in enumerate(own.places) if place)
        other = 1 + own.places[first] % len(nodes)
        moved = own.places[:first] + bytes([other]) + own.places[first + 1 :]
        yield f"panel {own.id}, a place of somebody else", panel(case, index, places=moved)
        yield (
            f"panel {own.id}, a place behind all",
            panel(case, index, places=own.places[:first] + b"\xff" + own.places[first + 1 :]),
        )
        yield f"panel {own.id}, a place more", panel(case, index, places=own.places + b"\0")
        yield f"panel {own.id}, an endorser fewer", panel(case, index, endorsers=own.endorsers[1:])
        yield (
            f"panel {own.id}, an endorser and its place fewer",
            panel(case, index, endorsers=own.endorsers[1:], places=own.places[1:]),
        )
        yield f"panel {own.id} left out", with_witness(case, panels=panels[:index] + panels[index + 1 :])
    yield "panels do not ascend", with_witness(case, panels=panels[::-1])
    yield "an endorsement that there is not", panel(case, len(panels) - 1, id=2**31)
    yield "endorsement 0", panel(case, 0, id=0)
    yield "no panels", with_witness(case, panels=())
    yield "more paths than shown", (*case[:7], params.max_paths + 1)
    yield "no path shown", with_witness(case, paths=())
    yield "an empty path", with_witness(case, paths=(*witness.paths, b""))
    yield "a path of no node", with_witness(case, paths=(*witness.paths, bytes([len(nodes)]), b""))
    yield "the subject alone", with_witness(case, paths=(b"\0",))
    seed = next((index for index, one in enumerate(nodes) if one.account in kept.seeds and index), None)
    if seed is not None:
        yield "an edge that may not be", with_witness(case, paths=(bytes([seed, 0]),))
        yield "no way to the subject", with_witness(case, paths=(bytes([seed]),))
    for path in witness.paths:
        yield f"path {path.hex()} twice", with_witness(case, paths=(*witness.paths, path))
        yield f"path {path.hex()} without its seed", with_witness(case, paths=(path[1:],))
        if len(path) > 2:
            yield f"path {path.hex()} round in a circle", with_witness(case, paths=(path[:-1] + path[1:],))
            yield f"path {path.hex()} by the subject", with_witness(case, paths=(path + path[1:],))
    yield "an epoch earlier", (*case[:5], cut - 1, hits, paths)


def twice(case: Case) -> Iterator[tuple[str, Case]]:
    """The subject, and who is on a path, under a second index."""
    witness = case[1]
    copy = len(witness.nodes)
    for one in (0, next(path for path in witness.paths if len(path) > 2)[1]):
        nodes, places = (*witness.nodes, witness.nodes[one]), bytes.maketrans(bytes([1 + one]), bytes([1 + copy]))
        panels = tuple(replace(own, places=own.places.translate(places)) for own in witness.panels)
        moved = with_witness(case, nodes=nodes, panels=panels)
        yield f"node {one} twice, its word by the copy", moved
        paths = tuple(path[:1] + path[1:-1].replace(bytes([one]), bytes([copy])) + path[-1:] for path in witness.paths)
        yield f"node {one} twice, on its path by the copy", with_witness(moved, paths=paths)
        yield f"node {one} twice, on two paths", with_witness(moved, paths=(*witness.paths, *paths))


def _fillers(count: int) -> Iterator[Node]:
    return (Node(b"\xff" * 18 + number.to_bytes(2, "big"), 0, b"") for number in range(count))


def verdict(case: Case) -> WitnessRefused | None:
    try:
        check(*case[1:])
    except WitnessRefused as error:
        return error
    return None


def as_object(case: Case, plain: Callable[[Any], Any]) -> dict[str, Any]:
    name, witness, kept, params, account, cut, hits, paths = case
    error = verdict(case)
    return {
        "name": name,
        "alpha_bps": params.alpha_bps,
        "max_paths": params.max_paths,
        "seeds": len(kept.seeds),
        "account": plain(account),
        "cut": cut,
        "hits": plain(hits),
        "paths": paths,
        "witness": plain(witness.encode()),
        # Of each node, and of each panel, what the contract keeps.
        "heard": plain([kept.heard.get(one.account, bytes(32)) for one in witness.nodes]),
        "said": plain([kept.said.get(one.account, 0) for one in witness.nodes]),
        "is_seed": [one.account in kept.seeds for one in witness.nodes],
        "panels": plain([kept.panels.get(one.id, bytes(32)) for one in witness.panels]),
        "error": None if error is None else error.name,
        "operands": [] if error is None else plain(error.operands),
    }


def generate(plain: Callable[[Any], Any]) -> Any:
    """Valid witnesses and, of two, every change; ratings as they follow from hits and paths."""
    rng = Random("witness")
    drawn: list[Case] = []
    while sum(map(_is_rich, drawn)) < 2:
        size = rng.choice((3, 4, 5, 7))
        case = honest(rng, story(rng, size, epochs=2), f"{size} accounts", all_of_them=rng.random() < 0.5)
        drawn += [case] if case is not None else []
    rich = [case for case in drawn if _is_rich(case)]
    valid = [*drawn[:16], *rich]
    changed = [(why, *case[1:]) for chosen in rich for why, case in wrong(chosen)]
    return {
        "checks": [as_object(case, plain) for case in (*valid, *changed)],
        "ratings": [plain(row) for row in ratings(rng)],
    }


def _is_rich(case: Case) -> bool:
    witness = case[1]
    return (
        len(witness.nodes) >= 4
        and len(witness.panels) >= 2
        and all(one.heard for one in witness.nodes[:2])
        and max(map(len, witness.paths), default=0) > 2
    )


def ratings(rng: Random) -> Iterator[dict[str, Any]]:
    """Parameters, hits and paths, known accounts, what follows."""
    for _ in range(40):
        params = replace(
            STANDARD_REPUTATION,
            alpha_bps=rng.choice((100, 1_500, 9_000)),
            beta_bps=rng.choice((0, 5_000, 10_000)),
            max_paths=rng.randint(1, 8),
        )
        hits = rng.choice((0, 1, rep.ONE_MASS, 2**64 - 1, rng.getrandbits(rng.randint(1, 57))))
        paths, known = rng.randint(0, params.max_paths), rng.choice((0, 1, 2, 1_000, rng.getrandbits(30), 2**64 - 1))
        score, reference = rep.score(hits, paths, params), rep.reference(known, params)
        yield {
            **{key: value for key, value in asdict(params).items() if key in ("alpha_bps", "beta_bps", "max_paths")},
            "hits": hits, "paths": paths, "known": known, "factor_q32": params.factor_q32(paths),
            "score": score, "reference": reference, "rating_q32": rep.rating_q32(score, reference),
        }  # fmt: skip
