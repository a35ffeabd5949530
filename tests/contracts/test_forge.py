"""Forge's fuzz tests and invariants, few runs of each; 'make check' runs many (contracts/test/forge)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FEW = {"FOUNDRY_FUZZ_RUNS": "100", "FOUNDRY_INVARIANT_RUNS": "1", "FOUNDRY_INVARIANT_DEPTH": "12"}


@pytest.mark.xdist_group("forge")
def test_forge() -> None:
    """One failure a line, by name, with the sentence that does not hold."""
    # Not .bin/forge: that wrapper exits 0 whatever forge does.
    forge = next((ROOT / "node_modules" / "@foundry-rs").glob("forge-*/bin/forge"))
    answer = subprocess.run(
        [forge, "test", "--json"],
        cwd=ROOT,
        env=os.environ | FEW,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    start = answer.stdout.find("{")
    assert start >= 0, f"forge did not get as far as testing:\n{answer.stdout[-3000:]}{answer.stderr[-3000:]}"
    results = {
        f"{suite.split(':')[-1]}.{name.split('(')[0]}": result
        for suite, found in json.loads(answer.stdout[start:]).items()
        for name, result in found["test_results"].items()
    }
    assert len(results) >= 60, f"only {len(results)} tests ran"
    failed = [f"{name}: {result['reason']}" for name, result in results.items() if result["status"] != "Success"]
    assert not failed, "\n".join(failed)
    assert answer.returncode == 0
