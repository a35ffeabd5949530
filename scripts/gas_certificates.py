"""What certificates cost, whole transactions on Anvil (Prague): scripts/gas.py writes these figures with its own.

python scripts/gas_certificates.py      print them
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "contracts"))

from certifying import MODEL, Certifiers, in_order  # noqa: E402
from world import STRANGER, Chain, World, anvil  # noqa: E402

from gradmint.spec.params import STANDARD  # noqa: E402


def measure_certificates(chain: Chain) -> dict[str, int]:
    """Gas by name. The signers are trainers; a verifier costs the same."""
    certifiers = Certifiers(World.on(chain))
    params = replace(STANDARD, max_trainers=max(STANDARD.max_trainers, 64))
    crowd = range(64)
    registered = certifiers.register(crowd[0])
    assert registered is not None
    run = certifiers.seated(params, crowd)

    small, of_16 = certifiers.assemble(run, crowd[:16])
    large, of_64 = certifiers.assemble(run, crowd)
    figures = {
        "certificate_register": registered.gas,
        "certificate_assemble_per_member": (of_64.gas - of_16.gas) // 48,
    }
    for group, members in ((small, crowd[:16]), (large, crowd)):
        arguments = certifiers.bls_arguments(run, group, members)
        figures[f"certificate_bls_{len(members)}"] = certifiers.contract.send(
            "verifyBls", *arguments, sender=STRANGER
        ).gas
    signatures = in_order(crowd[:15], certifiers.checkpoint(run).signed)
    figures["certificate_ecdsa_15"] = certifiers.contract.send(
        "verifyEcdsa", run, 1, MODEL, signatures, sender=STRANGER
    ).gas
    return figures


if __name__ == "__main__":
    with anvil(steady=True) as started:
        print(json.dumps(measure_certificates(started), indent=2))
