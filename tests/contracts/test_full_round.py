"""One round through the four contracts: eight trainers, four verifiers, one of them lying; every wei accounted for."""

from __future__ import annotations

from dataclasses import replace

from test_settlement import settle, start
from world import STRANGER, World, report_of, reverts, siblings, trainer, verifier

from gradmint.spec.params import LOCAL
from gradmint.spec.types import Phase, Report, Row, Verdict

P = replace(LOCAL, min_trainers=8, min_verifiers=4, max_rounds=2)


def opinion(salt: str, noise: int) -> Report:
    """Trainer 6 repeats an update, trainer 7's blob never came; the rest are worth 1, 2, 3.. thousand micro-nats."""
    honest = report_of(8, salt=salt)
    rows = [Row(Verdict.OK, 1_000 * (i + 1) + noise, 1_000 * (i + 1) + 400 - noise) for i in range(6)]
    rows += [Row(Verdict.DUPLICATE, 3_000, 3_400), Row(Verdict.MISSING, 0, -(2**31))]
    return replace(honest, rows=tuple(rows))


def test_a_full_round(world: World) -> None:
    run = start(world, P, trainers=8, verifiers=4)
    reports = {0: opinion("truth", 0), 1: opinion("truth", 3), 2: opinion("truth", -2), 3: opinion("lie", 0)}
    assert world.phase(run) is Phase.TRAIN

    sent = settle(world, run, reports, list(range(8)))

    ledger = world.ledger(run)
    settled, final = ledger.rounds[0].settlement, ledger.final
    assert settled and settled.consensus
    assert settled.consensus.cluster == (0, 1, 2)
    assert [row.verdict for row in settled.consensus.rows] == [0] * 6 + [Verdict.DUPLICATE, Verdict.MISSING]
    paid = [standing.paid_wei for standing in final.trainers]
    assert paid[:6] == sorted(paid[:6]) and paid[0] > 0 and paid[6:] == [0, 0]
    assert [standing.paid_wei > 0 for standing in final.verifiers] == [True, True, True, False]
    assert sent["Slashed"].account == verifier(3).lower()
    slashed, prices = P.verifier_stake_wei * P.slash_bps // 10_000, 12 * P.join_price_wei
    assert world.stakes.call("burnable", run) == slashed + prices

    leaves = final.standings
    escrow = world.token.call("balanceOf", world.runs.address)
    for position, account in enumerate([trainer(i) for i in range(8)] + [verifier(v) for v in range(4)]):
        paid_wei = leaves[position].paid_wei
        args = (run, world.token.address, account, paid_wei, *siblings(leaves, position))
        before = world.token.call("balanceOf", account)
        if paid_wei == 0:
            with reverts("NothingToClaim", run, account, 0):
                world.claim(*args, sender=STRANGER)
        else:
            world.claim(*args, sender=STRANGER)
        assert world.token.call("balanceOf", account) - before == paid_wei
    assert escrow - world.token.call("balanceOf", world.runs.address) == settled.paid_wei
    world.stakes.send("burn", run, sender=STRANGER)
    assert world.clock(run)[2:] == (2, Phase.TRAIN)


def test_one_of_each_is_enough(world: World) -> None:
    run = start(world, replace(P, min_trainers=1, min_verifiers=1), trainers=1, verifiers=1)
    settle(world, run, {0: report_of(1)})
    assert all(standing.paid_wei > 0 for standing in world.ledger(run).final.standings)
