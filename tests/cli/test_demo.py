"""What the demo promises of exposures, judged without playing one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gradmint.cli.demo import Demo, Plan
from gradmint.cli.promises import broken_exposures
from gradmint.spec.events import Seized
from gradmint.spec.ledger import Ledger
from gradmint.spec.params import LOCAL

PLAN = Plan(
    task="digits",
    rounds=4,
    trainers=4,
    verifiers=4,
    adversaries=("planter",),
    bad_verifiers=("rubber-stamp",),
    seed=0,
    out=Path("nowhere"),
    quiet=True,
)


def broken(plan: Plan, *losers: int) -> list[str]:
    """By numbers of the verifiers who lost stake."""
    demo, ledger = Demo(plan), Ledger(1)
    ledger.params = LOCAL
    accounts = [bytes.fromhex(person.account.address[2:]) for person in demo.cast[plan.trainers :]]
    ledger.seized = [
        Seized(run=1, account=accounts[v], beneficiary=b"", reward_wei=1, burn_wei=1, pool_wei=1) for v in losers
    ]
    return broken_exposures(plan, demo.cast, ledger)


@pytest.mark.parametrize(
    ("plan", "losers", "complaints"),
    [
        (PLAN, [3], 0),
        (PLAN, [], 1),
        (PLAN, [2, 3], 1),
        (PLAN, [2], 2),
        (replace(PLAN, bad_verifiers=("liar",)), [3], 0),
        (replace(PLAN, bad_verifiers=("liar",)), [0], 1),
        (replace(PLAN, adversaries=("copycat",)), [], 0),
        (replace(PLAN, propose=True), [2, 3], 1),
        (replace(PLAN, trainers=40), [], 0),
    ],
)
def test_who_looks_loses_nothing(plan: Plan, losers: list[int], complaints: int) -> None:
    """A liar calls everything OK, and so loses as who does not look; of forty trainers the planter may not be asked."""
    assert len(broken(plan, *losers)) == complaints
