"""Random histories of the contract Reputation."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from gradmint.spec.reputation_params import ReputationParams
from gradmint.study.scribe import Scribe

from .graphs import account as person


@st.composite
def histories(draw: st.DrawFn, most: int = 8, epochs: int = 3) -> Scribe:
    """Harvests, vouches and their ends among 2 to ``most`` accounts, the first one or two of which are seeds."""
    random = Random(draw(st.integers(0, 2**32 - 1)))
    params = ReputationParams(
        alpha_bps=draw(st.sampled_from([100, 1_500, 4_000, 9_000])), max_paths=draw(st.integers(1, 8))
    ).check()
    names = [person(number) for number in range(draw(st.integers(2, most)))]
    scribe = Scribe(params, names[: draw(st.integers(1, 2))])
    for _ in range(epochs):
        for run in range(random.randint(0, 2)):
            chosen = random.sample(names, random.randint(2, len(names)))
            speak = random.randint(1, len(chosen) - 1)
            scribe.harvest(
                run, chosen[:speak], {one: random.choice((1, 10 ** random.randint(0, 6))) for one in chosen[speak:]}
            )
        for _ in range(random.randint(0, 2 * len(names))):
            pair = tuple(random.sample(names, 2))
            if pair not in scribe.book.vouches:
                scribe.vouch(*pair, random.choice((10**18, random.randint(10**18, 10**21))))
        for pair, locked in scribe.book.vouches.items():
            if locked.ended_epoch is None and random.random() < 0.3:
                scribe.unvouch(*pair)
        scribe.wait()
    return scribe
