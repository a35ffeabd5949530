"""On Anvil, with processes: a planter, a verifier that does not look, and an audit that finds it all."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradmint.cli.demo import Demo, Plan
from gradmint.spec.params import LOCAL
from gradmint.spec.types import Role, Verdict

pytestmark = pytest.mark.xdist_group("plant")

ROUNDS = 4


@pytest.mark.parametrize("propose", [False, True], ids=["direct", "proposing"])
def test_rubber_stamping_loses_money_and_looking_does_not(tmp_path: Path, propose: bool) -> None:
    plan = Plan(
        task="digits",
        rounds=ROUNDS,
        trainers=4,
        verifiers=4,
        adversaries=("planter",),
        bad_verifiers=("rubber-stamp",),
        seed=0,
        out=tmp_path / "demo",
        quiet=True,
        propose=propose,
    ).check()
    demo = Demo(plan)
    result = demo.play()
    assert result.failures == []
    audit, ledger = result.audit, result.audit.ledger
    assert audit.ok and len(audit.rounds) == ROUNDS

    accounts = {(person.role, person.strategy): bytes.fromhex(person.account.address[2:]) for person in demo.cast}
    lazy, planter = accounts[Role.VERIFIER, "rubber-stamp"], accounts[Role.TRAINER, "planter"]
    # Three of its updates are found, then it is banned; each was waved through by the one who does not look.
    assert [round_.verdicts[3] for round_ in audit.rounds[:3]] == [Verdict.UNPROVEN] * 3
    assert [event.round for event in ledger.exposed] == [1, 2, 3]
    assert {row.account for row in ledger.seized} == {lazy}
    assert {event.exposer for event in ledger.exposed} == {planter}
    lost_wei = sum(row.lost_wei for row in ledger.seized)
    assert ledger.seized[0].lost_wei == LOCAL.verifier_stake_wei * LOCAL.slash_bps // 10_000
    assert ledger.bonds_wei[planter] == sum(row.reward_wei for row in ledger.seized)
    earned = {row.account: row.earned_wei for row in result.outcomes}
    slashed = {row.account: row.slashed_wei for row in result.outcomes}
    honest = [row for row in result.outcomes if (row.role, row.strategy) == ("verifier", "honest")]
    assert slashed[lazy] == lost_wei > 0
    assert all(wei == 0 for account, wei in slashed.items() if account != lazy)
    assert earned[lazy] - lost_wei < min(row.earned_wei for row in honest)
    assert [row["round"] for row in result.summary["exposures"]] == [1, 2, 3]
