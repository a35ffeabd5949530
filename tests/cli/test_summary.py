"""What the summary says of exposures."""

from __future__ import annotations

from gradmint.cli.summary import exposures
from gradmint.spec.events import Exposed, Seized
from gradmint.spec.ledger import Ledger


def test_two_exposures_in_one_transaction_are_two() -> None:
    ledger, same = Ledger(1), b"\1" * 32
    for log, (account, reward_wei) in enumerate([(b"\7" * 20, 4), (b"\x08" * 20, 6)]):
        at = 2 * log
        ledger.exposed.append(
            Exposed(
                run=1, position=(5, at), tx_hash=same, round=1, trainer=log, exposer=b"\2" * 20, secret=b"", guilty=1
            )
        )
        money = {"reward_wei": reward_wei, "burn_wei": 1, "pool_wei": 1}
        ledger.seized.append(
            Seized(run=1, position=(5, at + 1), tx_hash=same, account=account, beneficiary=b"\2" * 20, **money)
        )
    found = exposures(ledger)
    assert [row["lost_wei"] for row in found] == [{f"0x{'07' * 20}": "6"}, {f"0x{'08' * 20}": "8"}]
    assert [row["reward_wei"] for row in found] == ["4", "6"]
