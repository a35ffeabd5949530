#!/usr/bin/env python3
"""Plant defects in a copy of the contracts, one after the other, and see whether the tests notice.

    python scripts/mutate.py             all of them; exit 1 when one survives or no longer applies
    python scripts/mutate.py WORD ...    only those whose name has one of these words
    python scripts/mutate.py --check     only whether each still applies

Each is caught by the quickest tests that should: libraries by their fuzz tests, contracts by the tests of their name in
contracts/test/forge, certificates by theirs on Anvil. Every branch in assembly is among them: coverage cannot see
those.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / ".build" / "mutate"
LIBRARIES = ROOT / ".build" / "mutate-libraries"  # libraries alone, with their tests: seconds to compile, not minutes
REPUTATION = ROOT / ".build" / "mutate-reputation"  # likewise that contract, which depends on no other's code
FORGE = "contracts/test/forge"
RUNS = ("--match-path", f"{FORGE}/Runs.t.sol")
STAKES = ("--match-path", f"{FORGE}/Stakes.t.sol")
ROUNDS = ("--match-path", f"{FORGE}/Rounds.t.sol")
DOCKET = ("--match-path", f"{FORGE}/Docket.t.sol")
EXPOSURES = ("--match-path", f"{FORGE}/Exposures.t.sol")
RATED = ("--match-path", f"{FORGE}/Rated.t.sol")
GAME = ("--match-test", "test_a_long_game")
TREE = ("--match-path", f"{FORGE}/Tree.t.sol")
FIXED = ("--match-path", f"{FORGE}/Fixed.t.sol")
AGREEMENT = ("--match-path", f"{FORGE}/Agreement.t.sol")
SELECTION = ("--match-path", f"{FORGE}/Selection.t.sol")
LIBRARY_SUITES = (TREE, FIXED, AGREEMENT, SELECTION)
WITNESS = ("--match-path", f"{FORGE}/Witness.t.sol")
RATINGS = ("--match-path", f"{FORGE}/Reputation.t.sol")
HARVEST = ("--match-path", f"{FORGE}/Harvest.t.sol")
REPUTATION_SUITES = (WITNESS, RATINGS, HARVEST)
REPUTATION_FILES = (
    "contracts/Reputation.sol", f"{FORGE}/Endorsed.sol", f"{FORGE}/MoodyToken.sol", f"{FORGE}/Vm.sol",
    f"{FORGE}/Witnessed.sol",
)  # fmt: skip
CERTIFICATES = ("pytest", "tests/contracts/test_certificates.py", "-k", "rogue_key")


@dataclass(frozen=True)
class Mutation:
    breaks: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTATIONS = (
    # Money
    Mutation(
        "a root may promise more than was deposited", "Runs.sol",
        "if (totalWei > settled.depositedWei) revert Insolvent(totalWei, settled.depositedWei);", "", RUNS,
    ),
    Mutation(
        "a total may shrink", "Runs.sol",
        "if (totalWei < settled.totalWei) revert TotalShrank(settled.totalWei, totalWei);", "", RUNS,
    ),
    Mutation("a claim is not written down", "Runs.sol", "paid.cumulativeWei = cumulativeWei;", "", RUNS),
    Mutation(
        "the root is not bound to its token", "Runs.sol", "mstore(0x18, shl(96, token))", "mstore(0x18, 0)", RUNS,
    ),
    Mutation(
        "refunds before all is settled", "Runs.sol",
        "if (!settlement.isCaughtUp(run)) revert NotSettled(run);", "", RUNS,
    ),
    Mutation(
        "a lie pays out other runs' money", "Runs.sol",
        "if (drawnWei > _runs[run].totalWei) revert Overdrawn(run, drawnWei, _runs[run].totalWei);", "", DOCKET,
    ),
    # Stakes
    Mutation("the price is not burned", "Stakes.sol", "burnable[run] += priceWei;", "", STAKES),
    Mutation(
        "a bond is not locked", "Stakes.sol",
        "_requireFree(run, account, amountWei).lockedWei += amountWei;", "_requireFree(run, account, amountWei);",
        DOCKET,
    ),
    Mutation(
        "the liar is its own beneficiary", "Stakes.sol",
        "bondOf[run][beneficiary].amountWei += rewardWei;", "bondOf[run][account].amountWei += rewardWei;", DOCKET,
    ),
    Mutation(
        "a stake leaves before its delay is over", "Stakes.sol",
        "if (block.timestamp < stake.releaseS) revert StillLocked(stake.releaseS, block.timestamp);", "", STAKES,
    ),
    # Exposures
    Mutation(
        "an update is exposed again and again", "Stakes.sol",
        "if (exposed[run][round][trainer]) revert AlreadyExposed(run, round, trainer);", "", EXPOSURES,
    ),
    Mutation(
        "a seat's next holder pays for the one before", "Stakes.sol",
        "if (newcomer) guilty &= ~(uint32(1) << uint32(v));", "", EXPOSURES,
    ),
    Mutation(
        "what is seized is the exposer's alone", "Stakes.sol",
        "bondOf[run][msg.sender].amountWei += rewardWei;", "bondOf[run][msg.sender].amountWei += takenWei;", EXPOSURES,
    ),
    Mutation(
        "who has too little left stays", "Stakes.sol",
        "if (Mechanism.isEjected(leftWei, params.verifierStakeWei)) rounds.retire(run, account);", "", EXPOSURES,
    ),
    Mutation(
        "rows of another round will do", "libraries/Plant.sol",
        "if (transcript != record.transcript) revert IRounds.TranscriptMismatch(record.transcript, transcript);", "",
        EXPOSURES,
    ),
    Mutation(
        "rows may begin anywhere in the round", "libraries/Plant.sol",
        "if (offset == 0 && bytes4(row) != bytes4(abi.encodePacked(Transcript.PHASE, round, Phase.TRAIN))) {",
        "if (offset == 0 && uint8(row[0]) != Transcript.PHASE) {", EXPOSURES,
    ),
    Mutation(
        "the last submission counts", "libraries/Plant.sol",
        "if (kind == Transcript.SUBMITTED && !submitted && ", "if (kind == Transcript.SUBMITTED && ", EXPOSURES,
    ),
    Mutation(
        "words do not follow from the update", "libraries/Plant.sol",
        "keccak256(blob[:WORDS_AT]), keccak256(blob[end:])", "keccak256(blob[:WORDS_AT]), bytes32(0)", EXPOSURES,
    ),
    Mutation(
        "anybody's plant is anybody's", "libraries/Plant.sol",
        "keccak256(abi.encodePacked(beneficiary, secret,", "keccak256(abi.encodePacked(address(0), secret,", EXPOSURES,
    ),
    Mutation(
        "everybody has to look at everything", "libraries/Plant.sol",
        "if (count >= trainers) return true;", "if (true) return true;", EXPOSURES,
    ),
    Mutation(
        "who was drawn can be drawn again", "libraries/Plant.sol",
        "moved[place] = moved[i] == 0 ? i + 1 : moved[i];", "", EXPOSURES,
    ),
    Mutation(
        "who said something else is guilty too", "libraries/Plant.sol",
        "if (verdict == OK && record.stakesWei[v] != 0)", "if (record.stakesWei[v] != 0)", EXPOSURES,
    ),
    # Rounds
    Mutation(
        "a submission at the deadline", "Rounds.sol",
        "if (block.timestamp >= clock_.deadline) revert Overdue(clock_.deadline, block.timestamp);\n"
        "        Seat storage",
        "if (block.timestamp > clock_.deadline) revert Overdue(clock_.deadline, block.timestamp);\n"
        "        Seat storage", ROUNDS,
    ),
    Mutation(
        "newcomers act in the round they joined in", "Rounds.sol",
        "if (seat_.sinceRound > round) revert NotYet(seat_.sinceRound, round);", "", ROUNDS,
    ),
    Mutation(
        "an account takes two seats", "Seats.sol",
        "if (_seats[run][account].role != Role.NONE) revert AlreadySeated(run, account);", "", ROUNDS,
    ),
    Mutation(
        "acts of outsiders count", "Rounds.sol",
        "if (m.active & bit == 0) revert NotOnCommittee(run, verifier);", "", ROUNDS,
    ),
    Mutation(
        "everyone is called in again and again", "Rounds.sol", "if (m.active == eligible) return false;", "", GAME,
    ),
    # Settlement
    Mutation(
        "final before the window is over", "Settlement.sol",
        "if (block.timestamp < finalS) revert NotFinal(first.round, finalS, block.timestamp);", "", DOCKET,
    ),
    Mutation(
        "a challenge gains no time", "Settlement.sol",
        "lapsed && open.untilS > first.finalS ? open.untilS : first.finalS", "first.finalS", DOCKET,
    ),
    Mutation(
        "a true proposal can be refuted", "Settlement.sol",
        "if (Docket.hash(outcome) == Docket.hash(pending[place].outcome)) revert NotRefuted(run, round);", "",
        DOCKET,
    ),
    Mutation(
        "who left is forgotten", "Settlement.sol",
        "runs.keep(run, address(uint160(effects.left[i])), effects.left[i + 1]);", "", ROUNDS,
    ),
    # Ratings in runs
    Mutation(
        "a newcomer starts with the most", "Transition.sol",
        "payMultiplierQ32(params, 0)", "payMultiplierQ32(params, type(uint32).max)", RATED,
    ),
    Mutation(
        "a rating changes no pay", "Transition.sol",
        "leaf.setReputationQ32(Mechanism.payMultiplierQ32(params, ratingQ32));", "", RATED,
    ),
    Mutation(
        "who left is rated", "Seats.sol",
        "if (role == Role.NONE || seat_.retired) revert", "if (role == Role.NONE) revert", RATED,
    ),
    Mutation(
        "everybody has the whole discount", "Stakes.sol",
        "reputation.ratingOf(msg.sender), discountBps", "type(uint32).max, discountBps", RATED,
    ),
    Mutation("ratings weigh in no draw", "Stakes.sol", "if (sortitionBps == 0) continue;", "continue;", RATED),
    # Reputation
    Mutation(
        "what the subject says counts for it", "libraries/Witnesses.sol",
        "if (account != subject && said != 0)", "if (said != 0)", WITNESS,
    ),
    Mutation(
        "a place names whom it likes", "libraries/Witnesses.sol",
        "if (place > sheet.accounts.length || sheet.accounts.get(place - 1) != uint160(endorsers[p])) {",
        "if (place > sheet.accounts.length) {", WITNESS,
    ),
    Mutation("the cut is ignored", "libraries/Witnesses.sol", "if (epoch > cut) continue;", "", WITNESS),
    Mutation(
        "an ended vouch counts", "libraries/Witnesses.sol", "_strikeOut(sheet, id ^ Endorsements.ENDS);", "", WITNESS,
    ),
    Mutation(
        "paths share an account", "libraries/Witnesses.sol", "if (met.get(i) == account) return false;", "", WITNESS,
    ),
    Mutation(
        "a path passes another seed", "libraries/Witnesses.sol",
        "if ((facts.seeds >> next) & 1 == 1 || !_isNew(", "if (!_isNew(", WITNESS,
    ),
    Mutation(
        "a panel comes twice", "libraries/Witnesses.sol",
        "if (k != 0 && id <= sheet.ids.get(k - 1))", "if (k != 0 && id < sheet.ids.get(k - 1))", WITNESS,
    ),
    Mutation(
        "hits are not those of the witness", "libraries/Witnesses.sol",
        "if (i == 0 && hits > visits) revert IReputation.TooManyVisits(0, visits, hits);", "", WITNESS,
    ),
    Mutation(
        "a stake is free an epoch too early", "Reputation.sol",
        "found.endedEpoch + 2 : type(uint32).max", "found.endedEpoch + 1 : type(uint32).max", RATINGS,
    ),
    Mutation(
        "a vouch that ended is said on", "Reputation.sol", "said.total -= ended.weight;", "", RATINGS,
    ),
    Mutation(
        "a bond is not taken", "Reputation.sol",
        "_take(msg.sender, _bondWei);\n        // Blocks", "// Blocks", RATINGS,
    ),
    Mutation(
        "a tally forgets an epoch in which nothing was said", "libraries/Tallies.sol",
        "passed == 1 ? self.before : self.total", "self.before", RATINGS,
    ),
    Mutation(
        "a rating never lapses", "Reputation.sol",
        "epoch() > found.ratingCut + LAPSE_EPOCHS ? 0 : found.ratingQ32", "found.ratingQ32", RATINGS,
    ),
    Mutation(
        "who left its seat speaks", "Reputation.sol",
        "seat.role == Role.VERIFIER && !seat.retired && ", "seat.role == Role.VERIFIER && ", HARVEST,
    ),
    Mutation(
        "the banned are endorsed", "libraries/Endorsements.sol", " && leaf.banRound() < round;", ";", HARVEST,
    ),
    Mutation(
        "an old ban costs a stake", "Reputation.sol",
        "if (leaf.account() != account || leaf.banRound() < rounds.clock(run).round) {",
        "if (leaf.account() != account || leaf.banRound() == 0) {", HARVEST,
    ),
    # Libraries
    Mutation("who is drawn stays among those to draw from", "libraries/Committee.sol",
        "weights.set(chosen, 0);", "", GAME),
    Mutation("a leaf is tagged like a node", "libraries/StandingTree.sol",
        "mstore8(0x00, 0x00)", "mstore8(0x00, 0x01)", TREE),
    Mutation(
        "sums of siblings are left out of the climb", "libraries/StandingTree.sol",
        "paidWei := add(paidWei, calldataload(add(sibling, 0x08)))", "", TREE,
    ),
    Mutation("half of the stake is a quorum", "libraries/Agreement.sol",
        "if (3 * clusterWei <= 2 * committeeWei)", "if (2 * clusterWei <= committeeWei)", AGREEMENT),
    Mutation("the last of equals is the medoid", "libraries/Agreement.sol",
        "nearBits < leastBits", "nearBits <= leastBits", AGREEMENT),
    Mutation("a commitment holds on every chain", "libraries/Transcript.sol",
        "abi.encode(chainId, contract_,", "abi.encode(uint256(0), contract_,", AGREEMENT),
    Mutation("payouts are rounded up", "libraries/Fixed.sol",
        "quotient := div(mul(a, b), denominator)",
        "quotient := div(add(mul(a, b), sub(denominator, 1)), denominator)", FIXED),
    Mutation("the price falls below its floor", "libraries/Registration.sol",
        "return leftWei > floorWei ? uint128(leftWei) : floorWei;", "return uint128(leftWei);", FIXED),
    Mutation("the pool gets the reward as well", "libraries/Docket.sol",
        "poolWei = bondWei - rewardWei - burnWei;", "poolWei = bondWei - burnWei;", FIXED),
    Mutation("all bits set count as none", "libraries/Hamming.sol",
        "x := add(and(x, LANES), and(shr(8, x), LANES))\n            bits := shr(240, mul(x, ONES))",
        "bits := shr(248, mul(x, 0x0101010101010101010101010101010101010101010101010101010101010101))", FIXED),
    Mutation("whom nobody replaces is paid by the others", "libraries/Selection.sol",
        "if (replaced > 0) (replaced, part)", "(replaced, part)", SELECTION),
    Mutation("of equals, who did not fail goes first", "libraries/Selection.sol",
        "key << 65 | uint256(uint32(one >> 32)) << 32 | (one >> 64) & 1",
        "key << 65 | one & ((1 << 65) - (1 << 32))", SELECTION),
    # Branches in assembly
    Mutation("a root is taken a step too early", "libraries/Fixed.sol",
        "if iszero(lt(lower, root)) { break }", "if iszero(lt(add(lower, 1), root)) { break }", FIXED),
    Mutation("the last chunk is hashed with what is behind it", "libraries/Reports.sol",
        "if gt(length, step) { length := step }", "length := step", AGREEMENT),
    Mutation("a median needs more than half", "libraries/Rows.sol",
        "if iszero(lt(weight, left)) { break }", "if gt(weight, left) { break }", AGREEMENT),
    Mutation("what is left over is sorted the other way", "libraries/Sort.sol",
        "if iszero(gt(before, key)) { break }", "if iszero(lt(before, key)) { break }", TREE),
    Mutation("a run without a partner is lost", "libraries/Sort.sol",
        "mcopy(k, i, sub(end, i)) // the last run has no partner", "", TREE),
    Mutation("the last run is as long as the others", "libraries/Sort.sol",
        "if gt(last, end) { last := end }", "", TREE),
    Mutation("the wrong one of two runs is watched", "libraries/Sort.sol",
        "if gt(mload(sub(middle, 0x20)), mload(sub(last, 0x20))) {",
        "if lt(mload(sub(middle, 0x20)), mload(sub(last, 0x20))) {", TREE),
    Mutation("the greater of two goes first", "libraries/Sort.sol", "if lt(b, a) {", "if gt(b, a) {", TREE),
    Mutation("a run ends one too early", "libraries/Sort.sol",
        "if eq(i, middle) { break }", "if eq(add(i, 0x20), middle) { break }", TREE),
    Mutation("what was sorted elsewhere stays there", "libraries/Sort.sol",
        "if iszero(eq(from, add(array, 0x20))) { mcopy(add(array, 0x20), from, size) }", "", TREE),
    Mutation("a node without a sibling does not rise", "libraries/StandingTree.sol",
        "if and(count, 1) { mcopy(to, from, 0x28) }", "", TREE),
    # Certificates
    Mutation("keys are registered without a proof of possession", "Certificates.sol",
        "if (!Bls.verify(Bls.g2(key), possessionDigest(msg.sender, key), POSSESSION_TAG, Bls.g1(proof))) {",
        "if (proof.length == 0) {", CERTIFICATES),
)  # fmt: skip


def home(tests: Sequence[str]) -> Path:
    """The copy in which a suite is run."""
    return LIBRARIES if tests in LIBRARY_SUITES else REPUTATION if tests in REPUTATION_SUITES else COPY


def fresh_copies() -> None:
    """What the tests need, without what only costs time to compile. The forge cache of the last time is kept."""
    few = ("contracts", "scripts")
    for copy, folders in ((COPY, (*few, "tests", "src")), (LIBRARIES, few), (REPUTATION, few)):
        copy.mkdir(parents=True, exist_ok=True)
        for name in folders:
            shutil.rmtree(copy / name, ignore_errors=True)
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("foundry.toml", "pyproject.toml"):
            shutil.copy(ROOT / name, copy / name)
        if not (copy / "node_modules").is_symlink():
            (copy / "node_modules").symlink_to(ROOT / "node_modules")
        shutil.rmtree(copy / "contracts" / "proofs")
    for copy, suites, files in (
        (LIBRARIES, LIBRARY_SUITES, (f"{FORGE}/Vm.sol",)),
        (REPUTATION, REPUTATION_SUITES, REPUTATION_FILES),
    ):
        wanted = {copy / tests[1] for tests in suites} | {copy / name for name in files}
        for file in (copy / "contracts").rglob("*.sol"):
            if file.parent.name not in ("libraries", "interfaces") and file not in wanted:
                file.unlink()


def run(tests: Sequence[str]) -> tuple[bool, str]:
    """Whether all passed, and the first that did not, with what it said."""
    if tests[0] == "pytest":
        settings = {"PYTHONPATH": str(COPY / "src"), "GRADMINT_SOLC_OFFLINE": "1"}
        subprocess.run([sys.executable, "scripts/compile.py"], cwd=COPY, env=os.environ | settings, check=True,
                       capture_output=True)  # fmt: skip
        answer = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests[1:]],
            cwd=COPY, env=os.environ | settings, capture_output=True, text=True, check=False,
        )  # fmt: skip
        failed = [line.split("::")[-1] for line in answer.stdout.splitlines() if line.startswith("FAILED")]
        return answer.returncode == 0, failed[0].split(" ")[0] if failed else answer.stdout[-200:]
    # Not .bin/forge: that wrapper exits 0 whatever forge does.
    forge = next((ROOT / "node_modules" / "@foundry-rs").glob("forge-*/bin/forge"))
    # Certificates and the harnesses are nobody's business here.
    skip = ["--skip", "Certificates", "--skip", "Harness", "--skip", "contracts/dev"]
    answer = subprocess.run(
        [forge, "test", "--json", "--fuzz-runs", "1000", *skip, *tests],
        cwd=home(tests), env=os.environ | {"GRADMINT_ROOT": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    start = answer.stdout.find("{")
    if start < 0:
        raise SystemExit(f"mutate: forge did not get as far as testing\n{answer.stdout[-2000:]}{answer.stderr[-2000:]}")
    for suite in json.loads(answer.stdout[start:]).values():
        for name, result in suite["test_results"].items():
            if result["status"] == "Failure":
                return False, f"{name.split('(')[0]}: {result.get('reason') or ''}".strip(": ")
    return answer.returncode == 0, ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="run nothing; exit 1 when a mutation no longer applies")
    parser.add_argument("words", nargs="*", help="parts of names")
    options = parser.parse_args()
    chosen = [m for m in MUTATIONS if not options.words or any(word in m.breaks for word in options.words)]
    bad = 0
    for mutation in chosen:
        places = (ROOT / "contracts" / mutation.file).read_text().count(mutation.old)
        if places != 1:
            print(f"gone     {mutation.breaks}: {mutation.file} has its text {places} times")
            bad += 1
    if options.check or bad:
        return 1 if bad else 0

    fresh_copies()
    for tests in dict.fromkeys(mutation.tests for mutation in chosen):
        passed, failure = run(tests)
        if not passed:
            raise SystemExit(f"mutate: {' '.join(tests)} fails without a mutation: {failure}")
    for mutation in chosen:
        file = home(mutation.tests) / "contracts" / mutation.file
        text = file.read_text()
        started = time.monotonic()
        file.write_text(text.replace(mutation.old, mutation.new))
        passed, failure = run(mutation.tests)
        file.write_text(text)
        bad += passed
        verdict = "SURVIVED" if passed else "caught  "
        print(
            f"| {verdict} | {mutation.file} | {mutation.breaks} | {failure} | {time.monotonic() - started:.0f} s |",
            flush=True,
        )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
