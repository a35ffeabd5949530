"""A small study of the digits task: what is told apart, what is kept, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gradmint.learn import proof
from gradmint.learn.codec import Header
from gradmint.learn.manifest import UNCALIBRATED, Manifest, load_task
from gradmint.learn.numerics import Numerics
from gradmint.learn.signature import distance_bits
from gradmint.learn.tolerances import TOLERANCES
from gradmint.spec.errors import ManifestError, SettingsError
from gradmint.study import trainers
from gradmint.study.audits import SEAT, Audit, Comparison, local_of, turns
from gradmint.study.calibration import Calibration
from gradmint.study.cheats import REPORTS
from gradmint.study.evidence import Scene, honest_configurations, moments
from gradmint.study.page import write_page
from gradmint.study.redteam import Played, RedTeam, audited, strict
from gradmint.study.samples import RETRAINED, TRAINED, Plan, collect, measure
from gradmint.study.tolerances import audit_findings_of

from .conftest import ATTACKING, CALIBRATING

WITHIN_BF16 = {"int8", "stale by 1 step"}  # what these change is no more than bfloat16 rounds away


def team(played: list[Played], policy: str) -> RedTeam:
    return next(found for one in played for found in one.teams if found.policy == policy)


def always(found: RedTeam) -> set[str]:
    return {attack.name for attack in found.attacks if attack.caught}


def test_float32_alone_catches_every_other_computation(played: list[Played]) -> None:
    assert always(team(played, "report, float32 alone")) == {cheat.name for cheat in REPORTS}


def test_a_policy_with_bfloat16_catches_all_that_is_coarser_than_bfloat16(played: list[Played]) -> None:
    found = team(played, "report, as admitted")
    names = {attack.name for attack in found.attacks}
    assert "bf16" not in names
    assert always(found) >= names - WITHIN_BF16


def test_what_trainers_did_not_do_is_found(played: list[Played]) -> None:
    """By the tolerances of a policy that admits bfloat16, but for what is as fine; and no audit is skipped."""
    everything = {cheat.name for cheat in (*trainers.INTERVALS, *trainers.CLAIMS)}
    found = team(played, "training, as admitted")
    assert {attack.name for attack in found.attacks} == everything
    assert always(found) >= everything - {"gradients in 8 bits", "words of a stale model"}
    strictly = team(played, "training, float32 alone")
    assert always(strictly) >= everything - {"gradients in 8 bits"}
    assert {attack.name for attack in strictly.attacks} == {*everything, "bf16 training", "bf16 claims"}


def test_float32_alone_has_tighter_tolerances(played: list[Played]) -> None:
    wide, tight = (one.calibration.training.by_name for one in played)
    assert all(0 < tight[name] < wide[name] for name in TOLERANCES)


def test_nobody_honest_is_called_wrong(played: list[Played]) -> None:
    for one in played:
        for found in one.teams:
            for rate in (found.alarms.one, found.alarms.three, found.alarms.quorum, found.alarm_scenes):
                assert rate.hits == 0, found.policy
            assert found.alarms.one.trials > 0 and found.alarm_scenes.trials > 0
        assert one.calibration.training.comparisons.hits == 0  # a tolerance is never below what it was made from


def test_rules_hold_up_to_the_quorum(played: list[Played]) -> None:
    rules = {rule.name: rule.caught for rule in team(played, "report, as admitted").rules}
    assert [name for name, caught in rules.items() if not caught] == ["colluding 5 of 7, above quorum"]
    assert len(rules) == 8


def test_a_study_goes_on_where_it_was_interrupted(
    manifest: Manifest, played: list[Played], samples_file: Path, tmp_path: Path
) -> None:
    lines = samples_file.read_text().splitlines(keepends=True)
    assert len(lines) == 1 + CALIBRATING.scenes + ATTACKING.scenes
    part = tmp_path / "samples.jsonl"
    part.write_text("".join(lines[:-1]) + lines[-1][:100])  # killed while writing
    words = manifest.assessment.words
    longer = replace(strict(manifest).assessment, words=words + 1)
    seen: list[str] = []
    collect(replace(manifest, assessment=longer), (CALIBRATING, ATTACKING), part, seen.append)
    assert part.read_text() == samples_file.read_text()
    assert len(seen) == CALIBRATING.scenes + ATTACKING.scenes
    with pytest.raises(SettingsError, match="another study"):
        collect(manifest, (CALIBRATING,), part)
    part.write_text("[]\nnoise\n")
    with pytest.raises(SettingsError, match="no file of samples"):
        collect(manifest, (CALIBRATING,), part)


def test_the_samples_are_what_a_verifier_signs(manifest: Manifest) -> None:
    """The study's words are those of the protocol's own path, and numerics change them a little."""
    task = load_task(manifest)
    moment = next(iter(moments(task, manifest, 1, 2)))
    scene = Scene(task=task, manifest=manifest, moment=moment, draw=0)
    words = scene.sign(scene.evidence())
    assert words == scene.sign(scene.evidence()) and len(words) == manifest.assessment.words
    assert 0 < distance_bits(words, scene.sign(scene.evidence(Numerics(dtype="bfloat16")))) < 40
    other = Scene(task=task, manifest=manifest, moment=moment, draw=1)
    assert distance_bits(words, other.sign(other.evidence())) > 400


def test_audits_compare_what_the_protocol_compares(manifest: Manifest) -> None:
    """Gaps are those that check_interval and check_claims judge, here at tolerances of one unit."""
    one = replace(manifest, assessment=replace(manifest.assessment, **dict.fromkeys(TOLERANCES, 1)))
    task = load_task(manifest)
    moment = next(iter(moments(task, manifest, 1, 2)))
    local = local_of(task, one, moment, 0)
    state, beacon = moment.state, local.beacon
    honest, cheats = trainers.comparisons(local)
    verifiers = honest_configurations(one)
    header = Header(
        run=1,
        round=1,
        author=bytes(20),
        base=bytes(32),
        layout=bytes(32),
        claimed_gain_micronats=local.said.gain_micronats,
        words=local.said.words,
        marks=local.marks,
    )
    units = dict.fromkeys(TOLERANCES, 1)
    for name, numerics in verifiers.items():
        if numerics == local.numerics:
            continue
        with numerics.apply():
            trained = proof.check_interval(
                task, one, state, beacon, SEAT, local.marks, local.interval, local.opened[local.interval]
            )
            claimed = proof.check_claims(header, proof.claims(task, one, state, local.update, beacon, SEAT), one)
        mine = [comparison for comparison in honest if comparison.checked == name]
        assert [comparison.ratio(units) for comparison in mine] == pytest.approx([trained.ratio, claimed.ratio])
    assert all(comparison.trained == str(local.numerics) for them in cheats.values() for comparison in them)


@pytest.mark.parametrize("configurations", [1, 4, 6, 7])
@pytest.mark.parametrize("intervals", [1, 3, 4])
def test_every_configuration_is_audited_on_every_interval(configurations: int, intervals: int) -> None:
    places = range(configurations * intervals)
    assert len({turns(place, configurations, intervals) for place in places}) == len(places)
    assert turns(5, configurations, 0) == (5 % configurations, 0)


def test_a_run_without_audits_still_has_its_claims_measured(manifest: Manifest) -> None:
    bare = replace(
        manifest,
        training=replace(manifest.training, intervals=0),
        assessment=replace(manifest.assessment, audited_trainers=0),
    ).check()
    task = load_task(bare)
    moment = next(iter(moments(task, bare, 1, 1)))
    audits = [measure(task, bare, moment, TRAINED, 1), measure(task, bare, moment, RETRAINED, 2)]
    found = audit_findings_of([audit for audit in audits if isinstance(audit, Audit)], (), bare.assessment.words)
    assert {one.name: one.audits for one in found.tolerances} == {
        "interval_accept_bits": 0,
        "norm_tolerance_bps": 0,
        "own_accept_bits": 2,
        "overclaim_micronats": 2,
    }
    assert "half the batch" not in {cheat.name for cheat in found.cheats}


@pytest.fixture
def calibration(played: list[Played]) -> Calibration:
    return played[0].calibration


def test_calibrations_survive_the_wire(calibration: Calibration) -> None:
    assert Calibration.decode(calibration.encode()) == calibration
    assert calibration.report.fitted_alarm_rate <= 1e-3 and calibration.report.fitted_slash_rate <= 1e-6
    assert 0 < calibration.report.accept_bits < calibration.report.slash_bits


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda c: c.update(version=1), "version 1, this release reads 2"),
        (lambda c: c.pop("words"), "calibration has keys"),
        (lambda c: c.update(words=True), "calibration.words is 'True', expected a value of type int"),
        (lambda c: c["report"].update(accept_bits=5_000), "accept_bits 5000 <= slash_bits"),
        (lambda c: c["training"]["tolerances"].pop(), r"has tolerances \['interval_accept_bits'"),
        (lambda c: c["training"]["tolerances"][0].update(value=0), "interval_accept_bits is 0"),
        (lambda c: c["report"].update(cheats=[{}]), r"report.cheats\[0\] has keys"),
        (lambda c: c["report"]["honest"][0].update(histogram=[[1, 2, 3]]), "histogram"),
        (lambda c: c["report"].update(fitted_alarm_rate=float("nan")), "fitted_alarm_rate"),
        (lambda c: c.update(admitted="float32"), "calibration.admitted"),
    ],
)
def test_altered_calibrations_are_refused_by_name(
    calibration: Calibration, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    parsed = json.loads(calibration.encode())
    change(parsed)
    with pytest.raises(ManifestError, match=complaint):
        Calibration.decode(json.dumps(parsed, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize("noise", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b" " * ((1 << 20) + 1)])
def test_noise_is_a_manifest_error(noise: bytes) -> None:
    with pytest.raises(ManifestError):
        Calibration.decode(noise)


def test_only_the_canonical_form_is_read(calibration: Calibration) -> None:
    with pytest.raises(ManifestError, match="not canonical"):
        Calibration.decode(b" " + calibration.encode())


def test_a_calibration_is_of_one_recipe(calibration: Calibration, manifest: Manifest) -> None:
    pinned = replace(manifest, numerics=replace(manifest.numerics, calibration=calibration.digest()))
    assert pinned.numerics.calibration != UNCALIBRATED
    calibration.require(pinned)
    calibration.require(replace(pinned, task=replace(pinned.task, seed=9)))
    calibration.require(replace(pinned, assessment=replace(pinned.assessment, **calibration.training.by_name)))
    for other in (
        replace(manifest, training=replace(manifest.training, steps=3)),
        replace(manifest, numerics=replace(manifest.numerics, admitted=("float32",))),
        replace(manifest, assessment=replace(manifest.assessment, words=8)),
    ):
        with pytest.raises(ManifestError, match=f"{calibration.recipe}.*gradmint calibrate"):
            calibration.require(other)


@pytest.mark.parametrize(("value", "audits"), [(192, 3), (1, 0)])
def test_too_few_audits_are_refused(calibration: Calibration, manifest: Manifest, value: int, audits: int) -> None:
    few = replace(calibration.training.tolerances[0], value=value, audits=audits)
    tolerances = (few, *calibration.training.tolerances[1:])
    bad = replace(calibration, training=replace(calibration.training, tolerances=tolerances))
    with pytest.raises(ManifestError, match=f"interval_accept_bits {value} from {audits} audits.*--retrained"):
        bad.require(manifest)


def test_the_page_is_one_by_itself(played: list[Played], tmp_path: Path) -> None:
    measured = [(one.policy, one.calibration, one.teams) for one in played]
    first, again = tmp_path / "a.html", tmp_path / "b.html"
    write_page(first, measured)
    write_page(again, measured)
    page = first.read_text()
    assert page == again.read_text()
    assert page.count("<svg") == 8 and "colluding pair of 8" in page
    assert 'src="http' not in page and "<script" not in page and "<link" not in page
    identities = [part.split('"')[0] for part in page.split(' id="')[1:]]
    assert len(identities) == len(set(identities))


def test_what_nobody_decided_is_not_caught() -> None:
    """A policy of one configuration has one verifier, and no two of three."""
    one = Comparison(trained="float32", checked="float32", gaps={TOLERANCES[0]: 9.0})
    audit = Audit(kind=TRAINED, round=1, draw=0, honest=(one,), cheats={"idle": (one,)})
    found = audited("training", [audit], dict.fromkeys(TOLERANCES, 1))
    assert found.attacks[0].one.hits == 1 and found.attacks[0].scenes.trials == 0
    assert found.caught == []


def test_plans_of_other_beacons_share_no_scene() -> None:
    one, other = Plan(rounds=2, draws=3, trained=1), Plan(rounds=2, draws=3, trained=1, first=3)
    assert not set(one.listed()) & set(other.listed())
    assert len(one.listed()) == one.scenes == 8
