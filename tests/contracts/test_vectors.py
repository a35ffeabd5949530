"""tests/vectors/*.json against Python and against Solidity, and against the script that writes them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import vectors
from test_fuzz import as_input, check, check_consensus
from world import DEPLOYER, Chain, Contract, Reverted, deploy, params_tuple, test_artifact

from gradmint.spec import fixed, plant, rating, registration, transcript, tree
from gradmint.spec.agreement import agree, weighted_median
from gradmint.spec.committee import draw, weight
from gradmint.spec.keccak import keccak256
from gradmint.spec.mechanism import is_ejected, pay_multiplier_q32, round_budget_wei
from gradmint.spec.params import LOCAL, Params
from gradmint.spec.seeds import assigned_trainers
from gradmint.spec.types import Phase, Report, Role, Standing


@pytest.fixture(scope="module")
def protocol(chain: Chain) -> Contract:
    """What is hashed and checked around a round."""
    return deploy(chain, test_artifact("ProtocolHarness"), (), (), DEPLOYER)


def load(name: str) -> Any:
    return json.loads((vectors.VECTORS / f"{name}.json").read_text())


def hexed(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def test_planted_words(protocol: Contract) -> None:
    for before, beneficiary, secret, words, after in load("plant")["planted"]:
        who, by, blob = hexed(beneficiary), hexed(secret), hexed(after)
        assert plant.plant(hexed(before), who, by, words) == blob
        assert plant.is_planted(blob, who, by, words) and protocol.call("isPlanted", blob, who, by, words)
        last = plant.WORDS_AT + 32 * words - 1
        for at in {0, plant.WORDS_AT - 1, plant.WORDS_AT, last, len(blob) - 1}:
            other = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
            assert not plant.is_planted(other, who, by, words)
            assert not protocol.call("isPlanted", other, who, by, words)
        for short in (b"", blob[:last]):
            assert not plant.is_planted(short, who, by, words) and not protocol.call("isPlanted", short, who, by, words)


def test_assigned_trainers(protocol: Contract) -> None:
    for beacon, count, trainers, drawn in load("plant")["assigned"]:
        assert assigned_trainers(hexed(beacon), count, trainers) == drawn
        others = [t for t in (0, trainers // 2, trainers - 1, trainers) if t not in drawn]
        for trainer in (*drawn[:3], *drawn[-1:], *others):
            found = protocol.call("isAssigned", hexed(beacon), count, trainers, trainer)
            assert found == (trainer in drawn)


def test_rounds_are_replayed(protocol: Contract) -> None:
    broken = 0
    for number, trainers, before, rows, trainer, found in load("plant")["replays"]:
        call = (number, trainers, hexed(before), hexed(rows), trainer)
        if isinstance(found, int):
            broken += 1
            with pytest.raises(ValueError):
                plant.replay(*call)
            with pytest.raises(Reverted) as caught:
                protocol.call("replay", *call)
            assert (caught.value.name, caught.value.operands) == ("RoundRows", (found,))
        else:
            assert protocol.call("replay", *call) == tuple(hexed(value) for value in found)
    assert 10 < broken < 50


def test_who_waved_an_update_through(protocol: Contract) -> None:
    for case in load("plant")["accusations"]:
        stakes_wei = [int(stake_wei) for stake_wei in case["stakes_wei"]]
        record = (1, 0, case["trainers"], len(stakes_wei), 0, 0, case["revealed"], bytes(24), bytes(24))
        record += ([hexed(one) for one in case["hashes"]], stakes_wei)  # type: ignore[assignment]
        said = [[hexed(one) for one in case[name]] for name in ("heads", "rows_of")]
        exposure = (case["trainer"], bytes(32), b"", bytes(24), b"", *said)
        assert protocol.call("wavedThrough", case["words"], record, exposure) == case["guilty"]


def case_of(vector: dict[str, Any]) -> vectors.Case:
    params = Params.decode(hexed(vector["params"]))
    trainers = tuple(Standing.unpack(hexed(packed)) for packed in vector["trainers"])
    return vectors.Case(
        params,
        vector["round"],
        int(vector["budget_wei"]),
        trainers,
        tuple(Standing.unpack(hexed(packed)) for packed in vector["verifiers"]),
        tuple(int(stake) for stake in vector["stakes_wei"]),
        tuple(r and Report.unpack(hexed(r), params.words, len(trainers)) for r in vector["reports"]),
    )


def test_the_script_writes_exactly_these_files() -> None:
    for name, text in vectors.generate().items():
        assert (vectors.VECTORS / name).read_text() == text, f"{name} is stale; run 'python scripts/vectors.py'"


def test_mechanism(harness: Contract) -> None:
    for vector in load("mechanism"):
        case = case_of(vector)
        after = vectors.settled(case)
        assert vectors.consensus_plain(after.consensus) == vector["consensus"]
        assert vectors.plain([s.pack() for s in after.trainers]) == vector["trainers_after"]
        assert vectors.plain([s.pack() for s in after.verifiers]) == vector["verifiers_after"]
        assert vectors.plain(after.paid_wei) == vector["paid_wei"]
        assert vectors.plain(after.slashed_wei) == vector["slashed_wei"]
        assert after.weakest == vector["weakest"]
        (settled,) = harness.call("settle", [as_input(case)])
        check(case, settled)


def test_distances_and_medians(harness: Contract) -> None:
    for vector in load("agreement")["distances"]:
        a, b = (b"".join(hexed(word) for word in vector[side]) for side in "ab")
        assert harness.call("distanceBits", a, b)[0] == vector["bits"]
    for vector in load("agreement")["medians"]:
        values, weights = vector["values"], [int(weight) for weight in vector["weights"]]
        assert weighted_median(values, weights) == vector["median"]
        keys = sorted(value << 128 | weight for value, weight in zip(values, weights, strict=True))
        assert harness.call("weightedMedian", keys, sum(weights)) == vector["median"]


def test_agreement(harness: Contract) -> None:
    for vector in load("agreement")["agree"]:
        stakes = [int(stake) for stake in vector["stakes_wei"]]
        reports = [r and Report.unpack(hexed(r), vector["words"], vector["trainers"]) for r in vector["reports"]]
        assert vectors.consensus_plain(agree(stakes, reports, vector["accept_bits"])) == vector["consensus"]
        revealed = sum(1 << v for v, report in enumerate(reports) if report)
        packed = [report.pack() for report in reports if report]
        args = (stakes, packed, revealed, vector["words"], vector["accept_bits"], vector["trainers"])
        check_consensus(agree(stakes, reports, vector["accept_bits"]), harness.call("agree", *args))


def test_report_hashes(harness: Contract) -> None:
    for vector in load("agreement")["hashes"]:
        report, words = hexed(vector["report"]), vector["words"]
        assert Report.hash(report, words) == harness.call("reportHash", report, words) == hexed(vector["hash"])


def test_ratings(harness: Contract) -> None:
    for vector in load("rating")["rate"]:
        before, after = ([(int(mu), int(sigma)) for mu, sigma in vector[side]] for side in ("before", "after"))
        assert rating.rate(before, vector["ranks"]) == after
        mus, sigmas = ([pair[k] for pair in before] for k in (0, 1))
        assert list(zip(*harness.call("rate", mus, sigmas, vector["ranks"]), strict=True)) == after


def test_exp_roots_and_powers(harness: Contract) -> None:
    found = load("rating")
    for x, power in found["exp"]:
        assert fixed.exp_wad(int(x)) == harness.call("expWad", int(x)) == int(power)
    for text, expected in found["sqrt"]:
        x, root = int(text), int(expected)
        assert fixed.sqrt_down(x) == harness.call("sqrtDown", x) == root
        for guess in (1, root + 1, 2 * root + 7, root // 3 + 1, 2**80):
            assert harness.call("sqrtNear", x, guess) == root
    for x, halves, power in found["pow"]:
        args = int(x), halves
        assert fixed.pow_halves_q32_down(*args) == harness.call("powHalvesQ32Down", *args) == int(power)


def test_prices_of_seats(protocol: Contract) -> None:
    for *operands, price in load("registration")["prices"]:
        args = [int(operand) for operand in operands]
        assert registration.price_wei(*args) == protocol.call("priceWei", *args) == int(price)
    for paid, bump, price in load("registration")["next"]:
        assert registration.next_price_wei(int(paid), bump) == int(price)
        assert protocol.call("nextPriceWei", int(paid), bump) == int(price)
    for required, rating_q32, bps, least in load("registration")["discounts"]:
        args = int(required), rating_q32, bps
        assert registration.discounted_wei(*args) == protocol.call("discountedWei", *args) == int(least)


def test_committees(protocol: Contract) -> None:
    for beacon, stakes, ratings_q32, bps, size, mask in load("committee"):
        seats = [(int(stake), rating_q32, bps) for stake, rating_q32 in zip(stakes, ratings_q32, strict=True)]
        weights = [weight(*seat) for seat in seats]
        assert weights == [protocol.call("drawWeight", *seat) for seat in seats]
        assert draw(hexed(beacon), weights, size) == int(mask)
        assert protocol.call("draw", hexed(beacon), weights, size) == int(mask)


def test_pay_multipliers(harness: Contract) -> None:
    for least_bps, most_bps, rating_q32, multiplier_q32 in load("multiplier"):
        params = replace(LOCAL, pay_least_bps=least_bps, pay_most_bps=most_bps)
        assert pay_multiplier_q32(params, rating_q32) == multiplier_q32
        assert harness.call("payMultiplierQ32", params_tuple(params), rating_q32) == multiplier_q32


@pytest.mark.parametrize("x", [0, 1, 2**255, 2**256 - 1, 2**256 - 2, int("55" * 32, 16), int("80" * 32, 16)])
def test_popcount_is_exact_at_the_ends(harness: Contract, x: int) -> None:
    """The shorter 87-gas form found elsewhere says 0 for all ones: a complemented signature would look identical."""
    assert harness.call("popcount", x) == x.bit_count()


def test_tree(harness: Contract) -> None:
    for vector in load("tree"):
        packed = [hexed(standing) for standing in vector["standings"]]
        standings = [Standing.unpack(standing) for standing in packed]
        top = tree.root(standings)
        assert (vectors.plain(top.hash), vectors.plain(top.sum_wei)) == (vector["root"], vector["sum_wei"])
        assert harness.call("treeRoot", b"".join(packed)) == (top.hash, top.sum_wei)
        for position, proof in enumerate(vector["proofs"]):
            siblings = [hexed(sibling) for sibling in proof["siblings"]]
            assert [
                n.hash + n.sum_wei.to_bytes(16, "big") for n in tree.prove(standings, position).siblings
            ] == siblings
            account, paid_wei = standings[position].account, standings[position].paid_wei
            args = account, paid_wei, proof["right_bits"], b"".join(siblings)
            assert harness.call("climb", *args)[0] == top.hash
            nodes = tuple(tree.Node(s[:24], int.from_bytes(s[24:], "big")) for s in siblings)
            assert tree.climb(account, paid_wei, tree.Proof(proof["right_bits"], nodes)) == top


def test_a_leaf_has_128_bits_for_what_was_paid(harness: Contract) -> None:
    """More would be cut off in the hash, and claimed."""
    with pytest.raises(Reverted) as caught:
        harness.call("climb", bytes(20), 2**128, 0, b"")
    assert (caught.value.name, caught.value.operands) == ("PaidTooLarge", (2**128,))
    with pytest.raises(Reverted) as caught:
        harness.call("climb", bytes(20), 1, 0, bytes(39))
    assert (caught.value.name, caught.value.operands) == ("ProofLength", (39,))
    with pytest.raises(Reverted) as caught:
        harness.call("climb", bytes(20), 1, 0b110, bytes(40))
    assert (caught.value.name, caught.value.operands) == ("PathTooLong", (0b11,))


def test_transcript_rows(protocol: Contract) -> None:
    for vector in load("transcript")["rows"]:
        kind, before = vector["kind"], hexed(vector["before"])
        operands = [hexed(o) if isinstance(o, str) and o.startswith("0x") else int(o) for o in vector["operands"]]
        assert transcript.fold(before, transcript.Kind[kind.upper()], hexed(vector["row"])) == hexed(vector["after"])
        if kind == "phase":
            assert transcript.phase_row(operands[0], Phase(operands[1]), *operands[2:]) == hexed(vector["row"])
        if kind == "settled":
            operands = [operands[0], operands[1:]]
        if kind == "admitted":
            operands[2] = "0x" + operands[2].hex()
        name = {"settled": "settledRow", "revealed": "revealedRow"}.get(kind, kind)
        assert protocol.call(name, before, *operands) == hexed(vector["after"])


def test_beacons_and_commitments(protocol: Contract) -> None:
    for vector in load("transcript")["beacons"]:
        args = int(vector["prevrandao"]), hexed(vector["transcript"])
        assert transcript.beacon(*args) == protocol.call("beacon", *args) == hexed(vector["beacon"])
    for vector in load("transcript")["commitments"]:
        chain_id, contract, run, round_, account = vector["bound_to"]
        report_hash, salt = hexed(vector["report_hash"]), hexed(vector["salt"])
        made = transcript.commitment(chain_id, hexed(contract), run, round_, hexed(account), report_hash, salt)
        assert made == hexed(vector["commitment"])
        assert protocol.call("commitment", chain_id, contract, run, round_, account, report_hash, salt) == made


def test_params_hash_alike(protocol: Contract) -> None:
    for vector in load("params"):
        params = Params.decode(hexed(vector["encoded"]))
        assert protocol.call("paramsHash", params_tuple(params)) == keccak256(params.encode()) == hexed(vector["hash"])


def test_fixed_point(harness: Contract) -> None:
    pairs = [(0, 0), (7, 3), (10**24, 9_999), (2**32 - 1, 10_000), (2**100, 1)]
    for a, b in pairs:
        assert harness.call("mulDivDown", a, b, 7) == fixed.mul_div_down(a, b, 7)
        assert harness.call("mulQ32Down", a, b) == fixed.mul_q32_down(a, b)
        assert harness.call("bpsDown", a, b) == fixed.bps_down(a, b)
    for old, new, bps in [(0, 2**32, 1_500), (-(2**32), 2**32, 999), (5, -5, 3_333), (-7, -2, 10_000), (3, 3, 1)]:
        assert harness.call("meanTowardOld", old, new, bps) == fixed.mean_toward_old(old, new, bps)
    for least, rounds in [(1, 0), (1_000, 7), (1_000, 8), (1_000, 9), (10_000, 0), (1, 65_535)]:
        assert harness.call("runningWeightBps", least, rounds) == fixed.running_weight_bps(least, rounds)


def test_budget_and_ejection(harness: Contract) -> None:
    for args in [(1_000, 1, 60), (10**24, 60, 60), (7, 3, 5), (0, 1, 1)]:
        assert harness.call("roundBudgetWei", *args) == round_budget_wei(*args)
    for stakes in [(49, 100), (50, 100), (51, 100), (0, 1)]:
        assert harness.call("isEjected", *stakes) == is_ejected(*stakes)


def test_a_newcomers_standing(harness: Contract) -> None:
    for role in (Role.TRAINER, Role.VERIFIER):
        assert harness.call("initialStanding", "0x" + "ab" * 20, role) == Standing(b"\xab" * 20, role).pack()


RULES = {
    "BadRounds": {"max_rounds": 0},
    "BadTrainers": {"min_trainers": 0},
    "BadTrainers ": {"min_trainers": 65},
    "BadTrainers  ": {"max_trainers": 1_025},
    "BadVerifiers": {"min_verifiers": 0},
    "BadVerifiers ": {"min_verifiers": 9},
    "BadVerifiers  ": {"max_verifiers": 33},
    "BadCommittee": {"committee": 0},
    "BadCommittee ": {"committee": 33},
    "BadDuration": {"hold_s": 0},
    "BadDuration ": {"settle_s": 0},
    "ShortExit": {"exit_s": 239},
    "NoVerifierStake": {"verifier_stake_wei": 0},
    "BadWords": {"words": 0},
    "BadWords ": {"words": 17, "slash_bits": 160},
    "BadBits": {"accept_bits": 161},
    "BadBits ": {"slash_bits": 1_024},
    "BadBps": {"verifier_share_bps": 10_001},
    "BadBps ": {"slash_bps": 10_001},
    "BadBps  ": {"penalty_bps": (10_000, 10_001, 1, 1, 1, 1, 1, 1, 1)},
    "BadWeight": {"value_weight_bps": 0},
    "BadWeight ": {"proof_weight_bps": 10_001},
    "BadWeight  ": {"recovery_bps": 0},
    "BadWeight   ": {"recovery_bps": 10_001},
    "BadBps   ": {"ban_trust_bps": 10_001},
    "BadBps    ": {"join_bump_bps": 10_001},
    "BadWeight    ": {"bonds_weight_bps": 0},
    "NoHalfLife": {"join_half_life_s": 0},
    "NoBanRounds": {"ban_rounds": 0},
    "BadBps     ": {"sortition_bps": 10_001},
    "BadPayRange": {"pay_least_bps": 0},
    "BadPayRange ": {"pay_least_bps": 10_001},
    "BadPayRange  ": {"pay_most_bps": 40_001},
    "BadDiscount": {"discount_bps": 2_501},
    "BadExponent": {"value_exponent_halves": 1},
    "BadExponent ": {"value_exponent_halves": 7},
    "NoTop": {"top": 0},
    "BadWindow": {"challenge_s": 1, "exit_s": 999},
    "BadWindow ": {"extension_s": 1, "exit_s": 999},
    "BadWindow  ": {"challenge_s": 1, "extension_s": 2, "exit_s": 999},
    "BadBond": {"proposal_bond_wei": 1},
    "BadSplit": {"challenger_bps": 5_001},
    "BadSplit ": {"challenger_bps": 4_000, "burn_bps": 6_001},
    "BadPenalty": {"penalty_bps": (9_999, 1, 1, 1, 1, 1, 1, 1, 1)},
}


@pytest.mark.parametrize("name", RULES)
def test_params_rules_are_the_specifications(protocol: Contract, name: str) -> None:

    from gradmint.spec.errors import MalformedParams

    broken = replace(LOCAL, **RULES[name])
    with pytest.raises(MalformedParams):
        broken.check()
    with pytest.raises(Reverted) as caught:
        protocol.call("check", params_tuple(broken))
    assert caught.value.name == name.strip()
    assert protocol.call("check", params_tuple(LOCAL)) == keccak256(LOCAL.check().encode())


def test_random_params_are_judged_alike(protocol: Contract) -> None:
    from dataclasses import fields, replace
    from random import Random

    from gradmint.spec.errors import MalformedParams

    rng = Random("rules")
    names = [f.name for f in fields(Params) if f.name not in ("manifest", "model", "penalty_bps")]
    widths = {"trainer_stake_wei": 128, "verifier_stake_wei": 128, "target_loss_micronats": 32, "words": 8,
              "join_price_wei": 128, "proposal_bond_wei": 128, "value_exponent_halves": 8, "min_verifiers": 8,
              "max_verifiers": 8, "committee": 8}  # fmt: skip
    refused = 0
    for _ in range(150):
        name = rng.choice(names)
        width = widths.get(name, 32 if name.endswith("_s") else 16)
        params = replace(LOCAL, **{name: rng.choice((0, 1, rng.getrandbits(width), 10_000, 10_001)) % 2**width})
        try:
            params.check()
        except MalformedParams:
            refused += 1
            with pytest.raises(Reverted):
                protocol.call("check", params_tuple(params))
        else:
            protocol.call("check", params_tuple(params))
    assert 20 < refused < 130
