"""Settings that ``gradmint run open`` and ``gradmint deploy`` apply."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gradmint.cli.run_commands import override, relearn
from gradmint.learn.manifest import preset
from gradmint.spec.errors import ManifestError, SettingsError
from gradmint.spec.params import LOCAL
from gradmint.spec.reputation_params import STANDARD_REPUTATION


def test_any_part_of_the_recipe_can_be_set() -> None:
    manifest = preset("digits")
    assert relearn(manifest, ()) == manifest
    changes = (
        "outer.optimiser=fedyogi",
        "outer.learning_rate=0.03",
        "aggregation.pre=norm-bound,nnm",
        "codec.keep=256",
    )
    found = relearn(manifest, (*changes, "aggregation.rule=geometric-median"))
    assert (found.outer.optimiser, found.outer.learning_rate, found.codec.keep) == ("fedyogi", 0.03, 256)
    assert (found.aggregation.rule, found.aggregation.pre) == ("geometric-median", ("norm-bound", "nnm"))
    assert relearn(manifest, ("aggregation.pre=",)).aggregation.pre == ()


@pytest.mark.parametrize(
    ("change", "error", "complaint"),
    [
        ("outer.rate=1", SettingsError, "one of .*outer.learning_rate"),
        ("outer", SettingsError, "expected PART.NAME=VALUE"),
        ("task.seed=1", SettingsError, "expected PART.NAME=VALUE"),
        ("training.steps=many", SettingsError, "expected a value of type int"),
        ("outer.momentum=1.5", ManifestError, "outer.momentum 1.5"),
        ("aggregation.pre=clip", ManifestError, "aggregation.pre"),
        ("aggregation.rule=average", ManifestError, "aggregation.rule 'average'"),
    ],
)
def test_what_makes_no_sense_is_refused(change: str, error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        relearn(preset("digits"), (change,))


def test_parameters_can_be_set() -> None:
    found = override(LOCAL, ("max_rounds=3", "target_loss_micronats=-0"))
    assert (found.max_rounds, found.target_loss_micronats) == (3, 0)


@pytest.mark.parametrize("change", ["max_rounds=--3", "max_rounds=\u00b2", "max_rounds=1_0", "max_rounds", "rounds=3"])
def test_a_parameter_that_is_none_is_refused(change: str) -> None:
    with pytest.raises(SettingsError, match=f"--set {change}: expected NAME=INTEGER"):
        override(LOCAL, (change,))


def test_what_the_manifest_says_is_set_there() -> None:
    """The manifest's value would replace it, unsaid."""
    with pytest.raises(SettingsError, match="--set assigned_trainers=3: expected"):
        override(LOCAL, ("assigned_trainers=3",))
    assert relearn(preset("digits"), ("assessment.assigned_trainers=3",)).assessment.assigned_trainers == 3


def test_numbers_of_runs_and_of_ratings_are_set_alike() -> None:
    assert override(LOCAL, ("sortition_bps=7", "max_rounds=9")) == replace(LOCAL, sortition_bps=7, max_rounds=9)
    short = override(STANDARD_REPUTATION, ("epoch_blocks=600",), "--reputation")
    assert short == replace(STANDARD_REPUTATION, epoch_blocks=600)
    for change in ("epochs=600", "epoch_blocks=many", "epoch_blocks"):
        with pytest.raises(SettingsError, match=f"--reputation {change}: expected NAME=INTEGER"):
            override(STANDARD_REPUTATION, (change,), "--reputation")
